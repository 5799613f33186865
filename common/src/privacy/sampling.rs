//! Poisson sampling of people: each joins a step independently, with one probability, in secret.
//!
//! It is the only sampler here, because the accounting of subsampled noise is for this one: fixed
//! or shuffled batches accounted as Poisson understate ε many times over (Chua et al. 2024,
//! arXiv:2403.17673).

use rand_core::CryptoRng;

/// The people of one step, as rising indices into `0..people`.
///
/// # Privacy
/// Unit: one person, whatever number of records they have. Each joins independently with
/// probability ⌊q·2^64⌋/2^64, exactly. That is q itself down to q = 2^-11, and below it less than q
/// by under 2^-64; a smaller rate loses no more (the loss of the subsampled Gaussian rises with q),
/// so pricing at q is an upper bound. With q = 1 everybody joins. Who joined, and how many, is
/// secret: it is never sent, logged or used as a denominator.
///
/// # Panics
/// Where `sampling_rate` is not in (0, 1] or `people` passes u32: both are checked before.
#[must_use]
pub fn poisson_sample<R: CryptoRng + ?Sized>(rng: &mut R, people: usize, sampling_rate: f64) -> Vec<u32> {
    assert!(sampling_rate > 0.0 && sampling_rate <= 1.0, "the study's sampling rate is in (0, 1]");
    let people = u32::try_from(people).expect("a site has fewer than 2^32 people");
    // A product with a power of two is exact; the cast cuts the fraction. 2^64 at q = 1.
    let threshold = (sampling_rate * 2f64.powi(64)) as u128;
    (0..people).filter(|_| u128::from(rng.next_u64()) < threshold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::noise::secret_rng;

    /// A χ² statistic as a standard normal deviate (Wilson and Hilferty 1931).
    fn deviate(statistic: f64, freedom: f64) -> f64 {
        let spread = 2.0 / (9.0 * freedom);
        ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
    }

    /// χ² of batch sizes against Binomial(people, q), cells with under 10 expected joined to the ends.
    fn sizes_deviate(people: usize, q: f64, sizes: &[usize]) -> f64 {
        // In logarithms, since (1 − q)^people may be below f64.
        let mut logarithm = people as f64 * (1.0 - q).ln();
        let mut probability = Vec::new();
        for k in 0..=people {
            probability.push(logarithm.exp());
            logarithm += ((people - k) as f64 / (k + 1) as f64 * q / (1.0 - q)).ln();
        }
        let n = sizes.len() as f64;
        let frequent: Vec<usize> = (0..=people).filter(|&k| probability[k] * n >= 10.0).collect();
        let (first, last) = (frequent[0], frequent[frequent.len() - 1]);
        let cells = last - first + 1;
        let (mut expected, mut observed) = (vec![0.0; cells], vec![0.0; cells]);
        for (k, p) in probability.iter().enumerate() {
            expected[k.clamp(first, last) - first] += p * n;
        }
        sizes.iter().for_each(|&size| observed[size.clamp(first, last) - first] += 1.0);
        let statistic = expected.iter().zip(&observed).map(|(e, o)| (o - e) * (o - e) / e).sum();
        deviate(statistic, cells as f64 - 1.0)
    }

    #[test]
    fn batch_sizes_are_binomial() {
        for (people, q) in [(200, 0.1), (1000, 0.01), (50, 0.5), (300, 0.937)] {
            let mut rng = secret_rng([1; 32]);
            let sizes: Vec<usize> = (0..20_000).map(|_| poisson_sample(&mut rng, people, q).len()).collect();
            let found = sizes_deviate(people, q, &sizes);
            assert!(found.abs() < 4.0, "{people} people at {q}: {found}");
            // Fixed-size batches and a rate 5 % off are told apart by the same statistic.
            let mean = (people as f64 * q).round() as usize;
            assert!(sizes_deviate(people, q, &vec![mean; 20_000]) > 10.0);
            assert!(sizes_deviate(people, q * 0.95, &sizes) > 10.0);
        }
    }

    /// Over people and steps, (join − q) has no correlation: not between two people of a step, not
    /// between the same person's steps.
    #[test]
    fn people_and_steps_are_independent() {
        let (people, steps, q) = (20, 20_000, 0.25);
        let mut rng = secret_rng([2; 32]);
        let rows: Vec<Vec<f64>> = (0..steps)
            .map(|_| {
                let mut row = vec![-q; people];
                poisson_sample(&mut rng, people, q).iter().for_each(|&i| row[i as usize] += 1.0);
                row
            })
            .collect();
        // Each of these sums is a standard normal deviate, and no two are correlated.
        let scale = q * (1.0 - q) * f64::from(steps).sqrt();
        let mut pairs = Vec::new();
        for i in 0..people {
            for j in 0..i {
                pairs.push(rows.iter().map(|row| row[i] * row[j]).sum::<f64>() / scale);
            }
        }
        let together = deviate(pairs.iter().map(|z| z * z).sum(), pairs.len() as f64);
        assert!(together.abs() < 4.0, "pairs: {together}");
        assert!(pairs.iter().all(|z| z.abs() < 5.0), "pairs: {pairs:?}");
        for lag in 1..=3 {
            let lagged =
                |i: usize| rows.iter().zip(&rows[lag..]).map(|(a, b)| a[i] * b[i]).sum::<f64>() / scale;
            let all = deviate((0..people).map(|i| lagged(i).powi(2)).sum(), people as f64);
            assert!(all.abs() < 4.0, "lag {lag}: {all}");
        }
    }

    #[test]
    fn everybody_nobody_and_order() {
        let mut rng = secret_rng([3; 32]);
        assert_eq!(poisson_sample(&mut rng, 5, 1.0), [0, 1, 2, 3, 4]);
        assert!(poisson_sample(&mut rng, 0, 0.5).is_empty());
        // ⌊q·2^64⌋ is 0: the rate is rounded down to never.
        assert!(poisson_sample(&mut rng, 10_000, 1e-20).is_empty());
        let sample = poisson_sample(&mut rng, 1000, 0.5);
        assert!(sample.is_sorted_by(|a, b| a < b) && sample.iter().all(|&i| i < 1000));
        assert_ne!(sample, poisson_sample(&mut rng, 1000, 0.5));
    }

    #[test]
    fn impossible_rates_are_bugs() {
        for rate in [0.0, -0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            let sample = || poisson_sample(&mut secret_rng([4; 32]), 1, rate);
            assert!(std::panic::catch_unwind(sample).is_err(), "{rate} was taken");
        }
    }
}
