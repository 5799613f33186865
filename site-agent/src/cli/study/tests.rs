use super::*;

#[test]
fn an_approval_by_id_is_of_the_bytes_that_were_shown_last() {
    use crate::testing::{own, site, study as example};
    let dir = tempfile::tempdir().expect("folder");
    let home = Home::create(&dir.path().join("agent"), site(0)).expect("made").home;
    let own = own().key;
    let (one, two) = (example(&[]), example(&[("1.0.0", "1.0.1")]));
    let id = one.id.as_str();
    let keep = |study: &Study, bytes: &str| approval::keep_study(&home, study.digest, bytes.as_bytes());
    let texts = [crate::testing::study_text(&[]), crate::testing::study_text(&[("1.0.0", "1.0.1")])];
    let at = |second: u64| crate::testing::now().plus_ms(second * 1000);
    let check = |id: &str, expected: Option<&Study>| match (shown(&home, id, &own), expected) {
        (Ok(kept), Some(expected)) => assert_eq!(kept.study.digest, expected.digest),
        (Err(failure), None) => {
            assert_eq!(failure.kind.exit_code(), 1);
            assert!(failure.message.starts_with("approve.shown:"), "{failure}");
            assert!(failure.message.contains("site-agent study show"), "{failure}");
        }
        (found, _) => panic!("{:?}", found.map(|kept| kept.study.digest)),
    };
    check(id, None);
    keep(&one, &texts[0]).expect("kept");
    check(id, None);
    approval::keep_shown(&home, &one.digest, at(1)).expect("noted");
    check(id, Some(&one));
    check("another", None);
    // The coordinator's new version counts from when it was shown, and not before.
    keep(&two, &texts[1]).expect("kept");
    check(id, Some(&one));
    approval::keep_shown(&home, &two.digest, at(2)).expect("noted");
    check(id, Some(&two));
    approval::keep_shown(&home, &one.digest, at(3)).expect("noted");
    check(id, Some(&one));
    // Bytes that changed on disk are not signed.
    let path = home.study_dir(&one.digest).join("study.toml");
    std::fs::write(path, &texts[1]).expect("written");
    assert!(shown(&home, id, &own).is_err());
}

#[test]
fn an_approval_is_not_replaced_in_passing() {
    use crate::testing::{key, now, site, study as example};
    let study = example(&[]);
    let signed = |decision, approver: &str, before: Option<&Approval>| -> Approval {
        let signed =
            approval::sign_over(&study, &site(0), (decision, approver), None, now(), &key(0), before);
        signed.verify(&key(0).public()).map(|verified| (*verified).clone()).expect("signed")
    };
    let yes = signed(Decision::Approve, "A. Bird", None);
    assert_eq!(yes.replaces, None);
    let no = signed(Decision::Decline { reason: DeclineReason::Governance }, "A. Bird", None);
    let asked = |approver: &str, again| ApproveArgs {
        study: "s".into(),
        approver: approver.into(),
        again,
        bindings: None,
        data: None,
    };
    let check = |before: &Approval, asked: &ApproveArgs, expected: Result<bool, &str>| match (
        approved_already(before, asked, None),
        expected,
    ) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(failure), Err(part)) => {
            assert_eq!(failure.kind.exit_code(), 1);
            assert!(failure.message.starts_with("approve.again: ") && failure.message.contains(part));
        }
        (found, _) => panic!("{found:?}"),
    };
    check(&yes, &asked("A. Bird", false), Ok(true));
    check(&yes, &asked("C. Fox", false), Err("approved by A. Bird at 20"));
    check(&yes, &asked("C. Fox", false), Err("--again"));
    check(&yes, &asked("C. Fox", true), Ok(false));
    check(&no, &asked("C. Fox", false), Ok(false));
    // Whoever signs again names who signed before, and how.
    let again = signed(Decision::Approve, "C. Fox", Some(&no));
    let replaced = again.replaces.expect("there was one");
    assert_eq!(
        (replaced.approver.as_str(), replaced.decision, replaced.time),
        ("A. Bird", no.decision, no.time)
    );
}

#[test]
fn the_file_says_its_own_id() {
    let study = crate::testing::study(&[]);
    assert_eq!(check_id(&study, study.id.as_str()), Ok(()));
    let refused = check_id(&study, "something-else").expect_err("another id");
    assert!(refused.kind.exit_code() == 1 && refused.message.starts_with("study.id:"), "{refused}");
}

#[test]
fn studies_are_found_by_id_or_digest() {
    let listed = |id: &str, bytes: &[u8]| Listed {
        digest: Digest::of(bytes),
        id: id.into(),
        title: String::new(),
        state: "published".into(),
        decision: String::new(),
    };
    let studies = [listed("a", b"1"), listed("b", b"2"), listed("b", b"3")];
    assert_eq!(find(&studies, "a"), Ok(Digest::of(b"1")));
    assert_eq!(find(&studies, "b").expect_err("two").kind.exit_code(), 2);
    assert_eq!(find(&studies, "c").expect_err("none").kind.exit_code(), 1);
    let digest = Digest::of(b"1");
    assert_eq!(as_digest(&digest.to_string()), Some(digest));
    assert_eq!(as_digest(&digest.hex()), Some(digest));
    assert_eq!(as_digest("a"), None);
}

/// What is written is what is signed, and nothing of somebody's is overwritten.
#[test]
fn the_study_file_is_written_to_the_byte() {
    use crate::testing::{site, study as example, study_text};
    let dir = tempfile::tempdir().expect("folder");
    let home = Home::create(&dir.path().join("agent"), site(0)).expect("made").home;
    let (study, text) = (example(&[]), study_text(&[]));
    approval::keep_study(&home, study.digest, text.as_bytes()).expect("kept");
    let out = dir.path().join("study.toml");
    let write = || write_new(&out, &approval::kept_bytes(&home, &study.digest).expect("kept"));
    write().expect("a new file");
    assert_eq!(Digest::of(&std::fs::read(&out).expect("written")), study.digest);
    write().expect("the same once more");
    std::fs::write(&out, "somebody's own").expect("written");
    let failure = write().expect_err("another file");
    assert!(failure.message.contains("--out") && failure.message.contains("is not this study"), "{failure}");
    assert_eq!(std::fs::read(&out).expect("there"), b"somebody's own");
    // Nor are bytes handed out that changed here.
    std::fs::write(home.study_dir(&study.digest).join("study.toml"), "changed").expect("written");
    assert!(approval::kept_bytes(&home, &study.digest).is_err());
}
