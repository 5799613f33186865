//! What is known of a person when they are asked about, as inputs of the model.

use super::age;
use super::clock::Instant;
use super::plan::{Measured, Plan, Source};
use super::timeline::{Asked, Timeline};
use crate::data::encode::{Found, push};
use crate::data::omop::{Event, Value};
use consilium_common::study::records::Take;
use std::cmp::Ordering;

/// Values in a feature's window that were not used, over all people with an example. Stays at the site: no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Not a number.
    pub no_number: u64,
    /// In no unit that is known.
    pub no_unit: u64,
    /// In another unit than the study's.
    pub other_unit: u64,
    /// Beyond what the study takes to be possible.
    pub implausible: u64,
}

impl LeftOut {
    /// Whether there are any.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }

    fn add(&mut self, other: Self) {
        self.no_number += other.no_number;
        self.no_unit += other.no_unit;
        self.other_unit += other.other_unit;
        self.implausible += other.implausible;
    }
}

/// Appends a person's inputs; notes for each feature whether it was not recorded, and which values were left out.
///
/// # Privacy
/// Inputs lie in [−1, 1] and depend on this person's rows and the study only.
pub(super) fn inputs(
    plan: &Plan<'_>,
    timeline: &Timeline<'_>,
    asked: &Asked<'_>,
    tally: &mut [(u64, LeftOut)],
) -> Vec<f32> {
    let mut inputs = Vec::new();
    for ((source, feature), (not_recorded, left_out)) in
        plan.covariates.iter().zip(&plan.study.features).zip(tally)
    {
        let found = find(source, timeline, asked, left_out);
        *not_recorded += u64::from(found == Found::Nothing);
        push(&feature.encoding, plan.study.missing, found, &mut inputs);
    }
    inputs
}

fn find(source: &Source, timeline: &Timeline<'_>, asked: &Asked<'_>, left_out: &mut LeftOut) -> Found {
    #[expect(clippy::cast_precision_loss, reason = "at most EVENTS_PER_PERSON_MAX")]
    let number = |count: usize| Found::Number(count as f64);
    match source {
        Source::Age => age::on_day(timeline.person, asked.index.day())
            .map_or(Found::Nothing, |age| Found::Number(age.into())),
        Source::Sex(levels) => {
            let gender = timeline.person.gender.0;
            levels.iter().position(|level| level.contains(&gender)).map_or(Found::Nothing, Found::Level)
        }
        Source::Present(events, window) => number(timeline.within(*events, window, asked).take(1).count()),
        Source::Count(events, window) => number(timeline.within(*events, window, asked).count()),
        Source::Measured(measured) => {
            let mut passed_over = LeftOut::default();
            let values = timeline
                .within(measured.events, &measured.window, asked)
                .filter_map(|(time, event)| Some((time, usable(measured, event, &mut passed_over)?)));
            let taken = take(measured, values);
            left_out.add(passed_over);
            taken.map_or(Found::Nothing, Found::Number)
        }
    }
}

/// The number, where the study takes it.
fn usable(measured: &Measured, event: &Event, left_out: &mut LeftOut) -> Option<f64> {
    let Value::Number(value) = event.value else {
        left_out.no_number += 1;
        return None;
    };
    if event.unit.is_some() {
        if measured.units.binary_search(&event.unit).is_err() {
            left_out.other_unit += 1;
            return None;
        }
    } else if !measured.unit_missing {
        left_out.no_unit += 1;
        return None;
    }
    if measured.plausible.is_some_and(|(low, high)| !(low..=high).contains(&value)) {
        left_out.implausible += 1;
        return None;
    }
    Some(value)
}

/// One of several values, which come in the stream's order.
fn take(measured: &Measured, values: impl Iterator<Item = (Instant, f64)>) -> Option<f64> {
    let best = |better: fn(&(Instant, f64), &(Instant, f64)) -> bool,
                values: &mut dyn Iterator<Item = (Instant, f64)>| {
        values.reduce(|best, next| if better(&next, &best) { next } else { best }).map(|(_, value)| value)
    };
    let mut values = values;
    match measured.take {
        Take::Last => best(|next, best| (next.0, next.1).gt(&(best.0, best.1)), &mut values),
        Take::First => best(is_earlier, &mut values),
        Take::Min => best(|next, best| next.1 < best.1, &mut values),
        Take::Max => best(|next, best| next.1 > best.1, &mut values),
        Take::Mean => mean(&values.map(|(_, value)| value).collect::<Vec<_>>()),
        Take::Worst => {
            let normal = measured.normal.expect("a study that takes the worst value says what is normal");
            let outside = |value: f64| (normal.0 - value).max(value - normal.1).max(0.0);
            values
                .reduce(|best, next| {
                    let is_worse = match outside(next.1).total_cmp(&outside(best.1)) {
                        Ordering::Greater => true,
                        Ordering::Less => false,
                        Ordering::Equal if outside(next.1) > 0.0 => next.1 > best.1,
                        Ordering::Equal => is_earlier(&next, &best),
                    };
                    if is_worse { next } else { best }
                })
                .map(|(_, value)| value)
        }
    }
}

/// Earlier; of two at one moment the larger.
fn is_earlier(next: &(Instant, f64), best: &(Instant, f64)) -> bool {
    next.0 < best.0 || next.0 == best.0 && next.1 > best.1
}

/// The arithmetic mean, in order; finite, since the values are.
fn mean(values: &[f64]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "at most EVENTS_PER_PERSON_MAX")]
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    match values {
        [] => None,
        // The sum alone can be too large.
        _ if !mean.is_finite() => Some(values.iter().map(|value| value / count).sum()),
        _ => Some(mean),
    }
}
