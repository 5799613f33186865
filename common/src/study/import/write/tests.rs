use super::*;
use crate::key::SecretKey;
use crate::study::import::circe;
use crate::study::parse::tests::parsed as study;
use crate::study::records::Records;
use crate::study::{Data, RosterSite, Study, fill};

const TEMPLATE: &str = include_str!("../../../../../docs/studies/omop-selfharm.toml");

fn with_keys(template: &str) -> String {
    let site = |(name, seed): (&str, u8)| RosterSite {
        name: name.parse().expect("a name"),
        key: SecretKey::from_seed(&[seed; 32]).public(),
        people_public: 5000,
        weight: 1 << 16,
    };
    let roster: Vec<RosterSite> = [("a", 1), ("b", 2), ("c", 3), ("d", 4)].map(site).into();
    fill(template, &roster, None).unwrap_or_else(|mistakes| panic!("{mistakes}")).text
}

fn records(study: &Study) -> &Records {
    let Data::Records(records) = &study.data else { panic!("on records") };
    records
}

/// The first alcohol problem, without dementia before.
fn cohort(first: &str, second: &str) -> Imported {
    let json = format!(
        r#"{{"ConceptSets": [
            {{"id": 0, "name": "{first}", "expression": {{"items": [{{"concept": {{"CONCEPT_ID": 433753,
                "CONCEPT_NAME": "Alcohol \"abuse\""}}, "includeDescendants": true}}]}}}},
            {{"id": 1, "name": "{second}", "expression": {{"items": [
                {{"concept": {{"CONCEPT_ID": 4182210, "CONCEPT_NAME": "Dementia"}}}},
                {{"concept": {{"CONCEPT_ID": 4214956, "CONCEPT_NAME": "History of event"}}}},
                {{"concept": {{"CONCEPT_ID": 4167217, "CONCEPT_NAME": "Family history"}}, "isExcluded": true}}]}}}}],
        "PrimaryCriteria": {{"CriteriaList": [{{"ConditionOccurrence": {{"CodesetId": 0, "First": true,
                "OccurrenceStartDate": {{"Value": "2012-01-01", "Extent": "2020-12-31", "Op": "bt"}}}}}}],
            "ObservationWindow": {{"PriorDays": 30, "PostDays": 0}}}},
        "InclusionRules": [{{"name": "no dementia", "expression": {{"Type": "ALL", "CriteriaList": [
            {{"Criteria": {{"Observation": {{"CodesetId": 1}}}}, "Occurrence": {{"Type": 0, "Count": 0}},
              "StartWindow": {{"Start": {{"Days": 30, "Coeff": -1}}, "End": {{"Days": 0, "Coeff": 1}}}}}}]}}}}]}}"#
    );
    circe::target(json.as_bytes(), "alcohol").unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_cohort_takes_the_place_of_the_templates() {
    let template = with_keys(TEMPLATE);
    let imported = cohort("Alcohol", "Dementia");
    let written = write(&template, &imported).unwrap_or_else(|error| panic!("{error}"));
    let before = study(&template);
    let after = study(&written.text);
    let (before, after) = (records(&before), records(&after));
    assert_eq!(after.cohort.name, "alcohol");
    // The same cohort, its sets found again by name.
    let expected = imported.target.expect("a cohort").cohort;
    let named = |records: &Records, index: crate::study::records::SetIndex| records.set(index).clone();
    assert_eq!(named(after, after.cohort.entry[0].set.expect("a set")), imported.sets[0]);
    let set_of = |rule: &Rule| match rule {
        Rule::Has { events, .. } => events.set.expect("a set"),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(after, set_of(&after.cohort.exclude[0])), imported.sets[1]);
    let without_sets = |cohort: &Cohort| {
        let mut cohort = cohort.clone();
        cohort.entry.iter_mut().for_each(|event| event.set = None);
        for rule in &mut cohort.exclude {
            if let Rule::Has { events, .. } = rule {
                events.set = None;
            }
        }
        cohort
    };
    assert_eq!(without_sets(&after.cohort), without_sets(&expected));
    assert_eq!(after.accrual.0.to_string(), "2012-01-01");
    assert_eq!(after.accrual.1.to_string(), "2020-12-31");
    // All else is the template's.
    assert_eq!(after.covariates.len(), before.covariates.len());
    assert_eq!(after.outcome.at_risk, before.outcome.at_risk);
    assert!(written.text.contains("# Self-harm within a year of a first psychosis"), "comments stay");
    assert!(written.text.contains("# Imported: Atlas cohort"), "{}", written.text);
}

