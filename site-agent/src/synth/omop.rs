//! The same people as OMOP CDM 5.4 records: their history up to the index day (the day of their one
//! assessment visit), and what followed.
//!
//! Invariant: read back by the rule in `truth.json`, the records say exactly what the table says.
//! Around it lies what real records have too: earlier PHQ-9 scores, other medicines, self-harm after
//! the time at risk, deaths, codes at two depths, ethnicity in three places.

use super::SynthError;
use super::chance::Chance;
use super::files::{CsvFile, OrEmpty};
use super::person::{EthnicityColumn, MissingEthnicity, Person, RecordedEthnicity};
use super::profile::SiteProfile;
use super::table::Tenths;
use super::vocabulary::{self as concepts, ConceptId};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use std::fmt::Display;
use std::path::Path;

mod columns;

/// First possible index day; the last is 364 days later.
const FIRST_INDEX: Date = date(2023, 1, 1);
/// Later than any record.
const RELEASED: Date = date(2026, 1, 31);
/// The time at risk: from the day after the index day on, inclusive.
const HORIZON_DAYS: u32 = 365;
/// Everybody who lives is observed at least this long after the index day.
const FOLLOW_UP_DAYS: u32 = HORIZON_DAYS + 120;
/// Everybody is observed at least this long before the index day.
const PRIOR_DAYS: u32 = 1830;
/// Admissions end before this many days before the index day, so that no stay is the last contact.
const LAST_ADMISSION_DAYS: u32 = 430;
/// From the start of an admission to that of the next; longer than any stay and its jitter.
const ADMISSION_STEP_DAYS: u32 = 60;

/// A site's OMOP folder being written.
pub(super) struct Database {
    habits: SiteProfile,
    person: CsvFile,
    observation_period: CsvFile,
    visit: CsvFile,
    condition: CsvFile,
    drug: CsvFile,
    measurement: CsvFile,
    observation: CsvFile,
    death: CsvFile,
    ids: Ids,
}

/// The last id used in each table; ids start at 1.
#[derive(Default)]
struct Ids {
    period: u64,
    visit: u64,
    condition: u64,
    drug: u64,
    measurement: u64,
    observation: u64,
}

fn next(id: &mut u64) -> u64 {
    *id += 1;
    *id
}

/// Whose record, and their days.
struct Timeline {
    person: u64,
    index: Date,
    observed_until: Date,
}

impl Timeline {
    fn before(&self, days: u32) -> Date {
        shift(self.index, -i64::from(days))
    }

    fn after(&self, days: u32) -> Date {
        shift(self.index, i64::from(days))
    }
}

fn shift(day: Date, days: i64) -> Date {
    day.checked_add(days.days()).expect("within a century of the index day")
}

impl Database {
    /// New tables, with the vocabulary and the description of the source.
    pub(super) fn create(folder: &Path, site: &SiteProfile) -> Result<Self, SynthError> {
        concepts::write(folder)?;
        write_source(folder, site.name)?;
        let file = |name: &str, columns| CsvFile::create(folder.join(name), columns);
        Ok(Self {
            habits: site.clone(),
            person: file("PERSON.csv", columns::PERSON)?,
            observation_period: file("OBSERVATION_PERIOD.csv", columns::OBSERVATION_PERIOD)?,
            visit: file("VISIT_OCCURRENCE.csv", columns::VISIT_OCCURRENCE)?,
            condition: file("CONDITION_OCCURRENCE.csv", columns::CONDITION_OCCURRENCE)?,
            drug: file("DRUG_EXPOSURE.csv", columns::DRUG_EXPOSURE)?,
            measurement: file("MEASUREMENT.csv", columns::MEASUREMENT)?,
            observation: file("OBSERVATION.csv", columns::OBSERVATION)?,
            death: file("DEATH.csv", columns::DEATH)?,
            ids: Ids::default(),
        })
    }

