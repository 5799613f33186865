//! All secrets of the attempt are in place; the model, the reserve and the data are awaited.

use super::{Held, Masked, Session};
use crate::id::Digest;
use crate::key::SecretKey;
use crate::secagg::agreement::SiteIndex;
use crate::secagg::binding::{ShareBinding, Slot, StepBinding};
use crate::secagg::lanes::Lanes;
use crate::secagg::mask::{Mask, apply};
use crate::secagg::message::{MaskedInput, StepRequest};
use crate::secagg::noise_share::NoisedInput;
use crate::secagg::refusal::Refusal;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// What this site's ledger has durably burnt, and had cosigned, for one attempt of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// Of which study.
    pub study: Digest,
    /// For which attempt.
    pub slot: Slot,
    /// Of the exact bytes of the model that the site itself fetched, checked and computed on.
    pub model: Digest,
    /// Which use of the study's training earmark; each attempt burns one of its own, and they rise.
    pub use_index: u64,
}

/// An attempt that can be masked.
pub struct Ready {
    pub(super) binding: ShareBinding,
    pub(super) roster: Digest,
    pub(in crate::secagg) held: Held,
    pub(in crate::secagg) secrets: BTreeMap<SiteIndex, Zeroizing<[u8; 32]>>,
    pub(in crate::secagg) own_seed: Zeroizing<[u8; 32]>,
}

impl Ready {
    /// Step and attempt.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.binding.slot
    }

    /// Whether the study's terms are what the request asks for, and everything in it is what this site
    /// is ready for. Ask before the ledger reserves and the data are read; [`Self::mask`] asks again.
    ///
    /// # Errors
    /// As [`Self::mask`], as far as the request is concerned.
    pub fn check(&self, session: &Session, request: &StepRequest) -> Result<(), Refusal> {
        session.agreement.terms().agree(&request.terms)?;
        self.bound(request.binding.model).expect(&request.binding)
    }

    /// Puts the masks on. The masked vector leaves once: sending its exact bytes again is free, another
    /// attempt is another reserve.
    ///
    /// # Privacy
    /// Requires of the caller that `reserve` is durable, and that `input` carries noise drawn for this
    /// attempt alone. Claim: without the help of t sites that signed one set of survivors, the masked
    /// vector is indistinguishable from uniform lanes (X25519 and HKDF as a key agreement, ChaCha20 as
    /// a pseudo-random generator; Bonawitz et al. 2017, theorem 6.5); with it, it enters one sum over at
    /// least t sites.
    ///
    /// # Errors
    /// Another number in the request than in the approved study; another study, session, step, attempt,
    /// roster or model; a reserve for something else or used before; a vector of another length or
    /// noise share than the terms'.
    pub fn mask(
        self,
        session: &mut Session,
        identity: &SecretKey,
        request: &StepRequest,
        reserve: &Reserve,
        input: &NoisedInput,
    ) -> Result<(Masked, MaskedInput), Refusal> {
        self.check(session, request)?;
        let same = |field, same: bool| if same { Ok(()) } else { Err(Refusal::Reserve { field }) };
        same("study", reserve.study == self.binding.study)?;
        same("step or attempt", reserve.slot == self.binding.slot)?;
        same("model", reserve.model == request.binding.model)?;
        let terms = session.agreement.terms();
        fits("length", terms.dimension() as u64, input.values().len() as u64)?;
        fits("noise share", terms.parameters().sigma_share_units(), input.sigma_share_units())?;
        let width = terms.parameters().lane();
        session.use_reserve(reserve.use_index)?;

        let (binding, own) = (self.bound(reserve.model), session.own);
        let mut masks = vec![Mask::own(&self.own_seed, &binding, own)];
        masks.extend(self.secrets.iter().map(|(&other, secret)| Mask::pair(secret, &binding, own, other)));
        let mut lanes = Lanes::wrap(width, input.values());
        apply(&mut lanes, &masks);

        let digest = lanes.digest();
        let signature = identity.sign(&MaskedInput::signing_input(&binding, own, &digest));
        let state = Masked { binding, held: self.held, lanes: digest };
        Ok((state, MaskedInput { binding, site: own, lanes, signature }))
    }

    fn bound(&self, model: Digest) -> StepBinding {
        StepBinding { share: self.binding, roster: self.roster, model }
    }
}

fn fits(what: &'static str, expected: u64, found: u64) -> Result<(), Refusal> {
    if expected == found { Ok(()) } else { Err(Refusal::Input { what, expected, found }) }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ready({}, {} sites)", self.binding.slot, self.held.len())
    }
}
