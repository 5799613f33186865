//! What an engine is asked for: files, columns, and which rows can matter.

use super::super::asked::Rows;
use super::super::cells::Column;
use super::super::error::InvalidOmop;
use super::super::event::ConceptId;
use super::super::folder::{Folder, Form, TableFile};
use super::super::narrowing::Narrowing;
use super::super::parquet_rows;
use super::super::schema::{self, Table, at};
use super::query;
use arrow_schema::DataType;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows of one table. Files whose columns differ in names or types are scans of their own.
pub(in super::super) struct Scan {
    pub(super) table: Table,
    pub(super) files: Files,
    /// Only rows with one of these concepts; none where every row counts.
    pub(super) concepts: Option<BTreeSet<ConceptId>>,
    /// Only rows of people who have a row there; none where everybody's count.
    pub(super) entered: Option<Arc<[Entry]>>,
}

/// Parquet files whose columns have the same names and types.
pub(super) struct Files {
    pub(super) paths: Vec<PathBuf>,
    /// As they were asked for.
    pub(super) columns: Vec<Column>,
    /// For each of them its name and type in the files.
    pub(super) fields: Vec<Option<(String, DataType)>>,
    /// As their footers say.
    pub(super) rows: u64,
}

/// Rows by which people come into a study.
pub(super) struct Entry {
    pub(super) table: Table,
    pub(super) files: Files,
    pub(super) concepts: BTreeSet<ConceptId>,
}

impl Scan {
    /// What the engine is asked for, in words like SQL's: [`super::query`] makes its plan from the same parts.
    pub(in super::super) fn words(&self) -> String {
        let entered = self.entered.as_deref();
        let entered =
            entered.map(|entries| (self.files.name(at::PERSON), entries.iter().map(Entry::rows).collect()));
        let rows = Rows {
            columns: query::columns(&self.files).into_iter().map(|(name, _)| name.as_str()).collect(),
            from: self.files.words(self.table),
            concepts: self.concepts.as_ref().map(|concepts| (self.files.name(at::CONCEPT), concepts)),
            people: entered,
        };
        rows.to_string()
    }

    /// Its files.
    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.files.paths
    }

    /// About how many rows the files have, to begin with the largest.
    pub(in super::super) const fn rows(&self) -> u64 {
        self.files.rows
    }
}

/// The scans of a table's Parquet files; of its other files there are none.
pub(super) fn scans(
    folder: &Folder,
    table: Table,
    columns: &[Column],
    narrowing: Option<&Narrowing>,
) -> Result<Vec<Scan>, InvalidOmop> {
    let concepts = narrowing.and_then(|narrowing| narrowing.of(table));
    let entered = match narrowing.and_then(|narrowing| narrowing.people_of(table)) {
        Some(tables) => entries(folder, &tables)?,
        None => None,
    };
    let scan = |files: Files| {
        let is_number = |column: usize| files.is_whole_number(column);
        Scan {
            table,
            concepts: concepts.filter(|_| is_number(at::CONCEPT)).cloned(),
            entered: entered.as_ref().filter(|_| is_number(at::PERSON)).cloned(),
            files,
        }
    };
    Ok(parquet_files(folder, table, columns)?.into_iter().map(scan).collect())
}

/// The rows by which people come into the study; none where an engine cannot tell: in files that it does not read, or in
/// columns that it would not compare as we do.
fn entries(
    folder: &Folder,
    tables: &[(Table, &BTreeSet<ConceptId>)],
) -> Result<Option<Arc<[Entry]>>, InvalidOmop> {
    let mut entries = Vec::new();
    for (table, concepts) in tables {
        if folder.files(*table).iter().any(|file| file.form != Form::Parquet) {
            return Ok(None);
        }
        let mut columns = schema::columns(*table).to_vec();
        for (place, column) in columns.iter_mut().enumerate() {
            if place != at::PERSON && place != at::CONCEPT {
                *column = Column::absent();
            }
        }
        for files in parquet_files(folder, *table, &columns)? {
            if !files.is_whole_number(at::PERSON) || !files.is_whole_number(at::CONCEPT) {
                return Ok(None);
            }
            entries.push(Entry { table: *table, files, concepts: (*concepts).clone() });
        }
    }
    Ok(Some(entries.into()))
}

/// A table's Parquet files, those together that have the same columns; reads their footers, so that what is wrong with a
/// column is said as it is of a folder.
fn parquet_files(folder: &Folder, table: Table, columns: &[Column]) -> Result<Vec<Files>, InvalidOmop> {
    let mut all: Vec<Files> = Vec::new();
    for TableFile { path, .. } in folder.files(table).iter().filter(|file| file.form == Form::Parquet) {
        let opened = parquet_rows::open(path, columns)?;
        let (fields, rows) = (opened.fields(), opened.rows());
        match all.iter_mut().find(|files| files.fields == fields) {
            Some(files) => {
                files.paths.push(path.clone());
                files.rows += rows;
            }
            None => all.push(Files { paths: vec![path.clone()], columns: columns.to_vec(), fields, rows }),
        }
    }
    Ok(all)
}

impl Entry {
    fn rows(&self) -> Rows<'_> {
        Rows {
            columns: vec![self.files.name(at::PERSON)],
            from: self.files.words(self.table),
            concepts: Some((self.files.name(at::CONCEPT), &self.concepts)),
            people: None,
        }
    }
}

impl Files {
    /// The name in the files of a column that rows are told apart by.
    fn name(&self, column: usize) -> &str {
        let (name, _) = self.fields[column].as_ref().expect("a scan asks by columns that are there");
        name
    }

    /// Which they are, without their paths.
    fn words(&self, table: Table) -> String {
        format!("{table} (Parquet files: {})", self.paths.len())
    }

    /// Whether a column is there, in a type that an engine compares as we do: text may be written in more than one way, and
    /// a float or a decimal has rules of its own for what is a whole number.
    fn is_whole_number(&self, column: usize) -> bool {
        let field = self.fields.get(column).and_then(Option::as_ref);
        field.is_some_and(|(_, found)| found.is_integer())
    }
}
