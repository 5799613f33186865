//! A study's results for a terminal.

use crate::metrics::{Metrics, Sums};
use crate::report::Stopped;

/// Models, privacy and secure sums as tables and lines.
pub(super) fn text(metrics: &Metrics, level: f64, stopped: Option<&Stopped>) -> String {
    let number = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.3}"));
    let rows = metrics.models.iter().map(|model| {
        let interval = model.auroc_interval.map_or(String::new(), |[a, b]| format!(" ({a:.3} to {b:.3})"));
        let how = match (model.name.as_str(), model.released_under_dp) {
            (_, true) if model.auroc.is_none() => "released, with noise; too few people to say",
            (_, true) if model.too_few_people => "released, with noise; too few people to say much",
            (_, true) => "released, with noise",
            ("federated", false) => "the same model without noise in the figures; not released",
            _ => "no privacy; not released",
        };
        let of = model.of.as_ref().map_or_else(String::new, |of| format!(", {}", of.words()));
        vec![
            format!("{}{of}", model.name),
            number(model.auroc) + &interval,
            number(model.auprc),
            number(model.brier),
            number(model.calibration_slope),
            how.into(),
        ]
    });
    let level = format!("AUROC ({:.0} % interval)", 100.0 * level);
    let evaluated = metrics.models.iter().any(|model| model.released_under_dp);
    let ended = match stopped {
        _ if !evaluated => crate::report::not_evaluated(stopped) + "\n\n",
        Some(stopped) => format!("{stopped}\n\n"),
        None => String::new(),
    };
    let models = if metrics.models.is_empty() {
        ended
    } else {
        let table = crate::cli::table(&["model", &level, "AUPRC", "Brier", "slope", ""], rows);
        format!("{ended}{table}\n\n")
    };
    let privacy = &metrics.privacy;
    let spent = privacy.sites.iter().map(|site| {
        vec![
            site.name.to_string(),
            format!("{:.3}", site.epsilon_training),
            format!("{:.3}", site.epsilon_evaluation),
            format!("{:.3}", site.epsilon_person_max),
            format!("{:.3}", site.epsilon_two_hospitals),
            site.steps.to_string(),
        ]
    });
    let spent = crate::cli::table(
        &["site", "ε training", "ε evaluation", "ε of one person", "ε if known to two sites", "steps"],
        spent,
    );
    let sums = privacy.sums.as_ref().map_or_else(String::new, |sums| format!("\n{}", sums_text(sums)));
    format!(
        "{models}Privacy: ε = {:.3} at δ = {:e} for one person at one site ({} accountant, {} mode)\n{spent}{sums}",
        privacy.epsilon, privacy.delta, privacy.accountant, privacy.mode
    )
}

/// What the coordinator could read in a study by secure sums, in one line.
fn sums_text(sums: &Sums) -> String {
    let failed = format!("{} attempts failed and count as spent", sums.attempts_failed);
    match sums.sites_of_rounds.iter().min() {
        Some(fewest) => format!(
            "The coordinator saw sums over at least {fewest} sites and nothing of one of them (while at most {} \
             collude); {failed}",
            sums.colluding
        ),
        None => format!("No secure sum was made: the coordinator saw nothing of any site; {failed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sum_is_not_a_sum_over_nobody() {
        fn check(sites_of_rounds: Vec<usize>, expected: &str) {
            let said = sums_text(&Sums {
                threshold: 3,
                colluding: 1,
                sites_of_rounds,
                evaluations: 0,
                attempts_failed: 2,
                uses_lost_max: 2,
            });
            assert!(said.starts_with(expected), "{said}");
            assert!(
                said.ends_with("2 attempts failed and count as spent") && !said.contains(" 0 "),
                "{said}"
            );
        }
        check(vec![4, 3, 4], "The coordinator saw sums over at least 3 sites");
        check(vec![], "No secure sum was made: the coordinator saw nothing of any site");
    }
}
