use super::*;
use consilium_common::ledger::checkpoint::{Checkpoint, Note, origin};
use consilium_common::ledger::entry::{Body, Caps, Entry};
use consilium_common::ledger::key_change::KeyChange;
use consilium_common::ledger::merkle::Tree;
use consilium_common::ledger::rules::{self, State};
use std::path::Path;

mod key_loss;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn site() -> SiteName {
    "ashford".parse().expect("a name")
}

/// A coordinator that knows one site, by key 1.
fn hub(folder: &Path) -> Hub {
    let identity = Authority::create("test", now()).expect("made");
    let authority = Authority::load(&identity.certificate, &identity.key).expect("sound");
    let hub = Hub::open(Store::open(folder).expect("opens"), key(99), authority, Vec::new()).expect("opens");
    if hub.registry().0.site(&site()).is_none() {
        let enrolled = |_: &Registry, time| {
            let (certificate, ledger_key) = (Digest::of(b"certificate"), key(1).public());
            Ok(SiteEvent::Enrolled { site: site(), certificate, ledger_key, time })
        };
        hub.change_registry(enrolled).expect("kept");
    }
    hub
}

/// The site's own ledger.
struct Ledger {
    state: State,
    entries: Vec<Vec<u8>>,
}

impl Ledger {
    fn new(dataset: &str) -> Self {
        let caps = Caps {
            policy: Digest::of(b"policy"),
            epsilon_total: 3.0,
            epsilon_per_study: 3.0,
            epsilon_per_year: None,
            delta: 1e-5,
            noise_multiplier_min: 0.5,
            sampling_rate_max: 0.5,
            steps_max: 1000,
        };
        let genesis = Body::Genesis {
            schema: rules::SCHEMA.into(),
            site: site(),
            dataset: dataset.into(),
            key: key(1).public(),
            unit: "person".into(),
            neighbours: "add_remove_one".into(),
            software: "site-agent 0.1.0".into(),
            caps,
        };
        let bytes = rules::first_entry(genesis, now()).expect("legal");
        Self { state: State::begin(&bytes).expect("legal"), entries: vec![bytes] }
    }

    fn append(&mut self, body: Body) {
        let time = self.state.time();
        let bytes = self.state.decide(body, time).expect("legal");
        self.state.apply(&bytes).expect("legal");
        self.entries.push(bytes);
    }

    fn change_key(&mut self, old: u8, new: u8) {
        let change = KeyChange::after(&self.state, key(new).public());
        self.append(change.signed(&key(old), &key(new)));
    }

    /// Asks for a cosignature of all of it, by this key, where `known` entries were cosigned.
    fn cosigned(&self, hub: &Hub, known: u64, signer: u8) -> Result<(), String> {
        let tree = Tree::of(&self.entries);
        let (size, root) = (tree.size(), tree.root());
        let note: Note = Checkpoint { origin: self.state.origin(), size, root }.sign(&key(signer));
        let proof = tree.consistency_proof(known, size).unwrap_or_default();
        let kept = usize::try_from(hub.kept_size(&site()).expect("readable")).expect("small");
        let entries = self.entries.get(kept..).unwrap_or_default();
        let said = hub.cosign(&site(), known, &proof, &note.to_string(), entries);
        said.map(drop).map_err(|error| error.to_string())
    }
}

fn registered(hub: &Hub) -> PublicKey {
    hub.registry().0.site(&site()).and_then(|record| record.ledger_key).expect("enrolled")
}

#[track_caller]
fn refused(said: Result<(), String>, what: &str) {
    let said = said.expect_err(what);
    assert!(said.contains(what), "{what}: {said}");
}

fn refusal(rule: &str) -> Body {
    Body::Refusal { rule: rule.into(), study: None, count: 1 }
}

