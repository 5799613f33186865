//! What the auditor finds in a bundle: nothing in a sound one, and something in any other.

mod bundle;

use bundle::{Map, Site, check, coordinator, json, key, make, name, time, write_ledger};
use consilium_common::id::Digest;
use consilium_common::ledger::budget::Budget;
use consilium_common::ledger::bundle::{Files, Trust, verify};
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::merkle::leaf_hash;
use consilium_common::ledger::rules::State;
use consilium_common::model::blob::{self, ModelHeader, UpdateHeader};
use consilium_common::protocol::{Decision, Start};
use consilium_common::signed::Signed;

#[test]
fn a_sound_bundle_has_no_findings() {
    let (map, sites) = make();
    let report = check(&map);
    assert_eq!(report.findings, vec![]);
    assert_eq!(report.rounds, 2);
    assert!(!report.keys_are_pinned());
    assert_eq!(
        report.sites.iter().map(|s| s.ledger.as_ref().expect("replayed")).collect::<Vec<_>>(),
        sites.iter().map(|s| &s.state).collect::<Vec<&State>>()
    );
    assert!(report.sites.iter().all(|site| site.cosigned == Some(time(600))));
    let notes =
        ["dunmore declined", "corby: the update of round 2 (entry 8) was not used"].map(str::to_owned);
    assert_eq!(report.notes, notes);
}

/// Every change names a file and says what was wrong with it.
fn finds(what: &str, change: impl FnOnce(&mut Map, Vec<Site>)) {
    let (mut map, sites) = make();
    change(&mut map, sites);
    let findings = check(&map).findings;
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains(what)), "expected {what:?}, came {lines:#?}");
}

#[test]
fn every_missing_and_every_surplus_file_is_found() {
    let (map, _) = make();
    for path in map.keys() {
        let mut less = map.clone();
        let bytes = less.remove(path).expect("there");
        // Nobody can know that a site which takes no part has decided.
        if path == "decisions/dunmore.json" {
            assert!(check(&less).notes.contains(&"dunmore did not decide".to_owned()));
        } else {
            assert!(!check(&less).findings.is_empty(), "{path} is missing");
        }
        let mut more = map.clone();
        more.insert(format!("{path}x"), bytes);
        let findings = check(&more).findings;
        assert!(findings.iter().any(|f| f.file == format!("{path}x")), "{path}x is surplus: {findings:?}");
    }
}

/// One flipped bit anywhere.
#[test]
fn flipped_bits_are_found() {
    let (map, _) = make();
    for (path, bytes) in &map {
        for at in (0..bytes.len()).step_by(199).chain([bytes.len() - 1]) {
            let mut flipped = map.clone();
            flipped.get_mut(path).expect("there")[at] ^= 1;
            assert!(!check(&flipped).findings.is_empty(), "{path}, byte {at}");
        }
    }
}

#[test]
fn training() {
    finds(
        "rounds/1/model: not the model that follows from the updates of the round before: parameter 2",
        |map, _| {
            edit_model(map, "rounds/1/model");
        },
    );
    finds("final/model: not the model that follows", |map, _| edit_model(map, "final/model"));
    finds("rounds/0/model: not the model that follows from the study's initial model", |map, _| {
        edit_model(map, "rounds/0/model");
    });
    finds("rounds/1/model: not the model that follows", |map, _| drop(map.remove("rounds/0/updates/corby")));
    finds("rounds/1/updates: 1 updates, the quorum is 2", |map, _| {
        drop(map.remove("rounds/1/updates/ashford"))
    });
    finds("rounds/0/updates/ashford: its digest is", |map, _| {
        let (header, mut values): (UpdateHeader, _) =
            blob::decode(&map["rounds/0/updates/ashford"]).expect("an update");
        values[0] += 1;
        map.insert("rounds/0/updates/ashford".into(), blob::encode(&header, &values));
    });
    finds("rounds/1/updates/ashford: expected an update of", |map, _| {
        let stale = map["rounds/0/updates/ashford"].clone();
        map.insert("rounds/1/updates/ashford".into(), stale);
    });
    finds("rounds/0/updates/ashford: expected an update of", |map, _| {
        let other = map["rounds/0/updates/brackley"].clone();
        map.insert("rounds/0/updates/ashford".into(), other);
    });
    finds("model.safetensors: not the final model", |map, _| {
        *map.get_mut("model.safetensors").expect("there").last_mut().expect("bytes") ^= 1;
    });
    finds("rounds/2: the study has 2 rounds", |map, _| {
        for (from, to) in
            [("rounds/1/model", "rounds/2/model"), ("rounds/1/updates/ashford", "rounds/2/updates/ashford")]
        {
            let bytes = map[from].clone();
            map.insert(to.into(), bytes);
        }
    });
}

