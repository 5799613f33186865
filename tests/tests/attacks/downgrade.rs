//! Attacks on what an agent takes part in at all: downgrades to updates of its own (18), hospitals that the
//! coordinator invented (9), too few of them (10).

use consilium_common::id::Digest;
use consilium_common::protocol::Task;
use consilium_common::study::{Mode, Study};
use consilium_tests::scripted::Said;
use consilium_tests::secure::{Besieged, Victim, refusals, sent};

/// The agent refuses its first task by `rule`, opens no stream and sends nothing.
async fn check(besieged: Besieged, task: fn(&Study, Digest) -> Task, rule: &str) {
    let mut victim = Victim::new(&besieged, |study| {
        let initial = consilium_tests::secure::initial_model(study);
        vec![task(study, Digest::of(&initial))]
    })
    .await;
    assert_eq!(victim.declined().await, rule, "{}", victim.log());
    let ledger = victim.ledger();
    assert_eq!(refusals(&ledger).into_iter().collect::<Vec<_>>(), [(rule.to_owned(), 1)]);
    assert_eq!(sent(&ledger), []);
    let seen = victim.scripted.seen();
    assert!(!seen.iter().any(|seen| matches!(seen.said, Said::Output { .. })), "an output left");
    assert!(!victim.log().contains("panicked"), "{}", victim.log());
}

fn sum(study: &Study, _: Digest) -> Task {
    Task::Sum { study: study.digest }
}

fn train(study: &Study, model: Digest) -> Task {
    Task::Train { study: study.digest, round: 0, model }
}

fn evaluate(study: &Study, model: Digest) -> Task {
    Task::Evaluate { study: study.digest, model }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_mode_is_the_studys() {
    let local = Besieged { mode: Mode::Local, ..Besieged::new(2, 8) };
    tokio::join!(
        check(Besieged::new(2, 8), train, "task.mode"),
        check(Besieged::new(2, 8), evaluate, "task.mode"),
        check(local, sum, "task.mode"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_coordinator_introduces_nobody() {
    tokio::join!(
        check(Besieged { known: 3, ..Besieged::new(2, 8) }, sum, "policy.known_sites"),
        check(Besieged { known: 1, ..Besieged::new(2, 8) }, sum, "policy.known_sites"),
        check(Besieged { participants: 2, ..Besieged::new(2, 8) }, sum, "study.min_sites"),
        // With t = 3 of three nobody may drop out; of two there is no secure sum.
        check(Besieged { participants: 1, ..Besieged::new(2, 8) }, sum, "policy.sites_min"),
    );
}
