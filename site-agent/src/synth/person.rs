//! One invented person: how they live, and what the service wrote down.
//!
//! The true risk is a function of how people live; a model sees only what was written down. That is
//! why no model reaches the AUROC of the true risks.

use super::PlannedSite;
use super::chance::{Chance, Draw, Purpose};
use super::profile::SiteProfile;
use super::risk;

/// Most earlier admissions of one person.
pub(super) const ADMISSIONS_MAX: u8 = 20;
/// Person ids of one site start this far after those of the site before; above [`super::PEOPLE_MAX`].
const IDS_PER_SITE: u64 = 20_000_000;
/// Ways in which an ethnicity can be missing.
pub(super) const MISSING_ETHNICITIES: usize = 3;
/// Age is drawn again at most this often when it leaves the service's range, then clamped.
const AGE_DRAWS_MAX: u32 = 16;

/// A person of a site.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Person {
    /// Unique over all sites.
    pub(super) id: u64,
    /// How they live.
    pub(super) lived: Lived,
    /// What the service wrote down.
    pub(super) recorded: Recorded,
    /// The true probability of self-harm within 365 days after the index day.
    pub(super) risk: f64,
    /// Whether it happened.
    pub(super) outcome: bool,
}

/// In the order of a profile's shares.
const DIAGNOSES: [Diagnosis; 4] =
    [Diagnosis::Depression, Diagnosis::Psychosis, Diagnosis::Bipolar, Diagnosis::Other];
const ETHNICITIES: [Ethnicity; 5] =
    [Ethnicity::White, Ethnicity::Asian, Ethnicity::Black, Ethnicity::Mixed, Ethnicity::Other];
const MISSING: [MissingEthnicity; MISSING_ETHNICITIES] =
    [MissingEthnicity::Unknown, MissingEthnicity::NotAsked, MissingEthnicity::Refused];

/// How a person lives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lived {
    /// Years at the index day, 18 to 90.
    pub(super) age: u8,
    /// Women and men.
    pub(super) female: bool,
    /// The main disorder.
    pub(super) diagnosis: Diagnosis,
    /// What a PHQ-9 would find, 0 to 27.
    pub(super) phq9: u8,
    /// Harmful drinking.
    pub(super) alcohol: bool,
    /// Any self-harm before the index day.
    pub(super) prior_self_harm: bool,
    /// Stays in hospital before the index day, 0 to 20.
    pub(super) prior_admissions: u8,
    /// Days from the last contact to the index day, 0 to 365.
    pub(super) days_since_last_contact: u16,
    /// Body mass index in tenths of kg/m².
    pub(super) bmi_tenths: u16,
    /// Takes an antidepressant.
    pub(super) antidepressant: bool,
    /// Takes an antipsychotic.
    pub(super) antipsychotic: bool,
    /// Deprivation of the area, 1 (most) to 5.
    pub(super) deprivation: u8,
    /// As the person would say.
    pub(super) ethnicity: Ethnicity,
}

/// What was written down, where it can differ from life.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recorded {
    /// Sex, or unknown.
    pub(super) sex: Sex,
    /// Coded self-harm before the index day.
    pub(super) prior_self_harm: bool,
    /// The questionnaire, if it was used.
    pub(super) phq9: Option<u8>,
    /// In tenths of kg/m², if it was measured.
    pub(super) bmi_tenths: Option<u16>,
    /// Coded prescription.
    pub(super) antidepressant: bool,
    /// Coded prescription.
    pub(super) antipsychotic: bool,
    /// Coded alcohol misuse.
    pub(super) alcohol: bool,
    /// Quintile, if the address was known.
    pub(super) deprivation: Option<u8>,
    /// Ethnicity, or how it is missing.
    pub(super) ethnicity: RecordedEthnicity,
}

/// Variants with the words that tables use for them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// As tables write it.
            pub(super) const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

words! {
    /// Sex as recorded.
    Sex { Female = "female", Male = "male", Unknown = "unknown" }
}
words! {
    /// The main disorder.
    Diagnosis { Depression = "depression", Psychosis = "psychosis", Bipolar = "bipolar", Other = "other" }
}
words! {
    /// Broad ethnic group.
    Ethnicity { White = "white", Asian = "asian", Black = "black", Mixed = "mixed", Other = "other" }
}
words! {
    /// How an ethnicity is missing; each is an answer of its own.
    MissingEthnicity { Unknown = "unknown", NotAsked = "not_asked", Refused = "refused" }
}

impl Ethnicity {
    /// Any of the others.
    pub(super) fn another(self, chance: &mut Chance) -> Self {
        let at = ETHNICITIES.iter().position(|ethnicity| *ethnicity == self).expect("one of them");
        ETHNICITIES[(at + 1 + chance.below(4) as usize) % ETHNICITIES.len()]
    }
}

/// Ethnicity as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordedEthnicity {
    /// One of the groups.
    Known(Ethnicity),
    /// None, and why.
    Missing(MissingEthnicity),
}

impl RecordedEthnicity {
    /// As tables write it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Known(ethnicity) => ethnicity.word(),
            Self::Missing(missing) => missing.word(),
        }
    }
}

words! {
    /// Where a site's OMOP records keep ethnicity.
    EthnicityColumn {
        /// `person.race_concept_id`.
        Race = "person.race_concept_id",
        /// `person.ethnicity_concept_id`.
        Ethnicity = "person.ethnicity_concept_id",
        /// A row of OBSERVATION.
        Observation = "observation.value_as_concept_id",
    }
}

