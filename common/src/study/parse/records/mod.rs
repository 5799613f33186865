//! `[data]`, `[concept_set]`, `[cohort]`, `[[task]]`, `[features]`, `[[attribute]]` of a study on OMOP records: to the
//! checked form of [`super::super::records`].

mod attributes;
mod bindings;
mod cohort;
mod features;
mod followed;
mod measured;
mod notes;
mod sets;
mod task;
mod windows;

use super::super::raw::{Ask, Section, Value, ask};
use super::super::records::{DateOnly, RecordTask, Records};
use super::super::vocabulary::VocabularyRelease;
use super::super::{Data, Study};
use super::{Parts, distinct_cells, section};
use jiff::civil::Date;

const DATA: Ask = ask("data", "a table", "[data]");
const FORMAT: Ask = ask(
    "format",
    "a list of \"omop-cdm-5.4\", \"omop-cdm-5.3\" and \"meds-0.4\": what a site may hold",
    r#"format = ["omop-cdm-5.4"]"#,
);
const FEATURES: Ask = ask(
    "features",
    "a table",
    "[features], with demographics, conditions, [[features.measurement]] and so on",
);
const MAX_FEATURES: Ask = ask(
    "max_features",
    "a whole number from 1 to 4096: the file is refused if it yields more inputs",
    "max_features = 64",
);

/// Whether the file is one on records: its format says so, or, where the format is wrong, it has what only they have.
pub(super) fn are_meant(top: &Section<'_>) -> bool {
    let format = top.peek_section(DATA).and_then(|data| data.peek(FORMAT));
    let formats = format.map_or(Vec::new(), |format| format.texts());
    if formats.iter().any(|format| format.starts_with("omop") || format.starts_with("meds")) {
        return true;
    }
    !formats.contains(&"table") && (top.has("concept_set") || top.has("cohort"))
}

/// Of a study on records.
pub(super) fn parts(top: &Section<'_>) -> Parts {
    let source = source(top);
    whole_people_split(top);
    let sets = sets::read(top);
    let windows = windows::read(top);
    let bindings = bindings::read(top, &sets);
    let named = Named { sets: &sets, bindings: &bindings };
    let cohorts = cohort::read(top, named, &windows);
    let tasks = task::read(top, named, &cohorts);
    let targets =
        tasks.as_ref().map(|tasks| tasks.iter().map(|task| task.target.clone()).collect::<Vec<_>>());
    let cohorts = cohort::choose(top, &cohorts, targets.as_deref());
    // What the first to be asked about may not know yet, no window reaches.
    let hours = cohorts.as_ref().and_then(|all| all.iter().map(|cohort| cohort.predict_after_hours).min());
    windows::check(top, &windows, hours);
    let (noted, notes) = notes::read(top, &sets, &windows).unzip();
    let features = features::read(top, &sets, &windows, hours, noted);
    let attributes = attributes::read(top, &bindings);
    let (attributes, fields) = unzipped(attributes);
    let (features, covariates) = unzipped(features);
    let (tasks, outcomes): (Vec<_>, Vec<_>) =
        tasks.into_iter().flatten().map(|task| (task.task, task.outcome)).unzip();
    let tasks = tasks.into_iter().collect::<Option<Vec<_>>>().filter(|tasks| !tasks.is_empty());
    let records = || {
        let (source, cohorts) = (source?, cohorts?);
        let outcomes = outcomes.into_iter().collect::<Option<Vec<_>>>()?;
        let tasks = cohorts.into_iter().zip(outcomes);
        let tasks = tasks.map(|(cohort, outcome)| RecordTask { cohort, outcome }).collect();
        let (covariates, attributes, notes) = (covariates?, fields?, notes?);
        let bindings = bindings.finish(top);
        let sets = sets.finish(top)?;
        let Source { formats, accrual, followup_to, date_only, min_vocabulary } = source;
        Some(Records {
            formats,
            accrual,
            followup_to,
            date_only,
            min_vocabulary,
            bindings: bindings?,
            sets,
            tasks,
            covariates,
            attributes,
            notes,
        })
    };
    let data = records().map(|records| Data::Records(Box::new(records)));
    Parts { data, tasks, features, attributes }
}

/// What events are named by.
#[derive(Clone, Copy)]
struct Named<'a> {
    sets: &'a sets::Sets,
    bindings: &'a bindings::Bindings,
}

fn unzipped<A, B>(both: Option<Vec<(A, B)>>) -> (Option<Vec<A>>, Option<Vec<B>>) {
    both.map(|both| both.into_iter().unzip()).unzip()
}

/// `[data]`.
struct Source {
    formats: Vec<String>,
    accrual: (Date, Date),
    followup_to: Date,
    date_only: DateOnly,
    min_vocabulary: Option<VocabularyRelease>,
}

