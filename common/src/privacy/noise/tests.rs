//! Draws of both methods against the exact probabilities. Seeds are fixed, so a test that passes
//! passes always. The table's exactness is shown without statistics in `staircase/tests.rs`.

use super::*;

fn rng(seed: u8) -> SecretRng {
    secret_rng([seed; 32])
}

fn gaussian(sigma: u64) -> DiscreteGaussian {
    DiscreteGaussian::new(sigma).expect("in range")
}

/// σ² = 1/4, 1, 4, 7/3, …: from σ = 0.5 to 2^20.
fn gaussians() -> Vec<DiscreteGaussian> {
    let fractions = [(1, 4), (7, 3), (40_000, 9)];
    let fractions = fractions.map(|(n, d)| DiscreteGaussian::with_variance(n, d).expect("in range"));
    let whole = [1, 2, 16, 300, 1 << 12, 200_003, 1 << 18, 1 << 20].map(gaussian);
    fractions.into_iter().chain(whole).collect()
}

fn sigma(gaussian: &DiscreteGaussian) -> f64 {
    (gaussian.variance.numerator as f64 / gaussian.variance.denominator as f64).sqrt()
}

type Method = fn(&DiscreteGaussian, usize, u8) -> Zeroizing<Vec<i64>>;

/// With a table.
fn fast(gaussian: &DiscreteGaussian, n: usize, seed: u8) -> Zeroizing<Vec<i64>> {
    assert!(n >= TABLE_PAYS);
    gaussian.vector(&mut rng(seed), n)
}

/// CKS20, draw by draw.
fn slow(gaussian: &DiscreteGaussian, n: usize, seed: u8) -> Zeroizing<Vec<i64>> {
    let mut rng = rng(seed);
    Zeroizing::new((0..n).map(|_| gaussian.sample(&mut rng)).collect())
}

const METHODS: [(&str, Method, usize); 2] = [("table", fast, 1_500_000), ("CKS20", slow, 300_000)];

/// A χ² statistic as a standard normal deviate (Wilson and Hilferty 1931).
fn chi_deviate(cells: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (mut statistic, mut freedom) = (0.0, -1.0);
    for (expected, observed) in cells {
        assert!(expected > 5.0, "cells are too small for a χ² test");
        statistic += (observed - expected).powi(2) / expected;
        freedom += 1.0;
    }
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / f64::sqrt(spread)
}

/// χ² of `draws` against N_Z(0, σ²). Cells are `width` integers; what lies beyond ±reach·σ belongs
/// to the outermost cells.
fn deviate(sigma: f64, width: i64, reach: f64, draws: &[i64]) -> f64 {
    let last = ((reach * sigma) as i64) / width;
    let cell = |y: i64| (y.div_euclid(width).clamp(-last, last) + last) as usize;
    let (mut expected, mut observed) = (vec![0.0; 2 * last as usize + 1], vec![0.0; 2 * last as usize + 1]);
    // Beyond 12σ there is less than 1e-31 of the mass.
    let end = (12.0 * sigma).ceil() as i64;
    for y in -end..=end {
        let z = y as f64 / sigma;
        expected[cell(y)] += (-z * z / 2.0).exp();
    }
    draws.iter().for_each(|&y| observed[cell(y)] += 1.0);
    let scale = draws.len() as f64 / expected.iter().sum::<f64>();
    chi_deviate(expected.iter().map(|e| e * scale).zip(observed))
}

fn eighths(sigma: f64) -> i64 {
    ((sigma / 8.0) as i64).max(1)
}

#[test]
fn draws_have_the_exact_probabilities() {
    for gaussian in gaussians() {
        let sigma = sigma(&gaussian);
        for (name, method, n) in METHODS {
            let found = deviate(sigma, eighths(sigma), 4.0, &method(&gaussian, n, 1));
            assert!(found.abs() < 4.0, "σ = {sigma}, {name}: χ² is {found} standard deviations off");
        }
    }
}

/// The test above can fail: noise 1 % too wide or too narrow is far outside.
#[test]
fn the_statistic_tells_one_percent() {
    for (sigma, broken) in [(300, 303), (300, 297), (1 << 18, 264_765), (1 << 18, 259_523)] {
        let draws = fast(&gaussian(broken), 1_500_000, 2);
        let found = deviate(sigma as f64, eighths(sigma as f64), 4.0, &draws);
        assert!(found > 10.0, "σ = {broken} passed for {sigma} with {found}");
    }
}

