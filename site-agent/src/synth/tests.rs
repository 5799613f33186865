//! The promises of [`super`], each checked on what is drawn or written.

use super::*;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};

mod agreement;
mod forms;
mod habits;
mod learning;
mod meds;
mod notes;
mod study;

fn args(out: &Path, sites: u64, people: u64, seed: u64) -> SynthArgs {
    SynthArgs { out: out.to_owned(), sites, people, seed, form: Form::Csv, meds: false, no_notes: false }
}

/// A row of a CSV file, by column.
type Row = HashMap<String, String>;

fn read(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).expect("a CSV file");
    reader.deserialize().map(|row| row.expect("a row of the header's width")).collect()
}

/// Every file below a folder, by its path from there.
fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in std::fs::read_dir(here).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("a file");
                files.insert(path.strip_prefix(folder).expect("below").to_owned(), bytes);
            }
        }
    }
    files
}

#[test]
fn same_seed_same_bytes_other_seed_other_bytes() {
    let home = tempfile::tempdir().expect("a folder");
    let written = |name: &str, seed| {
        let out = home.path().join(name);
        run(&args(&out, 3, 300, seed)).expect("writes");
        files_below(&out)
    };
    let (first, again, other) = (written("first", 7), written("again", 7), written("other", 8));
    assert_eq!(first, again);
    assert_eq!(
        first.len(),
        3 * (4 + 16) + 1 + 1,
        "a table, two truths, names and sixteen OMOP tables each, NOTE_NLP at one, and one truth for all"
    );
    let keys = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&first), keys(&other));
    for (path, bytes) in &first {
        let is = |names: &[&str]| names.iter().any(|name| path.ends_with(format!("{name}.csv")));
        let vocabulary = ["CONCEPT", "CONCEPT_ANCESTOR", "CONCEPT_RELATIONSHIP"];
        let fixed = is(&vocabulary) || is(&["CDM_SOURCE", "CARE_SITE", "PROVIDER"]);
        // Deaths are too rare to differ for sure; some sites have no visit details.
        if !is(&["DEATH", "VISIT_DETAIL"]) {
            assert_eq!(*bytes == other[path], fixed, "{}", path.display());
        }
    }
}

/// Figures were measured on these tables: whatever is added draws from streams of its own.
#[test]
fn the_plain_tables_are_those_of_the_first_version() {
    fn check(sites: u64, people: u64, seed: u64, expected: &str) {
        let home = tempfile::tempdir().expect("a folder");
        let out = home.path().join("out");
        run(&args(&out, sites, people, seed)).expect("writes");
        let mut hash = Sha256::new();
        for site in plan(sites, people).expect("within bounds") {
            hash.update(std::fs::read(out.join(site.profile.name).join("table.csv")).expect("a table"));
        }
        assert_eq!(hex::encode(hash.finalize()), expected, "{sites} sites, {people} people, seed {seed}");
    }
    check(6, 6000, 1, "68a9963a4d672a924f7ce2397e849c470061d56b928c7de0f77163fb1ddeb840");
    check(7, 300, 7, "57e657020a6a6eb9d9bafee2daa27f406976b902e4081c9f903fcbfd5e0dbe3e");
}

#[test]
fn a_folder_that_holds_something_is_left_alone() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("mine"), "kept").expect("writes");
    let refused = run(&args(home.path(), 1, 100, 1)).expect_err("holds something");
    assert!(matches!(refused, SynthError::NotEmpty { .. }) && refused.is_bad_input());
    assert_eq!(files_below(home.path()).len(), 1);
}

#[test]
fn arguments_have_bounds() {
    fn check(sites: u64, people: u64, expected: Option<&str>) {
        let found = plan(sites, people).err().map(|error| {
            assert!(error.is_bad_input());
            error.to_string()
        });
        assert_eq!(found.as_deref(), expected);
    }
    check(1, 100, None);
    check(26, 100, None);
    check(26, PEOPLE_MAX, None);
    check(0, 100, Some("--sites: expected 1 to 26, came 0"));
    check(27, 100, Some("--sites: expected 1 to 26, came 27"));
    check(6, 99, Some("--people: expected 100 to 10000000, came 99"));
    check(6, PEOPLE_MAX + 1, Some("--people: expected 100 to 10000000, came 10000001"));
}

#[test]
fn the_command_line_has_the_same_bounds() {
    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        synth: SynthArgs,
    }
    fn check(line: &str, good: bool) {
        let parsed = <Command as clap::Parser>::try_parse_from(line.split(' '));
        assert_eq!(parsed.is_ok(), good, "{line}");
    }
    check("synth --out x", true);
    check("synth --out x --sites 26 --people 10000000 --seed 5", true);
    check("synth --out x --form csv-gz --no-notes", true);
    check("synth --out x --form parquet", true);
    check("synth --out x --form both", true);
    check("synth --out x --form csv-gz --meds", true);
    check("synth --out x --form meds", false);
    check("synth --out x --form xlsx", false);
    check("synth", false);
    check("synth --out x --sites 27", false);
    check("synth --out x --sites 0", false);
    check("synth --out x --people 99", false);
}

#[test]
fn nobody_is_lost_and_no_site_is_empty() {
    for sites in 1..=SITES_MAX {
        for people in [100, 101, 6000, PEOPLE_MAX] {
            let plan = plan(sites, people).expect("within bounds");
            assert_eq!(plan.iter().map(|site| site.people).sum::<u64>(), people);
            assert!(plan.iter().all(|site| site.people > 0), "{sites} sites, {people} people");
            let mut names: Vec<&str> = plan.iter().map(|site| site.profile.name).collect();
            assert!(names.iter().all(|name| name.parse::<consilium_common::id::SiteName>().is_ok()));
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len() as u64, sites);
        }
    }
    let six = plan(6, 6000).expect("within bounds");
    let names: Vec<&str> = six.iter().map(|site| site.profile.name).collect();
    assert_eq!(names, ["ashford", "brackley", "corby", "dunmore", "eastleigh", "fulwood"]);
    let sizes: Vec<u64> = six.iter().map(|site| site.people).collect();
    assert!(sizes.iter().max() > sizes.iter().min().map(|min| 4 * min).as_ref(), "uneven: {sizes:?}");
}

#[test]
fn shares_of_every_site_are_shares() {
    for ordinal in 0..SITES_MAX {
        let site = profile::of_site(ordinal);
        let sums_to_one = |shares: &[f64]| (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9;
        assert!(sums_to_one(&site.diagnosis), "{}", site.name);
        assert!(sums_to_one(&site.ethnicity), "{}", site.name);
        assert!(sums_to_one(&site.habits.ethnicity_missing), "{}", site.name);
    }
}
