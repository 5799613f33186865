//! What a round costs beside the training: a real coordinator process, real mutual TLS on loopback,
//! its disk synced as ever, and sites that answer each task at once with an update of the right size.
//!
//! `cargo bench --workspace --bench rounds` measures everything (some minutes; a case that would
//! take more than one is skipped, and says so). With `-- --quick` only 2 and 4 sites and two sizes;
//! `cargo bench --profile dev --workspace --bench rounds -- --quick` needs no optimised build.
//! `-- SITES PARAMETERS` measures one case. `TMPDIR` chooses the disk. The sites are enrolled by the real agent, and speak through its own
//! `Link`, but they keep no ledger and train nothing. They share this machine's cores with the
//! coordinator: what they do (receive, hash, encode, send) is part of the figures.

use consilium_common::id::{Digest, SiteName};
use consilium_common::key::PublicKey;
use consilium_common::model::Architecture;
use consilium_common::model::blob::{self, HEADER_MAX, ModelHeader, UpdateHeader};
use consilium_common::protocol::{Decision, Task};
use consilium_common::study::{self, Study};
use consilium_common::time::Time;
use consilium_common::tls;
use consilium_tests::Federation;
use consilium_tests::measure::{build_programs, cpu, peak_kib};
use site_agent::approval;
use site_agent::connect::Dialer;
use site_agent::home::Home;
use site_agent::link::{Link, OutputOf};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// Sites of a study.
const SITES: &[u32] = &[2, 4, 8, 16];
/// Parameters (about), and rounds.
const SIZES: &[(usize, u32)] = &[(1_000, 20), (100_000, 10), (10_000_000, 3)];
/// Inputs of the shipped synthetic study, missing indicators included.
const INPUTS: usize = 26;
/// A case that is expected to take longer is skipped.
const CASE_MAX: Duration = Duration::from_secs(60);
/// A case that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    // Cargo says --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (sites, sizes) = match words[..] {
        [] => (SITES.to_vec(), SIZES.to_vec()),
        ["--quick"] => (SITES[..2].to_vec(), SIZES[..2].to_vec()),
        [sites, parameters] => match (sites.parse(), parameters.parse()) {
            (Ok(sites @ 2..=26), Ok(parameters @ 1_000..=15_000_000)) => {
                let like = SIZES.iter().rfind(|(at_least, _)| *at_least <= parameters);
                (vec![sites], vec![(parameters, like.expect("the smallest is 1,000").1)])
            }
            _ => return usage(),
        },
        _ => return usage(),
    };
    build_programs();
    println!("sites  parameters  rounds    p50 ms    p95 ms  rounds/s  coordinator MiB  its CPU ms/round");
    for &(parameters, rounds) in &sizes {
        let mut before: Option<Measured> = None;
        for &sites in &sites {
            // Twice the sites cost twice the bytes.
            let expected = before.as_ref().map_or(Duration::ZERO, |b| b.wall * sites / b.sites);
            if expected > CASE_MAX {
                println!("{sites:5}  {parameters:10}  skipped: it would take about {} s", expected.as_secs());
                continue;
            }
            let measured = measure(sites, &hidden(parameters), rounds);
            println!("{}", measured.row());
            before = Some(measured);
        }
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("expected nothing, --quick, or SITES (2 to 26) and PARAMETERS (1,000 to 15,000,000)");
    ExitCode::from(2)
}

/// Two equal hidden layers that come closest to so many parameters.
fn hidden(parameters: usize) -> [usize; 2] {
    let count =
        |width: usize| Architecture { inputs: INPUTS, hidden: vec![width; 2], outputs: 1 }.parameters();
    let above = (1..).find(|&width| count(width) >= parameters).expect("widths go on");
    let width = if count(above) - parameters <= parameters - count(above - 1) { above } else { above - 1 };
    [width; 2]
}

