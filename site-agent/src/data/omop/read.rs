//! A table in pieces that threads can share, and the one way to read a piece.

use super::asked::{QueryLog, of_files};
use super::cells::{Batch, Column};
use super::error::InvalidOmop;
use super::event::{Domain, Event};
use super::folder::{Folder, Form, TableFile};
use super::meds::{self, Meds, Mixed};
use super::narrowing::Narrowing;
use super::notes::Notes;
use super::postgres::{Database, Query};
use super::rows::{self, TableCounts};
use super::schema::Table;
use super::warehouse::{self, Warehouse};
use super::{csv_rows, parquet_rows};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// About so many rows of a Parquet file are one piece.
const PIECE_ROWS: u64 = 1_000_000;

/// A file, or some row groups of one, or a table of a database.
pub(super) struct Piece<'a> {
    /// Bytes or rows, about: the larger ones are begun first.
    pub(super) size: u64,
    holds: Holds<'a>,
    what: What<'a>,
    /// What reading it asks of the source, in one line; alike for all pieces of a table's files.
    asks: Arc<str>,
    /// Where that is noted when it is read.
    log: Option<&'a QueryLog>,
}

/// What its rows are.
enum Holds<'a> {
    Table(Table),
    /// Events of several tables, as in MEDS.
    Mixed(Box<Mixed<'a>>),
    /// Notes, read for what a study asks of them.
    Notes(&'a Notes),
}

impl Holds<'_> {
    /// Of which table; none where there are several.
    const fn table(&self) -> Option<Table> {
        match self {
            Self::Table(table) => Some(*table),
            Self::Mixed(_) => None,
            Self::Notes(_) => Some(Table::Clinical(Domain::Note)),
        }
    }
}

enum What<'a> {
    Csv(TableFile, &'a [Column]),
    Parquet(Arc<parquet_rows::Opened>, Range<usize>),
    Copy(&'a Database, Query, &'a [Column]),
    /// A shard of MEDS, as rows of table `person` or `observation_period`.
    Meds(&'a Path, meds::AsTable),
    /// What an engine gives of some files.
    Scan(&'a Warehouse, warehouse::Scan),
}

/// A table of a database, where it has it; with a narrowing without rows that cannot matter.
pub(super) fn of_database<'a>(
    database: &'a Database,
    table: Table,
    columns: &'a [Column],
    narrowing: Option<&Narrowing>,
) -> Option<Piece<'a>> {
    let query = database.query(table, columns, narrowing)?;
    let asks = query.copy().into();
    Some(Piece {
        size: database.size(table)?,
        holds: Holds::Table(table),
        what: What::Copy(database, query, columns),
        asks,
        log: None,
    })
}

/// Any one row of a table of a database, where it has both.
pub(super) fn any_of_database<'a>(
    database: &'a Database,
    table: Table,
    columns: &'a [Column],
) -> Option<Piece<'a>> {
    let query = database.any_row(table, columns)?;
    let (holds, asks) = (Holds::Table(table), query.copy().into());
    Some(Piece { size: 1, holds, what: What::Copy(database, query, columns), asks, log: None })
}

/// All pieces of a table in a folder. Reads the footers of Parquet files, so that a wrong type shows before anything is read.
pub(super) fn pieces<'a>(
    folder: &Folder,
    table: Table,
    columns: &'a [Column],
) -> Result<Vec<Piece<'a>>, InvalidOmop> {
    pieces_of(folder, table, columns, |_| true)
}

/// All pieces of a table in a warehouse: of patients' tables the engine reads what is Parquet, and we the rest.
pub(super) fn of_warehouse<'a>(
    warehouse: &'a Warehouse,
    table: Table,
    columns: &'a [Column],
    narrowing: Option<&Narrowing>,
) -> Result<Vec<Piece<'a>>, InvalidOmop> {
    if !table.is_of_patients() {
        return pieces(warehouse.folder(), table, columns);
    }
    let mut all = pieces_of(warehouse.folder(), table, columns, |form| form != Form::Parquet)?;
    let scans = warehouse.scans(table, columns, narrowing)?.into_iter();
    all.extend(scans.map(|scan| Piece {
        size: scan.rows(),
        holds: Holds::Table(table),
        asks: scan.words().into(),
        what: What::Scan(warehouse, scan),
        log: None,
    }));
    Ok(all)
}

/// The pieces of a table's files in some forms.
fn pieces_of<'a>(
    folder: &Folder,
    table: Table,
    columns: &'a [Column],
    own: impl Fn(Form) -> bool,
) -> Result<Vec<Piece<'a>>, InvalidOmop> {
    let mut pieces = Vec::new();
    let asks = of_files("omop", table.name(), columns);
    let piece =
        |size, what| Piece { size, holds: Holds::Table(table), what, asks: Arc::clone(&asks), log: None };
    for file in folder.files(table).iter().filter(|file| own(file.form)) {
        let size = fs::metadata(&file.path).map_err(InvalidOmop::unreadable(&file.path))?.len();
        if file.form != Form::Parquet {
            pieces.push(piece(size, What::Csv(file.clone(), columns)));
            continue;
        }
        pieces.extend(of_parquet(&file.path, columns, size)?.map(|(size, what)| piece(size, what)));
    }
    Ok(pieces)
}

