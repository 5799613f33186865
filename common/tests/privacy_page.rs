//! docs/PRIVACY.md names the tests that guard its claims: each must be there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/PRIVACY.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names of functions in the sources below a folder.
fn functions(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            functions(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let named =
                |line: &str| line.split_once("fn ")?.1.split_once('(').map(|(name, _)| name.to_owned());
            into.extend(text.lines().filter_map(named));
        }
    }
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (inner, after))) => {
            inner.split(',').map(|one| format!("{before}{one}{after}")).collect()
        }
        None => vec![path.to_owned()],
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    let mut known = BTreeSet::new();
    for member in ["common", "coordinator/src", "site-agent/src", "tests/src", "tests/tests"] {
        functions(&root().join(member), &mut known);
    }
    let about_tests = |paragraph: &&str| {
        ["**Tests.**", "**How it is tested.**", "Durations, batch sizes"]
            .iter()
            .any(|start| paragraph.starts_with(start))
    };
    let (mut tests, mut files) = (0, 0);
    for paragraph in PAGE.split("\n\n").filter(about_tests) {
        for quoted in paragraph.split('`').skip(1).step_by(2) {
            if quoted.starts_with("tests/") || quoted.starts_with("common/") {
                for path in expanded(quoted) {
                    assert!(root().join(&path).exists(), "{path}");
                    files += 1;
                }
            } else if quoted.matches('_').count() > 1 && !quoted.contains('/') {
                assert!(known.contains(quoted), "no function {quoted}");
                tests += 1;
            }
        }
    }
    assert!(tests > 30 && files > 8, "{tests} tests and {files} files were found on the page");
}
