//! A dealer's shares: how they are sealed, committed to, and put into one tree that it signs.

use super::agreement::{SiteIndex, tagged};
use super::binding::ShareBinding;
use super::exchange::derive;
use super::message::{SealedShare, Secret};
use super::seal::{NotAuthentic, TAG_BYTES, open, seal};
use crate::id::Digest;
use crate::ledger::merkle::{Tree, leaf_hash};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Both secrets, or a share of both: the own-mask seed, then the mask key.
pub(super) const PAIR_BYTES: usize = 64;
/// A sealed pair of shares.
pub const SEALED_BYTES: usize = PAIR_BYTES + TAG_BYTES;

/// The two keys of the channel between two sites, one for each direction, for a whole session.
pub(super) struct Channel {
    to: Zeroizing<[u8; 32]>,
    from: Zeroizing<[u8; 32]>,
}

impl Channel {
    /// From the secret that `own` and `other` agreed on; bound to the session's digest, which covers
    /// the keys of all sites.
    pub(super) fn new(secret: &[u8; 32], session: &Digest, own: SiteIndex, other: SiteIndex) -> Self {
        let key = |from: SiteIndex, to: SiteIndex| {
            derive(secret, session.as_bytes(), "channel", &[&[from.get(), to.get()]])
        };
        Self { to: key(own, other), from: key(other, own) }
    }

    /// Seals a pair of shares for the other site.
    pub(super) fn seal(
        &self,
        binding: &ShareBinding,
        pair: &[u8; PAIR_BYTES],
        dealer: SiteIndex,
        to: SiteIndex,
    ) -> [u8; SEALED_BYTES] {
        let mut sealed = [0; SEALED_BYTES];
        let (bytes, tag) = sealed.split_at_mut(PAIR_BYTES);
        bytes.copy_from_slice(pair);
        tag.copy_from_slice(&seal(&self.to, &nonce(binding), &context(binding, dealer, to), bytes));
        sealed
    }

    /// Opens a pair of shares of the other site.
    pub(super) fn open(
        &self,
        binding: &ShareBinding,
        sealed: &[u8; SEALED_BYTES],
        dealer: SiteIndex,
        to: SiteIndex,
    ) -> Result<Zeroizing<[u8; PAIR_BYTES]>, NotAuthentic> {
        let (bytes, tag) = sealed.split_at(PAIR_BYTES);
        let mut pair = Zeroizing::new([0; PAIR_BYTES]);
        pair.copy_from_slice(bytes);
        let tag = tag.try_into().expect("the rest of a sealed pair");
        open(&self.from, &nonce(binding), &context(binding, dealer, to), pair.as_mut_slice(), tag)?;
        Ok(pair)
    }
}

/// A session uses each slot once, and a channel key belongs to one session and direction.
fn nonce(binding: &ShareBinding) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&binding.slot.step.to_le_bytes());
    nonce[4..8].copy_from_slice(&binding.slot.attempt.to_le_bytes());
    nonce
}

fn context(binding: &ShareBinding, dealer: SiteIndex, to: SiteIndex) -> Vec<u8> {
    let mut context = binding.to_bytes().to_vec();
    context.extend([dealer.get(), to.get()]);
    context
}

/// The halves of a pair.
pub(super) fn halves(pair: &[u8; PAIR_BYTES]) -> [&[u8; 32]; 2] {
    let (own_mask, mask_key) = pair.split_at(32);
    [own_mask, mask_key].map(|half| half.try_into().expect("half of a pair"))
}

/// A commitment to one share. Shares are 32 uniform bytes each, so that a hash hides them.
pub(super) fn share_commitment(
    binding: &ShareBinding,
    dealer: SiteIndex,
    to: SiteIndex,
    secret: Secret,
    share: &[u8; 32],
) -> Digest {
    let mut hasher = tagged(match secret {
        Secret::OwnMask => "share of own mask",
        Secret::MaskKey => "share of mask key",
    });
    hasher.update(&binding.to_bytes());
    hasher.update(&[dealer.get(), to.get()]);
    hasher.update(share);
    hasher.digest()
}

/// Commitments to both shares of a pair.
pub(super) fn pair_commitments(
    binding: &ShareBinding,
    dealer: SiteIndex,
    to: SiteIndex,
    pair: &[u8; PAIR_BYTES],
) -> [Digest; 2] {
    let [own_mask, mask_key] = halves(pair);
    [
        share_commitment(binding, dealer, to, Secret::OwnMask, own_mask),
        share_commitment(binding, dealer, to, Secret::MaskKey, mask_key),
    ]
}

/// A commitment to the seed of the dealer's own mask, by which the coordinator knows that it put the
/// right one together. (For the mask key, the public key does that.)
pub(super) fn own_mask_commitment(binding: &ShareBinding, dealer: SiteIndex, seed: &[u8; 32]) -> Digest {
    let mut hasher = tagged("own mask");
    hasher.update(&binding.to_bytes());
    hasher.update(&[dealer.get()]);
    hasher.update(seed);
    hasher.digest()
}

/// The leaf of one sealed share in its dealer's tree.
pub(super) fn leaf(to: SiteIndex, sealed: &[u8; SEALED_BYTES], commitments: &[Digest; 2]) -> Digest {
    let mut bytes = vec![to.get()];
    bytes.extend_from_slice(sealed);
    commitments.iter().for_each(|commitment| bytes.extend_from_slice(commitment.as_bytes()));
    leaf_hash(&bytes)
}

/// The tree over a dealer's shares (RFC 6962 hashes).
pub(super) fn tree(shares: &BTreeMap<SiteIndex, SealedShare>) -> Tree {
    let mut tree = Tree::default();
    shares.iter().for_each(|(to, share)| tree.push(leaf(*to, &share.sealed, &share.commitments)));
    tree
}

/// The digest of the sites that take part in an attempt, with what each announced.
pub(super) fn roster_digest<'a>(
    binding: &ShareBinding,
    dealers: impl Iterator<Item = (SiteIndex, &'a [u8; 32], &'a Digest, &'a Digest)>,
) -> Digest {
    let mut hasher = tagged("roster");
    hasher.update(&binding.to_bytes());
    for (dealer, mask_public, own_mask, root) in dealers {
        hasher.update(&[dealer.get()]);
        hasher.update(mask_public);
        hasher.update(own_mask.as_bytes());
        hasher.update(root.as_bytes());
    }
    hasher.digest()
}
