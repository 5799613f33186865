//! The consistency round: the survivors sign who they are.

use super::{Accepted, Dealers, Unmasking, said_before};
use crate::id::Digest;
use crate::key::Signature;
use crate::secagg::agreement::{Agreement, SiteIndex};
use crate::secagg::lanes::Lanes;
use crate::secagg::message::{Survivors, SurvivorsCertificate, SurvivorsSignature};
use crate::secagg::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An attempt whose survivors are signing.
#[derive(Debug)]
pub struct Surviving {
    agreement: Arc<Agreement>,
    dealers: Dealers,
    sum: Lanes,
    survivors: Survivors,
    digest: Digest,
    signatures: BTreeMap<SiteIndex, Signature>,
}

impl Surviving {
    pub(super) fn new(agreement: Arc<Agreement>, dealers: Dealers, sum: Lanes, survivors: Survivors) -> Self {
        let digest = survivors.digest();
        Self { agreement, dealers, sum, survivors, digest, signatures: BTreeMap::new() }
    }

    /// A survivor's signature.
    ///
    /// # Errors
    /// Another binding or other survivors; not a survivor; or not its signature.
    pub fn accept(&mut self, message: &SurvivorsSignature) -> Result<Accepted, Refusal> {
        let site = message.site;
        self.survivors.binding.expect(&message.binding)?;
        if !self.survivors.survivors.contains_key(&site) {
            return Err(Refusal::NotAMember { site, what: "set of survivors" });
        }
        if message.survivors != self.digest {
            return Err(Refusal::SurvivorsChanged);
        }
        let signed = SurvivorsSignature::signing_input(&self.survivors.binding, &self.digest);
        self.agreement.verify(site, "survivors", &signed, &message.signature)?;
        if said_before(self.signatures.get(&site), &message.signature, site, "survivors")? {
            return Ok(Accepted::Again);
        }
        self.signatures.insert(site, message.signature);
        Ok(Accepted::New)
    }

    /// Whose signatures came. The threshold is enough to go on.
    pub fn sites(&self) -> impl Iterator<Item = SiteIndex> {
        self.signatures.keys().copied()
    }

    /// The certificate goes to all survivors, also to those whose signature did not come.
    ///
    /// # Errors
    /// Fewer signatures than the threshold.
    pub fn close(self) -> Result<(Unmasking, SurvivorsCertificate), Refusal> {
        let Self { agreement, dealers, sum, survivors, digest, signatures } = self;
        agreement.enough("survivors' signatures", signatures.len())?;
        let binding = survivors.binding;
        let certificate = SurvivorsCertificate { binding, survivors: digest, signatures };
        Ok((Unmasking::new(agreement, dealers, sum, survivors, digest), certificate))
    }
}
