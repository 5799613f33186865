//! The study: what will be trained, on whom, for what use, at what privacy cost. A study is one
//! TOML file; sites approve its exact bytes, comments included.
//!
//! [`Study`] is the checked form: past [`parse()`] nothing is optional or unchecked.

pub mod bindings;
pub mod card;
pub mod cell;
pub mod check;
mod completeness;
pub mod describe;
pub mod earmarks;
pub mod fill;
mod holdout;
pub mod import;
pub mod limits;
pub mod lookup;
mod mistake;
pub mod notes;
pub mod parse;
mod raw;
pub mod records;
pub mod secure;
mod shape;
#[cfg(test)]
mod shipped;
pub mod vocabulary;

pub use check::{predict, predict_as_published};
pub use completeness::{NOT_ASKED, NotRecorded, RECORDED, REFUSED};
pub use describe::describe;
pub use earmarks::earmarks;
pub use fill::{Choice, Filled, ModeName, fill, fill_shipped, in_mode};
pub use holdout::{Holdout, Validation};
pub use lookup::Lookup;
pub use mistake::{Mistake, Mistakes};
pub use parse::{parse, parse_for_lookup};
use shape::grouping_names;
pub use shape::{CONFLICTING, OVERALL, UNKNOWN, is_overall};

use crate::id::{Digest, SiteName, StudyId};
use crate::key::PublicKey;
use crate::privacy::accountant::Accountant;
use jiff::civil::Date;
use records::Records;

/// A study file that parsed, every mistake ruled out.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Of the file's exact bytes: what an approval binds.
    pub digest: Digest,
    /// Stable name.
    pub id: StudyId,
    /// A new version is a new file to approve.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// What the model is for: `prognostic` or `diagnostic` (TRIPOD+AI item 3a).
    pub kind: String,
    /// The roster, in file order; names and keys are distinct.
    pub sites: Vec<RosterSite>,
    /// Shown verbatim on the approval screen, in the report and in the lay summary.
    pub intended_use: IntendedUse,
    /// Who answers for the study, until when, and who approved it.
    pub governance: Governance,
    /// What a person's examples are made from.
    pub data: Data,
    /// What is predicted; names are distinct.
    pub tasks: Vec<Task>,
    /// The model's inputs, in file order.
    pub features: Vec<Feature>,
    /// How missing values enter.
    pub missing: Missing,
    /// Who trains and who evaluates.
    pub split: Split,
    /// The model's shape.
    pub model: ModelFamily,
    /// Every parameter of the privacy mechanism.
    pub privacy: Privacy,
    /// How the model is judged.
    pub evaluation: Evaluation,
    /// What subgroups are made of.
    pub attributes: Vec<Attribute>,
    /// Subgroups to report.
    pub subgroups: Subgroups,
    /// Rules on top of the noise, applied to noisy counts.
    pub disclosure: Disclosure,
    /// `[report]`: narrative items that no run can know, as the author named them.
    pub report: Vec<(String, String)>,
}

/// One `[[site]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RosterSite {
    /// As enrolled.
    pub name: SiteName,
    /// The site's signing key, compared with the hospital itself.
    pub key: PublicKey,
    /// A published figure or a charged count, never a private one.
    pub people_public: u64,
    /// Public weight in the average, in units of 2^-16 (so 65 536 is 1.0); never 0.
    pub weight: u32,
}

/// `[intended_use]`.
#[derive(Debug, Clone, PartialEq)]
pub struct IntendedUse {
    /// What the model is for.
    pub statement: String,
    /// Who uses it.
    pub users: Vec<String>,
    /// Uses that are ruled out.
    pub prohibited: Vec<String>,
    /// Why.
    pub rationale: String,
}

/// `[governance]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Governance {
    /// Who answers for the study.
    pub sponsor: String,
    /// Checked against a site's policy.
    pub permitted_purpose: String,
    /// No round before this day (UTC).
    pub valid_from: Date,
    /// Agents refuse after the end of this day (UTC).
    pub valid_until: Date,
    /// A paragraph that anybody can read.
    pub lay_summary: String,
    /// Approvals by people outside the software.
    pub approvals: Vec<GovernanceApproval>,
    /// Lists of people who opted out that each site must apply, by name; empty where the study names none.
    pub opt_outs: Vec<String>,
}

/// One `[[governance.approval]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GovernanceApproval {
    /// `ethics`, `irb`, `cag`, `caldicott`, `dpo`, `data-access-body`, `ppi-panel`, `information-governance`.
    pub kind: String,
    /// The approving body's own reference.
    pub reference: String,
    /// Not valid after this day.
    pub expires: Option<Date>,
    /// What the panel changed; printed in the lay summary.
    pub changed: Option<String>,
}

