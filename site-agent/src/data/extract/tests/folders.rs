//! Whole folders: what is refused, what is counted, and that a person's example is that person's alone.

use super::super::*;
use super::hand::{OUTCOME, condition, measured, member, of, of_study, on_records, records, study};
use crate::data::omop::Reading;
use crate::data::omop::tests::hospital::Text;
use crate::data::{self, Loaded, SplitKey};
use consilium_common::examples::ExampleFile;
use consilium_common::study::records::*;
use consilium_common::study::{Encoding, Study};
use jiff::civil::{Date, date};
use std::path::Path;

const CONCEPTS: [&str; 5] = [
    "10,entry,Condition,S,c10,S",
    "20,outcome,Condition,S,c20,S",
    "30,pulse,Measurement,S,c30,S",
    "40,below the outcome,Condition,S,c40,S",
    "7000,pressure,Unit,UCUM,mm[Hg],S",
];

/// Of the five days on which people of [`hospital`] have their index.
pub(crate) const MIDDLE: Date = date(2015, 2, 3);

/// A hospital of some people of whom half come to the outcome.
pub(crate) fn hospital(people: u64) -> Vec<Text> {
    let rows = |row: &dyn Fn(u64) -> String| (0..people).map(row).collect::<Vec<String>>();
    let text = |name, header: &str, rows: Vec<String>| {
        Text::new(name, header, &rows.iter().map(String::as_str).collect::<Vec<_>>())
    };
    vec![
        text(
            "person",
            "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id",
            rows(&|id| format!("{id},{},{},8527,0", 8507 + 25 * (id % 2), 1930 + id % 80)),
        ),
        text(
            "observation_period",
            "person_id,observation_period_start_date,observation_period_end_date",
            rows(&|id| format!("{id},2014-01-01,{}", if id % 9 == 8 { "2015-02-05" } else { "2016-01-01" })),
        ),
        text(
            "condition_occurrence",
            "person_id,condition_concept_id,condition_start_date,condition_start_datetime",
            rows(&|id| format!("{id},{},2015-02-{:02},", if id % 7 == 6 { 11 } else { 10 }, 1 + id % 5))
                .into_iter()
                .chain(rows(&|id| format!("{id},{},2015-02-{:02},", 20 + 20 * (id % 4 / 2), 10 + id % 2)))
                .collect(),
        ),
        text(
            "measurement",
            "person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,unit_source_value",
            rows(&|id| {
                format!(
                    "{id},30,2015-01-30,{},{}",
                    40 + id % 90,
                    ["8876,", "0,mm[Hg]", "7000,", ",mmHg", ","][(id % 5) as usize]
                )
            }),
        ),
        text("death", "person_id,death_date", vec!["3,2015-02-08".to_owned(), "4,2010-01-01".to_owned()]),
        text(
            "concept",
            "concept_id,concept_name,domain_id,vocabulary_id,concept_code,standard_concept",
            CONCEPTS.map(str::to_owned).to_vec(),
        ),
    ]
}

pub(crate) fn write(tables: &[Text]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    tables.iter().for_each(|table| table.write_csv(&dir.path().join(format!("{}.csv", table.name))));
    dir
}

fn asking(change: impl FnOnce(&mut Records)) -> Study {
    let (mut records, encodings) = plain();
    change(&mut records);
    study(records, &encodings)
}

/// A study that asks about [`hospital`], with another's roster and prices.
pub(crate) fn asking_as(of: Study) -> Study {
    let (records, encodings) = plain();
    on_records(of, records, &encodings)
}

fn plain() -> (Records, [Encoding; 3]) {
    let window = Window::Days { from: -30, to: 0 };
    let covariates = vec![
        Covariate::Age,
        measured(window, Take::Last),
        Covariate::Present { events: condition(OUTCOME), window },
    ];
    let encodings = [
        Encoding::Number { low: 0.0, high: 100.0 },
        Encoding::Number { low: 0.0, high: 200.0 },
        Encoding::Flag,
    ];
    (Records { covariates, ..records() }, encodings)
}

