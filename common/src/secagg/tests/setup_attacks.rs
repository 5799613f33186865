//! A hostile coordinator in setup and sharing.

use super::*;
use crate::secagg::message::{SessionKey, ShareDelivery, Shares};

/// An X25519 public key of order 4.
const LOW_ORDER: [u8; 32] = [0; 32];

/// Three joining sites and the keys that the coordinator gathered.
fn joining(number: u64) -> (Vec<site::Joining>, SessionKeys) {
    let agreement = agreement_with(3, 3, 1, 4, 64);
    let mut rng = secret_rng([number as u8; 32]);
    let mut keys = BTreeMap::new();
    let states = (1..=3).map(|i| {
        let (state, key) =
            site::Joining::new(agreement.clone(), &identity(i), number, &mut rng).expect("listed");
        keys.insert(key.site, (key.public, key.signature));
        state
    });
    (states.collect(), SessionKeys { number, keys })
}

/// A key for site `site` that `signer` signed.
fn key(number: u64, site: u8, public: [u8; 32], signer: &SecretKey) -> ([u8; 32], crate::key::Signature) {
    let agreement = agreement_with(3, 3, 1, 4, 64).digest();
    let signed = SessionKey::signing_input(&agreement, number, index(site), &public);
    (public, signer.sign(&signed))
}

/// Attack 1, on the session keys: exchanged, of low order, twice; and attack 5: from another session.
#[test]
fn session_keys_cannot_be_exchanged() {
    fn check(expected: Refusal, change: impl FnOnce(&mut SessionKeys)) {
        let (states, mut keys) = joining(1);
        change(&mut keys);
        let refused = states.into_iter().next().expect("site 1").open(&keys);
        assert_eq!(refused.err(), Some(expected));
    }
    let mallory = SecretKey::from_seed(&[99; 32]);
    let other = [9; 32];
    let what = "session key";
    check(Refusal::Signature { site: index(2), what }, |keys| {
        keys.keys.insert(index(2), key(1, 2, other, &mallory));
    });
    check(Refusal::Signature { site: index(2), what }, |keys| {
        // Site 3's word about site 2.
        keys.keys.insert(index(2), key(1, 2, other, &identity(3)));
    });
    check(Refusal::Signature { site: index(2), what }, |keys| {
        // A true key of site 2, of another session.
        keys.keys.insert(index(2), joining(2).1.keys[&index(2)]);
    });
    check(Refusal::Signature { site: index(2), what }, |keys| {
        let (public, _) = keys.keys[&index(2)];
        keys.keys.insert(index(2), (public, keys.keys[&index(3)].1));
    });
    check(Refusal::LowOrderKey { site: index(2) }, |keys| {
        keys.keys.insert(index(2), key(1, 2, LOW_ORDER, &identity(2)));
    });
    check(Refusal::DuplicateKey { site: index(3) }, |keys| {
        let (public, _) = keys.keys[&index(2)];
        keys.keys.insert(index(3), key(1, 3, public, &identity(3)));
    });
    check(Refusal::OwnMessage { what }, |keys| {
        keys.keys.insert(index(1), key(1, 1, other, &identity(1)));
    });
    check(Refusal::TooFew { phase: "setup", found: 2, threshold: 3 }, |keys| {
        keys.keys.remove(&index(3));
    });
    check(Refusal::NotAMember { site: index(4), what: "session" }, |keys| {
        keys.keys.insert(index(4), key(1, 4, other, &mallory));
    });
    check(Refusal::Binding { field: "session" }, |keys| keys.number = 2);
}

