//! Mentions of findings in a note, each with what the sentence says of it.

use super::cues::{Cue, Direction, Kind, Language};
use super::lexicon::{self, InvalidTerm, Term};
use super::phrases::{Found, Phrases};
use super::words;

/// What is said of a finding; nothing, where it is simply there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context {
    /// It is not there.
    pub negated: bool,
    /// It was there before.
    pub past: bool,
    /// Somebody else has it.
    pub family: bool,
    /// It may come.
    pub hypothetical: bool,
    /// It is suspected.
    pub possible: bool,
}

impl Context {
    /// Whether the patient has it now, as far as the sentence says.
    #[must_use]
    pub fn is_affirmed(self) -> bool {
        self == Self::default()
    }

    fn set(&mut self, kind: Kind) {
        *match kind {
            Kind::Negated => &mut self.negated,
            Kind::Past => &mut self.past,
            Kind::Family => &mut self.family,
            Kind::Hypothetical => &mut self.hypothetical,
            Kind::Possible => &mut self.possible,
        } = true;
    }
}

/// A finding that a note names. It says nothing of the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mention {
    /// Its number in the lexicon.
    pub finding: u32,
    /// What the sentence says of it.
    pub context: Context,
}

/// Reads notes in one language.
pub struct NoteReader {
    abbreviations: Vec<&'static str>,
    findings: Phrases<u32>,
    cues: Phrases<Cue>,
}

impl NoteReader {
    /// For the terms of one language.
    ///
    /// # Errors
    /// A term that no note can be searched for.
    pub fn new(language: Language, terms: &[Term<'_>]) -> Result<Self, InvalidTerm> {
        Ok(Self {
            abbreviations: language.abbreviations(),
            findings: lexicon::phrases(terms)?,
            cues: language.cues(),
        })
    }

    /// Gives every mention in a note to `take`, in the order of the text.
    ///
    /// # Privacy
    /// What comes out depends on this note and the lexicon alone; see the module.
    pub fn read(&self, text: &str, mut take: impl FnMut(Mention)) {
        let (mut findings, mut cues) = (Vec::new(), Vec::new());
        words::each_sentence(text, &self.abbreviations, |words| {
            self.findings.find(words, &mut findings);
            if findings.is_empty() {
                return;
            }
            self.cues.find(words, &mut cues);
            // A word of a finding is no cue: "loss of hope" says nothing of what was before.
            cues.retain(|cue| !findings.iter().any(|finding| within(cue, finding)));
            for finding in &findings {
                take(Mention { finding: *finding.meaning, context: context(words, finding, &cues) });
            }
        });
    }
}

fn within<A, B>(inner: &Found<'_, A>, outer: &Found<'_, B>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn context(words: &[&str], finding: &Found<'_, u32>, cues: &[Found<'_, Cue>]) -> Context {
    let mut context = Context::default();
    for (i, cue) in cues.iter().enumerate() {
        for (kind, direction) in &cue.meaning.says {
            let ends = |other: &Found<'_, Cue>| other.meaning.ends.contains(kind);
            let forward = cue.end <= finding.start
                && !cues[i + 1..].iter().take_while(|other| other.start < finding.start).any(ends);
            let backward = finding.end <= cue.start
                && !cues[..i].iter().rev().take_while(|other| other.end > finding.end).any(ends);
            let reaches = match direction {
                Direction::Forward => forward,
                Direction::Backward => backward,
                Direction::Near => backward && !words[finding.end..cue.start].contains(&words::COMMA),
                Direction::Both => forward || backward,
            };
            if reaches {
                context.set(*kind);
            }
        }
    }
    context
}
