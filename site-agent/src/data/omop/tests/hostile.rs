//! Files that somebody got wrong, or made wrong: an error with file and row, and never a cell.

use super::super::*;
use super::hospital::Text;
use std::fs;
use std::path::Path;

const PERSON: &str =
    "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id\n1,8507,1980,0,0\n";
const HEADER: &str =
    "person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,unit_source_value\n";
/// In a cell of each bad file; no message may have it.
const CANARY: &str = "Zebedee";

fn read(root: &Path) -> Result<Vec<Event>, InvalidOmop> {
    let folder = Folder::open(root)?;
    let people = People::read(&folder)?;
    let reading = Reading { threads: 2, ..Reading::default() };
    let (stream, _) = stream::read(&folder, &Domain::ALL, &reading, |_| true)?;
    let mut events = Vec::new();
    history::each(&people, stream, |history| events.extend(history.events))?;
    vocabulary::concepts(&folder, |_| true)?;
    Ok(events)
}

#[track_caller]
fn refused(root: &Path, expected: &str) {
    let error = match read(root) {
        Ok(events) => panic!("expected {expected}, read {} events", events.len()),
        Err(error) => error,
    };
    let message = error.to_string();
    assert!(message.contains(expected), "expected {expected}, found {message}");
    assert!(!message.contains(CANARY) && !format!("{error:?}").contains(CANARY), "{message}");
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).expect("written");
    }
    dir
}

#[test]
fn rows() {
    #[track_caller]
    fn check(measurement: &[u8], expected: &str) {
        let dir = folder(&[("person.csv", PERSON.as_bytes()), ("measurement.csv", measurement)]);
        refused(dir.path(), expected);
    }
    let after_header = |rows: &[u8]| [HEADER.as_bytes(), rows].concat();
    let good = b"1,3,2020-01-01,36.6,9,C\n";
    check(
        &after_header(b"1,3,2020-01-01,36.6,9,\"Zebedee\n"),
        "measurement.csv: row 2: a quote that is never closed",
    );
    check(
        &after_header(b"1,3,2020-01-01,36.6,9,\"Zebedee\n1,3,2020-01-01,36.6,9,\"C\"\n"),
        "row 2: text after a closing quote",
    );
    check(&after_header(b"1,3,2020-01-01,36.6,9,Zebedee\0\n"), "row 2: a NUL byte");
    check(&after_header(b"1,3,2020-01-01,36.6,9,Zebedee\xe9\n"), "row 2: not UTF-8");
    check(
        &after_header(b"1,3,2020-01-01,36.6,9,Zebedee,more\n"),
        "row 2: 7 cells, expected 6 as in the header",
    );
    check(&after_header(b"1,3,2020-01-01\n"), "row 2: 3 cells, expected 6");
    let huge = [b"1,3,2020-01-01,36.6,9,".as_slice(), &CANARY.as_bytes().repeat(200_000), b"\n"].concat();
    check(&after_header(&huge), "row 2: longer than 1048576 bytes");
    // The 10^6th row, with quotes before and after it.
    let row = b"1,3,2020-01-01,36.6,9,\"C\"\n";
    let mut long = after_header(&row.repeat(1_000_000 - 2));
    long.extend(b"1,3,2020-01-01,36.6,9,\"Zebedee\n");
    long.extend(row.repeat(5));
    check(&long, "measurement.csv: row 1000000: text after a closing quote");
    check(&[good.as_slice(), good].concat(), "measurement.csv: expected a column person_id");
    check(b"", "expected a column person_id");
    check(b"person_id,PERSON_ID,measurement_concept_id\n", "column person_id is there twice");
    check(&[b"\xff\xfe".as_slice(), &b"p\0e\0r\0"[..]].concat(), "row 1: a NUL byte");
}

