//! Of how many people an attribute is recorded, from noisy counts: what may be printed, with intervals.

use super::normal::quantile;
use super::performance::shown_count;
use super::sum::Cells;
use crate::study::{Disclosure, RECORDED};

/// A share is printed in whole hundredths, so that it gives no count away that is not printed itself.
const SHARE_STEPS: f64 = 100.0;

/// One attribute's states.
#[derive(Debug, Clone, PartialEq)]
pub struct Completeness {
    /// In the order of the attribute's values: `recorded` first, `unknown` last.
    pub states: Vec<StateCount>,
    /// The share of all people of whom it is recorded; none where too few are, or too few are not.
    pub recorded: Option<RecordedShare>,
}

/// People in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateCount {
    /// `recorded`, `refused`, …
    pub state: String,
    /// Noise included, rounded as the study says; none below its smallest count.
    pub people: Option<u64>,
    /// Where the count without noise lies at the study's level, rounded outwards; none where there is no count.
    pub interval: Option<(u64, u64)>,
}

/// Of all people, in hundredths that are whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordedShare {
    /// Within 0 to 1.
    pub value: f64,
    /// At the study's level, rounded outwards.
    pub interval: (f64, f64),
}

/// What is printed of a release of people by `labels`, its states.
///
/// The noise of each cell is Gaussian with a known σ, and there is nothing else to be uncertain about: these are the people
/// who were there. The error of the share R/T, with T = R + O over k cells, is that of its linear part,
/// σ·√((1 − p)² + p²(k − 1))/T.
///
/// # Privacy
/// Post-processing of noisy cells, also in what is left out.
///
/// # Panics
/// Not one label for each cell, which is a bug of the caller.
#[must_use]
pub fn completeness(cells: &Cells, labels: &[String], level: f64, disclosure: &Disclosure) -> Completeness {
    let (people, noise_sd) = cells.people();
    assert_eq!(people.len(), labels.len(), "one cell for each state");
    let reach = quantile(f64::midpoint(1.0, level)) * noise_sd;
    let state = |(label, noisy): (&String, &f64)| {
        let shown = shown_count(*noisy, disclosure);
        StateCount {
            state: label.clone(),
            people: shown,
            interval: shown.map(|_| outwards(noisy - reach, noisy + reach, disclosure.round_to.max(1))),
        }
    };
    Completeness {
        states: labels.iter().zip(&people).map(state).collect(),
        recorded: share(&people, labels, reach, disclosure),
    }
}

/// Multiples of `step` around both ends, from 0 on.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of people, far below 2^53"
)]
fn outwards(low: f64, high: f64, step: u64) -> (u64, u64) {
    let steps = |value: f64, round: fn(f64) -> f64| round(value.max(0.0) / step as f64) as u64 * step;
    (steps(low, f64::floor), steps(high, f64::ceil))
}