#[test]
fn the_witness_follows_a_key_that_both_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub_1 = hub(folder.path());
    let mut ledger = Ledger::new("d1");
    ledger.cosigned(&hub_1, 0, 1).expect("new");
    // A new key without a change of keys; a change that only the new key signed, put in by force.
    ledger.append(refusal("one"));
    refused(ledger.cosigned(&hub_1, 1, 2), "witness.checkpoint");
    let change = KeyChange::after(&ledger.state, key(2).public());
    let by_itself = KeyChange { old: key(2).public(), ..change.clone() };
    let elsewhere = KeyChange { dataset: "d2".into(), ..change.clone() };
    let forgeries = [
        (change.signed(&key(2), &key(2)), 2, "witness.key_change"),
        (by_itself.signed(&key(2), &key(2)), 2, "ledger.key_by_old"),
        (change.signed(&key(1), &key(1)), 1, "ledger.key_by_new"),
        (elsewhere.signed(&key(1), &key(2)), 2, "ledger.key_statement"),
    ];
    for (body, signer, rule) in forgeries {
        let mut forged = Ledger { state: ledger.state.clone(), entries: ledger.entries.clone() };
        let (time, previous) = (forged.state.time(), forged.state.head());
        forged.entries.push(Entry { time, previous, body }.to_bytes().expect("short"));
        refused(forged.cosigned(&hub_1, 1, signer), rule);
    }
    // As it should be; the old key cannot sign over its own end.
    ledger.change_key(1, 2);
    ledger.append(refusal("two"));
    refused(ledger.cosigned(&hub_1, 1, 1), "witness.checkpoint");
    assert_eq!(registered(&hub_1), key(1).public(), "nothing has changed so far");
    assert_eq!(hub_1.kept_size(&site()).expect("readable"), 1);
    ledger.cosigned(&hub_1, 1, 2).expect("signed by both");
    assert_eq!(registered(&hub_1), key(2).public());
    drop(hub_1);
    // After a restart, too: the old key is worth nothing, two changes at once are followed.
    let hub_2 = hub(folder.path());
    assert_eq!(registered(&hub_2), key(2).public());
    ledger.append(refusal("three"));
    refused(ledger.cosigned(&hub_2, 4, 1), "witness.checkpoint");
    ledger.change_key(2, 3);
    ledger.change_key(3, 4);
    ledger.cosigned(&hub_2, 4, 4).expect("a chain");
    assert_eq!(registered(&hub_2), key(4).public());
}

/// The registry is kept before the witness's state: a crash between the two is made good by asking again.
#[test]
fn a_crash_between_registry_and_witness() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(folder.path());
    let mut ledger = Ledger::new("d1");
    ledger.cosigned(&hub, 0, 1).expect("new");
    ledger.change_key(1, 2);
    let keys = (key(1).public(), key(2).public());
    hub.change_registry(|registry, now| registry.change_key(&site(), keys, now)).expect("kept");
    ledger.cosigned(&hub, 1, 2).expect("the same entries again");
    assert_eq!((registered(&hub), hub.kept_size(&site()).expect("readable")), (key(2).public(), 2));
}

#[test]
fn a_known_dataset_does_not_start_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(folder.path());
    let mut ledger = Ledger::new("d1");
    ledger.append(refusal("one"));
    ledger.cosigned(&hub, 0, 1).expect("new");
    let mut second = Ledger::new("d2");
    second.append(refusal("one"));
    second.append(refusal("two"));
    let said = second.cosigned(&hub, 2, 1).expect_err("another dataset");
    for part in ["witness.origin", &origin(&site(), "d1"), "first home", "site-agent ledger recover"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    refused(Ledger::new("d1").cosigned(&hub, 2, 1), "witness.rollback");
}

/// A site is alone until another participant of a study that runs with it asks for checkpoints, and again some
/// seconds after that one has left.
#[test]
fn who_listens_is_not_alone() {
    const FILE: &str = include_str!("../../../tests/vectors/ledger/study.toml");
    let name = |text: &str| text.parse::<SiteName>().expect("a name");
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(folder.path());
    let study = consilium_common::study::parse(FILE.as_bytes()).expect("a study");
    let digest = study.digest;
    let mut running = StudyState::new(study);
    running.participants = ["ashford", "brackley", "corby"].map(name).into();
    hub.lock().studies.insert(digest, running);
    let check = |what: &str, after_s: u64, alone: bool| {
        assert_eq!(hub.is_alone(&site(), now().plus_ms(after_s * 1000)), alone, "{what}");
    };
    check("the coordinator has just started: others may come back", 0, false);
    check("nobody has come", 60, true);
    let own = hub.listen(&site());
    let other = hub.listen(&name("dunmore"));
    check("itself, and a site of another study", 60, true);
    let first = hub.listen(&name("corby"));
    check("another participant waits for checkpoints", 60, false);
    let second = hub.listen(&name("corby"));
    drop(first);
    check("it is there on another connection", 60, false);
    drop(second);
    check("it has just left, and may ask again", 5, false);
    check("it has left", 60, true);
    drop((own, other));
    let again = hub.listen(&name("brackley"));
    hub.lock().studies.clear();
    check("the study is over: nobody is asked to cosign", 60, true);
    drop(again);
}
