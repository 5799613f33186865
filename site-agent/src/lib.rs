//! Consilium's site agent: it reads one hospital's data inside that hospital, trains under the
//! hospital's own policy and budget, and lets only differentially private updates out.
//!
//! The coordinator's word is a request: [`task`] decides against [`policy`] and [`ledger`], and
//! [`drive`] keeps the order reserve → cosign → noise → compute → commit → send.

pub mod approval;
pub mod cli;
pub mod compute;
pub mod connect;
pub mod data;
pub mod disk;
pub mod doctor;
pub mod drive;
pub mod enroll;
pub mod failure;
pub mod files;
pub mod home;
pub mod key_loss;
pub mod ledger;
pub mod ledger_view;
pub mod link;
pub mod notes;
pub mod outbox;
pub mod policy;
pub mod pricing;
pub mod refusals;
pub mod rotate;
pub mod synth;
pub mod task;
#[cfg(test)]
mod testing;
pub mod toml_keys;
pub mod witness;
