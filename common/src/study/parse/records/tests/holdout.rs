//! `split.holdout` and `split.report`: one slip in each, and what a study with them releases.

use super::{OF_RECORDS, check as check_slips, parsed, replaced};
use crate::evaluation::histogram::{PERSON_UNITS, count, groupings};
use crate::examples::{Example, Examples};
use crate::study::parse::tests::EXAMPLE;
use crate::study::{Holdout, Study, Validation, earmarks, parse, predict};
use jiff::civil::date;

/// What `docs/STUDY-FILE.md` prints.
const SPLIT: &str = r#"[split]
by             = "person"
internal       = { type = "site-hash" }
training_share = 0.7
holdout        = { type = "time", from = 2023-01-01, of = "evaluation-people" }
report         = ["internal", "temporal"]
"#;
const SHARE: &str = "training_share = 0.7";
const HOLDOUT: &str = r#"holdout = { type = "time", from = 2023-01-01, of = "evaluation-people" }"#;
const REPORT: &str = r#"report = ["internal", "temporal"]"#;

/// The example on records with this in its `[split]`.
fn with(keys: &[&str]) -> String {
    replaced(&OF_RECORDS, SHARE, &format!("{}\n{SHARE}", keys.join("\n")))
}

#[test]
fn the_guide_prints_a_split_by_time() {
    let guide = include_str!("../../../../../../docs/STUDY-FILE.md");
    assert!(guide.contains(&format!("```toml\n{SPLIT}```")));
    let (from, to) = (OF_RECORDS.find("[split]"), OF_RECORDS.find("[model]"));
    let (from, to) = (from.expect("is in the text"), to.expect("is in the text"));
    let text = format!("{}{SPLIT}\n{}", &OF_RECORDS[..from], &OF_RECORDS[to..]);
    assert_eq!(parsed(&text).split, parsed(&with(&[HOLDOUT, REPORT])).split);
}

/// The one mistake of the example with these keys.
fn mistake(text: &str, key: &str, expected: &str) {
    let mistakes = parse(text.as_bytes()).expect_err(expected);
    let found = mistakes.list().iter().find(|mistake| mistake.key == key);
    let found = found.unwrap_or_else(|| panic!("{key} in\n{mistakes}")).to_string();
    assert!(found.contains(expected), "{expected:?} in\n{mistakes}");
    assert_eq!(mistakes.list().len(), 1, "{mistakes}");
}

#[test]
fn every_key_of_a_holdout_has_its_rule() {
    fn check(from: &str, to: &str, key: &str, expected: &str) {
        let text = with(&[HOLDOUT, REPORT]);
        mistake(&replaced(&text, from, to), key, expected);
    }
    parsed(&with(&[HOLDOUT, REPORT]));
    check("\"time\"", "\"person\"", "split.holdout.type", "\"time\"");
    check("from = 2023-01-01", "from = \"2023\"", "split.holdout.from", "a day without quotes");
    // Accrual is 2015-01-01 to 2024-12-31: a day of its last fifth is suggested.
    check("from = 2023-01-01, ", "", "split.holdout.from", "add from = 2023-01-01");
    check("from = 2023-01-01", "from = 7", "split.holdout.from", "write from = 2023-01-01, or another day");
    check(
        "from = 2023-01-01",
        "from = 2025-01-01",
        "split.holdout.from",
        "not after 2024-12-31, as from = 2023-01-01",
    );
    check("from = 2023-01-01", "from = 2015-01-01", "split.holdout.from", "another day after 2015-01-01");
    // A good day only loses its quotes, or its time.
    check(
        "from = 2023-01-01",
        "from = \"2020-05-04\"",
        "split.holdout.from",
        "without a time: from = 2020-05-04",
    );
    check(
        "from = 2023-01-01",
        "from = 2020-05-04T10:00:00",
        "split.holdout.from",
        "without a time: from = 2020-05-04",
    );
    check("from = 2023-01-01", "from = \"2030-05-04\"", "split.holdout.from", "write from = 2023-01-01, or");
    check(
        HOLDOUT,
        "holdout = 2023-01-01",
        "split.holdout",
        "write holdout = { type = \"time\", from = 2023-01-01, of",
    );
    check("\"evaluation-people\"", "\"everyone\"", "split.holdout.of", "charged to both accounts");
    check("\"evaluation-people\"", "\"people\"", "split.holdout.of", "\"evaluation-people\"");
    check(", of = \"evaluation-people\"", "", "split.holdout.of", "add of =");
    check(", of =", ", people = 1, of =", "split.holdout.people", "no such key");
    check(REPORT, "", "split.report", "add report = [\"internal\", \"temporal\"]");
    check("\"temporal\"]", "\"leave-one-site-out\"]", "split.report[2]", "not in this version");
    check("\"temporal\"]", "\"internal\"]", "split.report", "\"internal\" twice");
    check("\"temporal\"]", "\"later\"]", "split.report[2]", "\"internal\"");
    mistake(&with(&[REPORT]), "split.report", "or add holdout = { type = \"time\", from = 2023-01-01");
    let of_table = replaced(EXAMPLE, SHARE, &format!("{REPORT}\n{SHARE}"));
    mistake(&of_table, "split.report", "write report = [\"internal\"]");
    assert!(!parse(of_table.as_bytes()).expect_err("no records").to_string().contains("or add"));
    mistake(&with(&[&HOLDOUT.replace("\"time\"", "7"), REPORT]), "split.holdout.type", "came 7");
    let of_table = replaced(EXAMPLE, SHARE, &format!("{HOLDOUT}\n{REPORT}\n{SHARE}"));
    mistake(&of_table, "split.holdout", "no day of an index");
    // A holdout and another slip: both at once.
    let both =
        with(&[&HOLDOUT.replace("2023-01-01", "2025-01-01"), REPORT]).replacen("\"first-ever\"", "7", 1);
    let mistakes = parse(both.as_bytes()).expect_err("two slips");
    let keys: Vec<&str> = mistakes.list().iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, ["cohort.first_episode.limit", "split.holdout.from"], "{mistakes}");
    check_slips(&[(SHARE, "report = \"internal\"\ntraining_share = 0.7", "split.report", "a list of")]);
}

