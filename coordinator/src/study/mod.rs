//! A study's life at the coordinator as a plain value: published → training, round by round →
//! evaluating → closing → ended; with secure sums, training and evaluating are one phase, sum by sum. No clock, no store, no socket: the caller decides, keeps the
//! events durably, applies them, and then acts.

mod absence;
mod apply;
pub mod event;
mod outlook;
mod refusal;
mod round;
pub mod summing;

pub use absence::Absence;
pub use event::StudyEvent;
pub use outlook::Outlook;
pub use refusal::StudyRefusal;
pub use summing::{ClosedSum, Failure, Summing};

use consilium_common::id::{Digest, SiteName};
use consilium_common::protocol::{Approval, Decision, Start, Task};
use consilium_common::signed::Signed;
use consilium_common::study::Study;
use consilium_common::time::Time;
use round::Collecting;
use std::collections::{BTreeMap, BTreeSet};

/// How long agents have to hand in their ledgers before the study ends without them, ms.
pub const CLOSING_MS: u64 = 120_000;
/// How often a round without quorum is opened again before the study stops.
pub const REOPEN_MAX: u32 = 20;

/// A study and where it stands.
#[derive(Debug, Clone)]
pub struct StudyState {
    /// The checked file.
    pub study: Study,
    /// Every site's newest decision, signed.
    pub decisions: BTreeMap<SiteName, Signed<Approval>>,
    /// Where it stands.
    pub phase: Phase,
    /// The signed start, once started.
    pub start: Option<Signed<Start>>,
    /// Who takes part, once started.
    pub participants: BTreeSet<SiteName>,
    /// Models so far: `models[r]` is what round `r` starts from.
    pub models: Vec<Digest>,
    /// `updates[r]`: whose updates made round `r`.
    pub updates: Vec<BTreeMap<SiteName, Digest>>,
    /// Histograms by grouping and site.
    pub histograms: BTreeMap<String, BTreeMap<SiteName, Digest>>,
    /// `sums[r]`: the secure sum of round `r`.
    pub sums: Vec<ClosedSum>,
    /// The secure sums of groupings, by earmark.
    pub grouping_sums: BTreeMap<u32, ClosedSum>,
    /// How many sessions of secure sums were opened.
    pub sessions: u64,
    /// Sites whose ledger came in.
    pub ledgers: BTreeSet<SiteName>,
    /// Why participants are not in what is open; forgotten once they contribute again.
    pub absent: BTreeMap<SiteName, Absence>,
    /// Events so far.
    pub version: u64,
}

/// Where a study stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Sites decide.
    Published,
    /// A round is open.
    Training {
        /// Counted from 0.
        round: u32,
        /// Who has answered.
        collecting: Collecting<Digest>,
    },
    /// Histograms come in.
    Evaluating {
        /// Who has answered with what; a site is done when all groupings are there.
        collecting: Collecting<BTreeMap<String, Digest>>,
    },
    /// A secure sum is open: of training, then of each grouping.
    Summing(Summing),
    /// Ledgers come in.
    Closing {
        /// When the study ends without the missing ones.
        deadline: Time,
        /// `finished`, or why the study stopped.
        reason: String,
    },
    /// Over.
    Ended {
        /// `finished`, or why it stopped.
        reason: String,
    },
}

/// What the driver has to compute next.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// Average these updates into the next model.
    Aggregate {
        /// The round.
        round: u32,
        /// The model that it started from.
        model: Digest,
        /// The updates to average.
        updates: BTreeMap<SiteName, Digest>,
    },
    /// Append these events: nothing to compute.
    Append(Vec<StudyEvent>),
}

impl StudyState {
    /// A study that was just published.
    #[must_use]
    pub fn new(study: Study) -> Self {
        Self {
            study,
            decisions: BTreeMap::new(),
            phase: Phase::Published,
            start: None,
            participants: BTreeSet::new(),
            models: Vec::new(),
            updates: Vec::new(),
            histograms: BTreeMap::new(),
            sums: Vec::new(),
            grouping_sums: BTreeMap::new(),
            sessions: 0,
            ledgers: BTreeSet::new(),
            absent: BTreeMap::new(),
            version: 1,
        }
    }

