//! The site's ledger on disk. A folder with
//!
//! - `entries`: the entries, each after its length in 16 bits (an entry bundle without end),
//! - `checkpoint`: the signed note over them, replaced as a whole,
//! - `journal`: entries that were appended since, each with its signed note,
//! - `cosigned`: the newest checkpoint that the coordinator cosigned,
//! - `lock`: held by the one process that may write.
//!
//! Invariants: what [`LedgerStore::append`] and its like returned is on disk and signed; what is
//! signed is never changed or dropped; nothing that breaks a [rule](rules) is written. Renaming the new
//! checkpoint into place is the one moment at which entries come to be, or, for
//! [`LedgerStore::append_quickly`], the sync of their record in the `journal`. After a crash, bytes behind the
//! signed checkpoint are cut off (they were never acted on); anything signed that is missing or
//! changed makes the folder [`LedgerError::Corrupt`], and nothing is repaired: [`LedgerStore::recover`] puts
//! somebody else's copy in its place, whose last entry then is a `recovered`.

mod append;
mod cosigned;
mod disk;
mod journal;
mod key;
mod recover;
mod take_over;

pub use append::PENDING_MAX;
pub use recover::Recovered;

use journal::Journal;
pub(crate) use journal::{Ahead, NAME as JOURNAL, ahead};

use crate::disk::{Disk, DiskFile, OsDisk};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::ledger::checkpoint::{Checkpoint, Note};
use consilium_common::ledger::entry::{Body, Caps};
use consilium_common::ledger::merkle::{Tree, leaf_hash};
use consilium_common::ledger::rules::{self, Illegal, State};
use consilium_common::ledger::tiles;
use consilium_common::time::Time;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A clock that stepped back by no more is taken to stand still; by more, the agent stops.
pub const CLOCK_BACK_MAX_MS: i64 = 5 * 60 * 1000;

/// The way out where a ledger is damaged or gone, and what it costs.
pub(crate) const WAY_OUT: &str = "find out why; then `site-agent ledger recover` takes the coordinator's copy (--from \
    DIR: another). That costs the entries after its last cosignature: uses left in open blocks and reserves without an \
    output stay burnt, and auditors see what was lost";

/// What a new ledger starts with.
#[derive(Debug, Clone, PartialEq)]
pub struct Genesis {
    /// Whose ledger.
    pub site: SiteName,
    /// A random name for the dataset; says nothing of the data.
    pub dataset: String,
    /// The program, as `site-agent 0.1.0`.
    pub software: String,
    /// The hospital's caps.
    pub caps: Caps,
}

/// The one writer of a ledger.
#[derive(Debug)]
pub struct LedgerStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    key: SecretKey,
    coordinator: Option<PublicKey>,
    entries: Box<dyn DiskFile>,
    /// Bytes of `entries` under the signed checkpoint.
    length: u64,
    /// Where each entry begins in `entries`.
    starts: Vec<u64>,
    /// With what is pending.
    state: State,
    /// Over the signed entries, as `length`, `starts` and `checkpoint`.
    tree: Tree,
    checkpoint: Note,
    /// What the file `checkpoint` says; the journal has the rest.
    filed: Note,
    journal: Journal,
    /// Entries that were decided and applied, and go to the disk with the next that is written.
    pending: Vec<Vec<u8>>,
    /// Leaves under the newest checkpoint that `coordinator` cosigned.
    cosigned: Option<Note>,
    /// Bytes that the last opening cut off.
    dropped: u64,
    /// Why nothing more may be written before the ledger is opened again.
    stopped: Option<String>,
    _lock: File,
}

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another process has it open.
    #[error("{dir}: another process has this ledger open")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// `create` found something there.
    #[error("{dir}: there is a ledger or something else already")]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// `open` found nothing there.
    #[error("{dir}: there is no ledger here; if there was one: {}", WAY_OUT)]
    Absent {
        /// The folder.
        dir: PathBuf,
    },
    /// Something signed is missing or changed. A person must find out why; restoring an old copy
    /// does not help, since the coordinator has cosigned what was lost.
    #[error("{dir}: the ledger is corrupt: {what}; {}", WAY_OUT)]
    Corrupt {
        /// The folder.
        dir: PathBuf,
        /// What was expected and what came.
        what: String,
    },
    /// The coordinator has cosigned more than this ledger holds.
    #[error(
        "the coordinator has cosigned {cosigned} entries of this ledger, the disk holds {found}: it was \
         restored from an old copy, and what was spent since is not in it; stop here and run: site-agent ledger \
         recover. It costs what was written after the last cosignature: uses left in open blocks stay burnt"
    )]
    Restored {
        /// Entries that the coordinator has cosigned.
        cosigned: u64,
        /// Entries on disk.
        found: u64,
    },
    /// The disk said no. Nothing was recorded.
    #[error("{path}: {doing}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// After a failed write it is not known what is on disk: open the ledger again.
    #[error("the ledger must be opened again: {why}")]
    Stopped {
        /// What had failed.
        why: String,
    },
    /// The entry would break a rule. Nothing was recorded.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The clock is far behind the last entry.
    #[error("the clock says {now}, the last entry was written at {last}: set the clock")]
    Clock {
        /// The clock's time.
        now: Time,
        /// The last entry's.
        last: Time,
    },
    /// A copy that does not take the ledger's place.
    #[error("this copy does not take the ledger's place: {0}")]
    Copy(String),
    /// A cosignature that is not one of this ledger by the coordinator.
    #[error("the cosignature is not valid: {0}")]
    Cosignature(String),
}

