//! The frozen cohort: a study's examples are extracted once, kept in the agent's home, encrypted and dated, and used from
//! there, over restarts, until they expire or the study ends.
//!
//! ```text
//! 4        length of what follows
//! …        about: JSON, the study, the split key's fingerprint, dates, the source's release, what was asked of it
//! …        everybody's examples and ids (`rows`)
//! 32       SHA-256 of the examples and ids
//! ```
//! and around it `sealed`. A file that is not of this study, this split key and this home, that was changed, cut off or has
//! expired, is never used: it is an error that says which, and the agent extracts again.
//!
//! Whoever is on an opt-out list is passed over while reading, so that the lists work without the source, and their
//! examples are in no round's memory. They are still in the file, as they are in the source, until it is extracted again.

mod release;
mod rows;
mod sealed;
#[cfg(test)]
mod tests;
mod version;

pub use release::{Origin, queries_of_table, source_release};
pub use version::{Contents, commit};

use crate::data::Loaded;
use crate::disk::{Disk, DiskFile};
use consilium_common::id::{Digest, Hasher, StudyId};
use consilium_common::study::Study;
use consilium_common::time::Time;
use sealed::{Opener, Sealer};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Longest description of a snapshot, bytes: queries of all tables may name thousands of concepts each.
const ABOUT_BYTES_MAX: usize = 16 * 1024 * 1024;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const SCHEMA: &str = "snapshot/4";

/// What a snapshot is of. For the site's own screen: the source's release tells of data.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// `snapshot/4`.
    schema: String,
    /// Of the study file's exact bytes.
    pub study: Digest,
    /// The study's stable name.
    pub study_id: StudyId,
    /// Of what this site's answer to the study's bindings puts in force.
    answer: Digest,
    /// Fingerprint of the key that decided who trains.
    pub split: String,
    /// When it was extracted.
    pub taken: Time,
    /// Not used from here on.
    pub expires: Time,
    /// See [`Origin`].
    pub source: Vec<String>,
    /// See [`Origin`].
    pub queries: Vec<String>,
}

impl About {
    /// Of a study's examples that are extracted now and used for so many days.
    #[must_use]
    pub fn new(study: &Study, split: String, now: Time, days: u16, origin: Origin) -> Self {
        let Origin { source, queries } = origin;
        Self {
            schema: SCHEMA.to_owned(),
            study: study.digest,
            study_id: study.id.clone(),
            answer: answer(study),
            split,
            taken: now,
            expires: now.plus_ms(u64::from(days) * DAY_MS),
            source,
            queries,
        }
    }

    /// Until when it is used under a policy of so many days: a policy that was tightened since counts at once.
    #[must_use]
    pub fn until(&self, days: u16) -> Time {
        self.expires.min(self.taken.plus_ms(u64::from(days) * DAY_MS))
    }
}

/// What a snapshot must be of to be used.
pub struct Wanted<'a> {
    /// The study.
    pub study: &'a Study,
    /// The split key's fingerprint.
    pub split: &'a str,
    /// Now.
    pub now: Time,
    /// Days that the policy gives.
    pub days: u16,
}

/// How many people of a role; stays at the site.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct People {
    /// In the snapshot.
    pub frozen: u64,
    /// Of those, on a list of people who opted out.
    pub left_out: u64,
}

/// A snapshot as it was read back.
pub struct Thawed {
    /// What it is of.
    pub about: About,
    /// Everybody who is not left out.
    pub loaded: Loaded,
    /// SHA-256 of all examples and ids in it.
    pub cohort: Digest,
    /// Training people, and evaluation people.
    pub people: [People; 2],
}

/// Why a snapshot is not used. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSnapshot {
    /// There is none.
    #[error("{0}: no frozen examples yet")]
    Absent(PathBuf),
    /// It cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Changed, cut off, or sealed under another key.
    #[error("{0}: the frozen examples were changed, cut off, or sealed under another home's key")]
    Damaged(PathBuf),
    /// Sound, and not of what is wanted.
    #[error("{path}: the frozen examples are of {what}")]
    Other {
        /// Which.
        path: PathBuf,
        /// Of what.
        what: &'static str,
    },
    /// Too old.
    #[error("{path}: the frozen examples expired at {at}")]
    Expired {
        /// Which.
        path: PathBuf,
        /// When.
        at: Time,
    },
}

/// Writes a snapshot in the place of one that is there: after a crash there is the old one or the new one, whole. `salt` is
/// fresh, and used for this file alone. Durable on return.
///
/// # Privacy
/// The file holds every person's examples and id, encrypted under a key that is in the same home: it protects copies and
/// backups of the file, and not against whoever can read the home.
///
/// # Errors
/// The disk.
///
/// # Panics
/// Never: an [`About`] is plain data.
pub fn freeze(
    disk: &dyn Disk,
    path: &Path,
    key: &[u8; 32],
    salt: &[u8; 32],
    about: &About,
    loaded: &Loaded,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = beside(path);
    let written = (|| {
        let file = At { file: disk.create(&beside)?, at: 0 };
        let mut sealer = Sealer::new(file, key, salt)?;
        let about = serde_json::to_vec(about).expect("plain data");
        if about.len() > ABOUT_BYTES_MAX {
            // Whoever reads it back would take it for damaged.
            return Err(io::Error::other(format!(
                "what is said of the examples is longer than {ABOUT_BYTES_MAX} bytes"
            )));
        }
        sealer.write_all(&u32::try_from(about.len()).map_err(io::Error::other)?.to_le_bytes())?;
        sealer.write_all(&about)?;
        let mut hashing = Hashing { inner: sealer, hasher: Hasher::default() };
        rows::write(&mut hashing, loaded)?;
        let Hashing { inner: mut sealer, hasher } = hashing;
        sealer.write_all(hasher.digest().as_bytes())?;
        sealer.finish()?.file.sync()?;
        disk.rename(&beside, path)?;
        disk.sync_folder(folder)
    })();
    if written.is_err() {
        // The half-written file beside is of no use; the error that matters is the first.
        drop(disk.remove(&beside));
    }
    written
}

