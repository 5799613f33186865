//! `windows`: each end as a time beside the trigger, through whatever windows it is counted from.

use crate::study::import::node::{Fields, Node, unknown};

pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 24 * HOUR;

/// Most windows of a file: each may be counted from others in turn.
const WINDOWS_MAX: usize = 256;

/// A window.
pub(super) struct Span<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) start: Moment,
    pub(super) end: Moment,
    pub(super) start_inclusive: bool,
    pub(super) end_inclusive: bool,
}

/// An end of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Moment {
    /// Seconds after the trigger.
    Trigger(i64),
    RecordStart,
    RecordEnd,
    /// The next or the last event of some kind, or so long beside one.
    Event,
}

/// A window as it is written.
struct Raw<'a> {
    name: &'a str,
    fields: Fields<'a>,
    start: Option<Node<'a>>,
    end: Option<Node<'a>>,
}

pub(super) fn read<'a>(windows: &Fields<'a>) -> Option<Vec<Span<'a>>> {
    let raw = |(name, node): (&'a str, Node<'a>)| {
        let fields = node.fields()?;
        let (start, end) = (fields.get("start"), fields.get("end"));
        Some(Raw { name, fields, start, end })
    };
    if windows.entries().len() > WINDOWS_MAX {
        return windows.node().refuse(&format!("at most {WINDOWS_MAX} windows are read"));
    }
    let all: Vec<Raw<'a>> = windows.entries().into_iter().map(raw).collect::<Option<_>>()?;
    let ends: Vec<_> = all
        .iter()
        .map(|window| {
            let moments =
                (moment(&all, window, false, 2 * all.len()), moment(&all, window, true, 2 * all.len()));
            let inclusive = |key| window.fields.required(key).and_then(|node| node.boolean());
            let inclusive = (inclusive("start_inclusive"), inclusive("end_inclusive"));
            for key in ["has", "label", "index_timestamp"] {
                window.fields.get(key);
            }
            window.fields.finish(unknown);
            Some((moments.0?, moments.1?, inclusive.0?, inclusive.1?))
        })
        .collect();
    let ends = ends.into_iter().collect::<Option<Vec<_>>>()?;
    let span = |(raw, (start, end, start_inclusive, end_inclusive)): (Raw<'a>, _)| Span {
        fields: raw.fields,
        start,
        end,
        start_inclusive,
        end_inclusive,
    };
    Some(all.into_iter().zip(ends).map(span).collect())
}

/// Where a window starts or ends. Each step looks at another end: `left`, as many as there are, suffice unless they go in a
/// circle.
fn moment(all: &[Raw<'_>], window: &Raw<'_>, is_end: bool, left: usize) -> Option<Moment> {
    let node = match (is_end, &window.start, &window.end) {
        (false, None, _) => return Some(Moment::RecordStart),
        (true, _, None) => return Some(Moment::RecordEnd),
        (false, Some(node), _) | (true, _, Some(node)) => node,
    };
    let text = node.text()?;
    if text.contains("->") || text.contains("<-") {
        return Some(Moment::Event);
    }
    let (base, offset) = match text.find(['+', '-']) {
        None => (text.trim(), 0),
        Some(at) => {
            let Some(offset) = seconds(&text[at + 1..]) else {
                return node.refuse("expected an offset of whole units, as 30d, 24h or \"12 hours\"");
            };
            (text[..at].trim(), if text.as_bytes()[at] == b'-' { -offset } else { offset })
        }
    };
    let (from, end_of_it) = match base.split_once('.') {
        _ if base == "trigger" => return Some(Moment::Trigger(offset)),
        None => (Some(window), base),
        Some((name, end)) => (all.iter().find(|other| other.name == name), end),
    };
    let (Some(from), "start" | "end") = (from, end_of_it) else {
        return node.refuse("expected trigger, or the start or the end of a window");
    };
    let Some(left) = left.checked_sub(1) else {
        return node.refuse("ends that are counted from one another");
    };
    match moment(all, from, end_of_it == "end", left)? {
        Moment::Trigger(at) => {
            at.checked_add(offset).map(Moment::Trigger).or_else(|| node.refuse("too far away"))
        }
        other if offset == 0 => Some(other),
        _ => Some(Moment::Event),
    }
}

/// `30d`, `24h`, `2 weeks`, `1 day 12 hours`: as pytimeparse reads them, without fractions and clock times.
fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let mut rest = text;
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "w" | "week" | "weeks" => 7 * DAY,
            "d" | "day" | "days" => DAY,
            "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = rest[letters..].trim_start_matches([' ', ',']);
    }
    // A thousand years is as far as any window goes.
    (!text.is_empty() && sum <= 365_000 * DAY).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        for (text, expected) in [
            ("30d", Some(30 * DAY)),
            (" 24 h", Some(DAY)),
            ("1 day, 12 hours", Some(DAY + 12 * HOUR)),
            ("2 weeks", Some(14 * DAY)),
            ("90m", Some(5_400)),
            ("0d", Some(0)),
            ("", None),
            ("d", None),
            ("1.5 days", None),
            ("14:20:16", None),
            ("3 fortnights", None),
            ("99999999999999999999 d", None),
            ("9999999999 d", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }
}