impl LedgerStore {
    /// Makes a new ledger in a folder that does not exist yet or is empty. All of it appears at
    /// once, or nothing.
    ///
    /// # Errors
    /// Something is there already, the genesis breaks a rule, or the disk says no.
    pub fn create(
        dir: &Path,
        key: SecretKey,
        coordinator: Option<PublicKey>,
        genesis: Genesis,
        now: Time,
    ) -> Result<Self, LedgerError> {
        Self::create_on(Arc::new(OsDisk), dir, key, coordinator, genesis, now)
    }

    /// As [`LedgerStore::create`], on this disk.
    ///
    /// # Errors
    /// As [`LedgerStore::create`].
    pub fn create_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        key: SecretKey,
        coordinator: Option<PublicKey>,
        genesis: Genesis,
        now: Time,
    ) -> Result<Self, LedgerError> {
        if !disk::is_absent_or_empty(dir)? {
            return Err(LedgerError::Exists { dir: dir.to_owned() });
        }
        let Genesis { site, dataset, software, caps } = genesis;
        let body = Body::Genesis {
            schema: rules::SCHEMA_WITNESSED.to_owned(),
            site,
            dataset,
            key: key.public(),
            unit: "person".to_owned(),
            neighbours: "add_remove_one".to_owned(),
            software,
            caps,
        };
        let bytes = rules::first_entry(body, now.whole_second())?;
        let state = State::begin(&bytes)?;
        let tree = Tree::of([&bytes]);
        let note = Checkpoint { origin: state.origin(), size: 1, root: tree.root() }.sign(&key);
        let mut framed = Vec::new();
        tiles::push_entry(&mut framed, &bytes);
        let note = note.to_string();
        disk::put_folder(&*disk, dir, &[("entries", &framed), ("checkpoint", note.as_bytes())])?;
        Self::open_on(disk, dir, key, coordinator)
    }

    /// Opens a ledger: locks it, checks everything signed, and cuts off what was not signed yet.
    ///
    /// # Errors
    /// No ledger, another process has it, something signed is missing or changed, or the disk says
    /// no.
    pub fn open(dir: &Path, key: SecretKey, coordinator: Option<PublicKey>) -> Result<Self, LedgerError> {
        Self::open_on(Arc::new(OsDisk), dir, key, coordinator)
    }

    /// As [`LedgerStore::open`], on this disk.
    ///
    /// # Errors
    /// As [`LedgerStore::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        key: SecretKey,
        coordinator: Option<PublicKey>,
    ) -> Result<Self, LedgerError> {
        let corrupt = |what: String| LedgerError::Corrupt { dir: dir.to_owned(), what };
        disk::finish_replacing(&*disk, dir)?;
        if disk::is_absent_or_empty(dir)? {
            return Err(LedgerError::Absent { dir: dir.to_owned() });
        }
        let lock = disk::lock(dir)?;
        journal::settle(&*disk, dir, &key.public())?;
        let note =
            disk::read(dir, "checkpoint")?.ok_or_else(|| corrupt("the checkpoint is missing".to_owned()))?;
        let note = Note::parse(&note).map_err(|e| corrupt(format!("checkpoint: {e}")))?;
        let bytes =
            disk::read(dir, "entries")?.ok_or_else(|| corrupt("the entries are missing".to_owned()))?;
        let mut rest = bytes.as_slice();
        let entries = signed_entries(&mut rest, note.checkpoint.size).map_err(corrupt)?;
        journal::check_not_missing(rest).map_err(corrupt)?;
        let dropped = rest.len() as u64;
        let length = bytes.len() as u64 - dropped;
        let tree = Tree::of(&entries);
        if tree.root() != note.checkpoint.root {
            return Err(corrupt("an entry was changed after it was signed".to_owned()));
        }
        let state = rules::replay(&entries).map_err(|e| corrupt(e.to_string()))?;
        if state.key() != key.public() {
            return Err(corrupt(format!(
                "it belongs to the key {}, the key file holds {}",
                state.key(),
                key.public()
            )));
        }
        note.verify(&state.origin(), &key.public()).map_err(|e| corrupt(format!("checkpoint: {e}")))?;
        let starts = starts(&entries);
        let entries = disk::open_entries(&*disk, dir, length, dropped)?;
        let mut store = Self {
            disk,
            dir: dir.to_owned(),
            key,
            coordinator,
            entries,
            length,
            starts,
            state,
            tree,
            filed: note.clone(),
            checkpoint: note,
            journal: Journal::default(),
            pending: Vec::new(),
            cosigned: None,
            dropped,
            stopped: None,
            _lock: lock,
        };
        store.cosigned = store.read_cosigned()?;
        Ok(store)
    }

    /// What the entries amount to, those that wait for the next write ([`LedgerStore::append_lazily`])
    /// included.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The newest checkpoint, signed by this site.
    #[must_use]
    pub const fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// Bytes that opening cut off: an entry that a crash interrupted before it was signed.
    #[must_use]
    pub const fn dropped_bytes(&self) -> u64 {
        self.dropped
    }

    /// The exact bytes of the entries from index `from` on, at most about `bytes_max` of them and at
    /// least one.
    ///
    /// # Errors
    /// The disk says no, or the entries changed under our hands.
    pub fn entries_from(&self, from: u64, bytes_max: usize) -> Result<Vec<Vec<u8>>, LedgerError> {
        let corrupt = |what: &str| LedgerError::Corrupt { dir: self.dir.clone(), what: what.to_owned() };
        let index = usize::try_from(from).expect("a ledger fits into memory");
        let Some(start) = self.starts.get(index) else { return Ok(Vec::new()) };
        let bytes = disk::read_range(&self.dir, "entries", *start, self.length)?;
        let (mut rest, mut entries, mut total) = (bytes.as_slice(), Vec::new(), 0);
        for at in from..self.tree.size() {
            let entry = tiles::take_entry(&mut rest).ok_or_else(|| corrupt("signed entries are missing"))?;
            if self.tree.leaf(at) != Some(leaf_hash(entry)) {
                return Err(corrupt("an entry was changed after it was signed"));
            }
            total += entry.len();
            if total > bytes_max && at > from {
                break;
            }
            entries.push(entry.to_vec());
        }
        Ok(entries)
    }

    /// The checkpoint over the first `size` entries, signed anew; `None` if there never were so many.
    #[must_use]
    pub fn checkpoint_at(&self, size: u64) -> Option<Note> {
        let root = self.tree.root_at(size)?;
        Some(Checkpoint { origin: self.state.origin(), size, root }.sign(&self.key))
    }

    /// Proves that the ledger of `size` entries only appended to that of `old`.
    #[must_use]
    pub fn consistency_proof(&self, old: u64, size: u64) -> Option<Vec<Digest>> {
        self.tree.consistency_proof(old, size)
    }

    /// The ledger's files for the audit bundle: `checkpoint` (with the cosignature, if the newest
    /// checkpoint has one) and the tiles.
    ///
    /// # Errors
    /// The disk says no, or the entries changed under our hands.
    pub fn export_tiles(&self) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
        let corrupt = |what: String| LedgerError::Corrupt { dir: self.dir.clone(), what };
        let bytes =
            disk::read(&self.dir, "entries")?.ok_or_else(|| corrupt("the entries are missing".to_owned()))?;
        let entries = signed_entries(&mut bytes.as_slice(), self.tree.size()).map_err(corrupt)?;
        if Tree::of(&entries).root() != self.tree.root() {
            return Err(corrupt("an entry was changed after it was signed".to_owned()));
        }
        let note = self.cosigned.as_ref().filter(|note| note.checkpoint == self.checkpoint.checkpoint);
        let note = note.unwrap_or(&self.checkpoint).to_string().into_bytes();
        let mut files = vec![("checkpoint".to_owned(), note)];
        files.extend(tiles::files(&entries, &self.tree));
        Ok(files)
    }
}

/// Where each entry begins in the file.
fn starts(entries: &[&[u8]]) -> Vec<u64> {
    let (mut at, mut framed) = (0, Vec::new());
    let start = |entry: &&[u8]| {
        let start = at;
        framed.clear();
        tiles::push_entry(&mut framed, entry);
        at += framed.len() as u64;
        start
    };
    entries.iter().map(start).collect()
}

/// The first `size` entries; the rest stays in `bytes`.
fn signed_entries<'a>(bytes: &mut &'a [u8], size: u64) -> Result<Vec<&'a [u8]>, String> {
    let mut entries = Vec::new();
    for at in 0..size {
        match tiles::take_entry(bytes) {
            Some(entry) => entries.push(entry),
            None => return Err(format!("the signed checkpoint counts {size} entries, the file holds {at}")),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests;