#[expect(clippy::cast_precision_loss, reason = "a study's smallest count, and five cells")]
fn share(people: &[f64], labels: &[String], reach: f64, disclosure: &Disclosure) -> Option<RecordedShare> {
    let recorded: f64 = labels.iter().zip(people).find(|(label, _)| *label == RECORDED).map(|(_, n)| *n)?;
    let (total, others) = (people.iter().sum::<f64>(), people.len() as f64 - 1.0);
    let fewest = disclosure.min_count.max(1) as f64;
    // A total that noise alone could make is none.
    if recorded < fewest || total - recorded < fewest || total <= reach * people.len() as f64 {
        return None;
    }
    let share = recorded / total;
    let error = reach * ((1.0 - share).powi(2) + share.powi(2) * others).sqrt() / total;
    let in_steps =
        |value: f64, round: fn(f64) -> f64| round(value.clamp(0.0, 1.0) * SHARE_STEPS) / SHARE_STEPS;
    Some(RecordedShare {
        value: in_steps(share, f64::round),
        interval: (in_steps(share - error, f64::floor), in_steps(share + error, f64::ceil)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::histogram::{Grouping, PERSON_UNITS};
    use crate::study::{Attribute, AttributeValues, NotRecorded};
    use chacha20::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng as _};

    const RULES: Disclosure = Disclosure { min_count: 11, round_to: 5, min_sites: 2 };

    fn labels() -> Vec<String> {
        AttributeValues::RecordedConcepts(NotRecorded::default()).labels()
    }

    /// Of one site with σ people of noise a cell.
    fn of(people: &[f64], sigma: f64) -> Completeness {
        let values = AttributeValues::RecordedConcepts(NotRecorded::default());
        let grouping = Grouping::of_people(&[Attribute { name: "x".into(), values }], 0);
        let units = |n: &f64| (n * PERSON_UNITS as f64).round() as i64;
        let share = (sigma * PERSON_UNITS as f64) as u64;
        let cells = Cells::of_secure_sum(&grouping, 16, people.iter().map(units).collect(), 1, share);
        completeness(&cells.expect("five cells"), &labels(), 0.95, &RULES)
    }

    #[test]
    fn counts_are_rounded_and_small_ones_are_not_shown() {
        fn check(noisy: f64, sigma: f64, people: Option<u64>, interval: Option<(u64, u64)>) {
            let found = of(&[noisy, 500.0, 0.0, 0.0, 0.0], sigma);
            assert_eq!(found.states[0], StateCount { state: "recorded".into(), people, interval }, "{noisy}");
        }
        check(1003.2, 10.0, Some(1005), Some((980, 1025)));
        check(1003.2, 1e-4, Some(1005), Some((1000, 1005)));
        check(11.0, 10.0, Some(10), Some((0, 35)));
        check(10.9, 10.0, None, None);
        check(-400.0, 10.0, None, None);
    }

    #[test]
    fn a_share_gives_no_small_count_away() {
        fn check(people: [f64; 5], expected: Option<(f64, (f64, f64))>) {
            let found = of(&people, 2.0).recorded.map(|share| (share.value, share.interval));
            assert_eq!(found, expected, "{people:?}");
        }
        check([600.0, 20.0, 30.0, 0.0, 350.0], Some((0.6, (0.59, 0.61))));
        // Too few are recorded, too few are not, and nobody is there but noise.
        check([9.0, 0.0, 0.0, 0.0, 900.0], None);
        check([900.0, 9.0, 1.0, 0.0, 0.0], None);
        check([12.0, -3.0, 0.0, 1.0, 5.0], None);
        check([-3.0; 5], None);
    }

    /// Both intervals cover what is true about as often as they say; rounding outwards covers a little more.
    #[test]
    fn intervals_cover_the_truth() {
        const TRUE: [f64; 5] = [300.0, 40.0, 25.0, 15.0, 420.0];
        let (runs, sigma) = (2000, 12.0);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut counts, mut shares, mut width) = (0, 0, 0.0);
        for _ in 0..runs {
            let noisy = TRUE.map(|n| {
                let uniform = (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                n + sigma * quantile(uniform.clamp(1e-12, 1.0 - 1e-12))
            });
            let found = of(&noisy, sigma);
            let (low, high) = found.states[4].interval.expect("many");
            counts += usize::from((low..=high).contains(&420));
            let share = found.recorded.expect("many");
            shares += usize::from(share.interval.0 <= 0.375 && 0.375 <= share.interval.1);
            width += share.interval.1 - share.interval.0;
        }
        let of_runs = |covered: usize| covered as f64 / f64::from(runs);
        assert!((0.95..0.985).contains(&of_runs(counts)), "{}", of_runs(counts));
        assert!((0.945..0.99).contains(&of_runs(shares)), "{}", of_runs(shares));
        // Twice 1.96 · 12 · √(0.625² + 4 · 0.375²)/800 = 0.058, and one hundredth of rounding.
        assert!((0.055..0.075).contains(&(width / f64::from(runs))), "{}", width / f64::from(runs));
    }
}
