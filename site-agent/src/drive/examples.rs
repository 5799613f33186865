//! The examples that outputs are made from: frozen once, read back from there, without the people who opted out; and the
//! commitments to them.
//!
//! Lists are looked at before anything is burnt for an output ([`Agent::check_columns`]); one that cannot be read is a
//! refusal, and no data are touched. Which people are on them, and whether anything changed since the round before, shows
//! in nothing that leaves but through a mechanism.

use super::agent::{Agent, Begun, Held, invalid_policy};
use super::failed::TaskError;
#[cfg(feature = "mutants")]
use super::mutated;
use crate::approval::all_kept;
use crate::compute::Seed;
use crate::data::frozen::{self, About, Contents, InvalidSnapshot, Thawed, Wanted};
use crate::data::opt_out::{IdForm, InvalidList, Lists};
use crate::data::{self, Faults, InvalidData, Loaded, SplitKey};
use crate::disk::Disk;
use crate::failure::Failure;
use crate::files;
use crate::home::{Home, HomeError, entropy};
use crate::task::Refusal;
use consilium_common::id::Digest;
use consilium_common::ledger::entry::Body;
use consilium_common::study::Study;
use consilium_common::time::Time;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use zeroize::Zeroizing;

/// Why examples were not frozen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFrozen {
    /// The source.
    #[error(transparent)]
    Data(#[from] InvalidData),
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The disk.
    #[error("{path}: {error}")]
    Disk { path: String, error: io::Error },
}

impl From<NotFrozen> for TaskError {
    fn from(why: NotFrozen) -> Self {
        match why {
            NotFrozen::Data(invalid) => invalid.into(),
            NotFrozen::Home(error) => error.into(),
            NotFrozen::Disk { .. } => Self::Local(why.to_string()),
        }
    }
}

impl From<NotFrozen> for Failure {
    fn from(why: NotFrozen) -> Self {
        match why {
            NotFrozen::Data(invalid) => invalid.into(),
            NotFrozen::Home(error) => error.into(),
            NotFrozen::Disk { .. } => Self::fault(why.to_string()),
        }
    }
}

/// The rule by which a task is refused when an opt-out list cannot be read.
pub(super) const OPT_OUT_RULE: &str = "opt_out.list";
/// A line of hex for each time that examples were read, by study.
const NONCES_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The examples of one study in memory.
pub(super) struct InUse {
    data: Arc<Loaded>,
    /// Of the lists that were applied.
    opt_outs: Digest,
    about: About,
    /// What nonces are derived from; in the site's own `nonces` file.
    root: Seed,
    contents: Contents,
}

/// Everything that reading examples needs; moved to a thread that may wait for a disk.
struct Reading {
    disk: Arc<dyn Disk>,
    study: Arc<Study>,
    source: Result<PathBuf, Refusal>,
    snapshot: PathBuf,
    key: Zeroizing<[u8; 32]>,
    split: SplitKey,
    salt: Seed,
    now: Time,
    days: u16,
    lists: Lists,
}

impl Agent {
    /// Reads the opt-out lists that changed, for data that tell people apart so.
    ///
    /// # Errors
    /// Refused by [`OPT_OUT_RULE`]: a list cannot be read whole, or has an id that is nobody's in such data.
    ///
    /// # Privacy
    /// The answer depends on the lists' files and their form, not on who is on them or in the data, and is one bit under one
    /// rule.
    pub(super) async fn refresh_opt_outs(&mut self, ids: IdForm) -> Result<(), TaskError> {
        let wanted = self.home.policy().map_err(invalid_policy)?.opt_outs;
        let mut opt_outs = self.opt_outs.clone();
        // A slow or broken network drive holds up no other connection.
        let refresh = move || {
            let refreshed = opt_outs.refresh(&wanted, ids, Instant::now());
            refreshed.map(|()| opt_outs)
        };
        let done = tokio::task::spawn_blocking(refresh).await;
        let refreshed = done.map_err(|_| TaskError::Local("reading the opt-out lists failed".into()))?;
        self.opt_outs = refreshed.map_err(|invalid| refused(&invalid))?;
        Ok(())
    }

