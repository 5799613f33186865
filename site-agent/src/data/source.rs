//! The forms that a site's data may have, and one way to ask for either: a study says which one it reads.

use super::extract::{self, InvalidRecords};
use super::frozen::{self, Origin};
use super::omop::meds::Meds;
use super::omop::{
    Fault, Folder, InvalidOmop, Opened, QueryLog, Reading, Source, Table, TableCounts, database_at,
    is_of_database, postgres, warehouse_folder,
};
use super::split::SplitKey;
use super::table::{self, FILE_NAME, InvalidTable, Loaded, Summary};
use consilium_common::study::{Data, Study};
use std::path::{Path, PathBuf};

/// Why a site's data cannot be used for a study.
#[derive(Debug, thiserror::Error)]
pub enum InvalidData {
    /// A plain table.
    #[error(transparent)]
    Table(#[from] InvalidTable),
    /// OMOP records.
    #[error(transparent)]
    Records(#[from] InvalidRecords),
    /// Files that cannot be looked at.
    #[error("{path}: {error}")]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A plain table is asked for.
    #[error(
        "{path}: these are OMOP tables, and the study reads a plain table: give the CSV file, or a folder with {FILE_NAME}"
    )]
    NoTable {
        /// What there is.
        path: PathBuf,
    },
    /// OMOP tables name a person by one column only.
    #[error(
        "{path}: OMOP tables tell persons apart by column person_id, and site-policy.toml says {person_id}: change \
         data.person_id there"
    )]
    OtherPerson {
        /// What there is.
        path: PathBuf,
        /// As the policy has it.
        person_id: String,
    },
}

/// What contributes nothing; stays at the site.
pub struct Faults {
    /// Rows in all.
    pub count: u64,
    /// In words that name tables, rows and columns, and never a cell; of a table the first few.
    pub shown: Vec<String>,
}

/// Reads a site's data for a round: what cannot be used contributes nothing.
///
/// # Privacy
/// As [`table::load_tolerant`] and [`extract::extract`].
///
/// # Errors
/// The data cannot be used for the study.
pub fn load_tolerant(path: &Path, study: &Study, key: &SplitKey) -> Result<(Loaded, Faults), InvalidData> {
    let (loaded, faults, _) = load_with_origin(path, study, key)?;
    Ok((loaded, faults))
}

/// As [`load_tolerant`], with what the data come from: the source's release, looked at before the data, so that one which comes
/// meanwhile is not taken for this one, and what was asked of it.
///
/// # Privacy
/// As [`load_tolerant`]. What was asked depends on the study, the vocabulary and the source's form, not on a person's rows; the
/// release tells of data. Both are for the site's own screen and, as commitments under fresh nonces, the ledger.
///
/// # Errors
/// As [`load_tolerant`]; the source cannot be looked at.
pub fn load_with_origin(
    path: &Path,
    study: &Study,
    key: &SplitKey,
) -> Result<(Loaded, Faults, Origin), InvalidData> {
    match &study.data {
        Data::Table(table) => {
            let path = as_table(path)?;
            let origin = Origin { source: of_files(path)?, queries: frozen::queries_of_table(study, table) };
            let (loaded, faults) = table::load_tolerant(path, study, key)?;
            let shown = faults.shown.iter().map(ToString::to_string).collect();
            Ok((loaded, Faults { count: faults.count, shown }, origin))
        }
        Data::Records(records) => {
            let opened = extract::open(path)?;
            let log = QueryLog::default();
            let (source, mut queries) = match &opened {
                Opened::Database(database) => {
                    (database.release(&log).map_err(InvalidRecords::from)?, database.begins_with())
                }
                Opened::Folder(_) | Opened::Meds(_) | Opened::Warehouse(_) => (of_files(path)?, Vec::new()),
            };
            let asked = Source::from(&opened).noted_in(&log);
            let (loaded, tables) = extract::examples(asked, study, records, key, &Reading::default())?;
            queries.extend(log.lines());
            Ok((loaded, left_out(&tables), Origin { source, queries }))
        }
    }
}

