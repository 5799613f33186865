//! One pass over a source's tables, and everybody's examples.

use super::attributes;
use super::attrition::{Attrition, Tally};
use super::cohort;
use super::covariates::{self, LeftOut};
use super::error::InvalidRecords;
use super::outcome::{self, Found};
use super::plan::{Plan, domain_of};
use super::resolve::{self, Note, Resolved};
use super::timeline::Lists;
use super::wanted::{columns_of_person, wanted};
use crate::data::omop::meds::Meds;
use crate::data::omop::{
    Domain, Folder, History, InvalidOmop, Opened, People, Reading, Source, Table, TableCounts, history,
    is_of_database, stream,
};
use crate::data::split::SplitKey;
use crate::data::table::FILE_NAME;
use crate::data::{Loaded, Whose, training_people_max};
use consilium_common::examples::Examples;
use consilium_common::study::bindings::{BoundColumn, InForce, Mark};
use consilium_common::study::records::{AtRisk, Covariate, Records, Rule};
use consilium_common::study::{AttributeValues, Study};
use std::path::Path;

/// A source's examples, and what the hospital may want to know of them.
pub struct Extracted {
    /// Examples, one a person, by person.
    pub loaded: Loaded,
    /// Stays at the site.
    pub report: Report,
}

/// What came of a source under a study. Exact counts of patients: it stays at the site, and has no `Debug`.
pub struct Report {
    /// People for each step.
    pub attrition: Attrition,
    /// Training people with an example, and how many of them had the outcome.
    pub training: (u64, u64),
    /// Evaluation people with an example, and how many of them had the outcome.
    pub evaluation: (u64, u64),
    /// For each feature its name, how many people have it not recorded, and values that were left out.
    pub features: Vec<(String, u64, LeftOut)>,
    /// For each attribute its name and how many people are in its group `unknown`.
    pub unknown: Vec<(String, u64)>,
    /// What the vocabulary does not have.
    pub notes: Vec<Note>,
    /// The tables that were read; an event here is one that the tables have, whether the study looks for it or not, and
    /// faults beside other tables are of those that it looks for.
    pub tables: Vec<(Table, TableCounts)>,
}

/// Reads a source under a study: of its tables and columns those that the study's words need ([`super::wanted`]).
///
/// # Privacy
/// A person's example, role and groups depend on that person's rows, the vocabulary, the study and the site's key alone:
/// sources that differ in one person's rows give examples that differ in that person's only. Rows that cannot be used
/// contribute nothing and are counted in the report. What comes back must not leave the site except through a
/// mechanism.
///
/// # Errors
/// The source cannot be used for the study.
///
/// # Panics
/// Only for a `Study` that does not read records.
pub fn extract<'a>(
    source: impl Into<Source<'a>>,
    study: &Study,
    records: &Records,
    key: &SplitKey,
    reading: &Reading<'_>,
) -> Result<Extracted, InvalidRecords> {
    let wanted = wanted(records);
    let source = source.into().only(&wanted);
    check_tables(source, study, records)?;
    let resolved = resolve::resolve(source, records)?;
    let plan = Plan::new(study, records, &resolved);
    let people = People::read(source)?;
    let (stream, mut clinical) = stream::read(source, &plan.domains(), reading, |event| plan.wants(event))?;
    let mut extraction = Extraction::new(&plan, key);
    for (domain, faults) in history::each(&people, stream, |history| extraction.take(history))? {
        clinical.entry(domain).or_default().faults.merge(&faults);
    }
    let mut tables =
        vec![(Table::Person, people.person_counts), (Table::ObservationPeriod, people.period_counts)];
    tables.extend(clinical.into_iter().map(|(domain, counts)| (Table::Clinical(domain), counts)));
    tables.retain(|(table, _)| source.has(*table));
    extraction.finish(resolved, tables)
}

/// Whether a source has what a study reads: its tables, their columns, in a database the right to read them, and the
/// vocabulary. Reads nothing of a person.
///
/// # Errors
/// As [`extract`].
pub fn check<'a>(
    source: impl Into<Source<'a>>,
    study: &Study,
    records: &Records,
) -> Result<Vec<Note>, InvalidRecords> {
    let wanted = wanted(records);
    let source = source.into().only(&wanted);
    check_tables(source, study, records)?;
    People::check_columns(source)?;
    let resolved = resolve::resolve(source, records)?;
    for domain in Plan::new(study, records, &resolved).domains() {
        stream::check_columns(source, domain)?;
    }
    Ok(resolved.notes)
}

