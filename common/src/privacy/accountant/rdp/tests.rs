//! Against closed forms, slow sums and the properties that any accountant must have. Vectors made by
//! another program are in `tests/vectors/privacy`.

use super::*;
use proptest::prelude::*;

fn at_order(curve: &Curve, order: u32) -> f64 {
    curve.at(ORDERS.iter().position(|o| *o == order).expect("one of the orders"))
}

fn sampled(sampling_rate: f64, noise_multiplier: f64, count: u64) -> Curve {
    Curve::of(&Event::PoissonGaussian { sampling_rate, noise_multiplier, count }).expect("in range")
}

fn full(noise_multiplier: f64, count: u64) -> Curve {
    Curve::of(&Event::Gaussian { noise_multiplier, count }).expect("in range")
}

fn noisy_counts(scale: f64, count: u64) -> Curve {
    Curve::of(&Event::Laplace { scale, count }).expect("in range")
}

/// `found` is `expected` or above by at most a relative 1e-9.
fn assert_bounds(found: f64, expected: f64) {
    assert!(found >= expected * (1.0 - 1e-14) && found <= expected * (1.0 + 1e-9), "{found} for {expected}");
}

#[test]
fn orders() {
    assert_eq!(ORDERS[..3], [2, 3, 4]);
    assert_eq!(ORDERS[253..], [255, 256, 320, 384, 512, 768, 1024]);
}

#[test]
fn ln_factorials_against_exact_products() {
    fn check(k: usize, factorial: f64) {
        let found = ln_factorials()[k];
        assert!((found - factorial.ln()).abs() <= f64::EPSILON * found, "{k}! gave {found}");
    }
    check(0, 1.0);
    check(1, 1.0);
    check(2, 2.0);
    check(3, 6.0);
    check(10, 3_628_800.0);
    check(20, 2_432_902_008_176_640_000.0);
    // Stirling with three correction terms, exact to 1e-20 here.
    let k = 1024.0_f64;
    let series = 1.0 / (12.0 * k) - 1.0 / (360.0 * k.powi(3)) + 1.0 / (1260.0 * k.powi(5));
    let stirling = k * k.ln() - k + 0.5 * (2.0 * std::f64::consts::PI * k).ln() + series;
    assert!((ln_factorials()[1024] - stirling).abs() < 2e-12);
}

/// Order 2 has the closed form ln(1 + q² (e^(1/σ²) − 1)), also where the loss is tiny.
#[test]
fn order_two_in_closed_form() {
    fn check(rate: f64, noise: f64) {
        let expected = (rate * rate * (1.0 / (noise * noise)).exp_m1()).ln_1p();
        assert_bounds(at_order(&sampled(rate, noise, 1), 2), expected);
    }
    check(0.5, 1.0);
    check(0.01, 0.5);
    check(1e-9, 1.0);
    check(1e-9, 1e6);
    check(0.999_999, 3.0);
}

/// The sum as printed in the paper, term by term, where f64 can hold it.
#[test]
fn the_sum_as_printed() {
    fn check(rate: f64, noise: f64, order: u32) {
        let alpha = f64::from(order);
        let (mut choose, mut sum) = (1.0, 0.0);
        for k in 0..=order {
            let k = f64::from(k);
            let weight = choose * (1.0 - rate).powf(alpha - k) * rate.powf(k);
            sum += weight * ((k * k - k) / (2.0 * noise * noise)).exp();
            choose *= (alpha - k) / (k + 1.0);
        }
        let (found, expected) = (at_order(&sampled(rate, noise, 1), order), sum.ln() / (alpha - 1.0));
        assert!((found - expected).abs() <= 1e-12 * expected, "{found} for {expected}");
    }
    for order in [2, 3, 5, 8, 20] {
        check(0.1, 1.0, order);
        check(0.5, 2.0, order);
        check(0.3, 0.9, order);
    }
}

