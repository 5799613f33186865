//! Attack 15: either side dies at every message of a step. The agent forgets the attempt; what was burnt
//! stays burnt; the next session makes another attempt of the same step, on a use of its own, and its sum
//! is the sum.

use crate::besieged::training;
use consilium_common::ledger::entry::Body;
use consilium_common::protocol::Task;
use consilium_common::secagg::Slot;
use consilium_tests::secure::line::{Answer, NoAnswer};
use consilium_tests::secure::peers::{index, victim as own};
use consilium_tests::secure::play::{Attempt, Lie, Stage};
use consilium_tests::secure::{Besieged, Victim, refusals, sent};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Agent,
    Coordinator,
}

async fn check(side: Side, at: Stage) {
    let about = format!("{side:?} dies before {at:?}");
    let (mut victim, line) = Victim::joined(&Besieged::new(2, 8)).await;
    let mut run = training(&victim, line, 1).await;
    let first = Slot { step: 0, attempt: 0 };
    let stopped = run.attempt(first, &[0; 9], Some(&Lie::Silence(at))).await;
    assert_eq!(stopped.err(), Some(NoAnswer(Answer::Unasked)), "{about}\n{}", victim.log());
    drop(run);
    victim.scripted.ask(Task::Sum { study: victim.study.digest });
    if side == Side::Agent {
        victim.kill();
        victim.start();
    }
    let line = victim.line().await;
    let mut run = training(&victim, line, 2).await;
    let mut results = Vec::new();
    for slot in [Slot { step: 0, attempt: 1 }, Slot { step: 1, attempt: 0 }] {
        let attempt = run.attempt(slot, &[0; 9], None).await;
        let Attempt { sum, unmasked, .. } =
            attempt.unwrap_or_else(|error| panic!("{about}: {error:?}\n{}", victim.log()));
        assert_eq!(unmasked, Ok(()), "{about}");
        // Masks that did not come off are anywhere in 32 bits; this is a vector of a few people and noise.
        let parameters = *run.peers.agreement.terms().parameters();
        let most = 10 * parameters.sigma_share_units() + parameters.lattice_units() * parameters.batch_cap();
        assert!(sum.sum.iter().all(|value| value.unsigned_abs() < most), "{about}: masks are in the sum");
        assert!(sum.transcript.survivors.contains_key(&own()));
        results.push(sum.transcript);
    }
    // The end of the last attempt is written with the next entry, or when the stream ends.
    drop(run);
    victim.scripted.ask(Task::Close { study: victim.study.digest });
    victim.closed().await;
    let ledger = victim.ledger();
    let left = sent(&ledger);
    let before = usize::from(at > Stage::Request);
    let attempts: Vec<_> = left.iter().map(|(_, step, attempt)| (*step, *attempt)).collect();
    assert_eq!(attempts, [(0, 0), (0, 1), (1, 0)][1 - before..], "{about}");
    assert!(left.is_sorted_by(|a, b| a.0 < b.0), "{about}: a use is taken up once: {left:?}");
    // What a killed agent left of its block is given up; before the first message it may have burnt none.
    let aborted: Vec<(usize, u64)> = (0..)
        .zip(&ledger)
        .filter_map(|(at, body)| match body {
            Body::Abort { reserve, .. } => Some((at, *reserve)),
            _ => None,
        })
        .collect();
    let blocks = match side {
        Side::Agent if at == Stage::Share => 0..=1,
        Side::Agent => 1..=1,
        Side::Coordinator => 0..=0,
    };
    assert!(blocks.contains(&aborted.len()), "{about}: {aborted:?}");
    for (at, block) in aborted {
        let taken_up = ledger[at..]
            .iter()
            .any(|body| matches!(body, Body::CommitSum { reserve, .. } if *reserve == block));
        assert!(!taken_up, "{about}: a use of a block was taken up that was given up");
    }
    let sums: Vec<_> = ledger
        .iter()
        .filter_map(|body| match body {
            Body::Sum { sum, transcript, survivors, .. } => Some((*sum, *transcript, survivors.len())),
            _ => None,
        })
        .collect();
    let expected: Vec<_> = results.iter().map(|of| (of.sum, of.digest(), of.survivors.len())).collect();
    assert_eq!(sums, expected, "{about}");
    assert!(refusals(&ledger).is_empty(), "{about}: {:?}", refusals(&ledger));
    assert!(!victim.log().contains("panicked"), "{}", victim.log());
}

const STAGES: [Stage; 5] =
    [Stage::Share, Stage::Delivery, Stage::Survivors, Stage::Certificate, Stage::Result];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_agent_makes_another_attempt() {
    let checks = STAGES.map(|at| tokio::spawn(check(Side::Agent, at)));
    for done in checks {
        done.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_coordinator_that_is_gone_finds_the_agent_again() {
    let checks = STAGES.map(|at| tokio::spawn(check(Side::Coordinator, at)));
    for done in checks {
        done.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    }
}

/// The agent is killed after its masked vector left: the others are t, and take its masks off. The sum has
/// its vector in it, exactly: all else adds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_finish_without_a_killed_agent() {
    for masked in [false, true] {
        let (mut victim, line) = Victim::joined(&Besieged::new(2, 8)).await;
        let run = training(&victim, line, 1).await;
        let (mut line, mut peers) = (run.line, run.peers);
        let slot = Slot { step: 0, attempt: 0 };
        line.share(slot).await;
        let shares = line.expect().await.expect("its shares");
        let dealing = peers.begin(slot, &[]);
        let (dealt, delivery) = peers.deal(dealing, Some(shares)).expect("good");
        let model = victim.model(0, &[]);
        let (masking, request) = peers.mask(dealt, consilium_common::id::Digest::of(&model), &[]);
        let input = if masked {
            line.tell(&delivery.expect("it shared")).await;
            line.model(&model).await;
            line.tell(&request).await;
            Some(line.expect().await.expect("its vector"))
        } else {
            None
        };
        victim.kill();
        let signing = peers.sign(masking, input.as_ref());
        let (revealing, ..) = peers.reveal(signing, None);
        let (sum, ..) = peers.sum(revealing, None);
        assert_eq!(sum.transcript.survivors.contains_key(&own()), masked);
        assert!(sum.transcript.survivors.contains_key(&index(2)));
        let p = *peers.agreement.terms().parameters();
        let most = if masked { 10 * p.sigma_share_units() + p.lattice_units() * p.batch_cap() } else { 1 };
        assert!(sum.sum.iter().all(|value| value.unsigned_abs() < most), "masks are in the sum");
        assert!(!masked || sum.sum.iter().any(|value| *value != 0));
        assert_eq!(sent(&victim.ledger()).len(), usize::from(masked));
    }
}
