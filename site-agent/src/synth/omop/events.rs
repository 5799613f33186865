//! Diagnoses, self-harm, medicines, and what is observed once.

use super::rows::{Observed, Within};
use super::{Database, Who, is_said};
use crate::synth::SynthError;
use crate::synth::chance::Chances;
use crate::synth::course::{FOLLOW_UP_DAYS, HORIZON_DAYS};
use crate::synth::person::{Diagnosis, EthnicityColumn};
use crate::synth::vocabulary as concepts;
use jiff::civil::Date;

impl Database {
    pub(super) fn write_diagnoses(
        &mut self,
        who: Who<'_>,
        assessment: u64,
        chances: &mut Chances,
    ) -> Result<(), SynthError> {
        let Who { person, course } = who;
        let diagnosis = person.lived.diagnosis;
        let codes = concepts::disorder(diagnosis);
        let kind = codes[1 + chances.history.below(3) as usize];
        let finest = chances.coding.one_of(&concepts::finer(kind));
        let code = if !chances.history.happens(self.habits.specific_codes) {
            codes[0]
        } else if diagnosis == Diagnosis::Bipolar && chances.coding.happens(0.2) {
            concepts::BIPOLAR_DEPRESSION
        } else if chances.coding.happens(self.coding.fine_codes) {
            finest
        } else {
            kind
        };
        let at_assessment = course.diagnosed == course.index;
        if at_assessment && chances.coding.happens(0.6) {
            let noticed = course.before(7 + chances.coding.below(700));
            self.condition(who, concepts::symptom(diagnosis), noticed, &Within::default())?;
        }
        let within = Within { visit: at_assessment.then_some(assessment), primary: at_assessment };
        self.condition(who, code, course.diagnosed, &within)?;
        if chances.coding.happens(0.03) {
            let lookalike = chances.coding.one_of(&concepts::LOOKALIKES);
            let day = course.before(1 + chances.coding.below(1500));
            self.condition(who, lookalike, day, &Within::default())?;
        }
        if person.recorded.alcohol {
            let code = concepts::ALCOHOL_MISUSE[chances.history.below(2) as usize];
            let day = course.before(1 + chances.history.below(1000));
            self.condition(who, code, day, &Within::default())?;
        }
        Ok(())
    }

    /// Earlier self-harm and what it left behind, the outcome, and for a few without it self-harm after the time at risk.
    pub(super) fn write_self_harm(&mut self, who: Who<'_>, chances: &mut Chances) -> Result<(), SynthError> {
        let Who { person, course } = who;
        if person.recorded.prior_self_harm {
            for _ in 0..=chances.history.below(3) {
                let day = course.before(1 + chances.history.below(1500));
                self.self_harm(who, day, None, chances)?;
            }
            if chances.coding.happens(0.15) {
                let late_effect = chances.coding.one_of(&concepts::LATE_EFFECTS);
                // Half of them within the time at risk, where they are no outcome.
                let day = if chances.coding.happens(0.5) {
                    course.before(chances.coding.below(300))
                } else {
                    course.after(1 + chances.coding.below(HORIZON_DAYS)).min(course.observed_until)
                };
                self.condition(who, late_effect, day, &Within::default())?;
            }
        }
        let late = HORIZON_DAYS + 1 + chances.history.below(FOLLOW_UP_DAYS - HORIZON_DAYS);
        let late = (course.outcome.is_none() && chances.history.happens(0.02)).then_some(late);
        let Some(days) = course.outcome.or(late) else { return Ok(()) };
        let day = course.after(days);
        if day > course.observed_until {
            return Ok(());
        }
        let visit = self.emergency(who, day, chances)?;
        self.self_harm(who, day, Some(visit), chances)
    }

    fn self_harm(
        &mut self,
        who: Who<'_>,
        day: Date,
        visit: Option<u64>,
        chances: &mut Chances,
    ) -> Result<(), SynthError> {
        let kind = chances.history.below(2) as usize;
        let reported = chances.history.happens(self.habits.self_harm_as_observation);
        let kinds = if reported { concepts::SELF_HARM_OBSERVATIONS } else { concepts::SELF_HARM_CONDITIONS };
        let finest = chances.coding.one_of(&concepts::finer(kinds[kind]));
        let code = if chances.coding.happens(self.coding.fine_codes) { finest } else { kinds[kind] };
        if reported {
            self.observation(who, code, day, &Observed { visit, ..Observed::default() })
        } else {
            self.condition(who, code, day, &Within { visit, primary: false })
        }
    }

    pub(super) fn write_drugs(&mut self, who: Who<'_>, chances: &mut Chances) -> Result<(), SynthError> {
        let recorded = &who.person.recorded;
        if recorded.antidepressant {
            let ingredient = concepts::ANTIDEPRESSANTS[chances.history.below(3) as usize];
            self.drug(who, ingredient, chances)?;
        }
        if recorded.antipsychotic {
            let ingredient = concepts::ANTIPSYCHOTICS[chances.history.below(3) as usize];
            self.drug(who, ingredient, chances)?;
        }
        if chances.history.happens(0.3) {
            self.drug(who, concepts::OTHER_MEDICINE, chances)?;
        }
        Ok(())
    }

    pub(super) fn write_observations(&mut self, who: Who<'_>) -> Result<(), SynthError> {
        let (recorded, index) = (&who.person.recorded, who.course.index);
        if let Some(quintile) = recorded.deprivation {
            let observed = Observed { number: Some(quintile), ..Observed::default() };
            self.observation(who, concepts::DEPRIVATION, index, &observed)?;
        }
        if self.habits.ethnicity_column == EthnicityColumn::Observation && is_said(recorded.ethnicity) {
            let value = Some(concepts::ethnicity(recorded.ethnicity));
            self.observation(who, concepts::ETHNICITY, index, &Observed { value, ..Observed::default() })?;
        }
        Ok(())
    }
}
