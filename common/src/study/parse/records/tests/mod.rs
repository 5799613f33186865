mod bindings;
mod holdout;
mod inputs;
mod notes;
mod tasks;
mod who;

use crate::study::parse;
use crate::study::parse::tests::{EXAMPLE, parsed};
use crate::study::records::{
    Anchor, AtRisk, ConceptRef, Covariate, Criterion, DateOnly, Death, Limit, PersonField, PriorOutcome,
    RecordTable, Records, Rule, SetIndex, ShortFollowUp, Take, Window,
};
use crate::study::{AttributeValues, Data, Encoding, Study};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Every key of a study on records once; `docs/STUDY-FILE.md` prints it.
pub(in crate::study) const RECORDS: &str = include_str!("../../../testdata/records.toml");

/// The full example with records in place of its table.
pub(in crate::study) static OF_RECORDS: LazyLock<String> = LazyLock::new(|| {
    let part = |from: &str, to: &str| {
        let (from, to) = (EXAMPLE.find(from), EXAMPLE.find(to));
        &EXAMPLE[from.expect("is in the text")..to.expect("is in the text")]
    };
    let before = part("# A study", "[data]");
    let between = part("[missing]", "[[attribute]]");
    let after = &EXAMPLE[EXAMPLE.find("[subgroups]").expect("is in the text")..];
    format!("{before}{RECORDS}\n{between}{after}")
});

/// The same with bindings; the guide prints what is of them.
pub(in crate::study) static OF_BINDINGS: LazyLock<String> =
    LazyLock::new(|| OF_RECORDS.replacen(RECORDS, include_str!("../../../testdata/bindings.toml"), 1));

fn records(study: &Study) -> &Records {
    let Data::Records(records) = &study.data else { panic!("a study on records") };
    records
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is in the text");
    text.replacen(from, to, 1)
}

const fn events(table: RecordTable, set: usize) -> Criterion {
    Criterion { table, set: Some(SetIndex(set)) }
}

const LONG: Window = Window::Days { from: -365, to: 0 };

#[test]
fn the_example_says_what_it_says() {
    let study = parsed(&OF_RECORDS);
    let records = records(&study);
    assert_eq!(records.formats, ["omop-cdm-5.4", "omop-cdm-5.3"]);
    assert_eq!(records.accrual.0.to_string(), "2015-01-01");
    assert_eq!(records.followup_to.to_string(), "2026-06-30");
    assert_eq!(records.date_only, DateOnly::End);
    let names: Vec<&str> = records.sets.iter().map(|set| set.name.as_str()).collect();
    let expected = [
        "psychosis",
        "depression",
        "self_harm",
        "suicide_attempt",
        "inpatient",
        "antipsychotics",
        "Heart rate (3027018)",
        "LOINC:39156-5",
        "Body mass index (BMI) [Ratio] (3038553)",
    ];
    assert_eq!(names, expected, "in file order, then those within other tables");
    assert_eq!((records.sets[2].include.len(), records.sets[2].exclude.len()), (2, 1));
    assert!(records.sets[2].source.as_deref().is_some_and(|source| source.starts_with("OHDSI")));
    let atc = ConceptRef::Code { vocabulary: "ATC".to_owned(), code: "N05A".to_owned() };
    assert_eq!(records.sets[5].include[0].concept, atc);
    assert!(records.sets[5].include[0].descendants && !records.sets[6].include[0].descendants);
    let cohort = &records.tasks[0].cohort;
    assert_eq!(cohort.name, "first_episode");
    assert_eq!(cohort.entry, [events(RecordTable::Condition, 0), events(RecordTable::Condition, 1)]);
    assert_eq!((cohort.limit, cohort.index), (Limit::FirstEver, Anchor::Start));
    assert_eq!((cohort.predict_after_hours, cohort.prior_observation_days), (24, 365));
    let inpatient = Rule::Has { events: events(RecordTable::Visit, 4), window: LONG, count_min: 1 };
    assert_eq!(cohort.require, [Rule::Age { min: 18, max: 65 }, inpatient]);
    assert_eq!(cohort.exclude, [Rule::DiedBefore]);
    let outcome = &records.tasks[0].outcome;
    assert_eq!(outcome.any_of, [events(RecordTable::Condition, 2), events(RecordTable::Observation, 3)]);
    assert_eq!(outcome.at_risk, AtRisk::Days { from: 1, to: vec![365] });
    assert_eq!((outcome.prior, outcome.death), (PriorOutcome::Keep, Death::Competing));
    assert_eq!(outcome.short_follow_up, ShortFollowUp::KeepIfOutcome);
    assert_eq!(study.tasks[0].name, "self_harm");
    let fields = [
        vec![PersonField::Gender],
        vec![PersonField::Race, PersonField::Ethnicity],
        vec![PersonField::YearOfBirth],
    ];
    assert_eq!(records.attributes, fields);
    let labels = study.attributes[1].values.labels();
    assert_eq!(labels, ["Asian", "Black", "White", "refused", "not asked", "conflicting", "unknown"]);
    assert_eq!(study.attributes[2].values, AttributeValues::Bands(vec![18.0, 40.0, 60.0, 91.0]));
}

