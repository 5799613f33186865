//! What happened in a study, as the coordinator's log keeps it. Replays for ever: a kind never
//! changes meaning.

use super::summing::Failure;
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
    /// The round's updates were averaged, or its secure sum moved the model.
    RoundClosed {
        /// Which.
        round: u32,
        /// The new model (a blob).
        model: Digest,
        /// When.
        time: Time,
    },
    /// A session of secure sums; its number is never used again.
    SessionOpened {
        /// Counted from 1 over the study.
        number: u64,
        /// Which sums: the index of their earmark.
        earmark: u32,
        /// When.
        time: Time,
    },
    /// Sites are asked for a grouping's secure sum, and may burn a use for it.
    SumRequested {
        /// Which sums: the index of their earmark.
        earmark: u32,
        /// The grouping's earmark.
        step: u32,
        /// Counted from 0 in the step.
        attempt: u32,
        /// When.
        time: Time,
    },
    /// A try at a secure sum has no result. The next one is another attempt.
    AttemptFailed {
        /// Which sums: the index of their earmark.
        earmark: u32,
        /// The round of training, or the grouping's earmark.
        step: u32,
        /// Counted from 0 in the step.
        attempt: u32,
        /// Whether sites may have burnt a use for it.
        requested: bool,
        /// Where it was left.
        failure: Failure,
        /// When.
        time: Time,
    },
    /// A site's stream was ended for what it sent, or for its silence.
    SiteDropped {
        /// Who.
        site: SiteName,
        /// Which rule it broke; `secure.silent` for silence.
        rule: String,
        /// When.
        time: Time,
    },
    /// A site's stream ended in the middle of an attempt: its agent stopped, or the connection broke. It may come back.
    SiteLeft {
        /// Who.
        site: SiteName,
        /// Which sums: the index of their earmark.
        earmark: u32,
        /// The round of training, or the grouping's earmark.
        step: u32,
        /// Counted from 0 in the step.
        attempt: u32,
        /// When.
        time: Time,
    },
    /// A secure sum (a blob) is there; in training, the events that follow name the model that it made.
    SumClosed {
        /// Which sums: the index of their earmark.
        earmark: u32,
        /// The round of training, or the grouping's earmark.
        step: u32,
        /// Counted from 0 in the step.
        attempt: u32,
        /// Whose masked vectors are in it, in order.
        survivors: Vec<SiteName>,
        /// Digest of the sum's file.
        sum: Digest,
        /// When.
        time: Time,
    },
    /// The uses of a grouping are spent: it is not released.
    GroupingGivenUp {
        /// The index of its earmark.
        earmark: u32,
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
            | Self::SessionOpened { time, .. }
            | Self::SumRequested { time, .. }
            | Self::AttemptFailed { time, .. }
            | Self::SiteDropped { time, .. }
            | Self::SiteLeft { time, .. }
            | Self::SumClosed { time, .. }
            | Self::GroupingGivenUp { time, .. }
            | Self::EvaluationOpened { time, .. }
            | Self::HistogramAccepted { time, .. }
            | Self::EvaluationClosed { time, .. }
            | Self::Stopping { time, .. }
            | Self::LedgerReceived { time, .. }
            | Self::Ended { time, .. } => *time,
        }
    }
}
