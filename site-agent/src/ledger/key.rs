//! The one entry after which another key signs.

use super::{LedgerError, LedgerStore};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::ledger::entry::Body;
use consilium_common::ledger::key_change::KeyChange;
use consilium_common::time::Time;

impl LedgerStore {
    /// The key in force here.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// Whether the ledger may go on under `new` as it stands. Changes nothing.
    ///
    /// # Errors
    /// The rule in its way, or the clock is far behind.
    pub fn check_key_change(&self, new: &SecretKey, now: Time) -> Result<(), LedgerError> {
        let now = self.not_before_the_last_entry(now)?;
        Ok(self.state.decide(self.key_change(new), now).map(drop)?)
    }

    /// Appends the entry by which the ledger goes on under `new`, which must be durable elsewhere by
    /// now: the checkpoint that covers the entry is signed by it alone, and every later one. The entry's
    /// index. On an error the old key is in force, or after [`LedgerError::Stopped`] whichever of the two
    /// signed the checkpoint on disk.
    ///
    /// # Errors
    /// As [`LedgerStore::append`].
    pub fn change_key(&mut self, new: SecretKey, now: Time) -> Result<u64, LedgerError> {
        let index = self.append_signed_by(self.key_change(&new), now, Some(&new))?;
        self.key = new;
        Ok(index)
    }

    fn key_change(&self, new: &SecretKey) -> Body {
        KeyChange::after(&self.state, new.public()).signed(&self.key, new)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{coordinator, cosign, create, key, refusal, time};
    use super::*;
    use consilium_common::key::SecretKey;
    use consilium_common::ledger::checkpoint::{Checkpoint, Note};
    use consilium_common::ledger::merkle::Tree;
    use std::path::Path;

    fn other(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn open(dir: &Path, key: SecretKey) -> Result<LedgerStore, LedgerError> {
        LedgerStore::open(&dir.join("ledger"), key, Some(coordinator().public()))
    }

    #[test]
    fn the_ledger_goes_on_under_the_new_key_and_no_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = create(dir.path());
        store.append(refusal("one"), time(1)).expect("legal");
        cosign(&mut store);
        let before = store.checkpoint().clone();
        store.check_key_change(&other(2), time(2)).expect("nothing in its way");
        assert!(store.check_key_change(&key(), time(2)).is_err(), "not to itself");
        assert_eq!(store.state().size(), 2, "asking changes nothing");
        assert_eq!(store.change_key(other(2), time(2)).expect("legal"), 2);
        assert_eq!(store.key(), other(2).public());
        store.append(refusal("two"), time(3)).expect("legal");
        store.checkpoint().verify(&store.state().origin(), &other(2).public()).expect("by the new key");
        // What was cosigned under the old key still counts, and the ledger opens with the new one alone.
        assert_eq!(store.cosigned_size(), 2);
        drop(store);
        assert!(matches!(open(dir.path(), key()), Err(LedgerError::Corrupt { .. })));
        let mut store = open(dir.path(), other(2)).expect("sound");
        assert_eq!((store.cosigned_size(), store.state().size()), (2, 4));
        cosign(&mut store);
        drop(store);
        let store = open(dir.path(), other(2)).expect("sound");
        assert_eq!(store.cosigned_size(), 4);
        // A witness's note by the old key proves a rollback up to the change, and nothing after it.
        let contradicts = |size: u64, by: &SecretKey| {
            let origin = before.checkpoint.origin.clone();
            let note: Note = Checkpoint { origin, size, root: Tree::of(["x"]).root() }.sign(by);
            store.is_contradicted_by(&note)
        };
        assert!(contradicts(2, &key()));
        assert!(!contradicts(3, &key()) && !contradicts(9, &key()), "whoever holds the old key now");
        assert!(contradicts(9, &other(2)));
        assert!(!store.is_contradicted_by(&before));
    }

    #[test]
    fn a_copy_from_either_side_of_the_change() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("ledger");
        let mut store = create(dir.path());
        store.append(refusal("one"), time(1)).expect("legal");
        let copy = |store: &LedgerStore| {
            (store.checkpoint().clone(), store.entries_from(0, usize::MAX).expect("readable"))
        };
        let old = copy(&store);
        let old_files = ["entries", "checkpoint"].map(|name| std::fs::read(path.join(name)).expect("there"));
        store.change_key(other(2), time(2)).expect("legal");
        store.append(refusal("two"), time(3)).expect("legal");
        let new = copy(&store);
        drop(store);
        let recover = |key: &SecretKey, (note, entries): &(Note, Vec<Vec<u8>>)| {
            LedgerStore::recover(&crate::disk::OsDisk, &path, key, note, entries, time(9))
        };
        let error = recover(&other(2), &old).expect_err("before the change").to_string();
        assert!(error.contains("it belongs to the key"), "{error}");
        // The ledger folder comes back from before the change, with the key of today: the copy continues it.
        for (name, bytes) in ["entries", "checkpoint"].iter().zip(&old_files) {
            std::fs::write(path.join(name), bytes).expect("written");
        }
        let error = recover(&key(), &new).expect_err("the identity is of before, too").to_string();
        assert!(error.contains("older") && error.contains("backup"), "{error}");
        let done = recover(&other(2), &new).expect("continues");
        assert_eq!((done.before, done.after), (Some(2), 5));
        assert_eq!(open(dir.path(), other(2)).expect("sound").state().key(), other(2).public());
    }
}