#[test]
fn features_stand_in_the_languages_order() {
    let study = parsed(&OF_RECORDS);
    let records = records(&study);
    let names: Vec<&str> = study.features.iter().map(|feature| feature.name.as_str()).collect();
    let expected = [
        "age",
        "sex",
        "psychosis_short",
        "psychosis_long",
        "self_harm_short",
        "self_harm_long",
        "antipsychotics_long",
        "suicide_attempt_long",
        "inpatient_long",
        "heart_rate",
        "heart_rate_distance",
        "bmi",
        "bmi_times",
    ];
    assert_eq!(names, expected);
    assert_eq!(records.covariates.len(), expected.len());
    assert_eq!(study.architecture().inputs, 17, "and whether age, sex, heart rate and BMI are recorded");
    let short = Window::Days { from: -30, to: 0 };
    let present = Covariate::Present { events: events(RecordTable::Condition, 0), window: short };
    assert_eq!((&records.covariates[2], &study.features[2].encoding), (&present, &Encoding::Flag));
    assert_eq!(records.covariates[1], Covariate::Sex { levels: vec![vec![8532], vec![8507]] });
    let count = Covariate::Count { events: events(RecordTable::Visit, 4), window: LONG };
    assert_eq!((&records.covariates[8], &study.features[8].encoding), (&count, &Encoding::Count { cap: 50 }));
    let heart_rate = Covariate::Measured {
        events: events(RecordTable::Measurement, 6),
        window: Window::Hours { from: 0, to: 24 },
        take: Take::Worst,
        units: vec!["/min".to_owned()],
        unit_missing: false,
        plausible: Some((0.0, 350.0)),
    };
    assert_eq!(records.covariates[9..11], [heart_rate.clone(), heart_rate]);
    assert_eq!(study.features[9].unit.as_deref(), Some("/min"));
    let distance = Encoding::Distance { range: (20.0, 220.0), normal: (60.0, 100.0) };
    assert_eq!(study.features[10].encoding, distance);
    let Covariate::Measured { events, window, units, .. } = &records.covariates[11] else {
        panic!("a measurement")
    };
    assert_eq!((events.table, *window), (RecordTable::Observation, Window::Days { from: -180, to: 0 }));
    assert_eq!(units.len(), 2);
    let Covariate::Count { events, window } = &records.covariates[12] else { panic!("a count") };
    assert_eq!((events.table, *window), (RecordTable::Measurement, LONG));
    assert_eq!(
        (&study.features[12].encoding, &study.features[12].unit),
        (&Encoding::Count { cap: 20 }, &None)
    );
}

