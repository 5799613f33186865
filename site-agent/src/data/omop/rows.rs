//! A clinical table's rows as events, and what is wrong with single rows.

use super::cells::{Batch, Cell};
use super::event::{ConceptId, Domain, Event, PersonId, Value};
use super::fault::{Fault, FaultCounts};
use super::moment::{Day, Moment};
use super::schema::at;
use std::num::NonZeroI64;

/// Longest supply of a drug that its end is derived from, days.
const DAYS_SUPPLY_MAX: f64 = 36_500.0;

/// What came of a table's rows. Stays at the site: no `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct TableCounts {
    /// Rows of the table.
    pub rows: u64,
    /// Rows that are events.
    pub events: u64,
    /// Events of which only the day is known.
    pub days_only: u64,
    /// Events at exactly 00:00:00: in many exports a day without a time.
    pub at_midnight: u64,
    /// Of all events: the first and the last day.
    pub days: Option<(Day, Day)>,
    /// What is wrong with rows.
    pub faults: FaultCounts,
}

impl TableCounts {
    /// Adds those of another part of the table.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.events += other.events;
        self.days_only += other.days_only;
        self.at_midnight += other.at_midnight;
        self.days = match (self.days, other.days) {
            (Some((from, to)), Some((other_from, other_to))) => {
                Some((from.min(other_from), to.max(other_to)))
            }
            (mine, theirs) => mine.or(theirs),
        };
        self.faults.merge(&other.faults);
    }

    fn note_event(&mut self, event: &Event) {
        self.events += 1;
        match event.time.micros_of_day() {
            None => self.days_only += 1,
            Some(0) => self.at_midnight += 1,
            Some(_) => {}
        }
        let day = event.time.day();
        let (from, to) = self.days.unwrap_or((day, day));
        self.days = Some((from.min(day), to.max(day)));
    }
}

/// Gives every event of a batch of table `domain` to `take`, and counts.
pub(super) fn events<E>(
    batch: &Batch,
    domain: Domain,
    counts: &mut TableCounts,
    mut take: impl FnMut(Event) -> Result<(), E>,
) -> Result<(), E> {
    counts.rows += batch.rows as u64;
    for row in 0..batch.rows {
        if let Some(event) = event(batch, row, domain, &mut counts.faults) {
            counts.note_event(&event);
            take(event)?;
        }
    }
    Ok(())
}

fn event(batch: &Batch, row: usize, domain: Domain, faults: &mut FaultCounts) -> Option<Event> {
    let person = person(batch.id(at::PERSON, row), faults)?;
    let time = time(batch.moment(at::DATE, row), batch.moment(at::DATETIME, row), faults)?;
    let mut id = |column| id(batch.id(column, row), faults);
    let concept = match batch.id(at::CONCEPT, row) {
        // That it is 0 is said below; that it is no number is said here.
        Cell::Bad => ConceptId(id(at::CONCEPT)),
        Cell::Is(concept) => ConceptId(concept),
        _ => ConceptId::NONE,
    };
    let coded = ConceptId(id(at::VALUE_CONCEPT));
    let mut unit = ConceptId(id(at::UNIT));
    let visit = NonZeroI64::new(id(at::VISIT));
    let provenance = ConceptId(id(at::PROVENANCE));
    let status = ConceptId(id(at::STATUS));
    let care_site = NonZeroI64::new(id(at::CARE_SITE));
    if let (ConceptId::NONE, Cell::Is(by_text)) = (unit, batch.id(at::UNIT_TEXT, row)) {
        faults.note(Fault::UnitByText);
        unit = ConceptId(by_text);
    }
    if !concept.is_some() && domain != Domain::Death {
        faults.note(Fault::Unmapped);
    }
    let value = match batch.number(at::NUMBER, row) {
        Cell::Is(number) => Value::Number(number),
        Cell::Missing if coded.is_some() => Value::Concept(coded),
        Cell::Missing => Value::None,
        Cell::Bad | Cell::OutOfYears => {
            faults.note(Fault::ValueNotANumber);
            Value::None
        }
    };
    if domain == Domain::Measurement && matches!(value, Value::Number(_)) && !unit.is_some() {
        faults.note(Fault::NoUnit);
    }
    let end = end(batch, row, time, faults);
    Some(Event { person, time, domain, concept, end, value, unit, visit, provenance, status, care_site })
}

/// Whose row it is.
pub(super) fn person(cell: Cell<i64>, faults: &mut FaultCounts) -> Option<PersonId> {
    match cell {
        Cell::Is(id) => Some(PersonId(id)),
        Cell::Missing => {
            faults.note(Fault::NoPerson);
            None
        }
        Cell::Bad | Cell::OutOfYears => {
            faults.note(Fault::PersonNotANumber);
            None
        }
    }
}

/// 0 where nothing is recorded.
pub(super) fn id(cell: Cell<i64>, faults: &mut FaultCounts) -> i64 {
    match cell {
        Cell::Is(id) => id,
        Cell::Missing => 0,
        Cell::Bad | Cell::OutOfYears => {
            faults.note(Fault::NotAnId);
            0
        }
    }
}

/// The datetime where there is one, else the date.
fn time(date: Cell<Moment>, datetime: Cell<Moment>, faults: &mut FaultCounts) -> Option<Moment> {
    match (datetime, date) {
        (Cell::Is(time), Cell::Is(date)) if time.day() != date.day() => {
            faults.note(Fault::DatesDisagree);
            Some(time)
        }
        (Cell::Is(time), _) => Some(time),
        (Cell::Missing, Cell::Is(date)) => Some(date),
        (Cell::Bad | Cell::OutOfYears, Cell::Is(date)) => {
            faults.note(Fault::BadTime);
            Some(date)
        }
        (Cell::Missing, Cell::Missing) => {
            faults.note(Fault::NoDate);
            None
        }
        (Cell::OutOfYears, _) | (_, Cell::OutOfYears) => {
            faults.note(Fault::YearOutOfRange);
            None
        }
        (Cell::Bad, _) | (_, Cell::Bad) => {
            faults.note(Fault::UnparsableDate);
            None
        }
    }
}

/// The end that is recorded; for a drug without one the last day that its supply covers, the first being the day it
/// began (as OHDSI's drug eras are derived).
fn end(batch: &Batch, row: usize, time: Moment, faults: &mut FaultCounts) -> Option<Moment> {
    let end = match (batch.moment(at::END_DATETIME, row), batch.moment(at::END_DATE, row)) {
        (Cell::Is(end), _) | (_, Cell::Is(end)) => end,
        (Cell::Missing, Cell::Missing) => {
            return match batch.number(at::DAYS, row) {
                Cell::Is(days) if (1.0..=DAYS_SUPPLY_MAX).contains(&days) => {
                    #[expect(clippy::cast_possible_truncation, reason = "at most DAYS_SUPPLY_MAX")]
                    let last = time.day().epoch_days() + days.ceil() as i32 - 1;
                    Day::from_epoch_days(last).map(Moment::on).ok()
                }
                _ => None,
            };
        }
        _ => {
            faults.note(Fault::BadEnd);
            return None;
        }
    };
    let both_have_times = time.micros_of_day().is_some() && end.micros_of_day().is_some();
    if if both_have_times { end < time } else { end.day() < time.day() } {
        faults.note(Fault::NegativeLength);
        return None;
    }
    Some(end)
}
