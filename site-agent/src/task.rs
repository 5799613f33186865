//! What to do about each task, decided before anything happens: a plain function of the study, the
//! policy, the ledger and the time. No disk, socket, entropy or data in here, so that every crash
//! point and every lie of a coordinator can be played through in a test.
//!
//! Invariants: nothing is computed without a reserve made for it; a slot that has a committed output
//! gets those bytes again and never a second output; a request that the ledger's rules or the
//! policy forbid is refused by name.

pub mod sums;

use crate::policy::{Own, Policy, Violation, check_participants, decide};
use consilium_common::id::Digest;
use consilium_common::key::PublicKey;
use consilium_common::ledger::entry::{Body, Participant, TRAINING};
use consilium_common::ledger::rules::{Outcome, Slot, State, StudyRecord};
use consilium_common::model::blob::ModelHeader;
use consilium_common::protocol::{Approval, Decision, Start};
use consilium_common::signed::{Signed, Verified};
use consilium_common::study::{Mode, Study, earmarks};
use consilium_common::time::Time;

/// A request that this site does not fulfil. The rule's name is public (coordinator and ledger see
/// it), the reason stays in the site's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {why}")]
pub struct Refusal {
    /// As `policy.steps_max`.
    pub rule: &'static str,
    /// What was asked and what is allowed.
    pub why: String,
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self { rule: violation.rule, why: violation.to_string() }
    }
}

/// What a decision looks at.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The study, from the exact bytes that this site approved.
    pub study: &'a Study,
    /// The hospital's policy now.
    pub policy: &'a Policy,
    /// The ledger.
    pub state: &'a State,
    /// This site.
    pub own: &'a Own,
    /// Now.
    pub now: Time,
}

/// The next thing to do for one output.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// It exists: send these bytes (again).
    Resend {
        /// Digest of the bytes in the outbox.
        output: Digest,
    },
    /// There is a reserve without an output. If this very process made it and has drawn no noise
    /// for it yet, go on with it; otherwise append [`interrupted`] and decide again.
    Unfinished {
        /// Its index in the ledger.
        reserve: u64,
    },
    /// Append this reserve or release, have it cosigned, and only then draw noise and compute.
    Burn(Box<Body>),
}

/// The entry that opens a study here, once its start was verified with the coordinator's key.
///
/// # Errors
/// The study was not approved here, the start does not fit it, an approval in it does not verify
/// with the roster's key, the participants are not those this site knows or fewer than the study
/// itself asks for, or the policy refuses.
pub fn open(
    facts: &Facts<'_>,
    start: &Verified<Start>,
    own_approval: &Signed<Approval>,
    coordinator: &PublicKey,
) -> Result<Body, Refusal> {
    let study = facts.study;
    let refuse = |rule, why: String| Err(Refusal { rule, why });
    if start.study != study.digest || start.coordinator != *coordinator {
        return refuse("study.start", "the start is for another study or coordinator".into());
    }
    let participants = verified_participants(study, start)?;
    let approved = own_approval.verify(&facts.own.key);
    let approved = approved.map_err(|e| Refusal { rule: "study.not_approved", why: e.to_string() })?;
    if approved.decision != Decision::Approve || approved.study != study.digest {
        return refuse("study.not_approved", "this site did not approve this study".into());
    }
    let mut started = start.approvals.iter().filter(|signed| signed.key == facts.own.key);
    if started
        .any(|signed| signed.verify(&facts.own.key).is_ok_and(|ours| ours.bindings != approved.bindings))
    {
        return refuse(
            "study.start",
            "it has this site's approval with another answer to the bindings than is kept here".into(),
        );
    }
    check_in_force(facts)?;
    let earmarks = earmarks(study);
    let violations = decide(study, &earmarks, facts.policy, facts.own, facts.state, facts.now);
    if let Some(violation) = violations.into_iter().next() {
        return Err(violation.into());
    }
    if let Some(violation) = check_participants(&participants, facts.policy, facts.own).into_iter().next() {
        return Err(violation.into());
    }
    let needed = study.privacy.training.quorum.max(study.disclosure.min_sites);
    if participants.len() < needed as usize {
        let why = format!("the start has {} sites, the study needs {needed}", participants.len());
        return refuse("study.min_sites", why);
    }
    sums::check_agreements(facts, &participants)?;
    Ok(Body::StudyOpen {
        study: study.digest,
        study_id: study.id.clone(),
        approval: own_approval.clone(),
        participants,
        delta: study.privacy.delta,
        earmarks,
    })
}

