//! Which release of the source a database is: what it says of itself, without a right beyond those that are needed anyway.

use super::super::asked::QueryLog;
use super::super::schema::Table;
use super::catalog::quoted;
use super::database::Database;
use super::error::InvalidDatabase;
use super::session::Session;

/// What of OMOP's table `cdm_source` is told: in words of the hospital's own, of the source and not of anybody in it.
pub const CDM_SOURCE: [&str; 7] = [
    "cdm_source_name",
    "cdm_source_abbreviation",
    "source_release_date",
    "cdm_release_date",
    "cdm_version",
    "cdm_version_concept_id",
    "vocabulary_version",
];
/// Most rows of it: a database that was put together from several may have one of each.
const ROWS_MAX: usize = 20;
/// Most of a cell, characters.
const CHARACTERS_MAX: usize = 300;

const COLUMNS: &str = "\
SELECT c.relname::text, a.attname::text,
    has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND lower(c.relname) = 'cdm_source'
    AND lower(a.attname) = ANY($2) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum";

/// The release: where it is, the server's version, the rows of `cdm_source` if this role may read them, and of each table about
/// how many rows it has by the server's own statistics, which `ANALYZE` may change. One line each. Without table `cdm_source`,
/// or without a right to it, the other lines are there.
///
/// # Privacy
/// Numbers of rows tell of data: this is for the site's own screen and, as a commitment, the ledger.
///
/// # Errors
/// The catalogue cannot be asked.
pub(super) fn release(database: &Database, log: &QueryLog) -> Result<Vec<String>, InvalidDatabase> {
    let config = database.config();
    let version = database.server().version;
    let mut lines = vec![
        config.place(),
        format!("PostgreSQL {}.{}", version / 10_000, version % 10_000),
        format!("schema {}", quoted(&config.schema)),
    ];
    if config.vocabulary_schema != config.schema {
        lines.push(format!("vocabulary in schema {}", quoted(&config.vocabulary_schema)));
    }
    lines.extend(cdm_source(database.lease().session(), &config.schema, log)?);
    let tables = Table::WITH_NOTES.iter().filter_map(|table| Some((table, database.tables().get(table)?)));
    lines.extend(tables.map(|(table, found)| match found.estimate {
        Some(rows) => format!("table {table}, about {rows} rows"),
        None => format!("table {table}, its rows not counted by the server"),
    }));
    Ok(lines)
}

fn cdm_source(session: &Session, schema: &str, log: &QueryLog) -> Result<Vec<String>, InvalidDatabase> {
    let names: Vec<&str> = CDM_SOURCE.to_vec();
    let rows = session.query("asking for table cdm_source", COLUMNS, &[&schema, &names])?;
    let columns: Vec<(String, String, bool)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    // Names that differ in case only: the first of them.
    let Some((table, ..)) = columns.first() else { return Ok(Vec::new()) };
    let readable: Vec<&str> =
        columns.iter().filter(|(of, _, may)| of == table && *may).map(|(_, name, _)| name.as_str()).collect();
    if readable.is_empty() {
        return Ok(vec!["table cdm_source: this role may not read it".to_owned()]);
    }
    let selected: Vec<String> =
        readable.iter().map(|name| format!("left({}::text, {CHARACTERS_MAX})", quoted(name))).collect();
    let order: Vec<String> = (1..=selected.len()).map(|at| at.to_string()).collect();
    let (selected, order) = (selected.join(", "), order.join(", "));
    let from = format!("{}.{}", quoted(schema), quoted(table));
    let select = format!("SELECT {selected} FROM {from} ORDER BY {order} LIMIT {ROWS_MAX}");
    log.note(None, &select.as_str().into());
    let Some(rows) = session.query_or_none(&select)? else {
        return Ok(vec!["table cdm_source: the server gave the query up".to_owned()]);
    };
    let mut lines = Vec::new();
    for row in &rows {
        for (at, name) in readable.iter().enumerate() {
            let cell: Option<String> = row.get(at);
            let cell = cell.as_deref().map(one_line).unwrap_or_default();
            if !cell.is_empty() {
                lines.push(format!("{} {cell}", name.to_lowercase()));
            }
        }
    }
    Ok(lines)
}

/// Without what would end a line, or be an order to a terminal.
fn one_line(text: &str) -> String {
    let plain: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        fn check(text: &str, expected: &str) {
            assert_eq!(one_line(text), expected);
        }
        check(" A hospital\r\n", "A hospital");
        check("A\nB\u{1b}[2J", "A B [2J");
        check("\t", "");
    }
}
