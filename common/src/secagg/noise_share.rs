//! A site's share of the noise, and the vector that carries it: nothing else can be masked.

use super::parameters::SecureParameters;
use crate::privacy::noise::{DiscreteGaussian, SecretRng};
use std::fmt;
use zeroize::Zeroizing;

/// Noise for one attempt of one step, drawn before data are read. It can be added once.
pub struct NoiseShare {
    noise: Zeroizing<Vec<i64>>,
    sigma_share_units: u64,
}

/// A site's integers with its share of the noise on: still private (the share alone is less than the
/// event that is priced), it leaves only behind masks.
pub struct NoisedInput {
    values: Zeroizing<Vec<i64>>,
    sigma_share_units: u64,
}

impl NoiseShare {
    /// Draws N_Z(0, σ_share²) for each of `dimension` lanes.
    ///
    /// # Privacy
    /// σ_share² · (t − n_C) ≥ σ², see [`SecureParameters`]. `rng` is over a fresh seed of the operating
    /// system's for each attempt: the same vector under two masks with the same noise would give their
    /// difference away.
    #[must_use]
    pub fn draw(parameters: &SecureParameters, dimension: usize, rng: &mut SecretRng) -> Self {
        let sigma_share_units = parameters.sigma_share_units();
        let gaussian = DiscreteGaussian::new(sigma_share_units)
            .expect("the parameters keep it within the sampler's range");
        let noise = gaussian.vector(rng, dimension);
        #[cfg(feature = "mutants")]
        let noise = super::mutated::noise(noise);
        Self { noise, sigma_share_units }
    }

    /// Adds the noise to a site's clipped sum.
    ///
    /// # Panics
    /// With a sum of another length than the noise: both have the model's.
    #[must_use]
    pub fn add_to(self, sum: Vec<i64>) -> NoisedInput {
        assert_eq!(sum.len(), self.noise.len(), "one noise value for each lane");
        let mut values = Zeroizing::new(sum);
        // A clipped sum is below 2^47 and a noise value below 2^63 − 2^47 but for a broken generator.
        values
            .iter_mut()
            .zip(self.noise.iter())
            .for_each(|(value, noise)| *value = value.wrapping_add(*noise));
        NoisedInput { values, sigma_share_units: self.sigma_share_units }
    }
}

impl NoisedInput {
    pub(super) fn values(&self) -> &[i64] {
        &self.values
    }

    pub(super) const fn sigma_share_units(&self) -> u64 {
        self.sigma_share_units
    }

    /// A vector whose noise the test chose.
    #[cfg(test)]
    pub(super) fn exactly(values: Vec<i64>, sigma_share_units: u64) -> Self {
        Self { values: Zeroizing::new(values), sigma_share_units }
    }
}

impl fmt::Debug for NoiseShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoiseShare({} lanes)", self.noise.len())
    }
}

impl fmt::Debug for NoisedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoisedInput({} lanes)", self.values.len())
    }
}
