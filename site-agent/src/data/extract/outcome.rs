//! What became of somebody who was asked about.

use super::plan::{Plan, TaskPlan};
use super::timeline::{Asked, Timeline};
use crate::data::omop::{Domain, Event, Moment};
use consilium_common::study::records::{AtRisk, Death, PriorOutcome, ShortFollowUp};

/// What became of somebody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The time at risk is over before it begins, or is of no known stay: there is nothing to predict.
    NothingAtRisk,
    /// The outcome happened before, and the study leaves such people out.
    Before,
    /// Not observed to the end of the time at risk.
    Lost,
    /// An example; whether the outcome happened.
    Known(bool),
}

/// When an outcome counts.
enum Risk {
    /// First and last day.
    Days(i32, i32),
    /// After the prediction time, to the end of a stay, if it has ended.
    Stay(Option<Moment>),
}

/// What became of somebody by the last day of `horizon`, and how much their example counts, as
/// [`Example::weight`](consilium_common::examples::Example::weight). Only what lies within the stretch of observation
/// of the index is known.
pub(super) fn find(
    plan: &Plan<'_>,
    task: &TaskPlan<'_>,
    horizon: Option<u32>,
    timeline: &Timeline<'_>,
    asked: &Asked<'_>,
) -> (Found, f32) {
    let outcome = task.asks;
    let Some(risk) = risk(task, horizon, timeline, asked) else { return (Found::NothingAtRisk, 1.0) };
    let events = || task.outcome.iter().flat_map(|wanted| timeline.of(*wanted));
    if outcome.prior == PriorOutcome::Remove && events().any(|event| timeline.start(event) <= asked.predict) {
        return (Found::Before, 1.0);
    }
    let day = |event: &Event| event.time.day().epoch_days();
    let observed_to = asked.observed_to.min(plan.followup_to);
    let died = timeline.of(plan.deaths).map(day).min().filter(|died| *died <= observed_to);
    // Records from after a death are mistakes.
    let known_to = died.map_or(observed_to, |died| died.min(observed_to));
    let mut first: Option<i32> = None;
    let mut died_of_it = false;
    let mut is_death = false;
    let mut dead_before = false;
    for event in events().filter(|event| day(event) <= known_to) {
        let counts = risk.counts(timeline, asked, event);
        let of_death = event.domain == Domain::Death;
        if counts {
            first = Some(first.map_or(day(event), |first| first.min(day(event))));
        }
        died_of_it |= counts && of_death;
        is_death |= of_death;
        dead_before |= of_death && risk.is_before(timeline, asked, event);
    }
    // A death that is itself an outcome competes with nothing: it ends the observation.
    let ends_at_death = is_death || outcome.death == Death::Censoring;
    let followed_to = if ends_at_death { known_to } else { observed_to };
    let settled = died.is_some() && !ends_at_death;
    let complete = !dead_before && (settled || followed_to >= risk.last_day());
    let happened = first.is_some();
    let is_known = died_of_it || complete || (happened && outcome.short_follow_up != ShortFollowUp::Drop);
    if !is_known {
        return (Found::Lost, 1.0);
    }
    let weight = match (&outcome.short_follow_up, horizon) {
        (ShortFollowUp::Weighted(followed), Some(horizon)) => {
            // All was known with the outcome, or a death that settled it, else at the end.
            let settled_on = first.or(died.filter(|_| settled));
            let days = |on: i32| u32::try_from(on.saturating_sub(asked.predict.day())).unwrap_or(0);
            followed.weight(settled_on.map_or(horizon, days), horizon)
        }
        _ => 1.0,
    };
    (Found::Known(happened), weight)
}

/// None where there is none.
fn risk(
    task: &TaskPlan<'_>,
    horizon: Option<u32>,
    timeline: &Timeline<'_>,
    asked: &Asked<'_>,
) -> Option<Risk> {
    let day = asked.predict.day();
    let Some(visits) = task.visits else {
        let (AtRisk::Days { from, .. }, Some(to)) = (&task.asks.at_risk, horizon) else {
            unreachable!("a stay has visits, and days have a last")
        };
        let after = |days: u32| i32::try_from(days).map_or(i32::MAX, |days| day.saturating_add(days));
        let gap = i32::try_from(task.asks.gap_days_min).unwrap_or(i32::MAX);
        let from = after(*from).max(asked.index.day().saturating_add(gap));
        return Some(Risk::Days(from, after(to)));
    };
    let entry = asked.entry;
    let stay = if entry.domain == Domain::Visit {
        entry
    } else {
        let visit = entry.visit?;
        timeline.of(visits).find(|stay| stay.visit == Some(visit))?
    };
    let is_over = stay.end.is_some_and(|end| match end.micros_of_day() {
        Some(_) => timeline.end(stay).is_some_and(|end| end <= asked.predict),
        None => end.day().epoch_days() < day,
    });
    (!is_over).then_some(Risk::Stay(stay.end))
}

impl Risk {
    fn counts(&self, timeline: &Timeline<'_>, asked: &Asked<'_>, event: &Event) -> bool {
        let day = event.time.day().epoch_days();
        match self {
            Self::Days(from, to) => (*from..=*to).contains(&day),
            Self::Stay(end) => {
                let start = timeline.start(event);
                let before_end = match end {
                    None => true,
                    Some(end) if end.micros_of_day().is_some() && event.time.micros_of_day().is_some() => {
                        event.time <= *end
                    }
                    // Where one of them is only dated, the days are what is known.
                    Some(end) => event.time.day() <= end.day(),
                };
                start > asked.predict && before_end
            }
        }
    }

    fn is_before(&self, timeline: &Timeline<'_>, asked: &Asked<'_>, event: &Event) -> bool {
        match self {
            Self::Days(from, _) => event.time.day().epoch_days() < *from,
            Self::Stay(_) => timeline.start(event) <= asked.predict,
        }
    }

    fn last_day(&self) -> i32 {
        match self {
            Self::Days(_, to) => *to,
            Self::Stay(end) => end.map_or(i32::MAX, |end| end.day().epoch_days()),
        }
    }
}
