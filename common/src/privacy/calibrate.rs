//! The least noise, the highest sampling rate or the most steps that meet a target ε.
//!
//! Answers lie on a decimal grid, so that a study file can hold them exactly, and are rounded towards
//! privacy: ε at the answer was computed and is at most the target, and at the next more costly point of
//! the grid it was computed and is above. Noise by PLD leaves a ten-thousandth of the target unspent.

use super::accountant::{Accountant, InvalidEvent, checked_delta, checked_epsilon, epsilon_by};
use super::mechanism::Event;
use libm::log;
use std::ops::RangeInclusive;

/// Grid points per unit of [`noise_multiplier`]'s answer.
const GRID: u32 = 10_000;
/// The largest answer of [`noise_multiplier`].
const NOISE_MULTIPLIER_MAX: u32 = 100_000_000;
/// Five significant digits: from 10 000 to 99 999.
const DIGITS: u32 = 5;
/// Powers of ten that [`smallest_scale_by`] searches: from 0.001 to just below 10^9.
const DECADES: std::ops::Range<i32> = -3..9;
/// Powers of ten that [`sampling_rate_by`] searches, below 1.
const RATE_DECADES: std::ops::Range<i32> = -9..0;
/// The largest answer of [`steps_by`].
const STEPS_MAX: u64 = 1_000_000_000;

/// Share of the target that stays unspent where PLD is asked for noise, so that other people's accountants, which
/// read up to so much more on their usual grids, find the target met too.
const HEADROOM: f64 = 1e-4;

/// Why there is nothing to propose.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CannotCalibrate {
    /// The target, or the events, cannot be priced.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// Some events do not shrink enough.
    #[error("epsilon {target} cannot be met: it is {reached} even at {what} {least_costly}")]
    Unattainable {
        /// The ε asked for.
        target: f64,
        /// ε at the least costly value tried.
        reached: f64,
        /// Which parameter was looked for.
        what: &'static str,
        /// Its least costly value.
        least_costly: f64,
    },
}

/// The smallest σ (per unit of sensitivity) on a grid of 10^-4 at which `steps` steps on Poisson samples
/// of rate `sampling_rate` cost at most `target` at `delta`, by the accountant that declared lists are
/// priced by.
///
/// # Privacy
/// At the answer, [`accountant::epsilon`](super::accountant::epsilon) of exactly this event is at most
/// `target`.
///
/// # Errors
/// A parameter is out of range, or even σ = 10^8 does not meet the target.
pub fn noise_multiplier(
    target: f64,
    delta: f64,
    sampling_rate: f64,
    steps: u64,
) -> Result<f64, CannotCalibrate> {
    noise_multiplier_by(Accountant::CHARGED, target, delta, sampling_rate, steps)
}

/// As [`noise_multiplier`], by a named accountant.
///
/// # Privacy
/// As [`noise_multiplier`].
///
/// # Errors
/// As [`noise_multiplier`].
pub fn noise_multiplier_by(
    accountant: Accountant,
    target: f64,
    delta: f64,
    sampling_rate: f64,
    steps: u64,
) -> Result<f64, CannotCalibrate> {
    checked_steps(steps)?;
    let sigma = |point: u64| point as f64 / f64::from(GRID);
    let events =
        |point| vec![Event::PoissonGaussian { sampling_rate, noise_multiplier: sigma(point), count: steps }];
    let points = 1..=u64::from(NOISE_MULTIPLIER_MAX) * u64::from(GRID);
    let search = Search { accountant, target, delta, what: "noise", headroom: headroom(accountant) };
    search.least(points, sigma, sigma, events).map(sigma).map_err(without_place)
}

