//! What the sums of a real agent show to somebody who knows all the rest of them: the masked vectors are
//! uniform and tell nothing of each other, the agent's share of the noise is in every sum, it reveals one
//! secret of each site and only on the word of t survivors. A build with a broken variant is caught.

use crate::besieged::training;
use consilium_common::secagg::message::Unmask;
use consilium_common::secagg::{Lanes, Slot};
use consilium_tests::audit::{ALARM, Finding, chi_squared_p, noise_variance, step_correlation};
use consilium_tests::secure::play::{Attempt, Lie, Run};
use consilium_tests::secure::{Besieged, Victim};
use std::collections::HashSet;

/// Chance is an agent's own here, fresh in every run: an alarm of a right one is to be this much rarer than
/// where seeds are fixed.
const RARER: f64 = 1000.0;
const ROUNDS: u32 = 40;
const FEATURES: usize = 96;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secure_sums_keep_their_promises() {
    let mut findings = watched().await;
    findings.push(unchecked().await);
    findings.iter_mut().for_each(|finding| finding.p = (finding.p * RARER).min(1.0));
    #[cfg(feature = "mutants")]
    consilium_tests::mutants::keep(&findings);
    for Finding { name, measured, claimed, p } in &findings {
        println!("{name}: measured {measured:.6}, claimed {claimed:.6}, p {p:.2e}");
    }
    let alarms: Vec<_> = findings.iter().filter(|finding| finding.alarms()).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
}

#[cfg(feature = "mutants")]
#[test]
fn every_broken_secure_sum_is_caught() {
    use consilium_common::mutant::Mutant;
    let test = "promises::secure_sums_keep_their_promises";
    let caught = consilium_tests::mutants::run_with_agents(test, &Mutant::OF_SECURE_SUMS);
    consilium_tests::mutants::document(&caught);
    assert!(caught.iter().all(|(_, by)| !by.is_empty()), "see the table");
}

/// A training of many steps from one model, nobody lies. All others add what the lanes have room for, up
/// in one step and down in the next.
async fn watched() -> Vec<Finding> {
    let (victim, line) = Victim::joined(&Besieged::new(ROUNDS, FEATURES)).await;
    let mut run = training(&victim, line, 1).await;
    let terms = *run.peers.agreement.terms();
    let p = terms.parameters();
    let most = i64::try_from(p.lattice_units() * p.batch_cap()).expect("fits the lanes") / 3;
    let (mut masked, mut own, mut secrets) = (Vec::new(), Vec::new(), 0);
    for step in 0..ROUNDS {
        run.peers.adds = if step % 2 == 0 { most } else { -most };
        let attempt = run.attempt(Slot { step, attempt: 0 }, &vec![0; terms.dimension()], None).await;
        let Attempt { masked: lanes, unmask, sum, .. } =
            attempt.unwrap_or_else(|error| panic!("{error:?}\n{}", victim.log()));
        own.push(sum.sum.iter().map(|value| value - 3 * run.peers.adds).collect::<Vec<i64>>());
        secrets = secrets.max(secrets_of_a_site(&unmask));
        masked.push(words(&lanes));
    }
    // Nobody moves these but the noise.
    let sigma = p.sigma_share_units() as f64;
    let noise = |vector: &Vec<i64>| vector[..FEATURES].iter().map(|v| *v as f64 / sigma).collect();
    let noise: Vec<Vec<f64>> = own.iter().map(noise).collect();
    let mut share = noise_variance(&noise.concat(), 1.0);
    share.name = "variance of the agent's share of the noise";
    let mut noise_steps = step_correlation(&by_lane(&noise));
    noise_steps.name = "correlation of the noise of steps";
    let centred = |words: &Vec<u32>| words.iter().map(|word| f64::from(word.cast_signed())).collect();
    let mut mask_steps = step_correlation(&by_lane(&masked.iter().map(centred).collect::<Vec<_>>()));
    mask_steps.name = "correlation of the masked vectors of steps";
    // Read as 64 bits: what is masked twice alike repeats.
    let pairs: Vec<u64> = masked
        .iter()
        .flat_map(|words| words.chunks_exact(2))
        .map(|pair| u64::from(pair[0]) << 32 | u64::from(pair[1]))
        .collect();
    let repeated = pairs.len() - pairs.iter().collect::<HashSet<_>>().len();
    vec![
        share,
        noise_steps,
        mask_steps,
        uniform("bytes of the masked vectors", masked.iter().flatten().copied()),
        uniform("bytes of their first lanes", masked.iter().map(|words| words[0])),
        uniform("bytes of their last lanes", masked.iter().map(|words| words[words.len() - 1])),
        Finding::at_most("64 bits that masked vectors have in common", repeated as f64, 0.0),
        Finding::at_most("secrets revealed of a site", secrets as f64, 1.0),
    ]
}

