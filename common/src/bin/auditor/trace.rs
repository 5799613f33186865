//! `auditor trace`: from a model file back to who approved it.

use crate::figures::plain;
use crate::source::{Elsewhere, unsound};
use crate::{BAD_INPUT, Format, figures, folder, print_answer, refuse, verify};
use consilium_common::id::{Digest, SiteName};
use consilium_common::ledger::bundle::Report;
use consilium_common::ledger::bundle::trace::{DecisionLine, MaskedLine, OutputLine, SumLine, Trace};
use consilium_common::protocol::Decision;
use consilium_common::report::figures::counted;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example:

  auditor trace model.safetensors --bundle results/bundle

MODEL is any model of the bundle: model.safetensors, final/model, or what a round started from
(rounds/3/model; in distributed mode only the last is a file). Exit code 1: the bundle does not verify, or MODEL is no model of it.";

/// Follow a model file back to its rounds, updates, approvals, policies and study
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The model file
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Folder with the bundle; without it, the folder `bundle` beside MODEL, or the one that MODEL is in
    #[arg(long, value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// How the answer is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let model = match folder::read(&args.model) {
        Ok(bytes) => Digest::of(&bytes),
        Err(error) => return refuse(BAD_INPUT, &format!("{}: {error}", args.model.display())),
    };
    let Some(bundle) = args.bundle.clone().or_else(|| bundle_of(&args.model)) else {
        let why = format!("{}: no bundle beside it: give --bundle", args.model.display());
        return refuse(BAD_INPUT, &why);
    };
    let report = match args.elsewhere.verify(&bundle) {
        Ok((_, report)) => report,
        Err(error) => return refuse(BAD_INPUT, &error),
    };
    if let Some(why) = unsound(&report) {
        return refuse(1, &why);
    }
    match Trace::of(&report, &model) {
        Some(trace) => {
            let answer = match args.format {
                Format::Json => {
                    serde_json::to_string_pretty(&trace).expect("finite numbers and plain names") + "\n"
                }
                Format::Text => text(&trace, &report, &args.model),
            };
            print_answer(&answer, true)
        }
        None => refuse(1, &stranger(&args.model, &model, &bundle, &report)),
    }
}

/// The bundle that a model file lies in or beside.
fn bundle_of(model: &Path) -> Option<PathBuf> {
    let folder = model.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let candidates = folder.ancestors().map(Path::to_path_buf).take(4);
    [folder.join("bundle")].into_iter().chain(candidates).find(|path| path.join("bundle.json").is_file())
}

fn stranger(path: &Path, model: &Digest, bundle: &Path, report: &Report) -> String {
    let last = report.models.last().map_or_else(String::new, |(_, digest)| digest.to_string());
    let exported = report.exported.map_or_else(String::new, |digest| digest.to_string());
    format!(
        "{} is no model of {}: its digest is {model}; model.safetensors there is {exported}, final/model {last}",
        path.display(),
        bundle.display()
    )
}

fn text(trace: &Trace, report: &Report, path: &Path) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("writing to a string");
    let study = &trace.study;
    line(format_args!("{}\n", summary(trace)));
    line(format_args!("model       {} ({})", path.display(), trace.model));
    let which = if trace.is_final { "the final model" } else { "an intermediate model" };
    line(format_args!(
        "is          {which} of the bundle ({}), {} rounds of training in it",
        trace.file, trace.rounds_in_it
    ));
    line(format_args!("study       {} version {}: {}", study.id, plain(&study.version), plain(&study.title)));
    line(format_args!("            {}", study.digest));
    line(format_args!(
        "            for {}; {}, valid {} to {}",
        plain(&study.sponsor),
        study.purpose,
        study.valid[0],
        study.valid[1]
    ));
    line(format_args!("use         {}", plain(&study.intended_use)));
    for prohibited in &study.prohibited {
        line(format_args!("never       {}", plain(prohibited)));
    }
    for [kind, reference] in &study.governance {
        line(format_args!("approval    {kind}: {} (as the study's file says)", plain(reference)));
    }
    line(format_args!("\nwho decided on these exact bytes (signed)"));
    for decision in &trace.decisions {
        line(format_args!("  {}", decided(decision)));
    }
    if let Some(started) = trace.started {
        line(format_args!("  started by the coordinator at {started} ({})", trace.coordinator));
    }
    line(format_args!("\nunder which policy (in force when the study was opened)"));
    for site in &trace.sites {
        let (entry, time) = site.opened;
        line(format_args!(
            "  {}: opened at {time} (entry {entry}); ε at most {} a study and {} over all at δ = {}, σ from {}, \
             q to {}, {} steps; policy {} (entry {})",
            site.site,
            site.caps.epsilon_per_study,
            site.caps.epsilon_total,
            site.caps.delta,
            site.caps.noise_multiplier_min,
            site.caps.sampling_rate_max,
            site.caps.steps_max,
            site.caps.policy.short(),
            site.policy_entry
        ));
        line(format_args!("    key {}{}", site.key, if site.key_pinned { " (pinned)" } else { "" }));
    }
    for round in &trace.rounds {
        line(format_args!("\nround {} from model {}", u64::from(round.round) + 1, round.model.short()));
        for update in &round.updates {
            let weight = (update.weight * 1e4).round() / 1e4;
            line(format_args!("  {}, weight {weight}", paid(update, "steps")));
        }
        for text in round.sum.iter().flat_map(summed) {
            line(format_args!("  {text}"));
        }
    }
    if !trace.evaluation.is_empty() || !trace.evaluation_sums.is_empty() {
        line(format_args!("\nreleased to judge it"));
        for release in &trace.evaluation {
            line(format_args!("  {}", paid(release, "use of a histogram")));
            line(format_args!("    {}", release.file));
        }
        for text in trace.evaluation_sums.iter().flat_map(summed) {
            line(format_args!("  {text}"));
        }
    }
    line(format_args!("\nkeys: {}", verify::keys(report)));
    out
}

