//! Each histogram release priced a second time, by OpenDP's privacy maps, before its reserve is
//! written: two programs by different people must agree on what a person pays.
//!
//! OpenDP's objects cannot cross threads and keep their state in memory only. So they live within
//! one synchronous call here, and the ledger stays the only account.

use consilium_common::evaluation::histogram::PERSON_UNITS;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::error::Error;
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;

/// The two prices may differ by this much of themselves: rounding of a few f64 operations.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// ρ of zero-concentrated differential privacy (Bun and Steinke 2016, arXiv:1605.02065).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rho(pub f64);

/// Why a release has no price, and must not happen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PricingError {
    /// Our accountant and OpenDP do not agree on the loss of this noise.
    #[error(
        "noise multiplier {noise_multiplier} with {sigma_units} lattice units: \
         our ρ is {ours}, OpenDP's {theirs}"
    )]
    PricingDisagrees {
        /// σ per person, as in the study's event.
        noise_multiplier: f64,
        /// σ of the noise to be drawn, lattice units.
        sigma_units: u64,
        /// 1/2σ².
        ours: f64,
        /// OpenDP's map of one person.
        theirs: f64,
    },
    /// OpenDP refused the mechanism; the name of its error, without its text.
    #[error("OpenDP refuses this noise: {0}")]
    Refused(String),
}

/// What one histogram release costs a person: noise of `sigma_units` lattice units in each cell,
/// recorded as a Gaussian event of `noise_multiplier`.
///
/// # Privacy
/// Unit: one person, who moves the cells of a release by at most [`PERSON_UNITS`] in L2 norm.
/// Neighbours: add or remove one person. The discrete Gaussian with integer sensitivity Δ is
/// Δ²/2σ²-zCDP (Canonne, Kamath and Steinke 2020, theorem 14), which is OpenDP's map. The price
/// returned is that of the event in the ledger, 1/2σ² with σ = `noise_multiplier`, and never below
/// OpenDP's beyond rounding.
///
/// # Errors
/// - `PricingDisagrees` where OpenDP's price of the noise to be drawn is not 1/2σ² of that noise,
///   where it is above the event's price, or where the event's price is above it by more than the
///   rounding of σ to whole units explains.
/// - `Refused` where OpenDP has no price.
pub fn price_histogram(noise_multiplier: f64, sigma_units: u64) -> Result<Rho, PricingError> {
    let theirs = opendp_rho(sigma_units).map_err(|error| PricingError::Refused(error.variant.to_string()))?;
    let drawn = gaussian_rho(sigma_units as f64 / PERSON_UNITS as f64);
    // `clip::sigma_units` rounds up by less than two units.
    let rounded_down = gaussian_rho(sigma_units.saturating_sub(2) as f64 / PERSON_UNITS as f64);
    let ours = gaussian_rho(noise_multiplier);
    let agrees = within(theirs, drawn)
        && within(drawn, theirs)
        && within(theirs, ours)
        && within(ours, rounded_down)
        && ours.is_finite()
        && noise_multiplier > 0.0;
    if agrees {
        Ok(Rho(ours))
    } else {
        Err(PricingError::PricingDisagrees { noise_multiplier, sigma_units, ours, theirs })
    }
}

/// ρ of a Gaussian of `noise_multiplier` per person.
fn gaussian_rho(noise_multiplier: f64) -> f64 {
    0.5 / (noise_multiplier * noise_multiplier)
}

/// At most, up to rounding; false for NaN.
fn within(price: f64, limit: f64) -> bool {
    price <= limit * (1.0 + RELATIVE_TOLERANCE)
}

/// OpenDP's ρ of integer noise of `sigma_units` for one person's [`PERSON_UNITS`].
fn opendp_rho(sigma_units: u64) -> Result<f64, Error> {
    let measurement = make_gaussian::<_, _, ZeroConcentratedDivergence>(
        VectorDomain::<AtomDomain<i64>>::default(),
        L2Distance::<f64>::default(),
        sigma_units as f64,
        None,
    )?;
    measurement.map(&(PERSON_UNITS as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::privacy::clip::sigma_units;

    #[test]
    fn both_agree_on_what_the_lattice_draws() {
        for noise_multiplier in [0.005, 0.3, 0.987_654_321, 1.0, 1.5, 4.0, 33.3, 1000.0, 16_000.0] {
            let units = sigma_units(PERSON_UNITS as u64, noise_multiplier).expect("in range");
            let expected = 1.0 / (2.0 * noise_multiplier * noise_multiplier);
            let Rho(found) = price_histogram(noise_multiplier, units).expect("agrees");
            assert!((found / expected - 1.0).abs() < 1e-15, "{noise_multiplier}: {found}");
            let theirs = opendp_rho(units).expect("has a price");
            assert!(
                theirs <= found && theirs > found * (1.0 - 4.1 / units as f64),
                "{noise_multiplier}: {theirs}"
            );
        }
    }

    #[test]
    fn disagreement_is_refused() {
        let one = PERSON_UNITS as u64 + 1;
        assert_eq!(price_histogram(1.0, one), Ok(Rho(0.5)));
        let check = |noise_multiplier: f64, sigma_units| {
            let found = price_histogram(noise_multiplier, sigma_units);
            assert!(
                matches!(found, Err(PricingError::PricingDisagrees { .. })),
                "{noise_multiplier}, {sigma_units}: {found:?}"
            );
        };
        // Less noise than the event says, by a factor and by two units; and more than rounding gives.
        check(1.0, one / 2);
        check(1.0, one - 2);
        check(1.0, one + 3);
        check(2.0, one);
        check(-1.0, one);
        check(0.0, one);
        check(f64::NAN, one);
        check(f64::INFINITY, one);
        check(1.0, 0);
        check(f64::MIN_POSITIVE, 0);
    }
}
