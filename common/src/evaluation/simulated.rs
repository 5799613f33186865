//! Known truth for the tests of evaluation: people whose logits are normal in each outcome with one
//! variance, so that AUROC, slope and bin shares have closed forms.

use super::bins::{Bins, equal_mass};
use super::calibration::{expit, logit};
use super::curve;
use super::interval::{Replicates, normal, poisson};
use super::metrics::{self, Counts};
use super::normal::{cumulative, quantile};
use super::performance::{Settings, TooFew, performance};
use chacha20::ChaCha8Rng;
use rand_core::SeedableRng as _;

/// ε = 1 at δ = 1e-6 for one Gaussian histogram (analytic Gaussian mechanism, Balle and Wang 2018).
const SD_EPSILON_1: f64 = 4.224_7;
/// ε = 8 at the same δ.
const SD_EPSILON_8: f64 = 0.653;

const RARE_EDGES: [f64; 10] = [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5];
const EVEN_EDGES: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Scores are N(±d/2, 1) by outcome; the model says κ times the true logit.
#[derive(Clone, Copy)]
struct Population {
    auroc: f64,
    prevalence: f64,
    /// Above 1, the model is too extreme; its calibration slope is 1/κ.
    kappa: f64,
}

impl Population {
    /// Expected cells of `people`, without noise.
    fn cells(self, edges: &[f64], people: f64) -> Counts {
        let d = std::f64::consts::SQRT_2 * quantile(self.auroc);
        let base = logit(self.prevalence);
        let ends: Vec<f64> = std::iter::once(f64::NEG_INFINITY)
            .chain(edges.iter().map(|edge| (logit(*edge) / self.kappa - base) / d))
            .chain([f64::INFINITY])
            .collect();
        let share = |mean: f64, weight: f64| {
            let part =
                |pair: &[f64]| weight * people * (cumulative(pair[1] - mean) - cumulative(pair[0] - mean));
            ends.windows(2).map(part).collect()
        };
        Counts {
            without: share(-d / 2.0, 1.0 - self.prevalence),
            with: share(d / 2.0, self.prevalence),
            noise_sd: 0.0,
        }
    }

    /// One hospital's people, with noise.
    fn draw(self, edges: &[f64], people: f64, noise_sd: f64, rng: &mut ChaCha8Rng) -> Counts {
        let mut counts = self.cells(edges, people);
        counts.noise_sd = noise_sd;
        for cell in counts.without.iter_mut().chain(&mut counts.with) {
            *cell = poisson(rng, *cell) + noise_sd * normal(rng);
        }
        counts
    }
}

const RARE: Population = Population { auroc: 0.75, prevalence: 0.05, kappa: 1.0 };
const EVEN: Population = Population { auroc: 0.85, prevalence: 0.5, kappa: 1.0 };

const SETTINGS: Settings = Settings { level: 0.95, standard_error_max: 0.05, count_min: 11, replicates: 200 };

#[test]
fn fitted_bins_find_what_middles_miss() {
    fn check(population: Population, edges: &[f64], tolerance: f64) {
        let counts = population.cells(edges, 1e5);
        let (fitted, centred) = (Bins::fitted(edges, &counts), Bins::centred(edges));
        assert!(fitted.is_fitted() && !centred.is_fitted());
        let name = format!("{} {} {}", population.auroc, population.prevalence, population.kappa);
        let auroc = |bins| metrics::auroc(&counts, bins).expect("plenty") - population.auroc;
        assert!(auroc(&fitted).abs() < tolerance, "{name}: {}", auroc(&fitted));
        assert!(auroc(&centred) < -tolerance, "{name}: {} with middles", auroc(&centred));
        let slope = metrics::calibration_slope(&counts, &fitted).expect("plenty");
        assert!((slope * population.kappa - 1.0).abs() < 0.05, "{name}: slope {slope}");
        if population.kappa == 1.0 {
            let citl = metrics::calibration_in_the_large(&counts, &fitted).expect("plenty");
            assert!(citl.abs() < 0.002, "{name}: {citl}");
        }
    }
    check(RARE, &RARE_EDGES, 0.002);
    check(EVEN, &EVEN_EDGES, 0.002);
    check(EVEN, &[0.2, 0.4, 0.6, 0.8], 0.003);
    check(Population { kappa: 0.6, ..RARE }, &RARE_EDGES, 0.003);
    check(Population { kappa: 1.6, ..EVEN }, &EVEN_EDGES, 0.003);
    check(Population { auroc: 0.7, prevalence: 0.2, kappa: 1.0 }, &EVEN_EDGES, 0.003);
}

