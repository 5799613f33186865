//! A CSV file, plain or gzipped, as batches of parsed cells.

use super::cells::{Batch, Cells, Column, Limits};
use super::error::{BadRow, InvalidOmop};
use super::split_rows::{Rows, Stop};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zeroize::Zeroizing;

const READ_BYTES: usize = 256 * 1024;

/// Gives every batch of the file to `take`.
pub(super) fn read(
    path: &Path,
    gzipped: bool,
    columns: &[Column],
    take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
) -> Result<(), InvalidOmop> {
    open(path, gzipped, columns, RowsWanted::All, take)
}

/// Whether the header has the columns; reads no further row.
pub(super) fn check_columns(path: &Path, gzipped: bool, columns: &[Column]) -> Result<(), InvalidOmop> {
    open(path, gzipped, columns, RowsWanted::None, &mut |_| Ok(()))
}

#[derive(Clone, Copy, PartialEq)]
enum RowsWanted {
    None,
    All,
}

fn open(
    path: &Path,
    gzipped: bool,
    columns: &[Column],
    rows_wanted: RowsWanted,
    take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
) -> Result<(), InvalidOmop> {
    let file = File::open(path).map_err(InvalidOmop::unreadable(path))?;
    if gzipped {
        let file = BufReader::with_capacity(READ_BYTES, file);
        read_from(path, MultiGzDecoder::new(file), columns, rows_wanted, take)
    } else {
        read_from(path, file, columns, rows_wanted, take)
    }
}

fn read_from(
    path: &Path,
    input: impl Read,
    columns: &[Column],
    rows_wanted: RowsWanted,
    take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
) -> Result<(), InvalidOmop> {
    let stopped = |row: u64| {
        move |stop: Stop| match stop {
            Stop::Row(row, what) => InvalidOmop::Row { path: path.to_owned(), row, what },
            // What an inflater says; the file itself can be read.
            Stop::Io(error) if is_compression(&error) => {
                InvalidOmop::Row { path: path.to_owned(), row, what: BadRow::Compression }
            }
            Stop::Io(error) => InvalidOmop::unreadable(path)(error),
        }
    };
    let limits = Limits::of(columns);
    let mut rows = Rows::new(input, limits.row_bytes).map_err(stopped(1))?;
    if rows.next().map_err(stopped(1))?.is_none() {
        return Err(InvalidOmop::MissingColumn {
            path: path.to_owned(),
            expected: columns[0].names.join(" or "),
        });
    }
    let width = rows.len();
    let header: Vec<String> =
        (0..width).map(|at| String::from_utf8_lossy(rows.raw(at).trim_ascii()).to_lowercase()).collect();
    let places = places(path, &header, columns)?;
    if rows_wanted == RowsWanted::None {
        return Ok(());
    }
    let mut batch = Batch {
        rows: 0,
        columns: columns
            .iter()
            .zip(&places)
            .map(|(column, place)| place.map_or(Cells::Absent, |_| Cells::new(column.kind)))
            .collect(),
    };
    let mut last = 1;
    let mut unquoted = Zeroizing::new(Vec::new());
    while let Some(row) = rows.next().map_err(stopped(last + 1))? {
        last = row;
        if rows.len() != width {
            let what = BadRow::Ragged { expected: width, found: rows.len() };
            return Err(InvalidOmop::Row { path: path.to_owned(), row, what });
        }
        for (cells, place) in batch.columns.iter_mut().zip(&places) {
            match (cells, place) {
                (cells @ (Cells::Texts(_) | Cells::Units(_) | Cells::Privates(_)), Some(at)) => {
                    let range = rows.text(*at, &mut unquoted);
                    cells.push_text(&unquoted[range]);
                }
                (cells, Some(at)) => cells.push_text(rows.raw(*at)),
                (_, None) => {}
            }
        }
        batch.rows += 1;
        if batch.rows == limits.batch_rows {
            take(&batch)?;
            batch.rows = 0;
            batch.columns.iter_mut().for_each(Cells::clear);
        }
    }
    if batch.rows > 0 { take(&batch) } else { Ok(()) }
}

fn is_compression(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// Where some columns stand among a file's; none for one that may be and is missing.
pub(super) fn places(
    path: &Path,
    header: &[String],
    columns: &[Column],
) -> Result<Vec<Option<usize>>, InvalidOmop> {
    let places = columns.iter().map(|column| find(path, header, column)).collect::<Result<Vec<_>, _>>()?;
    match Column::lacking(columns, |place| places[place].is_some()) {
        Some(expected) => Err(InvalidOmop::MissingColumn { path: path.to_owned(), expected }),
        None => Ok(places),
    }
}

fn find(path: &Path, header: &[String], column: &Column) -> Result<Option<usize>, InvalidOmop> {
    for name in column.names {
        let mut places = header.iter().enumerate().filter(|(_, found)| found == name).map(|(at, _)| at);
        match (places.next(), places.next()) {
            (Some(_), Some(_)) => {
                return Err(InvalidOmop::RepeatedColumn { path: path.to_owned(), column: name });
            }
            (Some(at), None) => return Ok(Some(at)),
            (None, _) => {}
        }
    }
    Ok(None)
}
