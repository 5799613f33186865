//! What a person pays who is known to several hospitals: to each of them they are somebody else, in whatever role
//! they happen to have there. In `local` mode each hospital draws its own noise, and the losses add up; in
//! `distributed` mode they are in one sum several times, under the noise of one.

use super::entry::{Account, Earmark};
use crate::privacy::accountant::InvalidEvent;
use crate::privacy::mechanism::Event;
use std::collections::BTreeMap;

/// What people of each role were charged at one site: training, then evaluation.
pub type Charged = [Vec<Event>; 2];

/// ε of a person known to a site and to `more` others, at the worst choice of these and the worst mix of roles, for
/// each site; `None` where there are too few sites.
///
/// # Privacy
/// Unit: one person at each of the sites; neighbours: add or remove that person everywhere. The loss is that of the
/// composition of the sites' events, priced by `price`.
///
/// # Errors
/// As `price`.
pub fn worst(
    sites: &[Charged],
    more: usize,
    mut price: impl FnMut(&[Event]) -> Result<f64, InvalidEvent>,
) -> Result<Vec<Option<f64>>, InvalidEvent> {
    // Most sites burn the same lists. Sites with the same two are of one kind, and a kind needs no more members than
    // a person has hospitals; each composition of lists is priced once.
    let mut lists: Vec<&[Event]> = Vec::new();
    let mut number = |list| {
        lists.iter().position(|known| *known == list).unwrap_or_else(|| {
            lists.push(list);
            lists.len() - 1
        })
    };
    let kinds: Vec<[usize; 2]> =
        sites.iter().map(|roles| [&roles[0], &roles[1]].map(|list| number(list))).collect();
    let mut members: BTreeMap<[usize; 2], usize> = BTreeMap::new();
    for kind in &kinds {
        let known = members.entry(*kind).or_default();
        *known = (*known + 1).min(more + 1);
    }
    let members: Vec<[usize; 2]> =
        members.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count)).collect();

    let mut priced: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
    let mut most: BTreeMap<[usize; 2], f64> = BTreeMap::new();
    for together in choices(&members, more + 1) {
        for mix in 0..1_usize << together.len() {
            let mut paid: Vec<usize> =
                together.iter().enumerate().map(|(k, kind)| kind[mix >> k & 1]).collect();
            paid.sort_unstable();
            let epsilon = match priced.get(&paid) {
                Some(epsilon) => *epsilon,
                None => {
                    let events: Vec<Event> = paid.iter().flat_map(|n| lists[*n]).copied().collect();
                    *priced.entry(paid).or_insert(price(&events)?)
                }
            };
            for kind in &together {
                let known = most.entry(*kind).or_insert(epsilon);
                *known = known.max(epsilon);
            }
        }
    }
    Ok(kinds.iter().map(|kind| most.get(kind).copied()).collect())
}

/// ε of a person known to `hospitals` sites whose outputs are secure sums, at the worst mix of roles. `uses` says
/// of an earmark how many sums there may be with any of the sites that pay for it, given how many these are.
///
/// # Privacy
/// Unit: one person at each of the sites; neighbours: add or remove that person everywhere. Each sum's noise is
/// drawn once, whoever is in it, and the person is in it up to k times, k the sites where their role pays for it:
/// [`several_times`]. A sum with fewer of these sites in it loses no more, since fewer shifts of the same noise are
/// dominated by more (Choquette-Choo et al. 2024, arXiv:2310.15526, on stochastically dominated sensitivities).
///
/// # Errors
/// As `price`.
pub fn worst_in_sums(
    earmarks: &[Earmark],
    hospitals: u32,
    uses: impl Fn(usize, u32) -> u64,
    mut price: impl FnMut(&[Event]) -> Result<f64, InvalidEvent>,
) -> Result<f64, InvalidEvent> {
    let mut worst = 0.0_f64;
    for trains in 0..=hospitals {
        let times = |account| match account {
            Account::Training => trains,
            Account::Evaluation => hospitals - trains,
            Account::Both => hospitals,
        };
        let paid = earmarks.iter().enumerate().filter_map(|(index, earmark)| {
            let times = times(earmark.account);
            let count = if times == 0 { 0 } else { uses(index, times) };
            (count > 0).then(|| several_times(earmark.event, times).with_count(count))
        });
        worst = worst.max(price(&paid.collect::<Vec<_>>())?);
    }
    Ok(worst)
}

