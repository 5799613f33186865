//! Whether a study fits under a hospital's caps, beside what its ledger charges already.

use super::{State, StudyRecord};
use crate::id::Digest;
use crate::ledger::entry::{Caps, Earmark, Role};
use crate::privacy::accountant::{Accountant, InvalidEvent, above_by};
use crate::privacy::filter::Filter;
use crate::privacy::mechanism::Event;
use crate::time::Time;

impl State {
    /// None when `earmarks` of one study fit under `caps.epsilon_per_study` for people of a role; otherwise their ε.
    /// A list that a study was opened with here, under caps that were no more generous, is known to fit and is not
    /// priced again: an agent asks before every task.
    ///
    /// # Privacy
    /// Unit: one person at this site; neighbours: add or remove one person. By PLD, of a list that was declared in
    /// advance; see [`above_by`]. Says nothing of several studies: that is [`State::would_exceed`].
    ///
    /// # Errors
    /// An earmark or `caps.delta` that is out of range.
    pub fn would_exceed_alone(
        &self,
        role: Role,
        caps: &Caps,
        earmarks: &[Earmark],
    ) -> Result<Option<f64>, InvalidEvent> {
        self.would_exceed_alone_with_slack(role, caps, earmarks, 0.0)
    }

    /// As [`State::would_exceed_alone`], with the cap raised by the share `slack` of it.
    pub(in crate::ledger::rules) fn would_exceed_alone_with_slack(
        &self,
        role: Role,
        caps: &Caps,
        earmarks: &[Earmark],
        slack: f64,
    ) -> Result<Option<f64>, InvalidEvent> {
        let events = role.events(earmarks);
        // (ε, δ) implies (ε', δ') for ε' ≥ ε and δ' ≥ δ.
        let fitted = |record: &StudyRecord| {
            let then = &record.opened_under;
            then.epsilon_per_study <= caps.epsilon_per_study
                && then.delta <= caps.delta
                && record.earmarked_events(role) == events
        };
        if self.studies.values().any(fitted) {
            return Ok(None);
        }
        above_by(Accountant::CHARGED, &events, caps.delta, caps.epsilon_per_study * (1.0 + slack))
    }

    /// None when `earmarks` of `study` fit under `caps.epsilon_total` for people of a role, beside
    /// everything that other studies are charged; otherwise the ε that they would lead to. What the
    /// ledger charges for `study` already is not counted twice.
    ///
    /// # Privacy
    /// As [`State::filter`]. `caps` may be other caps than the ledger's, as of a policy file that was
    /// just changed; the order stays the ledger's.
    ///
    /// # Errors
    /// An earmark or a cap that is out of range.
    ///
    /// # Panics
    /// Never: what is given back was charged.
    pub fn would_exceed(
        &self,
        role: Role,
        caps: &Caps,
        study: &Digest,
        earmarks: &[Earmark],
    ) -> Result<Option<f64>, InvalidEvent> {
        let (filter, asked) = beside(self.filter(role).clone(), self.study(study), role, earmarks);
        filter.with_cap(caps.epsilon_total, caps.delta)?.would_exceed(&asked)
    }

    /// As [`State::would_exceed`], for `caps.epsilon_per_year` over the studies opened in the calendar year (UTC)
    /// in which `study` was opened, or in that of `now`. None where there is no such cap.
    ///
    /// # Privacy
    /// As [`State::filter`], for the year's studies alone: its order was fixed by the year's first charge.
    ///
    /// # Errors
    /// An earmark or a cap that is out of range.
    ///
    /// # Panics
    /// Never: what is given back was charged.
    pub fn would_exceed_year(
        &self,
        role: Role,
        caps: &Caps,
        study: &Digest,
        earmarks: &[Earmark],
        now: Time,
    ) -> Result<Option<f64>, InvalidEvent> {
        let Some(cap) = caps.epsilon_per_year else { return Ok(None) };
        let record = self.study(study);
        let year = record.map_or(now, |record| record.opened_at).day().year();
        let (filter, asked) = beside(self.year_filter(year, role), record, role, earmarks);
        filter.with_cap(cap, caps.delta)?.would_exceed(&asked)
    }
}

/// A filter without what a study is charged, and what the study asks for beside that. An open study that asks
/// for what it has, as before every task, is in there already: nothing is priced anew.
fn beside(
    mut filter: Filter,
    record: Option<&StudyRecord>,
    role: Role,
    earmarks: &[Earmark],
) -> (Filter, Vec<Event>) {
    let asked = role.events(earmarks);
    let charged = record.map(|record| record.charged_events(role)).unwrap_or_default();
    if charged == asked {
        return (filter, Vec::new());
    }
    filter.give_back(&charged).expect("charged when the study was opened");
    (filter, asked)
}
