//! Persons with their attributes, and when each was observed. Kept in memory, ordered by person.

use super::cells::{Batch, Cell};
use super::error::InvalidOmop;
use super::event::{ConceptId, PersonId};
use super::fault::{Fault, FaultCounts};
use super::moment::{Day, YEARS};
use super::rows::{self, TableCounts};
use super::schema::Table;
use super::source::Source;
use std::num::NonZeroI64;

/// Most rows of `person`.
pub const PEOPLE_MAX: u64 = 20_000_000;
/// Most rows of `observation_period`.
pub const PERIODS_MAX: u64 = 40_000_000;

/// A person's attributes as recorded. No `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// Gender, as a concept; none where it is not recorded.
    pub gender: ConceptId,
    /// Race.
    pub race: ConceptId,
    /// Ethnicity.
    pub ethnicity: ConceptId,
    /// Year of birth.
    pub birth_year: Option<i16>,
    /// Month of birth, 1 to 12.
    pub birth_month: Option<u8>,
    /// Day of birth, 1 to 31.
    pub birth_day: Option<u8>,
    /// Where the person lives.
    pub location: Option<NonZeroI64>,
    /// Where the person is a patient.
    pub care_site: Option<NonZeroI64>,
}

/// Days on which a person was under observation, both included. No `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// Whose.
    pub person: PersonId,
    /// First day.
    pub start: Day,
    /// Last day, not before the first.
    pub end: Day,
}

/// Everybody, in order. No `Debug`.
pub struct People {
    /// One entry a person.
    pub persons: Vec<Person>,
    /// By person, start and end; they may overlap. None of unknown people.
    pub periods: Vec<Period>,
    /// Whether the source says at all when people were observed.
    pub observed: bool,
    /// People whose rows contradict each other.
    pub left_out: Vec<PersonId>,
    /// Of table `person`; an event here is a person.
    pub person_counts: TableCounts,
    /// Of table `observation_period`; an event here is a period.
    pub period_counts: TableCounts,
}

impl People {
    /// Whether `person` and `observation_period` have the columns that we read; reads no row of them.
    ///
    /// # Errors
    /// A file or table cannot be read, or lacks a column.
    pub fn check_columns<'a>(source: impl Into<Source<'a>>) -> Result<(), InvalidOmop> {
        let source = source.into();
        source.check_columns(Table::Person)?;
        source.check_columns(Table::ObservationPeriod)
    }

    /// Reads `person` and `observation_period`. A person whose rows are alike is there once; one whose rows contradict
    /// each other is left out, since any choice would depend on the order of the file.
    ///
    /// # Errors
    /// A file or a table cannot be used, or there are more than [`PEOPLE_MAX`] or [`PERIODS_MAX`].
    pub fn read<'a>(source: impl Into<Source<'a>>) -> Result<Self, InvalidOmop> {
        let source = source.into();
        let mut person_counts = TableCounts::default();
        let mut persons = Vec::new();
        let too_many = |table, limit| InvalidOmop::TooManyRows { place: source.place(), table, limit };
        source.read(Table::Person, &mut |batch| {
            person_counts.rows += batch.rows as u64;
            persons.extend((0..batch.rows).filter_map(|row| person(batch, row, &mut person_counts.faults)));
            if person_counts.rows > PEOPLE_MAX {
                return Err(too_many(Table::Person, PEOPLE_MAX));
            }
            Ok(())
        })?;
        persons.sort_unstable();
        let left_out = one_each(&mut persons, &mut person_counts.faults);
        person_counts.events = persons.len() as u64;

        let mut period_counts = TableCounts::default();
        let mut periods = Vec::new();
        source.read(Table::ObservationPeriod, &mut |batch| {
            period_counts.rows += batch.rows as u64;
            periods.extend((0..batch.rows).filter_map(|row| period(batch, row, &mut period_counts.faults)));
            if period_counts.rows > PERIODS_MAX {
                return Err(too_many(Table::ObservationPeriod, PERIODS_MAX));
            }
            Ok(())
        })?;
        periods.retain(|period: &Period| {
            let known = persons.binary_search_by_key(&period.person, |person| person.id).is_ok();
            if !known && left_out.binary_search(&period.person).is_err() {
                period_counts.faults.note(Fault::UnknownPerson);
            }
            known
        });
        periods.sort_unstable();
        period_counts.events = periods.len() as u64;
        period_counts.days_only = period_counts.events;
        let first = periods.iter().map(|period| period.start).min();
        period_counts.days = first.zip(periods.iter().map(|period| period.end).max());
        let observed = source.has(Table::ObservationPeriod);
        Ok(Self { persons, periods, observed, left_out, person_counts, period_counts })
    }
}

