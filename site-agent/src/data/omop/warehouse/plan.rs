//! What will be asked of a warehouse, before it is asked: of each table which files, which columns and rows, and who reads them;
//! and what its files' owner must allow for it.

use super::super::asked::of_files;
use super::super::error::InvalidOmop;
use super::super::folder::{Folder, Form, TableFile};
use super::super::narrowing::Narrowing;
use super::super::parquet_rows;
use super::super::schema::Table;
use super::super::wanted::Wanted;
use super::config::{Config, Engine};
use super::{Scan, Warehouse};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who reads some files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The engine.
    Engine,
    /// The agent itself: the vocabulary, and what is no Parquet.
    Agent,
}

/// What will be asked of some files of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Of which table.
    pub table: Table,
    /// By whom.
    pub reader: Reader,
    /// Of which files: those of like columns together.
    pub files: Vec<PathBuf>,
    /// Rows in them as their footers say; none of CSV, which has no footer.
    pub rows: Option<u64>,
    /// Columns, and of what an engine reads the filter that its plan has.
    pub query: String,
}

/// What will be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where, and of which engine.
    pub place: String,
    /// Of each table that is there.
    pub tables: Vec<Planned>,
    /// Tables that are not there.
    pub missing: Vec<Table>,
}

/// What reading some columns will ask, with a narrowing without rows that cannot matter. Reads footers and no row.
///
/// # Errors
/// A file cannot be read, or lacks a column.
pub fn plan(
    warehouse: &Warehouse,
    wanted: &Wanted,
    narrowing: Option<&Narrowing>,
) -> Result<Plan, InvalidOmop> {
    let folder = warehouse.folder();
    let mut tables = Vec::new();
    for table in wanted.tables() {
        let columns = wanted.columns(table);
        let is_of_engine = |file: &&TableFile| table.is_of_patients() && file.form == Form::Parquet;
        let mut own: Vec<&TableFile> = folder.files(table).iter().collect();
        own.retain(|file| !is_of_engine(file));
        if table.is_of_patients() {
            let scans = warehouse.scans(table, columns, narrowing)?;
            tables.extend(scans.iter().map(|scan| of_engine(table, scan)));
        }
        for form in [Form::Parquet, Form::Csv, Form::CsvGz] {
            let files: Vec<PathBuf> =
                own.iter().filter(|file| file.form == form).map(|file| file.path.clone()).collect();
            if files.is_empty() {
                continue;
            }
            let rows = |path: &PathBuf| parquet_rows::open(path, columns).map(|opened| opened.rows());
            let rows = match form {
                Form::Parquet => Some(files.iter().map(rows).sum::<Result<u64, _>>()?),
                Form::Csv | Form::CsvGz => None,
            };
            let query = of_files("omop", table.name(), columns).to_string();
            tables.push(Planned { table, reader: Reader::Agent, files, rows, query });
        }
    }
    let missing = wanted.tables().into_iter().filter(|table| !folder.has(*table)).collect();
    Ok(Plan { place: warehouse.config().place(), tables, missing })
}

fn of_engine(table: Table, scan: &Scan) -> Planned {
    Planned {
        table,
        reader: Reader::Engine,
        files: scan.paths().to_vec(),
        rows: Some(scan.rows()),
        query: scan.words(),
    }
}

/// Which files must be readable for whom: files have no columns that could be granted one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The engine, where it is not within the agent.
    pub cluster: Option<String>,
    /// The folder of the tables, which all of them enter and list.
    pub folder: PathBuf,
    /// Files and folders in it that the agent reads.
    pub agent: Vec<PathBuf>,
    /// Those that a scheduler and its executors read as well; none where the engine is within the agent.
    pub executors: Vec<PathBuf>,
    /// What of them is of use: `omop: death (person_id, death_date)`.
    pub columns: Vec<String>,
    /// Why the files could not be looked at from here.
    pub unseen: Option<String>,
}

/// What must be readable so that some columns can be read. Opens no file; needs no engine.
#[must_use]
pub fn rights(config: &Config, wanted: &Wanted) -> Rights {
    let cluster = match &config.engine {
        Engine::Embedded { .. } => None,
        Engine::Ballista(scheduler) => Some(scheduler.to_string()),
    };
    let mut rights = Rights {
        cluster,
        folder: config.tables.clone(),
        agent: Vec::new(),
        executors: Vec::new(),
        columns: Vec::new(),
        unseen: None,
    };
    let of_table = |table: Table| of_files("omop", table.name(), wanted.columns(table)).to_string();
    let folder = match Folder::open(&config.tables) {
        Ok(folder) => folder,
        Err(error) => {
            rights.columns = wanted.tables().into_iter().map(of_table).collect();
            return Rights { unseen: Some(error.to_string()), ..rights };
        }
    };
    let (mut agent, mut executors) = (BTreeSet::new(), BTreeSet::new());
    for table in wanted.tables().into_iter().filter(|table| folder.has(*table)) {
        rights.columns.push(of_table(table));
        for file in folder.files(table) {
            let item = item(&folder, &file.path);
            if rights.cluster.is_some() && table.is_of_patients() && file.form == Form::Parquet {
                executors.insert(item.clone());
            }
            agent.insert(item);
        }
    }
    Rights { agent: agent.into_iter().collect(), executors: executors.into_iter().collect(), ..rights }
}

/// What of the folder a file lies in: itself, or the table's own folder.
fn item(folder: &Folder, file: &Path) -> PathBuf {
    let within = file.strip_prefix(folder.root()).ok().and_then(|path| path.components().next());
    within.map_or_else(|| file.to_owned(), |first| folder.root().join(first))
}
