//! Bundles of distributed studies: a good one, and one corruption at a time.

mod bundle;

use bundle::secure::{Plan, SITES, make, make_with, study};
use bundle::{Map, Site, check, edit, relink, write_ledger};
use consilium_common::id::Digest;
use consilium_common::ledger::budget::Budget;
use consilium_common::ledger::bundle::trace::Trace;
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::hospitals::several_times;
use consilium_common::ledger::rules::State;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::privacy::accountant::epsilon;
use consilium_common::secagg::{SumRecord, Survivor};
use consilium_common::study::earmarks;

#[test]
fn a_sound_bundle_has_no_findings() {
    let (map, sites) = make();
    let report = check(&map);
    assert_eq!(report.findings, vec![]);
    assert_eq!((report.rounds, report.sites.len(), report.outputs.len()), (2, 4, 0));
    assert!(!map.keys().any(|path| path.starts_with("rounds/")));
    let survivors: Vec<(usize, u32)> = report.sums.iter().map(|s| (s.survivors.len(), s.attempt)).collect();
    assert_eq!(survivors, [(3, 0), (4, 1), (4, 0), (4, 0)]);
    let lost = |site| format!("{site}: masked vectors in no sum (failed, or without it): 1");
    let end = sites[2].state.masked(&study().digest).nth(2).expect("three attempts").0;
    let notes = [
        format!("corby: its ledger does not say how entry {end} ended, sums/1 does"),
        lost("ashford"),
        lost("brackley"),
        lost("corby"),
        "dunmore: masked vectors in no sum (failed, or without it): 2".to_owned(),
    ];
    assert_eq!(report.notes, notes);
    // The models in between are recomputed and have no file; the last is the file.
    let models: Vec<&str> = report.models.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(models, ["the initial model", "after sums/0", "final/model"]);
    assert_eq!(report.models[2].1, Digest::of(&map["final/model"]));
}

/// A change of a bundle, given its ledgers: one of the findings is of this kind and says this.
#[track_caller]
fn finds(kind: &str, what: &str, change: impl FnOnce(&mut Map, &mut [Site])) {
    finds_in(make(), kind, what, change);
}

#[track_caller]
fn finds_in(
    (mut map, mut sites): (Map, Vec<Site>),
    kind: &str,
    what: &str,
    change: impl FnOnce(&mut Map, &mut [Site]),
) {
    change(&mut map, &mut sites);
    let findings = check(&map).findings;
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    let hit = findings.iter().any(|f| f.kind == kind && f.to_string().contains(what));
    assert!(hit, "expected {what:?} [{kind}], came {lines:#?}");
}

fn record(change: impl FnOnce(&mut SumRecord, &mut Vec<i64>)) -> impl FnOnce(&mut Map, &mut [Site]) {
    record_of("sums/0", change)
}

fn record_of(
    file: &'static str,
    change: impl FnOnce(&mut SumRecord, &mut Vec<i64>),
) -> impl FnOnce(&mut Map, &mut [Site]) {
    move |map, _| {
        let (mut record, mut sum) = SumRecord::decode(&map[file]).expect("a sum");
        change(&mut record, &mut sum);
        map.insert(file.into(), record.encode(&sum));
    }
}

/// The first entry of a site's ledger that `change` changes; the ledger linked and signed anew, as a site and
/// a coordinator that collude can.
fn entry(site: usize, change: impl Fn(&mut Body) -> bool) -> impl FnOnce(&mut Map, &mut [Site]) {
    move |map, sites| {
        let Site { name, entries, state, .. } = &mut sites[site];
        let changes = |bytes: &Vec<u8>| change(&mut Entry::from_bytes(bytes).expect("an entry").body);
        let at = entries.iter().position(changes).expect("an entry to change");
        edit(entries, at, |entry| assert!(change(&mut entry.body)));
        relink(entries);
        write_ledger(name, SITES[site].1, state.origin(), entries, map, true);
    }
}

