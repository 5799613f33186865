//! Against closed forms, and the properties that any accountant must have. Vectors made by another
//! program are in `tests/vectors/privacy`.

use super::*;
use crate::privacy::accountant::{Accountant, delta_by, epsilon_by};
use crate::privacy::mechanism::Event;
use proptest::prelude::*;

fn price(events: &[Event], delta: f64) -> f64 {
    epsilon_by(Accountant::Pld, events, delta).expect("in range")
}

fn sampled(sampling_rate: f64, noise_multiplier: f64, count: u64) -> Event {
    Event::PoissonGaussian { sampling_rate, noise_multiplier, count }
}

fn full(noise_multiplier: f64, count: u64) -> Event {
    Event::Gaussian { noise_multiplier, count }
}

/// The grid and the transform, without the short cuts for Gaussians and single uses.
fn on_grid(uses: Vec<(Pair, u64)>, tally: &[Event], delta: f64) -> f64 {
    let uses = Uses(uses);
    let curve = Tally::of(tally).expect("in range").curve();
    let worst = uses.directions().iter().map(|direction| {
        let search = Search {
            uses: &uses,
            direction: *direction,
            goal: Goal::Delta(delta),
            curve: &curve,
            inflation: INFLATION,
        };
        search.answer(0.0, &mut Space::default()).expect("a grid").value
    });
    worst.fold(0.0, f64::max)
}

/// `found` is an upper bound that exceeds `exact` by what the grid may add at most.
fn assert_tight(found: f64, exact: f64) {
    let most = 2.0 * INFLATION * exact.max(EPSILON_SMALL);
    assert!(found >= exact * (1.0 - 1e-12) && found <= exact + most, "{found} for {exact}");
}

/// Balle and Wang's curve, computed with 50 digits for rows of `epsilons.csv` (ids A002, A005, A011).
#[test]
fn gaussians_are_exact() {
    fn check(noise: f64, count: u64, delta: f64, exact: f64) {
        let found = price(&[full(noise, count)], delta);
        assert!(found >= exact * (1.0 - 1e-12) && found <= exact * (1.0 + 1e-9), "{found} for {exact}");
    }
    check(1.0, 1, 1e-5, 4.377_178_095_681_224_5);
    check(2.0, 1, 1e-6, 2.254_084_650_219_741);
    check(8.0, 100, 1e-5, 5.679_586_855_097_566);
}

/// The grid against the exact Gaussian: from hardly any loss to an extreme one.
#[test]
fn the_grid_against_the_exact_gaussian() {
    fn check(noise: f64, count: u64, delta: f64) {
        let exact = normal::epsilon((count as f64).sqrt() / noise, delta);
        let uses = vec![(Pair::full(1.0 / noise), count)];
        assert_tight(on_grid(uses, &[full(noise, count)], delta), exact);
    }
    check(1.0, 1, 1e-5);
    check(0.7, 1, 1e-12);
    check(20.0, 100, 1e-5);
    check(300.0, 10_000, 1e-9);
    check(300.0, 10_000, 0.1);
    check(2.0, 50, 1e-5);
    check(5.0, 3, 1e-3);
}

/// One use has a closed form: the grid must bound it closely, in both directions and for all mechanisms.
#[test]
fn the_grid_against_one_use() {
    fn check(pair: Pair, event: Event, delta: f64) {
        let exact = single::epsilon(&pair, delta, f64::MAX);
        assert_tight(on_grid(vec![(pair, 1)], &[event], delta), exact);
    }
    check(Pair::sampled(1, 0.1, 1.0), sampled(0.1, 1.0, 1), 1e-5);
    check(Pair::sampled(1, 0.5, 0.6), sampled(0.5, 0.6, 1), 1e-6);
    let mixture = Event::MixtureGaussian { sites: 3, sampling_rate: 0.2, noise_multiplier: 1.5, count: 1 };
    check(Pair::sampled(3, 0.2, 1.5), mixture, 1e-5);
    let laplace = Event::PoissonLaplace { sampling_rate: 0.3, scale: 0.8, count: 1 };
    check(Pair::Laplace { rate: 0.3, unit: 1.25 }, laplace, 1e-3);
}

/// Laplace alone: δ = 1 − e^((ε − 1/b)/2) in closed form.
#[test]
fn laplace_in_closed_form() {
    fn check(scale: f64, delta: f64) {
        let exact = (1.0 / scale + 2.0 * (-delta).ln_1p()).max(0.0);
        let found = price(&[Event::Laplace { scale, count: 1 }], delta);
        assert!((found - exact).abs() <= 1e-12 * (1.0 + exact), "{found} for {exact}");
    }
    check(1.0, 1e-5);
    check(0.5, 1e-12);
    check(10.0, 0.01);
    check(10.0, 0.1);
    check(0.01, 1e-5);
}

