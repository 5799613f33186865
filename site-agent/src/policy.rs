//! The hospital's own law: `site-policy.toml`, and what a study asks for held against it. The
//! coordinator's word is a request; this file decides.

mod decide;
mod file;
mod opt_out;
#[cfg(test)]
mod tests;

pub use decide::{Own, Violation, check_participants, decide, epsilon};
pub use file::{DEFAULT, Policy};
pub use opt_out::{Kept, OptOutList};
