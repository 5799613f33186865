//! The whole core against brute force, the bits rule, and the sensitivity.

use super::gradient::GradientSum;
use super::network::{Block, Trace};
use super::norm::of_row as norm_of_row;
use super::*;
use crate::examples::Example;
use crate::privacy::clip::Lattice;
use burn::tensor::{DType, Device, Tensor, TensorData, activation};

/// Small deterministic pseudo-random numbers for inputs and weights.
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// In [-1, 1).
    pub(super) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(super) fn row(&mut self, width: usize) -> (Vec<f32>, f32) {
        let inputs = (0..width).map(|_| self.unit()).collect();
        (inputs, f32::from(u8::from(self.unit() > 0.0)))
    }

    pub(super) fn people(&mut self, width: usize, rows: &[usize]) -> Examples {
        let mut examples = Examples::new(width);
        for &rows in rows {
            let rows: Vec<_> = (0..rows).map(|_| self.row(width)).collect();
            examples.push_person(&rows, vec![]);
        }
        examples
    }

    /// Everybody with the given numbers of examples of each prediction.
    fn people_of(&mut self, width: usize, rows: &[&[usize]]) -> Examples {
        let mut examples = Examples::new(width);
        for rows in rows {
            let mut own = Vec::new();
            for (output, &rows) in (0_u8..).zip(*rows) {
                own.extend((0..rows).map(|_| self.row(width)).map(|(inputs, label)| Example {
                    inputs,
                    output,
                    label,
                    weight: 1.0,
                    groups: vec![],
                }));
            }
            examples.push_examples(own);
        }
        examples
    }

    pub(super) fn parameters(&mut self, architecture: &Architecture) -> Vec<f32> {
        (0..architecture.parameters()).map(|_| 0.5 * self.unit()).collect()
    }
}

fn shape(inputs: usize, hidden: &[usize]) -> Architecture {
    Architecture { inputs, hidden: hidden.to_vec(), outputs: 1 }
}

/// The same with a logit for each of several predictions.
fn with_outputs(inputs: usize, hidden: &[usize], outputs: usize) -> Architecture {
    Architecture { outputs, ..shape(inputs, hidden) }
}

/// One example's gradient by burn's own autodiff over the parameters, all in `f64`.
fn gradient_alone(
    architecture: &Architecture,
    parameters: &[f32],
    examples: &Examples,
    row: usize,
) -> Vec<f64> {
    let (inputs, label) = (examples.row(row), examples.label(row));
    let device = Device::flex();
    let tensor = |values: &[f32], shape: [usize; 2]| {
        let values: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        Tensor::<2>::from_data(TensorData::new(values, shape), (&device, DType::F64))
    };
    let mut leaves = Vec::new();
    let mut x = tensor(inputs, [1, inputs.len()]).autodiff();
    let layers = architecture.layers();
    for (index, layer) in layers.iter().enumerate() {
        let end = layer.bias_at + layer.outputs;
        let weight = tensor(&parameters[layer.weight_at..layer.bias_at], [layer.inputs, layer.outputs]);
        let bias = tensor(&parameters[layer.bias_at..end], [1, layer.outputs]);
        let (weight, bias) = (weight.autodiff().require_grad(), bias.autodiff().require_grad());
        x = x.matmul(weight.clone()) + bias.clone();
        if index + 1 < layers.len() {
            x = x.tanh();
        }
        leaves.extend([weight, bias]);
    }
    let output = usize::from(examples.output(row));
    let x = x.slice([0..1, output..output + 1]);
    // -log σ(z) for label 1, -log σ(-z) for label 0.
    let signed = if label == 1.0 { x } else { -x };
    let gradients = (-activation::log_sigmoid(signed)).sum().backward();
    let read = |leaf: &Tensor<2>| leaf.grad(&gradients).unwrap().into_data().try_into_vec::<f64>().unwrap();
    leaves.iter().flat_map(read).collect()
}

