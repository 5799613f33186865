//! Our accountant against other people's: see `tests/vectors/privacy/README.md`.

use consilium_common::privacy::accountant::rdp::{Curve, ORDERS};
use consilium_common::privacy::accountant::{Accountant, delta_by, epsilon_by};
use consilium_common::privacy::calibrate::noise_multiplier_by;
use consilium_common::privacy::mechanism::Event;
use serde::Deserialize;

/// One row of `epsilons.csv`.
#[derive(Deserialize)]
struct Problem {
    id: String,
    neighbours: String,
    delta: f64,
    composition_json: String,
    epsilon_rdp: Option<f64>,
    epsilon_rdp_integer: Option<f64>,
    rdp_integer_order: Option<u32>,
    epsilon_pld: Option<f64>,
    epsilon_pld_lower: Option<f64>,
    pld_interval: f64,
    epsilon_indep: Option<f64>,
    indep_interval: Option<f64>,
    prv_lower: Option<f64>,
    prv_upper: Option<f64>,
    epsilon_exact: Option<f64>,
    extreme: String,
}

#[derive(Deserialize)]
struct Part {
    m: String,
    s: f64,
    q: Option<f64>,
    #[serde(rename = "T")]
    t: u64,
    k: Option<u32>,
}

impl Problem {
    /// None where a mechanism is none of ours: a Poisson batch truncated at a fixed size.
    fn events(&self) -> Option<Vec<Event>> {
        let parts: Vec<Part> = serde_json::from_str(&self.composition_json).expect("a list of events");
        let event = |part: &Part| {
            let rate = || part.q.expect("a sampled mechanism has a rate");
            Some(match part.m.as_str() {
                "g" => Event::Gaussian { noise_multiplier: part.s, count: part.t },
                "sg" => {
                    Event::PoissonGaussian { sampling_rate: rate(), noise_multiplier: part.s, count: part.t }
                }
                "l" => Event::Laplace { scale: part.s, count: part.t },
                "sl" => Event::PoissonLaplace { sampling_rate: rate(), scale: part.s, count: part.t },
                "mog" => Event::MixtureGaussian {
                    sites: part.k.expect("a number of sites"),
                    sampling_rate: rate(),
                    noise_multiplier: part.s,
                    count: part.t,
                },
                "tsg" => return None,
                other => panic!("{}: unknown mechanism {other}", self.id),
            })
        };
        parts.iter().map(event).collect()
    }

    fn is_extreme(&self) -> bool {
        self.extreme == "yes"
    }
}

fn rows<T: serde::de::DeserializeOwned>(text: &str) -> Vec<T> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(|row| row.expect("a full row")).collect()
}

fn problems() -> Vec<Problem> {
    let problems: Vec<Problem> = rows(include_str!("../../tests/vectors/privacy/epsilons.csv"));
    assert_eq!(problems.len(), 138);
    assert!(problems.iter().all(|problem| problem.neighbours == "add_remove_one"));
    problems
}

fn epsilon_pld(problem: &Problem, events: &[Event]) -> f64 {
    epsilon_by(Accountant::Pld, events, problem.delta).expect("in range")
}

fn epsilon_rdp(problem: &Problem, events: &[Event]) -> f64 {
    epsilon_by(Accountant::Rdp, events, problem.delta).expect("in range")
}

/// Acceptance rule 6: equal to dp-accounting's RDP accountant at the same orders, in value and order.
#[test]
fn equal_at_integer_orders() {
    let mut compared = 0;
    for problem in problems() {
        // It has no subsampled Laplace and no mixtures.
        let Some(expected) = problem.epsilon_rdp_integer else { continue };
        let events = problem.events().expect("ours too");
        let found = epsilon_rdp(&problem, &events);
        assert!((found / expected - 1.0).abs() <= 1e-9, "{}: {found} for {expected}", problem.id);

        let mut curve = Curve::zero();
        for event in &events {
            curve.add(&Curve::of(event).expect("in range"));
        }
        assert_eq!(curve.best_order(problem.delta), problem.rdp_integer_order, "{}", problem.id);
        assert!((curve.epsilon(problem.delta) / found - 1.0).abs() <= 1e-13, "{}", problem.id);
        compared += 1;
    }
    assert_eq!(compared, 121);
}

