//! Real people, read where they lie: death in hospital after the first day of the first stay in intensive care, over the
//! 22 networks of the eICU demo. The figures are those of a second program, `tests/vectors/eicu_cohort.py`.

use super::super::*;
use super::hand::{member, of, of_study, records, study};
use crate::data::SplitKey;
use crate::data::omop::Reading;
use crate::data::omop::tests::hospital::Text;
use crate::testing::shared;
use consilium_common::study::records::*;
use consilium_common::study::{Encoding, Study};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A folder for each network; none where the data set is not there, and the test says that it is skipped.
pub(super) fn networks() -> Vec<PathBuf> {
    let Some(root) = shared::data_set("eicu-omop") else { return vec![] };
    let entries = fs::read_dir(root).expect("reads").map(|entry| entry.expect("reads").path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert_eq!(folders.len(), 22);
    folders
}

pub(super) fn death_in_hospital() -> Study {
    let mut records = records();
    let set = |name: &str, id, concept: &str| ConceptSet {
        name: name.to_owned(),
        include: vec![member(id, concept)],
        exclude: vec![],
        source: None,
    };
    records.sets = vec![
        set("intensive", 32_037, "Intensive Care"),
        set("pulse", 3_027_018, "Heart rate"),
        set("temperature", 3_020_891, "Body temperature"),
        set("eyes", 3_016_335, "Glasgow coma score eye opening"),
    ];
    records.accrual = (jiff::civil::date(2014, 1, 1), jiff::civil::date(2015, 12, 31));
    records.tasks[0].cohort.entry = vec![of(RecordTable::VisitDetail, Some(SetIndex(0)))];
    records.tasks[0].cohort.predict_after_hours = 24;
    records.tasks[0].cohort.require = vec![Rule::Age { min: 18, max: 120 }];
    records.tasks[0].outcome.any_of = vec![of(RecordTable::Death, None)];
    records.tasks[0].outcome.at_risk = AtRisk::Stay;
    let first_day = |set: usize, take, unit: &str| Covariate::Measured {
        events: of(RecordTable::Measurement, Some(SetIndex(set))),
        window: Window::Hours { from: 0, to: 24 },
        take,
        units: vec![unit.to_owned()],
        unit_missing: false,
        plausible: None,
    };
    let pulse = first_day(1, Take::Worst, "/min");
    records.covariates = vec![
        Covariate::Age,
        pulse.clone(),
        pulse,
        first_day(2, Take::Min, "Cel"),
        first_day(3, Take::Min, "{score}"),
    ];
    let encodings = [
        Encoding::Number { low: 18.0, high: 90.0 },
        Encoding::Number { low: 20.0, high: 200.0 },
        Encoding::Distance { range: (20.0, 200.0), normal: (60.0, 100.0) },
        Encoding::Number { low: 32.0, high: 42.0 },
        Encoding::Number { low: 1.0, high: 4.0 },
    ];
    study(records, &encodings)
}

fn read(folder: &Path, study: &Study) -> Extracted {
    let key = SplitKey::from_bytes([5; 32]);
    match extract(
        &open(folder).expect("opens"),
        study,
        of_study(study),
        &key,
        &Reading { threads: 2, ..Reading::default() },
    ) {
        Ok(extracted) => extracted,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn eicu_networks() {
    let study = death_in_hospital();
    let mut steps: Vec<(String, u64)> = Vec::new();
    let mut left_out = 0;
    for folder in networks() {
        let mut report = read(&folder, &study).report;
        let of_death = report.predictions.remove(0);
        for (at, (step, people)) in of_death.attrition.0.into_iter().enumerate() {
            match steps.get_mut(at) {
                Some((_, sum)) => *sum += people,
                None => steps.push((step, people)),
            }
        }
        left_out +=
            report.features.iter().map(|(_, _, values)| values.other_unit + values.no_unit).sum::<u64>();
    }
    if steps.is_empty() {
        return;
    }
    // Of all hospitalisations, which the data set's own note counts, a person's first one alone; and nobody who is dead
    // or gone after the first day.
    let counts: Vec<u64> = steps.iter().map(|(_, people)| *people).collect();
    assert_eq!(counts, [1414, 1414, 1414, 1412, 1406, 1240, 1239, 89], "{steps:?}");
    assert_eq!(left_out, 0, "every unit is known by its text");
}

#[test]
fn eicu_as_parquet() {
    let study = death_in_hospital();
    for folder in networks().into_iter().take(1) {
        let parquet = tempfile::tempdir().expect("folder");
        for entry in fs::read_dir(&folder).expect("reads") {
            let path = entry.expect("reads").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            let (table, _) = name.split_once('.').expect("an ending");
            if table == "concept" {
                fs::copy(&path, parquet.path().join(name)).expect("copied");
                continue;
            }
            let mut text = String::new();
            let file = fs::File::open(&path).expect("reads");
            if name.ends_with("gz") {
                flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("reads");
            } else {
                fs::read_to_string(&path).map(|all| text = all).expect("reads");
            }
            let name =
                ["person", "observation_period", "visit_occurrence", "visit_detail", "measurement", "death"]
                    .into_iter()
                    .find(|name| *name == table);
            if let Some(name) = name {
                typed(name, &text).write_parquet(&parquet.path().join(format!("{name}.parquet")), 1000);
            }
        }
        let (csv, parquet) = (read(&folder, &study).loaded, read(parquet.path(), &study).loaded);
        assert!(csv.training.people() + csv.evaluation.people() > 50);
        assert!(csv.training == parquet.training && csv.evaluation == parquet.evaluation);
    }
}

/// The columns that have a type in the data model.
fn typed(name: &'static str, text: &str) -> Text {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    let wanted: Vec<usize> = (0..header.len())
        .filter(|at| {
            let ends = ["_id", "_date", "_datetime", "_of_birth", "unit_source_value", "value_as_number"];
            ends.iter().any(|end| header[*at].ends_with(end))
        })
        .collect();
    let pick = |cells: &dyn Fn(usize) -> String| wanted.iter().map(|at| cells(*at)).collect();
    Text {
        name,
        header: pick(&|at| header[at].clone()),
        rows: rows.iter().map(|row| pick(&|at| row[at].to_owned())).collect(),
    }
}
