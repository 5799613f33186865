//! Appending: one entry, several at once, or one that waits for the next. However many, they cost one
//! write, one signature and one set of syncs.
//!
//! Order of a write: entries, fsync; new checkpoint beside the old, fsync; rename; fsync of the folder.
//! So a crash leaves all entries of a write, or none. [`super::journal`] writes them with one sync.

use super::{CLOCK_BACK_MAX_MS, LedgerError, LedgerStore, disk};
use consilium_common::key::SecretKey;
use consilium_common::ledger::checkpoint::Checkpoint;
use consilium_common::ledger::entry::Body;
use consilium_common::ledger::merkle::leaf_hash;
use consilium_common::ledger::{rules, tiles};
use consilium_common::time::Time;
use std::ops::Range;

/// So many entries may wait for the next write; the one after them is preceded by one.
pub const PENDING_MAX: usize = 1_024;

impl LedgerStore {
    /// Appends one entry. When this returns, the entry is on disk and under a signed checkpoint, and so
    /// is what was pending. On an error nothing was recorded, but for [`LedgerError::Stopped`] to follow
    /// where that is not known. Its time is `now` in whole seconds, or the last entry's if that is later.
    ///
    /// # Errors
    /// The entry would break a rule, the clock is far behind, or the disk says no.
    ///
    /// # Panics
    /// With a `key_change`, which is [`LedgerStore::change_key`]'s, or a `key_lost`: that is
    /// [`LedgerStore::take_over`]'s.
    pub fn append(&mut self, body: Body, now: Time) -> Result<u64, LedgerError> {
        assert!(
            !matches!(body, Body::KeyChange { .. } | Body::KeyLost { .. }),
            "a key changes by change_key or take_over, which have the new one"
        );
        self.append_signed_by(body, now, None)
    }

    /// As [`LedgerStore::append`]; the checkpoint is signed by `next`, or by the key in force.
    pub(super) fn append_signed_by(
        &mut self,
        body: Body,
        now: Time,
        next: Option<&SecretKey>,
    ) -> Result<u64, LedgerError> {
        let bytes = self.decide(body, now)?;
        self.write(Some(&bytes), next)?;
        Ok(self.apply(&bytes))
    }

    /// Appends several entries at once, in this order, for the price of one; their indices. As
    /// [`LedgerStore::append`]: all are on disk and signed, or none is recorded. Of no entries, it writes
    /// what is pending.
    ///
    /// # Errors
    /// As [`LedgerStore::append`], for the first entry that there may not be.
    pub fn append_all(
        &mut self,
        bodies: impl IntoIterator<Item = Body>,
        now: Time,
    ) -> Result<Range<u64>, LedgerError> {
        self.append_together(bodies, now, Self::flush)
    }

    /// Decides each on the state after the one before, then writes them all.
    pub(super) fn append_together(
        &mut self,
        bodies: impl IntoIterator<Item = Body>,
        now: Time,
        write: impl FnOnce(&mut Self) -> Result<(), LedgerError>,
    ) -> Result<Range<u64>, LedgerError> {
        let (first, waiting) = (self.state.size(), self.pending.len());
        let taken = bodies.into_iter().try_for_each(|body| self.take(body, now).map(|_| ()));
        match taken.and_then(|()| write(self)) {
            Ok(()) => Ok(first..self.state.size()),
            Err(error) => {
                self.forget_from(waiting);
                Err(error)
            }
        }
    }

    /// Decides an entry that goes to the disk with the next write: [`LedgerStore::append`],
    /// [`LedgerStore::append_all`] or [`LedgerStore::flush`]. It costs no IO. Until then it is in
    /// [`LedgerStore::state`], but under no checkpoint and in no copy for others, and a crash forgets it
    /// together with everything that was appended lazily after it.
    ///
    /// # Privacy
    /// For what may be forgotten only: a burn in such an entry would be un-burnt by a crash. Nothing is
    /// drawn, computed or sent on the strength of an entry before [`LedgerStore::is_signed`] says that it
    /// is on disk; the cosignature that releases wait for implies it.
    ///
    /// # Errors
    /// As [`LedgerStore::append`]; the disk is asked only where [`PENDING_MAX`] entries wait already.
    pub fn append_lazily(&mut self, body: Body, now: Time) -> Result<u64, LedgerError> {
        if self.pending.len() >= PENDING_MAX {
            self.flush()?;
        }
        self.take(body, now)
    }

    /// Writes what was appended lazily. On an error it stays pending.
    ///
    /// # Errors
    /// The disk says no.
    pub fn flush(&mut self) -> Result<(), LedgerError> {
        if self.pending.is_empty() { Ok(()) } else { self.write(None, None) }
    }

    /// Whether an entry is on disk, under a signed checkpoint.
    #[must_use]
    pub const fn is_signed(&self, index: u64) -> bool {
        index < self.signed_size()
    }

    /// Entries on disk under the signed checkpoint: all but what is pending.
    #[must_use]
    pub const fn signed_size(&self) -> u64 {
        self.checkpoint.checkpoint.size
    }

