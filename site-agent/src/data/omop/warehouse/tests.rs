//! Tables behind the embedded engine against the same tables read by ourselves; the cluster has tests over real processes.

use super::super::tests::hospital::{Text, bytes, bytes_of, hospital};
use super::super::*;
use super::*;
use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

fn embedded(tables: &Path) -> Config {
    Config {
        engine: Engine::Embedded { memory_mib: 64, scratch: None },
        tables: tables.to_owned(),
        partitions: 3,
        timeout_s: 60,
    }
}

fn open(tables: &Path) -> Warehouse {
    Warehouse::open(&embedded(tables)).unwrap_or_else(|error| panic!("{error}"))
}

fn written(tables: &[Text], write: impl Fn(&Text, &Path)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    tables.iter().for_each(|table| write(table, dir.path()));
    dir
}

fn as_parquet(table: &Text, dir: &Path) {
    table.write_parquet(&dir.join(format!("{}.parquet", table.name)), 40);
}

/// Columns whose name ends in `_id` as another program might write them, the others as text.
fn odd(table: &Text, path: &Path, ids: fn(Vec<Option<&str>>) -> ArrayRef) {
    let columns = table.header.iter().enumerate().map(|(at, name)| {
        let cells = table.rows.iter().map(|row| Some(row[at].as_str()).filter(|cell| !cell.is_empty()));
        let array: ArrayRef = match name.strip_suffix("_id") {
            Some(_) => ids(cells.collect()),
            None => Arc::new(StringArray::from_iter(cells)),
        };
        (name.clone(), array, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let file = File::create(path).expect("made");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("written");
}

fn texts(cells: Vec<Option<&str>>) -> ArrayRef {
    // As a program writes a column with gaps that it took for numbers with a point.
    Arc::new(StringArray::from_iter(cells.into_iter().map(|cell| Some(format!(" {}.0", cell?)))))
}

/// In 32 bits where they fit.
fn narrow(cells: Vec<Option<&str>>) -> ArrayRef {
    let numbers = || cells.iter().map(|cell| cell.map(|cell| cell.parse::<i64>().expect("a number")));
    let small: Option<Vec<Option<i32>>> =
        numbers().map(|number| number.map(i32::try_from).transpose().ok()).collect();
    match small {
        Some(small) => Arc::new(Int32Array::from(small)),
        None => Arc::new(Int64Array::from_iter(numbers())),
    }
}

fn unsigned(cells: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter(
        cells.into_iter().map(|cell| Some(cell?.parse::<u64>().expect("a number"))),
    ))
}

/// A table in thirds, each in a form of its own, under names that mean something in URLs and patterns.
fn in_parts(table: &Text, dir: &Path) {
    let folder = dir.join(table.name).join("year=2020 #1%20[a]*?");
    fs::create_dir_all(&folder).expect("folder");
    let mut thirds = table.rows.chunks(table.rows.len().div_ceil(4)).map(<[_]>::to_vec);
    let mut part = || Text { rows: thirds.next().unwrap_or_default(), ..table.clone() };
    part().write_parquet(&folder.join("part-0.PARQUET"), 7);
    odd(&part(), &folder.join("part 1.pq"), narrow);
    odd(&part(), &folder.join("part-2.parquet"), unsigned);
    part().write_parquet(&folder.join("part-3.parquet"), 1000);
}

#[test]
fn every_form_gives_the_same_bytes() {
    let tables = hospital(60, 300);
    let csv = written(&tables, |table, dir| table.write_csv(&dir.join(format!("{}.csv", table.name))));
    let reading = Reading { threads: 2, ..Reading::default() };
    let expected = bytes(csv.path(), &reading);
    #[track_caller]
    fn check(name: &str, dir: &tempfile::TempDir, expected: &[u8]) {
        for threads in [1, 3] {
            let reading = Reading { threads, ..Reading::default() };
            // No assert_eq: a failure must not print a hospital.
            assert!(bytes_of(&open(dir.path()), &reading) == expected, "{name}");
        }
        let people = |source: Source<'_>| People::read(source).expect("reads");
        let (one, other) = (open(dir.path()), Folder::open(dir.path()).expect("a folder"));
        let (one, other) = (people((&one).into()), people((&other).into()));
        assert!(one.persons == other.persons && one.periods == other.periods, "{name}");
    }
    check("CSV", &csv, &expected);
    check("Parquet", &written(&tables, as_parquet), &expected);
    check("parts in several types", &written(&tables, in_parts), &expected);
    let of_text = |table: &Text, dir: &Path| odd(table, &dir.join(format!("{}.parquet", table.name)), texts);
    check("numbers as text", &written(&tables, of_text), &expected);
    let mixed = |table: &Text, dir: &Path| match table.name {
        "measurement" | "person" => table.write_gz(&dir.join(format!("{}.csv.gz", table.name))),
        _ => as_parquet(table, dir),
    };
    check("some tables in CSV", &written(&tables, mixed), &expected);
}

fn these(concepts: &[i64]) -> Concepts {
    Concepts::These(concepts.iter().map(|id| ConceptId(*id)).collect())
}

/// People come in by a condition of 1 to 9; of them conditions of 1 to 19, measurements of 20 to 49 and any visit matter.
fn narrowing() -> Narrowing {
    let range = |from: i64, to: i64| these(&(from..=to).collect::<Vec<_>>());
    Narrowing {
        matter: BTreeMap::from([
            (Domain::Condition, range(1, 19)),
            (Domain::Measurement, range(20, 49)),
            (Domain::Visit, Concepts::All),
        ]),
        entry: BTreeMap::from([(Domain::Condition, range(1, 9))]),
        ancestors: None,
    }
}

fn matters(event: &Event) -> bool {
    match event.domain {
        Domain::Condition => (1..=19).contains(&event.concept.0),
        Domain::Measurement => (20..=49).contains(&event.concept.0),
        _ => true,
    }
}

const READ: [Domain; 3] = [Domain::Condition, Domain::Measurement, Domain::Visit];

fn events(source: Source<'_>) -> (Vec<Event>, BTreeMap<Domain, u64>) {
    let (stream, counts) = stream::read(source, &READ, &Reading::default(), matters).expect("reads");
    let rows = counts.into_iter().map(|(domain, counts)| (domain, counts.rows));
    (stream.collect::<Result<_, _>>().expect("reads"), rows.collect())
}

/// How many rows come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Come {
    Everything,
    ByConcept,
    OfEntered,
}

#[test]
fn rows_that_cannot_matter_are_left_out_and_no_others() {
    use Come::{ByConcept, Everything, OfEntered};
    let tables = hospital(200, 600);
    let narrowing = narrowing();
    let check = |name: &str, dir: &tempfile::TempDir, expected: [Come; 3]| {
        let folder = Folder::open(dir.path()).expect("a folder");
        let warehouse = open(dir.path());
        let (all, rows_of_all) = events((&folder).into());
        let (some, rows) = events(Source::from(&warehouse).narrowed(&narrowing));
        let is_entry = |event: &&Event| event.domain == Domain::Condition && event.concept.0 <= 9;
        let entered: BTreeSet<PersonId> = all.iter().filter(is_entry).map(|event| event.person).collect();
        let of_entered = |events: &[Event]| -> Vec<Event> {
            events.iter().filter(|event| entered.contains(&event.person)).copied().collect()
        };
        let wanted = of_entered(&all);
        assert!(wanted.len() > 300 && wanted.len() < all.len() / 2, "{} of {}", wanted.len(), all.len());
        assert!(of_entered(&some) == wanted, "{name}: other events of those who come in");
        for (domain, expected) in READ.into_iter().zip(expected) {
            let in_domain =
                |events: &[Event]| events.iter().filter(|event| event.domain == domain).count() as u64;
            let rows_expected = match expected {
                Everything => rows_of_all[&domain],
                ByConcept => in_domain(&all),
                OfEntered => in_domain(&wanted),
            };
            assert_eq!(rows[&domain], rows_expected, "{name}: rows of {domain:?}, {expected:?}");
        }
        // Without the hint all rows come.
        assert_eq!(events((&warehouse).into()).1, rows_of_all, "{name}");
        let people = |source| People::read(source).expect("reads").persons.len();
        let of_all = people(Source::from(&folder));
        let narrowed = people(Source::from(&warehouse).narrowed(&narrowing));
        let known = entered.iter().filter(|person| (0..200).contains(&person.0)).count();
        assert_eq!((of_all, narrowed), (200, if expected[2] == OfEntered { known } else { 200 }), "{name}");
    };
    check("Parquet", &written(&tables, as_parquet), [OfEntered, OfEntered, OfEntered]);
    check("parts", &written(&tables, in_parts), [OfEntered, OfEntered, OfEntered]);
    let csv = |table: &Text, dir: &Path| table.write_csv(&dir.join(format!("{}.csv", table.name)));
    check("CSV", &written(&tables, csv), [Everything, Everything, Everything]);
    // Who comes in is in a table that the engine does not read.
    let entry_in_csv = |table: &Text, dir: &Path| match table.name {
        "condition_occurrence" => csv(table, dir),
        _ => as_parquet(table, dir),
    };
    check("entry in CSV", &written(&tables, entry_in_csv), [Everything, ByConcept, Everything]);
    // Who comes in is written in a way that the engine would not compare as we do.
    let entry_as_text = |table: &Text, dir: &Path| match table.name {
        "condition_occurrence" => odd(table, &dir.join("condition_occurrence.parquet"), texts),
        _ => as_parquet(table, dir),
    };
    check("entry as text", &written(&tables, entry_as_text), [Everything, ByConcept, Everything]);
}

/// The plan says before reading which files are read by whom, how many rows their footers have, and which rows are asked for.
#[test]
fn the_plan_is_what_is_asked() {
    let csv = |table: &Text, dir: &Path| table.write_csv(&dir.join(format!("{}.csv", table.name)));
    let dir = written(&hospital(60, 300), |table, dir| match table.name {
        "visit_occurrence" => csv(table, dir),
        _ => as_parquet(table, dir),
    });
    let warehouse = open(dir.path());
    let narrowing = narrowing();
    let wanted = Wanted::all(&[
        Table::Person,
        Table::Clinical(Domain::Visit),
        Table::Clinical(Domain::Measurement),
        Table::Concept,
    ]);
    let planned = plan(&warehouse, &wanted, Some(&narrowing)).unwrap_or_else(|error| panic!("{error}"));
    let readers: Vec<_> =
        planned.tables.iter().map(|planned| (planned.table.name(), planned.reader, planned.rows)).collect();
    let expected = [
        ("person", Reader::Engine, Some(60)),
        ("visit_occurrence", Reader::Agent, None),
        ("measurement", Reader::Engine, Some(300)),
    ];
    assert_eq!(readers, expected);
    assert_eq!(planned.missing, [Table::Concept]);
    let measured = &planned.tables[2];
    assert_eq!(measured.files, [dir.path().join("measurement.parquet")]);
    let entered = "person_id IN (SELECT person_id FROM condition_occurrence (Parquet files: 1) WHERE condition_concept_id IN (1, 2, 3, \
                   4, 5, 6, 7, 8, 9))";
    assert!(
        measured.query.contains(" WHERE measurement_concept_id IN (20, 21, ")
            && measured.query.ends_with(entered),
        "{}",
        measured.query
    );
    // What is noted when it is read is what was planned.
    let log = QueryLog::default();
    let source = Source::from(&warehouse).only(&wanted).narrowed(&narrowing).noted_in(&log);
    drop(stream::read(source, &[Domain::Measurement], &Reading::default(), |_| true).expect("reads"));
    assert_eq!(log.lines(), std::slice::from_ref(&measured.query));
}

#[test]
fn nobody_comes_in() {
    let dir = written(&hospital(60, 100), as_parquet);
    let warehouse = open(dir.path());
    let nobody = Narrowing {
        matter: BTreeMap::from([(Domain::Condition, these(&[])), (Domain::Measurement, these(&[7]))]),
        entry: BTreeMap::from([(Domain::Condition, these(&[1_000_000]))]),
        ancestors: None,
    };
    let (found, rows) = events(Source::from(&warehouse).narrowed(&nobody));
    assert!(found.is_empty());
    assert_eq!(rows.into_values().collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
fn what_is_wrong_with_a_file_is_said_as_of_a_folder() {
    let tables = hospital(60, 300);
    let dir = written(&tables, as_parquet);
    let path = dir.path().join("measurement.parquet");
    let whole = fs::read(&path).expect("read");
    let said = |source: Source<'_>| {
        let read = stream::read(source, &[Domain::Measurement], &Reading::default(), |_| true);
        read.err().map(|error| error.to_string())
    };
    let mut refused = 0;
    for at in (8..whole.len()).step_by(whole.len() / 40) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).expect("written");
        let of_folder = Folder::open(dir.path()).map(|folder| said((&folder).into())).expect("a folder");
        let of_engine = said((&open(dir.path())).into());
        match (of_folder, of_engine) {
            (None, None) => {}
            (Some(of_folder), Some(of_engine)) => {
                assert_eq!(of_engine, of_folder, "byte {at}");
                refused += 1;
            }
            // An index that only an engine looks at.
            (None, Some(of_engine)) => {
                assert!(of_engine.contains("gave it up"), "byte {at}: {of_engine}");
            }
            (Some(of_folder), None) => panic!("byte {at}: an engine takes it, and of a folder {of_folder}"),
        }
    }
    assert!(refused > 5, "{refused}");
    fs::write(&path, "Zebedee").expect("written");
    let of_engine = said((&open(dir.path())).into()).expect("refused");
    assert!(of_engine.contains("measurement.parquet: not a Parquet file"), "{of_engine}");
}

