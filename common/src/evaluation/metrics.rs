//! Metrics of one group from its noisy cells, and from nothing else (post-processing: free of
//! privacy cost).
//!
//! Invariant: cells are used as they came, negative ones included. Setting a negative noisy cell to
//! zero adds people to nearly empty bins, wherever they are, and moves the AUROC of a small group
//! by 0.04 at 100 events and ε = 1, more with fewer: it would manufacture unfairness findings.

use super::bins::{Bins, Inside};
use super::calibration;

/// The cells of one group in persons: noise included, hence fractions and negative values.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Per bin, people without the outcome.
    pub without: Vec<f64>,
    /// Per bin, people with it.
    pub with: Vec<f64>,
    /// Standard deviation of the Gaussian noise in each cell, persons; the same in all.
    pub noise_sd: f64,
}

impl Counts {
    /// Everybody in the group, noise included.
    #[must_use]
    pub fn people(&self) -> f64 {
        self.events() + self.without.iter().sum::<f64>()
    }

    /// Everybody with the outcome, noise included.
    #[must_use]
    pub fn events(&self) -> f64 {
        self.with.iter().sum()
    }

    /// Per bin, everybody.
    #[must_use]
    pub fn totals(&self) -> Vec<f64> {
        self.without.iter().zip(&self.with).map(|(without, with)| without + with).collect()
    }

    /// Events and non-events, when both are more than none (the noise may say otherwise).
    fn classes(&self) -> Option<(f64, f64)> {
        let (with, without) = (self.events(), self.without.iter().sum::<f64>());
        (with > 0.0 && without > 0.0).then_some((with, without))
    }
}

/// Area under the ROC curve: the chance that somebody with the outcome scores higher than somebody
/// without. `None` when the noisy counts leave no event or no non-event.
///
/// Pairs of different bins count exactly; of pairs inside a bin a share counts as right
/// ([`Inside::concordance`]: half of them with [`Bins::centred`]). The
/// numerator is linear in each outcome's cells, whose noise is independent, so unbiased.
#[must_use]
pub fn auroc(counts: &Counts, bins: &Bins) -> Option<f64> {
    let (events, others) = counts.classes()?;
    let (mut below, mut right) = (0.0, 0.0);
    for (inside, without, with) in rows(counts, bins) {
        right += with * (below + without * inside.concordance);
        below += without;
    }
    finite(right / (events * others))
}

/// How many standard deviations of its own noise a denominator of [`auprc`] must reach.
const PRECISION_NOISE_SD: f64 = 4.0;

/// Area under the precision–recall curve, by the interpolation of Davis and Goadrich (ICML 2006):
/// inside a bin, people with and without the outcome are taken as evenly mixed.
///
/// Precision divides by a count of people above a threshold. Bins from the top are pooled until
/// that count exceeds four standard deviations of its noise: dividing by less gives any number.
#[must_use]
pub fn auprc(counts: &Counts) -> Option<f64> {
    const PIECES: u32 = 16;
    let (events, _) = counts.classes()?;
    let mut area = 0.0;
    let (mut true_above, mut above) = (0.0, 0.0);
    let (mut with_pooled, mut pooled, mut cells_above) = (0.0, 0.0, 0.0_f64);
    let last = counts.with.len().checked_sub(1)?;
    for (rank, (with, without)) in counts.with.iter().zip(&counts.without).rev().enumerate() {
        with_pooled += with;
        pooled += with + without;
        cells_above += 2.0;
        let noise = counts.noise_sd * cells_above.sqrt();
        if rank < last && (above + pooled <= PRECISION_NOISE_SD * noise || above + pooled <= 0.0) {
            continue;
        }
        for piece in 0..PIECES {
            let share = (f64::from(piece) + 0.5) / f64::from(PIECES);
            let precision = (true_above + share * with_pooled) / (above + share * pooled);
            if precision.is_finite() {
                area += precision.clamp(0.0, 1.0) * with_pooled / f64::from(PIECES);
            }
        }
        true_above += with_pooled;
        above += pooled;
        (with_pooled, pooled) = (0.0, 0.0);
    }
    finite(area / events)
}

/// Mean squared difference of prediction and outcome.
#[must_use]
pub fn brier(counts: &Counts, bins: &Bins) -> Option<f64> {
    let (events, others) = counts.classes()?;
    let squares: f64 = rows(counts, bins)
        .map(|(inside, without, with)| with * inside.square_with + without * inside.square_without)
        .sum();
    finite(squares / (events + others))
}

/// Share predicted rightly with the threshold 0.5; only where that is a bin edge.
#[must_use]
pub fn accuracy(counts: &Counts, bins: &Bins) -> Option<f64> {
    let (events, others) = counts.classes()?;
    let at = bins.edges().iter().position(|edge| *edge == 0.5)? + 1;
    let right = counts.without[..at].iter().chain(&counts.with[at..]).sum::<f64>();
    finite(right / (events + others))
}

/// Share with the outcome minus mean prediction: above 0, the model predicts too low.
#[must_use]
pub fn calibration_in_the_large(counts: &Counts, bins: &Bins) -> Option<f64> {
    let (events, others) = counts.classes()?;
    let predicted: f64 =
        rows(counts, bins).map(|(inside, without, with)| inside.probability * (without + with)).sum();
    finite((events - predicted) / (events + others))
}

/// What to add to the model's logits so that it predicts the right total (slope held at 1).
#[must_use]
pub fn calibration_intercept(counts: &Counts, bins: &Bins) -> Option<f64> {
    counts.classes()?;
    calibration::intercept(&bins.rows(counts))
}

