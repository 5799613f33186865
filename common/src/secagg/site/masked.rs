//! The masked vector is sent; the set of survivors is awaited. The secrets behind the masks are gone,
//! the shares of other sites' secrets are kept.

use super::{Held, Session, Signed};
use crate::id::Digest;
use crate::key::SecretKey;
use crate::secagg::binding::StepBinding;
use crate::secagg::message::{Survivors, SurvivorsSignature};
use crate::secagg::refusal::Refusal;
use std::fmt;

/// An attempt whose masked vector left.
pub struct Masked {
    pub(in crate::secagg) binding: StepBinding,
    pub(in crate::secagg) held: Held,
    pub(super) lanes: Digest,
}

impl Masked {
    /// Digest of the masked lanes, as the list of survivors has it.
    #[must_use]
    pub const fn lanes(&self) -> Digest {
        self.lanes
    }

    /// Signs the set of survivors, once: there is no second set for this attempt.
    ///
    /// # Errors
    /// Another binding; fewer survivors than the threshold; a survivor that dealt no shares; this site
    /// missing, or with another vector than it sent.
    pub fn sign(
        self,
        session: &Session,
        identity: &SecretKey,
        survivors: &Survivors,
    ) -> Result<(Signed, SurvivorsSignature), Refusal> {
        let Self { binding, held, lanes } = self;
        binding.expect(&survivors.binding)?;
        session.agreement.enough("masked input", survivors.survivors.len())?;
        if let Some(&site) = survivors.survivors.keys().find(|site| !held.contains_key(site)) {
            return Err(Refusal::NotAMember { site, what: "step" });
        }
        match survivors.survivors.get(&session.own) {
            None => return Err(Refusal::NotASurvivor),
            Some(own) if *own != lanes => return Err(Refusal::OwnMessage { what: "masked input" }),
            Some(_) => {}
        }
        let certified = survivors.digest();
        let signature = identity.sign(&SurvivorsSignature::signing_input(&binding, &certified));
        let message = SurvivorsSignature { binding, site: session.own, survivors: certified, signature };
        Ok((Signed { binding, held, survivors: survivors.survivors.clone(), certified }, message))
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masked({})", self.binding.share.slot)
    }
}
