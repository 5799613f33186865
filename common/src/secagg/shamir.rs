//! Shamir's secret sharing (1979) byte by byte over GF(2^8): any t shares give the secret, t − 1 say
//! nothing at all about it.
//!
//! Own code, because the crates that do this had biased coefficients (never zero, or only odd): then
//! t − 1 shares rule values out. Here every coefficient is a uniform byte, zero included, the highest
//! one too; the tests count the shares of every polynomial.

use super::agreement::SiteIndex;
use super::gf256;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Points that do not determine a polynomial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("shares to combine: expected one or more from different sites")]
pub struct InvalidPoints;

/// One share of `secret` for each of `points`, in their order; `threshold` of them give it back.
///
/// # Privacy
/// For each byte, a polynomial of degree below `threshold` with the secret at 0 and all other
/// coefficients uniform: for every value of the secret, `threshold` − 1 shares are uniform and
/// independent (the map from coefficients to them is a bijection).
///
/// # Panics
/// With a threshold of 0: `SecureParameters` has none.
pub fn split<const N: usize, R: CryptoRng + ?Sized>(
    secret: &[u8; N],
    threshold: u8,
    points: &[SiteIndex],
    rng: &mut R,
) -> Vec<Zeroizing<[u8; N]>> {
    assert!(threshold > 0, "a threshold is positive");
    let mut coefficients = Zeroizing::new(vec![[0; N]; usize::from(threshold) - 1]);
    coefficients.iter_mut().for_each(|coefficient| rng.fill_bytes(coefficient));
    points.iter().map(|point| evaluate(secret, &coefficients, *point)).collect()
}

/// The polynomial with `secret` at 0 and the given other coefficients, lowest first, at `point`.
fn evaluate<const N: usize>(
    secret: &[u8; N],
    coefficients: &[[u8; N]],
    point: SiteIndex,
) -> Zeroizing<[u8; N]> {
    let mut value = Zeroizing::new([0; N]);
    for coefficient in coefficients.iter().rev() {
        gf256::add(&mut value, coefficient);
        gf256::scale(&mut value, point.get());
    }
    gf256::add(&mut value, secret);
    value
}

/// What to multiply the shares at some points by, so that they add up to the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights(Vec<u8>);

impl Weights {
    /// Lagrange's weights at 0 for polynomials of degree below the number of `points`.
    ///
    /// # Errors
    /// No point, or one twice.
    pub fn at_zero(points: &[SiteIndex]) -> Result<Self, InvalidPoints> {
        let twice = points.iter().enumerate().any(|(i, point)| points[..i].contains(point));
        if points.is_empty() || twice {
            return Err(InvalidPoints);
        }
        let weight = |at: &SiteIndex| {
            points.iter().filter(|point| *point != at).fold(1, |weight, point| {
                let quotient = gf256::mul(point.get(), gf256::inverse(point.get() ^ at.get()));
                gf256::mul(weight, quotient)
            })
        };
        Ok(Self(points.iter().map(weight).collect()))
    }

    /// The secret, from the shares at the points of these weights, in their order.
    ///
    /// # Panics
    /// With another number of shares than points.
    #[must_use]
    pub fn combine<const N: usize>(&self, shares: &[[u8; N]]) -> Zeroizing<[u8; N]> {
        assert_eq!(shares.len(), self.0.len(), "one share for each point");
        let mut secret = Zeroizing::new([0; N]);
        for (share, weight) in shares.iter().zip(&self.0) {
            let mut term = Zeroizing::new(*share);
            gf256::scale(&mut term, *weight);
            gf256::add(&mut secret, &term);
        }
        secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::noise::secret_rng;
    use proptest::prelude::*;

    fn points(indices: &[u8]) -> Vec<SiteIndex> {
        indices.iter().map(|&index| SiteIndex::new(index).expect("not 0")).collect()
    }

    /// Perfect secrecy, by counting every polynomial: for each secret, t − 1 shares take every value
    /// exactly once.
    #[test]
    fn fewer_shares_than_the_threshold_say_nothing() {
        let (a, b) = (points(&[3])[0], points(&[200])[0]);
        for secret in 0..=255 {
            let mut seen = [0_u32; 256];
            (0..=255).for_each(|c| seen[usize::from(evaluate(&[secret], &[[c]], a)[0])] += 1);
            assert!(seen.iter().all(|&count| count == 1), "t = 2, secret {secret}");
        }
        for secret in [0, 1, 0x53, 255] {
            let mut seen = vec![0_u32; 1 << 16];
            for (c, d) in (0..=255).flat_map(|c| (0..=255).map(move |d| (c, d))) {
                let share = |at| usize::from(evaluate(&[secret], &[[c], [d]], at)[0]);
                seen[share(a) << 8 | share(b)] += 1;
            }
            assert!(seen.iter().all(|&count| count == 1), "t = 3, secret {secret}");
        }
    }

    /// The defect of other implementations: with a secret of 0 and t = 2 a share is c · x, and takes
    /// every value, 0 included, if the coefficient does. χ² with 255 degrees of freedom.
    #[test]
    fn drawn_coefficients_are_uniform() {
        let mut seen = [0_u32; 256];
        for seed in 0..8 {
            let shares = split(&[0_u8; 8192], 2, &points(&[7]), &mut secret_rng([seed; 32]));
            shares[0].iter().for_each(|&share| seen[usize::from(share)] += 1);
        }
        let statistic: f64 = seen.iter().map(|&o| (f64::from(o) - 256.0).powi(2) / 256.0).sum();
        assert!((150.0..400.0).contains(&statistic), "{statistic}");
    }

    proptest! {
        #[test]
        fn any_threshold_of_shares_gives_the_secret(
            secret: [u8; 32], seed: [u8; 32], n in 2_u8..=60, t in 1_u8..=60, skip in 0_usize..60,
        ) {
            let t = t.min(n);
            let all = points(&(1..=n).collect::<Vec<_>>());
            let shares = split(&secret, t, &all, &mut secret_rng(seed));
            let chosen: Vec<usize> = (0..usize::from(t)).map(|i| (i + skip) % usize::from(n)).collect();
            let at: Vec<SiteIndex> = chosen.iter().map(|&i| all[i]).collect();
            let values: Vec<[u8; 32]> = chosen.iter().map(|&i| *shares[i]).collect();
            let found = Weights::at_zero(&at).expect("different").combine(&values);
            prop_assert_eq!(*found, secret);
        }
    }

    #[test]
    fn points_must_differ() {
        assert_eq!(Weights::at_zero(&[]), Err(InvalidPoints));
        assert_eq!(Weights::at_zero(&points(&[1, 2, 1])), Err(InvalidPoints));
    }
}
