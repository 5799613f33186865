//! The sum is the sum, whoever drops out wherever.

use super::*;
use crate::secagg::recommended_threshold;
use proptest::prelude::*;

#[test]
fn everybody_answers() {
    for (n, t, colluding) in [(3, 3, 1), (4, 4, 1), (5, 4, 1), (10, 7, 3), (20, 18, 1)] {
        let mut world = World::new(n, t, colluding, 9);
        for step in 0..3 {
            let outcome = world.run(Slot { step, attempt: 0 }, &nobody()).expect("a sum");
            assert_eq!(outcome.sum.sum, outcome.expected(), "n = {n}");
            assert_eq!(outcome.plain.len(), usize::from(n));
            assert_eq!(outcome.sum.sum.len(), 9);
        }
    }
}

/// All survivors and the coordinator have one transcript, and it tells attempts apart.
#[test]
fn transcripts_agree() {
    let mut world = World::new(5, 4, 1, 3);
    let mut lost = nobody();
    lost[1] = sites([2]);
    let first = world.run(FIRST, &lost).expect("a sum");
    assert_eq!(first.transcripts.len(), 4);
    for transcript in &first.transcripts {
        assert_eq!(*transcript, first.sum.transcript);
        assert_eq!(transcript.digest(), first.sum.transcript.digest());
        assert_eq!(transcript.survivors.keys().copied().collect::<Sites>(), sites([1, 3, 4, 5]));
        assert_eq!(transcript.sum, coordinator::sum_digest(&first.sum.sum));
    }
    let second = world.run(Slot { step: 1, attempt: 0 }, &lost).expect("a sum");
    assert_ne!(first.sum.transcript.digest(), second.sum.transcript.digest());
}

/// Two attempts may be under way: step 1 is shared out while step 0 is being unmasked.
#[test]
fn steps_overlap() {
    let mut world = World::new(4, 4, 1, 5);
    let all = world.all();
    let (ready, shared) = world.share(FIRST, &all).expect("shares");
    let (masked, inputs, plain) = world.mask(ready, shared, &Sites::new()).expect("masks");
    let (next_ready, next_shared) = world.share(Slot { step: 1, attempt: 0 }, &all).expect("shares");
    let (signed, surviving) = world.sign(masked, inputs, &Sites::new()).expect("signs");
    let (_, unmasking) = world.unmask(signed, surviving, &Sites::new()).expect("reveals");
    assert_eq!(unmasking.close().expect("a sum").0.sum, add(plain.values()));
    let (masked, inputs, plain) = world.mask(next_ready, next_shared, &Sites::new()).expect("masks");
    let (signed, surviving) = world.sign(masked, inputs, &Sites::new()).expect("signs");
    let (_, unmasking) = world.unmask(signed, surviving, &Sites::new()).expect("reveals");
    assert_eq!(unmasking.close().expect("a sum").0.sum, add(plain.values()));
}

/// Messages that are sent again change nothing: re-sending identical bytes is free.
#[test]
fn repeats_are_harmless() {
    use coordinator::Accepted::{Again, New};
    let mut world = World::new(3, 3, 1, 5);
    let all = world.all();
    let mut gathering = world.coordinator.begin(FIRST).expect("begins");
    let mut sharing = BTreeMap::new();
    for &i in &all {
        let session = world.sites.get_mut(&i).expect("a site");
        let (state, shares) = session.share(&world.identities[&i], FIRST, &mut world.rng).expect("shares");
        assert_eq!(gathering.accept(shares.clone()), Ok(New));
        assert_eq!(gathering.accept(shares), Ok(Again));
        sharing.insert(i, state);
    }
    let (shared, deliveries) = gathering.close().expect("enough");
    let (mut inputs, request) = shared.request(model());
    let mut masked = BTreeMap::new();
    let mut plain = Vec::new();
    for (i, state) in sharing {
        let state = state.receive(&world.sites[&i], &deliveries[&i]).expect("opens");
        let (input, reserve) = (world.input(i), world.reserve(FIRST, model()));
        plain.push(input.values().to_vec());
        let session = world.sites.get_mut(&i).expect("a site");
        let (state, message) =
            state.mask(session, &world.identities[&i], &request, &reserve, &input).expect("masks");
        assert_eq!(inputs.accept(&message), Ok(New));
        assert_eq!(inputs.accept(&message), Ok(Again));
        masked.insert(i, state);
    }
    let (mut surviving, survivors) = inputs.close().expect("enough");
    let mut signed = BTreeMap::new();
    for (i, state) in masked {
        let (state, message) =
            state.sign(&world.sites[&i], &world.identities[&i], &survivors).expect("signs");
        assert_eq!(surviving.accept(&message), Ok(New));
        assert_eq!(surviving.accept(&message), Ok(Again));
        signed.insert(i, state);
    }
    let (mut unmasking, certificate) = surviving.close().expect("enough");
    for (i, state) in signed {
        let (_, message) = state.unmask(&world.sites[&i], &certificate).expect("reveals");
        assert_eq!(unmasking.accept(message.clone()), Ok(New));
        assert_eq!(unmasking.accept(message), Ok(Again));
    }
    assert_eq!(unmasking.close().expect("a sum").0.sum, add(plain.iter()));
}

