//! What broken variants of a site do in a secure sum. See [`crate::mutant`].

use super::agreement::SiteIndex;
use super::dealing::{SEALED_BYTES, halves};
use super::message::{Revealed, Secret};
use super::site::Held;
use crate::mutant::{Mutant, is, people};
use std::collections::BTreeMap;
use std::sync::Mutex;
use zeroize::Zeroizing;

/// A site's share of the noise.
pub(super) fn noise(noise: Zeroizing<Vec<i64>>) -> Zeroizing<Vec<i64>> {
    if is(Mutant::NoNoiseShare) { Zeroizing::new(vec![0; noise.len()]) } else { noise }
}

/// The key of a mask between two sites, or of one's own.
pub(super) fn key(of: [u8; 2], key: Zeroizing<[u8; 32]>) -> Zeroizing<[u8; 32]> {
    static FIRST: Mutex<BTreeMap<[u8; 2], [u8; 32]>> = Mutex::new(BTreeMap::new());
    if !is(Mutant::MaskReuse) {
        return key;
    }
    let mut first = FIRST.lock().expect("nobody panics with it");
    Zeroizing::new(*first.entry(of).or_insert(*key))
}

/// A dealer's own box, whose shares it keeps: of a fixed length, signed, and looked at by nobody.
pub(super) fn own_box() -> [u8; SEALED_BYTES] {
    let mut own = [0; SEALED_BYTES];
    if is(Mutant::CountInBox) {
        own[..8].copy_from_slice(&people().to_le_bytes());
    }
    own
}

/// Whether a site believes what it is told of survivors.
pub(super) fn believes_survivors() -> bool {
    is(Mutant::SurvivorsUnchecked)
}

/// The shares that a site reveals; under numbers of nobody those of the other secret too.
pub(super) fn revealed(
    mut shares: BTreeMap<SiteIndex, Revealed>,
    held: &Held,
) -> BTreeMap<SiteIndex, Revealed> {
    if is(Mutant::BothShares) {
        for (dealer, pair) in held {
            let [own_mask, mask_key] = halves(pair);
            let other = match shares[dealer].secret {
                Secret::OwnMask => (Secret::MaskKey, mask_key),
                Secret::MaskKey => (Secret::OwnMask, own_mask),
            };
            let nobody = SiteIndex::new(u8::MAX - dealer.get()).expect("fewer than 128 sites in a test");
            shares.insert(nobody, Revealed { secret: other.0, share: Zeroizing::new(*other.1) });
        }
    }
    shares
}