fn edit_model(map: &mut Map, path: &str) {
    let (header, mut values): (ModelHeader, _) = blob::decode(&map[path]).expect("a model");
    values[2] += 1;
    map.insert(path.into(), blob::encode(&header, &values));
}

#[test]
fn evaluation() {
    finds("evaluation/sex+age_band/corby.json: its digest is", |map, _| {
        let other = map["evaluation/overall/corby.json"].clone();
        map.insert("evaluation/sex+age_band/corby.json".into(), other);
    });
    finds("evaluation/overall/corby.json: missing", |map, _| {
        drop(map.remove("evaluation/overall/corby.json"))
    });
    let edit = |change: fn(&mut serde_json::Value)| {
        move |map: &mut Map, _: Vec<Site>| {
            let path = "evaluation/overall/corby.json";
            let mut histogram: serde_json::Value = serde_json::from_slice(&map[path]).expect("JSON");
            change(&mut histogram);
            map.insert(path.into(), json(&histogram));
        }
    };
    finds(
        "less noise than was paid for",
        edit(|h| h["sigma_units"] = (h["sigma_units"].as_u64().expect("σ") - 1).into()),
    );
    finds("number of cells", edit(|h| h["cells"] = serde_json::json!([1, 2])));
    finds("does not belong here: model", edit(|h| h["model"] = h["study"].clone()));
}

#[test]
fn approvals() {
    let study = || consilium_common::study::parse(bundle::STUDY.as_bytes()).expect("a study");
    let start_of = |sites: &[(&str, u8)], signer: u8| {
        let study = study();
        let approvals =
            sites.iter().map(|(s, seed)| bundle::approval(&study, s, *seed, Decision::Approve)).collect();
        let coordinator = coordinator().public();
        json(&Signed::new(
            &Start { study: study.digest, approvals, time: time(1), coordinator },
            &key(signer),
        ))
    };
    let put = move |sites: &[(&str, u8)], signer: u8| {
        let bytes = start_of(sites, signer);
        move |map: &mut Map, _: Vec<Site>| drop(map.insert("start.json".into(), bytes))
    };
    let [a, b, c] = bundle::SITES;
    finds("start.json: starts with [ashford, brackley], bundle.json lists", put(&[a, b], 9));
    finds("start.json: signed by ed25519:8a88", put(&[a, b, c], 1));
    finds("start.json: the key of ashford signed as corby", put(&[a, b, ("corby", 1)], 9));
    finds("which is on no site's line of the roster", put(&[a, b, ("corby", 7)], 9));
    finds("start.json: corby is there twice", put(&[a, b, c, c], 9));
    finds("decisions/corby.json: another statement than the one in start.json", |map, _| {
        let no = Decision::Decline { reason: consilium_common::protocol::DeclineReason::Policy };
        map.insert("decisions/corby.json".into(), json(&bundle::approval(&study(), "corby", 3, no)));
    });
    finds("study.toml: its digest is", |map, _| map.get_mut("study.toml").expect("there").extend(b"# x\n"));
    finds("bundle.json", |map, _| drop(map.insert("bundle.json".into(), b"{}".to_vec())));
}

