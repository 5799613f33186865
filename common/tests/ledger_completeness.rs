//! A bundle of a study that counts how often an attribute is recorded: its release is earmarked, paid, committed and verified
//! as any other of the evaluation, in both modes, by either verifier.

mod bundle;

use bundle::{Map, STUDY, check, json, make_of, name, python, secure, with_completeness};
use consilium_common::evaluation::histogram::{Histogram, PERSON_UNITS};
use consilium_common::study;

const FILE: &str = "evaluation/orientation/brackley.json";

#[test]
fn a_count_is_verified_as_any_release() {
    let text = with_completeness(STUDY);
    let study = study::parse(text.as_bytes()).expect("a study");
    let earmarks = study::earmarks(&study);
    let names: Vec<&str> = earmarks.iter().map(|earmark| earmark.name.as_str()).collect();
    assert_eq!(names, ["training", "overall", "sex*age_band", "orientation"]);
    let (map, sites) = make_of(&text);
    assert_eq!(check(&map).findings, vec![]);
    for site in &sites {
        assert!(map.contains_key(&format!("evaluation/orientation/{}.json", site.name)));
        assert_eq!(site.state.next_unburnt(&study.digest, 3), Some(1), "one of two uses is burnt");
    }
    python::second(&map, 0, " outputs, ");
}

/// What does not belong is found: levels instead of states, less noise than was paid for, another count than was committed to.
#[test]
fn a_count_of_something_else_is_found() {
    let (map, _) = make_of(&with_completeness(STUDY));
    let found = |change: fn(&mut Histogram)| {
        let mut changed: Map = map.clone();
        let mut release: Histogram = serde_json::from_slice(&map[FILE]).expect("a release");
        change(&mut release);
        changed.insert(FILE.into(), json(&release));
        python::second(&changed, 1, "");
        check(&changed).findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    for (change, expected) in [
        ((|release| release.cells.push(PERSON_UNITS)) as fn(&mut Histogram), "number of cells"),
        (|release| release.cells.truncate(3), "number of cells"),
        (|release| release.sigma_units /= 2, "less noise than was paid for"),
        (|release| release.grouping = "overall".into(), "grouping"),
        (|release| release.site = name("corby"), "site"),
        (|release| release.cells[0] += 1, FILE),
    ] {
        let findings = found(change);
        assert!(findings.contains(expected), "{expected}: {findings}");
    }
}

#[test]
fn a_secure_sum_of_counts_is_verified() {
    let (map, _) = secure::make_with(secure::Plan { completeness: true, ..secure::Plan::default() });
    assert!(map.contains_key("evaluation/orientation/sum"));
    let report = check(&map);
    assert_eq!(report.findings, vec![]);
    python::second(&map, 0, " sums; ");
    let mut without: Map = map.clone();
    without.remove("evaluation/orientation/sum");
    assert!(!check(&without).findings.is_empty(), "a sum that ledgers have is missed");
}
