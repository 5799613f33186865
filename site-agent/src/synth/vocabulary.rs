//! The invented vocabulary: concepts from 2,000,000,000 on (the range that OMOP leaves to local concepts) and their
//! tree. No content of SNOMED CT, RxNorm, ATC or LOINC is in here; only OMOP's own concepts for sex, for "no matching
//! concept" and for the version of the model are standard ones, and units have their UCUM codes.
//!
//! Beside each condition stands a code of one hospital's own system, which is no standard concept and maps to it.

use super::SynthError;
use super::folders::Folders;
use super::omop::columns;
use super::person::{Diagnosis, Ethnicity, MissingEthnicity, RecordedEthnicity, Sex};
use jiff::civil::{Date, date};

mod concepts;
mod tree;

/// A concept's id.
pub(super) type ConceptId = u32;

/// What the OMOP standard calls "no matching concept".
pub(super) const NONE: ConceptId = 0;
/// The version of the data model, an OMOP concept.
pub(super) const CDM_VERSION: ConceptId = 756_265;
const MALE: ConceptId = 8507;
const FEMALE: ConceptId = 8532;

/// The first id that OMOP leaves to local concepts.
const LOCAL: ConceptId = 2_000_000_000;
/// From a condition to its code in the hospital's own system.
const OWN_SYSTEM: ConceptId = 10_000;

/// Any disorder of the mind, not said which.
pub(super) const MENTAL_DISORDER: ConceptId = LOCAL + 100;
/// Bipolar depression, which stands below depression too.
pub(super) const BIPOLAR_DEPRESSION: ConceptId = LOCAL + 134;
/// Misuse of alcohol: the two kinds in use.
pub(super) const ALCOHOL_MISUSE: [ConceptId; 2] = [LOCAL + 151, LOCAL + 152];
/// Disorders that stand below psychosis or depression and are neither: what a study has to exclude.
pub(super) const LOOKALIKES: [ConceptId; 3] = [LOCAL + 171, LOCAL + 172, LOCAL + 183];
/// Kinds of self-harm that are coded as conditions.
pub(super) const SELF_HARM_CONDITIONS: [ConceptId; 2] = [LOCAL + 201, LOCAL + 202];
/// Kinds of self-harm that are coded as observations.
pub(super) const SELF_HARM_OBSERVATIONS: [ConceptId; 2] = [LOCAL + 211, LOCAL + 212];
/// What earlier self-harm left behind: below self-harm, and none.
pub(super) const LATE_EFFECTS: [ConceptId; 2] = [LOCAL + 221, LOCAL + 2211];
/// Antidepressants in use.
pub(super) const ANTIDEPRESSANTS: [ConceptId; 3] = [LOCAL + 311, LOCAL + 312, LOCAL + 313];
/// Antipsychotics in use.
pub(super) const ANTIPSYCHOTICS: [ConceptId; 3] = [LOCAL + 321, LOCAL + 322, LOCAL + 323];
/// Medicines that say nothing of the mind.
pub(super) const OTHER_MEDICINE: ConceptId = LOCAL + 390;
/// A stay in hospital.
pub(super) const INPATIENT: ConceptId = LOCAL + 410;
/// A stay under a mental-health specialty.
pub(super) const PSYCHIATRIC_STAY: ConceptId = LOCAL + 411;
/// A stay under another one.
pub(super) const GENERAL_STAY: ConceptId = LOCAL + 412;
/// A contact without a stay.
pub(super) const OUTPATIENT: ConceptId = LOCAL + 420;
/// The contact at which a person enters the target cohort.
pub(super) const ASSESSMENT: ConceptId = LOCAL + 421;
/// An emergency department.
pub(super) const EMERGENCY: ConceptId = LOCAL + 430;
/// The same, where a psychiatrist was called.
pub(super) const EMERGENCY_LIAISON: ConceptId = LOCAL + 431;
/// PHQ-9 total score.
pub(super) const PHQ9: ConceptId = LOCAL + 500;
/// GAD-7 total score.
pub(super) const GAD7: ConceptId = LOCAL + 501;
/// Body mass index.
pub(super) const BMI: ConceptId = LOCAL + 510;
/// Body weight.
pub(super) const WEIGHT: ConceptId = LOCAL + 511;
/// Glycated haemoglobin.
pub(super) const HBA1C: ConceptId = LOCAL + 512;
/// Deprivation quintile of the area.
pub(super) const DEPRIVATION: ConceptId = LOCAL + 600;
/// Ethnicity, as a question.
pub(super) const ETHNICITY: ConceptId = LOCAL + 610;
/// Specialties: psychiatry, general medicine, emergency medicine.
pub(super) const SPECIALTIES: [ConceptId; 3] = [LOCAL + 710, LOCAL + 711, LOCAL + 712];
/// Places: a mental-health ward, a mental-health clinic, a general ward, an emergency department.
pub(super) const PLACES: [ConceptId; 4] = [LOCAL + 721, LOCAL + 722, LOCAL + 723, LOCAL + 724];
/// English.
pub(super) const ENGLISH: ConceptId = LOCAL + 751;
/// German.
pub(super) const GERMAN: ConceptId = LOCAL + 752;
/// A note of the assessment.
pub(super) const ASSESSMENT_NOTE: ConceptId = LOCAL + 761;
/// A note of another contact.
pub(super) const CONTACT_NOTE: ConceptId = LOCAL + 762;
/// How notes are encoded.
pub(super) const UTF8: ConceptId = LOCAL + 770;
/// What notes speak of: suicidal thoughts, self-harm, hearing voices, hopelessness, heavy drinking, sleeplessness.
pub(super) const NOTE_TERMS: [ConceptId; 6] =
    [LOCAL + 801, LOCAL + 802, LOCAL + 803, LOCAL + 804, LOCAL + 805, LOCAL + 806];
