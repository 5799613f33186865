//! Un-noised training, for reference in `simulate` only: what the same model reaches when nothing
//! is protected. Never part of a round.
//!
//! Full-batch L-BFGS (Nocedal & Wright, *Numerical Optimization*, 2nd ed., algorithms 7.4 and 7.5)
//! with a backtracking line search. Deterministic: the same inputs give the
//! same bits on the same machine.

use super::gradient::GradientSum;
use super::network::{BLOCK, Block, Network};
use crate::examples::Examples;
use crate::model::{Architecture, Layer};
use std::collections::VecDeque;

/// How [`fit`] trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Pull toward zero: `l2 / 2 · |weights|²` is added to the mean loss; biases are left alone. For a
    /// network with hidden layers the weakest pull tried.
    pub l2: f64,
    /// Stops when no component of the gradient is larger.
    pub tolerance: f64,
    /// Stops after this many iterations.
    pub iterations_max: usize,
}

impl Default for Fit {
    fn default() -> Self {
        Self { l2: 1e-4, tolerance: 1e-6, iterations_max: 200 }
    }
}

/// Pairs of steps and gradient changes that L-BFGS keeps.
const MEMORY: usize = 10;
/// Halvings of a step before the search gives up: the loss is flat to within `f32`.
const HALVINGS_MAX: usize = 30;
/// Relative differences of the loss below this are rounding.
const FLAT: f64 = 1e-7;
/// Armijo's constant.
const SUFFICIENT: f64 = 1e-4;
/// Every so many people, one is held out to choose the L2 of a network with hidden layers.
const HOLD_OUT: usize = 5;
/// Fewer people than this are too few to hold any out.
const HOLD_OUT_PEOPLE_MIN: usize = 50;
/// What [`Fit::l2`] is multiplied by, for the held-out people to choose from.
const PULLS: [f64; 5] = [1.0, 10.0, 100.0, 300.0, 1000.0];

/// Minimises the mean over people of their mean binary cross-entropy, summed over predictions, plus L2, from
/// `initial`: without hidden layers each prediction is fitted as if it were alone.
///
/// A network with hidden layers would learn its examples by heart at the L2 of `options`, and be no
/// fair reference: it is trained at several on four fifths of the people, and then on everybody at
/// the one with the lowest loss on the last fifth.
///
/// A person with NaN or infinity among the inputs is left out of loss and gradient, as in private
/// training. A network with hidden layers needs an `initial` that is not constant.
///
/// # Privacy
/// None: the result is not protected and stays in the process that asked for it.
///
/// # Panics
/// Shapes that disagree: a bug of the caller.
#[must_use]
pub fn fit(architecture: &Architecture, examples: &Examples, initial: &[f32], options: &Fit) -> Vec<f32> {
    assert_eq!(examples.width(), architecture.inputs, "examples have the model's inputs");
    let l2 = if architecture.hidden.is_empty() || examples.people() < HOLD_OUT_PEOPLE_MIN {
        options.l2
    } else {
        best_l2(architecture, examples, initial, options)
    };
    descend(&Objective::new(architecture, examples, l2), initial, options)
}

/// The L2 that does best on people held out.
fn best_l2(architecture: &Architecture, examples: &Examples, initial: &[f32], options: &Fit) -> f64 {
    let (mut kept, mut held_out) = (Examples::new(examples.width()), Examples::new(examples.width()));
    for person in 0..examples.people() {
        let part = if person % HOLD_OUT == HOLD_OUT - 1 { &mut held_out } else { &mut kept };
        part.push_from(examples, person);
    }
    let judge = Objective::new(architecture, &held_out, 0.0);
    let tried = PULLS.map(|pull| {
        let l2 = pull * options.l2;
        let fitted = descend(&Objective::new(architecture, &kept, l2), initial, options);
        (judge.at(fitted).loss, l2)
    });
    let best = tried.into_iter().min_by(|(a, _), (b, _)| a.total_cmp(b));
    best.expect("several are tried").1
}

