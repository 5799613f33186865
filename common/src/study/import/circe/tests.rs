//! Cohorts as Atlas exports them, each changed in one place.

use super::*;
use crate::study::records::{ConceptRef, RecordTable, Rule, SetIndex, Window};
use jiff::civil::date;
use serde_json::{Value, json};

/// People's first psychosis after a year of observation, without self-harm in that year, with an admission before.
fn first_psychosis() -> Value {
    let item = |id: i64, name: &str, excluded: bool| {
        json!({
            "concept": {
                "CONCEPT_ID": id, "CONCEPT_NAME": name, "STANDARD_CONCEPT": "S", "STANDARD_CONCEPT_CAPTION": "Standard",
                "INVALID_REASON": "V", "CONCEPT_CODE": "1", "DOMAIN_ID": "Condition", "VOCABULARY_ID": "SNOMED"
            },
            "isExcluded": excluded, "includeDescendants": true, "includeMapped": false
        })
    };
    let counted = |event: Value, from: i64, to: i64, kind: i64, count: i64| {
        json!({
            "Criteria": event,
            "StartWindow": {
                "Start": {"Days": from, "Coeff": -1}, "End": {"Days": to, "Coeff": -1},
                "UseIndexEnd": false, "UseEventEnd": false
            },
            "Occurrence": {"Type": kind, "Count": count, "IsDistinct": false}
        })
    };
    json!({
        "cdmVersionRange": ">=5.0.0",
        "Title": "First psychosis",
        "ConceptSets": [
            {"id": 4, "name": "Psychosis", "expression": {"items": [
                item(436073, "Psychotic disorder", false), item(374009, "Organic mental disorder", true)
            ]}},
            {"id": 7, "name": "Self-harm", "expression": {"items": [item(439235, "Self inflicted injury", false)]}},
            {"id": 9, "name": "not used", "expression": {"items": []}}
        ],
        "PrimaryCriteria": {
            "CriteriaList": [{"ConditionOccurrence": {
                "CodesetId": 4, "First": true, "ConditionTypeExclude": null, "ConditionStatus": [], "Age": null
            }}],
            "ObservationWindow": {"PriorDays": 365, "PostDays": 0},
            "PrimaryCriteriaLimit": {"Type": "All"}
        },
        "QualifiedLimit": {"Type": "First"},
        "ExpressionLimit": {"Type": "All"},
        "InclusionRules": [
            {"name": "no self-harm", "description": "in the year before", "expression": {
                "Type": "ALL", "CriteriaList": [counted(json!({"ConditionOccurrence": {"CodesetId": 7}}), 365, 1, 0, 0)],
                "DemographicCriteriaList": [], "Groups": []
            }},
            {"name": "an admission", "expression": {
                "Type": "ANY", "CriteriaList": [], "DemographicCriteriaList": [], "Groups": [{
                    "Type": "AT_LEAST", "Count": 1, "Groups": [],
                    "CriteriaList": [counted(json!({"VisitOccurrence": {}}), 30, 1, 2, 2)]
                }]
            }}
        ],
        "CensoringCriteria": [],
        "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
        "CensorWindow": {}
    })
}

/// Every self-harm, each on its own day.
fn every_self_harm() -> Value {
    let mut json = first_psychosis();
    json["PrimaryCriteria"]["CriteriaList"] = json!([
        {"ConditionOccurrence": {"CodesetId": 7}}, {"Observation": {"CodesetId": 7, "First": false}}
    ]);
    json["PrimaryCriteria"]["ObservationWindow"]["PriorDays"] = json!(0);
    json["InclusionRules"] = json!([]);
    json["EndStrategy"] = json!({"DateOffset": {"DateField": "StartDate", "Offset": 0}});
    json
}

/// The value at a path with `[n]`; a key that is not there is made.
fn at<'a>(json: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(json, |json, step| {
        let mut parts = step.trim_end_matches(']').split(['[', ']']).filter(|part| !part.is_empty());
        let field = &mut json[parts.next().expect("a key")];
        parts.fold(field, |list, number| &mut list[number.parse::<usize>().expect("a number")])
    })
}

