//! What is asked of whom, next: a plain value between sites' messages and the protocol's states. No
//! clock, store or socket: every input gives [`Act`]s, to be done in their order, and what must be durable
//! first is one of them.
//!
//! ```text
//! Gathering ─▶ Opening ─▶ Setup ─▶ Sharing ─▶ Masking ─▶ Signing ─▶ Unmasking ─▶ Keeping
//!     ▲            ▲                  ▲          (shares of the next step come in)   │
//!     │            └── a new session ─┴──────────────── the same session ────────────┤
//!     └──────────────── an attempt failed, from any of them ◀───────────────────────┘
//! ```
//! A phase ends when every site that it asked has answered, has left, or was given up at the deadline; it
//! fails as soon as fewer than the threshold can still answer. A failed attempt is followed by a new
//! session: some site is gone, or was false.

mod answers;
mod phases;

use super::{Down, Model, by_name};
use crate::study::{Failure, Summing};
use consilium_common::id::SiteName;
use consilium_common::secagg::coordinator::{Inputs, Session, Setup, Sharing, Surviving, Unmasking};
use consilium_common::secagg::message::{Message, StepResult, SurvivorsCertificate};
use consilium_common::secagg::{Agreement, Refusal, SiteIndex, Slot};
use consilium_common::study::secure::{Summed, agreement};
use consilium_common::study::{RosterSite, Study};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Phases without data or training are given up after this, ms, or after the study's deadline.
pub const PHASE_MS: u64 = 30_000;
/// The rule that a silent site broke.
pub const SILENT: &str = "secure.silent";

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Act {
    /// Send this.
    Send(SiteIndex, Down),
    /// End the site's stream.
    Cut(SiteIndex),
    /// Keep something, then answer.
    Ask(Ask),
}

/// What must be durable before anything else is done.
#[derive(Debug)]
pub enum Ask {
    /// A new session's number: answered by [`Conductor::opened`].
    Session,
    /// Sites may burn a use from here on.
    Requested,
    /// The attempt has no result: answered by [`Conductor::failed`].
    Failed {
        /// Where it was left.
        failure: Failure,
        /// Whether sites may have burnt a use for it.
        requested: bool,
    },
    /// A site was dropped for breaking a rule: answered by [`Conductor::noted`].
    Dropped {
        /// Who.
        site: SiteName,
        /// Which rule.
        rule: String,
    },
    /// A site's stream ended in the middle of the open attempt: answered by [`Conductor::noted`].
    Left {
        /// Who.
        site: SiteName,
    },
    /// A site refused: answered by [`Conductor::noted`].
    Declined {
        /// Who.
        site: SiteName,
        /// By which rule.
        rule: String,
    },
    /// A sum, and what it made: answered by [`Conductor::kept`].
    Sum(Box<Finished>),
    /// The study cannot go on.
    Stop(String),
}

/// A finished sum.
#[derive(Debug)]
pub struct Finished {
    /// The attempt that gave it.
    pub attempt: u32,
    /// Who is in it, in order.
    pub survivors: Vec<SiteName>,
    /// The sum's file.
    pub record: Vec<u8>,
    /// The next model, in training.
    pub model: Option<Model>,
}

/// A site on a stream.
#[derive(Debug, Default)]
struct Live {
    /// Answers that it may still send to what is over.
    owed: u8,
}

#[derive(Debug)]
enum Stage {
    /// Too few streams, or the study has just begun.
    Gathering,
    /// An answer to an [`Ask`] is awaited.
    Asking,
    Setup(Setup),
    Sharing(Session, Sharing),
    Masking(Session, Inputs),
    Signing(Session, Surviving),
    Unmasking(Box<Revealing>),
    /// The sum is being kept; then its digest goes out.
    Keeping(Session, StepResult, Option<Sharing>),
    Over,
}

/// Shares of the open step come in, and those for the next one.
#[derive(Debug)]
struct Revealing {
    session: Session,
    unmasking: Unmasking,
    certificate: SurvivorsCertificate,
    next: Option<Sharing>,
}

/// See the module.
#[derive(Debug)]
pub struct Conductor {
    study: Arc<Study>,
    /// In the order of their indices.
    participants: Vec<RosterSite>,
    agreement: Agreement,
    open: Summing,
    model: Model,
    live: BTreeMap<SiteIndex, Live>,
    /// Of the session: those that are still on the stream that they joined it by.
    members: BTreeSet<SiteIndex>,
    /// Who has not answered yet.
    awaited: BTreeSet<SiteIndex>,
    /// Who has not dealt shares for the next step yet.
    awaited_shares: BTreeSet<SiteIndex>,
    stage: Stage,
    /// When the phase is over, ms.
    deadline: Option<u64>,
    /// Whether all participants were waited for once.
    gathered: bool,
    acts: Vec<Act>,
}

impl Conductor {
    /// For a study whose sums are open.
    ///
    /// # Errors
    /// Numbers of the study that no secure sum has.
    pub fn new(
        study: Arc<Study>,
        participants: &BTreeSet<SiteName>,
        open: Summing,
        model: Model,
        now_ms: u64,
    ) -> Result<Self, Refusal> {
        let participants: Vec<RosterSite> = by_name(&study, participants).into_iter().cloned().collect();
        let agreement = agreed(&study, &participants, open.summed)?;
        let mut conductor = Self {
            study,
            participants,
            agreement,
            open,
            model,
            live: BTreeMap::new(),
            members: BTreeSet::new(),
            awaited: BTreeSet::new(),
            awaited_shares: BTreeSet::new(),
            stage: Stage::Gathering,
            deadline: None,
            gathered: false,
            acts: Vec::new(),
        };
        conductor.gather(now_ms);
        Ok(conductor)
    }

    /// When [`Conductor::late`] is to be called, ms.
    #[must_use]
    pub const fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Who is on a stream.
    pub fn present(&self) -> impl Iterator<Item = &SiteName> {
        self.live.keys().map(|site| self.name(*site))
    }

    /// A participant's index.
    #[must_use]
    pub fn index(&self, site: &SiteName) -> Option<SiteIndex> {
        let at = self.participants.iter().position(|participant| participant.name == *site)?;
        SiteIndex::new(u8::try_from(at + 1).ok()?)
    }

    fn name(&self, site: SiteIndex) -> &SiteName {
        &self.participants[at(site)].name
    }

    fn threshold(&self) -> usize {
        usize::from(self.agreement.terms().parameters().threshold())
    }

    fn slot(&self) -> Slot {
        Slot { step: self.open.step, attempt: self.open.attempt }
    }

    fn data_ms(&self) -> u64 {
        u64::from(self.study.privacy.training.deadline_s) * 1000
    }

    fn phase_ms(&self) -> u64 {
        PHASE_MS.min(self.data_ms())
    }

    fn done(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    fn send(&mut self, site: SiteIndex, down: Down) {
        self.acts.push(Act::Send(site, down));
    }

    fn send_members<M: Message>(&mut self, message: &M) {
        let bytes: Arc<[u8]> = message.to_bytes().into();
        for site in self.members.clone() {
            self.send(site, Down::Message(Arc::clone(&bytes)));
        }
    }
}

/// Where a site is among the participants.
fn at(site: SiteIndex) -> usize {
    usize::from(site.get()) - 1
}

fn agreed(study: &Study, participants: &[RosterSite], summed: Summed) -> Result<Agreement, Refusal> {
    agreement(study, &participants.iter().collect::<Vec<_>>(), summed)
}
