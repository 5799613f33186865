//! The crash protocol, at every step of the disk: the very agent that hospitals run does two rounds,
//! an evaluation and the close of a study, and the power goes before and after each write, sync,
//! rename and removal, with everything, nothing or half of what was not synced left. Started again,
//!
//! - what was recorded when the agent spoke to the coordinator is still recorded, so that the
//!   recomputed ε never falls,
//! - nothing is sent that was not reserved, cosigned and committed (the [`coordinator`] looks at the
//!   disk at every call),
//! - one output never comes in two forms,
//! - and the study comes to its end.

mod coordinator;
mod disk;
mod recovery;
mod rotation;
mod snapshot;
mod taken_over;
mod together;

use consilium_common::id::Digest;
use consilium_common::key::SecretKey;
use consilium_common::ledger::entry::{Body, Role};
use consilium_common::ledger::rules::{self, State};
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::protocol::{Decision, Start, Task};
use consilium_common::signed::Signed;
use consilium_common::study::{self, Study};
use consilium_common::time::Time;
use coordinator::{Double, World};
use disk::{Fault, FaultyDisk, LEFT, Left, Survivors, restore};
use site_agent::drive::{Agent, TaskError};
use site_agent::home::{Coordinator, Home};
use site_agent::ledger::{Genesis, LedgerError, LedgerStore};
use site_agent::link::{CallError, Link};
use site_agent::policy::DEFAULT;
use site_agent::{approval, files};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tonic::transport::{Channel, Endpoint};

const STUDY: &str = include_str!("../../../common/src/study/testdata/example.toml");
const SITES: [&str; 3] = ["st-elsewhere", "county-general", "north-trust"];

fn key(i: u8) -> SecretKey {
    SecretKey::from_seed(&[i + 1; 32])
}

fn coordinator_key() -> SecretKey {
    SecretKey::from_seed(&[99; 32])
}

fn now() -> Time {
    "2027-03-01T09:00:00.000Z".parse().expect("a time")
}

/// A home that has approved a small study, and the other side. Every case starts from a copy.
struct Origin {
    folder: tempfile::TempDir,
    world: World,
}

impl Origin {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site: consilium_common::id::SiteName = SITES[0].parse().expect("a name");
        let home = Home::create(&folder.path().join("home"), site.clone()).expect("made").home;
        let seed = hex::encode([1_u8; 32]);
        files::write(&home.dir().join("identity/ledger.key"), seed.as_bytes()).expect("written");
        let known: String =
            (1..3).map(|i| format!("{} = \"{}\"\n", SITES[usize::from(i)], key(i).public())).collect();
        let policy = DEFAULT.replacen("[known_sites]\n", &format!("[known_sites]\n{known}"), 1);
        files::write(&home.policy_path(), policy.as_bytes()).expect("written");
        let caps = home.policy().expect("valid").caps;
        let genesis = Genesis { site: site.clone(), dataset: "d1".into(), software: "test".into(), caps };
        drop(LedgerStore::create(&home.ledger_dir(), key(0), None, genesis, now()).expect("made"));
        home.finish(&site).expect("finished");
        let told = Coordinator {
            schema: "coordinator/1".into(),
            address: "https://127.0.0.1:1".parse().expect("an address"),
            key: coordinator_key().public(),
        };
        home.keep_identity("", &[], &Vec::new().into(), &told).expect("kept");

