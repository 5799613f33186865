//! Exact coins and the discrete Laplace: Canonne, Kamath and Steinke 2020 ("CKS20"), algorithms 1 and 2.
//!
//! Invariant: integers only, every probability exact.

use std::cmp::Ordering;

use rand_core::CryptoRng;

/// |y| before the sign of a discrete Laplace of scale `t` ≤ 2^30: P[m] ∝ exp(−m/t), m ≥ 0.
///
/// CKS20, algorithm 2 (inner part): m = u + t·v with u in 0..t kept with probability exp(−u/t), and
/// v the number of successes of exp(−1) in a row, so that P[m] ∝ exp(−u/t) · exp(−v).
pub(super) fn laplace_magnitude<R: CryptoRng + ?Sized>(rng: &mut R, t: u64) -> u64 {
    let u = loop {
        let u = below(rng, t);
        if bernoulli_exp_unit(rng, u, t) {
            break u;
        }
    };
    let mut v: u64 = 0;
    while bernoulli_inverse_e(rng) {
        v += 1;
    }
    // It takes 2^20 successes of probability 1/e in a row; the squares of the caller fit 128 bits.
    assert!(v < (1 << 20), "the generator is broken: it repeats itself");
    u + t * v
}

/// True with probability exp(−numerator/denominator), exactly. The denominator is positive.
///
/// CKS20, algorithm 1 for ratios above one: exp(−a/b) = exp(−1) · exp(−(a−b)/b).
pub(super) fn bernoulli_exp<R: CryptoRng + ?Sized>(
    rng: &mut R,
    mut numerator: u128,
    denominator: u64,
) -> bool {
    while numerator >= u128::from(denominator) {
        if !bernoulli_inverse_e(rng) {
            return false;
        }
        numerator -= u128::from(denominator);
    }
    let numerator = u64::try_from(numerator).expect("below the denominator");
    bernoulli_exp_unit(rng, numerator, denominator)
}

/// True with probability exp(−numerator/denominator) for a ratio γ in [0, 1], exactly.
///
/// CKS20, algorithm 1: draw Bernoulli(γ/k) for k = 1, 2, … until the first failure, at K; then
/// P[K > k] = γ^k/k!, and P[K odd] is the series of exp(−γ).
fn bernoulli_exp_unit<R: CryptoRng + ?Sized>(rng: &mut R, numerator: u64, denominator: u64) -> bool {
    let mut k: u64 = 1;
    loop {
        let success = match denominator.checked_mul(k) {
            Some(product) => bernoulli(rng, numerator, product),
            // The same probability as a product of two, where k · denominator is over 64 bits.
            None => bernoulli(rng, 1, k) && bernoulli(rng, numerator, denominator),
        };
        if !success {
            return k % 2 == 1;
        }
        k += 1;
    }
}

/// The first 256 bits of 1/e = 0.367879…, first word first.
const INVERSE_E: [u64; 4] =
    [0x5e2d_58d8_b3bc_df1a, 0xbade_c782_9054_f90d, 0xda98_05aa_b56c_7733, 0x3024_b9d0_a507_daed];

/// True with probability exp(−1), exactly: compares a uniform real in [0, 1), of which it draws 64
/// bits at a time, with 1/e.
#[inline]
fn bernoulli_inverse_e<R: CryptoRng + ?Sized>(rng: &mut R) -> bool {
    for digit in INVERSE_E {
        match rng.next_u64().cmp(&digit) {
            Ordering::Less => return true,
            Ordering::Greater => return false,
            Ordering::Equal => {}
        }
    }
    // More digits would be needed here, once in 2^256 coins.
    panic!("the generator is broken: it gave the digits of 1/e")
}

/// True with probability numerator/denominator in [0, 1], exactly. The denominator is positive.
///
/// Compares a uniform real R in [0, 1), of which it draws 64 bits at a time, with the ratio. With
/// R's first word w known, R is in [w, w + 1) · 2^-64; either that interval lies on one side of the
/// ratio, or the question is whether the rest of R, itself uniform, is below
/// (numerator · 2^64 − w · denominator)/denominator, a ratio of the same form.
#[inline]
fn bernoulli<R: CryptoRng + ?Sized>(rng: &mut R, mut numerator: u64, denominator: u64) -> bool {
    debug_assert!(numerator <= denominator && denominator > 0, "a probability");
    loop {
        // Both products are below 2^128.
        let reached = u128::from(rng.next_u64()) * u128::from(denominator);
        let target = u128::from(numerator) << 64;
        if reached >= target {
            return false;
        }
        match u64::try_from(target - reached) {
            Ok(rest) if rest < denominator => numerator = rest,
            _ => return true,
        }
    }
}

/// Uniform in 0..n, n > 0, exactly: multiply and reject (Lemire 2019, arXiv:1805.10941).
#[inline]
fn below<R: CryptoRng + ?Sized>(rng: &mut R, n: u64) -> u64 {
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(n);
        let (high, low) = ((product >> 64) as u64, product as u64);
        // Each result keeps ⌊2^64/n⌋ words: those whose low half is at least 2^64 mod n, which is
        // below n; the division happens only then.
        if low >= n || low >= n.wrapping_neg() % n {
            return high;
        }
    }
}

#[cfg(test)]
mod tests;