/// L-BFGS to the minimum, or for the iterations allowed.
fn descend(objective: &Objective<'_>, initial: &[f32], options: &Fit) -> Vec<f32> {
    let mut here = objective.at(initial.to_vec());
    let mut history = History::default();
    for _ in 0..options.iterations_max {
        if largest(&here.gradient) <= options.tolerance {
            break;
        }
        let mut direction = history.direction(&here.gradient);
        if dot(&direction, &here.gradient) >= 0.0 {
            // Not downhill: forget the curvature and go straight down.
            history = History::default();
            direction = history.direction(&here.gradient);
        }
        let Some(next) = search(objective, &here, &direction) else { break };
        history.push(&here, &next);
        here = next;
    }
    here.parameters
}

/// A place, and the loss and its slope there.
struct Point {
    parameters: Vec<f32>,
    loss: f64,
    gradient: Vec<f64>,
}

struct Objective<'a> {
    architecture: &'a Architecture,
    layers: Vec<Layer>,
    examples: &'a Examples,
    weights: Vec<f64>,
    l2: f64,
}

impl<'a> Objective<'a> {
    fn new(architecture: &'a Architecture, examples: &'a Examples, l2: f64) -> Self {
        Self { architecture, layers: architecture.layers(), weights: person_weights(examples), examples, l2 }
    }

    fn at(&self, parameters: Vec<f32>) -> Point {
        let network = Network::new(self.architecture, &parameters);
        let weights = &self.weights;
        let mut sum = GradientSum::new(self.architecture);
        let mut block = Block::new(self.architecture.inputs);
        let mut loss = 0.0;
        for start in (0..self.examples.len()).step_by(BLOCK) {
            block.clear();
            let rows = start..self.examples.len().min(start + BLOCK);
            for (slot, row) in rows.clone().enumerate() {
                if weights[row] > 0.0 {
                    block.set_row(slot, self.examples, row);
                }
            }
            let trace = network.trace(&block);
            for (slot, row) in rows.enumerate() {
                // The trace has how much the row counts in it already.
                sum.add_row(&trace, slot, weights[row] / f64::from(self.examples.weight(row)));
                if weights[row] > 0.0 {
                    loss += weights[row] * cross_entropy(trace.logits[slot], self.examples.label(row));
                }
            }
        }
        let mut gradient = sum.total().to_vec();
        for &Layer { weight_at, bias_at, .. } in &self.layers {
            for at in weight_at..bias_at {
                let weight = f64::from(parameters[at]);
                loss += 0.5 * self.l2 * weight * weight;
                gradient[at] += self.l2 * weight;
            }
        }
        Point { parameters, loss, gradient }
    }
}

/// For each row, its share of the mean of its prediction: how much it counts / (people with examples of it × the
/// person's rows of it); 0 for a person with a number that is not finite.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn person_weights(examples: &Examples) -> Vec<f64> {
    let finite = |row: usize| {
        examples.label(row).is_finite() && examples.row(row).iter().all(|value| value.is_finite())
    };
    let usable: Vec<bool> = (0..examples.people())
        .map(|person| !examples.rows_of(person).is_empty() && examples.rows_of(person).all(finite))
        .collect();
    let mut weights = vec![0.0; examples.len()];
    // By prediction, how many people have examples of it.
    let mut people = [0.0; 1 << u8::BITS];
    for (person, _) in usable.iter().enumerate().filter(|&(_, &usable)| usable) {
        let rows = examples.rows_of(person);
        for row in rows.clone() {
            let own = |other: &usize| examples.output(*other) == examples.output(row);
            if rows.clone().find(own) == Some(row) {
                people[usize::from(examples.output(row))] += 1.0;
            }
            weights[row] = f64::from(examples.weight(row)) / rows.clone().filter(own).count() as f64;
        }
    }
    for (row, weight) in weights.iter_mut().enumerate().filter(|(_, weight)| **weight > 0.0) {
        *weight /= people[usize::from(examples.output(row))];
    }
    weights
}

/// Binary cross-entropy of a logit, without overflow.
fn cross_entropy(logit: f32, label: f32) -> f64 {
    let (logit, label) = (f64::from(logit), f64::from(label));
    logit.max(0.0) + (-logit.abs()).exp().ln_1p() - label * logit
}

