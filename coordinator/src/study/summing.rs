//! Where a study with secure sums stands: which sum is open, at which attempt, and who is not asked any
//! more. The attempt itself lives in memory only (`crate::secure`); what is kept is that it began, and how
//! it ended.
//!
//! Invariant: the attempts of a step rise, over sessions and restarts, since sites refuse one that they
//! have seen.

use super::absence::is_mendable;
use super::{Phase, StudyEvent, StudyRefusal, StudyState};
use consilium_common::id::{Digest, SiteName};
use consilium_common::study::Mode;
use consilium_common::study::secure::{Summed, all_summed};
use consilium_common::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A step that failed so often in a row stops the study.
pub const FAILURES_MAX: u32 = 20;
/// A site that was dropped, or refused, so often is not asked again for sums of this kind.
pub const STRIKES_MAX: u32 = 3;
/// The rule by which an agent refuses while its policy file has mistakes.
const POLICY_UNREADABLE: &str = "policy.invalid";
/// So many sums in a row make up for a site's strikes: long studies see broken networks.
pub const SUMS_THAT_CLEAR: u32 = 20;

/// The open sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summing {
    /// Training, or a grouping.
    pub summed: Summed,
    /// The round of training, counted from 0; or the grouping's earmark.
    pub step: u32,
    /// The open attempt, or the next one; counted from 0 in the step.
    pub attempt: u32,
    /// The newest session that was opened for this kind of sum; none since an attempt failed.
    pub session: Option<u64>,
    /// Whether it is kept that sites may have burnt a use for the open attempt. Of training steps it is
    /// not, which would cost a flush of the disk each: they count as requested once a session is open.
    pub requested: bool,
    /// Attempts in a row that failed.
    pub failed: u32,
    /// Failed attempts of this earmark that sites may have burnt a use for.
    pub burnt: u32,
    /// Who is not asked any more for this kind of sum.
    pub declined: BTreeSet<SiteName>,
    /// Who refused by a rule that is over once a person there has mended something: still asked, and not waited for.
    pub unready: BTreeSet<SiteName>,
    strikes: BTreeMap<SiteName, Strikes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Strikes {
    count: u32,
    sums_since: u32,
}

/// Where an attempt was left with fewer sites than the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Too few came to a stream by the deadline.
    TooFewSites,
    /// The coordinator was started again; what the attempt had is gone.
    Interrupted,
    /// Too few session keys.
    Setup,
    /// Too few dealt shares.
    Sharing,
    /// Too few masked vectors.
    MaskedInput,
    /// Too few signed who the survivors are.
    Signatures,
    /// Too few revealed their shares, or a dealer's shares were false.
    Unmasking,
}

/// A finished sum, as the study keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSum {
    /// The attempt that gave it.
    pub attempt: u32,
    /// Who is in it, in order.
    pub survivors: Vec<SiteName>,
    /// The file (a blob).
    pub sum: Digest,
}

impl Summing {
    pub(super) const fn new(summed: Summed) -> Self {
        let step = match summed {
            Summed::Training => 0,
            Summed::Grouping(earmark) => earmark,
        };
        Self {
            summed,
            step,
            attempt: 0,
            session: None,
            requested: false,
            failed: 0,
            burnt: 0,
            declined: BTreeSet::new(),
            unready: BTreeSet::new(),
            strikes: BTreeMap::new(),
        }
    }

    pub(super) fn next_step(&mut self, step: u32) {
        (self.step, self.attempt, self.failed) = (step, 0, 0);
    }

    pub(super) fn fail(&mut self, requested: bool) {
        self.attempt += 1;
        // Over with the attempt: a restart before the next session interrupts nothing.
        self.session = None;
        self.requested = false;
        self.failed += 1;
        self.burnt += u32::from(requested);
    }

    pub(super) fn strike(&mut self, site: SiteName) {
        let strikes = self.strikes.entry(site.clone()).or_default();
        *strikes = Strikes { count: strikes.count + 1, sums_since: 0 };
        if strikes.count >= STRIKES_MAX {
            self.declined.insert(site);
        }
    }

