//! The numbers of a secure sum, decided once from the study's: who may drop out, who may collude, how
//! much noise each site adds, and how wide a lane must be.

use super::refusal::Refusal;
use crate::privacy::clip::SIGMA_UNITS_MIN;
use crate::privacy::noise::SIGMA_UNITS_MAX;

/// Most sites of one secure sum: a share's point is a byte that is not 0.
pub const SITES_MAX: usize = 255;
/// Fewest sites of one secure sum.
pub const SITES_MIN: usize = 3;
/// How many standard deviations of the largest total noise a lane has room for: beyond it lies less
/// than 2·10^-23 of the probability of a coordinate.
pub const NOISE_DEVIATIONS: u64 = 10;

/// The width of a lane: sums are taken modulo 2^32 or 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneWidth {
    /// Modulo 2^32.
    Bits32,
    /// Modulo 2^64.
    Bits64,
}

impl LaneWidth {
    /// 32 or 64.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }
}

/// Threshold and tolerated collusion for `sites` sites where nobody asked for others.
///
/// One site in twenty may collude, at least one; nobody may drop out of 3 or 4, one of 5 to 19, a
/// tenth of 20 and more; and never below 2t > n + n_C.
///
/// # Errors
/// Fewer than 3 sites, or more than 255.
pub fn recommended_threshold(sites: usize) -> Result<(u8, u8), Refusal> {
    let n = site_count(sites)?;
    let colluding = (n / 20).max(1);
    let dropouts = match n {
        0..=4 => 0,
        5..=19 => 1,
        _ => n / 10,
    };
    // n + n_C is at most 255 + 12, halved.
    let least = ((u16::from(n) + u16::from(colluding)) / 2 + 1) as u8;
    Ok((least.max(n - dropouts), colluding))
}

/// What every site and the coordinator compute alike, from public numbers.
///
/// # Privacy
/// Unit: one person at one site; neighbours: add or remove one person; L2 sensitivity of a site's
/// integers: `lattice_units` (`privacy::clip`). Every site adds N_Z(0, σ_share²) with
/// σ_share² · (t − n_C) ≥ σ². Claim: whatever the coordinator and up to n_C sites do together, all that
/// depends on an honest site's data is, for one attempt, at most one sum over at least t survivors (the
/// protocol's part, see `secagg`). When the colluding sites subtract all they know, at least t − n_C
/// honest shares are left in it, so the rest has a noise of variance ≥ σ² and is priced as the event of
/// `σ_units` that the study declares:
///
/// 1. The sum of k = t − n_C independent N_Z(0, a²) is N_Z(0, k·a²) within a factor e^{±τ} in every
///    coordinate, τ = 10 Σ_{j<k} exp(−2π²a² j/(j+1)) (Kairouz, Liu and Steinke 2021, arXiv:2102.06387,
///    on convolutions of discrete Gaussians). With a ≥ 256 τ is below 10^-280000.
/// 2. That one is randomised rounding of a continuous Gaussian of variance k·a² − 9 (Peikert 2010; see
///    `privacy::clip::ROUNDING_VARIANCE`). As k·a² ≥ σ², it is at least the σ² − 9 for which the
///    study's `noise_multiplier` was priced.
/// 3. More shares, other people's inputs, the reduction modulo 2^32 or 2^64, and everything after, are
///    independent of the person or functions of the sum: post-processing.
///
/// A person in h of the honest sites is in the sum h times: sensitivity h·s, priced apart (event
/// `mixture_gaussian`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecureParameters {
    sites: u8,
    threshold: u8,
    colluding: u8,
    lattice_units: u64,
    batch_cap: u64,
    sigma_units: u64,
    sigma_share_units: u64,
    lane: LaneWidth,
}

