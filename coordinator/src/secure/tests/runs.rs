//! Sites that drop out, are silent, false, or refuse, in every phase.

use super::world::{Fate, World};
use super::{GROUPINGS, ROUNDS, SITES};
use crate::study::summing::{FAILURES_MAX, STRIKES_MAX};
use crate::study::{Failure, StudyEvent, StudyState};
use consilium_common::secagg::message::{
    MaskedInput, Message as _, SessionKey, Shares, SurvivorsSignature, Unmask,
};
use consilium_common::study::secure::Summed;

const KINDS: [u8; 5] =
    [SessionKey::KIND, Shares::KIND, MaskedInput::KIND, SurvivorsSignature::KIND, Unmask::KIND];

fn in_round(state: &StudyState, round: u32) -> bool {
    state.summing().is_some_and(|open| open.summed == Summed::Training && open.step == round)
}

fn failures(world: &World) -> Vec<(u32, u32, Failure)> {
    let failure = |event: &StudyEvent| match event {
        StudyEvent::AttemptFailed { step, attempt, failure, .. } => Some((*step, *attempt, *failure)),
        _ => None,
    };
    world.events.iter().filter_map(failure).collect()
}

#[test]
fn all_sites_take_part_in_every_sum() {
    let mut world = World::new(0, 0);
    world.all_join();
    while world.step(&mut |_, _, _| Fate::Arrives) {}
    assert_eq!(world.reason(), "finished");
    world.check_sums();
    assert_eq!(world.state.sums.len() as u32, ROUNDS);
    assert_eq!(world.state.grouping_sums.len() as u32, GROUPINGS);
    let all = world.state.sums.iter().chain(world.state.grouping_sums.values());
    assert!(all.clone().all(|closed| closed.survivors.len() == SITES.len() && closed.attempt == 0));
    // One session for training, one for each grouping; three answers a step after keys and first shares.
    assert_eq!(u64::from(1 + GROUPINGS), world.state.sessions);
    let answers = u64::from(1 + 4 * ROUNDS + 5 * GROUPINGS);
    assert_eq!(world.sent, SITES.len() as u64 * answers);
    assert!(world.sites.iter().all(|site| site.ended.len() as u32 == ROUNDS + GROUPINGS));
    assert_eq!(failures(&world), []);
}

/// One of five (t = 4) is lost in each phase of round 1, by a broken stream or by silence: the step goes on
/// without it, and it is back for the step after the one that it joins in.
#[test]
fn one_dropout_in_each_phase() {
    fn check(kind: u8, silent: bool) {
        let mut world = World::new(2, 0);
        world.all_join();
        let mut lost = 0;
        loop {
            let running = world.step(&mut |site, bytes, state| {
                let now = site == 2 && lost == 0 && bytes[4] == kind;
                // Shares for round 1 come while round 0 is open, and the only keys before it.
                let round = u32::from(kind != Shares::KIND && kind != SessionKey::KIND);
                if now && in_round(state, round) {
                    lost += 1;
                    return if silent { Fate::Silence } else { Fate::Breaks };
                }
                Fate::Arrives
            });
            if !running {
                break;
            }
            if lost == 1 && !world.there.contains(&2) && world.state.sums.len() >= 2 {
                world.join(2);
            }
        }
        assert_eq!((world.reason(), lost), ("finished", 1), "{kind}");
        world.check_sums();
        assert_eq!(failures(&world), [], "{kind}: four are enough");
        let survivors = |round: usize| world.state.sums[round].survivors.len();
        // A site that is lost when its vector is there is in the sum all the same.
        let counted = if [SurvivorsSignature::KIND, Unmask::KIND].contains(&kind) { 5 } else { 4 };
        let first = if kind == SessionKey::KIND || kind == Shares::KIND { 0 } else { 1 };
        assert_eq!(survivors(first), counted, "{kind} {silent}");
        assert!(world.state.grouping_sums.values().all(|closed| closed.survivors.len() == 5), "{kind}");
        let dropped = world.count(|event| matches!(event, StudyEvent::SiteDropped { .. }));
        assert_eq!(dropped, usize::from(silent));
    }
    for kind in KINDS {
        check(kind, false);
        check(kind, true);
    }
}