/// A mixture of one site is the subsampled Gaussian, also through the code for many sites; for everybody
/// it is a Gaussian of as many times the sensitivity.
#[test]
fn mixtures_at_their_ends() {
    let one = Event::MixtureGaussian { sites: 1, sampling_rate: 0.05, noise_multiplier: 1.5, count: 500 };
    assert_eq!(price(&[one], 1e-5), price(&[sampled(0.05, 1.5, 500)], 1e-5));
    let all = Event::MixtureGaussian { sites: 3, sampling_rate: 1.0, noise_multiplier: 6.0, count: 4 };
    let (found, exact) = (price(&[all], 1e-5), price(&[full(2.0, 4)], 1e-5));
    assert!((found / exact - 1.0).abs() < 1e-12, "{found} for {exact}");

    let Pair::Gaussian { weights, step } = Pair::sampled(1, 0.05, 1.5) else { panic!("a Gaussian") };
    let padded = Pair::Gaussian { weights: [weights, vec![0.0]].concat(), step };
    let found = on_grid(vec![(padded, 500)], &[one], 1e-5);
    assert!((found / price(&[one], 1e-5) - 1.0).abs() < 1e-7, "{found}");
}

/// L is increasing, and solving it comes back.
#[test]
fn losses_and_their_points() {
    let pairs = [
        Pair::full(0.5),
        Pair::sampled(1, 1e-6, 0.7),
        Pair::sampled(1, 0.999, 3.0),
        Pair::sampled(5, 0.05, 1.5),
        Pair::sampled(20, 0.01, 2.0),
        Pair::Laplace { rate: 1.0, unit: 0.3 },
        Pair::Laplace { rate: 0.01, unit: 100.0 },
    ];
    for pair in pairs {
        let mut before = f64::NEG_INFINITY;
        for i in 1..100 {
            let x = match pair {
                Pair::Gaussian { .. } => f64::from(i) * 0.2 - 8.0,
                Pair::Laplace { .. } => f64::from(i) * 0.01,
            };
            let loss = pair.loss(x);
            assert!(loss >= before && loss >= pair.loss_min() && loss <= pair.loss_max(), "{pair:?} at {x}");
            let point = pair.point(loss, f64::INFINITY);
            if point.is_finite() {
                let error = (pair.loss(point) - loss).abs();
                assert!(error <= pair.point_error(x.abs()) + 1e-15 * loss.abs(), "{pair:?} at {x}: {error}");
            }
            before = loss;
        }
    }
}

/// In every cell and direction the grid keeps the mass, and dominates: E e^(-L) does not exceed 1 by more
/// than rounding, and every tail is at least the true one.
#[test]
fn the_grid_keeps_the_mass() {
    fn check(pair: &Pair, direction: Direction, h: f64) {
        let losses = Losses::of(pair, direction, h, Cut { above: 1e-15, below: 1e-15 }).expect("a grid");
        let mass: Vec<f64> = losses.log_mass.iter().map(|log_mass| log_mass.exp()).collect();
        let total: f64 = mass.iter().sum::<f64>() + losses.infinite;
        assert!((-1e-12..1e-8).contains(&(total - 1.0)), "{pair:?} {direction:?}: mass {total}");
        let other: f64 = mass.iter().enumerate().map(|(k, mass)| mass * (-losses.loss(k, h)).exp()).sum();
        assert!(other <= 1.0 + 1e-9, "{pair:?} {direction:?}: mass {other} in the other world");
        let mut above = losses.infinite;
        for k in (1..mass.len()).rev() {
            above += mass[k];
            let loss = losses.loss(k - 1, h);
            let truth = match direction {
                Direction::Remove => pair.tails(pair.point(loss + h, f64::INFINITY)).0.above.value,
                Direction::Add => pair.tails(pair.point(-loss - h, f64::INFINITY)).1.below.value,
            };
            assert!(above >= truth * (1.0 - 1e-12), "{pair:?} {direction:?}: {above} above {loss}, {truth}");
        }
    }
    for h in [2_f64.powi(-5), 2_f64.powi(-10)] {
        check(&Pair::full(0.7), Direction::Remove, h);
        for pair in [
            Pair::sampled(1, 0.1, 1.0),
            Pair::sampled(1, 0.001, 0.5),
            Pair::sampled(4, 0.2, 2.0),
            Pair::Laplace { rate: 0.3, unit: 1.5 },
        ] {
            check(&pair, Direction::Remove, h);
            check(&pair, Direction::Add, h);
        }
    }
}

