//! Which rows can matter to a study: what a source may leave out where it can do so more cheaply than we.
//!
//! A source is free to give more, and most give everything: [`super::stream::read`] asks again of every event.

use super::event::{ConceptId, Domain};
use super::schema::Table;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of clinical tables, by concept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concepts {
    /// Every row.
    All,
    /// Rows with one of these.
    These(BTreeSet<ConceptId>),
}

/// What a study looks for, and whom it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Of each table that it reads, which rows.
    pub matter: BTreeMap<Domain, Concepts>,
    /// Rows by which a person comes into the study: no other person has an example.
    pub entry: BTreeMap<Domain, Concepts>,
    /// What the study asks for everything below of: no other ancestor's rows matter. None where that is not known.
    pub ancestors: Option<BTreeSet<ConceptId>>,
}

impl Narrowing {
    /// The concepts that rows of a table must have, of the hierarchy as ancestors; none where every row matters.
    #[must_use]
    pub fn of(&self, table: Table) -> Option<&BTreeSet<ConceptId>> {
        match table {
            // What a note says is known once it was read.
            Table::Clinical(Domain::Note) => None,
            Table::Clinical(domain) => named(self.matter.get(&domain)?),
            Table::ConceptAncestor => self.ancestors.as_ref(),
            _ => None,
        }
    }

    /// For each table by which a person comes into the study, the concepts of such rows. None where every row of a table is
    /// one: whoever has rows at all then comes in, as good as.
    #[must_use]
    pub fn entry(&self) -> Option<Vec<(Table, &BTreeSet<ConceptId>)>> {
        let tables = self.entry.iter().map(|(domain, rows)| {
            let concepts = named(rows).filter(|_| *domain != Domain::Note)?;
            Some((Table::Clinical(*domain), concepts))
        });
        tables.collect::<Option<Vec<_>>>().filter(|tables| !tables.is_empty())
    }

    /// Whose rows of a table matter, as [`Self::entry`]; none where everybody's do. Whoever has one of its rows that matter may come
    /// into the study by that very row: then there is nobody to leave out.
    #[must_use]
    pub fn people_of(&self, table: Table) -> Option<Vec<(Table, &BTreeSet<ConceptId>)>> {
        let entry = self.entry().filter(|_| table.is_of_patients())?;
        let by = entry.iter().find(|(by, _)| *by == table).map(|(_, concepts)| *concepts);
        let is_entry = self.of(table).zip(by).is_some_and(|(concepts, by)| concepts.is_subset(by));
        (!is_entry).then_some(entry)
    }
}

/// None where rows are not told apart by their concept; a row without one counts as concept 0, which no filter names.
fn named(rows: &Concepts) -> Option<&BTreeSet<ConceptId>> {
    match rows {
        Concepts::These(concepts) if !concepts.contains(&ConceptId::NONE) => Some(concepts),
        Concepts::These(_) | Concepts::All => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(concepts: &[i64]) -> Concepts {
        Concepts::These(concepts.iter().map(|id| ConceptId(*id)).collect())
    }

    #[test]
    fn what_is_left_out() {
        #[track_caller]
        fn check(visits: Concepts, entry: &[(Domain, Concepts)], expected: (Option<usize>, Option<usize>)) {
            let narrowing = Narrowing {
                matter: BTreeMap::from([(Domain::Visit, visits)]),
                entry: entry.iter().cloned().collect(),
                ancestors: None,
            };
            let of_visits = narrowing.of(Table::Clinical(Domain::Visit)).map(BTreeSet::len);
            assert_eq!((of_visits, narrowing.entry().map(|tables| tables.len())), expected);
            assert!(narrowing.of(Table::Person).is_none());
            assert!(narrowing.of(Table::Clinical(Domain::Drug)).is_none(), "of a table that nobody spoke of");
        }
        let condition = (Domain::Condition, these(&[1, 2]));
        check(these(&[5, 6, 7]), std::slice::from_ref(&condition), (Some(3), Some(1)));
        check(these(&[]), &[condition.clone(), (Domain::Visit, these(&[]))], (Some(0), Some(2)));
        check(Concepts::All, &[condition.clone(), (Domain::Visit, Concepts::All)], (None, None));
        // Concept 0 is also what a row without a concept has.
        check(these(&[0, 5]), &[condition, (Domain::Drug, these(&[0]))], (None, None));
        check(Concepts::All, &[], (None, None));
    }

    #[test]
    fn whose_rows_matter() {
        let narrowing = Narrowing {
            matter: BTreeMap::from([
                (Domain::Condition, these(&[1, 2])),
                (Domain::Visit, these(&[5, 6])),
                (Domain::Note, these(&[1])),
            ]),
            entry: BTreeMap::from([(Domain::Condition, these(&[1, 2])), (Domain::Visit, these(&[5]))]),
            ancestors: Some(BTreeSet::from([ConceptId(7)])),
        };
        #[track_caller]
        fn check(narrowing: &Narrowing, table: Table, expected: bool) {
            assert_eq!(narrowing.people_of(table).is_some(), expected, "{table}");
        }
        check(&narrowing, Table::Clinical(Domain::Condition), false);
        for table in [Domain::Visit, Domain::Measurement, Domain::Note].map(Table::Clinical) {
            check(&narrowing, table, true);
        }
        check(&narrowing, Table::Person, true);
        check(&narrowing, Table::NoteNlp, false);
        check(&narrowing, Table::ConceptAncestor, false);
        assert_eq!(narrowing.of(Table::ConceptAncestor).map(BTreeSet::len), Some(1));
        assert!(narrowing.of(Table::Concept).is_none());
        assert!(
            narrowing.of(Table::Clinical(Domain::Note)).is_none(),
            "a note has no concept before it is read"
        );
        let by_notes = Narrowing { entry: BTreeMap::from([(Domain::Note, these(&[1]))]), ..narrowing };
        check(&by_notes, Table::Person, false);
    }
}
