//! The caps of the demo's hospitals: exactly one study, at exactly the ε that was asked for.

use consilium_common::ledger::entry::Role;
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::study::{Study, earmarks};

/// What a site's policy says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Caps {
    /// What `demo --epsilon E` promises: no person pays more in the study, by PLD.
    pub(super) epsilon_per_study: f64,
    /// The cap over studies is held by RDP, which counts some per cent more than PLD for the same list: room for this
    /// study and for little else.
    pub(super) epsilon_total: f64,
    /// The study's own, so that every figure is at the same.
    pub(super) delta: f64,
}

/// `epsilon_total` is rounded up to so many parts of 1.
const STEPS: f64 = 100.0;

impl Caps {
    /// # Privacy
    /// Unit: one person; neighbours: add or remove one. A first list fits under a cap over studies exactly when its ε
    /// by RDP, for people of either role, is at most the cap (`privacy::filter`).
    pub(super) fn of(study: &Study) -> Result<Self, String> {
        let privacy = &study.privacy;
        let list = earmarks(study);
        let mut most = privacy.person_total_max;
        for role in Role::ALL {
            let by_rdp = epsilon_by(Accountant::Rdp, &role.events(&list), privacy.delta);
            most = most.max(by_rdp.map_err(|error| error.to_string())?);
        }
        Ok(Self {
            epsilon_per_study: privacy.person_total_max,
            epsilon_total: (most * STEPS).ceil() / STEPS,
            delta: privacy.delta,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::key::SecretKey;
    use consilium_common::privacy::accountant::above_by;
    use consilium_common::privacy::filter::Filter;
    use consilium_common::study::{RosterSite, fill, parse};

    const SYNTHETIC: &str = include_str!("../../../docs/studies/synthetic-selfharm.toml");
    const HEART: &str = include_str!("../../../docs/studies/heart-disease.toml");

    /// The study passes each cap, and by not much.
    #[test]
    fn the_caps_fit_the_study() {
        fn check(template: &str, epsilon: f64) {
            let site = |seed: u8| RosterSite {
                name: format!("site-{seed}").parse().expect("a name"),
                key: SecretKey::from_seed(&[seed; 32]).public(),
                people_public: 300,
                weight: 65_536,
            };
            let text =
                fill(template, &[site(1), site(2)], Some(epsilon)).unwrap_or_else(|m| panic!("{m}")).text;
            let study = parse(text.as_bytes()).unwrap_or_else(|m| panic!("{m}"));
            let caps = Caps::of(&study).expect("priced");
            assert_eq!((caps.epsilon_per_study, caps.delta), (epsilon, study.privacy.delta));
            assert!(caps.epsilon_total > epsilon && caps.epsilon_total < 1.25 * epsilon + 0.1, "{caps:?}");
            let mut used = 0.0_f64;
            for role in Role::ALL {
                let events = role.events(&earmarks(&study));
                let price = |cap| above_by(Accountant::Pld, &events, caps.delta, cap).expect("priced");
                assert_eq!(price(caps.epsilon_per_study), None, "{role:?}");
                used = used.max(price(0.0).expect("above nothing"));
                let mut filter = Filter::new(caps.epsilon_total, caps.delta).expect("a cap");
                assert_eq!(filter.charge(&events), Ok(()), "{role:?}");
            }
            assert!(used > 0.995 * epsilon, "{used} of {epsilon}");
        }
        for epsilon in [1.0, 3.0, 8.0, 20.0] {
            check(SYNTHETIC, epsilon);
            check(HEART, epsilon);
        }
    }
}