/// The subsampled Laplace against E_Q[(P/Q)^α] by Simpson's rule, and that of Q against P, which is
/// never above.
#[test]
fn sampled_laplace_by_quadrature() {
    fn check(rate: f64, scale: f64, order: u32) {
        let alpha = f64::from(order);
        let density = |x: f64| (-x.abs() / scale).exp() / (2.0 * scale);
        let ratio = |x: f64| 1.0 - rate + rate * ((x.abs() - (x - 1.0).abs()) / scale).exp();
        // The ratio is constant below 0 and above 1: the tails are in closed form.
        let whole = |power: f64| {
            let (n, mut sum) = (2000, 0.0);
            for i in 0..=n {
                let x = f64::from(i) / f64::from(n);
                let weight = if i == 0 || i == n {
                    1.0
                } else if i % 2 == 1 {
                    4.0
                } else {
                    2.0
                };
                sum += weight * density(x) * ratio(x).powf(power);
            }
            let below = 0.5 * ratio(0.0).powf(power);
            let above = 0.5 * (-1.0 / scale).exp() * ratio(1.0).powf(power);
            sum / f64::from(3 * n) + below + above
        };
        let found = at_order(&Curve::of(&sampled_laplace(rate, scale, 1)).expect("in range"), order);
        let expected = whole(alpha).ln() / (alpha - 1.0);
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} for {expected}");
        let other_way = whole(1.0 - alpha).ln() / (alpha - 1.0);
        assert!(found >= other_way, "{found} below {other_way}");
    }
    for order in [2, 3, 8, 40] {
        check(0.1, 1.0, order);
        check(0.5, 3.0, order);
        check(0.9, 0.7, order);
    }
    // For everybody it is the Laplace mechanism; nearly everybody is near it.
    assert_eq!(Curve::of(&sampled_laplace(1.0, 2.0, 3)), Ok(noisy_counts(2.0, 3)));
    for order in ORDERS {
        let nearly = Curve::of(&sampled_laplace(1.0 - 1e-12, 2.0, 3)).expect("in range");
        let (nearly, whole) = (at_order(&nearly, order), at_order(&noisy_counts(2.0, 3), order));
        assert!((nearly - whole).abs() <= 1e-8 * whole, "order {order}: {nearly} for {whole}");
    }
}

fn sampled_laplace(sampling_rate: f64, scale: f64, count: u64) -> Event {
    Event::PoissonLaplace { sampling_rate, scale, count }
}

/// The mixture's bound is at least its exact value, which at order α is the mean of
/// e^(((Σi)² − Σi²)/2σ²) over α independent binomial counts i; close to it for much noise, equal for
/// everybody.
#[test]
fn mixtures_are_bounded() {
    fn check(sites: u32, rate: f64, noise: f64, order: u32, tolerance: f64) {
        let event = Event::MixtureGaussian { sites, sampling_rate: rate, noise_multiplier: noise, count: 1 };
        let found = at_order(&Curve::of(&event).expect("in range"), order);
        let mut choose = 1.0;
        let mut weights = Vec::new();
        for i in 0..=sites {
            let k = f64::from(i);
            let shift = (-k * k / (2.0 * noise * noise)).exp();
            weights.push(choose * rate.powf(k) * (1.0 - rate).powf(f64::from(sites) - k) * shift);
            choose *= (f64::from(sites) - k) / (k + 1.0);
        }
        let mut sums = vec![1.0];
        for _ in 0..order {
            let mut next = vec![0.0; sums.len() + weights.len() - 1];
            for (s, sum) in sums.iter().enumerate() {
                for (i, weight) in weights.iter().enumerate() {
                    next[s + i] += sum * weight;
                }
            }
            sums = next;
        }
        let mean: f64 = sums
            .iter()
            .enumerate()
            .map(|(s, weight)| weight * ((s * s) as f64 / (2.0 * noise * noise)).exp())
            .sum();
        let exact = mean.ln() / (f64::from(order) - 1.0);
        assert!(found >= exact * (1.0 - 1e-9), "{found} below {exact}");
        assert!(found <= exact * (1.0 + tolerance), "{found} far above {exact}");
    }
    for order in [2, 3, 6] {
        check(2, 0.1, 10.0, order, 0.2);
        check(3, 0.05, 20.0, order, 0.1);
        check(5, 0.3, 2.0, order, 4.0);
        check(4, 1.0, 3.0, order, 1e-9);
    }
}

/// Near a full sample the loss approaches the Gaussian's, which the full sample equals.
#[test]
fn nearly_everybody() {
    let (nearly, whole) = (sampled(1.0 - 1e-12, 2.0, 7), full(2.0, 7));
    for order in ORDERS {
        let (nearly, whole) = (at_order(&nearly, order), at_order(&whole, order));
        assert!((nearly - whole).abs() <= 1e-8 * whole, "order {order}: {nearly} for {whole}");
    }
    assert_eq!(sampled(1.0, 2.0, 7), whole);
}

