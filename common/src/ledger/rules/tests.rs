mod key_lost;
mod recovered;
mod sums;
mod total;

use super::*;
use crate::id::StudyId;
use crate::key::SecretKey;
use crate::ledger::entry::{Account, Earmark, Participant, Role};
use crate::privacy::mechanism::Event;
use crate::protocol::{Approval, Decision, DeclineReason};
use crate::signed::Signed;
use proptest::prelude::*;

pub(super) fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

pub(super) fn time(minute: u64) -> Time {
    "2027-03-01T09:00:00.000Z".parse::<Time>().expect("a time").plus_ms(minute * 60_000)
}

fn site() -> SiteName {
    "ashford".parse().expect("a name")
}

pub(super) fn caps() -> Caps {
    Caps {
        policy: Digest::of(b"policy"),
        epsilon_total: 3.0,
        epsilon_per_study: 3.0,
        epsilon_per_year: None,
        delta: 1e-5,
        noise_multiplier_min: 0.5,
        sampling_rate_max: 0.5,
        steps_max: 1000,
    }
}

pub(super) fn genesis() -> Body {
    Body::Genesis {
        schema: SCHEMA.into(),
        site: site(),
        dataset: "d1".into(),
        key: key().public(),
        unit: "person".into(),
        neighbours: "add_remove_one".into(),
        software: "site-agent 0.1.0".into(),
        caps: caps(),
    }
}

pub(super) fn study() -> Digest {
    Digest::of(b"study")
}

fn study_id() -> StudyId {
    "self-harm".parse().expect("a name")
}

pub(super) fn approval(study: Digest, decision: Decision, by: &SecretKey) -> Signed<Approval> {
    let approval = Approval {
        study,
        study_id: study_id(),
        site: site(),
        decision,
        time: time(0),
        approver: String::new(),
        replaces: None,
        bindings: None,
    };
    Signed::new(&approval, by)
}

fn earmarks() -> Vec<Earmark> {
    vec![
        Earmark {
            name: "training".into(),
            account: Account::Training,
            event: Event::PoissonGaussian { sampling_rate: 0.1, noise_multiplier: 1.6, count: 12 },
        },
        Earmark {
            name: "overall".into(),
            account: Account::Evaluation,
            event: Event::Gaussian { noise_multiplier: 6.0, count: 2 },
        },
        Earmark {
            name: "sex*age_band".into(),
            account: Account::Evaluation,
            event: Event::Gaussian { noise_multiplier: 9.0, count: 2 },
        },
    ]
}

pub(super) fn open() -> Body {
    open_of(study(), earmarks())
}

fn open_of(study: Digest, earmarks: Vec<Earmark>) -> Body {
    Body::StudyOpen {
        study,
        study_id: study_id(),
        approval: approval(study, Decision::Approve, &key()),
        participants: vec![
            Participant { site: site(), key: key().public() },
            Participant {
                site: "brackley".parse().expect("a name"),
                key: SecretKey::from_seed(&[2; 32]).public(),
            },
        ],
        delta: 1e-6,
        earmarks,
    }
}

fn cohort_version() -> Body {
    let [cohort, opt_outs, source, queries] = [b"c", b"o", b"s", b"q"].map(|text| Digest::of(text));
    Body::CohortVersion { study: study(), cohort, opt_outs, source, queries }
}

fn reserve(round: u32, first: u64, count: u64) -> Body {
    Body::Reserve { study: study(), earmark: 0, first, count, round, model: Digest::of(b"model") }
}

fn release(earmark: u32, first: u64) -> Body {
    Body::Release { study: study(), earmark, first, count: 1, model: Digest::of(b"model") }
}

fn commit(reserve: u64) -> Body {
    Body::Commit { reserve, output: Digest::of(b"output") }
}

fn abort(reserve: u64) -> Body {
    Body::Abort { reserve, reason: "interrupted".into() }
}

pub(super) fn close() -> Body {
    Body::Close { study: study(), reason: "finished".into() }
}

fn refusal(rule: &str) -> Body {
    Body::Refusal { rule: rule.into(), study: Some(study()), count: 1 }
}

