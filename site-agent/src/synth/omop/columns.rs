//! The OMOP CDM 5.4 tables that we write: their columns, in the order of the data model, and what each holds.

use crate::synth::cell::{Column, Kind};

/// A table.
#[derive(Debug)]
pub(in crate::synth) struct Table {
    /// Its name in the data model, in upper case.
    pub(in crate::synth) name: &'static str,
    /// Its columns.
    pub(in crate::synth) columns: &'static [Column],
}

macro_rules! table {
    ($name:ident { $($column:ident: $kind:ident),+ $(,)? }) => {
        #[doc = concat!("`", stringify!($name), "`.")]
        pub(in crate::synth) const $name: Table = Table {
            name: stringify!($name),
            columns: &[$(Column { name: stringify!($column), kind: Kind::$kind }),+],
        };
    };
}

table!(PERSON {
    person_id: Whole,
    gender_concept_id: Whole,
    year_of_birth: Whole,
    month_of_birth: Whole,
    day_of_birth: Whole,
    birth_datetime: Time,
    race_concept_id: Whole,
    ethnicity_concept_id: Whole,
    location_id: Whole,
    provider_id: Whole,
    care_site_id: Whole,
    person_source_value: Text,
    gender_source_value: Text,
    gender_source_concept_id: Whole,
    race_source_value: Text,
    race_source_concept_id: Whole,
    ethnicity_source_value: Text,
    ethnicity_source_concept_id: Whole,
});

table!(OBSERVATION_PERIOD {
    observation_period_id: Whole,
    person_id: Whole,
    observation_period_start_date: Day,
    observation_period_end_date: Day,
    period_type_concept_id: Whole,
});

table!(VISIT_OCCURRENCE {
    visit_occurrence_id: Whole,
    person_id: Whole,
    visit_concept_id: Whole,
    visit_start_date: Day,
    visit_start_datetime: Time,
    visit_end_date: Day,
    visit_end_datetime: Time,
    visit_type_concept_id: Whole,
    provider_id: Whole,
    care_site_id: Whole,
    visit_source_value: Text,
    visit_source_concept_id: Whole,
    admitted_from_concept_id: Whole,
    admitted_from_source_value: Text,
    discharged_to_concept_id: Whole,
    discharged_to_source_value: Text,
    preceding_visit_occurrence_id: Whole,
});

table!(VISIT_DETAIL {
    visit_detail_id: Whole,
    person_id: Whole,
    visit_detail_concept_id: Whole,
    visit_detail_start_date: Day,
    visit_detail_start_datetime: Time,
    visit_detail_end_date: Day,
    visit_detail_end_datetime: Time,
    visit_detail_type_concept_id: Whole,
    provider_id: Whole,
    care_site_id: Whole,
    visit_detail_source_value: Text,
    visit_detail_source_concept_id: Whole,
    admitted_from_concept_id: Whole,
    admitted_from_source_value: Text,
    discharged_to_source_value: Text,
    discharged_to_concept_id: Whole,
    preceding_visit_detail_id: Whole,
    parent_visit_detail_id: Whole,
    visit_occurrence_id: Whole,
});

table!(CONDITION_OCCURRENCE {
    condition_occurrence_id: Whole,
    person_id: Whole,
    condition_concept_id: Whole,
    condition_start_date: Day,
    condition_start_datetime: Time,
    condition_end_date: Day,
    condition_end_datetime: Time,
    condition_type_concept_id: Whole,
    condition_status_concept_id: Whole,
    stop_reason: Text,
    provider_id: Whole,
    visit_occurrence_id: Whole,
    visit_detail_id: Whole,
    condition_source_value: Text,
    condition_source_concept_id: Whole,
    condition_status_source_value: Text,
});

table!(DRUG_EXPOSURE {
    drug_exposure_id: Whole,
    person_id: Whole,
    drug_concept_id: Whole,
    drug_exposure_start_date: Day,
    drug_exposure_start_datetime: Time,
    drug_exposure_end_date: Day,
    drug_exposure_end_datetime: Time,
    verbatim_end_date: Day,
    drug_type_concept_id: Whole,
    stop_reason: Text,
    refills: Whole,
    quantity: Number,
    days_supply: Whole,
    sig: Text,
    route_concept_id: Whole,
    lot_number: Text,
    provider_id: Whole,
    visit_occurrence_id: Whole,
    visit_detail_id: Whole,
    drug_source_value: Text,
    drug_source_concept_id: Whole,
    route_source_value: Text,
    dose_unit_source_value: Text,
});