/// Small losses approach α/2b², large ones 1/b, and none exceeds either.
#[test]
fn laplace_limits() {
    fn check(scale: f64, order: u32, expected: f64, tolerance: f64) {
        let found = at_order(&noisy_counts(scale, 1), order);
        assert!((found / expected - 1.0).abs() <= tolerance, "{found} for {expected}");
        assert!(found <= (1.0 + 1e-12) / scale, "above pure differential privacy");
    }
    check(1e6, 2, 1e-12, 1e-5);
    check(1e6, 256, 128e-12, 1e-3);
    check(1e12, 2, 1e-24, 1e-9);
    check(1e-3, 2, 1000.0 + (2.0_f64 / 3.0).ln(), 1e-14);
    check(0.5, 1024, 2.0 + (1024.0_f64 / 2047.0).ln() / 1023.0, 1e-12);
    // Both ways of computing meet: (α − 1)/b is 30 at order 61 for b = 2.
    for scale in [2.0 - 1e-12, 2.0 + 1e-12] {
        let a = (61.0 / 121.0) * (60.0_f64 / scale).exp() + (60.0 / 121.0) * (-61.0_f64 / scale).exp();
        check(scale, 61, a.ln() / 60.0, 1e-13);
    }
}

#[test]
fn exp_beyond_line_meets_at_the_seam() {
    fn check(x: f64, expected: f64) {
        let found = exp_beyond_line(x);
        assert!((found / expected - 1.0).abs() < 4e-15, "{x} gave {found}");
    }
    // Computed with 50 digits.
    check(0.5, 0.148_721_270_700_128_14);
    check(-0.5, 0.106_530_659_712_633_42);
    check(0.5 + f64::EPSILON, 0.148_721_270_700_128_29);
    check(1e-9, 5.000_000_001_666_667e-19);
    check(-1e-3, 4.998_333_749_916_681e-7);
}

#[test]
fn composition_adds_and_rounds_up() {
    let (training, release) = (sampled(0.1, 2.0, 100), full(10.0, 3));
    let both = training.clone().compose(&release);
    for order in ORDERS {
        let parts = at_order(&training, order) + at_order(&release, order);
        assert_bounds(at_order(&both, order), parts);
    }
    assert_eq!(Curve::zero().compose(&training), training);
    assert_eq!(training.clone().compose(&Curve::zero()), training);
}

#[test]
fn conversions_at_the_edges() {
    let curve = sampled(0.1, 2.0, 100);
    for delta in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!((curve.epsilon(delta), curve.best_order(delta)), (f64::INFINITY, None));
    }
    assert_eq!(curve.delta(f64::INFINITY), 0.0);
    assert_eq!(curve.delta(-1.0), 1.0);
    assert_eq!(curve.delta(f64::NAN), 1.0);
    assert_eq!((Curve::zero().epsilon(1e-300), Curve::zero().delta(0.0)), (0.0, 0.0));
    // So little noise is needed that the total variation decides: ε is 0 although the curve is not.
    assert_eq!(full(1e9, 1).epsilon(1e-5), 0.0);
    assert!(full(1e3, 1).epsilon(1e-5) > 0.0);
}