/// With two of five lost below the threshold, the attempt fails, and the next one, once one of them is back,
/// gives the sum.
#[test]
fn below_the_threshold_an_attempt_fails_and_is_tried_again() {
    fn check(kind: u8, silent: bool, expected: (u32, Failure), burnt: u32) {
        let mut world = World::new(1, 0);
        world.all_join();
        let mut lost = 0;
        loop {
            let running = world.step(&mut |site, bytes, state| {
                let (open, now) = (state.summing().expect("open"), bytes[4] == kind);
                let first = open.attempt == 0 && open.step == 0 && open.summed == Summed::Training;
                if site >= 3 && first && now && lost < 2 {
                    lost += 1;
                    return if silent { Fate::Silence } else { Fate::Breaks };
                }
                Fate::Arrives
            });
            if !running {
                break;
            }
            if lost == 2 && !failures(&world).is_empty() {
                world.join(3);
                world.join(4);
            }
        }
        assert_eq!((world.reason(), lost), ("finished", 2), "{kind}");
        world.check_sums();
        let (attempts, failure) = expected;
        let failed: Vec<_> = (0..attempts).map(|attempt| (0, attempt, failure)).collect();
        assert_eq!(failures(&world), failed, "{kind} {silent}");
        assert_eq!(world.state.sums[0].attempt, attempts);
        let requested =
            world.count(|event| matches!(event, StudyEvent::AttemptFailed { requested: true, .. }));
        assert_eq!(requested as u32, burnt, "{kind}");
    }
    for silent in [false, true] {
        check(SessionKey::KIND, silent, (1, Failure::Setup), 0);
        check(Shares::KIND, silent, (1, Failure::Sharing), 0);
        check(MaskedInput::KIND, silent, (1, Failure::MaskedInput), 1);
        check(SurvivorsSignature::KIND, silent, (1, Failure::Signatures), 1);
        check(Unmask::KIND, silent, (1, Failure::Unmasking), 1);
    }
}

/// Shares of the next step that do not come cost its first attempt, and not the sum that is being unmasked.
#[test]
fn shares_of_the_next_step_that_are_lost_do_not_harm_this_one() {
    let mut world = World::new(0, 0);
    world.all_join();
    let (mut shares, mut lost) = (0, 0);
    loop {
        let running = world.step(&mut |site, bytes, _| {
            shares += u32::from(site == 4 && bytes[4] == Shares::KIND);
            if site >= 3 && bytes[4] == Shares::KIND && lost < 2 && (shares > 1 || site == 3 && shares == 1) {
                lost += 1;
                return Fate::Breaks;
            }
            Fate::Arrives
        });
        if !running {
            break;
        }
        world.all_join();
    }
    assert_eq!((world.reason(), lost), ("finished", 2));
    world.check_sums();
    assert_eq!(failures(&world), [(1, 0, Failure::Sharing)]);
    assert_eq!(world.state.sums.iter().map(|closed| closed.attempt).collect::<Vec<_>>(), [0, 1, 0]);
}

