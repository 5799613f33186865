//! The public model that a study starts from: a function of its shape and the study's digest alone,
//! in integers, so that everybody has the same bits on any machine.

use super::{Architecture, UNIT_BITS};
use crate::id::Digest;
use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The parameters of round 0, in units of 2^-24: zeros for logistic regression. With hidden layers,
/// weights are uniform in ±√(6 / (inputs + outputs)) (Glorot and Bengio 2010, eq. 16) and biases are
/// zero. The draws are ChaCha20's under SHA-256(`consilium/initial-model/1` ‖ line feed ‖ digest),
/// one 64-bit word a weight, in the order of the flat parameters.
#[must_use]
pub fn initial_parameters(architecture: &Architecture, study: &Digest) -> Vec<i32> {
    let mut parameters = vec![0; architecture.parameters()];
    if architecture.hidden.is_empty() {
        return parameters;
    }
    let seed = Digest::of(&[b"consilium/initial-model/1\n".as_slice(), study.as_bytes()].concat());
    let mut rng = ChaCha20Rng::from_seed(*seed.as_bytes());
    for layer in architecture.layers() {
        let fan = (layer.inputs as u64).saturating_add(layer.outputs as u64).max(1);
        // √(6 · 2^48 / fan): the limit in units, rounded down; below 2^26 for every fan.
        let limit = ((6_u64 << (2 * UNIT_BITS)) / fan).isqrt();
        let values = 2 * limit + 1;
        for weight in &mut parameters[layer.weight_at..layer.bias_at] {
            let draw =
                u64::try_from((u128::from(rng.next_u64()) * u128::from(values)) >> 64).expect("below values");
            *weight = i32::try_from(draw.cast_signed() - limit.cast_signed()).expect("below 2^26");
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logistic_starts_at_zero() {
        let logistic = Architecture { inputs: 5, hidden: vec![], outputs: 1 };
        assert_eq!(initial_parameters(&logistic, &Digest::of(b"study")), vec![0; 6]);
    }

    /// Pinned for ever, and equal to a computation by another program (`tests/vectors/ledger/README.md`):
    /// a bundle's first model is recomputed from these bits.
    #[test]
    fn hidden_layers_never_change() {
        let mlp = Architecture { inputs: 3, hidden: vec![2], outputs: 1 };
        let parameters = initial_parameters(&mlp, &Digest::of(b"study"));
        assert_eq!(parameters, PINNED);
    }

    const PINNED: [i32; 11] =
        [-2_378_442, -5_577_112, 1_383_920, 2_943_670, 2_636_690, -4_751_886, 0, 0, 5_385_412, 1_008_979, 0];

    #[test]
    fn weights_keep_their_range_and_biases_are_zero() {
        let mlp = Architecture { inputs: 40, hidden: vec![30, 20], outputs: 1 };
        let study = Digest::of(b"study");
        let parameters = initial_parameters(&mlp, &study);
        for layer in mlp.layers() {
            let limit = (6.0 / (layer.inputs + layer.outputs) as f64).sqrt();
            let weights: Vec<f64> = parameters[layer.weight_at..layer.bias_at]
                .iter()
                .map(|&w| super::super::from_fixed(w))
                .collect();
            assert!(weights.iter().all(|w| w.abs() <= limit));
            // A uniform draw of n has mean 0 ± limit/√(3n); five standard errors.
            let mean = weights.iter().sum::<f64>() / weights.len() as f64;
            assert!(mean.abs() < 5.0 * limit / (3.0 * weights.len() as f64).sqrt(), "{mean}");
            assert!(weights.iter().any(|w| w.abs() > 0.8 * limit));
            assert!(parameters[layer.bias_at..layer.bias_at + layer.outputs].iter().all(|&b| b == 0));
        }
        assert_ne!(parameters, initial_parameters(&mlp, &Digest::of(b"another")));
    }
}
