//! Why a warehouse cannot be read. Names tables and rules, never a cell: what an engine says is not repeated, since it may
//! quote one.

use super::super::schema::Table;
use crate::files::FileError;
use crate::toml_keys::Mistakes;
use std::path::PathBuf;

/// A warehouse that cannot be reached, or that gave a table up.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWarehouse {
    /// `source.toml` has mistakes.
    #[error("{path}:\n{mistakes}")]
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// All of them.
        mistakes: Mistakes,
    },
    /// `source.toml` itself cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// This program has no engine.
    #[error(
        "{place}: this program was built without warehouses: build it with `cargo build --release -p site-agent --features \
         warehouse`, or give the folder of the tables itself"
    )]
    NotBuilt {
        /// What was asked for.
        place: String,
    },
    /// A path that an engine cannot be told.
    #[error("{path}: expected a name in UTF-8")]
    NotUtf8 {
        /// Which file.
        path: PathBuf,
    },
    /// The engine does not start.
    #[error(
        "{place}: the engine does not start on this machine: look at its memory, threads and temporary folder"
    )]
    NotStarted {
        /// Which.
        place: String,
    },
    /// No scheduler there.
    #[error("cannot connect to {place}: {cause}")]
    Unreachable {
        /// Where.
        place: String,
        /// What the network said.
        cause: String,
    },
    /// The cluster went away.
    #[error("table {table}: {place} is gone: {cause}")]
    Lost {
        /// Which table was read.
        table: Table,
        /// Where.
        place: String,
        /// What the network said.
        cause: String,
    },
    /// More than the engine may take.
    #[error(
        "table {table}: the engine needs more than {memory_mib} MiB: raise warehouse.memory_mib, or read the table on a cluster"
    )]
    Memory {
        /// Which table was read.
        table: Table,
        /// The limit.
        memory_mib: u64,
    },
    /// It waited for too long.
    #[error(
        "table {table}: {place} gave nothing for {timeout_s} seconds: raise warehouse.timeout_s, or look at the cluster"
    )]
    TooSlow {
        /// Which table was read.
        table: Table,
        /// Where.
        place: String,
        /// The limit.
        timeout_s: u64,
    },
    /// The engine and this agent do not look at the same files.
    #[error(
        "table {table}: {place} sees other files of it than this agent does: both have to see the same folder at this path, and \
         nothing may write to it meanwhile"
    )]
    OtherFiles {
        /// Which table was read.
        table: Table,
        /// Where.
        place: String,
    },
    /// The engine gave the table up, and its files are sound, or were not looked at.
    #[error(
        "table {table}: {place} gave it up; why is not repeated here, since it may quote a record. Perhaps an index in a file is \
         damaged: write the table again. Of a cluster, see the logs of its scheduler and executors: each has to be version 55 of \
         Ballista and to see every file of the table at this path"
    )]
    GivenUp {
        /// Which table was read.
        table: Table,
        /// Where.
        place: String,
    },
}