/// An engine reads a file that it does not see as an empty one: as a scheduler on another machine would, without the folder.
#[test]
fn an_engine_that_sees_other_files_is_refused() {
    let tables = hospital(60, 300);
    let dir = written(&tables, as_parquet);
    let path = dir.path().join("measurement.parquet");
    let table = tables.iter().find(|table| table.name == "measurement").expect("there");
    let warehouse = open(dir.path());
    let measurement = Table::Clinical(Domain::Measurement);
    let scans = warehouse.scans(measurement, schema::columns(measurement), None).expect("finds");
    let read = || warehouse.read(&scans[0], &mut |_| Ok(())).map_err(|error| error.to_string());
    assert_eq!((scans.len(), read()), (1, Ok(())));
    // Sound, and not what the agent saw.
    Text { rows: table.rows[..299].to_vec(), ..table.clone() }.write_parquet(&path, 40);
    let said = read().expect_err("refused");
    assert!(said.contains("sees other files of it than this agent does"), "{said}");
    fs::remove_file(&path).expect("removed");
    let said = read().expect_err("refused");
    assert!(said.contains("measurement.parquet: "), "{said}");
}

#[test]
fn memory_has_a_limit_and_intermediate_files_a_place() {
    let dir = written(&hospital(200, 600), as_parquet);
    let scratch = tempfile::tempdir().expect("folder");
    let at = |memory_mib| Config {
        engine: Engine::Embedded { memory_mib, scratch: Some(scratch.path().to_owned()) },
        ..embedded(dir.path())
    };
    let narrowing = narrowing();
    let warehouse = Warehouse::open(&at(0)).unwrap_or_else(|error| panic!("{error}"));
    let read =
        stream::read(Source::from(&warehouse).narrowed(&narrowing), &READ, &Reading::default(), matters);
    let said = read.err().map(|error| error.to_string()).expect("there is no memory at all");
    assert!(said.contains("needs more than 0 MiB: raise warehouse.memory_mib"), "{said}");
    drop(warehouse);
    let warehouse = Warehouse::open(&at(64)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fs::read_dir(scratch.path()).expect("there").count(), 1);
    assert!(!events(Source::from(&warehouse).narrowed(&narrowing)).0.is_empty());
    drop(warehouse);
    assert_eq!(fs::read_dir(scratch.path()).expect("there").count(), 0, "it goes with the engine");
}

#[test]
fn nobody_listens() {
    let dir = written(&hospital(10, 10), as_parquet);
    let port = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.local_addr().expect("bound").port()
    };
    let engine = Engine::Ballista(Scheduler { host: "127.0.0.1".to_owned(), port });
    let opened = Warehouse::open(&Config { engine, ..embedded(dir.path()) });
    let Err(InvalidOmop::Warehouse(error @ InvalidWarehouse::Unreachable { .. })) = opened else {
        panic!("nobody is there")
    };
    assert!(error.to_string().starts_with(&format!("cannot connect to ballista://127.0.0.1:{port}: ")));
    assert_eq!(crate::failure::Failure::from(error).kind.exit_code(), 3);
}
