//! What a site's answers to bindings mean, from the words of `study::bindings`.

use super::super::hand::kind_of;
use super::Naive;
use crate::data::omop::{Domain, Event, Table, Value};
use consilium_common::study::bindings::{BindingIndex, BoundColumn, InForce, Mark, ValueIs, Visits};
use consilium_common::study::records::*;
use jiff::civil::DateTime;

impl Naive<'_> {
    /// Whether a visit is a stay of a binding.
    pub(super) fn is_stay(&self, visit: &Event, binding: BindingIndex) -> bool {
        let InForce::Stays(rule) = &self.records.bindings[binding.0].in_force else { return false };
        let is_of = |set: &SetIndex, event: &Event| {
            let ConceptRef::Id { id, .. } = &self.records.sets[set.0].include[0].concept else {
                unreachable!("sets of one id")
            };
            event.concept.0 == *id
        };
        let can_be = match &rule.visits {
            Visits::Any => true,
            Visits::Set(set) => is_of(set, visit),
            Visits::Listed(concepts) => concepts.contains(&visit.concept.0),
        };
        let recorded_with = |domain: Domain, fits: &dyn Fn(&Event) -> bool| {
            let with = |event: &&Event| {
                event.domain == domain && event.visit.is_some() && event.visit == visit.visit
            };
            self.events.iter().filter(with).any(fits)
        };
        let kind = |table, id: Option<std::num::NonZeroI64>| id.map(|id| kind_of(table, id.get()));
        let mut marked = rule.any_of.is_empty();
        for mark in &rule.any_of {
            marked |= match mark {
                Mark::Condition(set) => recorded_with(Domain::Condition, &|event| is_of(set, event)),
                Mark::Column { column, concepts } => {
                    let listed = |concept: Option<i64>| concept.is_some_and(|one| concepts.contains(&one));
                    match column {
                        BoundColumn::VisitConcept => listed(Some(visit.concept.0)),
                        BoundColumn::VisitDetailConcept => {
                            recorded_with(Domain::VisitDetail, &|event| listed(Some(event.concept.0)))
                        }
                        BoundColumn::PlaceOfService => listed(kind(Table::CareSite, visit.care_site)),
                        BoundColumn::Specialty => listed(kind(Table::Provider, visit.provider)),
                        other => unreachable!("{other:?} is of values"),
                    }
                }
            };
        }
        visit.domain == Domain::Visit && can_be && marked
    }

    /// The label that a binding tells.
    pub(super) fn told(&self, binding: BindingIndex, predict: DateTime) -> Option<&str> {
        let InForce::Values(rule) = &self.records.bindings[binding.0].in_force else { return None };
        let mut latest: Option<(DateTime, &str)> = None;
        for event in self.events {
            let at = self.at(event.time);
            if event.domain != Domain::Observation || at > predict {
                continue;
            }
            let is_of = rule.of.contains(&event.concept.0);
            for (is, label) in &rule.levels {
                let says = match (is, rule.column, event.value) {
                    (ValueIs::Concepts(all), BoundColumn::ObservationConcept, _) => {
                        all.contains(&event.concept.0)
                    }
                    (ValueIs::Concepts(all), _, Value::Concept(coded)) => is_of && all.contains(&coded.0),
                    (ValueIs::Numbers(low, high), _, Value::Number(number)) => {
                        is_of && *low <= number && number < *high
                    }
                    _ => false,
                };
                if says && latest.is_none_or(|(before, _)| before <= at) {
                    latest = Some((at, label));
                }
            }
        }
        latest.map(|(_, label)| label)
    }
}
