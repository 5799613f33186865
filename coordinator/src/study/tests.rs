//! The life of a study, step by step, without clock, store or socket.

mod absences;

use super::*;
use consilium_common::key::SecretKey;
use consilium_common::study::{RosterSite, fill, parse};

const SITES: [&str; 4] = ["ashford", "brackley", "corby", "dunmore"];

fn key(site: &str) -> SecretKey {
    SecretKey::from_seed(&[site.as_bytes()[0]; 32])
}

fn name(site: &str) -> SiteName {
    site.parse().expect("a name")
}

fn time(s: i64) -> Time {
    let start: Time = "2027-03-01T00:00:00Z".parse().expect("a time");
    Time::from_unix_ms(start.unix_ms() + 1000 * s).expect("a time")
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn published() -> StudyState {
    let roster = SITES.map(|site| RosterSite {
        name: name(site),
        key: key(site).public(),
        people_public: 1000,
        weight: 1 << 16,
    });
    let template = include_str!("../../../docs/studies/synthetic-selfharm.toml")
        .lines()
        .map(|line| match line.split('=').next().map(str::trim) {
            Some("rounds") => "rounds = 2",
            Some("deadline_s") => "deadline_s = 60",
            Some("quorum") => "quorum = 3",
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n");
    let text = fill(&template, &roster, Some(3.0)).expect("valid").text;
    StudyState::new(parse(text.as_bytes()).expect("valid"))
}

fn approval(state: &StudyState, site: &str, decision: Decision, signer: &str) -> Signed<Approval> {
    let approval = Approval {
        study: state.study.digest,
        study_id: state.study.id.clone(),
        site: name(site),
        decision,
        time: time(0),
        approver: String::new(),
        replaces: None,
        bindings: None,
    };
    Signed::new(&approval, &key(signer))
}

fn with(state: StudyState, events: Vec<StudyEvent>) -> StudyState {
    events.into_iter().fold(state, StudyState::apply)
}

fn approved(mut state: StudyState, sites: &[&str]) -> StudyState {
    for site in sites {
        let signed = approval(&state, site, Decision::Approve, site);
        let events = state.decide_approval(&name(site), signed, time(1)).expect("on the roster");
        state = with(state, events);
    }
    state
}

fn sign_start(study: Digest) -> impl FnOnce(Vec<Signed<Approval>>) -> Signed<Start> {
    move |approvals| {
        let coordinator = key("z");
        Signed::new(
            &Start { study, approvals, time: time(2), coordinator: coordinator.public() },
            &coordinator,
        )
    }
}

fn started(sites: &[&str]) -> StudyState {
    let state = approved(published(), sites);
    let sign = sign_start(state.study.digest);
    let events = state.decide_start(sign, digest("model 0"), time(2)).expect("enough sites");
    with(state, events)
}

fn updated(mut state: StudyState, round: u32, sites: &[&str]) -> StudyState {
    for site in sites {
        let update = digest(&format!("{site} {round}"));
        let events = state.decide_update(&name(site), round, update, time(3)).expect("taken");
        state = with(state, events);
    }
    state
}

#[test]
fn only_the_rosters_key_decides_and_only_before_the_start() {
    let state = published();
    let refused = |state: &StudyState, site: &str, signed| {
        state.decide_approval(&name(site), signed, time(1)).expect_err("refused").to_string()
    };
    let by_another = approval(&state, "ashford", Decision::Approve, "brackley");
    assert!(refused(&state, "ashford", by_another).starts_with("study.approval"));
    let for_another = approval(&state, "ashford", Decision::Approve, "brackley");
    assert!(refused(&state, "brackley", for_another).starts_with("study.approval"));
    let stranger = approval(&state, "zebra", Decision::Approve, "zebra");
    assert!(refused(&state, "zebra", stranger).starts_with("study.roster"));

    // A mind may be changed until the start; the same decision again changes nothing.
    let state = approved(state, &["ashford"]);
    let again = approval(&state, "ashford", Decision::Approve, "ashford");
    assert_eq!(state.decide_approval(&name("ashford"), again.clone(), time(1)), Ok(vec![]));
    let reason = consilium_common::protocol::DeclineReason::Budget;
    let no = approval(&state, "ashford", Decision::Decline { reason }, "ashford");
    let events = state.decide_approval(&name("ashford"), no.clone(), time(1)).expect("not started");
    assert_eq!(with(state, events).approved(), Vec::<SiteName>::new());

    let state = started(&SITES);
    assert_eq!(state.decide_approval(&name("ashford"), again, time(5)), Ok(vec![]));
    assert!(refused(&state, "ashford", no).starts_with("study.phase"));
}

#[test]
fn a_start_needs_enough_sites_and_a_valid_day() {
    let few = approved(published(), &["ashford", "brackley"]);
    let refused = few.decide_start(sign_start(few.study.digest), digest("m"), time(2)).expect_err("too few");
    let undecided: Vec<&str> = few
        .study
        .sites
        .iter()
        .map(|site| site.name.as_str())
        .filter(|n| !["ashford", "brackley"].contains(n))
        .collect();
    assert_eq!(undecided.len(), 2);
    let said = refused.to_string();
    assert!(said.ends_with(&format!(
        ": 2 of at least 3 sites approved (no decision yet: {}; declined: none)",
        undecided.join(", ")
    )));
    for (quorum, min_sites, rule) in [(3, 2, "privacy.training.quorum"), (2, 4, "disclosure.min_sites")] {
        let mut few = few.clone();
        few.study.privacy.training.quorum = quorum;
        few.study.disclosure.min_sites = min_sites;
        let refused =
            few.decide_start(sign_start(few.study.digest), digest("m"), time(2)).expect_err("too few");
        assert!(refused.to_string().starts_with(&format!("{rule}: 2 of at least {}", quorum.max(min_sites))));
    }
    let enough = approved(published(), &SITES);
    let late: Time = "2099-01-01T00:00:00Z".parse().expect("a time");
    let refused = enough.decide_start(sign_start(enough.study.digest), digest("m"), late).expect_err("over");
    assert!(refused.to_string().starts_with("governance.valid"));
    let running = started(&SITES);
    assert!(running.decide_start(sign_start(running.study.digest), digest("m"), time(9)).is_err());
}

#[test]
fn updates_count_once_and_in_their_round() {
    let state = started(&["ashford", "brackley", "corby"]);
    let refused = |state: &StudyState, site: &str, round, text: &str| {
        state.decide_update(&name(site), round, digest(text), time(3)).expect_err("refused").to_string()
    };
    assert!(refused(&state, "dunmore", 0, "x").starts_with("study.participants"));
    assert!(refused(&state, "ashford", 1, "x").starts_with("round.late"));
    assert_eq!(
        state.task_for(&name("ashford")),
        Some(Task::Train { study: state.study.digest, round: 0, model: digest("model 0") })
    );

    let state = updated(state, 0, &["ashford"]);
    assert_eq!(state.task_for(&name("ashford")), None, "it has answered");
    assert_eq!(state.task_for(&name("dunmore")), None, "it takes no part");
    let same = state.decide_update(&name("ashford"), 0, digest("ashford 0"), time(4));
    assert_eq!(same, Ok(vec![]), "the same bytes again");
    assert!(refused(&state, "ashford", 0, "other bytes").starts_with("round.duplicate"));

    // The round closes when all have answered; its updates are known afterwards, and no new ones.
    let state = updated(state, 0, &["brackley", "corby"]);
    assert!(matches!(state.due(time(4)), Some(Due::Aggregate { round: 0, .. })));
    let events = state.decide_close_round(0, digest("model 1"), time(5));
    let state = with(state, events);
    assert_eq!(state.decide_update(&name("ashford"), 0, digest("ashford 0"), time(6)), Ok(vec![]));
    assert!(refused(&state, "ashford", 0, "another").starts_with("round.late"));
    assert_eq!(state.models, [digest("model 0"), digest("model 1")]);
}

#[test]
fn a_deadline_closes_with_quorum_and_reopens_without() {
    let state = started(&SITES);
    let quorum = updated(state.clone(), 0, &["ashford", "brackley", "corby"]);
    assert_eq!(quorum.due(time(61)), None, "one may still come");
    assert!(matches!(quorum.due(time(62)), Some(Due::Aggregate { round: 0, .. })));

    let mut short = updated(state, 0, &["ashford", "brackley"]);
    let mut now = 62;
    for _ in 0..REOPEN_MAX {
        let Some(Due::Append(events)) = short.due(time(now)) else { panic!("due at {now}") };
        assert!(matches!(events[..], [StudyEvent::RoundReopened { round: 0, .. }]));
        short = with(short, events);
        assert_eq!(short.due(time(now + 59)), None);
        now += 60;
    }
    let Some(Due::Append(events)) = short.due(time(now)) else { panic!("due at the end") };
    assert!(matches!(events[..], [StudyEvent::Stopping { .. }]), "not for ever: {events:?}");
    // Answers that came before a round was opened again still count.
    assert!(short.decide_update(&name("corby"), 0, digest("c"), time(now)).is_ok());
}

#[test]
fn too_many_refusals_stop_the_study_and_ledgers_still_come() {
    let mut state = started(&["ashford", "brackley", "corby"]);
    let events = state.decide_decline(&name("corby"), "policy.steps_max", time(3)).expect("takes part");
    state = with(state, events);
    assert_eq!(state.task_for(&name("corby")), None);
    let again = state.decide_decline(&name("corby"), "policy.steps_max", time(3));
    assert_eq!(again, Ok(vec![]), "said before");
    state = updated(state, 0, &["ashford", "brackley"]);
    let Some(Due::Append(events)) = state.due(time(4)) else { panic!("two of three needed") };
    state = with(state, events);
    assert_eq!(state.task_for(&name("corby")), Some(Task::Close { study: state.study.digest }));
    for site in ["ashford", "brackley", "corby"] {
        let events = state.decide_ledger(&name(site), time(5)).expect("closing");
        state = with(state, events);
    }
    let Some(Due::Append(events)) = state.due(time(6)) else { panic!("all ledgers are there") };
    state = with(state, events);
    assert!(matches!(&state.phase, Phase::Ended { reason } if reason.starts_with("stopped")));
}

#[test]
fn evaluation_takes_each_grouping_once_and_ends_with_the_ledgers() {
    let sites = ["ashford", "brackley", "corby"];
    let mut state = started(&sites);
    for round in 0..2 {
        state = updated(state, round, &sites);
        let events = state.decide_close_round(round, digest(&format!("model {}", round + 1)), time(5));
        state = with(state, events);
    }
    let model = digest("model 2");
    assert_eq!(state.task_for(&name("corby")), Some(Task::Evaluate { study: state.study.digest, model }));
    let refused =
        state.decide_histogram(&name("corby"), "shoe_size", digest("h"), time(6)).expect_err("none");
    assert!(refused.to_string().starts_with("evaluation.grouping"));
    let groupings: Vec<String> =
        state.study.privacy.evaluation_shares.iter().map(|(name, _)| name.clone()).collect();
    for site in ["ashford", "brackley"] {
        for grouping in &groupings {
            let bytes = digest(&format!("{site} {grouping}"));
            let events = state.decide_histogram(&name(site), grouping, bytes, time(6)).expect("open");
            state = with(state, events);
            assert_eq!(state.decide_histogram(&name(site), grouping, bytes, time(6)), Ok(vec![]));
            let other = state.decide_histogram(&name(site), grouping, digest("other"), time(6));
            assert!(matches!(other, Err(StudyRefusal::OtherBytes(_))));
        }
        assert_eq!(state.task_for(&name(site)), None, "it has released all");
    }
    assert_eq!(state.due(time(7)), None, "corby may still come");
    let Some(Due::Append(events)) = state.due(time(66)) else { panic!("the deadline has passed") };
    state = with(state, events);
    assert_eq!(state.histograms[&groupings[0]].len(), 2);

    for site in ["ashford", "brackley"] {
        let events = state.decide_ledger(&name(site), time(67)).expect("closing");
        state = with(state, events);
    }
    assert_eq!(state.due(time(68)), None);
    let closing = 66 + i64::try_from(CLOSING_MS / 1000).expect("small");
    let Some(Due::Append(events)) = state.due(time(closing)) else { panic!("over") };
    state = with(state, events);
    let Phase::Ended { reason } = &state.phase else { panic!("ended") };
    assert_eq!(reason, "finished, without the ledgers of corby");
}
