//! Masks: ChaCha20 key streams (RFC 8439), read as lanes. Modulo 2^32 and 2^64 the words of a key
//! stream are lanes as they are: uniform, with no modulo bias.

use super::agreement::SiteIndex;
use super::binding::StepBinding;
use super::exchange::derive;
use super::lanes::{Lane, Lanes};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use zeroize::Zeroizing;

/// Lanes are masked this many bytes at a time, so that they and the key stream stay in the fastest
/// cache over all masks.
const CHUNK_BYTES: usize = 8192;

/// The key of one mask and whether it is added or subtracted.
pub(super) struct Mask {
    key: Zeroizing<[u8; 32]>,
    subtract: bool,
}

impl Mask {
    /// The mask that `site` shares with `other`: added by the site that comes first on the roster,
    /// subtracted by the other, so that it cancels in the sum. `secret` is what the two agreed on for
    /// this attempt (X25519).
    ///
    /// The key is bound to study, session, step, attempt, roster and model: sites that were told
    /// different things have masks that do not cancel.
    pub(super) fn pair(secret: &[u8; 32], binding: &StepBinding, site: SiteIndex, other: SiteIndex) -> Self {
        let (first, second) = (site.min(other).get(), site.max(other).get());
        let bound = binding.digest();
        let key = derive(
            secret,
            binding.share.session.as_bytes(),
            "pair mask",
            &[bound.as_bytes(), &[first, second]],
        );
        #[cfg(feature = "mutants")]
        let key = super::mutated::key([first, second], key);
        Self { key, subtract: site > other }
    }

    /// The mask that `site` puts on by itself, so that a masked vector that comes too late cannot be
    /// read with its pairwise secrets.
    pub(super) fn own(seed: &[u8; 32], binding: &StepBinding, site: SiteIndex) -> Self {
        let bound = binding.digest();
        let key =
            derive(seed, binding.share.session.as_bytes(), "own mask", &[bound.as_bytes(), &[site.get()]]);
        #[cfg(feature = "mutants")]
        let key = super::mutated::key([site.get(); 2], key);
        Self { key, subtract: false }
    }

    /// The same mask with the other sign: takes it off.
    pub(super) fn removed(self) -> Self {
        Self { subtract: !self.subtract, ..self }
    }
}

/// Adds all masks to `lanes`.
pub(super) fn apply(lanes: &mut Lanes, masks: &[Mask]) {
    match lanes {
        Lanes::Bits32(lanes) => apply_to(lanes, masks),
        Lanes::Bits64(lanes) => apply_to(lanes, masks),
    }
}

fn apply_to<L: Lane>(lanes: &mut [L], masks: &[Mask]) {
    let mut streams: Vec<(ChaCha20, bool)> = masks
        .iter()
        .map(|mask| {
            // Each key is derived for one mask, so its nonce is 0.
            (ChaCha20::new((&*mask.key).into(), &[0; 12].into()), mask.subtract)
        })
        .collect();
    let mut words = Zeroizing::new([0_u8; CHUNK_BYTES]);
    for chunk in lanes.chunks_mut(CHUNK_BYTES / L::BYTES) {
        let words = &mut words[..chunk.len() * L::BYTES];
        for (stream, subtract) in &mut streams {
            stream.write_keystream(words);
            let masks = words.chunks_exact(L::BYTES).map(L::from_bytes);
            if *subtract {
                chunk.iter_mut().zip(masks).for_each(|(lane, mask)| *lane = lane.minus(mask));
            } else {
                chunk.iter_mut().zip(masks).for_each(|(lane, mask)| *lane = lane.plus(mask));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::secagg::binding::{ShareBinding, Slot};
    use crate::secagg::parameters::LaneWidth;

    fn site(index: u8) -> SiteIndex {
        SiteIndex::new(index).expect("not 0")
    }

    fn binding(model: &[u8]) -> StepBinding {
        let share = ShareBinding {
            study: Digest::of(b"study"),
            session: Digest::of(b"session"),
            slot: Slot { step: 3, attempt: 1 },
        };
        StepBinding { share, roster: Digest::of(b"roster"), model: Digest::of(model) }
    }

    fn key(bytes: [u8; 32]) -> Mask {
        Mask { key: Zeroizing::new(bytes), subtract: false }
    }

    fn words(mask: Mask, length: usize) -> Vec<u32> {
        let mut lanes = Lanes::zero(LaneWidth::Bits32, length);
        apply(&mut lanes, &[mask]);
        let Lanes::Bits32(words) = lanes else { panic!("32 bits") };
        words
    }

    /// RFC 8439, appendix A.1, test vectors 1 to 3 (nonce 0, counter 0 and 1), and A.1.3's key.
    #[test]
    fn rfc_8439_key_streams() {
        fn check(last: u8, block: usize, expected: [u32; 4]) {
            let mut bytes = [0; 32];
            bytes[31] = last;
            assert_eq!(words(key(bytes), 64)[16 * block..][..4], expected);
        }
        check(0, 0, [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653]);
        check(0, 1, [0xbee7_079f, 0x7a38_5155, 0x7c97_ba98, 0x0d08_2d73]);
        check(1, 1, [0x2452_eb3a, 0x9249_f8ec, 0x8d82_9d9b, 0xddd4_ceb1]);
    }

    /// Any length, across chunks, gives a prefix of the same stream; lanes of 64 bits are two words.
    #[test]
    fn chunks_continue_the_stream() {
        let long = words(key([9; 32]), 3 * CHUNK_BYTES / 4 + 5);
        for length in [0, 1, 15, 16, 17, CHUNK_BYTES / 4 - 1, CHUNK_BYTES / 4, CHUNK_BYTES / 4 + 1] {
            assert_eq!(words(key([9; 32]), length), long[..length]);
        }
        let mut lanes = Lanes::zero(LaneWidth::Bits64, long.len() / 2);
        apply(&mut lanes, &[key([9; 32])]);
        let Lanes::Bits64(lanes) = lanes else { panic!("64 bits") };
        for (lane, pair) in lanes.iter().zip(long.chunks_exact(2)) {
            assert_eq!(*lane, u64::from(pair[0]) | u64::from(pair[1]) << 32);
        }
    }

    #[test]
    fn pairs_cancel_and_removed_masks_are_gone() {
        for width in [LaneWidth::Bits32, LaneWidth::Bits64] {
            let values: Vec<i64> = (0..5000).map(|i| i * 31 - 70_000).collect();
            let mut lanes = Lanes::wrap(width, &values);
            let (a, b) = (site(4), site(9));
            let of = |site, other| Mask::pair(&[1; 32], &binding(b"m"), site, other);
            apply(&mut lanes, &[of(a, b)]);
            assert_ne!(lanes.center(), values);
            apply(&mut lanes, &[of(b, a)]);
            assert_eq!(lanes.center(), values);
            let own = || Mask::own(&[2; 32], &binding(b"m"), a);
            apply(&mut lanes, &[own(), of(b, a), of(b, a).removed(), own().removed()]);
            assert_eq!(lanes.center(), values);
        }
    }

    #[test]
    fn masks_are_bound() {
        let base = words(Mask::pair(&[1; 32], &binding(b"m"), site(1), site(2)), 8);
        for other in [
            Mask::pair(&[1; 32], &binding(b"n"), site(1), site(2)),
            Mask::pair(&[1; 32], &binding(b"m"), site(1), site(3)),
            Mask::pair(&[3; 32], &binding(b"m"), site(1), site(2)),
            Mask::own(&[1; 32], &binding(b"m"), site(1)),
        ] {
            assert_ne!(words(other, 8), base);
        }
    }
}
