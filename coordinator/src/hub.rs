//! The coordinator's one place of change: every decision is made, kept durably, applied and
//! announced in here, in that order, under one lock.

#[cfg(test)]
mod tests;
mod witness;

pub use witness::{Copy, Foreign, Listening, Said};

use crate::ca::Authority;
use crate::clock::now;
use crate::registry::{Registry, RegistryRefusal, SiteEvent};
use crate::secure::Lobby;
use crate::store::{Blobs, Store, StoreError, Witnessed};
use crate::study::{StudyEvent, StudyRefusal, StudyState};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::{PublicKey, SecretKey};
use consilium_common::protocol::{Approval, Start, Task};
use consilium_common::signed::Signed;
use consilium_common::time::Time;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

const SITES_STREAM: &str = "sites";
const STUDY_PREFIX: &str = "study/";

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The registry's rules.
    #[error(transparent)]
    Registry(#[from] RegistryRefusal),
    /// The study's rules.
    #[error(transparent)]
    Study(#[from] StudyRefusal),
    /// The witness's rules.
    #[error(transparent)]
    Witness(#[from] WitnessRefusal),
    /// No study of this id or digest.
    #[error("study.unknown: no study {0:?}; `coordinator study status` lists them")]
    UnknownStudy(String),
    /// The file is not a study.
    #[error("study.invalid:\n{0}")]
    InvalidStudy(String),
    /// A roster key that is not the enrolled one.
    #[error("study.roster: {0}")]
    Roster(String),
    /// Our own disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A checkpoint that will not be cosigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// Not a checkpoint signed by the site's ledger key.
    #[error("witness.checkpoint: {0}")]
    Note(String),
    /// Another ledger than the one known for this site.
    #[error(
        "witness.origin: site {site} is known with ledger {known}: its dataset cannot start again with another; go on with \
         the first home, where `site-agent ledger recover` brings that ledger back"
    )]
    Origin {
        /// Who.
        site: SiteName,
        /// The known ledger's origin.
        known: String,
    },
    /// The ledger is older than what was cosigned: a restored disk, or a copy.
    #[error(
        "witness.rollback: the ledger of site {site} has {size} entries, but {known} were cosigned: its disk \
         was restored to an older state, or two agents share it"
    )]
    Rollback {
        /// Who.
        site: SiteName,
        /// Presented.
        size: u64,
        /// Cosigned.
        known: u64,
    },
    /// A change of the ledger's key that both keys did not sign.
    #[error("witness.key_change: {0}")]
    KeyChange(String),
    /// The presented ledger does not continue the cosigned one.
    #[error("witness.fork: the ledger of site {0} does not continue the one that was cosigned")]
    Fork(SiteName),
    /// The entries that came do not make the ledger.
    #[error("witness.entries: expected the entries from {from} to {size} that make the signed head")]
    Entries {
        /// The first that is not kept here.
        from: u64,
        /// Of the checkpoint.
        size: u64,
    },
    /// A statement about a checkpoint that is not the newest, or not by the witness's key.
    #[error("witness.statement: {0}")]
    Statement(String),
    /// The proof starts from another size than ours.
    #[error("witness.size: expected a proof from size {expected}, came {found}")]
    Size {
        /// Ours.
        expected: u64,
        /// Theirs.
        found: u64,
    },
}

struct Inner {
    store: Store,
    registry: Registry,
    studies: BTreeMap<Digest, StudyState>,
    last_seen: BTreeMap<SiteName, Time>,
    desk: witness::Desk,
}

/// See the module.
pub struct Hub {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    /// Blobs by digest, those that are files.
    pub blobs: Blobs,
    /// Where sites' streams wait for the study's secure sums.
    pub lobby: Lobby,
    key: SecretKey,
    /// The certificate authority.
    pub authority: Authority,
    /// DER of the authority's certificate.
    pub authority_certificate: Vec<u8>,
}

impl Inner {
    /// Keeps what was decided on the registry, then applies it.
    fn keep_registry(&mut self, event: SiteEvent) -> Result<(), StoreError> {
        let version = self.registry.version();
        self.store.append(SITES_STREAM, version, std::slice::from_ref(&event))?;
        self.registry = std::mem::take(&mut self.registry).apply(event);
        Ok(())
    }
}

