//! Sites as they differ: who is treated, and what is written down about them.
//!
//! The six named services have contrasts that are chosen so that each lacks something: where a
//! predictor hardly varies or is hardly recorded, a site alone cannot learn it, and where habits
//! stand in for severity (who is given a questionnaire, who is prescribed what), it learns the
//! habit. Further sites are blends of two of the six.

use super::person::{EthnicityColumn, MISSING_ETHNICITIES};

/// One service. Shares and probabilities are in [0, 1] unless said otherwise; "per severity" is the
/// change for one standard deviation of severity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SiteProfile {
    /// Fits a folder's and a site's name.
    pub(super) name: &'static str,
    /// Size relative to the other sites.
    pub(super) weight: u64,
    /// Years: centre, standard deviation, youngest, oldest.
    pub(super) age: [f64; 4],
    /// Share of women.
    pub(super) female: f64,
    /// Shares of depression, psychosis, bipolar and other.
    pub(super) diagnosis: [f64; 4],
    /// Shift of severity, standard deviations.
    pub(super) severity: f64,
    /// How common earlier self-harm is, before severity, alcohol and age.
    pub(super) prior_self_harm: f64,
    /// Mean earlier admissions, before diagnosis and self-harm.
    pub(super) admissions: f64,
    /// How long people go unseen: 1 reaches a year, 0.1 a tenth of one.
    pub(super) contact_gap: f64,
    /// How common alcohol misuse is, before severity.
    pub(super) alcohol: f64,
    /// Shift of the deprivation quintile; negative is poorer.
    pub(super) deprivation: f64,
    /// Shares of white, asian, black, mixed and other.
    pub(super) ethnicity: [f64; 5],
    /// What the service itself changes: added to the logit of the true risk.
    pub(super) logit_shift: f64,
    /// Antidepressants per severity: confounding by indication, with the sign of local custom.
    pub(super) antidepressant_per_severity: f64,
    /// The same for antipsychotics.
    pub(super) antipsychotic_per_severity: f64,
    /// How people are written down.
    pub(super) habits: Habits,
}

/// What is written down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Habits {
    /// Share of people with sex recorded.
    pub(super) sex: f64,
    /// Share of people with a PHQ-9.
    pub(super) phq9: f64,
    /// The same per severity: some services ask the worst off, others spare them.
    pub(super) phq9_per_severity: f64,
    /// Share of people with a body mass index.
    pub(super) bmi: f64,
    /// Share of alcohol misuse that is coded.
    pub(super) alcohol: f64,
    /// Share of earlier self-harm that is coded.
    pub(super) prior_self_harm: f64,
    /// Share of prescriptions that are coded.
    pub(super) drugs: f64,
    /// Share of people with a deprivation quintile.
    pub(super) deprivation: f64,
    /// Share of people with an ethnicity.
    pub(super) ethnicity: f64,
    /// Where it is missing: shares of unknown, not asked and refused.
    pub(super) ethnicity_missing: [f64; MISSING_ETHNICITIES],
    /// Where OMOP records keep it.
    pub(super) ethnicity_column: EthnicityColumn,
    /// Share of diagnoses coded as a kind of the disorder, not as the disorder.
    pub(super) specific_codes: f64,
    /// Share of self-harm that is coded as an observation, not as a condition.
    pub(super) self_harm_as_observation: f64,
    /// Whether OMOP's PERSON holds month and day of birth.
    pub(super) day_of_birth: bool,
}

const NAMES: [&str; 26] = [
    "ashford",
    "brackley",
    "corby",
    "dunmore",
    "eastleigh",
    "fulwood",
    "garston",
    "hadleigh",
    "ilminster",
    "jarrow",
    "kelso",
    "ludlow",
    "malton",
    "newmarket",
    "oakham",
    "penrith",
    "quorn",
    "redhill",
    "selby",
    "tenby",
    "upton",
    "ventnor",
    "wetherby",
    "exmouth",
    "yarm",
    "zeal",
];

/// The site with this ordinal, from 0 (below 26).
pub(super) fn of_site(ordinal: u64) -> SiteProfile {
    let at = usize::try_from(ordinal).expect("at most 26 sites");
    if let Some(named) = named(at) {
        return named;
    }
    // Neighbours three or five apart among the six, in shares that repeat only after 26 sites.
    let first = named(at % 6).expect("below 6");
    let second = named((at + if at % 2 == 0 { 3 } else { 5 }) % 6).expect("below 6");
    let share = [0.35, 0.45, 0.55, 0.65][at / 6 % 4];
    SiteProfile { name: NAMES[at], weight: 5 + ordinal * 7 % 13, ..first.blend(&second, share) }
}

