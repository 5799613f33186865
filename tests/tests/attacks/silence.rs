//! Attack 19: sizes, order and ticks of all that an agent says and writes down do not depend on its data.
//! And attack 8: whatever the parameters of a model, one person moves a sum by at most s.

use crate::besieged::training;
use consilium_common::examples::Examples;
use consilium_common::model::Architecture;
use consilium_common::privacy::clip::Lattice;
use consilium_common::protocol::Task;
use consilium_common::secagg::Slot;
use consilium_common::study::secure::{Summed, all_summed};
use consilium_common::train;
use consilium_tests::scripted::Said;
use consilium_tests::secure::play::Run;
use consilium_tests::secure::{Besieged, Victim, table};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const FEATURES: usize = 8;
const ROUNDS: u32 = 2;
const TICK_MS: u32 = 400;

/// All that a coordinator and an auditor see the size of.
#[derive(Debug, PartialEq)]
struct Outline {
    heard: Vec<(u8, Vec<usize>)>,
    ledger: Vec<usize>,
    cosigned: Vec<(u64, usize, Vec<usize>)>,
    files: Vec<(String, usize)>,
}

async fn outline(table: String) -> Outline {
    let mut besieged = Besieged { table, ..Besieged::new(ROUNDS, FEATURES) };
    besieged.of.reply_tick_ms = TICK_MS;
    let (mut victim, line) = Victim::joined(&besieged).await;
    let mut run = training(&victim, line, 1).await;
    let zeros = [0; FEATURES + 1];
    for step in 0..ROUNDS {
        let began = Instant::now();
        run.attempt(Slot { step, attempt: 0 }, &zeros, None).await.expect("a sum");
        assert!(began.elapsed() >= Duration::from_millis(TICK_MS.into()), "an answer before its tick");
    }
    let groupings = all_summed(&victim.study).into_iter().filter(|summed| *summed != Summed::Training);
    for (number, summed) in (2..).zip(groupings) {
        run = open(run, number, summed).await;
        let slot = Slot { step: summed.earmark(), attempt: 0 };
        run.attempt(slot, &zeros, None).await.unwrap_or_else(|e| panic!("{e:?}\n{}", victim.log()));
    }
    let heard = std::mem::take(&mut run.line.heard);
    drop(run);
    victim.scripted.ask(Task::Close { study: victim.study.digest });
    victim.closed().await;
    let seen = victim.scripted.seen();
    let cosigned = seen.iter().filter_map(|seen| match &seen.said {
        Said::Cosign { old_size, proof, entries, .. } => {
            Some((*old_size, *proof, entries.iter().map(Vec::len).collect()))
        }
        _ => None,
    });
    let files = seen.iter().find_map(|seen| match &seen.said {
        Said::Ledger(files) => Some(files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect()),
        _ => None,
    });
    let (cosigned, files) = (cosigned.collect(), files.expect("closed"));
    let ledger = victim.entries().iter().map(Vec::len).collect();
    Outline { heard, ledger, cosigned, files }
}

async fn open(run: Run<'_>, number: u64, summed: Summed) -> Run<'_> {
    match run.next(number, summed, None).await {
        Ok(run) => run,
        Err((_, error)) => panic!("{error:?}"),
    }
}

/// Nobody at all; many, who have many rows, everything filled in, and faults.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sizes_and_ticks_do_not_depend_on_data() {
    let mut many = table(FEATURES, 200);
    for person in 0..300 {
        let role = if person % 2 == 0 { "train" } else { "test" };
        let sex = if person % 3 == 0 { "f" } else { "m" };
        let values = ",1".repeat(FEATURES);
        let _ = writeln!(many, "q{person},{role},{},{sex}{values}", person % 2);
    }
    let (few, many) = tokio::join!(outline(table(FEATURES, 0)), outline(many));
    assert_eq!(few, many);
    // A session has one key; an attempt shares, a vector, a signature and shares revealed.
    assert_eq!(few.heard.len(), 1 + 4 * ROUNDS as usize + 2 * (1 + 4), "every message of every sum");
}

