//! A bundle of a study that each hospital fills in: what they filled in is signed, verified and printed side by side.

#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

mod bundle;

use bundle::{ANSWER, check, make_of, with_bindings};
use std::process::Command;

#[test]
fn a_bundle_with_bindings_verifies_and_no_word_of_them_can_be_changed() {
    let (map, _) = make_of(&with_bindings());
    let report = check(&map);
    assert_eq!(report.findings, vec![]);
    let texts: Vec<Option<&str>> =
        report.decisions.iter().map(|approval| approval.bindings.as_deref()).collect();
    assert_eq!(texts, [Some(ANSWER), Some(ANSWER), Some(ANSWER), None], "dunmore declined");
    for file in ["decisions/brackley.json", "start.json"] {
        let mut changed = map.clone();
        let bytes = changed.get_mut(file).expect("there");
        let text = String::from_utf8(bytes.clone()).expect("text").replacen("38004285", "38004286", 1);
        *bytes = text.into_bytes();
        assert_ne!(changed[file], map[file], "{file}");
        assert!(!check(&changed).findings.is_empty(), "{file}");
    }
}

#[test]
fn the_auditor_s_page_prints_them_side_by_side() {
    let (map, _) = make_of(&with_bindings());
    let dir = tempfile::tempdir().expect("folder");
    let (root, page) = (dir.path().join("bundle"), dir.path().join("audit.html"));
    for (path, bytes) in &map {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("within the root")).expect("a folder");
        std::fs::write(&path, bytes).expect("written");
    }
    let run =
        Command::new(env!("CARGO_BIN_EXE_auditor")).arg("report").arg(&root).arg("--out").arg(&page).output();
    let run = run.expect("runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let page = std::fs::read_to_string(&page).expect("written");
    for part in [
        "What each hospital filled in, signed with its approval",
        "<code>psychiatric_stay</code>: Inpatient stay under a mental-health specialty;",
        "any visit with visit_concept_id 9201 that has care_site.place_of_service_concept_id 38004285",
        "left out",
        "brackley, word for word",
        "note   = &quot;Wards of the mental-health directorate&quot;",
    ] {
        assert!(page.contains(part), "{part:?} is not on the page");
    }
}
