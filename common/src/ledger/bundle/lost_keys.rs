//! Ledgers whose key was lost: what the rules cannot see of a `key_lost`, and what a reader should.

use super::site::ledger_folder;
use super::{Audit, Finding, Trust};
use crate::id::SiteName;
use crate::ledger::history::{History, KeyLost};
use crate::ledger::key_loss::{SplitKey, is_over};
use crate::ledger::merkle::Tree;

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
