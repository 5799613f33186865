//! The forms hold the same rows, by our own reader and cell for cell.

use super::*;
use crate::data::omop::Reading;
use crate::data::omop::tests::hospital::bytes;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef};
use arrow_schema::DataType;
use jiff::ToSpan as _;
use jiff::civil::date;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::Read as _;

fn written(home: &Path, form: Form) -> PathBuf {
    let out = home.join(format!("{form:?}"));
    run(&SynthArgs { form, ..args(&out, 5, 1000, 2) }).expect("writes");
    out
}

#[test]
fn parquet_holds_the_rows_of_csv() {
    let home = tempfile::tempdir().expect("a folder");
    let out = written(home.path(), Form::Both);
    for site in plan(5, 1000).expect("within bounds") {
        let folder = out.join(site.profile.name);
        let (csv, parquet) = (folder.join("omop"), folder.join("omop-parquet"));
        let reading = Reading { threads: 2, ..Reading::default() };
        assert!(bytes(&csv, &reading) == bytes(&parquet, &reading), "{}: one stream", site.profile.name);
        let tables = files_below(&csv);
        assert_eq!(tables.len(), files_below(&parquet).len());
        for (path, text) in tables {
            let mut reader = csv::Reader::from_reader(text.as_slice());
            let header = reader.headers().expect("a header").clone();
            let rows: Vec<Vec<String>> = std::iter::once(header)
                .chain(reader.records().map(|row| row.expect("a row")))
                .map(|row| row.iter().map(plain).collect())
                .collect();
            let found = cells(&parquet.join(path.with_extension("parquet")));
            assert!(rows == found, "{}: {} and {} rows", path.display(), rows.len(), found.len());
        }
    }
}

#[test]
fn one_form_alone_is_that_form_of_both() {
    let home = tempfile::tempdir().expect("a folder");
    let read = |form| files_below(&written(home.path(), form));
    let both = read(Form::Both);
    let (csv, gz, parquet) = (read(Form::Csv), read(Form::CsvGz), read(Form::Parquet));
    assert_eq!(
        both.len(),
        csv.len() + both.keys().filter(|path| path.extension() == Some("parquet".as_ref())).count()
    );
    for (path, bytes) in &csv {
        assert!(both[path] == *bytes, "{}", path.display());
        if !path.iter().any(|part| part == "omop") {
            assert!(gz[path] == *bytes && parquet[path] == *bytes, "{}", path.display());
            continue;
        }
        let mut unpacked = Vec::new();
        let packed = gz[&path.with_extension("csv.gz")].as_slice();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).expect("gzip");
        assert!(unpacked == *bytes, "{}", path.display());
        let alone = &parquet[&path.with_extension("parquet")];
        let name = path.with_extension("parquet");
        let beside: PathBuf =
            name.iter().map(|part| if part == "omop" { "omop-parquet".as_ref() } else { part }).collect();
        assert!(both[&beside] == *alone, "{}", path.display());
    }
}

#[test]
fn notes_can_be_left_out_and_nothing_else_changes() {
    let home = tempfile::tempdir().expect("a folder");
    let of = |name: &str, no_notes| {
        let out = home.path().join(name);
        run(&SynthArgs { no_notes, ..args(&out, 2, 200, 2) }).expect("writes");
        files_below(&out)
    };
    let (with, without) = (of("with", false), of("without", true));
    let notes = ["NOTE.csv", "NOTE_NLP.csv", "notes_truth.csv", "canaries.txt"];
    let is_of_notes = |path: &Path| notes.iter().any(|name| path.ends_with(name));
    assert!(without.keys().all(|path| !is_of_notes(path)));
    let rest: BTreeMap<_, _> = with.into_iter().filter(|(path, _)| !is_of_notes(path)).collect();
    assert!(rest == without);
}

/// A cell of CSV; a number in tenths, which has its point always, as a number is written that is none.
fn plain(cell: &str) -> String {
    let whole = cell.strip_suffix(".0").filter(|whole| whole.parse::<u64>().is_ok());
    whole.unwrap_or(cell).to_owned()
}

/// Header and rows as CSV would have them.
fn cells(path: &Path) -> Vec<Vec<String>> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("there")).expect("Parquet");
    let mut rows = vec![builder.schema().fields().iter().map(|field| field.name().clone()).collect()];
    for batch in builder.build().expect("a reader") {
        let batch = batch.expect("a batch");
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| cell(column, row)).collect());
        }
    }
    rows
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    let epoch = date(1970, 1, 1);
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Date32 => (epoch + column.as_primitive::<Date32Type>().value(row).days()).to_string(),
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let time = epoch.at(0, 0, 0, 0) + micros.microseconds();
            format!("{} {}", time.date(), time.time())
        }
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        other => panic!("no column of ours: {other}"),
    }
}
