//! `metrics.json` (schema `metrics/1`): the results of a study for programs to read. Its keys are a
//! contract; new ones may be added, none is renamed.

use consilium_common::evaluation::completeness;
use consilium_common::evaluation::exact::Exact;
use consilium_common::evaluation::histogram::{Counted, Grouping};
use consilium_common::evaluation::interval::Estimate;
use consilium_common::evaluation::performance::{Performance, TooFew, shown_count};
use consilium_common::id::{SiteName, StudyId};
use consilium_common::study::{Disclosure, Predicted, Study, Validation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What [`Metrics::schema`] says.
pub const SCHEMA: &str = "metrics/1";

/// The name of the model that the study releases.
pub const FEDERATED: &str = "federated";
/// The name of the model of everybody's records in one place.
pub const POOLED: &str = "pooled_reference";
/// What the names of models of one site alone start with.
pub const LOCAL: &str = "local:";

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// `metrics/1`.
    pub schema: String,
    /// The study's stable name.
    pub study: StudyId,
    /// Who took part.
    pub sites: Vec<SiteName>,
    /// Published people × public training share over these sites; absent where a site publishes
    /// no figure. Never a count of data. Where later examples are held out, fewer were trained on.
    pub people_trained_on_public: Option<u64>,
    /// What it cost.
    pub privacy: Privacy,
    /// The released model first, references after it.
    pub models: Vec<Model>,
    /// Every group of every grouping but `overall`, in the study's order.
    pub subgroups: Vec<Subgroup>,
    /// Attributes of which it was only counted how often they are recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completeness: Vec<Completeness>,
    /// How long it took.
    pub timing: Timing,
    /// What it took of the machines.
    pub memory: Memory,
}

/// What it cost. Values that differ between sites are the largest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Privacy {
    /// `person`: all records of one person at one site.
    pub unit: String,
    /// `local` or `distributed`.
    pub mode: String,
    /// The largest `epsilon_person_max` of any site.
    pub epsilon: f64,
    /// At which every ε here is meant.
    pub delta: f64,
    /// `rdp` or `pld`.
    pub accountant: String,
    /// σ of a training step per unit of sensitivity.
    pub noise_multiplier: f64,
    /// q of a training step.
    pub sampling_rate: f64,
    /// Most training steps that a site was charged.
    pub steps: u64,
    /// What secure sums were made; only in distributed mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Sums>,
    /// Site by site.
    pub sites: Vec<SitePrivacy>,
}

/// The secure sums of a distributed study. Nothing of one site is in them, so no figure of one site's evaluation
/// people is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// t: fewest sites of a sum.
    pub threshold: u32,
    /// n_C: sites that may side with the coordinator before anybody loses more than the figures say.
    pub colluding: u8,
    /// How many sites each round's sum is over, in order.
    pub sites_of_rounds: Vec<usize>,
    /// Secure sums of the evaluation: one for each grouping that has one.
    #[serde(default)]
    pub evaluations: usize,
    /// Attempts for which a site masked a vector, and that ended in no sum.
    pub attempts_failed: u64,
    /// Uses that a site burnt beyond those in sums, at the site with most: they are in every ε here.
    pub uses_lost_max: u64,
}

/// What it cost at one site, recomputed from its ledger's events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SitePrivacy {
    /// Whose.
    pub name: SiteName,
    /// Of a training person.
    pub epsilon_training: f64,
    /// Of an evaluation person.
    pub epsilon_evaluation: f64,
    /// Of the person who paid most.
    pub epsilon_person_max: f64,
    /// Of a person known here and to one more hospital of the study, at the worst mix of roles.
    pub epsilon_two_hospitals: f64,
    /// The same with two more hospitals; absent with fewer than three sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_three_hospitals: Option<f64>,
    /// Training steps charged.
    pub steps: u64,
}

/// Which prediction a figure is of, where a study has several; and of everybody's figures on which examples, where
/// later ones are held out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    /// The task's name.
    pub task: String,
    /// The day on which the time at risk ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon_days: Option<u32>,
    /// `internal`: people of the time that the model was learnt from; `temporal`: people of a later time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

impl Of {
    /// What a prediction's figures say of it: nothing where it is the study's only one.
    #[must_use]
    pub fn prediction(study: &Study, predicted: &Predicted) -> Option<Self> {
        (study.predicted().len() > 1).then(|| Self::named(study, predicted))
    }

    /// What figures of everybody say of themselves, in the order of the groups of a prediction's `overall`.
    #[must_use]
    pub fn everybody(study: &Study, predicted: &Predicted) -> Vec<Option<Self>> {
        if study.split.holdout.is_none() {
            return vec![Self::prediction(study, predicted)];
        }
        let of = |validation: &Validation| {
            Some(Self { validation: Some(*validation), ..Self::named(study, predicted) })
        };
        study.split.validations().iter().map(of).collect()
    }

