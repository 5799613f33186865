//! Curves for drawing: an ROC curve that rises, and observed against predicted.

use super::bins::{Bins, equal_mass};
use super::interval::{Estimate, Replicates};
use super::metrics::Counts;

/// Runs of bins that a calibration plot shows at most.
pub const CALIBRATION_POINTS_MAX: usize = 8;

/// One point of a calibration plot: some adjacent bins taken together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationPoint {
    /// Mean prediction.
    pub predicted: f64,
    /// Share with the outcome, noise included; in [0, 1].
    pub observed: Estimate,
}

/// Observed against predicted, in at most eight runs of bins with about equal mass. A run with
/// fewer than `people_min` people, noise included, is left out.
#[must_use]
pub fn calibration(
    counts: &Counts,
    bins: &Bins,
    replicates: &Replicates,
    level: f64,
    people_min: f64,
) -> Vec<CalibrationPoint> {
    let totals = counts.totals();
    let point = |run: std::ops::Range<usize>| {
        let people: f64 = totals[run.clone()].iter().sum();
        if people < people_min {
            return None;
        }
        let rate = |counts: &Counts| {
            let with: f64 = counts.with[run.clone()].iter().sum();
            let all: f64 = with + counts.without[run.clone()].iter().sum::<f64>();
            (all > 0.0).then(|| with / all)
        };
        let observed = replicates.estimate(rate(counts)?, level, rate)?.within(0.0, 1.0);
        // Weights are clipped at zero here: a mean with negative weights can leave the bins.
        let mass: f64 = totals[run.clone()].iter().map(|total| total.max(0.0)).sum();
        let predicted: f64 =
            run.clone().map(|bin| totals[bin].max(0.0) * bins.inside()[bin].probability).sum();
        Some(CalibrationPoint { predicted: predicted / mass, observed })
    };
    equal_mass(&totals, CALIBRATION_POINTS_MAX).into_iter().filter_map(point).collect()
}

/// `(false positive rate, true positive rate)` from (0, 0) to (1, 1), made monotone by isotonic
/// regression and clipped to [0, 1]: for drawing only, areas are never taken from it.
#[must_use]
pub fn roc(counts: &Counts) -> Vec<(f64, f64)> {
    let shares = |cells: &[f64]| -> Option<Vec<f64>> {
        let total: f64 = cells.iter().sum();
        let mut above = 0.0;
        let cumulative = cells.iter().rev().map(|cell| {
            above += cell;
            above / total
        });
        (total > 0.0).then(|| rising(&cumulative.collect::<Vec<_>>()))
    };
    let (Some(false_positive), Some(true_positive)) = (shares(&counts.without), shares(&counts.with)) else {
        return vec![];
    };
    let mut points = vec![(0.0, 0.0)];
    points.extend(false_positive.into_iter().zip(true_positive));
    if let Some(last) = points.last_mut() {
        *last = (1.0, 1.0);
    }
    points
}

/// The nearest non-decreasing sequence (pool adjacent violators), clipped to [0, 1].
fn rising(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for value in values {
        let mut block = (*value, 1);
        while let Some(last) = blocks.last().filter(|last| last.0 > block.0) {
            let size = last.1 + block.1;
            block = ((last.0 * last.1 as f64 + block.0 * block.1 as f64) / size as f64, size);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.iter().flat_map(|(mean, size)| std::iter::repeat_n(mean.clamp(0.0, 1.0), *size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isotonic() {
        fn check(values: &[f64], expected: &[f64]) {
            assert_eq!(rising(values), expected, "{values:?}");
        }
        check(&[], &[]);
        check(&[0.1, 0.2, 0.9], &[0.1, 0.2, 0.9]);
        check(&[0.5, 0.25, 0.75], &[0.375, 0.375, 0.75]);
        check(&[0.75, 0.5, 0.25], &[0.5, 0.5, 0.5]);
        check(&[-0.5, 0.5, 1.5, 1.0], &[0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_noisy_roc_curve_rises_from_corner_to_corner() {
        let counts = Counts { without: vec![50.0, -3.0, 10.0], with: vec![4.0, 9.0, -2.0], noise_sd: 3.0 };
        let points = roc(&counts);
        assert_eq!((points.first(), points.last()), (Some(&(0.0, 0.0)), Some(&(1.0, 1.0))));
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{points:?}");
        assert!(roc(&Counts { with: vec![1.0, -1.0, -1.0], ..counts }).is_empty());
    }
}
