//! What a `key_lost` must fulfil. What it does to the state is in `state/loss.rs`.

use super::{Broken, State, broken};
use crate::key::PublicKey;
use crate::ledger::key_change::Unproven;
use crate::ledger::key_loss::{Endorsement, KeyLoss, Quorum, SplitKey};
use crate::signed::Signed;

/// Checks the loss of the key in force, and the new `key`, as the ledger's next entry.
///
/// A study that is open does not stand in the way, as it does in that of a `key_change`: it is ended and charged
/// in whole. A key that this ledger had before does not come back, and nobody vouches for a key of their own.
pub(super) fn check(
    state: &State,
    (key, split): (PublicKey, SplitKey),
    checkpoint: &str,
    by_new: &Signed<KeyLoss>,
    endorsements: &[Endorsement],
) -> Result<(), Broken> {
    let quorum = Quorum::of(state);
    if state.keys().any(|former| former == key) {
        return broken("ledger.key_reused", format!("{key} is or was this ledger's key already"));
    }
    if let Some((site, _)) = quorum.members().iter().find(|(_, member)| **member == key) {
        return broken("ledger.key_reused", format!("{key} is the key of {site}"));
    }
    let loss = KeyLoss::after(state, key, split);
    loss.check_new(by_new)
        .and_then(|()| loss.check_checkpoint(&state.origin(), checkpoint))
        .and_then(|()| loss.check_quorum(&quorum, endorsements))
        .map_err(|Unproven { rule, what }| (rule, what))
}
