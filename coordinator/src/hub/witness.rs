//! The coordinator as a witness of every site's ledger, and as the messenger between sites that
//! witness each other's.
//!
//! Invariants: what was cosigned, and the entries under it, are durable before the cosignature
//! leaves; a cosigned ledger is only ever continued. What other sites say is passed on, not kept:
//! after a restart each site asks again, and its own store has what was said before.

use super::{Hub, HubError, Inner, WitnessRefusal};
use crate::clock::now;
use crate::registry::RegistryRefusal;
use crate::store::{StoreError, Witnessed};
use crate::study::{Phase, StudyState};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::PublicKey;
use consilium_common::ledger::checkpoint::{
    COORDINATOR, Note, SITES_WITH_WITNESS, SignatureLine, witness_name,
};
use consilium_common::ledger::entry::ENTRY_BYTES_MAX;
use consilium_common::ledger::merkle::{self, Tree, leaf_hash};
use consilium_common::ledger::{key_change, key_loss, rules};
use consilium_common::time::Time;
use std::collections::BTreeMap;

/// A checkpoint without another site's cosignature shows in the status after this, ms.
const WAITING_MS: u64 = 2_000;
/// A site that asked for checkpoints of others so recently is thought to ask again, ms: between two of its
/// calls lie a round trip and a sync of its disk, or a quarter of a second after a connection that broke.
const LISTENED_MS: u64 = 15_000;
/// Most checkpoints in one answer.
const FOREIGN_MAX: usize = 64;

/// In memory: the trees of the kept copies, the newest checkpoints with what sites said, and who listens.
pub(super) struct Desk {
    trees: BTreeMap<SiteName, Tree>,
    open: BTreeMap<SiteName, Open>,
    listening: BTreeMap<SiteName, Listened>,
    /// Whoever listened before the start is not known: until some seconds after it, everybody counts.
    since: Time,
}

impl Desk {
    pub(super) fn new(since: Time) -> Self {
        Self { trees: BTreeMap::new(), open: BTreeMap::new(), listening: BTreeMap::new(), since }
    }
}

/// A site's calls for checkpoints of others.
struct Listened {
    /// Calls that wait now; two for a moment, where a broken connection is noticed late.
    open: usize,
    /// When the last one ended, or began.
    last: Time,
}

/// As long as this lives, a site waits for checkpoints of others.
pub struct Listening<'a> {
    hub: &'a Hub,
    site: SiteName,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        let listened = inner.desk.listening.get_mut(&self.site).expect("noted at its begin, never removed");
        (listened.open, listened.last) = (listened.open - 1, now());
    }
}

/// A site's newest cosigned checkpoint.
struct Open {
    note: Note,
    since: Time,
    said: BTreeMap<SiteName, Said>,
}

/// What a witness says of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Its signature line.
    Cosigned(String),
    /// Why not, and the note that it knows.
    Refused {
        /// As `witness.rollback`.
        rule: String,
        /// The text of the note that the refused one contradicts; may be empty.
        known: String,
    },
}

/// A checkpoint of another site, for a witness.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// Whose ledger.
    pub site: SiteName,
    /// The signed note.
    pub note: String,
    /// The size that the proof starts from.
    pub old_size: u64,
    /// Consistency from there.
    pub proof: Vec<Digest>,
}

/// A site's ledger as the coordinator keeps it.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The newest cosigned note.
    pub note: String,
    /// All entries under it.
    pub entries: Vec<Vec<u8>>,
}

