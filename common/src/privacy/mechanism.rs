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
    /// The same on a Poisson sample, as for [`Event::PoissonGaussian`].
    PoissonLaplace {
        /// q, in (0, 1].
        sampling_rate: f64,
        /// b ÷ sensitivity.
        scale: f64,
        /// How many steps.
        count: u64,
    },
    /// What a person pays who is known to `sites` sites of one secure sum, each of which samples and
    /// clips them by itself: Gaussian noise on a sum that counts them Binomial(`sites`,
    /// `sampling_rate`) times.
    MixtureGaussian {
        /// h, from 1 to [`SITES_MAX`].
        sites: u32,
        /// q, in (0, 1].
        sampling_rate: f64,
        /// σ of the whole sum's noise ÷ sensitivity to one of the person's contributions.
        noise_multiplier: f64,
        /// How many steps.
        count: u64,
    },
}

/// Most sites at which one person may be known, as far as they can be accounted for.
pub const SITES_MAX: u32 = 256;

impl Event {
    /// How many uses this event stands for.
    #[must_use]
    pub const fn count(&self) -> u64 {
        match *self {
            Self::Gaussian { count, .. }
            | Self::PoissonGaussian { count, .. }
            | Self::Laplace { count, .. }
            | Self::PoissonLaplace { count, .. }
            | Self::MixtureGaussian { count, .. } => count,
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
            Self::PoissonLaplace { sampling_rate, scale, .. } => {
                Self::PoissonLaplace { sampling_rate, scale, count }
            }
            Self::MixtureGaussian { sites, sampling_rate, noise_multiplier, .. } => {
                Self::MixtureGaussian { sites, sampling_rate, noise_multiplier, count }
            }
        }
    }
}
