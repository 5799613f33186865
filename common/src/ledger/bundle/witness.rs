//! Which other participants cosigned a site's last checkpoint.

use super::Audit;
use super::decisions::Approvals;
use crate::id::SiteName;
use crate::ledger::checkpoint::{Note, SITES_WITH_WITNESS, witness_name};
use crate::ledger::rules::State;

impl Audit<'_> {
    /// Who did. A ledger whose format promises it has another participant's cosignature, under the key of that
    /// participant's approval, or is of a study that participants have `vouched` for. What is there must verify in
    /// any case.
    pub(super) fn witnesses(
        &mut self,
        file: &str,
        note: &Note,
        state: &State,
        approvals: &Approvals,
        vouched: bool,
    ) -> Vec<SiteName> {
        let mut witnesses = Vec::new();
        for (site, approval) in approvals.iter().filter(|(site, _)| *site != state.site()) {
            match note.cosignature(&witness_name(site), &approval.key) {
                Ok(Some(_)) => witnesses.push(site.clone()),
                Ok(None) => {}
                Err(error) => self.found(file, error),
            }
        }
        let promised = state.is_witnessed_by_sites() && approvals.len() >= SITES_WITH_WITNESS;
        if promised && witnesses.is_empty() && !vouched {
            self.found(file, "not cosigned by another participant");
        }
        witnesses
    }
}
