//! What a step of a `distributed` study costs, all of it: a real coordinator, five real agents (t = 4) with
//! tables, ledgers and synced disks, logistic regression, real mutual TLS on loopback, the reply tick at its
//! least. Limit: 1,000 steps within 60 s on two cores. Then rounds of the same study in `local` mode, as ratio.
//!
//! `cargo bench --workspace --bench sums` runs 1,000 steps and 100 local rounds; `-- STEPS` so many steps and a
//! tenth as many rounds; `-- STEPS ROUNDS` both. `--profile dev` needs no optimised build. `TMPDIR` chooses the
//! disk. Times are those of the coordinator's log (whole milliseconds), from the start, or from the end of the
//! step before, to the step's end; so the first one has the sites' joining and their opening of the study in it.
//! The CPU time beside them says more on a machine that others use.
//! A study counts only when it finished, and its bundle verified.

use consilium_common::time::Time;
use consilium_tests::Federation;
use consilium_tests::measure::{build_programs, cpu, load, peak_kib};
use coordinator::study::StudyEvent;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Of every study.
const SITES: u32 = 5;
/// People over all sites.
const PEOPLE: u32 = 2_000;
/// Steps without an argument.
const STEPS: u32 = 1_000;
/// Of local rounds, one for so many steps: they take longer.
const ROUNDS_SHARE: u32 = 10;
/// Fewest steps and rounds of which a percentile says something.
const LEAST: u32 = 10;
/// Most of either: spare ones fit the study's most.
const MOST: u32 = 5_000;
/// Seconds for each step: 60 s for 1,000.
const LIMIT_S: f64 = 0.06;
/// A study that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Asking is a process of its own, which takes time from those that are measured.
const ASK_EVERY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Cargo says --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let counts: Option<Vec<u32>> =
        arguments.iter().map(|a| a.parse().ok().filter(|count| (LEAST..=MOST).contains(count))).collect();
    let (steps, rounds) = match counts.as_deref() {
        Some([]) => (STEPS, STEPS / ROUNDS_SHARE),
        Some([steps]) => (*steps, (steps / ROUNDS_SHARE).max(LEAST)),
        Some([steps, rounds]) => (*steps, *rounds),
        _ => {
            eprintln!("expected nothing, STEPS, or STEPS and ROUNDS: each from {LEAST} to {MOST}");
            return ExitCode::from(2);
        }
    };
    build_programs();
    println!("{SITES} sites, {PEOPLE} people; load {}", load());
    println!("limit: {:.0} s for 1,000 secure steps", LIMIT_S * 1e3);
    println!(
        "mode         steps        s    p50 ms    p95 ms  share of limit  its CPU ms/step  an agent's    coordinator MiB  \
         largest agent MiB"
    );
    let secure = measure("distributed", "\"distributed\"\ncolluding = 1", steps);
    println!("{}", secure.row(Some(LIMIT_S)));
    println!(
        "             {} attempts failed, {} steps without a site; load {}",
        secure.failed,
        secure.without_a_site,
        load()
    );
    let local = measure("local", "\"local\"", rounds);
    println!("{}", local.row(None));
    println!(
        "a secure step is {:.2} of a local round (median), {:.2} (all of it); load {}",
        secure.percentile_ms(50) / local.percentile_ms(50),
        secure.mean_s() / local.mean_s(),
        load()
    );
    ExitCode::SUCCESS
}

/// One row of the table.
struct Measured {
    mode: &'static str,
    /// Of each step, ms, ascending.
    steps_ms: Vec<u64>,
    /// The coordinator's CPU time from the start to the end of the study, and that of all agents.
    cpu: [Option<Duration>; 2],
    /// Peak resident memory of the coordinator, and of the largest agent.
    peaks_kib: [Option<u64>; 2],
    /// Attempts at a secure sum.
    failed: usize,
    /// Secure sums of fewer than all sites.
    without_a_site: usize,
}

#[expect(clippy::cast_precision_loss, reason = "few steps, short times, and memory in KiB")]
impl Measured {
    fn percentile_ms(&self, p: usize) -> f64 {
        self.steps_ms[(self.steps_ms.len() * p).div_ceil(100) - 1] as f64
    }

    /// All steps together.
    fn seconds(&self) -> f64 {
        self.steps_ms.iter().sum::<u64>() as f64 / 1e3
    }

    fn mean_s(&self) -> f64 {
        self.seconds() / self.steps_ms.len() as f64
    }

