//! What benches of whole processes share: programs that are up to date, and what the system says of a process.

use std::process::Command;
use std::time::Duration;

/// Brings the programs beside this bench up to date: `cargo bench` builds the bench alone.
///
/// # Panics
/// They do not build.
pub fn build_programs() {
    let own = std::env::current_exe().expect("a running bench has a path");
    let profile = own.ancestors().nth(2).expect("target/PROFILE/deps/BENCH");
    let name = profile.file_name().and_then(|name| name.to_str()).expect("a profile");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--workspace", "--bins"])
        .args(["--profile", if name == "debug" { "dev" } else { name }])
        .arg("--target-dir")
        .arg(profile.parent().expect("target"))
        .current_dir(crate::project())
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the programs do not build");
}

/// The peak of a process's resident memory, KiB; not every system says.
#[must_use]
pub fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// CPU time of a process, user's and system's, in steps of 10 ms (Linux counts hundredths).
#[must_use]
pub fn cpu(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, which may hold anything: state is field 3, the two times are 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

/// Runnable processes on this machine, over one, five and fifteen minutes; empty where the system does not say.
#[must_use]
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