    /// Adds a person with all their records.
    pub(super) fn write(&mut self, person: &Person, chance: &mut Chance) -> Result<(), SynthError> {
        let index = shift(FIRST_INDEX, i64::from(chance.below(365)));
        let outcome = person.outcome.then(|| 1 + chance.below(HORIZON_DAYS));
        let death = death_after(person, outcome, chance);
        let last = death.unwrap_or_else(|| FOLLOW_UP_DAYS + chance.below(240));
        let time = Timeline { person: person.id, index, observed_until: shift(index, i64::from(last)) };
        self.write_person(person, &time, chance)?;
        self.write_period(&time, chance)?;
        self.write_visits(person, &time, chance)?;
        self.write_diagnoses(person, &time, chance)?;
        self.write_self_harm(person, &time, outcome, chance)?;
        self.write_drugs(person, &time, chance)?;
        self.write_measurements(person, &time, chance)?;
        self.write_observations(person, &time)?;
        if death.is_some() {
            self.death.row(&[
                ("person_id", &person.id),
                ("death_date", &time.observed_until),
                ("death_type_concept_id", &concepts::RECORD_TYPE),
            ])?;
        }
        Ok(())
    }

    /// Writes out what is still held back.
    pub(super) fn finish(self) -> Result<(), SynthError> {
        let tables = [
            self.person,
            self.observation_period,
            self.visit,
            self.condition,
            self.drug,
            self.measurement,
            self.observation,
            self.death,
        ];
        tables.into_iter().try_for_each(CsvFile::finish)
    }

    fn write_person(
        &mut self,
        person: &Person,
        time: &Timeline,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        let birthday =
            time.index.checked_sub(i64::from(person.lived.age).years()).expect("at most 90 years ago");
        // At most 364 days more: the next birthday is still to come.
        let birth = shift(birthday, -i64::from(chance.below(365)));
        let to_the_day = self.habits.habits.day_of_birth;
        let ethnicity = person.recorded.ethnicity;
        let at = self.habits.habits.ethnicity_column;
        let when = |here| if here { concepts::ethnicity(ethnicity) } else { concepts::NONE };
        let word = |here: bool| OrEmpty((here && is_said(ethnicity)).then(|| ethnicity.word()));
        let (race, ethnic) = (at == EthnicityColumn::Race, at == EthnicityColumn::Ethnicity);
        self.person.row(&[
            ("person_id", &person.id),
            ("gender_concept_id", &concepts::sex(person.recorded.sex)),
            ("year_of_birth", &birth.year()),
            ("month_of_birth", &OrEmpty(to_the_day.then(|| birth.month()))),
            ("day_of_birth", &OrEmpty(to_the_day.then(|| birth.day()))),
            ("race_concept_id", &when(race)),
            ("ethnicity_concept_id", &when(ethnic)),
            ("gender_source_value", &person.recorded.sex.word()),
            ("race_source_value", &word(race)),
            ("ethnicity_source_value", &word(ethnic)),
        ])
    }

    fn write_period(&mut self, time: &Timeline, chance: &mut Chance) -> Result<(), SynthError> {
        self.observation_period.row(&[
            ("observation_period_id", &next(&mut self.ids.period)),
            ("person_id", &time.person),
            ("observation_period_start_date", &time.before(PRIOR_DAYS + chance.below(1500))),
            ("observation_period_end_date", &time.observed_until),
            ("period_type_concept_id", &concepts::RECORD_TYPE),
        ])
    }

    fn write_visits(
        &mut self,
        person: &Person,
        time: &Timeline,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        for nth in (0..u32::from(person.lived.prior_admissions)).rev() {
            let start = time.before(LAST_ADMISSION_DAYS + nth * ADMISSION_STEP_DAYS - chance.below(20));
            let end = shift(start, i64::from(3 + chance.below(25)));
            self.visit(time, concepts::INPATIENT, start, end)?;
        }
        let contact = time.before(u32::from(person.lived.days_since_last_contact));
        self.visit(time, concepts::OUTPATIENT, contact, contact)?;
        self.visit(time, concepts::ASSESSMENT, time.index, time.index)?;
        for _ in 0..chance.below(3) {
            let day = time.after(1 + chance.below(FOLLOW_UP_DAYS));
            if day <= time.observed_until {
                self.visit(time, concepts::OUTPATIENT, day, day)?;
            }
        }
        Ok(())
    }

