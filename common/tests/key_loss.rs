//! Bundles whose sites lost their ledger key, after the study or in the middle of it: sound ones verify, and what a
//! quorum of the other hospitals did not sign does not. By our verifier and by the second one (`docs/verify.py`,
//! where Python has its packages).

mod bundle;

use bundle::python::second;
use bundle::{Map, Site, check, key, make, name, rewritten, write_ledger};
use consilium_common::ledger::bundle::{Files, Trust, verify};
use consilium_common::ledger::checkpoint::{Checkpoint, Note};
use consilium_common::ledger::entry::{Body, Entry, Role};
use consilium_common::ledger::key_loss::{Endorsement, KeyLoss, SplitKey};
use consilium_common::ledger::merkle::Tree;
use consilium_common::ledger::rules::{self, State};

/// The others of ashford's study, by the seeds of their keys.
const OTHERS: [(&str, u8); 2] = [("brackley", 2), ("corby", 3)];
/// The seeds of ashford's key, and of the new one.
const OLD: u8 = 1;
const NEW: u8 = 21;

fn newest(site: &Site, signer: u8) -> Note {
    let tree = Tree::of(&site.entries);
    let (size, root) = (tree.size(), tree.root());
    Checkpoint { origin: site.state.origin(), size, root }.sign(&key(signer))
}

fn statement(site: &Site) -> KeyLoss {
    KeyLoss::after(&site.state, key(NEW).public(), SplitKey::Lost)
}

fn vouch(loss: &KeyLoss, (site, seed): (&str, u8)) -> Endorsement {
    loss.endorsed(name(site), &key(seed))
}

fn loss(site: &Site) -> Body {
    let loss = statement(site);
    loss.entry(&key(NEW), &newest(site, OLD), OTHERS.map(|other| vouch(&loss, other)).into())
}

fn put(map: &mut Map, site: &Site, entries: &[Vec<u8>], signer: u8) {
    write_ledger(&site.name, signer, site.state.origin(), entries, map, true);
}

/// A bundle in which ashford has lost its key after what `cut` leaves of its ledger.
fn lost(cut: impl FnMut(&Body) -> Vec<Body>) -> (Map, Site) {
    let (mut map, sites) = make();
    let mut site = rewritten(&sites[0], cut);
    let entry = loss(&site);
    site.append(entry);
    site.seed = NEW;
    put(&mut map, &site, &site.entries, NEW);
    (map, site)
}

#[track_caller]
fn sound(map: &Map, parts: &[&str]) {
    let report = check(map);
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings, Vec::<String>::new());
    for part in parts {
        assert!(report.notes.iter().any(|note| note.contains(part)), "{part}: {:#?}", report.notes);
    }
    second(map, 0, "brackley, corby vouch for");
}

#[test]
fn a_key_that_was_lost_after_the_study() {
    let (map, site) = lost(|body| vec![body.clone()]);
    let (old, new) = (key(OLD).public(), key(NEW).public());
    sound(
        &map,
        &[
            &format!("its ledger key {old} was lost; brackley, corby vouch for the new key {new}"),
            "roles are drawn anew: what both roles had paid adds up",
        ],
    );
    // Whoever found the lost key signs nothing that counts.
    let mut found = map.clone();
    put(&mut found, &site, &site.entries, OLD);
    let report = check(&found);
    assert!(report.findings.iter().any(|f| f.to_string().contains("checkpoint: no signature by")));
    // The auditor's own keys: of the site, old or new; and of those who vouch.
    let kinds = |pinned: &[(&str, u8)]| {
        let sites = pinned.iter().map(|(site, seed)| (name(site), key(*seed).public())).collect();
        let report = verify(&Files::of(&map), &Trust { sites, ..Trust::default() });
        report.findings.iter().map(|f| (f.kind, f.file.clone())).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[("ashford", OLD), ("brackley", 2), ("corby", 3)]), []);
    assert_eq!(kinds(&[("ashford", NEW)]), []);
    let stranger = kinds(&[("brackley", 77)]);
    assert!(stranger.contains(&("key", "sites/ashford/ledger".into())), "{stranger:?}");
}

/// The study goes on without the site; what it had declared there is charged in whole.
#[test]
fn a_key_that_was_lost_during_the_study() {
    let (map, site) = lost(|body| match body {
        Body::Close { .. } => Vec::new(),
        body => vec![body.clone()],
    });
    sound(&map, &["Studies that were open are charged in whole"]);
    let (_, before) = make();
    let more = |role| site.state.burnt(role).iter().map(|event| event.count()).sum::<u64>();
    let was = |role| before[0].state.burnt(role).iter().map(|event| event.count()).sum::<u64>();
    for role in Role::ALL {
        assert!(more(role) > was(role));
    }
}

