//! A table in pieces that threads can share, and the one way to read a piece.

use super::cells::{Batch, Column};
use super::error::InvalidOmop;
use super::folder::{Folder, Form, TableFile};
use super::postgres::Database;
use super::schema::Table;
use super::{csv_rows, parquet_rows};
use std::fs;
use std::ops::Range;
use std::sync::Arc;

/// About so many rows of a Parquet file are one piece.
const PIECE_ROWS: u64 = 1_000_000;

/// A file, or some row groups of one, or a table of a database.
pub(super) struct Piece<'a> {
    pub(super) table: Table,
    /// Bytes or rows, about: the larger ones are begun first.
    pub(super) size: u64,
    what: What<'a>,
}

enum What<'a> {
    Csv(TableFile, &'a [Column]),
    Parquet(Arc<parquet_rows::Opened>, Range<usize>),
    Copy(&'a Database, &'a [Column]),
}

/// A table of a database, where it has it.
pub(super) fn whole_table<'a>(
    database: &'a Database,
    table: Table,
    columns: &'a [Column],
) -> Option<Piece<'a>> {
    database.size(table).map(|size| Piece { table, size, what: What::Copy(database, columns) })
}

/// All pieces of a table in a folder. Reads the footers of Parquet files, so that a wrong type shows before anything is read.
pub(super) fn pieces<'a>(
    folder: &Folder,
    table: Table,
    columns: &'a [Column],
) -> Result<Vec<Piece<'a>>, InvalidOmop> {
    let mut pieces = Vec::new();
    for file in folder.files(table) {
        let size = fs::metadata(&file.path).map_err(InvalidOmop::unreadable(&file.path))?.len();
        if file.form != Form::Parquet {
            pieces.push(Piece { table, size, what: What::Csv(file.clone(), columns) });
            continue;
        }
        let opened = Arc::new(parquet_rows::open(&file.path, columns)?);
        let groups = opened.row_groups();
        let rows = groups.last().map_or(0, |(before, rows)| before + rows);
        let mut first = 0;
        while first < groups.len() {
            let begun = groups[first].0;
            let next = (first + 1..groups.len())
                .find(|at| groups[*at].0 - begun >= PIECE_ROWS)
                .unwrap_or(groups.len());
            let of_piece = groups.get(next).map_or(rows, |(before, _)| *before) - begun;
            let share = u128::from(size) * u128::from(of_piece) / u128::from(rows.max(1));
            pieces.push(Piece {
                table,
                size: u64::try_from(share).unwrap_or(u64::MAX),
                what: What::Parquet(Arc::clone(&opened), first..next),
            });
            first = next;
        }
    }
    Ok(pieces)
}

impl Piece<'_> {
    /// Whether it has the columns that we read; reads no row.
    pub(super) fn check_columns(&self) -> Result<(), InvalidOmop> {
        match &self.what {
            What::Csv(file, columns) => {
                csv_rows::check_columns(&file.path, file.form == Form::CsvGz, columns)
            }
            // Looked at when the piece was made.
            What::Parquet(..) | What::Copy(..) => Ok(()),
        }
    }

    /// Gives every batch of the piece to `take`.
    pub(super) fn read(
        &self,
        take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        match &self.what {
            What::Csv(file, columns) => csv_rows::read(&file.path, file.form == Form::CsvGz, columns, take),
            What::Parquet(opened, groups) => opened.read(groups.clone(), take),
            What::Copy(database, columns) => database.read(self.table, columns, take),
        }
    }
}
