//! The ledger key over real processes: its change, a study before and a study after; and a second start on a
//! dataset that is known, by every door.

use consilium_tests::{Federation, run, wait_for};
use serde_json::Value;

/// Few and quick rounds.
const QUICK: &[(&str, &str)] = &[
    ("rounds", "2"),
    ("local_steps", "2"),
    ("spare_rounds", "4"),
    ("deadline_s", "60"),
    ("reply_tick_ms", "20"),
];

fn auditor(args: &[&str]) -> consilium_tests::Said {
    run("auditor", args.iter().map(|arg| (*arg).to_owned()))
}

fn registered(federation: &Federation, site: &str) -> String {
    let listed = federation.coordinator(["site", "list", "--format", "json"]).json();
    let listed = listed.as_array().expect("a list").iter();
    let found = listed.clone().find(|row| row["name"] == site).expect("listed");
    found["key"].as_str().expect("a key").to_owned()
}

/// A command on a home whose agent was killed a moment ago.
fn when_free(federation: &Federation, site: &str, args: &[&str]) -> consilium_tests::Said {
    wait_for("the ledger's lock is free", || {
        let said = federation.agent(site, args.iter().copied());
        (!said.err.contains("another process has this ledger open")).then_some(said)
    })
}

/// In every policy file, as people do it after a telephone call.
fn known_anew(federation: &Federation, old: &str, new: &str) {
    for site in &federation.sites {
        let path = format!("{}/site-policy.toml", federation.home(site));
        let policy = std::fs::read_to_string(&path).expect("there");
        assert!(policy.contains(old), "{site} knows the old key");
        std::fs::write(&path, policy.replace(old, new)).expect("written");
    }
}

