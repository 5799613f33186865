//! Bindings as this site fills them in: which of its visits are stays, and where values of attributes stand.
//! `consilium_common::study::bindings` says what the rules mean.

use super::plan::{Concepts, Looked, LookedFor, Plan, Wanted};
use super::resolve::Resolved;
use super::timeline::{Asked, Timeline};
use crate::data::omop::{ConceptId, Domain, Event, Table, Value};
use consilium_common::study::Study;
use consilium_common::study::bindings::{
    BindingIndex, BoundColumn, InForce, Mark, StayRule, ValueIs, ValueRule,
};
use consilium_common::study::records::{PersonField, Records};
use std::collections::BTreeSet;
use std::num::NonZeroI64;

/// Visits of a binding, by what they have to have.
pub(super) struct BoundStay {
    wanted: Wanted,
    /// Any of them; none where every visit that is looked for counts.
    any_of: Vec<Has>,
}

/// What tells a stay.
enum Has {
    Concept(Vec<i64>),
    CareSite(BTreeSet<NonZeroI64>),
    Provider(BTreeSet<NonZeroI64>),
    /// Any such event with the visit's number.
    With(Wanted),
}

/// Values of a binding, and for each attribute that reads it which of its levels they mean.
pub(super) struct BoundValues {
    events: Wanted,
    rule: ValueRule,
    /// By attribute, then by level of the rule.
    levels: Vec<Vec<usize>>,
}

/// The stays that something looks for; what they need to be told by is looked for, too.
pub(super) fn stays(records: &Records, resolved: &Resolved, looked: &mut LookedFor) -> Vec<BoundStay> {
    let mut stays = Vec::new();
    for (wanted, binding) in looked.stays() {
        let InForce::Stays(StayRule { any_of, .. }) = &records.binding(binding).in_force else { continue };
        let any_of = any_of.iter().map(|mark| has(mark, resolved, looked)).collect();
        stays.push(BoundStay { wanted, any_of });
    }
    stays
}

fn has(mark: &Mark, resolved: &Resolved, looked: &mut LookedFor) -> Has {
    match mark {
        Mark::Condition(set) => {
            Has::With(looked.number(Looked { domain: Domain::Condition, concepts: Concepts::Set(*set) }))
        }
        Mark::Column { column, concepts } => match column {
            BoundColumn::VisitConcept => Has::Concept(concepts.clone()),
            BoundColumn::VisitDetailConcept => {
                let concepts = Concepts::Listed(concepts.clone());
                Has::With(looked.number(Looked { domain: Domain::VisitDetail, concepts }))
            }
            BoundColumn::PlaceOfService => Has::CareSite(resolved.ids_of(Table::CareSite, concepts)),
            BoundColumn::Specialty => Has::Provider(resolved.ids_of(Table::Provider, concepts)),
            BoundColumn::ObservationConcept
            | BoundColumn::ObservationValueConcept
            | BoundColumn::ObservationValueNumber => {
                unreachable!("an answer for stays names columns for stays")
            }
        },
    }
}

/// The concepts of the observations that values stand in.
pub(super) fn observations(rule: &ValueRule) -> Vec<i64> {
    let mut concepts = rule.of.clone();
    if rule.column == BoundColumn::ObservationConcept {
        for (is, _) in &rule.levels {
            let ValueIs::Concepts(listed) = is else { unreachable!("concepts are told by concepts") };
            concepts.extend(listed);
        }
    }
    concepts
}

/// For each binding its values, where it has any here.
pub(super) fn values(study: &Study, records: &Records, looked: &mut LookedFor) -> Vec<Option<BoundValues>> {
    let mut of_binding = |at: usize| {
        let InForce::Values(rule) = &records.bindings[at].in_force else { return None };
        let concepts = Concepts::Listed(observations(rule));
        let events = looked.number(Looked { domain: Domain::Observation, concepts });
        let attributes = study.attributes.iter().zip(&records.attributes);
        let levels = attributes.map(|(attribute, fields)| {
            if !fields.contains(&PersonField::Binding(BindingIndex(at))) {
                return Vec::new();
            }
            let labels = attribute.values.levels();
            let place = |label: &String| labels.iter().position(|known| known == label);
            let level =
                |(_, label): &(ValueIs, String)| place(label).expect("answers give the attribute's labels");
            rule.levels.iter().map(level).collect()
        });
        Some(BoundValues { events, rule: rule.clone(), levels: levels.collect() })
    };
    (0..records.bindings.len()).map(&mut of_binding).collect()
}

/// Takes the visits that are no stays out of the lists of a person's events.
pub(super) fn narrow(lists: &mut [Vec<u32>], plan: &Plan<'_>, events: &[Event]) {
    for BoundStay { wanted, any_of } in plan.stays.iter().filter(|stay| !stay.any_of.is_empty()) {
        let mut candidates = std::mem::take(&mut lists[wanted.0]);
        let visits_with: Vec<BTreeSet<NonZeroI64>> =
            any_of.iter().map(|has| visits_with(has, lists, events)).collect();
        candidates.retain(|at| {
            let visit = &events[*at as usize];
            let number_in =
                |with: &BTreeSet<NonZeroI64>| visit.visit.is_some_and(|visit| with.contains(&visit));
            any_of.iter().zip(&visits_with).any(|(has, with)| match has {
                Has::Concept(concepts) => concepts.contains(&visit.concept.0),
                Has::CareSite(ids) => visit.care_site.is_some_and(|id| ids.contains(&id)),
                Has::Provider(ids) => visit.provider.is_some_and(|id| ids.contains(&id)),
                Has::With(_) => number_in(with),
            })
        });
        lists[wanted.0] = candidates;
    }
}

/// The numbers of the visits with which something was recorded.
fn visits_with(has: &Has, lists: &[Vec<u32>], events: &[Event]) -> BTreeSet<NonZeroI64> {
    let Has::With(wanted) = has else { return BTreeSet::new() };
    lists[wanted.0].iter().filter_map(|at| events[*at as usize].visit).collect()
}

/// The level of an attribute that a binding tells of a person, at the prediction time.
pub(super) fn level(
    plan: &Plan<'_>,
    binding: BindingIndex,
    attribute: usize,
    timeline: &Timeline<'_>,
    asked: &Asked<'_>,
) -> Option<usize> {
    let values = plan.values[binding.0].as_ref()?;
    let known = timeline.of(values.events).filter(|event| timeline.start(event) <= asked.predict);
    let with_level = known.filter_map(|event| Some((timeline.start(event), level_of(&values.rule, event)?)));
    // Of several at one moment the last in the stream's order.
    let (_, level) = with_level.max_by_key(|(start, _)| *start)?;
    Some(values.levels[attribute][level])
}

/// Place among the rule's levels.
fn level_of(rule: &ValueRule, event: &Event) -> Option<usize> {
    let of_concept = |concept: ConceptId| {
        let lists =
            |(is, _): &(ValueIs, String)| matches!(is, ValueIs::Concepts(all) if all.contains(&concept.0));
        rule.levels.iter().position(lists)
    };
    match (rule.column, event.value) {
        (BoundColumn::ObservationConcept, _) => of_concept(event.concept),
        (BoundColumn::ObservationValueConcept, Value::Concept(concept)) => of_concept(concept),
        (BoundColumn::ObservationValueNumber, Value::Number(number)) => {
            let within = |(is, _): &(ValueIs, String)| matches!(is, ValueIs::Numbers(low, high) if (*low..*high).contains(&number));
            rule.levels.iter().position(within)
        }
        _ => None,
    }
}
