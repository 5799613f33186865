//! The rules of a ledger, as a state machine over its entries: the agent's own state is this fold,
//! and the auditor replays it. Nothing illegal can be written, and nothing illegal passes an audit.
//!
//! Invariants: a burnt use is never un-burnt; every reserve and release was earmarked under a
//! verified approval, within the caps of that moment; a slot (a study's round, or one of its
//! groupings) has at most one output, ever.

mod key_lost;
mod keys;
mod open;
mod recovered;
mod state;
mod sums;

pub use recovered::{LeftOpen, Recovery};
pub use state::{Burn, KEY_LOST, Outcome, Slot, State, StudyRecord};
pub use sums::{Block, Masked};

use super::entry::{Body, Caps, Earmark, Entry, InvalidEntry};
use super::merkle::leaf_hash;
use crate::id::{Digest, SiteName};
use crate::key::PublicKey;
use crate::time::Time;

/// The first ledger format. It replays for ever.
pub const SCHEMA: &str = "ledger/1";
/// As [`SCHEMA`]; and where a study has three or more participants, nothing leaves before another
/// participant has cosigned. New ledgers have this format.
pub const SCHEMA_WITNESSED: &str = "ledger/2";
/// The reasons of an `abort`.
pub const ABORT_REASONS: [&str; 2] = ["interrupted", "withdrawn"];
/// The reasons of a `close`.
pub const CLOSE_REASONS: [&str; 3] = ["finished", "withdrawn", "expired"];
/// Slack on an ε cap when an old `study_open` is replayed, relative: the same sum on another
/// platform's floating point may differ in the last digits. A new one gets none.
const REPLAY_SLACK: f64 = 1e-9;

/// An entry that may not be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}: {rule}: {what}")]
pub struct Illegal {
    /// Its index.
    pub entry: u64,
    /// The rule's name, as `ledger.previous`.
    pub rule: &'static str,
    /// What was expected and what came.
    pub what: String,
}

