//! The same people as OMOP CDM 5.4 records: their history up to the index day (the day of their one assessment visit), and
//! what followed.
//!
//! Invariant: read back by the rules in `truth.json`, the records say exactly what the table and the truth files say. Around
//! it lies what real records have too: earlier PHQ-9 scores, other medicines, self-harm after the time at risk and its late
//! effects, deaths, disorders that stand below psychosis and are none, codes at several depths, units that are missing or
//! wrong, ethnicity in three places and at odds with itself.

use super::SynthError;
use super::chance::Chances;
use super::coding::Coding;
use super::course::{Course, shift};
use super::folders::{Folders, TableFiles};
use super::person::{EthnicityColumn, MissingEthnicity, Person, RecordedEthnicity};
use super::profile::{Habits, SiteProfile};
use super::vocabulary as concepts;
use jiff::ToSpan;
use jiff::civil::{Date, date};

pub(super) mod columns;
mod events;
mod measured;
mod notes;
mod rows;
mod visits;
mod wards;

pub(super) use notes::Notes;

/// Later than any record.
const RELEASED: Date = date(2026, 1, 31);

/// A site's OMOP tables being written.
pub(super) struct Database {
    habits: Habits,
    coding: Coding,
    person: TableFiles,
    observation_period: TableFiles,
    visit: TableFiles,
    visit_detail: TableFiles,
    condition: TableFiles,
    drug: TableFiles,
    measurement: TableFiles,
    observation: TableFiles,
    death: TableFiles,
    ids: Ids,
}

/// The last id used in each table; ids start at 1.
#[derive(Default)]
struct Ids {
    period: u64,
    visit: u64,
    visit_detail: u64,
    condition: u64,
    drug: u64,
    measurement: u64,
    observation: u64,
}

fn next(id: &mut u64) -> u64 {
    *id += 1;
    *id
}

/// Whose records, and what happens to them.
#[derive(Clone, Copy)]
pub(super) struct Who<'a> {
    pub(super) person: &'a Person,
    pub(super) course: &'a Course,
}

/// Visits that other records refer to.
pub(super) struct Visits {
    /// The assessment, on the index day.
    pub(super) assessment: u64,
    /// The last contact before it.
    pub(super) last_contact: u64,
}

impl Database {
    /// New tables, with the vocabulary and the description of the source.
    pub(super) fn create(folders: &Folders, site: &SiteProfile, coding: Coding) -> Result<Self, SynthError> {
        concepts::write(folders)?;
        wards::write(folders)?;
        write_source(folders, site.name)?;
        Ok(Self {
            habits: site.habits.clone(),
            coding,
            person: folders.table(&columns::PERSON)?,
            observation_period: folders.table(&columns::OBSERVATION_PERIOD)?,
            visit: folders.table(&columns::VISIT_OCCURRENCE)?,
            visit_detail: folders.table(&columns::VISIT_DETAIL)?,
            condition: folders.table(&columns::CONDITION_OCCURRENCE)?,
            drug: folders.table(&columns::DRUG_EXPOSURE)?,
            measurement: folders.table(&columns::MEASUREMENT)?,
            observation: folders.table(&columns::OBSERVATION)?,
            death: folders.table(&columns::DEATH)?,
            ids: Ids::default(),
        })
    }

    /// Adds a person with all their records but the notes.
    pub(super) fn write(&mut self, who: Who<'_>, chances: &mut Chances) -> Result<Visits, SynthError> {
        self.write_person(who, chances)?;
        self.write_period(who)?;
        let visits = self.write_visits(who, chances)?;
        self.write_diagnoses(who, visits.assessment, chances)?;
        self.write_self_harm(who, chances)?;
        self.write_drugs(who, chances)?;
        self.write_measurements(who, chances)?;
        self.write_observations(who)?;
        if who.course.dies {
            self.death.row(&[
                ("person_id", who.person.id.into()),
                ("death_date", who.course.observed_until.into()),
                ("death_type_concept_id", concepts::RECORD_TYPE.into()),
            ])?;
        }
        Ok(visits)
    }

