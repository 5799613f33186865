//! Notes with something wrong: what becomes of the row, and that no word of one is in an error.

use super::super::*;
use super::folders::{asking_as, hospital, write};
use super::hand::of_study;
use super::notes::extracted;
use crate::data::omop::postgres::tests::cluster::Cluster;
use crate::data::omop::postgres::tests::{READER, model, script, source};
use crate::data::omop::postgres::{self, Database};
use crate::data::omop::tests::hospital::Text;
use crate::data::omop::{Fault, Folder, Reading, Table, Wanted, check as check_tables, database_at};
use crate::data::{self, Loaded, SplitKey};
use consilium_common::study::notes::{Language, NoteConcept, NoteIndex, Notes, Said, Term};
use consilium_common::study::records::{Covariate, SetIndex, Window};
use consilium_common::study::{self, Data, Encoding, Feature, Study};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const CANARY: &str = "Zebedee";
const TEXT: &str = "Zebedee reports low mood. He denies hearing voices.";

/// The small hospital of [`hospital`], with a note for everybody, and a study that asks about it.
fn small(change: impl FnOnce(&mut Vec<Vec<String>>)) -> (Vec<Text>, Study) {
    let mut tables = hospital(40);
    let row = |id: u64| vec![id.to_string(), id.to_string(), "2015-01-31".to_owned(), TEXT.to_owned()];
    let mut notes: Vec<Vec<String>> = (0..40).map(row).collect();
    change(&mut notes);
    let header = ["note_id", "person_id", "note_date", "note_text"].map(str::to_owned).to_vec();
    tables.push(Text { name: "note", header, rows: notes });
    let parsed = study::parse(include_bytes!("../../testdata/study.toml")).expect("parses");
    let mut study = asking_as(parsed);
    let Data::Records(records) = &mut study.data else { panic!("on records") };
    let concept = |name: &str, term: &str| NoteConcept {
        name: name.to_owned(),
        terms: vec![(Language::English, Term::new(term).expect("a term"))],
    };
    records.notes =
        Some(Notes::Lexicon(vec![concept("low_mood", "low mood"), concept("voices", "hearing voices")]));
    for (at, said) in [(0, Said::Affirmed), (0, Said::Denied), (1, Said::Affirmed), (1, Said::Denied)] {
        let window = Window::Days { from: -30, to: 0 };
        records.covariates.push(Covariate::Noted { concept: NoteIndex(at), said, window });
        study.features.push(Feature {
            name: format!("note_{at}_{}", said.word()),
            unit: None,
            encoding: Encoding::Flag,
        });
    }
    (tables, study)
}

/// Of each person with an example the inputs of notes, by person.
fn noted(path: &Path, study: &Study) -> BTreeMap<u64, Vec<u8>> {
    let Ok(Extracted { loaded: Loaded { training, evaluation, whose }, .. }) = extracted(path, study) else {
        panic!("reads")
    };
    let mut noted = BTreeMap::new();
    for (examples, whose) in [(&training, &whose.training), (&evaluation, &whose.evaluation)] {
        for (person, id) in whose.iter().enumerate() {
            let row = examples.row(examples.rows_of(person).start);
            let inputs = row[row.len() - 4..].iter().map(|input| u8::from(*input > 0.5)).collect();
            noted.insert(id.parse().expect("a number"), inputs);
        }
    }
    noted
}

