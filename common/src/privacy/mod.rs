//! Privacy: mechanisms as events, their accounting, and the exact integer mechanism itself.
//!
//! Unit: one person at one site, all their records. Neighbours: add or remove one person.
//! Knows nothing of protocol or ledger.

pub mod accountant;
pub mod calibrate;
pub mod clip;
pub mod filter;
pub mod mechanism;
pub mod noise;
pub mod odds;
pub mod sampling;
