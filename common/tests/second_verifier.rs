//! The verifier in Python, `docs/verify.py`, which shares no line with ours, on a bundle that is good and on bundles
//! that are not; its ε beside that of `auditor budget`.
//!
//! It needs Python with the packages of `docs/verify-requirements.txt`; `CONSILIUM_PYTHON` names the interpreter
//! (default: python3). Without them the test says that it was skipped, unless `CONSILIUM_REQUIRE_PYTHON` is set, as
//! `.ci/run` does.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

mod bundle;

use bundle::python::python;
use bundle::secure::{after_block, loses};
use bundle::{Map, make};
use consilium_common::ledger::budget::Budget;
use consilium_common::ledger::entry::Body;
use consilium_common::secagg::SumRecord;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn verifier(python: &Path, bundle: &Path) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify.py");
    let Output { status, stdout, stderr } =
        Command::new(python).arg(script).arg(bundle).arg("--json").output().expect("runs");
    (status.code(), String::from_utf8_lossy(if stdout.is_empty() { &stderr } else { &stdout }).into_owned())
}

fn write(map: &Map, root: &Path) {
    for (path, bytes) in map {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("within the root")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
}

#[test]
fn the_second_verifier_agrees() {
    let Some(python) = python() else { return };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ledger/golden");
    let (code, text) = verifier(&python, &golden);
    assert_eq!(code, Some(0), "{text}");
    let theirs: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(theirs["signatures_checked"], true);
    let ours = Command::new(env!("CARGO_BIN_EXE_auditor"))
        .args(["budget", "--format", "json"])
        .arg(&golden)
        .output()
        .expect("runs");
    let ours: Value = serde_json::from_slice(&ours.stdout).expect("JSON");
    assert_eq!((&ours["study"], &ours["delta"]), (&theirs["study"], &theirs["delta"]));
    let (mine, yours) =
        (ours["sites"].as_array().expect("sites"), theirs["sites"].as_array().expect("sites"));
    assert_eq!((mine.len(), yours.len()), (3, 3));
    // Both compute Rényi losses exactly at the same orders. By PLD ours must not be below theirs by more than the
    // grid of 1e-4 that theirs rounds up on, and not above by more than ours.
    let by = ours["accountant"].as_str().expect("a name");
    let tolerance = if by == "rdp" { 1e-6 } else { 1e-3 };
    for (mine, yours) in mine.iter().zip(yours) {
        assert_eq!(mine["name"], yours["name"]);
        for key in ["epsilon_training", "epsilon_evaluation", "epsilon_person_max", "epsilon_two_hospitals"] {
            let (mine, theirs) = (mine[key].as_f64().expect(key), yours[by][key].as_f64().expect(key));
            assert!((mine - theirs).abs() <= tolerance * theirs, "{key} by {by}: {mine} and {theirs}");
            let (pld, rdp) = (yours["pld"][key].as_f64().expect(key), yours["rdp"][key].as_f64().expect(key));
            assert!(pld < rdp && rdp < 2.0 * pld, "{key}: {pld} by PLD, {rdp} by RDP");
        }
    }
}

/// A distributed study: the second verifier computes transcripts and prices sums by itself, and finds in every
/// corruption what it is.
#[test]
fn the_second_verifier_reads_secure_sums() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    // What sites fill in is signed text that no verdict depends on.
    write(&bundle::make_of(&bundle::with_bindings()).0, &dir.path().join("bindings"));
    let (code, text) = verifier(&python, &dir.path().join("bindings"));
    assert_eq!(code, Some(0), "{text}");
    let (map, sites) = bundle::secure::make();
    write(&map, &dir.path().join("good"));
    let (code, text) = verifier(&python, &dir.path().join("good"));
    assert_eq!(code, Some(0), "{text}");
    let theirs: Value = serde_json::from_str(&text).expect("JSON");
    let sums: Vec<_> =
        theirs["sites"].as_array().expect("sites").iter().map(|s| s["sums"].as_u64()).collect();
    assert_eq!(sums, [Some(4), Some(4), Some(4), Some(3)]);
    let ledgers: Vec<_> = sites.iter().map(|site| &site.state).collect();
    let study = bundle::secure::study();
    let ours = Budget::of(&study.digest, study.privacy.delta, &ledgers).expect("a budget");
    for (ours, theirs) in ours.sites.iter().zip(theirs["sites"].as_array().expect("sites")) {
        for (key, ours) in [
            ("epsilon_training", Some(ours.epsilon_training)),
            ("epsilon_evaluation", Some(ours.epsilon_evaluation)),
            ("epsilon_two_hospitals", ours.epsilon_two_hospitals),
        ] {
            let (ours, theirs) = (ours.expect(key), theirs["pld"][key].as_f64().expect(key));
            assert!((ours - theirs).abs() <= 1e-3 * theirs, "{key}: {ours} and {theirs}");
        }
    }
    let check = |what: &str, expected: &str, change: &dyn Fn(&mut Map)| {
        let mut bad = map.clone();
        change(&mut bad);
        let folder = dir.path().join(what);
        write(&bad, &folder);
        let (code, text) = verifier(&python, &folder);
        assert_eq!(code, Some(1), "{what}: {text}");
        assert!(text.contains(expected), "{what}: {text}");
    };
    check("sum", "another sum or another transcript", &|map| {
        *map.get_mut("sums/0").expect("there").last_mut().expect("bytes") ^= 1;
    });
    check("survivors", "did not sign these survivors", &|map| {
        let (mut record, sum) = SumRecord::decode(&map["sums/1"]).expect("a sum");
        record.survivors.remove(1);
        map.insert("sums/1".into(), record.encode(&sum));
    });
    check("signatures", "2 survivors signed, the threshold is 3", &|map| {
        let (mut record, sum) = SumRecord::decode(&map["sums/0"]).expect("a sum");
        record.survivors[0].signature = None;
        map.insert("sums/0".into(), record.encode(&sum));
    });
    // A coordinator that stopped before it told the survivors; and a sum that nothing fixes.
    let untold = |untold| bundle::secure::make_with(bundle::secure::Plan { untold, ..Default::default() }).0;
    write(&untold(&[(0, 0), (0, 1)]), &dir.path().join("untold"));
    let (code, text) = verifier(&python, &dir.path().join("untold"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("sums/1: no ledger recorded its end"), "{text}");
    check("grouping", "no later step fixes it", &|map| *map = untold(&[(1, 1)]));
    check("missing", "the sum of round 2, attempt 2 is not in the bundle", &|map| drop(map.remove("sums/1")));
}

/// A site that lost its disk: the second verifier explains what was lost by the same uses, charges them, and finds
/// what no use explains.
#[test]
fn the_second_verifier_reads_recovered_ledgers() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let study = bundle::secure::study();
    let check =
        |what: &str, code: i32, expected: &str, lost: &[(u32, u32, u32)], of: u32, count: Option<u64>| {
            let (mut map, mut sites) = bundle::secure::make();
            sites[0] = loses(&sites[0], lost, after_block(of, 0), |body| match body {
                Body::ReserveBlock { study, earmark: 0, first, .. } => {
                    count.map(|count| Body::ReserveBlock { study: *study, earmark: 0, first: *first, count })
                }
                _ => None,
            });
            sites[0].write(&mut map, true);
            assert_eq!(bundle::check(&map).findings.is_empty(), code == 0, "{what}");
            let folder = dir.path().join(what);
            write(&map, &folder);
            let (found, text) = verifier(&python, &folder);
            assert_eq!(found, Some(code), "{what}: {text}");
            assert!(text.contains(expected), "{what}: {text}");
            if code != 0 {
                return;
            }
            let theirs: Value = serde_json::from_str(&text).expect("JSON");
            let ledgers: Vec<_> = sites.iter().map(|site| &site.state).collect();
            let ours = Budget::of(&study.digest, study.privacy.delta, &ledgers).expect("a budget");
            for (ours, theirs) in ours.sites.iter().zip(theirs["sites"].as_array().expect("sites")) {
                for (key, ours) in [
                    ("epsilon_training", ours.epsilon_training),
                    ("epsilon_two_hospitals", ours.epsilon_two_hospitals.expect("four sites")),
                ] {
                    let theirs = theirs["pld"][key].as_f64().expect(key);
                    assert!((ours - theirs).abs() <= 1e-3 * theirs, "{what}, {key}: {ours} and {theirs}");
                }
            }
        };
    let first = [(0, 0, 0)];
    let all = [(0, 0, 0), (0, 1, 0), (0, 1, 1)];
    check("two", 0, "sums/1: ashford lost its record of it with its disk", &all, 0, None);
    check("grouping", 0, "evaluation/overall/sum: ashford lost its record", &[(1, 1, 0)], 1, None);
    check("too-many", 1, "sums/1: ashford has no masked vector for it", &all, 0, Some(1));
    check("elsewhere", 1, "sums/0: ashford has no masked vector for it", &first, 1, None);
    check("later", 1, "sums/1: ashford has no masked vector for it", &[(0, 1, 1)], 0, None);
}

