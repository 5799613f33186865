//! A folder of tables and the engine that reads them.

use super::super::cells::{Batch, Cells, Column};
use super::super::error::InvalidOmop;
use super::super::folder::Folder;
use super::super::narrowing::Narrowing;
use super::super::parquet_rows;
use super::super::schema::Table;
use super::config::{Config, Engine as Which};
use super::engine::{Engine, Trouble, reach};
use super::error::InvalidWarehouse;
use super::query::{self, Paths};
use super::scan::{self, Scan};
use arrow_array::{ArrayRef, RecordBatch};
use tokio_stream::StreamExt as _;

/// OMOP tables behind an engine.
///
/// # Privacy
/// The embedded engine may spill rows to its folder (see [`Config`]); a cluster moves rows between its machines. Nothing that an
/// engine says is repeated or logged.
pub struct Warehouse {
    config: Config,
    folder: Folder,
    engine: Engine,
}

impl Warehouse {
    /// Looks for the tables and starts the engine; reads no row.
    ///
    /// # Errors
    /// The folder cannot be used; the engine does not start; nobody listens where the scheduler should be.
    pub fn open(config: &Config) -> Result<Self, InvalidOmop> {
        let tables = std::path::absolute(&config.tables).map_err(InvalidOmop::unreadable(&config.tables))?;
        let folder = Folder::open(&tables)?;
        Ok(Self { engine: Engine::start(config)?, config: config.clone(), folder })
    }

    /// How it is reached.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The folder itself.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What the engine is asked for of a table; reads the footers of its files. Files that are no Parquet are not among it.
    pub(in super::super) fn scans(
        &self,
        table: Table,
        columns: &[Column],
        narrowing: Option<&Narrowing>,
    ) -> Result<Vec<Scan>, InvalidOmop> {
        scan::scans(&self.folder, table, columns, narrowing)
    }

    /// Gives every batch of a scan to `take`.
    pub(in super::super) fn read(
        &self,
        scan: &Scan,
        take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        let paths = Paths::of(scan)?;
        let context = &self.engine.context;
        let gave_up = |trouble| self.gave_up(scan, trouble);
        for (files, paths) in paths.groups(scan) {
            let rows = self.engine.wait(query::rows(context, files, paths)).map_err(gave_up)?;
            if rows != files.rows {
                return Err(gave_up(Trouble::Files));
            }
        }
        let begin = async { query::plan(context, scan, &paths)?.execute_stream().await };
        let mut rows = self.engine.wait(begin).map_err(gave_up)?;
        let read = query::columns(&scan.files);
        let mut batch = Batch {
            rows: 0,
            columns: scan
                .files
                .columns
                .iter()
                .zip(&scan.files.fields)
                .map(|(column, field)| field.as_ref().map_or(Cells::Absent, |_| Cells::new(column.kind)))
                .collect(),
        };
        while let Some(found) = self.engine.wait(async { rows.next().await.transpose() }).map_err(gave_up)? {
            let arrays = arrays(scan, &read, &found).ok_or_else(|| gave_up(Trouble::Other))?;
            parquet_rows::refill(&mut batch, found.num_rows(), &arrays)
                .ok_or_else(|| gave_up(Trouble::Data))?;
            take(&batch)?;
        }
        Ok(())
    }

    /// Where a file is damaged, that file and row, as our own reader finds them; else which kind of trouble it was.
    fn gave_up(&self, scan: &Scan, trouble: Trouble) -> InvalidOmop {
        let (table, place) = (scan.table, self.config.place());
        if let Which::Ballista(scheduler) = &self.config.engine
            && let Err(cause) = reach(scheduler)
        {
            return InvalidWarehouse::Lost { table, place: scheduler.to_string(), cause }.into();
        }
        match (trouble, &self.config.engine) {
            (Trouble::Memory, Which::Embedded { memory_mib, .. }) => {
                InvalidWarehouse::Memory { table, memory_mib: *memory_mib }.into()
            }
            (Trouble::Slow, _) => {
                InvalidWarehouse::TooSlow { table, place, timeout_s: self.config.timeout_s }.into()
            }
            (Trouble::Data, _) => {
                damage(scan).err().unwrap_or_else(|| InvalidWarehouse::GivenUp { table, place }.into())
            }
            (Trouble::Files, _) => {
                damage(scan).err().unwrap_or_else(|| InvalidWarehouse::OtherFiles { table, place }.into())
            }
            (Trouble::Memory | Trouble::Other, _) => InvalidWarehouse::GivenUp { table, place }.into(),
        }
    }
}

/// The arrays of the columns that were asked for; none where they are not what was planned.
fn arrays<'a>(
    scan: &Scan,
    read: &[&(String, arrow_schema::DataType)],
    found: &'a RecordBatch,
) -> Option<Vec<Option<&'a ArrayRef>>> {
    let as_planned = found.num_columns() == read.len()
        && found.columns().iter().zip(read).all(|(array, (_, planned))| array.data_type() == planned);
    let place = |field: &(String, arrow_schema::DataType)| read.iter().position(|other| *other == field);
    let of = |field: &Option<(String, arrow_schema::DataType)>| match field {
        None => Some(None),
        Some(field) => found.columns().get(place(field)?).map(Some),
    };
    if as_planned { scan.files.fields.iter().map(of).collect() } else { None }
}

/// Reads a scan's files ourselves, as a folder's.
fn damage(scan: &Scan) -> Result<(), InvalidOmop> {
    let entries = scan.entered.as_deref().unwrap_or_default().iter();
    for files in entries.map(|entry| &entry.files).chain([&scan.files]) {
        for path in &files.paths {
            let opened = parquet_rows::open(path, &files.columns)?;
            opened.read(0..opened.row_groups().len(), &mut |_| Ok(()))?;
        }
    }
    Ok(())
}
