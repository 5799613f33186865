//! Gaussians without sampling are one Gaussian: exact, without a grid (Balle and Wang 2018,
//! arXiv:1805.06530, theorem 8; Dong, Roth and Su 2019, arXiv:1905.02383, corollary 3.3).

use libm::{erfc, exp};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Beyond it, erfc nears the end of f64.
const LARGE: f64 = 20.0;

/// δ at `epsilon` ≥ 0 of N(μ, 1) against N(0, 1): Φ(−ε/μ + μ/2) − e^ε Φ(−ε/μ − μ/2), rounded up.
pub(super) fn delta(mu: f64, epsilon: f64) -> f64 {
    let a = (epsilon / mu - 0.5 * mu) * FRAC_1_SQRT_2;
    let b = (epsilon / mu + 0.5 * mu) * FRAC_1_SQRT_2;
    let first = 0.5 * erfc(a);
    // Never above its exact value: it is taken away. erfc(b) ≥ e^(−b²)/(b√π) (1 − 1/2b²), b² − ε = a².
    let second = if b < LARGE {
        0.5 * exp(epsilon) * erfc(b)
    } else {
        0.5 * exp(-a * a) / (b * PI.sqrt()) * (1.0 - 0.5 / (b * b))
    };
    let error = f64::EPSILON
        * ((4.0 + 8.0 * a * a) * first + (4.0 + 8.0 * b.min(LARGE).powi(2) + 8.0 * a * a) * second);
    (first - second + error).clamp(0.0, 1.0)
}

/// The least ε ≥ 0, up to rounding upwards, with [`delta`] at most `target`.
pub(super) fn epsilon(mu: f64, target: f64) -> f64 {
    if delta(mu, 0.0) <= target {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, mu * mu.max(1.0));
    while delta(mu, high) > target {
        (low, high) = (high, 2.0 * high);
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        if delta(mu, middle) <= target {
            high = middle;
        } else {
            low = middle;
        }
    }
}