        let text = study_text();
        let study = study::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        approval::keep_study(&home, study.digest, text.as_bytes()).expect("kept");
        let approve = |i: u8| {
            let name = SITES[usize::from(i)].parse().expect("a name");
            approval::sign(&study, &name, Decision::Approve, "", now(), &key(i))
        };
        approval::keep_decision(&home, &study.digest, &approve(0)).expect("kept");
        let rows: String = (0..40).map(|i| format!("p{i},{},25,F,{},{}\n", 20 + i, i % 3, i % 2)).collect();
        let table = format!("person_id,age,bmi,sex,prior_admissions,readmitted_30d\n{rows}");
        std::fs::write(folder.path().join("table.csv"), table).expect("written");
        let start = Start {
            study: study.digest,
            approvals: (0..3).map(approve).collect(),
            time: now(),
            coordinator: coordinator_key().public(),
        };
        let world = World {
            key: coordinator_key,
            time: now(),
            site,
            home: home.dir().to_owned(),
            start: Signed::new(&start, &coordinator_key()),
            groupings: study.privacy.evaluation_shares.len(),
            models: Vec::new().into_iter().collect(),
            tasks: Vec::new(),
            cosigned: None,
            witness: || (SITES[1].parse().expect("a name"), key(1)),
            witnessed: 0,
            outputs: Default::default(),
            closed: false,
            recorded: Vec::new(),
            unanswered: None,
            calls: 0,
        };
        Self { folder, world: with_tasks(world, &study) }
    }

    /// A case of its own: a copy of the home, and the other side as it was at the start.
    fn case(&self) -> (tempfile::TempDir, World) {
        let folder = tempfile::tempdir().expect("a folder");
        copy(self.folder.path(), folder.path());
        let world = World { home: folder.path().join("home"), ..self.world.clone() };
        (folder, world)
    }
}

/// Two rounds of one step, an evaluation of three groupings; spare uses for what crashes burn.
fn study_text() -> String {
    let mut roster = study::parse(STUDY.as_bytes()).expect("the shared example parses").sites;
    for (i, site) in (0..).zip(roster.iter_mut()) {
        site.key = key(i).public();
    }
    let text = study::fill(STUDY, &roster, None).expect("fits").text;
    let text = consilium_tests::replace(&text, "rounds", "2");
    let text = consilium_tests::replace(&text, "local_steps", "1");
    let text = consilium_tests::replace(&text, "spare_rounds", "6");
    let text = consilium_tests::replace(&text, "spare_evaluations", "6");
    consilium_tests::replace(&text, "reply_tick_ms", "10")
}

fn with_tasks(mut world: World, study: &Study) -> World {
    let architecture = study.architecture();
    let values = study.initial_parameters();
    let mut model = |round| {
        let architecture = architecture.clone();
        let header = ModelHeader { schema: "model/1".into(), study: study.digest, round, architecture };
        let bytes = blob::encode(&header, &values);
        let digest = Digest::of(&bytes);
        world.models.insert(digest, bytes);
        digest
    };
    let study = study.digest;
    let (first, second, last) = (model(0), model(1), model(2));
    world.tasks = vec![
        Task::Train { study, round: 0, model: first },
        Task::Train { study, round: 1, model: second },
        Task::Evaluate { study, model: last },
        Task::Close { study },
    ];
    world
}

fn copy(from: &Path, to: &Path) {
    for item in std::fs::read_dir(from).expect("a folder") {
        let item = item.expect("readable");
        let target = to.join(item.file_name());
        if item.file_type().expect("readable").is_dir() {
            std::fs::create_dir_all(&target).expect("made");
            copy(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).expect("copied");
        }
    }
}

/// How a life of the agent ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Every task is done.
    Finished,
    /// The power went.
    Off,
    /// It stopped or waits for a person: what it said.
    Gave(String),
}

/// One life of the agent: opened, connected, at work until all is done or something is wrong.
async fn live(disk: &FaultyDisk, double: &Double, channel: &Channel, folder: &Path) -> End {
    let ended = |error: TaskError| {
        if disk.is_off() { End::Off } else { End::Gave(error.to_string()) }
    };
    let home = Home::open(&folder.join("home")).expect("a home");
    let config = home.config().expect("valid");
    let table = folder.join("table.csv");
    let mut agent = match Agent::open_on(Arc::new(disk.clone()), home, &config, Some(table), now) {
        Ok(agent) => agent,
        Err(error) => return ended(error),
    };
    let mut link = Link::over(channel.clone());
    let mut lost = 0;
    loop {
        let worked = async {
            let hello = link.hello().await?;
            agent.greet(&hello)?;
            while let Some(task) = double.with(|world| world.next_task()) {
                agent.handle(&mut link, &task, tokio::time::Instant::now()).await?;
            }
            Ok(())
        };
        match worked.await {
            Ok(()) => return End::Finished,
            // As `serve` does: the connection is opened again.
            Err(TaskError::Call(CallError::Broken { .. })) if lost < 2 => lost += 1,
            Err(error) => return ended(error),
        }
    }
}

