//! From a hospital's OMOP tables to the examples of a study on records; `consilium_common::study::records` says what
//! everything means.
//!
//! ```text
//! wanted (which columns of which tables) → resolve (concept sets and units against the source's vocabulary) → plan (what is looked for, numbered)
//!   → load: one pass over the tables, one person at a time
//!       → timeline (a person's events by what is looked for) → cohort (the index) → outcome → covariates, attributes
//!   → attrition, counts: for the hospital's own eyes
//! ```
//! Invariant: a person's example depends on that person's rows, the vocabulary, the study and the site's key alone.
//! Nothing of a patient has `Debug` or is in an error.

mod age;
mod attributes;
mod attrition;
mod bound;
mod clock;
mod cohort;
mod counted;
mod covariates;
mod error;
mod load;
mod outcome;
mod plan;
mod resolve;
mod timeline;
mod wanted;

#[cfg(test)]
pub(crate) mod tests;

pub use attrition::Attrition;
pub use covariates::LeftOut;
pub use error::{InvalidRecords, Mismatch};
pub use load::{Extracted, PredictionReport, Report, are_records, check, examples, extract, narrowing, open};
pub use resolve::{Note, Remark};
pub use wanted::wanted;
