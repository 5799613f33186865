//! People who said no: the lists that `site-policy.toml` names, read again when they change, and asked for each person
//! whose examples a round would use.
//!
//! A list is a CSV file with a header that has one of two columns; others are passed over:
//!
//! | column | a cell holds |
//! |---|---|
//! | `person_id` | the id as the table holds it (of OMOP tables and MEDS: the number, without leading zeros), spaces around it cut off |
//! | `person_sha256` | 64 hex digits: SHA-256 of the policy's `salt` for this list and then of that id, both as UTF-8 |
//!
//! Invariants: a list that cannot be read whole leaves nobody in: it is an error, and no round; so is one with an id that nobody
//! in such data can have, since whoever was meant would be left in. An id of a list is in no error, log or `Debug`, and kept as
//! a hash only.

mod file;
#[cfg(test)]
mod tests;

pub use file::InvalidList;

use super::extract::are_records;
use crate::policy::{Kept, OptOutList};
use consilium_common::id::{Digest, Hasher};
use consilium_common::study::{Data, Study};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most rows of a list.
pub const LIST_ROWS_MAX: usize = 20_000_000;
/// A list is read again after this however little its file seems to have changed: clocks of file systems are coarse.
const READ_AGAIN: Duration = Duration::from_secs(600);

/// How data tell people apart: which ids can be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdForm {
    /// By any text: a plain table.
    Text,
    /// By a whole number, written without leading zeros: OMOP's `person_id` and the `subject_id` of MEDS.
    Number,
}

impl IdForm {
    /// Of the data that a study reads.
    #[must_use]
    pub const fn of(study: &Study) -> Self {
        match study.data {
            Data::Table(_) => Self::Text,
            Data::Records(_) => Self::Number,
        }
    }

    /// Of a site's data, where there are any: no table is opened.
    #[must_use]
    pub fn at(data: Option<&Path>) -> Self {
        if data.is_some_and(are_records) { Self::Number } else { Self::Text }
    }
}

/// SHA-256 of a salt and an id.
type Token = [u8; 32];

/// The lists as they were read last. Reading them again costs a look at each file where nothing changed.
#[derive(Clone)]
pub struct OptOuts {
    read: Vec<Read>,
    /// Of `read`.
    lists: Lists,
}

impl Default for OptOuts {
    fn default() -> Self {
        Self { read: Vec::new(), lists: Lists::new(Vec::new()) }
    }
}

#[derive(Clone)]
struct Read {
    of: OptOutList,
    stamp: Option<file::Stamp>,
    at: Instant,
    list: Arc<List>,
}

/// One list's people.
struct List {
    name: String,
    salt: String,
    /// In order, each once.
    members: Vec<Token>,
    /// The first row with an id that is no whole number.
    no_number: Option<u64>,
}

/// The lists at one moment.
#[derive(Clone)]
pub struct Lists {
    lists: Vec<Arc<List>>,
    digest: Digest,
}

impl OptOuts {
    /// Reads what the policy names and what changed since the last time, for data that tell people apart so. On an error
    /// nothing has changed.
    ///
    /// # Errors
    /// A list cannot be read whole, or has an id that nobody in such data can have (of hashes that cannot be told); no list after
    /// it was looked at.
    pub fn refresh(&mut self, wanted: &[OptOutList], ids: IdForm, now: Instant) -> Result<(), InvalidList> {
        let mut read = Vec::with_capacity(wanted.len());
        for of in wanted {
            let before = self.read.iter().find(|read| read.of == *of);
            let this = again(of, before, now)?;
            if let Some(row) = this.list.no_number.filter(|_| ids == IdForm::Number) {
                return Err(file::no_number(of, row));
            }
            read.push(this);
        }
        let same = |(now, before): (&Read, &Arc<List>)| Arc::ptr_eq(&now.list, before);
        if read.len() != self.lists.lists.len() || !read.iter().zip(&self.lists.lists).all(same) {
            self.lists = Lists::new(read.iter().map(|read| Arc::clone(&read.list)).collect());
        }
        self.read = read;
        Ok(())
    }

    /// Whether these are the lists that a policy names, each read.
    #[must_use]
    pub fn are_of(&self, wanted: &[OptOutList]) -> bool {
        self.read.iter().map(|read| &read.of).eq(wanted)
    }

    /// As they were read last.
    #[must_use]
    pub fn lists(&self) -> Lists {
        self.lists.clone()
    }
}

/// One list: what was read before where its file is the same.
fn again(of: &OptOutList, before: Option<&Read>, now: Instant) -> Result<Read, InvalidList> {
    let (stamp, list) = match &of.kept {
        Kept::Nobody => {
            if let Some(before) = before {
                return Ok(before.clone());
            }
            let (name, salt) = (of.name.clone(), String::new());
            (None, Arc::new(List { name, salt, members: Vec::new(), no_number: None }))
        }
        Kept::File { path, salt } => {
            let (stamp, open) = file::open(&of.name, path)?;
            let same = before.filter(|before| {
                before.stamp.as_ref() == Some(&stamp) && now.duration_since(before.at) < READ_AGAIN
            });
            if let Some(before) = same {
                return Ok(before.clone());
            }
            let file::People { members, no_number } = open.read(salt)?;
            let (name, salt) = (of.name.clone(), salt.clone());
            (Some(stamp), Arc::new(List { name, salt, members, no_number }))
        }
    };
    Ok(Read { of: of.clone(), stamp, at: now, list })
}

impl Lists {
    fn new(lists: Vec<Arc<List>>) -> Self {
        let mut hasher = Hasher::default();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for list in &lists {
            part(list.name.as_bytes());
            part(list.salt.as_bytes());
            part(list.members.as_flattened());
        }
        Self { lists, digest: hasher.digest() }
    }

    /// Whether a person is on any list.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.lists.iter().any(|list| list.contains(id))
    }

    /// Of all lists: their names, salts and who is on them. Equal where the same people are left out for the same reasons.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// For the hospital's own screen: each list's name, how many people are on it, and how many of `ids` are.
    #[must_use]
    pub fn counts<'a>(&self, ids: impl Iterator<Item = &'a str> + Clone) -> Vec<(String, u64, u64)> {
        let count = |list: &Arc<List>| {
            let among = ids.clone().filter(|id| list.contains(id)).count();
            (list.name.clone(), list.members.len() as u64, among as u64)
        };
        self.lists.iter().map(count).collect()
    }
}

impl List {
    fn contains(&self, id: &str) -> bool {
        !self.members.is_empty() && self.members.binary_search(&token(&self.salt, id.trim())).is_ok()
    }
}

fn token(salt: &str, id: &str) -> Token {
    Sha256::new().chain_update(salt).chain_update(id).finalize().into()
}
