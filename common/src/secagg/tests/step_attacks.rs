//! A hostile coordinator from the request to the set of survivors.

use super::*;
use crate::secagg::message::{MaskedInput, StepRequest, Survivors};

/// Sites 1 to 4 (t = 3) with their shares in place, and the request.
fn ready() -> (World, PerSite<Ready>, Inputs, StepRequest) {
    let mut world = World::new(4, 3, 1, 4);
    let all = world.all();
    let (ready, shared) = world.share(FIRST, &all).expect("shares");
    let (inputs, request) = shared.request(model());
    (world, ready, inputs, request)
}

/// Site 1's answer to a request, with a reserve and an input that tests may change.
fn answer(
    change: impl FnOnce(&mut World, &mut StepRequest, &mut Reserve, &mut NoisedInput),
) -> Result<MaskedInput, Refusal> {
    let (mut world, mut ready, _, mut request) = ready();
    let (mut input, mut reserve) = (world.input(index(1)), world.reserve(FIRST, model()));
    change(&mut world, &mut request, &mut reserve, &mut input);
    let state = ready.remove(&index(1)).expect("site 1");
    let session = world.sites.get_mut(&index(1)).expect("site 1");
    state.mask(session, &identity(1), &request, &reserve, &input).map(|(_, message)| message)
}

/// Attack 7: t, n_C, σ, its share, C, m, q, the dimension: whatever the request changes is refused by name,
/// also when all other numbers fit it.
#[test]
fn requests_cannot_change_the_terms() {
    for number in 0..crate::secagg::TERMS {
        for change in [-1_i64, 1] {
            let refused = answer(|_, request, _, _| {
                request.terms.0[number] = request.terms.0[number].wrapping_add_signed(change);
            });
            assert_eq!(refused.expect_err("refused").rule(), "secagg.terms", "number {number}");
        }
    }
    let lower = agreement_with(4, 4, 1, 4, 64).terms().request();
    let refused = answer(|_, request, _, _| request.terms = lower);
    assert!(matches!(refused, Err(Refusal::Terms { term: "threshold", .. })), "{refused:?}");
    assert!(answer(|_, _, _, _| ()).is_ok());
}

/// Attacks 5 and 8: a request of another step, session or study, or of a model that this site did not
/// fetch and reserve for.
#[test]
fn requests_are_bound() {
    fn check(expected: Refusal, change: impl FnOnce(&mut StepRequest, &mut Reserve)) {
        let refused = answer(|_, request, reserve, _| change(request, reserve));
        assert_eq!(refused.err(), Some(expected));
    }
    let other = Digest::of(b"another");
    let binding = |field| Refusal::Binding { field };
    check(binding("study"), |request, _| request.binding.share.study = other);
    check(binding("session"), |request, _| request.binding.share.session = other);
    check(binding("step"), |request, _| request.binding.share.slot.step = 1);
    check(binding("attempt"), |request, _| request.binding.share.slot.attempt = 1);
    check(binding("roster"), |request, _| request.binding.roster = other);
    check(Refusal::Reserve { field: "model" }, |request, _| request.binding.model = other);
    check(Refusal::Reserve { field: "model" }, |_, reserve| reserve.model = other);
    check(Refusal::Reserve { field: "study" }, |_, reserve| reserve.study = other);
    check(Refusal::Reserve { field: "step or attempt" }, |_, reserve| reserve.slot.step = 1);
    check(Refusal::Reserve { field: "step or attempt" }, |_, reserve| reserve.slot.attempt = 1);
}

/// Attack 18, and the wrong vectors of our own agent: only what carries this study's share of noise, and
/// has the model's length, is masked. There is no other way to a message.
#[test]
fn inputs_must_carry_the_noise_share() {
    let share = agreement_with(4, 3, 1, 4, 64).terms().parameters().sigma_share_units();
    let refused = answer(|_, _, _, input| *input = NoisedInput::exactly(vec![0; 4], share - 1));
    assert_eq!(
        refused.err(),
        Some(Refusal::Input { what: "noise share", expected: share, found: share - 1 })
    );
    let refused = answer(|_, _, _, input| *input = NoisedInput::exactly(vec![0; 3], share));
    assert_eq!(refused.err(), Some(Refusal::Input { what: "length", expected: 4, found: 3 }));
}