/// A rule and what broke it, before the index is known.
type Broken = (&'static str, String);

/// The state after all of these entries.
///
/// # Errors
/// The first entry that may not be there; an empty ledger has none that may be.
pub fn replay<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Result<State, Illegal> {
    let mut entries = entries.into_iter();
    let first = entries.next().ok_or_else(|| Illegal {
        entry: 0,
        rule: "ledger.genesis",
        what: "expected a genesis, the ledger is empty".to_owned(),
    })?;
    let mut state = State::begin(first.as_ref())?;
    for entry in entries {
        state.apply(entry.as_ref())?;
    }
    Ok(state)
}

/// The bytes of a ledger's first entry.
///
/// # Errors
/// The genesis breaks a rule, or `body` is no genesis.
pub fn first_entry(body: Body, now: Time) -> Result<Vec<u8>, Illegal> {
    let bytes = encode(0, &Entry { time: now, previous: Digest::of(b""), body })?;
    State::begin(&bytes)?;
    Ok(bytes)
}

impl State {
    /// The state after the first entry, given its exact bytes.
    ///
    /// # Errors
    /// It is no legal genesis.
    pub fn begin(bytes: &[u8]) -> Result<Self, Illegal> {
        let at = |(rule, what)| Illegal { entry: 0, rule, what };
        let entry = decode(0, bytes)?;
        if entry.previous != Digest::of(b"") {
            return Err(at(("ledger.previous", "the first entry follows nothing".to_owned())));
        }
        let Body::Genesis { schema, site, dataset, key, unit, neighbours, software, caps } = entry.body
        else {
            return Err(at(("ledger.genesis", "expected a genesis as the first entry".to_owned())));
        };
        check_genesis([&schema, &unit, &neighbours], &site, &dataset, &software).map_err(at)?;
        check_caps(&caps).map_err(at)?;
        Ok(Self::new(entry.time, leaf_hash(bytes), (site, dataset, key, schema == SCHEMA_WITNESSED), caps))
    }

    /// Applies the next entry, given its exact bytes. On an error nothing has changed.
    ///
    /// # Errors
    /// The entry may not be there.
    pub fn apply(&mut self, bytes: &[u8]) -> Result<Entry, Illegal> {
        let entry = decode(self.size(), bytes)?;
        self.check(&entry, REPLAY_SLACK).map_err(|(rule, what)| Illegal {
            entry: self.size(),
            rule,
            what,
        })?;
        self.record(&entry, leaf_hash(bytes));
        Ok(entry)
    }

    /// The bytes of the next entry, to be kept durably and then applied. Changes nothing.
    ///
    /// # Errors
    /// The entry would break a rule.
    ///
    /// # Panics
    /// Never: an entry that keeps the rules is read as it was written.
    pub fn decide(&self, body: Body, now: Time) -> Result<Vec<u8>, Illegal> {
        let entry = Entry { time: now, previous: self.head(), body };
        self.check(&entry, 0.0).map_err(|(rule, what)| Illegal { entry: self.size(), rule, what })?;
        let bytes = encode(self.size(), &entry)?;
        // What was checked is what will be read.
        assert_eq!(decode(self.size(), &bytes).as_ref(), Ok(&entry), "an entry is read as it was written");
        Ok(bytes)
    }

    fn check(&self, entry: &Entry, slack: f64) -> Result<(), Broken> {
        if entry.previous != self.head() {
            return broken("ledger.previous", format!("expected {}, came {}", self.head(), entry.previous));
        }
        if entry.time < self.time() {
            return broken(
                "ledger.time",
                format!("{} is before the last entry's {}", entry.time, self.time()),
            );
        }
        match &entry.body {
            Body::Genesis { .. } => broken("ledger.genesis", "only the first entry is a genesis".to_owned()),
            Body::PolicyChange { caps } => check_caps(caps),
            Body::KeyChange { key, by_old, by_new } => keys::check(self, *key, by_old, by_new),
            Body::KeyLost { key, split, checkpoint, by_new, endorsements } => {
                key_lost::check(self, (*key, *split), checkpoint, by_new, endorsements)
            }
            Body::StudyOpen { study, study_id, approval, participants, delta, earmarks } => {
                let open = open::Open { study, study_id, approval, participants, delta: *delta, earmarks };
                open.check(self, entry.time, slack)
            }
            Body::DatasetVersion { study, .. } | Body::CohortVersion { study, .. } => {
                self.open_study(study).map(|_| ())
            }
            Body::Reserve { study, earmark, first, count, round, .. } => {
                self.check_burn(study, *earmark, *first, *count, Slot::Round(*round))
            }
            Body::Release { study, earmark, first, count, .. } => {
                self.check_burn(study, *earmark, *first, *count, Slot::Grouping(*earmark))
            }
            Body::Commit { reserve, .. } => self.check_unfinished("ledger.commit", *reserve),
            Body::ReserveBlock { study, earmark, first, count } => {
                self.check_uses(study, *earmark, *first, *count).map(|_| ())
            }
            Body::CommitSum { reserve, index, step, attempt, .. } => {
                self.check_commit_sum(*reserve, *index, (*step, *attempt))
            }
            Body::Sum { commit, survivors, .. } => self.check_sum(*commit, survivors),
            Body::Abort { reserve, reason } => {
                check_reason("ledger.abort", reason, &ABORT_REASONS)?;
                match self.block(*reserve) {
                    Some(block) => self.check_block("ledger.abort", *reserve, block),
                    None => self.check_unfinished("ledger.abort", *reserve),
                }
            }
            Body::Recovered { entries } => self.check_recovered(*entries),
            Body::Refusal { rule, study, count } => self.check_refusal(entry.time, rule, *study, *count),
            Body::Close { study, reason } => {
                check_reason("ledger.close", reason, &CLOSE_REASONS)?;
                self.open_study(study).map(|_| ())
            }
        }
    }

    fn check_burn(
        &self,
        study: &Digest,
        earmark: u32,
        first: u64,
        count: u64,
        slot: Slot,
    ) -> Result<(), Broken> {
        let declared = self.check_uses(study, earmark, first, count)?;
        if declared.is_training() != matches!(slot, Slot::Round(_)) {
            return broken(
                "ledger.earmark",
                format!("earmark {earmark} ({}) is of the other kind", declared.name),
            );
        }
        match self.slot(study, slot).map(|(index, burn)| (index, burn.outcome)) {
            None | Some((_, Outcome::Aborted)) => Ok(()),
            Some((index, Outcome::Open)) => broken(
                "ledger.output",
                format!("entry {index} for the same output is neither committed nor aborted"),
            ),
            Some((index, Outcome::Committed { .. })) => {
                broken("ledger.output", format!("entry {index} for the same output is committed already"))
            }
        }
    }

    /// The uses are the next of an earmark of an open study.
    fn check_uses(&self, study: &Digest, earmark: u32, first: u64, count: u64) -> Result<&Earmark, Broken> {
        let Some((declared, burnt)) = self.open_study(study)?.earmark(earmark) else {
            return broken("ledger.earmark", format!("the study has no earmark {earmark}"));
        };
        if first != burnt {
            return broken(
                "ledger.burn",
                format!("the next use of {} is {burnt}, came {first}", declared.name),
            );
        }
        let total = declared.event.count();
        if count == 0 || first.checked_add(count).is_none_or(|end| end > total) {
            let left = total - burnt;
            return broken("ledger.burn", format!("{count} uses of {}, {left} are left", declared.name));
        }
        Ok(declared)
    }

    fn check_unfinished(&self, rule: &'static str, reserve: u64) -> Result<(), Broken> {
        let Some(burn) = self.burn(reserve) else {
            return broken(rule, format!("entry {reserve} is no reserve or release"));
        };
        self.open_study(&burn.study)?;
        match burn.outcome {
            Outcome::Open => Ok(()),
            Outcome::Committed { .. } => broken(rule, format!("entry {reserve} is committed already")),
            Outcome::Aborted => broken(rule, format!("entry {reserve} is aborted already")),
        }
    }

    fn check_refusal(&self, time: Time, rule: &str, study: Option<Digest>, count: u64) -> Result<(), Broken> {
        if !is_code(rule) {
            return broken(
                "ledger.refusal",
                "a rule's name is 1 to 80 of a-z, 0-9, '.', '_' and '-'".to_owned(),
            );
        }
        if count == 0 {
            return broken("ledger.refusal", "a refusal of no request".to_owned());
        }
        if self.has_refused(time.day(), rule, study) {
            return broken("ledger.refusal", format!("{rule} was already recorded for this study and day"));
        }
        Ok(())
    }

    fn open_study(&self, study: &Digest) -> Result<&StudyRecord, Broken> {
        match self.study(study) {
            None => broken("ledger.study", format!("study {study} was never opened")),
            Some(record) if record.closed.is_some() => {
                broken("ledger.study", format!("study {study} is closed"))
            }
            Some(record) => Ok(record),
        }
    }
}

fn check_genesis(
    [schema, unit, neighbours]: [&str; 3],
    site: &SiteName,
    dataset: &str,
    software: &str,
) -> Result<(), Broken> {
    // A format that is not known is held against the first.
    let expected = if schema == SCHEMA_WITNESSED { SCHEMA_WITNESSED } else { SCHEMA };
    for (what, found, expected) in
        [("schema", schema, expected), ("unit", unit, "person"), ("neighbours", neighbours, "add_remove_one")]
    {
        if found != expected {
            return broken("ledger.genesis", format!("{what}: expected {expected}, came {found:?}"));
        }
    }
    if !is_code(dataset) {
        return broken(
            "ledger.genesis",
            format!("{site}: a dataset's name is 1 to 80 of a-z, 0-9, '.', '_' and '-'"),
        );
    }
    if software.is_empty() || software.len() > 80 || !software.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return broken("ledger.genesis", "software: expected 1 to 80 printable characters".to_owned());
    }
    Ok(())
}