fn of_files(path: &Path) -> Result<Vec<String>, InvalidData> {
    frozen::source_release(path).map_err(|error| InvalidData::Unreadable { path: path.to_owned(), error })
}

/// Reads a site's data for `data export`. Of a table it forgives nothing; rows of OMOP tables have one rule for each
/// fault, everywhere.
///
/// # Privacy
/// As [`load_tolerant`].
///
/// # Errors
/// The data cannot be used for the study.
pub fn load_strict(path: &Path, study: &Study, key: &SplitKey) -> Result<Loaded, InvalidData> {
    match &study.data {
        Data::Table(_) => Ok(table::load_strict(as_table(path)?, study, key)?.0),
        Data::Records(records) => {
            let opened = extract::open(path)?;
            Ok(extract::examples(&opened, study, records, key, &Reading::default())?.0)
        }
    }
}

/// As [`load_strict`], of a plain table, for `data check`: how much is in it.
///
/// # Errors
/// As [`load_strict`]; also where the study reads records.
pub fn summary(path: &Path, study: &Study, key: &SplitKey) -> Result<(Loaded, Summary), InvalidData> {
    Ok(table::load_strict(as_table(path)?, study, key)?)
}

/// Whether the data have what a study reads: columns, and of OMOP tables the vocabulary. Reads nothing of a person.
///
/// # Errors
/// They have not, or cannot be read.
pub fn check_columns(path: &Path, study: &Study) -> Result<(), InvalidData> {
    match &study.data {
        Data::Table(_) => Ok(table::check_columns(as_table(path)?, study)?),
        Data::Records(records) => {
            extract::check(&extract::open(path)?, study, records)?;
            Ok(())
        }
    }
}

/// Whether the data tell persons apart by the column that the policy names.
///
/// # Errors
/// They do not, or cannot be read.
pub fn check_person_column(path: &Path, person_id: &str) -> Result<(), InvalidData> {
    if !extract::are_records(path) {
        return Ok(table::check_person_column(path, person_id)?);
    }
    if person_id != OMOP_PERSON {
        return Err(InvalidData::OtherPerson { path: path.to_owned(), person_id: person_id.to_owned() });
    }
    Ok(())
}

/// The one file that stands for a site's data: the plain table, the first of table `person`, or the `source.toml` of a
/// database. Tables behind an engine are those of their folder.
#[must_use]
pub fn main_file(path: &Path) -> PathBuf {
    // A file with mistakes stands for itself: what is wrong with it is said when it is opened.
    if let Ok(Some(folder)) = warehouse_folder(path) {
        return main_file(&folder);
    }
    if Meds::is_at(path) {
        return Meds::main_file(path);
    }
    match Folder::open(path) {
        Ok(folder) if extract::are_records(path) => folder.person_file().unwrap_or(path).to_owned(),
        _ if path.is_dir() => path.join(FILE_NAME),
        _ => path.to_owned(),
    }
}

/// The database that a `source.toml` names; none where something else lies at the path.
///
/// # Errors
/// It is the file of a database, or of a warehouse, and has mistakes.
pub fn database(path: &Path) -> Result<Option<postgres::Config>, InvalidOmop> {
    if !is_of_database(path) || warehouse_folder(path)?.is_some() {
        return Ok(None);
    }
    Ok(Some(database_at(path)?))
}

const OMOP_PERSON: &str = "person_id";

fn as_table(path: &Path) -> Result<&Path, InvalidData> {
    if extract::are_records(path) { Err(InvalidData::NoTable { path: path.to_owned() }) } else { Ok(path) }
}

/// Rows that contribute nothing, by table and kind; without their numbers, which `data check` shows.
fn left_out(tables: &[(Table, TableCounts)]) -> Faults {
    let mut faults = Faults { count: 0, shown: Vec::new() };
    for (table, counts) in tables {
        for fault in Fault::ALL.into_iter().filter(|fault| fault.leaves_out() && counts.faults.of(*fault) > 0)
        {
            faults.count += counts.faults.of(fault);
            faults.shown.push(format!("table {table}: {}", fault.words()));
        }
    }
    faults
}
