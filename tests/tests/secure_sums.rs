//! Distributed studies by the real programs: agents and the coordinator die where they stand, and the study
//! finishes with sums that verify.

use consilium_tests::{Federation, run, wait_for};

/// Long enough that what is killed is in the middle of it.
const CHANGES: &[(&str, &str)] = &[
    ("mode", "\"distributed\"\ncolluding = 1"),
    ("quorum", "4"),
    ("rounds", "120"),
    ("local_steps", "1"),
    ("spare_rounds", "40"),
    ("deadline_s", "60"),
    ("reply_tick_ms", "10"),
];

fn round(federation: &Federation, digest: &str) -> u64 {
    let status = federation.status(digest);
    match status["phase"].as_str() {
        Some("training") => status["detail"]["round"].as_u64().expect("a round"),
        _ => u64::MAX,
    }
}

fn round_after(federation: &Federation, digest: &str, after: u64) -> u64 {
    wait_for("training goes on", || {
        let round = round(federation, digest);
        (round > after).then_some(round)
    })
}

fn on_stream(federation: &Federation, digest: &str, sites: usize) {
    wait_for("the sites are on their streams", || {
        let status = federation.status(digest);
        let there = status["detail"]["on_stream"].as_array().map(Vec::len);
        (status["phase"] != "training" || there == Some(sites)).then_some(())
    });
}

fn trained(sites: u32) -> (Federation, String) {
    let mut federation = Federation::enrolled(sites, 400 * sites);
    let file = federation.study("3", CHANGES);
    let digest = federation.publish(&file);
    federation.approve(&digest);
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    round_after(&federation, &digest, 2);
    (federation, digest)
}

fn verified(federation: &Federation, digest: &str) {
    assert_eq!(federation.ended(digest), "finished");
    let bundle = federation.report(digest).join("bundle");
    let said = run("auditor", ["verify".as_ref(), bundle.as_os_str()]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(bundle.join("sums/119").exists() && bundle.join("evaluation/overall/sum").exists());
    assert!(!bundle.join("rounds").exists(), "nothing of one site");
}

/// Five sites, t = 4: one dies in the middle of a step, the others go on, it is back; then the coordinator dies.
#[test]
fn a_site_and_the_coordinator_die_and_come_back() {
    let (mut federation, digest) = trained(5);
    federation.kill_agent("corby");
    let before = round(&federation, &digest);
    assert!(round_after(&federation, &digest, before + 1) < u64::MAX, "four of five go on");
    federation.start_agent("corby");
    on_stream(&federation, &digest, 5);
    let before = round(&federation, &digest);
    assert!(before < u64::MAX, "it is back while the others train");
    federation.kill_coordinator();
    federation.start_coordinator();
    on_stream(&federation, &digest, 5);
    verified(&federation, &digest);
    let watched = federation.coordinator(["study", "watch", &digest]).ok();
    assert!(watched.contains("secure sum of 4 sites"), "without the one that was dead");
    assert!(watched.contains("failed (interrupted)"), "the restart is in the log");
}

/// Four sites, t = 4: without one of them the attempt is burnt, and tried again when it is back.
#[test]
fn below_the_threshold_the_step_waits_for_the_site() {
    let (mut federation, digest) = trained(4);
    federation.kill_agent("brackley");
    wait_for("the attempt fails", || {
        let status = federation.status(&digest);
        (status["detail"]["attempt"].as_u64() > Some(0)).then_some(())
    });
    let before = round(&federation, &digest);
    federation.start_agent("brackley");
    assert!(round_after(&federation, &digest, before) > before);
    verified(&federation, &digest);
    let watched = federation.coordinator(["study", "watch", &digest]).ok();
    assert!(watched.contains("attempt 1 failed"), "{watched}");
    assert!(watched.contains("secure sum of 4 sites, attempt 2"), "{watched}");
}

/// Entries under the newest checkpoint of a site whose agent is not running, the journal's included.
fn entries(federation: &Federation, site: &str, out: &str) -> u64 {
    let out = federation.path(out);
    let _ = std::fs::remove_dir_all(&out);
    let _ = federation.agent(site, ["ledger", "export", "--out", &out]).ok();
    let note = std::fs::read_to_string(format!("{out}/checkpoint")).expect("a checkpoint");
    note.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size")
}

/// Five sites, t = 4: one loses its ledger in the middle of the study, with records of masked vectors that nobody
/// else has. It takes the coordinator's copy, comes back, and the bundle says what was lost.
#[test]
fn a_site_loses_its_disk_and_the_bundle_says_so() {
    let (mut federation, digest) = trained(5);
    let ledger = format!("{}/ledger", federation.home("corby"));
    // Stopped where the coordinator's copy is some steps behind; and between two steps, since a sum that it is in
    // and has not signed would be a finding.
    wait_for("records that nobody else has", || {
        federation.stop_agent("corby");
        let had = entries(&federation, "corby", "had");
        let note = std::fs::read_to_string(format!("{ledger}/cosigned")).expect("cosigned");
        let cosigned: u64 = note.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size");
        if had >= cosigned + 5 {
            return Some(());
        }
        federation.start_agent("corby");
        on_stream(&federation, &digest, 5);
        let before = round(&federation, &digest);
        round_after(&federation, &digest, before + 1);
        None
    });
    std::fs::remove_dir_all(&ledger).expect("it was there");
    federation.start_agent("corby");
    let said = wait_for("the agent stops", || {
        let log = federation.log("corby");
        log.contains("there is no ledger here").then_some(log)
    });
    assert!(said.contains("`site-agent ledger recover`") && said.contains("stay burnt"), "{said}");
    wait_for("the ledger is back", || {
        let recovered = federation.agent("corby", ["ledger", "recover", "--format", "json"]);
        (recovered.code != 2).then(|| {
            let recovered = recovered.json();
            assert_eq!(recovered["entries_before"], serde_json::Value::Null, "{recovered}");
            assert!(recovered["uses_lost_max"].as_u64() > Some(0), "{recovered}");
        })
    });
    federation.start_agent("corby");
    on_stream(&federation, &digest, 5);
    assert!(round(&federation, &digest) < u64::MAX, "it is back while the others train");
    verified(&federation, &digest);
    let bundle = federation.path("results/bundle");
    let said = run("auditor", ["verify", &bundle]).ok();
    for part in
        ["note        corby: entry", "recovered from a copy of", "was lost with its disk", "stay burnt"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("FINDING"), "{said}");
}