/// Cells of one integer, and cells that begin and end where the table's columns do: σ = 300 has
/// columns of 16, σ = 2^18 of 2^14, and σ = 200 003 of 8192.
#[test]
fn columns_and_their_insides_have_the_exact_probabilities() {
    for (sigma, width, reach) in [
        (20, 1, 4.0),
        (300, 1, 3.0),
        (300, 16, 4.0),
        (1 << 18, 1 << 14, 4.0),
        (1 << 18, 1 << 10, 3.0),
        (200_003, 2048, 3.0),
    ] {
        let found = deviate(f64::from(sigma), width, reach, &fast(&gaussian(sigma as u64), 6_000_000, 3));
        assert!(found.abs() < 4.0, "σ = {sigma} in cells of {width}: {found}");
    }
}

/// The low bits of |y|, and its remainder by three, are uniform for a large σ to one part in 10^5.
#[test]
fn low_digits_are_uniform() {
    for sigma in [1 << 18, 200_003] {
        let draws = fast(&gaussian(sigma), 4_000_000, 4);
        for modulus in [2, 3, 8, 64, 1000] {
            let mut observed = vec![0.0; modulus as usize];
            draws.iter().for_each(|y| observed[y.rem_euclid(modulus) as usize] += 1.0);
            let expected = draws.len() as f64 / modulus as f64;
            let found = chi_deviate(observed.into_iter().map(|o| (expected, o)));
            assert!(found.abs() < 4.0, "σ = {sigma} modulo {modulus}: {found}");
        }
    }
}

/// The count of |y| above z·σ, against the sum of the probabilities.
#[test]
fn tails_have_their_mass() {
    let n = 20_000_000;
    for sigma in [300_u64, 1 << 18] {
        let draws = fast(&gaussian(sigma), n, 5);
        let mass = |from: u64| {
            (from..12 * sigma).map(|m| (-(m as f64 / sigma as f64).powi(2) / 2.0).exp()).sum::<f64>()
        };
        let everything = 2.0 * mass(0) - 1.0;
        for z in [2.0, 3.0, 4.0, 4.5, 5.0] {
            let from = (z * sigma as f64) as u64;
            let expected = 2.0 * mass(from) / everything * n as f64;
            let (mut above, mut below) = (0.0, 0.0);
            draws.iter().filter(|y| y.unsigned_abs() >= from).for_each(|y| {
                *(if *y > 0 { &mut above } else { &mut below }) += 1.0;
            });
            let deviate = (above + below - expected) / expected.sqrt();
            assert!(
                expected > 9.0 && deviate.abs() < 4.0,
                "σ = {sigma}: {above} + {below} of {expected} beyond {z}σ"
            );
            assert!(f64::abs(above - below) < 4.0 * expected.sqrt(), "σ = {sigma}: {above} and {below}");
        }
    }
}

#[test]
fn moments_and_sign() {
    for sigma in [1, 2, 16, 300, 1 << 18, SIGMA_UNITS_MAX] {
        for (name, method, n) in METHODS {
            let scaled: Vec<f64> =
                method(&gaussian(sigma), n, 6).iter().map(|&y| y as f64 / sigma as f64).collect();
            let moment = |power: i32| scaled.iter().map(|z| z.powi(power)).sum::<f64>() / n as f64;
            // Standard errors of the moments of n normal draws: those of mean, variance, skewness, kurtosis.
            let check = |what: &str, found: f64, expected: f64, variance: f64| {
                let deviate = (found - expected) / (variance / n as f64).sqrt();
                assert!(deviate.abs() < 4.0, "σ = {sigma}, {name}: {what} is {found}");
            };
            check("mean", moment(1), 0.0, 1.0);
            check("variance", moment(2), 1.0, 2.0);
            check("third moment", moment(3), 0.0, 15.0);
            check("kurtosis", moment(4) / moment(2).powi(2), 3.0, 24.0);
            let (above, under) =
                (scaled.iter().filter(|z| **z > 0.0).count(), scaled.iter().filter(|z| **z < 0.0).count());
            let deviate = (above as f64 - under as f64) / ((above + under) as f64).sqrt();
            assert!(deviate.abs() < 4.0, "σ = {sigma}, {name}: {above} above zero, {under} below");
        }
    }
}

