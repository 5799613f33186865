//! The mechanisms whose privacy loss is counted, as plain events. A ledger stores events, never ε;
//! an event never changes meaning: new behaviour is a new variant.

use serde::{Deserialize, Serialize};

/// `count` uses of one mechanism. σ and b are per unit of sensitivity, where the sensitivity is
/// that of adding or removing one person (unit: one person at one site, all their records).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mechanism", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// Gaussian noise of standard deviation `noise_multiplier` × L2 sensitivity.
    Gaussian {
        /// σ ÷ sensitivity.
        noise_multiplier: f64,
        /// How many times.
        count: u64,
    },
    /// The same on a Poisson sample: each person joins independently with probability
    /// `sampling_rate`, in secret.
    PoissonGaussian {
        /// q, in (0, 1].
        sampling_rate: f64,
        /// σ ÷ sensitivity.
        noise_multiplier: f64,
        /// How many steps.
        count: u64,
    },
    /// Laplace noise of scale `scale` × L1 sensitivity.
    Laplace {
        /// b ÷ sensitivity.
        scale: f64,
        /// How many times.
        count: u64,
    },
}

impl Event {
    /// How many uses this event stands for.
    #[must_use]
    pub const fn count(&self) -> u64 {
        match *self {
            Self::Gaussian { count, .. }
            | Self::PoissonGaussian { count, .. }
            | Self::Laplace { count, .. } => count,
        }
    }

    /// The same mechanism, used `count` times.
    #[must_use]
    pub const fn with_count(self, count: u64) -> Self {
        match self {
            Self::Gaussian { noise_multiplier, .. } => Self::Gaussian { noise_multiplier, count },
            Self::PoissonGaussian { sampling_rate, noise_multiplier, .. } => {
                Self::PoissonGaussian { sampling_rate, noise_multiplier, count }
            }
            Self::Laplace { scale, .. } => Self::Laplace { scale, count },
        }
    }
}
