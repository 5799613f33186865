//! The stream one person at a time, beside the person's attributes and observation periods.

use super::error::InvalidOmop;
use super::event::{Domain, Event, PersonId};
use super::fault::{Fault, FaultCounts};
use super::people::{People, Period, Person};
use std::collections::BTreeMap;

/// Most events of one person. A person with more is left out: no record of a life is so long, and one id that an export
/// gave to everybody must not take all memory.
pub const EVENTS_PER_PERSON_MAX: usize = 1_000_000;

/// Everything that is known of one person. No `Debug`.
pub struct History<'a> {
    /// Who.
    pub person: &'a Person,
    /// When they were observed, by start; they may overlap.
    pub periods: &'a [Period],
    /// What happened, in order.
    pub events: &'a [Event],
}

/// Gives the history of everybody in `person`, also of people without events, in order of their ids. Counts what is
/// wrong with events beside other tables: people who are unknown, events after death or outside observation.
///
/// # Privacy
/// The counts stay at the site. A history depends on that person's rows alone.
///
/// # Errors
/// The stream's.
pub fn each(
    people: &People,
    stream: impl Iterator<Item = Result<Event, InvalidOmop>>,
    mut take: impl FnMut(&History<'_>),
) -> Result<BTreeMap<Domain, FaultCounts>, InvalidOmop> {
    let mut faults: BTreeMap<Domain, FaultCounts> = BTreeMap::new();
    let mut stream = stream.peekable();
    let mut periods = people.periods.as_slice();
    let mut events = Vec::new();
    for person in &people.persons {
        // Events of people before this one are nobody's whom we know.
        while let Some(event) = next_if(&mut stream, |event| event.person < person.id)? {
            note_unknown(people, &event, &mut faults);
        }
        events.clear();
        let mut too_many = false;
        while let Some(event) = next_if(&mut stream, |event| event.person == person.id)? {
            if events.len() < EVENTS_PER_PERSON_MAX {
                events.push(event);
            } else {
                faults.entry(event.domain).or_default().note(Fault::TooManyEvents);
                too_many = true;
            }
        }
        periods = &periods[periods.partition_point(|period| period.person < person.id)..];
        let (of_person, later) =
            periods.split_at(periods.partition_point(|period| period.person == person.id));
        periods = later;
        if too_many {
            for event in &events {
                faults.entry(event.domain).or_default().note(Fault::TooManyEvents);
            }
            continue;
        }
        note_time(people.observed, of_person, &events, &mut faults);
        take(&History { person, periods: of_person, events: &events });
    }
    for event in stream {
        note_unknown(people, &event?, &mut faults);
    }
    Ok(faults)
}

fn next_if<S: Iterator<Item = Result<Event, InvalidOmop>>>(
    stream: &mut std::iter::Peekable<S>,
    wanted: impl Fn(&Event) -> bool,
) -> Result<Option<Event>, InvalidOmop> {
    stream.next_if(|event| event.as_ref().map_or(true, &wanted)).transpose()
}

fn note_unknown(people: &People, event: &Event, faults: &mut BTreeMap<Domain, FaultCounts>) {
    let left_out = |person: PersonId| people.left_out.binary_search(&person).is_ok();
    let fault = if left_out(event.person) { Fault::ContradictoryPerson } else { Fault::UnknownPerson };
    faults.entry(event.domain).or_default().note(fault);
}

/// A death itself is neither outside observation nor after death.
fn note_time(
    observed: bool,
    periods: &[Period],
    events: &[Event],
    faults: &mut BTreeMap<Domain, FaultCounts>,
) {
    let death = events.iter().find(|event| event.domain == Domain::Death).map(|event| event.time.day());
    let spans = union(periods);
    for event in events.iter().filter(|event| event.domain != Domain::Death) {
        let day = event.time.day();
        let before = spans.partition_point(|(start, _)| *start <= day);
        let inside = before > 0 && day <= spans[before - 1].1;
        if observed && !inside {
            faults.entry(event.domain).or_default().note(Fault::OutsideObservation);
        }
        if death.is_some_and(|death| day > death) {
            faults.entry(event.domain).or_default().note(Fault::AfterDeath);
        }
    }
}

/// Periods that overlap or touch as one; by start, as `periods` must be.
#[must_use]
pub fn union(periods: &[Period]) -> Vec<(super::moment::Day, super::moment::Day)> {
    let mut spans: Vec<(super::moment::Day, super::moment::Day)> = Vec::new();
    for period in periods {
        match spans.last_mut() {
            Some((_, end)) if period.start.epoch_days() <= end.epoch_days() + 1 => {
                *end = (*end).max(period.end)
            }
            _ => spans.push((period.start, period.end)),
        }
    }
    spans
}