#[test]
fn other_spellings() {
    let with = |edits: &[(&str, &str)]| {
        let text = edits.iter().fold(OF_RECORDS.clone(), |text, (from, to)| replaced(&text, from, to));
        records(&parsed(&text)).clone()
    };
    // Until the end of the stay, without days.
    let stay = with(&[
        (
            "\"suicide_attempt\" }] }\nhorizons_days          = [365] ",
            "\"suicide_attempt\" }], until = \"stay-end\" }\n",
        ),
        ("time_at_risk_start_day = 1 ", ""),
    ]);
    assert_eq!(stay.tasks[0].outcome.at_risk, AtRisk::Stay);
    // Deaths have no set, and other events need none.
    let death = with(&[("{ event = \"observation\", set = \"suicide_attempt\" }", "{ event = \"death\" }")]);
    assert_eq!(death.tasks[0].outcome.any_of[1], Criterion { table: RecordTable::Death, set: None });
    let any = with(&[("event = \"visit\", set = \"inpatient\", ", "event = \"visit\", ")]);
    let Rule::Has { events, .. } = &any.tasks[0].cohort.require[1] else { panic!("a rule on events") };
    assert_eq!(events.set, None);
    let there = with(&[
        ("require = [", "require = [{ still_there = true },"),
        ("predict_after_hours    = 24 ", "predict_after_hours = 8760 "),
    ]);
    assert_eq!(
        (&there.tasks[0].cohort.require[0], there.tasks[0].cohort.predict_after_hours),
        (&Rule::StillThere, 8760)
    );
    // The same concept twice is one set, and one name.
    let twice = with(&[("code   = \"LOINC:39156-5\"", "id = 3027018\nconcept_name = \"Heart rate\"")]);
    assert_eq!(twice.sets.len(), 8);
    let meds = with(&[("[\"omop-cdm-5.4\", \"omop-cdm-5.3\"]", "[\"meds-0.4\"]")]);
    assert_eq!(meds.formats, ["meds-0.4"]);
    let default = with(&[
        ("unit_missing = \"drop\"", ""),
        (
            "{ id = 9201, name = \"Inpatient Visit\", descendants = true }",
            "{ id = 9201, name = \"Inpatient Visit\" }",
        ),
        ("code_system    = \"standard\"", ""),
    ]);
    assert!(!default.sets[4].include[0].descendants);
    // A number without an asserted normal range has no distance.
    let largest = with(&[("\"worst\" ", "\"max\" "), ("normal       = [60, 100] ", "")]);
    assert_eq!(largest.covariates.len(), 12);
}

/// One slip in the example must give one mistake, at the line of `from`, with that key and message; what is wrong with
/// that, if anything.
fn fault(slip: (&str, &str, &str, &str)) -> Option<String> {
    fault_of(&OF_RECORDS, slip)
}

fn fault_of(example: &str, (from, to, key, expected): (&str, &str, &str, &str)) -> Option<String> {
    let text = replaced(example, from, to);
    let Err(mistakes) = parse(text.as_bytes()) else { return Some(format!("{to:?} was let through")) };
    let [mistake] = mistakes.list() else { return Some(format!("not one mistake for {to:?}: {mistakes}")) };
    let line = 1 + example[..example.find(from)?].matches('\n').count();
    let placed = ["nothing", "neither"].contains(&mistake.found.as_str())
        || (line..=line + to.matches('\n').count()).contains(&mistake.line);
    let told = mistake.key == key && mistake.to_string().contains(expected) && !mistake.instead.is_empty();
    (!placed || !told).then(|| format!("for {to:?}, at {line}: {mistake}"))
}

