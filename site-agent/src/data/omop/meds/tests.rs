//! Written and read again; folders of other people; hostile ones.

mod package;

use super::super::tests::hospital::{Text, hospital};
use super::super::vocabulary;
use super::super::{
    ConceptId, Domain, Event, Folder, History, InvalidOmop, Opened, People, Person, Reading, Source, Table,
    history, pack, stream,
};
use super::write::export_by;
use super::{Meds, MedsExportError, export};
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

/// A person, their periods of observation, and their events as bytes.
type Life = (Person, Vec<(i32, i32)>, Vec<u8>);

/// Everything that is known of each person, in a form that can be compared.
fn lives<'a>(source: impl Into<Source<'a>>) -> Vec<Life> {
    let source = source.into();
    let people = People::read(source).expect("reads");
    let reading = Reading { threads: 2, memory_bytes: 200_000, ..Reading::default() };
    let (stream, _) = stream::read(source, &Domain::ALL, &reading, |_| true).expect("reads");
    let mut lives = Vec::new();
    let take = |history: &History<'_>| {
        let spans = history::union(history.periods);
        let spans = spans.iter().map(|(from, to)| (from.epoch_days(), to.epoch_days())).collect();
        let (mut packer, mut bytes) = (pack::Packer::default(), Vec::new());
        history.events.iter().for_each(|event: &Event| packer.pack(event, &mut bytes));
        lives.push((*history.person, spans, bytes));
    };
    history::each(&people, stream, take).expect("reads");
    lives
}

fn csv(tables: &[Text]) -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().expect("folder");
    tables.iter().for_each(|table| table.write_csv(&dir.path().join(format!("{}.csv", table.name))));
    let folder = Folder::open(dir.path()).expect("opens");
    (dir, folder)
}

fn with_vocabulary() -> Vec<Text> {
    let mut tables = hospital(40, 400);
    tables.push(Text::new(
        "concept",
        "concept_id,concept_name,domain_id,vocabulary_id,concept_code,standard_concept",
        &[
            "1,one,Condition,V,c1,S",
            "2,two,Condition,V,c1,",
            "3,three,Condition,V,c3,S",
            "7,above,Condition,V,c7,C",
        ],
    ));
    tables.push(Text::new(
        "concept_ancestor",
        "ancestor_concept_id,descendant_concept_id,min_levels_of_separation",
        &["1,1,0", "7,7,0", "7,1,1", "8,8,0", "8,7,1", "8,1,2", "9,99,1"],
    ));
    tables
}

#[test]
fn what_is_written_is_read_again() {
    let (dir, folder) = csv(&with_vocabulary());
    let expected = lives(&folder);
    let out = dir.path().join("meds");
    let exported = export_by((&folder).into(), &out, &Reading::default(), 1000).expect("written");
    assert!(exported.people == 40 && exported.left_out == 0 && exported.shards > 2 && exported.rows > 2000);
    let opened = Opened::open(&out).expect("opens");
    // No assert_eq: a failure must not print a hospital.
    assert!(lives(&opened) == expected, "the same lives");

    let meds = Meds::open(&out).expect("opens");
    for table in Table::ALL {
        assert_eq!(meds.has(table), folder.has(table), "{table}");
    }
    let below = |source: Source<'_>| {
        let of = BTreeSet::from([ConceptId(7), ConceptId(8)]);
        vocabulary::descendants(source, &of).expect("reads").expect("a hierarchy")
    };
    assert_eq!(below((&meds).into()), below((&folder).into()));
    let named = |source: Source<'_>| {
        let concepts =
            vocabulary::concepts(source, |concept| concept.id.is_some() && concept.vocabulary == "V");
        concepts.expect("reads").into_values().collect::<Vec<_>>()
    };
    assert_eq!(named((&meds).into()), named((&folder).into()));

    let again = dir.path().join("again");
    export_by((&folder).into(), &again, &Reading { threads: 1, ..Reading::default() }, 1000)
        .expect("written");
    for name in
        ["data/0.parquet", "metadata/codes.parquet", "metadata/attributes.parquet", "metadata/dataset.json"]
    {
        let bytes = |root: &Path| fs::read(root.join(name)).expect("there");
        assert!(bytes(&out) == bytes(&again), "{name}: the same bytes");
    }
}

