use super::super::describe;
use super::words::window;
use crate::study::parse::records::tests::OF_RECORDS;
use crate::study::parse::tests::parsed;
use crate::study::records::{WINDOW_DAYS_MAX, Window};

#[test]
fn windows() {
    fn days(from: i32, to: i32, expected: &str) {
        assert_eq!(window(&Window::Days { from, to }), expected);
    }
    fn hours(from: i32, to: i32, expected: &str) {
        assert_eq!(window(&Window::Hours { from, to }), expected);
    }
    days(-30, 0, "in the 30 days before the index and on its day");
    days(-1, 0, "in the 1 day before the index and on its day");
    days(0, 0, "on the day of the index");
    days(-7, -7, "on the day 7 days before the index");
    days(-365, -31, "from 365 to 31 days before the index");
    days(-WINDOW_DAYS_MAX, 0, "ever before the index and on its day");
    days(-WINDOW_DAYS_MAX, -1, "ever until 1 day before the index");
    hours(0, 24, "from the index to 24 hours after it");
    hours(-24, 0, "in the 24 hours before the index");
    hours(-24, 24, "from 24 hours before to 24 hours after the index");
    hours(6, 24, "from 6 to 24 hours after the index");
    hours(-24, -6, "from 24 to 6 hours before the index");
    hours(0, 0, "at the index");
    hours(6, 6, "6 hours after the index");
    hours(-1, -1, "1 hour before the index");
}

/// The section about the hospital's records as it is printed, but for the model's line.
fn read_at_the_hospital(text: &str) -> String {
    let text = describe(&parsed(text));
    let start = text.find("What is read at the hospital\n").expect("the heading");
    let end = start + text[start..].find("  Model: ").expect("the model");
    text[start..end].to_owned()
}

#[test]
fn the_example_in_plain_words() {
    let expected = include_str!("../../testdata/records.txt");
    let said = read_at_the_hospital(&OF_RECORDS);
    assert_eq!(said, expected, "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
}

#[test]
fn what_else_is_said() {
    fn check(edits: &[(&str, &str)], expected: &str) {
        let text = edits.iter().fold(OF_RECORDS.clone(), |text, (from, to)| {
            assert!(text.contains(from), "{from:?} is in the text");
            text.replacen(from, to, 1)
        });
        let words = read_at_the_hospital(&text).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(expected), "{expected:?} in\n{words}");
    }
    // The time at risk of late people reaches beyond the study's end.
    let late = ("followup_to    = 2026-06-30", "followup_to = 2025-06-30");
    check(
        &[late],
        "nobody with an index after 2024-06-29 can be followed to the end of the time at risk: of them only those with the \
         outcome or who died are kept",
    );
    // What a death settles, for each of the three.
    let (drop, censoring) = (("\"keep-if-outcome\"", "\"drop\""), ("\"competing\"  ", "\"censoring\"  "));
    let weights = ("\"keep-if-outcome\"", "\"ipcw\"\nfollowed_public = [{ day = 365, share = 0.8 }]");
    let competing = "a death before it means that it did not happen; who is observed neither to the end of that time nor \
                     to their death is left out, ";
    let ends = "a death before the end of that time ends the observation; who is not observed to the end of it is left out, ";
    let (even, unless) = ("even if it happened before Mind:", "unless it happened before Mind:");
    let others = "unless it happened before, and others count for them";
    for (edits, said, end, kept) in [
        (&[late][..], competing, unless, "of them only those with the outcome or who died are kept"),
        (&[late, drop], competing, even, "of them only those who died are kept"),
        (&[late, weights], competing, others, "of them only those with the outcome or who died are kept"),
        (&[late, censoring], ends, unless, "of them only those with the outcome are kept"),
        (&[late, censoring, drop], ends, even, ": they are left out"),
        (&[late, censoring, weights], ends, others, "of them only those with the outcome are kept"),
    ] {
        check(edits, &format!("{said}{end}"));
        check(edits, kept);
    }
    let curve = "\"ipcw\"\nfollowed_public = [{ day = 30, share = 0.985 }, { day = 365, share = 0.8 }]";
    check(
        &[("\"keep-if-outcome\"", curve)],
        "count for them: as published, 98.5 % on day 30 and 80 % on day 365 are still observed",
    );
    check(
        &[("prior_observation_days = 365", "prior_observation_days = 0")],
        "observed on the day of the index",
    );
    check(&[("require = [", "require = [{ still_there = true },")], "people still there");
    check(&[("at_least = 1", "at_least = 3")], "at least 3 records of visit inpatient in the 365 days");
    check(&[("max = 65", "max = 130")], "people aged 18 or more");
    check(
        &[("unit_missing = \"drop\"", "unit_missing = \"accept\"")],
        "but for heart_rate, where none means that unit",
    );
    let stay = [
        ("\"suicide_attempt\" }] }", "\"suicide_attempt\" }, { event = \"death\" }], until = \"stay-end\" }"),
        ("horizons_days          = [365] ", ""),
        ("time_at_risk_start_day = 1 ", ""),
    ];
    check(&stay, "or death after the prediction, until the end of that hospital stay");
    // A death that is itself the outcome competes with none.
    check(&stay, "unless it happened before Predictor:");
}
