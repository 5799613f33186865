//! Which columns of which tables a study reads: what its words name, and no others.

use super::plan::domain_of;
use super::resolve::is_hierarchical;
use crate::data::omop::{Domain, Part, Table, Wanted};
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
    let of_stay = records.outcome.at_risk == AtRisk::Stay;
    for entry in &records.cohort.entry {
        let parts: &[Part] = if of_stay { &[Part::End, Part::Visit] } else { &[Part::End] };
        wanted.add(Table::Clinical(domain_of(entry.table)), parts);
    }
    if of_stay {
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
        if let Covariate::Measured { events, .. } = covariate {
            wanted.add(Table::Clinical(domain_of(events.table)), &[Part::Number]);
            has_units = true;
        }
    }
    if has_units || !records.sets.is_empty() {
        wanted.add(Table::Concept, &[]);
    }
    if is_hierarchical(records) {
        wanted.add(Table::ConceptAncestor, &[]);
    }
    wanted
}

/// What a study reads of a person that is nowhere but among the attributes.
pub(super) fn columns_of_person(records: &Records) -> Vec<&'static str> {
    let parts = of_person(records);
    let all = [(Part::Gender, "gender"), (Part::Race, "race"), (Part::Ethnicity, "ethnicity")];
    all.into_iter().filter(|(part, _)| parts.contains(part)).map(|(_, name)| name).collect()
}

fn of_person(records: &Records) -> Vec<Part> {
    let rules = records.cohort.require.iter().chain(&records.cohort.exclude);
    let of_rules = rules.filter_map(|rule| matches!(rule, Rule::Age { .. }).then_some(Part::Birth));
    let of_covariates = records.covariates.iter().filter_map(|covariate| match covariate {
        Covariate::Age => Some(Part::Birth),
        Covariate::Sex { .. } => Some(Part::Gender),
        Covariate::Present { .. }
        | Covariate::Count { .. }
        | Covariate::Measured { .. }
        | Covariate::Noted { .. } => None,
    });
    let of_attributes = records.attributes.iter().flatten().map(|field| match field {
        PersonField::Gender => Part::Gender,
        PersonField::Race => Part::Race,
        PersonField::Ethnicity => Part::Ethnicity,
        PersonField::YearOfBirth => Part::Birth,
    });
    of_rules.chain(of_covariates).chain(of_attributes).collect()
}
