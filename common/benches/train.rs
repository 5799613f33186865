//! Private steps against plain burn training of the same network on the same rows: the price of
//! per-person clipping. Run one thread (`RAYON_NUM_THREADS=1`) for figures per core.

use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use consilium_common::examples::Examples;
use consilium_common::model::Architecture;
use consilium_common::privacy::clip::Lattice;
use consilium_common::train::{clipped_sum, logits};
use divan::{Bencher, counter::ItemsCount};

/// Rows of a batch.
const BATCH: usize = 512;
/// Networks: hidden layers over the inputs.
const SHAPES: [(usize, &[usize]); 4] = [(13, &[]), (13, &[16]), (500, &[]), (500, &[256, 128])];

fn main() {
    divan::main();
}

struct Case {
    architecture: Architecture,
    parameters: Vec<f32>,
    examples: Examples,
}

fn case(shape: usize) -> Case {
    let (inputs, hidden) = SHAPES[shape];
    let mut state = 1_u64;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let architecture = Architecture { inputs, hidden: hidden.to_vec(), outputs: 1 };
    let parameters = (0..architecture.parameters()).map(|_| 0.1 * unit()).collect();
    let mut examples = Examples::new(inputs);
    for person in 0..BATCH {
        examples.push_person(&[((0..inputs).map(|_| unit()).collect(), (person % 2) as f32)], vec![]);
    }
    Case { architecture, parameters, examples }
}

/// One private step before noise: passes, norms, clipping, integer sum.
#[divan::bench(args = 0..SHAPES.len())]
fn private(bencher: Bencher<'_, '_>, shape: usize) {
    let Case { architecture, parameters, examples } = case(shape);
    let lattice = Lattice::for_dimension(architecture.parameters());
    let people: Vec<u32> = (0..BATCH as u32).collect();
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench(|| clipped_sum(&architecture, &parameters, &examples, &people, 1.0, &lattice, BATCH));
}

/// Forward and backward of the mean loss over one batch by burn's autodiff, parameters tracked.
#[divan::bench(args = 0..SHAPES.len())]
fn plain(bencher: Bencher<'_, '_>, shape: usize) {
    let Case { architecture, parameters, examples } = case(shape);
    let device = Device::flex();
    let tensor = |values: Vec<f32>, shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values, shape), (&device, DType::F32))
    };
    let rows: Vec<f32> = (0..BATCH).flat_map(|row| examples.row(row).to_vec()).collect();
    let labels: Vec<f32> = (0..BATCH).map(|row| examples.label(row)).collect();
    bencher.counter(ItemsCount::new(BATCH)).bench(|| {
        let mut x = tensor(rows.clone(), [BATCH, architecture.inputs]);
        let y = tensor(labels.clone(), [BATCH, 1]);
        let mut leaves = Vec::new();
        let layers = architecture.layers();
        for (index, layer) in layers.iter().enumerate() {
            let part = |from: usize, to: usize, shape| {
                tensor(parameters[from..to].to_vec(), shape).autodiff().require_grad()
            };
            let weight = part(layer.weight_at, layer.bias_at, [layer.inputs, layer.outputs]);
            let bias = part(layer.bias_at, layer.bias_at + layer.outputs, [1, layer.outputs]);
            x = x.matmul(weight.clone()) + bias.clone();
            if index + 1 < layers.len() {
                x = x.tanh();
            }
            leaves.extend([weight, bias]);
        }
        let loss = (x.clone() - x.clone() * y - activation::log_sigmoid(x)).mean();
        let gradients = loss.backward();
        leaves.iter().map(|leaf| leaf.grad(&gradients).expect("tracked")).collect::<Vec<_>>()
    });
}

/// Forward only: scoring.
#[divan::bench(args = 0..SHAPES.len())]
fn score(bencher: Bencher<'_, '_>, shape: usize) {
    let Case { architecture, parameters, examples } = case(shape);
    bencher.counter(ItemsCount::new(BATCH)).bench(|| logits(&architecture, &parameters, &examples));
}
