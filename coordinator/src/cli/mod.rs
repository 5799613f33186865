//! The command line: noun, then verb. Exit codes: 0 done, 1 the answer is no, 2 bad usage or
//! input, 3 cannot reach a peer, 4 our own fault.

mod admin;
mod import;
mod output;
mod study;
mod study_new;
mod study_text;
mod template;
mod vocabulary;

use crate::demo;
use crate::operator::CommandError;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) use admin::{invite, sites, stopped};
pub(crate) use output::table;
pub use output::{Output, print_json};
pub(crate) use study::{bundle_of, publish, read_study, start, watch};
pub(crate) use study_new::{epsilon, weigh_by_people};
pub(crate) use template::{Mode, Source, Template};

/// Orchestrates the training of one clinical model over several hospitals, none of whose records
/// leave the hospital.
#[derive(Parser)]
#[command(
    name = "coordinator",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  coordinator demo                                   everything on this machine, on synthetic hospitals
  coordinator init --home consortium --host coordinator.example
  coordinator serve --home consortium
  coordinator site invite st-elsewhere --home consortium --out st-elsewhere.invite
  coordinator study check study.toml

Exit codes: 0 done, 1 the answer is no, 2 bad usage or input, 3 cannot reach a peer, 4 our own fault."
)]
struct Cli {
    /// How to print.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document, or one per line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Make a coordinator in a new folder: certificate authority, keys, configuration.
    Init(admin::InitArgs),
    /// Run the coordinator.
    Serve(admin::ServeArgs),
    /// Check that the coordinator can run: folder, certificates, store, port.
    #[command(after_help = "Example: coordinator doctor --home consortium")]
    Doctor(HomeArgs),
    /// Invite, list and revoke sites.
    #[command(after_help = "Example: coordinator site list --home consortium")]
    #[command(subcommand)]
    Site(admin::SiteCommand),
    /// Make, check, publish, start and watch studies.
    #[command(after_help = "Example: coordinator study check study.toml")]
    #[command(subcommand)]
    Study(study::StudyCommand),
    /// Train and judge reference models without privacy, in this process, from example files that
    /// are yours to read.
    Simulate(crate::simulate::SimulateArgs),
    /// The whole of it on one machine: real processes, real mutual TLS, real ledgers.
    Demo(demo::DemoArgs),
}

/// Where the coordinator lives.
#[derive(Args, Clone)]
pub struct HomeArgs {
    /// The coordinator's folder.
    #[arg(long, default_value = HOME)]
    pub home: PathBuf,
}

/// Where the coordinator lives if nobody says.
const HOME: &str = "coordinator-home";

impl HomeArgs {
    /// What a command that is printed for people needs to find the same coordinator: nothing where it would anyway.
    fn option(&self) -> String {
        let home = self.home.display().to_string();
        match home.as_str() {
            HOME => String::new(),
            plain if plain.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) => {
                format!(" --home {plain}")
            }
            other => format!(" --home '{}'", other.replace('\'', r"'\''")),
        }
    }

    /// A text with commands between backticks, each of which finds this coordinator.
    fn in_commands(&self, text: &str) -> String {
        let option = self.option();
        let part = |(at, part): (usize, &str)| match part.strip_prefix("coordinator ") {
            Some(_) if at % 2 == 1 => format!("{part}{option}"),
            _ => part.to_owned(),
        };
        text.split('`').enumerate().map(part).collect::<Vec<_>>().join("`")
    }
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let format = cli.format;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::from(4);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match format {
                Format::Text => eprintln!("error: {error}"),
                Format::Json => {
                    eprintln!("{}", serde_json::json!({"error": error.to_string(), "exit": error.code()}));
                }
            }
            ExitCode::from(error.code())
        }
    }
}

async fn run(cli: Cli) -> Result<(), CommandError> {
    let out = Output { format: cli.format };
    match cli.command {
        Command::Init(args) => admin::init(&args, out),
        Command::Serve(args) => admin::serve(args, out).await,
        Command::Doctor(args) => admin::doctor(&args, out).await,
        Command::Site(command) => admin::site(command, out).await,
        Command::Study(command) => study::run(command, out).await,
        Command::Simulate(args) => crate::simulate::run(&args, out),
        Command::Demo(args) => demo::run(args, out).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn commands_that_are_printed_find_the_same_coordinator() {
        fn check(home: &str, text: &str, expected: &str) {
            assert_eq!(HomeArgs { home: home.into() }.in_commands(text), expected);
        }
        let next = "`coordinator study report s --out DIR`; ashford: start the agent (`site-agent serve`)";
        check("coordinator-home", next, next);
        let expected = "`coordinator study report s --out DIR --home /srv/c`; ashford: start the agent (`site-agent serve`)";
        check("/srv/c", next, expected);
        check("my c", "run `coordinator serve`", "run `coordinator serve --home 'my c'`");
        check("c", "the coordinator is there", "the coordinator is there");
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command, name: &str) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example") && after.contains("coordinator "), "{name} --help: {after:?}");
            for below in command.get_subcommands() {
                check(below, &format!("{name} {}", below.get_name()));
            }
        }
        Cli::command().debug_assert();
        check(&Cli::command(), "coordinator");
    }
}
