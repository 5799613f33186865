//! The command line as a stranger meets it.

use std::process::{Command, Output};

fn coordinator(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_coordinator")).args(args).output().expect("the program runs")
}

#[test]
fn exit_codes_and_messages() {
    fn check(args: &[&str], code: i32, holds: &str) {
        let output = coordinator(args);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(holds), "{args:?}: expected {holds:?} in: {said}");
    }
    let empty = tempfile::tempdir().expect("a folder");
    let home = empty.path().join("none").display().to_string();
    check(&["--help"], 0, "Example");
    check(&["study", "report", "--help"], 0, "Example");
    check(&[], 2, "Usage");
    check(&["nonsense"], 2, "nonsense");
    check(&["serve", "--home", &home], 2, "coordinator init");
    check(&["study", "check", &home], 2, "none");
    check(&["demo", "--privacy", "distributed", "--sites", "2", "--out", &home], 2, "two");
    check(&["demo", "--epsilon", "-1", "--out", &home], 2, "--epsilon");
    check(&["demo", "--epsilon", "1000", "--out", &home], 2, "0.001 to 100");
    check(&["demo", "--data", &home], 2, "--study");
    let simulate = ["simulate", "--study", &home, "--examples", &home];
    check(&[&simulate[..], &["--epsilon", "1"]].concat(), 2, "--compare");
    check(&[&simulate[..], &["--compare", "--seeds", "1"]].concat(), 2, "2..");
    check(&[&simulate[..], &["--compare", "--epsilon", "1,1000"]].concat(), 2, "0.001 to 100");
    check(&[&simulate[..], &["--compare", "--momentum", "1"]].concat(), 2, "from 0 to below 1");
    check(&[&simulate[..], &["--compare", "--threshold", "4"]].concat(), 2, "--colluding");
    check(&["init", "--home", &home, "--listen", "nowhere"], 2, "expected an address");
    check(&["init", "--home", &home, "--host", "no host"], 2, "no host");
    check(&["init", "--home", &format!("{home}{}", "x".repeat(100))], 2, "shorter");
    check(&["init", "--home", &home], 0, "coordinator serve");
    check(&["init", "--home", &home], 2, "not empty");
    check(&["site", "list", "--home", &home], 3, "coordinator serve");
    check(&["doctor", "--home", &home], 0, "certificate");
}
