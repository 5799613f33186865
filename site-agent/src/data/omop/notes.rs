//! Notes as events: what each says of the findings that a study asks about, and not a word of it.
//!
//! ```text
//! note (text)  → Lexicon → (finding, said)
//! note_nlp     → mentions by note; note (whose, when) → (finding, said)
//! ```
//! A row's text is read as soon as the row is there, and its memory is wiped with its batch: what goes on to be sorted,
//! and maybe spilled to disk, is one event for each thing that the note says.
//!
//! # Privacy
//! Text is a patient's own. It is in no event, count, error, log line or panic; nothing here has `Debug`. Memory of
//! libraries that take files or a database's messages apart is theirs and is not wiped.

use super::cells::{Batch, Cell, Private};
use super::error::InvalidOmop;
use super::event::{ConceptId, Domain, Event, Value};
use super::fault::{Fault, FaultCounts};
use super::rows::{self, TableCounts};
use super::schema::{Table, of_nlp, of_note};
use super::source::Source;
use crate::notes::{Languages, Lexicon};
use consilium_common::study::notes::{NoteIndex, Said};
use std::collections::{BTreeMap, BTreeSet};

/// Most things that table `note_nlp` says of what a study asks about.
const MENTIONS_MAX: usize = 30_000_000;

/// What notes are read for.
pub enum Notes {
    /// Their text, for a study's words.
    Text(Lexicon),
    /// What a program has found in them.
    Found(Mentions),
}

/// What table `note_nlp` says of each note. No `Debug`.
pub struct Mentions {
    /// By note, each thing once.
    by_note: Vec<(i64, ConceptId)>,
}

/// The concept of the event that a note says so: a number of this study alone, from 1 on.
#[must_use]
pub fn concept(finding: NoteIndex, said: Said) -> ConceptId {
    let finding = i64::try_from(finding.0).expect("a study has few");
    ConceptId(1 + 2 * finding + i64::from(said == Said::Denied))
}

impl Notes {
    /// Gives an event to `take` for each thing that each note of a batch says, and counts notes.
    ///
    /// # Privacy
    /// An event depends on its own note and the study's words alone; see the module.
    pub(super) fn events<E>(
        &self,
        batch: &Batch,
        counts: &mut TableCounts,
        mut take: impl FnMut(Event) -> Result<(), E>,
    ) -> Result<(), E> {
        for row in 0..batch.rows {
            counts.rows += 1;
            let TableCounts { faults, languages, .. } = counts;
            let Some(person) = rows::person(batch.id(of_note::PERSON, row), faults) else { continue };
            let (date, datetime) = (batch.moment(of_note::DATE, row), batch.moment(of_note::DATETIME, row));
            let Some(time) = rows::time(date, datetime, faults) else { continue };
            let Some(said) = self.said(batch, row, faults, languages) else { continue };
            counts.note_event(time);
            for concept in said {
                take(Event {
                    person,
                    time,
                    domain: Domain::Note,
                    concept,
                    end: None,
                    value: Value::None,
                    unit: ConceptId::NONE,
                    visit: None,
                    provenance: ConceptId::NONE,
                    status: ConceptId::NONE,
                    care_site: None,
                    provider: None,
                })?;
            }
        }
        Ok(())
    }

    /// What a note says; none of one that cannot be read. Notes whose text is read are counted by their language.
    fn said(
        &self,
        batch: &Batch,
        row: usize,
        faults: &mut FaultCounts,
        languages: &mut Languages,
    ) -> Option<Vec<ConceptId>> {
        match self {
            Self::Text(lexicon) => match batch.private(of_note::TEXT, row) {
                Private::Is(text) => {
                    let (said, language) = lexicon.read(text);
                    languages.note(language);
                    Some(said.into_iter().map(|(finding, said)| concept(finding, said)).collect())
                }
                Private::Missing => {
                    faults.note(Fault::NoText);
                    None
                }
                Private::TooLong => {
                    faults.note(Fault::TextTooLong);
                    None
                }
            },
            Self::Found(mentions) => match batch.id(of_note::NOTE, row) {
                Cell::Is(note) => Some(mentions.of(note).collect()),
                cell => {
                    rows::id(cell, faults);
                    Some(Vec::new())
                }
            },
        }
    }
}

