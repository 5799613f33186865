//! How a ledger goes on under another key: the old and the new key sign one statement that names the
//! ledger and the one place in it where the change stands.
//!
//! The old signature says that the holder of the ledger wants it, the new one that the new key is held
//! by whoever takes over. Neither alone changes anything, and a statement for another ledger, or for
//! another place in this one, is worth nothing.

use super::checkpoint::origin;
use super::entry::{Body, Entry};
use super::merkle::leaf_hash;
use super::rules::State;
use crate::id::{Digest, SiteName};
use crate::key::{PublicKey, SecretKey};
use crate::signed::{Signed, Statement};
use serde::{Deserialize, Serialize};

/// What both keys sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Whose ledger.
    pub site: SiteName,
    /// Of which dataset.
    pub dataset: String,
    /// Entries before the `key_change`: its index.
    pub size: u64,
    /// Leaf hash of the last of them.
    pub head: Digest,
    /// Signs the checkpoints over no more than these entries.
    pub old: PublicKey,
    /// Signs every checkpoint after them.
    pub new: PublicKey,
}

impl Statement for KeyChange {
    const CONTEXT: &'static str = "consilium/key-change/1";
}

/// A change of keys that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct Unproven {
    /// The rule's name.
    pub rule: &'static str,
    /// What was expected and what came.
    pub what: String,
}

impl KeyChange {
    /// The change to `new` that can follow a ledger's last entry.
    #[must_use]
    pub fn after(state: &State, new: PublicKey) -> Self {
        Self {
            site: state.site().clone(),
            dataset: state.dataset().to_owned(),
            size: state.size(),
            head: state.head(),
            old: state.key(),
            new,
        }
    }

    /// The entry, signed by both keys.
    #[must_use]
    pub fn signed(&self, old: &SecretKey, new: &SecretKey) -> Body {
        Body::KeyChange { key: self.new, by_old: Signed::new(self, old), by_new: Signed::new(self, new) }
    }

    /// Whether both keys signed exactly this.
    ///
    /// # Errors
    /// `ledger.key_by_old`, `ledger.key_by_new`: not signed by that key; `ledger.key_statement`: another
    /// statement than this.
    pub fn check(&self, by_old: &Signed<Self>, by_new: &Signed<Self>) -> Result<(), Unproven> {
        for (rule, who, signed, key) in [
            ("ledger.key_by_old", "the old key", by_old, self.old),
            ("ledger.key_by_new", "the new key", by_new, self.new),
        ] {
            let found = signed
                .verify(&key)
                .map_err(|error| Unproven { rule, what: format!("not signed by {who}: {error}") })?
                .into_inner();
            if found != *self {
                let (rule, what) = ("ledger.key_statement", differs(self, &found));
                return Err(Unproven { rule, what: format!("{who} signed {what}") });
            }
        }
        Ok(())
    }
}

/// The first thing in which a statement is not the expected one.
fn differs(expected: &KeyChange, found: &KeyChange) -> String {
    if (&expected.site, &expected.dataset) != (&found.site, &found.dataset) {
        let [expected, found] = [expected, found].map(|change| origin(&change.site, &change.dataset));
        return format!("a change in {found}, expected {expected}");
    }
    if (expected.size, expected.head) != (found.size, found.head) {
        return format!(
            "a change after {} entries ({}), expected {} ({})",
            found.size,
            found.head.short(),
            expected.size,
            expected.head.short()
        );
    }
    format!(
        "a change from {} to {}, expected from {} to {}",
        found.old, found.new, expected.old, expected.new
    )
}

/// The key that signs a ledger after `entries`, for whoever knows `key` to be this ledger's and has
/// not the whole of it: the first of the entries is the `first` of the ledger, and `before` is the leaf
/// hash of the one before it. Entries of other kinds, and of kinds that this version does not know, are
/// passed over. Nothing else is checked of them.
///
/// # Errors
/// A change that is not signed by both keys for its place, or changes that do not go through `key`.
pub fn follow(
    (site, dataset): (&SiteName, &str),
    key: PublicKey,
    (first, before): (u64, Digest),
    entries: &[Vec<u8>],
) -> Result<PublicKey, Unproven> {
    let (mut chain, mut head) = (Vec::new(), before);
    for (size, bytes) in (first..).zip(entries) {
        if let Ok(Entry { body: Body::KeyChange { key: new, by_old, by_new }, .. }) = Entry::from_bytes(bytes)
        {
            // Where nothing came before, the statement says from which key; the chain must hold `key`.
            let old = chain.last().copied().unwrap_or(by_old.key);
            let (site, dataset) = (site.clone(), dataset.to_owned());
            KeyChange { site, dataset, size, head, old, new }.check(&by_old, &by_new)?;
            if chain.is_empty() {
                chain.push(old);
            }
            chain.push(new);
        }
        head = leaf_hash(bytes);
    }
    match chain.last() {
        None => Ok(key),
        Some(last) if chain.contains(&key) => Ok(*last),
        Some(last) => Err(Unproven {
            rule: "ledger.key_by_old",
            what: format!("keys change from {} to {last}, expected from {key}", chain[0]),
        }),
    }
}

#[cfg(test)]
mod tests;
