//! What the study's concept sets and units mean here: against the source's own vocabulary, never narrower or wider
//! than the study without saying so.

use super::counted;
use super::error::{InvalidRecords, Mismatch};
use crate::data::omop::meds::Meds;
use crate::data::omop::vocabulary::{self, Concept};
use crate::data::omop::{ConceptId, Source, Table, units};
use consilium_common::study::Study;
use consilium_common::study::bindings::{BoundColumn, InForce, Mark};
use consilium_common::study::records::{ConceptRef, Covariate, Member, Records};
use consilium_common::study::vocabulary::VocabularyRelease;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZeroI64;

/// The study's words as this source's numbers.
pub(super) struct Resolved {
    /// The concepts of each of [`Records::sets`].
    pub(super) sets: Vec<BTreeSet<ConceptId>>,
    /// The concepts of each UCUM code that the study names.
    pub(super) units: BTreeMap<String, BTreeSet<ConceptId>>,
    /// Care sites and providers by the concepts that the site's answers name.
    pub(super) ids: BTreeMap<(Table, Vec<i64>), BTreeSet<NonZeroI64>>,
    /// The concepts that everything below is asked for of.
    pub(super) roots: BTreeSet<ConceptId>,
    /// What somebody should look at.
    pub(super) notes: Vec<Note>,
}

impl Resolved {
    /// See [`Resolved::ids`].
    pub(super) fn ids_of(&self, table: Table, concepts: &[i64]) -> BTreeSet<NonZeroI64> {
        self.ids.get(&(table, concepts.to_vec())).cloned().expect("every answer's were looked up")
    }
}

/// Something of a concept set that the source's vocabulary does not have: normal where only concepts in use are
/// exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Of the study.
    pub set: String,
    /// `Depressive disorder (440383)`, `ATC:N05A`.
    pub concept: String,
    /// What about it.
    pub what: Remark,
}

/// See [`Note`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// Not in table `concept`.
    NotInVocabulary,
    /// No standard concept, and nothing below it is asked for: no event is recorded with it.
    NotStandard,
}

impl Remark {
    /// All of them, the gravest first.
    pub const ALL: [Self; 2] = [Self::NotInVocabulary, Self::NotStandard];

    /// What it means, in plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NotInVocabulary => {
                "not in table concept: a wrong digit in the study, or a vocabulary that was exported without it (the study's \
                 author sees which by `coordinator study check --vocabulary`)"
            }
            Self::NotStandard => "not a standard concept: no event here is recorded with it",
        }
    }
}

/// Reads what the study needs of the vocabulary; nothing of a person.
///
/// # Errors
/// A name that is not the source's, a hierarchy or vocabulary that is not there, a file that cannot be read.
pub(super) fn resolve(
    source: Source<'_>,
    study: &Study,
    records: &Records,
) -> Result<Resolved, InvalidRecords> {
    check_release(source, records)?;
    if !records.sets.is_empty() && !source.has(Table::Concept) {
        return Err(InvalidRecords::MissingTable {
            place: source.place(),
            what: source.lacking(Table::Concept),
            role: "the names and codes of its concept sets".to_owned(),
            instead: source.supplying_empty(Table::Concept),
        });
    }
    let asked = Asked::of(records);
    let concepts = if asked.is_empty() {
        BTreeMap::new()
    } else {
        vocabulary::concepts(source, |concept| asked.has(concept))?
    };
    let roots = members(records).filter(|(_, member)| member.descendants);
    let roots: BTreeSet<ConceptId> =
        roots.flat_map(|(_, member)| found(&concepts, &member.concept)).collect();
    let below = if is_hierarchical(records) {
        vocabulary::descendants(source, &roots)?
    } else {
        Some(BTreeMap::new())
    };
    let has_ids = source.meds().is_none_or(Meds::has_concept_ids);
    let below = below.as_ref().ok_or_else(|| source.supplying(Table::ConceptAncestor));
    let refuse = |mismatches| InvalidRecords::Vocabulary { place: source.place(), mismatches };
    let mut resolved = meant(records, &concepts, below, has_ids).map_err(refuse)?;
    let read_twice = counted::read_twice(study, records, &resolved.sets);
    if !read_twice.is_empty() {
        return Err(refuse(read_twice));
    }
    for (table, concepts) in places(records) {
        let ids = vocabulary::ids_of(source, table, concepts)?;
        resolved.ids.insert((table, concepts.to_vec()), ids);
    }
    resolved.roots = roots;
    Ok(resolved)
}

