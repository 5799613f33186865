//! A comparison as JSON and as a table.

use super::compare::{Cell, CompareArgs, Row};
use super::spread::{Spread, spread};
use super::trainers::Trainer;
use consilium_common::secagg::SecureParameters;
use consilium_common::study::{Study, Validation};
use serde_json::{Value, json};

/// Of fewer seeds an interval is all but the whole of what there can be.
const SEEDS_FEW: u64 = 3;

/// Of each seed, one trainer less another.
fn difference(row: &Row, one: Trainer, other: Trainer) -> Spread {
    let of = |trainer| &row.cells.iter().find(|cell| cell.trainer == trainer).expect("all are there").aurocs;
    spread(&of(one).iter().zip(of(other)).map(|(a, b)| a - b).collect::<Vec<_>>()).within(-1.0, 1.0)
}

fn auroc(cell: &Cell) -> Spread {
    spread(&cell.aurocs).within(0.0, 1.0)
}

const DIFFERENCES: [(Trainer, Trainer); 2] =
    [(Trainer::Distributed, Trainer::Central), (Trainer::Distributed, Trainer::Local)];

/// Variance of the sum of all sites' shares over the variance that was priced, which is a curator's.
#[expect(clippy::cast_precision_loss, reason = "σ is below 2^31 units")]
fn variance_ratio(secure: &SecureParameters) -> f64 {
    let ratio = secure.sigma_share_units() as f64 / secure.sigma_units() as f64;
    f64::from(secure.sites()) * ratio * ratio
}

pub(super) fn document(study: &Study, args: &CompareArgs, secure: &SecureParameters, rows: &[Row]) -> Value {
    let interval = |spread: Spread| json!({"mean": spread.mean, "interval": [spread.low, spread.high]});
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let trainers: Vec<Value> = row
                .cells
                .iter()
                .map(|cell| {
                    let noisy = cell.trainer != Trainer::WithoutNoise;
                    json!({
                        "name": cell.trainer.name(),
                        "auroc": interval(auroc(cell)),
                        "auroc_by_seed": cell.aurocs,
                        "noise_multiplier": noisy.then_some(cell.noise.noise_multiplier),
                        "rounds": cell.plan.rounds,
                        "local_steps": cell.plan.local_steps,
                        "spare_rounds": cell.plan.spare_rounds,
                        "sampling_rate": cell.plan.sampling_rate,
                        "clip_norm": cell.plan.clip_norm,
                        "learning_rate": cell.plan.learning_rate,
                        "momentum": cell.plan.server.momentum,
                        "average_last": cell.plan.server.average_last,
                    })
                })
                .collect();
            let differences: Vec<Value> = DIFFERENCES
                .iter()
                .map(|&(one, other)| {
                    json!({
                        "of": one.name(), "less": other.name(),
                        "auroc": interval(difference(row, one, other)),
                    })
                })
                .collect();
            json!({"epsilon_training": row.epsilon, "trainers": trainers, "differences": differences})
        })
        .collect();
    json!({
        "study": study.id,
        "released": false,
        "delta": study.privacy.delta,
        "accountant": "pld",
        "judged_on": judged(study),
        "seeds": args.seeds,
        "tuned": args.tune_on.is_some(),
        "sites": secure.sites(),
        "threshold": secure.threshold(),
        "colluding": secure.colluding(),
        "noise_variance_over_central": variance_ratio(secure),
        "noise_deviation_over_central": variance_ratio(secure).sqrt(),
        "comparison": rows,
    })
}

/// On whom the AUROC is, and of what it is a mean besides the runs.
fn judged(study: &Study) -> String {
    let whom = match study.split.validations() {
        [_] if study.split.holdout.is_none() => "everybody's evaluation people",
        [Validation::Internal] => "everybody's earlier evaluation people (internal validation)",
        [_] => "everybody's later evaluation people (temporal validation)",
        _ => "everybody's evaluation people, earlier and later ones pooled",
    };
    match study.predicted().len() {
        1 => whom.to_owned(),
        several => format!("{whom}, averaged over the {several} predictions"),
    }
}

pub(super) fn text(study: &Study, args: &CompareArgs, secure: &SecureParameters, rows: &[Row]) -> String {
    let shown = |s: Spread| format!("{:.3} ({:.3} to {:.3})", s.mean, s.low, s.high);
    let signed = |s: Spread| format!("{:+.3} ({:+.3} to {:+.3})", s.mean, s.low, s.high);
    let figures = rows.iter().map(|row| {
        let mut line = vec![row.epsilon.to_string()];
        line.extend(row.cells.iter().map(|cell| shown(auroc(cell))));
        line.extend(DIFFERENCES.iter().map(|&(one, other)| signed(difference(row, one, other))));
        line
    });
    let header = [
        "ε",
        "without noise",
        "central",
        "distributed",
        "local",
        "distributed − central",
        "distributed − local",
    ];
    let figures = crate::cli::table(&header, figures);
    let numbers = rows.iter().flat_map(|row| {
        [("central and distributed", &row.cells[1]), ("local", &row.cells[3])].map(|(name, cell)| {
            vec![
                row.epsilon.to_string(),
                name.to_owned(),
                format!("{} x {}", cell.plan.rounds, cell.plan.local_steps),
                cell.plan.steps_charged().to_string(),
                format!("{:.4}", cell.noise.noise_multiplier),
                cell.plan.clip_norm.to_string(),
                cell.plan.learning_rate.to_string(),
            ]
        })
    });
    let header = ["ε", "trainer", "rounds x steps", "steps paid for", "σ", "clip norm", "step size"];
    let numbers = crate::cli::table(&header, numbers);
    let (sites, threshold, colluding) = (secure.sites(), secure.threshold(), secure.colluding());
    let variance = variance_ratio(secure);
    let deviation = variance.sqrt();
    let seeds = args.seeds;
    format!(
        "AUROC on {}: mean of {seeds} runs with other noise (95 % interval of that mean{}).\n\
         ε is training's, by PLD. Computed here; not released. Secure sums are exact, so none was masked here.\n\
         {figures}\n\n\
         Noise: {sites} sites, of whom {threshold} must answer and {colluding} may collude; when all answer, their \
         shares together have\n{deviation:.3} times the standard deviation ({variance:.3} times the variance) of \
         central's noise.\n\n{numbers}",
        judged(study),
        if seeds < SEEDS_FEW { ", which with so few seeds says little" } else { "" },
    )
}