/// The bytes of a ledger with these entries after the genesis, a minute apart.
fn ledger(bodies: &[Body]) -> Result<Vec<Vec<u8>>, Illegal> {
    let mut entries = vec![first_entry(genesis(), time(0))?];
    let mut state = State::begin(&entries[0])?;
    for (i, body) in bodies.iter().enumerate() {
        let bytes = state.decide(body.clone(), time(i as u64 + 1))?;
        state.apply(&bytes)?;
        entries.push(bytes);
    }
    Ok(entries)
}

pub(super) fn state(bodies: &[Body]) -> State {
    replay(ledger(bodies).expect("legal")).expect("legal")
}

/// Legal but for the last entry, which breaks `rule`.
pub(super) fn check(bodies: &[Body], rule: &str) {
    state(&bodies[..bodies.len() - 1]);
    let error = ledger(bodies).expect_err(rule);
    assert_eq!((error.rule, error.entry), (rule, bodies.len() as u64), "{error}");
}

#[test]
fn a_whole_study() {
    let bodies = [
        open(),
        Body::DatasetVersion { study: study(), commitment: Digest::of(b"c") },
        reserve(0, 0, 4),
        commit(3),
        reserve(1, 4, 4),
        abort(5),
        reserve(1, 8, 4),
        commit(7),
        refusal("policy.steps_max"),
        release(1, 0),
        commit(10),
        release(2, 0),
        cohort_version(),
        close(),
        refusal("ledger.study"),
        Body::PolicyChange { caps: Caps { epsilon_total: 8.0, ..caps() } },
    ];
    let state = state(&bodies);
    assert_eq!((state.size(), state.site(), state.dataset()), (17, &site(), "d1"));
    assert_eq!(state.caps().epsilon_total, 8.0);
    assert_eq!(state.next_unburnt(&study(), 0), Some(12));
    assert_eq!(state.next_unburnt(&study(), 2), Some(1));
    assert_eq!(state.next_unburnt(&study(), 3), None);
    assert_eq!(state.committed(&study(), Slot::Round(1)), Some((Digest::of(b"output"), 8)));
    assert_eq!(state.committed(&study(), Slot::Grouping(2)), None);
    // An aborted reserve stays burnt, and so does a release without commit.
    assert_eq!(state.burnt(Role::Training), vec![earmarks()[0].event]);
    let one = |earmark: usize| earmarks()[earmark].event.with_count(1);
    assert_eq!(state.burnt(Role::Evaluation), vec![one(1), one(2)]);
    // Closed: what was not burnt is free again.
    assert_eq!(state.charged(Role::Evaluation), vec![one(1), one(2)]);
    assert_eq!(state.unfinished(), vec![]);
}

#[test]
fn an_open_study_is_charged_whole() {
    let state = state(&[open(), reserve(0, 0, 4)]);
    assert_eq!(state.charged(Role::Training), vec![earmarks()[0].event]);
    assert_eq!(state.burnt(Role::Training), vec![earmarks()[0].event.with_count(4)]);
    let unfinished = state.unfinished();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((unfinished[0].0, unfinished[0].1.slot), (2, Slot::Round(0)));
}

#[test]
fn both_pays_in_both_accounts() {
    let both: Vec<_> = earmarks().into_iter().map(|e| Earmark { account: Account::Both, ..e }).collect();
    let state = state(&[open_of(study(), both)]);
    assert_eq!(state.charged(Role::Training), state.charged(Role::Evaluation));
    assert_eq!(state.charged(Role::Training).len(), 3);
}

#[test]
fn order_of_entries() {
    check(&[genesis()], "ledger.genesis");
    check(&[reserve(0, 0, 1)], "ledger.study");
    check(&[open(), open()], "ledger.study");
    check(&[open(), close(), open()], "ledger.study");
    check(&[open(), close(), reserve(0, 0, 1)], "ledger.study");
    check(&[open(), close(), close()], "ledger.study");
    check(&[cohort_version()], "ledger.study");
    check(&[open(), close(), cohort_version()], "ledger.study");
    check(&[open(), close(), Body::DatasetVersion { study: study(), commitment: study() }], "ledger.study");
    check(&[open(), reserve(0, 0, 1), close(), commit(2)], "ledger.study");
    check(&[open(), reserve(0, 0, 1), close(), abort(2)], "ledger.study");
    assert_eq!(first_entry(open(), time(0)).expect_err("no genesis").rule, "ledger.genesis");
    assert_eq!(replay::<Vec<u8>>([]).expect_err("empty").rule, "ledger.genesis");
}

