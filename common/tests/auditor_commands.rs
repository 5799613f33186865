//! The auditor's `trace`, `diff` and `report` as a program, and what it is given beside a bundle: a fresh reader
//! follows a bundle from approval to model with it alone.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

mod bundle;

use bundle::{Map, SITES, edit, make, relink, write_ledger};
use consilium_common::ledger::entry::{Body, Caps};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

fn write(map: &Map, root: &Path) {
    for (path, bytes) in map {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("within the root")).expect("a folder");
        std::fs::write(path, bytes).expect("written");
    }
}

/// Runs the program: its exit code and everything that it printed.
fn auditor(arguments: &[&dyn AsRef<OsStr>]) -> (Option<i32>, String) {
    let arguments = arguments.iter().map(|argument| (*argument).as_ref());
    let output = Command::new(env!("CARGO_BIN_EXE_auditor")).args(arguments).output().expect("runs");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    (output.status.code(), text.concat())
}

#[track_caller]
fn check(arguments: &[&dyn AsRef<OsStr>], code: i32, parts: &[&str]) -> String {
    let (found, text) = auditor(arguments);
    assert_eq!(found, Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    text
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A folder with the bundle in `bundle/` and the model beside it, as `demo` leaves them.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let (map, _) = make();
    write(&map, &dir.path().join("bundle"));
    std::fs::write(dir.path().join("model.safetensors"), &map["model.safetensors"]).expect("written");
    let bundle = dir.path().join("bundle");
    (dir, bundle)
}

#[test]
fn a_model_leads_back_to_its_approvals() {
    let (dir, bundle) = folder();
    let model = dir.path().join("model.safetensors");
    check(
        &[&"trace", &model],
        0,
        &[
            "is          the final model of the bundle (model.safetensors), 2 rounds",
            "golden version 1.0.0: The golden bundle",
            "never       deciding who is offered or refused care",
            "approval    ethics: none needed",
            "ashford: approved at 2027-03-01T09:00:00.000Z by Caldicott guardian",
            "dunmore: declined (capacity)",
            "started by the coordinator at 2027-03-01T09:01:00.000Z",
            "corby: opened at 2027-03-01T09:02:00.000Z (entry 2); ε at most 4 a study and 8 over all",
            "500 steps; policy",
            "This model rests on 2 rounds of training by 3 hospitals that approved the study (1 other decided and took no part), \
             from 5 updates",
            "round 1 from model",
            "round 2 from model",
            "brackley: 4 steps paid for at 2027-03-01T09:07:00.000Z (entry 7)",
            "weight 1.5",
            "evaluation/sex+age_band/corby.json",
            "keys: carried by the bundle, unverified",
        ],
    );
    let trace = json(&check(&[&"trace", &model, &"--bundle", &bundle, &"--format", &"json"], 0, &[]));
    assert_eq!((trace["rounds_in_it"].as_u64(), trace["is_final"].as_bool()), (Some(2), Some(true)));
    let updates = |round: usize| trace["rounds"][round]["updates"].as_array().map(Vec::len);
    // The update of corby in round 1 came too late.
    assert_eq!((updates(0), updates(1)), (Some(3), Some(2)));
    assert_eq!(trace["decisions"].as_array().map(Vec::len), Some(4));
    assert_eq!(trace["sites"][1]["policy_entry"], 1);
    assert_eq!(trace["rounds"][0]["updates"][1]["reserve"], 7);

    // Inside the bundle: the same model in another form, and one of its past.
    check(&[&"trace", &bundle.join("final/model")], 0, &["the final model of the bundle (final/model)"]);
    let past = check(&[&"trace", &bundle.join("rounds/1/model")], 0, &["an intermediate model", "1 rounds"]);
    assert!(!past.contains("round 2 from"), "{past}");
    let start = check(
        &[&"trace", &bundle.join("rounds/0/model")],
        0,
        &["0 rounds of training in it", "This is the public model that training starts from"],
    );
    assert!(!start.contains("released to judge it"), "{start}");

    // Strangers, and bundles that prove nothing.
    let stranger = dir.path().join("stranger");
    std::fs::write(&stranger, "not a model").expect("written");
    check(&[&"trace", &stranger], 1, &["is no model of", "its digest is sha256:"]);
    check(&[&"trace", &dir.path().join("absent")], 2, &["absent"]);
    let alone = tempfile::tempdir().expect("a folder");
    let lonely = alone.path().join("model.safetensors");
    std::fs::copy(&model, &lonely).expect("copied");
    check(&[&"trace", &lonely], 2, &["no bundle beside it: give --bundle"]);
    check(&[&"trace", &model, &"--expect", &"elsewhere"], 1, &["does not verify", "expected elsewhere"]);
    std::fs::write(bundle.join("surplus"), "").expect("written");
    check(&[&"trace", &model], 1, &["does not verify", "surplus"]);
}

/// A distributed study: who was in which sum, what it cost, and pages that say who could read what.
#[test]
fn a_distributed_study() {
    let dir = tempfile::tempdir().expect("a folder");
    let (map, _) = bundle::secure::make();
    let folder = dir.path().join("bundle");
    write(&map, &folder);
    check(&[&"verify", &folder], 0, &["4 secure sums, each over at least 3 sites", "the bundle verifies"]);
    check(
        &[&"trace", &folder.join("model.safetensors")],
        0,
        &[
            "round 1 from model",
            "2 rounds of training by 4 hospitals that approved the study, from one secure sum each, none over fewer than 3 of them",
            "sums/0: sum of 3 sites, attempt 1",
            "dunmore: masked a vector and dropped out; it is in no sum",
            "sums/1: sum of 4 sites, attempt 2",
            "ashford: use 1 of the block paid for at 2027-03-01T09:05:00.000Z (entry 5), masked vector",
            "its end recorded (entry 7)",
            "its end not recorded",
            "evaluation/sex+age_band/sum: sum of 4 sites",
        ],
    );
    let trace = check(&[&"trace", &folder.join("final/model"), &"--format", &"json"], 0, &[]);
    let trace = json(&trace);
    assert_eq!(trace["rounds"][0]["sum"]["survivors"].as_array().map(Vec::len), Some(3));
    assert_eq!(trace["rounds"][0]["sum"]["dropped_out"][0], "dunmore");
    assert_eq!(trace["evaluation_sums"].as_array().map(Vec::len), Some(2));
    check(&[&"budget", &folder], 0, &["training: Gaussian, noise 1.6 per person", "4 of 4 used"]);
    let page = dir.path().join("audit.html");
    check(&[&"report", &folder, &"--out", &page], 0, &[]);
    let page = std::fs::read_to_string(&page).expect("a page");
    for part in [
        "Only 2 sums for training and 2 tables of counts for testing the model could be read",
        "the coordinator together with up to 1 of the other hospitals",
        "masked update of round 2, attempt 1",
        "in the sum of 4 sites",
        "in no sum",
        "if more than 1 of the hospitals secretly helped it",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    // A later bundle that dropped a sum does not only add.
    let less = dir.path().join("less");
    let mut map = map;
    map.remove("sums/1");
    write(&map, &less);
    check(&[&"diff", &folder, &less], 1, &[]);
    check(&[&"verify", &less], 1, &["the sum of round 2, attempt 2 is not in the bundle"]);
}

/// The same ledgers before the close, and after it with a change of policy and a refusal.
fn grown() -> (Map, Map) {
    let (mut old, sites) = make();
    let mut new = old.clone();
    for mut site in sites {
        let name = site.name.clone();
        let seed = SITES.iter().find(|(site, _)| *site == name.as_str()).expect("takes part").1;
        let before = &site.entries[..site.entries.len() - 1];
        write_ledger(&name, seed, site.state.origin(), before, &mut old, true);
        let caps = Caps { epsilon_total: 9.0, ..site.state.caps().clone() };
        site.append(Body::PolicyChange { caps });
        site.append(Body::Refusal { rule: "policy.purpose".into(), study: None, count: 3 });
        site.write(&mut new, true);
    }
    (old, new)
}

#[test]
fn a_later_bundle_only_adds() {
    let dir = tempfile::tempdir().expect("a folder");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let (before, after) = grown();
    write(&before, &old);
    write(&after, &new);
    check(
        &[&"diff", &old, &new],
        0,
        &[
            "The new bundle adds 9 entries to 3 ledgers, and changes nothing of the old one.\n",
            "rounds      2 before, 2 now",
            "ashford: 13 entries before, 16 now",
            "added: 1 close, 1 policy_change, 1 refusal",
            "policy changed: ε at most 4 a study and 9 over all studies",
            "3 requests refused by policy.purpose",
            "closed: finished",
            "verdict: the new bundle only adds to the old one",
        ],
    );
    let found = json(&check(&[&"diff", &old, &new, &"--format", &"json"], 0, &[]));
    assert_eq!(found["sites"][0]["added"][0]["entry"], 13);
    let [before_epsilon, after_epsilon] = [0, 1].map(|i| found["epsilon_person_max"][i].as_f64());
    assert!(before_epsilon.is_some_and(|epsilon| epsilon > 0.0) && before_epsilon == after_epsilon);
    // The close gave back what was not burnt.
    let charged = [0, 1].map(|i| found["sites"][0]["epsilon_total_charged"][i].as_f64().expect("a number"));
    assert!(charged[0] > charged[1], "{charged:?}");

    // The other way round, entries are gone.
    check(
        &[&"diff", &new, &old],
        1,
        &[
            "The new bundle does NOT follow from the old one: 3 things were removed or changed.\n",
            "BROKEN      ashford: entries 13 to 15 were removed",
            "verdict: the new bundle does NOT follow",
        ],
    );

    // A bundle that is sound by itself, of a ledger that was rewritten from entry 4.
    let (mut fork, sites) = (after.clone(), make().1);
    let mut entries = sites[0].entries.clone();
    edit(&mut entries, 4, |entry| {
        let Body::Refusal { count, .. } = &mut entry.body else { panic!("entry 4 is a refusal") };
        *count += 1;
    });
    relink(&mut entries);
    write_ledger(&sites[0].name, 1, sites[0].state.origin(), &entries, &mut fork, true);
    let forked = dir.path().join("fork");
    write(&fork, &forked);
    check(&[&"verify", &forked], 0, &["the bundle verifies"]);
    check(
        &[&"diff", &old, &forked],
        1,
        &["BROKEN      ashford: entry 4 is another one than in the old bundle"],
    );
    let kept = old.join("sites/ashford/ledger/checkpoint");
    check(&[&"verify", &forked, &"--checkpoint", &kept], 1, &["signed two histories", "[checkpoint.fork]"]);

    // Another decision of a site that took no part; a file that is not there any more.
    let other = dir.path().join("other");
    let mut less = after;
    less.remove("decisions/dunmore.json");
    write(&less, &other);
    check(&[&"diff", &old, &other], 1, &["BROKEN      decisions/dunmore.json: removed"]);
    std::fs::write(other.join("surplus"), "").expect("written");
    check(&[&"diff", &old, &other], 1, &["does not verify"]);
}

#[test]
fn updates_that_are_kept_elsewhere() {
    let (dir, bundle) = folder();
    let updates = dir.path().join("updates");
    for round in ["0", "1"] {
        std::fs::create_dir_all(updates.join(round)).expect("a folder");
        for item in std::fs::read_dir(bundle.join("rounds").join(round).join("updates")).expect("a folder") {
            let item = item.expect("readable");
            std::fs::rename(item.path(), updates.join(round).join(item.file_name())).expect("moved");
        }
    }
    check(&[&"verify", &bundle], 1, &["0 updates, the quorum is 2", "--updates"]);
    check(&[&"verify", &bundle, &"--updates", &updates], 0, &["the bundle verifies"]);
    let path = updates.join("1/ashford");
    let mut bytes = std::fs::read(&path).expect("there");
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let parts = ["rounds/1/updates/ashford: its digest is", "final/model: not the model that follows"];
    check(&[&"verify", &bundle, &"--updates", &updates], 1, &parts);
}

#[test]
fn the_page_tells_everything_and_loads_nothing() {
    let (dir, bundle) = folder();
    let out = dir.path().join("audit.html");
    check(&[&"report", &bundle, &"--out", &out], 0, &["the bundle verifies"]);
    let page = std::fs::read_to_string(&out).expect("written");
    for part in [
        "<h2>In plain words</h2>",
        "These records hold together.",
        "one person at one hospital, with all their records",
        "add or remove one person",
        "<b>1.88</b>",
        "… to three",
        "87%",
        "dunmore",
        "declined (capacity)",
        "update of round 1<",
        "update of round 2<",
        "histogram “sex*age_band”",
        "<code>policy.rounds</code>",
        "Caldicott guardian, 2027-03-01",
        "corby: the update of round 2 (entry 8) was not used",
        "Keys: carried by the bundle, unverified.",
        "What is not protected",
        "@media print",
    ] {
        assert!(page.contains(part), "{part:?} is not on the page");
    }
    for outside in ["http:", "https:", "<script", "src=", "url(", "@import", "<link"] {
        assert!(!page.contains(outside), "{outside} on the page");
    }

    std::fs::write(bundle.join("sites/corby/ledger/<b>x"), "").expect("written");
    check(&[&"report", &bundle, &"--out", &out], 1, &["does NOT verify"]);
    let page = std::fs::read_to_string(&out).expect("written");
    assert!(page.contains("These records do not hold together.") && page.contains("&lt;b&gt;x"), "{page}");
    // No figure of a bundle that does not verify.
    assert!(!page.contains("<b>1.88</b>"));
    check(&[&"report", &bundle, &"--out", &dir.path().join("absent/audit.html")], 2, &["absent/audit.html"]);
}

/// Claimed ε beside the measured lower bound, of a document that the project's audit wrote.
#[test]
fn the_page_shows_an_audit_of_the_mechanism() {
    let (dir, bundle) = folder();
    let (out, audit) = (dir.path().join("audit.html"), dir.path().join("audit.json"));
    let page = || std::fs::read_to_string(&out).expect("written");
    check(&[&"report", &bundle, &"--out", &out], 0, &["the bundle verifies"]);
    let none = page();
    assert!(none.contains("None was given.") && none.contains("auditor report --audit FILE"), "{none}");
    assert!(!none.contains("Measured lower bound"));

    let document = include_str!("../../tests/vectors/audit/audit.json");
    std::fs::write(&audit, document).expect("written");
    let given: [&dyn AsRef<OsStr>; 6] = [&"report", &bundle, &"--out", &out, &"--audit", &audit];
    check(&given, 0, &["the bundle verifies\naudit: epsilon 2.59 claimed, at least 0.74 measured\n"]);
    let shown = page();
    for part in [
        "<dt>Claimed ε</dt><dd>2.59</dd><dt>Measured lower bound of ε</dt><dd>0.74</dd>",
        "<dt>The claim, priced again here</dt><dd>2.34</dd>",
        "other numbers than this study’s (q = 0.1, σ = 2, 100 steps)",
        "the same that every hospital’s ledger says it was begun by",
        "the same tests caught all",
        "No statistic says that the mechanism is not what it claims.",
        "and the file of an audit beside it",
    ] {
        assert!(shown.contains(part), "{part:?} is not on the page");
    }
    let as_json: Vec<&dyn AsRef<OsStr>> = [&given[..], &[&"--format", &"json"]].concat();
    let answer = json(&check(&as_json, 0, &[]));
    assert_eq!((answer["schema"].as_str(), answer["verified"].as_bool()), (Some("report/1"), Some(true)));
    assert_eq!(answer["page"].as_str().map(Path::new), Some(out.as_path()));
    assert_eq!(answer["audit"]["epsilon_lower_bound"].as_f64(), Some(0.735_854_393_378_758_7));
    assert_eq!(answer["audit"]["alarms"].as_array().map(Vec::len), Some(0));

    // What is no such document is named, and no page is written.
    std::fs::remove_file(&out).expect("written before");
    for (text, part) in [
        (document.replace("audit/1", "audit/2"), "audit.json: expected schema audit/1"),
        (document.replace("2.586652178167706", "0.5"), "audit.json: epsilon_claimed: the event costs 2.33"),
        (" ".repeat(1024 * 1024 + 1), "audit.json: more than 1048576 bytes"),
        (String::new(), "audit.json: EOF"),
    ] {
        std::fs::write(&audit, text).expect("written");
        check(&given, 2, &[part]);
        assert!(!out.exists());
    }
    check(&[&"report", &bundle, &"--out", &out, &"--audit", &dir.path().join("absent")], 2, &["absent: "]);

    // An alarm is told, and a bundle that does not verify has no figure beside it.
    std::fs::write(&audit, document.replace("0.8774324275988947", "1e-9")).expect("written");
    check(&given, 0, &["ALARM: noise variance\n"]);
    assert!(page().contains("It raised an alarm</strong>: noise variance"));
    std::fs::write(bundle.join("surplus"), "").expect("written");
    let answer = json(&check(&as_json, 1, &[]));
    assert_eq!(
        (answer["verified"].as_bool(), answer["findings"][0]["kind"].as_str()),
        (Some(false), Some("surplus"))
    );
    assert!(page().contains("One was given, and is not") && !page().contains("<dd>0.74</dd>"));
}

#[test]
fn help_shows_an_example() {
    for command in ["verify", "budget", "trace", "diff", "report"] {
        check(&[&command, &"--help"], 0, &["Example:"]);
    }
}
