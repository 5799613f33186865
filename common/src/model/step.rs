//! One step of the server in `distributed` mode: the model moved by a secure sum. The same integers in
//! give the same integers out on every machine, so that an auditor without a training stack recomputes
//! the model bit for bit.
//!
//! Only additions, multiplications and divisions of f64 in one fixed order, conversions and one
//! rounding to an integer: IEEE 754 defines the result of each to the last bit, Rust neither fuses nor
//! reorders them, and no function of a mathematics library, whose last bits differ, is called.

use super::UNIT_BITS;

/// The public numbers of a server step: plain DP-SGD on the sum of all sites that survived it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerStep {
    /// C: the L2 norm that one person's gradient was clipped to.
    pub clip_norm: f64,
    /// s: how many lattice units the clipping norm is.
    pub lattice_units: u64,
    /// L: what the sum is divided by, see [`denominator`]; never a number of sampled people.
    pub denominator: f64,
    /// η: step size.
    pub learning_rate: f64,
}

/// A step that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidStep {
    /// The sum has another length than the model.
    #[error("expected a sum over {expected} parameters, came {found}")]
    WrongLength {
        /// The model's parameters.
        expected: usize,
        /// The sum's.
        found: usize,
    },
    /// η · C · 2^24 / (s · L) is no positive, finite number.
    #[error("expected a step of positive, finite size per lattice unit, came {found} units of the model")]
    Size {
        /// Units of 2^-24 that one lattice unit of the sum moves a parameter by.
        found: f64,
    },
}

/// L = q · training_share · Σ people_public over the sites that survived the step: how many people are
/// expected in the sum, from public numbers alone, and at least 1. The people are added as integers,
/// so that the sites' order changes nothing.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a study has fewer than 2^53 people")]
pub fn denominator(
    sampling_rate: f64,
    training_share: f64,
    people_public: impl IntoIterator<Item = u64>,
) -> f64 {
    let people = people_public.into_iter().fold(0, u64::saturating_add);
    (sampling_rate * (people as f64 * training_share)).max(1.0)
}

impl ServerStep {
    /// The model (units of 2^-24) after one step: weight − η · C · sum / (s · L), with the step rounded to
    /// the nearest unit (halves to even) and the result saturating at the ends of i32.
    ///
    /// # Privacy
    /// Post-processing of a sum that carries the noise of the event that was charged for it, by public
    /// numbers alone.
    ///
    /// # Errors
    /// A sum of another length than the model, or numbers that make no step.
    pub fn apply(&self, model: &[i32], sum: &[i64]) -> Result<Vec<i32>, InvalidStep> {
        if sum.len() != model.len() {
            return Err(InvalidStep::WrongLength { expected: model.len(), found: sum.len() });
        }
        let size = self.size()?;
        Ok(model.iter().zip(sum).map(|(&value, &sum)| moved(value, sum, size)).collect())
    }

    /// Units of 2^-24 that one lattice unit of the sum is worth.
    #[expect(clippy::cast_precision_loss, reason = "s is a power of two, or rounds as IEEE says")]
    fn size(&self) -> Result<f64, InvalidStep> {
        let per_norm = self.learning_rate * self.clip_norm / (self.lattice_units as f64 * self.denominator);
        let size = per_norm * f64::from(1_u32 << UNIT_BITS);
        if size > 0.0 && size.is_finite() { Ok(size) } else { Err(InvalidStep::Size { found: size }) }
    }
}