/// Attack 8: the victim gets another model than the others. Its masks do not cancel, its signature is
/// over something else, and the others' certificate is nothing to it.
#[test]
fn another_model_for_one_site_ends_in_nothing() {
    let (mut world, ready, mut inputs, request) = ready();
    let poisoned = Digest::of(b"poisoned");
    let mut masked = BTreeMap::new();
    for (i, state) in ready {
        let victim = i == index(1);
        let own_model = if victim { poisoned } else { model() };
        let mut request = request.clone();
        request.binding.model = own_model;
        let (input, reserve) = (world.input(i), world.reserve(FIRST, own_model));
        let session = world.sites.get_mut(&i).expect("a site");
        let (state, message) =
            state.mask(session, &world.identities[&i], &request, &reserve, &input).expect("masks");
        let taken = inputs.accept(&message);
        assert_eq!(taken.err(), victim.then_some(Refusal::Binding { field: "model" }));
        masked.insert(i, (state, message));
    }
    // The coordinator lies: it lists the victim as a survivor to everybody.
    let survivors = |model| Survivors {
        binding: crate::secagg::StepBinding { model, ..request.binding },
        survivors: masked.iter().map(|(i, (_, message))| (*i, message.lanes.digest())).collect(),
    };
    let (told, truth) = (survivors(poisoned), survivors(model()));
    let (victim, _) = masked.remove(&index(1)).expect("site 1");
    let refused = victim.sign(&world.sites[&index(1)], &identity(1), &truth);
    assert_eq!(refused.err(), Some(Refusal::Binding { field: "model" }));
    let (other, _) = masked.remove(&index(2)).expect("site 2");
    let refused = other.sign(&world.sites[&index(2)], &identity(2), &told);
    assert_eq!(refused.err(), Some(Refusal::Binding { field: "model" }));
}

/// Attack 2: some sites are told that site 4 shares, others that it does not. They are in different steps.
#[test]
fn different_rosters_are_different_steps() {
    let mut world = World::new(4, 3, 1, 4);
    let mut gathering = world.coordinator.begin(FIRST).expect("begins");
    let mut states = BTreeMap::new();
    for i in world.all() {
        let session = world.sites.get_mut(&i).expect("a site");
        let (state, shares) = session.share(&world.identities[&i], FIRST, &mut world.rng).expect("shares");
        gathering.accept(shares).expect("good");
        states.insert(i, state);
    }
    let (shared, mut deliveries) = gathering.close().expect("enough");
    deliveries.get_mut(&index(1)).expect("site 1's").dealt.remove(&index(4));
    let mut receive = |i: u8| {
        let state = states.remove(&index(i)).expect("a site");
        state.receive(&world.sites[&index(i)], &deliveries[&index(i)]).expect("well-formed")
    };
    let (one, two) = (receive(1), receive(2));
    let (_, request) = shared.request(model());
    assert_eq!(one.check(&world.sites[&index(1)], &request), Err(Refusal::Binding { field: "roster" }));
    assert_eq!(two.check(&world.sites[&index(2)], &request), Ok(()));
}

/// The coordinator's checks of masked inputs.
#[test]
fn the_coordinator_checks_masked_inputs() {
    fn check(expected: Refusal, change: impl FnOnce(&mut MaskedInput)) {
        let (mut world, mut ready, mut inputs, request) = ready();
        let (input, reserve) = (world.input(index(2)), world.reserve(FIRST, model()));
        let session = world.sites.get_mut(&index(2)).expect("site 2");
        let state = ready.remove(&index(2)).expect("site 2");
        let (_, mut message) = state.mask(session, &identity(2), &request, &reserve, &input).expect("masks");
        change(&mut message);
        assert_eq!(inputs.accept(&message), Err(expected));
        assert_eq!(inputs.sites().count(), 0);
    }
    use crate::secagg::Lanes;
    let signature = |site| Refusal::Signature { site: index(site), what: "masked input" };
    check(Refusal::Binding { field: "step" }, |input| input.binding.share.slot.step = 9);
    check(Refusal::NotAMember { site: index(9), what: "step" }, |input| input.site = index(9));
    check(signature(3), |input| input.site = index(3));
    check(signature(2), |input| {
        let Lanes::Bits32(lanes) = &mut input.lanes else { panic!("32 bits") };
        lanes[3] ^= 1;
    });
    check(Refusal::Input { what: "length", expected: 4, found: 3 }, |input| {
        input.lanes = Lanes::Bits32(vec![0; 3]);
    });
    check(Refusal::Input { what: "lane bits", expected: 32, found: 64 }, |input| {
        input.lanes = Lanes::Bits64(vec![0; 4]);
    });
}

