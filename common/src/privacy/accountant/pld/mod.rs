//! Privacy loss distributions: the tight accountant of a list of events that was declared in advance.
//!
//! How. Each use's loss goes on a grid, rounded against the budget (`cells`); the total's law is their
//! convolution, by Fourier transform of exponentially tilted masses (`tilt`, `compose`); ε and δ are
//! read off it with every numerical error added. Both directions, with the person and without, count;
//! Gaussians without sampling are merged into one first, exactly, and alone need no grid (`normal`), nor
//! does a single use (`single`).
//!
//! Grid. T uses on a grid of step h inflate ε by about T(λ+1)h²/12, where λ is the tilt of the answer
//! (convexity of e^(−λL) within a cell). h is a power of two for which that is at most `INFLATION` of
//! ε; so a finer grid would lower ε by at most as much.
//!
//! Slack. The share of δ that covers numerical error is kept below `SLACK_SHARE` by choosing another
//! tilt where need be; it is part of the answer in any case, which is an upper bound whatever h and λ.
//!
//! Never above RDP: an answer from here is compared with the Rényi accountant's, also a bound, and the
//! lower one stands. That is the Rényi accountant's where the list is beyond `USES_MAX` or
//! `DISTINCT_MAX`.

mod cells;
mod compose;
mod fft;
mod normal;
mod pair;
mod single;
mod tilt;

use super::rdp::Curve;
use super::tally::{Mechanism, Tally};
use cells::{Cut, Losses, TooFine};
use compose::{LENGTH_MAX, Plan, Space, Total};
use fft::LENGTH_MIN;
use libm::{expm1, log, log1p};
use pair::{Direction, Pair};
use tilt::{Grid, log_weight_max};

/// What the grid may add to ε, relative to ε.
const INFLATION: f64 = 2e-5;
/// ε below this is computed as precisely as this is, absolutely.
const EPSILON_SMALL: f64 = 0.1;
/// Share of δ that may be numerical slack before another tilt is tried.
const SLACK_SHARE: f64 = 1e-6;
/// Share of δ that may be lost outside the window, about.
const WINDOW_SHARE: f64 = 1e-9;
/// How often an answer with more slack is moved up until going back does not end above δ.
const CHECKS_MAX: usize = 4;
/// How many tilts are tried.
const TRIES: usize = 4;
/// Most uses, all mechanisms together.
pub const USES_MAX: u128 = 1 << 40;
/// Most different mechanisms.
pub const DISTINCT_MAX: usize = 4096;
/// Finest and coarsest grid.
const H_MIN: f64 = 1e-15;
const H_MAX: f64 = 1e15;
/// The grid on which the answer is searched is so much coarser, in terms of inflation.
const COARSE: f64 = 64.0;

/// ε at `delta`, in (0, 1), of everything in `tally`.
///
/// # Privacy
/// An upper bound, for a list that was declared in advance.
pub(super) fn epsilon(tally: &Tally, delta: f64) -> f64 {
    on_a_grid(tally, delta).min(pure(tally))
}

/// The greatest loss there can be, which no δ is needed for: of Laplace mechanisms the sum of 1/b, less where they are
/// sampled (Balle, Barthe and Gaboardi 2018, Theorem 8); infinite with a Gaussian. A grid goes a little beyond it.
fn pure(tally: &Tally) -> f64 {
    let once = |mechanism| match mechanism {
        Mechanism::Laplace { scale } => 1.0 / scale.value(),
        Mechanism::PoissonLaplace { rate, scale } => {
            let full = 1.0 / scale.value();
            log1p(rate.value() * expm1(full)).min(full)
        }
        Mechanism::Gaussian { .. }
        | Mechanism::PoissonGaussian { .. }
        | Mechanism::MixtureGaussian { .. } => f64::INFINITY,
    };
    #[expect(clippy::cast_precision_loss, reason = "rounded up below")]
    let sum: f64 = tally.uses().map(|(mechanism, count)| once(mechanism) * count as f64).sum();
    sum * (1.0 + 1e-12)
}