/// The highest sampling rate, of five significant digits, at which `steps` steps with noise
/// `noise_multiplier` cost at most `target` at `delta`.
///
/// # Privacy
/// At the answer, ε of exactly this event is at most `target`.
///
/// # Errors
/// A parameter is out of range, or even a rate of 10^-9 does not meet the target.
pub fn sampling_rate_by(
    accountant: Accountant,
    target: f64,
    delta: f64,
    noise_multiplier: f64,
    steps: u64,
) -> Result<f64, CannotCalibrate> {
    checked_steps(steps)?;
    let points = decimals(&RATE_DECADES);
    // From 1 downwards.
    let rate = |point: u64| if point == 0 { 1.0 } else { decimal(&RATE_DECADES, points - point) };
    let events =
        |point| vec![Event::PoissonGaussian { sampling_rate: rate(point), noise_multiplier, count: steps }];
    let search = Search { accountant, target, delta, what: "sampling rate", headroom: 0.0 };
    search.least(0..=points, |point| 1.0 / rate(point), rate, events).map(rate).map_err(without_place)
}

/// The most steps, up to 10^9, with noise `noise_multiplier` on Poisson samples of rate `sampling_rate`
/// that cost at most `target` at `delta`.
///
/// # Privacy
/// At the answer, ε of exactly this event is at most `target`.
///
/// # Errors
/// A parameter is out of range, or one step does not meet the target.
pub fn steps_by(
    accountant: Accountant,
    target: f64,
    delta: f64,
    sampling_rate: f64,
    noise_multiplier: f64,
) -> Result<u64, CannotCalibrate> {
    let steps = |point: u64| STEPS_MAX - point;
    let events =
        |point| vec![Event::PoissonGaussian { sampling_rate, noise_multiplier, count: steps(point) }];
    let search = Search { accountant, target, delta, what: "steps", headroom: 0.0 };
    let value = |point| steps(point) as f64;
    search
        .least(0..=STEPS_MAX - 1, |point| 1.0 / value(point), value, events)
        .map(steps)
        .map_err(without_place)
}

/// The smallest scale, of five significant digits, at which the list `events(scale)` costs at most
/// `target` at `delta`, by a named accountant. Parts of the list may not depend on the scale.
///
/// The list must not get more costly as the scale grows; if it does, the answer still meets the target
/// but need not be the smallest.
///
/// # Privacy
/// At the answer, ε of the list by that accountant is at most `target`.
///
/// # Errors
/// `target`, `delta` or an event is out of range, or even a scale of nearly 10^9 does not meet the target.
pub fn smallest_scale_by(
    accountant: Accountant,
    target: f64,
    delta: f64,
    events: impl Fn(f64) -> Vec<Event>,
) -> Result<f64, CannotCalibrate> {
    let scale = |point| decimal(&DECADES, point);
    let search = Search { accountant, target, delta, what: "noise", headroom: headroom(accountant) };
    search.least(0..=decimals(&DECADES) - 1, scale, scale, |point| events(scale(point))).map(scale)
}

fn headroom(accountant: Accountant) -> f64 {
    match accountant {
        Accountant::Pld => HEADROOM,
        Accountant::Rdp => 0.0,
    }
}

fn checked_steps(steps: u64) -> Result<(), InvalidEvent> {
    let found = InvalidEvent::Parameter { name: "steps", expected: "a number above 0", found: 0.0 };
    if steps == 0 { Err(found) } else { Ok(()) }
}

/// There is no list to point into: the field is the caller's own argument.
fn without_place(error: CannotCalibrate) -> CannotCalibrate {
    match error {
        CannotCalibrate::Invalid(InvalidEvent::Event { field, expected, found, .. }) => {
            InvalidEvent::Parameter { name: field, expected, found }.into()
        }
        other => other,
    }
}

const PER_DECADE: u64 = 9 * 10_u64.pow(DIGITS - 1);

/// How many numbers of five significant digits there are.
fn decimals(decades: &std::ops::Range<i32>) -> u64 {
    PER_DECADE * decades.len() as u64
}

