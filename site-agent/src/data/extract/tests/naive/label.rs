//! The label of one prediction and its weight, day by day.

use super::{Asks, Naive, civil, days_after};
use crate::data::omop::{Domain, Event};
use consilium_common::study::records::*;
use jiff::civil::{Date, DateTime};

impl Naive<'_> {
    pub(super) fn label(
        &self,
        asks: Asks<'_>,
        entry: &Event,
        index: DateTime,
        predict: DateTime,
    ) -> Option<(f32, f32)> {
        let outcome = &asks.task.outcome;
        let last = || i64::from(asks.horizon.expect("days have a last"));
        let day = |event: &Event| civil(event.time.day());
        // The stay, if the study speaks of one.
        let mut stay = None;
        if outcome.at_risk == AtRisk::Stay {
            if entry.domain == Domain::Visit {
                stay = Some(entry);
            } else {
                for event in self.events.iter().rev() {
                    if event.domain == Domain::Visit && entry.visit.is_some() && event.visit == entry.visit {
                        stay = Some(event);
                    }
                }
            }
            let end = stay?.end;
            if let Some(end) = end {
                let is_over = if end.micros_of_day().is_some() {
                    self.end(stay?) <= predict
                } else {
                    civil(end.day()) < predict.date()
                };
                if is_over {
                    return None;
                }
            }
        }
        if outcome.prior == PriorOutcome::Remove
            && self
                .events
                .iter()
                .any(|event| self.is_any(event, &outcome.any_of) && self.at(event.time) <= predict)
        {
            return None;
        }
        // Day by day, for as long as the person is observed without a gap and the study follows.
        let is_last_day = |today: Date| match (&outcome.at_risk, stay.and_then(|stay| stay.end)) {
            (AtRisk::Days { .. }, _) => today == days_after(predict.date(), last()),
            (AtRisk::Stay, Some(end)) => today == civil(end.day()),
            (AtRisk::Stay, None) => false,
        };
        let counts = |event: &Event| match &outcome.at_risk {
            AtRisk::Days { from, .. } => {
                days_after(index.date(), outcome.gap_days_min.into()) <= day(event)
                    && days_after(predict.date(), (*from).into()) <= day(event)
                    && day(event) <= days_after(predict.date(), last())
            }
            AtRisk::Stay => {
                let in_stay = match stay.and_then(|stay| stay.end) {
                    None => true,
                    Some(end) if end.micros_of_day().is_some() && event.time.micros_of_day().is_some() => {
                        self.at(event.time) <= self.at(end)
                    }
                    Some(end) => event.time.day() <= end.day(),
                };
                self.at(event.time) > predict && in_stay
            }
        };
        let before = |event: &Event| match &outcome.at_risk {
            AtRisk::Days { from, .. } => {
                day(event) < days_after(predict.date(), (*from).into())
                    || day(event) < days_after(index.date(), outcome.gap_days_min.into())
            }
            AtRisk::Stay => self.at(event.time) <= predict,
        };
        // Whoever died earlier than they are asked about is dead all the time.
        let mut today = self
            .events
            .iter()
            .filter(|event| event.domain == Domain::Death)
            .map(day)
            .chain([index.date()])
            .min()
            .expect("the index at least");
        let mut happened = false;
        let mut complete = false;
        // The day by which all was known.
        let mut settled = None;
        loop {
            let is_observed =
                today <= self.records.followup_to && (today <= index.date() || self.observed(today));
            if !is_observed {
                break;
            }
            let of_today = || self.events.iter().filter(|event| day(event) == today);
            let of_outcome = |event: &&Event| self.is_any(event, &outcome.any_of);
            happened |=
                self.events.iter().any(|event| of_outcome(&event) && day(event) <= today && counts(event));
            if happened && settled.is_none() {
                settled = Some(today);
            }
            let dead = of_today().any(|event| event.domain == Domain::Death);
            if dead {
                let of_it: Vec<&Event> =
                    of_today().filter(|event| event.domain == Domain::Death).filter(of_outcome).collect();
                if of_it.iter().any(|event| counts(event)) {
                    return Some((1.0, self.weight(asks, predict, settled)));
                }
                let is_competing = outcome.death == Death::Competing && of_it.is_empty();
                if is_competing && settled.is_none() {
                    settled = Some(today);
                }
                complete = is_competing || is_last_day(today) && !of_it.iter().any(|event| before(event));
                break;
            }
            if is_last_day(today) {
                complete = true;
                break;
            }
            today = days_after(today, 1);
        }
        let label = if happened && (complete || outcome.short_follow_up != ShortFollowUp::Drop) {
            1.0
        } else if complete {
            0.0
        } else {
            return None;
        };
        Some((label, self.weight(asks, predict, settled)))
    }
}