#[test]
fn sums_are_those_of_the_ledgers() {
    finds("transcript", "of its ledger has the sum", record(|_, sum| sum[1] += 1));
    finds(
        "transcript",
        "signatures: 2 sites, expected 3 or more",
        record(|record, _| record.survivors[0].signature = None),
    );
    finds("transcript", "is not number 2", record(|record, _| record.survivors[0].index = 2));
    finds("transcript", "is not after", record(|record, _| record.survivors.swap(0, 1)));
    // Survivors dropped, and put in: their signatures are over the set that was.
    finds("signature", "sums/1", record_of("sums/1", |record, _| drop(record.survivors.remove(2))));
    finds("signature", "sums/0", |map, sites| {
        let masked = sites[3].state.masked(&study().digest).next().expect("it masked").1.output;
        let site = bundle::name("dunmore");
        let added = Survivor { index: 4, site, masked, signature: None };
        record(|record, _| record.survivors.push(added))(map, sites);
    });
    finds(
        "signature",
        "sums/0",
        record(|record, _| record.survivors[1].signature = record.survivors[0].signature),
    );
    finds("signature", "sums/0", record(|record, _| record.survivors[1].masked = Digest::of(b"other")));
    finds(
        "signature",
        "; brackley: entry 6 of its ledger has the masked vector",
        record(|record, _| record.survivors[1].masked = Digest::of(b"other")),
    );
    finds("signature", "sums/0", record(|record, _| record.session = Digest::of(b"other")));
    finds("signature", "sums/0", record(|record, _| record.roster = Digest::of(b"other")));
    finds(
        "transcript",
        "sums/0: the message is for another study",
        record(|record, _| record.study = Digest::of(b"other")),
    );
    finds(
        "transcript",
        "sums/0: expected",
        record(|record, sum| {
            sum.push(1);
            record.length += 1;
        }),
    );
    finds("training", "sums/0: header", record(|record, _| record.schema = "sum/2".into()));
    // Another attempt's, and one that there never was.
    finds("signature", "of its ledger has the masked vector", record_of("sums/1", |r, _| r.attempt = 0));
    finds(
        "signature",
        "has no masked vector for round 2, attempt 8",
        record_of("sums/1", |r, _| r.attempt = 7),
    );
    finds("training", "sums/1: expected the sum of round 2, came that of round 1", |map, _| {
        let other = map["sums/0"].clone();
        map.insert("sums/1".into(), other);
    });
    finds("evaluation", "expected the sum of grouping 2, came that of grouping 1", |map, _| {
        let other = map["evaluation/overall/sum"].clone();
        map.insert("evaluation/sex+age_band/sum".into(), other);
    });
    finds(
        "signature",
        "; starts from model",
        record_of("evaluation/overall/sum", |record, _| record.model = Digest::of(b"other")),
    );
}

#[test]
fn ledgers_are_those_of_the_sums() {
    let sum = |change: fn(&mut Vec<consilium_common::id::SiteName>, &mut Digest, &mut Digest)| {
        move |body: &mut Body| match body {
            Body::Sum { survivors, sum, transcript, .. } => {
                change(survivors, sum, transcript);
                true
            }
            _ => false,
        }
    };
    finds(
        "transcript",
        "sums/0: brackley: entry 7 of its ledger has the transcript",
        entry(1, sum(|_, _, transcript| *transcript = Digest::of(b"other"))),
    );
    finds(
        "transcript",
        "sums/0: ashford: entry 7 of its ledger has the sum",
        entry(0, sum(|_, sum, _| *sum = Digest::of(b"other"))),
    );
    finds(
        "transcript",
        "sums/0: corby: entry 7 of its ledger has the survivors ashford, corby",
        entry(2, sum(|survivors, _, _| drop(survivors.remove(1)))),
    );
    let masked = |change: fn(&mut Digest, &mut Digest, &mut Digest)| {
        move |body: &mut Body| match body {
            Body::CommitSum { session, model, output, .. } => {
                change(session, model, output);
                true
            }
            _ => false,
        }
    };
    finds(
        "commitment",
        "sums/0: ashford: entry 6 of its ledger has the masked vector",
        entry(0, masked(|_, _, output| *output = Digest::of(b"other"))),
    );
    finds("commitment", "has the session", entry(0, masked(|session, _, _| *session = Digest::of(b"other"))));
    finds("commitment", "has the model", entry(0, masked(|_, model, _| *model = Digest::of(b"other"))));
    // Blocks: above the study's list, and none.
    finds(
        "ledger.burn",
        "5 uses of training, 4 are left",
        entry(0, |body| match body {
            Body::ReserveBlock { count, .. } => {
                *count = 5;
                true
            }
            _ => false,
        }),
    );
    finds(
        "ledger.commit_sum",
        "entry 4 is no block",
        entry(0, |body| match body {
            Body::CommitSum { reserve, .. } => {
                *reserve = 4;
                true
            }
            _ => false,
        }),
    );
    // A sum that only a ledger knows of, and one that a ledger is not in.
    finds("missing", "the sum of round 2, attempt 2 is not in the bundle", |map, _| {
        drop(map.remove("sums/1"))
    });
    finds("missing", "the sum of round 1, attempt 1 is not in the bundle; entry 7 of ashford's", |map, _| {
        drop(map.remove("sums/0"));
    });
    finds("missing", "the sum of grouping 1, attempt 1 is not in the bundle", |map, _| {
        drop(map.remove("evaluation/overall/sum"));
    });
    let says_it_was = |site: &mut Site, study: &consilium_common::study::Study| {
        let lost = site.state.masked(&study.digest).next().expect("it masked").0;
        if site.name.as_str() == "dunmore" {
            let (survivors, digest) = (vec![site.name.clone()], Digest::of(b"other"));
            site.append(Body::Sum { commit: lost, survivors, sum: digest, transcript: digest });
        }
    };
    let plan = Plan { before_the_end: Some(says_it_was), ..Plan::default() };
    finds_in(make_with(plan), "ledger", "which is without it", |_, _| {});
    let nobody = Plan { silent: &["ashford", "brackley", "corby", "dunmore"], ..Plan::default() };
    finds_in(make_with(nobody), "transcript", "no survivor's ledger says that it is the sum", |_, _| {});
    finds_in(make_with(nobody), "transcript", "the coordinator stopped before it told them", |_, _| {});
    let only = Plan { silent: &["ashford", "brackley", "corby"], ..Plan::default() };
    assert_eq!(check(&make_with(only).0).findings, vec![]);
}