fn epsilon(state: &State) -> f64 {
    let of = |role| epsilon_by(Accountant::Rdp, &state.burnt(role), 1e-5).expect("legal events");
    of(Role::Training).max(of(Role::Evaluation))
}

/// Lives until the study is finished, from what a crash left; checks what must hold after each.
async fn finish(double: &Double, channel: &Channel, folder: &Path, what: &str) {
    let said = double.with(|world| world.recorded.clone());
    let left = double.with(|world| world.on_disk());
    assert!(left.starts_with(&said), "{what}: an entry is gone that was recorded when the agent spoke");
    if !said.is_empty() {
        let spent = |entries| epsilon(&rules::replay(entries).expect("legal"));
        assert!(spent(&left) >= spent(&said), "{what}: the recomputed ε fell");
    }
    let end = live(&FaultyDisk::new(Fault::None), double, channel, folder).await;
    assert_eq!(end, End::Finished, "{what}");
    double.with(|world| {
        let entries = world.on_disk();
        assert!(entries.starts_with(&left), "{what}: a restart took back a signed entry");
        let state = rules::replay(&entries).expect("legal");
        let (study, record) = state.studies().next().expect("opened");
        assert_eq!(record.closed.as_deref(), Some("finished"), "{what}");
        let committed =
            |(_, burn): &(u64, &rules::Burn)| matches!(burn.outcome, rules::Outcome::Committed { .. });
        assert_eq!(state.burns(study).filter(committed).count(), world.outputs.len(), "{what}");
        assert_eq!(world.outputs.len(), 2 + world.groupings, "{what}");
    });
}

/// What a run leaves for each way of losing what was not synced, each different one once.
fn aftermaths(disk: &FaultyDisk) -> Vec<(Left, Survivors)> {
    let mut different: Vec<(Left, _)> = Vec::new();
    for left in LEFT {
        let survivors = disk.survivors(left);
        if different.iter().all(|(_, before)| *before != survivors) {
            different.push((left, survivors));
        }
    }
    different
}

struct Bench {
    origin: Origin,
    double: Double,
    channel: Channel,
}

impl Bench {
    async fn new() -> Self {
        let origin = Origin::new();
        let double = Double(Arc::new(Mutex::new(origin.world.clone())));
        let address = double.serve().await;
        let channel = Endpoint::from_shared(address).expect("an address").connect().await.expect("connects");
        Self { origin, double, channel }
    }

    async fn live(&self, disk: &FaultyDisk, folder: &Path) -> End {
        live(disk, &self.double, &self.channel, folder).await
    }

    /// A run to the fault; then, from each thing that may be left, a run to the end. With `again`
    /// the power goes a second time, at that step of the first restart.
    async fn crash(&self, fault: Fault, again: Option<u64>) -> usize {
        let (folder, world) = self.origin.case();
        self.double.with(|held| *held = world);
        let disk = FaultyDisk::new(fault);
        let end = self.live(&disk, folder.path()).await;
        assert_eq!(end, End::Off, "{fault:?}: {:?}", disk.trace());
        let held = self.double.with(|world| world.clone());
        let mut cases = 0;
        for (left, survivors) in aftermaths(&disk) {
            let what = format!("{fault:?}, {left:?} left, after {:?}", disk.trace().last());
            restore(&survivors);
            self.double.with(|world| *world = held.clone());
            if let Some(step) = again {
                let second = FaultyDisk::new(Fault::After { step });
                if self.live(&second, folder.path()).await == End::Off {
                    restore(&second.survivors(Left::Nothing));
                }
            }
            finish(&self.double, &self.channel, folder.path(), &what).await;
            cases += 1;
            // The next aftermath starts from the same files.
            let (fresh, _) = self.origin.case();
            std::fs::remove_dir_all(folder.path().join("home")).expect("removed");
            copy(fresh.path(), folder.path());
        }
        cases
    }
}

