//! The network as burn tensors, run on blocks of one fixed shape.

use crate::examples::Examples;
use crate::model::{Architecture, Layer};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Rows of a block. Every pass has exactly this many rows, zero-padded, so that the same kernels
/// run in the same order on every row (see [`super`]).
pub const BLOCK: usize = 64;

/// A model ready to run: burn tensors made from flat `f32` parameters.
pub struct Network {
    inputs: usize,
    layers: Vec<LayerTensors>,
    device: Device,
}

/// One layer's parameters: weight `[inputs, outputs]`, bias `[1, outputs]`; constants to autodiff.
struct LayerTensors {
    outputs: usize,
    weight: Tensor<2>,
    bias: Tensor<2>,
}

/// One block of rows on their way in: inputs `[BLOCK, inputs]`, and for each which output has an outcome, which,
/// and how much it counts: `[BLOCK]`.
pub(super) struct Block {
    width: usize,
    inputs: Vec<f32>,
    outputs: Vec<u8>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

impl Block {
    /// All zero.
    pub(super) fn new(width: usize) -> Self {
        let zeros = || vec![0.0; BLOCK];
        let inputs = vec![0.0; BLOCK * width];
        Self { width, inputs, outputs: vec![0; BLOCK], labels: zeros(), weights: zeros() }
    }

    /// All zero again.
    pub(super) fn clear(&mut self) {
        self.inputs.fill(0.0);
        self.outputs.fill(0);
        self.labels.fill(0.0);
        self.weights.fill(0.0);
    }

    /// Puts a row at a position.
    pub(super) fn set(&mut self, slot: usize, inputs: &[f32], output: u8, label: f32, weight: f32) {
        self.inputs[slot * self.width..(slot + 1) * self.width].copy_from_slice(inputs);
        self.outputs[slot] = output;
        self.labels[slot] = label;
        self.weights[slot] = weight;
    }

    /// Puts a row of `examples` at a position.
    pub(super) fn set_row(&mut self, slot: usize, examples: &Examples, row: usize) {
        let (output, label, weight) = (examples.output(row), examples.label(row), examples.weight(row));
        self.set(slot, examples.row(row), output, label, weight);
    }

    /// Which output the row at a position has an outcome for.
    fn output(&self, slot: usize) -> usize {
        usize::from(self.outputs[slot])
    }
}

/// What a block leaves behind, all that per-row gradients need: the gradient of row `r` at layer
/// `l` is `inputs[l][r] ⊗ deltas[l][r]` for the weight and `deltas[l][r]` for the bias.
pub(super) struct Trace {
    /// Per layer, what enters it: `[BLOCK, layer.inputs]`.
    pub(super) inputs: Vec<Vec<f32>>,
    /// Per layer, the loss's derivative by what leaves it before the activation:
    /// `[BLOCK, layer.outputs]`.
    pub(super) deltas: Vec<Vec<f32>>,
    /// `[BLOCK]`: of each row the one that it has an outcome for.
    pub(super) logits: Vec<f32>,
}

impl Network {
    /// Takes flat parameters, layer by layer: weight row-major `[inputs, outputs]`, then bias.
    ///
    /// # Panics
    /// Another number of parameters than the architecture's: a bug of the caller.
    #[must_use]
    pub fn new(architecture: &Architecture, parameters: &[f32]) -> Self {
        assert_eq!(parameters.len(), architecture.parameters(), "the architecture counts the parameters");
        let device = Device::flex();
        let layers = architecture
            .layers()
            .iter()
            .map(|&Layer { inputs, outputs, weight_at, bias_at }| LayerTensors {
                outputs,
                weight: tensor(parameters[weight_at..bias_at].to_vec(), [inputs, outputs], &device),
                bias: tensor(parameters[bias_at..bias_at + outputs].to_vec(), [1, outputs], &device),
            })
            .collect();
        Self { inputs: architecture.inputs, layers, device }
    }

    /// The logits of a block, of each row at its own output: `[BLOCK]`.
    pub(super) fn forward(&self, block: &Block) -> Vec<f32> {
        let (last, hidden) = self.layers.split_last().expect("an architecture ends in logits");
        let mut rows = self.rows(block);
        for layer in hidden {
            rows = (rows.matmul(layer.weight.clone()) + layer.bias.clone()).tanh();
        }
        own_logits(block, &values(rows.matmul(last.weight.clone()) + last.bias.clone()))
    }

