//! Why a study does not do what was asked: one variant for each rule.

use consilium_common::id::SiteName;
use consilium_common::study::Governance;

/// The study's rules say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StudyRefusal {
    /// The site is not on the roster.
    #[error("study.roster: site {0} is not on the roster of this study")]
    NotOnRoster(SiteName),
    /// The approval is not what the site's key signed.
    #[error("study.approval: {0}")]
    Approval(String),
    /// Not in this phase.
    #[error("study.phase: {0}")]
    Phase(String),
    /// Too few approvals.
    #[error(
        "{rule}: {approved} of at least {needed} sites approved (no decision yet: {}; declined: {})",
        named(waiting),
        named(declined)
    )]
    TooFewSites {
        /// The key of the study file that asks for so many.
        rule: &'static str,
        /// Approvals.
        approved: usize,
        /// Needed.
        needed: usize,
        /// No decision yet.
        waiting: Vec<SiteName>,
        /// Declined.
        declined: Vec<SiteName>,
    },
    /// The site does not take part.
    #[error("study.participants: site {0} does not take part in this study")]
    NotTakingPart(SiteName),
    /// For another round, or a round that is closed.
    #[error("round.late: round {} is not open (open: {})", u64::from(*.came) + 1, counted(*.open))]
    Late {
        /// The update's, counted from 0.
        came: u32,
        /// The open one, counted from 0, if any is.
        open: Option<u32>,
    },
    /// Other bytes than the ones received before.
    #[error("round.duplicate: site {0} has already answered with other bytes")]
    OtherBytes(SiteName),
    /// A grouping that the study does not have.
    #[error("evaluation.grouping: the study has no grouping {0:?}")]
    NoGrouping(String),
    /// An output of its own, in a study that has secure sums only.
    #[error("study.mode: the study is distributed: nothing of one site is taken, only secure sums are")]
    Distributed,
    /// Outside the study's validity.
    #[error(
        "governance.valid: the study is valid from {from} to {until} (UTC), and today is not one of these days"
    )]
    NotValidNow {
        /// First day.
        from: String,
        /// Last day.
        until: String,
    },
}

impl StudyRefusal {
    /// Of a study whose days are not today.
    pub(crate) fn not_valid_now(governance: &Governance) -> Self {
        let (from, until) = (governance.valid_from.to_string(), governance.valid_until.to_string());
        Self::NotValidNow { from, until }
    }
}

/// A round as people count.
fn counted(round: Option<u32>) -> String {
    round.map_or_else(|| "none".to_owned(), |round| (u64::from(round) + 1).to_string())
}

fn named(sites: &[SiteName]) -> String {
    if sites.is_empty() {
        return "none".to_owned();
    }
    sites.iter().map(SiteName::as_str).collect::<Vec<_>>().join(", ")
}