/// Steps of the whole run, and what they are.
async fn whole_run(bench: &Bench) -> Vec<String> {
    let (folder, world) = bench.origin.case();
    bench.double.with(|held| *held = world);
    let disk = FaultyDisk::new(Fault::None);
    assert_eq!(bench.live(&disk, folder.path()).await, End::Finished);
    let entries = bench.double.with(|world| world.on_disk());
    let burns = rules::replay(&entries).expect("legal");
    let study = *burns.studies().next().expect("opened").0;
    assert_eq!(burns.burns(&study).count(), 5, "two rounds and three groupings, no spare one");
    disk.trace()
}

#[tokio::test]
async fn the_power_goes_at_every_step() {
    let bench = Bench::new().await;
    let trace = whole_run(&bench).await;
    assert!(trace.len() > 100, "{trace:?}");
    let mut cases = 0;
    for (step, what) in (0_u64..).zip(&trace) {
        cases += bench.crash(Fault::Before { step, torn: 0 }, None).await;
        cases += bench.crash(Fault::After { step }, None).await;
        if what.starts_with("write") {
            cases += bench.crash(Fault::Before { step, torn: 20 }, None).await;
        }
    }
    assert!(cases > 2 * trace.len(), "{cases} cases over {} steps", trace.len());
    println!("{cases} crashes over {} steps", trace.len());
}

/// A second loss of power, anywhere in the restart after the first.
#[tokio::test]
async fn the_power_goes_again_while_the_agent_starts_again() {
    let bench = Bench::new().await;
    let trace = whole_run(&bench).await;
    let mut cases = 0;
    for step in (0..trace.len() as u64).step_by(7) {
        for again in (0..24).step_by(3) {
            cases += bench.crash(Fault::After { step }, Some(again)).await;
        }
    }
    assert!(cases > trace.len(), "{cases}");
}

/// Of the last record, its checkpoint and its cosignature, any prefix may be what reached the disk.
#[tokio::test]
async fn a_write_tears_at_each_byte() {
    let bench = Bench::new().await;
    let trace = whole_run(&bench).await;
    for name in ["entries", "checkpoint.new", "cosigned.new"] {
        let last = trace.iter().rposition(|step| step == &format!("write {name}"));
        let step = last.unwrap_or_else(|| panic!("no write of {name}: {trace:?}")) as u64;
        let (folder, world) = bench.origin.case();
        bench.double.with(|held| *held = world);
        let disk = FaultyDisk::new(Fault::Before { step, torn: 1 << 20 });
        assert_eq!(bench.live(&disk, folder.path()).await, End::Off);
        let held = bench.double.with(|world| world.clone());
        let whole = disk.survivors(Left::All);
        let path = folder.path().join("home/ledger").join(name);
        let written = whole[&path].clone().expect("written");
        let synced = disk.survivors(Left::Names)[&path].clone().map_or(0, |bytes| bytes.len());
        assert!(written.len() > synced + 100, "{name}: a record was written");
        for length in synced..=written.len() {
            let (fresh, _) = bench.origin.case();
            std::fs::remove_dir_all(folder.path().join("home")).expect("removed");
            copy(fresh.path(), folder.path());
            let mut torn = whole.clone();
            torn.insert(path.clone(), Some(written[..length].to_vec()));
            restore(&torn);
            bench.double.with(|world| *world = held.clone());
            finish(&bench.double, &bench.channel, folder.path(), &format!("{length} bytes of {name}")).await;
        }
    }
}

/// The disk is full at each step: the agent says so and either waits or stops; it sends nothing that
/// is not recorded, and with room again it goes on.
#[tokio::test]
async fn the_disk_is_full_at_every_step() {
    let bench = Bench::new().await;
    let steps = whole_run(&bench).await.len() as u64;
    for step in 0..steps {
        let (folder, world) = bench.origin.case();
        bench.double.with(|held| *held = world);
        let disk = FaultyDisk::new(Fault::Full { step });
        match bench.live(&disk, folder.path()).await {
            // What failed was not needed: the half of a file that is of no use, a second sync.
            End::Finished => {}
            End::Gave(said) => assert!(said.contains("no storage space"), "{step}: {said}"),
            End::Off => panic!("step {step}: the power did not go"),
        }
        assert!(disk.steps() > step);
        let what = format!("full at {:?}", disk.trace().get(usize::try_from(step).expect("small")));
        if bench.double.with(|world| world.next_task()).is_some() {
            finish(&bench.double, &bench.channel, folder.path(), &what).await;
        }
    }
}