    fn named(study: &Study, predicted: &Predicted) -> Self {
        let task = study.tasks[predicted.task].name.clone();
        Self { task, horizon_days: predicted.horizon_days, validation: None }
    }

    /// For people, as `self harm within 365 days, temporal validation`.
    #[must_use]
    pub fn words(&self) -> String {
        let predicted = self.predicted_words();
        self.validation.map_or(predicted.clone(), |of| format!("{predicted}, {} validation", of.name()))
    }

    /// The prediction alone, as `self harm within 365 days`.
    #[must_use]
    pub fn predicted_words(&self) -> String {
        let task = self.task.replace('_', " ");
        self.horizon_days.map_or(task.clone(), |days| format!("{task} within {days} days"))
    }
}

/// One model's metrics on all sites' evaluation people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// `federated`, `local:SITE`, `pooled_reference`.
    pub name: String,
    /// Of which prediction.
    #[serde(flatten)]
    pub of: Option<Of>,
    /// Area under the ROC curve.
    pub auroc: Option<f64>,
    /// Its interval at the study's level.
    pub auroc_interval: Option<[f64; 2]>,
    /// Area under the precision–recall curve.
    pub auprc: Option<f64>,
    /// Mean squared difference of prediction and outcome.
    pub brier: Option<f64>,
    /// 1 is right; below 1, predictions are too extreme.
    pub calibration_slope: Option<f64>,
    /// Share with the outcome minus mean prediction.
    pub calibration_in_the_large: Option<f64>,
    /// Computed from histograms with noise; otherwise a reference that is not released.
    pub released_under_dp: bool,
    /// Interval of the slope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_slope_interval: Option<[f64; 2]>,
    /// Interval of the calibration in the large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_in_the_large_interval: Option<[f64; 2]>,
    /// Share predicted rightly with the threshold 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Where the AUROC's uncertainty comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auroc_standard_error: Option<StandardError>,
    /// True where a subgroup like this would read "too few people to say"; without an AUROC then, no other figure is given.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_few_people: bool,
}

/// The parts of a standard error; absent where it cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StandardError {
    /// From everything.
    pub all: Option<f64>,
    /// From the people who happened to be there.
    pub people: Option<f64>,
    /// From the noise that protects them.
    pub noise: Option<f64>,
}

/// One group of a grouping. Where it is suppressed nothing is told about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subgroup {
    /// Attribute → value.
    pub group: BTreeMap<String, String>,
    /// Area under the ROC curve; `null` where suppressed.
    pub auroc: Option<f64>,
    /// Its interval; `null` where suppressed.
    pub interval: Option<[f64; 2]>,
    /// "Too few people to say".
    pub suppressed: bool,
    /// `sex*age_band`.
    pub grouping: String,
    /// Of which prediction.
    #[serde(flatten)]
    pub of: Option<Of>,
    /// Why it is suppressed: `count` or `standard_error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// People, noise included, rounded as the study says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<u64>,
    /// Of them with the outcome, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// As in [`Model`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_slope: Option<f64>,
    /// As in [`Model`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_in_the_large: Option<f64>,
    /// Interval of the calibration in the large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_in_the_large_interval: Option<[f64; 2]>,
}

/// Of how many evaluation people an attribute is recorded, at all sites together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completeness {
    /// The attribute's name.
    pub attribute: String,
    /// Share of people of whom it is recorded; `null` where too few are, or too few are not.
    pub recorded_share: Option<f64>,
    /// Its interval at the study's level, from the noise alone: these are the people who were there.
    pub interval: Option<[f64; 2]>,
    /// `recorded` first, `unknown` last.
    pub states: Vec<StateCount>,
}

/// People in one state of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCount {
    /// `recorded`, `refused`, `not asked`, `conflicting`, `unknown`.
    pub state: String,
    /// Noise included, rounded as the study says; `null` below its smallest count.
    pub people: Option<u64>,
    /// Where the count without noise lies, at the study's level.
    pub interval: Option<[u64; 2]>,
}

/// How long it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// From the start of the study to its end, or of the whole demo.
    pub wall_s: f64,
    /// Rounds of training.
    pub rounds: u32,
    /// Median time of a round.
    pub round_ms_p50: f64,
    /// 95 of 100 rounds took at most this.
    pub round_ms_p95: f64,
}

/// Peak resident memory; absent where nobody measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Of the coordinator.
    pub coordinator_peak_mib: Option<f64>,
    /// Of the hungriest agent.
    pub agent_peak_mib: Option<f64>,
}

