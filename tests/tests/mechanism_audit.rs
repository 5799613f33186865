//! Whether the mechanism that a served round runs is the one that is priced, by watching it only.
//!
//! Three parts. *Canaries*: a real agent serves a hundred rounds to a coordinator over mutual TLS, from
//! a table in which each of a thousand people was put by a fair coin; their gradients are known, and
//! orthogonal. *Batches*: the same with everybody alike, so that the sums show how many joined. *Exact*:
//! two data sets that differ in one person, under the same noise, differ by at most s lattice units.
//!
//! With one private step a round the released update is one Poisson-subsampled Gaussian, and a
//! canary's score over T rounds is separated by at most μ = q·√T/σ. Seeds are fixed, so that the test
//! gives one answer; `CONSILIUM_AUDIT_SEEDS=20` runs it with twenty. With the feature `mutants` each broken
//! variant in `common/src/mutant.rs` must be caught.

use consilium_common::evaluation::histogram::{Histogram, PERSON_UNITS};
use consilium_common::examples::Examples;
use consilium_common::id::Digest;
use consilium_common::model::blob::{self, UpdateHeader};
use consilium_common::privacy::accountant::epsilon;
use consilium_common::privacy::clip::Lattice;
use consilium_common::privacy::mechanism::Event;
use consilium_common::privacy::noise::secret_rng;
use consilium_common::study::{Study, earmarks};
use consilium_tests::audit::{
    Finding, LOWER_BOUND, batch_sizes, noise_variance, one_run_epsilon, separation, step_correlation,
};
use consilium_tests::hospital::{Ask, Play, StudyOf, site};
use consilium_tests::scripted::{Said, Seen};
use rand_core::Rng as _;
use site_agent::compute::{self, Round, Seed};
use std::fmt::Write as _;

const DELTA: f64 = 1e-5;
/// Canaries' directions: rows of the Walsh–Hadamard matrix of this order.
const ORDER: usize = 1024;
const CANARIES: usize = 1000;

#[test]
fn the_mechanism_is_what_it_claims() {
    let seeds = std::env::var("CONSILIUM_AUDIT_SEEDS").map_or(1, |text| text.parse().expect("1 to 255"));
    let mut findings = exact();
    let numbers = Numbers::asked();
    for seed in 1..=seeds {
        findings.extend(batches(seed));
        findings.extend(canaries(seed, &numbers));
    }
    #[cfg(feature = "mutants")]
    consilium_tests::mutants::keep(&findings);
    #[cfg(not(feature = "mutants"))]
    consilium_tests::audit::document(&numbers.event(), DELTA, CANARIES, &findings);
    for Finding { name, measured, claimed, p } in &findings {
        println!("{name}: measured {measured:.6}, claimed {claimed:.6}, p {p:.2e}");
    }
    let alarms: Vec<_> = findings.iter().filter(|finding| finding.alarms()).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
}

#[cfg(feature = "mutants")]
#[test]
fn every_broken_mechanism_is_caught() {
    use consilium_common::mutant::Mutant;
    let caught = consilium_tests::mutants::run("the_mechanism_is_what_it_claims", &Mutant::OF_MECHANISM);
    consilium_tests::mutants::document(&caught);
    assert!(caught.iter().all(|(_, by)| !by.is_empty()), "see the table");
}

fn served(rounds: u32, local_steps: u32, features: usize) -> StudyOf {
    StudyOf {
        features,
        hidden: vec![],
        people_public: 715,
        sampling_rate: 0.1,
        rounds,
        local_steps,
        noise_multiplier: 2.0,
        reply_tick_ms: 10,
        only_counted: None,
        role_column: true,
    }
}

/// σ of one step and the lattice's s, both in lattice units.
fn lattice(study: &Study) -> (f64, f64, Lattice) {
    let lattice = Lattice::for_dimension(study.architecture().parameters());
    let sigma = lattice.sigma_units(study.privacy.training.noise_multiplier).expect("drawable");
    (sigma as f64, lattice.units() as f64, lattice)
}

/// The released sums in lattice units, round by round: an update is the noised sum with the other sign.
fn released(seen: &[Seen]) -> Vec<Vec<f64>> {
    let updates = seen.iter().filter_map(|seen| match &seen.said {
        Said::Output { of, bytes, .. } if of.starts_with("round") => {
            Some(blob::decode::<UpdateHeader>(bytes).expect("an update").1)
        }
        _ => None,
    });
    updates.map(|values| values.into_iter().map(|value| -f64::from(value)).collect()).collect()
}

/// All cells of all histograms, each in its own σ as the study's event list has it.
fn cells(seen: &[Seen], study: &Study) -> Vec<f64> {
    let mut cells = Vec::new();
    for seen in seen {
        let Said::Output { of, bytes, .. } = &seen.said else { continue };
        let earmarks = earmarks(study);
        let Some(earmark) = earmarks.iter().find(|e| e.name == *of) else { continue };
        let Event::Gaussian { noise_multiplier, .. } = earmark.event else { panic!("{of} is a histogram") };
        let histogram: Histogram = serde_json::from_slice(bytes).expect("a histogram");
        let sigma = noise_multiplier * PERSON_UNITS as f64;
        cells.extend(histogram.cells.iter().map(|&cell| cell as f64 / sigma));
    }
    cells
}