/// Takes repeated people out; who is left out altogether.
fn one_each(persons: &mut Vec<Person>, faults: &mut FaultCounts) -> Vec<PersonId> {
    let rows = persons.len();
    persons.dedup();
    faults.add(Fault::RepeatedPerson, (rows - persons.len()) as u64);
    let mut left_out: Vec<PersonId> =
        persons.windows(2).filter(|pair| pair[0].id == pair[1].id).map(|pair| pair[0].id).collect();
    left_out.dedup();
    faults.add(Fault::ContradictoryPerson, left_out.len() as u64);
    persons.retain(|person| left_out.binary_search(&person.id).is_err());
    left_out
}

fn person(batch: &Batch, row: usize, faults: &mut FaultCounts) -> Option<Person> {
    let id = rows::person(batch.id(0, row), faults)?;
    let birth = match batch.moment(7, row) {
        Cell::Is(birth) => Some(birth.day()),
        _ => None,
    };
    let birth_year = match batch.id(4, row) {
        Cell::Missing => birth.map(Day::year),
        Cell::Is(year) => i32::try_from(year).ok().filter(|year| YEARS.contains(year)),
        Cell::Bad | Cell::OutOfYears => None,
    };
    if birth_year.is_none() && !matches!(batch.id(4, row), Cell::Missing) {
        faults.note(Fault::BadBirth);
    }
    // Month and day of the datetime only where it is of the same year.
    let parts = birth.filter(|day| Some(day.year()) == birth_year).map(month_and_day);
    let mut part = |column, max: i64, of_datetime: Option<u8>| match batch.id(column, row) {
        Cell::Is(part) if (1..=max).contains(&part) => u8::try_from(part).ok(),
        Cell::Missing => of_datetime,
        _ => {
            faults.note(Fault::BadBirth);
            None
        }
    };
    let birth_month = part(5, 12, parts.map(|(month, _)| month));
    let birth_day = part(6, 31, parts.map(|(_, day)| day));
    let mut concept = |column| ConceptId(rows::id(batch.id(column, row), faults));
    let (gender, race, ethnicity) = (concept(1), concept(2), concept(3));
    let mut place = |column| NonZeroI64::new(rows::id(batch.id(column, row), faults));
    let (location, care_site) = (place(8), place(9));
    let birth_year = birth_year.map(|year| i16::try_from(year).expect("within YEARS"));
    Some(Person { id, gender, race, ethnicity, birth_year, birth_month, birth_day, location, care_site })
}

fn month_and_day(day: Day) -> (u8, u8) {
    let year = day.year();
    let first_of = |month| Day::from_civil(year, month, 1).expect("a month of a year within YEARS");
    let month = (1..=12).rev().find(|month| first_of(*month) <= day).expect("January 1st or later");
    let of_month = day.epoch_days() - first_of(month).epoch_days() + 1;
    (u8::try_from(month).expect("at most 12"), u8::try_from(of_month).expect("at most 31"))
}

fn period(batch: &Batch, row: usize, faults: &mut FaultCounts) -> Option<Period> {
    let person = rows::person(batch.id(0, row), faults)?;
    let mut day = |column| {
        let fault = match batch.moment(column, row) {
            Cell::Is(moment) => return Some(moment.day()),
            Cell::Missing => Fault::NoDate,
            Cell::Bad => Fault::UnparsableDate,
            Cell::OutOfYears => Fault::YearOutOfRange,
        };
        faults.note(fault);
        None
    };
    let (start, end) = (day(1)?, day(2)?);
    if end < start {
        faults.note(Fault::NegativeLength);
        return None;
    }
    Some(Period { person, start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn month_and_day_of_a_day() {
        for (year, month, day) in [(1900, 1, 1), (2000, 2, 29), (2001, 12, 31), (1987, 3, 1)] {
            let found = month_and_day(Day::from_civil(year, month, day).expect("a day"));
            assert_eq!((u32::from(found.0), u32::from(found.1)), (month, day));
        }
    }
}
