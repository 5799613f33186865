//! Sums of a session as an honest coordinator runs them, with one lie in them.

use super::Victim;
use super::line::{Answer, Line, NoAnswer};
use super::peers::{Peers, PerSite};
use consilium_common::id::Digest;
use consilium_common::key::{SecretKey, Signature};
use consilium_common::secagg::coordinator::SecureSum;
use consilium_common::secagg::message::{
    MaskedInput, Message, SessionKey, SessionKeys, ShareDelivery, Shares, StepRequest, StepResult, Survivors,
    SurvivorsCertificate, SurvivorsSignature, Unmask,
};
use consilium_common::secagg::{Agreement, Lanes, Refusal, SiteIndex, Slot};
use consilium_common::study::secure::Summed;
use std::collections::BTreeMap;

/// What the real agent is told at one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The session's keys.
    Keys,
    /// Which attempt to share for.
    Share,
    /// What the others dealt to it.
    Delivery,
    /// The model's bytes.
    Model,
    /// The request of the step.
    Request,
    /// The survivors.
    Survivors,
    /// Their certificate.
    Certificate,
    /// What came out.
    Result,
}

/// What a hostile coordinator knows that has some hospitals on its side.
pub struct Knows<'a> {
    /// The session's agreement.
    pub agreement: &'a Agreement,
    /// What the others sign with.
    pub identities: &'a PerSite<SecretKey>,
}

impl Knows<'_> {
    /// One of the others signs anything: the protocol's name, a purpose and the parts.
    #[must_use]
    pub fn sign(&self, site: SiteIndex, purpose: &str, parts: &[&[u8]]) -> Signature {
        let mut bytes = format!("consilium/secagg/1/{purpose}\n").into_bytes();
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        self.identities[&site].sign(&bytes)
    }
}

