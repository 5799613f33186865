//! A study straight from PostgreSQL: the examples of the folder, by a role that may read the study's columns and no others.

use super::super::*;
use super::folders::{asking_as, hospital, write};
use super::hand::of_study;
use crate::data::omop::postgres::tests::cluster::Cluster;
use crate::data::omop::postgres::tests::{READER, model, script, source};
use crate::data::omop::postgres::{self, Database};
use crate::data::omop::{Reading, Table, Wanted, database_at};
use crate::data::{self, Loaded, SplitKey};
use consilium_common::study::{self, Study};
use std::path::{Path, PathBuf};

fn asking() -> Study {
    asking_as(study::parse(include_bytes!("../../testdata/study.toml")).expect("parses"))
}

fn bytes(path: &Path, study: &Study) -> Result<[Vec<u8>; 2], InvalidRecords> {
    let key = SplitKey::from_bytes([3; 32]);
    let Loaded { training, evaluation, .. } =
        extract(&open(path)?, study, of_study(study), &key, &Reading::default())?.loaded;
    Ok([training.to_bytes(), evaluation.to_bytes()])
}

/// A cluster that holds the hospital, whose reader may connect and nothing else, and the file that names it.
fn served() -> Option<(Cluster, tempfile::TempDir, PathBuf)> {
    let cluster = Cluster::start(&[])?;
    cluster.sql(&script("cdm", &hospital(120), &|column| model(column).to_owned()));
    cluster.sql(&format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA cdm FROM {READER}; REVOKE USAGE ON SCHEMA cdm FROM {READER};"
    ));
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("source.toml");
    std::fs::write(&path, source(&cluster, "")).expect("written");
    Some((cluster, dir, path))
}

#[test]
fn the_study_s_grants_are_enough() {
    let Some((cluster, _dir, path)) = served() else { return };
    let study = asking();
    let refused = data::check_columns(&path, &study).expect_err("nothing is granted").to_string();
    assert!(refused.contains("may not read schema \"cdm\""), "{refused}");

    let wanted = wanted(of_study(&study));
    let database = Database::open(&database_at(&path).expect("reads")).expect("opens");
    let granted = postgres::grants(&database, &wanted, READER);
    let queries: Vec<String> =
        postgres::plan(&database, &wanted).tables.into_iter().map(|planned| planned.query).collect();
    drop(database);
    // The study asks about age, a pulse and outcomes; of nobody's sex, ethnicity or cause of death.
    let selected: Vec<&str> = queries.iter().filter_map(|query| query.split(" FROM ").next()).collect();
    assert_eq!(
        selected,
        [
            r#"COPY (SELECT "person_id", "year_of_birth""#,
            r#"COPY (SELECT "person_id", "observation_period_start_date", "observation_period_end_date""#,
            r#"COPY (SELECT "person_id", "condition_concept_id", "condition_start_date", "condition_start_datetime""#,
            r#"COPY (SELECT "person_id", "measurement_concept_id", "measurement_date", "value_as_number", "unit_concept_id", "unit_source_value""#,
            r#"COPY (SELECT "person_id", "death_date""#,
            r#"COPY (SELECT "concept_id", "concept_name", "vocabulary_id", "concept_code", "standard_concept""#,
        ]
    );
    for query in &queries {
        let columns = query.trim_start_matches("COPY (SELECT ").split(" FROM ").next().expect("columns");
        assert!(granted.contains(&format!("GRANT SELECT ({columns}) ON")), "{columns} in\n{granted}");
    }
    assert_eq!(granted.matches("\nGRANT SELECT").count(), queries.len());
    cluster.sql(&granted);

    data::check_columns(&path, &study).unwrap_or_else(|error| panic!("{error}"));
    let folder = write(&hospital(120));
    let (one, two) = (bytes(folder.path(), &study).expect("reads"), bytes(&path, &study).expect("reads"));
    assert!(one == two && one.iter().all(|bytes| bytes.len() > 500), "the same examples");
    // Also without the rows that cannot matter, which are told apart by columns that are granted anyway.
    let narrowed = data::load_tolerant(&path, &study, &SplitKey::from_bytes([3; 32]));
    let (Loaded { training, evaluation, .. }, _) = narrowed.unwrap_or_else(|error| panic!("{error}"));
    assert!([training.to_bytes(), evaluation.to_bytes()] == one, "the same without other rows");
    let everything = Wanted::all(&Table::ALL);
    let database = Database::open(&database_at(&path).expect("reads")).expect("opens");
    assert!(database.granted(&wanted).is_ok() && database.granted(&everything).is_err());
    drop(database);

    cluster.sql(&format!("REVOKE SELECT (year_of_birth) ON cdm.person FROM {READER};"));
    for refused in [
        data::check_columns(&path, &study).expect_err("withheld").to_string(),
        bytes(&path, &study).expect_err("withheld").to_string(),
    ] {
        assert!(refused.contains("may not read person (year_of_birth)"), "{refused}");
    }
}

