//! The way out of a restored disk: the ledger as somebody else kept it takes the place of the old copy
//! here. Nothing is un-spent by it: the copy must be signed by this site's own key and continue
//! everything that was burnt here, and whatever is open in it stays burnt.
//!
//! What the copy does not have is lost: masked vectors may have left whose `commit_sum` was not cosigned yet. So
//! the ledger that takes the old one's place has one entry more than the copy, a `recovered`, which ends every
//! open block and reserve. Both come to be in one step, the rename of the folder: no ledger is ever here that was
//! recovered and does not say so.

use super::append::entry_time;
use super::{LedgerError, LedgerStore, disk, journal, signed_entries};
use crate::disk::Disk;
use consilium_common::key::SecretKey;
use consilium_common::ledger::checkpoint::{Checkpoint, Note};
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::merkle::{Tree, leaf_hash};
use consilium_common::ledger::rules::{self, State};
use consilium_common::ledger::tiles;
use consilium_common::time::Time;
use std::path::{Path, PathBuf};

/// Old copies that may lie beside a ledger.
const ASIDE_MAX: u32 = 1_000;

/// What a recovery did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Entries that were here; `None` where there was nothing that could be read.
    pub before: Option<u64>,
    /// Entries that are here now: the copy's, and the `recovered` after them.
    pub after: u64,
    /// Reserves without an output, and blocks with uses left, that the `recovered` ended. They stay burnt.
    pub unfinished: u64,
    /// Uses left in those blocks: as many masked vectors may have left that no entry tells of any more.
    pub uses: u64,
    /// Where the old folder is now.
    pub aside: Option<PathBuf>,
}

impl LedgerStore {
    /// Puts a copy of this site's ledger, and a `recovered` after it, in the place of what is in `dir`, which is
    /// kept aside. After a crash there is the one or the other.
    ///
    /// # Privacy
    /// A shorter copy would give spent budget back: it is refused, and so is one of another past. Where
    /// nothing readable is left here, the copy's own length is all that there is; the coordinator's and
    /// the other sites' cosignatures then tell whether it is the newest. What was open in the copy is never
    /// taken up again: a lost entry may have used it.
    ///
    /// # Errors
    /// Another process has the ledger open; the copy is not this key's, not whole, breaks a rule, or
    /// does not continue what is here; the clock is far behind it; the disk says no.
    ///
    /// # Panics
    /// Never: a recovery breaks no rule.
    pub fn recover(
        disk: &dyn Disk,
        dir: &Path,
        key: &SecretKey,
        note: &Note,
        entries: &[Vec<u8>],
        now: Time,
    ) -> Result<Recovered, LedgerError> {
        let refuse = |what: String| LedgerError::Copy(what);
        disk::finish_replacing(disk, dir)?;
        let is_new = disk::is_absent_or_empty(dir)?;
        let _lock = if is_new { None } else { Some(disk::lock(dir)?) };
        let mut is_damaged = false;
        if !is_new {
            // What only the journal has was signed here too. One that is damaged is no reason not to recover.
            match journal::settle(disk, dir, &key.public()) {
                Ok(()) => {}
                Err(LedgerError::Corrupt { .. }) => is_damaged = true,
                Err(error) => return Err(error),
            }
        }
        let tree = Tree::of(entries);
        if (tree.size(), tree.root()) != (note.checkpoint.size, note.checkpoint.root) {
            return Err(refuse("its entries do not make the head of its checkpoint".to_owned()));
        }
        let state = rules::replay(entries)?;
        if state.key() != key.public() {
            let (its, own) = (state.key(), key.public());
            // Each is a home that lost a change of keys: of its identity, or of its ledger.
            return Err(refuse(if state.keys().any(|former| former == own) {
                format!(
                    "it goes on under the key {its}, this home has the older {own}: put back identity/ from a backup \
                     that was made after the key change"
                )
            } else {
                format!(
                    "it belongs to the key {its}, this site has {own}; if that key is lost: `site-agent ledger lost-key`"
                )
            }));
        }
        note.verify(&state.origin(), &key.public()).map_err(|e| refuse(format!("checkpoint: {e}")))?;

        let before = check_nothing_is_lost(dir, &state, &tree, is_damaged)?;
        let body = Body::Recovered { entries: state.size() };
        let recovered = put_in_place((disk, dir, is_new), key, (note, entries), (state, tree), body, now)?;
        Ok(Recovered { before, ..recovered })
    }
}

