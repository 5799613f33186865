//! The theorem tried on people made to break it, and broken mechanisms that it must tell apart.

use super::*;
use proptest::prelude::*;

const CLIP: f64 = 0.5;

/// Σ (a − b)², exactly.
fn distance_squared(a: &[i64], b: &[i64]) -> u128 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| u128::from(a.abs_diff(*b)).pow(2)).sum()
}

fn within(lattice: &Lattice, a: &[i64], b: &[i64]) -> bool {
    distance_squared(a, b) <= u128::from(lattice.units()).pow(2)
}

fn sum(people: &[Vec<f64>], lattice: &Lattice) -> Vec<i64> {
    clipped_sum(people.iter().map(Vec::as_slice), CLIP, lattice)
}

/// One person's gradient: the mean over their examples.
fn mean(examples: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; examples[0].len()];
    for example in examples {
        mean.iter_mut().zip(example).for_each(|(mean, value)| *mean += value / examples.len() as f64);
    }
    mean
}

fn number() -> impl Strategy<Value = f64> {
    let moderate = (-3.0..3.0f64).boxed();
    prop_oneof![
        6 => moderate.clone(),
        2 => (moderate, -340i32..310).prop_map(|(value, exponent)| value * 10f64.powi(exponent)),
        1 => prop_oneof![
            Just(0.0), Just(-0.0), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY),
            Just(f64::MAX), Just(f64::MIN_POSITIVE), Just(f64::from_bits(1)), Just(3.4e38),
        ],
        // A whole number of units and a little less: what truncation is most sensitive to.
        2 => (-40i32..40).prop_map(|units| f64::from(units) * CLIP / f64::from(1 << 18)),
        2 => (-40i32..40).prop_map(|units| (f64::from(units) - 1e-9) * CLIP / f64::from(1 << 18)),
    ]
}

/// Others, one more person's examples, and where that person stands; people without strange
/// numbers are the more frequent case, since a strange person contributes nothing.
fn neighbours() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<Vec<f64>>, usize, u64)> {
    (1usize..24, any::<bool>()).prop_flat_map(|(d, plain)| {
        let value = if plain { (-2.0..2.0f64).boxed() } else { number().boxed() };
        let vector = prop::collection::vec(value, d);
        let examples = prop_oneof![4 => 1usize..5, 1 => 1usize..1001];
        (
            prop::collection::vec(vector.clone(), 0..16),
            (vector, examples).prop_map(|(first, n)| {
                // Each example differs, by a factor and a rotation of the coordinates.
                (0..n)
                    .map(|k| {
                        let mut example: Vec<f64> =
                            first.iter().map(|x| x * (1.0 + 0.3 * k as f64)).collect();
                        example.rotate_left(k % first.len());
                        example
                    })
                    .collect()
            }),
            0usize..16,
            any::<u64>(),
        )
    })
}

