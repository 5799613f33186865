//! The two output distributions that a person makes the hardest to tell apart, per mechanism: P with
//! the person, Q without, on the real line, with the privacy loss L(x) = ln P(x)/Q(x) rising in x.

use libm::{erfc, exp, expm1, log, log1p};
use std::f64::consts::FRAC_1_SQRT_2;

/// Which of P and Q is the world that the loss is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Loss of P against Q: the person is there.
    Remove,
    /// Loss of Q against P.
    Add,
}

/// A probability with a bound on its absolute error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probability {
    pub(super) value: f64,
    pub(super) error: f64,
}

/// The probabilities to fall below and above a point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tails {
    pub(super) below: Probability,
    pub(super) above: Probability,
}

impl Tails {
    const NOTHING_BELOW: Self =
        Self { below: Probability { value: 0.0, error: 0.0 }, above: Probability { value: 1.0, error: 0.0 } };
    const NOTHING_ABOVE: Self =
        Self { below: Probability { value: 1.0, error: 0.0 }, above: Probability { value: 0.0, error: 0.0 } };
}

/// P and Q of one use of a mechanism.
#[derive(Debug, Clone)]
pub(super) enum Pair {
    /// Q = N(0, 1), P = Σ weights[i] N(i·step, 1). Steps are sensitivity ÷ σ.
    Gaussian {
        /// Of being counted i times; sums to 1.
        weights: Vec<f64>,
        /// 1/σ.
        step: f64,
    },
    /// Q = Laplace(0, 1/unit), P = (1 − rate) Q + rate Laplace(1, 1/unit), where both have scale 1/unit.
    Laplace {
        /// Sampling rate; 1 for everybody.
        rate: f64,
        /// Largest loss of one use: 1/b.
        unit: f64,
    },
}

impl Pair {
    /// Gaussians without sampling, together: `step` is √Σ 1/σ².
    pub(super) fn full(step: f64) -> Self {
        Self::Gaussian { weights: vec![0.0, 1.0], step }
    }

