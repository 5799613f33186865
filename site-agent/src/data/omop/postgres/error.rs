//! Why a database cannot be read as OMOP. Names tables, columns and rules, never a cell: once a row was asked for, nothing
//! that the server says is repeated but its code, since its words may quote one.

use super::super::schema::Table;
use crate::files::FileError;
use crate::toml_keys::Mistakes;
use std::path::PathBuf;
use tokio_postgres::error::SqlState;

/// A database that cannot be reached, or is not one that we can read.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDatabase {
    /// `source.toml` has mistakes.
    #[error("{path}:\n{mistakes}")]
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// All of them.
        mistakes: Mistakes,
    },
    /// A file that `source.toml` names, or itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificates or key that TLS cannot be built from.
    #[error("{path}: {reason}")]
    Tls {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No connection, or the server does not let this role in.
    #[error("cannot connect to {place}: {cause}")]
    Unreachable {
        /// Where.
        place: String,
        /// What the network, TLS or the server said; no table has been asked for yet.
        cause: String,
    },
    /// Not a server that we can rely on.
    #[error("{place}: {what}")]
    Server {
        /// Where.
        place: String,
        /// What was expected and what came.
        what: String,
    },
    /// No table of OMOP where it should be.
    #[error("{place}: no table of OMOP in schema \"{schema}\"")]
    NoTables {
        /// Where.
        place: String,
        /// In which schema.
        schema: String,
    },
    /// A table that every OMOP database has.
    #[error("{place}: table {table} is missing in schema \"{schema}\"")]
    MissingTable {
        /// Where.
        place: String,
        /// In which schema.
        schema: String,
        /// Which.
        table: Table,
    },
    /// Names that differ in case only.
    #[error(
        "table {table} is there twice in schema \"{schema}\", in names that differ in case: take one away"
    )]
    TwoTables {
        /// In which schema.
        schema: String,
        /// Which.
        table: Table,
    },
    /// A column that the table must have.
    #[error("table {table}: expected a column {expected}")]
    MissingColumn {
        /// Which table.
        table: Table,
        /// Its name, or names of which one suffices.
        expected: String,
    },
    /// Names that differ in case only.
    #[error("table {table}: column {column} is there twice, in names that differ in case")]
    RepeatedColumn {
        /// Which table.
        table: Table,
        /// Its name.
        column: &'static str,
    },
    /// A column that holds something else.
    #[error("table {table}: column {column}: expected {expected}, found {found}; a view can cast it")]
    ColumnType {
        /// Which table.
        table: Table,
        /// Its name.
        column: &'static str,
        /// What it should hold.
        expected: &'static str,
        /// Its type in PostgreSQL.
        found: String,
    },
    /// Columns that are there and that this role may not read.
    #[error(
        "role \"{user}\" may not read {what}: the columns are there, and would be missing without notice. \
         `site-agent data grants` prints what to run"
    )]
    NotGranted {
        /// The role.
        user: String,
        /// Schemas, and columns of tables.
        what: String,
    },
    /// The server gave a query up.
    #[error("table {table}: the server gave the query up (SQLSTATE {code}{advice})")]
    Query {
        /// Which table.
        table: Table,
        /// Its code.
        code: String,
        /// What to do, where we know.
        advice: &'static str,
    },
    /// The server gave something up that is about no table.
    #[error("{place}: {doing}: the server refused (SQLSTATE {code}{advice})")]
    Refused {
        /// Where.
        place: String,
        /// What was asked.
        doing: &'static str,
        /// Its code.
        code: String,
        /// What to do, where we know.
        advice: &'static str,
    },
    /// The connection ended in between.
    #[error("the connection to {place} was lost")]
    Lost {
        /// Where.
        place: String,
    },
    /// Bytes that are not what COPY writes.
    #[error("table {table}: row {row}: {what}")]
    Row {
        /// Which table.
        table: Table,
        /// From 1 on, in the order in which the server gave them.
        row: u64,
        /// What is wrong.
        what: BadCopy,
    },
}

/// Why a row that the server sent cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCopy {
    /// The bytes before the first row.
    #[error("expected the header of a binary COPY")]
    Header,
    /// Another number of columns than were asked for.
    #[error("expected {expected} columns, found {found}")]
    Columns {
        /// How many were asked for.
        expected: usize,
        /// How many came.
        found: i16,
    },
    /// A cell that its type does not have.
    #[error("column {column}: not a value of its type")]
    Cell {
        /// Which.
        column: &'static str,
    },
    /// A text that is none.
    #[error("column {column}: not UTF-8")]
    NotUtf8 {
        /// Which.
        column: &'static str,
    },
    /// Longer than a row can rightly be.
    #[error("longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// The end before the last row.
    #[error("the server ended the table in the middle")]
    CutShort,
    /// Something after the last row.
    #[error("the server sent more after the end of the table")]
    AfterEnd,
}

impl InvalidDatabase {
    /// For an error of the protocol while a table was read.
    pub(super) fn of_table(table: Table, place: &str, error: &tokio_postgres::Error) -> Self {
        match error.code() {
            Some(code) => Self::Query { table, code: code.code().to_owned(), advice: advice(code) },
            None => Self::Lost { place: place.to_owned() },
        }
    }

    /// For an error of the protocol while something else was asked.
    pub(super) fn of_asking(doing: &'static str, place: &str, error: &tokio_postgres::Error) -> Self {
        let place = place.to_owned();
        match error.code() {
            Some(code) => Self::Refused { place, doing, code: code.code().to_owned(), advice: advice(code) },
            None => Self::Lost { place },
        }
    }
}

fn advice(code: &SqlState) -> &'static str {
    // Appendix A of PostgreSQL's manual.
    match code.code() {
        "57014" => {
            ": it was cancelled; if nobody did so, it took longer than statement_timeout_s in source.toml"
        }
        "42501" => ": this role may not read it; see `site-agent data grants`",
        "40001" => ": a replica had to apply changes; read the primary, or try again",
        "22021" => ": it holds bytes that are not in the database's encoding",
        "25P02" => ": an earlier query failed",
        "55P03" => ": another program has it locked",
        "57P01" | "57P02" | "57P03" => ": the server is being shut down or started",
        "53100" | "53200" => ": the server has no memory or disk left",
        _ => ", which its manual and its own log explain",
    }
}
