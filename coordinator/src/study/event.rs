//! What happened in a study, as the coordinator's log keeps it. Replays for ever: a kind never
//! changes meaning.

use consilium_common::id::{Digest, SiteName};
use consilium_common::protocol::{Approval, Start};
use consilium_common::signed::Signed;
use consilium_common::time::Time;
use serde::{Deserialize, Serialize};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StudyEvent {
    /// The file (a blob) is open for the sites to decide.
    Published {
        /// Digest of its exact bytes.
        study: Digest,
        /// When.
        time: Time,
    },
    /// A site approved or declined.
    Decided {
        /// Who.
        site: SiteName,
        /// The signed statement.
        approval: Signed<Approval>,
        /// When.
        time: Time,
    },
    /// The participants are frozen; round 0 is open.
    Started {
        /// What the coordinator signed.
        start: Signed<Start>,
        /// Who takes part.
        participants: Vec<SiteName>,
        /// The initial model (a blob).
        model: Digest,
        /// When.
        time: Time,
    },
    /// A round after the first is open.
    RoundOpened {
        /// Counted from 0.
        round: u32,
        /// When.
        time: Time,
        /// Answers count until then.
        deadline: Time,
    },
    /// The deadline passed without quorum; sites may still answer.
    RoundReopened {
        /// Which.
        round: u32,
        /// When.
        time: Time,
        /// The new deadline.
        deadline: Time,
    },
    /// A site's update (a blob) counts.
    UpdateAccepted {
        /// Whose.
        site: SiteName,
        /// Which round.
        round: u32,
        /// Digest of its exact bytes.
        digest: Digest,
        /// When.
        time: Time,
    },
    /// A site refused the open task.
    TaskDeclined {
        /// Who.
        site: SiteName,
        /// By which rule.
        rule: String,
        /// When.
        time: Time,
    },
    /// The round's updates were averaged.
    RoundClosed {
        /// Which.
        round: u32,
        /// The new model (a blob).
        model: Digest,
        /// When.
        time: Time,
    },
    /// Histograms of the last model may come.
    EvaluationOpened {
        /// When.
        time: Time,
        /// Histograms count until then.
        deadline: Time,
    },
    /// A site's histogram (a blob) counts.
    HistogramAccepted {
        /// Whose.
        site: SiteName,
        /// Which grouping.
        grouping: String,
        /// Digest of its exact bytes.
        digest: Digest,
        /// When.
        time: Time,
    },
    /// Sites hand in their ledgers now.
    EvaluationClosed {
        /// When.
        time: Time,
        /// The study ends without the ledgers that are missing then.
        deadline: Time,
    },
    /// The study stops early; sites hand in their ledgers.
    Stopping {
        /// `stopped: …`.
        reason: String,
        /// When.
        time: Time,
        /// The study ends without the ledgers that are missing then.
        deadline: Time,
    },
    /// A site's ledger is here.
    LedgerReceived {
        /// Whose.
        site: SiteName,
        /// When.
        time: Time,
    },
    /// Over.
    Ended {
        /// `finished…`, or `stopped: …`.
        reason: String,
        /// When.
        time: Time,
    },
}

impl StudyEvent {
    /// When it happened.
    #[must_use]
    pub const fn time(&self) -> Time {
        match self {
            Self::Published { time, .. }
            | Self::Decided { time, .. }
            | Self::Started { time, .. }
            | Self::RoundOpened { time, .. }
            | Self::RoundReopened { time, .. }
            | Self::UpdateAccepted { time, .. }
            | Self::TaskDeclined { time, .. }
            | Self::RoundClosed { time, .. }
            | Self::EvaluationOpened { time, .. }
            | Self::HistogramAccepted { time, .. }
            | Self::EvaluationClosed { time, .. }
            | Self::Stopping { time, .. }
            | Self::LedgerReceived { time, .. }
            | Self::Ended { time, .. } => *time,
        }
    }
}
