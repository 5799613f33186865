//! Bindings in plain words.

use super::super::records::{Records, SetIndex};
use super::super::{Data, Study};
use super::answer::fill_in;
use super::{Binding, BoundColumn, InForce, Mark, StayRule, ValueIs, ValueRule, Visits};

/// What the study asks for, and what holds without an answer: `Inpatient stay under …; an answer may use …`.
#[must_use]
pub fn asked(records: &Records, binding: &Binding) -> String {
    let columns: Vec<&str> = binding.may_use.iter().map(|column| column.name()).collect();
    let without = match &binding.default {
        Some(rule) => format!("without an answer {}", stays(records, rule)),
        None if binding.optional => {
            "a site that has nothing of the kind leaves it out, and says so in public".to_owned()
        }
        None => "each site has to answer".to_owned(),
    };
    format!("{}; each site's answer may use {}; {without}", binding.describe, columns.join(", "))
}

/// What holds here.
#[must_use]
pub fn in_force(records: &Records, binding: &Binding) -> String {
    match &binding.in_force {
        InForce::Unanswered => "not answered yet".to_owned(),
        InForce::Absent => "left out".to_owned(),
        InForce::Values(rule) => values(rule),
        InForce::Stays(rule) if binding.is_default() => {
            format!("the study's default: {}", stays(records, rule))
        }
        InForce::Stays(rule) => stays(records, rule),
    }
}

/// One binding as each site fills it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideBySide {
    /// Its name.
    pub binding: String,
    /// As [`asked`].
    pub asked: String,
    /// Each site with what holds there, in the order that they were given.
    pub sites: Vec<(String, String)>,
}

/// For reports: how sites that approved a study fill in its bindings, by the texts that they signed. A text that is no answer
/// to the study is said to be none: it can only be from an agent that is not ours.
#[must_use]
pub fn side_by_side(study: &Study, signed: &[(&str, Option<&str>)]) -> Vec<SideBySide> {
    let filled: Vec<(&str, Option<Study>)> =
        signed.iter().map(|(site, text)| (*site, fill_in(study, text.unwrap_or_default()).ok())).collect();
    let Data::Records(records) = &study.data else { return Vec::new() };
    let at_site = |at: usize, filled: Option<&Study>| match filled.map(|filled| &filled.data) {
        Some(Data::Records(filled)) => in_force(filled, &filled.bindings[at]),
        _ => "what it signed is no answer to the study".to_owned(),
    };
    let row = |(at, binding): (usize, &Binding)| SideBySide {
        binding: binding.name.clone(),
        asked: asked(records, binding),
        sites: filled.iter().map(|(site, study)| ((*site).to_owned(), at_site(at, study.as_ref()))).collect(),
    };
    records.bindings.iter().enumerate().map(row).collect()
}

fn stays(records: &Records, rule: &StayRule) -> String {
    let set = |set: SetIndex| records.set(set).name.as_str();
    let visits = match &rule.visits {
        Visits::Any => "any visit".to_owned(),
        Visits::Set(of) => format!("any visit {}", set(*of)),
        Visits::Listed(concepts) => format!("any visit with visit_concept_id {}", ids(concepts)),
    };
    let mark = |mark: &Mark| match mark {
        Mark::Condition(of) => format!("a condition {} recorded with it", set(*of)),
        Mark::Column { column, concepts } => format!("{} {}", column.name(), ids(concepts)),
    };
    let marks: Vec<String> = rule.any_of.iter().map(mark).collect();
    if marks.is_empty() { visits } else { format!("{visits} that has {}", marks.join(", or ")) }
}

fn values(rule: &ValueRule) -> String {
    let level = |(is, label): &(ValueIs, String)| match is {
        ValueIs::Concepts(concepts) => format!("{label} ({})", ids(concepts)),
        ValueIs::Numbers(low, high) => format!("{label} ({low} to below {high})"),
    };
    let levels: Vec<String> = rule.levels.iter().map(level).collect();
    let of = match rule.column {
        BoundColumn::ObservationConcept => String::new(),
        _ => format!(" of observations {}", ids(&rule.of)),
    };
    format!("the latest {}{of}: {}", rule.column.name(), levels.join(", "))
}

fn ids(concepts: &[i64]) -> String {
    concepts.iter().map(i64::to_string).collect::<Vec<_>>().join(" or ")
}