fn person_alone(
    architecture: &Architecture,
    parameters: &[f32],
    examples: &Examples,
    person: usize,
) -> Vec<f64> {
    let rows = examples.rows_of(person);
    let mut mean = vec![0.0; architecture.parameters()];
    for row in rows.clone() {
        let one = gradient_alone(architecture, parameters, examples, row);
        let of = rows.clone().filter(|other| examples.output(*other) == examples.output(row)).count();
        for (mean, value) in mean.iter_mut().zip(one) {
            *mean += value / of as f64;
        }
    }
    mean
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// What [`clipped_sum`] should give, before truncation, by brute force.
fn brute_force(
    architecture: &Architecture,
    parameters: &[f32],
    examples: &Examples,
    clip_norm: f64,
    lattice: &Lattice,
) -> Vec<f64> {
    let mut sum = vec![0.0; architecture.parameters()];
    for person in 0..examples.people() {
        let gradient = person_alone(architecture, parameters, examples, person);
        let norm = norm(gradient.iter().copied());
        let factor = (lattice.person_max() / norm).min(lattice.units() as f64 / clip_norm);
        for (sum, value) in sum.iter_mut().zip(gradient) {
            *sum += factor * value;
        }
    }
    sum
}

fn everybody(examples: &Examples) -> Vec<u32> {
    (0..examples.people() as u32).collect()
}

#[test]
fn sums_agree_with_one_at_a_time() {
    fn check(inputs: usize, hidden: &[usize], rows: &[usize], clip_norm: f64) {
        let examples = Draw::new(77).people(inputs, rows);
        check_shape(&shape(inputs, hidden), &examples, clip_norm);
    }
    fn check_shape(architecture: &Architecture, examples: &Examples, clip_norm: f64) {
        let inputs = architecture.inputs;
        let hidden = &architecture.hidden;
        let parameters = Draw::new(inputs as u64).parameters(architecture);
        let lattice = Lattice::for_dimension(architecture.parameters());
        let expected = brute_force(architecture, &parameters, examples, clip_norm, &lattice);
        let sum =
            clipped_sum(architecture, &parameters, examples, &everybody(examples), clip_norm, &lattice, 0);
        // A unit of truncation per coordinate, and f32 in the passes.
        let error = norm(sum.iter().zip(&expected).map(|(&got, want)| got as f64 - want));
        let allowed = (sum.len() as f64).sqrt() + 1e-6 * norm(expected.iter().copied());
        assert!(error <= allowed, "{inputs} {hidden:?}: {error} > {allowed}");
        assert!(norm(expected) > 1e3, "the case says something");
    }
    // Clip norms below, within and above the gradients' norms.
    for clip_norm in [0.01, 0.7, 20.0] {
        check(1, &[], &[1; 5], clip_norm);
        check(13, &[], &[1; 130], clip_norm);
        check(13, &[16], &[1; 130], clip_norm);
        check(5, &[4, 3], &[1; 65], clip_norm);
        check(3, &[1, 2], &[1, 2, 3, 64, 65, 1, 7], clip_norm);
        check(6, &[], &[2, 1, 130, 0, 1], clip_norm);
        check(4, &[5], &[1, 1000, 1, 300], clip_norm);
        // Several predictions: everybody with an example of some, of none, of one several times.
        let rows: [&[usize]; 6] = [&[1, 1, 1], &[0, 1, 0], &[], &[0, 0, 1], &[2, 1, 70], &[1, 0, 1]];
        let examples = Draw::new(12).people_of(6, &rows.repeat(9));
        for hidden in [&[][..], &[5], &[4, 3]] {
            check_shape(&with_outputs(6, hidden, 3), &examples, clip_norm);
        }
    }
}

#[test]
fn row_norms_are_tight_upper_bounds() {
    fn check(inputs: usize, hidden: &[usize]) {
        let mut draw = Draw::new(99);
        let architecture = shape(inputs, hidden);
        let parameters = draw.parameters(&architecture);
        let examples = draw.people(inputs, &[1; BLOCK]);
        let trace = trace_of(&architecture, &parameters, &examples, 0..BLOCK);
        for row in 0..BLOCK {
            // The gradient that the row's f32 bits stand for, each component exact in f64.
            let mut gradient = GradientSum::new(&architecture);
            gradient.add_row(&trace, row, 1.0);
            let squared: f64 = gradient.total().iter().map(|g| g * g).sum();
            let upper = norm_of_row(&trace, row);
            assert!(upper >= squared * (1.0 - 1e-14), "{upper} < {squared}");
            assert!(upper <= squared * (1.0 + 1e-9), "{upper} is far above {squared}");
        }
    }
    check(13, &[]);
    check(13, &[16]);
    check(50, &[32, 16]);
}

fn trace_of(
    architecture: &Architecture,
    parameters: &[f32],
    examples: &Examples,
    rows: impl IntoIterator<Item = usize>,
) -> Trace {
    let mut block = Block::new(architecture.inputs);
    for (slot, row) in rows.into_iter().enumerate() {
        block.set_row(slot, examples, row);
    }
    Network::new(architecture, parameters).trace(&block)
}

/// A row's bits at every position of a block, beside other rows, beside zeros, and beside NaN.
#[test]
fn bits_rule() {
    fn check(inputs: usize, hidden: &[usize]) {
        check_shape(&shape(inputs, hidden));
        check_shape(&with_outputs(inputs, hidden, 4));
    }
    fn check_shape(architecture: &Architecture) {
        let mut draw = Draw::new(5);
        let (inputs, hidden) = (architecture.inputs, &architecture.hidden);
        let parameters = draw.parameters(architecture);
        // Neighbours are examples of other predictions too.
        let mut examples = Examples::new(inputs);
        for person in 0..2 * BLOCK {
            let (inputs, label) = draw.row(inputs);
            let output = u8::try_from(person % architecture.outputs).expect("few");
            examples.push_examples(vec![Example { inputs, output, label, weight: 1.0, groups: vec![] }]);
        }
        examples.push_person(&[(vec![f32::NAN; inputs], 1.0)], vec![]);
        let nan = 2 * BLOCK;
        let alone = trace_of(architecture, &parameters, &examples, [0]).row_bits(0);
        for slot in 0..BLOCK {
            for neighbours in 0..3 {
                let rows = (0..BLOCK).map(|other| match (other == slot, neighbours) {
                    (true, _) => 0,
                    (_, 0) => 1 + other,
                    (_, 1) => nan,
                    _ => 1 + (other * 37 + slot) % (2 * BLOCK - 1),
                });
                let bits = trace_of(architecture, &parameters, &examples, rows).row_bits(slot);
                assert!(bits == alone, "{inputs} {hidden:?}: position {slot}, neighbours {neighbours}");
            }
        }
        Network::new(architecture, &parameters).assert_bits_rule();
    }
    check(1, &[]);
    check(13, &[]);
    check(500, &[]);
    check(13, &[16]);
    check(13, &[1]);
    check(13, &[2, 2]);
    check(30, &[7, 5, 3]);
    check(500, &[256, 128]);
}

/// The same traces and the same sums on one thread and on several.
#[test]
fn threads_do_not_change_bits() {
    fn check(inputs: usize, hidden: &[usize], rows: &[usize]) {
        let mut draw = Draw::new(8);
        let architecture = shape(inputs, hidden);
        let parameters = draw.parameters(&architecture);
        let examples = draw.people(inputs, rows);
        let lattice = Lattice::for_dimension(architecture.parameters());
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let trace = trace_of(&architecture, &parameters, &examples, 0..BLOCK);
                let bits: Vec<_> = (0..BLOCK).map(|row| trace.row_bits(row)).collect();
                let sum = clipped_sum(
                    &architecture,
                    &parameters,
                    &examples,
                    &everybody(&examples),
                    0.5,
                    &lattice,
                    0,
                );
                (bits, sum)
            })
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{inputs} {hidden:?}: {threads} threads");
        }
    }
    check(13, &[16], &[1; 70]);
    check(500, &[256, 128], &[&[1; 70][..], &[300]].concat());
}