/// Rules 1 and 6: an upper bound, so never below what is proven to be lost, nor below the tight answer.
#[test]
fn never_below_the_truth() {
    for problem in problems() {
        let Some(events) = problem.events() else { continue };
        let found = epsilon_rdp(&problem, &events);
        for (name, bound) in [
            ("epsilon_pld", problem.epsilon_pld),
            ("epsilon_pld_lower", problem.epsilon_pld_lower),
            ("prv_lower", problem.prv_lower),
            ("epsilon_exact", problem.epsilon_exact),
        ] {
            assert!(bound.is_none_or(|bound| found >= bound), "{}: {found} below {name}", problem.id);
        }
    }
}

/// What leaving out fractional orders costs: a third of ε at most where the problem is not extreme.
#[test]
fn integer_orders_cost_little() {
    for problem in problems().iter().filter(|problem| problem.extreme == "no") {
        let Some(with_fractions) = problem.epsilon_rdp else { continue };
        let events = problem.events().expect("ours too");
        let found = epsilon_rdp(problem, &events);
        assert!(found <= with_fractions * 1.34, "{}: {found} for {with_fractions}", problem.id);
    }
}

/// Rule 5 on every row: back from ε never above δ, and ε rising with counts and falling with δ.
#[test]
fn monotone_on_every_row() {
    for problem in problems() {
        let Some(events) = problem.events() else { continue };
        let mut curve = Curve::zero();
        for event in &events {
            curve.add(&Curve::of(event).expect("in range"));
        }
        let epsilon = curve.epsilon(problem.delta);
        assert!(curve.delta(epsilon) <= problem.delta, "{}", problem.id);
        assert!(curve.epsilon(problem.delta / 10.0) >= epsilon, "{}", problem.id);
        let more: Vec<Event> = events.iter().map(|event| event.with_count(event.count() + 1)).collect();
        assert!(epsilon_rdp(&problem, &more) > epsilon, "{}", problem.id);
    }
}

/// One row of `calibrated-sigma.csv`.
#[derive(Deserialize)]
struct Target {
    q: f64,
    steps: u64,
    delta: f64,
    target_epsilon: f64,
    sigma_pld: f64,
    sigma_rdp: f64,
}

/// The accountant once more, slowly and as printed in the papers, to calibrate against.
fn plain_epsilon(q: f64, sigma: f64, steps: u64, delta: f64) -> f64 {
    let mut ln_factorial = vec![0.0];
    for k in 1..=1024 {
        ln_factorial.push(ln_factorial[k - 1] + (k as f64).ln());
    }
    let losses = ORDERS.iter().map(|order| {
        let (alpha, n) = (f64::from(*order), *order as usize);
        let terms: Vec<f64> = (0..=n)
            .filter(|k| q < 1.0 || *k == n)
            .map(|k| {
                let choose = ln_factorial[n] - ln_factorial[k] - ln_factorial[n - k];
                let rest = if k == n { 0.0 } else { (n - k) as f64 * (1.0 - q).ln() };
                let exponent = k as f64 * (k as f64 - 1.0) / (2.0 * sigma * sigma);
                choose + rest + k as f64 * q.ln() + exponent
            })
            .collect();
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ln_a = largest + terms.iter().map(|term| (term - largest).exp()).sum::<f64>().ln();
        let loss = steps as f64 * ln_a / (alpha - 1.0);
        loss + (1.0 - 1.0 / alpha).ln() - (delta * alpha).ln() / (alpha - 1.0)
    });
    losses.fold(f64::INFINITY, f64::min)
}

/// By RDP, σ meets its target, is the next grid point above the true minimum, and is what RDP needs: above
/// the PLD answer, near dp-accounting's RDP answer.
#[test]
fn calibrated_sigma_by_rdp() {
    let targets: Vec<Target> = rows(include_str!("../../tests/vectors/privacy/calibrated-sigma.csv"));
    assert_eq!(targets.len(), 45);
    for Target { q, steps, delta, target_epsilon, sigma_pld, sigma_rdp } in targets {
        let row = format!("q {q}, {steps} steps, epsilon {target_epsilon}");
        let sigma =
            noise_multiplier_by(Accountant::Rdp, target_epsilon, delta, q, steps).expect("attainable");
        let event = Event::PoissonGaussian { sampling_rate: q, noise_multiplier: sigma, count: steps };
        assert!(epsilon_by(Accountant::Rdp, &[event], delta).expect("in range") <= target_epsilon, "{row}");

        let (mut low, mut high) = (sigma * 0.99, sigma * 1.01);
        while high - low > 1e-9 * low {
            let middle = (low + high) / 2.0;
            if plain_epsilon(q, middle, steps, delta) <= target_epsilon {
                high = middle;
            } else {
                low = middle;
            }
        }
        let above = sigma - high;
        assert!((-1e-7..=1e-4 + 1e-7).contains(&above), "{row}: {sigma} for {high}");

        assert!(sigma >= sigma_pld, "{row}: {sigma} below {sigma_pld}");
        let ratio = sigma / sigma_rdp;
        assert!((0.999..1.02).contains(&ratio), "{row}: {sigma} against {sigma_rdp}");
    }
}

