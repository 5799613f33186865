//! One pass over a source's tables, and everybody's examples.

use super::attributes;
use super::attrition::{Attrition, Tally};
use super::clock::date_of;
use super::cohort;
use super::covariates::{self, LeftOut};
use super::error::InvalidRecords;
use super::outcome::{self, Found};
use super::plan::{Plan, domain_of};
use super::resolve::{self, Note, Resolved};
use super::timeline::Lists;
use super::wanted::{columns_of_person, wanted};
use crate::data::omop::meds::Meds;
use crate::data::omop::notes::{Mentions, Notes};
use crate::data::omop::{
    Domain, Folder, History, InvalidOmop, Narrowing, Opened, People, Reading, Source, Table, TableCounts,
    history, is_of_database, stream,
};
use crate::data::split::SplitKey;
use crate::data::table::FILE_NAME;
use crate::data::{Loaded, Whose, training_people_max};
use crate::notes::Lexicon;
use consilium_common::examples::{Example, Examples};
use consilium_common::study::bindings::{BoundColumn, InForce, Mark};
use consilium_common::study::notes as study;
use consilium_common::study::records::{AtRisk, Covariate, RecordTask, Records, Rule};
use consilium_common::study::{AttributeValues, Predicted, Study, Validation};
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
    /// For each prediction of the study, in order.
    pub predictions: Vec<PredictionReport>,
    /// For each feature its name, how many people have it not recorded, and values that were left out; of several
    /// tasks somebody counts once for each that asks about them, and nobody for an example that is not used.
    pub features: Vec<(String, u64, LeftOut)>,
    /// For each attribute that makes groups (none that is only counted) its name and how many people are in its group `unknown`,
    /// counted alike.
    pub unknown: Vec<(String, u64)>,
    /// What the vocabulary does not have.
    pub notes: Vec<Note>,
    /// The tables that were read; an event here is one that the tables have, whether the study looks for it or not, and
    /// faults beside other tables are of those that it looks for.
    pub tables: Vec<(Table, TableCounts)>,
}

/// What came of a source under one prediction. Exact counts of patients: as [`Report`].
pub struct PredictionReport {
    /// As `self_harm`, or `self_harm.365d` where the task has several horizons.
    pub name: String,
    /// People for each step.
    pub attrition: Attrition,
    /// Training people with an example, and how many of them had the outcome; where the study holds out later examples,
    /// of those that are not.
    pub training: (u64, u64),
    /// Evaluation people, likewise.
    pub evaluation: (u64, u64),
    /// Training people whose example is held out by time, so that nothing is made of it, and how many of them had the
    /// outcome.
    pub training_held_out: (u64, u64),
    /// Evaluation people whose example is held out, likewise: those of temporal validation.
    pub evaluation_held_out: (u64, u64),
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
    let resolved = resolve::resolve(source, study, records)?;
    let plan = Plan::new(study, records, &resolved);
    let (extraction, tables) = pass(source, &plan, &resolved, key, reading)?;
    extraction.finish(resolved, tables)
}

/// The examples of [`extract`] alone. A source may then leave out rows that cannot change one; what comes beside them is what
/// was wrong with rows that were read.
///
/// # Privacy
/// As [`extract`].
///
/// # Errors
/// As [`extract`].
///
/// # Panics
/// As [`extract`].
pub fn examples<'a>(
    source: impl Into<Source<'a>>,
    study: &Study,
    records: &Records,
    key: &SplitKey,
    reading: &Reading<'_>,
) -> Result<(Loaded, Vec<(Table, TableCounts)>), InvalidRecords> {
    let wanted = wanted(records);
    let source = source.into().only(&wanted);
    check_tables(source, study, records)?;
    let resolved = resolve::resolve(source, study, records)?;
    let plan = Plan::new(study, records, &resolved);
    let narrowing = plan.narrowing();
    let (extraction, tables) = pass(source.narrowed(&narrowing), &plan, &resolved, key, reading)?;
    let Extracted { loaded, report } = extraction.finish(resolved, tables)?;
    Ok((loaded, report.tables))
}

/// The one pass over the tables, and what was found in each.
fn pass<'a>(
    source: Source<'_>,
    plan: &'a Plan<'a>,
    resolved: &Resolved,
    key: &'a SplitKey,
    reading: &Reading<'_>,
) -> Result<(Extraction<'a>, Vec<(Table, TableCounts)>), InvalidRecords> {
    let people = People::read(source)?;
    let (notes, of_nlp) = asked_of_notes(source, plan.records, resolved)?;
    let source = source.with_notes(notes.as_ref());
    let (stream, mut clinical) = stream::read(source, &plan.domains(), reading, |event| plan.wants(event))?;
    let mut extraction = Extraction::new(plan, key);
    for (domain, faults) in history::each(&people, stream, |history| extraction.take(history))? {
        clinical.entry(domain).or_default().faults.merge(&faults);
    }
    let mut tables =
        vec![(Table::Person, people.person_counts), (Table::ObservationPeriod, people.period_counts)];
    tables.extend(clinical.into_iter().map(|(domain, counts)| (Table::Clinical(domain), counts)));
    tables.extend(of_nlp.map(|counts| (Table::NoteNlp, counts)));
    tables.retain(|(table, _)| source.has(*table));
    Ok((extraction, tables))
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
    let resolved = resolve::resolve(source, study, records)?;
    for domain in Plan::new(study, records, &resolved).domains() {
        stream::check_columns(source, domain)?;
    }
    if let Some(study::Notes::Nlp(_)) = records.notes {
        source.check_columns(Table::NoteNlp)?;
    }
    Ok(resolved.notes)
}

