//! What a test needs that not every machine has: data sets of real people, and Python. Without it a test says that it is skipped.
//!
//! It says so on standard error itself: what `eprintln!` prints is shown of tests that fail only.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A data set in the folder `shared/data` beside the checkout or above it; none, having said so, where there is none. With
/// `CONSILIUM_REQUIRE_DATA=1` the test fails instead.
#[track_caller]
pub(crate) fn data_set(name: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|above| above.join("shared/data").join(name)).find(|path| path.is_dir());
    if found.is_none() {
        missing("CONSILIUM_REQUIRE_DATA", &format!("no shared/data/{name} above {}", here.display()));
    }
    found
}

/// Python that has these packages; none, having said so, where a machine has none. `CONSILIUM_PYTHON` names the interpreter
/// (default: python3); with `CONSILIUM_REQUIRE_PYTHON=1`, as in `.ci/run`, the test fails instead.
#[track_caller]
pub(crate) fn python(packages: &str, requirements: &str) -> Option<PathBuf> {
    let python = std::env::var_os("CONSILIUM_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let why = match Command::new(&python).args(["-c", &format!("import {packages}")]).output() {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    missing("CONSILIUM_REQUIRE_PYTHON", &format!("{}: {why}: see {requirements}", python.display()));
    None
}

#[track_caller]
fn missing(required: &str, why: &str) {
    assert!(std::env::var_os(required).is_none_or(|value| value != "1"), "{required}=1, and {why}");
    let thread = std::thread::current();
    let said = writeln!(std::io::stderr(), "skipped: {}: {why}", thread.name().unwrap_or("a test"));
    said.expect("standard error is open");
}