/// Attack 12: every site at ±s·B, on both widths. n = 4 people caps of 4096 need 32 bits, of 2^40 64.
#[test]
fn the_largest_sums_do_not_wrap() {
    fn check(batch_cap: u64, bits: u32) {
        let agreement = agreement_with(4, 4, 1, 2, batch_cap);
        assert_eq!(agreement.terms().parameters().lane().bits(), bits);
        let mut world = World::open(agreement, [1; 32]);
        let all = world.all();
        let (ready, shared) = world.share(FIRST, &all).expect("shares");
        let (mut inputs, request) = shared.request(model());
        let share = world.agreement.terms().parameters().sigma_share_units();
        // The whole of the cap over four sites, and ten standard deviations of everybody's noise.
        let extreme = ((batch_cap << 18) + 20 * share) as i64 / 4;
        let mut masked = BTreeMap::new();
        for (i, state) in ready {
            let input = NoisedInput::exactly(vec![extreme, -extreme], share);
            let reserve = world.reserve(FIRST, model());
            let session = world.sites.get_mut(&i).expect("a site");
            let (state, message) =
                state.mask(session, &world.identities[&i], &request, &reserve, &input).expect("masks");
            inputs.accept(&message).expect("taken");
            masked.insert(i, state);
        }
        let (signed, surviving) = world.sign(masked, inputs, &Sites::new()).expect("signs");
        let (_, unmasking) = world.unmask(signed, surviving, &Sites::new()).expect("reveals");
        assert_eq!(unmasking.close().expect("a sum").0.sum, [4 * extreme, -4 * extreme]);
    }
    check(4096, 32);
    check(1 << 40, 64);
}

/// Below the threshold, in whichever phase, there is no sum and no way to one; at it there is.
#[test]
fn the_threshold_holds_in_every_phase() {
    fn check(lost: [Sites; 4], phase: Option<&'static str>) {
        let mut world = World::new(10, 8, 2, 3);
        match (world.run(FIRST, &lost), phase) {
            (Ok(outcome), None) => assert_eq!(outcome.sum.sum, outcome.expected()),
            (Err(Refusal::TooFew { phase, found, threshold: 8 }), Some(expected)) => {
                assert_eq!((phase, found), (expected, 7));
            }
            (other, _) => panic!("{:?} for {lost:?}", other.err()),
        }
    }
    let at = |phase: usize, who: &[u8]| {
        let mut lost = nobody();
        lost[phase] = sites(who.iter().copied());
        lost
    };
    check(at(0, &[1, 10]), None);
    check(at(1, &[4, 5]), None);
    check(at(2, &[4, 5]), None);
    check(at(3, &[4, 5]), None);
    check(at(0, &[1, 2, 3]), Some("sharing"));
    check(at(1, &[1, 2, 3]), Some("masked input"));
    check(at(2, &[8, 9, 10]), Some("survivors' signatures"));
    check(at(3, &[1, 5, 10]), Some("unmask"));
}

