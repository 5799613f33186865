//! The plain table: one row per person.

use super::SynthError;
use super::files::{CsvFile, OrEmpty};
use super::person::Person;
use std::fmt;
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
    CsvFile::create(folder.join("table.csv"), COLUMNS)
}

/// Adds a person.
pub(super) fn write(table: &mut CsvFile, person: &Person) -> Result<(), SynthError> {
    let Person { lived, recorded, .. } = person;
    table.row(&[
        ("person_id", &person.id),
        ("age", &lived.age),
        ("sex", &recorded.sex.word()),
        ("prior_self_harm", &u8::from(recorded.prior_self_harm)),
        ("prior_admissions", &lived.prior_admissions),
        ("days_since_last_contact", &lived.days_since_last_contact),
        ("phq9", &OrEmpty(recorded.phq9)),
        ("bmi", &OrEmpty(recorded.bmi_tenths.map(Tenths))),
        ("diagnosis", &lived.diagnosis.word()),
        ("antidepressant", &u8::from(recorded.antidepressant)),
        ("antipsychotic", &u8::from(recorded.antipsychotic)),
        ("alcohol_misuse", &u8::from(recorded.alcohol)),
        ("deprivation_quintile", &OrEmpty(recorded.deprivation)),
        ("ethnicity", &recorded.ethnicity.word()),
        ("self_harm_365d", &u8::from(person.outcome)),
    ])
}

/// A number kept in tenths, written with its decimal point.
pub(super) struct Tenths(pub(super) u16);

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 10, self.0 % 10)
    }
}