impl Hub {
    /// Cosigns a checkpoint of a site's ledger if it continues everything cosigned before; the
    /// new state is durable before the cosignature leaves (c2sp.org/tlog-witness). `entries` are
    /// those that are not kept here yet.
    ///
    /// # Errors
    /// Not the site's signature, a change of keys that both did not sign, or a loss that too few vouch for, another ledger, a ledger that went back or was forked, entries that
    /// do not make it.
    pub fn cosign(
        &self,
        site: &SiteName,
        old_size: u64,
        proof: &[Digest],
        note: &str,
        entries: &[Vec<u8>],
    ) -> Result<String, HubError> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let key = inner
            .registry
            .site(site)
            .and_then(|record| record.ledger_key)
            .ok_or_else(|| RegistryRefusal::Unknown(site.clone()))?;
        let refuse =
            |e: consilium_common::ledger::checkpoint::InvalidNote| WitnessRefusal::Note(e.to_string());
        let note = Note::parse(note.as_bytes()).map_err(refuse)?;
        let origin = note.checkpoint.origin.clone();
        if !origin.starts_with(&format!("consilium/ledger/{site}/")) {
            return Err(WitnessRefusal::Note(format!("the origin names another site than {site}")).into());
        }
        let tree = inner.tree(site)?;
        let from = tree.size();
        let before = from.checked_sub(1).and_then(|last| tree.leaf(last)).unwrap_or(Digest::of(b""));
        let dataset = origin.strip_prefix(&format!("consilium/ledger/{site}/")).expect("checked above");
        let new = if entries.iter().any(|entry| key_loss::checkpoint_of(entry).is_some()) {
            let known = inner.store.ledger_entries(site)?;
            followed_after_loss(&origin, key, &known, entries).map_err(WitnessRefusal::KeyChange)?
        } else {
            key_change::follow((site, dataset), key, (from, before), entries)
                .map_err(|error| WitnessRefusal::KeyChange(error.to_string()))?
        };
        note.verify(&origin, &new).map_err(refuse)?;
        let (known_size, known_root) = match inner.store.witnessed(site)? {
            None => (0, Digest::of(b"")),
            Some(known) => {
                let before = parsed(site, &known.note)?.checkpoint.origin;
                if before != origin {
                    return Err(WitnessRefusal::Origin { site: site.clone(), known: before }.into());
                }
                (known.size, known.root)
            }
        };
        let (size, root) = (note.checkpoint.size, note.checkpoint.root);
        if size < known_size {
            return Err(WitnessRefusal::Rollback { site: site.clone(), size, known: known_size }.into());
        }
        if old_size != known_size {
            return Err(WitnessRefusal::Size { expected: known_size, found: old_size }.into());
        }
        merkle::verify_consistency(known_size, &known_root, size, &root, proof)
            .map_err(|_| WitnessRefusal::Fork(site.clone()))?;
        let tree = inner.tree(site)?;
        let fits = entries.iter().all(|entry| entry.len() <= ENTRY_BYTES_MAX);
        entries.iter().for_each(|entry| tree.push(leaf_hash(entry)));
        if !fits || tree.size() != size || tree.root() != root {
            tree.truncate(from);
            return Err(WitnessRefusal::Entries { from, size }.into());
        }
        // The key first: after a crash between the two, the same entries are followed to it again.
        if new != key {
            let kept = (inner.registry.change_key(site, (key, new), now()).map_err(HubError::from))
                .and_then(|event| Ok(inner.keep_registry(event)?));
            if let Err(error) = kept {
                inner.tree(site)?.truncate(from);
                return Err(error);
            }
            tracing::info!(%site, old = %key, %new, "a site's ledger key has changed");
        }
        let line = note.cosign(COORDINATOR, &self.key, now());
        let cosigned = note.clone().with(line.clone()).map_err(refuse)?;
        let kept =
            inner.store.witness(site, &Witnessed { size, root, note: cosigned.to_string() }, from, entries);
        if let Err(error) = kept {
            inner.tree(site)?.truncate(from);
            return Err(error.into());
        }
        let open = inner.desk.open.get(site).is_none_or(|open| open.note.checkpoint != note.checkpoint);
        if open {
            let open = Open { note, since: now(), said: BTreeMap::new() };
            inner.desk.open.insert(site.clone(), open);
        }
        drop(guard);
        self.announce();
        Ok(line.to_string())
    }

    /// How many entries of a site's ledger are kept here.
    ///
    /// # Errors
    /// The disk.
    pub fn kept_size(&self, site: &SiteName) -> Result<u64, HubError> {
        Ok(self.lock().tree(site)?.size())
    }

    /// The kept copy of a site's own ledger; `None` when nothing was cosigned.
    ///
    /// # Errors
    /// The disk.
    pub fn copy(&self, site: &SiteName) -> Result<Option<Copy>, HubError> {
        let inner = self.lock();
        let Some(known) = inner.store.witnessed(site)? else { return Ok(None) };
        Ok(Some(Copy { note: known.note, entries: inner.store.ledger_entries(site)? }))
    }

    /// The checkpoints that a witness has said nothing of yet: of sites that take part in a running
    /// study with it. `known` is what it has cosigned before.
    ///
    /// # Errors
    /// The disk.
    pub fn foreign(
        &self,
        witness: &SiteName,
        known: &BTreeMap<SiteName, u64>,
    ) -> Result<Vec<Foreign>, HubError> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let due: Vec<(SiteName, Note)> = inner
            .desk
            .open
            .iter()
            .filter(|(site, open)| {
                *site != witness && !open.said.contains_key(witness) && inner.together(site, witness)
            })
            .take(FOREIGN_MAX)
            .map(|(site, open)| (site.clone(), open.note.clone()))
            .collect();
        due.into_iter()
            .map(|(site, note)| {
                let old_size = known.get(&site).copied().unwrap_or(0);
                // A witness that knows more gets no proof, and says so.
                let proof = inner.tree(&site)?.consistency_proof(old_size, note.checkpoint.size);
                Ok(Foreign { site, note: note.to_string(), old_size, proof: proof.unwrap_or_default() })
            })
            .collect()
    }

    /// Takes what a witness says of a site's newest checkpoint. Of an older one it is let go.
    ///
    /// # Errors
    /// A cosignature that does not verify under the witness's key.
    pub fn say(&self, witness: &SiteName, site: &SiteName, size: u64, said: Said) -> Result<(), HubError> {
        let mut inner = self.lock();
        let key = inner
            .registry
            .site(witness)
            .and_then(|record| record.ledger_key)
            .ok_or_else(|| RegistryRefusal::Unknown(witness.clone()))?;
        if !inner.together(site, witness) {
            let what = format!("{witness} takes part in no running study with {site}");
            return Err(WitnessRefusal::Statement(what).into());
        }
        let Some(open) = inner.desk.open.get_mut(site).filter(|open| open.note.checkpoint.size == size)
        else {
            return Ok(());
        };
        match &said {
            Said::Cosigned(line) => {
                let name = witness_name(witness);
                let cosigned = SignatureLine::parse(line.trim_end_matches('\n'))
                    .and_then(|line| open.note.clone().with(line).ok())
                    .is_some_and(|note| matches!(note.cosignature(&name, &key), Ok(Some(_))));
                if !cosigned {
                    let what = format!("the cosignature of {witness} does not verify");
                    return Err(WitnessRefusal::Statement(what).into());
                }
            }
            Said::Refused { rule, .. } => {
                tracing::warn!(%witness, %site, size, ?rule, "a site refuses to cosign another's ledger");
            }
        }
        open.said.insert(witness.clone(), said);
        drop(inner);
        self.announce();
        Ok(())
    }

    /// Notes that a site waits for checkpoints of others, until the answer is dropped: also where the
    /// connection breaks.
    #[must_use]
    pub fn listen(&self, site: &SiteName) -> Listening<'_> {
        let listened = |open| Listened { open, last: now() };
        let mut inner = self.lock();
        let before = inner.desk.listening.get(site).map_or(0, |listened| listened.open);
        inner.desk.listening.insert(site.clone(), listened(before + 1));
        Listening { hub: self, site: site.clone() }
    }

    /// Whether nobody could cosign a site's ledger now: no other participant of a study that runs with it
    /// waits for checkpoints, or did some seconds ago.
    #[must_use]
    pub fn is_alone(&self, site: &SiteName, now: Time) -> bool {
        let inner = self.lock();
        let lately = |time: Time| now <= time.plus_ms(LISTENED_MS);
        let listens = |(other, listened): (&SiteName, &Listened)| {
            other != site && (listened.open > 0 || lately(listened.last)) && inner.together(site, other)
        };
        !lately(inner.desk.since) && !inner.desk.listening.iter().any(listens)
    }

    /// What was said so far of a site's own checkpoint of this size.
    #[must_use]
    pub fn said(&self, site: &SiteName, size: u64) -> Vec<(SiteName, Said)> {
        let inner = self.lock();
        let open = inner.desk.open.get(site).filter(|open| open.note.checkpoint.size == size);
        open.map(|open| open.said.iter().map(|(site, said)| (site.clone(), said.clone())).collect())
            .unwrap_or_default()
    }

    /// Why participants of a study wait, by site: nobody has cosigned their newest checkpoint for
    /// some seconds, or who refuses to.
    #[must_use]
    pub fn waiting(&self, study: &StudyState) -> BTreeMap<SiteName, String> {
        if study.participants.len() < SITES_WITH_WITNESS || matches!(study.phase, Phase::Ended { .. }) {
            return BTreeMap::new();
        }
        let (inner, now) = (self.lock(), now());
        let why = |site: &SiteName| {
            let open = inner.desk.open.get(site)?;
            let refused: Vec<String> = open
                .said
                .iter()
                .filter_map(|(witness, said)| match said {
                    Said::Refused { rule, .. } => Some(format!("{witness} refuses to cosign ({rule})")),
                    Said::Cosigned(_) => None,
                })
                .collect();
            if !refused.is_empty() {
                return Some(refused.join(", "));
            }
            (open.said.is_empty() && now > open.since.plus_ms(WAITING_MS))
                .then(|| "no other site has cosigned its ledger yet".to_owned())
        };
        study.participants.iter().filter_map(|site| Some((site.clone(), why(site)?))).collect()
    }
}

