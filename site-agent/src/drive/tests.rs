//! An agent on a real home and ledger, without a coordinator.

mod frozen;

use super::agent::{Agent, Held};
use super::failed::TaskError;
use super::round::{commit, give_up, update};
use crate::compute::Round;
use crate::data::extract::tests::folders;
use crate::data::{Fault, InvalidTable};
use crate::home::{Coordinator, Home};
use crate::ledger::{Genesis, LedgerStore};
use crate::task::{self, Next};
use crate::testing::{approval, coordinator, key, now, policy_text, site, start, study_text};
use crate::{approval, files};
use consilium_common::id::Digest;
use consilium_common::ledger::checkpoint::{COORDINATOR, witness_name};
use consilium_common::ledger::rules::Outcome;
use consilium_common::protocol::Decision;
use consilium_common::study::{self, Study};
use consilium_common::time::Time;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const HEADER: &str = "person_id,age,bmi,sex,prior_admissions,readmitted_30d";

/// Moves on by a part of a second at each look.
fn clock() -> Time {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    now().plus_ms(LOOKS.fetch_add(1, Ordering::Relaxed) * 317)
}

/// A home whose agent has opened the example study, with this table.
struct Site {
    dir: TempDir,
    agent: Agent,
    study: Arc<Study>,
}

impl Site {
    fn new(table: Option<&str>) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let home = Home::create(&dir.path().join("agent"), site(0)).expect("made").home;
        // The roster of the example lists this key.
        let secret = hex::encode([1_u8; 32]);
        files::write(&home.dir().join("identity/ledger.key"), secret.as_bytes()).expect("written");
        files::write(&home.policy_path(), policy_text(&[]).as_bytes()).expect("written");
        let caps = home.policy().expect("a policy").caps;
        let genesis = Genesis { site: site(0), dataset: "d1".into(), software: "test".into(), caps };
        drop(LedgerStore::create(&home.ledger_dir(), key(0), None, genesis, now()).expect("a ledger"));
        home.finish(&site(0)).expect("finished");
        let told = Coordinator {
            schema: "coordinator/1".into(),
            address: "https://127.0.0.1:1".parse().expect("an address"),
            key: coordinator().public(),
        };
        home.keep_identity("", &[], &Vec::new().into(), &told).expect("kept");

        let text = study_text(&[]);
        let study = Arc::new(study::parse(text.as_bytes()).expect("valid"));
        approval::keep_study(&home, study.digest, text.as_bytes()).expect("kept");
        let yes = approval(&study, 0, Decision::Approve);
        approval::keep_decision(&home, &study.digest, &yes).expect("kept");
        let path = dir.path().join("table.csv");
        if let Some(table) = table {
            std::fs::write(&path, table).expect("written");
        }
        let config = home.config().expect("valid");
        let mut agent = Agent::open(home, &config, Some(path), clock).expect("opens");
        let policy = agent.policy().expect("a policy");
        let started = start(&study, &[0, 1, 2]);
        let body = task::open(&agent.facts(&study, &policy), &started, &yes, &coordinator().public());
        agent.append(body.expect("allowed")).expect("appended");
        Self { dir, agent, study }
    }

    /// A table of so many people, and one more row.
    fn with_people(people: usize, more: &str) -> Self {
        let rows: String =
            (0..people).map(|i| format!("p{i},{},25,F,{},{}\n", 20 + i % 60, i % 3, i % 2)).collect();
        Self::new(Some(&format!("{HEADER}\n{rows}{more}\n")))
    }

    fn reserve(&mut self, round: u32) -> u64 {
        let policy = self.agent.policy().expect("a policy");
        let next = task::train(&self.agent.facts(&self.study, &policy), round, model()).expect("allowed");
        let Next::Burn(body) = next else { panic!("{next:?}") };
        self.agent.reserve(*body).expect("appended")
    }

    fn cosign(&mut self) {
        let note = self.agent.store.checkpoint().clone();
        let line = note.cosign(COORDINATOR, &coordinator(), now()).to_string();
        self.agent.store.set_cosignature(&note, &line).expect("cosigned");
        let line = note.cosign(&witness_name(&site(1)), &key(1), now()).to_string();
        self.agent.store.add_witness(&site(1), &key(1).public(), &line).expect("witnessed");
    }

    /// Reserves, has it cosigned, draws noise, reads and computes.
    async fn compute(&mut self, round: u32) -> (u64, Held, Result<Digest, TaskError>) {
        let held = self.agent.hold(Arc::clone(&self.study));
        let reserve = self.reserve(round);
        self.cosign();
        let begun = self.agent.begin(reserve).expect("cosigned");
        let study = &self.study;
        let about = Round { study: study.digest, round, model: model(), site: site(0) };
        let listed = study.site(&site(0)).expect("listed").clone();
        let values = study.initial_parameters();
        let made = update(&mut self.agent, &held, begun, about, listed, values).await;
        (reserve, held, made)
    }

    fn outcome(&self, reserve: u64) -> &Outcome {
        &self.agent.store.state().burn(reserve).expect("a reserve").outcome
    }

    fn version(&self) -> Option<Digest> {
        self.agent.store.state().study(&self.study.digest).expect("open").dataset_version
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(self.study.privacy.training.reply_tick_ms.into())
    }
}