    /// Whether the study's examples can be had without its source: they are in memory, or frozen. Of frozen ones only the
    /// beginning is looked at.
    pub(super) async fn needs_no_source(&self, study: &Arc<Study>) -> Result<bool, TaskError> {
        let (lists, now) = (self.opt_outs.lists(), self.now());
        let days = self.home.policy().map_err(invalid_policy)?.snapshot_days;
        if self.in_use(&study.digest, &lists, now, days).is_some() {
            return Ok(true);
        }
        let (home, disk, study) = (self.home.clone(), Arc::clone(&self.disk), Arc::clone(study));
        let checked = tokio::task::spawn_blocking(move || is_frozen(&home, &*disk, &study, now, days)).await;
        Ok(checked.map_err(|_| TaskError::Local("looking at the frozen examples failed".into()))??)
    }

    /// What is in memory, if it still may be used.
    fn in_use(&self, study: &Digest, lists: &Lists, now: Time, days: u16) -> Option<&InUse> {
        let in_use = self.in_use.get(study)?;
        let is_current = in_use.opt_outs == lists.digest() && now < in_use.about.until(days);
        is_current.then_some(in_use)
    }

    /// The study's examples without the people who are on a list now: from memory, else from the frozen ones, else
    /// extracted and frozen. Only with a begun reserve in hand.
    pub(super) async fn examples(&mut self, held: &Held, _: &Begun) -> Result<Arc<Loaded>, TaskError> {
        let (lists, now, digest) = (self.opt_outs.lists(), self.now(), held.study.digest);
        let policy = self.home.policy().map_err(invalid_policy)?;
        if !self.opt_outs.are_of(&policy.opt_outs) {
            let why =
                "site-policy.toml names other lists than a moment ago; they are read at the next try".into();
            return Err(Refusal { rule: OPT_OUT_RULE, why }.into());
        }
        let days = policy.snapshot_days;
        if let Some(in_use) = self.in_use(&digest, &lists, now, days) {
            return Ok(Arc::clone(&in_use.data));
        }
        // Before the new ones are read: never two in memory.
        self.in_use.remove(&digest);
        let reading = Reading {
            disk: Arc::clone(&self.disk),
            study: Arc::clone(&held.study),
            source: self.data_path().cloned(),
            snapshot: self.home.snapshot_path(&digest),
            key: self.home.snapshot_key(&*self.disk)?,
            split: SplitKey::from_bytes(*self.home.split_key()?),
            salt: self.entropy()?,
            now,
            days,
            lists: lists.clone(),
        };
        let root = self.entropy()?;
        #[cfg(feature = "mutants")]
        let root = mutated::nonce(root);
        let read = tokio::task::spawn_blocking(move || reading.read()).await;
        // A panic's text could hold anything: it is not repeated.
        let (thawed, faults) = read.map_err(|_| TaskError::Local("reading the data failed".into()))??;
        if let Some(faults) = faults {
            self.has_extracted = true;
            #[cfg(feature = "mutants")]
            mutated::refuse(&faults)?;
            log_faults(&held.study, &faults);
        }
        let Thawed { about, loaded, cohort, .. } = thawed;
        let contents = Contents {
            cohort,
            opt_outs: lists.digest(),
            source: Contents::of_lines(&about.source),
            queries: Contents::of_lines(&about.queries),
        };
        self.keep_root(&digest, &root, &contents)?;
        #[cfg(feature = "mutants")]
        mutated::count(self, &digest, &loaded)?;
        let data = Arc::new(loaded);
        let in_use = InUse { data: Arc::clone(&data), opt_outs: lists.digest(), about, root, contents };
        self.in_use.insert(digest, in_use);
        Ok(data)
    }

