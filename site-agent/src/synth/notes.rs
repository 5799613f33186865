//! Short clinical notes from templates, in two languages, with what is true of everything that they mention.
//!
//! A note says of each thing it mentions whether it is so, is not so, was so in the past, is so in the family, or might
//! come to be so: what a reader of notes has to tell apart. A sentence may mention two things of which different things are
//! true. Each note also holds a name that occurs nowhere else: whatever leaves a site must not hold one of them.

use super::chance::Chance;
use super::vocabulary::ConceptId;

mod english;
mod german;
mod names;

pub(super) use english::ENGLISH;
pub(super) use german::GERMAN;
pub(super) use names::Names;

/// What a note says of something it mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// The person has it now.
    Affirmed,
    /// The person does not have it.
    Negated,
    /// The person had it once.
    Past,
    /// Somebody in the family has or had it.
    Family,
    /// It might come.
    Hypothetical,
}

impl Status {
    /// As truth files write it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Affirmed => "affirmed",
            Self::Negated => "negated",
            Self::Past => "past",
            Self::Family => "family",
            Self::Hypothetical => "hypothetical",
        }
    }
}

/// A language: its terms and its sentences.
pub(super) struct Language {
    /// As truth files write it.
    pub(super) code: &'static str,
    /// As OMOP records write it.
    pub(super) concept: ConceptId,
    /// First sentences, which mention nothing.
    openings: &'static [&'static str],
    /// What can be mentioned, and the ways to say it; every form fits every sentence.
    terms: &'static [(ConceptId, &'static [&'static str])],
    /// Sentences with a `{}` for each thing they mention, and what they say of it.
    sentences: &'static [Sentence],
    /// Last sentences, with a `{}` for a name.
    closings: &'static [&'static str],
}

struct Sentence {
    text: &'static str,
    says: &'static [Status],
}

/// A note, and what is true of it.
#[derive(Debug, Default)]
pub(super) struct Note {
    /// The text.
    pub(super) text: String,
    /// Everything that it mentions, in order.
    pub(super) mentions: Vec<Mention>,
}

/// One thing that a note mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    /// Which.
    pub(super) term: ConceptId,
    /// In which words.
    pub(super) form: &'static str,
    /// What the note says of it.
    pub(super) status: Status,
    /// Where the words begin and end, in characters from 0; the end is the first character after them.
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// Most sentences between the first and the last.
const SENTENCES_MAX: u32 = 3;

impl Note {
    /// Writes another note into this one. The worse off the person, the more of it is so: `ill` is from 0 to 1.
    pub(super) fn write(&mut self, language: &Language, ill: f64, names: &mut Names, chance: &mut Chance) {
        self.text.clear();
        self.mentions.clear();
        let mut at = 0;
        self.say(chance.one_of(language.openings), &mut at);
        let mut unsaid: Vec<usize> = (0..language.terms.len()).collect();
        for _ in 0..1 + chance.below(SENTENCES_MAX) {
            let sentence = Self::sentence(language, ill, chance);
            self.say(" ", &mut at);
            for (nth, part) in sentence.text.split("{}").enumerate() {
                if nth > 0 {
                    let which = chance.below(u32::try_from(unsaid.len()).expect("few"));
                    let (term, forms) = language.terms[unsaid.swap_remove(which as usize)];
                    let form = chance.one_of(forms);
                    let begin = at;
                    self.say(form, &mut at);
                    let status = sentence.says[nth - 1];
                    self.mentions.push(Mention { term, form, status, begin, end: at });
                }
                self.say(part, &mut at);
            }
        }
        let closing = chance.one_of(language.closings);
        self.text.push(' ');
        self.text.push_str(&closing.replacen("{}", &names.take(chance), 1));
    }