fn on_a_grid(tally: &Tally, delta: f64) -> f64 {
    let curve = tally.curve();
    let by_rdp = curve.epsilon(delta);
    if by_rdp == 0.0 {
        return 0.0;
    }
    let Some(uses) = Uses::of(tally) else { return by_rdp };
    if let Some(mu) = uses.only_gaussian() {
        return normal::epsilon(mu, delta).min(by_rdp);
    }
    if let [(pair, 1)] = uses.0.as_slice() {
        return single::epsilon(pair, delta, by_rdp);
    }
    let (mut worst, mut space) = (0.0_f64, Space::default());
    let mut slope = None;
    for direction in uses.directions() {
        let search = Search {
            uses: &uses,
            direction: *direction,
            goal: Goal::Delta(delta),
            curve: &curve,
            inflation: INFLATION,
        };
        let Some(found) = search.answer(worst, &mut space) else { return by_rdp };
        worst = worst.max(found.value);
        if found.at_limits {
            slope = Some(slope.map_or(found.lambda, |slope: f64| slope.min(found.lambda)));
        }
    }
    let mut found = worst;
    if let Some(slope) = slope {
        // Going back must not end above δ; elsewhere the margin of `Total::epsilon` sees to it.
        for check in 1.. {
            let excess = log(by_pld(&uses, &curve, found, &mut space) / delta);
            if excess <= 0.0 {
                break;
            }
            found += 1.1 * excess / slope + 1e-6 * EPSILON_SMALL;
            if check == CHECKS_MAX || found >= by_rdp {
                return by_rdp;
            }
        }
    }
    found.min(by_rdp)
}

/// δ at `epsilon` ≥ 0 of everything in `tally`. For any d, `delta(epsilon(d)) <= d`.
///
/// # Privacy
/// As [`epsilon()`].
pub(super) fn delta(tally: &Tally, epsilon: f64) -> f64 {
    let curve = tally.curve();
    let by_rdp = curve.delta(epsilon);
    if by_rdp == 0.0 || epsilon.is_infinite() {
        return by_rdp;
    }
    if epsilon >= pure(tally) {
        return 0.0;
    }
    let Some(uses) = Uses::of(tally) else { return by_rdp };
    if let Some(mu) = uses.only_gaussian() {
        return normal::delta(mu, epsilon).min(by_rdp);
    }
    if let [(pair, 1)] = uses.0.as_slice() {
        return single::delta(pair, epsilon).min(by_rdp);
    }
    by_pld(&uses, &curve, epsilon, &mut Space::default()).min(by_rdp)
}

fn by_pld(uses: &Uses, curve: &Curve, epsilon: f64, space: &mut Space) -> f64 {
    let mut worst = 0.0_f64;
    for direction in uses.directions() {
        let search =
            Search { uses, direction: *direction, goal: Goal::Epsilon(epsilon), curve, inflation: INFLATION };
        worst = worst.max(search.answer(worst, space).map_or(1.0, |answer| answer.value));
    }
    worst
}

/// The mechanisms as pairs of distributions, Gaussians without sampling merged.
struct Uses(Vec<(Pair, u64)>);

impl Uses {
    /// None where there are too many.
    fn of(tally: &Tally) -> Option<Self> {
        let (mut pairs, mut precision, mut total) = (Vec::new(), 0.0, 0_u128);
        for (mechanism, count) in tally.uses() {
            total = total.checked_add(count)?;
            if let Mechanism::Gaussian { noise } = mechanism {
                let noise = noise.value();
                precision += count as f64 / (noise * noise);
                continue;
            }
            let pair = match mechanism {
                Mechanism::Gaussian { .. } => continue,
                Mechanism::PoissonGaussian { rate, noise } => Pair::sampled(1, rate.value(), noise.value()),
                Mechanism::MixtureGaussian { sites, rate, noise } => {
                    Pair::sampled(sites, rate.value(), noise.value())
                }
                Mechanism::Laplace { scale } => Pair::Laplace { rate: 1.0, unit: 1.0 / scale.value() },
                Mechanism::PoissonLaplace { rate, scale } => {
                    Pair::Laplace { rate: rate.value(), unit: 1.0 / scale.value() }
                }
            };
            pairs.push((pair, u64::try_from(count).ok()?));
        }
        if precision > 0.0 {
            // Rounded up: one relative unit per sum and product.
            let rounding = f64::EPSILON * (pairs.len() + tally.uses().count() + 8) as f64;
            pairs.push((Pair::full((precision * (1.0 + rounding)).sqrt()), 1));
        }
        (total <= USES_MAX && pairs.len() <= DISTINCT_MAX).then_some(Self(pairs))
    }

    /// μ where there is nothing but Gaussians without sampling.
    fn only_gaussian(&self) -> Option<f64> {
        match self.0.as_slice() {
            [(Pair::Gaussian { weights, step }, 1)] if weights[0] == 0.0 => Some(*step),
            _ => None,
        }
    }

    fn count(&self) -> f64 {
        self.0.iter().map(|(_, count)| *count as f64).sum()
    }

