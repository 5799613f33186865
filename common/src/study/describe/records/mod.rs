//! What a study on records reads, in plain words.

mod predictors;
mod words;

pub(in crate::study) use words::known_though_lost;
pub use words::{concepts, covariate, outcome, terms};

use super::super::bindings::{self, Binding, Mark};
use super::super::notes::Notes;
use super::super::records::{
    Anchor, AtRisk, Cohort, Criterion, DateOnly, Limit, PersonField, RecordTable, RecordTask, Records, Rule,
};
use super::super::{Attribute, AttributeValues, Study};
use super::paragraph;
use std::collections::BTreeSet;
use words::{any_of, concept_set, criterion, field, is_one_concept, window};

pub(super) fn write(out: &mut String, study: &Study, records: &Records) {
    for (label, text) in paragraphs(study, records) {
        paragraph(out, &format!("{label}: "), &text);
    }
}

/// Each with its label.
type Paragraphs = Vec<(String, String)>;

fn paragraphs(study: &Study, records: &Records) -> Paragraphs {
    let mut lines = Paragraphs::new();
    let mut add = |label: &str, text: String| lines.push((label.to_owned(), text));
    add("Source", source(records));
    let (from, to) = records.accrual;
    let time = format!("index from {from} to {to}; outcomes until {}", records.followup_to);
    let several = study.tasks.len() > 1;
    if several {
        add("Time", time.clone());
    }
    if let Some(oldest) = records.min_vocabulary {
        add("Vocabulary", format!("{oldest} or later"));
    }
    for (named, task) in study.tasks.iter().zip(&records.tasks) {
        if several {
            lines.push(("Task".to_owned(), named.name.clone()));
        }
        let time = (!several).then(|| time.clone());
        lines.extend(of_task(&named.name, records, task, time));
    }
    lines.extend(predictors::paragraphs(study, records));
    let mut add = |label: &str, text: String| lines.push((label.to_owned(), text));
    for (attribute, fields) in study.attributes.iter().zip(&records.attributes) {
        let label = match attribute.values.is_completeness_only() {
            true => "Only counted, as recorded or not",
            false => "Subgroups by",
        };
        add(label, subgroups(records, attribute, fields));
    }
    for binding in &records.bindings {
        add(&format!("Binding {}", binding.name), bindings::asked(records, binding));
    }
    for set in records.sets.iter().filter(|set| !is_one_concept(set)) {
        add(&format!("Concepts of {}", set.name), concept_set(set));
    }
    add(
        "Dates without a time",
        match records.date_only {
            DateOnly::Start => "stand for the start of their day".to_owned(),
            DateOnly::End => "stand for the end of their day".to_owned(),
        },
    );
    add("Person", "person_id, which never leaves; one example a person".to_owned());
    lines
}

/// Who is asked about in a task, and what; and when, where it was not said of all tasks together.
fn of_task(name: &str, records: &Records, task: &RecordTask, time: Option<String>) -> Paragraphs {
    let RecordTask { cohort, .. } = task;
    let mut lines = Paragraphs::new();
    let mut add = |label: &str, text: String| lines.push((label.to_owned(), text));
    add("Who", who(records, cohort));
    add("Asked about", asked_about(cohort));
    if let Some(time) = time {
        add("Time", time);
    }
    let observed = match cohort.prior_observation_days {
        0 => "people observed on the day of the index".to_owned(),
        days => {
            format!("people observed without a gap for {days} days before the day of the index, and on it")
        }
    };
    add("Only", observed);
    cohort.require.iter().for_each(|rule| add("Only", self::rule(records, rule)));
    cohort.exclude.iter().for_each(|rule| add("Not", self::rule(records, rule)));
    add("Outcome", outcome(name, records, task));
    if let Some(late) = cut_short(records, task) {
        add("Mind", late);
    }
    lines
}

/// Which tables are opened.
fn source(records: &Records) -> String {
    let table = |one: Criterion| match one.table {
        RecordTable::Stay(_) => RecordTable::Visit,
        table => table,
    };
    let mut tables: BTreeSet<RecordTable> = records.criteria().map(table).collect();
    if records.bindings.iter().any(has_conditions) {
        tables.insert(RecordTable::Condition);
    }
    // Deaths end an observation, or are what no outcome can follow.
    tables.insert(RecordTable::Death);
    if records.any_of_stay() {
        tables.insert(RecordTable::Visit);
    }
    let mut names = vec!["person", "observation_period"];
    names.extend(tables.into_iter().map(RecordTable::name));
    names.extend(match &records.notes {
        None => &[][..],
        Some(Notes::Lexicon(_)) => &["note"],
        Some(Notes::Nlp(_)) => &["note_nlp", "note"],
    });
    names.push("concept");
    let mut members = records.sets.iter().flat_map(|set| set.include.iter().chain(&set.exclude));
    if members.any(|member| member.descendants) {
        names.push("concept_ancestor");
    }
    if records.min_vocabulary.is_some() {
        names.push("vocabulary");
    }
    format!("{}: {}", records.formats.join(" or "), names.join(", "))
}

