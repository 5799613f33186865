//! `study list`, `show`, `approve`, `decline`.

use super::args::ApproveArgs;
use super::output::Output;
use super::{Clock, connect, in_runtime};
use crate::approval::{self, APPROVER_BYTES_MAX, KeptStudy};
use crate::data::{self, opt_out::OptOuts};
use crate::failure::Failure;
use crate::home::{Config, Home};
use crate::ledger_view::LedgerView;
use crate::link::{CallError, Link, Listed};
use crate::policy::{Own, Policy, Violation, decide, epsilon};
use consilium_common::id::Digest;
use consilium_common::key::PublicKey;
use consilium_common::ledger::entry::Role;
use consilium_common::ledger::rules::State;
use consilium_common::protocol::{Approval, Decision, DeclineReason};
use consilium_common::signed::Signed;
use consilium_common::study::{Study, describe, earmarks};
use consilium_common::time::Time;
use serde_json::{Value, json};
use std::time::Instant;

pub(super) fn list(home: &Home, output: &Output) -> Result<(), Failure> {
    in_runtime(async {
        let config = home.config()?;
        let (mut link, _) = connect(home, &config).await?;
        let studies = link.list_studies().await?;
        let row = |study: &Listed| {
            let decision = if study.decision.is_empty() { "not decided" } else { &study.decision };
            [&study.id, &study.digest.to_string(), &study.state, decision, &study.title]
                .map(Into::into)
                .to_vec()
        };
        let rows: Vec<Vec<String>> = studies.iter().map(row).collect();
        output.table(&["id", "digest", "state", "this site", "title"], &rows, &json!({ "studies": studies }))
    })?
}

pub(super) fn show(home: &Home, which: &str, output: &Output, clock: Clock) -> Result<(), Failure> {
    let site = Site::open(home)?;
    let kept = in_runtime(site.obtain(which))??;
    let study = &kept.study;
    let violations = site.violations(study, clock());
    let cost = site.cost(study);
    let strangers = site.strangers(study);
    let mut human = vec![
        describe(study),
        format!("exact bytes:       {}", study.digest),
        format!(
            "cost here:         epsilon {:.3} for training people, {:.3} for evaluation people, at the policy's delta {:e}",
            cost.training, cost.evaluation, site.policy.caps.delta
        ),
    ];
    human.push(match &violations[..] {
        [] => "this site's policy: allows it".into(),
        some => format!(
            "this site's policy: does not allow it\n{}",
            some.iter().map(|violation| format!("  {violation}")).collect::<Vec<_>>().join("\n")
        ),
    });
    human.extend(strangers_note(&strangers));
    if let Some((decision, _)) = &kept.decision {
        human.push(format!("this site decided: {}", in_words(decision)));
    }
    let json = json!({
        "id": study.id,
        "digest": study.digest,
        "version": study.version,
        "title": study.title,
        "description": describe(study),
        "epsilon_training": cost.training,
        "epsilon_evaluation": cost.evaluation,
        "delta": site.policy.caps.delta,
        "violations": violations,
        "unknown_sites": strangers.iter().map(|(name, key)| json!({"site": name, "key": key})).collect::<Vec<_>>(),
        "decision": kept.decision.as_ref().map(|(decision, _)| said(decision.decision)),
    });
    output.result(&human.join("\n"), &json)?;
    Ok(approval::keep_shown(home, &study.digest, clock())?)
}

pub(super) fn approve(
    home: &Home,
    asked: &ApproveArgs,
    output: &Output,
    clock: Clock,
) -> Result<(), Failure> {
    let site = Site::open(home)?;
    let kept = match as_digest(&asked.study) {
        Some(digest) => in_runtime(site.kept_or_fetched(&digest, None))??,
        None => shown(home, &asked.study, &site.own.key)?,
    };
    let before = kept.decision.as_ref().map(|(before, signed)| (&**before, signed));
    if let Some((before, signed)) = before
        && approved_already(before, asked)?
    {
        return site.send_again(&kept.study, before, signed, output);
    }
    if let Some(path) = &site.config.data {
        data::check_columns(path, &kept.study)?;
    }
    OptOuts::default().refresh(&site.policy.opt_outs, Instant::now())?;
    let mut violations = site.violations(&kept.study, clock());
    violations.extend(site.strangers(&kept.study).into_iter().map(unknown_site));
    if !violations.is_empty() {
        return Err(Failure::violations(&violations));
    }
    let before = before.map(|(before, _)| before);
    site.decide(&kept.study, (Decision::Approve, &asked.approver), before, output, clock())
}

/// Whether the approval that is kept is the one that is asked for, and only has to be sent.
///
/// # Errors
/// Somebody else approved: nobody's signature is taken away in passing.
fn approved_already(before: &Approval, asked: &ApproveArgs) -> Result<bool, Failure> {
    if before.decision != Decision::Approve || asked.again {
        return Ok(false);
    }
    if before.approver == asked.approver {
        return Ok(true);
    }
    Err(Failure::refused(format!(
        "approve.again: this site has {} these bytes; nothing was signed or sent. To sign in their place add --again: \
         the new approval will name theirs",
        in_words(before)
    )))
}

