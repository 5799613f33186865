//! Evaluation under privacy: score histograms with exact noise on the integer lattice, and metrics
//! with honest intervals computed from them and from nothing else.

pub mod histogram;
pub mod metrics;
