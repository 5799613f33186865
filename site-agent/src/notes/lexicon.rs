//! A study's words, and a note read for them in every language at once.

use super::language::language;
use super::reader::{Mention, NoteReader};
use super::words::Text;
use consilium_common::study::notes::{Language, NoteConcept, NoteIndex, Said};
use std::collections::BTreeSet;

/// The words of a study, ready to be looked for. Public, and the same at every site.
pub struct Lexicon {
    /// One for each language that the study has words in.
    readers: Vec<NoteReader>,
}

impl Lexicon {
    /// Of a study's findings, in their order.
    #[must_use]
    pub fn new(concepts: &[NoteConcept]) -> Self {
        let terms = |language: Language| {
            let each = concepts.iter().enumerate().flat_map(|(at, concept)| {
                concept.terms.iter().map(move |(of, term)| (*of, NoteIndex(at), term))
            });
            each.filter(move |(of, ..)| *of == language).map(|(_, finding, term)| (finding, term))
        };
        let has_words = |language: &Language| terms(*language).next().is_some();
        let languages = Language::ALL.into_iter().filter(has_words);
        Self { readers: languages.map(|language| NoteReader::new(language, terms(language))).collect() }
    }

    /// Every finding that a note names, in the order of the text: once where several languages have the same word, with
    /// what either of them says of it, since nobody says which language a sentence is in.
    #[must_use]
    pub fn mentions(&self, text: &str) -> Vec<Mention> {
        self.mentions_in(&Text::new(text))
    }

    fn mentions_in(&self, text: &Text) -> Vec<Mention> {
        let mut all = Vec::new();
        self.readers.iter().for_each(|reader| reader.read(text, |mention| all.push(mention)));
        all.sort_by_key(|mention| (mention.at, mention.finding));
        all.dedup_by(|this, before| {
            let same = (this.at, this.finding) == (before.at, before.finding);
            if same {
                before.context = before.context.or(this.context);
            }
            same
        });
        all
    }

    /// What a note says, each thing once, and which language it looks written in; none where that is another, or cannot be told.
    ///
    /// # Privacy
    /// The answer depends on this note and the study's words alone. The text is in nothing that comes back, and every
    /// copy of it that is made here is wiped.
    #[must_use]
    pub fn read(&self, text: &str) -> (BTreeSet<(NoteIndex, Said)>, Option<Language>) {
        let text = Text::new(text);
        let said =
            self.mentions_in(&text).into_iter().map(|mention| (mention.finding, mention.context.said()));
        (said.filter_map(|(finding, said)| Some((finding, said?))).collect(), language(&text))
    }
}
