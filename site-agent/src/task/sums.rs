//! What to do about secure sums, decided before anything happens; as in [`super`], plain functions of
//! the study, the policy, the ledger and the time.
//!
//! Invariants: a site takes part only with sites that its own policy knows; nothing is computed for an
//! attempt that is not later than every one before it; the uses of a block that another process of this
//! site burnt are never taken up.

use super::{Facts, Refusal, allowed};
use consilium_common::evaluation::histogram::{self, Grouping};
use consilium_common::id::Digest;
use consilium_common::ledger::entry::{Body, Participant};
use consilium_common::ledger::rules::State;
use consilium_common::privacy::mechanism::Event;
use consilium_common::secagg::{self, Agreement, Slot};
use consilium_common::study::secure::{self, Summed};
use consilium_common::study::{Mode, RosterSite, Study, earmarks};

impl From<secagg::Refusal> for Refusal {
    fn from(refusal: secagg::Refusal) -> Self {
        Self { rule: refusal.rule(), why: refusal.to_string() }
    }
}

/// A use of a block that a masked vector may be committed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Index of the `reserve_block` entry.
    pub reserve: u64,
    /// Which use of the earmark.
    pub index: u64,
}

/// Whether this site takes part in the secure sums of a study at all.
///
/// # Errors
/// The study is not `distributed`, not open, or the policy refuses.
pub fn join(facts: &Facts<'_>) -> Result<(), Refusal> {
    check_distributed(facts.study)?;
    allowed(facts).map(|_| ())
}

/// What a session is for.
///
/// # Errors
/// The study does not release that grouping.
pub fn summed(study: &Study, grouping: Option<&str>) -> Result<Summed, Refusal> {
    let Some(name) = grouping else { return Ok(Summed::Training) };
    let known = (1_u32..).zip(study.groupings()).find(|(_, known)| known.as_str() == name);
    known.map(|(earmark, _)| Summed::Grouping(earmark)).ok_or_else(|| Refusal {
        rule: "study.grouping",
        why: "asked for a grouping that the study does not release".into(),
    })
}

/// What this site agrees to for one kind of sum: the study that it approved, the participants in its
/// ledger, and of them those under the keys that its policy knows.
///
/// # Errors
/// As [`join`]; a participant that the policy does not know; numbers that make no secure sum.
pub fn agreement(facts: &Facts<'_>, summed: Summed) -> Result<Agreement, Refusal> {
    let record = allowed(facts)?;
    agreement_of(facts, &record.participants, summed)
}

/// Whether an opened study's secure sums can be had with these participants: asked before it is opened.
///
/// # Errors
/// As [`agreement`].
pub(super) fn check_agreements(facts: &Facts<'_>, participants: &[Participant]) -> Result<(), Refusal> {
    if facts.study.privacy.mode == Mode::Local {
        return Ok(());
    }
    secure::all_summed(facts.study)
        .into_iter()
        .try_for_each(|summed| agreement_of(facts, participants, summed).map(|_| ()))
}

fn agreement_of(
    facts: &Facts<'_>,
    participants: &[Participant],
    summed: Summed,
) -> Result<Agreement, Refusal> {
    let Facts { study, policy, own, .. } = facts;
    let listed = |participant: &Participant| {
        let listed = study.site(&participant.site).filter(|site| site.key == participant.key);
        listed.ok_or_else(|| Refusal {
            rule: "study.roster",
            why: format!("{} takes part and is not on the roster with its key", participant.site),
        })
    };
    let sites: Vec<&RosterSite> = participants.iter().map(listed).collect::<Result<_, _>>()?;
    let mut known: Vec<_> = policy.known_sites.iter().map(|(site, key)| (site.clone(), *key)).collect();
    known.retain(|(site, _)| *site != own.site);
    known.push((own.site.clone(), own.key));
    let terms = secure::terms(study, &sites, summed)?;
    Ok(Agreement::of_known_sites(study.digest, secure::roster(&sites)?, terms, &known)?)
}

/// Whether secrets may be dealt for an attempt: it is of this study, and later than every attempt that
/// a masked vector was ever committed for.
///
/// # Errors
/// There is no such step, or the attempt, or a later one, was made already.
pub fn share(study: &Study, state: &State, summed: Summed, slot: Slot) -> Result<(), Refusal> {
    let rounds = study.privacy.training.rounds;
    match summed {
        Summed::Training if slot.step >= rounds => {
            let why = format!("asked {}, the study has {rounds}", summed.words(slot.step));
            return Err(Refusal { rule: "study.rounds", why });
        }
        Summed::Grouping(earmark) if slot.step != earmark => {
            let why = format!("asked step {} of {}", slot.step, Summed::Grouping(earmark).words(slot.step));
            return Err(Refusal { rule: "task.step", why });
        }
        _ => {}
    }
    if let Some((step, attempt)) = state.last_attempt(&study.digest, summed.earmark())
        && slot <= (Slot { step, attempt })
    {
        let asked = summed.attempt_words(slot.step, slot.attempt);
        let why = format!("asked {asked}, after {}", summed.attempt_words(step, attempt));
        return Err(Refusal { rule: "task.attempt", why });
    }
    Ok(())
}

