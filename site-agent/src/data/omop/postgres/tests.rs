//! Against PostgreSQL itself, in clusters of their own: one stream from every way to lay the tables out; types, rights, TLS,
//! one snapshot, and what is cancelled.

pub(crate) mod cluster;
mod faults;
mod layouts;
mod narrowing;
mod protection;
mod rights;
mod snapshot;

use super::super::tests::hospital::Text;
use super::{Config, Database};
use cluster::Cluster;
use std::fmt::Write as _;
use std::path::Path;

/// How the tests read: a role without any right but those that `data grants` printed.
pub(crate) const READER: &str = "reader";

/// A source over the cluster's socket.
pub(crate) fn source(cluster: &Cluster, more: &str) -> String {
    let socket = cluster.folder().display();
    format!(
        "[postgres]\nhost = '{socket}'\nport = {}\ndatabase = 'postgres'\nuser = '{READER}'\nschema = 'cdm'\n{more}\n",
        cluster.port()
    )
}

pub(crate) fn config(cluster: &Cluster, more: &str) -> Config {
    Config::parse(&source(cluster, more), Path::new("/"), None)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

pub(crate) fn open(cluster: &Cluster) -> Database {
    Database::open(&config(cluster, "")).unwrap_or_else(|error| panic!("{error}"))
}

/// The types of the data model's own scripts.
pub(crate) fn model(column: &str) -> &'static str {
    match column {
        name if name.ends_with("_date") => "date",
        name if name.ends_with("_datetime") => "timestamp",
        "value_as_number" | "quantity" => "numeric",
        "domain_id" | "vocabulary_id" | "concept_class_id" => "text",
        name if name.ends_with("_id") || name.ends_with("_of_birth") => "bigint",
        "days_supply" | "min_levels_of_separation" | "max_levels_of_separation" => "integer",
        _ => "text",
    }
}

/// SQL that makes the tables in a schema and fills them; READER may read every column.
pub(crate) fn script(schema: &str, tables: &[Text], type_of: &dyn Fn(&str) -> String) -> String {
    let mut sql = format!(
        "DO $$BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END$$;\n\
         CREATE SCHEMA \"{schema}\";\nGRANT USAGE ON SCHEMA \"{schema}\" TO {READER};\n"
    );
    for table in tables {
        let columns: Vec<String> =
            table.header.iter().map(|name| format!("\"{name}\" {}", type_of(&name.to_lowercase()))).collect();
        let name = format!("\"{schema}\".\"{}\"", table.name);
        let copy =
            format!("CREATE TABLE {name} ({});\nCOPY {name} FROM STDIN (FORMAT csv);\n", columns.join(", "));
        sql.push_str(&copy);
        for row in &table.rows {
            let cells: Vec<String> = row.iter().map(|cell| cell_of_csv(cell)).collect();
            writeln!(sql, "{}", cells.join(",")).expect("a string");
        }
        write!(sql, "\\.\nGRANT SELECT ON {name} TO {READER};\n").expect("a string");
    }
    sql
}

fn cell_of_csv(cell: &str) -> String {
    let plain = !cell.contains([',', '"', '\n', '\r', '\\']);
    if plain { cell.to_owned() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
}
