//! A hospital's OMOP tables as one ordered stream of events.
//!
//! ```text
//! wanted (which columns); folder (which files) → read (pieces) → split_rows + csv_rows | parquet_rows (cells)
//!   | postgres (which columns) → read → postgres/binary (cells)
//!   | meds (which codes) → read → parquet_rows (cells)
//!   | warehouse (which engine) → read → parquet_rows (cells)
//!   → rows, or notes (events, faults) → stream (threads, runs, spilling) → merge → history (one person at a time, beside people) → check
//! ```
//! Invariant: the same hospital gives the same stream, byte for byte, from CSV, CSV.GZ, Parquet or PostgreSQL, in any order
//! of rows and with any number of threads. Errors name file, row and column and never a cell; nothing of a patient has `Debug`.

mod asked;
mod cells;
pub mod check;
mod csv_rows;
pub mod error;
pub mod event;
pub mod fault;
mod folder;
pub mod history;
pub mod meds;
mod merge;
pub mod moment;
mod narrowing;
pub mod notes;
mod opened;
pub mod pack;
mod parquet_rows;
mod people;
pub mod postgres;
mod read;
mod rows;
mod run;
mod schema;
mod scratch;
mod source;
mod split_rows;
pub mod stream;
pub mod units;
pub mod vocabulary;
mod wanted;
pub mod warehouse;

#[cfg(test)]
pub(crate) mod tests;

pub use asked::QueryLog;
pub use error::InvalidOmop;
pub use event::{ConceptId, Domain, Event, PersonId, Value};
pub use fault::{Fault, FaultCounts};
pub use folder::Folder;
pub use history::{EVENTS_PER_PERSON_MAX, History};
pub use moment::{Day, Moment};
pub use narrowing::{Concepts, Narrowing};
pub use opened::{Opened, database_at, is_of_database, warehouse_folder};
pub use people::{PEOPLE_MAX, PERIODS_MAX, People, Period, Person};
pub use rows::TableCounts;
pub use schema::Table;
pub use source::Source;
pub use stream::{Reading, Stream};

/// The names of a table's columns that are ever read.
#[cfg(test)]
pub(crate) fn column_names(table: Table) -> Vec<&'static str> {
    schema::columns(table).iter().flat_map(|column| column.names).copied().collect()
}

pub use wanted::{NumberUnit, Part, Wanted};
