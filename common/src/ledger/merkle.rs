//! The Merkle tree of RFC 6962, section 2.1, over SHA-256: heads, inclusion and consistency proofs.
//! Verification follows RFC 9162, sections 2.1.3.2 and 2.1.4.2.
//!
//! Invariant of [`Tree`]: level `k` holds the hash of every complete aligned subtree of 2^k leaves,
//! left to right, so that the head of any earlier size is at hand.

use crate::id::Digest;
use sha2::{Digest as _, Sha256};

/// SHA-256(0x00 ‖ entry): the hash of one leaf (RFC 6962 §2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let hash = Sha256::new().chain_update([0x00]).chain_update(entry).finalize();
    Digest::from_bytes(hash.into())
}

/// SHA-256(0x01 ‖ left ‖ right): the hash of an inner node (RFC 6962 §2.1).
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new()
        .chain_update([0x01])
        .chain_update(left.as_bytes())
        .chain_update(right.as_bytes())
        .finalize();
    Digest::from_bytes(hash.into())
}

/// An append-only tree of leaf hashes: 64 bytes a leaf, appending in amortised constant time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// The tree over these entries.
    #[must_use]
    pub fn of<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Self {
        let mut tree = Self::default();
        for entry in entries {
            tree.push(leaf_hash(entry.as_ref()));
        }
        tree
    }

    /// Appends one leaf by its hash ([`leaf_hash`]).
    pub fn push(&mut self, leaf: Digest) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            if row.len() % 2 == 1 {
                return;
            }
            hash = node_hash(&row[row.len() - 2], &row[row.len() - 1]);
        }
    }

    /// Forgets every leaf from index `size` on.
    pub fn truncate(&mut self, size: u64) {
        for (level, row) in self.levels.iter_mut().enumerate() {
            row.truncate(index(size >> level));
        }
    }

    /// How many leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// The hash of one leaf.
    #[must_use]
    pub fn leaf(&self, at: u64) -> Option<Digest> {
        self.levels.first()?.get(usize::try_from(at).ok()?).copied()
    }

    /// The hashes of the complete aligned subtrees of 2^`level` leaves, left to right.
    #[must_use]
    pub fn level(&self, level: usize) -> &[Digest] {
        self.levels.get(level).map_or(&[], Vec::as_slice)
    }

    /// The tree head; that of the empty tree is SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.hash_of(0, self.size())
    }

    /// The head when the tree had `size` leaves; `None` if it never had so many.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Digest> {
        (size <= self.size()).then(|| self.hash_of(0, size))
    }

    /// PATH(index, `D[0:size]`) of RFC 6962 §2.1.1: proves that the leaf at `at` is in the tree of
    /// `size` leaves. `None` unless `at < size ≤ self.size()`.
    #[must_use]
    pub fn inclusion_proof(&self, at: u64, size: u64) -> Option<Vec<Digest>> {
        if at >= size || size > self.size() {
            return None;
        }
        let (mut start, mut end) = (0, size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if at < middle {
                path.push(self.hash_of(middle, end));
                end = middle;
            } else {
                path.push(self.hash_of(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// PROOF(old, `D[0:new]`) of RFC 6962 §2.1.2: proves that the tree of `new` leaves only appended
    /// to that of `old`. Empty for `old = 0` and for `old = new`; `None` unless
    /// `old ≤ new ≤ self.size()`.
    #[must_use]
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        if old > new || new > self.size() {
            return None;
        }
        let mut path = Vec::new();
        if old == 0 || old == new {
            return Some(path);
        }
        let (mut start, mut end) = (0, new);
        // While the old tree's right edge lies inside [start, end); `old` is absolute.
        while old != end {
            let middle = start + split(end - start);
            if old <= middle {
                path.push(self.hash_of(middle, end));
                end = middle;
            } else {
                path.push(self.hash_of(start, middle));
                start = middle;
            }
        }
        // The verifier knows the old head itself; another complete subtree has to be named.
        if start != 0 {
            path.push(self.hash_of(start, end));
        }
        path.reverse();
        Some(path)
    }

    /// MTH(D[start:end]), where the range is one that RFC 6962's recursion reaches.
    fn hash_of(&self, start: u64, end: u64) -> Digest {
        let width = end - start;
        if width == 0 {
            return Digest::of(b"");
        }
        if width.is_power_of_two() {
            let level = width.trailing_zeros();
            return self.levels[level as usize][index(start >> level)];
        }
        let middle = start + split(width);
        node_hash(&self.hash_of(start, middle), &self.hash_of(middle, end))
    }
}

/// The proof does not show what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// An index or a size that no tree has in this order.
    #[error("a proof from {from} to {to} makes no sense")]
    Range {
        /// Leaf index or old size.
        from: u64,
        /// Size.
        to: u64,
    },
    /// Too few or too many hashes.
    #[error("the proof has the wrong number of hashes ({found})")]
    Length {
        /// How many came.
        found: usize,
    },
    /// The hashes lead elsewhere.
    #[error("the proof leads to another tree head")]
    Root,
}

/// Checks that `leaf` is at index `at` of the tree with `size` leaves and head `root`
/// (RFC 9162 §2.1.3.2).
///
/// # Errors
/// It is not, or the proof is malformed.
pub fn verify_inclusion(
    leaf: &Digest,
    at: u64,
    size: u64,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), InvalidProof> {
    if at >= size {
        return Err(InvalidProof::Range { from: at, to: size });
    }
    let (mut node, mut last, mut hash) = (at, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(InvalidProof::Length { found: proof.len() });
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(InvalidProof::Length { found: proof.len() });
    }
    if hash == *root { Ok(()) } else { Err(InvalidProof::Root) }
}

/// Checks that the tree `(new, new_root)` only appended to the tree `(old, old_root)`
/// (RFC 9162 §2.1.4.2). From the empty tree every tree follows, by an empty proof.
///
/// # Errors
/// It did not, or the proof is malformed.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), InvalidProof> {
    if old > new {
        return Err(InvalidProof::Range { from: old, to: new });
    }
    if old == 0 || old == new {
        let same = if old == 0 { *old_root == Digest::of(b"") } else { old_root == new_root };
        return match (proof.is_empty(), same) {
            (true, true) => Ok(()),
            (false, _) => Err(InvalidProof::Length { found: proof.len() }),
            (true, false) => Err(InvalidProof::Root),
        };
    }
    let mut hashes = proof.iter();
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let seed = if old.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(seed) = seed else { return Err(InvalidProof::Length { found: 0 }) };
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for sibling in hashes {
        if last == 0 {
            return Err(InvalidProof::Length { found: proof.len() });
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(InvalidProof::Length { found: proof.len() });
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(InvalidProof::Root) }
}

/// The largest power of two below `width`; `width ≥ 2`.
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

fn index(at: u64) -> usize {
    usize::try_from(at).expect("a tree in memory has fewer leaves than the address space")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(hex: &str) -> Digest {
        format!("sha256:{hex}").parse().expect("a digest")
    }

    /// The eight inputs and roots of the Certificate Transparency reference implementation
    /// (`tests/vectors/ledger/README.md`).
    fn reference() -> (Vec<Vec<u8>>, Vec<Digest>) {
        let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
            .into_iter()
            .chain(["606162636465666768696a6b6c6d6e6f"])
            .map(|text| hex::decode(text).expect("hex"))
            .collect();
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        (inputs, roots.into_iter().map(digest).collect())
    }

    #[test]
    fn reference_roots() {
        let (inputs, roots) = reference();
        let tree = Tree::of(&inputs);
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(Tree::of(&inputs[..size]).root(), *root, "size {size}");
            assert_eq!(tree.root_at(size as u64), Some(*root), "size {size}");
        }
        assert_eq!(tree.root_at(9), None);
    }

    #[test]
    fn reference_proofs() {
        let (inputs, roots) = reference();
        let tree = Tree::of(&inputs);
        let inclusion = |at: u64, size: u64, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|hex| digest(hex)).collect();
            assert_eq!(tree.inclusion_proof(at, size), Some(expected), "inclusion of {at} in {size}");
        };
        inclusion(
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        inclusion(
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        inclusion(0, 1, &[]);
        let consistency = |old: usize, new: usize, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|hex| digest(hex)).collect();
            assert_eq!(
                tree.consistency_proof(old as u64, new as u64).as_ref(),
                Some(&expected),
                "{old} {new}"
            );
            assert_eq!(
                verify_consistency(old as u64, &roots[old], new as u64, &roots[new], &expected),
                Ok(()),
                "{old} {new}"
            );
        };
        consistency(1, 1, &[]);
        consistency(
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        );
        consistency(
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        );
        consistency(
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        );
    }

    fn leaves(size: u64) -> Tree {
        Tree::of((0..size).map(u64::to_le_bytes))
    }

    #[test]
    fn every_proof_up_to_70_leaves_verifies_and_no_other_does() {
        let tree = leaves(70);
        let root = |size| tree.root_at(size).expect("size ≤ 70");
        for size in 0..=70 {
            assert_eq!(leaves(size).root(), root(size));
            for at in 0..size {
                let leaf = tree.leaf(at).expect("at < 70");
                let proof = tree.inclusion_proof(at, size).expect("in range");
                assert_eq!(verify_inclusion(&leaf, at, size, &proof, &root(size)), Ok(()), "{at} {size}");
                assert!(verify_inclusion(&leaf_hash(b"x"), at, size, &proof, &root(size)).is_err());
                if size > 1 {
                    assert!(verify_inclusion(&leaf, (at + 1) % size, size, &proof, &root(size)).is_err());
                }
            }
            for old in 0..=size {
                let proof = tree.consistency_proof(old, size).expect("in range");
                let check = |old_root: &Digest, proof: &[Digest]| {
                    verify_consistency(old, old_root, size, &root(size), proof)
                };
                assert_eq!(check(&root(old), &proof), Ok(()), "{old} {size}");
                assert!(check(&leaf_hash(b"x"), &proof).is_err(), "{old} {size}");
                let longer = [proof.as_slice(), &[root(1)]].concat();
                assert!(check(&root(old), &longer).is_err(), "{old} {size}");
                if !proof.is_empty() {
                    assert!(check(&root(old), &proof[1..]).is_err(), "{old} {size}");
                    assert!(check(&root(old), &proof[..proof.len() - 1]).is_err(), "{old} {size}");
                }
            }
        }
        assert_eq!(tree.inclusion_proof(70, 70), None);
        assert_eq!(tree.consistency_proof(3, 71), None);
        assert!(verify_consistency(3, &root(3), 2, &root(2), &[]).is_err());
    }

    proptest! {
        #[test]
        fn truncating_is_never_having_appended(size in 0_u64..200, keep in 0_u64..200) {
            let mut tree = leaves(size);
            tree.truncate(keep);
            prop_assert_eq!(tree.size(), keep.min(size));
            prop_assert_eq!(tree.root(), leaves(keep.min(size)).root());
            tree.push(leaf_hash(b"next"));
            let mut other = leaves(keep.min(size));
            other.push(leaf_hash(b"next"));
            prop_assert_eq!(tree.root(), other.root());
        }

        #[test]
        fn verifiers_never_panic(at in any::<u64>(), size in any::<u64>(), hashes in 0_usize..80) {
            let proof = vec![leaf_hash(b"x"); hashes];
            let root = leaf_hash(b"root");
            let _ = verify_inclusion(&root, at, size, &proof, &root);
            let _ = verify_consistency(at, &root, size, &leaf_hash(b"y"), &proof);
        }
    }
}
