//! Tree heads, inclusion and consistency proofs against those of another program: trees of several tiles, and
//! sizes around powers of two (`tests/vectors/ledger/README.md`).

use consilium_common::id::Digest;
use consilium_common::ledger::merkle::{Tree, leaf_hash, verify_consistency, verify_inclusion};

#[test]
fn heads_and_proofs_of_another_program() {
    let tree = Tree::of((0..70_000).map(|i| format!("entry {i}")));
    let mut reader =
        csv::Reader::from_reader(include_str!("../../tests/vectors/ledger/merkle.csv").as_bytes());
    let mut seen = [0; 3];
    for row in reader.records() {
        let row = row.expect("a row");
        let number = |at: usize| row[at].parse::<u64>().expect("a number");
        let hashes: Vec<Digest> =
            row[3].split_whitespace().map(|hash| format!("sha256:{hash}").parse().expect("a hash")).collect();
        let (from, size) = (number(1), number(2));
        let head = tree.root_at(size).expect("at most 70000");
        match &row[0] {
            "head" => {
                seen[0] += 1;
                assert_eq!(hashes, [head], "size {size}");
            }
            "inclusion" => {
                seen[1] += 1;
                assert_eq!(tree.inclusion_proof(from, size).as_ref(), Some(&hashes), "{from} in {size}");
                let leaf = leaf_hash(format!("entry {from}").as_bytes());
                assert_eq!(verify_inclusion(&leaf, from, size, &hashes, &head), Ok(()), "{from} in {size}");
            }
            "consistency" => {
                seen[2] += 1;
                assert_eq!(tree.consistency_proof(from, size).as_ref(), Some(&hashes), "{from} to {size}");
                let old = tree.root_at(from).expect("at most 70000");
                assert_eq!(verify_consistency(from, &old, size, &head, &hashes), Ok(()), "{from} to {size}");
            }
            other => panic!("{other}"),
        }
    }
    assert!(seen.iter().all(|count| *count >= 15), "{seen:?}");
}
