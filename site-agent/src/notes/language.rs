//! Which language a note is written in, by its most common words: for the hospital's own screen, which shows whom a study's
//! words cannot reach. Nothing else rests on it: every note is read in every language of the study.

use super::words::Text;
use consilium_common::study::notes::Language;

/// Words that are common in one language, in the one spelling, and are no words of the other. Public.
const ENGLISH: &[&str] = &[
    "and", "are", "at", "been", "but", "by", "did", "does", "for", "from", "had", "has", "have", "he", "her",
    "his", "is", "it", "no", "not", "of", "or", "reports", "seen", "she", "that", "the", "their", "there",
    "they", "this", "to", "today", "were", "when", "which", "with", "without",
];
const GERMAN: &[&str] = &[
    "als", "auch", "auf", "aus", "bei", "bis", "das", "dem", "den", "der", "des", "durch", "ein", "eine",
    "einem", "einen", "einer", "es", "für", "hat", "heute", "ihr", "im", "ist", "kein", "keine", "mit",
    "nach", "nicht", "noch", "ohne", "seit", "sich", "sie", "sind", "und", "vom", "von", "war", "wird",
    "wurde", "zu", "zum", "zur", "über",
];
/// Fewer common words tell nothing: three words of a note in a third language may look like one of these.
const WORDS_MIN: u32 = 2;

/// How many notes were read in each language. Exact counts of patients' notes: they stay at the hospital, and have no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Languages {
    /// English.
    pub english: u64,
    /// German.
    pub german: u64,
    /// Another, or too few common words to tell.
    pub other: u64,
}

impl Languages {
    /// Counts one note more.
    pub fn note(&mut self, language: Option<Language>) {
        match language {
            Some(Language::English) => self.english += 1,
            Some(Language::German) => self.german += 1,
            None => self.other += 1,
        }
    }

    /// Adds those of another part of the table.
    pub fn merge(&mut self, other: Self) {
        self.english += other.english;
        self.german += other.german;
        self.other += other.other;
    }

    /// All notes that were read.
    #[must_use]
    pub const fn read(self) -> u64 {
        self.english + self.german + self.other
    }
}

/// The language of which a text has at least two common words, and more than of the other.
pub(super) fn language(text: &Text) -> Option<Language> {
    let (mut english, mut german) = (0_u32, 0_u32);
    text.each_word(|word| {
        english += u32::from(ENGLISH.binary_search(&word).is_ok());
        german += u32::from(GERMAN.binary_search(&word).is_ok());
    });
    match (english, german) {
        _ if english >= WORDS_MIN && english > german => Some(Language::English),
        _ if german >= WORDS_MIN && german > english => Some(Language::German),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_share_nothing() {
        assert!(ENGLISH.is_sorted_by(|a, b| a < b) && GERMAN.is_sorted_by(|a, b| a < b));
        assert!(ENGLISH.iter().all(|word| GERMAN.binary_search(word).is_err()));
    }

    #[test]
    fn notes_of_three_languages() {
        #[track_caller]
        fn check(text: &str, expected: Option<Language>) {
            assert_eq!(language(&Text::new(text)), expected, "{text}");
        }
        check("Denies suicidal ideation. She has been seen by the crisis team.", Some(Language::English));
        check("No thoughts of self-harm today.", Some(Language::English));
        check("Kein Hinweis auf Suizidalität. Der Patient ist seit gestern bei uns.", Some(Language::German));
        check("FÜR die Nacht NICHT sediert, schläft mit Licht", Some(Language::German));
        check("Pas d'idées suicidaires. Elle est venue avec son frère pour un avis.", None);
        check("No refiere ideas de muerte; duerme mal desde hace un mes.", None);
        check("Nessun pensiero suicida, il paziente dorme con la luce.", None);
        check("Geen suïcidale gedachten, slaapt goed, komt met zijn broer.", None);
        // Too short to tell, and as much of one as of the other.
        check("", None);
        check("Stable.", None);
        check("HR 80, BP 120/80", None);
        check("The patient is well. Der Patient ist wohlauf.", None);
        // A name of the other language changes nothing.
        check("He was seen with Mr von der Heide, and is well; no plans.", Some(Language::English));
    }
}
