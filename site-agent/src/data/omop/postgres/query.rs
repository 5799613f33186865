//! What is asked of one table, word for word.

use super::super::cells::Column;
use super::super::schema::Table;
use super::binary::Form;
use super::catalog::{Found, FoundColumn, quoted};

/// One table's query.
pub(in super::super) struct Query {
    pub(super) table: Table,
    select: String,
    /// Of each column that comes the place in a batch, the form, and the name.
    pub(super) columns: Vec<(usize, Form, &'static str)>,
}

impl Query {
    /// Some columns of a table; `wanted` are all of it, and one that is absent there is not asked for.
    pub(super) fn new(table: Table, found: &Found, wanted: &[Column]) -> Self {
        let columns: Vec<&FoundColumn> = found.wanted(wanted).collect();
        let selected: Vec<String> = columns
            .iter()
            .map(|column| {
                let name = quoted(&column.name);
                // On the clock of the session, as a text of it would show.
                if column.has_zone { format!("{name}::timestamp") } else { name }
            })
            .collect();
        let (selected, schema, name) = (selected.join(", "), quoted(&found.schema), quoted(&found.name));
        Self {
            table,
            select: format!("SELECT {selected} FROM {schema}.{name}"),
            columns: columns.iter().map(|column| (column.place, column.form, column.column)).collect(),
        }
    }

    /// As it is sent.
    pub(in super::super) fn copy(&self) -> String {
        format!("COPY ({}) TO STDOUT (FORMAT binary)", self.select)
    }
}
