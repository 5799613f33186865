//! Metrics of scores that need no noise: references computed where the data are, never released
//! from a site.

use super::calibration;
use super::normal;

/// What was predicted for somebody, and what became of them.
#[derive(Clone, Copy, PartialEq)] // No `Debug`: a patient's data.
pub struct Scored {
    /// What was predicted.
    pub probability: f64,
    /// Whether the outcome happened.
    pub outcome: bool,
    /// How much it counts, above 0: as [`crate::examples::Example::weight`].
    pub weight: f64,
}

/// Metrics of a list of predictions and outcomes, each by its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exact {
    /// Area under the ROC curve by mid-ranks: equal predictions count half.
    pub auroc: f64,
    /// Its interval, normal with the variance of DeLong et al. (Biometrics 44, 1988), people by their weights, within [0, 1].
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

/// The metrics of `people`, with an AUROC interval at `level`. `None` without at least one event and one
/// non-event, or when a probability is not in [0, 1].
///
/// # Privacy
/// None: the result depends on exact scores. It may stay at the site, or describe tables that are
/// the user's to read.
#[must_use]
pub fn exact(people: &[Scored], level: f64) -> Option<Exact> {
    if !is_defined(people) {
        return None;
    }
    let total: f64 = people.iter().map(|one| one.weight).sum();
    let mean = |of: fn(f64, f64) -> f64| {
        people.iter().map(|one| one.weight * of(one.probability, one.label())).sum::<f64>() / total
    };
    let (auroc, error) = delong(people);
    let reach = error * normal::quantile(f64::midpoint(1.0, level));
    let row = |one: &Scored| {
        let within = one.probability.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
        (calibration::logit(within), one.weight * (1.0 - one.label()), one.weight * one.label())
    };
    let rows: Vec<(f64, f64, f64)> = people.iter().map(row).collect();
    Some(Exact {
        auroc,
        auroc_interval: ((auroc - reach).max(0.0), (auroc + reach).min(1.0)),
        auprc: average_precision(people),
        brier: mean(|p, y| (y - p) * (y - p)),
        accuracy: mean(|p, y| f64::from(u8::from((p >= 0.5) == (y == 1.0)))),
        calibration_in_the_large: mean(|p, y| y - p),
        calibration_intercept: calibration::intercept(&rows),
        calibration_slope: calibration::line(&rows).map(|(_, slope)| slope),
    })
}

/// The AUROC of [`Exact`] by itself. `None` without at least one event and one non-event, or when a
/// probability is not in [0, 1].
///
/// # Privacy
/// None: as [`exact`].
#[must_use]
pub fn auroc(people: &[Scored]) -> Option<f64> {
    is_defined(people).then(|| delong(people).0)
}

impl Scored {
    fn label(&self) -> f64 {
        f64::from(u8::from(self.outcome))
    }
}

fn is_defined(people: &[Scored]) -> bool {
    let has = |outcome| people.iter().any(|one| one.outcome == outcome);
    has(true) && has(false) && people.iter().all(|one| (0.0..=1.0).contains(&one.probability))
}

/// The least step of a drawn curve, in either direction.
const CURVE_STEP: f64 = 0.01;

/// The ROC curve, `(false positive rate, true positive rate)` from (0, 0) to (1, 1), thinned to steps of
/// a hundredth: for drawing. Empty without both outcomes, or when a probability is not a number.
///
/// # Privacy
/// None: as [`exact`].
#[must_use]
pub fn roc(people: &[Scored]) -> Vec<(f64, f64)> {
    let weights = |outcome| weight_of(people.iter().filter(move |one| one.outcome == outcome));
    let (events, others) = (weights(true), weights(false));
    if events == 0.0 || others == 0.0 || people.iter().any(|one| one.probability.is_nan()) {
        return vec![];
    }
    let order = from_the_highest(people);
    let (mut with, mut without) = (0.0, 0.0);
    let mut points = vec![(0.0, 0.0)];
    let mut last = (0.0, 0.0);
    let mut left = order.len();
    for tied in order.chunk_by(|a, b| a.probability == b.probability) {
        with += weight_of(tied.iter().filter(|one| one.outcome));
        without += weight_of(tied.iter().filter(|one| !one.outcome));
        left -= tied.len();
        let point = if left == 0 { (1.0, 1.0) } else { (without / others, with / events) };
        let moved: f64 = f64::max(point.0 - last.0, point.1 - last.1);
        if moved >= CURVE_STEP || left == 0 {
            points.push(point);
            last = point;
        }
    }
    points
}

fn weight_of<'a>(people: impl Iterator<Item = &'a Scored>) -> f64 {
    people.map(|one| one.weight).sum()
}

fn from_the_highest(people: &[Scored]) -> Vec<Scored> {
    let mut order = people.to_vec();
    order.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    order
}

