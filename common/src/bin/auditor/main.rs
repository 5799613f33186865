//! `auditor`: checks what privacy was spent, on what, under whose approval. It needs no network and no
//! keys, and trusts neither coordinator nor site: every figure is recomputed from recorded events.
//!
//! Exit codes: 0 done, 1 the answer is no, 2 bad usage or input, 4 our own fault.

mod budget;
mod calibrate;
mod diff;
mod epsilon;
mod figures;
mod folder;
mod report;
mod source;
mod trace;
mod verify;

use clap::{Parser, Subcommand, ValueEnum};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

/// Checks privacy claims offline: recomputes them from events, trusting nobody's arithmetic.
#[derive(Parser)]
#[command(
    name = "auditor",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  auditor verify bundle\n  auditor budget bundle"
)]
struct Auditor {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(verify::Args),
    Budget(budget::Args),
    Trace(trace::Args),
    Diff(diff::Args),
    Report(report::Args),
    Epsilon(epsilon::Args),
    Calibrate(calibrate::Args),
}

/// How an answer is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

/// Bad usage or input.
const BAD_INPUT: u8 = 2;
/// Our own fault, as when the output cannot be written.
const OUR_FAULT: u8 = 4;

fn main() -> ExitCode {
    match Auditor::parse().command {
        Command::Verify(args) => verify::run(&args),
        Command::Budget(args) => budget::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Epsilon(args) => epsilon::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
    }
}

/// Prints a figure: as JSON, unless a person is looking on and did not ask for it.
fn print_figure(format: Option<Format>, json: &impl serde::Serialize, text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let default = if out.is_terminal() { Format::Text } else { Format::Json };
    let line = match format.unwrap_or(default) {
        Format::Json => serde_json::to_string(json).expect("finite numbers and plain names"),
        Format::Text => text.to_owned(),
    };
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(OUR_FAULT, &format!("cannot write the answer: {error}")),
    }
}

/// Prints an answer of several lines; the exit code is 0 for yes and 1 for no.
fn print_answer(answer: &str, yes: bool) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(answer.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::from(u8::from(!yes)),
        Err(error) => refuse(OUR_FAULT, &format!("cannot write the answer: {error}")),
    }
}

/// Says why there is no answer, on standard error.
fn refuse(code: u8, why: &str) -> ExitCode {
    eprintln!("auditor: {why}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn every_command_shows_an_example() {
        let auditor = super::Auditor::command();
        for command in auditor.get_subcommands().chain([&auditor]) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{} --help: {after:?}", command.get_name());
        }
    }
}
