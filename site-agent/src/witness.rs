//! This site as a witness of other hospitals' ledgers: it cosigns a checkpoint only if it continues
//! everything that it cosigned of that ledger before, and otherwise says why not, with the note that
//! proves it.
//!
//! Invariants: what was cosigned is durable before the cosignature leaves; a ledger is believed only
//! under the key that this hospital's own `known_sites` has for it; a hospital that is known with one
//! ledger is not believed with another.

use crate::disk::Disk;
use crate::files::{self, FileError};
use crate::home::{Home, HomeError};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::ledger::checkpoint::{NOTE_BYTES_MAX, Note, witness_name};
use consilium_common::ledger::merkle::{Tree, verify_consistency};
use consilium_common::time::Time;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Most ledgers that are witnessed here.
const LEDGERS_MAX: usize = 1_000;

/// A checkpoint of another hospital, as the coordinator passed it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Whose ledger.
    pub site: SiteName,
    /// The signed note, exact text.
    pub note: String,
    /// The size that the proof starts from.
    pub old_size: u64,
    /// Consistency from there.
    pub proof: Vec<Digest>,
}

/// What a witness says of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The signature line to append to the note.
    Cosigned(String),
    /// No.
    Refused {
        /// As `witness.rollback`.
        rule: String,
        /// The text of the note that the refused one contradicts; empty where there is none.
        known: String,
    },
}

/// A statement of a witness on a ledger's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whose ledger, or, in an answer about one's own ledger, which witness.
    pub site: SiteName,
    /// Entries under the checkpoint.
    pub size: u64,
    /// What is said.
    pub said: Said,
}

/// The notes that this site has cosigned last, by hospital; the whole of it is one file.
pub struct Witness {
    disk: Arc<dyn Disk>,
    home: Home,
    path: PathBuf,
    name: String,
    key: SecretKey,
    notes: BTreeMap<SiteName, Note>,
}

impl Witness {
    /// Reads what was cosigned before.
    ///
    /// # Errors
    /// IO, or a file that is not what was written.
    pub fn open(disk: Arc<dyn Disk>, home: &Home, site: &SiteName) -> Result<Self, HomeError> {
        let path = home.dir().join("witnessed.json");
        let limit = (LEDGERS_MAX * NOTE_BYTES_MAX) as u64;
        let texts: BTreeMap<SiteName, String> = match files::read(&path, limit) {
            Err(error) if error.is_absent() => BTreeMap::new(),
            read => serde_json::from_slice(&read?).map_err(|_| malformed(&path))?,
        };
        let notes = texts.into_iter().map(|(site, text)| Ok((site, Note::parse(text.as_bytes())?)));
        let notes = notes
            .collect::<Result<_, consilium_common::ledger::checkpoint::InvalidNote>>()
            .map_err(|_| malformed(&path))?;
        let (home, key) = (home.clone(), home.ledger_key()?);
        Ok(Self { disk, home, path, name: witness_name(site), key, notes })
    }

    /// What is known of each ledger: the sizes that proofs have to start from.
    #[must_use]
    pub fn known(&self) -> Vec<(SiteName, u64)> {
        self.notes.iter().map(|(site, note)| (site.clone(), note.checkpoint.size)).collect()
    }

    /// Whether a ledger continues everything that was cosigned of it here: asked by whoever has all of it.
    ///
    /// # Errors
    /// The rule that it breaks, and in what.
    pub fn check_continues(
        &self,
        site: &SiteName,
        origin: &str,
        tree: &Tree,
    ) -> Result<(), (&'static str, String)> {
        let Some(known) = self.notes.get(site).map(|note| &note.checkpoint) else { return Ok(()) };
        if known.origin != origin {
            return Err((
                "witness.origin",
                format!("this hospital has cosigned the ledger {}", known.origin),
            ));
        }
        match tree.root_at(known.size) {
            Some(root) if root == known.root => Ok(()),
            Some(_) => {
                let what = format!("this hospital has cosigned {} other entries of it", known.size);
                Err(("witness.fork", what))
            }
            None => {
                let (known, found) = (known.size, tree.size());
                let what = format!("this hospital has cosigned {known} entries of it, the copy has {found}");
                Err(("witness.rollback", what))
            }
        }
    }

