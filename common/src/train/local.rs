//! One round of local training at a site: private steps, whose noise was drawn beforehand.

use super::clipped_sum;
use super::network::Network;
use crate::examples::Examples;
use crate::model::{Architecture, from_fixed, to_fixed};
use crate::privacy::clip::Lattice;
use crate::privacy::sampling::poisson_sample;

/// What a study fixes for every round; all of it public.
#[derive(Debug, Clone)]
pub struct LocalRound {
    /// q: everybody joins a step independently with this probability.
    pub sampling_rate: f64,
    /// Private steps of the round.
    pub steps: u32,
    /// C: the largest L2 norm of one person's gradient.
    pub clip_norm: f64,
    /// Step size.
    pub learning_rate: f64,
    /// Pull toward the round's model (FedProx's μ, Li et al. 2020, arXiv:1812.06127); 0 is plain
    /// federated averaging.
    pub proximal: f64,
    /// What the sum is divided by: q × people_public × training_share, never a batch's size.
    pub denominator: f64,
    /// The lattice that the sums and their noise live on.
    pub lattice: Lattice,
    /// Every step computes at least this many rows, so that its time is public; choose a number
    /// that a batch passes rarely.
    pub padded_people: usize,
}

/// One round at a site: `steps` private steps from `model`; returns the update, the difference to
/// `model` in fixed point.
///
/// Step k samples people, takes their [`clipped_sum`], adds `noise[k]` and only then lets the
/// result move the parameters, which are kept in `f64` and rounded to `f32` for the network.
///
/// # Privacy
/// Unit: one person; neighbours: add or remove one. Each step is one Poisson-subsampled Gaussian
/// mechanism of sensitivity `lattice.units()`, with sampling rate `sampling_rate` and the noise's
/// σ; the rest, proximal term and learning rate included, is post-processing of noised integers.
/// `noise` must be fresh, drawn before data are touched, and used for nothing else; `rng` must be
/// secret.
///
/// # Panics
/// Noise of another shape than `steps` × parameters, or shapes that disagree: bugs of the caller.
/// A machine on which the bits rule does not hold.
#[must_use]
pub fn round(
    architecture: &Architecture,
    model: &[i32],
    examples: &Examples,
    noise: &[Vec<i64>],
    rng: &mut impl rand_core::CryptoRng,
    params: &LocalRound,
) -> Vec<i32> {
    assert_eq!(noise.len(), params.steps as usize, "one noise vector for each step");
    let start: Vec<f64> = model.iter().map(|&value| from_fixed(value)).collect();
    let mut weights = start.clone();
    Network::new(architecture, &to_f32(&weights)).assert_bits_rule();
    #[cfg(feature = "mutants")]
    let examples = &*super::mutated::people(examples);
    for noise in noise {
        assert_eq!(noise.len(), weights.len(), "one noise value for each parameter");
        let sample = poisson_sample(rng, examples.people(), params.sampling_rate);
        #[cfg(feature = "mutants")]
        let sample = super::mutated::sample(rng, examples.people(), params.sampling_rate, sample);
        #[cfg(feature = "mutants")]
        let params = &super::mutated::params(params, sample.len());
        let sum = clipped_sum(
            architecture,
            &to_f32(&weights),
            examples,
            &sample,
            params.clip_norm,
            &params.lattice,
            params.padded_people,
        );
        let noised = sum.iter().zip(noise).map(|(sum, noise)| sum + noise);
        step(&mut weights, &start, noised, params);
    }
    weights.iter().zip(&start).map(|(weight, start)| to_fixed(weight - start)).collect()
}

