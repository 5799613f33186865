//! Gathers what the report shows from a bundle's results.

use crate::metrics::{FEDERATED, Metrics, Of};
use crate::report::{Cosigners, ReportData, RocCurve, SiteAnswer, SiteCap, SiteDecision, Stopped, View};
use crate::results::Results;
use crate::simulate::Reference;
use crate::study::StudyEvent;
use consilium_common::evaluation::performance::Performance;
use consilium_common::id::{Digest, SiteName};
use consilium_common::protocol::{Approval, Decision};
use consilium_common::report::audit::Program;
use consilium_common::time::Time;
use std::collections::BTreeMap;

/// The key of the study's `[report]` that says where the records come from.
const DATA_SOURCE: &str = "data_source";

/// The report's data. `None` for a log without an end or without a model: then there is nothing to
/// report.
#[must_use]
pub fn of(results: &Results, metrics: &Metrics, references: &[Reference]) -> Option<ReportData> {
    let study = &results.study;
    let source = study.report.iter().find(|(key, _)| key == DATA_SOURCE).map(|(_, text)| text.clone());
    let predicted = study.predicted();
    let everybody = (0_u8..).zip(&predicted).flat_map(|(output, predicted)| {
        let of = Of::everybody(study, predicted).into_iter().enumerate();
        of.map(move |(group, of)| (output, group, of))
    });
    let views = everybody.map(|(output, group, of)| {
        let released = results.overall().find(|(known, _)| *known == output);
        let overall: Option<&Performance> = released.and_then(|(_, groups)| groups.get(group));
        // A curve whose area says nothing says nothing itself.
        let is_given = |model: &&crate::metrics::Model| model.released_under_dp && model.of == of;
        let has_area = metrics.models.iter().find(is_given).is_some_and(|model| model.auroc.is_some());
        let released = overall.filter(|_| has_area).map(|p| RocCurve::released(FEDERATED, &p.roc));
        // The released model's own curve without noise would hide its band.
        let others = references
            .iter()
            .filter(|reference| reference.name != FEDERATED && reference.of == of)
            .map(|reference| RocCurve::reference(&reference.name, reference.roc.clone()));
        let roc = released.into_iter().chain(others);
        View {
            roc: roc.filter(|curve| !curve.points.is_empty()).collect(),
            calibration: overall.map(|p| p.calibration.clone()).unwrap_or_default(),
            of,
        }
    });
    let answers = answers(&results.events);
    Some(ReportData {
        metrics: metrics.clone(),
        study: study.clone(),
        data_source: source.unwrap_or_else(|| "the study file does not say.".into()),
        decisions: study
            .sites
            .iter()
            .map(|listed| SiteDecision {
                site: listed.name.clone(),
                answer: answers.get(&listed.name).cloned(),
            })
            .collect(),
        caps: results
            .budget
            .sites
            .iter()
            .map(|site| SiteCap {
                site: site.name.clone(),
                epsilon: site.epsilon_per_study_cap.min(study.privacy.person_total_max),
            })
            .collect(),
        views: views.collect(),
        // This version's event list has no checkpoints.
        learning_curve: None,
        refusals: results.refusals.clone(),
        model: final_model(&results.events)?,
        finished: finished(&results.events)?,
        stopped: stopped(&results.events, study.privacy.training.rounds),
        cosigners: cosigners(results.audit.sites.iter().map(|site| (&site.name, site.witnesses.as_slice()))),
        audit: None,
        programs: results.audit.sites.iter().map(Program::of).collect(),
    })
}

/// The last answer of each site. The bundle's verification checked the signatures.
fn answers(events: &[StudyEvent]) -> BTreeMap<SiteName, SiteAnswer> {
    let mut answers = BTreeMap::new();
    for event in events {
        let StudyEvent::Decided { site, approval, time } = event else { continue };
        let Ok(statement) = serde_json::from_str::<Approval>(&approval.statement) else { continue };
        let declined = match statement.decision {
            Decision::Approve => None,
            Decision::Decline { reason } => Some(reason),
        };
        let (approver, bindings) = (statement.approver, statement.bindings);
        answers.insert(site.clone(), SiteAnswer { declined, approver, time: *time, bindings });
    }
    answers
}

fn final_model(events: &[StudyEvent]) -> Option<Digest> {
    events.iter().rev().find_map(|event| match event {
        StudyEvent::RoundClosed { model, .. } | StudyEvent::Started { model, .. } => Some(*model),
        _ => None,
    })
}

fn finished(events: &[StudyEvent]) -> Option<Time> {
    events.iter().rev().find_map(|event| match event {
        StudyEvent::Ended { time, .. } => Some(*time),
        _ => None,
    })
}

