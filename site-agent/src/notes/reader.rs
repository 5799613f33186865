//! Mentions of findings in a note, each with what the sentence says of it.

use super::cues::{self, Cue, Direction, Kind};
use super::phrases::{Found, Phrases};
use super::words::{self, Text};
use consilium_common::study::notes::{Language, NoteIndex, Said, Term};

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

    /// What counts of it: nothing, where it is past, somebody else's, feared or suspected.
    #[must_use]
    pub fn said(self) -> Option<Said> {
        match self {
            _ if self.is_affirmed() => Some(Said::Affirmed),
            Self { negated: true, family: false, hypothetical: false, .. } => Some(Said::Denied),
            _ => None,
        }
    }

    /// What either says.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            negated: self.negated | other.negated,
            past: self.past | other.past,
            family: self.family | other.family,
            hypothetical: self.hypothetical | other.hypothetical,
            possible: self.possible | other.possible,
        }
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
    /// How many words and commas stand before it: the same in every language.
    pub at: usize,
    /// Its number in the lexicon.
    pub finding: NoteIndex,
    /// What the sentence says of it.
    pub context: Context,
}

/// Reads notes in one language.
pub(super) struct NoteReader {
    abbreviations: Vec<&'static str>,
    findings: Phrases<NoteIndex>,
    cues: Phrases<Cue>,
}

impl NoteReader {
    /// For the words of one language; of words that stand for two findings the last is taken.
    pub(super) fn new<'t>(language: Language, terms: impl Iterator<Item = (NoteIndex, &'t Term)>) -> Self {
        let mut findings = Phrases::new();
        for (finding, term) in terms {
            findings.add(term.words(), finding);
        }
        Self { abbreviations: cues::abbreviations(language), findings, cues: cues::of(language) }
    }

    /// Gives every mention in a note to `take`, in the order of the text.
    ///
    /// # Privacy
    /// What comes out depends on this note and the lexicon alone; see the module.
    pub(super) fn read(&self, text: &Text, mut take: impl FnMut(Mention)) {
        let (mut findings, mut cues) = (Vec::new(), Vec::new());
        text.each_sentence(&self.abbreviations, |before, words| {
            self.findings.find(words, &mut findings);
            if findings.is_empty() {
                return;
            }
            self.cues.find(words, &mut cues);
            // A word of a finding is no cue: "loss of hope" says nothing of what was before.
            cues.retain(|cue| !findings.iter().any(|finding| within(cue, finding)));
            for finding in &findings {
                let context = context(words, finding, &cues);
                take(Mention { at: before + finding.start, finding: *finding.meaning, context });
            }
        });
    }
}

fn within<A, B>(inner: &Found<'_, A>, outer: &Found<'_, B>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn context(words: &[&str], finding: &Found<'_, NoteIndex>, cues: &[Found<'_, Cue>]) -> Context {
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
