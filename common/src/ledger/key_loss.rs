//! How a ledger goes on after its key was lost: the other hospitals that it names vouch for the new key, since
//! nobody is left who could sign for the old one.
//!
//! Who may vouch stands in the ledger itself: the other participants of its studies, under the keys that this site
//! had compared with those hospitals before it opened a study with them ([`Quorum`]). More than half of them have
//! to sign one statement, which names the ledger, the one place in it where the loss stands, and both keys. What
//! stands before that place was signed by the lost key: its newest checkpoint is part of the entry, so that nobody
//! can write another past with other hospitals in it.
//!
//! Neither the coordinator nor the holder of the new key is among those who vouch; together they have no vote
//! either. Fewer hospitals than the quorum, in league with both, cannot take the ledger over. The quorum and the
//! coordinator together can: they could then sign for this site, but not give back anything that it spent.

use super::checkpoint::Note;
use super::entry::{Body, Entry};
use super::key_change::Unproven;
use super::merkle::Tree;
use super::rules::State;
use crate::id::{Digest, SiteName};
use crate::key::{PublicKey, SecretKey};
use crate::signed::{Signed, Statement};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So few other hospitals cannot vouch: one would decide alone.
pub const MEMBERS_MIN: usize = 2;

/// Whether the key that fixes each person's role was lost as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitKey {
    /// Everybody keeps their role.
    Kept,
    /// Roles are drawn anew: from here on, what training people and what evaluation people paid adds up.
    Lost,
}

/// What the new key and the other hospitals sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLoss {
    /// Whose ledger.
    pub site: SiteName,
    /// Of which dataset.
    pub dataset: String,
    /// Entries before the `key_lost`: its index.
    pub size: u64,
    /// Leaf hash of the last of them.
    pub head: Digest,
    /// Lost.
    pub old: PublicKey,
    /// Signs every checkpoint from this entry on.
    pub new: PublicKey,
    /// Whether people keep their roles.
    pub split: SplitKey,
}

impl Statement for KeyLoss {
    const CONTEXT: &'static str = "consilium/key-loss/1";
}

/// One hospital's word that the new key is that hospital's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endorsement {
    /// Who vouches.
    pub site: SiteName,
    /// The statement, signed by its ledger key.
    pub statement: Signed<KeyLoss>,
}

/// The other hospitals that a ledger names, each by the key of the newest study with it, and how many of them have
/// to vouch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    members: BTreeMap<SiteName, PublicKey>,
}

impl Quorum {
    /// Of a ledger as it stands.
    #[must_use]
    pub fn of(state: &State) -> Self {
        let mut studies: Vec<_> = state.studies().map(|(_, record)| record).collect();
        studies.sort_by_key(|record| record.opened);
        let participants = studies.into_iter().flat_map(|record| &record.participants);
        let others = participants.filter(|participant| participant.site != *state.site());
        let mut members: BTreeMap<_, _> = others.map(|other| (other.site.clone(), other.key)).collect();
        // A key counts once; one that was this ledger's own vouches for nothing.
        let mut seen: Vec<PublicKey> = state.keys().collect();
        members.retain(|_, key| {
            let is_new = !seen.contains(key);
            seen.push(*key);
            is_new
        });
        Self { members }
    }

    /// Who may vouch, and under which key.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<SiteName, PublicKey> {
        &self.members
    }

    /// How many have to: more than half. None where there are fewer than [`MEMBERS_MIN`]: nobody can say who such
    /// a hospital is, and its ledger ends with its key.
    #[must_use]
    pub fn needed(&self) -> Option<usize> {
        (self.members.len() >= MEMBERS_MIN).then(|| self.members.len() / 2 + 1)
    }
}

impl KeyLoss {
    /// The loss that can follow a ledger's last entry.
    #[must_use]
    pub fn after(state: &State, new: PublicKey, split: SplitKey) -> Self {
        Self {
            site: state.site().clone(),
            dataset: state.dataset().to_owned(),
            size: state.size(),
            head: state.head(),
            old: state.key(),
            new,
            split,
        }
    }

    /// The entry. `checkpoint` is the newest one of the lost key. An entry has room for about 80 endorsements.
    #[must_use]
    pub fn entry(&self, new: &SecretKey, checkpoint: &Note, endorsements: Vec<Endorsement>) -> Body {
        Body::KeyLost {
            key: self.new,
            split: self.split,
            checkpoint: checkpoint.to_string(),
            by_new: Signed::new(self, new),
            endorsements,
        }
    }

    /// A hospital's word for it.
    #[must_use]
    pub fn endorsed(&self, site: SiteName, key: &SecretKey) -> Endorsement {
        Endorsement { site, statement: Signed::new(self, key) }
    }

