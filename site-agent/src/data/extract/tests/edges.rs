//! Each rule of `study::records` at its edges, one person a line.

use super::super::outcome::Found;
use super::hand::*;
use crate::data::omop::Event;
use consilium_common::study::records::*;

pub(super) fn events(lines: &[&str]) -> Vec<Event> {
    lines.iter().map(|line| event(line)).collect()
}

/// Observed from 2014 to the middle of 2016.
pub(super) const OBSERVED: [(&str, &str); 1] = [("2014-01-01", "2016-06-30")];

#[track_caller]
fn index(records: Records, observed: &[(&str, &str)], lines: &[&str], expected: Option<&str>) {
    let study = study(records, &[]);
    let answer = ask(&study, &born(1980, 3, 10), &periods(observed), &events(lines));
    assert_eq!(answer.index.as_deref(), expected, "{lines:?}");
}

#[test]
fn which_entry_event() {
    #[track_caller]
    fn check(limit: Limit, anchor: Anchor, lines: &[&str], expected: Option<&str>) {
        let mut records = records();
        records.tasks[0].cohort.limit = limit;
        records.tasks[0].cohort.index = anchor;
        index(records, &OBSERVED, lines, expected);
    }
    use {Anchor::*, Limit::*};
    check(FirstEver, Start, &[], None);
    check(FirstEver, Start, &["condition 11 2015-02-01T10:00"], None);
    check(FirstEver, Start, &["measurement 10 2015-02-01T10:00"], None);
    check(FirstEver, Start, &["condition 10 2015-02-01T10:00"], Some("2015-02-01T10:00:00"));
    check(FirstEver, Start, &["condition 10 2015-01-01T00:00"], Some("2015-01-01T00:00:00"));
    check(FirstEver, Start, &["condition 10 2015-12-31"], Some("2015-12-31T23:59:59.999999"));
    check(FirstEver, Start, &["condition 10 2016-01-01T00:00"], None);
    // A first one before accrual, also one before observation, ends it for first-ever.
    let two = ["condition 10 2013-02-01", "condition 10 2015-02-01T10:00"];
    check(FirstEver, Start, &two, None);
    check(FirstInAccrual, Start, &two, Some("2015-02-01T10:00:00"));
    // Of two on one day, one with a time comes first where a date is the end of its day.
    let day = ["condition 10 2015-02-01", "condition 10 2015-02-01T10:00", "condition 10 2015-02-01T09:00"];
    check(FirstEver, Start, &day, Some("2015-02-01T09:00:00"));
    // At one moment the one that ends first; without an end it ends where it starts.
    let ends =
        ["condition 10 2015-02-01T10:00 to 2015-02-03", "condition 10 2015-02-01T10:00 to 2015-02-02T08:00"];
    check(FirstEver, End, &ends, Some("2015-02-02T08:00:00"));
    check(FirstEver, End, &[ends[0], ends[1], "condition 10 2015-02-01T10:00"], Some("2015-02-01T10:00:00"));
    // The first to start, not the first to end.
    let nested = [
        "condition 10 2015-02-01T10:00 to 2015-02-09T10:00",
        "condition 10 2015-02-02T10:00 to 2015-02-03T10:00",
    ];
    check(FirstEver, End, &nested, Some("2015-02-09T10:00:00"));
    // Where only the end lies in accrual.
    check(
        FirstEver,
        End,
        &["condition 10 2014-12-30T10:00 to 2015-01-01T10:00"],
        Some("2015-01-01T10:00:00"),
    );
    check(FirstEver, End, &["condition 10 2015-12-31T10:00 to 2016-01-01T00:00"], None);
}

#[test]
fn dates_without_a_time() {
    #[track_caller]
    fn check(date_only: DateOnly, anchor: Anchor, line: &str, expected: &str) {
        let mut records = records();
        records.date_only = date_only;
        records.tasks[0].cohort.index = anchor;
        index(records, &OBSERVED, &[line], Some(expected));
    }
    use Anchor::*;
    check(DateOnly::Start, Start, "condition 10 2015-02-01", "2015-02-01T00:00:00");
    check(DateOnly::End, Start, "condition 10 2015-02-01", "2015-02-01T23:59:59.999999");
    check(DateOnly::Start, End, "condition 10 2015-02-01T10:00 to 2015-02-01", "2015-02-01T10:00:00");
    check(DateOnly::End, End, "condition 10 2015-02-01T10:00 to 2015-02-01", "2015-02-01T23:59:59.999999");
    check(DateOnly::End, End, "condition 10 2015-02-01 to 2015-02-01T10:00", "2015-02-01T23:59:59.999999");
    check(DateOnly::Start, End, "condition 10 2015-02-01 to 2015-02-01T10:00", "2015-02-01T10:00:00");
}