/// The casts saturate, which is the documented rule; nothing here is NaN, since `size` is finite and
/// above zero.
#[expect(clippy::cast_precision_loss, reason = "to the nearest f64, halves to even, as IEEE says")]
#[expect(clippy::cast_possible_truncation, reason = "clamped to i32 before the last cast")]
fn moved(value: i32, sum: i64, size: f64) -> i32 {
    let step = (sum as f64 * size).round_ties_even() as i64;
    i64::from(value).saturating_sub(step).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One lattice unit is one unit of the model.
    const ONE: ServerStep =
        ServerStep { clip_norm: 1.0, lattice_units: 1 << 18, denominator: 64.0, learning_rate: 1.0 };

    #[test]
    fn moves_against_the_sum_and_saturates() {
        fn check(model: i32, sum: i64, learning_rate: f64, expected: i32) {
            let step = ServerStep { learning_rate, ..ONE };
            assert_eq!(step.apply(&[model], &[sum]), Ok(vec![expected]), "{model} {sum} {learning_rate}");
        }
        check(0, 0, 1.0, 0);
        check(10, 3, 1.0, 7);
        check(10, -3, 1.0, 13);
        // Halves go to the even unit of the step, whatever its sign.
        check(10, 3, 0.5, 8);
        check(10, 1, 0.5, 10);
        check(10, -3, 0.5, 12);
        check(10, -1, 0.5, 10);
        // The ends of i32, also from the ends of i64 and beyond them.
        check(i32::MAX, -1, 1.0, i32::MAX);
        check(i32::MIN, 1, 1.0, i32::MIN);
        check(i32::MAX, i64::MIN, 1.0, i32::MAX);
        check(i32::MIN, i64::MAX, 1.0, i32::MIN);
        check(i32::MIN, i64::MIN, 1e6, i32::MAX);
        check(i32::MAX, i64::MAX, 1e6, i32::MIN);
        check(i32::MAX, 1 << 32, 1.0, i32::MIN);
    }

    #[test]
    fn refusals() {
        fn check(step: ServerStep, sum: &[i64], expected: &str) {
            let error = step.apply(&[0, 0], sum).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
        check(ONE, &[1], "expected a sum over 2 parameters, came 1");
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            check(ServerStep { learning_rate: value, ..ONE }, &[1, 1], "positive, finite");
            check(ServerStep { clip_norm: value, ..ONE }, &[1, 1], "positive, finite");
        }
        for value in [0.0, -1.0, f64::NAN] {
            check(ServerStep { denominator: value, ..ONE }, &[1, 1], "positive, finite");
        }
        check(ServerStep { lattice_units: 0, ..ONE }, &[1, 1], "positive, finite");
    }

    #[test]
    fn denominators() {
        fn check(rate: f64, share: f64, people: &[u64], expected: f64) {
            assert_eq!(denominator(rate, share, people.iter().copied()).to_bits(), expected.to_bits());
        }
        check(0.5, 0.5, &[300, 100], 100.0);
        check(0.5, 0.5, &[100, 300], 100.0);
        // Never below one person, nobody included.
        check(0.5, 0.5, &[1], 1.0);
        check(0.5, 0.5, &[], 1.0);
    }

    #[derive(serde::Deserialize)]
    struct Case {
        clip_norm: f64,
        lattice_units: u64,
        denominator: f64,
        learning_rate: f64,
        model: Vec<i32>,
        sum: Vec<i64>,
        after: Vec<i32>,
    }

    /// Another program's bits (`tests/vectors/step/README.md`): these never change, or the models of
    /// bundles that exist would no longer be recomputed.
    #[test]
    fn python_has_the_same_bits() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../tests/vectors/step/step.json")).expect("JSON");
        assert_eq!(cases.len(), 8);
        for case in cases {
            let Case { clip_norm, lattice_units, denominator, learning_rate, .. } = case;
            let step = ServerStep { clip_norm, lattice_units, denominator, learning_rate };
            assert_eq!(step.apply(&case.model, &case.sum), Ok(case.after), "{step:?}");
        }
    }

    proptest! {
        /// Within a unit of the formula in real numbers: here with powers of two, where integers are exact.
        #[test]
        fn is_the_formula(value in -(1 << 30)..1_i32 << 30, sum in -(1_i64 << 40)..1 << 40, down in 0_u32..40) {
            let step = ServerStep { denominator: 64.0 * 2f64.powi(down as i32), ..ONE };
            let exact = i128::from(value) * (1 << down) - i128::from(sum);
            let ends = (i128::from(i32::MIN) << down)..=(i128::from(i32::MAX) << down);
            let after = i128::from(step.apply(&[value], &[sum]).expect("a step")[0]);
            if ends.contains(&exact) {
                prop_assert!(2 * ((after << down) - exact).abs() <= 1 << down);
            }
        }
    }
}
