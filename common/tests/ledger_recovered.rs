//! Bundles of studies in which a site lost its disk, and took its ledger back from a copy: what it lost is
//! explained by uses that it burnt, and by no others.

mod bundle;

use bundle::secure::{Plan, RECOVERED, after_block, loses, make, make_with, place, study};
use bundle::{Map, Site, check, rewritten};
use consilium_common::ledger::budget::Budget;
use consilium_common::ledger::bundle::Report;
use consilium_common::ledger::bundle::trace::Trace;
use consilium_common::ledger::entry::Body;
use consilium_common::secagg::SumRecord;

const fn as_it_was(_: &Body) -> Option<Body> {
    None
}

fn audited(
    (mut map, sites): (Map, Vec<Site>),
    at: usize,
    change: impl FnOnce(&Site) -> Site,
) -> (Report, Site) {
    let site = change(&sites[at]);
    site.write(&mut map, true);
    (check(&map), site)
}

fn lines(report: &Report) -> Vec<String> {
    report.findings.iter().map(ToString::to_string).collect()
}

/// What was lost is explained: no finding, and a note that says so.
#[track_caller]
fn explains(at: usize, notes: &[&str], change: impl FnOnce(&Site) -> Site) -> (Report, Site) {
    let (report, site) = audited(make(), at, change);
    assert_eq!(lines(&report), Vec::<String>::new());
    for note in notes {
        assert!(report.notes.iter().any(|found| found.contains(note)), "{note:?}: {:#?}", report.notes);
    }
    (report, site)
}

/// It is not: one finding.
#[track_caller]
fn finds(at: usize, kind: &str, what: &str, change: impl FnOnce(&Site) -> Site) {
    let (report, _) = audited(make(), at, change);
    let hit = |f: &&consilium_common::ledger::bundle::Finding| f.kind == kind && f.to_string().contains(what);
    assert_eq!(report.findings.iter().filter(hit).count(), 1, "{what:?} [{kind}]: {:#?}", lines(&report));
    assert_eq!(report.findings.len(), 1, "{:#?}", lines(&report));
}

#[test]
fn a_lost_record_is_explained_by_a_use_that_was_burnt() {
    // The disk was lost after the first step: its vector, and how it ended.
    let (report, site) = explains(
        0,
        &[
            "ashford: entry 6 of 2027-03-01 says that the ledger was recovered from a copy of 6 entries",
            "ashford: its record of its masked vector in sums/0 was lost with its disk, says entry 6 (recovered); 2 \
             uses of the blocks of entries 5 were burnt there and stay burnt, and its signature on the survivors is \
             in each file",
        ],
        |site| loses(site, &[(0, 0, 0)], after_block(0, 0), as_it_was),
    );
    let lost: Vec<Vec<&str>> =
        report.sums.iter().map(|sum| sum.lost.iter().map(|site| site.as_str()).collect()).collect();
    assert_eq!(lost, [vec!["ashford"], vec![], vec![], vec![]]);
    // Nothing is cheaper than it was: four uses of training, as before.
    let study = study();
    let before = Budget::of(&study.digest, study.privacy.delta, &[&make().1[0].state]).expect("a budget");
    let after = Budget::of(&study.digest, study.privacy.delta, &[&site.state]).expect("a budget");
    assert_eq!((before.sites[0].steps, after.sites[0].steps), (4, 4));
    assert_eq!(before.epsilon_person_max, after.epsilon_person_max);
    let trace = Trace::of(&report, &report.models.last().expect("a model").1).expect("a model of it");
    let sum = trace.rounds[0].sum.as_ref().expect("a sum");
    assert_eq!((sum.survivors.len(), sum.lost.len(), sum.dropped_out.len()), (2, 1, 1));

    // Before the last attempt of training, of the second block; and of a grouping.
    explains(0, &["its masked vector in sums/1 was lost", "2 uses of the blocks of entries"], |site| {
        loses(site, &[(0, 1, 1)], after_block(0, 2), as_it_was)
    });
    explains(1, &["in evaluation/overall/sum was lost"], |site| {
        loses(site, &[(1, 1, 0)], after_block(1, 0), as_it_was)
    });
    // Two sums, as many as the block had uses. (Of the failed attempt between them nothing is left to see.)
    explains(0, &["its record of its 2 masked vectors in sums/0 to sums/1 was lost"], |site| {
        loses(site, &[(0, 0, 0), (0, 1, 0), (0, 1, 1)], after_block(0, 0), as_it_was)
    });
    // A recovery that lost nothing of the study explains nothing and disturbs nothing.
    explains(2, &["says that the ledger was recovered"], |site| {
        loses(site, &[], |body| matches!(body, Body::Close { .. }), as_it_was)
    });
}

