//! A good bundle, one corruption at a time: the first finding names the site, the kind, and the first bad entry.

mod bundle;

use bundle::{Map, SITES, check, edit, key, make, relink, time, write_ledger};
use consilium_common::id::Digest;
use consilium_common::ledger::bundle::{Files, Finding, Trust, verify};
use consilium_common::ledger::checkpoint::{COORDINATOR, Note};
use consilium_common::ledger::entry::{Body, Caps, Entry};
use consilium_common::ledger::merkle::Tree;
use consilium_common::ledger::tiles;
use consilium_common::model::blob::{self, ModelHeader, UpdateHeader};

const LEDGER: &str = "sites/ashford/ledger";

/// Applies a change to the bundle, given the ledger of ashford; the first finding is as expected.
#[track_caller]
fn finds(expected: (&str, Option<u64>), change: impl FnOnce(&mut Map, &mut Vec<Vec<u8>>)) -> Finding {
    let (mut map, sites) = make();
    let mut entries = sites[0].entries.clone();
    change(&mut map, &mut entries);
    let findings = check(&map).findings;
    let first = findings.first().unwrap_or_else(|| panic!("{expected:?}: nothing was found")).clone();
    assert_eq!((first.kind, first.entry), expected, "{findings:#?}");
    if first.file.starts_with("sites/") {
        assert_eq!(first.site.as_ref().map(|site| site.as_str()), Some("ashford"), "{first}");
    }
    first
}

/// New entry bundles and hash tiles; the checkpoint stays.
fn retile(map: &mut Map, entries: &[Vec<u8>]) {
    map.retain(|path, _| !path.starts_with(&format!("{LEDGER}/tile/")));
    let tree = Tree::of(entries);
    map.extend(
        tiles::files(entries, &tree).into_iter().map(|(path, bytes)| (format!("{LEDGER}/{path}"), bytes)),
    );
}

/// The whole ledger anew, signed and cosigned: what a site and a coordinator that collude can do.
fn sign_anew(map: &mut Map, entries: &[Vec<u8>]) {
    let (name, seed) = SITES[0];
    write_ledger(&bundle::name(name), seed, origin(), entries, map, true);
}

fn origin() -> String {
    "consilium/ledger/ashford/ashford-1".to_owned()
}

/// The refusal, which nothing else depends on.
const REFUSAL: usize = 4;

fn more_refusals(entry: &mut Entry) {
    let Body::Refusal { count, .. } = &mut entry.body else { panic!("entry {REFUSAL} is a refusal") };
    *count += 1;
}

#[test]
fn a_flipped_byte_names_its_entry() {
    let (map, sites) = make();
    let (path, bundle) =
        map.iter().find(|(path, _)| path.starts_with(&format!("{LEDGER}/tile/entries"))).expect("there");
    let mut start = 0;
    for (entry, bytes) in sites[0].entries.iter().enumerate() {
        // The two bytes of the length, and some of the entry's own.
        for at in [0, 1].into_iter().chain((2..bytes.len() + 2).step_by(61)).chain([bytes.len() + 1]) {
            let mut flipped = map.clone();
            flipped.get_mut(path).expect("there")[start + at] ^= 1;
            let findings = check(&flipped).findings;
            assert_eq!(
                (findings[0].kind, findings[0].entry),
                ("entry.changed", Some(entry as u64)),
                "{at}: {findings:#?}"
            );
        }
        start += bytes.len() + 2;
    }
    assert_eq!(start, bundle.len());
    let hashes = map.keys().find(|path| path.starts_with(&format!("{LEDGER}/tile/0/"))).expect("there");
    finds(("tile", Some(3)), |map, _| map.get_mut(hashes).expect("there")[3 * 32 + 5] ^= 1);
}

