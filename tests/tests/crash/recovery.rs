//! A ledger that is taken back from a copy, with the power going at every step of it: what is left is the old
//! ledger or the recovered one, which says so; never a third, and never none.

use super::disk::{Fault, FaultyDisk, LEFT, restore};
use super::{SITES, copy, key, now};
use consilium_common::id::Digest;
use consilium_common::ledger::checkpoint::Note;
use consilium_common::ledger::entry::{Body, Caps};
use site_agent::disk::OsDisk;
use site_agent::ledger::{Genesis, LedgerError, LedgerStore, Recovered};
use std::path::Path;

/// Entries here, and in the copy.
const HERE: u64 = 2;
const COPY: u64 = 4;

type Copy = (Note, Vec<Vec<u8>>);

fn refusal(rule: &str) -> Body {
    Body::Refusal { rule: rule.into(), study: None, count: 1 }
}

/// A ledger of two entries, and the copy that somebody has, which continues it.
fn origin() -> (tempfile::TempDir, Copy) {
    let folder = tempfile::tempdir().expect("a folder");
    let (here, elsewhere) = (folder.path().join("home/ledger"), folder.path().join("elsewhere"));
    let caps = Caps {
        policy: Digest::of(b"policy"),
        epsilon_total: 3.0,
        epsilon_per_study: 3.0,
        epsilon_per_year: None,
        delta: 1e-5,
        noise_multiplier_min: 0.5,
        sampling_rate_max: 0.5,
        steps_max: 1000,
    };
    let site = SITES[0].parse().expect("a name");
    let genesis = Genesis { site, dataset: "d1".into(), software: "test".into(), caps };
    let mut store = LedgerStore::create(&here, key(0), None, genesis, now()).expect("made");
    store.append(refusal("policy.delta"), now()).expect("legal");
    drop(store);
    std::fs::create_dir(&elsewhere).expect("made");
    copy(&here, &elsewhere);
    let mut store = LedgerStore::open(&elsewhere, key(0), None).expect("sound");
    for rule in ["policy.steps_max", "policy.epsilon_total"] {
        store.append(refusal(rule), now()).expect("legal");
    }
    let entries = store.entries_from(0, usize::MAX).expect("readable");
    assert_eq!(entries.len() as u64, COPY);
    let note = store.checkpoint().clone();
    drop(store);
    std::fs::remove_dir_all(elsewhere).expect("there");
    (folder, (note, entries))
}

fn ledger(folder: &Path) -> std::path::PathBuf {
    folder.join("home/ledger")
}

fn recover(disk: &FaultyDisk, folder: &Path, (note, entries): &Copy) -> Result<Recovered, LedgerError> {
    LedgerStore::recover(disk, &ledger(folder), &key(0), note, entries, now())
}

/// Whatever was left goes on, after a recovery if it has none yet. Whether it had.
fn goes_on(folder: &Path, from: &Copy, is_lost: bool, what: &str) -> bool {
    let recovered = match LedgerStore::open(&ledger(folder), key(0), None) {
        Ok(store) => {
            let size = store.state().size();
            let says: Vec<u64> = store.state().recoveries().map(|(entry, _)| entry).collect();
            match size {
                HERE if !is_lost => assert!(says.is_empty(), "{what}"),
                _ => assert_eq!((size, says), (COPY + 1, vec![COPY]), "{what}"),
            }
            size > HERE
        }
        Err(LedgerError::Absent { .. }) if is_lost => false,
        Err(error) => panic!("{what}: {error}"),
    };
    let before = if recovered { Some(COPY + 1) } else { (!is_lost).then_some(HERE) };
    // Once more, whatever the first try had come to: it harms nothing.
    let again = LedgerStore::recover(&OsDisk, &ledger(folder), &key(0), &from.0, &from.1, now());
    let again = again.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((again.before, again.after), (before, COPY + 1), "{what}");
    let mut store = LedgerStore::open(&ledger(folder), key(0), None).expect("sound");
    assert_eq!(store.append(refusal("policy.sampling_rate"), now()).expect("legal"), COPY + 1, "{what}");
    let hidden = |name: &str| folder.join("home").join(name).exists();
    assert!(!hidden(".ledger.new") && !hidden(".ledger.recovered"), "{what}: nothing half done is left");
    recovered
}

fn the_power_goes(is_lost: bool) {
    let (first, from) = origin();
    let case = || {
        let folder = tempfile::tempdir().expect("a folder");
        copy(first.path(), folder.path());
        if is_lost {
            std::fs::remove_dir_all(ledger(folder.path())).expect("there");
        }
        folder
    };
    let whole = FaultyDisk::new(Fault::None);
    let folder = case();
    let done = recover(&whole, folder.path(), &from).expect("nothing in its way");
    assert_eq!((done.before, done.after), ((!is_lost).then_some(HERE), COPY + 1));
    assert!(goes_on(folder.path(), &from, is_lost, "whole"));

    let mut seen = [0, 0];
    for step in 0..whole.steps() {
        let name = whole.trace()[usize::try_from(step).expect("small")].clone();
        for fault in [
            Fault::Before { step, torn: 0 },
            Fault::Before { step, torn: 7 },
            Fault::After { step },
            Fault::Full { step },
        ] {
            for left in LEFT {
                let folder = case();
                let disk = FaultyDisk::new(fault);
                let what = format!("lost {is_lost}, {fault:?} ({name}), {left:?} left");
                if recover(&disk, folder.path(), &from).is_err() && disk.is_off() {
                    restore(&disk.survivors(left));
                }
                seen[usize::from(goes_on(folder.path(), &from, is_lost, &what))] += 1;
            }
        }
    }
    assert!(seen[0] > 20 && seen[1] > 10, "{seen:?} of {} steps", whole.steps());
}

#[test]
fn the_power_goes_while_an_old_ledger_is_replaced() {
    the_power_goes(false);
}

#[test]
fn the_power_goes_while_a_lost_ledger_is_put_back() {
    the_power_goes(true);
}
