//! A cap on privacy loss over studies that are chosen one after the other, each after seeing what the
//! earlier ones released.
//!
//! For such a sequence the sum of Rényi losses is a bound only at an order that was fixed beforehand:
//! "ε by whichever order is best in the end" lets the choice of order depend on the outputs, and a
//! filter on whole curves costs extra (Regehr et al. 2026, arXiv:2602.15815). So the filter fixes one
//! order at its first charge, when nothing was released yet: the order at which that list takes the
//! smallest share of the cap. A first study therefore fits if and only if its ε by RDP is within the cap,
//! and later ones of its kind are priced at nearly their best order.
//!
//! A first list is not taken at its price by PLD, which is lower: what follows it is chosen after seeing its
//! outputs, and a PLD-priced list followed by such ones is bounded by neither account.
//!
//! The cap may change; the order stays. A lower cap refuses later charges, it takes none back.

use super::accountant::rdp::{Curve, ORDERS, to_epsilon};
use super::accountant::tally::Tally;
use super::accountant::{InvalidEvent, checked_delta, checked_epsilon};
use super::mechanism::Event;

/// Holds (ε, δ) over adaptively chosen lists of events on the same people.
///
/// A plain value, a function of the charges in their order: replaying a ledger gives the same filter.
///
/// # Privacy
/// Unit: one person; neighbours: add or remove one. If every list is charged before any of its events
/// runs, the events run (all of them or fewer) are together (ε, δ)-differentially private, whatever the
/// later lists depended on. Where the cap was changed, it holds for the most generous of the caps: the
/// loss at the one order never passed what that one allows. Rényi filter of fixed order: Feldman and Zrnic 2021, arXiv:2008.11193;
/// Whitehouse, Ramdas, Rogers and Wu 2023; studies that run at the same time: Haney et al. 2023,
/// arXiv:2309.05901.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    epsilon_cap: f64,
    delta: f64,
    /// Index into [`ORDERS`]; none before the first charge.
    order: Option<usize>,
    charged: Tally,
}

/// Why a charge was not made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChargeRefused {
    /// The events cannot be priced.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// The cap would not hold.
    #[error("epsilon would be {reached} at delta {delta}, the cap is {cap}: declare less, or raise the cap")]
    Exceeded {
        /// What it would come to.
        reached: f64,
        /// The filter's cap on ε.
        cap: f64,
        /// The filter's δ.
        delta: f64,
    },
    /// More is given back than was charged.
    #[error("these events were not charged, so they cannot be given back")]
    NotCharged,
}

impl Filter {
    /// A filter that nothing was charged to.
    ///
    /// # Errors
    /// `epsilon_cap` is not a finite number above 0, or `delta` not in (0, 1).
    pub fn new(epsilon_cap: f64, delta: f64) -> Result<Self, InvalidEvent> {
        let (epsilon_cap, delta) = (checked_epsilon(epsilon_cap)?, checked_delta(delta)?);
        Ok(Self { epsilon_cap, delta, order: None, charged: Tally::default() })
    }

    /// The same charges at the same order under another cap. Refuses nothing: charges above the new cap
    /// stay, and whatever is not free is refused until the cap is raised or enough is given back.
    ///
    /// # Privacy
    /// Which order is best for the new cap is not asked: it could depend on what was released.
    ///
    /// # Errors
    /// As [`Filter::new`].
    pub fn with_cap(self, epsilon_cap: f64, delta: f64) -> Result<Self, InvalidEvent> {
        let (epsilon_cap, delta) = (checked_epsilon(epsilon_cap)?, checked_delta(delta)?);
        Ok(Self { epsilon_cap, delta, ..self })
    }

    /// None when `events` fit under the cap beside what was charged; otherwise the ε that they would
    /// lead to, which is above the cap.
    ///
    /// # Errors
    /// An event cannot be priced.
    pub fn would_exceed(&self, events: &[Event]) -> Result<Option<f64>, InvalidEvent> {
        let after = self.after(events, 0.0)?;
        Ok(after.err())
    }

    /// Charges all of `events`, before any of them runs.
    ///
    /// # Errors
    /// They cannot be priced, or would exceed the cap; nothing is charged then.
    pub fn charge(&mut self, events: &[Event]) -> Result<(), ChargeRefused> {
        self.charge_with_slack(events, 0.0)
    }

