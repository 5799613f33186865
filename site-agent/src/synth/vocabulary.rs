//! The invented vocabulary: concepts from 2,000,000,000 on (the range that OMOP leaves to local
//! concepts) and their tree. No content of SNOMED CT, RxNorm or LOINC is in here; only OMOP's own
//! concepts for sex, for "no matching concept" and for the version of the model are standard ones.

use super::SynthError;
use super::files::{CsvFile, OrEmpty};
use super::person::{Diagnosis, Ethnicity, MissingEthnicity, RecordedEthnicity, Sex};
use std::collections::BTreeMap;
use std::path::Path;

/// A concept's id.
pub(super) type ConceptId = u32;

/// What the OMOP standard calls "no matching concept".
pub(super) const NONE: ConceptId = 0;
/// The version of the data model, an OMOP concept.
pub(super) const CDM_VERSION: ConceptId = 756_265;
const MALE: ConceptId = 8507;
const FEMALE: ConceptId = 8532;

const LOCAL: ConceptId = 2_000_000_000;
const MENTAL_DISORDER: ConceptId = LOCAL + 100;
const DEPRESSION: ConceptId = LOCAL + 110;
const PSYCHOSIS: ConceptId = LOCAL + 120;
const BIPOLAR: ConceptId = LOCAL + 130;
const OTHER_DISORDER: ConceptId = LOCAL + 140;
/// Misuse of alcohol: the two kinds in use.
pub(super) const ALCOHOL_MISUSE: [ConceptId; 2] = [LOCAL + 151, LOCAL + 152];
const ALCOHOL: ConceptId = LOCAL + 150;
/// Self-harm, with everything below it: the outcome and the history of it.
pub(super) const SELF_HARM: ConceptId = LOCAL + 200;
/// Kinds of self-harm that are coded as conditions.
pub(super) const SELF_HARM_CONDITIONS: [ConceptId; 2] = [LOCAL + 201, LOCAL + 202];
/// Kinds of self-harm that are coded as observations.
pub(super) const SELF_HARM_OBSERVATIONS: [ConceptId; 2] = [LOCAL + 211, LOCAL + 212];
const PSYCHOTROPIC: ConceptId = LOCAL + 300;
const ANTIDEPRESSANT: ConceptId = LOCAL + 310;
const ANTIPSYCHOTIC: ConceptId = LOCAL + 320;
/// Antidepressants in use.
pub(super) const ANTIDEPRESSANTS: [ConceptId; 3] = [LOCAL + 311, LOCAL + 312, LOCAL + 313];
/// Antipsychotics in use.
pub(super) const ANTIPSYCHOTICS: [ConceptId; 3] = [LOCAL + 321, LOCAL + 322, LOCAL + 323];
/// Medicines that say nothing of the mind.
pub(super) const OTHER_MEDICINE: ConceptId = LOCAL + 390;
const VISIT: ConceptId = LOCAL + 400;
/// A stay in hospital.
pub(super) const INPATIENT: ConceptId = LOCAL + 410;
/// A contact without a stay.
pub(super) const OUTPATIENT: ConceptId = LOCAL + 420;
/// The contact at which a person enters the target cohort.
pub(super) const ASSESSMENT: ConceptId = LOCAL + 421;
/// An emergency department.
pub(super) const EMERGENCY: ConceptId = LOCAL + 430;
/// PHQ-9 total score.
pub(super) const PHQ9: ConceptId = LOCAL + 500;
/// Body mass index.
pub(super) const BMI: ConceptId = LOCAL + 510;
/// Unit of a score.
pub(super) const SCORE: ConceptId = LOCAL + 520;
/// Unit kg/m2.
pub(super) const KG_PER_M2: ConceptId = LOCAL + 530;
/// Deprivation quintile of the area.
pub(super) const DEPRIVATION: ConceptId = LOCAL + 600;
/// Ethnicity, as a question.
pub(super) const ETHNICITY: ConceptId = LOCAL + 610;
/// Where every record here comes from.
pub(super) const RECORD_TYPE: ConceptId = LOCAL + 900;

/// The vocabulary's own name and version.
pub(super) const VERSION: &str = "Synth 1";

struct Concept {
    id: ConceptId,
    name: &'static str,
    domain: &'static str,
    class: &'static str,
    /// `S` standard, `C` classification.
    standard: char,
    parent: Option<ConceptId>,
}

const fn concept(
    offset: ConceptId,
    name: &'static str,
    domain: &'static str,
    class: &'static str,
    parent: Option<ConceptId>,
) -> Concept {
    Concept { id: LOCAL + offset, name, domain, class, standard: 'S', parent }
}

