use super::*;
use consilium_common::study::parse_for_lookup;

const STUDY: &str = include_str!("../../../../docs/studies/synthetic-psychosis.toml");
const HEADER: &str = "concept_id,concept_name,vocabulary_id,concept_code,standard_concept";

/// What is said of the shipped study by a vocabulary of one file.
fn said(name: &str, text: impl AsRef<[u8]>) -> Result<Findings, String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(name), text).expect("writes");
    let path = find(folder.path()).map_err(|error| error.to_string())?;
    let mut lookup = parse_for_lookup(STUDY.as_bytes()).1;
    read(&path, &mut lookup)?;
    Ok(lookup.findings())
}

#[test]
fn files_as_athena_and_as_hospitals_have_them() {
    fn check(name: &str, text: &str, concepts: u64) {
        let findings = said(name, text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
        assert_eq!(findings.concepts, concepts, "{text:?}");
        let mistakes = findings.mistakes.expect("most concepts are not there").to_string();
        assert!(!mistakes.contains("\"Psychosis (invented)\""), "found: {mistakes}");
        assert!(mistakes.contains("came 2000000110, which the vocabulary does not have"), "{mistakes}");
    }
    let row = "2000000120,Psychosis (invented),Synth,SYN-120,S";
    check("CONCEPT.csv", &format!("{HEADER}\n{row}\n"), 1);
    check("concept.CSV", &format!("\u{feff}{}\r\n{row}\r\n", HEADER.to_uppercase()), 1);
    check("concept.csv", &format!("{HEADER}\n\"2000000120\",\"Psychosis (invented)\",Synth,\"a,b\",S"), 1);
    check("concept.csv", &format!("{HEADER}\n{row}\n1,\"of two\nlines\",Synth,1,S\n"), 2);
    let athena = "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\t\
                  valid_start_date\tvalid_end_date\tinvalid_reason\n\
                  1\t\"A quote at the start\tCondition\tSNOMED\tDisorder\tS\t1\t19700101\t20991231\t\n\
                  2000000120\tPsychosis (invented)\tCondition\tSynth\tDisorder\tS\tSYN-120\t20240101\t20991231\t\n";
    check("CONCEPT.csv", athena, 2);
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_row() {
    fn check(name: &str, text: impl AsRef<[u8]>, expected: &str) {
        let error = said(name, text).expect_err(expected);
        assert!(error.contains(expected), "{expected:?} in {error:?}");
    }
    let row = "1,A,Synth,1,S\n";
    check("concept.csv", "", "the file is empty");
    check("concept.csv", format!("{HEADER}\n"), "no row after the header");
    check(
        "concept.csv",
        "concept_id,concept_name\n",
        "row 1: no column vocabulary_id, concept_code, standard",
    );
    check("concept.csv", HEADER.replace(',', ";"), "row 1: no column concept_id");
    check(
        "concept.csv",
        format!("{HEADER}\n{row}{row}x,A,Synth,1,S\n"),
        "row 4: concept_id is no whole number",
    );
    check("concept.csv", format!("{HEADER}\n{row}1,A,Synth,1\n"), "row 3: 4 cells, and the header has 5");
    check(
        "concept.csv",
        [HEADER.as_bytes(), b"\n1,\xff,Synth,1,S\n"].concat(),
        "row 2: concept_name is not UTF-8",
    );
    let endless = format!("{HEADER}\n{row}2,\"A,Synth,2,S\n{}", row.repeat(400_000));
    check("concept.csv", endless, "row 3: longer than 1048576 bytes; a quote in it may have no end");
    check("concept.parquet", "", "no CONCEPT.CSV in it");
    check("concept.csv.gz", "", "concept.csv.gz: unpack it");
}

#[test]
fn folders_that_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = find(&folder.path().join("none")).expect_err("nothing there").to_string();
    assert!(nowhere.starts_with("--vocabulary "), "{nowhere}");
    let file = folder.path().join("CONCEPT.csv");
    std::fs::write(&file, "").expect("writes");
    assert!(find(&file).expect_err("a file").to_string().contains("give the folder that concept.csv is in"));
    std::fs::write(folder.path().join("concept.csv"), "").expect("writes");
    if folder.path().read_dir().expect("reads").count() == 2 {
        assert!(find(folder.path()).expect_err("two").to_string().contains("differ in case: leave one"));
    }
}
