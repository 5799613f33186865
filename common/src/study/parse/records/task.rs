//! `[[task]]`: the outcome, when it counts, and for whom.

use super::super::task::prevalence;
use super::Named;
use super::cohort::{CRITERIA_MAX, Cohorts, DAYS_MAX, criterion};
use super::followed;
use super::sets::listed;
use crate::study::Task;
use crate::study::raw::{Ask, Section, Value, ask, nearest};
use crate::study::records::{AtRisk, Criterion, Death, Outcome, PriorOutcome, RecordTable};

const HORIZONS: Ask = ask(
    "horizons_days",
    "a rising list of whole numbers of days from 1 to 36500, at least one",
    "horizons_days = [30, 365]",
);
const BINDING: Ask = ask("binding", "the name of a binding", r#"binding = "psychiatric_stay""#);
const AT_RISK_START: Ask = ask(
    "time_at_risk_start_day",
    "a whole number from 1 to 36500: what is on the day of the prediction is a predictor",
    "time_at_risk_start_day = 1",
);

const HORIZONS_MAX: usize = 16;

/// What of a task is sound.
pub(super) struct TaskParts {
    pub(super) task: Option<Task>,
    /// The name of a cohort of the file.
    pub(super) target: Option<String>,
    pub(super) outcome: Option<Outcome>,
}

pub(super) fn read(top: &Section<'_>, named: Named<'_>, cohorts: &Cohorts) -> Option<Vec<TaskParts>> {
    super::super::task::all(top, |section, name| task(section, name, named, cohorts))
}

fn task(section: &Section<'_>, name: Option<String>, named: Named<'_>, cohorts: &Cohorts) -> TaskParts {
    const TARGET: Ask = ask("target", "the name of a cohort", r#"target = "first_episode""#);
    let target = section.required(TARGET, |v| {
        let target = v.text_where(|_| true)?;
        let known = cohorts.iter().map(|(name, _)| name.as_str());
        // Without any cohort, that is the mistake.
        if cohorts.is_empty() || known.clone().any(|known| known == target) {
            return Some(target);
        }
        let instead = match nearest(&target, known.clone()) {
            Some(close) => format!("did you mean {close}?"),
            None => "name one of those".to_owned(),
        };
        v.wrong_because(&format!("the name of a cohort: {}", listed(known)), &format!("{target:?}"), &instead)
    });
    let outcome = outcome(section, named);
    let predictions = outcome.as_ref().map(|outcome| outcome.at_risk.horizons().len());
    let prevalence_public = prevalence(section, predictions);
    let task = name.zip(prevalence_public).map(|(name, prevalence_public)| Task { name, prevalence_public });
    TaskParts { task, target, outcome }
}

fn outcome(section: &Section<'_>, named: Named<'_>) -> Option<Outcome> {
    const OUTCOME: Ask = ask(
        "outcome",
        "a table of any_of, or of binding",
        r#"outcome = { any_of = [{ event = "condition", set = "self_harm" }] }"#,
    );
    const ANY_OF: Ask = ask(
        "any_of",
        "a list of { event, set }, at least one",
        r#"any_of = [{ event = "condition", set = "self_harm" }]"#,
    );
    const UNTIL: Ask = ask(
        "until",
        "\"stay-end\": until the end of the hospital stay; without it, horizons_days say until when",
        r#"until = "stay-end""#,
    );
    const PRIOR: Ask = ask(
        "prior_outcome",
        "\"keep\" or \"remove\" (removing leaves out the people at highest risk)",
        r#"prior_outcome = "keep""#,
    );
    const SHORT: Ask = ask(
        "insufficient_follow_up",
        "\"drop\", \"keep-if-outcome\", or \"ipcw\" with a published followed_public",
        r#"insufficient_follow_up = "keep-if-outcome""#,
    );
    const DEATH: Ask = ask(
        "death",
        "\"competing\" or \"censoring\": what a death before the outcome is",
        r#"death = "competing""#,
    );
    // Whether it is over with the stay; none where that is not known.
    let mut until_stay_end = None;
    let events = super::super::section(section, OUTCOME, |outcome| {
        let until = outcome.optional(UNTIL, |v| v.word(&["stay-end"]));
        until_stay_end = until.map(|until| until.is_some());
        let events = if outcome.has(BINDING.key) {
            of_binding(outcome, named)
        } else {
            let any_of =
                outcome.required(ANY_OF, |v| v.list(1..=CRITERIA_MAX, |item| criterion(item, named)));
            any_of.map(|any_of| (any_of, 0))
        };
        until?;
        events
    });
    let at_risk = match until_stay_end {
        Some(false) => days_at_risk(section),
        Some(true) => stay_at_risk(section),
        None => {
            section.ignore(&[HORIZONS.key, AT_RISK_START.key]);
            None
        }
    };
    let prior = section.required(PRIOR, |v| {
        Some(if v.word(&["keep", "remove"])? == "keep" { PriorOutcome::Keep } else { PriorOutcome::Remove })
    });
    let short = section.required(SHORT, |v| v.word(&["drop", "keep-if-outcome", "ipcw"]));
    let short = followed::short_follow_up(section, short, at_risk.as_ref());
    let death = section.required(DEATH, |v| {
        Some(match v.word(&["competing", "censoring"])? {
            "competing" => Death::Competing,
            _ => Death::Censoring,
        })
    });
    let ((any_of, gap_days_min), at_risk) = (events?, at_risk?);
    check_gap(section, gap_days_min, &at_risk)?;
    Some(Outcome { any_of, gap_days_min, at_risk, prior: prior?, short_follow_up: short?, death: death? })
}

/// A stay of a binding, some days after the index.
fn of_binding(outcome: &Section<'_>, named: Named<'_>) -> Option<(Vec<Criterion>, u32)> {
    const NO_ANY_OF: Ask = ask(
        "any_of",
        "nothing beside binding",
        r#"outcome = { binding = "psychiatric_stay", gap_days_min = 1 }"#,
    );
    const GAP: Ask = ask(
        "gap_days_min",
        "a whole number of days from 0 to 36500, from the day of the index to the start of the stay",
        "gap_days_min = 1",
    );
    let binding = outcome.required(BINDING, |v| named.bindings.stays(v));
    let gap = outcome.optional(GAP, |v| v.small(0..=DAYS_MAX));
    outcome.optional(NO_ANY_OF, |v| v.wrong::<()>())?;
    let events = vec![Criterion { table: RecordTable::Stay(binding?), set: None }];
    Some((events, gap?.unwrap_or(0)))
}

/// A stay that has to start after the time at risk is over is no outcome.
fn check_gap(section: &Section<'_>, gap: u32, at_risk: &AtRisk) -> Option<()> {
    let expected = match at_risk {
        AtRisk::Days { to, .. } if gap > to[0] => format!("at most the first horizon, {}", to[0]),
        AtRisk::Stay if gap > 0 => {
            "nothing with until = \"stay-end\": nobody is admitted to the stay they are in".to_owned()
        }
        AtRisk::Days { .. } | AtRisk::Stay => return Some(()),
    };
    section.wrong(
        "outcome.gap_days_min",
        &expected,
        &gap.to_string(),
        "write gap_days_min = 1, or remove it",
    );
    None
}

fn days_at_risk(section: &Section<'_>) -> Option<AtRisk> {
    let horizons = section.required(HORIZONS, |v| {
        let horizons = v.list(1..=HORIZONS_MAX, |item| item.small(1..=DAYS_MAX))?;
        if horizons.is_sorted_by(|a, b| a < b) { Some(horizons) } else { v.wrong() }
    });
    let from = section.required(AT_RISK_START, |v| v.small(1..=DAYS_MAX));
    let (from, to) = (from?, horizons?);
    if from > to[0] {
        let expected = format!("a day up to the first horizon, {}", to[0]);
        section.wrong(AT_RISK_START.key, &expected, &from.to_string(), "write time_at_risk_start_day = 1");
        return None;
    }
    Some(AtRisk::Days { from, to })
}

fn stay_at_risk(section: &Section<'_>) -> Option<AtRisk> {
    let none = |ask: Ask| {
        section.optional(ask, |v: &Value<'_>| -> Option<()> {
            let expected = "nothing: the outcome counts from the prediction time until the stay ends";
            v.wrong_because(expected, &v.shown(), "remove it, or until = \"stay-end\"")
        })
    };
    let (horizons, start) = (none(HORIZONS), none(AT_RISK_START));
    horizons?;
    start?;
    Some(AtRisk::Stay)
}