#[test]
fn other_files() {
    #[track_caller]
    fn check(files: &[(&str, &[u8])], expected: &str) {
        let files = [&[("person.csv", PERSON.as_bytes())], files].concat();
        refused(folder(&files).path(), expected);
    }
    check(&[("death.parquet", b"Zebedee")], "death.parquet: not a Parquet file");
    check(&[("death.parquet", b"")], "death.parquet: not a Parquet file");
    check(&[("death.parquet", b"PAR1\x00\x00\x00\x00PAR1")], "death.parquet: not a Parquet file");
    check(&[("death.csv.gz", b"Zebedee")], "death.csv.gz: row 1: the compressed data after it are damaged");
    check(&[("death.csv", b"PAR1\x15\x04\x00")], "death.csv");
    check(
        &[("concept.csv", b"concept_id,concept_name\n1,Zebedee\n")],
        "concept.csv: expected a column vocabulary_id",
    );
}

#[test]
fn damaged_gzip() {
    let dir = folder(&[("person.csv", PERSON.as_bytes())]);
    let rows = ["1,2020-01-01"; 5000];
    let path = dir.path().join("death.csv.gz");
    Text::new("death", "person_id,death_date", &rows).write_gz(&path);
    let whole = fs::read(&path).expect("read");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    refused(dir.path(), "the compressed data after it are damaged or cut short");
}

/// Whatever byte is wrong in a Parquet file: an error, or events that are not told apart from others; never a panic.
#[test]
fn damaged_parquet() {
    let dir = folder(&[("person.csv", PERSON.as_bytes())]);
    let path = dir.path().join("measurement.parquet");
    let rows: Vec<String> = (0..200)
        .map(|row| format!("1,{},2020-01-{:02} 10:00:00,{row}.5,{CANARY}", row % 9, 1 + row % 28))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    Text::new(
        "measurement",
        "person_id,measurement_concept_id,measurement_datetime,value_as_number,unit_source_value",
        &rows,
    )
    .write_parquet(&path, 64);
    let whole = fs::read(&path).expect("read");
    assert_eq!(read(dir.path()).map(|events| events.len()).ok(), Some(200));
    let mut refusals = 0;
    for at in (0..whole.len()).step_by(23) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).expect("written");
        if let Err(error) = read(dir.path()) {
            let message = error.to_string();
            assert!(message.contains("measurement.parquet") && !message.contains(CANARY), "{message}");
            refusals += 1;
        }
    }
    assert!(refusals > 20, "{refusals} refusals");
    for length in [whole.len() - 1, whole.len() / 2, 4] {
        fs::write(&path, &whole[..length]).expect("written");
        refused(dir.path(), "measurement.parquet: not a Parquet file");
    }
}

#[test]
fn a_column_of_another_type() {
    use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;
    fn check(date: ArrayRef, expected: Result<usize, &str>) {
        let dir = folder(&[("person.csv", PERSON.as_bytes())]);
        let person: ArrayRef = Arc::new(Int64Array::from(vec![1, 1]));
        let columns = [("person_id", person), ("death_datetime", date.clone()), ("death_date", date)];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let file = fs::File::create(dir.path().join("death.parquet")).expect("made");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("written");
        match expected {
            Ok(events) => assert_eq!(read(dir.path()).map(|found| found.len()).ok(), Some(events)),
            Err(part) => refused(dir.path(), part),
        }
    }
    check(
        Arc::new(Int64Array::from(vec![20_200_101, 20_200_102])),
        Err("column death_date: expected dates, found Int64"),
    );
    check(
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Err("column death_date: expected dates, found Boolean"),
    );
    // R writes a column without any value as booleans: a death without a date is left out and counted.
    check(Arc::new(BooleanArray::from(vec![None, None])), Ok(0));
    let spark = arrow_array::TimestampNanosecondArray::from(vec![Some(1_577_836_800_000_000_000), None]);
    check(Arc::new(spark.with_timezone("UTC")), Ok(1));
    let texts = arrow_array::StringArray::from(vec!["2020-01-01", "2020-01-01 10:00"]);
    check(Arc::new(texts), Ok(2));
}
