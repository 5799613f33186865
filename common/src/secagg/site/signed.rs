//! This site signed a set of survivors; the threshold's signatures on the same set are awaited.

use super::{Held, Session, Unmasked};
use crate::id::Digest;
use crate::secagg::agreement::SiteIndex;
use crate::secagg::binding::StepBinding;
use crate::secagg::dealing::halves;
use crate::secagg::message::{Revealed, Secret, SurvivorsCertificate, SurvivorsSignature, Unmask};
use crate::secagg::refusal::Refusal;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// An attempt whose survivors this site signed.
pub struct Signed {
    pub(in crate::secagg) binding: StepBinding,
    pub(in crate::secagg) held: Held,
    pub(super) survivors: BTreeMap<SiteIndex, Digest>,
    pub(super) certified: Digest,
}

impl Signed {
    /// Reveals one share for each site of the attempt: of a survivor's own-mask seed, or of the mask key
    /// of a site that dropped out, never both. All other shares are wiped.
    ///
    /// # Privacy
    /// With both secrets of one site its vector is readable. Since 2t > n + n_C, and every honest site
    /// signs once for an attempt, at most one set of survivors has t signatures; so all honest sites
    /// reveal the same one of the two for every site, and the n_C others' shares of the second are
    /// fewer than t.
    ///
    /// # Errors
    /// Another binding or another set than this site signed; a signer outside the set; a signature that
    /// does not verify; fewer than the threshold.
    pub fn unmask(
        self,
        session: &Session,
        certificate: &SurvivorsCertificate,
    ) -> Result<(Unmasked, Unmask), Refusal> {
        let Self { binding, held, survivors, certified } = self;
        check(session, &binding, &survivors, &certified, certificate)?;
        let shares = held.iter().map(|(&dealer, pair)| {
            let [own_mask, mask_key] = halves(pair);
            let (secret, share) = if survivors.contains_key(&dealer) {
                (Secret::OwnMask, own_mask)
            } else {
                (Secret::MaskKey, mask_key)
            };
            (dealer, Revealed { secret, share: Zeroizing::new(*share) })
        });
        let shares = shares.collect();
        #[cfg(feature = "mutants")]
        let shares = crate::secagg::mutated::revealed(shares, &held);
        let message = Unmask { binding, site: session.own, survivors: certified, shares };
        Ok((Unmasked { binding, survivors, certified }, message))
    }
}

/// Checks that enough of the survivors signed the very set that this site signed.
fn check(
    session: &Session,
    binding: &StepBinding,
    survivors: &BTreeMap<SiteIndex, Digest>,
    certified: &Digest,
    certificate: &SurvivorsCertificate,
) -> Result<(), Refusal> {
    #[cfg(feature = "mutants")]
    if crate::secagg::mutated::believes_survivors() {
        return Ok(());
    }
    binding.expect(&certificate.binding)?;
    if certificate.survivors != *certified {
        return Err(Refusal::SurvivorsChanged);
    }
    let signed = SurvivorsSignature::signing_input(binding, certified);
    for (site, signature) in &certificate.signatures {
        if !survivors.contains_key(site) {
            return Err(Refusal::NotAMember { site: *site, what: "set of survivors" });
        }
        session.agreement.verify(*site, "survivors", &signed, signature)?;
    }
    session.agreement.enough("survivors' signatures", certificate.signatures.len())
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({}, {} survivors)", self.binding.share.slot, self.survivors.len())
    }
}