/// `approved by Dr A. Bird at 2027-03-01T09:00:00.000Z`.
fn in_words(decision: &Approval) -> String {
    let by = if decision.approver.is_empty() { "nobody named" } else { &decision.approver };
    format!("{} by {by} at {}", said(decision.decision), decision.time)
}

pub(super) fn decline(
    home: &Home,
    which: &str,
    reason: DeclineReason,
    approver: &str,
    output: &Output,
    clock: Clock,
) -> Result<(), Failure> {
    let site = Site::open(home)?;
    let kept = in_runtime(site.obtain(which))??;
    if site.state.study(&kept.study.digest).is_some() {
        return Err(Failure::refused("study.open: the study has started here, and its budget is earmarked"));
    }
    let before = kept.decision.as_ref().map(|(before, _)| &**before);
    site.decide(&kept.study, (Decision::Decline { reason }, approver), before, output, clock())
}

/// What a decision at this site looks at.
struct Site<'a> {
    home: &'a Home,
    config: Config,
    policy: Policy,
    own: Own,
    state: State,
}

struct Cost {
    training: f64,
    evaluation: f64,
}

impl<'a> Site<'a> {
    fn open(home: &'a Home) -> Result<Self, Failure> {
        let config = home.config()?;
        let own = Own { site: config.site.clone(), key: home.ledger_key()?.public() };
        let state = LedgerView::read(home)?.state;
        Ok(Self { home, policy: home.policy()?, config, own, state })
    }

    /// The study by id or digest: kept here, or else fetched, checked and kept.
    async fn obtain(&self, which: &str) -> Result<KeptStudy, Failure> {
        let digest = match as_digest(which) {
            Some(digest) => digest,
            None => {
                let (mut link, _) = connect(self.home, &self.config).await?;
                let digest = find(&link.list_studies().await?, which)?;
                let kept = self.kept_or_fetched(&digest, Some(link)).await?;
                check_id(&kept.study, which)?;
                return Ok(kept);
            }
        };
        self.kept_or_fetched(&digest, None).await
    }

    async fn kept_or_fetched(&self, digest: &Digest, link: Option<Link>) -> Result<KeptStudy, Failure> {
        if let Some(kept) = approval::kept(self.home, digest, &self.own.key)? {
            return Ok(kept);
        }
        let mut link = match link {
            Some(link) => link,
            None => connect(self.home, &self.config).await?.0,
        };
        let bytes = link.fetch_study(digest).await?;
        let study = approval::keep_study(self.home, *digest, &bytes)?;
        Ok(KeptStudy { study, decision: None })
    }

    fn violations(&self, study: &Study, now: Time) -> Vec<Violation> {
        decide(study, &earmarks(study), &self.policy, &self.own, &self.state, now)
    }

    fn cost(&self, study: &Study) -> Cost {
        let earmarks = earmarks(study);
        let cost = |role: Role| epsilon(&role.events(&earmarks), self.policy.caps.delta);
        Cost { training: cost(Role::Training), evaluation: cost(Role::Evaluation) }
    }

    /// Sites on the roster that the policy does not know yet; the study cannot start here with them.
    fn strangers(&self, study: &Study) -> Vec<(String, String)> {
        let unknown = |site: &&consilium_common::study::RosterSite| {
            site.name != self.own.site && !self.policy.known_sites.contains_key(&site.name)
        };
        study.sites.iter().filter(unknown).map(|site| (site.name.to_string(), site.key.to_string())).collect()
    }

    /// Sends a decision. One that is refused (the study has started) must not count here.
    fn send(&self, signed: &Signed<Approval>) -> Result<(), Failure> {
        in_runtime(async {
            let (mut link, _) = connect(self.home, &self.config).await?;
            match link.submit_approval(signed).await {
                // The rule is for the person who decides; the call's name and code are not.
                Err(CallError::Refused { message, .. }) => {
                    Err(Failure::refused(format!("the coordinator does not take the decision: {message}")))
                }
                sent => sent.map_err(Failure::from).map(drop),
            }
        })?
    }

    /// The decision that is kept here once more, to a coordinator that may have lost it; nothing new is signed.
    fn send_again(
        &self,
        study: &Study,
        before: &Approval,
        signed: &Signed<Approval>,
        output: &Output,
    ) -> Result<(), Failure> {
        self.send(signed)?;
        let human = format!(
            "already {}: {} version {}\nexact bytes:       {}\nthe same signature was sent again",
            in_words(before),
            study.id,
            study.version,
            study.digest
        );
        output.result(&human, &decision_json(study, before))
    }

