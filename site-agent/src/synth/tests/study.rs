//! The shipped studies on synthetic records find the people, the outcomes and the predictors that the truth files and the
//! plain tables have, person by person.

use super::*;
use crate::data::{Loaded, SplitKey, load_strict};
use consilium_common::examples::Examples;
use consilium_common::key::SecretKey;
use consilium_common::study::{self, Holdout, RosterSite, Study, Validation};

pub(super) const PSYCHOSIS: &str = include_str!("../../../../docs/studies/synthetic-psychosis.toml");
const MENTAL_HEALTH: &str = include_str!("../../../../docs/studies/synthetic-mental-health.toml");
pub(super) const READMISSION: &str = include_str!("../../../../docs/studies/synthetic-readmission.toml");
const TRAINING_SHARE: f64 = 0.7;

pub(super) fn filled(template: &str, sites: &[PlannedSite]) -> Study {
    let site = |site: &PlannedSite| RosterSite {
        name: site.profile.name.parse().expect("a name"),
        key: SecretKey::from_seed(&[u8::try_from(site.ordinal).expect("few") + 1; 32]).public(),
        people_public: site.people,
        weight: 65_536,
    };
    let roster: Vec<RosterSite> = sites.iter().map(site).collect();
    let filled = study::fill_shipped(template, &roster, None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    study::parse(filled.text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

pub(super) fn key() -> SplitKey {
    SplitKey::from_bytes([8; 32])
}

/// Training people and evaluation people, in the order of their ids, which is that of examples.
fn by_role<'a>(people: impl Iterator<Item = &'a Row>) -> [Vec<&'a Row>; 2] {
    let key = key();
    let (training, evaluation) =
        people.partition(|row| key.pseudonym(&row["person_id"]).trains(TRAINING_SHARE));
    [training, evaluation]
}

fn extracted(folder: &Path, study: &Study) -> [Examples; 2] {
    let Loaded { training, evaluation, .. } =
        load_strict(&folder.join("omop"), study, &key()).unwrap_or_else(|error| panic!("{error}"));
    [training, evaluation]
}

/// An input, and what it should be by what the table says; none where it is not recorded.
type Input = (&'static str, fn(&Row) -> Option<f32>);

fn scaled(row: &Row, column: &str, low: f32, high: f32) -> Option<f32> {
    let value: f32 = row[column].parse().ok()?;
    Some(((value - (low + high) / 2.0) / ((high - low) / 2.0)).clamp(-1.0, 1.0))
}

fn flag(row: &Row, column: &str, word: &str) -> Option<f32> {
    Some(f32::from(u8::from(row[column] == word)))
}

#[track_caller]
fn check(
    examples: &Examples,
    people: &[&Row],
    tables: &HashMap<&str, &Row>,
    study: &Study,
    inputs: &[Input],
) {
    let names = study.input_names();
    assert_eq!(examples.people(), people.len(), "{}", study.id);
    for (person, truth) in people.iter().enumerate() {
        let row = tables[truth["person_id"].as_str()];
        let example = examples.row(examples.rows_of(person).start);
        for (name, expected) in inputs {
            let at = names.iter().position(|input| input == name).expect("an input");
            let expected = expected(row).unwrap_or(0.0);
            assert!((example[at] - expected).abs() < 1e-5, "{name}: {}, table {expected}", example[at]);
        }
    }
}

#[test]
fn the_psychosis_study_finds_the_truth() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&SynthArgs { no_notes: true, ..args(&out, 6, 3000, 11) }).expect("writes");
    let sites = plan(6, 3000).expect("within bounds");
    let mut study = filled(PSYCHOSIS, &sites);
    // The truth knows nobody who is left out.
    assert!(study.split.holdout.take().is_some());
    let inputs: [Input; 7] = [
        ("phq9", |row| scaled(row, "phq9", 0.0, 27.0)),
        ("bmi", |row| scaled(row, "bmi", 10.0, 70.0)),
        ("deprivation_quintile", |row| scaled(row, "deprivation_quintile", 1.0, 5.0)),
        ("psychosis_ever", |row| flag(row, "diagnosis", "psychosis")),
        ("alcohol_misuse_ever", |row| flag(row, "alcohol_misuse", "1")),
        ("antidepressants_long", |row| flag(row, "antidepressant", "1")),
        ("antipsychotics_long", |row| flag(row, "antipsychotic", "1")),
    ];
    let mut with = 0;
    for site in &sites {
        let folder = out.join(site.profile.name);
        let (table, truth) = (read(&folder.join("table.csv")), read(&folder.join("truth.csv")));
        let tables: HashMap<&str, &Row> = table.iter().map(|row| (row["person_id"].as_str(), row)).collect();
        let people = by_role(truth.iter().filter(|row| row["first_episode"] == "1"));
        for (examples, people) in extracted(&folder, &study).iter().zip(&people) {
            check(examples, people, &tables, &study, &inputs);
            for (person, truth) in people.iter().enumerate() {
                let label = examples.label(examples.rows_of(person).start);
                let outcome = tables[truth["person_id"].as_str()]["self_harm_365d"] == "1";
                assert_eq!(label > 0.5, outcome, "{}", site.profile.name);
                with += u64::from(outcome);
            }
        }
    }
    assert!(with > 80, "{with} with the outcome");
}

#[test]
fn the_readmission_study_finds_the_truth() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&SynthArgs { no_notes: true, form: Form::Parquet, ..args(&out, 6, 3000, 12) }).expect("writes");
    let sites = plan(6, 3000).expect("within bounds");
    let study = filled(READMISSION, &sites);
    let inputs: [Input; 5] = [
        ("alcohol_misuse_ever", |row| flag(row, "alcohol_misuse", "1")),
        ("bipolar_ever", |row| flag(row, "diagnosis", "bipolar")),
        ("psychosis_ever", |row| flag(row, "diagnosis", "psychosis")),
        ("deprivation_quintile", |row| scaled(row, "deprivation_quintile", 1.0, 5.0)),
        ("inpatient_ever", |row| {
            // The stay itself is one more.
            let stays = 1.0 + row["prior_admissions"].parse::<f32>().expect("a number");
            Some((1.0 + stays.min(20.0)).ln() / 21.0_f32.ln())
        }),
    ];
    let mut with = 0;
    for site in &sites {
        let folder = out.join(site.profile.name);
        let (table, truth) = (read(&folder.join("table.csv")), read(&folder.join("truth.csv")));
        let tables: HashMap<&str, &Row> = table.iter().map(|row| (row["person_id"].as_str(), row)).collect();
        let people = by_role(truth.iter().filter(|row| !row["psychiatric_discharge"].is_empty()));
        for (examples, people) in extracted(&folder, &study).iter().zip(&people) {
            check(examples, people, &tables, &study, &inputs);
            for (person, truth) in people.iter().enumerate() {
                let label = examples.label(examples.rows_of(person).start);
                assert_eq!(label > 0.5, truth["readmitted_30d"] == "1", "{}", site.profile.name);
                with += u64::from(label > 0.5);
            }
        }
    }
    assert!(with > 80, "{with} with the outcome");
}

