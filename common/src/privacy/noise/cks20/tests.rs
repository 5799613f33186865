//! Coins against their exact probabilities. Seeds are fixed, so a test that passes passes always.

use super::super::script::Script;
use super::super::{SecretRng, secret_rng};
use super::*;

fn rng(seed: u8) -> SecretRng {
    secret_rng([seed; 32])
}

/// Frequency of `true` in `n` trials against probability `p`, in standard errors.
fn frequency_deviate(n: u32, p: f64, mut trial: impl FnMut() -> bool) -> f64 {
    let successes = (0..n).filter(|_| trial()).count() as f64;
    (successes - f64::from(n) * p) / (f64::from(n) * p * (1.0 - p)).sqrt()
}

#[test]
fn exponential_coins() {
    let mut rng = rng(7);
    for (a, b) in
        [(0, 1), (1, 1), (1, 3), (7, 2), (1, 1 << 61), (1 << 61, 1 << 61), (5 << 60, 1 << 61), (40, 10)]
    {
        let p = (-(a as f64) / b as f64).exp();
        if p > 0.999_999 {
            assert!((0..1000).all(|_| bernoulli_exp(&mut rng, a, b)), "exp(-{a}/{b})");
        } else {
            let found = frequency_deviate(200_000, p, || bernoulli_exp(&mut rng, a, b));
            assert!(found.abs() < 4.0, "exp(-{a}/{b}): {found}");
        }
    }
}

/// On the border of a word, the comparison goes on with the remainder: 1/3 is 0.5555… in base 16.
#[test]
fn coins_carry_their_remainder() {
    let check = |words: &[u64], numerator, denominator, expected| {
        let mut script = Script(words.to_vec());
        assert_eq!(bernoulli(&mut script, numerator, denominator), expected, "{words:x?}");
        assert!(script.0.is_empty(), "{words:x?}: words were left");
    };
    let third = u64::MAX / 3;
    check(&[third - 1], 1, 3, true);
    check(&[third + 1], 1, 3, false);
    check(&[third, third - 1], 1, 3, true);
    check(&[third, third, third + 1], 1, 3, false);
    check(&[1 << 63], 1, 2, false);
    check(&[(1 << 63) - 1], 1, 2, true);
    check(&[0], 0, 5, false);
    check(&[u64::MAX], u64::MAX, u64::MAX, true);
    // (2^64 − 2)/(2^64 − 1) is 0.ffff…fffe ffff…fffe … in words.
    check(&[u64::MAX - 1, u64::MAX], u64::MAX - 1, u64::MAX, false);
    check(&[u64::MAX - 1, 5], u64::MAX - 1, u64::MAX, true);
}

/// 1/e = Σ (−1)^k/k!, in fixed point of 32 · 10 bits.
#[test]
fn the_digits_of_one_over_e() {
    // Each term is the last one divided by k; 64 bits beyond the 256 take the rounding of 80 terms.
    let mut term = [0u64; 11];
    let mut digits = [0i64; 11];
    term[0] = 1;
    for k in 1..=80 {
        let mut rest = 0;
        for (place, limb) in term.iter_mut().enumerate() {
            digits[place] += if k % 2 == 1 { *limb as i64 } else { -(*limb as i64) };
            let value = rest << 32 | *limb;
            (*limb, rest) = (value / k, value % k);
        }
    }
    for place in (1..11).rev() {
        digits[place - 1] += digits[place] >> 32;
        digits[place] &= 0xffff_ffff;
    }
    let words: Vec<u64> =
        digits[1..9].chunks(2).map(|pair| (pair[0] as u64) << 32 | pair[1] as u64).collect();
    assert_eq!((digits[0], words.as_slice()), (0, INVERSE_E.as_slice()));

    let check = |words: &[u64], expected| {
        let mut script = Script(words.to_vec());
        assert_eq!(bernoulli_inverse_e(&mut script), expected, "{words:x?}");
        assert!(script.0.is_empty(), "{words:x?}: words were left");
    };
    check(&[INVERSE_E[0] - 1], true);
    check(&[INVERSE_E[0] + 1], false);
    check(&[INVERSE_E[0], INVERSE_E[1] - 1], true);
    check(&[INVERSE_E[0], INVERSE_E[1], INVERSE_E[2], INVERSE_E[3] + 1], false);
}

/// 2^64 = 6 · ⌊2^64/6⌋ + 4: the words 0, … whose product has a low half under 4 are drawn again.
#[test]
fn uniform_numbers_reject_the_surplus() {
    let check = |words: &[u64], n, expected| {
        let mut script = Script(words.to_vec());
        assert_eq!(below(&mut script, n), expected, "{words:x?}");
        assert!(script.0.is_empty(), "{words:x?}: words were left");
    };
    check(&[0, u64::MAX], 6, 5);
    check(&[1], 6, 0);
    check(&[0, 0, 1 << 63, 1 << 62], 6, 1);
    check(&[0], 1, 0);
    check(&[0], 1 << 30, 0);
    let mut rng = rng(8);
    for n in [3, 10, 1 << 20] {
        let mean = (0..100_000).map(|_| below(&mut rng, n) as f64).sum::<f64>() / 1e5;
        let deviate = (mean - (n as f64 - 1.0) / 2.0) / ((n as f64).powi(2) / 12.0 / 1e5).sqrt();
        assert!(deviate.abs() < 4.0, "0..{n}: mean {mean}");
    }
}