/// Serves every round and, if asked, the evaluation.
fn play(study: &StudyOf, table: &str, seed: u8, and: &[Ask]) -> Vec<Seen> {
    let asks: Vec<Ask> = (0..study.rounds).map(Ask::Train).chain(and.iter().copied()).collect();
    let seen = Play { study, table, asks: &asks, seed: [seed; 32], opted_out: None }.run().seen;
    assert_eq!(released(&seen).len(), study.rounds as usize, "every round was served");
    seen
}

fn header(features: usize) -> String {
    let columns: String = (0..features).map(|i| format!(",c{i}")).collect();
    format!("person_id,role,y,sex{columns}\n")
}

fn sign(row: usize, column: usize) -> f64 {
    if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// What the canaries are trained with.
struct Numbers {
    sampling_rate: f64,
    noise_multiplier: f64,
    steps: u32,
}

impl Numbers {
    /// `CONSILIUM_AUDIT=q,σ,T`, to audit at a study's own numbers; otherwise those of the reference.
    fn asked() -> Self {
        let text = std::env::var("CONSILIUM_AUDIT").unwrap_or_else(|_| "0.1,2.0,100".into());
        let numbers: Vec<f64> = text.split(',').map(|n| n.trim().parse().expect("q,σ,T")).collect();
        let [sampling_rate, noise_multiplier, steps] = numbers[..] else { panic!("q,σ,T: came {text}") };
        Self { sampling_rate, noise_multiplier, steps: steps as u32 }
    }

    fn event(&self) -> Event {
        let Self { sampling_rate, noise_multiplier, steps } = *self;
        Event::PoissonGaussian { sampling_rate, noise_multiplier, count: steps.into() }
    }
}

/// A thousand canaries, each in the table by a fair coin.
fn canaries(seed: u8, numbers: &Numbers) -> Vec<Finding> {
    let (q, noise_multiplier) = (numbers.sampling_rate, numbers.noise_multiplier);
    let of = StudyOf { sampling_rate: q, noise_multiplier, ..served(numbers.steps, 1, ORDER) };
    let study = of.study();
    let mut coins = secret_rng([seed.wrapping_add(100); 32]);
    let present: Vec<bool> = (0..CANARIES).map(|_| coins.next_u32().is_multiple_of(2)).collect();
    let mut table = header(ORDER);
    // Row 0 of the matrix is all ones, like the bias: left out.
    for canary in (1..=CANARIES).filter(|canary| present[canary - 1]) {
        let _ = write!(table, "p{canary},train,1,f");
        (0..ORDER).for_each(|column| {
            let _ = write!(table, ",{}", sign(canary, column));
        });
        table.push('\n');
    }
    let sums = released(&play(&of, &table, seed, &[]));

    // Per direction, its value in every round: in the table's own directions the noise is as before.
    let (sigma, _, _) = lattice(&study);
    let mut directions = vec![Vec::new(); ORDER];
    for sum in &sums {
        let mut values = sum[..ORDER].to_vec();
        walsh_hadamard(&mut values);
        let scale = (ORDER as f64).sqrt() * sigma;
        // With label 1 a gradient points away from the canary.
        directions.iter_mut().zip(values).for_each(|(steps, value)| steps.push(-value / scale));
    }
    let score = |direction: usize| directions[direction].iter().sum::<f64>();
    let scores = |inside: bool| -> Vec<f64> {
        (1..=CANARIES).filter(|canary| present[canary - 1] == inside).map(score).collect()
    };
    let (inside, outside) = (scores(true), scores(false));
    // Nobody moves these but the noise; row 0 sees a rest of everybody's bias.
    let empty: Vec<Vec<f64>> = (1..ORDER)
        .filter(|direction| present.get(direction - 1) != Some(&true))
        .map(|direction| directions[direction].clone())
        .collect();

    let claimed = epsilon(&[numbers.event()], DELTA).expect("a priced event");
    let bound = one_run_epsilon(&inside, &outside, DELTA);
    let mu = q * f64::from(numbers.steps).sqrt() / noise_multiplier;
    vec![
        Finding::at_most(LOWER_BOUND, bound, claimed),
        separation(&inside, &outside, mu),
        noise_variance(&empty.concat(), 1.0),
        step_correlation(&empty),
    ]
}

/// In place, without scaling: `values[i]` becomes Σ_j sign(i, j) · `values[j]`.
fn walsh_hadamard(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for block in values.chunks_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// Five hundred people alike, two private steps a round, and features that nobody has: the sums along
/// everybody's direction show the batches, the empty features the noise of both steps. Nobody evaluates, so
/// that histograms are noise alone.
fn batches(seed: u8) -> Vec<Finding> {
    const PEOPLE: usize = 500;
    const EMPTY: usize = 64;
    let of = served(50, 2, EMPTY + 1);
    let study = of.study();
    let mut table = header(EMPTY + 1);
    for person in 0..PEOPLE {
        let _ = writeln!(table, "p{person},train,1,f,1{}", ",".repeat(EMPTY));
    }
    let seen = play(&of, &table, seed, &[Ask::Evaluate]);
    let sums = released(&seen);
    let (sigma, units, lattice) = lattice(&study);
    let steps = f64::from(of.local_steps);
    let bias = EMPTY + 1;
    let batches: Vec<f64> = sums.iter().map(|sum| -(sum[0] + sum[bias]) / (2.0_f64.sqrt() * units)).collect();
    let share = lattice.person_max() / units;
    let (n, q) = (PEOPLE as f64, of.sampling_rate);
    let noise = (sigma / units).powi(2);
    let mean = steps * n * q * share;
    let variance = steps * (n * q * (1.0 - q) * share * share + noise);
    let empty: Vec<f64> = sums.iter().flat_map(|sum| &sum[1..=EMPTY]).map(|y| y / units).collect();
    let mut both_steps = noise_variance(&empty, steps * noise);
    both_steps.name = "noise variance of two steps";
    let cells = cells(&seen, &study);
    assert_eq!(cells.len(), 80, "everybody and three groups, each with two outcomes and ten bins");
    let mut histograms = noise_variance(&cells, 1.0);
    histograms.name = "noise variance of histograms";
    [batch_sizes(&batches, mean, variance).to_vec(), vec![both_steps, histograms]].concat()
}

/// Neighbours under the same noise: the greatest move of the released integers, per s.
fn exact() -> Vec<Finding> {
    let most = [vec![], vec![3]]
        .iter()
        .flat_map(|hidden| [(1.0, 40), (0.5, 41), (1.0, 4000)].map(|(rate, people)| (hidden, rate, people)))
        .flat_map(|(hidden, rate, people)| moves(hidden, rate, people))
        .fold(0.0, |most: f64, found| if found.is_nan() { found } else { most.max(found) });
    // What cannot reach the limit would not see it passed.
    assert!(most > 0.99 || most.is_nan(), "no person moves the sum by s, the greatest move is {most} s");
    vec![Finding::at_most("exact difference of neighbours", most, 1.0)]
}

/// One more person, of many kinds: how far each moves the update, per s.
fn moves(hidden: &[usize], sampling_rate: f64, people: usize) -> Vec<f64> {
    const FEATURES: usize = 6;
    let of = StudyOf { hidden: hidden.to_vec(), sampling_rate, ..served(1, 1, FEATURES) };
    let study = of.study();
    let (_, units, _) = lattice(&study);
    let mut draws = secret_rng([9; 32]);
    let mut unit = || (draws.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
    let mut base = Examples::new(FEATURES);
    for person in 0..people {
        // Everybody pulls the first weight one way, so that sums get large.
        let row = |rest: f32| (vec![1.0, rest, 0.0, rest, 0.0, 0.0], 1.0);
        let rows: Vec<_> = (0..person % 3 + 1).map(|_| row(0.1 * unit())).collect();
        base.push_person(&rows, vec![0]);
    }
    let mut kinds: Vec<Vec<(Vec<f32>, f32)>> = vec![
        vec![(vec![1.0; FEATURES], 1.0); 5],
        vec![(vec![0.0; FEATURES], 0.0)],
        vec![(vec![1e30; FEATURES], 1.0)],
        vec![(vec![f32::NAN; FEATURES], 1.0)],
        vec![(vec![f32::INFINITY; FEATURES], 0.0), (vec![0.5; FEATURES], 0.0)],
        vec![],
    ];
    for _ in 0..16 {
        let row = (0..FEATURES).map(|i| if i < 2 { 1.0 + 0.3 * unit() } else { 0.1 * unit() }).collect();
        kinds.push(vec![(row, 1.0)]);
    }
    let stopped = vec![f64::INFINITY];
    let Ok(without) = std::panic::catch_unwind(|| update(&study, &base)) else { return stopped };
    let moved = kinds.into_iter().map(|rows| {
        let mut examples = base.clone();
        examples.push_person(&rows, vec![0]);
        // Whatever a record holds, a round ends: stopping would tell of it.
        let Ok(with) = std::panic::catch_unwind(|| update(&study, &examples)) else { return f64::INFINITY };
        // A value at the end of its range hides what moved it; clipped people never reach it.
        if with.iter().chain(&without).any(|value| matches!(*value, i32::MIN | i32::MAX)) {
            return f64::INFINITY;
        }
        let squares = with.iter().zip(&without).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
        squares.sum::<f64>().sqrt() / units
    });
    moved.collect()
}

/// A round's update in lattice units, under one noise and one sampling.
fn update(study: &Study, examples: &Examples) -> Vec<i32> {
    let listed = study.site(&site()).expect("listed");
    let about = Round { study: study.digest, round: 0, model: Digest::of(b"model"), site: site() };
    let model = study.initial_parameters();
    let noise = compute::draw_round(study, &Seed::new([5; 32])).expect("drawable");
    let bytes = compute::update(study, listed, &about, &model, examples, &noise, &Seed::new([6; 32]));
    blob::decode::<UpdateHeader>(&bytes).expect("an update").1
}