table!(MEASUREMENT {
    measurement_id: Whole,
    person_id: Whole,
    measurement_concept_id: Whole,
    measurement_date: Day,
    measurement_datetime: Time,
    measurement_time: Text,
    measurement_type_concept_id: Whole,
    operator_concept_id: Whole,
    value_as_number: Number,
    value_as_concept_id: Whole,
    unit_concept_id: Whole,
    range_low: Number,
    range_high: Number,
    provider_id: Whole,
    visit_occurrence_id: Whole,
    visit_detail_id: Whole,
    measurement_source_value: Text,
    measurement_source_concept_id: Whole,
    unit_source_value: Text,
    unit_source_concept_id: Whole,
    value_source_value: Text,
    measurement_event_id: Whole,
    meas_event_field_concept_id: Whole,
});

table!(OBSERVATION {
    observation_id: Whole,
    person_id: Whole,
    observation_concept_id: Whole,
    observation_date: Day,
    observation_datetime: Time,
    observation_type_concept_id: Whole,
    value_as_number: Number,
    value_as_string: Text,
    value_as_concept_id: Whole,
    qualifier_concept_id: Whole,
    unit_concept_id: Whole,
    provider_id: Whole,
    visit_occurrence_id: Whole,
    visit_detail_id: Whole,
    observation_source_value: Text,
    observation_source_concept_id: Whole,
    unit_source_value: Text,
    qualifier_source_value: Text,
    value_source_value: Text,
    observation_event_id: Whole,
    obs_event_field_concept_id: Whole,
});

table!(DEATH {
    person_id: Whole,
    death_date: Day,
    death_datetime: Time,
    death_type_concept_id: Whole,
    cause_concept_id: Whole,
    cause_source_value: Text,
    cause_source_concept_id: Whole,
});

table!(NOTE {
    note_id: Whole,
    person_id: Whole,
    note_date: Day,
    note_datetime: Time,
    note_type_concept_id: Whole,
    note_class_concept_id: Whole,
    note_title: Text,
    note_text: Text,
    encoding_concept_id: Whole,
    language_concept_id: Whole,
    provider_id: Whole,
    visit_occurrence_id: Whole,
    visit_detail_id: Whole,
    note_source_value: Text,
    note_event_id: Whole,
    note_event_field_concept_id: Whole,
});

table!(NOTE_NLP {
    note_nlp_id: Whole,
    note_id: Whole,
    section_concept_id: Whole,
    snippet: Text,
    offset: Text,
    lexical_variant: Text,
    note_nlp_concept_id: Whole,
    note_nlp_source_concept_id: Whole,
    nlp_system: Text,
    nlp_date: Day,
    nlp_datetime: Time,
    term_exists: Text,
    term_temporal: Text,
    term_modifiers: Text,
});

table!(CARE_SITE {
    care_site_id: Whole,
    care_site_name: Text,
    place_of_service_concept_id: Whole,
    location_id: Whole,
    care_site_source_value: Text,
    place_of_service_source_value: Text,
});

table!(PROVIDER {
    provider_id: Whole,
    provider_name: Text,
    npi: Text,
    dea: Text,
    specialty_concept_id: Whole,
    care_site_id: Whole,
    year_of_birth: Whole,
    gender_concept_id: Whole,
    provider_source_value: Text,
    specialty_source_value: Text,
    specialty_source_concept_id: Whole,
    gender_source_value: Text,
    gender_source_concept_id: Whole,
});

table!(CDM_SOURCE {
    cdm_source_name: Text,
    cdm_source_abbreviation: Text,
    cdm_holder: Text,
    source_description: Text,
    source_documentation_reference: Text,
    cdm_etl_reference: Text,
    source_release_date: Day,
    cdm_release_date: Day,
    cdm_version: Text,
    cdm_version_concept_id: Whole,
    vocabulary_version: Text,
});

table!(CONCEPT {
    concept_id: Whole,
    concept_name: Text,
    domain_id: Text,
    vocabulary_id: Text,
    concept_class_id: Text,
    standard_concept: Text,
    concept_code: Text,
    valid_start_date: Day,
    valid_end_date: Day,
    invalid_reason: Text,
});

table!(CONCEPT_ANCESTOR {
    ancestor_concept_id: Whole,
    descendant_concept_id: Whole,
    min_levels_of_separation: Whole,
    max_levels_of_separation: Whole,
});

table!(CONCEPT_RELATIONSHIP {
    concept_id_1: Whole,
    concept_id_2: Whole,
    relationship_id: Text,
    valid_start_date: Day,
    valid_end_date: Day,
    invalid_reason: Text,
});
