//! A study on OMOP records: whose records make an example, what is looked at in them, and what counts as
//! the outcome. Everything is public and fixed in the file; nothing in it depends on data.
//!
//! Days are calendar days of the hospital's own clock, and intervals of days include both ends. A person is asked
//! about at one moment, the **prediction time**: the index (start or end of the entry event) plus
//! [`Cohort::predict_after_hours`]. Nothing after it is looked at for a feature, nothing before the time at risk
//! counts as an outcome.
//!
//! An event is where it starts, whatever its length. Observation is the union of a person's observation periods:
//! periods that overlap or touch are one stretch. What becomes of somebody is known within the stretch that the day of
//! the index lies in, and up to [`Records::followup_to`]: outcomes and deaths outside it are not known of, as in
//! PatientLevelPrediction.

mod covariate;

pub use covariate::{Covariate, PersonField, Take};

use super::bindings::{Binding, BindingIndex, InForce};
use super::notes::{NoteIndex, Notes};
use super::vocabulary::VocabularyRelease;
use jiff::ToSpan;
use jiff::civil::Date;

/// Most concept sets of a study.
pub const SETS_MAX: usize = 512;
/// Most members of a concept set, included and excluded.
pub const MEMBERS_MAX: usize = 4096;
/// Longest window, days.
pub const WINDOW_DAYS_MAX: i32 = 99_999;

/// `[data]` with `format = ["omop-cdm-5.4", …]`, and what else is particular to records.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// What a site may hold, as the file lists them: versions of the common data model, and MEDS.
    pub formats: Vec<String>,
    /// First and last day on which an index may lie.
    pub accrual: (Date, Date),
    /// Last day on which an outcome counts: nobody is followed for longer.
    pub followup_to: Date,
    /// What a date without a time means.
    pub date_only: DateOnly,
    /// Oldest release of the vocabularies, by the source's own table `vocabulary`; a source with an older one, or without
    /// that table, refuses.
    pub min_vocabulary: Option<VocabularyRelease>,
    /// `[binding.NAME]`, in file order; names are distinct.
    pub bindings: Vec<Binding>,
    /// `[concept_set.NAME]`, in file order, then those that stand within other tables; names are distinct.
    pub sets: Vec<ConceptSet>,
    /// Whom each of [`super::Study::tasks`] asks about and what it asks, in that order.
    pub tasks: Vec<RecordTask>,
    /// Where each of [`super::Study::features`] comes from, in that order.
    pub covariates: Vec<Covariate>,
    /// Where each of [`super::Study::attributes`] comes from, in that order: all are read, see
    /// [`super::AttributeValues::Concepts`] and [`super::AttributeValues::RecordedConcepts`].
    pub attributes: Vec<Vec<PersonField>>,
    /// What is asked of clinical notes; none where they are not read.
    pub notes: Option<Notes>,
}

/// A task: its target and its outcome. Somebody may be an example of several.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordTask {
    /// Who is asked about, and when.
    pub cohort: Cohort,
    /// What is asked.
    pub outcome: Outcome,
}

/// What a date without a time means beside times of that day, wherever moments are compared; where days are, it is its
/// day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOnly {
    /// 00:00:00 of that day.
    Start,
    /// 23:59:59.999999 of that day, as `meds_etl` has it.
    End,
}

/// Index into [`Records::sets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetIndex(pub usize);

/// Concepts that mean the same to the study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConceptSet {
    /// As `self_harm`.
    pub name: String,
    /// At least one.
    pub include: Vec<Member>,
    /// Taken out again, whatever included them.
    pub exclude: Vec<Member>,
    /// Where the set comes from, for people to read.
    pub source: Option<String>,
}

/// One line of a concept set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which concept.
    pub concept: ConceptRef,
    /// And all below it in `concept_ancestor`.
    pub descendants: bool,
}

