//! One slip in each key of a study with bindings.

use super::{OF_BINDINGS, fault_of, records, replaced};
use crate::study::bindings::{Binding, BindingIndex, BoundColumn, InForce, Mark, Purpose, StayRule, Visits};
use crate::study::parse;
use crate::study::parse::tests::parsed;
use crate::study::records::{Criterion, PersonField, RecordTable, Rule, SetIndex};
use crate::study::{AttributeValues, describe};

#[track_caller]
fn check(table: &[(&str, &str, &str, &str)]) {
    let faults: Vec<String> = table.iter().filter_map(|slip| fault_of(&OF_BINDINGS, *slip)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_example_says_what_it_says() {
    let study = parsed(&OF_BINDINGS);
    let records = records(&study);
    assert_eq!(records.min_vocabulary.map(|oldest| oldest.to_string()).as_deref(), Some("v5.0 2025-02-27"));
    let names: Vec<&str> = records.bindings.iter().map(|binding| binding.name.as_str()).collect();
    assert_eq!(names, ["psychiatric_stay", "psychiatric_service", "local_ethnicity", "local_deprivation"]);
    let purposes: Vec<Purpose> = records.bindings.iter().map(Binding::purpose).collect();
    assert_eq!(purposes, [Purpose::Stays, Purpose::Stays, Purpose::Values, Purpose::Values]);
    let stay = &records.bindings[0];
    let default = StayRule { visits: Visits::Set(SetIndex(1)), any_of: vec![Mark::Condition(SetIndex(0))] };
    assert_eq!(stay.default.as_ref(), Some(&default));
    assert!(stay.is_default() && stay.in_force == InForce::Stays(default) && !stay.optional);
    assert_eq!(stay.may_use[1], BoundColumn::PlaceOfService);
    assert_eq!(records.unanswered(), names[1..]);
    let of_stay = Criterion { table: RecordTable::Stay(BindingIndex(0)), set: None };
    assert_eq!(
        (&records.tasks[0].cohort.entry, &records.tasks[0].outcome.any_of),
        (&vec![of_stay], &vec![of_stay])
    );
    assert_eq!(records.tasks[0].outcome.gap_days_min, 2);
    assert_eq!(records.tasks[0].cohort.require, [Rule::SeenBy(BindingIndex(1))]);
    assert_eq!(records.tasks[0].cohort.exclude, [Rule::DiedBefore, Rule::TransferWithin { days: 1 }]);
    let fields = [PersonField::Race, PersonField::Binding(BindingIndex(2))];
    assert_eq!(records.attributes[1], fields);
    let AttributeValues::Concepts(levels) = &study.attributes[1].values else { panic!("concepts") };
    assert_eq!(levels[2], (vec![], "refused".to_owned()));
    assert_eq!(study.binding_labels(BindingIndex(3)), ["1", "2", "3", "4", "5"]);
}

#[test]
fn in_plain_words() {
    let said = describe(&parsed(&OF_BINDINGS)).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Vocabulary: v5.0 2025-02-27 or later",
        "visit_occurrence, condition_occurrence, death, concept, concept_ancestor, vocabulary",
        "meets every rule here: stay of binding psychiatric_stay",
        "Only: people with any contact of binding psychiatric_service before they are asked about (at sites that leave it \
         out: everybody)",
        "Not: people with another such stay that starts within 1 day after the end of this one: a transfer",
        "any stay of binding psychiatric_stay that starts at least 2 days after the day of the index, from 1 to 30 days",
        "Subgroups by: ethnicity from person.race_concept_id and binding local_ethnicity: Asian (8515), White (8527), \
         refused, conflicting, unknown",
        "Binding psychiatric_stay: Inpatient stay under a mental-health specialty; each site's answer may use \
         visit_detail.visit_detail_concept_id, care_site.place_of_service_concept_id, provider.specialty_concept_id; without \
         an answer any visit inpatient that has a condition mental_disorder recorded with it",
        "Binding psychiatric_service: Any contact with a mental-health service; each site's answer may use",
        "leaves it out, and says so in public",
    ] {
        assert!(said.contains(part), "{part}\nin {said}");
    }
}

#[test]
fn every_key_of_a_binding_has_its_rule() {
    check(&[
        (
            "[binding.local_deprivation]",
            "[binding.\"local deprivation\"]\ndescribe = \"a\"\nmay_use = [\"observation.value_as_number\"]\n[binding.local_deprivation]",
            "binding.local deprivation",
            "letters, digits, _ and -",
        ),
        (
            "[binding.local_deprivation]",
            "[binding.other]\ndescribe = \"a\"\nmay_use = [\"observation.value_as_number\"]\n[binding.local_deprivation]",
            "binding.other",
            "one that nothing names; remove it",
        ),
        (
            "describe = \"Any contact with a mental-health service\"\n",
            "",
            "binding.psychiatric_service.describe",
            "add describe =",
        ),
        (
            "[\"visit_detail.visit",
            "[\"visit_detail.source",
            "binding.psychiatric_stay.may_use[1]",
            "provider.specialty",
        ),
        (
            "[\"observation.value_as_number\"]",
            "[\"observation.value_as_number\", \"observation.value_as_number\"]",
            "binding.local_deprivation.may_use",
            "twice",
        ),
        (
            "[\"observation.value_as_number\"]",
            "[]",
            "binding.local_deprivation.may_use",
            "columns that an answer",
        ),
        (
            "[\"observation.value_as_number\"]",
            "[\"care_site.place_of_service_concept_id\"]",
            "binding.local_deprivation.may_use",
            "columns that tell values of an attribute",
        ),
        (
            "provider.specialty_concept_id\"]",
            "observation.value_as_number\"]",
            "binding.psychiatric_stay.may_use",
            "columns that tell stays",
        ),
        (
            "visits = \"inpatient\"",
            "visits = \"inpatients\"",
            "binding.psychiatric_stay.default.visits",
            "did you mean",
        ),
        (
            "{ condition = \"mental_disorder\" }",
            "{ condition = \"mental_disorder\", role = \"primary\" }",
            "binding.psychiatric_stay.default.any_of[1].role",
            "condition_status_concept_id",
        ),
        (
            "[binding.local_ethnicity]",
            "[binding.local_ethnicity]\ndefault = { visits = \"inpatient\" }",
            "binding.local_ethnicity.default",
            "only a hospital knows",
        ),
        (
            "[binding.psychiatric_stay]",
            "[binding.psychiatric_stay]\noptional = true",
            "binding.psychiatric_stay.optional",
            "nobody can do without it",
        ),
        (
            "optional = true                      #",
            "optional = false #",
            "binding.psychiatric_service.optional",
            "a seen_by with optional = true names it",
        ),
        (
            "{ seen_by = \"psychiatric_service\", optional",
            "{ seen_by = \"psychiatric_services\", optional",
            "cohort.psych_discharge.require[1].seen_by",
            "did you mean psychiatric_service?",
        ),
        (
            "\"binding:local_ethnicity\"]",
            "\"binding:local_ethnicities\"]",
            "attribute[2].from[2]",
            "did you mean local_ethnicity?",
        ),
        (
            "\"binding:local_ethnicity\"]",
            "\"binding:local_ethnicity\", \"binding:local_ethnicity\"]",
            "attribute[2].from",
            "twice",
        ),
        (
            "\"binding:local_ethnicity\"]",
            "\"binding:local_ethnicity\", \"person.year_of_birth\"]",
            "attribute[2].from",
            "alone",
        ),
        (
            "{ label = \"1\" }",
            "{ label = \"1\", concepts = [5] }",
            "attribute[3].levels[1].concepts",
            "the site's answer",
        ),
        (
            "{ label = \"refused\" }]",
            "{ label = \"refused\" }]\nrefused = [5]",
            "attribute[2].levels",
            "twice",
        ),
    ]);
}

#[test]
fn every_key_that_names_a_binding_has_its_rule() {
    check(&[
        (
            "name = \"psychiatric_stay\" }",
            "name = \"psychiatric_stays\" }",
            "cohort.psych_discharge.entry[1].name",
            "did you mean psychiatric_stay?",
        ),
        (
            "name = \"psychiatric_stay\" }",
            "name = \"psychiatric_stay\", set = \"inpatient\" }",
            "cohort.psych_discharge.entry[1].set",
            "the binding says which visits",
        ),
        (
            "transfer_within_days = 1",
            "transfer_within_days = 366",
            "cohort.psych_discharge.exclude[2].transfer_within_days",
            "0 to 365",
        ),
        (
            "gap_days_min = 2",
            "gap_days_min = 31",
            "task[1].outcome.gap_days_min",
            "at most the first horizon, 30",
        ),
        ("gap_days_min = 2", "gap_days_min = -1", "task[1].outcome.gap_days_min", "from 0 to 36500"),
        (
            "gap_days_min = 2",
            "any_of = [{ event = \"death\" }]",
            "task[1].outcome.any_of",
            "nothing beside binding",
        ),
        (
            "{ binding = \"psychiatric_stay\"",
            "{ binding = \"psychiatric\"",
            "task[1].outcome.binding",
            "the name of a binding: psychiatric_stay",
        ),
        (
            "\"v5.0 2025-02-27\"",
            "\"2025\"",
            "data.min_vocabulary",
            "write min_vocabulary = \"v5.0 2025-02-27\"",
        ),
    ]);
}

/// Two keys that do not fit each other: one mistake, at the one of them that can be left out.
#[test]
fn keys_that_do_not_fit_each_other() {
    #[track_caller]
    fn check(from: &str, to: &str, key: &str, expected: &str) {
        let mistakes = parse(replaced(&OF_BINDINGS, from, to).as_bytes()).expect_err("a mistake");
        let [mistake] = mistakes.list() else { panic!("not one mistake for {to:?}: {mistakes}") };
        assert!(mistake.key == key && mistake.to_string().contains(expected), "{mistake}");
    }
    let transfer = "cohort.psych_discharge.exclude[2].transfer_within_days";
    check(
        "index   = \"end\"",
        "index   = \"start\"",
        transfer,
        "with index = \"end\", came index = \"start\"",
    );
    let two = "name = \"psychiatric_stay\" }, { event = \"condition\" }]";
    check("name = \"psychiatric_stay\" }]", two, transfer, "came entry events of other tables");
    let not_spared = "{ seen_by = \"psychiatric_service\" }";
    let optional = "binding.psychiatric_service.optional";
    check(
        "{ seen_by = \"psychiatric_service\", optional = true }",
        not_spared,
        optional,
        "nobody can do without it",
    );
}
