//! `AdditionalCriteria` and `InclusionRules`: groups of counts and windows, to `require` and `exclude`.

use super::events;
use super::sets::Sets;
use crate::study::import::node::{Fields, Node, unknown};
use crate::study::records::{Rule, WINDOW_DAYS_MAX, Window};

/// The rules so far.
pub(super) struct Rules<'a> {
    sets: &'a Sets<'a>,
    /// Days before the index that are surely observed.
    prior_days: i64,
    pub(super) require: Vec<Rule>,
    pub(super) exclude: Vec<Rule>,
    /// Whether there are additional criteria, even empty ones: then their limit counts.
    pub(super) additional: bool,
    /// Whether there are inclusion rules.
    pub(super) inclusion: bool,
    /// Whether a window includes the day of the index.
    pub(super) need_whole_day: bool,
}

const EITHER: &str = "the study language requires all of its rules; where any of several suffices, put them into one concept set";

impl<'a> Rules<'a> {
    pub(super) fn new(sets: &'a Sets<'a>, prior_days: i64) -> Self {
        Self {
            sets,
            prior_days,
            require: Vec::new(),
            exclude: Vec::new(),
            additional: false,
            inclusion: false,
            need_whole_day: false,
        }
    }

    /// A group that must hold, or must not.
    pub(super) fn group(&mut self, node: &Node<'_>, wanted: bool) -> Option<()> {
        let fields = node.fields()?;
        let kind = fields.get("Type");
        let count = fields.get("Count");
        let criteria = fields.items("CriteriaList")?;
        let demographics = fields.items("DemographicCriteriaList")?;
        let groups = fields.items("Groups")?;
        fields.finish(unknown);
        let members = criteria.len() + demographics.len() + groups.len();
        if members == 0 {
            // Everybody meets it.
            return if wanted {
                Some(())
            } else {
                node.refuse_as("an empty group", "nobody can fail to meet it")
            };
        }
        let kind = match kind {
            None => return node.refuse_as("a group without Type", "expected ALL, ANY, AT_LEAST or AT_MOST"),
            Some(kind) => kind,
        };
        let number = || count.as_ref().map_or(Some(0), |count| count.integer());
        let everyone = i64::try_from(members).ok()?;
        // Whether each member must hold, given that the group must hold or not.
        let each = match (kind.text()?.to_ascii_uppercase().as_str(), wanted) {
            ("ALL", true) => true,
            ("ALL", false) if members == 1 => false,
            ("ANY", false) => false,
            ("ANY", true) if members == 1 => true,
            ("AT_LEAST", true) if number()? == everyone => true,
            ("AT_LEAST", false) if number()? == 1 => false,
            ("AT_MOST", true) if number()? == 0 => false,
            ("AT_MOST", false) if number()? == 0 && members == 1 => true,
            (other, _) => {
                let counted = count.as_ref().map_or_else(String::new, |count| format!(" {}", count.shown()));
                let not = if wanted { "" } else { "not " };
                return node.refuse_as(&format!("{not}{other}{counted} of {members}"), EITHER);
            }
        };
        let mut sound = true;
        for item in &criteria {
            sound &= self.counted(item, each).is_some();
        }
        for item in &demographics {
            sound &= demographic(item).is_some();
        }
        for item in &groups {
            sound &= self.group(item, each).is_some();
        }
        sound.then_some(())
    }

    /// So many events in a window.
    fn counted(&mut self, item: &Node<'_>, wanted: bool) -> Option<()> {
        let fields = item.fields()?;
        let events = fields.required("Criteria").and_then(|node| events::counted(&node, self.sets));
        let ignores = fields.truth("IgnoreObservationPeriod");
        let window = ignores.and_then(|ignores| self.window(&fields.required("StartWindow")?, ignores));
        let counts = fields.required("Occurrence").and_then(|node| occurrence(&node));
        fields.finish(|key| match key {
            "RestrictVisit" => "a rule does not look up which visit an event belongs to",
            "EndWindow" => "events are judged by their start",
            _ => unknown(key),
        });
        let (events, window, counts) = (events?, window?, counts?);
        if counts.len() > 1 && !wanted {
            return item.refuse_as("not exactly so many", EITHER);
        }
        for (count_min, at_least) in counts {
            let rule = Rule::Has { events, window, count_min };
            if at_least == wanted { self.require.push(rule) } else { self.exclude.push(rule) }
        }
        Some(())
    }

