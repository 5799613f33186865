//! Runs one test of the running test program again, in a process of its own for each broken variant,
//! and reads what it found.

use crate::Process;
use crate::audit::{DOCUMENT, Finding};
use crate::hospital::home::now;
use consilium_common::mutant::{Mutant, VARIABLE};
use serde_json::{Value, json};
use site_agent::doctor;
use site_agent::drive::{self, Agent};
use site_agent::home::Home;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

/// The environment variable that names the file for a test's findings.
pub const OUT: &str = "CONSILIUM_AUDIT_OUT";
/// The environment variable that names the variant of agents in processes of their own.
const OF_AGENT: &str = "CONSILIUM_MUTANT_OF_AGENT";
/// The environment variables that tell [`serve`] of the agent's home and table.
const HOME: &str = "CONSILIUM_AGENT_HOME";
const TABLE: &str = "CONSILIUM_AGENT_TABLE";
/// A file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";
/// Processes at a time: they wait for disks and ticks more than they compute.
const AT_ONCE: usize = 4;

/// A variant, and the findings that alarmed: name, measured, claimed.
pub type Caught = (Mutant, Vec<(String, f64, f64)>);

/// Runs `test` of this very program under each variant; the variants in their order, with what caught
/// them. Prints the table.
///
/// # Panics
/// The test passes under a variant although it found something, or leaves no findings.
#[must_use]
pub fn run(test: &str, mutants: &[Mutant]) -> Vec<Caught> {
    run_with(VARIABLE, test, mutants)
}

/// As [`run`], where only the agents that [`agent`] starts are broken.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_with_agents(test: &str, mutants: &[Mutant]) -> Vec<Caught> {
    run_with(OF_AGENT, test, mutants)
}

fn run_with(variable: &str, test: &str, mutants: &[Mutant]) -> Vec<Caught> {
    let folder = tempfile::tempdir().expect("a folder");
    let queue = Mutex::new(mutants.iter().enumerate());
    let caught = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("nobody panics with it").next();
                    let Some((at, mutant)) = next else { return };
                    let found = run_one(variable, test, *mutant, &folder.path().join(mutant.name()));
                    caught.lock().expect("nobody panics with it").push((at, (*mutant, found)));
                }
            });
        }
    });
    let mut caught = caught.into_inner().expect("nobody panicked with it");
    caught.sort_by_key(|(at, _)| *at);
    let caught: Vec<Caught> = caught.into_iter().map(|(_, caught)| caught).collect();
    println!("| mutant | caught by | measured | claimed |\n|---|---|---|---|");
    for (mutant, findings) in &caught {
        for (name, measured, claimed) in findings {
            println!("| {} | {name} | {measured:.4} | {claimed:.4} |", mutant.name());
        }
        if findings.is_empty() {
            println!("| {} | NOT CAUGHT | | |", mutant.name());
        }
    }
    caught
}

fn run_one(variable: &str, test: &str, mutant: Mutant, out: &Path) -> Vec<(String, f64, f64)> {
    let program = std::env::current_exe().expect("a running test has a path");
    let mut command = Command::new(program);
    // A round syncs a dozen files; what the disk is made of is not the question here.
    if Path::new(MEMORY).is_dir() {
        command.env("TMPDIR", MEMORY);
    }
    let ran = command
        .args([test, "--exact", "--test-threads=1"])
        .env(variable, mutant.name())
        .env(OUT, out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the program runs again");
    let findings = std::fs::read(out).unwrap_or_else(|e| panic!("{}: no findings: {e}", mutant.name()));
    let findings: Value = serde_json::from_slice(&findings).expect("what `keep` wrote");
    let number = |value: &Value| value.as_f64().unwrap_or(f64::INFINITY);
    let alarms: Vec<_> = findings
        .as_array()
        .expect("a list")
        .iter()
        .filter(|finding| finding["alarms"] == true)
        .map(|f| {
            (f["name"].as_str().unwrap_or_default().to_owned(), number(&f["measured"]), number(&f["claimed"]))
        })
        .collect();
    assert_eq!(ran.success(), alarms.is_empty(), "{}: a finding fails the test", mutant.name());
    alarms
}

/// Starts this very test program again as an agent, which [`serve`] plays; of the variant that was asked
/// for.
///
/// # Panics
/// It cannot be run.
#[must_use]
pub fn agent(home: &Path, table: &Path, log: &Path) -> Process {
    let log = OpenOptions::new().create(true).append(true).open(log).expect("a log file");
    let program = std::env::current_exe().expect("a running test has a path");
    let mut command = Command::new(program);
    if let Ok(mutant) = std::env::var(OF_AGENT) {
        command.env(VARIABLE, mutant);
    }
    let child = command
        .args([AGENT, "--exact", "--nocapture"])
        .env(HOME, home)
        .env(TABLE, table)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log file"))
        .stderr(log)
        .spawn()
        .expect("the program runs again");
    Process { child }
}

/// The test that calls [`serve`].
pub const AGENT: &str = "serves_as_an_agent_where_asked";

/// Serves as an agent until it is killed, where [`agent`] asked for one.
///
/// # Panics
/// The agent stops.
pub fn serve() {
    let Some((home, table)) = std::env::var_os(HOME).zip(std::env::var_os(TABLE)) else { return };
    let home = Home::open(Path::new(&home)).expect("a home");
    let config = home.config().expect("made");
    let dialer = doctor::dialer(&home, &config).expect("enrolled");
    let mut agent =
        Agent::open(home, &config, Some(table.into()), now).unwrap_or_else(|error| panic!("{error}"));
    let (_never, stop) = tokio::sync::watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(drive::serve(&mut agent, &dialer, stop)).unwrap_or_else(|stop| panic!("{stop}"));
}

/// Leaves the findings for [`run`], where it asked for them.
///
/// # Panics
/// The file cannot be written.
pub fn keep(findings: &[Finding]) {
    let Ok(out) = std::env::var(OUT) else { return };
    let findings: Vec<Value> = findings
        .iter()
        .map(|f| {
            json!({"name": f.name, "measured": f.measured, "claimed": f.claimed, "p": f.p, "alarms": f.alarms()})
        })
        .collect();
    std::fs::write(out, Value::from(findings).to_string()).expect("the folder of the caller");
}

/// Adds to the audit's document, where one was asked for and written before, what caught each variant.
///
/// # Panics
/// The file cannot be read or written.
pub fn document(caught: &[Caught]) {
    let Ok(path) = std::env::var(DOCUMENT) else { return };
    let text = std::fs::read(&path).expect("the audit of the right mechanism ran before");
    let mut document: Value = serde_json::from_slice(&text).expect("what the audit wrote");
    let listed = document["mutants"].as_array_mut().expect("a list");
    for (mutant, findings) in caught {
        let mut by: Vec<&str> = findings.iter().map(|(name, ..)| name.as_str()).collect();
        by.sort_unstable();
        by.dedup();
        listed.retain(|before| before["name"] != mutant.name());
        listed.push(json!({"name": mutant.name(), "caught_by": by}));
    }
    std::fs::write(path, format!("{document:#}\n")).expect("it was read");
}
