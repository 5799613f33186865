//! `metadata/codes.parquet`: what the codes mean, and what is below what.

use super::super::cells::{Batch, Cell, Cells, Column, Kind};
use super::super::error::InvalidOmop;
use super::super::event::ConceptId;
use super::super::parquet_rows;
use super::super::units::by_text;
use super::super::vocabulary::Concept;
use super::error::InvalidMeds;
use super::{lines, sentinel};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Most rows of `codes.parquet`.
const CODES_MAX: usize = 20_000_000;

/// Code, description, OMOP's number, vocabulary, code there, domain, whether it is standard.
pub(in super::super) const COLUMNS: [Column; 7] = [
    Column::required(&["code"], Kind::Text),
    Column::optional(&["description"], Kind::Text),
    Column::optional(&["concept_id"], Kind::Id),
    Column::optional(&["vocabulary_id"], Kind::Text),
    Column::optional(&["concept_code"], Kind::Text),
    Column::optional(&["domain_id"], Kind::Text),
    Column::optional(&["standard_concept"], Kind::Text),
];

/// The codes of a folder.
pub(super) struct Codes {
    /// Those that are concepts, parents that have no row of their own included.
    pub(super) concepts: Vec<Concept>,
    /// Whether any has OMOP's number.
    pub(super) has_ids: bool,
    /// Whether deaths are among them.
    pub(super) death: bool,
    /// Whether both ends of observation are.
    pub(super) observation: bool,
    /// By the number of a code's text; those that have a number of OMOP's.
    ids: HashMap<i64, ConceptId>,
    /// Parent and child.
    parents: Vec<(ConceptId, ConceptId)>,
}

impl Codes {
    pub(super) fn read(path: &Path) -> Result<Self, InvalidOmop> {
        let mut codes = Self {
            concepts: Vec::new(),
            has_ids: false,
            death: false,
            observation: false,
            ids: HashMap::new(),
            parents: Vec::new(),
        };
        let opened = parquet_rows::open(path, &COLUMNS)?;
        let groups = opened.row_groups().len();
        let mut texts = Vec::new();
        opened.read(0..groups, &mut |batch| {
            if texts.len() + batch.rows > CODES_MAX {
                return Err(InvalidMeds::TooManyCodes { path: path.to_owned(), limit: CODES_MAX }.into());
            }
            texts.extend((0..batch.rows).map(|row| codes.take(batch, row)));
            Ok(())
        })?;
        let named: BTreeSet<&str> = texts.iter().map(String::as_str).collect();
        codes.death = named.contains(sentinel::DEATH);
        codes.observation = named.contains(sentinel::OBSERVED_FROM) && named.contains(sentinel::OBSERVED_TO);
        let mut others = BTreeSet::new();
        let mut parents = Vec::new();
        lines::each_list(path, "parent_codes", &mut |row, parent| {
            if let Some(child) = texts.get(row) {
                parents.push((codes.concept(by_text(parent).0), codes.concept(by_text(child).0)));
                if !named.contains(parent) {
                    others.insert(parent.to_owned());
                }
            }
        })?;
        drop(named);
        codes.parents = parents;
        codes.parents.sort_unstable();
        codes.concepts.extend(others.iter().map(|code| concept_of(code)));
        Ok(codes)
    }

    /// Takes a row; its code.
    fn take(&mut self, batch: &Batch, row: usize) -> String {
        let code = batch.text(0, row).trim().to_owned();
        let is_sentinel = [sentinel::BIRTH, sentinel::DEATH, sentinel::OBSERVED_FROM, sentinel::OBSERVED_TO]
            .contains(&code.as_str());
        if is_sentinel || code.is_empty() {
            return code;
        }
        let mut concept = concept_of(&code);
        if let Cell::Is(id) = batch.id(2, row)
            && id != 0
        {
            self.ids.insert(by_text(&code).0, ConceptId(id));
            self.has_ids = true;
            concept.id = ConceptId(id);
        }
        batch.text(1, row).trim().clone_into(&mut concept.name);
        let (vocabulary, of_vocabulary) = (batch.text(3, row).trim(), batch.text(4, row).trim());
        if !vocabulary.is_empty() && !of_vocabulary.is_empty() {
            (concept.vocabulary, concept.code) = (vocabulary.to_owned(), of_vocabulary.to_owned());
        }
        batch.text(5, row).trim().clone_into(&mut concept.domain);
        if !matches!(batch.columns[6], Cells::Absent) {
            concept.is_standard = batch.text(6, row).trim().eq_ignore_ascii_case("s");
        }
        self.concepts.push(concept);
        code
    }

    /// The concept of a code, by the number of its text: OMOP's number where the file has one, else that number.
    pub(super) fn concept(&self, word: i64) -> ConceptId {
        self.ids.get(&word).copied().unwrap_or(ConceptId(word))
    }

    pub(super) fn has_parents(&self) -> bool {
        !self.parents.is_empty()
    }

    /// Everything that can be reached downwards, in however many steps; a circle ends where it began.
    pub(super) fn below(&self, of: &BTreeSet<ConceptId>) -> Option<BTreeMap<ConceptId, BTreeSet<ConceptId>>> {
        if self.parents.is_empty() {
            return None;
        }
        let all = of.iter().map(|root| {
            let mut found = BTreeSet::from([*root]);
            let mut open = vec![*root];
            while let Some(parent) = open.pop() {
                let from = self.parents.partition_point(|(one, _)| *one < parent);
                for (_, child) in self.parents[from..].iter().take_while(|(one, _)| *one == parent) {
                    if found.insert(*child) {
                        open.push(*child);
                    }
                }
            }
            (*root, found)
        });
        Some(all.collect())
    }
}

/// `VOCABULARY/CODE` or `VOCABULARY//CODE`, as MEDS's own programs write; anything else is a code of no vocabulary.
fn concept_of(code: &str) -> Concept {
    let parts = code.split_once("//").or_else(|| code.split_once('/'));
    let (vocabulary, of_vocabulary) = parts.unwrap_or(("", code));
    Concept {
        id: by_text(code),
        name: String::new(),
        domain: String::new(),
        vocabulary: vocabulary.to_owned(),
        code: of_vocabulary.to_owned(),
        is_standard: true,
    }
}