/// Whether a masked vector may be made from this model for an attempt now: the study, the policy and the
/// participants still allow it, [`share`] does, and the step was not answered from another model before
/// (for all groupings there is one model). So a spare attempt buys the same sum again, no second one.
///
/// # Privacy
/// Looks at the request and the ledger only.
///
/// # Errors
/// As [`join`] and [`share`]; another model than before.
pub fn step(facts: &Facts<'_>, summed: Summed, slot: Slot, model: Digest) -> Result<(), Refusal> {
    join(facts)?;
    share(facts.study, facts.state, summed, slot)?;
    let training = Summed::Training.earmark();
    let mut before = facts.state.masked(&facts.study.digest).filter(|(_, masked)| match summed {
        Summed::Training => (masked.earmark, masked.step) == (training, slot.step),
        Summed::Grouping(_) => masked.earmark != training,
    });
    match before.find(|(_, masked)| masked.model != model) {
        Some((_, masked)) => {
            let why = format!("asked from model {model}, a masked vector was made from {}", masked.model);
            Err(Refusal { rule: "task.other_model", why })
        }
        None => Ok(()),
    }
}

/// The next uses of an earmark to burn: a block of them, no more than there are steps to come.
///
/// # Privacy
/// Each use pays for one attempt of one step, and is burnt before anything is computed on it.
///
/// # Errors
/// As [`join`]; the earmark is spent.
pub fn block(facts: &Facts<'_>, summed: Summed) -> Result<Body, Refusal> {
    check_distributed(facts.study)?;
    let (record, earmark) = (allowed(facts)?, summed.earmark());
    let (declared, first) = record.earmark(earmark).ok_or_else(|| Refusal {
        rule: "study.earmarks",
        why: format!("the study has no earmark {earmark}"),
    })?;
    let left = declared.event.count().saturating_sub(first);
    if left == 0 {
        let why = format!("every use of {} is burnt", declared.name);
        return Err(Refusal { rule: "study.earmark_spent", why });
    }
    let count =
        secure::block(facts.study, summed, left).min(steps_to_come(facts.study, facts.state, summed).max(1));
    Ok(Body::ReserveBlock { study: facts.study.digest, earmark, first, count })
}

/// How few uses may be left before the next block is burnt, while steps run: enough to hide the
/// cosignature, few enough that a crash loses little more than one block.
#[must_use]
pub fn low_water(study: &Study, summed: Summed) -> u64 {
    secure::block(study, summed, u64::MAX) / 4
}

/// Steps after the newest that a masked vector was committed for. An attempt that must be repeated comes
/// on top.
#[must_use]
pub fn steps_to_come(study: &Study, state: &State, summed: Summed) -> u64 {
    let last = state.last_attempt(&study.digest, summed.earmark());
    match (summed, last) {
        (Summed::Training, last) => {
            let done = last.map_or(0, |(step, _)| u64::from(step) + 1);
            u64::from(study.privacy.training.rounds).saturating_sub(done)
        }
        (Summed::Grouping(_), None) => 1,
        (Summed::Grouping(_), Some(_)) => 0,
    }
}

/// The uses of this earmark in blocks that `made_here` names, in order: the first of each block is the
/// one that may be committed on next. And how many there are.
pub fn uses(
    study: &Digest,
    state: &State,
    summed: Summed,
    made_here: impl Fn(u64) -> bool,
) -> (Option<Use>, u64) {
    let (mut next, mut left) = (None, 0);
    for (reserve, block) in state.blocks(study) {
        if block.earmark == summed.earmark()
            && made_here(reserve)
            && let Some(index) = block.next_use()
        {
            next = next.or(Some(Use { reserve, index }));
            left += block.first + block.count - index;
        }
    }
    (next, left)
}

/// A grouping's cells and the noise that the study declares for its release.
///
/// # Errors
/// The earmark is of another mechanism.
pub fn release(study: &Study, earmark: u32) -> Result<(Grouping, f64), Refusal> {
    let declared = earmarks(study).into_iter().nth(earmark as usize);
    let found = declared.and_then(|declared| {
        let grouping = histogram::groupings(study).into_iter().find(|g| g.name == declared.name)?;
        match declared.event {
            Event::Gaussian { noise_multiplier, .. } => Some((grouping, noise_multiplier)),
            _ => None,
        }
    });
    found.ok_or_else(|| Refusal {
        rule: "study.earmarks",
        why: format!("earmark {earmark} is no Gaussian release of a grouping"),
    })
}

fn check_distributed(study: &Study) -> Result<(), Refusal> {
    match study.privacy.mode {
        Mode::Distributed { .. } => Ok(()),
        Mode::Local => {
            let why = "asked for a secure sum, the study's mode is local".into();
            Err(Refusal { rule: "task.mode", why })
        }
    }
}

#[cfg(test)]
mod tests;