fn changed(mut json: Value, changes: &[(&str, Value)]) -> Vec<u8> {
    for (path, new) in changes {
        *at(&mut json, path) = new.clone();
    }
    json.to_string().into_bytes()
}

#[track_caller]
fn imported(changes: &[(&str, Value)]) -> Imported {
    target(&changed(first_psychosis(), changes), "first_psychosis").unwrap_or_else(|error| panic!("{error}"))
}

/// The paths of what is refused.
#[track_caller]
fn refused(read: Result<Imported, NotImported>) -> Vec<String> {
    match read {
        Err(NotImported::NotExact(refusals)) => {
            assert!(refusals.iter().all(|refusal| !refusal.found.is_empty() && !refusal.why.is_empty()));
            refusals.into_iter().map(|refusal| refusal.path).collect()
        }
        other => panic!("{other:?}"),
    }
}

const RULE: &str = "InclusionRules[0].expression.CriteriaList[0]";

#[test]
fn a_cohort_says_what_it_says() {
    let imported = imported(&[]);
    let names: Vec<&str> = imported.sets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["psychosis", "self_harm"]);
    let psychosis = &imported.sets[0];
    assert_eq!(psychosis.include.len(), 1);
    assert!(psychosis.include[0].descendants);
    let organic = ConceptRef::Id { id: 374_009, name: "Organic mental disorder".to_owned() };
    assert_eq!(psychosis.exclude[0].concept, organic);
    let Target { cohort, accrual } = imported.target.expect("a cohort");
    assert_eq!(accrual, None);
    let events = |table, set: Option<usize>| Criterion { table, set: set.map(SetIndex) };
    let expected = Cohort {
        name: "first_psychosis".to_owned(),
        entry: vec![events(RecordTable::Condition, Some(0))],
        limit: Limit::FirstEver,
        index: Anchor::Start,
        predict_after_hours: 0,
        prior_observation_days: 365,
        require: vec![Rule::Has {
            events: events(RecordTable::Visit, None),
            window: Window::Days { from: -30, to: -1 },
            count_min: 2,
        }],
        exclude: vec![Rule::Has {
            events: events(RecordTable::Condition, Some(1)),
            window: Window::Days { from: -365, to: -1 },
            count_min: 1,
        }],
    };
    assert_eq!(cohort, expected);
    assert_eq!(imported.outcome, None);
    assert!(imported.notes.iter().any(|note| note.contains("\"not used\"")), "{:?}", imported.notes);
}

#[test]
fn limits() {
    #[track_caller]
    fn check(first: bool, rules: bool, limits: [&str; 3], expected: Result<Limit, &str>) {
        let mut json = first_psychosis();
        json["PrimaryCriteria"]["CriteriaList"][0]["ConditionOccurrence"]["First"] = json!(first);
        if !rules {
            json["InclusionRules"] = json!([]);
        }
        json["PrimaryCriteria"]["PrimaryCriteriaLimit"] = json!({"Type": limits[0]});
        json["QualifiedLimit"] = json!({"Type": limits[1]});
        json["ExpressionLimit"] = json!({"Type": limits[2]});
        let read = target(json.to_string().as_bytes(), "c");
        match expected {
            Ok(limit) => {
                let target = read.unwrap_or_else(|error| panic!("{error}")).target;
                assert_eq!(target.map(|target| target.cohort.limit), Some(limit), "{limits:?}");
            }
            Err(path) => assert_eq!(refused(read), [path], "{limits:?}"),
        }
    }
    use Limit::*;
    // The first of all of one kind is one event: the limits have nothing to choose.
    check(true, true, ["First", "First", "First"], Ok(FirstEver));
    check(true, true, ["All", "Last", "All"], Ok(FirstEver));
    check(false, false, ["First", "First", "All"], Ok(FirstInAccrual));
    check(false, false, ["All", "First", "First"], Ok(FirstInAccrual));
    check(false, false, ["All", "First", "All"], Err("ExpressionLimit"));
    check(false, false, ["Last", "First", "First"], Err("PrimaryCriteria.PrimaryCriteriaLimit"));
    check(false, true, ["All", "First", "First"], Ok(FirstInAccrual));
    check(false, true, ["First", "First", "First"], Err("PrimaryCriteria.PrimaryCriteriaLimit"));
    check(false, true, ["All", "First", "Last"], Err("ExpressionLimit"));
    check(true, true, ["Some", "First", "First"], Err("PrimaryCriteria.PrimaryCriteriaLimit.Type"));
}

