//! Cohorts of OHDSI's Atlas: the JSON of circe-be (read as of its commit 9a80aa7, 2025-03), whose meaning is the SQL that
//! it makes.
//!
//! That SQL counts days, of `…_start_date` columns. So a cohort here has the same people with the same day of the index
//! where
//!
//! - no two observation periods of a person overlap or touch (a convention of the common data model: where they do, Atlas
//!   looks at one of them and the study language at their union);
//! - `concept_ancestor` lists no invalid concept, as OHDSI's vocabulary has it (Atlas looks again);
//! - the study's `accrual` is that of the import.

mod events;
mod rules;
mod sets;

use super::node::{Fields, Node, Refusals, unknown};
use super::{FILE_BYTES_MAX, Imported, NotImported, OutcomeEvents, Target};
use crate::study::records::{Anchor, Cohort, ConceptSet, Criterion, Limit};
use events::Entry;
use rules::Rules;
use sets::Sets;
use std::cell::RefCell;

const CONDITION: &str = "the same people and days as in Atlas where no two observation periods of one person overlap or \
                         touch, as the common data model asks";

/// Who is asked about: the cohort of a file, by the name that it gets in the study.
///
/// # Errors
/// It is no cohort of Atlas, or means something that the study language cannot say.
pub fn target(bytes: &[u8], name: &str) -> Result<Imported, NotImported> {
    read(bytes, |file| {
        let (primary, rules) = (file.primary(), file.rules());
        let exit = file.exit();
        let kept = (keep(file.top, "QualifiedLimit"), keep(file.top, "ExpressionLimit"));
        let (primary, rules) = (primary?, rules?);
        let limit = file.limit(&primary, &rules, (kept.0?, kept.1?));
        exit?;
        if rules.need_whole_day {
            file.note(
                "a rule counts all of the day of the index, as Atlas does, so people are asked 24 hours after it \
                 (predict_after_hours); the time at risk is counted from then",
            );
        }
        let cohort = Cohort {
            name: name.to_owned(),
            entry: primary.entries.iter().map(|entry| entry.criterion).collect(),
            limit: limit?,
            index: Anchor::Start,
            predict_after_hours: if rules.need_whole_day { 24 } else { 0 },
            prior_observation_days: primary.prior_days,
            require: rules.require,
            exclude: rules.exclude,
        };
        Some((Some(Target { cohort, accrual: primary.entries[0].dates }), None))
    })
}

/// What is predicted: the events of a file's cohort, each of which must be an episode of its own there.
///
/// # Errors
/// As [`target`].
pub fn outcome(bytes: &[u8], name: &str) -> Result<Imported, NotImported> {
    read(bytes, |file| {
        let primary = file.primary();
        file.all_events();
        let ends = file.each_ends_at_once();
        let any_of: Vec<Criterion> = primary?.entries.iter().map(|entry| entry.criterion).collect();
        ends?;
        let outcome = OutcomeEvents { name: name.to_owned(), any_of, days_at_risk: None };
        Some((None, Some(outcome)))
    })
}

type Parts = (Option<Target>, Option<OutcomeEvents>);

fn read(bytes: &[u8], parts: impl FnOnce(&Expression<'_>) -> Option<Parts>) -> Result<Imported, NotImported> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(NotImported::Invalid(format!("a file of more than {FILE_BYTES_MAX} bytes")));
    }
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
        NotImported::Invalid(format!("not JSON, which Atlas exports cohorts in: {error}"))
    })?;
    if json.get("PrimaryCriteria").is_none() {
        let hint =
            if json.get("expression").is_some() { "; give the file its \"expression\" alone" } else { "" };
        return Err(NotImported::Invalid(format!("no cohort of Atlas: it has no PrimaryCriteria{hint}")));
    }
    let refusals = Refusals::default();
    let imported = expression(&Node::root(&json, &refusals), parts);
    refusals.unless_any(imported)
}