/// Two tasks at two horizons, of one pass over the records: by the default of its binding at hospitals that write a psychiatric
/// stay in the visit, in its detail, or as any stay.
#[test]
fn the_mental_health_study_finds_both_truths() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&SynthArgs { no_notes: true, form: Form::Parquet, ..args(&out, 6, 3000, 13) }).expect("writes");
    let sites = plan(6, 3000).expect("within bounds");
    // The truth counts whoever comes back from the next day on; the study takes such a stay for the same one.
    let template = MENTAL_HEALTH.replacen(", { transfer_within_days = 1 }", "", 1);
    let template = template.replacen("gap_days_min = 2", "gap_days_min = 1", 1);
    assert_ne!(template, MENTAL_HEALTH);
    let study = filled(&template, &sites);
    let mut held = study.clone();
    let reported = Validation::ALL.to_vec();
    held.split.holdout = Some(Holdout { from: jiff::civil::date(2023, 10, 1), reported });
    let names: Vec<String> = study.predicted().into_iter().map(|predicted| predicted.name).collect();
    assert_eq!(names, ["self_harm.30d", "self_harm.365d", "readmission.30d", "readmission.365d"]);
    let mut with = [0_u64; 4];
    let mut of_both = 0;
    let mut held_out = [0_u64; 2];
    for site in &sites {
        let folder = out.join(site.profile.name);
        let (table, truth) = (read(&folder.join("table.csv")), read(&folder.join("truth.csv")));
        let tables: HashMap<&str, &Row> = table.iter().map(|row| (row["person_id"].as_str(), row)).collect();
        for (counted, found) in held_out.iter_mut().zip(discharges_held_out(&folder, &held, &truth)) {
            *counted += found;
        }
        let left_in_2023 = |row: &Row| row["psychiatric_discharge"].starts_with("2023-");
        let people = by_role(truth.iter().filter(|row| row["first_episode"] == "1" || left_in_2023(row)));
        for (examples, people) in extracted(&folder, &study).iter().zip(&people) {
            assert_eq!(examples.people(), people.len(), "{}", site.profile.name);
            for (person, truth) in people.iter().enumerate() {
                let label = |output: u8| {
                    let mut rows = examples.rows_of(person).filter(|row| examples.output(*row) == output);
                    rows.next().map(|row| examples.label(row) > 0.5)
                };
                (0_u8..)
                    .zip(&mut with)
                    .for_each(|(output, with)| *with += u64::from(label(output) == Some(true)));
                let first = truth["first_episode"] == "1";
                let harmed = tables[truth["person_id"].as_str()]["self_harm_365d"] == "1";
                assert_eq!(label(1), first.then_some(harmed), "{}", site.profile.name);
                let came_back = truth["readmitted_30d"] == "1";
                assert_eq!(label(2), left_in_2023(truth).then_some(came_back), "{}", site.profile.name);
                // Within a month is within a year.
                assert!(label(0) != Some(true) || harmed, "{}", site.profile.name);
                assert!(!came_back || label(2).is_none() || label(3) == Some(true), "{}", site.profile.name);
                of_both += u64::from(label(1).is_some() && label(2).is_some());
            }
        }
    }
    assert!(with[0] > 5 && with[0] < with[1] && with[2] > 40 && with[2] <= with[3], "{with:?}");
    assert!(of_both > 200, "{of_both} people are examples of both tasks");
    assert!(held_out[0] > 60 && held_out[1] > 30, "{held_out:?} of training and evaluation people");
}

