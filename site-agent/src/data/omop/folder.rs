//! A folder of OMOP tables: which files hold which table.
//!
//! A table is `NAME.csv`, `NAME.csv.gz` or `NAME.parquet`, or a folder `NAME` (also `NAME.parquet`, as Spark names it)
//! of such part files, at any depth up to a limit; names in any case. Files that begin with a dot or an underscore are
//! the writing program's own and are passed over, as is everything that is no table of ours.

use super::error::InvalidOmop;
use super::schema::Table;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Most files of a table.
pub(super) const FILES_MAX: usize = 100_000;
/// Deepest folder below the table's.
pub(super) const DEPTH_MAX: usize = 4;

/// Where each table lies.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    tables: BTreeMap<Table, Vec<TableFile>>,
}

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableFile {
    pub(super) path: PathBuf,
    pub(super) form: Form,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Csv,
    CsvGz,
    Parquet,
}

impl Form {
    /// By a file's name in lower case: the form, and the name without its ending.
    fn of(name: &str) -> Option<(Self, &str)> {
        let forms = [
            (".csv.gz", Self::CsvGz),
            (".csv", Self::Csv),
            (".parquet", Self::Parquet),
            (".pq", Self::Parquet),
        ];
        forms.into_iter().find_map(|(ending, form)| Some((form, name.strip_suffix(ending)?)))
    }
}

impl Folder {
    /// Looks for tables; opens none of them.
    ///
    /// # Errors
    /// The folder cannot be read, has no table of OMOP, no table `person`, or one table in two forms.
    pub fn open(root: &Path) -> Result<Self, InvalidOmop> {
        let mut tables: BTreeMap<Table, (PathBuf, Vec<TableFile>)> = BTreeMap::new();
        for (name, path) in entries(root)? {
            let is_folder = is_folder(&path)?;
            let form = Form::of(&name);
            let stem = form.map_or(name.as_str(), |(_, stem)| stem);
            let Some(table) = Table::WITH_NOTES.into_iter().find(|table| table.name() == stem) else {
                continue;
            };
            let files = match (is_folder, form) {
                (true, _) => parts(&path)?,
                (false, Some((form, _))) => vec![TableFile { path: path.clone(), form }],
                (false, None) => return Err(InvalidOmop::UnknownForm { path }),
            };
            if let Some((first, _)) = tables.insert(table, (path.clone(), files)) {
                return Err(InvalidOmop::TwoForms { table, first, second: path });
            }
        }
        if tables.is_empty() {
            return Err(InvalidOmop::NoTables { path: root.to_owned() });
        }
        if let Some(table) = Table::ALL.into_iter().find(|t| t.is_required() && !tables.contains_key(t)) {
            return Err(InvalidOmop::MissingTable { path: root.to_owned(), table });
        }
        let tables = tables.into_iter().map(|(table, (_, files))| (table, files)).collect();
        Ok(Self { root: root.to_owned(), tables })
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it has a table.
    #[must_use]
    pub fn has(&self, table: Table) -> bool {
        self.tables.contains_key(&table)
    }

    /// The first file of table `person`; none where that is a folder without files.
    #[must_use]
    pub fn person_file(&self) -> Option<&Path> {
        self.files(Table::Person).first().map(|file| file.path.as_path())
    }

    /// The files of a table, none where it is missing.
    pub(super) fn files(&self, table: Table) -> &[TableFile] {
        self.tables.get(&table).map_or(&[], Vec::as_slice)
    }
}

/// All files below a folder, by name.
pub(super) fn parts(root: &Path) -> Result<Vec<TableFile>, InvalidOmop> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    let too_many =
        || InvalidOmop::TooManyFiles { path: root.to_owned(), files_max: FILES_MAX, depth_max: DEPTH_MAX };
    while let Some((folder, depth)) = folders.pop() {
        for (name, path) in entries(&folder)? {
            if is_folder(&path)? {
                if depth == DEPTH_MAX {
                    return Err(too_many());
                }
                folders.push((path, depth + 1));
            } else if let Some((form, _)) = Form::of(&name) {
                files.push(TableFile { path, form });
            } else {
                return Err(InvalidOmop::UnknownForm { path });
            }
            if files.len() > FILES_MAX {
                return Err(too_many());
            }
        }
    }
    files.sort_by(|one, two| one.path.cmp(&two.path));
    Ok(files)
}

/// Names in lower case with their paths, in order; without those of the writing program.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, InvalidOmop> {
    let unreadable = || InvalidOmop::unreadable(folder);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable())? {
        let entry = entry.map_err(unreadable())?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if !name.starts_with(['.', '_']) {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// A link counts as what it leads to.
fn is_folder(path: &Path) -> Result<bool, InvalidOmop> {
    Ok(fs::metadata(path).map_err(InvalidOmop::unreadable(path))?.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_table() {
        fn check(paths: &[&str], expected: Result<&[(Table, usize)], &str>) {
            let dir = tempfile::tempdir().expect("folder");
            for path in paths {
                let path = dir.path().join(path);
                fs::create_dir_all(path.parent().expect("within")).expect("folder");
                fs::write(path, "").expect("file");
            }
            match (Folder::open(dir.path()), expected) {
                (Ok(folder), Ok(tables)) => {
                    let found: Vec<_> =
                        folder.tables.iter().map(|(table, files)| (*table, files.len())).collect();
                    assert_eq!(found, tables, "{paths:?}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{paths:?}: {error}"),
                (found, _) => panic!("{paths:?}: {found:?}"),
            }
        }
        use super::super::event::Domain::{Death, Measurement};
        let person = (Table::Person, 1);
        check(&["person.csv", "README.md", "cohort.csv"], Ok(&[person]));
        check(&["PERSON.CSV.GZ", "Death.Parquet"], Ok(&[person, (Table::Clinical(Death), 1)]));
        check(
            &[
                "person.csv",
                "measurement/part-0.parquet",
                "measurement/_SUCCESS",
                "measurement/.x.crc",
                "measurement/y=1/a.csv.gz",
            ],
            Ok(&[person, (Table::Clinical(Measurement), 2)]),
        );
        check(&["person.parquet/part-0.parquet"], Ok(&[person]));
        check(&["person.csv", "Person.CSV"], Err("table person is there twice"));
        check(&["person.csv", "person/part-0.csv"], Err("table person is there twice"));
        check(&["person.csv", "death"], Err("expected .csv, .csv.gz or .parquet"));
        check(&["person/part-0.orc"], Err("expected .csv, .csv.gz or .parquet"));
        check(&["person/1/2/3/4/5/a.csv"], Err("at most 4 deep"));
        check(&["measurement.csv"], Err("table person is missing"));
        check(&["table.csv"], Err("expected a folder of OMOP tables"));
        assert!(matches!(Folder::open(Path::new("no such folder")), Err(InvalidOmop::Unreadable { .. })));
    }
}
