//! What can be wrong with a table, in words that name rows and columns and never a cell.

use super::ROWS_MAX;
use crate::data::lines::LINE_BYTES_MAX;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Faults shown at once.
pub const FAULTS_MAX: usize = 20;

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTable {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it does not fit the study. Up to [`FAULTS_MAX`] faults, in the order of the rows.
    #[error("{path}: {}", Listed(.faults))]
    Faulty {
        /// Which file.
        path: PathBuf,
        /// What is wrong; at least one.
        faults: Vec<Fault>,
    },
}

/// One thing that is wrong with a table. Rows are lines of the file, counted from 1: the header is row
/// 1; no cell is named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not even a header.
    #[error("the file is empty; expected a header and one row per person")]
    Empty,
    /// The study reads something else.
    #[error("this is a plain table, and the study reads OMOP records: give the folder of the OMOP tables")]
    NoRecords,
    /// A header that another character separates.
    #[error(
        "row 1: the header looks separated by {found}: expected ',' (export the table as CSV with commas)"
    )]
    Separator {
        /// Which, in words or quotes.
        found: &'static str,
    },
    /// A column that the study reads is not in the header.
    #[error("row 1: column {column} is missing, which the study reads for {role}")]
    MissingColumn {
        /// Which.
        column: String,
        /// What the study reads there.
        role: String,
    },
    /// A column that the study reads stands in the header twice.
    #[error("row 1: column {column} is there twice")]
    RepeatedColumn {
        /// Which.
        column: String,
    },
    /// A row with fewer or more cells than the header.
    #[error("row {row}: expected {expected} cells as in the header, came {found}")]
    Ragged {
        /// Which row.
        row: u64,
        /// Cells of the header.
        expected: u64,
        /// Cells of this row.
        found: u64,
    },
    /// A cell that is not UTF-8.
    #[error("row {row}, {}: expected UTF-8 text", Place(.column))]
    NotUtf8 {
        /// Which row.
        row: u64,
        /// Which column; none in the header.
        column: Option<String>,
    },
    /// A row without a pseudonym.
    #[error("row {row}, column {column}: expected a person's pseudonym, came an empty cell")]
    NoPerson {
        /// Which row.
        row: u64,
        /// The pseudonym's column.
        column: String,
    },
    /// Two rows of one person.
    #[error("row {row}, column {column}: the same person as in row {first}; expected one row per person")]
    RepeatedPerson {
        /// The later row.
        row: u64,
        /// The pseudonym's column.
        column: String,
        /// The earlier row.
        first: u64,
    },
    /// A cell that is no number where the study expects one.
    #[error("row {row}, column {column}: expected a number or an empty cell")]
    NotANumber {
        /// Which row.
        row: u64,
        /// Which column.
        column: String,
    },
    /// A cell of the split column that says neither role.
    #[error("row {row}, column {column}: expected one of the two texts that the study's split names")]
    NoRole {
        /// Which row.
        row: u64,
        /// The split's column.
        column: String,
    },
    /// A row that is longer than any row rightly is.
    #[error("row {row}: expected at most {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// Which row.
        row: u64,
    },
    /// More rows than a table may have.
    #[error("more than {ROWS_MAX} rows")]
    TooManyRows,
    /// More training people than the study's arithmetic is proven for.
    #[error("more than {people_max} training people, for whom this study's model cannot be trained")]
    TooManyTraining {
        /// The lattice's largest batch.
        people_max: usize,
    },
}

/// Rows that contribute nothing because of a fault; stays at the site.
pub struct Faults {
    /// Faults in all.
    pub count: u64,
    /// The first [`FAULTS_MAX`] of them, in the order of the rows.
    pub shown: Vec<Fault>,
}

impl Faults {
    pub(super) fn note(&mut self, fault: Fault) {
        self.count += 1;
        if self.shown.len() < FAULTS_MAX {
            self.shown.push(fault);
        }
    }
}

struct Place<'a>(&'a Option<String>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(column) => write!(f, "column {column}"),
            None => f.write_str("the header"),
        }
    }
}

struct Listed<'a>(&'a [Fault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, rest) = self.0.split_first().expect("at least one fault");
        write!(f, "{first}")?;
        for fault in rest {
            write!(f, "\n{fault}")?;
        }
        if self.0.len() >= FAULTS_MAX {
            f.write_str("\nperhaps more; reading stopped here")?;
        }
        Ok(())
    }
}