    fn directions(&self) -> &'static [Direction] {
        if self.0.iter().all(|(pair, _)| pair.is_symmetric()) {
            &[Direction::Remove]
        } else {
            &[Direction::Remove, Direction::Add]
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Goal {
    /// ε at this δ.
    Delta(f64),
    /// δ at this ε.
    Epsilon(f64),
}

/// What [`Search::coarse`] found.
enum Coarse {
    /// A valid bound, as low as was asked for.
    Enough(f64),
    /// δ, or a bound on it, is what masses are cut by.
    Grid { grid: Grid, lambda: f64, delta: f64 },
}

/// ε or δ.
#[derive(Debug, Clone, Copy)]
struct Answer {
    value: f64,
    /// How much of δ there is numerical slack.
    share: f64,
    /// The tilt, which is about how fast ln δ falls with ε.
    lambda: f64,
    /// Whether a finer grid, or less slack, was not to be had.
    at_limits: bool,
}

#[derive(Clone, Copy)]
struct Search<'a> {
    uses: &'a Uses,
    direction: Direction,
    goal: Goal,
    curve: &'a Curve,
    /// What the grid may add to ε.
    inflation: f64,
}

impl Search<'_> {
    /// The answer in this direction; or anything at most `enough`, if it is known not to be above that.
    /// None where no grid would do.
    fn answer(&self, enough: f64, space: &mut Space) -> Option<Answer> {
        let count = self.uses.count();
        let (grid, mut lambda, delta) = match self.coarse(enough)? {
            Coarse::Enough(bound) => {
                return Some(Answer { value: bound, share: 0.0, lambda: f64::MAX, at_limits: false });
            }
            Coarse::Grid { grid, lambda, delta } => (grid, lambda, delta),
        };
        let cut = Cut::at(delta, count);
        let mut best: Option<Answer> = None;
        let mut tried = Vec::new();
        for _ in 0..TRIES {
            let answer = self.on_fine_grid(&grid, lambda, cut, space)?;
            let answer = best.map_or(answer, |best| if best.value <= answer.value { best } else { answer });
            best = Some(answer);
            let Answer { value, share, .. } = answer;
            // What the slack costs: as a share of δ, or of ε, of which ln δ falls by about λ.
            let (cost, epsilon) = match self.goal {
                Goal::Delta(_) => (share / lambda / value.max(EPSILON_SMALL), value),
                Goal::Epsilon(epsilon) => (share, epsilon),
            };
            tried.push(lambda);
            if cost <= SLACK_SHARE {
                break;
            }
            let again = grid.lambda_for_epsilon(epsilon, lambda);
            let new = |lambda: f64| tried.iter().all(|tried| (lambda / tried - 1.0).abs() > 0.05);
            // The slack may have found itself: then a weaker tilt.
            let Some(next) = [again, 0.5 * again].into_iter().find(|lambda| new(*lambda)) else { break };
            lambda = next;
        }
        best.map(|best| Answer { at_limits: best.at_limits || best.share > SLACK_SHARE, ..best })
    }

    /// A grid on which the tilt is found, and the tilt; or a bound that is at most `enough`.
    fn coarse(&self, enough: f64) -> Option<Coarse> {
        let count = self.uses.count();
        let (epsilon, mut delta) = match self.goal {
            Goal::Delta(delta) => (self.curve.epsilon(delta), delta),
            Goal::Epsilon(epsilon) => (epsilon, self.curve.delta(epsilon)),
        };
        let mut lambda = f64::from(self.curve.best_order(delta).unwrap_or(2)) - 1.0;
        let mut h = step(COARSE * INFLATION, epsilon, lambda, count);
        let mut finest = 0.0;
        loop {
            let cut = Cut::at(delta, count);
            let uses =
                self.uses.0.iter().map(|(pair, count)| {
                    Losses::of(pair, self.direction, h, cut).map(|losses| (losses, *count))
                });
            let Ok(uses) = uses.collect::<Result<Vec<_>, TooFine>>() else {
                h *= 2.0;
                finest = h;
                if h > H_MAX {
                    return None;
                }
                continue;
            };
            let grid = Grid { h, uses };
            let bound = match self.goal {
                Goal::Delta(delta) => {
                    lambda = grid.lambda_for_log_delta(log(delta), lambda);
                    grid.epsilon_at_most(lambda, delta)
                }
                Goal::Epsilon(epsilon) => {
                    lambda = grid.lambda_for_epsilon(epsilon, lambda);
                    grid.delta_at_most(lambda, epsilon)
                }
            };
            if bound <= enough {
                return Some(Coarse::Enough(bound));
            }
            let wanted = step(COARSE * INFLATION, grid.epsilon(lambda), lambda, count);
            // What was cut must be small beside the answer, of which only a bound is known at first.
            let cut_too_much = matches!(self.goal, Goal::Epsilon(_)) && bound < 1e-2 * delta;
            if cut_too_much {
                delta = bound;
            } else if h <= 2.0 * wanted || h <= finest {
                return Some(Coarse::Grid { grid, lambda, delta });
            }
            h = f64::max(wanted, finest);
        }
    }

