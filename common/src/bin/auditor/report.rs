//! `auditor report`: one page for people, on a screen and on paper, from a bundle alone.

mod lay;
mod measured;
mod page;
mod sites;
mod study;
mod table;
mod verdict;

use crate::source::Source;
use crate::{BAD_INPUT, Format, OUR_FAULT, budget, folder, print_answer, refuse, verify};
use consilium_common::ledger::budget::Budget;
use consilium_common::ledger::bundle::trace::{OutputLine, SumLine};
use consilium_common::ledger::bundle::{Report, SiteReport};
use consilium_common::report::audit::{self, Audit};
use consilium_common::report::figures::{epsilon_short, listed};
use consilium_common::study::Study;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example:

  auditor report results/bundle --trust fingerprints.txt --out audit.html

The page loads nothing and runs nothing: open it in a browser, print it, archive it. With --audit
it shows what the project's test mechanism_audit wrote beside the claimed epsilon; that is no part
of the bundle, and changes no exit code. Exit code 1: the bundle does not verify; the page is
written all the same, and says so first.";

/// Write a page for people: plain words first, then what was checked, what left, and what it cost
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// The page to write; an existing one is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The document of an audit of the mechanism (`audit.json`), to show beside the claimed epsilon
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// How the answer is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let audit = match args.audit.as_deref().map(read_audit).transpose() {
        Ok(audit) => audit,
        Err(error) => return refuse(BAD_INPUT, &error),
    };
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
    let audited = Audited { report: &report, study, sound: sound.as_ref(), audit: audit.as_ref() };
    let page = page::page(&audited);
    if let Err(error) = write(&args.out, &page) {
        return refuse(BAD_INPUT, &format!("{}: cannot be written: {error}", args.out.display()));
    }
    let answer = match args.format {
        Format::Json => json(&audited, &args.out),
        Format::Text => text(&audited, &args.out),
    };
    print_answer(&answer, sound.is_some())
}

fn read_audit(path: &Path) -> Result<Audit, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = folder::read_at_most(path, audit::BYTES_MAX as u64).map_err(|error| named(&error))?;
    Audit::parse(&bytes).map_err(|error| named(&error))
}

fn text(audited: &Audited<'_>, out: &Path) -> String {
    let verdict = if audited.sound.is_some() { "the bundle verifies" } else { "the bundle does NOT verify" };
    let mut text = format!("{}: {verdict}\n", out.display());
    if let Some(audit) = audited.audit {
        let (claimed, bound) = (epsilon_short(audit.epsilon_claimed), audit.epsilon_lower_bound);
        let alarms = audit.alarms();
        let alarms = if alarms.is_empty() { String::new() } else { format!("; ALARM: {}", listed(&alarms)) };
        text += &format!("audit: epsilon {claimed} claimed, at least {bound:.2} measured{alarms}\n");
    }
    text
}

fn json(audited: &Audited<'_>, out: &Path) -> String {
    let audit = audited.audit.map(|audit| {
        json!({
            "epsilon_claimed": audit.epsilon_claimed,
            "epsilon_priced": audit.epsilon_priced,
            "epsilon_lower_bound": audit.epsilon_lower_bound,
            "delta": audit.delta,
            "software": audit.software,
            "of_this_training": audit.is_of(&audited.study.privacy.training),
            "mutants": audit.mutants.len(),
            "mutants_missed": audit.missed(),
            "alarms": audit.alarms(),
        })
    });
    let answer = json!({
        "schema": "report/1",
        "page": out.display().to_string(),
        "verified": audited.sound.is_some(),
        "study": audited.study.digest,
        "keys": verify::keys(audited.report),
        "findings": audited.report.findings,
        "audit": audit,
    });
    format!("{answer:#}\n")
}

#[expect(clippy::disallowed_methods, reason = "the auditor writes the page that it is asked for")]
fn write(path: &Path, page: &str) -> std::io::Result<()> {
    std::fs::write(path, page)
}

/// What the page is made from.
struct Audited<'a> {
    report: &'a Report,
    study: &'a Study,
    /// Only of a bundle that verifies: no figure is printed of one that does not.
    sound: Option<&'a Sound>,
    /// Of the mechanism, where one was given.
    audit: Option<&'a Audit>,
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
