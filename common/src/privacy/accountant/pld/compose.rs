//! The distribution of the total loss, tilted, by Fourier transform; δ and ε from it, every numerical
//! error bounded and added.
//!
//! For ε and a tilt λ ≥ 0, with f the tilted law of the total S on the grid and K = ln E e^(λS):
//!
//! δ(ε) = P(S = ∞) + e^(K − λε) Σ_{s > ε} f(s) w(s − ε), where w(y) = e^(−λy) (1 − e^(−y)).
//!
//! The stated slack, all of it added to δ:
//! - f is computed up to `off` per point. Transforms are off by at most
//!   [`RealFft::error`](super::fft::RealFft::error) =: η per output; |Π z^T − Π ẑ^T| ≤ Π (|ẑ| + η)^T −
//!   Π |ẑ|^T, summed over all frequencies; and 3u per multiplication. Then Σ off·w(s − ε) is below
//!   off × [`weight_sum`].
//! - The transform wraps around: mass of f outside the window, bounded by Chernoff at two more tilts,
//!   may be missed, at a cost of max w each.
//! - Mass that was cut from the top of a use is mass at infinity.
//! - Floating-point error of masses, weights and sums enters as factors, that of the cells' borders as a
//!   shift of ε per use.

use super::cells::{Cut, Losses, TooFine};
use super::fft::{Complex, RealFft, Sequence};
use super::pair::{Direction, Pair};
use super::tilt::{log_weight_max, step, weight_sum};
use libm::{exp, log};

/// Longest transform.
pub(super) const LENGTH_MAX: usize = 1 << 21;
/// Below e^-60, a power of a frequency is taken as 0 (and as e^-60 in the error bound).
const DEAD: f64 = -60.0;

/// Where to compute, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) direction: Direction,
    /// Step of the grid: a power of two.
    pub(super) h: f64,
    pub(super) lambda: f64,
    /// Tilts above and below λ for the ends of the window.
    pub(super) further: (f64, f64),
    /// Points of the window: a power of two.
    pub(super) length: usize,
    pub(super) cut: Cut,
}

/// What is worked in, kept from one direction or tilt to the next: pages that are new each time cost more
/// than the work on them. Nothing in it is read before it is written.
#[derive(Default)]
pub(super) struct Space {
    fft: Option<RealFft>,
    sequence: Sequence,
    product: Vec<Complex>,
    upper: Vec<f64>,
    exponent: Vec<f64>,
    ends: Vec<Tail>,
}

/// The law of the total loss around the answer.
pub(super) struct Total<'a> {
    h: f64,
    lambda: f64,
    /// Loss of the window's first point.
    first: f64,
    /// K, rounded up.
    log_moment: f64,
    /// f, from the window's first point on, wrapped around.
    law: &'a Sequence,
    start: i64,
    length: usize,
    /// Of every [`BLOCK`] points, the sums from the first point after them on.
    ends: &'a [Tail],
    factors: Factors,
    /// Bound on what is missing from the sum in δ's formula.
    missing: f64,
    /// P(S = ∞).
    infinite: f64,
    /// Every total may be so much larger than its point says.
    shift: f64,
}

/// Points whose sums are made again when one of them is asked for: to keep those of all costs more.
const BLOCK: usize = 64;

/// Sums over the points from one on, as seen from it.
#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    /// D_j = Σ_{i ≥ j} f_i w(s_i − s_j).
    excess: f64,
    /// B_j = Σ_{i ≥ j} f_i e^(−(λ+1)(s_i − s_j)).
    decayed: f64,
}

/// From the sums at one point to those at the point below.
#[derive(Debug, Clone, Copy)]
struct Factors {
    /// e^(−λh).
    fade: f64,
    /// e^(−(λ+1)h).
    faster: f64,
    /// 1 − e^(−h).
    rise: f64,
}

impl Tail {
    fn below(self, mass: f64, Factors { fade, faster, rise }: Factors) -> Self {
        Self { excess: fade * (self.excess + rise * self.decayed), decayed: mass + faster * self.decayed }
    }
}

/// δ with the part of it that is numerical slack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delta {
    pub(super) value: f64,
    pub(super) slack: f64,
}