/// Adding one person, anywhere in the batch, moves the integer sum by at most the lattice's units.
#[test]
fn one_person_moves_the_sum_by_at_most_s() {
    fn check(inputs: usize, hidden: &[usize], others: &[usize], rows: usize, clip_norm: f64) {
        let mut draw = Draw::new(others.len() as u64);
        let architecture = shape(inputs, hidden);
        let parameters = draw.parameters(&architecture);
        let mut examples = draw.people(inputs, others);
        // A surprising person: the outcome that the model rules out, so that they are clipped and
        // use all the room that they may. Their rows are alike, so that their mean is as large.
        let mut unlikely = Examples::new(inputs);
        let (row, _) = draw.row(inputs);
        unlikely.push_person(&[(row.clone(), 0.0)], vec![]);
        let label = f32::from(u8::from(logits(&architecture, &parameters, &unlikely)[0] < 0.0));
        let rows: Vec<_> =
            (0..rows).map(|_| (row.iter().map(|v| v + 0.01 * draw.unit()).collect(), label)).collect();
        examples.push_person(&rows, vec![]);
        let mut first = Examples::new(inputs);
        first.push_person(&rows, vec![]);
        first.append(&examples);
        let lattice = Lattice::for_dimension(architecture.parameters());
        let sum = |examples: &Examples, people: &[u32]| {
            clipped_sum(&architecture, &parameters, examples, people, clip_norm, &lattice, 0)
        };
        let n = others.len() as u32;
        let without: Vec<u32> = (0..n).collect();
        let with: Vec<u32> = (0..=n).collect();
        let base = sum(&examples, &without);
        // Last in the batch; then first, which moves everybody else by a place.
        for moved in [sum(&examples, &with), sum(&first, &with)] {
            let squared: u128 = moved
                .iter()
                .zip(&base)
                .map(|(a, b)| u128::from(a.abs_diff(*b)) * u128::from(a.abs_diff(*b)))
                .sum();
            let units = u128::from(lattice.units());
            assert!(squared <= units * units, "{inputs} {hidden:?}: {squared} > {units}²");
            assert!(squared > units * units / 2, "the person uses their room: {squared}");
        }
    }
    for clip_norm in [1e-3, 1.0] {
        check(13, &[], &[1; 100], 1, clip_norm);
        check(13, &[16], &[1; 63], 1, clip_norm);
        check(13, &[16], &[1, 3, 1, 64, 2], 5, clip_norm);
        check(40, &[30, 20], &[1; 200], 2, clip_norm);
        check(13, &[], &[], 1, clip_norm);
    }
    check(500, &[256, 128], &[1; 64], 1, 0.1);
}

