//! A clinical table's rows as events, and what is wrong with single rows.

use super::cells::{Batch, Cell};
use super::event::{ConceptId, Domain, Event, PersonId, Value};
use super::fault::{Fault, FaultCounts};
use super::moment::{Day, Moment};
use super::schema::at;
use crate::notes::Languages;
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
    /// Of notes whose text was read for a study's words: what they are written in.
    pub languages: Languages,
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
        self.languages.merge(other.languages);
    }

    /// Counts a row that is read, by its time.
    pub(super) fn note_event(&mut self, time: Moment) {
        self.events += 1;
        match time.micros_of_day() {
            None => self.days_only += 1,
            Some(0) => self.at_midnight += 1,
            Some(_) => {}
        }
        let day = time.day();
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
    (0..batch.rows).try_for_each(|row| Row::of(batch, row).take(domain, counts, &mut take))
}

/// The cells of a clinical table's row, whatever they were written as. No `Debug`: they are a patient's.
pub(super) struct Row {
    pub(super) person: Cell<i64>,
    pub(super) concept: Cell<i64>,
    pub(super) date: Cell<Moment>,
    pub(super) datetime: Cell<Moment>,
    pub(super) end_date: Cell<Moment>,
    pub(super) end_datetime: Cell<Moment>,
    pub(super) provenance: Cell<i64>,
    pub(super) status: Cell<i64>,
    pub(super) number: Cell<f64>,
    pub(super) value_concept: Cell<i64>,
    pub(super) unit: Cell<i64>,
    pub(super) unit_text: Cell<i64>,
    pub(super) visit: Cell<i64>,
    pub(super) care_site: Cell<i64>,
    pub(super) provider: Cell<i64>,
    /// Of a drug: how many days it was supplied for.
    pub(super) days: Cell<f64>,
}

impl Row {
    fn of(batch: &Batch, row: usize) -> Self {
        Self {
            person: batch.id(at::PERSON, row),
            concept: batch.id(at::CONCEPT, row),
            date: batch.moment(at::DATE, row),
            datetime: batch.moment(at::DATETIME, row),
            end_date: batch.moment(at::END_DATE, row),
            end_datetime: batch.moment(at::END_DATETIME, row),
            provenance: batch.id(at::PROVENANCE, row),
            status: batch.id(at::STATUS, row),
            number: batch.number(at::NUMBER, row),
            value_concept: batch.id(at::VALUE_CONCEPT, row),
            unit: batch.id(at::UNIT, row),
            unit_text: batch.id(at::UNIT_TEXT, row),
            visit: batch.id(at::VISIT, row),
            care_site: batch.id(at::CARE_SITE, row),
            provider: batch.id(at::PROVIDER, row),
            days: batch.number(at::DAYS, row),
        }
    }

    /// Gives the row's event to `take`, where it is one, and counts.
    pub(super) fn take<E>(
        &self,
        domain: Domain,
        counts: &mut TableCounts,
        take: &mut impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        counts.rows += 1;
        let Some(event) = self.event(domain, &mut counts.faults) else { return Ok(()) };
        counts.note_event(event.time);
        take(event)
    }

    fn event(&self, domain: Domain, faults: &mut FaultCounts) -> Option<Event> {
        let person = person(self.person, faults)?;
        let time = time(self.date, self.datetime, faults)?;
        let mut id = |cell| id(cell, faults);
        let concept = match self.concept {
            // That it is 0 is said below; that it is no number is said here.
            Cell::Bad => ConceptId(id(Cell::Bad)),
            Cell::Is(concept) => ConceptId(concept),
            _ => ConceptId::NONE,
        };
        let coded = ConceptId(id(self.value_concept));
        let mut unit = ConceptId(id(self.unit));
        let visit = NonZeroI64::new(id(self.visit));
        let provenance = ConceptId(id(self.provenance));
        let status = ConceptId(id(self.status));
        let care_site = NonZeroI64::new(id(self.care_site));
        let provider = NonZeroI64::new(id(self.provider));
        if let (ConceptId::NONE, Cell::Is(by_text)) = (unit, self.unit_text) {
            faults.note(Fault::UnitByText);
            unit = ConceptId(by_text);
        }
        if !concept.is_some() && domain != Domain::Death {
            faults.note(Fault::Unmapped);
        }
        let value = match self.number {
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
        let end = self.end(time, faults);
        Some(Event {
            person,
            time,
            domain,
            concept,
            end,
            value,
            unit,
            visit,
            provenance,
            status,
            care_site,
            provider,
        })
    }

    /// The end that is recorded; for a drug without one the last day that its supply covers, the first being the day it
    /// began (as OHDSI's drug eras are derived).
    fn end(&self, time: Moment, faults: &mut FaultCounts) -> Option<Moment> {
        let end = match (self.end_datetime, self.end_date) {
            (Cell::Is(end), _) | (_, Cell::Is(end)) => end,
            (Cell::Missing, Cell::Missing) => {
                return match self.days {
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
pub(super) fn time(date: Cell<Moment>, datetime: Cell<Moment>, faults: &mut FaultCounts) -> Option<Moment> {
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
