//! What examples come from, in words: what was really asked of a source, and which release it was.

use super::super::*;
use super::folders::{asking_as, hospital, write};
use super::forms::in_any_form;
use super::hand::of_study;
use crate::data::omop::postgres::tests::cluster::Cluster;
use crate::data::omop::postgres::tests::{READER, model, script, source};
use crate::data::omop::postgres::{self, Database};
use crate::data::omop::{Reading, database_at, meds};
use crate::data::{self, SplitKey, frozen::Origin};
use consilium_common::study::{self, Study};
use std::path::{Path, PathBuf};

fn asking() -> Study {
    in_any_form(asking_as(study::parse(include_bytes!("../../testdata/study.toml")).expect("parses")))
}

fn origin(path: &Path) -> Origin {
    let read = data::load_with_origin(path, &asking(), &SplitKey::from_bytes([3; 32]));
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display())).2
}

#[test]
fn of_files_what_is_read_of_each_table() {
    let tables = hospital(60);
    let csv = write(&tables);
    let found = origin(csv.path());
    assert_eq!(
        found.queries,
        [
            "omop: person (person_id, year_of_birth, month_of_birth, day_of_birth, birth_datetime)",
            "omop: observation_period (person_id, observation_period_start_date, observation_period_end_date)",
            "omop: condition_occurrence (person_id, condition_concept_id, condition_start_date, \
             condition_start_datetime, condition_end_date, condition_end_datetime)",
            "omop: measurement (person_id, measurement_concept_id, measurement_date, measurement_datetime, \
             value_as_number, unit_concept_id, unit_source_value)",
            "omop: death (person_id, death_date, death_datetime)",
            "omop: concept (concept_id, concept_name, vocabulary_id, concept_code, standard_concept)",
        ]
    );
    assert!(found.source.iter().any(|line| line.starts_with("person.csv, ")), "{:?}", found.source);
    assert!(origin(csv.path()) == found, "the same again");
    // In other files and other pieces, of a person more: the same questions.
    let more = tempfile::tempdir().expect("folder");
    for table in hospital(61) {
        match table.name {
            "concept" => table.write_gz(&more.path().join("concept.csv.gz")),
            name => table.write_parquet(&more.path().join(format!("{name}.parquet")), 7),
        }
    }
    assert!(origin(more.path()).queries == found.queries);
    // A table without a row, of which a file of Parquet has no piece, was asked the same.
    let nobody_died = tempfile::tempdir().expect("folder");
    for mut table in tables {
        if table.name == "death" {
            table.rows.clear();
        }
        match table.name {
            "concept" => table.write_gz(&nobody_died.path().join("concept.csv.gz")),
            name => table.write_parquet(&nobody_died.path().join(format!("{name}.parquet")), 7),
        }
    }
    assert_eq!(origin(nobody_died.path()).queries, found.queries);

    let dir = tempfile::tempdir().expect("folder");
    let opened = open(csv.path()).expect("opens");
    let out = dir.path().join("meds");
    meds::export(&opened, &out, &Reading::default()).unwrap_or_else(|error| panic!("{error}"));
    let queries = origin(&out).queries;
    for begin in [
        "meds: data (subject_id, concept_id, time, ",
        "meds: metadata/attributes.parquet (",
        "meds: metadata/codes.parquet (code, ",
        "meds: data, for observation_period (subject_id, time, code)",
    ] {
        assert!(queries.iter().any(|line| line.starts_with(begin)), "{begin} in {queries:?}");
    }
    assert_eq!(queries.len(), 4, "{queries:?}");
}

/// A cluster with the hospital, and the file that names it, with `more` settings.
fn served(more: &str) -> Option<(Cluster, tempfile::TempDir, PathBuf)> {
    let cluster = Cluster::start(&["log_statement = 'all'"])?;
    cluster.sql(&script("cdm", &hospital(60), &|column| model(column).to_owned()));
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("source.toml");
    std::fs::write(&path, source(&cluster, more)).expect("written");
    Some((cluster, dir, path))
}

