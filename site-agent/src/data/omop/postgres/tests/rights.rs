//! What a role may read: the printed script is enough, and not too much; what is withheld is an error.

use super::super::super::tests::hospital::{bytes_of, hospital};
use super::super::super::{Domain, InvalidOmop, People, Reading, Table, Wanted, stream};
use super::super::{CdmVersion, Database, InvalidDatabase, grants, grants_of, plan};
use super::cluster::Cluster;
use super::{READER, config, model, script};

#[test]
fn the_script_is_enough_and_no_more() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let tables = hospital(30, 100);
    cluster.sql(&script("cdm", &tables, &|column| model(column).to_owned()));
    let expected = bytes_of(&super::open(&cluster), &Reading::default());
    cluster.sql(&format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA cdm FROM {READER}; REVOKE USAGE ON SCHEMA cdm FROM {READER};"
    ));

    let connect = || Database::open(&config(&cluster, "")).unwrap_or_else(|error| panic!("{error}"));
    let withheld = |database: &Database| {
        let error = stream::read(database, &Domain::ALL, &Reading::default(), |_| true)
            .map(|_| ())
            .expect_err("withheld");
        let InvalidOmop::Database(error @ InvalidDatabase::NotGranted { .. }) = error else {
            panic!("{error}")
        };
        error.to_string()
    };
    // The catalogue is there for everybody, so that the script can be printed before anything was granted.
    let database = connect();
    assert!(withheld(&database).contains("role \"reader\" may not read schema \"cdm\""));
    let sql = grants(&database, &Wanted::all(&Table::ALL), READER);
    let planned = plan(&database, &Wanted::all(&Table::ALL));
    assert_eq!(
        (planned.tables.len(), planned.withheld.as_slice()),
        (10, ["schema \"cdm\"".to_owned()].as_slice())
    );
    drop(database);
    cluster.sql(&sql);
    let database = connect();
    database.granted(&Wanted::all(&Table::ALL)).expect("granted");
    assert!(bytes_of(&database, &Reading::default()) == expected, "the same stream as with every right");
    drop(database);

    let granted = cluster.sql(&format!(
        "SELECT table_name || '.' || column_name FROM information_schema.column_privileges WHERE grantee = '{READER}' \
         AND table_schema = 'cdm' ORDER BY 1"
    ));
    let granted: Vec<&str> = granted.lines().collect();
    for name in
        ["person.person_source_value", "condition_occurrence.condition_source_value", "observation.note"]
    {
        assert!(!granted.contains(&name), "{name} is not read");
    }
    assert!(granted.contains(&"person.person_id") && granted.contains(&"measurement.value_as_number"));
    assert_eq!(sql.matches("\nGRANT SELECT").count(), 10);

    // One column that is there and withheld: an error, and not a column less.
    cluster
        .sql(&format!("REVOKE SELECT (unit_concept_id, value_as_number) ON cdm.measurement FROM {READER};"));
    let database = connect();
    let message = withheld(&database);
    assert!(
        message
            .contains("may not read measurement (value_as_number, unit_concept_id): the columns are there"),
        "{message}"
    );
    assert!(People::read(&database).is_ok(), "other tables can be read");
}

#[test]
fn the_script_without_a_connection_runs() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let config = config(&cluster, "vocabulary_schema = 'vocab'");
    cluster.sql(&format!("CREATE ROLE {READER} LOGIN;"));
    for (version, spare) in
        [(CdmVersion::V5_3, "admitted_from_concept_id"), (CdmVersion::V5_4, "discharge_to_concept_id")]
    {
        let sql = grants_of(&config, version, &Wanted::all(&Table::ALL), READER);
        // Tables of exactly the columns that the script names; it fails where a table or a column is missing.
        let mut tables =
            "DROP SCHEMA IF EXISTS cdm, vocab CASCADE; CREATE SCHEMA cdm; CREATE SCHEMA vocab;\n".to_owned();
        for line in sql.lines().filter(|line| line.starts_with("GRANT SELECT")) {
            let (columns, rest) = line
                .strip_prefix("GRANT SELECT (")
                .and_then(|rest| rest.split_once(") ON TABLE "))
                .expect("columns");
            let (table, _) = rest.split_once(" TO ").expect("a table");
            let columns: Vec<String> =
                columns.split(", ").map(|name| format!("{name} {}", model(name.trim_matches('"')))).collect();
            tables.push_str(&format!("CREATE TABLE {table} ({});\n", columns.join(", ")));
        }
        assert!(!sql.contains(spare), "{sql}");
        cluster.sql(&tables);
        cluster.sql(&sql);
        let database = Database::open(&config).unwrap_or_else(|error| panic!("{error}"));
        database.granted(&Wanted::all(&Table::ALL)).expect("granted");
        assert!(Table::ALL.into_iter().all(|table| database.has(table)));
        assert_eq!(grants(&database, &Wanted::all(&Table::ALL), READER), sql, "with a connection the same");
    }
}

#[test]
fn the_plan_names_every_query_and_about_how_many_rows() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let tables = hospital(30, 100);
    cluster.sql(&script("cdm", &tables, &|column| model(column).to_owned()));
    let planned = |tables: &[Table]| {
        let database = super::open(&cluster);
        let plan = plan(&database, &Wanted::all(tables));
        let rows =
            |table: Table| plan.tables.iter().find(|planned| planned.table == table).expect("planned").rows;
        (rows(Table::Clinical(Domain::Measurement)), plan)
    };
    let (unknown, _) = planned(&Table::ALL);
    assert_eq!(unknown, None, "never analysed");
    cluster.sql("ANALYZE;");
    let (rows, plan) = planned(&Table::ALL);
    assert_eq!(rows, Some(100));
    assert_eq!((plan.rows(), plan.seconds(), plan.time_zone.as_str()), (763, 1, "Europe/London"));
    assert_eq!(plan.missing.len(), 6);
    assert_eq!(plan.begin[0], "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    // Another list of tables, another plan.
    let (_, less) = planned(&[Table::Person, Table::Clinical(Domain::Measurement)]);
    assert_eq!((less.tables.len(), less.missing.len()), (2, 0));

    // Those and no others are asked: by the server's own log.
    cluster.append("postgresql.conf", "log_statement = 'all'\n");
    cluster.restart();
    let log = cluster.folder().join("log");
    let before = std::fs::read_to_string(&log).expect("a log").len();
    let database = super::open(&cluster);
    super::super::super::check::check(&database, &Reading::default()).expect("checks");
    drop(database);
    let log = std::fs::read_to_string(&log).expect("a log").split_off(before);
    let asked: Vec<&str> = log.lines().filter_map(|line| Some(&line[line.find("COPY (SELECT")?..])).collect();
    assert_eq!(asked.len(), plan.tables.len());
    for planned in &plan.tables {
        assert!(asked.contains(&planned.query.as_str()), "{}", planned.query);
    }
}
