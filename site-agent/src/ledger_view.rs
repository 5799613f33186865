//! The ledger as a reader sees it while the agent may be writing: everything under the newest
//! checkpoint, the journal's included, checked, without the writer's lock.

use crate::files::{self, FileError};
use crate::home::{Home, HomeError};
use crate::ledger::{Ahead, JOURNAL, ahead};
use consilium_common::ledger::checkpoint::{InvalidNote, NOTE_BYTES_MAX, Note};
use consilium_common::ledger::merkle::Tree;
use consilium_common::ledger::rules::{self, Illegal, State};
use consilium_common::ledger::tiles;
use std::path::Path;

/// The largest ledger that is read, bytes: years of rounds.
const LEDGER_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Looks at checkpoint and journal before a writer is too busy to be read along.
const LOOKS: u32 = 100;

/// A ledger that was read and checked.
#[derive(Debug)]
pub struct LedgerView {
    /// What its entries amount to.
    pub state: State,
    entries: Vec<Vec<u8>>,
    tree: Tree,
    note: Note,
}

/// A ledger that cannot be believed or read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Reading failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key cannot be read.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The checkpoint does not verify.
    #[error("the ledger is corrupt: checkpoint: {0}")]
    Note(#[from] InvalidNote),
    /// An entry breaks a rule.
    #[error("the ledger is corrupt: {0}")]
    Illegal(#[from] Illegal),
    /// Entries and checkpoint do not belong together.
    #[error("the ledger is corrupt: {0}")]
    Corrupt(&'static str),
    /// What was appended last does not go with what was filed.
    #[error("the ledger is corrupt: journal: {0}")]
    Journal(String),
    /// Another process writes all the time.
    #[error("the agent is writing to the ledger; try again")]
    Busy,
}

impl LedgerView {
    /// Reads and checks a home's ledger.
    ///
    /// # Errors
    /// IO, or anything signed that is missing or changed.
    pub fn read(home: &Home) -> Result<Self, ViewError> {
        let dir = home.ledger_dir();
        let key = home.ledger_key()?.public();
        // The checkpoint first: entries only grow, so that what it signs is in what is read next.
        let (note, journal) = newest_signed(&dir)?;
        let note = Note::parse(&note)?;
        let bytes = files::read(&dir.join("entries"), LEDGER_BYTES_MAX)?;
        let mut rest = &bytes[..];
        let mut filed = Vec::new();
        for _ in 0..note.checkpoint.size {
            filed.push(tiles::take_entry(&mut rest).ok_or(ViewError::Corrupt("signed entries are missing"))?);
        }
        if Tree::of(&filed).root() != note.checkpoint.root {
            return Err(ViewError::Corrupt("an entry was changed after it was signed"));
        }
        let mut entries: Vec<_> = filed.iter().map(|entry| entry.to_vec()).collect();
        let note = match ahead(&note, &filed, &journal, &key).map_err(ViewError::Journal)? {
            Some(Ahead { framed, newest }) => {
                let mut rest = framed.as_slice();
                entries.extend(std::iter::from_fn(|| tiles::take_entry(&mut rest).map(<[u8]>::to_vec)));
                newest
            }
            None => note,
        };
        let tree = Tree::of(&entries);
        let state = rules::replay(&entries)?;
        if state.key() != key {
            return Err(ViewError::Corrupt("it belongs to another key than identity/ledger.key"));
        }
        note.verify(&state.origin(), &key)?;
        let note = cosigned(home, &note)?.unwrap_or(note);
        Ok(Self { state, entries, tree, note })
    }

    /// The files that an auditor takes: `checkpoint`, with the cosignature if the newest has one, and
    /// the tiles.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let note = ("checkpoint".to_owned(), self.note.to_string().into_bytes());
        std::iter::once(note).chain(tiles::files(&self.entries, &self.tree)).collect()
    }
}

/// The bytes of checkpoint and journal as they were at one moment: the writer files the one and begins
/// the other anew.
fn newest_signed(dir: &Path) -> Result<(Vec<u8>, Vec<u8>), ViewError> {
    let look = || {
        let checkpoint = files::read(&dir.join("checkpoint"), NOTE_BYTES_MAX as u64)?;
        let journal = match files::read(&dir.join(JOURNAL), LEDGER_BYTES_MAX) {
            Err(error) if error.is_absent() => Vec::new(),
            read => read?,
        };
        Ok::<_, FileError>((checkpoint, journal))
    };
    let mut before = look()?;
    for _ in 0..LOOKS {
        let now = look()?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(ViewError::Busy)
}

/// The same checkpoint with the coordinator's cosignature, if the newest has one.
fn cosigned(home: &Home, newest: &Note) -> Result<Option<Note>, ViewError> {
    let bytes = match files::read(&home.ledger_dir().join("cosigned"), NOTE_BYTES_MAX as u64) {
        Err(error) if error.is_absent() => return Ok(None),
        read => read?,
    };
    Ok(Some(Note::parse(&bytes)?).filter(|note| note.checkpoint == newest.checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Genesis, LedgerStore};
    use crate::testing::now;
    use consilium_common::ledger::entry::Body;

    #[test]
    fn a_reader_sees_what_is_signed_while_the_writer_writes() {
        let dir = tempfile::tempdir().expect("folder");
        let site: consilium_common::id::SiteName = "a".parse().expect("name");
        let home = Home::create(&dir.path().join("agent"), site.clone()).expect("made").home;
        assert!(matches!(LedgerView::read(&home), Err(ViewError::File(_))), "none yet");
        let caps = home.policy().expect("default").caps;
        let genesis = Genesis { site, dataset: "d1".into(), software: "site-agent 0.1.0".into(), caps };
        let key = home.ledger_key().expect("key");
        let mut store = LedgerStore::create(&home.ledger_dir(), key, None, genesis, now()).expect("made");
        let refusal = Body::Refusal { rule: "policy.delta".into(), study: None, count: 1 };
        store.append(refusal, now()).expect("legal");

        let view = LedgerView::read(&home).expect("whole");
        assert_eq!(&view.state, store.state());
        assert_eq!(view.files(), store.export_tiles().expect("readable"));
        // What the journal alone has counts, while the agent runs and after a crash.
        let refusal = |rule: &str| Body::Refusal { rule: rule.into(), study: None, count: 1 };
        for rule in ["policy.epsilon", "policy.noise"] {
            store.append_quickly([refusal(rule)], now()).expect("legal");
            let view = LedgerView::read(&home).expect("whole");
            assert_eq!(&view.state, store.state());
            assert_eq!(view.files(), store.export_tiles().expect("readable"));
        }
        let journal = home.ledger_dir().join(JOURNAL);
        let whole = std::fs::read(&journal).expect("there");
        let mut changed = whole.clone();
        changed[60] ^= 1;
        std::fs::write(&journal, &changed).expect("writable");
        assert!(matches!(LedgerView::read(&home), Err(ViewError::Journal(_))));
        std::fs::write(&journal, &whole).expect("writable");
        store.file().expect("filed");
        // An entry that the writer has not signed yet is not there.
        let path = home.ledger_dir().join("entries");
        let mut bytes = std::fs::read(&path).expect("readable");
        let signed = bytes.len();
        bytes.extend_from_slice(b"\x00\x05torn");
        std::fs::write(&path, &bytes).expect("writable");
        assert_eq!(LedgerView::read(&home).expect("whole").state.size(), 4);
        // What is signed and changed or missing is refused.
        for at in 0..signed {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).expect("writable");
            assert!(LedgerView::read(&home).is_err(), "byte {at}");
        }
        std::fs::write(&path, &bytes[..signed - 1]).expect("writable");
        assert!(matches!(LedgerView::read(&home), Err(ViewError::Corrupt(_))));
    }
}
