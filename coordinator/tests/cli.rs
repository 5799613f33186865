//! The command line as a stranger meets it.

use consilium_common::key::SecretKey;
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

/// The shipped study on synthetic records, with a key for each site.
fn psychosis() -> String {
    let template = include_str!("../../docs/studies/synthetic-psychosis.toml");
    let mut seed = 0;
    let line = |line: &str| {
        if !line.starts_with("people_public") {
            return format!("{line}\n");
        }
        seed += 1;
        format!("key = \"{}\"\n{line}\n", SecretKey::from_seed(&[seed; 32]).public())
    };
    template.lines().map(line).collect()
}

/// Every concept, code and unit of that study, as table `concept` has them.
const CONCEPTS: &[[&str; 5]] = &[
    ["2000000110", "Depression (invented)", "Synth", "SYN-110", "S"],
    ["2000000120", "Psychosis (invented)", "Synth", "SYN-120", "S"],
    ["2000000130", "Bipolar disorder (invented)", "Synth", "SYN-130", "S"],
    ["2000000150", "Alcohol misuse (invented)", "Synth", "SYN-150", "S"],
    ["2000000170", "Organic mental disorder (invented)", "Synth", "SYN-170", "S"],
    ["2000000180", "Substance use disorder (invented)", "Synth", "SYN-180", "S"],
    ["2000000200", "Self-harm (invented)", "Synth", "SYN-200", "S"],
    ["2000000220", "Late effect of self-harm (invented)", "Synth", "SYN-220", "S"],
    ["2000000310", "Antidepressants (invented)", "SynthATC", "N9A", "C"],
    ["2000000320", "Antipsychotics (invented)", "SynthATC", "N9B", "C"],
    ["2000000410", "Inpatient stay (invented)", "Synth", "SYN-410", "S"],
    ["2000000420", "Outpatient contact (invented)", "Synth", "SYN-420", "S"],
    ["2000000430", "Emergency visit (invented)", "Synth", "SYN-430", "S"],
    ["2000000500", "PHQ-9 total (invented)", "Synth", "SYN-500", "S"],
    ["2000000510", "Body mass index (invented)", "Synth", "SYN-510", "S"],
    ["2000000600", "Deprivation quintile (invented)", "Synth", "SYN-600", "S"],
    ["2000000621", "White (invented)", "Synth", "SYN-621", "S"],
    ["2000000622", "Asian (invented)", "Synth", "SYN-622", "S"],
    ["2000000623", "Black (invented)", "Synth", "SYN-623", "S"],
    ["2000000624", "Mixed (invented)", "Synth", "SYN-624", "S"],
    ["2000000625", "Other (invented)", "Synth", "SYN-625", "S"],
    ["2000000626", "Not asked (invented)", "Synth", "SYN-626", "S"],
    ["2000000627", "Refused (invented)", "Synth", "SYN-627", "S"],
    ["8507", "MALE", "Gender", "M", "S"],
    ["8532", "FEMALE", "Gender", "F", "S"],
    ["44777566", "score", "UCUM", "{score}", "S"],
    ["9531", "kilogram per square meter", "UCUM", "kg/m2", "S"],
];

#[test]
fn concepts_are_looked_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let written = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("writes");
        at(name)
    };
    let study = psychosis();
    let good = written("good.toml", &study);
    let check = |file: &str, more: &[&str], code: i32| {
        let output = coordinator(&[&["study", "check", file], more].concat());
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {said}");
        said
    };
    let not = check(&good, &[], 0);
    assert!(not.contains("Concepts: not looked up") && not.contains("--vocabulary DIR"), "{not}");
    for (by, name, delimiter) in [("tabs", "CONCEPT.csv", "\t"), ("commas", "concept.csv", ",")] {
        let header = ["concept_id", "concept_name", "vocabulary_id", "concept_code", "standard_concept"]
            .join(delimiter);
        let rows: Vec<String> = CONCEPTS.iter().map(|row| row.join(delimiter)).collect();
        let vocabulary = at(by);
        std::fs::create_dir_all(&vocabulary).expect("a folder");
        std::fs::write(format!("{vocabulary}/{name}"), format!("{header}\n{}\n", rows.join("\n")))
            .expect("writes");
        let options = ["--vocabulary", vocabulary.as_str()];
        let fine = check(&good, &options, 0);
        assert!(
            fine.contains("31 ids, codes and units of the file were looked up among the 27 of"),
            "{fine}"
        );
        assert!(!fine.contains("Warning: line"), "{fine}");
        let json = check(&good, &[&options[..], &["--format", "json"]].concat(), 0);
        assert!(json.contains("\"vocabulary_concepts\":27"), "{json}");

        // One wrong digit, a code and a unit that are not there, and a mistake of another kind: all at once.
        let bad = study
            .replacen("id = 2000000120,", "id = 2000000121,", 1)
            .replacen("SynthATC:N9B", "SynthATC:N9Z", 1)
            .replacen("limit   = \"first-ever\"", "limit = \"first\"", 1);
        let line = |part: &str| 1 + bad[..bad.find(part).expect("is there")].matches('\n').count();
        let said = check(&written("bad.toml", &bad), &options, 2);
        for expected in [
            format!(
                "line {}: concept_set.psychosis.include[1].id: expected the number of \"Psychosis (invented)\", came \
                 2000000121, which the vocabulary does not have; write id = 2000000120",
                line("2000000121")
            ),
            format!("line {}: concept_set.antipsychotics.include[1].code: expected a code", line("N9Z")),
            format!("line {}: cohort.first_episode.limit: expected", line("limit = ")),
        ] {
            assert!(said.contains(&expected), "{expected}\nin\n{said}");
        }
        assert_eq!(said.matches("line ").count(), 3, "{said}");
        let unit = study.replacen("unit         = \"kg/m2\"", "unit         = \"KG/m2\"", 1);
        let said = check(&written("unit.toml", &unit), &options, 0);
        assert!(
            said.contains("features.measurement[2].unit") && said.contains("did you mean \"kg/m2\"?"),
            "{said}"
        );
    }
    let broken = at("commas");
    std::fs::write(format!("{broken}/concept.csv"), "concept_id\n1\n").expect("writes");
    let said = check(&good, &["--vocabulary", &broken], 2);
    assert!(said.contains("concept.csv: row 1: no column concept_name, vocabulary_id"), "{said}");
}