/// Tiles written anew, the signed checkpoint as it was.
#[test]
fn entries_changed_under_an_old_checkpoint() {
    finds(("entry.changed", Some(4)), |map, entries| {
        edit(entries, REFUSAL, more_refusals);
        retile(map, entries);
    });
    finds(("entry.reordered", Some(5)), |map, entries| {
        entries.swap(5, 6);
        retile(map, entries);
    });
    finds(("entry.reordered", Some(0)), |map, entries| {
        entries.swap(0, 1);
        retile(map, entries);
    });
    finds(("entry.reordered", Some(3)), |map, entries| {
        let moved = entries.remove(3);
        entries.insert(9, moved);
        retile(map, entries);
    });
    finds(("entry.dropped", Some(5)), |map, entries| {
        entries.remove(5);
        retile(map, entries);
    });
    finds(("entry.duplicated", Some(6)), |map, entries| {
        entries.insert(6, entries[5].clone());
        retile(map, entries);
    });
    finds(("entry.duplicated", Some(11)), |map, entries| {
        entries.insert(11, entries[2].clone());
        retile(map, entries);
    });
    finds(("entry.truncated", Some(11)), |map, entries| {
        entries.truncate(11);
        retile(map, entries);
    });
    // Everything after it written anew: the signed head tells that, and no longer where.
    let fork = finds(("checkpoint.fork", None), |map, entries| {
        edit(entries, REFUSAL, more_refusals);
        relink(entries);
        retile(map, entries);
    });
    assert_eq!(fork.file, format!("{LEDGER}/checkpoint"));
    // Only the bundles, as of a disk that lost its end.
    finds(("entry.dropped", Some(5)), |map, entries| {
        let path =
            map.keys().find(|path| path.contains("ashford/ledger/tile/entries")).expect("there").clone();
        let mut bytes = Vec::new();
        entries.remove(5);
        entries.iter().for_each(|entry| tiles::push_entry(&mut bytes, entry));
        map.insert(path, bytes);
    });
    finds(("entry.changed", Some(13)), |map, _| {
        let path =
            map.keys().find(|path| path.contains("ashford/ledger/tile/entries")).expect("there").clone();
        map.get_mut(&path).expect("there").pop();
    });
}

/// A site and a coordinator that collude sign what they like: the entries still tell.
#[test]
fn entries_changed_and_signed_anew() {
    finds(("ledger.previous", Some(5)), |map, entries| {
        edit(entries, REFUSAL, more_refusals);
        sign_anew(map, entries);
    });
    finds(("ledger.previous", Some(5)), |map, entries| {
        entries.remove(5);
        sign_anew(map, entries);
    });
    finds(("entry.reordered", Some(5)), |map, entries| {
        entries.swap(5, 6);
        sign_anew(map, entries);
    });
    finds(("entry.duplicated", Some(6)), |map, entries| {
        entries.insert(6, entries[5].clone());
        sign_anew(map, entries);
    });
    // Linked anew as well: nothing in the bundle tells, but what the entries say.
    finds(("ledger.commit", Some(5)), |map, entries| {
        entries.remove(5);
        relink(entries);
        sign_anew(map, entries);
    });
    finds(("ledger.output", Some(6)), |map, entries| {
        entries.insert(6, entries[5].clone());
        edit(entries, 6, |entry| {
            let Body::Reserve { first, .. } = &mut entry.body else { panic!("a reserve") };
            *first = 4;
        });
        relink(entries);
        sign_anew(map, entries);
    });
    let rolled_back = finds(("commitment", None), |map, entries| {
        entries.truncate(7);
        sign_anew(map, entries);
    });
    assert_eq!(rolled_back.file, "rounds/1/updates/ashford");
}

