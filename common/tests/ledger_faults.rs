//! Bundles of distributed studies in which one thing is wrong: one finding, the first cause, and one line that
//! counts what was not judged because of it.

#![expect(clippy::disallowed_methods, reason = "tests write files")]

mod bundle;

use bundle::secure::{Plan, make_with};
use bundle::{Map, check};
use consilium_common::id::Digest;
use consilium_common::secagg::SumRecord;
use std::process::Command;

/// One fault is one finding; what follows from it is one line.
#[test]
fn one_fault_is_one_finding() {
    let many = Plan { rounds: Some(6), ..Plan::default() };
    let good = make_with(many);
    assert_eq!(check(&good.0).findings, vec![]);
    let one = |kind: &str, what: &str, note: &str, change: &dyn Fn(&mut Map)| {
        let mut map = good.0.clone();
        change(&mut map);
        let report = check(&map);
        let lines: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1, "{what}: {lines:#?}");
        assert_eq!(report.findings[0].kind, kind, "{lines:#?}");
        assert!(lines[0].contains(what), "{lines:#?}");
        let notes: Vec<_> = report.notes.iter().filter(|note| note.starts_with("not judged")).collect();
        assert!(matches!(notes[..], [found] if found.contains(note)), "{what}: {notes:#?}");
        assert_eq!(report.rounds, 6, "{what}");
    };
    let damaged = |file: &'static str, change: fn(&mut Vec<u8>)| {
        move |map: &mut Map| change(map.get_mut(file).expect("there"))
    };
    let after = |file: &str, models: u32, entries: u32| {
        format!(
            "not judged, since {file} is missing or at fault: {models} models that were to be computed again, {entries} \
             entries of ledgers"
        )
    };
    // A sum in the middle: missing, and damaged in its integers, its header and its length.
    let note = after("sums/2", 4, 4);
    one("missing", "sums/2: the sum of round 3, attempt 1 is not in the bundle; entry", &note, &|map| {
        drop(map.remove("sums/2"));
    });
    let note = after("sums/2", 4, 0);
    one(
        "transcript",
        "of its ledger has the sum",
        &note,
        &damaged("sums/2", |bytes| *bytes.last_mut().expect("bytes") ^= 1),
    );
    one(
        "transcript",
        "as much for brackley, corby, dunmore",
        &note,
        &damaged("sums/2", |bytes| *bytes.last_mut().expect("bytes") ^= 1),
    );
    let note = after("sums/2", 4, 4);
    one("training", "sums/2: header", &note, &damaged("sums/2", |bytes| bytes[0] = b'x'));
    one("training", "sums/2: expected", &note, &damaged("sums/2", |bytes| bytes.truncate(bytes.len() - 1)));
    one("training", "sums/2: header: no line feed", &note, &damaged("sums/2", Vec::clear));
    let note = after("sums/2", 4, 0);
    one("signature", "sums/2: ", &note, &|map| {
        let (mut record, sum) = SumRecord::decode(&map["sums/2"]).expect("a sum");
        record.session = Digest::of(b"other");
        map.insert("sums/2".into(), record.encode(&sum));
    });
    // The first, the last, some in a row, all; and a grouping's.
    one("missing", "sums/0: the sum of round 1", &after("sums/0", 6, 7), &|map| drop(map.remove("sums/0")));
    one("missing", "sums/5: the sum of round 6", &after("sums/5", 1, 4), &|map| drop(map.remove("sums/5")));
    one("missing", "; nor are those after it, up to sums/4", &after("sums/2", 4, 12), &|map| {
        (2..5).for_each(|round| drop(map.remove(&format!("sums/{round}"))));
    });
    let note = after("evaluation/overall/sum", 0, 4);
    one("missing", "evaluation/overall/sum: the sum of grouping 1", &note, &|map| {
        drop(map.remove("evaluation/overall/sum"));
    });
}

/// The program says as much, and its exit code is 1.
#[test]
fn the_program_names_the_cause_and_counts_the_rest() {
    let (good, _) = make_with(Plan { rounds: Some(6), ..Plan::default() });
    let dir = tempfile::tempdir().expect("a folder");
    let said = |name: &str, map: &Map| {
        let root = dir.path().join(name);
        for (path, bytes) in map {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("within the root")).expect("a folder");
            std::fs::write(path, bytes).expect("written");
        }
        let output =
            Command::new(env!("CARGO_BIN_EXE_auditor")).arg("verify").arg(root).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = said("good", &good);
    assert_eq!((code, text.contains("FINDING")), (Some(0), false), "{text}");
    let mut missing = good.clone();
    missing.remove("sums/3").expect("there");
    let mut damaged = good.clone();
    damaged.get_mut("sums/3").expect("there")[0] ^= 1;
    for (name, map) in [("missing", missing), ("damaged", damaged)] {
        let (code, text) = said(name, &map);
        assert_eq!(code, Some(1), "{text}");
        assert_eq!(text.matches("FINDING     sums/3: ").count(), 1, "{text}");
        assert_eq!(text.matches("FINDING").count(), 1, "{text}");
        assert_eq!(
            text.matches("note        not judged, since sums/3 is missing or at fault").count(),
            1,
            "{text}"
        );
        assert!(text.contains("does NOT verify (1 finding)"), "{text}");
    }
}
