//! Unmasking: the survivors' own masks, and the pairwise masks that sites left behind which dropped
//! out, are put together from shares and taken off the sum.

use super::{Accepted, Dealer, Dealers, said_before};
use crate::id::Digest;
use crate::secagg::agreement::{Agreement, SiteIndex};
use crate::secagg::dealing::{own_mask_commitment, share_commitment};
use crate::secagg::exchange::ExchangeKey;
use crate::secagg::lanes::Lanes;
use crate::secagg::mask::{Mask, apply};
use crate::secagg::message::{Secret, StepResult, Survivors, Unmask};
use crate::secagg::refusal::Refusal;
use crate::secagg::shamir::Weights;
use crate::secagg::transcript::Transcript;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// An attempt whose secrets are being revealed.
#[derive(Debug)]
pub struct Unmasking {
    agreement: Arc<Agreement>,
    dealers: Dealers,
    sum: Lanes,
    survivors: Survivors,
    digest: Digest,
    received: BTreeMap<SiteIndex, Unmask>,
}

/// The sum over all survivors: exactly the sum of their noised integers, as long as that fits a lane.
#[derive(Clone, PartialEq, Eq)]
pub struct SecureSum {
    /// In lattice units.
    pub sum: Vec<i64>,
    /// What every survivor has in its ledger too.
    pub transcript: Transcript,
}

impl Unmasking {
    pub(super) fn new(
        agreement: Arc<Agreement>,
        dealers: Dealers,
        sum: Lanes,
        survivors: Survivors,
        digest: Digest,
    ) -> Self {
        Self { agreement, dealers, sum, survivors, digest, received: BTreeMap::new() }
    }

    /// The shares that a survivor reveals. Each is compared with what its dealer signed: a false one is
    /// found here, and the site that sent it named.
    ///
    /// # Errors
    /// Another binding or other survivors; not a survivor; not one share of the right secret for every
    /// site of the attempt; a share that is not the one dealt; or a second, different message.
    pub fn accept(&mut self, unmask: Unmask) -> Result<Accepted, Refusal> {
        let site = unmask.site;
        self.survivors.binding.expect(&unmask.binding)?;
        if !self.survivors.survivors.contains_key(&site) {
            return Err(Refusal::NotAMember { site, what: "set of survivors" });
        }
        if unmask.survivors != self.digest {
            return Err(Refusal::SurvivorsChanged);
        }
        if !unmask.shares.keys().eq(self.dealers.keys()) {
            return Err(Refusal::SharesOther { site });
        }
        let binding = &self.survivors.binding.share;
        for (&dealer, revealed) in &unmask.shares {
            if revealed.secret != self.wanted(dealer) {
                return Err(Refusal::SharesOther { site });
            }
            let [own_mask, mask_key] = self.dealers[&dealer].commitments[&site];
            let committed = match revealed.secret {
                Secret::OwnMask => own_mask,
                Secret::MaskKey => mask_key,
            };
            if share_commitment(binding, dealer, site, revealed.secret, &revealed.share) != committed {
                return Err(Refusal::ShareCorrupted { site, dealer });
            }
        }
        if said_before(self.received.get(&site), &unmask, site, "unmask")? {
            return Ok(Accepted::Again);
        }
        self.received.insert(site, unmask);
        Ok(Accepted::New)
    }

    /// Whose shares came. The threshold is enough to close.
    pub fn sites(&self) -> impl Iterator<Item = SiteIndex> {
        self.received.keys().copied()
    }

    /// Takes the masks off; the message goes to all survivors. Costs one key stream of the vector's
    /// length for each survivor, and one more for each pair of a survivor and a site that dropped out.
    ///
    /// # Errors
    /// Fewer sites than the threshold; or a dealer whose signed shares do not make the secret that it
    /// announced.
    pub fn close(self) -> Result<(SecureSum, StepResult), Refusal> {
        self.agreement.enough("unmask", self.received.len())?;
        let threshold = usize::from(self.agreement.terms().parameters().threshold());
        let revealing: Vec<SiteIndex> = self.received.keys().copied().take(threshold).collect();
        let weights = Weights::at_zero(&revealing).expect("t > 0 different sites");
        let mut masks = Vec::new();
        for (&dealer, announced) in &self.dealers {
            let shares: Zeroizing<Vec<[u8; 32]>> =
                Zeroizing::new(revealing.iter().map(|by| *self.received[by].shares[&dealer].share).collect());
            let secret = weights.combine(&shares);
            masks.extend(self.masks_of(dealer, announced, &secret)?);
        }
        let Self { mut sum, survivors, digest, .. } = self;
        apply(&mut sum, &masks);
        let sum = sum.center();
        let result = StepResult { binding: survivors.binding, survivors: digest, sum: sum_digest(&sum) };
        let transcript = Transcript::new(&result, survivors.survivors);
        Ok((SecureSum { sum, transcript }, result))
    }

    fn wanted(&self, dealer: SiteIndex) -> Secret {
        if self.survivors.survivors.contains_key(&dealer) { Secret::OwnMask } else { Secret::MaskKey }
    }

    /// What the site's secret takes off the sum, once it is the one that the site announced.
    fn masks_of(
        &self,
        dealer: SiteIndex,
        announced: &Dealer,
        secret: &[u8; 32],
    ) -> Result<Vec<Mask>, Refusal> {
        let binding = &self.survivors.binding;
        match self.wanted(dealer) {
            Secret::OwnMask => {
                if own_mask_commitment(&binding.share, dealer, secret) != announced.own_mask {
                    return Err(Refusal::DealerFalse { dealer });
                }
                Ok(vec![Mask::own(secret, binding, dealer).removed()])
            }
            Secret::MaskKey => {
                let key = ExchangeKey::from_bytes(secret);
                if key.public() != announced.mask_public {
                    return Err(Refusal::DealerFalse { dealer });
                }
                let left = |&survivor: &SiteIndex| {
                    let agreed = key
                        .agree(&self.dealers[&survivor].mask_public)
                        .map_err(|_| Refusal::LowOrderKey { site: survivor })?;
                    Ok(Mask::pair(&agreed, binding, survivor, dealer).removed())
                };
                self.survivors.survivors.keys().map(left).collect()
            }
        }
    }
}

/// The digest of an unmasked sum that transcripts carry: of its length and its integers, 8 bytes each,
/// lowest first.
#[must_use]
pub fn sum_digest(sum: &[i64]) -> Digest {
    let mut hasher = crate::secagg::agreement::tagged("sum");
    hasher.update(&(sum.len() as u64).to_le_bytes());
    for chunk in sum.chunks(1 << 11) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|value| value.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    hasher.digest()
}

impl fmt::Debug for SecureSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecureSum({} lanes, {:?})", self.sum.len(), self.transcript)
    }
}

#[cfg(test)]
impl Unmasking {
    /// Makes it look as if `dealer` had signed this share for `to`.
    pub(in crate::secagg) fn commit_to(
        &mut self,
        to: SiteIndex,
        dealer: SiteIndex,
        secret: Secret,
        share: &[u8; 32],
    ) {
        let commitment = share_commitment(&self.survivors.binding.share, dealer, to, secret, share);
        let dealer = self.dealers.get_mut(&dealer).expect("a dealer");
        let commitments = dealer.commitments.get_mut(&to).expect("a share for it");
        commitments[usize::from(secret == Secret::MaskKey)] = commitment;
    }
}