/// Holds examples of readmission against the day of the discharge: no training person's from the holdout on is there, and
/// every evaluation person's is marked by it. How many were held out of each role.
#[track_caller]
fn discharges_held_out(folder: &Path, held: &Study, truth: &[Row]) -> [u64; 2] {
    let from = held.split.holdout.as_ref().expect("held out").from.to_string();
    let discharged = |row: &&Row| row["psychiatric_discharge"].starts_with("2023-");
    // Days in this form sort as they follow each other.
    let is_later = |row: &Row| row["psychiatric_discharge"].as_str() >= from.as_str();
    let [training, evaluation] = by_role(truth.iter().filter(discharged));
    let later: Vec<bool> = evaluation.iter().map(|row| is_later(row)).collect();
    let found = extracted(folder, held);
    let marks = |examples: &Examples| -> Vec<bool> {
        examples.rows_for(2).map(|row| held.place_of(examples.groups_of(row)) == 1).collect()
    };
    let trained = training.iter().filter(|row| !is_later(row)).count();
    assert_eq!(marks(&found[0]), vec![false; trained], "training people's from before the holdout");
    assert_eq!(marks(&found[1]), later, "evaluation people's, all of them");
    [training.len() - trained, later.iter().filter(|later| **later).count()].map(|count| count as u64)
}
