//! Which columns of which tables a study reads: what its words name, and no others.

use super::plan::domain_of;
use super::resolve::is_hierarchical;
use crate::data::omop::{Domain, NumberUnit, Part, Table, Wanted};
use consilium_common::study::bindings::{BoundColumn, InForce, Mark};
use consilium_common::study::notes::Notes;
use consilium_common::study::records::{AtRisk, Covariate, PersonField, Records, Rule};

/// The columns that a study reads, of tables that a site may have or not: what `data plan --study` and
/// `data grants --study` show, and what is asked of every source.
#[must_use]
pub fn wanted(records: &Records) -> Wanted {
    let mut wanted = Wanted::default();
    wanted.add(Table::Person, &of_person(records));
    wanted.add(Table::ObservationPeriod, &[]);
    // Who has died is not asked about further, whatever the study is about.
    wanted.add(Table::Clinical(Domain::Death), &[]);
    for criterion in records.criteria() {
        wanted.add(Table::Clinical(domain_of(criterion.table)), &[]);
    }
    for task in &records.tasks {
        let of_stay = task.outcome.at_risk == AtRisk::Stay;
        for entry in &task.cohort.entry {
            let parts: &[Part] = if of_stay { &[Part::End, Part::Visit] } else { &[Part::End] };
            wanted.add(Table::Clinical(domain_of(entry.table)), parts);
        }
    }
    if records.any_of_stay() {
        wanted.add(Table::Clinical(Domain::Visit), &[Part::End, Part::Visit]);
    }
    match &records.notes {
        None => {}
        Some(Notes::Lexicon(_)) => wanted.add(Table::Clinical(Domain::Note), &[Part::Text]),
        Some(Notes::Nlp(_)) => {
            wanted.add(Table::Clinical(Domain::Note), &[Part::Note]);
            wanted.add(Table::NoteNlp, &[]);
        }
    }
    let mut has_units = false;
    for covariate in &records.covariates {
        if let Covariate::Measured { events, unit_missing, .. } = covariate {
            let unit = if *unit_missing { NumberUnit::Optional } else { NumberUnit::Needed };
            wanted.need_numbers(Table::Clinical(domain_of(events.table)), unit);
            has_units = true;
        }
    }
    for binding in &records.bindings {
        of_binding(&binding.in_force, &mut wanted);
    }
    if records.min_vocabulary.is_some() {
        wanted.add(Table::Vocabulary, &[]);
    }
    if has_units || !records.sets.is_empty() {
        wanted.add(Table::Concept, &[]);
    }
    if is_hierarchical(records) {
        wanted.add(Table::ConceptAncestor, &[]);
    }
    wanted
}

/// What the answer in force names, and nothing else of what an answer may use.
fn of_binding(in_force: &InForce, wanted: &mut Wanted) {
    let visit = Table::Clinical(Domain::Visit);
    match in_force {
        InForce::Absent | InForce::Unanswered => {}
        InForce::Values(rule) => {
            let part: &[Part] = match rule.column {
                BoundColumn::ObservationValueConcept => &[Part::Coded],
                BoundColumn::ObservationValueNumber => &[Part::BareNumber],
                _ => &[],
            };
            wanted.need(Table::Clinical(Domain::Observation), part);
        }
        InForce::Stays(rule) => {
            for mark in &rule.any_of {
                let (part, other): (&[Part], Option<Table>) = match mark {
                    Mark::Condition(_) => (&[Part::Visit], Some(Table::Clinical(Domain::Condition))),
                    Mark::Column { column: BoundColumn::VisitDetailConcept, .. } => {
                        (&[Part::Visit], Some(Table::Clinical(Domain::VisitDetail)))
                    }
                    Mark::Column { column: BoundColumn::PlaceOfService, .. } => {
                        (&[Part::CareSite], Some(Table::CareSite))
                    }
                    Mark::Column { column: BoundColumn::Specialty, .. } => {
                        (&[Part::Provider], Some(Table::Provider))
                    }
                    Mark::Column { .. } => (&[], None),
                };
                wanted.need(visit, part);
                if let Some(other) = other {
                    wanted.need(other, part);
                }
            }
        }
    }
}

/// What a study reads of a person that is nowhere but among the attributes.
pub(super) fn columns_of_person(records: &Records) -> Vec<&'static str> {
    let parts = of_person(records);
    let all = [(Part::Gender, "gender"), (Part::Race, "race"), (Part::Ethnicity, "ethnicity")];
    all.into_iter().filter(|(part, _)| parts.contains(part)).map(|(_, name)| name).collect()
}

fn of_person(records: &Records) -> Vec<Part> {
    let of_rules = records.rules().filter_map(|rule| matches!(rule, Rule::Age { .. }).then_some(Part::Birth));
    let of_covariates = records.covariates.iter().filter_map(|covariate| match covariate {
        Covariate::Age => Some(Part::Birth),
        Covariate::Sex { .. } => Some(Part::Gender),
        Covariate::Present { .. }
        | Covariate::Count { .. }
        | Covariate::Measured { .. }
        | Covariate::Noted { .. } => None,
    });
    let of_attributes = records.attributes.iter().flatten().filter_map(|field| match field {
        PersonField::Gender => Some(Part::Gender),
        PersonField::Race => Some(Part::Race),
        PersonField::Ethnicity => Some(Part::Ethnicity),
        PersonField::YearOfBirth => Some(Part::Birth),
        PersonField::Binding(_) => None,
    });
    of_rules.chain(of_covariates).chain(of_attributes).collect()
}
