//! The cap over all studies, which are chosen one after the other.

use super::*;
use crate::privacy::accountant::{Accountant, epsilon_by};

fn named(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn opening(name: &str, event: Event) -> Body {
    open_of(named(name), vec![Earmark { name: "training".into(), account: Account::Training, event }])
}

fn steps_of(name: &str, count: u64) -> Body {
    Body::Reserve { study: named(name), earmark: 0, first: 0, count, round: 0, model: named("model") }
}

fn closing(name: &str) -> Body {
    Body::Close { study: named(name), reason: "finished".into() }
}

/// Best at Rényi order 5 under the cap of these tests, and dear at order 7.
fn sharp(count: u64) -> Event {
    Event::PoissonGaussian { sampling_rate: 0.02, noise_multiplier: 0.8, count }
}

/// Nearly a plain Gaussian, best at order 7.
fn gentle(count: u64) -> Event {
    Event::PoissonGaussian { sampling_rate: 0.5, noise_multiplier: 8.0, count }
}

fn cap(epsilon_total: f64) -> Body {
    Body::PolicyChange { caps: Caps { epsilon_total, ..caps() } }
}

/// What the cap on training people is held at, and compared with.
fn held(state: &State) -> (Option<u32>, f64) {
    (state.filter(Role::Training).order(), state.filter(Role::Training).counted())
}

/// Two studies whose sum is within the cap at the order that is best in the end: they may run in one
/// order, and not in the other.
#[test]
fn the_order_that_counts_was_fixed_before_the_first_study() {
    let plain = epsilon_by(Accountant::Rdp, &[sharp(40), gentle(20)], caps().delta).expect("valid");
    assert!(plain < caps().epsilon_total, "{plain}");

    let both = state(&[opening("sharp", sharp(40)), opening("gentle", gentle(20))]);
    assert_eq!(held(&both).0, Some(5));
    assert!((plain..=caps().epsilon_total).contains(&held(&both).1));

    let refused = [opening("gentle", gentle(20)), opening("sharp", sharp(40))];
    check(&refused, "policy.epsilon_total");
    let gentle_first = state(&refused[..1]);
    let marks = [Earmark { name: "training".into(), account: Account::Training, event: sharp(40) }];
    let reached = gentle_first.would_exceed(Role::Training, &caps(), &named("sharp"), &marks);
    assert!(reached.expect("valid").is_some_and(|reached| reached > caps().epsilon_total));
    assert_eq!(gentle_first.would_exceed(Role::Evaluation, &caps(), &named("sharp"), &marks), Ok(None));
    // Neither a close nor another cap chooses the order again, even when nothing is charged any more.
    check(&[refused[0].clone(), closing("gentle"), refused[1].clone()], "policy.epsilon_total");
    check(&[refused[0].clone(), cap(2.9), refused[1].clone()], "policy.epsilon_total");
    // Before the first charge it is still free.
    assert_eq!(held(&state(&[cap(2.9), refused[1].clone()])).0, Some(5));
    assert_eq!(gentle_first.filter(Role::Evaluation).order(), None, "the other account is not charged");
}

#[test]
fn what_a_closed_study_did_not_burn_is_given_back() {
    let first = [opening("a", sharp(40)), steps_of("a", 10)];
    let then = |bodies: &[Body]| [first.as_slice(), bodies].concat();
    check(&then(&[opening("b", sharp(30))]), "policy.epsilon_total");
    let full = held(&state(&first));
    let closed = state(&then(&[closing("a")]));
    assert_eq!(closed.charged(Role::Training), vec![sharp(10)]);
    assert_eq!(held(&closed).0, full.0);
    assert!(held(&closed).1 < full.1);
    // 10 are burnt, so that 30 more come to the same again.
    let again = state(&then(&[closing("a"), opening("b", sharp(30))]));
    assert_eq!(held(&again), full);
    check(&then(&[closing("a"), opening("b", sharp(30)), opening("c", sharp(30))]), "policy.epsilon_total");
    // In the order of the log: what comes back late does not help an earlier opening.
    check(&then(&[opening("b", sharp(29))]), "policy.epsilon_total");
    // The study that asks is not counted twice: open, closed, or not there.
    for (state, name) in [(&again, "b"), (&closed, "a"), (&closed, "b")] {
        let marks = [Earmark { name: "training".into(), account: Account::Training, event: sharp(30) }];
        assert_eq!(state.would_exceed(Role::Training, &caps(), &named(name), &marks), Ok(None));
    }
}

#[test]
fn another_cap_moves_the_threshold_only() {
    let first = opening("a", sharp(40));
    let before = held(&state(std::slice::from_ref(&first)));
    let lower = state(&[first.clone(), cap(1.0)]);
    assert_eq!(held(&lower), before, "nothing that was promised is taken back");
    check(&[first.clone(), cap(1.0), opening("b", sharp(1))], "policy.epsilon_total");
    let body = || opening("b", sharp(40));
    check(&[first.clone(), body()], "policy.epsilon_total");
    let higher = state(&[first.clone(), cap(8.0), body()]);
    assert_eq!(held(&higher).0, before.0);
    assert!(held(&higher).1 > caps().epsilon_total);
    check(&[first.clone(), cap(8.0), cap(3.0), body()], "policy.epsilon_total");
    // Another δ is another threshold at the same order.
    let stricter = Body::PolicyChange { caps: Caps { delta: 1e-6, ..caps() } };
    let stricter = state(&[first, stricter]);
    assert_eq!(held(&stricter).0, before.0);
    assert!(held(&stricter).1 > before.1);
}

/// The fold of the agent, entry by entry, and the replay of an auditor are one value.
#[test]
fn a_replay_counts_the_same() {
    let bodies = [
        opening("a", sharp(20)),
        opening("b", gentle(5)),
        steps_of("a", 7),
        closing("a"),
        cap(4.0),
        opening("c", sharp(25)),
        closing("b"),
    ];
    let mut folded = State::begin(&first_entry(genesis(), time(0)).expect("legal")).expect("legal");
    for (body, minute) in bodies.iter().zip(1..) {
        folded.apply(&folded.decide(body.clone(), time(minute)).expect("legal")).expect("legal");
    }
    assert_eq!(state(&bodies), folded);
    let mut charged = folded.charged(Role::Training);
    charged.sort_by_key(Event::count);
    assert_eq!(charged, vec![sharp(7), sharp(25)]);
    let plain = epsilon_by(Accountant::Rdp, &charged, caps().delta).expect("valid");
    assert_eq!(folded.filter(Role::Training).spent(), plain);
}

/// A sum that differs in the last digits, as on another platform, does not break an old ledger; a new
/// entry has no slack.
#[test]
fn a_replay_has_slack_a_decision_has_none() {
    let pair = [opening("a", sharp(40)), opening("b", gentle(20))];
    let (_, reached) = held(&state(&pair));
    let check = |share: f64, decided: bool, replayed: bool| {
        let state = state(&[cap(reached * share), pair[0].clone()]);
        let decision = state.decide(pair[1].clone(), time(9));
        assert_eq!(decision.is_ok(), decided, "{share}");
        assert!(decided || decision.expect_err("refused").rule == "policy.epsilon_total");
        let entry = Entry { time: time(9), previous: state.head(), body: pair[1].clone() };
        let bytes = entry.to_bytes().expect("short");
        let replay = state.clone().apply(&bytes);
        assert_eq!(replay.is_ok(), replayed, "{share}: {replay:?}");
    };
    check(1.0, true, true);
    check(1.0 - 5e-10, false, true);
    check(1.0 - 2e-9, false, false);
}

/// What RDP puts above the cap on one study, and PLD does not.
#[test]
fn one_study_is_held_by_pld() {
    let body = opening("a", sharp(40));
    let marks =
        |count| [Earmark { name: "training".into(), account: Account::Training, event: sharp(count) }];
    let [pld, rdp] = [Accountant::Pld, Accountant::Rdp]
        .map(|by| epsilon_by(by, &[sharp(40)], caps().delta).expect("valid"));
    assert!(pld < 0.95 * rdp && rdp < caps().epsilon_total, "{pld} {rdp}");
    let capped = |epsilon_per_study| Caps { epsilon_per_study, epsilon_total: 9.0, ..caps() };
    let under = |epsilon_per_study, bodies: &[Body]| {
        let change = Body::PolicyChange { caps: capped(epsilon_per_study) };
        [std::slice::from_ref(&change), bodies].concat()
    };
    // What was legal by RDP stays legal.
    state(&under(rdp, std::slice::from_ref(&body)));
    state(&under(pld, std::slice::from_ref(&body)));
    check(&under(pld * (1.0 - 1e-9), std::slice::from_ref(&body)), "policy.epsilon_per_study");

    // Priced once: as long as the caps are not lower than those under which the list was opened, nobody asks again,
    // which a δ without a price shows.
    let opened = state(&under(pld, std::slice::from_ref(&body)));
    let asked = |caps: &Caps, count| opened.would_exceed_alone(Role::Training, caps, &marks(count));
    let unpriced = |epsilon_per_study| Caps { delta: 1.5, ..capped(epsilon_per_study) };
    assert_eq!(asked(&capped(pld), 40), Ok(None));
    assert_eq!(asked(&unpriced(pld), 40), Ok(None));
    assert!(asked(&unpriced(pld.next_down()), 40).is_err(), "a lower cap");
    assert!(asked(&unpriced(pld), 41).is_err(), "another list");
    assert_eq!(asked(&capped(pld.next_down()), 40), Ok(Some(pld)));
    let stricter = Caps { delta: caps().delta / 2.0, ..capped(pld) };
    assert!(asked(&stricter, 40).expect("valid").is_some_and(|epsilon| epsilon > pld), "a lower δ");
    assert!(asked(&capped(pld), 41).expect("valid").is_some_and(|epsilon| epsilon > pld));
}

/// Entries at times of their own, or the rule that the first illegal one breaks.
fn at(entries: &[(&str, Body)]) -> Result<State, &'static str> {
    let mut state = State::begin(&first_entry(genesis(), time(0)).expect("legal")).expect("legal");
    for (time, body) in entries {
        let time = format!("{time}T12:00:00.000Z").parse().expect("a time");
        let bytes = state.decide(body.clone(), time).map_err(|illegal| illegal.rule)?;
        state.apply(&bytes).expect("what was decided is legal");
    }
    Ok(state)
}