#[test]
fn prior_observation() {
    #[track_caller]
    fn check(days: u32, observed: &[(&str, &str)], met: bool) {
        let mut records = records();
        records.tasks[0].cohort.prior_observation_days = days;
        index(records, observed, &["condition 10 2015-02-01T10:00"], met.then_some("2015-02-01T10:00:00"));
    }
    check(0, &[], false);
    check(0, &[("2015-02-01", "2015-02-01")], true);
    check(0, &[("2015-02-02", "2015-02-03"), ("2015-01-01", "2015-01-31")], false);
    check(0, &[("2015-01-01", "2015-01-31")], false);
    check(31, &[("2015-01-01", "2015-12-31")], true);
    check(32, &[("2015-01-01", "2015-12-31")], false);
    // Periods that overlap or touch are one; a gap of a day is a gap.
    check(31, &[("2015-01-01", "2015-01-20"), ("2015-01-10", "2015-03-01")], true);
    check(31, &[("2015-01-01", "2015-01-20"), ("2015-01-21", "2015-03-01")], true);
    check(31, &[("2015-01-01", "2015-01-20"), ("2015-01-22", "2015-03-01")], false);
    check(31, &[("2014-01-01", "2015-03-01"), ("2015-01-20", "2015-01-25")], true);
}

#[test]
fn rules() {
    #[track_caller]
    fn check(rule: Rule, after_hours: u32, lines: &[&str], required: bool) {
        for wanted in [true, false] {
            let mut records = records();
            records.tasks[0].cohort.predict_after_hours = after_hours;
            let rules = if wanted {
                &mut records.tasks[0].cohort.require
            } else {
                &mut records.tasks[0].cohort.exclude
            };
            rules.push(rule.clone());
            let entry = "condition 10 2015-02-01T10:00 to 2015-02-02T12:00";
            let lines: Vec<&str> = lines.iter().copied().chain([entry]).collect();
            let met = (required == wanted).then_some("2015-02-01T10:00:00");
            index(records, &OBSERVED, &lines, met);
        }
    }
    let age = |min, max| Rule::Age { min, max };
    check(age(34, 34), 0, &[], true);
    check(age(0, 33), 0, &[], false);
    check(age(35, 99), 0, &[], false);

    check(Rule::DiedBefore, 0, &["death 0 2015-02-01"], true);
    check(Rule::DiedBefore, 0, &["death 0 2015-02-01T10:00"], true);
    check(Rule::DiedBefore, 0, &["death 0 2015-02-01T10:01"], false);
    check(Rule::DiedBefore, 14, &["death 0 2015-02-02"], true);
    check(Rule::DiedBefore, 13, &["death 0 2015-02-02"], false);
    check(Rule::DiedBefore, 0, &["death 0 2015-02-09", "death 0 2014-02-01"], true);

    check(Rule::StillThere, 25, &[], true);
    check(Rule::StillThere, 26, &[], false);

    let has = |window, count_min| Rule::Has {
        events: of(RecordTable::Measurement, Some(PULSE)),
        window,
        count_min,
    };
    let month = Window::Days { from: -30, to: 0 };
    check(has(month, 1), 0, &["measurement 30 2015-01-02"], true);
    check(has(month, 1), 0, &["measurement 30 2015-01-01T23:59"], false);
    check(has(month, 2), 0, &["measurement 30 2015-01-02"], false);
    check(has(month, 2), 0, &["measurement 30 2015-01-02", "measurement 30 2015-01-02"], true);
    check(has(month, 1), 0, &["measurement 31 2015-01-02"], false);
    // The day of the index, up to the prediction time.
    check(has(month, 1), 0, &["measurement 30 2015-02-01T10:00"], true);
    check(has(month, 1), 0, &["measurement 30 2015-02-01T10:01"], false);
    check(has(month, 1), 0, &["measurement 30 2015-02-01"], false);
    check(has(month, 1), 1, &["measurement 30 2015-02-01T10:01"], true);
    check(has(month, 1), 24, &["measurement 30 2015-02-02T00:00"], false);
    let day = Window::Hours { from: 0, to: 24 };
    check(has(day, 1), 24, &["measurement 30 2015-02-01T10:00"], true);
    check(has(day, 1), 24, &["measurement 30 2015-02-01T09:59"], false);
    check(has(day, 1), 24, &["measurement 30 2015-02-02T10:00"], true);
    check(has(day, 1), 24, &["measurement 30 2015-02-02T10:00:00.000001"], false);
    check(has(day, 1), 24, &["measurement 30 2015-02-02"], false);
    check(has(day, 1), 24, &["measurement 30 2015-02-01"], true);
    check(has(Window::Hours { from: -24, to: -1 }, 1), 0, &["measurement 30 2015-02-01T09:00"], true);
    check(has(Window::Hours { from: -24, to: -1 }, 1), 0, &["measurement 30 2015-02-01T09:30"], false);
}

