//! Disks that come back as they were: of a hospital, and of a hospital and the coordinator together.
//! Real processes; the agent stops by itself, says why, and the documented way out un-spends nothing.

use consilium_tests::{Federation, run, wait_for};
use serde_json::Value;
use std::path::Path;

/// A round may close without the site whose output was lost with its disk, and there are uses to spare
/// for what crashes burn.
const STUDY: &[(&str, &str)] = &[
    ("rounds", "8"),
    ("local_steps", "2"),
    ("spare_rounds", "4"),
    ("quorum", "2"),
    ("min_sites", "2"),
    ("deadline_s", "120"),
    ("reply_tick_ms", "300"),
];

fn copy(from: &str, to: &str) {
    fn inner(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("made");
        for item in std::fs::read_dir(from).expect("a folder") {
            let item = item.expect("readable");
            let kind = item.file_type().expect("readable");
            let target = to.join(item.file_name());
            if kind.is_dir() {
                inner(&item.path(), &target);
            } else if kind.is_file() {
                std::fs::copy(item.path(), target).expect("copied");
            }
        }
    }
    let _ = std::fs::remove_dir_all(to);
    inner(Path::new(from), Path::new(to));
}

fn until_round(federation: &Federation, digest: &str, round: u64) {
    wait_for("some rounds", || {
        (federation.status(digest)["detail"]["round"].as_u64() >= Some(round)).then_some(())
    });
}

/// Entries of a site's ledger under its own checkpoint.
fn size(federation: &Federation, site: &str) -> u64 {
    size_of(federation, site, "checkpoint")
}

/// Entries of a site's ledger under the newest checkpoint that others cosigned.
fn cosigned(federation: &Federation, site: &str) -> u64 {
    size_of(federation, site, "cosigned")
}

fn size_of(federation: &Federation, site: &str, note: &str) -> u64 {
    let path = format!("{}/ledger/{note}", federation.home(site));
    let note = std::fs::read_to_string(path).expect("a note");
    note.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size")
}

fn spent(federation: &Federation, site: &str) -> f64 {
    let budget: Value = federation.agent(site, ["budget", "--format", "json"]).json();
    budget["training"]["spent"].as_f64().expect("a number")
}

fn verified(federation: &Federation, digest: &str) {
    let bundle = federation.report(digest).join("bundle");
    let said = run("auditor", ["verify".as_ref(), bundle.as_os_str()]);
    assert_eq!(said.code, 0, "{said:?}");
    for site in &federation.sites {
        let note = std::fs::read_to_string(bundle.join(format!("sites/{site}/ledger/checkpoint")));
        let note = note.expect("a checkpoint");
        assert!(note.contains("— consilium/site/"), "{site}'s ledger is cosigned by another: {note}");
    }
}

#[test]
fn a_restored_disk_stops_the_agent_and_the_coordinators_copy_brings_it_back() {
    let mut federation = Federation::enrolled(3, 360);
    let digest = federation.publish(&federation.study("3", STUDY));
    federation.approve(&digest);
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    let (home, old) = (federation.home("ashford"), federation.path("old"));
    until_round(&federation, &digest, 1);
    federation.kill_agent("ashford");
    copy(&home, &old);
    let before = size(&federation, "ashford");
    federation.start_agent("ashford");
    until_round(&federation, &digest, 3);
    federation.kill_agent("ashford");
    // Killed between a reserve and its cosigning, the agent has burnt what nobody else knows of, and has
    // used it for nothing: only what is cosigned must come back.
    let cosigned = cosigned(&federation, "ashford");
    let paid = if size(&federation, "ashford") == cosigned { spent(&federation, "ashford") } else { 0.0 };

    // The machine comes back from a backup.
    copy(&old, &home);
    assert_eq!(size(&federation, "ashford"), before);
    federation.start_agent("ashford");
    let said = wait_for("the agent stops", || {
        let log = federation.log("ashford");
        log.contains("restored from an old copy").then_some(log)
    });
    assert!(said.contains("site-agent ledger recover"), "it says the way out: {said}");
    wait_for("its lock is free", || {
        let recovered = federation.agent("ashford", ["ledger", "recover", "--format", "json"]);
        (recovered.code != 2).then(|| {
            let recovered = recovered.json();
            assert_eq!(recovered["entries_before"], before);
            assert!(recovered["entries"].as_u64() > Some(before), "{recovered}");
            assert!(recovered["entries"].as_u64() >= Some(cosigned), "{cosigned} were cosigned: {recovered}");
        })
    });
    assert!(spent(&federation, "ashford") >= paid, "nothing is un-spent");
    federation.start_agent("ashford");
    assert_eq!(federation.ended(&digest), "finished");
    assert!(spent(&federation, "ashford") >= paid);
    verified(&federation, &digest);
}

#[test]
fn a_coordinator_that_forgot_too_does_not_help_a_restored_disk() {
    let mut federation = Federation::enrolled(3, 360);
    let digest = federation.publish(&federation.study("3", STUDY));
    federation.approve(&digest);
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    let (home, old) = (federation.home("ashford"), federation.path("old"));
    let (hub, old_hub) = (federation.coordinator_home(), federation.path("old-hub"));
    until_round(&federation, &digest, 1);
    federation.kill_agent("ashford");
    federation.kill_coordinator();
    copy(&home, &old);
    copy(&hub, &old_hub);
    federation.start_coordinator();
    federation.start_agent("ashford");
    until_round(&federation, &digest, 3);
    federation.kill_agent("ashford");
    let kept = federation.path("kept");
    let _ = federation.agent("ashford", ["ledger", "export", "--out", &kept]).ok();
    let paid = spent(&federation, "ashford");

    // Both disks come back as they were at the same moment: they agree with each other.
    federation.kill_coordinator();
    copy(&old_hub, &hub);
    copy(&old, &home);
    let _ = std::fs::remove_file(federation.path("coordinator/address"));
    federation.start_coordinator();
    federation.start_agent("ashford");
    let said = wait_for("another hospital remembers", || {
        let log = federation.log("ashford");
        log.contains("ledger.restored").then_some(log)
    });
    let witness = ["brackley has cosigned", "corby has cosigned"];
    assert!(witness.iter().any(|name| said.contains(name)), "{said}");
    assert!(spent(&federation, "ashford") < paid, "the restored disk does not know what was spent");
    let status = federation.status(&digest);
    assert!(status["waiting"]["ashford"].as_str().is_some_and(|why| why.contains("witness.")), "{status}");

    // The coordinator's copy is as old; the hospital's own export is not.
    wait_for("its lock is free", || {
        let recovered = federation.agent("ashford", ["ledger", "recover", "--from", &kept]);
        (recovered.code != 2).then(|| recovered.ok())
    });
    assert!(spent(&federation, "ashford") >= paid, "nothing is un-spent");
    federation.start_agent("ashford");
    // Later rounds were computed from models that this coordinator never had: the study cannot go on,
    // but its ledgers come in, cosigned by all.
    let _ = federation.coordinator(["study", "stop", &digest]);
    assert!(federation.ended(&digest).starts_with("stopped"));
    let note = std::fs::read_to_string(format!("{home}/ledger/cosigned")).expect("cosigned");
    assert_eq!(cosigned(&federation, "ashford"), size(&federation, "ashford"), "up to its last entry");
    assert!(note.contains("— consilium/site/"), "{note}");
    assert!(spent(&federation, "ashford") >= paid);
}
