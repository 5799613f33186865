//! `site-agent data …`.

use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DataCommand {
    /// Reads the table or the OMOP tables as a study would, or says what is in a hospital's OMOP tables; mistakes name
    /// row and column, never a value
    #[command(
        after_help = "Examples:\n  site-agent data check --study self-harm.toml --data /srv/consilium/table.csv\n  \
        site-agent data check --omop /srv/omop\n  site-agent data check --omop source.toml\n\n\
        A folder of OMOP CDM 5.3 or 5.4 holds person.csv, person.csv.gz, person.parquet or a folder person/ of such files, \
        and so on for each table; a file source.toml says where a PostgreSQL database is. Neither needs a study or an agent's \
        home. What is printed stays here."
    )]
    Check(DataArgs),
    /// Prints every query that would be asked of a database or a warehouse, about how many rows and how long; reads no table
    /// of patients
    #[command(after_help = "Examples:\n  site-agent data plan --omop source.toml --study self-harm.toml\n  \
        site-agent data plan --omop source.toml\n\n\
        With --study the vocabulary is read, to say which rows can matter: the others stay where they are. Without --study what `data check --omop` asks: every table and column that any study may read, but for notes.")]
    Plan(PlanArgs),
    /// Prints the SQL by which a database's administrator allows exactly the columns that are read, and nothing else
    #[command(
        after_help = "Examples:\n  site-agent data grants --omop source.toml --study self-harm.toml > grants.sql\n  \
        site-agent data grants --omop source.toml --cdm 5.4 --role consilium > grants.sql\n\n\
        With --cdm it needs no connection, and names the columns of that version of the data model. Without it the names are \
        those of the database; the role must be able to connect for that, and needs no other right yet. A warehouse has no roles: \
        of it, the files are printed that the agent and the executors must be able to read."
    )]
    Grants(GrantsArgs),
    /// The examples that were frozen for studies: what there is, and removing them
    #[command(after_help = "Example:\n  site-agent data snapshot list")]
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Writes a study's encoded examples, un-noised, for tables that are yours to read; or all of a hospital's records as
    /// MEDS 0.4
    #[command(
        after_help = "Examples:\n  site-agent data export --examples --study self-harm.toml --data table.csv --out ashford.examples\n  \
        site-agent data export --meds meds-folder --source source.toml\n\n\
        What is written holds people's records: treat it like the tables themselves. docs/MEDS.md says what is in the folder."
    )]
    Export(ExportArgs),
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum SnapshotCommand {
    /// Lists them, each read to its end, with people and opt-outs; what is printed stays here
    #[command(after_help = "Example:\n  site-agent data snapshot list")]
    List,
    /// Removes some; the next round extracts them again
    #[command(
        after_help = "Examples:\n  site-agent data snapshot drop self-harm\n  site-agent data snapshot drop --unusable"
    )]
    Drop(SnapshotDrop),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct SnapshotDrop {
    /// An id or a digest
    pub(in crate::cli) study: Option<String>,
    /// Those that expired, are damaged, or are of another key
    #[arg(long)]
    pub(in crate::cli) unusable: bool,
    /// Every one
    #[arg(long)]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DataArgs {
    /// A study file
    #[arg(long, value_name = "FILE", required_unless_present = "omop")]
    pub(in crate::cli) study: Option<PathBuf>,
    /// The table, its folder, the folder of the OMOP tables or of MEDS, or the source.toml of a database, instead of agent.toml's
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// A folder of OMOP tables or of MEDS, or the source.toml of a database, looked at without a study
    #[arg(long, value_name = "PATH", conflicts_with_all = ["study", "data"])]
    pub(in crate::cli) omop: Option<PathBuf>,
    /// Where intermediate files go when the tables do not fit in memory, instead of the system's temporary folder. They
    /// hold patient data, unencrypted, in a private folder that is removed afterwards
    #[arg(long, value_name = "DIR", requires = "omop", conflicts_with_all = ["study", "data"])]
    pub(in crate::cli) scratch: Option<PathBuf>,
    /// How this site fills in the study's bindings
    #[arg(long, value_name = "FILE", requires = "study")]
    pub(in crate::cli) bindings: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PlanArgs {
    /// A study file: what it reads, and nothing else
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) study: Option<PathBuf>,
    /// The source.toml of a database or a warehouse
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) omop: PathBuf,
    /// How this site fills in the study's bindings
    #[arg(long, value_name = "FILE", requires = "study")]
    pub(in crate::cli) bindings: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct GrantsArgs {
    /// A study file: the columns that it reads, and no others
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) study: Option<PathBuf>,
    /// The source.toml of a database or a warehouse
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) omop: PathBuf,
    /// The role that may read, instead of source.toml's user
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) role: Option<String>,
    /// The version of the data model, to print the script without a connection
    #[arg(long, value_enum)]
    pub(in crate::cli) cdm: Option<Cdm>,
    /// How this site fills in the study's bindings
    #[arg(long, value_name = "FILE", requires = "study")]
    pub(in crate::cli) bindings: Option<PathBuf>,
}

/// A version of the data model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Cdm {
    /// OMOP CDM 5.3
    #[value(name = "5.3")]
    V5_3,
    /// OMOP CDM 5.4
    #[value(name = "5.4")]
    V5_4,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    /// The new folder to write all records to, as MEDS
    #[arg(long, value_name = "DIR", conflicts_with_all = ["examples", "study", "data", "out"])]
    pub(in crate::cli) meds: Option<PathBuf>,
    /// The folder of the OMOP tables or the source.toml of their database, instead of agent.toml's `data`
    #[arg(long, value_name = "PATH", requires = "meds", conflicts_with = "examples")]
    pub(in crate::cli) source: Option<PathBuf>,
    /// Says that un-noised examples of people are what is wanted
    #[arg(long, required_unless_present = "meds", requires_all = ["study", "data", "out"])]
    pub(in crate::cli) examples: bool,
    /// A study file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) study: Option<PathBuf>,
    /// The table, its folder, the folder of the OMOP tables or of MEDS, or the source.toml of a database
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// How this site fills in the study's bindings
    #[arg(long, value_name = "FILE", requires = "study")]
    pub(in crate::cli) bindings: Option<PathBuf>,
}
