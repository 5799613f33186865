//! Why a source cannot be read as OMOP: file, row and column, never a cell's text, and never the text of a
//! dependency's error, which may quote one.

use super::meds::InvalidMeds;
use super::postgres::InvalidDatabase;
use super::schema::Table;
use super::warehouse::InvalidWarehouse;
use std::io;
use std::path::{Path, PathBuf};

/// A folder or a database that is not OMOP as we can read it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOmop {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No table of OMOP in it.
    #[error(
        "{path}: expected a folder of OMOP tables (person.csv, person.csv.gz, person.parquet or a folder person/ of \
         such files), found none"
    )]
    NoTables {
        /// Which folder.
        path: PathBuf,
    },
    /// A table that every OMOP database has.
    #[error("{path}: table {table} is missing")]
    MissingTable {
        /// Which folder.
        path: PathBuf,
        /// Which table.
        table: Table,
    },
    /// A table that is there twice.
    #[error("table {table} is there twice, as {first} and as {second}: take one away")]
    TwoForms {
        /// Which table.
        table: Table,
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A file that is none of the three forms.
    #[error("{path}: expected .csv, .csv.gz or .parquet")]
    UnknownForm {
        /// Which.
        path: PathBuf,
    },
    /// More files or deeper folders than a table can rightly have.
    #[error("{path}: expected at most {files_max} files for a table, in folders at most {depth_max} deep")]
    TooManyFiles {
        /// Which folder.
        path: PathBuf,
        /// The limit.
        files_max: usize,
        /// The limit.
        depth_max: usize,
    },
    /// A column that the table must have.
    #[error("{path}: expected a column {expected}")]
    MissingColumn {
        /// Which file.
        path: PathBuf,
        /// Its name, or names of which one suffices.
        expected: String,
    },
    /// A column that is there twice.
    #[error("{path}: column {column} is there twice")]
    RepeatedColumn {
        /// Which file.
        path: PathBuf,
        /// Its name.
        column: &'static str,
    },
    /// A Parquet column that holds something else.
    #[error("{path}: column {column}: expected {expected}, found {found}")]
    ColumnType {
        /// Which file.
        path: PathBuf,
        /// Its name.
        column: &'static str,
        /// What it should hold.
        expected: &'static str,
        /// Its Arrow type.
        found: String,
    },
    /// A Parquet compression that this program does not carry.
    #[error("{path}: compressed with {codec}: expected none, snappy, gzip, zstd or lz4")]
    Codec {
        /// Which file.
        path: PathBuf,
        /// Its name.
        codec: &'static str,
    },
    /// Not Parquet, whatever its name says.
    #[error("{path}: not a Parquet file, or cut short or damaged")]
    NotParquet {
        /// Which file.
        path: PathBuf,
    },
    /// A row that cannot be taken apart; nothing after it can be trusted.
    #[error("{path}: row {row}: {what}")]
    Row {
        /// Which file.
        path: PathBuf,
        /// In CSV the line on which the row begins, the header being 1; in Parquet the row from 1 on.
        row: u64,
        /// What is wrong.
        what: BadRow,
    },
    /// More than the agent keeps in memory.
    #[error("{place}: expected at most {limit} rows in table {table}")]
    TooManyRows {
        /// Which folder or database.
        place: String,
        /// Which table.
        table: Table,
        /// The limit.
        limit: u64,
    },
    /// A database, not a folder.
    #[error(transparent)]
    Database(#[from] InvalidDatabase),
    /// A warehouse, not a folder.
    #[error(transparent)]
    Warehouse(#[from] InvalidWarehouse),
    /// MEDS, not OMOP.
    #[error(transparent)]
    Meds(#[from] InvalidMeds),
    /// The folder for intermediate files failed.
    #[error("intermediate files in {path}: {source}")]
    Scratch {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl InvalidOmop {
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable { path, source }
    }
}

/// Why a row cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// A NUL byte.
    #[error("a NUL byte")]
    Nul,
    /// Bytes that are no UTF-8.
    #[error("not UTF-8: export the table as UTF-8")]
    NotUtf8,
    /// More or fewer cells than the header.
    #[error("{found} cells, expected {expected} as in the header")]
    Ragged {
        /// Cells of the header.
        expected: usize,
        /// Cells of the row.
        found: usize,
    },
    /// A quoted cell that the file's end interrupts.
    #[error("a quote that is never closed")]
    OpenQuote,
    /// A closing quote that no separator follows.
    #[error("text after a closing quote; a quote within a quoted cell is written twice")]
    AfterQuote,
    /// Longer than a row can rightly be.
    #[error("longer than {bytes_max} bytes; perhaps a quote before it is never closed")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// Compressed data that cannot be unpacked.
    #[error("the compressed data after it are damaged or cut short")]
    Compression,
    /// Parquet pages that cannot be decoded.
    #[error("the data from it on are damaged or cut short")]
    Damaged,
}
