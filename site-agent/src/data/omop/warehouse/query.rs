//! A scan as a plan: columns, concepts, and a semi-join with the people who come into the study.

use super::super::error::InvalidOmop;
use super::super::event::ConceptId;
use super::super::schema::at;
use super::error::InvalidWarehouse;
use super::scan::{Entry, Files, Scan};
use arrow_schema::{DataType, Field, Schema};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DataFusionError, JoinType};
use datafusion::config::ParquetOptions;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::logical_expr::expr_fn::{ident, in_list, try_cast};
use datafusion::logical_expr::lit;
use datafusion::prelude::{DataFrame, Expr, SessionContext};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// The people who come into the study, as a column.
const ENTERED: &str = "entered";
/// Of longer lists row groups are left out by the least and the greatest alone.
const LIST_PRUNED_MAX: usize = 20;

/// How Parquet is read, wherever it is read: by the types of the file itself, as we read it, and by rows that are wanted.
pub(super) fn parquet_options() -> ParquetOptions {
    ParquetOptions {
        pushdown_filters: true,
        schema_force_view_types: false,
        // In nanoseconds the year 9999 wraps around to one that looks sound.
        coerce_int96: Some("us".to_owned()),
        ..ParquetOptions::default()
    }
}

/// Of which columns of ours a plan's columns are, in the plan's order; two of ours may be one.
pub(super) fn columns(files: &Files) -> Vec<&(String, DataType)> {
    let mut columns: Vec<&(String, DataType)> = Vec::new();
    for field in files.fields.iter().flatten() {
        if !columns.contains(&field) {
            columns.push(field);
        }
    }
    columns
}

/// The plan of a scan.
pub(super) fn plan(
    context: &SessionContext,
    scan: &Scan,
    paths: &Paths,
) -> Result<DataFrame, DataFusionError> {
    let mut rows = table(context, &scan.files, &paths.of_scan)?;
    if let Some(concepts) = &scan.concepts {
        rows = rows.filter(has_one_of(&scan.files, concepts))?;
    }
    let Some(entered) = &scan.entered else { return Ok(rows) };
    let mut people: Option<DataFrame> = None;
    for (entry, paths) in entered.iter().zip(&paths.of_entries) {
        let more = of_entry(context, entry, paths)?;
        people = Some(match people {
            None => more,
            Some(people) => people.union(more)?,
        });
    }
    let Some(people) = people else { return Ok(rows) };
    // The people are the smaller side, of which an engine makes a table in memory.
    people.distinct()?.join_on(rows, JoinType::RightSemi, [ident(ENTERED).eq(person(&scan.files))])
}

/// How many rows an engine finds in some files. Asked before anything is read of them: of a file that it does not see, an
/// engine makes an empty one, without a word.
pub(super) async fn rows(
    context: &SessionContext,
    files: &Files,
    paths: &[ListingTableUrl],
) -> Result<u64, DataFusionError> {
    Ok(table(context, files, paths)?.count().await? as u64)
}

fn of_entry(
    context: &SessionContext,
    entry: &Entry,
    paths: &[ListingTableUrl],
) -> Result<DataFrame, DataFusionError> {
    let rows = table(context, &entry.files, paths)?;
    rows.filter(has_one_of(&entry.files, &entry.concepts))?.select([person(&entry.files).alias(ENTERED)])
}

fn table(
    context: &SessionContext,
    files: &Files,
    paths: &[ListingTableUrl],
) -> Result<DataFrame, DataFusionError> {
    let fields: Vec<Field> =
        columns(files).into_iter().map(|(name, found)| Field::new(name, found.clone(), true)).collect();
    let options = TableParquetOptions { global: parquet_options(), ..TableParquetOptions::default() };
    let format = ParquetFormat::default().with_options(options);
    // The names were looked at before: `.pq` and `.PARQUET` are Parquet too.
    let listing = ListingOptions::new(Arc::new(format)).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(paths.to_vec())
        .with_listing_options(listing)
        .with_schema(Arc::new(Schema::new(fields)));
    context.read_table(Arc::new(ListingTable::try_new(config)?))
}

/// Whose a row is. A number beyond ours is nobody's.
fn person(files: &Files) -> Expr {
    let (name, _) = files.fields[at::PERSON].as_ref().expect("a scan joins people by a column that is there");
    try_cast(ident(name), DataType::Int64)
}

/// Whether a row has one of some concepts. Literals have the column's type, so that its statistics can be held against
/// them; a concept that does not fit into it is none of its values.
fn has_one_of(files: &Files, concepts: &BTreeSet<ConceptId>) -> Expr {
    let (name, found) =
        files.fields[at::CONCEPT].as_ref().expect("a scan looks for concepts in a column that is there");
    let literals: Vec<Expr> = concepts.iter().filter_map(|concept| literal(found, concept.0)).collect();
    let (Some(least), Some(greatest)) = (literals.first(), literals.last()) else { return lit(false) };
    let within = ident(name).between(least.clone(), greatest.clone());
    let is_long = literals.len() > LIST_PRUNED_MAX;
    let listed = in_list(ident(name), literals, false);
    if is_long { within.and(listed) } else { listed }
}

fn literal(column: &DataType, id: i64) -> Option<Expr> {
    match column {
        DataType::Int64 => Some(lit(id)),
        DataType::Int32 => i32::try_from(id).ok().map(lit),
        DataType::Int16 => i16::try_from(id).ok().map(lit),
        DataType::Int8 => i8::try_from(id).ok().map(lit),
        DataType::UInt64 => u64::try_from(id).ok().map(lit),
        DataType::UInt32 => u32::try_from(id).ok().map(lit),
        DataType::UInt16 => u16::try_from(id).ok().map(lit),
        DataType::UInt8 => u8::try_from(id).ok().map(lit),
        _ => unreachable!("a scan compares columns of whole numbers only"),
    }
}

/// A scan's files as an engine names them.
pub(super) struct Paths {
    of_scan: Vec<ListingTableUrl>,
    of_entries: Vec<Vec<ListingTableUrl>>,
}

impl Paths {
    /// All files of a scan, by their groups, with their paths.
    pub(super) fn groups<'a>(
        &'a self,
        scan: &'a Scan,
    ) -> impl Iterator<Item = (&'a Files, &'a [ListingTableUrl])> {
        let entries = scan.entered.as_deref().unwrap_or_default().iter().map(|entry| &entry.files);
        let of_entries = entries.zip(&self.of_entries);
        of_entries.chain([(&scan.files, &self.of_scan)]).map(|(files, paths)| (files, paths.as_slice()))
    }

    /// # Errors
    /// A name that is no UTF-8.
    pub(super) fn of(scan: &Scan) -> Result<Self, InvalidOmop> {
        let urls = |files: &Files| files.paths.iter().map(|path| url(path)).collect::<Result<Vec<_>, _>>();
        let entries = scan.entered.as_deref().unwrap_or_default();
        Ok(Self {
            of_scan: urls(&scan.files)?,
            of_entries: entries.iter().map(|entry| urls(&entry.files)).collect::<Result<_, _>>()?,
        })
    }
}

/// A path as a URL, every byte that means something in one or in a pattern being written as its number.
fn url(path: &Path) -> Result<ListingTableUrl, InvalidWarehouse> {
    let not_utf8 = || InvalidWarehouse::NotUtf8 { path: path.to_owned() };
    let mut url = "file://".to_owned();
    for byte in path.to_str().ok_or_else(not_utf8)?.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            byte => write!(url, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    ListingTableUrl::parse(url).map_err(|_| not_utf8())
}
