//! Real processes: the walk of the README's second half, hospitals that keep their records in PostgreSQL, and what happens when
//! things die.

// Within this target: another would link both programs' libraries once more.
#[path = "federation/database.rs"]
mod database;

use consilium_tests::{Federation, project, replace, run, wait_for};
use serde_json::Value;

/// Few and quick rounds.
const QUICK: &[(&str, &str)] =
    &[("rounds", "4"), ("local_steps", "2"), ("deadline_s", "30"), ("reply_tick_ms", "20")];

fn verify(bundle: &std::path::Path) -> consilium_tests::Said {
    run("auditor", ["verify".as_ref(), bundle.as_os_str()])
}

#[test]
fn the_walk_by_hand() {
    let mut federation = Federation::enrolled(3, 360);
    let file = federation.study("3", QUICK);
    let checked = federation.sites.len();
    let said = run("coordinator", ["study", "check", &file]).ok();
    assert!(said.contains("epsilon") || said.contains('ε'), "{said}");
    let digest = federation.publish(&file);
    let shown = federation.agent("ashford", ["study", "show", &digest]).ok();
    assert!(shown.contains("capacity") || shown.contains("Plan"), "the intended use is shown: {shown}");
    let table = federation.table("ashford");
    let approve = ["study", "approve", &digest, "--approver", "guardian", "--data", &table];
    let _ = federation.agent("ashford", approve).ok();
    assert!(federation.agent("ashford", ["data", "snapshot", "list"]).ok().contains("in use"));
    let _ = federation
        .agent(
            "brackley",
            ["study", "approve", &digest, "--approver", "guardian", "--data", &federation.table("brackley")],
        )
        .ok();
    let _ = federation.agent("brackley", ["study", "decline", &digest, "--reason", "governance"]).ok();
    let kept = federation.agent("brackley", ["data", "snapshot", "list"]).ok();
    assert!(kept.contains("no frozen examples here"), "of a study that was declined: {kept}");
    federation.approve(&digest);
    federation.start_agents();
    let started = federation.coordinator(["study", "start", &digest, "--format", "json"]).json();
    assert_eq!(started["participants"].as_array().map(Vec::len), Some(checked));
    let watched = federation.coordinator(["study", "watch", &digest]).ok();
    assert!(watched.contains("round 4 closed"), "{watched}");
    assert!(watched.trim_end().ends_with("finished"), "{watched}");

    // Nobody extracts while the coordinator waits: it is done with the approval, or before an agent connects.
    for site in &federation.sites {
        let log = federation.log(site);
        let at = |what: &str| log.find(what);
        assert!(at("frozen examples read").is_some(), "{log}");
        match at("examples extracted and frozen") {
            None => assert_eq!(site, "ashford", "{log}"),
            Some(extracted) => assert!(site != "ashford" && Some(extracted) < at("connected"), "{log}"),
        }
    }

    let results = federation.report(&digest);
    let bundle = results.join("bundle");
    assert_eq!(verify(&bundle).code, 0, "{:?}", verify(&bundle));
    let metrics: Value =
        serde_json::from_slice(&std::fs::read(results.join("metrics.json")).expect("there")).expect("JSON");
    assert_eq!(metrics["schema"], "metrics/1");
    assert_eq!(metrics["privacy"]["unit"], "person");
    let person_max = metrics["privacy"]["epsilon"].as_f64().expect("a number");
    assert!(person_max > 0.0 && person_max <= 3.0, "{person_max}");
    let html = std::fs::read_to_string(results.join("report.html")).expect("there");
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"));
    assert!(results.join("model.safetensors").exists());

    // With an audit of the mechanism, and never with something that is none.
    let (audit, out) = (federation.path("audit.json"), federation.path("audited"));
    let report = ["study", "report", &digest, "--audit", &audit, "--out", &out];
    std::fs::write(&audit, include_str!("../vectors/audit/audit.json")).expect("writes");
    let _ = federation.coordinator(report).ok();
    let html = std::fs::read_to_string(format!("{out}/report.html")).expect("there");
    assert!(
        html.contains("Measured lower bound of ε</dt><dd>0.74</dd>"),
        "claim and measurement, side by side"
    );
    std::fs::write(&audit, "{}").expect("writes");
    federation.coordinator(report).refused(2, "audit.json");

    // The auditor's own count of what was spent.
    let bundle_text = bundle.display().to_string();
    let budget = run("auditor", ["budget", &bundle_text, "--format", "json"]).json();
    for site in budget["sites"].as_array().expect("sites") {
        let spent = site["epsilon_person_max"].as_f64().expect("a number");
        assert!(spent > 0.0 && spent <= 3.0, "{site}");
    }

    // One changed byte, anywhere that matters, and the verdict is no.
    for file in [
        "rounds/1/updates/ashford",
        "study.toml",
        "final/model",
        "model.json",
        "sites/ashford/ledger/checkpoint",
    ] {
        let path = bundle.join(file);
        let good = std::fs::read(&path).expect("there");
        let mut bent = good.clone();
        let at = bent.len() - 2;
        bent[at] ^= 1;
        std::fs::write(&path, &bent).expect("writes");
        assert_eq!(verify(&bundle).code, 1, "{file}: {:?}", verify(&bundle));
        std::fs::write(&path, &good).expect("writes");
    }
    assert_eq!(verify(&bundle).code, 0);
}