/// How far a study came that did not run to its end; `None` for one that did, or that has no end yet.
pub(crate) fn stopped(events: &[StudyEvent], rounds_planned: u32) -> Option<Stopped> {
    let reason = events.iter().rev().find_map(|event| match event {
        StudyEvent::Ended { reason, .. } => Some(reason.strip_prefix("stopped: ")?.to_owned()),
        _ => None,
    })?;
    let closed = events.iter().filter(|event| matches!(event, StudyEvent::RoundClosed { .. })).count();
    let rounds = u32::try_from(closed).expect("a round number is 32 bits");
    Some(Stopped { reason, rounds, rounds_planned })
}

/// Of each site, with the other participants that cosigned its ledger.
fn cosigners<'a>(sites: impl Iterator<Item = (&'a SiteName, &'a [SiteName])>) -> Cosigners {
    let (alone, witnessed): (Vec<_>, Vec<_>) = sites.partition(|(_, witnesses)| witnesses.is_empty());
    if witnessed.is_empty() {
        Cosigners::Coordinator
    } else if alone.is_empty() {
        Cosigners::CoordinatorAndSites
    } else {
        Cosigners::Mixed { alone: alone.into_iter().map(|(site, _)| site.clone()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::key::SecretKey;
    use consilium_common::protocol::DeclineReason;
    use consilium_common::signed::Signed;

    fn time(second: u32) -> Time {
        format!("2027-03-01T09:30:{second:02}Z").parse().expect("a time")
    }

    fn decided(site: &str, decision: Decision, second: u32) -> StudyEvent {
        let site: SiteName = site.parse().expect("a name");
        let approval = Approval {
            study: Digest::of(b"study"),
            study_id: "s".parse().expect("an id"),
            site: site.clone(),
            decision,
            time: time(second),
            approver: "guardian".into(),
            replaces: None,
            bindings: None,
        };
        StudyEvent::Decided {
            site,
            approval: Signed::new(&approval, &SecretKey::from_seed(&[1; 32])),
            time: time(second),
        }
    }

    #[test]
    fn the_last_answer_counts() {
        let events = [
            decided("a", Decision::Approve, 1),
            decided("b", Decision::Approve, 2),
            decided("a", Decision::Decline { reason: DeclineReason::Budget }, 3),
        ];
        let answers = answers(&events);
        let of = |site: &str| answers.get(&site.parse::<SiteName>().expect("a name"));
        assert_eq!(of("a").map(|a| (a.declined, a.time)), Some((Some(DeclineReason::Budget), time(3))));
        assert_eq!(of("b").map(|a| a.declined), Some(None));
        assert_eq!(of("c"), None);
    }

    #[test]
    fn who_cosigned_is_what_the_bundle_says() {
        fn check(witnesses: &[&[&str]], expected: &Cosigners) {
            let name = |text: &str| text.parse::<SiteName>().expect("a name");
            let sites: Vec<(SiteName, Vec<SiteName>)> = ["a", "b", "c"]
                .into_iter()
                .zip(witnesses)
                .map(|(site, by)| (name(site), by.iter().copied().map(name).collect()))
                .collect();
            assert_eq!(cosigners(sites.iter().map(|(site, by)| (site, by.as_slice()))), *expected);
        }
        check(&[&[], &[], &[]], &Cosigners::Coordinator);
        check(&[&["b"], &["a", "c"], &["a"]], &Cosigners::CoordinatorAndSites);
        check(&[&["b"], &[], &["a"]], &Cosigners::Mixed { alone: vec!["b".parse().expect("a name")] });
    }

    #[test]
    fn a_study_that_ended_early_says_how_far_it_came() {
        fn check(reason: &str, expected: Option<&str>) {
            let closed = |round| StudyEvent::RoundClosed { round, model: Digest::of(b"m"), time: time(4) };
            let ended = StudyEvent::Ended { reason: reason.into(), time: time(9) };
            let said = stopped(&[closed(0), closed(1), ended], 600).map(|stopped| stopped.to_string());
            assert_eq!(said.as_deref(), expected);
        }
        check("finished", None);
        check("finished, without the ledgers of corby", None);
        check("stopped: by the consortium", Some("Stopped after 2 of 600 rounds: by the consortium."));
        check("stopped: no answer.", Some("Stopped after 2 of 600 rounds: no answer."));
        assert_eq!(stopped(&[], 600), None);
    }

    #[test]
    fn the_model_is_the_last_and_the_end_is_needed() {
        let closed =
            |round, bytes: &[u8]| StudyEvent::RoundClosed { round, model: Digest::of(bytes), time: time(4) };
        let ended = StudyEvent::Ended { reason: "finished".into(), time: time(9) };
        let events = [closed(0, b"first"), closed(1, b"last"), ended];
        assert_eq!(final_model(&events), Some(Digest::of(b"last")));
        assert_eq!(finished(&events), Some(time(9)));
        assert_eq!((final_model(&[]), finished(&events[..2])), (None, None));
    }
}
