use super::*;
use crate::disk::OsDisk;
use consilium_common::ledger::checkpoint::COORDINATOR;
use consilium_common::ledger::merkle::verify_consistency;
use std::fs::OpenOptions;

mod damaged;
mod together;

pub(super) fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

pub(super) fn coordinator() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

pub(super) fn time(second: u64) -> Time {
    "2027-03-01T09:00:00.000Z".parse::<Time>().expect("a time").plus_ms(second * 1000)
}

fn genesis() -> Genesis {
    let caps = Caps {
        policy: Digest::of(b"policy"),
        epsilon_total: 10.0,
        epsilon_per_study: 8.0,
        epsilon_per_year: None,
        delta: 1e-5,
        noise_multiplier_min: 0.3,
        sampling_rate_max: 1.0,
        steps_max: 10_000,
    };
    let site = "ashford".parse().expect("a name");
    Genesis { site, dataset: "d1".into(), software: "site-agent 0.1.0".into(), caps }
}

pub(super) fn refusal(rule: &str) -> Body {
    Body::Refusal { rule: rule.into(), study: None, count: 1 }
}

/// A folder with a ledger of a genesis and two refusals, closed.
fn ledger() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = create(dir.path());
    assert_eq!(store.append(refusal("one"), time(1)).expect("legal"), 1);
    assert_eq!(store.append(refusal("two"), time(2)).expect("legal"), 2);
    dir
}

pub(super) fn create(dir: &Path) -> LedgerStore {
    let store =
        LedgerStore::create(&dir.join("ledger"), key(), Some(coordinator().public()), genesis(), time(0));
    store.expect("a new ledger")
}

pub(super) fn open(dir: &Path) -> Result<LedgerStore, LedgerError> {
    LedgerStore::open(&dir.join("ledger"), key(), Some(coordinator().public()))
}

pub(super) fn cosign(store: &mut LedgerStore) {
    let note = store.checkpoint().clone();
    let line = note.cosign(COORDINATOR, &coordinator(), time(60)).to_string();
    store.set_cosignature(&note, &line).expect("a cosignature");
}

#[test]
fn reopening_gives_the_same_state() {
    let dir = ledger();
    let store = open(dir.path()).expect("sound");
    assert_eq!((store.state().size(), store.dropped_bytes()), (3, 0));
    let (state, note) = (store.state().clone(), store.checkpoint().clone());
    drop(store);
    let again = open(dir.path()).expect("sound");
    assert_eq!((again.state(), again.checkpoint()), (&state, &note));
}

#[test]
fn one_writer() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = create(dir.path());
    assert!(matches!(open(dir.path()), Err(LedgerError::Locked { .. })));
    drop(first);
    assert!(open(dir.path()).is_ok());
}

/// Where the lock does not reach, a second writer's checkpoint stops the first before it writes.
#[test]
fn a_second_writer_is_fenced() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    let path = dir.path().join("ledger");
    std::fs::remove_file(path.join("lock")).expect("there");
    let mut second = open(dir.path()).expect("no lock in its way");
    second.append(refusal("second"), time(3)).expect("legal");
    let entries = std::fs::read(path.join("entries")).expect("readable");
    for _ in 0..2 {
        let error = store.append(refusal("first"), time(3)).expect_err("fenced");
        assert!(matches!(&error, LedgerError::Stopped { why } if why.contains("another process")), "{error}");
    }
    assert_eq!(std::fs::read(path.join("entries")).expect("readable"), entries);
    assert_eq!(second.append(refusal("more"), time(3)).expect("the sole writer"), 4);
}

#[test]
fn creating_and_opening_what_is_not_there() {
    let dir = ledger();
    let again = LedgerStore::create(&dir.path().join("ledger"), key(), None, genesis(), time(0));
    assert!(matches!(again, Err(LedgerError::Exists { .. })));
    let absent = LedgerStore::open(&dir.path().join("other"), key(), None);
    assert!(matches!(absent, Err(LedgerError::Absent { .. })));
    let bad = Genesis { dataset: "a b".into(), ..genesis() };
    let illegal = LedgerStore::create(&dir.path().join("other"), key(), None, bad, time(0));
    assert!(matches!(illegal, Err(LedgerError::Illegal(_))));
    assert!(!dir.path().join("other").exists());
    // What an interrupted start left is no ledger.
    std::fs::create_dir(dir.path().join(".other.new")).expect("a folder");
    assert!(LedgerStore::create(&dir.path().join("other"), key(), None, genesis(), time(0)).is_ok());
}

