//! Several tasks, and several horizons of one.

use super::{OF_RECORDS, parse, parsed, records, replaced};
use crate::ledger::entry::Account;
use crate::model::Architecture;
use crate::privacy::accountant::epsilon_by;
use crate::study::records::AtRisk;
use crate::study::{earmarks, is_overall};
use std::sync::LazyLock;

/// What `docs/STUDY-FILE.md` prints of a second task.
const SECOND: &str = r#"[cohort.discharge]
entry   = [{ event = "visit", set = "inpatient" }]
limit   = "first-in-accrual"
index   = "end"
prior_observation_days  = 180
predict_after_hours     = 24
max_episodes_per_person = 1

[[task]]
name    = "readmission"
target  = "discharge"
outcome = { any_of = [{ event = "visit", set = "inpatient" }] }
horizons_days          = [30, 365]
prevalence_public      = [0.04, 0.2]
time_at_risk_start_day = 1
prior_outcome          = "keep"
insufficient_follow_up = "keep-if-outcome"
death                  = "competing"
"#;

/// The example with a second task, of two horizons; the model's share moves to the first.
static TWO: LazyLock<String> = LazyLock::new(|| {
    let text = replaced(&OF_RECORDS, "\n[features]\n", &format!("\n{SECOND}\n[features]\n"));
    let text = replaced(&text, "prevalence_public = 0.06", "#");
    replaced(&text, "horizons_days          = [365]", "prevalence_public = 0.06\nhorizons_days = [365]")
});

#[test]
fn the_guide_prints_the_second_task() {
    let guide = include_str!("../../../../../../docs/STUDY-FILE.md");
    assert!(guide.contains(&format!("```toml\n{SECOND}```")));
}

#[test]
fn every_task_at_every_horizon_is_an_output() {
    let study = parsed(&TWO);
    let names: Vec<String> = study.predicted().into_iter().map(|predicted| predicted.name).collect();
    assert_eq!(names, ["self_harm", "readmission.30d", "readmission.365d"]);
    let inputs = study.input_names().len();
    assert_eq!(study.architecture(), Architecture { inputs, hidden: vec![], outputs: 3 });
    let tasks = &records(&study).tasks;
    assert_eq!((tasks.len(), tasks[1].cohort.name.as_str()), (2, "discharge"));
    assert_eq!(tasks[1].outcome.at_risk, AtRisk::Days { from: 1, to: vec![30, 365] });
    // One published share for each output's own bias, and nothing else.
    let parameters = study.initial_parameters();
    let logit = |share: f64| ((share / (1.0 - share)).ln() * f64::from(1 << 24)).round() as i32;
    let (weights, biases) = parameters.split_at(parameters.len() - 3);
    assert!(weights.iter().all(|weight| *weight == 0));
    assert_eq!(biases, [0.06, 0.04, 0.2].map(logit));
}

/// Every prediction is released by every grouping, and all of it together stays below the one cap.
#[test]
fn the_price_is_one_for_all() {
    let (study, one) = (parsed(&TWO), parsed(&OF_RECORDS));
    let own = one.groupings();
    let names = study.groupings();
    assert_eq!(names.len(), 3 * own.len());
    for (at, name) in names.iter().enumerate() {
        let of = ["self_harm", "readmission.30d", "readmission.365d"][at / own.len()];
        assert_eq!(*name, format!("{of}.{}", own[at % own.len()]));
        assert_eq!(is_overall(name), at % own.len() == 0, "{name}");
    }
    let list = earmarks(&study);
    assert_eq!(list.iter().skip(1).map(|earmark| earmark.name.clone()).collect::<Vec<_>>(), names);
    let spent = |study, account| {
        let events = earmarks::events_of(&earmarks(study), account);
        epsilon_by(study.privacy.accountant, &events, study.privacy.delta).expect("valid events")
    };
    assert_eq!(spent(&study, Account::Training), spent(&one, Account::Training), "one list of steps");
    let cap = study.privacy.epsilon_evaluation;
    let evaluation = spent(&study, Account::Evaluation);
    assert!(evaluation <= cap && evaluation > 0.995 * cap, "{evaluation} for a cap of {cap}");
    assert!(study.privacy.evaluation_scale > 1.5 * one.privacy.evaluation_scale);
}

