//! Where a hospital's records are: OMOP tables in a folder, in a database or behind an engine, or MEDS. Past this, all are read alike.

use super::asked::{QueryLog, of_files};
use super::cells::{Batch, Column};
use super::error::InvalidOmop;
use super::event::Domain;
use super::folder::Folder;
use super::meds::{Meds, Mixed, OF_CODES};
use super::narrowing::Narrowing;
use super::notes::Notes;
use super::postgres::Database;
use super::read::{self, Piece};
use super::schema::{self, Table};
use super::wanted::Wanted;
use super::warehouse::Warehouse;

/// A hospital's records, opened, and which of their columns are read.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    form: Form<'a>,
    /// None where every column of ours is.
    wanted: Option<&'a Wanted>,
    /// What notes are read for.
    notes: Option<&'a Notes>,
    /// None where every row is read.
    narrowing: Option<&'a Narrowing>,
    /// Where it is noted what was asked.
    log: Option<&'a QueryLog>,
}

#[derive(Clone, Copy)]
enum Form<'a> {
    /// Files in a folder.
    Folder(&'a Folder),
    /// A PostgreSQL database, on one snapshot.
    Database(&'a Database),
    /// A folder of MEDS.
    Meds(&'a Meds),
    /// A folder that an engine reads.
    Warehouse(&'a Warehouse),
}

impl<'a> From<Form<'a>> for Source<'a> {
    fn from(form: Form<'a>) -> Self {
        Self { form, wanted: None, notes: None, narrowing: None, log: None }
    }
}

impl<'a> From<&'a Folder> for Source<'a> {
    fn from(folder: &'a Folder) -> Self {
        Form::Folder(folder).into()
    }
}

impl<'a> From<&'a Database> for Source<'a> {
    fn from(database: &'a Database) -> Self {
        Form::Database(database).into()
    }
}

impl<'a> From<&'a Meds> for Source<'a> {
    fn from(meds: &'a Meds) -> Self {
        Form::Meds(meds).into()
    }
}

impl<'a> From<&'a Warehouse> for Source<'a> {
    fn from(warehouse: &'a Warehouse) -> Self {
        Form::Warehouse(warehouse).into()
    }
}

impl<'a> Source<'a> {
    /// The same, of which only some columns are read, and no other table.
    #[must_use]
    pub const fn only(self, wanted: &'a Wanted) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// The same, of which notes are read, too.
    #[must_use]
    pub const fn with_notes(self, notes: Option<&'a Notes>) -> Self {
        Self { notes, ..self }
    }

    /// The same, of which rows that cannot matter may be left out, where that costs less than reading them.
    #[must_use]
    pub const fn narrowed(self, narrowing: &'a Narrowing) -> Self {
        Self { narrowing: Some(narrowing), ..self }
    }

    /// The same, of which it is noted what it is asked.
    #[must_use]
    pub fn noted_in(self, log: &'a QueryLog) -> Self {
        if self.meds().is_some() {
            // Read when the folder was opened: what its codes mean.
            log.note(None, &of_files("meds", "metadata/codes.parquet", &OF_CODES));
        }
        Self { log: Some(log), ..self }
    }

    /// Whether it has a table.
    #[must_use]
    pub fn has(&self, table: Table) -> bool {
        match self.form {
            Form::Folder(folder) => folder.has(table),
            Form::Database(database) => database.has(table),
            Form::Meds(meds) => meds.has(table),
            Form::Warehouse(warehouse) => warehouse.folder().has(table),
        }
    }

    /// How a study's `data.format` begins that reads it.
    #[must_use]
    pub const fn format(&self) -> &'static str {
        match self.form {
            Form::Folder(_) | Form::Database(_) | Form::Warehouse(_) => "omop-cdm",
            Form::Meds(_) => "meds",
        }
    }

    /// In words, that it lacks a table.
    #[must_use]
    pub fn lacking(&self, table: Table) -> String {
        match self.form {
            Form::Database(_) if !Table::ALL.contains(&table) => {
                format!("table {table} is missing, or its columns are not those of OMOP")
            }
            Form::Folder(_) | Form::Database(_) | Form::Warehouse(_) => format!("table {table} is missing"),
            Form::Meds(meds) => meds.lacking(table),
        }
    }

    /// What to do where a table is missing, or has no row.
    #[must_use]
    pub fn supplying(&self, table: Table) -> String {
        match self.form {
            Form::Folder(_) | Form::Warehouse(_) => "export it with the other tables".to_owned(),
            Form::Database(database) => format!(
                "load it into schema \"{}\", and allow it (`site-agent data grants` prints how)",
                database.schema_of(table)
            ),
            Form::Meds(_) => "write it with the other files".to_owned(),
        }
    }