    /// The entry that says, under fresh nonces, what an output is made from: written before each, whether or not anything
    /// changed. `entry` is the index that it will have.
    pub(super) fn cohort_version(&self, study: &Digest, entry: u64) -> Option<Body> {
        let in_use = self.in_use.get(study)?;
        Some(frozen::commit(&in_use.root, entry, *study, &in_use.contents))
    }

    /// The root stays here, with what the commitments under it are of: with it the hospital can show, to whom it wants,
    /// what one of them is of.
    fn keep_root(&self, study: &Digest, root: &[u8; 32], contents: &Contents) -> Result<(), TaskError> {
        let path = self.home.study_dir(study).join("nonces");
        let mut lines = match files::read_private_text(&path, NONCES_BYTES_MAX) {
            Err(error) if error.is_absent() => Zeroizing::default(),
            read => read?,
        };
        let Contents { cohort, opt_outs, source, queries } = contents;
        let root = Zeroizing::new(hex::encode(root));
        let line = format!(
            "root {} from entry {}: cohort {cohort} opt_outs {opt_outs} source {source} queries {queries}\n",
            *root,
            self.store.state().size()
        );
        lines.push_str(&Zeroizing::new(line));
        Ok(files::write_on(&*self.disk, &path, lines.as_bytes())?)
    }

    /// Freezes the examples of every study in `due`, before anybody waits for an answer. What cannot be read is said; the
    /// study's first task says it again, before anything is burnt for what a header shows.
    pub(super) fn freeze_ahead(&self, source: &Path, due: &[Study]) {
        for study in due {
            if let Err(error) = freeze_ahead(&self.home, &*self.disk, study, source, self.now()) {
                tracing::error!(study = %study.id, "its examples could not be frozen: {error}");
            }
        }
    }

    /// Removes frozen examples that expired: they lie nowhere longer than the policy says while an agent runs.
    pub(super) fn drop_expired(&self) -> Result<(), TaskError> {
        let days = self.home.policy().map_err(invalid_policy)?.snapshot_days;
        let key = self.home.snapshot_key(&*self.disk)?;
        for study in all_kept(&self.home)? {
            // One that is damaged says no date; it is replaced when the study wants it.
            let about = frozen::about(&self.home.snapshot_path(&study), &key);
            if about.is_ok_and(|about| about.until(days) <= self.now()) {
                self.drop_snapshot(&study)?;
                tracing::info!(study = %study, "frozen examples expired and were removed");
            }
        }
        Ok(())
    }

    /// Removes the frozen examples of a study that is over.
    pub(super) fn drop_snapshot(&self, study: &Digest) -> Result<(), TaskError> {
        let path = self.home.snapshot_path(study);
        frozen::remove(&*self.disk, &path).map_err(|error| disk_error(&path, &error))?;
        Ok(())
    }
}

/// Whether a study has frozen examples that may be used, by what they say of themselves.
pub(super) fn is_frozen(
    home: &Home,
    disk: &dyn Disk,
    study: &Study,
    now: Time,
    days: u16,
) -> Result<bool, HomeError> {
    let split = SplitKey::from_bytes(*home.split_key()?).fingerprint();
    let wanted = Wanted { study, split: &split, now, days };
    Ok(frozen::check(&home.snapshot_path(&study.digest), &*home.snapshot_key(disk)?, &wanted).is_ok())
}

/// Extracts a study's examples and freezes them, if there are none that may be used: before the hospital's approval is sent
/// and before an agent connects, so that no request of the coordinator has the time that it took in its answer. Whether it
/// did.
///
/// # Errors
/// The source cannot be read, or what is frozen not be written.
///
/// # Privacy
/// Nothing leaves. What an output is made from is read again, from what was frozen, on a reserve and after its noise.
pub(crate) fn freeze_ahead(
    home: &Home,
    disk: &dyn Disk,
    study: &Study,
    source: &Path,
    now: Time,
) -> Result<bool, NotFrozen> {
    let days = home.policy()?.snapshot_days;
    if is_frozen(home, disk, study, now, days)? {
        return Ok(false);
    }
    let freezing = Freezing {
        disk,
        study,
        snapshot: &home.snapshot_path(&study.digest),
        key: &*home.snapshot_key(disk)?,
        split: &SplitKey::from_bytes(*home.split_key()?),
        salt: &*entropy()?,
        now,
        days,
    };
    log_faults(study, &freezing.freeze(source)?);
    Ok(true)
}

