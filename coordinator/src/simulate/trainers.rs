//! Trainers that differ in one thing, who adds how much noise: a curator who is trusted with everybody's
//! examples, the sites of a secure sum, and sites that trust nobody. They take the very functions that
//! agents and coordinator take (`clipped_sum`, the noise's sampler, `ServerStep`, `local::round`), in this
//! process.
//!
//! No cryptography runs here: a secure sum is the exact sum of its inputs, so masks that cancel would
//! change no bit of any model.

use super::chance::Chance;
use super::server::{Server, ServerState};
use consilium_common::examples::Examples;
use consilium_common::model::Architecture;
use consilium_common::model::aggregate::WeightedSum;
use consilium_common::model::step::{ServerStep, denominator};
use consilium_common::privacy::clip::Lattice;
use consilium_common::privacy::noise::{DiscreteGaussian, SecretRng};
use consilium_common::privacy::sampling::poisson_sample;
use consilium_common::secagg::{Refusal, SecureParameters, recommended_threshold};
use consilium_common::train::{self, local};

/// The public numbers of one way to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// q: everybody joins a step independently with this probability.
    pub(super) sampling_rate: f64,
    /// How often the sites' results are put together.
    pub(super) rounds: u32,
    /// Private steps in each; 1 where there is one sum a step.
    pub(super) local_steps: u32,
    /// Rounds that are priced and not used.
    pub(super) spare_rounds: u32,
    /// C.
    pub(super) clip_norm: f64,
    /// η.
    pub(super) learning_rate: f64,
    /// Pull towards the round's model (FedProx); where sites train by themselves.
    pub(super) proximal: f64,
    /// What is made of the noised sums, at no further cost.
    pub(super) server: Server,
}

impl Plan {
    /// Private steps that are paid for.
    pub(super) fn steps_charged(&self) -> u64 {
        (u64::from(self.rounds) + u64::from(self.spare_rounds)) * u64::from(self.local_steps)
    }
}

/// Who adds how much noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trainer {
    /// Nobody: the steps of [`Trainer::Central`], and no privacy.
    WithoutNoise,
    /// One curator, trusted by all with their examples.
    Central,
    /// The sites of a secure sum, a share each.
    Distributed,
    /// Every site enough for itself.
    Local,
}

impl Trainer {
    /// As tables and JSON name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WithoutNoise => "without_noise",
            Self::Central => "central",
            Self::Distributed => "distributed",
            Self::Local => "local",
        }
    }
}

/// Who trains, and on what.
pub(super) struct Hospitals<'a> {
    pub(super) architecture: &'a Architecture,
    /// The public start, units of 2^-24.
    pub(super) start: &'a [i32],
    /// The public share of people who train.
    pub(super) training_share: f64,
    pub(super) sites: Vec<Hospital<'a>>,
    /// t and n_C of the secure sum; the recommended ones where there are none.
    pub(super) threshold: Option<(u8, u8)>,
    /// Everybody's training people together: what a trusted curator would hold.
    pub(super) pooled: &'a Examples,
}

/// One site of them.
pub(super) struct Hospital<'a> {
    pub(super) examples: &'a Examples,
    pub(super) people_public: u64,
    pub(super) weight: u32,
}

