//! The vocabulary: what a concept is called, and which concepts are below it.
//!
//! Tables of millions of rows, of which a study needs few: a reader says what it wants, and only that is kept.

use super::cells::Cell;
use super::error::InvalidOmop;
use super::event::ConceptId;
use super::narrowing::Narrowing;
use super::schema::Table;
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroI64;

/// A row of `concept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concept {
    /// Its number.
    pub id: ConceptId,
    /// Its name.
    pub name: String,
    /// Which domain it is of (`Condition`); empty where the table does not say, or it is not read.
    pub domain: String,
    /// Which vocabulary it is from (`SNOMED`).
    pub vocabulary: String,
    /// Its code there.
    pub code: String,
    /// Whether events are recorded with it (`standard_concept` is `S`).
    pub is_standard: bool,
}

/// The concepts for which `keep` says so, by id; none where the source has no vocabulary. Rows without a number are
/// passed over; of two rows with one number the first counts.
///
/// # Errors
/// A file or a table cannot be used.
pub fn concepts<'a>(
    source: impl Into<Source<'a>>,
    keep: impl Fn(&Concept) -> bool,
) -> Result<BTreeMap<ConceptId, Concept>, InvalidOmop> {
    let mut concepts = BTreeMap::new();
    let source = source.into();
    if let Some(meds) = source.meds() {
        for concept in meds.concepts().iter().filter(|concept| keep(concept)) {
            concepts.entry(concept.id).or_insert_with(|| concept.clone());
        }
        return Ok(concepts);
    }
    source.read(Table::Concept, &mut |batch| {
        for row in 0..batch.rows {
            let Cell::Is(id) = batch.id(0, row) else { continue };
            let text = |column| batch.text(column, row).trim().to_owned();
            let concept = Concept {
                id: ConceptId(id),
                name: text(1),
                domain: text(2),
                vocabulary: text(3),
                code: text(4),
                is_standard: batch.text(5, row).trim().eq_ignore_ascii_case("s"),
            };
            if keep(&concept) {
                concepts.entry(concept.id).or_insert(concept);
            }
        }
        Ok(())
    })?;
    Ok(concepts)
}

/// For each of some concepts all that `concept_ancestor` has below it, itself included; `None` where the folder has no such
/// table, or one without a row.
///
/// # Errors
/// A file or a table cannot be used.
pub fn descendants<'a>(
    source: impl Into<Source<'a>>,
    of: &BTreeSet<ConceptId>,
) -> Result<Option<BTreeMap<ConceptId, BTreeSet<ConceptId>>>, InvalidOmop> {
    let source = source.into();
    if let Some(meds) = source.meds().filter(|meds| meds.ancestors.is_none()) {
        return Ok(meds.below(of));
    }
    let mut rows = 0;
    let mut below: BTreeMap<_, BTreeSet<_>> = of.iter().map(|id| (*id, BTreeSet::from([*id]))).collect();
    // Of a hierarchy of eighty million rows a study needs few.
    let few = Narrowing { ancestors: Some(of.clone()), ..Narrowing::default() };
    source.narrowed(&few).read(Table::ConceptAncestor, &mut |batch| {
        rows += batch.rows;
        for row in 0..batch.rows {
            let (Cell::Is(ancestor), Cell::Is(descendant)) = (batch.id(0, row), batch.id(1, row)) else {
                continue;
            };
            if let Some(set) = below.get_mut(&ConceptId(ancestor)) {
                set.insert(ConceptId(descendant));
            }
        }
        Ok(())
    })?;
    // Nothing below any of them, or nothing at all?
    let is_hierarchy = rows > 0 || source.has_rows(Table::ConceptAncestor)?;
    Ok(is_hierarchy.then_some(below))
}

/// What table `vocabulary` says the release of all vocabularies together is (its row `None`); none where the table, the row
/// or the cell is not there.
///
/// # Errors
/// A file or a table cannot be used.
pub fn release<'a>(source: impl Into<Source<'a>>) -> Result<Option<String>, InvalidOmop> {
    let source = source.into();
    let mut release = None;
    source.read(Table::Vocabulary, &mut |batch| {
        for row in (0..batch.rows).filter(|row| batch.text(0, *row).trim().eq_ignore_ascii_case("none")) {
            let text = batch.text(1, row).trim();
            if release.is_none() && !text.is_empty() {
                release = Some(text.to_owned());
            }
        }
        Ok(())
    })?;
    Ok(release)
}

/// The ids of the rows of `care_site` or `provider` with one of some concepts; nothing else of the table is kept.
///
/// # Errors
/// A file or a table cannot be used.
pub fn ids_of<'a>(
    source: impl Into<Source<'a>>,
    table: Table,
    concepts: &[i64],
) -> Result<BTreeSet<NonZeroI64>, InvalidOmop> {
    let mut ids = BTreeSet::new();
    source.into().read(table, &mut |batch| {
        for row in 0..batch.rows {
            if let (Cell::Is(id), Cell::Is(concept)) = (batch.id(0, row), batch.id(1, row))
                && concepts.contains(&concept)
            {
                ids.extend(NonZeroI64::new(id));
            }
        }
        Ok(())
    })?;
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::*;
    use std::fs;

    #[test]
    fn as_athena_hands_it_out() {
        let dir = tempfile::tempdir().expect("folder");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        write("person.csv", "person_id\n");
        write(
            "CONCEPT.csv",
            "concept_id\tconcept_name\tdomain_id\tvocabulary_id\tconcept_class_id\tstandard_concept\tconcept_code\n\
             440383\tDepressive disorder\tCondition\tSNOMED\tDisorder\tS\t35489007\n\
             1\t\"Bag\" of 5, or 5\" wide\tDevice\tX\tY\t\t007\n\
             \tnobody's\tDevice\tX\tY\t\t8\n\
             1\tagain\tDevice\tX\tY\t\t9\n",
        );
        write(
            "CONCEPT_ANCESTOR.csv",
            "ancestor_concept_id\tdescendant_concept_id\tmin_levels_of_separation\tmax_levels_of_separation\n\
             440383\t440383\t0\t0\n440383\t4152280\t1\t1\n440383\t4141454\t2\t3\n7\t8\t1\t1\n",
        );
        let folder = Folder::open(dir.path()).expect("opens");
        let all = concepts(&folder, |_| true).expect("reads");
        let found: Vec<(i64, &str, &str, bool)> = all
            .values()
            .map(|concept| (concept.id.0, concept.name.as_str(), concept.code.as_str(), concept.is_standard))
            .collect();
        assert_eq!(
            found,
            [
                (1, "\"Bag\" of 5, or 5\" wide", "007", false),
                (440_383, "Depressive disorder", "35489007", true)
            ]
        );
        assert_eq!(concepts(&folder, |concept| concept.is_standard).expect("reads").len(), 1);
        let of = BTreeSet::from([ConceptId(440_383), ConceptId(9)]);
        let below: Vec<(i64, Vec<i64>)> = descendants(&folder, &of)
            .expect("reads")
            .expect("a hierarchy")
            .into_iter()
            .map(|(id, set)| (id.0, set.into_iter().map(|id| id.0).collect()))
            .collect();
        assert_eq!(below, [(9, vec![9]), (440_383, vec![440_383, 4_141_454, 4_152_280])]);
    }
}
