//! How well the model does in one group: metrics with intervals, or "too few people to say".

use super::bins::Bins;
use super::curve::{self, CalibrationPoint, RocPoint};
use super::interval::{Estimate, REPLICATES, Replicates};
use super::metrics::{self, Counts};
use super::sum::Cells;
use crate::study::{Disclosure, Study};

/// What a study says about its evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Of the intervals, as 0.95.
    pub level: f64,
    /// An AUROC known worse than this is not shown for a subgroup.
    pub standard_error_max: f64,
    /// Noisy counts below this are not shown, nor what rests on them.
    pub count_min: u64,
    /// Of the bootstrap.
    pub replicates: usize,
}

impl Settings {
    /// As the study declares them.
    #[must_use]
    pub fn of(study: &Study) -> Self {
        Self {
            level: study.evaluation.level,
            standard_error_max: study.subgroups.max_standard_error,
            count_min: study.disclosure.min_count,
            replicates: REPLICATES,
        }
    }
}

/// How well the model does in one group. An absent metric cannot be computed from these cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Performance {
    /// Everybody, noise included.
    pub people: f64,
    /// Everybody with the outcome, noise included.
    pub events: f64,
    /// See [`metrics::auroc`].
    pub auroc: Option<Estimate>,
    /// See [`metrics::auprc`].
    pub auprc: Option<Estimate>,
    /// See [`metrics::brier`].
    pub brier: Option<Estimate>,
    /// See [`metrics::accuracy`]: needs a bin edge at 0.5.
    pub accuracy: Option<Estimate>,
    /// See [`metrics::calibration_in_the_large`].
    pub calibration_in_the_large: Option<Estimate>,
    /// See [`metrics::calibration_intercept`].
    pub calibration_intercept: Option<Estimate>,
    /// See [`metrics::calibration_slope`].
    pub calibration_slope: Option<Estimate>,
    /// Observed against predicted.
    pub calibration: Vec<CalibrationPoint>,
    /// See [`curve::roc`]; empty where there is none.
    pub roc: Vec<RocPoint>,
    /// Why a subgroup like this reads "too few people to say"; `overall` is shown with this flag.
    pub too_few: Option<TooFew>,
}

/// Why a group reads "too few people to say".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooFew {
    /// Fewer people, people with or people without the outcome than the study shows.
    Count,
    /// The standard error of its AUROC is above the study's largest, or cannot be told.
    StandardError,
}

impl Performance {
    /// What may be shown of a subgroup: itself, or nothing but the reason.
    ///
    /// # Errors
    /// Too few people to say, and why.
    pub fn disclosed(&self) -> Result<&Self, TooFew> {
        self.too_few.map_or(Ok(self), Err)
    }
}

/// A group's performance. The same seed gives the same intervals.
///
/// # Privacy
/// Post-processing of noisy cells: whether a group is suppressed is decided by them alone, so it
/// reveals nothing more.
#[must_use]
pub fn performance(counts: &Counts, bins: &Bins, settings: &Settings, seed: u64) -> Performance {
    let replicates = Replicates::draw(counts, settings.replicates, seed);
    let within = |low: f64, high: f64, metric: &dyn Fn(&Counts) -> Option<f64>| {
        let estimate = replicates.estimate(metric(counts)?, settings.level, metric)?;
        Some(estimate.within(low, high))
    };
    let any = (f64::NEG_INFINITY, f64::INFINITY);
    let auroc = within(0.0, 1.0, &|c| metrics::auroc(c, bins));
    Performance {
        people: counts.people(),
        events: counts.events(),
        auroc,
        auprc: within(0.0, 1.0, &metrics::auprc),
        brier: within(0.0, 1.0, &|c| metrics::brier(c, bins)),
        accuracy: within(0.0, 1.0, &|c| metrics::accuracy(c, bins)),
        calibration_in_the_large: within(-1.0, 1.0, &|c| metrics::calibration_in_the_large(c, bins)),
        calibration_intercept: within(any.0, any.1, &|c| metrics::calibration_intercept(c, bins)),
        calibration_slope: within(any.0, any.1, &|c| metrics::calibration_slope(c, bins)),
        calibration: curve::calibration(counts, bins, &replicates, settings.level, settings.count_min as f64),
        roc: curve::roc(counts, bins, &replicates, settings.level),
        too_few: too_few(counts, auroc, settings),
    }
}

/// Every group of a grouping, in order; the seed is moved on from group to group.
#[must_use]
pub fn performances(cells: &Cells, bins: &Bins, settings: &Settings, seed: u64) -> Vec<Performance> {
    let of = |group: usize| performance(&cells.group(group), bins, settings, seed.wrapping_add(group as u64));
    (0..cells.groups()).map(of).collect()
}

/// A noisy count as printed: nothing that is below the study's smallest before it is rounded as the study says.
#[must_use]
pub fn shown_count(noisy: f64, disclosure: &Disclosure) -> Option<u64> {
    let step = disclosure.round_to.max(1);
    (noisy >= disclosure.min_count as f64).then(|| (noisy / step as f64).round() as u64 * step)
}

/// The largest AUROC that a small group is credited with when its standard error is judged.
const AUROC_CREDITED_MAX: f64 = 0.75;

pub(super) fn too_few(counts: &Counts, auroc: Option<Estimate>, settings: &Settings) -> Option<TooFew> {
    let (people, events) = (counts.people(), counts.events());
    let fewest = events.min(people - events);
    // Written so that NaN counts as too few.
    if !(fewest >= settings.count_min as f64 && fewest > 0.0) {
        return Some(TooFew::Count);
    }
    let enough = auroc.is_some_and(|auroc| {
        let floor = sampling_error(auroc.value.clamp(0.5, AUROC_CREDITED_MAX), events, people - events);
        auroc.se.max(floor.hypot(auroc.se_noise)) <= settings.standard_error_max
    });
    (!enough).then_some(TooFew::StandardError)
}

/// Standard error of an AUROC by counts alone (Hanley and McNeil, Radiology 143, 1982, eq. 1). A
/// small group that happens to look good has a small bootstrap error; judging by counts keeps luck
/// from deciding what is shown, which would spoil the intervals of what is.
fn sampling_error(auroc: f64, events: f64, others: f64) -> f64 {
    let square = auroc * auroc;
    let (by_event, by_other) = (auroc / (2.0 - auroc), 2.0 * square / (1.0 + auroc));
    let pairs = auroc * (1.0 - auroc)
        + (events - 1.0).max(0.0) * (by_event - square)
        + (others - 1.0).max(0.0) * (by_other - square);
    (pairs / (events * others)).max(0.0).sqrt()
}