/// What the model rests on, in one line.
fn summary(trace: &Trace) -> String {
    if trace.rounds_in_it == 0 {
        return "This is the public model that training starts from: nothing of any hospital is in it."
            .to_owned();
    }
    let rounds = counted(trace.rounds_in_it as usize, "round", "rounds");
    let sites = counted(trace.sites.len(), "hospital", "hospitals");
    let updates: usize = trace.rounds.iter().map(|round| round.updates.len()).sum();
    let smallest = trace.rounds.iter().filter_map(|round| Some(round.sum.as_ref()?.survivors.len())).min();
    let from = match smallest {
        Some(smallest) => format!("one secure sum each, none over fewer than {smallest} of them"),
        None => format!("{} that they committed to", counted(updates, "update", "updates")),
    };
    let declined = trace.decisions.iter().filter(|decision| !decision.took_part).count();
    let others = match declined {
        0 => String::new(),
        n => format!(" ({} decided and took no part)", counted(n, "other", "others")),
    };
    format!(
        "This model rests on {rounds} of training by {sites} that approved the study{others}, from {from}."
    )
}

fn decided(decision: &DecisionLine) -> String {
    let word = match decision.decision {
        Decision::Approve if decision.took_part => "approved".to_owned(),
        Decision::Approve => "approved, took no part".to_owned(),
        Decision::Decline { reason } => {
            let reason = serde_json::to_value(reason).expect("a plain name");
            format!("declined ({})", reason.as_str().unwrap_or_default())
        }
    };
    let by = if decision.approver.is_empty() { "no name given" } else { &plain(&decision.approver) };
    let before = decision.replaces.as_ref().map_or_else(String::new, |before| {
        let by =
            if before.approver.is_empty() { "no name given".to_owned() } else { plain(&before.approver) };
        let word = if before.decision == Decision::Approve { "approved" } else { "declined" };
        format!("; in the place of: {word} at {} by {by}", before.time)
    });
    format!("{}: {word} at {} by {by}{before}", decision.site, decision.time)
}

/// A secure sum: who is in it, and the entries of each.
fn summed(sum: &SumLine) -> Vec<String> {
    let sites = sum.survivors.len() + sum.lost.len();
    let head = format!(
        "{}: sum of {sites} sites, attempt {}, {}",
        sum.file,
        u64::from(sum.attempt) + 1,
        sum.digest.short()
    );
    let site = |line: &MaskedLine| {
        let reserved = line.reserved.map_or_else(String::new, |time| format!(" at {time}"));
        let ended = line.ended.map_or_else(
            || "its end not recorded".to_owned(),
            |entry| format!("its end recorded (entry {entry})"),
        );
        format!(
            "  {}: use {} of the block paid for{reserved} (entry {}), masked vector {} committed to at {} (entry {}), \
             {ended}",
            line.site,
            line.use_index + 1,
            line.reserve,
            line.masked.short(),
            line.committed,
            line.commit
        )
    };
    let gone = |site: &SiteName| format!("  {site}: masked a vector and dropped out; it is in no sum");
    let lost =
        |site: &SiteName| format!("  {site}: in it; its record was lost with its disk (auditor verify)");
    std::iter::once(head)
        .chain(sum.survivors.iter().map(site))
        .chain(sum.lost.iter().map(lost))
        .chain(sum.dropped_out.iter().map(gone))
        .collect()
}

fn paid(output: &OutputLine, unit: &str) -> String {
    format!(
        "{}: {} {unit} paid for at {} (entry {}), {} of {} committed to at {} (entry {})",
        output.site,
        output.uses,
        output.reserved,
        output.reserve,
        figures::bytes(output.bytes),
        output.digest.short(),
        output.committed.map_or_else(String::new, |time| time.to_string()),
        output.commit
    )
}