/// Where every record here comes from.
pub(super) const RECORD_TYPE: ConceptId = LOCAL + 900;
/// The diagnosis for which somebody was admitted.
pub(super) const PRIMARY_DIAGNOSIS: ConceptId = LOCAL + 910;

/// The vocabulary's own name and version.
pub(super) const VERSION: &str = "Synth 2";

/// A unit: its concept, and its code in UCUM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) concept: ConceptId,
    pub(super) code: &'static str,
}

/// Of a score.
pub(super) const SCORE: Unit = Unit { concept: LOCAL + 520, code: "{score}" };
/// Of a body mass index.
pub(super) const KG_PER_M2: Unit = Unit { concept: LOCAL + 530, code: "kg/m2" };
/// Of a weight.
pub(super) const KG: Unit = Unit { concept: LOCAL + 531, code: "kg" };
/// Of a weight, at some sites.
pub(super) const POUND: Unit = Unit { concept: LOCAL + 532, code: "[lb_av]" };
/// Of glycated haemoglobin.
pub(super) const MMOL_PER_MOL: Unit = Unit { concept: LOCAL + 533, code: "mmol/mol" };
/// Of glycated haemoglobin, at some sites.
pub(super) const PER_CENT: Unit = Unit { concept: LOCAL + 534, code: "%" };

/// Kinds of a disorder; the disorder itself comes first.
pub(super) const fn disorder(diagnosis: Diagnosis) -> [ConceptId; 4] {
    let first = match diagnosis {
        Diagnosis::Depression => LOCAL + 110,
        Diagnosis::Psychosis => LOCAL + 120,
        Diagnosis::Bipolar => LOCAL + 130,
        Diagnosis::Other => LOCAL + 140,
    };
    [first, first + 1, first + 2, first + 3]
}

/// What is noticed before there is a diagnosis.
pub(super) const fn symptom(diagnosis: Diagnosis) -> ConceptId {
    match diagnosis {
        Diagnosis::Depression => LOCAL + 191,
        _ => LOCAL + 192,
    }
}

/// The two kinds right below a kind: of a disorder its forms, of an ingredient its products. Only for concepts that have
/// two, which are the kinds of [`disorder`], of self-harm and of medicines.
pub(super) const fn finer(concept: ConceptId) -> [ConceptId; 2] {
    let place = (concept - LOCAL) * 10;
    [LOCAL + place + 1, LOCAL + place + 2]
}

/// A condition in the hospital's own system.
pub(super) const fn own_code(condition: ConceptId) -> ConceptId {
    condition + OWN_SYSTEM
}

/// How the hospital's own system writes a condition.
pub(super) fn own_word(condition: ConceptId) -> String {
    format!("ZX{}", condition - LOCAL)
}