/// Acceptance rules 1 to 3: an upper bound, near dp-accounting's answer or, where its own grid is what
/// limits that, near the finer one; exact where the truth is known; never above RDP.
#[test]
fn tight_on_every_row() {
    let mut compared = 0;
    for problem in problems() {
        let Some(events) = problem.events() else { continue };
        let (id, found) = (&problem.id, epsilon_pld(&problem, &events));
        for (name, bound) in [
            ("epsilon_pld_lower", problem.epsilon_pld_lower),
            ("prv_lower", problem.prv_lower),
            ("epsilon_exact", problem.epsilon_exact),
        ] {
            assert!(bound.is_none_or(|bound| found >= bound - 1e-9), "{id}: {found} below {name}");
        }
        assert!(found <= epsilon_rdp(&problem, &events), "{id}: above RDP");
        assert!(problem.prv_upper.is_none_or(|upper| found <= upper), "{id}: above prv_upper");
        if let Some(exact) = problem.epsilon_exact {
            assert!((found - exact).abs() <= 1e-9 * exact, "{id}: {found} for {exact}");
        }
        if !problem.is_extreme() {
            let finer = problem.epsilon_indep.filter(|_| problem.indep_interval < Some(problem.pld_interval));
            let expected = finer.or(problem.epsilon_pld).expect("a PLD answer on every row");
            assert!((found - expected).abs() <= 2e-4_f64.max(2e-4 * found), "{id}: {found} for {expected}");
            if let Some(expected) = problem.epsilon_indep {
                // Its own grid inflates its answer, by 1.3e-4 of itself in row B031.
                let (least, most) = (expected * (1.0 - 2e-4), expected + 3e-5 * found.max(0.1));
                assert!((least..=most).contains(&found), "{id}: {found} for {expected}");
            }
        }
        compared += 1;
    }
    assert_eq!(compared, 135);
}

/// Rules 4 and 5: merging equal events is exact, a mixture at one site is the subsampled Gaussian, and
/// back from ε never above δ.
#[test]
fn there_and_back_on_every_row() {
    let problems = problems();
    let of = |id: &str| {
        let problem = problems.iter().find(|problem| problem.id == id).expect("a row");
        epsilon_pld(problem, &problem.events().expect("ours too"))
    };
    assert_eq!(of("E122"), of("E123"));
    assert_eq!(of("M130"), of("B038"));
    for problem in &problems {
        let Some(events) = problem.events() else { continue };
        let found = epsilon_pld(problem, &events);
        let back = delta_by(Accountant::Pld, &events, found).expect("in range");
        assert!(back <= problem.delta, "{}: {back}", problem.id);
    }
}

/// σ by PLD: within the reference's own tolerance, meeting its target, and the smallest on the grid.
#[test]
fn calibrated_sigma_by_pld() {
    let targets: Vec<Target> = rows(include_str!("../../tests/vectors/privacy/calibrated-sigma.csv"));
    for Target { q, steps, delta, target_epsilon, sigma_pld, .. } in targets {
        let row = format!("q {q}, {steps} steps, epsilon {target_epsilon}");
        let sigma =
            noise_multiplier_by(Accountant::Pld, target_epsilon, delta, q, steps).expect("attainable");
        let ratio = sigma / sigma_pld;
        assert!((1.0 - 2e-4..=1.0 + 5e-4).contains(&ratio), "{row}: {sigma} for {sigma_pld}");
        let epsilon = |noise_multiplier| {
            let event = Event::PoissonGaussian { sampling_rate: q, noise_multiplier, count: steps };
            epsilon_by(Accountant::Pld, &[event], delta).expect("in range")
        };
        assert!(epsilon(sigma) <= target_epsilon, "{row}");
        // Up to the headroom of `calibrate`.
        assert!(epsilon(sigma - 1e-4) > target_epsilon * (1.0 - 1e-4), "{row}: {sigma} is not the smallest");
    }
}