#[test]
fn an_example_pulls_by_its_weight() {
    let mut draw = Draw::new(8);
    let architecture = with_outputs(5, &[4], 1);
    let parameters = draw.parameters(&architecture);
    let (inputs, label) = draw.row(5);
    let lattice = Lattice::for_dimension(architecture.parameters());
    let sum = |weight| {
        let mut examples = Examples::new(5);
        examples.push_examples(vec![Example {
            inputs: inputs.clone(),
            output: 0,
            label,
            weight,
            groups: vec![],
        }]);
        // Nobody's gradient is that long: nothing is clipped.
        clipped_sum(&architecture, &parameters, &examples, &[0], 1e3, &lattice, 0)
    };
    for (whole, half) in sum(1.0).into_iter().zip(sum(0.5)) {
        assert!((whole - 2 * half).abs() <= 2, "{whole} {half}");
    }
    assert!(sum(0.5).iter().any(|&value| value.abs() > 4), "there is a gradient");
}

/// With several predictions a person's gradient is a sum of several, clipped as one.
#[test]
fn one_person_with_several_predictions_moves_the_sum_by_at_most_s() {
    fn check(hidden: &[usize], rows: &[usize], clip_norm: f64) {
        let mut draw = Draw::new(rows.len() as u64);
        let architecture = with_outputs(9, hidden, 3);
        let parameters = draw.parameters(&architecture);
        let others = draw.people_of(9, &[&[1, 1, 1][..], &[0, 1, 0], &[2, 0, 1], &[]].repeat(20));
        let (inputs, _) = draw.row(9);
        let mut surprising = Vec::new();
        for (output, &rows) in (0_u8..).zip(rows) {
            let mut unlikely = Examples::new(9);
            let example = Example { inputs: inputs.clone(), output, label: 0.0, weight: 1.0, groups: vec![] };
            unlikely.push_examples(vec![example.clone()]);
            let label = f32::from(u8::from(logits(&architecture, &parameters, &unlikely)[0] < 0.0));
            surprising.extend((0..rows).map(|_| Example { label, ..example.clone() }));
        }
        let mut examples = Examples::new(9);
        examples.push_examples(surprising);
        examples.append(&others);
        let lattice = Lattice::for_dimension(architecture.parameters());
        let n = others.people() as u32;
        let sum = |people: &[u32]| {
            clipped_sum(&architecture, &parameters, &examples, people, clip_norm, &lattice, 0)
        };
        let (with, without) = (sum(&(0..=n).collect::<Vec<_>>()), sum(&(1..=n).collect::<Vec<_>>()));
        let squared: u128 = with.iter().zip(&without).map(|(a, b)| u128::from(a.abs_diff(*b)).pow(2)).sum();
        let units = u128::from(lattice.units());
        assert!(squared <= units * units, "{hidden:?} {rows:?}: {squared} > {units}²");
        assert!(squared > units * units / 2, "the person uses their room: {squared}");
    }
    for clip_norm in [1e-3, 0.5] {
        check(&[], &[1, 1, 1], clip_norm);
        check(&[], &[0, 2, 1], clip_norm);
        check(&[6], &[1, 1, 1], clip_norm);
        check(&[6, 4], &[0, 0, 1], clip_norm);
    }
}

