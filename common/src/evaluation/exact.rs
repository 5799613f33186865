//! Metrics of scores that need no noise: references computed where the data are, never released
//! from a site.

use super::calibration;
use super::normal;

/// Metrics of a list of predictions and outcomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exact {
    /// Area under the ROC curve by mid-ranks: equal predictions count half.
    pub auroc: f64,
    /// Its interval, normal with the variance of DeLong et al. (Biometrics 44, 1988), within [0, 1].
    pub auroc_interval: (f64, f64),
    /// Average precision: Σ (recall_k − recall_{k−1})·precision_k over distinct predictions.
    pub auprc: f64,
    /// Mean squared difference of prediction and outcome.
    pub brier: f64,
    /// Share predicted rightly with the threshold 0.5 (0.5 and above is a yes).
    pub accuracy: f64,
    /// Share with the outcome minus mean prediction.
    pub calibration_in_the_large: f64,
    /// What to add to the logits so that the total is right (slope 1).
    pub calibration_intercept: Option<f64>,
    /// Slope of a logistic regression of the outcome on the logit; `None` when nothing converges,
    /// as with perfectly separated outcomes.
    pub calibration_slope: Option<f64>,
}

/// A logit is taken of a prediction at least this far from 0 and 1.
const PROBABILITY_MIN: f64 = 1e-12;

/// The metrics of `probabilities`, one outcome each, with an AUROC interval at `level`. `None`
/// without at least one event and one non-event, or when a probability is not in [0, 1].
///
/// # Privacy
/// None: the result depends on exact scores. It may stay at the site, or describe tables that are
/// the user's to read.
///
/// # Panics
/// Lists of different length, which is a bug of the caller.
#[must_use]
pub fn exact(probabilities: &[f64], outcomes: &[bool], level: f64) -> Option<Exact> {
    assert_eq!(probabilities.len(), outcomes.len(), "one outcome per prediction");
    let people = probabilities.len() as f64;
    let events = outcomes.iter().filter(|outcome| **outcome).count();
    if events == 0 || events == outcomes.len() || probabilities.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return None;
    }
    let pairs = || probabilities.iter().zip(outcomes).map(|(p, outcome)| (*p, f64::from(u8::from(*outcome))));
    let (auroc, error) = delong(probabilities, outcomes);
    let reach = error * normal::quantile(f64::midpoint(1.0, level));
    let rows: Vec<(f64, f64, f64)> = pairs()
        .map(|(p, y)| (calibration::logit(p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN)), 1.0 - y, y))
        .collect();
    Some(Exact {
        auroc,
        auroc_interval: ((auroc - reach).max(0.0), (auroc + reach).min(1.0)),
        auprc: average_precision(probabilities, outcomes),
        brier: pairs().map(|(p, y)| (y - p) * (y - p)).sum::<f64>() / people,
        accuracy: pairs().filter(|(p, y)| (*p >= 0.5) == (*y == 1.0)).count() as f64 / people,
        calibration_in_the_large: pairs().map(|(p, y)| y - p).sum::<f64>() / people,
        calibration_intercept: calibration::intercept(&rows),
        calibration_slope: calibration::line(&rows).map(|(_, slope)| slope),
    })
}

/// The AUROC of [`Exact`] by itself. `None` without at least one event and one non-event, or when a
/// probability is not in [0, 1].
///
/// # Privacy
/// None: as [`exact`].
///
/// # Panics
/// Lists of different length, which is a bug of the caller.
#[must_use]
pub fn auroc(probabilities: &[f64], outcomes: &[bool]) -> Option<f64> {
    assert_eq!(probabilities.len(), outcomes.len(), "one outcome per prediction");
    let events = outcomes.iter().filter(|outcome| **outcome).count();
    let defined = events > 0 && events < outcomes.len();
    let defined = defined && probabilities.iter().all(|p| (0.0..=1.0).contains(p));
    defined.then(|| delong(probabilities, outcomes).0)
}

/// The least step of a drawn curve, in either direction.
const CURVE_STEP: f64 = 0.01;

/// The ROC curve, `(false positive rate, true positive rate)` from (0, 0) to (1, 1), thinned to steps of
/// a hundredth: for drawing. Empty without both outcomes, or when a probability is not a number.
///
/// # Privacy
/// None: as [`exact`].
///
/// # Panics
/// Lists of different length, which is a bug of the caller.
#[must_use]
pub fn roc(probabilities: &[f64], outcomes: &[bool]) -> Vec<(f64, f64)> {
    assert_eq!(probabilities.len(), outcomes.len(), "one outcome per prediction");
    let events = outcomes.iter().filter(|outcome| **outcome).count();
    let others = outcomes.len() - events;
    if events == 0 || others == 0 || probabilities.iter().any(|p| p.is_nan()) {
        return vec![];
    }
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
    let (mut with, mut without) = (0, 0);
    let mut points = vec![(0.0, 0.0)];
    let mut last = (0.0, 0.0);
    for tied in order.chunk_by(|a, b| probabilities[*a] == probabilities[*b]) {
        let found = tied.iter().filter(|person| outcomes[**person]).count();
        with += found;
        without += tied.len() - found;
        let point = (without as f64 / others as f64, with as f64 / events as f64);
        let moved: f64 = f64::max(point.0 - last.0, point.1 - last.1);
        if moved >= CURVE_STEP || point == (1.0, 1.0) {
            points.push(point);
            last = point;
        }
    }
    points
}

