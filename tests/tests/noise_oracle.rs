//! Our noise against OpenDP's, which other people wrote and proved: two samples, one distribution.

use consilium_common::privacy::noise::{DiscreteGaussian, secret_rng};
use opendp::traits::samplers::sample_discrete_gaussian;

/// Draws from each sampler; OpenDP's is slow without optimisation.
const DRAWS: usize = 30_000;

/// Ours by both methods: with a table, and one draw at a time.
fn ours(sigma: u64, seed: u8) -> [Vec<i64>; 2] {
    let noise = DiscreteGaussian::new(sigma).expect("in range");
    let mut rng = secret_rng([seed; 32]);
    [noise.vector(&mut rng, DRAWS).to_vec(), (0..DRAWS).map(|_| noise.sample(&mut rng)).collect()]
}

fn theirs(sigma: u64) -> Vec<i64> {
    (0..DRAWS)
        .map(|_| {
            let draw = sample_discrete_gaussian(sigma.into()).expect("has entropy");
            i64::try_from(draw).expect("a small σ gives small draws")
        })
        .collect()
}

/// The two-sample χ² over cells of σ/8 units, joined beyond ±3σ, as a standard normal deviate
/// (Wilson and Hilferty 1931).
fn deviate(sigma: u64, a: &[i64], b: &[i64]) -> f64 {
    let width = (sigma / 8).max(1) as i64;
    let last = 3 * sigma as i64 / width;
    let cells = 2 * last as usize + 1;
    let counts = |draws: &[i64]| {
        let mut counts = vec![0.0f64; cells];
        draws.iter().for_each(|y| counts[(y.div_euclid(width).clamp(-last, last) + last) as usize] += 1.0);
        counts
    };
    let statistic: f64 = counts(a).iter().zip(counts(b)).map(|(a, b)| (a - b).powi(2) / (a + b)).sum();
    let freedom = cells as f64 - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// OpenDP takes its own entropy, so this may fail by chance: beyond 6 deviates, once in 10^9 runs.
#[test]
fn our_noise_is_opendps() {
    for sigma in [2, 40, 1 << 18] {
        let theirs = theirs(sigma);
        for (method, ours) in ["table", "one at a time"].into_iter().zip(ours(sigma, 1)) {
            let found = deviate(sigma, &ours, &theirs);
            assert!(found < 6.0, "σ = {sigma}, {method}: {found}");
        }
    }
}

/// The test above can fail: noise a tenth too narrow or too wide is far outside.
#[test]
fn the_comparison_tells_a_tenth() {
    for broken in [36, 44] {
        for (broken_draws, draws) in ours(broken, 2).iter().zip(ours(40, 3)) {
            let found = deviate(40, broken_draws, &draws);
            assert!(found > 10.0, "σ = {broken} passed for 40 with {found}");
        }
    }
}