    /// A person counted Binomial(`sites`, `rate`) times in one sum.
    pub(super) fn sampled(sites: u32, rate: f64, noise: f64) -> Self {
        let mut weights = vec![0.0; sites as usize + 1];
        if sites == 1 {
            weights.copy_from_slice(&[1.0 - rate, rate]);
        } else {
            // From the likeliest count outwards, so that nothing underflows that matters.
            let n = f64::from(sites);
            let odds = rate / (1.0 - rate);
            let top = ((n + 1.0) * rate).floor().min(n) as usize;
            weights[top] = 1.0;
            for i in top..sites as usize {
                weights[i + 1] = weights[i] * odds * (n - i as f64) / (i as f64 + 1.0);
            }
            for i in (0..top).rev() {
                weights[i] = weights[i + 1] / odds * (i as f64 + 1.0) / (n - i as f64);
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        Self::Gaussian { weights, step: 1.0 / noise }
    }

    /// Whether both directions have the same loss.
    pub(super) fn is_symmetric(&self) -> bool {
        match self {
            Self::Gaussian { weights, .. } => weights[0] == 0.0,
            Self::Laplace { rate, .. } => *rate == 1.0,
        }
    }

    /// Relative error of the weights and of 1/σ or 1/b.
    fn weight_error(&self) -> f64 {
        match self {
            Self::Gaussian { weights, .. } => f64::EPSILON * (4.0 * weights.len() as f64 + 4.0),
            Self::Laplace { .. } => 4.0 * f64::EPSILON,
        }
    }

    /// The smallest loss; minus infinity where there is none.
    pub(super) fn loss_min(&self) -> f64 {
        match self {
            Self::Gaussian { weights, .. } => {
                if weights.len() == 2 {
                    log1p(-weights[1])
                } else {
                    log(weights[0])
                }
            }
            Self::Laplace { rate, unit } => sampled_loss(*rate, -unit),
        }
    }

    /// The largest loss; infinity where there is none.
    pub(super) fn loss_max(&self) -> f64 {
        match self {
            Self::Gaussian { .. } => f64::INFINITY,
            Self::Laplace { rate, unit } => sampled_loss(*rate, *unit),
        }
    }

    /// L at `x`.
    pub(super) fn loss(&self, x: f64) -> f64 {
        match self {
            Self::Gaussian { weights, step } => log_mixture(weights, *step, x).0,
            Self::Laplace { rate, unit } => sampled_loss(*rate, unit * (2.0 * x.clamp(0.0, 1.0) - 1.0)),
        }
    }

    /// Where L passes `loss`: infinite where all of the line is on one side. `above` is a point known to
    /// lie above (infinity will do).
    pub(super) fn point(&self, loss: f64, above: f64) -> f64 {
        if loss <= self.loss_min() {
            return f64::NEG_INFINITY;
        }
        if loss >= self.loss_max() {
            return f64::INFINITY;
        }
        match self {
            Self::Gaussian { weights, step } if weights.len() == 2 => {
                exponent_at(weights[1], loss) / step + 0.5 * step
            }
            Self::Gaussian { weights, step } => newton(weights, *step, loss, above),
            Self::Laplace { rate, unit } => (0.5 * (exponent_at(*rate, loss) / unit + 1.0)).clamp(0.0, 1.0),
        }
    }

    /// How far the loss at a [`Pair::point`] may be from the loss asked for, for points up to `x` in size.
    pub(super) fn point_error(&self, x: f64) -> f64 {
        let exponent = match self {
            Self::Gaussian { weights, step } => {
                let shift = step * (weights.len() as f64 - 1.0);
                shift * (x.abs() + shift)
            }
            Self::Laplace { unit, .. } => *unit,
        };
        let solved = match self {
            Self::Gaussian { weights, .. } if weights.len() > 2 => NEWTON_TOLERANCE,
            _ => 0.0,
        };
        f64::EPSILON * (16.0 + 4.0 * exponent) + self.weight_error() + solved
    }

    /// Tails of P and Q at `x`.
    pub(super) fn tails(&self, x: f64) -> (Tails, Tails) {
        if x == f64::NEG_INFINITY {
            return (Tails::NOTHING_BELOW, Tails::NOTHING_BELOW);
        }
        if x == f64::INFINITY {
            return (Tails::NOTHING_ABOVE, Tails::NOTHING_ABOVE);
        }
        let one = |i: usize| match self {
            Self::Gaussian { step, .. } => normal(x - i as f64 * step),
            Self::Laplace { unit, .. } => laplace(x - i as f64, *unit),
        };
        let q = one(0);
        let mixed = |weights: &[f64]| {
            let mut p = Tails {
                below: Probability { value: 0.0, error: 0.0 },
                above: Probability { value: 0.0, error: 0.0 },
            };
            for (i, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
                let tails = if i == 0 { q } else { one(i) };
                for (sum, part) in [(&mut p.below, tails.below), (&mut p.above, tails.above)] {
                    sum.value += weight * part.value;
                    sum.error += weight * part.error;
                }
            }
            for tail in [&mut p.below, &mut p.above] {
                tail.error += self.weight_error() * tail.value;
            }
            p
        };
        let p = match self {
            Self::Gaussian { weights, .. } => mixed(weights),
            Self::Laplace { rate, .. } => mixed(&[1.0 - rate, *rate]),
        };
        (p, q)
    }

    /// A point above which P has at most `mass` (for [`Direction::Remove`]) or Q has (for
    /// [`Direction::Add`]).
    pub(super) fn upper(&self, direction: Direction, mass: f64) -> f64 {
        let Self::Gaussian { weights, step } = self else { return 1.0 };
        let above = |x: f64| {
            let (p, q) = self.tails(x);
            match direction {
                Direction::Remove => p.above.value,
                Direction::Add => q.above.value,
            }
        };
        bisect(0.0, TAIL_MAX + step * (weights.len() as f64 - 1.0), |x| above(x) <= mass)
    }

    /// A point below which P has at most `mass`.
    pub(super) fn lower(&self, mass: f64) -> f64 {
        -bisect(-TAIL_MAX, TAIL_MAX, |x| self.tails(-x).0.below.value <= mass)
    }
}

/// Beyond so many σ a normal tail is no f64.
const TAIL_MAX: f64 = 38.0;
/// Residual of the loss at which [`newton`] stops.
const NEWTON_TOLERANCE: f64 = 1e-14;
/// Above it, e^-v is small beside 1.
const LARGE: f64 = 40.0;

/// The first point where `holds`, within a thousandth, from above.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    while high - low > 1e-3 {
        let middle = 0.5 * (low + high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// ln(1 − rate + rate e^v).
fn sampled_loss(rate: f64, v: f64) -> f64 {
    if rate == 1.0 {
        v
    } else if v > LARGE {
        v + log(rate + (1.0 - rate) * exp(-v))
    } else {
        log1p(rate * expm1(v))
    }
}

/// v where [`sampled_loss`] is `loss`.
fn exponent_at(rate: f64, loss: f64) -> f64 {
    if rate == 1.0 {
        loss
    } else if loss > LARGE {
        loss - log(rate) + log1p(-(1.0 - rate) * exp(-loss))
    } else {
        let growth = expm1(loss) / rate;
        if growth > -1.0 { log1p(growth) } else { f64::NEG_INFINITY }
    }
}

/// L = ln Σ w_i e^(i·step·x − (i·step)²/2), and dL/dx.
fn log_mixture(weights: &[f64], step: f64, x: f64) -> (f64, f64) {
    let exponent = |i: usize| {
        let shift = i as f64 * step;
        shift * (x - 0.5 * shift)
    };
    let terms = || weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0);
    let top = terms().map(|(i, _)| exponent(i)).fold(f64::NEG_INFINITY, f64::max);
    let (mut sum, mut slope) = (0.0, 0.0);
    for (i, weight) in terms() {
        let term = weight * exp(exponent(i) - top);
        sum += term;
        slope += term * i as f64 * step;
    }
    // Where all exponents are small, so is the loss: then ln(sum) would lose it.
    let loss = if top.abs() < 0.25 && terms().all(|(i, _)| exponent(i).abs() < 0.5) {
        log1p(terms().map(|(i, weight)| weight * expm1(exponent(i))).sum())
    } else {
        top + log(sum)
    };
    (loss, slope / sum)
}

/// Solves L(x) = `loss` from above: L is convex in x, so that Newton's steps never pass the solution. At
/// the answer L is at least `loss`, up to rounding, and above it by at most the tolerance.
fn newton(weights: &[f64], step: f64, loss: f64, above: f64) -> f64 {
    let last = weights.len() - 1;
    let start = || {
        // L is at least the line of its last term, and of its first one.
        let shift = last as f64 * step;
        (loss - log(weights[last].max(f64::MIN_POSITIVE))) / shift + 0.5 * shift
    };
    let mut x = if above.is_finite() { above } else { start() };
    loop {
        let (here, slope) = log_mixture(weights, step, x);
        let beyond = here - loss;
        let next = x - beyond / slope;
        // Falls until it stands still: rounding, or a slope of 0.
        if beyond <= NEWTON_TOLERANCE || next >= x || !next.is_finite() {
            return x;
        }
        x = next;
    }
}

/// Standard normal tails. `libm`'s erfc is within one unit in the last place; the argument is off by a
/// few relative units, which a tail multiplies by up to 2z².
fn normal(z: f64) -> Tails {
    let (above, below) = erfc_both(z * FRAC_1_SQRT_2);
    let tail = |erfc: f64| {
        let value = 0.5 * erfc;
        Probability { value, error: value * f64::EPSILON * (4.0 + 8.0 * z * z) }
    };
    Tails { below: tail(below), above: tail(above) }
}

/// erfc at `x` and at −`x`, with the bits of `libm`'s for half the work: from this size on, it computes the
/// one of the negative side as 2 less the other.
fn erfc_both(x: f64) -> (f64, f64) {
    const MIRRORED: f64 = 0.84375;
    if x >= MIRRORED {
        let above = erfc(x);
        (above, 2.0 - above)
    } else if x <= -MIRRORED {
        let below = erfc(-x);
        (2.0 - below, below)
    } else {
        (erfc(x), erfc(-x))
    }
}

/// Tails of a Laplace distribution of scale 1/`unit` around 0.
fn laplace(x: f64, unit: f64) -> Tails {
    let size = x.abs() * unit;
    let small = 0.5 * exp(-size);
    let near = Probability { value: small, error: small * f64::EPSILON * (4.0 + 4.0 * size) };
    let far = Probability { value: 1.0 - small, error: near.error + f64::EPSILON };
    if x >= 0.0 { Tails { below: far, above: near } } else { Tails { below: near, above: far } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To the last bit, since every ε is made of them.
    #[test]
    fn both_sides_are_libm_s() {
        let check = |x: f64| {
            let (above, below) = erfc_both(x);
            let expected = (erfc(x).to_bits(), erfc(-x).to_bits());
            assert_eq!((above.to_bits(), below.to_bits()), expected, "{x:e}");
        };
        for x in [0.0, 1e-300, 1e-20, 0.25, 0.84375, 1.25, 1.0 / 0.35, 27.3, 28.0, 40.0, f64::INFINITY] {
            for x in [x, -x, x.next_up(), x.next_down(), -x.next_up()] {
                check(x);
            }
        }
        for i in -40_000..40_000 {
            check(f64::from(i) * 1e-3 + f64::from(i % 7) * 1e-9);
        }
    }
}
