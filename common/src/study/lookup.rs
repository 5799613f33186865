//! Concepts of a study file looked up in a vocabulary, where the file is written: a wrong digit is found before anybody
//! approves it. A hospital cannot find it so surely: it may have exported the concepts in use and no others.
//!
//! Nothing here opens a file: [`Lookup::take`] is given table `concept` row by row, in any order, and keeps of it what
//! the study asks for; a table of nine million rows costs no more memory than one of ten.

mod judge;

use super::mistake::{Mistake, Mistakes};
use std::collections::{BTreeSet, HashMap};

/// The first number that OMOP leaves to local concepts, which no public vocabulary has.
const LOCAL: i64 = 2_000_000_000;
/// Most concepts that are offered for one name.
const OFFERED_MAX: usize = 3;
/// Most vocabularies whose names are kept.
const VOCABULARIES_MAX: usize = 4096;
/// The vocabulary of units.
const UCUM: &str = "UCUM";

/// A place of a study file that names a concept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    /// Counted from 1.
    pub(super) line: usize,
    /// As `concept_set.psychosis.include[1].id`.
    pub(super) key: String,
    pub(super) what: Mentioned,
}

/// How a place names a concept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mentioned {
    /// By its number and the name that goes with it.
    Id { id: i64, name: String, descendants: bool },
    /// By its number alone, as a value that a person has.
    Value(i64),
    /// By its code in a vocabulary.
    Code { vocabulary: String, code: String, descendants: bool },
    /// A unit, by its UCUM code.
    Unit(String),
}

/// A row of table `concept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concept<'a> {
    /// `concept_id`.
    pub id: i64,
    /// `concept_name`.
    pub name: &'a str,
    /// `vocabulary_id`.
    pub vocabulary: &'a str,
    /// `concept_code`.
    pub code: &'a str,
    /// `standard_concept`: `S`, `C` or nothing.
    pub standard_concept: &'a str,
    /// `invalid_reason`: `D`, `U` or nothing.
    pub invalid_reason: &'a str,
}

/// What a study file names, and what a vocabulary says of it.
#[derive(Debug, Clone)]
pub struct Lookup {
    mentions: Vec<Mention>,
    ids: HashMap<i64, Option<Known>>,
    /// Standard concepts by each asserted name.
    named: HashMap<String, Offered>,
    /// Concepts by vocabulary and code.
    codes: HashMap<String, HashMap<String, Vec<Known>>>,
    /// UCUM codes that are asked for, and whether they are there.
    units: HashMap<String, bool>,
    /// UCUM codes that differ from such a one in case alone, by its lower case.
    nearly: HashMap<String, String>,
    vocabularies: BTreeSet<String>,
    has_local: bool,
    rows: u64,
}

/// What the vocabulary says of a concept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    name: String,
    standing: Standing,
    validity: Validity,
}

/// Whether events are recorded with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Standard,
    /// Only to stand above others.
    Class,
    /// Of a hospital's or a country's own system.
    Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Valid,
    Withdrawn,
    Replaced,
}

/// The concepts of one name: the lowest numbers.
#[derive(Debug, Clone, Default)]
struct Offered {
    ids: BTreeSet<i64>,
    has_more: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// What a study cannot mean: unknown numbers and codes, other names than it asserts.
    pub mistakes: Option<Mistakes>,
    /// What it can mean, and hardly does, by line.
    pub warnings: Vec<Mistake>,
    /// How many places of the file name a concept or a unit.
    pub mentions: usize,
    /// How many concepts the vocabulary has.
    pub concepts: u64,
}

