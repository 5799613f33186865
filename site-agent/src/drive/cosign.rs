//! Cosignatures for this site's own ledger: from the coordinator, and from another participant where
//! the study has three or more.

use super::agent::Agent;
use super::failed::{Stop, TaskError};
use crate::link::{CallError, Link};
use crate::task;
use crate::witness::{Said, Statement};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::PublicKey;
use consilium_common::ledger::checkpoint::{Note, SITES_WITH_WITNESS};
use std::time::Duration;

/// How long one wait for another site may last; the task is asked for again after it.
pub(super) const WITNESS_WAIT: Duration = Duration::from_secs(10);
/// Such waits before a ledger is handed over without.
const CLOSE_TRIES: usize = 4;
/// Entries that go up with one checkpoint, bytes.
const ENTRIES_BYTES: usize = 1024 * 1024;
/// The same where the ledger's key changed among them: checkpoints before the change could be signed by the
/// old key only, so that the first one must reach it. As much as one message holds.
const ENTRIES_TO_KEY_CHANGE_BYTES: usize = 3 * 1024 * 1024;

/// Other participants, whose cosignature counts.
pub(super) type Witnesses = Vec<(SiteName, PublicKey)>;

/// How far the cosignature of another participant is.
enum Witnessing {
    /// There, or nobody's is asked for.
    Done,
    /// Nobody has cosigned so far.
    NotYet,
    /// As before; and the coordinator says that nobody is there who could. It is believed where nothing is
    /// released any more, at close: it could as well keep back what others say.
    Alone,
}

/// What the coordinator is asked to cosign.
pub(super) struct CosignRequest {
    pub(super) note: Note,
    old_size: u64,
    proof: Vec<Digest>,
    entries: Vec<Vec<u8>>,
}

impl CosignRequest {
    /// The coordinator's line, unverified.
    pub(super) async fn send(self, link: &mut Link) -> Result<String, CallError> {
        link.cosign(self.old_size, &self.proof, self.note.to_string(), self.entries).await
    }
}

impl Agent {
    /// Before this program writes its first entry: has what is here cosigned, so that a restored disk
    /// shows before it has a second past; then settles what a crash left behind.
    pub(super) async fn settle(&mut self, link: &mut Link, study: &Digest) -> Result<(), TaskError> {
        if self.settled {
            return Ok(());
        }
        self.cosign(link, study).await?;
        self.after_settling()
    }

    /// Reserves without an output are aborted and stay burnt.
    pub(super) fn after_settling(&mut self) -> Result<(), TaskError> {
        let aborts = task::recover(self.store.state());
        if !aborts.is_empty() {
            tracing::warn!(reserves = aborts.len(), "reserves were interrupted; they stay burnt");
            self.append_all(aborts)?;
        }
        self.settled = true;
        Ok(())
    }

    /// Has the whole ledger cosigned, so that a restored old disk cannot release anything twice: by
    /// the coordinator, and by another participant where the study has three or more.
    pub(super) async fn cosign(&mut self, link: &mut Link, study: &Digest) -> Result<(), TaskError> {
        match self.cosign_within(link, study, WITNESS_WAIT).await? {
            Witnessing::Done => Ok(()),
            Witnessing::NotYet | Witnessing::Alone => Err(TaskError::Unwitnessed),
        }
    }

    /// As [`Self::cosign`], where another participant has so long.
    async fn cosign_within(
        &mut self,
        link: &mut Link,
        study: &Digest,
        wait: Duration,
    ) -> Result<Witnessing, TaskError> {
        self.cosign_by_coordinator(link).await?;
        let size = self.store.signed_size();
        let witnessing = self.have_witnessed(link, study, size, wait).await?;
        if let Witnessing::Done = witnessing {
            self.covered.insert(*study, size);
        }
        Ok(witnessing)
    }

    /// As [`Self::cosign`], by the coordinator alone: after this its copy has every entry.
    pub(super) async fn cosign_by_coordinator(&mut self, link: &mut Link) -> Result<(), TaskError> {
        self.store.flush()?;
        let size = self.store.signed_size();
        let mut told_again = false;
        loop {
            let request = self.cosign_request()?;
            let (upto, note) = (request.note.checkpoint.size, request.note.clone());
            let line = match request.send(link).await {
                Err(CallError::Refused { message, .. }) => {
                    // Its size says whether this disk was restored. A coordinator that knows less than
                    // it did was restored itself: it is told again. Otherwise this is a fork.
                    let before = (self.cosigned, self.kept);
                    let hello = link.hello().await?;
                    self.greet(&hello)?;
                    if told_again || before == (self.cosigned, self.kept) {
                        return Err(Stop::NotCosigned(message).into());
                    }
                    told_again = true;
                    continue;
                }
                line => line?,
            };
            self.store.set_cosignature(&note, &line)?;
            (self.cosigned, self.kept) = (upto, upto);
            if upto == size {
                return Ok(());
            }
        }
    }