fn model() -> Digest {
    Digest::of(b"model")
}

#[test]
fn nothing_begins_without_a_cosignature() {
    let mut site = Site::with_people(5, "");
    let reserve = site.reserve(0);
    assert!(matches!(site.agent.begin(reserve), Err(TaskError::Local(_))));
    let note = site.agent.store.checkpoint().clone();
    let line = note.cosign(COORDINATOR, &coordinator(), now()).to_string();
    site.agent.store.set_cosignature(&note, &line).expect("cosigned");
    assert!(matches!(site.agent.begin(reserve), Err(TaskError::Unwitnessed)), "by the coordinator alone");
    site.cosign();
    assert!(site.agent.begin(reserve).is_ok());
}

#[tokio::test]
async fn entries_about_data_are_written_on_the_tick_in_whole_seconds() {
    let mut site = Site::with_people(40, "x,words,25,F,0,1");
    for round in 0..2 {
        let began = Instant::now();
        let (reserve, _, made) = site.compute(round).await;
        let output = made.expect("one bad cell does not stop the site");
        assert_eq!(site.agent.store.state().size(), reserve + 1, "nothing is written while it computes");
        assert_eq!(*site.outcome(reserve), Outcome::Open);
        let study = Arc::clone(&site.study);
        commit(&mut site.agent, &study, vec![(reserve, output)], began).await.expect("committed");
        assert!(began.elapsed() >= site.tick());
        assert!(matches!(site.outcome(reserve), Outcome::Committed { output: kept, .. } if *kept == output));
        assert!(site.version().is_some());
        // The commitments go before each output, whether or not anything changed.
        assert_eq!(site.agent.store.state().size(), reserve + 3);
        assert_eq!(site.agent.store.state().time().unix_ms() % 1000, 0);
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_read_burns_the_reserve() {
    let mut site = Site::new(None);
    let began = Instant::now();
    let (reserve, _, made) = site.compute(0).await;
    let study = Arc::clone(&site.study);
    let error = give_up(&mut site.agent, &study, &[reserve], began, made.expect_err("no table")).await;
    assert!(matches!(&error, TaskError::Local(what) if what.contains("table.csv")), "{error}");
    assert!(began.elapsed() >= site.tick());
    assert_eq!(*site.outcome(reserve), Outcome::Aborted);
    assert_eq!(site.version(), None);
    assert_eq!(site.agent.store.state().next_unburnt(&site.study.digest, 0), Some(2), "stays burnt");
    // Mended, the same process goes on with a spare use.
    std::fs::write(site.dir.path().join("table.csv"), format!("{HEADER}\na,30,25,F,0,1\n")).expect("written");
    let (again, _, made) = site.compute(0).await;
    assert!(again > reserve && made.is_ok());
}

#[test]
fn the_header_is_checked_before_any_task() {
    fn check(table: Option<&str>, expected: Option<&str>) {
        let found = Site::new(table).agent.check_table().err().map(|failure| failure.message);
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            (found, _) => panic!("{table:?}: {found:?}"),
        }
    }
    check(Some(HEADER), None);
    check(Some(&format!("{HEADER}\nrows,are,not,read\n")), None);
    check(None, Some("table.csv"));
    check(Some("id,age\n"), Some("column person_id is missing"));
    check(Some("person_id,age\n"), Some("column bmi is missing"));
    let faulty = InvalidTable::Faulty { path: PathBuf::from("t.csv"), faults: vec![Fault::Empty] };
    check(Some(""), Some(faulty.to_string().trim_start_matches("t.csv: ")));
}

/// The same steps as from a table: the examples are committed to before the first output made from them.
#[tokio::test]
async fn an_agent_trains_on_records() {
    let mut site = Site::new(None);
    let folder = folders::write(&folders::hospital(60));
    site.agent.data_path = Some(folder.path().to_owned());
    // The approved bytes ask for a table.
    let refused = site.agent.check_table().expect_err("records");
    assert!(refused.message.contains("these are OMOP tables"), "{refused}");
    site.study = Arc::new(folders::asking_as(Study::clone(&site.study)));
    let began = Instant::now();
    let (reserve, held, made) = site.compute(0).await;
    let output = made.expect("computes");
    let study = Arc::clone(&site.study);
    commit(&mut site.agent, &study, vec![(reserve, output)], began).await.expect("committed");
    assert!(matches!(site.outcome(reserve), Outcome::Committed { output: kept, .. } if *kept == output));
    assert!(site.version().is_some());
    let begun = super::agent::Begun::new();
    let loaded = site.agent.examples(&held, &begun).await.expect("read once");
    assert!(loaded.training.people() > 20);
}

#[tokio::test]
async fn records_that_do_not_fit_make_no_output() {
    let mut site = Site::new(None);
    let mut tables = folders::hospital(20);
    tables.retain(|table| table.name != "measurement");
    let folder = folders::write(&tables);
    site.agent.data_path = Some(folder.path().to_owned());
    site.study = Arc::new(folders::asking_as(Study::clone(&site.study)));
    let (_, _, made) = site.compute(0).await;
    let error = made.expect_err("a table is missing");
    assert!(
        matches!(&error, TaskError::Local(what) if what.contains("table measurement is missing")),
        "{error}"
    );
}
