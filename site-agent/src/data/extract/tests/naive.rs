//! A second implementation, straight from the words of `study::records`: loops over all of a person's events, calendar
//! arithmetic by `jiff`, and nothing shared with the first.

mod bound;
mod label;
mod weight;

use crate::data::omop::{ConceptId, Day, Domain, Event, Moment, Person, Value};
use consilium_common::study::bindings::InForce;
use consilium_common::study::notes::Said;
use consilium_common::study::records::*;
use consilium_common::study::{AttributeValues, Encoding, Holdout, Study, Validation};
use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};

pub(super) type Example = ((f32, f32), Vec<f32>, Vec<u16>);

/// A prediction of the study: a task at a horizon.
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    pub(super) task: &'a RecordTask,
    pub(super) horizon: Option<u32>,
}

pub(super) struct Naive<'a> {
    pub(super) study: &'a Study,
    /// The person's role.
    pub(super) trains: bool,
    pub(super) records: &'a Records,
    pub(super) person: &'a Person,
    pub(super) periods: Vec<(Date, Date)>,
    pub(super) events: &'a [Event],
}

pub(super) fn civil(day: Day) -> Date {
    date(1970, 1, 1) + SignedDuration::from_hours(24 * i64::from(day.epoch_days()))
}

fn days_after(day: Date, days: i64) -> Date {
    day + SignedDuration::from_hours(24 * days)
}