    fn write_diagnoses(
        &mut self,
        person: &Person,
        time: &Timeline,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        let codes = concepts::disorder(person.lived.diagnosis);
        let specific = chance.happens(self.habits.habits.specific_codes);
        let code = if specific { codes[1 + chance.below(3) as usize] } else { codes[0] };
        let day = time.before(30 + chance.below(1200));
        self.condition(time, code, day, None)?;
        if person.recorded.alcohol {
            let code = concepts::ALCOHOL_MISUSE[chance.below(2) as usize];
            let day = time.before(1 + chance.below(1000));
            self.condition(time, code, day, None)?;
        }
        Ok(())
    }

    /// Earlier self-harm, the outcome, and for a few without it self-harm after the time at risk.
    fn write_self_harm(
        &mut self,
        person: &Person,
        time: &Timeline,
        outcome: Option<u32>,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        if person.recorded.prior_self_harm {
            for _ in 0..=chance.below(3) {
                let day = time.before(1 + chance.below(1500));
                self.self_harm(time, day, None, chance)?;
            }
        }
        let late = HORIZON_DAYS + 1 + chance.below(FOLLOW_UP_DAYS - HORIZON_DAYS);
        let late = (outcome.is_none() && chance.happens(0.02)).then_some(late);
        let Some(days) = outcome.or(late) else { return Ok(()) };
        let day = time.after(days);
        if day > time.observed_until {
            return Ok(());
        }
        let visit = self.visit(time, concepts::EMERGENCY, day, day)?;
        self.self_harm(time, day, Some(visit), chance)
    }

    fn write_drugs(
        &mut self,
        person: &Person,
        time: &Timeline,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        if person.recorded.antidepressant {
            let concept = concepts::ANTIDEPRESSANTS[chance.below(3) as usize];
            self.drug(time, concept, chance)?;
        }
        if person.recorded.antipsychotic {
            let concept = concepts::ANTIPSYCHOTICS[chance.below(3) as usize];
            self.drug(time, concept, chance)?;
        }
        if chance.happens(0.3) {
            self.drug(time, concepts::OTHER_MEDICINE, chance)?;
        }
        Ok(())
    }

    fn write_measurements(
        &mut self,
        person: &Person,
        time: &Timeline,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        if let Some(score) = person.recorded.phq9 {
            if chance.happens(0.3) {
                let earlier = (u32::from(score) + chance.below(9)).saturating_sub(4).min(27);
                let day = time.before(181 + chance.below(180));
                self.measurement(time, concepts::PHQ9, day, &earlier, concepts::SCORE)?;
            }
            let day = time.before(chance.below(91));
            self.measurement(time, concepts::PHQ9, day, &score, concepts::SCORE)?;
        }
        if let Some(tenths) = person.recorded.bmi_tenths {
            let day = time.before(chance.below(365));
            self.measurement(time, concepts::BMI, day, &Tenths(tenths), concepts::KG_PER_M2)?;
        }
        Ok(())
    }

    fn write_observations(&mut self, person: &Person, time: &Timeline) -> Result<(), SynthError> {
        if let Some(quintile) = person.recorded.deprivation {
            self.observation(time, concepts::DEPRIVATION, time.index, Some(quintile), None, None)?;
        }
        let ethnicity = person.recorded.ethnicity;
        if self.habits.habits.ethnicity_column == EthnicityColumn::Observation && is_said(ethnicity) {
            let value = concepts::ethnicity(ethnicity);
            self.observation(time, concepts::ETHNICITY, time.index, None, Some(value), None)?;
        }
        Ok(())
    }

    fn self_harm(
        &mut self,
        time: &Timeline,
        day: Date,
        visit: Option<u64>,
        chance: &mut Chance,
    ) -> Result<(), SynthError> {
        let kind = chance.below(2) as usize;
        if chance.happens(self.habits.habits.self_harm_as_observation) {
            self.observation(time, concepts::SELF_HARM_OBSERVATIONS[kind], day, None, None, visit)
        } else {
            self.condition(time, concepts::SELF_HARM_CONDITIONS[kind], day, visit)
        }
    }

    fn visit(
        &mut self,
        time: &Timeline,
        concept: ConceptId,
        start: Date,
        end: Date,
    ) -> Result<u64, SynthError> {
        let id = next(&mut self.ids.visit);
        self.visit.row(&[
            ("visit_occurrence_id", &id),
            ("person_id", &time.person),
            ("visit_concept_id", &concept),
            ("visit_start_date", &start),
            ("visit_end_date", &end),
            ("visit_type_concept_id", &concepts::RECORD_TYPE),
        ])?;
        Ok(id)
    }

