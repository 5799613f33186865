//! What distributed mode asks of the sites, and what its noise comes to.

use crate::evaluation::histogram::PERSON_UNITS;
use crate::study::secure::{self, Summed};
use crate::study::{Mode, RosterSite, Study};

/// What distributed mode asks of the sites, and what it costs over one trusted place with all records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecurePrediction {
    /// n: sites on the roster.
    pub sites: u8,
    /// t: sites that must answer to the end of a step.
    pub threshold: u8,
    /// n_C: sites that may side with the coordinator.
    pub colluding: u8,
    /// n/(t − n_C): the noise's variance when all sites answer, over that of one trusted place.
    pub variance_ratio: f64,
}

/// Noise of a secure sum over all sites ÷ clip norm, per person expected in it: a·√n·√d / (s·L).
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn step_noise(study: &Study) -> f64 {
    let everybody: Vec<&RosterSite> = study.sites.iter().collect();
    let terms = secure::terms(study, &everybody, Summed::Training).expect("parse refuses other terms");
    let parameters = terms.parameters();
    let share = parameters.sigma_share_units() as f64 / parameters.lattice_units() as f64;
    let lanes = (terms.dimension() as f64).sqrt();
    share * f64::from(parameters.sites()).sqrt() * lanes / secure::denominator(study, &everybody)
}

pub(super) fn prediction(study: &Study) -> Option<SecurePrediction> {
    let Mode::Distributed { .. } = study.privacy.mode else { return None };
    let everybody: Vec<&RosterSite> = study.sites.iter().collect();
    let terms = secure::terms(study, &everybody, Summed::Training).expect("parse refuses other terms");
    let parameters = terms.parameters();
    let (sites, threshold, colluding) = (parameters.sites(), parameters.threshold(), parameters.colluding());
    let variance_ratio = f64::from(sites) / f64::from(threshold - colluding);
    Some(SecurePrediction { sites, threshold, colluding, variance_ratio })
}

/// Variance of a cell of the sum over all sites, people².
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn cell_variance(study: &Study, earmark: u32, noise_multiplier: f64) -> f64 {
    let everybody: Vec<&RosterSite> = study.sites.iter().collect();
    let sites = everybody.len() as f64;
    match study.privacy.mode {
        Mode::Local => noise_multiplier.powi(2) * sites,
        Mode::Distributed { .. } => {
            let terms = secure::terms(study, &everybody, Summed::Grouping(earmark));
            let parameters = *terms.expect("parse refuses other terms").parameters();
            (parameters.sigma_share_units() as f64 / PERSON_UNITS as f64).powi(2) * sites
        }
    }
}

#[cfg(test)]
pub(in crate::study) mod tests {
    use super::*;
    use crate::privacy::accountant;
    use crate::privacy::mechanism::Event;
    use crate::study::check::predict;
    use crate::study::earmarks::earmarks;
    use crate::study::parse::tests::{EXAMPLE, parsed};
    use std::sync::LazyLock;

    /// The example in distributed mode: three sites, all of which must answer, one of which may collude.
    pub(in crate::study) static DISTRIBUTED: LazyLock<String> = LazyLock::new(|| {
        [
            ("mode              = \"local\"", "colluding = 1\nmode = \"distributed\""),
            ("local_steps      = 2", "local_steps      = 1"),
            ("quorum           = 2", "quorum           = 3"),
            ("weight = 1.5", "weight = 1.0"),
            ("weight = 0.8", "weight = 1.0"),
        ]
        .iter()
        .fold(EXAMPLE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
    });

    /// Sums instead of averages: less noise, by n/(t − n_C) of one trusted place's; and a person who is
    /// known to several hospitals is in one sum several times.
    #[test]
    fn distributed_mode_is_priced_by_its_sums() {
        let (study, local) = (parsed(&DISTRIBUTED), parsed(EXAMPLE));
        let prediction = predict(&study, 0.1);
        let secure = prediction.secure.expect("distributed");
        assert_eq!((secure.sites, secure.threshold, secure.colluding), (3, 3, 1));
        assert!((secure.variance_ratio - 1.5).abs() < 1e-12);
        assert!(prediction.sites.iter().all(|site| site.step_noise.is_none()));
        // One trusted place: σ·√d / L, over everybody. The share is rounded up to a lattice unit.
        let people: f64 = prediction.sites.iter().map(|site| site.step_people).sum();
        let training = &study.privacy.training;
        let central = training.noise_multiplier * (prediction.parameters as f64).sqrt() / people;
        let ratio = (prediction.step_noise / central).powi(2);
        assert!((ratio - 1.5).abs() < 1e-4, "{ratio}");
        // Sites of the same people would pay n for the noise of each of them alone.
        assert!(prediction.step_noise < predict(&local, 0.1).step_noise);
        // Of each grouping too: 1.5 σ² for 3 σ².
        let Event::Gaussian { noise_multiplier: sigma, .. } = earmarks(&study)[1].event else {
            panic!("counts")
        };
        let [sum, sites] = [&study, &local].map(|study| cell_variance(study, 1, sigma) / sigma.powi(2));
        assert!((sites - 3.0).abs() < 1e-12 && (sum - 1.5).abs() < 1e-3, "{sum} {sites}");
        // Known to two: the mixture of two shifts under one noise, or counts with a sensitivity of two.
        let list = earmarks(&study);
        let (rate, noise) = (training.sampling_rate, training.noise_multiplier);
        let twice = Event::MixtureGaussian {
            sites: 2,
            sampling_rate: rate,
            noise_multiplier: noise,
            count: training.steps_charged(),
        };
        let halved = |event: &Event| match *event {
            Event::Gaussian { noise_multiplier, count } => {
                Event::Gaussian { noise_multiplier: noise_multiplier / 2.0, count }
            }
            _ => panic!("counts"),
        };
        let counts: Vec<Event> = list[1..].iter().map(|earmark| halved(&earmark.event)).collect();
        let once = list.iter().map(|earmark| earmark.event).collect::<Vec<_>>();
        let price = |events: &[Event]| accountant::epsilon(events, prediction.delta).expect("valid");
        let worst = [price(&[twice]), price(&counts), price(&once)].into_iter().fold(0.0, f64::max);
        assert!((prediction.epsilon_two_hospitals / worst - 1.0).abs() < 1e-9);
        assert!(prediction.epsilon_two_hospitals > price(&[list[0].event, list[0].event]));
        assert!(prediction.epsilon_three_hospitals > prediction.epsilon_two_hospitals);
        let text = prediction.to_string();
        assert!(text.contains("3 of 3 sites must answer to the end of a step, 1 may side"), "{text}");
        assert!(text.contains("1.50 times the variance") && !text.contains("noise alone"), "{text}");
    }
}