#[test]
fn nothing_illegal_is_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = create(dir.path());
    let before = std::fs::read(dir.path().join("ledger/entries")).expect("readable");
    let orphan = Body::Commit { reserve: 0, output: Digest::of(b"x") };
    assert!(matches!(store.append(orphan, time(1)), Err(LedgerError::Illegal(_))));
    assert_eq!(std::fs::read(dir.path().join("ledger/entries")).expect("readable"), before);
    assert_eq!(store.state().size(), 1);
}

/// A crash in the middle of an append leaves any prefix of the new entry behind the signed ones.
#[test]
fn a_torn_tail_is_cut_off() {
    let dir = ledger();
    let path = dir.path().join("ledger/entries");
    let signed = std::fs::read(&path).expect("readable");
    let checkpoint = std::fs::read(dir.path().join("ledger/checkpoint")).expect("readable");
    let whole = {
        let mut store = open(dir.path()).expect("sound");
        store.append(refusal("three"), time(3)).expect("legal");
        std::fs::read(&path).expect("readable")
    };
    std::fs::write(dir.path().join("ledger/checkpoint"), &checkpoint).expect("writable");
    for length in signed.len()..=whole.len() {
        std::fs::write(&path, &whole[..length]).expect("writable");
        let mut store = open(dir.path()).expect("recovers");
        assert_eq!((store.state().size(), store.dropped_bytes()), (3, (length - signed.len()) as u64));
        assert_eq!(std::fs::read(&path).expect("readable"), signed);
        // And goes on as if nothing had been.
        store.append(refusal("three"), time(3)).expect("legal");
        assert_eq!(std::fs::read(&path).expect("readable"), whole);
        drop(store);
        std::fs::write(dir.path().join("ledger/checkpoint"), &checkpoint).expect("writable");
    }
}

#[test]
fn anything_signed_and_missing_is_refused() {
    let dir = ledger();
    let path = dir.path().join("ledger/entries");
    let signed = std::fs::read(&path).expect("readable");
    for length in 0..signed.len() {
        std::fs::write(&path, &signed[..length]).expect("writable");
        assert!(matches!(open(dir.path()), Err(LedgerError::Corrupt { .. })), "{length} bytes");
        assert_eq!(std::fs::read(&path).expect("readable").len(), length, "nothing is repaired");
    }
    std::fs::write(&path, &signed).expect("writable");
    assert!(open(dir.path()).is_ok());
    std::fs::remove_file(dir.path().join("ledger/checkpoint")).expect("there");
    assert!(matches!(open(dir.path()), Err(LedgerError::Corrupt { .. })));
}

#[test]
fn any_flipped_byte_is_refused() {
    let dir = ledger();
    {
        let mut store = open(dir.path()).expect("sound");
        cosign(&mut store);
    }
    for name in ["ledger/entries", "ledger/checkpoint", "ledger/cosigned"] {
        let path = dir.path().join(name);
        let good = std::fs::read(&path).expect("readable");
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).expect("writable");
            // A cosignature by a name or key that is not known is none; all else is corrupt.
            match open(dir.path()) {
                Err(LedgerError::Corrupt { .. }) => {}
                Ok(store) => assert!(name == "ledger/cosigned" && !store.is_cosigned(0), "{name}, byte {at}"),
                Err(error) => panic!("{name}, byte {at}: {error}"),
            }
        }
        std::fs::write(&path, &good).expect("writable");
    }
    assert!(open(dir.path()).expect("sound").is_cosigned(2));
}

#[test]
fn another_key_does_not_open_it() {
    let dir = ledger();
    let other = LedgerStore::open(&dir.path().join("ledger"), SecretKey::from_seed(&[2; 32]), None);
    assert!(matches!(other, Err(LedgerError::Corrupt { .. })));
}

/// The disk fails at the checkpoint: the entry is taken back, and the ledger goes on.
#[test]
fn a_checkpoint_that_cannot_be_written_loses_nothing() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    let before = std::fs::read(dir.path().join("ledger/entries")).expect("readable");
    let block = dir.path().join("ledger/checkpoint.new");
    std::fs::create_dir(&block).expect("a folder in the way");
    let error = store.append(refusal("three"), time(3)).expect_err("cannot be signed");
    assert!(matches!(&error, LedgerError::Io { path, .. } if *path == block), "{error}");
    assert_eq!(store.state().size(), 3);
    assert_eq!(std::fs::read(dir.path().join("ledger/entries")).expect("readable"), before);
    std::fs::remove_dir(&block).expect("empty");
    assert_eq!(store.append(refusal("three"), time(3)).expect("the disk is back"), 3);
    drop(store);
    assert_eq!(open(dir.path()).expect("sound").state().size(), 4);
}