#[test]
fn the_coordinator_dies_mid_round_and_goes_on_where_it_was() {
    let mut federation = Federation::enrolled(3, 360);
    let file = federation.study("3", &[("rounds", "12"), ("local_steps", "2"), ("reply_tick_ms", "20")]);
    let digest = federation.publish(&file);
    federation.approve(&digest);
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    for round in [2, 5] {
        wait_for("some rounds", || {
            let status = federation.status(&digest);
            (status["detail"]["round"].as_u64() >= Some(round) || status["phase"] != "training").then_some(())
        });
        federation.kill_coordinator();
        federation.start_coordinator();
    }
    assert_eq!(federation.ended(&digest), "finished");
    let bundle = federation.report(&digest).join("bundle");
    assert_eq!(verify(&bundle).code, 0, "{:?}", verify(&bundle));
    assert!(bundle.join("rounds/11/updates/ashford").exists(), "every round was trained");
}

/// The kinds of a site's ledger entries, in order.
fn entry_kinds(federation: &Federation, site: &str) -> Vec<String> {
    let path = format!("{}/ledger/entries", federation.home(site));
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut kinds = Vec::new();
    while rest.len() >= 2 {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let Some(entry) = rest.get(2..2 + length) else { break };
        let entry: Value = serde_json::from_slice(entry).expect("an entry is JSON");
        kinds.push(entry["kind"].as_str().expect("a kind").to_owned());
        rest = &rest[2 + length..];
    }
    kinds
}

/// How many entries the site's own signed checkpoint covers.
fn signed_size(federation: &Federation, site: &str) -> usize {
    let path = format!("{}/ledger/checkpoint", federation.home(site));
    let note = std::fs::read_to_string(path).unwrap_or_default();
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
}

#[test]
fn an_agent_dies_between_reserve_and_commit_and_pays_for_it() {
    let mut federation = Federation::enrolled(3, 360);
    // Many steps a round, so that the window between reserve and commit is wide.
    let file = federation.study("3", &[("rounds", "4"), ("local_steps", "900"), ("reply_tick_ms", "20")]);
    let digest = federation.publish(&file);
    federation.approve(&digest);
    federation.start_agents();
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    // The window is short: look often, and kill when the last entry is a reserve under a checkpoint. An entry that
    // none covers yet was never relied on: a restart drops it.
    let reserved = |federation: &Federation, kinds: &[String]| {
        kinds.last().is_some_and(|k| k == "reserve") && signed_size(federation, "ashford") == kinds.len()
    };
    let mut caught = false;
    for _ in 0..20_000 {
        let kinds = entry_kinds(&federation, "ashford");
        if reserved(&federation, &kinds) {
            federation.kill_agent("ashford");
            caught = reserved(&federation, &entry_kinds(&federation, "ashford"));
            federation.start_agent("ashford");
            if caught {
                break;
            }
        }
        if kinds.iter().any(|k| k == "release") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_micros(300));
    }
    assert!(caught, "never seen between reserve and commit");
    assert_eq!(federation.ended(&digest), "finished");
    let kinds = entry_kinds(&federation, "ashford");
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!(count("abort"), 1, "{kinds:?}");
    assert_eq!(count("reserve"), 5, "the burnt one and one for each round");
    let bundle = federation.report(&digest).join("bundle");
    assert_eq!(verify(&bundle).code, 0, "{:?}", verify(&bundle));
    let budget = run("auditor", ["budget", &bundle.display().to_string(), "--format", "json"]).json();
    let steps = |site: &str| {
        let sites = budget["sites"].as_array().expect("sites");
        sites.iter().find(|s| s["name"] == site).expect("listed")["steps"].as_u64().expect("a number")
    };
    assert_eq!(steps("ashford"), 5 * 900);
    assert_eq!(steps("brackley"), 4 * 900);
}