/// A site may not say two things.
#[test]
fn contradictions_are_named() {
    let (mut world, mut ready, mut inputs, request) = ready();
    let (input, reserve) = (world.input(index(2)), world.reserve(FIRST, model()));
    let session = world.sites.get_mut(&index(2)).expect("site 2");
    let state = ready.remove(&index(2)).expect("site 2");
    let (_, message) = state.mask(session, &identity(2), &request, &reserve, &input).expect("masks");
    inputs.accept(&message).expect("taken");
    let lanes = crate::secagg::Lanes::Bits32(vec![1, 2, 3, 4]);
    let signature =
        identity(2).sign(&MaskedInput::signing_input(&message.binding, index(2), &lanes.digest()));
    let second = MaskedInput { lanes, signature, ..message };
    let expected = Refusal::Contradiction { site: index(2), what: "masked input" };
    assert_eq!(inputs.accept(&second), Err(expected));
}

/// Attacks 2, 3 and 10 on the set of survivors, one site's view.
#[test]
fn survivors_are_checked() {
    fn check(expected: Refusal, change: impl FnOnce(&mut Survivors)) {
        let mut world = World::new(4, 3, 1, 4);
        let three = sites([1, 2, 3]);
        let (ready, shared) = world.share(FIRST, &three).expect("shares");
        let (mut masked, inputs, _) = world.mask(ready, shared, &Sites::new()).expect("masks");
        let (_, mut survivors) = inputs.close().expect("enough");
        change(&mut survivors);
        let state = masked.remove(&index(1)).expect("site 1");
        let refused = state.sign(&world.sites[&index(1)], &identity(1), &survivors);
        assert_eq!(refused.err(), Some(expected));
    }
    let lanes = Digest::of(b"another");
    check(Refusal::TooFew { phase: "masked input", found: 2, threshold: 3 }, |survivors| {
        survivors.survivors.remove(&index(3));
    });
    check(Refusal::NotAMember { site: index(4), what: "step" }, |survivors| {
        survivors.survivors.insert(index(4), lanes);
    });
    check(Refusal::OwnMessage { what: "masked input" }, |survivors| {
        survivors.survivors.insert(index(1), lanes);
    });
    check(Refusal::Binding { field: "step" }, |survivors| survivors.binding.share.slot.step = 1);
    check(Refusal::Binding { field: "attempt" }, |survivors| survivors.binding.share.slot.attempt = 1);
    check(Refusal::Binding { field: "model" }, |survivors| survivors.binding.model = lanes);
    check(Refusal::Binding { field: "roster" }, |survivors| survivors.binding.roster = lanes);
}

/// Attack 10: a site whose vector came too late is not a survivor, and reveals nothing; the sum of the
/// others stands.
#[test]
fn late_sites_reveal_nothing() {
    let mut world = World::new(5, 4, 1, 4);
    let all = world.all();
    let (ready, shared) = world.share(FIRST, &all).expect("shares");
    let (mut masked, inputs, plain) = world.mask(ready, shared, &sites([2])).expect("masks");
    let late = masked.remove(&index(2)).expect("site 2");
    let (mut surviving, survivors) = inputs.close().expect("enough");
    let refused = late.sign(&world.sites[&index(2)], &identity(2), &survivors);
    assert_eq!(refused.err(), Some(Refusal::NotASurvivor));
    let mut signed = BTreeMap::new();
    for (i, state) in masked {
        let (state, message) =
            state.sign(&world.sites[&i], &world.identities[&i], &survivors).expect("signs");
        surviving.accept(&message).expect("taken");
        signed.insert(i, state);
    }
    let (_, unmasking) = world.unmask(signed, surviving, &Sites::new()).expect("reveals");
    let sum = unmasking.close().expect("a sum").0;
    assert_eq!(sum.sum, add(plain.iter().filter(|(i, _)| **i != index(2)).map(|(_, vector)| vector)));
}
