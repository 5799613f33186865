//! A ledger whose key was lost goes on in a new home: the copy that others kept, and a `key_lost` after it, take the
//! place of the ledger that `init` has begun there, on which nothing was spent.

use super::recover::put_in_place;
use super::{LedgerError, LedgerStore, Recovered, disk, journal, signed_entries};
use crate::disk::Disk;
use consilium_common::key::SecretKey;
use consilium_common::ledger::checkpoint::Note;
use consilium_common::ledger::entry::Body;
use consilium_common::ledger::merkle::Tree;
use consilium_common::ledger::rules::{self, State};
use consilium_common::time::Time;
use std::path::Path;

impl LedgerStore {
    /// Puts a copy of the lost home's ledger, whose newest checkpoint is `note`, and `loss` after it, in the place of
    /// what is in `dir`, which is kept aside. After a crash there is the one or the other.
    ///
    /// # Privacy
    /// Nothing is un-spent: the copy has what was spent, and what was open in it is charged in whole by the entry.
    /// A ledger here that a study was ever opened in stays: what its people paid would be forgotten. Whether the
    /// copy is the newest, the hospitals that vouch have compared with what they had cosigned, and the
    /// coordinator compares again.
    ///
    /// # Errors
    /// Another process has the ledger open; what is here has studies, or is another key's; the copy is not whole;
    /// the loss breaks a rule; the clock is far behind; the disk says no.
    pub fn take_over(
        disk: &dyn Disk,
        dir: &Path,
        key: &SecretKey,
        (note, entries): (&Note, &[Vec<u8>]),
        loss: Body,
        now: Time,
    ) -> Result<Recovered, LedgerError> {
        let refuse = |what: &str| LedgerError::Copy(what.to_owned());
        disk::finish_replacing(disk, dir)?;
        let is_new = disk::is_absent_or_empty(dir)?;
        let _lock = if is_new { None } else { Some(disk::lock(dir)?) };
        if !is_new {
            let here = begun_here(disk, dir, key)?;
            if here.studies().next().is_some() || here.key() != key.public() {
                return Err(refuse(
                    "the ledger in this home has studies or another key: a lost key is replaced in a new home, which \
                     `site-agent init` makes",
                ));
            }
        }
        let tree = Tree::of(entries);
        if (tree.size(), tree.root()) != (note.checkpoint.size, note.checkpoint.root) {
            return Err(refuse("its entries do not make the head of its checkpoint"));
        }
        let state = rules::replay(entries)?;
        put_in_place((disk, dir, is_new), key, (note, entries), (state, tree), loss, now)
    }
}

/// What was begun in this home.
fn begun_here(disk: &dyn Disk, dir: &Path, key: &SecretKey) -> Result<State, LedgerError> {
    let corrupt = |what: String| LedgerError::Corrupt { dir: dir.to_owned(), what };
    journal::settle(disk, dir, &key.public())?;
    let note = disk::read(dir, "checkpoint")?.unwrap_or_default();
    let note = Note::parse(&note).map_err(|e| corrupt(format!("checkpoint: {e}")))?;
    let bytes = disk::read(dir, "entries")?.unwrap_or_default();
    let entries = signed_entries(&mut bytes.as_slice(), note.checkpoint.size).map_err(corrupt)?;
    rules::replay(entries).map_err(|e| corrupt(e.to_string()))
}
