//! What single cells of a database are, and what is wrong with a column or with the server.

use super::super::super::tests::hospital::Text;
use super::super::super::{Domain, Fault, InvalidOmop, People, Reading, Value, stream};
use super::super::{Database, InvalidDatabase};
use super::cluster::Cluster;
use super::{config, model, open, script};

/// In a cell of each bad table; no message may have it.
const CANARY: &str = "Zebedee";

const PERSON: &str = "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id";

fn read(database: &Database) -> Result<(u64, Vec<(Fault, u64)>), InvalidOmop> {
    let people = People::read(database)?;
    let (stream, counts) = stream::read(database, &Domain::ALL, &Reading::default(), |_| true)?;
    let events = stream.map(|event| event.map(|_| 1)).sum::<Result<u64, _>>()?;
    let mut faults = people.person_counts.faults.clone();
    faults.merge(&people.period_counts.faults);
    counts.values().for_each(|counts| faults.merge(&counts.faults));
    let found = Fault::ALL.into_iter().filter(|fault| faults.of(*fault) > 0);
    Ok((events, found.map(|fault| (fault, faults.of(fault))).collect()))
}

fn start(more: &str) -> Option<Cluster> {
    let cluster = Cluster::start(&[])?;
    let person = Text::new("person", PERSON, &["1,8507,1980,8527,0", "2,8532,1990,0,0"]);
    cluster.sql(&script("cdm", &[person], &|column| model(column).to_owned()));
    cluster.sql(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO {};\n{more}", super::READER));
    Some(cluster)
}

#[test]
fn of_single_cells() {
    let Some(cluster) = start("") else { return };
    #[track_caller]
    fn check(cluster: &Cluster, columns: &str, row: &str, events: u64, faults: &[(Fault, u64)]) {
        cluster.sql(&format!(
            "DROP TABLE IF EXISTS cdm.visit_occurrence;\nCREATE TABLE cdm.visit_occurrence (person_id numeric, \
             visit_concept_id numeric, visit_occurrence_id bigint, {columns});\nGRANT SELECT ON cdm.visit_occurrence TO \
             {};\nINSERT INTO cdm.visit_occurrence VALUES {row};",
            super::READER
        ));
        let (found_events, found) = read(&open(cluster)).expect("reads");
        assert_eq!((found_events, found.as_slice()), (events, faults), "{row}");
    }
    let date = |row: &str, events, faults: &[(Fault, u64)]| {
        check(&cluster, "visit_start_date date, visit_end_date timestamptz", row, events, faults);
    };
    date("(1, 9201, 5, '2020-01-01', '2020-01-02')", 1, &[]);
    date("(1, 9201, 5, '2020-01-01', NULL)", 1, &[]);
    for far in ["infinity", "-infinity", "0044-03-15 BC", "1899-12-31", "2101-01-01", "20000-01-01"] {
        date(&format!("(1, 9201, 5, '{far}', NULL)"), 0, &[(Fault::YearOutOfRange, 1)]);
        date(&format!("(1, 9201, 5, '2020-01-01', '{far}')"), 1, &[(Fault::BadEnd, 1)]);
    }
    date("(1, 9201, 5, NULL, NULL)", 0, &[(Fault::NoDate, 1)]);
    date("(1.5, 9201, 5, '2020-01-01', NULL)", 0, &[(Fault::PersonNotANumber, 1)]);
    date("('NaN', 9201, 5, '2020-01-01', NULL)", 0, &[(Fault::PersonNotANumber, 1)]);
    date("(9223372036854775808, 9201, 5, '2020-01-01', NULL)", 0, &[(Fault::PersonNotANumber, 1)]);
    date("(NULL, 9201, 5, '2020-01-01', NULL)", 0, &[(Fault::NoPerson, 1)]);
    date("(1, 9201.5, 5, '2020-01-01', NULL)", 1, &[(Fault::NotAnId, 1), (Fault::Unmapped, 1)]);
    date("(1, 0, 5, '2020-01-01', '2019-12-31')", 1, &[(Fault::NegativeLength, 1), (Fault::Unmapped, 1)]);

    let times = |row: &str, events, faults: &[(Fault, u64)]| {
        check(&cluster, "visit_start_date date, visit_start_datetime timestamptz", row, events, faults);
    };
    // Shortly after midnight in London's summer, the day before by UTC: the hospital's own clock counts.
    times("(1, 9201, 5, '2020-07-01', '2020-06-30 23:30:00Z')", 1, &[]);
    times("(1, 9201, 5, '2020-06-30', '2020-06-30 23:30:00Z')", 1, &[(Fault::DatesDisagree, 1)]);
    times("(1, 9201, 5, '2020-07-01', 'infinity')", 1, &[(Fault::BadTime, 1)]);
}

#[test]
fn of_values() {
    let Some(cluster) = start("") else { return };
    for (type_name, cells) in [
        (
            "numeric",
            [
                ("36.6", Some(36.6)),
                ("-0.0", Some(0.0)),
                ("'NaN'", None),
                ("1e400", None),
                ("'Infinity'", None),
            ],
        ),
        (
            "double precision",
            [
                ("36.6", Some(36.6)),
                ("-0.0", Some(0.0)),
                ("'NaN'", None),
                ("'-inf'", None),
                ("1e300", Some(1e300)),
            ],
        ),
        (
            "real",
            [
                ("36.6", Some(36.6)),
                ("'-0'", Some(0.0)),
                ("'NaN'", None),
                ("'inf'", None),
                ("3e38", Some(3e38)),
            ],
        ),
        (
            "smallint",
            [
                ("36", Some(36.0)),
                ("-1", Some(-1.0)),
                ("0", Some(0.0)),
                ("32767", Some(32767.0)),
                ("7", Some(7.0)),
            ],
        ),
    ] {
        for (cell, expected) in cells {
            cluster.sql(&format!(
                "DROP TABLE IF EXISTS cdm.measurement;\nCREATE TABLE cdm.measurement (person_id int, \
                 measurement_concept_id int, measurement_date date, value_as_number {type_name}, unit_concept_id int);\n\
                 GRANT SELECT ON cdm.measurement TO {};\nINSERT INTO cdm.measurement VALUES (1, 3, '2020-01-01', {cell}, 9);",
                super::READER
            ));
            let (mut stream, counts) =
                stream::read(&open(&cluster), &[Domain::Measurement], &Reading::default(), |_| true)
                    .expect("reads");
            let value = stream.next().expect("one").expect("reads").value;
            assert!(value == expected.map_or(Value::None, Value::Number), "{type_name} {cell}");
            let bad = counts[&Domain::Measurement].faults.of(Fault::ValueNotANumber);
            assert_eq!(bad, u64::from(expected.is_none()), "{type_name} {cell}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let Some(cluster) = start("") else { return };
    let try_read = |more: &str| {
        let database = Database::open(&config(&cluster, more)).map_err(InvalidOmop::from)?;
        read(&database).map(|_| ())
    };
    #[track_caller]
    fn refused(found: Result<(), InvalidOmop>, expected: &str) {
        let error = found.expect_err(expected);
        let message = error.to_string();
        assert!(message.contains(expected), "expected {expected}, found {message}");
        assert!(!message.contains(CANARY) && !format!("{error:?}").contains(CANARY), "{message}");
    }
    assert!(try_read("").is_ok());
    let death = |columns: &str| {
        let grant = format!("GRANT SELECT ON cdm.death TO {};", super::READER);
        cluster
            .sql(&format!("DROP TABLE IF EXISTS cdm.death;\nCREATE TABLE cdm.death ({columns});\n{grant}"));
        try_read("")
    };
    refused(
        death("person_id text, death_date date"),
        "table death: column person_id: expected whole numbers, found text; a view can cast it",
    );
    refused(
        death("person_id int, death_date varchar(10)"),
        "column death_date: expected dates, found character varying(10)",
    );
    refused(
        death("person_id int, death_date time"),
        "column death_date: expected dates, found time without time zone",
    );
    refused(
        death("person_id double precision"),
        "column person_id: expected whole numbers, found double precision",
    );
    refused(death("death_date date"), "table death: expected a column person_id");
    refused(death("person_id int, \"Person_ID\" int"), "table death: column person_id is there twice");
    cluster.sql("DROP TABLE cdm.death; CREATE TABLE cdm.\"DEATH\" (person_id int); CREATE TABLE cdm.death (person_id int);");
    refused(try_read(""), "table death is there twice in schema \"cdm\"");
    cluster.sql("DROP TABLE cdm.death; DROP TABLE cdm.\"DEATH\";");

    // What the server says of a row may quote it.
    cluster.sql(&format!(
        "CREATE TABLE cdm.raw (cell text); INSERT INTO cdm.raw VALUES ('{CANARY}');\n\
         CREATE VIEW cdm.death AS SELECT cell::int AS person_id FROM cdm.raw; GRANT SELECT ON cdm.death TO {};",
        super::READER
    ));
    refused(try_read(""), "table death: the server gave the query up (SQLSTATE 22P02");
    cluster.sql(&format!(
        "DROP VIEW cdm.death; CREATE VIEW cdm.death AS SELECT 1 AS person_id, pg_sleep(30)::text AS x, (SELECT \
         '2020-01-01'::date FROM pg_sleep(30)) AS death_date; GRANT SELECT ON cdm.death TO {};",
        super::READER
    ));
    refused(
        try_read("statement_timeout_s = 1"),
        "(SQLSTATE 57014: it was cancelled; if nobody did so, it took longer",
    );
    cluster.sql("DROP VIEW cdm.death; ALTER TABLE cdm.person RENAME TO persons;");
    refused(try_read(""), "no table of OMOP in schema \"cdm\"");
    cluster.sql("CREATE TABLE cdm.death (person_id int);");
    refused(try_read(""), "table person is missing in schema \"cdm\"");
}

#[test]
fn bytes_that_are_no_text() {
    // A server that does not know what its bytes mean finds out when it is asked for text.
    let Some(cluster) = start("") else { return };
    cluster.sql(
        "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C';\n\\connect bytes\n\
         CREATE SCHEMA cdm; CREATE TABLE cdm.person (person_id int, gender_concept_id int, year_of_birth int, race_concept_id \
         int, ethnicity_concept_id int); CREATE TABLE cdm.concept (concept_id int, concept_name text, vocabulary_id text, \
         concept_code text); INSERT INTO cdm.concept VALUES (1, E'Zebedee\\xe9', 'x', 'y');\n\
         GRANT USAGE ON SCHEMA cdm TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA cdm TO reader;",
    );
    let mut config = config(&cluster, "");
    config.database = "bytes".to_owned();
    let database = Database::open(&config).unwrap_or_else(|error| panic!("{error}"));
    let error =
        super::super::super::vocabulary::concepts(&database, |_| true).map(|_| ()).expect_err("no text");
    assert!(matches!(error, InvalidOmop::Database(InvalidDatabase::Query { .. })));
    let message = error.to_string();
    assert!(message.starts_with("table concept: the server gave the query up (SQLSTATE 22021"), "{message}");
}