impl Hospitals<'_> {
    pub(super) fn lattice(&self) -> Lattice {
        Lattice::for_dimension(self.architecture.parameters())
    }

    /// The model that a trainer reaches. `sigma_units` is what the study's event was priced with.
    ///
    /// # Errors
    /// Sites or noise that a secure sum refuses.
    pub(super) fn train(
        &self,
        trainer: Trainer,
        plan: &Plan,
        sigma_units: u64,
        chance: &Chance,
    ) -> Result<Vec<i32>, Refusal> {
        Ok(match trainer {
            Trainer::WithoutNoise => self.central(plan, None, chance),
            Trainer::Central => self.central(plan, Some(sigma_units), chance),
            Trainer::Distributed => {
                self.distributed(plan, self.secure(plan, sigma_units)?.sigma_share_units(), chance)
            }
            Trainer::Local => self.local(plan, sigma_units, chance),
        })
    }

    /// The secure sum of these sites.
    ///
    /// # Errors
    /// Sites or noise that it refuses.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a bound on people")]
    #[expect(clippy::cast_sign_loss, reason = "people are not negative")]
    pub(super) fn secure(&self, plan: &Plan, sigma_units: u64) -> Result<SecureParameters, Refusal> {
        let sites = self.sites.len();
        let (threshold, colluding) = self.threshold.map_or_else(|| recommended_threshold(sites), Ok)?;
        let people = self.sites.iter().map(|site| site.people_public).sum::<u64>() as f64;
        let mean = plan.sampling_rate * self.training_share * people;
        let cap = (mean + 10.0 * mean.sqrt()).ceil() as u64;
        SecureParameters::decide(sites, threshold, colluding, self.lattice().units(), cap, sigma_units)
    }

    /// One curator, trusted by all: one sample of the pooled examples and one noise of `sigma_units` a
    /// step. None of it without noise.
    pub(super) fn central(&self, plan: &Plan, sigma_units: Option<u64>, chance: &Chance) -> Vec<i32> {
        self.by_sums(&[self.pooled], plan, sigma_units, chance)
    }

    /// The sites of a secure sum: each samples its own people and adds its share, `share_units`; the
    /// server sees the sum of all. Nobody drops out, which is when the noise is largest.
    pub(super) fn distributed(&self, plan: &Plan, share_units: u64, chance: &Chance) -> Vec<i32> {
        let sites: Vec<&Examples> = self.sites.iter().map(|site| site.examples).collect();
        self.by_sums(&sites, plan, Some(share_units), chance)
    }

    /// `local` mode as it is: every site's update carries noise enough for itself, `sigma_units` in
    /// each of its steps, and the updates are averaged by public weights.
    pub(super) fn local(&self, plan: &Plan, sigma_units: u64, chance: &Chance) -> Vec<i32> {
        let (lattice, gaussian) = (self.lattice(), gaussian(sigma_units));
        let mut model = self.start.to_vec();
        for round in 0..plan.rounds {
            let mut sum = WeightedSum::new(model.len());
            for (number, site) in self.sites.iter().enumerate() {
                let mut noise_rng = chance.noise(round, number);
                let noise: Vec<Vec<i64>> = (0..plan.local_steps)
                    .map(|_| gaussian.vector(&mut noise_rng, model.len()).to_vec())
                    .collect();
                let round_of_site = local::LocalRound {
                    sampling_rate: plan.sampling_rate,
                    steps: plan.local_steps,
                    clip_norm: plan.clip_norm,
                    learning_rate: plan.learning_rate,
                    proximal: plan.proximal,
                    denominator: denominator(plan.sampling_rate, self.training_share, [site.people_public]),
                    lattice,
                    padded_people: 0,
                };
                let mut people = chance.people(round, number);
                let update = local::round(
                    self.architecture,
                    &model,
                    site.examples,
                    &noise,
                    &mut people,
                    &round_of_site,
                );
                sum.add(&update, site.weight).expect("one architecture");
            }
            model = sum.apply(&model).expect("a roster's weights are above 0");
        }
        model
    }

    /// DP-SGD with one sum a step over `parts`, each of which adds noise of `noise_units`.
    fn by_sums(
        &self,
        parts: &[&Examples],
        plan: &Plan,
        noise_units: Option<u64>,
        chance: &Chance,
    ) -> Vec<i32> {
        assert_eq!(plan.local_steps, 1, "one sum a step");
        let lattice = self.lattice();
        let people = self.sites.iter().map(|site| site.people_public);
        let step = ServerStep {
            clip_norm: plan.clip_norm,
            lattice_units: lattice.units(),
            denominator: denominator(plan.sampling_rate, self.training_share, people),
            learning_rate: plan.learning_rate,
        };
        let mut server = ServerState::new(self.start.to_vec(), plan.server);
        for round in 0..plan.rounds {
            let parameters = train::parameters(&server.model);
            let mut total = vec![0; parameters.len()];
            for (number, examples) in parts.iter().enumerate() {
                let sample =
                    poisson_sample(&mut chance.people(round, number), examples.people(), plan.sampling_rate);
                let sum = train::clipped_sum(
                    self.architecture,
                    &parameters,
                    examples,
                    &sample,
                    plan.clip_norm,
                    &lattice,
                    0,
                );
                add(&mut total, &sum);
                if let Some(units) = noise_units {
                    add_noise(&mut total, units, &mut chance.noise(round, number));
                }
            }
            server.take(&step, &total).expect("public numbers of a study, and sums of its model");
        }
        server.finished()
    }
}

/// Adds one part's noise, N_Z(0, `units`²) in each coordinate.
pub(super) fn add_noise(total: &mut [i64], units: u64, rng: &mut SecretRng) {
    add(total, &gaussian(units).vector(rng, total.len()));
}

fn add(total: &mut [i64], part: &[i64]) {
    total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
}

fn gaussian(units: u64) -> DiscreteGaussian {
    DiscreteGaussian::new(units).expect("the lattice carries it: it was decided with its limits")
}

#[cfg(test)]
pub(super) mod tests;
