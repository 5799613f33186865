//! What is in a folder or a database of OMOP tables: `site-agent data check --omop`.
//!
//! # Privacy
//! Exact counts of patients, small ones included. They are for the hospital's own screen: never send or publish them.

use super::error::InvalidOmop;
use super::event::{ConceptId, Domain, Event, Value};
use super::fault::FaultCounts;
use super::history::{self, History, union};
use super::people::{People, Person};
use super::rows::TableCounts;
use super::schema::Table;
use super::source::Source;
use super::stream::{self, Reading};
use super::vocabulary::{self, Concept};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most pairs of a measurement and its unit that are told apart; the rest is counted together.
const UNIT_PAIRS_MAX: usize = 1_000_000;
/// So many of the most frequent measurements are shown with their units.
pub const MEASUREMENTS_SHOWN: usize = 12;
/// So many of the most frequent groups of an attribute are shown.
pub const GROUPS_SHOWN: usize = 12;

/// What was found. Stays at the site: no `Debug`.
pub struct Check {
    /// Each table that is there, in the order of [`Table::ALL`].
    pub tables: Vec<(Table, TableCounts)>,
    /// Tables that are missing.
    pub missing: Vec<Table>,
    /// About people.
    pub people: PeopleCheck,
    /// The most frequent measurements with a number, most frequent first.
    pub measurements: Vec<UnitMix>,
    /// Names of the concepts above, where the vocabulary has them.
    pub names: BTreeMap<ConceptId, String>,
}