#[test]
fn burning() {
    check(&[open(), reserve(0, 1, 1)], "ledger.burn");
    check(&[open(), reserve(0, 0, 0)], "ledger.burn");
    check(&[open(), reserve(0, 0, 13)], "ledger.burn");
    check(&[open(), reserve(0, 0, u64::MAX)], "ledger.burn");
    check(&[open(), reserve(0, 0, 12), abort(2), reserve(0, 12, 1)], "ledger.burn");
    check(&[open(), reserve(0, 0, 4), commit(2), reserve(1, 0, 4)], "ledger.burn");
    check(&[open(), reserve(0, 0, 4), abort(2), reserve(0, 0, 4)], "ledger.burn");
    check(&[open(), reserve(0, 0, 4), abort(2), reserve(0, 5, 4)], "ledger.burn");
    check(&[open(), release(0, 0)], "ledger.earmark");
    check(&[open(), release(3, 0)], "ledger.earmark");
    let evaluation =
        Body::Reserve { study: study(), earmark: 1, first: 0, count: 1, round: 0, model: Digest::of(b"m") };
    check(&[open(), evaluation], "ledger.earmark");
}

#[test]
fn one_output_for_each_slot() {
    check(&[open(), reserve(0, 0, 4), reserve(0, 4, 4)], "ledger.output");
    check(&[open(), reserve(0, 0, 4), commit(2), reserve(0, 4, 4)], "ledger.output");
    check(&[open(), release(1, 0), commit(2), release(1, 1)], "ledger.output");
    check(&[open(), reserve(0, 0, 4), commit(2), commit(2)], "ledger.commit");
    check(&[open(), reserve(0, 0, 4), abort(2), commit(2)], "ledger.commit");
    check(&[open(), reserve(0, 0, 4), commit(2), abort(2)], "ledger.abort");
    check(&[open(), reserve(0, 0, 4), abort(2), abort(2)], "ledger.abort");
    check(&[open(), commit(1)], "ledger.commit");
    check(&[open(), commit(2)], "ledger.commit");
}

#[test]
fn words_are_from_a_list() {
    check(&[open(), Body::Close { study: study(), reason: "p. 17 asked".into() }], "ledger.close");
    check(&[open(), reserve(0, 0, 1), Body::Abort { reserve: 2, reason: "why".into() }], "ledger.abort");
    check(&[refusal("Policy says no")], "ledger.refusal");
    check(&[Body::Refusal { rule: "x".into(), study: None, count: 0 }], "ledger.refusal");
    check(&[refusal("x"), refusal("x")], "ledger.refusal");
    state(&[refusal("x"), refusal("y"), Body::Refusal { rule: "x".into(), study: None, count: 3 }]);
}

#[test]
fn a_refusal_is_recorded_again_the_next_day() {
    let mut state = state(&[refusal("x")]);
    assert!(state.has_refused(time(9).day(), "x", Some(study())));
    let tomorrow = time(24 * 60);
    assert!(!state.has_refused(tomorrow.day(), "x", Some(study())));
    let bytes = state.decide(refusal("x"), tomorrow).expect("another day");
    state.apply(&bytes).expect("another day");
}

fn edited(edit: impl Fn(&mut Vec<Earmark>)) -> Body {
    let mut marks = earmarks();
    edit(&mut marks);
    open_of(study(), marks)
}