#[test]
fn additional_criteria_have_a_limit_of_their_own() {
    let group = first_psychosis()["InclusionRules"][0]["expression"].clone();
    let not_first = ("PrimaryCriteria.CriteriaList[0].ConditionOccurrence.First", json!(false));
    let additional = ("AdditionalCriteria", group);
    let limit = |qualified: &str| ("QualifiedLimit.Type", json!(qualified));
    let first = ("ExpressionLimit.Type", json!("First"));
    let read = |changes: &[(&str, Value)]| target(&changed(first_psychosis(), changes), "c");
    let all = imported(&[not_first.clone(), additional.clone(), limit("All"), first.clone()]);
    assert_eq!(all.target.expect("a cohort").cohort.exclude.len(), 2);
    let said = read(&[not_first.clone(), additional.clone(), limit("First"), first.clone()]);
    assert_eq!(refused(said), ["QualifiedLimit"]);
    let alone = ("InclusionRules", json!([]));
    let read =
        read(&[not_first, additional, limit("First"), alone]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.target.expect("a cohort").cohort.limit, Limit::FirstInAccrual);
}

#[test]
fn windows_and_counts() {
    #[track_caller]
    fn check(
        changes: &[(&str, Value)],
        require: &[(i32, i32, u32)],
        exclude: &[(i32, i32, u32)],
        hours: u32,
    ) {
        let changes: Vec<(String, Value)> =
            changes.iter().map(|(path, new)| (format!("{RULE}.{path}"), new.clone())).collect();
        let changes: Vec<(&str, Value)> =
            changes.iter().map(|(path, new)| (path.as_str(), new.clone())).collect();
        let cohort = imported(&changes).target.expect("a cohort").cohort;
        let of_self_harm = |rules: &[Rule]| -> Vec<(i32, i32, u32)> {
            let rule = |rule: &Rule| match rule {
                Rule::Has { events, window: Window::Days { from, to }, count_min } => {
                    (events.set == Some(SetIndex(1))).then_some((*from, *to, *count_min))
                }
                _ => None,
            };
            rules.iter().filter_map(rule).collect()
        };
        assert_eq!(of_self_harm(&cohort.require), require);
        assert_eq!(of_self_harm(&cohort.exclude), exclude);
        assert_eq!(cohort.predict_after_hours, hours);
    }
    let occurrence = |kind: i64, count: i64| ("Occurrence", json!({"Type": kind, "Count": count}));
    check(&[], &[], &[(-365, -1, 1)], 0);
    check(&[occurrence(1, 0)], &[], &[(-365, -1, 1)], 0);
    check(&[occurrence(1, 2)], &[], &[(-365, -1, 3)], 0);
    check(&[occurrence(2, 3)], &[(-365, -1, 3)], &[], 0);
    check(&[occurrence(0, 2)], &[(-365, -1, 2)], &[(-365, -1, 3)], 0);
    // All of the day of the index counts in Atlas: so it is over when people are asked about.
    check(&[("StartWindow.End.Days", json!(0))], &[], &[(-365, 0, 1)], 24);
    check(&[("StartWindow.End", json!({"Days": 0, "Coeff": 1}))], &[], &[(-365, 0, 1)], 24);
    // Beyond what is surely observed, only where Atlas looks there too.
    let ignoring = ("IgnoreObservationPeriod", json!(true));
    check(&[("StartWindow.Start.Days", json!(366)), ignoring.clone()], &[], &[(-366, -1, 1)], 0);
    check(&[("StartWindow.Start.Days", json!(null)), ignoring], &[], &[(-99_999, -1, 1)], 0);
}