/// The loss of somebody who is in one sum `times` times, each time sampled and clipped by itself.
///
/// # Privacy
/// Sampled Gaussian noise on a sum: Binomial(`times`, q) shifts of it. Gaussian noise on counts that they enter
/// `times` times: a sensitivity of `times`. Laplace noise: the same, and where it is sampled as if it were not, which
/// is an upper bound; no study has such sums.
#[must_use]
pub fn several_times(event: Event, times: u32) -> Event {
    let by = f64::from(times);
    match event {
        _ if times == 1 => event,
        Event::PoissonGaussian { sampling_rate, noise_multiplier, count } => {
            Event::MixtureGaussian { sites: times, sampling_rate, noise_multiplier, count }
        }
        Event::Gaussian { noise_multiplier, count } => {
            Event::Gaussian { noise_multiplier: noise_multiplier / by, count }
        }
        Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, count } => Event::MixtureGaussian {
            sites: sites.saturating_mul(times),
            sampling_rate,
            noise_multiplier,
            count,
        },
        Event::Laplace { scale, count } | Event::PoissonLaplace { scale, count, .. } => {
            Event::Laplace { scale: scale / by, count }
        }
    }
}

/// Every choice of `n` of the members, in their order.
fn choices(members: &[[usize; 2]], n: usize) -> Vec<Vec<[usize; 2]>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let from = |i: usize| {
        choices(&members[i + 1..], n - 1).into_iter().map(move |rest| [vec![members[i]], rest].concat())
    };
    (0..members.len()).flat_map(from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::accountant::{Accountant, epsilon_by};

    fn gaussian(noise_multiplier: f64) -> Event {
        Event::Gaussian { noise_multiplier, count: 1 }
    }

    fn price(events: &[Event]) -> Result<f64, InvalidEvent> {
        epsilon_by(Accountant::Rdp, events, 1e-6)
    }

    #[test]
    fn the_worst_others_and_roles_count() {
        fn check(sites: &[(f64, f64)], more: usize, expected: &[Option<&[f64]>]) {
            let charged: Vec<_> =
                sites.iter().map(|(t, e)| [vec![gaussian(*t)], vec![gaussian(*e)]]).collect();
            let found = worst(&charged, more, price).expect("valid");
            // One Gaussian event with this noise costs as much as these together: 1/σ² adds up.
            let together = |sigmas: &&[f64]| {
                price(&[gaussian(sigmas.iter().map(|s| s.powi(-2)).sum::<f64>().powf(-0.5))]).expect("valid")
            };
            assert_eq!(found.len(), expected.len());
            for (found, expected) in
                found.iter().zip(expected.iter().map(|sigmas| sigmas.as_ref().map(together)))
            {
                match (found, expected) {
                    (Some(found), Some(expected)) => {
                        assert!((found - expected).abs() < 1e-3, "{found} {expected}")
                    }
                    (found, expected) => assert_eq!(found.is_some(), expected.is_some()),
                }
            }
        }
        let usual: Option<&[f64]> = Some(&[2.0, 3.0, 5.0]);
        check(&[], 2, &[]);
        check(&[(2.0, 3.0); 2], 2, &[None, None]);
        check(&[(2.0, 3.0); 2], 1, &[Some(&[2.0, 2.0] as &[f64]); 2]);
        check(&[(2.0, 3.0); 9], 2, &[Some(&[2.0, 2.0, 2.0] as &[f64]); 9]);
        check(&[(2.0, 3.0), (4.0, 3.0), (5.0, 6.0)], 2, &[usual; 3]);
        check(
            &[(2.0, 3.0), (4.0, 3.0), (5.0, 6.0)],
            1,
            &[Some(&[2.0, 3.0]), Some(&[2.0, 3.0]), Some(&[2.0, 5.0])],
        );
        // A fourth site that costs nearly nothing is in nobody's worst choice but its own.
        let sites = [(2.0, 3.0), (4.0, 3.0), (5.0, 6.0), (90.0, 80.0)];
        check(&sites, 2, &[usual, usual, usual, Some(&[2.0, 3.0, 80.0])]);
    }

    fn earmark(account: Account, event: Event) -> Earmark {
        Earmark { name: "x".into(), account, event }
    }

    /// Rows M130 to M134 of the reference table (dp-accounting's mixture of Gaussians, within its interval), and
    /// Gaussian noise over 1, 2 and 3 people's sensitivity by its closed form.
    #[test]
    fn one_sum_is_one_noise() {
        #[track_caller]
        fn check(earmarks: &[Earmark], hospitals: u32, delta: f64, expected: f64) {
            let price = |events: &[Event]| epsilon_by(Accountant::Pld, events, delta);
            let uses = |index: usize, _: u32| earmarks[index].event.count();
            let found = worst_in_sums(earmarks, hospitals, uses, price).expect("valid");
            assert!((found / expected - 1.0).abs() < 3e-3, "{hospitals}: {found} for {expected}");
        }
        let training = |sampling_rate, noise_multiplier, count| {
            let event = Event::PoissonGaussian { sampling_rate, noise_multiplier, count };
            earmark(Account::Training, event)
        };
        check(&[training(0.05, 1.5, 500)], 1, 1e-5, 3.784_698);
        check(&[training(0.05, 1.5, 500)], 2, 1e-5, 8.560_232);
        check(&[training(0.05, 1.5, 500)], 5, 1e-5, 27.574_123);
        check(&[training(0.01, 1.0, 1000)], 10, 1e-5, 27.899_707);
        check(&[training(0.01, 2.0, 1000)], 20, 1e-5, 20.261_187);
        // Rows A005, A002 and, at h = 3, σ = 6: noise of 2, 1 and 2 times the sensitivity.
        let counts =
            |account, noise_multiplier| earmark(account, Event::Gaussian { noise_multiplier, count: 1 });
        check(&[counts(Account::Evaluation, 2.0)], 1, 1e-6, 2.254_085);
        check(&[counts(Account::Evaluation, 2.0)], 2, 1e-5, 4.377_178);
        check(&[counts(Account::Evaluation, 6.0)], 3, 1e-6, 2.254_085);
        // The worst mix: all three in the account that costs more; where both pay, everything thrice.
        let two = [counts(Account::Training, 30.0), counts(Account::Evaluation, 6.0)];
        check(&two, 3, 1e-6, 2.254_085);
        let sigma = 3.0 * 2.0 * 2_f64.sqrt();
        check(&[counts(Account::Both, sigma), counts(Account::Both, sigma)], 3, 1e-6, 2.254_085);
    }

    /// Nobody who is in one sum twice pays less than somebody in two sums.
    #[test]
    fn one_noise_costs_more_than_two() {
        for (rate, noise, count) in [(0.05, 1.5, 50), (0.5, 3.0, 4), (1.0, 6.0, 3)] {
            let event = Event::PoissonGaussian { sampling_rate: rate, noise_multiplier: noise, count };
            let price = |events: &[Event]| epsilon_by(Accountant::Pld, events, 1e-6).expect("valid");
            assert!(price(&[several_times(event, 2)]) > price(&[event.with_count(2 * count)]));
        }
    }

    /// A roster of 200 that did two different things is priced in a blink.
    #[test]
    fn a_composition_is_priced_once() {
        let sites: Vec<_> =
            (0..200).map(|i| [vec![gaussian(f64::from(2 + i % 2))], vec![gaussian(9.0)]]).collect();
        let mut asked = 0;
        let counted = |events: &[Event]| {
            asked += 1;
            price(events)
        };
        assert_eq!(worst(&sites, 2, counted).expect("valid").len(), 200);
        assert_eq!(asked, 10, "three of three lists");
    }
}
