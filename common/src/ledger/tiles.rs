//! The files of a ledger in the C2SP `tlog-tiles` layout, as pure data: hash tiles of 256 at
//! `tile/LEVEL/INDEX` and entry bundles at `tile/entries/INDEX`, a partial one with `.p/WIDTH` at
//! the end. A copy of these files and the checkpoint is the audit artefact.
//!
//! One size has exactly one set of files: a partial tile beside the full one, which the layout
//! would allow to keep, is not written and not accepted.

use super::entry::ENTRY_BYTES_MAX;
use super::merkle::{Tree, leaf_hash};
use crate::id::Digest;

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// A ledger's files that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTiles {
    /// A file is not there.
    #[error("{path}: missing, the checkpoint counts {size} entries")]
    Missing {
        /// Which file.
        path: String,
        /// The checkpoint's size.
        size: u64,
    },
    /// An entry bundle does not hold the entries that it should.
    #[error("{path}: expected {expected} entries and nothing after them; broken after entry {at}")]
    Bundle {
        /// Which file.
        path: String,
        /// How many entries it should hold.
        expected: u64,
        /// The index of the first entry that could not be read.
        at: u64,
    },
    /// A hash tile is not that of the entries.
    #[error("{path}: not the hashes of the entries, first at entry {at}")]
    Hashes {
        /// Which file.
        path: String,
        /// The first entry under the first hash that differs.
        at: u64,
    },
}

/// All files of a ledger, the checkpoint apart, in a fixed order.
///
/// # Panics
/// An entry longer than [`ENTRY_BYTES_MAX`], or a tree over other entries: bugs of the caller.
#[must_use]
pub fn files(entries: &[impl AsRef<[u8]>], tree: &Tree) -> Vec<(String, Vec<u8>)> {
    assert_eq!(tree.size(), entries.len() as u64, "the tree is over these entries");
    let bundles = places(tree.size()).map(|place| {
        let mut bytes = Vec::new();
        for entry in &entries[place.range()] {
            push_entry(&mut bytes, entry.as_ref());
        }
        (place.path("entries"), bytes)
    });
    bundles.chain(hash_tiles(tree).map(|(path, tile, _)| (path, tile))).collect()
}

/// The paths of [`files`] for a ledger of `size` entries.
#[must_use]
pub fn paths(size: u64) -> Vec<String> {
    let bundles = places(size).map(|place| place.path("entries"));
    let hashes =
        (0..8).flat_map(|level| places(at_level(size, level)).map(move |p| p.path(&level.to_string())));
    bundles.chain(hashes).collect()
}

/// Reads the entries of a ledger of `size` back, where `read` gives a file's bytes by its path,
/// and checks every hash tile against the tree that it recomputes.
///
/// # Errors
/// A missing file, a bundle with more or fewer entries, a hash that is not the entries'.
pub fn read<'a>(
    size: u64,
    mut read: impl FnMut(&str) -> Option<std::borrow::Cow<'a, [u8]>>,
) -> Result<(Vec<Vec<u8>>, Tree), InvalidTiles> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut tree = Tree::default();
    for place in places(size) {
        let path = place.path("entries");
        let bytes = read(&path).ok_or_else(|| InvalidTiles::Missing { path: path.clone(), size })?;
        let mut rest: &[u8] = &bytes;
        for _ in 0..place.width {
            let entry = take_entry(&mut rest);
            let Some(entry) = entry else {
                return Err(InvalidTiles::Bundle { path, expected: place.width, at: tree.size() });
            };
            tree.push(leaf_hash(entry));
            entries.push(entry.to_vec());
        }
        if !rest.is_empty() {
            return Err(InvalidTiles::Bundle { path, expected: place.width, at: tree.size() });
        }
    }
    for (path, expected, first) in hash_tiles(&tree) {
        let bytes = read(&path).ok_or_else(|| InvalidTiles::Missing { path: path.clone(), size })?;
        if *bytes != *expected {
            let same = bytes.chunks(32).zip(expected.chunks(32)).take_while(|(a, b)| a == b).count();
            return Err(InvalidTiles::Hashes { path, at: first(same as u64) });
        }
    }
    Ok((entries, tree))
}

/// Appends one entry with its length, as entry bundles hold it.
///
/// # Panics
/// Longer than [`ENTRY_BYTES_MAX`]: a bug of the caller.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    let length =
        u16::try_from(entry.len()).unwrap_or_else(|_| panic!("an entry has at most {ENTRY_BYTES_MAX} bytes"));
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// Takes one entry off the front; `None`, and nothing taken, unless a whole one is there.
pub fn take_entry<'a>(bundle: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bundle.split_first_chunk::<2>()?;
    let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bundle = rest;
    Some(entry)
}

/// Path, bytes, and for the i-th hash the first entry under it.
fn hash_tiles(tree: &Tree) -> impl Iterator<Item = (String, Vec<u8>, impl Fn(u64) -> u64)> {
    (0..8_u32).flat_map(move |level| {
        let hashes = tree.level(8 * level as usize);
        places(at_level(tree.size(), level)).map(move |place| {
            let bytes = hashes[place.range()].iter().flat_map(|h: &Digest| *h.as_bytes()).collect();
            let start = place.index * TILE_WIDTH;
            (place.path(&level.to_string()), bytes, move |i| (start + i) << (8 * level))
        })
    })
}