    /// Takes a site's decision, signed by the key on the roster. A site may change its mind until
    /// the study starts.
    ///
    /// # Errors
    /// Not on the roster, another key, another study or site in the statement, or too late.
    pub fn decide_approval(
        &self,
        site: &SiteName,
        approval: Signed<Approval>,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        let roster = self
            .study
            .sites
            .iter()
            .find(|listed| listed.name == *site)
            .ok_or_else(|| StudyRefusal::NotOnRoster(site.clone()))?;
        let statement = approval.verify(&roster.key).map_err(|e| StudyRefusal::Approval(e.to_string()))?;
        if statement.study != self.study.digest || statement.site != *site {
            return Err(StudyRefusal::Approval(format!(
                "the decision is for study {} at site {}",
                statement.study, statement.site
            )));
        }
        if self.decisions.get(site) == Some(&approval) {
            return Ok(vec![]);
        }
        if self.phase != Phase::Published {
            return Err(StudyRefusal::Phase("the study has started; decisions are frozen".into()));
        }
        Ok(vec![StudyEvent::Decided { site: site.clone(), approval, time: now }])
    }

    /// The sites that approved, in roster order.
    #[must_use]
    pub fn approved(&self) -> Vec<SiteName> {
        self.study.sites.iter().map(|s| &s.name).filter(|s| self.has_approved(s)).cloned().collect()
    }

    fn has_approved(&self, site: &SiteName) -> bool {
        self.decision(site) == Some(Decision::Approve)
    }

    /// What a site decided.
    #[must_use]
    pub fn decision(&self, site: &SiteName) -> Option<Decision> {
        let approval = self.decisions.get(site)?;
        // Verified when it was accepted; parsed again, since only the exact bytes are kept.
        serde_json::from_str::<Approval>(&approval.statement).ok().map(|a| a.decision)
    }

    /// Freezes the participants. `sign` signs the start; `model` is the initial model.
    ///
    /// # Errors
    /// Already started, not valid today, or too few approvals.
    pub fn decide_start(
        &self,
        sign: impl FnOnce(Vec<Signed<Approval>>) -> Signed<Start>,
        model: Digest,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        if self.phase != Phase::Published {
            return Err(StudyRefusal::Phase("the study has been started before".into()));
        }
        self.check_valid(now)?;
        let approved = self.approved();
        let needed = self.sites_needed();
        if approved.len() < needed {
            let quorum = self.study.privacy.training.quorum;
            let by_quorum = usize::try_from(quorum).expect("a small number") == needed;
            let others =
                self.study.sites.iter().map(|site| &site.name).filter(|name| !self.has_approved(name));
            let (declined, waiting) = others.cloned().partition(|name| self.decisions.contains_key(name));
            return Err(StudyRefusal::TooFewSites {
                rule: if by_quorum { "privacy.training.quorum" } else { "disclosure.min_sites" },
                approved: approved.len(),
                needed,
                waiting,
                declined,
            });
        }
        let approvals = approved.iter().map(|site| self.decisions[site].clone()).collect();
        Ok(vec![StudyEvent::Started { start: sign(approvals), participants: approved, model, time: now }])
    }

    fn check_valid(&self, now: Time) -> Result<(), StudyRefusal> {
        let governance = &self.study.governance;
        if (governance.valid_from..=governance.valid_until).contains(&now.day()) {
            return Ok(());
        }
        Err(StudyRefusal::not_valid_now(governance))
    }

    fn sites_needed(&self) -> usize {
        let quorum = self.study.privacy.training.quorum.max(self.study.disclosure.min_sites);
        usize::try_from(quorum).expect("a small number")
    }

    fn require_participant(&self, site: &SiteName) -> Result<(), StudyRefusal> {
        if self.participants.contains(site) { Ok(()) } else { Err(StudyRefusal::NotTakingPart(site.clone())) }
    }

    /// Whether a site's own outputs are taken.
    ///
    /// # Errors
    /// The study goes by secure sums.
    pub const fn require_local(&self) -> Result<(), StudyRefusal> {
        if self.is_distributed() { Err(StudyRefusal::Distributed) } else { Ok(()) }
    }

