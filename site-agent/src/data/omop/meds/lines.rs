//! A Parquet column of lists of text, which OMOP has nowhere.

use super::super::error::{BadRow, InvalidOmop};
use super::super::parquet_rows::guarded;
use super::error::InvalidMeds;
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::path::Path;

/// Gives every text of every list of a column to `take`, with the row from 0 on; nothing where the file has no such
/// column.
pub(super) fn each_list(
    path: &Path,
    column: &'static str,
    take: &mut dyn FnMut(usize, &str),
) -> Result<(), InvalidOmop> {
    let file = File::open(path).map_err(InvalidOmop::unreadable(path))?;
    let not_parquet = || InvalidOmop::NotParquet { path: path.to_owned() };
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let opened = guarded(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).ok());
    let builder = opened.ok_or_else(not_parquet)?;
    let Some(place) = builder.schema().fields().iter().position(|field| field.name() == column) else {
        return Ok(());
    };
    let mask = ProjectionMask::roots(builder.parquet_schema(), [place]);
    let mut reader = guarded(|| builder.with_projection(mask).build().ok()).ok_or_else(not_parquet)?;
    let mut first = 0;
    loop {
        let next = guarded(|| match reader.next() {
            None => Some(None),
            Some(batch) => batch.ok().map(Some),
        });
        let damaged =
            || InvalidOmop::Row { path: path.to_owned(), row: first as u64 + 1, what: BadRow::Damaged };
        let Some(batch) = next.ok_or_else(damaged)? else { return Ok(()) };
        let array = batch.column(0);
        // A column without a single list may have any type.
        if array.null_count() < array.len() {
            let no_lists =
                || InvalidMeds::Column { path: path.to_owned(), column, expected: "lists of text" };
            let lists = array.as_list_opt::<i32>().ok_or_else(no_lists)?;
            for (row, list) in lists.iter().enumerate() {
                let Some(list) = list.filter(|list| !list.is_empty()) else { continue };
                let texts = list.as_string_opt::<i32>().ok_or_else(no_lists)?;
                texts.iter().flatten().for_each(|text| take(first + row, text.trim()));
            }
        }
        first += batch.num_rows();
    }
}
