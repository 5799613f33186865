//! A hospital's OMOP tables as CSV, as Parquet, or as both.

use super::SynthError;
use super::cell::Cell;
use super::files::CsvFile;
use super::omop::columns::Table;
use super::parquet_file::ParquetFile;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// The form of the OMOP tables; the plain table is CSV always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// SITE/omop/TABLE.csv
    #[default]
    Csv,
    /// SITE/omop/TABLE.csv.gz
    CsvGz,
    /// SITE/omop/TABLE.parquet
    Parquet,
    /// SITE/omop/TABLE.csv, and SITE/omop-parquet/TABLE.parquet
    Both,
}

/// Where a site's tables go.
pub(super) struct Folders {
    form: Form,
    main: PathBuf,
    parquet: PathBuf,
}

impl Folders {
    /// Makes what is needed below a site's folder.
    pub(super) fn create(site: &Path, form: Form) -> Result<Self, SynthError> {
        let main = site.join("omop");
        let parquet = if form == Form::Both { site.join("omop-parquet") } else { main.clone() };
        for folder in [&main, &parquet] {
            std::fs::create_dir_all(folder).map_err(SynthError::io(folder))?;
        }
        Ok(Self { form, main, parquet })
    }

    /// A new table.
    pub(super) fn table(&self, table: &'static Table) -> Result<TableFiles, SynthError> {
        let names = || table.columns.iter().map(|column| column.name);
        let csv = match self.form {
            Form::Csv | Form::Both => {
                Some(CsvFile::create(self.main.join(format!("{}.csv", table.name)), names())?)
            }
            Form::CsvGz => {
                Some(CsvFile::create_gz(self.main.join(format!("{}.csv.gz", table.name)), names())?)
            }
            Form::Parquet => None,
        };
        let parquet = match self.form {
            Form::Csv | Form::CsvGz => None,
            Form::Parquet | Form::Both => {
                let path = self.parquet.join(format!("{}.parquet", table.name));
                Some(ParquetFile::create(path, table.columns)?)
            }
        };
        Ok(TableFiles { csv, parquet })
    }
}

/// A table being written, in every form that was asked for.
pub(super) struct TableFiles {
    csv: Option<CsvFile>,
    parquet: Option<ParquetFile>,
}

impl TableFiles {
    /// Adds a row: the named cells, in the order of the columns; every other column stays empty.
    pub(super) fn row(&mut self, cells: &[(&str, Cell<'_>)]) -> Result<(), SynthError> {
        self.csv.as_mut().map_or(Ok(()), |csv| csv.row(cells))?;
        self.parquet.as_mut().map_or(Ok(()), |parquet| parquet.row(cells))
    }

    /// Writes out what is still held back.
    pub(super) fn finish(self) -> Result<(), SynthError> {
        self.csv.map_or(Ok(()), CsvFile::finish)?;
        self.parquet.map_or(Ok(()), ParquetFile::finish)
    }
}
