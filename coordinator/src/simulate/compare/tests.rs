//! Whole comparisons of invented people under a study that ships.

use super::*;
use clap::Parser;
use consilium_common::examples::ExampleFile;
use consilium_common::key::SecretKey;
use consilium_common::privacy::calibrate;
use consilium_common::study::{RosterSite, fill, parse};
use serde_json::Value;

const HEART: &str = include_str!("../../../../docs/studies/heart-disease.toml");

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    compare: CompareArgs,
}

fn args(line: &str) -> CompareArgs {
    let words = ["simulate", "--compare"].into_iter().chain(line.split_whitespace());
    Line::try_parse_from(words).expect("a line").compare
}

/// The heart-disease study over `sites` sites of 200 people.
fn study(sites: u8) -> Study {
    let roster: Vec<RosterSite> = (1..=sites)
        .map(|site| RosterSite {
            name: format!("site-{site}").parse().expect("a name"),
            key: SecretKey::from_seed(&[site; 32]).public(),
            people_public: 200,
            weight: 1 << 16,
        })
        .collect();
    let text = fill(HEART, &roster, None).expect("a template");
    parse(text.text.as_bytes()).expect("a study")
}

fn sites(study: &Study) -> Vec<SiteExamples> {
    sites_of(132, study)
}

/// The study's sites, with so many training people each.
fn sites_of(training: usize, study: &Study) -> Vec<SiteExamples> {
    let width = study.architecture().inputs;
    let people = |seed, count| super::super::trainers::tests::people(seed, count, width);
    let of = |(number, site): (usize, &RosterSite)| {
        let seed = 2 * u8::try_from(number).expect("few");
        let (training, evaluation) = (people(seed, training), people(seed + 1, 68));
        SiteExamples {
            site: site.name.clone(),
            examples: ExampleFile { study: study.digest, training, evaluation },
        }
    };
    study.sites.iter().enumerate().map(of).collect()
}

fn document(line: &str, study: &Study, sites: &[SiteExamples]) -> Value {
    let args = args(line);
    let (secure, rows) = compare(&args, study, sites).expect("a comparison");
    table::document(study, &args, &secure, &rows)
}

#[test]
fn a_comparison_says_what_it_did() {
    let study = study(4);
    let sites = sites(&study);
    let line = "--epsilon 0.3,100 --seeds 3";
    let found = document(line, &study, &sites);
    assert_eq!(found, document(line, &study, &sites), "a seed is a run");
    assert_eq!(found["released"], false);
    assert_eq!((&found["threshold"], &found["colluding"]), (&Value::from(4), &Value::from(1)));
    let ratio = found["noise_variance_over_central"].as_f64().expect("a number");
    assert!((ratio - 4.0 / 3.0).abs() < 1e-4, "{ratio}");
    for (row, epsilon) in found["comparison"].as_array().expect("rows").iter().zip([0.3, 100.0]) {
        assert_eq!(row["epsilon_training"], epsilon);
        let trainers = row["trainers"].as_array().expect("trainers");
        let names: Vec<&str> = trainers.iter().filter_map(|trainer| trainer["name"].as_str()).collect();
        assert_eq!(names, ["without_noise", "central", "distributed", "local"]);
        // Eight rounds and the spare one are paid for, at the least noise for it.
        let sigma = calibrate::noise_multiplier(epsilon, study.privacy.delta, 1.0, 9).expect("a price");
        for trainer in &trainers[1..] {
            assert_eq!(trainer["noise_multiplier"], sigma);
            assert_eq!(trainer["auroc_by_seed"].as_array().map(Vec::len), Some(3));
        }
        assert_eq!(trainers[0]["noise_multiplier"], Value::Null);
        let mean = |at: usize| trainers[at]["auroc"]["mean"].as_f64().expect("a number");
        let less = |at: usize| row["differences"][at]["auroc"]["mean"].as_f64().expect("a number");
        assert!((less(0) - (mean(2) - mean(1))).abs() < 1e-12);
        assert!((less(1) - (mean(2) - mean(3))).abs() < 1e-12);
        // The outcome is mostly the first input's sign.
        assert!(mean(0) > 0.8, "without noise: {}", mean(0));
    }
    // Hardly any noise: nobody differs. Much: a curator loses less than sites by themselves.
    let mean = |row: usize, at: usize| {
        found["comparison"][row]["trainers"][at]["auroc"]["mean"].as_f64().expect("a number")
    };
    for at in [1, 2, 3] {
        assert!((mean(1, at) - mean(1, 0)).abs() < 0.02, "{at}: {}", mean(1, at));
    }
    assert!(mean(0, 1) < mean(0, 0) - 0.01, "{}", mean(0, 1));
    assert!(mean(0, 3) < mean(0, 1) - 0.01, "{} {}", mean(0, 3), mean(0, 1));
    let text = {
        let args = args(line);
        let (secure, rows) = compare(&args, &study, &sites).expect("a comparison");
        table::text(&study, &args, &secure, &rows)
    };
    assert!(text.starts_with("AUROC on everybody's evaluation people: mean of 3 runs"), "{text}");
    assert!(text.contains("1.155 times the standard deviation (1.333 times the variance)"), "{text}");
}

#[test]
fn numbers_are_chosen_from_the_grid() {
    let study = study(3);
    let sites = sites_of(16, &study);
    let architecture = study.architecture();
    let start = study.initial_parameters();
    let pooled = pool(&sites, &architecture, |examples| &examples.training);
    let args = args("");
    let hospitals = hospitals(&args, &study, &sites, &architecture, &start, &pooled).expect("hospitals");
    let folds = tune::folds(&hospitals);
    let (summed, local) = study_plans(&study, &args);
    let mut prices = Prices::new(study.privacy.delta);
    for (trainer, plan) in [(Trainer::Central, summed), (Trainer::Local, local)] {
        let mut choose =
            || tune::tuned(&hospitals, &folds, trainer, &plan, 1.0, &mut prices).expect("a plan");
        let chosen = choose();
        assert_eq!(chosen, choose(), "the same again");
        assert!(trainer == Trainer::Local || chosen.local_steps == 1);
        assert_eq!(chosen.sampling_rate, plan.sampling_rate);
        // An eighth of the study's rounds is spare, rounded up.
        assert_eq!(chosen.spare_rounds, chosen.rounds.div_ceil(8));
    }
}

#[test]
fn refusals() {
    fn check(line: &str, study: &Study, sites: &[SiteExamples], expected: &str) {
        let error = compare(&args(line), study, sites).map(drop).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let two = study(2);
    check("", &two, &sites(&two), "distributed noise");
    let three = study(3);
    check("", &three, &sites(&study(4)), "the study lists no site site-4");
    check("--threshold 2 --colluding 1", &three, &sites(&three), "distributed noise");
    let mut alike = sites(&three);
    let width = three.architecture().inputs;
    for site in &mut alike {
        site.examples.evaluation = Examples::new(width);
        site.examples.evaluation.push_person(&[(vec![0.0; width], 1.0)], vec![]);
    }
    check("", &three, &alike, "both outcomes");
}
