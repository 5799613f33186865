//! Weighted sums of per-row gradients in `f64`, without ever holding one gradient per row.

use super::network::Trace;
use crate::model::{Architecture, Layer};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Rows gathered before one matrix product takes them all: bounds the memory at
/// `STAGE × (widths of all layers)` numbers.
const STAGE: usize = 256;

/// `Σ_rows factor · gradient(row)`, flat in the model's order.
///
/// Layers with one output add up directly; the others gather rows and take `inputsᵀ · (factor ·
/// deltas)` by burn in `f64`. The value depends on the rows given and their order alone: within
/// rounding of γ_n per coordinate for n rows, whichever way the product orders its additions.
pub(super) struct GradientSum {
    layers: Vec<Layer>,
    sum: Vec<f64>,
    staged: Vec<Staged>,
    filled: usize,
    zeros: Vec<f32>,
    device: Device,
}

/// Gathered rows of one layer: inputs `[STAGE, layer.inputs]`, deltas `[STAGE, layer.outputs]`;
/// empty for a layer with one output.
struct Staged {
    inputs: Vec<f64>,
    deltas: Vec<f64>,
}

impl GradientSum {
    /// Zero.
    pub(super) fn new(architecture: &Architecture) -> Self {
        let layers = architecture.layers();
        let staged = layers
            .iter()
            .map(|layer| {
                let rows = if layer.outputs == 1 { 0 } else { STAGE };
                Staged { inputs: vec![0.0; rows * layer.inputs], deltas: vec![0.0; rows * layer.outputs] }
            })
            .collect();
        let widest = layers.iter().map(|layer| layer.inputs.max(layer.outputs)).max().unwrap_or(0);
        Self {
            sum: vec![0.0; architecture.parameters()],
            staged,
            filled: 0,
            zeros: vec![0.0; widest],
            device: Device::flex(),
            layers,
        }
    }

    /// Adds `factor ·` the gradient of one row of a block. A factor of 0 adds zeros by the same
    /// work, and reads nothing of the row: 0 · NaN never enters.
    pub(super) fn add_row(&mut self, trace: &Trace, row: usize, factor: f64) {
        for (index, layer) in self.layers.iter().enumerate() {
            let (inputs, deltas) = if factor == 0.0 {
                (&self.zeros[..layer.inputs], &self.zeros[..layer.outputs])
            } else {
                (trace.inputs_of(index, row), trace.deltas_of(index, row))
            };
            let (weight, bias) = self.sum[layer.weight_at..layer.bias_at + layer.outputs]
                .split_at_mut(layer.bias_at - layer.weight_at);
            for (bias, &delta) in bias.iter_mut().zip(deltas) {
                *bias += factor * f64::from(delta);
            }
            let staged = &mut self.staged[index];
            if layer.outputs == 1 {
                let scaled = factor * f64::from(deltas[0]);
                for (weight, &input) in weight.iter_mut().zip(inputs) {
                    *weight += scaled * f64::from(input);
                }
            } else {
                let at = self.filled * layer.inputs;
                for (to, &input) in staged.inputs[at..at + layer.inputs].iter_mut().zip(inputs) {
                    *to = f64::from(input);
                }
                let at = self.filled * layer.outputs;
                for (to, &delta) in staged.deltas[at..at + layer.outputs].iter_mut().zip(deltas) {
                    *to = factor * f64::from(delta);
                }
            }
        }
        #[cfg(feature = "mutants")]
        super::mutated::round_sum(&mut self.sum);
        self.filled += 1;
        if self.filled == STAGE {
            self.flush();
        }
    }

    /// Adds `factor · vector`.
    pub(super) fn add_vector(&mut self, vector: &[f64], factor: f64) {
        for (sum, value) in self.sum.iter_mut().zip(vector) {
            *sum += factor * value;
        }
    }

    /// The sum so far, every row in it.
    pub(super) fn total(&mut self) -> &mut [f64] {
        self.flush();
        &mut self.sum
    }

    /// Zero again.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
        self.sum.fill(0.0);
    }

    fn flush(&mut self) {
        let rows = std::mem::take(&mut self.filled);
        if rows == 0 {
            return;
        }
        for (layer, staged) in self.layers.iter().zip(&self.staged) {
            if layer.outputs == 1 {
                continue;
            }
            let part = |values: &[f64], width: usize| {
                let data = TensorData::new(values[..rows * width].to_vec(), [rows, width]);
                Tensor::<2>::from_data(data, (&self.device, DType::F64))
            };
            let inputs = part(&staged.inputs, layer.inputs);
            let deltas = part(&staged.deltas, layer.outputs);
            let product = inputs.transpose().matmul(deltas).into_data();
            let product = product.as_slice::<f64>().expect("tensors here are f64");
            for (sum, value) in self.sum[layer.weight_at..layer.bias_at].iter_mut().zip(product) {
                *sum += value;
            }
        }
    }
}