#[test]
fn neighbouring_draws_are_uncorrelated() {
    let sigma = 1 << 18;
    for (name, method, n) in METHODS {
        let scaled: Vec<f64> =
            method(&gaussian(sigma), n, 7).iter().map(|&y| y as f64 / sigma as f64).collect();
        for lag in 1..=4 {
            for power in [1, 2] {
                // z and, for the sizes, (z² − 1)/√2: both of variance one.
                let value = |z: f64| if power == 1 { z } else { (z * z - 1.0) / f64::sqrt(2.0) };
                let products: f64 =
                    scaled.iter().zip(&scaled[lag..]).map(|(a, b)| value(*a) * value(*b)).sum();
                let deviate = products / (scaled.len() as f64).sqrt();
                assert!(deviate.abs() < 4.0, "{name}: lag {lag}, power {power}: {deviate}");
            }
        }
    }
}

#[test]
fn one_seed_one_stream() {
    for (_, method, _) in METHODS {
        let draws = |seed| method(&gaussian(1 << 18), 1000, seed);
        assert_eq!(*draws(5), *draws(5));
        let same = draws(5).iter().zip(draws(6).iter()).filter(|(x, y)| x == y).count();
        assert!(same <= 1, "two seeds gave the same noise");
    }
}

/// What a seed gives is no promise, but it changes on purpose only.
#[test]
fn streams_do_not_change_unnoticed() {
    let check = |method: Method, sigma, expected: [i64; 6]| {
        let draws = method(&gaussian(sigma), TABLE_PAYS, 8);
        assert_eq!(draws[..6], expected, "σ = {sigma}");
    };
    check(fast, 2, [1, -2, -2, -2, -3, 3]);
    check(fast, 1 << 18, [221_378, -298_232, -343_032, -34_009, -66_436, -307_877]);
    check(slow, 2, [1, 2, -1, 0, 1, -1]);
    check(slow, 1 << 18, [152_084, 195_512, 83_605, -97_285, 55_644, 40_811]);
}

/// One short of a table's length, and that length; as many draws as asked for.
#[test]
fn lengths() {
    let noise = gaussian(1 << 18);
    for n in [0, 1, TABLE_PAYS - 1] {
        assert_eq!(*noise.vector(&mut rng(9), n), *slow(&noise, n, 9));
    }
    for n in [TABLE_PAYS, TABLE_PAYS + 1, 10_000] {
        assert_eq!(noise.vector(&mut rng(9), n).len(), n);
    }
    assert_ne!(noise.vector(&mut rng(9), TABLE_PAYS)[0], noise.vector(&mut rng(9), 1)[0]);
}

#[test]
fn sigma_has_limits() {
    let check = |sigma, fits: bool| {
        let found = DiscreteGaussian::new(sigma).map(|gaussian| gaussian.variance);
        let variance = Variance { numerator: sigma.wrapping_mul(sigma), denominator: 1 };
        assert_eq!(found, if fits { Ok(variance) } else { Err(InvalidSigma { found: sigma }) });
    };
    check(0, false);
    check(1, true);
    check(SIGMA_UNITS_MAX, true);
    check(SIGMA_UNITS_MAX + 1, false);
    check(u64::MAX, false);
    let check = |numerator, denominator, fits: bool| {
        let found = DiscreteGaussian::with_variance(numerator, denominator).map(|gaussian| gaussian.variance);
        let variance = Variance { numerator, denominator };
        assert_eq!(found, if fits { Ok(variance) } else { Err(InvalidVariance { numerator, denominator }) });
    };
    check(1, 16, true);
    check(1, 17, false);
    check(0, 1, false);
    check(1, 0, false);
    check(VARIANCE_TERM_MAX, VARIANCE_TERM_MAX, true);
    check(VARIANCE_TERM_MAX, 1, true);
    check(VARIANCE_TERM_MAX + 1, 1, false);
    check(7, VARIANCE_TERM_MAX + 1, false);
}
