//! Tasks of ACES, each changed in one place.

use super::*;
use crate::study::records::{ConceptRef, Criterion, SetIndex};

const TASK: &str = r#"
description: the first of two diseases, then harm
predicates:
  psychosis: { code: SNOMED/69322001 }
  depression: { code: { any: [SNOMED/35489007, "ICD10//F32"] } }
  disease: { expr: "or(psychosis, depression)" }
  pulse: { code: LOINC/8867-4 }
  harm: { code: SNOMED/287182007 }
  death: { code: MEDS_DEATH }
  bad: { expr: "or(harm, death)" }
  unused: { code: { regex: ".*" } }
trigger: disease
windows:
  before:
    start: null
    end: trigger
    start_inclusive: True
    end_inclusive: False
    has: { disease: "(None, 0)" }
  recent:
    start: end - 30d
    end: trigger
    start_inclusive: true
    end_inclusive: true
    has: { pulse: "(2, 5)", bad: "(None, 0)" }
  input:
    start: null
    end: trigger
    start_inclusive: true
    end_inclusive: true
    index_timestamp: end
  gap:
    start: input.end
    end: start + 1 week
    start_inclusive: false
    end_inclusive: true
  target:
    start: gap.end
    end: start + 83d
    start_inclusive: false
    end_inclusive: true
    label: harm
"#;

fn reading() -> Reading {
    let tables = [
        ("psychosis", RecordTable::Condition),
        ("depression", RecordTable::Condition),
        ("pulse", RecordTable::Measurement),
        ("harm", RecordTable::Observation),
    ];
    Reading {
        events: tables.iter().map(|(name, table)| ((*name).to_owned(), *table)).collect(),
        whole_days: true,
    }
}

fn replaced(from: &str, to: &str) -> String {
    assert!(TASK.contains(from), "{from:?} is in the task");
    TASK.replacen(from, to, 1)
}