/// Which rows of a source matter to a study, by its own vocabulary; reads nothing of a person.
///
/// # Errors
/// As [`check`], but for the columns of tables.
pub fn narrowing<'a>(
    source: impl Into<Source<'a>>,
    study: &Study,
    records: &Records,
) -> Result<Narrowing, InvalidRecords> {
    let wanted = wanted(records);
    let source = source.into().only(&wanted);
    check_tables(source, study, records)?;
    let resolved = resolve::resolve(source, study, records)?;
    let narrowing = Plan::new(study, records, &resolved).narrowing();
    Ok(Narrowing { ancestors: Some(resolved.roots), ..narrowing })
}

/// What notes are read for; of what a program has found in them, all that the study asks about, with the counts of its
/// table.
fn asked_of_notes(
    source: Source<'_>,
    records: &Records,
    resolved: &Resolved,
) -> Result<(Option<Notes>, Option<TableCounts>), InvalidRecords> {
    Ok(match &records.notes {
        None => (None, None),
        Some(study::Notes::Lexicon(concepts)) => (Some(Notes::Text(Lexicon::new(concepts))), None),
        Some(study::Notes::Nlp(sets)) => {
            let concepts: Vec<_> = sets.iter().map(|set| &resolved.sets[set.0]).collect();
            let (mentions, counts) = Mentions::read(source, &concepts)?;
            (Some(Notes::Found(mentions)), Some(counts))
        }
    })
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

/// Opens the records at a path: a folder of OMOP tables or of MEDS, or a database or warehouse that a `source.toml`
/// names.
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
        let (what, instead) = (source.lacking(table), source.supplying_empty(table));
        return Err(InvalidRecords::MissingTable { place, what, role, instead });
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
fn tables(study: &Study, records: &Records) -> Vec<(Table, String)> {
    let clinical = |table| Table::Clinical(domain_of(table));
    let mut tables = vec![(Table::ObservationPeriod, "when people were observed".to_owned())];
    for (named, RecordTask { cohort, outcome }) in study.tasks.iter().zip(&records.tasks) {
        let entry = cohort.entry.iter();
        tables.extend(entry.map(|event| (clinical(event.table), format!("the cohort {}", cohort.name))));
        let any_of = outcome.any_of.iter();
        tables.extend(any_of.map(|event| (clinical(event.table), format!("the outcome {}", named.name))));
        if outcome.at_risk == AtRisk::Stay {
            tables.push((Table::Clinical(Domain::Visit), "the end of the time at risk".to_owned()));
        }
        for rule in cohort.require.iter().chain(&cohort.exclude) {
            let table = match rule {
                Rule::Has { events, .. } => clinical(events.table),
                Rule::DiedBefore => Table::Clinical(Domain::Death),
                Rule::SeenBy(binding) if records.binding(*binding).in_force != InForce::Absent => {
                    Table::Clinical(Domain::Visit)
                }
                Rule::SeenBy(_) | Rule::Age { .. } | Rule::StillThere | Rule::TransferWithin { .. } => {
                    continue;
                }
            };
            tables.push((table, format!("a rule of the cohort {}", cohort.name)));
        }
    }
    for (feature, covariate) in study.features.iter().zip(&records.covariates) {
        let events = match covariate {
            Covariate::Present { events, .. }
            | Covariate::Count { events, .. }
            | Covariate::Measured { events, .. } => events,
            Covariate::Age | Covariate::Sex { .. } | Covariate::Noted { .. } => continue,
        };
        tables.push((clinical(events.table), format!("the feature {}", feature.name)));
    }
    for binding in &records.bindings {
        let of_this = of_answer(&binding.in_force).into_iter();
        tables.extend(of_this.map(|table| (table, format!("the binding {}", binding.name))));
    }
    let note = Table::Clinical(Domain::Note);
    match &records.notes {
        None => {}
        Some(study::Notes::Lexicon(_)) => tables.push((note, "its words in clinical notes".to_owned())),
        Some(study::Notes::Nlp(_)) => {
            let role = "what a program has found in clinical notes".to_owned();
            tables.extend([(Table::NoteNlp, role.clone()), (note, role)]);
        }
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
    /// Of each prediction.
    tallies: Vec<Tally>,
    features: Vec<(u64, LeftOut)>,
    unknown: Vec<u64>,
    pub(super) training: Examples,
    pub(super) evaluation: Examples,
    whose: Whose,
    /// Of each prediction.
    counts: Vec<Counts>,
}

/// People with an example and how many of them had the outcome: by role, training first, and within it by whether the
/// example is held out.
type Counts = [[(u64, u64); 2]; 2];

impl<'a> Extraction<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, key: &'a SplitKey) -> Self {
        let width = plan.study.architecture().inputs;
        let predicted = plan.study.predicted();
        Self {
            plan,
            key,
            lists: Lists::new(plan),
            tallies: predicted.iter().map(|one| Tally::new(&plan.tasks[one.task])).collect(),
            features: vec![(0, LeftOut::default()); plan.study.features.len()],
            unknown: vec![0; plan.study.attributes.len()],
            training: Examples::new(width),
            evaluation: Examples::new(width),
            whose: Whose::default(),
            counts: vec![Counts::default(); predicted.len()],
        }
    }

    /// Takes one person in.
    pub(super) fn take(&mut self, history: &History<'_>) {
        let plan = self.plan;
        let timeline = self.lists.fill(plan, history);
        // As a table would name the same person.
        let id = history.person.id.0.to_string();
        let pseudonym = self.key.pseudonym(&id);
        let trains = pseudonym.trains(plan.study.split.training_share);
        let mut own = Vec::new();
        let mut output = 0_usize;
        for task in &plan.tasks {
            let horizons = task.asks.at_risk.horizons();
            let (depth, asked) = cohort::index(plan, task, &timeline);
            let Some(asked) = asked else {
                for tally in &mut self.tallies[output..output + horizons.len()] {
                    tally.note_cohort(depth);
                }
                output += horizons.len();
                continue;
            };
            let validation = plan.study.split.validation_on(date_of(asked.index.day()));
            let is_used = plan.study.split.uses(trains, validation);
            #[cfg(feature = "mutants")]
            let is_used = is_used
                || trains && consilium_common::mutant::is(consilium_common::mutant::Mutant::TrainHeldOut);
            // What is known of somebody does not depend on the horizon, and is made once.
            let mut known: Option<(Vec<f32>, Vec<u16>)> = None;
            for horizon in horizons {
                let (found, weight) = outcome::find(plan, task, horizon, &timeline, &asked);
                self.tallies[output].note_outcome(found);
                if let Found::Known(happened) = found {
                    let held_out = usize::from(validation == Validation::Temporal);
                    let counts = &mut self.counts[output][usize::from(!trains)][held_out];
                    counts.0 += 1;
                    counts.1 += u64::from(happened);
                }
                if let Found::Known(happened) = found
                    && is_used
                {
                    let (inputs, groups) = known.get_or_insert_with(|| {
                        let inputs = covariates::inputs(plan, &timeline, &asked, &mut self.features);
                        let mut groups = attributes::groups(plan, &timeline, &asked);
                        let attributes = plan.study.attributes.iter().zip(&groups);
                        for ((attribute, group), unknown) in attributes.zip(&mut self.unknown) {
                            *unknown += u64::from(is_unknown(&attribute.values, *group));
                        }
                        groups.extend(plan.study.split.mark(validation));
                        (inputs, groups)
                    });
                    own.push(Example {
                        inputs: inputs.clone(),
                        output: u8::try_from(output).expect("a study has a few predictions"),
                        label: if happened { 1.0 } else { 0.0 },
                        weight,
                        groups: groups.clone(),
                    });
                }
                output += 1;
            }
        }
        if own.is_empty() {
            return;
        }
        let examples = if trains { &mut self.training } else { &mut self.evaluation };
        let ids = if trains { &mut self.whose.training } else { &mut self.whose.evaluation };
        ids.push(&id);
        examples.push_examples(own);
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
        let attributes = study.attributes.iter().zip(self.unknown);
        let groups = attributes.filter(|(attribute, _)| !attribute.values.is_completeness_only());
        let unknown = groups.map(|(attribute, people)| (attribute.name.clone(), people)).collect();
        let of_one = |((predicted, tally), counts): ((Predicted, &Tally), Counts)| {
            let (task, of_records) = (&study.tasks[predicted.task], &records.tasks[predicted.task]);
            let attrition = tally.attrition(&task.name, records, of_records, predicted.horizon_days);
            let [[training, training_held_out], [evaluation, evaluation_held_out]] = counts;
            let name = predicted.name;
            PredictionReport { name, attrition, training, evaluation, training_held_out, evaluation_held_out }
        };
        let predictions =
            study.predicted().into_iter().zip(&self.tallies).zip(self.counts).map(of_one).collect();
        let report = Report {
            predictions,
            features: names
                .zip(self.features)
                .map(|(name, (missed, left_out))| (name, missed, left_out))
                .collect(),
            unknown,
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
