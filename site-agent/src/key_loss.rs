//! A ledger key that was lost, and the other hospitals' word for a new one: what the hospital asks, what each of
//! the others looks at before it signs, and how the ledger goes on. The rules, and why they hold, are in
//! [`consilium_common::ledger::key_loss`].
//!
//! It goes by files, since the hospital has nothing left to sign with that others would believe. A request holds
//! the whole ledger as others kept it, so that whoever is asked compares it with what was cosigned there; an
//! endorsement comes back from each.

use crate::disk::Disk;
use crate::files::{self, FileError};
use crate::home::{Home, HomeError};
use crate::ledger::{LedgerError, LedgerStore, Recovered};
use crate::witness::Witness;
use consilium_common::id::SiteName;
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::ledger::checkpoint::Note;
use consilium_common::ledger::key_loss::{Endorsement, KeyLoss, Quorum, SplitKey};
use consilium_common::ledger::merkle::Tree;
use consilium_common::ledger::rules::{self, State};
use consilium_common::signed::Signed;
use consilium_common::time::Time;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

const REQUEST_SCHEMA: &str = "key-loss/1";
const ENDORSEMENT_SCHEMA: &str = "key-endorsement/1";
/// The largest request, bytes: a ledger of years.
const REQUEST_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const ENDORSEMENT_BYTES_MAX: u64 = 64 * 1024;

/// Why a lost key is not replaced.
#[derive(Debug, thiserror::Error)]
pub enum KeyLossError {
    /// A file that is no request or endorsement.
    #[error("{0}")]
    Input(String),
    /// Not allowed.
    #[error("{rule}: {what}")]
    Refused {
        /// The rule's name.
        rule: &'static str,
        /// What was expected and what came.
        what: String,
    },
    /// The home's files.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The ledger's rules, or its disk.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What a hospital that has lost its key asks the others to sign, with the ledger that it is about. One that exists
/// was checked: the ledger is whole and keeps the rules, the lost key signed all of it, the new key signed the
/// statement, and the statement is for this ledger as it stands.
#[derive(Debug)]
pub struct Request {
    loss: KeyLoss,
    note: Note,
    entries: Vec<Vec<u8>>,
    state: State,
    tree: Tree,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    schema: String,
    statement: Signed<KeyLoss>,
    checkpoint: String,
    entries: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndorsementFile {
    schema: String,
    site: SiteName,
    statement: Signed<KeyLoss>,
}

impl Request {
    /// A request to go on under `new` after the entries of a copy, of which `note` is the newest checkpoint.
    ///
    /// # Errors
    /// The copy is not whole, breaks a rule, is another site's, or goes on under this key already; too few hospitals
    /// are named in it (`ledger.key_quorum`).
    pub fn new(
        site: &SiteName,
        (note, entries): (Note, Vec<Vec<u8>>),
        new: PublicKey,
        split: SplitKey,
    ) -> Result<Self, KeyLossError> {
        let refuse = |rule, what| Err(KeyLossError::Refused { rule, what });
        let tree = Tree::of(&entries);
        if (tree.size(), tree.root()) != (note.checkpoint.size, note.checkpoint.root) {
            return refuse("key_loss.copy", "its entries do not make the head of its checkpoint".to_owned());
        }
        let state = rules::replay(&entries).map_err(LedgerError::from)?;
        if let Err(error) = note.verify(&state.origin(), &state.key()) {
            return refuse("key_loss.copy", format!("checkpoint: {error}"));
        }
        if state.site() != site {
            return refuse("key_loss.site", format!("the ledger of {}, expected {site}", state.site()));
        }
        if state.keys().any(|key| key == new) {
            let what = format!("{new} is or was this ledger's key already: nothing is lost");
            return refuse("ledger.key_reused", what);
        }
        let loss = KeyLoss::after(&state, new, split);
        let request = Self { loss, note, entries, state, tree };
        match request.quorum().needed() {
            Some(_) => Ok(request),
            None => {
                let what = "fewer than two other hospitals took part in studies with this one: nobody can vouch for \
                            a new key, and this ledger ends with the lost one (docs/OPERATIONS.md)";
                refuse("ledger.key_quorum", what.to_owned())
            }
        }
    }

    /// Reads a file that [`Request::to_bytes`] wrote; believes nothing in it.
    ///
    /// # Errors
    /// It is none, or as [`Request::new`]; the statement is of something else, or not signed by the new key.
    pub fn read(path: &Path) -> Result<Self, KeyLossError> {
        let what = path.display();
        let bytes = files::read(path, REQUEST_BYTES_MAX).map_err(input)?;
        let file: RequestFile = serde_json::from_slice(&bytes)
            .map_err(|error| KeyLossError::Input(format!("{what}: not a request for a lost key: {error}")))?;
        if file.schema != REQUEST_SCHEMA {
            let found = file.schema;
            return Err(KeyLossError::Input(format!(
                "{what}: expected schema {REQUEST_SCHEMA}, came {found:?}"
            )));
        }
        let note = Note::parse(file.checkpoint.as_bytes())
            .map_err(|error| KeyLossError::Input(format!("{what}: checkpoint: {error}")))?;
        let entries = file.entries.into_iter().map(String::into_bytes).collect();
        // Who claims to have signed is who claims to hold the new key; that is for people to compare.
        let signed = file.statement.verify(&file.statement.key);
        let said = signed.map_err(|error| refused("ledger.key_by_new", error.to_string()))?.into_inner();
        let request = Self::new(&said.site, (note, entries), said.new, said.split)?;
        request.loss.check_new(&file.statement).map_err(|error| refused(error.rule, error.what))?;
        Ok(request)
    }

