//! Logistic recalibration of weighted rows `(logit, weight without, weight with)` by Newton's
//! method. Weights may be negative: noisy cells are.

/// More steps than any solvable case needs.
const STEPS_MAX: usize = 60;

/// A step, in logits, larger than this is shortened to it.
const STEP_LOGITS_MAX: f64 = 2.0;

/// Beyond this the solution says nothing: separation, or noise.
const COEFFICIENT_MAX: f64 = 50.0;

/// Converged when a full step is smaller.
const TOLERANCE: f64 = 1e-11;

/// `a` with `Σ weight · (outcome − expit(logit + a)) = 0`, or `None` without a stable root.
#[must_use]
pub fn intercept(rows: &[(f64, f64, f64)]) -> Option<f64> {
    let mut a = 0.0;
    for _ in 0..STEPS_MAX {
        let (mut score, mut information) = (0.0, 0.0);
        for &(logit, without, with) in rows {
            let p = expit(logit + a);
            score += with * (1.0 - p) - without * p;
            information += (with + without) * p * (1.0 - p);
        }
        let step = score / information;
        if !step.is_finite() || information <= 0.0 {
            return None;
        }
        a += step.clamp(-STEP_LOGITS_MAX, STEP_LOGITS_MAX);
        if a.abs() > COEFFICIENT_MAX {
            return None;
        }
        if step.abs() < TOLERANCE {
            return Some(a);
        }
    }
    None
}

/// `(a, b)` that solve `Σ weight · (outcome − expit(a + b·logit)) · (1, logit) = 0`: unpenalised
/// logistic regression. Starts at `(0, 1)`, a calibrated model; steps are shortened to 2 logits.
/// `None` where the information matrix is not positive definite on the way, or nothing converges.
#[must_use]
pub fn line(rows: &[(f64, f64, f64)]) -> Option<(f64, f64)> {
    let reach = rows.iter().map(|row| row.0.abs()).fold(1.0, f64::max);
    let (mut a, mut b) = (0.0, 1.0);
    for _ in 0..STEPS_MAX {
        let (mut score_a, mut score_b) = (0.0, 0.0);
        let (mut aa, mut ab, mut bb) = (0.0, 0.0, 0.0);
        for &(logit, without, with) in rows {
            let p = expit(a + b * logit);
            let residual = with * (1.0 - p) - without * p;
            let weight = (with + without) * p * (1.0 - p);
            score_a += residual;
            score_b += residual * logit;
            aa += weight;
            ab += weight * logit;
            bb += weight * logit * logit;
        }
        let determinant = aa * bb - ab * ab;
        if !(determinant > 1e-12 * aa * bb && aa > 0.0) {
            return None;
        }
        let step_a = (bb * score_a - ab * score_b) / determinant;
        let step_b = (aa * score_b - ab * score_a) / determinant;
        let longest = step_a.abs().max(step_b.abs() * reach);
        if !longest.is_finite() {
            return None;
        }
        let shorten = (STEP_LOGITS_MAX / longest).min(1.0);
        a += shorten * step_a;
        b += shorten * step_b;
        if a.abs() > COEFFICIENT_MAX || b.abs() > COEFFICIENT_MAX {
            return None;
        }
        if longest < TOLERANCE {
            return Some((a, b));
        }
    }
    None
}

/// The logistic function.
#[must_use]
pub fn expit(logit: f64) -> f64 {
    if logit >= 0.0 {
        1.0 / (1.0 + (-logit).exp())
    } else {
        let e = logit.exp();
        e / (1.0 + e)
    }
}

/// Its inverse.
#[must_use]
pub fn logit(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}