/// Where and how examples are frozen.
struct Freezing<'a> {
    disk: &'a dyn Disk,
    study: &'a Study,
    snapshot: &'a Path,
    key: &'a [u8; 32],
    split: &'a SplitKey,
    salt: &'a [u8; 32],
    now: Time,
    days: u16,
}

impl Freezing<'_> {
    /// With what the source had that contributes nothing.
    fn freeze(&self, source: &Path) -> Result<Faults, NotFrozen> {
        let (loaded, faults, origin) = data::load_with_origin(source, self.study, self.split)?;
        let about = About::new(self.study, self.split.fingerprint(), self.now, self.days, origin);
        frozen::freeze(self.disk, self.snapshot, self.key, self.salt, &about, &loaded)
            .map_err(|error| NotFrozen::Disk { path: self.snapshot.display().to_string(), error })?;
        tracing::info!(study = %self.study.id, expires = %about.expires, "examples extracted and frozen");
        Ok(faults)
    }
}

impl Reading {
    /// Frozen examples where they may be used; else extracted, frozen, and read back: what an output is made from is
    /// always what is kept. With what the source had that contributes nothing.
    fn read(self) -> Result<(Thawed, Option<Faults>), TaskError> {
        let study = &self.study.id;
        match self.thaw() {
            Ok(thawed) => {
                tracing::info!(study = %study, taken = %thawed.about.taken, "frozen examples read");
                return Ok((thawed, None));
            }
            Err(InvalidSnapshot::Absent(_)) => {}
            Err(invalid @ InvalidSnapshot::Expired { .. }) => {
                tracing::info!(study = %study, "{invalid}: extracting them again");
            }
            Err(invalid @ (InvalidSnapshot::Damaged(_) | InvalidSnapshot::Other { .. })) => {
                tracing::warn!(study = %study, "{invalid}: not used; extracting them again");
            }
            Err(invalid @ InvalidSnapshot::Unreadable { .. }) => return Err(local(&invalid)),
        }
        let faults = self.freeze()?;
        Ok((self.thaw().map_err(|invalid| local(&invalid))?, Some(faults)))
    }

    fn thaw(&self) -> Result<Thawed, InvalidSnapshot> {
        let split = self.split.fingerprint();
        let wanted = Wanted { study: &self.study, split: &split, now: self.now, days: self.days };
        frozen::thaw(&self.snapshot, &self.key, &wanted, |id| self.lists.contains(id))
    }

    fn freeze(&self) -> Result<Faults, TaskError> {
        let freezing = Freezing {
            disk: &*self.disk,
            study: &self.study,
            snapshot: &self.snapshot,
            key: &self.key,
            split: &self.split,
            salt: &self.salt,
            now: self.now,
            days: self.days,
        };
        Ok(freezing.freeze(&self.source.clone()?)?)
    }
}

fn log_faults(study: &Study, faults: &Faults) {
    for fault in &faults.shown {
        tracing::warn!(study = %study.id, "this contributes nothing: {fault}");
    }
    if faults.count > faults.shown.len() as u64 {
        tracing::warn!(study = %study.id, "more rows have faults; see: site-agent data check");
    }
}

fn refused(invalid: &InvalidList) -> Refusal {
    Refusal {
        rule: OPT_OUT_RULE,
        why: format!(
            "{invalid}\nwhile it cannot be read this site takes part in no round; nothing was spent on it"
        ),
    }
}

fn local(invalid: &InvalidSnapshot) -> TaskError {
    TaskError::Local(invalid.to_string())
}

fn disk_error(path: &Path, error: &io::Error) -> TaskError {
    TaskError::Local(format!("{}: {error}", path.display()))
}