    fn window(&mut self, node: &Node<'_>, ignores_observation: bool) -> Option<Window> {
        const AFTER: &str = "what comes after the index is not known when a person is asked about";
        let fields = node.fields()?;
        let (start, end) = (end_of(&fields, "Start"), end_of(&fields, "End"));
        fields.finish(|key| match key {
            "UseIndexEnd" => "windows are counted from the start of the entry event",
            "UseEventEnd" => "events are judged by their start",
            _ => unknown(key),
        });
        let (start, end) = (start?, end?);
        let to = match end {
            Edge::Days(to) if to > 0 => {
                return node.refuse_as(&format!("up to {to} days after the index"), AFTER);
            }
            Edge::AllAfter => return node.refuse_as("all days after the index", AFTER),
            Edge::AllBefore => return node.refuse_as("an end at all days before", "a window ends on a day"),
            Edge::Days(to) => to,
        };
        let from = match start {
            Edge::AllAfter => return node.refuse_as("a start at all days after", AFTER),
            Edge::AllBefore if ignores_observation => i64::from(-WINDOW_DAYS_MAX),
            Edge::AllBefore => {
                let why = "Atlas counts from the start of the observation period; here a window counts all that is recorded. \
                           Set IgnoreObservationPeriod, or count days up to PriorDays";
                return node.refuse_as("all days before", why);
            }
            Edge::Days(from) if !ignores_observation && from < self.prior_days.saturating_neg() => {
                let why = "Atlas counts within the observation period, here a window counts all that is recorded: the same only \
                           for days up to PriorDays, or with IgnoreObservationPeriod";
                let found = format!(
                    "{} days before, where {} are surely observed",
                    from.unsigned_abs(),
                    self.prior_days
                );
                return node.refuse_as(&found, why);
            }
            Edge::Days(from) => from,
        };
        if from > to || from < i64::from(-WINDOW_DAYS_MAX) {
            let why = format!("expected a window of at most {WINDOW_DAYS_MAX} days whose start comes first");
            return node.refuse_as(&format!("{from} to {to} days"), &why);
        }
        self.need_whole_day |= to == 0;
        let day = |day: i64| i32::try_from(day).expect("at most WINDOW_DAYS_MAX");
        Some(Window::Days { from: day(from), to: day(to) })
    }
}

/// An end of a window beside the index.
enum Edge {
    Days(i64),
    AllBefore,
    AllAfter,
}

fn end_of(window: &Fields<'_>, key: &'static str) -> Option<Edge> {
    let node = window.required(key)?;
    let fields = node.fields()?;
    let (days, sign) = (fields.get("Days"), fields.required("Coeff")?);
    fields.finish(unknown);
    let sign = match sign.integer()? {
        sign @ (-1 | 1) => sign,
        _ => return sign.refuse("expected -1 (before) or 1 (after)"),
    };
    match days {
        None if sign < 0 => Some(Edge::AllBefore),
        None => Some(Edge::AllAfter),
        Some(days) => {
            let number = days.integer()?;
            number.checked_mul(sign).map(Edge::Days).or_else(|| days.refuse("expected a number of days"))
        }
    }
}

/// How often: at least so many, or (where false) not so many; all of these.
fn occurrence(node: &Node<'_>) -> Option<Vec<(u32, bool)>> {
    const COUNT_MAX: i64 = 9_999;
    let fields = node.fields()?;
    let (kind, count) = (fields.required("Type"), fields.required("Count"));
    fields.finish(|key| match key {
        "IsDistinct" => "rules count events, not the different concepts, days or visits among them",
        // It says of what `IsDistinct` counts the differences.
        "CountColumn" => "rules count events, whatever column",
        _ => unknown(key),
    });
    let (kind, count) = (kind?, count?);
    let number = count.integer().filter(|number| (0..=COUNT_MAX).contains(number));
    let Some(number) = number else { return count.refuse("expected 0 to 9999 events") };
    let number = u32::try_from(number).expect("within COUNT_MAX");
    match (kind.integer()?, number) {
        (0, 0) => Some(vec![(1, false)]),
        (0, n) => Some(vec![(n, true), (n + 1, false)]),
        (1, n) => Some(vec![(n + 1, false)]),
        (2, 0) => node.refuse_as("at least 0", "everybody meets it: take it out"),
        (2, n) => Some(vec![(n, true)]),
        _ => kind.refuse("expected 0 (exactly), 1 (at most) or 2 (at least)"),
    }
}

/// Refuses a rule on what people are: none has an equal.
fn demographic(item: &Node<'_>) -> Option<()> {
    let fields = item.fields()?;
    if fields.say_nothing() {
        return item.refuse("everybody meets it: take it out");
    }
    fields.finish(|key| match key {
        "Race" | "RaceCS" | "Ethnicity" | "EthnicityCS" => {
            "a cohort here has no rule on ethnicity; it can be an attribute, for subgroups"
        }
        "OccurrenceStartDate" => "on which days an index may lie, the study's accrual says",
        _ => events::why_not(key),
    });
    None
}