#[track_caller]
fn check(table: &[(&str, &str, &str, &str)]) {
    let faults: Vec<String> = table.iter().copied().filter_map(fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What a file is taken for: by its format, and where that is wrong, by what it has.
#[test]
fn tables_and_records_are_told_apart() {
    fn check(text: &str, key: &str, expected: &str) {
        let mistakes = parse(text.as_bytes()).expect_err("a mistake");
        let said = mistakes.list().iter().any(|m| m.key == key && m.to_string().contains(expected));
        assert!(said, "{key}: {expected} in\n{mistakes}");
    }
    let format = "[\"omop-cdm-5.4\", \"omop-cdm-5.3\"]";
    check(&replaced(&OF_RECORDS, format, "[\"parquet\"]"), "data.format[1]", "omop-cdm-5.3");
    check(&replaced(&OF_RECORDS, format, "[\"table\"]"), "cohort", "no such key");
    check(&replaced(EXAMPLE, "[\"table\"] ", "[\"parquet\"] "), "data.format[1]", "omop-cdm-5.4");
    check(&replaced(EXAMPLE, "[\"table\"] ", "[\"omop-cdm-5.4\"] "), "cohort", "a table [cohort.NAME]");
    check(&replaced(EXAMPLE, "[\"table\"] ", "[\"omop-cdm-5.4\"] "), "data.person_id", "no such key");
}

#[test]
fn all_mistakes_at_once() {
    let edits = [
        ("\"end-of-day\" ", "\"noon\" "),
        ("id = 436073", "id = -1"),
        ("set = \"psychosis\" }, {", "set = \"psychoses\" }, {"),
        ("\"first-ever\" ", "\"last\" "),
        ("horizons_days          = [365]", "horizons_days = [365, 30]"),
        ("short = [-30, 0]", "short = [0, -30]"),
        ("encode = \"binary\" }\ndrugs", "encode = \"one-hot\" }\ndrugs"),
        ("unit         = \"/min\"", "unit = 5"),
        ("keep_unknown = true", "keep_unknown = false"),
        ("\"local\"  ", "\"central\"  "),
    ];
    let text = edits.iter().fold(OF_RECORDS.clone(), |text, (from, to)| replaced(&text, from, to));
    let mistakes = parse(text.as_bytes()).expect_err("mistakes");
    let keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    let expected = [
        "data.date_only_rule",
        "concept_set.psychosis.include[1].id",
        "cohort.first_episode.entry[1].set",
        "cohort.first_episode.limit",
        "task[1].horizons_days",
        "features.windows.short",
        "features.conditions.encode",
        "features.measurement[1].unit",
        "attribute[2].keep_unknown",
        "privacy.mode",
    ];
    assert_eq!(keys, expected, "{mistakes}");
}

#[test]
fn the_guide_prints_the_example() {
    let guide = include_str!("../../../../../../docs/STUDY-FILE.md");
    let start =
        guide.find("```toml\n[data]\nformat         = [\"omop").expect("the example") + "```toml\n".len();
    let length = guide[start..].find("```").expect("its end");
    assert_eq!(&guide[start..start + length], RECORDS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every value of the example replaced by any other kind of value.
    #[test]
    fn values_of_other_kinds_never_panic(line in any::<prop::sample::Index>(), value in prop::sample::select(vec![
        "1", "-1", "0", "1e308", "nan", "\"\"", "\"x\"", "true", "[]", "[[]]", "{}", "{ a = 1 }", "[\"-1h\", \"0h\"]",
        "2027-02-28", "9223372036854775807", "99999999999999999999999", "[1, \"a\", {}]", "[{ id = 1, name = \"a\" }]",
    ])) {
        let lines: Vec<&str> = OF_RECORDS.lines().collect();
        let valued: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].contains(" = ")).collect();
        let at = valued[line.index(valued.len())];
        let key = lines[at].split('=').next().unwrap();
        let text: String = lines.iter().enumerate().map(|(i, line)| {
            if i == at { format!("{key}= {value}\n") } else { format!("{line}\n") }
        }).collect();
        let _ = parse(text.as_bytes());
    }
}
