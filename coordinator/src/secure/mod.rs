//! Secure sums, as the coordinator runs them: sites' streams come to the [`Lobby`], one [`drive`] task for
//! each study in its sums moves messages and keeps what must be kept, and the [`Conductor`] decides what is
//! asked of whom, without clock, store or socket.
//!
//! Invariants: what is asked of sites follows from what is durable (a session's number, an attempt that
//! failed, the sum that made the next model); a site that is slow, silent or false holds up nobody longer
//! than one deadline, and is named; no more than two messages of a site are in memory.

mod conductor;
mod drive;
mod lobby;
mod model;
#[cfg(test)]
mod tests;

pub use conductor::{Act, Ask, Conductor, Finished};
pub use drive::drive;
pub use lobby::{DOWN_QUEUE, Lobby, Seat};
pub use model::Model;

use consilium_common::id::SiteName;
use consilium_common::secagg::{Refusal, Slot};
use consilium_common::study::secure::{Summed, all_terms};
use consilium_common::study::{RosterSite, Study};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What comes from a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// A whole message of the secure sum.
    Message(Vec<u8>),
    /// The rule by which the site refused; nothing more comes.
    Refused(String),
}

/// What goes to a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// A new session; the one before is over.
    Open {
        /// Never used before in this study.
        number: u64,
        /// What it sums.
        summed: Summed,
    },
    /// A message of the secure sum.
    Message(Arc<[u8]>),
    /// Deal shares for this attempt.
    Share(Slot),
    /// The exact bytes of the model that the next request names.
    Model(Arc<[u8]>),
    /// The stream ends here, for a reason.
    Refused {
        /// As `secagg.signature`.
        rule: String,
        /// In words.
        why: String,
    },
}

/// The participants' lines of the roster, ordered by name: the order of their indices.
#[must_use]
pub fn by_name<'a>(study: &'a Study, participants: &BTreeSet<SiteName>) -> Vec<&'a RosterSite> {
    let mut sites: Vec<_> = study.sites.iter().filter(|site| participants.contains(&site.name)).collect();
    sites.sort_by(|a, b| a.name.cmp(&b.name));
    sites
}

/// The most bytes that a site's message can have.
///
/// # Errors
/// A study that has no secure sums.
pub fn message_bytes_max(study: &Study, participants: &BTreeSet<SiteName>) -> Result<usize, Refusal> {
    /// Fixed fields and signatures of any message.
    const FIXED: usize = 1024;
    /// A site's part of the longest message that has one for each.
    const EACH: usize = 145;
    let terms = all_terms(study, &by_name(study, participants))?;
    let lanes = terms.iter().map(|terms| terms.dimension() * (terms.parameters().lane().bits() / 8) as usize);
    Ok(FIXED + lanes.max().unwrap_or(0).max(EACH * participants.len()))
}
