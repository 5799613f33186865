//! One real agent in a secure sum whose coordinator and other hospitals are the test's: what it is told
//! can be a lie at every message, and all that it says is heard. The agent is the program that hospitals
//! run, in a process of its own; what it wrote down is read from its ledger. For a play that is to be had
//! twice it runs in this process, with given time and chance ([`Besieged::seed`]).

mod here;
pub mod line;
pub mod peers;
pub mod play;

use crate::hospital::home::{Enrolled, Gate, keys_of, now, own_key};
use crate::hospital::{SITES, StudyOf, folder, site, start_time};
use crate::scripted::{Said, Script, Scripted, SecureStream};
use crate::{Process, replace};
use consilium_common::id::Digest;
use consilium_common::key::SecretKey;
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::protocol::Task;
use consilium_common::secagg::Agreement;
use consilium_common::study::secure::{self, Summed};
use consilium_common::study::{self, Mode, RosterSite, Study};
use consilium_common::time::Time;
use here::Here;
use line::Line;
use peers::{PerSite, index};
use site_agent::home::Home;
use site_agent::ledger::LedgerStore;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Nobody waits longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long before an agent starts its study was signed.
const SIGNED_BEFORE_MS: i64 = 60_000;

/// A study with secure sums among four hospitals: t = 3, one may collude.
#[derive(Debug, Clone)]
pub struct Besieged {
    /// The study, but for its mode.
    pub of: StudyOf,
    /// Attempts to spare.
    pub spare_rounds: u32,
    /// Secure sums, or updates of the sites' own.
    pub mode: Mode,
    /// The agent's table: see [`table`].
    pub table: String,
    /// How many hospitals the agent knows the keys of, itself included.
    pub known: usize,
    /// How many of them approved.
    pub participants: usize,
    /// All chance of an agent that runs in this process, from a seed, and by a clock that is given too: the same
    /// play can be had twice. None: the program that hospitals run, in a process of its own.
    pub seed: Option<[u8; 32]>,
}

impl Besieged {
    /// A logistic study of some rounds, in which the agent knows everybody.
    #[must_use]
    pub fn new(rounds: u32, features: usize) -> Self {
        let of = StudyOf {
            features,
            hidden: vec![],
            people_public: 300,
            sampling_rate: 0.1,
            rounds,
            local_steps: 1,
            noise_multiplier: 2.0,
            reply_tick_ms: 10,
            only_counted: None,
            role_column: true,
        };
        Self {
            of,
            spare_rounds: 12,
            mode: Mode::Distributed { colluding: 1 },
            table: table(features, 40),
            known: SITES.len(),
            participants: SITES.len(),
            seed: None,
        }
    }

    fn text(&self, keys: &[SecretKey]) -> String {
        let text = self.of.text(keys);
        let text = replace(&text, "spare_rounds", &self.spare_rounds.to_string());
        // Priced in milliseconds: the numbers of a study's list are no matter of these tests.
        let text = replace(&text, "accountant", "\"rdp\"");
        match self.mode {
            Mode::Local => text,
            Mode::Distributed { colluding } => {
                replace(&text, "mode", &format!("\"distributed\"\ncolluding = {colluding}"))
            }
        }
    }
}

/// People who train, with nothing in any column: only the bias of a model can move, and all else that an
/// agent sends is noise.
#[must_use]
pub fn table(features: usize, people: usize) -> String {
    let mut table = "person_id,role,y,sex".to_owned();
    (0..features).for_each(|i| {
        let _ = write!(table, ",c{i}");
    });
    table.push('\n');
    for person in 0..people {
        let _ = writeln!(table, "p{person},train,1,f{}", ",".repeat(features));
    }
    table
}

/// The agent, its home, and the coordinator that it is connected to.
pub struct Victim {
    folder: TempDir,
    home: Home,
    table: PathBuf,
    /// What it approved.
    pub study: Study,
    /// The coordinator, but for secure sums.
    pub scripted: Scripted,
    streams: mpsc::UnboundedReceiver<SecureStream>,
    running: Option<Running>,
    seed: Option<[u8; 32]>,
    participants: usize,
}