/// AUROC and its standard error, in O(n log n) by mid-ranks (Sun and Xu, IEEE Signal Process.
/// Lett. 21, 2014): each person's share of the other outcome's people below them.
fn delong(people: &[Scored]) -> (f64, f64) {
    let of = |wanted: bool| -> Vec<(f64, f64)> {
        let own = people.iter().filter(|one| one.outcome == wanted);
        let mut scores: Vec<(f64, f64)> = own.map(|one| (one.probability, one.weight)).collect();
        scores.sort_by(|a, b| a.0.total_cmp(&b.0));
        scores
    };
    let (with, without) = (of(true), of(false));
    let total = |scores: &[(f64, f64)]| scores.iter().map(|(_, weight)| weight).sum::<f64>();
    // For each its share of `among` below it, ties as one half.
    let shares = |scores: &[(f64, f64)], among: &[(f64, f64)]| -> Vec<f64> {
        let mut up_to_each = vec![0.0];
        for (_, weight) in among {
            up_to_each.push(up_to_each.last().expect("starts with 0") + weight);
        }
        let share = |(score, _): &(f64, f64)| {
            let below = among.partition_point(|(other, _)| other < score);
            let up_to = among.partition_point(|(other, _)| other <= score);
            (up_to_each[below] + up_to_each[up_to]) / 2.0 / up_to_each[among.len()]
        };
        scores.iter().map(share).collect()
    };
    let (of_with, of_without) = (shares(&with, &without), shares(&without, &with));
    let mean = |values: &[f64], scores: &[(f64, f64)]| {
        values.iter().zip(scores).map(|(value, (_, weight))| weight * value).sum::<f64>() / total(scores)
    };
    let variance_of_mean = |values: &[f64], scores: &[(f64, f64)]| {
        let (centre, n, total) = (mean(values, scores), values.len() as f64, total(scores));
        let squares =
            values.iter().zip(scores).map(|(value, (_, weight))| (weight * (value - centre)).powi(2));
        squares.sum::<f64>() / (total * total) * n / (n - 1.0).max(1.0)
    };
    let variance = variance_of_mean(&of_with, &with) + variance_of_mean(&of_without, &without);
    (mean(&of_with, &with), variance.sqrt())
}

fn average_precision(people: &[Scored]) -> f64 {
    let order = from_the_highest(people);
    let (mut right, mut seen, mut area) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|a, b| a.probability == b.probability) {
        let with = weight_of(tied.iter().filter(|one| one.outcome));
        right += with;
        seen += weight_of(tied.iter());
        area += with * right / seen;
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
        weights: Vec<f64>,
        auroc: f64,
        auroc_se: f64,
        average_precision: f64,
        brier: f64,
        accuracy: f64,
        calibration_in_the_large: f64,
        calibration_intercept: f64,
        calibration_slope: f64,
    }

    /// Everybody counts 1.
    fn scored(probabilities: &[f64], outcomes: &[bool]) -> Vec<Scored> {
        let one = |(&probability, &outcome)| Scored { probability, outcome, weight: 1.0 };
        probabilities.iter().zip(outcomes).map(one).collect()
    }

    #[test]
    fn scikit_learn_agrees() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/vectors/metrics/sklearn.json")).expect("JSON");
        assert_eq!(cases.len(), 7);
        for case in cases {
            let outcomes: Vec<bool> = case.outcomes.iter().map(|y| *y == 1).collect();
            let mut people = scored(&case.probabilities, &outcomes);
            people.iter_mut().zip(&case.weights).for_each(|(one, weight)| one.weight = *weight);
            let ours = exact(&people, 0.95).expect("both outcomes");
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
            assert_eq!(roc(&scored(probabilities, outcomes)), expected, "{probabilities:?}");
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
        assert!((100..=202).contains(&roc(&scored(&scores, &outcomes)).len()));
    }

    #[test]
    fn what_has_no_metrics() {
        fn check(probabilities: &[f64], outcomes: &[bool], some: bool) {
            let people = scored(probabilities, outcomes);
            let metrics = exact(&people, 0.95);
            assert_eq!(metrics.is_some(), some, "{probabilities:?}");
            assert_eq!(auroc(&people), metrics.map(|metrics| metrics.auroc));
        }
        check(&[], &[], false);
        check(&[0.5], &[true], false);
        check(&[0.5, 0.6], &[true, true], false);
        check(&[0.5, f64::NAN], &[true, false], false);
        check(&[0.5, 1.5], &[true, false], false);
        check(&[0.0, 1.0], &[false, true], true);
        let perfect = scored(&[0.0, 0.1, 0.9, 1.0], &[false, false, true, true]);
        let perfect = exact(&perfect, 0.95).expect("both");
        assert_eq!((perfect.auroc, perfect.auprc, perfect.calibration_slope), (1.0, 1.0, None));
    }
}
