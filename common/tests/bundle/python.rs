//! What the second verifier (`docs/verify.py`) says of a bundle.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

use super::Map;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python that can run the verifier; `None`, having said so, where a machine has none.
#[track_caller]
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("CONSILIUM_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let probe = Command::new(&python).args(["-c", "import tomllib, dp_accounting, cryptography"]).output();
    let why = match probe {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    let required = std::env::var_os("CONSILIUM_REQUIRE_PYTHON").is_some();
    assert!(!required, "{}: {why}: see docs/verify-requirements.txt", python.display());
    // Not by a macro: what those print is shown of tests that fail only.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let said = writeln!(
        std::io::stderr(),
        "skipped: {test}: {}: {why}; the second verifier was not run",
        python.display()
    );
    said.expect("standard error is open");
    None
}

/// What the second verifier says, where there is one.
#[track_caller]
pub fn second(map: &Map, code: i32, what: &str) {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    for (path, bytes) in map {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("within the root")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify.py");
    let output = Command::new(python).arg(script).arg(dir.path()).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(what), "{what}: {text}");
}
