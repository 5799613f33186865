//! Visits: earlier admissions, contacts, the assessment, emergencies, and the psychiatric stays that follow.

use super::rows::Within;
use super::wards::Place;
use super::{Database, Visits, Who};
use crate::synth::SynthError;
use crate::synth::chance::Chances;
use crate::synth::coding::StayColumn;
use crate::synth::course::{Days, FOLLOW_UP_DAYS, shift};
use crate::synth::vocabulary as concepts;
use jiff::civil::Date;

/// Admissions end before this many days before the index day, so that no stay is the last contact.
const LAST_ADMISSION_DAYS: u32 = 430;
/// From the start of an admission to that of the next; longer than any stay and its jitter.
const ADMISSION_STEP_DAYS: u32 = 60;
/// Most emergency visits before the index day.
const EMERGENCIES_MAX: u8 = 5;

const fn one(day: Date) -> Days {
    Days { from: day, to: day }
}

impl Database {
    pub(super) fn write_visits(&mut self, who: Who<'_>, chances: &mut Chances) -> Result<Visits, SynthError> {
        let Who { person, course } = who;
        for nth in (0..u32::from(person.lived.prior_admissions)).rev() {
            let from = LAST_ADMISSION_DAYS + nth * ADMISSION_STEP_DAYS - chances.history.below(20);
            let from = course.before(from);
            let days = Days { from, to: shift(from, i64::from(3 + chances.history.below(25))) };
            if chances.stays.happens(0.85) {
                let visit = self.psychiatric_stay(who, days, chances)?;
                let primary = Within { visit: Some(visit), primary: true };
                self.condition(who, concepts::MENTAL_DISORDER, days.from, &primary)?;
            } else {
                self.visit(who, concepts::GENERAL_STAY, days, Place::GeneralWard, &mut chances.coding)?;
            }
        }
        let last = u32::from(person.lived.days_since_last_contact);
        for _ in 0..chances.stays.geometric(0.3, EMERGENCIES_MAX) {
            let day = course.before(last + 1 + chances.stays.below(700));
            self.emergency(who, day, chances)?;
        }
        let clinic = Place::MentalHealthClinic;
        let contact = one(course.before(last));
        let last_contact = self.visit(who, concepts::OUTPATIENT, contact, clinic, &mut chances.coding)?;
        let assessment =
            self.visit(who, concepts::ASSESSMENT, one(course.index), clinic, &mut chances.coding)?;
        for _ in 0..chances.history.below(3) {
            let day = course.after(1 + chances.history.below(FOLLOW_UP_DAYS));
            if day <= course.observed_until {
                self.visit(who, concepts::OUTPATIENT, one(day), clinic, &mut chances.coding)?;
            }
        }
        if chances.stays.happens(0.2) {
            let day = course.after(1 + chances.stays.below(FOLLOW_UP_DAYS));
            if day <= course.observed_until {
                self.emergency(who, day, chances)?;
            }
        }
        self.write_stays(who, chances)?;
        Ok(Visits { assessment, last_contact })
    }

    /// What follows the index day; the diagnosis stands beside each psychiatric stay.
    fn write_stays(&mut self, who: Who<'_>, chances: &mut Chances) -> Result<(), SynthError> {
        let Some(stay) = &who.course.stay else { return Ok(()) };
        for days in [Some(stay.days), stay.next].into_iter().flatten() {
            let visit = self.psychiatric_stay(who, days, chances)?;
            let disorder = concepts::disorder(who.person.lived.diagnosis)[0];
            self.condition(who, disorder, days.from, &Within { visit: Some(visit), primary: true })?;
        }
        if let Some(days) = stay.general {
            self.visit(who, concepts::GENERAL_STAY, days, Place::GeneralWard, &mut chances.coding)?;
        }
        Ok(())
    }

    fn psychiatric_stay(
        &mut self,
        who: Who<'_>,
        days: Days,
        chances: &mut Chances,
    ) -> Result<u64, SynthError> {
        let ward = Place::MentalHealthWard;
        match self.coding.stays {
            StayColumn::Visit => self.visit(who, concepts::PSYCHIATRIC_STAY, days, ward, &mut chances.coding),
            StayColumn::Detail => {
                let visit = self.visit(who, concepts::INPATIENT, days, ward, &mut chances.coding)?;
                self.visit_detail(who, concepts::PSYCHIATRIC_STAY, days, ward, visit)?;
                Ok(visit)
            }
        }
    }

    pub(super) fn emergency(
        &mut self,
        who: Who<'_>,
        day: Date,
        chances: &mut Chances,
    ) -> Result<u64, SynthError> {
        let seen_by_psychiatrist = chances.coding.happens(0.4);
        let concept = if seen_by_psychiatrist { concepts::EMERGENCY_LIAISON } else { concepts::EMERGENCY };
        self.visit(who, concept, one(day), Place::EmergencyDepartment, &mut chances.coding)
    }
}