#[test]
fn ledgers() {
    finds("sites/corby/ledger/checkpoint: not cosigned by the coordinator", |map, sites| {
        sites[2].write(map, false)
    });
    finds("sites/corby/ledger/checkpoint, entry 0: the ledger of brackley", |map, sites| {
        let other = &sites[1];
        write_ledger(&name("corby"), 3, other.state.origin(), &other.entries, map, true);
    });
    // A restored copy: an older ledger, signed and cosigned in its time.
    finds("rounds/1/updates/ashford: the site's ledger has no commit for it", |map, mut sites| {
        sites[0].entries.truncate(7);
        let origin = sites[0].state.origin();
        write_ledger(&name("ashford"), 1, origin, &sites[0].entries, map, true);
    });
    finds("the checkpoint's tree head is", |map, sites| {
        let fork = {
            let mut other = Map::new();
            let mut site = sites[0].clone();
            site.entries.pop();
            write_ledger(
                &site.name,
                1,
                site.state.origin(),
                &sites[1].entries[..site.entries.len() + 1],
                &mut other,
                true,
            );
            other["sites/ashford/ledger/checkpoint"].clone()
        };
        map.insert("sites/ashford/ledger/checkpoint".into(), fork);
    });
}

/// A site and a coordinator that collude can sign what they like; the rules still tell.
#[test]
fn illegal_entries_under_good_signatures() {
    let forged = |body: fn(&Site) -> Body, at: u64| {
        move |map: &mut Map, mut sites: Vec<Site>| {
            let site = &mut sites[0];
            // Before the close, so that the study is open.
            site.entries.truncate(site.entries.len() - 1);
            let mut state = consilium_common::ledger::rules::replay(&site.entries).expect("legal");
            let entry = Entry { time: time(500), previous: state.head(), body: body(site) };
            let bytes = entry.to_bytes().expect("short");
            assert!(state.apply(&bytes).is_err());
            assert_eq!(site.entries.len() as u64, at);
            site.entries.push(bytes);
            write_ledger(&site.name, 1, site.state.origin(), &site.entries, map, true);
        }
    };
    fn study() -> Digest {
        Digest::of(bundle::STUDY.as_bytes())
    }
    finds(
        "entry 13: ledger.burn: 5 uses of training, 4 are left",
        forged(
            |_| Body::Reserve {
                study: study(),
                earmark: 0,
                first: 8,
                count: 5,
                round: 2,
                model: Digest::of(b"m"),
            },
            13,
        ),
    );
    finds(
        "entry 13: ledger.burn: the next use of training is 8, came 4",
        forged(
            |_| Body::Reserve {
                study: study(),
                earmark: 0,
                first: 4,
                count: 4,
                round: 2,
                model: Digest::of(b"m"),
            },
            13,
        ),
    );
    finds(
        "entry 13: ledger.output",
        forged(
            |_| Body::Reserve {
                study: study(),
                earmark: 0,
                first: 8,
                count: 4,
                round: 1,
                model: Digest::of(b"m"),
            },
            13,
        ),
    );
    finds("entry 13: ledger.commit", forged(|_| Body::Commit { reserve: 5, output: Digest::of(b"o") }, 13));
}

