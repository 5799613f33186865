//! A new ledger key, as long as the old one is here: see `home/keys.rs` for the order.

use crate::disk::Disk;
use crate::home::{Home, HomeError};
use crate::ledger::{LedgerError, LedgerStore};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::time::Time;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Given up: its secret half is no longer here.
    pub old: PublicKey,
    /// In force.
    pub new: PublicKey,
    /// The index of the `key_change`.
    pub entry: u64,
}

/// Why the key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The ledger's rules, or its disk.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The home's files.
    #[error(transparent)]
    Home(#[from] HomeError),
}

/// Changes the ledger's key to that of `seed`. The caller holds the ledger open, and has made sure that
/// it is the newest there is: after this, a checkpoint by the old key is worth nothing.
///
/// # Errors
/// A rule is in the way: nothing was written. Or the disk says no: then one of the two keys is in force,
/// and [`Home::ledger_key`] is that one.
pub fn rotate(
    store: &mut LedgerStore,
    home: &Home,
    disk: &dyn Disk,
    seed: &[u8; 32],
    now: Time,
) -> Result<Rotated, RotateError> {
    let old = store.key();
    store.check_key_change(&SecretKey::from_seed(seed), now)?;
    let next = home.keep_next_key(disk, seed)?;
    let new = next.public();
    let entry = store.change_key(next, now)?;
    home.finish_key_change(disk, &new)?;
    Ok(Rotated { old, new, entry })
}
