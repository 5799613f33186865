//! From events to ε: what a list of mechanisms costs one person.
//!
//! Unit: one person at one site. Neighbours: add or remove one person. A list that was declared in
//! advance is priced tightly by its privacy loss distribution ([`pld`]); what is chosen study by study is
//! capped by Rényi accounting ([`rdp`], [`filter`](crate::privacy::filter)). Every figure is rounded
//! against the budget: an ε or δ from here is an upper bound, numerical error included, and has the same
//! bits on every platform.

pub mod pld;
pub mod rdp;
pub(super) mod tally;

use crate::privacy::mechanism::Event;
use std::fmt;
use tally::Tally;

/// Smallest noise per unit of sensitivity that is accounted for: below it ε is astronomic.
pub const NOISE_MIN: f64 = 1e-6;
/// Largest noise per unit of sensitivity that is accounted for.
pub const NOISE_MAX: f64 = 1e12;

/// How privacy loss is composed and turned into ε.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accountant {
    /// Privacy loss distributions: tight, for a list that was declared in advance.
    Pld,
    /// Rényi differential privacy at integer orders.
    Rdp,
}

impl Accountant {
    /// The one that a declared list is priced by: a study's, at `study check`, under the cap on one study, and in an
    /// audit. The cap over studies, which are chosen one after the other, is held by RDP whatever stands here: see
    /// [`filter`](crate::privacy::filter).
    pub const CHARGED: Self = Self::Pld;

    /// As written in reports and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pld => "pld",
            Self::Rdp => "rdp",
        }
    }
}

impl fmt::Display for Accountant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no accountant of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no accountant {found:?}: expected pld or rdp")]
pub struct UnknownAccountant {
    found: String,
}

impl std::str::FromStr for Accountant {
    type Err = UnknownAccountant;

    fn from_str(text: &str) -> Result<Self, UnknownAccountant> {
        match text {
            "pld" => Ok(Self::Pld),
            "rdp" => Ok(Self::Rdp),
            _ => Err(UnknownAccountant { found: text.chars().take(40).collect() }),
        }
    }
}

/// A parameter without which there is no privacy loss to speak of.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidEvent {
    /// In the list of events.
    #[error("events[{index}].{field}: expected {expected}, came {found}")]
    Event {
        /// Place in the list, from 0.
        index: usize,
        /// As in the JSON form of an [`Event`].
        field: &'static str,
        /// What would do.
        expected: &'static str,
        /// What came.
        found: f64,
    },
    /// Beside the list: δ, a target or a cap.
    #[error("{name}: expected {expected}, came {found}")]
    Parameter {
        /// Which.
        name: &'static str,
        /// What would do.
        expected: &'static str,
        /// What came.
        found: f64,
    },
}

/// ε at `delta` of a list of events that was declared in advance (it may be cut short, never changed),
/// by the accountant that declared lists are priced by. 0 for no events.
///
/// Equal mechanisms are merged and summed in one fixed order, so that neither the order of the list nor
/// the way counts are split changes a bit of the answer.
///
/// # Privacy
/// Unit: one person; neighbours: add or remove one. The claim is (ε, `delta`)-differential privacy of
/// all outputs together, as an upper bound. When later events were chosen after seeing earlier outputs,
/// use a [`Filter`](crate::privacy::filter::Filter).
///
/// # Errors
/// An event's parameter or `delta` is out of range; the error names which.
pub fn epsilon(events: &[Event], delta: f64) -> Result<f64, InvalidEvent> {
    epsilon_by(Accountant::CHARGED, events, delta)
}

/// As [`epsilon`], by a named accountant.
///
/// # Privacy
/// As [`epsilon`].
///
/// # Errors
/// As [`epsilon`].
pub fn epsilon_by(accountant: Accountant, events: &[Event], delta: f64) -> Result<f64, InvalidEvent> {
    let delta = checked_delta(delta)?;
    let tally = Tally::of(events)?;
    Ok(match accountant {
        Accountant::Pld => pld::epsilon(&tally, delta),
        Accountant::Rdp => tally.curve().epsilon(delta),
    })
}

