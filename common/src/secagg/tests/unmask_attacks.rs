//! A hostile coordinator, and lying sites, from the survivors' signatures to the sum.

use super::*;
use crate::key::Signature;
use crate::secagg::message::{
    Revealed, Secret, StepResult, SurvivorsCertificate, SurvivorsSignature, Unmask,
};
use zeroize::Zeroizing;

/// Sites 1 to 5 (t = 4), of which 5 dropped out after sharing, all with their survivors signed.
fn signed() -> (World, PerSite<Signed>, Unmasking, SurvivorsCertificate) {
    let mut world = World::new(5, 4, 1, 4);
    let all = world.all();
    let (ready, shared) = world.share(FIRST, &all).expect("shares");
    let (masked, inputs, _) = world.mask(ready, shared, &sites([5])).expect("masks");
    let (signed, surviving) = world.sign(masked, inputs, &Sites::new()).expect("signs");
    let (unmasking, certificate) = surviving.close().expect("enough");
    (world, signed, unmasking, certificate)
}

/// Attacks 3, 4 and 10: a site reveals for the one set that it signed, and only with t signatures of
/// survivors on that set.
#[test]
fn certificates_are_checked() {
    fn check(expected: Refusal, change: impl FnOnce(&mut SurvivorsCertificate)) {
        let (world, mut signed, _, mut certificate) = signed();
        change(&mut certificate);
        let state = signed.remove(&index(1)).expect("site 1");
        assert_eq!(state.unmask(&world.sites[&index(1)], &certificate).err(), Some(expected));
    }
    let other = Digest::of(b"another");
    check(Refusal::SurvivorsChanged, |certificate| certificate.survivors = other);
    check(Refusal::TooFew { phase: "survivors' signatures", found: 3, threshold: 4 }, |certificate| {
        certificate.signatures.remove(&index(1));
    });
    check(Refusal::NotAMember { site: index(5), what: "set of survivors" }, |certificate| {
        // The site that dropped out comes back to sign.
        let signed = SurvivorsSignature::signing_input(&certificate.binding, &certificate.survivors);
        certificate.signatures.insert(index(5), identity(5).sign(&signed));
    });
    let forged = Refusal::Signature { site: index(4), what: "survivors" };
    check(forged.clone(), |certificate| {
        certificate.signatures.insert(index(4), Signature::from_bytes([0; 64]));
    });
    check(forged.clone(), |certificate| {
        let threes = certificate.signatures[&index(3)];
        certificate.signatures.insert(index(4), threes);
    });
    check(forged, |certificate| {
        // Site 4's signature under another set of survivors.
        let signed = SurvivorsSignature::signing_input(&certificate.binding, &Digest::of(b"another"));
        certificate.signatures.insert(index(4), identity(4).sign(&signed));
    });
    check(Refusal::Binding { field: "attempt" }, |certificate| {
        certificate.binding.share.slot.attempt = 1;
    });
    check(Refusal::Binding { field: "model" }, |certificate| certificate.binding.model = other);
}

/// Attack 11: a corrupted share, one of another secret, one too few, one too many: found and named, and
/// the sum comes from the others.
#[test]
fn false_shares_are_named() {
    fn check(expected: Refusal, change: impl FnOnce(&mut Unmask)) {
        let (world, signed, mut unmasking, certificate) = signed();
        let mut change = Some(change);
        for (i, state) in signed {
            let (_, mut message) = state.unmask(&world.sites[&i], &certificate).expect("reveals");
            if i == index(2) {
                let honest = message.clone();
                change.take().expect("once")(&mut message);
                assert_eq!(unmasking.accept(message).err(), Some(expected.clone()));
                message = honest;
            }
            unmasking.accept(message).expect("honest");
        }
        unmasking.close().expect("a sum all the same");
    }
    fn share(unmask: &mut Unmask, dealer: u8) -> &mut Revealed {
        unmask.shares.get_mut(&index(dealer)).expect("a share")
    }
    let (two, other) = (index(2), Digest::of(b"another"));
    check(Refusal::ShareCorrupted { site: two, dealer: index(3) }, |m| share(m, 3).share[31] ^= 0x80);
    check(Refusal::ShareCorrupted { site: two, dealer: index(5) }, |m| share(m, 5).share[0] ^= 1);
    check(Refusal::ShareCorrupted { site: two, dealer: index(1) }, |m| {
        let threes = share(m, 3).clone();
        *share(m, 1) = threes;
    });
    check(Refusal::SharesOther { site: two }, |m| share(m, 3).secret = Secret::MaskKey);
    check(Refusal::SharesOther { site: two }, |m| share(m, 5).secret = Secret::OwnMask);
    check(Refusal::SharesOther { site: two }, |m| {
        m.shares.remove(&index(4));
    });
    check(Refusal::SharesOther { site: two }, |m| {
        let share = Zeroizing::new([0; 32]);
        m.shares.insert(index(6), Revealed { secret: Secret::OwnMask, share });
    });
    check(Refusal::SurvivorsChanged, |m| m.survivors = other);
    check(Refusal::NotAMember { site: index(5), what: "set of survivors" }, |m| m.site = index(5));
    check(Refusal::Binding { field: "step" }, |m| m.binding.share.slot.step = 1);
    // In another site's name: its commitments are others.
    check(Refusal::ShareCorrupted { site: index(3), dealer: index(1) }, |m| m.site = index(3));
}

