//! Curves for drawing: an ROC curve that rises, and observed against predicted.

use super::bins::{Bins, equal_mass};
use super::interval::{Estimate, Replicates};
use super::metrics::Counts;
use super::normal;

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

/// Steps of the share of people without the outcome at which a ROC curve is drawn.
const ROC_STEPS: u32 = 40;

/// One point of a ROC curve: what share of the people with the outcome is found when a given share of
/// the people without it is named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// 1 − specificity, in [0, 1]; the same fixed steps for every model.
    pub named_wrongly: f64,
    /// Sensitivity there, in [0, 1].
    pub found: f64,
    /// Interval of the sensitivity at this one share (pointwise), in [0, 1].
    pub interval: (f64, f64),
}

/// A ROC curve from (0, 0) to (1, 1) with a pointwise interval at `level`; empty where the noisy counts
/// leave no event or no non-event, in the cells or in the cells that the bootstrap starts from.
///
/// Made as the AUROC's interval is: the whole curve is computed again from each replicate, noise
/// and new people both, and the interval at a share is as wide as a share `level` of the
/// replicates' deviations at that share; near 0 and 1 it is widened as E. B. Wilson's is (J. Am. Stat.
/// Assoc. 22, 1927). For drawing; areas are never taken from it.
#[must_use]
pub fn roc(counts: &Counts, bins: &Bins, replicates: &Replicates, level: f64) -> Vec<RocPoint> {
    let curve = |counts: &Counts| found(counts, bins);
    let Some((values, reach)) = curve(counts).zip(replicates.reaches(level, curve)) else { return vec![] };
    let inner = (1..ROC_STEPS).zip(values).zip(reach).map(|((step, found), reach)| RocPoint {
        named_wrongly: f64::from(step) / f64::from(ROC_STEPS),
        found,
        interval: around_share(found, reach, counts.events(), level),
    });
    // The ends are so by definition: nobody named, everybody named.
    let corner = |at: f64| RocPoint { named_wrongly: at, found: at, interval: (at, at) };
    std::iter::once(corner(0.0)).chain(inner).chain([corner(1.0)]).collect()
}

/// The interval of a share of `events` people, in [0, 1]. Redrawing cannot miss whom it never drew:
/// where everybody was found, or nobody, each replicate says the same, and `reach` is 0. So
/// `share ± reach` and, with the replicates' deviations in place of the binomial's, Wilson's interval:
/// far from 0 and 1, or with many people, the two are one.
fn around_share(share: f64, reach: f64, events: f64, level: f64) -> (f64, f64) {
    let square = normal::quantile(f64::midpoint(1.0, level)).powi(2);
    let pull = square / (events + square);
    let middle = share + (0.5 - share) * pull;
    let half = (reach * (1.0 - pull)).hypot(pull / 2.0);
    let (low, high) = (share - reach, share + reach);
    (low.min(middle - half).clamp(0.0, 1.0), high.max(middle + half).clamp(0.0, 1.0))
}

/// Sensitivity at each inner step. Between bins the cells decide, made monotone by isotonic
/// regression; inside a bin the curve is a parabola under which lies the bin's own share of rightly
/// ordered pairs ([`super::bins::Inside::concordance`], as far as a rising parabola can have it).
fn found(counts: &Counts, bins: &Bins) -> Option<Vec<f64>> {
    let shares = |cells: &[f64]| -> Option<Vec<f64>> {
        let total: f64 = cells.iter().sum();
        let mut above = 0.0;
        let cumulative: Vec<f64> = cells
            .iter()
            .rev()
            .map(|cell| {
                above += cell;
                above / total
            })
            .collect();
        let mut corners = vec![0.0];
        corners.extend(rising(&cumulative));
        *corners.last_mut()? = 1.0;
        (total > 0.0).then_some(corners)
    };
    let (wrongly, rightly) = (shares(&counts.without)?, shares(&counts.with)?);
    let at = |step: u32| {
        let x = f64::from(step) / f64::from(ROC_STEPS);
        let bin = wrongly.partition_point(|corner| *corner <= x) - 1;
        let along = (x - wrongly[bin]) / (wrongly[bin + 1] - wrongly[bin]);
        let concordance = bins.inside()[bins.inside().len() - 1 - bin].concordance;
        let bend = (6.0 * (concordance - 0.5)).clamp(-1.0, 1.0);
        rightly[bin] + (rightly[bin + 1] - rightly[bin]) * (along + bend * along * (1.0 - along))
    };
    Some((1..ROC_STEPS).map(at).collect())
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

    /// By hand and by `statsmodels.stats.proportion.proportion_confint(method="wilson")`.
    #[test]
    fn shares_at_the_ends_keep_a_width() {
        fn check(share: f64, reach: f64, events: f64, expected: (f64, f64)) {
            let (low, high) = around_share(share, reach, events, 0.95);
            let close = (low - expected.0).abs() < 1e-4 && (high - expected.1).abs() < 1e-4;
            assert!(close, "{share} {reach} {events}: {low} {high}");
        }
        check(1.0, 0.0, 100.0, (0.9630, 1.0));
        check(0.0, 0.0, 20.0, (0.0, 0.1611));
        // With the binomial's own reach, 1.96·√(0.9·0.1/50), Wilson's low end and the plain high one.
        check(0.9, 0.083_155, 50.0, (0.7864, 0.9832));
        check(0.5, 0.1, 1e9, (0.4, 0.6));
        check(0.95, 0.9, 1e9, (0.05, 1.0));
    }

    #[test]
    fn a_noisy_roc_curve_rises_from_corner_to_corner() {
        let counts = Counts { without: vec![50.0, -3.0, 10.0], with: vec![4.0, 9.0, -2.0], noise_sd: 3.0 };
        let bins = Bins::centred(&[0.2, 0.5]);
        let of = |counts: &Counts| roc(counts, &bins, &Replicates::draw(counts, 50, 1), 0.95);
        let points = of(&counts);
        let ends = [points.first(), points.last()].map(|p| p.map(|p| (p.named_wrongly, p.found)));
        assert_eq!(ends, [Some((0.0, 0.0)), Some((1.0, 1.0))]);
        let rises = |a: &RocPoint, b: &RocPoint| a.named_wrongly < b.named_wrongly && a.found <= b.found;
        assert!(points.is_sorted_by(rises), "{points:?}");
        assert!(points.iter().all(|p| (p.interval.0..=p.interval.1).contains(&p.found)), "{points:?}");
        assert!(of(&Counts { with: vec![1.0, -1.0, -1.0], ..counts }).is_empty());
    }
}
