//! A text as sentences of words in one spelling.

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// What separates the parts of a sentence; no phrase goes across it.
pub(super) const COMMA: &str = ",";

/// A line of so many characters is taken to be broken by its width, and the sentence to go on.
const WRAPPED_CHARACTERS: usize = 60;

/// Words after which a sentence is taken to have ended: text without stops, whose meaning is nobody's guess.
const SENTENCE_WORDS_MAX: usize = 400;

/// One spelling of a text: compatibility forms composed, lower case, one apostrophe.
fn spelled(text: &str) -> impl Iterator<Item = char> {
    text.nfkc()
        .flat_map(char::to_lowercase)
        .map(|c| if matches!(c, '’' | '‘' | 'ʼ' | '`') { '\'' } else { c })
}

/// The words of a phrase, as [`each_sentence`] would find them.
pub(super) fn of_phrase(phrase: &str) -> Vec<String> {
    let spelled: String = spelled(phrase).collect();
    spelled.split_word_bounds().filter(|part| is_word(part)).map(str::to_owned).collect()
}

/// Gives the words of each sentence to `take`, [`COMMA`] among them. Hyphens and the like are between words and are not given;
/// `abbreviations` are words after which a full stop ends nothing.
///
/// A sentence ends with `.`, `!`, `?` or `;`, and with a line, unless the line is so long that it looks broken by its
/// width alone. A full stop ends none after an abbreviation or a single letter, between digits, or before a
/// word that starts in lower case.
pub(super) fn each_sentence(text: &str, abbreviations: &[&str], mut take: impl FnMut(&[&str])) {
    // Case is needed to see where a sentence ends, and gone afterwards; some letters change their length with it.
    let composed: String = text.nfkc().collect();
    let spelled: Vec<(String, &str)> =
        composed.split_word_bounds().map(|part| (spelled(part).collect(), part)).collect();
    let mut sentence: Vec<&str> = Vec::new();
    let mut line_characters = 0;
    for (i, (word, part)) in spelled.iter().enumerate() {
        if is_word(part) || *part == COMMA {
            sentence.push(word);
        }
        let ends = sentence.len() == SENTENCE_WORDS_MAX
            || match *part {
                "!" | "?" | ";" => true,
                "." => {
                    let before = i.checked_sub(1).map(|j| spelled[j].0.as_str());
                    ends_at_stop(before, &spelled[i + 1..], abbreviations)
                }
                _ if is_break(part) => {
                    line_characters < WRAPPED_CHARACTERS || starts_an_item(&spelled[i + 1..])
                }
                _ => false,
            };
        line_characters = if is_break(part) { 0 } else { line_characters + part.chars().count() };
        if ends && !sentence.is_empty() {
            take(&sentence);
            sentence.clear();
        }
    }
    if !sentence.is_empty() {
        take(&sentence);
    }
}

fn is_word(part: &str) -> bool {
    part.chars().any(char::is_alphanumeric)
}

fn is_break(part: &str) -> bool {
    part.contains(['\n', '\r'])
}

fn ends_at_stop(before: Option<&str>, after: &[(String, &str)], abbreviations: &[&str]) -> bool {
    let Some(before) = before else { return false };
    if abbreviations.contains(&before)
        || before.chars().count() == 1 && before.chars().all(char::is_alphabetic)
    {
        return false;
    }
    // What comes next: nothing, or space and a word.
    match after.first() {
        None => true,
        Some((_, space)) if is_break(space) => true,
        Some((_, space)) if space.chars().all(char::is_whitespace) => after[1..]
            .iter()
            .find(|(_, part)| is_word(part))
            .is_none_or(|(_, part)| !part.starts_with(char::is_lowercase)),
        Some(_) => false,
    }
}

/// A blank line, or the sign before an item of a list.
fn starts_an_item(after: &[(String, &str)]) -> bool {
    let first = after.iter().map(|(_, part)| *part).find(|part| is_break(part) || !part.trim().is_empty());
    first.is_none_or(|part| is_break(part) || matches!(part, "-" | "*" | "•" | "–" | "·" | ">" | "+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_and_text_have_one_spelling() {
        fn check(phrase: &str, expected: &[&str]) {
            assert_eq!(of_phrase(phrase), expected, "{phrase}");
        }
        check("Self-harm", &["self", "harm"]);
        check("  SUICIDAL\tthoughts, ", &["suicidal", "thoughts"]);
        check("patient’s", &["patient's"]);
        check("ÜBERDOSIS", &["überdosis"]);
        check("u\u{308}berdosis", &["überdosis"]);
        check("ﬁnding", &["finding"]);
        check("PHQ-9", &["phq", "9"]);
        check("...", &[]);
    }

    #[test]
    fn sentences() {
        fn check(text: &str, expected: &[&str]) {
            let mut found = Vec::new();
            each_sentence(text, &["dr", "z.b", "pat"], |words| found.push(words.join(" ")));
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
