//! One session as this site goes through it: which state of the protocol it is in, and what the next
//! message does to it. Without disk, socket or clock; the protocol's own rules are the states'.
//!
//! At most two attempts are under way: one from its masked vector on, and the next one sharing.

use crate::compute::Seed;
use crate::task::Refusal;
use consilium_common::id::Digest;
use consilium_common::key::SecretKey;
use consilium_common::privacy::noise::secret_rng;
use consilium_common::secagg::message::{
    Message, SessionKeys, ShareDelivery, StepRequest, StepResult, Survivors, SurvivorsCertificate,
};
use consilium_common::secagg::site::{self, Joining, Masked, Ready, Reserve, Sharing, Signed, Unmasked};
use consilium_common::secagg::{Agreement, InvalidMessage, NoisedInput, Slot};
use consilium_common::study::secure::Summed;
use consilium_common::{id::SiteName, ledger::entry::Body};

/// A session, from this site's key on.
pub(super) struct Session {
    /// What it sums.
    pub(super) summed: Summed,
    stage: Stage,
    next: Option<Next>,
    current: Option<Current>,
}

enum Stage {
    Joining(Box<Joining>),
    Open(Box<site::Session>),
}

/// An attempt before its masked vector.
enum Next {
    Sharing(Box<Sharing>),
    Ready(Box<Ready>),
}

/// An attempt after it.
enum Current {
    Masked(Masked),
    Signed(Signed),
    Unmasked(Unmasked),
}

impl From<InvalidMessage> for Refusal {
    fn from(invalid: InvalidMessage) -> Self {
        Self { rule: "secagg.message", why: invalid.to_string() }
    }
}

impl Session {
    /// With a fresh channel key, and the message that says it.
    pub(super) fn join(
        summed: Summed,
        agreement: Agreement,
        identity: &SecretKey,
        number: u64,
        seed: &Seed,
    ) -> Result<(Self, Vec<u8>), Refusal> {
        let (joining, key) = Joining::new(agreement, identity, number, &mut secret_rng(**seed))?;
        let stage = Stage::Joining(Box::new(joining));
        Ok((Self { summed, stage, next: None, current: None }, key.to_bytes()))
    }

    /// Whether a masked vector is out whose sum is not known yet.
    pub(super) const fn is_in_attempt(&self) -> bool {
        self.current.is_some()
    }

    /// What was agreed on, once the session is open.
    pub(super) fn agreement(&self) -> Result<&Agreement, Refusal> {
        Ok(self.open()?.agreement())
    }

    /// The session's name.
    pub(super) fn digest(&self) -> Result<Digest, Refusal> {
        Ok(self.open()?.digest())
    }

    /// Everybody's keys have come.
    pub(super) fn keys(self, bytes: &[u8]) -> Result<Self, Refusal> {
        let keys = SessionKeys::from_bytes(bytes)?;
        let Self { summed, stage, .. } = self;
        let Stage::Joining(joining) = stage else { return Err(out_of_order("session keys")) };
        let stage = Stage::Open(Box::new(joining.open(&keys)?));
        Ok(Self { summed, stage, next: None, current: None })
    }

    /// Deals secrets for an attempt.
    pub(super) fn share(
        mut self,
        identity: &SecretKey,
        slot: Slot,
        seed: &Seed,
    ) -> Result<(Self, Vec<u8>), Refusal> {
        let (sharing, shares) = self.open_mut()?.share(identity, slot, &mut secret_rng(**seed))?;
        self.next = Some(Next::Sharing(Box::new(sharing)));
        Ok((self, shares.to_bytes()))
    }

    /// The others' shares have come.
    pub(super) fn deliver(mut self, bytes: &[u8]) -> Result<Self, Refusal> {
        let delivery = ShareDelivery::from_bytes(bytes)?;
        let Some(Next::Sharing(sharing)) = self.next.take() else {
            return Err(out_of_order("a share delivery"));
        };
        let ready = sharing.receive(self.open()?, &delivery)?;
        self.next = Some(Next::Ready(Box::new(ready)));
        Ok(self)
    }

    /// Whether a request is one that this site is ready for.
    pub(super) fn request(&self, bytes: &[u8]) -> Result<StepRequest, Refusal> {
        let request = StepRequest::from_bytes(bytes)?;
        let Some(Next::Ready(ready)) = &self.next else { return Err(out_of_order("a step request")) };
        ready.check(self.open()?, &request)?;
        Ok(request)
    }

    /// Puts masks on; the message and the digest of the masked lanes. What was left of the attempt
    /// before is wiped.
    pub(super) fn mask(
        mut self,
        identity: &SecretKey,
        request: &StepRequest,
        reserve: &Reserve,
        input: &NoisedInput,
    ) -> Result<(Self, Vec<u8>, Digest), Refusal> {
        let Some(Next::Ready(ready)) = self.next.take() else {
            return Err(out_of_order("a step request"));
        };
        let (masked, message) = ready.mask(self.open_mut()?, identity, request, reserve, input)?;
        let output = masked.lanes();
        self.current = Some(Current::Masked(masked));
        Ok((self, message.to_bytes(), output))
    }

    /// Signs the set of survivors.
    pub(super) fn sign(mut self, identity: &SecretKey, bytes: &[u8]) -> Result<(Self, Vec<u8>), Refusal> {
        let survivors = Survivors::from_bytes(bytes)?;
        let Some(Current::Masked(masked)) = self.current.take() else {
            return Err(out_of_order("survivors"));
        };
        let (signed, message) = masked.sign(self.open()?, identity, &survivors)?;
        self.current = Some(Current::Signed(signed));
        Ok((self, message.to_bytes()))
    }

    /// Reveals one share of each site.
    pub(super) fn unmask(mut self, bytes: &[u8]) -> Result<(Self, Vec<u8>), Refusal> {
        let certificate = SurvivorsCertificate::from_bytes(bytes)?;
        let Some(Current::Signed(signed)) = self.current.take() else {
            return Err(out_of_order("a survivors' certificate"));
        };
        let (unmasked, message) = signed.unmask(self.open()?, &certificate)?;
        self.current = Some(Current::Unmasked(unmasked));
        Ok((self, message.to_bytes()))
    }

    /// How the attempt ended, as an entry about the masked vector that entry `commit` is of.
    pub(super) fn finish(mut self, bytes: &[u8], commit: u64) -> Result<(Self, Body), Refusal> {
        let result = StepResult::from_bytes(bytes)?;
        let Some(Current::Unmasked(unmasked)) = self.current.take() else {
            return Err(out_of_order("a step's result"));
        };
        let transcript = unmasked.finish(&result)?;
        let roster = self.agreement()?.roster();
        let name = |index: &_| roster.name(*index).expect("signed survivors are on the roster").clone();
        let survivors: Vec<SiteName> = transcript.survivors.keys().map(name).collect();
        let (sum, transcript) = (transcript.sum, transcript.digest());
        Ok((self, Body::Sum { commit, survivors, sum, transcript }))
    }

    fn open(&self) -> Result<&site::Session, Refusal> {
        match &self.stage {
            Stage::Open(session) => Ok(session),
            Stage::Joining(_) => Err(out_of_order("a step")),
        }
    }

    fn open_mut(&mut self) -> Result<&mut site::Session, Refusal> {
        match &mut self.stage {
            Stage::Open(session) => Ok(session),
            Stage::Joining(_) => Err(out_of_order("a step")),
        }
    }
}

/// For a message that does not follow on what came before.
pub(super) fn out_of_order(what: &str) -> Refusal {
    Refusal { rule: "secagg.order", why: format!("{what} came out of order") }
}
