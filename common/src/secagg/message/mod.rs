//! What sites and the coordinator send to each other, as plain values with one binary form each.
//!
//! Parsing checks form only: lengths, order, that no site is in a list twice. What a message may say
//! is for the states to decide.

mod input;
mod setup;
mod share;
mod survivors;
#[cfg(test)]
mod tests;
mod unmask;

pub use input::{MaskedInput, StepRequest};
pub use setup::{SessionKey, SessionKeys};
pub use share::{Dealt, SealedShare, ShareDelivery, Shares};
pub use survivors::{Survivors, SurvivorsCertificate, SurvivorsSignature};
pub use unmask::{Revealed, Secret, StepResult, Unmask};

use super::agreement::tagged;
use super::bytes::{InvalidMessage, MAGIC, Reader};
use crate::id::Digest;

/// A message of this protocol.
pub trait Message: Sized {
    /// Its name, for errors.
    const NAME: &'static str;
    /// The byte that says which message it is.
    const KIND: u8;

    /// Appends the fields.
    #[doc(hidden)]
    fn write(&self, bytes: &mut Vec<u8>);

    /// Reads the fields.
    ///
    /// # Errors
    /// They are not there.
    #[doc(hidden)]
    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage>;

    /// The exact bytes to send.
    #[must_use]
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(Self::KIND);
        self.write(&mut bytes);
        bytes
    }

    /// Reads exactly one message.
    ///
    /// # Errors
    /// Another kind or version, too short, too long, or not in the one form that the value has.
    fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidMessage> {
        let mut reader = Reader::message(bytes, Self::NAME, Self::KIND)?;
        let message = Self::read(&mut reader)?;
        reader.end()?;
        Ok(message)
    }

    /// Of the exact bytes.
    #[must_use]
    fn digest(&self) -> Digest {
        let mut hasher = tagged("message");
        hasher.update(&self.to_bytes());
        hasher.digest()
    }
}