fn key() -> SplitKey {
    SplitKey::from_bytes([3; 32])
}

fn read(dir: &Path, study: &Study) -> Result<Extracted, InvalidRecords> {
    extract(&open(dir)?, study, of_study(study), &key(), &Reading { threads: 2, ..Reading::default() })
}

fn bytes(study: &Study, loaded: Loaded) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = ExampleFile { study: study.digest, training: loaded.training, evaluation: loaded.evaluation };
    file.write(&mut bytes).expect("written");
    bytes
}

#[test]
fn the_steps_are_counted() {
    let study = asking(|records| {
        records.tasks[0].cohort.exclude = vec![Rule::DiedBefore];
        records.tasks[0].cohort.require = vec![Rule::Age { min: 18, max: 200 }];
    });
    let dir = write(&hospital(100));
    let Ok(Extracted { loaded, report }) = read(dir.path(), &study) else { panic!("reads") };
    let steps: Vec<(&str, u64)> =
        report.predictions[0].attrition.0.iter().map(|(step, people)| (step.as_str(), *people)).collect();
    // 14 people have no entry; 14 of the others were born after 1997; person 4 died; every ninth is lost from sight.
    let expected = steps.iter().map(|step| step.1).collect::<Vec<_>>();
    assert_eq!(
        steps.iter().map(|step| step.0).collect::<Vec<_>>(),
        [
            "in table person",
            "with a condition_occurrence of entry",
            "index from 2015-01-01 to 2015-12-31",
            "observed on that day",
            "aged 18 to 200",
            "not: died before being asked about",
            "followed to the end: an example",
            "with the outcome recurrence",
        ]
    );
    let in_cohort = |id: &u64| id % 7 != 6;
    let adult = |id: &u64| 1930 + id % 80 <= 1996;
    let count = |which: &dyn Fn(&u64) -> bool| (0..100_u64).filter(|id| which(id)).count() as u64;
    let followed = |id: &u64| id % 9 != 8;
    assert_eq!(expected[..2], [100, count(&in_cohort)]);
    assert_eq!(expected[4], count(&|id| in_cohort(id) && adult(id)));
    let alive = |id: &u64| in_cohort(id) && adult(id) && *id != 4;
    assert_eq!(expected[5], count(&alive));
    assert_eq!(expected[6], count(&|id| alive(id) && followed(id)));
    // Person 3 died before.
    assert_eq!(expected[7], count(&|id| alive(id) && followed(id) && id % 4 < 2 && *id != 3));
    assert_eq!(report.predictions[0].training.0 + report.predictions[0].evaluation.0, expected[6]);
    assert_eq!(report.predictions[0].training.1 + report.predictions[0].evaluation.1, expected[7]);
    assert_eq!(loaded.training.people() as u64, report.predictions[0].training.0);
    let (_, not_recorded, left_out) = &report.features[1];
    let of_unit = |id: &u64| alive(id) && followed(id) && id % 5 == 3;
    let of_none = |id: &u64| alive(id) && followed(id) && id % 5 == 4;
    assert_eq!((left_out.other_unit, left_out.no_unit), (count(&of_unit), count(&of_none)));
    assert_eq!(*not_recorded, count(&of_unit) + count(&of_none));
    assert!(report.notes.is_empty());
}

