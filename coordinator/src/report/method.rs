//! How it was done, what is not protected, and how anybody can check.

use super::{Cosigners, ReportData};
use crate::metrics::Sums;
use consilium_common::ledger::entry::{Account, Earmark};
use consilium_common::privacy::mechanism::Event;
use consilium_common::report::figures::{grouped, listed, trimmed};
use consilium_common::report::html::{Html, all, fill};
use consilium_common::study::{Data, Mode, ModelFamily, SplitBy, describe, earmarks};
use std::collections::BTreeSet;

pub(super) fn section(data: &ReportData) -> Html {
    fill(
        "<section id=\"method\"><h2>Method</h2><dl class=\"facts\">{}</dl>{}{}</section>",
        &[&all(facts(data).into_iter().map(fact)), &events(data), &machine(data)],
    )
}

fn fact((name, text): (&'static str, String)) -> Html {
    fill("<dt>{}</dt><dd>{}</dd>", &[&name, &text])
}

fn facts(data: &ReportData) -> Vec<(&'static str, String)> {
    let study = &data.study;
    let (privacy, training) = (&study.privacy, &study.privacy.training);
    let names: Vec<String> = study.features.iter().map(|feature| feature.name.clone()).collect();
    let model = match &study.model {
        ModelFamily::Logistic => "logistic regression".to_owned(),
        ModelFamily::Mlp { hidden } => {
            let widths: Vec<String> = hidden.iter().map(ToString::to_string).collect();
            format!("neural network, hidden layers of {}, tanh", widths.join(", "))
        }
    };
    let split = match &study.split.by {
        SplitBy::SiteHash => format!(
            "by person, by each site’s own keyed hash: {} of people train, the others evaluate",
            trimmed(study.split.training_share)
        ),
        SplitBy::Column { column, .. } => format!("by person, from column {column} of the table"),
    };
    let joins = if data.is_sampled() {
        format!("each person joins with probability {}, in secret", trimmed(training.sampling_rate))
    } else {
        "everybody is in every step".to_owned()
    };
    let mut facts = vec![
        (
            "Outcome",
            match &study.data {
                Data::Table(table) => {
                    let outcomes = study.tasks.iter().zip(&table.outcomes);
                    let each = outcomes.map(|(task, one)| format!("{} (column {})", task.name, one.column));
                    each.collect::<Vec<_>>().join("; ")
                }
                Data::Records(records) => {
                    let tasks = study.tasks.iter().zip(&records.tasks);
                    let each = tasks.map(|(task, of)| describe::outcome(&task.name, records, of));
                    each.collect::<Vec<_>>().join(". ")
                }
            },
        ),
        ("Inputs", format!("{} features: {}", names.len(), listed(&names))),
        (
            "Missing values",
            if study.missing.indicator {
                "middle of the public range or the reference level, and an input that says “not recorded”"
            } else {
                "middle of the public range or the reference level"
            }
            .into(),
        ),
        (
            "Model",
            format!(
                "{model}, {} parameters{}",
                grouped(study.architecture().parameters() as f64),
                describe::start(study)
            ),
        ),
        (
            "Split",
            match describe::held_out(study) {
                None => split,
                Some(held_out) => format!("{split}. And by time: {held_out}"),
            },
        ),
        ("Training", steps(data)),
        (
            "Privacy of a step",
            format!(
                "{joins}; one gradient per person, clipped to {}; exact discrete Gaussian noise on an integer lattice, σ = {} per clipping norm, {}",
                trimmed(training.clip_norm),
                trimmed(training.noise_multiplier),
                match privacy.mode {
                    Mode::Local => "at each site",
                    Mode::Distributed { .. } =>
                        "in the sum even after the colluding sites have taken their shares of it away",
                }
            ),
        ),
        ("What the coordinator saw", seen(data)),
        (
            "Unit and neighbours",
            "one person at one site with all their records; adding or removing one person".into(),
        ),
        (
            "Accounting",
            format!(
                "{}, δ = {:e}; caps of the study: training {}, evaluation {}, a person in all {}",
                accountant(&data.metrics.privacy.accountant),
                privacy.delta,
                trimmed(privacy.epsilon_training),
                trimmed(privacy.epsilon_evaluation),
                trimmed(privacy.person_total_max)
            ),
        ),
    ];
    if !data.is_evaluated() {
        facts.push(("Evaluation", super::not_evaluated(data.stopped.as_ref())));
        return facts;
    }
    facts.extend([
        (
            "Evaluation",
            format!(
                "one histogram of scores with noise per grouping, {} bins per outcome; every metric is \
                 computed from it, negative cells included; inside a bin, people are placed by a normal \
                 curve of logits fitted to all bins, or at its middle where too few bins are filled",
                study.evaluation.bin_edges.len() + 1
            ) + if study.completeness().is_empty() {
                ""
            } else {
                "; of an attribute that is only counted, people by whether it is recorded, each once, with an interval from \
                 the known noise"
            },
        ),
        (
            "Intervals",
            format!(
                "{}%, parametric bootstrap: people are drawn again and the known noise is added again; the \
                 band of the ROC curve comes from the same draws, pointwise, and near 0 and 1 is never \
                 narrower than Wilson’s interval",
                trimmed(study.evaluation.level * 100.0)
            ),
        ),
    ]);
    facts
}

fn steps(data: &ReportData) -> String {
    let training = &data.study.privacy.training;
    let size = trimmed(training.learning_rate);
    let rounds = match &data.stopped {
        Some(stopped) => format!("{} of {}", stopped.rounds, stopped.rounds_planned),
        None => training.rounds.to_string(),
    };
    let (quorum, spare) = (training.quorum, training.spare_rounds);
    match data.study.privacy.mode {
        Mode::Local => format!(
            "{rounds} rounds of {} private steps at each site, weighted average by public weights; step size \
             {size}, proximal pull {}; a round needs {quorum} sites; up to {spare} rounds may be repeated after a \
             crash and are paid for",
            training.local_steps,
            trimmed(training.proximal),
        ),
        Mode::Distributed { .. } => format!(
            "{rounds} rounds of one step, each a secure sum of the sites’ gradients, divided by the number of \
             people expected in it; step size {size}; a step needs {quorum} sites to its end; up to {spare} steps \
             may be tried again and are paid for"
        ),
    }
}

/// Who could read what, and what became of it.
fn seen(data: &ReportData) -> String {
    let Some(sums) = &data.metrics.privacy.sums else {
        return "each site’s own update and histogram, each with that site’s noise".into();
    };
    if sums.sites_of_rounds.is_empty() && sums.evaluations == 0 {
        return format!(
            "nothing of any site: no secure sum was made. {} attempts ended in none; a site lost at most {} paid uses",
            sums.attempts_failed, sums.uses_lost_max
        );
    }
    let Sums { threshold, colluding, sites_of_rounds, evaluations, attempts_failed, uses_lost_max } = sums;
    format!(
        "sums only: {} of training{}, and {} of the evaluation; a sum over fewer than {threshold} sites (t) does not exist. ε holds as long as at most {colluding} of the sites (n_C) help the \
         coordinator. {attempts_failed} attempts ended in no sum; a site lost at most {uses_lost_max} paid uses. \
         Evaluation figures of single sites: not released",
        sites_of_rounds.len(),
        sites_of_sums(sites_of_rounds),
        if *evaluations == 0 { "none".to_owned() } else { evaluations.to_string() },
    )
}

/// Over how many sites the rounds' sums are, by stretches of rounds.
fn sites_of_sums(sites_of_rounds: &[usize]) -> String {
    /// More stretches than this are counted only.
    const STRETCHES_MAX: usize = 12;
    let mut from = 1;
    let stretches: Vec<(usize, usize, usize)> = sites_of_rounds
        .chunk_by(|a, b| a == b)
        .map(|same| {
            let first = from;
            from += same.len();
            (same[0], first, from - 1)
        })
        .collect();
    let parts: Vec<String> = match stretches.as_slice() {
        [] => return String::new(),
        [(sites, _, _)] => return format!(" (always over {sites} sites)"),
        few if few.len() <= STRETCHES_MAX => few
            .iter()
            .map(|(sites, first, last)| match first == last {
                true => format!("{sites} in round {first}"),
                false => format!("{sites} in rounds {first}–{last}"),
            })
            .collect(),
        _ => {
            let sizes: BTreeSet<usize> = sites_of_rounds.iter().copied().collect();
            let rounds = |size: usize| sites_of_rounds.iter().filter(|sites| **sites == size).count();
            sizes.into_iter().rev().map(|size| format!("{size} in {} rounds", rounds(size))).collect()
        }
    };
    format!(" (sites: {})", parts.join(", "))
}

fn accountant(name: &str) -> String {
    match name {
        "rdp" => "Rényi differential privacy at integer orders (rdp)".into(),
        "pld" => "privacy loss distributions, upper bounds (pld)".into(),
        other => other.into(),
    }
}

fn events(data: &ReportData) -> Html {
    let row = |earmark: &Earmark| {
        let account = match earmark.account {
            Account::Training => "training people",
            Account::Evaluation => "evaluation people",
            Account::Both => "everybody",
        };
        let (mechanism, uses) = match earmark.event {
            Event::Gaussian { noise_multiplier, count } => {
                (format!("Gaussian, σ = {}", trimmed(noise_multiplier)), count)
            }
            Event::PoissonGaussian { sampling_rate, noise_multiplier, count } if sampling_rate >= 1.0 => {
                (format!("Gaussian, everybody is in every step, σ = {}", trimmed(noise_multiplier)), count)
            }
            Event::PoissonGaussian { sampling_rate, noise_multiplier, count } => (
                format!(
                    "Gaussian on a Poisson sample, q = {}, σ = {}",
                    trimmed(sampling_rate),
                    trimmed(noise_multiplier)
                ),
                count,
            ),
            Event::Laplace { scale, count } => (format!("Laplace, b = {}", trimmed(scale)), count),
            Event::PoissonLaplace { sampling_rate, scale, count } => (
                format!(
                    "Laplace on a Poisson sample, q = {}, b = {}",
                    trimmed(sampling_rate),
                    trimmed(scale)
                ),
                count,
            ),
            Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count } => (
                format!(
                    "Gaussian on Poisson samples at {sites} sites, q = {}, σ = {}",
                    trimmed(sampling_rate),
                    trimmed(noise_multiplier)
                ),
                count,
            ),
        };
        let name = earmark.name.replace('*', " × ").replace('_', " ");
        fill(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            &[&name, &account, &mechanism, &uses],
        )
    };
    fill(
        "<h3>Everything that was paid for in advance</h3>\
         <div class=\"scroll\"><table><thead><tr><th scope=\"col\">Output</th><th scope=\"col\">Who pays</th>\
         <th scope=\"col\">Mechanism (noise per unit of sensitivity)</th>\
         <th scope=\"col\">Uses, spare ones included</th></tr></thead><tbody>{}</tbody></table></div>\
         <p class=\"quiet\">An output that is not in this list is not released.</p>",
        &[&all(earmarks(&data.study).iter().map(row))],
    )
}

