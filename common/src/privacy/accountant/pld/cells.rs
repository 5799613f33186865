//! One use's privacy loss on a grid, rounded against the budget by connecting the dots (Doroshenko,
//! Ghazi, Kamath, Kumar and Manurangsi 2022, arXiv:2207.04380).
//!
//! All outcomes whose loss lies between two grid points are replaced by outcomes at these two points, such
//! that their probabilities in both worlds stay what they were. With a the probability where the loss is
//! measured and b the other one, the upper point gets (a − b e^lower) / (1 − e^−h). The result dominates
//! the mechanism: its hockey-stick divergence is the chord, in e^ε, of a convex curve.
//!
//! Rounding: a and b come with error bounds; both enter such that more mass goes up, which is pessimistic.
//! Losses at the borders of cells are known up to [`Losses::shift`], which the caller adds to ε per use.

use super::pair::{Direction, Pair, Probability, Tails};
use libm::{exp, expm1, log};

/// Most cells of one use.
const CELLS_MAX: f64 = (1_u64 << 21) as f64;

/// The distribution of one use's loss: point k has loss `offset` + (`first` + k)·h.
#[derive(Debug, Clone)]
pub(super) struct Losses {
    pub(super) first: i64,
    pub(super) offset: f64,
    /// Natural logarithms of the masses.
    pub(super) log_mass: Vec<f64>,
    /// Mass at infinity.
    pub(super) infinite: f64,
    /// Every loss may be so much larger than its point says.
    pub(super) shift: f64,
}

/// More cells than one use may have: take a coarser grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooFine;

/// What may be cut from the ends, per use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Mass moved to infinity: costs as much δ.
    pub(super) above: f64,
    /// Mass moved up to the lowest point.
    pub(super) below: f64,
}

impl Cut {
    /// Of each of `count` uses, so that together it is small beside `delta` and beside 1.
    pub(super) fn at(delta: f64, count: f64) -> Self {
        Self { above: (1e-8 * delta / count).max(1e-300), below: 1e-9 / count }
    }
}

impl Losses {
    /// Of one use of `pair` on a grid of step `h`, a power of two.
    pub(super) fn of(pair: &Pair, direction: Direction, h: f64, cut: Cut) -> Result<Self, TooFine> {
        // Where both directions are the same, the one in which the top may be cut.
        let direction = if pair.is_symmetric() { Direction::Remove } else { direction };
        let (least, most) = (pair.loss_min(), pair.loss_max());
        // Ends of the grid, as losses in this direction; a bounded loss has a grid point at its top.
        let (bottom, top, bounded) = match direction {
            Direction::Remove => {
                let low = if least.is_finite() { least } else { pair.loss(pair.lower(cut.below)) };
                let bounded = most.is_finite();
                let high = if bounded { most } else { pair.loss(pair.upper(direction, cut.above)) };
                (low, high, bounded)
            }
            Direction::Add => {
                let high = if most.is_finite() { most } else { pair.loss(pair.upper(direction, cut.below)) };
                (-high, -least, true)
            }
        };
        let (last, offset) = if bounded {
            let last = (top / h).floor();
            (last, top - last * h)
        } else {
            ((top / h).ceil(), 0.0)
        };
        let first = ((bottom - offset) / h).floor().min(last - 1.0);
        let cells = last - first;
        // Indices are exact below 2^52.
        if !(cells <= CELLS_MAX && first.abs().max(last.abs()) < 2_f64.powi(51)) {
            return Err(TooFine);
        }
        let (first, cells) = (first as i64, cells as usize);
        let at = |k: usize| offset + (first + k as i64) as f64 * h;

        let mut mass = vec![0.0; cells + 1];
        let step = -expm1(-h);
        let mut infinite = 0.0;
        let mut size = 0.0_f64;
        // From high losses of P to low ones: each point starts the search for the next.
        let order: &mut dyn Iterator<Item = usize> = match direction {
            Direction::Remove => &mut (0..=cells).rev(),
            Direction::Add => &mut (0..=cells),
        };
        let mut above: Option<(f64, (Tails, Tails))> = None;
        for k in order {
            let x = match direction {
                Direction::Remove if bounded && k == cells => f64::INFINITY,
                Direction::Add if k == cells => f64::NEG_INFINITY,
                Direction::Remove => pair.point(at(k), above.map_or(f64::INFINITY, |(x, _)| x)),
                Direction::Add => pair.point(-at(k), above.map_or(f64::INFINITY, |(x, _)| x)),
            };
            let tails = pair.tails(x);
            if x.is_finite() {
                size = size.max(x.abs());
            }
            if let Some((_, upper)) = above {
                let (p, q) = (between(&tails.0, &upper.0), between(&tails.1, &upper.1));
                let (cell, here, there) = match direction {
                    Direction::Remove => (k, p, q),
                    Direction::Add => (k - 1, q, p),
                };
                let weighted = exp(at(cell));
                // Where e^loss overflows, all goes up: b is below any f64 there.
                let (cost, slack) = if weighted.is_finite() {
                    let cost = there.value * weighted;
                    (cost, there.error * weighted + 4.0 * f64::EPSILON * cost)
                } else {
                    (0.0, 0.0)
                };
                let all = here.value + here.error;
                let up = ((all - cost + slack) / step * (1.0 + 4.0 * f64::EPSILON)).clamp(0.0, all);
                mass[cell + 1] += up;
                mass[cell] += all - up;
            } else {
                // What lies beyond the first point.
                match direction {
                    Direction::Remove => infinite = tails.0.above.value + tails.0.above.error,
                    Direction::Add => mass[0] += tails.1.above.value + tails.1.above.error,
                }
            }
            above = Some((x, tails));
        }
        if let (Direction::Remove, Some((_, lowest))) = (direction, above) {
            mass[0] += lowest.0.below.value + lowest.0.below.error;
        }
        let largest = at(0).abs().max(at(cells).abs());
        Ok(Self {
            first,
            offset,
            log_mass: mass.into_iter().map(log).collect(),
            infinite,
            shift: pair.point_error(size) + 8.0 * f64::EPSILON * largest,
        })
    }
}

/// Probability between two points, from the tails that lose least to cancellation.
fn between(low: &Tails, high: &Tails) -> Probability {
    let of = |value: f64, errors: f64| Probability { value: value.max(0.0), error: errors };
    if low.above.value <= 0.5 {
        of(low.above.value - high.above.value, low.above.error + high.above.error)
    } else if high.below.value <= 0.5 {
        of(high.below.value - low.below.value, high.below.error + low.below.error)
    } else {
        of(1.0 - low.below.value - high.above.value, low.below.error + high.above.error + f64::EPSILON)
    }
}
