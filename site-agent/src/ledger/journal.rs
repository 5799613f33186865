//! Appending with one sync: entries and the checkpoint over them as one record of a file of their own.
//!
//! The store's other files say as much later: `entries` has the same bytes, not synced yet, and
//! `checkpoint` is replaced with the next ordinary append, from when on the journal's records are of the
//! past and are written over. Invariant: an entry comes to be when its record is whole on the disk. Of
//! a record that was torn by a crash nothing counts and nothing was acted on; a whole one that does not
//! continue what is signed, or is not signed itself, or comes after a torn one, is corruption.

use super::{LedgerError, LedgerStore, disk, signed_entries};
use crate::disk::{Disk, DiskFile};
use consilium_common::id::Digest;
use consilium_common::key::PublicKey;
use consilium_common::ledger::checkpoint::{Checkpoint, NOTE_BYTES_MAX, Note};
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::merkle::{Tree, leaf_hash};
use consilium_common::ledger::tiles;
use consilium_common::time::Time;
use std::ops::Range;
use std::path::Path;

/// The file's name.
pub(crate) const NAME: &str = "journal";
/// Past this an ordinary append comes first, bytes.
pub(super) const BYTES_MAX: u64 = 1024 * 1024;
/// Length of the framed entries, length of the note, digest of both.
const HEAD: usize = 4 + 4 + 32;

impl LedgerStore {
    /// As [`LedgerStore::append_all`], with one sync: for what is written many times a second. Readers of
    /// the folder see these entries after [`LedgerStore::file`] or the next ordinary append.
    ///
    /// # Errors
    /// As [`LedgerStore::append_all`].
    pub fn append_quickly(
        &mut self,
        bodies: impl IntoIterator<Item = Body>,
        now: Time,
    ) -> Result<Range<u64>, LedgerError> {
        self.append_together(bodies, now, Self::record_pending)
    }

    fn record_pending(&mut self) -> Result<(), LedgerError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.check_not_stopped()?;
        self.check_sole_writer()?;
        let (mut framed, mut starts) = (Vec::new(), Vec::new());
        for entry in &self.pending {
            starts.push(self.length + framed.len() as u64);
            tiles::push_entry(&mut framed, entry);
        }
        if !self.journal.has_room(&framed) {
            self.file()?;
        }
        self.pending.iter().for_each(|entry| self.tree.push(leaf_hash(entry)));
        let (origin, size, root) = (self.state.origin(), self.tree.size(), self.tree.root());
        let note = Checkpoint { origin, size, root }.sign(&self.key);
        let written = self
            .journal
            .put(&*self.disk, &self.dir, &framed, &note)
            .map_err(disk::io(&self.dir.join(NAME), "writing a record"))
            .and_then(|()| {
                let written = self.entries.write_at(self.length, &framed);
                written.map_err(disk::io(&self.dir.join("entries"), "writing an entry"))
            });
        if let Err(error) = written {
            // The record may be on the disk, and then the entries are: from the journal, when the ledger is
            // opened again.
            self.tree.truncate(self.signed_size());
            self.stopped = Some(error.to_string());
            return Err(error);
        }
        self.pending.clear();
        self.starts.extend(starts);
        self.length += framed.len() as u64;
        self.checkpoint = note;
        Ok(())
    }

    /// Puts into `checkpoint` what only the journal has: for readers of the folder, and before the journal
    /// gets too long.
    ///
    /// # Errors
    /// The disk says no.
    pub fn file(&mut self) -> Result<(), LedgerError> {
        if !self.journal.is_ahead() {
            return Ok(());
        }
        self.check_sole_writer()?;
        self.entries.sync().map_err(disk::io(&self.dir.join("entries"), "syncing"))?;
        match disk::replace(&*self.disk, &self.dir, "checkpoint", self.checkpoint.to_string().as_bytes()) {
            Ok(()) => {
                self.filed = self.checkpoint.clone();
                self.journal.restart();
                Ok(())
            }
            Err(disk::Replace::NotDone(error)) => Err(error),
            Err(disk::Replace::Unknown(error)) => {
                self.stopped = Some(error.to_string());
                Err(error)
            }
        }
    }
}

