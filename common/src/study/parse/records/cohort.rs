//! `[cohort.NAME]`: who is asked about, and when.

use super::super::is_label;
use super::Named;
use super::sets::listed;
use super::windows::{self, Windows};
use crate::study::raw::{Ask, Section, Value, ask};
use crate::study::records::{Anchor, Cohort, Criterion, Limit, RecordTable, Rule};

/// Most entry events, outcomes and rules of a kind.
pub(super) const CRITERIA_MAX: usize = 64;
/// Most days of observation, of follow-up and of the time at risk.
pub(super) const DAYS_MAX: u64 = 36_500;
const HOURS_MAX: u64 = 365 * 24;
const AGE_MAX: u64 = 150;
const TRANSFER_DAYS_MAX: u64 = 365;
const COUNT_MAX: u64 = 10_000;

/// Words for the tables that events are in.
const EVENTS: [(&str, RecordTable); 8] = [
    ("condition", RecordTable::Condition),
    ("observation", RecordTable::Observation),
    ("drug", RecordTable::Drug),
    ("procedure", RecordTable::Procedure),
    ("measurement", RecordTable::Measurement),
    ("visit", RecordTable::Visit),
    ("visit-detail", RecordTable::VisitDetail),
    ("death", RecordTable::Death),
];

/// Each cohort of the file by name; none where it has a mistake.
pub(super) type Cohorts = Vec<(String, Option<Cohort>)>;

pub(super) fn read(top: &Section<'_>, named: Named<'_>, windows: &Windows) -> Cohorts {
    const COHORT: Ask = ask("cohort", "a table [cohort.NAME]", "[cohort.first_episode]");
    let mut cohorts = Vec::new();
    top.required(COHORT, |value| {
        let section = value.section()?;
        for (name, value) in section.entries(COHORT) {
            let cohort = value.section().and_then(|section| {
                let cohort = cohort(&section, &name, named, windows);
                section.finish();
                cohort
            });
            if is_label(&name) {
                cohorts.push((name, cohort));
            } else {
                let instead = "write a name such as [cohort.first_episode]";
                let _: Option<()> =
                    value.wrong_because("a name of letters, digits, _ and -", &format!("{name:?}"), instead);
            }
        }
        if section.is_empty() { value.wrong() } else { Some(()) }
    });
    cohorts
}

/// The cohort that the task names; the others are mistakes.
pub(super) fn choose(top: &Section<'_>, cohorts: Cohorts, target: Option<&str>) -> Option<Cohort> {
    let target = target?;
    for (name, _) in cohorts.iter().filter(|(name, _)| name != target) {
        let path = format!("cohort.{name}");
        let expected =
            format!("one cohort, {target}, which the task names: this version trains one model on one");
        top.wrong(&path, &expected, "another", "remove it");
    }
    cohorts.into_iter().find(|(name, _)| name == target)?.1
}