    fn take(&mut self, body: Body, now: Time) -> Result<u64, LedgerError> {
        let bytes = self.decide(body, now)?;
        let index = self.apply(&bytes);
        self.pending.push(bytes);
        Ok(index)
    }

    fn decide(&self, body: Body, now: Time) -> Result<Vec<u8>, LedgerError> {
        self.check_not_stopped()?;
        let now = self.not_before_the_last_entry(now)?;
        Ok(self.state.decide(body, now)?)
    }

    fn apply(&mut self, bytes: &[u8]) -> u64 {
        let index = self.state.size();
        self.state.apply(bytes).expect("the entry was decided on this state");
        index
    }

    /// What is pending and `last`, in one write under one checkpoint, signed by `next` or the key in force.
    fn write(&mut self, last: Option<&[u8]>, next: Option<&SecretKey>) -> Result<(), LedgerError> {
        self.check_not_stopped()?;
        self.check_sole_writer()?;
        let (mut framed, mut starts) = (Vec::new(), Vec::new());
        for entry in self.pending.iter().map(Vec::as_slice).chain(last) {
            starts.push(self.length + framed.len() as u64);
            tiles::push_entry(&mut framed, entry);
        }
        if let Err(error) = disk::write_at(&mut *self.entries, self.length, &framed) {
            self.roll_back();
            return Err(disk::io(&self.dir.join("entries"), "writing an entry")(error));
        }
        for entry in self.pending.iter().map(Vec::as_slice).chain(last) {
            self.tree.push(leaf_hash(entry));
        }
        let (origin, size, root) = (self.state.origin(), self.tree.size(), self.tree.root());
        let note = Checkpoint { origin, size, root }.sign(next.unwrap_or(&self.key));
        match disk::replace(&*self.disk, &self.dir, "checkpoint", note.to_string().as_bytes()) {
            Ok(()) => {}
            Err(disk::Replace::NotDone(error)) => {
                self.roll_back();
                return Err(error);
            }
            Err(disk::Replace::Unknown(error)) => {
                // The new checkpoint may or may not survive a crash; either is consistent.
                self.tree.truncate(self.signed_size());
                self.stopped = Some(error.to_string());
                return Err(error);
            }
        }
        self.pending.clear();
        self.starts.extend(starts);
        self.length += framed.len() as u64;
        self.filed = note.clone();
        self.checkpoint = note;
        self.journal.restart();
        Ok(())
    }

    pub(super) fn check_not_stopped(&self) -> Result<(), LedgerError> {
        self.stopped.as_ref().map_or(Ok(()), |why| Err(LedgerError::Stopped { why: why.clone() }))
    }

    /// Clocks are stepped back by a little now and then; an entry is never before the last. Whole
    /// seconds, since others read the ledger: an entry's time is not to tell how long this machine
    /// took for what came before it.
    pub(super) fn not_before_the_last_entry(&self, now: Time) -> Result<Time, LedgerError> {
        entry_time(now, self.state.time())
    }

    /// The fence behind the lock: what lies there must be what this process signed last. Locks do not
    /// reach over every network file system, and a copy may be put in place under a running agent.
    pub(super) fn check_sole_writer(&mut self) -> Result<(), LedgerError> {
        let there = disk::read(&self.dir, "checkpoint")?;
        if there.as_deref() == Some(self.filed.to_string().as_bytes()) {
            return Ok(());
        }
        let why = format!("{}: another process wrote to this ledger, or it was replaced", self.dir.display());
        self.stopped = Some(why.clone());
        Err(LedgerError::Stopped { why })
    }

    /// Back to what is signed; where even that fails, nothing more is written.
    fn roll_back(&mut self) {
        self.tree.truncate(self.signed_size());
        if let Err(error) = disk::cut(&mut *self.entries, self.length) {
            self.stopped = Some(format!("an unsigned entry could not be taken back: {error}"));
        }
    }

    /// Takes back what is pending from the entry of that place on. States have no way back: this one is
    /// made again, from what is signed and what stays pending. Where it cannot be, nothing more is
    /// written.
    fn forget_from(&mut self, waiting: usize) {
        if self.pending.len() == waiting {
            return;
        }
        self.pending.truncate(waiting);
        let entries = self.entries_from(0, usize::MAX).and_then(|mut entries| {
            entries.extend_from_slice(&self.pending);
            Ok(rules::replay(entries)?)
        });
        match entries {
            Ok(state) => self.state = state,
            Err(error) => {
                self.stopped.get_or_insert(format!("entries could not be taken back: {error}"));
            }
        }
    }
}

/// The time of an entry that is written `now`, after one of `last`.
pub(super) fn entry_time(now: Time, last: Time) -> Result<Time, LedgerError> {
    if last.unix_ms() - now.unix_ms() > CLOCK_BACK_MAX_MS {
        return Err(LedgerError::Clock { now, last });
    }
    Ok(now.whole_second().max(last))
}