impl Model {
    /// The study's model, judged on the sum of the sites' `overall` histograms. No figure is given where the AUROC's interval
    /// is all that there can be: noise alone would speak, and the other figures rest on the same people.
    #[must_use]
    pub fn released(of: Option<Of>, performance: &Performance) -> Self {
        let auroc = performance.auroc.filter(|auroc| auroc.interval.0 > 0.0 || auroc.interval.1 < 1.0);
        let given = |estimate: Option<Estimate>| estimate.filter(|_| auroc.is_some());
        let value = |estimate: Option<Estimate>| given(estimate).map(|e| e.value);
        Self {
            name: FEDERATED.into(),
            of,
            auroc: value(auroc),
            auroc_interval: ends(auroc),
            auprc: value(performance.auprc),
            brier: value(performance.brier),
            calibration_slope: value(performance.calibration_slope),
            calibration_in_the_large: value(performance.calibration_in_the_large),
            released_under_dp: true,
            calibration_slope_interval: ends(given(performance.calibration_slope)),
            calibration_in_the_large_interval: ends(given(performance.calibration_in_the_large)),
            accuracy: value(performance.accuracy),
            auroc_standard_error: auroc.map(|e| StandardError {
                all: finite(e.se),
                people: finite(e.se_sampling),
                noise: finite(e.se_noise),
            }),
            too_few_people: performance.too_few.is_some() || auroc.is_none(),
        }
    }

    /// A reference that is not released, judged on exact scores; `None` where there were not both
    /// outcomes.
    #[must_use]
    pub fn reference(name: &str, of: Option<Of>, exact: Option<&Exact>) -> Self {
        Self {
            name: name.into(),
            of,
            auroc: exact.map(|e| e.auroc),
            auroc_interval: exact.map(|e| e.auroc_interval.into()),
            auprc: exact.map(|e| e.auprc),
            brier: exact.map(|e| e.brier),
            calibration_slope: exact.and_then(|e| e.calibration_slope),
            calibration_in_the_large: exact.map(|e| e.calibration_in_the_large),
            released_under_dp: false,
            calibration_slope_interval: None,
            calibration_in_the_large_interval: None,
            accuracy: exact.map(|e| e.accuracy),
            auroc_standard_error: None,
            too_few_people: false,
        }
    }
}

/// The groups of one grouping, in its order. Where a group is suppressed only its name and the
/// reason are there.
///
/// # Panics
/// Not one performance per group, or a grouping of people alone, which are bugs of the caller.
#[must_use]
pub fn subgroups(study: &Study, grouping: &Grouping, performances: &[Performance]) -> Vec<Subgroup> {
    assert_eq!(performances.len(), grouping.len(), "one performance per group");
    let names = || grouping.attributes.iter().map(|index| study.attributes[*index].name.clone());
    let groups = grouping.labels.iter().map(|labels| names().zip(labels.iter().cloned()).collect());
    let name = names().collect::<Vec<_>>().join("*");
    let of = match grouping.counted {
        Counted::Scores { output } => Of::prediction(study, &study.predicted()[usize::from(output)]),
        Counted::People => unreachable!("a count of people has no performance"),
    };
    let one = |(group, performance)| Subgroup {
        of: of.clone(),
        ..subgroup(group, &name, performance, &study.disclosure)
    };
    groups.zip(performances).map(one).collect()
}

/// What a count of people says, for `metrics.json`.
#[must_use]
pub fn completeness(attribute: &str, of: &completeness::Completeness) -> Completeness {
    let state = |one: &completeness::StateCount| StateCount {
        state: one.state.clone(),
        people: one.people,
        interval: one.interval.map(<[u64; 2]>::from),
    };
    Completeness {
        attribute: attribute.to_owned(),
        recorded_share: of.recorded.map(|share| share.value),
        interval: of.recorded.map(|share| share.interval.into()),
        states: of.states.iter().map(state).collect(),
    }
}

fn subgroup(
    group: BTreeMap<String, String>,
    grouping: &str,
    performance: &Performance,
    disclosure: &Disclosure,
) -> Subgroup {
    let shown = performance.disclosed();
    let metric = |of: fn(&Performance) -> Option<Estimate>| shown.ok().and_then(of);
    let count = |of: fn(&Performance) -> f64| shown.ok().and_then(|p| shown_count(of(p), disclosure));
    let in_the_large = metric(|p| p.calibration_in_the_large);
    let auroc = metric(|p| p.auroc);
    Subgroup {
        group,
        auroc: auroc.map(|e| e.value),
        interval: ends(auroc),
        suppressed: shown.is_err(),
        grouping: grouping.into(),
        of: None,
        reason: shown.err().map(|why| {
            match why {
                TooFew::Count => "count",
                TooFew::StandardError => "standard_error",
            }
            .into()
        }),
        people: count(|p| p.people),
        events: count(|p| p.events),
        calibration_slope: metric(|p| p.calibration_slope).map(|e| e.value),
        calibration_in_the_large: in_the_large.map(|e| e.value),
        calibration_in_the_large_interval: ends(in_the_large),
    }
}

/// Ends that are numbers: JSON has no infinity.
fn ends(estimate: Option<Estimate>) -> Option<[f64; 2]> {
    let (low, high) = estimate?.interval;
    (low.is_finite() && high.is_finite()).then_some([low, high])
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests;
