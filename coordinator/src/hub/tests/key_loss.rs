//! A hospital that lost its ledger key: the coordinator follows a quorum, and nothing less.

use super::*;
use consilium_common::ledger::entry::{Account, Earmark, Participant};
use consilium_common::ledger::key_loss::{KeyLoss, SplitKey};
use consilium_common::privacy::mechanism::Event;
use consilium_common::protocol::{Approval, Decision};
use consilium_common::signed::Signed;

fn name(text: &str) -> SiteName {
    text.parse().expect("a name")
}

/// Opens a study with these hospitals, by the seeds of their keys.
fn opened(others: &[(&str, u8)]) -> Body {
    let (study, study_id) = (Digest::of(b"study"), "self-harm".parse().expect("a name"));
    let approval = Approval {
        study,
        study_id: consilium_common::id::StudyId::clone(&study_id),
        site: site(),
        decision: Decision::Approve,
        time: now(),
        approver: String::new(),
        replaces: None,
        bindings: None,
    };
    let participants = [("ashford", 1)].iter().chain(others);
    let participants =
        participants.map(|(site, seed)| Participant { site: name(site), key: key(*seed).public() });
    let event = Event::Gaussian { noise_multiplier: 9.0, count: 2 };
    Body::StudyOpen {
        study,
        study_id,
        approval: Signed::new(&approval, &key(1)),
        participants: participants.collect(),
        delta: 1e-6,
        earmarks: vec![Earmark { name: "overall".into(), account: Account::Evaluation, event }],
    }
}

/// The newest checkpoint of a key.
fn newest(ledger: &Ledger, signer: u8) -> Note {
    let tree = Tree::of(&ledger.entries);
    let (size, root) = (tree.size(), tree.root());
    Checkpoint { origin: ledger.state.origin(), size, root }.sign(&key(signer))
}

/// The loss of key 1, of which key 2 is the new one, with these hospitals' word.
fn loss(ledger: &Ledger, checkpoint: &Note, vouching: &[(&str, u8)]) -> Body {
    let loss = KeyLoss::after(&ledger.state, key(2).public(), SplitKey::Lost);
    let vouch = |(site, seed): &(&str, u8)| loss.endorsed(name(site), &key(*seed));
    loss.entry(&key(2), checkpoint, vouching.iter().map(vouch).collect())
}

const OTHERS: [(&str, u8); 2] = [("brackley", 12), ("corby", 13)];

#[test]
fn the_witness_follows_a_quorum() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub_1 = hub(folder.path());
    let mut ledger = Ledger::new("d1");
    ledger.append(opened(&OTHERS));
    ledger.cosigned(&hub_1, 0, 1).expect("new");

    // Forced in: by the new key alone, by one hospital of two, by a stranger, by one and the coordinator.
    let forged = |body: Body| {
        let mut forged = Ledger { state: ledger.state.clone(), entries: ledger.entries.clone() };
        let (time, previous) = (forged.state.time(), forged.state.head());
        forged.entries.push(Entry { time, previous, body }.to_bytes().expect("short"));
        forged.cosigned(&hub_1, 2, 2)
    };
    let note = newest(&ledger, 1);
    refused(forged(loss(&ledger, &note, &[])), "ledger.key_quorum");
    refused(forged(loss(&ledger, &note, &OTHERS[..1])), "ledger.key_quorum");
    refused(forged(loss(&ledger, &note, &[OTHERS[0], ("dunmore", 14)])), "ledger.key_member");
    refused(forged(loss(&ledger, &note, &[OTHERS[0], ("corby", 99)])), "ledger.key_endorsed");
    refused(forged(loss(&ledger, &newest(&ledger, 2), &OTHERS)), "ledger.key_checkpoint");
    let elsewhere = Checkpoint { root: Tree::of(["x"]).root(), ..note.checkpoint.clone() }.sign(&key(1));
    refused(forged(loss(&ledger, &elsewhere, &OTHERS)), "signed another past");
    assert_eq!(registered(&hub_1), key(1).public(), "nothing has changed so far");

    // As it should be; after a restart too, and the lost key is worth nothing.
    ledger.append(loss(&ledger, &note, &OTHERS));
    refused(ledger.cosigned(&hub_1, 2, 1), "witness.checkpoint");
    ledger.append(refusal("one"));
    ledger.cosigned(&hub_1, 2, 2).expect("a quorum");
    assert_eq!(registered(&hub_1), key(2).public());
    drop(hub_1);
    let hub_2 = hub(folder.path());
    ledger.append(refusal("two"));
    refused(ledger.cosigned(&hub_2, 4, 1), "witness.checkpoint");
    ledger.change_key(2, 3);
    ledger.cosigned(&hub_2, 4, 3).expect("both signed");
    assert_eq!(registered(&hub_2), key(3).public());
}

/// A loss and a change of keys that came while the coordinator was away; and a crash between its two files.
#[test]
fn a_loss_among_other_entries_and_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(folder.path());
    let mut ledger = Ledger::new("d1");
    ledger.append(opened(&OTHERS));
    ledger.cosigned(&hub, 0, 1).expect("new");
    ledger.append(loss(&ledger, &newest(&ledger, 1), &OTHERS));
    ledger.change_key(2, 3);
    let keys = (key(1).public(), key(3).public());
    hub.change_registry(|registry, now| registry.change_key(&site(), keys, now)).expect("kept");
    ledger.cosigned(&hub, 2, 3).expect("the same entries again");
    assert_eq!((registered(&hub), hub.kept_size(&site()).expect("readable")), (key(3).public(), 4));
}

/// Whoever has the new key and the coordinator's good will, and not the lost key, cannot write another past in
/// which hospitals of their own may vouch.
#[test]
fn another_past_is_no_quorum() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = hub(folder.path());
    let mut ledger = Ledger::new("d1");
    ledger.cosigned(&hub, 0, 1).expect("new");
    let note = newest(&ledger, 1);
    let mine = [("mallory", 66), ("malvolio", 67)];
    // The approval is a genuine one: approvals are public.
    ledger.append(opened(&mine));
    let forged = |checkpoint: &Note| {
        let mut forged = Ledger { state: ledger.state.clone(), entries: ledger.entries.clone() };
        let (time, previous) = (forged.state.time(), forged.state.head());
        let body = loss(&forged, checkpoint, &mine);
        forged.entries.push(Entry { time, previous, body }.to_bytes().expect("short"));
        forged.cosigned(&hub, 1, 2)
    };
    refused(forged(&note), "ledger.key_checkpoint");
    refused(forged(&newest(&ledger, 2)), "ledger.key_checkpoint");
    assert_eq!(registered(&hub), key(1).public());
}