/// The journal of an open ledger.
#[derive(Debug, Default)]
pub(super) struct Journal {
    file: Option<Box<dyn DiskFile>>,
    /// Bytes of records that `checkpoint` does not cover.
    length: u64,
}

impl Journal {
    /// Whether a record of these entries still fits.
    pub(super) const fn has_room(&self, framed: &[u8]) -> bool {
        self.length + (HEAD + framed.len() + NOTE_BYTES_MAX) as u64 <= BYTES_MAX
    }

    /// Whether there is something that `checkpoint` does not cover.
    pub(super) const fn is_ahead(&self) -> bool {
        self.length > 0
    }

    /// `checkpoint` covers everything: what is written next is written over it.
    pub(super) const fn restart(&mut self) {
        self.length = 0;
    }

    /// Writes a record, durably.
    pub(super) fn put(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        framed: &[u8],
        note: &Note,
    ) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = dir.join(NAME);
                // What an earlier process left there was settled when the ledger was opened.
                let file = disk.create(&path)?;
                disk.sync_folder(dir)?;
                self.file.insert(file)
            }
        };
        let record = record(framed, note.to_string().as_bytes());
        file.write_at(self.length, &record)?;
        file.sync()?;
        self.length += record.len() as u64;
        Ok(())
    }
}

/// Before a ledger is opened: what the journal has beyond `checkpoint` goes into the other files, durably.
pub(super) fn settle(disk: &dyn Disk, dir: &Path, key: &PublicKey) -> Result<(), LedgerError> {
    let corrupt =
        |what: String| LedgerError::Corrupt { dir: dir.to_owned(), what: format!("journal: {what}") };
    let (Some(journal), Some(note), Some(bytes)) =
        (disk::read(dir, NAME)?, disk::read(dir, "checkpoint")?, disk::read(dir, "entries")?)
    else {
        return Ok(());
    };
    // What is wrong with these two is found when the ledger is opened.
    let Ok(filed) = Note::parse(&note) else { return Ok(()) };
    let mut rest = bytes.as_slice();
    let Ok(entries) = signed_entries(&mut rest, filed.checkpoint.size) else { return Ok(()) };
    if Tree::of(&entries).root() != filed.checkpoint.root {
        return Ok(());
    }
    let length = (bytes.len() - rest.len()) as u64;
    let Some(Ahead { framed, newest }) = ahead(&filed, &entries, &journal, key).map_err(corrupt)? else {
        return Ok(());
    };
    let mut file = disk::open_entries(disk, dir, length, rest.len() as u64)?;
    let path = dir.join("entries");
    disk::write_at(&mut *file, length, &framed).map_err(disk::io(&path, "writing what the journal has"))?;
    disk::replace(disk, dir, "checkpoint", newest.to_string().as_bytes())
        .map_err(|(disk::Replace::NotDone(error) | disk::Replace::Unknown(error))| error)
}

/// Of the bytes behind the signed entries: a masked vector's entry is there after the sync of its record in the
/// journal, so that one without a record says that the journal is gone.
pub(super) fn check_not_missing(mut unsigned: &[u8]) -> Result<(), String> {
    while let Some(entry) = tiles::take_entry(&mut unsigned) {
        if let Ok(Entry { body: Body::CommitSum { step, attempt, .. }, .. }) = Entry::from_bytes(entry) {
            return Err(format!(
                "journal: the record of the masked vector for step {step}, attempt {attempt} is missing"
            ));
        }
    }
    Ok(())
}

/// What a journal has beyond a checkpoint.
pub(crate) struct Ahead {
    /// The entries after those under it, framed.
    pub(crate) framed: Vec<u8>,
    /// The newest note, verified, over all.
    pub(crate) newest: Note,
}