/// Under-charging: every hash and signature is good, and the count is not what the study's output costs.
#[test]
fn an_output_that_was_not_paid_in_full() {
    /// The ledger of a site written anew, with other counts in some of its burns.
    fn recounted(seed: usize, change: fn(usize, u64, u64) -> u64) -> impl FnOnce(&mut Map, Vec<Site>) {
        move |map: &mut Map, sites: Vec<Site>| {
            let site = &sites[seed];
            let mut used = std::collections::BTreeMap::<u32, u64>::new();
            let mut entries = Vec::<Vec<u8>>::new();
            for (at, bytes) in site.entries.iter().enumerate() {
                let Entry { time, previous, mut body } = Entry::from_bytes(bytes).expect("an entry");
                match &mut body {
                    Body::Reserve { earmark, first, count, .. }
                    | Body::Release { earmark, first, count, .. } => {
                        let used = used.entry(*earmark).or_default();
                        *first = *used;
                        *count = change(at, u64::from(*earmark), *count);
                        *used += *count;
                    }
                    _ => {}
                }
                let previous = entries.last().map_or(previous, |last| leaf_hash(last));
                entries.push(Entry { time, previous, body }.to_bytes().expect("short"));
            }
            consilium_common::ledger::rules::replay(&entries).expect("the rules alone do not tell");
            let seed = bundle::SITES[seed].1;
            write_ledger(&site.name, seed, site.state.origin(), &entries, map, true);
        }
    }
    finds(
        "sites/ashford/ledger, entry 5: round 1 burns 4 uses, came 1",
        recounted(0, |_, earmark, count| if earmark == 0 { 1 } else { count }),
    );
    // The aborted one of brackley alone.
    finds(
        "sites/brackley/ledger, entry 5: round 1 burns 4 uses, came 1",
        recounted(1, |at, _, count| if at == 5 { 1 } else { count }),
    );
    finds(
        "sites/ashford/ledger, entry 9: a release burns 1 uses, came 2",
        recounted(0, |at, _, count| if at == 9 { 2 } else { count }),
    );
    // Nothing changed: nothing found.
    let (mut map, sites) = make();
    recounted(1, |_, _, count| count)(&mut map, sites);
    assert_eq!(check(&map).findings, []);
}

#[test]
fn times_in_order() {
    let start_at = |minute: u64| {
        move |map: &mut Map, _: Vec<Site>| {
            let signed: Signed<Start> = serde_json::from_slice(&map["start.json"]).expect("a start");
            let start = signed.verify(&coordinator().public()).expect("signed").into_inner();
            let later = Start { time: time(minute), ..start };
            map.insert("start.json".into(), json(&Signed::new(&later, &coordinator())));
        }
    };
    // Opened in minute 2; 5 minutes of skew are allowed.
    let (mut map, sites) = make();
    start_at(7)(&mut map, sites);
    assert_eq!(check(&map).findings, []);
    finds(
        "sites/corby/ledger, entry 2: opened at 2027-03-01T09:02:00.000Z, the study started later",
        start_at(8),
    );

    // The last entry of ashford is of minute 13, and moves.
    let last_at = |minute: u64| {
        move |map: &mut Map, sites: Vec<Site>| {
            let site = &sites[0];
            let mut entries = site.entries.clone();
            let last = entries.pop().expect("entries");
            let entry = Entry { time: time(minute), ..Entry::from_bytes(&last).expect("an entry") };
            entries.push(entry.to_bytes().expect("short"));
            write_ledger(&site.name, 1, site.state.origin(), &entries, map, true);
        }
    };
    let (mut map, sites) = make();
    last_at(605)(&mut map, sites);
    assert_eq!(check(&map).findings, []);
    finds(
        "sites/ashford/ledger/checkpoint, entry 13: written at 2027-03-01T19:06:00.000Z, cosigned before",
        last_at(606),
    );
}

#[test]
fn expected_names() {
    let (map, _) = make();
    let mut report = check(&map);
    let study = report.study.clone().expect("a study");
    report.expect_names([study.id.as_str(), &study.digest.to_string(), "corby"]);
    assert_eq!(report.findings, []);
    // Dunmore is on the roster, and declined.
    report.expect_names(["dunmore", "elsewhere", "corby"]);
    let lines: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    let missing = |name| {
        format!("bundle.json: expected {name}: neither the study nor a site that took part [expected]")
    };
    assert_eq!(lines, ["dunmore", "elsewhere"].map(missing));
}

