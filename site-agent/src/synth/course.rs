//! What happens to a person around the index day, before anybody writes it down: the days of the outcome, of death and of
//! the stays in hospital that follow. The truth files say it, and the records must.

use super::chance::Chance;
use super::coding::Coding;
use super::person::{Diagnosis, Person};
use super::risk;
use jiff::ToSpan;
use jiff::civil::{Date, date};

/// First possible index day; the last is 364 days later.
const FIRST_INDEX: Date = date(2023, 1, 1);
/// The time at risk of self-harm: from the day after the index day on, inclusive.
pub(super) const HORIZON_DAYS: u32 = 365;
/// The time at risk of readmission: from the day after the discharge on, inclusive.
pub(super) const READMISSION_DAYS: u32 = 30;
/// Everybody who lives is observed at least this long after the index day.
pub(super) const FOLLOW_UP_DAYS: u32 = HORIZON_DAYS + 120;
/// Everybody is observed at least this long before the index day.
const PRIOR_DAYS: u32 = 1830;
/// Who dies within so many days is not admitted: every stay and its time at risk end before.
const STAYS_END_DAYS: u32 = 300;

/// A person's days.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Course {
    /// The day of the assessment.
    pub(super) index: Date,
    /// Of the first record.
    pub(super) observed_from: Date,
    /// Of the last record, or of death.
    pub(super) observed_until: Date,
    /// Days from the index day to self-harm within the time at risk.
    pub(super) outcome: Option<u32>,
    /// Whether the person dies on the last day.
    pub(super) dies: bool,
    /// When the diagnosis was made: at the assessment, or before the first year of the records was over, for psychosis
    /// and depression; some time before for the others.
    pub(super) diagnosed: Date,
    /// The psychiatric stay after the index day, for those who have one.
    pub(super) stay: Option<Stay>,
}

/// Days in hospital, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) from: Date,
    pub(super) to: Date,
}

/// A psychiatric stay after the index day, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stay {
    /// Its days.
    pub(super) days: Days,
    /// The true probability of another within 30 days of the discharge.
    pub(super) risk: f64,
    /// Whether there was one.
    pub(super) readmitted: bool,
    /// The next psychiatric stay: within 30 days if readmitted, later if at all for the others.
    pub(super) next: Option<Days>,
    /// A stay in a general hospital within the 30 days, which is no readmission.
    pub(super) general: Option<Days>,
}

impl Course {
    /// Draws it. `history` and `stays` are streams of their own, so that one can change and the other stays.
    pub(super) fn draw(person: &Person, coding: &Coding, history: &mut Chance, stays: &mut Chance) -> Self {
        let index = shift(FIRST_INDEX, i64::from(history.below(365)));
        let outcome = person.outcome.then(|| 1 + history.below(HORIZON_DAYS));
        let death = death_after(person, outcome, history);
        let last = death.unwrap_or_else(|| FOLLOW_UP_DAYS + history.below(240));
        let observed_from = before(index, PRIOR_DAYS + history.below(1500));
        let first_episode = is_first_episode(person.lived.diagnosis);
        let known_before = first_episode && history.happens(coding.known_before);
        let diagnosed = match (first_episode, known_before) {
            (true, true) => shift(observed_from, i64::from(history.below(300))),
            (true, false) => index,
            (false, _) => before(index, 30 + history.below(1200)),
        };
        let survives = death.is_none_or(|day| day > STAYS_END_DAYS);
        Self {
            index,
            observed_from,
            observed_until: shift(index, i64::from(last)),
            outcome,
            dies: death.is_some(),
            diagnosed,
            stay: Stay::draw(person, index, coding, stays).filter(|_| survives),
        }
    }

    /// Whether the person is diagnosed with psychosis or depression for the first time, at the assessment.
    pub(super) fn is_first_episode(&self, person: &Person) -> bool {
        is_first_episode(person.lived.diagnosis) && self.diagnosed == self.index
    }

    /// So many days before the index day.
    pub(super) fn before(&self, days: u32) -> Date {
        before(self.index, days)
    }

    /// So many days after it.
    pub(super) fn after(&self, days: u32) -> Date {
        shift(self.index, i64::from(days))
    }
}

impl Stay {
    fn draw(person: &Person, index: Date, coding: &Coding, chance: &mut Chance) -> Option<Self> {
        let lived = &person.lived;
        let by_diagnosis = match lived.diagnosis {
            Diagnosis::Psychosis | Diagnosis::Bipolar => 0.25,
            Diagnosis::Depression | Diagnosis::Other => 0.0,
        };
        let admitted = 0.15 + by_diagnosis + 0.03 * f64::from(lived.prior_admissions);
        if !chance.happens(admitted.min(0.8)) {
            return None;
        }
        let days = some_days(shift(index, 3 + i64::from(chance.below(90))), 4, 36, chance);
        let risk = risk::true_readmission_risk(lived, coding.readmission_shift);
        let readmitted = chance.happens(risk);
        let day_after = if readmitted {
            Some(1 + chance.below(READMISSION_DAYS))
        } else {
            chance.happens(0.2).then(|| READMISSION_DAYS + 1 + chance.below(90))
        };
        let next = day_after.map(|day| some_days(shift(days.to, i64::from(day)), 3, 17, chance));
        let general = chance.happens(0.06).then(|| {
            let day = 1 + chance.below(READMISSION_DAYS - 10);
            some_days(shift(days.to, i64::from(day)), 0, 3, chance)
        });
        Some(Self { days, risk, readmitted, next, general })
    }
}

const fn is_first_episode(diagnosis: Diagnosis) -> bool {
    matches!(diagnosis, Diagnosis::Psychosis | Diagnosis::Depression)
}

/// From a day on, for `least` days more and up to `spread` beyond.
fn some_days(from: Date, least: u32, spread: u32, chance: &mut Chance) -> Days {
    Days { from, to: shift(from, i64::from(least + chance.below(spread + 1))) }
}

/// The day of death counted from the index day, for the few who die: never before the outcome.
fn death_after(person: &Person, outcome: Option<u32>, chance: &mut Chance) -> Option<u32> {
    let age = f64::from(person.lived.age) / 90.0;
    let dies = chance.happens(0.004 + 0.05 * age * age * age * age);
    let day = outcome.unwrap_or(1) + chance.below(FOLLOW_UP_DAYS - HORIZON_DAYS);
    let day = if outcome.is_some() { day } else { day + chance.below(HORIZON_DAYS) };
    dies.then_some(day)
}

pub(super) fn before(day: Date, days: u32) -> Date {
    shift(day, -i64::from(days))
}

pub(super) fn shift(day: Date, days: i64) -> Date {
    day.checked_add(days.days()).expect("within a century of the index day")
}
