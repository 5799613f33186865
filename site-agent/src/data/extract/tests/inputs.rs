//! What becomes of a person's values, one person a line.

use super::edges::{ENTERED, OBSERVED, events};
use super::hand::*;
use crate::data::omop::{ConceptId, Person};
use consilium_common::study::records::*;
use consilium_common::study::{Attribute, AttributeValues, Encoding};

#[track_caller]
fn input(covariate: Covariate, encodings: &[Encoding], lines: &[&str], expected: &[f32]) {
    let mut records = records();
    records.covariates = vec![covariate; encodings.len()];
    let study = study(records, encodings);
    let lines: Vec<&str> = lines.iter().copied().chain([ENTERED]).collect();
    let answer = ask(&study, &born(1980, 3, 10), &periods(&OBSERVED), &events(&lines));
    assert_eq!(answer.inputs, expected, "{lines:?}");
}

/// 0 to 200, so that a value v is v / 100 − 1; missing is 0 with an input of its own.
const PULSE_RANGE: Encoding = Encoding::Number { low: 0.0, high: 200.0 };

#[test]
fn which_value() {
    #[track_caller]
    fn check(take: Take, lines: &[&str], expected: Option<f64>) {
        let lines: Vec<String> =
            lines.iter().map(|line| format!("measurement 30 {line} unit 8876")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let covariate = measured(Window::Days { from: -30, to: 0 }, take);
        let normal = Encoding::Distance { range: (0.0, 200.0), normal: (60.0, 100.0) };
        let number = expected.map_or([0.0, 1.0], |value| [(value / 100.0 - 1.0) as f32, 0.0]);
        let outside =
            expected.map_or(0.0, |value| ((60.0 - value).max(value - 100.0).max(0.0) / 100.0) as f32);
        input(covariate, &[PULSE_RANGE, normal], &lines, &[number[0], number[1], outside]);
    }
    use Take::*;
    for take in [Last, First, Min, Max, Mean, Worst] {
        check(take, &[], None);
        check(take, &["2015-02-01T09:00 value 80"], Some(80.0));
        check(take, &["2015-02-01T10:01 value 80"], None);
        check(take, &["2015-02-01 value 80"], None);
    }
    let some = [
        "2015-01-31T08:00 value 90",
        "2015-01-31 value 70",
        "2015-01-31T09:00 value 110",
        "2015-01-31T07:00 value 50",
    ];
    check(Last, &some, Some(70.0));
    check(First, &some, Some(50.0));
    check(Min, &some, Some(50.0));
    check(Max, &some, Some(110.0));
    check(Mean, &some, Some(80.0));
    // 50 and 110 are as far outside.
    check(Worst, &some, Some(110.0));
    let one_moment = ["2015-01-31T08:00 value 70", "2015-01-31T08:00 value 90", "2015-01-31T08:00 value 80"];
    check(Last, &one_moment, Some(90.0));
    check(First, &one_moment, Some(90.0));
    check(Worst, &one_moment, Some(90.0));
    check(Worst, &["2015-01-31T09:00 value 99", "2015-01-31T08:00 value 61"], Some(61.0));
    check(Worst, &["2015-01-31T09:00 value 59", "2015-01-31T08:00 value 61"], Some(59.0));
}

#[test]
fn which_values_count() {
    #[track_caller]
    fn check(change: fn(&mut Covariate), line: &str, expected: Option<f64>) {
        let mut covariate = measured(Window::Days { from: -30, to: 0 }, Take::Last);
        change(&mut covariate);
        let number = expected.map_or([0.0, 1.0], |value| [(value / 100.0 - 1.0) as f32, 0.0]);
        input(covariate, &[PULSE_RANGE], &[line], &number);
    }
    fn as_is(_: &mut Covariate) {}
    fn bare(covariate: &mut Covariate) {
        let Covariate::Measured { unit_missing, .. } = covariate else { panic!("measured") };
        *unit_missing = true;
    }
    fn within(covariate: &mut Covariate) {
        let Covariate::Measured { plausible, .. } = covariate else { panic!("measured") };
        *plausible = Some((20.0, 300.0));
    }
    check(as_is, "measurement 30 2015-01-20 value 80 unit 8876", Some(80.0));
    check(as_is, "measurement 30 2015-01-20 value 300 unit 8876", Some(200.0));
    check(as_is, "measurement 30 2015-01-20 value 80 unit 8753", None);
    check(as_is, "measurement 30 2015-01-20 value 80", None);
    check(as_is, "measurement 30 2015-01-20 unit 8876", None);
    check(as_is, "measurement 31 2015-01-20 value 80 unit 8876", None);
    check(bare, "measurement 30 2015-01-20 value 80", Some(80.0));
    check(bare, "measurement 30 2015-01-20 value 80 unit 8753", None);
    check(within, "measurement 30 2015-01-20 value 20 unit 8876", Some(20.0));
    check(within, "measurement 30 2015-01-20 value 19.9 unit 8876", None);
    check(within, "measurement 30 2015-01-20 value 300.1 unit 8876", None);
}

#[test]
fn flags_counts_ages_and_sexes() {
    let events = condition(OUTCOME);
    let window = Window::Days { from: -30, to: -1 };
    let two = ["condition 20 2015-01-02", "condition 20 2015-01-31T23:59", "condition 20 2015-02-01T09:00"];
    input(Covariate::Present { events, window }, &[Encoding::Flag], &two, &[1.0]);
    input(Covariate::Present { events, window }, &[Encoding::Flag], &two[2..], &[0.0]);
    let log = (3.0_f64.ln() / 4.0_f64.ln()) as f32;
    input(Covariate::Count { events, window }, &[Encoding::Count { cap: 3 }], &two, &[log]);
    input(Covariate::Count { events, window }, &[Encoding::Count { cap: 3 }], &[], &[0.0]);
    input(Covariate::Age, &[Encoding::Number { low: 0.0, high: 68.0 }], &[], &[0.0, 0.0]);
    let levels = || Encoding::Category { levels: vec!["male".to_owned(), "female".to_owned()] };
    input(Covariate::Sex { levels: vec![vec![8507], vec![1, 8532]] }, &[levels()], &[], &[1.0, 0.0]);
    input(Covariate::Sex { levels: vec![vec![8507], vec![8521]] }, &[levels()], &[], &[0.0, 1.0]);
}

#[test]
fn subgroups() {
    #[track_caller]
    fn check(person: Person, expected: [u16; 2]) {
        let mut records = records();
        records.attributes =
            vec![vec![PersonField::Race, PersonField::Ethnicity], vec![PersonField::YearOfBirth]];
        let mut study = study(records, &[]);
        let groups = vec![(vec![8515], "Asian".to_owned()), (vec![8527], "White".to_owned())];
        let attribute = |name: &str, values| Attribute { name: name.to_owned(), values };
        study.attributes = vec![
            attribute("ethnicity", AttributeValues::Concepts(groups)),
            attribute("age_band", AttributeValues::Bands(vec![18.0, 35.0, 65.0])),
        ];
        let answer = ask(&study, &person, &periods(&OBSERVED), &events(&[ENTERED]));
        assert_eq!(answer.groups, expected);
    }
    let person = born(1980, 3, 10);
    let of = |concept| ConceptId(concept);
    check(person, [3, 0]);
    check(Person { race: of(8527), birth_year: Some(1979), ..person }, [1, 1]);
    check(Person { race: of(8527), ethnicity: of(8515), ..person }, [2, 0]);
    check(Person { ethnicity: of(8515), birth_year: None, ..person }, [0, 2]);
    check(Person { birth_year: Some(2020), ..person }, [3, 2]);
}

/// Every five minutes for most of a year, as a monitor writes them.
#[test]
fn one_person_with_a_hundred_thousand_events() {
    let start = jiff::civil::datetime(2014, 1, 1, 0, 0, 0, 0);
    let line = |i: i64| {
        let time = start + jiff::SignedDuration::from_mins(5 * i);
        format!("measurement 30 {} value {} unit 8876", time.strftime("%Y-%m-%dT%H:%M"), 50 + i % 100)
    };
    let lines: Vec<String> = (0..100_000).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let window = Window::Days { from: -400, to: 0 };
    for (take, expected) in
        [(Take::First, 50.0), (Take::Last, 149.0), (Take::Min, 50.0), (Take::Max, 149.0), (Take::Mean, 99.5)]
    {
        let number = (expected / 100.0_f64 - 1.0) as f32;
        input(measured(window, take), &[PULSE_RANGE], &lines, &[number, 0.0]);
    }
}

#[test]
fn the_day_before_the_first_of_march() {
    let covariate =
        Covariate::Present { events: condition(OUTCOME), window: Window::Days { from: -1, to: -1 } };
    for (index, day, expected) in [
        ("2016-03-01", "2016-02-29", 1.0),
        ("2016-03-01", "2016-02-28", 0.0),
        ("2015-03-01", "2015-02-28", 1.0),
        ("2016-02-29", "2016-02-28", 1.0),
    ] {
        let mut records = records();
        records.accrual = (jiff::civil::date(2015, 1, 1), jiff::civil::date(2016, 12, 31));
        records.covariates = vec![covariate.clone()];
        let study = study(records, &[Encoding::Flag]);
        let lines = [format!("condition 10 {index}T10:00"), format!("condition 20 {day}T10:00")];
        let lines = lines.each_ref().map(String::as_str);
        let observed = periods(&[("2014-01-01", "2017-12-31")]);
        let answer = ask(&study, &born(1980, 3, 10), &observed, &events(&lines));
        assert_eq!(answer.inputs, [expected], "{index}, {day}");
    }
}