/// The number of that rank.
fn decimal(decades: &std::ops::Range<i32>, rank: u64) -> f64 {
    let digits = (10_u64.pow(DIGITS - 1) + rank % PER_DECADE) as f64;
    let decade = decades.start + i32::try_from(rank / PER_DECADE).expect("few decades");
    let power = decade - (DIGITS as i32 - 1);
    // Powers of ten up to 22 are exact, so that this is the f64 nearest to the decimal number.
    if power < 0 { digits / 10_f64.powi(-power) } else { digits * 10_f64.powi(power) }
}

/// A search for the first of many grid points, each less costly than the one before.
struct Search {
    accountant: Accountant,
    target: f64,
    delta: f64,
    what: &'static str,
    /// Share of the target to leave unspent.
    headroom: f64,
}

impl Search {
    /// `coordinate` rises with the point and makes ln ε a smooth function of its logarithm; `value` is
    /// what the error names.
    fn least(
        &self,
        points: RangeInclusive<u64>,
        coordinate: impl Fn(u64) -> f64,
        value: impl Fn(u64) -> f64,
        events: impl Fn(u64) -> Vec<Event>,
    ) -> Result<u64, CannotCalibrate> {
        let (target, delta) = (checked_epsilon(self.target)?, checked_delta(self.delta)?);
        let (first, last) = (*points.start(), *points.end());
        let price = |accountant, point| epsilon_by(accountant, &events(point), delta);
        let asked = target;
        let target = asked * (1.0 - self.headroom);
        // RDP is never below: where it is content, so is the other one, which takes longer.
        if price(Accountant::Rdp, last)? > target {
            let reached = price(self.accountant, last)?;
            if reached > target {
                let least_costly = value(last);
                return Err(CannotCalibrate::Unattainable {
                    target: asked,
                    reached,
                    what: self.what,
                    least_costly,
                });
            }
        }
        // By the quick accountant first. The other one is never above it.
        let (mut low, mut meets) = (first, last);
        while low < meets {
            let middle = low + (meets - low) / 2;
            if price(Accountant::Rdp, middle)? <= target {
                meets = middle;
            } else {
                low = middle + 1;
            }
        }
        if self.accountant == Accountant::Rdp || meets == first {
            return Ok(meets);
        }
        // ln(ε/target), at least a number.
        let excess = |point| -> Result<f64, InvalidEvent> {
            Ok(log((price(self.accountant, point)? / target).max(1e-9)))
        };
        let at = |point: u64| log(coordinate(point));
        let point_at = |ln: f64, low: u64, high: u64| {
            let (mut low, mut high) = (low, high);
            while low < high {
                let middle = low + (high - low) / 2;
                if at(middle) >= ln { high = middle } else { low = middle + 1 }
            }
            low
        };
        let mut met = (meets, excess(meets)?);
        // Down to where the slope, at first RDP's, says that the target is, and a little further each time,
        // until one is too costly.
        let by_rdp = |point| -> Result<f64, InvalidEvent> { Ok(log(price(Accountant::Rdp, point)?)) };
        let aside = point_at(at(meets) - 0.1, first, meets - 1);
        let mut slope = (by_rdp(aside)? - by_rdp(meets)?) / (at(meets) - at(aside));
        let mut further = 1.02;
        let mut missed = loop {
            let down = further * -met.1 / slope;
            let down = if down.is_finite() && slope > 0.0 { down.clamp(1e-4, 1e3) } else { 0.1 * further };
            let point = point_at(at(met.0) - down, first, met.0 - 1);
            let found = (point, excess(point)?);
            if found.1 > 0.0 {
                break found;
            }
            slope = (found.1 - met.1) / (at(met.0) - at(found.0));
            met = found;
            if point == first {
                return Ok(first);
            }
            further *= 1.5;
        };
        // Between the two by interpolation, close to it by neighbours, and never more than half too slow.
        let mut stride = 1;
        let mut by_half = false;
        while met.0 - missed.0 > 1 {
            let (low, high) = (missed.0 + 1, met.0 - 1);
            let before = met.0 - missed.0;
            let share = missed.1 / (missed.1 - met.1);
            let guess = if by_half {
                low + (high - low) / 2
            } else {
                point_at(at(missed.0) + share * (at(met.0) - at(missed.0)), low, high)
            };
            let found = (guess, excess(guess)?);
            if found.1 > 0.0 {
                missed = found
            } else {
                met = found
            }
            // The root is near the guess: its neighbour on the other side, further off each time.
            if met.0 - missed.0 > 1 && !by_half {
                let other = if found.1 > 0.0 {
                    (guess + stride).min(met.0 - 1)
                } else {
                    guess.saturating_sub(stride).max(missed.0 + 1)
                };
                let found = (other, excess(other)?);
                if found.1 > 0.0 {
                    missed = found
                } else {
                    met = found
                }
                stride *= 8;
            }
            by_half = met.0 - missed.0 > before / 2;
        }
        Ok(met.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::accountant::epsilon;
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
            for by in [Accountant::Rdp, Accountant::Pld] {
                let sigma = noise_multiplier_by(by, target, delta, rate, steps).expect("attainable");
                let below = (sigma * 1e4).round() - 1.0;
                assert_eq!(sigma, (below + 1.0) / 1e4, "off the grid");
                let cost = |sigma| epsilon_by(by, &[step(rate, sigma, steps)], delta).expect("in range");
                let target = target * (1.0 - headroom(by));
                assert!(cost(sigma) <= target);
                assert!(cost(below / 1e4) > target, "{sigma} is not the smallest by {by}");
            }
            let charged = noise_multiplier_by(Accountant::CHARGED, target, delta, rate, steps);
            assert_eq!(noise_multiplier(target, delta, rate, steps), charged);
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
        let scale = smallest_scale_by(Accountant::CHARGED, target, 1e-5, list).expect("attainable");
        assert!(cost(&list(scale), 1e-5) <= target);
        // Five digits of the scale, and what stays unspent.
        let less = scale * (1.0 - 1.01e-4);
        assert!(cost(&list(less), 1e-5) > target * (1.0 - HEADROOM), "{scale} is not the smallest");

        let fixed = cost(&[training], 1e-5);
        let error = smallest_scale_by(Accountant::CHARGED, fixed * 0.9, 1e-5, list)
            .expect_err("training alone costs more");
        // Bounds of two lists on grids of their own: not above another by more than these add.
        assert!(
            matches!(error, CannotCalibrate::Unattainable { reached, .. } if reached > fixed * (1.0 - 1e-4)),
            "{error}"
        );
    }

    #[test]
    fn scales_have_five_digits() {
        fn check(target: f64) {
            let laplace = |scale| vec![Event::Laplace { scale, count: 10 }];
            let scale = smallest_scale_by(Accountant::CHARGED, target, 1e-5, laplace).expect("attainable");
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
        let error = smallest_scale_by(Accountant::CHARGED, 1.0, 1e-5, |scale| {
            vec![Event::Laplace { scale: -scale, count: 1 }]
        });
        assert!(matches!(error, Err(CannotCalibrate::Invalid(InvalidEvent::Event { index: 0, .. }))));
    }

    /// The least noise that the accountant knows is on the grid's low end, whatever the budget.
    #[test]
    fn budgets_without_end() {
        assert_eq!(noise_multiplier(f64::MAX, 1e-5, 0.1, 1), Ok(1e-4));
        assert_eq!(
            smallest_scale_by(Accountant::CHARGED, f64::MAX, 1e-5, |scale| vec![Event::Laplace {
                scale,
                count: 1
            }]),
            Ok(1e-3)
        );
        assert_eq!(smallest_scale_by(Accountant::CHARGED, 1.0, 1e-5, |_| Vec::new()), Ok(1e-3));
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
