//! What distributed noise costs in accuracy: the same examples, the same ε, four trainers, several seeds.
//! Nothing of it is released.

use super::chance::Chance;
use super::prices::{Noise, Prices};
use super::server::Server;
use super::trainers::{Hospital, Hospitals, Plan, Trainer};
use super::{SiteExamples, pool, table, tune};
use crate::cli::Output;
use crate::operator::CommandError;
use clap::Args;
use consilium_common::evaluation::exact;
use consilium_common::examples::Examples;
use consilium_common::model::Architecture;
use consilium_common::secagg::{Refusal, SecureParameters};
use consilium_common::study::Study;
use consilium_common::train;
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
    pub(super) seeds: u64,
    /// t: how many sites must answer a step of distributed; recommended for their number unless given.
    #[arg(long, requires = "compare", requires = "colluding", value_parser = clap::value_parser!(u8).range(2..))]
    threshold: Option<u8>,
    /// n_C: how many sites may side with the coordinator.
    #[arg(long, requires = "compare", requires = "threshold", value_parser = clap::value_parser!(u8).range(1..))]
    colluding: Option<u8>,
    /// A folder of example files of the same study, as of other synthetic hospitals, on whose training
    /// people steps, clip norm and step size are chosen by cross-validation. Without it they are the study's.
    #[arg(long, requires = "compare")]
    pub(super) tune_on: Option<PathBuf>,
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
pub(super) struct Cell {
    pub(super) trainer: Trainer,
    pub(super) plan: Plan,
    pub(super) noise: Noise,
    /// One for each seed.
    pub(super) aurocs: Vec<f64>,
}

pub(super) struct Row {
    pub(super) epsilon: f64,
    /// In the order of `TRAINERS`.
    pub(super) cells: Vec<Cell>,
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
    let (secure, rows) = compare(args, study, sites)?;
    out.print(&table::document(study, args, &secure, &rows), || table::text(study, args, &secure, &rows))
}

/// The secure sum, and every trainer at every ε.
fn compare(
    args: &CompareArgs,
    study: &Study,
    sites: &[SiteExamples],
) -> Result<(SecureParameters, Vec<Row>), CommandError> {
    let architecture = study.architecture();
    let start = study.initial_parameters();
    let pooled = pool(sites, &architecture, |examples| &examples.training);
    let hospitals = hospitals(args, study, sites, &architecture, &start, &pooled)?;
    let tuning = args.tune_on.as_deref().map(|folder| super::load(study, folder)).transpose()?;
    let tuning_pooled = tuning.as_ref().map(|sites| pool(sites, &architecture, |e| &e.training));
    let tuning = match (&tuning, &tuning_pooled) {
        (Some(sites), Some(pooled)) => {
            Some(self::hospitals(args, study, sites, &architecture, &start, pooled)?)
        }
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
    Ok((secure, rows))
}

/// What a secure sum refuses, said of the command.
pub(super) fn refused(refusal: Refusal) -> CommandError {
    CommandError::input(format!("distributed noise: {refusal}"))
}

/// The study's roster with these examples.
fn hospitals<'a>(
    args: &CompareArgs,
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
    let hospitals = Hospitals {
        architecture,
        start,
        training_share: study.split.training_share,
        sites: found,
        threshold: args.threshold.zip(args.colluding),
        pooled,
    };
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

/// AUROC of a model on people, earlier and later ones together; of several predictions the mean.
///
/// # Errors
/// A prediction with people all of one outcome, of whom there is none.
pub(super) fn auroc(
    architecture: &Architecture,
    model: &[i32],
    people: &Examples,
) -> Result<f64, CommandError> {
    let probabilities = super::probabilities(architecture, &train::parameters(model), people);
    let outputs = u8::try_from(architecture.outputs).expect("a study has a few predictions");
    let mut sum = 0.0;
    for output in 0..outputs {
        let own = super::scored(people, people.rows_for(output), &probabilities);
        sum += exact::auroc(&own).ok_or_else(|| {
            CommandError::input("AUROC needs people of both outcomes among those who are judged")
        })?;
    }
    Ok(sum / f64::from(outputs))
}

#[cfg(test)]
mod tests;