/// What an answer reads beyond it, its own paragraph says.
fn has_conditions(binding: &Binding) -> bool {
    let mark = |mark: &Mark| matches!(mark, Mark::Condition(_));
    binding.default.as_ref().is_some_and(|rule| rule.any_of.iter().any(mark))
}

fn who(records: &Records, cohort: &Cohort) -> String {
    let entry = any_of(records, &cohort.entry);
    match cohort.limit {
        Limit::FirstEver => format!("each person once, at the first of all their record: {entry}"),
        Limit::FirstInAccrual => {
            format!("each person once, at the first in the study's time that meets every rule here: {entry}")
        }
    }
}

fn asked_about(cohort: &Cohort) -> String {
    let at = match cohort.index {
        Anchor::Start => "start",
        Anchor::End => "end",
    };
    match cohort.predict_after_hours {
        0 => format!("at its {at}, the index; nothing later is looked at"),
        hours => format!("{hours} hours after its {at}, the index; nothing later is looked at"),
    }
}

fn rule(records: &Records, rule: &Rule) -> String {
    /// Nobody is older, so that the limit says nothing.
    const OLDEST: u32 = 120;
    match rule {
        Rule::Age { min, max } if *max >= OLDEST => {
            format!("people aged {min} or more on the day of the index")
        }
        Rule::Age { min, max } => format!("people aged {min} to {max} on the day of the index"),
        Rule::DiedBefore => {
            "people who died before they would be asked about; a death without a time counts \
                             from the start of its day"
                .to_owned()
        }
        Rule::Has { events, window, count_min } => {
            let times = match count_min {
                1 => "any record of".to_owned(),
                times => format!("at least {times} records of"),
            };
            format!("people with {times} {} {}", criterion(records, *events), self::window(window))
        }
        Rule::StillThere => {
            "people still there when they are asked about: the event that they are there for is \
                             not over"
                .to_owned()
        }
        Rule::SeenBy(binding) => {
            let binding = records.binding(*binding);
            let spared = if binding.optional { " (at sites that leave it out: everybody)" } else { "" };
            format!("people with any contact of binding {} before they are asked about{spared}", binding.name)
        }
        Rule::TransferWithin { days } => format!(
            "people with another such stay that starts within {} after the end of this one: a transfer",
            words::days(days.cast_signed())
        ),
    }
}

/// Whose time at risk reaches beyond the end of the study: only those among them of whom all is known are kept.
fn cut_short(records: &Records, task: &RecordTask) -> Option<String> {
    let AtRisk::Days { to, .. } = &task.outcome.at_risk else { return None };
    let last = records.last_followed(task, to.last().copied()?)?;
    (last < records.accrual.1).then(|| {
        let then = match known_though_lost(&task.outcome) {
            None => "they are left out".to_owned(),
            Some(who) => format!("of them only {who} are kept"),
        };
        format!("nobody with an index after {last} can be followed to the end of the time at risk: {then}")
    })
}

fn subgroups(records: &Records, attribute: &Attribute, fields: &[PersonField]) -> String {
    let from: Vec<String> = fields.iter().map(|one| field(records, *one)).collect();
    let labels = match &attribute.values {
        AttributeValues::Concepts(levels) => {
            let mut labels = attribute.values.labels();
            for (label, (concepts, _)) in
                labels.iter_mut().zip(levels).filter(|(_, (listed, _))| !listed.is_empty())
            {
                let concepts: Vec<String> = concepts.iter().map(i64::to_string).collect();
                *label += &format!(" ({})", concepts.join(" "));
            }
            labels
        }
        AttributeValues::RecordedConcepts(states) => {
            let lists = [
                ("refused", &states.refused),
                ("not asked", &states.not_asked),
                ("unknown", &states.unknown),
            ];
            let listed = |label: String| match lists.iter().find(|(of, ids)| *of == label && !ids.is_empty())
            {
                Some((_, ids)) => {
                    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                    format!("{label} ({})", ids.join(" "))
                }
                None => label,
            };
            attribute.values.labels().into_iter().map(listed).collect()
        }
        AttributeValues::Levels(_) | AttributeValues::Bands(_) | AttributeValues::RecordedCells(_) => {
            attribute.values.labels()
        }
    };
    format!("{} from {}: {}", attribute.name, from.join(" and "), labels.join(", "))
}

#[cfg(test)]
mod tests;
