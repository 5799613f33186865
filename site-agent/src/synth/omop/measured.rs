//! Measurements, in the site's own units; and for a few people one more whose unit cannot be right.

use super::{Database, Who};
use crate::synth::SynthError;
use crate::synth::cell::Cell;
use crate::synth::chance::Chances;
use crate::synth::vocabulary::{self as concepts, PER_CENT, POUND};

impl Database {
    pub(super) fn write_measurements(
        &mut self,
        who: Who<'_>,
        chances: &mut Chances,
    ) -> Result<(), SynthError> {
        let course = who.course;
        if let Some(score) = who.person.recorded.phq9 {
            let (concept, unit) = (concepts::PHQ9, concepts::SCORE);
            if chances.history.happens(0.3) {
                let earlier = (u32::from(score) + chances.history.below(9)).saturating_sub(4).min(27);
                let day = course.before(181 + chances.history.below(180));
                self.measurement(who, concept, day, earlier.into(), unit, &mut chances.coding)?;
            }
            let day = course.before(chances.history.below(91));
            self.measurement(who, concept, day, score.into(), unit, &mut chances.coding)?;
            if chances.coding.happens(0.5) {
                let anxiety = (u32::from(score) * 3 / 4 + chances.coding.below(7)).min(21);
                self.measurement(who, concepts::GAD7, day, anxiety.into(), unit, &mut chances.coding)?;
            }
            if chances.coding.happens(self.coding.unit_wrong) {
                let of_27 = Cell::Tenths(i64::from(score) * 1000 / 27);
                let day = course.before(chances.coding.below(91));
                self.wrong_unit(who, concept, day, of_27, PER_CENT)?;
            }
        }
        if let Some(tenths) = who.person.recorded.bmi_tenths {
            let day = course.before(chances.history.below(365));
            let bmi = Cell::Tenths(i64::from(tenths));
            self.measurement(who, concepts::BMI, day, bmi, concepts::KG_PER_M2, &mut chances.coding)?;
            let height_cm = 150 + i64::from(chances.coding.below(41));
            let kg_tenths = i64::from(tenths) * height_cm * height_cm / 10_000;
            let of_site = if self.coding.weight == POUND { kg_tenths * 22_046 / 10_000 } else { kg_tenths };
            let weight = (concepts::WEIGHT, Cell::Tenths(of_site), self.coding.weight);
            self.measurement(who, weight.0, day, weight.1, weight.2, &mut chances.coding)?;
            if chances.coding.happens(self.coding.unit_wrong) {
                let day = course.before(chances.coding.below(365));
                self.wrong_unit(who, concepts::BMI, day, weight.1, weight.2)?;
            }
        }
        if who.person.recorded.antipsychotic && chances.coding.happens(0.4) {
            let mmol = 300 + i64::from(chances.coding.below(400));
            // Tenths of a per cent, by the line that laboratories convert with.
            let of_site = if self.coding.hba1c == PER_CENT { (mmol * 915 + 215_000) / 10_000 } else { mmol };
            let day = course.before(chances.coding.below(365));
            let value = Cell::Tenths(of_site);
            self.measurement(who, concepts::HBA1C, day, value, self.coding.hba1c, &mut chances.coding)?;
        }
        Ok(())
    }
}
