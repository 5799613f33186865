//! What happens next with a study, and who has to do something for it: one sentence for people.

use super::absence::{Absence, is_mendable};
use super::round::Collecting;
use super::summing::{FAILURES_MAX, Summing};
use super::{Phase, REOPEN_MAX, StudyState};
use consilium_common::id::SiteName;
use consilium_common::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Of a study at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Whose decision, answer or stream is awaited.
    pub missing: Vec<SiteName>,
    /// So many sites are needed at least.
    pub needed: usize,
    /// Who has to act, or the command to run; and what happens without.
    pub next: String,
}

impl StudyState {
    /// What comes next, with these sites on a stream of secure sums and those waiting for a cosignature.
    #[must_use]
    pub fn outlook(
        &self,
        present: &BTreeSet<SiteName>,
        waiting: &BTreeMap<SiteName, String>,
        now: Time,
    ) -> Outlook {
        let needed = self.sites_needed();
        let (missing, mut next) = match &self.phase {
            Phase::Published => self.before_start(needed, now),
            Phase::Training { round, collecting } => {
                let missing = self.awaited(|site| collecting.awaits(site));
                let what = format!("send the update of round {}", u64::from(*round) + 1);
                let next = self.collecting(&what, &missing, collecting.answers.len(), collecting, needed);
                (missing, next)
            }
            Phase::Evaluating { collecting } => {
                let done = |site: &SiteName| {
                    collecting.answers.get(site).is_some_and(|have| have.len() == self.groupings())
                };
                let missing = self.awaited(|site| !done(site) && !collecting.declined.contains(site));
                let next = format!(
                    "{} (`site-agent serve`). At {} the evaluation closes without what is missing",
                    asked(&missing, "send the histograms", "nobody has to act"),
                    collecting.deadline
                );
                (missing, next)
            }
            Phase::Summing(open) => self.summing_next(open, present, needed),
            Phase::Closing { deadline, .. } => {
                let missing = self.awaited(|site| !self.ledgers.contains(site));
                let next = format!(
                    "{} (`site-agent serve`). At {deadline} the study ends without the ledgers that are missing then",
                    asked(&missing, "hand in the ledger", "nobody has to act"),
                );
                (missing, next)
            }
            Phase::Ended { .. } if self.participants.is_empty() => (
                vec![],
                "nothing: it ended before it started. A new version is a new file to publish".to_owned(),
            ),
            Phase::Ended { .. } => {
                (vec![], format!("`coordinator study report {} --out DIR`", self.study.id))
            }
        };
        let mend: Vec<SiteName> = self.awaited(|site| {
            missing.contains(site)
                && matches!(self.absent.get(site), Some(Absence::Declined { rule, .. }) if is_mendable(rule))
        });
        if !mend.is_empty() {
            let table = if mend.len() == 1 { "its table" } else { "their tables" };
            next += &format!(". {} must mend {table} first: the log there says what is wrong", names(&mend));
        }
        if !waiting.is_empty() && !matches!(self.phase, Phase::Ended { .. }) {
            let sites: Vec<SiteName> = waiting.keys().cloned().collect();
            next += &format!(
                ". {} cannot go on before another site's agent cosigns: start one more",
                names(&sites)
            );
        }
        Outlook { missing, needed, next }
    }

    fn awaited(&self, is_awaited: impl Fn(&SiteName) -> bool) -> Vec<SiteName> {
        self.participants.iter().filter(|site| is_awaited(site)).cloned().collect()
    }

    fn before_start(&self, needed: usize, now: Time) -> (Vec<SiteName>, String) {
        let approved = self.approved().len();
        let roster = self.study.sites.iter().map(|site| &site.name);
        let missing: Vec<SiteName> =
            roster.filter(|site| !self.decisions.contains_key(*site)).cloned().collect();
        let (id, governance) = (&self.study.id, &self.study.governance);
        let have = format!("{approved} of at least {needed} sites approved");
        let next = if now.day() > governance.valid_until {
            format!("publish a new version: this one was valid until {}", governance.valid_until)
        } else if approved + missing.len() < needed {
            format!("publish a new version: {have}, and too few are left that can")
        } else if approved < needed {
            let decide = asked(&missing, "read it and decide", "nobody has to act");
            format!(
                "{decide} (`site-agent study show {id}`, then `study approve` or `study decline`); {have}"
            )
        } else if now.day() < governance.valid_from {
            format!("`coordinator study start {id}`, from {} on; {have}", governance.valid_from)
        } else if missing.is_empty() {
            format!("`coordinator study start {id}`; {have}")
        } else {
            let left_out = names(&missing);
            format!(
                "`coordinator study start {id}`; {have}. {left_out} did not decide yet and would be left out"
            )
        };
        (missing, next)
    }

    fn collecting<A>(
        &self,
        what: &str,
        missing: &[SiteName],
        answered: usize,
        open: &Collecting<A>,
        needed: usize,
    ) -> String {
        let without = if answered >= needed {
            "the round goes on without who is missing".to_owned()
        } else if open.reopened < REOPEN_MAX {
            format!(
                "it is opened again, at most {} times more; then the study stops",
                REOPEN_MAX - open.reopened
            )
        } else {
            "the study stops".to_owned()
        };
        format!(
            "{} (`site-agent serve`); {answered} of at least {needed} sites answered. At {} {without}",
            asked(missing, what, "nobody has to act"),
            open.deadline
        )
    }

    fn summing_next(
        &self,
        open: &Summing,
        present: &BTreeSet<SiteName>,
        needed: usize,
    ) -> (Vec<SiteName>, String) {
        let missing = self.awaited(|site| !open.declined.contains(site) && !present.contains(site));
        let follow = format!("`coordinator study watch {}` follows it", self.study.id);
        let next = if present.len() >= needed {
            let back = match missing.as_slice() {
                [] => String::new(),
                some => format!("; {} may come back at any time", names(some)),
            };
            format!(
                "nobody has to act: {} of at least {needed} sites are there{back}. {follow}",
                present.len()
            )
        } else {
            format!(
                "{} (`site-agent serve`): {} of at least {needed} sites are there. An attempt waits {} s for them and \
                 then fails; after {} more failures in a row the study stops",
                asked(&missing, "start the agent", "nobody has to act"),
                present.len(),
                self.study.privacy.training.deadline_s,
                (FAILURES_MAX + 1).saturating_sub(open.failed)
            )
        };
        (missing, next)
    }
}

/// `ashford and corby: send the update`, or what is said where nobody is asked.
fn asked(sites: &[SiteName], what: &str, nobody: &str) -> String {
    if sites.is_empty() { nobody.to_owned() } else { format!("{}: {what}", names(sites)) }
}

/// `a`, `a and b`, `a, b and c`.
fn names(sites: &[SiteName]) -> String {
    match sites {
        [] => "nobody".to_owned(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(SiteName::as_str).collect();
            format!("{} and {last}", first.join(", "))
        }
    }
}
