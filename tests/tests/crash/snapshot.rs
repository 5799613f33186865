//! The power goes while frozen examples are written in the place of older ones, or removed.

use super::*;
use site_agent::data::frozen::{self, About, InvalidSnapshot, Wanted};
use site_agent::data::{Loaded, SplitKey, load_tolerant};

const KEY: [u8; 32] = [3; 32];
const DAYS: u16 = 30;

/// The home's study, and two cohorts: the second lacks a person of the table.
fn cohorts(folder: &Path) -> (Study, [Loaded; 2]) {
    let study = study::parse(study_text().as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let table = folder.join("table.csv");
    let rows = std::fs::read_to_string(&table).expect("there");
    let load = |text: &str| {
        std::fs::write(&table, text).expect("written");
        load_tolerant(&table, &study, &SplitKey::from_bytes([7; 32])).expect("a table").0
    };
    let loaded = [load(&rows), load(&rows.replacen("p5,25,", "q5,words,", 1))];
    (study, loaded)
}

fn freeze(disk: &FaultyDisk, path: &Path, study: &Study, salt: u8, loaded: &Loaded) -> std::io::Result<()> {
    let about = About::new(study, "split".into(), now(), DAYS, frozen::Origin::default());
    frozen::freeze(disk, path, &KEY, &[salt; 32], &about, loaded)
}

/// What is read: which of the cohorts, by its people; none where there is no file.
fn read(path: &Path, study: &Study) -> Option<u64> {
    let wanted = Wanted { study, split: "split", now: now(), days: DAYS };
    match frozen::thaw(path, &KEY, &wanted, |_| false) {
        Ok(thawed) => Some(thawed.people.iter().map(|people| people.frozen).sum()),
        Err(InvalidSnapshot::Absent(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_power_goes_while_examples_are_frozen_and_removed() {
    let origin = Origin::new();
    let (study, [old, new]) = cohorts(origin.folder.path());
    // With an older one there, and without; what is read may be the old, the new, or nothing where nothing was.
    for before in [Some(40), None] {
        let run = |fault: Fault| {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("snapshot");
            if before.is_some() {
                freeze(&FaultyDisk::new(Fault::None), &path, &study, 1, &old).expect("frozen");
            }
            let disk = FaultyDisk::new(fault);
            let done = freeze(&disk, &path, &study, 2, &new).is_ok();
            (folder, path, disk, done)
        };
        let (_folder, path, whole, done) = run(Fault::None);
        assert!(done && read(&path, &study) == Some(39));
        for step in 0..whole.steps() {
            for fault in
                [Fault::Before { step, torn: 0 }, Fault::Before { step, torn: 100 }, Fault::After { step }]
            {
                for left in LEFT {
                    let (_folder, path, disk, done) = run(fault);
                    assert!(!done, "{fault:?}");
                    restore(&disk.survivors(left));
                    let found = read(&path, &study);
                    assert!(found == before || found == Some(39), "{fault:?}, {left:?} left: {found:?}");
                    // The next attempt goes through whatever lies beside.
                    freeze(&FaultyDisk::new(Fault::None), &path, &study, 3, &new).expect("frozen");
                    assert_eq!(read(&path, &study), Some(39));
                }
            }
            let (_folder, path, _, _) = run(Fault::Full { step });
            let found = read(&path, &study);
            assert!(found == before || found == Some(39), "full at {step}: {found:?}");
        }
    }
    // A removal is done or not.
    let run = |fault: Fault| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("snapshot");
        freeze(&FaultyDisk::new(Fault::None), &path, &study, 1, &old).expect("frozen");
        let disk = FaultyDisk::new(fault);
        let done = frozen::remove(&disk, &path).is_ok();
        (folder, path, disk, done)
    };
    let (_folder, _, whole, done) = run(Fault::None);
    assert!(done);
    for step in 0..whole.steps() {
        for left in LEFT {
            let (_folder, path, disk, _) = run(Fault::After { step });
            restore(&disk.survivors(left));
            let found = read(&path, &study);
            assert!(found.is_none() || found == Some(40), "after {step}, {left:?} left: {found:?}");
        }
    }
}
