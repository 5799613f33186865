//! The script by which a database's administrator allows exactly what the agent reads.

use super::super::wanted::Wanted;
use super::catalog::{quoted, schema_of};
use super::config::Config;
use super::database::Database;
use super::release::CDM_SOURCE;
use std::collections::BTreeSet;

/// A version of the data model, for a script without a look at the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdmVersion {
    /// 5.3.
    V5_3,
    /// 5.4.
    V5_4,
}

/// Columns of ours that 5.4 brought.
const SINCE_5_4: [&str; 2] = ["procedure_end_date", "procedure_end_datetime"];

/// For the columns that are read and that a database has, by their names there.
#[must_use]
pub fn grants(database: &Database, wanted: &Wanted, role: &str) -> String {
    let tables = wanted.tables();
    let there = tables.iter().filter_map(|table| {
        let found = database.tables().get(table)?;
        let columns = found.wanted(wanted.columns(*table)).map(|column| column.name.clone()).collect();
        Some((found.schema.clone(), found.name.clone(), columns))
    });
    script(database.config(), role, &there.collect::<Vec<_>>())
}

/// For the columns that are read as a version of the data model has them.
#[must_use]
pub fn grants_of(config: &Config, version: CdmVersion, wanted: &Wanted, role: &str) -> String {
    let tables = wanted.tables();
    let of_version = tables.iter().map(|table| {
        let columns = wanted.columns(*table).iter().filter_map(|column| match version {
            CdmVersion::V5_4 => column.names.first(),
            CdmVersion::V5_3 => column.names.last().filter(|name| !SINCE_5_4.contains(*name)),
        });
        let columns = columns.map(|name| (*name).to_owned()).collect();
        (schema_of(*table, config).to_owned(), table.name().to_owned(), columns)
    });
    script(config, role, &of_version.collect::<Vec<_>>())
}

fn script(config: &Config, role: &str, tables: &[(String, String, Vec<String>)]) -> String {
    let (to, database) = (quoted(role), quoted(&config.database));
    let mut lines = vec![
        "-- Lets Consilium's site agent read exactly the columns that it uses, and nothing else.".to_owned(),
        format!("-- For whoever owns the tables, in database {database}. A role that is not there yet:"),
        format!("--   CREATE ROLE {to} LOGIN CONNECTION LIMIT {};", config.connections + 1),
        format!("--   ALTER ROLE {to} SET default_transaction_read_only = on;"),
        "-- and its password by \\password in psql, which does not write it to a log.".to_owned(),
        format!("GRANT CONNECT ON DATABASE {database} TO {to};"),
    ];
    let schemas: BTreeSet<&String> = tables.iter().map(|(schema, ..)| schema).collect();
    lines.extend(schemas.iter().map(|schema| format!("GRANT USAGE ON SCHEMA {} TO {to};", quoted(schema))));
    for (schema, table, columns) in tables {
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let (columns, schema, table) = (columns.join(", "), quoted(schema), quoted(table));
        lines.push(format!("GRANT SELECT ({columns}) ON TABLE {schema}.{table} TO {to};"));
    }
    let told: Vec<String> = CDM_SOURCE.iter().map(|column| quoted(column)).collect();
    let (told, schema) = (told.join(", "), quoted(&config.schema));
    lines.push("-- Optional: which release of the source this is, in its own words, for this hospital's own screen and as a".to_owned());
    lines.push(
        "-- commitment in its ledger. Without it nothing else is missing. Leave out columns that your table lacks."
            .to_owned(),
    );
    lines.push(format!("--   GRANT SELECT ({told}) ON TABLE {schema}.\"cdm_source\" TO {to};"));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::super::event::Domain;
    use super::super::super::schema::Table;
    use super::*;
    use std::path::Path;

    #[test]
    fn names_of_each_version() {
        let source =
            "[postgres]\nhost='h'\ndatabase='om\"op'\nuser='u'\nschema='cdm'\nvocabulary_schema='vocab'";
        let config = Config::parse(source, Path::new(""), None).expect("parses");
        let tables =
            [Table::Clinical(Domain::Visit), Table::Clinical(Domain::Procedure), Table::ConceptAncestor];
        let script = |version| grants_of(&config, version, &Wanted::all(&tables), "re\"ader");
        let (older, newer) = (script(CdmVersion::V5_3), script(CdmVersion::V5_4));
        for part in [
            "GRANT CONNECT ON DATABASE \"om\"\"op\" TO \"re\"\"ader\";\n",
            "GRANT USAGE ON SCHEMA \"cdm\" TO \"re\"\"ader\";\nGRANT USAGE ON SCHEMA \"vocab\" TO",
            "GRANT SELECT (\"ancestor_concept_id\", \"descendant_concept_id\", \"min_levels_of_separation\") ON TABLE \
             \"vocab\".\"concept_ancestor\" TO \"re\"\"ader\";\n",
            "\"visit_occurrence_id\", \"care_site_id\", \"provider_id\") ON TABLE \"cdm\".\"visit_occurrence\"",
        ] {
            assert!(older.contains(part) && newer.contains(part), "{part} in\n{newer}");
        }
        for name in ["\"discharged_to_concept_id\"", "\"admitted_from_concept_id\"", "\"procedure_end_date\""]
        {
            assert!(newer.contains(name) && !older.contains(name), "{name}");
        }
        for name in ["\"discharge_to_concept_id\"", "\"admitting_source_concept_id\""] {
            assert!(older.contains(name) && !newer.contains(name), "{name}");
        }
        assert_eq!(newer.matches("\nGRANT SELECT").count(), 3);
        assert!(
            newer.contains("\n--   GRANT SELECT (\"cdm_source_name\", ") && newer.contains("\n-- Optional: ")
        );
        assert!(!newer.contains("()"), "no table without a column");
    }
}
