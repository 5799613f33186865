//! What ε and δ mean in words that people can weigh: odds are understood best (Nanayakkara et al., "What are
//! the chances? Explaining the epsilon parameter in differential privacy", USENIX Security 2023).

/// Bounds on what anybody can learn about one person from everything that was sent out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// Who thinks it is 50:50 that a person is in the data guesses right with at most this probability:
    /// (e^ε + δ)/(e^ε + 1) (Kairouz, Oh and Viswanath 2015).
    pub right_guess: f64,
    /// Who was 1 % sure becomes at most this sure, apart from outputs with a probability of about δ.
    pub from_one_percent: f64,
    /// Who accepts 1 false alarm in 100 finds at most this share of the people in the data:
    /// min(e^ε·α + δ, 1 − e^−ε·(1 − δ − α)) at α = 0.01 (same source).
    pub found: f64,
}

impl Odds {
    /// The bounds that follow from (ε, δ).
    ///
    /// # Privacy
    /// Unit: one person at one site; neighbours: add or remove one person. Claims what the (ε, δ) given
    /// claims, and no more.
    #[must_use]
    pub fn of(epsilon: f64, delta: f64) -> Self {
        const FALSE_ALARMS: f64 = 0.01;
        const PRIOR: f64 = 0.01;
        // e^-ε, so that a large ε does not overflow.
        let shrink = libm::exp(-epsilon.max(0.0));
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

    /// The published table, δ aside: in per cent.
    #[test]
    fn known_values() {
        fn check(epsilon: f64, [right, sure, found]: [f64; 3], has_limit: bool) {
            let odds = Odds::of(epsilon, 0.0);
            for (came, expected) in
                [(odds.right_guess, right), (odds.from_one_percent, sure), (odds.found, found)]
            {
                assert!(
                    (100.0 * came - expected).abs() <= 0.5 * 10f64.powi(-decimals(expected)),
                    "{epsilon}: {came}"
                );
            }
            assert_eq!(odds.no_practical_limit(), !has_limit, "{epsilon}");
        }
        fn decimals(value: f64) -> i32 {
            let text = value.to_string();
            text.split_once('.').map_or(0, |(_, tail)| i32::try_from(tail.len()).expect("short"))
        }
        check(0.0, [50.0, 1.0, 1.0], true);
        check(0.5, [62.0, 1.6, 1.6], true);
        check(1.0, [73.0, 2.7, 2.7], true);
        check(3.0, [95.0, 17.0, 20.0], true);
        check(5.0, [99.3, 60.0, 99.3], false);
        check(8.0, [99.97, 97.0, 99.97], false);
        check(1000.0, [100.0, 100.0, 100.0], false);
    }

    #[test]
    fn delta_counts() {
        let (without, with) = (Odds::of(1.0, 0.0), Odds::of(1.0, 0.1));
        assert!(with.right_guess > without.right_guess + 0.02);
        assert!((with.found - without.found - 0.1).abs() < 1e-12);
    }
}
