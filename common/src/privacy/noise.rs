//! The exact discrete Gaussian, in machine integers, by two methods with one law.
//!
//! - `staircase`: rejection under an integer staircase, from a table made for one σ. About seven times
//!   the speed of the other; the way long vectors are drawn.
//! - Canonne, Kamath and Steinke 2020, "The Discrete Gaussian for Differential Privacy"
//!   (arXiv:2004.00010, "CKS20"), algorithms 1 to 3: single draws and short vectors, and the oracle
//!   that the other is tested against.
//!
//! Invariant: no floating point and no approximation anywhere. Given uniform bits, each draw has
//! exactly the probabilities of the definition below, so that a released sum has no low-order bits
//! that tell data from noise (Mironov 2012; Haney et al. 2022, arXiv:2207.13793).
//!
//! The running time of a draw depends on the value drawn (Jin et al. 2022, arXiv:2112.05307).
//! Therefore noise is drawn before data are touched, and replies leave on ticks.

mod cks20;
mod curve;
#[cfg(test)]
mod script;
mod staircase;
mod wide;

use rand_core::{CryptoRng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use cks20::{bernoulli_exp, laplace_magnitude};
use staircase::Staircase;

/// The generator that noise and person sampling draw from: ChaCha20, wiped when dropped.
pub type SecretRng = chacha20::ChaCha20Rng;

/// A generator over `seed`, which the caller took from the operating system for this one use.
///
/// # Privacy
/// Whoever knows the seed can subtract the noise: a seed is used once, never stored, sent, logged
/// or derived from configuration. The copy given to this function is wiped; a caller that keeps an
/// array of its own wipes it too.
#[must_use]
pub fn secret_rng(mut seed: [u8; 32]) -> SecretRng {
    let rng = SecretRng::from_seed(seed);
    seed.zeroize();
    rng
}

/// Largest σ that can be sampled, in lattice units: 2^30. It keeps every rational below in 128 bits.
pub const SIGMA_UNITS_MAX: u64 = 1 << 30;

/// Largest numerator and denominator of a σ² given as a fraction.
pub const VARIANCE_TERM_MAX: u64 = 1 << 20;

/// From this length on a vector is drawn with a table. A table costs about 10 µs, as a hundred
/// draws without one. The length of a vector is public, so the choice tells nothing.
const TABLE_PAYS: usize = 256;

/// A standard deviation that cannot be sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("standard deviation of the noise: expected 1 to {SIGMA_UNITS_MAX} lattice units, came {found}")]
pub struct InvalidSigma {
    /// What was asked for, lattice units.
    pub found: u64,
}

/// A variance that cannot be sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "variance of the noise: expected a fraction of numbers from 1 to {VARIANCE_TERM_MAX}, at least 1/16, \
     came {numerator}/{denominator}"
)]
pub struct InvalidVariance {
    /// What was asked for, squared lattice units.
    pub numerator: u64,
    /// Its denominator.
    pub denominator: u64,
}

/// σ², squared lattice units. Either the denominator is 1 and the numerator at most 2^60, or both
/// are at most [`VARIANCE_TERM_MAX`]; at least 1/16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Variance {
    numerator: u64,
    denominator: u64,
}

/// The discrete Gaussian N_Z(0, σ²): `P[y] ∝ exp(−y²/2σ²)` on the integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteGaussian {
    variance: Variance,
    proposal: Proposal,
}

/// CKS20's way to draw from it: a discrete Laplace of scale t, of which y is kept with probability
/// exp(−(|y|·e − c)²/b) where c/e = σ²/t and b = 2σ²e², all integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proposal {
    t: u64,
    c: u64,
    e: u64,
    b: u64,
}

impl DiscreteGaussian {
    /// Noise of standard deviation `sigma_units`, lattice units.
    ///
    /// # Errors
    /// Zero, or above [`SIGMA_UNITS_MAX`].
    pub const fn new(sigma_units: u64) -> Result<Self, InvalidSigma> {
        if sigma_units == 0 || sigma_units > SIGMA_UNITS_MAX {
            return Err(InvalidSigma { found: sigma_units });
        }
        let numerator = sigma_units * sigma_units;
        Ok(Self {
            variance: Variance { numerator, denominator: 1 },
            proposal: Proposal { t: sigma_units, c: sigma_units, e: 1, b: 2 * numerator },
        })
    }

    /// Noise of variance `numerator`/`denominator`, squared lattice units, for a σ that is no integer.
    ///
    /// # Errors
    /// Zero or above [`VARIANCE_TERM_MAX`] in either, or a variance below 1/16.
    pub fn with_variance(numerator: u64, denominator: u64) -> Result<Self, InvalidVariance> {
        let is_term = |n| (1..=VARIANCE_TERM_MAX).contains(&n);
        if !is_term(numerator) || !is_term(denominator) || 16 * numerator < denominator {
            return Err(InvalidVariance { numerator, denominator });
        }
        let root = (numerator / denominator).isqrt();
        let t = root.max(1);
        // σ²/t = numerator/(denominator·t). With t ≤ σ, b ≤ 2·numerator² (2·numerator·denominator if t
        // is raised to 1), at most 2^41.
        let b = 2 * numerator * denominator * t * t;
        Ok(Self {
            variance: Variance { numerator, denominator },
            proposal: Proposal { t, c: numerator, e: denominator * t, b },
        })
    }

    /// One draw.
    ///
    /// # Privacy
    /// CKS20, algorithm 3. Their proof fixes t = ⌊σ⌋ + 1 only for speed; any t > 0 is right: a
    /// discrete Laplace candidate has `P[y] ∝ exp(−|y|/t)` and is kept with probability
    /// exp(−(|y| − σ²/t)²/2σ²), and the product is exp(−y²/2σ²) · exp(−σ²/2t²), of which the second
    /// factor does not depend on y. Here t = ⌊σ⌋, or 1. For an integer σ the exponent is
    /// (|y| − σ)²/2σ²: integers over an integer of at most 2^61.
    ///
    /// The sign is drawn after the magnitude m is kept. Each of (+, m), (−, m) then has probability
    /// ∝ exp(−m²/2σ²), and (−, 0) starts over so that zero is not counted twice.
    pub fn sample<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> i64 {
        let Proposal { t, c, e, b } = self.proposal;
        loop {
            let magnitude = laplace_magnitude(rng, t);
            // Below 2^51: magnitude < 2^20 · t, and t·e is σ ≤ 2^30, or at most 2^20.
            let distance = u128::from((magnitude * e).abs_diff(c));
            if !bernoulli_exp(rng, distance * distance, b) {
                continue;
            }
            let negative = rng.next_u64() >> 63 == 1;
            if negative && magnitude == 0 {
                continue;
            }
            let value = i64::try_from(magnitude).expect("laplace_magnitude stays below 2^63");
            return if negative { -value } else { value };
        }
    }

    /// `n` independent draws, wiped when dropped.
    ///
    /// # Privacy
    /// Added to integers of L2 sensitivity Δ this is Δ²/2σ²-zCDP (CKS20, theorem 14), whatever `n`
    /// is. Draw it before data are read: its running time depends on the values drawn.
    #[must_use]
    pub fn vector(&self, rng: &mut SecretRng, n: usize) -> Zeroizing<Vec<i64>> {
        let mut draws = Zeroizing::new(Vec::with_capacity(n));
        if n < TABLE_PAYS {
            draws.extend((0..n).map(|_| self.sample(rng)));
        } else {
            Staircase::new(self.variance).fill(rng, n, &mut draws);
        }
        draws
    }
}

#[cfg(test)]
mod tests;
