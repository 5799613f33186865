//! The golden bundle: made once, verified for ever. If a change of the program makes this fail, the
//! change breaks the ledgers that hospitals have on disk.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

mod bundle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/ledger/golden")
}

/// The same of a distributed study.
fn folder_of_sums() -> PathBuf {
    folder().with_file_name("golden-distributed")
}

/// `MAKE_GOLDEN_LEDGER=1 cargo test --workspace --test ledger_golden -- make_the_golden_ledger`
#[test]
fn make_the_golden_ledger() {
    if std::env::var_os("MAKE_GOLDEN_LEDGER").is_none() {
        return;
    }
    write(&bundle::make().0, &folder());
    write(&bundle::secure::make().0, &folder_of_sums());
}

fn write(map: &BTreeMap<String, Vec<u8>>, root: &Path) {
    for (path, bytes) in map {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("within the root")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
}

fn read(root: &Path, prefix: &str, map: &mut BTreeMap<String, Vec<u8>>) {
    for item in std::fs::read_dir(root.join(prefix)).expect("a folder") {
        let item = item.expect("readable");
        let path = format!("{prefix}{}", item.file_name().into_string().expect("UTF-8"));
        if item.file_type().expect("readable").is_dir() {
            read(root, &format!("{path}/"), map);
        } else {
            map.insert(path, std::fs::read(item.path()).expect("readable"));
        }
    }
}

#[test]
fn the_golden_bundle_verifies() {
    let mut map = BTreeMap::new();
    read(&folder(), "", &mut map);
    let report = bundle::check(&map);
    assert_eq!(report.findings, vec![]);
    assert_eq!(report.sites.len(), 3);
    let heads: Vec<_> = report.sites.iter().map(|site| site.root.expect("a checkpoint").hex()).collect();
    assert_eq!(heads, HEADS);
}

#[test]
fn the_golden_bundle_of_sums_verifies() {
    let mut map = BTreeMap::new();
    read(&folder_of_sums(), "", &mut map);
    let report = bundle::check(&map);
    assert_eq!(report.findings, vec![]);
    assert_eq!((report.sites.len(), report.sums.len()), (4, 4));
    let sums: Vec<_> = report.sums.iter().map(|sum| sum.sum.hex()).collect();
    assert_eq!(sums, SUMS);
}

/// As `docs/verify.py` computes the digests of the golden sums' integers.
const SUMS: [&str; 4] = [
    "5a9cb78390c80906f40e5cbb629a41dd7e5e0cd434b33bd222596e9cdcd9b3d7",
    "5546f99ce47c3ab048651f0570123dda529b14aa2d1c4be7c7565067ced060c3",
    "ef21cc7b0e5c50e0c7af9df40fd7744baef122fcf222d184e791679c5e35cde9",
    "6617bd933d68fa7d6cb1b6d0e4ac559305a671798f0567485c87fb19fa3f357b",
];

/// As a second program computes them (`tests/vectors/ledger/README.md`).
const HEADS: [&str; 3] = [
    "d0a310a1b528fbbb05067669849963ce9c7361d689fcb1ec4c4f7b6361a51fc0",
    "1fbe88d773382b6be4bdcd531d22ce5a2867aeb69cae5517fe742e9ca6c36069",
    "f112063b9a7aeeef763074b8814af60e70d086cc93e3b36d2a47f0e0b08adf1b",
];

fn auditor(args: &[&std::ffi::OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_auditor")).args(args).output().expect("runs")
}

#[test]
fn the_program_tells_by_its_exit_code() {
    let golden = folder();
    let check = |args: &[&str], bundle: &Path, code: i32, out: &str| {
        let (command, rest) = args.split_first().expect("a command");
        let rest = rest.iter().map(std::ffi::OsStr::new);
        let args: Vec<_> = [(*command).as_ref(), bundle.as_os_str()].into_iter().chain(rest).collect();
        let output = auditor(&args);
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(out), "{text}");
        text
    };
    let text = check(&["verify"], &golden, 0, "verdict: the bundle verifies");
    assert!(text.contains("keys: carried by the bundle, unverified"), "{text}");
    let json = check(&["verify", "--format", "json"], &golden, 0, "");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((json["verified"].as_bool(), json["sites"].as_array().map(Vec::len)), (Some(true), Some(3)));

    check(&["budget"], &golden, 0, "known to two hospitals");
    let json = check(&["budget", "--format", "json"], &golden, 0, "");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let site = &json["sites"][1];
    assert_eq!((site["name"].as_str(), site["steps"].as_u64()), (Some("brackley"), Some(12)));
    for key in [
        "epsilon_training",
        "epsilon_evaluation",
        "epsilon_person_max",
        "epsilon_two_hospitals",
        "epsilon_total_cap",
    ] {
        assert!(site[key].as_f64().is_some_and(|value| value > 0.0), "{key}");
    }

    let dir = tempfile::tempdir().expect("a folder");
    let copy = dir.path().join("bundle");
    let mut map = BTreeMap::new();
    read(&golden, "", &mut map);
    map.get_mut("final/model").expect("there").push(0);
    write(&map, &copy);
    check(&["verify"], &copy, 1, "FINDING     final/model");
    check(&["budget"], &copy, 1, "the bundle does not verify");
    check(&["verify"], &dir.path().join("absent"), 2, "absent");
    check(&["verify"], &golden.join("study.toml"), 2, "expected a folder");
    check(&["verify", "--expect", "corby"], &golden, 0, "verdict: the bundle verifies");
    check(&["verify", "--expect", "corby", "--expect", "elsewhere"], &golden, 1, "expected elsewhere");
    check(&["verify", "--trust", "/nonexistent"], &golden, 2, "/nonexistent");
    let trust = dir.path().join("trust");
    std::fs::write(&trust, "ashford nonsense\n").expect("written");
    check(&["verify", "--trust", trust.to_str().expect("UTF-8")], &golden, 2, "line 1");
    let other = bundle::key(77).public();
    std::fs::write(&trust, format!("ashford {other}\n")).expect("written");
    check(&["verify", "--trust", trust.to_str().expect("UTF-8")], &golden, 1, "the trust file pins");
}

#[test]
#[cfg(unix)]
fn a_link_is_not_followed() {
    let dir = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("bundle.json")).expect("a link");
    let output = auditor(&["verify".as_ref(), dir.path().as_os_str()]);
    assert_eq!(output.status.code(), Some(2));
}