    /// As [`Filter::charge`], with the cap raised by the share `slack` of it: for charges that were made
    /// before, perhaps on another platform whose sums differ in their last digits. The order is chosen as
    /// without slack.
    ///
    /// # Privacy
    /// The cap that holds is `1 + slack` times the filter's.
    ///
    /// # Errors
    /// As [`Filter::charge`].
    pub fn charge_with_slack(&mut self, events: &[Event], slack: f64) -> Result<(), ChargeRefused> {
        match self.after(events, slack)? {
            Ok(after) => {
                *self = after;
                Ok(())
            }
            Err(reached) => {
                Err(ChargeRefused::Exceeded { reached, cap: self.epsilon_cap, delta: self.delta })
            }
        }
    }

    /// Takes back charges for events that did not run and never will, as when a study closes early. The
    /// order stays fixed.
    ///
    /// # Errors
    /// They were not charged; nothing is taken back then.
    pub fn give_back(&mut self, events: &[Event]) -> Result<(), ChargeRefused> {
        if self.charged.take(events)? { Ok(()) } else { Err(ChargeRefused::NotCharged) }
    }

    /// ε of everything charged, read as one list that was declared in advance, at its best Rényi order:
    /// what [`Accountant::Rdp`](super::accountant::Accountant::Rdp) says of it, so never above
    /// [`Filter::counted`]. For what is left under adaptive choices, see [`Filter::share_left`].
    #[must_use]
    pub fn spent(&self) -> f64 {
        self.charged.curve().epsilon(self.delta)
    }

    /// ε of everything charged at the fixed order: what is compared with the cap. A further charge adds
    /// its Rényi loss at that order. 0 while nothing is charged.
    #[must_use]
    pub fn counted(&self) -> f64 {
        let order = self.order.filter(|_| !self.charged.is_empty());
        order.map_or(0.0, |index| {
            to_epsilon(ORDERS[index], self.charged.curve().at(index), self.delta).max(0.0)
        })
    }

    /// The share of the cap that is left, in [0, 1], measured where it is held: in Rényi loss at the
    /// fixed order. Equal charges lower it by equal steps. 1 before the first charge.
    #[must_use]
    pub fn share_left(&self) -> f64 {
        self.order.map_or(1.0, |index| {
            let share = share_of_cap(&self.charged.curve(), index, self.epsilon_cap, self.delta);
            (1.0 - share).clamp(0.0, 1.0)
        })
    }

    /// The Rényi order that the cap is held at; none before the first charge.
    #[must_use]
    pub fn order(&self) -> Option<u32> {
        self.order.map(|index| ORDERS[index])
    }

    /// The filter once `events` are charged, or the ε above the cap.
    fn after(&self, events: &[Event], slack: f64) -> Result<Result<Self, f64>, InvalidEvent> {
        let mut after = self.clone();
        after.charged.add(events)?;
        if after.charged.is_empty() {
            return Ok(Ok(after));
        }
        let curve = after.charged.curve();
        let limit = self.epsilon_cap * (1.0 + slack);
        let reached = |index: &usize| to_epsilon(ORDERS[*index], curve.at(*index), self.delta);
        let index = self.order.or_else(|| {
            let share = |index: &usize| share_of_cap(&curve, *index, self.epsilon_cap, self.delta);
            let fits = (0..ORDERS.len()).filter(|index| reached(index) <= limit);
            fits.min_by(|a, b| share(a).total_cmp(&share(b)))
        });
        Ok(match index {
            Some(index) if reached(&index) <= limit => {
                after.order = Some(index);
                Ok(after)
            }
            Some(index) => Err(reached(&index)),
            None => Err((0..ORDERS.len()).map(|index| reached(&index)).fold(f64::INFINITY, f64::min)),
        })
    }
}

