//! `auditor verify`: does the bundle hold together?

use crate::source::Source;
use crate::{BAD_INPUT, Format, print_answer, refuse};
use consilium_common::id::SiteName;
use consilium_common::ledger::bundle::Report;
use consilium_common::study::Mode;
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example: with fingerprints that each hospital and the consortium read out on the telephone

  auditor verify bundle --trust fingerprints.txt --expect heart-disease --expect st-elsewhere

fingerprints.txt has a line for each: a site's name or the word coordinator, and ed25519:…
Each finding names its kind, the file, and in a ledger the first entry that is at fault.
Exit code 0: everything verifies. 1: something does not, each finding is a line. 2: not readable.";

/// Verify a bundle: signatures, ledgers, approvals, and every model recomputed from the updates
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// How the verdict is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match args.source.verify() {
        Ok((_, report)) => {
            let answer = match args.format {
                Format::Json => json(&report),
                Format::Text => text(&report),
            };
            print_answer(&answer, report.findings.is_empty())
        }
        Err(error) => refuse(BAD_INPUT, &error),
    }
}

fn is_distributed(report: &Report) -> bool {
    report.study.as_ref().is_some_and(|study| matches!(study.privacy.mode, Mode::Distributed { .. }))
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("writing to a string");
    if let Some(study) = &report.study {
        line(format_args!("study       {} version {} ({})", study.id, study.version, study.digest));
        line(format_args!("rounds      {} of {}", report.rounds, study.privacy.training.rounds));
    }
    match report.sums.iter().map(|sum| sum.survivors.len()).min() {
        Some(fewest) => line(format_args!(
            "sums        {} secure sums, each over at least {fewest} sites",
            report.sums.len()
        )),
        None if is_distributed(report) => {
            line(format_args!("sums        none was made: nothing of any site could be read"));
        }
        None => {}
    }
    for site in &report.sites {
        let entries =
            site.ledger.as_ref().map_or_else(|| "not replayed".into(), |l| format!("{} entries", l.size()));
        let root =
            site.root.map_or_else(|| "no checkpoint".into(), |root| format!("tree head {}", root.short()));
        let cosigned = site
            .cosigned
            .map_or_else(|| "not cosigned".into(), |time| format!("cosigned by the coordinator at {time}"));
        line(format_args!("site        {}: {entries}, {root}, {cosigned}", site.name));
        if !site.witnesses.is_empty() {
            let names: Vec<&str> = site.witnesses.iter().map(SiteName::as_str).collect();
            line(format_args!("            cosigned by {}", names.join(", ")));
        }
        line(format_args!("            key {}{}", site.key, pinned(site.pinned)));
    }
    if let Some((key, is_pinned)) = report.coordinator {
        line(format_args!("coordinator key {key}{}", pinned(is_pinned)));
    }
    line(format_args!("keys: {}", keys(report)));
    for note in &report.notes {
        line(format_args!("note        {note}"));
    }
    for finding in &report.findings {
        line(format_args!("FINDING     {finding}"));
    }
    match report.findings.len() {
        0 => line(format_args!("verdict: the bundle verifies")),
        1 => line(format_args!("verdict: the bundle does NOT verify (1 finding)")),
        n => line(format_args!("verdict: the bundle does NOT verify ({n} findings)")),
    }
    out
}

const fn pinned(is_pinned: bool) -> &'static str {
    if is_pinned { " (pinned)" } else { "" }
}

pub(crate) fn keys(report: &Report) -> String {
    if report.keys_are_pinned() {
        return "pinned by the trust file".to_owned();
    }
    let coordinator = report.coordinator.is_some_and(|(_, pinned)| pinned);
    if !coordinator && report.sites.iter().all(|site| !site.pinned) {
        return "carried by the bundle, unverified".to_owned();
    }
    let missing = report.sites.iter().filter(|site| !site.pinned).map(|site| site.name.as_str());
    let missing: Vec<_> = (!coordinator).then_some("coordinator").into_iter().chain(missing).collect();
    format!("carried by the bundle, unverified, for {}; the others are pinned", missing.join(", "))
}

fn json(report: &Report) -> String {
    let sites: Vec<_> = report
        .sites
        .iter()
        .map(|site| {
            json!({
                "name": site.name,
                "key": site.key,
                "key_pinned": site.pinned,
                "entries": site.ledger.as_ref().map(|ledger| ledger.size()),
                "tree_head": site.root,
                "cosigned_by_coordinator": site.cosigned,
                "cosigned_by_sites": site.witnesses,
            })
        })
        .collect();
    let report = json!({
        "schema": "verify/1",
        "verified": report.findings.is_empty(),
        "study": report.study.as_ref().map(|study| study.digest),
        "keys": keys(report),
        "rounds": report.rounds,
        "sums": report.sums.len(),
        "sites": sites,
        "findings": report.findings,
        "notes": report.notes,
    });
    format!("{report:#}\n")
}
