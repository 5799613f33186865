//! The coordinator's side, one state after the other. Each gathers one message of every site and is
//! closed when all have come or the caller's deadline has passed.
//!
//! ```text
//! Setup ──close──▶ Session ──begin──▶ Sharing ──close──▶ Shared ──request(model)──▶ Inputs
//!                                                                                     │ close
//!                          SecureSum ◀──close── Unmasking ◀──close── Surviving ◀──────┘
//! ```
//!
//! `accept` refuses a message without any change, so that one site's fault is not another's. `close`
//! with fewer than the threshold ends the attempt; the next one is another slot, with fresh secrets, a
//! reserve and noise of its own at every site. The coordinator has no long-term secret; when it unmasks
//! it learns the mask keys of the sites that dropped out, and own-mask seeds of the others, of this one
//! attempt.

mod inputs;
mod setup;
mod sharing;
mod surviving;
mod unmasking;

pub use inputs::{Inputs, Shared};
pub use setup::{Session, Setup};
pub use sharing::Sharing;
pub use surviving::Surviving;
pub use unmasking::{SecureSum, Unmasking, sum_digest};

use super::agreement::SiteIndex;
use super::refusal::Refusal;
use crate::id::Digest;
use std::collections::BTreeMap;

/// Whether a message was new, or one that was accepted before and is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Taken.
    New,
    /// Known: nothing changed.
    Again,
}

/// What a site announced for this attempt.
#[derive(Debug)]
pub(in crate::secagg) struct Dealer {
    pub(in crate::secagg) mask_public: [u8; 32],
    own_mask: Digest,
    root: Digest,
    /// By the site that a share was dealt to: of its two shares.
    commitments: BTreeMap<SiteIndex, [Digest; 2]>,
}

pub(in crate::secagg) type Dealers = BTreeMap<SiteIndex, Dealer>;

/// Whether `site` said the same before; two different messages are a contradiction.
fn said_before<T: PartialEq>(
    known: Option<&T>,
    now: &T,
    site: SiteIndex,
    what: &'static str,
) -> Result<bool, Refusal> {
    match known {
        None => Ok(false),
        Some(known) if known == now => Ok(true),
        Some(_) => Err(Refusal::Contradiction { site, what }),
    }
}
