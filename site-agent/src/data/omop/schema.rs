//! The tables and columns of OMOP CDM 5.3 and 5.4 that the agent reads, and no others.

use super::cells::{Column, Kind};
use super::event::Domain;

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Who.
    Person,
    /// When they were observed.
    ObservationPeriod,
    /// A table of events.
    Clinical(Domain),
    /// Wards and hospitals.
    CareSite,
    /// Who treats.
    Provider,
    /// Places.
    Location,
    /// The vocabulary.
    Concept,
    /// Its hierarchy.
    ConceptAncestor,
    /// Its releases.
    Vocabulary,
    /// What a program has found in notes.
    NoteNlp,
}

impl Table {
    /// All that hold codes, in the order that they are shown: what is read without a study, too.
    pub const ALL: [Self; 16] = [
        Self::Person,
        Self::ObservationPeriod,
        Self::Clinical(Domain::Visit),
        Self::Clinical(Domain::VisitDetail),
        Self::Clinical(Domain::Condition),
        Self::Clinical(Domain::Drug),
        Self::Clinical(Domain::Procedure),
        Self::Clinical(Domain::Measurement),
        Self::Clinical(Domain::Observation),
        Self::Clinical(Domain::Death),
        Self::CareSite,
        Self::Provider,
        Self::Location,
        Self::Concept,
        Self::ConceptAncestor,
        Self::Vocabulary,
    ];

    /// All, in the order that they are shown: of notes only what a study asks for is read.
    pub const WITH_NOTES: [Self; 18] = [
        Self::Person,
        Self::ObservationPeriod,
        Self::Clinical(Domain::Visit),
        Self::Clinical(Domain::VisitDetail),
        Self::Clinical(Domain::Condition),
        Self::Clinical(Domain::Drug),
        Self::Clinical(Domain::Procedure),
        Self::Clinical(Domain::Measurement),
        Self::Clinical(Domain::Observation),
        Self::Clinical(Domain::Death),
        Self::Clinical(Domain::Note),
        Self::NoteNlp,
        Self::CareSite,
        Self::Provider,
        Self::Location,
        Self::Concept,
        Self::ConceptAncestor,
        Self::Vocabulary,
    ];

    /// Its name in the data model.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::ObservationPeriod => "observation_period",
            Self::Clinical(Domain::Visit) => "visit_occurrence",
            Self::Clinical(Domain::VisitDetail) => "visit_detail",
            Self::Clinical(Domain::Condition) => "condition_occurrence",
            Self::Clinical(Domain::Drug) => "drug_exposure",
            Self::Clinical(Domain::Procedure) => "procedure_occurrence",
            Self::Clinical(Domain::Measurement) => "measurement",
            Self::Clinical(Domain::Observation) => "observation",
            Self::Clinical(Domain::Death) => "death",
            Self::Clinical(Domain::Note) => "note",
            Self::NoteNlp => "note_nlp",
            Self::CareSite => "care_site",
            Self::Provider => "provider",
            Self::Location => "location",
            Self::Concept => "concept",
            Self::ConceptAncestor => "concept_ancestor",
            Self::Vocabulary => "vocabulary",
        }
    }

    /// Whether its rows are of patients.
    #[must_use]
    pub const fn is_of_patients(self) -> bool {
        matches!(self, Self::Person | Self::ObservationPeriod | Self::Clinical(_))
    }

    /// Whether an OMOP database without it is none.
    #[must_use]
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Person)
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Places of [`clinical`]'s columns.
pub(super) mod at {
    pub(in super::super) const PERSON: usize = 0;
    pub(in super::super) const CONCEPT: usize = 1;
    pub(in super::super) const DATE: usize = 2;
    pub(in super::super) const DATETIME: usize = 3;
    pub(in super::super) const END_DATE: usize = 4;
    pub(in super::super) const END_DATETIME: usize = 5;
    pub(in super::super) const PROVENANCE: usize = 6;
    pub(in super::super) const STATUS: usize = 7;
    pub(in super::super) const NUMBER: usize = 8;
    pub(in super::super) const VALUE_CONCEPT: usize = 9;
    pub(in super::super) const UNIT: usize = 10;
    pub(in super::super) const VISIT: usize = 11;
    pub(in super::super) const CARE_SITE: usize = 12;
    pub(in super::super) const DAYS: usize = 13;
    pub(in super::super) const UNIT_TEXT: usize = 14;
    pub(in super::super) const PROVIDER: usize = 15;
}

