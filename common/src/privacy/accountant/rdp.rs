//! Rényi differential privacy at integer orders.
//!
//! A mechanism's loss at order α is an upper bound on the Rényi divergence D_α in both directions, with
//! a person and without. At integer orders the formula of the Poisson-subsampled Gaussian is a finite
//! sum of positive terms, exact for the discrete Gaussian too (an integer shift leaves the theta
//! function in place); fractional orders would need quadrature and win a fraction of a per cent of ε at
//! the usual budgets.
//!
//! Rounding. Each formula is evaluated without cancellation; a bound on its floating-point error, from
//! the sizes of its terms, is added. So a curve, an ε and a δ are upper bounds although computed in
//! f64, and exceed the exact value by less than a relative 1e-9 (some 1e-12 where budgets are used).
//! `libm` gives every platform the same bits.

use super::tally::Mechanism;
use super::{InvalidEvent, checked_delta};
use crate::privacy::mechanism::Event;
use libm::{exp, expm1, log, log1p};
use std::fmt;

/// How many orders there are.
const COUNT: usize = 255 + 5;

/// The orders: 2 to 256, then 320, 384, 512, 768 and 1024 for small losses.
///
/// Another set would let a [`Filter`](crate::privacy::filter::Filter) fix another order, so that old
/// ledgers would no longer replay to the same answer.
pub const ORDERS: [u32; COUNT] = {
    let mut orders = [0; COUNT];
    let mut order = 2;
    while order <= 256 {
        orders[order as usize - 2] = order;
        order += 1;
    }
    let mut i = 0;
    while i < 5 {
        orders[255 + i] = [320, 384, 512, 768, 1024][i];
        i += 1;
    }
    orders
};

const ORDER_MAX: usize = ORDERS[COUNT - 1] as usize;

/// Relative error granted to a few operations in a row: 8 units in the last place, where the basic
/// ones need half a unit each and those of `libm` one.
const FEW: f64 = 8.0 * f64::EPSILON;
/// The same for formulas of up to some twenty operations.
const MANY: f64 = 4.0 * FEW;

/// Rényi loss at each of [`ORDERS`], never negative. Losses of mechanisms that run on the same people
/// add up, order by order (Mironov 2017, Proposition 1).
#[derive(Clone, PartialEq)]
pub struct Curve([f64; COUNT]);

impl fmt::Debug for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Curve({} at order 2, {} at order {ORDER_MAX})", self.0[0], self.0[COUNT - 1])
    }
}

impl Curve {
    /// Of doing nothing.
    #[must_use]
    pub const fn zero() -> Self {
        Self([0.0; COUNT])
    }

    /// Of all uses of `event`.
    ///
    /// # Privacy
    /// Unit: one person; neighbours: add or remove one. Gaussian: Mironov 2017, Proposition 7.
    /// Poisson-subsampled Gaussian: Mironov, Talwar and Zhang 2019, equation 3 with Theorem 5 (both
    /// directions). Laplace: Mironov 2017, Proposition 6. Poisson-subsampled Laplace: the same sum with
    /// the Laplace mechanism's moments; its two centres can be swapped by a reflection too, so that
    /// Theorem 5 gives both directions. Mixture of Gaussians at h sites: an upper bound, since the sum is
    /// post-processing of h Poisson-subsampled Gaussians of noise σ/√h; it meets the exact value for
    /// everybody (rate 1) and for much noise.
    ///
    /// # Errors
    /// A parameter is out of range (index 0 stands for `event`).
    pub fn of(event: &Event) -> Result<Self, InvalidEvent> {
        Ok(Self::once(Mechanism::of(event, 0)?).times(event.count().into()))
    }

