//! Models as everybody agrees on them bit for bit: an architecture and fixed-point parameters.
//!
//! Knows nothing of privacy or protocol.

use serde::{Deserialize, Serialize};

pub mod aggregate;
pub mod blob;
pub mod export;
pub mod initial;
pub mod step;

/// The shape of a model: `inputs` → hidden layers (tanh) → a logit for each output. Logistic regression has
/// no hidden layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Inputs per example.
    pub inputs: usize,
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// Logits: one for each prediction of the study. A header that does not say has one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub outputs: usize,
}

const fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it asks about by reference")]
const fn is_one(outputs: &usize) -> bool {
    *outputs == 1
}

/// Position and shape of one layer within the flat parameters: the weight matrix, row-major
/// `[inputs, outputs]`, then the bias `[outputs]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Rows of the weight matrix.
    pub inputs: usize,
    /// Columns of the weight matrix, and length of the bias.
    pub outputs: usize,
    /// Where the weights start.
    pub weight_at: usize,
    /// Where the bias starts.
    pub bias_at: usize,
}

impl Architecture {
    /// The layers, first to last.
    #[must_use]
    pub fn layers(&self) -> Vec<Layer> {
        let mut at = 0_usize;
        let mut inputs = self.inputs;
        self.hidden
            .iter()
            .chain(std::iter::once(&self.outputs))
            .map(|&outputs| {
                // Saturating: a shape from the wire may be absurd, and is then refused by its size.
                let bias_at = at.saturating_add(inputs.saturating_mul(outputs));
                let layer = Layer { inputs, outputs, weight_at: at, bias_at };
                at = bias_at.saturating_add(outputs);
                inputs = outputs;
                layer
            })
            .collect()
    }

    /// How many parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.layers().last().map_or(0, |last| last.bias_at.saturating_add(last.outputs))
    }
}

/// A parameter or an update in units of 2^-24: integers, so that an auditor recomputes every
/// aggregate bit for bit on any platform. The range is ±128; what would leave it saturates.
pub const UNIT_BITS: u32 = 24;

/// The nearest fixed-point value; NaN becomes 0, what is too large saturates.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is the documented rule")]
pub fn to_fixed(value: f64) -> i32 {
    (value * f64::from(1_u32 << UNIT_BITS)).round_ties_even() as i32
}

/// The value that a fixed-point parameter stands for; exact.
#[must_use]
pub fn from_fixed(value: i32) -> f64 {
    f64::from(value) / f64::from(1_u32 << UNIT_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_tile_the_parameters() {
        let mlp = Architecture { inputs: 5, hidden: vec![4, 3], outputs: 1 };
        assert_eq!(mlp.parameters(), 5 * 4 + 4 + 4 * 3 + 3 + 3 + 1);
        assert_eq!(Architecture { inputs: 5, hidden: vec![], outputs: 1 }.parameters(), 6);
    }

    #[test]
    fn fixed_point() {
        fn check(value: f64, fixed: i32) {
            assert_eq!(to_fixed(value), fixed, "{value}");
        }
        check(0.0, 0);
        check(1.0, 1 << 24);
        check(-0.5, -(1 << 23));
        check(1e9, i32::MAX);
        check(-1e9, i32::MIN);
        check(f64::NAN, 0);
        assert_eq!(from_fixed(1 << 24), 1.0);
    }
}
