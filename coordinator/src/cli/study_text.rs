//! A study in words: where it stands, and what happened. Rounds and attempts are counted from 1.

use super::output::table;
use crate::study::{Absence, StudyEvent};
use consilium_common::protocol::{Approval, Decision};
use consilium_common::study::secure::Summed;
use serde_json::Value;

/// Where studies stand, from what the coordinator says of them.
pub(super) fn status(studies: &Value) -> String {
    let Some(studies) = studies.as_array().filter(|list| !list.is_empty()) else {
        return "No study has been published yet.".into();
    };
    studies.iter().map(one).collect::<Vec<_>>().join("\n\n")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn one(study: &Value) -> String {
    let rows = study["sites"].as_array().into_iter().flatten().map(|site| {
        let reason = site["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
        vec![
            text(&site["name"]).to_owned(),
            text(&site["decision"]).to_owned() + &reason,
            if site["takes_part"] == true { "takes part".to_owned() } else { String::new() },
            absence(&study["absent"][text(&site["name"])]),
        ]
    });
    let waiting = study["waiting"].as_object().into_iter().flatten();
    let waiting: String = waiting.map(|(site, why)| format!("\n{site} waits: {}", text(why))).collect();
    format!(
        "{} {}  {}\n{}\n{}{waiting}\n{}\nNext: {}",
        text(&study["id"]),
        text(&study["version"]),
        text(&study["title"]),
        text(&study["digest"]),
        progress(study),
        table(&["site", "decision", "", "last heard"], rows),
        text(&study["next"]),
    )
}

/// Why a site is not in what is open.
fn absence(value: &Value) -> String {
    serde_json::from_value(value.clone()).map_or_else(|_| String::new(), |absence: Absence| absence.words())
}

fn progress(study: &Value) -> String {
    let detail = &study["detail"];
    match text(&study["phase"]) {
        "training" => format!(
            "training: round {} of {}{}",
            detail["round"].as_u64().unwrap_or_default() + 1,
            detail["rounds"],
            there(study)
        ),
        "evaluating" => match detail["grouping"].as_str() {
            Some(grouping) => format!("evaluating: {grouping}{}", there(study)),
            None => format!("evaluating{}", there(study)),
        },
        "closing" => format!("closing: {} ledgers are here", names(&detail["ledgers"]).len()),
        "ended" => format!("ended: {}", text(&detail["reason"])),
        phase => phase.to_owned(),
    }
}

/// Which attempt at a secure sum is open, who is there or has answered, and who is missing.
fn there(study: &Value) -> String {
    let detail = &study["detail"];
    let listed = |names: Vec<&str>, nobody: &str| match names.is_empty() {
        true => nobody.to_owned(),
        false => names.join(", "),
    };
    let mut parts = match detail["on_stream"].as_array() {
        Some(_) => vec![
            format!(", attempt {}", detail["attempt"].as_u64().unwrap_or_default() + 1),
            format!("on a stream: {}", listed(names(&detail["on_stream"]), "nobody yet")),
        ],
        None => vec![format!(", answered: {}", listed(names(&detail["answered"]), "nobody yet"))],
    };
    let missing = names(&study["missing"]);
    if !missing.is_empty() {
        parts.push(format!("missing: {} (at least {} are needed)", missing.join(", "), study["needed"]));
    }
    let declined = names(&detail["declined"]);
    if !declined.is_empty() {
        parts.push(format!("not asked any more: {}", declined.join(", ")));
    }
    parts.join("; ")
}

fn words(earmark: u32, step: u32) -> String {
    Summed::of_earmark(earmark).words(step)
}

/// One event as a line.
pub(super) fn event(event: &StudyEvent) -> String {
    let what = match event {
        StudyEvent::Published { study, .. } => format!("published as {}", study.short()),
        StudyEvent::Decided { site, approval, .. } => {
            let decision = serde_json::from_str::<Approval>(&approval.statement).map(|a| a.decision);
            let declined = matches!(decision, Ok(Decision::Decline { .. }));
            format!("{site} {}", if declined { "declined" } else { "approved" })
        }
        StudyEvent::Started { participants, .. } => {
            let names: Vec<_> = participants.iter().map(ToString::to_string).collect();
            format!("started with {}", names.join(", "))
        }
        StudyEvent::RoundOpened { round, .. } => format!("round {} is open", round + 1),
        StudyEvent::RoundReopened { round, .. } => {
            format!("round {}: no quorum by the deadline, open again", round + 1)
        }
        StudyEvent::UpdateAccepted { site, round, .. } => format!("round {}: update from {site}", round + 1),
        StudyEvent::TaskDeclined { site, rule, .. } => format!("{site} declined a task: {rule}"),
        StudyEvent::RoundClosed { round, model, .. } => {
            format!("round {} closed, model {}", round + 1, model.short())
        }
        StudyEvent::SessionOpened { number, .. } => format!("secure sums: session {number}"),
        StudyEvent::SumRequested { earmark, .. } => format!("secure sum of grouping {earmark}"),
        StudyEvent::AttemptFailed { earmark, step, attempt, failure, .. } => {
            let failure = serde_json::to_value(failure).unwrap_or_default();
            let why = failure.as_str().unwrap_or_default().replace('_', " ");
            format!("{}: attempt {} failed ({why})", words(*earmark, *step), u64::from(*attempt) + 1)
        }
        StudyEvent::SiteDropped { site, rule, .. } => format!("{site} was dropped: {rule}"),
        StudyEvent::SiteLeft { site, earmark, step, attempt, .. } => {
            format!("{site} left during {}", Summed::of_earmark(*earmark).attempt_words(*step, *attempt))
        }
        StudyEvent::SumClosed { earmark, step, attempt, survivors, .. } => format!(
            "{}: secure sum of {} sites, attempt {}",
            words(*earmark, *step),
            survivors.len(),
            u64::from(*attempt) + 1
        ),
        StudyEvent::GroupingGivenUp { earmark, .. } => {
            format!("grouping {earmark} is not released: its uses are spent")
        }
        StudyEvent::EvaluationOpened { .. } => "evaluation is open".into(),
        StudyEvent::HistogramAccepted { site, grouping, .. } => {
            format!("evaluation by {grouping} from {site}")
        }
        StudyEvent::EvaluationClosed { .. } => "evaluation closed; sites hand in their ledgers".into(),
        StudyEvent::Stopping { reason, .. } => reason.clone(),
        StudyEvent::LedgerReceived { site, .. } => format!("ledger from {site}"),
        StudyEvent::Ended { reason, .. } => reason.clone(),
    };
    format!("{}  {what}", event.time())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn study(phase: &str, detail: Value, more: Value) -> Value {
        let mut study = json!({
            "id": "s", "version": "1.0.0", "title": "T", "digest": "sha256:00", "phase": phase, "detail": detail,
            "sites": [
                {"name": "ashford", "decision": "approved", "reason": null, "takes_part": true},
                {"name": "brackley", "decision": "declined", "reason": "capacity", "takes_part": false},
            ],
            "waiting": {}, "absent": {}, "missing": [], "needed": 3, "next": "do this",
        });
        let more = more.as_object().expect("an object").clone();
        study.as_object_mut().expect("an object").extend(more);
        json!([study])
    }

    #[test]
    fn who_is_missing_and_what_is_next() {
        fn check(study: Value, parts: &[&str], absent: &[&str]) {
            let said = status(&study);
            assert!(said.lines().last().is_some_and(|line| line.starts_with("Next: ")), "{said}");
            parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is not in {said}"));
            absent.iter().for_each(|part| assert!(!said.contains(part), "{part:?} is in {said}"));
        }
        check(
            study("published", Value::Null, json!({})),
            &["published\n", "declined (capacity)", "Next: do this"],
            &["missing"],
        );
        let summing = json!({
            "round": 0, "rounds": 20, "attempt": 1, "session": 2, "on_stream": ["ashford"], "declined": ["corby"],
        });
        let time = "2027-03-01T00:00:00.000Z";
        let absent = json!({
            "missing": ["dunmore"],
            "absent": {
                "ashford": {"why": "left", "earmark": 0, "step": 2, "attempt": 0, "time": time},
                "brackley": {"why": "declined", "rule": "policy.steps_max", "time": time},
            },
        });
        check(
            study("training", summing, absent),
            &[
                "training: round 1 of 20, attempt 2; on a stream: ashford; missing: dunmore (at least 3 are needed)",
                "not asked any more: corby",
                "left during round 3, attempt 1",
                "declined by policy.steps_max",
            ],
            &[],
        );
        let local = json!({"round": 4, "rounds": 20, "answered": [], "declined": []});
        check(
            study("training", local, json!({"missing": ["ashford"]})),
            &["training: round 5 of 20, answered: nobody yet; missing: ashford"],
            &["not asked", "attempt"],
        );
        check(
            study("closing", json!({"ledgers": ["ashford"]}), json!({})),
            &["closing: 1 ledgers are here"],
            &[],
        );
        check(study("ended", json!({"reason": "finished"}), json!({})), &["ended: finished"], &["missing"]);
        assert_eq!(status(&json!([])), "No study has been published yet.");
    }

    #[test]
    fn events_are_counted_from_one() {
        let (site, time) =
            ("corby".parse().expect("a name"), "2027-03-01T00:00:00Z".parse().expect("a time"));
        let left = |earmark, step| {
            let site: consilium_common::id::SiteName = "corby".parse().expect("a name");
            event(&StudyEvent::SiteLeft { site, earmark, step, attempt: 1, time })
        };
        assert!(left(0, 4).ends_with("corby left during round 5, attempt 2"));
        assert!(left(2, 2).ends_with("corby left during grouping 2, attempt 2"));
        let declined = StudyEvent::TaskDeclined { site, rule: "data.table".into(), time };
        assert!(event(&declined).ends_with("corby declined a task: data.table"));
    }
}
