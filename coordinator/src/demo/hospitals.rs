//! The hospitals of a demo: folders with a table or with OMOP tables.

use super::process::run as run_program;
use crate::cli::Source;
use crate::operator::CommandError;
use consilium_common::id::SiteName;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The plain table's name within a folder.
const TABLE: &str = "table.csv";
/// What a hospital answers to a study's bindings, where its folder has it.
const BINDINGS: &str = "bindings.toml";
/// The folder beside a plain table with the same people's OMOP tables, as `site-agent synth` lays them out.
const OMOP: &str = "omop";

pub(super) struct Hospital {
    pub(super) name: SiteName,
    /// The table, or the folder of the OMOP tables.
    pub(super) data: PathBuf,
    pub(super) home: PathBuf,
    pub(super) people: u64,
    /// Its answer to a study's bindings.
    pub(super) bindings: Option<PathBuf>,
}

impl Hospital {
    /// Arguments of the agent's commands that take the answer; none where there is none.
    pub(super) fn bindings_arguments(&self) -> Vec<String> {
        let path = |path: &PathBuf| ["--bindings".to_owned(), path.display().to_string()];
        self.bindings.iter().flat_map(path).collect()
    }
}

/// One hospital per folder that holds a table or OMOP tables; of a folder with both, what the study reads.
pub(super) async fn hospitals_in(
    agent: &Path,
    data: &Path,
    source: Source,
    work: &Path,
) -> Result<Vec<Hospital>, CommandError> {
    let unreadable = |error| CommandError::input(format!("{}: {error}", data.display()));
    refuse_enrolled(data)?;
    let mut hospitals = Vec::new();
    for entry in std::fs::read_dir(data).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        let Some((form, found)) = data_of(&folder, source) else { continue };
        refuse_enrolled(&folder)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let name: SiteName =
            name.parse().map_err(|e| CommandError::input(format!("{}: {e}", folder.display())))?;
        let people = match form {
            Source::Table => rows(&found)?,
            Source::Omop => omop_people(agent, &found).await?,
        };
        let data = found.canonicalize().map_err(CommandError::fault)?;
        let bindings = answer_in(&folder).map(|path| path.canonicalize()).transpose();
        let bindings = bindings.map_err(CommandError::fault)?;
        hospitals.push(Hospital {
            home: work.join("sites").join(name.as_str()),
            name,
            data,
            people,
            bindings,
        });
    }
    hospitals.sort_by(|a, b| a.name.cmp(&b.name));
    if hospitals.len() < 2 {
        return Err(CommandError::input(format!(
            "{}: expected at least two folders with a {TABLE} or with OMOP tables, one per hospital; found {}",
            data.display(),
            hospitals.len()
        )));
    }
    Ok(hospitals)
}

/// What a folder holds, rather in the form that the study reads: why the other one does not do is the agent's to say.
fn data_of(folder: &Path, source: Source) -> Option<(Source, PathBuf)> {
    let table =
        || Some(folder.join(TABLE)).filter(|table| table.is_file()).map(|table| (Source::Table, table));
    let omop = || {
        let folders = [folder.to_owned(), folder.join(OMOP)];
        folders.into_iter().find(|folder| has_person_table(folder)).map(|folder| (Source::Omop, folder))
    };
    match source {
        Source::Table => table().or_else(omop),
        Source::Omop => omop().or_else(table),
    }
}

fn answer_in(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(BINDINGS)).filter(|file| file.is_file())
}

fn refuse_enrolled(folder: &Path) -> Result<(), CommandError> {
    if folder.join("agent.toml").exists() || folder.join("site-policy.toml").exists() {
        return Err(CommandError::Refused(format!(
            "demo.enrolled_agent: {} is the folder of an enrolled agent; the demo reads tables in the clear",
            folder.display()
        )));
    }
    Ok(())
}