/// What `journal` has beyond `filed` over `entries`; none where that is nothing.
///
/// # Errors
/// A whole record that does not continue what is signed, is not signed by `key`, or comes after a broken
/// one: each is on the disk before the next is begun, so that a crash can tear the last alone.
pub(crate) fn ahead(
    filed: &Note,
    entries: &[&[u8]],
    journal: &[u8],
    key: &PublicKey,
) -> Result<Option<Ahead>, String> {
    let origin = &filed.checkpoint.origin;
    let (mut tree, mut added, mut newest) = (Tree::of(entries), Vec::new(), None);
    let mut records = journal;
    loop {
        let Some((framed, note)) = take(&mut records) else {
            if has_newer(records, origin, key, tree.size()) {
                return Err("a record before a whole one is damaged".to_owned());
            }
            break;
        };
        let note = Note::parse(note).map_err(|e| e.to_string())?;
        // From before the last ordinary append.
        if note.checkpoint.size <= tree.size() {
            break;
        }
        let mut of = framed;
        while !of.is_empty() {
            let entry = tiles::take_entry(&mut of).ok_or_else(|| "half an entry".to_owned())?;
            tree.push(leaf_hash(entry));
        }
        if (tree.size(), tree.root()) != (note.checkpoint.size, note.checkpoint.root) {
            return Err("a record does not continue what is signed".to_owned());
        }
        note.verify(origin, key).map_err(|e| e.to_string())?;
        added.extend_from_slice(framed);
        newest = Some(note);
    }
    Ok(newest.map(|newest| Ahead { framed: added, newest }))
}

/// Whether a whole record by `key` of more than `size` entries begins anywhere here. Behind the newest
/// record lie older ones, written over in part: none of these has more than the checkpoint.
fn has_newer(records: &[u8], origin: &str, key: &PublicKey, size: u64) -> bool {
    (0..records.len()).any(|at| {
        let mut from = &records[at..];
        // The note first: that is cheap where there is none.
        note_of(from).is_some_and(|note| {
            note.checkpoint.size > size && note.verify(origin, key).is_ok() && take(&mut from).is_some()
        })
    })
}

/// The note of a record that may begin here.
fn note_of(record: &[u8]) -> Option<Note> {
    let (framed, note) = lengths(record)?;
    if framed == 0 || note == 0 || note > NOTE_BYTES_MAX {
        return None;
    }
    let from = HEAD.checked_add(framed)?;
    Note::parse(record.get(from..from.checked_add(note)?)?).ok()
}

fn record(framed: &[u8], note: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("at most 1 MiB").to_le_bytes();
    let body = [framed, note].concat();
    [&length(framed)[..], &length(note), Digest::of(&body).as_bytes(), &body].concat()
}

/// Of a record's framed entries, and of its note.
fn lengths(record: &[u8]) -> Option<(usize, usize)> {
    let (framed, rest) = record.split_first_chunk()?;
    Some((u32::from_le_bytes(*framed) as usize, u32::from_le_bytes(*rest.first_chunk()?) as usize))
}

