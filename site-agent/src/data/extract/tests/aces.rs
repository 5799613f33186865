//! Labels of ACES, another group's program (es-aces 0.7.3), person for person: `tests/vectors/aces/make.py` says how they
//! were made. Each task is written here in the study language, and compared as a whole: who is an example, when asked about,
//! and the outcome. Those that the importer can read are compared as imported, too.

use super::super::outcome::Found;
use super::hand::*;
use crate::data::omop::Event;
use consilium_common::study::import::{Imported, aces};
use consilium_common::study::records::*;
use jiff::civil::{DateTime, date};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// For each person of a task who is an example: when asked about, and whether the outcome happened.
type Labels = BTreeMap<u32, (DateTime, bool)>;

fn vectors(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/aces").join(name)
}

fn rows(name: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(vectors(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let row = |row: Result<csv::StringRecord, _>| row.expect("a row").iter().map(str::to_owned).collect();
    reader.records().map(row).collect()
}

fn histories(kind: &str) -> BTreeMap<u32, Vec<Event>> {
    let mut histories: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
    for row in rows("histories.csv").iter().filter(|row| row[0] == kind) {
        let end = if row[5].is_empty() { String::new() } else { format!(" to {}", row[5]) };
        let line = format!("{} {} {}{end}", row[2], row[3], row[4]);
        histories.entry(row[1].parse().expect("a number")).or_default().push(event(&line));
    }
    assert_eq!(histories.len(), 600);
    histories
}

fn labels(task: &str) -> Labels {
    let of_task = rows("labels.csv").into_iter().filter(|row| row[0] == task);
    let labels: Labels = of_task
        .map(|row| (row[1].parse().expect("a number"), (row[2].parse().expect("a time"), row[3] == "1")))
        .collect();
    assert!(labels.len() > 40 && labels.values().any(|(_, label)| *label), "{task}");
    labels
}

/// Whom we take for examples; `observed` says when somebody was.
fn ours(records: &Records, kind: &str, observed: fn(&[Event]) -> (String, String)) -> Labels {
    let study = study(records.clone(), &[]);
    let after = jiff::SignedDuration::from_hours(records.cohort.predict_after_hours.into());
    let mut labels = Labels::new();
    for (person, events) in histories(kind) {
        let (from, to) = observed(&events);
        let answer = ask(&study, &born(1980, 3, 10), &periods(&[(&from, &to)]), &events);
        if let Some(Found::Known(happened)) = answer.found {
            let index: DateTime =
                answer.index.expect("somebody who was asked about").parse().expect("a time");
            labels.insert(person, (index + after, happened));
        }
    }
    labels
}

/// ACES knows no observation periods: everybody was always observed.
fn always(_: &[Event]) -> (String, String) {
    ("2010-01-01".to_owned(), "2030-12-31".to_owned())
}

/// From the first record to the last, which is what ACES's follow-up windows look for.
fn while_recorded(events: &[Event]) -> (String, String) {
    let days =
        || events.iter().flat_map(|event| [Some(event.time), event.end]).flatten().map(|moment| moment.day());
    let text = |day: Option<crate::data::omop::Day>| {
        let days = day.expect("events").epoch_days();
        (date(1970, 1, 1) + jiff::SignedDuration::from_hours(24 * i64::from(days))).to_string()
    };
    (text(days().min()), text(days().max()))
}

#[track_caller]
fn check_while(task: &str, observed: fn(&[Event]) -> (String, String), change: impl FnOnce(&mut Records)) {
    let kind = task.split('-').next().expect("a kind");
    let mut records = asked();
    if kind == "timed" {
        records.cohort.entry = vec![of(RecordTable::Visit, Some(STAY))];
        records.cohort.limit = Limit::FirstInAccrual;
        records.outcome.at_risk = AtRisk::Stay;
    }
    change(&mut records);
    compare(task, &ours(&records, kind, observed), &labels(task));
}

#[track_caller]
fn check(task: &str, change: impl FnOnce(&mut Records)) {
    check_while(task, always, change);
}

#[track_caller]
fn compare(task: &str, ours: &Labels, theirs: &Labels) {
    let people = ours.keys().chain(theirs.keys());
    let different = people.filter(|person| ours.get(person) != theirs.get(person));
    let lines: Vec<String> = different
        .take(5)
        .map(|person| format!("person {person}: ours {:?}, ACES {:?}", ours.get(person), theirs.get(person)))
        .collect();
    assert!(lines.is_empty(), "{task}:\n{}", lines.join("\n"));
}

const DISEASE: SetIndex = SetIndex(0);
const OTHER_DISEASE: SetIndex = SetIndex(1);
const HARM: SetIndex = SetIndex(2);
const ANY_HARM: SetIndex = SetIndex(3);
const PULSE_RATE: SetIndex = SetIndex(4);
const STAY: SetIndex = SetIndex(5);
const ANY_DISEASE: SetIndex = SetIndex(6);

/// Of the first disease of all: harm within 30 days.
fn asked() -> Records {
    let set = |name: &str, ids: &[i64]| ConceptSet {
        name: name.to_owned(),
        include: ids.iter().map(|id| member(*id, &format!("{name} {id}"))).collect(),
        exclude: vec![],
        source: None,
    };
    let mut records = records();
    records.sets = vec![
        set("disease", &[10]),
        set("other disease", &[11]),
        set("harm", &[20]),
        set("any harm", &[20, 21]),
        set("pulse rate", &[30]),
        set("stay", &[40]),
        set("any disease", &[10, 11]),
    ];
    records.accrual = (date(2010, 1, 1), date(2025, 12, 31));
    records.followup_to = date(2030, 12, 31);
    // Midnight is what a date stands for in these histories.
    records.date_only = DateOnly::Start;
    records.cohort.entry = vec![condition(DISEASE)];
    records.cohort.limit = Limit::FirstEver;
    records.outcome.any_of = vec![condition(HARM)];
    records
}

fn has(events: Criterion, window: Window, count_min: u32) -> Rule {
    Rule::Has { events, window, count_min }
}

const DEATH: Criterion = Criterion { table: RecordTable::Death, set: None };

#[test]
fn first_entries() {
    check("dated-first_entry", |_| {});
    check("dated-later", |records| records.outcome.at_risk = AtRisk::Days { from: 8, to: 90 });
}

#[test]
fn people_who_leave() {
    check_while("dated-followed", while_recorded, |records| {
        records.cohort.limit = Limit::FirstInAccrual;
        records.outcome.death = Death::Censoring;
    });
}

#[test]
fn people_with_the_outcome_before() {
    check("dated-no_prior_outcome", |records| {
        records.cohort.limit = Limit::FirstInAccrual;
        records.outcome.at_risk = AtRisk::Days { from: 1, to: 180 };
        records.outcome.prior = PriorOutcome::Remove;
    });
}

#[test]
fn counts_in_windows() {
    check("dated-measured_twice", |records| {
        records.cohort.entry = vec![condition(ANY_DISEASE)];
        records.cohort.limit = Limit::FirstInAccrual;
        let pulse = of(RecordTable::Measurement, Some(PULSE_RATE));
        records.cohort.require = vec![has(pulse, Window::Days { from: -30, to: 0 }, 2)];
        records.outcome.at_risk = AtRisk::Days { from: 1, to: 90 };
    });
    check("timed-measured_before", |records| {
        let pulse = of(RecordTable::Measurement, Some(PULSE_RATE));
        records.cohort.require = vec![has(pulse, Window::Hours { from: -24, to: 0 }, 1)];
        let harmed = has(condition(HARM), Window::Hours { from: -72, to: 0 }, 1);
        records.cohort.exclude = vec![harmed, Rule::DiedBefore];
    });
}

#[test]
fn deaths() {
    check("dated-death", |records| {
        records.cohort.exclude = vec![Rule::DiedBefore];
        records.outcome.any_of = vec![DEATH];
        records.outcome.at_risk = AtRisk::Days { from: 1, to: 90 };
    });
    compare(
        "timed-death_in_hospital",
        &ours(&in_hospital(), "timed", always),
        &labels("timed-death_in_hospital"),
    );
}

/// Of who is still in hospital a day after an admission: death before the discharge.
fn in_hospital() -> Records {
    let mut records = asked();
    records.cohort.entry = vec![of(RecordTable::Visit, Some(STAY))];
    records.cohort.limit = Limit::FirstInAccrual;
    records.cohort.predict_after_hours = 24;
    records.cohort.require = vec![Rule::StillThere];
    records.cohort.exclude = vec![Rule::DiedBefore];
    records.outcome.any_of = vec![DEATH];
    records.outcome.at_risk = AtRisk::Stay;
    records
}

#[test]
fn any_of_several() {
    check("dated-either", |records| {
        records.cohort.entry = vec![condition(DISEASE), condition(OTHER_DISEASE)];
        records.cohort.exclude = vec![Rule::DiedBefore];
        records.outcome.any_of = vec![condition(ANY_HARM), DEATH];
    });
}

#[test]
fn stays() {
    check("dated-readmission", |records| {
        records.cohort.entry = vec![of(RecordTable::Visit, Some(STAY))];
        records.cohort.limit = Limit::FirstInAccrual;
        records.cohort.index = Anchor::End;
        records.outcome.any_of = vec![of(RecordTable::Visit, Some(STAY))];
    });
    check("timed-outcome_in_hospital", |records| {
        records.cohort.predict_after_hours = 48;
        records.cohort.require = vec![Rule::StillThere];
        records.cohort.exclude = vec![Rule::DiedBefore];
    });
}

/// The comparison can fail: with a day, or an hour, more or less some labels differ.
#[test]
fn a_day_more_is_another_label() {
    #[track_caller]
    fn check(task: &str, from: u32, to: u32) {
        let mut records = asked();
        records.outcome.at_risk = AtRisk::Days { from, to };
        assert!(ours(&records, "dated", always) != labels(task), "{task}, days {from} to {to}");
    }
    for (from, to) in [(1, 29), (1, 31), (2, 30)] {
        check("dated-first_entry", from, to);
    }
    for (from, to) in [(7, 90), (9, 90), (8, 89), (8, 91)] {
        check("dated-later", from, to);
    }
    for after_hours in [23, 25] {
        let mut records = in_hospital();
        records.cohort.predict_after_hours = after_hours;
        let people = |labels: Labels| {
            labels.into_iter().map(|(person, (_, label))| (person, label)).collect::<Vec<_>>()
        };
        let theirs = people(labels("timed-death_in_hospital"));
        assert!(people(ours(&records, "timed", always)) != theirs, "{after_hours} hours");
    }
}

#[test]
fn imported_tasks() {
    #[track_caller]
    fn check(task: &str, conditions: &[&str]) {
        let text = std::fs::read(vectors(&format!("tasks/{task}.yaml"))).expect("reads");
        let events = conditions.iter().map(|name| ((*name).to_owned(), RecordTable::Condition)).collect();
        let reading = aces::Reading { events, whole_days: true };
        let imported = aces::task(&text, "task", &reading).unwrap_or_else(|error| panic!("{task}:\n{error}"));
        compare(task, &ours(&as_records(imported), "dated", always), &labels(task));
    }
    check("dated-first_entry", &["entry", "outcome"]);
    check("dated-later", &["entry", "outcome"]);
    check("dated-death", &["entry"]);
    check("dated-either", &["depression", "psychosis", "harm"]);
}

/// An imported task beside what ACES does not say; a code of the vectors is the number of its concept.
fn as_records(imported: Imported) -> Records {
    let number = |concept: &ConceptRef| match concept {
        ConceptRef::Code { code, .. } => code.parse().expect("the vectors' codes are numbers"),
        ConceptRef::Id { id, .. } => *id,
    };
    let mut records = asked();
    records.sets = imported.sets;
    for member_of in records.sets.iter_mut().flat_map(|set| &mut set.include) {
        *member_of = member(number(&member_of.concept), "of the vectors");
    }
    let (target, outcome) = (imported.target.expect("a cohort"), imported.outcome.expect("an outcome"));
    records.cohort = target.cohort;
    let (from, to) = outcome.days_at_risk.expect("days");
    records.outcome.any_of = outcome.any_of;
    records.outcome.at_risk = AtRisk::Days { from, to };
    records
}
