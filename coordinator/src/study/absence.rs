//! Why a participant is not in what is open, as the log tells it: for people. Nobody is asked less for it; who is not
//! asked any more is [`super::Summing::declined`]'s and [`super::round::Collecting::declined`]'s.

use super::StudyEvent;
use consilium_common::id::SiteName;
use consilium_common::study::secure::Summed;
use consilium_common::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The rule by which an agent refuses before it spends anything on a table that is not there or lacks columns. It is
/// over when somebody has mended the table, so that the site is asked again, and the study does not stop for it.
const TABLE: &str = "data.table";
/// The same of a list of people who opted out that the site cannot read.
const OPT_OUT_LIST: &str = "opt_out.list";

/// Whether a refusal by this rule is over once a person at the site has mended something.
pub(super) fn is_mendable(rule: &str) -> bool {
    matches!(rule, TABLE | OPT_OUT_LIST)
}

/// The last that was heard of a site that has contributed nothing since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Absence {
    /// It refused, by a rule of its own.
    Declined {
        /// Which.
        rule: String,
        /// When.
        time: Time,
    },
    /// Its stream was ended for what it sent, or for its silence.
    Dropped {
        /// Which rule it broke.
        rule: String,
        /// When.
        time: Time,
    },
    /// Its stream ended in the middle of an attempt.
    Left {
        /// Which sums: the index of their earmark.
        earmark: u32,
        /// The round of training, counted from 0; or the grouping's earmark.
        step: u32,
        /// Counted from 0 in the step.
        attempt: u32,
        /// When.
        time: Time,
    },
}

impl Absence {
    /// In words, with rounds and attempts counted from 1.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Declined { rule, .. } if rule == OPT_OUT_LIST => {
                format!(
                    "declined by {rule}: a list of people who opted out cannot be read there; it is asked again"
                )
            }
            Self::Declined { rule, .. } if is_mendable(rule) => {
                format!(
                    "declined by {rule}: its table cannot be used, its own log says why; it is asked again"
                )
            }
            Self::Declined { rule, .. } => format!("declined by {rule}"),
            Self::Dropped { rule, .. } => format!("was dropped: {rule}"),
            Self::Left { earmark, step, attempt, .. } => {
                format!("left during {}", Summed::of_earmark(*earmark).attempt_words(*step, *attempt))
            }
        }
    }
}

/// What an event says of who is absent.
pub(super) fn note(absent: &mut BTreeMap<SiteName, Absence>, event: &StudyEvent) {
    match event {
        StudyEvent::TaskDeclined { site, rule, time } => {
            absent.insert(site.clone(), Absence::Declined { rule: rule.clone(), time: *time });
        }
        StudyEvent::SiteDropped { site, rule, time } => {
            absent.insert(site.clone(), Absence::Dropped { rule: rule.clone(), time: *time });
        }
        StudyEvent::SiteLeft { site, earmark, step, attempt, time } => {
            let (earmark, step, attempt, time) = (*earmark, *step, *attempt, *time);
            absent.insert(site.clone(), Absence::Left { earmark, step, attempt, time });
        }
        StudyEvent::UpdateAccepted { site, .. }
        | StudyEvent::HistogramAccepted { site, .. }
        | StudyEvent::LedgerReceived { site, .. } => {
            absent.remove(site);
        }
        StudyEvent::SumClosed { survivors, .. } => absent.retain(|site, _| !survivors.contains(site)),
        _ => {}
    }
}
