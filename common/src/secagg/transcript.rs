//! What every survivor of a step writes to its ledger, for an auditor to compare across sites.

use super::agreement::{SiteIndex, tagged};
use super::binding::StepBinding;
use super::message::StepResult;
use crate::id::Digest;
use std::collections::BTreeMap;

/// One finished attempt, as one party saw it. Honest survivors of one attempt have the same binding
/// and survivors, whatever the coordinator did; with an honest coordinator the same sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// Study, session, step, attempt, roster, model.
    pub binding: StepBinding,
    /// Whose masked inputs are in the sum, with the digests of their lanes.
    pub survivors: BTreeMap<SiteIndex, Digest>,
    /// Digest of the certified survivors message.
    pub certified: Digest,
    /// Digest of the unmasked sum, as the coordinator published it. With the masked inputs and the
    /// revealed shares anybody recomputes it.
    pub sum: Digest,
}

impl Transcript {
    pub(super) fn new(result: &StepResult, survivors: BTreeMap<SiteIndex, Digest>) -> Self {
        Self { binding: result.binding, survivors, certified: result.survivors, sum: result.sum }
    }

    /// One value for the ledger.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = tagged("transcript");
        hasher.update(&self.binding.to_bytes());
        hasher.update(self.certified.as_bytes());
        hasher.update(self.sum.as_bytes());
        hasher.digest()
    }
}
