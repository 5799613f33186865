//! Words as notes are searched for them: one spelling of the same letters, by Unicode's rules.

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// Most words of a term.
pub const WORDS_MAX: usize = 12;

/// What ends a sentence, or a part of one: no term goes across it.
const ENDS: [char; 5] = [',', ';', '!', '?', '\u{3002}'];

/// A way to write a finding, of one word or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    written: String,
    words: Vec<String>,
}

/// A term that could be found in no note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerm {
    /// No letter.
    #[error("words with letters")]
    NoLetter,
    /// Too long.
    #[error("at most {WORDS_MAX} words")]
    TooLong,
    /// More than a part of one sentence.
    #[error("words of one part of a sentence, on one line and without , ; ! ?")]
    Divided,
}

impl Term {
    /// Reads a term. Case, hyphens and the way in which accents are encoded make no difference.
    ///
    /// # Errors
    /// No note could be searched for it.
    pub fn new(written: &str) -> Result<Self, InvalidTerm> {
        let written = written.trim();
        if written.chars().any(|c| c.is_control() || ENDS.contains(&c)) {
            return Err(InvalidTerm::Divided);
        }
        if !written.chars().any(char::is_alphabetic) {
            return Err(InvalidTerm::NoLetter);
        }
        let words = words(written);
        if words.is_empty() {
            return Err(InvalidTerm::NoLetter);
        }
        if words.len() > WORDS_MAX {
            return Err(InvalidTerm::TooLong);
        }
        Ok(Self { written: written.to_owned(), words })
    }

    /// As the study file writes it.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Its words in the one spelling: at least one, at most [`WORDS_MAX`].
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// A text with its compatibility forms composed, at the end of `into`.
pub fn compose(text: &str, into: &mut String) {
    if text.is_ascii() { into.push_str(text) } else { into.extend(text.nfkc()) }
}

/// The one spelling of a text that is composed: lower case, one apostrophe.
pub fn spelled(composed: &str) -> impl Iterator<Item = char> {
    let lower = composed.chars().flat_map(char::to_lowercase);
    lower.map(|c| if matches!(c, '’' | '‘' | 'ʼ' | '`') { '\'' } else { c })
}

/// Whether a part of a text between two of Unicode's word boundaries is a word.
#[must_use]
pub fn is_word(part: &str) -> bool {
    part.chars().any(char::is_alphanumeric)
}

fn words(phrase: &str) -> Vec<String> {
    let mut composed = String::new();
    compose(phrase, &mut composed);
    let spelled: String = spelled(&composed).collect();
    spelled.split_word_bounds().filter(|part| is_word(part)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        fn check(written: &str, expected: &[&str]) {
            assert_eq!(Term::new(written).expect(written).words(), expected, "{written}");
        }
        check("Self-harm", &["self", "harm"]);
        check("  SUICIDAL  thoughts ", &["suicidal", "thoughts"]);
        check("patient’s", &["patient's"]);
        check("ÜBERDOSIS", &["überdosis"]);
        check("u\u{308}berdosis", &["überdosis"]);
        check("ﬁnding", &["finding"]);
        check("PHQ-9", &["phq", "9"]);
        check("Z.n. Intoxikation", &["z.n", "intoxikation"]);
        check("a b c d e f g h i j k l", &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]);
    }

    #[test]
    fn terms_that_nothing_could_match() {
        fn check(written: &str, expected: InvalidTerm) {
            assert_eq!(Term::new(written), Err(expected), "{written:?}");
        }
        check("", InvalidTerm::NoLetter);
        check(" - ", InvalidTerm::NoLetter);
        check("9", InvalidTerm::NoLetter);
        check("...", InvalidTerm::NoLetter);
        check("a b c d e f g h i j k l m", InvalidTerm::TooLong);
        check("low mood, tired", InvalidTerm::Divided);
        check("low mood; tired", InvalidTerm::Divided);
        check("low\nmood", InvalidTerm::Divided);
        check("low\tmood", InvalidTerm::Divided);
    }
}