    fn condition(
        &mut self,
        time: &Timeline,
        concept: ConceptId,
        day: Date,
        visit: Option<u64>,
    ) -> Result<(), SynthError> {
        self.condition.row(&[
            ("condition_occurrence_id", &next(&mut self.ids.condition)),
            ("person_id", &time.person),
            ("condition_concept_id", &concept),
            ("condition_start_date", &day),
            ("condition_type_concept_id", &concepts::RECORD_TYPE),
            ("visit_occurrence_id", &OrEmpty(visit)),
        ])
    }

    fn drug(&mut self, time: &Timeline, concept: ConceptId, chance: &mut Chance) -> Result<(), SynthError> {
        let start = time.before(1 + chance.below(150));
        let days = 28 * (1 + chance.below(3));
        self.drug.row(&[
            ("drug_exposure_id", &next(&mut self.ids.drug)),
            ("person_id", &time.person),
            ("drug_concept_id", &concept),
            ("drug_exposure_start_date", &start),
            ("drug_exposure_end_date", &shift(start, i64::from(days) - 1).min(time.observed_until)),
            ("drug_type_concept_id", &concepts::RECORD_TYPE),
            ("days_supply", &days),
        ])
    }

    fn measurement(
        &mut self,
        time: &Timeline,
        concept: ConceptId,
        day: Date,
        value: &dyn Display,
        unit: ConceptId,
    ) -> Result<(), SynthError> {
        self.measurement.row(&[
            ("measurement_id", &next(&mut self.ids.measurement)),
            ("person_id", &time.person),
            ("measurement_concept_id", &concept),
            ("measurement_date", &day),
            ("measurement_type_concept_id", &concepts::RECORD_TYPE),
            ("value_as_number", value),
            ("unit_concept_id", &unit),
        ])
    }

    fn observation(
        &mut self,
        time: &Timeline,
        concept: ConceptId,
        day: Date,
        number: Option<u8>,
        value: Option<ConceptId>,
        visit: Option<u64>,
    ) -> Result<(), SynthError> {
        self.observation.row(&[
            ("observation_id", &next(&mut self.ids.observation)),
            ("person_id", &time.person),
            ("observation_concept_id", &concept),
            ("observation_date", &day),
            ("observation_type_concept_id", &concepts::RECORD_TYPE),
            ("value_as_number", &OrEmpty(number)),
            ("value_as_concept_id", &OrEmpty(value)),
            ("visit_occurrence_id", &OrEmpty(visit)),
        ])
    }
}

/// The day of death counted from the index day, for the few who die: never before the outcome.
fn death_after(person: &Person, outcome: Option<u32>, chance: &mut Chance) -> Option<u32> {
    let age = f64::from(person.lived.age) / 90.0;
    let dies = chance.happens(0.004 + 0.05 * age * age * age * age);
    let day = outcome.unwrap_or(1) + chance.below(FOLLOW_UP_DAYS - HORIZON_DAYS);
    let day = if outcome.is_some() { day } else { day + chance.below(HORIZON_DAYS) };
    dies.then_some(day)
}

/// Whether anybody wrote down an answer, be it a refusal.
fn is_said(ethnicity: RecordedEthnicity) -> bool {
    ethnicity != RecordedEthnicity::Missing(MissingEthnicity::Unknown)
}

fn write_source(folder: &Path, site: &str) -> Result<(), SynthError> {
    let mut file = CsvFile::create(folder.join("CDM_SOURCE.csv"), columns::CDM_SOURCE)?;
    file.row(&[
        ("cdm_source_name", &format_args!("Synthetic hospital {site}")),
        ("cdm_source_abbreviation", &site),
        ("cdm_holder", &"nobody: invented people"),
        ("source_description", &"Made by site-agent synth; no real record is in here"),
        ("cdm_etl_reference", &concat!("site-agent ", env!("CARGO_PKG_VERSION"))),
        ("source_release_date", &RELEASED),
        ("cdm_release_date", &RELEASED),
        ("cdm_version", &"5.4"),
        ("cdm_version_concept_id", &concepts::CDM_VERSION),
        ("vocabulary_version", &concepts::VERSION),
    ])?;
    file.finish()
}