#[test]
fn a_key_changes_between_two_studies() {
    let mut federation = Federation::enrolled(3, 360);
    let old = registered(&federation, "ashford");
    let first = federation.study("3", QUICK);
    let digest = federation.publish(&first);
    federation.approve(&digest);
    // While the agent runs, and while the study is open, nothing changes.
    federation.start_agents();
    federation.agent("ashford", ["ledger", "rotate-key"]).refused(2, "another process has this ledger open");
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    wait_for("the study is open at the site", || {
        let ledger = std::fs::read(format!("{}/ledger/entries", federation.home("ashford"))).expect("there");
        String::from_utf8_lossy(&ledger).contains(r#""kind":"study_open""#).then_some(())
    });
    federation.kill_agent("ashford");
    when_free(&federation, "ashford", &["ledger", "rotate-key"]).refused(1, "ledger.key_open_study");
    assert!(
        !std::path::Path::new(&format!("{}/identity/ledger.key.next", federation.home("ashford"))).exists()
    );
    federation.start_agent("ashford");
    assert_eq!(federation.ended(&digest), "finished");
    let kept = federation.path("before");
    std::fs::rename(federation.report(&digest), &kept).expect("kept");
    let before = format!("{kept}/bundle");
    assert_eq!(auditor(&["verify", &before]).code, 0);

    // Without the coordinator nobody can tell whether this disk is the newest.
    federation.kill_agent("ashford");
    federation.kill_coordinator();
    when_free(&federation, "ashford", &["ledger", "rotate-key"]).refused(3, "");
    federation.start_coordinator();
    let changed = when_free(&federation, "ashford", &["ledger", "rotate-key", "--format", "json"]).json();
    let new = changed["key"].as_str().expect("a key").to_owned();
    assert_eq!(
        (&changed["old_key"], &changed["coordinator_told"]),
        (&Value::from(old.as_str()), &Value::from(true))
    );
    assert_eq!(changed["approve_again"], serde_json::json!([]));
    assert_eq!(registered(&federation, "ashford"), new, "the coordinator followed");

    // The old roster is no study any more, and the new one needs the other hospitals' own eyes.
    let with_old = std::fs::read_to_string(&first).expect("there").replacen(
        "version = \"1.0.0\"",
        "version = \"1.0.1\"",
        1,
    );
    let (stale, second) = (federation.path("stale.toml"), federation.path("second.toml"));
    std::fs::write(&stale, &with_old).expect("written");
    assert_ne!(with_old, std::fs::read_to_string(&first).expect("there"));
    federation.coordinator(["study", "publish", &stale]).refused(2, "study.roster");
    std::fs::write(&second, with_old.replace(&old, &new)).expect("written");
    let digest = federation.publish(&second);
    let unknown = ["study", "approve", &digest, "--approver", "guardian"];
    federation.agent("brackley", unknown).refused(1, "policy.known_sites");
    known_anew(&federation, &old, &new);
    federation.approve(&digest);
    for site in ["ashford", "brackley", "corby"] {
        federation.kill_agent(site);
    }
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    assert_eq!(federation.ended(&digest), "finished");

    // An auditor follows the chain of keys, whichever of the two was got elsewhere.
    let bundle = federation.report(&digest).join("bundle").display().to_string();
    let said = auditor(&["verify", &bundle]).ok();
    assert!(said.contains(&format!("changed its ledger key from {old} to {new}")), "{said}");
    let trust = federation.path("trust");
    for (key, code) in [(&old, 0), (&new, 0), (&registered(&federation, "corby"), 1)] {
        std::fs::write(&trust, format!("ashford {key}\n")).expect("written");
        let said = auditor(&["verify", &bundle, "--trust", &trust]);
        assert_eq!(said.code, code, "{said:?}");
    }
    let said = auditor(&["diff", &before, &bundle]).ok();
    assert!(said.contains("key changed to"), "{said}");
    let checkpoint = format!("{before}/sites/ashford/ledger/checkpoint");
    assert_eq!(
        auditor(&["verify", &bundle, "--checkpoint", &checkpoint]).code,
        0,
        "by the old key, of its time"
    );
    assert_eq!(auditor(&["verify", &before]).code, 0, "what was, stays");
}

/// A hospital whose machine burns down in the middle of a study, ledger key and all.
#[test]
fn a_lost_key_is_replaced_by_the_others_word() {
    let mut federation = Federation::enrolled(3, 360);
    let old = registered(&federation, "ashford");
    let digest =
        federation.publish(&federation.study("3", &[QUICK, &[("quorum", "2"), ("min_sites", "2")]].concat()));
    federation.approve(&digest);
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    wait_for("something was burnt at the site, and cosigned", || {
        let note = std::fs::read_to_string(format!("{}/ledger/cosigned", federation.home("ashford"))).ok()?;
        (note.lines().nth(1)?.parse::<u64>().ok()? > 2).then_some(())
    });
    federation.kill_agent("ashford");
    let (home, burnt) = (federation.home("ashford"), federation.path("burnt"));
    std::fs::rename(&home, &burnt).expect("moved");

    // A new machine, and a policy from a drawer.
    let made = run("site-agent", ["init", "--home", &home, "--site", "ashford", "--format", "json"]).json();
    let new = made["key"].as_str().expect("a key").to_owned();
    std::fs::copy(format!("{burnt}/site-policy.toml"), format!("{home}/site-policy.toml")).expect("copied");
    let [plain, lost] = ["plain.invite", "lost.invite"].map(|name| federation.path(name));
    let _ = federation.coordinator(["site", "invite", "ashford", "--out", &plain]).ok();
    federation.agent("ashford", ["enroll", &plain]).refused(1, "--lost-key-for");
    let _ =
        federation.coordinator(["site", "invite", "ashford", "--lost-key-for", &new, "--out", &lost]).ok();
    let _ = federation.agent("ashford", ["enroll", &lost]).ok();
    assert_eq!(registered(&federation, "ashford"), old, "a certificate, and no right to sign");
    let served = federation.agent("ashford", ["serve", "--data", &federation.table("ashford")]);
    assert_eq!(served.code, 4, "{served:?}");
    federation.agent("ashford", ["ledger", "recover"]).refused(1, "site-agent ledger lost-key");

    let asked = federation.path("ashford.key-loss");
    let request = ["ledger", "lost-key", "request", "--split-key", "lost", "--out", &asked];
    let said = federation.agent("ashford", request).ok();
    assert!(said.contains("At least 2 of them") && said.contains("brackley ed25519:"), "{said}");
    federation.agent("ashford", ["ledger", "lost-key", "show", &asked]).refused(1, "key_loss.own");
    let answers = ["brackley", "corby"].map(|site| {
        let answer = federation.path(&format!("{site}.endorsement"));
        let _ = federation.agent(site, ["ledger", "lost-key", "show", &asked]).ok();
        let endorse = |key: &str| {
            federation.agent(site, ["ledger", "lost-key", "endorse", &asked, "--key", key, "--out", &answer])
        };
        endorse(&old).refused(1, "key_loss.fingerprint");
        let _ = endorse(&new).ok();
        answer
    });
    let finish = |answers: &[&str]| {
        let given = ["ledger", "lost-key", "finish", &asked].into_iter().chain(answers.iter().copied());
        federation.agent("ashford", given.collect::<Vec<_>>())
    };
    finish(&[&answers[0]]).refused(1, "ledger.key_quorum");
    let _ = finish(&[&answers[0], &answers[1]]).ok();
    finish(&[&answers[0], &answers[1]]).refused(1, "in a new home");

    // The study goes on without it, and its bundle says what happened.
    federation.start_agent("ashford");
    wait_for("the coordinator follows", || (registered(&federation, "ashford") == new).then_some(()));
    assert_eq!(federation.ended(&digest), "finished");
    known_anew(&federation, &old, &new);
    let bundle = federation.report(&digest).join("bundle").display().to_string();
    let said = auditor(&["verify", &bundle]).ok();
    assert!(said.contains(&format!("its ledger key {old} was lost; brackley, corby vouch")), "{said}");
    assert_eq!(auditor(&["budget", &bundle]).code, 0);
    // The people of the hospital have paid all that was declared, whatever their role.
    let budget = federation.agent("ashford", ["budget", "--format", "json"]).json();
    assert!(
        budget["left"].as_f64().expect("a number") < budget["epsilon_total_cap"].as_f64().expect("a cap")
    );
}

#[test]
fn a_known_dataset_does_not_start_again() {
    let mut federation = Federation::enrolled(2, 200);
    // A second home for the same hospital.
    let home = federation.path("second-home");
    let _ = run("site-agent", ["init", "--home", &home, "--site", "ashford"]).ok();
    let invite = federation.path("again.invite");
    let _ = federation.coordinator(["site", "invite", "ashford", "--out", &invite]).ok();
    let said = run("site-agent", ["enroll", &invite, "--home", &home]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in ["registry.ledger_key", "first home", "ledger recover", "rotate-key", "OPERATIONS"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    // The refusal used nothing up: the first home is still who it was.
    let _ = federation.agent("ashford", ["enroll", &invite]).ok();

    // The first home's key, and a ledger that begins anew: by the coordinator's memory of the old one.
    let digest = federation.publish(&federation.study("3", QUICK));
    federation.approve(&digest);
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    wait_for("entries after the first are cosigned", || {
        let note = std::fs::read_to_string(format!("{}/ledger/cosigned", federation.home("ashford"))).ok()?;
        (note.lines().nth(1)?.parse::<u64>().ok()? > 2).then_some(())
    });
    federation.kill_agent("ashford");
    let first = federation.home("ashford");
    let fresh = federation.path("fresh");
    let _ = run("site-agent", ["init", "--home", &fresh, "--site", "ashford"]).ok();
    for (from, to) in [
        (format!("{first}/ledger"), federation.path("old-ledger")),
        (format!("{fresh}/ledger"), format!("{first}/ledger")),
    ] {
        std::fs::rename(from, to).expect("moved");
    }
    let moved = federation.agent("ashford", ["serve", "--data", &federation.table("ashford")]);
    assert_eq!(moved.code, 4, "the ledger is of another key: {moved:?}");
    std::fs::copy(format!("{fresh}/identity/ledger.key"), format!("{first}/identity/ledger.key"))
        .expect("copied");
    let served = federation.agent("ashford", ["serve", "--data", &federation.table("ashford")]);
    assert_eq!(served.code, 4, "{served:?}");
    for part in ["restored from an old copy", "site-agent ledger recover"] {
        assert!(served.err.contains(part), "{part}: {}", served.err);
    }

    // Another name for the same people: the table tells.
    let table = federation.table("brackley");
    wait_for("brackley serves", || federation.log("brackley").contains("connected").then_some(()));
    let said = federation.agent("ashford", ["serve", "--data", &table]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("data.in_use") && said.err.contains("one table has one agent"), "{}", said.err);
}
