//! What a person pays who is known to three of the hospitals: to each of them they are somebody else, so
//! that the three losses add up, in whatever roles they happen to have.

use consilium_common::privacy::accountant::{Accountant, InvalidEvent, epsilon_by};
use consilium_common::privacy::mechanism::Event;
use std::collections::BTreeMap;

/// ε at `delta` of a person known to a site and to two more, at the worst choice of these two and the
/// worst mix of roles, for each site; `None` with fewer than three sites. `burnt` holds what the people
/// of each role were charged at each site.
///
/// # Privacy
/// Unit: one person at each of three sites; neighbours: add or remove that person everywhere. The loss
/// is that of the composition of the three sites' events, by the accountant that budgets are charged by.
///
/// # Errors
/// An event without a privacy loss.
pub fn three(burnt: &[[Vec<Event>; 2]], delta: f64) -> Result<Vec<Option<f64>>, InvalidEvent> {
    // Most sites burn the same list: each composition of lists is priced once.
    let mut lists: Vec<&[Event]> = Vec::new();
    let mut number = |list| {
        lists.iter().position(|known| *known == list).unwrap_or_else(|| {
            lists.push(list);
            lists.len() - 1
        })
    };
    let roles: Vec<[usize; 2]> =
        burnt.iter().map(|[training, evaluation]| [number(training), number(evaluation)]).collect();
    let mut priced: BTreeMap<[usize; 3], f64> = BTreeMap::new();
    let mut worst = vec![None; burnt.len()];
    for sites in triples(burnt.len()) {
        for mix in 0..8_usize {
            let mut paid: [usize; 3] = std::array::from_fn(|k| roles[sites[k]][mix >> k & 1]);
            paid.sort_unstable();
            let epsilon = match priced.get(&paid) {
                Some(epsilon) => *epsilon,
                None => {
                    let epsilon = epsilon_by(Accountant::CHARGED, &paid.map(|n| lists[n]).concat(), delta)?;
                    priced.insert(paid, epsilon);
                    epsilon
                }
            };
            for site in sites {
                worst[site] = Some(worst[site].map_or(epsilon, |other: f64| other.max(epsilon)));
            }
        }
    }
    Ok(worst)
}

fn triples(sites: usize) -> impl Iterator<Item = [usize; 3]> {
    (0..sites).flat_map(move |a| (a + 1..sites).flat_map(move |b| (b + 1..sites).map(move |c| [a, b, c])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaussian(noise_multiplier: f64) -> Event {
        Event::Gaussian { noise_multiplier, count: 1 }
    }

    /// One Gaussian event with this noise costs as much as `sigmas` together: 1/σ² adds up.
    fn together(sigmas: &[f64]) -> f64 {
        let sigma = sigmas.iter().map(|s| s.powi(-2)).sum::<f64>().powf(-0.5);
        epsilon_by(Accountant::CHARGED, &[gaussian(sigma)], 1e-6).expect("valid")
    }

    #[test]
    fn the_worst_two_others_and_roles_count() {
        fn check(sites: &[(f64, f64)], expected: &[Option<[f64; 3]>]) {
            let burnt: Vec<_> = sites.iter().map(|(t, e)| [vec![gaussian(*t)], vec![gaussian(*e)]]).collect();
            let found = three(&burnt, 1e-6).expect("valid");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                match (found, expected) {
                    (Some(found), Some(sigmas)) => {
                        assert!((found - together(sigmas)).abs() < 1e-3, "{found} {}", together(sigmas));
                    }
                    (found, expected) => assert_eq!(found.is_some(), expected.is_some()),
                }
            }
        }
        check(&[], &[]);
        check(&[(2.0, 3.0), (2.0, 3.0)], &[None, None]);
        check(&[(2.0, 3.0), (4.0, 3.0), (5.0, 6.0)], &[Some([2.0, 3.0, 5.0]); 3]);
        // A fourth site that costs nearly nothing is in nobody's worst triple but its own.
        check(
            &[(2.0, 3.0), (4.0, 3.0), (5.0, 6.0), (90.0, 80.0)],
            &[Some([2.0, 3.0, 5.0]), Some([2.0, 3.0, 5.0]), Some([2.0, 3.0, 5.0]), Some([2.0, 3.0, 80.0])],
        );
    }
}