/// A site's people, in the order of their ids, drawn one by one.
pub(super) fn people(site: &PlannedSite, draw: Draw) -> impl Iterator<Item = Person> {
    let mut chance = Chance::new(draw, site.ordinal, Purpose::People);
    let first_id = (site.ordinal + 1) * IDS_PER_SITE + 1;
    (0..site.people).map(move |n| {
        let (lived, severity) = live(&site.profile, &mut chance);
        let recorded = record(&site.profile, &lived, severity, &mut chance);
        let risk = risk::true_risk(&lived, &site.profile);
        let outcome = chance.happens(risk);
        Person { id: first_id + n, lived, recorded, risk, outcome }
    })
}

/// How one person of this service lives, and their severity relative to the service's mean.
fn live(site: &SiteProfile, chance: &mut Chance) -> (Lived, f64) {
    let age = age(site.age, chance);
    let female = chance.happens(site.female);
    let kind = chance.pick(&site.diagnosis);
    let diagnosis = DIAGNOSES[kind];
    let relative = chance.bell();
    let severity = site.severity + relative;
    let phq9 = whole([14.0, 9.0, 11.0, 8.0][kind] + 5.0 * severity, 0, 27);
    let alcohol = chance.happens(site.alcohol * (1.0 + 0.3 * severity));
    let by_age = match age {
        ..30 => 1.2,
        65.. => 0.8,
        _ => 1.0,
    };
    let by_alcohol = if alcohol { 1.25 } else { 1.0 };
    let prior = site.prior_self_harm * (1.0 + 0.35 * severity) * by_alcohol * by_age;
    let prior_self_harm = chance.happens(prior.clamp(0.01, 0.95));
    let by_history = if prior_self_harm { 1.4 } else { 0.85 };
    let admissions = site.admissions * [0.8, 1.4, 1.3, 0.8][kind] * by_history;
    let gap = (site.contact_gap * chance.unit() * chance.unit()).min(1.0);
    let weight = 26.5 + 4.5 * chance.bell() + if diagnosis == Diagnosis::Psychosis { 1.5 } else { 0.0 };
    let antidepressant = [0.6, 0.25, 0.4, 0.4][kind] + site.antidepressant_per_severity * relative;
    let antipsychotic = [0.15, 0.8, 0.6, 0.15][kind] + site.antipsychotic_per_severity * relative;
    let lived = Lived {
        age,
        female,
        diagnosis,
        phq9,
        alcohol,
        prior_self_harm,
        prior_admissions: chance.geometric(admissions, ADMISSIONS_MAX),
        days_since_last_contact: whole(365.0 * gap, 0, 365),
        bmi_tenths: whole(10.0 * weight, 120, 600),
        antidepressant: chance.happens(antidepressant.clamp(0.02, 0.98)),
        antipsychotic: chance.happens(antipsychotic.clamp(0.02, 0.98)),
        deprivation: whole(3.0 + site.deprivation + 1.4 * chance.bell(), 1, 5),
        ethnicity: ETHNICITIES[chance.pick(&site.ethnicity)],
    };
    (lived, relative)
}

fn age([centre, spread, youngest, oldest]: [f64; 4], chance: &mut Chance) -> u8 {
    let mut years = centre + spread * chance.bell();
    for _ in 1..AGE_DRAWS_MAX {
        if (youngest..=oldest).contains(&years) {
            break;
        }
        years = centre + spread * chance.bell();
    }
    whole(years.clamp(youngest, oldest), 18, 90)
}

/// What this service writes down about them.
fn record(site: &SiteProfile, lived: &Lived, severity: f64, chance: &mut Chance) -> Recorded {
    let habits = &site.habits;
    let sex = if !chance.happens(habits.sex) {
        Sex::Unknown
    } else if lived.female {
        Sex::Female
    } else {
        Sex::Male
    };
    let asked = habits.phq9 + habits.phq9_per_severity * severity;
    let asked = chance.happens(asked.clamp(0.01, 0.99));
    let measured = chance.happens(habits.bmi);
    let addressed = chance.happens(habits.deprivation);
    let ethnicity = if chance.happens(habits.ethnicity) {
        RecordedEthnicity::Known(lived.ethnicity)
    } else {
        RecordedEthnicity::Missing(MISSING[chance.pick(&habits.ethnicity_missing)])
    };
    let mut coded = |happened: bool, share: f64| chance.happens(share) && happened;
    Recorded {
        sex,
        prior_self_harm: coded(lived.prior_self_harm, habits.prior_self_harm),
        phq9: asked.then_some(lived.phq9),
        bmi_tenths: measured.then_some(lived.bmi_tenths),
        antidepressant: coded(lived.antidepressant, habits.drugs),
        antipsychotic: coded(lived.antipsychotic, habits.drugs),
        alcohol: coded(lived.alcohol, habits.alcohol),
        deprivation: addressed.then_some(lived.deprivation),
        ethnicity,
    }
}

/// The nearest whole number within `[low, high]`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a u16's range")]
fn whole<T: TryFrom<u16>>(value: f64, low: u16, high: u16) -> T {
    let nearest = value.round().clamp(f64::from(low), f64::from(high)) as u16;
    T::try_from(nearest).ok().expect("the bounds fit the type")
}