/// Rényi loss at an order, over the loss that converts to exactly the cap. Infinite where no loss does.
fn share_of_cap(curve: &Curve, index: usize, epsilon_cap: f64, delta: f64) -> f64 {
    let loss = curve.at(index);
    let conversion = to_epsilon(ORDERS[index], loss, delta) - loss;
    if epsilon_cap > conversion { loss / (epsilon_cap - conversion) } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::accountant::{Accountant, epsilon_by};

    const DELTA: f64 = 1e-5;
    const STUDY: Event = Event::PoissonGaussian { sampling_rate: 0.05, noise_multiplier: 1.5, count: 200 };
    const SURVEY: Event = Event::Gaussian { noise_multiplier: 10.0, count: 5 };

    /// By the accountant that the filter is about.
    fn epsilon(events: &[Event], delta: f64) -> Result<f64, InvalidEvent> {
        epsilon_by(Accountant::Rdp, events, delta)
    }

    fn filter(cap: f64) -> Filter {
        Filter::new(cap, DELTA).expect("valid cap")
    }

    /// A first list fits exactly when its ε does: no cap is wasted on a single study.
    #[test]
    fn the_first_list_is_priced_like_the_accountant() {
        fn check(events: &[Event]) {
            let cost = epsilon(events, DELTA).expect("valid events");
            assert_eq!(filter(cost).would_exceed(events), Ok(None));
            assert_eq!(filter(cost.next_down()).would_exceed(events), Ok(Some(cost)));
            let mut filter = filter(cost);
            assert_eq!(filter.charge(events), Ok(()));
            assert_eq!(filter.spent(), cost);
            assert!(filter.share_left() < 1e-9, "{}", filter.share_left());
            assert!(filter.would_exceed(&[SURVEY]).expect("valid").is_some_and(|reached| reached > cost));
        }
        check(&[STUDY]);
        check(&[SURVEY]);
        check(&[STUDY, SURVEY]);
        check(&[Event::Laplace { scale: 1.0, count: 3 }]);
        check(&[Event::Gaussian { noise_multiplier: 0.5, count: 1 }]);
    }

    /// Charges until refused: the cap holds for the plain sum too, and little of it is lost to the
    /// fixed order.
    #[test]
    fn the_cap_holds_over_many_studies() {
        fn check(cap: f64, studies: &[Event], lost_at_most: f64) {
            let mut filter = filter(cap);
            let mut charged = Vec::new();
            loop {
                let next = studies[charged.len() % studies.len()];
                let would = filter.would_exceed(&[next]).expect("valid");
                match filter.charge(&[next]) {
                    Ok(()) => assert_eq!(would, None),
                    Err(ChargeRefused::Exceeded { reached, .. }) => {
                        assert_eq!(would, Some(reached));
                        assert!(reached > cap);
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
                charged.push(next);
                assert_eq!(Ok(filter.spent()), epsilon(&charged, DELTA));
                assert!(filter.spent() <= filter.counted() && filter.counted() <= cap);
                assert!(charged.len() < 10_000, "never refused");
            }
            charged.push(studies[charged.len() % studies.len()]);
            let refused = epsilon(&charged, DELTA).expect("valid");
            assert!(refused > cap * (1.0 - lost_at_most), "{refused} of {cap} was refused");
        }
        // One kind of study: nothing is lost.
        check(4.0, &[STUDY.with_count(10)], 1e-9);
        check(1.0, &[Event::Gaussian { noise_multiplier: 40.0, count: 1 }], 1e-9);
        // Kinds whose best orders differ much: this is what the fixed order costs, more where the first
        // list is no example of what follows.
        let sharp = Event::PoissonGaussian { sampling_rate: 0.01, noise_multiplier: 0.6, count: 20 };
        check(6.0, &[sharp, SURVEY.with_count(1)], 0.15);
        check(6.0, &[SURVEY.with_count(1), sharp], 0.3);
    }

    #[test]
    fn the_order_is_fixed_by_the_first_list_only() {
        let mut filter = filter(8.0);
        assert_eq!((filter.order(), filter.spent(), filter.share_left()), (None, 0.0, 1.0));
        assert_eq!(filter.charge(&[]), Ok(()));
        assert_eq!(filter.charge(&[STUDY.with_count(0)]), Ok(()));
        assert_eq!(filter.order(), None, "nothing was charged");
        assert_eq!(filter.charge(&[STUDY]), Ok(()));
        let order = filter.order();
        assert!(order.is_some());
        let mut left = filter.share_left();
        for _ in 0..3 {
            assert_eq!(filter.charge(&[SURVEY]), Ok(()));
            assert_eq!(filter.order(), order);
            assert!(filter.share_left() < left);
            left = filter.share_left();
        }
    }

    #[test]
    fn what_did_not_run_is_given_back() {
        let mut filter = filter(4.0);
        assert_eq!(filter.charge(&[STUDY]), Ok(()));
        let (order, spent, left) = (filter.order(), filter.spent(), filter.share_left());
        assert_eq!(filter.charge(&[STUDY, SURVEY]), Ok(()));
        assert_eq!(filter.give_back(&[STUDY.with_count(401)]), Err(ChargeRefused::NotCharged));
        assert_eq!(filter.give_back(&[SURVEY, STUDY.with_count(150), STUDY.with_count(50)]), Ok(()));
        assert_eq!((filter.order(), filter.spent(), filter.share_left()), (order, spent, left));
        assert_eq!(filter.give_back(&[SURVEY]), Err(ChargeRefused::NotCharged));
        assert_eq!(filter.give_back(&[STUDY]), Ok(()));
        assert_eq!((filter.order(), filter.spent(), filter.share_left()), (order, 0.0, 1.0));
        assert_eq!(filter.counted(), 0.0);
    }

    #[test]
    fn another_cap_keeps_order_and_charges() {
        let mut charged = filter(4.0);
        assert_eq!(charged.charge(&[STUDY]), Ok(()));
        fn check(charged: &Filter, cap: f64, delta: f64, fits: bool) {
            let changed = charged.clone().with_cap(cap, delta).expect("valid cap");
            assert_eq!((changed.order(), &changed.charged), (charged.order(), &charged.charged));
            assert_eq!(changed.counted() > charged.counted(), delta < DELTA);
            assert_eq!(changed.would_exceed(&[SURVEY]).expect("valid").is_none(), fits, "{cap} {delta}");
            assert_eq!(changed.with_cap(4.0, DELTA).as_ref(), Ok(charged), "and back");
        }
        let cost = |delta| {
            let mut all = charged.clone().with_cap(100.0, delta).expect("valid cap");
            assert_eq!(all.charge(&[SURVEY]), Ok(()));
            all.counted()
        };
        check(&charged, 100.0, DELTA, true);
        check(&charged, cost(DELTA), DELTA, true);
        check(&charged, cost(DELTA).next_down(), DELTA, false);
        check(&charged, cost(DELTA), DELTA / 2.0, false);
        check(&charged, cost(DELTA / 2.0), DELTA / 2.0, true);
        check(&charged, 0.1, DELTA, false);
        assert_eq!(charged.clone().with_cap(0.1, DELTA).expect("valid cap").share_left(), 0.0);
        assert!(charged.clone().with_cap(f64::NAN, DELTA).is_err());
        assert!(charged.with_cap(1.0, 1.0).is_err());
    }

    /// Slack moves the threshold, not the order.
    #[test]
    fn slack_is_for_charges_made_before() {
        fn check(first: &[Event], below: f64, slack: f64, fits: bool) {
            let cost = epsilon(first, DELTA).expect("valid events");
            let exact = {
                let mut exact = filter(cost);
                assert_eq!(exact.charge(first), Ok(()));
                exact.order()
            };
            let mut filter = filter(cost * (1.0 - below));
            let charged = filter.charge_with_slack(first, slack);
            assert_eq!(charged.is_ok(), fits, "{charged:?}");
            assert_eq!(filter.order(), exact.filter(|_| fits));
            assert_eq!(filter.counted(), if fits { cost } else { 0.0 });
        }
        for first in [&[STUDY] as &[Event], &[SURVEY], &[STUDY, SURVEY]] {
            check(first, 0.0, 0.0, true);
            check(first, 5e-10, 0.0, false);
            check(first, 5e-10, 1e-9, true);
            check(first, 2e-9, 1e-9, false);
        }
    }

    #[test]
    fn a_refused_charge_changes_nothing() {
        let mut filter = filter(2.0);
        assert_eq!(filter.charge(&[SURVEY]), Ok(()));
        let before = (filter.order(), filter.spent(), filter.share_left());
        let error = filter.charge(&[SURVEY, STUDY.with_count(100_000)]).expect_err("too much");
        assert!(
            error.to_string().ends_with("at delta 0.00001, the cap is 2: declare less, or raise the cap")
        );
        let invalid = Event::Laplace { scale: f64::NAN, count: 1 };
        let error = filter.charge(&[SURVEY, invalid]).expect_err("not a number");
        assert!(error.to_string().starts_with("events[1].scale: expected"), "{error}");
        assert_eq!((filter.order(), filter.spent(), filter.share_left()), before);
    }

    /// A cap that no order can promise refuses everything, even a loss whose ε reads 0.
    #[test]
    fn a_cap_too_small_to_hold() {
        let tiny = Event::Gaussian { noise_multiplier: 1e9, count: 1 };
        assert_eq!(epsilon(&[tiny], DELTA), Ok(0.0));
        let reached = filter(1e-3).would_exceed(&[tiny]).expect("valid").expect("refused");
        assert!(reached > 1e-3, "{reached}");
        assert_eq!(filter(1e-3).would_exceed(&[]), Ok(None));
    }

    #[test]
    fn caps_must_be_numbers() {
        fn check(cap: f64, delta: f64, expected: &str) {
            let error = Filter::new(cap, delta).expect_err("out of range").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        check(0.0, DELTA, "epsilon: expected a finite number above 0, came 0");
        check(f64::NAN, DELTA, "epsilon: expected");
        check(f64::INFINITY, DELTA, "epsilon: expected");
        check(1.0, 0.0, "delta: expected");
        check(1.0, f64::NAN, "delta: expected");
    }
}