/// A permutation chosen by `key` (Fisher and Yates over a linear congruential sequence).
fn shuffle(people: &mut [Vec<f64>], mut key: u64) {
    for last in (1..people.len()).rev() {
        key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        people.swap(last, (key >> 33) as usize % (last + 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn one_person_moves_the_sum_by_at_most_s((others, examples, place, key) in neighbours()) {
        let lattice = Lattice::for_dimension(examples[0].len());
        let before = sum(&others, &lattice);
        let mut with = others;
        with.insert(place.min(with.len()), mean(&examples));
        prop_assert!(within(&lattice, &sum(&with, &lattice), &before));
        shuffle(&mut with, key);
        prop_assert!(within(&lattice, &sum(&with, &lattice), &before));
    }

    #[test]
    fn a_person_stays_within_person_max(gradient in prop::collection::vec(number(), 1..40), clip in -60i32..60) {
        let lattice = Lattice::for_dimension(gradient.len());
        let mut sum = vec![0.0; gradient.len()];
        lattice.add_person(&mut sum, &gradient, 2f64.powi(clip));
        // Units are at least 2^-1074, so this sum of squares is good to a few u.
        let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        prop_assert!(norm <= lattice.person_max() * (1.0 + 1e-12));
    }
}

/// The largest gradients of all: the bound is met, and is nearly reached (so it is not vacuous).
#[test]
fn the_bound_is_tight() {
    for d in [1, 2, 100, 10_000, 250_000] {
        let lattice = Lattice::for_dimension(d);
        let person = vec![7.0; d];
        let alone = sum(&[person], &lattice);
        let zero = vec![0; d];
        assert!(within(&lattice, &alone, &zero), "d = {d}");
        let least = lattice.person_max() - (d as f64).sqrt() - 1.0;
        assert!(distance_squared(&alone, &zero) as f64 >= least * least, "d = {d}");
    }
}

/// Many people whose large coordinates cancel, and one more in the middle.
#[test]
fn a_large_batch_stays_within_s() {
    let lattice = Lattice::for_dimension(3);
    let mut people: Vec<Vec<f64>> = (0..20_000)
        .map(|i| {
            let size = if i % 2 == 0 { 1.0 } else { -1.0 } * (1.0 + f64::from(i % 97) / 7.0);
            vec![size, 0.3 * size, f64::from(i % 13) / 3.0]
        })
        .collect();
    let before = sum(&people, &lattice);
    people.insert(10_000, vec![0.3, 0.7, -0.9]);
    assert!(within(&lattice, &sum(&people, &lattice), &before));
    people.reverse();
    assert!(within(&lattice, &sum(&people, &lattice), &before));
}

/// A strange person counts as nobody, and does not disturb the others.
#[test]
fn nan_and_infinity_contribute_zero() {
    let lattice = Lattice::for_dimension(2);
    let plain = vec![0.1, -0.2];
    let expected = sum(std::slice::from_ref(&plain), &lattice);
    assert_ne!(expected, vec![0, 0]);
    for strange in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e200] {
        assert_eq!(sum(&[vec![strange, 0.0], plain.clone()], &lattice), expected, "{strange}");
    }
}

/// Mutant: clipping each example instead of the person. The property catches it.
#[test]
fn clipping_examples_would_be_caught() {
    let lattice = Lattice::for_dimension(2);
    let examples = vec![vec![3.0, 4.0]; 10];
    let zero = [0, 0];
    let mut broken = vec![0.0; 2];
    examples.iter().for_each(|example| lattice.add_person(&mut broken, example, CLIP));
    assert!(!within(&lattice, &lattice.truncate(&broken), &zero));
    assert!(within(&lattice, &sum(&[mean(&examples)], &lattice), &zero));
}

/// Mutant: people clipped to s, without room for truncation. Others whose coordinates end in 0.9
/// make each coordinate of one more person round up, and the property catches it.
#[test]
fn no_room_for_truncation_would_be_caught() {
    let d = 10_000;
    let lattice = Lattice::for_dimension(d);
    let s = lattice.units() as f64;
    let others = vec![0.9 * CLIP / s; d];
    let person = vec![1.0; d];
    // The mutant scales the person to s/√d = 2621.44 units in each coordinate.
    let broken: Vec<f64> = vec![0.9 + s / (d as f64).sqrt(); d];
    let before = sum(std::slice::from_ref(&others), &lattice);
    assert_eq!(before, vec![0; d]);
    assert!(!within(&lattice, &lattice.truncate(&broken), &before));
    assert!(within(&lattice, &sum(&[others, person], &lattice), &before));
}

/// Mutant: a norm that is rounded down (here by squares that underflow) lets a person through whole.
#[test]
fn a_norm_that_underflows_would_be_caught() {
    let lattice = Lattice::for_dimension(4);
    let (gradient, clip) = ([1e-170; 4], 1e-172);
    let naive: f64 = gradient.iter().map(|x| x * x).sum();
    let scaled = |norm_squared| {
        let factor = lattice.person_factor(norm_squared, clip);
        gradient.iter().map(|x| (x * factor) as i64).collect::<Vec<_>>()
    };
    assert!(!within(&lattice, &scaled(naive), &[0; 4]));
    assert!(within(&lattice, &scaled(norm_squared_upper(&gradient)), &[0; 4]));
}

#[test]
fn lattices() {
    let check = |d, units, person_max: f64, batch_max| {
        let lattice = Lattice::for_dimension(d);
        assert_eq!((lattice.dimension(), lattice.units(), lattice.batch_max()), (d, units, batch_max));
        assert_eq!(lattice.person_max(), person_max * (1.0 - 2f64.powi(-20)), "d = {d}");
        // The proof's conditions on the constants, in integers.
        assert!(u128::from(units) * (batch_max as u128).pow(2) <= 1 << 52);
    };
    check(0, 1 << 18, 262_143.0, 1 << 17);
    check(1, 1 << 18, 262_142.0, 1 << 17);
    check(100, 1 << 18, 262_133.0, 1 << 17);
    check(101, 1 << 18, 262_132.0, 1 << 17);
    check(1_000_000, 1 << 18, 261_143.0, 1 << 17);
    check(1_000_001, 1 << 20, 1_047_574.0, 1 << 16);
    check(DIMENSION_MAX, 1 << 20, 1_015_807.0, 1 << 16);
}

#[test]
fn factors() {
    let lattice = Lattice::for_dimension(1);
    let (s, max) = (lattice.units() as f64, lattice.person_max());
    let check = |norm_squared, clip_norm, expected| {
        assert_eq!(lattice.person_factor(norm_squared, clip_norm), expected, "{norm_squared} at {clip_norm}");
    };
    check(0.0, 2.0, s / 2.0);
    check(1.0, 2.0, s / 2.0);
    check(16.0, 2.0, max / 4.0);
    check(4.0, 2.0, max / 2.0);
    check(f64::INFINITY, 2.0, 0.0);
    check(f64::NAN, 2.0, 0.0);
    check(-1.0, 2.0, 0.0);
    // No finite factor brings such a gradient to units.
    check(0.0, f64::from_bits(1), 0.0);
}

#[test]
fn norms_round_up() {
    for values in
        [vec![], vec![0.0], vec![0.1; 1000], vec![1e-170; 3], vec![1e150, -3.0], vec![1.0 / 3.0; 77_777]]
    {
        let upper = norm_squared_upper(&values);
        // Sums of squares of 27-bit halves, exact in u128 units of 2^-1074 only for moderate values;
        // here against compensated arithmetic: product and sum errors kept (Dekker, Knuth).
        let (mut high, mut low) = (0.0f64, 0.0f64);
        for value in &values {
            let square = value * value;
            let (t, error) = (high + square, value.mul_add(*value, -square));
            let b = t - high;
            low += (high - (t - b)) + (square - b) + error;
            high = t;
        }
        assert!(upper - high >= low, "{} values", values.len());
        assert!(upper <= (high + low) * (1.0 + 1e-10) + 1e-300, "{} values", values.len());
    }
    assert!(norm_squared_upper(&[f64::MAX]).is_infinite());
    assert!(norm_squared_upper(&[f64::NAN, 1.0]).is_nan());
}

#[test]
fn truncation_is_toward_zero() {
    let lattice = Lattice::for_dimension(6);
    assert_eq!(lattice.truncate(&[0.9, -0.9, 1.0, -1.5, -0.0, 5e9]), [0, 0, 1, -1, 0, 5_000_000_000]);
}

#[test]
#[should_panic(expected = "finite and bounded")]
fn a_sum_with_nan_is_a_bug() {
    let _ = Lattice::for_dimension(1).truncate(&[f64::NAN]);
}

#[test]
fn sigma_in_units() {
    let check = |sensitivity, multiplier: f64, expected: Option<u64>| {
        assert_eq!(sigma_units(sensitivity, multiplier).ok(), expected, "{multiplier} of {sensitivity}");
        if let Some(sigma) = expected {
            // (σ − 1)² − 9 < (multiplier · s)² ≤ σ² − 9, in exact integers where that product is one.
            let exact = multiplier * sensitivity as f64;
            if exact.fract() == 0.0 {
                let (sigma, exact) = (u128::from(sigma), exact as u128);
                assert!(sigma * sigma - 9 >= exact * exact && (sigma - 1) * (sigma - 1) - 9 < exact * exact);
            }
        }
    };
    check(1 << 18, 1.0, Some(262_145));
    check(1 << 18, 1.1, Some(288_359));
    check(1 << 18, 2.0, Some(524_289));
    check(1 << 16, 4.0, Some(262_145));
    check(1 << 16, 300.5 / 65_536.0, Some(301));
    check(1 << 16, 300.99 / 65_536.0, Some(302));
    check(1 << 16, 255.9 / 65_536.0, Some(256));
    check(1 << 16, 256.0 / 65_536.0, Some(257));
    check(1 << 16, 254.9 / 65_536.0, None);
    check(1 << 18, 4096.0, None);
    check(1 << 18, 4095.0, Some((4095 << 18) + 1));
    for refused in [0.0, -1.0, 1e-9, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        check(1 << 18, refused, None);
    }
    let lattice = Lattice::for_dimension(2_000_000);
    assert_eq!(lattice.sigma_units(1.0), Ok((1 << 20) + 1));
}