enum Running {
    Process(Process),
    Here(Here),
}

impl Victim {
    /// Enrols an agent and starts it; it is asked for `tasks` in their order.
    ///
    /// # Panics
    /// Anything fails.
    pub async fn new(besieged: &Besieged, tasks: impl Fn(&Study) -> Vec<Task>) -> Self {
        let folder = folder();
        let keys = keys_of(SITES.len());
        let text = besieged.text(&keys);
        let study = study::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let (signed, time) = if besieged.seed.is_some() {
            (start_time(), start_time())
        } else {
            // Signed a little ago: entries of the agent come after its genesis.
            let signed = Time::from_unix_ms(now().unix_ms() - SIGNED_BEFORE_MS);
            (signed.expect("after 1970"), now())
        };
        let enrolled = Enrolled { text: &text, study: &study, keys: &keys, known: besieged.known, signed };
        let key = SecretKey::from_seed(&[99; 32]);
        let gate = Gate::open(key.public()).await;
        let home = enrolled.home(&folder.path().join("agent"), &gate);
        let initial = initial_model(&study);
        let script = Script {
            site: site(),
            study: study.digest,
            start: enrolled.start(besieged.participants, &key),
            tasks: tasks(&study),
            models: [(Digest::of(&initial), initial)].into_iter().collect(),
            time,
            witness: (SITES[1].parse().expect("a name"), SecretKey::from_seed(&[2; 32])),
            key,
        };
        let (scripted, _) = Scripted::new(script);
        let streams = scripted.secure_streams();
        let Gate { listener, tls, .. } = gate;
        tokio::spawn(scripted.clone().serve(listener, tls));
        let table = folder.path().join("table.csv");
        std::fs::write(&table, &besieged.table).expect("written");
        let Besieged { participants, seed, .. } = *besieged;
        let mut victim =
            Self { folder, home, table, study, scripted, streams, running: None, seed, participants };
        victim.start();
        victim
    }

    /// As [`Self::new`], asked for secure sums; and its first stream.
    ///
    /// # Panics
    /// It opens none.
    pub async fn joined(besieged: &Besieged) -> (Self, Line) {
        let mut victim = Self::new(besieged, |study| vec![Task::Sum { study: study.digest }]).await;
        let line = victim.line().await;
        (victim, line)
    }

    /// Starts the program (again).
    pub fn start(&mut self) {
        self.running = Some(match self.seed {
            Some(seed) => Running::Here(Here::start(self.home.dir(), &self.table, seed)),
            None => Running::Process(agent(&self.home, &self.table, &self.folder.path().join("log"))),
        });
    }

    /// SIGKILL; an agent in this process stops when it is at rest.
    pub fn kill(&mut self) {
        match self.running.take() {
            Some(Running::Process(mut process)) => process.kill(),
            Some(Running::Here(here)) => here.stop(),
            None => {}
        }
    }

    /// Its next stream of secure sums.
    ///
    /// # Panics
    /// It opens none for a minute.
    pub async fn line(&mut self) -> Line {
        let stream = tokio::time::timeout(PATIENCE, self.streams.recv()).await;
        let Ok(Some(stream)) = stream else { panic!("no stream of secure sums came\n{}", self.log()) };
        Line::taken(stream, self.study.digest).await
    }

