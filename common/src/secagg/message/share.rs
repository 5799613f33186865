//! Sharing: fresh secrets for one attempt, dealt to all sites of the session.

use super::Message;
use crate::id::Digest;
use crate::key::Signature;
use crate::secagg::agreement::{SiteIndex, signing_input};
use crate::secagg::binding::ShareBinding;
use crate::secagg::bytes::{InvalidMessage, Reader, write_by_site};
use crate::secagg::dealing::SEALED_BYTES;
use std::collections::BTreeMap;

/// Most hashes of an inclusion proof among 255 leaves.
const PATH_MAX: u8 = 8;

/// One site's pair of shares, sealed for it, and commitments to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedShare {
    /// Both shares and a tag; zeros in the dealer's own entry, whose shares it keeps.
    pub sealed: [u8; SEALED_BYTES],
    /// Of the share of the own-mask seed, and of the share of the mask key.
    pub commitments: [Digest; 2],
}

/// A site's public mask key for one attempt and its secrets' shares. Site to coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// Study, session, step, attempt.
    pub binding: ShareBinding,
    /// The dealer.
    pub site: SiteIndex,
    /// X25519: pairwise masks come from this and the other sites' ones.
    pub mask_public: [u8; 32],
    /// Commitment to the seed of the site's own mask.
    pub own_mask: Digest,
    /// One for every site of the session, the dealer included.
    pub shares: BTreeMap<SiteIndex, SealedShare>,
    /// Over all of the above, the shares by the root of their Merkle tree.
    pub signature: Signature,
}

/// What one dealer dealt to one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dealt {
    /// As in [`Shares`].
    pub mask_public: [u8; 32],
    /// As in [`Shares`].
    pub own_mask: Digest,
    /// Root of the tree over all shares that the dealer signed.
    pub root: Digest,
    /// As in [`Shares`].
    pub signature: Signature,
    /// As in [`SealedShare`].
    pub sealed: [u8; SEALED_BYTES],
    /// As in [`SealedShare`].
    pub commitments: [Digest; 2],
    /// That the share is in the tree (RFC 6962 inclusion proof).
    pub path: Vec<Digest>,
}

/// All that was dealt to one site, by every site that takes part in this attempt. Coordinator to that
/// site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareDelivery {
    /// Study, session, step, attempt.
    pub binding: ShareBinding,
    /// By dealer.
    pub dealt: BTreeMap<SiteIndex, Dealt>,
}

impl Shares {
    pub(in crate::secagg) fn signing_input(
        binding: &ShareBinding,
        site: SiteIndex,
        mask_public: &[u8; 32],
        own_mask: &Digest,
        root: &Digest,
    ) -> Vec<u8> {
        let binding = binding.to_bytes();
        signing_input("shares", &[&binding, &[site.get()], mask_public, own_mask.as_bytes(), root.as_bytes()])
    }
}

impl Message for Shares {
    const NAME: &'static str = "shares";
    const KIND: u8 = 3;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        bytes.push(self.site.get());
        bytes.extend_from_slice(&self.mask_public);
        bytes.extend_from_slice(self.own_mask.as_bytes());
        write_by_site(bytes, &self.shares, |bytes, share| {
            bytes.extend_from_slice(&share.sealed);
            share.commitments.iter().for_each(|digest| bytes.extend_from_slice(digest.as_bytes()));
        });
        bytes.extend_from_slice(self.signature.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        Ok(Self {
            binding: ShareBinding::read(reader)?,
            site: reader.site()?,
            mask_public: reader.array()?,
            own_mask: reader.digest()?,
            shares: reader.by_site(|reader| {
                Ok(SealedShare { sealed: reader.array()?, commitments: [reader.digest()?, reader.digest()?] })
            })?,
            signature: reader.signature()?,
        })
    }
}

impl Message for ShareDelivery {
    const NAME: &'static str = "share delivery";
    const KIND: u8 = 4;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        write_by_site(bytes, &self.dealt, |bytes, dealt| {
            bytes.extend_from_slice(&dealt.mask_public);
            bytes.extend_from_slice(dealt.own_mask.as_bytes());
            bytes.extend_from_slice(dealt.root.as_bytes());
            bytes.extend_from_slice(dealt.signature.as_bytes());
            bytes.extend_from_slice(&dealt.sealed);
            dealt.commitments.iter().for_each(|digest| bytes.extend_from_slice(digest.as_bytes()));
            bytes.push(u8::try_from(dealt.path.len()).expect("a tree of 255 leaves is 8 high"));
            dealt.path.iter().for_each(|digest| bytes.extend_from_slice(digest.as_bytes()));
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        let binding = ShareBinding::read(reader)?;
        let dealt = reader.by_site(|reader| {
            Ok(Dealt {
                mask_public: reader.array()?,
                own_mask: reader.digest()?,
                root: reader.digest()?,
                signature: reader.signature()?,
                sealed: reader.array()?,
                commitments: [reader.digest()?, reader.digest()?],
                path: path(reader)?,
            })
        })?;
        Ok(Self { binding, dealt })
    }
}

fn path(reader: &mut Reader<'_>) -> Result<Vec<Digest>, InvalidMessage> {
    match reader.u8()? {
        length @ 0..=PATH_MAX => (0..length).map(|_| reader.digest()).collect(),
        _ => Err(reader.invalid("a proof longer than its tree is high")),
    }
}