/// AUROC and its standard error, in O(n log n) by mid-ranks (Sun and Xu, IEEE Signal Process.
/// Lett. 21, 2014): each person's share of the other outcome's people below them.
fn delong(probabilities: &[f64], outcomes: &[bool]) -> (f64, f64) {
    let of = |wanted: bool| -> Vec<f64> {
        let mut scores: Vec<f64> =
            probabilities.iter().zip(outcomes).filter(|pair| *pair.1 == wanted).map(|pair| *pair.0).collect();
        scores.sort_by(f64::total_cmp);
        scores
    };
    let (with, without) = (of(true), of(false));
    let shares = |scores: &[f64], among: &[f64]| -> Vec<f64> {
        let share = |score: &f64| {
            let below = among.partition_point(|other| other < score);
            let up_to = among.partition_point(|other| other <= score);
            (below + up_to) as f64 / 2.0 / among.len() as f64
        };
        scores.iter().map(share).collect()
    };
    let (of_with, of_without) = (shares(&with, &without), shares(&without, &with));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let variance_of_mean = |values: &[f64]| {
        let (centre, n) = (mean(values), values.len() as f64);
        values.iter().map(|v| (v - centre) * (v - centre)).sum::<f64>() / ((n - 1.0).max(1.0) * n)
    };
    (mean(&of_with), (variance_of_mean(&of_with) + variance_of_mean(&of_without)).sqrt())
}

fn average_precision(probabilities: &[f64], outcomes: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
    let (mut right, mut area) = (0.0, 0.0);
    let mut seen = 0;
    for tied in order.chunk_by(|a, b| probabilities[*a] == probabilities[*b]) {
        let with = tied.iter().filter(|person| outcomes[**person]).count() as f64;
        right += with;
        seen += tied.len();
        area += with * right / seen as f64;
    }
    area / right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        probabilities: Vec<f64>,
        outcomes: Vec<u8>,
        auroc: f64,
        auroc_se: f64,
        average_precision: f64,
        brier: f64,
        accuracy: f64,
        calibration_in_the_large: f64,
        calibration_intercept: f64,
        calibration_slope: f64,
    }

    #[test]
    fn scikit_learn_agrees() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/vectors/metrics/sklearn.json")).expect("JSON");
        assert_eq!(cases.len(), 5);
        for case in cases {
            let outcomes: Vec<bool> = case.outcomes.iter().map(|y| *y == 1).collect();
            let ours = exact(&case.probabilities, &outcomes, 0.95).expect("both outcomes");
            let check = |what, ours: f64, theirs: f64, tolerance: f64| {
                assert!((ours - theirs).abs() < tolerance, "{} {what}: {ours} {theirs}", case.name);
            };
            check("auroc", ours.auroc, case.auroc, 1e-9);
            check("average precision", ours.auprc, case.average_precision, 1e-9);
            check("brier", ours.brier, case.brier, 1e-9);
            check("accuracy", ours.accuracy, case.accuracy, 1e-9);
            check("citl", ours.calibration_in_the_large, case.calibration_in_the_large, 1e-9);
            check("intercept", ours.calibration_intercept.expect("one"), case.calibration_intercept, 1e-6);
            check("slope", ours.calibration_slope.expect("one"), case.calibration_slope, 1e-6);
            let reach = 1.959_963_984_540_054 * case.auroc_se;
            check("low end", ours.auroc_interval.0, (case.auroc - reach).max(0.0), 1e-8);
            check("high end", ours.auroc_interval.1, (case.auroc + reach).min(1.0), 1e-8);
        }
    }

    #[test]
    fn roc_curves() {
        fn check(probabilities: &[f64], outcomes: &[bool], expected: &[(f64, f64)]) {
            assert_eq!(roc(probabilities, outcomes), expected, "{probabilities:?}");
        }
        check(&[0.1, 0.2], &[true, true], &[]);
        check(&[0.1, f64::NAN], &[true, false], &[]);
        check(&[0.9, 0.1], &[true, false], &[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]);
        check(&[0.5, 0.5], &[true, false], &[(0.0, 0.0), (1.0, 1.0)]);
        check(
            &[0.9, 0.8, 0.7, 0.7, 0.1],
            &[true, false, true, false, false],
            &[(0.0, 0.0), (0.0, 0.5), (1.0 / 3.0, 0.5), (2.0 / 3.0, 1.0), (1.0, 1.0)],
        );
        // Thinned: 2000 people, at most 200 steps.
        let scores: Vec<f64> = (0..2000).map(f64::from).map(|i| i / 2000.0).collect();
        let outcomes: Vec<bool> = (0..2000).map(|i| i % 3 == 0).collect();
        assert!((100..=202).contains(&roc(&scores, &outcomes).len()));
    }

    #[test]
    fn what_has_no_metrics() {
        fn check(probabilities: &[f64], outcomes: &[bool], some: bool) {
            let metrics = exact(probabilities, outcomes, 0.95);
            assert_eq!(metrics.is_some(), some, "{probabilities:?}");
            assert_eq!(auroc(probabilities, outcomes), metrics.map(|metrics| metrics.auroc));
        }
        check(&[], &[], false);
        check(&[0.5], &[true], false);
        check(&[0.5, 0.6], &[true, true], false);
        check(&[0.5, f64::NAN], &[true, false], false);
        check(&[0.5, 1.5], &[true, false], false);
        check(&[0.0, 1.0], &[false, true], true);
        let perfect = exact(&[0.0, 0.1, 0.9, 1.0], &[false, false, true, true], 0.95).expect("both");
        assert_eq!((perfect.auroc, perfect.auprc, perfect.calibration_slope), (1.0, 1.0, None));
    }
}
