//! Training with burn: examples become integer sums of clipped per-person gradients.
//!
//! Invariant (the bits rule): a row's activations and deltas have the same bits in any batch and at
//! any position, because rows run in zero-padded blocks of one fixed shape ([`BLOCK`] rows). On it
//! rests the claim that one person moves [`clipped_sum`] by at most the lattice's sensitivity: all
//! other people's terms cancel exactly. [`Network::assert_bits_rule`] checks it on the machine that
//! runs, the tests on every position and several thread counts.
//!
//! Only sums over people are taken in `f64`; a person's own pass is `f32`. The `f32` weight
//! gradient that plain training would take over the whole batch is never formed.

mod clipped;
mod gradient;
pub mod local;
#[cfg(feature = "mutants")]
mod mutated;
mod network;
mod norm;
pub mod reference;

pub use clipped::clipped_sum;
pub use network::{BLOCK, Network};

use crate::examples::Examples;
use crate::model::{Architecture, from_fixed};

/// The `f32` parameters that a fixed-point model is run with: each the nearest to its value.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is what is wanted")]
pub fn parameters(model: &[i32]) -> Vec<f32> {
    model.iter().map(|&value| from_fixed(value) as f32).collect()
}

/// One logit per example, in order, of the example's own prediction: the probability is `1 / (1 + exp(-logit))`.
///
/// # Privacy
/// Un-noised: a logit depends on its own example and the parameters only (the bits rule), but it
/// stays at the site until a mechanism has aggregated it.
///
/// # Panics
/// Parameters or examples of another shape than the architecture's: a bug of the caller.
#[must_use]
pub fn logits(architecture: &Architecture, parameters: &[f32], examples: &Examples) -> Vec<f32> {
    logits_padded(architecture, parameters, examples, 0)
}

/// As [`logits`], computing `ceil(max(padded_rows, examples) / BLOCK)` blocks.
///
/// # Privacy
/// As [`logits`]; the time depends on the public `padded_rows` alone unless there are more examples.
///
/// # Panics
/// As [`logits`].
#[must_use]
pub fn logits_padded(
    architecture: &Architecture,
    parameters: &[f32],
    examples: &Examples,
    padded_rows: usize,
) -> Vec<f32> {
    assert_eq!(examples.width(), architecture.inputs, "examples have the model's inputs");
    let network = Network::new(architecture, parameters);
    let mut block = network::Block::new(architecture.inputs);
    let mut logits = Vec::with_capacity(examples.len());
    for start in (0..examples.len().max(padded_rows)).step_by(BLOCK) {
        let rows = examples.len().min(start)..examples.len().min(start + BLOCK);
        block.clear();
        for (slot, row) in rows.clone().enumerate() {
            block.set_row(slot, examples, row);
        }
        logits.extend_from_slice(&network.forward(&block)[..rows.len()]);
    }
    logits
}

#[cfg(test)]
mod tests;
