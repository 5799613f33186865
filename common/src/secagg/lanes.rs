//! Vectors modulo 2^32 or 2^64: what is masked, sent and summed.

use super::agreement::tagged;
use super::parameters::LaneWidth;
use crate::id::Digest;
use std::fmt;

/// A vector of lanes. It prints as its length: before masks are on, it is private.
#[derive(Clone, PartialEq, Eq)]
pub enum Lanes {
    /// Modulo 2^32.
    Bits32(Vec<u32>),
    /// Modulo 2^64.
    Bits64(Vec<u64>),
}

/// One lane: an integer modulo a power of two.
pub(super) trait Lane: Copy {
    const BYTES: usize;
    /// `value` modulo the lane's.
    fn wrap(value: i64) -> Self;
    /// The representative nearest to 0.
    fn center(self) -> i64;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// From `BYTES` bytes, lowest first.
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! lane {
    ($unsigned:ty, $signed:ty) => {
        impl Lane for $unsigned {
            const BYTES: usize = size_of::<$unsigned>();
            fn wrap(value: i64) -> Self {
                value as $unsigned
            }
            fn center(self) -> i64 {
                i64::from(self as $signed)
            }
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            fn from_bytes(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("cut to the lane's length"))
            }
        }
    };
}
lane!(u32, i32);
lane!(u64, i64);

impl Lanes {
    /// All zero.
    pub(super) fn zero(width: LaneWidth, length: usize) -> Self {
        match width {
            LaneWidth::Bits32 => Self::Bits32(vec![0; length]),
            LaneWidth::Bits64 => Self::Bits64(vec![0; length]),
        }
    }

    /// The integers, modulo the lane's.
    pub(super) fn wrap(width: LaneWidth, values: &[i64]) -> Self {
        match width {
            LaneWidth::Bits32 => Self::Bits32(values.iter().copied().map(Lane::wrap).collect()),
            LaneWidth::Bits64 => Self::Bits64(values.iter().copied().map(Lane::wrap).collect()),
        }
    }

    /// The representatives nearest to 0.
    pub(super) fn center(&self) -> Vec<i64> {
        match self {
            Self::Bits32(lanes) => lanes.iter().map(|lane| lane.center()).collect(),
            Self::Bits64(lanes) => lanes.iter().map(|lane| lane.center()).collect(),
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bits32(lanes) => lanes.len(),
            Self::Bits64(lanes) => lanes.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How wide they are.
    #[must_use]
    pub const fn width(&self) -> LaneWidth {
        match self {
            Self::Bits32(_) => LaneWidth::Bits32,
            Self::Bits64(_) => LaneWidth::Bits64,
        }
    }

    /// Adds lane by lane.
    ///
    /// # Panics
    /// With another width or length: both were compared with the terms.
    pub(super) fn add(&mut self, other: &Self) {
        fn each<L: Lane>(lanes: &mut [L], other: &[L]) {
            assert_eq!(lanes.len(), other.len(), "one dimension");
            lanes.iter_mut().zip(other).for_each(|(lane, other)| *lane = lane.plus(*other));
        }
        match (self, other) {
            (Self::Bits32(lanes), Self::Bits32(other)) => each(lanes, other),
            (Self::Bits64(lanes), Self::Bits64(other)) => each(lanes, other),
            _ => panic!("one width"),
        }
    }

    /// The lanes as bytes, each lowest byte first.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bits32(lanes) => lanes.iter().for_each(|lane| bytes.extend_from_slice(&lane.to_le_bytes())),
            Self::Bits64(lanes) => lanes.iter().for_each(|lane| bytes.extend_from_slice(&lane.to_le_bytes())),
        }
    }

    /// The reverse of [`Self::write`]; a length that is no multiple of the lane's is cut.
    pub(super) fn read(width: LaneWidth, bytes: &[u8]) -> Self {
        match width {
            LaneWidth::Bits32 => Self::Bits32(bytes.chunks_exact(u32::BYTES).map(Lane::from_bytes).collect()),
            LaneWidth::Bits64 => Self::Bits64(bytes.chunks_exact(u64::BYTES).map(Lane::from_bytes).collect()),
        }
    }

    /// Of width, length and all lanes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = tagged("lanes");
        hasher.update(&self.width().bits().to_le_bytes());
        hasher.update(&(self.len() as u64).to_le_bytes());
        let mut bytes = Vec::with_capacity(1 << 14);
        match self {
            Self::Bits32(lanes) => lanes.chunks(1 << 11).for_each(|chunk| {
                bytes.clear();
                chunk.iter().for_each(|lane| bytes.extend_from_slice(&lane.to_le_bytes()));
                hasher.update(&bytes);
            }),
            Self::Bits64(lanes) => lanes.chunks(1 << 11).for_each(|chunk| {
                bytes.clear();
                chunk.iter().for_each(|lane| bytes.extend_from_slice(&lane.to_le_bytes()));
                hasher.update(&bytes);
            }),
        }
        hasher.digest()
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lanes({} of {} bits)", self.len(), self.width().bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_within_the_lane() {
        fn check(width: LaneWidth, value: i64, expected: i64) {
            assert_eq!(Lanes::wrap(width, &[value]).center(), [expected], "{width:?} {value}");
        }
        for value in [0, 1, -1, i64::from(i32::MAX), i64::from(i32::MIN)] {
            check(LaneWidth::Bits32, value, value);
            check(LaneWidth::Bits64, value, value);
        }
        check(LaneWidth::Bits32, 1 << 31, -1 << 31);
        check(LaneWidth::Bits64, 1 << 31, 1 << 31);
        check(LaneWidth::Bits64, i64::MIN, i64::MIN);
    }

    #[test]
    fn bytes_round_trip_and_digests_differ() {
        for width in [LaneWidth::Bits32, LaneWidth::Bits64] {
            let lanes = Lanes::wrap(width, &(0..5000).map(|i| i * 1_234_567_891 - 77).collect::<Vec<_>>());
            let mut bytes = Vec::new();
            lanes.write(&mut bytes);
            assert_eq!(Lanes::read(width, &bytes), lanes);
            bytes[4999] ^= 1;
            assert_ne!(Lanes::read(width, &bytes).digest(), lanes.digest());
        }
        assert_ne!(Lanes::zero(LaneWidth::Bits32, 2).digest(), Lanes::zero(LaneWidth::Bits64, 1).digest());
        assert_ne!(Lanes::zero(LaneWidth::Bits32, 2).digest(), Lanes::zero(LaneWidth::Bits32, 1).digest());
    }

    #[test]
    fn nothing_is_printed() {
        assert_eq!(format!("{:?}", Lanes::wrap(LaneWidth::Bits32, &[77, 78])), "Lanes(2 of 32 bits)");
    }
}
