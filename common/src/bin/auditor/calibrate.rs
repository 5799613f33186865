//! `auditor calibrate`: the least noise, the highest sampling rate or the most steps for a target ε.

use crate::{BAD_INPUT, Format, print_figure, refuse};
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::privacy::calibrate::{
    CannotCalibrate, noise_multiplier_by, sampling_rate_by, steps_by,
};
use consilium_common::privacy::mechanism::Event;
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example: noise for 200 steps, each on a twentieth of the people, at epsilon 4

  auditor calibrate --epsilon 4 --delta 1e-5 --sampling-rate 0.05 --steps 200

Of --noise-multiplier, --sampling-rate and --steps give two; the third is found: the smallest noise
(on a grid of 0.0001), the highest rate (of five digits), or the most steps. Sampling rate 1 stands
for a release about everybody.";

/// Find the noise, the sampling rate or the number of steps that meets a target epsilon
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Target epsilon, above 0
    #[arg(long, value_name = "E")]
    epsilon: f64,
    /// Delta, above 0 and below 1
    #[arg(long, value_name = "D")]
    delta: f64,
    /// Probability with which each person joins a step, above 0, at most 1
    #[arg(long, value_name = "Q")]
    sampling_rate: Option<f64>,
    /// Number of steps
    #[arg(long, value_name = "T")]
    steps: Option<u64>,
    /// Standard deviation of the noise, per unit of sensitivity
    #[arg(long, value_name = "S")]
    noise_multiplier: Option<f64>,
    /// How privacy loss is counted: pld or rdp
    #[arg(long, value_name = "NAME", default_value = Accountant::Pld.name())]
    accountant: Accountant,
    /// Default: text on a terminal, json otherwise
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

#[derive(serde::Serialize)]
struct Answer {
    noise_multiplier: f64,
    epsilon: f64,
    epsilon_target: f64,
    delta: f64,
    accountant: &'static str,
    sampling_rate: f64,
    steps: u64,
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("give two of --noise-multiplier, --sampling-rate and --steps: the third is found")]
    NotTwo,
    #[error(transparent)]
    Cannot(#[from] CannotCalibrate),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(answer) => print_figure(args.format, &answer, &sentence(&answer)),
        Err(error) => refuse(BAD_INPUT, &error.to_string()),
    }
}

fn answer(args: &Args) -> Result<Answer, Refused> {
    let &Args { epsilon: target, delta, accountant, .. } = args;
    let (noise_multiplier, sampling_rate, steps) =
        match (args.noise_multiplier, args.sampling_rate, args.steps) {
            (None, Some(q), Some(t)) => (noise_multiplier_by(accountant, target, delta, q, t)?, q, t),
            (Some(sigma), None, Some(t)) => {
                (sigma, sampling_rate_by(accountant, target, delta, sigma, t)?, t)
            }
            (Some(sigma), Some(q), None) => (sigma, q, steps_by(accountant, target, delta, q, sigma)?),
            _ => return Err(Refused::NotTwo),
        };
    let event = Event::PoissonGaussian { sampling_rate, noise_multiplier, count: steps };
    let epsilon = epsilon_by(accountant, &[event], delta).map_err(CannotCalibrate::from)?;
    let accountant = accountant.name();
    Ok(Answer { noise_multiplier, epsilon, epsilon_target: target, delta, accountant, sampling_rate, steps })
}

fn sentence(answer: &Answer) -> String {
    format!(
        "noise multiplier {} (epsilon {:.6} at delta {}, by {}): {} steps at sampling rate {}",
        answer.noise_multiplier,
        answer.epsilon,
        answer.delta,
        answer.accountant,
        answer.steps,
        answer.sampling_rate
    )
}