fn named(at: usize) -> Option<SiteProfile> {
    Some(match at {
        // A large general service for adults of working age.
        0 => SiteProfile {
            name: NAMES[0],
            weight: 33,
            age: [41.0, 14.0, 18.0, 75.0],
            female: 0.55,
            diagnosis: [0.42, 0.20, 0.13, 0.25],
            severity: 0.0,
            prior_self_harm: 0.24,
            admissions: 0.9,
            contact_gap: 1.0,
            alcohol: 0.18,
            deprivation: 0.0,
            ethnicity: [0.70, 0.12, 0.09, 0.04, 0.05],
            logit_shift: 0.0,
            antidepressant_per_severity: 0.25,
            antipsychotic_per_severity: 0.25,
            habits: Habits {
                sex: 0.99,
                phq9: 0.25,
                phq9_per_severity: 0.20,
                bmi: 0.60,
                alcohol: 0.85,
                prior_self_harm: 0.92,
                drugs: 0.96,
                deprivation: 0.95,
                ethnicity: 0.91,
                ethnicity_missing: [0.4, 0.4, 0.2],
                ethnicity_column: EthnicityColumn::Race,
                specific_codes: 0.8,
                self_harm_as_observation: 0.3,
                day_of_birth: true,
            },
        },
        // A small early-intervention service: young, mostly psychosis.
        1 => SiteProfile {
            name: NAMES[1],
            weight: 7,
            age: [23.0, 4.0, 18.0, 32.0],
            female: 0.42,
            diagnosis: [0.08, 0.82, 0.07, 0.03],
            severity: 0.2,
            prior_self_harm: 0.24,
            admissions: 0.8,
            contact_gap: 0.3,
            alcohol: 0.22,
            deprivation: -0.4,
            ethnicity: [0.45, 0.20, 0.22, 0.08, 0.05],
            logit_shift: -0.3,
            antidepressant_per_severity: 0.20,
            antipsychotic_per_severity: -0.25,
            habits: Habits {
                sex: 0.98,
                phq9: 0.40,
                phq9_per_severity: -0.30,
                bmi: 0.80,
                alcohol: 0.90,
                prior_self_harm: 0.95,
                drugs: 0.95,
                deprivation: 0.90,
                ethnicity: 0.86,
                ethnicity_missing: [0.2, 0.3, 0.5],
                ethnicity_column: EthnicityColumn::Race,
                specific_codes: 0.6,
                self_harm_as_observation: 0.1,
                day_of_birth: true,
            },
        },
        // A service for older people: the rarest outcome; PHQ-9 is hardly used.
        2 => SiteProfile {
            name: NAMES[2],
            weight: 22,
            age: [74.0, 7.0, 60.0, 90.0],
            female: 0.60,
            diagnosis: [0.66, 0.08, 0.06, 0.20],
            severity: -0.2,
            prior_self_harm: 0.06,
            admissions: 0.7,
            contact_gap: 1.8,
            alcohol: 0.08,
            deprivation: 0.3,
            ethnicity: [0.92, 0.04, 0.02, 0.01, 0.01],
            logit_shift: 0.08,
            antidepressant_per_severity: 0.30,
            antipsychotic_per_severity: 0.25,
            habits: Habits {
                sex: 0.995,
                phq9: 0.08,
                phq9_per_severity: 0.08,
                bmi: 0.70,
                alcohol: 0.80,
                prior_self_harm: 0.85,
                drugs: 0.97,
                deprivation: 0.97,
                ethnicity: 0.80,
                ethnicity_missing: [0.7, 0.3, 0.0],
                ethnicity_column: EthnicityColumn::Ethnicity,
                specific_codes: 0.9,
                self_harm_as_observation: 0.5,
                day_of_birth: false,
            },
        },
        // A crisis team: the commonest outcome; almost everybody has harmed themselves before.
        3 => SiteProfile {
            name: NAMES[3],
            weight: 10,
            age: [36.0, 12.0, 18.0, 75.0],
            female: 0.58,
            diagnosis: [0.30, 0.15, 0.15, 0.40],
            severity: 0.3,
            prior_self_harm: 0.95,
            admissions: 2.2,
            contact_gap: 0.12,
            alcohol: 0.34,
            deprivation: -0.5,
            ethnicity: [0.66, 0.10, 0.12, 0.06, 0.06],
            logit_shift: -0.45,
            antidepressant_per_severity: -0.30,
            antipsychotic_per_severity: -0.30,
            habits: Habits {
                sex: 0.94,
                phq9: 0.50,
                phq9_per_severity: 0.30,
                bmi: 0.35,
                alcohol: 0.90,
                prior_self_harm: 0.98,
                drugs: 0.90,
                deprivation: 0.85,
                ethnicity: 0.72,
                ethnicity_missing: [0.3, 0.6, 0.1],
                ethnicity_column: EthnicityColumn::Observation,
                specific_codes: 0.3,
                self_harm_as_observation: 0.7,
                day_of_birth: true,
            },
        },
        // A suburban service, mostly depression: alcohol is hardly coded, ethnicity mostly unknown.
        4 => SiteProfile {
            name: NAMES[4],
            weight: 16,
            age: [46.0, 14.0, 18.0, 88.0],
            female: 0.57,
            diagnosis: [0.78, 0.02, 0.04, 0.16],
            severity: -0.1,
            prior_self_harm: 0.20,
            admissions: 0.3,
            contact_gap: 1.0,
            alcohol: 0.20,
            deprivation: 0.5,
            ethnicity: [0.84, 0.08, 0.03, 0.03, 0.02],
            logit_shift: 0.0,
            antidepressant_per_severity: -0.30,
            antipsychotic_per_severity: 0.10,
            habits: Habits {
                sex: 0.99,
                phq9: 0.60,
                phq9_per_severity: -0.30,
                bmi: 0.50,
                alcohol: 0.06,
                prior_self_harm: 0.70,
                drugs: 0.95,
                deprivation: 0.90,
                ethnicity: 0.24,
                ethnicity_missing: [0.9, 0.1, 0.0],
                ethnicity_column: EthnicityColumn::Race,
                specific_codes: 0.7,
                self_harm_as_observation: 0.2,
                day_of_birth: true,
            },
        },
        // Long-stay rehabilitation: nearly all psychosis, many admissions, no PHQ-9, few addresses.
        5 => SiteProfile {
            name: NAMES[5],
            weight: 12,
            age: [38.0, 8.0, 25.0, 55.0],
            female: 0.36,
            diagnosis: [0.02, 0.92, 0.05, 0.01],
            severity: 0.1,
            prior_self_harm: 0.24,
            admissions: 3.0,
            contact_gap: 0.6,
            alcohol: 0.24,
            deprivation: -0.4,
            ethnicity: [0.50, 0.16, 0.24, 0.06, 0.04],
            logit_shift: -0.25,
            antidepressant_per_severity: 0.30,
            antipsychotic_per_severity: -0.30,
            habits: Habits {
                sex: 0.99,
                phq9: 0.04,
                phq9_per_severity: 0.03,
                bmi: 0.92,
                alcohol: 0.75,
                prior_self_harm: 0.90,
                drugs: 0.97,
                deprivation: 0.30,
                ethnicity: 0.83,
                ethnicity_missing: [0.2, 0.2, 0.6],
                ethnicity_column: EthnicityColumn::Ethnicity,
                specific_codes: 0.95,
                self_harm_as_observation: 0.0,
                day_of_birth: true,
            },
        },
        _ => return None,
    })
}