impl Inner {
    /// Over the kept copy.
    fn tree(&mut self, site: &SiteName) -> Result<&mut Tree, StoreError> {
        if !self.desk.trees.contains_key(site) {
            let tree = Tree::of(self.store.ledger_entries(site)?);
            self.desk.trees.insert(site.clone(), tree);
        }
        Ok(self.desk.trees.get_mut(site).expect("it was just put there"))
    }

    /// Whether both take part in a study that runs.
    fn together(&self, one: &SiteName, other: &SiteName) -> bool {
        self.studies.values().any(|study| {
            !matches!(study.phase, Phase::Ended { .. })
                && study.participants.contains(one)
                && study.participants.contains(other)
        })
    }
}

/// The key after these entries, one of which says that the key was lost: who may vouch stands in entries before,
/// so that the whole ledger is replayed.
fn followed_after_loss(
    origin: &str,
    key: PublicKey,
    known: &[Vec<u8>],
    new: &[Vec<u8>],
) -> Result<PublicKey, String> {
    let all = || known.iter().chain(new);
    let state = rules::replay(all()).map_err(|illegal| illegal.to_string())?;
    let tree = Tree::of(all());
    for checkpoint in all().filter_map(|entry| key_loss::checkpoint_of(entry)) {
        if !key_loss::is_over(&checkpoint, &tree) {
            return Err("ledger.key_checkpoint: the lost key signed another past than this".to_owned());
        }
    }
    if state.origin() != origin || !state.keys().any(|of_ledger| of_ledger == key) {
        return Err(format!("ledger.key_by_old: the ledger {} was never under {key}", state.origin()));
    }
    Ok(state.key())
}

fn parsed(site: &SiteName, note: &str) -> Result<Note, StoreError> {
    Note::parse(note.as_bytes()).map_err(|e| StoreError::Corrupt(format!("witness of {site}: {e}")))
}
