//! Refusals in the ledger: one entry per rule, study and day, with a count, so that a coordinator
//! that asks a thousand times neither fills the disk nor goes unseen.

use crate::task::Refusal;
use consilium_common::id::Digest;
use consilium_common::ledger::entry::Body;
use consilium_common::ledger::rules::State;
use consilium_common::time::Time;
use std::collections::BTreeMap;

/// Most pairs of rule and study that are counted between entries.
const PAIRS_MAX: usize = 10_000;

/// Requests refused since the last entry of their kind.
#[derive(Debug, Default)]
pub struct Tally {
    unreported: BTreeMap<(&'static str, Option<Digest>), u64>,
}

impl Tally {
    /// Counts one refusal; gives the entry to append when today has none of its kind yet.
    #[must_use]
    pub fn note(
        &mut self,
        refusal: &Refusal,
        study: Option<Digest>,
        state: &State,
        now: Time,
    ) -> Option<Body> {
        let kind = (refusal.rule, study);
        let reported = state.has_refused(now.day(), refusal.rule, study);
        if self.unreported.len() >= PAIRS_MAX && !self.unreported.contains_key(&kind) {
            // A flood of kinds is written as it comes, or not counted: never kept without bound.
            let rule = refusal.rule.to_owned();
            return (!reported).then_some(Body::Refusal { rule, study, count: 1 });
        }
        let count = self.unreported.entry(kind).or_insert(0);
        *count += 1;
        if reported {
            return None;
        }
        let count = *count;
        self.unreported.remove(&kind);
        Some(Body::Refusal { rule: refusal.rule.to_owned(), study, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Ledger, now, policy};

    #[test]
    fn one_entry_per_rule_study_and_day() {
        let mut ledger = Ledger::new(policy(&[]).caps);
        let mut tally = Tally::default();
        let day = 24 * 3600 * 1000;
        let study = Some(Digest::of(b"study"));
        let mut check = |rule: &'static str, study, days: u64, expected: Option<u64>| {
            let at = now().plus_ms(days * day);
            let refusal = Refusal { rule, why: "asked too much".into() };
            let body = tally.note(&refusal, study, &ledger.0, at);
            let count = body.as_ref().map(|body| match body {
                Body::Refusal { count, .. } => *count,
                other => panic!("{other:?}"),
            });
            assert_eq!(count, expected, "{rule} on day {days}");
            if let Some(body) = body {
                let bytes = ledger.0.decide(body, at).expect("legal");
                ledger.0.apply(&bytes).expect("legal");
            }
        };
        check("policy.steps_max", study, 0, Some(1));
        check("policy.steps_max", study, 0, None);
        check("policy.steps_max", study, 0, None);
        check("policy.delta", study, 0, Some(1));
        check("policy.steps_max", None, 0, Some(1));
        // The next day's first tells of the day before's too.
        check("policy.steps_max", study, 1, Some(3));
        check("policy.steps_max", study, 1, None);
    }
}
