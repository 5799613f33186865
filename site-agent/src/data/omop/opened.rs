//! What lies at the path that a hospital gives: a folder of OMOP tables or of MEDS, or the `source.toml` of a database
//! or a warehouse.

use super::error::InvalidOmop;
use super::folder::Folder;
use super::meds::Meds;
use super::postgres::{Config, Database, InvalidDatabase};
use super::source::Source;
use super::warehouse::{self, InvalidWarehouse, Warehouse};
use std::path::{Path, PathBuf};

/// A hospital's records, opened; of a database one snapshot for as long as it lives.
pub enum Opened {
    /// OMOP tables in a folder.
    Folder(Folder),
    /// OMOP tables in a database.
    Database(Box<Database>),
    /// A folder of MEDS.
    Meds(Box<Meds>),
    /// OMOP tables behind an engine.
    Warehouse(Box<Warehouse>),
}

impl Opened {
    /// Opens a folder, or the database or warehouse that a file says; reads no row.
    ///
    /// # Errors
    /// What lies there cannot be used.
    pub fn open(path: &Path) -> Result<Self, InvalidOmop> {
        if path.is_file() {
            if let Some(config) = warehouse::Config::open(path)? {
                return Ok(Self::Warehouse(Box::new(Warehouse::open(&config)?)));
            }
            return Ok(Self::Database(Box::new(Database::open(&database_at(path)?)?)));
        }
        if Meds::is_at(path) {
            return Ok(Self::Meds(Box::new(Meds::open(path)?)));
        }
        Folder::open(path).map(Self::Folder)
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        Source::from(self).place()
    }
}

impl<'a> From<&'a Opened> for Source<'a> {
    fn from(opened: &'a Opened) -> Self {
        match opened {
            Opened::Folder(folder) => folder.into(),
            Opened::Database(database) => database.as_ref().into(),
            Opened::Meds(meds) => meds.as_ref().into(),
            Opened::Warehouse(warehouse) => warehouse.as_ref().into(),
        }
    }
}

/// The folder of tables that a warehouse's `source.toml` names; none where something else lies at the path.
///
/// # Errors
/// It is the file of a warehouse, and has mistakes.
pub fn warehouse_folder(path: &Path) -> Result<Option<PathBuf>, InvalidWarehouse> {
    if !is_of_database(path) {
        return Ok(None);
    }
    Ok(warehouse::Config::open(path)?.map(|config| config.tables))
}

/// Whether a path is that of a `source.toml`, of a database or a warehouse, by its name: a plain table has another ending.
#[must_use]
pub fn is_of_database(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml")) && path.is_file()
}

/// Reads a `source.toml`; a password that it does not name may be where `PGPASSFILE` says.
///
/// # Errors
/// As [`Config::open`].
pub fn database_at(path: &Path) -> Result<Config, InvalidDatabase> {
    let pass_file = std::env::var_os("PGPASSFILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    Config::open(path, pass_file.as_deref())
}
