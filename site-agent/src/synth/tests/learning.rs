//! Is there anything to learn, and does it take several hospitals?

use super::super::person::{Diagnosis, Person, Sex, people};
use super::*;

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

fn hospitals(sites: u64, total: u64, seed: u64) -> Vec<Vec<Person>> {
    let plan = plan(sites, total).expect("within bounds");
    let draw = kept_draw(&plan, seed);
    plan.iter().map(|site| people(site, draw).collect()).collect()
}

/// Counted over people and pairs, not by [`truth::Tally`].
#[test]
fn prevalence_differs_threefold_and_true_risks_reach_what_they_should() {
    for (sites, total) in [(6, 6000), (4, 6000), (4, 2000), (26, 20_000)] {
        for seed in SEEDS {
            let hospitals = hospitals(sites, total, seed);
            let prevalence =
                |site: &Vec<Person>| site.iter().filter(|p| p.outcome).count() as f64 / site.len() as f64;
            let prevalences: Vec<f64> = hospitals.iter().map(prevalence).collect();
            let highest = prevalences.iter().copied().fold(0.0, f64::max);
            let lowest = prevalences.iter().copied().fold(1.0, f64::min);
            assert!(highest >= 3.0 * lowest, "{sites} sites, seed {seed}: {prevalences:?}");
            let reached = auroc(hospitals.iter().flatten().map(|p| (p.risk, p.outcome)).collect());
            assert!(
                (0.75..=0.80).contains(&reached),
                "{sites} sites, {total} people, seed {seed}: {reached}"
            );
        }
    }
}

#[test]
fn few_draws_miss() {
    let plan = plan(6, 6000).expect("within bounds");
    let missed: Vec<u64> = (0..12).map(|seed| kept_draw(&plan, seed).attempt).collect();
    // The risk model is made for the promise; drawing again only mends bad luck.
    assert!(missed.iter().filter(|attempt| **attempt == 0).count() >= 8, "{missed:?}");
}

#[test]
fn together_beats_alone() {
    let mut gaps = Vec::new();
    for seed in SEEDS {
        let hospitals = hospitals(6, 6000, seed);
        // Every fifth person is held out; the order of people means nothing.
        let split = |held: bool| -> Vec<Vec<&Person>> {
            let of_site = |site: &'_ Vec<Person>| (0..site.len()).filter(|i| (i % 5 == 0) == held).collect();
            let chosen: Vec<Vec<usize>> = hospitals.iter().map(of_site).collect();
            hospitals
                .iter()
                .zip(chosen)
                .map(|(site, at)| at.into_iter().map(|i| &site[i]).collect())
                .collect()
        };
        let (training, held_out) = (split(false), split(true).concat());
        let auroc_of = |people: &[&Person]| {
            let weights = fit(people);
            auroc(held_out.iter().map(|p| (score(&weights, &inputs(p)), p.outcome)).collect())
        };
        let together = auroc_of(&training.concat());
        let alone: f64 = training.iter().map(|site| auroc_of(site)).sum::<f64>() / training.len() as f64;
        gaps.push(together - alone);
    }
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    assert!(mean >= 0.03, "pooled minus the mean site alone, by seed: {gaps:?}");
}

/// Inputs of the model, and how many: an intercept, then each recorded column within −1 to 1.
const WIDTH: usize = 19;

fn inputs(person: &Person) -> [f64; WIDTH] {
    let Person { lived, recorded, .. } = person;
    let number = |value: f64, low: f64, high: f64| 2.0 * (value - low) / (high - low) - 1.0;
    let flag = |value: bool| f64::from(u8::from(value));
    [
        1.0,
        number(f64::from(lived.age), 18.0, 90.0),
        flag(recorded.sex == Sex::Male),
        flag(recorded.sex == Sex::Unknown),
        flag(recorded.prior_self_harm),
        number(f64::from(lived.prior_admissions), 0.0, 20.0),
        number(f64::from(lived.days_since_last_contact), 0.0, 365.0),
        recorded.phq9.map_or(0.0, |score| number(f64::from(score), 0.0, 27.0)),
        flag(recorded.phq9.is_none()),
        recorded.bmi_tenths.map_or(0.0, |tenths| number(f64::from(tenths), 100.0, 700.0)),
        flag(recorded.bmi_tenths.is_none()),
        flag(lived.diagnosis == Diagnosis::Psychosis),
        flag(lived.diagnosis == Diagnosis::Bipolar),
        flag(lived.diagnosis == Diagnosis::Other),
        flag(recorded.antidepressant),
        flag(recorded.antipsychotic),
        flag(recorded.alcohol),
        recorded.deprivation.map_or(0.0, |quintile| number(f64::from(quintile), 1.0, 5.0)),
        flag(recorded.deprivation.is_none()),
    ]
}

fn score(weights: &[f64; WIDTH], x: &[f64; WIDTH]) -> f64 {
    weights.iter().zip(x).map(|(w, x)| w * x).sum()
}

/// Logistic regression with a ridge of 1 on all but the intercept, by Newton's method.
fn fit(people: &[&Person]) -> [f64; WIDTH] {
    let mut weights = [0.0; WIDTH];
    for _ in 0..12 {
        let mut gradient = [0.0; WIDTH];
        let mut hessian = [[0.0; WIDTH]; WIDTH];
        for i in 0..WIDTH {
            let ridge = if i == 0 { 1e-6 } else { 1.0 };
            gradient[i] = -ridge * weights[i];
            hessian[i][i] = ridge;
        }
        for person in people {
            let x = inputs(person);
            let p = 1.0 / (1.0 + (-score(&weights, &x)).exp());
            for i in (0..WIDTH).filter(|&i| x[i] != 0.0) {
                gradient[i] += (f64::from(u8::from(person.outcome)) - p) * x[i];
                for j in 0..=i {
                    hessian[i][j] += p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        for (w, step) in weights.iter_mut().zip(solve(hessian, gradient)) {
            *w += step;
        }
    }
    weights
}

/// Solves a positive definite system given by its lower half, by Cholesky.
fn solve(mut a: [[f64; WIDTH]; WIDTH], mut b: [f64; WIDTH]) -> [f64; WIDTH] {
    for i in 0..WIDTH {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            a[i][j] = if i == j { (a[i][i] - dot).sqrt() } else { (a[i][j] - dot) / a[j][j] };
        }
    }
    for i in 0..WIDTH {
        let dot: f64 = (0..i).map(|k| a[i][k] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i][i];
    }
    for i in (0..WIDTH).rev() {
        let dot: f64 = (i + 1..WIDTH).map(|k| a[k][i] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i][i];
    }
    b
}

fn auroc(mut scored: Vec<(f64, bool)>) -> f64 {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut in_order, mut with) = (0.0, 0.0, 0.0);
    for (_, outcome) in scored {
        if outcome {
            with += 1.0;
            in_order += below;
        } else {
            below += 1.0;
        }
    }
    in_order / (below * with)
}
