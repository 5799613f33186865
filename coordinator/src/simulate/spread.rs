//! Means over seeds, with intervals by Student's t.

/// A mean, and where it is likely to be: 95 % over seeds. It says how far another noise would move the
/// figure, not other people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Spread {
    /// Where it can be at all: with few seeds Student's t reaches far.
    pub(super) fn within(self, low: f64, high: f64) -> Self {
        Self { low: self.low.max(low), high: self.high.min(high), ..self }
    }
}

/// The mean of at least two numbers, with its interval.
pub(super) fn spread(values: &[f64]) -> Spread {
    assert!(values.len() >= 2, "one number has no spread");
    #[expect(clippy::cast_precision_loss, reason = "few seeds")]
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0);
    let reach = student(values.len() - 1) * (variance / n).sqrt();
    Spread { mean, low: mean - reach, high: mean + reach }
}

/// The t that 95 % of Student's distribution with `freedom` degrees lies within, both sides.
fn student(freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 16.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if within(middle, freedom) < 0.95 { low = middle } else { high = middle }
    }
    high
}

/// P[|T| < t] (Abramowitz and Stegun, 26.7.3 and 26.7.4).
#[expect(clippy::cast_precision_loss, reason = "few seeds")]
fn within(t: f64, freedom: usize) -> f64 {
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut term, mut sum) = (if odd { cosine } else { 1.0 }, 0.0);
    // Odd: cos + 2/3 cos³ + (2·4)/(3·5) cos⁵ …; even: 1 + 1/2 cos² + (1·3)/(2·4) cos⁴ …
    for k in (if odd { 3 } else { 2 }..=freedom).step_by(2) {
        sum += term;
        term *= cosine * cosine * (k as f64 - 1.0) / k as f64;
    }
    if odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: scipy 1.x, `scipy.stats.t.ppf(0.975, freedom)`.
    #[test]
    fn quantiles() {
        fn check(freedom: usize, expected: f64) {
            assert!((student(freedom) - expected).abs() < 1e-9 * expected, "{freedom}: {}", student(freedom));
        }
        check(1, 12.706_204_736_174_694);
        check(2, 4.302_652_729_749_462);
        check(3, 3.182_446_305_283_708);
        check(4, 2.776_445_105_197_793);
        check(9, 2.262_157_162_798_205);
        check(10, 2.228_138_851_986_274);
        check(19, 2.093_024_054_408_309);
        check(99, 1.984_216_951_586_417);
    }

    #[test]
    fn means() {
        // Standard deviation 1, so t / √3.
        let Spread { mean, low, high } = spread(&[1.0, 2.0, 3.0]);
        let reach = 4.302_652_729_749_462 / 3_f64.sqrt();
        assert!((mean - 2.0).abs() < 1e-12);
        assert!((low - (2.0 - reach)).abs() < 1e-8 && (high - (2.0 + reach)).abs() < 1e-8);
        let few = spread(&[0.65, 0.70]);
        assert!(few.high > 0.99 && few.low < 0.36, "{few:?}");
        assert_eq!(Spread { high: 1.002, ..few }.within(0.0, 1.0), Spread { high: 1.0, ..few });
        assert_eq!(spread(&[0.5; 4]), Spread { mean: 0.5, low: 0.5, high: 0.5 });
    }
}