    /// What a site should do next, if anything.
    #[must_use]
    pub fn task_for(&self, site: &SiteName) -> Option<Task> {
        if !self.participants.contains(site) {
            return None;
        }
        let study = self.study.digest;
        match &self.phase {
            Phase::Training { round, collecting } if collecting.awaits(site) => {
                Some(Task::Train { study, round: *round, model: *self.models.last()? })
            }
            Phase::Evaluating { collecting } => {
                let done = collecting.answers.get(site).is_some_and(|have| have.len() == self.groupings());
                (!done && !collecting.declined.contains(site))
                    .then_some(Task::Evaluate { study, model: *self.models.last()? })
            }
            Phase::Summing(summing) => (!summing.declined.contains(site)).then_some(Task::Sum { study }),
            Phase::Closing { .. } if !self.ledgers.contains(site) => Some(Task::Close { study }),
            _ => None,
        }
    }

    fn groupings(&self) -> usize {
        let privacy = &self.study.privacy;
        self.study.predicted().len() * privacy.evaluation_shares.len() + privacy.completeness_shares.len()
    }

    /// Takes a site's update; its bytes are durable under `digest`. The same bytes again change
    /// nothing.
    ///
    /// # Errors
    /// Not a participant, another round than the open one, or other bytes than before.
    pub fn decide_update(
        &self,
        site: &SiteName,
        round: u32,
        digest: Digest,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        self.require_participant(site)?;
        self.require_local()?;
        let past = usize::try_from(round).ok().and_then(|r| self.updates.get(r)).and_then(|u| u.get(site));
        if past == Some(&digest) {
            return Ok(vec![]);
        }
        match &self.phase {
            Phase::Training { round: open, collecting } if *open == round => {
                match collecting.answers.get(site) {
                    Some(known) if *known == digest => Ok(vec![]),
                    Some(_) => Err(StudyRefusal::OtherBytes(site.clone())),
                    None => {
                        Ok(vec![StudyEvent::UpdateAccepted { site: site.clone(), round, digest, time: now }])
                    }
                }
            }
            Phase::Training { round: open, .. } => Err(StudyRefusal::Late { came: round, open: Some(*open) }),
            _ => Err(StudyRefusal::Late { came: round, open: None }),
        }
    }

    /// Takes a site's histogram, as [`StudyState::decide_update`].
    ///
    /// # Errors
    /// As there, or a grouping that the study does not have.
    pub fn decide_histogram(
        &self,
        site: &SiteName,
        grouping: &str,
        digest: Digest,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        self.require_participant(site)?;
        self.require_local()?;
        if !self.study.groupings().iter().any(|name| name == grouping) {
            return Err(StudyRefusal::NoGrouping(grouping.chars().take(80).collect()));
        }
        let known = match &self.phase {
            Phase::Evaluating { collecting } => collecting.answers.get(site).and_then(|h| h.get(grouping)),
            _ => self.histograms.get(grouping).and_then(|sites| sites.get(site)),
        };
        match (known, &self.phase) {
            (Some(known), _) if *known == digest => Ok(vec![]),
            (Some(_), _) => Err(StudyRefusal::OtherBytes(site.clone())),
            (None, Phase::Evaluating { .. }) => Ok(vec![StudyEvent::HistogramAccepted {
                site: site.clone(),
                grouping: grouping.to_owned(),
                digest,
                time: now,
            }]),
            (None, _) => Err(StudyRefusal::Phase("evaluation is not open".into())),
        }
    }

    /// A site refuses the open task. Repeats change nothing.
    ///
    /// # Errors
    /// Not a participant.
    pub fn decide_decline(
        &self,
        site: &SiteName,
        rule: &str,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        self.require_participant(site)?;
        let said = |unready: &BTreeSet<SiteName>| absence::is_mendable(rule) && unready.contains(site);
        let awaited = match &self.phase {
            Phase::Training { collecting, .. } => collecting.awaits(site) && !said(&collecting.unready),
            Phase::Evaluating { collecting } => self.task_for(site).is_some() && !said(&collecting.unready),
            Phase::Summing(open) => self.task_for(site).is_some() && !said(&open.unready),
            _ => false,
        };
        let rule: String = rule.chars().take(80).collect();
        if let (Phase::Summing(open), true) = (&self.phase, awaited) {
            return Ok(self.decide_refused(open, site, rule, now));
        }
        Ok(if awaited {
            vec![StudyEvent::TaskDeclined { site: site.clone(), rule, time: now }]
        } else {
            vec![]
        })
    }

