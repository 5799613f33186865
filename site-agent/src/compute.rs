//! Turns examples and noise into the bytes that leave. Called only with a cosigned reserve in hand;
//! all noise is drawn before the examples are touched.

mod sums;

pub(crate) use sums::{draw_share, noised_counts, noised_step};

use consilium_common::evaluation::histogram::{self, Grouping, Histogram, PERSON_UNITS};
use consilium_common::examples::Examples;
use consilium_common::id::{Digest, SiteName};
use consilium_common::model::blob::{self, UpdateHeader};
use consilium_common::model::from_fixed;
use consilium_common::privacy::clip::{Lattice, sigma_units};
use consilium_common::privacy::noise::{DiscreteGaussian, secret_rng};
use consilium_common::study::{RosterSite, Study};
use consilium_common::train::{self, local};
use zeroize::Zeroizing;

/// Fresh entropy, one piece per use, wiped when dropped.
pub type Seed = Zeroizing<[u8; 32]>;

/// A study's parameters ask for noise that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the study's noise cannot be drawn: {0}")]
pub struct InvalidNoise(pub String);

/// The noise of one round, drawn before data are read.
pub struct RoundNoise {
    steps: Vec<Vec<i64>>,
    lattice: Lattice,
}

/// What one round is computed from, beside noise and examples; all of it public.
#[derive(Debug, Clone)]
pub struct Round {
    /// The study.
    pub study: Digest,
    /// Counted from 0.
    pub round: u32,
    /// Digest of the model that it starts from.
    pub model: Digest,
    /// This site.
    pub site: SiteName,
}

/// Draws all noise of a round: for each of its steps one exact discrete Gaussian vector.
///
/// # Privacy
/// Unit: one person; neighbours: add or remove one. σ in lattice units is rounded up from
/// `noise_multiplier` × the lattice's sensitivity, see [`Lattice::sigma_units`]. Each seed is used
/// for one round and nothing else.
///
/// # Errors
/// A noise multiplier outside what the sampler takes.
pub fn draw_round(study: &Study, seed: &Seed) -> Result<RoundNoise, InvalidNoise> {
    let training = &study.privacy.training;
    let parameters = study.architecture().parameters();
    let lattice = Lattice::for_dimension(parameters);
    let sigma = lattice.sigma_units(training.noise_multiplier).map_err(|e| InvalidNoise(e.to_string()))?;
    let gaussian = DiscreteGaussian::new(sigma).map_err(|e| InvalidNoise(e.to_string()))?;
    let mut rng = secret_rng(**seed);
    let steps = (0..training.local_steps).map(|_| gaussian.vector(&mut rng, parameters).to_vec()).collect();
    #[cfg(feature = "mutants")]
    let steps = consilium_common::mutant::noise(steps);
    Ok(RoundNoise { steps, lattice })
}

impl Drop for RoundNoise {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.steps.iter_mut().for_each(|step| step.zeroize());
    }
}

/// A round's update, as the exact bytes that leave.
///
/// # Privacy
/// [`local::round`] with this round's noise; `sampling_seed` decides in secret who joins each step.
/// The number of rows computed depends on public figures unless a batch passes
/// [`padded_people`].
#[must_use]
pub fn update(
    study: &Study,
    site: &RosterSite,
    round: &Round,
    model: &[i32],
    examples: &Examples,
    noise: &RoundNoise,
    sampling_seed: &Seed,
) -> Vec<u8> {
    let training = &study.privacy.training;
    let params = local::LocalRound {
        sampling_rate: training.sampling_rate,
        steps: training.local_steps,
        clip_norm: training.clip_norm,
        learning_rate: training.learning_rate,
        proximal: training.proximal,
        denominator: study.denominator(site),
        lattice: noise.lattice,
        padded_people: padded_people(study, site),
    };
    let mut rng = secret_rng(**sampling_seed);
    let values = local::round(&study.architecture(), model, examples, &noise.steps, &mut rng, &params);
    let header = UpdateHeader {
        schema: "update/1".into(),
        study: round.study,
        round: round.round,
        model: round.model,
        site: round.site.clone(),
        parameters: values.len(),
    };
    blob::encode(&header, &values)
}

