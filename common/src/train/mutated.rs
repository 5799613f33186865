//! What broken variants do instead of a step's parts. See [`crate::mutant`].

use super::gradient::GradientSum;
use super::local::LocalRound;
use super::network::Trace;
use crate::examples::{Example, Examples};
use crate::model::Architecture;
use crate::mutant::{Mutant, is};
use crate::privacy::clip::{Lattice, norm_squared_upper};
use crate::privacy::sampling::poisson_sample;
use rand_core::CryptoRng;
use std::borrow::Cow;

/// The examples that a round trains on.
pub(super) fn people(examples: &Examples) -> Cow<'_, Examples> {
    if !is(Mutant::SamplePerRecord) {
        return Cow::Borrowed(examples);
    }
    let mut records = Examples::new(examples.width());
    for row in 0..examples.len() {
        let (inputs, output, label) = (examples.row(row).to_vec(), examples.output(row), examples.label(row));
        let weight = examples.weight(row);
        records.push_examples(vec![Example { inputs, output, label, weight, groups: vec![] }]);
    }
    Cow::Owned(records)
}

/// Who joins a step.
pub(super) fn sample(rng: &mut impl CryptoRng, people: usize, rate: f64, sample: Vec<u32>) -> Vec<u32> {
    if is(Mutant::DoubleRate) {
        return poisson_sample(rng, people, (2.0 * rate).min(1.0));
    }
    if !is(Mutant::ShuffledBatches) {
        return sample;
    }
    let mut order: Vec<u32> = (0..u32::try_from(people).expect("few people")).collect();
    let size = (people as f64 * rate).round() as usize;
    for at in 0..size {
        let left = (people - at) as u64;
        order.swap(at, at + usize::try_from(rng.next_u64() % left).expect("an index"));
    }
    order.truncate(size);
    order.sort_unstable();
    order
}

/// What a step divides by, given who joined.
pub(super) fn params(params: &LocalRound, joined: usize) -> LocalRound {
    let mut params = params.clone();
    if is(Mutant::PrivateDenominator) {
        params.denominator = joined.max(1) as f64;
    }
    params
}

/// How many records a person's mean is over.
pub(super) fn records(of: usize) -> usize {
    if is(Mutant::ClipPerRecord) { 1 } else { of }
}

/// Adds one row, each tensor clipped by itself.
pub(super) fn add_per_layer(
    total: &mut GradientSum,
    trace: &Trace,
    row: usize,
    architecture: &Architecture,
    lattice: &Lattice,
    clip_norm: f64,
) {
    let mut alone = GradientSum::new(architecture);
    alone.add_row(trace, row, 1.0);
    let gradient = alone.total();
    for layer in architecture.layers() {
        for tensor in [layer.weight_at..layer.bias_at, layer.bias_at..layer.bias_at + layer.outputs] {
            let tensor = &mut gradient[tensor];
            let factor = lattice.person_factor(norm_squared_upper(tensor), clip_norm);
            tensor.iter_mut().for_each(|value| *value = if factor > 0.0 { *value * factor } else { 0.0 });
        }
    }
    total.add_vector(gradient, 1.0);
}

/// The sum after one more addition.
#[expect(clippy::cast_possible_truncation, reason = "this is the mistake")]
pub(super) fn round_sum(sum: &mut [f64]) {
    if is(Mutant::SumInF32) {
        sum.iter_mut().for_each(|value| *value = f64::from(*value as f32));
    }
}
