//! One snapshot, however long reading takes and over however many connections; and what is not wanted any more ends.

use super::super::super::tests::hospital::{bytes_of, hospital};
use super::super::super::{Domain, InvalidOmop, People, Reading, Table, stream};
use super::super::Database;
use super::cluster::Cluster;
use super::{READER, config, model, open, script};
use std::time::{Duration, Instant};

#[test]
fn what_is_written_meanwhile_is_not_seen() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let tables = hospital(30, 100);
    cluster.sql(&script("cdm", &tables, &|column| model(column).to_owned()));
    let expected = bytes_of(&open(&cluster), &Reading::default());
    for connections in [1, 3] {
        let database =
            Database::open(&config(&cluster, &format!("connections = {connections}"))).expect("opens");
        let people = People::read(&database).expect("reads");
        cluster.sql(
            "BEGIN; DELETE FROM cdm.measurement WHERE ctid IN (SELECT ctid FROM cdm.measurement LIMIT 10); \
             UPDATE cdm.visit_occurrence SET visit_concept_id = 1; DELETE FROM cdm.person; COMMIT;",
        );
        assert!(bytes_of(&database, &Reading::default()) == expected, "{connections} connections");
        assert_eq!(People::read(&database).expect("reads").persons.len(), people.persons.len());
        drop(database);
        assert!(bytes_of(&open(&cluster), &Reading::default()) != expected, "it was written");
        cluster.sql(&format!(
            "DROP SCHEMA cdm CASCADE; {}",
            script("cdm", &tables, &|column| model(column).to_owned())
        ));
    }
}

#[test]
fn nothing_can_be_written() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.sql(&script("cdm", &hospital(5, 5), &|column| model(column).to_owned()));
    // A view that writes, and a role that may.
    cluster.sql(&format!(
        "CREATE TABLE cdm.written (n int); GRANT ALL ON cdm.written TO {READER};\n\
         CREATE FUNCTION cdm.write() RETURNS int LANGUAGE sql AS 'INSERT INTO cdm.written VALUES (1) RETURNING n';\n\
         CREATE VIEW cdm.location AS SELECT cdm.write() AS location_id; GRANT SELECT ON cdm.location TO {READER};"
    ));
    let error = super::super::super::check::check(&open(&cluster), &Reading::default())
        .map(|_| ())
        .expect_err("read-only");
    assert!(
        error.to_string().contains("table location: the server gave the query up (SQLSTATE 25006"),
        "{error}"
    );
    assert_eq!(cluster.sql("SELECT count(*) FROM cdm.written"), "0");
}

#[test]
fn what_is_not_wanted_any_more_is_cancelled() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.sql(&script("cdm", &hospital(5, 5), &|column| model(column).to_owned()));
    // Rows without end, and a table that is an error at once; without a limit on the statement.
    // The series stands among the columns: after FROM the server would write all of it down first.
    cluster.sql(&format!(
        "DROP TABLE cdm.measurement, cdm.observation; CREATE VIEW cdm.measurement AS SELECT generate_series(1, 2000000000) AS \
         person_id, 1 AS measurement_concept_id, '2020-01-01'::date AS measurement_date;\n\
         GRANT SELECT ON cdm.measurement TO {READER};"
    ));
    let active = || {
        cluster.sql(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{READER}' AND state = 'active'"
        ))
    };
    let ends = |what: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while active() != "0" {
            assert!(Instant::now() < deadline, "{what}: the query still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let database = open(&cluster);
    let measurement = Table::Clinical(Domain::Measurement);
    let columns = super::super::super::schema::columns(measurement);
    let query = database.query(measurement, columns, None).expect("there");
    let mut batches = 0;
    let stopped = database.read(&query, columns, &mut |_| {
        batches += 1;
        if batches < 3 { Ok(()) } else { Err(InvalidOmop::NoTables { path: "enough".into() }) }
    });
    assert!(stopped.expect_err("stopped").to_string().contains("enough"));
    ends("an error on our side");
    // The transaction hears it too, and is of no use any more: that is said.
    let error = People::read(&database).map(|_| ()).expect_err("the transaction is over");
    assert!(error.to_string().contains("SQLSTATE 25P02: an earlier query failed"), "{error}");
    drop(database);

    let database = open(&cluster);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        database.read(&query, columns, &mut |_| panic!("on purpose"))
    }));
    assert!(panicked.is_err());
    ends("a panic");
    drop(database);

    // A thread that fails stops those that read other tables.
    cluster.sql(&format!(
        "CREATE VIEW cdm.observation AS SELECT 1 AS person_id, 1/(n - 100000) AS observation_concept_id, '2020-01-01'::date AS \
         observation_date FROM generate_series(1, 200000) n; GRANT SELECT ON cdm.observation TO {READER};"
    ));
    let database = Database::open(&config(&cluster, "connections = 2")).expect("opens");
    let domains = [Domain::Observation, Domain::Measurement];
    let reading = Reading { threads: 2, ..Reading::default() };
    let error =
        stream::read(&database, &domains, &reading, |_| false).map(|_| ()).expect_err("divided by nothing");
    assert!(
        error.to_string().contains("table observation: the server gave the query up (SQLSTATE 22012"),
        "{error}"
    );
    ends("another thread's error");
}

#[test]
fn a_server_that_goes_away_is_named() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    cluster.sql(&script("cdm", &hospital(5, 5), &|column| model(column).to_owned()));
    let database = open(&cluster);
    cluster
        .sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{READER}'"));
    let message = People::read(&database).map(|_| ()).expect_err("gone").to_string();
    let known = ["the connection to PostgreSQL", "SQLSTATE 57P01"];
    assert!(known.iter().any(|part| message.contains(part)), "{message}");
}
