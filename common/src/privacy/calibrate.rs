//! The least noise that meets a target ε, by the accountant that budgets are charged by.
//!
//! Answers lie on a decimal grid, so that a study file can hold them exactly, and are rounded up: ε at
//! the answer was computed and is at most the target.

use super::accountant::{InvalidEvent, checked_delta, checked_epsilon, epsilon};
use super::mechanism::Event;

/// Grid points per unit of [`noise_multiplier`]'s answer.
const GRID: u32 = 10_000;
/// The largest answer of [`noise_multiplier`].
const NOISE_MULTIPLIER_MAX: u32 = 100_000_000;
/// Five significant digits: from 10 000 to 99 999.
const DIGITS: u32 = 5;
/// Powers of ten that [`smallest_scale`] searches: from 0.001 to just below 10^9.
const DECADES: std::ops::Range<i32> = -3..9;

/// Why there is no noise to propose.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CannotCalibrate {
    /// The target, or the events, cannot be priced.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// Some events do not shrink enough with the noise.
    #[error("epsilon {target} cannot be met: it is {reached} even at noise {largest}")]
    Unattainable {
        /// The ε asked for.
        target: f64,
        /// ε at the most noise tried.
        reached: f64,
        /// The most noise tried.
        largest: f64,
    },
}

/// The smallest σ (per unit of sensitivity) on a grid of 10^-4 at which `steps` steps on Poisson samples
/// of rate `sampling_rate` cost at most `target` at `delta`.
///
/// # Privacy
/// At the answer, [`accountant::epsilon`](epsilon) of exactly this event is at most `target`.
///
/// # Errors
/// A parameter is out of range, or even σ = 10^8 does not meet the target.
pub fn noise_multiplier(
    target: f64,
    delta: f64,
    sampling_rate: f64,
    steps: u64,
) -> Result<f64, CannotCalibrate> {
    if steps == 0 {
        let found = InvalidEvent::Parameter { name: "steps", expected: "a number above 0", found: 0.0 };
        return Err(found.into());
    }
    let sigma = |point: u64| point as f64 / f64::from(GRID);
    let events =
        |noise_multiplier| vec![Event::PoissonGaussian { sampling_rate, noise_multiplier, count: steps }];
    let points = 1..=u64::from(NOISE_MULTIPLIER_MAX) * u64::from(GRID);
    smallest(target, delta, points, sigma, events).map_err(|error| match error {
        // There is no list to point into: the field is our own argument.
        CannotCalibrate::Invalid(InvalidEvent::Event { field, expected, found, .. }) => {
            InvalidEvent::Parameter { name: field, expected, found }.into()
        }
        other => other,
    })
}

/// The smallest scale, of five significant digits, at which the list `events(scale)` costs at most
/// `target` at `delta`. Parts of the list may not depend on the scale.
///
/// The list must not get more costly as the scale grows; if it does, the answer still meets the target
/// but need not be the smallest.
///
/// # Privacy
/// At the answer, [`accountant::epsilon`](epsilon) of the list is at most `target`.
///
/// # Errors
/// `target`, `delta` or an event is out of range, or even a scale of nearly 10^9 does not meet the target.
pub fn smallest_scale(
    target: f64,
    delta: f64,
    events: impl Fn(f64) -> Vec<Event>,
) -> Result<f64, CannotCalibrate> {
    let first = 10_u64.pow(DIGITS - 1);
    let per_decade = 9 * first;
    let scale = |point: u64| {
        let digits = (first + point % per_decade) as f64;
        let decade = DECADES.start + i32::try_from(point / per_decade).expect("few decades");
        let power = decade - (DIGITS as i32 - 1);
        // Powers of ten up to 22 are exact, so that this is the f64 nearest to the decimal number.
        if power < 0 { digits / 10_f64.powi(-power) } else { digits * 10_f64.powi(power) }
    };
    let points = 0..=per_decade * DECADES.len() as u64 - 1;
    smallest(target, delta, points, scale, events)
}

