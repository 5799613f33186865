//! `[features.notes]`.

use super::{OF_RECORDS, records, replaced};
use crate::study::card::inputs;
use crate::study::describe;
use crate::study::notes::{Language, NoteIndex, Notes, Said};
use crate::study::parse;
use crate::study::parse::tests::parsed;
use crate::study::records::{Covariate, SetIndex, Window};
use serde_json::json;
use std::sync::LazyLock;

/// `docs/STUDY-FILE.md` prints it.
const NOTES: &str = include_str!("../../../testdata/notes.toml");

/// The example on records, with notes.
static WITH_NOTES: LazyLock<String> =
    LazyLock::new(|| with("[features.notes]\nenabled = false                  # see below\n", NOTES));

fn with(from: &str, to: &str) -> String {
    replaced(&OF_RECORDS, from, to)
}

const LONG: Window = Window::Days { from: -365, to: 0 };

#[test]
fn two_inputs_for_each_concept() {
    let study = parsed(&WITH_NOTES);
    let found: Vec<(&str, &Covariate)> = study.features[13..]
        .iter()
        .map(|feature| feature.name.as_str())
        .zip(&records(&study).covariates[13..])
        .collect();
    let noted = |at, said| Covariate::Noted { concept: NoteIndex(at), said, window: LONG };
    let expected = [
        ("note_suicidal_thoughts_long_affirmed", noted(0, Said::Affirmed)),
        ("note_suicidal_thoughts_long_denied", noted(0, Said::Denied)),
        ("note_hearing_voices_long_affirmed", noted(1, Said::Affirmed)),
        ("note_hearing_voices_long_denied", noted(1, Said::Denied)),
    ];
    assert_eq!(found, expected.each_ref().map(|(name, covariate)| (*name, covariate)));
    assert_eq!(study.architecture().inputs, 17 + 4, "none of them can be missing");
    let Some(Notes::Lexicon(concepts)) = &records(&study).notes else { panic!("a lexicon") };
    let words: Vec<_> = concepts[0].terms.iter().map(|(of, term)| (of.code(), term.written())).collect();
    assert_eq!(words.len(), 5);
    assert_eq!(words[3], (Language::German.code(), "Suizidgedanken"));
    let inputs = inputs(&study);
    assert_eq!(
        inputs[18],
        (
            "note_suicidal_thoughts_long_denied".to_owned(),
            json!({
                "from": "suicidal_thoughts: any note that denies it in the 365 days before the index and on its day",
                "terms": "suicidal thoughts, suicidal ideation, thoughts of suicide (en); Suizidgedanken, \
                          Selbstmordgedanken (de)",
                "one_when": "present", "otherwise": 0,
            })
        )
    );
}

#[test]
fn off_unless_the_file_says_so() {
    let none = with("[features.notes]\nenabled = false                  # see below\n", "");
    let off = replaced(&WITH_NOTES, "enabled = true ", "enabled = false ");
    for text in [&none, &off, &OF_RECORDS] {
        let study = parsed(text);
        assert_eq!((study.features.len(), &records(&study).notes), (13, &None));
        assert!(!describe(&study).contains("notes"), "nothing is said of what is not read");
    }
}

#[test]
fn findings_of_a_program() {
    let lexicon = &NOTES[NOTES.find("[[features").expect("a table")..];
    let text = replaced(&WITH_NOTES, lexicon, "sets = [\"self_harm\", \"psychosis\"]\n");
    let study = parsed(&replaced(&text, "\"local-lexicon\"", "\"note_nlp\""));
    assert_eq!(records(&study).notes, Some(Notes::Nlp(vec![SetIndex(2), SetIndex(0)])));
    assert_eq!(study.features[15].name, "note_psychosis_long_affirmed");
    let words = describe(&study).split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "person, observation_period, visit_occurrence, condition_occurrence, drug_exposure, measurement, observation, \
         death, note_nlp, note, concept, concept_ancestor",
        "what a program of this hospital has found in clinical notes is read (table note_nlp), and no text of a note",
        "whether any note in the 365 days before the index and on its day says that the patient has it now",
        "Set: psychosis",
    ] {
        assert!(words.contains(expected), "{expected:?} in\n{words}");
    }
    assert!(
        inputs(&study)[17].1["concepts"].as_str().is_some_and(|set| set.starts_with("Self inflicted injury"))
    );
}

#[test]
fn what_is_read_is_said_in_plain_words() {
    let text = describe(&parsed(&WITH_NOTES));
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "death, note, concept",
        "Clinical notes: the text of clinical notes is read at this hospital, by its own agent, for the words listed here \
         and no others; text never leaves the hospital, nor does a word that is not listed here",
        "what is past, somebody else's, feared or only suspected counts as neither",
        "suicidal_thoughts: suicidal thoughts, suicidal ideation, thoughts of suicide (en); Suizidgedanken, \
         Selbstmordgedanken (de) hearing_voices: hearing voices, auditory hallucinations (en)",
    ] {
        assert!(words.contains(expected), "{expected:?} in\n{words}");
    }
}

