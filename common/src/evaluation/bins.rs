//! Where in a score bin its people are.
//!
//! A histogram says how many people fall into a bin, not where in it. Middles are far off where
//! bins are wide (the last bin of a rare outcome may be 0.3 to 1 with everybody near 0.35), and
//! counting pairs inside a bin as half right makes an AUROC too low, by 0.01 and more for five to
//! ten bins. So the inside of each bin is that of a smooth curve fitted to the whole histogram:
//! logits are taken as normal, and the chance of the outcome as logistic in them. The fit decides
//! only what happens inside bins; between bins the data do.

use super::calibration::{self, expit, logit};
use super::metrics::Counts;
use super::normal;
use std::ops::Range;

/// Public edges and what is taken to be inside each bin.
#[derive(Debug, Clone, PartialEq)]
pub struct Bins {
    edges: Vec<f64>,
    inside: Vec<Inside>,
    fitted: bool,
}

/// One bin's inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inside {
    /// Mean prediction of the people in it.
    pub probability: f64,
    /// The chance that somebody in it with the outcome scores higher than somebody in it without.
    pub concordance: f64,
    /// Mean of (1 − prediction)² of those with the outcome.
    pub square_with: f64,
    /// Mean of prediction² of those without.
    pub square_without: f64,
}

impl Bins {
    /// Everybody in the middle of their bin: pairs inside a bin count as half right. `edges` are the
    /// inner ones, rising, in (0, 1).
    #[must_use]
    pub fn centred(edges: &[f64]) -> Self {
        let inside = (0..=edges.len()).map(|bin| {
            let p = f64::midpoint(lower(edges, bin), upper(edges, bin));
            Inside {
                probability: p,
                concordance: 0.5,
                square_with: (1.0 - p) * (1.0 - p),
                square_without: p * p,
            }
        });
        Self { edges: edges.to_vec(), inside: inside.collect(), fitted: false }
    }

    /// Insides by a normal distribution of logits, fitted to `counts` by weighted least squares of
    /// the edges' logits on the normal quantiles of the cumulative shares, and by a logistic
    /// calibration line. As [`Bins::centred`], with [`Bins::is_fitted`] false, when fewer than two
    /// edges have people on both sides of them beyond the noise: a line needs two points.
    ///
    /// Fit once, to the largest grouping there is, and use the result for every group: how scores
    /// spread inside a bin depends little on the group, and a small group's noise would decide it.
    #[must_use]
    pub fn fitted(edges: &[f64], counts: &Counts) -> Self {
        let centred = Self::centred(edges);
        let Some(curve) = Curve::fit(edges, counts) else { return centred };
        let scores: Vec<_> =
            (0..=edges.len()).map(|bin| curve.scores(lower(edges, bin), upper(edges, bin))).collect();
        // A bin so far out in a tail that the curve has nobody there keeps its middle.
        let inside = |outcome: &dyn Fn(f64) -> f64| -> Vec<Inside> {
            let of = |(middle, scores): (&Inside, &Option<Scores>)| {
                scores.as_ref().map_or(*middle, |scores| Inside::of(scores, outcome))
            };
            centred.inside.iter().zip(&scores).map(of).collect()
        };
        let even = Self { edges: edges.to_vec(), inside: inside(&|_| 0.5), fitted: true };
        // Without a stable line the model is taken at its word: intercept 0, slope 1.
        let (a, b) = calibration::line(&even.rows(counts)).unwrap_or((0.0, 1.0));
        Self { inside: inside(&|score| expit(a + b.max(0.0) * score)), ..even }
    }

    /// The inner edges.
    #[must_use]
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Each bin's inside, from low scores to high.
    #[must_use]
    pub fn inside(&self) -> &[Inside] {
        &self.inside
    }

    /// Whether a curve could be fitted; otherwise everybody is in the middle of their bin.
    #[must_use]
    pub const fn is_fitted(&self) -> bool {
        self.fitted
    }

    /// Rows for [`calibration`]: the logit of each bin's mean prediction, and its cells.
    #[must_use]
    pub fn rows(&self, counts: &Counts) -> Vec<(f64, f64, f64)> {
        let cells = counts.without.iter().zip(&counts.with);
        self.inside.iter().zip(cells).map(|(inside, (o, w))| (logit(inside.probability), *o, *w)).collect()
    }
}

