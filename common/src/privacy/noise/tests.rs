//! Draws against the exact probabilities. Seeds are fixed, so a test that passes passes always.

use super::*;
use rand_core::{TryCryptoRng, TryRng};
use std::convert::Infallible;

fn rng(seed: u8) -> SecretRng {
    secret_rng([seed; 32])
}

fn draws(sigma: u64, n: usize, seed: u8) -> Zeroizing<Vec<i64>> {
    DiscreteGaussian::new(sigma).expect("in range").vector(&mut rng(seed), n)
}

/// χ² of `draws` against N_Z(0, σ²), as a standard normal deviate (Wilson and Hilferty 1931).
/// Cells are σ/8 wide, or one integer; what lies beyond ±4σ belongs to the outermost cells.
fn deviate(sigma: u64, draws: &[i64]) -> f64 {
    let width = (sigma / 8).max(1) as i64;
    let last = (4 * sigma as i64) / width;
    let cell = |y: i64| (y.div_euclid(width).clamp(-last, last) + last) as usize;
    let (mut expected, mut observed) = (vec![0.0; 2 * last as usize + 1], vec![0u64; 2 * last as usize + 1]);
    // Beyond 12σ there is less than 1e-31 of the mass.
    for y in -12 * sigma as i64..=12 * sigma as i64 {
        let z = y as f64 / sigma as f64;
        expected[cell(y)] += (-z * z / 2.0).exp();
    }
    draws.iter().for_each(|&y| observed[cell(y)] += 1);
    let mass: f64 = expected.iter().sum();
    let statistic: f64 = expected
        .iter()
        .zip(&observed)
        .map(|(&weight, &count)| {
            let mean = weight / mass * draws.len() as f64;
            assert!(mean > 5.0, "cells are too small for a χ² test");
            (count as f64 - mean).powi(2) / mean
        })
        .sum();
    let freedom = expected.len() as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Frequency of `true` in `n` trials against probability `p`, in standard errors.
fn frequency_deviate(n: u32, p: f64, mut trial: impl FnMut() -> bool) -> f64 {
    let successes = (0..n).filter(|_| trial()).count() as f64;
    (successes - f64::from(n) * p) / (f64::from(n) * p * (1.0 - p)).sqrt()
}

#[test]
fn draws_have_the_exact_probabilities() {
    for sigma in [1, 2, 3, 16, 300, 1 << 18] {
        let found = deviate(sigma, &draws(sigma, 400_000, 1));
        assert!(found.abs() < 4.0, "σ = {sigma}: χ² is {found} standard deviations off");
    }
}

/// The test above can fail: noise 5 % too wide or too narrow is far outside.
#[test]
fn the_statistic_tells_five_percent() {
    for (sigma, broken) in [(20, 21), (20, 19), (300, 315), (1 << 18, 275_251), (1 << 18, 249_037)] {
        let found = deviate(sigma, &draws(broken, 400_000, 2));
        assert!(found > 10.0, "σ = {broken} passed for {sigma} with {found}");
    }
}

#[test]
fn moments_and_sign() {
    for sigma in [1, 2, 16, 300, 1 << 18, SIGMA_UNITS_MAX] {
        let n = 400_000;
        let scaled: Vec<f64> = draws(sigma, n, 3).iter().map(|&y| y as f64 / sigma as f64).collect();
        let moment = |power: i32| scaled.iter().map(|z| z.powi(power)).sum::<f64>() / n as f64;
        // Standard errors of the moments of n normal draws: those of mean, variance, skewness, kurtosis.
        let check = |what: &str, found: f64, expected: f64, variance: f64| {
            let deviate = (found - expected) / (variance / n as f64).sqrt();
            assert!(deviate.abs() < 4.0, "σ = {sigma}: {what} is {found}");
        };
        check("mean", moment(1), 0.0, 1.0);
        check("variance", moment(2), 1.0, 2.0);
        check("third moment", moment(3), 0.0, 15.0);
        check("kurtosis", moment(4) / moment(2).powi(2), 3.0, 24.0);
        let (above, under) =
            (scaled.iter().filter(|z| **z > 0.0).count(), scaled.iter().filter(|z| **z < 0.0).count());
        let deviate = (above as f64 - under as f64) / ((above + under) as f64).sqrt();
        assert!(deviate.abs() < 4.0, "σ = {sigma}: {above} above zero, {under} below");
    }
}

#[test]
fn neighbouring_draws_are_uncorrelated() {
    let sigma = 1 << 18;
    let scaled: Vec<f64> = draws(sigma, 200_000, 4).iter().map(|&y| y as f64 / sigma as f64).collect();
    for lag in 1..=4 {
        let products: f64 = scaled.iter().zip(&scaled[lag..]).map(|(a, b)| a * b).sum();
        let deviate = products / (scaled.len() as f64).sqrt();
        assert!(deviate.abs() < 4.0, "lag {lag}: {deviate}");
    }
}

#[test]
fn one_seed_one_stream() {
    assert_eq!(*draws(1 << 18, 64, 5), *draws(1 << 18, 64, 5));
    let (a, b) = (draws(1 << 18, 64, 5), draws(1 << 18, 64, 6));
    assert!(a.iter().zip(b.iter()).filter(|(x, y)| x == y).count() <= 1, "two seeds gave the same noise");
}

#[test]
fn sigma_has_limits() {
    let check = |sigma, fits: bool| {
        let expected = if fits { Ok(DiscreteGaussian { sigma }) } else { Err(InvalidSigma { found: sigma }) };
        assert_eq!(DiscreteGaussian::new(sigma), expected);
    };
    check(0, false);
    check(1, true);
    check(SIGMA_UNITS_MAX, true);
    check(SIGMA_UNITS_MAX + 1, false);
    check(u64::MAX, false);
}

#[test]
fn exponential_coins() {
    let mut rng = rng(7);
    for (a, b) in
        [(0, 1), (1, 1), (1, 3), (7, 2), (1, 1 << 61), (1 << 61, 1 << 61), (5 << 60, 1 << 61), (40, 10)]
    {
        let p = (-(a as f64) / b as f64).exp();
        if p > 0.999_999 {
            assert!((0..1000).all(|_| bernoulli_exp(&mut rng, a, b)), "exp(-{a}/{b})");
        } else {
            let found = frequency_deviate(200_000, p, || bernoulli_exp(&mut rng, a, b));
            assert!(found.abs() < 4.0, "exp(-{a}/{b}): {found}");
        }
    }
}

/// Gives the listed words, then stops the test.
struct Script(Vec<u64>);

impl TryRng for Script {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the sampler draws 64 bits at a time")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.remove(0))
    }
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("the sampler draws 64 bits at a time")
    }
}
impl TryCryptoRng for Script {}