#[track_caller]
fn imported(text: &str, reading: &Reading) -> Imported {
    task(text.as_bytes(), "harm", reading).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(text: &str, reading: &Reading, expected: &[&str]) {
    match task(text.as_bytes(), "harm", reading) {
        Err(NotImported::NotExact(refusals)) => {
            let paths: Vec<&str> = refusals.iter().map(|refusal| refusal.path.as_str()).collect();
            assert_eq!(paths, expected, "{refusals:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_task_says_what_it_says() {
    let imported = imported(TASK, &reading());
    let names: Vec<&str> = imported.sets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["psychosis", "depression", "pulse", "harm"]);
    let icd = ConceptRef::Code { vocabulary: "ICD10".to_owned(), code: "F32".to_owned() };
    assert_eq!(imported.sets[1].include[1].concept, icd);
    assert!(imported.sets.iter().all(|set| set.include.iter().all(|member| !member.descendants)));
    let events = |table, set: Option<usize>| Criterion { table, set: set.map(SetIndex) };
    let window = Window::Days { from: -30, to: 0 };
    let has = |events, count_min| Rule::Has { events, window, count_min };
    let pulse = events(RecordTable::Measurement, Some(2));
    let harm = events(RecordTable::Observation, Some(3));
    let expected = Cohort {
        name: "harm_cohort".to_owned(),
        entry: vec![events(RecordTable::Condition, Some(0)), events(RecordTable::Condition, Some(1))],
        limit: Limit::FirstEver,
        index: Anchor::Start,
        predict_after_hours: 0,
        prior_observation_days: 0,
        require: vec![has(pulse, 2)],
        exclude: vec![has(pulse, 6), has(harm, 1), has(events(RecordTable::Death, None), 1)],
    };
    assert_eq!(imported.target, Some(Target { cohort: expected, accrual: None }));
    let outcome = OutcomeEvents { name: "harm".to_owned(), any_of: vec![harm], days_at_risk: Some((8, 90)) };
    assert_eq!(imported.outcome, Some(outcome));
    let unused = imported.notes.iter().find(|note| note.contains("left out")).expect("a note");
    assert!(unused.ends_with("left out: unused"), "{unused}");
}

#[test]
fn hours_stay_hours() {
    let text = TASK.replace("start: end - 30d", "start: end - 36h");
    let cohort = imported(&text, &reading()).target.expect("a cohort").cohort;
    let Rule::Has { window, .. } = cohort.require[0] else { panic!("a count") };
    assert_eq!(window, Window::Hours { from: -36, to: 0 });
    // A day later, with windows up to then.
    let text = TASK.replace(
        "  input:\n    start: null\n    end: trigger\n",
        "  input:\n    start: null\n    end: trigger + 24h\n",
    );
    let imported = imported(&text, &reading());
    assert_eq!(imported.target.expect("a cohort").cohort.predict_after_hours, 24);
    assert_eq!(
        imported.outcome.expect("an outcome").days_at_risk,
        Some((8, 90)),
        "counted from the prediction"
    );
}

#[test]
fn days_at_risk() {
    #[track_caller]
    fn check(start: bool, end: bool, expected: (u32, u32)) {
        let text = TASK.replace(
            "end: start + 83d\n    start_inclusive: false\n    end_inclusive: true",
            &format!("end: start + 83d\n    start_inclusive: {start}\n    end_inclusive: {end}"),
        );
        assert_eq!(imported(&text, &reading()).outcome.expect("an outcome").days_at_risk, Some(expected));
    }
    check(false, true, (8, 90));
    check(true, true, (7, 90));
    check(false, false, (8, 89));
}

#[test]
fn what_has_no_equal_is_refused_by_its_path() {
    #[track_caller]
    fn check(from: &str, to: &str, expected: &[&str]) {
        refused(&replaced(from, to), &reading(), expected);
    }
    check("trigger: disease", "trigger: _ANY_EVENT", &["trigger", "windows.before.has.disease"]);
    check("trigger: disease", "trigger: psychosis", &["windows.before.has.disease"]);
    check("disease: \"(None, 0)\"", "disease: \"(1, None)\"", &["windows.before.has.disease"]);
    check("LOINC/8867-4", "LOINC", &["predicates.pulse.code"]);
    check(
        "{ code: LOINC/8867-4 }",
        "{ code: LOINC/8867-4, value_min: 100 }",
        &["predicates.pulse.value_min"],
    );
    check(
        "{ code: LOINC/8867-4 }",
        "{ code: { regex: \"^LOINC.*\" } }",
        &["predicates.pulse.code.regex", "predicates.pulse.code"],
    );
    check("or(harm, death)", "and(harm, death)", &["predicates.bad.expr"]);
    check("or(harm, death)", "or(harm, bad)", &["predicates.bad.expr"]);
    check("or(harm, death)", "or(harm, nothing)", &["predicates.bad.expr"]);
    check("pulse: \"(2, 5)\"", "disease: \"(2, 5)\"", &["windows.recent.has.disease"]);
    check("pulse: \"(2, 5)\"", "pulse: \"(5, 2)\"", &["windows.recent.has.pulse"]);
    check("pulse: \"(2, 5)\"", "_ANY_EVENT: \"(5, None)\"", &["windows.recent.has._ANY_EVENT"]);
    check("start: end - 30d", "start: end - 30d 5m", &["windows.recent.has.pulse", "windows.recent.has.bad"]);
    check("start: end - 30d", "start: end - 1.5 d", &["windows.recent.start"]);
    check("    index_timestamp: end\n", "", &["the file"]);
    check("    label: harm\n", "", &["the file"]);
    check(
        "    label: harm\n",
        "    label: harm\n    has: { pulse: \"(1, None)\" }\n",
        &["windows.target.has"],
    );
    check("end: start + 83d", "end: start -> death", &["windows.target.label"]);
    check("end: start + 83d", "end: null", &["windows.target.label"]);
    check("end: start + 83d", "end: start + 36h", &["windows.target.label"]);
    check("start: gap.end", "start: start", &["windows.target.start"]);
    check("start: gap.end", "start: nowhere.end", &["windows.target.start"]);
    check(
        "trigger: disease",
        "patient_demographics: { male: { code: GENDER/M } }\ntrigger: disease",
        &["patient_demographics"],
    );
    check("    label: harm\n", "    label: harm\n    colour: blue\n", &["windows.target.colour"]);
    let follow_up = "    label: harm\n  followup:\n    start: target.end\n    end: null\n    start_inclusive: false\n    \
                     end_inclusive: true\n    has: { harm: \"(1, None)\" }\n";
    check("    label: harm\n", follow_up, &["windows.followup.has.harm"]);
}

#[test]
fn what_only_its_author_knows() {
    let mut reading = reading();
    reading.whole_days = false;
    refused(TASK, &reading, &["windows.target.label"]);
    reading.whole_days = true;
    reading.events.remove("pulse");
    refused(TASK, &reading, &["predicates.pulse"]);
    reading.events.insert("pulses".to_owned(), RecordTable::Measurement);
    refused(TASK, &reading, &["predicates", "predicates.pulse"]);
    reading.events.remove("pulses");
    reading.events.insert("pulse".to_owned(), RecordTable::Death);
    refused(TASK, &reading, &["predicates.pulse"]);
}

#[test]
fn what_is_no_task() {
    fn check(text: &str, expected: &str) {
        match task(text.as_bytes(), "t", &reading()) {
            Err(NotImported::Invalid(what)) => assert!(what.contains(expected), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    check("", "no trigger");
    check("trigger: [", "no task of ACES");
    check("a: 1", "no trigger");
    check(&replaced("trigger: disease", "trigger: disease\ntrigger: harm"), "no task of ACES");
}

/// Whatever stands anywhere: an answer, and no panic. JSON is YAML.
#[test]
fn odd_values() {
    let json: serde_json::Value = serde_saphyr::from_str(TASK).expect("YAML");
    let documents = crate::study::import::odd::each(&json);
    assert!(documents.len() > 500);
    let read =
        documents.iter().filter(|document| task(document.to_string().as_bytes(), "odd", &reading()).is_ok());
    assert!(read.count() > 10, "the description is anybody's");
}