/// The disk is full: the error is the system's, and nothing is written until it is opened again.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_stops_the_ledger_and_loses_nothing() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    store.entries = Box::new(OpenOptions::new().write(true).open("/dev/full").expect("Linux has it"));
    let error = store.append(refusal("three"), time(3)).expect_err("full");
    assert!(
        matches!(&error, LedgerError::Io { error, .. } if error.kind() == std::io::ErrorKind::StorageFull),
        "{error}"
    );
    assert!(matches!(store.append(refusal("three"), time(3)), Err(LedgerError::Stopped { .. })));
    assert_eq!(store.state().size(), 3);
    drop(store);
    let mut store = open(dir.path()).expect("sound");
    assert_eq!(store.append(refusal("three"), time(3)).expect("room again"), 3);
}

#[test]
fn a_clock_that_steps_back() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    store.append(refusal("a"), time(1)).expect("a little back stands still");
    assert_eq!(store.state().time(), time(2));
    store.append(refusal("later"), time(7).plus_ms(999)).expect("later");
    assert_eq!(store.state().time(), time(7), "whole seconds");
    let ms = |ms| Time::from_unix_ms(time(7).unix_ms() - ms).expect("a time");
    assert!(matches!(store.append(refusal("b"), ms(CLOCK_BACK_MAX_MS + 1)), Err(LedgerError::Clock { .. })));
    assert!(store.append(refusal("b"), ms(CLOCK_BACK_MAX_MS)).is_ok());
}

#[test]
fn cosignatures_cover_what_they_cover() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    assert!(!store.is_cosigned(0));
    let old = store.checkpoint().clone();
    cosign(&mut store);
    store.append(refusal("three"), time(3)).expect("legal");
    assert_eq!((store.is_cosigned(2), store.is_cosigned(3), store.cosigned_size()), (true, false, 3));
    let proof = store.consistency_proof(3, 4).expect("was that long");
    let (old, new) = (&old.checkpoint, &store.checkpoint().checkpoint);
    assert_eq!(verify_consistency(3, &old.root, 4, &new.root, &proof), Ok(()));
    assert_eq!(store.consistency_proof(5, 4), None);
    assert!(store.check_not_restored(4).is_ok());
    assert!(matches!(store.check_not_restored(5), Err(LedgerError::Restored { cosigned: 5, found: 4 })));
    drop(store);
    let store = open(dir.path()).expect("sound");
    assert_eq!(store.cosigned_size(), 3, "kept over a restart");
    drop(store);
    let other = LedgerStore::open(&dir.path().join("ledger"), key(), Some(key().public())).expect("sound");
    assert_eq!(other.cosigned_size(), 0, "another coordinator has cosigned nothing");
}

#[test]
fn false_cosignatures_are_refused() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    let note = store.checkpoint().clone();
    let mut check = |note: &Note, line: &str| {
        assert!(matches!(store.set_cosignature(note, line), Err(LedgerError::Cosignature(_))), "{line}");
    };
    check(&note, "");
    check(&note, &note.cosign(COORDINATOR, &key(), time(60)).to_string());
    check(&note, &note.cosign("elsewhere", &coordinator(), time(60)).to_string());
    let mut fork = note.checkpoint.clone();
    fork.root = Digest::of(b"fork");
    let fork = fork.sign(&key());
    check(&fork, &fork.cosign(COORDINATOR, &coordinator(), time(60)).to_string());
    check(&note, &fork.cosign(COORDINATOR, &coordinator(), time(60)).to_string());
    assert_eq!(store.cosigned_size(), 0);
}

/// A disk restored from a copy that was older than its own cosigned checkpoint.
#[test]
fn entries_older_than_the_cosignature_are_refused() {
    let dir = ledger();
    let copy: Vec<_> = ["ledger/entries", "ledger/checkpoint"]
        .map(|name| (name, std::fs::read(dir.path().join(name)).expect("readable")))
        .into();
    let mut store = open(dir.path()).expect("sound");
    store.append(refusal("three"), time(3)).expect("legal");
    cosign(&mut store);
    drop(store);
    for (name, bytes) in copy {
        std::fs::write(dir.path().join(name), bytes).expect("writable");
    }
    assert!(matches!(open(dir.path()), Err(LedgerError::Corrupt { .. })));
}