fn machine(data: &ReportData) -> Html {
    let (timing, memory) = (&data.metrics.timing, &data.metrics.memory);
    let mib = |value: Option<f64>| value.map_or("not measured".into(), |mib| format!("{mib:.0} MiB"));
    fill(
        "<p>Took {} s in all; a round took {} ms (median) and {} ms (95 of 100 rounds were quicker). Peak \
         memory: coordinator {}, hungriest agent {}.</p>",
        &[
            &grouped(timing.wall_s.ceil()),
            &grouped(timing.round_ms_p50),
            &grouped(timing.round_ms_p95),
            &mib(memory.coordinator_peak_mib),
            &mib(memory.agent_peak_mib),
        ],
    )
}

pub(super) fn not_protected(data: &ReportData) -> Html {
    let witness = match &data.cosigners {
        Cosigners::Coordinator => Html::raw(
            "Ledgers were cosigned by the coordinator alone, so a site and the coordinator together could \
             hide a rewritten ledger.",
        ),
        Cosigners::CoordinatorAndSites => Html::raw(
            "Ledgers were cosigned by the coordinator and by another site, so hiding a rewritten ledger \
             takes all three.",
        ),
        Cosigners::Mixed { alone } => fill(
            "Ledgers were cosigned by the coordinator, and by another site, but for those of {}: the coordinator \
             alone cosigned these, so such a site and the coordinator together could hide a rewritten ledger.",
            &[&listed(&alone.iter().map(ToString::to_string).collect::<Vec<_>>())],
        ),
    };
    let late = if data.is_sampled() {
        Html::raw(
            "<li>The time of an answer beyond its tick: a sample larger than the public padding takes one more \
             tick.</li>",
        )
    } else {
        Html::none()
    };
    let (several, collusion) = match data.study.privacy.mode {
        Mode::Local => ("at each", Html::none()),
        Mode::Distributed { colluding } => (
            "more, being in the same sums several times",
            fill(
                "<li>More than {} of the sites on the coordinator’s side: each takes its share of the noise away, \
                 and what is left hides less than the figures say.</li>",
                &[&colluding.to_string()],
            ),
        ),
    };
    let references = if data.metrics.models.iter().all(|model| model.released_under_dp) {
        Html::none()
    } else {
        Html::raw(
            "<li>Models marked “not released” were computed here from tables that are this user’s to read. \
             Their figures have no privacy at all: take them out before this report goes further.</li>",
        )
    };
    fill(
        "<section id=\"limits\"><h2>What is not protected</h2><ul>\
         <li>That a site takes part, which study it approved, and when.</li>\
         <li>A person known to several sites pays {}: see the budget table.</li>{}\
         <li>What the released model says about people like somebody, in the data or not.</li>\
         <li>Poisoning: a site that sends a wrong update harms the model, not another site’s people.</li>{}\
         <li>A ledger proves what an agent recorded, not that the agent was honest. {}</li>{}</ul></section>",
        &[&several, &collusion, &late, &witness, &references],
    )
}

