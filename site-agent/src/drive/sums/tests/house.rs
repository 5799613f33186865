//! Hospitals with real homes, ledgers and tables, and a distributed study of theirs.

use crate::approval;
use crate::compute::Seed;
use crate::data::{self, Loaded, SplitKey};
use crate::disk::{Disk, OsDisk};
use crate::drive::agent::Agent;
use crate::files;
use crate::home::{Coordinator, Home};
use crate::ledger::{Genesis, LedgerStore};
use crate::policy::DEFAULT;
use crate::testing::{coordinator, key, now};
use consilium_common::id::SiteName;
use consilium_common::privacy::noise::secret_rng;
use consilium_common::protocol::{Decision, Start};
use consilium_common::signed::Signed;
use consilium_common::study::{self, Mode, RosterSite, Study};
use consilium_common::time::Time;
use rand_core::Rng as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const STUDY: &str = include_str!("../../../../../common/src/study/testdata/example.toml");

pub(super) fn name(i: usize) -> SiteName {
    ["ashford", "brackley", "corby", "daventry"][i].parse().expect("a name")
}

/// Moves on by a part of a second at each look.
fn clock() -> Time {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    now().plus_ms(LOOKS.fetch_add(1, Ordering::Relaxed) * 37)
}

/// A study of so many hospitals, three of which a sum needs.
pub(super) fn study_text(sites: usize, edits: &[(&str, &str)]) -> String {
    let listed = |i| RosterSite { name: name(i), key: key(i).public(), people_public: 600, weight: 1 << 16 };
    let mut text = STUDY.to_owned();
    let distributed = [
        ("mode              = \"local\"", "colluding = 1\nmode = \"distributed\""),
        ("rounds           = 20", "rounds = 6"),
        ("spare_rounds     = 2", "spare_rounds = 8"),
        ("local_steps      = 2", "local_steps = 1"),
        ("quorum           = 2", "quorum = 3"),
        ("reply_tick_ms    = 250", "reply_tick_ms = 10"),
    ];
    for (from, to) in distributed.iter().chain(edits) {
        assert!(text.contains(from), "the case changes something: {from}");
        text = text.replacen(from, to, 1);
    }
    let roster: Vec<_> = (0..sites).map(listed).collect();
    study::fill(&text, &roster, None).unwrap_or_else(|mistakes| panic!("{mistakes}")).text
}

/// One hospital, with or without its agent running.
pub(super) struct House {
    dir: TempDir,
    pub(super) i: usize,
    pub(super) study: Arc<Study>,
    /// What its agent drew, in order.
    pub(super) seeds: Arc<Mutex<Vec<Seed>>>,
}

