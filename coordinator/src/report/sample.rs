//! A realistic report for tests, with invented people.

use super::*;
use crate::metrics::{
    Completeness, LOCAL, Memory, Metrics, Model, POOLED, Privacy, SCHEMA, SitePrivacy, StateCount, Sums,
    Timing, subgroups,
};
use consilium_common::evaluation::bins::Bins;
use consilium_common::evaluation::calibration::logit;
use consilium_common::evaluation::exact::Exact;
use consilium_common::evaluation::histogram::{Counted, Grouping, groupings};
use consilium_common::evaluation::metrics::Counts;
use consilium_common::evaluation::normal::{cumulative, quantile};
use consilium_common::evaluation::performance::{Performance, Settings, performance};
use consilium_common::study::{self, Mode};

/// The report of a study in which three of four hospitals took part.
pub(crate) fn report() -> ReportData {
    let study = study::parse(include_bytes!("sample.toml")).expect("the sample is a study");
    let settings = Settings::of(&study);
    let edges = &study.evaluation.bin_edges;
    let overall = counts(edges, 12_000.0, 0.07, 0.742, 7.1);
    let bins = Bins::fitted(edges, &overall);
    let whole = performance(&overall, &bins, &settings, 1);
    let sites: Vec<SiteName> = study.sites.iter().take(3).map(|site| site.name.clone()).collect();

    let mut models = vec![Model::released(None, &whole)];
    models.push(reference(POOLED, 0.757, 0.011));
    for (site, auroc) in sites.iter().zip([0.731, 0.738, 0.694]) {
        models.push(reference(&format!("{LOCAL}{site}"), auroc, 0.012));
    }
    let scores = |grouping: &Grouping| grouping.counted != Counted::People;
    let groups = groupings(&study).into_iter().skip(1).filter(scores);
    let subgroups =
        groups.flat_map(|g| subgroups(&study, &g, &of_groups(&g, edges, &bins, &settings))).collect();
    let site = |(index, name): (usize, &SiteName)| SitePrivacy {
        name: name.clone(),
        epsilon_training: 2.412 + 0.2 * index as f64,
        epsilon_evaluation: 2.87,
        epsilon_person_max: 2.87,
        epsilon_two_hospitals: 4.31,
        epsilon_three_hospitals: Some(5.52),
        steps: 40,
    };
    let metrics = Metrics {
        schema: SCHEMA.into(),
        study: study.id.clone(),
        sites: sites.clone(),
        people_trained_on_public: Some(22_400),
        privacy: Privacy {
            unit: "person".into(),
            mode: "local".into(),
            epsilon: 2.87,
            delta: study.privacy.delta,
            accountant: "pld".into(),
            noise_multiplier: study.privacy.training.noise_multiplier,
            sampling_rate: study.privacy.training.sampling_rate,
            steps: 40,
            sums: None,
            sites: sites.iter().enumerate().map(site).collect(),
        },
        models,
        subgroups,
        completeness: vec![completeness()],
        timing: Timing { wall_s: 64.2, rounds: 10, round_ms_p50: 812.0, round_ms_p95: 1240.0 },
        memory: Memory { coordinator_peak_mib: Some(41.0), agent_peak_mib: Some(88.0) },
    };
    let time = |text: &str| text.parse::<Time>().expect("a time");
    let decisions = study.sites.iter().map(|listed| SiteDecision {
        site: listed.name.clone(),
        answer: Some(SiteAnswer {
            declined: (!sites.contains(&listed.name)).then_some(DeclineReason::Budget),
            approver: "Caldicott guardian and head of informatics".into(),
            time: time("2027-03-01T09:30:00Z"),
            bindings: None,
        }),
    });
    ReportData {
        decisions: decisions.collect(),
        caps: sites.iter().map(|site| SiteCap { site: site.clone(), epsilon: 3.0 }).collect(),
        views: vec![View {
            of: None,
            roc: vec![
                RocCurve::released("federated", &whole.roc),
                RocCurve::reference(POOLED, vec![(0.0, 0.0), (0.2, 0.6), (0.5, 0.85), (1.0, 1.0)]),
                RocCurve::reference(
                    &format!("{LOCAL}{}", sites[0]),
                    vec![(0.0, 0.0), (0.2, 0.5), (1.0, 1.0)],
                ),
                RocCurve::reference(
                    &format!("{LOCAL}{}", sites[1]),
                    vec![(0.0, 0.0), (0.2, 0.4), (1.0, 1.0)],
                ),
            ],
            calibration: whole.calibration,
        }],
        learning_curve: None,
        refusals: vec![Refusals {
            site: sites[1].clone(),
            rule: "policy.steps_max".into(),
            of_study: true,
            count: 2,
        }],
        model: Digest::of(b"the final model"),
        finished: time("2027-03-03T10:42:00Z"),
        stopped: None,
        cosigners: Cosigners::Coordinator,
        audit: None,
        programs: Vec::new(),
        data_source: "Synthetic hospitals, made with seed 1. No real people are in them.".into(),
        metrics,
        study,
    }
}