    /// Waits until it has declined a task; the rule.
    ///
    /// # Panics
    /// It does not for a minute.
    pub async fn declined(&self) -> String {
        let told = || {
            self.scripted.seen().into_iter().find_map(|seen| match seen.said {
                Said::Decline { rule } => Some(rule),
                _ => None,
            })
        };
        let start = std::time::Instant::now();
        loop {
            if let Some(rule) = told() {
                return rule;
            }
            assert!(start.elapsed() < PATIENCE, "nothing was declined\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until it has sent its ledger at the close of the study.
    ///
    /// # Panics
    /// It does not for a minute.
    pub async fn closed(&self) {
        let start = std::time::Instant::now();
        while !self.scripted.seen().iter().any(|seen| matches!(seen.said, Said::Ledger(_))) {
            assert!(start.elapsed() < PATIENCE, "the study was not closed\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it, and reads its ledger's exact entries.
    ///
    /// # Panics
    /// The ledger is damaged.
    pub fn entries(&mut self) -> Vec<Vec<u8>> {
        self.kill();
        let ledger = LedgerStore::open(&self.home.ledger_dir(), own_key(), None).expect("whole");
        ledger.entries_from(0, usize::MAX).expect("readable")
    }

    /// Kills it, and reads its ledger.
    ///
    /// # Panics
    /// The ledger is damaged.
    pub fn ledger(&mut self) -> Vec<Body> {
        let entries = self.entries();
        entries.iter().map(|bytes| Entry::from_bytes(bytes).expect("an entry").body).collect()
    }

    /// Who takes part.
    #[must_use]
    pub fn sites(&self) -> Vec<&RosterSite> {
        self.study.sites.iter().take(self.participants).collect()
    }

    /// What they agree on.
    ///
    /// # Panics
    /// The study has no such sums.
    #[must_use]
    pub fn agreement(&self, summed: Summed) -> Agreement {
        secure::agreement(&self.study, &self.sites(), summed).expect("a study of secure sums")
    }

    /// What the others sign with.
    #[must_use]
    pub fn identities(&self) -> PerSite<SecretKey> {
        let keys = keys_of(self.participants).into_iter().zip(1..).skip(1);
        keys.map(|(key, site)| (index(site), key)).collect()
    }

    /// The bytes of a round's model with these parameters; of the public initial one for round 0.
    #[must_use]
    pub fn model(&self, round: u32, values: &[i32]) -> Vec<u8> {
        if round == 0 { initial_model(&self.study) } else { model(&self.study, round, values) }
    }
}

/// The bytes of a study's public first model.
#[must_use]
pub fn initial_model(study: &Study) -> Vec<u8> {
    model(study, 0, &study.initial_parameters())
}

/// The rules that a ledger says were refused, with their counts.
#[must_use]
pub fn refusals(ledger: &[Body]) -> BTreeMap<String, u64> {
    let mut refusals = BTreeMap::new();
    for body in ledger {
        if let Body::Refusal { rule, count, .. } = body {
            *refusals.entry(rule.clone()).or_insert(0) += count;
        }
    }
    refusals
}

/// The masked vectors that a ledger allowed to leave: use, step and attempt of each.
#[must_use]
pub fn sent(ledger: &[Body]) -> Vec<(u64, u32, u32)> {
    let of = |body: &Body| match body {
        Body::CommitSum { index, step, attempt, .. } => Some((*index, *step, *attempt)),
        _ => None,
    };
    ledger.iter().filter_map(of).collect()
}

fn model(study: &Study, round: u32, values: &[i32]) -> Vec<u8> {
    let architecture = study.architecture();
    let header = ModelHeader { schema: "model/1".into(), study: study.digest, round, architecture };
    blob::encode(&header, values)
}

/// The program that hospitals run.
#[cfg(not(feature = "mutants"))]
fn agent(home: &Home, table: &Path, log: &Path) -> Process {
    let arguments = ["serve".as_ref(), "--home".as_ref(), home.dir(), "--data".as_ref(), table];
    Process::start("site-agent", arguments, log)
}

/// A build with broken variants serves nobody, so the test program plays it; in a process of its own, so
/// that only the agent is broken.
#[cfg(feature = "mutants")]
fn agent(home: &Home, table: &Path, log: &Path) -> Process {
    crate::mutants::agent(home.dir(), table, log)
}