/// One lie.
pub enum Lie {
    /// Other keys.
    Keys(fn(&mut SessionKeys, &Knows<'_>)),
    /// Another attempt.
    Share(fn(&mut Slot)),
    /// Other shares.
    Delivery(fn(&mut ShareDelivery, &Knows<'_>)),
    /// Other bytes of the model than the request names.
    Model(fn(&mut Vec<u8>)),
    /// Another model, which the request names.
    OtherModel(fn(&Victim) -> Vec<u8>),
    /// Another request.
    Request(fn(&mut StepRequest)),
    /// A request with another number at this place of the terms.
    Term(usize),
    /// Other survivors.
    Survivors(fn(&mut Survivors)),
    /// Another certificate.
    Certificate(fn(&mut SurvivorsCertificate, &Knows<'_>)),
    /// Another result.
    Result(fn(&mut StepResult)),
    /// The same stage's bytes again that were last sent there.
    Replay(Stage),
    /// At this stage, bytes that are no message.
    Garbage(Stage, &'static [u8]),
    /// At this stage, the bytes of another stage's message that was last sent.
    Misplaced(Stage, Stage),
    /// At this stage, the message twice.
    Twice(Stage),
    /// At this stage, a word that says nothing.
    Nothing(Stage),
    /// From this stage on, nothing.
    Silence(Stage),
}

impl Lie {
    /// The first message that it is in, or the words where it is told.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Keys(_) => Stage::Keys,
            Self::Share(_) => Stage::Share,
            Self::Delivery(_) => Stage::Delivery,
            Self::Model(_) | Self::OtherModel(_) => Stage::Model,
            Self::Request(_) | Self::Term(_) => Stage::Request,
            Self::Survivors(_) => Stage::Survivors,
            Self::Certificate(_) => Stage::Certificate,
            Self::Result(_) => Stage::Result,
            Self::Replay(at)
            | Self::Garbage(at, _)
            | Self::Misplaced(at, _)
            | Self::Twice(at)
            | Self::Nothing(at)
            | Self::Silence(at) => *at,
        }
    }
}

/// What an attempt left.
pub struct Attempt {
    /// The real agent's masked vector.
    pub masked: Lanes,
    /// What it revealed.
    pub unmask: Unmask,
    /// Whether an honest coordinator takes that.
    pub unmasked: Result<(), Refusal>,
    /// What came out.
    pub sum: SecureSum,
}

/// A session that is open at the real agent.
pub struct Run<'a> {
    /// The real agent.
    pub victim: &'a Victim,
    /// Its stream.
    pub line: Line,
    /// The others.
    pub peers: Peers,
    /// Those of the others that do not share.
    pub silent: Vec<SiteIndex>,
    /// The round of the models, where it is not the step's.
    round: Option<u32>,
    told: BTreeMap<Stage, Vec<u8>>,
}

impl<'a> Run<'a> {
    /// Opens a session.
    ///
    /// # Errors
    /// The agent refuses. With a lie in the keys that shows at the next thing that it says.
    ///
    /// # Panics
    /// It says something that an honest coordinator would refuse.
    pub async fn open(
        victim: &'a Victim,
        line: Line,
        number: u64,
        summed: Summed,
        lie: Option<&Lie>,
    ) -> Result<Self, (Line, NoAnswer)> {
        Self::reopen(victim, line, number, summed, lie, BTreeMap::new()).await
    }

    /// Another session over the same stream.
    ///
    /// # Errors
    /// As [`Self::open`].
    ///
    /// # Panics
    /// As [`Self::open`].
    pub async fn next(
        self,
        number: u64,
        summed: Summed,
        lie: Option<&Lie>,
    ) -> Result<Self, (Line, NoAnswer)> {
        Self::reopen(self.victim, self.line, number, summed, lie, self.told).await
    }

    async fn reopen(
        of: &'a Victim,
        mut line: Line,
        number: u64,
        summed: Summed,
        lie: Option<&Lie>,
        mut told: BTreeMap<Stage, Vec<u8>>,
    ) -> Result<Self, (Line, NoAnswer)> {
        match summed {
            Summed::Training => line.open(number).await,
            Summed::Grouping(_) => {
                let earmarks = consilium_common::study::earmarks(&of.study);
                line.open_grouping(number, &earmarks[summed.earmark() as usize].name).await;
            }
        }
        let own = match line.expect::<SessionKey>().await {
            Ok(own) => own,
            Err(error) => return Err((line, error)),
        };
        let (peers, mut keys) = Peers::open(of.agreement(summed), of.identities(), number, Some(&own));
        let knows = Knows { agreement: &peers.agreement, identities: &peers.identities };
        if let Some(Lie::Keys(change)) = lie {
            change(&mut keys, &knows);
        }
        send(&mut line, &mut told, lie, Stage::Keys, keys.to_bytes()).await;
        let round = match summed {
            Summed::Training => None,
            Summed::Grouping(_) => Some(of.study.privacy.training.rounds),
        };
        Ok(Self { victim: of, line, peers, silent: Vec::new(), round, told })
    }

    /// One attempt, with these parameters for a model (of round 0 the public ones).
    ///
    /// # Errors
    /// The agent refuses, or goes.
    ///
    /// # Panics
    /// It says something that an honest coordinator would refuse.
    pub async fn attempt(
        &mut self,
        slot: Slot,
        values: &[i32],
        lie: Option<&Lie>,
    ) -> Result<Attempt, NoAnswer> {
        let mut asked = slot;
        if let Some(Lie::Share(change)) = lie {
            change(&mut asked);
        }
        quiet(lie, Stage::Share)?;
        self.line.share(asked).await;
        if let Some(Lie::Twice(Stage::Share)) = lie {
            self.line.share(asked).await;
        }
        let own: Shares = self.line.expect().await?;
        let dealing = self.peers.begin(slot, &self.silent);
        let (dealt, delivery) = self.peers.deal(dealing, Some(own)).expect("good shares of the real agent");
        let mut delivery = delivery.expect("it shared");
        if let Some(Lie::Delivery(change)) = lie {
            let Peers { agreement, identities, .. } = &self.peers;
            change(&mut delivery, &Knows { agreement, identities });
        }

        let mut model = match lie {
            Some(Lie::OtherModel(other)) => other(self.victim),
            _ => self.victim.model(self.round.unwrap_or(slot.step), values),
        };
        let (masking, mut request) = self.peers.mask(dealt, Digest::of(&model), &[]);
        match lie {
            Some(Lie::Request(change)) => change(&mut request),
            Some(Lie::Term(at)) => request.terms.0[*at] ^= 1,
            Some(Lie::Model(change)) => change(&mut model),
            _ => {}
        }
        quiet(lie, Stage::Delivery)?;
        self.send(lie, Stage::Delivery, delivery.to_bytes()).await;
        self.send(lie, Stage::Model, model).await;
        self.send(lie, Stage::Request, request.to_bytes()).await;
        let own: MaskedInput = self.line.expect().await?;

        let signing = self.peers.sign(masking, Some(&own));
        let mut survivors = signing.survivors.clone();
        if let Some(Lie::Survivors(change)) = lie {
            change(&mut survivors);
        }
        quiet(lie, Stage::Survivors)?;
        self.send(lie, Stage::Survivors, survivors.to_bytes()).await;
        let signature: SurvivorsSignature = self.line.expect().await?;
        let (revealing, mut certificate, taken) = self.peers.reveal(signing, Some(&signature));
        // On other survivors it signs something else.
        assert!(taken.is_ok() || matches!(lie, Some(Lie::Survivors(_))), "{taken:?}");
        if let Some(Lie::Certificate(change)) = lie {
            let Peers { agreement, identities, .. } = &self.peers;
            change(&mut certificate, &Knows { agreement, identities });
        }
        quiet(lie, Stage::Certificate)?;
        self.send(lie, Stage::Certificate, certificate.to_bytes()).await;
        let unmask: Unmask = self.line.expect().await?;
        let (sum, mut result, taken) = self.peers.sum(revealing, Some(unmask.clone()));
        if let Some(Lie::Result(change)) = lie {
            change(&mut result);
        }
        quiet(lie, Stage::Result)?;
        self.send(lie, Stage::Result, result.to_bytes()).await;
        Ok(Attempt { masked: own.lanes, unmask, unmasked: taken, sum })
    }

    /// What the agent says when nothing more is to come: after the lie in a message without an answer.
    pub async fn said(&mut self) -> Answer {
        self.line.answer().await
    }

    async fn send(&mut self, lie: Option<&Lie>, stage: Stage, bytes: Vec<u8>) {
        send(&mut self.line, &mut self.told, lie, stage, bytes).await;
    }
}

/// Whether the coordinator has stopped speaking.
fn quiet(lie: Option<&Lie>, stage: Stage) -> Result<(), NoAnswer> {
    match lie {
        Some(Lie::Silence(at)) if *at == stage => Err(NoAnswer(Answer::Unasked)),
        _ => Ok(()),
    }
}

async fn send(
    line: &mut Line,
    told: &mut BTreeMap<Stage, Vec<u8>>,
    lie: Option<&Lie>,
    stage: Stage,
    honest: Vec<u8>,
) {
    let mut times = 1;
    let bytes = match lie {
        Some(Lie::Replay(at)) if *at == stage => told[&stage].clone(),
        Some(Lie::Garbage(at, bytes)) if *at == stage => bytes.to_vec(),
        Some(Lie::Misplaced(at, of)) if *at == stage => told[of].clone(),
        Some(Lie::Twice(at)) if *at == stage => {
            times = 2;
            honest.clone()
        }
        Some(Lie::Nothing(at)) if *at == stage => {
            line.nothing().await;
            return;
        }
        _ => honest.clone(),
    };
    for _ in 0..times {
        if stage == Stage::Model { line.model(&bytes).await } else { line.tell_bytes(&bytes).await }
    }
    told.insert(stage, honest);
}
