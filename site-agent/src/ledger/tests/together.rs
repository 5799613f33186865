//! Entries that are written together: all of them or none.

use super::*;

fn names(names: &[&str]) -> Vec<Body> {
    names.iter().map(|name| refusal(name)).collect()
}

fn entries(dir: &tempfile::TempDir) -> Vec<u8> {
    std::fs::read(dir.path().join("ledger/entries")).expect("readable")
}

/// The same bytes as one after the other, under one more checkpoint.
#[test]
fn together_or_one_after_the_other() {
    let (one, all, lazy) = (ledger(), ledger(), ledger());
    let mut store = open(one.path()).expect("sound");
    for body in names(&["a", "b", "c"]) {
        store.append(body, time(3)).expect("legal");
    }
    let mut together = open(all.path()).expect("sound");
    assert_eq!(together.append_all(names(&["a", "b", "c"]), time(3)).expect("legal"), 3..6);
    let mut lazily = open(lazy.path()).expect("sound");
    assert_eq!(lazily.append_lazily(refusal("a"), time(3)).expect("legal"), 3);
    assert_eq!(lazily.append_lazily(refusal("b"), time(3)).expect("legal"), 4);
    assert_eq!(lazily.append(refusal("c"), time(3)).expect("legal"), 5);
    for (other, dir) in [(&together, &all), (&lazily, &lazy)] {
        assert_eq!((other.state(), other.checkpoint()), (store.state(), store.checkpoint()));
        assert_eq!(entries(dir), entries(&one));
        assert_eq!(other.entries_from(0, usize::MAX).expect("readable").len(), 6);
    }
    assert_eq!(together.append_all([], time(3)).expect("nothing to do"), 6..6);
    let (state, note) = (store.state().clone(), store.checkpoint().clone());
    drop((store, together, lazily));
    for dir in [one, all, lazy] {
        let store = open(dir.path()).expect("sound");
        assert_eq!((store.state(), store.checkpoint()), (&state, &note));
    }
}

/// Each entry is decided on the state after the one before; one that may not be there takes all back.
#[test]
fn one_that_is_illegal_takes_all_back() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    store.append_lazily(refusal("waits"), time(3)).expect("legal");
    let (state, note, before) = (store.state().clone(), store.checkpoint().clone(), entries(&dir));
    let twice = names(&["a", "b", "a"]);
    let error = store.append_all(twice, time(3)).expect_err("twice on one day");
    assert!(matches!(&error, LedgerError::Illegal(illegal) if illegal.entry == 6), "{error}");
    assert!(matches!(store.append_all(names(&["waits"]), time(3)), Err(LedgerError::Illegal(_))));
    assert_eq!((store.state(), store.checkpoint(), entries(&dir)), (&state, &note, before));
    assert_eq!(store.append_all(names(&["a", "b"]), time(3)).expect("legal"), 4..6);
    drop(store);
    assert_eq!(open(dir.path()).expect("sound").state().size(), 6);
}

/// What waits is in no copy for others and under no signature, and a crash forgets it.
#[test]
fn what_waits_is_not_there_yet() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    let (note, before) = (store.checkpoint().clone(), entries(&dir));
    assert_eq!(store.append_lazily(refusal("waits"), time(3)).expect("legal"), 3);
    assert_eq!((store.state().size(), store.signed_size()), (4, 3));
    assert!(store.is_signed(2) && !store.is_signed(3));
    assert_eq!((store.checkpoint(), entries(&dir)), (&note, before));
    assert_eq!(store.entries_from(0, usize::MAX).expect("readable").len(), 3);
    assert_eq!((store.checkpoint_at(4), store.consistency_proof(3, 4)), (None, None));
    assert!(matches!(store.check_not_restored(4), Err(LedgerError::Restored { cosigned: 4, found: 3 })));
    let files = store.export_tiles().expect("readable");
    assert_eq!(files[0].1, note.to_string().into_bytes());
    // The same twice, whether written or not.
    assert!(matches!(store.append_lazily(refusal("waits"), time(3)), Err(LedgerError::Illegal(_))));
    drop(store);
    let mut store = open(dir.path()).expect("sound");
    assert_eq!((store.state().size(), store.dropped_bytes()), (3, 0));
    store.append_lazily(refusal("waits"), time(3)).expect("legal");
    store.flush().expect("written");
    store.flush().expect("nothing to do");
    assert!(store.is_signed(3) && store.checkpoint_at(4).is_some());
    drop(store);
    assert_eq!(open(dir.path()).expect("sound").state().size(), 4);
}

#[test]
fn not_too_many_wait() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    for at in 0..=PENDING_MAX as u64 {
        store.append_lazily(refusal(&format!("rule.{at}")), time(3)).expect("legal");
        let expected = if at < PENDING_MAX as u64 { 3 } else { 3 + PENDING_MAX as u64 };
        assert_eq!(store.signed_size(), expected);
    }
    assert_eq!(store.state().size(), 4 + PENDING_MAX as u64);
}

/// The disk says no to a write of several: what was asked for is taken back, what waited waits on.
#[test]
fn a_write_that_fails_records_nothing() {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    store.append_lazily(refusal("waits"), time(3)).expect("legal");
    let (state, before) = (store.state().clone(), entries(&dir));
    let block = dir.path().join("ledger/checkpoint.new");
    std::fs::create_dir(&block).expect("a folder in the way");
    for _ in 0..2 {
        assert!(matches!(store.append_all(names(&["a", "b"]), time(4)), Err(LedgerError::Io { .. })));
        assert!(matches!(store.append(refusal("c"), time(4)), Err(LedgerError::Io { .. })));
        assert!(matches!(store.flush(), Err(LedgerError::Io { .. })));
        assert_eq!((store.state(), store.signed_size()), (&state, 3));
        assert_eq!(entries(&dir), before);
    }
    std::fs::remove_dir(&block).expect("empty");
    assert_eq!(store.append_all(names(&["a", "b"]), time(4)).expect("the disk is back"), 4..6);
    let state = store.state().clone();
    drop(store);
    assert_eq!(open(dir.path()).expect("sound").state(), &state);
}

/// A crash in the middle of a write of several leaves any prefix of them: all are cut off.
#[test]
fn a_torn_write_of_several_is_cut_off() {
    let dir = ledger();
    let (path, signed) = (dir.path().join("ledger/entries"), entries(&dir));
    let checkpoint = std::fs::read(dir.path().join("ledger/checkpoint")).expect("readable");
    open(dir.path()).expect("sound").append_all(names(&["a", "b"]), time(3)).expect("legal");
    let whole = entries(&dir);
    std::fs::write(dir.path().join("ledger/checkpoint"), &checkpoint).expect("writable");
    for length in signed.len()..=whole.len() {
        std::fs::write(&path, &whole[..length]).expect("writable");
        let store = open(dir.path()).expect("recovers");
        assert_eq!((store.state().size(), store.dropped_bytes()), (3, (length - signed.len()) as u64));
        assert_eq!(entries(&dir), signed);
    }
}