#[test]
fn of_a_database_its_queries_word_for_word() {
    let Some((cluster, dir, path)) = served("") else { return };
    cluster.sql(&format!(
        "CREATE TABLE cdm.cdm_source (cdm_version text); GRANT SELECT ON cdm.cdm_source TO {READER};"
    ));
    let log = cluster.folder().join("log");
    let before = std::fs::read_to_string(&log).expect("a log").len();
    let found = origin(&path);
    let said = std::fs::read_to_string(&log).expect("a log").split_off(before);
    // Whatever names a table of the hospital's; of the session and the catalogue there is more.
    let of_tables = said.lines().filter(|line| line.contains("\"cdm\".\""));
    let statement =
        |line: &'_ str| line.split_once("LOG:  ")?.1.split_once(": ").map(|(_, sql)| sql.to_owned());
    let mut asked: Vec<String> = of_tables.filter_map(statement).collect();
    asked.sort_unstable();
    let mut all: Vec<String> =
        found.queries.iter().filter(|line| line.contains("\"cdm\".\"")).cloned().collect();
    all.sort_unstable();
    assert_eq!(all, asked, "by the server's own log");
    assert_eq!(all.iter().filter(|query| query.contains("\"cdm_source\"")).count(), 1, "{all:?}");
    let noted: Vec<&str> =
        found.queries.iter().filter(|line| line.starts_with("COPY")).map(String::as_str).collect();
    assert!(noted[0].contains("\"person\"") && noted.len() == 6, "by table: {noted:?}");
    // Those of whoever has an entry event, of measurements the pulse; the vocabulary whole.
    let entered = "\"person_id\" IN (SELECT \"person_id\" FROM \"cdm\".\"condition_occurrence\" WHERE \"condition_concept_id\" = ANY \
                   ('{10}'::int8[])))";
    assert_eq!(noted.iter().filter(|query| query.contains(entered)).count(), 5, "{noted:?}");
    let pulse =
        "\"measurement\" WHERE \"measurement_concept_id\" = ANY ('{30}'::int8[]) AND \"person_id\" IN (";
    assert!(noted.iter().any(|query| query.contains(pulse)), "{noted:?}");
    // What was planned is what was asked.
    let study = asking();
    let database = Database::open(&database_at(&path).expect("reads")).expect("opens");
    let narrowing = narrowing(&database, &study, of_study(&study)).unwrap_or_else(|error| panic!("{error}"));
    let planned = postgres::plan_narrowed(&database, &wanted(of_study(&study)), &narrowing);
    let planned: Vec<&str> = planned.tables.iter().map(|planned| planned.query.as_str()).collect();
    assert_eq!(planned, noted);
    drop(database);
    assert_eq!(found.queries[0], "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");

    // The same again, whoever asks first, however many rows the server thinks there are, and with a person more.
    let again = dir.path().join("again.toml");
    std::fs::write(&again, source(&cluster, "connections = 3")).expect("written");
    cluster.sql("INSERT INTO cdm.person VALUES (61, 8507, 1950, 8527, 0); ANALYZE;");
    for path in [&path, &again] {
        assert_eq!(origin(path).queries, found.queries);
    }
}

#[test]
fn of_a_database_its_own_words() {
    let Some((cluster, _dir, path)) = served("") else { return };
    let release = || origin(&path).source;
    let without = release();
    assert!(without[0].starts_with("PostgreSQL /"), "{without:?}");
    assert!(without[1].starts_with("PostgreSQL 1") && without[2] == "schema \"cdm\"", "{without:?}");
    let of_person = |lines: &[String]| lines.iter().find(|line| line.starts_with("table person,")).cloned();
    assert_eq!(of_person(&without).as_deref(), Some("table person, its rows not counted by the server"));
    assert!(!without.iter().any(|line| line.contains("cdm_source")), "{without:?}");
    assert_eq!(release(), without, "the same again");
    cluster.sql("ANALYZE cdm.person;");
    assert_eq!(of_person(&release()).as_deref(), Some("table person, about 60 rows"));

    // Two databases that were put together, in names as one of them wrote them.
    cluster.sql(
        "CREATE TABLE cdm.\"CDM_SOURCE\" (\"CDM_SOURCE_NAME\" text, cdm_version_concept_id int, source_release_date date, \
         cdm_holder text); INSERT INTO cdm.\"CDM_SOURCE\" VALUES ('B \"hospital\"', NULL, '2026-02-01', 'Zebedee'), \
         (E'A\\nhospital', 756265, NULL, 'Zebedee');",
    );
    let withheld = "table cdm_source: this role may not read it".to_owned();
    assert!(release().contains(&withheld), "no right is no error");
    cluster.sql(&format!("GRANT SELECT ON cdm.\"CDM_SOURCE\" TO {READER};"));
    let told = [
        "cdm_source_name A hospital",
        "cdm_version_concept_id 756265",
        "cdm_source_name B \"hospital\"",
        "source_release_date 2026-02-01",
    ];
    assert_eq!(release()[3..7], told);
    assert!(
        origin(&path).queries.iter().any(|line| line.starts_with("SELECT left(\"CDM_SOURCE_NAME\"::text, "))
    );

    // One that the server cannot give is done without, and everything else is read.
    cluster.sql(&format!(
        "DROP TABLE cdm.\"CDM_SOURCE\"; CREATE VIEW cdm.cdm_source AS SELECT (1 / (count(*) - count(*)))::text AS cdm_version \
         FROM cdm.person; GRANT SELECT ON cdm.cdm_source TO {READER};"
    ));
    assert!(release().contains(&"table cdm_source: the server gave the query up".to_owned()));
}