#[test]
fn refining_the_grid_changes_little() {
    // What `INFLATION` says: an answer on a grid finer by four is lower by no more than that.
    for (event, delta) in [
        (sampled(0.01, 1.0, 1000), 1e-5),
        (sampled(0.1, 2.0, 500), 1e-6),
        (sampled(1e-3, 0.7, 2000), 1e-8),
        (Event::Laplace { scale: 10.0, count: 100 }, 1e-5),
        (Event::PoissonLaplace { sampling_rate: 0.1, scale: 2.0, count: 100 }, 1e-5),
    ] {
        let tally = Tally::of(&[event]).expect("in range");
        let (curve, uses) = (tally.curve(), Uses::of(&tally).expect("few"));
        let search = Search {
            uses: &uses,
            direction: Direction::Remove,
            goal: Goal::Delta(delta),
            curve: &curve,
            inflation: INFLATION,
        };
        let Some(Coarse::Grid { grid, lambda, .. }) = search.coarse(0.0) else { panic!("a grid") };
        let cut = Cut::at(delta, uses.count());
        let here = search.on_fine_grid(&grid, lambda, cut, &mut Space::default()).expect("a grid");
        let finer = Search { inflation: INFLATION / 16.0, ..search };
        let there = finer.on_fine_grid(&grid, lambda, cut, &mut Space::default()).expect("a grid");
        let allowed = INFLATION * here.value.max(EPSILON_SMALL);
        assert!(there.value <= here.value && here.value - there.value <= allowed, "{event:?}");
    }
}

/// Corners: finite, quick, never above RDP, and going back stays below δ.
#[test]
fn corners() {
    fn check(events: &[Event], delta: f64) {
        let found = price(events, delta);
        let by_rdp = epsilon_by(Accountant::Rdp, events, delta).expect("in range");
        assert!((0.0..=by_rdp).contains(&found), "{events:?}: {found} above {by_rdp}");
        let back = delta_by(Accountant::Pld, events, found).expect("in range");
        assert!(back <= delta, "{events:?}: {back} above {delta}");
    }
    for delta in [1e-12, 1e-5, 0.1] {
        check(&[sampled(1e-6, 1.0, 1)], delta);
        check(&[sampled(1e-6, 1.0, 1000)], delta);
        check(&[sampled(0.3, 1e6, 1000)], delta);
        check(&[sampled(0.2, 0.1, 10)], delta);
        check(&[sampled(0.999_999, 5.0, 100)], delta);
        check(&[Event::PoissonLaplace { sampling_rate: 1e-4, scale: 0.1, count: 50 }], delta);
        check(&[Event::Laplace { scale: 1e-3, count: 2 }, full(1e3, 7)], delta);
        check(&[full(1e-6, 1)], delta);
    }
    check(&[sampled(0.3, 1e-3, 5)], 1e-5);
    check(&[sampled(0.01, 100.0, 1_000_000)], 1e-5);
    check(&[sampled(0.01, 1.0, u64::MAX)], 1e-5);
    check(&[sampled(f64::from_bits(1), 1.0, 5)], 1e-300);
    check(&[sampled(0.01, 3.0, 10)], 1e-200);
    assert_eq!(price(&[sampled(1e-6, 1.0, 1)], 1e-5), 0.0);
}

/// Laplace noise has a greatest loss; a grid that goes beyond it is not believed.
#[test]
fn pure_losses_end() {
    fn check(events: &[Event], delta: f64, expected: f64) {
        let found = price(events, delta);
        let most = expected * (1.0 + 1e-9);
        assert!((expected - 1e-6..=most).contains(&found), "{found}, expected {expected}");
        assert_eq!(delta_by(Accountant::Pld, events, most), Ok(0.0));
    }
    let laplace = |scale, count| Event::Laplace { scale, count };
    check(&[laplace(1.0, 17)], 1.36e-10, 17.0);
    check(&[laplace(1.0, 17), laplace(4.0, 2)], 1e-12, 17.5);
    let half = Event::PoissonLaplace { sampling_rate: 0.5, scale: 1.0, count: 2 };
    check(&[half], 1e-14, 2.0 * (0.5 * (1.0 + 1.0_f64.exp())).ln());
    assert!(price(&[laplace(1.0, 17)], 1e-4) < 16.9);
    assert!(price(&[laplace(1.0, 17), sampled(0.01, 5.0, 1)], 1.36e-10) > 17.0, "a Gaussian has no end");
}