fn cohort(section: &Section<'_>, name: &str, named: Named<'_>, windows: &Windows) -> Option<Cohort> {
    const ENTRY: Ask = ask(
        "entry",
        "a list of { event, set }, at least one",
        r#"entry = [{ event = "condition", set = "psychosis" }]"#,
    );
    const LIMIT: Ask = ask(
        "limit",
        "\"first-ever\" or \"first-in-accrual\": which of a person's entry events",
        r#"limit = "first-ever""#,
    );
    const INDEX: Ask =
        ask("index", "\"start\" or \"end\" of the entry event, where windows begin", r#"index = "start""#);
    const AFTER: Ask = ask(
        "predict_after_hours",
        "a whole number of hours from 0 to 8760, from the index to the prediction time",
        "predict_after_hours = 24",
    );
    const PRIOR: Ask = ask(
        "prior_observation_days",
        "a whole number of days from 0 to 36500, observed without a gap before the index",
        "prior_observation_days = 365",
    );
    const EPISODES: Ask = ask(
        "max_episodes_per_person",
        "1: one example a person is what makes the privacy of an example that of a person",
        "max_episodes_per_person = 1",
    );
    const REQUIRE: Ask = ask(
        "require",
        "a list of rules: { age = { min, max } }, { event, set, window, at_least }, { still_there = true }, { seen_by, optional }",
        "require = [{ age = { min = 18, max = 65 } }]",
    );
    const EXCLUDE: Ask = ask(
        "exclude",
        "a list of rules: { age = { min, max } }, { event, set, window, at_least }, { died_on_or_before = \"index\" }, \
         { transfer_within_days }",
        r#"exclude = [{ died_on_or_before = "index" }]"#,
    );
    let entry = section.required(ENTRY, |v| v.list(1..=CRITERIA_MAX, |item| criterion(item, named)));
    let limit = section.required(LIMIT, |v| {
        Some(match v.word(&["first-ever", "first-in-accrual"])? {
            "first-ever" => Limit::FirstEver,
            _ => Limit::FirstInAccrual,
        })
    });
    let index = section.required(INDEX, |v| {
        Some(if v.word(&["start", "end"])? == "end" { Anchor::End } else { Anchor::Start })
    });
    let hours = section.optional(AFTER, |v| v.small(0..=HOURS_MAX)).map(Option::unwrap_or_default);
    let prior = section.required(PRIOR, |v| v.small(0..=DAYS_MAX));
    let episodes = section.required(EPISODES, |v| v.integer(1..=1));
    let rules = Rules { named, windows, hours, entry: entry.as_deref(), index };
    let require = section.optional(REQUIRE, |v| v.list(0..=CRITERIA_MAX, |item| rules.required(item)));
    let exclude = section.optional(EXCLUDE, |v| v.list(0..=CRITERIA_MAX, |item| rules.excluded(item)));
    episodes?;
    Some(Cohort {
        name: name.to_owned(),
        entry: entry?,
        limit: limit?,
        index: index?,
        predict_after_hours: hours?,
        prior_observation_days: prior?,
        require: require?.unwrap_or_default(),
        exclude: exclude?.unwrap_or_default(),
    })
}

/// An event on its own: `{ event, set }`, or `{ event = "binding", name }`.
pub(super) fn criterion(item: &Value<'_>, named: Named<'_>) -> Option<Criterion> {
    let section = item.section()?;
    let criterion = criterion_of(&section, named);
    section.finish();
    criterion
}

fn criterion_of(section: &Section<'_>, named: Named<'_>) -> Option<Criterion> {
    const EVENT: Ask = ask(
        "event",
        "\"condition\", \"observation\", \"drug\", \"procedure\", \"measurement\", \"visit\", \"visit-detail\", \
         \"death\" or \"binding\"",
        r#"event = "condition""#,
    );
    const SET: Ask = ask("set", "the name of a concept set", r#"set = "self_harm""#);
    const NONE: Ask = ask("set", "nothing: a death has no concept", r#"{ event = "death" }"#);
    const NAME: Ask = ask("name", "the name of a binding", r#"name = "psychiatric_stay""#);
    const NO_SET: Ask = ask(
        "set",
        "nothing: the binding says which visits",
        r#"{ event = "binding", name = "psychiatric_stay" }"#,
    );
    let word = section.required(EVENT, |v| {
        let mut words = EVENTS.map(|(word, _)| word).to_vec();
        words.push("binding");
        v.word(&words)
    });
    if word == Some("binding") {
        let binding = section.required(NAME, |v| named.bindings.stays(v));
        section.optional(NO_SET, |v| v.wrong::<()>())?;
        return binding.map(|binding| Criterion { table: RecordTable::Stay(binding), set: None });
    }
    let table =
        word.and_then(|word| EVENTS.iter().find(|(known, _)| *known == word).map(|(_, table)| *table));
    let Some(table) = table else {
        // Which keys an event has, the event says.
        section.ignore(&["set", "name"]);
        return None;
    };
    let set = if table == RecordTable::Death {
        section.optional(NONE, |v| v.wrong())
    } else {
        section.optional(SET, |v| named.sets.named(v))
    };
    Some(Criterion { table, set: set? })
}

/// What rules are read with.
struct Rules<'a> {
    named: Named<'a>,
    windows: &'a Windows,
    /// These are of the same cohort.
    hours: Option<u32>,
    entry: Option<&'a [Criterion]>,
    index: Option<Anchor>,
}

const DIED: Ask = ask(
    "died_on_or_before",
    "\"index\", or \"prediction\" where predict_after_hours is above 0",
    r#"died_on_or_before = "index""#,
);
const SEEN_BY: Ask = ask("seen_by", "the name of a binding", r#"seen_by = "psychiatric_service""#);
const TRANSFER: Ask = ask(
    "transfer_within_days",
    "a whole number of days from 0 to 365, from the end of the stay to the start of another one",
    "transfer_within_days = 1",
);
const STILL_THERE: Ask =
    ask("still_there", "true: the entry event lasts beyond the prediction time", "still_there = true");

impl Rules<'_> {
    fn required(&self, item: &Value<'_>) -> Option<Rule> {
        let section = item.section()?;
        let rule = if section.has(STILL_THERE.key) {
            let there = section.required(STILL_THERE, |v| v.boolean()?.then_some(()).or_else(|| v.wrong()));
            there.map(|()| Rule::StillThere)
        } else if section.has(DIED.key) {
            section.ignore(&[DIED.key]);
            let expected = "a rule that people can meet";
            item.wrong_because(expected, "people who died", "write died_on_or_before in exclude")
        } else if section.has(SEEN_BY.key) {
            self.seen_by(&section)
        } else {
            self.either(item, &section, &["age", "event", STILL_THERE.key, SEEN_BY.key])
        };
        section.finish();
        rule
    }

    fn excluded(&self, item: &Value<'_>) -> Option<Rule> {
        let section = item.section()?;
        let rule = if section.has(DIED.key) {
            let died = section.required(DIED, |v| self.died(v));
            died.map(|()| Rule::DiedBefore)
        } else if section.has(STILL_THERE.key) {
            section.ignore(&[STILL_THERE.key]);
            let instead = "write still_there = true in require";
            item.wrong_because("a rule for whom to leave out", "people who are still there", instead)
        } else if section.has(TRANSFER.key) {
            section.required(TRANSFER, |v| self.transfer(v))
        } else {
            self.either(item, &section, &["age", "event", DIED.key, TRANSFER.key])
        };
        section.finish();
        rule
    }

    fn seen_by(&self, section: &Section<'_>) -> Option<Rule> {
        const SPARED: Ask = ask(
            "optional",
            "true: a site that leaves the binding out does without the rule, and that is public",
            "optional = true",
        );
        let spared = section.optional(SPARED, Value::boolean);
        let spares_absent = spared.flatten().unwrap_or(false);
        let binding = section.required(SEEN_BY, |v| self.named.bindings.seen_by(v, spares_absent));
        spared?;
        binding.map(Rule::SeenBy)
    }

    /// Only a stay that ended can have been a transfer.
    fn transfer(&self, value: &Value<'_>) -> Option<Rule> {
        let days = value.small(0..=TRANSFER_DAYS_MAX)?;
        let is_stay = |one: &Criterion| matches!(one.table, RecordTable::Visit | RecordTable::Stay(_));
        let found = if self.index == Some(Anchor::Start) {
            "index = \"start\""
        } else if !self.entry.is_none_or(|entry| entry.iter().all(is_stay)) {
            "entry events of other tables"
        } else {
            return Some(Rule::TransferWithin { days });
        };
        let expected = "a cohort of visits or stays of a binding, with index = \"end\"";
        value.wrong_because(
            expected,
            found,
            "write index = \"end\" and entry events that are visits, or remove it",
        )
    }

    fn died(&self, value: &Value<'_>) -> Option<()> {
        match (value.word(&["index", "prediction"])?, self.hours) {
            ("index", Some(hours)) if hours > 0 => value.wrong_because(
                "\"prediction\": nobody is asked about who died before that",
                &format!("\"index\", {hours} hours before it"),
                "write died_on_or_before = \"prediction\"",
            ),
            _ => Some(()),
        }
    }

    /// Rules that both lists may have.
    fn either(&self, item: &Value<'_>, section: &Section<'_>, keys: &[&'static str]) -> Option<Rule> {
        const AGE: Ask = ask("age", "a table of min and max", "age = { min = 18, max = 65 }");
        const WINDOW: Ask = windows::USED;
        const AT_LEAST: Ask = ask("at_least", "a whole number from 1 to 10000", "at_least = 1");
        if section.has("age") {
            return super::super::section(section, AGE, age);
        }
        if section.has("event") {
            let events = criterion_of(section, self.named);
            let window = section.required(WINDOW, |v| windows::used(v, self.windows, self.hours));
            let count_min = section.optional(AT_LEAST, |v| v.small(1..=COUNT_MAX));
            return Some(Rule::Has { events: events?, window: window?, count_min: count_min?.unwrap_or(1) });
        }
        if section.is_empty() {
            let expected = format!("a rule, with one of {}", listed(keys.iter().copied()));
            return item.wrong_because(&expected, "an empty table", "remove it");
        }
        section.ignore(keys);
        None
    }
}

fn age(section: &Section<'_>) -> Option<Rule> {
    const MIN: Ask = ask("min", "a whole number of years from 0 to 150", "min = 18");
    const MAX: Ask = ask("max", "a whole number of years from 0 to 150", "max = 65");
    let min = section.required(MIN, |v| v.small(0..=AGE_MAX));
    let max = section.required(MAX, |v| v.small(0..=AGE_MAX));
    let (min, max) = (min?, max?);
    if max < min {
        let found = format!("{max}, below min = {min}");
        section.wrong("max", "an age from min on", &found, &format!("write min = {max} and max = {min}"));
        return None;
    }
    Some(Rule::Age { min, max })
}
