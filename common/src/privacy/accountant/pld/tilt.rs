//! Exponential (Esscher) tilting: where in the distribution of the total loss the answer lies.
//!
//! With M(λ) = E e^(λL) of one use, the tilted law e^(λL − ln M) moves the mass to where ε is, so that a
//! transform in f64 has its relative precision there, whatever δ. Any λ ≥ 0 gives an upper bound; a good
//! one is the saddle point, where the mean of the tilted total is ε. It is found here from δ itself, by
//! the saddle-point approximation, and never from a guess of ε, which a bad tilt would only repeat.

use super::cells::Losses;
use libm::{exp, expm1, log, log1p};

/// Cumulant generating function of a loss, ln M(λ), and its first two derivatives.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cumulants {
    pub(super) log_moment: f64,
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// Losses with their number of uses, on one grid.
pub(super) struct Grid {
    pub(super) h: f64,
    pub(super) uses: Vec<(Losses, u64)>,
}

impl Losses {
    /// Loss of the point of index `k`.
    pub(super) fn loss(&self, k: usize, h: f64) -> f64 {
        self.offset + (self.first + k as i64) as f64 * h
    }

    /// The largest ln(mass) + λ·loss, and the loss there.
    pub(super) fn peak(&self, lambda: f64, h: f64) -> (f64, f64) {
        let mut peak = (f64::NEG_INFINITY, 0.0);
        for (k, log_mass) in self.log_mass.iter().enumerate() {
            let loss = self.loss(k, h);
            let exponent = log_mass + lambda * loss;
            if exponent > peak.0 {
                peak = (exponent, loss);
            }
        }
        peak
    }

    fn cumulants(&self, lambda: f64, h: f64) -> Cumulants {
        let (top, centre) = self.peak(lambda, h);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for (k, log_mass) in self.log_mass.iter().enumerate() {
            let loss = self.loss(k, h);
            let exponent = log_mass + lambda * loss - top;
            // Below, a term changes no bit of the sums.
            if exponent > -50.0 {
                let (weight, away) = (exp(exponent), loss - centre);
                sum += weight;
                first += weight * away;
                second += weight * away * away;
            }
        }
        let away = first / sum;
        Cumulants {
            log_moment: top + log(sum),
            mean: centre + away,
            variance: (second / sum - away * away).max(0.0),
        }
    }
}

impl Grid {
    /// Of the total loss.
    pub(super) fn cumulants(&self, lambda: f64) -> Cumulants {
        let mut total = Cumulants::default();
        for (losses, count) in &self.uses {
            let (one, count) = (losses.cumulants(lambda, self.h), *count as f64);
            total.log_moment += count * one.log_moment;
            total.mean += count * one.mean;
            total.variance += count * one.variance;
        }
        total
    }

    /// The ε that a tilt by λ is best for: there Chernoff's bound on δ is smallest. The weight e^(−λy)
    /// (1 − e^(−y)) of an outcome y above ε is largest at the mean of the tilted law.
    pub(super) fn epsilon(&self, lambda: f64) -> f64 {
        self.cumulants(lambda).mean - log1p(1.0 / lambda)
    }

    /// ln δ at [`Grid::epsilon`], about: K − λε + ln E e^(−λy)(1 − e^(−y))⁺ with y normal.
    pub(super) fn log_delta(&self, lambda: f64) -> f64 {
        let Cumulants { log_moment, mean, variance } = self.cumulants(lambda);
        let spread = lambda * (lambda + 1.0) * (2.0 * std::f64::consts::PI * variance).sqrt();
        let epsilon = mean - log1p(1.0 / lambda);
        log_moment - lambda * epsilon + log_weight_max(lambda).min(-log(spread))
    }

    /// λ at which [`Grid::log_delta`] is `target`, about, searched from `start`.
    pub(super) fn lambda_for_log_delta(&self, target: f64, start: f64) -> f64 {
        root(start, |lambda| self.log_delta(lambda) - target)
    }

    /// λ at which [`Grid::epsilon`] is `epsilon`, about.
    pub(super) fn lambda_for_epsilon(&self, epsilon: f64, start: f64) -> f64 {
        root(start, |lambda| {
            let Cumulants { mean, variance, .. } = self.cumulants(lambda);
            let width = variance.sqrt().max(log1p(1.0 / lambda));
            (epsilon + log1p(1.0 / lambda) - mean) / width
        })
    }

    /// δ by Chernoff's bound at λ: a valid upper bound, without any transform.
    pub(super) fn delta_at_most(&self, lambda: f64, epsilon: f64) -> f64 {
        let (infinite, shift) = self.infinite_and_shift();
        let exponent = self.cumulants(lambda).log_moment - lambda * (epsilon - shift);
        exp(exponent + log_weight_max(lambda) + 1e-9 * (1.0 + exponent.abs())) + infinite
    }