/// A copy, and an entry after it that ends whatever was open in it, take the place of what is in `dir`, which is
/// kept aside unless it is new. The new checkpoint is by `key`.
pub(super) fn put_in_place(
    (disk, dir, is_new): (&dyn Disk, &Path, bool),
    key: &SecretKey,
    (note, entries): (&Note, &[Vec<u8>]),
    (mut state, mut tree): (State, Tree),
    body: Body,
    now: Time,
) -> Result<Recovered, LedgerError> {
    let last = state.decide(body, entry_time(now, state.time())?)?;
    state.apply(&last).expect("it was decided on this state");
    tree.push(leaf_hash(&last));
    let mut framed = Vec::new();
    entries.iter().chain([&last]).for_each(|entry| tiles::push_entry(&mut framed, entry));
    let (size, root) = (tree.size(), tree.root());
    let own = Checkpoint { origin: state.origin(), size, root }.sign(key).to_string();
    let cosigned = note.to_string();
    let files: [(&str, &[u8]); 3] =
        [("entries", &framed), ("checkpoint", own.as_bytes()), ("cosigned", cosigned.as_bytes())];
    let aside = if is_new { None } else { Some(aside(dir)?) };
    // An empty folder in the way of the rename.
    if is_new && dir.exists() {
        std::fs::remove_dir(dir).map_err(disk::io(dir, "removing the empty folder"))?;
    }
    match &aside {
        Some(aside) => disk::replace_folder(disk, dir, &files, aside)?,
        None => disk::put_folder(disk, dir, &files)?,
    }
    let (_, ended) = state.recoveries().last().expect("it is the last entry");
    let unfinished = (ended.reserves.len() + ended.blocks.len()) as u64;
    let uses = ended.blocks.iter().map(|block| block.uses).sum();
    Ok(Recovered { before: None, after: size, unfinished, uses, aside })
}

/// How many entries were signed here, if the copy has them all; or all but some that burnt nothing, as
/// an agent writes that starts on an old copy before anybody could tell it so. Of a ledger that is damaged, so
/// that it cannot go on, all but what was never cosigned.
///
/// # Privacy
/// Nothing is computed on a use before its reserve or block is cosigned. So a copy that continues what was
/// cosigned here has every use that anything was sent on; the entries after it can hold masked vectors, on blocks
/// that it has, which the `recovered` ends.
fn check_nothing_is_lost(
    dir: &Path,
    state: &State,
    copy: &Tree,
    is_damaged: bool,
) -> Result<Option<u64>, LedgerError> {
    let origin = state.origin();
    let refuse = |what: String| Err(LedgerError::Copy(what));
    let (mut before, mut unreadable, mut continues_cosigned) = (None, None, false);
    for name in ["checkpoint", "cosigned"] {
        let Some(here) = disk::read(dir, name)?.and_then(|bytes| Note::parse(&bytes).ok()) else { continue };
        if !state.keys().any(|key| here.verify(&here.checkpoint.origin, &key).is_ok()) {
            continue;
        }
        let Checkpoint { origin: found, size, root } = &here.checkpoint;
        if *found != origin {
            return refuse(format!("it is the ledger {origin}, here is {found}"));
        }
        before = before.max(Some(*size));
        if copy.root_at(*size) == Some(*root) {
            continues_cosigned |= name == "cosigned";
            continue;
        }
        let bytes = disk::read(dir, "entries")?.unwrap_or_default();
        let entries = signed_entries(&mut bytes.as_slice(), *size).ok();
        let Some(entries) = entries.filter(|entries| Tree::of(entries).root() == *root) else {
            unreadable = unreadable.max(Some(*size));
            continue;
        };
        let differ = (0..).zip(&entries).find(|(at, entry)| copy.leaf(*at) != Some(leaf_hash(entry)));
        let from = differ.map_or(*size, |(at, _)| at);
        // A masked vector's use was burnt with its block, but its entry is all that tells of it: not given up
        // where the ledger here could go on.
        let burns = |entry: &&[u8]| {
            Entry::from_bytes(entry).map_or(true, |entry| match entry.body {
                Body::Reserve { .. } | Body::Release { .. } | Body::ReserveBlock { .. } => true,
                Body::CommitSum { .. } => !is_damaged,
                _ => false,
            })
        };
        if entries.iter().skip(usize::try_from(from).expect("in memory")).any(burns) {
            return refuse(format!(
                "{size} entries were signed here, and from entry {from} on, which differs, uses were burnt that \
                 the copy does not have"
            ));
        }
    }
    match unreadable {
        Some(size) if !continues_cosigned => {
            refuse(format!("it does not continue the {size} entries that were signed here"))
        }
        _ => Ok(before),
    }
}

/// The first free name beside the folder.
fn aside(dir: &Path) -> Result<PathBuf, LedgerError> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or("ledger");
    (1..=ASIDE_MAX)
        .map(|n| dir.with_file_name(format!("{name}.before-{n}")))
        .find(|path| !path.exists())
        .ok_or_else(|| LedgerError::Copy(format!("{ASIDE_MAX} old copies lie beside the ledger already")))
}
