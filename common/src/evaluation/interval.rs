//! Intervals by parametric bootstrap: people are drawn again, and the known noise is added again.
//!
//! A cell of a histogram is a Poisson count of people plus Gaussian noise of known size. Replicates
//! redo both, the first from cells projected onto what counts can be, and each metric's interval is
//! its estimate plus the replicates' deviations from the metric of the projected cells: the
//! projection's own bias cancels. Errors by people and by noise are told apart.
//!
//! Chance here decides nothing private (everything is computed from what was published), so a
//! public seed is right: everybody gets the same report.

use super::metrics::Counts;
use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng as _};

/// A metric with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The metric of the noisy cells.
    pub value: f64,
    /// Ends of the interval at the study's level.
    pub interval: (f64, f64),
    /// Standard error from everything.
    pub se: f64,
    /// Of it, from the people who happened to be there.
    pub se_sampling: f64,
    /// Of it, from the noise that protects them.
    pub se_noise: f64,
}

impl Estimate {
    /// Value and interval clipped to what the metric can be; errors stay.
    #[must_use]
    pub fn within(self, low: f64, high: f64) -> Self {
        let clip = |value: f64| value.clamp(low, high);
        Self { value: clip(self.value), interval: (clip(self.interval.0), clip(self.interval.1)), ..self }
    }
}

/// Redrawn cells, shared by all metrics of a group.
#[derive(Debug, Clone)]
pub struct Replicates {
    centre: Counts,
    sampled: Vec<Counts>,
    noised: Vec<Counts>,
    both: Vec<Counts>,
}

/// Replicates of a report: the ends of a 95 % interval are then known to about a tenth of its width.
pub const REPLICATES: usize = 400;

impl Replicates {
    /// Draws `number` replicates, at least one, of `counts`; the same seed gives the same ones.
    #[must_use]
    pub fn draw(counts: &Counts, number: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let centre = Counts {
            without: projected(&counts.without),
            with: projected(&counts.with),
            noise_sd: counts.noise_sd,
        };
        let mut replicates = Self { centre, sampled: vec![], noised: vec![], both: vec![] };
        for _ in 0..number.max(1) {
            let sampled = each(&replicates.centre, |mean| poisson(&mut rng, mean));
            let noise = each(&replicates.centre, |_| counts.noise_sd * normal(&mut rng));
            replicates.noised.push(sum(&replicates.centre, &noise));
            replicates.both.push(sum(&sampled, &noise));
            replicates.sampled.push(sampled);
        }
        replicates
    }

    /// The interval of one metric whose value on the noisy cells is `value`: symmetric, as wide as
    /// a share `level` of the replicates stays within (symmetric bootstrap intervals err less than
    /// one-sided quantiles do: P. Hall, Ann. Statist. 16, 1988). A replicate without a value lies
    /// infinitely far out. `None` when the metric has no value on the projected cells.
    #[must_use]
    pub fn estimate(
        &self,
        value: f64,
        level: f64,
        metric: impl Fn(&Counts) -> Option<f64>,
    ) -> Option<Estimate> {
        let centre = metric(&self.centre)?;
        let deviations = |replicates: &[Counts]| -> Vec<f64> {
            let far = |replicate| metric(replicate).map_or(f64::INFINITY, |v| (v - centre).abs());
            let mut sorted: Vec<f64> = replicates.iter().map(far).collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        };
        let both = deviations(&self.both);
        let reach = quantile(&both, level);
        Some(Estimate {
            value,
            interval: (value - reach, value + reach),
            se: spread(&both),
            se_sampling: spread(&deviations(&self.sampled)),
            se_noise: spread(&deviations(&self.noised)),
        })
    }

    /// Half widths of the intervals of several metrics that are computed together, such as the points of
    /// a curve, each as [`Replicates::estimate`] would have it. `None` when they have no value on the
    /// projected cells.
    #[must_use]
    pub fn reaches(&self, level: f64, metrics: impl Fn(&Counts) -> Option<Vec<f64>>) -> Option<Vec<f64>> {
        let centre = metrics(&self.centre)?;
        let redrawn: Vec<Option<Vec<f64>>> = self.both.iter().map(metrics).collect();
        let reach = |(index, centre): (usize, &f64)| {
            let far = |values: &Option<Vec<f64>>| {
                values.as_ref().map_or(f64::INFINITY, |values| (values[index] - centre).abs())
            };
            let mut sorted: Vec<f64> = redrawn.iter().map(far).collect();
            sorted.sort_by(f64::total_cmp);
            quantile(&sorted, level)
        };
        Some(centre.iter().enumerate().map(reach).collect())
    }
}

/// Standard error from sorted absolute deviations: 95 % of a normal curve lies within 1.96 of it.
/// One wild replicate does not decide it, and those without a value do when they are many.
fn spread(sorted: &[f64]) -> f64 {
    quantile(sorted, 0.95) / 1.96
}

/// The order statistic that a share of *new* draws stays within, on average over replicates.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * (sorted.len() + 1) as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The nearest non-negative cells with the same sum (Euclidean projection onto a simplex); all
/// zero when the sum is not above 0.
fn projected(cells: &[f64]) -> Vec<f64> {
    let sum: f64 = cells.iter().sum();
    if sum <= 0.0 {
        return vec![0.0; cells.len()];
    }
    let mut sorted = cells.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut running, mut excess) = (0.0, 0.0);
    for (rank, cell) in sorted.iter().enumerate() {
        running += cell;
        let candidate = (running - sum) / (rank + 1) as f64;
        if *cell > candidate {
            excess = candidate;
        }
    }
    cells.iter().map(|cell| (cell - excess).max(0.0)).collect()
}

fn each(counts: &Counts, mut draw: impl FnMut(f64) -> f64) -> Counts {
    Counts {
        without: counts.without.iter().map(|c| draw(*c)).collect(),
        with: counts.with.iter().map(|c| draw(*c)).collect(),
        noise_sd: counts.noise_sd,
    }
}

fn sum(a: &Counts, b: &Counts) -> Counts {
    let add = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x + y).collect();
    Counts { without: add(&a.without, &b.without), with: add(&a.with, &b.with), noise_sd: a.noise_sd }
}

/// In (0, 1): neither end, so that its logarithm is finite.
fn uniform(rng: &mut impl Rng) -> f64 {
    ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// Standard normal, by Box and Muller.
pub(super) fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * uniform(rng).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// Poisson by products of uniforms; above a mean of 30 a rounded normal, whose error is far below
/// the bootstrap's own.
pub(super) fn poisson(rng: &mut impl Rng, mean: f64) -> f64 {
    if mean > 30.0 {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0);
    }
    let floor = (-mean).exp();
    let (mut product, mut count) = (uniform(rng), 0.0);
    while product > floor {
        product *= uniform(rng);
        count += 1.0;
    }
    count
}
