//! One row of each clinical table, as the site writes it.

use super::wards::Place;
use super::{Database, Who, next};
use crate::synth::SynthError;
use crate::synth::cell::Cell;
use crate::synth::chance::{Chance, Chances};
use crate::synth::coding::UnitColumn;
use crate::synth::course::{Days, shift};
use crate::synth::vocabulary::{self as concepts, ConceptId, Unit};
use jiff::civil::{Date, DateTime};

/// A row of OBSERVATION, beyond whose and when.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) number: Option<u8>,
    pub(super) value: Option<ConceptId>,
    pub(super) visit: Option<u64>,
}

/// What a condition belongs to.
#[derive(Default)]
pub(super) struct Within {
    pub(super) visit: Option<u64>,
    /// Whether somebody was admitted for it.
    pub(super) primary: bool,
}

impl Database {
    pub(super) fn visit(
        &mut self,
        who: Who<'_>,
        concept: ConceptId,
        days: Days,
        ward: Place,
        chance: &mut Chance,
    ) -> Result<u64, SynthError> {
        let id = next(&mut self.ids.visit);
        self.visit.row(&[
            ("visit_occurrence_id", id.into()),
            ("person_id", who.person.id.into()),
            ("visit_concept_id", concept.into()),
            ("visit_start_date", days.from.into()),
            ("visit_start_datetime", self.coding.times.then(|| time(days.from, 8, 17, chance)).into()),
            ("visit_end_date", days.to.into()),
            ("visit_end_datetime", self.coding.times.then(|| time(days.to, 17, 24, chance)).into()),
            ("visit_type_concept_id", concepts::RECORD_TYPE.into()),
            ("provider_id", ward.id().into()),
            ("care_site_id", ward.id().into()),
        ])?;
        Ok(id)
    }

    pub(super) fn visit_detail(
        &mut self,
        who: Who<'_>,
        concept: ConceptId,
        days: Days,
        ward: Place,
        visit: u64,
    ) -> Result<(), SynthError> {
        self.visit_detail.row(&[
            ("visit_detail_id", next(&mut self.ids.visit_detail).into()),
            ("person_id", who.person.id.into()),
            ("visit_detail_concept_id", concept.into()),
            ("visit_detail_start_date", days.from.into()),
            ("visit_detail_end_date", days.to.into()),
            ("visit_detail_type_concept_id", concepts::RECORD_TYPE.into()),
            ("provider_id", ward.id().into()),
            ("care_site_id", ward.id().into()),
            ("visit_occurrence_id", visit.into()),
        ])
    }

    pub(super) fn condition(
        &mut self,
        who: Who<'_>,
        concept: ConceptId,
        day: Date,
        within: &Within,
    ) -> Result<(), SynthError> {
        let own = self.coding.own_codes.then(|| concepts::own_word(concept));
        self.condition.row(&[
            ("condition_occurrence_id", next(&mut self.ids.condition).into()),
            ("person_id", who.person.id.into()),
            ("condition_concept_id", concept.into()),
            ("condition_start_date", day.into()),
            ("condition_type_concept_id", concepts::RECORD_TYPE.into()),
            ("condition_status_concept_id", within.primary.then_some(concepts::PRIMARY_DIAGNOSIS).into()),
            ("visit_occurrence_id", within.visit.into()),
            ("condition_source_value", own.as_deref().into()),
            ("condition_source_concept_id", own.is_some().then(|| concepts::own_code(concept)).into()),
        ])
    }

    pub(super) fn drug(
        &mut self,
        who: Who<'_>,
        ingredient: ConceptId,
        chances: &mut Chances,
    ) -> Result<(), SynthError> {
        let start = who.course.before(1 + chances.history.below(150));
        let days = 28 * (1 + chances.history.below(3));
        let product = chances.coding.one_of(&concepts::finer(ingredient));
        let concept = if chances.coding.happens(self.coding.products) { product } else { ingredient };
        self.drug.row(&[
            ("drug_exposure_id", next(&mut self.ids.drug).into()),
            ("person_id", who.person.id.into()),
            ("drug_concept_id", concept.into()),
            ("drug_exposure_start_date", start.into()),
            (
                "drug_exposure_end_date",
                shift(start, i64::from(days) - 1).min(who.course.observed_until).into(),
            ),
            ("drug_type_concept_id", concepts::RECORD_TYPE.into()),
            ("days_supply", days.into()),
        ])
    }

    /// The value is in this unit, whether or not the row says so.
    pub(super) fn measurement(
        &mut self,
        who: Who<'_>,
        concept: ConceptId,
        day: Date,
        value: Cell<'_>,
        unit: Unit,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        let time = self.coding.times.then(|| time(day, 8, 17, chance));
        let said = (!chance.happens(self.coding.unit_missing)).then_some(unit);
        self.measured(who, concept, (day, time), value, said)
    }

    /// A value in a unit that cannot be right: every reader has to leave it out.
    pub(super) fn wrong_unit(
        &mut self,
        who: Who<'_>,
        concept: ConceptId,
        day: Date,
        value: Cell<'_>,
        unit: Unit,
    ) -> Result<(), SynthError> {
        self.measured(who, concept, (day, None), value, Some(unit))
    }

    fn measured(
        &mut self,
        who: Who<'_>,
        concept: ConceptId,
        (day, time): (Date, Option<DateTime>),
        value: Cell<'_>,
        said: Option<Unit>,
    ) -> Result<(), SynthError> {
        let (concept_of_unit, text) = match self.coding.units {
            UnitColumn::Concept => (said.map(|unit| unit.concept), None),
            UnitColumn::Text => (None, said.map(|unit| unit.code)),
        };
        self.measurement.row(&[
            ("measurement_id", next(&mut self.ids.measurement).into()),
            ("person_id", who.person.id.into()),
            ("measurement_concept_id", concept.into()),
            ("measurement_date", day.into()),
            ("measurement_datetime", time.into()),
            ("measurement_type_concept_id", concepts::RECORD_TYPE.into()),
            ("value_as_number", value),
            ("unit_concept_id", concept_of_unit.into()),
            ("unit_source_value", text.into()),
        ])
    }

    pub(super) fn observation(
        &mut self,
        who: Who<'_>,
        concept: ConceptId,
        day: Date,
        observed: &Observed,
    ) -> Result<(), SynthError> {
        self.observation.row(&[
            ("observation_id", next(&mut self.ids.observation).into()),
            ("person_id", who.person.id.into()),
            ("observation_concept_id", concept.into()),
            ("observation_date", day.into()),
            ("observation_type_concept_id", concepts::RECORD_TYPE.into()),
            ("value_as_number", observed.number.into()),
            ("value_as_concept_id", observed.value.into()),
            ("visit_occurrence_id", observed.visit.into()),
        ])
    }
}

/// A time of day, from one whole hour up to another.
fn time(day: Date, from: u32, to: u32, chance: &mut Chance) -> DateTime {
    let minute = 60 * from + chance.below(60 * (to - from));
    let part = |number: u32| i8::try_from(number).expect("hours and minutes");
    day.at(part(minute / 60), part(minute % 60), 0, 0)
}
