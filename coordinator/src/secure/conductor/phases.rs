//! From phase to phase.

use super::{Act, Ask, Conductor, Down, Finished, Model, Revealing, Stage, agreed, at};
use crate::study::{Failure, Summing};
use consilium_common::secagg::coordinator::{SecureSum, Session, Setup, Sharing};
use consilium_common::secagg::message::{Message as _, SurvivorsCertificate};
use consilium_common::secagg::{Refusal, SiteIndex, Slot, SumRecord};
use consilium_common::study::RosterSite;
use consilium_common::study::secure::Summed;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Conductor {
    /// The session's number is durable.
    #[must_use]
    pub fn opened(&mut self, number: u64, now_ms: u64) -> Vec<Act> {
        self.open.session = Some(number);
        self.members = self.live.keys().copied().collect();
        self.stage = Stage::Setup(Setup::new(self.agreement.clone(), number));
        for site in self.members.clone() {
            self.send(site, Down::Open { number, summed: self.open.summed });
        }
        self.await_members(now_ms + self.phase_ms());
        self.settle(now_ms);
        self.done()
    }

    /// It is durable that the attempt failed; `open` is what is tried next.
    #[must_use]
    pub fn failed(&mut self, open: Summing, now_ms: u64) -> Vec<Act> {
        self.go_on(open, now_ms);
        self.done()
    }

    /// What a site did is durable; `open` says who is asked from now on.
    #[must_use]
    pub fn noted(&mut self, open: Summing, now_ms: u64) -> Vec<Act> {
        (self.open.declined, self.open.unready) = (open.declined, open.unready);
        if matches!(self.stage, Stage::Gathering) {
            self.settle(now_ms);
        }
        self.done()
    }

    /// The sum and the model that it made are durable; `open` comes next, `None` when that was the last.
    #[must_use]
    pub fn kept(&mut self, open: Option<Summing>, model: Option<Model>, now_ms: u64) -> Vec<Act> {
        if let Some(model) = model {
            self.model = model;
        }
        let Stage::Keeping(session, result, next) = self.take_stage() else { panic!("a sum was being kept") };
        self.send_members(&result);
        match (open, next) {
            (None, _) => self.stage = Stage::Over,
            (Some(open), Some(sharing)) => {
                self.open = open;
                self.stage = Stage::Sharing(session, sharing);
                // All that was asked for came while the step before was unmasked.
                self.settle(now_ms);
            }
            (Some(open), None) => self.go_on(open, now_ms),
        }
        self.done()
    }

    /// Waits for streams, or opens a session at once.
    fn go_on(&mut self, open: Summing, now_ms: u64) {
        if open.summed != self.open.summed {
            match agreed(&self.study, &self.participants, open.summed) {
                Ok(agreement) => self.agreement = agreement,
                Err(refusal) => return self.stop(&refusal.to_string()),
            }
        }
        self.open = open;
        self.gather(now_ms);
    }

    pub(super) fn gather(&mut self, now_ms: u64) {
        self.stage = Stage::Gathering;
        self.members.clear();
        self.awaited.clear();
        self.awaited_shares.clear();
        self.deadline = Some(now_ms + self.data_ms());
        self.settle(now_ms);
    }

    fn open_session(&mut self) {
        self.gathered = true;
        self.deadline = None;
        self.stage = Stage::Asking;
        self.acts.push(Act::Ask(Ask::Session));
    }

    pub(super) fn gathered_late(&mut self) {
        if self.live.len() >= self.threshold() {
            self.open_session();
        } else {
            self.fail(Failure::TooFewSites);
        }
    }

    fn everybody_came(&self) -> bool {
        let asked = |site: &&_| !self.open.declined.contains(site) && !self.open.unready.contains(site);
        let names: BTreeSet<_> = self.present().collect();
        self.participants.iter().map(|site| &site.name).filter(asked).all(|site| names.contains(site))
    }

    /// Goes on where nothing more is awaited, or where what can still come is too little.
    pub(super) fn settle(&mut self, now_ms: u64) {
        let (came, failure) = match &self.stage {
            Stage::Asking | Stage::Keeping(..) | Stage::Over => return,
            Stage::Gathering => {
                let enough = self.live.len() >= self.threshold();
                if enough && (self.gathered || self.everybody_came()) {
                    self.open_session();
                }
                return;
            }
            Stage::Setup(setup) => (setup.sites().count(), Failure::Setup),
            Stage::Sharing(_, sharing) => (sharing.sites().count(), Failure::Sharing),
            Stage::Masking(_, inputs) => (inputs.sites().count(), Failure::MaskedInput),
            Stage::Signing(_, surviving) => (surviving.sites().count(), Failure::Signatures),
            Stage::Unmasking(revealing) => (revealing.unmasking.sites().count(), Failure::Unmasking),
        };
        if came + self.awaited.len() < self.threshold() {
            self.fail(failure);
        } else if self.awaited.is_empty() && self.awaited_shares.is_empty() {
            self.advance(now_ms);
        }
    }

    fn advance(&mut self, now_ms: u64) {
        match self.take_stage() {
            Stage::Setup(setup) => match setup.close() {
                Ok((mut session, keys)) => {
                    self.members.retain(|site| keys.keys.contains_key(site));
                    self.send_members(&keys);
                    match session.begin(self.slot()) {
                        Ok(sharing) => {
                            self.ask_shares(self.slot());
                            self.stage = Stage::Sharing(session, sharing);
                            self.await_members(now_ms + self.phase_ms());
                        }
                        Err(refusal) => self.stop(&refusal.to_string()),
                    }
                }
                Err(_) => self.fail(Failure::Setup),
            },
            Stage::Sharing(session, sharing) => self.request(session, sharing, now_ms),
            Stage::Masking(session, inputs) => match inputs.close() {
                Ok((surviving, survivors)) => {
                    self.members.retain(|site| survivors.survivors.contains_key(site));
                    self.send_members(&survivors);
                    self.stage = Stage::Signing(session, surviving);
                    self.await_members(now_ms + self.phase_ms());
                }
                Err(_) => self.fail(Failure::MaskedInput),
            },
            Stage::Signing(mut session, surviving) => match surviving.close() {
                Ok((unmasking, certificate)) => {
                    self.send_members(&certificate);
                    let next = self.next_slot().and_then(|slot| session.begin(slot).ok().map(|s| (slot, s)));
                    self.await_members(now_ms + self.phase_ms());
                    let next = next.map(|(slot, sharing)| {
                        self.ask_shares(slot);
                        self.awaited_shares.clone_from(&self.members);
                        sharing
                    });
                    let revealing = Revealing { session, unmasking, certificate, next };
                    self.stage = Stage::Unmasking(Box::new(revealing));
                }
                Err(_) => self.fail(Failure::Signatures),
            },
            Stage::Unmasking(revealing) => {
                let Revealing { session, unmasking, certificate, next } = *revealing;
                self.deadline = None;
                match unmasking.close() {
                    Ok((sum, result)) => {
                        let Some(finished) = self.finish(&sum, &certificate) else { return };
                        self.stage = Stage::Keeping(session, result, next);
                        self.acts.push(Act::Ask(Ask::Sum(Box::new(finished))));
                    }
                    Err(refusal) => {
                        if let Some(site) = at_fault(&refusal) {
                            self.drop_site(site, refusal.rule(), &refusal.to_string());
                        }
                        self.fail(Failure::Unmasking);
                    }
                }
            }
            stage @ (Stage::Gathering | Stage::Asking | Stage::Keeping(..) | Stage::Over) => {
                self.stage = stage;
            }
        }
    }

    /// The sum's file, and the model that it makes.
    fn finish(&mut self, sum: &SecureSum, certificate: &SurvivorsCertificate) -> Option<Finished> {
        let record = SumRecord::of(&self.agreement, sum, certificate).encode(&sum.sum);
        let survivors = sum.transcript.survivors.keys().map(|site| &self.participants[at(*site)]);
        let survivors: Vec<&RosterSite> = survivors.collect();
        let model = match self.open.summed {
            Summed::Training => match self.model.next(&self.study, &survivors, &sum.sum) {
                Ok(model) => Some(model),
                Err(why) => {
                    self.stop(&why);
                    return None;
                }
            },
            Summed::Grouping(_) => None,
        };
        let survivors = survivors.iter().map(|site| site.name.clone()).collect();
        Some(Finished { attempt: self.open.attempt, survivors, record, model })
    }

    fn request(&mut self, session: Session, sharing: Sharing, now_ms: u64) {
        match sharing.close() {
            Ok((shared, deliveries)) => {
                self.members.retain(|site| deliveries.contains_key(site));
                let (inputs, request) = shared.request(self.model.digest);
                let request: Arc<[u8]> = request.to_bytes().into();
                if matches!(self.open.summed, Summed::Grouping(_)) {
                    self.acts.push(Act::Ask(Ask::Requested));
                }
                for site in self.members.clone() {
                    self.send(site, Down::Message(deliveries[&site].to_bytes().into()));
                    self.send(site, Down::Model(Arc::clone(&self.model.bytes)));
                    self.send(site, Down::Message(Arc::clone(&request)));
                }
                self.stage = Stage::Masking(session, inputs);
                self.await_members(now_ms + self.data_ms());
                self.settle(now_ms);
            }
            Err(_) => self.fail(Failure::Sharing),
        }
    }

    /// The step whose shares can come while this one is unmasked: none where it needs another session.
    fn next_slot(&self) -> Option<Slot> {
        let nobody_waits = self.live.keys().all(|site| self.members.contains(site));
        let step = self.open.step + 1;
        let more = self.open.summed == Summed::Training && step < self.study.privacy.training.rounds;
        (more && nobody_waits).then_some(Slot { step, attempt: 0 })
    }

    fn ask_shares(&mut self, slot: Slot) {
        for site in self.members.clone() {
            self.send(site, Down::Share(slot));
        }
    }

    fn await_members(&mut self, deadline: u64) {
        self.awaited.clone_from(&self.members);
        self.awaited_shares.clear();
        self.deadline = Some(deadline);
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        for (site, live) in &mut self.live {
            let asked = u8::from(self.awaited.contains(site)) + u8::from(self.awaited_shares.contains(site));
            live.owed = live.owed.saturating_add(asked);
        }
        self.awaited.clear();
        self.awaited_shares.clear();
        self.deadline = None;
        self.stage = Stage::Asking;
        let requested = matches!(failure, Failure::MaskedInput | Failure::Signatures | Failure::Unmasking);
        self.acts.push(Act::Ask(Ask::Failed { failure, requested }));
    }

    fn stop(&mut self, why: &str) {
        self.stage = Stage::Over;
        self.deadline = None;
        self.acts.push(Act::Ask(Ask::Stop(why.to_owned())));
    }

    fn take_stage(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Over)
    }
}

/// Whose doing it is that shares, all as dealt, do not make the secret.
const fn at_fault(refusal: &Refusal) -> Option<SiteIndex> {
    match refusal {
        Refusal::DealerFalse { dealer } => Some(*dealer),
        Refusal::LowOrderKey { site } => Some(*site),
        _ => None,
    }
}