impl SiteProfile {
    /// Between `self` (at 0) and `other` (at 1); what is no number comes from `self`.
    fn blend(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| a + (b - a) * share;
        let (h, o) = (&self.habits, &other.habits);
        Self {
            name: self.name,
            weight: self.weight,
            age: blend_all(self.age, other.age, share),
            female: mix(self.female, other.female),
            diagnosis: blend_all(self.diagnosis, other.diagnosis, share),
            severity: mix(self.severity, other.severity),
            prior_self_harm: mix(self.prior_self_harm, other.prior_self_harm),
            admissions: mix(self.admissions, other.admissions),
            contact_gap: mix(self.contact_gap, other.contact_gap),
            alcohol: mix(self.alcohol, other.alcohol),
            deprivation: mix(self.deprivation, other.deprivation),
            ethnicity: blend_all(self.ethnicity, other.ethnicity, share),
            logit_shift: mix(self.logit_shift, other.logit_shift),
            antidepressant_per_severity: mix(
                self.antidepressant_per_severity,
                other.antidepressant_per_severity,
            ),
            antipsychotic_per_severity: mix(
                self.antipsychotic_per_severity,
                other.antipsychotic_per_severity,
            ),
            habits: Habits {
                sex: mix(h.sex, o.sex),
                phq9: mix(h.phq9, o.phq9),
                phq9_per_severity: mix(h.phq9_per_severity, o.phq9_per_severity),
                bmi: mix(h.bmi, o.bmi),
                alcohol: mix(h.alcohol, o.alcohol),
                prior_self_harm: mix(h.prior_self_harm, o.prior_self_harm),
                drugs: mix(h.drugs, o.drugs),
                deprivation: mix(h.deprivation, o.deprivation),
                ethnicity: mix(h.ethnicity, o.ethnicity),
                ethnicity_missing: blend_all(h.ethnicity_missing, o.ethnicity_missing, share),
                ethnicity_column: h.ethnicity_column,
                specific_codes: mix(h.specific_codes, o.specific_codes),
                self_harm_as_observation: mix(h.self_harm_as_observation, o.self_harm_as_observation),
                day_of_birth: h.day_of_birth,
            },
        }
    }
}

fn blend_all<const N: usize>(a: [f64; N], b: [f64; N], share: f64) -> [f64; N] {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}
