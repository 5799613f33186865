//! What other people's programs say of a cohort or a task, in words of the study language, where both mean exactly the
//! same: cohorts of OHDSI's Atlas (CIRCE) and tasks of ACES.
//!
//! Invariant: nothing is dropped. Whatever of a file has no equal here is a [`Refusal`] with its path, and all of them
//! come at once; what is equal under a condition that a reader has to know is a note.

pub mod aces;
pub mod circe;
mod node;
#[cfg(test)]
mod odd;
mod words;
mod write;

pub use words::{EVENT_WORDS, label};
pub use write::{Written, blank, write};

use super::records::{Cohort, ConceptSet, Criterion};
use jiff::civil::{Date, date};
use std::fmt;

/// Longest file that is read, bytes.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The first and the last day that an index can lie on where the imported file names none.
const ALL_DAYS: (Date, Date) = (date(1900, 1, 1), date(2099, 12, 31));

/// What a file says, in words of the study language.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Where it comes from, for the study file's reader.
    pub origin: String,
    /// Every concept set that the parts below name by its index here; names are distinct.
    pub sets: Vec<ConceptSet>,
    /// Who is asked about.
    pub target: Option<Target>,
    /// What is predicted.
    pub outcome: Option<OutcomeEvents>,
    /// What holds under a condition, and what the study language has no need of; in plain words.
    pub notes: Vec<String>,
}

/// A cohort, and the days on which its index may lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Who.
    pub cohort: Cohort,
    /// First and last day of an index; the file says nothing of it where these are [`None`].
    pub accrual: Option<(Date, Date)>,
}

/// The events of an outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeEvents {
    /// The task's name.
    pub name: String,
    /// Any of these.
    pub any_of: Vec<Criterion>,
    /// First and last day of the time at risk after the day of the prediction, where the file says so.
    pub days_at_risk: Option<(u32, u32)>,
}

/// One thing that the study language has no exact equal for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Where in the file, lists counted from 0: `PrimaryCriteria.CriteriaList[1].ConditionOccurrence.Age`.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// Why it cannot be said here, and what can be done about it.
    pub why: String,
}

/// Why a file was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotImported {
    /// It is not such a file at all.
    Invalid(String),
    /// The study language cannot say the same; at least one refusal, in the file's order.
    NotExact(Vec<Refusal>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.found, self.why)
    }
}

impl fmt::Display for NotImported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what) => f.write_str(what),
            Self::NotExact(refusals) => {
                let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for NotImported {}