#[test]
fn a_site_whose_policy_refuses_stays_out() {
    let mut federation = Federation::enrolled(4, 400);
    let file = federation.study("3", QUICK);
    let digest = federation.publish(&file);
    let path = format!("{}/site-policy.toml", federation.home("corby"));
    let policy = std::fs::read_to_string(&path).expect("made by init");
    let strict: String = policy
        .lines()
        .map(|line| if line.starts_with("steps_max") { "steps_max = 3".to_owned() } else { line.to_owned() })
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(&path, strict).expect("writes");
    let approve = ["study", "approve", &digest, "--approver", "guardian"];
    federation.agent("corby", approve).refused(1, "policy.steps_max");
    let _ = federation.agent("corby", ["study", "decline", &digest, "--reason", "policy"]).ok();
    for site in ["ashford", "brackley", "dunmore"] {
        let _ = federation.agent(site, approve).ok();
    }
    federation.start_agents();
    let started = federation.coordinator(["study", "start", &digest, "--format", "json"]).json();
    assert_eq!(started["participants"], serde_json::json!(["ashford", "brackley", "dunmore"]));
    assert_eq!(federation.ended(&digest), "finished");
    let results = federation.report(&digest);
    let html = std::fs::read_to_string(results.join("report.html")).expect("there");
    assert!(html.contains("corby"), "the report says who declined");
    assert_eq!(verify(&results.join("bundle")).code, 0);
}

#[test]
fn strangers_and_the_revoked_are_refused() {
    let mut federation = Federation::enrolled(2, 200);
    // A certificate by another authority.
    let other = Federation::enrolled(2, 200);
    for file in ["tls.key", "tls.crt"] {
        let from = format!("{}/identity/{file}", other.home("brackley"));
        let to = format!("{}/identity/{file}", federation.home("brackley"));
        std::fs::rename(&to, format!("{to}.kept")).expect("there");
        std::fs::copy(from, to).expect("copies");
    }
    federation.agent("brackley", ["study", "list"]).refused(3, "");
    for file in ["tls.key", "tls.crt"] {
        let to = format!("{}/identity/{file}", federation.home("brackley"));
        std::fs::rename(format!("{to}.kept"), &to).expect("there");
    }
    let _ = federation.agent("brackley", ["study", "list"]).ok();

    // Revoked: the next call is refused, connection or not.
    federation.start_agent("ashford");
    wait_for("the agent connects", || {
        federation.log("coordinator").contains("agent connected").then_some(())
    });
    let _ = federation.coordinator(["site", "revoke", "ashford"]).ok();
    let said = federation.agent("ashford", ["study", "list"]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("registry.certificate"), "{}", said.err);

    // An invite works once, for one name, and is never taken from the command line.
    let invite = federation.path("again.invite");
    let _ = federation.coordinator(["site", "invite", "ashford", "--out", &invite]).ok();
    let text = std::fs::read_to_string(&invite).expect("there");
    federation.agent("ashford", ["enroll", &text]).refused(2, "");
    let _ = federation.agent("ashford", ["enroll", &invite]).ok();
    let _ = federation.agent("ashford", ["study", "list"]).ok();
    federation.agent("ashford", ["enroll", &invite]).refused(1, "registry.invite");
}

#[test]
fn a_bad_study_is_refused_with_every_mistake_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let good =
        std::fs::read_to_string(project().join("docs/studies/synthetic-selfharm.toml")).expect("shipped");
    let bad =
        replace(&replace(&replace(&good, "sampling_rate", "\"often\""), "clip_norm", "-1"), "delta", "0.5");
    let bad = bad.replacen("learning_rate", "learning_rat", 1);
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, bad).expect("writes");
    let said = run("coordinator", ["study".as_ref(), "check".as_ref(), path.as_os_str()]);
    assert_eq!(said.code, 2, "{said:?}");
    for what in ["sampling_rate", "clip_norm", "delta", "did you mean learning_rate?", "line"] {
        assert!(said.err.contains(what), "{what}: {}", said.err);
    }
}

