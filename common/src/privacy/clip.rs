//! The integer lattice: each person's gradient is clipped once, brought to lattice units, summed in
//! f64 and truncated once, so that one person moves the released integers by an L2 norm of at most
//! `s` units. That is proven for the integers themselves, floating-point error included (the holes
//! of Mironov 2012 and Casacuberta et al. 2022, arXiv:2207.10635).
//!
//! # Privacy
//! Unit: one person at one site, all their records. Neighbours: add or remove one person. For a
//! sampled set S of people and S' = S ∪ {p}, let T and T' be the truncated integer sums.
//!
//! **Theorem.** ‖T' − T‖₂ ≤ s, whatever the records, under three conditions:
//! 1. *Same bits.* The vector v_i ∈ f64^d that stands for person i depends on that person's record
//!    and on public values only: it has the same bits in S and in S', at any position of any batch.
//! 2. *Clipped.* ‖v_i‖₂ ≤ s − ⌈√d⌉ − 1, exactly, in real numbers.
//! 3. *One addition.* Each coordinate of the sum is made by f64 additions in any order, with one
//!    addend per person, of at most [`Lattice::batch_max`] people.
//!
//! **Proof.** Let B be the number of people in S', u = 2^-53, and A_j the f64 sum of coordinate j
//! over S, A'_j over S'.
//! - Summing n numbers in any order errs by at most γ Σ|v_ij|, γ = (n−1)u/(1 − (n−1)u) (Higham
//!   2002, §4.2; f64 addition never underflows inexactly, and no sum here can overflow). As vectors
//!   over j, the errors e of A and e' of A' have ‖e‖₂ ≤ γ ‖Σ_i |v_i|‖₂ ≤ γ Σ_i ‖v_i‖₂ ≤ γ·B·s ≤
//!   B²·u·s, since γ ≤ B·u for B(B−1)u ≤ 1. Both together: ‖e‖₂ + ‖e'‖₂ ≤ B²·2^-52·s ≤ 1, which is
//!   how `batch_max` is chosen. (The unit is an L2 norm over all coordinates; one unit in *each*
//!   coordinate would need √d units of slack.)
//! - The exact sums differ by v_p, so |A'_j − A_j| ≤ |v_pj| + |e_j| + |e'_j|.
//! - Truncation toward zero: |trunc(a) − trunc(b)| ≤ |a − b| + 1 for all reals. With equal signs it
//!   is the difference of two floors of absolute values, with opposite signs it shrinks.
//! - Hence ‖T' − T‖₂ ≤ ‖v_p‖₂ + ‖e‖₂ + ‖e'‖₂ + √d ≤ (s − ⌈√d⌉ − 1) + 1 + √d ≤ s. ∎
//!
//! The order of the people may differ between S and S'. Condition 2 is met by
//! [`Lattice::person_factor`], which scales to [`Lattice::person_max`] = (s − ⌈√d⌉ − 1)(1 − 2^-20):
//! the rounding of the square root, the quotient and the products is below 2^-50 of the norm, so
//! the rest of 2^-20 is left to whoever computes v_i by some more operations than one product.

use crate::privacy::noise::SIGMA_UNITS_MAX;

/// Largest number of coordinates.
pub const DIMENSION_MAX: usize = 1 << 30;

/// Smallest σ that may be used, lattice units. Above it the discrete Gaussian's loss is that of a
/// continuous one with σ_eff² = σ² − [`ROUNDING_VARIANCE`].
pub const SIGMA_UNITS_MIN: u64 = 256;

/// r² with r = 3: N_Z(μ, σ²) is, within a factor e^{±1e-76} per coordinate, the randomised rounding
/// with parameter r of a continuous N(μ, σ² − r²) (Peikert 2010, "An Efficient and Parallel Gaussian
/// Sampler for Lattices", theorem 3.1). So all accounting of the continuous mechanism, sampling of
/// people included, holds for the discrete one as post-processing.
pub const ROUNDING_VARIANCE: u64 = 9;

/// The integer lattice for vectors of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lattice {
    dimension: usize,
    units: u64,
}

/// A noise multiplier that the lattice cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "noise multiplier {found}: expected a standard deviation from {SIGMA_UNITS_MIN} to {SIGMA_UNITS_MAX} \
     lattice units, where the sensitivity is {sensitivity_units}"
)]
pub struct InvalidNoiseMultiplier {
    /// σ per unit of sensitivity, as asked for.
    pub found: f64,
    /// The sensitivity, lattice units.
    pub sensitivity_units: u64,
}

