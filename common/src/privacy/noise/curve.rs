//! Is a point under the bell curve f(m) = exp(−m²/2σ²)? Answered exactly, in integers.
//!
//! Invariant: an answer follows from bounds that hold for certain. Bounds of 63 bits decide nearly
//! always; where a point lies between them, the series is summed to as many words as it takes,
//! while the point's height gets as many random words. So an answer is that of a real number drawn
//! to the end and compared with the real f(m).

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::Variance;
use super::wide::{Rounding, Wide};

/// 1 in fixed point of 63 bits.
pub(super) const ONE: u64 = 1 << 63;

/// A real number in [0, 1] lies between these, in units of 2^-63.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Bounds {
    const ONE: Self = Self { low: ONE, high: ONE };

    /// The product of two, rounded outwards. (A product of numbers up to 2^63 has 126 bits.)
    fn times(self, other: Self) -> Self {
        let product = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 63) as u64;
        Self { low: product(self.low, other.low), high: (product(self.high, other.high) + 1).min(ONE) }
    }
}

/// A candidate: an integer, and a height of which the part beyond the row is not drawn yet.
pub(super) struct Point {
    pub(super) magnitude: u64,
    /// The height is uniform in [row, row + 1) · 2^-halvings rows.
    pub(super) row: u64,
    /// Zero but in the tail, where `row` is zero.
    pub(super) halvings: u32,
}

/// Bounds of f at the multiples of a width, as far as f is above 2^-47.
pub(super) struct Curve {
    variance: Variance,
    width_bits: u32,
    starts: Vec<Bounds>,
}

impl Curve {
    /// f for columns of 2^`width_bits` integers: one, or at most σ/16.
    pub(super) fn new(variance: Variance, width_bits: u32) -> Self {
        // f((k+1)W) = f(kW) · r^(2k+1) for r = exp(−W²/2σ²), so two products for each column.
        let (low, high) = scaled_exp(1, 0, 1 << width_bits, variance, 2);
        // Two words of fraction: the upper one halved is in units of 2^-63. (r < 1.)
        let first = Bounds { low: low.word(1) >> 1, high: (high.word(1) >> 1) + 1 };
        let square = first.times(first);
        let (mut value, mut ratio, mut starts) = (Bounds::ONE, first, Vec::new());
        while value.high > 1 << 16 {
            starts.push(value);
            value = value.times(ratio);
            ratio = ratio.times(square);
        }
        Self { variance, width_bits, starts }
    }

    /// Bounds of f at the first integer of column `k`; of what is below 2^-47 nothing.
    pub(super) fn start(&self, column: usize) -> Option<Bounds> {
        self.starts.get(column).copied()
    }

    /// Bounds of f(m), of what is in the table.
    ///
    /// With m = kW + u, f(m) = f(kW) · exp(−z) for z = u(2kW + u)/2σ². Since W ≤ σ/16 and kW < 9σ,
    /// z < 0.6, so the alternating series of exp(−z) has falling terms, and cut after z³/6 it is too
    /// small by at most z⁴/24.
    pub(super) fn at(&self, magnitude: u64) -> Option<Bounds> {
        let column = magnitude >> self.width_bits;
        let start = self.start(usize::try_from(column).ok()?)?;
        let offset = magnitude - (column << self.width_bits);
        if offset == 0 {
            return Some(start);
        }
        let Variance { numerator, denominator } = self.variance;
        // u · (m + kW) · denominator is below 2^64, and z < 1.
        let product = u128::from(offset) * u128::from(2 * magnitude - offset) * u128::from(denominator);
        let z = ((product << 63) / u128::from(2 * numerator)) as u64;
        let power = |a: u64| ((u128::from(a) * u128::from(z)) >> 63) as u64;
        let square = power(z);
        let cube = power(square);
        let fourth = power(cube);
        let series = ONE - z + square / 2 - cube / 6;
        // In units: z is cut by less than 1, z² by less than 2z + 1, z³ and z⁴ by less than 3 each; then
        // the quotients by less than 1. So −z + z²/2 − z³/6 is off by less than 1 + 2 + 2, z⁴/24 by 2.
        let decay = Bounds { low: series - 8, high: (series + fourth / 24 + 8).min(ONE) };
        Some(start.times(decay))
    }