#[test]
fn without_an_end_one_is_still_there() {
    let mut records = records();
    records.tasks[0].cohort.predict_after_hours = 8760;
    records.tasks[0].cohort.require = vec![Rule::StillThere];
    index(records, &OBSERVED, &["condition 10 2015-02-01T10:00"], Some("2015-02-01T10:00:00"));
}

#[test]
fn the_first_that_meets_every_rule() {
    let mut records = records();
    records.tasks[0].cohort.prior_observation_days = 100;
    records.tasks[0].cohort.require = vec![Rule::Has {
        events: of(RecordTable::Measurement, None),
        window: Window::Days { from: -1, to: 0 },
        count_min: 1,
    }];
    let lines = [
        "condition 10 2015-01-05T10:00",
        "condition 10 2015-06-05T10:00",
        "measurement 9 2015-06-04",
        "condition 10 2015-06-05T12:00",
    ];
    let observed = [("2015-01-01", "2016-01-01")];
    index(records.clone(), &observed, &lines, Some("2015-06-05T10:00:00"));
    records.tasks[0].cohort.limit = Limit::FirstEver;
    index(records, &observed, &lines, None);
}

#[test]
fn how_far_people_came() {
    #[track_caller]
    fn check(lines: &[&str], expected: usize) {
        let mut records = records();
        records.tasks[0].cohort.require = vec![Rule::Age { min: 18, max: 99 }];
        records.tasks[0].cohort.exclude = vec![Rule::DiedBefore];
        let study = study(records, &[]);
        let observed = periods(&[("2015-02-01", "2016-01-01")]);
        assert_eq!(ask(&study, &born(1980, 3, 10), &observed, &events(lines)).depth, expected, "{lines:?}");
    }
    check(&[], 0);
    check(&["condition 10 2014-01-05"], 1);
    check(&["condition 10 2015-01-05"], 2);
    check(&["condition 10 2015-02-05", "death 0 2015-02-02"], 4);
    check(&["condition 10 2014-01-05", "condition 10 2015-02-05"], 5);
}

#[track_caller]
fn outcome(records: &Records, observed: &[(&str, &str)], lines: &[&str], expected: Found) {
    let study = study(records.clone(), &[]);
    let answer = ask(&study, &born(1980, 3, 10), &periods(observed), &events(lines));
    assert!(answer.found == Some(expected), "{lines:?}: {}", said(answer.found));
}

fn said(found: Option<Found>) -> &'static str {
    match found {
        None => "not asked about",
        Some(Found::NothingAtRisk) => "nothing at risk",
        Some(Found::Before) => "before",
        Some(Found::Lost) => "short follow-up",
        Some(Found::Known(true)) => "happened",
        Some(Found::Known(false)) => "did not happen",
    }
}

pub(super) const ENTERED: &str = "condition 10 2015-02-01T10:00";