fn check_caps(caps: &Caps) -> Result<(), Broken> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    for (name, value, fine) in [
        ("epsilon_total", caps.epsilon_total, positive(caps.epsilon_total)),
        ("epsilon_per_study", caps.epsilon_per_study, positive(caps.epsilon_per_study)),
        (
            "epsilon_per_year",
            caps.epsilon_per_year.unwrap_or(1.0),
            caps.epsilon_per_year.is_none_or(positive),
        ),
        ("delta", caps.delta, positive(caps.delta) && caps.delta < 1.0),
        ("noise_multiplier_min", caps.noise_multiplier_min, positive(caps.noise_multiplier_min)),
        (
            "sampling_rate_max",
            caps.sampling_rate_max,
            positive(caps.sampling_rate_max) && caps.sampling_rate_max <= 1.0,
        ),
    ] {
        if !fine {
            return broken("ledger.caps", format!("{name} = {value} is no cap"));
        }
    }
    Ok(())
}

fn check_reason(rule: &'static str, reason: &str, known: &[&str]) -> Result<(), Broken> {
    if known.contains(&reason) {
        return Ok(());
    }
    broken(rule, format!("expected one of {}, came {reason:?}", known.join(", ")))
}

/// Codes leave no room for anything about people.
fn is_code(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

fn broken<T>(rule: &'static str, what: String) -> Result<T, Broken> {
    Err((rule, what))
}

fn decode(index: u64, bytes: &[u8]) -> Result<Entry, Illegal> {
    Entry::from_bytes(bytes).map_err(|e| unreadable(index, &e))
}

fn encode(index: u64, entry: &Entry) -> Result<Vec<u8>, Illegal> {
    entry.to_bytes().map_err(|e| unreadable(index, &e))
}

fn unreadable(entry: u64, error: &InvalidEntry) -> Illegal {
    Illegal { entry, rule: "ledger.entry", what: error.to_string() }
}

/// Whose ledger it is: site, dataset, the key that signs its checkpoints, and whether its format
/// promises another site's cosignature.
type Owner = (SiteName, String, PublicKey, bool);

#[cfg(test)]
mod tests;
