//! What the coordinator keeps: an event log in SQLite (state is a fold, a restart is a replay), the
//! witness register, and blobs as files named by their digest.
//!
//! Invariant: whatever an event names by digest is durable before the event is.

mod blobs;

pub(crate) use blobs::other_bytes;
pub use blobs::{Blobs, Incoming};
use consilium_common::id::{Digest, SiteName};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// Larger blobs are files of their own, bytes.
const SMALL_BLOB_BYTES_MAX: usize = 256 * 1024;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no: disk full, locked, damaged.
    #[error("event log: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Our own bytes are not what we wrote.
    #[error("corrupt store: {0}")]
    Corrupt(String),
    /// Somebody else appended to the stream meanwhile.
    #[error("stream {stream}: expected version {expected}, found {found}")]
    Conflict {
        /// Which stream.
        stream: String,
        /// What the caller believed.
        expected: u64,
        /// What is there.
        found: u64,
    },
}

/// Names the file in an IO error.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    move |error| StoreError::Io { path: path.to_owned(), error }
}

/// The newest checkpoint of a site's ledger that was cosigned here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Entries under it.
    pub size: u64,
    /// Its root.
    pub root: Digest,
    /// The signed note with our cosignature, exact text.
    pub note: String,
}

/// The store of one coordinator.
pub struct Store {
    database: Connection,
    blobs: Blobs,
}

impl Store {
    /// Opens or makes the store in `folder`.
    ///
    /// # Errors
    /// The folder cannot be written, or the database is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let blobs = Blobs::open(folder.join("blobs"))?;
        let database = Connection::open(folder.join("events.db"))?;
        database.busy_timeout(std::time::Duration::from_secs(5))?;
        database.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS event (
                 stream TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
                 PRIMARY KEY (stream, version)) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS witness (
                 site TEXT PRIMARY KEY, size INTEGER NOT NULL, root TEXT NOT NULL, note TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS small_blob (
                 digest TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS ledger_entry (
                 site TEXT NOT NULL, at INTEGER NOT NULL, entry BLOB NOT NULL,
                 PRIMARY KEY (site, at)) WITHOUT ROWID;",
        )?;
        Ok(Self { database, blobs })
    }

    /// Appends events to a stream whose version (number of events) the caller knows; all or none.
    ///
    /// # Errors
    /// Another version, or the disk.
    pub fn append<E: Serialize>(
        &mut self,
        stream: &str,
        expected_version: u64,
        events: &[E],
    ) -> Result<(), StoreError> {
        self.append_with(stream, expected_version, events, &[])
    }

