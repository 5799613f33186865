//! What a site writes down: one entry per thing that matters to an auditor. Entries hold no private
//! data, no counts and no plain digests of data.
//!
//! An entry's exact bytes (one line of JSON) are the leaf of the Merkle tree. Old ledgers replay
//! for ever: a kind never changes meaning; new behaviour is a new kind.

mod quick;

use crate::id::{Digest, SiteName, StudyId};
use crate::key::PublicKey;
use crate::ledger::key_change::KeyChange;
use crate::ledger::key_loss::{Endorsement, KeyLoss, SplitKey};
use crate::privacy::mechanism::Event;
use crate::protocol::Approval;
use crate::signed::Signed;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// The largest entry, bytes (the length prefix of an entry bundle is 16 bits).
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// [`Earmark::name`] of training; every other name is a grouping.
pub const TRAINING: &str = "training";

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the agent wrote it; never before the entry before.
    pub time: Time,
    /// RFC 6962 leaf hash of the entry before; of nothing (`Digest::of(b"")`) for the first.
    pub previous: Digest,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// Bytes that are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// Longer than [`ENTRY_BYTES_MAX`].
    #[error("{found} bytes, an entry has at most {ENTRY_BYTES_MAX}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not one line of JSON of a known kind.
    #[error("not an entry: {0}")]
    Malformed(String),
    /// A key, or a form of a number, that this kind of entry does not have: it would be signed
    /// without being read.
    #[error("holds something that this kind of entry does not have")]
    Surplus,
}

