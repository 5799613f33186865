//! The statistics of an audit: how much a mechanism that was only watched has certainly let out, and
//! whether its noise is what it says.
//!
//! Four complementary tests on canaries, people whose presence was decided by a fair coin: the one-run
//! lower bound of ε (Steinke, Nasr and Jagielski 2023, arXiv:2305.08846, theorem 5.2), the separation
//! of scores against that of the Gaussian mechanism, the variance of the noise, and its independence
//! from step to step. The first is a proof but weak, and alarms at gross mistakes only; the others
//! compare with what the mechanism claims exactly. Beside them, batch sizes against Binomial ones.

use consilium_common::evaluation::normal::cumulative as normal_cumulative;
use consilium_common::privacy::mechanism::Event;
use libm::{lgamma, log1p};
use serde_json::{Value, json};

/// Below it a finding is an alarm. With some ten findings a run, a right mechanism alarms once in a
/// thousand fresh seeds.
pub const ALARM: f64 = 1e-4;
/// The one-run lower bound holds with this probability of error, over all its guesses together.
pub const SIGNIFICANCE: f64 = 0.05;

/// One statistic, and how probable it or a more extreme one is for the mechanism as claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was measured.
    pub name: &'static str,
    /// Measured.
    pub measured: f64,
    /// As claimed: the most, or the exact value.
    pub claimed: f64,
    /// p value; for proofs (a bound, an exact difference) 0 or 1.
    pub p: f64,
}

impl Finding {
    /// Whether the mechanism is not what it claims.
    #[must_use]
    pub fn alarms(&self) -> bool {
        // A value that is no number is never a good sign.
        self.p.is_nan() || self.p < ALARM
    }

    /// `measured` must not pass `most`, whatever chance does.
    #[must_use]
    pub fn at_most(name: &'static str, measured: f64, most: f64) -> Self {
        Self { name, measured, claimed: most, p: if measured <= most { 1.0 } else { 0.0 } }
    }
}

/// The largest ε that the scores of one run disprove, at [`SIGNIFICANCE`]: guesses "in" for the highest
/// and "out" for the lowest scores, with m/10, m/4, m/2 and m guesses, and takes the best of the four
/// at a quarter of the error each.
#[must_use]
pub fn one_run_epsilon(inside: &[f64], outside: &[f64], delta: f64) -> f64 {
    let mut scores: Vec<(f64, bool)> =
        inside.iter().map(|&s| (s, true)).chain(outside.iter().map(|&s| (s, false))).collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let m = scores.len();
    let bound = |guesses: usize| {
        let half = guesses / 2;
        let low = scores[..half].iter().filter(|(_, inside)| !inside).count();
        let high = scores[m - half..].iter().filter(|(_, inside)| *inside).count();
        let (mut least, mut most) = (0.0, 30.0);
        if one_run_p(m, 2 * half, low + high, least, delta) > SIGNIFICANCE / 4.0 {
            return 0.0;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(least, most);
            if one_run_p(m, 2 * half, low + high, middle, delta) <= SIGNIFICANCE / 4.0 {
                least = middle;
            } else {
                most = middle;
            }
        }
        least
    };
    [m / 10, m / 4, m / 2, m].into_iter().map(bound).fold(0.0, f64::max)
}

/// At most so probable is it that an (ε, δ) mechanism lets somebody make `correct` of `guesses` right
/// about `canaries` people: β + 2mδα with β = P[Bin(r, e^ε/(1 + e^ε)) ≥ v] and
/// α = max_i P[v > Bin ≥ v − i]/i.
///
/// # Panics
/// More right than guessed.
#[must_use]
pub fn one_run_p(canaries: usize, guesses: usize, correct: usize, epsilon: f64, delta: f64) -> f64 {
    assert!(correct <= guesses, "at most all guesses are right");
    let (r, v) = (guesses as f64, correct as f64);
    // ln(e^ε/(1 + e^ε)), and of its complement.
    let (ln_right, ln_wrong) = (-log1p((-epsilon).exp()), -epsilon - log1p((-epsilon).exp()));
    let ln_all = lgamma(r + 1.0);
    let mass = |k: f64| {
        let ways = ln_all - lgamma(k + 1.0) - lgamma(r - k + 1.0);
        (ways + k * ln_right + (r - k) * ln_wrong).exp()
    };
    let beta: f64 = (correct..=guesses).rev().map(|k| mass(k as f64)).sum();
    let (mut below, mut alpha) = (0.0, 0.0_f64);
    for i in 1..=correct {
        below += mass(v - i as f64);
        alpha = alpha.max(below / i as f64);
    }
    (beta + 2.0 * canaries as f64 * delta * alpha).min(1.0)
}