#[test]
fn mistakes_say_what_to_write() {
    #[track_caller]
    fn check(from: &str, to: &str, key: &str, said: &str) {
        let mistakes = parse(replaced(&TWO, from, to).as_bytes()).expect_err(to);
        let found =
            mistakes.list().iter().find(|mistake| mistake.key == key && mistake.to_string().contains(said));
        assert!(found.is_some(), "{to:?}: no {key} with {said:?} in\n{mistakes}");
    }
    let horizons = "horizons_days          = [30, 365]";
    check(horizons, "horizons_days = [365, 30]", "task[2].horizons_days", "rising");
    check(horizons, "horizons_days = []", "task[2].horizons_days", "at least one");
    check(horizons, "horizons_days = [30]", "task[2].prevalence_public", "one for each");
    check("[0.04, 0.2]", "0.04", "task[2].prevalence_public", "as prevalence_public = [0.04, 0.04]");
    check("[0.04, 0.2]", "[0.07]", "task[2].prevalence_public", "as prevalence_public = [0.07, 0.07]");
    check(
        "[0.04, 0.2]",
        "[0.04, 0.1, 0.2]",
        "task[2].prevalence_public",
        "as prevalence_public = [0.04, 0.1]",
    );
    check("[0.04, 0.2]", "\"few\"", "task[2].prevalence_public", "as prevalence_public = [0.06, 0.06]");
    check("[0.04, 0.2]", "[0.04, 2.0]", "task[2].prevalence_public[2]", "0.9999");
    check(r#"name    = "readmission""#, r#"name = "self_harm""#, "task[2].name", "self_harm");
    check(r#"target  = "discharge""#, r#"target = "first_episode""#, "cohort.discharge", "that a task names");
    check(
        r#"target  = "discharge""#,
        r#"target = "discharges""#,
        "task[2].target",
        "did you mean discharge?",
    );
    let at_risk = "time_at_risk_start_day = 1\nprior_outcome          = \"keep\"\ninsufficient";
    let later = at_risk.replacen("= 1", "= 31", 1);
    check(at_risk, &later, "task[2].time_at_risk_start_day", "up to the first horizon, 30");
    let of_model = "[model]\nprevalence_public = 0.3";
    check("[model]", of_model, "model.prevalence_public", "write prevalence_public in each [[task]]");
    let many: Vec<String> = (0..20).map(|day| (30 + day).to_string()).collect();
    let many = format!("horizons_days = [{}]", many.join(", "));
    check(horizons, &many, "task[2].horizons_days", "at least one");
    // No window may know what the first to be asked about cannot.
    let none =
        "predict_after_hours     = 24\nmax_episodes_per_person = 1\n\n[[task]]\nname    = \"readmission\"";
    let without = none.replacen("predict_after_hours     = 24\n", "", 1);
    check(none, &without, "features.windows.first_day", "0 hours after the index");
}

/// Both say it, or neither can: which of two published shares is meant, no program guesses.
#[test]
fn one_prediction_has_one_published_share() {
    let twice = replaced(
        &OF_RECORDS,
        "horizons_days          = [365]",
        "prevalence_public = 0.1\nhorizons_days = [365]",
    );
    let mistakes = parse(twice.as_bytes()).expect_err("two shares").to_string();
    assert!(mistakes.contains("model.prevalence_public: expected one published share"), "{mistakes}");
    let once = replaced(&twice, "prevalence_public = 0.06", "#");
    assert_eq!(parsed(&once).predicted()[0].prevalence_public, Some(0.1));
    assert_eq!(parsed(&OF_RECORDS).predicted()[0].prevalence_public, Some(0.06));
}
