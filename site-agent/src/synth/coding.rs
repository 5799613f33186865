//! How a site's records say what they say: codes, units, times, notes. The same people would look different elsewhere.
//!
//! Nothing here changes who the people are or what happens to them, so the plain table does not know of it.

use super::vocabulary::{KG, MMOL_PER_MOL, PER_CENT, POUND, Unit};

/// A site's way of writing. Shares are in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Coding {
    /// Share of specific diagnoses, and of self-harm, coded by the finest concept that there is.
    pub(super) fine_codes: f64,
    /// Share of medicines coded as a product, not as its ingredient.
    pub(super) products: f64,
    /// Whether visits and measurements have a time of day beside their day.
    pub(super) times: bool,
    /// Whether the code of the hospital's own system stands beside a condition.
    pub(super) own_codes: bool,
    /// How a unit is written.
    pub(super) units: UnitColumn,
    /// Share of measurements without any unit.
    pub(super) unit_missing: f64,
    /// Share of people with a measurement more, in a unit that cannot be right.
    pub(super) unit_wrong: f64,
    /// What people are weighed in.
    pub(super) weight: Unit,
    /// What glycated haemoglobin is reported in.
    pub(super) hba1c: Unit,
    /// Where it is written that a stay is psychiatric.
    pub(super) stays: StayColumn,
    /// Share of people of known ethnicity for whom another column says another one.
    pub(super) ethnicity_conflict: f64,
    /// Share of people with psychosis or depression who had the diagnosis when their records began.
    pub(super) known_before: f64,
    /// Share of notes in German; the others are in English.
    pub(super) german_notes: f64,
    /// Whether a program has read the notes already (NOTE_NLP).
    pub(super) note_nlp: bool,
    /// What the service itself changes: added to the logit of the true risk of readmission.
    pub(super) readmission_shift: f64,
}

/// Where a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitColumn {
    /// `unit_concept_id`.
    Concept,
    /// `unit_source_value` alone.
    Text,
}

/// Where it is written that a stay is psychiatric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StayColumn {
    /// In the concept of the visit.
    Visit,
    /// In the concept of its one row of VISIT_DETAIL; the visit is an inpatient stay.
    Detail,
}

/// The site with this ordinal: the first six as listed, and every further one as one of them.
pub(super) fn of_site(ordinal: u64) -> Coding {
    let plain = Coding {
        fine_codes: 0.5,
        products: 0.5,
        times: true,
        own_codes: false,
        units: UnitColumn::Concept,
        unit_missing: 0.0,
        unit_wrong: 0.02,
        weight: KG,
        hba1c: MMOL_PER_MOL,
        stays: StayColumn::Visit,
        ethnicity_conflict: 0.03,
        known_before: 0.10,
        german_notes: 0.0,
        note_nlp: false,
        readmission_shift: 0.0,
    };
    match ordinal % 6 {
        0 => Coding { own_codes: true, german_notes: 0.05, note_nlp: true, ..plain },
        1 => Coding {
            fine_codes: 0.8,
            stays: StayColumn::Detail,
            ethnicity_conflict: 0.06,
            known_before: 0.02,
            ..plain
        },
        2 => Coding {
            fine_codes: 0.1,
            products: 0.9,
            times: false,
            unit_missing: 0.15,
            weight: POUND,
            hba1c: PER_CENT,
            known_before: 0.25,
            readmission_shift: -0.3,
            ..plain
        },
        3 => Coding {
            fine_codes: 0.2,
            units: UnitColumn::Text,
            unit_missing: 0.05,
            stays: StayColumn::Detail,
            ethnicity_conflict: 0.08,
            readmission_shift: 0.3,
            ..plain
        },
        4 => Coding { times: false, own_codes: true, german_notes: 1.0, note_nlp: true, ..plain },
        5 => Coding {
            products: 0.1,
            units: UnitColumn::Text,
            hba1c: PER_CENT,
            german_notes: 0.4,
            known_before: 0.4,
            ..plain
        },
        _ => unreachable!("a remainder of six"),
    }
}