#[test]
fn a_persons_example_is_that_persons_alone() {
    let tables = hospital(60);
    let study = asking(|_| {});
    let whole = write(&tables);
    let Ok(whole) = read(whole.path(), &study) else { panic!("reads") };
    let mut with_example = 0;
    for gone in [0, 1, 2, 3, 6, 59] {
        let without: Vec<Text> = tables
            .iter()
            .map(|table| {
                let of_person = |row: &Vec<String>| table.name != "concept" && row[0] == gone.to_string();
                Text {
                    rows: table.rows.iter().filter(|row| !of_person(row)).cloned().collect(),
                    ..table.clone()
                }
            })
            .collect();
        let Ok(without) = read(write(&without).path(), &study) else { panic!("reads") };
        let people = |loaded: &Loaded| {
            [&loaded.training, &loaded.evaluation].map(|examples| {
                (0..examples.people())
                    .map(|at| {
                        (
                            examples.row(at).iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                            examples.label(at).to_bits(),
                            examples.groups_of(at).to_vec(),
                        )
                    })
                    .collect::<Vec<_>>()
            })
        };
        let mut removed = 0;
        for (whole, without) in people(&whole.loaded).into_iter().zip(people(&without.loaded)) {
            // The same examples in the same order, but for one.
            let split = whole.iter().zip(&without).take_while(|(one, other)| one == other).count();
            removed += whole.len() - without.len();
            assert!(whole[split + (whole.len() - without.len())..] == without[split..], "person {gone}");
        }
        assert!(removed <= 1);
        with_example += removed;
    }
    assert_eq!(with_example, 5, "but for person 6, who has no entry");
}

#[test]
fn every_form_gives_the_same_examples() {
    let tables = hospital(80);
    let study = asking(|_| {});
    let csv = write(&tables);
    let parquet = tempfile::tempdir().expect("folder");
    for table in &tables {
        match table.name {
            "concept" => table.write_gz(&parquet.path().join("CONCEPT.csv.gz")),
            name => table.write_parquet(&parquet.path().join(format!("{name}.parquet")), 17),
        }
    }
    let (Ok(one), Ok(two)) = (read(csv.path(), &study), read(parquet.path(), &study)) else {
        panic!("reads")
    };
    assert!(bytes(&study, one.loaded) == bytes(&study, two.loaded));
}

/// A study that reads numbers says so where a table has none, or none of their units.
#[test]
fn numbers_and_units_that_a_table_lacks_are_named() {
    let with_units = |accepted: bool| {
        asking(|records| {
            let Covariate::Measured { unit_missing, .. } = &mut records.covariates[1] else {
                panic!("a pulse")
            };
            *unit_missing = accepted;
        })
    };
    #[track_caller]
    fn check(study: &Study, without: &[&str], expected: Option<&str>) {
        let mut tables = hospital(40);
        let measured = tables.iter_mut().find(|table| table.name == "measurement").expect("there");
        for name in &mut measured.header {
            if without.contains(&name.as_str()) {
                *name = format!("no_{name}");
            }
        }
        let parquet = tempfile::tempdir().expect("folder");
        for table in &tables {
            match table.name {
                "concept" => table.write_gz(&parquet.path().join("concept.csv.gz")),
                name => table.write_parquet(&parquet.path().join(format!("{name}.parquet")), 9),
            }
        }
        for dir in [write(&tables), parquet] {
            let (read, checked) = (read(dir.path(), study), data::check_columns(dir.path(), study));
            for message in [read.err().map(|e| e.to_string()), checked.err().map(|e| e.to_string())] {
                let message = message.unwrap_or_default();
                assert!(message.contains("measurement.") || expected.is_none(), "{message}");
                assert!(message.ends_with(expected.unwrap_or_default()), "{without:?}: {message}");
                assert_eq!(message.is_empty(), expected.is_none(), "{without:?}: {message}");
            }
        }
    }
    let (id, text) = ("unit_concept_id", "unit_source_value");
    check(&with_units(false), &["value_as_number"], Some("expected a column value_as_number"));
    check(&with_units(true), &["value_as_number"], Some("expected a column value_as_number"));
    check(&with_units(false), &[id, text], Some("expected a column unit_concept_id or unit_source_value"));
    check(&with_units(false), &[id], None);
    check(&with_units(false), &[text], None);
    check(&with_units(true), &[id, text], None);
}