#[test]
fn what_is_written_is_meds() {
    let (dir, folder) = csv(&with_vocabulary());
    let out = dir.path().join("meds");
    let exported = export_by((&folder).into(), &out, &Reading::default(), 1000).expect("written");
    let mut seen = HashSet::new();
    let mut used = BTreeSet::new();
    let mut rows = 0;
    for shard in 0..exported.shards {
        let batches = batches(&out.join(format!("data/{shard}.parquet")));
        let mut last: Option<(i64, i64)> = None;
        for batch in &batches {
            let of = |name: &str| batch.column_by_name(name).expect("a column");
            let types: Vec<_> = ["subject_id", "time", "code", "numeric_value"]
                .map(|name| of(name).data_type().clone())
                .to_vec();
            let time = DataType::Timestamp(TimeUnit::Microsecond, None);
            assert_eq!(types, [DataType::Int64, time, DataType::Utf8, DataType::Float32]);
            assert!(of("subject_id").null_count() == 0 && of("code").null_count() == 0);
            let subjects = of("subject_id").as_primitive::<Int64Type>();
            let times = of("time").as_primitive::<TimestampMicrosecondType>();
            used.extend(of("code").as_string::<i32>().iter().flatten().map(str::to_owned));
            for row in 0..batch.num_rows() {
                let here = (subjects.value(row), times.value(row));
                assert!(last.is_none_or(|last| last <= here), "by subject and time");
                if last.is_none_or(|last| last.0 != here.0) {
                    assert!(seen.insert(here.0), "a subject in one piece");
                }
                last = Some(here);
            }
            rows += batch.num_rows() as u64;
        }
    }
    assert_eq!((rows, seen.len()), (exported.rows, 40));
    let codes = batches(&out.join("metadata/codes.parquet"));
    let listed: Vec<&str> =
        codes.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten()).collect();
    assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len(), "each code once");
    assert_eq!(listed.len() as u64, exported.codes);
    assert!(used.iter().all(|code| listed.contains(&code.as_str())), "every code is listed");
    for code in ["MEDS_BIRTH", "MEDS_DEATH", "OBS_START", "OBS_END", "V/c1", "OMOP/2", "UNMAPPED/measurement"]
    {
        assert!(used.contains(code), "{code}");
    }
    // Of the parents of V/c1 the direct one; above that OMOP/8, which the vocabulary does not name.
    let parents: BTreeMap<&str, Vec<&str>> = codes
        .iter()
        .flat_map(|batch| {
            let lists = batch.column_by_name("parent_codes").expect("a column").as_list::<i32>();
            let codes = batch.column(0).as_string::<i32>();
            (0..batch.num_rows()).filter(|row| lists.is_valid(*row)).map(|row| {
                let from = lists.value_offsets()[row] as usize;
                let to = lists.value_offsets()[row + 1] as usize;
                let texts = lists.values().as_string::<i32>();
                (codes.value(row), (from..to).map(|at| texts.value(at)).collect())
            })
        })
        .collect();
    assert_eq!(parents, BTreeMap::from([("V/c1", vec!["V/c7"]), ("V/c7", vec!["OMOP/8"])]));
    #[cfg(unix)]
    for (path, mode) in
        [("", 0o700), ("data", 0o700), ("data/0.parquet", 0o600), ("metadata/codes.parquet", 0o600)]
    {
        let found = fs::metadata(out.join(path)).expect("there").permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&found) & 0o777, mode, "{path}");
    }
}

#[test]
fn what_cannot_be_written() {
    let (dir, folder) = csv(&with_vocabulary());
    let out = dir.path().join("meds");
    let reading = Reading::default();
    export(&folder, &out, &reading).expect("written");
    let exists = export(&folder, &out, &reading).map(|_| ()).expect_err("is there");
    assert!(matches!(exists, MedsExportError::Unwritable { .. }) && out.join("data/0.parquet").is_file());
    let meds = Meds::open(&out).expect("opens");
    let already = export(&meds, &dir.path().join("other"), &reading).map(|_| ()).expect_err("is MEDS");
    assert!(already.to_string().ends_with("is MEDS already") && !dir.path().join("other").exists());
    // Half of it is taken away again.
    fs::write(dir.path().join("measurement.csv"), "person_id\n").expect("written");
    let failed = export(&folder, &dir.path().join("half"), &reading).map(|_| ()).expect_err("no concept");
    assert!(failed.to_string().contains("measurement_concept_id") && !dir.path().join("half").exists());
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).expect("opens");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("reads");
    reader.map(|batch| batch.expect("reads")).collect()
}

/// A row of a shard: subject, time in microseconds, code, and which table.
type Row = (i64, Option<i64>, &'static str, Option<&'static str>);

const DAY: i64 = 86_400_000_000;

