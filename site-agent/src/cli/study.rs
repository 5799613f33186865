//! `study list`, `show`, `approve`, `decline`.

use super::args::ApproveArgs;
use super::output::Output;
use super::{Clock, bindings, connect, in_runtime};
use crate::approval::{self, APPROVER_BYTES_MAX, KeptStudy};
use crate::data::{
    self, frozen,
    opt_out::{IdForm, OptOuts},
};
use crate::disk::OsDisk;
use crate::drive;
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
use std::path::Path;
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

pub(super) fn show(
    home: &Home,
    which: &str,
    (bindings, out): (Option<&Path>, Option<&Path>),
    output: &Output,
    clock: Clock,
) -> Result<(), Failure> {
    let site = Site::open(home)?;
    let mut kept = in_runtime(site.obtain(which))??;
    if let Some(path) = out {
        write_new(path, &approval::kept_bytes(home, &kept.study.digest)?)?;
    }
    if let Some(path) = bindings {
        kept.study = bindings::filled_in(&kept.study, path)?.0;
    }
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
    human.extend(bindings::lines(study));
    human.extend(strangers_note(&strangers));
    if let Some((decision, _)) = &kept.decision {
        human.push(format!("this site decided: {}", in_words(decision)));
    }
    human.extend(out.map(|path| format!("the study file:    {}", path.display())));
    let json = json!({
        "id": study.id,
        "digest": study.digest,
        "version": study.version,
        "title": study.title,
        "description": describe(study),
        "epsilon_training": cost.training,
        "epsilon_evaluation": cost.evaluation,
        "delta": site.policy.caps.delta,
        "bindings": bindings::json(study),
        "violations": violations,
        "unknown_sites": strangers.iter().map(|(name, key)| json!({"site": name, "key": key})).collect::<Vec<_>>(),
        "decision": kept.decision.as_ref().map(|(decision, _)| said(decision.decision)),
        "file": out,
    });
    output.result(&human.join("\n"), &json)?;
    Ok(approval::keep_shown(home, &study.digest, clock())?)
}

/// A file that is not there yet, or holds these very bytes.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot = |why: &str| Failure::input(format!("--out {}: {why}", path.display()));
    match std::fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            std::io::Write::write_all(&mut file, bytes).map_err(|error| cannot(&error.to_string()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => match std::fs::read(path) {
            Ok(there) if there == bytes => Ok(()),
            _ => Err(cannot("it is there already, and is not this study; give a new name")),
        },
        Err(error) => Err(cannot(&error.to_string())),
    }
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
    let answer = bindings::answer(&kept.study, asked.bindings.as_deref(), before.map(|(before, _)| before))?;
    if let Some((before, signed)) = before
        && approved_already(before, asked, answer.text.as_deref())?
    {
        return site.send_again(&kept.study, before, signed, output);
    }
    let is_other = before.is_some_and(|(before, _)| before.bindings != answer.text);
    if is_other && site.state.study(&kept.study.digest).is_some() {
        return Err(Failure::refused(
            "study.open: the study has started here, by the answer to its bindings that was signed before",
        ));
    }
    let study = &answer.study;
    let source = asked.data.as_deref().or(site.config.data.as_deref());
    if let Some(path) = source {
        data::check_columns(path, study)?;
    }
    OptOuts::default().refresh(&site.policy.opt_outs, IdForm::of(study), Instant::now())?;
    let mut violations = site.violations(study, clock());
    violations.extend(site.strangers(study).into_iter().map(unknown_site));
    if !violations.is_empty() {
        return Err(Failure::violations(&violations));
    }
    match source {
        Some(path) => site.freeze(path, study, output, clock())?,
        None => output.note(
            "no data are named in agent.toml, nor by --data: the study's examples are made when `serve` starts, or at its first \
             task, whose answer then shows about how long that took (docs/THREATS.md, Timing)",
        ),
    }
    let before = before.map(|(before, _)| before);
    let by = (Decision::Approve, asked.approver.as_str());
    site.decide(study, by, answer.text.as_deref(), before, output, clock())
}

/// Whether the approval that is kept is the one that is asked for, and only has to be sent.
///
/// # Errors
/// Somebody else approved, or another answer to the study's bindings: nobody's signature is taken away in passing.
fn approved_already(before: &Approval, asked: &ApproveArgs, bindings: Option<&str>) -> Result<bool, Failure> {
    if before.decision != Decision::Approve || asked.again {
        return Ok(false);
    }
    if before.approver == asked.approver && before.bindings.as_deref() == bindings {
        return Ok(true);
    }
    if before.approver == asked.approver {
        return Err(Failure::refused(format!(
            "approve.again: this site has {} these bytes with another answer to the study's bindings; nothing was signed or \
             sent. To sign this one in its place add --again: the new approval will name the one before",
            in_words(before)
        )));
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
    site.decide(&kept.study, (Decision::Decline { reason }, approver), None, before, output, clock())?;
    // What an approval before froze is for nothing any more.
    let snapshot = home.snapshot_path(&kept.study.digest);
    frozen::remove(&OsDisk, &snapshot)
        .map_err(|error| Failure::fault(format!("{}: {error}", snapshot.display())))?;
    Ok(())
}

/// What this site fills in, ready to be written on.
pub(super) fn template(home: &Home, which: &str, output: &Output) -> Result<(), Failure> {
    let kept = in_runtime(Site::open(home)?.obtain(which))??;
    bindings::print_template(&kept.study, output)
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

    /// The study's examples, before the coordinator can ask for anything made from them.
    fn freeze(&self, source: &Path, study: &Study, output: &Output, now: Time) -> Result<(), Failure> {
        let now = now.max(self.state.time());
        if drive::freeze_ahead(self.home, &OsDisk, study, source, now)? {
            output.note("the study's examples were made and frozen; see: site-agent data snapshot list");
        }
        Ok(())
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
        bindings: Option<&str>,
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
        let by = (decision, approver);
        let signed = approval::sign_over(study, &self.own.site, by, bindings, now, &key, before);
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
            human.extend(bindings::lines(study));
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
        "bindings": made.bindings,
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
mod tests;
