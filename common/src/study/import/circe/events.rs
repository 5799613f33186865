//! Events: `{ "ConditionOccurrence": { "CodesetId": 3, … } }`.

use super::sets::Sets;
use crate::study::import::node::{Fields, Node};
use crate::study::import::{ALL_DAYS, node};
use crate::study::records::{Criterion, RecordTable};
use jiff::civil::Date;

/// An entry event.
pub(super) struct Entry {
    pub(super) criterion: Criterion,
    /// The first of its kind in all of a person's record.
    pub(super) first: bool,
    /// First and last day on which it may start.
    pub(super) dates: Option<(Date, Date)>,
}

const TABLES: [(&str, RecordTable); 8] = [
    ("ConditionOccurrence", RecordTable::Condition),
    ("Observation", RecordTable::Observation),
    ("DrugExposure", RecordTable::Drug),
    ("ProcedureOccurrence", RecordTable::Procedure),
    ("Measurement", RecordTable::Measurement),
    ("VisitOccurrence", RecordTable::Visit),
    ("VisitDetail", RecordTable::VisitDetail),
    ("Death", RecordTable::Death),
];

/// An entry event with its `First` and its dates.
pub(super) fn entry(item: &Node<'_>, sets: &Sets<'_>) -> Option<Entry> {
    let (table, fields) = kind(item)?;
    let criterion = criterion(table, &fields, sets);
    // Atlas asks for no first death.
    let first = if table == RecordTable::Death { Some(false) } else { fields.truth("First") };
    let start =
        if table == RecordTable::VisitDetail { "VisitDetailStartDate" } else { "OccurrenceStartDate" };
    let dates = fields.get(start).map_or(Some(None), |range| days(&range).map(Some));
    fields.finish(why_not);
    Some(Entry { criterion: criterion?, first: first?, dates: dates? })
}

/// An event that a rule counts.
pub(super) fn counted(item: &Node<'_>, sets: &Sets<'_>) -> Option<Criterion> {
    let (table, fields) = kind(item)?;
    let criterion = criterion(table, &fields, sets);
    let first = fields.truth("First")?;
    if first {
        let why = "rules count every event in their window, not a person's first ones alone";
        return fields.required("First")?.refuse(why);
    }
    fields.finish(why_not);
    criterion
}

fn kind<'a>(item: &Node<'a>) -> Option<(RecordTable, Fields<'a>)> {
    let fields = item.fields()?;
    let entries = fields.entries();
    let [(name, node)] = entries.as_slice() else {
        return item.refuse("expected one kind of event, as ConditionOccurrence");
    };
    match TABLES.iter().find(|(known, _)| known == name) {
        Some((_, table)) => Some((*table, node.fields()?)),
        None => {
            let why = match *name {
                "ConditionEra" | "DrugEra" | "DoseEra" => {
                    "eras are made by OHDSI's tools, not recorded; use the occurrences"
                }
                "ObservationPeriod" => "observation is prior_observation_days here, and no event",
                _ => "a study here does not read the table of these events",
            };
            node.refuse_as(name, why)
        }
    }
}

fn criterion(table: RecordTable, fields: &Fields<'_>, sets: &Sets<'_>) -> Option<Criterion> {
    let set = match fields.get("CodesetId") {
        None => None,
        Some(node) if table == RecordTable::Death => return node.refuse("causes of death are not read"),
        Some(node) => Some(sets.named(&node)?),
    };
    Some(Criterion { table, set })
}

/// `{ "Value": "2015-01-01", "Op": "bt", "Extent": "2024-12-31" }`.
fn days(range: &Node<'_>) -> Option<(Date, Date)> {
    let fields = range.fields()?;
    let day = |key| {
        let node = fields.required(key)?;
        let day = node.text()?.parse::<Date>().ok();
        let known = day.filter(|day| (ALL_DAYS.0..=ALL_DAYS.1).contains(day));
        known.or_else(|| node.refuse("expected a day as 2015-01-31, from 1900 to 2099"))
    };
    let op = fields.required("Op")?;
    let value = day("Value")?;
    let all = ALL_DAYS;
    let dates = match op.text()? {
        "bt" => (value, day("Extent")?),
        "eq" => (value, value),
        "gte" => (value, all.1),
        "lte" => (all.0, value),
        "gt" => (value.tomorrow().expect("before 2100"), all.1),
        "lt" => (all.0, value.yesterday().expect("after 1899")),
        _ => return op.refuse("a study's accrual is one stretch of days"),
    };
    // Atlas keeps it beside other operators, where it means nothing.
    fields.get("Extent");
    fields.finish(node::unknown);
    if dates.0 > dates.1 {
        return range
            .refuse_as(&format!("{} to {}", dates.0, dates.1), "a stretch that ends before it begins");
    }
    Some(dates)
}

/// Why a restriction of an event, or of a person at the index, has no equal.
pub(super) fn why_not(key: &str) -> &'static str {
    match key {
        "Age" => {
            "Atlas subtracts the year of birth from the year; here age is whole years on the day of the index. Take it out, \
             and write { age = { min, max } } in require"
        }
        "Gender" | "GenderCS" => "a cohort here has no rule on sex; it can be a feature or an attribute",
        "CorrelatedCriteria" => {
            "events are not judged by other events beside them here, only people by events beside the index"
        }
        "DateAdjustment" => "an event is on the day on which it is recorded",
        "OccurrenceEndDate" | "VisitDetailEndDate" => "events are judged by their start",
        "VisitType"
        | "VisitTypeCS"
        | "ProviderSpecialty"
        | "ProviderSpecialtyCS"
        | "PlaceOfService"
        | "PlaceOfServiceCS" => "where, by whom and how something was recorded is not read",
        key if key.ends_with("SourceConcept") => {
            "source codes differ from hospital to hospital: a study is on standard concepts"
        }
        key if key.starts_with("Value")
            || key.starts_with("Unit")
            || key.starts_with("Range")
            || key == "Abnormal" =>
        {
            "a cohort here has no rule on values; they can be features"
        }
        _ => "the study language has no rule that means the same",
    }
}