/// How the study names a concept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConceptRef {
    /// By OMOP's number; a site whose vocabulary has another name for it refuses.
    Id {
        /// Above 0.
        id: i64,
        /// The asserted name.
        name: String,
    },
    /// By its code in a vocabulary, as `ATC:N05A`: found in the site's own `concept` table.
    Code {
        /// `vocabulary_id`.
        vocabulary: String,
        /// `concept_code`.
        code: String,
    },
}

/// Tables that events are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordTable {
    /// `visit_occurrence`.
    Visit,
    /// `visit_detail`.
    VisitDetail,
    /// `condition_occurrence`.
    Condition,
    /// `drug_exposure`.
    Drug,
    /// `procedure_occurrence`.
    Procedure,
    /// `measurement`.
    Measurement,
    /// `observation`.
    Observation,
    /// `death`.
    Death,
    /// Those of `visit_occurrence` that a binding tells; its criterion has no set.
    Stay(BindingIndex),
}

/// Events of one table, by their standard concept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Criterion {
    /// Which table.
    pub table: RecordTable,
    /// Which concepts; all records of the table without it (`death` never has one).
    pub set: Option<SetIndex>,
}

/// `[cohort.NAME]` that a task names: who is asked about, and when. One example a person, task and horizon: of several entry events
/// that fit, the one that starts first (at one moment, the one that ends first, where no end is recorded at its start;
/// then in the stream's order).
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    /// As `first_episode`.
    pub name: String,
    /// Any of these.
    pub entry: Vec<Criterion>,
    /// Which of a person's entry events.
    pub limit: Limit,
    /// The index: start or end of the entry event. An event without an end has none later than its start; nor has one
    /// an end before its start where either is a date without a time.
    pub index: Anchor,
    /// Hours from the index to the prediction time; 0 for most studies.
    pub predict_after_hours: u32,
    /// Observed without a gap for at least this long before the day of the index, and on it. For
    /// [`Limit::FirstInAccrual`] it is one more rule.
    pub prior_observation_days: u32,
    /// All of these.
    pub require: Vec<Rule>,
    /// None of these.
    pub exclude: Vec<Rule>,
}

/// Which entry events count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The first in all of a person's record; nobody whose first lies outside `accrual`.
    FirstEver,
    /// The first whose index lies in `accrual` and that meets every rule.
    FirstInAccrual,
}

/// An end of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Where it starts.
    Start,
    /// Where it ends.
    End,
}

/// A condition on a person at the index.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Whole years on the day of the index, both included. A person without a year of birth does not meet it, nor one
    /// who was born later; where the month is not recorded, 1 July stands for the birthday, where the day is not (or the
    /// month has no such day), the 15th.
    Age {
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
    /// A death on or before the prediction time: dated deaths count from the start of their day.
    DiedBefore,
    /// At least this many such events in the window.
    Has {
        /// What.
        events: Criterion,
        /// When.
        window: Window,
        /// At least 1.
        count_min: u32,
    },
    /// The entry event lasts beyond the prediction time, or is not over; for windows within a stay.
    StillThere,
    /// Any contact of the binding that began up to the prediction time. Everybody meets it at a site that leaves the
    /// binding out.
    SeenBy(BindingIndex),
    /// Another event of the cohort's entry, later in their order than the entry event itself, starts on the day of the
    /// index or up to this many days after it: the end of the stay was a transfer. The one rule that looks beyond the
    /// prediction time; it says whom the study is about, and no feature sees it.
    TransferWithin {
        /// At least 0.
        days: u32,
    },
}

/// A stretch of time beside the index. It never reaches beyond the prediction time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Whole days beside the day of the index, both included: `[-30, 0]`. What is after the prediction time on its
    /// own day is left out.
    Days {
        /// First, at most `to`.
        from: i32,
        /// Last, at most 0.
        to: i32,
    },
    /// Hours beside the moment of the index, both ends included: `["0h", "24h"]`.
    Hours {
        /// First, at most `to`.
        from: i32,
        /// Last.
        to: i32,
    },
}

