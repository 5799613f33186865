//! What ε and δ mean in words that people can weigh (odds are understood best: Nanayakkara et al.,
//! USENIX Security 2023).

/// Bounds on what anybody can learn about one person from everything that was sent out, under
/// (ε, δ)-differential privacy with respect to adding or removing that person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// Who thinks it is 50:50 that a person is in the data guesses right with at most this
    /// probability: (e^ε + δ)/(e^ε + 1), from the bound on total variation
    /// (e^ε − 1 + 2δ)/(e^ε + 1) (Kairouz, Oh and Viswanath 2015).
    pub right_guess: f64,
    /// Who was 1 % sure becomes at most this sure, apart from outputs with a probability of about δ.
    pub from_one_percent: f64,
    /// Who accepts 1 false alarm in 100 finds at most this share of the people in the data:
    /// min(e^ε·α + δ, 1 − e^−ε·(1 − δ − α)) at α = 0.01 (same source).
    pub found: f64,
}

impl Odds {
    /// # Privacy
    /// Claims what the accountant's (ε, δ) claims, no more; unit and neighbours are the study's.
    #[must_use]
    pub fn of(epsilon: f64, delta: f64) -> Self {
        const FALSE_ALARMS: f64 = 0.01;
        const PRIOR: f64 = 0.01;
        // e^-ε, so that a large ε does not overflow.
        let shrink = (-epsilon.max(0.0)).exp();
        let found = (FALSE_ALARMS / shrink + delta).min(1.0 - shrink * (1.0 - delta - FALSE_ALARMS));
        Self {
            right_guess: ((1.0 + delta * shrink) / (1.0 + shrink)).min(1.0),
            from_one_percent: PRIOR / (PRIOR + (1.0 - PRIOR) * shrink),
            found: found.clamp(0.0, 1.0),
        }
    }

    /// An attacker with few false alarms finds nearly everybody: the bound says nothing.
    #[must_use]
    pub fn no_practical_limit(&self) -> bool {
        self.found >= 0.9
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::number::percent;

    #[test]
    fn known_values() {
        fn check(epsilon: f64, right: &str, sure: &str, found: &str, limit: bool) {
            let odds = Odds::of(epsilon, 1e-6);
            let shown = [odds.right_guess, odds.from_one_percent, odds.found].map(percent);
            assert_eq!(shown, [right, sure, found], "{epsilon}");
            assert_eq!(odds.no_practical_limit(), !limit, "{epsilon}");
        }
        check(0.0, "50%", "1.0%", "1.0%", true);
        check(0.5, "62%", "1.6%", "1.6%", true);
        check(1.0, "73%", "2.7%", "2.7%", true);
        check(3.0, "95%", "17%", "20%", true);
        check(5.0, "99.3%", "60%", "99.3%", false);
        check(8.0, "99.97%", "97%", "99.97%", false);
        check(1000.0, "100%", "100%", "100%", false);
    }

    #[test]
    fn delta_counts() {
        let (without, with) = (Odds::of(1.0, 0.0), Odds::of(1.0, 0.1));
        assert!(with.right_guess > without.right_guess + 0.02);
        assert!((with.found - without.found - 0.1).abs() < 1e-12);
    }
}
