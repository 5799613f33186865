//! What a `key_change` must fulfil.

use super::{Broken, State, broken};
use crate::key::PublicKey;
use crate::ledger::key_change::{KeyChange, Unproven};
use crate::signed::Signed;

/// Checks a change to `key` as the ledger's next entry.
///
/// A study that is open pins the key: its roster, the other participants' entries and their
/// cosignatures name it. A key that this ledger had before does not come back: whatever it was given up
/// for, others may hold it.
pub(super) fn check(
    state: &State,
    key: PublicKey,
    by_old: &Signed<KeyChange>,
    by_new: &Signed<KeyChange>,
) -> Result<(), Broken> {
    if let Some((_, record)) = state.studies().find(|(_, record)| record.closed.is_none()) {
        return broken(
            "ledger.key_open_study",
            format!(
                "study {} is open here, and its roster has the old key: wait until it ends, or ask the consortium for \
                 `coordinator study stop`",
                record.study_id
            ),
        );
    }
    if state.keys().any(|former| former == key) {
        return broken("ledger.key_reused", format!("{key} is or was this ledger's key already"));
    }
    KeyChange::after(state, key).check(by_old, by_new).map_err(|Unproven { rule, what }| (rule, what))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{approval, check as breaks, close, genesis, key, open, state, study, time};
    use super::super::*;
    use super::{KeyChange, Signed};
    use crate::key::SecretKey;
    use crate::ledger::checkpoint::{Checkpoint, Note};
    use crate::ledger::entry::Participant;
    use crate::protocol::Decision;

    fn other(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    /// The legal change that follows these entries.
    fn change(bodies: &[Body], old: &SecretKey, new: &SecretKey) -> Body {
        KeyChange::after(&state(bodies), new.public()).signed(old, new)
    }

    #[test]
    fn both_keys_sign_or_nothing_changes() {
        let (before, mallory) = (state(&[]), other(66));
        let statement = KeyChange::after(&before, other(2).public());
        let signed = |by: &SecretKey| Signed::new(&statement, by);
        let body = |by_old: Signed<KeyChange>, by_new: Signed<KeyChange>| {
            [Body::KeyChange { key: other(2).public(), by_old, by_new }]
        };
        assert!(replay(ledger_of(&body(signed(&key()), signed(&other(2))))).is_ok());
        // By the old key only, by the new only, by somebody for either, the two swapped.
        breaks(&body(signed(&key()), signed(&key())), "ledger.key_by_new");
        breaks(&body(signed(&other(2)), signed(&other(2))), "ledger.key_by_old");
        breaks(&body(signed(&mallory), signed(&other(2))), "ledger.key_by_old");
        breaks(&body(signed(&key()), signed(&mallory)), "ledger.key_by_new");
        breaks(&body(signed(&other(2)), signed(&key())), "ledger.key_by_old");
        // A signature that is of something else.
        let mut torn = signed(&key());
        torn.statement.push(' ');
        breaks(&body(torn, signed(&other(2))), "ledger.key_by_old");
        let mut torn = signed(&other(2));
        torn.statement.push(' ');
        breaks(&body(signed(&key()), torn), "ledger.key_by_new");
        // The new key of the entry is not the one that was agreed on.
        let [Body::KeyChange { by_old, .. }] = body(signed(&key()), signed(&other(2))) else {
            panic!("a key change")
        };
        let swapped = KeyChange { new: mallory.public(), ..statement };
        let by_new = Signed::new(&swapped, &mallory);
        breaks(&[Body::KeyChange { key: mallory.public(), by_old, by_new }], "ledger.key_statement");
    }

    #[test]
    fn a_statement_is_for_one_ledger_and_one_place() {
        let edited = |edit: &dyn Fn(&mut KeyChange)| {
            let mut statement = KeyChange::after(&state(&[]), other(2).public());
            edit(&mut statement);
            [statement.signed(&key(), &other(2))]
        };
        assert!(replay(ledger_of(&edited(&|_| {}))).is_ok());
        breaks(&edited(&|change| change.dataset = "d2".into()), "ledger.key_statement");
        breaks(&edited(&|change| change.site = "brackley".parse().expect("a name")), "ledger.key_statement");
        breaks(&edited(&|change| change.size += 1), "ledger.key_statement");
        breaks(&edited(&|change| change.head = Digest::of(b"x")), "ledger.key_statement");
        breaks(&edited(&|change| change.old = other(5).public()), "ledger.key_statement");
        // Replayed later, when everything else is as it was.
        let early = change(&[], &key(), &other(2));
        let refusal = Body::Refusal { rule: "x".into(), study: None, count: 1 };
        breaks(&[refusal, early], "ledger.key_statement");
    }

    #[test]
    fn no_key_comes_back() {
        let first = change(&[], &key(), &other(2));
        let bodies = [first.clone()];
        breaks(&[change(&[], &key(), &key())], "ledger.key_reused");
        breaks(&[first.clone(), change(&bodies, &other(2), &key())], "ledger.key_reused");
        breaks(&[first.clone(), change(&bodies, &other(2), &other(2))], "ledger.key_reused");
        // The old key changes nothing any more.
        breaks(&[first.clone(), change(&bodies, &key(), &other(3))], "ledger.key_by_old");
        let second = change(&bodies, &other(2), &other(3));
        let state = state(&[first, second]);
        let keys: Vec<_> = state.keys().collect();
        assert_eq!(keys, [key(), other(2), other(3)].map(|key| key.public()));
        assert_eq!(state.key(), other(3).public());
        assert_eq!([0, 1, 2, 3].map(|entry| state.key_at(entry)), [keys[0], keys[0], keys[1], keys[2]]);
    }

    #[test]
    fn an_open_study_pins_the_key() {
        breaks(&[open(), change(&[], &key(), &other(7))], "ledger.key_open_study");
        let closed = [open(), close()];
        let change = change(&closed, &key(), &other(7));
        // Afterwards a study is opened under the new key, and under no other.
        let opened = |signer: &SecretKey, participant: &SecretKey| {
            let mut body = open();
            let Body::StudyOpen { study, approval: signed, participants, .. } = &mut body else {
                panic!("an opening")
            };
            *study = Digest::of(b"second");
            *signed = approval(Digest::of(b"second"), Decision::Approve, signer);
            participants[0] = Participant { key: participant.public(), ..participants[0].clone() };
            [closed[0].clone(), closed[1].clone(), change.clone(), body]
        };
        breaks(&opened(&key(), &other(7)), "ledger.approval");
        breaks(&opened(&other(7), &key()), "ledger.participants");
        let state = state(&opened(&other(7), &other(7)));
        // The first study's approval is what it was, and its charges too.
        assert_eq!(state.study(&study()).expect("closed").approval.key, key().public());
        assert_eq!(state.studies().count(), 2);
    }

    #[test]
    fn a_key_signs_checkpoints_until_it_was_given_up() {
        let state = state(&[change(&[], &key(), &other(2))]);
        let note = |size: u64, signer: &SecretKey| -> Note {
            Checkpoint { origin: state.origin(), size, root: Digest::of(b"root") }.sign(signer)
        };
        let check = |size: u64, signer: &SecretKey, good: bool| {
            assert_eq!(state.verify_note(&note(size, signer)).is_ok(), good, "{size} entries");
        };
        check(1, &key(), true);
        check(2, &key(), false);
        check(9, &key(), false);
        check(2, &other(2), true);
        check(9, &other(2), true);
        // Whoever holds the ledger now may speak of its past.
        check(1, &other(2), true);
        check(1, &other(3), false);
    }

    fn ledger_of(bodies: &[Body]) -> Vec<Vec<u8>> {
        let mut entries = vec![first_entry(genesis(), time(0)).expect("legal")];
        let mut state = State::begin(&entries[0]).expect("legal");
        for (minute, body) in (1..).zip(bodies) {
            let bytes = state.decide(body.clone(), time(minute)).expect("legal");
            state.apply(&bytes).expect("legal");
            entries.push(bytes);
        }
        entries
    }
}
