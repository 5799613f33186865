//! Sites write as their habits say, and the second risk model is worth learning.

use super::*;
use std::collections::BTreeSet;

/// Of the rows for which `of` says so the share for which `is` does.
fn share(rows: &[Row], of: impl Fn(&Row) -> bool, is: impl Fn(&Row) -> bool) -> f64 {
    let of: Vec<&Row> = rows.iter().filter(|row| of(row)).collect();
    assert!(of.len() > 50, "{} rows are few", of.len());
    of.iter().filter(|row| is(row)).count() as f64 / of.len() as f64
}

#[track_caller]
fn near(site: &str, found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{site}: {found}, expected {expected}");
}

#[test]
fn sites_write_as_their_habits_say() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&SynthArgs { no_notes: true, ..args(&out, 6, 9000, 3) }).expect("writes");
    for site in plan(6, 9000).expect("within bounds") {
        let (name, coding) = (site.profile.name, &site.coding);
        let table = |table: &str| read(&out.join(name).join(format!("omop/{table}.csv")));
        let concept = |place: u64| (2_000_000_000 + place).to_string();

        let drugs = table("DRUG_EXPOSURE");
        let is_product = |row: &Row| row["drug_concept_id"].as_str() >= concept(3000).as_str();
        near(name, share(&drugs, |_| true, is_product), coding.products, 0.06);

        let measurements = table("MEASUREMENT");
        let unitless = |row: &Row| row["unit_concept_id"].is_empty() && row["unit_source_value"].is_empty();
        near(name, share(&measurements, |_| true, unitless), coding.unit_missing, 0.03);
        let timed = share(&measurements, |_| true, |row| !row["measurement_datetime"].is_empty());
        assert_eq!(timed > 0.9, coding.times, "{name}");
        let as_text = measurements.iter().any(|row| !row["unit_source_value"].is_empty());
        assert_eq!(as_text, coding.units == coding::UnitColumn::Text, "{name}");
        let is_bmi = |row: &Row| row["measurement_concept_id"] == concept(510);
        let wrong = |row: &Row| {
            let of_weight = coding.weight.concept.to_string();
            row["unit_concept_id"] == of_weight || row["unit_source_value"] == coding.weight.code
        };
        near(name, share(&measurements, is_bmi, wrong), coding.unit_wrong, 0.02);
        let weights: Vec<f64> = measurements
            .iter()
            .filter(|row| row["measurement_concept_id"] == concept(511))
            .map(|row| row["value_as_number"].parse().expect("a number"))
            .collect();
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        assert_eq!(mean > 130.0, coding.weight == vocabulary::POUND, "{name}: {mean}");

        let conditions = table("CONDITION_OCCURRENCE");
        let own = share(&conditions, |_| true, |row| !row["condition_source_value"].is_empty());
        assert_eq!(own > 0.5, coding.own_codes, "{name}");
        let in_detail = !table("VISIT_DETAIL").is_empty();
        assert_eq!(in_detail, coding.stays == coding::StayColumn::Detail, "{name}");
        let visits = table("VISIT_OCCURRENCE");
        let psychiatric = visits.iter().any(|row| row["visit_concept_id"] == concept(411));
        assert_ne!(psychiatric, in_detail, "{name}: one or the other");

        let people = table("PERSON");
        let groups: BTreeSet<String> = (621..=625).map(concept).collect();
        let known = |row: &Row, column: &str| groups.contains(&row[column]);
        let columns = ["race_concept_id", "ethnicity_concept_id"];
        let conflict = match site.profile.habits.ethnicity_column {
            person::EthnicityColumn::Observation => {
                share(&people, |_| true, |row| known(row, columns[0])) / site.profile.habits.ethnicity
            }
            _ => share(
                &people,
                |row| columns.iter().any(|column| known(row, column)),
                |row| {
                    let both = columns.iter().all(|column| known(row, column));
                    assert!(!both || row[columns[0]] != row[columns[1]], "a conflict is one");
                    both
                },
            ),
        };
        near(name, conflict, coding.ethnicity_conflict, 0.04);
    }
}

#[test]
fn finer_concepts_are_right_below() {
    let home = tempfile::tempdir().expect("a folder");
    vocabulary::write(&Folders::create(home.path(), Form::Csv).expect("made")).expect("writes");
    let pairs: BTreeSet<[String; 3]> = read(&home.path().join("omop/CONCEPT_ANCESTOR.csv"))
        .into_iter()
        .map(|row| {
            ["ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"]
                .map(|column| row[column].clone())
        })
        .collect();
    let kinds = [
        person::Diagnosis::Depression,
        person::Diagnosis::Psychosis,
        person::Diagnosis::Bipolar,
        person::Diagnosis::Other,
    ];
    let disorders = kinds.into_iter().flat_map(|kind| vocabulary::disorder(kind).into_iter().skip(1));
    let all = disorders
        .chain(vocabulary::SELF_HARM_CONDITIONS)
        .chain(vocabulary::SELF_HARM_OBSERVATIONS)
        .chain(vocabulary::ANTIDEPRESSANTS)
        .chain(vocabulary::ANTIPSYCHOTICS)
        .chain([vocabulary::OTHER_MEDICINE]);
    for concept in all {
        for finer in vocabulary::finer(concept) {
            let pair = [concept.to_string(), finer.to_string(), "1".to_owned()];
            assert!(pairs.contains(&pair), "{pair:?}");
        }
    }
}

#[test]
fn readmission_can_be_learned() {
    let home = tempfile::tempdir().expect("a folder");
    for seed in [1, 2, 3] {
        let out = home.path().join(seed.to_string());
        let summary = run(&SynthArgs { no_notes: true, ..args(&out, 6, 9000, seed) }).expect("writes");
        let readmission = summary.readmission.expect("discharges");
        assert!((0.10..=0.30).contains(&readmission.prevalence), "{readmission:?}");
        near("all", readmission.mean_true_risk, readmission.prevalence, 0.03);
        let auroc = readmission.auroc_true_risk.expect("both outcomes");
        assert!((0.66..=0.80).contains(&auroc), "{readmission:?}");
        let share = readmission.people as f64 / 9000.0;
        assert!((0.2..=0.6).contains(&share), "{share} are discharged");
    }
}