/// What to do about a round of training.
///
/// # Privacy
/// Looks at the request and the ledger only. Burns `local_steps` uses of the training earmark, one
/// per private step, before any of them is computed.
///
/// # Errors
/// The study is `distributed` or not open, the policy refuses, there is no such round, its output was made from
/// another model, or the earmark is spent.
pub fn train(facts: &Facts<'_>, round: u32, model: Digest) -> Result<Next, Refusal> {
    check_local(facts.study)?;
    let record = allowed(facts)?;
    let training = &facts.study.privacy.training;
    if round >= training.rounds {
        let why = format!("asked round {}, the study has {}", u64::from(round) + 1, training.rounds);
        return Err(Refusal { rule: "study.rounds", why });
    }
    let earmark = record
        .earmark_named(TRAINING)
        .ok_or_else(|| Refusal { rule: "study.earmarks", why: "the study has no training earmark".into() })?;
    let count = u64::from(training.local_steps);
    next(facts, record, Slot::Round(round), earmark, count, model, |first| Body::Reserve {
        study: facts.study.digest,
        earmark,
        first,
        count,
        round,
        model,
    })
}

/// What to do about the evaluation of a model: for each grouping, in the study's order.
///
/// # Privacy
/// As [`train`]: one use of a grouping's earmark for its histogram.
///
/// # Errors
/// As [`train`].
pub fn evaluate(facts: &Facts<'_>, model: Digest) -> Result<Vec<(u32, Next)>, Refusal> {
    check_local(facts.study)?;
    let record = allowed(facts)?;
    let groupings = (0_u32..).zip(&record.earmarks).filter(|(_, earmark)| !earmark.is_training());
    groupings
        .map(|(earmark, _)| {
            let release =
                |first| Body::Release { study: facts.study.digest, earmark, first, count: 1, model };
            Ok((earmark, next(facts, record, Slot::Grouping(earmark), earmark, 1, model, release)?))
        })
        .collect()
}

/// The entry that ends a study here; `None` when there is nothing to end: it was closed before or
/// never opened.
#[must_use]
pub fn close(state: &State, study: &Digest) -> Option<Body> {
    let open = state.study(study).is_some_and(|record| record.closed.is_none());
    open.then(|| Body::Close { study: *study, reason: "finished".into() })
}

/// What a crash left behind, at the start of the program: reserves without an output and blocks with uses
/// left, to be aborted. They stay burnt; the next try uses the earmark's spare uses.
#[must_use]
pub fn recover(state: &State) -> Vec<Body> {
    let reserves = state.unfinished().into_iter().map(|(reserve, _)| reserve);
    let blocks = state.open_blocks().into_iter().map(|(reserve, _)| reserve);
    reserves.chain(blocks).map(interrupted).collect()
}

/// Checks a model that came over the wire against the task.
///
/// # Errors
/// It belongs to another study or round, has another shape, or is not the public initial model where
/// that is due.
pub fn check_model(
    study: &Study,
    header: &ModelHeader,
    values: &[i32],
    round: Option<u32>,
) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal { rule: "task.model", why: why.into() });
    if header.study != study.digest {
        return refuse("the model belongs to another study");
    }
    if header.architecture != study.architecture() {
        return refuse("the model has another shape than the study's");
    }
    match round {
        Some(round) if header.round != round => return refuse("the model belongs to another round"),
        None if header.round > study.privacy.training.rounds => {
            return refuse("the model belongs to a round that the study does not have");
        }
        _ => {}
    }
    if header.round == 0 && values != study.initial_parameters() {
        return refuse("the first model is not the study's public initial model");
    }
    Ok(())
}

