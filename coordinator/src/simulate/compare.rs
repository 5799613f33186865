//! What distributed noise costs in accuracy: the same examples, the same ε, four trainers, several seeds.
//! Nothing of it is released.

use super::chance::Chance;
use super::spread::{Spread, spread};
use super::trainers::{Hospital, Hospitals, Plan, Server, Trainer};
use super::tune;
use super::{SiteExamples, pool};
use crate::cli::Output;
use crate::operator::CommandError;
use clap::Args;
use consilium_common::evaluation::exact;
use consilium_common::examples::Examples;
use consilium_common::model::{Architecture, initial};
use consilium_common::privacy::calibrate;
use consilium_common::privacy::clip::Lattice;
use consilium_common::secagg::{Refusal, SecureParameters};
use consilium_common::study::Study;
use consilium_common::train;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The options of a comparison.
#[derive(Args)]
pub struct CompareArgs {
    /// Compares noise of a trusted curator, of a secure sum's sites and of each site for itself, at the
    /// same ε of training, on the AUROC of everybody's evaluation people.
    #[arg(long)]
    pub(super) compare: bool,
    /// What training may cost a person; the noise is calibrated to each.
    #[arg(long, requires = "compare", value_delimiter = ',', default_values_t = [0.5, 1.0, 3.0, 8.0],
        allow_negative_numbers = true, value_parser = crate::cli::epsilon)]
    epsilon: Vec<f64>,
    /// How often each is trained, with other noise.
    #[arg(long, requires = "compare", default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=1000))]
    seeds: u64,
    /// A folder of example files of the same study, as of other synthetic hospitals, on whose training
    /// people steps, clip norm and step size are chosen by cross-validation. Without it they are the study's.
    #[arg(long, requires = "compare")]
    tune_on: Option<PathBuf>,
    /// Momentum of the server, for central and distributed.
    #[arg(long, requires = "compare", default_value_t = 0.0, value_parser = momentum)]
    momentum: f64,
    /// The model is the mean of the last so many, for central and distributed.
    #[arg(long, requires = "compare", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    average_last: u32,
}

fn momentum(text: &str) -> Result<f64, String> {
    let expected = || format!("expected a number from 0 to below 1, came {text}");
    let number: f64 = text.parse().map_err(|_| expected())?;
    if (0.0..1.0).contains(&number) { Ok(number) } else { Err(expected()) }
}

/// One trainer at one ε.
struct Cell {
    trainer: Trainer,
    plan: Plan,
    noise: Noise,
    /// One for each seed.
    aurocs: Vec<f64>,
}

struct Row {
    epsilon: f64,
    /// In the order of [`TRAINERS`].
    cells: Vec<Cell>,
}

const TRAINERS: [Trainer; 4] =
    [Trainer::WithoutNoise, Trainer::Central, Trainer::Distributed, Trainer::Local];

