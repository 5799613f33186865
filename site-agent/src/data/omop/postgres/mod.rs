//! A hospital's OMOP tables in its PostgreSQL database, as the same stream as from a folder.
//!
//! ```text
//! config (source.toml) + password → tls → session (connection, one read-only snapshot) → catalog (which columns there are)
//!   → Database → query (its text) → copy (COPY … TO STDOUT, binary) → binary + numeric (cells) → rows, as from a folder
//! claim: one agent serves a schema, on whatever machine
//! plan, grants: what will be asked, and what the database's administrator must allow for it
//! ```
//! Invariants: SQL names columns of one table and, of the rows that cannot matter, what they would have to be to matter, and nothing
//! else; a role that lacks a column it should read is an error, never
//! a column less; nothing that the server says after the first row was asked for is repeated, since it may quote a cell.

mod binary;
mod catalog;
mod claim;
mod config;
mod copy;
mod database;
pub mod error;
mod grants;
mod numeric;
mod password;
mod plan;
mod query;
mod release;
mod session;
mod tls;

#[cfg(all(test, unix))]
pub(crate) mod tests;

pub use claim::Claim;
pub use config::Config;
pub use database::Database;
pub use error::InvalidDatabase;
pub use grants::{CdmVersion, grants, grants_of};
pub use plan::{BUSY_TIMES, Plan, Planned, Sent, plan, plan_narrowed};
pub(super) use query::Query;
pub use release::CDM_SOURCE;