/// None when a list of events that was declared in advance costs at most `cap` at `delta`; otherwise its ε, which is
/// above. The same verdict as [`epsilon_by`] would give, mostly much sooner: RDP is asked first, and PLD, which is
/// never above it, prices only what RDP cannot settle.
///
/// # Privacy
/// As [`epsilon`]. None claims (`cap`, `delta`)-differential privacy.
///
/// # Errors
/// As [`epsilon`].
pub fn above_by(
    accountant: Accountant,
    events: &[Event],
    delta: f64,
    cap: f64,
) -> Result<Option<f64>, InvalidEvent> {
    let by_rdp = epsilon_by(Accountant::Rdp, events, delta)?;
    if by_rdp <= cap {
        return Ok(None);
    }
    let priced = match accountant {
        Accountant::Rdp => by_rdp,
        Accountant::Pld => epsilon_by(accountant, events, delta)?,
    };
    // A NaN is no bound: it is above every cap.
    Ok(if priced <= cap { None } else { Some(priced) })
}

/// δ at `epsilon` of a list of events that was declared in advance, by a named accountant; 0 for no
/// events. For any `d` in (0, 1), `delta_by(a, events, epsilon_by(a, events, d)?)? <= d`.
///
/// # Privacy
/// As [`epsilon`]; the claim is (`epsilon`, δ)-differential privacy.
///
/// # Errors
/// An event's parameter is out of range, or `epsilon` negative, infinite or not a number.
pub fn delta_by(accountant: Accountant, events: &[Event], epsilon: f64) -> Result<f64, InvalidEvent> {
    if !(epsilon >= 0.0 && epsilon.is_finite()) {
        let expected = "a finite number, 0 or above";
        return Err(InvalidEvent::Parameter { name: "epsilon", expected, found: epsilon });
    }
    let tally = Tally::of(events)?;
    Ok(match accountant {
        Accountant::Pld => pld::delta(&tally, epsilon),
        Accountant::Rdp => tally.curve().delta(epsilon),
    })
}

pub(super) fn checked_delta(delta: f64) -> Result<f64, InvalidEvent> {
    if delta > 0.0 && delta < 1.0 {
        Ok(delta)
    } else {
        Err(InvalidEvent::Parameter { name: "delta", expected: "a number above 0 and below 1", found: delta })
    }
}

