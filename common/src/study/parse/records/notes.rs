//! `[features.notes]`: what clinical notes are asked about. Off unless the file says `enabled = true`; what stands in a
//! table that is off is checked all the same.

use super::super::{distinct_cells, label, sections};
use super::FEATURES;
use super::features::Found;
use super::sets::Sets;
use super::windows::{self, Windows};
use crate::study::limits::FEATURES_MAX;
use crate::study::notes::{CONCEPTS_MAX, Language, NoteConcept, NoteIndex, Notes, Said, TERMS_MAX, Term};
use crate::study::raw::{Ask, Section, Value, ask};
use crate::study::records::{Covariate, Window};
use crate::study::{Encoding, Feature};

const NOTES: Ask = ask("notes", "a table [features.notes]", "[features.notes], enabled = false");
const ENABLED: Ask =
    ask("enabled", "true or false: whether clinical notes are read at the hospitals", "enabled = true");
const SOURCE: Ask = ask(
    "source",
    "\"local-lexicon\" (words of this file) or \"note_nlp\" (what a program of the hospital found)",
    r#"source = "local-lexicon""#,
);
const WINDOW: Ask = ask("window", "the name of one of features.windows", r#"window = "short""#);
const ENCODE: Ask = ask(
    "encode",
    "\"present-absent\": two inputs for each, whether it is affirmed and whether it is denied",
    r#"encode = "present-absent""#,
);
const LEXICON: Ask = ask(
    "lexicon",
    "1 or more tables [[features.notes.lexicon]], with source = \"local-lexicon\"",
    "[[features.notes.lexicon]] with language, concept and terms",
);
const SETS: Ask = ask(
    "sets",
    "a list of concept sets, at least one, with source = \"note_nlp\"",
    r#"sets = ["self_harm"]"#,
);

/// The inputs that notes yield, and what is asked of them.
pub(super) fn read(top: &Section<'_>, sets: &Sets, windows: &Windows) -> Option<(Vec<Found>, Option<Notes>)> {
    let table = top.peek_section(FEATURES).and_then(|features| features.peek(NOTES));
    let Some(table) = table else { return Some((Vec::new(), None)) };
    let section = table.section()?;
    let enabled = section.required(ENABLED, Value::boolean);
    let is_on = enabled != Some(false);
    let source = key(&section, is_on, SOURCE, |v| v.word(&["local-lexicon", "note_nlp"]));
    let window = key(&section, is_on, WINDOW, |v| windows::named(v, windows));
    let encode = key(&section, is_on, ENCODE, |v| v.word(&["present-absent"]));
    let asked = match source {
        Some(Some("note_nlp")) => {
            // One slip is one mistake: what the other source needs is there in place of this one's.
            let other = section.optional(LEXICON, Value::wrong::<()>);
            let named = key(&section, is_on && !section.has(LEXICON.key), SETS, |v| named(v, sets));
            other.and(named)
        }
        Some(Some(_)) => {
            let other = section.optional(SETS, Value::wrong::<()>);
            let written = key(&section, is_on && !section.has(SETS.key), LEXICON, lexicon);
            other.and(written)
        }
        Some(None) => {
            let written = section.optional(LEXICON, lexicon);
            section.optional(SETS, |v| named(v, sets)).and(written)
        }
        // Which of the two is meant is not known.
        None => {
            section.ignore(&[LEXICON.key, SETS.key]);
            None
        }
    };
    section.finish();
    let (window, asked) = (window?, asked?);
    encode?;
    if !enabled? {
        return Some((Vec::new(), None));
    }
    let ((window_name, window), Asked { names, notes }) = (window?, asked?);
    Some((inputs(&names, &window_name, window, &section.path), Some(notes)))
}

/// What is looked for, and its names.
struct Asked {
    names: Vec<String>,
    notes: Notes,
}

/// A key that must be there where notes are read.
fn key<'a, T>(
    section: &Section<'a>,
    is_on: bool,
    ask: Ask,
    read: impl FnOnce(&Value<'a>) -> Option<T>,
) -> Option<Option<T>> {
    if is_on { section.required(ask, read).map(Some) } else { section.optional(ask, read) }
}

fn named(value: &Value<'_>, sets: &Sets) -> Option<Asked> {
    let named = value.list(1..=FEATURES_MAX, |item| Some((item.text_where(|_| true)?, sets.named(item)?)))?;
    let (names, sets): (Vec<String>, Vec<_>) = named.into_iter().unzip();
    distinct_cells(value, &names)?;
    Some(Asked { names, notes: Notes::Nlp(sets) })
}

fn lexicon(value: &Value<'_>) -> Option<Asked> {
    if !value.is_list() {
        let expected = "tables [[features.notes.lexicon]] in this file: who approves it approves its exact bytes, words \
                        included";
        return value.wrong_because(expected, &value.shown(), &format!("write {}", LEXICON.example));
    }
    let mut concepts: Vec<NoteConcept> = Vec::new();
    let tables = sections(value, |section| {
        let (name, terms) = of_table(section, &concepts)?;
        match concepts.iter_mut().find(|known| known.name == name) {
            Some(known) => known.terms.extend(terms),
            None => concepts.push(NoteConcept { name, terms }),
        }
        Some(())
    })?;
    if tables.is_empty() {
        return value.wrong();
    }
    if concepts.len() > CONCEPTS_MAX {
        let expected = format!("at most {CONCEPTS_MAX} concepts");
        return value.wrong_because(&expected, &concepts.len().to_string(), "look for less");
    }
    let names = concepts.iter().map(|concept| concept.name.clone()).collect();
    Some(Asked { names, notes: Notes::Lexicon(concepts) })
}

/// The words of one concept in one language.
fn of_table(section: &Section<'_>, before: &[NoteConcept]) -> Option<(String, Vec<(Language, Term)>)> {
    const LANGUAGE: Ask = ask("language", "\"en\" or \"de\"", r#"language = "en""#);
    const CONCEPT: Ask = ask(
        "concept",
        "one word for what the words mean, the same over languages",
        r#"concept = "suicidal_thoughts""#,
    );
    const TERMS: Ask = ask(
        "terms",
        "a list of 1 to 512 ways to write it",
        r#"terms = ["suicidal thoughts", "suicidal ideation"]"#,
    );
    let language = section.required(LANGUAGE, |v| {
        let code = v.word(&Language::ALL.map(Language::code))?;
        Language::ALL.into_iter().find(|language| language.code() == code)
    });
    let concept = section.required(CONCEPT, |v| {
        let name = label(v)?;
        let of_language = |known: &&NoteConcept| {
            known.name == name && known.terms.iter().any(|(of, _)| Some(*of) == language)
        };
        if before.iter().any(|known| of_language(&known)) {
            let expected = "one table for a concept and a language";
            return v.wrong_because(expected, &format!("{name:?} again"), "write all its terms in one table");
        }
        Some(name)
    });
    let terms = section.required(TERMS, |v| {
        let mut terms: Vec<Term> = Vec::new();
        v.list(1..=TERMS_MAX, |item| {
            let term = term(item)?;
            check_new(item, &term, &terms, concept.as_deref(), before)?;
            terms.push(term);
            Some(())
        })?;
        Some(terms)
    });
    let (language, terms) = (language?, terms?);
    Some((concept?, terms.into_iter().map(|term| (language, term)).collect()))
}

fn term(item: &Value<'_>) -> Option<Term> {
    let text = item.text_where(|_| true)?;
    match Term::new(&text) {
        Ok(term) => Some(term),
        Err(invalid) => item.wrong_because(
            &invalid.to_string(),
            &item.shown(),
            "write the words as they stand in a note, as \"suicidal thoughts\"",
        ),
    }
}

/// The same words once in a table, and for one concept only: every note is read in every language.
fn check_new(
    item: &Value<'_>,
    term: &Term,
    of_table: &[Term],
    concept: Option<&str>,
    before: &[NoteConcept],
) -> Option<()> {
    let is_same = |other: &Term| other.words() == term.words();
    if of_table.iter().any(is_same) {
        let found = format!("{:?} twice", term.written());
        return item.wrong_because("terms that differ", &found, "keep one of them");
    }
    let others = before.iter().filter(|known| Some(known.name.as_str()) != concept);
    let of_other = others
        .flat_map(|known| known.terms.iter().map(move |(language, other)| (known, language, other)))
        .find(|(_, _, other)| is_same(other));
    match of_other {
        None => Some(()),
        Some((known, language, _)) => item.wrong_because(
            "words that stand for one concept: every note is read in every language",
            &format!("{:?}, as under {} in {:?}", term.written(), known.name, language.code()),
            "give them to one of the two",
        ),
    }
}

/// Two for each.
fn inputs(names: &[String], window_name: &str, window: Window, path: &str) -> Vec<Found> {
    let each = names.iter().enumerate().flat_map(|(at, name)| Said::ALL.map(|said| (at, name, said)));
    each.map(|(at, name, said)| Found {
        feature: Feature {
            name: format!("note_{name}_{window_name}_{}", said.word()),
            unit: None,
            encoding: Encoding::Flag,
        },
        covariate: Covariate::Noted { concept: NoteIndex(at), said, window },
        path: path.to_owned(),
    })
    .collect()
}
