//! The ledger key, and its change in three steps that each are durable before the next:
//!
//! 1. `identity/ledger.key.next` holds the new key;
//! 2. the ledger's `key_change` is under a checkpoint that the new key signed;
//! 3. `ledger.key.next` takes the name `ledger.key`, and the old key is gone.
//!
//! The signature on the ledger's newest checkpoint says which of two keys is in force, so that a crash
//! between any two steps leaves a home that goes on with one of them.

use super::{Home, HomeError, hex_line};
use crate::disk::Disk;
use crate::files::{self, FileError};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::ledger::checkpoint::{NOTE_BYTES_MAX, Note};

const KEY: &str = "identity/ledger.key";
const NEXT: &str = "identity/ledger.key.next";

impl Home {
    /// The key that signs approvals and the ledger: of a change that a crash interrupted, the one that
    /// signed the newest checkpoint.
    ///
    /// # Errors
    /// IO, others can read it, or it is no key.
    pub fn ledger_key(&self) -> Result<SecretKey, HomeError> {
        match self.next_key()? {
            Some(next) if self.is_in_force(&next.public())? => Ok(next),
            _ => Ok(SecretKey::from_seed(&*self.secret(KEY)?)),
        }
    }

    /// Step 1 of a change: keeps the new key beside the one in force, durably.
    ///
    /// # Errors
    /// IO.
    pub fn keep_next_key(&self, disk: &dyn Disk, seed: &[u8; 32]) -> Result<SecretKey, HomeError> {
        files::write_on(disk, &self.dir.join(NEXT), hex_line(seed).as_bytes())?;
        Ok(SecretKey::from_seed(seed))
    }

    /// Step 3: the new key takes the old one's place, if it is the one `in_force`. Otherwise nothing is
    /// done: a change that never came about leaves a key of no power, which the next change replaces.
    /// Only the holder of the ledger's lock calls this.
    ///
    /// # Errors
    /// IO.
    pub fn finish_key_change(&self, disk: &dyn Disk, in_force: &PublicKey) -> Result<(), HomeError> {
        if self.next_key()?.is_none_or(|next| next.public() != *in_force) {
            return Ok(());
        }
        let (next, key) = (self.dir.join(NEXT), self.dir.join(KEY));
        let moved = disk.rename(&next, &key).and_then(|()| disk.sync_folder(&self.dir.join("identity")));
        Ok(moved.map_err(FileError::io(&key))?)
    }

    fn next_key(&self) -> Result<Option<SecretKey>, HomeError> {
        match self.secret(NEXT) {
            Ok(seed) => Ok(Some(SecretKey::from_seed(&seed))),
            Err(HomeError::File(error)) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this key signed the ledger's newest checkpoint. What is wrong with a ledger that has no
    /// readable one is told by whoever opens it.
    fn is_in_force(&self, key: &PublicKey) -> Result<bool, HomeError> {
        let note = match files::read(&self.ledger_dir().join("checkpoint"), NOTE_BYTES_MAX as u64) {
            Err(error) if error.is_absent() => return Ok(false),
            read => read?,
        };
        let signed = |note: Note| note.verify(&note.checkpoint.origin, key).is_ok();
        Ok(Note::parse(&note).is_ok_and(signed))
    }
}