fn shard(rows: &[Row], domains: bool) -> RecordBatch {
    let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("subject_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))), false),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.1))), true),
        ("code", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))), false),
    ];
    if domains {
        columns.push(("table", Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3))), true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
}

fn codes(rows: &[(&str, &[&str])]) -> RecordBatch {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for (_, parents) in rows {
        parents.iter().for_each(|parent| lists.values().append_value(parent));
        lists.append(true);
    }
    let code: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
    let parents: ArrayRef = Arc::new(lists.finish());
    RecordBatch::try_from_iter([("code", code), ("parent_codes", parents)]).expect("a batch")
}

fn put(path: &Path, batch: &RecordBatch) {
    fs::create_dir_all(path.parent().expect("within")).expect("folder");
    let mut writer =
        ArrowWriter::try_new(File::create(path).expect("made"), batch.schema(), None).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("written");
}

/// Somebody else's folder: two shards in a folder of their own, codes without numbers, a hierarchy.
pub(crate) fn foreign() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    let condition = Some("condition_occurrence");
    let one: [Row; 8] = [
        (1, None, "GENDER//F", None),
        (1, Some(-3650 * DAY), "MEDS_BIRTH", None),
        (1, Some(10 * DAY), "OBS_START", None),
        (1, Some(12 * DAY), "OBS_START", None),
        (1, Some(20 * DAY + 5), "ICD10CM//F32.1", condition),
        (1, Some(30 * DAY), "OBS_END", None),
        (1, Some(40 * DAY), "OBS_END", None),
        (1, Some(50 * DAY), "MEDS_DEATH", None),
    ];
    let two: [Row; 4] = [
        (2, Some(11 * DAY), "OBS_START", None),
        (2, Some(20 * DAY), "LOINC/39156-5", Some("measurement")),
        (2, Some(21 * DAY), "ICD10CM//F32.1", Some("note")),
        (3, Some(20 * DAY), "ICD10CM//F33", condition),
    ];
    put(&dir.path().join("data/train/0.parquet"), &shard(&one, true));
    put(&dir.path().join("data/held_out/0.parquet"), &shard(&two, true));
    let listed: [(&str, &[&str]); 8] = [
        ("MEDS_BIRTH", &[]),
        ("MEDS_DEATH", &[]),
        ("OBS_START", &[]),
        ("OBS_END", &[]),
        ("ICD10CM//F32.1", &["ICD10CM//F32"]),
        ("ICD10CM//F33", &["ICD10CM//F30-F39"]),
        ("ICD10CM//F32", &["ICD10CM//F30-F39", "ICD10CM//F32.1"]),
        ("LOINC/39156-5", &[]),
    ];
    put(&dir.path().join("metadata/codes.parquet"), &codes(&listed));
    fs::write(dir.path().join("metadata/dataset.json"), r#"{"dataset_name": "theirs"}"#).expect("written");
    dir
}

