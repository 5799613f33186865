//! `auditor budget`: what the study cost, recomputed from the ledgers' events.

use crate::figures::epsilon;
use crate::source::{Source, unsound};
use crate::{BAD_INPUT, Format, OUR_FAULT, print_answer, refuse};
use comfy_table::{Table, presets};
use consilium_common::ledger::budget::{Budget, SiteBudget};
use consilium_common::ledger::bundle::Report;
use consilium_common::privacy::mechanism::Event;
use consilium_common::privacy::odds::Odds;
use consilium_common::report::figures::percent;
use std::fmt::Write as _;
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example:

  auditor budget bundle --format json

Epsilon is recomputed from the burnt events; nothing in the bundle that calls itself an epsilon is
read. Exit code 1: the bundle does not verify, so that its budget would mean nothing.";

/// Recompute what the study cost the people of each site
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,
    /// How the budget is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let report = match args.source.verify() {
        Ok((_, report)) => report,
        Err(error) => return refuse(BAD_INPUT, &error),
    };
    if let Some(why) = unsound(&report) {
        return refuse(1, &why);
    }
    match of(&report) {
        Ok(budget) => {
            let answer = match args.format {
                Format::Json => {
                    serde_json::to_string_pretty(&budget).expect("finite numbers and plain names") + "\n"
                }
                Format::Text => text(&budget),
            };
            print_answer(&answer, true)
        }
        Err(error) => refuse(OUR_FAULT, &error),
    }
}

/// The budget of a bundle that verifies.
pub(crate) fn of(report: &Report) -> Result<Budget, String> {
    let ledgers: Vec<_> = report.sites.iter().filter_map(|site| site.ledger.as_ref()).collect();
    let Some(study) = report.study.as_ref().filter(|_| ledgers.len() == report.sites.len()) else {
        return Err("the bundle verified without a study or a ledger".to_owned());
    };
    Budget::of(&study.digest, study.privacy.delta, &ledgers).map_err(|error| error.to_string())
}

fn text(budget: &Budget) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("writing to a string");
    line(format_args!("study {}", budget.study));
    line(format_args!(
        "epsilon at delta {}, by {}; one person added or removed; recomputed from burnt events",
        budget.delta, budget.accountant
    ));
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "site",
        "training people",
        "evaluation people",
        "one person at most",
        "known to two hospitals",
        "known to three",
        "steps",
    ]);
    for site in &budget.sites {
        table.add_row([
            site.name.to_string(),
            epsilon(site.epsilon_training),
            epsilon(site.epsilon_evaluation),
            epsilon(site.epsilon_person_max),
            site.epsilon_two_hospitals.map_or_else(|| "-".to_owned(), epsilon),
            site.epsilon_three_hospitals.map_or_else(|| "-".to_owned(), epsilon),
            site.steps.to_string(),
        ]);
    }
    line(format_args!("{table}"));
    line(format_args!("\n{}", odds(budget)));
    for site in &budget.sites {
        line(format_args!("\n{}", caps(site)));
        for earmark in &site.earmarks {
            let (name, burnt, count) = (&earmark.name, earmark.burnt, earmark.event.count());
            line(format_args!("  {name}: {}, {burnt} of {count} used", words(&earmark.event)));
        }
    }
    out
}

/// What the largest ε means for somebody, and what it does not limit.
fn odds(budget: &Budget) -> String {
    let odds = Odds::of(budget.epsilon_person_max, budget.delta);
    let limit = if odds.no_practical_limit() { ", which is no practical limit" } else { "" };
    format!(
        "at most, for one person at one hospital: a 50:50 guess whether their record was used becomes right {} \
         of the time;\n1% sure becomes {}; with 1% false alarms {} of those in the data are found{limit}",
        percent(odds.right_guess),
        percent(odds.from_one_percent),
        percent(odds.found)
    )
}

fn caps(site: &SiteBudget) -> String {
    format!(
        "{}: over all studies {} of {} charged at delta {} (by rdp, which holds that cap); {:.1}% of what studies may \
         use is left; one study may cost {}",
        site.name,
        epsilon(site.epsilon_total_charged),
        site.epsilon_total_cap,
        site.caps_delta,
        // Rounded down: what is left is never overstated.
        (site.share_total_left * 1e3).floor() / 10.0,
        site.epsilon_per_study_cap
    )
}

/// One use of a mechanism. At rate 1 nobody is left out by chance.
pub(crate) fn words(event: &Event) -> String {
    match event {
        Event::Gaussian { noise_multiplier, .. } => {
            format!("Gaussian, noise {noise_multiplier} per person")
        }
        Event::PoissonGaussian { sampling_rate, noise_multiplier, .. } if *sampling_rate >= 1.0 => {
            format!("Gaussian, noise {noise_multiplier} per person, everybody is in every step")
        }
        Event::PoissonGaussian { sampling_rate, noise_multiplier, .. } => {
            format!(
                "Gaussian, noise {noise_multiplier} per person, on a Poisson sample at rate {sampling_rate}"
            )
        }
        Event::Laplace { scale, .. } => format!("Laplace, scale {scale} per person"),
        Event::PoissonLaplace { sampling_rate, scale, .. } if *sampling_rate >= 1.0 => {
            format!("Laplace, scale {scale} per person, everybody is in every step")
        }
        Event::PoissonLaplace { sampling_rate, scale, .. } => {
            format!("Laplace, scale {scale} per person, on a Poisson sample at rate {sampling_rate}")
        }
        Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, .. } if *sampling_rate >= 1.0 => {
            format!(
                "Gaussian, noise {noise_multiplier} per person and site, at {sites} sites, everybody is in every step"
            )
        }
        Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, .. } => format!(
            "Gaussian, noise {noise_multiplier} per person and site, on Poisson samples at {sites} sites at \
             rate {sampling_rate}"
        ),
    }
}
