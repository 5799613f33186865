//! A new ledger key under the coordinator's eyes: before, so that no restored disk makes a second past
//! of it; after, so that the coordinator follows.

use super::agent::Agent;
use super::failed::{Stop, TaskError};
use crate::link::Link;
use crate::rotate::{RotateError, Rotated, rotate};

impl Agent {
    /// Has everything cosigned under the old key, changes it, and has the change cosigned. The agent ends
    /// with this: its other parts hold the old key. Where the coordinator could not be told in the end,
    /// the error comes beside what was done, and `serve` tells it.
    ///
    /// # Errors
    /// The coordinator is not there or knows more of this ledger than is here, a rule is in the way, or
    /// the disk says no.
    pub async fn rotate_key(
        mut self,
        link: &mut Link,
    ) -> Result<(Rotated, Result<(), TaskError>), TaskError> {
        self.cosign_by_coordinator(link).await?;
        let (seed, now) = ((self.entropy)()?, self.now());
        let done = rotate(&mut self.store, &self.home, &*self.disk, &seed, now).map_err(|e| match e {
            RotateError::Ledger(error) => TaskError::from(error),
            RotateError::Home(error) => error.into(),
        })?;
        let told = self.cosign_by_coordinator(link).await;
        Ok((done, told))
    }

    /// Tells the coordinator of a key that changed while it could not be reached: it publishes no study
    /// with a key that it does not know, and without a study there would be no task to tell it by.
    ///
    /// # Errors
    /// As [`Agent::cosign_by_coordinator`].
    pub(super) async fn tell_of_key_change(&mut self, link: &mut Link) -> Result<(), Stop> {
        if self.store.state().key_changed().is_none_or(|entry| entry < self.cosigned) {
            return Ok(());
        }
        match self.cosign_by_coordinator(link).await {
            Err(TaskError::Stop(stop)) => Err(stop),
            // The connection's own trouble shows with the next call.
            Err(error) => {
                tracing::warn!("the coordinator was not told of the new ledger key yet: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether this ledger has a change of keys at or after an entry.
    pub(super) fn key_changes_after(&self, from: u64) -> bool {
        self.store.state().key_changed().is_some_and(|entry| entry >= from)
    }
}