    /// One that leads with the status that was drawn.
    fn sentence<'a>(language: &'a Language, ill: f64, chance: &mut Chance) -> &'a Sentence {
        let statuses =
            [Status::Affirmed, Status::Negated, Status::Past, Status::Family, Status::Hypothetical];
        let lead = statuses[chance.pick(&[0.1 + 0.4 * ill, 0.5 - 0.3 * ill, 0.15, 0.15, 0.1])];
        let mut fitting = language.sentences.iter().filter(|sentence| sentence.says[0] == lead);
        let which = chance.below(u32::try_from(fitting.clone().count()).expect("few"));
        fitting.nth(which as usize).expect("below their number")
    }

    /// Adds a text, and its length in characters.
    fn say(&mut self, text: &str, at: &mut usize) {
        self.text.push_str(text);
        *at += text.chars().count();
    }
}

#[cfg(test)]
mod tests {
    use super::super::chance::{Draw, Purpose};
    use super::*;
    use std::collections::BTreeSet;

    fn chance() -> Chance {
        Chance::new(Draw { seed: 3, attempt: 0 }, 0, Purpose::Notes)
    }

    #[test]
    fn sentences_say_one_thing_of_each_mention() {
        for language in [&ENGLISH, &GERMAN] {
            let most = language.terms.len() / SENTENCES_MAX as usize;
            for sentence in language.sentences {
                let slots = sentence.text.matches("{}").count();
                assert_eq!(slots, sentence.says.len(), "{}", sentence.text);
                assert!((1..=most).contains(&slots), "a note never runs out of terms: {}", sentence.text);
            }
            for status in ["affirmed", "negated", "past", "family", "hypothetical"] {
                let alone = |s: &&Sentence| s.says.len() == 1 && s.says[0].word() == status;
                assert!(language.sentences.iter().filter(alone).count() >= 3, "{} {status}", language.code);
            }
            assert!(language.closings.iter().all(|closing| closing.matches("{}").count() == 1));
            assert_eq!(
                language.terms.iter().map(|(term, _)| *term).collect::<Vec<_>>(),
                super::super::vocabulary::NOTE_TERMS
            );
            // No form stands within another one, of this term or the next, or within a sentence around it.
            let forms: Vec<&str> =
                language.terms.iter().flat_map(|(_, forms)| forms.iter().copied()).collect();
            let around = language.sentences.iter().map(|sentence| sentence.text);
            let around =
                around.chain(language.openings.iter().copied()).chain(language.closings.iter().copied());
            for text in forms.iter().copied().chain(around) {
                let within =
                    |form: &&&str| text.to_lowercase().contains(&form.to_lowercase()) && text != **form;
                assert_eq!(forms.iter().find(within), None, "{text}");
            }
        }
    }

    #[test]
    fn a_note_is_what_its_truth_says() {
        for language in [&ENGLISH, &GERMAN] {
            let (mut note, mut names, mut chance) = (Note::default(), Names::default(), chance());
            let mut seen = BTreeSet::new();
            for _ in 0..500 {
                note.write(language, 0.5, &mut names, &mut chance);
                assert!(!note.mentions.is_empty() && !note.text.contains("{}"), "{}", note.text);
                let characters: Vec<char> = note.text.chars().collect();
                for mention in &note.mentions {
                    let words: String = characters[mention.begin..mention.end].iter().collect();
                    assert_eq!(words, mention.form, "{}", note.text);
                    assert_eq!(note.text.matches(mention.form).count(), 1, "{}", note.text);
                    seen.insert((mention.term, mention.status));
                }
            }
            assert_eq!(seen.len(), 6 * 5, "everything is said of every term");
        }
    }

    #[test]
    fn the_worse_off_are_said_to_be() {
        let affirmed = |ill| {
            let (mut note, mut names, mut chance) = (Note::default(), Names::default(), chance());
            let mut so = 0;
            for _ in 0..500 {
                note.write(&ENGLISH, ill, &mut names, &mut chance);
                so += note.mentions.iter().filter(|mention| mention.status == Status::Affirmed).count();
            }
            so
        };
        assert!(affirmed(1.0) > 2 * affirmed(0.0), "{} {}", affirmed(1.0), affirmed(0.0));
    }
}