/// An answer that does not arrive, of each call: the coordinator has acted, the agent does not know.
#[tokio::test]
async fn each_answer_is_lost_once() {
    let bench = Bench::new().await;
    whole_run(&bench).await;
    let calls = bench.double.with(|world| world.calls);
    for call in 0..calls {
        let (folder, world) = bench.origin.case();
        bench.double.with(|held| *held = World { unanswered: Some(call), ..world });
        let end = bench.live(&FaultyDisk::new(Fault::None), folder.path()).await;
        assert_eq!(end, End::Finished, "answer {call}");
        finish(&bench.double, &bench.channel, folder.path(), &format!("answer {call}")).await;
    }
}

/// A ledger is there as a whole or not at all.
#[test]
fn the_power_goes_while_a_ledger_is_made() {
    let make = |disk: &FaultyDisk, folder: &Path| {
        let caps = site_agent::policy::Policy::parse(DEFAULT).expect("valid").caps;
        let site = SITES[0].parse().expect("a name");
        let genesis = Genesis { site, dataset: "d1".into(), software: "test".into(), caps };
        let dir = folder.join("ledger");
        LedgerStore::create_on(Arc::new(disk.clone()), &dir, key(0), None, genesis, now())
    };
    let whole = FaultyDisk::new(Fault::None);
    make(&whole, tempfile::tempdir().expect("a folder").path()).expect("made");
    for step in 0..whole.steps() {
        for fault in [Fault::Before { step, torn: 30 }, Fault::After { step }] {
            for left in LEFT {
                let folder = tempfile::tempdir().expect("a folder");
                let disk = FaultyDisk::new(fault);
                let made = make(&disk, folder.path());
                assert!(made.is_err(), "{fault:?}");
                drop(made);
                let survivors = disk.survivors(left);
                let dir = folder.path().join("ledger");
                if !survivors.iter().any(|(path, bytes)| path.starts_with(&dir) && bytes.is_some()) {
                    drop(std::fs::remove_dir_all(&dir));
                }
                restore(&survivors);
                let opened = match LedgerStore::open(&dir, key(0), None) {
                    Err(LedgerError::Absent { .. }) => make(&FaultyDisk::new(Fault::None), folder.path()),
                    opened => opened,
                };
                let store = opened.unwrap_or_else(|error| panic!("{fault:?}, {left:?} left: {error}"));
                assert_eq!(store.state().size(), 1);
            }
        }
    }
}

/// A clock far behind the last entry stops every append, before anything else is done.
#[tokio::test]
async fn a_clock_that_was_set_back_is_refused() {
    let (folder, _) = Origin::new().case();
    let dir = folder.path().join("home/ledger");
    let mut store = LedgerStore::open(&dir, key(0), None).expect("sound");
    let before = std::fs::read(dir.join("entries")).expect("readable");
    let past: Time = "2027-02-27T09:00:00.000Z".parse().expect("a time");
    let body = Body::Refusal { rule: "policy.delta".into(), study: None, count: 1 };
    let error = store.append(body, past).expect_err("refused").to_string();
    assert!(error.contains("set the clock"), "{error}");
    assert_eq!(std::fs::read(dir.join("entries")).expect("readable"), before);
}

/// A second agent on the home of a running one.
#[tokio::test]
async fn two_agents_on_one_ledger_are_refused() {
    let (folder, _) = Origin::new().case();
    let open = || {
        let home = Home::open(&folder.path().join("home")).expect("a home");
        let config = home.config().expect("valid");
        Agent::open(home, &config, None, now)
    };
    let first = open().expect("the only one");
    let Err(error) = open() else { panic!("two writers") };
    assert!(error.to_string().contains("another process has this ledger open"), "{error}");
    drop(first);
    assert!(open().is_ok());
}