    /// Writes out what is still held back.
    pub(super) fn finish(self) -> Result<(), SynthError> {
        let tables = [
            self.person,
            self.observation_period,
            self.visit,
            self.visit_detail,
            self.condition,
            self.drug,
            self.measurement,
            self.observation,
            self.death,
        ];
        tables.into_iter().try_for_each(TableFiles::finish)
    }

    fn write_person(&mut self, who: Who<'_>, chances: &mut Chances) -> Result<(), SynthError> {
        let person = who.person;
        let years = i64::from(person.lived.age).years();
        let birthday = who.course.index.checked_sub(years).expect("at most 90 years ago");
        // At most 364 days more: the next birthday is still to come.
        let birth = shift(birthday, -i64::from(chances.history.below(365)));
        let to_the_day = self.habits.day_of_birth;
        let recorded = person.recorded.ethnicity;
        let other = match recorded {
            RecordedEthnicity::Known(known) if chances.coding.happens(self.coding.ethnicity_conflict) => {
                RecordedEthnicity::Known(known.another(&mut chances.coding))
            }
            _ => RecordedEthnicity::Missing(MissingEthnicity::Unknown),
        };
        let (race, ethnic) = match self.habits.ethnicity_column {
            EthnicityColumn::Race => (recorded, other),
            EthnicityColumn::Ethnicity => (other, recorded),
            EthnicityColumn::Observation => (other, RecordedEthnicity::Missing(MissingEthnicity::Unknown)),
        };
        let word = |ethnicity: RecordedEthnicity| is_said(ethnicity).then(|| ethnicity.word()).into();
        self.person.row(&[
            ("person_id", person.id.into()),
            ("gender_concept_id", concepts::sex(person.recorded.sex).into()),
            ("year_of_birth", birth.year().into()),
            ("month_of_birth", to_the_day.then(|| birth.month()).into()),
            ("day_of_birth", to_the_day.then(|| birth.day()).into()),
            ("race_concept_id", concepts::ethnicity(race).into()),
            ("ethnicity_concept_id", concepts::ethnicity(ethnic).into()),
            ("gender_source_value", person.recorded.sex.word().into()),
            ("race_source_value", word(race)),
            ("ethnicity_source_value", word(ethnic)),
        ])
    }

    fn write_period(&mut self, who: Who<'_>) -> Result<(), SynthError> {
        self.observation_period.row(&[
            ("observation_period_id", next(&mut self.ids.period).into()),
            ("person_id", who.person.id.into()),
            ("observation_period_start_date", who.course.observed_from.into()),
            ("observation_period_end_date", who.course.observed_until.into()),
            ("period_type_concept_id", concepts::RECORD_TYPE.into()),
        ])
    }
}

/// Whether anybody wrote down an answer, be it a refusal.
fn is_said(ethnicity: RecordedEthnicity) -> bool {
    ethnicity != RecordedEthnicity::Missing(MissingEthnicity::Unknown)
}

fn write_source(folders: &Folders, site: &str) -> Result<(), SynthError> {
    let mut file = folders.table(&columns::CDM_SOURCE)?;
    file.row(&[
        ("cdm_source_name", format!("Synthetic hospital {site}").as_str().into()),
        ("cdm_source_abbreviation", site.into()),
        ("cdm_holder", "nobody: invented people".into()),
        ("source_description", "Made by site-agent synth; no real record is in here".into()),
        ("cdm_etl_reference", concat!("site-agent ", env!("CARGO_PKG_VERSION")).into()),
        ("source_release_date", RELEASED.into()),
        ("cdm_release_date", RELEASED.into()),
        ("cdm_version", "5.4".into()),
        ("cdm_version_concept_id", concepts::CDM_VERSION.into()),
        ("vocabulary_version", concepts::VERSION.into()),
    ])?;
    file.finish()
}