impl Mentions {
    /// Reads table `note_nlp` for some concepts of each finding; also how many rows there are, and how many of them say
    /// something of what is asked about.
    ///
    /// # Errors
    /// The table cannot be read, or says more than is kept in memory.
    pub fn read(
        source: Source<'_>,
        findings: &[&BTreeSet<ConceptId>],
    ) -> Result<(Self, TableCounts), InvalidOmop> {
        let mut asked: BTreeMap<ConceptId, Vec<NoteIndex>> = BTreeMap::new();
        for (at, concepts) in findings.iter().enumerate() {
            for concept in *concepts {
                asked.entry(*concept).or_default().push(NoteIndex(at));
            }
        }
        let (mut by_note, mut counts) = (Vec::new(), TableCounts::default());
        source.read(Table::NoteNlp, &mut |batch| {
            for row in 0..batch.rows {
                counts.rows += 1;
                let Cell::Is(note) = batch.id(of_nlp::NOTE, row) else {
                    counts.faults.note(Fault::NotAnId);
                    continue;
                };
                let found = ConceptId(rows::id(batch.id(of_nlp::CONCEPT, row), &mut counts.faults));
                let Some(findings) = asked.get(&found) else { continue };
                let word = |column| match batch.private(column, row) {
                    Private::Is(text) => Some(text.trim()),
                    Private::Missing | Private::TooLong => None,
                };
                let (exists, temporal) = (word(of_nlp::EXISTS), word(of_nlp::TEMPORAL));
                let Some(said) = said(exists, temporal, word(of_nlp::MODIFIERS)) else { continue };
                counts.events += 1;
                by_note.extend(findings.iter().map(|finding| (note, concept(*finding, said))));
            }
            if by_note.len() > MENTIONS_MAX {
                let limit = MENTIONS_MAX as u64;
                return Err(InvalidOmop::TooManyRows { place: source.place(), table: Table::NoteNlp, limit });
            }
            Ok(())
        })?;
        by_note.sort_unstable();
        by_note.dedup();
        Ok((Self { by_note }, counts))
    }

    fn of(&self, note: i64) -> impl Iterator<Item = ConceptId> {
        let first = self.by_note.partition_point(|(other, _)| *other < note);
        self.by_note[first..].iter().take_while(move |(other, _)| *other == note).map(|(_, concept)| *concept)
    }
}

/// What a row of `note_nlp` says: see [`consilium_common::study::notes::Notes::Nlp`].
fn said(exists: Option<&str>, temporal: Option<&str>, modifiers: Option<&str>) -> Option<Said> {
    let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
    let is_yes = |word: &str| ["true", "yes", "y", "1"].iter().any(|yes| is(word, yes));
    let (mut negated, mut otherwise) = (false, false);
    for modifier in modifiers.unwrap_or_default().split([',', ';', '|']) {
        let (key, value) = modifier.split_once(['=', ':']).unwrap_or((modifier, "true"));
        let (key, value) = (key.trim(), value.trim());
        if is(key, "negated") || is(key, "negation") {
            negated |= is_yes(value);
        } else if is(key, "subject") {
            otherwise |= !value.is_empty() && !is(value, "patient");
        } else if ["conditional", "hypothetical", "rule_out"].iter().any(|other| is(key, other)) {
            otherwise |= is_yes(value);
        }
    }
    let is_now = temporal.is_none_or(|temporal| is(temporal, "present"));
    match exists {
        _ if otherwise => None,
        _ if negated => Some(Said::Denied),
        Some(exists) if is(exists, "n") || is(exists, "no") => is_now.then_some(Said::Denied),
        None => is_now.then_some(Said::Affirmed),
        Some(exists) if is(exists, "y") || is(exists, "yes") => is_now.then_some(Said::Affirmed),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_program() {
        #[track_caller]
        fn check(exists: &str, temporal: &str, modifiers: &str, expected: Option<Said>) {
            let word = |text| Some(text).filter(|text: &&str| !text.is_empty());
            assert_eq!(said(word(exists), word(temporal), word(modifiers)), expected);
        }
        use Said::{Affirmed, Denied};
        check("Y", "Present", "negated=false,subject=patient,conditional=false", Some(Affirmed));
        check("", "", "", Some(Affirmed));
        check("y", "present", "Subject = Patient", Some(Affirmed));
        check("Y", "Present", "certainty=high", Some(Affirmed));
        check("N", "Present", "negated=true,subject=patient", Some(Denied));
        check("N", "", "Negated:True; Subject:patient", Some(Denied));
        check("N", "Past", "negated=true", Some(Denied));
        check("", "", "negated", Some(Denied));
        check("N", "Present", "", Some(Denied));
        check("Y", "Present", "negated=true", Some(Denied));
        check("Y", "Past", "negated=false", None);
        check("N", "Past", "", None);
        check("Y", "Future", "", None);
        check("N", "Present", "negated=false,subject=family", None);
        check("N", "Present", "negated=true,subject=family", None);
        check("N", "Future", "conditional=true", None);
        check("N", "", "rule_out=1", None);
        check("", "", "hypothetical=yes", None);
        check("maybe", "Present", "", None);
    }

    #[test]
    fn numbers_differ() {
        let all: BTreeSet<ConceptId> =
            (0..5).flat_map(|at| Said::ALL.map(|said| concept(NoteIndex(at), said))).collect();
        assert_eq!(all, (1..=10).map(ConceptId).collect());
    }
}
