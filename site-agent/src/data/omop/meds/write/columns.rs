//! Rows of a shard: what a person's history is in MEDS, and its columns.

use super::super::super::event::{Event, PersonId, Value};
use super::super::super::history::History;
use super::super::super::moment::{Day, Moment};
use super::super::super::people::Person;
use super::super::super::schema::Table;
use super::super::super::units;
use super::super::sentinel;
use super::metadata::Names;
use arrow_array::builder::{
    Float32Builder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

const MICROS_A_DAY: i64 = 86_400_000_000;
/// Rows that are handed to the file together.
const LINES: usize = 16_384;

/// A row but for whose it is.
pub(super) struct Line<'a> {
    /// When, in microseconds since 1970-01-01 of the hospital's clock; a day without a time is its last microsecond, so
    /// that no tool takes it to be known before the day was over.
    pub(super) micros: i64,
    is_day: bool,
    code: Cow<'a, str>,
    event: Option<&'a Event>,
}

impl<'a> Line<'a> {
    /// Everything that is known of a person, in no order yet.
    pub(super) fn of(history: &History<'a>, names: &'a Names) -> Vec<Self> {
        let at_start = |day: Day, code: &'static str| Line {
            micros: i64::from(day.epoch_days()) * MICROS_A_DAY,
            is_day: true,
            code: Cow::Borrowed(code),
            event: None,
        };
        let at_end = |day: Day, code: &'static str| Line {
            micros: i64::from(day.epoch_days() + 1) * MICROS_A_DAY - 1,
            ..at_start(day, code)
        };
        let born = birth(history.person).map(|day| at_start(day, sentinel::BIRTH));
        let observed = history.periods.iter().flat_map(|period| {
            [at_start(period.start, sentinel::OBSERVED_FROM), at_end(period.end, sentinel::OBSERVED_TO)]
        });
        let events = history.events.iter().map(|event| Line {
            micros: micros(event.time),
            is_day: event.time.micros_of_day().is_none(),
            code: names.code(event),
            event: Some(event),
        });
        born.into_iter().chain(observed).chain(events).collect()
    }
}

fn micros(moment: Moment) -> i64 {
    let start = i64::from(moment.day().epoch_days()) * MICROS_A_DAY;
    start + moment.micros_of_day().map_or(MICROS_A_DAY - 1, u64::cast_signed)
}

/// The day that stands for a birth of which perhaps only the year is known: as ages are counted (1 July, or the 15th).
fn birth(person: &Person) -> Option<Day> {
    let year = i32::from(person.birth_year?);
    let day = match (person.birth_month, person.birth_day) {
        (None, _) => Day::from_civil(year, 7, 1),
        (Some(month), None) => Day::from_civil(year, month.into(), 15),
        (Some(month), Some(day)) => Day::from_civil(year, month.into(), day.into())
            .or_else(|_| Day::from_civil(year, month.into(), 15)),
    };
    day.ok()
}

/// The columns of a shard. MEDS has the first four; the others are the profile's.
pub(super) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = || DataType::Timestamp(TimeUnit::Microsecond, None);
        let fields = [
            ("subject_id", DataType::Int64),
            ("time", time()),
            ("code", DataType::Utf8),
            ("numeric_value", DataType::Float32),
            ("domain", DataType::Utf8),
            ("concept_id", DataType::Int64),
            ("time_precision", DataType::Utf8),
            ("end_time", time()),
            ("end_time_precision", DataType::Utf8),
            ("exact_value", DataType::Float64),
            ("value_concept_id", DataType::Int64),
            ("unit", DataType::Utf8),
            ("unit_concept_id", DataType::Int64),
            ("visit_id", DataType::Int64),
            ("type_concept_id", DataType::Int64),
            ("status_concept_id", DataType::Int64),
            ("care_site_id", DataType::Int64),
        ];
        let field =
            |(name, kind): (&str, DataType)| Field::new(name, kind, !["subject_id", "code"].contains(&name));
        Arc::new(Schema::new(fields.map(field).to_vec()))
    });
    Arc::clone(&SCHEMA)
}

