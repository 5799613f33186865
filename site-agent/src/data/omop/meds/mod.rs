//! Records as MEDS 0.4 (Medical Event Data Standard), read and written by a profile of our own: docs/MEDS.md.
//!
//! ```text
//! folder (which files, which tables it can stand for) → codes (what codes mean, what is below what)
//!   → people, periods (whose, born when, observed when) and rows (events) → as from OMOP tables
//! write: the other way round, from any source
//! ```
//! Invariants: what the profile writes gives the same examples as what it was written from; what a folder of somebody
//! else does not say is an error that names it, and never a guess.

mod codes;
mod error;
mod folder;
mod lines;
mod people;
mod rows;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub(super) use codes::COLUMNS as OF_CODES;
pub use error::InvalidMeds;
pub use folder::Meds;
pub(super) use folder::of_attributes;
pub(super) use people::AsTable;
pub(super) use rows::Mixed;
pub use write::{Exported, MedsExportError, export};

/// Codes that are no concept's: MEDS has the first two, the others are the profile's.
pub(super) mod sentinel {
    pub(in super::super) const BIRTH: &str = "MEDS_BIRTH";
    pub(in super::super) const DEATH: &str = "MEDS_DEATH";
    pub(in super::super) const OBSERVED_FROM: &str = "OBS_START";
    pub(in super::super) const OBSERVED_TO: &str = "OBS_END";
}
