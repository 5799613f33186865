//! What a study asks of clinical notes (`[features.notes]`): public words that stand in the study file, or findings that
//! a program at the hospital has read out of notes already.
//!
//! A study's words are fixed and the same at every site. Nothing is learned from notes: words that data choose would
//! carry names with them (a word list is itself a release), and a hashed bag of words can be turned back by anybody who
//! hashes a dictionary.

mod term;

pub use term::{InvalidTerm, Term, WORDS_MAX, compose, is_word, spelled};

use super::records::SetIndex;

/// Most findings of a study.
pub const CONCEPTS_MAX: usize = 256;
/// Most ways to write one finding in one language.
pub const TERMS_MAX: usize = 512;

/// A language that notes are read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

impl Language {
    /// All.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its code in BCP 47, as study files write it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

/// `[features.notes]` with `enabled = true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notes {
    /// `source = "local-lexicon"`: the text of table `note` is read at the hospital, for these words and no others.
    Lexicon(Vec<NoteConcept>),
    /// `source = "note_nlp"`: table `note_nlp` is read for these concept sets, and of table `note` whose each note is and
    /// of which day. No text is read.
    ///
    /// A row says that something is **so now** where `term_exists` is Y or nothing, `term_temporal` is Present or
    /// nothing, and none of `term_modifiers` says otherwise. It **denies** where the modifiers say that it is negated, or
    /// where `term_exists` is N and they give no reason. What somebody else has (a `subject` that is not the patient),
    /// what is conditional, hypothetical or ruled out, and what is past count as neither.
    Nlp(Vec<SetIndex>),
}

/// Something that notes may say of a patient, and the words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteConcept {
    /// As `suicidal_thoughts`.
    pub name: String,
    /// At least one, in file order. A note is read in every language that the study has words in; what a word of two
    /// languages is said to be in either, it is.
    pub terms: Vec<(Language, Term)>,
}

/// Index into what [`Notes`] lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteIndex(pub usize);

/// What a note says of a finding. What is past, somebody else's, feared, planned for or only suspected is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// The patient has it now.
    Affirmed,
    /// The patient does not have it.
    Denied,
}

impl Said {
    /// Both, in the order of the model's inputs.
    pub const ALL: [Self; 2] = [Self::Affirmed, Self::Denied];

    /// As names of inputs write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Affirmed => "affirmed",
            Self::Denied => "denied",
        }
    }
}