    /// A site's own refusal. One by the rules of the secure sum may be another's fault, and be over with
    /// the attempt; a policy that could not be read may be in the middle of being saved; one by its policy,
    /// its ledger or the study is not over. One before anything was spent, which a person there mends, is none against it.
    pub(super) fn refused(&mut self, site: SiteName, rule: &str) {
        if is_mendable(rule) {
            self.unready.insert(site);
        } else if rule.starts_with("secagg.") || rule == POLICY_UNREADABLE {
            self.strike(site);
        } else {
            self.declined.insert(site);
        }
    }

    pub(super) fn survived(&mut self, survivors: &[SiteName]) {
        for site in survivors {
            self.unready.remove(site);
            if let Some(strikes) = self.strikes.get_mut(site) {
                strikes.sums_since += 1;
                if strikes.sums_since >= SUMS_THAT_CLEAR {
                    self.strikes.remove(site);
                }
            }
        }
    }
}

impl StudyState {
    /// Whether it goes by secure sums.
    #[must_use]
    pub const fn is_distributed(&self) -> bool {
        matches!(self.study.privacy.mode, Mode::Distributed { .. })
    }

    /// The open sum, in a study that goes by secure sums.
    #[must_use]
    pub const fn summing(&self) -> Option<&Summing> {
        match &self.phase {
            Phase::Summing(summing) => Some(summing),
            _ => None,
        }
    }

    /// The sum after this kind, if there is one.
    #[must_use]
    pub fn summed_after(&self, summed: Summed) -> Option<Summed> {
        all_summed(&self.study).into_iter().find(|next| *next > summed)
    }

    fn open_sum(&self) -> Result<&Summing, StudyRefusal> {
        self.summing().ok_or_else(|| StudyRefusal::Phase("no secure sum is open".into()))
    }

    /// Whether a site may take part in the open sums.
    ///
    /// # Errors
    /// Not a participant, not asked any more, or no sums are open.
    pub fn check_joins(&self, site: &SiteName) -> Result<(), StudyRefusal> {
        self.require_participant(site)?;
        if self.open_sum()?.declined.contains(site) {
            return Err(StudyRefusal::Phase(format!("site {site} is not asked any more for these sums")));
        }
        Ok(())
    }

    /// A session under a number that was never used, for the open sum.
    ///
    /// # Errors
    /// No sum is open.
    pub fn decide_session(&self, now: Time) -> Result<Vec<StudyEvent>, StudyRefusal> {
        let earmark = self.open_sum()?.summed.earmark();
        Ok(vec![StudyEvent::SessionOpened { number: self.sessions + 1, earmark, time: now }])
    }

    /// What an earlier process of the coordinator may have begun for the open sum is over.
    ///
    /// # Errors
    /// No sum is open.
    pub fn decide_interrupted(&self, now: Time) -> Result<Vec<StudyEvent>, StudyRefusal> {
        let open = self.open_sum()?;
        match (open.session, open.summed) {
            (None, _) => Ok(vec![]),
            (Some(_), Summed::Training) => self.decide_failed(Failure::Interrupted, true, now),
            (Some(_), Summed::Grouping(_)) => self.decide_failed(Failure::Interrupted, open.requested, now),
        }
    }

    /// Sites may burn a use for the open attempt from here on.
    ///
    /// # Errors
    /// No sum is open.
    pub fn decide_requested(&self, now: Time) -> Result<Vec<StudyEvent>, StudyRefusal> {
        let open = self.open_sum()?;
        let (earmark, step, attempt) = (open.summed.earmark(), open.step, open.attempt);
        Ok(vec![StudyEvent::SumRequested { earmark, step, attempt, time: now }])
    }