/// A Parquet file as pieces of some row groups, with the size of each.
fn of_parquet<'a>(
    path: &Path,
    columns: &[Column],
    size: u64,
) -> Result<impl Iterator<Item = (u64, What<'a>)> + use<'a>, InvalidOmop> {
    let opened = Arc::new(parquet_rows::open(path, columns)?);
    let (groups, rows) = (opened.row_groups(), opened.rows());
    // A table without a row is read as any other: what is asked of a source is what is noted, whatever is in it.
    let empty = groups.is_empty().then(|| (0, What::Parquet(Arc::clone(&opened), 0..0)));
    let mut first = 0;
    let pieces = std::iter::from_fn(move || {
        let begun = groups.get(first)?.0;
        let next =
            (first + 1..groups.len()).find(|at| groups[*at].0 - begun >= PIECE_ROWS).unwrap_or(groups.len());
        let of_piece = groups.get(next).map_or(rows, |(before, _)| *before) - begun;
        let share = u128::from(size) * u128::from(of_piece) / u128::from(rows.max(1));
        let what = What::Parquet(Arc::clone(&opened), first..next);
        first = next;
        Some((u64::try_from(share).unwrap_or(u64::MAX), what))
    });
    Ok(empty.into_iter().chain(pieces))
}

/// All pieces of a folder of MEDS that stand for a table which is none of events.
pub(super) fn of_meds<'a>(
    meds: &'a Meds,
    table: Table,
    columns: &'a [Column],
) -> Result<Vec<Piece<'a>>, InvalidOmop> {
    let piece = |size, what, asks: &Arc<str>| Piece {
        size,
        holds: Holds::Table(table),
        what,
        asks: Arc::clone(asks),
        log: None,
    };
    let file = |path: &Path, columns: &[Column]| -> Result<Vec<Piece<'a>>, InvalidOmop> {
        let name = path.strip_prefix(meds.root()).unwrap_or(path).display();
        let asks = of_files("meds", &name.to_string(), columns);
        Ok(of_parquet(path, columns, 1)?.map(|(size, what)| piece(size, what, &asks)).collect())
    };
    let shards = |as_table: meds::AsTable| {
        let asks = of_files("meds", &format!("data, for {table}"), &meds::AsTable::COLUMNS);
        meds.shards.iter().map(|path| piece(1, What::Meds(path, as_table), &asks)).collect()
    };
    match table {
        Table::Person => match &meds.attributes {
            Some(path) => file(path, &meds::of_attributes(columns)),
            None => Ok(shards(meds::AsTable::Person)),
        },
        Table::ObservationPeriod if meds.has(table) => Ok(shards(meds::AsTable::ObservationPeriod)),
        Table::Concept => file(&Meds::main_file(meds.root()), &meds::OF_CODES),
        Table::ConceptAncestor => meds.ancestors.as_ref().map_or(Ok(vec![]), |path| file(path, columns)),
        Table::ObservationPeriod
        | Table::CareSite
        | Table::Provider
        | Table::Location
        | Table::Vocabulary
        | Table::Clinical(_)
        | Table::NoteNlp => Ok(vec![]),
    }
}

/// All pieces of the events of a folder of MEDS.
pub(super) fn events_of_meds<'a>(meds: &'a Meds, mixed: &Mixed<'a>) -> Result<Vec<Piece<'a>>, InvalidOmop> {
    let columns = mixed.columns();
    let asks = of_files("meds", "data", &columns);
    let mut pieces = Vec::new();
    for path in &meds.shards {
        let size = fs::metadata(path).map_err(InvalidOmop::unreadable(path))?.len();
        pieces.extend(of_parquet(path, &columns, size)?.map(|(size, what)| Piece {
            size,
            holds: Holds::Mixed(Box::new(mixed.clone())),
            what,
            asks: Arc::clone(&asks),
            log: None,
        }));
    }
    Ok(pieces)
}

impl<'a> Piece<'a> {
    /// The same, whose rows are notes.
    pub(super) fn of_notes(self, notes: &'a Notes) -> Self {
        Self { holds: Holds::Notes(notes), ..self }
    }

    /// The same, noted when it is read.
    pub(super) fn noted_in(self, log: Option<&'a QueryLog>) -> Self {
        Self { log, ..self }
    }

    /// Whether it has the columns that we read; reads no row.
    pub(super) fn check_columns(&self) -> Result<(), InvalidOmop> {
        match &self.what {
            What::Csv(file, columns) => {
                csv_rows::check_columns(&file.path, file.form == Form::CsvGz, columns)
            }
            // Looked at when the piece was made.
            What::Parquet(..) | What::Copy(..) | What::Meds(..) | What::Scan(..) => Ok(()),
        }
    }

    /// Gives every batch of the piece to `take`.
    pub(super) fn read(
        &self,
        take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        if let Some(log) = self.log {
            log.note(self.holds.table(), &self.asks);
        }
        match &self.what {
            What::Csv(file, columns) => csv_rows::read(&file.path, file.form == Form::CsvGz, columns, take),
            What::Parquet(opened, groups) => opened.read(groups.clone(), take),
            What::Copy(database, query, columns) => database.read(query, columns, take),
            What::Meds(shard, as_table) => as_table.read(shard, take),
            What::Scan(warehouse, scan) => warehouse.read(scan, take),
        }
    }

    /// Gives every event of one of its batches to `take`, and counts by table.
    pub(super) fn events<E>(
        &self,
        batch: &Batch,
        counts: &mut BTreeMap<Domain, TableCounts>,
        take: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.holds {
            Holds::Mixed(mixed) => mixed.events(batch, counts, take),
            Holds::Notes(notes) => notes.events(batch, counts.entry(Domain::Note).or_default(), take),
            Holds::Table(Table::Clinical(domain)) => {
                rows::events(batch, *domain, counts.entry(*domain).or_default(), take)
            }
            Holds::Table(_) => Ok(()),
        }
    }
}
