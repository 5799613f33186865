//! The hospital's decision on a study: signed over the digest of the exact bytes that a person here
//! was shown, with the ledger key.

use crate::files::{self, FileError};
use crate::home::Home;
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::protocol::{Approval, Decision, Replaced};
use consilium_common::signed::{InvalidStatement, Signed, Verified};
use consilium_common::study::bindings::fill_in;
use consilium_common::study::{self, Study};
use consilium_common::time::Time;

/// The largest study file, bytes (the study language has the same limit).
pub const STUDY_BYTES_MAX: u64 = 256 * 1024;
const DECISION_BYTES_MAX: u64 = 64 * 1024;
const SHOWN_BYTES_MAX: u64 = 64;
/// The longest name of an approver, bytes.
pub const APPROVER_BYTES_MAX: usize = 200;

/// What is kept of a study at this site.
#[derive(Debug)]
pub struct KeptStudy {
    /// Parsed from the exact bytes; its bindings as the kept approval fills them in.
    pub study: Study,
    /// This site's own decision, verified, if there is one.
    pub decision: Option<(Verified<Approval>, Signed<Approval>)>,
}

/// A kept study cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// Reading or writing failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are not those of this digest.
    #[error("expected the study {expected}, came {found}")]
    OtherBytes {
        /// Asked for.
        expected: Digest,
        /// The bytes' own.
        found: Digest,
    },
    /// The file has mistakes.
    #[error("the study file has mistakes:\n{0}")]
    Mistakes(#[from] study::Mistakes),
    /// The decision's signature does not verify.
    #[error("the kept decision: {0}")]
    Decision(#[from] InvalidStatement),
    /// What was signed is no answer to the study's bindings.
    #[error("the kept approval's answer to the study's bindings has mistakes:\n{0}")]
    Bindings(study::Mistakes),
}

/// Signs a decision on a study.
#[must_use]
pub fn sign(
    study: &Study,
    site: &SiteName,
    decision: Decision,
    approver: &str,
    now: Time,
    key: &SecretKey,
) -> Signed<Approval> {
    sign_over(study, site, (decision, approver), None, now, key, None)
}

/// As [`sign`], with the text of this site's answer to the study's bindings, and in the place of a decision that was signed before, if there is one: the new one names it, and so it is
/// in whatever the new one is in, the ledger included.
#[must_use]
pub fn sign_over(
    study: &Study,
    site: &SiteName,
    (decision, approver): (Decision, &str),
    bindings: Option<&str>,
    now: Time,
    key: &SecretKey,
    before: Option<&Approval>,
) -> Signed<Approval> {
    let replaces = before.map(|before| Replaced {
        decision: before.decision,
        time: before.time,
        approver: before.approver.clone(),
    });
    let approval = Approval {
        study: study.digest,
        study_id: study.id.clone(),
        site: site.clone(),
        decision,
        time: now,
        approver: approver.to_owned(),
        replaces,
        bindings: bindings.map(str::to_owned),
    };
    Signed::new(&approval, key)
}

/// Checks that `bytes` are those of `digest`, parses them, and keeps them exactly.
///
/// # Errors
/// Other bytes, mistakes in the file, or IO.
pub fn keep_study(home: &Home, digest: Digest, bytes: &[u8]) -> Result<Study, KeptError> {
    let found = Digest::of(bytes);
    if found != digest {
        return Err(KeptError::OtherBytes { expected: digest, found });
    }
    let study = study::parse(bytes)?;
    let dir = home.study_dir(&digest);
    files::create_private_folder(&dir)?;
    files::write(&dir.join("study.toml"), bytes)?;
    Ok(study)
}

/// Every study that is kept here, in no order.
///
/// # Errors
/// IO.
pub fn all_kept(home: &Home) -> Result<Vec<Digest>, FileError> {
    let dir = home.studies_dir();
    let mut digests = Vec::new();
    for item in std::fs::read_dir(&dir).map_err(FileError::io(&dir))? {
        let name = item.map_err(FileError::io(&dir))?.file_name();
        // Whatever else somebody put there is not ours to read.
        digests.extend(name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
    }
    Ok(digests)
}

/// Notes that a kept study was shown to a person here.
///
/// # Errors
/// IO.
pub fn keep_shown(home: &Home, study: &Digest, now: Time) -> Result<(), FileError> {
    files::write(&home.study_dir(study).join("shown"), now.to_string().as_bytes())
}

/// Of the kept studies with this id, the one that was shown last; `None` when none ever was.
///
/// # Errors
/// As [`kept`].
pub fn last_shown(home: &Home, id: &str, own: &PublicKey) -> Result<Option<KeptStudy>, KeptError> {
    let mut last: Option<(Time, KeptStudy)> = None;
    for digest in all_kept(home)? {
        let path = home.study_dir(&digest).join("shown");
        let shown: Time = match files::read_text(&path, SHOWN_BYTES_MAX) {
            Err(error) if error.is_absent() => continue,
            read => read?.parse().map_err(|_| FileError::malformed(&path, "a time"))?,
        };
        let Some(study) = kept(home, &digest, own)? else { continue };
        if study.study.id.as_str() == id && last.as_ref().is_none_or(|(before, _)| *before < shown) {
            last = Some((shown, study));
        }
    }
    Ok(last.map(|(_, study)| study))
}

/// Keeps this site's decision; durable on return, before it is sent.
///
/// # Errors
/// IO.
pub fn keep_decision(home: &Home, study: &Digest, decision: &Signed<Approval>) -> Result<(), FileError> {
    let text = serde_json::to_vec(decision).expect("an approval is plain data");
    files::write(&home.study_dir(study).join("decision.json"), &text)
}

/// The exact bytes of a study that is kept here.
///
/// # Errors
/// IO, or changed bytes.
pub fn kept_bytes(home: &Home, digest: &Digest) -> Result<Vec<u8>, KeptError> {
    let bytes = files::read(&home.study_dir(digest).join("study.toml"), STUDY_BYTES_MAX)?;
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(KeptError::OtherBytes { expected: *digest, found });
    }
    Ok(bytes)
}

/// What is kept of a study; `None` when it was never shown here. A decision under another key than the one in
/// force is none: no roster with the new key was decided on by it.
///
/// # Errors
/// IO, changed bytes, or a decision whose signature does not verify.
pub fn kept(home: &Home, digest: &Digest, own: &PublicKey) -> Result<Option<KeptStudy>, KeptError> {
    let dir = home.study_dir(digest);
    let bytes = match kept_bytes(home, digest) {
        Err(KeptError::File(error)) if error.is_absent() => return Ok(None),
        read => read?,
    };
    let study = study::parse(&bytes)?;
    let path = dir.join("decision.json");
    let decision = match files::read_text(&path, DECISION_BYTES_MAX) {
        Err(error) if error.is_absent() => None,
        read => {
            let signed: Signed<Approval> =
                serde_json::from_str(&read?).map_err(|_| FileError::malformed(&path, "a signed approval"))?;
            if signed.key == *own {
                let verified = signed.verify(own)?;
                if verified.study != *digest {
                    let found = verified.study;
                    return Err(KeptError::OtherBytes { expected: *digest, found });
                }
                Some((verified, signed))
            } else {
                None
            }
        }
    };
    let approved = decision.as_ref().filter(|(approval, _)| approval.decision == Decision::Approve);
    let study = match approved.and_then(|(approval, _)| approval.bindings.as_deref()) {
        Some(text) => fill_in(&study, text).map_err(KeptError::Bindings)?,
        None => study,
    };
    Ok(Some(KeptStudy { study, decision }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ANSWER, key, now, own, site, study_with_bindings};
    use consilium_common::study::bindings::InForce;

    #[test]
    fn the_kept_study_is_as_the_signed_text_fills_it_in() {
        let dir = tempfile::tempdir().expect("folder");
        let home = Home::create(&dir.path().join("agent"), site(0)).expect("made").home;
        let (text, own) = (study_with_bindings(), own().key);
        let study = keep_study(&home, Digest::of(text.as_bytes()), text.as_bytes()).expect("kept");
        let kept_forces = || -> Vec<InForce> {
            let kept = kept(&home, &study.digest, &own).expect("sound").expect("kept");
            kept.study.bindings().iter().map(|binding| binding.in_force.clone()).collect()
        };
        assert_eq!(kept_forces()[1], InForce::Unanswered, "nobody has decided");
        let decide = |decision, text: Option<&str>| {
            let signed = sign_over(&study, &site(0), (decision, "A. Bird"), text, now(), &key(0), None);
            keep_decision(&home, &study.digest, &signed).expect("kept");
            signed
        };
        let signed = decide(Decision::Approve, Some(ANSWER));
        let approval = signed.verify(&own).expect("signed");
        assert_eq!(approval.bindings.as_deref(), Some(ANSWER), "the exact text");
        let filled: Vec<InForce> = fill_in(&study, ANSWER)
            .expect("fits")
            .bindings()
            .iter()
            .map(|binding| binding.in_force.clone())
            .collect();
        assert_eq!(kept_forces(), filled);
        // What it says cannot be changed by anybody but who signed.
        let mut changed = signed.clone();
        changed.statement = changed.statement.replace("38004285", "38004286");
        assert_ne!(changed.statement, signed.statement);
        keep_decision(&home, &study.digest, &changed).expect("written");
        assert!(matches!(kept(&home, &study.digest, &own), Err(KeptError::Decision(_))));
        // A signed text that is no answer is never taken for the defaults.
        decide(Decision::Approve, Some("[binding.other]"));
        assert!(matches!(kept(&home, &study.digest, &own), Err(KeptError::Bindings(_))));
        decide(Decision::Decline { reason: consilium_common::protocol::DeclineReason::Other }, None);
        assert_eq!(kept_forces()[1], InForce::Unanswered);
    }

    #[test]
    fn an_approval_without_bindings_has_the_bytes_that_it_always_had() {
        let study = crate::testing::study(&[]);
        let signed = sign(&study, &site(0), Decision::Approve, "A. Bird", now(), &key(0));
        assert!(!signed.statement.contains("bindings"), "{}", signed.statement);
        let read: Approval = serde_json::from_str(&signed.statement).expect("reads");
        assert_eq!(read.bindings, None);
    }
}
