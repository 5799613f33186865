//! A text as sentences of words in one spelling.

use consilium_common::study::notes::{compose, is_word, spelled};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation as _;
use zeroize::Zeroizing;

/// What separates the parts of a sentence; no phrase goes across it.
pub(super) const COMMA: &str = ",";

/// A line of so many characters is taken to be broken by its width, and the sentence to go on.
const WRAPPED_CHARACTERS: usize = 60;

/// Words after which a sentence is taken to have ended: text without stops, whose meaning is nobody's guess.
const SENTENCE_WORDS_MAX: usize = 400;

/// A note taken apart, in one spelling; wiped when it is dropped.
pub(super) struct Text {
    /// As it was written, compatibility forms composed: case is needed to see where a sentence ends.
    composed: Zeroizing<String>,
    /// In lower case; some letters change their length with it.
    spelled: Zeroizing<String>,
    /// Between word boundaries, in order.
    parts: Vec<Part>,
}

/// Places in [`Text::composed`] and [`Text::spelled`].
struct Part {
    composed: Range<usize>,
    spelled: Range<usize>,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        // Room for all of it at once: what is moved leaves a copy behind that nothing wipes.
        let buffer = || Zeroizing::new(String::with_capacity(2 * text.len()));
        let (mut composed, mut spelled) = (buffer(), buffer());
        compose(text, &mut composed);
        let mut parts = Vec::new();
        for (from, part) in composed.split_word_bound_indices() {
            let begun = spelled.len();
            spelled.extend(self::spelled(part));
            parts.push(Part { composed: from..from + part.len(), spelled: begun..spelled.len() });
        }
        Self { composed, spelled, parts }
    }

    fn written(&self, part: &Part) -> &str {
        // No index: a panic of one would quote the text.
        self.composed.get(part.composed.clone()).expect("between two boundaries of this text")
    }

    fn word(&self, part: &Part) -> &str {
        self.spelled.get(part.spelled.clone()).expect("as it was written there")
    }

    /// Gives each word to `take`.
    pub(super) fn each_word(&self, mut take: impl FnMut(&str)) {
        for part in &self.parts {
            if is_word(self.written(part)) {
                take(self.word(part));
            }
        }
    }

    /// Gives the words of each sentence to `take`, [`COMMA`] among them, after how many of those there are before it.
    /// Hyphens and the like are between words and are not given; `abbreviations` are words after which a full stop
    /// ends nothing.
    ///
    /// A sentence ends with `.`, `!`, `?` or `;`, and with a line, unless the line is so long that it looks broken by its
    /// width alone. A full stop ends none after an abbreviation or a single letter, between digits, or before a
    /// word that starts in lower case.
    pub(super) fn each_sentence(&self, abbreviations: &[&str], mut take: impl FnMut(usize, &[&str])) {
        let mut sentence: Vec<&str> = Vec::new();
        let mut before = 0;
        let mut line_characters = 0;
        for (i, part) in self.parts.iter().enumerate() {
            let (written, after) = (self.written(part), &self.parts[i + 1..]);
            if is_word(written) || written == COMMA {
                sentence.push(self.word(part));
            }
            let ends = sentence.len() == SENTENCE_WORDS_MAX
                || match written {
                    "!" | "?" | ";" => true,
                    "." => {
                        let before = i.checked_sub(1).map(|j| self.word(&self.parts[j]));
                        self.ends_at_stop(before, after, abbreviations)
                    }
                    _ if is_break(written) => {
                        line_characters < WRAPPED_CHARACTERS || self.starts_an_item(after)
                    }
                    _ => false,
                };
            line_characters = if is_break(written) { 0 } else { line_characters + written.chars().count() };
            if ends && !sentence.is_empty() {
                take(before, &sentence);
                before += sentence.len();
                sentence.clear();
            }
        }
        if !sentence.is_empty() {
            take(before, &sentence);
        }
    }

    fn ends_at_stop(&self, before: Option<&str>, after: &[Part], abbreviations: &[&str]) -> bool {
        let Some(before) = before else { return false };
        if abbreviations.contains(&before)
            || before.chars().count() == 1 && before.chars().all(char::is_alphabetic)
        {
            return false;
        }
        // What comes next: nothing, or space and a word.
        match after.first().map(|part| self.written(part)) {
            None => true,
            Some(space) if is_break(space) => true,
            Some(space) if space.chars().all(char::is_whitespace) => after[1..]
                .iter()
                .map(|part| self.written(part))
                .find(|part| is_word(part))
                .is_none_or(|part| !part.starts_with(char::is_lowercase)),
            Some(_) => false,
        }
    }

    /// A blank line, or the sign before an item of a list.
    fn starts_an_item(&self, after: &[Part]) -> bool {
        let mut parts = after.iter().map(|part| self.written(part));
        let first = parts.find(|part| is_break(part) || !part.trim().is_empty());
        first.is_none_or(|part| is_break(part) || matches!(part, "-" | "*" | "•" | "–" | "·" | ">" | "+"))
    }
}

fn is_break(part: &str) -> bool {
    part.contains(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        fn check(text: &str, expected: &[&str]) {
            let mut found = Vec::new();
            Text::new(text).each_sentence(&["dr", "z.b", "pat"], |_, words| found.push(words.join(" ")));
            assert_eq!(found, expected, "{text}");
        }
        check("", &[]);
        check(" \n\n ", &[]);
        check("One. Two", &["one", "two"]);
        check("Seen by Dr. Bird. Well!", &["seen by dr bird", "well"]);
        check("Score of 3.5 today. Calm", &["score of 3.5 today", "calm"]);
        check("Seen at approx. noon, alone", &["seen at approx noon , alone"]);
        check("J. Bird came", &["j bird came"]);
        check("Low mood; sleeps well", &["low mood", "sleeps well"]);
        check("Denies plans\nReports low mood", &["denies plans", "reports low mood"]);
        let wrapped = "A line that was broken because it had become longer than allowed\nby its width. Next";
        check(
            wrapped,
            &["a line that was broken because it had become longer than allowed by its width", "next"],
        );
        let list = "A line that was as long as any other, and after it there is a list\n- first\n- second";
        check(
            list,
            &["a line that was as long as any other , and after it there is a list", "first", "second"],
        );
        check("Ends.\nNext", &["ends", "next"]);
        check("No stop before a quote.) Next", &["no stop before a quote next"]);
    }
}
