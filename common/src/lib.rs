//! What Consilium's coordinator, site agents and auditor share: the study language, privacy
//! accounting and mechanisms, the ledger, models, training and evaluation.
//!
//! Nothing in here reads a clock, draws entropy, or opens a file or a socket: time, chance and
//! bytes are arguments (a `clippy.toml` beside this crate holds that line). The one exception is
//! the `auditor` binary, which reads the bundle it is pointed at.

pub mod evaluation;
pub mod examples;
pub mod id;
pub mod key;
pub mod ledger;
pub mod model;
#[cfg(feature = "mutants")]
pub mod mutant;
pub mod privacy;
pub mod protocol;
pub mod report;
pub mod secagg;
pub mod signed;
pub mod study;
pub mod time;
#[cfg(feature = "wire")]
pub mod tls;
#[cfg(feature = "train")]
pub mod train;
