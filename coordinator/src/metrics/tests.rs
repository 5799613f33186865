use super::*;
use crate::report::sample;
use consilium_common::evaluation::bins::Bins;
use consilium_common::evaluation::metrics::Counts;
use consilium_common::evaluation::performance::performance;
use serde_json::{Value, json};

#[test]
fn the_document_round_trips() {
    let metrics = sample::report().metrics;
    let text = serde_json::to_string_pretty(&metrics).expect("plain data");
    assert_eq!(serde_json::from_str::<Metrics>(&text).expect("what was written"), metrics);
}

/// The keys of the contract, by hand.
#[test]
fn keys_are_the_contract() {
    let text = r#"{"schema":"metrics/1","study":"s","sites":["a"],"people_trained_on_public":null,
        "privacy":{"unit":"person","mode":"local","epsilon":3.0,"delta":1e-6,"accountant":"pld",
            "noise_multiplier":1.5,"sampling_rate":0.1,"steps":40,"sites":[{"name":"a",
            "epsilon_training":3.0,"epsilon_evaluation":2.0,"epsilon_person_max":3.0,
            "epsilon_two_hospitals":5.0,"steps":40}]},
        "models":[{"name":"federated","auroc":0.75,"auroc_interval":[0.7,0.8],"auprc":0.2,
            "brier":0.05,"calibration_slope":1.0,"calibration_in_the_large":0.0,
            "released_under_dp":true}],
        "subgroups":[{"group":{"sex":"unknown"},"auroc":null,"interval":null,"suppressed":true,
            "grouping":"sex"}],
        "timing":{"wall_s":1.0,"rounds":10,"round_ms_p50":10.0,"round_ms_p95":20.0},
        "memory":{"coordinator_peak_mib":50.0,"agent_peak_mib":null}}"#;
    let metrics: Metrics = serde_json::from_str(text).expect("the contract's form");
    let written = serde_json::to_value(&metrics).expect("plain data");
    assert_eq!(written, serde_json::from_str::<Value>(text).expect("JSON"));
}

#[test]
fn a_suppressed_group_tells_nothing() {
    let data = sample::report();
    let hidden = data.metrics.subgroups.iter().find(|s| s.suppressed).expect("the sample has one");
    let written = serde_json::to_value(hidden).expect("plain data");
    let expected = json!({"group": hidden.group, "auroc": null, "interval": null, "suppressed": true,
        "grouping": hidden.grouping, "reason": hidden.reason});
    assert_eq!(written, expected);
}

/// A figure between 0 and 1, give or take 1, is none.
#[test]
fn an_auroc_that_says_nothing_is_not_given() {
    let mut study = sample::report().study;
    study.evaluation.bin_edges = vec![0.1];
    let settings = consilium_common::evaluation::performance::Settings::of(&study);
    let of = |with: Vec<f64>| {
        let counts = Counts { without: vec![900.0, 300.0], with, noise_sd: 6.0 };
        let bins = Bins::fitted(&study.evaluation.bin_edges, &counts);
        Model::released(None, &performance(&counts, &bins, &settings, 1))
    };
    let (nobody, some) = (of(vec![2.0, -1.0]), of(vec![60.0, 140.0]));
    assert_eq!((nobody.auroc, nobody.auroc_interval, nobody.too_few_people), (None, None, true));
    let others = [
        nobody.auprc,
        nobody.brier,
        nobody.accuracy,
        nobody.calibration_slope,
        nobody.calibration_in_the_large,
    ];
    assert_eq!(others, [None; 5], "they rest on the same people");
    assert_eq!((nobody.calibration_slope_interval, nobody.calibration_in_the_large_interval), (None, None));
    assert!(some.brier.is_some() && some.auprc.is_some());
    assert!(some.auroc.is_some_and(|auroc| auroc > 0.6) && some.auroc_interval.is_some());
}

#[test]
fn infinite_ends_are_absent() {
    let wild = Estimate {
        value: 0.7,
        interval: (f64::NEG_INFINITY, f64::INFINITY),
        se: f64::INFINITY,
        se_sampling: 0.1,
        se_noise: f64::INFINITY,
    };
    assert_eq!(ends(Some(wild)), None);
    assert_eq!(finite(wild.se), None);
}