/// What the answers in force ask of care sites and providers.
pub(super) fn places(records: &Records) -> impl Iterator<Item = (Table, &[i64])> {
    let marks = records.bindings.iter().flat_map(|binding| match &binding.in_force {
        InForce::Stays(rule) => rule.any_of.as_slice(),
        InForce::Values(_) | InForce::Absent | InForce::Unanswered => &[],
    });
    marks.filter_map(|mark| match mark {
        Mark::Column { column: BoundColumn::PlaceOfService, concepts } => {
            Some((Table::CareSite, concepts.as_slice()))
        }
        Mark::Column { column: BoundColumn::Specialty, concepts } => {
            Some((Table::Provider, concepts.as_slice()))
        }
        Mark::Column { .. } | Mark::Condition(_) => None,
    })
}

/// Whether the source's vocabularies are as late as the study asks.
fn check_release(source: Source<'_>, records: &Records) -> Result<(), InvalidRecords> {
    let Some(oldest) = records.min_vocabulary else { return Ok(()) };
    let refuse = |found: String| {
        let (expected, instead) = (oldest.to_string(), source.supplying(Table::Vocabulary));
        Err(InvalidRecords::OldVocabulary { place: source.place(), expected, found, instead })
    };
    if !source.has(Table::Vocabulary) {
        return refuse(source.lacking(Table::Vocabulary));
    }
    match vocabulary::release(source)? {
        None => refuse("table vocabulary has no vocabulary_version in its row 'None'".to_owned()),
        Some(found) => match found.parse::<VocabularyRelease>() {
            Ok(release) if release >= oldest => Ok(()),
            Ok(release) => refuse(format!("table vocabulary says {release}")),
            Err(_) => refuse(
                "what table vocabulary says in its row 'None' is no release as v5.0 27-FEB-25".to_owned(),
            ),
        },
    }
}

/// The study's words by what was found in the vocabulary; `below` is how to supply a hierarchy where there is none, and `has_ids`
/// says whether the source knows OMOP's numbers at all.
pub(super) fn meant(
    records: &Records,
    concepts: &BTreeMap<ConceptId, Concept>,
    below: Result<&BTreeMap<ConceptId, BTreeSet<ConceptId>>, String>,
    has_ids: bool,
) -> Result<Resolved, Vec<Mismatch>> {
    let mut mismatches = Vec::new();
    let mut notes = Vec::new();
    let mut sets = Vec::new();
    for set in &records.sets {
        let members = || set.include.iter().chain(&set.exclude);
        let by_id = members().find(|member| matches!(member.concept, ConceptRef::Id { .. }));
        if let Some(member) = by_id.filter(|_| !has_ids) {
            let (set, concept) = (set.name.clone(), member.concept.words());
            mismatches.push(Mismatch::NoConceptIds { set, concept });
        }
        if let Err(instead) = &below
            && members().any(|member| member.descendants)
        {
            mismatches.push(Mismatch::NoHierarchy { set: set.name.clone(), instead: instead.clone() });
        }
        let mut concepts_of = |members: &[Member]| -> BTreeSet<ConceptId> {
            let mut all = BTreeSet::new();
            for member in members {
                look(&set.name, member, concepts, &mut mismatches, &mut notes);
                for concept in found(concepts, &member.concept) {
                    let tree = below.as_ref().ok().and_then(|below| below.get(&concept));
                    match tree.filter(|_| member.descendants) {
                        Some(tree) => all.extend(tree),
                        None => drop(all.insert(concept)),
                    }
                }
            }
            all
        };
        let (include, exclude) = (concepts_of(&set.include), concepts_of(&set.exclude));
        sets.push(&include - &exclude);
    }
    if !mismatches.is_empty() {
        return Err(mismatches);
    }
    let units = unit_codes(records)
        .map(|code| {
            let listed = concepts.values().filter(|concept| is_unit(concept) && concept.code == *code);
            let all = listed.map(|concept| concept.id).chain([units::by_text(code)]).collect();
            (code.clone(), all)
        })
        .collect();
    Ok(Resolved { sets, units, ids: BTreeMap::new(), roots: BTreeSet::new(), notes })
}