#[test]
fn groups() {
    #[track_caller]
    fn check(group: &str, count: i64, counts: &[i64], expected: Option<(usize, usize)>) {
        let one = first_psychosis()["InclusionRules"][0]["expression"]["CriteriaList"][0].clone();
        let criteria: Vec<Value> = counts
            .iter()
            .map(|count| {
                let mut one = one.clone();
                one["Occurrence"] = json!({"Type": 2, "Count": count});
                one
            })
            .collect();
        let rules =
            json!([{"name": "r", "expression": {"Type": group, "Count": count, "CriteriaList": criteria}}]);
        let read = target(&changed(first_psychosis(), &[("InclusionRules", rules)]), "c");
        match expected {
            None => assert_eq!(refused(read), ["InclusionRules[0].expression"], "{group} {count}"),
            Some((require, exclude)) => {
                let cohort = read.unwrap_or_else(|error| panic!("{error}")).target.expect("a cohort").cohort;
                assert_eq!(
                    (cohort.require.len(), cohort.exclude.len()),
                    (require, exclude),
                    "{group} {count}"
                );
            }
        }
    }
    check("ALL", 0, &[1, 2], Some((2, 0)));
    check("ANY", 0, &[1], Some((1, 0)));
    check("ANY", 0, &[1, 2], None);
    check("AT_LEAST", 2, &[1, 2], Some((2, 0)));
    check("AT_LEAST", 1, &[1, 2], None);
    check("AT_MOST", 0, &[1, 2], Some((0, 2)));
    check("AT_MOST", 1, &[1, 2], None);
    check("all", 0, &[], Some((0, 0)));
}

#[test]
fn dates_of_entry_events_are_the_accrual() {
    #[track_caller]
    fn check(op: &str, expected: Option<(i16, i16)>) {
        let range = json!({"Value": "2015-01-01", "Op": op, "Extent": "2020-12-31"});
        let path = "PrimaryCriteria.CriteriaList[0].ConditionOccurrence.OccurrenceStartDate";
        let read = target(&changed(first_psychosis(), &[(path, range)]), "c");
        match expected {
            None => assert_eq!(refused(read), [format!("{path}.Op")]),
            Some((from, to)) => {
                let accrual =
                    read.unwrap_or_else(|error| panic!("{error}")).target.expect("a cohort").accrual;
                assert_eq!(accrual.map(|(from, to)| (from.year(), to.year())), Some((from, to)), "{op}");
            }
        }
    }
    check("bt", Some((2015, 2020)));
    check("gte", Some((2015, 2099)));
    check("gt", Some((2015, 2099)));
    check("lt", Some((1900, 2014)));
    check("eq", Some((2015, 2015)));
    check("!bt", None);
    let after = json!({"Value": "2015-01-31", "Op": "gt"});
    let path = "PrimaryCriteria.CriteriaList[0].ConditionOccurrence.OccurrenceStartDate";
    let accrual = imported(&[(path, after)]).target.expect("a cohort").accrual;
    assert_eq!(accrual, Some((date(2015, 2, 1), date(2099, 12, 31))));
}