#[test]
fn what_a_holdout_says() {
    fn check(keys: &[&str], expected: Option<&[Validation]>) -> Study {
        let study = parsed(&with(keys));
        let holdout =
            expected.map(|reported| Holdout { from: date(2023, 1, 1), reported: reported.to_vec() });
        assert_eq!(study.split.holdout, holdout, "{keys:?}");
        study
    }
    check(&[], None);
    check(&["report = [\"internal\"]"], None);
    check(&[HOLDOUT, "report = [\"temporal\"]"], Some(&[Validation::Temporal]));
    check(&[HOLDOUT, "report = [\"internal\"]"], Some(&[Validation::Internal]));
    check(&[HOLDOUT, "report = [\"temporal\", \"internal\"]"], Some(&Validation::ALL));
}

/// `overall` has a group for each of what is reported, and nothing else changes: not the list of events, nor its price.
#[test]
fn a_holdout_costs_nothing() {
    let (plain, both) = (parsed(&with(&[])), parsed(&with(&[HOLDOUT, REPORT])));
    let one = parsed(&with(&[HOLDOUT, "report = [\"temporal\"]"]));
    assert_eq!(earmarks(&both), earmarks(&plain));
    let labels = |study: &Study| groupings(study)[0].labels.clone();
    assert_eq!(labels(&plain), [[""; 0]]);
    assert_eq!(labels(&one), [[""; 0]]);
    assert_eq!(labels(&both), [["before 2023-01-01"], ["from 2023-01-01 on"]]);
    assert_eq!(groupings(&both)[1..], groupings(&plain)[1..]);
    let overall = &groupings(&both)[0];
    let attributes = both.attributes.len();
    let groups = |mark| [vec![0; attributes], vec![mark]].concat();
    assert_eq!((overall.group_of(&groups(0)), overall.group_of(&groups(1))), (0, 1));
    assert_eq!((both.place_of(&groups(1)), plain.place_of(&vec![0; attributes])), (1, 0));

    // Somebody with an earlier and a later example is one person in both groups together, as in any one.
    let mut people = Examples::new(0);
    let row = |mark, label| Example { inputs: vec![], output: 0, label, weight: 1.0, groups: groups(mark) };
    people.push_examples(vec![row(0, 1.0), row(1, 0.0)]);
    people.push_examples(vec![row(1, 0.0)]);
    let cells = count(overall, &[0.5], &[0.1, 0.9, 0.9], &people);
    let half = PERSON_UNITS / 2;
    assert_eq!(cells, [0, 0, half, 0, 0, half + PERSON_UNITS, 0, 0]);

    // Two of the accrual's ten years, with leap days.
    let share = predict(&both, 0.1).held_out_share.expect("something is held out");
    assert!((share - 731.0 / 3653.0).abs() < 1e-12, "{share}");
    assert_eq!(predict(&plain, 0.1).held_out_share, None);
    let errors = |study: &Study| {
        let groupings = predict(study, 0.1).groupings;
        (groupings[0].groups, groupings[0].error_of_noise, groupings[1].error_of_noise)
    };
    let ((_, alone, sex), (groups, smaller, same)) = (errors(&plain), errors(&both));
    assert_eq!((groups, sex), (2, same), "other groupings count both");
    assert!((smaller / alone - 1.0 / share).abs() < 1e-9, "{smaller} and {alone}");
    assert!(errors(&one).2 > 4.0 * sex, "only later examples are evaluated at all");
    assert!(predict(&both, 0.1).to_string().contains("20.01 in 100 examples; those of training people"));
}

/// Whatever is suggested is accepted in its place, in a study of any accrual.
#[test]
fn suggestions_are_of_this_study() {
    fn check(accrual: (&str, &str), expected: Option<&str>) {
        let (from, to) = accrual;
        let of = |holdout: &str| {
            let text = with(&[holdout, REPORT]);
            let text =
                replaced(&text, "from = 2015-01-01, to = 2024-12-31", &format!("from = {from}, to = {to}"));
            replaced(&text, "followup_to    = 2026-06-30", "followup_to = 2032-06-30")
        };
        for day in ["from = \"soon\", ", "from = 2035-01-01, ", "from = 1990-01-01, ", ""] {
            let holdout = HOLDOUT.replace("from = 2023-01-01, ", day);
            let mistakes = parse(of(&holdout).as_bytes()).expect_err(day);
            let [mistake] = mistakes.list() else { panic!("{mistakes}") };
            match expected {
                Some(expected) => {
                    assert!(mistake.instead.contains(&format!("from = {expected}")), "{day}: {mistake}");
                    parsed(&of(&HOLDOUT.replace("2023-01-01", expected)));
                }
                None if day.is_empty() => {}
                None => assert!(mistake.instead.contains("a longer data.accrual"), "{day}: {mistake}"),
            }
        }
    }
    check(("2015-01-01", "2024-12-31"), Some("2023-01-01"));
    check(("2024-01-01", "2024-12-31"), Some("2024-10-01"));
    check(("2031-03-03", "2031-03-20"), Some("2031-03-17"));
    check(("2031-03-03", "2031-03-04"), Some("2031-03-04"));
    check(("2031-03-03", "2031-03-03"), None);
}
