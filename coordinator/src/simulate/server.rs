//! What a server makes of the noised sums: a plain step, or more, at no further cost.

use consilium_common::model::step::{InvalidStep, ServerStep};
use std::collections::VecDeque;

/// What the server may do with noised sums beyond a plain step: post-processing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Server {
    /// β: each sum is added to β times what was added before (Polyak's heavy ball); 0 is a plain step.
    pub(super) momentum: f64,
    /// The model is the mean of the last so many (Polyak and Ruppert); 1 is the last.
    pub(super) average_last: u32,
}

/// The model between steps, and what [`Server`] remembers.
pub(super) struct ServerState {
    pub(super) model: Vec<i32>,
    server: Server,
    velocity: Vec<f64>,
    /// The last models, at most [`Server::average_last`].
    recent: VecDeque<Vec<i32>>,
}

impl ServerState {
    pub(super) fn new(model: Vec<i32>, server: Server) -> Self {
        Self { velocity: vec![0.0; model.len()], model, server, recent: VecDeque::new() }
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "sums are below 2^53")]
    pub(super) fn take(&mut self, step: &ServerStep, sum: &[i64]) -> Result<(), InvalidStep> {
        self.model = if self.server.momentum == 0.0 {
            step.apply(&self.model, sum)?
        } else {
            for (velocity, &sum) in self.velocity.iter_mut().zip(sum) {
                *velocity = self.server.momentum * *velocity + sum as f64;
            }
            let moved: Vec<i64> = self.velocity.iter().map(|velocity| velocity.round() as i64).collect();
            step.apply(&self.model, &moved)?
        };
        self.recent.push_back(self.model.clone());
        if self.recent.len() > self.server.average_last as usize {
            self.recent.pop_front();
        }
        Ok(())
    }

    /// The mean of the models kept, rounded down to a unit.
    pub(super) fn finished(self) -> Vec<i32> {
        if self.recent.len() <= 1 {
            return self.model;
        }
        let count = i64::try_from(self.recent.len()).expect("few");
        (0..self.model.len())
            .map(|at| {
                let sum: i64 = self.recent.iter().map(|model| i64::from(model[at])).sum();
                i32::try_from(sum.div_euclid(count)).expect("a mean of i32 is an i32")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heavy ball and averaging on sums that are known.
    #[test]
    fn what_a_server_remembers() {
        fn check(momentum: f64, average_last: u32, sums: &[i64], expected: i32) {
            // A unit of the lattice is a unit of the model.
            let step =
                ServerStep { clip_norm: 1.0, lattice_units: 1 << 18, denominator: 64.0, learning_rate: 1.0 };
            let mut state = ServerState::new(vec![100], Server { momentum, average_last });
            for &sum in sums {
                state.take(&step, &[sum]).expect("a step");
            }
            assert_eq!(state.finished(), vec![expected], "{momentum} {average_last} {sums:?}");
        }
        check(0.0, 1, &[], 100);
        check(0.0, 1, &[10, 20], 70);
        check(0.5, 1, &[10, 20], 100 - 10 - 25);
        // The mean of 70 and 30; of all three; of fewer than asked for.
        check(0.0, 2, &[10, 20, 40], 50);
        check(0.0, 3, &[10, 20, 40], 63);
        check(0.0, 9, &[10, 20], 80);
        check(0.0, 9, &[], 100);
    }
}
