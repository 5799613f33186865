//! Where a hospital's OMOP tables are: in a folder, or in a database. Past this, both are read alike.

use super::cells::{Batch, Column};
use super::error::InvalidOmop;
use super::folder::Folder;
use super::postgres::Database;
use super::read::{self, Piece};
use super::schema::{self, Table};

/// A hospital's tables, opened.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// Files in a folder.
    Folder(&'a Folder),
    /// A PostgreSQL database, on one snapshot.
    Database(&'a Database),
}

impl<'a> From<&'a Folder> for Source<'a> {
    fn from(folder: &'a Folder) -> Self {
        Self::Folder(folder)
    }
}

impl<'a> From<&'a Database> for Source<'a> {
    fn from(database: &'a Database) -> Self {
        Self::Database(database)
    }
}

impl<'a> Source<'a> {
    /// Whether it has a table.
    #[must_use]
    pub fn has(&self, table: Table) -> bool {
        match self {
            Self::Folder(folder) => folder.has(table),
            Self::Database(database) => database.has(table),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Folder(folder) => folder.root().display().to_string(),
            Self::Database(database) => database.config().place(),
        }
    }

    /// Most threads that can read together.
    pub(super) fn threads_max(&self) -> usize {
        match self {
            Self::Folder(_) => usize::MAX,
            Self::Database(database) => database.config().connections,
        }
    }

    /// All pieces of a table, none where it is missing. A type or a right that is wrong shows here, before anything is read.
    pub(super) fn pieces(
        &self,
        table: Table,
        columns: &'static [Column],
    ) -> Result<Vec<Piece<'a>>, InvalidOmop> {
        match self {
            Self::Folder(folder) => read::pieces(folder, table, columns),
            Self::Database(database) => {
                database.granted(&[table])?;
                Ok(Vec::from_iter(read::whole_table(database, table, columns)))
            }
        }
    }

    /// Whether a table has the columns that we read, with types that we read; reads no row of it.
    pub(super) fn check_columns(&self, table: Table) -> Result<(), InvalidOmop> {
        self.pieces(table, schema::columns(table))?.iter().try_for_each(Piece::check_columns)
    }

    /// Gives every batch of a table to `take`; nothing where the table is missing.
    pub(super) fn read(
        &self,
        table: Table,
        columns: &'static [Column],
        take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        self.pieces(table, columns)?.iter().try_for_each(|piece| piece.read(take))
    }
}