/// From public figures alone, what a step always computes: six standard deviations above the
/// expected batch. A batch passes it about once in 10^9 steps when the public figures are right.
#[must_use]
pub fn padded_people(study: &Study, site: &RosterSite) -> usize {
    ample(study.denominator(site))
}

/// As [`padded_people`], what an evaluation always scores: people × (1 − training share), with the
/// same margin.
#[must_use]
pub fn padded_evaluation(study: &Study, site: &RosterSite) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "at most 10^9")]
    let people = site.people_public as f64;
    ample((people - study.training_people(site)).max(0.0))
}

/// Six standard deviations above an expected number of people.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number of people, far below 2^53"
)]
fn ample(expected: f64) -> usize {
    (expected + 6.0 * expected.sqrt()).ceil() as usize + 1
}

/// The noise of one histogram, drawn before data are read.
pub struct HistogramNoise {
    cells: Zeroizing<Vec<i64>>,
    sigma_units: u64,
}

/// σ of a histogram's cells, lattice units, for σ per person.
///
/// # Errors
/// Outside what the sampler takes.
pub fn histogram_sigma(noise_multiplier: f64) -> Result<u64, InvalidNoise> {
    let person = u64::try_from(PERSON_UNITS).expect("2^16");
    sigma_units(person, noise_multiplier).map_err(|e| InvalidNoise(e.to_string()))
}

/// Draws the noise of a grouping's histogram, for each cell.
///
/// # Privacy
/// Unit: one person, who moves the cells by at most [`PERSON_UNITS`] in L2 norm.
///
/// # Errors
/// A σ outside what the sampler takes.
pub fn draw_histogram(
    study: &Study,
    grouping: &Grouping,
    sigma_units: u64,
    seed: &Seed,
) -> Result<HistogramNoise, InvalidNoise> {
    let gaussian = DiscreteGaussian::new(sigma_units).map_err(|e| InvalidNoise(e.to_string()))?;
    let cells = grouping.cells(study.evaluation.bin_edges.len() + 1);
    let cells = gaussian.vector(&mut secret_rng(**seed), cells);
    #[cfg(feature = "mutants")]
    let cells = Zeroizing::new(consilium_common::mutant::histogram_noise(&cells));
    Ok(HistogramNoise { cells, sigma_units })
}

/// A grouping's histogram of a model's scores, as the exact bytes that leave.
///
/// # Privacy
/// A score depends on the model, which is released, and on the person's own record.
///
/// # Panics
/// Noise for another grouping: a bug of the caller.
#[must_use]
pub fn histogram(
    study: &Study,
    site: &SiteName,
    grouping: &Grouping,
    model: Digest,
    probabilities: &[f64],
    examples: &Examples,
    noise: &HistogramNoise,
) -> Vec<u8> {
    let counts = histogram::count(grouping, &study.evaluation.bin_edges, probabilities, examples);
    assert_eq!(counts.len(), noise.cells.len(), "noise was drawn for this grouping");
    let histogram = Histogram {
        schema: "histogram/1".into(),
        study: study.digest,
        model,
        site: site.clone(),
        grouping: grouping.name.clone(),
        sigma_units: noise.sigma_units,
        cells: counts.iter().zip(noise.cells.iter()).map(|(count, noise)| count + noise).collect(),
    };
    serde_json::to_vec(&histogram).expect("a histogram is plain data")
}