    pub(super) fn once(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::Gaussian { noise } => gaussian(noise.value()),
            Mechanism::PoissonGaussian { rate, noise } => poisson_gaussian(rate.value(), noise.value()),
            Mechanism::Laplace { scale } => laplace(scale.value()),
            Mechanism::PoissonLaplace { rate, scale } => poisson_laplace(rate.value(), scale.value()),
            Mechanism::MixtureGaussian { sites, rate, noise } => {
                let share = (noise.value() / f64::from(sites).sqrt()).next_down();
                poisson_gaussian(rate.value(), share).times(sites.into())
            }
        }
    }

    pub(super) fn times(&self, count: u128) -> Self {
        // Counts above 2^53 round to the nearest f64; the factor covers that and the product.
        Self(self.0.map(|loss| loss * count as f64 * (1.0 + FEW)))
    }

    /// Adds the loss of `other`, rounding up.
    pub fn add(&mut self, other: &Self) {
        for (sum, loss) in self.0.iter_mut().zip(&other.0) {
            if *loss > 0.0 {
                *sum = if *sum > 0.0 { (*sum + loss).next_up() } else { *loss };
            }
        }
    }

    /// This loss and that of `other` together.
    #[must_use]
    pub fn compose(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// ε at `delta`: the least over all orders of Canonne, Kamath and Steinke 2020, Proposition 12, and
    /// 0 where the total variation distance alone is below `delta`. Infinite for a `delta` outside
    /// (0, 1), so that nothing passes with one.
    ///
    /// # Privacy
    /// (ε, `delta`)-differential privacy as an upper bound. The best order is picked after the fact,
    /// which is sound for losses that were fixed in advance; for adaptively chosen ones use
    /// [`Filter`](crate::privacy::filter::Filter).
    #[must_use]
    pub fn epsilon(&self, delta: f64) -> f64 {
        self.best(delta).0
    }

    /// The order at which [`Curve::epsilon`] is attained; none for a `delta` outside (0, 1).
    #[must_use]
    pub fn best_order(&self, delta: f64) -> Option<u32> {
        self.best(delta).1
    }

    fn best(&self, delta: f64) -> (f64, Option<u32>) {
        if checked_delta(delta).is_err() {
            return (f64::INFINITY, None);
        }
        let mut best = (f64::INFINITY, None);
        for (order, loss) in ORDERS.into_iter().zip(self.0) {
            let epsilon = if loss == 0.0 || delta > total_variation(loss) {
                0.0
            } else {
                to_epsilon(order, loss, delta)
            };
            if epsilon < best.0 {
                best = (epsilon.max(0.0), Some(order));
            }
        }
        best
    }

    /// δ at `epsilon`, at most 1: the least over all orders of the same bounds. 1 for an `epsilon` that
    /// is negative or not a number. For any `d` in (0, 1), `delta(epsilon(d)) <= d`.
    ///
    /// # Privacy
    /// As [`Curve::epsilon`].
    #[must_use]
    pub fn delta(&self, epsilon: f64) -> f64 {
        if epsilon.is_nan() || epsilon < 0.0 {
            return 1.0;
        }
        if epsilon.is_infinite() {
            return 0.0;
        }
        let bounds = ORDERS.into_iter().zip(self.0).map(|(order, loss)| {
            if loss == 0.0 { 0.0 } else { total_variation(loss).min(to_delta(order, loss, epsilon)) }
        });
        bounds.fold(1.0, f64::min)
    }

    /// The loss at `ORDERS[index]`.
    pub(in crate::privacy) fn at(&self, index: usize) -> f64 {
        self.0[index]
    }
}

/// Canonne, Kamath and Steinke 2020, Proposition 12: ε = r + ln(1 − 1/α) − ln(δα)/(α − 1), rounded up.
/// May be negative. `order` ≥ 2, `delta` in (0, 1).
pub(in crate::privacy) fn to_epsilon(order: u32, loss: f64, delta: f64) -> f64 {
    let alpha = f64::from(order);
    let (shift, ln_delta, ln_alpha) = (log1p(-1.0 / alpha), log(delta), log(alpha));
    let sizes = loss - shift + (ln_alpha - ln_delta) / (alpha - 1.0);
    // Four times what `to_delta` grants itself, so that going back never ends above `delta`.
    loss + shift - (ln_delta + ln_alpha) / (alpha - 1.0) + 4.0 * MANY * sizes
}

/// The same the other way: δ = exp((α − 1)(r − ε + ln(1 − 1/α))) / α, rounded up.
fn to_delta(order: u32, loss: f64, epsilon: f64) -> f64 {
    let alpha = f64::from(order);
    let (shift, ln_alpha) = (log1p(-1.0 / alpha), log(alpha));
    let sizes = (alpha - 1.0) * (loss + epsilon - shift) + ln_alpha;
    exp((alpha - 1.0) * (loss - epsilon + shift) - ln_alpha + MANY * sizes)
}

/// Bretagnolle and Huber: total variation ≤ √(1 − e^−KL), and KL ≤ the loss at any order above 1.
fn total_variation(loss: f64) -> f64 {
    (-expm1(-loss)).sqrt() * (1.0 + FEW)
}

/// α / 2σ².
fn gaussian(noise: f64) -> Curve {
    Curve(ORDERS.map(|order| f64::from(order) / (2.0 * noise * noise) * (1.0 + FEW)))
}

/// ln A / (α − 1) with A = Σ C(α,k) (1−q)^(α−k) q^k e^((k²−k)/2σ²).
///
/// Since the binomial weights sum to 1 and the exponent is 0 for k < 2, A − 1 is the sum from k = 2 of
/// the weights times expm1((k²−k)/2σ²): positive terms only, so that a loss of 1e-30 is as exact as one
/// of 1e9.
fn poisson_gaussian(rate: f64, noise: f64) -> Curve {
    sampled(rate, |k| {
        let exponent = k * (k - 1.0) / (2.0 * noise * noise);
        let growth = ln_expm1(exponent);
        (growth, exponent + 1.0 + growth.abs())
    })
}

/// The same sum with the moments of the Laplace mechanism, E e^(kL) = k/(2k−1) e^((k−1)/b) +
/// (k−1)/(2k−1) e^(−k/b), which are 1 for k < 2 too.
fn poisson_laplace(rate: f64, scale: f64) -> Curve {
    let unit = 1.0 / scale;
    sampled(rate, |k| {
        if k < 2.0 {
            return (f64::NEG_INFINITY, 1.0);
        }
        let growth = match laplace_growth(k, unit) {
            Growth::Small(growth) => log(growth),
            Growth::Log(ln_moment) => ln_moment + log1p(-exp(-ln_moment)),
        };
        (growth, MANY / FEW * (2.0 * k * unit + 1.0 + growth.abs()))
    })
}

