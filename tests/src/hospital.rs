//! One hospital with a real agent, home and ledger, played against a [`Scripted`] coordinator: time
//! and chance are given, so that the same play can be had twice.

mod asked;
pub mod home;

pub use asked::{CLIP_NORM, StudyOf, TRAINING_SHARE};

use crate::scripted::{Script, Scripted, Seen};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::SecretKey;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::privacy::noise::secret_rng;
use consilium_common::protocol::Task;
use consilium_common::study::{self, Study};
use consilium_common::time::Time;
use home::{Enrolled, Gate, keys_of, own_key};
use rand_core::Rng as _;
use site_agent::compute::Seed;
use site_agent::doctor;
use site_agent::drive::{self, Agent};
use site_agent::home::HomeError;
use site_agent::ledger::LedgerStore;
use std::cell::Cell;
use std::path::Path;
use tempfile::TempDir;

/// The hospitals of a roster, in its order. The first is the one whose agent plays.
pub const SITES: [&str; 4] = ["ashford", "brackley", "corby", "dunmore"];
/// As many of them take part in a play.
const PLAYERS: usize = 3;

fn parse(text: &str) -> Study {
    study::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The site whose agent plays.
///
/// # Panics
/// Never.
#[must_use]
pub fn site() -> SiteName {
    SITES[0].parse().expect("a name")
}

/// What the agent is asked, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// This round.
    Train(u32),
    /// The evaluation of the last model.
    Evaluate,
    /// The end.
    Close,
}

/// A play: the study, the hospital's table, what is asked, and all chance.
pub struct Play<'a> {
    /// The study.
    pub study: &'a StudyOf,
    /// CSV with columns `person_id,role,y,sex,c0,…`.
    pub table: &'a str,
    /// In order.
    pub asks: &'a [Ask],
    /// Every seed and nonce of the agent comes from here.
    pub seed: [u8; 32],
    /// The hospital's list of people who opted out, if it has one: where it is kept, which the policy says, and who is on it.
    pub opted_out: Option<(&'a Path, &'a [&'a str])>,
}

/// What a play left for others to see.
pub struct Played {
    /// All that the coordinator saw, in order.
    pub seen: Vec<Seen>,
    /// The ledger's files as an auditor gets them.
    pub ledger: Vec<(String, Vec<u8>)>,
}

/// As [`Play`], of any study and any data.
pub struct PlayOf<'a> {
    /// The study's file, given the keys on its roster.
    pub text: &'a dyn Fn(&[SecretKey]) -> String,
    /// A table, or a folder of OMOP tables.
    pub data: &'a Path,
    /// As in [`Play`].
    pub asks: &'a [Ask],
    /// As in [`Play`].
    pub seed: [u8; 32],
    /// As in [`Play`].
    pub opted_out: Option<(&'a Path, &'a [&'a str])>,
}

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// Moves on by a part of a second at each look of this thread: entries differ in their time when an
/// agent looks at the clock more often.
pub(crate) fn clock() -> Time {
    start_time().plus_ms(LOOKS.replace(LOOKS.get() + 1) * 317)
}

/// When every play begins.
pub(crate) fn start_time() -> Time {
    "2027-03-01T09:00:00Z".parse().expect("a time")
}

/// For an agent's home, in memory where it can be: no disk is asked whether it keeps what is written.
pub(crate) fn folder() -> TempDir {
    const MEMORY: &str = "/dev/shm";
    let folder = if Path::new(MEMORY).is_dir() { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() };
    folder.expect("a folder")
}

/// Every seed and nonce of an agent, from one.
pub(crate) fn given(seed: [u8; 32]) -> impl FnMut() -> Result<Seed, HomeError> {
    let mut rng = secret_rng(seed);
    move || {
        let mut seed = Seed::default();
        rng.fill_bytes(&mut seed[..]);
        Ok(seed)
    }
}

impl Play<'_> {
    /// Plays. Every round starts from the model of zeros for logistic
    /// regression (the initial model for others): a coordinator may choose what it sends.
    ///
    /// # Panics
    /// The agent stops.
    #[must_use]
    pub fn run(&self) -> Played {
        let folder = tempfile::tempdir().expect("a folder");
        let table = folder.path().join("table.csv");
        std::fs::write(&table, self.table).expect("written");
        let text = |keys: &[SecretKey]| self.study.text(keys);
        let Self { asks, seed, opted_out, .. } = *self;
        PlayOf { text: &text, data: &table, asks, seed, opted_out }.run()
    }
}

impl PlayOf<'_> {
    /// As [`Play::run`].
    ///
    /// # Panics
    /// The agent stops.
    #[must_use]
    pub fn run(&self) -> Played {
        LOOKS.set(0);
        let folder = folder();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.play(&folder))
    }

    async fn play(&self, folder: &TempDir) -> Played {
        let keys = keys_of(PLAYERS);
        let text = (self.text)(&keys);
        let study = parse(&text);
        let key = SecretKey::from_seed(&[99; 32]);
        let enrolled =
            Enrolled { text: &text, study: &study, keys: &keys, known: PLAYERS, signed: start_time() };
        let (initial, rounds) = (study.initial_parameters(), study.privacy.training.rounds);
        let model = |round: u32| {
            let architecture = study.architecture();
            let header = ModelHeader { schema: "model/1".into(), study: study.digest, round, architecture };
            blob::encode(&header, &initial)
        };
        let mut script = Script {
            site: site(),
            study: study.digest,
            start: enrolled.start(PLAYERS, &key),
            tasks: Vec::new(),
            models: (0..=rounds).map(|r| (Digest::of(&model(r)), model(r))).collect(),
            time: start_time(),
            witness: (SITES[1].parse().expect("a name"), SecretKey::from_seed(&[2; 32])),
            key,
        };
        let of = |round| Digest::of(&model(round));
        let task = |ask: &Ask| match *ask {
            Ask::Train(round) => Task::Train { study: study.digest, round, model: of(round) },
            Ask::Evaluate => Task::Evaluate { study: study.digest, model: of(rounds) },
            Ask::Close => Task::Close { study: study.digest },
        };
        script.tasks = self.asks.iter().map(task).collect();
        let coordinator = script.key.public();
        let (scripted, over) = Scripted::new(script);

        let gate = Gate::open(coordinator).await;
        let home = enrolled.home(&folder.path().join("agent"), &gate);
        if let Some((path, ids)) = self.opted_out {
            let rows: String = ids.iter().map(|id| format!("{id}\n")).collect();
            std::fs::write(path, format!("person_id\n{rows}")).expect("written");
            let policy = std::fs::read_to_string(home.policy_path()).expect("made");
            let list = format!("\n[[opt_out]]\nlist = \"site-register\"\npath = {path:?}\n");
            std::fs::write(home.policy_path(), policy + &list).expect("written");
        }
        let Gate { listener, tls, .. } = gate;
        tokio::spawn(scripted.clone().serve(listener, tls));
        let config = home.config().expect("made");
        let dialer = doctor::dialer(&home, &config).expect("enrolled");
        let ledger = home.ledger_dir();
        let data = Some(self.data.to_owned());
        let mut agent = Agent::open(home, &config, data, clock)
            .unwrap_or_else(|error| panic!("{error}"))
            .with_entropy(given(self.seed));
        drive::serve(&mut agent, &dialer, over).await.unwrap_or_else(|stop| panic!("{stop}"));
        drop(agent);
        let ledger = LedgerStore::open(&ledger, own_key(), None).expect("closed by the agent, and whole");
        Played { seen: scripted.seen(), ledger: ledger.export_tiles().expect("whole") }
    }
}
