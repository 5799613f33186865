//! What coordinator and agents say to each other, as domain types. `wire` (feature `wire`) is the
//! only place that knows protobuf.

pub mod invite;

use crate::id::{Digest, SiteName, StudyId};
use crate::key::PublicKey;
use crate::signed::Statement;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// A site's decision on the exact bytes of a study, signed with its ledger key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Of the study file's exact bytes.
    pub study: Digest,
    /// Its stable name, for people.
    pub study_id: StudyId,
    /// Who decides.
    pub site: SiteName,
    /// Yes, or no with a reason code.
    pub decision: Decision,
    /// When.
    pub time: Time,
    /// Who signed at the hospital, in their own words; may be empty.
    pub approver: String,
    /// This site's decision on the same bytes that this one takes the place of: nobody's signature goes without a
    /// trace. Left out where there was none, so that statements from before this key have the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// How the site fills in the study's bindings: its answer's exact text, of at most
    /// [`crate::study::bindings::ANSWER_BYTES_MAX`]. Left out where the study has none or all keep their defaults, so that
    /// statements from before this key have the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bindings: Option<String>,
}

/// A decision that was signed before another one on the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// What it was.
    pub decision: Decision,
    /// When it was signed.
    pub time: Time,
    /// By whom, in their own words; may be empty.
    pub approver: String,
}

impl Statement for Approval {
    const CONTEXT: &'static str = "consilium/approval/1";
}

/// A site's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Takes part.
    Approve,
    /// Does not; only a code leaves the hospital.
    Decline {
        /// Why, as a code.
        reason: DeclineReason,
    },
}

/// Why a site declines: a code that tells nothing of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeclineReason {
    /// The site's policy does not allow it.
    Policy,
    /// The site's budget does not cover it.
    Budget,
    /// The site's governance bodies said no.
    Governance,
    /// The site has no capacity now.
    Capacity,
    /// Something else, told by other means.
    Other,
}

/// What the coordinator signs when it has an output durably: the site's proof of delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The study.
    pub study: Digest,
    /// From whom.
    pub site: SiteName,
    /// SHA-256 of the exact bytes received.
    pub output: Digest,
    /// When.
    pub time: Time,
}

impl Statement for Receipt {
    const CONTEXT: &'static str = "consilium/receipt/1";
}

/// What an agent is asked to do next. A request, not an order: the site's policy decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Take part in a round of training, starting from a model.
    Train {
        /// The study.
        study: Digest,
        /// Counted from 0.
        round: u32,
        /// Digest of the model's exact bytes.
        model: Digest,
    },
    /// Release the study's evaluation histograms of a model.
    Evaluate {
        /// The study.
        study: Digest,
        /// Digest of the model's exact bytes.
        model: Digest,
    },
    /// Take part in the study's secure sums, step after step, over one stream.
    Sum {
        /// The study.
        study: Digest,
    },
    /// The study is over: close it and hand over the ledger for the bundle.
    Close {
        /// The study.
        study: Digest,
    },
}

/// The frozen list of who takes part, signed by the coordinator at the start. Each agent checks
/// every approval in it against its own `known_sites`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The study.
    pub study: Digest,
    /// Every approval of the sites that take part.
    pub approvals: Vec<crate::signed::Signed<Approval>>,
    /// When.
    pub time: Time,
    /// Signs cosignatures and receipts.
    pub coordinator: PublicKey,
}

impl Statement for Start {
    const CONTEXT: &'static str = "consilium/start/1";
}