/// Whether a path is one of records rather than of a plain table; opens no table.
#[must_use]
pub fn are_records(path: &Path) -> bool {
    if path.is_file() {
        return is_of_database(path);
    }
    if Meds::is_at(path) {
        return true;
    }
    path.is_dir()
        && !path.join(FILE_NAME).is_file()
        && !matches!(Folder::open(path), Err(InvalidOmop::NoTables { .. } | InvalidOmop::Unreadable { .. }))
}

/// Opens the records at a path: a folder of OMOP tables or of MEDS, or a database that a `source.toml` names.
///
/// # Errors
/// A plain table, or what cannot be opened.
pub fn open(path: &Path) -> Result<Opened, InvalidRecords> {
    if path.is_file() && !is_of_database(path) {
        return Err(InvalidRecords::PlainTable { path: path.to_owned() });
    }
    match Opened::open(path) {
        Err(_) if path.join(FILE_NAME).is_file() => Err(InvalidRecords::PlainTable { path: path.to_owned() }),
        opened => Ok(opened?),
    }
}

/// Whether a source is of a form that the study names, has every table, and may be read.
fn check_tables(source: Source<'_>, study: &Study, records: &Records) -> Result<(), InvalidRecords> {
    let place = source.place();
    if !records.formats.iter().any(|format| format.starts_with(source.format())) {
        let found = if source.meds().is_some() { "MEDS" } else { "OMOP tables" };
        return Err(InvalidRecords::OtherFormat { place, found, expected: records.formats.join(" or ") });
    }
    if let Some((table, role)) = tables(study, records).into_iter().find(|(table, _)| !source.has(*table)) {
        return Err(InvalidRecords::MissingTable { place, what: source.lacking(table), role });
    }
    let unanswered = records.unanswered();
    if !unanswered.is_empty() {
        return Err(InvalidRecords::Unanswered { names: unanswered.join(", ") });
    }
    let of_person = columns_of_person(records);
    if source.meds().is_some_and(|meds| !meds.has_attributes()) && !of_person.is_empty() {
        return Err(InvalidRecords::NoAttributes { place, columns: of_person.join(", ") });
    }
    Ok(source.granted()?)
}

/// Every table that the study's words name, and what for.
pub(in crate::data) fn tables(study: &Study, records: &Records) -> Vec<(Table, String)> {
    let clinical = |table| Table::Clinical(domain_of(table));
    let mut tables = vec![(Table::ObservationPeriod, "when people were observed".to_owned())];
    let entry = records.cohort.entry.iter();
    tables.extend(entry.map(|event| (clinical(event.table), format!("the cohort {}", records.cohort.name))));
    let outcome = records.outcome.any_of.iter();
    tables.extend(outcome.map(|event| (clinical(event.table), format!("the outcome {}", study.task.name))));
    if records.outcome.at_risk == AtRisk::Stay {
        tables.push((Table::Clinical(Domain::Visit), "the end of the time at risk".to_owned()));
    }
    for rule in records.cohort.require.iter().chain(&records.cohort.exclude) {
        let table = match rule {
            Rule::Has { events, .. } => clinical(events.table),
            Rule::DiedBefore => Table::Clinical(Domain::Death),
            Rule::SeenBy(binding) if records.binding(*binding).in_force != InForce::Absent => {
                Table::Clinical(Domain::Visit)
            }
            Rule::SeenBy(_) | Rule::Age { .. } | Rule::StillThere | Rule::TransferWithin { .. } => continue,
        };
        tables.push((table, format!("a rule of the cohort {}", records.cohort.name)));
    }
    for (feature, covariate) in study.features.iter().zip(&records.covariates) {
        let events = match covariate {
            Covariate::Present { events, .. }
            | Covariate::Count { events, .. }
            | Covariate::Measured { events, .. } => events,
            Covariate::Age | Covariate::Sex { .. } => continue,
        };
        tables.push((clinical(events.table), format!("the feature {}", feature.name)));
    }
    for binding in &records.bindings {
        let of_this = of_answer(&binding.in_force).into_iter();
        tables.extend(of_this.map(|table| (table, format!("the binding {}", binding.name))));
    }
    tables
}