/// Lists some of the codes only.
pub(crate) fn keep_codes(root: &Path, keep: impl Fn(&str) -> bool) {
    let path = root.join("metadata/codes.parquet");
    let listed: Vec<String> = batches(&path)
        .iter()
        .flat_map(|batch| {
            batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let mut kept: Vec<(&str, &[&str])> = listed
        .iter()
        .map(String::as_str)
        .filter(|code| keep(code))
        .map(|code| (code, [].as_slice()))
        .collect();
    // So that there is a hierarchy.
    kept.push(("ICD10CM//F32.2", &["ICD10CM//F32"]));
    put(&path, &codes(&kept));
}

/// Takes the column away that says which table an event is of.
pub(crate) fn take_tables(root: &Path) {
    for name in ["data/train/0.parquet", "data/held_out/0.parquet"] {
        let path = root.join(name);
        let mut batch = batches(&path).remove(0);
        batch.remove_column(3);
        put(&path, &batch);
    }
}

#[test]
fn folders_of_somebody_else() {
    let dir = foreign();
    let meds = Meds::open(dir.path()).expect("opens");
    let people = People::read(&meds).expect("reads");
    let born: Vec<_> = people.persons.iter().map(|person| (person.id.0, person.birth_year)).collect();
    assert_eq!(born, [(1, Some(1960)), (2, None), (3, None)]);
    let observed: Vec<_> = people
        .periods
        .iter()
        .map(|period| (period.person.0, period.start.epoch_days(), period.end.epoch_days()))
        .collect();
    assert_eq!(observed, [(1, 10, 30), (1, 12, 40)], "nothing of person 2, whose end is missing");
    let (stream, counts) = stream::read(&meds, &Domain::ALL, &Reading::default(), |_| true).expect("reads");
    let events: Vec<_> = stream.map(|event| event.expect("reads")).collect();
    let found: Vec<_> = events.iter().map(|event| (event.person.0, event.domain)).collect();
    use Domain::{Condition, Death, Measurement};
    assert_eq!(found, [(1, Condition), (1, Death), (2, Measurement), (3, Condition)]);
    assert_eq!(counts[&Condition].rows, 2);
    assert!(events[0].time.micros_of_day() == Some(5));

    let all = vocabulary::concepts(&meds, |_| true).expect("reads");
    let of = |vocabulary: &str, code: &str| {
        let found = all.values().find(|concept| concept.vocabulary == vocabulary && concept.code == code);
        found.unwrap_or_else(|| panic!("{vocabulary} {code}")).id
    };
    assert!(events[0].concept == of("ICD10CM", "F32.1") && events[2].concept == of("LOINC", "39156-5"));
    // A parent without a row of its own is known, and a circle comes to an end.
    let group = of("ICD10CM", "F30-F39");
    let below =
        vocabulary::descendants(&meds, &BTreeSet::from([group])).expect("reads").expect("a hierarchy");
    let expected =
        BTreeSet::from([group, of("ICD10CM", "F33"), of("ICD10CM", "F32"), of("ICD10CM", "F32.1")]);
    assert_eq!(below[&group], expected);
    assert!(!meds.has_attributes() && !meds.has_concept_ids() && meds.has(Table::Clinical(Domain::Drug)));
}

#[test]
fn what_is_no_meds() {
    #[track_caller]
    fn check(change: impl FnOnce(&Path), expected: &str) {
        let dir = foreign();
        change(dir.path());
        let error = Meds::open(dir.path()).map(|_| ()).expect_err("cannot be used").to_string();
        assert!(error.contains(expected), "{error}");
    }
    check(|root| fs::remove_file(root.join("metadata/codes.parquet")).expect("gone"), "what the codes mean");
    check(
        |root| {
            fs::remove_dir_all(root.join("data")).expect("gone");
            fs::create_dir(root.join("data")).expect("made");
        },
        "the events, as Parquet",
    );
    check(|root| fs::write(root.join("data/notes.txt"), "x").expect("written"), "expected .csv");
    check(|root| fs::write(root.join("data/0.csv"), "x").expect("written"), "expected .csv");
    check(
        |root| fs::write(root.join("data/train/0.parquet"), "PAR1").expect("written"),
        "not a Parquet file",
    );
    check(|root| fs::write(root.join("metadata/dataset.json"), "[").expect("written"), "expected the JSON");
    check(
        |root| {
            fs::write(root.join("metadata/dataset.json"), r#"{"consilium":{"tables":["cost"]}}"#)
                .expect("written")
        },
        "expected the JSON",
    );
    check(
        |root| put(&root.join("data/train/1.parquet"), &shard(&[(7, None, "x", None)], false)),
        "column domain is in some files below data/ and not in this one",
    );
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let wrong = |column: &'static str| {
        let number = Arc::clone(&number);
        move |root: &Path| {
            let columns = ["subject_id", "time", "code"].map(|name| {
                let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1]));
                let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
                let right = match name {
                    "time" => time,
                    "code" => text,
                    _ => Arc::clone(&number),
                };
                (name, if name == column { Arc::clone(&number) } else { right })
            });
            put(&root.join("data/train/0.parquet"), &RecordBatch::try_from_iter(columns).expect("a batch"));
        }
    };
    check(wrong("code"), "column code: expected text");
    check(wrong("time"), "column time: expected dates with times");
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let codes =
        RecordBatch::try_from_iter([("code", Arc::clone(&text)), ("parent_codes", text)]).expect("a batch");
    check(
        move |root| put(&root.join("metadata/codes.parquet"), &codes),
        "parent_codes: expected lists of text",
    );
}

#[test]
fn damaged_files_are_errors() {
    let dir = foreign();
    let path = dir.path().join("data/train/0.parquet");
    let whole = fs::read(&path).expect("there");
    let footer = whole.len() - 300;
    let mut torn = 0;
    for at in (4..footer).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        fs::write(&path, &bytes).expect("written");
        let Ok(meds) = Meds::open(dir.path()) else { continue };
        let read = stream::read(&meds, &Domain::ALL, &Reading::default(), |_| true)
            .and_then(|(stream, _)| stream.collect::<Result<Vec<_>, _>>().map(drop));
        torn += usize::from(matches!(read, Err(InvalidOmop::Row { .. })));
    }
    assert!(torn > 0, "some damage cannot be read over");
}
