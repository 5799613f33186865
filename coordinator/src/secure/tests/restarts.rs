//! The coordinator stops after any message, and knows afterwards what it kept: every sum is right or there
//! is none, and no site is asked for an attempt that it has seen (which `Site` checks).

use super::world::{Fate, World};
use super::{GROUPINGS, ROUNDS};
use crate::study::{Failure, StudyEvent, Summing};
use consilium_common::study::secure::Summed;

#[test]
fn a_restart_after_any_message() {
    fn check(after: u64) -> bool {
        let mut world = World::new(1, 1);
        world.all_join();
        while world.sent < after {
            if !world.step(&mut |_, _, _| Fate::Arrives) {
                return false;
            }
        }
        let kept = world.state.sums.clone();
        world.start();
        world.all_join();
        while world.step(&mut |_, _, _| Fate::Arrives) {}
        assert_eq!(world.reason(), "finished", "after {after}");
        world.check_sums();
        assert_eq!(world.state.sums[..kept.len()], kept, "what was kept stays");
        assert_eq!(world.state.sums.len() as u32, ROUNDS);
        assert_eq!(world.state.grouping_sums.len() as u32, GROUPINGS);
        let failed: Vec<_> = world
            .events
            .iter()
            .filter_map(|event| match event {
                StudyEvent::AttemptFailed { failure, .. } => Some(*failure),
                _ => None,
            })
            .collect();
        // Between two kinds of sums nothing is open that could be interrupted.
        assert!(matches!(failed[..], [] | [Failure::Interrupted]), "after {after}: {failed:?}");
        true
    }
    let mut after = 0;
    while check(after) {
        // Every state, and not every number of answers in it.
        after += 3;
    }
    assert!(after > 100, "a run has more messages than {after}");
}

/// A restart while a grouping's session is being set up: what was not requested costs nothing.
#[test]
fn a_grouping_that_was_not_requested_is_not_given_up() {
    let mut world = World::new(0, 0);
    world.all_join();
    let is_open = |open: &Summing| open.summed == Summed::Grouping(1) && open.session.is_some();
    while !world.state.summing().is_some_and(is_open) {
        assert!(world.step(&mut |_, _, _| Fate::Arrives));
    }
    world.start();
    world.all_join();
    while world.step(&mut |_, _, _| Fate::Arrives) {}
    assert_eq!(world.reason(), "finished");
    world.check_sums();
    assert_eq!(world.state.grouping_sums.len() as u32, GROUPINGS);
}

/// Restarts while sites are only gathered interrupt nothing: the one that did is counted once.
#[test]
fn idle_restarts_burn_nothing() {
    let mut world = World::new(1, 0);
    world.all_join();
    while world.state.summing().is_none_or(|open| open.session.is_none()) || world.sent < 12 {
        assert!(world.step(&mut |_, _, _| Fate::Arrives));
    }
    for _ in 0..6 {
        world.start();
    }
    let interrupted = world.count(|event| matches!(event, StudyEvent::AttemptFailed { .. }));
    let open = world.state.summing().expect("not stopped");
    assert_eq!((interrupted, open.burnt, open.attempt), (1, 1, 1));
    world.all_join();
    while world.step(&mut |_, _, _| Fate::Arrives) {}
    assert_eq!(world.reason(), "finished");
    world.check_sums();
}
