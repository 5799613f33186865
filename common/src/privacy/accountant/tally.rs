//! Events merged by mechanism: a multiset whose privacy loss depends on nothing but its content.

use super::rdp::Curve;
use super::{InvalidEvent, NOISE_MAX, NOISE_MIN};
use crate::privacy::mechanism::{Event, SITES_MAX};
use std::collections::BTreeMap;

/// A finite number above 0, kept as its bits: these order as the numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Positive(u64);

impl Positive {
    pub(super) fn value(self) -> f64 {
        f64::from_bits(self.0)
    }

    fn within(low: f64, high: f64, value: f64) -> Option<Self> {
        (low..=high).contains(&value).then(|| Self(value.to_bits()))
    }
}

/// One use of a mechanism, its parameters checked. A sampling rate is below 1: at 1 it is the Gaussian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mechanism {
    Gaussian {
        noise: Positive,
    },
    PoissonGaussian {
        rate: Positive,
        noise: Positive,
    },
    Laplace {
        scale: Positive,
    },
    PoissonLaplace {
        rate: Positive,
        scale: Positive,
    },
    /// At two sites or more.
    MixtureGaussian {
        sites: u32,
        rate: Positive,
        noise: Positive,
    },
}

impl Mechanism {
    pub(super) fn of(event: &Event, index: usize) -> Result<Self, InvalidEvent> {
        let noise = |field, value| {
            Positive::within(NOISE_MIN, NOISE_MAX, value).ok_or(InvalidEvent::Event {
                index,
                field,
                expected: "a number from 1e-6 to 1e12",
                found: value,
            })
        };
        let rate = |value| {
            Positive::within(f64::from_bits(1), 1.0, value).ok_or(InvalidEvent::Event {
                index,
                field: "sampling_rate",
                expected: "a number above 0, at most 1",
                found: value,
            })
        };
        Ok(match *event {
            Event::Gaussian { noise_multiplier, .. } => {
                Self::Gaussian { noise: noise("noise_multiplier", noise_multiplier)? }
            }
            Event::PoissonGaussian { sampling_rate, noise_multiplier, .. } => {
                let rate = rate(sampling_rate)?;
                let noise = noise("noise_multiplier", noise_multiplier)?;
                if rate.value() == 1.0 {
                    Self::Gaussian { noise }
                } else {
                    Self::PoissonGaussian { rate, noise }
                }
            }
            Event::Laplace { scale, .. } => Self::Laplace { scale: noise("scale", scale)? },
            Event::PoissonLaplace { sampling_rate, scale, .. } => {
                let rate = rate(sampling_rate)?;
                let scale = noise("scale", scale)?;
                if rate.value() == 1.0 {
                    Self::Laplace { scale }
                } else {
                    Self::PoissonLaplace { rate, scale }
                }
            }
            Event::MixtureGaussian { sites, sampling_rate, noise_multiplier, .. } => {
                if !(1..=SITES_MAX).contains(&sites) {
                    return Err(InvalidEvent::Event {
                        index,
                        field: "sites",
                        expected: "a number from 1 to 256",
                        found: f64::from(sites),
                    });
                }
                let rate = rate(sampling_rate)?;
                let noise = noise("noise_multiplier", noise_multiplier)?;
                match (sites, rate.value() == 1.0) {
                    (1, true) => Self::Gaussian { noise },
                    // Counted `sites` times for sure; rounded down, against the budget.
                    (_, true) => Self::Gaussian {
                        noise: Positive((noise.value() / f64::from(sites)).next_down().to_bits()),
                    },
                    (1, false) => Self::PoissonGaussian { rate, noise },
                    (_, false) => Self::MixtureGaussian { sites, rate, noise },
                }
            }
        })
    }
}

/// How often each mechanism is used, with the loss of one use.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::privacy) struct Tally(BTreeMap<Mechanism, Uses>);

#[derive(Debug, Clone, PartialEq)]
struct Uses {
    /// A u64 per event, summed: cannot overflow.
    count: u128,
    once: Box<Curve>,
}

impl Tally {
    pub(in crate::privacy) fn of(events: &[Event]) -> Result<Self, InvalidEvent> {
        let mut tally = Self::default();
        tally.add(events)?;
        Ok(tally)
    }

    /// Adds all of `events`, or on an error none.
    pub(in crate::privacy) fn add(&mut self, events: &[Event]) -> Result<(), InvalidEvent> {
        for (mechanism, count) in merged(events)? {
            let once = || Box::new(Curve::once(mechanism));
            self.0.entry(mechanism).or_insert_with(|| Uses { count: 0, once: once() }).count += count;
        }
        Ok(())
    }

    /// Takes all of `events` out again; `false`, and nothing is taken, where they are not all in it.
    pub(in crate::privacy) fn take(&mut self, events: &[Event]) -> Result<bool, InvalidEvent> {
        let merged = merged(events)?;
        if merged.iter().any(|(mechanism, count)| self.0.get(mechanism).is_none_or(|u| u.count < *count)) {
            return Ok(false);
        }
        for (mechanism, count) in merged {
            self.0.get_mut(&mechanism).expect("just seen").count -= count;
        }
        self.0.retain(|_, uses| uses.count > 0);
        Ok(true)
    }

    /// The loss of everything together.
    pub(in crate::privacy) fn curve(&self) -> Curve {
        let mut sum = Curve::zero();
        for uses in self.0.values() {
            sum.add(&uses.once.times(uses.count));
        }
        sum
    }

    /// Each mechanism with its count, in a fixed order.
    pub(super) fn uses(&self) -> impl Iterator<Item = (Mechanism, u128)> {
        self.0.iter().map(|(mechanism, uses)| (*mechanism, uses.count))
    }

    pub(in crate::privacy) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Counts per mechanism, unused ones left out.
fn merged(events: &[Event]) -> Result<BTreeMap<Mechanism, u128>, InvalidEvent> {
    let mut counts = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let mechanism = Mechanism::of(event, index)?;
        if event.count() > 0 {
            *counts.entry(mechanism).or_insert(0) += u128::from(event.count());
        }
    }
    Ok(counts)
}
