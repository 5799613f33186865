//! What is wrong on purpose, and which of the looks of these tests sees it: a look that sees nothing in a
//! broken protocol would prove nothing about ours.

use super::statistics::{correlation_deviate, masked_steps, repeats};
use super::*;
use crate::secagg::mask::{Mask, apply};

/// How much less noise a sum has than it should, as a standard normal deviate: the noise of `shares` honest
/// sites, over a plain sum.
fn noise_deviate(sum: &[i64], plain: &[i64], shares: usize, sigma_share_units: u64) -> f64 {
    let expected = shares as f64 * (sigma_share_units as f64).powi(2);
    let square = |(sum, plain): (&i64, &i64)| ((sum - plain) as f64).powi(2) / expected;
    deviate(sum.iter().zip(plain).map(square).sum(), sum.len() as f64)
}

/// No noise share at one site of five.
#[test]
fn a_missing_noise_share_is_seen() {
    let dimension = 4000;
    let mut world = World::new(5, 4, 1, dimension);
    let share = world.agreement.terms().parameters().sigma_share_units();
    let outcome = world.run(FIRST, &nobody()).expect("a sum");
    let vectors: Vec<Vec<i64>> = (1..=5).map(|i| plain(index(i), dimension)).collect();
    let clean = add(vectors.iter());
    let honest = noise_deviate(&outcome.sum.sum, &clean, 5, share);
    assert!(honest.abs() < 5.0, "{honest}");
    // Site 3 without its noise: the sum that would have come out.
    let mutant: Vec<i64> = (0..dimension)
        .map(|lane| outcome.sum.sum[lane] - outcome.plain[&index(3)][lane] + vectors[2][lane])
        .collect();
    let found = noise_deviate(&mutant, &clean, 5, share);
    assert!(found < -5.0, "{found}");
}

/// Masks from secrets that are drawn once and used again: the difference of two steps is bare.
#[test]
fn reused_masks_are_seen() {
    let honest = masked_steps(&|site| plain(site, 64));
    let lag = |steps: &[PerSite<Vec<i64>>]| {
        let site = index(1);
        correlation_deviate(
            steps
                .iter()
                .zip(&steps[1..])
                .flat_map(|(a, b)| a[&site].iter().copied().zip(b[&site].iter().copied())),
        )
    };
    assert!(lag(&honest).abs() < 5.0 && !repeats(&honest));
    let reused: Vec<_> = honest.iter().map(|_| honest[0].clone()).collect();
    assert!(lag(&reused).abs() > 50.0 && repeats(&reused));

    // A generator that repeats itself is not enough for that: masks are bound to the step.
    let masks = |step| {
        let mut world = World::new(3, 3, 1, 64);
        let (all, slot) = (world.all(), Slot { step, attempt: 0 });
        let (ready, shared) = world.share(slot, &all).expect("shares");
        let (_, request) = shared.request(model());
        let state = &ready[&index(1)];
        let seed = *state.own_seed;
        let mut lanes = crate::secagg::Lanes::zero(crate::secagg::LaneWidth::Bits32, 64);
        let mut masks = vec![Mask::own(&seed, &request.binding, index(1))];
        masks.extend(
            state.secrets.iter().map(|(&i, secret)| Mask::pair(secret, &request.binding, index(1), i)),
        );
        apply(&mut lanes, &masks);
        (seed, lanes.center())
    };
    let ((seed, first), (same_seed, second)) = (masks(0), masks(1));
    assert_eq!(seed, same_seed);
    assert!(first.iter().zip(&second).all(|(a, b)| a != b));
}
