//! One hospital, many ways to lay it out in a database, one stream: that of its folder.

use super::super::super::tests::hospital::{Text, bytes_of, hospital};
use super::super::super::{Folder, People, Reading, check, vocabulary};
use super::cluster::Cluster;
use super::{READER, config, model, open, script};
use crate::data::omop::postgres::Database;
use crate::testing::shared;
use std::path::Path;

/// Everything that is read of a source, but the vocabulary.
#[track_caller]
fn same(name: &str, folder: &Folder, database: &Database) {
    let scratch = tempfile::tempdir().expect("folder");
    let expected = bytes_of(folder, &Reading { threads: 2, ..Reading::default() });
    for memory_bytes in [20_000, 1 << 30] {
        let reading = Reading { memory_bytes, threads: 3, scratch: Some(scratch.path()) };
        // No assert_eq: a failure must not print a hospital.
        assert!(bytes_of(database, &reading) == expected, "{name}: the stream");
    }
    let (one, two) = (People::read(folder).expect("reads"), People::read(database).expect("reads"));
    assert!(
        one.persons == two.persons && one.periods == two.periods && one.observed == two.observed,
        "{name}: people"
    );
    assert!(one.left_out == two.left_out, "{name}: people left out");
    assert!(
        one.person_counts == two.person_counts && one.period_counts == two.period_counts,
        "{name}: counts of people"
    );
    let (one, two) = (checked(folder), checked(database));
    assert!(one == two, "{name}: what data check counts");
}

/// What `data check` counts, in an order of its own.
fn checked<'a>(source: impl Into<super::super::super::Source<'a>>) -> String {
    let found = check::check(source, &Reading::default()).expect("checks");
    let tables: Vec<_> = found
        .tables
        .iter()
        .map(|(table, counts)| (table.name(), counts.rows, counts.events, counts.at_midnight))
        .collect();
    let units: Vec<_> =
        found.measurements.iter().map(|mix| (mix.measurement, mix.count, mix.units.clone())).collect();
    format!("{tables:?} {:?} {:?} {units:?} {:?}", found.missing, found.people.attributes, found.names)
}

fn written(tables: &[Text]) -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().expect("folder");
    tables.iter().for_each(|table| table.write_csv(&dir.path().join(format!("{}.csv", table.name))));
    let folder = Folder::open(dir.path()).expect("opens");
    (dir, folder)
}

#[test]
fn every_layout_gives_the_same_bytes() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let tables = hospital(60, 300);
    let (_dir, folder) = written(&tables);

    cluster.sql(&script("cdm", &tables, &|column| model(column).to_owned()));
    same("the types of the data model", &folder, &open(&cluster));
    let three = Database::open(&config(&cluster, "connections = 3")).expect("opens");
    same("three connections", &folder, &three);

    let older = |table: &Text| {
        let mut table = table.clone();
        for name in &mut table.header {
            *name = match name.as_str() {
                "discharged_to_concept_id" => "discharge_to_concept_id".to_owned(),
                "admitted_from_concept_id" => "admitting_source_concept_id".to_owned(),
                _ => name.clone(),
            }
            .to_uppercase();
        }
        table.rows.reverse();
        table
    };
    let older: Vec<Text> = tables.iter().map(older).collect();
    let types = |column: &str| match column {
        name if name.ends_with("_date") => "timestamp".to_owned(),
        name if name.ends_with("_datetime") => "timestamptz".to_owned(),
        "value_as_number" | "quantity" => "double precision".to_owned(),
        "days_supply" => "real".to_owned(),
        name if name.ends_with("_id") => "numeric".to_owned(),
        "year_of_birth" | "month_of_birth" => "smallint".to_owned(),
        _ => "varchar(50)".to_owned(),
    };
    cluster.sql(&script("older", &older, &types));
    let in_schema = |schema: &str| {
        let mut config = config(&cluster, "");
        schema.clone_into(&mut config.schema);
        schema.clone_into(&mut config.vocabulary_schema);
        Database::open(&config).unwrap_or_else(|error| panic!("{error}"))
    };
    same(
        "version 5.3, upper case, other types, zones, rows the other way round",
        &folder,
        &in_schema("older"),
    );

    let mut views = format!(
        "CREATE SCHEMA views; GRANT USAGE ON SCHEMA views TO {READER};\nCREATE DOMAIN views.id AS numeric;\n"
    );
    for table in &tables {
        let name = table.name;
        let columns: Vec<String> = table
            .header
            .iter()
            .map(
                |column| {
                    if column == "person_id" { "person_id::views.id".to_owned() } else { column.clone() }
                },
            )
            .collect();
        let kind = if name == "death" { "MATERIALIZED VIEW" } else { "VIEW" };
        views.push_str(&format!(
            "CREATE {kind} views.{name} AS SELECT {} FROM cdm.{name};\n",
            columns.join(", ")
        ));
        views.push_str(&format!("GRANT SELECT ON views.{name} TO {READER};\n"));
    }
    cluster.sql(&views);
    same("views, a materialized one, a domain", &folder, &in_schema("views"));

    let mut parts = format!("CREATE SCHEMA parts; GRANT USAGE ON SCHEMA parts TO {READER};\n");
    for table in &tables {
        let name = table.name;
        parts.push_str(&format!(
            "CREATE TABLE parts.{name} (LIKE cdm.{name}) PARTITION BY HASH (person_id);\n\
             CREATE TABLE parts.{name}_0 PARTITION OF parts.{name} FOR VALUES WITH (MODULUS 2, REMAINDER 0);\n\
             CREATE TABLE parts.{name}_1 PARTITION OF parts.{name} FOR VALUES WITH (MODULUS 2, REMAINDER 1);\n\
             INSERT INTO parts.{name} SELECT * FROM cdm.{name};\nGRANT SELECT ON parts.{name} TO {READER};\n"
        ));
    }
    cluster.sql(&parts);
    same("partitions", &folder, &in_schema("parts"));
}

#[test]
fn synthea() {
    let Some(root) = shared::data_set("synthea27nj-omop") else { return };
    let Some(cluster) = Cluster::start(&[]) else { return };
    let tables: Vec<Text> = super::super::super::Table::ALL
        .into_iter()
        .filter_map(|table| read(table.name(), &root.join(format!("{}.csv", table.name().to_uppercase()))))
        .collect();
    let (vocabulary, clinical): (Vec<Text>, Vec<Text>) =
        tables.into_iter().partition(|table| table.name.starts_with("concept") || table.name == "vocabulary");
    cluster.sql(&script("cdm", &clinical, &|column| model(column).to_owned()));
    cluster.sql(&script("vocab", &vocabulary, &|column| model(column).to_owned()));
    let database = Database::open(&config(&cluster, "vocabulary_schema = 'vocab'")).expect("opens");
    let folder = Folder::open(&root).expect("opens");
    same("synthea", &folder, &database);
    let concepts = |found: Result<_, _>| found.expect("reads");
    let of_database = concepts(vocabulary::concepts(&database, |_| true));
    assert!(of_database.len() == 2294 && of_database == concepts(vocabulary::concepts(&folder, |_| true)));
}

/// A CSV file by the `csv` crate, not by the reader under test.
fn read(name: &'static str, path: &Path) -> Option<Text> {
    let mut reader = csv::Reader::from_path(path).ok()?;
    let header = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect();
    Some(Text { name, header, rows })
}