/// The columns of a table that are read. They live as long as the program.
pub(super) fn columns(table: Table) -> &'static [Column] {
    macro_rules! of {
        ($($domain:ident)*) => {
            match table {
                Table::Person => &PERSON,
                Table::ObservationPeriod => &OBSERVATION_PERIOD,
                Table::CareSite => &CARE_SITE,
                Table::Provider => &PROVIDER,
                Table::Location => &LOCATION,
                Table::Concept => &CONCEPT,
                Table::ConceptAncestor => &CONCEPT_ANCESTOR,
                Table::Vocabulary => &VOCABULARY,
                Table::Clinical(Domain::Note) => &NOTE,
                Table::NoteNlp => &NOTE_NLP,
                $(Table::Clinical(Domain::$domain) => {
                    static COLUMNS: [Column; CLINICAL_COLUMNS] = clinical(Domain::$domain);
                    &COLUMNS
                })*
            }
        };
    }
    of!(Visit VisitDetail Condition Drug Procedure Measurement Observation Death)
}

const PERSON_ID: Column = Column::required(&["person_id"], Kind::Id);

/// Places of `NOTE`'s columns.
pub(super) mod of_note {
    pub(in super::super) const PERSON: usize = 0;
    pub(in super::super) const NOTE: usize = 1;
    pub(in super::super) const DATE: usize = 2;
    pub(in super::super) const DATETIME: usize = 3;
    pub(in super::super) const TEXT: usize = 4;
}

/// Places of `NOTE_NLP`'s columns.
pub(super) mod of_nlp {
    pub(in super::super) const NOTE: usize = 0;
    pub(in super::super) const CONCEPT: usize = 1;
    pub(in super::super) const EXISTS: usize = 2;
    pub(in super::super) const TEMPORAL: usize = 3;
    pub(in super::super) const MODIFIERS: usize = 4;
}

/// Place of `CONCEPT_ANCESTOR`'s column of the concept above.
pub(super) const ANCESTOR: usize = 0;

/// How many columns a clinical table is read by.
const CLINICAL_COLUMNS: usize = 16;

