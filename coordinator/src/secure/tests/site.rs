//! A site made of the protocol's own machines, with a ledger's memory: it adds real noise shares to
//! integers that the test knows, and checks of every attempt that it comes after the one before.

use super::key;
use crate::secure::{Down, by_name};
use consilium_common::id::{Digest, SiteName};
use consilium_common::privacy::noise::{DiscreteGaussian, SecretRng, secret_rng};
use consilium_common::secagg::message::{
    Message as _, SessionKeys, ShareDelivery, StepRequest, StepResult, Survivors, SurvivorsCertificate,
};
use consilium_common::secagg::site::{Joining, Masked, Ready, Reserve, Session, Sharing, Signed, Unmasked};
use consilium_common::secagg::{NoiseShare, Slot, Transcript};
use consilium_common::study::secure::{Summed, agreement};
use consilium_common::study::{RosterSite, Study};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Earmark, step, attempt.
pub type At = (u32, u32, u32);

pub struct Site {
    pub name: SiteName,
    study: Arc<Study>,
    participants: Vec<RosterSite>,
    rng: SecretRng,
    seeds: u64,
    /// The stream's: gone when it breaks.
    summed: Summed,
    joining: Option<Joining>,
    session: Option<Session>,
    sharing: Option<Sharing>,
    step: Step,
    model: Option<Digest>,
    /// The ledger's: what was masked, ever, with the noised integers.
    pub masked: BTreeMap<At, Vec<i64>>,
    pub ended: Vec<Transcript>,
    sessions: BTreeSet<u64>,
}

enum Step {
    None,
    Ready(Ready),
    Masked(Masked),
    Signed(Signed),
    Unmasked(Unmasked),
}

impl Site {
    pub fn new(name: &str, study: Arc<Study>, participants: &BTreeSet<SiteName>) -> Self {
        let participants = by_name(&study, participants).into_iter().cloned().collect();
        Self {
            name: super::name(name),
            study,
            participants,
            rng: secret_rng([name.as_bytes()[0]; 32]),
            seeds: 0,
            summed: Summed::Training,
            joining: None,
            session: None,
            sharing: None,
            step: Step::None,
            model: None,
            masked: BTreeMap::new(),
            ended: Vec::new(),
            sessions: BTreeSet::new(),
        }
    }

    /// The stream broke: secrets are gone, the ledger is not.
    pub fn forget(&mut self) {
        (self.joining, self.session, self.sharing) = (None, None, None);
        self.step = Step::None;
    }

    fn key(&self) -> consilium_common::key::SecretKey {
        key(self.name.as_str())
    }

    /// What it answers; it refuses nothing that an honest coordinator asks.
    pub fn receive(&mut self, down: &Down) -> Option<Vec<u8>> {
        let identity = self.key();
        match down {
            Down::Open { number, summed } => {
                assert!(self.sessions.insert(*number), "session {number} twice");
                self.forget();
                self.summed = *summed;
                let sites: Vec<&RosterSite> = self.participants.iter().collect();
                let agreement = agreement(&self.study, &sites, *summed).expect("agrees");
                let (joining, key) =
                    Joining::new(agreement, &identity, *number, &mut self.rng).expect("on the roster");
                self.joining = Some(joining);
                Some(key.to_bytes())
            }
            Down::Share(slot) => {
                let session = self.session.as_mut().expect("an open session");
                let (sharing, shares) = session.share(&identity, *slot, &mut self.rng).expect("a new slot");
                self.sharing = Some(sharing);
                Some(shares.to_bytes())
            }
            Down::Model(bytes) => {
                self.model = Some(Digest::of(bytes));
                None
            }
            Down::Refused { rule, why } => panic!("{} is honest: {rule}: {why}", self.name),
            Down::Message(bytes) => self.message(bytes),
        }
    }