/// A note that is too long is left out whole, and counted; nothing of it is read.
#[test]
fn notes_that_are_not_read_are_counted() {
    let long = |length: usize| {
        let mut text = TEXT.to_owned();
        text.push_str(&" x".repeat(length));
        text.truncate(length);
        text
    };
    let limit = 2 * 1024 * 1024;
    let (tables, study) = small(|notes| {
        notes[0][3] = long(limit);
        notes[1][3] = long(limit + 1);
        notes[2][3].clear();
        notes[3][1].clear();
        notes[4][2] = "someday".to_owned();
        notes[5][3] = "Denies low mood.\nZebedee said: \"quiet, please\"; hearing voices now".to_owned();
        notes[5][3] = format!("\"{}\"", notes[5][3].replace('"', "\"\""));
    });
    let dir = write(&tables);
    let noted = noted(dir.path(), &study);
    for (person, expected) in [
        (0, [1, 0, 0, 1]),
        (1, [0; 4]),
        (2, [0; 4]),
        (3, [0; 4]),
        (4, [0; 4]),
        (5, [0, 1, 1, 0]),
        (7, [1, 0, 0, 1]),
    ] {
        let found = noted.get(&person);
        assert!(found.is_none_or(|found| found[..] == expected), "{person}: {found:?}");
    }
    assert!([0, 1, 2, 4, 5, 7].iter().filter(|person| noted.contains_key(person)).count() >= 5);
    let Ok(Extracted { report, .. }) = extracted(dir.path(), &study) else { panic!("reads") };
    let note = report.tables.iter().find(|(table, _)| table.name() == "note").expect("was read");
    let count = |fault| note.1.faults.of(fault);
    assert_eq!((note.1.rows, note.1.events), (40, 36));
    let faults = [Fault::TextTooLong, Fault::NoText, Fault::NoPerson, Fault::UnparsableDate].map(count);
    assert_eq!(faults, [1; 4]);
    // All are English by TEXT's words but the note that was written here, which has too few common ones.
    let languages = note.1.languages;
    assert_eq!((languages.read(), languages.english, languages.german, languages.other), (36, 35, 0, 1));
}

