//! One hospital with a real agent, home and ledger, played against a [`Scripted`] coordinator: time
//! and chance are given, so that the same play can be had twice.

mod asked;

pub use asked::{CLIP_NORM, StudyOf, TRAINING_SHARE};

use crate::scripted::{HOST, Script, Scripted, Seen, server_tls};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::SecretKey;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::model::initial::initial_parameters;
use consilium_common::privacy::noise::secret_rng;
use consilium_common::protocol::{Decision, Start, Task};
use consilium_common::signed::Signed;
use consilium_common::study::{self, Study};
use consilium_common::time::Time;
use coordinator::ca::{Authority, Identity};
use rand_core::Rng as _;
use rcgen::{CertificateParams, KeyPair};
use site_agent::approval;
use site_agent::compute::Seed;
use site_agent::doctor;
use site_agent::drive::{self, Agent};
use site_agent::home::{Coordinator, Home, SOFTWARE};
use site_agent::ledger::{Genesis, LedgerStore};
use std::cell::Cell;
use std::time::SystemTime;
use tempfile::TempDir;
use tokio::net::TcpListener;

const SITES: [&str; 3] = ["ashford", "brackley", "corby"];

fn parse(text: &str) -> Study {
    study::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn keys() -> [SecretKey; 3] {
    [0, 1, 2].map(own_key)
}

fn own_key(site: u8) -> SecretKey {
    SecretKey::from_seed(&[site + 1; 32])
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
}

/// What a play left for others to see.
pub struct Played {
    /// All that the coordinator saw, in order.
    pub seen: Vec<Seen>,
    /// The ledger's files as an auditor gets them.
    pub ledger: Vec<(String, Vec<u8>)>,
}

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// Moves on by a part of a second at each look of this thread: entries differ in their time when an
/// agent looks at the clock more often.
fn clock() -> Time {
    start_time().plus_ms(LOOKS.replace(LOOKS.get() + 1) * 317)
}

fn start_time() -> Time {
    "2027-03-01T09:00:00Z".parse().expect("a time")
}

impl Play<'_> {
    /// Plays. Every round starts from the model of zeros for logistic
    /// regression (the initial model for others): a coordinator may choose what it sends.
    ///
    /// # Panics
    /// The agent stops.
    #[must_use]
    pub fn run(&self) -> Played {
        LOOKS.set(0);
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.play(&folder))
    }

    async fn play(&self, folder: &TempDir) -> Played {
        let keys = keys();
        let text = self.study.text(&keys);
        let study = parse(&text);
        let key = SecretKey::from_seed(&[99; 32]);
        let approve = |i: usize| {
            let site = SITES[i].parse().expect("a name");
            approval::sign(&study, &site, Decision::Approve, "A. Bird", start_time(), &keys[i])
        };
        let start = Start {
            study: study.digest,
            approvals: (0..3).map(approve).collect(),
            time: start_time(),
            coordinator: key.public(),
        };
        let initial = initial_parameters(&study.architecture(), &study.digest);
        let model = |round: u32| {
            let architecture = study.architecture();
            let header = ModelHeader { schema: "model/1".into(), study: study.digest, round, architecture };
            blob::encode(&header, &initial)
        };
        let mut script = Script {
            site: site(),
            study: study.digest,
            start: serde_json::to_vec(&Signed::new(&start, &key)).expect("plain data"),
            tasks: Vec::new(),
            models: (0..=self.study.rounds).map(|r| (Digest::of(&model(r)), model(r))).collect(),
            time: start_time(),
            witness: (SITES[1].parse().expect("a name"), own_key(1)),
            key,
        };
        let of = |round| Digest::of(&model(round));
        let task = |ask: &Ask| match *ask {
            Ask::Train(round) => Task::Train { study: study.digest, round, model: of(round) },
            Ask::Evaluate => Task::Evaluate { study: study.digest, model: of(self.study.rounds) },
            Ask::Close => Task::Close { study: study.digest },
        };
        script.tasks = self.asks.iter().map(task).collect();
        let coordinator = script.key.public();
        let (scripted, over) = Scripted::new(script);

        // Certificates are checked against the machine's clock.
        let ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis();
        let today = Time::from_unix_ms(i64::try_from(ms).expect("far off")).expect("far off");
        let ca = Authority::create("test", today).expect("made");
        let authority = Authority::load(&ca.certificate, &ca.key).expect("loads");
        let Identity { certificate, key } = authority.server(&[HOST.into()], today).expect("made");
        let tls = server_tls(&ca.certificate, &certificate, &key);
        let listener = TcpListener::bind((HOST, 0)).await.expect("a port");
        let address = format!("https://{HOST}:{}", listener.local_addr().expect("bound").port());
        let told = Coordinator {
            schema: "coordinator/1".into(),
            address: address.parse().expect("an address"),
            key: coordinator,
        };
        tokio::spawn(scripted.clone().serve(listener, tls));

        let home = self.home(folder, &text, &study, &authority, &ca.certificate, &told, today);
        let config = home.config().expect("made");
        let dialer = doctor::dialer(&home, &config).expect("enrolled");
        let ledger = home.ledger_dir();
        let table = folder.path().join("table.csv");
        std::fs::write(&table, self.table).expect("written");
        let mut rng = secret_rng(self.seed);
        let mut agent = Agent::open(home, &config, Some(table), clock)
            .unwrap_or_else(|error| panic!("{error}"))
            .with_entropy(move || {
                let mut seed = Seed::default();
                rng.fill_bytes(&mut seed[..]);
                Ok(seed)
            });
        drive::serve(&mut agent, &dialer, over).await.unwrap_or_else(|stop| panic!("{stop}"));
        drop(agent);
        let [key, ..] = keys;
        let ledger = LedgerStore::open(&ledger, key, None).expect("closed by the agent, and whole");
        Played { seen: scripted.seen(), ledger: ledger.export_tiles().expect("whole") }
    }

    /// An enrolled home with the study approved in it. The roster's keys are fixed, and so is the key
    /// that decides who trains.
    #[expect(clippy::too_many_arguments, reason = "one play's own parts")]
    fn home(
        &self,
        folder: &TempDir,
        text: &str,
        study: &Study,
        authority: &Authority,
        authority_pem: &str,
        told: &Coordinator,
        today: Time,
    ) -> Home {
        let keys = keys();
        let home = Home::create(&folder.path().join("agent"), site()).expect("made").home;
        for (name, byte) in [("ledger.key", 1_u8), ("split.key", 7)] {
            let path = home.dir().join("identity").join(name);
            std::fs::write(path, hex::encode([byte; 32])).expect("written");
        }
        let known = format!(
            "[known_sites]\n{} = \"{}\"\n{} = \"{}\"\n",
            SITES[1],
            keys[1].public(),
            SITES[2],
            keys[2].public()
        );
        let mut policy = std::fs::read_to_string(home.policy_path()).expect("made");
        let wide = [
            ("[known_sites]\n", known.as_str()),
            ("epsilon_total = 10.0", "epsilon_total = 200.0"),
            ("epsilon_per_study = 8.0", "epsilon_per_study = 100.0"),
        ];
        for (from, to) in wide {
            assert!(policy.contains(from), "the default policy holds {from}");
            policy = policy.replacen(from, to, 1);
        }
        std::fs::write(home.policy_path(), policy).expect("written");
        let caps = home.policy().expect("a policy").caps;
        let genesis = Genesis { site: site(), dataset: "d1".into(), software: SOFTWARE.into(), caps };
        let [key, ..] = keys;
        let yes = approval::sign(study, &site(), Decision::Approve, "A. Bird", start_time(), &key);
        drop(
            LedgerStore::create(&home.ledger_dir(), key, Some(told.key), genesis, start_time())
                .expect("made"),
        );
        home.finish(&site()).expect("finished");
        let pair = KeyPair::generate().expect("a key");
        let request = CertificateParams::default().serialize_request(&pair).expect("a request");
        let leaf = authority.site(&site(), request.der(), today).expect("signed");
        let root = consilium_common::tls::certificates_from_pem(authority_pem.as_bytes()).expect("PEM");
        home.keep_identity(&pair.serialize_pem(), &[leaf], &root[0], told).expect("kept");
        approval::keep_study(&home, study.digest, text.as_bytes()).expect("kept");
        approval::keep_decision(&home, &study.digest, &yes).expect("kept");
        home
    }
}
