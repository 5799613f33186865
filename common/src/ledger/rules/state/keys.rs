//! The keys of a ledger: the one in force, and those it had before.

use super::State;
use crate::key::PublicKey;
use crate::ledger::checkpoint::{InvalidNote, Note};

impl State {
    /// Every key of this ledger, the first one first, the one in force last.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> {
        self.former.iter().map(|(_, key)| *key).chain([self.key()])
    }

    /// The key in force when the entry at `index` was written; of a `key_change` or `key_lost` the old one.
    #[must_use]
    pub fn key_at(&self, index: u64) -> PublicKey {
        let ended = self.former.iter().find(|(change, _)| index <= *change);
        ended.map_or(self.key(), |(_, key)| *key)
    }

    /// The index of the newest `key_change` or `key_lost`; `None` when there is none.
    #[must_use]
    pub fn key_changed(&self) -> Option<u64> {
        self.former.last().map(|(change, _)| *change)
    }

    /// Whether a note of this ledger is signed by a key that may: the one in force, of whatever size,
    /// or a former one, of no more entries than there were when it was given up.
    ///
    /// # Errors
    /// Another ledger's note, or not signed by such a key.
    pub fn verify_note(&self, note: &Note) -> Result<(), InvalidNote> {
        let origin = self.origin();
        let size = note.checkpoint.size;
        let mut former = self.former.iter().filter(|(change, _)| size <= *change);
        if former.any(|(_, key)| note.verify(&origin, key).is_ok()) {
            return Ok(());
        }
        note.verify(&origin, &self.key())
    }

    /// Another key from the next entry on; the change was checked.
    pub(super) fn change_key(&mut self, key: PublicKey) {
        self.former.push((self.size, self.key()));
        self.owner.2 = key;
    }
}