/// A `recovered` that a site made up to hide what it did not pay for.
#[test]
fn a_forged_recovery_hides_no_vector_beyond_the_uses_burnt() {
    let of_one = |body: &Body| match body {
        Body::ReserveBlock { study, earmark: 0, first, .. } => {
            Some(Body::ReserveBlock { study: *study, earmark: 0, first: *first, count: 1 })
        }
        _ => None,
    };
    let all = [(0, 0, 0), (0, 1, 0), (0, 1, 1)];
    finds(
        0,
        "commitment",
        "sums/1: ashford: its ledger has no masked vector for round 2, attempt 2; the recovery at entry 6 left 1 uses \
         without one, and the sums before this one took them all",
        |site| loses(site, &all, after_block(0, 0), of_one),
    );
    // Uses of another earmark, of an aborted block, and of none.
    const NONE: &str = "sums/0: ashford: its ledger has no masked vector for round 1, attempt 1";
    let lost = [(0, 0, 0)];
    finds(0, "commitment", NONE, |site| loses(site, &lost, after_block(1, 0), as_it_was));
    finds(0, "commitment", NONE, |site| {
        let mut recovered = false;
        rewritten(site, |body| match body {
            body if place(site, body) == Some((0, 0, 0)) => Vec::new(),
            Body::ReserveBlock { .. } if !recovered => {
                recovered = true;
                let aborted = Body::Abort { reserve: u64::MAX, reason: "interrupted".into() };
                vec![body.clone(), aborted, RECOVERED]
            }
            body => vec![body.clone()],
        })
    });
    finds(0, "commitment", NONE, |site| loses(site, &lost, |_| false, as_it_was));
    // Out of its place: after a later attempt was recorded, before an earlier one was.
    finds(0, "commitment", NONE, |site| {
        loses(site, &lost, |body| place(site, body) == Some((0, 1, 0)), as_it_was)
    });
    finds(0, "commitment", "no masked vector for round 2, attempt 2", |site| {
        loses(site, &[(0, 1, 1)], after_block(0, 0), as_it_was)
    });
}

/// The site's own signature takes the place of its entry: without it, nothing does.
#[test]
fn a_survivor_that_did_not_sign_is_not_explained() {
    let (mut map, sites) = make();
    let (mut record, sum) = SumRecord::decode(&map["sums/1"]).expect("a sum");
    record.survivors[0].signature = None;
    map.insert("sums/1".into(), record.encode(&sum));
    let (report, _) =
        audited((map, sites), 0, |site| loses(site, &[(0, 1, 1)], after_block(0, 2), as_it_was));
    let found = lines(&report);
    let what = "ashford: its ledger has no masked vector for round 2, attempt 2, and it did not sign the survivors, so that \
                its recovery at entry";
    assert!(found.len() == 1 && found[0].contains(what), "{found:#?}");
}

/// In local mode no signature of the site says what it sent: a lost `commit` is a finding, `recovered` or not.
#[test]
fn a_lost_commit_of_a_sites_own_output_is_a_finding() {
    let mut dropped = false;
    let (report, site) = audited(bundle::make(), 0, |site| {
        rewritten(site, |body| match body {
            Body::Commit { .. } if !dropped => {
                dropped = true;
                vec![RECOVERED]
            }
            body => vec![body.clone()],
        })
    });
    let found = lines(&report);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].contains(
            "rounds/0/updates/ashford: the site's ledger has no commit for it; it was recovered at entry"
        ),
        "{found:#?}"
    );
    // What was open when the disk was lost is ended and stays burnt.
    let (_, recovery) = site.state.recoveries().next().expect("one");
    assert_eq!((recovery.reserves.len(), recovery.blocks.len()), (1, 0));
    let before = bundle::make().1[0].state.burnt(consilium_common::ledger::entry::Role::Training);
    assert_eq!(site.state.burnt(consilium_common::ledger::entry::Role::Training), before);
}

/// Every survivor of a sum lost its record of it: the model of the next step fixes the integers, and every budget
/// counts the uses.
#[test]
fn all_survivors_lose_their_records() {
    let plan = Plan { untold: &[(0, 0)], ..Plan::default() };
    let (mut map, mut sites) = make_with(plan);
    for site in &mut sites[..3] {
        *site = loses(site, &[(0, 0, 0)], after_block(0, 0), as_it_was);
        site.write(&mut map, true);
    }
    let report = check(&map);
    assert_eq!(lines(&report), Vec::<String>::new());
    assert_eq!(report.sums[0].lost.len(), 3);
    let study = study();
    let ledgers: Vec<_> = sites.iter().map(|site| &site.state).collect();
    let told = make().1;
    let before: Vec<_> = told.iter().map(|site| &site.state).collect();
    let [lost, kept] = [ledgers, before]
        .map(|ledgers| Budget::of(&study.digest, study.privacy.delta, &ledgers).expect("a budget"));
    assert!(lost.epsilon_two_hospitals >= kept.epsilon_two_hospitals);
}