impl Lattice {
    /// The lattice for `dimension` parameters: s = 2^18 units, above 10^6 parameters 2^20, so that
    /// truncation stays far below a clipped gradient's typical coordinate, s/√d.
    ///
    /// # Panics
    /// Above [`DIMENSION_MAX`], which no model file reaches.
    #[must_use]
    pub const fn for_dimension(dimension: usize) -> Self {
        assert!(dimension <= DIMENSION_MAX, "a model has at most 2^30 parameters");
        Self { dimension, units: if dimension > 1_000_000 { 1 << 20 } else { 1 << 18 } }
    }

    /// How many coordinates.
    #[must_use]
    pub const fn dimension(&self) -> usize {
        self.dimension
    }

    /// s: the integer L2 sensitivity, and how many units the clipping norm is.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.units
    }

    /// (s − ⌈√d⌉ − 1)(1 − 2^-20): the norm that one person's vector is scaled to, lattice units.
    #[must_use]
    pub fn person_max(&self) -> f64 {
        let root = self.dimension.isqrt();
        let root = if root * root < self.dimension { root + 1 } else { root };
        // At most 2^20, and 2^15 + 1 for the root: exact in f64.
        (self.units as f64 - root as f64 - 1.0) * (1.0 - 1.0 / f64::from(1 << 20))
    }

    /// The largest batch B for which the f64 error of two neighbouring sums, B²·2^-52·s as an L2
    /// norm, is at most one unit: 2^17 people, above 10^6 parameters 2^16.
    #[must_use]
    pub const fn batch_max(&self) -> usize {
        ((1 << 52) / self.units).isqrt() as usize
    }

    /// What to multiply a person's gradient by, so that it is in lattice units (`clip_norm` is s of
    /// them) and within [`Self::person_max`]. Zero where the squared norm is infinite or NaN: that
    /// person contributes nothing, and must be left out rather than multiplied by zero, since
    /// 0 × NaN is NaN.
    ///
    /// # Privacy
    /// Total in the data. With `norm_squared_upper` at least the exact squared L2 norm of the very
    /// f64 vector that is multiplied (see [`norm_squared_upper`]), the product has a norm of at most
    /// `person_max` · (1 + 4u): the root, the quotient and the products round by u = 2^-53 each, and
    /// products that underflow add less than 2^-1000.
    ///
    /// # Panics
    /// Where `clip_norm` is not a positive finite number. It is public and checked with the study.
    #[must_use]
    pub fn person_factor(&self, norm_squared_upper: f64, clip_norm: f64) -> f64 {
        assert!(clip_norm > 0.0 && clip_norm.is_finite(), "the study's clipping norm is positive");
        if !(norm_squared_upper >= 0.0 && norm_squared_upper.is_finite()) {
            return 0.0;
        }
        #[cfg(feature = "mutants")]
        if crate::mutant::is(crate::mutant::Mutant::NoClip) {
            return self.units as f64 / clip_norm;
        }
        // A zero norm gives infinity here, and the other one is taken.
        let factor = (self.person_max() / norm_squared_upper.sqrt()).min(self.units as f64 / clip_norm);
        if factor.is_finite() { factor } else { 0.0 }
    }

    /// Adds one person's clipped gradient to a sum in lattice units; a gradient with NaN, an
    /// infinity or a squared norm above f64 adds nothing.
    ///
    /// # Privacy
    /// Meets condition 2, and condition 3 if called once for each person. A person with several
    /// examples comes as one vector, the mean over them; clipping each example, or adding the parts
    /// of one mean one after the other, breaks the proof.
    ///
    /// # Panics
    /// Where a length is not the lattice's dimension, or `clip_norm` is not positive.
    pub fn add_person(&self, sum: &mut [f64], gradient: &[f64], clip_norm: f64) {
        assert_eq!((sum.len(), gradient.len()), (self.dimension, self.dimension), "one lattice, one length");
        let factor = self.person_factor(norm_squared_upper(gradient), clip_norm);
        if factor == 0.0 {
            return;
        }
        for (sum, value) in sum.iter_mut().zip(gradient) {
            *sum += factor * value;
        }
    }

    /// The released integers before noise: each coordinate truncated toward zero, once.
    ///
    /// # Panics
    /// Where a coordinate is NaN or beyond what [`Self::batch_max`] clipped people can reach: the
    /// sum was not made of clipped people.
    #[must_use]
    pub fn truncate(&self, sum: &[f64]) -> Vec<i64> {
        assert_eq!(sum.len(), self.dimension, "one lattice, one length");
        let reach = (self.batch_max() as f64 + 1.0) * self.units as f64;
        sum.iter()
            .map(|&value| {
                assert!(value.abs() <= reach, "a sum of clipped people is finite and bounded");
                value as i64
            })
            .collect()
    }

    /// σ in lattice units for a noise multiplier per `clip_norm`; see [`sigma_units`].
    ///
    /// # Errors
    /// As [`sigma_units`].
    pub fn sigma_units(&self, noise_multiplier: f64) -> Result<u64, InvalidNoiseMultiplier> {
        sigma_units(self.units, noise_multiplier)
    }
}