/// A ledger that promises another participant's cosignature. Of a study that ended with the key the participants
/// who vouched have signed all that there is; of one that was over by then, nobody has.
#[test]
fn who_vouched_has_seen_what_was_open() {
    let findings = |is_open: bool| {
        let (mut map, sites) = make();
        let bodies = sites[0].entries.iter().map(|bytes| Entry::from_bytes(bytes).expect("an entry").body);
        let mut bodies = bodies.filter(|body| !is_open || !matches!(body, Body::Close { .. }));
        let mut genesis = bodies.next().expect("the first entry");
        let Body::Genesis { schema, .. } = &mut genesis else { panic!("the first entry") };
        *schema = rules::SCHEMA_WITNESSED.into();
        let first = rules::first_entry(genesis, bundle::time(0)).expect("legal");
        let state = State::begin(&first).expect("legal");
        let mut site = Site { entries: vec![first], state, ..sites[0].clone() };
        for body in bodies {
            site.append(body);
        }
        let entry = loss(&site);
        site.append(entry);
        put(&mut map, &site, &site.entries, NEW);
        check(&map).findings.iter().map(|finding| finding.what.clone()).collect::<Vec<_>>()
    };
    assert_eq!(findings(true), Vec::<String>::new());
    assert_eq!(findings(false), ["not cosigned by another participant"]);
}

/// Entries that no quorum stands behind, put there by whoever can write the ledger anew.
#[test]
fn a_loss_that_too_few_or_others_vouch_for() {
    let forged = |edit: &dyn Fn(&Site) -> Body, rule: &str, theirs: &str| {
        let (mut map, sites) = make();
        let site = &sites[0];
        let entry = Entry { time: bundle::time(500), previous: site.state.head(), body: edit(site) };
        let mut entries = site.entries.clone();
        entries.push(entry.to_bytes().expect("short"));
        put(&mut map, site, &entries, NEW);
        let report = check(&map);
        let at = Some(site.entries.len() as u64);
        let hit = report.findings.iter().any(|f| f.kind == rule && f.entry == at);
        assert!(hit, "{rule}: {:#?}", report.findings);
        // It takes seconds to start: asked where its answer says something that no other case does.
        if !theirs.is_empty() {
            second(&map, 1, theirs);
        }
    };
    let by = |endorsements: &dyn Fn(&KeyLoss) -> Vec<Endorsement>, site: &Site| {
        let loss = statement(site);
        loss.entry(&key(NEW), &newest(site, OLD), endorsements(&loss))
    };
    let all = |loss: &KeyLoss| OTHERS.map(|other| vouch(loss, other)).to_vec();
    forged(&|site| by(&|_| vec![], site), "ledger.key_quorum", "0 of 2 other hospitals vouch");
    forged(&|site| by(&|loss| vec![vouch(loss, OTHERS[1])], site), "ledger.key_quorum", "");
    // By the site itself, old key and new; by a hospital that took no part; in another's name; twice.
    let with =
        |other: (&'static str, u8)| move |loss: &KeyLoss| vec![vouch(loss, OTHERS[0]), vouch(loss, other)];
    forged(
        &|site| by(&with(("dunmore", 4)), site),
        "ledger.key_member",
        "others vouch than this ledger's studies name",
    );
    forged(
        &|site| by(&|loss| vec![vouch(loss, ("ashford", OLD)), vouch(loss, OTHERS[0])], site),
        "ledger.key_member",
        "",
    );
    forged(
        &|site| by(&|loss| vec![vouch(loss, ("ashford", NEW)), vouch(loss, OTHERS[0])], site),
        "ledger.key_member",
        "",
    );
    forged(&|site| by(&with(("corby", NEW)), site), "ledger.key_endorsed", "signed by");
    forged(&|site| by(&with(OTHERS[0]), site), "ledger.key_endorsed", "");
    // Signed for another place, another ledger, another key.
    let elsewhere = |edit: fn(&mut KeyLoss)| {
        move |site: &Site| {
            let mut other = statement(site);
            edit(&mut other);
            let endorsements = vec![vouch(&other, OTHERS[0]), vouch(&statement(site), OTHERS[1])];
            statement(site).entry(&key(NEW), &newest(site, OLD), endorsements)
        }
    };
    const PLACE: &str = "ledger.key_statement";
    forged(&elsewhere(|loss| loss.size -= 1), PLACE, "signed for another ledger, place or key");
    forged(&elsewhere(|loss| loss.dataset = "other".into()), PLACE, "");
    forged(&elsewhere(|loss| loss.new = key(22).public()), PLACE, "");
    forged(&elsewhere(|loss| loss.split = SplitKey::Kept), PLACE, "");
    // The new key did not sign, or is another hospital's.
    forged(
        &|site| statement(site).entry(&key(OLD), &newest(site, OLD), all(&statement(site))),
        "ledger.key_by_new",
        "",
    );
    forged(
        &|site| {
            let loss = KeyLoss { new: key(2).public(), ..statement(site) };
            loss.entry(&key(2), &newest(site, OLD), all(&loss))
        },
        "ledger.key_reused",
        "somebody else's key",
    );
    // The lost key did not sign this past.
    let over = |note: &dyn Fn(&Site) -> Note, site: &Site| {
        statement(site).entry(&key(NEW), &note(site), all(&statement(site)))
    };
    const CHECKPOINT: &str = "ledger.key_checkpoint";
    forged(&|site| over(&|site| newest(site, NEW), site), CHECKPOINT, "did not sign the checkpoint");
    let other_root = |site: &Site| {
        let checkpoint = newest(site, OLD).checkpoint;
        Checkpoint { root: Tree::of(["x"]).root(), ..checkpoint }.sign(&key(OLD))
    };
    forged(&|site| over(&other_root, site), CHECKPOINT, "the lost key signed another past than this");
}