#[test]
fn what_has_no_equal_is_refused_by_its_path() {
    #[track_caller]
    fn check(path: &str, new: Value, expected: &str) {
        assert_eq!(refused(target(&changed(first_psychosis(), &[(path, new)]), "c")), [expected], "{path}");
    }
    const ENTRY: &str = "PrimaryCriteria.CriteriaList[0].ConditionOccurrence";
    let same = |path: &str, new: Value| check(path, new, path);
    let concept = json!([{"CONCEPT_ID": 8507, "CONCEPT_NAME": "MALE"}]);
    for (key, new) in [
        ("Age", json!({"Value": 18, "Op": "gte"})),
        ("Gender", concept.clone()),
        ("GenderCS", json!({"CodesetId": 4})),
        ("ConditionStatus", concept.clone()),
        ("ConditionStatusCS", json!({})),
        ("ConditionType", concept.clone()),
        ("ConditionSourceConcept", json!(4)),
        ("OccurrenceEndDate", json!({"Value": "2015-01-01", "Op": "gt"})),
        ("VisitType", concept.clone()),
        ("CorrelatedCriteria", json!({"Type": "ALL"})),
        ("DateAdjustment", json!({"StartOffset": 1})),
        ("CodesetId", json!(5)),
        ("SomethingNew", json!(0)),
    ] {
        same(&format!("{ENTRY}.{key}"), new);
    }
    let other = |event: Value| {
        let kind = event.as_object().and_then(|event| event.keys().next().cloned()).expect("a kind");
        check("PrimaryCriteria.CriteriaList[0]", event, &format!("PrimaryCriteria.CriteriaList[0].{kind}"));
    };
    other(json!({"ConditionEra": {"CodesetId": 4}}));
    other(json!({"DeviceExposure": {"CodesetId": 4}}));
    check(
        "PrimaryCriteria.CriteriaList[0]",
        json!({"Death": {"CodesetId": 4}}),
        "PrimaryCriteria.CriteriaList[0].Death.CodesetId",
    );
    same("PrimaryCriteria.CriteriaList", json!([]));
    same("PrimaryCriteria.ObservationWindow.PostDays", json!(30));
    same("PrimaryCriteria.ObservationWindow.PriorDays", json!(40_000));
    let window = |path: &str, new: Value, expected: &str| {
        check(&format!("{RULE}.{path}"), new, &format!("{RULE}.{expected}"));
    };
    window("StartWindow.End", json!({"Days": 30, "Coeff": 1}), "StartWindow");
    window("StartWindow.End", json!({"Days": null, "Coeff": 1}), "StartWindow");
    window("StartWindow.Start.Days", json!(366), "StartWindow");
    window("StartWindow.Start.Days", json!(null), "StartWindow");
    window("StartWindow.Start.Days", json!(0), "StartWindow");
    window("StartWindow.Start.Coeff", json!(0), "StartWindow.Start.Coeff");
    window("StartWindow.UseEventEnd", json!(true), "StartWindow.UseEventEnd");
    window("StartWindow.UseIndexEnd", json!(true), "StartWindow.UseIndexEnd");
    window("EndWindow", json!({"Start": {"Days": 0, "Coeff": 1}}), "EndWindow");
    window("RestrictVisit", json!(true), "RestrictVisit");
    window("Occurrence.IsDistinct", json!(true), "Occurrence.IsDistinct");
    window("Occurrence", json!({"Type": 2, "Count": 0}), "Occurrence");
    window("Occurrence.Count", json!(-1), "Occurrence.Count");
    window("Criteria.ConditionOccurrence.First", json!(true), "Criteria.ConditionOccurrence.First");
    window(
        "Criteria.ConditionOccurrence.Age",
        json!({"Value": 1, "Op": "lt"}),
        "Criteria.ConditionOccurrence.Age",
    );
    let demographic = "InclusionRules[0].expression.DemographicCriteriaList";
    check(demographic, json!([{"Age": {"Value": 18, "Op": "gte"}}]), &format!("{demographic}[0].Age"));
    check(demographic, json!([{"Gender": concept}]), &format!("{demographic}[0].Gender"));
    check(demographic, json!([{"Age": null, "Gender": []}]), &format!("{demographic}[0]"));
    check("CensorWindow", json!({"StartDate": "2015-01-01"}), "CensorWindow.StartDate");
    check(
        "EndStrategy",
        json!({"DateOffset": {"DateField": "EndDate", "Offset": 1}}),
        "EndStrategy.DateOffset",
    );
    check("EndStrategy", json!({"DateOffset": {"Offset": -1}}), "EndStrategy.DateOffset");
    same("NewInAtlas", json!({"a": 1}));
    let item = "ConceptSets[0].expression.items[0]";
    same(&format!("{item}.includeMapped"), json!(true));
    same(&format!("{item}.concept.CONCEPT_ID"), json!(0));
    same(&format!("{item}.concept.CONCEPT_NAME"), json!(""));
    same("ConceptSets[0].expression.items", json!([]));
    check("ConceptSets[1].id", json!(4), "ConceptSets[1]");
}

