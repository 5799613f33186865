//! The public numbers of a study that a secure sum depends on, in one fixed order: what a request of
//! the coordinator is compared with before anything leaves.

use super::parameters::SecureParameters;
use super::refusal::Refusal;
use crate::privacy::clip::DIMENSION_MAX;
use std::fmt;

/// How many numbers there are.
pub const TERMS: usize = 11;

/// The names of the numbers, in their order.
const NAMES: [&str; TERMS] = [
    "sites",
    "threshold",
    "colluding",
    "lattice units",
    "batch cap",
    "sigma units",
    "sigma share units",
    "lane bits",
    "dimension",
    "clip norm",
    "sampling rate",
];
/// From here on the numbers are reals.
const REALS: usize = 9;

/// A study's numbers, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    parameters: SecureParameters,
    dimension: usize,
    clip_norm: f64,
    sampling_rate: f64,
}

/// A request's numbers: nothing is believed of them, they are only compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestedTerms(pub [u64; TERMS]);

impl Terms {
    /// For vectors of `dimension` lanes, made of gradients clipped to `clip_norm` of people who were
    /// sampled at `sampling_rate`.
    ///
    /// # Errors
    /// A dimension outside 1 to 2^30, a clipping norm that is not positive and finite, a rate outside
    /// (0, 1].
    pub fn new(
        parameters: SecureParameters,
        dimension: usize,
        clip_norm: f64,
        sampling_rate: f64,
    ) -> Result<Self, Refusal> {
        let check = |good: bool, term, expected| {
            if good { Ok(()) } else { Err(Refusal::Term { term, expected }) }
        };
        check((1..=DIMENSION_MAX).contains(&dimension), "dimension", "1 to 2^30")?;
        check(clip_norm.is_finite() && clip_norm > 0.0, "clip norm", "a positive number")?;
        check(sampling_rate > 0.0 && sampling_rate <= 1.0, "sampling rate", "above 0, at most 1")?;
        Ok(Self { parameters, dimension, clip_norm, sampling_rate })
    }

    /// Threshold, noise and lanes.
    #[must_use]
    pub const fn parameters(&self) -> &SecureParameters {
        &self.parameters
    }

    /// How many lanes.
    #[must_use]
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// All numbers as a request states them.
    #[must_use]
    pub fn request(&self) -> RequestedTerms {
        let p = &self.parameters;
        RequestedTerms([
            u64::from(p.sites()),
            u64::from(p.threshold()),
            u64::from(p.colluding()),
            p.lattice_units(),
            p.batch_cap(),
            p.sigma_units(),
            p.sigma_share_units(),
            u64::from(p.lane().bits()),
            self.dimension as u64,
            self.clip_norm.to_bits(),
            self.sampling_rate.to_bits(),
        ])
    }

    /// Whether a request asks for these numbers, bit for bit.
    ///
    /// # Errors
    /// The first that differs, with both values.
    pub(super) fn agree(&self, requested: &RequestedTerms) -> Result<(), Refusal> {
        let own = self.request();
        match (0..TERMS).find(|&index| own.0[index] != requested.0[index]) {
            None => Ok(()),
            Some(index) => Err(Refusal::Terms {
                term: NAMES[index],
                expected: own.show(index),
                found: requested.show(index),
            }),
        }
    }
}

impl RequestedTerms {
    fn show(&self, index: usize) -> String {
        if index < REALS { self.0[index].to_string() } else { f64::from_bits(self.0[index]).to_string() }
    }
}

impl fmt::Debug for RequestedTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries((0..TERMS).map(|index| (NAMES[index], self.show(index)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        let parameters = SecureParameters::decide(10, 9, 1, 1 << 18, 4096, 1 << 19).expect("allowed");
        Terms::new(parameters, 100, 1.5, 0.1).expect("allowed")
    }

    #[test]
    fn impossible_terms() {
        fn check(dimension: usize, clip_norm: f64, sampling_rate: f64) {
            let parameters = *terms().parameters();
            let refusal = Terms::new(parameters, dimension, clip_norm, sampling_rate);
            assert_eq!(refusal.expect_err("refused").rule(), "secagg.term");
        }
        check(0, 1.0, 0.1);
        check(DIMENSION_MAX + 1, 1.0, 0.1);
        check(1, 0.0, 0.1);
        check(1, -1.0, 0.1);
        check(1, f64::NAN, 0.1);
        check(1, f64::INFINITY, 0.1);
        check(1, 1.0, 0.0);
        check(1, 1.0, 1.1);
        check(1, 1.0, f64::NAN);
    }

    /// Attack 7: any number lowered or raised by its last bit is refused by name.
    #[test]
    fn every_number_is_compared() {
        let own = terms();
        assert_eq!(own.agree(&own.request()), Ok(()));
        for (index, name) in NAMES.iter().enumerate() {
            for change in [-1_i64, 1] {
                let mut requested = own.request();
                requested.0[index] = requested.0[index].wrapping_add_signed(change);
                let Err(Refusal::Terms { term, expected, found }) = own.agree(&requested) else {
                    panic!("{name} was not compared")
                };
                assert_eq!(term, *name);
                assert_ne!(expected, found);
            }
        }
    }
}