/// σ in lattice units: the smallest integer with σ² − 9 ≥ (`noise_multiplier` ·
/// `sensitivity_units`)². That is the product rounded up, or one more.
///
/// # Privacy
/// The event that a ledger keeps holds `noise_multiplier`, and is priced as a continuous Gaussian.
/// With the [`ROUNDING_VARIANCE`] put on top here, that price is an upper bound without any
/// correction at the accountant.
///
/// # Errors
/// Below [`SIGMA_UNITS_MIN`] or above [`SIGMA_UNITS_MAX`] units, NaN included.
///
/// # Panics
/// Where `sensitivity_units` is no power of two up to 2^20: then the product would not be exact.
pub fn sigma_units(sensitivity_units: u64, noise_multiplier: f64) -> Result<u64, InvalidNoiseMultiplier> {
    assert!(sensitivity_units.is_power_of_two() && sensitivity_units <= 1 << 20, "a lattice's unit");
    let exact = noise_multiplier * sensitivity_units as f64;
    let invalid = InvalidNoiseMultiplier { found: noise_multiplier, sensitivity_units };
    if !(exact >= 1.0 && exact <= SIGMA_UNITS_MAX as f64) {
        return Err(invalid);
    }
    let rounded = exact.ceil();
    // rounded² − exact², as a product: the difference is exact (Sterbenz), the rest rounds by 2u,
    // far less than the margin.
    let surplus = (rounded - exact) * (rounded + exact);
    let enough = surplus >= ROUNDING_VARIANCE as f64 * (1.0 + 1e-9);
    let sigma = rounded as u64 + u64::from(!enough);
    if (SIGMA_UNITS_MIN..=SIGMA_UNITS_MAX).contains(&sigma) { Ok(sigma) } else { Err(invalid) }
}

/// An upper bound on the exact squared L2 norm of `values`; infinite or NaN where f64 cannot say.
///
/// # Privacy
/// With d values, u = 2^-53: squares and sums lose at most a factor (1 − u)^d, and d · 2^-1075 where
/// squares underflow. The factor 1 + (d + 4)·2u and the d smallest numbers give back more, the
/// rounding of these three operations included (d ≤ [`DIMENSION_MAX`], so d·u is below 2^-22).
#[must_use]
pub fn norm_squared_upper(values: &[f64]) -> f64 {
    let computed: f64 = values.iter().map(|value| value * value).sum();
    let count = values.len() as f64;
    let smallest = f64::from_bits(1);
    (computed + count * smallest) * (1.0 + (count + 4.0) * f64::EPSILON)
}

/// The whole mechanism before noise, one gradient per sampled person: clip, scale, add, truncate.
/// Training computes the same sum without holding every gradient; tests compare the two.
///
/// # Privacy
/// L2 sensitivity at most [`Lattice::units`] under adding or removing one person, by the theorem
/// above: condition 1 is the caller's, 2 and 3 are met here.
///
/// # Panics
/// With a gradient of another length, a `clip_norm` that is not positive, or more than
/// [`Lattice::batch_max`] people.
pub fn clipped_sum<'a>(
    people: impl IntoIterator<Item = &'a [f64]>,
    clip_norm: f64,
    lattice: &Lattice,
) -> Vec<i64> {
    let mut sum = vec![0.0; lattice.dimension()];
    for (index, gradient) in people.into_iter().enumerate() {
        assert!(index < lattice.batch_max(), "the study's public numbers keep a batch within the lattice's");
        lattice.add_person(&mut sum, gradient, clip_norm);
    }
    lattice.truncate(&sum)
}

#[cfg(test)]
mod tests;