#[test]
fn order_and_splitting_change_no_bit() {
    let (a, b) = (sampled(0.05, 1.5, 200), Event::Laplace { scale: 20.0, count: 5 });
    let whole = price(&[a.with_count(600), b], 1e-5);
    assert_eq!(price(&[b, a.with_count(600)], 1e-5), whole);
    assert_eq!(price(&[a, b.with_count(2), a, b.with_count(3), a], 1e-5), whole);
}

/// To the last bit, on every platform: site, coordinator and auditor compare these.
#[test]
fn the_same_bits_everywhere() {
    let events = [
        sampled(0.05, 1.5, 200),
        full(20.0, 5),
        Event::Laplace { scale: 30.0, count: 4 },
        Event::PoissonLaplace { sampling_rate: 0.1, scale: 5.0, count: 10 },
        Event::MixtureGaussian { sites: 2, sampling_rate: 0.05, noise_multiplier: 3.0, count: 20 },
    ];
    assert_eq!(price(&events, 1e-5).to_bits(), GOLDEN.to_bits(), "{}", price(&events, 1e-5));
}

/// dp-accounting's PLD at an interval of 1e-4 says 2.508853.
const GOLDEN: f64 = 2.508_883_798_645_144;

fn event() -> impl Strategy<Value = Event> {
    let log = |low: f64, high: f64| (low.ln()..high.ln()).prop_map(f64::exp);
    prop_oneof![
        (log(0.5, 50.0), 1..20_u64)
            .prop_map(|(noise_multiplier, count)| Event::Gaussian { noise_multiplier, count }),
        (log(1e-3, 0.9), log(0.6, 20.0), 1..2_000_u64).prop_map(|(q, sigma, count)| sampled(q, sigma, count)),
        (log(1.0, 50.0), 1..50_u64).prop_map(|(scale, count)| Event::Laplace { scale, count }),
        (log(1e-3, 0.9), log(0.5, 20.0), 1..200_u64)
            .prop_map(|(sampling_rate, scale, count)| Event::PoissonLaplace { sampling_rate, scale, count }),
        (2..5_u32, log(1e-3, 0.5), log(1.0, 20.0), 1..200_u64).prop_map(
            |(sites, sampling_rate, noise_multiplier, count)| {
                Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count }
            }
        ),
    ]
}

/// The event with one parameter more costly, by `factor` > 1.
fn costlier(event: Event, factor: f64) -> Event {
    match event {
        Event::Gaussian { noise_multiplier, count } => full(noise_multiplier / factor, count),
        Event::PoissonGaussian { sampling_rate, noise_multiplier, count } => {
            sampled((sampling_rate * factor).min(1.0), noise_multiplier, count)
        }
        Event::Laplace { scale, count } => Event::Laplace { scale: scale / factor, count },
        Event::PoissonLaplace { sampling_rate, scale, count } => {
            Event::PoissonLaplace { sampling_rate: (sampling_rate * factor).min(1.0), scale, count }
        }
        Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count } => {
            Event::MixtureGaussian { sites: sites + 1, sampling_rate, noise_multiplier, count }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn properties(
        events in prop::collection::vec(event(), 1..4),
        factor in 1.01..2.0_f64,
        ln_delta in -25.0..-2.3_f64,
    ) {
        let delta = ln_delta.exp();
        let found = price(&events, delta);
        prop_assert!(found <= epsilon_by(Accountant::Rdp, &events, delta).expect("in range"));
        let back = delta_by(Accountant::Pld, &events, found).expect("in range");
        prop_assert!(back <= delta, "{} above {}", back, delta);
        // Beyond what two grids may differ by.
        let rounding = 2.0 * INFLATION * found.max(EPSILON_SMALL);
        if found > 2.0 * rounding {
            let below = delta_by(Accountant::Pld, &events, found - 2.0 * rounding).expect("in range");
            prop_assert!(below > delta, "{} is not tight: {} for {}", found, below, delta);
        }
        prop_assert!(price(&events, delta / factor) >= found - rounding);
        let mut more = events.clone();
        more[0] = costlier(more[0], factor);
        prop_assert!(price(&more, delta) >= found - rounding, "{:?}", more);
        more[0] = events[0].with_count(2 * events[0].count());
        prop_assert!(price(&more, delta) >= found - rounding, "{:?}", more);
    }
}
