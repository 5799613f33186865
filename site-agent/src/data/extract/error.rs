//! Why a source's records cannot be used for a study. Names tables, concepts and the study's own words; nothing of a
//! patient.

use crate::data::omop::{InvalidOmop, Table};
use std::fmt;
use std::path::PathBuf;

/// OMOP tables that a study cannot read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecords {
    /// The tables themselves cannot be read.
    #[error(transparent)]
    Omop(#[from] InvalidOmop),
    /// What is given is a plain table.
    #[error(
        "{path}: this is a plain table, and the study reads OMOP records: give the folder of the OMOP tables, or the \
         source.toml of their database"
    )]
    PlainTable {
        /// Which.
        path: PathBuf,
    },
    /// A table without which the study's words mean nothing here.
    #[error(
        "{place}: table {table} is missing, which the study reads for {role}; if it is empty here, export it empty"
    )]
    MissingTable {
        /// Which folder or database.
        place: String,
        /// Which table.
        table: Table,
        /// What the study reads there.
        role: String,
    },
    /// The vocabulary is not the study's.
    #[error("{place}: the vocabulary does not fit the study:\n{}", Listed(.mismatches))]
    Vocabulary {
        /// Which folder or database.
        place: String,
        /// Each of them; at least one.
        mismatches: Vec<Mismatch>,
    },
    /// More training people than the study's arithmetic is proven for.
    #[error("more than {people_max} training people, for whom this study's model cannot be trained")]
    TooManyTraining {
        /// The lattice's largest batch.
        people_max: usize,
    },
}

/// A concept set that does not mean here what it means in the study.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another name for an id.
    #[error("concept set {set}: the study calls {id} {asserted:?}, and table concept calls it {found:?}")]
    OtherName {
        /// Of the study.
        set: String,
        /// The concept.
        id: i64,
        /// Its name in the study.
        asserted: String,
        /// Its name here.
        found: String,
    },
    /// Nothing is below anything.
    #[error(
        "concept set {set} asks for everything below its concepts, and table concept_ancestor is missing or empty: export \
         it with the other tables"
    )]
    NoHierarchy {
        /// Of the study.
        set: String,
    },
}

struct Listed<'a>(&'a [Mismatch]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mismatch) in self.0.iter().enumerate() {
            write!(f, "{}{mismatch}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}
