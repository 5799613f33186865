//! What is true of the hospitals: `truth.json` for all, `truth.csv` for each person.

use super::files::{CsvFile, write_whole};
use super::person::Person;
use super::risk::{self, Concordance};
use super::{PlannedSite, Summary, SynthError};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

/// One line of figures: a site, or everybody.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The site, or `overall`.
    pub name: String,
    /// How many people.
    pub people: u64,
    /// How many of them had the outcome.
    pub outcomes: u64,
    /// Their share.
    pub prevalence: f64,
    /// Mean true risk: the prevalence without its chance.
    pub mean_true_risk: f64,
    /// AUROC of the true risks, which no model passes but by chance; none without both outcomes.
    pub auroc_true_risk: Option<f64>,
}

/// Counts of people as they pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    people: u64,
    outcomes: u64,
    risk_sum: f64,
    concordance: Concordance,
}

impl Tally {
    /// Counts one person.
    pub(super) fn add(&mut self, risk: f64, outcome: bool) {
        self.people += 1;
        self.outcomes += u64::from(outcome);
        self.risk_sum += risk;
        self.concordance.add(risk, outcome);
    }

    /// Counts everybody of `other` too.
    pub(super) fn merge(&mut self, other: &Self) {
        self.people += other.people;
        self.outcomes += other.outcomes;
        self.risk_sum += other.risk_sum;
        self.concordance.merge(&other.concordance);
    }

    /// The figures of a tally that has people.
    #[expect(clippy::cast_precision_loss, reason = "at most 10^7 people")]
    pub(super) fn figures(&self, name: &str) -> Figures {
        let people = self.people as f64;
        Figures {
            name: name.to_owned(),
            people: self.people,
            outcomes: self.outcomes,
            prevalence: self.outcomes as f64 / people,
            mean_true_risk: self.risk_sum / people,
            auroc_true_risk: self.concordance.auroc(),
        }
    }
}

/// A new `truth.csv` in a site's folder.
pub(super) fn create_csv(folder: &Path) -> Result<CsvFile, SynthError> {
    CsvFile::create(folder.join("truth.csv"), &["person_id", "true_risk"])
}

/// Adds a person's true risk.
pub(super) fn write_csv(file: &mut CsvFile, person: &Person) -> Result<(), SynthError> {
    file.row(&[("person_id", &person.id), ("true_risk", &format_args!("{:.6}", person.risk))])
}

/// Writes the risk model, the sites' habits and the figures.
pub(super) fn write_json(path: &Path, sites: &[PlannedSite], summary: &Summary) -> Result<(), SynthError> {
    let terms: Vec<Value> = risk::TERMS
        .iter()
        .map(|t| json!({ "of": t.of, "coefficient": t.coefficient, "centre": t.centre }))
        .collect();
    let sites: Vec<Value> =
        sites.iter().zip(&summary.sites).map(|(site, figures)| of_site(site, figures)).collect();
    let truth = json!({
        "schema": "synth-truth/1",
        "notice": "Invented people: no real record is in here, and nothing was fitted to one.",
        "seed": summary.seed,
        "draw": summary.draw,
        "outcome": "self_harm_365d",
        "omop_index": "the day of the person's one visit with concept 2000000421 (Assessment visit); \
            the outcome is self-harm (2000000200 and descendants) 1 to 365 days after it",
        "risk_model": {
            "link": "logit",
            "intercept": risk::INTERCEPT,
            "terms": terms,
            "form": "logit(risk) = intercept + the site's logit_shift + sum of coefficient * (value - centre)",
            "values": "as people live, before the service's recording habits; \
                sites differ in who is treated and what is written down, and by logit_shift",
            "no_effect": ["bmi", "antidepressant", "ethnicity"],
        },
        "overall": summary.overall,
        "sites": sites,
    });
    let text = serde_json::to_string_pretty(&truth).expect("plain data") + "\n";
    write_whole(path, &text)
}

fn of_site(site: &PlannedSite, figures: &Figures) -> Value {
    let habits = &site.profile.habits;
    let mut value = serde_json::to_value(figures).expect("plain data");
    value["logit_shift"] = json!(site.profile.logit_shift);
    value["recorded_share"] = json!({
        "sex": habits.sex,
        "phq9": habits.phq9,
        "phq9_per_severity": habits.phq9_per_severity,
        "bmi": habits.bmi,
        "alcohol_misuse_when_present": habits.alcohol,
        "prior_self_harm_when_present": habits.prior_self_harm,
        "drugs_when_taken": habits.drugs,
        "deprivation_quintile": habits.deprivation,
        "ethnicity": habits.ethnicity,
    });
    value
}