fn expression(root: &Node<'_>, parts: impl FnOnce(&Expression<'_>) -> Option<Parts>) -> Option<Imported> {
    let top = root.fields()?;
    let sets = Sets::new(top.items("ConceptSets")?)?;
    let title = top.get("Title").and_then(|title| title.as_text());
    // Which versions of the data model Atlas offers it for.
    top.get("cdmVersionRange");
    let file = Expression { top: &top, sets: &sets, notes: RefCell::new(vec![CONDITION.to_owned()]) };
    let parts = parts(&file);
    top.finish(unknown);
    let mut notes = file.notes.into_inner();
    let (target, outcome) = parts?;
    notes.extend(sets.unused_note());
    let sets: Vec<ConceptSet> = sets.finish()?;
    let origin = match title {
        Some(title) => format!("Atlas cohort {:?}", title.chars().take(120).collect::<String>()),
        None => "Atlas cohort".to_owned(),
    };
    Some(Imported { origin, sets, target, outcome, notes })
}

/// A file while it is read.
struct Expression<'a> {
    top: &'a Fields<'a>,
    sets: &'a Sets<'a>,
    notes: RefCell<Vec<String>>,
}

/// `PrimaryCriteria`.
struct Primary {
    /// At least one; all of the same dates.
    entries: Vec<Entry>,
    prior_days: u32,
    limit: Keep,
}

/// Which of several events stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    First,
    Last,
    All,
}