/// Runs of adjacent bins that hold about equal mass, at most `target` of them; every bin is in one
/// run. Negative mass counts as none.
///
/// For drawing and tables only: joining bins after the noise was added does not lessen the noise of
/// an AUROC (its sum over cells is nearly the same one) and costs resolution.
#[must_use]
pub fn equal_mass(totals: &[f64], target: usize) -> Vec<Range<usize>> {
    let mass: f64 = totals.iter().map(|total| total.max(0.0)).sum();
    let mut runs: Vec<Range<usize>> = Vec::new();
    let (mut start, mut seen) = (0, 0.0);
    for (bin, total) in totals.iter().enumerate() {
        seen += total.max(0.0);
        let due = mass * (runs.len() + 1) as f64 / target.max(1) as f64;
        if mass > 0.0 && runs.len() + 1 < target && seen >= due * (1.0 - 1e-9) {
            runs.push(start..bin + 1);
            start = bin + 1;
        }
    }
    if start < totals.len() {
        runs.push(start..totals.len());
    }
    runs
}

fn lower(edges: &[f64], bin: usize) -> f64 {
    if bin == 0 { 0.0 } else { edges[bin - 1] }
}

fn upper(edges: &[f64], bin: usize) -> f64 {
    edges.get(bin).copied().unwrap_or(1.0)
}

/// A normal distribution of logits.
struct Curve {
    location: f64,
    scale: f64,
}

impl Curve {
    /// Weights: a share F of n people has variance F(1−F)/n, the noise of the cells below the edge
    /// adds to it, and the quantile function turns it into a variance over φ².
    fn fit(edges: &[f64], counts: &Counts) -> Option<Self> {
        let totals = counts.totals();
        let everybody: f64 = totals.iter().sum();
        if everybody <= 0.0 {
            return None;
        }
        let mut below = 0.0;
        let (mut w, mut wx, mut wy, mut wxx, mut wxy, mut used) = (0.0, 0.0, 0.0, 0.0, 0.0, 0);
        for (bin, (edge, total)) in edges.iter().zip(&totals).enumerate() {
            below += total;
            let share = below / everybody;
            let noise = counts.noise_sd * (2.0 * (bin + 1) as f64).sqrt() / everybody;
            if share <= 2.0 * noise || 1.0 - share <= 2.0 * noise {
                continue;
            }
            let (x, y) = (normal::quantile(share), logit(*edge));
            let weight = (-x * x).exp() / (share * (1.0 - share) / everybody + noise * noise);
            w += weight;
            wx += weight * x;
            wy += weight * y;
            wxx += weight * x * x;
            wxy += weight * x * y;
            used += 1;
        }
        let scale = (w * wxy - wx * wy) / (w * wxx - wx * wx);
        let location = (wy - scale * wx) / w;
        (used >= 2 && scale > 0.0 && scale.is_finite() && location.is_finite())
            .then_some(Self { location, scale })
    }

    /// Logits between two edges, at even quantiles; `None` where the curve has nobody.
    fn scores(&self, low: f64, high: f64) -> Option<Scores> {
        let share_below = |p: f64| normal::cumulative((logit(p) - self.location) / self.scale);
        let (from, to) = (share_below(low), share_below(high));
        let score = |person: usize| {
            let share = from + (to - from) * (person as f64 + 0.5) / SCORES as f64;
            let score = self.location + self.scale * normal::quantile(share);
            // At an extreme scale a logit leaves what a probability in (0, 1) can hold.
            score.clamp(-LOGIT_MAX, LOGIT_MAX)
        };
        (to - from > 1e-12).then(|| std::array::from_fn(score))
    }
}

/// How many scores stand for the people of a bin.
const SCORES: usize = 32;
type Scores = [f64; SCORES];

/// e^-30 is 1e-13: below any prediction that matters.
const LOGIT_MAX: f64 = 30.0;

impl Inside {
    /// Of people with these rising logits, given the chance of the outcome at a logit.
    fn of(scores: &Scores, outcome: &dyn Fn(f64) -> f64) -> Self {
        let (mut with, mut without, mut right) = (0.0, 0.0, 0.0);
        let (mut probability, mut square_with, mut square_without) = (0.0, 0.0, 0.0);
        for score in scores {
            let (p, chance) = (expit(*score), outcome(*score));
            probability += p / SCORES as f64;
            right += chance * (without + (1.0 - chance) / 2.0);
            with += chance;
            without += 1.0 - chance;
            square_with += chance * (1.0 - p) * (1.0 - p);
            square_without += (1.0 - chance) * p * p;
        }
        Self {
            probability,
            concordance: right / (with * without),
            square_with: square_with / with,
            square_without: square_without / without,
        }
    }
}