/// One slip in the example gives one mistake.
#[test]
fn mistakes() {
    #[track_caller]
    fn check(from: &str, to: &str, key: &str, expected: &str) {
        let text = replaced(&WITH_NOTES, from, to);
        let mistakes = parse(text.as_bytes()).expect_err(to);
        let [mistake] = mistakes.list() else { panic!("not one mistake for {to:?}: {mistakes}") };
        assert_eq!(mistake.key, format!("features.notes{key}"), "{mistake}");
        assert!(mistake.to_string().contains(expected) && !mistake.instead.is_empty(), "{mistake}");
    }
    check("enabled = true ", "enabled = 1 ", ".enabled", "true or false");
    check("enabled = true ", "enable = true ", ".enable", "did you mean enabled?");
    check("\"local-lexicon\" ", "\"the-web\" ", ".source", "words of this file");
    check(
        "\"local-lexicon\" ",
        "\"note_nlp\" ",
        ".lexicon",
        "with source = \"local-lexicon\", came a list of 3",
    );
    check("window  = \"long\" ", "window  = \"lang\" ", ".window", "did you mean long?");
    check("window  = \"long\" ", "", ".window", "came nothing; add window = \"short\"");
    check("\"present-absent\" ", "\"tf-idf\" ", ".encode", "\"present-absent\"");
    check("language = \"de\"", "language = \"fr\"", ".lexicon[2].language", "\"en\" or \"de\"");
    check(
        "language = \"de\"",
        "language = \"en\"",
        ".lexicon[2].concept",
        "one table for a concept and a language",
    );
    check(
        "\"hearing_voices\"",
        "\"hearing voices\"",
        ".lexicon[3].concept",
        "one word for what the words mean",
    );
    check(
        "\"Suizidgedanken\", ",
        "\"Suizidgedanken\", \"suizid-gedanken\", \"Suizid Gedanken\", ",
        ".lexicon[2].terms[3]",
        "\"Suizid Gedanken\" twice",
    );
    check(
        "\"hearing voices\"",
        "\"\"",
        ".lexicon[3].terms[1]",
        "expected words with letters, came empty text",
    );
    check("\"hearing voices\"", "\"??\"", ".lexicon[3].terms[1]", "without , ; ! ?");
    check("\"hearing voices\"", "\"1 2\"", ".lexicon[3].terms[1]", "words with letters");
    check(
        "\"hearing voices\"",
        "\"voices, hearing\"",
        ".lexicon[3].terms[1]",
        "words of one part of a sentence",
    );
    check("\"hearing voices\"", "\"a b c d e f g h i j k l m\"", ".lexicon[3].terms[1]", "at most 12 words");
    check(
        "\"hearing voices\"",
        "\"SUIZIDGEDANKEN\"",
        ".lexicon[3].terms[1]",
        "every note is read in every language",
    );
    check(
        "terms    = [\"hearing voices\", \"auditory hallucinations\"]",
        "terms = []",
        ".lexicon[3].terms",
        "1 to 512",
    );
    check(
        "terms    = [\"hearing voices\"",
        "words = [\"x\"]\nterms = [\"hearing voices\"",
        ".lexicon[3].words",
        "no such key",
    );
    let tables = &NOTES[NOTES.find("[[features").expect("a table")..];
    check(
        tables,
        "lexicon = \"lexicons/mh-en-v1.tsv\"\n",
        ".lexicon",
        "who approves it approves its exact bytes, words included, came \"lexicons/mh-en-v1.tsv\"; write [[features.notes.lexicon]]",
    );
    check(tables, "lexicon = []\n", ".lexicon", "1 or more tables");
    check(tables, "", ".lexicon", "came nothing; add [[features.notes.lexicon]]");
    check("encode  = ", "sets = [\"psychosis\"]\nencode  = ", ".sets", "with source = \"note_nlp\"");
    // What is off is checked, too.
    let off = format!(
        "enabled = false\n{}",
        &NOTES[NOTES.find("source").expect("a key")..NOTES.find("[[features").expect("a table")]
    );
    check(
        &NOTES["[features.notes]\n".len()..],
        &format!("{off}lexicon = \"a.tsv\"\n"),
        ".lexicon",
        "in this file",
    );
}

#[test]
fn all_mistakes_at_once() {
    let edits = [
        ("window  = \"long\" ", "window  = \"lang\" "),
        ("\"present-absent\" ", "\"tf-idf\" "),
        ("language = \"de\"", "language = \"fr\""),
        ("\"hearing voices\"", "\"...\""),
        ("\"auditory hallucinations\"", "\"suicidal ideation\""),
    ];
    let text = edits.iter().fold(WITH_NOTES.clone(), |text, (from, to)| replaced(&text, from, to));
    let mistakes = parse(text.as_bytes()).expect_err("mistakes");
    let keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    let expected = ["window", "encode", "lexicon[2].language", "lexicon[3].terms[1]", "lexicon[3].terms[2]"];
    assert_eq!(keys, expected.map(|key| format!("features.notes.{key}")), "{mistakes}");
}

#[test]
fn the_guide_prints_the_example() {
    let guide = include_str!("../../../../../../docs/STUDY-FILE.md");
    let start = guide.find("```toml\n[features.notes]").expect("the example") + "```toml\n".len();
    let length = guide[start..].find("```").expect("its end");
    assert_eq!(&guide[start..start + length], NOTES);
}