/// A digit of a concept's number made another one is found at its line, with the number that was meant.
#[test]
fn a_wrong_digit_is_found_in_a_vocabulary() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let _ = run("site-agent", ["synth", "--out", &path("data"), "--sites", "1", "--people", "100"]).ok();
    let vocabulary = path("data/ashford/omop");
    let good =
        std::fs::read_to_string(project().join("docs/studies/synthetic-psychosis.toml")).expect("shipped");
    // A template: its sites have no keys yet, and that is all that is wrong with it.
    let said = |text: &str| {
        let file = path("study.toml");
        std::fs::write(&file, text).expect("writes");
        let said = run("coordinator", ["study", "check", &file, "--vocabulary", &vocabulary]);
        assert_eq!(said.code, 2, "{said:?}");
        said.err
            .lines()
            .filter(|line| line.starts_with("line ") && !line.contains("].key: "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(said(&good), "");
    for (right, wrong) in
        [("2000000120", "2000000129"), ("2000000430", "2000000431"), ("2000000510", "2000000501")]
    {
        let line = 1 + good[..good.find(right).expect("is there")].matches('\n').count();
        let found = said(&good.replacen(right, wrong, 1));
        assert!(found.starts_with(&format!("line {line}: ")), "{wrong}: {found}");
        assert!(found.contains(&format!("write id = {right}")), "{wrong}: {found}");
        assert_eq!(found.lines().count(), 1, "{wrong}: {found}");
    }
}

/// Two tasks are one model with two outputs: one list of steps, each task with figures of its own.
#[test]
fn two_tasks_are_one_model() {
    for (mode, sums) in [("\"local\"", false), ("\"distributed\"\ncolluding = 1", true)] {
        let mut federation = Federation::enrolled(4, 480);
        let file = federation.study(
            "3",
            &[
                ("mode", mode),
                ("quorum", "4"),
                ("rounds", "6"),
                ("spare_rounds", "8"),
                ("local_steps", "1"),
                ("deadline_s", "60"),
                ("reply_tick_ms", "20"),
            ],
        );
        let feature = "[[features.column]]\nname   = \"antipsychotic\"\ncolumn = \"antipsychotic\"\nlevels = [\"0\", \"1\"]\n";
        let task = "[[task]]\nname = \"antipsychotic\"\nprevalence_public = 0.2\n\
                    outcome = { column = \"antipsychotic\", positive = [\"1\"], negative = [\"0\"] }\n\n";
        let text = std::fs::read_to_string(&file).expect("made");
        assert!(text.contains(feature), "the column is a feature of the template");
        let text = text.replacen(feature, "", 1).replacen(
            "[[features.column]]",
            &format!("{task}[[features.column]]"),
            1,
        );
        std::fs::write(&file, text).expect("writes");
        let digest = federation.publish(&file);
        let data = federation.table("ashford");
        let home = federation.home("ashford");
        let check = ["data", "check", "--study", &file, "--data", &data, "--home", &home, "--format", "json"];
        let counted = run("site-agent", check).json();
        assert_eq!(counted["predictions"][1]["name"], "antipsychotic", "{counted}");
        federation.approve(&digest);
        federation.start_agents();
        let _ = federation.coordinator(["study", "start", &digest]).ok();
        assert_eq!(federation.ended(&digest), "finished");

        let results = federation.report(&digest);
        let bundle = results.join("bundle");
        assert_eq!(verify(&bundle).code, 0, "{:?}", verify(&bundle));
        let names = ["self_harm.overall", "antipsychotic.overall"];
        assert!(names.iter().all(|name| bundle.join("evaluation").join(name).is_dir()));
        assert_eq!(bundle.join("sums/5").exists(), sums);
        let json = |name: &str| -> Value {
            let bytes = std::fs::read(results.join(name)).expect("there");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        let model = json("model.json");
        assert_eq!(model["outputs"], serde_json::json!(["self_harm", "antipsychotic"]));
        assert_eq!(model["layers"][0]["outputs"], 2);
        let metrics = json("metrics.json");
        let tasks: Vec<&str> =
            metrics["models"].as_array().expect("models").iter().filter_map(|m| m["task"].as_str()).collect();
        assert_eq!(tasks, ["self_harm", "antipsychotic"]);
        assert!(metrics["privacy"]["epsilon"].as_f64().is_some_and(|epsilon| epsilon <= 3.0), "{metrics}");
        let html = std::fs::read_to_string(results.join("report.html")).expect("there");
        assert!(html.contains("Prediction: antipsychotic") && html.contains("Prediction: self harm<"));
    }
}