const fn class_of_drugs(offset: ConceptId, name: &'static str, parent: Option<ConceptId>) -> Concept {
    Concept { id: LOCAL + offset, name, domain: "Drug", class: "Drug Class", standard: 'C', parent }
}

const CONCEPTS: &[Concept] = &[
    concept(100, "Mental disorder (invented)", "Condition", "Disorder", None),
    concept(110, "Depression (invented)", "Condition", "Disorder", Some(MENTAL_DISORDER)),
    concept(111, "Mild depression (invented)", "Condition", "Disorder", Some(DEPRESSION)),
    concept(112, "Severe depression (invented)", "Condition", "Disorder", Some(DEPRESSION)),
    concept(113, "Recurrent depression (invented)", "Condition", "Disorder", Some(DEPRESSION)),
    concept(120, "Psychosis (invented)", "Condition", "Disorder", Some(MENTAL_DISORDER)),
    concept(121, "First psychosis (invented)", "Condition", "Disorder", Some(PSYCHOSIS)),
    concept(122, "Lasting psychosis (invented)", "Condition", "Disorder", Some(PSYCHOSIS)),
    concept(123, "Delusional psychosis (invented)", "Condition", "Disorder", Some(PSYCHOSIS)),
    concept(130, "Bipolar disorder (invented)", "Condition", "Disorder", Some(MENTAL_DISORDER)),
    concept(131, "Bipolar disorder with mania (invented)", "Condition", "Disorder", Some(BIPOLAR)),
    concept(132, "Bipolar disorder without mania (invented)", "Condition", "Disorder", Some(BIPOLAR)),
    concept(133, "Bipolar disorder in remission (invented)", "Condition", "Disorder", Some(BIPOLAR)),
    concept(140, "Other mental disorder (invented)", "Condition", "Disorder", Some(MENTAL_DISORDER)),
    concept(141, "Anxiety (invented)", "Condition", "Disorder", Some(OTHER_DISORDER)),
    concept(142, "Personality disorder (invented)", "Condition", "Disorder", Some(OTHER_DISORDER)),
    concept(143, "Eating disorder (invented)", "Condition", "Disorder", Some(OTHER_DISORDER)),
    concept(150, "Alcohol misuse (invented)", "Condition", "Disorder", Some(MENTAL_DISORDER)),
    concept(151, "Harmful drinking (invented)", "Condition", "Disorder", Some(ALCOHOL)),
    concept(152, "Alcohol dependence (invented)", "Condition", "Disorder", Some(ALCOHOL)),
    concept(200, "Self-harm (invented)", "Condition", "Finding", None),
    concept(201, "Self-injury (invented)", "Condition", "Finding", Some(SELF_HARM)),
    concept(202, "Self-poisoning (invented)", "Condition", "Finding", Some(SELF_HARM)),
    concept(211, "Harm to self reported (invented)", "Observation", "Finding", Some(SELF_HARM)),
    concept(212, "Suicide attempt reported (invented)", "Observation", "Finding", Some(SELF_HARM)),
    class_of_drugs(300, "Psychotropic medicines (invented)", None),
    class_of_drugs(310, "Antidepressants (invented)", Some(PSYCHOTROPIC)),
    concept(311, "Sertavine (invented)", "Drug", "Ingredient", Some(ANTIDEPRESSANT)),
    concept(312, "Mirtalopram (invented)", "Drug", "Ingredient", Some(ANTIDEPRESSANT)),
    concept(313, "Duloxafine (invented)", "Drug", "Ingredient", Some(ANTIDEPRESSANT)),
    class_of_drugs(320, "Antipsychotics (invented)", Some(PSYCHOTROPIC)),
    concept(321, "Olanperidol (invented)", "Drug", "Ingredient", Some(ANTIPSYCHOTIC)),
    concept(322, "Risperipine (invented)", "Drug", "Ingredient", Some(ANTIPSYCHOTIC)),
    concept(323, "Aripizapine (invented)", "Drug", "Ingredient", Some(ANTIPSYCHOTIC)),
    concept(390, "Other medicine (invented)", "Drug", "Ingredient", None),
    concept(400, "Visit (invented)", "Visit", "Visit", None),
    concept(410, "Inpatient stay (invented)", "Visit", "Visit", Some(VISIT)),
    concept(420, "Outpatient contact (invented)", "Visit", "Visit", Some(VISIT)),
    concept(421, "Assessment visit (invented)", "Visit", "Visit", Some(OUTPATIENT)),
    concept(430, "Emergency visit (invented)", "Visit", "Visit", Some(VISIT)),
    concept(500, "PHQ-9 total (invented)", "Measurement", "Score", None),
    concept(510, "Body mass index (invented)", "Measurement", "Body measure", None),
    concept(520, "Score (invented)", "Unit", "Unit", None),
    concept(530, "Kilogram per square metre (invented)", "Unit", "Unit", None),
    concept(600, "Deprivation quintile (invented)", "Observation", "Social context", None),
    concept(610, "Ethnicity (invented)", "Observation", "Social context", None),
    concept(621, "White (invented)", "Race", "Ethnic group", Some(ETHNICITY)),
    concept(622, "Asian (invented)", "Race", "Ethnic group", Some(ETHNICITY)),
    concept(623, "Black (invented)", "Race", "Ethnic group", Some(ETHNICITY)),
    concept(624, "Mixed (invented)", "Race", "Ethnic group", Some(ETHNICITY)),
    concept(625, "Other ethnic group (invented)", "Race", "Ethnic group", Some(ETHNICITY)),
    concept(626, "Ethnicity not asked (invented)", "Race", "Ethnic group", Some(ETHNICITY)),
    concept(627, "Ethnicity refused (invented)", "Race", "Ethnic group", Some(ETHNICITY)),
    concept(900, "Invented record", "Type Concept", "Type Concept", None),
];

