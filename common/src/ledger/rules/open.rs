//! What a `study_open` must fulfil.

use super::{Broken, State, broken};
use crate::id::{Digest, StudyId};
use crate::ledger::entry::{Account, Caps, Earmark, Participant, Role};
use crate::privacy::accountant::InvalidEvent;
use crate::privacy::filter::ChargeRefused;
use crate::privacy::mechanism::Event;
use crate::protocol::{Approval, Decision};
use crate::signed::Signed;
use crate::time::Time;
use std::collections::BTreeSet;

/// The fields of a `study_open`.
pub(super) struct Open<'a> {
    pub(super) study: &'a Digest,
    pub(super) study_id: &'a StudyId,
    pub(super) approval: &'a Signed<Approval>,
    pub(super) participants: &'a [Participant],
    pub(super) delta: f64,
    pub(super) earmarks: &'a [Earmark],
}

impl Open<'_> {
    /// `slack` is the share by which the ε caps are raised: 0, or a little when an old entry is replayed.
    pub(super) fn check(&self, state: &State, now: Time, slack: f64) -> Result<(), Broken> {
        if state.study(self.study).is_some() {
            return broken("ledger.study", format!("study {} was opened before", self.study));
        }
        self.check_approval(state)?;
        self.check_participants(state)?;
        if !(self.delta > 0.0 && self.delta <= state.caps().delta) {
            let cap = state.caps().delta;
            return broken(
                "policy.delta",
                format!("the study states its ε at δ = {}, allowed {cap}", self.delta),
            );
        }
        self.check_earmarks(state.caps())?;
        self.check_epsilon(state, now, slack)
    }

    fn check_approval(&self, state: &State) -> Result<(), Broken> {
        const RULE: &str = "ledger.approval";
        let approval = match self.approval.verify(&state.key()) {
            Ok(approval) => approval.into_inner(),
            Err(error) => return broken(RULE, error.to_string()),
        };
        if approval.study != *self.study || approval.study_id != *self.study_id {
            return broken(RULE, format!("the approval is for {} ({})", approval.study_id, approval.study));
        }
        if approval.site != *state.site() {
            return broken(RULE, format!("the approval is by {}", approval.site));
        }
        if approval.decision != Decision::Approve {
            return broken(RULE, "the site declined".to_owned());
        }
        Ok(())
    }

    fn check_participants(&self, state: &State) -> Result<(), Broken> {
        const RULE: &str = "ledger.participants";
        let names: BTreeSet<_> = self.participants.iter().map(|p| &p.site).collect();
        let keys: BTreeSet<_> = self.participants.iter().map(|p| p.key).collect();
        if names.len() != self.participants.len() || keys.len() != self.participants.len() {
            return broken(RULE, "a name or a key is there twice".to_owned());
        }
        if !self.participants.iter().any(|p| p.site == *state.site() && p.key == state.key()) {
            return broken(RULE, format!("{} with its own key is not among them", state.site()));
        }
        Ok(())
    }

    fn check_earmarks(&self, caps: &Caps) -> Result<(), Broken> {
        const RULE: &str = "ledger.earmark";
        let names: BTreeSet<_> = self.earmarks.iter().map(|e| &e.name).collect();
        if names.len() != self.earmarks.len() || self.earmarks.is_empty() {
            return broken(RULE, "expected at least one earmark, each with a name of its own".to_owned());
        }
        let mut steps = 0_u64;
        for earmark in self.earmarks {
            if !is_earmark_name(&earmark.name) {
                return broken(RULE, format!("{:?} is no name of a grouping", earmark.name));
            }
            if earmark.event.count() == 0 {
                return broken(RULE, format!("{}: no uses", earmark.name));
            }
            // Charged to the people whose data it uses: training data belong to training people.
            let other = if earmark.is_training() { Account::Evaluation } else { Account::Training };
            if earmark.account == other {
                return broken(RULE, format!("{}: charged to people that it does not use", earmark.name));
            }
            if earmark.is_training() {
                check_training(&earmark.event, caps)?;
                steps = steps.saturating_add(earmark.event.count());
            }
        }
        if steps > caps.steps_max {
            return broken("policy.steps_max", format!("{steps} training steps, allowed {}", caps.steps_max));
        }
        Ok(())
    }

    /// # Privacy
    /// Unit: one person at this site; neighbours: add or remove one person. Bounds, for each role and at
    /// the policy's δ: this study alone, as one list that was declared in advance, by PLD; and all studies
    /// together, by [`State::filter`] at its fixed Rényi order, which holds although a study is chosen
    /// after seeing the results of others (Feldman and Zrnic 2021; Whitehouse et al. 2023, "Fully adaptive
    /// composition in differential privacy", Theorem 1). The latter by RDP whatever a list is priced by:
    /// only it has a filter, and a first list is no exception, since what follows it is chosen after
    /// seeing its outputs.
    ///
    /// Ledgers from before PLD held the cap on one study by RDP. PLD is never above, so what was legal
    /// stays legal, and RDP alone settles them.
    fn check_epsilon(&self, state: &State, now: Time, slack: f64) -> Result<(), Broken> {
        let caps = state.caps();
        for role in Role::ALL {
            let who = if role == Role::Training { "training" } else { "evaluation" };
            let exceeded = |rule, epsilon: f64, cap: f64| {
                broken(rule, format!("{who} people would pay ε = {epsilon:.6}, allowed {cap}"))
            };
            let invalid = |error: InvalidEvent| ("ledger.earmark", error.to_string());
            let alone = state.would_exceed_alone_with_slack(role, caps, self.earmarks, slack);
            if let Some(alone) = alone.map_err(invalid)? {
                return exceeded("policy.epsilon_per_study", alone, caps.epsilon_per_study);
            }
            let events = role.events(self.earmarks);
            let all = ("policy.epsilon_total", state.filter(role).clone());
            let of_year = caps
                .epsilon_per_year
                .map(|_| ("policy.epsilon_per_year", state.year_filter(now.day().year(), role)));
            for (rule, mut filter) in [Some(all), of_year].into_iter().flatten() {
                match filter.charge_with_slack(&events, slack) {
                    Ok(()) => {}
                    Err(ChargeRefused::Exceeded { reached, cap, .. }) => return exceeded(rule, reached, cap),
                    Err(ChargeRefused::Invalid(error)) => return Err(invalid(error)),
                    Err(error @ ChargeRefused::NotCharged) => unreachable!("nothing is given back: {error}"),
                }
            }
        }
        Ok(())
    }
}