/// The cap over the studies that open in one calendar year.
#[test]
fn a_year_has_a_cap_of_its_own() {
    fn check(entries: &[(&str, Body)], expected: Option<&'static str>) {
        assert_eq!(at(entries).err(), expected, "{entries:?}");
    }
    let capped = |epsilon_per_year| Body::PolicyChange {
        caps: Caps { epsilon_total: 9.0, epsilon_per_year, ..caps() },
    };
    const RULE: Option<&str> = Some("policy.epsilon_per_year");
    let (spring, autumn, next) = ("2027-04-01", "2027-12-31", "2028-01-01");
    let first = (spring, capped(Some(3.0)));
    let a = (spring, opening("a", sharp(40)));
    check(&[first.clone(), a.clone()], None);
    check(&[first.clone(), a.clone(), (autumn, opening("b", sharp(40)))], RULE);
    check(&[first.clone(), a.clone(), (next, opening("b", sharp(40)))], None);
    check(
        &[first.clone(), a.clone(), (next, opening("b", sharp(40))), (next, opening("c", sharp(40)))],
        RULE,
    );
    // What a study did not burn goes back to the year in which it opened.
    let closed = [first.clone(), a.clone(), (spring, steps_of("a", 30)), (spring, closing("a"))];
    let then = |more: &[(&'static str, Body)]| [closed.as_slice(), more].concat();
    check(&then(&[(autumn, opening("b", sharp(10)))]), None);
    check(&then(&[(autumn, opening("b", sharp(40)))]), RULE);
    let late = [first.clone(), a.clone(), (next, opening("b", sharp(30))), (next, closing("a"))];
    check(&[late.as_slice(), &[(next, opening("c", sharp(40)))]].concat(), RULE);
    // A cap that comes later counts what the year has spent; without one nothing is refused.
    let uncapped = [(spring, capped(None)), a, (autumn, opening("b", sharp(40)))];
    check(&uncapped, None);
    let then = |more: &[(&'static str, Body)]| [uncapped.as_slice(), more].concat();
    check(&then(&[(autumn, capped(Some(4.0))), (autumn, opening("c", gentle(1)))]), RULE);
    check(&then(&[(autumn, capped(Some(9.0))), (autumn, opening("c", gentle(1)))]), None);
    // The policy, asked before anything is written, says the same.
    let state = at(&uncapped).expect("legal");
    let caps = Caps { epsilon_total: 9.0, epsilon_per_year: Some(3.0), ..caps() };
    let marks = [Earmark { name: "training".into(), account: Account::Training, event: gentle(1) }];
    let asked = |study, day: &str| {
        let now = format!("{day}T12:00:00.000Z").parse().expect("a time");
        state.would_exceed_year(Role::Training, &caps, &named(study), &marks, now).expect("valid").is_some()
    };
    assert!(asked("c", autumn));
    assert!(!asked("c", next));
    let evaluation = state.year_filter(2027, Role::Evaluation);
    assert_eq!(evaluation.order(), None, "the other account is not charged");
}
