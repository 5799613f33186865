//! Tasks of ACES (es-aces 0.7, read as of 0.7.3): a trigger, windows beside it, counts in them, and a label.
//!
//! ACES counts rows of MEDS by time stamp, from the trigger's own. It knows no tables, no observation periods and no
//! hierarchy of codes, and asks at every trigger. So a task is imported where it asks at a person's first trigger alone,
//! where its windows include both ends, and where whole days are what its author means
//! ([`Reading::whole_days`]): the study language's time at risk is made of calendar days.

mod predicates;
mod windows;

use super::node::{Node, Refusals, unknown};
use super::{FILE_BYTES_MAX, Imported, NotImported, OutcomeEvents, Target};
use crate::study::records::{Anchor, Cohort, Limit, RecordTable, Rule, WINDOW_DAYS_MAX, Window};
use predicates::{Count, Predicates};
use std::collections::BTreeMap;
use windows::{DAY, HOUR, Moment, Span};

/// What ACES's file does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// Which events the codes of each predicate are; a predicate of `MEDS_DEATH` needs no entry.
    pub events: BTreeMap<String, RecordTable>,
    /// Whether windows of whole days mean calendar days. The same where records carry dates alone; where they carry times,
    /// ACES counts from the hour.
    pub whole_days: bool,
}