impl Entry {
    /// The exact bytes of a new entry: one line of JSON without a line feed.
    ///
    /// # Errors
    /// Too long.
    ///
    /// # Panics
    /// Never: an entry is plain data.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvalidEntry> {
        let bytes = serde_json::to_vec(self).expect("an entry is plain data");
        if bytes.len() > ENTRY_BYTES_MAX {
            Err(InvalidEntry::TooLong { found: bytes.len() })
        } else {
            Ok(bytes)
        }
    }

    /// Reads an entry. Every key in it must be one that is read.
    ///
    /// # Errors
    /// Too long, no entry, or more in it than its kind has.
    ///
    /// # Panics
    /// Never: an entry is plain data.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidEntry> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(InvalidEntry::TooLong { found: bytes.len() });
        }
        quick::read(bytes).map_or_else(|| Self::from_json(bytes), Ok)
    }

    fn from_json(bytes: &[u8]) -> Result<Self, InvalidEntry> {
        let malformed =
            |e: serde_json::Error| InvalidEntry::Malformed(e.to_string().chars().take(200).collect());
        if bytes.contains(&b'\n') {
            return Err(InvalidEntry::Malformed("a line feed".to_owned()));
        }
        let entry: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        // As this version writes it: nothing is there that was not read. The common case, and quick.
        if serde_json::to_vec(&entry).is_ok_and(|written| written == bytes) {
            return Ok(entry);
        }
        // Serde ignores unknown keys of flattened kinds; comparing values, not bytes, leaves the
        // spelling of a number to the version that wrote it.
        let read = serde_json::to_value(&entry).expect("an entry is plain data");
        let written: serde_json::Value = serde_json::from_slice(bytes).map_err(malformed)?;
        if read == written { Ok(entry) } else { Err(InvalidEntry::Surplus) }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// The first entry, and only the first.
    Genesis {
        /// `ledger/1`, or `ledger/2`.
        schema: String,
        /// Whose ledger.
        site: SiteName,
        /// A random name for the dataset; says nothing of the data.
        dataset: String,
        /// Signs this ledger's checkpoints.
        key: PublicKey,
        /// `person`.
        unit: String,
        /// `add_remove_one`.
        neighbours: String,
        /// The program that wrote it, as `site-agent 0.1.0`.
        software: String,
        /// The hospital's caps at the start.
        caps: Caps,
    },
    /// The hospital changed its policy file.
    PolicyChange {
        /// The caps from now on.
        caps: Caps,
    },
    /// The ledger goes on under another key: see [`crate::ledger::key_change`].
    KeyChange {
        /// Signs this ledger's checkpoints, and this site's approvals, from here on.
        key: PublicKey,
        /// The statement, signed by the key that was in force.
        by_old: Signed<KeyChange>,
        /// The same statement, signed by the new key.
        by_new: Signed<KeyChange>,
    },
    /// The ledger goes on under another key although the one before is lost: see [`crate::ledger::key_loss`].
    /// Written on top of a copy that others kept, it ends whatever was open in it, as a `recovered` does, charges
    /// every earmark of the studies that were open in whole, and closes them.
    KeyLost {
        /// As in a `key_change`.
        key: PublicKey,
        /// Whether people keep their roles.
        split: SplitKey,
        /// The lost key's newest checkpoint, over all entries before this one: a signed note, exact text.
        checkpoint: String,
        /// The statement, signed by the new key.
        by_new: Signed<KeyLoss>,
        /// The same statement, signed by other hospitals; by name in order.
        endorsements: Vec<Endorsement>,
    },
    /// A study started here: its whole event list is earmarked, spare attempts included.
    StudyOpen {
        /// Of the study file's exact bytes.
        study: Digest,
        /// Its stable name.
        study_id: StudyId,
        /// This site's own signed approval.
        approval: Signed<Approval>,
        /// The sites that take part, with the keys that this site checked.
        participants: Vec<Participant>,
        /// The δ at which the study states its ε.
        delta: f64,
        /// Every release the study may make from this site's data.
        earmarks: Vec<Earmark>,
    },
    /// A commitment to the frozen examples: HMAC-SHA-256 under a nonce that only the site keeps.
    DatasetVersion {
        /// For which study.
        study: Digest,
        /// The commitment.
        commitment: Digest,
    },
    /// What the next outputs are made from, as commitments; written before them each time, whether or not anything
    /// changed. Each is HMAC-SHA-256 under a nonce of its own that only the site keeps, over a SHA-256.
    ///
    /// # Privacy
    /// Its form and the moments at which it is written are the same whatever the data and the lists are. Without its nonce
    /// a commitment tells nothing, nor whether what it is of has changed.
    CohortVersion {
        /// For which study.
        study: Digest,
        /// To the frozen examples and whose they are.
        cohort: Digest,
        /// To the lists of people who opted out.
        opt_outs: Digest,
        /// To the release of the source that the examples were extracted from.
        source: Digest,
        /// To what was asked of the source: tables, columns or query texts, without ids and rows.
        queries: Digest,
    },
    /// Burns uses `first..first + count` of a training earmark; never un-burnt.
    Reserve {
        /// For which study.
        study: Digest,
        /// Index into the study's earmarks.
        earmark: u32,
        /// First use burnt.
        first: u64,
        /// How many.
        count: u64,
        /// The round asked for.
        round: u32,
        /// Digest of the model that it starts from.
        model: Digest,
    },
    /// Burns uses of an evaluation earmark (a histogram that leaves).
    Release {
        /// For which study.
        study: Digest,
        /// Index into the study's earmarks.
        earmark: u32,
        /// First use burnt.
        first: u64,
        /// How many.
        count: u64,
        /// Digest of the model that is evaluated.
        model: Digest,
    },
    /// The output of a reserve or release is on disk and may be sent, and sent again.
    Commit {
        /// Index of the `reserve` or `release` entry.
        reserve: u64,
        /// SHA-256 of the exact output bytes.
        output: Digest,
    },
    /// Burns uses `first..first + count` of an earmark for secure sums, one for each attempt that this
    /// site sends a masked vector to; never un-burnt, sent or not.
    ReserveBlock {
        /// For which study.
        study: Digest,
        /// Index into the study's earmarks.
        earmark: u32,
        /// First use burnt.
        first: u64,
        /// How many.
        count: u64,
    },
    /// A masked vector may be sent, once, for one attempt of one step.
    CommitSum {
        /// Index of the `reserve_block` entry.
        reserve: u64,
        /// Which of its uses; they rise.
        index: u64,
        /// The round of training, counted from 0; or the grouping, by its earmark's index.
        step: u32,
        /// Counted from 0 in the step.
        attempt: u32,
        /// The session of the secure sum: the same at every site that was shown the same keys.
        session: Digest,
        /// Digest of the model that it starts from, or that is evaluated.
        model: Digest,
        /// Digest of the masked lanes, as `survivors` lists them.
        output: Digest,
    },
    /// How an attempt ended, as this site saw it: who is in the sum, and what it is.
    Sum {
        /// Index of the `commit_sum` entry.
        commit: u64,
        /// The sites whose masked vectors are in it, by name in order.
        survivors: Vec<SiteName>,
        /// Digest of the sum, as the coordinator told it.
        sum: Digest,
        /// Digest of the whole transcript (`secagg::Transcript`).
        transcript: Digest,
    },
    /// A reserve or release will never have an output, a block none any more. It stays burnt.
    Abort {
        /// Index of the `reserve`, `release` or `reserve_block` entry.
        reserve: u64,
        /// Why: `interrupted`, `withdrawn`.
        reason: String,
    },
    /// This ledger was taken back from a copy, after its disk was lost or restored: entries that the copy
    /// did not have are lost. Ends whatever was open in it, as an `abort` does: blocks, reserves, releases.
    Recovered {
        /// How many entries the copy had: the index of this one.
        entries: u64,
    },
    /// A request was refused. One per rule, study and day; `count` requests so far unreported.
    Refusal {
        /// The rule's name, as `policy.noise_multiplier_min`.
        rule: String,
        /// The study that was asked for, if any.
        study: Option<Digest>,
        /// How many requests.
        count: u64,
    },
    /// The study is over here; nothing more will be burnt for it.
    Close {
        /// Which.
        study: Digest,
        /// `finished`, `withdrawn`, `expired`.
        reason: String,
    },
}