/// The participants of a start, each approval verified with the roster's key.
fn verified_participants(study: &Study, start: &Start) -> Result<Vec<Participant>, Refusal> {
    let refuse = |why: String| Err(Refusal { rule: "study.start", why });
    let mut participants: Vec<Participant> = Vec::new();
    for signed in &start.approvals {
        let Some(listed) = study.sites.iter().find(|site| site.key == signed.key) else {
            return refuse(format!("an approval by {}, which is not on the roster", signed.key));
        };
        let approval = match signed.verify(&listed.key) {
            Ok(approval) => approval,
            Err(error) => return refuse(format!("the approval of {}: {error}", listed.name)),
        };
        if approval.site != listed.name
            || approval.study != study.digest
            || approval.decision != Decision::Approve
        {
            return refuse(format!("the approval of {} is for something else", listed.name));
        }
        if participants.iter().any(|before| before.site == listed.name) {
            return refuse(format!("{} is there twice", listed.name));
        }
        participants.push(Participant { site: listed.name.clone(), key: listed.key });
    }
    participants.sort_by(|a, b| a.site.cmp(&b.site));
    Ok(participants)
}

/// The study is open here, in force, and still allowed by policy and participants.
fn allowed<'a>(facts: &Facts<'a>) -> Result<&'a StudyRecord, Refusal> {
    let refuse = |rule, why: &str| Err(Refusal { rule, why: why.into() });
    let Some(record) = facts.state.study(&facts.study.digest) else {
        return refuse("study.not_open", "the study was never opened here");
    };
    if record.closed.is_some() {
        return refuse("study.closed", "the study is closed here");
    }
    check_in_force(facts)?;
    let violations = decide(facts.study, &record.earmarks, facts.policy, facts.own, facts.state, facts.now)
        .into_iter()
        .chain(check_participants(&record.participants, facts.policy, facts.own));
    match violations.into_iter().next() {
        Some(violation) => Err(violation.into()),
        None => Ok(record),
    }
}

/// A study whose updates are summed behind masks has none that leave alone: there is no way back to them.
fn check_local(study: &Study) -> Result<(), Refusal> {
    match study.privacy.mode {
        Mode::Local => Ok(()),
        Mode::Distributed { .. } => {
            let why = "asked for an output of this site alone, the study's mode is distributed".into();
            Err(Refusal { rule: "task.mode", why })
        }
    }
}

fn check_in_force(facts: &Facts<'_>) -> Result<(), Refusal> {
    let (today, from) = (facts.now.day(), facts.study.governance.valid_from);
    if today < from {
        let why = format!("the study is valid from {from}, today is {today}");
        return Err(Refusal { rule: "study.valid_from", why });
    }
    Ok(())
}

fn next(
    facts: &Facts<'_>,
    record: &StudyRecord,
    slot: Slot,
    earmark: u32,
    count: u64,
    model: Digest,
    burn: impl FnOnce(u64) -> Body,
) -> Result<Next, Refusal> {
    if let Some((reserve, before)) = facts.state.slot(&facts.study.digest, slot) {
        match before.outcome {
            Outcome::Open => return Ok(Next::Unfinished { reserve }),
            Outcome::Committed { output, .. } if before.model == model => return Ok(Next::Resend { output }),
            Outcome::Committed { .. } => {
                let why = format!("asked from model {model}, the output was made from {}", before.model);
                return Err(Refusal { rule: "task.other_model", why });
            }
            Outcome::Aborted => {}
        }
    }
    let (declared, first) = record.earmark(earmark).expect("the caller took it from this record");
    let left = declared.event.count().saturating_sub(first);
    if left < count {
        let why = format!("asked {count} uses of {}, {left} are left", declared.name);
        return Err(Refusal { rule: "study.earmark_spent", why });
    }
    Ok(Next::Burn(Box::new(burn(first))))
}

/// Gives a reserve up. What was burnt stays burnt.
#[must_use]
pub fn interrupted(reserve: u64) -> Body {
    Body::Abort { reserve, reason: "interrupted".into() }
}

#[cfg(test)]
mod tests;