/// Whether canaries are told apart better than by the Gaussian mechanism of `mu`:
/// d = (mean in − mean out)/sd out, one-sided.
#[must_use]
pub fn separation(inside: &[f64], outside: &[f64], mu: f64) -> Finding {
    let (mean_in, variance_in) = mean_and_variance(inside);
    let (mean_out, variance_out) = mean_and_variance(outside);
    let (n_in, n_out) = (inside.len() as f64, outside.len() as f64);
    let d = (mean_in - mean_out) / variance_out.sqrt();
    let error = (variance_in / (n_in * variance_out) + 1.0 / n_out + d * d / (2.0 * n_out)).sqrt();
    let p = normal_cumulative(-(d - mu) / error);
    Finding { name: "separation", measured: d, claimed: mu, p }
}

/// Whether values of mean 0 have the variance claimed: their squares' sum is χ² of so many degrees.
#[must_use]
pub fn noise_variance(values: &[f64], variance: f64) -> Finding {
    let squares: f64 = values.iter().map(|y| y * y).sum();
    let n = values.len() as f64;
    Finding {
        name: "noise variance",
        measured: squares / n,
        claimed: variance,
        p: chi_squared_p(squares / variance, n),
    }
}

/// Whether each coordinate's value of one step tells of its next: rows are coordinates, columns steps.
#[must_use]
pub fn step_correlation(coordinates: &[Vec<f64>]) -> Finding {
    let (mut products, mut squares, mut pairs) = (0.0, 0.0, 0.0);
    for steps in coordinates {
        for pair in steps.windows(2) {
            products += pair[0] * pair[1];
            squares += f64::midpoint(pair[0] * pair[0], pair[1] * pair[1]);
            pairs += 1.0;
        }
    }
    let correlation = if squares > 0.0 { products / squares } else { 1.0 };
    let p = 2.0 * normal_cumulative(-(correlation * f64::sqrt(pairs)).abs());
    Finding { name: "step correlation", measured: correlation, claimed: 0.0, p }
}

/// Whether sums over a step's people have the mean and the variance of Poisson sampling.
#[must_use]
pub fn batch_sizes(sums: &[f64], mean: f64, variance: f64) -> [Finding; 2] {
    let (found, spread) = mean_and_variance(sums);
    let n = sums.len() as f64;
    let p_mean = 2.0 * normal_cumulative(-((found - mean) / (variance / n).sqrt()).abs());
    let p_variance = chi_squared_p(spread * (n - 1.0) / variance, n - 1.0);
    [
        Finding { name: "batch mean", measured: found, claimed: mean, p: p_mean },
        Finding { name: "batch variance", measured: spread, claimed: variance, p: p_variance },
    ]
}

/// Two-sided, by Wilson and Hilferty's normal deviate (1931): for many degrees of freedom.
#[must_use]
pub fn chi_squared_p(statistic: f64, freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    let deviate = ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    2.0 * normal_cumulative(-deviate.abs())
}

/// With n − 1.
fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0))
}

/// The environment variable that names the file for the audit's document, which `coordinator study report
/// --audit` shows.
pub const DOCUMENT: &str = "CONSILIUM_AUDIT_JSON";

/// Writes the document, where it was asked for: what was claimed, what was measured, and (`mutants`)
/// nothing yet of broken variants, which another build runs.
///
/// # Panics
/// The file cannot be written, or there is no lower bound among the findings.
pub fn document(event: &Event, delta: f64, canaries: usize, findings: &[Finding]) {
    let Ok(path) = std::env::var(DOCUMENT) else { return };
    let bound = findings.iter().filter(|finding| finding.name == LOWER_BOUND);
    let most = bound.max_by(|a, b| a.measured.total_cmp(&b.measured)).expect("the audit bounds ε");
    let listed =
        |f: &Finding| json!({"name": f.name, "measured": f.measured, "claimed": f.claimed, "p": f.p});
    let document = json!({
        "schema": "audit/1",
        "software": site_agent::home::SOFTWARE,
        "event": event,
        "delta": delta,
        "epsilon_claimed": most.claimed,
        "epsilon_lower_bound": most.measured,
        "canaries": canaries,
        "findings": findings.iter().map(listed).collect::<Vec<Value>>(),
        "mutants": [],
    });
    std::fs::write(path, format!("{document:#}\n")).expect("the folder of the caller");
}

/// The name of the finding that is a proof: [`one_run_epsilon`] against the ε that is claimed.
pub const LOWER_BOUND: &str = "one-run lower bound";

#[cfg(test)]
mod tests;