/// One site that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// Its name.
    pub site: SiteName,
    /// Its key, found in this site's own `known_sites`.
    pub key: PublicKey,
}

/// Releases of one kind that a study may make: `event.count()` uses in all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Earmark {
    /// `training`, or a grouping: `overall`, `sex`, `sex*age_band`.
    pub name: String,
    /// Who pays.
    pub account: Account,
    /// What one use costs, and how many there are.
    #[serde(flatten)]
    pub event: Event,
}

impl Earmark {
    /// Training steps, burnt by a `reserve`; otherwise a grouping, burnt by a `release`.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.name == TRAINING
    }
}

/// A person's role at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Their records train.
    Training,
    /// Their records evaluate.
    Evaluation,
}

impl Role {
    /// Both, in a fixed order.
    pub const ALL: [Self; 2] = [Self::Training, Self::Evaluation];

    /// What people of this role pay for in full: the events of `earmarks` that are on their account.
    #[must_use]
    pub fn events(self, earmarks: &[Earmark]) -> Vec<Event> {
        earmarks.iter().filter(|earmark| earmark.account.is_paid_by(self)).map(|e| e.event).collect()
    }
}

impl Account {
    /// Whether people of this role pay.
    #[must_use]
    pub fn is_paid_by(self, role: Role) -> bool {
        matches!(
            (self, role),
            (Self::Both, _) | (Self::Training, Role::Training) | (Self::Evaluation, Role::Evaluation)
        )
    }
}

/// Who pays for a release: a person's role is fixed for the dataset, so a person's total loss is
/// the larger of the two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Training people.
    Training,
    /// Evaluation people.
    Evaluation,
    /// Everybody: the study splits people by something else than the site's keyed hash.
    Both,
}

/// The hospital's caps over all studies on the dataset, as its policy file has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// Digest of the policy file's exact bytes.
    pub policy: Digest,
    /// On either account over all studies, at `delta`.
    pub epsilon_total: f64,
    /// On either account for one study, at `delta`.
    pub epsilon_per_study: f64,
    /// On either account over the studies opened in one calendar year (UTC), at `delta`; no such cap when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon_per_year: Option<f64>,
    /// The policy's one δ.
    pub delta: f64,
    /// Smallest σ (per unit of sensitivity) of a training step.
    pub noise_multiplier_min: f64,
    /// Largest q.
    pub sampling_rate_max: f64,
    /// Most training steps of one study, spare ones included.
    pub steps_max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Entry {
        Entry {
            time: "2027-03-01T09:30:00.000Z".parse().expect("a time"),
            previous: Digest::of(b""),
            body: Body::Refusal { rule: "policy.steps_max".into(), study: None, count: 2 },
        }
    }

    #[test]
    fn round_trips() {
        let text = r#"{"time":"2027-03-01T09:30:00.000Z","previous":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","kind":"refusal","rule":"policy.steps_max","study":null,"count":2}"#;
        assert_eq!(String::from_utf8(refusal().to_bytes().expect("short")).expect("text"), text);
        assert_eq!(Entry::from_bytes(text.as_bytes()), Ok(refusal()));
        let recovered = text.replace(
            r#""refusal","rule":"policy.steps_max","study":null,"count":2"#,
            r#""recovered","entries":7"#,
        );
        let entry = Entry { body: Body::Recovered { entries: 7 }, ..refusal() };
        assert_eq!(String::from_utf8(entry.to_bytes().expect("short")).expect("text"), recovered);
        assert_eq!(Entry::from_bytes(recovered.as_bytes()), Ok(entry));
        let earmark = r#"{"name":"training","account":"both","mechanism":"poisson_gaussian","sampling_rate":0.5,"noise_multiplier":1.0,"count":3}"#;
        let parsed: Earmark = serde_json::from_str(earmark).expect("an earmark");
        assert!(parsed.is_training());
        assert_eq!(serde_json::to_string(&parsed).expect("plain"), earmark);
    }

    #[test]
    fn nothing_is_signed_without_being_read() {
        let text = String::from_utf8(refusal().to_bytes().expect("short")).expect("text");
        let check = |from: &str, to: &str| {
            assert!(Entry::from_bytes(text.replacen(from, to, 1).as_bytes()).is_err(), "{from} -> {to}");
        };
        check(r#""count":2"#, r#""count":2,"note":"x""#);
        check(r#""count":2"#, r#""count":2,"count":3"#);
        check(r#""count":2"#, r#""count":2.0"#);
        check(r#""count":2"#, r#""count":-2"#);
        check(r#""kind":"refusal""#, r#""kind":"pardon""#);
        check(r#""kind":"refusal","#, "");
        check("{", "{\n");
        check("}", "} x");
        let long =
            Entry { body: Body::Refusal { rule: "x".repeat(70_000), study: None, count: 1 }, ..refusal() };
        assert!(matches!(long.to_bytes(), Err(InvalidEntry::TooLong { .. })));
    }
}
