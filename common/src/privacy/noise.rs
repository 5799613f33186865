//! The exact discrete Gaussian, in machine integers: Canonne, Kamath and Steinke 2020, "The Discrete
//! Gaussian for Differential Privacy" (arXiv:2004.00010, "CKS20"), algorithms 1 to 3.
//!
//! Invariant: no floating point and no approximation anywhere. Given uniform bits, each draw has
//! exactly the probabilities of the definition below, so that a released sum has no low-order bits
//! that tell data from noise (Mironov 2012; Haney et al. 2022, arXiv:2207.13793).
//!
//! The running time of a draw depends on the value drawn (Jin et al. 2022, arXiv:2112.05307).
//! Therefore noise is drawn before data are touched, and replies leave on ticks.

mod cks20;
#[cfg(test)]
mod script;

use rand_core::{CryptoRng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use cks20::{bernoulli_exp, laplace_magnitude};

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

/// A standard deviation that cannot be sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("standard deviation of the noise: expected 1 to {SIGMA_UNITS_MAX} lattice units, came {found}")]
pub struct InvalidSigma {
    /// What was asked for, lattice units.
    pub found: u64,
}

/// The discrete Gaussian N_Z(0, σ²) with integer σ: `P[y] ∝ exp(−y²/2σ²)` on the integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteGaussian {
    sigma: u64,
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
        Ok(Self { sigma: sigma_units })
    }

    /// σ, lattice units.
    #[must_use]
    pub const fn sigma_units(&self) -> u64 {
        self.sigma
    }

    /// One draw.
    ///
    /// # Privacy
    /// CKS20, algorithm 3, with t = σ. Their proof fixes t = ⌊σ⌋ + 1 only for speed; any t > 0 is
    /// right: a discrete Laplace candidate has `P[y] ∝ exp(−|y|/t)` and is kept with probability
    /// exp(−(|y| − σ²/t)²/2σ²), and the product is exp(−y²/2σ²) · exp(−σ²/2t²), of which the second
    /// factor does not depend on y. With t = σ the exponent is (|y| − σ)²/2σ²: integers over an
    /// integer of at most 2^61.
    ///
    /// The sign is drawn after the magnitude m is kept. Each of (+, m), (−, m) then has probability
    /// ∝ exp(−m²/2σ²), and (−, 0) starts over so that zero is not counted twice.
    pub fn sample<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> i64 {
        loop {
            let magnitude = laplace_magnitude(rng, self.sigma);
            let distance = u128::from(magnitude.abs_diff(self.sigma));
            if !bernoulli_exp(rng, distance * distance, 2 * self.sigma * self.sigma) {
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
        draws.extend((0..n).map(|_| self.sample(rng)));
        draws
    }
}

#[cfg(test)]
mod tests;
