//! Which entry of a broken ledger is the first bad one, and what happened to it.
//!
//! Three things speak of an entry: its bytes, the hash tile, and `previous` in the entry after it. Whoever
//! changed one of them and not the others is found by comparing; whoever rewrote all of them, and every entry
//! after it, is found by the signed tree head, but no longer by place: an older bundle tells that
//! ([`super::difference`]).

use crate::id::Digest;
use crate::ledger::entry::Entry;
use crate::ledger::merkle::leaf_hash;
use crate::ledger::tiles::take_entry;
use std::collections::HashMap;

/// What happened to the first bad entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diagnosis {
    /// As [`super::Finding::kind`].
    pub(super) kind: &'static str,
    /// Its index.
    pub(super) entry: u64,
    /// What gave it away.
    pub(super) what: String,
}

/// Entries as far as they can be read, whatever the checkpoint says.
pub(super) struct Evidence {
    /// The entry bundles one after the other.
    entries: Vec<Vec<u8>>,
    /// The leaf hashes that the hash tiles name.
    named: Vec<Digest>,
    /// The bundles end within an entry.
    torn: bool,
}

impl Evidence {
    /// From the bytes of the entry bundles and of the lowest row of hash tiles, each in order.
    pub(super) fn read<'a>(
        bundles: impl IntoIterator<Item = &'a [u8]>,
        hash_tiles: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut evidence = Self { entries: Vec::new(), named: Vec::new(), torn: false };
        for bundle in bundles {
            let mut rest = bundle;
            while let Some(entry) = take_entry(&mut rest) {
                evidence.entries.push(entry.to_vec());
            }
            if !rest.is_empty() {
                evidence.torn = true;
                break;
            }
        }
        for tile in hash_tiles {
            let hashes = tile.chunks_exact(32);
            evidence
                .named
                .extend(hashes.map(|hash| Digest::from_bytes(hash.try_into().expect("chunks of 32 bytes"))));
        }
        evidence
    }

    /// Entries that were read already, and whose hash tiles are theirs.
    pub(super) fn of(entries: Vec<Vec<u8>>) -> Self {
        let named = entries.iter().map(|entry| leaf_hash(entry)).collect();
        Self { entries, named, torn: false }
    }

    /// The first bad entry of a ledger that should have `size` entries; none when the entries follow
    /// one another and the tiles are theirs.
    pub(super) fn first_bad(&self, size: u64) -> Option<Diagnosis> {
        let hashes: Vec<Digest> = self.entries.iter().map(|entry| leaf_hash(entry)).collect();
        let previous: Vec<Option<Digest>> =
            self.entries.iter().map(|entry| Entry::from_bytes(entry).ok().map(|e| e.previous)).collect();
        let count = hashes.len();
        let is_after = |at: usize| match at {
            0 => previous[0] == Some(Digest::of(b"")),
            _ => previous[at] == Some(hashes[at - 1]),
        };
        if let Some(at) = (0..count).find(|&at| !is_after(at)) {
            return Some(self.broken_at(at, &hashes, &previous, size));
        }
        let at = count as u64;
        if self.torn {
            return Some(bad("entry.changed", at, "its length or its end is not there"));
        }
        if at < size {
            let what = format!("the entries end here, the checkpoint counts {size}");
            return Some(bad("entry.truncated", at, what));
        }
        if at > size {
            return Some(bad("entry.inserted", size, format!("the checkpoint counts {size} entries")));
        }
        let wrong = hashes.iter().zip(&self.named).position(|(hash, named)| hash != named)?;
        if wrong + 1 == count {
            return Some(bad("entry.changed", wrong as u64, "its hash is not the one in the hash tile"));
        }
        Some(bad("tile", wrong as u64, "the hash tile names another entry than the one that follows does"))
    }

    /// Entry `at` does not follow the one before it.
    fn broken_at(&self, at: usize, hashes: &[Digest], previous: &[Option<Digest>], size: u64) -> Diagnosis {
        let index = at as u64;
        let places: HashMap<Digest, usize> = (0..hashes.len()).rev().map(|at| (hashes[at], at)).collect();
        if let Some(&original) = places.get(&hashes[at]).filter(|&&original| original < at) {
            return bad("entry.duplicated", index, format!("a copy of entry {original}"));
        }
        let names_itself = self.named.get(at).is_none_or(|named| *named == hashes[at]);
        let Some(expected) = previous[at] else {
            return bad("entry.changed", index, "it is no entry any more");
        };
        if at == 0 {
            let moved = places.contains_key(&expected);
            let (kind, what) = if moved {
                ("entry.reordered", "it follows an entry that comes later")
            } else if expected == self.named.first().copied().unwrap_or(expected) {
                ("entry.dropped", "the first entry is not there")
            } else {
                ("entry.changed", "the first entry follows nothing, and this one says otherwise")
            };
            return bad(kind, 0, what);
        }
        match places.get(&expected) {
            Some(&later) if later >= at => {
                return bad("entry.reordered", index, format!("it follows what is now entry {later}"));
            }
            Some(&earlier) => {
                let first = earlier as u64 + 1;
                let what = format!("entry {index} follows entry {earlier}: what is between was put in");
                return bad("entry.inserted", first, what);
            }
            None => {}
        }
        let before = index - 1;
        if self.named.get(at - 1).is_some_and(|named| *named != hashes[at - 1]) {
            let what = format!(
                "its hash is neither the one in the hash tile nor the one that entry {index} follows"
            );
            return bad("entry.changed", before, what);
        }
        if !names_itself && self.named.get(at) != Some(&expected) {
            return bad("entry.changed", index, "its hash is not the one in the hash tile");
        }
        if !names_itself || (hashes.len() as u64) < size {
            return bad(
                "entry.dropped",
                index,
                "the entry that was here, and that the next one follows, is not",
            );
        }
        let what = format!(
            "entry {index} follows another than entry {before}: that one was changed, or one after it was \
             dropped, and what covers it was written anew"
        );
        bad("entry.changed", before, what)
    }
}

fn bad(kind: &'static str, entry: u64, what: impl Into<String>) -> Diagnosis {
    Diagnosis { kind, entry, what: what.into() }
}