/// Every table that a site's answer to a binding names.
fn of_answer(in_force: &InForce) -> Vec<Table> {
    let table = |mark: &Mark| match mark {
        Mark::Condition(_) => Table::Clinical(Domain::Condition),
        Mark::Column { column: BoundColumn::VisitDetailConcept, .. } => Table::Clinical(Domain::VisitDetail),
        Mark::Column { column: BoundColumn::PlaceOfService, .. } => Table::CareSite,
        Mark::Column { column: BoundColumn::Specialty, .. } => Table::Provider,
        Mark::Column { .. } => Table::Clinical(Domain::Visit),
    };
    match in_force {
        InForce::Stays(rule) => rule.any_of.iter().map(table).collect(),
        InForce::Values(_) => vec![Table::Clinical(Domain::Observation)],
        InForce::Absent | InForce::Unanswered => vec![],
    }
}

/// Everybody so far.
pub(super) struct Extraction<'a> {
    plan: &'a Plan<'a>,
    key: &'a SplitKey,
    lists: Lists,
    tally: Tally,
    features: Vec<(u64, LeftOut)>,
    unknown: Vec<u64>,
    pub(super) training: Examples,
    pub(super) evaluation: Examples,
    whose: Whose,
    with_outcome: [u64; 2],
}

impl<'a> Extraction<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, key: &'a SplitKey) -> Self {
        let width = plan.study.architecture().inputs;
        Self {
            plan,
            key,
            lists: Lists::new(plan),
            tally: Tally::new(plan),
            features: vec![(0, LeftOut::default()); plan.study.features.len()],
            unknown: vec![0; plan.study.attributes.len()],
            training: Examples::new(width),
            evaluation: Examples::new(width),
            whose: Whose::default(),
            with_outcome: [0; 2],
        }
    }

    /// Takes one person in.
    pub(super) fn take(&mut self, history: &History<'_>) {
        let plan = self.plan;
        let timeline = self.lists.fill(plan, history);
        let (depth, asked) = cohort::index(plan, &timeline);
        let Some(asked) = asked else { return self.tally.note_cohort(depth) };
        let found = outcome::find(plan, &timeline, &asked);
        self.tally.note_outcome(found);
        let Found::Known(happened) = found else { return };
        let inputs = covariates::inputs(plan, &timeline, &asked, &mut self.features);
        let groups = attributes::groups(plan, &timeline, &asked);
        for ((attribute, group), unknown) in plan.study.attributes.iter().zip(&groups).zip(&mut self.unknown)
        {
            *unknown += u64::from(is_unknown(&attribute.values, *group));
        }
        // As a table would name the same person.
        let id = history.person.id.0.to_string();
        let pseudonym = self.key.pseudonym(&id);
        let trains = pseudonym.trains(plan.study.split.training_share);
        let examples = if trains { &mut self.training } else { &mut self.evaluation };
        let ids = if trains { &mut self.whose.training } else { &mut self.whose.evaluation };
        ids.push(&id);
        self.with_outcome[usize::from(!trains)] += u64::from(happened);
        examples.push_person(&[(inputs, if happened { 1.0 } else { 0.0 })], groups);
    }

    fn finish(
        self,
        resolved: Resolved,
        tables: Vec<(Table, TableCounts)>,
    ) -> Result<Extracted, InvalidRecords> {
        let Plan { study, records, .. } = self.plan;
        let people_max = training_people_max(study);
        if self.training.people() > people_max {
            return Err(InvalidRecords::TooManyTraining { people_max });
        }
        let names = study.features.iter().map(|feature| feature.name.clone());
        let attributes = study.attributes.iter().map(|attribute| attribute.name.clone());
        let report = Report {
            attrition: self.tally.attrition(study, records),
            training: (self.training.people() as u64, self.with_outcome[0]),
            evaluation: (self.evaluation.people() as u64, self.with_outcome[1]),
            features: names
                .zip(self.features)
                .map(|(name, (missed, left_out))| (name, missed, left_out))
                .collect(),
            unknown: attributes.zip(self.unknown).collect(),
            notes: resolved.notes,
            tables,
        };
        let loaded = Loaded { training: self.training, evaluation: self.evaluation, whose: self.whose };
        Ok(Extracted { loaded, report })
    }
}

fn is_unknown(values: &AttributeValues, group: u16) -> bool {
    usize::from(group) + 1 == values.count()
}