#[test]
fn too_few_edges_with_people_on_both_sides_mean_middles() {
    let mut counts = RARE.cells(&[0.5, 0.9], 500.0);
    counts.noise_sd = SD_EPSILON_1;
    assert_eq!(Bins::fitted(&[0.5, 0.9], &counts), Bins::centred(&[0.5, 0.9]));
    let nobody = Counts { without: vec![-3.0; 3], with: vec![1.0; 3], noise_sd: 3.0 };
    assert_eq!(Bins::fitted(&[0.5, 0.9], &nobody), Bins::centred(&[0.5, 0.9]));
}

/// 500 hospitals a case: how often the interval holds the truth.
#[test]
fn intervals_cover_the_truth() {
    fn check(population: Population, edges: &[f64], events: f64, noise_sd: f64) {
        const RUNS: u64 = 500;
        let people = events / population.prevalence;
        let mut covered = 0;
        let (mut shown, mut shown_covered) = (0, 0);
        let mut defined = 0;
        for run in 0..RUNS {
            let mut rng = ChaCha8Rng::seed_from_u64(run);
            let counts = population.draw(edges, people, noise_sd, &mut rng);
            let bins = Bins::fitted(edges, &population.draw(edges, 4.0 * people, noise_sd, &mut rng));
            let metric = |counts: &Counts| metrics::auroc(counts, &bins);
            let Some(value) = metric(&counts) else { continue };
            let replicates = Replicates::draw(&counts, SETTINGS.replicates, run);
            let estimate = replicates.estimate(value, SETTINGS.level, metric).expect("as the value");
            defined += 1;
            let (low, high) = estimate.interval;
            let holds = u32::from((low..=high).contains(&population.auroc));
            covered += holds;
            if super::performance::too_few(&counts, Some(estimate), &SETTINGS).is_none() {
                shown += 1;
                shown_covered += holds;
            }
        }
        let name = format!(
            "{events} events, noise {noise_sd}: {covered} of {defined}, shown {shown_covered} of {shown}"
        );
        println!("{name}");
        assert!(f64::from(covered) >= 0.93 * f64::from(defined), "{name}");
        assert!(shown < 50 || f64::from(shown_covered) >= 0.93 * f64::from(shown), "{name}");
        match events {
            e if e <= 50.0 && noise_sd == SD_EPSILON_1 => assert_eq!(shown, 0, "{name}"),
            e if e >= 500.0 => assert_eq!(shown, RUNS as u32, "{name}"),
            _ => {}
        }
    }
    for events in [25.0, 50.0, 100.0, 200.0, 500.0, 2000.0] {
        check(RARE, &RARE_EDGES, events, SD_EPSILON_1);
    }
    for events in [25.0, 60.0, 500.0] {
        check(RARE, &RARE_EDGES, events, SD_EPSILON_8);
        check(EVEN, &EVEN_EDGES, events, SD_EPSILON_8);
    }
}

#[test]
fn calibration_intervals_cover_the_truth() {
    const RUNS: u64 = 300;
    let (mut slope_holds, mut citl_holds) = (0, 0);
    for run in 0..RUNS {
        let mut rng = ChaCha8Rng::seed_from_u64(run);
        let counts = RARE.draw(&RARE_EDGES, 4000.0, SD_EPSILON_1, &mut rng);
        let bins = Bins::fitted(&RARE_EDGES, &RARE.draw(&RARE_EDGES, 16_000.0, SD_EPSILON_1, &mut rng));
        let replicates = Replicates::draw(&counts, SETTINGS.replicates, run);
        let holds = |truth: f64, metric: &dyn Fn(&Counts) -> Option<f64>| {
            let estimate = metric(&counts).and_then(|v| replicates.estimate(v, SETTINGS.level, metric));
            estimate.is_some_and(|e| (e.interval.0..=e.interval.1).contains(&truth))
        };
        slope_holds += u32::from(holds(1.0, &|c| metrics::calibration_slope(c, &bins)));
        citl_holds += u32::from(holds(0.0, &|c| metrics::calibration_in_the_large(c, &bins)));
    }
    println!("slope {slope_holds}, citl {citl_holds} of {RUNS}");
    assert!(f64::from(slope_holds) >= 0.93 * RUNS as f64, "slope {slope_holds} of {RUNS}");
    assert!(f64::from(citl_holds) >= 0.93 * RUNS as f64, "in the large {citl_holds} of {RUNS}");
}