#[test]
fn sets_that_clash_or_fall_out_of_use() {
    // `depression` and `psychosis` are features too, `suicide_attempt` an outcome: all stay, whoever is asked about.
    let written =
        write(TEMPLATE, &cohort("Depression", "Suicide attempt")).unwrap_or_else(|error| panic!("{error}"));
    assert!(written.text.contains("[concept_set.depression_2]"), "{}", written.text);
    assert!(written.text.contains("set = \"suicide_attempt_2\""), "{}", written.text);
    assert!(written.notes.iter().any(|note| note.contains("depression_2")), "{:?}", written.notes);
    // Written over its own copy, an import is as before: nothing is renamed, nothing is lost.
    let imported = cohort("Alcohol", "Dementia");
    let template = with_keys(TEMPLATE);
    let once = write(&template, &imported).unwrap_or_else(|error| panic!("{error}")).text;
    let twice = write(&once, &imported).unwrap_or_else(|error| panic!("{error}")).text;
    assert_eq!(records(&study(&twice)).sets.len(), records(&study(&once)).sets.len());
    // A template whose cohort alone had a set.
    let own = template.replace(
        "[cohort.first_episode]",
        "[concept_set.own]\ninclude = [{ id = 1, name = \"One\" }]\n[cohort.first_episode]",
    );
    let own = own.replace(
        "{ event = \"condition\", set = \"psychosis\" }",
        "{ event = \"condition\", set = \"own\" }",
    );
    let written = write(&own, &imported).unwrap_or_else(|error| panic!("{error}"));
    assert!(!written.text.contains("concept_set.own"), "{}", written.text);
    assert!(written.notes.iter().any(|note| note.ends_with("out: own")), "{:?}", written.notes);
    study(&written.text);
}

#[test]
fn an_outcome_takes_the_place_of_the_templates() {
    let sets = cohort("Alcohol", "Dementia").sets;
    let event = |table, set| Criterion { table, set };
    let any_of = vec![
        event(RecordTable::Procedure, Some(crate::study::records::SetIndex(0))),
        event(RecordTable::Death, None),
    ];
    let outcome = OutcomeEvents { name: "relapse".to_owned(), any_of, days_at_risk: Some((8, 90)) };
    let imported = Imported {
        origin: "somebody".to_owned(),
        sets: vec![sets[0].clone()],
        target: None,
        outcome: Some(outcome),
        notes: vec![],
    };
    let written = write(&with_keys(TEMPLATE), &imported).unwrap_or_else(|error| panic!("{error}"));
    let after = study(&written.text);
    assert_eq!(after.task.name, "relapse");
    let records = records(&after);
    assert_eq!(records.cohort.name, "first_episode");
    assert_eq!(records.outcome.any_of.len(), 2);
    assert_eq!(records.outcome.any_of[1], event(RecordTable::Death, None));
    assert_eq!(records.set(records.outcome.any_of[0].set.expect("a set")), &sets[0]);
    assert_eq!(records.outcome.at_risk, crate::study::records::AtRisk::Days { from: 8, to: 90 });
}

#[test]
fn a_blank_study_names_its_gaps() {
    let written = write(&blank(TEMPLATE).expect("TOML"), &cohort("Alcohol", "Dementia")).expect("written");
    let mistakes = crate::study::parse(written.text.as_bytes()).expect_err("there are gaps");
    let keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    for gap in [
        "id",
        "title",
        "intended_use.statement",
        "governance.lay_summary",
        "task[1].name",
        "task[1].outcome.any_of",
        "data.followup_to",
        "site[1].key",
    ] {
        assert!(keys.contains(&gap), "{gap} is not in {keys:?}");
    }
    assert!(!keys.iter().any(|key| key.starts_with("cohort") || key.starts_with("concept_set")), "{keys:?}");
    assert!(!written.text.contains("self_harm") && !written.text.contains("psychosis"), "{}", written.text);
}

#[test]
fn what_is_no_template() {
    fn check(template: &str, expected: &str) {
        match write(template, &cohort("Alcohol", "Dementia")) {
            Err(NotImported::Invalid(what)) => assert!(what.contains(expected), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    check("[", "not TOML");
    check("", "no study on OMOP records");
    check("[data]\nformat = [\"table\"]\n", "no study on OMOP records");
    check("[data]\nformat = [\"omop-cdm-5.4\"]\n", "no [[task]]");
    check("task = 1\n[data]\nformat = \"omop-cdm-5.4\"\n", "no study on OMOP records");
}