#[test]
fn pinned_keys() {
    let (map, _) = make();
    let check = |text: &str| verify(&Files::of(&map), &text.parse::<Trust>().expect("a trust file"));
    let mut all = format!("# by telephone\ncoordinator {}\n", coordinator().public());
    for (site, seed) in bundle::SITES {
        all += &format!("{site}   {}\n", key(seed).public());
    }
    let report = check(&all);
    assert_eq!((report.findings.len(), report.keys_are_pinned()), (0, true));
    assert!(!check(&all.replace("corby", "elsewhere")).keys_are_pinned());
    let other = all.replace(&key(3).public().to_string(), &key(5).public().to_string());
    assert!(check(&other).findings.iter().any(|f| f.what.contains("the trust file pins")));
    let coordinator = all.replace(&coordinator().public().to_string(), &key(5).public().to_string());
    assert!(check(&coordinator).findings.iter().any(|f| f.file == "bundle.json"));
    for bad in ["ashford", "ashford ed25519:00", "A B", &format!("{all}{all}")] {
        let said = bad.parse::<Trust>().expect_err(bad).to_string();
        assert!(said.starts_with("line "), "{bad}: {said}");
    }
}

/// Independent of how the ledger counts: the same ε as that of the list written out by hand.
#[test]
fn the_budget_is_recomputed() {
    use consilium_common::privacy::accountant::epsilon;
    let (_, sites) = make();
    let study = consilium_common::study::parse(bundle::STUDY.as_bytes()).expect("a study");
    let ledgers: Vec<_> = sites.iter().map(|site| &site.state).collect();
    let budget = Budget::of(&study.digest, study.privacy.delta, &ledgers).expect("a budget");
    let marks = consilium_common::study::earmarks(&study);
    let of = |counts: [u64; 3]| {
        let events: Vec<_> =
            marks.iter().zip(counts).filter(|(_, n)| *n > 0).map(|(m, n)| m.event.with_count(n)).collect();
        epsilon(&events, study.privacy.delta).expect("valid")
    };
    // Brackley burnt a spare attempt in round 0.
    for (site, steps) in budget.sites.iter().zip([8, 12, 8]) {
        assert_eq!(site.steps, steps);
        assert_eq!(site.epsilon_training, of([steps, 0, 0]));
        assert_eq!(site.epsilon_evaluation, of([0, 1, 1]));
        assert_eq!(site.epsilon_evaluation_earmarked, of([0, 2, 2]));
        assert_eq!(site.epsilon_person_max, of([steps, 0, 0]).max(of([0, 1, 1])));
        assert_eq!(site.epsilon_total_cap, 8.0);
    }
    for (site, ledger) in budget.sites.iter().zip(&ledgers) {
        // Closed: only what was burnt is charged, at the order that was best for the whole list.
        use consilium_common::ledger::entry::Role;
        let counted = Role::ALL.map(|role| ledger.filter(role).counted());
        assert_eq!(site.epsilon_total_charged, counted[0].max(counted[1]));
        assert!(site.epsilon_total_charged >= site.epsilon_person_max);
        assert_eq!(site.epsilon_total_left, site.epsilon_total_cap - site.epsilon_total_charged);
    }
    let worst = [of([20, 0, 0]), of([12, 1, 1]), of([0, 2, 2])].into_iter().fold(0.0, f64::max);
    assert_eq!(budget.epsilon_two_hospitals, Some(worst));
    assert_eq!(budget.epsilon_person_max, of([12, 0, 0]).max(of([0, 1, 1])));
    let alone = Budget::of(&study.digest, study.privacy.delta, &ledgers[..1]).expect("a budget");
    assert_eq!(alone.epsilon_two_hospitals, None);
    assert!(Budget::of(&Digest::of(b"another"), 1e-5, &ledgers).is_err());
}