#[test]
fn opening_within_the_caps() {
    let poisson = |sampling_rate, noise_multiplier, count| Event::PoissonGaussian {
        sampling_rate,
        noise_multiplier,
        count,
    };
    check(&[edited(|m| m[0].event = poisson(0.1, 0.49, 12))], "policy.noise_multiplier_min");
    check(&[edited(|m| m[0].event = poisson(0.1, f64::INFINITY, 12))], "ledger.earmark");
    check(&[edited(|m| m[0].event = poisson(0.51, 1.0, 12))], "policy.sampling_rate_max");
    check(&[edited(|m| m[0].event = poisson(0.01, 5.0, 1001))], "policy.steps_max");
    check(
        &[edited(|m| m[0].event = Event::Gaussian { noise_multiplier: 9.0, count: 1 })],
        "policy.sampling_rate_max",
    );
    check(&[edited(|m| m[0].event = Event::Laplace { scale: 9.0, count: 1 })], "ledger.earmark");
    check(&[edited(|m| m[0].event = poisson(0.5, 0.5, 12))], "policy.epsilon_per_study");
    check(
        &[edited(|m| m[1].event = Event::Gaussian { noise_multiplier: 1.0, count: 1 })],
        "policy.epsilon_per_study",
    );
    check(&[edited(|m| m[1].event = m[1].event.with_count(0))], "ledger.earmark");
    check(&[edited(|m| m[2].name = "overall".into())], "ledger.earmark");
    check(&[edited(|m| m[2].name = "../x".into())], "ledger.earmark");
    check(&[edited(|m| m[0].account = Account::Evaluation)], "ledger.earmark");
    check(&[edited(|m| m[2].account = Account::Training)], "ledger.earmark");
    check(&[edited(Vec::clear)], "ledger.earmark");
    // Each within its own cap; the second is too much together with the first, closed or not burnt.
    let second = |marks| open_of(Digest::of(b"second"), marks);
    let costly = |m: &mut Vec<Earmark>| m[1].event = Event::Gaussian { noise_multiplier: 2.0, count: 1 };
    check(&[edited(costly), edited(costly)], "ledger.study");
    let mut marks = earmarks();
    costly(&mut marks);
    check(&[edited(costly), second(marks.clone())], "policy.epsilon_total");
    check(&[edited(costly), release(1, 0), close(), second(marks.clone())], "policy.epsilon_total");
    state(&[edited(costly), close(), second(marks)]);
}

#[test]
fn opening_under_the_sites_own_approval() {
    let change = |edit: &dyn Fn(&mut Body)| {
        let mut body = open();
        edit(&mut body);
        body
    };
    let with_approval = |signed: Signed<Approval>| {
        change(&|body| {
            if let Body::StudyOpen { approval, .. } = body {
                *approval = signed.clone();
            }
        })
    };
    let other = SecretKey::from_seed(&[2; 32]);
    check(&[with_approval(approval(study(), Decision::Approve, &other))], "ledger.approval");
    check(&[with_approval(approval(Digest::of(b"another"), Decision::Approve, &key()))], "ledger.approval");
    let no = Decision::Decline { reason: DeclineReason::Budget };
    check(&[with_approval(approval(study(), no, &key()))], "ledger.approval");
    let mut tampered = approval(study(), Decision::Approve, &key());
    tampered.statement.push(' ');
    check(&[with_approval(tampered)], "ledger.approval");
    let with_participants = |edit: &dyn Fn(&mut Vec<Participant>)| {
        change(&|body| {
            if let Body::StudyOpen { participants, .. } = body {
                edit(participants);
            }
        })
    };
    check(&[with_participants(&|p| drop(p.remove(0)))], "ledger.participants");
    check(&[with_participants(&|p| p[0].key = p[1].key)], "ledger.participants");
    check(&[with_participants(&|p| p[1].site = site())], "ledger.participants");
    let with_delta = |value: f64| {
        change(&|body| {
            if let Body::StudyOpen { delta, .. } = body {
                *delta = value;
            }
        })
    };
    check(&[with_delta(1e-4)], "policy.delta");
    check(&[with_delta(0.0)], "policy.delta");
}