#[test]
fn what_does_not_fit_is_refused() {
    #[track_caller]
    fn check(without: &str, change: impl FnOnce(&mut Records), ancestors: &[&str], expected: &str) {
        let mut tables = hospital(5);
        tables.retain(|table| table.name != without);
        if !ancestors.is_empty() {
            tables.push(Text::new("concept_ancestor", ancestors[0], &ancestors[1..]));
        }
        let dir = write(&tables);
        let study = asking(change);
        let (read, checked) = (read(dir.path(), &study), data::check_columns(dir.path(), &study));
        let messages = [read.err().map(|e| e.to_string()), checked.err().map(|e| e.to_string())];
        for message in messages {
            let message = message.unwrap_or_default();
            assert!(
                message.contains(expected) && message.is_empty() == expected.is_empty(),
                "{expected}: {message}"
            );
        }
    }
    let name =
        |name: &'static str| move |records: &mut Records| records.sets[1].include[0] = member(20, name);
    let below = |records: &mut Records| records.sets[1].include[0].descendants = true;
    check("", |_| {}, &[], "");
    check("", name(" outcome "), &[], "");
    check(
        "",
        name("Outcome"),
        &[],
        r#"concept set outcome: the study calls 20 "Outcome", and table concept calls it "outcome"; tell the study's author"#,
    );
    check(
        "",
        |records| records.sets[0].exclude.push(member(40, "x")),
        &[],
        "concept set entry: the study calls 40",
    );
    check("concept", |_| {}, &[], "table concept is missing, which the study reads for the names and codes");
    check("", below, &[], "concept set outcome asks for everything below its concepts");
    let header = "ancestor_concept_id,descendant_concept_id";
    check("", below, &[header], "concept set outcome asks for everything below its concepts");
    check("", below, &[header, "20,40"], "");
    check(
        "measurement",
        |_| {},
        &[],
        "table measurement is missing, which the study reads for the feature f1",
    );
    check("condition_occurrence", |_| {}, &[], "the cohort first");
    check("observation_period", |_| {}, &[], "when people were observed");
    check("death", |_| {}, &[], "");
    check(
        "death",
        |records| records.tasks[0].cohort.exclude = vec![Rule::DiedBefore],
        &[],
        "a rule of the cohort first",
    );
    check(
        "death",
        |records| records.tasks[0].outcome.any_of = vec![of(RecordTable::Death, None)],
        &[],
        "the outcome recurrence",
    );
    check("", |records| records.tasks[0].outcome.at_risk = AtRisk::Stay, &[], "the end of the time at risk");
}

#[test]
fn columns_are_checked_without_rows() {
    #[track_caller]
    fn check(table: &str, text: &str, expected: Option<&str>) {
        let dir = write(&hospital(5));
        std::fs::write(dir.path().join(format!("{table}.csv")), text).expect("written");
        let found = data::check_columns(dir.path(), &asking(|_| {})).err().map(|error| error.to_string());
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{table}: {found:?}"),
        }
    }
    // The study asks about age, and of nobody's gender, race or ethnicity.
    check("person", "person_id,gender_concept_id\n", Some("expected a column year_of_birth"));
    check("person", "person_id,year_of_birth\n", None);
    check("measurement", "person_id\n", Some("expected a column measurement_concept_id"));
    let header = "person_id,measurement_concept_id,value_as_number,unit_concept_id";
    check("measurement", &format!("{header}\nrows,are,not,read,\"\n"), None);
    check("observation_period", "person_id\n", Some("expected a column observation_period_start_date"));
}