/// Every corner of the parameters, with counts to 10^9: finite, not negative, never NaN.
#[test]
fn extremes_stay_finite() {
    let counts = [1, 1_000_000_000, u64::MAX];
    let noises = [1e-6, 1e-3, 1e-2, 1.0, 1e3, 1e6, 1e12];
    let mut curves = Vec::new();
    for noise in noises {
        for rate in [f64::from_bits(1), 1e-300, 1e-9, 1e-3, 0.5, 0.999_999, 1.0_f64.next_down(), 1.0] {
            curves.push(sampled(rate, noise, 1));
        }
        curves.push(noisy_counts(noise, 1));
    }
    for once in &curves {
        for count in counts {
            let curve = once.times(count.into());
            assert!(curve.0.iter().all(|loss| loss.is_finite() && *loss >= 0.0), "{curve:?}");
            assert!(
                curve.0.windows(2).all(|w| w[0] <= w[1] * (1.0 + 1e-9)),
                "falls with the order: {curve:?}"
            );
            for delta in [f64::MIN_POSITIVE, 1e-300, 1e-12, 1e-5, 0.5, 1.0_f64.next_down()] {
                let epsilon = curve.epsilon(delta);
                assert!(epsilon.is_finite() && epsilon >= 0.0, "{epsilon} for {curve:?} at {delta}");
                assert!(curve.delta(epsilon) <= delta, "{curve:?} at {delta}");
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    // Logarithmic, so that small numbers get their share.
    let log = |low: f64, high: f64| (low.ln()..high.ln()).prop_map(f64::exp);
    prop_oneof![
        (log(0.3, 1e3), 1..10_000_u64)
            .prop_map(|(noise_multiplier, count)| Event::Gaussian { noise_multiplier, count }),
        (log(1e-6, 0.999), log(0.3, 1e3), 1..10_000_u64).prop_map(
            |(sampling_rate, noise_multiplier, count)| {
                Event::PoissonGaussian { sampling_rate, noise_multiplier, count }
            }
        ),
        (log(0.1, 1e3), 1..10_000_u64).prop_map(|(scale, count)| Event::Laplace { scale, count }),
        (log(1e-6, 0.999), log(0.1, 1e3), 1..10_000_u64)
            .prop_map(|(sampling_rate, scale, count)| Event::PoissonLaplace { sampling_rate, scale, count }),
        (1..9_u32, log(1e-6, 0.999), log(0.3, 1e3), 1..10_000_u64).prop_map(
            |(sites, sampling_rate, noise_multiplier, count)| {
                Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count }
            }
        ),
    ]
}

/// The event with every parameter a little, by `factor` ≥ 1, more costly.
fn costlier(event: Event, factor: f64) -> [Event; 2] {
    let more = event.with_count(event.count() + 1);
    match event {
        Event::Gaussian { noise_multiplier, count } => {
            [more, Event::Gaussian { noise_multiplier: noise_multiplier / factor, count }]
        }
        Event::PoissonGaussian { sampling_rate, noise_multiplier, count } => [
            Event::PoissonGaussian {
                sampling_rate: (sampling_rate * factor).min(1.0),
                noise_multiplier,
                count: count + 1,
            },
            Event::PoissonGaussian { sampling_rate, noise_multiplier: noise_multiplier / factor, count },
        ],
        Event::Laplace { scale, count } => [more, Event::Laplace { scale: scale / factor, count }],
        Event::PoissonLaplace { sampling_rate, scale, count } => [
            Event::PoissonLaplace { sampling_rate: (sampling_rate * factor).min(1.0), scale, count },
            Event::PoissonLaplace { sampling_rate, scale: scale / factor, count },
        ],
        Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count } => [
            Event::MixtureGaussian { sites: sites + 1, sampling_rate, noise_multiplier, count },
            Event::MixtureGaussian {
                sites,
                sampling_rate,
                noise_multiplier: noise_multiplier / factor,
                count,
            },
        ],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn monotone(event in event(), factor in 1.0001..3.0_f64, ln_delta in -30.0..-0.1_f64) {
        let delta = ln_delta.exp();
        let curve = Curve::of(&event).expect("in range");
        let epsilon = curve.epsilon(delta);
        for costlier in costlier(event, factor) {
            let other = Curve::of(&costlier).expect("in range");
            prop_assert!(other.epsilon(delta) >= epsilon, "{costlier:?} against {event:?}");
        }
        prop_assert!(curve.epsilon(delta / factor) >= epsilon);
        prop_assert!(curve.delta(epsilon * factor + 1e-6) <= curve.delta(epsilon));
    }

    #[test]
    fn back_and_forth(event in event(), ln_delta in -500.0..-0.001_f64) {
        let delta = ln_delta.exp();
        let curve = Curve::of(&event).expect("in range");
        let epsilon = curve.epsilon(delta);
        let back = curve.delta(epsilon);
        prop_assert!(back <= delta, "{back} above {delta}");
        if epsilon > 0.0 {
            // The same order answers, so that the way back is tight too: but for the rounding that both ways grant
            // themselves, a share of ε and ln δ that the order multiplies.
            let rounding = 8.0 * MANY * f64::from(ORDERS[COUNT - 1]) * (epsilon - ln_delta);
            prop_assert!(back >= delta * (1.0 - 1e-8 - rounding), "{back} far below {delta}");
        }
    }
}