/// One row of the table.
struct Measured {
    sites: u32,
    parameters: usize,
    /// From a round's first task to the next round's first task, ascending.
    latencies: Vec<Duration>,
    /// All rounds together.
    wall: Duration,
    /// The coordinator's peak resident memory, KiB; not every system says.
    coordinator_peak_kib: Option<u64>,
    /// The coordinator's CPU time over all rounds; on a busy machine more telling than the wall's.
    coordinator_cpu: Option<Duration>,
}

impl Measured {
    fn row(&self) -> String {
        let rounds = self.latencies.len();
        let percentile = |p: usize| self.latencies[(rounds * p).div_ceil(100) - 1].as_secs_f64() * 1e3;
        #[expect(clippy::cast_precision_loss, reason = "few rounds, and memory in KiB")]
        let (count, mib) = (rounds as f64, self.coordinator_peak_kib.map(|kib| kib as f64 / 1024.0));
        let cpu_ms = self.coordinator_cpu.map(|cpu| cpu.as_secs_f64() * 1e3 / count);
        let known = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.0}"));
        format!(
            "{:5}  {:10}  {rounds:6}  {:8.1}  {:8.1}  {:8.2}  {:>15}  {:>16}",
            self.sites,
            self.parameters,
            percentile(50),
            percentile(95),
            count / self.wall.as_secs_f64(),
            known(mib),
            known(cpu_ms),
        )
    }
}

/// Runs one study from enrolment to the end of its last round, and checks the model that came out.
fn measure(sites: u32, hidden: &[usize; 2], rounds: u32) -> Measured {
    let mut federation = Federation::enrolled(sites, 100 * sites);
    // Not the coordinator that enrolled: its memory should be that of a study alone.
    federation.kill_coordinator();
    federation.start_coordinator();
    let quorum = sites.min(3).to_string();
    let file = federation.study(
        "3",
        &[
            ("family", &format!("\"mlp\"\nhidden = {hidden:?}")),
            ("rounds", &rounds.to_string()),
            ("local_steps", "1"),
            ("quorum", &quorum),
            ("min_sites", &quorum),
            ("deadline_s", &PATIENCE.as_secs().to_string()),
        ],
    );
    let study = study::parse(&std::fs::read(&file).expect("written")).expect("a valid study");
    let digest = federation.publish(&file);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let case = Arc::new(Case::new(study));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut links: Vec<_> = federation
        .sites
        .iter()
        .map(|site| runtime.block_on(approved(&case.study, Path::new(&federation.home(site)))))
        .collect();
    let process = federation.coordinator_process().expect("it runs").id();
    let cpu_before = cpu(process);
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    let finished = runtime.block_on(async {
        let mut at_work = tokio::task::JoinSet::new();
        for (link, coordinator, site) in links.clone() {
            at_work.spawn(Arc::clone(&case).take_part(link, coordinator, site, Arc::clone(&seen)));
        }
        tokio::time::timeout(PATIENCE, at_work.join_all()).await
    });
    let _ = finished.unwrap_or_else(|_| panic!("not within {PATIENCE:?}\n{}", federation.log("coordinator")));

    let seen = seen.lock().expect("no site panicked");
    assert_eq!(seen.at.len(), rounds as usize + 1, "each round's first task, and the evaluation's");
    let mut latencies: Vec<_> = seen.at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    latencies.sort_unstable();
    let coordinator_peak_kib = peak_kib(process);
    let coordinator_cpu = cpu(process).and_then(|after| after.checked_sub(cpu_before?));
    runtime.block_on(case.check(&mut links[0].0, &seen, rounds));
    Measured {
        sites,
        parameters: case.update.len(),
        wall: latencies.iter().sum(),
        latencies,
        coordinator_peak_kib,
        coordinator_cpu,
    }
}

