//! One table, one agent, one ledger: two agents on the same people under two ledgers would each spend
//! a whole budget. While it serves, an agent holds the operating system's lock on the table's file (of
//! OMOP tables that of `person`, of a database its `source.toml`), which every reader of this machine may still read.

use super::agent::Agent;
use crate::data;
use crate::failure::Failure;
use std::fs::{File, TryLockError};
use std::path::Path;

impl Agent {
    /// Holds the table against a second agent for as long as this one lives. No table is no error.
    ///
    /// # Errors
    /// Another agent serves it.
    pub fn claim_table(&mut self) -> Result<(), Failure> {
        self.table = self.data_path.as_deref().map(claim).transpose()?.flatten();
        Ok(())
    }
}

/// Holds the table for as long as the file lives; `None` where there is no table yet or its file system
/// knows no locks.
///
/// # Errors
/// Another agent serves it.
fn claim(path: &Path) -> Result<Option<File>, Failure> {
    let path = data::main_file(path);
    let Ok(file) = File::open(&path) else { return Ok(None) };
    // Elsewhere such a lock would keep the agent itself from reading.
    if cfg!(not(unix)) {
        return Ok(None);
    }
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Failure::refused(format!(
            "data.in_use: another agent serves {}; one table has one agent and one ledger (docs/OPERATIONS.md)",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => {
            tracing::warn!("{}: no lock: {error}; nothing keeps a second agent from it", path.display());
            Ok(None)
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::data::table::FILE_NAME;

    #[test]
    fn a_table_has_one_agent() {
        let dir = tempfile::tempdir().expect("folder");
        let table = dir.path().join(FILE_NAME);
        assert!(claim(&table).expect("no table yet").is_none());
        std::fs::write(&table, "person_id\n").expect("written");
        let first = claim(&table).expect("free").expect("locked");
        for path in [table.as_path(), dir.path()] {
            let said = claim(path).expect_err("taken").message;
            assert!(said.starts_with("data.in_use"), "{said}");
        }
        assert_eq!(std::fs::read(&table).expect("still readable"), b"person_id\n");
        drop(first);
        assert!(claim(dir.path()).expect("free again").is_some());
    }

    #[test]
    fn a_database_has_one_agent_for_one_source_file() {
        let dir = tempfile::tempdir().expect("folder");
        let source = dir.path().join("source.toml");
        std::fs::write(&source, "[postgres]\n").expect("written");
        let first = claim(&source).expect("free").expect("locked");
        assert!(claim(&source).expect_err("taken").message.starts_with("data.in_use"));
        drop(first);
        assert!(claim(&source).expect("free again").is_some());
    }

    #[test]
    fn a_folder_of_records_has_one_agent() {
        let dir = tempfile::tempdir().expect("folder");
        for table in ["PERSON.csv", "death.csv"] {
            std::fs::write(dir.path().join(table), "person_id\n").expect("written");
        }
        let first = claim(dir.path()).expect("free").expect("locked");
        assert!(claim(dir.path()).expect_err("taken").message.starts_with("data.in_use"));
        drop(first);
        assert!(claim(dir.path()).expect("free again").is_some());
    }
}