/// What a database lacks is said in its own words: a column by its table, a table by its schema.
#[test]
fn what_a_database_lacks_is_named() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let of_tables = script("cdm", &hospital(20), &|column| model(column).to_owned());
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("source.toml");
    std::fs::write(&path, source(&cluster, "")).expect("written");
    let check = |study: &Study, change: &str, expected: &str| {
        cluster.sql(&format!("DROP SCHEMA IF EXISTS cdm CASCADE; {of_tables} {change}"));
        for said in [
            data::check_columns(&path, study).err().map(|error| error.to_string()),
            bytes(&path, study).err().map(|error| error.to_string()),
        ] {
            let said = said.unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{change}: {said}");
            assert!(!said.contains("export"), "{said}");
        }
    };
    let plain = asking();
    check(&plain, "", "");
    let gone = |column: &str| format!("ALTER TABLE cdm.measurement DROP COLUMN {column};");
    check(&plain, &gone("value_as_number"), "table measurement: expected a column value_as_number");
    check(&plain, &gone("unit_concept_id"), "");
    check(
        &plain,
        &(gone("unit_concept_id") + &gone("unit_source_value")),
        "table measurement: expected a column unit_concept_id or unit_source_value",
    );
    check(
        &plain,
        "DROP TABLE cdm.measurement;",
        "table measurement is missing, which the study reads for the feature f1; if it is empty here, create it empty in schema \"cdm\"",
    );
    let mut below = asking();
    let study::Data::Records(records) = &mut below.data else { panic!("on records") };
    records.sets[1].include[0].descendants = true;
    check(&below, "", "is missing or empty: load it into schema \"cdm\", and allow it");
}

#[test]
fn what_the_agent_asks_of_a_source_file() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("source.toml");
    std::fs::write(&path, "[postgres]\nhost = '/nowhere'\ndatabase = 'd'\nuser = 'u'\nschema = 's'\n")
        .expect("written");
    assert!(are_records(&path));
    assert_eq!(data::main_file(&path), path, "what the agent locks");
    data::check_person_column(&path, "person_id").expect("OMOP's name");
    let other = data::check_person_column(&path, "patient").expect_err("another name").to_string();
    assert!(other.contains("tell persons apart by column person_id"), "{other}");
    let plain = study::parse(include_bytes!("../../testdata/study.toml")).expect("parses");
    let table = data::check_columns(&path, &plain).expect_err("no table").to_string();
    assert!(table.contains("the study reads a plain table"), "{table}");
    let failure =
        crate::failure::Failure::from(data::check_columns(&path, &asking()).expect_err("no server"));
    assert_eq!(failure.kind.exit_code(), 3, "{failure}");
    let absent = dir.path().join("absent.toml");
    assert!(!are_records(&absent) && data::check_columns(&absent, &asking()).is_err());
}

/// Also in a program that has no engine: what it locks and what it says of the source's release do not need one.
#[test]
fn tables_behind_an_engine_are_those_of_their_folder() {
    let tables = write(&hospital(3));
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("source.toml");
    let text = format!("[warehouse]\nengine = 'embedded'\ntables = '{}'\n", tables.path().display());
    std::fs::write(&path, text).expect("written");
    assert!(are_records(&path));
    assert_eq!(data::main_file(&path), tables.path().join("person.csv"), "what the agent locks");
    let release = data::frozen::source_release(&path).expect("there");
    for name in ["source.toml", "condition_occurrence.csv", "person.csv"] {
        assert!(release.iter().any(|line| line.contains(&format!("{name}, "))), "{name} in {release:?}");
    }
    std::fs::write(&path, "[warehouse]\nengine = 'embedded'\n").expect("written");
    assert_eq!(data::main_file(&path), path, "its mistakes are said when it is opened");
    let said = data::check_columns(&path, &asking()).expect_err("a mistake").to_string();
    assert!(said.ends_with("line 1: warehouse.tables: missing"), "{said}");
}