#[test]
fn days_at_risk() {
    use Found::*;
    let records = records();
    let check = |line: &str, expected| outcome(&records, &OBSERVED, &[ENTERED, line], expected);
    check("condition 20 2015-01-31", Known(false));
    // On the same day it is a predictor, whatever the time.
    check("condition 20 2015-02-01T23:59", Known(false));
    check("condition 20 2015-02-01", Known(false));
    check("condition 20 2015-02-02T00:00", Known(true));
    check("condition 20 2015-02-02", Known(true));
    check("condition 20 2015-03-03T23:59", Known(true));
    check("condition 20 2015-03-04T00:00", Known(false));
    check("condition 21 2015-02-02", Known(false));
    check("measurement 20 2015-02-02", Known(false));
    // Days count from the day of the prediction time.
    let mut later = records.clone();
    later.tasks[0].cohort.predict_after_hours = 14;
    outcome(&later, &OBSERVED, &[ENTERED, "condition 20 2015-02-02"], Known(false));
    outcome(&later, &OBSERVED, &[ENTERED, "condition 20 2015-03-04"], Known(true));
}

#[test]
fn prior_outcomes() {
    use Found::*;
    #[track_caller]
    fn check(date_only: DateOnly, line: &str, expected: Found) {
        let mut records = records();
        records.date_only = date_only;
        records.tasks[0].outcome.prior = PriorOutcome::Remove;
        outcome(&records, &OBSERVED, &[ENTERED, line], expected);
        records.tasks[0].outcome.prior = PriorOutcome::Keep;
        outcome(&records, &OBSERVED, &[ENTERED, line], Known(expected == Known(true)));
    }
    check(DateOnly::End, "condition 20 1999-01-01", Before);
    check(DateOnly::End, "condition 20 2015-02-01T10:00", Before);
    check(DateOnly::End, "condition 20 2015-02-01T10:01", Known(false));
    check(DateOnly::End, "condition 20 2015-02-01", Known(false));
    check(DateOnly::Start, "condition 20 2015-02-01", Before);
    check(DateOnly::End, "condition 20 2015-02-02", Known(true));
}

#[test]
fn follow_up() {
    use Found::*;
    use ShortFollowUp::*;
    #[track_caller]
    fn check(short: ShortFollowUp, observed_to: &str, lines: &[&str], expected: Found) {
        let mut records = records();
        records.tasks[0].outcome.short_follow_up = short;
        let lines: Vec<&str> = lines.iter().copied().chain([ENTERED]).collect();
        outcome(&records, &[("2014-01-01", observed_to)], &lines, expected);
    }
    check(Drop, "2015-03-03", &[], Known(false));
    check(Drop, "2015-03-02", &[], Lost);
    check(KeepIfOutcome, "2015-03-02", &[], Lost);
    let happened = ["condition 20 2015-02-10"];
    check(Drop, "2015-03-03", &happened, Known(true));
    check(Drop, "2015-03-02", &happened, Lost);
    check(KeepIfOutcome, "2015-03-02", &happened, Known(true));
    check(KeepIfOutcome, "2015-02-10", &happened, Known(true));
    // What is recorded after observation ended is not known of.
    check(KeepIfOutcome, "2015-02-09", &happened, Lost);
    // Nobody is followed for longer than the study says.
    let mut records = records();
    records.followup_to = jiff::civil::date(2015, 3, 2);
    outcome(&records, &OBSERVED, &[ENTERED], Lost);
    records.followup_to = jiff::civil::date(2015, 3, 3);
    outcome(&records, &OBSERVED, &[ENTERED], Known(false));
    // A second stretch of observation is another one.
    let gap = [("2014-01-01", "2015-02-20"), ("2015-02-22", "2016-01-01")];
    outcome(&records, &gap, &[ENTERED], Lost);
    outcome(
        &records,
        &[("2014-01-01", "2015-02-20"), ("2015-02-21", "2016-01-01")],
        &[ENTERED],
        Known(false),
    );
}