/// What a person's examples are made from.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// A plain table, one row per person.
    Table(TableData),
    /// OMOP records.
    Records(Box<Records>),
}

/// `[data]` with `format = ["table"]`, and the columns that the rest of the file names.
#[derive(Debug, Clone, PartialEq)]
pub struct TableData {
    /// The column with a stable pseudonym, unique in the table.
    pub person_id: String,
    /// Where the outcome of each of [`Study::tasks`] stands, in that order.
    pub outcomes: Vec<OutcomeColumn>,
    /// Where each of [`Study::features`] stands, in that order.
    pub features: Vec<FeatureColumn>,
    /// The column of each of [`Study::attributes`], in that order.
    pub attributes: Vec<String>,
}

/// A `[[task]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// As `self_harm`.
    pub name: String,
    /// For each prediction of the task (each horizon, or the one), a published figure of how many have the
    /// outcome, which the model starts from; never one from these data.
    pub prevalence_public: Vec<Option<f64>>,
}

/// What one output of the model predicts: a task, at one of its horizons.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// The task's name; where the task has several horizons, with the horizon, as `self_harm.365d`.
    pub name: String,
    /// Index into [`Study::tasks`].
    pub task: usize,
    /// Day on which the time at risk ends; none where something else says when.
    pub horizon_days: Option<u32>,
    /// As [`Task::prevalence_public`].
    pub prevalence_public: Option<f64>,
}

/// Where a table holds the outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeColumn {
    /// The column.
    pub column: String,
    /// Cell texts that mean the outcome happened.
    pub positive: Vec<String>,
    /// Cell texts that mean it did not; anything else makes the person's example zero, and is
    /// counted at the site only.
    pub negative: Vec<String>,
}

/// One feature: one input of the model, or one for each level.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// As shown.
    pub name: String,
    /// The unit of a number, as `mm[Hg]`; for people to read.
    pub unit: Option<String>,
    /// How what was found becomes numbers.
    pub encoding: Encoding,
}

/// Where a table holds a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureColumn {
    /// The column.
    pub column: String,
    /// Cell texts, beside the empty one, that mean "not recorded".
    pub missing_values: Vec<String>,
}

/// How what was found becomes numbers. All ranges and levels are public: no scaling from data.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoding {
    /// Clipped to `[low, high]`, then mapped to [−1, 1]; missing is the middle, 0.
    Number {
        /// Public lower end.
        low: f64,
        /// Public upper end, above `low`.
        high: f64,
    },
    /// One 0/1 input per level after the first; an unlisted level counts as missing.
    Category {
        /// Cell texts, the reference level first; at least two, distinct.
        levels: Vec<String>,
    },
    /// One 0/1 input. What is not there did not happen, as far as the record says: it is never missing.
    Flag,
    /// ln(1 + min(n, cap)) / ln(1 + cap), in [0, 1]; never missing.
    Count {
        /// Public bound, at least 1.
        cap: u32,
    },
    /// How far a number lies outside a normal range, over how far it can: in [0, 1]. Inside it, and missing, is 0;
    /// with no input of its own for "not recorded".
    Distance {
        /// Public range that the number is clipped to first.
        range: (f64, f64),
        /// Public normal range, within `range` and smaller.
        normal: (f64, f64),
    },
}

impl Encoding {
    /// Whether "not recorded" is something else than any value, with an input of its own where the study asks for it.
    #[must_use]
    pub const fn can_be_missing(&self) -> bool {
        matches!(self, Self::Number { .. } | Self::Category { .. })
    }
}

/// `[missing]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// One more 0/1 input per feature: "not recorded".
    pub indicator: bool,
}

/// `[split]`: a person's role, training or evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Where the role comes from.
    pub by: SplitBy,
    /// The public share of people who train; in (0, 1).
    pub training_share: f64,
    /// Examples that nobody trains on, by time; only of records.
    pub holdout: Option<Holdout>,
}

/// Where a person's role comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitBy {
    /// The site's own keyed hash of the person's pseudonym, the same in every study: a person's
    /// loss is the larger of two accounts.
    SiteHash,
    /// A column of the table: nothing keeps a person in one role over studies, so both accounts
    /// are charged with everything.
    Column {
        /// The column.
        column: String,
        /// The cell text that means training.
        train: String,
        /// The cell text that means evaluation.
        evaluate: String,
    },
}

/// `[model]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFamily {
    /// Logistic regression.
    Logistic,
    /// A multilayer perceptron with tanh between layers.
    Mlp {
        /// Width of each hidden layer, at least one.
        hidden: Vec<usize>,
    },
}

