//! Conducts secure sums with the coordinator's real states over the agents' real streams.

use super::hall::{Seat, Up};
use consilium_common::id::Digest;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::secagg::coordinator::{Inputs, SecureSum, Session, Setup, Shared};
use consilium_common::secagg::message::{
    MaskedInput, Message, SessionKey, ShareDelivery, Shares, SurvivorsSignature, Unmask,
};
use consilium_common::secagg::{Agreement, SiteIndex, Slot, SumRecord};
use consilium_common::study::secure::{self, Summed};
use consilium_common::study::{RosterSite, Study};
use consilium_proto::v1 as wire;
use consilium_proto::v1::{secure_down, secure_open};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// When a site drops out of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its masked vector does not arrive.
    Masked,
    /// Its signature does not.
    Signed,
    /// Its shares do not.
    Unmasked,
}

pub(super) struct Conductor {
    pub(super) study: Arc<Study>,
    arrivals: mpsc::UnboundedReceiver<Seat>,
    pub(super) seats: BTreeMap<SiteIndex, Seat>,
    session: Option<(Session, Summed)>,
    number: u64,
}

pub(super) fn index(site: usize) -> SiteIndex {
    SiteIndex::new(u8::try_from(site + 1).expect("few")).expect("not 0")
}

/// What a round starts from: the initial model under every round's number.
pub(super) fn model(study: &Study, round: u32) -> Vec<u8> {
    let architecture = study.architecture();
    let values = study.initial_parameters();
    let header = ModelHeader { schema: "model/1".into(), study: study.digest, round, architecture };
    blob::encode(&header, &values)
}

pub(super) fn agreement(study: &Study, summed: Summed) -> Agreement {
    let everybody: Vec<&RosterSite> = study.sites.iter().collect();
    secure::agreement(study, &everybody, summed).expect("agrees")
}

fn part(bytes: Vec<u8>) -> wire::SecurePart {
    wire::SecurePart { bytes: bytes.into(), last: true }
}

impl Conductor {
    pub(super) fn new(study: Arc<Study>, arrivals: mpsc::UnboundedReceiver<Seat>) -> Self {
        Self { study, arrivals, seats: BTreeMap::new(), session: None, number: 0 }
    }

    /// Waits until so many sites more have come.
    pub(super) async fn seat(&mut self, count: usize) {
        for _ in 0..count {
            let seat = self.arrivals.recv().await.expect("a site comes");
            self.seats.insert(index(seat.site), seat);
        }
    }

    pub(super) async fn say(&self, to: SiteIndex, message: &impl Message) {
        self.seats[&to].say(secure_down::Part::Message(part(message.to_bytes()))).await;
    }

    pub(super) async fn hear<M: Message>(&mut self, from: SiteIndex) -> M {
        match self.seats.get_mut(&from).expect("seated").hear().await {
            Up::Message(bytes) => M::from_bytes(&bytes).expect("a message"),
            other => panic!("{other:?}"),
        }
    }

    /// As [`Self::hear`]; a site whose stream has ended has dropped out.
    async fn hear_or_lose<M: Message>(&mut self, from: SiteIndex) -> Option<M> {
        match self.seats.get_mut(&from).expect("seated").hear().await {
            Up::Message(bytes) => Some(M::from_bytes(&bytes).expect("a message")),
            Up::Ended => {
                self.seats.remove(&from);
                None
            }
            refused @ Up::Refused(_) => panic!("{refused:?}"),
        }
    }

    fn everybody(&self) -> Vec<SiteIndex> {
        self.seats.keys().copied().collect()
    }

    /// Opens a session with all who are there.
    pub(super) async fn open(&mut self, summed: Summed) {
        self.number += 1;
        let sums = match summed {
            Summed::Training => secure_open::Sums::Training(wire::SecureTraining {}),
            Summed::Grouping(earmark) => {
                secure_open::Sums::Grouping(self.study.groupings()[earmark as usize - 1].clone())
            }
        };
        let open = wire::SecureOpen { number: self.number, sums: Some(sums) };
        for seat in self.seats.values() {
            seat.say(secure_down::Part::Open(open.clone())).await;
        }
        let mut setup = Setup::new(agreement(&self.study, summed), self.number);
        for site in self.everybody() {
            if let Some(key) = self.hear_or_lose::<SessionKey>(site).await {
                setup.accept(&key).expect("a good key");
            }
        }
        let (session, keys) = setup.close().expect("enough");
        for site in self.everybody() {
            self.say(site, &keys).await;
        }
        self.session = Some((session, summed));
    }

    pub(super) async fn ask_to_share(&self, slot: Slot) {
        for seat in self.seats.values() {
            let share = wire::SecureShare { step: slot.step, attempt: slot.attempt };
            seat.say(secure_down::Part::Share(share)).await;
        }
    }