/// The coordinator, too, takes only what the roster's sites signed.
#[test]
fn the_coordinator_checks_session_keys() {
    fn check(expected: Refusal, change: impl FnOnce(&mut SessionKey)) {
        let agreement = agreement_with(3, 3, 1, 4, 64);
        let mut setup = coordinator::Setup::new(agreement.clone(), 1);
        let make = |i: u8, seed: u8| {
            site::Joining::new(agreement.clone(), &identity(i), 1, &mut secret_rng([seed; 32]))
                .expect("listed")
                .1
        };
        setup.accept(&make(1, 1)).expect("good");
        let mut key = make(2, 2);
        change(&mut key);
        key.signature =
            identity(2).sign(&SessionKey::signing_input(&key.agreement, key.number, key.site, &key.public));
        assert_eq!(setup.accept(&key), Err(expected));
        assert_eq!(setup.sites().count(), 1, "nothing changed");
    }
    let other = agreement_with(4, 4, 1, 4, 64).digest();
    check(Refusal::Binding { field: "session" }, |key| key.number = 2);
    check(Refusal::Agreement { site: index(2) }, |key| key.agreement = other);
    check(Refusal::Signature { site: index(3), what: "session key" }, |key| key.site = index(3));
    check(Refusal::NotAMember { site: index(9), what: "session" }, |key| key.site = index(9));
    check(Refusal::LowOrderKey { site: index(2) }, |key| key.public = LOW_ORDER);
    let first = site::Joining::new(agreement_with(3, 3, 1, 4, 64), &identity(1), 1, &mut secret_rng([1; 32]));
    let public = first.expect("listed").1.public;
    check(Refusal::DuplicateKey { site: index(2) }, |key| key.public = public);
}

#[test]
fn a_site_joins_with_its_roster_key_only() {
    let agreement = agreement_with(3, 3, 1, 4, 64);
    let refused = site::Joining::new(agreement, &identity(77), 1, &mut secret_rng([1; 32]));
    assert_eq!(refused.err(), Some(Refusal::NotOnRoster));
}

/// Two attempts' worth of deliveries to site 1 of three, and its state in the first.
fn deliveries() -> (World, PerSite<site::Sharing>, PerSite<ShareDelivery>, PerSite<Shares>) {
    let mut world = World::new(4, 3, 1, 4);
    let mut gathering = world.coordinator.begin(FIRST).expect("begins");
    let (mut states, mut sent) = (BTreeMap::new(), BTreeMap::new());
    for i in world.all() {
        let session = world.sites.get_mut(&i).expect("a site");
        let (state, shares) = session.share(&world.identities[&i], FIRST, &mut world.rng).expect("shares");
        gathering.accept(shares.clone()).expect("good");
        states.insert(i, state);
        sent.insert(i, shares);
    }
    let (_, deliveries) = gathering.close().expect("enough");
    (world, states, deliveries, sent)
}

/// Attack 1 on the mask keys, attack 5 and attack 11 on the shares.
#[test]
fn deliveries_cannot_be_changed() {
    fn check(expected: Refusal, change: impl FnOnce(&mut ShareDelivery, &PerSite<ShareDelivery>)) {
        let (world, mut states, deliveries, _) = deliveries();
        let mut delivery = deliveries[&index(1)].clone();
        change(&mut delivery, &deliveries);
        let state = states.remove(&index(1)).expect("site 1");
        assert_eq!(state.receive(&world.sites[&index(1)], &delivery).err(), Some(expected));
    }
    let two = index(2);
    fn of(delivery: &mut ShareDelivery, site: u8) -> &mut crate::secagg::message::Dealt {
        delivery.dealt.get_mut(&index(site)).expect("dealt")
    }
    let signature = Refusal::Signature { site: two, what: "shares" };
    let not_dealt = Refusal::ShareNotDealt { dealer: two };
    check(signature.clone(), |delivery, _| of(delivery, 2).mask_public = [9; 32]);
    check(signature.clone(), |delivery, _| of(delivery, 2).mask_public = LOW_ORDER);
    check(signature.clone(), |delivery, _| of(delivery, 2).own_mask = Digest::of(b"another"));
    check(signature.clone(), |delivery, _| of(delivery, 2).root = Digest::of(b"another"));
    check(signature.clone(), |delivery, _| {
        let three = of(delivery, 3).clone();
        let public = of(delivery, 2).mask_public;
        *of(delivery, 2) = crate::secagg::message::Dealt { mask_public: public, ..three };
    });
    check(Refusal::DuplicateKey { site: index(3) }, |delivery, _| {
        of(delivery, 3).mask_public = of(delivery, 2).mask_public;
    });
    check(not_dealt.clone(), |delivery, _| of(delivery, 2).sealed[0] ^= 1);
    check(not_dealt.clone(), |delivery, _| of(delivery, 2).commitments[1] = Digest::of(b"another"));
    check(not_dealt.clone(), |delivery, _| of(delivery, 2).path.clear());
    // The box that site 2 dealt to site 3, with its proof: wrong index.
    check(not_dealt, |delivery, all| *of(delivery, 2) = all[&index(3)].dealt[&index(2)].clone());
    check(Refusal::OwnMessage { what: "shares" }, |delivery, _| {
        delivery.dealt.remove(&index(1));
    });
    check(Refusal::OwnMessage { what: "shares" }, |delivery, _| {
        let three = of(delivery, 3).clone();
        *of(delivery, 1) = three;
    });
    check(Refusal::TooFew { phase: "sharing", found: 2, threshold: 3 }, |delivery, _| {
        delivery.dealt.retain(|site, _| site.get() < 3);
    });
    check(Refusal::NotAMember { site: index(9), what: "session" }, |delivery, _| {
        let mut three = of(delivery, 3).clone();
        three.mask_public = [9; 32];
        delivery.dealt.insert(index(9), three);
    });
    check(Refusal::Binding { field: "step" }, |delivery, _| delivery.binding.slot.step = 1);
    check(Refusal::Binding { field: "attempt" }, |delivery, _| delivery.binding.slot.attempt = 1);
    check(Refusal::Binding { field: "session" }, |delivery, _| {
        delivery.binding.session = Digest::of(b"another");
    });
    check(Refusal::Binding { field: "study" }, |delivery, _| delivery.binding.study = Digest::of(b"another"));
}

