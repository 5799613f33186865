//! Bundles whose sites changed their ledger key, before the study or after it: sound ones verify, with the roster's
//! key an old or a new one; and what is not signed by both keys, or by the key in force, does not. By our verifier and
//! by the second one (`docs/verify.py`, where Python has its packages).

mod bundle;

use bundle::python::second;
use bundle::{Map, Site, check, key, make, write_ledger};
use consilium_common::ledger::bundle::{Files, Trust, verify};
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::key_change::KeyChange;
use consilium_common::ledger::rules::{self, State};

fn rotate(site: &mut Site, old: u8, new: u8) {
    let change = KeyChange::after(&site.state, key(new).public());
    site.append(change.signed(&key(old), &key(new)));
    site.seed = new;
}

fn put(map: &mut Map, site: &Site, signer: u8) {
    write_ledger(&site.name, signer, site.state.origin(), &site.entries, map, true);
}

/// The same ledger, which began under another key and changed to the roster's before the study.
fn begun_under(site: &Site, first: u8) -> Site {
    let bodies: Vec<Body> =
        site.entries.iter().map(|bytes| Entry::from_bytes(bytes).expect("an entry").body).collect();
    let mut genesis = bodies[0].clone();
    let Body::Genesis { key: of, .. } = &mut genesis else { panic!("the first entry") };
    *of = key(first).public();
    let bytes = rules::first_entry(genesis, bundle::time(0)).expect("legal");
    let state = State::begin(&bytes).expect("legal");
    let mut made = Site { entries: vec![bytes], state, seed: first, ..site.clone() };
    rotate(&mut made, first, site.seed);
    for mut body in bodies.into_iter().skip(1) {
        if let Body::Commit { reserve, .. } | Body::Abort { reserve, .. } = &mut body {
            *reserve += 1;
        }
        made.append(body);
    }
    made
}

/// What our verifier finds and notes.
fn found(map: &Map) -> (Vec<String>, Vec<String>) {
    let report = check(map);
    (report.findings.iter().map(ToString::to_string).collect(), report.notes)
}

/// Good bundles: nothing is found by anybody.
#[track_caller]
fn sound(map: &Map, change: &str) {
    let (findings, notes) = found(map);
    assert_eq!(findings, Vec::<String>::new());
    assert!(notes.iter().any(|note| note.contains(change)), "{notes:?}");
    second(map, 0, "");
}

#[track_caller]
fn unsound(map: &Map, what: &str, theirs: &str) {
    let (findings, _) = found(map);
    assert!(findings.iter().any(|finding| finding.contains(what)), "{what}: {findings:#?}");
    // It takes seconds to start: asked where its answer says something that no other case does.
    if !theirs.is_empty() {
        second(map, 1, theirs);
    }
}

#[test]
fn a_key_that_changed_after_the_study() {
    let (mut map, mut sites) = make();
    let early = map["sites/ashford/ledger/checkpoint"].clone();
    let ashford = &mut sites[0];
    rotate(ashford, 1, 21);
    put(&mut map, ashford, 21);
    let change = format!("changed its ledger key from {} to {}", key(1).public(), key(21).public());
    let (findings, notes) = found(&map);
    assert_eq!(findings, Vec::<String>::new());
    assert!(notes.iter().any(|note| note.contains(&change)), "{notes:?}");
    // A second change, and entries between.
    ashford.append(Body::Refusal { rule: "policy.rounds".into(), study: None, count: 1 });
    rotate(ashford, 21, 22);
    put(&mut map, ashford, 22);
    sound(&map, &change);

    let trusting = |seed: u8| {
        let site = ashford.name.clone();
        let trust = Trust { sites: [(site, key(seed).public())].into(), ..Trust::default() };
        verify(&Files::of(&map), &trust).findings
    };
    for pinned in [1, 21, 22] {
        assert_eq!(trusting(pinned), vec![], "each leads to the others");
    }
    let stranger = trusting(23);
    assert!(stranger.len() == 1 && stranger[0].kind == "key", "{stranger:?}");

    // What a witness kept from before the change is of this ledger's past.
    let keeping = |note: Vec<u8>| {
        let trust = Trust { checkpoints: vec![("kept".into(), note)], ..Trust::default() };
        verify(&Files::of(&map), &trust).findings
    };
    assert_eq!(keeping(early), vec![]);
    // Whoever holds the old key now signs nothing that counts.
    let mut forged = Map::new();
    put(&mut forged, ashford, 1);
    let kinds: Vec<_> =
        keeping(forged["sites/ashford/ledger/checkpoint"].clone()).iter().map(|f| f.kind).collect();
    assert_eq!(kinds, ["signature"]);
    let mut old = map.clone();
    put(&mut old, ashford, 1);
    unsound(&old, "sites/ashford/ledger/checkpoint: no signature by", "the site did not sign the checkpoint");
    let mut between = map.clone();
    put(&mut between, ashford, 21);
    unsound(&between, "checkpoint: no signature by", "");
}

#[test]
fn a_key_that_changed_before_the_study() {
    let (mut map, sites) = make();
    let ashford = begun_under(&sites[0], 11);
    put(&mut map, &ashford, 1);
    sound(&map, &format!("changed its ledger key from {} to {}", key(11).public(), key(1).public()));
    // The key that was given up before the study signs nothing of it.
    put(&mut map, &ashford, 11);
    unsound(&map, "checkpoint: no signature by", "");
}

/// Entries that only one party signed, put there by whoever can write the ledger anew.
#[test]
fn a_change_that_both_did_not_sign() {
    let forged = |edit: &dyn Fn(&Site) -> Body, signer: u8, rule: &str, theirs: &str| {
        let (mut map, sites) = make();
        let site = &sites[0];
        let entry = Entry { time: bundle::time(500), previous: site.state.head(), body: edit(site) };
        let mut entries = site.entries.clone();
        entries.push(entry.to_bytes().expect("short"));
        write_ledger(&site.name, signer, site.state.origin(), &entries, &mut map, true);
        unsound(&map, rule, theirs);
    };
    let change = |site: &Site| KeyChange::after(&site.state, key(21).public());
    forged(&|site| change(site).signed(&key(21), &key(21)), 21, "ledger.key_by_old", "signed by");
    forged(&|site| change(site).signed(&key(1), &key(1)), 1, "ledger.key_by_new", "");
    let elsewhere =
        |site: &Site| KeyChange { dataset: "other".into(), ..change(site) }.signed(&key(1), &key(21));
    forged(&elsewhere, 21, "ledger.key_statement", "");
    let replayed = |site: &Site| KeyChange { size: 3, ..change(site) }.signed(&key(1), &key(21));
    forged(&replayed, 21, "ledger.key_statement", "signed for another ledger, place or key");
    let same = |site: &Site| KeyChange::after(&site.state, key(1).public()).signed(&key(1), &key(1));
    forged(&same, 1, "ledger.key_reused", "a key that this ledger had before");
}