/// Each example's probability under a model: scored once for all groupings.
///
/// # Privacy
/// The number of rows computed depends on public figures unless the examples pass
/// [`padded_evaluation`].
#[must_use]
pub fn probabilities(study: &Study, site: &RosterSite, model: &[i32], examples: &Examples) -> Vec<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
    let parameters: Vec<f32> = model.iter().map(|&value| from_fixed(value) as f32).collect();
    let padded = padded_evaluation(study, site);
    let logits = train::logits_padded(&study.architecture(), &parameters, examples, padded);
    logits.into_iter().map(|logit| 1.0 / (1.0 + (-f64::from(logit)).exp())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{site, study};

    fn seed(byte: u8) -> Seed {
        Zeroizing::new([byte; 32])
    }

    /// Twenty people with one example each, in alternating groups.
    fn examples(study: &Study) -> Examples {
        let width = study.architecture().inputs;
        let mut examples = Examples::new(width);
        for person in 0..20_u16 {
            let label = f32::from(u8::from(person % 3 == 0));
            examples.push_person(
                &[(vec![0.1 * f32::from(person % 7); width], label)],
                vec![person % 2, person % 3, person % 4],
            );
        }
        examples
    }

    #[test]
    fn an_update_is_fixed_by_its_inputs_and_moved_by_its_noise() {
        let study = study(&[]);
        let listed = study.site(&site(0)).expect("listed");
        let model = study.initial_parameters();
        let about = Round { study: study.digest, round: 3, model: Digest::of(b"model"), site: site(0) };
        let make = |noise: u8, sampling: u8| {
            let noise = draw_round(&study, &seed(noise)).expect("drawable");
            update(&study, listed, &about, &model, &examples(&study), &noise, &seed(sampling))
        };
        let bytes = make(1, 2);
        assert_eq!(bytes, make(1, 2));
        assert_ne!(bytes, make(2, 2), "other noise");
        let (header, values) = blob::decode::<UpdateHeader>(&bytes).expect("an update");
        assert_eq!((header.round, header.site, header.study), (3, site(0), study.digest));
        assert_eq!(values.len(), study.architecture().parameters());
        assert!(values.iter().all(|&value| value != 0), "noise reaches every parameter");
    }

    #[test]
    fn noise_is_drawn_for_each_step_and_never_twice() {
        let study = study(&[]);
        let noise = draw_round(&study, &seed(1)).expect("drawable");
        assert_eq!(noise.steps.len(), study.privacy.training.local_steps as usize);
        assert!(noise.steps.iter().all(|step| step.len() == study.architecture().parameters()));
        assert_ne!(noise.steps[0], noise.steps[1]);
    }

    #[test]
    fn a_histogram_is_counts_plus_noise() {
        released(&study(&[]), &["overall", "sex", "sex*age_band"]);
        let counted =
            "[[attribute]]\nname = \"told\"\ncolumn = \"told\"\nuse = \"completeness-only\"\n[subgroups]";
        let edits = [("[subgroups]", counted), ("overall        = 1.0", "overall = 1.0\ntold = 0.1")];
        released(&study(&edits), &["overall", "sex", "sex*age_band", "told"]);
    }

    fn released(study: &Study, names: &[&str]) {
        let groupings = histogram::groupings(study);
        assert_eq!(groupings.iter().map(|grouping| grouping.name.as_str()).collect::<Vec<_>>(), names);
        let people = examples(study);
        let model = vec![0; study.architecture().parameters()];
        let listed = study.site(&site(0)).expect("listed");
        let scores = probabilities(study, listed, &model, &people);
        assert!(scores.iter().all(|&score| score == 0.5), "the zero model says one half");
        let sigma = histogram_sigma(2.0).expect("drawable");
        for grouping in groupings {
            let of = |people: &Examples, scores: &[f64]| -> Vec<i64> {
                let noise = draw_histogram(study, &grouping, sigma, &seed(7)).expect("drawable");
                let model = Digest::of(b"model");
                let bytes = histogram(study, &site(0), &grouping, model, scores, people, &noise);
                let parsed: Histogram = serde_json::from_slice(&bytes).expect("a histogram");
                assert_eq!((parsed.grouping, parsed.sigma_units), (grouping.name.clone(), sigma));
                parsed.cells
            };
            let nobody = of(&Examples::new(study.architecture().inputs), &[]);
            let everybody = of(&people, &scores);
            let counted: i64 = everybody.iter().zip(&nobody).map(|(with, without)| with - without).sum();
            assert_eq!(counted, 20 * PERSON_UNITS, "{}", grouping.name);
            assert!(nobody.iter().all(|&cell| cell != 0), "noise reaches empty cells too");
        }
    }

    #[test]
    fn the_padded_batch_is_public_and_ample() {
        let study = study(&[]);
        let listed = study.site(&site(0)).expect("listed");
        // 5,000 people, 70 % train, a tenth of them a step.
        assert_eq!(padded_people(&study, listed), 350 + 113 + 1);
        // The other 30 % are evaluated, all at once.
        assert_eq!(padded_evaluation(&study, listed), 1500 + 233 + 1);
        let mut few = listed.clone();
        few.people_public = 0;
        assert_eq!(padded_evaluation(&study, &few), 1);
    }
}