    fn row(&self, limit_s: Option<f64>) -> String {
        let known = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.1}"));
        let steps = self.steps_ms.len() as f64;
        let cpu_ms = self.cpu.map(|cpu| cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / steps));
        format!(
            "{:11} {:6}  {:7.1}  {:8.0}  {:8.0}  {:>14}  {:>15}  {:>10}  {:>17}  {:>17}",
            self.mode,
            self.steps_ms.len(),
            self.seconds(),
            self.percentile_ms(50),
            self.percentile_ms(95),
            limit_s.map_or("-".to_owned(), |limit_s| format!("{:.2}", self.mean_s() / limit_s)),
            known(cpu_ms[0]),
            known(cpu_ms[1].map(|all| all / f64::from(SITES))),
            known(self.peaks_kib[0].map(|kib| kib as f64 / 1024.0)),
            known(self.peaks_kib[1].map(|kib| kib as f64 / 1024.0)),
        )
    }
}

/// Runs one study from enrolment to a bundle that verifies.
fn measure(mode: &'static str, mode_line: &str, rounds: u32) -> Measured {
    let mut federation = Federation::enrolled(SITES, PEOPLE);
    // Not the coordinator that enrolled: its memory should be that of a study alone.
    federation.kill_coordinator();
    federation.start_coordinator();
    let (count, spare) = (rounds.to_string(), (rounds / 10).max(LEAST).to_string());
    let file = federation.study(
        "3",
        &[
            ("mode", mode_line),
            ("rounds", &count),
            ("local_steps", "1"),
            ("spare_rounds", &spare),
            ("quorum", "4"),
            ("deadline_s", "60"),
            ("reply_tick_ms", "10"),
        ],
    );
    let digest = federation.publish(&file);
    federation.approve(&digest);
    federation.start_agents();
    let programs = || {
        let agents = federation.sites.iter().filter_map(|site| federation.agent_process(site));
        let ids: Vec<u32> =
            federation.coordinator_process().into_iter().chain(agents).map(|process| process.id()).collect();
        assert_eq!(ids.len(), SITES as usize + 1, "all of them run");
        ids
    };
    let (ids, before) = (programs(), cpus(&programs()));
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    wait(&federation, &digest);
    let after = cpus(&ids);
    let spent = |at: usize| after[at].and_then(|after| after.checked_sub(before[at]?));
    let agents = 1..ids.len();
    let peaks: Option<Vec<u64>> = ids[1..].iter().map(|id| peak_kib(*id)).collect();
    let results = federation.report(&digest);
    let log = Log::read(&results.join("events.jsonl"));
    assert_eq!(log.steps_ms.len(), rounds as usize, "every round is in the log");
    Measured {
        mode,
        steps_ms: log.steps_ms,
        cpu: [spent(0), agents.map(spent).sum()],
        peaks_kib: [peak_kib(ids[0]), peaks.and_then(|peaks| peaks.into_iter().max())],
        failed: log.failed,
        without_a_site: log.without_a_site,
    }
}

fn cpus(ids: &[u32]) -> Vec<Option<Duration>> {
    ids.iter().map(|id| cpu(*id)).collect()
}

/// Waits until the study has finished.
fn wait(federation: &Federation, digest: &str) {
    let began = Instant::now();
    loop {
        let status = federation.status(digest);
        if status["phase"] == "ended" {
            assert_eq!(status["detail"]["reason"], "finished", "{}", federation.log("coordinator"));
            return;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {status}");
        std::thread::sleep(ASK_EVERY);
    }
}

/// What the coordinator's log says of the rounds.
struct Log {
    steps_ms: Vec<u64>,
    failed: usize,
    without_a_site: usize,
}

impl Log {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a report has the log");
        let mut log = Self { steps_ms: Vec::new(), failed: 0, without_a_site: 0 };
        let mut before: Option<Time> = None;
        for line in text.lines() {
            match serde_json::from_str(line).expect("an event") {
                StudyEvent::Started { time, .. } => before = Some(time),
                StudyEvent::RoundClosed { time, .. } => {
                    let from = before.replace(time).expect("a study starts before its rounds");
                    let took = time.unix_ms() - from.unix_ms();
                    log.steps_ms.push(took.try_into().expect("the clock does not go back"));
                }
                StudyEvent::AttemptFailed { .. } => log.failed += 1,
                StudyEvent::SumClosed { survivors, .. } if survivors.len() < SITES as usize => {
                    log.without_a_site += 1;
                }
                _ => {}
            }
        }
        log.steps_ms.sort_unstable();
        log
    }
}