impl<'a> Total<'a> {
    /// Of all `uses` together.
    pub(super) fn of(uses: &[(Pair, u64)], plan: &Plan, space: &'a mut Space) -> Result<Self, TooFine> {
        let Plan { h, length, .. } = *plan;
        let Space { fft, sequence, product, upper, exponent, ends } = space;
        let fft = match fft.take_if(|fft| fft.length() == length) {
            Some(known) => fft.insert(known),
            None => fft.insert(RealFft::new(length)),
        };
        let eta = fft.error() * (1.0 + 1e-6);
        let bins = length / 2 + 1;
        fill(product, bins, Complex::ONE);
        fill(upper, bins, 1.0);
        fill(exponent, bins, 0.0);
        let mut sums = Sums::default();
        for (pair, count) in uses {
            let losses = Losses::of(pair, plan.direction, h, plan.cut)?;
            sums.add(&losses, *count, plan, sequence);
            let bins = exponent.iter_mut().zip(product.iter_mut()).zip(upper.iter_mut());
            for (z, ((exponent, product), upper)) in fft.forward(sequence).zip(bins) {
                let reach = z.modulus() + eta;
                *exponent += *count as f64 * (reach - 1.0);
                // ln reach ≤ reach − 1.
                if *exponent > DEAD {
                    *product = product.times(z.power(*count));
                    *upper *= power(reach, *count);
                } else {
                    (*product, *upper) = (Complex::ZERO, 0.0);
                }
            }
        }
        // 3u for each multiplication, of which a power counts as many as its exponent says; as many
        // again for `upper`, and for the modulus.
        let rounding = 8.0 * f64::EPSILON * (sums.count + uses.len() as f64 + 4.0);
        let (mut off, dead) = (0.0, exp(DEAD));
        for (k, z) in product.iter().enumerate() {
            off += if exponent[k] > DEAD {
                let modulus = z.modulus();
                (upper[k] - modulus).max(0.0) + rounding * upper[k] + eta * modulus
            } else {
                dead
            };
        }
        let off = (off * 2.0 / (bins - 1) as f64 + 1e-280) * (1.0 + 1e-6);
        fft.inverse(product, sequence);
        Ok(Self::from_law(sequence, ends, off, &sums, plan))
    }

    fn from_law(law: &'a Sequence, ends: &'a mut Vec<Tail>, off: f64, sums: &Sums, plan: &Plan) -> Self {
        let Plan { h, lambda, length, .. } = *plan;
        let (start, outside) = sums.window(plan);
        let factors = Factors { fade: exp(-lambda * h), faster: exp(-(lambda + 1.0) * h), rise: step(h) };
        let missing = off * weight_sum(lambda, h, length) + outside.min(1.0) * exp(log_weight_max(lambda));
        fill(ends, length.div_ceil(BLOCK), Tail::default());
        let mut tail = Tail::default();
        for j in (0..length).rev() {
            if (j + 1).is_multiple_of(BLOCK) {
                ends[j / BLOCK] = tail;
            }
            tail = tail.below(mass(law, start + j as i64, length), factors);
        }
        Self {
            h,
            lambda,
            first: sums.offset + start as f64 * h,
            log_moment: sums.log_moment + sums.log_error,
            law,
            start,
            length,
            ends,
            factors,
            missing,
            infinite: sums.infinite,
            shift: sums.shift,
        }
    }

    fn tail(&self, j: usize) -> Tail {
        let block = j / BLOCK;
        (j..((block + 1) * BLOCK).min(self.length)).rev().fold(self.ends[block], |tail, i| {
            tail.below(mass(self.law, self.start + i as i64, self.length), self.factors)
        })
    }

    /// δ at `epsilon` ≥ 0: an upper bound.
    pub(super) fn delta(&self, epsilon: f64) -> Delta {
        self.at(epsilon - self.shift)
    }

    fn at(&self, epsilon: f64) -> Delta {
        let length = self.length;
        let next = ((epsilon - self.first) / self.h).floor() + 1.0;
        let next = if next < 0.0 { 0 } else { (next as usize).min(length) };
        let mut sum = 0.0;
        if next < length {
            let away = (self.point(next) - epsilon).max(0.0);
            let Tail { excess, decayed } = self.tail(next);
            sum = exp(-self.lambda * away) * (excess + step(away) * decayed);
        }
        // Sums of positive terms by as many operations, and three exponentials of exponents of that size.
        let exponent = self.log_moment - self.lambda * epsilon;
        let sizes = self.log_moment.abs() + self.lambda * epsilon.abs() + 64.0 + 8.0 * length as f64;
        let scale = exp(exponent) * (1.0 + 4.0 * f64::EPSILON * sizes);
        let slack = scale * self.missing;
        Delta { value: scale * sum + slack + self.infinite, slack }
    }

    fn point(&self, j: usize) -> f64 {
        self.first + j as f64 * self.h
    }