impl Expression<'_> {
    fn note(&self, words: &str) {
        self.notes.borrow_mut().push(words.to_owned());
    }

    fn primary(&self) -> Option<Primary> {
        let primary = self.top.required("PrimaryCriteria")?.fields()?;
        let entries = primary.required("CriteriaList").and_then(|list| {
            let entries: Vec<_> = list.items()?.iter().map(|item| events::entry(item, self.sets)).collect();
            let entries: Vec<Entry> = entries.into_iter().collect::<Option<_>>()?;
            match entries.first() {
                None => list.refuse("a cohort without entry events has nobody in it"),
                Some(first) if entries.iter().any(|entry| entry.dates != first.dates) => list.refuse_as(
                    "entry events of different dates",
                    "a study has one accrual for all entry events",
                ),
                Some(_) => Some(entries),
            }
        });
        let prior_days = primary.required("ObservationWindow").and_then(|window| {
            let window = window.fields()?;
            let days =
                |key| window.get(key).map_or(Some((0, None)), |node| Some((node.integer()?, Some(node))));
            let (prior, post) = (days("PriorDays"), days("PostDays"));
            window.finish(unknown);
            if let (days @ 1.., Some(node)) = post? {
                let why = "observation after the index is not known when a person is asked about; \
                           insufficient_follow_up of the task says what becomes of people who leave";
                return node.refuse_as(&format!("{days} days"), why);
            }
            match prior? {
                (days, None) => u32::try_from(days).ok(),
                (days, Some(node)) => u32::try_from(days)
                    .ok()
                    .filter(|days| *days <= 36_500)
                    .or_else(|| node.refuse("expected 0 to 36500 days")),
            }
        });
        let limit = keep(&primary, "PrimaryCriteriaLimit");
        primary.finish(unknown);
        Some(Primary { entries: entries?, prior_days: prior_days?, limit: limit? })
    }

    fn rules(&self) -> Option<Rules<'_>> {
        // How long before the index people are surely observed.
        let prior = || {
            self.top.get("PrimaryCriteria")?.fields()?.get("ObservationWindow")?.fields()?.get("PriorDays")
        };
        let prior_days = prior().and_then(|node| node.integer()).unwrap_or(0);
        let mut rules = Rules::new(self.sets, prior_days);
        let mut sound = true;
        if let Some(additional) = self.top.get("AdditionalCriteria") {
            rules.additional = true;
            sound &= rules.group(&additional, true).is_some();
        }
        for rule in self.top.items("InclusionRules")? {
            rules.inclusion = true;
            let Some(fields) = rule.fields() else { continue };
            for key in ["name", "description"] {
                fields.get(key);
            }
            sound &= fields.required("expression").and_then(|group| rules.group(&group, true)).is_some();
            fields.finish(unknown);
        }
        sound.then_some(rules)
    }

    /// Which of a person's entry events is asked about, by the limits of primary, qualified and all criteria.
    fn limit(&self, primary: &Primary, rules: &Rules<'_>, kept: (Keep, Keep)) -> Option<Limit> {
        let (qualified, expression) = kept;
        let refuse = |key: &'static str, found: &str, why: &str| {
            let node = match key {
                "PrimaryCriteriaLimit" => {
                    self.top.get("PrimaryCriteria").and_then(|node| node.fields()?.get(key))
                }
                _ => self.top.get(key),
            };
            node.unwrap_or_else(|| self.top.node().clone()).refuse_as(&format!("{key} {found}"), why)
        };
        if let [only] = primary.entries.as_slice()
            && only.first
        {
            // One event a person is left, whatever the limits keep.
            return Some(Limit::FirstEver);
        }
        if primary.entries.iter().any(|entry| entry.first) {
            let why = "the first of each kind of entry event, of which the first that qualifies counts; here \"first-ever\" \
                       is the first of all kinds. Put them into one concept set, or leave First out";
            return self.top.get("PrimaryCriteria")?.refuse_as("First on one of several entry events", why);
        }
        const ONE: &str =
            "a person makes at most one example, of the first event that qualifies; write \"First\"";
        match primary.limit {
            Keep::Last => return refuse("PrimaryCriteriaLimit", "Last", ONE),
            Keep::First if rules.additional || rules.inclusion => {
                let why = "Atlas asks the rules of the first entry event alone; here they are asked of each until one meets \
                           them. Write \"All\" here, or First on the only entry event";
                return refuse("PrimaryCriteriaLimit", "First, with rules", why);
            }
            Keep::First => return Some(Limit::FirstInAccrual),
            Keep::All => {}
        }
        if rules.additional {
            match qualified {
                Keep::First if rules.inclusion => {
                    let why = "Atlas asks the inclusion rules of the first event that meets the additional criteria; here of \
                               each until one meets all. Write \"All\" here";
                    return refuse("QualifiedLimit", "First, with inclusion rules", why);
                }
                Keep::First => return Some(Limit::FirstInAccrual),
                Keep::Last => return refuse("QualifiedLimit", "Last", ONE),
                Keep::All => {}
            }
        }
        match expression {
            Keep::First => Some(Limit::FirstInAccrual),
            Keep::Last => refuse("ExpressionLimit", "Last", ONE),
            Keep::All => refuse("ExpressionLimit", "All", ONE),
        }
    }

    /// When people leave the cohort: no matter for who is in it and when they enter, as long as nobody leaves before.
    fn exit(&self) -> Option<()> {
        let mut sound = self.no_censor_window();
        if let Some(strategy) = self.top.get("EndStrategy") {
            let strategy = strategy.fields()?;
            if let Some(offset) = strategy.get("DateOffset") {
                let (field, days) = date_offset(&offset)?;
                if field != "StartDate" || days < 0 {
                    let why = "whose event ends before it begins, or has no end, is not in the cohort; here such people are";
                    sound = offset.refuse_as(&format!("{days} days from {field}"), why);
                }
            }
            strategy.get("CustomEra");
            strategy.finish(unknown);
            self.note("EndStrategy says when people leave the cohort; here the task's time at risk says so");
        }
        if !self.top.items("CensoringCriteria")?.is_empty() {
            self.note(
                "CensoringCriteria say when people leave the cohort; here the task's time at risk says so",
            );
        }
        // One episode a person: nothing to collapse.
        self.top.get("CollapseSettings");
        sound
    }

    fn no_censor_window(&self) -> Option<()> {
        let Some(window) = self.top.get("CensorWindow") else { return Some(()) };
        let window = window.fields()?;
        window.finish(
            |_| "it moves the index to another day; a study's accrual says on which days an index may lie",
        );
        Some(())
    }

    /// Refuses what makes an outcome's events fewer.
    fn all_events(&self) {
        const WHY: &str =
            "an outcome is every such event; rules and limits on them are not in the study language";
        let refuse = |node: Option<Node<'_>>, found: &str| {
            let node = node.unwrap_or_else(|| self.top.node().clone());
            let _: Option<()> = node.refuse_as(found, WHY);
        };
        let Some(primary) = self.top.get("PrimaryCriteria").and_then(|node| node.fields()) else { return };
        // `QualifiedLimit` is for additional criteria, of which there are none.
        keep(self.top, "QualifiedLimit");
        for (fields, key) in [(&primary, "PrimaryCriteriaLimit"), (self.top, "ExpressionLimit")] {
            if keep(fields, key).is_some_and(|kept| kept != Keep::All) {
                refuse(fields.get(key), &format!("{key} other than \"All\""));
            }
        }
        let prior = primary.get("ObservationWindow").and_then(|window| window.fields()?.get("PriorDays"));
        if prior.as_ref().and_then(|prior| prior.integer()).is_some_and(|days| days != 0) {
            refuse(prior, "PriorDays");
        }
        for item in primary.items("CriteriaList").unwrap_or_default() {
            if events::entry(&item, self.sets).is_some_and(|entry| entry.first || entry.dates.is_some()) {
                refuse(Some(item), "First or a stretch of days");
            }
        }
        if let Some(additional) = self.top.get("AdditionalCriteria") {
            refuse(Some(additional), "additional criteria");
        }
        if self.top.items("InclusionRules").is_some_and(|rules| !rules.is_empty()) {
            refuse(self.top.get("InclusionRules"), "inclusion rules");
        }
    }

    /// Atlas joins episodes that overlap into one, which begins once: only what ends on its own day is one outcome each.
    fn each_ends_at_once(&self) -> Option<()> {
        const WHY: &str = "Atlas joins events into one episode, which begins once, until the first has ended; here each is an \
                           outcome. Let the cohort end 0 days after the start date, without gap days";
        let window = self.no_censor_window();
        let offset = self.top.get("EndStrategy").and_then(|strategy| {
            let fields = strategy.fields()?;
            let offset = fields.get("DateOffset");
            fields.finish(|_| WHY);
            offset
        });
        let ends = match offset {
            None => self.top.node().refuse_as("no EndStrategy of a date offset", WHY),
            Some(offset) => match date_offset(&offset)? {
                ("StartDate", 0) => Some(()),
                (field, days) => offset.refuse_as(&format!("{days} days from {field}"), WHY),
            },
        };
        if let Some(settings) = self.top.get("CollapseSettings") {
            let settings = settings.fields()?;
            settings.get("CollapseType");
            if let Some(pad) = settings.get("EraPad").filter(|pad| pad.integer() != Some(0)) {
                let _: Option<()> = pad.refuse(WHY);
            }
            settings.finish(unknown);
        }
        if let Some(censoring) =
            self.top.get("CensoringCriteria").filter(|node| node.items().is_some_and(|c| !c.is_empty()))
        {
            let _: Option<()> =
                censoring.refuse("episodes end on the day on which they begin: nothing can end them before");
        }
        window.and(ends)
    }
}

/// `{ "Type": "First" | "Last" | "All" }`, the first where it is absent.
fn keep(fields: &Fields<'_>, key: &'static str) -> Option<Keep> {
    let Some(node) = fields.get(key) else { return Some(Keep::First) };
    let limit = node.fields()?;
    let Some(kind) = limit.get("Type") else { return Some(Keep::First) };
    limit.finish(unknown);
    match kind.text()?.to_ascii_lowercase().as_str() {
        "first" => Some(Keep::First),
        "last" => Some(Keep::Last),
        "all" => Some(Keep::All),
        _ => kind.refuse("expected \"First\", \"Last\" or \"All\""),
    }
}

fn date_offset<'a>(node: &Node<'a>) -> Option<(&'a str, i64)> {
    let fields = node.fields()?;
    let field = fields.get("DateField").map_or(Some("StartDate"), |field| field.text());
    let days = fields.get("Offset").map_or(Some(0), |days| days.integer());
    fields.finish(unknown);
    Some((field?, days?))
}

#[cfg(test)]
mod tests;