/// The columns of a clinical table, by [`at`].
const fn clinical(domain: Domain) -> [Column; CLINICAL_COLUMNS] {
    use Kind::{Date, DateTime, Id, Number, Unit};
    const NONE: Column = Column::absent();
    const VISIT: Column = Column::optional(&["visit_occurrence_id"], Id);
    const CARE_SITE: Column = Column::optional(&["care_site_id"], Id);
    const PROVIDER: Column = Column::optional(&["provider_id"], Id);
    const UNIT: Column = Column::optional(&["unit_concept_id"], Id);
    const UNIT_TEXT: Column = Column::optional(&["unit_source_value"], Unit);
    const NUMBER: Column = Column::optional(&["value_as_number"], Number);
    const CODED: Column = Column::optional(&["value_as_concept_id"], Id);
    match domain {
        Domain::Visit => [
            PERSON_ID,
            Column::required(&["visit_concept_id"], Id),
            Column::optional(&["visit_start_date"], Date),
            Column::optional(&["visit_start_datetime"], DateTime),
            Column::optional(&["visit_end_date"], Date),
            Column::optional(&["visit_end_datetime"], DateTime),
            Column::optional(&["visit_type_concept_id"], Id),
            Column::optional(&["admitted_from_concept_id", "admitting_source_concept_id"], Id),
            NONE,
            Column::optional(&["discharged_to_concept_id", "discharge_to_concept_id"], Id),
            NONE,
            Column::required(&["visit_occurrence_id"], Id),
            CARE_SITE,
            NONE,
            NONE,
            PROVIDER,
        ],
        Domain::VisitDetail => [
            PERSON_ID,
            Column::required(&["visit_detail_concept_id"], Id),
            Column::optional(&["visit_detail_start_date"], Date),
            Column::optional(&["visit_detail_start_datetime"], DateTime),
            Column::optional(&["visit_detail_end_date"], Date),
            Column::optional(&["visit_detail_end_datetime"], DateTime),
            Column::optional(&["visit_detail_type_concept_id"], Id),
            Column::optional(&["admitted_from_concept_id", "admitting_source_concept_id"], Id),
            NONE,
            Column::optional(&["discharged_to_concept_id", "discharge_to_concept_id"], Id),
            NONE,
            VISIT,
            CARE_SITE,
            NONE,
            NONE,
            PROVIDER,
        ],
        Domain::Condition => [
            PERSON_ID,
            Column::required(&["condition_concept_id"], Id),
            Column::optional(&["condition_start_date"], Date),
            Column::optional(&["condition_start_datetime"], DateTime),
            Column::optional(&["condition_end_date"], Date),
            Column::optional(&["condition_end_datetime"], DateTime),
            Column::optional(&["condition_type_concept_id"], Id),
            Column::optional(&["condition_status_concept_id"], Id),
            NONE,
            NONE,
            NONE,
            VISIT,
            NONE,
            NONE,
            NONE,
            NONE,
        ],
        Domain::Drug => [
            PERSON_ID,
            Column::required(&["drug_concept_id"], Id),
            Column::optional(&["drug_exposure_start_date"], Date),
            Column::optional(&["drug_exposure_start_datetime"], DateTime),
            Column::optional(&["drug_exposure_end_date"], Date),
            Column::optional(&["drug_exposure_end_datetime"], DateTime),
            Column::optional(&["drug_type_concept_id"], Id),
            NONE,
            Column::optional(&["quantity"], Number),
            NONE,
            NONE,
            VISIT,
            NONE,
            Column::optional(&["days_supply"], Number),
            NONE,
            NONE,
        ],
        Domain::Procedure => [
            PERSON_ID,
            Column::required(&["procedure_concept_id"], Id),
            Column::optional(&["procedure_date"], Date),
            Column::optional(&["procedure_datetime"], DateTime),
            Column::optional(&["procedure_end_date"], Date),
            Column::optional(&["procedure_end_datetime"], DateTime),
            Column::optional(&["procedure_type_concept_id"], Id),
            NONE,
            NONE,
            NONE,
            NONE,
            VISIT,
            NONE,
            NONE,
            NONE,
            NONE,
        ],
        Domain::Measurement => [
            PERSON_ID,
            Column::required(&["measurement_concept_id"], Id),
            Column::optional(&["measurement_date"], Date),
            Column::optional(&["measurement_datetime"], DateTime),
            NONE,
            NONE,
            Column::optional(&["measurement_type_concept_id"], Id),
            Column::optional(&["operator_concept_id"], Id),
            NUMBER,
            CODED,
            UNIT,
            VISIT,
            NONE,
            NONE,
            UNIT_TEXT,
            NONE,
        ],
        Domain::Observation => [
            PERSON_ID,
            Column::required(&["observation_concept_id"], Id),
            Column::optional(&["observation_date"], Date),
            Column::optional(&["observation_datetime"], DateTime),
            NONE,
            NONE,
            Column::optional(&["observation_type_concept_id"], Id),
            Column::optional(&["qualifier_concept_id"], Id),
            NUMBER,
            CODED,
            UNIT,
            VISIT,
            NONE,
            NONE,
            UNIT_TEXT,
            NONE,
        ],
        Domain::Note => panic!("notes have columns of their own"),
        Domain::Death => [
            PERSON_ID,
            Column::optional(&["cause_concept_id"], Id),
            Column::optional(&["death_date"], Date),
            Column::optional(&["death_datetime"], DateTime),
            NONE,
            NONE,
            Column::optional(&["death_type_concept_id"], Id),
            NONE,
            NONE,
            NONE,
            NONE,
            NONE,
            NONE,
            NONE,
            NONE,
            NONE,
        ],
    }
}