/// A certificate with fewer signatures than t.
async fn unchecked() -> Finding {
    let (victim, line) = Victim::joined(&Besieged::new(2, 8)).await;
    let mut run = training(&victim, line, 1).await;
    let lie = Lie::Certificate(|certificate, _| certificate.signatures.retain(|site, _| site.get() < 3));
    let told = run.attempt(Slot { step: 0, attempt: 0 }, &[0; 9], Some(&lie)).await;
    let revealed = if told.is_ok() { 1.0 } else { 0.0 };
    Finding::at_most("shares revealed on two survivors' word", revealed, 0.0)
}

/// How many secrets the shares of one answer belong to, for each site of the attempt.
fn secrets_of_a_site(unmask: &Unmask) -> usize {
    unmask.shares.len().div_ceil(4)
}

fn words(lanes: &Lanes) -> Vec<u32> {
    match lanes {
        Lanes::Bits32(words) => words.clone(),
        Lanes::Bits64(_) => panic!("a sum of this size has lanes of 32 bits"),
    }
}

fn by_lane(steps: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..steps[0].len()).map(|lane| steps.iter().map(|step| step[lane]).collect()).collect()
}

/// χ² of how often each of sixteen half-bytes comes.
fn uniform(name: &'static str, words: impl Iterator<Item = u32>) -> Finding {
    let mut counts = [0.0_f64; 16];
    for word in words {
        (0..8).for_each(|at| counts[(word >> (4 * at)) as usize & 15] += 1.0);
    }
    let expected = counts.iter().sum::<f64>() / 16.0;
    let statistic: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
    Finding { name, measured: statistic, claimed: 15.0, p: chi_squared_p(statistic, 15.0) }
}

/// Attack 6: the coordinator has a sum, and wants another of the same step without one site; or takes the
/// masked vector and asks again. Each try is masked and noised anew, and has its own charge, until there is
/// none left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_try_is_another_release() {
    use consilium_common::ledger::entry::Body;
    use consilium_tests::secure::line::{Answer, NoAnswer};
    use consilium_tests::secure::peers::index;
    use consilium_tests::secure::play::Stage;
    use consilium_tests::secure::{refusals, sent};

    // Four uses in all.
    let besieged = Besieged { spare_rounds: 2, ..Besieged::new(2, FEATURES) };
    let (mut victim, line) = Victim::joined(&besieged).await;
    let mut run: Run<'_> = training(&victim, line, 1).await;
    let sigma = run.peers.agreement.terms().parameters().sigma_share_units() as f64;
    let zeros = vec![0; FEATURES + 1];
    let at = |attempt| Slot { step: 0, attempt };
    let all = run.attempt(at(0), &zeros, None).await.expect("a sum");
    run.silent = vec![index(4)];
    let fewer = run.attempt(at(1), &zeros, None).await.expect("a sum");
    let stopped = run.attempt(at(2), &zeros, Some(&Lie::Silence(Stage::Survivors))).await;
    assert_eq!(stopped.err(), Some(NoAnswer(Answer::Unasked)));
    let again = run.attempt(at(3), &zeros, None).await.expect("a sum");
    let spent = run.attempt(at(4), &zeros, None).await;
    let rule = "study.earmark_spent".to_owned();
    assert_eq!(spent.err(), Some(NoAnswer(Answer::Refused(rule.clone()))), "{}", victim.log());
    assert_eq!(all.sum.transcript.survivors.len(), 4);
    assert_eq!(fewer.sum.transcript.survivors.len(), 3);

    // Nobody else adds anything: a difference of two sums is one of two shares of the agent's noise.
    for (one, other) in [(&all, &fewer), (&fewer, &again)] {
        let difference = |lane: usize| (one.sum.sum[lane] - other.sum.sum[lane]) as f64 / sigma;
        let found = noise_variance(&(0..FEATURES).map(difference).collect::<Vec<_>>(), 2.0);
        assert!(found.p * RARER > ALARM, "{found:?}");
        let (one, other) = (words(&one.masked), words(&other.masked));
        assert!(one.iter().zip(&other).all(|(a, b)| a != b), "a lane is masked alike in two tries");
    }
    drop(run);
    let ledger = victim.ledger();
    assert_eq!(refusals(&ledger).into_iter().collect::<Vec<_>>(), [(rule, 1)]);
    assert_eq!(sent(&ledger), [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3)]);
    assert_eq!(ledger.iter().filter(|body| matches!(body, Body::Sum { .. })).count(), 3);
}
