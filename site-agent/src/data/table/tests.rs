use super::*;
use crate::data::export::{ExportError, export_examples};
use consilium_common::examples::ExampleFile;
use consilium_common::study::{Study, parse};
use std::path::PathBuf;

const STUDY: &str = include_str!("../testdata/study.toml");
const HEADER: &str = "person_id,age,bmi,sex,outcome,split";

fn study() -> Study {
    parse(STUDY.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn by_hash() -> Study {
    let from = r#"{ type = "column", column = "split", train = "train", evaluate = "test" }"#;
    assert!(STUDY.contains(from));
    parse(STUDY.replace(from, r#"{ type = "site-hash" }"#).as_bytes())
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn key() -> SplitKey {
    SplitKey::from_bytes([3; 32])
}

fn read_rows(rows: &str) -> Result<(Loaded, Summary), Vec<Fault>> {
    read_bytes(format!("{HEADER}\n{rows}").as_bytes())
}

fn read_bytes(bytes: &[u8]) -> Result<(Loaded, Summary), Vec<Fault>> {
    strict(bytes, &study(), &key()).map_err(faults)
}

fn read_tolerant(bytes: &[u8]) -> Result<(Loaded, Faults), Vec<Fault>> {
    tolerant(bytes, &study(), &key()).map_err(faults)
}

fn faults(stop: Stop) -> Vec<Fault> {
    match stop {
        Stop::Faults(faults) => faults,
        Stop::Io(error) => panic!("{error}"),
    }
}

#[test]
fn rows_become_examples_by_role() {
    let (table, summary) = read_rows(
        "a,30,20,male,1,train\n\
         b,60,,female,0,train\n\
         c,45,0,other,1,test\n\
         d,45,25,male,,test\n\
         e,200,40,,no,train\n",
    )
    .unwrap_or_else(|faults| panic!("{faults:?}"));
    // Inputs: age over [30, 60], bmi over [10, 40] (0 is missing), sex=male; each with its indicator.
    let rows = |examples: &Examples| {
        (0..examples.len()).map(|row| (examples.row(row).to_vec(), examples.label(row))).collect::<Vec<_>>()
    };
    assert_eq!(
        rows(&table.training),
        [
            (vec![-1.0, 0.0, -1.0 / 3.0, 0.0, 1.0, 0.0], 1.0),
            (vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0], 0.0),
            (vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 0.0),
        ]
    );
    assert_eq!(rows(&table.evaluation), [(vec![0.0, 0.0, 0.0, 1.0, 0.0, 1.0], 1.0)]);
    let groups = |examples: &Examples| {
        (0..examples.people()).map(|person| examples.groups_of(person).to_vec()).collect::<Vec<_>>()
    };
    // sex: female, male, unknown; age_band: 30-44, 45-59, unknown.
    assert_eq!(groups(&table.training), [[1, 0], [0, 2], [2, 2]]);
    assert_eq!(groups(&table.evaluation), [[2, 1]]);
    assert_eq!((summary.people, summary.without_outcome), (5, 1));
    assert_eq!((summary.training, summary.evaluation), ((3, 1), (1, 1)));
    let named = |list: &[(&str, u64)]| list.iter().map(|&(n, c)| (n.to_owned(), c)).collect::<Vec<_>>();
    assert_eq!(summary.not_recorded, named(&[("age", 0), ("bmi", 2), ("sex", 2)]));
    assert_eq!(summary.unknown, named(&[("sex", 2), ("age_band", 2)]));
}

#[test]
fn columns_may_stand_in_any_order_with_others_beside_them() {
    let bytes = b"\xef\xbb\xbfoutcome,note, age ,split,sex,person_id,bmi\r\n1,\"a, \"\"b\"\"\",30,train,male,x,20\r\n\r\n";
    let (table, _) = read_bytes(bytes).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(table.training.row(0), [-1.0, 0.0, -1.0 / 3.0, 0.0, 1.0, 0.0]);
    assert_eq!(table.training.people(), 1);
}

/// The faults of a table, word for word.
#[track_caller]
fn check(bytes: &[u8], expected: &[&str]) {
    let Err(faults) = read_bytes(bytes) else { panic!("a table with faults was read") };
    assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn faults_name_row_and_column_and_never_a_cell() {
    let rows = |rows: &str| format!("{HEADER}\n{rows}").into_bytes();
    check(b"", &["the file is empty; expected a header and one row per person"]);
    check(
        b"person_id,age,sex,outcome,age\n",
        &[
            "row 1: column split is missing, which the study reads for the role in the split",
            "row 1: column age is there twice",
            "row 1: column bmi is missing, which the study reads for the feature bmi",
        ],
    );
    check(b"person_id,\xff\n", &["row 1, the header: expected UTF-8 text"]);
    check(
        &rows("a,30,20,male,1,train\nb,forty,20,male,1,test\n"),
        &["row 3, column age: expected a number or an empty cell"],
    );
    check(&rows("a,30,nan,male,1,train\n"), &["row 2, column bmi: expected a number or an empty cell"]);
    check(
        &rows("a,30,20,male,1,train\nb,30,20,male,1,train\n a,31,20,male,1,test\n"),
        &["row 4, column person_id: the same person as in row 2; expected one row per person"],
    );
    check(
        &rows("a,30,20,male,1\nb,30,20,male,1,train,x\n,30,20,male,1,train\n"),
        &[
            "row 2: expected 6 cells as in the header, came 5",
            "row 3: expected 6 cells as in the header, came 7",
            "row 4, column person_id: expected a person's pseudonym, came an empty cell",
        ],
    );
    check(
        &rows("a,30,20,male,1,validation\n"),
        &["row 2, column split: expected one of the two texts that the study's split names"],
    );
    let latin = [rows("a,30,20,").as_slice(), b"m\xe4nnlich,1,train\n"].concat();
    check(&latin, &["row 2, column sex: expected UTF-8 text", "row 2, column sex: expected UTF-8 text"]);
    // One reason for every missing column; a comma between is still a comma.
    for (separator, words) in [(";", "';'"), ("\t", "tabs"), ("|", "'|'")] {
        let said = format!(
            "row 1: the header looks separated by {words}: expected ',' (export the table as CSV with commas)"
        );
        check(HEADER.replace(',', separator).as_bytes(), &[&said]);
    }
    assert!(read_bytes(format!("{HEADER},a;b\n").as_bytes()).is_ok());
    // A table without a header must not print its first person as column names.
    let Err(faults) = read_bytes(b"SECRET-7,30,20,male,1,train\n") else { panic!("no header") };
    assert!(!format!("{faults:?}").contains("SECRET") && !faults.is_empty());
}

#[test]
fn many_faults_stop_the_reading() {
    let rows: String = (0..100).map(|i| format!("p{i},old,20,male,1,train\n")).collect();
    let Err(faults) = read_rows(&rows) else { panic!("a hundred faults") };
    assert_eq!(faults.len(), FAULTS_MAX);
    let text = InvalidTable::Faulty { path: PathBuf::from("t.csv"), faults }.to_string();
    assert!(text.starts_with("t.csv: row 2, column age") && text.ends_with("reading stopped here"), "{text}");
}

#[test]
fn the_hash_splits_the_same_whatever_the_order() {
    let rows: Vec<String> = (0..400).map(|i| format!("p{i},40,20,male,{},train", i % 2)).collect();
    let sizes = |rows: &[String]| {
        let bytes = format!("{HEADER}\n{}\n", rows.join("\n"));
        let Ok((table, _)) = strict(bytes.as_bytes(), &by_hash(), &key()) else { panic!("a good table") };
        (table.training.people(), table.evaluation.people())
    };
    let reversed: Vec<String> = rows.iter().rev().cloned().collect();
    assert_eq!(sizes(&rows), sizes(&reversed));
    let (training, evaluation) = sizes(&rows);
    assert_eq!(training + evaluation, 400);
    assert!(training.abs_diff(280) < 40, "a share of 0.7: {training}");
}

#[test]
fn folders_missing_files_and_exports() {
    let folder = tempfile::tempdir().expect("a folder");
    let Err(error) = load_strict(folder.path(), &study(), &key()) else { panic!("no table there") };
    assert!(error.to_string().contains("table.csv"), "{error}");
    let table = format!("{HEADER}\na,30,20,male,1,train\nb,30,20,male,0,test\n");
    std::fs::write(folder.path().join("table.csv"), &table).expect("writes");
    let out = folder.path().join("examples");
    export_examples(folder.path(), &study(), &key(), &out).expect("exports");
    let file = ExampleFile::from_bytes(&std::fs::read(&out).expect("is there")).expect("reads back");
    let table = folder.path().join("table.csv");
    let Ok((loaded, _)) = load_strict(&table, &study(), &key()) else { panic!("a good table") };
    assert!(
        file.study == study().digest
            && file.training == loaded.training
            && file.evaluation == loaded.evaluation
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&out).expect("is there").permissions().mode() & 0o777, 0o600);
    }
    let again = export_examples(folder.path(), &study(), &key(), &out);
    assert!(matches!(again, Err(ExportError::Unwritable { .. })), "never replaced");
}

/// Neighbours: whatever one person's rows hold, everybody else contributes the same.
#[test]
fn one_persons_bad_rows_change_nothing_else() {
    let others = ["a,30,20,male,1,train", "b,60,,female,0,train", "c,45,0,other,1,test"];
    let table = |rows: &[&str]| [HEADER, &rows.join("\n"), ""].join("\n").into_bytes();
    let Ok((without, none)) = read_tolerant(&table(&others)) else { panic!("a good table") };
    assert_eq!((none.count, without.training.people(), without.evaluation.people()), (0, 2, 1));
    let check = |rows: &[&[u8]], faults: u64, expected: &str| {
        for at in 0..=others.len() {
            let mut lines: Vec<&[u8]> = others.iter().map(|row| row.as_bytes()).collect();
            lines.splice(at..at, rows.iter().copied());
            lines.insert(0, HEADER.as_bytes());
            let bytes = lines.join(&b'\n');
            let Ok((with, found)) = read_tolerant(&bytes) else { panic!("{expected}: the table failed") };
            assert!(with.training == without.training, "{expected} at {at}");
            assert!(with.evaluation == without.evaluation, "{expected} at {at}");
            assert_eq!(found.count, faults, "{expected} at {at}");
            assert!(
                found.shown.iter().any(|fault| fault.to_string().contains(expected)),
                "{expected} at {at}"
            );
            let Err(strict) = read_bytes(&bytes) else { panic!("{expected}: strict forgave") };
            assert_eq!(strict, found.shown, "{expected} at {at}");
        }
    };
    check(&[b"x,forty,20,male,1,train"], 1, "column age: expected a number");
    check(&[b"x,40,20,male,1,never"], 1, "column split");
    check(&[b"x,40,20,m\xe4n,1,train"], 2, "column sex: expected UTF-8");
    check(&[b"x,40,20,male,1"], 1, "expected 6 cells");
    check(&[b"x,40,20,male,1,train,"], 1, "expected 6 cells");
    check(&[b",40,20,male,1,train"], 1, "came an empty cell");
    check(&[b"\xff,40,20,male,1,train"], 1, "column person_id: expected UTF-8");
    // An open quote does not swallow the rows behind it.
    check(&[b"\"x,40,20,male,1,train"], 1, "expected 6 cells");
    check(&[b"x,\"40,20,male,1,train"], 1, "expected 6 cells");
    // A person who comes twice contributes nothing, good rows and bad ones in any order.
    let (good, other, bad) = (&b"x,40,20,male,1,train"[..], &b" x ,50,20,male,0,test"[..], &b"x,,,,,"[..]);
    check(&[good, good], 1, "the same person");
    check(&[good, other], 1, "the same person");
    check(&[other, good, good], 2, "the same person");
    check(&[good, bad], 1, "the same person");
    check(&[bad, good], 2, "the same person");
    check(&[b"x,forty,20,male,1,train", good], 2, "the same person");
    let long = [good, &vec![b'y'; 1024 * 1024]].concat();
    check(&[&long], 1, "expected at most 1048576 bytes");
}

#[test]
fn tolerance_ends_at_the_header() {
    let check = |bytes: &[u8], expected: &str| {
        let Err(faults) = read_tolerant(bytes) else { panic!("{expected}: read") };
        assert!(faults[0].to_string().contains(expected), "{faults:?}");
    };
    check(b"", "the file is empty");
    check(b"\n\n", "the file is empty");
    check(b"person_id,age,sex,outcome,split\n", "column bmi is missing");
    check(b"person_id,\xff\n", "expected UTF-8");
    check(b"\x00\x01\x02", "is missing");
    check(&vec![b'x'; 1024 * 1024 + 1], "row 1: expected at most");
    let many: Vec<String> = (0..100).map(|i| format!("p{i},old,20,male,1,train")).collect();
    let Ok((_, faults)) = read_tolerant(format!("{HEADER}\n{}", many.join("\n")).as_bytes()) else {
        panic!("rows are forgiven")
    };
    assert_eq!((faults.count, faults.shown.len()), (100, FAULTS_MAX), "counted, not all kept");
}

#[test]
fn a_header_is_checked_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |text: &str, columns: Option<&str>, person: Option<&str>| {
        std::fs::write(folder.path().join("table.csv"), text).expect("writes");
        for (found, expected) in [
            (check_columns(folder.path(), &study()), columns),
            (check_person_column(folder.path(), "person_id"), person),
        ] {
            let found = found.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(found.contains(expected.unwrap_or("")), "{text}: {found}");
            assert_eq!(found.is_empty(), expected.is_none(), "{text}: {found}");
        }
    };
    check(HEADER, None, None);
    check(&format!("{HEADER}\nno rows are read\n"), None, None);
    check("person_id,age\n", Some("column bmi is missing"), None);
    check("id,age\n", Some("column person_id is missing"), Some("column person_id is missing"));
    check("person_id,person_id\n", Some("is there twice"), Some("column person_id is there twice"));
    check("", Some("the file is empty"), Some("the file is empty"));
    let absent = folder.path().join("none.csv");
    assert!(matches!(check_columns(&absent, &study()), Err(InvalidTable::Unreadable { .. })));
}

#[test]
fn more_training_people_than_the_lattice_takes_are_refused_by_name() {
    let people_max = training_people_max(&study());
    let check = |training: usize, refused: bool| {
        let mut loaded = Loaded::new(0);
        for _ in 0..training {
            loaded.training.push_person(&[], vec![]);
        }
        let found = check_training(&study(), &loaded).err().map(faults);
        assert_eq!(found, refused.then(|| vec![Fault::TooManyTraining { people_max }]), "{training}");
    };
    check(people_max, false);
    check(people_max + 1, true);
}