/// `note`, by [`of_note`].
const NOTE: [Column; 5] = [
    PERSON_ID,
    Column::required(&["note_id"], Kind::Id),
    Column::optional(&["note_date"], Kind::Date),
    Column::optional(&["note_datetime"], Kind::DateTime),
    Column::required(&["note_text"], Kind::Private),
];

/// `note_nlp`, by [`of_nlp`].
const NOTE_NLP: [Column; 5] = [
    Column::required(&["note_id"], Kind::Id),
    Column::required(&["note_nlp_concept_id"], Kind::Id),
    Column::optional(&["term_exists"], Kind::Private),
    Column::optional(&["term_temporal"], Kind::Private),
    Column::optional(&["term_modifiers"], Kind::Private),
];

/// `person`: id, gender, race, ethnicity, year, month and day of birth, birth datetime, location, care site.
const PERSON: [Column; 10] = [
    PERSON_ID,
    Column::required(&["gender_concept_id"], Kind::Id),
    Column::required(&["race_concept_id"], Kind::Id),
    Column::required(&["ethnicity_concept_id"], Kind::Id),
    Column::required(&["year_of_birth"], Kind::Id),
    Column::optional(&["month_of_birth"], Kind::Id),
    Column::optional(&["day_of_birth"], Kind::Id),
    Column::optional(&["birth_datetime"], Kind::DateTime),
    Column::optional(&["location_id"], Kind::Id),
    Column::optional(&["care_site_id"], Kind::Id),
];

/// `observation_period`: person, start, end.
const OBSERVATION_PERIOD: [Column; 3] = [
    PERSON_ID,
    Column::required(&["observation_period_start_date"], Kind::Date),
    Column::required(&["observation_period_end_date"], Kind::Date),
];

/// `care_site`: its id, what kind of place it is.
const CARE_SITE: [Column; 2] = [
    Column::required(&["care_site_id"], Kind::Id),
    Column::optional(&["place_of_service_concept_id"], Kind::Id),
];

/// `provider`: its id, specialty. Names and numbers of staff are never read.
const PROVIDER: [Column; 2] =
    [Column::required(&["provider_id"], Kind::Id), Column::optional(&["specialty_concept_id"], Kind::Id)];

/// `location`: its id.
const LOCATION: [Column; 1] = [Column::required(&["location_id"], Kind::Id)];

/// `concept`: id, name, domain, vocabulary, code, standard.
const CONCEPT: [Column; 6] = [
    Column::required(&["concept_id"], Kind::Id),
    Column::required(&["concept_name"], Kind::Text),
    Column::optional(&["domain_id"], Kind::Text),
    Column::required(&["vocabulary_id"], Kind::Text),
    Column::required(&["concept_code"], Kind::Text),
    Column::optional(&["standard_concept"], Kind::Text),
];

/// `concept_ancestor`: ancestor, descendant, levels between them.
const CONCEPT_ANCESTOR: [Column; 3] = [
    Column::required(&["ancestor_concept_id"], Kind::Id),
    Column::required(&["descendant_concept_id"], Kind::Id),
    Column::optional(&["min_levels_of_separation"], Kind::Id),
];

/// `vocabulary`: its name, its release.
const VOCABULARY: [Column; 2] =
    [Column::required(&["vocabulary_id"], Kind::Text), Column::optional(&["vocabulary_version"], Kind::Text)];
