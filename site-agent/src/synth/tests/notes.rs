//! What is written of notes: the truth beside them, the names in them, and what a program read in them.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_mention_is_where_its_truth_says() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&args(&out, 6, 1500, 9)).expect("writes");
    let mut said = BTreeSet::new();
    for site in plan(6, 1500).expect("within bounds") {
        let folder = out.join(site.profile.name);
        let notes: HashMap<String, Row> = read(&folder.join("omop/NOTE.csv"))
            .into_iter()
            .map(|note| (note["note_id"].clone(), note))
            .collect();
        assert!(notes.len() as u64 >= site.people, "everybody has one");
        let truth = read(&folder.join("notes_truth.csv"));
        let mut mentioning = BTreeSet::new();
        for mention in &truth {
            let note = &notes[&mention["note_id"]];
            assert_eq!(note["person_id"], mention["person_id"]);
            let place = |column: &str| mention[column].parse::<usize>().expect("a number");
            let words: String =
                note["note_text"].chars().skip(place("begin")).take(place("end") - place("begin")).collect();
            assert_eq!(words, mention["words"]);
            let language = if mention["language"] == "de" { "2000000752" } else { "2000000751" };
            assert_eq!(note["language_concept_id"], language);
            mentioning.insert(&mention["note_id"]);
            said.insert((mention["language"].clone(), mention["status"].clone()));
        }
        assert_eq!(mentioning.len(), notes.len(), "every note mentions something");
        let german = truth.iter().filter(|mention| mention["language"] == "de").count() as f64;
        let share = german / truth.len() as f64;
        assert!((share - site.coding.german_notes).abs() < 0.12, "{}: {share}", site.profile.name);
        check_nlp(&folder.join("omop/NOTE_NLP.csv"), &site.coding, &truth);
    }
    assert_eq!(said.len(), 2 * 5, "everything is said in both languages: {said:?}");
}

fn check_nlp(path: &Path, coding: &Coding, truth: &[Row]) {
    assert_eq!(path.exists(), coding.note_nlp);
    if !coding.note_nlp {
        return;
    }
    let found = read(path);
    assert_eq!(found.len(), truth.len());
    for (row, mention) in found.iter().zip(truth) {
        assert_eq!(row["note_id"], mention["note_id"]);
        assert_eq!(row["offset"], mention["begin"]);
        assert_eq!(row["note_nlp_concept_id"], mention["concept_id"]);
        let has = |modifier: &str| row["term_modifiers"].contains(modifier);
        let status = match (row["term_exists"].as_str(), row["term_temporal"].as_str()) {
            ("Y", "Present") => "affirmed",
            ("Y", "Past") => "past",
            ("N", "Future") if has("conditional=true") => "hypothetical",
            ("N", "Present") if has("subject=family") => "family",
            ("N", "Present") if has("negated=true") => "negated",
            other => panic!("{other:?}"),
        };
        assert_eq!(status, mention["status"]);
    }
}

#[test]
fn names_are_in_notes_and_nowhere_else() {
    let home = tempfile::tempdir().expect("a folder");
    let out = home.path().join("out");
    run(&args(&out, 3, 600, 4)).expect("writes");
    let files = files_below(&out);
    for site in plan(3, 600).expect("within bounds") {
        let folder = Path::new(site.profile.name);
        let names = String::from_utf8(files[&folder.join("canaries.txt")].clone()).expect("text");
        let notes = read(&out.join(folder).join("omop/NOTE.csv"));
        let mut unused: BTreeSet<&str> = names.lines().collect();
        for note in notes {
            let within: Vec<&str> = names.lines().filter(|name| note["note_text"].contains(name)).collect();
            assert_eq!(within.len(), 1, "one name in each note");
            unused.remove(within[0]);
        }
        assert!(unused.is_empty(), "{unused:?}");
        let words: BTreeSet<&str> = names.split_whitespace().collect();
        for (path, bytes) in &files {
            if !path.ends_with("NOTE.csv") && !path.ends_with("canaries.txt") {
                let text = String::from_utf8_lossy(bytes);
                assert!(!words.iter().any(|word| text.contains(word)), "{}", path.display());
            }
        }
    }
}
