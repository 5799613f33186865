//! Why a task was not done, and why an agent must not go on.

use crate::approval::KeptError;
use crate::compute::InvalidNoise;
use crate::data::InvalidData;
use crate::files::FileError;
use crate::home::HomeError;
use crate::ledger::LedgerError;
use crate::link::CallError;
use crate::pricing::PricingError;
use crate::task::Refusal;
use consilium_common::id::SiteName;

/// The agent must not go on; a person has to look.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The coordinator does not cosign this ledger.
    #[error("ledger.not_cosigned: the coordinator does not cosign this ledger: {0}")]
    NotCosigned(String),
    /// Another key than at enrolment.
    #[error(
        "coordinator.key: the coordinator signs with another key than at enrolment; enrol again if that is right"
    )]
    OtherCoordinator,
    /// Another site holds a checkpoint by this site's own key that this ledger does not continue.
    #[error(
        "ledger.restored: {site} has cosigned {cosigned} entries of this ledger that are not in it (it has {found}): \
         its disk was restored from an old copy, or there is a second copy of it; stop both and run: site-agent \
         ledger recover"
    )]
    Contradicted {
        /// The witness.
        site: SiteName,
        /// Entries under its note.
        cosigned: u64,
        /// Entries here.
        found: u64,
    },
    /// Our own store is damaged, was restored from an old copy, or cannot be written.
    #[error(transparent)]
    Ledger(LedgerError),
}

/// A task was not done.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// By a rule; the coordinator and the ledger are told its name.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// By a rule, which the coordinator was told on its stream and the ledger knows.
    #[error("refused by {0}")]
    Told(&'static str),
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// No other site has cosigned this site's ledger yet: the release waits, the reserve is kept.
    #[error("ledger.not_witnessed: no other site has cosigned this ledger yet; the release waits for one")]
    Unwitnessed,
    /// Something here that a person must mend: the table, the disk, a key.
    #[error("{0}")]
    Local(String),
    /// The agent must stop.
    #[error(transparent)]
    Stop(#[from] Stop),
}

macro_rules! local {
    ($($error:ty),*) => {
        $(impl From<$error> for TaskError {
            fn from(error: $error) -> Self {
                Self::Local(error.to_string())
            }
        })*
    };
}
local!(FileError, HomeError, KeptError, InvalidNoise, PricingError, InvalidData);

impl From<LedgerError> for TaskError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Illegal(illegal) => {
                // The refusal says the rule.
                Self::Refused(Refusal { rule: illegal.rule, why: illegal.what })
            }
            // A person may free the disk or set the clock while the agent waits.
            error @ (LedgerError::Io { .. } | LedgerError::Clock { .. }) => Self::Local(error.to_string()),
            error @ LedgerError::Cosignature(_) => Self::Stop(Stop::NotCosigned(error.to_string())),
            error => Self::Stop(Stop::Ledger(error)),
        }
    }
}