/// A ledger of more than one tile.
#[test]
fn the_second_verifier_reads_tiles_of_every_row() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (mut map, mut sites) = make();
    for number in 0..300 {
        let rule = format!("policy.rule-{number}");
        sites[0].append(Body::Refusal { rule, study: None, count: 1 });
    }
    sites[0].write(&mut map, true);
    assert_eq!(bundle::check(&map).findings, vec![]);
    let rows = |map: &Map| map.keys().filter(|path| path.starts_with("sites/ashford/ledger/tile/")).count();
    assert_eq!(rows(&map), 5, "two bundles, two tiles of leaves, one above");
    write(&map, &dir.path().join("good"));
    let (code, text) = verifier(&python, &dir.path().join("good"));
    assert_eq!(code, Some(0), "{text}");
    let path =
        map.keys().find(|path| path.starts_with("sites/ashford/ledger/tile/1/")).expect("there").clone();
    map.get_mut(&path).expect("there")[0] ^= 1;
    write(&map, &dir.path().join("bad"));
    let (code, text) = verifier(&python, &dir.path().join("bad"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("not what the hash tile of level 1 names"), "{text}");
}

#[test]
fn the_second_verifier_finds_what_is_wrong() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (map, sites) = make();
    let ledger = "sites/ashford/ledger";
    let path_of = |part: &str| {
        map.keys().find(|path| path.starts_with(&format!("{ledger}/{part}"))).expect("there").clone()
    };
    let mut number = 0;
    let mut check = |what: &str, change: &dyn Fn(&mut Map)| {
        let mut changed = map.clone();
        change(&mut changed);
        number += 1;
        let folder = dir.path().join(number.to_string());
        write(&changed, &folder);
        let (code, text) = verifier(&python, &folder);
        assert_eq!(code, Some(1), "{what}: {text}");
        assert!(text.contains(what), "{what}: {text}");
    };
    let flip = |map: &mut Map, path: &str, at: usize| map.get_mut(path).expect("there")[at] ^= 1;
    let in_entry_4 = sites[0].entries[..4].iter().map(|entry| entry.len() + 2).sum::<usize>() + 60;
    check("ashford: entry 4: not what the hash tile", &|map| flip(map, &path_of("tile/entries"), in_entry_4));
    check("ashford: entry 3: not what the hash tile", &|map| flip(map, &path_of("tile/0"), 3 * 32));
    check("ashford: the site's signature does not verify", &|map| {
        let path = path_of("checkpoint");
        let text = String::from_utf8(map[&path].clone()).expect("text").replacen("\n14\n", "\n13\n", 1);
        map.insert(path, text.into_bytes());
    });
    check("ashford: the coordinator did not cosign", &|map| {
        let mut other = Map::new();
        sites[0].write(&mut other, false);
        map.extend(other);
    });
    check("study.toml: another file", &|map| map.get_mut("study.toml").expect("there").extend(b"# x\n"));
    check("rounds/0/updates/ashford: not what the ledger committed to", &|map| {
        flip(map, "rounds/0/updates/ashford", 70);
    });
    check("evaluation/overall/ashford.json: not what the ledger", &|map| {
        flip(map, "evaluation/overall/ashford.json", 70);
    });
    // Signed anew by colluding parties: the rules tell.
    check("ashford: entry 5 (commit): without an open reserve", &|map| {
        let mut entries = sites[0].entries.clone();
        entries.remove(5);
        bundle::relink(&mut entries);
        bundle::write_ledger(&sites[0].name, 1, sites[0].state.origin(), &entries, map, true);
    });
    check("ashford: entry 5 (cohort_version): does not follow", &|map| {
        let mut entries = sites[0].entries.clone();
        entries.insert(5, entries[3].clone());
        bundle::write_ledger(&sites[0].name, 1, sites[0].state.origin(), &entries, map, true);
    });
}