pub(super) fn verify(data: &ReportData) -> Html {
    let privacy = &data.metrics.privacy;
    let events = format!(
        "{{\"neighbours\":\"add_remove_one\",\"events\":[{{\"mechanism\":\"poisson_gaussian\",\
         \"sampling_rate\":{},\"noise_multiplier\":{},\"count\":{}}}]}}",
        privacy.sampling_rate, privacy.noise_multiplier, privacy.steps
    );
    fill(
        "<section id=\"verify\"><h2>Check it yourself</h2>\
         <p>With the folder <code>bundle</code> that came with this report, on a machine without a network. \
         With keys that you got elsewhere you need not trust whoever sent it.</p>\
         <pre>auditor verify bundle                      # ledgers, signatures, every aggregate bit for bit\n\
         auditor verify --trust keys.txt bundle     # the same, with keys that you got elsewhere\n\
         auditor budget bundle                      # ε of each site, recomputed from its events</pre>\
         <p>The training alone, by any accountant that you trust:</p>\
         <pre>echo '{}' &gt; events.json\nauditor epsilon --events events.json --delta {}</pre>\
         <dl class=\"facts\"><dt>Study file</dt><dd><code>{}</code></dd>\
         <dt>Final model</dt><dd><code>{}</code></dd></dl></section>",
        &[&events, &format!("{:e}", privacy.delta), &data.study.digest.to_string(), &data.model.to_string()],
    )
}
