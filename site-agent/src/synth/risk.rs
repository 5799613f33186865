//! The risk models that rule at every site, one for each outcome, and what they can reach.

use super::person::{Diagnosis, Lived};
use super::profile::SiteProfile;

/// The logit of somebody at every centre, at a site without a shift.
pub(super) const INTERCEPT: f64 = -3.0;

/// One term of the logit: `coefficient × (value − centre)`.
pub(super) struct Term {
    /// The quantity, named as its column; a level of a category after `=`.
    pub(super) of: &'static str,
    /// Change of the logit per unit.
    pub(super) coefficient: f64,
    /// The value that adds nothing.
    pub(super) centre: f64,
    value: fn(&Lived) -> f64,
}

const fn term(of: &'static str, coefficient: f64, centre: f64, value: fn(&Lived) -> f64) -> Term {
    Term { of, coefficient, centre, value }
}

/// Everything that matters. Body mass index, antidepressants and ethnicity do not: a model that
/// leans on them has learned a habit.
pub(super) const TERMS: [Term; 12] = [
    term("age", -0.015, 45.0, |p| f64::from(p.age)),
    term("sex=female", 0.1, 0.0, |p| yes(p.female)),
    term("prior_self_harm", 0.9, 0.0, |p| yes(p.prior_self_harm)),
    term("prior_admissions", 0.04, 0.0, |p| f64::from(p.prior_admissions)),
    term("days_since_last_contact", -0.001_6, 0.0, |p| f64::from(p.days_since_last_contact)),
    term("phq9", 0.14, 12.0, |p| f64::from(p.phq9)),
    term("diagnosis=psychosis", -0.1, 0.0, |p| yes(p.diagnosis == Diagnosis::Psychosis)),
    term("diagnosis=bipolar", 0.15, 0.0, |p| yes(p.diagnosis == Diagnosis::Bipolar)),
    term("diagnosis=other", 0.1, 0.0, |p| yes(p.diagnosis == Diagnosis::Other)),
    term("antipsychotic", -0.1, 0.0, |p| yes(p.antipsychotic)),
    term("alcohol_misuse", 0.6, 0.0, |p| yes(p.alcohol)),
    term("deprivation_quintile", -0.05, 3.0, |p| f64::from(p.deprivation)),
];

fn yes(happens: bool) -> f64 {
    f64::from(u8::from(happens))
}

/// The logit of readmission of somebody at every centre, at a site without a shift.
pub(super) const READMISSION_INTERCEPT: f64 = -2.1;

/// Everything that matters for a psychiatric stay within 30 days of the last one.
pub(super) const READMISSION_TERMS: [Term; 8] = [
    term("age", -0.02, 45.0, |p| f64::from(p.age)),
    term("prior_self_harm", 0.4, 0.0, |p| yes(p.prior_self_harm)),
    term("prior_admissions", 0.12, 1.0, |p| f64::from(p.prior_admissions)),
    term("phq9", 0.05, 12.0, |p| f64::from(p.phq9)),
    term("diagnosis=psychosis", 0.6, 0.0, |p| yes(p.diagnosis == Diagnosis::Psychosis)),
    term("diagnosis=bipolar", 0.4, 0.0, |p| yes(p.diagnosis == Diagnosis::Bipolar)),
    term("alcohol_misuse", 0.8, 0.0, |p| yes(p.alcohol)),
    term("deprivation_quintile", -0.15, 3.0, |p| f64::from(p.deprivation)),
];

/// The true probability of self-harm within 365 days after the index day.
pub(super) fn true_risk(lived: &Lived, site: &SiteProfile) -> f64 {
    of_terms(&TERMS, lived, INTERCEPT + site.logit_shift)
}

/// The true probability that somebody who is discharged comes back within 30 days.
pub(super) fn true_readmission_risk(lived: &Lived, site_shift: f64) -> f64 {
    of_terms(&READMISSION_TERMS, lived, READMISSION_INTERCEPT + site_shift)
}

/// `libm`'s exponential has the same bits on every platform.
fn of_terms(terms: &[Term], lived: &Lived, base: f64) -> f64 {
    let terms: f64 = terms.iter().map(|t| t.coefficient * ((t.value)(lived) - t.centre)).sum();
    1.0 / (1.0 + libm::exp(-(base + terms)))
}

/// Score bins of [`Concordance`]: risks closer than a 65,536th count as equal.
const BINS: usize = 1 << 16;

/// The area under the ROC curve from counts in fine bins, so that memory does not grow with people.
#[derive(Debug, Clone)]
pub(super) struct Concordance {
    without: Vec<u64>,
    with: Vec<u64>,
}

impl Default for Concordance {
    fn default() -> Self {
        Self { without: vec![0; BINS], with: vec![0; BINS] }
    }
}

impl Concordance {
    /// Counts one person.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability times 65,536")]
    pub(super) fn add(&mut self, risk: f64, outcome: bool) {
        let bin = ((risk * BINS as f64) as usize).min(BINS - 1);
        let counts = if outcome { &mut self.with } else { &mut self.without };
        counts[bin] += 1;
    }

    /// Counts everybody of `other` too.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.without, &other.without), (&mut self.with, &other.with)] {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }

    /// The share of pairs in order, ties counting half; none without both outcomes.
    #[expect(clippy::cast_precision_loss, reason = "at most 10^14 pairs, below 2^53")]
    pub(super) fn auroc(&self) -> Option<f64> {
        let (mut below, mut twice_in_order, mut with) = (0, 0, 0);
        for (n, m) in self.without.iter().zip(&self.with) {
            twice_in_order += m * (2 * below + n);
            below += n;
            with += m;
        }
        let pairs = below * with;
        (pairs > 0).then(|| twice_in_order as f64 / (2 * pairs) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concordance() {
        fn check(people: &[(f64, bool)], expected: Option<f64>) {
            let mut concordance = Concordance::default();
            people.iter().for_each(|&(risk, outcome)| concordance.add(risk, outcome));
            assert_eq!(concordance.auroc(), expected, "{people:?}");
        }
        check(&[], None);
        check(&[(0.5, true)], None);
        check(&[(0.1, false), (0.2, true)], Some(1.0));
        check(&[(0.2, false), (0.1, true)], Some(0.0));
        check(&[(0.2, false), (0.2, true)], Some(0.5));
        check(&[(0.1, false), (0.3, false), (0.2, true), (1.0, true)], Some(0.75));
    }
}
