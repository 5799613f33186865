//! What the second verifier (`docs/verify.py`) says of a bundle.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

use super::Map;
use std::path::Path;
use std::process::Command;

/// The second verifier, where there is one.
#[track_caller]
pub fn second(map: &Map, code: i32, what: &str) {
    let python = std::env::var_os("CONSILIUM_PYTHON").unwrap_or_else(|| "python3".into());
    let probe = Command::new(&python).args(["-c", "import tomllib, dp_accounting, cryptography"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        assert!(std::env::var_os("CONSILIUM_REQUIRE_PYTHON").is_none(), "see docs/verify-requirements.txt");
        return;
    }
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