    /// Answer and share of slack with this tilt.
    fn on_fine_grid(&self, grid: &Grid, lambda: f64, cut: Cut, space: &mut Space) -> Option<Answer> {
        let count = self.uses.count();
        let here = grid.cumulants(lambda);
        let wanted = match self.goal {
            Goal::Delta(_) => step(self.inflation, grid.epsilon(lambda), lambda, count),
            // Half as coarse, so that going back from ε never ends above δ.
            Goal::Epsilon(epsilon) => 0.5 * step(self.inflation, epsilon, lambda, count),
        };
        // Ends of the window, where the tilted law has little mass beside what δ is made of.
        let spread = lambda * (lambda + 1.0) * (2.0 * std::f64::consts::PI * here.variance).sqrt();
        let tail = -log(WINDOW_SHARE) + log(spread).max(-log_weight_max(lambda));
        let further = (2.0 * tail / here.variance.max(f64::MIN_POSITIVE)).sqrt();
        let ends = |sign: f64| {
            // The small ones are for laws with a long tail.
            [0.004, 0.016, 0.06, 0.25, 0.5, 0.75, 1.0, 1.4]
                .map(|factor| {
                    let tilt = factor * further;
                    let rise = grid.cumulants(lambda + sign * tilt).log_moment - here.log_moment;
                    ((rise + tail) / tilt, tilt)
                })
                .into_iter()
                .filter(|(end, _)| end.is_finite())
                .min_by(|a, b| a.0.total_cmp(&b.0))
        };
        let (above, up) = ends(1.0)?;
        let (below, down) = ends(-1.0)?;
        let most: f64 = grid.uses.iter().map(|(l, n)| *n as f64 * l.loss(l.log_mass.len(), grid.h)).sum();
        let least: f64 = grid.uses.iter().map(|(l, n)| *n as f64 * (l.loss(0, grid.h) - grid.h)).sum();
        let width = above.min(most) - (-below).max(least);
        // A window over everything leaves nothing outside.
        let width = if width > 0.5 * (most - least) { most - least } else { width };
        let mut h = wanted;
        loop {
            let length = ((width / h) * 1.02 + 8.0).max(LENGTH_MIN as f64);
            if length <= LENGTH_MAX as f64 {
                let length = (length.ceil() as usize).next_power_of_two();
                let plan = Plan { direction: self.direction, h, lambda, further: (up, down), length, cut };
                if let Ok(total) = Total::of(&self.uses.0, &plan, space) {
                    let at_limits = h > wanted || 2 * length > LENGTH_MAX;
                    let (value, share) = match self.goal {
                        Goal::Delta(delta) => total.epsilon(delta).unwrap_or((f64::INFINITY, 1.0)),
                        Goal::Epsilon(epsilon) => {
                            let delta = total.delta(epsilon);
                            (delta.value, delta.slack / delta.value)
                        }
                    };
                    // Going back takes a grid half as coarse, if it finds the same tilt: so if the coarse grid
                    // was right about where the answer is.
                    let foreseen = grid.epsilon(lambda);
                    let astray =
                        matches!(self.goal, Goal::Delta(_)) && (value - foreseen).abs() > 0.1 * value;
                    return Some(Answer { value, share, lambda, at_limits: at_limits || astray });
                }
            }
            h *= 2.0;
            if h > H_MAX {
                return None;
            }
        }
    }
}

/// The power of two for a grid that inflates ε by at most a share `inflation` of it.
fn step(inflation: f64, epsilon: f64, lambda: f64, count: f64) -> f64 {
    let wanted = (12.0 * inflation * epsilon.max(EPSILON_SMALL) / (count * (lambda + 1.0))).sqrt();
    // The formula is for cells within which the tilt does not change much.
    let wanted = wanted.min(0.25 / (lambda + 1.0));
    // The exponent bits alone.
    f64::from_bits(wanted.clamp(H_MIN, H_MAX).to_bits() & 0x7ff0_0000_0000_0000)
}

#[cfg(test)]
mod tests;
