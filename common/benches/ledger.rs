//! Verifying a site's ledger of a million entries: tiles read, every entry hashed, the head compared, the
//! signature checked, and the rules replayed. Limit: 5 s on one core.
//!
//! `cargo bench -p consilium-common --bench ledger`: a small build, without burn.

mod limit;

use consilium_common::id::Digest;
use consilium_common::key::SecretKey;
use consilium_common::ledger::checkpoint::{Checkpoint, origin};
use consilium_common::ledger::entry::{Account, Body, Caps, Earmark, Entry, Participant, TRAINING};
use consilium_common::ledger::merkle::{Tree, leaf_hash};
use consilium_common::ledger::{rules, tiles};
use consilium_common::privacy::mechanism::Event;
use consilium_common::protocol::{Approval, Decision};
use consilium_common::signed::Signed;
use consilium_common::time::Time;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Entries of the ledger.
const ENTRIES: u64 = 1_000_000;
/// Seconds.
const LIMIT_S: f64 = 5.0;

/// Rounds of one study without end: a commitment to the examples, a reserve and a commit in each.
fn entries() -> Vec<Vec<u8>> {
    let key = SecretKey::from_seed(&[1; 32]);
    let site: consilium_common::id::SiteName = "ashford".parse().expect("a name");
    let study = Digest::of(b"study");
    let event = Event::PoissonGaussian { sampling_rate: 1e-3, noise_multiplier: 100.0, count: ENTRIES };
    let caps = Caps {
        policy: Digest::of(b"policy"),
        epsilon_total: 8.0,
        epsilon_per_study: 8.0,
        epsilon_per_year: None,
        delta: 1e-5,
        noise_multiplier_min: 1.0,
        sampling_rate_max: 0.1,
        steps_max: ENTRIES,
    };
    let approval = Approval {
        study,
        study_id: "bench".parse().expect("a name"),
        site: site.clone(),
        decision: Decision::Approve,
        time: time(0),
        approver: "Caldicott guardian".to_owned(),
        replaces: None,
        bindings: None,
    };
    let start = [
        Body::Genesis {
            schema: rules::SCHEMA.into(),
            site: site.clone(),
            dataset: "d".into(),
            key: key.public(),
            unit: "person".into(),
            neighbours: "add_remove_one".into(),
            software: "bench".into(),
            caps,
        },
        Body::StudyOpen {
            study,
            study_id: approval.study_id.clone(),
            approval: Signed::new(&approval, &key),
            participants: vec![Participant { site, key: key.public() }],
            delta: 1e-5,
            earmarks: vec![Earmark { name: TRAINING.into(), account: Account::Training, event }],
        },
    ];
    let rest = (2..ENTRIES).map(|index| {
        let round = (index - 2) / 3;
        match (index - 2) % 3 {
            0 => Body::DatasetVersion { study, commitment: Digest::of(&index.to_le_bytes()) },
            1 => Body::Reserve {
                study,
                earmark: 0,
                first: round,
                count: 1,
                round: u32::try_from(round).expect("few rounds"),
                model: study,
            },
            _ => Body::Commit { reserve: index - 1, output: Digest::of(&index.to_le_bytes()) },
        }
    });
    let mut previous = Digest::of(b"");
    let mut entries = Vec::new();
    for (index, body) in (0..).zip(start.into_iter().chain(rest)) {
        let bytes = Entry { time: time(index), previous, body }.to_bytes().expect("short");
        previous = leaf_hash(&bytes);
        entries.push(bytes);
    }
    entries
}

fn time(ms: u64) -> Time {
    "2027-03-01T09:00:00.000Z".parse::<Time>().expect("a time").plus_ms(ms)
}

fn main() {
    let entries = entries();
    let tree = Tree::of(&entries);
    let (key, origin) = (SecretKey::from_seed(&[1; 32]), origin(&"ashford".parse().expect("a name"), "d"));
    let note = Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(&key);
    let files: BTreeMap<String, Vec<u8>> = tiles::files(&entries, &tree).into_iter().collect();
    drop((entries, tree));
    limit::heading();
    limit::against("verify 10^6 entries", LIMIT_S, 5, || {
        let read = |path: &str| files.get(path).map(|bytes| Cow::Borrowed(bytes.as_slice()));
        let (entries, tree) = tiles::read(note.checkpoint.size, read).expect("they fit together");
        assert_eq!(tree.root(), note.checkpoint.root);
        let state = rules::replay(&entries).expect("legal");
        note.verify(&state.origin(), &key.public()).expect("signed");
        state.size()
    });
}
