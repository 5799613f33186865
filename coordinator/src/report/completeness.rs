//! Of how many people an attribute is recorded, where a study asked for that and for nothing else of it.

use super::ReportData;
use crate::metrics::{Completeness, StateCount};
use consilium_common::report::figures::{grouped, percent};
use consilium_common::report::html::{Html, all, fill};

/// Nothing where the study counts no attribute.
pub(super) fn section(data: &ReportData) -> Html {
    if data.study.completeness().is_empty() {
        return Html::none();
    }
    let counted = &data.metrics.completeness;
    let body = if counted.is_empty() {
        fill("<p>{}</p>", &[&super::not_evaluated(data.stopped.as_ref())])
    } else {
        table(data, counted)
    };
    fill(
        "<section id=\"completeness\"><h2>How often it is recorded</h2>\
         <p>Of these the study asked one thing only: whether they are recorded at all. No score and no outcome was \
         counted by them, and nothing of what they say.</p>{}</section>",
        &[&body],
    )
}

fn table(data: &ReportData, counted: &[Completeness]) -> Html {
    let level = format!("{:.0}% interval", 100.0 * data.study.evaluation.level);
    fill(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">State</th><th scope=\"col\">People</th>\
         <th scope=\"col\">{}</th></tr></thead>{}</table></div>\
         <p class=\"quiet\">People who evaluate, at all hospitals together, each counted once. Counts carry the noise of the \
         release and are rounded to {}; the interval says how far that noise may have moved them. Counts under {} before \
         rounding are not shown.</p>",
        &[
            &level,
            &all(counted.iter().map(|one| attribute(data, one))),
            &data.study.disclosure.round_to,
            &data.study.disclosure.min_count,
        ],
    )
}

fn attribute(data: &ReportData, of: &Completeness) -> Html {
    let share = match of.recorded_share.zip(of.interval) {
        Some((share, [low, high])) => {
            format!(": recorded for {} ({} to {})", percent(share), percent(low), percent(high))
        }
        None => String::new(),
    };
    let row = |one: &StateCount| {
        let people = match one.people {
            Some(people) => grouped(people as f64),
            None => format!("under {}", data.study.disclosure.min_count),
        };
        let interval = one.interval.map_or_else(String::new, |[low, high]| {
            format!("{} to {}", grouped(low as f64), grouped(high as f64))
        });
        fill("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>", &[&one.state, &people, &interval])
    };
    fill(
        "<tbody><tr class=\"grouping\"><th scope=\"rowgroup\" colspan=\"3\">{}{}</th></tr>{}</tbody>",
        &[&of.attribute.replace('_', " "), &share, &all(of.states.iter().map(row))],
    )
}
