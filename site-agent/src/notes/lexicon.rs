//! The study's list of findings: public words, the same at every site.

use super::phrases::Phrases;
use super::words;

/// Most words of a term.
const WORDS_MAX: usize = 12;

/// A way to write a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<'a> {
    /// Its number, as the study counts findings.
    pub finding: u32,
    /// As people write it; case, hyphens and commas make no difference.
    pub phrase: &'a str,
}

/// A term that no note can be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerm {
    /// No letter or digit.
    #[error("{phrase:?}: expected words, came none")]
    NoWords {
        /// The term.
        phrase: String,
    },
    /// Too long.
    #[error("{phrase:?}: expected at most {WORDS_MAX} words, came {found}")]
    TooLong {
        /// The term.
        phrase: String,
        /// Its words.
        found: usize,
    },
    /// The same words for two findings.
    #[error("{phrase:?}: the same words stand for another finding, too")]
    TwoFindings {
        /// The term.
        phrase: String,
    },
}

/// All terms, ready to be looked for.
///
/// # Errors
/// A term without words, one that is too long, or one for two findings.
pub(super) fn phrases(terms: &[Term<'_>]) -> Result<Phrases<u32>, InvalidTerm> {
    let mut phrases = Phrases::new();
    for Term { finding, phrase } in terms {
        let words = words::of_phrase(phrase);
        let phrase = || (*phrase).to_owned();
        if words.is_empty() {
            return Err(InvalidTerm::NoWords { phrase: phrase() });
        }
        if words.len() > WORDS_MAX {
            return Err(InvalidTerm::TooLong { phrase: phrase(), found: words.len() });
        }
        if phrases.add(&words, *finding).is_some_and(|before| before != *finding) {
            return Err(InvalidTerm::TwoFindings { phrase: phrase() });
        }
    }
    Ok(phrases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_the_term() {
        fn check(terms: &[(u32, &str)], expected: Result<(), &str>) {
            let terms: Vec<_> =
                terms.iter().map(|(finding, phrase)| Term { finding: *finding, phrase }).collect();
            let found = phrases(&terms).map(|_| ()).map_err(|mistake| mistake.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{terms:?}");
        }
        check(&[(0, "self-harm"), (0, "Self harm"), (1, "overdose")], Ok(()));
        check(&[(0, " - ")], Err("\" - \": expected words, came none"));
        check(
            &[(0, "a b c d e f g h i j k l m")],
            Err("\"a b c d e f g h i j k l m\": expected at most 12 words, came 13"),
        );
        check(
            &[(0, "self-harm"), (1, "SELF HARM")],
            Err("\"SELF HARM\": the same words stand for another finding, too"),
        );
    }
}