/// Trains, compares, prints.
///
/// # Errors
/// Sites that the study does not list, too few for a secure sum, an ε that nothing meets.
pub(super) fn run(
    args: &CompareArgs,
    study: &Study,
    sites: &[SiteExamples],
    out: Output,
) -> Result<(), CommandError> {
    let architecture = study.architecture();
    let start = initial::initial_parameters(&architecture, &study.digest);
    let pooled = pool(sites, &architecture, |examples| &examples.training);
    let hospitals = hospitals(study, sites, &architecture, &start, &pooled)?;
    let tuning = args.tune_on.as_deref().map(|folder| super::load(study, folder)).transpose()?;
    let tuning_pooled = tuning.as_ref().map(|sites| pool(sites, &architecture, |e| &e.training));
    let tuning = match (&tuning, &tuning_pooled) {
        (Some(sites), Some(pooled)) => Some(self::hospitals(study, sites, &architecture, &start, pooled)?),
        _ => None,
    };
    let folds = tuning.as_ref().map(tune::folds);
    let judged = pool(sites, &architecture, |examples| &examples.evaluation);

    let mut prices = Prices::new(study.privacy.delta);
    let mut rows = Vec::new();
    for &epsilon in &args.epsilon {
        let (mut summed, mut local) = study_plans(study, args);
        if let (Some(tuning), Some(folds)) = (&tuning, &folds) {
            summed = tune::tuned(tuning, folds, Trainer::Central, &summed, epsilon, &mut prices)?;
            local = tune::tuned(tuning, folds, Trainer::Local, &local, epsilon, &mut prices)?;
        }
        let mut cells = Vec::new();
        for trainer in TRAINERS {
            let plan = if trainer == Trainer::Local { local } else { summed };
            let noise = prices.noise(epsilon, &plan, &hospitals.lattice())?;
            let mut aurocs = Vec::new();
            for seed in 0..args.seeds {
                let chance = Chance::new(&["compare", trainer.name(), &epsilon.to_string()], seed);
                let model = hospitals.train(trainer, &plan, noise.sigma_units, &chance).map_err(refused)?;
                aurocs.push(auroc(&architecture, &model, &judged)?);
            }
            cells.push(Cell { trainer, plan, noise, aurocs });
        }
        rows.push(Row { epsilon, cells });
    }
    let first = rows.first().and_then(|row| row.cells.get(2)).expect("clap gives an epsilon at least");
    let secure = hospitals.secure(&first.plan, first.noise.sigma_units).map_err(refused)?;
    out.print(&document(study, args, &secure, &rows), || text(args, &secure, &rows))
}

/// What a secure sum refuses, said of the command.
pub(super) fn refused(refusal: Refusal) -> CommandError {
    CommandError::input(format!("distributed noise: {refusal}"))
}

/// The study's roster with these examples.
fn hospitals<'a>(
    study: &Study,
    sites: &'a [SiteExamples],
    architecture: &'a Architecture,
    start: &'a [i32],
    pooled: &'a Examples,
) -> Result<Hospitals<'a>, CommandError> {
    let mut found = Vec::new();
    for site in sites {
        let roster = study.site(&site.site).ok_or_else(|| {
            CommandError::input(format!("{}.examples: the study lists no site {}", site.site, site.site))
        })?;
        found.push(Hospital {
            examples: &site.examples.training,
            people_public: roster.people_public,
            weight: roster.weight,
        });
    }
    let hospitals =
        Hospitals { architecture, start, training_share: study.split.training_share, sites: found, pooled };
    let most = hospitals.lattice().batch_max();
    if pooled.people() > most {
        return Err(CommandError::input(format!(
            "a trusted curator would sum more than the {most} people for which a sum is proven exact enough"
        )));
    }
    Ok(hospitals)
}

/// The study's own numbers, for one sum a step and for rounds of local steps. Both pay for the same steps.
fn study_plans(study: &Study, args: &CompareArgs) -> (Plan, Plan) {
    let training = &study.privacy.training;
    let plain = Server { momentum: 0.0, average_last: 1 };
    let local = Plan {
        sampling_rate: training.sampling_rate,
        rounds: training.rounds,
        local_steps: training.local_steps,
        spare_rounds: training.spare_rounds,
        clip_norm: training.clip_norm,
        learning_rate: training.learning_rate,
        proximal: training.proximal,
        server: plain,
    };
    let summed = Plan {
        rounds: local.rounds * local.local_steps,
        spare_rounds: local.spare_rounds * local.local_steps,
        local_steps: 1,
        server: Server { momentum: args.momentum, average_last: args.average_last },
        ..local
    };
    (summed, local)
}

/// Noise that a price asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// σ per clip norm, as an event holds it.
    pub(super) noise_multiplier: f64,
    /// σ, lattice units.
    pub(super) sigma_units: u64,
}

/// Noise for an ε, calibrated once for each number of steps, by PLD at the study's δ, spare attempts included.
pub(super) struct Prices {
    delta: f64,
    known: BTreeMap<[u64; 3], f64>,
}