/// Whether the table without which there are no OMOP tables is there, in any form and any case of its name.
fn has_person_table(folder: &Path) -> bool {
    let is_person = |name: &OsStr| {
        let name = name.to_string_lossy().to_ascii_lowercase();
        ["person", "person.csv", "person.csv.gz", "person.parquet"].contains(&name.as_str())
    };
    std::fs::read_dir(folder)
        .is_ok_and(|entries| entries.filter_map(Result::ok).any(|entry| is_person(&entry.file_name())))
}

/// Rows of a plain table, one a person.
fn rows(table: &Path) -> Result<u64, CommandError> {
    let unreadable = |error: std::io::Error| CommandError::input(format!("{}: {error}", table.display()));
    let file = std::fs::File::open(table).map_err(unreadable)?;
    Ok(csv::Reader::from_reader(std::io::BufReader::new(file)).byte_records().count() as u64)
}

/// People of OMOP tables, as the agent counts them.
async fn omop_people(agent: &Path, folder: &Path) -> Result<u64, CommandError> {
    let arguments = ["data", "check", "--format", "json", "--omop"].map(OsStr::new);
    let found = run_program(agent, arguments.into_iter().chain([folder.as_os_str()])).await?;
    let found: Value = serde_json::from_str(&found).map_err(CommandError::fault)?;
    found["people"]["people"].as_u64().ok_or_else(|| CommandError::fault("the agent counted nobody"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_the_study_reads() {
        fn check(files: &[&str], of_table: Option<(Source, &str)>, of_omop: Option<(Source, &str)>) {
            let folder = tempfile::tempdir().expect("a folder");
            for file in files {
                let path = folder.path().join(file);
                std::fs::create_dir_all(path.parent().expect("within")).expect("a folder");
                std::fs::write(path, "person_id\n").expect("written");
            }
            for (source, expected) in [(Source::Table, of_table), (Source::Omop, of_omop)] {
                let expected = expected.map(|(form, path)| (form, folder.path().join(path)));
                assert_eq!(data_of(folder.path(), source), expected, "{files:?}");
            }
        }
        let (table, omop) = (Some((Source::Table, "table.csv")), Some((Source::Omop, "omop")));
        check(&["table.csv", "omop/PERSON.csv"], table, omop);
        check(&["table.csv", "omop/PERSON.parquet"], table, omop);
        check(&["table.csv"], table, table);
        check(&["omop/PERSON.csv"], omop, omop);
        check(&["person.csv"], Some((Source::Omop, "")), Some((Source::Omop, "")));
        check(&["notes.txt"], None, None);
    }

    /// Beside the tables, whatever form they have; it is a file, and has this name.
    #[test]
    fn an_answer_lies_beside_the_records() {
        let folder = tempfile::tempdir().expect("a folder");
        let hospital = |bindings| Hospital {
            name: "a".parse().expect("a name"),
            data: folder.path().join("omop"),
            home: folder.path().join("home"),
            people: 100,
            bindings,
        };
        std::fs::create_dir(folder.path().join("bindings.toml")).expect("a folder");
        assert_eq!(answer_in(folder.path()), None);
        assert!(hospital(None).bindings_arguments().is_empty());
        std::fs::remove_dir(folder.path().join("bindings.toml")).expect("removed");
        let file = folder.path().join(BINDINGS);
        std::fs::write(&file, "").expect("written");
        let found = answer_in(folder.path());
        assert_eq!(found.as_ref(), Some(&file));
        let arguments = hospital(found).bindings_arguments();
        assert_eq!(arguments, ["--bindings".to_owned(), file.display().to_string()]);
    }

    #[test]
    fn folders_of_omop_tables() {
        fn check(file: &str, expected: bool) {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join(file), "person_id\n").expect("written");
            assert_eq!(has_person_table(folder.path()), expected, "{file}");
        }
        check("person.csv", true);
        check("PERSON.csv", true);
        check("Person.Parquet", true);
        check("person.csv.gz", true);
        check("persons.csv", false);
        check("table.csv", false);
        assert!(!has_person_table(Path::new("no such folder")));
    }
}
