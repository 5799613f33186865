//! The report of a study as one HTML file: the lay summary first, then results, subgroups, budgets,
//! decisions, method, and how to verify all of it.
//!
//! Invariants: the file is self-contained (no script, no link to elsewhere), every string is escaped
//! by type ([`consilium_common::report::html`]), a suppressed group has no number, and what nobody paid for reads "not
//! released".

mod budget;
mod completeness;
mod figures;
mod governance;
mod lay;
mod method;
mod number;
mod page;
mod results;
#[cfg(test)]
pub(crate) mod sample;
mod subgroups;

pub use consilium_common::privacy::odds::Odds;

use crate::metrics::{Metrics, Model, Of};
use crate::results::refusals::Refusals;
use consilium_common::evaluation::curve::{CalibrationPoint, RocPoint};
use consilium_common::id::{Digest, SiteName};
use consilium_common::protocol::DeclineReason;
use consilium_common::report::audit::{self, Audit, Program};
use consilium_common::report::figures::listed;
use consilium_common::report::html::{Html, all};
use consilium_common::study::records::{RecordTask, ShortFollowUp};
use consilium_common::study::{Data, Study, Task, Validation};
use consilium_common::time::Time;
use jiff::civil::Date;

/// Everything that a report shows.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportData {
    /// The results: the same document as `metrics.json`.
    pub metrics: Metrics,
    /// The study, as the sites approved it.
    pub study: Study,
    /// Where the records come from, in a sentence: `Synthetic hospitals, made with seed 1; no real
    /// people.`, or what the sites say of their tables.
    pub data_source: String,
    /// Every site on the roster, in its order.
    pub decisions: Vec<SiteDecision>,
    /// For each site of `metrics.privacy.sites`, the cap on what a person there may pay.
    pub caps: Vec<SiteCap>,
    /// Of each of the study's predictions, in order; where later examples are held out, of each of what the study
    /// reports of them.
    pub views: Vec<View>,
    /// Only where the study's event list paid for checkpoints; `None` reads "not released".
    pub learning_curve: Option<Vec<LearningPoint>>,
    /// Requests that sites refused, from their ledgers.
    pub refusals: Vec<Refusals>,
    /// SHA-256 of the final model's exact bytes.
    pub model: Digest,
    /// When the study ended.
    pub finished: Time,
    /// How far it came, where it did not run to its end.
    pub stopped: Option<Stopped>,
    /// Who cosigned the ledgers' last checkpoints besides the site itself.
    pub cosigners: Cosigners,
    /// Of the mechanism, where one was run.
    pub audit: Option<Audit>,
    /// Which program each site's ledger says it was begun by.
    pub programs: Vec<Program>,
}

/// The curves of one prediction, on one kind of people.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Which one, as in [`crate::metrics::Model::of`].
    pub of: Option<Of>,
    /// The released model's first, from `evaluation::curve::roc`; references that are not released after
    /// it. Empty where there is none.
    pub roc: Vec<RocCurve>,
    /// Of the released model: `Performance::calibration` of `overall`.
    pub calibration: Vec<CalibrationPoint>,
}

/// What a site decided.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteDecision {
    /// Who.
    pub site: SiteName,
    /// What; `None` when it did not answer before the start.
    pub answer: Option<SiteAnswer>,
}

/// A site's signed answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteAnswer {
    /// `None`: yes. Otherwise why not, by code.
    pub declined: Option<DeclineReason>,
    /// Who signed, in the hospital's words; may be empty.
    pub approver: String,
    /// When.
    pub time: Time,
    /// The text by which it fills in the study's bindings.
    pub bindings: Option<String>,
}

/// What a person at a site may pay at most.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteCap {
    /// Where.
    pub site: SiteName,
    /// The lower of the study's cap and the site's own cap for a study.
    pub epsilon: f64,
}

/// One model's ROC curve.
#[derive(Debug, Clone, PartialEq)]
pub struct RocCurve {
    /// As in [`crate::metrics::Model::name`].
    pub model: String,
    /// `(false positive rate, true positive rate)`, rising from (0, 0) to (1, 1).
    pub points: Vec<(f64, f64)>,
    /// Of a released model, at each of its points the interval of the true positive rate (pointwise);
    /// empty for a reference that is not released.
    pub band: Vec<(f64, f64)>,
}

impl RocCurve {
    /// The released model's, with its band.
    #[must_use]
    pub fn released(model: &str, points: &[RocPoint]) -> Self {
        Self {
            model: model.into(),
            points: points.iter().map(|p| (p.named_wrongly, p.found)).collect(),
            band: points.iter().map(|p| p.interval).collect(),
        }
    }

    /// Of a model that is not released, judged on exact scores.
    #[must_use]
    pub fn reference(model: &str, points: Vec<(f64, f64)>) -> Self {
        Self { model: model.into(), points, band: vec![] }
    }
}

/// One checkpoint that was paid for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningPoint {
    /// After how many rounds.
    pub round: u32,
    /// AUROC then.
    pub auroc: f64,
    /// Its interval.
    pub interval: [f64; 2],
}