/// The first point on the way down that is low enough; none when the loss is flat to within `f32`.
#[expect(clippy::cast_possible_truncation, reason = "the network's parameters are f32")]
fn search(objective: &Objective<'_>, here: &Point, direction: &[f64]) -> Option<Point> {
    let slope = dot(direction, &here.gradient);
    let mut length = 1.0;
    for _ in 0..HALVINGS_MAX {
        let moved: Vec<f32> = here
            .parameters
            .iter()
            .zip(direction)
            .map(|(&from, &step)| (f64::from(from) + length * step) as f32)
            .collect();
        if moved == here.parameters {
            return None;
        }
        let next = objective.at(moved);
        // Close to the minimum the loss is flat to within the rounding of f32 logits; there the
        // gradient tells (Hager & Zhang 2005, approximate Wolfe conditions).
        let lower = next.loss < here.loss + SUFFICIENT * length * slope;
        let flatter = next.loss <= here.loss + FLAT * here.loss.abs()
            && dot(&next.gradient, &next.gradient) < dot(&here.gradient, &here.gradient);
        if lower || flatter {
            return Some(next);
        }
        length *= 0.5;
    }
    None
}

/// The last steps, from which the curvature is estimated.
#[derive(Default)]
struct History {
    pairs: VecDeque<Pair>,
}

struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    /// step · change, positive.
    curvature: f64,
}

impl History {
    fn push(&mut self, from: &Point, to: &Point) {
        let step: Vec<f64> =
            to.parameters.iter().zip(&from.parameters).map(|(&a, &b)| f64::from(a) - f64::from(b)).collect();
        let change: Vec<f64> = to.gradient.iter().zip(&from.gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &change);
        // Keeps the estimate positive definite where the loss is not convex.
        if curvature > 1e-10 * dot(&change, &change).sqrt() * dot(&step, &step).sqrt() {
            self.pairs.push_back(Pair { step, change, curvature });
            if self.pairs.len() > MEMORY {
                self.pairs.pop_front();
            }
        }
    }

