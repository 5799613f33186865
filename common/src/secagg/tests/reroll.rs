//! Attack 6: abort, and try again with one site fewer. Each attempt is a reserve, noise and masks of its
//! own; what two of them say about the one site is under the noise of all honest shares of both.

use super::*;

/// Mean square of `values`, which have mean 0 if they are noise.
fn variance(values: impl ExactSizeIterator<Item = i64>) -> f64 {
    let n = values.len() as f64;
    values.map(|value| (value as f64).powi(2)).sum::<f64>() / n
}

#[test]
fn an_attempt_is_not_tried_twice_for_one_charge() {
    let mut world = World::new(4, 3, 1, 4);
    let all = world.all();
    let (mut ready, shared) = world.share(FIRST, &all).expect("shares");
    let (_, request) = shared.request(model());
    let first = world.reserve(FIRST, model());
    let input = world.input(index(1));
    let state = ready.remove(&index(1)).expect("site 1");
    let session = world.sites.get_mut(&index(1)).expect("site 1");
    let (_, sent_first) = state.mask(session, &identity(1), &request, &first, &input).expect("masks");

    // The same attempt again: there is no second set of shares for it.
    let session = world.sites.get_mut(&index(1)).expect("site 1");
    let again = session.share(&identity(1), FIRST, &mut world.rng).map(|_| ());
    assert_eq!(again, Err(Refusal::SlotUsed { slot: FIRST }));

    // The next attempt, with site 4 left out, on the old reserve, and on an old use under a new name.
    let retry = Slot { step: 0, attempt: 1 };
    for (reserve, expected) in [
        (first, Some(Refusal::Reserve { field: "step or attempt" })),
        (Reserve { slot: retry, ..first }, Some(Refusal::ReserveUsed { last: 1, found: 1 })),
    ] {
        let mut world = World::new(4, 3, 1, 4);
        world.sites.get_mut(&index(1)).expect("site 1").use_reserve(first.use_index).expect("first");
        let (mut ready, shared) = world.share(retry, &sites([1, 2, 3])).expect("shares");
        let (_, request) = shared.request(model());
        let input = world.input(index(1));
        let state = ready.remove(&index(1)).expect("site 1");
        let session = world.sites.get_mut(&index(1)).expect("site 1");
        let refused = state.mask(session, &identity(1), &request, &reserve, &input).map(|_| ());
        assert_eq!(refused.err(), expected);
    }

    // On a reserve of its own: other masks, other noise.
    let (mut ready, shared) = world.share(retry, &sites([1, 2, 3])).expect("shares");
    let (_, request) = shared.request(model());
    let (second, other) = (world.reserve(retry, model()), world.input(index(1)));
    assert_eq!(second.use_index, first.use_index + 1);
    assert_ne!(other.values(), input.values());
    let state = ready.remove(&index(1)).expect("site 1");
    let session = world.sites.get_mut(&index(1)).expect("site 1");
    let (_, sent_second) = state.mask(session, &identity(1), &request, &second, &other).expect("masks");
    let words = |lanes: &crate::secagg::Lanes| lanes.center();
    let same =
        words(&sent_first.lanes).iter().zip(words(&sent_second.lanes)).filter(|(a, b)| **a == *b).count();
    assert_eq!(same, 0);
}

/// The difference of the two sums, less all that a colluding site knows, has the noise of at least
/// t − n_C honest shares on the left-out site's vector: (n − 1) + (n − 2) of them.
#[test]
fn two_sums_differ_by_a_vector_under_noise() {
    let dimension = 4000;
    let mut world = World::new(5, 4, 1, dimension);
    let first = world.run(FIRST, &nobody()).expect("a sum");
    let mut lost = nobody();
    lost[0] = sites([5]);
    let second = world.run(Slot { step: 0, attempt: 1 }, &lost).expect("a sum");
    let (victim, colluding) = (plain(index(5), dimension), index(1));
    let noise = (0..dimension).map(|lane| {
        let known = first.plain[&colluding][lane] - second.plain[&colluding][lane];
        first.sum.sum[lane] - second.sum.sum[lane] - known - victim[lane]
    });
    let parameters = *world.agreement.terms().parameters();
    let share = (parameters.sigma_share_units() as f64).powi(2);
    let found = variance(noise);
    // 7 shares; the mean square of 4000 values errs by 2.2 %.
    assert!((found / (7.0 * share) - 1.0).abs() < 0.1, "{}", found / share);
    assert!(found > (parameters.sigma_units() as f64).powi(2));
}
