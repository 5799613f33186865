//! Which tables and columns of ours a database has, by which names, of which types, and whether this role may read them.
//!
//! From `pg_catalog` rather than `information_schema`: the latter hides what a role may not read, so that a column that was
//! not granted would look like one that is not there, and be missing without notice.

use super::super::cells::Column;
use super::super::schema::{self, Table};
use super::binary::{Form, TIMESTAMP_WITH_ZONE};
use super::config::Config;
use super::error::InvalidDatabase;
use super::session::Session;
use std::collections::{BTreeMap, BTreeSet};

const ATTRIBUTES: &str = "\
WITH relations AS (
    SELECT c.oid, c.relname, n.oid AS schema, CASE c.relkind
        WHEN 'p' THEN (
            SELECT CASE WHEN bool_and(k.reltuples >= 0) THEN sum(k.reltuples) ELSE -1 END
            FROM pg_partition_tree(c.oid) p JOIN pg_class k ON k.oid = p.relid WHERE p.isleaf)
        WHEN 'r' THEN c.reltuples
        WHEN 'm' THEN c.reltuples
        ELSE -1 END::float8 AS estimate
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND lower(c.relname) = ANY($2)
)
SELECT r.relname::text, coalesce(r.estimate, -1), a.attname::text,
    CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, format_type(a.atttypid, a.atttypmod),
    has_schema_privilege(r.schema, 'USAGE'), has_column_privilege(r.oid, a.attnum, 'SELECT')
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped
ORDER BY r.relname, a.attnum";

/// A column of the database.
#[derive(Debug, Clone)]
struct Attribute {
    table: String,
    /// Rows, about; negative where the server does not know.
    estimate: f64,
    name: String,
    type_oid: u32,
    type_name: String,
    may_enter: bool,
    may_read: bool,
}

/// A table of ours as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) schema: String,
    pub(super) name: String,
    /// Rows, about, where the server knows.
    pub(super) estimate: Option<u64>,
    /// Those that are there.
    pub(super) columns: Vec<FoundColumn>,
    /// Whether this role may use the schema.
    pub(super) may_enter: bool,
}

/// A column of ours as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundColumn {
    /// Its place among the table's columns.
    pub(super) place: usize,
    /// Our name for it, in lower case.
    pub(super) column: &'static str,
    /// The database's.
    pub(super) name: String,
    pub(super) form: Form,
    /// A time with a zone.
    pub(super) has_zone: bool,
    pub(super) may_read: bool,
}

/// Looks for every table of ours.
pub(super) fn look(session: &Session, config: &Config) -> Result<BTreeMap<Table, Found>, InvalidDatabase> {
    let names: Vec<&str> = Table::WITH_NOTES.iter().map(|table| table.name()).collect();
    let schemas = BTreeSet::from([config.schema.as_str(), config.vocabulary_schema.as_str()]);
    let mut attributes = BTreeMap::new();
    for schema in schemas {
        let rows = session.query("asking which columns there are", ATTRIBUTES, &[&schema, &names])?;
        let of_row = |row: &tokio_postgres::Row| Attribute {
            table: row.get(0),
            estimate: row.get(1),
            name: row.get(2),
            type_oid: row.get(3),
            type_name: row.get(4),
            may_enter: row.get(5),
            may_read: row.get(6),
        };
        attributes.insert(schema, rows.iter().map(of_row).collect::<Vec<_>>());
    }
    let mut tables = BTreeMap::new();
    for table in Table::WITH_NOTES {
        let schema = schema_of(table, config);
        let found = match resolve(table, schema, &attributes[schema]) {
            // Most studies read no notes, and a table of them that would not do is nothing to them.
            Err(_) if !Table::ALL.contains(&table) => None,
            found => found?,
        };
        if let Some(found) = found {
            tables.insert(table, found);
        }
    }
    let place = || config.place();
    let schema = config.schema.clone();
    if tables.is_empty() {
        return Err(InvalidDatabase::NoTables { place: place(), schema });
    }
    match Table::ALL.into_iter().find(|table| table.is_required() && !tables.contains_key(table)) {
        Some(table) => Err(InvalidDatabase::MissingTable { place: place(), schema, table }),
        None => Ok(tables),
    }
}