/// A coordinator that stops between a sum and its message to the survivors: the model of the step after
/// fixes a round's integers; nothing fixes those of a grouping, or of a round that nothing follows.
#[test]
fn a_round_that_no_ledger_ends_is_fixed_by_the_next_model() {
    fn check_untold(untold: &'static [(u32, u32)]) {
        let (map, _) = make_with(Plan { untold, ..Plan::default() });
        let report = check(&map);
        assert_eq!(report.findings, vec![], "{untold:?}");
        for (_, round) in untold {
            let note = format!(
                "round {}: no ledger recorded its end; fixed by the model of the next round",
                round + 1
            );
            assert!(report.notes.contains(&note), "{:?}", report.notes);
        }
    }
    check_untold(&[(0, 0)]);
    check_untold(&[(0, 1)]);
    check_untold(&[(0, 0), (0, 1)]);
    let untold = |untold| make_with(Plan { untold, ..Plan::default() });
    // Other integers lead to another model than the one that the ledgers have.
    let other = |_: &mut SumRecord, sum: &mut Vec<i64>| sum[1] += 1 << 40;
    finds_in(untold(&[(0, 0)]), "aggregate", "sums/1: starts from model", record(other));
    let other = |_: &mut SumRecord, sum: &mut Vec<i64>| sum[1] += 1 << 40;
    finds_in(untold(&[(0, 1)]), "aggregate", "final/model: not the model", record_of("sums/1", other));
    finds_in(untold(&[(1, 1)]), "transcript", "evaluation/overall/sum: no survivor's ledger", |_, _| {});
    let released = |map: &mut Map| {
        map.remove("evaluation/overall/sum").expect("there");
        map.remove("evaluation/sex+age_band/sum").expect("there");
    };
    let last = untold(&[(0, 1), (1, 1), (2, 2)]);
    finds_in(last, "transcript", "sums/1: no survivor's ledger", |map, _| released(map));
}