impl Naive<'_> {
    fn at(&self, moment: Moment) -> DateTime {
        let day = civil(moment.day());
        match moment.micros_of_day() {
            Some(micros) => day.at(0, 0, 0, 0) + SignedDuration::from_micros(micros.cast_signed()),
            None if self.records.date_only == DateOnly::Start => day.at(0, 0, 0, 0),
            None => day.at(23, 59, 59, 999_999_000),
        }
    }

    fn is(&self, event: &Event, criterion: &Criterion) -> bool {
        if let RecordTable::Stay(binding) = criterion.table {
            return self.is_stay(event, binding);
        }
        let table = match event.domain {
            Domain::Visit => RecordTable::Visit,
            Domain::VisitDetail => RecordTable::VisitDetail,
            Domain::Condition => RecordTable::Condition,
            Domain::Drug => RecordTable::Drug,
            Domain::Procedure => RecordTable::Procedure,
            Domain::Measurement => RecordTable::Measurement,
            Domain::Observation => RecordTable::Observation,
            Domain::Death => RecordTable::Death,
            Domain::Note => return false,
        };
        table == criterion.table
            && criterion.set.is_none_or(|set| match &self.records.sets[set.0].include[0].concept {
                ConceptRef::Id { id, .. } => event.concept.0 == *id,
                ConceptRef::Code { .. } => unreachable!("sets of one id"),
            })
    }

    fn is_any(&self, event: &Event, criteria: &[Criterion]) -> bool {
        criteria.iter().any(|criterion| self.is(event, criterion))
    }

    fn end(&self, event: &Event) -> DateTime {
        let start = self.at(event.time);
        match event.end {
            None => start,
            Some(end) => {
                let end = self.at(end);
                if end < start { start } else { end }
            }
        }
    }

    fn age(&self, on: Date) -> Option<i16> {
        let year = self.person.birth_year?;
        let (month, day) = match (self.person.birth_month, self.person.birth_day) {
            (None, _) => (7, 1),
            (Some(month), None) => (month, 15),
            (Some(month), Some(day)) => (month, day),
        };
        let (month, day) = (i8::try_from(month).expect("small"), i8::try_from(day).expect("small"));
        let mut age = on.year() - year;
        if (on.month(), on.day()) < (month, day) {
            age -= 1;
        }
        (age >= 0).then_some(age)
    }

    fn observed(&self, on: Date) -> bool {
        self.periods.iter().any(|(from, to)| *from <= on && on <= *to)
    }

    fn in_window(&self, event: &Event, window: &Window, index: DateTime, predict: DateTime) -> bool {
        let at = self.at(event.time);
        at <= predict
            && match window {
                Window::Days { from, to } => {
                    let day = civil(event.time.day());
                    days_after(index.date(), (*from).into()) <= day
                        && day <= days_after(index.date(), (*to).into())
                }
                Window::Hours { from, to } => {
                    let hours = |hours: i32| index + SignedDuration::from_hours(hours.into());
                    hours(*from) <= at && at <= hours(*to)
                }
            }
    }

    fn meets(
        &self,
        rule: &Rule,
        entry: &Event,
        later: &[&Event],
        (index, predict): (DateTime, DateTime),
    ) -> bool {
        match rule {
            Rule::Age { min, max } => self.age(index.date()).is_some_and(|age| {
                let age = u32::try_from(age).expect("not negative");
                *min <= age && age <= *max
            }),
            Rule::DiedBefore => self.events.iter().any(|event| {
                event.domain == Domain::Death
                    && match event.time.micros_of_day() {
                        Some(_) => self.at(event.time) <= predict,
                        None => civil(event.time.day()).at(0, 0, 0, 0) <= predict,
                    }
            }),
            Rule::Has { events, window, count_min } => {
                let mut count = 0;
                for event in self.events {
                    if self.is(event, events) && self.in_window(event, window, index, predict) {
                        count += 1;
                    }
                }
                count >= *count_min
            }
            Rule::StillThere => entry.end.is_none() || self.end(entry) > predict,
            Rule::SeenBy(binding) => {
                self.records.bindings[binding.0].in_force == InForce::Absent
                    || self
                        .events
                        .iter()
                        .any(|event| self.is_stay(event, *binding) && self.at(event.time) <= predict)
            }
            Rule::TransferWithin { days } => later.iter().any(|event| {
                let day = civil(event.time.day());
                index.date() <= day && day <= days_after(index.date(), (*days).into())
            }),
        }
    }

    /// Entry, index and prediction time.
    fn asked(&self, cohort: &Cohort) -> Option<(&Event, DateTime, DateTime)> {
        let mut entries: Vec<&Event> =
            self.events.iter().filter(|event| self.is_any(event, &cohort.entry)).collect();
        // Bubbles: only what is strictly later goes behind.
        for _ in 0..entries.len() {
            for at in 1..entries.len() {
                let key = |event: &Event| (self.at(event.time), self.end(event));
                if key(entries[at - 1]) > key(entries[at]) {
                    entries.swap(at - 1, at);
                }
            }
        }
        let considered = if cohort.limit == Limit::FirstEver { 1 } else { entries.len() };
        for (at, entry) in entries.iter().copied().enumerate().take(considered) {
            let index = if cohort.index == Anchor::Start { self.at(entry.time) } else { self.end(entry) };
            let predict = index + SignedDuration::from_hours(cohort.predict_after_hours.into());
            let day = index.date();
            let in_accrual = self.records.accrual.0 <= day && day <= self.records.accrual.1;
            let observed = (0..=i64::from(cohort.prior_observation_days))
                .all(|ago| self.observed(days_after(day, -ago)));
            let meets = |rule: &Rule| self.meets(rule, entry, &entries[at + 1..], (index, predict));
            if in_accrual && observed && cohort.require.iter().all(meets) && !cohort.exclude.iter().any(meets)
            {
                return Some((entry, index, predict));
            }
        }
        None
    }

    pub(super) fn example(&self, asks: Asks<'_>) -> Option<Example> {
        let (entry, index, predict) = self.asked(&asks.task.cohort)?;
        let label = self.label(asks, entry, index, predict)?;
        let mut inputs = Vec::new();
        for (feature, covariate) in self.study.features.iter().zip(&self.records.covariates) {
            self.inputs(&feature.encoding, covariate, index, predict, &mut inputs);
        }
        let mut groups = Vec::new();
        for (attribute, fields) in self.study.attributes.iter().zip(&self.records.attributes) {
            groups.push(self.group(&attribute.values, fields, index, predict));
        }
        if let Some(Holdout { from, reported }) = &self.study.split.holdout {
            let is_later = index.date() >= *from;
            let temporal = reported.contains(&Validation::Temporal);
            let internal = reported.contains(&Validation::Internal);
            match (self.trains, is_later) {
                (true, true) => return None,
                (false, true) if !temporal => return None,
                (false, false) if !internal => return None,
                _ if temporal && internal => groups.push(u16::from(is_later)),
                _ => {}
            }
        }
        Some((label, inputs, groups))
    }

    fn values(&self, covariate: &Covariate, index: DateTime, predict: DateTime) -> Vec<(DateTime, f64)> {
        let Covariate::Measured { events, window, units, unit_missing, plausible, .. } = covariate else {
            return vec![];
        };
        assert_eq!(units, &["mm[Hg]"]);
        let mut values = Vec::new();
        for event in self.events {
            let Value::Number(value) = event.value else { continue };
            let unit = event.unit.0 == 8876 || event.unit.0 == 0 && *unit_missing;
            let plausible = plausible.is_none_or(|(low, high)| low <= value && value <= high);
            if self.is(event, events) && self.in_window(event, window, index, predict) && unit && plausible {
                values.push((self.at(event.time), value));
            }
        }
        values
    }

    fn number(&self, covariate: &Covariate, index: DateTime, predict: DateTime) -> Option<f64> {
        let values = self.values(covariate, index, predict);
        let Covariate::Measured { take, .. } = covariate else {
            let count = |events: &Criterion, window: &Window| {
                let meets =
                    |event: &&Event| self.is(event, events) && self.in_window(event, window, index, predict);
                self.events.iter().filter(meets).count() as f64
            };
            return match covariate {
                Covariate::Age => self.age(index.date()).map(f64::from),
                Covariate::Present { events, window } => Some(count(events, window).min(1.0)),
                Covariate::Count { events, window } => Some(count(events, window)),
                Covariate::Noted { concept, said, window } => {
                    // As the reader numbers them: affirmed and denied of each in turn, from 1 on.
                    let number = [1, 2][usize::from(*said == Said::Denied)] + 2 * concept.0 as i64;
                    let says = |event: &Event| {
                        event.domain == Domain::Note
                            && event.concept.0 == number
                            && self.in_window(event, window, index, predict)
                    };
                    Some(if self.events.iter().any(says) { 1.0 } else { 0.0 })
                }
                _ => None,
            };
        };
        let largest_at =
            |at: DateTime| values.iter().filter(|value| value.0 == at).map(|value| value.1).reduce(f64::max);
        match take {
            Take::Last => largest_at(values.iter().map(|value| value.0).max()?),
            Take::First => largest_at(values.iter().map(|value| value.0).min()?),
            Take::Min => values.iter().map(|value| value.1).reduce(f64::min),
            Take::Max => values.iter().map(|value| value.1).reduce(f64::max),
            Take::Mean if values.is_empty() => None,
            Take::Mean => Some(values.iter().map(|value| value.1).sum::<f64>() / values.len() as f64),
            Take::Worst => {
                // Normal is 3 to 5.
                let outside = |value: f64| if value < 3.0 { 3.0 - value } else { (value - 5.0).max(0.0) };
                let farthest = values.iter().map(|value| outside(value.1)).reduce(f64::max)?;
                if farthest == 0.0 {
                    largest_at(values.iter().map(|value| value.0).min()?)
                } else {
                    values
                        .iter()
                        .map(|value| value.1)
                        .filter(|value| outside(*value) == farthest)
                        .reduce(f64::max)
                }
            }
        }
    }

    fn inputs(
        &self,
        encoding: &Encoding,
        covariate: &Covariate,
        index: DateTime,
        predict: DateTime,
        inputs: &mut Vec<f32>,
    ) {
        let found = self.number(covariate, index, predict);
        match encoding {
            Encoding::Number { low, high } => {
                let input = |value: f64| 2.0 * (value.clamp(*low, *high) - low) / (high - low) - 1.0;
                inputs.push(found.map_or(0.0, input) as f32);
                inputs.push(if found.is_none() { 1.0 } else { 0.0 });
            }
            Encoding::Flag => inputs.push(found.expect("never missing") as f32),
            Encoding::Count { cap } => {
                let (count, cap) = (found.expect("never missing"), f64::from(*cap));
                inputs.push(((1.0 + count.min(cap)).ln() / (1.0 + cap).ln()) as f32);
            }
            Encoding::Distance { range, normal } => {
                let outside = |value: f64| {
                    let value = value.clamp(range.0, range.1);
                    (normal.0 - value).max(value - normal.1).max(0.0)
                };
                inputs
                    .push(found.map_or(0.0, |value| outside(value) / outside(range.0).max(outside(range.1)))
                        as f32);
            }
            Encoding::Category { levels } => {
                let Covariate::Sex { levels: concepts } = covariate else { unreachable!("the one category") };
                let level = concepts.iter().position(|level| level.contains(&self.person.gender.0));
                (1..levels.len()).for_each(|at| inputs.push(if level == Some(at) { 1.0 } else { 0.0 }));
                inputs.push(if level.is_none() { 1.0 } else { 0.0 });
            }
        }
    }

    fn group(
        &self,
        values: &AttributeValues,
        fields: &[PersonField],
        index: DateTime,
        predict: DateTime,
    ) -> u16 {
        match values {
            AttributeValues::Bands(edges) => {
                let bands = edges.len() - 1;
                let age = self.age(index.date()).map(f64::from);
                let band =
                    (0..bands).find(|at| age.is_some_and(|age| edges[*at] <= age && age < edges[at + 1]));
                u16::try_from(band.unwrap_or(bands)).expect("few")
            }
            AttributeValues::Concepts(groups) => {
                let of =
                    |concept: ConceptId| groups.iter().position(|(listed, _)| listed.contains(&concept.0));
                let mut found = Vec::new();
                for field in fields {
                    found.extend(match field {
                        PersonField::Race => of(self.person.race),
                        PersonField::Ethnicity => of(self.person.ethnicity),
                        PersonField::Binding(binding) => {
                            let told = self.told(*binding, predict);
                            groups.iter().position(|(_, label)| Some(label.as_str()) == told)
                        }
                        other => unreachable!("{other:?} is in no such attribute"),
                    });
                }
                found.sort_unstable();
                found.dedup();
                let group = match found[..] {
                    [] => groups.len() + 1,
                    [one] => one,
                    _ => groups.len(),
                };
                u16::try_from(group).expect("few")
            }
            AttributeValues::RecordedConcepts(states) => {
                let mut found = Vec::new();
                for field in fields {
                    let concept = match field {
                        PersonField::Race => self.person.race.0,
                        PersonField::Ethnicity => self.person.ethnicity.0,
                        other => unreachable!("{other:?} is in no such attribute"),
                    };
                    if states.refused.contains(&concept) {
                        found.push("refused");
                    } else if states.not_asked.contains(&concept) {
                        found.push("not asked");
                    } else if concept > 0 && !states.unknown.contains(&concept) {
                        found.push("recorded");
                    }
                }
                found.dedup();
                let state = match found[..] {
                    [] => "unknown",
                    [one] => one,
                    _ => "conflicting",
                };
                let at = values.labels().iter().position(|label| label == state);
                u16::try_from(at.expect("a state")).expect("few")
            }
            AttributeValues::Levels(_) | AttributeValues::RecordedCells(_) => unreachable!("of tables"),
        }
    }
}
