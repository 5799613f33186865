//! A ledger whose key was lost goes on in a new home, with the power going at every step of it: what is left is what
//! `init` began there, or the ledger that goes on, with the loss in it; never a third, and never none.

use super::disk::{Fault, FaultyDisk, LEFT, restore};
use super::{SITES, copy, key, now, study_text};
use consilium_common::id::Digest;
use consilium_common::key::SecretKey;
use consilium_common::ledger::checkpoint::Note;
use consilium_common::ledger::entry::{Account, Body, Earmark, Participant, Role};
use consilium_common::ledger::key_loss::{Endorsement, SplitKey};
use consilium_common::privacy::mechanism::Event;
use consilium_common::protocol::Decision;
use consilium_common::study;
use site_agent::approval;
use site_agent::disk::OsDisk;
use site_agent::home::Home;
use site_agent::key_loss::{KeyLossError, Request};
use site_agent::ledger::{Genesis, LedgerStore, Recovered};
use std::path::Path;

/// Entries in the copy that others kept: the first, a study, a release burnt. `key_lost` comes after them.
const COPY: u64 = 3;
const SURVEY: Event = Event::Gaussian { noise_multiplier: 9.0, count: 2 };

/// What the others gave: the request with the copy, and their word.
struct Given {
    request: Request,
    endorsements: Vec<Endorsement>,
}

fn site(i: usize) -> consilium_common::id::SiteName {
    SITES[i].parse().expect("a name")
}

fn own(home: &Home) -> SecretKey {
    home.ledger_key().expect("made")
}

fn home(folder: &Path) -> Home {
    Home::open(&folder.join("home")).expect("a home")
}

/// The lost ledger, as the others have it.
fn lost(folder: &Path, caps: consilium_common::ledger::entry::Caps) -> (Note, Vec<Vec<u8>>) {
    let study = study::parse(study_text().as_bytes()).expect("parses");
    let genesis = Genesis { site: site(0), dataset: "d1".into(), software: "test".into(), caps };
    let mut store = LedgerStore::create(folder, key(0), None, genesis, now()).expect("made");
    let opened = Body::StudyOpen {
        study: study.digest,
        study_id: study.id.clone(),
        approval: approval::sign(&study, &site(0), Decision::Approve, "", now(), &key(0)),
        participants: (0..3).map(|i| Participant { site: site(i), key: of(i).public() }).collect(),
        delta: 1e-6,
        earmarks: vec![Earmark { name: "overall".into(), account: Account::Evaluation, event: SURVEY }],
    };
    store.append(opened, now()).expect("legal");
    let model = Digest::of(b"model");
    let release = Body::Release { study: study.digest, earmark: 0, first: 0, count: 1, model };
    store.append(release, now()).expect("legal");
    (store.checkpoint().clone(), store.entries_from(0, usize::MAX).expect("readable"))
}

fn of(i: usize) -> SecretKey {
    key(u8::try_from(i).expect("three hospitals"))
}

/// A new home as `init` leaves it, and what the others gave.
fn origin() -> (tempfile::TempDir, Given) {
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::create(&folder.path().join("home"), site(0)).expect("made").home;
    let caps = home.policy().expect("valid").caps;
    let copied = lost(&folder.path().join("lost"), caps.clone());
    std::fs::remove_dir_all(folder.path().join("lost")).expect("there");
    let genesis = Genesis { site: site(0), dataset: "fresh".into(), software: "test".into(), caps };
    drop(LedgerStore::create(&home.ledger_dir(), own(&home), None, genesis, now()).expect("made"));
    home.finish(&site(0)).expect("finished");
    let request = Request::new(&site(0), copied, own(&home).public(), SplitKey::Lost).expect("two others");
    let endorsements = [1, 2].map(|i| request.loss().endorsed(site(i), &of(i))).into();
    (folder, Given { request, endorsements })
}