/// OMOP's own concept for sex; none for unknown.
pub(super) const fn sex(sex: Sex) -> ConceptId {
    match sex {
        Sex::Female => FEMALE,
        Sex::Male => MALE,
        Sex::Unknown => NONE,
    }
}

/// Ethnicity, or how it is missing; none for unknown.
pub(super) const fn ethnicity(ethnicity: RecordedEthnicity) -> ConceptId {
    match ethnicity {
        RecordedEthnicity::Known(Ethnicity::White) => LOCAL + 621,
        RecordedEthnicity::Known(Ethnicity::Asian) => LOCAL + 622,
        RecordedEthnicity::Known(Ethnicity::Black) => LOCAL + 623,
        RecordedEthnicity::Known(Ethnicity::Mixed) => LOCAL + 624,
        RecordedEthnicity::Known(Ethnicity::Other) => LOCAL + 625,
        RecordedEthnicity::Missing(MissingEthnicity::NotAsked) => LOCAL + 626,
        RecordedEthnicity::Missing(MissingEthnicity::Refused) => LOCAL + 627,
        RecordedEthnicity::Missing(MissingEthnicity::Unknown) => NONE,
    }
}

const VALID_FROM: Date = date(1970, 1, 1);
const VALID_TO: Date = date(2099, 12, 31);

/// Writes CONCEPT, CONCEPT_ANCESTOR and CONCEPT_RELATIONSHIP.
pub(super) fn write(folders: &Folders) -> Result<(), SynthError> {
    write_concepts(folders)?;
    let mut file = folders.table(&columns::CONCEPT_ANCESTOR)?;
    for (descendant, above) in tree::ancestors() {
        for (ancestor, levels) in above {
            file.row(&[
                ("ancestor_concept_id", ancestor.into()),
                ("descendant_concept_id", descendant.into()),
                ("min_levels_of_separation", levels.min.into()),
                ("max_levels_of_separation", levels.max.into()),
            ])?;
        }
    }
    file.finish()?;
    let mut file = folders.table(&columns::CONCEPT_RELATIONSHIP)?;
    for condition in conditions() {
        let own = own_code(condition.id());
        for (from, to, how) in [(own, condition.id(), "Maps to"), (condition.id(), own, "Mapped from")] {
            file.row(&[
                ("concept_id_1", from.into()),
                ("concept_id_2", to.into()),
                ("relationship_id", how.into()),
                ("valid_start_date", VALID_FROM.into()),
                ("valid_end_date", VALID_TO.into()),
            ])?;
        }
    }
    file.finish()
}

fn conditions() -> impl Iterator<Item = &'static concepts::Concept> {
    concepts::CONCEPTS.iter().filter(|concept| concept.domain == "Condition")
}

fn write_concepts(folders: &Folders) -> Result<(), SynthError> {
    let mut file = folders.table(&columns::CONCEPT)?;
    let mut row =
        |id: ConceptId, name: &str, domain: &str, vocabulary: &str, class: &str, standard, code: &str| {
            file.row(&[
                ("concept_id", id.into()),
                ("concept_name", name.into()),
                ("domain_id", domain.into()),
                ("vocabulary_id", vocabulary.into()),
                ("concept_class_id", class.into()),
                ("standard_concept", Option::<&str>::into(standard)),
                ("concept_code", code.into()),
                ("valid_start_date", VALID_FROM.into()),
                ("valid_end_date", VALID_TO.into()),
            ])
        };
    row(NONE, "No matching concept", "Metadata", "None", "Undefined", None, "No matching concept")?;
    row(MALE, "MALE", "Gender", "Gender", "Gender", Some("S"), "M")?;
    row(FEMALE, "FEMALE", "Gender", "Gender", "Gender", Some("S"), "F")?;
    row(CDM_VERSION, "OMOP CDM Version 5.4.0", "Metadata", "CDM", "CDM", Some("S"), "CDM v5.4.0")?;
    for c in concepts::CONCEPTS {
        let code = c.code.map_or_else(|| format!("SYN-{}", c.place), str::to_owned);
        row(c.id(), c.name, c.domain, c.vocabulary, c.class, Some(c.standard), &code)?;
    }
    for c in conditions() {
        let name = format!("{}, local code", c.name);
        row(own_code(c.id()), &name, c.domain, "SynthLocal", c.class, None, &own_word(c.id()))?;
    }
    file.finish()
}
