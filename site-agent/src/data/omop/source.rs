//! Where a hospital's OMOP tables are: in a folder, or in a database. Past this, both are read alike.

use super::cells::{Batch, Column};
use super::error::InvalidOmop;
use super::folder::Folder;
use super::postgres::Database;
use super::read::{self, Piece};
use super::schema::{self, Table};
use super::wanted::Wanted;

/// A hospital's tables, opened, and which of their columns are read.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    form: Form<'a>,
    /// None where every column of ours is.
    wanted: Option<&'a Wanted>,
}

#[derive(Clone, Copy)]
enum Form<'a> {
    /// Files in a folder.
    Folder(&'a Folder),
    /// A PostgreSQL database, on one snapshot.
    Database(&'a Database),
}

impl<'a> From<&'a Folder> for Source<'a> {
    fn from(folder: &'a Folder) -> Self {
        Self { form: Form::Folder(folder), wanted: None }
    }
}

impl<'a> From<&'a Database> for Source<'a> {
    fn from(database: &'a Database) -> Self {
        Self { form: Form::Database(database), wanted: None }
    }
}

impl<'a> Source<'a> {
    /// The same, of which only some columns are read, and no other table.
    #[must_use]
    pub const fn only(self, wanted: &'a Wanted) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// Whether it has a table.
    #[must_use]
    pub fn has(&self, table: Table) -> bool {
        match self.form {
            Form::Folder(folder) => folder.has(table),
            Form::Database(database) => database.has(table),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self.form {
            Form::Folder(folder) => folder.root().display().to_string(),
            Form::Database(database) => database.config().place(),
        }
    }

    /// Nothing, if everything that is asked for may be read; of a folder that shows when a file is opened.
    ///
    /// # Errors
    /// A database's role may not read a column that is there: what, over all tables.
    pub fn granted(&self) -> Result<(), InvalidOmop> {
        match (self.form, self.wanted) {
            (Form::Folder(_), _) => Ok(()),
            (Form::Database(database), Some(wanted)) => Ok(database.granted(wanted)?),
            (Form::Database(database), None) => Ok(database.granted(&Wanted::all(&Table::ALL))?),
        }
    }

    /// Most threads that can read together.
    pub(super) fn threads_max(&self) -> usize {
        match self.form {
            Form::Folder(_) => usize::MAX,
            Form::Database(database) => database.config().connections,
        }
    }

    /// All pieces of a table, none where it is missing. A type or a right that is wrong shows here, before anything is read.
    pub(super) fn pieces(&self, table: Table) -> Result<Vec<Piece<'a>>, InvalidOmop> {
        let columns = self.columns(table);
        match self.form {
            Form::Folder(folder) => read::pieces(folder, table, columns),
            Form::Database(database) => {
                database.granted_of(table, columns)?;
                Ok(Vec::from_iter(read::whole_table(database, table, columns)))
            }
        }
    }

    fn columns(&self, table: Table) -> &'a [Column] {
        let columns = self.wanted.map_or(schema::columns(table), |wanted| wanted.columns(table));
        assert!(!columns.is_empty(), "table {table} is asked for, and not among the tables that are read");
        columns
    }

    /// Whether a table has the columns that are read, with types that we read; reads no row of it.
    pub(super) fn check_columns(&self, table: Table) -> Result<(), InvalidOmop> {
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