/// A dealer whose shares are all as signed and do not lie on one polynomial, or make another secret.
#[test]
fn dealers_of_another_secret_are_named() {
    fn check(secret: Secret) {
        let (world, signed, mut unmasking, certificate) = signed();
        let dealer = index(if secret == Secret::OwnMask { 2 } else { 5 });
        // As if the dealer had committed to other shares than of its secret: all of them, or some.
        for (i, state) in signed {
            let (_, mut message) = state.unmask(&world.sites[&i], &certificate).expect("reveals");
            message.shares.get_mut(&dealer).expect("a share").share = Zeroizing::new([i.get(); 32]);
            unmasking.commit_to(i, dealer, secret, &[i.get(); 32]);
            unmasking.accept(message).expect("as committed");
        }
        assert_eq!(unmasking.close().err(), Some(Refusal::DealerFalse { dealer }));
    }
    check(Secret::OwnMask);
    check(Secret::MaskKey);
}

#[test]
fn the_coordinator_checks_signatures_of_survivors() {
    fn check(expected: Refusal, change: impl FnOnce(&mut SurvivorsSignature)) {
        let mut world = World::new(4, 3, 1, 4);
        let all = world.all();
        let (ready, shared) = world.share(FIRST, &all).expect("shares");
        let (mut masked, inputs, _) = world.mask(ready, shared, &sites([4])).expect("masks");
        let (mut surviving, survivors) = inputs.close().expect("enough");
        let state = masked.remove(&index(1)).expect("site 1");
        let (_, mut message) = state.sign(&world.sites[&index(1)], &identity(1), &survivors).expect("signs");
        change(&mut message);
        assert_eq!(surviving.accept(&message), Err(expected));
        assert_eq!(surviving.sites().count(), 0);
    }
    check(Refusal::SurvivorsChanged, |message| message.survivors = Digest::of(b"another"));
    check(Refusal::Signature { site: index(2), what: "survivors" }, |message| message.site = index(2));
    check(Refusal::NotAMember { site: index(4), what: "set of survivors" }, |message| {
        message.site = index(4);
    });
    check(Refusal::Binding { field: "model" }, |message| {
        message.binding.model = Digest::of(b"another");
    });
}

#[test]
fn results_are_bound() {
    let (world, mut signed, mut unmasking, certificate) = signed();
    let mut unmasked = Vec::new();
    for i in [1, 2, 3, 4].map(index) {
        let state = signed.remove(&i).expect("a survivor");
        let (state, message) = state.unmask(&world.sites[&i], &certificate).expect("reveals");
        unmasking.accept(message).expect("honest");
        unmasked.push(state);
    }
    let (_, result) = unmasking.close().expect("a sum");
    let mut finish = |change: fn(&mut StepResult)| {
        let mut result = result.clone();
        change(&mut result);
        unmasked.pop().expect("one more").finish(&result)
    };
    let other = |result: &mut StepResult| result.survivors = Digest::of(b"another");
    assert_eq!(finish(other), Err(Refusal::SurvivorsChanged));
    let binding = |field| Refusal::Binding { field };
    assert_eq!(finish(|result| result.binding.share.slot.step = 1), Err(binding("step")));
    assert_eq!(finish(|result| result.binding.model = Digest::of(b"another")), Err(binding("model")));
    assert_eq!(finish(|_| ()).expect("the result").sum, result.sum);
}
