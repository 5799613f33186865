//! What became of somebody who was asked about.

use super::plan::Plan;
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

/// What became of somebody. Only what lies within the stretch of observation of the index is known.
pub(super) fn find(plan: &Plan<'_>, timeline: &Timeline<'_>, asked: &Asked<'_>) -> Found {
    let outcome = &plan.records.outcome;
    let Some(risk) = risk(plan, timeline, asked) else { return Found::NothingAtRisk };
    let events = || plan.outcome.iter().flat_map(|wanted| timeline.of(*wanted));
    if outcome.prior == PriorOutcome::Remove && events().any(|event| timeline.start(event) <= asked.predict) {
        return Found::Before;
    }
    let day = |event: &Event| event.time.day().epoch_days();
    let observed_to = asked.observed_to.min(plan.followup_to);
    let died = timeline.of(plan.deaths).map(day).min().filter(|died| *died <= observed_to);
    // Records from after a death are mistakes.
    let known_to = died.map_or(observed_to, |died| died.min(observed_to));
    let mut happened = false;
    let mut died_of_it = false;
    let mut is_death = false;
    let mut dead_before = false;
    for event in events().filter(|event| day(event) <= known_to) {
        let counts = risk.counts(timeline, asked, event);
        let of_death = event.domain == Domain::Death;
        happened |= counts;
        died_of_it |= counts && of_death;
        is_death |= of_death;
        dead_before |= of_death && risk.is_before(timeline, asked, event);
    }
    if died_of_it {
        return Found::Known(true);
    }
    // A death that is itself an outcome competes with nothing: it ends the observation.
    let ends_at_death = is_death || outcome.death == Death::Censoring;
    let followed_to = if ends_at_death { known_to } else { observed_to };
    let settled = died.is_some() && !ends_at_death;
    let complete = !dead_before && (settled || followed_to >= risk.last_day());
    match (happened, complete, outcome.short_follow_up) {
        (_, true, _) | (true, _, ShortFollowUp::KeepIfOutcome) => Found::Known(happened),
        _ => Found::Lost,
    }
}

/// None where there is none.
fn risk(plan: &Plan<'_>, timeline: &Timeline<'_>, asked: &Asked<'_>) -> Option<Risk> {
    let day = asked.predict.day();
    let Some(visits) = plan.visits else {
        let AtRisk::Days { from, to } = plan.records.outcome.at_risk else {
            unreachable!("a stay has visits")
        };
        let after = |days: u32| i32::try_from(days).map_or(i32::MAX, |days| day.saturating_add(days));
        let gap = i32::try_from(plan.records.outcome.gap_days_min).unwrap_or(i32::MAX);
        let from = after(from).max(asked.index.day().saturating_add(gap));
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
