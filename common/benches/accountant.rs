//! The accountants: exact re-accounting at every charge must stay cheap. Limits, for q = 0.01, σ = 1,
//! T = 10^4, δ = 1e-5: ε by PLD in 50 ms, the noise for an ε in 0.5 s.
//!
//! dp-accounting 0.6.0's PLD at its default grid of 1e-4 says 6.187745, within our grid's share of ours, and
//! takes, on the machine at hand:
//!
//! ```text
//! pip install dp-accounting && python3 -c "
//! import time, dp_accounting as d
//! from dp_accounting.pld import pld_privacy_accountant as p
//! e = d.SelfComposedDpEvent(d.PoissonSampledDpEvent(0.01, d.GaussianDpEvent(1.0)), 10000)
//! for _ in range(5):
//!     c = time.process_time(); a = p.PLDAccountant().compose(e); print(a.get_epsilon(1e-5), time.process_time() - c)"
//! ```

mod limit;

use consilium_common::privacy::accountant::{Accountant, delta_by, epsilon_by};
use consilium_common::privacy::calibrate::noise_multiplier_by;
use consilium_common::privacy::mechanism::Event;

const DELTA: f64 = 1e-5;
const COMMON: Event = Event::PoissonGaussian { sampling_rate: 0.01, noise_multiplier: 1.0, count: 10_000 };
const STUDY: [Event; 4] = [
    Event::PoissonGaussian { sampling_rate: 0.05, noise_multiplier: 1.5, count: 500 },
    Event::Gaussian { noise_multiplier: 20.0, count: 12 },
    Event::Laplace { scale: 30.0, count: 4 },
    Event::PoissonLaplace { sampling_rate: 0.05, scale: 10.0, count: 20 },
];

/// Seconds.
const EPSILON_LIMIT_S: f64 = 0.05;
const CALIBRATE_LIMIT_S: f64 = 0.5;

fn main() {
    limit::heading();
    limit::against("epsilon_pld", EPSILON_LIMIT_S, 40, epsilon_pld);
    limit::against("calibrate_pld", CALIBRATE_LIMIT_S, 10, calibrate_pld);
    divan::main();
}

#[divan::bench]
fn epsilon_pld() -> f64 {
    epsilon_by(Accountant::Pld, &[divan::black_box(COMMON)], DELTA).expect("in range")
}

#[divan::bench]
fn epsilon_rdp() -> f64 {
    epsilon_by(Accountant::Rdp, &[divan::black_box(COMMON)], DELTA).expect("in range")
}

#[divan::bench]
fn delta_pld() -> f64 {
    delta_by(Accountant::Pld, &[divan::black_box(COMMON)], 6.0).expect("in range")
}

#[divan::bench]
fn study_pld() -> f64 {
    epsilon_by(Accountant::Pld, &divan::black_box(STUDY), DELTA).expect("in range")
}

#[divan::bench]
fn million_steps_pld() -> f64 {
    let event = Event::PoissonGaussian { sampling_rate: 0.001, noise_multiplier: 10.0, count: 1_000_000 };
    epsilon_by(Accountant::Pld, &[divan::black_box(event)], DELTA).expect("in range")
}

#[divan::bench]
fn calibrate_pld() -> f64 {
    noise_multiplier_by(Accountant::Pld, divan::black_box(4.0), DELTA, 0.01, 10_000).expect("attainable")
}
