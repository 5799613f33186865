//! A folder of OMOP tables read through a query engine, DataFusion within this program or a Ballista cluster: for tables that
//! outgrow one machine.
//!
//! ```text
//! config (source.toml) → opened (the folder; which engine) → scan (which files, columns, concepts and people)
//!   → query (the same as a plan) → engine (runs it, in bounded memory) → parquet_rows (cells) → rows, as from a folder
//! ```
//! The engine does what is cheap to say and the same everywhere: of Parquet files it takes columns, concepts, and the people who
//! come into the study. What a row means stays with us: cells, faults, clocks, the order of events, the cohort. So it can leave
//! out rows that cannot change an example, and nothing else; a column in a type where its comparison could differ from ours
//! is not compared by it. CSV, which no engine reads as strictly as we do, and the vocabulary are read by the agent itself.
//!
//! `plan` says beforehand what will be asked, and which files must be readable for whom.
//!
//! Invariants: the same examples, byte for byte, as from the folder; nothing that an engine says is repeated.

mod config;
pub mod error;
mod plan;

#[cfg(not(feature = "warehouse"))]
mod absent;
#[cfg(feature = "warehouse")]
mod engine;
#[cfg(feature = "warehouse")]
mod opened;
#[cfg(feature = "warehouse")]
mod query;
#[cfg(feature = "warehouse")]
mod scan;
#[cfg(all(test, feature = "warehouse"))]
mod tests;

#[cfg(not(feature = "warehouse"))]
pub(super) use absent::Scan;
#[cfg(not(feature = "warehouse"))]
pub use absent::Warehouse;
pub use config::{Config, Engine, Scheduler};
pub use error::InvalidWarehouse;
#[cfg(feature = "warehouse")]
pub use opened::Warehouse;
pub use plan::{Plan, Planned, Reader, Rights, plan, rights};
#[cfg(feature = "warehouse")]
pub(super) use scan::Scan;
