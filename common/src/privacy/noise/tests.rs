//! Draws against the exact probabilities. Seeds are fixed, so a test that passes passes always.

use super::*;

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