    /// The file for the other hospitals; `new` is the key that was asked for.
    ///
    /// # Panics
    /// Never: entries are text, and a request is plain data.
    #[must_use]
    pub fn to_bytes(&self, new: &SecretKey) -> Vec<u8> {
        let text =
            |entry: &Vec<u8>| String::from_utf8(entry.clone()).expect("an entry that was read is JSON");
        let file = RequestFile {
            schema: REQUEST_SCHEMA.to_owned(),
            statement: Signed::new(&self.loss, new),
            checkpoint: self.note.to_string(),
            entries: self.entries.iter().map(text).collect(),
        };
        serde_json::to_vec(&file).expect("plain data")
    }

    /// What is asked.
    #[must_use]
    pub const fn loss(&self) -> &KeyLoss {
        &self.loss
    }

    /// The ledger, as others kept it.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Who may vouch.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        Quorum::of(&self.state)
    }

    /// Whether this hospital may vouch, all but for the telephone call.
    ///
    /// # Errors
    /// `key_loss.own`: its own request; `key_loss.member`: the ledger does not name it under its key of today;
    /// `key_loss.known_sites`: its policy knows the other hospital by another key, or not; `witness.rollback`,
    /// `witness.fork`, `witness.origin`: the copy does not continue what this hospital has cosigned.
    pub fn check(&self, home: &Home, own: &SiteName) -> Result<(), KeyLossError> {
        let refuse = |rule, what| Err(refused(rule, what));
        let KeyLoss { site, old, new, .. } = &self.loss;
        if site == own {
            return refuse("key_loss.own", "this hospital's own request: the others vouch for it".to_owned());
        }
        let key = home.ledger_key()?.public();
        match self.quorum().members().get(own) {
            Some(member) if *member == key => {}
            Some(member) => {
                let what = format!("the ledger of {site} knows {own} by the key {member}, today's is {key}");
                return refuse("key_loss.member", what);
            }
            None => {
                let what = format!("no study in the ledger of {site} was with {own}");
                return refuse("key_loss.member", what);
            }
        }
        match home.policy()?.known_sites.get(site) {
            Some(known) if known == old || known == new => {}
            Some(known) => {
                let what =
                    format!("known_sites in site-policy.toml has {known} for {site}, the ledger is of {old}");
                return refuse("key_loss.known_sites", what);
            }
            None => {
                return refuse(
                    "key_loss.known_sites",
                    format!("{site} is not in known_sites of site-policy.toml"),
                );
            }
        }
        let witness = Witness::open(Arc::new(crate::disk::OsDisk), home, own)?;
        let continues = witness.check_continues(site, &self.state.origin(), &self.tree);
        continues.or_else(|(rule, what)| refuse(rule, what))
    }

    /// This hospital's word for the new key, which somebody here was told on the telephone: `told`.
    ///
    /// # Errors
    /// As [`Request::check`]; `key_loss.fingerprint`: the file has another key than was told.
    pub fn endorse(
        &self,
        home: &Home,
        own: &SiteName,
        told: &PublicKey,
    ) -> Result<Endorsement, KeyLossError> {
        let new = &self.loss.new;
        if told != new {
            let what = format!(
                "the file asks for {new}, you were told {told}: one of the two is not that hospital's; sign nothing, \
                 and tell the consortium"
            );
            return Err(refused("key_loss.fingerprint", what));
        }
        self.check(home, own)?;
        Ok(self.loss.endorsed(own.clone(), &home.ledger_key()?))
    }

    /// Goes on with the ledger in this home, whose key is the new one.
    ///
    /// # Errors
    /// This home has another key; an endorsement does not hold, or they are too few; as [`LedgerStore::take_over`].
    pub fn finish(
        &self,
        home: &Home,
        disk: &dyn Disk,
        mut endorsements: Vec<Endorsement>,
        now: Time,
    ) -> Result<Recovered, KeyLossError> {
        let (key, new) = (home.ledger_key()?, self.loss.new);
        if key.public() != new {
            let what = format!("the request is for {new}, this home has {}", key.public());
            return Err(refused("key_loss.home", what));
        }
        endorsements.sort_by(|a, b| a.site.cmp(&b.site));
        let entry = self.loss.entry(&key, &self.note, endorsements);
        Ok(LedgerStore::take_over(disk, &home.ledger_dir(), &key, (&self.note, &self.entries), entry, now)?)
    }
}

/// The file of an endorsement.
///
/// # Panics
/// Never: an endorsement is plain data.
#[must_use]
pub fn endorsement_file(endorsement: Endorsement) -> Vec<u8> {
    let Endorsement { site, statement } = endorsement;
    let file = EndorsementFile { schema: ENDORSEMENT_SCHEMA.to_owned(), site, statement };
    serde_json::to_vec_pretty(&file).expect("plain data")
}

/// Reads a file that [`endorsement_file`] made; believes nothing in it.
///
/// # Errors
/// It is none.
pub fn read_endorsement(path: &Path) -> Result<Endorsement, KeyLossError> {
    let bytes = files::read(path, ENDORSEMENT_BYTES_MAX).map_err(input)?;
    let file = serde_json::from_slice::<EndorsementFile>(&bytes).ok();
    let file = file.filter(|file| file.schema == ENDORSEMENT_SCHEMA);
    let EndorsementFile { site, statement, .. } = file.ok_or_else(|| {
        KeyLossError::Input(format!("{}: expected an endorsement ({ENDORSEMENT_SCHEMA})", path.display()))
    })?;
    Ok(Endorsement { site, statement })
}

fn refused(rule: &'static str, what: String) -> KeyLossError {
    KeyLossError::Refused { rule, what }
}

/// A file that somebody named.
fn input(error: FileError) -> KeyLossError {
    KeyLossError::Input(error.to_string())
}

#[cfg(test)]
mod tests;