/// A task with its cohort, both by the name that they get in the study.
///
/// # Errors
/// It is no task of ACES, or means something that the study language cannot say.
pub fn task(bytes: &[u8], name: &str, reading: &Reading) -> Result<Imported, NotImported> {
    let invalid = |what: String| NotImported::Invalid(format!("no task of ACES: {what}"));
    if bytes.len() > FILE_BYTES_MAX {
        return Err(invalid(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    // Refuses a key that stands twice, and documents that grow without end.
    let yaml: serde_json::Value = serde_saphyr::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if yaml.get("trigger").is_none() {
        return Err(invalid("it has no trigger".to_owned()));
    }
    let refusals = Refusals::default();
    let imported = read(&Node::root(&yaml, &refusals), name, reading);
    refusals.unless_any(imported)
}

fn read(root: &Node<'_>, name: &str, reading: &Reading) -> Option<Imported> {
    let top = root.fields()?;
    // For people.
    for key in ["description", "metadata"] {
        top.get(key);
    }
    let predicates = Predicates::new(top.required("predicates")?.fields()?, reading)?;
    let trigger = top.required("trigger")?;
    let entry = predicates.events(&trigger);
    let windows = windows::read(&top.required("windows")?.fields()?);
    top.finish(|key| match key {
        "patient_demographics" => {
            "a cohort here has no rule on what ACES calls demographics; sex and age can be features"
        }
        _ => unknown(key),
    });
    let windows = windows?;
    let after_hours = prediction(root, &windows);
    let rules = after_hours.and_then(|hours| rules(&windows, &trigger, &predicates, hours, reading));
    let outcome = after_hours.and_then(|hours| outcome(root, &windows, &predicates, hours, reading, name));
    let (entry, rules) = (entry?, rules?);
    if !rules.first_ever {
        let why = "ACES asks at every trigger; a person makes one example here. Add a window from the start of the record to the \
                   trigger (start null, end trigger, end_inclusive false) that has none of the trigger's predicate";
        return trigger.refuse(why);
    }
    let cohort = Cohort {
        name: format!("{name}_cohort"),
        entry,
        limit: Limit::FirstEver,
        index: Anchor::Start,
        predict_after_hours: after_hours?,
        prior_observation_days: 0,
        require: rules.require,
        exclude: rules.exclude,
    };
    Some(Imported {
        origin: format!("ACES task {name:?}"),
        target: Some(Target { cohort, accrual: None }),
        outcome: Some(outcome?),
        notes: notes(reading).into_iter().chain(predicates.unused_note()).collect(),
        sets: predicates.finish(),
    })
}

fn notes(reading: &Reading) -> Vec<String> {
    let mut notes = vec![
        "ACES knows no observation periods: an index outside them makes no example here, and who leaves before the time at \
         risk is over is no example without the outcome, as insufficient_follow_up says"
            .to_owned(),
        "a predicate's code is one concept, without those below it: OMOP's vocabulary must call it so".to_owned(),
    ];
    if reading.whole_days {
        let words =
            "windows of whole days are calendar days: the same as in ACES where records carry dates alone";
        notes.push(words.to_owned());
    }
    notes
}

/// Hours from the trigger to the prediction time.
fn prediction(root: &Node<'_>, windows: &[Span<'_>]) -> Option<u32> {
    const HOURS_MAX: i64 = 8_760;
    let mut indexed =
        windows.iter().filter_map(|window| window.fields.get("index_timestamp").map(|node| (window, node)));
    let Some((window, node)) = indexed.next() else {
        return root.refuse_as("no index_timestamp", "one window must say when people are asked about");
    };
    if let Some((_, second)) = indexed.next() {
        return second.refuse("people are asked about once");
    }
    let moment = match node.text()? {
        "start" => &window.start,
        "end" => &window.end,
        _ => return node.refuse("expected start or end"),
    };
    let seconds = match moment {
        Moment::Trigger(seconds) => *seconds,
        _ => {
            return node.refuse_as(
                "a moment that an event decides",
                "people are asked about so long after the trigger",
            );
        }
    };
    if seconds % HOUR != 0 || !(0..=HOURS_MAX * HOUR).contains(&seconds) {
        return node
            .refuse_as(&format!("{seconds} seconds after the trigger"), "expected 0 to 8760 whole hours");
    }
    u32::try_from(seconds / HOUR).ok()
}

/// What the windows other than the label's have in them.
#[derive(Default)]
struct Rules {
    first_ever: bool,
    require: Vec<Rule>,
    exclude: Vec<Rule>,
}

fn rules(
    windows: &[Span<'_>],
    trigger: &Node<'_>,
    predicates: &Predicates<'_>,
    after_hours: u32,
    reading: &Reading,
) -> Option<Rules> {
    let mut rules = Rules::default();
    let mut sound = true;
    for window in windows {
        let Some(has) = window.fields.get("has") else { continue };
        if window.fields.get("label").is_some() {
            let why =
                "people are told apart by what is known when they are asked about, not by what comes after";
            sound = has.refuse::<()>(why).is_some();
            continue;
        }
        let Some(fields) = has.fields() else { continue };
        for (predicate, node) in fields.entries() {
            let before = window.start == Moment::RecordStart && window.end == Moment::Trigger(0);
            if before && !window.end_inclusive && Some(predicate) == trigger.as_text() {
                let none = predicates::range(&node)? == (None, Some(0));
                rules.first_ever |= none;
                if !none {
                    sound = node
                        .refuse::<()>("only the first trigger of all is asked about here: \"(None, 0)\"")
                        .is_some();
                }
                continue;
            }
            let rule = span(window, &node, after_hours, reading)
                .and_then(|span| counted(&node, predicate, predicates, span, &mut rules));
            sound &= rule.is_some();
        }
    }
    sound.then_some(rules)
}

/// A window of a rule.
fn span(window: &Span<'_>, node: &Node<'_>, after_hours: u32, reading: &Reading) -> Option<Window> {
    if !(window.start_inclusive && window.end_inclusive) {
        let why = "windows include both their ends here (start_inclusive and end_inclusive true)";
        return node.refuse_as("in a window that leaves one of its ends out", why);
    }
    let Moment::Trigger(to) = window.end else {
        return node.refuse_as(
            "in a window whose end an event decides",
            "a window here lies so long beside the index",
        );
    };
    let from = match window.start {
        Moment::RecordStart => -i64::from(WINDOW_DAYS_MAX) * DAY,
        Moment::Trigger(from) => from,
        _ => {
            return node.refuse_as(
                "in a window whose start an event decides",
                "a window here lies so long beside the index",
            );
        }
    };
    if to > i64::from(after_hours) * HOUR {
        let why = "what comes after the prediction time is not known when a person is asked about; follow-up is the task's \
                   insufficient_follow_up";
        return node.refuse_as("in a window that ends later", why);
    }
    if from % HOUR != 0 || to % HOUR != 0 || from > to || from < -i64::from(WINDOW_DAYS_MAX) * DAY {
        return node.refuse_as(
            "in a window of parts of hours",
            "expected whole hours or days, the earlier end first",
        );
    }
    let number = |seconds: i64| i32::try_from(seconds).expect("at most WINDOW_DAYS_MAX");
    if reading.whole_days && from % DAY == 0 && to % DAY == 0 && to <= 0 {
        return Some(Window::Days { from: number(from / DAY), to: number(to / DAY) });
    }
    Some(Window::Hours { from: number(from / HOUR), to: number(to / HOUR) })
}

fn counted(
    node: &Node<'_>,
    predicate: &str,
    predicates: &Predicates<'_>,
    window: Window,
    rules: &mut Rules,
) -> Option<()> {
    let (least, most) = predicates::range(node)?;
    let (events, counts) = predicates.named(predicate, node)?;
    let once = least.unwrap_or(1) == 1 && most.unwrap_or(0) == 0;
    if counts == Count::Moments && !once {
        let why = "ACES counts moments at which any of several happened; here events of one kind are counted";
        return node.refuse(why);
    }
    if least.is_some_and(|least| least > 0) && events.len() > 1 {
        let why = "a rule here asks for events of one table; those of several can only be excluded";
        return node.refuse(why);
    }
    for events in events {
        if let Some(count_min @ 1..) = least {
            rules.require.push(Rule::Has { events, window, count_min });
        }
        if let Some(most) = most {
            rules.exclude.push(Rule::Has { events, window, count_min: most + 1 });
        }
    }
    Some(())
}

/// The label and its window.
fn outcome(
    root: &Node<'_>,
    windows: &[Span<'_>],
    predicates: &Predicates<'_>,
    after_hours: u32,
    reading: &Reading,
    name: &str,
) -> Option<OutcomeEvents> {
    const DAYS_MAX: i64 = 36_500;
    let mut labelled =
        windows.iter().filter_map(|window| window.fields.get("label").map(|node| (window, node)));
    let Some((window, node)) = labelled.next() else {
        return root.refuse_as("no label", "one window must say what is predicted");
    };
    if let Some((_, second)) = labelled.next() {
        return second.refuse("one outcome is predicted");
    }
    let any_of = predicates.events(&node);
    let asked = i64::from(after_hours) * HOUR;
    let (Moment::Trigger(from), Moment::Trigger(to)) = (&window.start, &window.end) else {
        let why = "the time at risk is days after the prediction, or the rest of a stay (outcome until = \"stay-end\"), which \
                   ACES cannot name: write it in the study";
        return node.refuse_as("in a window whose end is an event or the end of the record", why);
    };
    let (from, to) = (from - asked, to - asked);
    if !reading.whole_days {
        let why = "the time at risk is calendar days here, and ACES counts from the hour of the trigger: the same where records \
                   carry dates alone. --whole-days says that days are meant";
        return node.refuse_as("in a window of hours and days", why);
    }
    if from % DAY != 0 || to % DAY != 0 || asked % DAY != 0 {
        return node.refuse_as(
            "in a window of parts of days",
            "the time at risk is calendar days after the prediction",
        );
    }
    let first = from / DAY + i64::from(!window.start_inclusive);
    let last = to / DAY - i64::from(!window.end_inclusive);
    if first < 1 || last < first || last > DAYS_MAX {
        let why = "what is on the day of the prediction is a predictor here: the time at risk is days from 1 to 36500 after it";
        return node.refuse_as(&format!("on the days {first} to {last} after the prediction"), why);
    }
    let day = |day: i64| u32::try_from(day).expect("at most DAYS_MAX");
    Some(OutcomeEvents {
        name: name.to_owned(),
        any_of: any_of?,
        days_at_risk: Some((day(first), day(last))),
    })
}

#[cfg(test)]
mod tests;
