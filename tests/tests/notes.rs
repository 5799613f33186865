//! Clinical notes in a federation of real processes: every name that stands in an invented note is looked for in every byte
//! that leaves a hospital, that a coordinator keeps, that is published, and that any process logs.

use consilium_tests::{Federation, project, replace, run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const QUICK: &[(&str, &str)] =
    &[("max_features", "64"), ("quorum", "3"), ("rounds", "4"), ("deadline_s", "60"), ("min_sites", "2")];

/// What the invented notes mention, in both languages.
const NOTES: &str = r#"
[features.notes]
enabled = true
source  = "local-lexicon"
window  = "ever"
encode  = "present-absent"
[[features.notes.lexicon]]
language = "en"
concept  = "suicidal_thoughts"
terms    = ["suicidal thoughts", "suicidal ideation", "thoughts of suicide"]
[[features.notes.lexicon]]
language = "de"
concept  = "suicidal_thoughts"
terms    = ["Suizidgedanken", "Selbstmordgedanken"]
[[features.notes.lexicon]]
language = "en"
concept  = "hopelessness"
terms    = ["hopelessness", "despair"]
[[features.notes.lexicon]]
language = "de"
concept  = "hopelessness"
terms    = ["Hoffnungslosigkeit", "Verzweiflung"]
"#;

/// The shipped study on the federation's own sites, asking for notes.
fn study(federation: &Federation) -> String {
    let template = project().join("docs/studies/synthetic-psychosis.toml");
    let mut text = std::fs::read_to_string(template).expect("shipped");
    for (key, value) in QUICK {
        text = replace(&text, key, value);
    }
    assert!(text.contains("\n[missing]\n"));
    let text = text.replacen("\n[missing]\n", &format!("{NOTES}\n[missing]\n"), 1);
    let (from, out) = (federation.path("template.toml"), federation.path("study.toml"));
    std::fs::write(&from, text).expect("writes");
    let people: Vec<String> = federation.sites.iter().map(|site| format!("--people={site}=400")).collect();
    let mut args = vec!["study", "new", "--from", &from, "--out", &out, "--epsilon", "3"];
    args.extend(people.iter().map(String::as_str));
    let _ = federation.coordinator(args).ok();
    out
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(here) = folders.pop() {
        for entry in std::fs::read_dir(here).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                // The operator's socket is none.
                files.push(path);
            }
        }
    }
    files
}

fn holds_any(bytes: &[u8], names: &BTreeSet<String>) -> bool {
    let is_first = |byte: &u8| names.iter().any(|name| name.as_bytes()[0] == *byte);
    let first: Vec<bool> = (0..=u8::MAX).map(|byte| is_first(&byte)).collect();
    let places = bytes.iter().enumerate().filter(|(_, byte)| first[usize::from(**byte)]);
    places.map(|(at, _)| &bytes[at..]).any(|rest| names.iter().any(|name| rest.starts_with(name.as_bytes())))
}

#[test]
fn no_name_of_a_note_leaves_its_hospital() {
    let mut federation = Federation::enrolled(3, 1200);
    let file = study(&federation);
    let digest = federation.publish(&file);
    let omop = |federation: &Federation, site: &str| federation.path(&format!("data/{site}/omop"));
    let sites = federation.sites.clone();

    // The hospital's own law comes first, and the screen says what is asked.
    let shown = federation.agent(&sites[0], ["study", "show", &digest]);
    let words = shown.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("the text of clinical notes is read at this hospital"), "{words}");
    assert!(format!("{}{}", shown.out, shown.err).contains("policy.notes"), "{shown:?}");
    federation
        .agent(&sites[0], ["study", "approve", &digest, "--approver", "guardian"])
        .refused(1, "policy.notes");
    for site in &sites {
        let path = format!("{}/site-policy.toml", federation.home(site));
        let policy = std::fs::read_to_string(&path).expect("made by init");
        assert!(policy.contains("\nnotes = false\n"), "off unless the hospital says otherwise");
        std::fs::write(&path, policy.replacen("\nnotes = false\n", "\nnotes = true\n", 1)).expect("writes");
    }
    let mut said = String::new();
    for site in &sites {
        let data = omop(&federation, site);
        let checked = federation.agent(site, ["data", "check", "--data", &data, "--study", &file]).ok();
        assert!(checked.contains("note_suicidal_thoughts_ever_affirmed"), "{checked}");
        said += &checked;
    }
    federation.approve(&digest);
    for site in &sites {
        let data = omop(&federation, site);
        federation.start_agent_on(site, &data);
    }
    let _ = federation.coordinator(["study", "start", &digest]).ok();
    assert_eq!(federation.ended(&digest), "finished");
    let results = federation.report(&digest);
    let verified = run("auditor", ["verify".as_ref(), results.join("bundle").as_os_str()]);
    assert_eq!(verified.code, 0, "{verified:?}");
    said += &verified.out;
    let model = std::fs::read_to_string(results.join("bundle/model.json")).expect("there");
    assert!(model.contains("note_suicidal_thoughts_ever_affirmed"), "the model has looked at notes");
    for site in &sites {
        federation.stop_agent(site);
    }
    // A file that breaks within a note: whoever looks, the message is without it.
    let notes = federation.path(&format!("data/{}/omop/NOTE.csv", sites[0]));
    let whole = std::fs::read_to_string(&notes).expect("there");
    let broken =
        whole.trim_end().to_owned() + "\n1,1,2024-01-01,,,,\"" + whole.lines().last().expect("a note");
    std::fs::write(&notes, broken).expect("writes");
    let data = omop(&federation, &sites[0]);
    let failed = federation.agent(&sites[0], ["data", "check", "--data", &data, "--study", &file]);
    assert!(failed.code == 2 && failed.err.contains("NOTE.csv: row"), "{failed:?}");
    said += &format!("{}{}", failed.out, failed.err);

    let mut names = BTreeSet::new();
    for site in &sites {
        let path = federation.path(&format!("data/{site}/canaries.txt"));
        let text = std::fs::read_to_string(path).expect("names");
        names.extend(text.split_whitespace().map(str::to_owned));
    }
    assert!(names.len() > 20, "{}", names.len());
    // Everything but the hospitals' own tables: homes, logs, results, the coordinator.
    let data = PathBuf::from(federation.path("data"));
    let root = data.parent().expect("the folder").to_owned();
    let files: Vec<PathBuf> =
        files_below(&root).into_iter().filter(|file| !file.starts_with(&data)).collect();
    let logs = files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "log")).count();
    assert!(files.len() > 50 && logs == 1 + sites.len(), "{} files, {logs} logs", files.len());
    for file in &files {
        let bytes = std::fs::read(file).expect("readable");
        let found = holds_any(&bytes, &names);
        assert!(!found, "a name of a note is in {}", file.display());
    }
    assert!(!holds_any(said.as_bytes(), &names), "a command printed a name of a note");
    let note = std::fs::read(data.join(&sites[0]).join("omop/NOTE.csv")).expect("there");
    assert!(holds_any(&note, &names), "what is looked for is found where it is");
}