    /// Whether `point` is under `rows` · f. Draws the rest of its height.
    pub(super) fn covers<R: CryptoRng + ?Sized>(&self, rng: &mut R, rows: u64, point: &Point) -> bool {
        let word = rng.next_u64();
        if let Some(f) = self.at(point.magnitude) {
            // The height is in [height, height + 1) · 2^-64 rows; rows · f in units of 2^-64 has 76 bits.
            let height =
                u128::from(point.row) << 64 | u128::from(word.checked_shr(point.halvings).unwrap_or(0));
            let scaled = |f: u64| 2 * u128::from(rows) * u128::from(f);
            if height < scaled(f.low) {
                return true;
            }
            if height >= scaled(f.high) {
                return false;
            }
        }
        covers_in_full(rng, rows, point, self.variance, word)
    }
}

/// As [`Curve::covers`], with `word` the first of the height's fraction: one more word of it and
/// of rows · f at a time, until the two are told apart.
fn covers_in_full<R: CryptoRng + ?Sized>(
    rng: &mut R,
    rows: u64,
    point: &Point,
    variance: Variance,
    word: u64,
) -> bool {
    // Least word first, as in `Wide`. With room, so that no copy stays behind.
    let mut height = Zeroizing::new(Vec::with_capacity(32));
    height.extend([word, point.row]);
    loop {
        height.insert(0, rng.next_u64());
        // Both sides times 2^halvings, so that the height is [height, height + 1) · 2^-64·precision.
        let precision = height.len() - 1;
        let (low, high) = scaled_exp(rows, point.halvings, point.magnitude, variance, precision);
        let height = Wide::new(&height);
        if height < low {
            return true;
        }
        if height >= high {
            return false;
        }
    }
}

/// Bounds of rows · 2^halvings · exp(−m²/2σ²), in units of 2^(−64 · precision).
///
/// The series Σ (−x)^n/n!, its terms t_n once rounded down and once up. From x ≤ n on the terms
/// fall and alternate, so that what follows a term is at most that term; the sum ends where it is a
/// unit.
pub(super) fn scaled_exp(
    rows: u64,
    halvings: u32,
    magnitude: u64,
    variance: Variance,
    precision: usize,
) -> (Wide, Wide) {
    let Variance { numerator, denominator } = variance;
    let mut first = Wide::shifted(rows, precision + halvings as usize / 64);
    first.multiply(1 << (halvings % 64));
    let mut term = (first.clone(), first);
    let (mut even, mut odd) = (term.clone(), (Wide::new(&[]), Wide::new(&[])));
    let unit = Wide::new(&[1]);
    // Of x = m²/2σ², what is over 2 · numerator.
    let exponent = u128::from(magnitude) * u128::from(magnitude) * u128::from(denominator);
    for n in 1.. {
        let next = |term: &mut Wide, rounding| {
            term.multiply(magnitude);
            term.multiply(magnitude);
            term.multiply(denominator);
            term.divide(2 * numerator, rounding);
            term.divide(n, rounding);
        };
        next(&mut term.0, Rounding::Down);
        next(&mut term.1, Rounding::Up);
        let sum = if n % 2 == 0 { &mut even } else { &mut odd };
        sum.0.add(&term.0);
        sum.1.add(&term.1);
        if u128::from(n) * u128::from(2 * numerator) >= exponent && term.1 <= unit {
            break;
        }
    }
    let (mut low, mut high) = (even.0.clone(), even.1.clone());
    low.subtract_or_zero(&odd.1);
    low.subtract_or_zero(&unit);
    high.subtract_or_zero(&odd.0);
    high.add(&unit);
    (low, high)
}

#[cfg(test)]
mod tests;
