//! What every `[[task]]` has, of tables and of records.

use super::super::Task;
use super::super::raw::{Ask, Section, Value, ask};
use super::people::distinct;
use super::{label, sections};

/// Most tasks of a study, and most predictions (tasks at their horizons), which are the model's outputs.
const TASKS_MAX: usize = 16;
/// A published share of people with the outcome.
pub(super) const PREVALENCE: Ask = ask(
    "prevalence_public",
    "a published share from 0.0001 to 0.9999, of several horizons_days a list of one for each",
    "prevalence_public = 0.06",
);

/// Every task by what `read` makes of it and its name; all are read before it gives up.
pub(super) fn all<T>(
    top: &Section<'_>,
    mut read: impl FnMut(&Section<'_>, Option<String>) -> T,
) -> Option<Vec<T>> {
    const TASK: Ask = ask("task", "1 to 16 tables [[task]]", "[[task]]");
    const NAME: Ask = ask("name", "one word, another for each task", r#"name = "self_harm""#);
    top.required(TASK, |value| {
        let mut names = Vec::new();
        let tasks = sections(value, |section| {
            let name = section.required(NAME, label);
            if let Some(name) = &name {
                distinct(section, "name", &mut names, name.clone());
            }
            Some(read(section, name))
        })?;
        if (1..=TASKS_MAX).contains(&tasks.len()) { Some(tasks) } else { value.wrong() }
    })
}

/// A task's `prevalence_public` for each of its `predictions`; where their number is not known, none.
pub(super) fn prevalence(section: &Section<'_>, predictions: Option<usize>) -> Option<Vec<Option<f64>>> {
    let Some(predictions) = predictions else {
        section.ignore(&[PREVALENCE.key]);
        return None;
    };
    let shares = section.optional(PREVALENCE, |v| {
        if predictions == 1 && !v.is_list() {
            return share(v).map(|share| vec![share]);
        }
        if predictions > 1 && v.length() != predictions {
            let expected = format!("a list of {predictions} published shares, one for each of horizons_days");
            let found = if v.is_list() { format!("a list of {}", v.length()) } else { v.shown() };
            let instead = format!("write one for each, as {}", list_of(predictions, v));
            return v.wrong_because(&expected, &found, &instead);
        }
        v.list(predictions..=predictions, |item| {
            if item.as_number().is_some_and(is_share) {
                return item.as_number();
            }
            item.wrong_because(
                "a published share from 0.0001 to 0.9999",
                &item.shown(),
                "write a share, as 0.06",
            )
        })
    });
    Some(shares?.map_or_else(|| vec![None; predictions], |shares| shares.into_iter().map(Some).collect()))
}

/// As `prevalence_public = [0.02, 0.06]`: what was written, where it may stand, and filled up with its last.
fn list_of(predictions: usize, value: &Value<'_>) -> String {
    let written = if value.is_list() { value.numbers() } else { value.as_number().into_iter().collect() };
    let mut shares: Vec<f64> = written.into_iter().filter(|share| is_share(*share)).collect();
    shares.resize(predictions, shares.last().copied().unwrap_or(0.06));
    let shares: Vec<String> = shares.iter().map(f64::to_string).collect();
    format!("{} = [{}]", PREVALENCE.key, shares.join(", "))
}

fn is_share(number: f64) -> bool {
    (0.0001..=0.9999).contains(&number)
}

pub(super) fn share(value: &Value<'_>) -> Option<f64> {
    value.number(is_share)
}

/// How many outputs the model has.
pub(super) fn predictions(tasks: &[Task]) -> usize {
    tasks.iter().map(|task| task.prevalence_public.len()).sum()
}

/// The tasks with what `[model]` says of the only prediction.
pub(super) fn with_prevalence(
    top: &Section<'_>,
    mut tasks: Vec<Task>,
    of_model: Option<f64>,
) -> Option<Vec<Task>> {
    let predictions = predictions(&tasks);
    if predictions > TASKS_MAX {
        let expected = format!("at most {TASKS_MAX} predictions: every horizon of every task is one");
        top.wrong("task", &expected, &predictions.to_string(), "list fewer tasks or horizons_days");
        return None;
    }
    let Some(share) = of_model else { return Some(tasks) };
    let path = "model.prevalence_public";
    match &mut tasks[..] {
        [Task { prevalence_public, .. }] if **prevalence_public == [None] => {
            *prevalence_public = vec![Some(share)]
        }
        [Task { prevalence_public, .. }] if prevalence_public.len() == 1 => {
            top.wrong(path, "one published share", "another in the task", "remove one of them");
        }
        _ => {
            let instead =
                "write prevalence_public in each [[task]], a list where it has several horizons_days";
            top.wrong(path, "nothing: the study predicts several outcomes", &share.to_string(), instead);
        }
    }
    Some(tasks)
}
