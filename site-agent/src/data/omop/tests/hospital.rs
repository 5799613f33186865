//! A small hospital as tables of text, and the ways to write it to disk.

use super::super::*;
use arrow_array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// A table: its name, its columns, and cells as text, empty where there is nothing.
#[derive(Clone)]
pub(crate) struct Text {
    pub(crate) name: &'static str,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A row, without its end. Cells with commas are quoted; one that is quoted already stands as it is.
fn line_of_csv(cells: &[String]) -> String {
    let cell = |cell: &String| {
        let plain = !cell.contains(',') || cell.starts_with('"');
        if plain { cell.clone() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",")
}

impl Text {
    pub(crate) fn new(name: &'static str, header: &str, rows: &[&str]) -> Self {
        let cells = |line: &str| line.split(',').map(str::to_owned).collect();
        Self { name, header: cells(header), rows: rows.iter().map(|row| cells(row)).collect() }
    }

    pub(crate) fn csv(&self) -> String {
        let lines: Vec<String> =
            std::iter::once(&self.header).chain(&self.rows).map(|cells| line_of_csv(cells)).collect();
        lines.join("\n") + "\n"
    }

    pub(crate) fn write_csv(&self, path: &Path) {
        fs::write(path, self.csv()).expect("written");
    }

    pub(crate) fn write_gz(&self, path: &Path) {
        let mut file = GzEncoder::new(File::create(path).expect("made"), Compression::fast());
        file.write_all(self.csv().as_bytes()).expect("written");
        file.finish().expect("written");
    }

    /// With the types that each column has in the data model.
    pub(crate) fn write_parquet(&self, path: &Path, rows_of_group: usize) {
        let columns = self.header.iter().enumerate().map(|(at, name)| {
            (name.clone(), array(name, self.rows.iter().map(|row| row[at].as_str())), true)
        });
        let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
        let properties = WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .set_max_row_group_row_count(Some(rows_of_group))
            .build();
        let file = File::create(path).expect("made");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("written");
    }
}

/// Columns of notes that hold text.
const IN_NOTES: [&str; 4] = ["note_text", "term_exists", "term_temporal", "term_modifiers"];

fn array<'a>(name: &str, cells: impl Iterator<Item = &'a str>) -> ArrayRef {
    let cells = cells.map(|cell| Some(cell).filter(|cell| !cell.is_empty()));
    let moment = |cell: &str| Moment::parse(cell.as_bytes()).expect("a moment");
    if name.ends_with("_date") {
        Arc::new(Date32Array::from_iter(cells.map(|cell| Some(moment(cell?).day().epoch_days()))))
    } else if name.ends_with("_datetime") {
        let micros = |moment: Moment| {
            i64::from(moment.day().epoch_days()) * 86_400_000_000
                + moment.micros_of_day().expect("a time").cast_signed()
        };
        Arc::new(TimestampMicrosecondArray::from_iter(cells.map(|cell| Some(micros(moment(cell?))))))
    } else if name == "value_as_number" || name == "quantity" {
        Arc::new(Float64Array::from_iter(cells.map(|cell| Some(cell?.parse::<f64>().expect("a number")))))
    } else if name.ends_with("_value")
        || name.ends_with("_name")
        || name == "note"
        || IN_NOTES.contains(&name)
    {
        Arc::new(StringArray::from_iter(cells))
    } else {
        Arc::new(Int64Array::from_iter(cells.map(|cell| Some(cell?.parse::<i64>().expect("a number")))))
    }
}

/// Numbers that look random and are the same every time.
pub(crate) struct Chance(pub(in crate::data) u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn date(&mut self) -> String {
        format!("{}-{:02}-{:02}", 1999 + self.below(25), 1 + self.below(12), 1 + self.below(28))
    }

    fn datetime(&mut self) -> String {
        format!("{} {:02}:{:02}:{:02}", self.date(), self.below(24), self.below(60), self.below(60))
    }

    fn or_nothing(&mut self, cell: String) -> String {
        if self.below(4) == 0 { String::new() } else { cell }
    }

    fn id(&mut self, below: u64) -> String {
        // Now and then one that 32 bits do not hold.
        if self.below(20) == 0 { (i64::MAX - 1).to_string() } else { self.below(below).to_string() }
    }
}

/// A hospital with all clinical tables, rows in no order, gaps in every column that may have some, all of the rows
/// sound in themselves.
pub(crate) fn hospital(people: u64, rows: u64) -> Vec<Text> {
    let mut chance = Chance(7);
    let mut tables = Vec::new();
    let mut table =
        |name, header: &[&str], rows: u64, cell: &mut dyn FnMut(&mut Chance, &str, u64) -> String| {
            let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
            let rows = (0..rows)
                .map(|row| header.iter().map(|name| cell(&mut chance, name, row)).collect())
                .collect();
            tables.push(Text { name, header, rows });
        };
    table(
        "person",
        &[
            "person_id",
            "gender_concept_id",
            "year_of_birth",
            "month_of_birth",
            "race_concept_id",
            "ethnicity_concept_id",
            "person_source_value",
            "care_site_id",
        ],
        people,
        &mut |chance, column, row| match column {
            "person_id" => ((row * 7) % people).to_string(),
            "gender_concept_id" => (8507 + 25 * chance.below(2)).to_string(),
            "year_of_birth" => (1920 + chance.below(100)).to_string(),
            "month_of_birth" => {
                chance.below(12).checked_sub(1).map_or(String::new(), |month| (month + 1).to_string())
            }
            "race_concept_id" => (8514 + chance.below(3)).to_string(),
            "person_source_value" => "Müller".to_owned(),
            _ => chance.below(3).to_string(),
        },
    );
    table(
        "observation_period",
        &["person_id", "observation_period_start_date", "observation_period_end_date"],
        people,
        &mut |chance, column, _| match column {
            "person_id" => chance.below(people).to_string(),
            "observation_period_start_date" => "2001-01-01".to_owned(),
            _ => "2016-12-31".to_owned(),
        },
    );
    let clinical: [(&str, &[&str]); 8] = [
        (
            "visit_occurrence",
            &[
                "visit_occurrence_id",
                "person_id",
                "visit_concept_id",
                "visit_start_date",
                "visit_start_datetime",
                "visit_end_date",
                "visit_type_concept_id",
                "care_site_id",
                "discharged_to_concept_id",
                "admitted_from_concept_id",
            ],
        ),
        (
            "visit_detail",
            &[
                "visit_detail_id",
                "person_id",
                "visit_detail_concept_id",
                "visit_detail_start_datetime",
                "visit_detail_end_datetime",
                "visit_occurrence_id",
                "care_site_id",
            ],
        ),
        (
            "condition_occurrence",
            &[
                "person_id",
                "condition_concept_id",
                "condition_start_date",
                "condition_end_date",
                "condition_status_concept_id",
                "condition_type_concept_id",
                "visit_occurrence_id",
                "condition_source_value",
            ],
        ),
        (
            "drug_exposure",
            &[
                "person_id",
                "drug_concept_id",
                "drug_exposure_start_date",
                "drug_exposure_end_date",
                "quantity",
                "days_supply",
                "drug_type_concept_id",
            ],
        ),
        (
            "procedure_occurrence",
            &[
                "procedure_date",
                "procedure_datetime",
                "person_id",
                "procedure_concept_id",
                "visit_occurrence_id",
            ],
        ),
        (
            "measurement",
            &[
                "person_id",
                "measurement_concept_id",
                "measurement_datetime",
                "value_as_number",
                "value_as_concept_id",
                "unit_concept_id",
                "unit_source_value",
                "operator_concept_id",
                "visit_occurrence_id",
            ],
        ),
        (
            "observation",
            &[
                "person_id",
                "observation_concept_id",
                "observation_date",
                "value_as_number",
                "value_as_concept_id",
                "qualifier_concept_id",
                "note",
            ],
        ),
        ("death", &["person_id", "death_date", "death_datetime", "cause_concept_id"]),
    ];
    for (name, header) in clinical {
        let rows = if name == "death" { people / 10 } else { rows };
        table(name, header, rows, &mut |chance, column, _| match column {
            // Some are nobody's whom the hospital knows.
            "person_id" => chance.below(people + people / 10 + 1).to_string(),
            "value_as_number" | "quantity" => {
                let number = format!("{}.{}", chance.below(200), chance.below(1000));
                chance.or_nothing(number)
            }
            "days_supply" => {
                let days = chance.below(90).to_string();
                chance.or_nothing(days)
            }
            "note" | "condition_source_value" => "ward 3".to_owned(),
            "unit_source_value" => {
                let unit =
                    ["mm[Hg]", "mmHg", "", "{score}", "NA"][usize::try_from(chance.below(5)).expect("small")];
                unit.to_owned()
            }
            "visit_detail_start_datetime" | "measurement_datetime" => chance.datetime(),
            "visit_start_date"
            | "condition_start_date"
            | "drug_exposure_start_date"
            | "procedure_date"
            | "observation_date"
            | "death_date" => chance.date(),
            column if column.ends_with("_datetime") => {
                let time = chance.datetime();
                chance.or_nothing(time)
            }
            column if column.ends_with("_date") => {
                let date = chance.date();
                chance.or_nothing(date)
            }
            _ => {
                let id = chance.id(50);
                chance.or_nothing(id)
            }
        });
    }
    tables
}

/// The stream of a folder as bytes, and everything that was counted.
pub(crate) fn bytes(folder: &Path, reading: &Reading<'_>) -> Vec<u8> {
    bytes_of(&Folder::open(folder).expect("a folder"), reading)
}

/// As [`bytes`], of any source.
pub(crate) fn bytes_of<'a>(source: impl Into<Source<'a>>, reading: &Reading<'_>) -> Vec<u8> {
    let (stream, counts) = stream::read(source, &Domain::ALL, reading, |_| true).expect("reads");
    let mut packer = pack::Packer::default();
    let mut bytes = Vec::new();
    let mut events = 0;
    for event in stream {
        packer.pack(&event.expect("reads"), &mut bytes);
        events += 1;
    }
    assert_eq!(events, counts.values().map(|counts| counts.events).sum::<u64>());
    for (domain, counts) in counts {
        bytes.extend(format!("{domain:?} {} {}", counts.rows, counts.events).bytes());
        bytes.extend(Fault::ALL.iter().flat_map(|fault| counts.faults.of(*fault).to_le_bytes()));
    }
    bytes
}
