//! The command line: what each command is called, and what it prints. What it does lives in the
//! modules beside.

mod args;
mod bindings;
mod completeness;
mod data;
mod init;
mod lost_key;
mod omop;
mod omop_source;
mod output;
pub(crate) mod records;
mod recover;
mod rotate;
mod serve;
mod show;
mod snapshot;
mod study;
mod warehouse_source;

use crate::doctor;
use crate::failure::Failure;
use crate::home::{Config, Home};
use crate::link::{Hello, Link};
use args::{Args, Command, DataCommand, LedgerCommand, SnapshotCommand, StudyCommand};
use clap::Parser as _;
use consilium_common::time::Time;
use output::Output;
use std::future::Future;
use std::process::ExitCode;

/// The system's clock, or a test's.
pub type Clock = fn() -> Time;

/// Runs the command line and gives the exit code.
#[must_use]
pub fn main(clock: Clock) -> ExitCode {
    // Usage errors end here, with exit code 2.
    let args = Args::parse();
    let output = Output::new(args.format);
    match run(&args, &output, clock) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn run(args: &Args, output: &Output, clock: Clock) -> Result<(), Failure> {
    match &args.command {
        Command::Init { site } => init::init(&args.home, site, output, clock),
        Command::Enroll { invite } => init::enroll(&open(args)?, invite, output, clock),
        Command::Doctor { data } => {
            let checks = in_runtime(doctor::examine(&open(args)?, data.as_deref(), clock))?;
            output.checks(&checks)
        }
        Command::Serve(serve) => serve::serve(open(args)?, serve, clock),
        Command::Data(DataCommand::Check(check)) => match (&check.omop, &check.study) {
            (Some(path), _) => omop::check(path, check.scratch.as_deref(), output),
            (None, study) => {
                let study = study.as_deref().expect("clap requires it");
                let (data, bindings) = (check.data.as_deref(), check.bindings.as_deref());
                data::check(&open(args)?, study, bindings, data, output)
            }
        },
        Command::Data(DataCommand::Plan(plan)) => omop_source::plan(plan, output),
        Command::Data(DataCommand::Grants(grants)) => omop_source::grants(grants, output),
        Command::Data(DataCommand::Snapshot(SnapshotCommand::List)) => {
            snapshot::list(&open(args)?, output, clock())
        }
        Command::Data(DataCommand::Snapshot(SnapshotCommand::Drop(asked))) => {
            snapshot::drop_some(&open(args)?, asked, output, clock())
        }
        Command::Data(DataCommand::Export(export)) => match (&export.meds, &export.source) {
            (Some(out), Some(source)) => data::export_meds(source, out, output),
            (Some(out), None) => {
                let served = open(args)?.config()?.data;
                let none = || Failure::input("no data: give --source, or `data` in agent.toml");
                data::export_meds(&served.ok_or_else(none)?, out, output)
            }
            (None, _) => data::export(&open(args)?, export, output),
        },
        Command::Study(StudyCommand::List) => study::list(&open(args)?, output),
        Command::Study(StudyCommand::Show { study, bindings, out }) => {
            study::show(&open(args)?, study, (bindings.as_deref(), out.as_deref()), output, clock)
        }
        Command::Study(StudyCommand::Bindings { study }) => study::template(&open(args)?, study, output),
        Command::Study(StudyCommand::Approve(asked)) => study::approve(&open(args)?, asked, output, clock),
        Command::Study(StudyCommand::Decline { study, reason, approver }) => {
            study::decline(&open(args)?, study, (*reason).into(), approver, output, clock)
        }
        Command::Budget => show::budget(&open(args)?, clock(), output),
        Command::Ledger(LedgerCommand::Export { out }) => show::export_ledger(&open(args)?, out, output),
        Command::Ledger(LedgerCommand::Recover { from }) => {
            recover::recover(&open(args)?, from.as_deref(), output, clock)
        }
        Command::Ledger(LedgerCommand::LostKey(command)) => {
            lost_key::run(&open(args)?, command, output, clock)
        }
        Command::Ledger(LedgerCommand::RotateKey) => rotate::rotate_key(&open(args)?, output, clock),
        Command::Synth(synth) => data::synth(synth, output),
    }
}

fn open(args: &Args) -> Result<Home, Failure> {
    Ok(Home::open(&args.home)?)
}

/// Runs a short conversation to its end.
fn in_runtime<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    Ok(runtime.map_err(|e| Failure::fault(format!("no threads: {e}")))?.block_on(work))
}

/// Connects as an enrolled site, once: a command does not wait for a coordinator to come back.
async fn connect(home: &Home, config: &Config) -> Result<(Link, Hello), Failure> {
    let coordinator = home.coordinator(config)?;
    let dialer = doctor::dialer(home, config)?;
    let (link, hello) = Link::open(&dialer).await?;
    if hello.key != coordinator.key {
        return Err(crate::drive::Stop::OtherCoordinator.into());
    }
    Ok((link, hello))
}