    /// ε by Chernoff's bound at λ: a valid upper bound, without any transform. Source: the conversion of
    /// Canonne, Kamath and Steinke 2020 at order λ + 1.
    pub(super) fn epsilon_at_most(&self, lambda: f64, delta: f64) -> f64 {
        let (infinite, shift) = self.infinite_and_shift();
        if infinite >= delta {
            return f64::INFINITY;
        }
        let bound = self.cumulants(lambda).log_moment + log_weight_max(lambda) - log(delta - infinite);
        // A relative 1e-9 is far above the rounding of the sums.
        bound / lambda + shift + 1e-9 * (1.0 + (bound / lambda).abs())
    }

    /// Mass at infinity and shift of all uses, rounded up.
    fn infinite_and_shift(&self) -> (f64, f64) {
        let sum = |part: fn(&Losses) -> f64| {
            let sum: f64 = self.uses.iter().map(|(losses, count)| part(losses) * *count as f64).sum();
            sum * (1.0 + 1e-9)
        };
        (sum(|losses| losses.infinite), sum(|losses| losses.shift))
    }
}

/// ln of the largest e^(−λy)(1 − e^(−y)) over y > 0, which it is at ln(1 + 1/λ).
pub(super) fn log_weight_max(lambda: f64) -> f64 {
    -lambda * log1p(1.0 / lambda) - log1p(lambda)
}

/// Bound on Σ e^(−λy)(1 − e^(−y)) over y = y₀ + i·h, i ≥ 0, of `terms` terms at most: a function that
/// rises once and falls once has a sum of at most its integral ÷ h plus its maximum.
pub(super) fn weight_sum(lambda: f64, h: f64, terms: usize) -> f64 {
    let largest = exp(log_weight_max(lambda));
    (1.0 / (h * lambda * (lambda + 1.0)) + largest).min(terms as f64 * largest)
}

const LAMBDA_MIN: f64 = 1e-8;
const LAMBDA_MAX: f64 = 1e9;
/// Precision of a root; any λ is valid, this one is good enough.
const ROOT_VALUE: f64 = 0.02;
const ROOT_RATIO: f64 = 1.002;

/// Where `f`, falling in λ, passes 0; an end of the range where it does not.
fn root(start: f64, f: impl Fn(f64) -> f64) -> f64 {
    let start = if start.is_finite() { start.clamp(LAMBDA_MIN, LAMBDA_MAX) } else { 1.0 };
    let (mut low, mut high) = (start, start);
    let mut at_low = f(start);
    let mut at_high;
    if at_low.abs() < ROOT_VALUE {
        return start;
    }
    let mut factor = 2.0;
    if at_low > 0.0 {
        loop {
            high = (high * factor).min(LAMBDA_MAX);
            at_high = f(high);
            if at_high.abs() < ROOT_VALUE || (high == LAMBDA_MAX && at_high > 0.0) {
                return high;
            }
            if at_high < 0.0 {
                break;
            }
            (low, at_low) = (high, at_high);
            factor *= 2.0;
        }
    } else {
        (high, at_high) = (start, at_low);
        loop {
            low = (low / factor).max(LAMBDA_MIN);
            at_low = f(low);
            if at_low.abs() < ROOT_VALUE || (low == LAMBDA_MIN && at_low < 0.0) {
                return low;
            }
            if at_low > 0.0 {
                break;
            }
            (high, at_high) = (low, at_low);
            factor *= 2.0;
        }
    }
    // False position in ln λ, halving the weight of an end that stays (Illinois).
    let (mut ln_low, mut ln_high) = (log(low), log(high));
    let mut side = 0;
    while ln_high - ln_low > log(ROOT_RATIO) {
        let share = if at_low.is_finite() && at_high.is_finite() { at_low / (at_low - at_high) } else { 0.5 };
        let middle = ln_low + share.clamp(0.02, 0.98) * (ln_high - ln_low);
        let lambda = exp(middle);
        let value = f(lambda);
        if value.abs() < ROOT_VALUE {
            return lambda;
        }
        if value > 0.0 {
            (ln_low, at_low) = (middle, value);
            if side == 1 {
                at_high *= 0.5;
            }
            side = 1;
        } else {
            (ln_high, at_high) = (middle, value);
            if side == -1 {
                at_low *= 0.5;
            }
            side = -1;
        }
    }
    exp(0.5 * (ln_low + ln_high))
}

/// 1 − e^(−h).
pub(super) fn step(h: f64) -> f64 {
    -expm1(-h)
}
