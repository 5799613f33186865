//! Words that change what a finding means, for each language: `cues/LANGUAGE.tsv`, public and readable.
//!
//! A line is a kind, the direction in which it works, and a phrase, separated by tabs; `#` starts a comment.
//!
//! | kind | direction | meaning |
//! |---|---|---|
//! | `negated` `past` `family` `hypothetical` `possible` | `forward` `backward` `near` `both` | what is said of findings in its scope; `near` is backward as far as a comma |
//! | `pseudo` | `-` | looks like a cue and is none: "not only" |
//! | `end` | a kind, or `all` | a scope of that kind ends here: "but" |
//! | `abbreviation` | `-` | a full stop after it ends no sentence |

use super::phrases::Phrases;
use consilium_common::study::notes::{Language, Term};

/// What a cue says of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Negated,
    Past,
    Family,
    Hypothetical,
    Possible,
}

/// Where its scope lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
    /// Backward, no farther than a comma.
    Near,
    Both,
}

/// What a phrase does to the findings around it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) says: Vec<(Kind, Direction)>,
    pub(super) ends: Vec<Kind>,
}

const KINDS: [(&str, Kind); 5] = [
    ("negated", Kind::Negated),
    ("past", Kind::Past),
    ("family", Kind::Family),
    ("hypothetical", Kind::Hypothetical),
    ("possible", Kind::Possible),
];

const fn file(language: Language) -> &'static str {
    match language {
        Language::English => include_str!("cues/en.tsv"),
        Language::German => include_str!("cues/de.tsv"),
    }
}

/// Words after which a full stop ends no sentence.
pub(super) fn abbreviations(language: Language) -> Vec<&'static str> {
    lines(file(language)).filter(|line| line.kind == "abbreviation").map(|line| line.phrase).collect()
}

/// All cues of a language.
pub(super) fn of(language: Language) -> Phrases<Cue> {
    let mut phrases: Vec<(Term, Cue)> = Vec::new();
    for line in lines(file(language)).filter(|line| line.kind != "abbreviation") {
        let term = Term::new(line.phrase).expect("words: tested");
        let at = phrases.iter().position(|(known, _)| known.words() == term.words()).unwrap_or_else(|| {
            phrases.push((term, Cue::default()));
            phrases.len() - 1
        });
        line.add_to(&mut phrases[at].1);
    }
    let mut found = Phrases::new();
    for (term, cue) in phrases {
        found.add(term.words(), cue);
    }
    found
}

struct Line {
    kind: &'static str,
    direction: &'static str,
    phrase: &'static str,
}

impl Line {
    fn add_to(&self, cue: &mut Cue) {
        let kind = |name| KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        match (self.kind, self.direction) {
            ("pseudo", "-") => {}
            ("end", "all") => cue.ends.extend(KINDS.map(|(_, kind)| kind)),
            ("end", ended) => cue.ends.push(kind(ended).expect("a kind: tested")),
            (said, direction) => {
                let direction = match direction {
                    "forward" => Direction::Forward,
                    "backward" => Direction::Backward,
                    "near" => Direction::Near,
                    "both" => Direction::Both,
                    _ => unreachable!("a direction: tested"),
                };
                cue.says.push((kind(said).expect("a kind: tested"), direction));
            }
        }
    }
}

fn lines(file: &'static str) -> impl Iterator<Item = Line> {
    file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let mut parts = line.split('\t');
        let mut part = || parts.next().expect("three parts: tested");
        Line { kind: part(), direction: part(), phrase: part() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_can_be_read() {
        for language in Language::ALL {
            let mut seen = BTreeSet::new();
            for line in file(language).lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
                let parts: Vec<&str> = line.split('\t').collect();
                let [kind, direction, phrase] = parts[..] else { panic!("{language:?}: {line}") };
                let kinds = KINDS.map(|(name, _)| name);
                let sound = match kind {
                    "pseudo" | "abbreviation" => direction == "-",
                    "end" => direction == "all" || kinds.contains(&direction),
                    _ => {
                        kinds.contains(&kind) && ["forward", "backward", "near", "both"].contains(&direction)
                    }
                };
                let Ok(term) = Term::new(phrase) else { panic!("{language:?}: {line}") };
                assert!(sound, "{language:?}: {line}");
                let words = term.words().to_vec();
                assert!(seen.insert((kind, direction, words)), "{language:?}, twice: {line}");
            }
            assert!(seen.len() > 100, "{language:?}");
            of(language);
        }
    }
}
