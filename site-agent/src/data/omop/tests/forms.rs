//! One hospital, many ways to write it down, one stream.

use super::super::*;
use super::hospital::{Text, bytes, hospital};
use std::fs;
use std::path::Path;

fn written(tables: &[Text], write: impl Fn(&Text, &Path)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("folder");
    tables.iter().for_each(|table| write(table, dir.path()));
    dir
}

#[test]
fn every_form_gives_the_same_bytes() {
    let tables = hospital(60, 300);
    let csv = written(&tables, |table, dir| table.write_csv(&dir.join(format!("{}.csv", table.name))));
    let reading = Reading { threads: 2, ..Reading::default() };
    let expected = bytes(csv.path(), &reading);
    assert!(expected.len() > 7 * 300 * 8, "a stream of some length");

    #[track_caller]
    fn check(name: &str, expected: &[u8], dir: &tempfile::TempDir) {
        let scratch = tempfile::tempdir().expect("folder");
        let few = Reading { memory_bytes: 20_000, threads: 3, scratch: Some(scratch.path()) };
        for reading in [Reading { threads: 1, ..Reading::default() }, few] {
            // No assert_eq: a failure must not print a hospital.
            assert!(bytes(dir.path(), &reading) == expected, "{name}, {} threads", reading.threads);
        }
        assert_eq!(fs::read_dir(scratch.path()).expect("there").count(), 0, "what was spilled is gone");
    }
    check("csv", &expected, &csv);
    let of = |write: &dyn Fn(&Text, &Path)| written(&tables, write);
    check(
        "csv.gz",
        &expected,
        &of(&|table, dir| table.write_gz(&dir.join(format!("{}.csv.gz", table.name)))),
    );
    check(
        "parquet",
        &expected,
        &of(&|table, dir| table.write_parquet(&dir.join(format!("{}.parquet", table.name)), 100)),
    );
    check(
        "crlf, byte order mark, semicolons, upper case, quotes, spare columns",
        &expected,
        &of(&|table, dir| {
            let rows: Vec<String> =
                std::iter::once(table.header.iter().map(|name| name.to_uppercase()).collect())
                    .chain(table.rows.iter().cloned())
                    .map(|cells: Vec<String>| {
                        let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{cell}\"")).collect();
                        quoted.join(";") + ";\"a \"\"spare\"\"\none\""
                    })
                    .collect();
            let text = format!("\u{feff}{}\r\n\r\n", rows.join("\r\n"));
            fs::write(dir.join(format!("{}.CSV", table.name.to_uppercase())), text).expect("written");
        }),
    );
    check(
        "part files, each of another form, rows the other way round",
        &expected,
        &of(&|table, dir| {
            let folder = dir.join(table.name).join("year=2020");
            fs::create_dir_all(&folder).expect("folder");
            let mut table = table.clone();
            table.rows.reverse();
            let mut thirds = table.rows.chunks(table.rows.len().div_ceil(3)).map(<[_]>::to_vec);
            let mut part = || Text { rows: thirds.next().unwrap_or_default(), ..table.clone() };
            part().write_csv(&folder.join("part-0.csv"));
            part().write_gz(&folder.parent().expect("within").join("part-1.csv.gz"));
            part().write_parquet(&folder.join("part-2.parquet"), 7);
            fs::write(folder.join("_SUCCESS"), "").expect("written");
        }),
    );
    check(
        "the names of version 5.3",
        &expected,
        &of(&|table, dir| {
            let mut table = table.clone();
            for name in &mut table.header {
                if name == "discharged_to_concept_id" {
                    *name = "discharge_to_concept_id".to_owned();
                } else if name == "admitted_from_concept_id" {
                    *name = "admitting_source_concept_id".to_owned();
                }
            }
            table.write_csv(&dir.join(format!("{}.csv", table.name)));
        }),
    );
    check(
        "times with a T, numbers as pandas writes them where there are gaps",
        &expected,
        &of(&|table, dir| {
            let mut table = table.clone();
            for row in &mut table.rows {
                for (name, cell) in table.header.iter().zip(row) {
                    if name.ends_with("_datetime") {
                        *cell = cell.replace(' ', "T");
                    } else if name.ends_with("_id") && !cell.is_empty() && cell.len() < 10 {
                        cell.push_str(".0");
                    }
                }
            }
            table.write_csv(&dir.join(format!("{}.csv", table.name)));
        }),
    );
}

#[test]
fn people_are_the_same_from_every_form() {
    let tables = hospital(60, 10);
    let csv = written(&tables, |table, dir| table.write_csv(&dir.join(format!("{}.csv", table.name))));
    let parquet =
        written(&tables, |table, dir| table.write_parquet(&dir.join(format!("{}.parquet", table.name)), 9));
    let read =
        |dir: &tempfile::TempDir| People::read(&Folder::open(dir.path()).expect("opens")).expect("reads");
    let (one, two) = (read(&csv), read(&parquet));
    assert!(one.persons.len() == 60 && one.persons.is_sorted());
    assert!(one.persons == two.persons && one.periods == two.periods && one.observed);
}

#[test]
fn a_filter_takes_events_out_before_they_are_sorted() {
    let tables = hospital(60, 300);
    let dir = written(&tables, |table, dir| table.write_csv(&dir.join(format!("{}.csv", table.name))));
    let folder = Folder::open(dir.path()).expect("opens");
    let all = |keep: fn(&Event) -> bool| {
        let (stream, counts) =
            stream::read(&folder, &[Domain::Measurement, Domain::Visit], &Reading::default(), keep)
                .expect("reads");
        (stream.collect::<Result<Vec<_>, _>>().expect("reads"), counts)
    };
    let wanted: fn(&Event) -> bool = |event| event.concept.0 % 2 == 1;
    let (every, counts) = all(|_| true);
    let (some, counts_of_some) = all(wanted);
    assert!(every.len() == 600 && every.is_sorted());
    assert!(some == every.into_iter().filter(wanted).collect::<Vec<_>>() && !some.is_empty());
    assert!(counts == counts_of_some, "what a table holds does not depend on what is wanted of it");
}