#[test]
fn genesis_and_caps() {
    let check_caps = |edit: &dyn Fn(&mut Caps)| {
        let mut edited = caps();
        edit(&mut edited);
        check(&[Body::PolicyChange { caps: edited }], "ledger.caps");
    };
    check_caps(&|c| c.epsilon_total = 0.0);
    check_caps(&|c| c.epsilon_per_study = -1.0);
    check_caps(&|c| c.delta = 1.0);
    check_caps(&|c| c.noise_multiplier_min = 0.0);
    check_caps(&|c| c.sampling_rate_max = 1.5);
    let mut body = genesis();
    if let Body::Genesis { unit, .. } = &mut body {
        *unit = "record".into();
    }
    assert_eq!(first_entry(body, time(0)).expect_err("another unit").rule, "ledger.genesis");
}

#[test]
fn time_and_chain() {
    let state = state(&[open(), reserve(0, 0, 1)]);
    assert_eq!(state.decide(commit(2), time(1)).expect_err("before").rule, "ledger.time");
    assert!(state.decide(commit(2), time(2)).is_ok());
    let bytes = state.decide(commit(2), time(5)).expect("legal");
    let text = String::from_utf8(bytes).expect("JSON");
    let forged = text.replace(&state.head().hex(), &Digest::of(b"x").hex());
    assert_eq!(state.clone().apply(forged.as_bytes()).expect_err("forged").rule, "ledger.previous");
}

/// Every way to lose, repeat, reorder or change an entry shows on replay alone, without any
/// signature, but for what is cut off at the end.
#[test]
fn mutations_are_found() {
    let entries = ledger(&[
        open(),
        reserve(0, 0, 4),
        commit(2),
        refusal("x"),
        reserve(1, 4, 4),
        abort(5),
        release(1, 0),
        commit(7),
        close(),
    ])
    .expect("legal");
    let n = entries.len();
    for i in 0..n - 1 {
        let mut dropped = entries.clone();
        dropped.remove(i);
        assert!(replay(&dropped).is_err(), "dropped {i}");
        let mut swapped = entries.clone();
        swapped.swap(i, i + 1);
        assert!(replay(&swapped).is_err(), "swapped {i}");
    }
    for i in 0..n {
        let mut doubled = entries.clone();
        doubled.insert(i, entries[i].clone());
        assert!(replay(&doubled).is_err(), "doubled {i}");
    }
    for i in 0..n - 1 {
        for at in 0..entries[i].len() {
            let mut flipped = entries.clone();
            flipped[i][at] ^= 1;
            assert!(replay(&flipped).is_err(), "entry {i}, byte {at}");
        }
    }
}

proptest! {
    /// Whatever is asked in whatever order, no use is burnt twice or beyond the earmark, and a
    /// refused entry changes nothing.
    #[test]
    fn nothing_burns_twice(asked in proptest::collection::vec((0_u8..5, 0_u32..4, 0_u64..14, 1_u64..5), 0..60)) {
        let mut state = state(&[open()]);
        let mut burnt = [0_u64; 3];
        for (i, (kind, number, first, count)) in asked.into_iter().enumerate() {
            let body = match kind {
                0 | 1 => reserve(number, if kind == 0 { burnt[0] } else { first }, count),
                2 => commit(u64::from(number) + i as u64 / 4),
                3 => abort(u64::from(number) + i as u64 / 4),
                _ => release(number, first % 3),
            };
            let before = state.clone();
            match state.decide(body.clone(), time(100)) {
                Ok(bytes) => {
                    state.apply(&bytes).expect("decided");
                    match body {
                        Body::Reserve { first, count, .. } => {
                            prop_assert_eq!(first, burnt[0]);
                            burnt[0] += count;
                            prop_assert!(burnt[0] <= 12);
                        }
                        Body::Release { earmark, first, .. } => {
                            prop_assert_eq!(first, burnt[earmark as usize]);
                            burnt[earmark as usize] += 1;
                            prop_assert!(burnt[earmark as usize] <= 2);
                        }
                        _ => {}
                    }
                }
                Err(_) => prop_assert_eq!(&before, &state),
            }
            prop_assert_eq!(state.next_unburnt(&study(), 0), Some(burnt[0]));
        }
    }
}