/// What states print says which and when, nothing that is in them.
#[test]
fn nothing_secret_is_printed() {
    let mut world = World::new(3, 3, 1, 2);
    let all = world.all();
    let (ready, shared) = world.share(FIRST, &all).expect("shares");
    let one = index(1);
    assert_eq!(format!("{:?}", ready[&one]), "Ready(step 0, attempt 0, 3 sites)");
    let input = world.input(one);
    assert_eq!(format!("{input:?}"), "NoisedInput(2 lanes)");
    let (masked, inputs, _) = world.mask(ready, shared, &Sites::new()).expect("masks");
    assert_eq!(format!("{:?}", masked[&one]), "Masked(step 0, attempt 0)");
    let held = format!("{:?}", *masked[&one].held[&index(2)]);
    let (signed, surviving) = world.sign(masked, inputs, &Sites::new()).expect("signs");
    assert_eq!(format!("{:?}", signed[&one]), "Signed(step 0, attempt 0, 3 survivors)");
    let (_, unmasking) = world.unmask(signed, surviving, &Sites::new()).expect("reveals");
    // The coordinator's state holds shares; no eight bytes of one are in what it prints.
    let printed = format!("{unmasking:?}");
    let run: String = held.trim_matches(['[', ']']).split(", ").take(8).collect::<Vec<_>>().join(", ");
    assert!(printed.contains("Revealed(OwnMask)") && !printed.contains(&run));
    let debug = format!("{:?}", world.sites[&one]);
    assert!(debug.starts_with("Session(3 of ") && debug.ends_with(", site 1)"), "{debug}");
}

#[derive(Debug, Clone)]
struct Scene {
    n: u8,
    seed: [u8; 32],
    dimension: usize,
    /// For each site, the phase in which it drops out, if any.
    fates: Vec<usize>,
}

fn scene() -> impl Strategy<Value = Scene> {
    (3_u8..=40).prop_flat_map(|n| {
        // Most stay, so that both sides of the threshold are met.
        let fate = prop_oneof![24 => Just(4_usize), 1 => 0_usize..4];
        (any::<[u8; 32]>(), 1_usize..40, proptest::collection::vec(fate, usize::from(n)))
            .prop_map(move |(seed, dimension, fates)| Scene { n, seed, dimension, fates })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Attack 16 and attack 15: a site that stops at any state is one that dropped out; the sum over
    /// the survivors is exact, or there is none because they are too few.
    #[test]
    fn the_sum_is_the_plain_sum(scene in scene()) {
        let (t, colluding) = recommended_threshold(scene.n.into()).expect("enough sites");
        let mut world =
            World::open(agreement_with(scene.n, t, colluding, scene.dimension, 64), scene.seed);
        let mut lost = nobody();
        for (site, fate) in (1..).zip(&scene.fates) {
            // Who is gone stays gone.
            (*fate..4).for_each(|phase| { lost[phase].insert(index(site)); });
        }
        let left = |phase: usize| usize::from(scene.n) - lost[phase].len();
        match world.run(FIRST, &lost) {
            Ok(outcome) => {
                prop_assert!(left(3) >= usize::from(t));
                prop_assert_eq!(&outcome.sum.sum, &outcome.expected());
                let survivors: Sites = outcome.sum.transcript.survivors.keys().copied().collect();
                prop_assert_eq!(survivors, &world.all() - &lost[1]);
            }
            Err(Refusal::TooFew { found, .. }) => {
                prop_assert!(left(3) < usize::from(t));
                prop_assert!(found < usize::from(t));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

/// A large roster, with dropouts in every phase.
#[test]
fn a_hundred_sites() {
    let mut world = World::new(100, 90, 5, 4);
    let mut lost = nobody();
    lost[0] = sites([1, 50]);
    lost[1] = sites([1, 50, 2, 99]);
    lost[2] = sites([1, 50, 2, 99, 7]);
    lost[3] = sites([1, 50, 2, 99, 7, 8, 100]);
    let outcome = world.run(FIRST, &lost).expect("a sum");
    assert_eq!(outcome.sum.sum, outcome.expected());
    assert_eq!(outcome.transcripts.len(), 96);
}