    /// As [`Store::append`], with the blobs that the events name: small ones become durable in the same
    /// transaction, which costs one flush of the disk instead of two for each file.
    ///
    /// # Errors
    /// Another version, or the disk.
    pub fn append_with<E: Serialize>(
        &mut self,
        stream: &str,
        expected_version: u64,
        events: &[E],
        blobs: &[(Digest, &[u8])],
    ) -> Result<(), StoreError> {
        for (_, bytes) in blobs.iter().filter(|(_, bytes)| bytes.len() > SMALL_BLOB_BYTES_MAX) {
            self.blobs.put(bytes)?;
        }
        let transaction = self.database.transaction()?;
        let found = transaction.query_row(
            "SELECT COALESCE(MAX(version), 0) FROM event WHERE stream = ?1",
            [stream],
            |row| row.get::<_, i64>(0),
        )?;
        let found = found.cast_unsigned();
        if found != expected_version {
            return Err(StoreError::Conflict {
                stream: stream.to_owned(),
                expected: expected_version,
                found,
            });
        }
        for (version, event) in (expected_version + 1..).zip(events) {
            let body = serde_json::to_string(event).expect("an event is plain data");
            transaction.execute(
                "INSERT INTO event (stream, version, body) VALUES (?1, ?2, ?3)",
                params![stream, version.cast_signed(), body],
            )?;
        }
        for (digest, bytes) in blobs.iter().filter(|(_, bytes)| bytes.len() <= SMALL_BLOB_BYTES_MAX) {
            transaction.execute(
                "INSERT INTO small_blob (digest, bytes) VALUES (?1, ?2) ON CONFLICT (digest) DO NOTHING",
                params![digest.hex(), bytes],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The bytes of a blob, wherever it is kept, checked against its digest.
    ///
    /// # Errors
    /// The disk, or bytes that are not what was written.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let kept: Option<Vec<u8>> = self
            .database
            .prepare_cached("SELECT bytes FROM small_blob WHERE digest = ?1")?
            .query_row([digest.hex()], |row| row.get(0))
            .optional()?;
        match kept {
            Some(bytes) if Digest::of(&bytes) == *digest => Ok(bytes),
            Some(_) => Err(other_bytes(digest)),
            None => self.blobs.get(digest),
        }
    }

    /// Every event of a stream, oldest first.
    ///
    /// # Errors
    /// The disk, or an event that does not parse.
    pub fn read<E: DeserializeOwned>(&self, stream: &str) -> Result<Vec<E>, StoreError> {
        self.read_after(stream, 0)
    }

    /// The events of a stream after its first `version`, oldest first.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_after<E: DeserializeOwned>(&self, stream: &str, version: u64) -> Result<Vec<E>, StoreError> {
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        let mut statement = self
            .database
            .prepare_cached("SELECT body FROM event WHERE stream = ?1 AND version > ?2 ORDER BY version")?;
        let bodies = statement.query_map(params![stream, version], |row| row.get::<_, String>(0))?;
        bodies
            .map(|body| {
                serde_json::from_str(&body?).map_err(|e| StoreError::Corrupt(format!("stream {stream}: {e}")))
            })
            .collect()
    }

    /// Every stream whose name starts with `prefix`.
    ///
    /// # Errors
    /// The disk.
    pub fn streams(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut statement = self
            .database
            .prepare("SELECT DISTINCT stream FROM event WHERE substr(stream, 1, ?2) = ?1 ORDER BY stream")?;
        let names = statement.query_map(
            params![prefix, i64::try_from(prefix.chars().count()).expect("a short name")],
            |row| row.get(0),
        )?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// What was cosigned last for a site.
    ///
    /// # Errors
    /// The disk, or a register that does not parse.
    pub fn witnessed(&self, site: &SiteName) -> Result<Option<Witnessed>, StoreError> {
        let row = self
            .database
            .query_row("SELECT size, root, note FROM witness WHERE site = ?1", [site.as_str()], |row| {
                Ok((
                    row.get::<_, i64>(0)?.cast_unsigned(),
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                ))
            })
            .optional()?;
        row.map(|(size, root, note)| {
            let root = root.parse().map_err(|e| StoreError::Corrupt(format!("witness of {site}: {e}")))?;
            Ok(Witnessed { size, root, note })
        })
        .transpose()
    }

    /// Remembers what was cosigned, and a copy of the entries from index `from` on, durably, before
    /// the cosignature is given out.
    ///
    /// # Errors
    /// The disk.
    pub fn witness(
        &mut self,
        site: &SiteName,
        new: &Witnessed,
        from: u64,
        entries: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let transaction = self.database.transaction()?;
        transaction.execute(
            "INSERT INTO witness (site, size, root, note) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (site) DO UPDATE SET size = ?2, root = ?3, note = ?4",
            params![site.as_str(), new.size.cast_signed(), new.root.to_string(), new.note],
        )?;
        for (at, entry) in (from..).zip(entries) {
            transaction.execute(
                "INSERT INTO ledger_entry (site, at, entry) VALUES (?1, ?2, ?3)",
                params![site.as_str(), at.cast_signed(), entry],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The copy of a site's ledger entries, in order.
    ///
    /// # Errors
    /// The disk, or a copy with a gap.
    pub fn ledger_entries(&self, site: &SiteName) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut statement =
            self.database.prepare_cached("SELECT at, entry FROM ledger_entry WHERE site = ?1 ORDER BY at")?;
        let rows = statement.query_map([site.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Vec<u8>>(1)?))
        })?;
        let mut entries = Vec::new();
        for row in rows {
            let (at, entry) = row?;
            if at != entries.len() as u64 {
                return Err(StoreError::Corrupt(format!(
                    "ledger of {site}: entry {} is missing",
                    entries.len()
                )));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Where blobs are, for streaming them.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        self.blobs.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_are_ordered_and_survive_reopening() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(folder.path()).expect("opens");
        store.append("s/1", 0, &["a", "b"]).expect("appends");
        store.append("s/1", 2, &["c"]).expect("appends");
        assert!(matches!(store.append("s/1", 2, &["d"]), Err(StoreError::Conflict { found: 3, .. })));
        drop(store);
        let store = Store::open(folder.path()).expect("opens");
        assert_eq!(store.read::<String>("s/1").expect("reads"), ["a", "b", "c"]);
        assert_eq!(store.read_after::<String>("s/1", 2).expect("reads"), ["c"]);
        assert_eq!(store.read_after::<String>("s/1", u64::MAX).expect("reads"), Vec::<String>::new());
        assert_eq!(store.streams("s/").expect("reads"), ["s/1"]);
        assert_eq!(store.read::<String>("s/2").expect("reads"), Vec::<String>::new());
    }

    #[test]
    fn blobs_come_with_their_events_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Store::open(folder.path()).expect("opens");
        let (small, large) = (vec![1; 10], vec![2; SMALL_BLOB_BYTES_MAX + 1]);
        let named = [(Digest::of(&small), &small[..]), (Digest::of(&large), &large[..])];
        store.append_with("s/1", 0, &["a"], &named).expect("appends");
        // The same bytes again are no conflict.
        store.append_with("s/1", 1, &["b"], &named).expect("appends");
        drop(store);
        let mut store = Store::open(folder.path()).expect("opens");
        for (digest, bytes) in named {
            assert_eq!(store.blob(&digest).expect("reads"), bytes);
        }
        let other = vec![3; 10];
        let named = [(Digest::of(&other), &other[..])];
        store.append_with("s/1", 1, &["c"], &named).expect_err("another version");
        store.blob(&named[0].0).expect_err("not kept without its event");
        let bend = "UPDATE small_blob SET bytes = x'00'";
        store.database.execute(bend, []).expect("updates");
        assert!(matches!(store.blob(&Digest::of(&small)), Err(StoreError::Corrupt(_))));
    }
}
