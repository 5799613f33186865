use super::*;
use crate::ledger::entry::Caps;
use crate::ledger::rules;
use crate::time::Time;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn time() -> Time {
    "2027-03-01T09:00:00.000Z".parse().expect("a time")
}

fn refusal(rule: &str) -> Body {
    Body::Refusal { rule: rule.into(), study: None, count: 1 }
}

/// A ledger of the first key, with these changes of keys and a refusal after each.
fn ledger(keys: &[u8]) -> (State, Vec<Vec<u8>>) {
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
        site: "ashford".parse().expect("a name"),
        dataset: "d1".into(),
        key: key(keys[0]).public(),
        unit: "person".into(),
        neighbours: "add_remove_one".into(),
        software: "site-agent 0.1.0".into(),
        caps,
    };
    let mut entries = vec![rules::first_entry(genesis, time()).expect("legal")];
    let mut state = State::begin(&entries[0]).expect("legal");
    let mut append = |state: &mut State, body| {
        let bytes = state.decide(body, time()).expect("legal");
        state.apply(&bytes).expect("legal");
        entries.push(bytes);
    };
    append(&mut state, refusal("rule-0"));
    for (i, pair) in keys.windows(2).enumerate() {
        let change = KeyChange::after(&state, key(pair[1]).public());
        append(&mut state, change.signed(&key(pair[0]), &key(pair[1])));
        append(&mut state, refusal(&format!("rule-{}", i + 1)));
    }
    (state, entries)
}

#[test]
fn an_entry_round_trips() {
    let (_, entries) = ledger(&[1, 2]);
    let text = String::from_utf8(entries[2].clone()).expect("JSON");
    assert!(text.contains(r#""kind":"key_change","key":"ed25519:"#), "{text}");
    let entry = Entry::from_bytes(&entries[2]).expect("an entry");
    assert_eq!(entry.to_bytes().expect("short"), entries[2]);
    let more = text.replacen(r#""by_old":{"#, r#""by_old":{"note":"x","#, 1);
    assert!(Entry::from_bytes(more.as_bytes()).is_err(), "nothing is signed without being read");
}

/// A witness that has a ledger's first entries and its key follows it to the last.
#[test]
fn a_witness_follows_the_keys() {
    let (state, entries) = ledger(&[1, 2, 3]);
    assert_eq!(state.key(), key(3).public());
    let name = (state.site(), state.dataset());
    let from = |known: u8, first: usize| {
        let before = first.checked_sub(1).map_or(Digest::of(b""), |at| leaf_hash(&entries[at]));
        follow(name, key(known).public(), (first as u64, before), &entries[first..])
    };
    let check = |known: u8, first: usize, expected: Result<u8, &str>| match (from(known, first), expected) {
        (Ok(found), Ok(seed)) => assert_eq!(found, key(seed).public(), "{known} from {first}"),
        (Err(error), Err(rule)) => assert_eq!(error.rule, rule, "{error}"),
        (found, expected) => panic!("{known} from {first}: {found:?} instead of {expected:?}"),
    };
    check(1, 0, Ok(3));
    check(1, 2, Ok(3));
    check(2, 3, Ok(3));
    check(3, 5, Ok(3));
    // It has seen these entries before.
    check(2, 0, Ok(3));
    check(3, 0, Ok(3));
    // Somebody else's key, or one that was given up, leads nowhere.
    check(9, 0, Err("ledger.key_by_old"));
    check(1, 4, Err("ledger.key_by_old"));
    check(9, 5, Ok(9));
    let elsewhere = follow((name.0, "d2"), key(1).public(), (0, Digest::of(b"")), &entries);
    assert_eq!(elsewhere.expect_err("another dataset").rule, "ledger.key_statement");
    let shifted = follow(name, key(1).public(), (1, Digest::of(b"")), &entries);
    assert_eq!(shifted.expect_err("another place").rule, "ledger.key_statement");
    // A hole in the chain: the entry of the first change is another one.
    let mut holed = entries.clone();
    holed[4] = ledger(&[1, 9, 3]).1[4].clone();
    let holed = follow(name, key(1).public(), (0, Digest::of(b"")), &holed);
    assert_eq!(holed.expect_err("signed by another old key").rule, "ledger.key_by_old");
}

/// Old entries without any change, and what this version cannot read, change no key.
#[test]
fn other_entries_are_passed_over() {
    let (state, entries) = ledger(&[1]);
    let name = (state.site(), state.dataset());
    let mut more = entries;
    more.push(b"a kind of tomorrow".to_vec());
    assert_eq!(follow(name, key(1).public(), (0, Digest::of(b"")), &more), Ok(key(1).public()));
    assert_eq!(follow(name, key(1).public(), (7, Digest::of(b"x")), &[]), Ok(key(1).public()));
}