#[test]
fn a_person_that_is_not_finite_contributes_zero() {
    fn check(inputs: usize, hidden: &[usize], bad: f32, label: f32) {
        let mut draw = Draw::new(3);
        let architecture = shape(inputs, hidden);
        let parameters = draw.parameters(&architecture);
        let lattice = Lattice::for_dimension(architecture.parameters());
        let good = draw.people(inputs, &[1, 1, 3, 1]);
        let mut row = draw.row(inputs).0;
        row[inputs / 2] = bad;
        let fine = draw.row(inputs);
        let mut examples = Examples::new(inputs);
        examples.push_person(&[(row.clone(), label)], vec![]);
        examples.append(&good);
        // Alone, and as one of several rows.
        examples.push_person(&[fine, (row, label)], vec![]);
        let sum = |examples: &Examples| {
            clipped_sum(&architecture, &parameters, examples, &everybody(examples), 1.0, &lattice, 0)
        };
        assert_eq!(sum(&examples), sum(&good), "{inputs} {hidden:?} {bad} {label}");
    }
    for hidden in [&[][..], &[4], &[4, 2]] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for label in [0.0, 1.0] {
                check(5, hidden, bad, label);
            }
        }
        check(5, hidden, 1.0, f32::NAN);
    }
}

#[test]
fn padding_changes_nothing() {
    fn check(architecture: &Architecture, examples: &Examples) {
        let parameters = Draw::new(21).parameters(architecture);
        let lattice = Lattice::for_dimension(architecture.parameters());
        let sum = |people: &[u32], padded| {
            clipped_sum(architecture, &parameters, examples, people, 1.0, &lattice, padded)
        };
        let expected = sum(&[0, 1, 2], 0);
        for padded in [1, 63, 64, 65, 1000] {
            assert_eq!(sum(&[0, 1, 2], padded), expected);
        }
        assert_eq!(sum(&[], 100), vec![0; architecture.parameters()], "nobody is a legal batch");
    }
    check(&shape(7, &[6]), &Draw::new(22).people(7, &[1, 2, 1]));
    let of_several = Draw::new(23).people_of(7, &[&[1, 1, 1], &[0, 0, 1], &[0, 2, 0]]);
    check(&with_outputs(7, &[6], 3), &of_several);
    check(&with_outputs(7, &[], 3), &of_several);
}

#[test]
fn logits_do_not_depend_on_the_batch() {
    let mut draw = Draw::new(31);
    let architecture = shape(9, &[8, 4]);
    let parameters = draw.parameters(&architecture);
    let examples = draw.people(9, &[1; 150]);
    let together = logits(&architecture, &parameters, &examples);
    assert_eq!(together.len(), 150);
    for person in [0, 1, 63, 64, 149] {
        let mut alone = Examples::new(9);
        alone.push_person(&[(examples.row(person).to_vec(), 0.0)], vec![]);
        let alone = logits(&architecture, &parameters, &alone);
        assert_eq!(alone[0].to_bits(), together[person].to_bits(), "{person}");
    }
    for padded_rows in [0, 1, examples.len(), examples.len() + 1, examples.len() + 3 * BLOCK] {
        let padded = logits_padded(&architecture, &parameters, &examples, padded_rows);
        assert_eq!(padded, together, "{padded_rows} rows");
    }
    assert!(logits(&architecture, &parameters, &Examples::new(9)).is_empty());
    assert!(logits_padded(&architecture, &parameters, &Examples::new(9), 200).is_empty());
}