/// Reads a snapshot back, without those who are `left_out`.
///
/// # Privacy
/// Whether it is used depends on its date, on its being whole, and on whose it is, never on what is in it.
///
/// # Errors
/// It is not what is wanted, or not whole: nothing of it is used then.
pub fn thaw(
    path: &Path,
    key: &[u8; 32],
    wanted: &Wanted<'_>,
    left_out: impl Fn(&str) -> bool,
) -> Result<Thawed, InvalidSnapshot> {
    let (about, opener) = open(path, key)?;
    wanted.check(path, &about)?;
    let broken = |error| broken(path, error);
    let mut hashing = Hashing { inner: opener, hasher: Hasher::default() };
    let width = wanted.study.architecture().inputs;
    let (loaded, people) = rows::read(&mut hashing, width, left_out).map_err(broken)?;
    let Hashing { inner: opener, hasher } = hashing;
    let cohort = hasher.digest();
    end(opener, &cohort).map_err(broken)?;
    Ok(Thawed { about, loaded, cohort, people })
}

/// What a snapshot says of itself, if it is of what is wanted. Only its beginning is read.
///
/// # Errors
/// It is not what is wanted, or cannot be read.
pub fn check(path: &Path, key: &[u8; 32], wanted: &Wanted<'_>) -> Result<About, InvalidSnapshot> {
    let (about, _) = open(path, key)?;
    wanted.check(path, &about)?;
    Ok(about)
}

/// What a snapshot says of itself, whether it is of any use or not. Only its beginning is read.
///
/// # Errors
/// It cannot be read, or is damaged.
pub fn about(path: &Path, key: &[u8; 32]) -> Result<About, InvalidSnapshot> {
    Ok(open(path, key)?.0)
}

/// Removes a snapshot, and what a crash left beside it; durably. Whether there was one.
///
/// # Errors
/// The disk.
pub fn remove(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let mut removed = false;
    for path in [beside(path), path.to_owned()] {
        // Looked for first, so that a study without one costs the disk nothing.
        if path.try_exists()? {
            disk.remove(&path)?;
            removed = true;
        }
    }
    if removed {
        disk.sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(removed)
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

impl Wanted<'_> {
    fn check(&self, path: &Path, about: &About) -> Result<(), InvalidSnapshot> {
        let other = |what| Err(InvalidSnapshot::Other { path: path.to_owned(), what });
        if about.schema != SCHEMA {
            return other("another version of this program");
        }
        if about.study != self.study.digest {
            return other("another study");
        }
        if about.answer != answer(self.study) {
            return other("another answer to the study's bindings");
        }
        if about.split != self.split {
            return other("another split key: people had other roles");
        }
        let at = about.until(self.days);
        // A date to come is of a clock that was wrong: how old it is, nobody knows.
        if self.now >= at || self.now < about.taken {
            return Err(InvalidSnapshot::Expired { path: path.to_owned(), at });
        }
        Ok(())
    }
}

/// What holds of each binding, as this program writes it down: an answer that means the same gives the same.
fn answer(study: &Study) -> Digest {
    let in_force = study.bindings().iter().map(|binding| (&binding.name, &binding.in_force));
    Digest::of(format!("{:?}", in_force.collect::<Vec<_>>()).as_bytes())
}

fn open(path: &Path, key: &[u8; 32]) -> Result<(About, Opener<BufReader<File>>), InvalidSnapshot> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => InvalidSnapshot::Absent(path.to_owned()),
        _ => InvalidSnapshot::Unreadable { path: path.to_owned(), error },
    })?;
    let broken = |error| broken(path, error);
    let mut opener = Opener::new(BufReader::new(file), key).map_err(broken)?;
    let mut length = [0; 4];
    opener.read_exact(&mut length).map_err(broken)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > ABOUT_BYTES_MAX {
        return Err(InvalidSnapshot::Damaged(path.to_owned()));
    }
    let mut about = vec![0; length];
    opener.read_exact(&mut about).map_err(broken)?;
    let about = serde_json::from_slice(&about).map_err(|_| InvalidSnapshot::Damaged(path.to_owned()))?;
    Ok((about, opener))
}

/// The digest that was written behind the examples, and nothing after it.
fn end(mut opener: impl Read, cohort: &Digest) -> io::Result<()> {
    let mut rest = Vec::new();
    opener.read_to_end(&mut rest)?;
    if rest == cohort.as_bytes() { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn broken(path: &Path, error: io::Error) -> InvalidSnapshot {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => InvalidSnapshot::Damaged(path),
        _ => InvalidSnapshot::Unreadable { path, error },
    }
}

/// A file of the disk's, written one piece behind the other.
struct At {
    file: Box<dyn DiskFile>,
    at: u64,
}

impl Write for At {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what goes through.
struct Hashing<T> {
    inner: T,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let given = self.inner.read(out)?;
        self.hasher.update(&out[..given]);
        Ok(given)
    }
}
