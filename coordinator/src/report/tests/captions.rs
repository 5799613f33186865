//! What stands under tables, in tiles and in plain words: on whom a figure is, and what is said where it is none.

use super::*;
use consilium_common::key::SecretKey;
use consilium_common::study::{RosterSite, fill, parse};

const OMOP: &str = include_str!("../../../../docs/studies/omop-selfharm.toml");

/// The sample with later examples held out, of which this is reported, and figures for each.
fn held_out(reported: &[Validation]) -> ReportData {
    let mut data = sample::report();
    let from = jiff::civil::date(2023, 10, 1);
    data.study.split.holdout = Some(Holdout { from, reported: reported.to_vec() });
    let of = Of::everybody(&data.study, &data.study.predicted()[0]);
    let (view, models) = (data.views[0].clone(), data.metrics.models.clone());
    data.views = of.iter().map(|of| View { of: of.clone(), ..view.clone() }).collect();
    let models_of = |of: &Option<Of>| {
        models.iter().map(|model| Model { of: of.clone(), ..model.clone() }).collect::<Vec<_>>()
    };
    data.metrics.models = of.iter().flat_map(models_of).collect();
    data
}

fn check(data: &ReportData, said: &[&str], never: &[&str]) {
    let html = html(data);
    check_well_formed(&html);
    for text in said {
        assert!(html.contains(text), "{text}");
    }
    for text in never {
        assert!(!html.contains(text), "{text}");
    }
}

#[test]
fn tables_say_whose_figures_they_are() {
    let earlier = "All on evaluation people of every site: people from before 2023-10-01, the time";
    let later = "All on evaluation people of every site: people from 2023-10-01 on, later than";
    let dashed = [
        "people together.",
        "people from before 2023-10-01 together.",
        "people from 2023-10-01 on together.",
    ]
    .map(|people| format!("The dashed line marks all {people}"));
    let [all, of_earlier, of_later] = dashed.each_ref().map(String::as_str);
    check(&sample::report(), &["All on evaluation people of every site. AUROC", all], &[earlier, later]);
    check(&held_out(&Validation::ALL), &[earlier, later, of_earlier], &[all, of_later]);
    let only = "Only people from 2023-10-01 on are counted, later than any";
    check(&held_out(&[Validation::Temporal]), &[later, of_later, only], &[earlier, all, of_earlier]);
    let only = "Only people from before 2023-10-01 are counted.";
    check(&held_out(&[Validation::Internal]), &[earlier, of_earlier, only], &[later, all, of_later]);
}

#[test]
fn a_tile_names_its_prediction_before_its_figure() {
    let data = held_out(&Validation::ALL);
    let task = data.study.tasks[0].name.replace('_', " ");
    let auroc = number::metric(data.metrics.models[0].auroc);
    let tile = format!("<dt>AUROC: {task}, internal validation</dt><dd><b>{auroc}</b> <span>0.");
    check(&data, &[&tile], &[]);
}

/// Flagged: a figure stands in the table with its interval, and nowhere in large print or plain words.
#[test]
fn a_figure_that_is_not_to_be_relied_on_is_not_put_forward() {
    let mut data = sample::report();
    data.metrics.models[0].too_few_people = true;
    let auroc = data.metrics.models[0].auroc.expect("the sample has one");
    let in_100 = format!("<strong>{:.0} times in 100</strong>", 100.0 * auroc);
    check(&sample::report(), &[&in_100], &["too few people to say</span>"]);
    check(
        &data,
        &[
            "<dt>AUROC</dt><dd><b>–</b> <span>too few people to say</span>",
            "There were too few people to say. So few were there to test it on",
            "Too few people to say with confidence.</strong> A subgroup with",
            "the other figures of the released model rest on the same few people",
            "<strong>too few people to say with confidence</strong></small>",
            &format!("{auroc:.3} ("),
        ],
        &["times in 100"],
    );
}

/// None at all: words and table agree, and no line marks it.
#[test]
fn a_figure_that_is_not_given_is_not_spoken_of() {
    let mut data = sample::report();
    let model = &mut data.metrics.models[0];
    model.too_few_people = true;
    (model.auroc, model.auroc_interval, model.auroc_standard_error) = (None, None, None);
    (model.auprc, model.brier, model.accuracy) = (None, None, None);
    (model.calibration_slope, model.calibration_in_the_large) = (None, None);
    check(
        &data,
        &["No figure of the released model is given", "<b>–</b> <span>too few people to say</span>"],
        &["dashed line marks", "would not be shown", "times in 100"],
    );
}

#[test]
fn weights_are_said_under_the_tables() {
    let site = |i: u8| RosterSite {
        name: format!("site-{i}").parse().expect("a name"),
        key: SecretKey::from_seed(&[i; 32]).public(),
        people_public: 2_000,
        weight: 1 << 16,
    };
    let filled = fill(OMOP, &[site(1), site(2), site(3)], None).expect("a template").text;
    let of = |text: &str| {
        let study = parse(text.as_bytes()).expect("a study");
        let mut data = sample::report();
        (data.study.data, data.study.tasks) = (study.data, study.tasks);
        subgroups::section(&data).into_string() + &results::section(&data).into_string()
    };
    let keeps = "insufficient_follow_up = \"keep-if-outcome\"";
    assert!(filled.contains(keeps));
    let curve = "insufficient_follow_up = \"ipcw\"\nfollowed_public = [{ day = 3650, share = 0.8 }]";
    let weighted = of(&filled.replacen(keeps, curve, 1));
    assert_eq!(weighted.matches("people are weighed: those who could be followed").count(), 2, "{weighted}");
    assert!(weighted.contains("“People” and “With the outcome” are sums of them, not heads."));
    assert!(!of(&filled).contains("weighed"));
}
