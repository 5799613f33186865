//! The promises of [`super`], each checked on what is drawn or written.

use super::*;
use std::collections::BTreeMap;

mod agreement;
mod learning;

fn args(out: &Path, sites: u64, people: u64, seed: u64) -> SynthArgs {
    SynthArgs { out: out.to_owned(), sites, people, seed }
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
        3 * 13 + 1,
        "a table, a truth and eleven OMOP tables each, and one truth for all"
    );
    let keys = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&first), keys(&other));
    for (path, bytes) in &first {
        let fixed =
            ["CONCEPT.csv", "CONCEPT_ANCESTOR.csv", "CDM_SOURCE.csv"].iter().any(|name| path.ends_with(name));
        // Deaths are too rare to differ for sure.
        if !path.ends_with("DEATH.csv") {
            assert_eq!(*bytes == other[path], fixed, "{}", path.display());
        }
    }
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