#[test]
fn the_export_is_what_an_auditor_reads() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    cosign(&mut store);
    let files: std::collections::BTreeMap<_, _> =
        store.export_tiles().expect("readable").into_iter().collect();
    let note = Note::parse(&files["checkpoint"]).expect("a note");
    assert!(note.cosignature(COORDINATOR, &coordinator().public()).expect("verifies").is_some());
    let read = |path: &str| files.get(path).map(|bytes| bytes.as_slice().into());
    let (entries, tree) = tiles::read(note.checkpoint.size, read).expect("whole");
    assert_eq!(tree.root(), note.checkpoint.root);
    assert_eq!(&rules::replay(&entries).expect("legal"), store.state());
    store.append(refusal("three"), time(3)).expect("legal");
    let files: std::collections::BTreeMap<_, _> =
        store.export_tiles().expect("readable").into_iter().collect();
    let note = Note::parse(&files["checkpoint"]).expect("a note");
    assert_eq!(note.cosignature(COORDINATOR, &coordinator().public()), Ok(None), "not cosigned yet");
}

#[cfg(unix)]
#[test]
fn the_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = ledger();
    let mut store = open(dir.path()).expect("opens");
    cosign(&mut store);
    store.append(refusal("three"), time(3)).expect("legal");
    let mode = |path: &Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("ledger")), 0o700);
    for name in ["entries", "checkpoint", "cosigned", "lock"] {
        assert_eq!(mode(&dir.path().join("ledger").join(name)), 0o600, "{name}");
    }
}

fn genesis_of(dataset: &str) -> (Note, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().expect("a folder");
    let genesis = Genesis { dataset: dataset.into(), ..genesis() };
    let store = LedgerStore::create(&folder.path().join("ledger"), key(), None, genesis, time(0));
    let store = store.expect("made");
    (store.checkpoint().clone(), store.entries_from(0, usize::MAX).expect("readable"))
}

/// What another party kept takes the place of an older copy here, and of nothing else.
#[test]
fn a_copy_takes_the_place_of_an_older_ledger_only() {
    let dir = ledger();
    let path = dir.path().join("ledger");
    let mut store = open(dir.path()).expect("sound");
    let copy = |store: &LedgerStore| {
        (store.checkpoint().clone(), store.entries_from(0, usize::MAX).expect("readable"))
    };
    let (short, short_entries) = copy(&store);
    store.append(refusal("three"), time(3)).expect("legal");
    cosign(&mut store);
    let (long, long_entries) = copy(&store);
    let recover = |note: &Note, entries: &[Vec<u8>]| {
        LedgerStore::recover(&OsDisk, &path, &key(), note, entries, time(9))
    };
    let refused = |result: Result<Recovered, LedgerError>| match result {
        Err(LedgerError::Copy(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(recover(&long, &long_entries), Err(LedgerError::Locked { .. })));
    drop(store);
    // Not whole; another key's; another ledger.
    assert!(refused(recover(&long, &short_entries)).contains("do not make the head"));
    let forged = long.checkpoint.clone().sign(&coordinator());
    assert!(refused(recover(&forged, &long_entries)).contains("checkpoint"));
    let other = genesis_of("d2");
    assert!(refused(recover(&other.0, &other.1)).contains("it is the ledger"));
    // What was signed here cannot be read: then it cannot be told what a shorter copy lacks.
    let entries = std::fs::read(path.join("entries")).expect("readable");
    std::fs::write(path.join("entries"), b"").expect("writable");
    assert!(refused(recover(&short, &short_entries)).contains("does not continue the 4 entries"));
    std::fs::write(path.join("entries"), &entries).expect("writable");
    assert_eq!(open(dir.path()).expect("untouched").state().size(), 4);

    // The disk comes back as it was before the last entry; and is lost altogether.
    std::fs::remove_dir_all(&path).expect("there");
    let done = recover(&long, &long_entries).expect("nothing is here");
    assert_eq!((done.before, done.after, done.aside), (None, 5, None));
    let older = |dir: &Path| {
        let mut framed = Vec::new();
        short_entries.iter().for_each(|entry| tiles::push_entry(&mut framed, entry));
        std::fs::write(dir.join("entries"), framed).expect("writable");
        std::fs::write(dir.join("checkpoint"), short.to_string()).expect("writable");
        std::fs::remove_file(dir.join("cosigned")).expect("there");
    };
    older(&path);
    let done = recover(&long, &long_entries).expect("it continues what is here");
    assert_eq!((done.before, done.after, done.unfinished, done.uses), (Some(3), 5, 0, 0));
    assert!(done.aside.expect("kept").join("entries").exists());
    let store = open(dir.path()).expect("sound");
    let recoveries: Vec<u64> = store.state().recoveries().map(|(entry, _)| entry).collect();
    assert_eq!((store.state().size(), recoveries), (5, vec![4]), "it says that it was recovered");
    assert!(!store.is_contradicted_by(&long), "and continues the copy");
}
