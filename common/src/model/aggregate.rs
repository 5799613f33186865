//! Federated averaging in fixed point (McMahan et al. 2017, arXiv:1602.05629, with public
//! weights): the same integers in give the same integers out, on any machine, in any order.

/// The sites' updates do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpdate {
    /// A vector of another length than the model's.
    #[error("expected {expected} parameters, came {found}")]
    WrongLength {
        /// The model's.
        expected: usize,
        /// The update's.
        found: usize,
    },
    /// Nothing to average.
    #[error("no updates, or all weights are zero")]
    NoWeight,
}

/// The running weighted sum of a round: takes updates one at a time, so that memory does not grow
/// with the number of sites.
#[derive(Debug, Clone)]
pub struct WeightedSum {
    sum: Vec<i64>,
    weight: u64,
}

impl WeightedSum {
    /// An empty sum over `parameters` coordinates.
    #[must_use]
    pub fn new(parameters: usize) -> Self {
        Self { sum: vec![0; parameters], weight: 0 }
    }

    /// Adds one site's update with its public weight (units of 2^-16).
    ///
    /// # Errors
    /// Another length.
    ///
    /// # Panics
    /// When all weights together pass 2^32, which the study's check rules out.
    pub fn add(&mut self, update: &[i32], weight: u32) -> Result<(), InvalidUpdate> {
        if update.len() != self.sum.len() {
            return Err(InvalidUpdate::WrongLength { expected: self.sum.len(), found: update.len() });
        }
        self.weight += u64::from(weight);
        // |update| < 2^31 and the weights sum to < 2^32, so the sum stays below 2^63.
        assert!(self.weight < 1 << 32, "the roster's weights sum to less than 2^16");
        for (sum, &value) in self.sum.iter_mut().zip(update) {
            *sum += i64::from(value) * i64::from(weight);
        }
        Ok(())
    }

    /// The model moved by the weighted mean of the updates; division truncates toward zero and the
    /// sum saturates.
    ///
    /// # Errors
    /// Another length, or no weight at all.
    pub fn apply(&self, model: &[i32]) -> Result<Vec<i32>, InvalidUpdate> {
        if model.len() != self.sum.len() {
            return Err(InvalidUpdate::WrongLength { expected: self.sum.len(), found: model.len() });
        }
        let weight = i64::try_from(self.weight).expect("below 2^32");
        if weight == 0 {
            return Err(InvalidUpdate::NoWeight);
        }
        Ok(model
            .iter()
            .zip(&self.sum)
            .map(|(&value, &sum)| {
                let step = i32::try_from(sum / weight).expect("a mean of i32 is an i32");
                value.saturating_add(step)
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_mean_moves_the_model() {
        let mut sum = WeightedSum::new(2);
        sum.add(&[10, -10], 1 << 16).expect("fits");
        sum.add(&[40, 5], 2 << 16).expect("fits");
        // (10 + 80) / 3 = 30; (-10 + 10) / 3 = 0
        assert_eq!(sum.apply(&[1, 2]), Ok(vec![31, 2]));
        assert_eq!(sum.add(&[1], 1), Err(InvalidUpdate::WrongLength { expected: 2, found: 1 }));
    }

    #[test]
    fn order_does_not_matter_and_extremes_saturate() {
        let updates = [[i32::MAX, i32::MIN], [i32::MAX, 7], [-3, i32::MIN]];
        let mean = |order: &[usize]| {
            let mut sum = WeightedSum::new(2);
            for &i in order {
                sum.add(&updates[i], 70_000).expect("fits");
            }
            sum.apply(&[i32::MAX, i32::MIN]).expect("has weight")
        };
        assert_eq!(mean(&[0, 1, 2]), mean(&[2, 0, 1]));
        assert_eq!(mean(&[0, 1, 2]), vec![i32::MAX, i32::MIN]);
        assert_eq!(WeightedSum::new(1).apply(&[0]), Err(InvalidUpdate::NoWeight));
    }
}
