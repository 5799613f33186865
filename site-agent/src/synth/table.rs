//! The plain table: one row per person.

use super::SynthError;
use super::cell::Tenths;
use super::files::CsvFile;
use super::person::Person;
use std::path::Path;

/// Columns of `table.csv`, in order.
pub(super) const COLUMNS: &[&str] = &[
    "person_id",
    "age",
    "sex",
    "prior_self_harm",
    "prior_admissions",
    "days_since_last_contact",
    "phq9",
    "bmi",
    "diagnosis",
    "antidepressant",
    "antipsychotic",
    "alcohol_misuse",
    "deprivation_quintile",
    "ethnicity",
    "self_harm_365d",
];

/// A new table in a site's folder.
pub(super) fn create(folder: &Path) -> Result<CsvFile, SynthError> {
    CsvFile::create(folder.join("table.csv"), COLUMNS.iter().copied())
}

/// Adds a person.
pub(super) fn write(table: &mut CsvFile, person: &Person) -> Result<(), SynthError> {
    let Person { lived, recorded, .. } = person;
    table.row(&[
        ("person_id", person.id.into()),
        ("age", lived.age.into()),
        ("sex", recorded.sex.word().into()),
        ("prior_self_harm", recorded.prior_self_harm.into()),
        ("prior_admissions", lived.prior_admissions.into()),
        ("days_since_last_contact", lived.days_since_last_contact.into()),
        ("phq9", recorded.phq9.into()),
        ("bmi", recorded.bmi_tenths.map(Tenths).into()),
        ("diagnosis", lived.diagnosis.word().into()),
        ("antidepressant", recorded.antidepressant.into()),
        ("antipsychotic", recorded.antipsychotic.into()),
        ("alcohol_misuse", recorded.alcohol.into()),
        ("deprivation_quintile", recorded.deprivation.into()),
        ("ethnicity", recorded.ethnicity.word().into()),
        ("self_harm_365d", person.outcome.into()),
    ])
}
