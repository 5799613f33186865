//! The trainers against the engine and against what is said of their noise.

use super::*;
use consilium_common::model::from_fixed;
use consilium_common::privacy::noise::secret_rng;

const SIGMA: u64 = 3 << 18;

/// Invented people: the outcome follows the first input, mostly.
pub(in super::super) fn people(seed: u8, people: usize, width: usize) -> Examples {
    let mut rng = secret_rng([seed; 32]);
    let gaussian = DiscreteGaussian::new(1 << 16).expect("within range");
    let mut examples = Examples::new(width);
    for _ in 0..people {
        let draws = gaussian.vector(&mut rng, width + 1);
        let inputs: Vec<f32> = draws[..width].iter().map(|&draw| draw as f32 / 65_536.0).collect();
        let outcome = f32::from(u8::from(draws[0] + draws[width] / 2 > 0));
        examples.push_person(&[(inputs, outcome)], vec![]);
    }
    examples
}

fn plan(rounds: u32) -> Plan {
    Plan {
        sampling_rate: 0.5,
        rounds,
        local_steps: 1,
        spare_rounds: 1,
        clip_norm: 1.0,
        learning_rate: 2.0,
        proximal: 0.0,
        server: Server { momentum: 0.0, average_last: 1 },
    }
}

/// `sites` with 40 people each, handed to `with`.
fn with_hospitals<T>(sites: usize, width: usize, with: impl FnOnce(&Hospitals<'_>) -> T) -> T {
    with_people(40, sites, width, with)
}

fn with_people<T>(each: usize, sites: usize, width: usize, with: impl FnOnce(&Hospitals<'_>) -> T) -> T {
    let architecture = Architecture { inputs: width, hidden: vec![], outputs: 1 };
    let own: Vec<Examples> = (0..sites).map(|site| people(site as u8, each, width)).collect();
    let mut pooled = Examples::new(width);
    own.iter().for_each(|own| pooled.append(own));
    let start = vec![1 << 20; architecture.parameters()];
    let hospital = |examples| Hospital { examples, people_public: 80, weight: 1 << 16 };
    with(&Hospitals {
        architecture: &architecture,
        start: &start,
        training_share: 0.5,
        sites: own.iter().map(hospital).collect(),
        threshold: None,
        pooled: &pooled,
    })
}

/// One site, one step: the curator's step, the share of a secure sum of one, and the engine's own round
/// from the same people and the same noise are one step.
#[test]
fn one_site_is_the_engine() {
    with_hospitals(1, 5, |hospitals| {
        let chance = Chance::new(&["test"], 1);
        let central = hospitals.central(&plan(1), Some(SIGMA), &chance);
        assert_eq!(central, hospitals.distributed(&plan(1), SIGMA, &chance));
        let local = hospitals.local(&plan(1), SIGMA, &chance);
        for (central, local) in central.iter().zip(&local) {
            // The engine rounds the update, the server's step the step: a unit apart at most.
            assert!(central.abs_diff(*local) <= 1, "{central} {local}");
        }
        assert_ne!(central, hospitals.start, "it moved");
        // Over more steps too, but that each starts from what the one before rounded.
        let central = hospitals.central(&plan(6), Some(SIGMA), &chance);
        let local = hospitals.local(&plan(6), SIGMA, &chance);
        let apart = central.iter().zip(&local).map(|(a, b)| a.abs_diff(*b)).max().expect("parameters");
        assert!(apart <= 64, "{apart} units of 2^-24");
    });
}

/// Without noise and with everybody in it, the sites' sum is the curator's.
#[test]
fn sums_over_sites_are_the_pooled_sum() {
    with_hospitals(4, 5, |hospitals| {
        let plan = Plan { sampling_rate: 1.0, ..plan(5) };
        let chance = Chance::new(&["test"], 1);
        let parts: Vec<&Examples> = hospitals.sites.iter().map(|site| site.examples).collect();
        let summed = hospitals.by_sums(&parts, &plan, None, &chance);
        for (summed, central) in summed.iter().zip(hospitals.central(&plan, None, &chance)) {
            // Each site truncates by itself: a few lattice units.
            assert!((from_fixed(*summed) - from_fixed(central)).abs() < 1e-4, "{summed} {central}");
        }
    });
}

/// A deviate of the variance that `steps` of `sites` shares of `share_units` put on a model that nobody
/// moves, against the variance that is claimed, n/(t − n_C) times σ².
fn noise_deviate(sites: usize, share_units: u64, claimed: f64) -> f64 {
    let (steps, width) = (3, 4000);
    let mut squares = 0.0;
    for step in 0..steps {
        let mut total = vec![0; width];
        for site in 0..sites {
            add_noise(&mut total, share_units, &mut Chance::new(&["noise"], 1).noise(step, site));
        }
        squares += total.iter().map(|&noise| (noise as f64 / SIGMA as f64).powi(2)).sum::<f64>();
    }
    let draws = f64::from(steps) * width as f64;
    // Of a Gaussian's mean square over its variance, the variance is 2/draws.
    (squares / draws / claimed - 1.0) / (2.0 / draws).sqrt()
}

#[test]
fn noise_is_as_stated() {
    fn check(sites: usize, honest: f64) {
        let claimed = sites as f64 / honest;
        with_hospitals(sites, 3, |hospitals| {
            let secure = hospitals.secure(&plan(1), SIGMA).expect("allowed");
            let deviate = noise_deviate(sites, secure.sigma_share_units(), claimed);
            assert!(deviate.abs() < 4.0, "{sites} sites: {deviate}");
            // What a share of σ/√n would leave: seen, and by far.
            let mutant = (SIGMA as f64 / (sites as f64).sqrt()).ceil() as u64;
            let deviate = noise_deviate(sites, mutant, claimed);
            assert!(deviate < -6.0, "{sites} sites: {deviate}");
        });
    }
    check(3, 2.0);
    check(4, 3.0);
    check(5, 3.0);
    check(10, 8.0);
}

/// The same in the models: there is nobody, so that a model after one step is its start and noise.
#[test]
fn noise_of_models_is_as_stated() {
    // Standard deviation of the model's move over the curator's for the very same plan.
    fn check(sites: usize, expected: f64) {
        with_people(0, sites, 6000, |hospitals| {
            let spread = |trainer| {
                let chance = Chance::new(&["test"], 3);
                let model = hospitals.train(trainer, &plan(1), SIGMA, &chance).expect("allowed");
                let moves =
                    model.iter().zip(hospitals.start).map(|(after, before)| f64::from(after - before));
                moves.map(|moved| moved * moved).sum::<f64>().sqrt()
            };
            let ratio = spread(Trainer::Distributed) / spread(Trainer::Central);
            // Each root of a sum of 6001 squares is within 0.9 % of its own one time in three.
            assert!((ratio / expected - 1.0).abs() < 0.05, "{sites} sites: {ratio}, expected {expected}");
            // Each local site has all of σ, and the average of n has it n-fold over n · people: √n.
            let ratio = spread(Trainer::Local) / spread(Trainer::Central);
            let expected = (sites as f64).sqrt();
            assert!((ratio / expected - 1.0).abs() < 0.05, "{sites} sites: {ratio}, expected {expected}");
        });
    }
    check(3, 1.5_f64.sqrt());
    check(5, (5.0_f64 / 3.0).sqrt());
}

#[test]
fn a_seed_is_a_run() {
    with_hospitals(4, 3, |hospitals| {
        for trainer in [Trainer::WithoutNoise, Trainer::Central, Trainer::Distributed, Trainer::Local] {
            let run = |seed| {
                let chance = Chance::new(&["test"], seed);
                hospitals.train(trainer, &plan(3), SIGMA, &chance).expect("allowed")
            };
            assert_eq!(run(1), run(1), "{trainer:?}");
            assert_ne!(run(1), run(2), "{trainer:?}");
        }
    });
}

#[test]
fn two_sites_have_no_secure_sum() {
    with_hospitals(2, 3, |hospitals| {
        let chance = Chance::new(&["test"], 1);
        let refusal = hospitals.train(Trainer::Distributed, &plan(1), SIGMA, &chance).expect_err("refused");
        assert_eq!(refusal.rule(), "secagg.sites");
    });
}