/// Notes are told apart by language, each once, in the report that stays at the site.
#[test]
fn notes_are_counted_by_language() {
    let (tables, study) = small(|notes| {
        notes[0][3] = "Zebedee was seen with his mother. He has low mood.".to_owned();
        notes[1][3] = "Zebedee ist seit gestern auf der Station und hat kein Fieber.".to_owned();
        notes[2][3] = "Der Patient ist wach und nicht verwirrt.".to_owned();
        notes[3][3] = "Patiente calme, sans idées noires.".to_owned();
        notes[4][3].clear();
    });
    let dir = write(&tables);
    let Ok(Extracted { report, .. }) = extracted(dir.path(), &study) else { panic!("reads") };
    let note = report.tables.iter().find(|(table, _)| table.name() == "note").expect("was read");
    let languages = note.1.languages;
    assert_eq!((languages.english, languages.german, languages.other), (36, 2, 1));
    assert_eq!(note.1.rows - languages.read(), 1);
    let (text, json) = crate::cli::records::both_forms("here", &study, &report);
    let lines = [
        "read, in English\t36",
        "read, in German\t2",
        "read, in another language or too short to tell\t1",
        "not read: note without text\t1",
    ];
    for line in lines {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert_eq!(
        json["notes"],
        serde_json::json!({ "en": 36, "de": 2, "other": 1, "not_read": { "no_text": 1 } })
    );
    assert!(!text.contains(CANARY));
}

/// Notes of studies that do not ask for them are nobody's business, whatever is in them.
#[test]
fn notes_are_read_only_where_a_study_says_so() {
    let (tables, with_notes) = small(|_| {});
    let mut without = with_notes.clone();
    let Data::Records(records) = &mut without.data else { panic!("on records") };
    records.notes = None;
    records.covariates.truncate(3);
    without.features.truncate(3);
    let dir = write(&tables);
    fs::write(dir.path().join("note.csv"), b"note_id,person_id\n\"Zebedee \xff\0").expect("written");
    fs::write(dir.path().join("note_nlp.parquet"), b"Zebedee").expect("written");
    assert!(extracted(dir.path(), &without).is_ok_and(|found| !found.loaded.training.is_empty()));
    let folder = Folder::open(dir.path()).expect("opens");
    let found = check_tables::check(&folder, &Reading::default()).unwrap_or_else(|error| panic!("{error}"));
    assert!(found.tables.iter().all(|(table, _)| !table.name().starts_with("note")));
    let names = |study| wanted(of_study(study)).tables().iter().map(|table| table.name()).collect::<Vec<_>>();
    assert!(names(&with_notes).contains(&"note") && !names(&with_notes).contains(&"note_nlp"));
    assert!(!names(&without).contains(&"note"));
    let queries = |path: &Path, study: &Study| {
        let read = data::load_with_origin(path, study, &SplitKey::from_bytes([3; 32]));
        read.unwrap_or_else(|error| panic!("{error}")).2.queries.join("\n")
    };
    let sound = write(&tables);
    assert!(queries(sound.path(), &with_notes).contains("note_text"));
    assert!(!queries(dir.path(), &without).contains("note"));
}

/// What is wrong with a file of notes is said by file, row and column, and no word of a note.
#[test]
fn errors_hold_nothing_of_a_note() {
    let (tables, study) = small(|_| {});
    let good = tables.iter().find(|table| table.name == "note").expect("notes").csv();
    let check = |bytes: &[u8], expected: &str| {
        let dir = write(&tables);
        fs::write(dir.path().join("note.csv"), bytes).expect("written");
        let error = match extracted(dir.path(), &study) {
            Ok(_) => panic!("expected {expected}"),
            Err(error) => error,
        };
        for said in [error.to_string(), format!("{error:?}"), format!("{error:#?}")] {
            assert!(!said.contains(CANARY) && !said.contains("mood"), "an error quotes a note");
        }
        assert!(error.to_string().contains(expected), "expected {expected}: {error}");
        let failure = crate::failure::Failure::from(data::InvalidData::from(error));
        assert!(!failure.to_string().contains(CANARY) && !format!("{failure:?}").contains(CANARY));
    };
    let with_row = |row: &[u8]| [good.as_bytes(), row, b"\n"].concat();
    check(&with_row(b"41,1,2015-01-31,Zebedee \xff\xfe low mood"), "note.csv: row 42: not UTF-8");
    check(&with_row(b"41,1,2015-01-31,Zebedee \0 low mood"), "note.csv: row 42: a NUL byte");
    check(&with_row(b"41,1,2015-01-31,\"Zebedee has low mood"), "row 42: a quote that is never closed");
    check(&with_row(b"41,1,2015-01-31,\"Zebedee\" has low mood"), "row 42: text after a closing quote");
    check(&with_row(b"41,1,2015-01-31,Zebedee, low mood"), "row 42: 5 cells, expected 4");
    let endless = format!("41,1,2015-01-31,\"Zebedee{}", " low mood".repeat(2_000_000));
    check(&with_row(endless.as_bytes()), "row 42: longer than 16777216 bytes");
    check(good.replacen("note_text", "text", 1).as_bytes(), "expected a column note_text");
    let without: Vec<Text> = tables.iter().filter(|table| table.name != "note").cloned().collect();
    let refused = data::check_columns(write(&without).path(), &study).expect_err("no notes").to_string();
    assert!(
        refused.contains("table note is missing, which the study reads for its words in clinical notes"),
        "{refused}"
    );
}

/// What a program has found is read without the text, however long that is.
#[test]
fn findings_of_a_program_need_no_text() {
    let (mut tables, mut study) = small(|notes| notes[2][3] = format!("{TEXT}{}", " x".repeat(2_000_000)));
    let Data::Records(records) = &mut study.data else { panic!("on records") };
    records.notes = Some(Notes::Nlp(vec![SetIndex(1), SetIndex(2)]));
    let nlp = "note_id,note_nlp_concept_id,term_exists,term_temporal,term_modifiers";
    let rows = [
        "0,20,Y,Present,",
        "1,20,Y,Past,",
        "2,30,N,,negated=true",
        "5,30,,,",
        "5,30,,,",
        ",20,Y,,",
        "999,20,Y,,",
        "7,10,Y,,",
    ];
    tables.push(Text::new("note_nlp", nlp, &rows));
    let dir = write(&tables);
    let noted = noted(dir.path(), &study);
    for (person, expected) in
        [(0, [1, 0, 0, 0]), (1, [0; 4]), (2, [0, 0, 0, 1]), (5, [0, 0, 1, 0]), (7, [0; 4])]
    {
        assert_eq!(noted[&person], expected, "{person}");
    }
    let Ok(Extracted { report, .. }) = extracted(dir.path(), &study) else { panic!("reads") };
    let (_, counts) = report.tables.iter().find(|(table, _)| table.name() == "note_nlp").expect("was read");
    assert_eq!((counts.rows, counts.events, counts.faults.of(Fault::NotAnId)), (8, 5, 1));
    let columns = wanted(of_study(&study));
    assert!(columns.tables().iter().any(|table| table.name() == "note_nlp"));
    tables.retain(|table| table.name != "note_nlp");
    let refused = data::check_columns(write(&tables).path(), &study).expect_err("none").to_string();
    assert!(
        refused.contains("table note_nlp is missing, which the study reads for what a program has found"),
        "{refused}"
    );
}

/// A server's own errors quote what it could not read.
#[test]
fn errors_of_a_server_hold_nothing_of_a_note() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let (tables, study) = small(|_| {});
    cluster.sql(&script("cdm", &tables, &|column| model(column).to_owned()));
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("source.toml");
    fs::write(&path, source(&cluster, "")).expect("written");
    cluster.sql(&format!("REVOKE ALL ON ALL TABLES IN SCHEMA cdm FROM {READER};"));
    let refused = data::check_columns(&path, &study).expect_err("not granted").to_string();
    assert!(
        refused.contains("may not read") && refused.contains("note (person_id, note_date, note_text)"),
        "{refused}"
    );
    let database = Database::open(&database_at(&path).expect("reads")).expect("opens");
    let wanted = wanted(of_study(&study));
    let granted = postgres::grants(&database, &wanted, READER);
    let columns = r#""person_id", "note_date", "note_text""#;
    assert!(granted.contains(&format!("GRANT SELECT ({columns}) ON TABLE \"cdm\".\"note\"")), "{granted}");
    let everything = postgres::grants(&database, &Wanted::all(&Table::ALL), READER);
    assert!(!everything.contains("note"), "nobody is granted notes without a study: {everything}");
    let plan = postgres::plan(&database, &wanted);
    let of_notes = plan.tables.iter().filter(|planned| planned.query.contains(columns)).count();
    assert_eq!(of_notes, 1, "one query of notes");
    drop(database);
    cluster.sql(&granted);
    let folder = write(&tables);
    assert!(noted(&path, &study) == noted(folder.path(), &study), "the same as from files");
    // A view that a note makes fail: "invalid input syntax for type integer: "Zebedee reports …"".
    cluster.sql(&format!(
        "ALTER TABLE cdm.note RENAME TO all_notes;
         CREATE VIEW cdm.note AS SELECT note_id, person_id, note_date, (note_text::integer)::text AS note_text
         FROM cdm.all_notes; GRANT SELECT ON cdm.note TO {READER};"
    ));
    let Err(error) = extracted(&path, &study) else { panic!("the server fails") };
    assert!(error.to_string().contains("22P02"), "by its SQLSTATE: {error}");
    for said in [error.to_string(), format!("{error:?}")] {
        assert!(!said.contains(CANARY) && !said.contains("mood"), "an error quotes a note");
    }
    // A table of another shape is none to studies that read notes, and nothing to the others.
    cluster.sql(&format!(
        "DROP VIEW cdm.note; CREATE TABLE cdm.note (note_id bigint, note_text bytea); GRANT SELECT ON cdm.note TO {READER};"
    ));
    let refused = data::check_columns(&path, &study).expect_err("no notes").to_string();
    assert!(refused.contains("table note is missing, or its columns are not those of OMOP"), "{refused}");
}
