//! Ledgers that are damaged or gone: what a start says, and which copies take their place.

use super::*;

type Copy = (Note, Vec<Vec<u8>>);

fn copy(store: &LedgerStore) -> Copy {
    (store.checkpoint().clone(), store.entries_from(0, usize::MAX).expect("readable"))
}

fn recover(dir: &tempfile::TempDir, (note, entries): &Copy) -> Result<Recovered, LedgerError> {
    LedgerStore::recover(&OsDisk, &dir.path().join("ledger"), &key(), note, entries, time(9))
}

/// A closed ledger of four entries, three of which were cosigned; and the cosigned copy.
fn ahead_of_its_copy() -> (tempfile::TempDir, Copy) {
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    cosign(&mut store);
    let cosigned = copy(&store);
    store.append(refusal("three"), time(3)).expect("legal");
    (dir, cosigned)
}

#[test]
fn a_start_names_the_way_out_and_what_it_costs() {
    fn check(change: impl Fn(&Path), expected: &str) {
        let dir = ledger();
        open(dir.path()).expect("sound").append_quickly([refusal("three")], time(3)).expect("legal");
        change(&dir.path().join("ledger"));
        let said = open(dir.path()).expect_err(expected).to_string();
        for part in [expected, "`site-agent ledger recover`", "That costs", "stay burnt"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    check(|dir| std::fs::remove_dir_all(dir).expect("there"), "there is no ledger here");
    check(|dir| std::fs::remove_file(dir.join("checkpoint")).expect("there"), "the checkpoint is missing");
    check(|dir| std::fs::remove_file(dir.join("entries")).expect("there"), "the entries are missing");
    check(|dir| std::fs::write(dir.join("entries"), b"").expect("writable"), "the file holds 0");
    let other = |dir: &Path| {
        let path = dir.join("journal");
        let mut bytes = std::fs::read(&path).expect("there");
        // A whole record, signed by somebody else.
        let note = Note::parse(&std::fs::read(dir.join("checkpoint")).expect("there")).expect("a note");
        let forged = note.checkpoint.sign(&coordinator()).to_string();
        let framed = u32::from_le_bytes(bytes[..4].try_into().expect("four")) as usize;
        let framed = bytes[40..40 + framed].to_vec();
        let body = [&framed[..], forged.as_bytes()].concat();
        let length = |part: &[u8]| u32::try_from(part.len()).expect("short").to_le_bytes();
        bytes.clear();
        bytes.extend_from_slice(&length(&framed));
        bytes.extend_from_slice(&length(forged.as_bytes()));
        bytes.extend_from_slice(Digest::of(&body).as_bytes());
        bytes.extend_from_slice(&body);
        std::fs::write(path, bytes).expect("writable");
    };
    // It is over fewer entries than are there: of the past, and nothing is wrong. Then it is one more.
    let dir = ledger();
    let mut store = open(dir.path()).expect("sound");
    store.append_quickly([refusal("three")], time(3)).expect("legal");
    drop(store);
    other(&dir.path().join("ledger"));
    assert_eq!(open(dir.path()).expect("sound").state().size(), 3);
    check(
        |dir| {
            let path = dir.join("journal");
            let mut bytes = std::fs::read(&path).expect("there");
            let first = bytes.clone();
            // Torn, and a whole newer one after it.
            bytes[41] ^= 1;
            bytes.extend_from_slice(&first);
            std::fs::write(path, bytes).expect("writable");
        },
        "journal: ",
    );
}

/// A copy that has all that was cosigned takes the place of a ledger that cannot be read; of one that can, only
/// if nothing is lost.
#[test]
fn what_was_never_cosigned_may_be_lost_with_a_damaged_ledger() {
    let (dir, cosigned) = ahead_of_its_copy();
    let path = dir.path().join("ledger/entries");
    let bytes = std::fs::read(&path).expect("there");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("writable");
    assert!(open(dir.path()).is_err());
    let done = recover(&dir, &cosigned).expect("it continues what was cosigned");
    assert_eq!((done.before, done.after), (Some(4), 4));
    let store = open(dir.path()).expect("sound");
    assert_eq!(store.state().recoveries().map(|(entry, _)| entry).collect::<Vec<_>>(), [3]);
    drop(store);

    // Without a cosigned checkpoint here it cannot be told what may be lost.
    let (dir, cosigned) = ahead_of_its_copy();
    std::fs::remove_file(dir.path().join("ledger/cosigned")).expect("there");
    std::fs::write(dir.path().join("ledger/entries"), b"").expect("writable");
    let error = recover(&dir, &cosigned).expect_err("not all that was signed").to_string();
    assert!(error.contains("does not continue the 4 entries that were signed here"), "{error}");
    // Nor does a copy do that lacks what was cosigned.
    let (dir, _) = ahead_of_its_copy();
    let shorter = copy(&create(tempfile::tempdir().expect("a folder").path()));
    std::fs::write(dir.path().join("ledger/entries"), b"").expect("writable");
    let error = recover(&dir, &shorter).expect_err("not all that was cosigned").to_string();
    assert!(error.contains("does not continue the 4 entries that were signed here"), "{error}");
}

#[test]
fn a_clock_far_behind_recovers_nothing() {
    let (dir, (note, entries)) = ahead_of_its_copy();
    let early = time(0).unix_ms() - CLOCK_BACK_MAX_MS;
    let early = Time::from_unix_ms(early).expect("a time");
    let path = dir.path().join("ledger");
    let error =
        LedgerStore::recover(&OsDisk, &path, &key(), &note, &entries, early).expect_err("set the clock");
    assert!(matches!(error, LedgerError::Clock { .. }), "{error}");
    assert_eq!(open(dir.path()).expect("untouched").state().size(), 4);
}