/// Masked vectors that came to no sum: of a failed attempt, of a site that dropped out, of a grouping that
/// was not released, of a round that was not closed.
#[test]
fn what_was_masked_in_vain_is_for_the_model_of_its_step() {
    fn other(index: u64, step: u32, attempt: u32) -> impl Fn(&mut Body) -> bool {
        let place = (index, step, attempt);
        move |body| match body {
            Body::CommitSum { index, step, attempt, model, .. } if (*index, *step, *attempt) == place => {
                *model = Digest::of(b"other");
                true
            }
            _ => false,
        }
    }
    let what = "has a masked vector of round 2, attempt 1 for the model";
    finds("commitment", what, entry(0, other(1, 1, 0)));
    finds("commitment", "has a masked vector of round 1, attempt 1 for the model", entry(3, other(0, 0, 0)));
    let mut given_up = make_with(Plan { untold: &[(1, 1)], ..Plan::default() });
    given_up.0.remove("evaluation/overall/sum").expect("there");
    assert_eq!(check(&given_up.0).findings, vec![]);
    let what = "has a masked vector of grouping 1, attempt 1 for the model";
    finds_in(given_up, "commitment", what, entry(2, other(0, 1, 0)));
    // The vectors of round 1 are for a model that no sum here leads to; the final model says that there were two.
    let stopped = make_with(Plan { untold: &[(0, 0), (0, 1)], ..Plan::default() });
    let none = |map: &mut Map| {
        map.remove("sums/0").expect("there");
        map.remove("sums/1").expect("there");
    };
    finds_in(stopped.clone(), "missing", "sums/0: missing: what comes after it is there; nor", |map, _| {
        none(map)
    });
    finds_in(stopped, "commitment", "the bundle has no sum of round 1; and 7 entries more", |map, _| {
        none(map);
        map.remove("final/model").expect("there");
    });
}

#[test]
fn models_follow_from_the_sums() {
    finds(
        "aggregate",
        "final/model: not the model that follows from the sum of the round before",
        |map, _| {
            let (header, mut values): (ModelHeader, _) = blob::decode(&map["final/model"]).expect("a model");
            values[2] += 1;
            map.insert("final/model".into(), blob::encode(&header, &values));
        },
    );
    finds("export", "model.safetensors: not the final model", |map, _| {
        *map.get_mut("model.safetensors").expect("there").last_mut().expect("bytes") ^= 1;
    });
    finds("training", "sums/2: the study has 2 rounds, the bundle 3", |map, _| {
        let (mut record, sum) = SumRecord::decode(&map["sums/1"]).expect("a sum");
        record.step = 2;
        map.insert("sums/2".into(), record.encode(&sum));
    });
}

/// Nothing of one mode in a bundle of the other.
#[test]
fn modes_do_not_mix() {
    finds("surplus", "rounds/0/updates/ashford", |map, _| {
        drop(map.insert("rounds/0/updates/ashford".into(), b"an update".to_vec()));
    });
    finds("surplus", "evaluation/overall/ashford.json", |map, _| {
        drop(map.insert("evaluation/overall/ashford.json".into(), b"{}".to_vec()));
    });
    let plain = |site: &mut Site, study: &consilium_common::study::Study| {
        let (study, model) = (study.digest, Digest::of(b"model"));
        // Only corby: it dropped a use less than the others, and has one to give.
        if site.name.as_str() == "corby" {
            let first = site.state.next_unburnt(&study, 1).expect("open");
            site.append(Body::Release { study, earmark: 1, first, count: 1, model });
        }
    };
    let plan = Plan { before_the_end: Some(plain), ..Plan::default() };
    finds_in(make_with(plan), "ledger.mode", "the study's mode is distributed", |_, _| {});
    finds_in(bundle::make(), "ledger.mode", "the study's mode is local", |map, sites| {
        let Site { name, entries, .. } = &mut sites[0];
        // Its last entry closes the study: a block before it.
        let closed = entries.pop().expect("an end");
        let mut state = State::begin(&entries[0]).expect("legal");
        entries[1..].iter().for_each(|bytes| drop(state.apply(bytes).expect("legal")));
        let study = consilium_common::study::parse(bundle::STUDY.as_bytes()).expect("a study").digest;
        let end = Entry::from_bytes(&closed).expect("an entry");
        for body in [Body::ReserveBlock { study, earmark: 0, first: 8, count: 1 }, end.body] {
            let bytes = state.decide(body, end.time).expect("legal");
            state.apply(&bytes).expect("legal");
            entries.push(bytes);
        }
        write_ledger(name, 1, state.origin(), entries, map, true);
    });
}

