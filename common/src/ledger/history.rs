//! What a ledger's entries say of policy, refusals and times: things that the rules have no need to
//! remember, and a reader has.

use super::entry::{Body, Caps, Entry};
use super::key_loss::SplitKey;
use crate::id::{Digest, SiteName};
use crate::key::PublicKey;
use crate::time::Time;
use std::collections::BTreeMap;

/// Collected while a ledger is replayed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The policy's caps from the first entry on, and each change of them; in order.
    pub policies: Vec<Policy>,
    /// Changes of the ledger's key; in order.
    pub keys: Vec<KeyChanged>,
    /// Losses of the ledger's key; in order.
    pub lost_keys: Vec<KeyLost>,
    /// When the ledger was taken back from a copy, by the index of the `recovered`.
    pub recovered: BTreeMap<u64, Time>,
    /// Requests that the site refused; in order.
    pub refusals: Vec<Refused>,
    /// When each `commit` was written, by its index.
    pub committed: BTreeMap<u64, Time>,
    /// The reason of each `abort`, by the index of the reserve or release that it ends.
    pub aborted: BTreeMap<u64, String>,
    /// When each study was closed.
    pub closed: BTreeMap<Digest, Time>,
    /// The program that wrote the first entry, as it says of itself.
    pub software: Option<String>,
}

/// The hospital's caps from one entry on.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The `genesis` or `policy_change`.
    pub entry: u64,
    /// When.
    pub time: Time,
    /// What was allowed from then on.
    pub caps: Caps,
}

/// A `key_change`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChanged {
    /// Its index.
    pub entry: u64,
    /// When.
    pub time: Time,
    /// In force until then.
    pub old: PublicKey,
    /// In force from then on.
    pub new: PublicKey,
}

/// A `key_lost`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLost {
    /// Its index.
    pub entry: u64,
    /// When.
    pub time: Time,
    /// Lost.
    pub old: PublicKey,
    /// In force from then on.
    pub new: PublicKey,
    /// Whether people keep their roles.
    pub split: SplitKey,
    /// The lost key's newest checkpoint.
    pub checkpoint: String,
    /// Who vouched for the new key, and under which key.
    pub endorsed: Vec<(SiteName, PublicKey)>,
}

/// A `refusal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its index.
    pub entry: u64,
    /// When.
    pub time: Time,
    /// The rule's name.
    pub rule: String,
    /// The study that was asked for, if any.
    pub study: Option<Digest>,
    /// How many requests.
    pub count: u64,
}

impl History {
    /// Takes note of the entry at `index`, which the rules allowed.
    pub fn note(&mut self, index: u64, entry: &Entry) {
        let time = entry.time;
        match &entry.body {
            Body::Genesis { caps, software, .. } => {
                self.software = Some(software.clone());
                self.policies.push(Policy { entry: index, time, caps: caps.clone() });
            }
            Body::PolicyChange { caps } => {
                self.policies.push(Policy { entry: index, time, caps: caps.clone() });
            }
            Body::KeyChange { key, by_old, .. } => {
                self.keys.push(KeyChanged { entry: index, time, old: by_old.key, new: *key });
            }
            Body::KeyLost { key, split, checkpoint, by_new, endorsements } => {
                let statement = by_new.verify(key).expect("the rules allowed it");
                let endorsed = endorsements.iter().map(|e| (e.site.clone(), e.statement.key)).collect();
                let (old, new, split, checkpoint) = (statement.old, *key, *split, checkpoint.clone());
                self.lost_keys.push(KeyLost { entry: index, time, old, new, split, checkpoint, endorsed });
            }
            Body::Recovered { .. } => drop(self.recovered.insert(index, time)),
            Body::Refusal { rule, study, count } => {
                let (rule, study, count) = (rule.clone(), *study, *count);
                self.refusals.push(Refused { entry: index, time, rule, study, count });
            }
            Body::Commit { .. } => drop(self.committed.insert(index, time)),
            Body::Abort { reserve, reason } => drop(self.aborted.insert(*reserve, reason.clone())),
            Body::Close { study, .. } => drop(self.closed.insert(*study, time)),
            _ => {}
        }
    }

    /// The policy in force when the entry at `index` was written.
    #[must_use]
    pub fn policy_at(&self, index: u64) -> Option<&Policy> {
        self.policies.iter().rev().find(|policy| policy.entry < index)
    }
}