fn check_training(event: &Event, caps: &Caps) -> Result<(), Broken> {
    let (sampling_rate, noise_multiplier) = match *event {
        Event::Gaussian { noise_multiplier, .. } => (1.0, noise_multiplier),
        Event::PoissonGaussian { sampling_rate, noise_multiplier, .. } => (sampling_rate, noise_multiplier),
        Event::Laplace { .. } | Event::PoissonLaplace { .. } => {
            return broken("ledger.earmark", "training has Gaussian noise, came Laplace".to_owned());
        }
        // It is how a person at several sites is priced, not a mechanism that a site runs.
        Event::MixtureGaussian { .. } => {
            return broken(
                "ledger.earmark",
                "training is one site's own, came a mixture of sites".to_owned(),
            );
        }
    };
    if noise_multiplier.is_nan() || noise_multiplier < caps.noise_multiplier_min {
        let min = caps.noise_multiplier_min;
        return broken(
            "policy.noise_multiplier_min",
            format!("training has σ = {noise_multiplier}, allowed from {min}"),
        );
    }
    if sampling_rate.is_nan() || sampling_rate > caps.sampling_rate_max {
        let max = caps.sampling_rate_max;
        return broken(
            "policy.sampling_rate_max",
            format!("training has q = {sampling_rate}, allowed to {max}"),
        );
    }
    Ok(())
}

/// A grouping's name becomes a folder's name in a bundle.
fn is_earmark_name(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || "_-*.".contains(c))
}
