//! What a site adds to a secure sum. A share of the noise is drawn on a begun use of a cosigned block, and
//! on nothing else, before the examples are touched; what has no share of it cannot be masked.

use super::{Seed, padded_people};
use crate::drive::Begun;
use consilium_common::evaluation::histogram::{self, Grouping};
use consilium_common::examples::Examples;
use consilium_common::privacy::clip::Lattice;
use consilium_common::privacy::noise::secret_rng;
use consilium_common::privacy::sampling::poisson_sample;
use consilium_common::secagg::{NoiseShare, NoisedInput, Terms};
use consilium_common::study::{RosterSite, Study};
use consilium_common::train::{self, Network};

/// Draws this site's share of the noise of one attempt.
///
/// # Privacy
/// See [`NoiseShare::draw`]. The seed is used for this attempt and nothing else.
#[must_use]
pub(crate) fn draw_share(_: &Begun, terms: &Terms, seed: &Seed) -> NoiseShare {
    NoiseShare::draw(terms.parameters(), terms.dimension(), &mut secret_rng(**seed))
}

/// The clipped sum over a secret sample of the training people, with this site's share of the noise.
///
/// # Privacy
/// Unit: one person, all their examples; neighbours: add or remove one. One Poisson-subsampled step
/// of L2 sensitivity s ([`train::clipped_sum`]); `sampling_seed` decides in secret who joins it, and is
/// used for nothing else. The share of the noise alone is less than the event: the result leaves behind
/// masks only. The number of rows computed depends on public figures unless a batch passes
/// [`padded_people`].
///
/// # Panics
/// Noise of another length than the model, a model of another shape than the study's: bugs of the
/// caller. A machine on which the bits rule does not hold.
#[must_use]
pub(crate) fn noised_step(
    study: &Study,
    site: &RosterSite,
    model: &[i32],
    examples: &Examples,
    noise: NoiseShare,
    sampling_seed: &Seed,
) -> NoisedInput {
    let (training, architecture) = (&study.privacy.training, study.architecture());
    let parameters = train::parameters(model);
    Network::new(&architecture, &parameters).assert_bits_rule();
    let sample = poisson_sample(&mut secret_rng(**sampling_seed), examples.people(), training.sampling_rate);
    let lattice = Lattice::for_dimension(model.len());
    let padded = padded_people(study, site);
    noise.add_to(train::clipped_sum(
        &architecture,
        &parameters,
        examples,
        &sample,
        training.clip_norm,
        &lattice,
        padded,
    ))
}

/// A grouping's counts of a model's scores, with this site's share of the noise.
///
/// # Privacy
/// Unit: one person, who moves the cells by at most 2^16 in L2 norm ([`histogram::count`]); the share
/// of the noise alone is less than the event, as in [`noised_step`].
///
/// # Panics
/// Noise for another grouping: a bug of the caller.
#[must_use]
pub(crate) fn noised_counts(
    study: &Study,
    grouping: &Grouping,
    probabilities: &[f64],
    examples: &Examples,
    noise: NoiseShare,
) -> NoisedInput {
    noise.add_to(histogram::count(grouping, &study.evaluation.bin_edges, probabilities, examples))
}