impl SecureParameters {
    /// Decides for n `sites`, of which t `threshold` must survive a step and n_C `colluding` may side
    /// with the coordinator; one person is `lattice_units`, at most `batch_cap` people are in one step
    /// over all sites, and the total noise is to be `sigma_units` (lattice units).
    ///
    /// `batch_cap` is a public figure that the sampled number of people passes with negligible
    /// probability (mean + 10√mean): past it a sum may wrap, which costs accuracy, never privacy.
    ///
    /// # Errors
    /// Fewer than 3 or more than 255 sites; n_C = 0; 2t ≤ n + n_C or t > n; t − n_C < 2; a total or a
    /// share of noise outside 256 to 2^30 units; sums that do not fit 64 bits.
    pub fn decide(
        sites: usize,
        threshold: u8,
        colluding: u8,
        lattice_units: u64,
        batch_cap: u64,
        sigma_units: u64,
    ) -> Result<Self, Refusal> {
        let n = site_count(sites)?;
        if colluding == 0 {
            return Err(Refusal::Colluding);
        }
        if threshold > n || 2 * u16::from(threshold) <= u16::from(n) + u16::from(colluding) {
            return Err(Refusal::Threshold { threshold, sites: n, colluding });
        }
        // Positive: 2t > n + n_C and t <= n give t > n_C.
        let honest = u64::from(threshold - colluding);
        if honest < 2 {
            return Err(Refusal::HonestMinimum { threshold, colluding });
        }
        in_range("total noise", sigma_units)?;
        let sigma_share_units = root_up(u128::from(sigma_units).pow(2).div_ceil(u128::from(honest)));
        in_range("noise share", sigma_share_units)?;
        // The variance when all n answer is n shares'; a root rounded up, times ten.
        let variance = u128::from(n) * u128::from(sigma_share_units).pow(2);
        let reach = u128::from(NOISE_DEVIATIONS) * u128::from(root_up(variance))
            + u128::from(lattice_units) * u128::from(batch_cap);
        let lane = if reach < 1 << 31 {
            LaneWidth::Bits32
        } else if reach < 1 << 63 {
            LaneWidth::Bits64
        } else {
            return Err(Refusal::Overflow { batch_cap, lattice_units });
        };
        Ok(Self {
            sites: n,
            threshold,
            colluding,
            lattice_units,
            batch_cap,
            sigma_units,
            sigma_share_units,
            lane,
        })
    }

    /// n: the sites on the study's roster.
    #[must_use]
    pub const fn sites(&self) -> u8 {
        self.sites
    }

    /// t: the survivors that a step needs.
    #[must_use]
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// n_C: the sites that may side with the coordinator without any loss of privacy.
    #[must_use]
    pub const fn colluding(&self) -> u8 {
        self.colluding
    }

    /// s: the integer L2 sensitivity.
    #[must_use]
    pub const fn lattice_units(&self) -> u64 {
        self.lattice_units
    }

    /// The most people in one step that the lanes have room for, over all sites.
    #[must_use]
    pub const fn batch_cap(&self) -> u64 {
        self.batch_cap
    }

    /// σ: the least total noise against coordinator and colluding sites, lattice units.
    #[must_use]
    pub const fn sigma_units(&self) -> u64 {
        self.sigma_units
    }

    /// σ/√(t − n_C), rounded up: what each site adds, lattice units.
    #[must_use]
    pub const fn sigma_share_units(&self) -> u64 {
        self.sigma_share_units
    }

    /// How wide a lane is.
    #[must_use]
    pub const fn lane(&self) -> LaneWidth {
        self.lane
    }
}

fn site_count(sites: usize) -> Result<u8, Refusal> {
    match u8::try_from(sites) {
        Ok(n) if sites >= SITES_MIN => Ok(n),
        _ => Err(Refusal::Sites { found: sites }),
    }
}

fn in_range(what: &'static str, found: u64) -> Result<(), Refusal> {
    if (SIGMA_UNITS_MIN..=SIGMA_UNITS_MAX).contains(&found) {
        Ok(())
    } else {
        Err(Refusal::Sigma { what, min: SIGMA_UNITS_MIN, max: SIGMA_UNITS_MAX, found })
    }
}

