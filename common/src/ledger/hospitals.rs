//! What a person pays who is known to several hospitals: to each of them they are somebody else, so that their losses
//! add up, in whatever roles they happen to have.

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