    /// The open attempt has no result. `requested`: sites may have burnt a use for it. A grouping whose
    /// uses are spent is given up and not released; training stops.
    ///
    /// # Errors
    /// No sum is open.
    pub fn decide_failed(
        &self,
        failure: Failure,
        requested: bool,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        let open = self.open_sum()?;
        let (earmark, step, attempt) = (open.summed.earmark(), open.step, open.attempt);
        let mut events =
            vec![StudyEvent::AttemptFailed { earmark, step, attempt, requested, failure, time: now }];
        let training = &self.study.privacy.training;
        let spent = open.burnt + u32::from(requested);
        match open.summed {
            Summed::Training if spent > training.spare_rounds => {
                events.push(Self::stopping("the spare attempts of training are used up", now));
            }
            Summed::Grouping(_) if spent > self.study.privacy.spare_evaluations => {
                events.push(StudyEvent::GroupingGivenUp { earmark, time: now });
                if self.summed_after(open.summed).is_none() {
                    events.push(Self::evaluation_closed(now));
                }
            }
            _ if open.failed + 1 > FAILURES_MAX => {
                events.push(Self::stopping("no secure sum of enough sites came about", now));
            }
            _ => {}
        }
        Ok(events)
    }

    /// A site's stream was ended by the coordinator; repeated, the site is not asked any more.
    ///
    /// # Errors
    /// Not a participant, or no sum is open.
    pub fn decide_dropped(
        &self,
        site: &SiteName,
        rule: &str,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        self.require_participant(site)?;
        let mut after = self.open_sum()?.clone();
        after.strike(site.clone());
        let dropped = StudyEvent::SiteDropped { site: site.clone(), rule: rule.to_owned(), time: now };
        Ok(self.unless_too_few(dropped, &after, now))
    }

    /// A site's stream ended in the middle of the open attempt: it is named, and nothing is held against it.
    ///
    /// # Errors
    /// Not a participant.
    pub fn decide_left(&self, site: &SiteName, now: Time) -> Result<Vec<StudyEvent>, StudyRefusal> {
        self.require_participant(site)?;
        // With the last sum the study goes on to something else.
        let Some(open) = self.summing() else { return Ok(vec![]) };
        let (earmark, step, attempt) = (open.summed.earmark(), open.step, open.attempt);
        Ok(vec![StudyEvent::SiteLeft { site: site.clone(), earmark, step, attempt, time: now }])
    }

    pub(super) fn decide_refused(
        &self,
        open: &Summing,
        site: &SiteName,
        rule: String,
        now: Time,
    ) -> Vec<StudyEvent> {
        let mut after = open.clone();
        after.refused(site.clone(), &rule);
        self.unless_too_few(StudyEvent::TaskDeclined { site: site.clone(), rule, time: now }, &after, now)
    }

    fn unless_too_few(&self, event: StudyEvent, after: &Summing, now: Time) -> Vec<StudyEvent> {
        let reachable = self.participants.difference(&after.declined).count();
        if reachable >= self.sites_needed() {
            return vec![event];
        }
        vec![event, Self::stopping("too few sites take part in the secure sums", now)]
    }

    /// The open attempt gave a sum, durable as a blob, and, in training, the next model.
    ///
    /// # Errors
    /// No sum is open.
    pub fn decide_sum(
        &self,
        closed: ClosedSum,
        model: Option<Digest>,
        now: Time,
    ) -> Result<Vec<StudyEvent>, StudyRefusal> {
        let open = self.open_sum()?;
        let (earmark, step) = (open.summed.earmark(), open.step);
        let ClosedSum { attempt, survivors, sum } = closed;
        let mut events = vec![StudyEvent::SumClosed { earmark, step, attempt, survivors, sum, time: now }];
        match (open.summed, model) {
            (Summed::Training, Some(model)) => {
                events.extend(self.decide_close_round(step, model, now));
            }
            (Summed::Training, None) => {
                return Err(StudyRefusal::Phase("a round's sum makes a model".into()));
            }
            (Summed::Grouping(_), _) if self.summed_after(open.summed).is_none() => {
                events.push(Self::evaluation_closed(now));
            }
            (Summed::Grouping(_), _) => {}
        }
        Ok(events)
    }
}
