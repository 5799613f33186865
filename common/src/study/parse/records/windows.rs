//! `features.windows`, and windows that are written where they are used.

use super::super::is_label;
use super::FEATURES;
use super::sets::listed;
use crate::study::raw::{Ask, Section, Value, ask, nearest};
use crate::study::records::{WINDOW_DAYS_MAX, Window};

/// The name of a window or one written out, under the key `window`.
pub(super) const USED: Ask = ask(
    "window",
    "the name of a window, or two days as [-30, 0], or two hours as [\"0h\", \"24h\"]",
    r#"window = "short", or [-30, 0]"#,
);
const HOURS_MAX: i32 = 24 * WINDOW_DAYS_MAX;

/// `features.windows` by name; none where one has a mistake.
pub(super) type Windows = Vec<(String, Option<Window>)>;

pub(super) fn read(top: &Section<'_>) -> Windows {
    const WINDOWS: Ask = ask(
        "windows",
        "a table of windows: two days beside the index as [-30, 0], or two hours as [\"0h\", \"24h\"]",
        "windows = { short = [-30, 0], long = [-365, 0] }",
    );
    let windows = top.peek_section(FEATURES).and_then(|features| features.peek(WINDOWS)?.section());
    let entries = windows.map_or(Vec::new(), |windows| windows.entries(WINDOWS));
    let entry = |(name, value): (String, Value<'_>)| {
        let window = literal(&value);
        if is_label(&name) {
            return (name, window);
        }
        let instead = "write a name such as short";
        let wrong = value.wrong_because("a name of letters, digits, _ and -", &format!("{name:?}"), instead);
        (name, wrong)
    };
    entries.into_iter().map(entry).collect()
}

/// No window may reach past the prediction time.
pub(super) fn check(top: &Section<'_>, windows: &Windows, predict_after_hours: Option<u32>) {
    for (name, window) in windows {
        if let (Some(window), Some(hours)) = (window, predict_after_hours)
            && let Some((expected, found, instead)) = too_late(*window, hours)
        {
            top.wrong(&format!("features.windows.{name}"), &expected, &found, &instead);
        }
    }
}

/// A named window; none after a report, or where the window itself has a mistake.
pub(super) fn named(value: &Value<'_>, windows: &Windows) -> Option<(String, Window)> {
    let name = value.text_where(|_| true)?;
    if let Some((_, window)) = windows.iter().find(|(known, _)| *known == name) {
        return window.map(|window| (name, window));
    }
    let known = windows.iter().map(|(known, _)| known.as_str());
    let instead = match nearest(&name, known.clone()) {
        Some(close) => format!("did you mean {close}?"),
        None => format!("add {name} to features.windows, as windows = {{ {name} = [-30, 0] }}"),
    };
    value.wrong_because(&format!("the name of a window: {}", listed(known)), &format!("{name:?}"), &instead)
}

/// A window by its name or written out.
pub(super) fn used(value: &Value<'_>, windows: &Windows, predict_after_hours: Option<u32>) -> Option<Window> {
    if !value.is_list() {
        return named(value, windows).map(|(_, window)| window);
    }
    let window = literal(value)?;
    match predict_after_hours.and_then(|hours| too_late(window, hours)) {
        None => Some(window),
        Some((expected, found, instead)) => value.wrong_because(&expected, &found, &instead),
    }
}

fn literal(value: &Value<'_>) -> Option<Window> {
    let days = -WINDOW_DAYS_MAX..=WINDOW_DAYS_MAX;
    // Words are hours, anything else must be days.
    let window = if value.texts().is_empty() {
        let ends = value.list(2..=2, |item| item.signed(days.clone()))?;
        Window::Days { from: ends[0], to: ends[1] }
    } else {
        let ends = value.list(2..=2, hours)?;
        Window::Hours { from: ends[0], to: ends[1] }
    };
    let (from, to, shown) = match window {
        Window::Days { from, to } => (from, to, format!("[{to}, {from}]")),
        Window::Hours { from, to } => (from, to, format!("[\"{to}h\", \"{from}h\"]")),
    };
    if from > to {
        let found = format!("{from} before {to}");
        return value.wrong_because("the earlier end first", &found, &format!("write {shown}"));
    }
    if let Window::Days { from, to } = window
        && to > 0
    {
        let instead = format!(
            "write [{}, 0]; for the time after the index write hours, as [\"0h\", \"24h\"], and predict_after_hours",
            from.min(0)
        );
        return value.wrong_because("days that end at the index, at 0", &to.to_string(), &instead);
    }
    Some(window)
}

fn hours(item: &Value<'_>) -> Option<i32> {
    let hours = |text: &str| text.strip_suffix('h')?.parse::<i32>().ok();
    let within = |hours: &i32| (-HOURS_MAX..=HOURS_MAX).contains(hours);
    let text = item.text_where(|text| hours(text).filter(within).is_some())?;
    hours(&text)
}

/// What is wrong with a window that ends after the prediction time.
fn too_late(window: Window, predict_after_hours: u32) -> Option<(String, String, String)> {
    let Window::Hours { from, to } = window else { return None };
    let most = i32::try_from(predict_after_hours).expect("at most a year");
    (to > most).then(|| {
        let expected = format!("a window that ends by the prediction time, {most} hours after the index");
        let instead = format!(
            "write [\"{}h\", \"{most}h\"], or predict_after_hours = {to} in the cohort",
            from.min(most)
        );
        (expected, format!("an end {to} hours after it"), instead)
    })
}