impl Hub {
    /// Replays the store.
    ///
    /// # Errors
    /// The disk, or a store that does not replay.
    pub fn open(
        store: Store,
        key: SecretKey,
        authority: Authority,
        authority_certificate: Vec<u8>,
    ) -> Result<Self, HubError> {
        let blobs = store.blobs();
        let registry = Registry::replay(store.read::<SiteEvent>(SITES_STREAM)?);
        let mut studies = BTreeMap::new();
        for stream in store.streams(STUDY_PREFIX)? {
            let mut events = store.read::<StudyEvent>(&stream)?.into_iter();
            let Some(StudyEvent::Published { study, .. }) = events.next() else {
                return Err(
                    StoreError::Corrupt(format!("stream {stream} does not start with published")).into()
                );
            };
            let file = store.blob(&study)?;
            let parsed = consilium_common::study::parse(&file)
                .map_err(|mistakes| StoreError::Corrupt(format!("stream {stream}: {mistakes}")))?;
            studies.insert(study, events.fold(StudyState::new(parsed), StudyState::apply));
        }
        let inner =
            Inner { store, registry, studies, last_seen: BTreeMap::new(), desk: witness::Desk::new(now()) };
        let (changed, _) = watch::channel(0);
        let lobby = Lobby::default();
        Ok(Self { inner: Mutex::new(inner), changed, blobs, lobby, key, authority, authority_certificate })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder of the lock panics while it changes state")
    }

    /// Wakes when anything changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Signs cosignatures, receipts and starts.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Signs a statement.
    pub fn sign<T: consilium_common::signed::Statement>(&self, value: &T) -> Signed<T> {
        Signed::new(value, &self.key)
    }

    /// Which site this certificate speaks for; asked on every call.
    ///
    /// # Errors
    /// Unknown, revoked or replaced.
    pub fn admit(&self, site: &SiteName, certificate: &Digest) -> Result<(), HubError> {
        let mut inner = self.lock();
        inner.registry.admit(site, certificate)?;
        inner.last_seen.insert(site.clone(), now());
        Ok(())
    }

    /// The registry as it stands, and when each site was last heard of since the start.
    #[must_use]
    pub fn registry(&self) -> (Registry, BTreeMap<SiteName, Time>) {
        let inner = self.lock();
        (inner.registry.clone(), inner.last_seen.clone())
    }

    /// Decides on the registry, keeps, applies.
    ///
    /// # Errors
    /// The rules, or the disk.
    pub fn change_registry(
        &self,
        decide: impl FnOnce(&Registry, Time) -> Result<SiteEvent, RegistryRefusal>,
    ) -> Result<(), HubError> {
        let mut inner = self.lock();
        let event = decide(&inner.registry, now())?;
        inner.keep_registry(event)?;
        drop(inner);
        self.announce();
        Ok(())
    }