/// On the border of a word, the comparison goes on with the remainder: 1/3 is 0.5555… in base 16.
#[test]
fn coins_carry_their_remainder() {
    let check = |words: &[u64], numerator, denominator, expected| {
        let mut script = Script(words.to_vec());
        assert_eq!(bernoulli(&mut script, numerator, denominator), expected, "{words:x?}");
        assert!(script.0.is_empty(), "{words:x?}: words were left");
    };
    let third = u64::MAX / 3;
    check(&[third - 1], 1, 3, true);
    check(&[third + 1], 1, 3, false);
    check(&[third, third - 1], 1, 3, true);
    check(&[third, third, third + 1], 1, 3, false);
    check(&[1 << 63], 1, 2, false);
    check(&[(1 << 63) - 1], 1, 2, true);
    check(&[0], 0, 5, false);
    check(&[u64::MAX], u64::MAX, u64::MAX, true);
    // (2^64 − 2)/(2^64 − 1) is 0.ffff…fffe ffff…fffe … in words.
    check(&[u64::MAX - 1, u64::MAX], u64::MAX - 1, u64::MAX, false);
    check(&[u64::MAX - 1, 5], u64::MAX - 1, u64::MAX, true);
}

/// 1/e = Σ (−1)^k/k!, in fixed point of 32 · 10 bits.
#[test]
fn the_digits_of_one_over_e() {
    // Each term is the last one divided by k; 64 bits beyond the 256 take the rounding of 80 terms.
    let mut term = [0u64; 11];
    let mut digits = [0i64; 11];
    term[0] = 1;
    for k in 1..=80 {
        let mut rest = 0;
        for (place, limb) in term.iter_mut().enumerate() {
            digits[place] += if k % 2 == 1 { *limb as i64 } else { -(*limb as i64) };
            let value = rest << 32 | *limb;
            (*limb, rest) = (value / k, value % k);
        }
    }
    for place in (1..11).rev() {
        digits[place - 1] += digits[place] >> 32;
        digits[place] &= 0xffff_ffff;
    }
    let words: Vec<u64> =
        digits[1..9].chunks(2).map(|pair| (pair[0] as u64) << 32 | pair[1] as u64).collect();
    assert_eq!((digits[0], words.as_slice()), (0, INVERSE_E.as_slice()));

    let check = |words: &[u64], expected| {
        let mut script = Script(words.to_vec());
        assert_eq!(bernoulli_inverse_e(&mut script), expected, "{words:x?}");
        assert!(script.0.is_empty(), "{words:x?}: words were left");
    };
    check(&[INVERSE_E[0] - 1], true);
    check(&[INVERSE_E[0] + 1], false);
    check(&[INVERSE_E[0], INVERSE_E[1] - 1], true);
    check(&[INVERSE_E[0], INVERSE_E[1], INVERSE_E[2], INVERSE_E[3] + 1], false);
}

/// 2^64 = 6 · ⌊2^64/6⌋ + 4: the words 0, … whose product has a low half under 4 are drawn again.
#[test]
fn uniform_numbers_reject_the_surplus() {
    let check = |words: &[u64], n, expected| {
        let mut script = Script(words.to_vec());
        assert_eq!(below(&mut script, n), expected, "{words:x?}");
        assert!(script.0.is_empty(), "{words:x?}: words were left");
    };
    check(&[0, u64::MAX], 6, 5);
    check(&[1], 6, 0);
    check(&[0, 0, 1 << 63, 1 << 62], 6, 1);
    check(&[0], 1, 0);
    check(&[0], 1 << 30, 0);
    let mut rng = rng(8);
    for n in [3, 10, 1 << 20] {
        let mean = (0..100_000).map(|_| below(&mut rng, n) as f64).sum::<f64>() / 1e5;
        let deviate = (mean - (n as f64 - 1.0) / 2.0) / ((n as f64).powi(2) / 12.0 / 1e5).sqrt();
        assert!(deviate.abs() < 4.0, "0..{n}: mean {mean}");
    }
}
