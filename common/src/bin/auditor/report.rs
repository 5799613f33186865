//! `auditor report`: one page for people, on a screen and on paper, from a bundle alone.

mod lay;
mod page;
mod sites;
mod study;
mod table;
mod verdict;

use crate::source::Source;
use crate::{BAD_INPUT, OUR_FAULT, budget, print_answer, refuse};
use consilium_common::ledger::budget::Budget;
use consilium_common::ledger::bundle::trace::{OutputLine, SumLine};
use consilium_common::ledger::bundle::{Report, SiteReport};
use consilium_common::study::Study;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example:

  auditor report results/bundle --trust fingerprints.txt --out audit.html

The page loads nothing and runs nothing: open it in a browser, print it, archive it. Exit code 1: the
bundle does not verify; the page is written all the same, and says so first.";

/// Write a page for people: plain words first, then what was checked, what left, and what it cost
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// The page to write; an existing one is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let report = match args.source.verify() {
        Ok((_, report)) => report,
        Err(error) => return refuse(BAD_INPUT, &error),
    };
    let Some(study) = &report.study else {
        let why = report.findings.first().map_or_else(|| "no study".to_owned(), ToString::to_string);
        return refuse(1, &format!("there is nothing to report on: {why}"));
    };
    let sound = if report.findings.is_empty() {
        match budget::of(&report) {
            Ok(budget) => Some(Sound { budget, outputs: report.outputs_paid(), sums: report.sums_paid() }),
            Err(error) => return refuse(OUR_FAULT, &error),
        }
    } else {
        None
    };
    let page = page::page(&Audited { report: &report, study, sound: sound.as_ref() });
    if let Err(error) = write(&args.out, &page) {
        return refuse(BAD_INPUT, &format!("{}: cannot be written: {error}", args.out.display()));
    }
    let verdict = if sound.is_some() { "the bundle verifies" } else { "the bundle does NOT verify" };
    print_answer(&format!("{}: {verdict}\n", args.out.display()), sound.is_some())
}

#[expect(clippy::disallowed_methods, reason = "the auditor writes the page that it is asked for")]
fn write(path: &std::path::Path, page: &str) -> std::io::Result<()> {
    std::fs::write(path, page)
}

/// What the page is made from.
struct Audited<'a> {
    report: &'a Report,
    study: &'a Study,
    /// Only of a bundle that verifies: no figure is printed of one that does not.
    sound: Option<&'a Sound>,
}

/// What a sound bundle amounts to.
struct Sound {
    budget: Budget,
    outputs: Vec<OutputLine>,
    /// Secure sums, in distributed mode.
    sums: Vec<SumLine>,
}

impl Audited<'_> {
    /// Requests refused at a site.
    fn refused(site: &SiteReport) -> u64 {
        site.history.refusals.iter().map(|refused| refused.count).sum()
    }
}