    /// Wakes whoever waits for a change.
    pub fn announce(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Publishes a study's exact bytes. The same bytes again change nothing.
    ///
    /// # Errors
    /// Not a study (every mistake in the text), or a roster that does not fit the enrolled sites.
    pub fn publish(&self, file: &[u8]) -> Result<Digest, HubError> {
        let study = consilium_common::study::parse(file)
            .map_err(|mistakes| HubError::InvalidStudy(mistakes.to_string()))?;
        let digest = study.digest;
        let mut inner = self.lock();
        if inner.studies.contains_key(&digest) {
            return Ok(digest);
        }
        if inner
            .studies
            .values()
            .any(|other| other.study.id == study.id && other.study.version == study.version)
        {
            return Err(HubError::Roster(format!(
                "study {} version {} was published with other bytes; give it a new version",
                study.id, study.version
            )));
        }
        if study.governance.valid_until < now().day() {
            return Err(StudyRefusal::not_valid_now(&study.governance).into());
        }
        let wrong: Vec<String> = study
            .sites
            .iter()
            .filter_map(|site| match inner.registry.site(&site.name).and_then(|record| record.ledger_key) {
                None => Some(format!("site {} is not enrolled", site.name)),
                Some(key) if key != site.key => Some(format!(
                    "site {} is enrolled with key {key}, the roster has {}",
                    site.name, site.key
                )),
                Some(_) => None,
            })
            .collect();
        if !wrong.is_empty() {
            return Err(HubError::Roster(wrong.join("; ")));
        }
        self.blobs.put(file)?;
        inner.store.append(&stream(&digest), 0, &[StudyEvent::Published { study: digest, time: now() }])?;
        inner.studies.insert(digest, StudyState::new(study));
        drop(inner);
        self.announce();
        Ok(digest)
    }

    /// A study by its id (the newest published of that id) or digest (with or without `sha256:`).
    ///
    /// # Errors
    /// No such study.
    pub fn find(&self, name: &str) -> Result<Digest, HubError> {
        let inner = self.lock();
        let by_digest = inner.studies.keys().find(|d| d.to_string() == name || d.hex() == name);
        if let Some(digest) = by_digest {
            return Ok(*digest);
        }
        let mut by_id: Vec<_> = inner.studies.values().filter(|s| s.study.id.as_str() == name).collect();
        by_id.sort_by(|a, b| a.study.version.cmp(&b.study.version));
        by_id
            .last()
            .map(|s| s.study.digest)
            .ok_or_else(|| HubError::UnknownStudy(name.chars().take(80).collect()))
    }

    /// A study as it stands.
    ///
    /// # Errors
    /// No such study.
    pub fn study(&self, digest: &Digest) -> Result<StudyState, HubError> {
        self.lock().studies.get(digest).cloned().ok_or_else(|| HubError::UnknownStudy(digest.to_string()))
    }

    /// Looks at every study.
    pub fn with_studies<T>(&self, look: impl FnOnce(&BTreeMap<Digest, StudyState>) -> T) -> T {
        look(&self.lock().studies)
    }

    /// The next task of a site, over all studies.
    #[must_use]
    pub fn task_for(&self, site: &SiteName) -> Option<Task> {
        self.lock().studies.values().find_map(|study| study.task_for(site))
    }

    /// Decides on a study, keeps, applies, announces.
    ///
    /// # Errors
    /// No such study, its rules, or the disk.
    pub fn change_study(
        &self,
        digest: &Digest,
        decide: impl FnOnce(&StudyState, Time) -> Result<Vec<StudyEvent>, StudyRefusal>,
    ) -> Result<(), HubError> {
        self.change_study_with(digest, &[], decide)
    }

    /// As [`Hub::change_study`], with the bytes of blobs that the events name.
    ///
    /// # Errors
    /// As there.
    pub fn change_study_with(
        &self,
        digest: &Digest,
        blobs: &[(Digest, &[u8])],
        decide: impl FnOnce(&StudyState, Time) -> Result<Vec<StudyEvent>, StudyRefusal>,
    ) -> Result<(), HubError> {
        let mut inner = self.lock();
        let state = inner.studies.get(digest).ok_or_else(|| HubError::UnknownStudy(digest.to_string()))?;
        let events = decide(state, now())?;
        if events.is_empty() {
            return Ok(());
        }
        let version = state.version;
        inner.store.append_with(&stream(digest), version, &events, blobs)?;
        let state = inner.studies.remove(digest).expect("was there");
        inner.studies.insert(*digest, events.into_iter().fold(state, StudyState::apply));
        drop(inner);
        self.announce();
        Ok(())
    }

    /// A look at one study.
    ///
    /// # Errors
    /// No such study.
    pub fn with_study<T>(&self, digest: &Digest, look: impl FnOnce(&StudyState) -> T) -> Result<T, HubError> {
        let inner = self.lock();
        inner.studies.get(digest).map(look).ok_or_else(|| HubError::UnknownStudy(digest.to_string()))
    }

    /// The bytes of a blob.
    ///
    /// # Errors
    /// The disk, or bytes that are not what was written.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>, HubError> {
        Ok(self.lock().store.blob(digest)?)
    }

    /// The study's events after the first `after`.
    ///
    /// # Errors
    /// The disk.
    pub fn events(&self, digest: &Digest, after: u64) -> Result<Vec<StudyEvent>, HubError> {
        Ok(self.lock().store.read_after(&stream(digest), after)?)
    }

    /// Starts a study whose initial model is a durable blob.
    ///
    /// # Errors
    /// Its rules, a site that approved and was revoked or changed its key since, or the disk.
    pub fn start(&self, digest: &Digest, model: Digest) -> Result<(), HubError> {
        let (registry, _) = self.registry();
        let published = self.study(digest)?;
        let changed = published.study.sites.iter().find(|site| {
            let key = registry.site(&site.name).and_then(|record| record.ledger_key);
            published.approved().contains(&site.name) && key.is_some_and(|key| key != site.key)
        });
        if let Some(site) = changed {
            return Err(HubError::Roster(format!(
                "site {} has changed its ledger key since it approved; publish a new version with the new key",
                site.name
            )));
        }
        if let Some(site) = self
            .study(digest)?
            .approved()
            .into_iter()
            .find(|site| registry.site(site).is_none_or(|record| record.certificate.is_none()))
        {
            return Err(HubError::Roster(format!(
                "site {site} approved and is revoked now; publish a new version without it"
            )));
        }
        self.change_study(digest, |state, now| {
            let sign = |approvals: Vec<Signed<Approval>>| {
                let start = Start { study: *digest, approvals, time: now, coordinator: self.key.public() };
                Signed::new(&start, &self.key)
            };
            state.decide_start(sign, model, now)
        })
    }

    /// What was cosigned last for a site.
    ///
    /// # Errors
    /// The disk.
    pub fn witnessed(&self, site: &SiteName) -> Result<Option<Witnessed>, HubError> {
        Ok(self.lock().store.witnessed(site)?)
    }
}

fn stream(digest: &Digest) -> String {
    format!("{STUDY_PREFIX}{}", digest.hex())
}