/// What the study looks up.
struct Asked<'a> {
    ids: HashSet<i64>,
    codes: HashSet<(&'a str, &'a str)>,
    units: HashSet<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(records: &'a Records) -> Self {
        let (mut ids, mut codes) = (HashSet::new(), HashSet::new());
        for (_, member) in members(records) {
            match &member.concept {
                ConceptRef::Id { id, .. } => {
                    ids.insert(*id);
                }
                ConceptRef::Code { vocabulary, code } => {
                    codes.insert((vocabulary.as_str(), code.as_str()));
                }
            }
        }
        Self { ids, codes, units: unit_codes(records).map(String::as_str).collect() }
    }

    fn has(&self, concept: &Concept) -> bool {
        self.ids.contains(&concept.id.0)
            || self.codes.contains(&(concept.vocabulary.as_str(), concept.code.as_str()))
            || is_unit(concept) && self.units.contains(concept.code.as_str())
    }

    fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.codes.is_empty() && self.units.is_empty()
    }
}

/// Whether a study asks for what is below a concept.
pub(super) fn is_hierarchical(records: &Records) -> bool {
    members(records).any(|(_, member)| member.descendants)
}

fn is_unit(concept: &Concept) -> bool {
    concept.vocabulary == "UCUM"
}

fn members(records: &Records) -> impl Iterator<Item = (&str, &Member)> {
    records
        .sets
        .iter()
        .flat_map(|set| set.include.iter().chain(&set.exclude).map(|member| (set.name.as_str(), member)))
}

fn unit_codes(records: &Records) -> impl Iterator<Item = &String> {
    records.covariates.iter().flat_map(|covariate| match covariate {
        Covariate::Measured { units, .. } => units.as_slice(),
        _ => &[],
    })
}

/// An id stands for itself, also where table `concept` does not have it: events name it by the same number.
fn found(concepts: &BTreeMap<ConceptId, Concept>, concept: &ConceptRef) -> Vec<ConceptId> {
    match concept {
        ConceptRef::Id { id, .. } => vec![ConceptId(*id)],
        ConceptRef::Code { vocabulary, code } => {
            by_code(concepts, vocabulary, code).map(|concept| concept.id).collect()
        }
    }
}

fn by_code<'a>(
    concepts: &'a BTreeMap<ConceptId, Concept>,
    vocabulary: &'a str,
    code: &'a str,
) -> impl Iterator<Item = &'a Concept> {
    concepts.values().filter(move |concept| concept.vocabulary == vocabulary && concept.code == code)
}

/// Holds one line of a set against the vocabulary.
fn look(
    set: &str,
    member: &Member,
    concepts: &BTreeMap<ConceptId, Concept>,
    mismatches: &mut Vec<Mismatch>,
    notes: &mut Vec<Note>,
) {
    let mut note = |concept: String, what| notes.push(Note { set: set.to_owned(), concept, what });
    match &member.concept {
        ConceptRef::Id { id, name } => {
            let Some(known) = concepts.get(&ConceptId(*id)) else {
                return note(format!("{name} ({id})"), Remark::NotInVocabulary);
            };
            if known.name.trim() != name.trim() {
                let (asserted, found) = (name.trim().to_owned(), known.name.trim().to_owned());
                mismatches.push(Mismatch::OtherName { set: set.to_owned(), id: *id, asserted, found });
            } else if !known.is_standard && !member.descendants {
                note(format!("{name} ({id})"), Remark::NotStandard);
            }
        }
        ConceptRef::Code { vocabulary, code } => {
            let name = format!("{vocabulary}:{code}");
            let mut known = by_code(concepts, vocabulary, code).peekable();
            if known.peek().is_none() {
                note(name, Remark::NotInVocabulary);
            } else if !member.descendants && known.all(|concept| !concept.is_standard) {
                note(name, Remark::NotStandard);
            }
        }
    }
}