    /// Cosigns what continues, refuses what does not. Durable before it returns.
    ///
    /// # Errors
    /// The policy cannot be read, or the disk says no: then nothing was cosigned.
    pub fn consider(&mut self, foreign: &[Foreign], now: Time) -> Result<Vec<Statement>, HomeError> {
        let keys = self.home.policy()?.known_sites;
        let mut notes = self.notes.clone();
        let mut statements = Vec::new();
        for checkpoint in foreign {
            let known = notes.get(&checkpoint.site);
            match check(checkpoint, keys.get(&checkpoint.site), known) {
                Ok(note) => {
                    let said = Said::Cosigned(note.cosign(&self.name, &self.key, now).to_string());
                    let (site, size) = (checkpoint.site.clone(), note.checkpoint.size);
                    statements.push(Statement { site: site.clone(), size, said });
                    if notes.len() < LEDGERS_MAX || known.is_some() {
                        notes.insert(site, note);
                    }
                }
                Err(rule) => {
                    let known = known.map(ToString::to_string).unwrap_or_default();
                    // A note that does not parse has no size to speak of.
                    let Ok(note) = Note::parse(checkpoint.note.as_bytes()) else { continue };
                    let said = Said::Refused { rule: rule.to_owned(), known };
                    statements.push(Statement {
                        site: checkpoint.site.clone(),
                        size: note.checkpoint.size,
                        said,
                    });
                }
            }
        }
        if notes != self.notes {
            let texts: BTreeMap<&SiteName, String> =
                notes.iter().map(|(site, note)| (site, note.to_string())).collect();
            let bytes = serde_json::to_vec(&texts).expect("plain data");
            files::write_on(&*self.disk, &self.path, &bytes)?;
            self.notes = notes;
        }
        Ok(statements)
    }
}

/// The note, if this site may cosign it; otherwise the rule that it breaks.
fn check(new: &Foreign, key: Option<&PublicKey>, known: Option<&Note>) -> Result<Note, &'static str> {
    let note = Note::parse(new.note.as_bytes()).map_err(|_| "witness.checkpoint")?;
    let key = key.ok_or("witness.unknown_site")?;
    let origin = &note.checkpoint.origin;
    if !origin.starts_with(&format!("consilium/ledger/{}/", new.site)) || note.verify(origin, key).is_err() {
        return Err("witness.checkpoint");
    }
    let Some(known) = known.map(|known| &known.checkpoint) else { return Ok(note) };
    if known.origin != *origin {
        return Err("witness.origin");
    }
    if note.checkpoint.size < known.size {
        return Err("witness.rollback");
    }
    if new.old_size != known.size {
        return Err("witness.size");
    }
    verify_consistency(known.size, &known.root, note.checkpoint.size, &note.checkpoint.root, &new.proof)
        .map_err(|_| "witness.fork")?;
    Ok(note)
}