#[test]
fn parameters_and_sums_against_the_policy() {
    let caps = |rule: &str, change: fn(&mut Caps)| {
        finds((rule, Some(2)), |map, entries| {
            edit(entries, 1, |entry| {
                let Body::PolicyChange { caps } = &mut entry.body else {
                    panic!("entry 1 changes the policy")
                };
                change(caps);
            });
            relink(entries);
            sign_anew(map, entries);
        });
    };
    caps("policy.noise_multiplier_min", |caps| caps.noise_multiplier_min = 1.7);
    caps("policy.sampling_rate_max", |caps| caps.sampling_rate_max = 0.09);
    caps("policy.steps_max", |caps| caps.steps_max = 11);
    caps("policy.delta", |caps| caps.delta = 9e-6);
    caps("policy.epsilon_per_study", |caps| caps.epsilon_per_study = 1.0);
    caps("policy.epsilon_total", |caps| caps.epsilon_total = 1.0);
    finds(("ledger.burn", Some(5)), |map, entries| {
        edit(entries, 5, |entry| {
            let Body::Reserve { count, .. } = &mut entry.body else { panic!("a reserve") };
            *count = 13;
        });
        relink(entries);
        sign_anew(map, entries);
    });
}

/// Everything adds up; but the program says of itself that its outputs may be anything.
#[test]
fn a_build_that_can_break_its_promises() {
    let said = |software: &'static str| {
        move |map: &mut Map, entries: &mut Vec<Vec<u8>>| {
            edit(entries, 0, |entry| {
                let Body::Genesis { software: it, .. } = &mut entry.body else { panic!("entry 0 begins") };
                *it = software.into();
            });
            relink(entries);
            sign_anew(map, entries);
        }
    };
    let found = finds(("build", Some(0)), said("site-agent 0.1.0+mutants"));
    assert!(found.what.contains("site-agent 0.1.0+mutants"), "{found}");
    finds(("build", Some(0)), said("site-agent 9.9.9+mutants.dirty"));
    let (mut map, sites) = make();
    let mut entries = sites[0].entries.clone();
    said("site-agent 0.1.1+local")(&mut map, &mut entries);
    assert_eq!(check(&map).findings, vec![], "any other build is the site's business");
}

#[test]
fn signatures() {
    let checkpoint = format!("{LEDGER}/checkpoint");
    let resigned = |map: &Map, seed: u8| {
        let note = Note::parse(&map[&checkpoint]).expect("a note");
        let other = note.checkpoint.clone().sign(&key(seed));
        let line = other.cosign(COORDINATOR, &bundle::coordinator(), time(600));
        other.with(line).expect("room").to_string().into_bytes()
    };
    finds(("signature", None), |map, _| {
        let bytes = resigned(map, 7);
        map.insert(checkpoint.clone(), bytes);
    });
    finds(("cosignature", None), |map, _| {
        let note = Note::parse(&map[&checkpoint]).expect("a note");
        let other = note.checkpoint.clone().sign(&key(SITES[0].1));
        let line = other.cosign(COORDINATOR, &key(7), time(600));
        map.insert(checkpoint.clone(), other.with(line).expect("room").to_string().into_bytes());
    });
    finds(("ledger.approval", Some(2)), |map, entries| {
        let study = consilium_common::study::parse(bundle::STUDY.as_bytes()).expect("a study");
        edit(entries, 2, |entry| {
            let Body::StudyOpen { approval, .. } = &mut entry.body else { panic!("entry 2 opens the study") };
            *approval = bundle::approval(&study, "ashford", 7, consilium_common::protocol::Decision::Approve);
        });
        relink(entries);
        sign_anew(map, entries);
    });
}

