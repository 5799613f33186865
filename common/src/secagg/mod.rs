//! Secure aggregation: the coordinator learns the sum of the sites' noised integers and nothing else
//! about any of them. Sans IO: no clock, entropy, disk or socket; messages are plain values, deadlines
//! are the caller's `close`.
//!
//! The protocol is that of Bonawitz et al. 2017 ("Practical Secure Aggregation for Privacy-Preserving
//! Machine Learning", CCS) on the full graph, active-adversary variant, with these differences: signing
//! keys are pinned by the signed study instead of given out by a server; channel keys serve a session
//! of many steps; mask secrets are fresh for every attempt of every step, and shared in the same message
//! that announces them; everything is bound to study, session, step, attempt, roster and model.
//! `docs/PROTOCOL.md` has messages, thresholds and who learns what.
//!
//! The order of use, at a site and at the coordinator: [`site`], [`coordinator`].
//!
//! # Privacy
//! Invariant: a site's vector enters at most one sum for each reserve, a sum that has at least t sites in
//! it, of which at least t − n_C add honest noise of σ/√(t − n_C). See [`SecureParameters`]. There is no
//! path from here to a plain update: below the threshold an attempt has no result.

mod agreement;
mod binding;
mod bytes;
pub mod coordinator;
mod dealing;
mod exchange;
mod gf256;
mod lanes;
mod mask;
pub mod message;
#[cfg(feature = "mutants")]
mod mutated;
mod noise_share;
mod parameters;
mod record;
mod refusal;
pub mod seal;
mod session;
mod shamir;
pub mod site;
mod terms;
#[cfg(test)]
mod tests;
mod transcript;

pub use agreement::{Agreement, Roster, SiteIndex};
pub use binding::{ShareBinding, Slot, StepBinding};
pub use bytes::{InvalidMessage, Reader};
pub use dealing::SEALED_BYTES;
pub use lanes::Lanes;
pub use noise_share::{NoiseShare, NoisedInput};
pub use parameters::{
    LaneWidth, NOISE_DEVIATIONS, SITES_MAX, SITES_MIN, SecureParameters, recommended_threshold,
};
pub use record::{InvalidRecord, RECORD_HEADER_MAX, SumRecord, Survivor};
pub use refusal::Refusal;
pub use terms::{RequestedTerms, TERMS, Terms};
pub use transcript::Transcript;
