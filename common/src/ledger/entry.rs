//! What a site writes down: one entry per thing that matters to an auditor. Entries hold no private
//! data, no counts and no plain digests of data.
//!
//! An entry's exact bytes (one line of JSON) are the leaf of the Merkle tree. Old ledgers replay
//! for ever: a kind never changes meaning; new behaviour is a new kind.

use crate::id::{Digest, SiteName, StudyId};
use crate::key::PublicKey;
use crate::privacy::mechanism::Event;
use crate::protocol::Approval;
use crate::signed::Signed;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// The largest entry, bytes (the length prefix of an entry bundle is 16 bits).
pub const ENTRY_BYTES_MAX: usize = 65_535;

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

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// The first entry, and only the first.
    Genesis {
        /// `ledger/1`.
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
    /// A reserve or release will never have an output. It stays burnt.
    Abort {
        /// Index of the `reserve` or `release` entry.
        reserve: u64,
        /// Why: `interrupted`, `withdrawn`.
        reason: String,
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
    /// The policy's one δ.
    pub delta: f64,
    /// Smallest σ (per unit of sensitivity) of a training step.
    pub noise_multiplier_min: f64,
    /// Largest q.
    pub sampling_rate_max: f64,
    /// Most training steps of one study, spare ones included.
    pub steps_max: u64,
}