/// `privacy.mode`: whose noise makes what is released private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each site's own noise makes its update private against everybody.
    Local,
    /// The noise in a secure sum is shared out; the coordinator sees sums only.
    Distributed {
        /// n_C: the sites that may side with the coordinator.
        colluding: u8,
    },
}

impl Mode {
    /// As study files and metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Distributed { .. } => "distributed",
        }
    }
}

/// `[privacy]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Privacy {
    /// `local` or `distributed`.
    pub mode: Mode,
    /// What the study's own caps are held by, and its noise is calibrated by.
    pub accountant: Accountant,
    /// The δ at which every ε here is meant.
    pub delta: f64,
    /// Cap on what training costs a training person.
    pub epsilon_training: f64,
    /// Cap on what evaluation costs an evaluation person.
    pub epsilon_evaluation: f64,
    /// Cap on either account over everything in this study.
    pub person_total_max: f64,
    /// `[privacy.training]`.
    pub training: Training,
    /// `[privacy.evaluation_shares]`: grouping name (`overall`, `sex`, `sex*age_band`) → share; `overall`, then
    /// [`Subgroups::groups`] in that order. Each prediction is released by all of them.
    pub evaluation_shares: Vec<(String, f64)>,
    /// Of the same table: attribute → share, of each of [`Study::completeness`] in that order. Each is released once,
    /// however many predictions there are.
    pub completeness_shares: Vec<(String, f64)>,
    /// Evaluation releases that may be repeated after a crash, each priced.
    pub spare_evaluations: u32,
    /// The k of [`earmarks()`]: follows from all of the above, computed once when the file is parsed.
    pub evaluation_scale: f64,
}

/// `[privacy.training]`: the whole list of training events in advance.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// q.
    pub sampling_rate: f64,
    /// Rounds of the federation.
    pub rounds: u32,
    /// Private steps at each site in a round.
    pub local_steps: u32,
    /// Rounds that may be repeated after a crash at a site, each priced.
    pub spare_rounds: u32,
    /// σ per `clip_norm` on the sum.
    pub noise_multiplier: f64,
    /// C: the largest L2 norm of one person's gradient.
    pub clip_norm: f64,
    /// Step size of the local steps.
    pub learning_rate: f64,
    /// Proximal pull toward the round's model (FedProx's μ); 0 is plain FedAvg.
    pub proximal: f64,
    /// Fewest sites whose updates make a round; in `distributed` mode t, the fewest that a secure sum needs.
    pub quorum: u32,
    /// A round without quorum by then is opened again.
    pub deadline_s: u32,
    /// Replies leave on multiples of this, so that their time tells nothing.
    pub reply_tick_ms: u32,
}

/// `[evaluation]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// What is computed from the histograms, as `auroc`; at no further cost.
    pub metrics: Vec<String>,
    /// Public inner edges between score bins, as probabilities, rising, in (0, 1); bins = edges + 1.
    pub bin_edges: Vec<f64>,
    /// Of the intervals, as 0.95.
    pub level: f64,
}

/// One `[[attribute]]`: what subgroups are made of; not a predictor unless it is also a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// As `age_band`.
    pub name: String,
    /// How what was found becomes a group's value.
    pub values: AttributeValues,
}

/// How a cell becomes a group's value. A cell that fits none is the value `unknown`, a group of
/// its own, always last.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValues {
    /// Listed cell texts, each with the label to print.
    Levels(Vec<(String, String)>),
    /// Half-open bands `[edges[i], edges[i+1])`, labelled `18-25` and so on; rising, at least two.
    Bands(Vec<f64>),
    /// Concepts, each group with its label; no concept is in two. `refused` and `not asked` are such groups where the
    /// file lists their concepts. Fields that say different things are `conflicting`, the last but one.
    Concepts(Vec<(Vec<i64>, String)>),
    /// `use = "completeness-only"` of a table's column: whether anything is recorded, and nothing of what.
    RecordedCells(NotRecorded<String>),
    /// `use = "completeness-only"` of records: the same by concepts, and by what sites' answers to bindings say.
    RecordedConcepts(NotRecorded<i64>),
}

/// `[subgroups]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Subgroups {
    /// Attribute names; several make an intersection. Each is a grouping of its own.
    pub groups: Vec<Vec<String>>,
    /// Wider than this: "too few people to say", never a number.
    pub max_standard_error: f64,
}

/// `[disclosure]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disclosure {
    /// Smaller noisy counts are not shown.
    pub min_count: u64,
    /// Counts are rounded to this.
    pub round_to: u64,
    /// Fewer sites: nothing is published.
    pub min_sites: u32,
}