    /// For as many entries as go up at once.
    fn cosign_request(&self) -> Result<CosignRequest, TaskError> {
        let most =
            if self.key_changes_after(self.kept) { ENTRIES_TO_KEY_CHANGE_BYTES } else { ENTRIES_BYTES };
        let entries = self.store.entries_from(self.kept, most)?;
        // Usually all that there are; a long ledger goes up in pieces.
        let upto = (self.kept + entries.len() as u64).max(self.cosigned);
        let note = self.store.checkpoint_at(upto).expect("no longer than the ledger");
        let proof = self.store.consistency_proof(self.cosigned, upto).expect("checked when it was told");
        Ok(CosignRequest { note, old_size: self.cosigned, proof, entries })
    }

    /// For the whole ledger; none where that is more than goes up at once.
    pub(super) fn cosign_request_of_all(&self) -> Result<Option<CosignRequest>, TaskError> {
        let request = self.cosign_request()?;
        Ok((request.note.checkpoint.size == self.store.state().size()).then_some(request))
    }

    /// Waits for another participant's cosignature. Any one will do; but a witness that holds a note
    /// of ours which contradicts this ledger stops the agent, whatever the others say.
    async fn have_witnessed(
        &mut self,
        link: &mut Link,
        study: &Digest,
        size: u64,
        wait: Duration,
    ) -> Result<Witnessing, TaskError> {
        let witnesses = self.witnesses(study)?;
        if witnesses.is_empty() || self.store.is_witnessed(&witnesses) {
            return Ok(Witnessing::Done);
        }
        let (said, alone) = link.fetch_witness(size, wait).await?;
        match self.heed_witnesses(said, &witnesses, size) {
            Err(TaskError::Unwitnessed) if alone => Ok(Witnessing::Alone),
            Err(TaskError::Unwitnessed) => Ok(Witnessing::NotYet),
            heeded => heeded.map(|()| Witnessing::Done),
        }
    }

    /// Keeps what other participants said of the checkpoint of this size.
    pub(super) fn heed_witnesses(
        &mut self,
        said: Vec<Statement>,
        witnesses: &Witnesses,
        size: u64,
    ) -> Result<(), TaskError> {
        let mut lines = Vec::new();
        for statement in said {
            let Some((site, key)) = witnesses.iter().find(|(site, _)| *site == statement.site) else {
                continue;
            };
            match statement.said {
                Said::Cosigned(line) => lines.push((site, key, line)),
                Said::Refused { rule, known } => {
                    let known = Note::parse(known.as_bytes()).ok();
                    if let Some(known) = known.filter(|known| self.store.is_contradicted_by(known)) {
                        let (site, cosigned) = (site.clone(), known.checkpoint.size);
                        return Err(Stop::Contradicted { site, cosigned, found: size }.into());
                    }
                    tracing::warn!(witness = %site, rule, "another site does not cosign this ledger");
                }
            }
        }
        for error in self.store.add_witnesses(lines)? {
            tracing::warn!("{error}");
        }
        if witnesses.is_empty() || self.store.is_witnessed(witnesses) {
            Ok(())
        } else {
            Err(TaskError::Unwitnessed)
        }
    }

    /// The other participants of a study, with the keys that this site checked when it opened it; none
    /// where they are too few. Of a study that is not in the ledger (yet, or on a restored disk not any
    /// more): the hospitals that the policy knows.
    pub(super) fn witnesses(&self, study: &Digest) -> Result<Witnesses, TaskError> {
        let sites: Witnesses = match self.store.state().study(study) {
            Some(record) => record.participants.iter().map(|p| (p.site.clone(), p.key)).collect(),
            None => self.home.policy()?.known_sites.into_iter().collect(),
        };
        let others: Vec<_> = sites.into_iter().filter(|(site, _)| *site != self.own.site).collect();
        Ok(if others.len() + 1 < SITES_WITH_WITNESS { Vec::new() } else { others })
    }

    /// As [`Self::cosign`]; but nothing more leaves under this study, and an auditor is better served
    /// by a ledger that one witness has not seen than by none. Where nobody else is there, it is not waited
    /// for either.
    pub(super) async fn cosign_at_close(&mut self, link: &mut Link, study: &Digest) -> Result<(), TaskError> {
        // The first look does not wait: it tells whether to.
        let waits = std::iter::repeat_n(WITNESS_WAIT, CLOSE_TRIES);
        for wait in std::iter::once(Duration::ZERO).chain(waits) {
            match self.cosign_within(link, study, wait).await? {
                Witnessing::Done => return Ok(()),
                Witnessing::NotYet => {}
                Witnessing::Alone => break,
            }
        }
        tracing::warn!(study = %study, "no other site has cosigned the ledger; it is handed over without");
        Ok(())
    }
}
