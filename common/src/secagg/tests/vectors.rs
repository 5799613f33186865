//! Vectors of other people's programs: see `tests/vectors/secagg/README.md`.

use super::*;
use crate::secagg::dealing::{Channel, PAIR_BYTES};
use crate::secagg::exchange::ExchangeKey;
use crate::secagg::mask::{Mask, apply};
use crate::secagg::shamir::Weights;
use crate::secagg::{LaneWidth, Lanes, ShareBinding, StepBinding};
use serde_json::Value;

fn vectors() -> Value {
    let text = include_str!("../../../../tests/vectors/secagg/vectors.json");
    serde_json::from_str(text).expect("JSON")
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().expect("text")).expect("hex").try_into().expect("length")
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).expect("a number")
}

/// Every run of neighbouring shares that is as long as the threshold; one share fewer gives something else.
#[test]
fn shares_of_another_program_combine() {
    for case in vectors()["shamir"].as_array().expect("a list") {
        let (secret, threshold) = (bytes::<32>(&case["secret"]), number(&case["threshold"]) as usize);
        let shares: Vec<(SiteIndex, [u8; 32])> = case["shares"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|share| (index(number(&share["at"]) as u8), bytes(&share["value"])))
            .collect();
        let combine = |shares: &[(SiteIndex, [u8; 32])]| {
            let (at, values): (Vec<_>, Vec<_>) = shares.iter().copied().unzip();
            *Weights::at_zero(&at).expect("different").combine(&values)
        };
        for run in shares.windows(threshold) {
            assert_eq!(combine(run), secret);
            assert_ne!(combine(&run[1..]), secret);
        }
    }
}

#[test]
fn masks_and_boxes_of_another_program() {
    let vectors = vectors();
    let step = &vectors["step"];
    let digest = |key: &str| Digest::from_bytes(bytes(&step[key]));
    let slot = Slot { step: number(&step["step"]), attempt: number(&step["attempt"]) };
    let share = ShareBinding { study: digest("study"), session: digest("session"), slot };
    let binding = StepBinding { share, roster: digest("roster"), model: digest("model") };
    assert_eq!(binding.digest(), digest("digest"));

    let key = |site: usize| ExchangeKey::from_bytes(&bytes(&step["mask_keys"][site - 1]));
    let public = |site: usize| bytes::<32>(&step["mask_publics"][site - 1]);
    (1..=3).for_each(|site| assert_eq!(key(site).public(), public(site)));
    let values: Vec<i64> =
        step["values"].as_array().expect("a list").iter().map(|v| v.as_i64().expect("a number")).collect();
    let masked = |width| {
        let pair = |other: usize| {
            let agreed = key(2).agree(&public(other)).expect("good");
            Mask::pair(&agreed, &binding, index(2), index(other as u8))
        };
        let mut lanes = Lanes::wrap(width, &values);
        apply(&mut lanes, &[Mask::own(&bytes(&step["own_mask_seed"]), &binding, index(2)), pair(1), pair(3)]);
        lanes
    };
    let expected = |key: &str| -> Vec<u64> {
        let list = step[key].as_array().expect("a list").iter();
        list.map(|lane| lane.as_str().expect("text").parse().expect("a number")).collect()
    };
    let narrow = expected("masked_32").into_iter().map(|lane| lane as u32).collect();
    assert_eq!(masked(LaneWidth::Bits32), Lanes::Bits32(narrow));
    assert_eq!(masked(LaneWidth::Bits64), Lanes::Bits64(expected("masked_64")));

    let agreed = key(2).agree(&public(3)).expect("good");
    let (two, three) = (index(2), index(3));
    let pair: [u8; PAIR_BYTES] = bytes(&step["pair"]);
    let sealed = bytes(&step["sealed"]);
    assert_eq!(Channel::new(&agreed, &share.session, two, three).seal(&share, &pair, two, three), sealed);
    let agreed = key(3).agree(&public(2)).expect("good");
    let other_end = Channel::new(&agreed, &share.session, three, two);
    assert_eq!(*other_end.open(&share, &sealed, two, three).expect("opens"), pair);
    assert!(other_end.open(&share, &sealed, three, two).is_err());
}