/// Who is known counts for those like them who were lost, by published shares.
#[test]
fn weights() {
    #[track_caller]
    fn check(death: Death, observed_to: &str, lines: &[&str], expected: Option<f32>) {
        let mut records = records();
        let points = vec![(10, 0.8), (30, 0.4)];
        records.tasks[0].outcome.short_follow_up = ShortFollowUp::Weighted(Followed { points });
        records.tasks[0].outcome.death = death;
        let study = study(records, &[]);
        let lines: Vec<&str> = lines.iter().copied().chain([ENTERED]).collect();
        let observed = periods(&[("2014-01-01", observed_to)]);
        let answer = ask(&study, &born(1980, 3, 10), &observed, &events(&lines));
        let known = matches!(answer.found, Some(Found::Known(_)));
        assert_eq!(known, expected.is_some(), "{lines:?}: {}", said(answer.found));
        let weight = expected.unwrap_or(1.0);
        assert!((answer.weight - weight).abs() < 1e-6, "{lines:?}: {} for {weight}", answer.weight);
    }
    // Day 0 is 2015-02-01, day 30 is 2015-03-03.
    check(Death::Competing, "2015-12-31", &[], Some(1.0));
    check(Death::Competing, "2015-03-02", &[], None);
    // The shares are 0.9 on day 5, 0.8 on day 10, 0.6 on day 20.
    check(Death::Competing, "2015-12-31", &["condition 20 2015-02-06"], Some(0.4 / 0.9));
    check(Death::Competing, "2015-02-06", &["condition 20 2015-02-06"], Some(0.4 / 0.9));
    check(Death::Competing, "2015-12-31", &["condition 20 2015-02-11"], Some(0.5));
    check(Death::Competing, "2015-12-31", &["condition 20 2015-02-21"], Some(0.4 / 0.6));
    check(Death::Competing, "2015-12-31", &["condition 20 2015-03-03"], Some(1.0));
    // The first of two; an outcome after the horizon is none.
    check(Death::Competing, "2015-12-31", &["condition 20 2015-02-21", "condition 20 2015-02-11"], Some(0.5));
    check(Death::Competing, "2015-12-31", &["condition 20 2015-03-04"], Some(1.0));
    check(Death::Competing, "2015-02-11", &["death 0 2015-02-11"], Some(0.5));
    check(Death::Censoring, "2015-02-11", &["death 0 2015-02-11"], None);
    check(Death::Competing, "2015-12-31", &["death 0 2015-03-20"], Some(1.0));
}

#[test]
fn deaths() {
    use Death::*;
    use Found::*;
    #[track_caller]
    fn check(death: Death, observed_to: &str, lines: &[&str], drop: Found, keep: Found) {
        for (short, expected) in [(ShortFollowUp::Drop, drop), (ShortFollowUp::KeepIfOutcome, keep)] {
            let mut records = records();
            records.tasks[0].outcome.death = death;
            records.tasks[0].outcome.short_follow_up = short;
            let lines: Vec<&str> = lines.iter().copied().chain([ENTERED]).collect();
            outcome(&records, &[("2014-01-01", observed_to)], &lines, expected);
        }
    }
    let died = ["death 0 2015-02-10"];
    check(Competing, "2015-12-31", &died, Known(false), Known(false));
    check(Competing, "2015-02-10", &died, Known(false), Known(false));
    check(Competing, "2015-02-09", &died, Lost, Lost);
    check(Censoring, "2015-12-31", &died, Lost, Lost);
    check(Censoring, "2015-12-31", &["death 0 2015-03-03"], Known(false), Known(false));
    check(Censoring, "2015-12-31", &["death 0 2015-03-02"], Lost, Lost);
    // On the day of the index.
    check(Competing, "2015-12-31", &["death 0 2015-02-01"], Known(false), Known(false));
    check(Censoring, "2015-12-31", &["death 0 2015-02-01"], Lost, Lost);
    // An outcome before a death counts, also on its day; none after it.
    let both = ["death 0 2015-02-10", "condition 20 2015-02-10"];
    check(Competing, "2015-02-10", &both, Known(true), Known(true));
    check(Censoring, "2015-12-31", &both, Lost, Known(true));
    let after = ["death 0 2015-02-10", "condition 20 2015-02-11"];
    check(Competing, "2015-12-31", &after, Known(false), Known(false));
    check(Censoring, "2015-12-31", &after, Lost, Lost);
    // The first of two deaths.
    check(
        Competing,
        "2015-12-31",
        &["death 0 2015-02-10", "death 0 2015-02-12", "condition 20 2015-02-11"],
        Known(false),
        Known(false),
    );
}

