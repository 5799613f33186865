//! The studies of plays: small, with everything fixed that a test does not ask for.

use super::home::keys_of;
use super::{PLAYERS, SITES, parse};
use consilium_common::key::SecretKey;
use consilium_common::study::Study;
use std::fmt::Write as _;

/// What a study of a test asks for; everything else in it is fixed.
#[derive(Debug, Clone)]
pub struct StudyOf {
    /// Features, each with values from −1 to 1 in columns `c0`, `c1`, …
    pub features: usize,
    /// Widths of hidden layers; none is logistic regression.
    pub hidden: Vec<usize>,
    /// Published for each hospital.
    pub people_public: u64,
    /// q.
    pub sampling_rate: f64,
    /// Rounds.
    pub rounds: u32,
    /// Private steps in a round.
    pub local_steps: u32,
    /// σ.
    pub noise_multiplier: f64,
    /// Milliseconds.
    pub reply_tick_ms: u32,
    /// A column of which it is only counted how often it is recorded.
    pub only_counted: Option<&'static str>,
    /// A column `role` says who trains, instead of the site's hash.
    pub role_column: bool,
}

/// C of every study here: small, so that everybody is clipped.
pub const CLIP_NORM: f64 = 0.01;
/// Of every study here that splits by a column.
pub const TRAINING_SHARE: f64 = 0.7;
impl StudyOf {
    /// The step size at which an update, in its own units of 2^-24, is the noised sum in lattice units
    /// (s = 2^18) with the other sign: C · rate / (s · denominator) = 2^-24.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        let denominator = self.sampling_rate * self.people_public as f64 * TRAINING_SHARE;
        denominator / (CLIP_NORM * 64.0)
    }

    /// The study's file, with these keys on its roster.
    #[must_use]
    pub fn text(&self, keys: &[SecretKey]) -> String {
        let mut sites = String::new();
        for (name, key) in SITES.iter().zip(keys) {
            let (key, people) = (key.public(), self.people_public);
            let _ = write!(
                sites,
                "[[site]]\nname = \"{name}\"\nkey = \"{key}\"\npeople_public = {people}\nweight = 1.0\n"
            );
        }
        let mut features = String::new();
        for i in 0..self.features {
            let _ = write!(
                features,
                "[[features.column]]\nname = \"c{i}\"\ncolumn = \"c{i}\"\nrange = [-1, 1]\n"
            );
        }
        let split = if self.role_column {
            r#"{ type = "column", column = "role", train = "train", evaluate = "test" }"#
        } else {
            r#"{ type = "site-hash" }"#
        };
        let model = if self.hidden.is_empty() {
            "family = \"logistic\"".to_owned()
        } else {
            format!("family = \"mlp\"\nhidden = {:?}", self.hidden)
        };
        let (share, attribute) = match self.only_counted {
            Some(column) => (
                "told = 0.5".to_owned(),
                format!(
                    "[[attribute]]\nname = \"told\"\ncolumn = \"{column}\"\nuse = \"completeness-only\"\n"
                ),
            ),
            None => <(String, String)>::default(),
        };
        let Self { sampling_rate, rounds, local_steps, noise_multiplier, reply_tick_ms, .. } = self;
        let learning_rate = self.learning_rate();
        format!(
            r#"schema = "study/1"
id = "audit"
version = "1.0.0"
title = "An audit of the mechanism"
kind = "prognostic"

{sites}
[intended_use]
statement = "Shows that the mechanism is what it claims."
users = ["auditors"]
output = "probability"
prohibited = ["deciding who is offered or refused care"]
rationale = "Nobody in these tables exists."

[governance]
sponsor = "A test"
permitted_purpose = "scientific-research"
valid_from = 2025-01-01
valid_until = 2035-12-31
lay_summary = "Made-up people test whether made-up people can be recognised."

[data]
format = ["table"]
person_id = "person_id"

[[task]]
name = "outcome"
outcome = {{ column = "y", positive = ["1"], negative = ["0"] }}

{features}
[missing]
indicator = false
impute = "constant-midrange"

[split]
by = "person"
internal = {split}
training_share = {TRAINING_SHARE}

[model]
{model}
class_weights = "none"

[privacy]
unit = "person"
neighbours = "add_remove_one"
mode = "local"
accountant = "pld"
delta = 1e-5
epsilon = {{ training_people = 90.0, evaluation_people = 3.0 }}
person_total_max = 100.0
on_exhausted = "stop"
spare_evaluations = 1

[privacy.training]
sampling_rate = {sampling_rate}
rounds = {rounds}
local_steps = {local_steps}
spare_rounds = 1
noise_multiplier = {noise_multiplier:?}
clip_norm = {CLIP_NORM:?}
learning_rate = {learning_rate:?}
proximal = 0.0
quorum = 3
deadline_s = 600
reply_tick_ms = {reply_tick_ms}

[privacy.evaluation_shares]
overall = 1.0
sex = 0.5
{share}

[evaluation]
metrics = ["auroc"]
release = "dp-score-histogram"
bins = 10
interval = "bootstrap-with-dp-noise"
level = 0.95

[[attribute]]
name = "sex"
column = "sex"
levels = ["f", "m"]
{attribute}
[subgroups]
groups = [["sex"]]
max_standard_error = 0.05

[disclosure]
min_count = 11
round_to = 5
min_sites = 3
"#
        )
    }

    /// The study itself, with keys of nobody on its roster.
    ///
    /// # Panics
    /// The parameters make no study.
    #[must_use]
    pub fn study(&self) -> Study {
        parse(&self.text(&keys_of(PLAYERS)))
    }
}