const ACCRUAL: Ask = ask(
    "accrual",
    "a table of from and to: the days on which an index may lie",
    "accrual = { from = 2015-01-01, to = 2024-12-31 }",
);
const FROM: Ask = ask("from", "a day without quotes", "from = 2015-01-01");
const TO: Ask = ask("to", "a day without quotes", "to = 2024-12-31");

/// `data.accrual` as it stands in the file, whatever else is wrong there; none where it is no two days in order.
pub(super) fn accrual(top: &Section<'_>) -> Option<(Date, Date)> {
    let accrual = top.peek_section(DATA)?.peek_section(ACCRUAL)?;
    let day = |ask| -> Option<Date> { accrual.peek(ask)?.shown().parse().ok() };
    day(FROM).zip(day(TO)).filter(|(first, last)| first <= last)
}

fn source(top: &Section<'_>) -> Option<Source> {
    const FOLLOWUP: Ask = ask(
        "followup_to",
        "the last day on which an outcome counts, without quotes",
        "followup_to = 2025-12-31",
    );
    const DATE_ONLY: Ask = ask(
        "date_only_rule",
        "\"end-of-day\" or \"start-of-day\": what a date without a time means",
        r#"date_only_rule = "end-of-day""#,
    );
    const CODES: Ask = ask(
        "code_system",
        "\"standard\": source codes differ from hospital to hospital",
        r#"code_system = "standard""#,
    );
    const VOCABULARY: Ask = ask(
        "min_vocabulary",
        "the oldest release of the OMOP vocabularies",
        r#"min_vocabulary = "v5.0 2025-02-27""#,
    );
    section(top, DATA, |section| {
        let formats = section.required(FORMAT, |v| {
            let word = |item: &Value<'_>| {
                item.word(&["omop-cdm-5.4", "omop-cdm-5.3", "meds-0.4"]).map(str::to_owned)
            };
            let formats = v.list(1..=8, word)?;
            distinct_cells(v, &formats)?;
            Some(formats)
        });
        let accrual = super::section(section, ACCRUAL, |accrual| {
            let from = accrual.required(FROM, Value::date);
            let to = accrual.required(TO, |v| not_before(v, from, TO));
            Some((from?, to?))
        });
        let accrued = accrual.map(|(_, to)| to);
        let followup_to = section.required(FOLLOWUP, |v| not_before(v, accrued, FOLLOWUP));
        let date_only = section.required(DATE_ONLY, |v| {
            Some(match v.word(&["end-of-day", "start-of-day"])? {
                "end-of-day" => DateOnly::End,
                _ => DateOnly::Start,
            })
        });
        let codes = section.optional(CODES, |v| v.word(&["standard"]));
        let min_vocabulary = section.optional(VOCABULARY, Value::parsed);
        codes?;
        Some(Source {
            formats: formats?,
            accrual: accrual?,
            followup_to: followup_to?,
            date_only: date_only?,
            min_vocabulary: min_vocabulary?,
        })
    })
}

fn not_before(value: &Value<'_>, first: Option<Date>, ask: Ask) -> Option<Date> {
    let date = value.date()?;
    match first.filter(|first| date < *first) {
        None => Some(date),
        Some(first) => {
            let expected = format!("a day from {first} on");
            value.wrong_because(
                &expected,
                &date.to_string(),
                &format!("write {} = {first}, or later", ask.key),
            )
        }
    }
}

/// Records have no column that says who trains.
fn whole_people_split(top: &Section<'_>) {
    const SPLIT: Ask = ask("split", "a table", "[split]");
    const INTERNAL: Ask = ask("internal", "a table", r#"internal = { type = "site-hash" }"#);
    const TYPE: Ask = ask("type", "\"site-hash\"", r#"type = "site-hash""#);
    let by = || top.peek_section(SPLIT)?.peek_section(INTERNAL)?.peek(TYPE);
    if let Some(by) = by().filter(|by| by.shown() == "\"column\"") {
        let expected = "\"site-hash\": records have no column that says who trains";
        let _: Option<()> = by.wrong_because(
            expected,
            "\"column\"",
            "write internal = { type = \"site-hash\" } and training_share = 0.7",
        );
    }
}

/// What only shows once all parts are there: more inputs than the file allows itself.
pub(super) fn check_inputs(top: &Section<'_>, study: &Study) {
    if matches!(study.data, Data::Table(_)) {
        return;
    }
    let most = || top.peek_section(FEATURES)?.peek(MAX_FEATURES)?.integer(1..=4096);
    let most = most().expect("was read before");
    let inputs = study.architecture().inputs;
    if inputs as u64 > most {
        let expected = format!("at least the {inputs} inputs that the file yields");
        let instead = format!("write max_features = {inputs}, or list less");
        top.wrong("features.max_features", &expected, &most.to_string(), &instead);
    }
}

#[cfg(test)]
pub(in crate::study) mod tests;
