//! A change of the ledger's key, with the power going at every step of it: what is left goes on with the
//! old key or with the new one, and never with none.

use super::disk::{Fault, FaultyDisk, LEFT, restore};
use super::{SITES, copy, now};
use consilium_common::ledger::entry::Body;
use site_agent::disk::OsDisk;
use site_agent::home::Home;
use site_agent::ledger::{Genesis, LedgerStore};
use site_agent::rotate::{RotateError, Rotated, rotate};
use std::path::Path;
use std::sync::Arc;

const SEED: [u8; 32] = [77; 32];

/// A home of two entries, not enrolled.
fn origin() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let site: consilium_common::id::SiteName = SITES[0].parse().expect("a name");
    let home = Home::create(&folder.path().join("home"), site.clone()).expect("made").home;
    let caps = home.policy().expect("valid").caps;
    let genesis = Genesis { site: site.clone(), dataset: "d1".into(), software: "test".into(), caps };
    let key = home.ledger_key().expect("made");
    let mut store = LedgerStore::create(&home.ledger_dir(), key, None, genesis, now()).expect("made");
    store.append(refusal("policy.delta"), now()).expect("legal");
    home.finish(&site).expect("finished");
    folder
}

fn refusal(rule: &str) -> Body {
    Body::Refusal { rule: rule.into(), study: None, count: 1 }
}

fn home(folder: &Path) -> Home {
    Home::open(&folder.join("home")).expect("a home")
}

fn run(disk: &FaultyDisk, folder: &Path) -> Result<Rotated, RotateError> {
    let home = home(folder);
    let mut store =
        LedgerStore::open_on(Arc::new(disk.clone()), &home.ledger_dir(), home.ledger_key()?, None)?;
    rotate(&mut store, &home, disk, &SEED, now())
}

/// Whatever was left: the home opens with one key, writes with it, and changes it (again). Whether the
/// change had come about.
fn goes_on(folder: &Path, old: &consilium_common::key::PublicKey, what: &str) -> bool {
    let home = home(folder);
    let key = home.ledger_key().unwrap_or_else(|error| panic!("{what}: {error}"));
    let in_force = key.public();
    let mut store =
        LedgerStore::open(&home.ledger_dir(), key, None).unwrap_or_else(|error| panic!("{what}: {error}"));
    let changed = in_force != *old;
    assert_eq!(store.state().size(), if changed { 3 } else { 2 }, "{what}");
    assert_eq!(store.state().keys().collect::<Vec<_>>()[0], *old, "{what}");
    home.finish_key_change(&OsDisk, &in_force).expect("the disk works");
    assert_eq!(home.ledger_key().expect("readable").public(), in_force, "{what}");
    let kept = std::fs::read_to_string(home.dir().join("identity/ledger.key")).expect("there");
    assert_eq!(
        kept.trim_end() == hex::encode(SEED),
        changed,
        "{what}: the old key is gone when it is given up"
    );
    store.append(refusal("policy.steps_max"), now()).expect("legal");
    let again = rotate(&mut store, &home, &OsDisk, &[78; 32], now()).expect("the disk works");
    assert_eq!((again.old, again.entry), (in_force, if changed { 4 } else { 3 }), "{what}");
    drop(store);
    let key = home.ledger_key().expect("readable");
    assert_eq!(key.public(), again.new, "{what}");
    let store = LedgerStore::open(&home.ledger_dir(), key, None).expect("sound");
    assert_eq!(store.state().keys().count(), if changed { 3 } else { 2 }, "{what}");
    assert!(!home.dir().join("identity/ledger.key.next").exists(), "{what}");
    changed
}

#[test]
fn the_power_goes_while_the_key_changes() {
    let first = origin();
    let old = home(first.path()).ledger_key().expect("made").public();
    let case = || {
        let folder = tempfile::tempdir().expect("a folder");
        copy(first.path(), folder.path());
        private(folder.path());
        folder
    };
    let whole = FaultyDisk::new(Fault::None);
    let folder = case();
    let done = run(&whole, folder.path()).expect("nothing in its way");
    assert_eq!((done.old, done.entry), (old, 2));
    assert!(goes_on(folder.path(), &old, "whole"));
    let trace = whole.trace();
    let names = [
        "write .ledger.key.next.new",
        "rename .ledger.key.next.new",
        "rename checkpoint.new",
        "rename ledger.key.next",
    ];
    let places = names.map(|name| {
        trace.iter().position(|step| step == name).unwrap_or_else(|| panic!("{name}: {trace:?}"))
    });
    assert!(places.is_sorted(), "the new key, the entry, the end of the old key: {trace:?}");

    let mut seen = [0, 0];
    for (step, name) in (0_u64..).zip(&trace) {
        let faults = [
            Fault::Before { step, torn: 0 },
            Fault::Before { step, torn: 30 },
            Fault::After { step },
            Fault::Full { step },
        ];
        for fault in faults {
            for left in LEFT {
                let (folder, disk) = (case(), FaultyDisk::new(fault));
                let what = format!("{fault:?} ({name}), {left:?} left");
                // A full disk that only hinders what is a courtesy hinders nothing.
                if run(&disk, folder.path()).is_err() && disk.is_off() {
                    restore(&disk.survivors(left));
                }
                seen[usize::from(goes_on(folder.path(), &old, &what))] += 1;
            }
        }
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?} of {} steps", trace.len());
}

/// What `copy` makes is readable by all; keys are not.
fn private(folder: &Path) {
    #[cfg(unix)]
    for name in ["ledger.key", "split.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.join("home/identity").join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("set");
    }
    #[cfg(not(unix))]
    let _ = folder;
}
