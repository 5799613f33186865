//! This site's shares are sent, the others' are awaited.

use super::{Held, Ready, Session};
use crate::id::Digest;
use crate::ledger::merkle::verify_inclusion;
use crate::secagg::agreement::SiteIndex;
use crate::secagg::binding::ShareBinding;
use crate::secagg::dealing::{PAIR_BYTES, leaf, pair_commitments, roster_digest};
use crate::secagg::exchange::ExchangeKey;
use crate::secagg::message::{Dealt, ShareDelivery, Shares};
use crate::secagg::refusal::Refusal;
use crate::secagg::session::check_different;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// An attempt whose shares are on their way.
pub struct Sharing {
    pub(super) binding: ShareBinding,
    pub(super) mask_key: ExchangeKey,
    pub(super) own_seed: Zeroizing<[u8; 32]>,
    pub(super) own_pair: Zeroizing<[u8; PAIR_BYTES]>,
    pub(super) root: Digest,
}

impl Sharing {
    /// Opens and checks what every site in this attempt dealt to this one, and agrees with each on the
    /// secret of their mask.
    ///
    /// # Errors
    /// Another binding; fewer sites than the threshold; this site's own shares missing or exchanged; a
    /// dealer outside the session; a key twice or of low order; a signature, share or commitment that
    /// is not the dealer's, with the one at fault named.
    pub fn receive(self, session: &Session, delivery: &ShareDelivery) -> Result<Ready, Refusal> {
        self.binding.expect(&delivery.binding)?;
        let dealt = &delivery.dealt;
        session.agreement.enough("sharing", dealt.len())?;
        let public = self.mask_key.public();
        if dealt.get(&session.own).is_none_or(|own| own.root != self.root || own.mask_public != public) {
            return Err(Refusal::OwnMessage { what: "shares" });
        }
        check_different(dealt.iter().map(|(dealer, dealt)| (*dealer, &dealt.mask_public)))?;
        let members = session.members();
        let mut held = Held::new();
        let mut secrets = BTreeMap::new();
        for (&dealer, dealt) in dealt {
            check_dealt(session, &members, &self.binding, dealer, dealt)?;
            if dealer == session.own {
                held.insert(dealer, self.own_pair.clone());
                continue;
            }
            let channel =
                session.channels.get(&dealer).ok_or(Refusal::NotAMember { site: dealer, what: "session" })?;
            // From here on the box is what the dealer signed: what is wrong with it is the dealer's doing.
            let pair = channel
                .open(&self.binding, &dealt.sealed, dealer, session.own)
                .map_err(|_| Refusal::ShareFalse { dealer })?;
            if pair_commitments(&self.binding, dealer, session.own, &pair) != dealt.commitments {
                return Err(Refusal::ShareFalse { dealer });
            }
            let secret =
                self.mask_key.agree(&dealt.mask_public).map_err(|_| Refusal::LowOrderKey { site: dealer })?;
            held.insert(dealer, pair);
            secrets.insert(dealer, secret);
        }
        let announced =
            dealt.iter().map(|(dealer, dealt)| (*dealer, &dealt.mask_public, &dealt.own_mask, &dealt.root));
        let roster = roster_digest(&self.binding, announced);
        Ok(Ready { binding: self.binding, roster, held, secrets, own_seed: self.own_seed })
    }
}

/// Checks that the dealer signed this very box for this very site.
fn check_dealt(
    session: &Session,
    members: &[SiteIndex],
    binding: &ShareBinding,
    dealer: SiteIndex,
    dealt: &Dealt,
) -> Result<(), Refusal> {
    let signed = Shares::signing_input(binding, dealer, &dealt.mask_public, &dealt.own_mask, &dealt.root);
    session.agreement.verify(dealer, "shares", &signed, &dealt.signature)?;
    let at = members.iter().position(|site| *site == session.own).expect("a member of its own session");
    let leaf = leaf(session.own, &dealt.sealed, &dealt.commitments);
    verify_inclusion(&leaf, at as u64, members.len() as u64, &dealt.path, &dealt.root)
        .map_err(|_| Refusal::ShareNotDealt { dealer })
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sharing({})", self.binding.slot)
    }
}
