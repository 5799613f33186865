//! How much noise an ε asks for.

use super::trainers::Plan;
use crate::operator::CommandError;
use consilium_common::privacy::calibrate;
use consilium_common::privacy::clip::Lattice;
use std::collections::BTreeMap;

/// Noise that a price asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    /// σ per clip norm, as an event holds it.
    pub(super) noise_multiplier: f64,
    /// σ, lattice units.
    pub(super) sigma_units: u64,
}

/// Noise for an ε, calibrated once for each number of steps, by PLD at the study's δ, spare attempts included.
pub(super) struct Prices {
    delta: f64,
    known: BTreeMap<[u64; 3], f64>,
}

impl Prices {
    pub(super) fn new(delta: f64) -> Self {
        Self { delta, known: BTreeMap::new() }
    }

    /// # Errors
    /// An ε that no noise meets, or that a lattice does not carry.
    pub(super) fn noise(
        &mut self,
        epsilon: f64,
        plan: &Plan,
        lattice: &Lattice,
    ) -> Result<Noise, CommandError> {
        let (rate, steps) = (plan.sampling_rate, plan.steps_charged());
        let key = [epsilon.to_bits(), rate.to_bits(), steps];
        let noise_multiplier = match self.known.get(&key) {
            Some(known) => *known,
            None => {
                let found = calibrate::noise_multiplier(epsilon, self.delta, rate, steps)
                    .map_err(|error| CommandError::input(error.to_string()))?;
                self.known.insert(key, found);
                found
            }
        };
        let sigma_units =
            lattice.sigma_units(noise_multiplier).map_err(|e| CommandError::input(e.to_string()))?;
        Ok(Noise { noise_multiplier, sigma_units })
    }
}