impl House {
    /// A hospital that approved the study.
    pub(super) fn new(i: usize, sites: usize, text: &str) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let home = Home::create(&dir.path().join("agent"), name(i)).expect("made").home;
        let secret = hex::encode([u8::try_from(i).expect("small") + 1; 32]);
        files::write(&home.dir().join("identity/ledger.key"), secret.as_bytes()).expect("written");
        let known: String = (0..sites)
            .filter(|other| *other != i)
            .map(|other| format!("{} = \"{}\"\n", name(other), key(other).public()))
            .collect();
        let opt_outs = dir.path().join("no.csv");
        std::fs::write(&opt_outs, "person_id\n").expect("written");
        let lists = format!("[[opt_out]]\nlist = \"register\"\npath = {opt_outs:?}\n");
        let policy = DEFAULT.replacen("[known_sites]\n", &format!("{lists}[known_sites]\n{known}"), 1);
        files::write(&home.policy_path(), policy.as_bytes()).expect("written");
        let caps = home.policy().expect("a policy").caps;
        let genesis = Genesis { site: name(i), dataset: format!("d{i}"), software: "test".into(), caps };
        let told = Some(coordinator().public());
        drop(LedgerStore::create(&home.ledger_dir(), key(i), told, genesis, now()).expect("a ledger"));
        home.finish(&name(i)).expect("finished");
        let told = Coordinator {
            schema: "coordinator/1".into(),
            address: "https://127.0.0.1:1".parse().expect("an address"),
            key: coordinator().public(),
        };
        home.keep_identity("", &[], &Vec::new().into(), &told).expect("kept");
        let study = Arc::new(study::parse(text.as_bytes()).expect("valid"));
        approval::keep_study(&home, study.digest, text.as_bytes()).expect("kept");
        let yes = approval::sign(&study, &name(i), Decision::Approve, "A. Bird", now(), &key(i));
        approval::keep_decision(&home, &study.digest, &yes).expect("kept");
        let row = |p: usize| {
            let (age, before, outcome) = (20 + (p * 7 + i) % 60, p % 3, (p + i) % 2);
            format!("p{p},{age},25,female,{before},{outcome}\n")
        };
        let rows: String = (0..500).map(row).collect();
        let table = format!("person_id,age,bmi,sex,prior_admissions,readmitted_30d\n{rows}");
        std::fs::write(dir.path().join("table.csv"), table).expect("written");
        Self { dir, i, study, seeds: Arc::default() }
    }

    pub(super) fn table(&self) -> PathBuf {
        self.dir.path().join("table.csv")
    }

    pub(super) fn home(&self) -> Home {
        Home::open(&self.dir.path().join("agent")).expect("made")
    }

    /// The start that all of them approved.
    pub(super) fn start(study: &Study, sites: usize) -> Vec<u8> {
        let approve = |i| approval::sign(study, &name(i), Decision::Approve, "A. Bird", now(), &key(i));
        let approvals = (0..sites).map(approve).collect();
        let key = coordinator();
        let start = Start { study: study.digest, approvals, time: now(), coordinator: key.public() };
        serde_json::to_vec(&Signed::new(&start, &key)).expect("plain data")
    }

    /// Its agent, freshly started; every seed that it draws is kept here.
    pub(super) fn agent(&self) -> Agent {
        self.agent_on(Arc::new(OsDisk))
    }

    pub(super) fn agent_on(&self, disk: Arc<dyn Disk>) -> Agent {
        let home = self.home();
        let config = home.config().expect("valid");
        let agent = Agent::open_on(disk, home, &config, Some(self.table()), clock);
        let (seeds, i) = (Arc::clone(&self.seeds), self.i);
        agent.unwrap_or_else(|error| panic!("{error}")).with_entropy(move || {
            let mut drawn = seeds.lock().expect("held for a moment");
            let count = drawn.len() as u64;
            let mut start = [0; 32];
            start[..8].copy_from_slice(&count.to_le_bytes());
            start[8] = u8::try_from(i).expect("small");
            let mut seed = Seed::default();
            secret_rng(start).fill_bytes(&mut seed[..]);
            drawn.push(seed.clone());
            Ok(seed)
        })
    }

    /// Where the ids of people who opted out are.
    pub(super) fn opt_outs(&self) -> PathBuf {
        self.dir.path().join("no.csv")
    }

    /// Its people without those who opted out, as the agent would read them from a table that never had these.
    pub(super) fn data(&self) -> Loaded {
        let split = SplitKey::from_bytes(*self.home().split_key().expect("made"));
        let out = std::fs::read_to_string(self.opt_outs()).expect("there");
        let table = std::fs::read_to_string(self.table()).expect("there");
        let stays = |row: &&str| !out.lines().skip(1).any(|id| row.split(',').next() == Some(id));
        let kept: String = table.lines().filter(stays).map(|row| format!("{row}\n")).collect();
        let path = self.dir.path().join("without.csv");
        std::fs::write(&path, kept).expect("written");
        data::load_tolerant(&path, &self.study, &split).expect("a table").0
    }

    /// Its ledger, once no agent holds it.
    pub(super) fn ledger(&self) -> LedgerStore {
        LedgerStore::open(&self.home().ledger_dir(), key(self.i), None).expect("whole")
    }
}

/// What the study's parser makes of it.
pub(super) fn is_distributed(study: &Study) -> bool {
    matches!(study.privacy.mode, Mode::Distributed { .. })
}