/// Rows that are not written yet.
pub(super) struct Lines {
    rows: usize,
    subject: Int64Builder,
    time: TimestampMicrosecondBuilder,
    code: StringBuilder,
    number: Float32Builder,
    domain: StringBuilder,
    concept: Int64Builder,
    precision: StringBuilder,
    end: TimestampMicrosecondBuilder,
    end_precision: StringBuilder,
    exact: Float64Builder,
    coded: Int64Builder,
    unit_text: StringBuilder,
    unit: Int64Builder,
    visit: Int64Builder,
    provenance: Int64Builder,
    status: Int64Builder,
    care_site: Int64Builder,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            rows: 0,
            subject: Int64Builder::new(),
            time: TimestampMicrosecondBuilder::new(),
            code: StringBuilder::new(),
            number: Float32Builder::new(),
            domain: StringBuilder::new(),
            concept: Int64Builder::new(),
            precision: StringBuilder::new(),
            end: TimestampMicrosecondBuilder::new(),
            end_precision: StringBuilder::new(),
            exact: Float64Builder::new(),
            coded: Int64Builder::new(),
            unit_text: StringBuilder::new(),
            unit: Int64Builder::new(),
            visit: Int64Builder::new(),
            provenance: Int64Builder::new(),
            status: Int64Builder::new(),
            care_site: Int64Builder::new(),
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.rows >= LINES
    }

    pub(super) fn push(&mut self, person: PersonId, line: &Line<'_>) {
        let precision = |is_day: bool| if is_day { "date" } else { "datetime" };
        let id = |id: i64| Some(id).filter(|id| *id != 0);
        let event = line.event;
        self.rows += 1;
        self.subject.append_value(person.0);
        self.time.append_value(line.micros);
        self.code.append_value(&line.code);
        self.precision.append_value(precision(line.is_day));
        self.domain.append_option(event.map(|event| Table::Clinical(event.domain).name()));
        self.concept.append_option(event.and_then(|event| id(event.concept.0)));
        let end = event.and_then(|event| event.end);
        self.end.append_option(end.map(micros));
        self.end_precision.append_option(end.map(|end| precision(end.micros_of_day().is_none())));
        let value = event.map_or(Value::None, |event| event.value);
        let (number, exact) = match value {
            Value::Number(number) => float(number),
            Value::None | Value::Concept(_) => (None, None),
        };
        self.number.append_option(number);
        self.exact.append_option(exact);
        self.coded.append_option(if let Value::Concept(concept) = value { Some(concept.0) } else { None });
        let unit = event.and_then(|event| id(event.unit.0));
        self.unit_text.append_option(event.and_then(|event| units::code(event.unit)));
        self.unit.append_option(unit);
        self.visit.append_option(event.and_then(|event| event.visit).map(std::num::NonZeroI64::get));
        self.provenance.append_option(event.and_then(|event| id(event.provenance.0)));
        self.status.append_option(event.and_then(|event| id(event.status.0)));
        self.care_site.append_option(event.and_then(|event| event.care_site).map(std::num::NonZeroI64::get));
    }

    /// The rows so far; none are left.
    pub(super) fn take(&mut self) -> RecordBatch {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.subject.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.code.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.domain.finish()),
            Arc::new(self.concept.finish()),
            Arc::new(self.precision.finish()),
            Arc::new(self.end.finish()),
            Arc::new(self.end_precision.finish()),
            Arc::new(self.exact.finish()),
            Arc::new(self.coded.finish()),
            Arc::new(self.unit_text.finish()),
            Arc::new(self.unit.finish()),
            Arc::new(self.visit.finish()),
            Arc::new(self.provenance.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.care_site.finish()),
        ];
        RecordBatch::try_new(schema(), columns).expect("each row has a cell in every column")
    }
}

/// As MEDS has it, and beside it the number itself where that is not the one which is meant by its shortest digits.
fn float(number: f64) -> (Option<f32>, Option<f64>) {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is kept beside it")]
    let narrow = number as f32;
    if !narrow.is_finite() {
        return (None, Some(number));
    }
    let meant: f64 = narrow.to_string().parse().expect("a float's digits are a float");
    (Some(narrow), (meant.to_bits() != number.to_bits()).then_some(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        fn check(number: f64, narrow: Option<f32>, exact: bool) {
            assert_eq!(float(number), (narrow, exact.then_some(number)));
        }
        check(36.6, Some(36.6), false);
        check(0.0, Some(0.0), false);
        check(-1.5, Some(-1.5), false);
        check(16_777_217.0, Some(16_777_216.0), true);
        check(std::f64::consts::PI, Some(std::f32::consts::PI), true);
        check(1e300, None, true);
        check(1e-300, Some(0.0), true);
    }
}