/// As noise left it: somebody refused, and too few to be shown.
fn completeness() -> Completeness {
    let state = |state: &str, people: Option<u64>, interval: Option<[u64; 2]>| StateCount {
        state: state.into(),
        people,
        interval,
    };
    Completeness {
        attribute: "sexual_orientation".into(),
        recorded_share: Some(0.37),
        interval: Some([0.36, 0.38]),
        states: vec![
            state("recorded", Some(3525), Some([3490, 3560])),
            state("refused", None, None),
            state("not asked", Some(1240), Some([1205, 1275])),
            state("unknown", Some(4760), Some([4725, 4795])),
        ],
    }
}

/// The same study in distributed mode: four hospitals, one of which dropped out of a step.
pub(crate) fn distributed() -> ReportData {
    let mut data = report();
    data.study.privacy.mode = Mode::Distributed { colluding: 1 };
    data.study.privacy.training.local_steps = 1;
    data.study.privacy.training.quorum = 3;
    data.metrics.privacy.mode = data.study.privacy.mode.name().into();
    data.metrics.privacy.sums = Some(Sums {
        threshold: 3,
        colluding: 1,
        sites_of_rounds: vec![4, 3, 4, 4],
        evaluations: 3,
        attempts_failed: 2,
        uses_lost_max: 5,
    });
    data
}

fn reference(name: &str, auroc: f64, reach: f64) -> Model {
    let exact = Exact {
        auroc,
        auroc_interval: (auroc - reach, auroc + reach),
        auprc: 0.19,
        brier: 0.061,
        accuracy: 0.93,
        calibration_in_the_large: -0.0004,
        calibration_intercept: Some(-0.01),
        calibration_slope: Some(0.97),
    };
    Model::reference(name, None, Some(&exact))
}

fn of_groups(grouping: &Grouping, edges: &[f64], bins: &Bins, settings: &Settings) -> Vec<Performance> {
    let size = |labels: &Vec<String>| {
        labels.iter().fold(12_000.0, |people, label| {
            people
                * match label.as_str() {
                    "female" | "white" => 0.55,
                    "male" => 0.44,
                    "asian" => 0.14,
                    "black" | "unknown" => 0.12,
                    "mixed" | "not asked" => 0.04,
                    "refused" => 0.01,
                    _ => 0.3,
                }
        })
    };
    let of = |(index, labels): (usize, &Vec<String>)| {
        let counts = counts(edges, size(labels), 0.07, 0.73 + 0.01 * index as f64, 2.1);
        performance(&counts, bins, settings, index as u64)
    };
    grouping.labels.iter().enumerate().map(of).collect()
}

/// Cells of people whose logits are normal in each outcome, with something like noise.
fn counts(edges: &[f64], people: f64, prevalence: f64, auroc: f64, noise_sd: f64) -> Counts {
    let d = std::f64::consts::SQRT_2 * quantile(auroc);
    let at = |edge: &f64| (logit(*edge) - logit(prevalence)) / d;
    let ends: Vec<f64> = [-9.0].into_iter().chain(edges.iter().map(at)).chain([9.0]).collect();
    let cells = |mean: f64, weight: f64| {
        let share = |ends: &[f64]| cumulative(ends[1] - mean) - cumulative(ends[0] - mean);
        let wobble = |bin: usize| noise_sd * (bin as f64 * 2.4 + weight * 9.0).sin();
        ends.windows(2).enumerate().map(|(bin, ends)| weight * people * share(ends) + wobble(bin)).collect()
    };
    Counts { without: cells(-d / 2.0, 1.0 - prevalence), with: cells(d / 2.0, prevalence), noise_sd }
}