    /// The least ε ≥ 0 (up to the rounding of a bisection, upwards) at which δ with a margin is at most
    /// `delta`, and what share of it is slack. None where no ε of the window has that.
    pub(super) fn epsilon(&self, delta: f64) -> Option<(f64, f64)> {
        // The margin makes room for the slack of whoever goes back from ε to δ on a finer grid.
        let enough = |epsilon: f64| {
            let Delta { value, slack } = self.at(epsilon);
            value + 4.0 * slack <= delta * (1.0 - 1e-6)
        };
        let up = |epsilon: f64| {
            let share = self.at(epsilon).slack / delta;
            Some(((epsilon + self.shift).max(0.0), share))
        };
        if enough(-self.shift) {
            return up(-self.shift);
        }
        // The first point above 0 that is enough.
        let (mut first, mut last) = (0, self.length);
        while first < last {
            let middle = first + (last - first) / 2;
            if self.point(middle) > 0.0 && enough(self.point(middle)) {
                last = middle;
            } else {
                first = middle + 1;
            }
        }
        if first == self.length {
            return None;
        }
        // Between it and the one before, or 0, or the end of the window, below which nothing lies.
        let mut high = self.point(first);
        let mut low = if first == 0 { -self.shift } else { self.point(first - 1).max(-self.shift) };
        loop {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                return up(high);
            }
            if enough(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
    }
}

/// What adds up over the uses.
#[derive(Debug, Default)]
struct Sums {
    count: f64,
    log_moment: f64,
    log_error: f64,
    /// K at λ + the first of `further`, and at λ − the second.
    log_moment_up: f64,
    log_moment_down: f64,
    offset: f64,
    infinite: f64,
    shift: f64,
    least: f64,
    most: f64,
}

impl Sums {
    /// Counts `losses` in; makes `folded` the tilted law of one use, wrapped around the window's length.
    fn add(&mut self, losses: &Losses, count: u64, plan: &Plan, folded: &mut Sequence) {
        let Plan { h, lambda, further: (up, down), length, .. } = *plan;
        let (top, centre) = losses.peak(lambda, h);
        let wraps = 2.0 + (losses.log_mass.len() / length) as f64;
        folded.reset(length);
        let (mut sum, mut sum_up, mut sum_down) = (0.0, 0.0, 0.0);
        for (k, log_mass) in losses.log_mass.iter().enumerate() {
            let loss = losses.loss(k, h);
            let tilt = lambda * loss;
            let error = f64::EPSILON * (16.0 + wraps + 2.0 * (log_mass.abs() + tilt.abs() + top.abs()));
            // A weight below the least f64 counts as that, unless there is no mass at all.
            if *log_mass == f64::NEG_INFINITY {
                continue;
            }
            let exponent = log_mass + tilt - top;
            let weight = exp(exponent).max(f64::MIN_POSITIVE) * (1.0 + error);
            let away = loss - centre;
            sum += weight;
            sum_up += exp(exponent + up * away);
            sum_down += exp(exponent - down * away);
            *folded.at_mut(wrapped(losses.first + k as i64, length)) += weight;
        }
        folded.divide(sum);
        let count = count as f64;
        let one = top + log(sum);
        self.count += count;
        self.log_moment += count * one;
        self.log_error += count * 4.0 * f64::EPSILON * (1.0 + top.abs() + log(sum).abs() + one.abs());
        // Far above the rounding of the sums.
        self.log_moment_up += count * (top + up * centre + log(sum_up) + 1e-9);
        self.log_moment_down += count * (top - down * centre + log(sum_down) + 1e-9);
        self.offset += count * losses.offset;
        self.infinite += count * losses.infinite * (1.0 + 4.0 * f64::EPSILON);
        self.shift += count * losses.shift;
        self.least += count * losses.loss(0, h);
        self.most += count * losses.loss(losses.log_mass.len() - 1, h);
    }

    /// Index of the window's first point, and a bound on the tilted mass outside.
    fn window(&self, plan: &Plan) -> (i64, f64) {
        let Plan { h, further: (up, down), length, .. } = *plan;
        let width = (length - 1) as f64 * h;
        if self.most - self.least <= width - 2.0 * h {
            return (((self.least - self.offset) / h).floor() as i64, 0.0);
        }
        let (rise, fall) = (self.log_moment_up - self.log_moment, self.log_moment_down - self.log_moment);
        // Both Chernoff exponents equal; or at an end of the support, outside of which nothing is.
        let balanced = (rise - fall - up * width) / (up + down);
        let places = [balanced, self.most - width + 2.0 * h, self.least].map(|low| {
            let low = if low.is_finite() { low.clamp(self.least, self.most) } else { self.least };
            let start = ((low - self.offset) / h).floor();
            let low = self.offset + start * h;
            let high = low + width;
            // Half a point on either side, against the rounding of the indices.
            let above = if high >= self.most + h { 0.0 } else { exp(rise - up * (high + 0.5 * h)) };
            let below = if low <= self.least { 0.0 } else { exp(fall + down * (low - 0.5 * h)) };
            let outside = above + below + 1e-280;
            (start as i64, if outside.is_nan() { 1.0 } else { outside })
        });
        places.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("three places")
    }
}

/// f at a point of the transform; rounding may have left less than nothing.
fn mass(law: &Sequence, j: i64, length: usize) -> f64 {
    law.at(wrapped(j, length)).max(0.0)
}

/// `j` modulo `length`, a power of two.
fn wrapped(j: i64, length: usize) -> usize {
    (j & (length as i64 - 1)) as usize
}

fn fill<T: Clone>(buffer: &mut Vec<T>, length: usize, value: T) {
    buffer.clear();
    buffer.resize(length, value);
}

/// By squaring, like [`Complex::power`].
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut power = 1.0;
    loop {
        if exponent & 1 == 1 {
            power *= base;
        }
        exponent >>= 1;
        if exponent == 0 {
            return power;
        }
        base *= base;
    }
}