/// Moves the parameters by one noised sum: post-processing only.
#[expect(clippy::cast_precision_loss, reason = "a noised sum is far below 2^53 units")]
fn step(weights: &mut [f64], start: &[f64], noised: impl Iterator<Item = i64>, params: &LocalRound) {
    let unit = params.clip_norm / (params.lattice.units() as f64 * params.denominator);
    for ((weight, start), units) in weights.iter_mut().zip(start).zip(noised) {
        let gradient = units as f64 * unit;
        *weight -= params.learning_rate * (gradient + params.proximal * (*weight - start));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is what is wanted")]
fn to_f32(weights: &[f64]) -> Vec<f32> {
    weights.iter().map(|&weight| weight as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Draw;
    use super::*;
    use chacha20::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn params(parameters: usize, people: usize) -> LocalRound {
        LocalRound {
            sampling_rate: 1.0,
            steps: 3,
            clip_norm: 4.0,
            learning_rate: 0.5,
            proximal: 0.0,
            denominator: people as f64,
            lattice: Lattice::for_dimension(parameters),
            padded_people: people,
        }
    }

    fn run(
        architecture: &Architecture,
        examples: &Examples,
        noise: &[Vec<i64>],
        params: &LocalRound,
    ) -> Vec<i32> {
        let model = vec![to_fixed(0.25); architecture.parameters()];
        round(architecture, &model, examples, noise, &mut ChaCha20Rng::from_seed([7; 32]), params)
    }

    /// With everybody sampled, nobody clipped and no noise, a round is plain gradient descent.
    #[test]
    fn is_gradient_descent_when_nothing_is_hidden() {
        fn check(proximal: f64) {
            let examples = Draw::new(2).people(4, &[1; 90]);
            let architecture = Architecture { inputs: 4, hidden: vec![], outputs: 1 };
            let params = LocalRound { proximal, ..params(5, 90) };
            let update = run(&architecture, &examples, &vec![vec![0; 5]; 3], &params);
            let mut weights = [0.25_f64; 5];
            for _ in 0..3 {
                let mut gradient = [0.0; 5];
                for row in 0..90 {
                    let x: Vec<f64> = examples.row(row).iter().map(|&v| f64::from(v)).chain([1.0]).collect();
                    let logit: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum();
                    let delta = 1.0 / (1.0 + (-logit).exp()) - f64::from(examples.label(row));
                    for (gradient, x) in gradient.iter_mut().zip(x) {
                        *gradient += delta * x / 90.0;
                    }
                }
                for (weight, gradient) in weights.iter_mut().zip(gradient) {
                    *weight -= 0.5 * (gradient + proximal * (*weight - 0.25));
                }
            }
            for (&update, weight) in update.iter().zip(weights) {
                // f32 weights and deltas, and truncation to the lattice.
                assert!((from_fixed(update) - (weight - 0.25)).abs() < 1e-6, "{update} {weight}");
            }
        }
        check(0.0);
        check(0.7);
    }

    /// Noise moves the update by exactly learning rate × noise × C ÷ (s × denominator).
    #[test]
    fn noise_enters_as_documented() {
        let examples = Draw::new(2).people(4, &[1; 10]);
        let architecture = Architecture { inputs: 4, hidden: vec![], outputs: 1 };
        let params = LocalRound { steps: 1, sampling_rate: 1e-300, ..params(5, 10) };
        let noise = vec![vec![0, 1 << 18, -(1 << 20), 3, -3]];
        let unit = 0.5 * 4.0 / ((1 << 18) as f64 * 10.0);
        let expected: Vec<i32> = noise[0].iter().map(|&n| to_fixed(-unit * n as f64)).collect();
        assert_eq!(run(&architecture, &examples, &noise, &params), expected);
    }

    #[test]
    fn same_seed_same_bits() {
        let examples = Draw::new(9).people(6, &[1, 2, 1, 1, 5, 1, 1]);
        let architecture = Architecture { inputs: 6, hidden: vec![5], outputs: 1 };
        let params = LocalRound { sampling_rate: 0.5, ..params(architecture.parameters(), 7) };
        let noise = vec![vec![1000; architecture.parameters()]; 3];
        let update = run(&architecture, &examples, &noise, &params);
        assert_eq!(run(&architecture, &examples, &noise, &params), update);
        assert!(update.iter().any(|&u| u != 0));
    }
}