#[test]
fn forks_and_rollbacks_show_against_checkpoints_kept_elsewhere() {
    let with = |map: &Map, kept: &[u8]| {
        let trust = Trust { checkpoints: vec![("kept.txt".to_owned(), kept.to_vec())], ..Trust::default() };
        verify(&Files::of(map), &trust)
    };
    let (map, sites) = make();
    let path = format!("{LEDGER}/checkpoint");
    let found = |map: &Map, kept: &[u8]| {
        let report = with(map, kept);
        report.findings.iter().map(|f| (f.kind, f.what.clone())).next()
    };
    // The bundle's own, and one of its past.
    assert_eq!(found(&map, &map[&path]), None);
    let earlier = |entries: &[Vec<u8>]| {
        let mut other = Map::new();
        write_ledger(&sites[0].name, 1, origin(), entries, &mut other, true);
        other[&path].clone()
    };
    assert_eq!(found(&map, &earlier(&sites[0].entries[..7])), None);
    // Rolled back: more was signed once than there is.
    let mut longer = sites[0].entries.clone();
    let state = &sites[0].state;
    let body = Body::Refusal { rule: "policy.purpose".into(), study: None, count: 1 };
    longer.push(state.decide(body, time(400)).expect("legal"));
    let (kind, what) = found(&map, &earlier(&longer)).expect("found");
    assert_eq!(kind, "checkpoint.rollback");
    assert!(what.contains("15 entries (kept.txt), the bundle has 14"), "{what}");
    // Forked: another history of the same size, sound by itself.
    let mut fork = sites[0].entries.clone();
    edit(&mut fork, REFUSAL, more_refusals);
    relink(&mut fork);
    let mut forked = map.clone();
    sign_anew(&mut forked, &fork);
    assert_eq!(check(&forked).findings, vec![]);
    let (kind, what) = found(&forked, &map[&path]).expect("found");
    assert_eq!(kind, "checkpoint.fork");
    assert!(what.contains("ashford signed two histories: at 14 entries kept.txt"), "{what}");
    // Before the fork they agree.
    assert_eq!(found(&forked, &earlier(&sites[0].entries[..4])), None);
    assert_eq!(found(&forked, &earlier(&sites[0].entries[..5])).expect("found").0, "checkpoint.fork");
    // What proves nothing is said.
    assert_eq!(found(&map, b"no note").expect("found").0, "checkpoint");
    let stranger = earlier(&sites[0].entries).as_slice().to_vec();
    let stranger = String::from_utf8(stranger).expect("text").replace("ashford", "elsewhere");
    assert!(with(&map, stranger.as_bytes()).notes.iter().any(|note| note.contains("is not in the bundle")));
    let other_key = Note::parse(&map[&path]).expect("a note").checkpoint.sign(&key(7)).to_string();
    assert_eq!(found(&map, other_key.as_bytes()).expect("found").0, "signature");
}

#[test]
fn aggregates_are_computed_again_from_the_updates() {
    let model = |path: &'static str| {
        move |map: &mut Map, _: &mut Vec<Vec<u8>>| {
            let (header, mut values): (ModelHeader, _) = blob::decode(&map[path]).expect("a model");
            values[2] += 1;
            map.insert(path.into(), blob::encode(&header, &values));
        }
    };
    assert_eq!(finds(("aggregate", None), model("rounds/0/model")).file, "rounds/0/model");
    assert_eq!(finds(("aggregate", None), model("rounds/1/model")).file, "rounds/1/model");
    assert_eq!(finds(("aggregate", None), model("final/model")).file, "final/model");
    let update = finds(("commitment", None), |map, _| {
        let path = "rounds/0/updates/ashford";
        let (header, mut values): (UpdateHeader, _) = blob::decode(&map[path]).expect("an update");
        values[2] += 1;
        map.insert(path.into(), blob::encode(&header, &values));
    });
    assert_eq!(update.file, "rounds/0/updates/ashford");
    // An update that was used and is not there any more: the model does not follow from the others.
    assert_eq!(
        finds(("aggregate", None), |map, _| drop(map.remove("rounds/0/updates/corby"))).file,
        "rounds/1/model"
    );
    // Without the updates' bytes there is nothing to compute from, whatever digests say.
    let none = finds(("training", None), |map, _| map.retain(|path, _| !path.contains("/updates/")));
    assert!(none.what.contains("0 updates, the quorum is 2"), "{none}");
}

/// Bytes, not digests, are what a commitment is held against.
#[test]
fn a_commitment_is_to_the_bytes() {
    // The ledger, rewritten with colluding signatures to commit to another update than was averaged.
    finds(("commitment", None), |map, entries| {
        edit(entries, 6, |entry| {
            let Body::Commit { output, .. } = &mut entry.body else { panic!("a commit") };
            *output = Digest::of(b"another update");
        });
        relink(entries);
        sign_anew(map, entries);
    });
}
