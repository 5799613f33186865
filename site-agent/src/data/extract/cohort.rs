//! Who is asked about, and when: the index of a person, or how far the person came.

use super::age;
use super::clock::Instant;
use super::plan::{Condition, Plan};
use super::timeline::{Asked, Timeline};
use crate::data::omop::history::union;
use crate::data::omop::{Day, Event};
use consilium_common::study::records::{Anchor, DateOnly, Limit};

/// How many steps of the cohort a person came through: an entry event, an index in accrual, prior observation, then each
/// rule of `require` and of `exclude`.
pub(super) type Depth = usize;

/// The index where there is one; and the most steps that any of the person's entry events came through.
pub(super) fn index<'a>(plan: &Plan<'_>, timeline: &Timeline<'a>) -> (Depth, Option<Asked<'a>>) {
    let entries = entries(plan, timeline);
    let considered = match plan.records.cohort.limit {
        Limit::FirstEver => &entries[..entries.len().min(1)],
        Limit::FirstInAccrual => &entries,
    };
    let spans = union(timeline.periods);
    let mut deepest = 0;
    for (at, entry) in considered.iter().enumerate() {
        let (depth, asked) = consider(plan, timeline, &spans, entry, &entries[at + 1..]);
        deepest = deepest.max(depth);
        if asked.is_some() {
            return (deepest, asked);
        }
    }
    (deepest, None)
}

/// All entry events: the earliest first; of several at one moment the one that ends first, then in the stream's order.
fn entries<'a>(plan: &Plan<'_>, timeline: &Timeline<'a>) -> Vec<&'a Event> {
    let mut places: Vec<u32> =
        plan.entry.iter().flat_map(|wanted| timeline.places(*wanted)).copied().collect();
    places.sort_unstable();
    places.dedup();
    let mut entries: Vec<&Event> = places.into_iter().map(|at| &timeline.events[at as usize]).collect();
    // Stable: the stream's order decides last.
    entries.sort_by_key(|event| {
        let start = timeline.start(event);
        (start, timeline.end(event).unwrap_or(start))
    });
    entries
}

fn consider<'a>(
    plan: &Plan<'_>,
    timeline: &Timeline<'a>,
    spans: &[(Day, Day)],
    entry: &'a Event,
    later: &[&Event],
) -> (Depth, Option<Asked<'a>>) {
    let cohort = &plan.records.cohort;
    let start = timeline.start(entry);
    let index = match cohort.index {
        Anchor::Start => start,
        Anchor::End => timeline.end(entry).unwrap_or(start),
    };
    let day = index.day();
    if day < plan.accrual.0 || day > plan.accrual.1 {
        return (1, None);
    }
    let mut days = spans.iter().map(|(from, to)| (from.epoch_days(), to.epoch_days()));
    let span = days.find(|(from, to)| (*from..=*to).contains(&day));
    let Some((_, observed_to)) =
        span.filter(|(from, _)| i64::from(day) - i64::from(*from) >= cohort.prior_observation_days.into())
    else {
        return (2, None);
    };
    let asked =
        Asked { entry, index, predict: index.plus_hours(cohort.predict_after_hours.into()), observed_to };
    let rules =
        plan.require.iter().map(|rule| (rule, true)).chain(plan.exclude.iter().map(|rule| (rule, false)));
    for (passed, (rule, wanted)) in rules.enumerate() {
        if meets(rule, plan, timeline, &asked, later) != wanted {
            return (3 + passed, None);
        }
    }
    (3 + plan.require.len() + plan.exclude.len(), Some(asked))
}

fn meets(
    rule: &Condition,
    plan: &Plan<'_>,
    timeline: &Timeline<'_>,
    asked: &Asked<'_>,
    later: &[&Event],
) -> bool {
    match rule {
        Condition::Age { min, max } => {
            age::on_day(timeline.person, asked.index.day()).is_some_and(|age| (*min..=*max).contains(&age))
        }
        Condition::DiedBefore => timeline.of(plan.deaths).any(|death| {
            // Whatever a date without a time means elsewhere: nobody is asked about on the day that they died.
            Instant::of(death.time, DateOnly::Start) <= asked.predict
        }),
        Condition::Has { events, window, count_min } => {
            timeline.within(*events, window, asked).take(*count_min).count() == *count_min
        }
        Condition::StillThere => timeline.end(asked.entry).is_none_or(|end| end > asked.predict),
        Condition::SeenBy(contacts) => {
            timeline.of(*contacts).any(|contact| timeline.start(contact) <= asked.predict)
        }
        Condition::Spared => true,
        Condition::TransferWithin { days } => {
            let day = asked.index.day();
            let days = day..=day.saturating_add(*days);
            later.iter().any(|event| days.contains(&event.time.day().epoch_days()))
        }
    }
}
