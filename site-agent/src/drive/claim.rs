//! One table, one agent, one ledger: two agents on the same people under two ledgers would each spend
//! a whole budget. While it serves, an agent holds the operating system's lock on the table's file (of
//! OMOP tables that of `person`, of a database its `source.toml`), which every reader of this machine may still read; and in
//! a database an advisory lock, which an agent elsewhere, or by another file, finds taken.

use super::agent::Agent;
use super::failed::TaskError;
use super::table;
use crate::data;
use crate::data::omop::postgres::Claim;
use crate::failure::Failure;
use crate::task::Refusal;
use std::fs::{File, TryLockError};
use std::path::Path;

/// What keeps a second agent out.
#[derive(Default)]
pub(super) struct Claimed {
    file: Option<File>,
    database: Option<Claim>,
}

impl Agent {
    /// Holds the table against a second agent for as long as this one lives. No table is no error.
    ///
    /// # Errors
    /// Another agent serves it.
    pub fn claim_table(&mut self) -> Result<(), Failure> {
        let Some(path) = self.data_path.as_deref() else { return Ok(()) };
        self.table.file = claim(path)?;
        self.table.database = claim_database(path, None)?;
        Ok(())
    }

    /// As [`Self::claim_table`] before a database is read again: a lock there ends with its connection.
    ///
    /// # Errors
    /// Refused: another agent has served it since.
    pub(super) async fn claim_database_again(&mut self) -> Result<(), TaskError> {
        let path = self.data_path()?.to_owned();
        let held = self.table.database.take();
        let claimed = tokio::task::spawn_blocking(move || claim_database(&path, held)).await;
        let claimed = claimed.map_err(|_| TaskError::Local("claiming the database failed".into()))?;
        self.table.database =
            claimed.map_err(|failure| Refusal { rule: table::RULE, why: failure.to_string() })?;
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
        Err(TryLockError::WouldBlock) => Err(in_use(path.display())),
        Err(TryLockError::Error(error)) => {
            tracing::warn!("{}: no lock: {error}; nothing keeps a second agent from it", path.display());
            Ok(None)
        }
    }
}

/// The lock in a database, if there is one at the path and it can be asked; what is held already, if it still is.
///
/// # Errors
/// Another agent serves it.
fn claim_database(path: &Path, held: Option<Claim>) -> Result<Option<Claim>, Failure> {
    // What is wrong with the file, or keeps the database away, is said where it is read.
    let Ok(Some(config)) = data::database(path) else { return Ok(None) };
    if let Some(held) = held.filter(Claim::is_held) {
        return Ok(Some(held));
    }
    match Claim::take(&config) {
        Ok(Some(claim)) => Ok(Some(claim)),
        Ok(None) => Err(in_use(format_args!("{}, schema {}", config.place(), config.schema))),
        Err(error) => {
            tracing::warn!("{error}; it is claimed when it is read");
            Ok(None)
        }
    }
}

fn in_use(what: impl std::fmt::Display) -> Failure {
    Failure::refused(format!(
        "data.in_use: another agent serves {what}; one table has one agent and one ledger (docs/OPERATIONS.md)"
    ))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::data::omop::postgres::tests::cluster::Cluster;
    use crate::data::omop::postgres::tests::{script, source};
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
    fn a_database_has_one_agent_whatever_the_file() {
        let Some(cluster) = Cluster::start(&[]) else { return };
        cluster.sql(&script("cdm", &[], &|_| "text".to_owned()));
        let dir = tempfile::tempdir().expect("folder");
        let [one, other] = ["one.toml", "other.toml"].map(|name| dir.path().join(name));
        for path in [&one, &other] {
            std::fs::write(path, source(&cluster, "")).expect("written");
        }
        let first = claim_database(&one, None).expect("free").expect("a database");
        let said = claim_database(&other, None).err().expect("taken").message;
        assert!(said.starts_with("data.in_use") && said.contains("schema cdm"), "{said}");
        let first = claim_database(&one, Some(first)).expect("held").expect("a database");
        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
        let second = claim_database(&other, None).expect("free again").expect("a database");
        assert!(claim_database(&one, Some(first)).err().expect("taken").message.starts_with("data.in_use"));
        drop(second);
        std::fs::write(&one, "[postgres]\n").expect("written");
        assert!(claim_database(&one, None).expect("said elsewhere").is_none(), "a file with mistakes");
        assert!(claim_database(dir.path(), None).expect("no database").is_none());
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
