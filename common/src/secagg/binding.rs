//! What every message, key and signature is bound to.

use super::agreement::tagged;
use super::bytes::{InvalidMessage, Reader};
use super::refusal::Refusal;
use crate::id::Digest;
use std::fmt;

/// A step and which try at it this is. Later ones are greater; a session uses each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Counted from 0 over the study.
    pub step: u32,
    /// Counted from 0 in the step.
    pub attempt: u32,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}, attempt {}", self.step, self.attempt)
    }
}

/// What sharing is bound to: it comes before the model of the step is known, so that it can overlap
/// with the step before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareBinding {
    /// The study.
    pub study: Digest,
    /// Of the session's agreement and of all session keys.
    pub session: Digest,
    /// Step and attempt.
    pub slot: Slot,
}

/// What everything from the masked input on is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepBinding {
    /// Study, session, step and attempt.
    pub share: ShareBinding,
    /// Of the sites that shared, with their keys for this attempt.
    pub roster: Digest,
    /// Of the model's exact bytes.
    pub model: Digest,
}

impl ShareBinding {
    /// Its length, bytes.
    pub const BYTES: usize = 72;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(self.study.as_bytes());
        bytes[32..64].copy_from_slice(self.session.as_bytes());
        bytes[64..68].copy_from_slice(&self.slot.step.to_le_bytes());
        bytes[68..].copy_from_slice(&self.slot.attempt.to_le_bytes());
        bytes
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        let (study, session) = (reader.digest()?, reader.digest()?);
        Ok(Self { study, session, slot: Slot { step: reader.u32()?, attempt: reader.u32()? } })
    }

    /// Checks that a message is bound to this.
    pub(super) fn expect(&self, found: &Self) -> Result<(), Refusal> {
        same("study", self.study == found.study)?;
        same("session", self.session == found.session)?;
        same("step", self.slot.step == found.slot.step)?;
        same("attempt", self.slot.attempt == found.slot.attempt)
    }
}

impl StepBinding {
    /// Its length, bytes.
    pub const BYTES: usize = ShareBinding::BYTES + 64;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..72].copy_from_slice(&self.share.to_bytes());
        bytes[72..104].copy_from_slice(self.roster.as_bytes());
        bytes[104..].copy_from_slice(self.model.as_bytes());
        bytes
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        let share = ShareBinding::read(reader)?;
        Ok(Self { share, roster: reader.digest()?, model: reader.digest()? })
    }

    /// Checks that a message is bound to this.
    pub(super) fn expect(&self, found: &Self) -> Result<(), Refusal> {
        self.share.expect(&found.share)?;
        same("roster", self.roster == found.roster)?;
        same("model", self.model == found.model)
    }

    /// What the masks are derived with.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = tagged("step");
        hasher.update(&self.to_bytes());
        hasher.digest()
    }
}

fn same(field: &'static str, same: bool) -> Result<(), Refusal> {
    if same { Ok(()) } else { Err(Refusal::Binding { field }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_compared_and_in_the_digest() {
        let share = ShareBinding {
            study: Digest::of(b"study"),
            session: Digest::of(b"session"),
            slot: Slot { step: 1, attempt: 2 },
        };
        let base = StepBinding { share, roster: Digest::of(b"roster"), model: Digest::of(b"model") };
        let other = Digest::of(b"other");
        fn check(base: &StepBinding, found: StepBinding, field: &'static str) {
            assert_eq!(base.expect(&found), Err(Refusal::Binding { field }));
            assert_ne!(base.digest(), found.digest());
        }
        let with = |share| StepBinding { share, ..base };
        let at = |step, attempt| with(ShareBinding { slot: Slot { step, attempt }, ..share });
        check(&base, with(ShareBinding { study: other, ..share }), "study");
        check(&base, with(ShareBinding { session: other, ..share }), "session");
        check(&base, at(2, 2), "step");
        check(&base, at(1, 1), "attempt");
        check(&base, StepBinding { roster: other, ..base }, "roster");
        check(&base, StepBinding { model: other, ..base }, "model");
        assert_eq!(base.expect(&base), Ok(()));
        let bytes = base.to_bytes();
        assert_eq!(StepBinding::read(&mut Reader::new(&bytes)), Ok(base));
    }
}
