//! The integer clipped sum of one private step, before noise.

use super::gradient::GradientSum;
use super::network::{BLOCK, Block, Network};
use super::norm;
use crate::examples::Examples;
use crate::model::Architecture;
use crate::privacy::clip::{Lattice, norm_squared_upper};

/// One row of the batch, and what it means for its person.
#[derive(Clone, Copy)]
struct BatchRow {
    /// None where the person has no example of a prediction: the same work is done on zeros.
    row: Option<usize>,
    /// How many rows the person has for the same prediction.
    of: usize,
    /// The person has no other rows in the batch.
    alone: bool,
    /// The person ends here.
    last: bool,
}

/// The sum over `people` of their clipped gradients in lattice units, before noise.
///
/// A person's gradient is the sum over the study's predictions of the mean over their examples of it,
/// clipped once over all parameters. NaN or infinity anywhere in it makes that person contribute zero.
/// `ceil(max(padded_people × outputs, rows) / BLOCK)` blocks are computed, and everybody has a row for each of
/// the model's outputs, zeros where they have no example of it, and so has everybody who is missing from
/// `padded_people`: with at most one example per person and prediction the time depends on the public
/// `padded_people` alone unless a batch surpasses it. A person with several examples of one prediction costs
/// extra time beyond that. Memory: a few copies of the parameters, and a fixed number of rows.
///
/// # Privacy
/// Unit: one person, all their examples. Neighbours: add or remove one person. L2 sensitivity: at
/// most `lattice.units()`, float error included, by the theorem of [`crate::privacy::clip`], whose
/// conditions hold because
/// (1) *same bits*: a row's bits do not depend on its batch (the bits rule, see [`super`]), and a
/// person with several examples is summed alone, from an own start;
/// (2) *clipped*: the factor comes from an upper bound of the norm (`train::norm`);
/// (3) *one addition*: a person adds `factor · gradient` once to each coordinate (as a rank-one term
/// of a matrix product, or as one vector), all other rows of theirs add exact zeros.
/// The result is not yet private: noise of the lattice must be added before it leaves.
///
/// # Panics
/// Shapes that disagree, people out of order or twice, more than `lattice.batch_max()` people: bugs
/// of the caller.
#[must_use]
pub fn clipped_sum(
    architecture: &Architecture,
    parameters: &[f32],
    examples: &Examples,
    people: &[u32],
    clip_norm: f64,
    lattice: &Lattice,
    padded_people: usize,
) -> Vec<i64> {
    assert_eq!(examples.width(), architecture.inputs, "examples have the model's inputs");
    assert!(people.is_sorted_by(|a, b| a < b), "everybody at most once, in order");
    assert!(
        people.len() <= lattice.batch_max(),
        "the study keeps a batch within what f64 sums exactly enough"
    );
    let network = Network::new(architecture, parameters);
    let outputs = architecture.outputs;
    let rows = batch_rows(examples, people, outputs, padded_people);
    let mut total = GradientSum::new(architecture);
    // The sum of one person with several examples; made only if there is one.
    let mut person: Option<GradientSum> = None;
    let mut block = Block::new(architecture.inputs);
    for index in 0..rows.len().max(padded_people * outputs).div_ceil(BLOCK) {
        let rows = &rows[rows.len().min(index * BLOCK)..rows.len().min((index + 1) * BLOCK)];
        block.clear();
        for (slot, row) in rows.iter().enumerate() {
            if let Some(row) = row.row {
                block.set_row(slot, examples, row);
            }
        }
        let trace = network.trace(&block);
        for slot in 0..BLOCK {
            let norm_squared = norm::of_row(&trace, slot);
            match rows.get(slot) {
                #[cfg(feature = "mutants")]
                Some(BatchRow { alone: true, .. })
                    if crate::mutant::is(crate::mutant::Mutant::ClipPerLayer) =>
                {
                    super::mutated::add_per_layer(&mut total, &trace, slot, architecture, lattice, clip_norm);
                }
                Some(BatchRow { alone: true, .. }) => {
                    total.add_row(&trace, slot, lattice.person_factor(norm_squared, clip_norm));
                }
                Some(&BatchRow { row, of, last, .. }) => {
                    total.add_row(&trace, slot, 0.0);
                    let person = person.get_or_insert_with(|| GradientSum::new(architecture));
                    person.add_row(&trace, slot, row.map_or(0.0, |_| share(of)));
                    if last {
                        let gradient = person.total();
                        let factor = lattice.person_factor(norm_squared_upper(gradient), clip_norm);
                        if factor > 0.0 {
                            total.add_vector(gradient, factor);
                        }
                        person.clear();
                    }
                }
                None => total.add_row(&trace, slot, 0.0),
            }
        }
    }
    lattice.truncate(total.total())
}

/// The rows of everybody in the batch, in order. With several outputs a person's rows are ordered by prediction, a
/// prediction without one has an empty row, and people without any fill the batch up to `padded_people`: summing a
/// person apart is work that has to be public, too.
fn batch_rows(examples: &Examples, people: &[u32], outputs: usize, padded_people: usize) -> Vec<BatchRow> {
    let mut rows = Vec::with_capacity(people.len().max(padded_people) * outputs);
    let none = BatchRow { row: None, of: 0, alone: false, last: false };
    for &person in people {
        let own = examples.rows_of(person as usize);
        let start = rows.len();
        for output in 0..outputs {
            let of_output = |row: &usize| outputs == 1 || usize::from(examples.output(*row)) == output;
            let of = own.clone().filter(of_output).count();
            if of == 0 && outputs > 1 {
                rows.push(none);
            }
            #[cfg(feature = "mutants")]
            let of = super::mutated::records(of);
            let row = |row| BatchRow { row: Some(row), of, alone: outputs == 1 && of == 1, last: false };
            rows.extend(own.clone().filter(of_output).map(row));
        }
        if let Some(last) = rows[start..].last_mut() {
            last.last = true;
        }
    }
    if outputs > 1 {
        for _ in people.len()..padded_people {
            rows.extend((1..=outputs).map(|output| BatchRow { last: output == outputs, ..none }));
        }
    }
    rows
}

/// The weight of one of a person's examples in their mean.
#[expect(clippy::cast_precision_loss, reason = "a person has fewer than 2^53 examples")]
fn share(examples: usize) -> f64 {
    1.0 / examples as f64
}