/// Attack 5: a dealer's shares of the step before, under this step's name.
#[test]
fn shares_cannot_be_replayed() {
    let (mut world, _, old, _) = deliveries();
    let slot = Slot { step: 1, attempt: 0 };
    let mut gathering = world.coordinator.begin(slot).expect("begins");
    let mut states = BTreeMap::new();
    for i in world.all() {
        let session = world.sites.get_mut(&i).expect("a site");
        let (state, shares) = session.share(&world.identities[&i], slot, &mut world.rng).expect("shares");
        gathering.accept(shares).expect("good");
        states.insert(i, state);
    }
    let (_, mut new) = gathering.close().expect("enough");
    let mut delivery = new.remove(&index(1)).expect("site 1");
    delivery.dealt.insert(index(2), old[&index(1)].dealt[&index(2)].clone());
    let refused = states.remove(&index(1)).expect("site 1").receive(&world.sites[&index(1)], &delivery);
    assert_eq!(refused.err(), Some(Refusal::Signature { site: index(2), what: "shares" }));
}

/// A site of a session that was shown other keys is in another session: it opens nothing. (Attack 2,
/// different rosters to different sites.)
#[test]
fn sites_that_were_shown_different_keys_do_not_understand_each_other() {
    let agreement = agreement_with(4, 3, 1, 4, 64);
    let mut rng = secret_rng([3; 32]);
    let mut keys = BTreeMap::new();
    let mut states: Vec<_> = (1..=4)
        .map(|i| {
            let (state, key) =
                site::Joining::new(agreement.clone(), &identity(i), 1, &mut rng).expect("listed");
            keys.insert(key.site, (key.public, key.signature));
            state
        })
        .collect();
    let all = SessionKeys { number: 1, keys };
    let mut fewer = all.clone();
    fewer.keys.remove(&index(4));
    let mut second = states.remove(1).open(&fewer).expect("three are enough");
    let mut first = states.remove(0).open(&all).expect("four");
    assert_ne!(first.digest(), second.digest());
    let (state, own) = first.share(&identity(1), FIRST, &mut rng).expect("shares");
    let (_, theirs) = second.share(&identity(2), FIRST, &mut rng).expect("shares");
    assert_eq!(own.binding.expect(&theirs.binding), Err(Refusal::Binding { field: "session" }));
    let delivery = ShareDelivery { binding: theirs.binding, dealt: BTreeMap::new() };
    assert_eq!(state.receive(&first, &delivery).err(), Some(Refusal::Binding { field: "session" }));
}

