//! One use of one mechanism: the hockey-stick divergence at ε itself, without a grid.

use super::pair::{Direction, Pair, Tails};
use libm::{exp, log};

/// δ at `epsilon` ≥ 0, rounded up: the larger of P(L > ε) − e^ε Q(L > ε) and the same with P and Q, and
/// the sign of L, swapped.
pub(super) fn delta(pair: &Pair, epsilon: f64) -> f64 {
    one_way(pair, Direction::Remove, epsilon).max(one_way(pair, Direction::Add, epsilon))
}

/// The least ε ≥ 0, up to rounding upwards, with [`delta`] at most `target`; or `most`, where that is less.
pub(super) fn epsilon(pair: &Pair, target: f64, most: f64) -> f64 {
    if delta(pair, 0.0) <= target {
        return 0.0;
    }
    if delta(pair, most) > target {
        return most;
    }
    let (mut low, mut high) = (0.0, most);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        if delta(pair, middle) <= target {
            high = middle;
        } else {
            low = middle;
        }
    }
}

fn one_way(pair: &Pair, direction: Direction, epsilon: f64) -> f64 {
    let x = match direction {
        Direction::Remove => pair.point(epsilon, f64::INFINITY),
        Direction::Add => pair.point(-epsilon, f64::INFINITY),
    };
    let (p, q): (Tails, Tails) = pair.tails(x);
    let (here, there) = match direction {
        Direction::Remove => (p.above, q.above),
        Direction::Add => (q.below, p.below),
    };
    if here.value == 0.0 {
        return 0.0;
    }
    // e^ε may overflow where the product does not.
    let cost = if there.value > 0.0 { exp(epsilon + log(there.value)) } else { 0.0 };
    // The point is off by an error in its loss, by which the two parts may be off in proportion.
    let size = if x.is_finite() { x.abs() } else { 0.0 };
    let off =
        pair.point_error(size) + f64::EPSILON * (8.0 + 4.0 * epsilon + log(there.value.max(1e-300)).abs());
    let error =
        here.error + there.error / there.value.max(f64::MIN_POSITIVE) * cost + off * (here.value + cost);
    (here.value - cost + error).clamp(0.0, 1.0)
}