    /// Everybody deals for an attempt.
    pub(super) async fn share(&mut self, slot: Slot) -> (Shared, BTreeMap<SiteIndex, ShareDelivery>) {
        self.ask_to_share(slot).await;
        self.dealt(slot).await
    }

    async fn dealt(&mut self, slot: Slot) -> (Shared, BTreeMap<SiteIndex, ShareDelivery>) {
        let mut sharing = self.session.as_mut().expect("open").0.begin(slot).expect("a later slot");
        for site in self.everybody() {
            if let Some(shares) = self.hear_or_lose::<Shares>(site).await {
                sharing.accept(shares).expect("good shares");
            }
        }
        sharing.close().expect("enough")
    }

    /// Everybody is asked for a masked vector.
    pub(super) async fn request(
        &mut self,
        (shared, deliveries): (Shared, BTreeMap<SiteIndex, ShareDelivery>),
        model: Vec<u8>,
    ) -> Inputs {
        let (inputs, request) = shared.request(Digest::of(&model));
        for site in self.everybody() {
            self.say(site, &deliveries[&site]).await;
            self.seats[&site].say(secure_down::Part::Model(part(model.clone()))).await;
            self.say(site, &request).await;
        }
        inputs
    }

    /// One attempt, with a site that drops out (its stream is cut) at a phase; the slot after it is shared
    /// for while this one is unmasked.
    pub(super) async fn attempt(
        &mut self,
        dealt: (Shared, BTreeMap<SiteIndex, ShareDelivery>),
        model: Vec<u8>,
        lost: Option<(SiteIndex, Lost)>,
        next: Option<Slot>,
    ) -> (SecureSum, SumRecord, Option<(Shared, BTreeMap<SiteIndex, ShareDelivery>)>) {
        let mut inputs = self.request(dealt, model).await;
        for site in self.everybody() {
            let Some(input) = self.hear_or_lose::<MaskedInput>(site).await else { continue };
            if lost == Some((site, Lost::Masked)) {
                self.seats.remove(&site);
            } else {
                inputs.accept(&input).expect("a good input");
            }
        }
        let (mut surviving, survivors) = inputs.close().expect("enough");
        for site in self.everybody() {
            self.say(site, &survivors).await;
        }
        for site in self.everybody() {
            let Some(signature) = self.hear_or_lose::<SurvivorsSignature>(site).await else { continue };
            if lost == Some((site, Lost::Signed)) {
                self.seats.remove(&site);
            } else {
                surviving.accept(&signature).expect("a good signature");
            }
        }
        let (mut unmasking, certificate) = surviving.close().expect("enough");
        for site in self.everybody() {
            self.say(site, &certificate).await;
        }
        if let Some(next) = next {
            self.ask_to_share(next).await;
        }
        for site in self.everybody() {
            let Some(unmask) = self.hear_or_lose::<Unmask>(site).await else { continue };
            if lost == Some((site, Lost::Unmasked)) {
                self.seats.remove(&site);
            } else {
                unmasking.accept(unmask).expect("good shares");
            }
        }
        let (sum, result) = unmasking.close().expect("a sum");
        for site in self.everybody() {
            self.say(site, &result).await;
        }
        let summed = self.session.as_ref().expect("open").1;
        let record = SumRecord::of(&agreement(&self.study, summed), &sum, &certificate);
        let shared = match next {
            Some(next) => Some(self.dealt(next).await),
            None => None,
        };
        (sum, record, shared)
    }

    /// Takes everybody's masked vectors.
    pub(super) async fn gather(&mut self, mut inputs: Inputs) -> Inputs {
        for site in self.everybody() {
            let input: MaskedInput = self.hear(site).await;
            inputs.accept(&input).expect("a good input");
        }
        inputs
    }

    /// From the masked vectors to the sum, with all who are there.
    pub(super) async fn finish(&mut self, inputs: Inputs) -> SumRecord {
        let (mut surviving, survivors) = inputs.close().expect("enough");
        for site in self.everybody() {
            self.say(site, &survivors).await;
            let signature: SurvivorsSignature = self.hear(site).await;
            surviving.accept(&signature).expect("a good signature");
        }
        let (mut unmasking, certificate) = surviving.close().expect("enough");
        for site in self.everybody() {
            self.say(site, &certificate).await;
            unmasking.accept(self.hear(site).await).expect("good shares");
        }
        let (sum, result) = unmasking.close().expect("a sum");
        for site in self.everybody() {
            self.say(site, &result).await;
        }
        let summed = self.session.as_ref().expect("open").1;
        SumRecord::of(&agreement(&self.study, summed), &sum, &certificate)
    }

    /// Ends all streams.
    pub(super) fn end(&mut self) {
        self.seats.clear();
    }
}