/// The smallest integer whose square is at least `square`.
fn root_up(square: u128) -> u64 {
    let root = square.isqrt();
    u64::try_from(root + u128::from(root * root < square)).expect("the root of 128 bits, not all ones")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thresholds() {
        // The table of the notes, and the ends.
        fn check(sites: usize, expected: Option<(u8, u8)>) {
            assert_eq!(recommended_threshold(sites).ok(), expected, "{sites} sites");
            if let Some((t, colluding)) = expected {
                let decided = SecureParameters::decide(sites, t, colluding, 1 << 18, 64, 1 << 19);
                assert!(decided.is_ok(), "{sites} sites: {decided:?}");
            }
        }
        check(0, None);
        check(2, None);
        check(3, Some((3, 1)));
        check(4, Some((4, 1)));
        check(5, Some((4, 1)));
        check(10, Some((9, 1)));
        check(19, Some((18, 1)));
        check(20, Some((18, 1)));
        check(30, Some((27, 1)));
        check(100, Some((90, 5)));
        check(255, Some((230, 12)));
        check(256, None);
    }

    #[test]
    fn refusals() {
        fn check(sites: usize, t: u8, colluding: u8, sigma: u64, cap: u64, rule: &str) {
            let refusal = SecureParameters::decide(sites, t, colluding, 1 << 18, cap, sigma);
            assert_eq!(refusal.expect_err("refused").rule(), rule, "n={sites} t={t} n_C={colluding}");
        }
        check(2, 2, 1, 1 << 18, 64, "secagg.sites");
        check(2, 2, 0, 1 << 18, 64, "secagg.sites");
        check(256, 200, 1, 1 << 18, 64, "secagg.sites");
        check(3, 3, 0, 1 << 18, 64, "secagg.colluding");
        check(3, 2, 1, 1 << 18, 64, "secagg.threshold");
        check(3, 4, 1, 1 << 18, 64, "secagg.threshold");
        check(5, 3, 1, 1 << 18, 64, "secagg.threshold");
        check(10, 6, 3, 1 << 18, 64, "secagg.threshold");
        check(10, 0, 1, 1 << 18, 64, "secagg.threshold");
        check(3, 3, 2, 1 << 18, 64, "secagg.honest_minimum");
        check(3, 3, 1, 255, 64, "secagg.sigma");
        check(100, 90, 5, 256, 64, "secagg.sigma");
        check(3, 3, 1, (1 << 30) + 1, 64, "secagg.sigma");
        check(3, 3, 1, 1 << 18, 1 << 46, "secagg.overflow");
        check(3, 3, 1, 1 << 18, u64::MAX, "secagg.overflow");
    }

    /// s · B + 10 · √n · σ_share against 2^31 and 2^63, on both sides of each.
    #[test]
    fn lanes() {
        fn check(cap: u64, expected: LaneWidth) {
            // n = 4, t = 4, n_C = 2: σ_share = 2^10 · √(1/2) up = 725; 10 · 2 · 725 = 14500.
            let decided = SecureParameters::decide(4, 4, 2, 1, cap, 1 << 10).expect("allowed");
            assert_eq!((decided.sigma_share_units(), decided.lane()), (725, expected), "{cap}");
        }
        check(4096, LaneWidth::Bits32);
        check((1 << 31) - 14_501, LaneWidth::Bits32);
        check((1 << 31) - 14_500, LaneWidth::Bits64);
        check((1 << 63) - 14_501, LaneWidth::Bits64);
        let refusal = SecureParameters::decide(4, 4, 2, 1, (1 << 63) - 14_500, 1 << 10);
        assert_eq!(refusal.expect_err("refused").rule(), "secagg.overflow");
    }

    proptest! {
        /// The noise of t − n_C shares is never below the total, and one unit less would be.
        #[test]
        fn the_shares_make_the_total(n in 3_usize..=255, t in 1_u8..=255, c in 1_u8..=60, sigma in 256_u64..=1 << 30) {
            if let Ok(decided) = SecureParameters::decide(n, t, c, 1 << 18, 4096, sigma) {
                let honest = u128::from(t - c);
                let variance = |share: u64| honest * u128::from(share).pow(2);
                prop_assert!(variance(decided.sigma_share_units()) >= u128::from(sigma).pow(2));
                prop_assert!(variance(decided.sigma_share_units() - 1) < u128::from(sigma).pow(2));
                // Two disjoint groups of honest signers plus all colluding ones twice do not exist.
                prop_assert!(2 * (usize::from(t) - usize::from(c)) > n - usize::from(c));
            }
        }
    }
}