#[test]
fn all_refusals_come_at_once() {
    let changes = [
        ("PrimaryCriteria.CriteriaList[0].ConditionOccurrence.Gender", json!([{"CONCEPT_ID": 8507}])),
        ("PrimaryCriteria.ObservationWindow.PostDays", json!(30)),
        ("InclusionRules[0].expression.CriteriaList[0].RestrictVisit", json!(true)),
        ("InclusionRules[1].expression.Groups[0].CriteriaList[0].EndWindow", json!({"Start": {}})),
        ("ConceptSets[1].expression.items[0].includeMapped", json!(true)),
        ("CensorWindow", json!({"EndDate": "2020-01-01"})),
    ];
    let paths = refused(target(&changed(first_psychosis(), &changes), "c"));
    assert_eq!(paths.len(), 6, "{paths:?}");
    for (path, _) in &changes[..5] {
        assert!(paths.iter().any(|refused| refused == path), "{path} is not in {paths:?}");
    }
}

#[test]
fn an_outcome_is_every_event() {
    let read = outcome(every_self_harm().to_string().as_bytes(), "self_harm")
        .unwrap_or_else(|error| panic!("{error}"));
    let events = |table| Criterion { table, set: Some(SetIndex(0)) };
    let any_of = vec![events(RecordTable::Condition), events(RecordTable::Observation)];
    assert_eq!(
        read.outcome,
        Some(OutcomeEvents { name: "self_harm".to_owned(), any_of, days_at_risk: None })
    );
    assert_eq!((read.target, read.sets.len()), (None, 1));
    #[track_caller]
    fn check(path: &str, new: Value, expected: &str) {
        assert_eq!(refused(outcome(&changed(every_self_harm(), &[(path, new)]), "o")), [expected], "{path}");
    }
    let limits = "PrimaryCriteria.PrimaryCriteriaLimit";
    check(limits, json!({"Type": "First"}), limits);
    check("ExpressionLimit", json!({}), "ExpressionLimit");
    check(
        "PrimaryCriteria.ObservationWindow.PriorDays",
        json!(1),
        "PrimaryCriteria.ObservationWindow.PriorDays",
    );
    let rules = first_psychosis()["InclusionRules"].clone();
    check("InclusionRules", rules, "InclusionRules");
    check(
        "PrimaryCriteria.CriteriaList[0].ConditionOccurrence.First",
        json!(true),
        "PrimaryCriteria.CriteriaList[0]",
    );
    // Episodes that Atlas would join.
    check("EndStrategy", json!(null), "the file");
    check("EndStrategy.DateOffset.Offset", json!(1), "EndStrategy.DateOffset");
    check("CollapseSettings.EraPad", json!(7), "CollapseSettings.EraPad");
}

#[test]
fn what_is_no_cohort() {
    fn check(text: &str, expected: &str) {
        match target(text.as_bytes(), "c") {
            Err(NotImported::Invalid(what)) => assert!(what.contains(expected), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    check("", "not JSON");
    check("[]", "no PrimaryCriteria");
    check(r#"{"id": 1, "expression": {"PrimaryCriteria": {}}}"#, "\"expression\" alone");
    for odd in [
        "1",
        "null",
        "[]",
        "{}",
        "\"x\"",
        "{\"CriteriaList\": {}}",
        "{\"CriteriaList\": [1, {}, {\"Death\": 1}]}",
    ] {
        let text =
            format!(r#"{{"PrimaryCriteria": {odd}, "ConceptSets": [{odd}], "InclusionRules": {odd}}}"#);
        assert!(target(text.as_bytes(), "c").is_err(), "{odd}");
        assert!(outcome(text.as_bytes(), "o").is_err(), "{odd}");
    }
}

/// Whatever stands anywhere: an answer, and no panic; and what is read can be written.
#[test]
fn odd_values() {
    let template = include_str!("../../../../../docs/studies/omop-selfharm.toml");
    let mut read = 0;
    for (json, parse) in [
        (first_psychosis(), target as fn(&[u8], &str) -> Result<Imported, NotImported>),
        (every_self_harm(), outcome),
    ] {
        let documents = crate::study::import::odd::each(&json);
        assert!(documents.len() > 1000);
        for document in documents {
            if let Ok(imported) = parse(document.to_string().as_bytes(), "odd") {
                read += 1;
                crate::study::import::write(template, &imported).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }
    assert!(read > 100, "titles, names of sets and what is left empty are anybody's");
}