/// Bisection over grid points: the first whose list meets the target, its cost falling with the point.
fn smallest(
    target: f64,
    delta: f64,
    points: std::ops::RangeInclusive<u64>,
    noise: impl Fn(u64) -> f64,
    events: impl Fn(f64) -> Vec<Event>,
) -> Result<f64, CannotCalibrate> {
    let (target, delta) = (checked_epsilon(target)?, checked_delta(delta)?);
    let (mut low, mut meets) = (*points.start(), *points.end());
    let reached = epsilon(&events(noise(meets)), delta)?;
    if reached > target {
        return Err(CannotCalibrate::Unattainable { target, reached, largest: noise(meets) });
    }
    while low < meets {
        let middle = low + (meets - low) / 2;
        if epsilon(&events(noise(middle)), delta)? <= target {
            meets = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(noise(meets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(sampling_rate: f64, noise_multiplier: f64, count: u64) -> Event {
        Event::PoissonGaussian { sampling_rate, noise_multiplier, count }
    }

    fn cost(events: &[Event], delta: f64) -> f64 {
        epsilon(events, delta).expect("in range")
    }

    /// The answer meets the target and its neighbour below on the grid does not.
    #[test]
    fn smallest_on_the_grid() {
        fn check(target: f64, delta: f64, rate: f64, steps: u64) {
            let sigma = noise_multiplier(target, delta, rate, steps).expect("attainable");
            let below = (sigma * 1e4).round() - 1.0;
            assert_eq!(sigma, (below + 1.0) / 1e4, "off the grid");
            assert!(cost(&[step(rate, sigma, steps)], delta) <= target);
            assert!(cost(&[step(rate, below / 1e4, steps)], delta) > target, "{sigma} is not the smallest");
        }
        check(1.0, 1e-5, 1.0, 1);
        check(4.0, 1e-5, 0.05, 200);
        check(0.1, 1e-6, 0.01, 10_000);
        check(20.0, 1e-3, 0.5, 10);
        check(0.02, 1e-9, 0.1, 1_000_000);
    }

    #[test]
    fn jointly_with_fixed_events() {
        let training = step(0.05, 1.5, 200);
        let list = |scale: f64| {
            let release = |share: f64| Event::Gaussian { noise_multiplier: scale / share.sqrt(), count: 2 };
            vec![training, release(0.5), release(0.3), release(0.2)]
        };
        let target = 3.0;
        let scale = smallest_scale(target, 1e-5, list).expect("attainable");
        assert!(cost(&list(scale), 1e-5) <= target);
        assert!(cost(&list(scale * (1.0 - 1.01e-4)), 1e-5) > target, "{scale} is not the smallest");

        let fixed = cost(&[training], 1e-5);
        let error = smallest_scale(fixed * 0.9, 1e-5, list).expect_err("training alone costs more");
        assert!(
            matches!(error, CannotCalibrate::Unattainable { reached, .. } if reached >= fixed),
            "{error}"
        );
    }

    #[test]
    fn scales_have_five_digits() {
        fn check(target: f64) {
            let laplace = |scale| vec![Event::Laplace { scale, count: 10 }];
            let scale = smallest_scale(target, 1e-5, laplace).expect("attainable");
            let digits = format!("{scale:e}");
            let mantissa = digits.split('e').next().expect("a mantissa");
            assert!(mantissa.len() <= 6, "{digits}");
            assert!(cost(&laplace(scale), 1e-5) <= target);
        }
        check(0.01);
        check(1.0);
        check(37.5);
        check(5_000.0);
    }

    #[test]
    fn refusals_name_their_argument() {
        fn check(target: f64, delta: f64, rate: f64, steps: u64, expected: &str) {
            let error = noise_multiplier(target, delta, rate, steps).expect_err("out of range").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        check(0.0, 1e-5, 0.1, 1, "epsilon: expected a finite number above 0, came 0");
        check(f64::NAN, 1e-5, 0.1, 1, "epsilon: expected");
        check(1.0, 0.0, 0.1, 1, "delta: expected");
        check(1.0, 1e-5, 0.0, 1, "sampling_rate: expected a number above 0, at most 1, came 0");
        check(1.0, 1e-5, 1.1, 1, "sampling_rate: expected");
        check(1.0, 1e-5, 0.1, 0, "steps: expected a number above 0, came 0");
        check(1e-12, 1e-300, 1.0, u64::MAX, "epsilon 0.000000000001 cannot be met: it is ");
        let error = smallest_scale(1.0, 1e-5, |scale| vec![Event::Laplace { scale: -scale, count: 1 }]);
        assert!(matches!(error, Err(CannotCalibrate::Invalid(InvalidEvent::Event { index: 0, .. }))));
    }

    /// The least noise that the accountant knows is on the grid's low end, whatever the budget.
    #[test]
    fn budgets_without_end() {
        assert_eq!(noise_multiplier(f64::MAX, 1e-5, 0.1, 1), Ok(1e-4));
        assert_eq!(
            smallest_scale(f64::MAX, 1e-5, |scale| vec![Event::Laplace { scale, count: 1 }]),
            Ok(1e-3)
        );
        assert_eq!(smallest_scale(1.0, 1e-5, |_| Vec::new()), Ok(1e-3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn monotone(target in 0.1..10.0_f64, rate in 0.001..1.0_f64, steps in 1..5_000_u64) {
            let sigma = |target, rate, steps| noise_multiplier(target, 1e-5, rate, steps).expect("attainable");
            let answer = sigma(target, rate, steps);
            prop_assert!(cost(&[step(rate, answer, steps)], 1e-5) <= target);
            prop_assert!(sigma(target * 1.5, rate, steps) <= answer);
            prop_assert!(sigma(target, rate, steps * 2) >= answer);
            prop_assert!(sigma(target, (rate * 1.5).min(1.0), steps) >= answer);
        }
    }
}