fn finish(
    disk: &dyn site_agent::disk::Disk,
    folder: &Path,
    given: &Given,
) -> Result<Recovered, KeyLossError> {
    given.request.finish(&home(folder), disk, given.endorsements.clone(), now())
}

/// Whatever was left: the new home's ledger opens under the new key, as the one or as the other; once the loss is in
/// it, what was burnt is in it and nothing takes its place again. Whether it was.
fn goes_on(folder: &Path, given: &Given, is_bare: bool, what: &str) -> bool {
    let home = home(folder);
    let dir = home.ledger_dir();
    // What a crash left half done is finished where the ledger is opened.
    let there = match LedgerStore::open(&dir, own(&home), None) {
        Ok(store) => store.state().size(),
        Err(site_agent::ledger::LedgerError::Absent { .. }) if is_bare => 0,
        Err(error) => panic!("{what}: {error}"),
    };
    let took_over = there > 1;
    let again = finish(&OsDisk, folder, given);
    match again {
        Ok(done) => assert!(!took_over && done.after == COPY + 1 && done.unfinished == 1, "{what}"),
        Err(error) => assert!(took_over && error.to_string().contains("has studies"), "{what}: {error}"),
    }
    let mut store =
        LedgerStore::open(&dir, own(&home), None).unwrap_or_else(|error| panic!("{what}: {error}"));
    let state = store.state();
    assert_eq!(state.size(), COPY + 1, "{what}");
    assert_eq!(state.keys().collect::<Vec<_>>(), [key(0).public(), own(&home).public()], "{what}");
    assert_eq!(state.charged(Role::Evaluation), [SURVEY], "{what}: what was burnt stays burnt");
    assert_eq!(state.charged(Role::Training), [SURVEY], "{what}: roles are drawn anew");
    let refusal = Body::Refusal { rule: "policy.delta".into(), study: None, count: 1 };
    assert_eq!(store.append(refusal, now()).expect("legal"), COPY + 1, "{what}");
    let hidden = |name: &str| home.dir().join(name).exists();
    assert!(!hidden(".ledger.new") && !hidden(".ledger.recovered"), "{what}: nothing half done is left");
    took_over
}

fn the_power_goes(is_bare: bool) {
    let (first, given) = origin();
    let case = || {
        let folder = tempfile::tempdir().expect("a folder");
        copy(first.path(), folder.path());
        if is_bare {
            std::fs::remove_dir_all(home(folder.path()).ledger_dir()).expect("there");
        }
        folder
    };
    let whole = FaultyDisk::new(Fault::None);
    let folder = case();
    let done = finish(&whole, folder.path(), &given).expect("nothing in its way");
    assert_eq!((done.after, done.aside.is_some()), (COPY + 1, !is_bare));
    assert!(goes_on(folder.path(), &given, is_bare, "whole"));

    let mut seen = [0, 0];
    for (step, name) in (0_u64..).zip(&whole.trace()) {
        let faults = [
            Fault::Before { step, torn: 0 },
            Fault::Before { step, torn: 7 },
            Fault::After { step },
            Fault::Full { step },
        ];
        for fault in faults {
            for left in LEFT {
                let (folder, disk) = (case(), FaultyDisk::new(fault));
                let what = format!("bare {is_bare}, {fault:?} ({name}), {left:?} left");
                if finish(&disk, folder.path(), &given).is_err() && disk.is_off() {
                    restore(&disk.survivors(left));
                }
                seen[usize::from(goes_on(folder.path(), &given, is_bare, &what))] += 1;
            }
        }
    }
    assert!(seen[0] > 20 && seen[1] > 10, "{seen:?} of {} steps", whole.steps());
}

#[test]
fn the_power_goes_while_a_ledger_takes_the_place_of_what_init_began() {
    the_power_goes(false);
}

#[test]
fn the_power_goes_while_a_ledger_is_put_into_a_home_that_lost_it() {
    the_power_goes(true);
}