fn malformed(path: &std::path::Path) -> FileError {
    FileError::malformed(path, "what this agent has cosigned of other hospitals' ledgers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;
    use crate::testing::{key, now, policy_text, site};
    use consilium_common::ledger::checkpoint::{Checkpoint, SignatureLine, origin};

    fn tree(entries: &[&str]) -> Tree {
        Tree::of(entries)
    }

    fn foreign(dataset: &str, entries: &[&str], old_size: u64, signer: usize) -> Foreign {
        let tree = tree(entries);
        let origin = origin(&site(1), dataset);
        let note = Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(&key(signer));
        let proof = tree.consistency_proof(old_size, tree.size()).unwrap_or_default();
        Foreign { site: site(1), note: note.to_string(), old_size, proof }
    }

    fn witness() -> (tempfile::TempDir, Home, Witness) {
        let dir = tempfile::tempdir().expect("folder");
        let home = Home::create(&dir.path().join("agent"), site(0)).expect("made").home;
        files::write(&home.policy_path(), policy_text(&[]).as_bytes()).expect("written");
        let witness = Witness::open(Arc::new(OsDisk), &home, &site(0)).expect("opens");
        (dir, home, witness)
    }

    #[test]
    fn only_what_continues_is_cosigned_and_a_refusal_carries_its_proof() {
        let (_dir, home, mut witness) = witness();
        let mut say = |foreign: Foreign| {
            let mut said = witness.consider(&[foreign], now()).expect("the disk is there");
            assert_eq!(said.len(), 1);
            said.remove(0).said
        };
        let rule = |said: Said| match said {
            Said::Refused { rule, .. } => rule,
            Said::Cosigned(_) => "cosigned".to_owned(),
        };
        // Under a key that is not the known one; at first sight; the same again; continued.
        assert_eq!(rule(say(foreign("d1", &["a"], 0, 2))), "witness.checkpoint");
        assert_eq!(rule(say(foreign("d1", &["a", "b"], 0, 1))), "cosigned");
        assert_eq!(rule(say(foreign("d1", &["a", "b"], 2, 1))), "cosigned");
        let line = say(foreign("d1", &["a", "b", "c"], 2, 1));
        let Said::Cosigned(line) = line else { panic!("{line:?}") };
        let note = Note::parse(foreign("d1", &["a", "b", "c"], 2, 1).note.as_bytes()).expect("a note");
        let note = note.with(SignatureLine::parse(&line).expect("a line")).expect("room");
        let own = home.ledger_key().expect("a key").public();
        assert!(note.cosignature(&witness_name(&site(0)), &own).expect("verifies").is_some());
        // Shorter, another past, another ledger, a proof from elsewhere.
        let Said::Refused { rule: found, known } = say(foreign("d1", &["a", "b"], 2, 1)) else {
            panic!("a shorter ledger")
        };
        assert_eq!(found, "witness.rollback");
        assert_eq!(Note::parse(known.as_bytes()).expect("the proof").checkpoint.size, 3);
        assert_eq!(rule(say(foreign("d1", &["a", "X", "c", "d"], 3, 1))), "witness.fork");
        assert_eq!(rule(say(foreign("d1", &["a", "b", "X"], 3, 1))), "witness.fork");
        assert_eq!(rule(say(foreign("d2", &["a", "b", "c", "d"], 3, 1))), "witness.origin");
        assert_eq!(rule(say(foreign("d1", &["a", "b", "c", "d"], 2, 1))), "witness.size");
        // And all of that after a restart.
        let mut again = Witness::open(Arc::new(OsDisk), &home, &site(0)).expect("opens");
        assert_eq!(again.known(), [(site(1), 3)]);
        let said = again.consider(&[foreign("d1", &["a"], 3, 1)], now()).expect("the disk is there");
        assert_eq!(rule(said[0].said.clone()), "witness.rollback");
    }

    /// A ledger that goes on under another key is believed once the policy here names that key, and must still
    /// continue what was cosigned under the old one.
    #[test]
    fn a_changed_key_is_believed_when_the_policy_names_it() {
        let (_dir, home, mut witness) = witness();
        let mut say = |foreign: Foreign| {
            let said = witness.consider(&[foreign], now()).expect("the disk is there").remove(0).said;
            match said {
                Said::Refused { rule, .. } => rule,
                Said::Cosigned(_) => "cosigned".to_owned(),
            }
        };
        assert_eq!(say(foreign("d1", &["a", "b"], 0, 1)), "cosigned");
        assert_eq!(say(foreign("d1", &["a", "b", "c"], 2, 4)), "witness.checkpoint");
        let (old, new) = (key(1).public().to_string(), key(4).public().to_string());
        let policy = policy_text(&[(old.as_str(), new.as_str())]);
        files::write(&home.policy_path(), policy.as_bytes()).expect("written");
        assert_eq!(say(foreign("d1", &["a", "X", "c"], 2, 4)), "witness.fork");
        assert_eq!(say(foreign("d1", &["a"], 2, 4)), "witness.rollback");
        assert_eq!(say(foreign("d1", &["a", "b", "c"], 2, 4)), "cosigned");
        assert_eq!(say(foreign("d1", &["a", "b", "c", "d"], 3, 1)), "witness.checkpoint", "by the old key");
    }

    #[test]
    fn a_hospital_that_is_not_known_is_not_cosigned() {
        let (_dir, _, mut witness) = witness();
        let stranger = Foreign { site: "elsewhere".parse().expect("a name"), ..foreign("d1", &["a"], 0, 1) };
        let said = witness.consider(&[stranger], now()).expect("the disk is there");
        assert!(matches!(&said[0].said, Said::Refused { rule, .. } if rule == "witness.unknown_site"));
        assert_eq!(witness.known(), []);
    }
}