/// The band around a ROC curve is pointwise: at each share of people named wrongly it holds the true
/// sensitivity about as often as it says.
#[test]
fn roc_bands_cover_the_truth() {
    fn check(population: Population, edges: &[f64], people: f64, noise_sd: f64) {
        const RUNS: u32 = 200;
        let d = std::f64::consts::SQRT_2 * quantile(population.auroc);
        let mut holds = Vec::new();
        for run in 0..RUNS {
            let mut rng = ChaCha8Rng::seed_from_u64(run.into());
            let counts = population.draw(edges, people, noise_sd, &mut rng);
            let bins = Bins::fitted(edges, &counts);
            let replicates = Replicates::draw(&counts, SETTINGS.replicates, run.into());
            let points = curve::roc(&counts, &bins, &replicates, SETTINGS.level);
            holds.resize(points.len(), 0_u32);
            for (holds, point) in holds.iter_mut().zip(&points).skip(1) {
                let truth = if point.named_wrongly < 1.0 {
                    cumulative(quantile(point.named_wrongly) + d)
                } else {
                    1.0
                };
                *holds += u32::from((point.interval.0..=point.interval.1).contains(&truth));
            }
        }
        let inner = &holds[1..holds.len() - 1];
        let mean = f64::from(inner.iter().sum::<u32>()) / inner.len() as f64 / f64::from(RUNS);
        let least = f64::from(*inner.iter().min().expect("a curve")) / f64::from(RUNS);
        println!("{people} people, noise {noise_sd}: mean {mean:.3}, least {least:.3}");
        println!("{inner:?}");
        assert!((0.93..=0.99).contains(&mean) && least >= 0.88, "{people}: mean {mean}, least {least}");
    }
    check(RARE, &RARE_EDGES, 4000.0, SD_EPSILON_1);
    check(RARE, &RARE_EDGES, 20_000.0, SD_EPSILON_8);
    check(EVEN, &EVEN_EDGES, 1000.0, SD_EPSILON_8);
    check(EVEN, &EVEN_EDGES, 4000.0, SD_EPSILON_1);
}

/// What the obvious implementation does: negative cells become zero. Which way that errs depends on
/// where the bins are nearly empty; it would tell two hospitals opposite stories of one truth.
#[test]
fn clipping_negative_cells_is_biased_and_ours_is_not() {
    fn check(edges: &[f64], clipped_bias: f64) {
        const RUNS: u64 = 1000;
        let bins = Bins::fitted(edges, &RARE.cells(edges, 1e5));
        let (mut ours, mut clipped) = (0.0, 0.0);
        for run in 0..RUNS {
            let counts = RARE.draw(edges, 2000.0, SD_EPSILON_1, &mut ChaCha8Rng::seed_from_u64(run));
            ours += metrics::auroc(&counts, &bins).expect("100 events") / RUNS as f64;
            let clip = |cells: &[f64]| cells.iter().map(|cell| cell.max(0.0)).collect();
            let naive = Counts { without: clip(&counts.without), with: clip(&counts.with), ..counts };
            clipped += metrics::auroc(&naive, &bins).expect("100 events") / RUNS as f64;
        }
        let bias = |mean: f64| mean - RARE.auroc;
        let name = format!("ours {:+.4}, clipped {:+.4}", bias(ours), bias(clipped));
        println!("{name}");
        // What is left is that of a ratio with a noisy count below: a sixth of its standard error.
        assert!(bias(ours).abs() < 0.015, "{name}");
        assert!((bias(clipped) - clipped_bias).abs() < 0.015, "{name}");
    }
    let d = std::f64::consts::SQRT_2 * quantile(RARE.auroc);
    let of_equal_mass =
        |bin: u32| expit(logit(RARE.prevalence) + d * (quantile(f64::from(bin) / 20.0) - d / 2.0));
    check(&(1..20).map(of_equal_mass).collect::<Vec<_>>(), -0.05);
    check(&(1..20).map(|edge| f64::from(edge) / 20.0).collect::<Vec<_>>(), 0.04);
}