    fn message(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let identity = self.key();
        if let Ok(keys) = SessionKeys::from_bytes(bytes) {
            let joining = self.joining.take().expect("its key is out");
            self.session = Some(joining.open(&keys).expect("good keys"));
            return None;
        }
        let session = self.session.as_mut().expect("an open session");
        let (step, answer) = match (std::mem::replace(&mut self.step, Step::None), bytes[4]) {
            (Step::None, ShareDelivery::KIND) => {
                let delivery = ShareDelivery::from_bytes(bytes).expect("parses");
                let sharing = self.sharing.take().expect("it has shared");
                (Step::Ready(sharing.receive(session, &delivery).expect("good shares")), None)
            }
            (Step::Ready(ready), StepRequest::KIND) => {
                let request = StepRequest::from_bytes(bytes).expect("parses");
                ready.check(session, &request).expect("the study's terms");
                assert_eq!(Some(request.binding.model), self.model, "the model came before the request");
                let slot = ready.slot();
                self.seeds += 1;
                let mut seed = [self.name.as_str().as_bytes()[0]; 32];
                seed[..8].copy_from_slice(&self.seeds.to_le_bytes());
                let values = self.remember(slot, seed);
                let session = self.session.as_mut().expect("an open session");
                let terms = *session.agreement().terms();
                let noise = NoiseShare::draw(terms.parameters(), terms.dimension(), &mut secret_rng(seed));
                let input = noise.add_to(values);
                let reserve = Reserve {
                    study: self.study.digest,
                    slot,
                    model: request.binding.model,
                    use_index: self.seeds,
                };
                let (masked, message) =
                    ready.mask(session, &identity, &request, &reserve, &input).expect("masks");
                (Step::Masked(masked), Some(message.to_bytes()))
            }
            (Step::Masked(masked), Survivors::KIND) => {
                let survivors = Survivors::from_bytes(bytes).expect("parses");
                let (signed, message) = masked.sign(session, &identity, &survivors).expect("signs");
                (Step::Signed(signed), Some(message.to_bytes()))
            }
            (Step::Signed(signed), SurvivorsCertificate::KIND) => {
                let certificate = SurvivorsCertificate::from_bytes(bytes).expect("parses");
                let (unmasked, message) = signed.unmask(session, &certificate).expect("unmasks");
                (Step::Unmasked(unmasked), Some(message.to_bytes()))
            }
            (Step::Unmasked(unmasked), StepResult::KIND) => {
                let result = StepResult::from_bytes(bytes).expect("parses");
                self.ended.push(unmasked.finish(&result).expect("its own step"));
                (Step::None, None)
            }
            (_, kind) => panic!("{}: message {kind} out of order", self.name),
        };
        self.step = step;
        answer
    }

    /// Notes in its ledger what leaves, noise and all; returns the values without noise.
    fn remember(&mut self, slot: Slot, seed: [u8; 32]) -> Vec<i64> {
        let earmark = self.summed.earmark();
        let at = (earmark, slot.step, slot.attempt);
        let last = self.masked.range(..=(earmark, u32::MAX, u32::MAX)).next_back();
        if let Some(((last_earmark, step, attempt), _)) = last {
            assert!(
                *last_earmark < earmark || (*step, *attempt) < (slot.step, slot.attempt),
                "{}: {at:?} after step {step}, attempt {attempt}",
                self.name
            );
        }
        let terms = *self.session.as_ref().expect("open").agreement().terms();
        let own = i64::from(self.name.as_str().as_bytes()[0]);
        let values: Vec<i64> = (0..terms.dimension() as i64).map(|lane| lane * 101 - own * 40_000).collect();
        let gaussian = DiscreteGaussian::new(terms.parameters().sigma_share_units()).expect("in range");
        let noise = gaussian.vector(&mut secret_rng(seed), values.len());
        let noised = values.iter().zip(noise.iter()).map(|(value, noise)| value + noise).collect();
        self.masked.insert(at, noised);
        values
    }
}
