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
    row: usize,
    /// How many rows the person has.
    of: usize,
    /// The person ends here.
    last: bool,
}

/// The sum over `people` of their clipped gradients in lattice units, before noise.
///
/// A person's gradient is the mean over their examples, clipped once over all parameters. NaN or
/// infinity anywhere in it makes that person contribute zero. `ceil(max(padded_people, rows) /
/// BLOCK)` blocks are computed, so with one example per person the time depends on the public
/// `padded_people` alone unless a batch surpasses it; a person with several examples costs extra
/// time beyond that. Memory: a few copies of the parameters, and a fixed number of rows.
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
    let rows = batch_rows(examples, people);
    let mut total = GradientSum::new(architecture);
    // The sum of one person with several examples; made only if there is one.
    let mut person: Option<GradientSum> = None;
    let mut block = Block::new(architecture.inputs);
    for index in 0..rows.len().max(padded_people).div_ceil(BLOCK) {
        let rows = &rows[rows.len().min(index * BLOCK)..rows.len().min((index + 1) * BLOCK)];
        block.clear();
        for (slot, row) in rows.iter().enumerate() {
            block.set(slot, examples.row(row.row), examples.label(row.row));
        }
        let trace = network.trace(&block);
        for slot in 0..BLOCK {
            let norm_squared = norm::of_row(&trace, slot);
            match rows.get(slot) {
                #[cfg(feature = "mutants")]
                Some(BatchRow { of: 1, .. }) if crate::mutant::is(crate::mutant::Mutant::ClipPerLayer) => {
                    super::mutated::add_per_layer(&mut total, &trace, slot, architecture, lattice, clip_norm);
                }
                Some(BatchRow { of: 1, .. }) => {
                    total.add_row(&trace, slot, lattice.person_factor(norm_squared, clip_norm));
                }
                Some(&BatchRow { of, last, .. }) => {
                    total.add_row(&trace, slot, 0.0);
                    let person = person.get_or_insert_with(|| GradientSum::new(architecture));
                    person.add_row(&trace, slot, share(of));
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

fn batch_rows(examples: &Examples, people: &[u32]) -> Vec<BatchRow> {
    people
        .iter()
        .flat_map(|&person| {
            let rows = examples.rows_of(person as usize);
            let (of, end) = (rows.len(), rows.end);
            #[cfg(feature = "mutants")]
            let of = super::mutated::records(of);
            rows.map(move |row| BatchRow { row, of, last: row + 1 == end })
        })
        .collect()
}

/// The weight of one of a person's examples in their mean.
#[expect(clippy::cast_precision_loss, reason = "a person has fewer than 2^53 examples")]
fn share(examples: usize) -> f64 {
    1.0 / examples as f64
}