/// Where a table is looked for.
pub(super) fn schema_of(table: Table, config: &Config) -> &str {
    match table {
        Table::Concept | Table::ConceptAncestor | Table::Vocabulary => &config.vocabulary_schema,
        _ => &config.schema,
    }
}

/// A table among a schema's columns; none where it is missing.
fn resolve(table: Table, schema: &str, attributes: &[Attribute]) -> Result<Option<Found>, InvalidDatabase> {
    let of_table: Vec<&Attribute> =
        attributes.iter().filter(|attribute| attribute.table.to_lowercase() == table.name()).collect();
    let Some(first) = of_table.first() else { return Ok(None) };
    if of_table.iter().any(|attribute| attribute.table != first.table) {
        return Err(InvalidDatabase::TwoTables { schema: schema.to_owned(), table });
    }
    let mut columns = Vec::new();
    for (place, column) in schema::columns(table).iter().enumerate() {
        columns.extend(find(table, &of_table, place, column)?);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate from 0 on")]
    let estimate = (first.estimate >= 0.0).then(|| first.estimate.round() as u64);
    let (name, may_enter) = (first.table.clone(), first.may_enter);
    Ok(Some(Found { schema: schema.to_owned(), name, estimate, columns, may_enter }))
}

fn find(
    table: Table,
    attributes: &[&Attribute],
    place: usize,
    column: &Column,
) -> Result<Option<FoundColumn>, InvalidDatabase> {
    for name in column.names {
        let mut named = attributes.iter().filter(|attribute| attribute.name.to_lowercase() == **name);
        let Some(attribute) = named.next() else { continue };
        if named.next().is_some() {
            return Err(InvalidDatabase::RepeatedColumn { table, column: name });
        }
        let Some(form) = Form::of(column.kind, attribute.type_oid) else {
            let (expected, found) = (column.kind.words(), attribute.type_name.clone());
            return Err(InvalidDatabase::ColumnType { table, column: name, expected, found });
        };
        return Ok(Some(FoundColumn {
            place,
            column: name,
            name: attribute.name.clone(),
            form,
            has_zone: attribute.type_oid == TIMESTAMP_WITH_ZONE,
            may_read: attribute.may_read,
        }));
    }
    if column.required {
        return Err(InvalidDatabase::MissingColumn { table, expected: column.names.join(" or ") });
    }
    Ok(None)
}

impl Found {
    /// Those of its columns that are asked for.
    pub(super) fn wanted<'a>(&'a self, wanted: &'a [Column]) -> impl Iterator<Item = &'a FoundColumn> {
        let is_wanted = |place: usize| wanted.get(place).is_some_and(|column| !column.names.is_empty());
        self.columns.iter().filter(move |column| is_wanted(column.place))
    }

    /// The first column that is needed and not there, in words.
    pub(super) fn lacking(&self, wanted: &[Column]) -> Option<String> {
        Column::lacking(wanted, |place| self.columns.iter().any(|column| column.place == place))
    }

    /// What this role may not read of it; none where it may read everything that is asked for.
    pub(super) fn withheld(&self, table: Table, wanted: &[Column]) -> Option<String> {
        if !self.may_enter {
            return Some(format!("schema {}", quoted(&self.schema)));
        }
        let names: Vec<&str> =
            self.wanted(wanted).filter(|column| !column.may_read).map(|column| column.column).collect();
        (!names.is_empty()).then(|| format!("{table} ({})", names.join(", ")))
    }
}

/// A name as SQL takes it literally.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::super::event::Domain;
    use super::super::query::{Catalogue, Query};
    use super::*;

    const DEATH: Table = Table::Clinical(Domain::Death);

    fn attribute(table: &str, name: &str, type_oid: u32) -> Attribute {
        Attribute {
            table: table.into(),
            estimate: -1.0,
            name: name.into(),
            type_oid,
            type_name: format!("type {type_oid}"),
            may_enter: true,
            may_read: true,
        }
    }

    fn query_of(table: Table, found: Found, wanted: &[Column]) -> String {
        let catalogue = Catalogue { tables: &BTreeMap::from([(table, found)]), version: 150_004 };
        Query::new(&catalogue, table, wanted, None).expect("there").copy()
    }

    #[test]
    fn what_is_found() {
        #[track_caller]
        fn check(columns: &[(&str, &str, u32)], expected: Result<&str, &str>) {
            let attributes: Vec<_> =
                columns.iter().map(|(table, name, oid)| attribute(table, name, *oid)).collect();
            match (resolve(DEATH, "c\"dm", &attributes), expected) {
                (Ok(found), Ok(query)) => {
                    let found =
                        found.map(|found| query_of(DEATH, found, schema::columns(DEATH))).unwrap_or_default();
                    assert_eq!(found, query, "{columns:?}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{columns:?}: {error}"),
                (found, _) => panic!("{columns:?}: {found:?}"),
            }
        }
        check(&[("person", "person_id", 23)], Ok(""));
        check(
            &[("death", "spare", 16), ("death", "death_date", 1082), ("death", "person_id", 23)],
            Ok(
                "COPY (SELECT \"person_id\", \"death_date\" FROM \"c\"\"dm\".\"death\") TO STDOUT (FORMAT binary)",
            ),
        );
        check(
            &[("Death", "PERSON_ID", 1700), ("Death", "death_datetime", 1184)],
            Ok(
                "COPY (SELECT \"PERSON_ID\", \"death_datetime\"::timestamp FROM \"c\"\"dm\".\"Death\") TO STDOUT (FORMAT binary)",
            ),
        );
        check(
            &[("death", "person_id", 23), ("DEATH", "person_id", 23)],
            Err("table death is there twice in schema"),
        );
        check(
            &[("death", "person_id", 23), ("death", "Person_Id", 23)],
            Err("column person_id is there twice"),
        );
        check(&[("death", "death_date", 1082)], Err("table death: expected a column person_id"));
        check(
            &[("death", "person_id", 2950)],
            Err("table death: column person_id: expected whole numbers, found type 2950"),
        );
        check(
            &[("death", "person_id", 23), ("death", "death_date", 25)],
            Err("table death: column death_date: expected dates, found type 25"),
        );
    }

    #[test]
    fn names_of_both_versions() {
        let visit = Table::Clinical(Domain::Visit);
        let ids = ["person_id", "visit_concept_id", "visit_occurrence_id"];
        for name in ["discharged_to_concept_id", "discharge_to_concept_id"] {
            let columns = ids.into_iter().chain([name]);
            let attributes: Vec<_> =
                columns.map(|column| attribute("visit_occurrence", column, 23)).collect();
            let found = resolve(visit, "cdm", &attributes).expect("good").expect("there");
            assert!(
                found
                    .columns
                    .iter()
                    .any(|column| column.column == name && column.place == schema::at::VALUE_CONCEPT)
            );
            // A study that does not want it does not ask for it.
            let mut wanted = schema::columns(visit).to_vec();
            wanted[schema::at::VALUE_CONCEPT] = Column::absent();
            assert!(!query_of(visit, found, &wanted).contains(name));
        }
    }

    #[test]
    fn what_is_withheld() {
        let mut attributes =
            vec![attribute("death", "person_id", 23), attribute("death", "death_date", 1082)];
        let found =
            |attributes: &[Attribute]| resolve(DEATH, "cdm", attributes).expect("good").expect("there");
        assert_eq!(found(&attributes).withheld(DEATH, schema::columns(DEATH)), None);
        attributes[1].may_read = false;
        assert_eq!(
            found(&attributes).withheld(DEATH, schema::columns(DEATH)).as_deref(),
            Some("death (death_date)")
        );
        attributes[0].may_enter = false;
        assert_eq!(
            found(&attributes).withheld(DEATH, schema::columns(DEATH)).as_deref(),
            Some("schema \"cdm\"")
        );
    }
}