/// A target or a cap: any finite number above 0.
pub(super) fn checked_epsilon(epsilon: f64) -> Result<f64, InvalidEvent> {
    if epsilon > 0.0 && epsilon.is_finite() {
        Ok(epsilon)
    } else {
        Err(InvalidEvent::Parameter { name: "epsilon", expected: "a finite number above 0", found: epsilon })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Event = Event::PoissonGaussian { sampling_rate: 0.05, noise_multiplier: 1.5, count: 200 };
    const RELEASE: Event = Event::Gaussian { noise_multiplier: 20.0, count: 5 };

    #[test]
    fn refused_events_name_their_place() {
        fn check(bad: Event, expected: &str) {
            let error = epsilon(&[RELEASE, bad], 1e-5).expect_err("out of range");
            assert_eq!(error.to_string(), format!("events[1].{expected}"));
        }
        let gaussian = |noise_multiplier| Event::Gaussian { noise_multiplier, count: 1 };
        let sampled = |sampling_rate, noise_multiplier| Event::PoissonGaussian {
            sampling_rate,
            noise_multiplier,
            count: 1,
        };
        let noise = "expected a number from 1e-6 to 1e12, came";
        check(gaussian(f64::NAN), &format!("noise_multiplier: {noise} NaN"));
        check(gaussian(0.0), &format!("noise_multiplier: {noise} 0"));
        check(gaussian(-1.0), &format!("noise_multiplier: {noise} -1"));
        check(gaussian(f64::INFINITY), &format!("noise_multiplier: {noise} inf"));
        check(sampled(0.1, 0.0), &format!("noise_multiplier: {noise} 0"));
        check(Event::Laplace { scale: 0.0, count: 1 }, &format!("scale: {noise} 0"));
        let rate = "sampling_rate: expected a number above 0, at most 1, came";
        check(sampled(0.0, 1.0), &format!("{rate} 0"));
        check(sampled(1.5, 1.0), &format!("{rate} 1.5"));
        check(sampled(-0.1, 1.0), &format!("{rate} -0.1"));
        check(sampled(f64::NAN, 1.0), &format!("{rate} NaN"));
        // Parameters are checked even where nothing is used.
        check(gaussian(f64::NAN).with_count(0), &format!("noise_multiplier: {noise} NaN"));
    }

    #[test]
    fn refused_delta() {
        for delta in [0.0, 1.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
            let error = epsilon(&[RELEASE], delta).expect_err("out of range");
            assert!(error.to_string().starts_with("delta: expected"), "{error}");
        }
    }

    #[test]
    fn nothing_costs_nothing() {
        assert_eq!(epsilon(&[], 1e-5), Ok(0.0));
        assert_eq!(epsilon(&[STEP.with_count(0)], 1e-300), Ok(0.0));
    }

    #[test]
    fn order_and_splitting_change_no_bit() {
        let whole = epsilon(&[STEP.with_count(600), RELEASE], 1e-5);
        assert!(whole.is_ok());
        assert_eq!(epsilon(&[RELEASE, STEP.with_count(600)], 1e-5), whole);
        assert_eq!(epsilon(&[STEP, RELEASE.with_count(2), STEP, RELEASE.with_count(3), STEP], 1e-5), whole);
    }

    /// To the last bit, on every platform and for ever: site, coordinator and auditor compare these.
    #[test]
    fn the_same_bits_everywhere() {
        let noisy_counts = Event::Laplace { scale: 30.0, count: 4 };
        let check = |accountant, delta, expected| {
            assert_eq!(epsilon_by(accountant, &[STEP, RELEASE, noisy_counts], delta), Ok(expected));
        };
        check(Accountant::Rdp, 1e-5, 2.6714992871331606);
        check(Accountant::Rdp, 1e-9, 3.938725216188981);
        check(Accountant::Pld, 1e-5, 2.4084327969194077);
        check(Accountant::Pld, 1e-9, 3.687481975608035);
    }

    #[test]
    fn a_cap_is_passed_or_not() {
        let list = [STEP, RELEASE];
        let [pld, rdp] =
            [Accountant::Pld, Accountant::Rdp].map(|by| epsilon_by(by, &list, 1e-5).expect("valid"));
        assert!(pld < 0.99 * rdp, "{pld} {rdp}");
        let check =
            |by, cap, expected| assert_eq!(above_by(by, &list, 1e-5, cap), Ok(expected), "{by} {cap}");
        check(Accountant::Pld, rdp, None);
        check(Accountant::Pld, pld, None);
        check(Accountant::Pld, pld.next_down(), Some(pld));
        check(Accountant::Rdp, rdp, None);
        check(Accountant::Rdp, rdp.next_down(), Some(rdp));
        check(Accountant::Rdp, pld, Some(rdp));
        assert_eq!(above_by(Accountant::Pld, &[], 1e-5, 0.0), Ok(None));
        assert!(above_by(Accountant::Pld, &list, 1e-5, f64::NAN).expect("valid").is_some());
        let nothing = Event::Gaussian { noise_multiplier: f64::NAN, count: 1 };
        assert!(above_by(Accountant::Pld, &[nothing], 1e-5, 1e300).is_err());
    }

    #[test]
    fn a_full_sample_is_no_sampling() {
        let full = Event::PoissonGaussian { sampling_rate: 1.0, noise_multiplier: 20.0, count: 5 };
        assert_eq!(epsilon(&[full], 1e-6), epsilon(&[RELEASE], 1e-6));
    }

    #[test]
    fn accountants_by_name() {
        for accountant in [Accountant::Pld, Accountant::Rdp] {
            assert_eq!(accountant.name().parse(), Ok(accountant));
        }
        let error = "prv".parse::<Accountant>().expect_err("not ours");
        assert_eq!(error.to_string(), "there is no accountant \"prv\": expected pld or rdp");
    }
}
