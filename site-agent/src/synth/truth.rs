//! What is true of the hospitals: `truth.json` for all, `truth.csv` for each person.

use super::coding::{StayColumn, UnitColumn};
use super::course::Course;
use super::files::{CsvFile, write_whole};
use super::person::Person;
use super::risk::{self, Concordance, Term};
use super::{PlannedSite, Summary, SynthError};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

/// One line of figures: a site, or everybody; of one outcome.
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

    /// Whether anybody was counted.
    pub(super) const fn has_people(&self) -> bool {
        self.people > 0
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

/// Columns of `truth.csv`, in order. Of people who were not discharged the last two are empty.
const COLUMNS: [&str; 6] = [
    "person_id",
    "true_risk",
    "first_episode",
    "psychiatric_discharge",
    "true_risk_of_readmission",
    "readmitted_30d",
];

/// A new `truth.csv` in a site's folder.
pub(super) fn create_csv(folder: &Path) -> Result<CsvFile, SynthError> {
    CsvFile::create(folder.join("truth.csv"), COLUMNS)
}

/// Adds what is true of a person.
pub(super) fn write_csv(file: &mut CsvFile, person: &Person, course: &Course) -> Result<(), SynthError> {
    let risk = format!("{:.6}", person.risk);
    let stay = course.stay.as_ref();
    let of_stay = stay.map(|stay| format!("{:.6}", stay.risk));
    file.row(&[
        ("person_id", person.id.into()),
        ("true_risk", risk.as_str().into()),
        ("first_episode", course.is_first_episode(person).into()),
        ("psychiatric_discharge", stay.map(|stay| stay.days.to).into()),
        ("true_risk_of_readmission", of_stay.as_deref().into()),
        ("readmitted_30d", stay.map(|stay| stay.readmitted).into()),
    ])
}

/// Writes the risk models, the sites' habits and the figures.
pub(super) fn write_json(path: &Path, sites: &[PlannedSite], summary: &Summary) -> Result<(), SynthError> {
    let of_sites: Vec<Value> =
        sites.iter().zip(&summary.sites).map(|(site, figures)| of_site(site, figures)).collect();
    let truth = json!({
        "schema": "synth-truth/1",
        "notice": "Invented people: no real record is in here, and nothing was fitted to one.",
        "seed": summary.seed,
        "draw": summary.draw,
        "outcome": "self_harm_365d",
        "omop_index": "the day of the person's one visit with concept 2000000421 (Assessment visit); \
            the outcome is self-harm (2000000200 and descendants, without 2000000220 and descendants) \
            1 to 365 days after it",
        "omop_rules": {
            "psychosis": "2000000120 and descendants, without those of 2000000170 and 2000000180",
            "depression": "2000000110 and descendants, without those of 2000000130 and 2000000170",
            "first_episode": "the first record of psychosis or depression, in conditions, is on the index day: \
                a study that enters people by it asks what true_risk answers",
            "measurement": "a value in another unit than its measurement's own does not count; one without a unit counts",
            "ethnicity": "of two that differ, the one in the site's ethnicity_column is that of table.csv",
        },
        "risk_model": {
            "link": "logit",
            "intercept": risk::INTERCEPT,
            "terms": terms(&risk::TERMS),
            "form": "logit(risk) = intercept + the site's logit_shift + sum of coefficient * (value - centre)",
            "values": "as people live, before the service's recording habits; \
                sites differ in who is treated and what is written down, and by logit_shift",
            "no_effect": ["bmi", "antidepressant", "ethnicity"],
        },
        "overall": summary.overall,
        "readmission": {
            "outcome": "readmitted_30d",
            "omop_index": "the last day of the person's first psychiatric stay (2000000411 and descendants, as a visit or a \
                visit detail) that ends on 2023-01-01 or later; the outcome is another that begins 1 to 30 days after it",
            "risk_model": {
                "link": "logit",
                "intercept": risk::READMISSION_INTERCEPT,
                "terms": terms(&risk::READMISSION_TERMS),
                "form": "as above, with the site's readmission_shift",
            },
            "overall": summary.readmission,
        },
        "notes": "notes_truth.csv has a line for each thing that a note mentions; begin and end count characters from 0. \
            canaries.txt has every name that stands in a note.",
        "sites": of_sites,
    });
    let text = serde_json::to_string_pretty(&truth).expect("plain data") + "\n";
    write_whole(path, &text)
}

fn terms(terms: &[Term]) -> Vec<Value> {
    let of = |t: &Term| json!({ "of": t.of, "coefficient": t.coefficient, "centre": t.centre });
    terms.iter().map(of).collect()
}

fn of_site(site: &PlannedSite, figures: &Figures) -> Value {
    let (habits, coding) = (&site.profile.habits, &site.coding);
    let mut value = serde_json::to_value(figures).expect("plain data");
    value["logit_shift"] = json!(site.profile.logit_shift);
    value["readmission_shift"] = json!(coding.readmission_shift);
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
    value["coding"] = json!({
        "ethnicity_column": habits.ethnicity_column.word(),
        "ethnicity_conflict": coding.ethnicity_conflict,
        "self_harm_as_observation": habits.self_harm_as_observation,
        "specific_codes": habits.specific_codes,
        "finest_codes": coding.fine_codes,
        "drug_products": coding.products,
        "own_codes": coding.own_codes,
        "times_of_day": coding.times,
        "unit_column": match coding.units {
            UnitColumn::Concept => "unit_concept_id",
            UnitColumn::Text => "unit_source_value",
        },
        "unit_missing": coding.unit_missing,
        "unit_wrong": coding.unit_wrong,
        "weight_in": coding.weight.code,
        "hba1c_in": coding.hba1c.code,
        "psychiatric_stay_in": match coding.stays {
            StayColumn::Visit => "visit_occurrence",
            StayColumn::Detail => "visit_detail",
        },
        "known_before": coding.known_before,
        "german_notes": coding.german_notes,
        "note_nlp": coding.note_nlp,
    });
    value
}
