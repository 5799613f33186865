//! Who has answered what is open, until when.

use super::absence::is_mendable;
use consilium_common::id::SiteName;
use consilium_common::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Answers that come in until a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collecting<A> {
    /// What came, by site.
    pub answers: BTreeMap<SiteName, A>,
    /// Who refused this task.
    pub declined: BTreeSet<SiteName>,
    /// Who refused it by a rule that is over once a person there has mended something: still asked, and not waited for.
    pub unready: BTreeSet<SiteName>,
    /// Until when.
    pub deadline: Time,
    /// How often it was opened again.
    pub reopened: u32,
}

impl<A> Collecting<A> {
    pub(super) fn until(deadline: Time) -> Self {
        Self {
            answers: BTreeMap::new(),
            declined: BTreeSet::new(),
            unready: BTreeSet::new(),
            deadline,
            reopened: 0,
        }
    }

    /// Whether the site should still answer.
    #[must_use]
    pub fn awaits(&self, site: &SiteName) -> bool {
        !self.answers.contains_key(site) && !self.declined.contains(site)
    }

    pub(super) fn is_complete(&self, participants: &BTreeSet<SiteName>) -> bool {
        participants.iter().all(|site| !self.awaits(site) || self.unready.contains(site))
    }

    pub(super) fn refused(&mut self, site: SiteName, rule: &str) {
        let refused = if is_mendable(rule) { &mut self.unready } else { &mut self.declined };
        refused.insert(site);
    }

    /// A new deadline; those who declined are asked again.
    pub(super) fn reopen(&mut self, deadline: Time) {
        self.deadline = deadline;
        self.reopened += 1;
        self.declined.clear();
    }
}