/// ln A / (α − 1) with A − 1 = Σ_{k ≥ 2} C(α,k) (1−q)^(α−k) q^k g(k), from ln g(k) and the sizes that its
/// error bound needs.
fn sampled(rate: f64, ln_growth: impl Fn(f64) -> (f64, f64)) -> Curve {
    let ln_factorial = ln_factorials();
    let (ln_rate, ln_rest) = (log(rate), log1p(-rate));
    // What of term k does not depend on α.
    let by_k: Vec<(f64, f64)> = (0..=ORDER_MAX)
        .map(|k| {
            let k = k as f64;
            let (growth, sizes) = ln_growth(k);
            (k * ln_rate + growth, sizes - k * ln_rate)
        })
        .collect();
    let mut terms = Vec::with_capacity(ORDER_MAX);
    Curve(ORDERS.map(|order| {
        let alpha = order as usize;
        terms.clear();
        terms.extend((2..=alpha).map(|k| {
            let rest = (alpha - k) as f64 * ln_rest;
            let ln_choose = ln_factorial[alpha] - ln_factorial[k] - ln_factorial[alpha - k];
            let sizes = 2.0 * ln_factorial[alpha] - rest + by_k[k].1;
            ln_choose + rest + by_k[k].0 + FEW * sizes
        }));
        // A loss may be too small for an f64; it never becomes 0.
        (ln_1p_exp(ln_sum_exp(&terms)) / f64::from(order - 1) * (1.0 + FEW)).max(f64::MIN_POSITIVE)
    }))
}

/// ln A / (α − 1) with A = α/(2α−1) e^((α−1)/b) + (α−1)/(2α−1) e^(−α/b).
fn laplace(scale: f64) -> Curve {
    let unit = 1.0 / scale;
    Curve(ORDERS.map(|order| {
        let alpha = f64::from(order);
        let ln_a = match laplace_growth(alpha, unit) {
            Growth::Small(growth) => log1p(growth),
            Growth::Log(ln_a) => ln_a,
        };
        ln_a / (alpha - 1.0) * (1.0 + MANY)
    }))
}

/// A number above 1: itself minus 1, or its logarithm where it is large.
enum Growth {
    Small(f64),
    Log(f64),
}

/// A of [`laplace`], for α ≥ 2.
fn laplace_growth(alpha: f64, unit: f64) -> Growth {
    let (up, down) = ((alpha - 1.0) * unit, alpha * unit);
    let (weight_up, weight_down) = (alpha / (2.0 * alpha - 1.0), (alpha - 1.0) / (2.0 * alpha - 1.0));
    if up > 30.0 {
        Growth::Log(up + log(weight_up) + log1p(weight_down / weight_up * exp(-up - down)))
    } else {
        // The linear parts of the two exponentials cancel exactly; what is left is positive.
        Growth::Small(weight_up * exp_beyond_line(up) + weight_down * exp_beyond_line(-down))
    }
}

/// e^x − 1 − x to full relative precision.
fn exp_beyond_line(x: f64) -> f64 {
    if x.abs() > 0.5 {
        return expm1(x) - x;
    }
    // x²/2 (1 + x/3 (1 + x/4 (…))): 0.5^18 / 20! is far below the last place.
    let tail = (3..=20).rev().fold(1.0, |sum, n| 1.0 + x / f64::from(n) * sum);
    x * x / 2.0 * tail
}

/// ln(e^x − 1) for x ≥ 0; minus infinity at 0.
fn ln_expm1(x: f64) -> f64 {
    if x > 1.0 { x + log1p(-exp(-x)) } else { log(expm1(x)) }
}

/// ln(1 + e^x).
fn ln_1p_exp(x: f64) -> f64 {
    if x > 0.0 { x + log1p(exp(-x)) } else { log1p(exp(x)) }
}

/// ln Σ e^t, rounded up; `terms` is not empty.
fn ln_sum_exp(terms: &[f64]) -> f64 {
    let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|term| exp(term - largest)).sum();
    let error = f64::EPSILON * (terms.len() as f64 + 8.0 + largest.abs());
    largest + log(sum) + error
}

/// ln k! for k up to the largest order, by compensated (Neumaier) summation.
fn ln_factorials() -> &'static [f64; ORDER_MAX + 1] {
    static TABLE: std::sync::OnceLock<[f64; ORDER_MAX + 1]> = std::sync::OnceLock::new();
    TABLE.get_or_init(|| {
        let (mut sum, mut lost) = (0.0_f64, 0.0);
        std::array::from_fn(|k| {
            let term = log(k.max(1) as f64);
            let next = sum + term;
            lost += if sum >= term { (sum - next) + term } else { (term - next) + sum };
            sum = next;
            sum + lost
        })
    })
}

#[cfg(test)]
mod tests;