/// Spare attempts are counted: training stops when they are used up, and a grouping is not released.
#[test]
fn what_is_not_paid_for_is_not_asked_for() {
    let mut world = World::new(1, 0);
    world.all_join();
    while world.step(&mut |site, bytes, _| match bytes[4] {
        MaskedInput::KIND if site < 2 => Fate::Breaks,
        _ => Fate::Arrives,
    }) {
        world.all_join();
    }
    assert_eq!(world.reason(), "stopped: the spare attempts of training are used up");
    assert_eq!(failures(&world), [(0, 0, Failure::MaskedInput), (0, 1, Failure::MaskedInput)]);

    let mut world = World::new(0, 0);
    world.all_join();
    while world.step(&mut |site, bytes, state| {
        let second = state.summing().is_some_and(|open| open.summed == Summed::Grouping(2));
        if second && site < 2 && bytes[4] == Unmask::KIND { Fate::Breaks } else { Fate::Arrives }
    }) {
        world.all_join();
    }
    assert_eq!(world.reason(), "finished");
    world.check_sums();
    assert_eq!(world.state.grouping_sums.keys().copied().collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(world.count(|event| matches!(event, StudyEvent::GroupingGivenUp { earmark: 2, .. })), 1);
}

#[test]
fn too_few_sites_are_not_waited_for_for_ever() {
    let mut world = World::new(0, 0);
    (0..3).for_each(|site| world.join(site));
    while world.step(&mut |_, _, _| Fate::Arrives) {}
    assert_eq!(world.reason(), "stopped: no secure sum of enough sites came about");
    assert_eq!(failures(&world).len() as u32, FAILURES_MAX + 1);
    assert_eq!(world.now_ms, u64::from(FAILURES_MAX + 1) * 60_000);
    assert!(world.sites.iter().all(|site| site.masked.is_empty()), "nobody was asked for anything");
}

/// Four come and are waited for; the fifth comes late and is in from the next step on.
#[test]
fn the_first_session_waits_for_all_until_the_deadline() {
    let mut world = World::new(0, 0);
    (0..4).for_each(|site| world.join(site));
    while world.step(&mut |_, _, _| Fate::Arrives) {
        if world.state.sums.len() == 1 {
            world.join(4);
        }
    }
    assert_eq!((world.reason(), world.now_ms), ("finished", 60_000));
    world.check_sums();
    assert_eq!(world.state.sums.iter().map(|closed| closed.survivors.len()).collect::<Vec<_>>(), [4, 4, 5]);
}

/// What a site may not send: it is named and dropped, the others finish; repeated, it is not asked again.
#[test]
fn a_false_site_is_dropped_and_named() {
    fn check(kind: u8, instead: Option<&[u8]>, rule: &str) {
        let mut world = World::new(STRIKES_MAX, 0);
        world.all_join();
        loop {
            let running = world.step(&mut |site, bytes, state| {
                let training = state.summing().is_some_and(|open| open.summed == Summed::Training);
                if site != 1 || !training || bytes[4] != kind {
                    return Fate::Arrives;
                }
                let mut bent = bytes.to_vec();
                *bent.last_mut().expect("not empty") ^= 1;
                Fate::Instead(instead.map_or(bent, <[u8]>::to_vec))
            });
            if !running {
                break;
            }
            world.all_join();
        }
        assert_eq!(world.reason(), "finished", "{rule}");
        world.check_sums();
        let named = |event: &StudyEvent| match event {
            StudyEvent::SiteDropped { site, rule: broken, .. } => {
                assert_eq!((site.as_str(), broken.as_str()), ("brackley", rule));
                true
            }
            _ => false,
        };
        let strikes = world.count(named) as u32;
        assert!((1..=STRIKES_MAX).contains(&strikes), "{rule}: {strikes}");
        assert_eq!(failures(&world), [], "{rule}: four are enough");
    }
    check(SessionKey::KIND, None, "secagg.signature");
    check(Shares::KIND, None, "secagg.signature");
    check(MaskedInput::KIND, None, "secagg.signature");
    check(SurvivorsSignature::KIND, None, "secagg.signature");
    check(Unmask::KIND, None, "secagg.share_corrupted");
    check(MaskedInput::KIND, Some(&[7; 40]), "secure.unasked");
    check(MaskedInput::KIND, Some(b""), "secure.unasked");
    let short = [b"csa1".as_slice(), &[MaskedInput::KIND], &[0; 20]].concat();
    check(MaskedInput::KIND, Some(&short), "secure.message");
}

/// A refusal by the secure sum's rules may be somebody else's fault; one by a site's policy is its word.
#[test]
fn refusals() {
    fn check(rule: &'static str, sites: usize, asked: usize, reason: &str) {
        let mut world = World::new(5, 0);
        world.all_join();
        while world.step(&mut |site, bytes, state| {
            let training = state.summing().is_some_and(|open| open.summed == Summed::Training);
            if site < sites && training && bytes[4] == MaskedInput::KIND {
                return Fate::Refuses(rule);
            }
            Fate::Arrives
        }) {
            world.all_join();
        }
        assert_eq!(world.reason(), reason, "{rule}");
        world.check_sums();
        let declined = world.count(|event| matches!(event, StudyEvent::TaskDeclined { .. }));
        assert_eq!(declined, asked, "{rule}");
    }
    // Asked once, and again in the evaluation, which it did not refuse.
    check("policy.steps_max", 1, 1, "finished");
    check("policy.steps_max", 2, 2, "stopped: too few sites take part in the secure sums");
    // In every step of the three.
    check("secagg.terms", 1, 3, "finished");
    check("policy.invalid", 1, 3, "finished");
}