#[test]
fn sets_mean_what_the_vocabulary_says() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Records), expected: u64, notes: &[(&str, Remark)]) {
        let mut tables = hospital(100);
        let header = "ancestor_concept_id,descendant_concept_id";
        tables.push(Text::new("concept_ancestor", header, &["20,20", "20,40", "40,40"]));
        let study = asking(change);
        let Ok(found) = read(write(&tables).path(), &study) else { panic!("reads") };
        let noted: Vec<(&str, Remark)> =
            found.report.notes.iter().map(|note| (note.concept.as_str(), note.what)).collect();
        assert_eq!(
            (
                found.report.predictions[0].training.1 + found.report.predictions[0].evaluation.1,
                noted.as_slice()
            ),
            (expected, notes)
        );
    }
    let asked = |id: &u64| id % 7 != 6 && id % 9 != 8 && ![3, 4].contains(id);
    let (twenty, all) =
        ((0..100).filter(|id| asked(id) && id % 4 < 2).count() as u64, (0..100).filter(asked).count() as u64);
    let code = |code: &str| ConceptRef::Code { vocabulary: "S".to_owned(), code: code.to_owned() };
    check(|_| {}, twenty, &[]);
    check(|records| records.sets[1].include[0].descendants = true, all, &[]);
    check(|records| records.sets[1].include.push(member(40, "below the outcome")), all, &[]);
    check(|records| records.sets[1].include[0].concept = code("c20"), twenty, &[]);
    check(
        |records| {
            records.sets[1].include[0] = Member { concept: code("c20"), descendants: true };
            records.sets[1].exclude.push(member(40, "below the outcome"));
        },
        twenty,
        &[],
    );
    let absent = &[("S:c99", Remark::NotInVocabulary)];
    check(
        |records| records.sets[1].include.push(Member { concept: code("c99"), descendants: false }),
        twenty,
        absent,
    );
    let absent = &[("asthma (99)", Remark::NotInVocabulary)];
    check(|records| records.sets[1].include.push(member(99, "asthma")), twenty, absent);
}

#[test]
fn a_table_is_no_folder_of_records() {
    let folder = write(&hospital(5));
    let plain = tempfile::tempdir().expect("folder");
    let table = plain.path().join("table.csv");
    std::fs::write(&table, "person_id,age,bmi,sex,outcome,split\n1,40,20,male,1,train\n").expect("written");
    let of_table =
        consilium_common::study::parse(include_bytes!("../../testdata/study.toml")).expect("parses");
    #[track_caller]
    fn check(path: &Path, study: &Study, expected: &str) {
        let messages = [
            data::check_columns(path, study).err().map(|error| error.to_string()),
            data::load_tolerant(path, study, &key()).err().map(|error| error.to_string()),
            data::load_strict(path, study, &key()).err().map(|error| error.to_string()),
        ];
        for message in messages {
            let message = message.unwrap_or_default();
            assert!(message.contains(expected) && message.is_empty() == expected.is_empty(), "{message}");
        }
    }
    let of_records = asking(|_| {});
    check(folder.path(), &of_records, "");
    check(plain.path(), &of_table, "");
    check(&table, &of_table, "");
    check(&table, &of_records, "this is a plain table, and the study reads OMOP records");
    check(plain.path(), &of_records, "this is a plain table, and the study reads OMOP records");
    check(folder.path(), &of_table, "these are OMOP tables, and the study reads a plain table");
    check(Path::new("no such folder"), &of_records, "no such folder");
    let person = |path: &Path, column: &str| {
        data::check_person_column(path, column).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(person(folder.path(), "person_id"), "");
    assert_eq!(person(plain.path(), "person_id"), "");
    assert!(
        person(folder.path(), "nhs_number").contains("OMOP tables tell persons apart by column person_id")
    );
    assert!(person(plain.path(), "nhs_number").contains("column nhs_number is missing"));
}

#[test]
fn rows_that_contribute_nothing_are_counted() {
    let mut tables = hospital(20);
    let rows = &mut tables.iter_mut().find(|table| table.name == "measurement").expect("there").rows;
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    rows.push(cells("77,30,2015-01-30,50,8876,"));
    rows.push(cells("1,30,,50,8876,"));
    let dir = write(&tables);
    let study = asking(|_| {});
    let Ok((loaded, faults)) = data::load_tolerant(dir.path(), &study, &key()) else { panic!("reads") };
    assert_eq!(faults.count, 2);
    assert_eq!(
        faults.shown,
        ["table measurement: person is not in table person", "table measurement: no date"]
    );
    let Ok(sound) = data::load_strict(write(&hospital(20)).path(), &study, &key()) else { panic!("reads") };
    assert!(bytes(&study, loaded) == bytes(&study, sound));
}