#[test]
fn standard_errors_name_their_cause() {
    let bins = Bins::fitted(&RARE_EDGES, &RARE.cells(&RARE_EDGES, 1e5));
    let settings = Settings { replicates: 1000, ..SETTINGS };
    let of = |people: f64, noise_sd: f64| {
        let mut counts = RARE.cells(&RARE_EDGES, people);
        counts.noise_sd = noise_sd;
        performance(&counts, &bins, &settings, 1).auroc.expect("plenty")
    };
    let noisy = of(10_000.0, SD_EPSILON_1);
    assert!((noisy.se - noisy.se_sampling.hypot(noisy.se_noise)).abs() < 0.1 * noisy.se, "{noisy:?}");
    // Without noise the error is that of Hanley and McNeil: 0.0113 with 500 events at 0.75.
    let exact = of(10_000.0, 0.0);
    assert_eq!(exact.se_noise, 0.0);
    assert!((exact.se - 0.0113).abs() < 0.001, "{exact:?}");
}

#[test]
fn small_groups_say_too_few() {
    fn check(population: Population, edges: &[f64], people: f64, noise_sd: f64, expected: Option<TooFew>) {
        let mut counts = population.cells(edges, people);
        counts.noise_sd = noise_sd;
        let bins = Bins::fitted(edges, &population.cells(edges, 1e5));
        let found = performance(&counts, &bins, &SETTINGS, 3);
        assert_eq!(found.too_few, expected, "{people} people, noise {noise_sd}");
        assert_eq!(found.disclosed().is_ok(), expected.is_none());
    }
    // 25 events at ε = 1: the flag is raised and nothing is disclosed.
    check(RARE, &RARE_EDGES, 500.0, SD_EPSILON_1, Some(TooFew::StandardError));
    check(RARE, &RARE_EDGES, 10_000.0, SD_EPSILON_1, None);
    check(RARE, &RARE_EDGES, 200.0, SD_EPSILON_8, Some(TooFew::Count));
    check(Population { prevalence: 0.99, ..RARE }, &EVEN_EDGES, 500.0, SD_EPSILON_8, Some(TooFew::Count));
    check(EVEN, &EVEN_EDGES, 40.0, SD_EPSILON_8, Some(TooFew::StandardError));
    check(EVEN, &EVEN_EDGES, 0.0, SD_EPSILON_8, Some(TooFew::Count));
    let nan = Counts { without: vec![f64::NAN; 10], with: vec![f64::NAN; 10], noise_sd: 1.0 };
    assert_eq!(performance(&nan, &Bins::centred(&EVEN_EDGES), &SETTINGS, 1).too_few, Some(TooFew::Count));
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let counts = RARE.draw(&RARE_EDGES, 6000.0, SD_EPSILON_1, &mut ChaCha8Rng::seed_from_u64(9));
    let bins = Bins::fitted(&RARE_EDGES, &counts);
    let report = |seed| performance(&counts, &bins, &SETTINGS, seed);
    assert_eq!(report(4), report(4));
    assert_ne!(report(4), report(5));
    let points = report(4).calibration;
    assert!((5..=8).contains(&points.len()), "{}", points.len());
    assert!(points.is_sorted_by(|a, b| a.predicted < b.predicted));
    for point in points {
        assert!((0.0..=1.0).contains(&point.observed.interval.0) && point.observed.interval.1 <= 1.0);
    }
}

#[test]
fn runs_of_about_equal_mass() {
    fn check(totals: &[f64], target: usize, expected: &[usize]) {
        let runs = equal_mass(totals, target);
        assert_eq!(runs.iter().map(std::ops::Range::len).collect::<Vec<_>>(), expected, "{totals:?}");
        assert_eq!(runs.iter().map(std::ops::Range::len).sum::<usize>(), totals.len());
    }
    check(&[1.0; 8], 4, &[2, 2, 2, 2]);
    check(&[1.0; 3], 8, &[1, 1, 1]);
    check(&[100.0, 1.0, 1.0, 1.0], 2, &[1, 3]);
    check(&[-5.0, 0.0, 10.0, 10.0], 2, &[3, 1]);
    check(&[-1.0, -1.0], 2, &[2]);
    check(&[], 2, &[]);
}
