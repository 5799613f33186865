//! The shares are revealed; the result is awaited, for the ledger.

use crate::id::Digest;
use crate::secagg::agreement::SiteIndex;
use crate::secagg::binding::StepBinding;
use crate::secagg::message::StepResult;
use crate::secagg::refusal::Refusal;
use crate::secagg::transcript::Transcript;
use std::collections::BTreeMap;

/// An attempt that this site is done with.
#[derive(Debug)]
pub struct Unmasked {
    pub(super) binding: StepBinding,
    pub(super) survivors: BTreeMap<SiteIndex, Digest>,
    pub(super) certified: Digest,
}

impl Unmasked {
    /// What goes into the ledger.
    ///
    /// # Errors
    /// A result of another step or of other survivors.
    pub fn finish(self, result: &StepResult) -> Result<Transcript, Refusal> {
        self.binding.expect(&result.binding)?;
        if result.survivors != self.certified {
            return Err(Refusal::SurvivorsChanged);
        }
        Ok(Transcript::new(result, self.survivors))
    }
}
