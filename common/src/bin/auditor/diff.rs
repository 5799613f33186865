//! `auditor diff`: does a later bundle only add to an earlier one?

use crate::source::{Elsewhere, unsound};
use crate::{BAD_INPUT, Format, figures, print_answer, refuse};
use consilium_common::ledger::bundle::difference::{Difference, SiteDifference, difference};
use consilium_common::report::figures::counted;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example: last month's bundle against today's

  auditor diff 2027-02/bundle 2027-03/bundle

Both must verify. Exit code 0: the new one only adds. 1: something was removed or changed, a ledger
was forked or rolled back, or a bundle does not verify.";

/// Compare two bundles: what the later one adds, and whether it changes anything
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Folder with the earlier bundle
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// Folder with the later bundle
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// How the answer is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let (old, new) = match (args.elsewhere.verify(&args.old), args.elsewhere.verify(&args.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) | (_, Err(error)) => return refuse(BAD_INPUT, &error),
    };
    for (path, (_, report)) in [(&args.old, &old), (&args.new, &new)] {
        if let Some(why) = unsound(report) {
            return refuse(1, &format!("{}: {why}", path.display()));
        }
    }
    let found = difference((&old.0, &old.1), (&new.0, &new.1));
    let answer = match args.format {
        Format::Json => serde_json::to_string_pretty(&found).expect("finite numbers and plain names") + "\n",
        Format::Text => text(&found),
    };
    print_answer(&answer, found.broken.is_empty())
}

fn text(found: &Difference) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("writing to a string");
    line(format_args!("{}", summary(found)));
    if !found.same_study {
        line(format_args!("two studies: their ledgers are compared, not their models"));
    }
    if let Some([old, new]) = found.rounds {
        line(format_args!("rounds      {old} before, {new} now"));
    }
    if let Some([old, new]) = found.epsilon_person_max {
        let (old, new) = (figures::epsilon(old), figures::epsilon(new));
        line(format_args!("epsilon     of a person at one site in this study: {old} before, {new} now"));
    }
    for site in &found.sites {
        line(format_args!("site        {}", grown(site)));
        for added in worth_a_line(site) {
            line(format_args!("            {added}"));
        }
    }
    if !found.files_added.is_empty() {
        let count = found.files_added.len();
        line(format_args!("files       {count} more: {}", shortened(&found.files_added)));
    }
    for broken in &found.broken {
        line(format_args!("BROKEN      {broken}"));
    }
    if found.broken.is_empty() {
        line(format_args!("verdict: the new bundle only adds to the old one"));
    } else {
        line(format_args!("verdict: the new bundle does NOT follow from the old one"));
    }
    out
}

/// What changed, in one line.
fn summary(found: &Difference) -> String {
    if !found.broken.is_empty() {
        let things = counted(found.broken.len(), "thing was", "things were");
        return format!("The new bundle does NOT follow from the old one: {things} removed or changed.");
    }
    let entries: usize = found.sites.iter().map(|site| site.added.len()).sum();
    let sites = found.sites.iter().filter(|site| !site.added.is_empty()).count();
    let rounds = found.rounds.map_or(0, |[old, new]| new.saturating_sub(old));
    let mut added = Vec::new();
    if entries > 0 {
        let sites = counted(sites, "ledger", "ledgers");
        added.push(format!("{} to {sites}", counted(entries, "entry", "entries")));
    }
    if rounds > 0 {
        added.push(counted(rounds as usize, "round", "rounds"));
    }
    if !found.files_added.is_empty() {
        added.push(counted(found.files_added.len(), "file", "files"));
    }
    match added.is_empty() {
        true => "Nothing changed: the new bundle holds what the old one holds.".to_owned(),
        false => format!("The new bundle adds {}, and changes nothing of the old one.", added.join(", ")),
    }
}

fn grown(site: &SiteDifference) -> String {
    let name = &site.site;
    let charged = |epsilon: Option<f64>| epsilon.map_or_else(|| "nothing".to_owned(), figures::epsilon);
    let [before, after] = site.epsilon_total_charged.map(charged);
    let over_all = format!("charged over all studies: epsilon {before} before, {after} now");
    match (site.old_entries, site.new_entries) {
        (Some(old), Some(new)) => format!("{name}: {old} entries before, {new} now; {over_all}"),
        (Some(old), None) => format!("{name}: {old} entries before, not in the new bundle"),
        (None, Some(new)) => format!("{name}: new, {new} entries; {over_all}"),
        (None, None) => format!("{name}: no ledger could be read"),
    }
}

/// Counts of what was added by kind, and the entries that a reader should see.
fn worth_a_line(site: &SiteDifference) -> Vec<String> {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for added in &site.added {
        *kinds.entry(&added.kind).or_default() += 1;
    }
    let counts: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let summary = (!counts.is_empty()).then(|| format!("added: {}", counts.join(", ")));
    let routine = [
        "reserve",
        "release",
        "commit",
        "dataset_version",
        "cohort_version",
        "reserve_block",
        "commit_sum",
        "sum",
    ];
    let lines = site
        .added
        .iter()
        .filter(|added| !routine.contains(&added.kind.as_str()))
        .map(|added| format!("entry {} at {}: {}", added.entry, added.time, added.what));
    summary.into_iter().chain(lines).collect()
}

/// The first few names.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} others", shown.join(", ")) }
}
