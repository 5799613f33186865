//! Public numbers chosen by cross-validation on training people: the same way, on the same folds and over
//! one grid, for trainers that put sums together and for `local`, whose grid also has several steps a round.
//!
//! What this costs is not in any ε: it looks at examples as often as it likes. A study chooses its numbers
//! on public or synthetic data; here it is the fair footing of a comparison, of models that stay here.

use super::chance::Chance;
use super::compare::{auroc, refused};
use super::prices::Prices;
use super::trainers::{Hospital, Hospitals, Plan, Trainer};
use crate::operator::CommandError;
use consilium_common::examples::Examples;

/// Steps that are tried.
const STEPS: [u32; 5] = [5, 10, 20, 40, 80];
/// Steps within a round that are tried where sites train by themselves.
const LOCAL_STEPS: [u32; 2] = [1, 5];
/// Clip norms that are tried.
const CLIP_NORMS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];
/// Step sizes that are tried.
const LEARNING_RATES: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
/// Parts that training people are cut into; each is held out once.
const FOLDS: usize = 4;
/// How many of the grid are looked at again, on all folds.
const FINALISTS: usize = 8;
/// Runs on each fold for those.
const FINAL_RUNS: u64 = 2;
/// Far from the seeds of the comparison itself.
const FIRST_SEED: u64 = 1 << 32;

/// Training people with a part held out, site by site.
pub(super) struct Fold {
    kept: Vec<(Examples, u64, u32)>,
    pooled: Examples,
    held_out: Examples,
}

/// The folds: a site's i-th person is held out in fold i modulo [`FOLDS`].
pub(super) fn folds(hospitals: &Hospitals<'_>) -> Vec<Fold> {
    (0..FOLDS)
        .map(|fold| {
            let width = hospitals.architecture.inputs;
            let (mut pooled, mut held_out) = (Examples::new(width), Examples::new(width));
            let mut kept = Vec::new();
            for site in &hospitals.sites {
                let mut own = Examples::new(width);
                for person in 0..site.examples.people() {
                    let part = if person % FOLDS == fold { &mut held_out } else { &mut own };
                    part.push_from(site.examples, person);
                }
                pooled.append(&own);
                let people = site.people_public - site.people_public / FOLDS as u64;
                kept.push((own, people, site.weight));
            }
            Fold { kept, pooled, held_out }
        })
        .collect()
}

/// The numbers under which `trainer` did best at ε, where `plan` says what the grid does not.
///
/// # Errors
/// A price that cannot be had, or held-out people all of one outcome.
pub(super) fn tuned(
    hospitals: &Hospitals<'_>,
    folds: &[Fold],
    trainer: Trainer,
    plan: &Plan,
    epsilon: f64,
    prices: &mut Prices,
) -> Result<Plan, CommandError> {
    let mut grid = Vec::new();
    for plan in candidates(trainer, plan) {
        let score = score(hospitals, &folds[..1], trainer, &plan, epsilon, prices, 1)?;
        grid.push((score, plan));
    }
    // The sort is stable: of equals the first in the grid stays first.
    grid.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut best: Option<(f64, Plan)> = None;
    for (_, plan) in grid.into_iter().take(FINALISTS) {
        let score = score(hospitals, folds, trainer, &plan, epsilon, prices, FINAL_RUNS)?;
        if best.is_none_or(|(before, _)| score > before) {
            best = Some((score, plan));
        }
    }
    Ok(best.expect("the grid is not empty").1)
}

/// The grid, with as large a part of spare rounds as `plan` has.
fn candidates(trainer: Trainer, plan: &Plan) -> Vec<Plan> {
    let local_steps: &[u32] = if trainer == Trainer::Local { &LOCAL_STEPS } else { &LOCAL_STEPS[..1] };
    let mut grid = Vec::new();
    for steps in STEPS {
        for &local_steps in local_steps {
            let rounds = steps / local_steps;
            let spare_rounds = (rounds * plan.spare_rounds).div_ceil(plan.rounds);
            for clip_norm in CLIP_NORMS {
                for learning_rate in LEARNING_RATES {
                    let numbers =
                        Plan { rounds, local_steps, spare_rounds, clip_norm, learning_rate, ..*plan };
                    grid.push(numbers);
                }
            }
        }
    }
    grid
}

/// Mean AUROC on held-out people.
fn score(
    hospitals: &Hospitals<'_>,
    folds: &[Fold],
    trainer: Trainer,
    plan: &Plan,
    epsilon: f64,
    prices: &mut Prices,
    runs: u64,
) -> Result<f64, CommandError> {
    let noise = prices.noise(epsilon, plan, &hospitals.lattice())?;
    let mut total = 0.0;
    for (number, fold) in folds.iter().enumerate() {
        let sites = fold.kept.iter().map(|(examples, people_public, weight)| Hospital {
            examples,
            people_public: *people_public,
            weight: *weight,
        });
        let part = Hospitals { sites: sites.collect(), pooled: &fold.pooled, ..*hospitals };
        for run in 0..runs {
            let seed = FIRST_SEED + number as u64 * runs + run;
            let chance = Chance::new(&["tune", trainer.name(), &epsilon.to_string()], seed);
            let model = part.train(trainer, plan, noise.sigma_units, &chance).map_err(refused)?;
            total += auroc(hospitals.architecture, &model, &fold.held_out)?;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few runs")]
    Ok(total / (folds.len() as u64 * runs) as f64)
}
