//! Attributes that are only counted, where a site's own answer says in which records they stand: nothing else of the study
//! may read those, or more would be told of them than whether they are recorded. What a study's own text shows of this is
//! refused when it is read; the rest shows here, once concepts are known.

use super::bound::observations;
use super::error::Mismatch;
use crate::data::omop::ConceptId;
use consilium_common::study::Study;
use consilium_common::study::bindings::InForce;
use consilium_common::study::records::{Criterion, PersonField, RecordTable, Records};
use std::collections::BTreeSet;

/// Each other reader of an observation by which a counted attribute is told; `sets` are the concepts of [`Records::sets`].
pub(super) fn read_twice(study: &Study, records: &Records, sets: &[BTreeSet<ConceptId>]) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for counted in study.completeness() {
        let concepts = told_by(records, counted);
        let in_set = |events: &Criterion| {
            let set = events.set.filter(|_| events.table == RecordTable::Observation)?;
            let concept = concepts.iter().find(|concept| sets[set.0].contains(&ConceptId(**concept)))?;
            Some((*concept, format!("concept set {}", records.set(set).name)))
        };
        let of_attribute = |other: usize| {
            let theirs = told_by(records, other);
            let concept = concepts.intersection(&theirs).next().filter(|_| other != counted)?;
            Some((*concept, format!("attribute {}", study.attributes[other].name)))
        };
        let of_sets = records.criteria().filter_map(|events| in_set(&events));
        let of_attributes = (0..study.attributes.len()).filter_map(of_attribute);
        // The same set may be asked for in several places.
        let clashes: BTreeSet<(i64, String)> = of_sets.chain(of_attributes).collect();
        found.extend(clashes.into_iter().map(|(concept, also)| Mismatch::Counted {
            attribute: study.attributes[counted].name.clone(),
            concept,
            also,
        }));
    }
    found
}

/// The concepts of the observations in which this site says that an attribute stands.
fn told_by(records: &Records, attribute: usize) -> BTreeSet<i64> {
    let rules = records.attributes[attribute].iter().filter_map(|field| match field {
        PersonField::Binding(binding) => match &records.binding(*binding).in_force {
            InForce::Values(rule) => Some(rule),
            InForce::Stays(_) | InForce::Absent | InForce::Unanswered => None,
        },
        PersonField::Gender | PersonField::Race | PersonField::Ethnicity | PersonField::YearOfBirth => None,
    });
    rules.flat_map(observations).collect()
}