/// How complete the people are.
#[derive(Default)]
pub struct PeopleCheck {
    /// People, each counted once.
    pub people: u64,
    /// People without any event.
    pub without_events: u64,
    /// People with a record of death.
    pub died: u64,
    /// Groups of each attribute by size, the largest first; a concept of none where nothing is recorded.
    pub attributes: [(&'static str, Vec<(ConceptId, u64)>); 3],
    /// People without a year of birth.
    pub without_birth_year: u64,
    /// Of the years of birth: the first and the last.
    pub birth_years: Option<(i16, i16)>,
    /// People without an observation period.
    pub without_period: u64,
    /// People whose periods overlap or touch.
    pub with_overlaps: u64,
    /// Days under observation of everybody together, overlaps counted once.
    pub observed_days: u64,
}

/// A measurement and its units.
pub struct UnitMix {
    /// What is measured.
    pub measurement: ConceptId,
    /// Numbers of it.
    pub count: u64,
    /// In which units, most frequent first; a concept of none where no unit is recorded.
    pub units: Vec<(ConceptId, u64)>,
}

/// Reads every table of a source once.
///
/// # Privacy
/// The result is patient data: see the module.
///
/// # Errors
/// A file or a table cannot be used.
pub fn check<'a>(source: impl Into<Source<'a>>, reading: &Reading<'_>) -> Result<Check, InvalidOmop> {
    let source = source.into();
    let people = People::read(source)?;
    let (stream, mut clinical) = stream::read(source, &Domain::ALL, reading, |_| true)?;
    let mut found = PeopleCheck::default();
    let mut groups: [HashMap<ConceptId, u64>; 3] = Default::default();
    let units = RefCell::new(HashMap::new());
    // Of everybody, also of people who are not in table person: what is measured in which unit is about the export.
    let stream = stream.inspect(|event| {
        if let Ok(event) = event {
            note_unit(&mut units.borrow_mut(), event);
        }
    });
    let beside = history::each(&people, stream, |history| note_person(history, &mut found, &mut groups))?;
    for (domain, faults) in beside {
        clinical.entry(domain).or_default().faults.merge(&faults);
    }
    found.attributes = ["gender", "race", "ethnicity"].map(|name| (name, Vec::new()));
    for ((_, sorted), groups) in found.attributes.iter_mut().zip(groups) {
        *sorted = by_frequency(groups);
    }
    let measurements = most_frequent(units.into_inner());
    let names = names(source, &found, &measurements)?;

    let mut tables = Vec::new();
    for table in Table::ALL.into_iter().filter(|table| source.has(*table)) {
        let counts = match table {
            Table::Person => people.person_counts.clone(),
            Table::ObservationPeriod => people.period_counts.clone(),
            Table::Clinical(domain) => clinical.remove(&domain).unwrap_or_default(),
            Table::CareSite
            | Table::Provider
            | Table::Location
            | Table::Concept
            | Table::ConceptAncestor
            | Table::Vocabulary => count(source, table)?,
        };
        tables.push((table, counts));
    }
    let missing = Table::ALL.into_iter().filter(|table| !source.has(*table)).collect();
    Ok(Check { tables, missing, people: found, measurements, names })
}

impl Check {
    /// What is wrong, over all tables.
    #[must_use]
    pub fn faults(&self) -> FaultCounts {
        let mut all = FaultCounts::default();
        self.tables.iter().for_each(|(_, counts)| all.merge(&counts.faults));
        all
    }
}

fn count(source: Source<'_>, table: Table) -> Result<TableCounts, InvalidOmop> {
    let mut counts = TableCounts::default();
    source.read(table, &mut |batch| {
        counts.rows += batch.rows as u64;
        Ok(())
    })?;
    counts.events = counts.rows;
    Ok(counts)
}

fn note_unit(units: &mut HashMap<(ConceptId, ConceptId), u64>, event: &Event) {
    if event.domain != Domain::Measurement || !matches!(event.value, Value::Number(_)) {
        return;
    }
    let pair = (event.concept, event.unit);
    if let Some(count) = units.get_mut(&pair) {
        *count += 1;
    } else if units.len() < UNIT_PAIRS_MAX {
        units.insert(pair, 1);
    }
}

fn note_person(history: &History<'_>, found: &mut PeopleCheck, groups: &mut [HashMap<ConceptId, u64>; 3]) {
    let Person { gender, race, ethnicity, birth_year, .. } = *history.person;
    found.people += 1;
    found.without_events += u64::from(history.events.is_empty());
    found.died += u64::from(history.events.iter().any(|event| event.domain == Domain::Death));
    for (groups, group) in groups.iter_mut().zip([gender, race, ethnicity]) {
        *groups.entry(group).or_default() += 1;
    }
    match birth_year {
        None => found.without_birth_year += 1,
        Some(year) => {
            let (from, to) = found.birth_years.unwrap_or((year, year));
            found.birth_years = Some((from.min(year), to.max(year)));
        }
    }
    let spans = union(history.periods);
    found.without_period += u64::from(spans.is_empty());
    found.with_overlaps += u64::from(spans.len() < history.periods.len());
    let days = spans.iter().map(|(start, end)| end.epoch_days() - start.epoch_days() + 1);
    found.observed_days +=
        days.map(|days| u64::try_from(days).expect("a span does not end before it begins")).sum::<u64>();
}

/// Largest first; of equals the smaller id.
fn by_frequency(counts: HashMap<ConceptId, u64>) -> Vec<(ConceptId, u64)> {
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_unstable_by_key(|(concept, count)| (std::cmp::Reverse(*count), *concept));
    sorted
}

fn most_frequent(pairs: HashMap<(ConceptId, ConceptId), u64>) -> Vec<UnitMix> {
    let mut by_measurement: HashMap<ConceptId, HashMap<ConceptId, u64>> = HashMap::new();
    for ((measurement, unit), count) in pairs {
        by_measurement.entry(measurement).or_default().insert(unit, count);
    }
    let mut mixes: Vec<UnitMix> = by_measurement
        .into_iter()
        .map(|(measurement, units)| UnitMix {
            measurement,
            count: units.values().sum(),
            units: by_frequency(units),
        })
        .collect();
    mixes.sort_unstable_by_key(|mix| (std::cmp::Reverse(mix.count), mix.measurement));
    mixes.truncate(MEASUREMENTS_SHOWN);
    mixes
}

fn names(
    source: Source<'_>,
    people: &PeopleCheck,
    measurements: &[UnitMix],
) -> Result<BTreeMap<ConceptId, String>, InvalidOmop> {
    let of_groups = people.attributes.iter().flat_map(|(_, groups)| groups.iter().take(GROUPS_SHOWN));
    let of_units = measurements.iter().flat_map(|mix| &mix.units);
    let wanted: BTreeSet<ConceptId> = of_groups
        .chain(of_units)
        .map(|(concept, _)| *concept)
        .chain(measurements.iter().map(|mix| mix.measurement))
        .collect();
    let found = vocabulary::concepts(source, |concept: &Concept| {
        concept.id.is_some() && wanted.contains(&concept.id)
    })?;
    Ok(found.into_iter().map(|(id, concept)| (id, concept.name)).collect())
}