#[test]
fn every_missing_and_every_surplus_file_is_found() {
    let (map, _) = make();
    for (path, bytes) in &map {
        let mut less = map.clone();
        less.remove(path);
        assert!(!check(&less).findings.is_empty(), "{path} is missing");
        let mut more = map.clone();
        more.insert(format!("{path}x"), bytes.clone());
        let findings = check(&more).findings;
        assert!(findings.iter().any(|f| f.file == format!("{path}x")), "{path}x is surplus: {findings:?}");
    }
}

/// One flipped bit in a sum, anywhere.
#[test]
fn flipped_bits_are_found() {
    let (map, _) = make();
    for (path, bytes) in map.iter().filter(|(path, _)| path.contains("sum") || path.contains("model")) {
        for at in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            let mut flipped = map.clone();
            flipped.get_mut(path).expect("there")[at] ^= 1;
            assert!(!check(&flipped).findings.is_empty(), "{path}, byte {at}");
        }
    }
}

/// Blocks count wholly; who is known to several hospitals is in one sum several times.
#[test]
fn budgets_of_sums() {
    let (_, sites) = make();
    let study = study();
    let ledgers: Vec<&State> = sites.iter().map(|site| &site.state).collect();
    let budget = Budget::of(&study.digest, study.privacy.delta, &ledgers).expect("a budget");
    let list = earmarks(&study);
    let price = |events: &[_]| epsilon(events, study.privacy.delta).expect("valid");
    let once: Vec<_> = list[1..].iter().map(|earmark| earmark.event.with_count(1)).collect();
    for site in &budget.sites {
        // Three attempts masked, in two blocks of two.
        assert_eq!(site.steps, 4);
        assert!((site.epsilon_training - price(&[list[0].event.with_count(4)])).abs() < 1e-12);
        assert!((site.epsilon_evaluation - price(&once)).abs() < 1e-12);
    }
    for (hospitals, found) in [(2, budget.epsilon_two_hospitals), (3, budget.epsilon_three_hospitals)] {
        // All in the training role, all in the other, and the mixes between.
        let mixes = (0..=hospitals).map(|trains| {
            let training = (trains > 0).then(|| several_times(list[0].event.with_count(4), trains));
            let times = hospitals - trains;
            let counts = once.iter().filter(|_| times > 0).map(|event| several_times(*event, times));
            price(&training.into_iter().chain(counts).collect::<Vec<_>>())
        });
        let worst = mixes.fold(0.0, f64::max);
        let found = found.expect("four sites");
        assert!((found - worst).abs() < 1e-12, "{hospitals}: {found} and {worst}");
        assert!(found > budget.epsilon_person_max);
    }
    let alone = Budget::of(&study.digest, study.privacy.delta, &ledgers[..2]).expect("a budget");
    assert!(alone.epsilon_two_hospitals.is_some() && alone.epsilon_three_hospitals.is_none());
}

#[test]
fn a_model_is_traced_to_the_sites_of_each_sum() {
    let (map, _) = make();
    let report = check(&map);
    let trace = Trace::of(&report, &Digest::of(&map["model.safetensors"])).expect("the final model");
    assert_eq!((trace.rounds_in_it, trace.is_final, trace.rounds.len()), (2, true, 2));
    assert!(trace.rounds.iter().all(|round| round.updates.is_empty()));
    let sums: Vec<_> = trace.rounds.iter().filter_map(|round| round.sum.as_ref()).collect();
    let names = |index: usize| sums[index].survivors.iter().map(|s| s.site.as_str()).collect::<Vec<_>>();
    assert_eq!(names(0), ["ashford", "brackley", "corby"]);
    assert_eq!(sums[0].dropped_out.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["dunmore"]);
    assert_eq!((names(1).len(), sums[1].attempt, sums[1].dropped_out.len()), (4, 1, 0));
    // Paid, masked, ended: the entries of ashford in round 0; corby recorded no end of round 1.
    let line = &sums[0].survivors[0];
    assert_eq!((line.reserve, line.use_index, line.commit, line.ended), (5, 0, 6, Some(7)));
    assert_eq!(sums[1].survivors[2].ended, None);
    assert_eq!(trace.evaluation_sums.len(), 2);
    // The model in between is recomputed, not a file, and is traced by its digest all the same.
    let (came_from, digest) = &report.models[1];
    let between = Trace::of(&report, digest).expect("a model of the bundle");
    assert_eq!((between.rounds_in_it, between.is_final, &between.file), (1, false, came_from));
    assert!(between.evaluation_sums.is_empty());
}