/// The task's outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Any of these, at or after the start of the time at risk, and not after a day on which the person died. Where a
    /// death is one of them, a death in the time at risk settles it, and one before the time at risk ends observation:
    /// it is never an example without the outcome.
    pub any_of: Vec<Criterion>,
    /// It starts at least this many days after the day of the index; beside the time at risk, which counts from the
    /// prediction.
    pub gap_days_min: u32,
    /// The time at risk.
    pub at_risk: AtRisk,
    /// Whether people with the outcome before the prediction time are asked about.
    pub prior: PriorOutcome,
    /// What becomes of people who were not observed to the end of the time at risk.
    pub short_follow_up: ShortFollowUp,
    /// What a death before the outcome is.
    pub death: Death,
}

/// When an outcome counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtRisk {
    /// Whole days after the day of the prediction time, both included.
    Days {
        /// First, at least 1: what is on the same day is a predictor.
        from: u32,
        /// Last: the horizons, rising, at least one. Each is asked about for itself: whoever was observed to the
        /// end of one may be lost for a later one.
        to: Vec<u32>,
    },
    /// After the prediction time, to the end of the hospital stay (`visit_occurrence`) that the entry event belongs
    /// to, or is. An outcome that is only dated counts on the day of that end, and so does any on the day of an end that
    /// is only dated. Nobody without such a stay, or whose stay was over at the prediction time (by its day, where the end
    /// is only dated), is asked about. A stay without an end is not over: nobody is observed to its end.
    Stay,
}

/// Whether people with a prior outcome are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriorOutcome {
    /// They are.
    Keep,
    /// They are not; it removes the people at highest risk. At the prediction time counts as before.
    Remove,
}

/// What becomes of people whose observation ends within the time at risk.
#[derive(Debug, Clone, PartialEq)]
pub enum ShortFollowUp {
    /// No example of theirs, whether or not the outcome happened before. Whoever died by a competing death, or by one that
    /// is the outcome, is not lost.
    Drop,
    /// An example if the outcome, or a competing death, happened before, as PatientLevelPrediction's `includeAllOutcomes`.
    KeepIfOutcome,
    /// The same people make examples; who is known counts for those like them who were lost, by inverse probability of censoring (Graf et al., Statistics in Medicine 18, 1999).
    Weighted(Followed),
}

/// Which share of people is still observed so many days after the prediction: a published curve, since one that is
/// computed from the data would make each person's example depend on everybody's record.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// Day, from 1 on and rising, and share in (0, 1], never rising. Straight lines between, from 1 on day 0; the last
    /// point holds beyond it.
    pub points: Vec<(u32, f64)>,
}

impl Followed {
    /// The share on a day.
    #[must_use]
    pub fn share(&self, day: u32) -> f64 {
        let mut before = (0, 1.0);
        for &(at, share) in &self.points {
            if day <= at {
                let part = f64::from(day - before.0) / f64::from(at - before.0);
                return before.1 + part * (share - before.1);
            }
            before = (at, share);
        }
        before.1
    }

    /// How much somebody counts of whom all was known on `day`, up to `horizon`: the share on the day of the horizon by
    /// that on theirs, so that whoever was observed to the end counts 1 and nobody more.
    ///
    /// # Privacy
    /// In (0, 1], of this person's own record and the study alone.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "examples are in f32")]
    pub fn weight(&self, day: u32, horizon: u32) -> f32 {
        (self.share(horizon) / self.share(day.min(horizon))) as f32
    }
}

/// What a death before the outcome is, where deaths are no outcome themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// A competing event: the outcome did not happen and cannot any more, so that nothing was left to observe.
    Competing,
    /// The end of observation.
    Censoring,
}