/// Who cosigned the ledgers besides the sites themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cosigners {
    /// The coordinator alone.
    Coordinator,
    /// The coordinator, and for each site another site.
    CoordinatorAndSites,
    /// The coordinator, and another site for some of the sites only.
    Mixed {
        /// Whose ledgers the coordinator alone cosigned.
        alone: Vec<SiteName>,
    },
}

/// A study that ended before all its rounds and its evaluation. Written out, it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Why, as the study's log says.
    pub reason: String,
    /// Rounds that were closed.
    pub rounds: u32,
    /// Rounds that the study asked for.
    pub rounds_planned: u32,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (rounds, planned, reason) = (self.rounds, self.rounds_planned, self.reason.trim_end_matches('.'));
        write!(f, "Stopped after {rounds} of {planned} rounds: {reason}.")
    }
}

/// What is said of a model that nothing was released about, and how the study came to that.
pub(crate) fn not_evaluated(stopped: Option<&Stopped>) -> String {
    match stopped {
        Some(stopped) => format!("{stopped} The model was not evaluated."),
        None => "No evaluation was released: too few hospitals answered, or its paid attempts were used up."
            .to_owned(),
    }
}

impl ReportData {
    /// What was released of one prediction.
    fn released(&self, of: Option<&Of>) -> Option<&Model> {
        self.metrics.models.iter().find(|model| model.released_under_dp && model.of.as_ref() == of)
    }

    /// The first that was released of the prediction of a subgroup's figures, whatever people it is on.
    fn released_first(&self, of: Option<&Of>) -> Option<&Model> {
        let is_same = |model: &&Model| {
            let known = model.of.as_ref();
            of.is_none_or(|of| known.is_some_and(|known| known.predicted_words() == of.predicted_words()))
        };
        self.metrics.models.iter().filter(|model| model.released_under_dp).find(is_same)
    }

    /// The day from which examples are held out, where both what is before and what is after it are reported.
    fn told_apart_on(&self) -> Option<Date> {
        let split = &self.study.split;
        split.holdout.as_ref().filter(|_| split.validations().len() > 1).map(|holdout| holdout.from)
    }

    /// On whom the figures of one view are, in a few plain words; none where nothing is held out.
    fn tested_on(&self, of: Option<&Of>) -> Option<String> {
        let (validation, holdout) = (of?.validation?, self.study.split.holdout.as_ref()?);
        let from = holdout.from;
        Some(match validation {
            Validation::Internal => format!("people from before {from}, the time that the model learnt from"),
            Validation::Temporal => {
                format!("people from {from} on, later than any that the model learnt from")
            }
        })
    }

    /// Whose examples are counted in groups of people, where that is not everybody's: those of one side of the holdout, or
    /// of both; and how all of them together are called.
    fn counted_in_groups(&self) -> (String, String) {
        let Some(holdout) = &self.study.split.holdout else { return (String::new(), "together".to_owned()) };
        let from = holdout.from;
        match self.study.split.validations() {
            [Validation::Internal] => (
                format!(" Only people from before {from} are counted."),
                format!("from before {from} together"),
            ),
            [Validation::Temporal] => (
                format!(
                    " Only people from {from} on are counted, later than any that the model learnt from."
                ),
                format!("from {from} on together"),
            ),
            _ => (
                format!(" A group’s people from before {from} and from that day on are counted together."),
                format!("from before {from} together"),
            ),
        }
    }

    /// What the figures count, where a task of the study weighs people for those who were lost.
    fn weighted(&self) -> Option<String> {
        let Data::Records(records) = &self.study.data else { return None };
        let weighs = |(_, task): &(&Task, &RecordTask)| {
            matches!(task.outcome.short_follow_up, ShortFollowUp::Weighted(_))
        };
        let tasks = self.study.tasks.iter().zip(&records.tasks).filter(weighs);
        let names: Vec<String> = tasks.map(|(task, _)| task.name.replace('_', " ")).collect();
        (!names.is_empty()).then(|| {
            format!(
                "For {}, people are weighed: those who could be followed count for people like them who were lost (by \
                 inverse probability of censoring, from a published curve), and all figures are of these weights.",
                listed(&names)
            )
        })
    }

    /// Whether the study released an evaluation of its model.
    fn is_evaluated(&self) -> bool {
        self.metrics.models.iter().any(|model| model.released_under_dp)
    }

    /// Whether chance decides who is in a step.
    fn is_sampled(&self) -> bool {
        self.study.privacy.training.sampling_rate < 1.0
    }
}

/// The report as one HTML file.
#[must_use]
pub fn html(data: &ReportData) -> String {
    let sections = [
        lay::section(data),
        results::section(data),
        subgroups::section(data),
        completeness::section(data),
        results::learning_curve(data),
        budget::section(data),
        governance::section(data),
        method::section(data),
        audited(data),
        method::not_protected(data),
        method::verify(data),
    ];
    page::page(data, &all(sections)).into_string()
}

/// Nothing where no audit was given.
fn audited(data: &ReportData) -> Html {
    all(data.audit.iter().map(|audit| audit::section(audit, &data.study, &data.programs)))
}

#[cfg(test)]
mod tests;
