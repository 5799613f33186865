//! The standard normal distribution: its cumulative function and quantiles.

use std::f64::consts::TAU;

/// Φ(x), to about 1e-15 absolutely: Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …) (Marsaglia,
/// J. Stat. Softw. 11(4), 2004). Exactly 0 or 1 beyond 9 standard deviations.
#[must_use]
pub fn cumulative(x: f64) -> f64 {
    if x.abs() > 9.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > sum.abs() * 1e-17 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    (0.5 + sum * (-x * x / 2.0).exp() / TAU.sqrt()).clamp(0.0, 1.0)
}

/// The x with Φ(x) = `share`, within ±9: Newton's method inside a shrinking bracket, so that it
/// always ends.
#[must_use]
pub fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    let mut x = 0.0;
    for _ in 0..80 {
        let error = cumulative(x) - share;
        if error < 0.0 {
            low = x
        } else {
            high = x
        }
        let newton: f64 = x - error * TAU.sqrt() * (x * x / 2.0).exp();
        let next = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
        if (next - x).abs() < 1e-13 {
            return next;
        }
        x = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: scipy 1.x, `scipy.stats.norm.cdf`.
    #[test]
    fn known_values() {
        fn check(x: f64, share: f64) {
            assert!((cumulative(x) - share).abs() < 1e-14, "{x}: {} {share}", cumulative(x));
            assert!((quantile(share) - x).abs() < 1e-9, "{share}: {} {x}", quantile(share));
        }
        check(0.0, 0.5);
        check(1.0, 0.841_344_746_068_542_9);
        check(-1.0, 0.158_655_253_931_457_05);
        check(1.959_963_984_540_054, 0.975);
        check(-3.0, 0.001_349_898_031_630_094_6);
        check(4.5, 0.999_996_602_326_875_4);
        assert_eq!(cumulative(40.0), 1.0);
        assert_eq!(cumulative(-40.0), 0.0);
        assert!(cumulative(f64::NEG_INFINITY) == 0.0 && quantile(0.0) <= -8.0);
    }
}