    /// What to do where a table is missing because there is nothing to stand in it.
    #[must_use]
    pub fn supplying_empty(&self, table: Table) -> String {
        match self.form {
            Form::Folder(_) | Form::Warehouse(_) => "export it empty".to_owned(),
            Form::Database(database) => {
                format!(
                    "create it empty in schema \"{}\", and allow it (`site-agent data grants` prints how)",
                    database.schema_of(table)
                )
            }
            Form::Meds(_) => "write it empty".to_owned(),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self.form {
            Form::Folder(folder) => folder.root().display().to_string(),
            Form::Database(database) => database.config().place(),
            Form::Meds(meds) => meds.root().display().to_string(),
            Form::Warehouse(warehouse) => warehouse.config().place(),
        }
    }

    /// Nothing, if everything that is asked for may be read; of a folder that shows when a file is opened.
    ///
    /// # Errors
    /// A database's role may not read a column that is there: what, over all tables.
    pub fn granted(&self) -> Result<(), InvalidOmop> {
        match (self.form, self.wanted) {
            (Form::Folder(_) | Form::Meds(_) | Form::Warehouse(_), _) => Ok(()),
            (Form::Database(database), Some(wanted)) => Ok(database.granted(wanted)?),
            (Form::Database(database), None) => Ok(database.granted(&Wanted::all(&Table::ALL))?),
        }
    }

    /// Most threads that can read together.
    pub(super) fn threads_max(&self) -> usize {
        match self.form {
            Form::Folder(_) | Form::Meds(_) | Form::Warehouse(_) => usize::MAX,
            Form::Database(database) => database.config().connections,
        }
    }

    /// All pieces of a table, none where it is missing. A type or a right that is wrong shows here, before anything is read.
    pub(super) fn pieces(&self, table: Table) -> Result<Vec<Piece<'a>>, InvalidOmop> {
        let columns = self.columns(table);
        let pieces = match self.form {
            Form::Folder(folder) => read::pieces(folder, table, columns)?,
            Form::Database(database) => {
                database.granted_of(table, columns)?;
                Vec::from_iter(read::of_database(database, table, columns, self.narrowing))
            }
            Form::Meds(meds) => match table {
                Table::Clinical(domain) => self.event_pieces(&[domain])?,
                _ => read::of_meds(meds, table, columns)?,
            },
            Form::Warehouse(warehouse) => read::of_warehouse(warehouse, table, columns, self.narrowing)?,
        };
        Ok(self.noted(pieces))
    }

    /// Whether a table has any row: of a database one is asked for.
    ///
    /// # Errors
    /// As reading it.
    pub(super) fn has_rows(&self, table: Table) -> Result<bool, InvalidOmop> {
        let columns = self.columns(table);
        let pieces = match self.form {
            Form::Database(database) => {
                database.granted_of(table, columns)?;
                self.noted(Vec::from_iter(read::any_of_database(database, table, columns)))
            }
            Form::Folder(_) | Form::Meds(_) | Form::Warehouse(_) => self.pieces(table)?,
        };
        let mut rows = 0;
        for piece in pieces {
            piece.read(&mut |batch| {
                rows += batch.rows;
                Ok(())
            })?;
        }
        Ok(rows > 0)
    }

    /// All pieces of the tables of some domains.
    pub(super) fn event_pieces(&self, domains: &[Domain]) -> Result<Vec<Piece<'a>>, InvalidOmop> {
        if let Form::Meds(meds) = self.form {
            return Ok(self.noted(read::events_of_meds(meds, &Mixed::new(meds, *self, domains))?));
        }
        let mut pieces = Vec::new();
        for domain in domains {
            let of_table = self.pieces(Table::Clinical(*domain))?;
            if *domain == Domain::Note {
                let notes = self.notes.expect("whoever asks for notes says what for");
                pieces.extend(of_table.into_iter().map(|piece| piece.of_notes(notes)));
            } else {
                pieces.extend(of_table);
            }
        }
        Ok(pieces)
    }

    fn noted(&self, pieces: Vec<Piece<'a>>) -> Vec<Piece<'a>> {
        pieces.into_iter().map(|piece| piece.noted_in(self.log)).collect()
    }

    /// The folder of MEDS that it is.
    #[must_use]
    pub const fn meds(&self) -> Option<&'a Meds> {
        match self.form {
            Form::Meds(meds) => Some(meds),
            Form::Folder(_) | Form::Database(_) | Form::Warehouse(_) => None,
        }
    }

    /// By the places of [`schema::columns`]; those that are not read are absent.
    pub(super) fn columns(&self, table: Table) -> &'a [Column] {
        let columns = self.wanted.map_or(schema::columns(table), |wanted| wanted.columns(table));
        assert!(!columns.is_empty(), "table {table} is asked for, and not among the tables that are read");
        columns
    }

    /// Whether a table has the columns that are read, with types that we read; reads no row of it.
    ///
    /// # Errors
    /// A file or table cannot be read, or lacks a column.
    pub fn check_columns(&self, table: Table) -> Result<(), InvalidOmop> {
        self.pieces(table)?.iter().try_for_each(Piece::check_columns)
    }

    /// Gives every batch of a table to `take`; nothing where the table is missing.
    pub(super) fn read(
        &self,
        table: Table,
        take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        self.pieces(table)?.iter().try_for_each(|piece| piece.read(take))
    }
}
