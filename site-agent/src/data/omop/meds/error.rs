//! Why a folder of MEDS cannot be read. Names files and columns, never a cell.

use std::path::PathBuf;

/// A folder that is not MEDS as we can read it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMeds {
    /// A file that every folder of MEDS has.
    #[error("{path}: missing, and expected in a folder of MEDS 0.4: {what}")]
    Missing {
        /// Which.
        path: PathBuf,
        /// What it is for.
        what: &'static str,
    },
    /// A column whose type is not MEDS's.
    #[error("{path}: column {column}: expected {expected}")]
    Column {
        /// Which file.
        path: PathBuf,
        /// Its name.
        column: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// Shards that do not have the same columns.
    #[error(
        "{path}: column {column} is in some files below data/ and not in this one: write all of them alike"
    )]
    Uneven {
        /// A file without the column, or the first with it.
        path: PathBuf,
        /// Its name.
        column: &'static str,
    },
    /// `metadata/dataset.json` that cannot be read.
    #[error("{path}: expected the JSON of a MEDS data set")]
    Dataset {
        /// Which.
        path: PathBuf,
    },
    /// More than the agent keeps in memory.
    #[error("{path}: expected at most {limit} codes")]
    TooManyCodes {
        /// Which file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
}
