//! Ledgers whose key was lost: what the rules cannot see of a `key_lost`, and what a reader should.

use super::decisions::Approvals;
use super::site::ledger_folder;
use super::{Audit, Finding, Trust};
use crate::id::{Digest, SiteName};
use crate::ledger::history::{History, KeyLost};
use crate::ledger::key_loss::{SplitKey, is_over};
use crate::ledger::merkle::Tree;
use crate::ledger::rules::{KEY_LOST, State};

/// Whether another participant of a study, under the key of its approval, has signed everything that the study left
/// in this ledger: it ended here with the key, and whoever vouched for the new one signed the head before.
pub(super) fn vouched(state: &State, study: &Digest, history: &History, approvals: &Approvals) -> bool {
    let Some(record) = state.study(study).filter(|record| record.closed.as_deref() == Some(KEY_LOST)) else {
        return false;
    };
    // Nothing of the study comes after the first loss since it was opened.
    let loss = history.lost_keys.iter().find(|loss| loss.entry > record.opened);
    let is_participant =
        |(site, key): &(SiteName, _)| approvals.get(site).is_some_and(|approval| approval.key == *key);
    loss.is_some_and(|loss| loss.endorsed.iter().any(is_participant))
}

impl Audit<'_> {
    /// The lost key signed the very entries before its loss; and whoever vouched did so under the key that the
    /// auditor got elsewhere, where one is pinned.
    pub(super) fn lost_keys(&mut self, site: &SiteName, history: &History, tree: &Tree, trust: &Trust) {
        let folder = ledger_folder(site);
        for KeyLost { entry, time, old, new, split, checkpoint, endorsed } in &history.lost_keys {
            if !is_over(checkpoint, tree) {
                let what = format!(
                    "ledger.key_checkpoint: the lost key signed another tree head than that of the {entry} entries \
                     before its loss: another past stands here"
                );
                self.findings.push(Finding::new("ledger.key_checkpoint", &folder, Some(*entry), what));
            }
            for (by, key) in endorsed {
                if let Some(pinned) = trust.sites.get(by).filter(|pinned| *pinned != key) {
                    let what = format!("{by} vouches with the key {key}, the trust file pins {pinned}");
                    self.findings.push(Finding::new("key", &folder, Some(*entry), what));
                }
            }
            let names = endorsed.iter().map(|(by, _)| by.as_str()).collect::<Vec<_>>().join(", ");
            let roles = match split {
                SplitKey::Kept => "people keep their roles",
                SplitKey::Lost => "roles are drawn anew: what both roles had paid adds up",
            };
            self.notes.push(format!(
                "{site}: entry {entry} of {} says that its ledger key {old} was lost; {names} vouch for the new key \
                 {new}. Studies that were open are charged in whole; {roles}",
                time.day()
            ));
        }
    }
}
