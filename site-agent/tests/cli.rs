//! The command line as a stranger meets it.
//!
//! Also why `cargo test --workspace` builds the program at all: cargo builds a package's programs for its own
//! integration tests, and `tests/` starts them as processes.

use std::process::{Command, Output};

fn agent(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_site-agent")).args(args).output().expect("the program runs")
}

#[test]
fn exit_codes_and_messages() {
    fn check(args: &[&str], code: i32, holds: &str) {
        let output = agent(args);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(holds), "{args:?}: expected {holds:?} in: {said}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    let home = empty.path().join("home").display().to_string();
    let invite = empty.path().join("invite.json").display().to_string();
    check(&["--help"], 0, "Example");
    check(&["serve", "--help"], 0, "Example");
    check(&[], 2, "Usage");
    check(&["nonsense"], 2, "nonsense");
    check(&["budget", "--home", &home], 2, "site-agent init");
    check(&["serve", "--home", &home], 2, "site-agent init");
    check(&["init", "--home", &home, "--site", "St Elsewhere"], 2, "a-z");
    check(&["init", "--home", &home, "--site", "st-elsewhere"], 0, "ed25519:");
    check(&["init", "--home", &home, "--site", "st-elsewhere"], 2, "already");
    check(&["enroll", &invite, "--home", &home], 2, "invite.json");
    std::fs::write(&invite, "{\"not\": \"an invite\"}").expect("a file");
    check(&["enroll", &invite, "--home", &home], 2, "invite");
    check(&["budget", "--home", &home], 0, "0");
    check(&["study", "approve", "x", "--home", &home], 2, "--approver");
    check(&["study", "approve", "x", "--approver", "", "--home", &home], 2, "Caldicott");
    let (study, table) = (empty.path().join("study.toml"), empty.path().join("table.csv"));
    std::fs::write(&study, include_str!("../src/data/testdata/study.toml")).expect("a file");
    let (study, data) = (study.display().to_string(), table.display().to_string());
    let data_check = ["data", "check", "--study", &study, "--data", &data, "--home", &home];
    std::fs::write(&table, "person_id,age,bmi,sex,outcome,split\n").expect("a file");
    check(&data_check, 1, "data.people");
    std::fs::write(&table, "person_id;age;bmi;sex;outcome;split\n").expect("a file");
    check(&data_check, 2, "separated by ';'");
    check(&["ledger", "export", "--home", &home, "--help"], 0, "Usage");
}
