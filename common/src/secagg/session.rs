//! What a site and the coordinator compute alike when a session is set up.

use super::agreement::{Agreement, SiteIndex, tagged};
use super::message::{SessionKey, SessionKeys};
use super::refusal::Refusal;
use crate::id::Digest;
use crate::key::Signature;
use std::collections::BTreeSet;

/// The session's name from here on: a digest of the agreement and of every site's key, so that two
/// sites that were shown different keys are in different sessions and open nothing of each other's.
pub(super) fn session_digest(agreement: &Agreement, keys: &SessionKeys) -> Digest {
    let mut hasher = tagged("session");
    hasher.update(agreement.digest().as_bytes());
    hasher.update(&keys.number.to_le_bytes());
    for (site, (public, _)) in &keys.keys {
        hasher.update(&[site.get()]);
        hasher.update(public);
    }
    hasher.digest()
}

/// Checks that a key for this agreement and session is the site's own.
pub(super) fn check_key(
    agreement: &Agreement,
    number: u64,
    site: SiteIndex,
    public: &[u8; 32],
    signature: &Signature,
) -> Result<(), Refusal> {
    let signed = SessionKey::signing_input(&agreement.digest(), number, site, public);
    agreement.verify(site, "session key", &signed, signature)
}

/// Checks that no two sites have one public key.
pub(super) fn check_different<'a>(
    keys: impl IntoIterator<Item = (SiteIndex, &'a [u8; 32])>,
) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    match keys.into_iter().find(|(_, public)| !seen.insert(*public)) {
        Some((site, _)) => Err(Refusal::DuplicateKey { site }),
        None => Ok(()),
    }
}