    /// Forward and backward of binary cross-entropy on the logit of each row's own output, by how much the row
    /// counts, each row for itself; its other outputs have the delta 0.
    ///
    /// Weights enter as constants. Each hidden layer's bias, expanded to the block and made a leaf,
    /// is the probe whose gradient is that layer's deltas: one backward pass yields the deltas of
    /// all rows and forms no weight gradient.
    pub(super) fn trace(&self, block: &Block) -> Trace {
        let (last, hidden) = self.layers.split_last().expect("an architecture ends in logits");
        let mut rows = self.rows(block);
        let mut inputs = vec![block.inputs.clone()];
        let mut probes = Vec::with_capacity(hidden.len());
        for layer in hidden {
            let probe = layer.bias.clone().expand([BLOCK, layer.outputs]).autodiff().require_grad();
            rows = (rows.matmul(layer.weight.clone()) + probe.clone()).tanh();
            inputs.push(values(rows.clone().inner()));
            probes.push(probe);
        }
        let output = rows.matmul(last.weight.clone()) + last.bias.clone();
        let logits = own_logits(block, &values(output.clone().inner()));
        let mut seed = vec![0.0; BLOCK * last.outputs];
        for (slot, (&logit, &label)) in logits.iter().zip(&block.labels).enumerate() {
            seed[slot * last.outputs + block.output(slot)] = block.weights[slot] * output_delta(logit, label);
        }
        let mut deltas = Vec::with_capacity(self.layers.len());
        if !probes.is_empty() {
            let pulled = output * tensor(seed.clone(), [BLOCK, last.outputs], &self.device);
            let mut gradients = pulled.sum().backward();
            for probe in probes {
                let delta = probe.grad_remove(&mut gradients).expect("every probe is on the tape");
                deltas.push(values(delta));
            }
        }
        deltas.push(seed);
        Trace { inputs, deltas, logits }
    }

    /// Checks the bits rule with these parameters on this machine: one row at every position, and
    /// at every second position between rows of NaN, leaves the same bits everywhere. The row is a
    /// fixed pattern, so this reads no data.
    ///
    /// # Panics
    /// The rule does not hold: the sensitivity of [`super::clipped_sum`] would be unproven here, so
    /// nothing may be trained.
    pub fn assert_bits_rule(&self) {
        let pattern: Vec<f32> = (0..self.inputs).map(pattern).collect();
        let poison = vec![f32::NAN; self.inputs];
        let outputs = self.layers.last().expect("an architecture ends in logits").outputs;
        let outputs = u8::try_from(outputs).expect("a study has a few predictions");
        for output in 0..outputs {
            let mut block = Block::new(self.inputs);
            for slot in 0..BLOCK {
                block.set(slot, &pattern, output, 1.0, 1.0);
            }
            let everywhere = self.trace(&block);
            let expected = everywhere.row_bits(0);
            for slot in (1..BLOCK).step_by(2) {
                block.set(slot, &poison, (output + 1) % outputs, 1.0, 1.0);
            }
            let between = self.trace(&block);
            for slot in 0..BLOCK {
                assert!(
                    everywhere.row_bits(slot) == expected,
                    "bits rule: a row's place changes its gradient"
                );
                assert!(
                    slot % 2 == 1 || between.row_bits(slot) == expected,
                    "bits rule: a row's neighbours change its gradient"
                );
            }
        }
    }

    fn rows(&self, block: &Block) -> Tensor<2> {
        tensor(block.inputs.clone(), [BLOCK, self.inputs], &self.device)
    }
}

impl Trace {
    /// What enters layer `layer` at one row.
    pub(super) fn inputs_of(&self, layer: usize, row: usize) -> &[f32] {
        row_of(&self.inputs[layer], row)
    }

    /// The deltas of layer `layer` at one row.
    pub(super) fn deltas_of(&self, layer: usize, row: usize) -> &[f32] {
        row_of(&self.deltas[layer], row)
    }

    /// Every bit that a row's gradient is made of.
    pub(super) fn row_bits(&self, row: usize) -> Vec<u32> {
        let numbers = self.inputs.iter().chain(&self.deltas).flat_map(|values| row_of(values, row));
        numbers.chain(&self.logits[row..=row]).map(|value| value.to_bits()).collect()
    }
}

/// Of each row the logit that it has an outcome for.
fn own_logits(block: &Block, logits: &[f32]) -> Vec<f32> {
    (0..BLOCK).map(|slot| row_of(logits, slot)[block.output(slot)]).collect()
}

fn row_of(values: &[f32], row: usize) -> &[f32] {
    let width = values.len() / BLOCK;
    &values[row * width..(row + 1) * width]
}

/// `sigmoid(logit) - label`: the derivative of binary cross-entropy by the logit. In `f64`, one row
/// at a time, so that neither overflow nor vector width touches it.
#[expect(clippy::cast_possible_truncation, reason = "deltas are f32, rounded once")]
fn output_delta(logit: f32, label: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp()) - f64::from(label)) as f32
}

/// A value in [-1, 1) that differs at every input and uses all bits of an `f32`.
#[expect(clippy::cast_precision_loss, reason = "any value will do")]
fn pattern(input: usize) -> f32 {
    let mixed = (input as u32).wrapping_add(1).wrapping_mul(0x9e37_79b9);
    (mixed ^ (mixed >> 15)) as f32 / (1_u64 << 31) as f32 - 1.0
}

/// The type is named, never the device's default, which another part of a program could change.
fn tensor(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("tensors here are f32")
}
