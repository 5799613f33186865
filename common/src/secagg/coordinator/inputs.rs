//! The masked inputs: summed as they come, none is kept.

use super::{Accepted, Dealers, Surviving, said_before};
use crate::id::Digest;
use crate::secagg::agreement::{Agreement, SiteIndex};
use crate::secagg::binding::{ShareBinding, StepBinding};
use crate::secagg::lanes::Lanes;
use crate::secagg::message::{MaskedInput, StepRequest, Survivors};
use crate::secagg::refusal::Refusal;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An attempt that is shared out and waits for its model.
#[derive(Debug)]
pub struct Shared {
    pub(super) agreement: Arc<Agreement>,
    pub(super) binding: ShareBinding,
    pub(super) roster: Digest,
    pub(in crate::secagg) dealers: Dealers,
}

/// An attempt whose masked inputs are coming in.
#[derive(Debug)]
pub struct Inputs {
    agreement: Arc<Agreement>,
    binding: StepBinding,
    dealers: Dealers,
    sum: Lanes,
    received: BTreeMap<SiteIndex, Digest>,
}

impl Shared {
    /// Asks for updates of a model; the message goes to every site that shared.
    #[must_use]
    pub fn request(self, model: Digest) -> (Inputs, StepRequest) {
        let Self { agreement, binding, roster, dealers } = self;
        let binding = StepBinding { share: binding, roster, model };
        let terms = agreement.terms();
        let request = StepRequest { binding, terms: terms.request() };
        let sum = Lanes::zero(terms.parameters().lane(), terms.dimension());
        (Inputs { agreement, binding, dealers, sum, received: BTreeMap::new() }, request)
    }

    /// The sites that take part.
    pub fn sites(&self) -> impl Iterator<Item = SiteIndex> {
        self.dealers.keys().copied()
    }
}

impl Inputs {
    /// A site's masked vector.
    ///
    /// # Errors
    /// Another binding; a site that did not share; another width or length than the terms'; not signed
    /// by the site; or a second, different one.
    pub fn accept(&mut self, input: &MaskedInput) -> Result<Accepted, Refusal> {
        let site = input.site;
        self.binding.expect(&input.binding)?;
        if !self.dealers.contains_key(&site) {
            return Err(Refusal::NotAMember { site, what: "step" });
        }
        let bits = |lanes: &Lanes| u64::from(lanes.width().bits());
        for (what, expected, found) in [
            ("lane bits", bits(&self.sum), bits(&input.lanes)),
            ("length", self.sum.len() as u64, input.lanes.len() as u64),
        ] {
            if expected != found {
                return Err(Refusal::Input { what, expected, found });
            }
        }
        let digest = input.lanes.digest();
        let signed = MaskedInput::signing_input(&self.binding, site, &digest);
        self.agreement.verify(site, "masked input", &signed, &input.signature)?;
        if said_before(self.received.get(&site), &digest, site, "masked input")? {
            return Ok(Accepted::Again);
        }
        self.sum.add(&input.lanes);
        self.received.insert(site, digest);
        Ok(Accepted::New)
    }

    /// Whose masked vectors came.
    pub fn sites(&self) -> impl Iterator<Item = SiteIndex> {
        self.received.keys().copied()
    }

    /// Those whose vectors came are the survivors; the message goes to each of them.
    ///
    /// # Errors
    /// Fewer than the threshold.
    pub fn close(self) -> Result<(Surviving, Survivors), Refusal> {
        let Self { agreement, binding, dealers, sum, received } = self;
        agreement.enough("masked input", received.len())?;
        let survivors = Survivors { binding, survivors: received };
        Ok((Surviving::new(agreement, dealers, sum, survivors.clone()), survivors))
    }
}