    /// Minus the estimated inverse Hessian times the gradient (two-loop recursion).
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let share = dot(&pair.step, &direction) / pair.curvature;
            add(&mut direction, &pair.change, -share);
            shares.push(share);
        }
        let scale = self.pairs.back().map_or_else(
            || 1.0 / dot(gradient, gradient).sqrt().max(1.0),
            |pair| pair.curvature / dot(&pair.change, &pair.change),
        );
        direction.iter_mut().for_each(|d| *d *= scale);
        for (pair, share) in self.pairs.iter().zip(shares.into_iter().rev()) {
            let other = dot(&pair.change, &direction) / pair.curvature;
            add(&mut direction, &pair.step, share - other);
        }
        direction
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], vector: &[f64], factor: f64) {
    for (to, value) in to.iter_mut().zip(vector) {
        *to += factor * value;
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |max, value| value.abs().max(max))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Draw;
    use super::*;
    use crate::train::logits;

    /// Logistic regression by Newton's method in `f64`, the bias last and without L2.
    fn newton(examples: &Examples, l2: f64) -> Vec<f64> {
        let width = examples.width() + 1;
        let weights = person_weights(examples);
        let mut beta = vec![0.0; width];
        for _ in 0..50 {
            let mut gradient = vec![0.0; width];
            let mut hessian = vec![vec![0.0; width]; width];
            for (row, weight) in weights.iter().enumerate() {
                let mut x: Vec<f64> = examples.row(row).iter().map(|&v| f64::from(v)).collect();
                x.push(1.0);
                let p = 1.0 / (1.0 + (-dot(&x, &beta)).exp());
                add(&mut gradient, &x, weight * (p - f64::from(examples.label(row))));
                for i in 0..width {
                    add(&mut hessian[i], &x, weight * p * (1.0 - p) * x[i]);
                }
            }
            for i in 0..width - 1 {
                gradient[i] += l2 * beta[i];
                hessian[i][i] += l2;
            }
            let step = solve(hessian, gradient);
            add(&mut beta, &step, -1.0);
        }
        beta
    }

    /// Gauss without pivoting: the matrix is positive definite.
    fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
        let n = b.len();
        for i in 0..n {
            for j in i + 1..n {
                let factor = a[j][i] / a[i][i];
                let upper = a[i].clone();
                add(&mut a[j], &upper, -factor);
                b[j] -= factor * b[i];
            }
        }
        for i in (0..n).rev() {
            let known: f64 = (i + 1..n).map(|j| a[i][j] * b[j]).sum();
            b[i] = (b[i] - known) / a[i][i];
        }
        b
    }

    fn noisy_labels(draw: &mut Draw, width: usize, rows: &[usize]) -> Examples {
        let mut examples = Examples::new(width);
        for &rows in rows {
            let rows: Vec<_> = (0..rows)
                .map(|_| {
                    let inputs = draw.row(width).0;
                    let score = 2.0 * inputs[0] - inputs[1] + 0.5 + 2.0 * draw.unit();
                    (inputs, f32::from(u8::from(score > 0.0)))
                })
                .collect();
            examples.push_person(&rows, vec![]);
        }
        examples
    }

    #[test]
    fn reaches_the_known_logistic_solution() {
        fn check(width: usize, rows: &[usize], l2: f64) {
            let examples = noisy_labels(&mut Draw::new(width as u64), width, rows);
            let architecture = Architecture { inputs: width, hidden: vec![], outputs: 1 };
            let options = Fit { l2, ..Fit::default() };
            let fitted = fit(&architecture, &examples, &vec![0.0; width + 1], &options);
            for (got, want) in fitted.iter().zip(newton(&examples, l2)) {
                assert!((f64::from(*got) - want).abs() < 1e-4 * want.abs().max(1.0), "{got} {want}");
            }
        }
        check(2, &[1; 300], 1e-4);
        check(13, &[1; 400], 1e-4);
        check(5, &[3, 1, 1, 7, 2].repeat(40), 0.1);
    }

    #[test]
    fn a_hidden_layer_learns_what_a_line_cannot() {
        // Exclusive or of two signs.
        let mut draw = Draw::new(77);
        let mut examples = Examples::new(2);
        for _ in 0..200 {
            let (inputs, _) = draw.row(2);
            let label = f32::from(u8::from(inputs[0] * inputs[1] > 0.0));
            examples.push_person(&[(inputs, label)], vec![]);
        }
        let architecture = Architecture { inputs: 2, hidden: vec![8], outputs: 1 };
        let initial = draw.parameters(&architecture);
        let fitted = fit(&architecture, &examples, &initial, &Fit::default());
        let right = logits(&architecture, &fitted, &examples)
            .iter()
            .enumerate()
            .filter(|&(row, &logit)| (logit > 0.0) == (examples.label(row) == 1.0))
            .count();
        assert!(right >= 194, "{right} of 200");
        assert_eq!(fit(&architecture, &examples, &initial, &Fit::default()), fitted, "deterministic");
    }

    /// Labels that are mostly noise: a network that trained to the minimum would fit the noise.
    #[test]
    fn a_hidden_layer_does_not_learn_by_heart() {
        let mut draw = Draw::new(12);
        let rows = |draw: &mut Draw, people| {
            let mut examples = Examples::new(6);
            for _ in 0..people {
                let inputs = draw.row(6).0;
                let label = f32::from(u8::from(inputs[0] + 2.0 * draw.unit() > 0.0));
                examples.push_person(&[(inputs, label)], vec![]);
            }
            examples
        };
        let (training, fresh) = (rows(&mut draw, 300), rows(&mut draw, 2000));
        let architecture = Architecture { inputs: 6, hidden: vec![16], outputs: 1 };
        let initial = draw.parameters(&architecture);
        let judge = Objective::new(&architecture, &fresh, 0.0);
        let fitted = fit(&architecture, &training, &initial, &Fit::default());
        let weakest = Objective::new(&architecture, &training, Fit::default().l2);
        let by_heart = descend(&weakest, &initial, &Fit::default());
        let (chosen, by_heart) = (judge.at(fitted).loss, judge.at(by_heart).loss);
        assert!(chosen < 0.7 && chosen < 0.6 * by_heart, "{chosen} {by_heart}");
    }

    #[test]
    fn a_person_that_is_not_finite_is_left_out() {
        let examples = noisy_labels(&mut Draw::new(4), 3, &[1; 80]);
        let mut with = examples.clone();
        with.push_person(&[(vec![0.0, f32::NAN, 0.0], 1.0)], vec![]);
        with.push_person(&[], vec![]);
        let architecture = Architecture { inputs: 3, hidden: vec![], outputs: 1 };
        let fit = |examples| fit(&architecture, examples, &[0.0; 4], &Fit::default());
        assert_eq!(fit(&with), fit(&examples));
    }
}