    /// Signs, sends, then keeps durably. Sending again after a failure is the same command again.
    fn decide(
        &self,
        study: &Study,
        (decision, approver): (Decision, &str),
        before: Option<&Approval>,
        output: &Output,
        now: Time,
    ) -> Result<(), Failure> {
        if approver.len() > APPROVER_BYTES_MAX || approver.chars().any(char::is_control) {
            return Err(Failure::input(format!(
                "--approver: expected at most {APPROVER_BYTES_MAX} bytes of printable text"
            )));
        }
        let key = self.home.ledger_key()?;
        let signed = approval::sign_over(study, &self.own.site, (decision, approver), now, &key, before);
        // The coordinator first: a decision that it refuses (the study has started) must not count here.
        // A crash in between is mended by deciding again.
        self.send(&signed)?;
        approval::keep_decision(self.home, &study.digest, &signed)?;
        let mut human = vec![
            format!("{} {} version {}: {}", said(decision), study.id, study.version, study.title),
            format!("exact bytes:       {}", study.digest),
        ];
        if decision == Decision::Approve {
            let cost = self.cost(study);
            let sites: Vec<&str> = study.sites.iter().map(|site| site.name.as_str()).collect();
            human.push(format!("for:               {}", study.intended_use.statement.trim()));
            human.push(format!("with:              {}", sites.join(", ")));
            human.push(format!(
                "cost here:         at most epsilon {:.3} for training people, {:.3} for evaluation people, at delta {:e}",
                cost.training, cost.evaluation, self.policy.caps.delta
            ));
            human.push(format!("approved by:       {approver}"));
        }
        human.extend(before.map(|before| format!("replaces:          {}", in_words(before))));
        let made: Approval = serde_json::from_str(&signed.statement).expect("it was made here");
        output.result(&human.join("\n"), &decision_json(study, &made))
    }
}

fn decision_json(study: &Study, made: &Approval) -> Value {
    let replaces = made.replaces.as_ref().map(|replaced| {
        json!({"decision": said(replaced.decision), "approver": replaced.approver, "time": replaced.time})
    });
    json!({
        "id": study.id, "version": study.version, "title": study.title, "digest": study.digest,
        "decision": said(made.decision), "approver": made.approver, "time": made.time, "replaces": replaces,
    })
}

/// Why an approval waits for a telephone call: what is signed names these keys.
fn unknown_site((name, key): (String, String)) -> Violation {
    Violation {
        rule: "policy.known_sites",
        asked: format!("{name} with {key}"),
        allowed: "no such site".into(),
        change: format!(
            "compare the key with {name} itself, then write under [known_sites] in site-policy.toml: {name} = \
             \"{key}\""
        ),
    }
}

fn strangers_note(strangers: &[(String, String)]) -> Option<String> {
    if strangers.is_empty() {
        return None;
    }
    let lines: Vec<String> = strangers.iter().map(|(name, key)| format!("  {name} = \"{key}\"")).collect();
    Some(format!(
        "before it can be approved, compare these keys with each hospital itself and put them under [known_sites] in \
         site-policy.toml:\n{}",
        lines.join("\n")
    ))
}

fn said(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approved",
        Decision::Decline { .. } => "declined",
    }
}

/// `sha256:` and 64 hex digits, or the 64 digits alone.
fn as_digest(which: &str) -> Option<Digest> {
    which.parse().or_else(|_| format!("sha256:{which}").parse()).ok()
}

/// What a person here was shown under an id: an approval by id is of those bytes, whatever the
/// coordinator lists under the id now.
fn shown(home: &Home, id: &str, own: &PublicKey) -> Result<KeptStudy, Failure> {
    approval::last_shown(home, id, own)?.ok_or_else(|| {
        Failure::refused(format!(
            "approve.shown: no study {id:?} was shown here; read it first: site-agent study show {id}"
        ))
    })
}

/// The coordinator's list is its word; the file is what is decided on.
fn check_id(study: &Study, listed: &str) -> Result<(), Failure> {
    if study.id.as_str() == listed {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "study.id: the coordinator lists {} as {listed:?}, the file itself says {:?}; ask the consortium",
        study.digest,
        study.id.as_str()
    )))
}

/// The one study with this id.
fn find(listed: &[Listed], id: &str) -> Result<Digest, Failure> {
    let found: Vec<&Listed> = listed.iter().filter(|study| study.id == id).collect();
    match found[..] {
        [one] => Ok(one.digest),
        [] => Err(Failure::refused(format!(
            "the coordinator lists no study {id:?} for this site; see: site-agent study list"
        ))),
        _ => {
            let digests: Vec<String> = found.iter().map(|study| format!("  {}", study.digest)).collect();
            Err(Failure::input(format!(
                "several studies have the id {id}; give a digest:\n{}",
                digests.join("\n")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
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
            let signed = approval::sign_over(&study, &site(0), (decision, approver), now(), &key(0), before);
            signed.verify(&key(0).public()).map(|verified| (*verified).clone()).expect("signed")
        };
        let yes = signed(Decision::Approve, "A. Bird", None);
        assert_eq!(yes.replaces, None);
        let no = signed(Decision::Decline { reason: DeclineReason::Governance }, "A. Bird", None);
        let asked =
            |approver: &str, again| ApproveArgs { study: "s".into(), approver: approver.into(), again };
        let check = |before: &Approval, asked: &ApproveArgs, expected: Result<bool, &str>| match (
            approved_already(before, asked),
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
}