impl Lookup {
    pub(super) fn new(mut mentions: Vec<Mention>) -> Self {
        mentions.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        mentions.dedup();
        let mut lookup = Self {
            mentions: Vec::new(),
            ids: HashMap::new(),
            named: HashMap::new(),
            codes: HashMap::new(),
            units: HashMap::new(),
            nearly: HashMap::new(),
            vocabularies: BTreeSet::new(),
            has_local: false,
            rows: 0,
        };
        for mention in &mentions {
            match &mention.what {
                Mentioned::Id { id, name, .. } => {
                    lookup.ids.insert(*id, None);
                    lookup.named.insert(name.trim().to_owned(), Offered::default());
                }
                Mentioned::Value(id) => drop(lookup.ids.insert(*id, None)),
                Mentioned::Code { vocabulary, code, .. } => {
                    let codes = lookup.codes.entry(vocabulary.clone()).or_default();
                    codes.insert(code.clone(), Vec::new());
                }
                Mentioned::Unit(code) => drop(lookup.units.insert(code.clone(), false)),
            }
        }
        lookup.mentions = mentions;
        lookup
    }

    /// Whether the study names no concept, as one on plain tables.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mentions.is_empty()
    }

    /// Looks at a row; of two with one number the first counts.
    pub fn take(&mut self, concept: &Concept<'_>) {
        let (name, vocabulary, code) = (concept.name.trim(), concept.vocabulary.trim(), concept.code.trim());
        self.rows += 1;
        self.has_local |= concept.id >= LOCAL;
        if !self.vocabularies.contains(vocabulary) && self.vocabularies.len() < VOCABULARIES_MAX {
            self.vocabularies.insert(vocabulary.to_owned());
        }
        if let Some(known @ None) = self.ids.get_mut(&concept.id) {
            *known = Some(Known::of(concept));
        }
        let is_standard = Standing::of(concept) == Standing::Standard;
        if let Some(offered) = self.named.get_mut(name).filter(|_| is_standard) {
            offered.add(concept.id);
        }
        if let Some(known) = self.codes.get_mut(vocabulary).and_then(|codes| codes.get_mut(code)) {
            known.push(Known::of(concept));
        }
        if vocabulary == UCUM {
            if let Some(found) = self.units.get_mut(code) {
                *found = true;
            }
            let folded = code.to_lowercase();
            if self.units.keys().any(|asked| asked != code && asked.to_lowercase() == folded) {
                self.nearly.insert(folded, code.to_owned());
            }
        }
    }

    /// Holds all places against what was seen of the vocabulary.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
        for mention in &self.mentions {
            match self.judge(mention) {
                Some(judge::Found::Mistake(mistake)) => mistakes.push(mistake),
                Some(judge::Found::Warning(warning)) => warnings.push(warning),
                None => {}
            }
        }
        Findings {
            mistakes: (!mistakes.is_empty()).then(|| Mistakes::new(mistakes)),
            warnings,
            mentions: self.mentions.len(),
            concepts: self.rows,
        }
    }
}

impl Known {
    fn of(concept: &Concept<'_>) -> Self {
        let validity = match concept.invalid_reason.trim() {
            "U" | "u" => Validity::Replaced,
            "" | "V" | "v" => Validity::Valid,
            _ => Validity::Withdrawn,
        };
        Self { name: concept.name.trim().to_owned(), standing: Standing::of(concept), validity }
    }
}

impl Standing {
    fn of(concept: &Concept<'_>) -> Self {
        match concept.standard_concept.trim() {
            "S" | "s" => Self::Standard,
            "C" | "c" => Self::Class,
            _ => Self::Source,
        }
    }
}

impl Offered {
    fn add(&mut self, id: i64) {
        self.ids.insert(id);
        if self.ids.len() > OFFERED_MAX {
            self.ids.pop_last();
            self.has_more = true;
        }
    }

    /// `5`, `5 or 7`, `5, 7 or 9, or another of that name`.
    fn words(&self) -> Option<String> {
        let mut ids: Vec<String> = self.ids.iter().map(i64::to_string).collect();
        let last = ids.pop()?;
        let listed = if ids.is_empty() { last } else { format!("{} or {last}", ids.join(", ")) };
        Some(if self.has_more { format!("{listed}, or another of that name") } else { listed })
    }
}

#[cfg(test)]
mod tests;
