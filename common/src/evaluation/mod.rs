//! Evaluation under privacy: score histograms with exact noise on the integer lattice, and metrics
//! with honest intervals computed from them and from nothing else.
//!
//! A site [counts](histogram::count) its evaluation people into the cells of a grouping and adds
//! noise elsewhere; the coordinator [adds](sum::sum) the sites' histograms, fits [`bins`] to the
//! largest grouping, and computes each group's [`performance`]. Everything after the noise is
//! post-processing: free of privacy cost, and repeatable by anybody who has the bundle. [`exact`]
//! is for reference runs without noise.

pub mod bins;
pub mod calibration;
pub mod completeness;
pub mod curve;
pub mod exact;
pub mod histogram;
pub mod interval;
pub mod metrics;
pub mod normal;
pub mod performance;
pub mod sum;

#[cfg(test)]
mod simulated;