/// Slope of a logistic regression of the outcome on the model's logit: below 1, predictions are
/// too extreme. Solves the score equations, which are linear in the cells and so unbiased under
/// the noise; `None` when they have no stable solution.
#[must_use]
pub fn calibration_slope(counts: &Counts, bins: &Bins) -> Option<f64> {
    counts.classes()?;
    calibration::line(&bins.rows(counts)).map(|(_, slope)| slope)
}

fn rows<'a>(counts: &'a Counts, bins: &'a Bins) -> impl Iterator<Item = (Inside, f64, f64)> + 'a {
    let cells = counts.without.iter().zip(&counts.with);
    bins.inside().iter().zip(cells).map(|(inside, (without, with))| (*inside, *without, *with))
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(without: &[f64], with: &[f64]) -> Counts {
        Counts { without: without.to_vec(), with: with.to_vec(), noise_sd: 0.0 }
    }

    fn close(value: Option<f64>, expected: f64) {
        assert!(value.is_some_and(|value| (value - expected).abs() < 1e-12), "{value:?} {expected}");
    }

    #[test]
    fn auroc_of_small_tables() {
        fn check(without: &[f64], with: &[f64], expected: f64) {
            close(auroc(&counts(without, with), &Bins::centred(&[0.3, 0.6])), expected);
        }
        check(&[1.0, 0.0, 0.0], &[0.0, 0.0, 1.0], 1.0);
        check(&[0.0, 0.0, 1.0], &[1.0, 0.0, 0.0], 0.0);
        check(&[0.0, 7.0, 0.0], &[0.0, 3.0, 0.0], 0.5);
        // 2·(0/2) + 1·(3 + 1/2) of 3 × 4 pairs, the first two events below everybody but their own bin.
        check(&[3.0, 1.0, 0.0], &[2.0, 1.0, 0.0], (2.0 * 1.5 + 3.5) / 12.0);
        // Negative cells enter as they are.
        check(&[3.0, -1.0, 2.0], &[0.0, 1.0, 1.0], (1.0 * (3.0 - 0.5) + 1.0 * (2.0 + 1.0)) / 8.0);
    }

    #[test]
    fn auprc_of_small_tables() {
        fn check(without: &[f64], with: &[f64], expected: f64) {
            close(auprc(&counts(without, with)), expected);
        }
        check(&[9.0, 0.0, 0.0], &[0.0, 0.0, 5.0], 1.0);
        // One bin: precision is the prevalence everywhere.
        check(&[6.0], &[2.0], 0.25);
        check(&[0.0, 6.0, 0.0], &[0.0, 2.0, 0.0], 0.25);
    }

    #[test]
    fn a_denominator_made_of_noise_is_pooled() {
        // The top bin alone would say precision 4/(4 − 3.9) = 40; four of its noise's standard
        // deviations are more than 0.1 people, so it is joined to the next one.
        let noisy = Counts { noise_sd: 1.0, ..counts(&[900.0, 50.0, -3.9], &[20.0, 40.0, 4.0]) };
        let pooled = Counts { noise_sd: 1.0, ..counts(&[900.0, 46.1], &[20.0, 44.0]) };
        let (noisy, pooled) = (auprc(&noisy).expect("some"), auprc(&pooled).expect("some"));
        assert!((noisy - pooled).abs() < 1e-12, "{noisy} {pooled}");
    }

    #[test]
    fn brier_accuracy_and_calibration_of_centred_bins() {
        let bins = Bins::centred(&[0.5]);
        let table = counts(&[6.0, 1.0], &[2.0, 3.0]);
        close(brier(&table, &bins), (6.0 * 0.0625 + 0.5625 + 2.0 * 0.5625 + 3.0 * 0.0625) / 12.0);
        close(accuracy(&table, &bins), 9.0 / 12.0);
        close(calibration_in_the_large(&table, &bins), (5.0 - 8.0 * 0.25 - 4.0 * 0.75) / 12.0);
        assert_eq!(accuracy(&table, &Bins::centred(&[0.4])), None);
        // Two bins are fitted exactly: the slope runs from logit(2/8) to logit(3/4) over 2·ln 3.
        close(
            calibration_slope(&table, &bins),
            ((3.0_f64).ln() - (1.0_f64 / 3.0).ln()) / (2.0 * 3.0_f64.ln()),
        );
        let doubled = counts(&[1.0, 9.0], &[9.0, 81.0]);
        // Odds are 9 in both bins, the model says 1/3 and 3: slope 0.
        close(calibration_slope(&doubled, &bins).map(|slope| slope + 1.0), 1.0);
    }

    #[test]
    fn no_event_or_no_other_means_no_metric() {
        fn check(without: &[f64], with: &[f64]) {
            let (table, bins) = (counts(without, with), Bins::centred(&[0.5]));
            let all = [
                auroc(&table, &bins),
                auprc(&table),
                brier(&table, &bins),
                accuracy(&table, &bins),
                calibration_in_the_large(&table, &bins),
                calibration_intercept(&table, &bins),
                calibration_slope(&table, &bins),
            ];
            assert_eq!(all, [None; 7], "{without:?} {with:?}");
        }
        check(&[0.0, 0.0], &[0.0, 0.0]);
        check(&[5.0, 5.0], &[0.0, 0.0]);
        check(&[5.0, 5.0], &[3.0, -4.0]);
        check(&[-5.0, 1.0], &[3.0, 4.0]);
        check(&[f64::NAN, 1.0], &[3.0, 4.0]);
    }
}