    /// A site's ledger is durable here.
    ///
    /// # Errors
    /// Not a participant, or not closing yet.
    pub fn decide_ledger(&self, site: &SiteName, now: Time) -> Result<Vec<StudyEvent>, StudyRefusal> {
        self.require_participant(site)?;
        match self.phase {
            _ if self.ledgers.contains(site) => Ok(vec![]),
            Phase::Closing { .. } => Ok(vec![StudyEvent::LedgerReceived { site: site.clone(), time: now }]),
            _ => Err(StudyRefusal::Phase("the study is not closing".into())),
        }
    }

    /// Stops the study: ledgers are still handed in, what was trained so far is bundled, nothing more is
    /// evaluated.
    ///
    /// # Errors
    /// It is over already.
    pub fn decide_stop(&self, reason: &str, now: Time) -> Result<Vec<StudyEvent>, StudyRefusal> {
        match &self.phase {
            Phase::Ended { reason } => Err(StudyRefusal::Phase(format!("the study is over: {reason}"))),
            Phase::Closing { .. } => Err(StudyRefusal::Phase("the study is closing".into())),
            Phase::Published => {
                Ok(vec![StudyEvent::Ended { reason: format!("stopped: {reason}"), time: now }])
            }
            _ => Ok(vec![Self::stopping(reason, now)]),
        }
    }

    /// What is due now: asked after each event and at each tick of the clock.
    #[must_use]
    pub fn due(&self, now: Time) -> Option<Due> {
        match &self.phase {
            // Sums go by what comes on the streams, not by this clock.
            Phase::Published | Phase::Summing(_) | Phase::Ended { .. } => None,
            Phase::Training { round, collecting } => {
                let complete = collecting.is_complete(&self.participants);
                if !complete && now < collecting.deadline {
                    return None;
                }
                if collecting.answers.len() >= self.sites_needed() {
                    let model = *self.models.last()?;
                    return Some(Due::Aggregate {
                        round: *round,
                        model,
                        updates: collecting.answers.clone(),
                    });
                }
                if now < collecting.deadline && !collecting.unready.is_empty() {
                    return None;
                }
                let reachable = self.participants.len() - collecting.declined.len();
                let event = if reachable < self.sites_needed() {
                    Self::stopping("too few sites take part in the round", now)
                } else if collecting.reopened >= REOPEN_MAX {
                    Self::stopping("no quorum within the deadline", now)
                } else {
                    StudyEvent::RoundReopened { round: *round, time: now, deadline: self.deadline(now) }
                };
                Some(Due::Append(vec![event]))
            }
            Phase::Evaluating { collecting } => {
                let complete = self.participants.iter().all(|site| {
                    collecting.declined.contains(site)
                        || collecting.answers.get(site).is_some_and(|have| have.len() == self.groupings())
                });
                (complete || now >= collecting.deadline)
                    .then(|| Due::Append(vec![Self::evaluation_closed(now)]))
            }
            Phase::Closing { deadline, reason } => (self.ledgers == self.participants || now >= *deadline)
                .then(|| {
                    let missing: Vec<_> =
                        self.participants.difference(&self.ledgers).map(ToString::to_string).collect();
                    let reason = if missing.is_empty() {
                        reason.clone()
                    } else {
                        format!("{reason}, without the ledgers of {}", missing.join(", "))
                    };
                    Due::Append(vec![StudyEvent::Ended { reason, time: now }])
                }),
        }
    }

    fn stopping(reason: &str, now: Time) -> StudyEvent {
        StudyEvent::Stopping {
            reason: format!("stopped: {reason}"),
            time: now,
            deadline: now.plus_ms(CLOSING_MS),
        }
    }

    fn evaluation_closed(now: Time) -> StudyEvent {
        StudyEvent::EvaluationClosed { time: now, deadline: now.plus_ms(CLOSING_MS) }
    }

    fn deadline(&self, now: Time) -> Time {
        now.plus_ms(u64::from(self.study.privacy.training.deadline_s) * 1000)
    }

    /// A round's new model is durable: closes the round and opens the next, or the evaluation.
    #[must_use]
    pub fn decide_close_round(&self, round: u32, model: Digest, now: Time) -> Vec<StudyEvent> {
        let next = if round + 1 < self.study.privacy.training.rounds {
            StudyEvent::RoundOpened { round: round + 1, time: now, deadline: self.deadline(now) }
        } else {
            StudyEvent::EvaluationOpened { time: now, deadline: self.deadline(now) }
        };
        vec![StudyEvent::RoundClosed { round, model, time: now }, next]
    }
}

#[cfg(test)]
mod tests;