/// What a dealer signed and cannot be used is the dealer's fault, and is said to be.
#[test]
fn false_dealers_are_named() {
    fn check(change: impl FnOnce(&mut Shares, &site::Session)) {
        let (world, mut states, _, mut sent) = deliveries();
        let false_shares = sent.get_mut(&index(2)).expect("site 2's");
        change(false_shares, &world.sites[&index(2)]);
        let tree = crate::secagg::dealing::tree(&false_shares.shares);
        let signed = Shares::signing_input(
            &false_shares.binding,
            index(2),
            &false_shares.mask_public,
            &false_shares.own_mask,
            &tree.root(),
        );
        false_shares.signature = identity(2).sign(&signed);
        // A coordinator of its own, which has seen nothing of this attempt.
        let setup_keys = world.keys.clone();
        let mut setup = coordinator::Setup::new(world.agreement.clone(), 1);
        for (site, (public, signature)) in setup_keys.keys {
            let agreement = world.agreement.digest();
            setup.accept(&SessionKey { agreement, number: 1, site, public, signature }).expect("good");
        }
        let (mut session, _) = setup.close().expect("enough");
        let mut gathering = session.begin(FIRST).expect("begins");
        sent.into_values().for_each(|shares| {
            gathering.accept(shares).expect("signed by the dealer");
        });
        let (_, deliveries) = gathering.close().expect("enough");
        let refused = states
            .remove(&index(1))
            .expect("site 1")
            .receive(&world.sites[&index(1)], &deliveries[&index(1)]);
        assert_eq!(refused.err(), Some(Refusal::ShareFalse { dealer: index(2) }));
    }
    fn to_one(shares: &mut Shares) -> &mut crate::secagg::message::SealedShare {
        shares.shares.get_mut(&index(1)).expect("dealt")
    }
    check(|shares, _| to_one(shares).sealed[5] ^= 1);
    check(|shares, _| to_one(shares).commitments[0] = Digest::of(b"another"));
    check(|shares, _| to_one(shares).commitments[1] = Digest::of(b"another"));
    check(|shares, session| {
        // Sealed well, for another site.
        let channel = &session.channels[&index(3)];
        to_one(shares).sealed = channel.seal(&shares.binding.clone(), &[1; 64], index(2), index(3));
    });
}

/// The same at the coordinator, before anything is passed on.
#[test]
fn the_coordinator_checks_shares() {
    fn check(expected: Refusal, change: impl FnOnce(&mut Shares)) {
        let mut world = World::new(4, 3, 1, 4);
        let mut gathering = world.coordinator.begin(FIRST).expect("begins");
        let session = world.sites.get_mut(&index(2)).expect("site 2");
        let (_, mut shares) = session.share(&identity(2), FIRST, &mut world.rng).expect("shares");
        change(&mut shares);
        assert_eq!(gathering.accept(shares), Err(expected));
        assert_eq!(gathering.sites().count(), 0);
    }
    let signature = Refusal::Signature { site: index(2), what: "shares" };
    check(Refusal::Binding { field: "step" }, |shares| shares.binding.slot.step = 1);
    check(Refusal::NotAMember { site: index(9), what: "session" }, |shares| shares.site = index(9));
    check(Refusal::Signature { site: index(3), what: "shares" }, |shares| shares.site = index(3));
    check(signature.clone(), |shares| shares.mask_public[0] ^= 1);
    check(signature.clone(), |shares| shares.own_mask = Digest::of(b"another"));
    check(signature, |shares| shares.shares.get_mut(&index(4)).expect("dealt").sealed[0] ^= 1);
    check(Refusal::ShareFalse { dealer: index(2) }, |shares| {
        shares.shares.remove(&index(4));
    });
    check(Refusal::LowOrderKey { site: index(2) }, |shares| {
        shares.mask_public = LOW_ORDER;
        let root = crate::secagg::dealing::tree(&shares.shares).root();
        let signed = Shares::signing_input(&shares.binding, index(2), &LOW_ORDER, &shares.own_mask, &root);
        shares.signature = identity(2).sign(&signed);
    });
}

/// A slot is used once, at a site and at the coordinator, and never after a later one.
#[test]
fn slots_are_used_once() {
    let mut world = World::new(3, 3, 1, 4);
    let session = world.sites.get_mut(&index(1)).expect("site 1");
    let mut check = |step, attempt, good: bool| {
        let slot = Slot { step, attempt };
        let shared = session.share(&identity(1), slot, &mut world.rng).map(|_| ());
        assert_eq!(shared, if good { Ok(()) } else { Err(Refusal::SlotUsed { slot }) });
        assert_eq!(world.coordinator.begin(slot).is_ok(), good);
    };
    check(0, 0, true);
    check(0, 0, false);
    check(0, 1, true);
    check(2, 0, true);
    check(1, 7, false);
    check(2, 0, false);
    check(2, 1, true);
}