/// The entries and the note of the next record, if it is whole.
fn take<'a>(records: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let head = records.get(..HEAD)?;
    let (framed, note) = lengths(head)?;
    let body = records.get(HEAD..HEAD.checked_add(framed)?.checked_add(note)?)?;
    if Digest::of(body).as_bytes().as_slice() != &head[8..] || framed == 0 {
        return None;
    }
    *records = &records[HEAD + body.len()..];
    Some(body.split_at(framed))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{create, key, open, refusal, time};
    use super::*;

    /// A ledger of a genesis and an entry, and after them two records, of two entries and of one.
    fn journalled() -> (tempfile::TempDir, LedgerStore) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = create(dir.path());
        store.append(refusal("one"), time(1)).expect("legal");
        let two = vec![refusal("two"), refusal("three")];
        assert_eq!(store.append_quickly(two, time(2)).expect("legal"), 2..4);
        assert_eq!(store.append_quickly([refusal("four")], time(3)).expect("legal"), 4..5);
        (dir, store)
    }

    #[test]
    fn what_was_appended_at_once_is_there_after_a_crash() {
        let (dir, store) = journalled();
        let (state, note) = (store.state().clone(), store.checkpoint().clone());
        assert_eq!(store.entries_from(0, usize::MAX).expect("readable").len(), 5);
        drop(store);
        // The entries beside the journal were never synced: they may be torn or gone.
        for keep in [0, 1, 7] {
            let folder = dir.path().join("ledger");
            let filed =
                Note::parse(&std::fs::read(folder.join("checkpoint")).expect("there")).expect("a note");
            let bytes = std::fs::read(folder.join("entries")).expect("there");
            let mut rest = bytes.as_slice();
            signed_entries(&mut rest, filed.checkpoint.size).expect("signed");
            let kept = (bytes.len() - rest.len() + keep).min(bytes.len());
            std::fs::write(folder.join("entries"), &bytes[..kept]).expect("written");
            let again = open(dir.path()).expect("sound");
            assert_eq!((again.state(), again.checkpoint()), (&state, &note));
            drop(again);
        }
        let mut again = open(dir.path()).expect("sound");
        assert_eq!(again.append(refusal("five"), time(4)).expect("legal"), 5);
        // The old records are of the past now, for this process and for the next.
        drop(again);
        assert_eq!(open(dir.path()).expect("sound").state().size(), 6);
    }

    #[test]
    fn ordinary_appends_and_filing_cover_the_journal() {
        let (dir, mut store) = journalled();
        store.file().expect("filed");
        assert_eq!(store.append_quickly([refusal("five")], time(4)).expect("legal"), 5..6);
        assert_eq!(store.append(refusal("six"), time(5)).expect("legal"), 6);
        assert_eq!(store.append_quickly([refusal("seven")], time(5)).expect("legal"), 7..8);
        let state = store.state().clone();
        drop(store);
        assert_eq!(open(dir.path()).expect("sound").state(), &state);
    }

    #[test]
    fn a_torn_record_never_was_and_a_false_one_is_corruption() {
        fn check(change: impl Fn(&mut Vec<u8>), expected: Result<u64, &str>) {
            let (dir, store) = journalled();
            drop(store);
            let path = dir.path().join("ledger").join(NAME);
            let mut bytes = std::fs::read(&path).expect("there");
            change(&mut bytes);
            std::fs::write(&path, bytes).expect("written");
            match (open(dir.path()), expected) {
                (Ok(store), Ok(size)) => assert_eq!(store.state().size(), size),
                (Err(LedgerError::Corrupt { what, .. }), Err(expected)) => {
                    assert!(what.contains(expected), "{what}");
                }
                (found, expected) => panic!("{:?} instead of {expected:?}", found.map(|_| ())),
            }
        }
        check(|_| {}, Ok(5));
        check(Vec::clear, Ok(2));
        check(|bytes| bytes.truncate(bytes.len() - 1), Ok(4));
        check(|bytes| bytes.truncate(HEAD - 1), Ok(2));
        check(|bytes| *bytes.last_mut().expect("not empty") ^= 1, Ok(4));
        // A bit of what was whole once: signed entries come after it.
        for at in [0, 3, 4, 8, HEAD] {
            check(move |bytes| bytes[at] ^= 1, Err("before a whole one"));
        }
        check(|bytes| bytes.extend([0; 999]), Ok(5));
        // Whole, and not what this ledger's key signed after these entries.
        let forged = |entry: &str, by: &consilium_common::key::SecretKey| {
            let (dir, store) = journalled();
            let bytes = store.state().decide(refusal(entry), time(9)).expect("legal");
            let mut framed = Vec::new();
            tiles::push_entry(&mut framed, &bytes);
            let entries = store.entries_from(0, usize::MAX).expect("readable");
            let mut tree = Tree::of(&entries);
            tree.push(leaf_hash(&bytes));
            let (origin, size, root) = (store.state().origin(), tree.size(), tree.root());
            drop(dir);
            record(&framed, Checkpoint { origin, size, root }.sign(by).to_string().as_bytes())
        };
        let other = consilium_common::key::SecretKey::from_seed(&[8; 32]);
        let theirs = forged("five", &other);
        check(|bytes| bytes.extend(&theirs), Err("journal"));
        let ours = forged("five", &key());
        check(|bytes| bytes.extend(&ours), Ok(6));
        check(|bytes| *bytes = ours.clone(), Err("does not continue"));
    }

    #[test]
    fn all_or_none() {
        let (dir, mut store) = journalled();
        let before = (store.state().clone(), store.checkpoint().clone());
        let illegal = Body::Close { study: Digest::of(b"study"), reason: "finished".into() };
        let refused = store.append_quickly([refusal("five"), illegal], time(4));
        assert!(matches!(refused, Err(LedgerError::Illegal(_))), "{refused:?}");
        assert_eq!((store.state(), store.checkpoint()), (&before.0, &before.1));
        assert_eq!(store.append_quickly([refusal("five")], time(4)).expect("legal"), 5..6);
        drop(store);
        assert_eq!(open(dir.path()).expect("sound").state().size(), 6);
    }
}