/// Kinds of a disorder; the disorder itself comes first.
pub(super) const fn disorder(diagnosis: Diagnosis) -> [ConceptId; 4] {
    let first = match diagnosis {
        Diagnosis::Depression => DEPRESSION,
        Diagnosis::Psychosis => PSYCHOSIS,
        Diagnosis::Bipolar => BIPOLAR,
        Diagnosis::Other => OTHER_DISORDER,
    };
    [first, first + 1, first + 2, first + 3]
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

const CONCEPT_COLUMNS: &[&str] = &[
    "concept_id",
    "concept_name",
    "domain_id",
    "vocabulary_id",
    "concept_class_id",
    "standard_concept",
    "concept_code",
    "valid_start_date",
    "valid_end_date",
    "invalid_reason",
];

const ANCESTOR_COLUMNS: &[&str] =
    &["ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation", "max_levels_of_separation"];

/// Writes CONCEPT and CONCEPT_ANCESTOR.
pub(super) fn write(folder: &Path) -> Result<(), SynthError> {
    let mut file = CsvFile::create(folder.join("CONCEPT.csv"), CONCEPT_COLUMNS)?;
    let mut row = |id, name, domain, vocabulary, class, standard, code: &str| {
        file.row(&[
            ("concept_id", &id),
            ("concept_name", &name),
            ("domain_id", &domain),
            ("vocabulary_id", &vocabulary),
            ("concept_class_id", &class),
            ("standard_concept", &OrEmpty(standard)),
            ("concept_code", &code),
            ("valid_start_date", &"1970-01-01"),
            ("valid_end_date", &"2099-12-31"),
        ])
    };
    row(NONE, "No matching concept", "Metadata", "None", "Undefined", None, "No matching concept")?;
    row(MALE, "MALE", "Gender", "Gender", "Gender", Some('S'), "M")?;
    row(FEMALE, "FEMALE", "Gender", "Gender", "Gender", Some('S'), "F")?;
    row(CDM_VERSION, "OMOP CDM Version 5.4.0", "Metadata", "CDM", "CDM", Some('S'), "CDM v5.4.0")?;
    for c in CONCEPTS {
        let code = format!("SYN-{}", c.id - LOCAL);
        row(c.id, c.name, c.domain, "Synth", c.class, Some(c.standard), &code)?;
    }
    file.finish()?;
    write_ancestors(folder)
}

/// Every concept is its own ancestor at distance 0, as in OMOP; the tree is a tree, so the smallest
/// and largest distance are equal.
fn write_ancestors(folder: &Path) -> Result<(), SynthError> {
    let parents: BTreeMap<ConceptId, Option<ConceptId>> = CONCEPTS.iter().map(|c| (c.id, c.parent)).collect();
    let mut file = CsvFile::create(folder.join("CONCEPT_ANCESTOR.csv"), ANCESTOR_COLUMNS)?;
    for &descendant in parents.keys() {
        let mut ancestor = Some(descendant);
        let mut levels = 0;
        while let Some(id) = ancestor {
            file.row(&[
                ("ancestor_concept_id", &id),
                ("descendant_concept_id", &descendant),
                ("min_levels_of_separation", &levels),
                ("max_levels_of_separation", &levels),
            ])?;
            ancestor = parents[&id];
            levels += 1;
        }
    }
    file.finish()
}
