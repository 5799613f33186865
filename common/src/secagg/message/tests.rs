//! Each message has one form; nothing else parses, and no bytes make it panic.

use super::*;
use crate::key::Signature;
use crate::secagg::binding::{ShareBinding, Slot, StepBinding};
use crate::secagg::{Lanes, RequestedTerms, SEALED_BYTES, SiteIndex, TERMS};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::fmt::Debug;
use zeroize::Zeroizing;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn any_signature() -> impl Strategy<Value = Signature> {
    any::<[[u8; 32]; 2]>()
        .prop_map(|halves| Signature::from_bytes(halves.concat().try_into().expect("64 bytes")))
}

fn any_site() -> impl Strategy<Value = SiteIndex> {
    (1..=255_u8).prop_map(|index| SiteIndex::new(index).expect("not 0"))
}

fn sealed() -> impl Strategy<Value = [u8; SEALED_BYTES]> {
    vec(any::<u8>(), SEALED_BYTES).prop_map(|bytes| bytes.try_into().expect("as long"))
}

fn share_binding() -> impl Strategy<Value = ShareBinding> {
    (digest(), digest(), any::<(u32, u32)>()).prop_map(|(study, session, (step, attempt))| ShareBinding {
        study,
        session,
        slot: Slot { step, attempt },
    })
}

fn binding() -> impl Strategy<Value = StepBinding> {
    (share_binding(), digest(), digest()).prop_map(|(share, roster, model)| StepBinding {
        share,
        roster,
        model,
    })
}