    /// Whether one hospital vouches for exactly this.
    ///
    /// # Errors
    /// `ledger.key_member`: no hospital that may; `ledger.key_endorsed`: not signed by its key;
    /// `ledger.key_statement`: another statement.
    pub fn check_endorsement(&self, quorum: &Quorum, endorsement: &Endorsement) -> Result<(), Unproven> {
        let Endorsement { site, statement } = endorsement;
        let Some(key) = quorum.members.get(site) else {
            let names = quorum.members.keys().map(SiteName::as_str).collect::<Vec<_>>().join(", ");
            return unproven(
                "ledger.key_member",
                format!("{site} vouches; this ledger's studies name [{names}]"),
            );
        };
        self.check_signed(statement, key, "ledger.key_endorsed", site.as_str())
    }

    /// Whether the holder of the new key signed exactly this.
    ///
    /// # Errors
    /// `ledger.key_by_new`: not signed by it; `ledger.key_statement`: another statement.
    pub fn check_new(&self, by_new: &Signed<Self>) -> Result<(), Unproven> {
        self.check_signed(by_new, &self.new, "ledger.key_by_new", "the new key")
    }

    /// Whether enough hospitals vouch for exactly this, each once, in the order of their names.
    ///
    /// # Errors
    /// As [`KeyLoss::check_endorsement`]; `ledger.key_endorsed`: one twice, or out of order; `ledger.key_quorum`: too few.
    pub fn check_quorum(&self, quorum: &Quorum, endorsements: &[Endorsement]) -> Result<(), Unproven> {
        let Some(needed) = quorum.needed() else {
            let found = quorum.members.len();
            let what = format!(
                "this ledger's studies name {found} other hospitals, with fewer than {MEMBERS_MIN} nobody can vouch \
                 for a new key: it ends here"
            );
            return unproven("ledger.key_quorum", what);
        };
        if let Some(pair) = endorsements.windows(2).find(|pair| pair[0].site >= pair[1].site) {
            let what = format!("{} after {}: each vouches once, in order", pair[1].site, pair[0].site);
            return unproven("ledger.key_endorsed", what);
        }
        for endorsement in endorsements {
            self.check_endorsement(quorum, endorsement)?;
        }
        if endorsements.len() < needed {
            let (found, members) = (endorsements.len(), quorum.members.len());
            let what = format!("{found} of {members} other hospitals vouch, expected at least {needed}");
            return unproven("ledger.key_quorum", what);
        }
        Ok(())
    }

    /// Whether `checkpoint` is the lost key's over the entries before the loss. Its tree head is for whoever has
    /// the tree: [`is_over`].
    ///
    /// # Errors
    /// `ledger.key_checkpoint`: it is not.
    pub fn check_checkpoint(&self, origin: &str, checkpoint: &str) -> Result<(), Unproven> {
        const RULE: &str = "ledger.key_checkpoint";
        let note = Note::parse(checkpoint.as_bytes())
            .and_then(|note| note.verify(origin, &self.old).map(|()| note))
            .or_else(|error| unproven(RULE, error.to_string()))?;
        let (found, expected) = (note.checkpoint.size, self.size);
        if found == expected {
            return Ok(());
        }
        unproven(
            RULE,
            format!("the lost key signed {found} entries there, expected the {expected} before the loss"),
        )
    }

    fn check_signed(
        &self,
        signed: &Signed<Self>,
        key: &PublicKey,
        rule: &'static str,
        who: &str,
    ) -> Result<(), Unproven> {
        let found = match signed.verify(key) {
            Ok(found) => found.into_inner(),
            Err(error) => return unproven(rule, format!("not signed by {who}: {error}")),
        };
        if found == *self {
            return Ok(());
        }
        unproven("ledger.key_statement", format!("{who} signed {}", self.differs(&found)))
    }

    /// The first thing in which a statement is not this one.
    fn differs(&self, found: &Self) -> String {
        if (&self.site, &self.dataset) != (&found.site, &found.dataset) {
            return format!(
                "for the ledger {}/{}, expected {}/{}",
                found.site, found.dataset, self.site, self.dataset
            );
        }
        if (self.size, self.head) != (found.size, found.head) {
            return format!(
                "for a loss after {} entries ({}), expected {} ({})",
                found.size,
                found.head.short(),
                self.size,
                self.head.short()
            );
        }
        if self.split != found.split {
            return "another word about the split key".to_owned();
        }
        format!("for {} in the place of {}, expected {} for {}", found.new, found.old, self.new, self.old)
    }
}

/// The lost key's checkpoint, if these bytes are a `key_lost`.
#[must_use]
pub fn checkpoint_of(entry: &[u8]) -> Option<String> {
    match Entry::from_bytes(entry) {
        Ok(Entry { body: Body::KeyLost { checkpoint, .. }, .. }) => Some(checkpoint),
        _ => None,
    }
}

/// Whether the checkpoint that a `key_lost` holds has the tree head of this ledger: a past with other entries,
/// and so with other hospitals in it, was not signed by the lost key. The rules know no tree.
#[must_use]
pub fn is_over(checkpoint: &str, tree: &Tree) -> bool {
    Note::parse(checkpoint.as_bytes())
        .is_ok_and(|note| tree.root_at(note.checkpoint.size) == Some(note.checkpoint.root))
}

fn unproven<T>(rule: &'static str, what: String) -> Result<T, Unproven> {
    Err(Unproven { rule, what })
}
