//! A list's file.

use super::{LIST_ROWS_MAX, Token, token};
use crate::data::lines::{Line, Lines};
use crate::policy::{Kept, OptOutList};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const IDS: &str = "person_id";
const HASHES: &str = "person_sha256";

/// Why a list cannot be used. Names file and row, never a cell.
#[derive(Debug, thiserror::Error)]
pub enum InvalidList {
    /// It is not there, or cannot be read.
    #[error("opt-out list {list}: {path}: {error}")]
    Unreadable {
        /// The list's name.
        list: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Neither column, both, or one of them twice.
    #[error(
        "opt-out list {list}: {path}: expected a header with one column {IDS} or one column {HASHES}, separated by commas"
    )]
    Header {
        /// The list's name.
        list: String,
        /// Its file.
        path: PathBuf,
    },
    /// Hashes under a salt were promised, or none were.
    #[error(
        "opt-out list {list}: {path} holds ids, and site-policy.toml gives a salt for it; remove the salt"
    )]
    Salted {
        /// The list's name.
        list: String,
        /// Its file.
        path: PathBuf,
    },
    /// A row names nobody.
    #[error("opt-out list {list}: {path}: row {row}: expected {expected}")]
    Row {
        /// The list's name.
        list: String,
        /// Its file.
        path: PathBuf,
        /// From 1 on, the header included.
        row: u64,
        /// What should be there.
        expected: &'static str,
    },
    /// More than [`LIST_ROWS_MAX`] rows.
    #[error("opt-out list {list}: {path}: expected at most {LIST_ROWS_MAX} rows")]
    TooLong {
        /// The list's name.
        list: String,
        /// Its file.
        path: PathBuf,
    },
}

/// What tells a file that was changed or replaced, without reading it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// On Unix: device, inode, and when the inode changed.
    inode: [i64; 4],
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = {
            use std::os::unix::fs::MetadataExt as _;
            [file.dev().cast_signed(), file.ino().cast_signed(), file.ctime(), file.ctime_nsec()]
        };
        #[cfg(not(unix))]
        let inode = [0; 4];
        Self { length: file.len(), modified: file.modified().ok(), inode }
    }
}

/// Everybody on a list.
pub(super) struct People {
    /// In order, each once.
    pub(super) members: Vec<Token>,
    /// The first row with an id that is no whole number; none of a list of hashes.
    pub(super) no_number: Option<u64>,
}

/// That an id of a list is nobody's in data that tell people apart by numbers.
pub(super) fn no_number(of: &OptOutList, row: u64) -> InvalidList {
    let path = match &of.kept {
        Kept::File { path, .. } => path.clone(),
        Kept::Nobody => unreachable!("a list of nobody has no row"),
    };
    let expected = "a whole number without leading zeros, as person_id of OMOP tables is; nobody has another id, so that whoever is \
                    meant would not be left out";
    InvalidList::Row { list: of.name.clone(), path, row, expected }
}

/// Whether an id is written as records hold it.
fn is_number(id: &str) -> bool {
    id.parse::<i64>().is_ok_and(|number| number.to_string() == id)
}

/// A list's file, opened.
pub(super) struct Open<'a> {
    list: &'a str,
    path: &'a Path,
    file: File,
}

/// Opens a list's file; the stamp is of this very file, whatever stands under its name later.
pub(super) fn open<'a>(list: &'a str, path: &'a Path) -> Result<(Stamp, Open<'a>), InvalidList> {
    let unreadable = |error| InvalidList::Unreadable { list: list.to_owned(), path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("expected a file")));
    }
    Ok((Stamp::of(&metadata), Open { list, path, file }))
}

impl Open<'_> {
    /// Everybody on it.
    pub(super) fn read(&self, salt: &str) -> Result<People, InvalidList> {
        let (list, path) = (self.list.to_owned(), self.path.to_owned());
        let unreadable = |error| InvalidList::Unreadable { list: list.clone(), path: path.clone(), error };
        let row_is = |row, expected| {
            let (list, path) = (list.clone(), path.clone());
            InvalidList::Row { list, path, row, expected }
        };
        let mut lines = Lines::new(&self.file);
        let (at, hashed) = match lines.next().map_err(unreadable)? {
            Some((_, Line::Cells(cells))) => column(cells.iter()),
            Some((_, Line::TooLong)) | None => None,
        }
        .ok_or_else(|| InvalidList::Header { list: list.clone(), path: path.clone() })?;
        if !hashed && !salt.is_empty() {
            return Err(InvalidList::Salted { list, path });
        }
        let (mut members, mut no_number) = (Vec::new(), None);
        while let Some((row, line)) = lines.next().map_err(unreadable)? {
            if members.len() == LIST_ROWS_MAX {
                return Err(InvalidList::TooLong { list, path });
            }
            let Line::Cells(cells) = line else { return Err(row_is(row, "a shorter line")) };
            let cell = cells.get(at).and_then(|cell| std::str::from_utf8(cell).ok()).map(str::trim);
            let cell = cell
                .filter(|cell| !cell.is_empty())
                .ok_or_else(|| row_is(row, "an id or a hash, as UTF-8"))?;
            members.push(if hashed {
                let mut hash = Token::default();
                hex::decode_to_slice(cell, &mut hash).map_err(|_| row_is(row, "64 hex digits"))?;
                hash
            } else {
                if no_number.is_none() && !is_number(cell) {
                    no_number = Some(row);
                }
                token("", cell)
            });
        }
        members.sort_unstable();
        members.dedup();
        Ok(People { members, no_number })
    }
}

/// Where the one column stands, and whether it holds hashes.
fn column<'c>(header: impl Iterator<Item = &'c [u8]>) -> Option<(usize, bool)> {
    let mut found = None;
    for (at, cell) in header.enumerate() {
        let cell = std::str::from_utf8(cell).ok()?;
        // Spreadsheets write a byte order mark before the first name.
        let name = cell.trim_start_matches('\u{feff}').trim();
        if name == IDS || name == HASHES {
            if found.is_some() {
                return None;
            }
            found = Some((at, name == HASHES));
        }
    }
    found
}