impl AtRisk {
    /// The last day of each prediction; none where the end of a stay is it.
    #[must_use]
    pub fn horizons(&self) -> Vec<Option<u32>> {
        match self {
            Self::Days { to, .. } => to.iter().copied().map(Some).collect(),
            Self::Stay => vec![None],
        }
    }
}

impl Window {
    /// As study files write it.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Days { from, to } => format!("{from} to {to} days"),
            Self::Hours { from, to } => format!("{from} to {to} hours"),
        }
    }
}

impl Records {
    /// The last day of an index whose time at risk, to this horizon, is over when the study's follow-up ends.
    #[must_use]
    pub fn last_followed(&self, task: &RecordTask, horizon_days: u32) -> Option<Date> {
        let days = i64::from(horizon_days) + i64::from(task.cohort.predict_after_hours.div_ceil(24));
        self.followup_to.checked_sub(days.days()).ok()
    }
}

impl Outcome {
    /// Whether a death is itself an outcome: it competes with none then, whatever [`Outcome::death`] says.
    #[must_use]
    pub fn is_death(&self) -> bool {
        self.any_of.iter().any(|one| one.table == RecordTable::Death)
    }
}

impl RecordTable {
    /// OMOP's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visit | Self::Stay(_) => "visit_occurrence",
            Self::VisitDetail => "visit_detail",
            Self::Condition => "condition_occurrence",
            Self::Drug => "drug_exposure",
            Self::Procedure => "procedure_occurrence",
            Self::Measurement => "measurement",
            Self::Observation => "observation",
            Self::Death => "death",
        }
    }
}

impl ConceptRef {
    /// For people: `Psychotic disorder (436073)` or `ATC:N05A`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Id { id, name } => format!("{name} ({id})"),
            Self::Code { vocabulary, code } => format!("{vocabulary}:{code}"),
        }
    }
}

impl Records {
    /// A set by its index.
    #[must_use]
    pub fn set(&self, index: SetIndex) -> &ConceptSet {
        &self.sets[index.0]
    }

    /// The name of something that notes are asked about.
    ///
    /// # Panics
    /// Where the study asks nothing of notes, or less.
    #[must_use]
    pub fn noted(&self, index: NoteIndex) -> &str {
        match self.notes.as_ref().expect("a covariate of notes has notes") {
            Notes::Lexicon(concepts) => &concepts[index.0].name,
            Notes::Nlp(sets) => &self.set(sets[index.0]).name,
        }
    }

    /// Whether the time at risk of any task is a stay.
    #[must_use]
    pub fn any_of_stay(&self) -> bool {
        self.tasks.iter().any(|task| task.outcome.at_risk == AtRisk::Stay)
    }

    /// Every rule of every task's cohort.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.tasks.iter().flat_map(|task| task.cohort.require.iter().chain(&task.cohort.exclude))
    }

    /// Every criterion that is looked for here, the entries' and the outcomes' first; the same one may come twice.
    pub fn criteria(&self) -> impl Iterator<Item = Criterion> {
        let rules = self.rules().filter_map(|rule| match rule {
            Rule::Has { events, .. } => Some(*events),
            Rule::SeenBy(binding) if self.binding(*binding).in_force == InForce::Absent => None,
            Rule::SeenBy(binding) => Some(Criterion { table: RecordTable::Stay(*binding), set: None }),
            Rule::Age { .. } | Rule::DiedBefore | Rule::StillThere | Rule::TransferWithin { .. } => None,
        });
        let covariates = self.covariates.iter().filter_map(|covariate| match covariate {
            Covariate::Present { events, .. }
            | Covariate::Count { events, .. }
            | Covariate::Measured { events, .. } => Some(*events),
            Covariate::Age | Covariate::Sex { .. } | Covariate::Noted { .. } => None,
        });
        let of_task = |task: &RecordTask| {
            task.cohort.entry.iter().chain(&task.outcome.any_of).copied().collect::<Vec<_>>()
        };
        self.tasks.iter().flat_map(of_task).chain(rules).chain(covariates)
    }
}
