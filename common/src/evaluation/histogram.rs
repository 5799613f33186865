//! One release per grouping: for each group of a partition of people, how many examples without and
//! with the outcome fall into each score bin.

use crate::id::{Digest, SiteName};
use serde::{Deserialize, Serialize};

/// One person is this many units of a cell.
pub const PERSON_UNITS: i64 = 1 << 16;

/// What a site releases for one grouping; its exact JSON bytes are what the ledger commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// `histogram/1`.
    pub schema: String,
    /// The study.
    pub study: Digest,
    /// Digest of the model that was evaluated.
    pub model: Digest,
    /// Who computed it.
    pub site: SiteName,
    /// `overall`, `sex`, `sex*age_band`.
    pub grouping: String,
    /// Standard deviation of the noise in each cell, lattice units.
    pub sigma_units: u64,
    /// Cells in the order `[group][outcome: 0 without, 1 with][bin]`, lattice units, noise included.
    pub cells: Vec<i64>,
}