/// Models that only a hostile coordinator makes: everybody lights up one neuron, or none; the greatest
/// weights that there are, of one sign or of both.
#[test]
fn a_person_moves_a_sum_by_at_most_s_under_any_model() {
    let mut most = 0.0_f64;
    for hidden in [vec![], vec![1], vec![3]] {
        let architecture = Architecture { inputs: FEATURES, hidden, outputs: 1 };
        let d = architecture.parameters();
        let lattice = Lattice::for_dimension(d);
        let models: [Vec<i32>; 7] = [
            vec![0; d],
            vec![i32::MAX; d],
            vec![i32::MIN; d],
            (0..d).map(|i| if i % 2 == 0 { i32::MAX } else { i32::MIN }).collect(),
            (0..d).map(|i| if i == 0 { i32::MAX } else { 0 }).collect(),
            (0..d).map(|i| if i + 1 == d { i32::MIN } else { 1 }).collect(),
            (0..d).map(|i| (i as i32 + 1).wrapping_mul(0x9E37_79B9_u32.cast_signed())).collect(),
        ];
        for model in models {
            for clip_norm in [1e-6, 0.01, 1000.0] {
                most = most.max(greatest_move(&architecture, &model, clip_norm, &lattice));
            }
        }
    }
    assert!(most <= 1.0, "a person moves a sum by {most} s");
    // What cannot reach the limit would not see it passed.
    assert!(most > 0.99, "no person moves a sum by s, the greatest move is {most} s");
}

/// Over people of many kinds, with forty others there; in s.
fn greatest_move(architecture: &Architecture, model: &[i32], clip_norm: f64, lattice: &Lattice) -> f64 {
    let parameters = train::parameters(model);
    let sum = |examples: &Examples| {
        let people: Vec<u32> = (0..u32::try_from(examples.people()).expect("a few")).collect();
        train::clipped_sum(architecture, &parameters, examples, &people, clip_norm, lattice, 64)
    };
    let mut base = Examples::new(FEATURES);
    for person in 0..40 {
        let value = if person % 2 == 0 { 0.5 } else { -1.0 };
        base.push_person(&[(vec![value; FEATURES], 1.0)], vec![0]);
    }
    let without = sum(&base);
    let kinds: [Vec<(Vec<f32>, f32)>; 6] = [
        vec![(vec![1.0; FEATURES], 1.0)],
        vec![(vec![-1.0; FEATURES], 0.0); 3],
        vec![(vec![0.0; FEATURES], 0.0)],
        vec![(vec![f32::NAN; FEATURES], 1.0)],
        vec![(vec![f32::MAX; FEATURES], 0.0)],
        vec![],
    ];
    let moved = kinds.into_iter().map(|rows| {
        let mut examples = base.clone();
        examples.push_person(&rows, vec![0]);
        let with = sum(&examples);
        let squares = with.iter().zip(&without).map(|(a, b)| ((a - b) as f64).powi(2));
        squares.sum::<f64>().sqrt() / lattice.units() as f64
    });
    moved.fold(0.0, f64::max)
}

/// On the wire: the agent takes such models, and its answers are vectors of a few people and noise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_weights_change_nothing_of_the_protocol() {
    let mut filled = table(FEATURES, 0);
    for person in 0..200 {
        let _ = writeln!(filled, "p{person},train,{},f{}", person % 2, ",1".repeat(FEATURES));
    }
    let (mut victim, line) = Victim::joined(&Besieged { table: filled, ..Besieged::new(5, FEATURES) }).await;
    let mut run = training(&victim, line, 1).await;
    let p = *run.peers.agreement.terms().parameters();
    let models = [0, i32::MAX, i32::MIN, 1, -1];
    for (step, value) in (0..).zip(models) {
        let attempt = run.attempt(Slot { step, attempt: 0 }, &[value; FEATURES + 1], None).await;
        let sum = attempt.unwrap_or_else(|error| panic!("{error:?}\n{}", victim.log())).sum;
        let most = 10 * p.sigma_share_units() + p.lattice_units() * p.batch_cap();
        assert!(sum.sum.iter().all(|v| v.unsigned_abs() < most), "{value}: more than people and noise");
    }
    drop(run);
    assert!(consilium_tests::secure::refusals(&victim.ledger()).is_empty());
}