#[test]
fn death_as_the_outcome() {
    use Found::*;
    for death in [Death::Competing, Death::Censoring] {
        for short in [ShortFollowUp::Drop, ShortFollowUp::KeepIfOutcome] {
            let mut records = records();
            records.tasks[0].outcome.any_of = vec![of(RecordTable::Death, None)];
            records.tasks[0].outcome.death = death;
            records.tasks[0].outcome.short_follow_up = short;
            let check = |line: &str, observed_to: &str, expected| {
                outcome(&records, &[("2014-01-01", observed_to)], &[ENTERED, line], expected);
            };
            check("death 0 2015-02-10", "2015-12-31", Known(true));
            check("death 0 2015-02-10", "2015-02-10", Known(true));
            check("death 0 2015-02-10", "2015-02-09", Lost);
            check("death 0 2015-03-04", "2015-12-31", Known(false));
            // It never reads as survival.
            check("death 0 2015-02-01T15:00", "2015-12-31", Lost);
            check("death 0 2015-02-01", "2015-12-31", Lost);
        }
    }
}

#[test]
fn stays() {
    use Found::*;
    #[track_caller]
    fn check(outcome_in: &str, lines: &[&str], expected: Found) {
        let mut records = records();
        records.tasks[0].cohort.entry =
            vec![of(RecordTable::VisitDetail, Some(ENTRY)), of(RecordTable::Visit, Some(ENTRY))];
        records.tasks[0].cohort.predict_after_hours = 24;
        records.tasks[0].outcome.at_risk = AtRisk::Stay;
        records.tasks[0].outcome.any_of = vec![condition(OUTCOME), of(RecordTable::Death, None)];
        let lines: Vec<&str> =
            lines.iter().copied().chain([outcome_in]).filter(|line| !line.is_empty()).collect();
        outcome(&records, &OBSERVED, &lines, expected);
    }
    let icu = "detail 10 2015-02-01T10:00 to 2015-02-03T10:00 in 7";
    let stay = "visit 99 2015-01-20T10:00 to 2015-02-05T10:00 in 7";
    let timed = [icu, stay];
    check("", &timed, Known(false));
    check("condition 20 2015-02-02T10:00", &timed, Known(false));
    check("condition 20 2015-02-02T10:01", &timed, Known(true));
    check("condition 20 2015-02-02", &timed, Known(true));
    check("condition 20 2015-02-01", &timed, Known(false));
    check("condition 20 2015-02-05T10:00", &timed, Known(true));
    check("condition 20 2015-02-05T10:01", &timed, Known(false));
    check("condition 20 2015-02-05", &timed, Known(true));
    check("condition 20 2015-02-06", &timed, Known(false));
    check("death 0 2015-02-04", &timed, Known(true));
    check("death 0 2015-02-05", &timed, Known(true));
    check("death 0 2015-02-05T10:00", &timed, Known(true));
    check("death 0 2015-02-05T10:01", &timed, Known(false));
    check("death 0 2015-02-06", &timed, Known(false));
    check("death 0 2015-02-02T09:00", &timed, Lost);
    // An end that is only dated lasts for its day.
    let dated = [icu, "visit 99 2015-01-20 to 2015-02-05 in 7"];
    check("condition 20 2015-02-05T23:00", &dated, Known(true));
    check("condition 20 2015-02-06T00:00", &dated, Known(false));
    // No stay, another person's words for it, or over before the prediction time.
    check("", &["detail 10 2015-02-01T10:00 to 2015-02-03T10:00", stay], NothingAtRisk);
    check("", &["detail 10 2015-02-01T10:00 in 8", stay], NothingAtRisk);
    check("", &[icu, "visit 99 2015-01-20T10:00 to 2015-02-02T10:00 in 7"], NothingAtRisk);
    check("", &[icu, "visit 99 2015-01-20 to 2015-02-02 in 7"], Known(false));
    check("", &[icu, "visit 99 2015-01-20 to 2015-02-01 in 7"], NothingAtRisk);
    // Not over: who died is known, others are not.
    let open = [icu, "visit 99 2015-01-20 in 7"];
    check("", &open, Lost);
    check("condition 20 2015-02-04", &open, Lost);
    check("death 0 2015-02-04", &open, Known(true));
    // The entry event is the stay.
    check(
        "condition 20 2015-02-03",
        &["visit 10 2015-02-01T10:00 to 2015-02-03T10:00 in 7", stay],
        Known(true),
    );
    check(
        "condition 20 2015-02-04",
        &["visit 10 2015-02-01T10:00 to 2015-02-03T10:00 in 7", stay],
        Known(false),
    );
}