/// There and back; every prefix, every surplus byte and every other kind is refused, and a changed byte
/// either is or gives another message.
fn check<M: Message + PartialEq + Debug>(message: &M, at: usize, by: u8) {
    let bytes = message.to_bytes();
    assert_eq!(M::from_bytes(&bytes).as_ref(), Ok(message));
    assert!(M::from_bytes(&bytes[..at % bytes.len()]).is_err());
    assert!(M::from_bytes(&[bytes.as_slice(), &[by]].concat()).is_err());
    let mut changed = bytes.clone();
    changed[at % bytes.len()] ^= by.max(1);
    if let Ok(other) = M::from_bytes(&changed) {
        assert_ne!(other, *message);
        assert_ne!(other.digest(), message.digest());
        assert_eq!(other.to_bytes(), changed, "two forms of one value");
    }
    let mut kind = bytes;
    kind[4] = kind[4].wrapping_add(by.max(1));
    assert_eq!(M::from_bytes(&kind).expect_err("another kind").problem, "another kind");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn setup(
        agreement in digest(), number: u64, site in any_site(), public: [u8; 32], signature in any_signature(),
        keys in btree_map(any_site(), (any::<[u8; 32]>(), any_signature()), 0..6), at: usize, by: u8,
    ) {
        check(&SessionKey { agreement, number, site, public, signature }, at, by);
        check(&SessionKeys { number, keys }, at, by);
    }

    #[test]
    fn sharing(
        binding in share_binding(), site in any_site(), mask_public: [u8; 32], own_mask in digest(),
        shares in btree_map(any_site(), (sealed(), digest(), digest()), 0..6),
        signature in any_signature(), path in vec(digest(), 0..=8), at: usize, by: u8,
    ) {
        let share = |(sealed, a, b)| SealedShare { sealed, commitments: [a, b] };
        let dealt = shares.iter().map(|(&dealer, &(sealed, root, b))| {
            let (commitments, path) = ([root, b], path.clone());
            (dealer, Dealt { mask_public, own_mask, root, signature, sealed, commitments, path })
        });
        check(&ShareDelivery { binding, dealt: dealt.collect() }, at, by);
        let shares = shares.into_iter().map(|(to, parts)| (to, share(parts))).collect();
        check(&Shares { binding, site, mask_public, own_mask, shares, signature }, at, by);
    }

    #[test]
    fn steps(
        binding in binding(), site in any_site(), terms: [u64; TERMS], lanes in vec(any::<u64>(), 0..50),
        signature in any_signature(), digests in btree_map(any_site(), digest(), 0..6),
        signatures in btree_map(any_site(), any_signature(), 0..6), digest in digest(),
        shares in btree_map(any_site(), any::<(bool, [u8; 32])>(), 0..6), at: usize, by: u8,
    ) {
        check(&StepRequest { binding, terms: RequestedTerms(terms) }, at, by);
        let narrow = Lanes::Bits32(lanes.iter().map(|lane| *lane as u32).collect());
        check(&MaskedInput { binding, site, lanes: narrow, signature }, at, by);
        check(&MaskedInput { binding, site, lanes: Lanes::Bits64(lanes), signature }, at, by);
        check(&Survivors { binding, survivors: digests }, at, by);
        check(&SurvivorsSignature { binding, site, survivors: digest, signature }, at, by);
        check(&SurvivorsCertificate { binding, survivors: digest, signatures }, at, by);
        let shares = shares.into_iter().map(|(dealer, (own, share))| {
            let secret = if own { Secret::OwnMask } else { Secret::MaskKey };
            (dealer, Revealed { secret, share: Zeroizing::new(share) })
        });
        check(&Unmask { binding, site, survivors: digest, shares: shares.collect() }, at, by);
        check(&StepResult { binding, survivors: digest, sum: digest }, at, by);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(mut bytes in vec(any::<u8>(), 0..400), kind in 0..12_u8) {
        fn read<M: Message + Debug>(bytes: &[u8]) {
            if let Ok(message) = M::from_bytes(bytes) {
                assert_eq!(message.to_bytes(), bytes);
            }
        }
        if bytes.len() > 5 {
            bytes[..4].copy_from_slice(&MAGIC);
            bytes[4] = kind;
        }
        read::<SessionKey>(&bytes);
        read::<SessionKeys>(&bytes);
        read::<Shares>(&bytes);
        read::<ShareDelivery>(&bytes);
        read::<StepRequest>(&bytes);
        read::<MaskedInput>(&bytes);
        read::<Survivors>(&bytes);
        read::<SurvivorsSignature>(&bytes);
        read::<SurvivorsCertificate>(&bytes);
        read::<Unmask>(&bytes);
        read::<StepResult>(&bytes);
    }
}

/// The fields that could be written in two ways, or ask for much memory.
#[test]
fn strange_fields() {
    let digest = Digest::of(b"x");
    let share = ShareBinding { study: digest, session: digest, slot: Slot { step: 0, attempt: 0 } };
    let binding = StepBinding { share, roster: digest, model: digest };
    let site = SiteIndex::new(3).expect("3");
    let signature = Signature::from_bytes([0; 64]);
    let input = MaskedInput { binding, site, lanes: Lanes::Bits32(vec![1, 2]), signature }.to_bytes();
    fn check<M: Message + Debug>(bytes: &[u8], at: usize, value: &[u8], problem: &str) {
        let mut bytes = bytes.to_vec();
        bytes[at..][..value.len()].copy_from_slice(value);
        assert_eq!(M::from_bytes(&bytes).expect_err("refused").problem, problem);
    }
    check::<MaskedInput>(&input, 0, b"csa2", "another format or version");
    check::<MaskedInput>(&input, 141, &[0], "site 0");
    check::<MaskedInput>(&input, 142, &[33], "another width than 32 or 64 bits");
    check::<MaskedInput>(&input, 143, &u64::MAX.to_le_bytes(), "more than 2^30 lanes");
    check::<MaskedInput>(&input, 143, &(1_u64 << 30).to_le_bytes(), "too short");
    check::<MaskedInput>(&input, 143, &1_u64.to_le_bytes(), "surplus bytes");
    let sites = [(site, digest), (SiteIndex::new(4).expect("4"), digest)];
    let survivors = Survivors { binding, survivors: sites.into_iter().collect() }.to_bytes();
    check::<Survivors>(&survivors, 175, &[3], "sites twice or out of order");
    check::<Survivors>(&survivors, 175, &[2], "sites twice or out of order");
}