impl Prices {
    pub(super) fn new(delta: f64) -> Self {
        Self { delta, known: BTreeMap::new() }
    }

    /// # Errors
    /// An ε that no noise meets, or that a lattice does not carry.
    pub(super) fn noise(
        &mut self,
        epsilon: f64,
        plan: &Plan,
        lattice: &Lattice,
    ) -> Result<Noise, CommandError> {
        let (rate, steps) = (plan.sampling_rate, plan.steps_charged());
        let key = [epsilon.to_bits(), rate.to_bits(), steps];
        let noise_multiplier = match self.known.get(&key) {
            Some(known) => *known,
            None => {
                let found = calibrate::noise_multiplier(epsilon, self.delta, rate, steps)
                    .map_err(|error| CommandError::input(error.to_string()))?;
                self.known.insert(key, found);
                found
            }
        };
        let sigma_units =
            lattice.sigma_units(noise_multiplier).map_err(|e| CommandError::input(e.to_string()))?;
        Ok(Noise { noise_multiplier, sigma_units })
    }
}

/// AUROC of a model on people.
///
/// # Errors
/// People all of one outcome, of whom there is none.
pub(super) fn auroc(
    architecture: &Architecture,
    model: &[i32],
    people: &Examples,
) -> Result<f64, CommandError> {
    let logits = train::logits(architecture, &train::parameters(model), people);
    let probabilities: Vec<f64> = logits.iter().map(|&z| 1.0 / (1.0 + (-f64::from(z)).exp())).collect();
    let outcomes: Vec<bool> = (0..people.len()).map(|row| people.label(row) > 0.5).collect();
    exact::auroc(&probabilities, &outcomes)
        .ok_or_else(|| CommandError::input("AUROC needs people of both outcomes among those who are judged"))
}

/// Of each seed, one trainer less another.
fn difference(row: &Row, one: Trainer, other: Trainer) -> Spread {
    let of = |trainer| &row.cells.iter().find(|cell| cell.trainer == trainer).expect("all are there").aurocs;
    spread(&of(one).iter().zip(of(other)).map(|(a, b)| a - b).collect::<Vec<_>>())
}

const DIFFERENCES: [(Trainer, Trainer); 2] =
    [(Trainer::Distributed, Trainer::Central), (Trainer::Distributed, Trainer::Local)];

/// Variance of the sum of all sites' shares over the variance that was priced, which is a curator's.
#[expect(clippy::cast_precision_loss, reason = "σ is below 2^31 units")]
fn variance_ratio(secure: &SecureParameters) -> f64 {
    let ratio = secure.sigma_share_units() as f64 / secure.sigma_units() as f64;
    f64::from(secure.sites()) * ratio * ratio
}

fn document(study: &Study, args: &CompareArgs, secure: &SecureParameters, rows: &[Row]) -> Value {
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
                        "auroc": interval(spread(&cell.aurocs)),
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

fn text(args: &CompareArgs, secure: &SecureParameters, rows: &[Row]) -> String {
    let shown = |s: Spread| format!("{:.3} ({:.3} to {:.3})", s.mean, s.low, s.high);
    let signed = |s: Spread| format!("{:+.3} ({:+.3} to {:+.3})", s.mean, s.low, s.high);
    let figures = rows.iter().map(|row| {
        let mut line = vec![row.epsilon.to_string()];
        line.extend(row.cells.iter().map(|cell| shown(spread(&cell.aurocs))));
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
        "AUROC on everybody's evaluation people, mean of {seeds} runs with other noise (95 % interval of that mean).\n\
         ε is training's, by PLD. Computed here; not released. Secure sums are exact, so none was masked here.\n\
         {figures}\n\n\
         Noise: {sites} sites, of whom {threshold} must answer and {colluding} may collude; when all answer, their \
         shares together have\n{deviation:.3} times the standard deviation ({variance:.3} times the variance) of \
         central's noise.\n\n{numbers}"
    )
}