/// One tile or bundle of a row.
#[derive(Clone, Copy)]
struct Place {
    index: u64,
    width: u64,
}

impl Place {
    fn range(self) -> std::ops::Range<usize> {
        let start = usize::try_from(self.index * TILE_WIDTH).expect("in memory");
        start..start + usize::try_from(self.width).expect("at most 256")
    }

    /// Index 1234067 is written `x001/x234/067`.
    fn path(self, row: &str) -> String {
        let mut groups = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups = format!("x{:03}/{groups}", rest % 1000);
            rest /= 1000;
        }
        let partial = if self.width < TILE_WIDTH { format!(".p/{}", self.width) } else { String::new() };
        format!("tile/{row}/{groups}{partial}")
    }
}

/// The tiles of a row of `length` hashes or entries.
fn places(length: u64) -> impl Iterator<Item = Place> {
    (0..length.div_ceil(TILE_WIDTH))
        .map(move |index| Place { index, width: (length - index * TILE_WIDTH).min(TILE_WIDTH) })
}

/// How many hashes a tree of `size` has at a tile level; 8 levels span 2^64 leaves.
fn at_level(size: u64, level: u32) -> u64 {
    size >> (8 * level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::collections::BTreeMap;

    type Map = BTreeMap<String, Vec<u8>>;

    fn ledger(size: u64) -> (Vec<Vec<u8>>, Tree) {
        let entries: Vec<_> = (0..size).map(|i| format!("entry {i}").into_bytes()).collect();
        let tree = Tree::of(&entries);
        (entries, tree)
    }

    fn map(size: u64) -> Map {
        let (entries, tree) = ledger(size);
        files(&entries, &tree).into_iter().collect()
    }

    fn read_map(size: u64, map: &Map) -> Result<(Vec<Vec<u8>>, Tree), InvalidTiles> {
        read(size, |path| map.get(path).map(|bytes| Cow::Borrowed(bytes.as_slice())))
    }

    /// The examples of the specification.
    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(Place { index: 1_234_067, width: 256 }.path("0"), "tile/0/x001/x234/067");
        assert_eq!(Place { index: 0, width: 5 }.path("entries"), "tile/entries/000.p/5");
        let paths = paths(70_000);
        let count = |start: &str| paths.iter().filter(|p| p.starts_with(start)).count();
        assert_eq!(
            (count("tile/0/"), count("tile/1/"), count("tile/2/"), count("tile/entries/")),
            (274, 2, 1, 274)
        );
        assert_eq!(paths.len(), 274 + 2 + 1 + 274);
        for partial in ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"] {
            assert!(paths.iter().any(|p| p == partial), "{partial}");
        }
        assert_eq!(super::paths(256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert!(super::paths(0).is_empty());
    }

    #[test]
    fn round_trips() {
        for size in [0, 1, 2, 255, 256, 257, 511, 512, 70_000] {
            let (entries, tree) = ledger(size);
            let map = map(size);
            let mut named = paths(size);
            named.sort();
            assert_eq!(map.keys().cloned().collect::<Vec<_>>(), named, "{size}");
            assert_eq!(read_map(size, &map), Ok((entries, tree)), "{size}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let good = map(600);
        let check = |change: &dyn Fn(&mut Map), what: &str| {
            let mut files = good.clone();
            change(&mut files);
            let error = read_map(600, &files).expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
        };
        check(&|f| drop(f.remove("tile/entries/001")), "tile/entries/001: missing");
        check(&|f| drop(f.remove("tile/1/000.p/2")), "tile/1/000.p/2: missing");
        check(
            &|f| f.get_mut("tile/entries/001").unwrap()[4] ^= 1,
            "tile/0/001: not the hashes of the entries, first at entry 256",
        );
        check(&|f| f.get_mut("tile/1/000.p/2").unwrap()[40] ^= 1, "first at entry 256");
        check(&|f| f.get_mut("tile/0/002.p/88").unwrap().push(0), "tile/0/002.p/88: not the hashes");
        check(&|f| f.get_mut("tile/entries/002.p/88").unwrap().push(0), "broken after entry 600");
        check(&|f| f.get_mut("tile/entries/000").unwrap().truncate(100), "expected 256 entries");
        // A checkpoint that claims more than is there must not cost memory.
        assert!(matches!(read_map(u64::MAX, &good), Err(InvalidTiles::Missing { .. })));
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let good = map(20);
        let root = ledger(20).1.root();
        for (path, bytes) in &good {
            for at in 0..bytes.len() {
                let mut files = good.clone();
                files.get_mut(path).unwrap()[at] ^= 1;
                let sound = read_map(20, &files).is_ok_and(|(_, tree)| tree.root() == root);
                assert!(!sound, "{path}, byte {at}");
            }
        }
    }
}
