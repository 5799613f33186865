//! `auditor calibrate`: the least noise that meets a target ε.

use crate::{BAD_INPUT, Format, print_figure, refuse};
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::privacy::calibrate::{CannotCalibrate, noise_multiplier};
use consilium_common::privacy::mechanism::Event;
use std::process::ExitCode;

const EXAMPLE: &str = "\
Example: training of 200 steps, each on a twentieth of the people, at epsilon 4

  auditor calibrate --epsilon 4 --delta 1e-5 --sampling-rate 0.05 --steps 200

Sampling rate 1 stands for a release about everybody.";

/// Find the smallest noise multiplier (on a grid of 0.0001, rounded up) that meets a target epsilon
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
    sampling_rate: f64,
    /// Number of steps
    #[arg(long, value_name = "T")]
    steps: u64,
    /// How privacy loss is counted; only rdp in this version
    #[arg(long, value_name = "NAME", default_value = Accountant::CHARGED.name())]
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

pub(crate) fn run(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(answer) => print_figure(args.format, &answer, &sentence(&answer)),
        Err(error) => refuse(BAD_INPUT, &error.to_string()),
    }
}

fn answer(args: &Args) -> Result<Answer, CannotCalibrate> {
    let &Args { epsilon: epsilon_target, delta, sampling_rate, steps, accountant, format: _ } = args;
    let noise_multiplier = noise_multiplier(epsilon_target, delta, sampling_rate, steps)?;
    let event = Event::PoissonGaussian { sampling_rate, noise_multiplier, count: steps };
    let epsilon = epsilon_by(accountant, &[event], delta)?;
    let accountant = accountant.name();
    Ok(Answer { noise_multiplier, epsilon, epsilon_target, delta, accountant, sampling_rate, steps })
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
