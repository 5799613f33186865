//! An upper bound of a row's squared gradient norm, in `f64`, without the gradient.
//!
//! A sum of k non-negative rounded terms is off by a factor of at most 1 ± γ_k, where
//! γ_k = k·u / (1 − k·u) and u = 2^-53 (Higham, *Accuracy and Stability of Numerical Algorithms*,
//! lemma 3.1 and §3.1, any order of summation). So the true value is at most
//! `computed / (1 − γ_k)`, and for k·u ≤ 2^-10 that is below `computed · (1 + 2·k·u)`. The bounds
//! here take k + 4 for k, which pays for the multiplication itself too.

use super::network::Trace;

/// An upper bound of the squared L2 norm of one row's gradient over all layers:
/// `Σ_l (|a_l|² + 1)·|δ_l|²`, since the layer's gradient is `a_l ⊗ δ_l` and `δ_l` (Goodfellow 2015,
/// arXiv:1510.01799). Squares of `f32` are exact in `f64`. NaN or infinity where the row has any.
///
/// # Privacy
/// Never below the true norm of the gradient that the `f32` bits stand for, so clipping by it
/// bounds the person's contribution.
pub(super) fn of_row(trace: &Trace, row: usize) -> f64 {
    let mut total = 0.0;
    let mut terms = 0;
    for layer in 0..trace.inputs.len() {
        let inputs = trace.inputs_of(layer, row);
        let deltas = trace.deltas_of(layer, row);
        total += (sum_of_squares(inputs) + 1.0) * sum_of_squares(deltas);
        terms += inputs.len() + deltas.len() + 3;
    }
    raised(total, terms)
}

/// `computed`, raised above every rounding error of `terms` operations.
#[expect(clippy::cast_precision_loss, reason = "terms are below 2^53")]
fn raised(computed: f64, terms: usize) -> f64 {
    computed * (1.0 + (terms + 4) as f64 * f64::EPSILON)
}

/// Eight interleaved sums: quick, and in an order that depends on the length alone.
fn sum_of_squares<T: Copy + Into<f64>>(values: &[T]) -> f64 {
    let mut lanes = [0.0; 8];
    let mut chunks = values.chunks_exact(8);
    for chunk in &mut chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            let value: f64 = value.into();
            *lane += value * value;
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(chunks.remainder()) {
        let value: f64 = value.into();
        *lane += value * value;
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exact sum of squares of integers scaled by a power of two, rounded up.
    fn check(integers: &[u64]) {
        let exact: u128 = integers.iter().map(|&i| u128::from(i) * u128::from(i)).sum();
        let values: Vec<f64> = integers.iter().map(|&i| i as f64).collect();
        let upper = raised(sum_of_squares(&values), values.len());
        // Compare in integers: an upper bound of 2^100 or less is exact as u128.
        assert!(upper as u128 >= exact, "{upper} < {exact}");
        assert!(upper <= exact as f64 * (1.0 + 1e-9), "the bound is tight");
    }

    #[test]
    fn never_under_estimates() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 11 // 53 bits, so that every value is an exact f64 and every square rounds
        };
        for length in [0, 1, 2, 7, 8, 9, 64, 1000, 20_000] {
            check(&(0..length).map(|_| next()).collect::<Vec<_>>());
        }
        // One large and many small terms, each of which is lost in a naive f64 sum.
        check(&[vec![(1 << 53) - 1], vec![(1 << 26) - 1; 50_000]].concat());
    }

    #[test]
    fn bad_numbers_show() {
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
        assert_eq!(sum_of_squares(&[1.0, f32::NEG_INFINITY]), f64::INFINITY);
        // The largest f32 stays finite when squared.
        assert!(sum_of_squares(&[f32::MAX; 9]).is_finite());
    }
}
