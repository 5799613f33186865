//! A ledger that promises another participant's cosignature, with and without it.

mod bundle;

use bundle::{Map, SITES, Site, check, coordinator, key, make, name, time};
use consilium_common::ledger::checkpoint::{COORDINATOR, Checkpoint, witness_name};
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::merkle::{Tree, leaf_hash};
use consilium_common::ledger::rules::SCHEMA_WITNESSED;
use consilium_common::ledger::tiles;

/// The site's ledger in the new format: another genesis, and every entry after it chained anew.
fn in_new_format(site: &Site) -> Vec<Vec<u8>> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for bytes in &site.entries {
        let mut entry = Entry::from_bytes(bytes).expect("an entry");
        if let Body::Genesis { schema, .. } = &mut entry.body {
            *schema = SCHEMA_WITNESSED.into();
        }
        if let Some(before) = entries.last() {
            entry.previous = leaf_hash(before);
        }
        entries.push(entry.to_bytes().expect("short"));
    }
    entries
}

/// The sound bundle with one site's ledger in the new format, cosigned by the coordinator and by
/// these: a name, and the seed of the key that signs.
fn bundle_with(witnesses: &[(&str, u8)]) -> Map {
    let (mut map, sites) = make();
    let entries = in_new_format(&sites[0]);
    let tree = Tree::of(&entries);
    let origin = sites[0].state.origin();
    let mut note = Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(&key(sites[0].seed));
    let mut lines = vec![note.cosign(COORDINATOR, &coordinator(), time(600))];
    lines.extend(
        witnesses.iter().map(|(site, seed)| note.cosign(&witness_name(&name(site)), &key(*seed), time(600))),
    );
    for line in lines {
        note = note.with(line).expect("room");
    }
    let prefix = format!("sites/{}/ledger/", sites[0].name);
    map.retain(|path, _| !path.starts_with(&prefix));
    map.insert(format!("{prefix}checkpoint"), note.to_string().into_bytes());
    map.extend(
        tiles::files(&entries, &tree).into_iter().map(|(path, bytes)| (format!("{prefix}{path}"), bytes)),
    );
    map
}

#[test]
fn a_new_ledger_needs_another_participant() {
    let check = |witnesses: &[(&str, u8)], sound: bool| {
        let findings = check(&bundle_with(witnesses)).findings;
        let missing = |what: &str| what.contains("not cosigned by another participant");
        assert_eq!(findings.is_empty(), sound, "{witnesses:?}: {findings:?}");
        assert!(sound || findings.iter().all(|finding| missing(&finding.what)), "{findings:?}");
    };
    let [(own, own_seed), (other, other_seed), (third, third_seed)] = SITES;
    check(&[], false);
    check(&[(other, other_seed)], true);
    check(&[(third, third_seed)], true);
    check(&[(other, other_seed), (third, third_seed)], true);
    // Itself, another's name under its own key, a site that takes no part.
    check(&[(own, own_seed)], false);
    check(&[(other, own_seed)], false);
    check(&[("dunmore", 4)], false);
}