/// A site that is enrolled connects with its own certificate and approves the study.
async fn approved(study: &Study, home: &Path) -> (Link, PublicKey, SiteName) {
    let home = Home::open(home).expect("made by init");
    let config = home.config().expect("made by init");
    let identity = home.tls_identity().expect("enrolled");
    let coordinator = home.coordinator(&config).expect("enrolled");
    let config_tls =
        tls::client_config(&identity.authority, Some((identity.chain, identity.key))).expect("enrolled");
    let dialer = Dialer::new(coordinator.address, None, config_tls);
    let (mut link, _) = Link::open(&dialer).await.expect("the coordinator answers");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let now = i64::try_from(now.as_millis()).ok().and_then(|ms| Time::from_unix_ms(ms).ok());
    let now = now.expect("before the year 9999");
    let key = home.ledger_key().expect("made by init");
    let approval = approval::sign(study, &config.site, Decision::Approve, "", now, &key);
    link.submit_approval(&approval).await.expect("taken");
    (link, coordinator.key, config.site)
}

/// When what was first seen, and of which model.
#[derive(Default)]
struct Seen {
    /// The first task of each round, then the evaluation's.
    at: Vec<Instant>,
    /// The models in the same order.
    models: Vec<Digest>,
}

impl Seen {
    /// Notes a stage (a round, or after the last one the evaluation) if nobody has yet.
    fn note(&mut self, stage: usize, model: Digest) {
        if self.at.len() == stage {
            self.at.push(Instant::now());
            self.models.push(model);
        }
        assert_eq!(self.models.get(stage), Some(&model), "every site gets the same model");
    }
}

/// What every site of a case does.
struct Case {
    study: Study,
    /// The change of each parameter in every update, units of 2^-24.
    update: Vec<i32>,
}

impl Case {
    fn new(study: Study) -> Self {
        let parameters = i32::try_from(study.architecture().parameters()).expect("below 10^8");
        // Small and all different: what was lost or moved on the way would show.
        let update = (0..parameters).map(|i| i.wrapping_mul(-1_640_531_527) >> 12).collect();
        Self { study, update }
    }

    /// Answers each task until training is over.
    async fn take_part(
        self: Arc<Self>,
        mut link: Link,
        coordinator: PublicKey,
        site: SiteName,
        seen: Arc<Mutex<Seen>>,
    ) {
        let note = |stage: usize, model| seen.lock().expect("no site panicked").note(stage, model);
        let model_bytes_max = 4 * self.update.len() + HEADER_MAX;
        let mut stage = 0;
        loop {
            match link.next_task().await.expect("the coordinator answers") {
                None => {}
                Some(Task::Train { study, round, model }) => {
                    stage = usize::try_from(round).expect("few rounds") + 1;
                    note(stage - 1, model);
                    drop(link.fetch_model(&study, &model, model_bytes_max).await.expect("the model"));
                    let header = UpdateHeader {
                        schema: "update/1".into(),
                        study,
                        round,
                        model,
                        site: site.clone(),
                        parameters: self.update.len(),
                    };
                    let bytes = blob::encode(&header, &self.update);
                    let sent = link.submit_output(&study, &OutputOf::Round(round), bytes).await;
                    sent.expect("taken").verify(&coordinator).expect("signed by the coordinator");
                }
                Some(Task::Evaluate { model, .. }) => return note(stage, model),
                Some(Task::Sum { .. }) => panic!("the study has no secure sums"),
                Some(Task::Close { .. }) => panic!("the coordinator gave the study up"),
            }
        }
    }

    /// All sites sent the same update, so the last model is the first one and `rounds` updates.
    async fn check(&self, link: &mut Link, seen: &Seen, rounds: u32) {
        let first = self.model(link, &seen.models[0]).await.1;
        let (header, last) = self.model(link, seen.models.last().expect("there are rounds")).await;
        assert_eq!(header.round, rounds);
        let rounds = i32::try_from(rounds).expect("few rounds");
        let moved = first.iter().zip(&self.update).map(|(&value, &step)| value + rounds * step);
        assert!(moved.eq(last), "the model is not what the updates make it");
    }

    async fn model(&self, link: &mut Link, model: &Digest) -> (ModelHeader, Vec<i32>) {
        let limit = 4 * self.update.len() + HEADER_MAX;
        let bytes = link.fetch_model(&self.study.digest, model, limit).await.expect("the model");
        blob::decode(&bytes).expect("a model")
    }
}
