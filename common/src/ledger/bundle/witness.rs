//! Whether another participant cosigned a site's last checkpoint.

use super::Audit;
use super::decisions::Approvals;
use crate::ledger::checkpoint::{Note, SITES_WITH_WITNESS, witness_name};
use crate::ledger::rules::State;

impl Audit<'_> {
    /// A ledger whose format promises it has another participant's cosignature, under the key of that
    /// participant's approval. What is there must verify in any case.
    pub(super) fn witnessed(&mut self, file: &str, note: &Note, state: &State, approvals: &Approvals) {
        let mut cosigned = false;
        for (site, approval) in approvals.iter().filter(|(site, _)| *site != state.site()) {
            match note.cosignature(&witness_name(site), &approval.key) {
                Ok(time) => cosigned |= time.is_some(),
                Err(error) => self.found(file, error),
            }
        }
        if state.is_witnessed_by_sites() && approvals.len() >= SITES_WITH_WITNESS && !cosigned {
            self.found(file, "not cosigned by another participant");
        }
    }
}
