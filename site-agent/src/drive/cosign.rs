//! Cosignatures for this site's own ledger: from the coordinator, and from another participant where
//! the study has three or more.

use super::agent::Agent;
use super::failed::{Stop, TaskError};
use crate::ledger::LedgerError;
use crate::link::{CallError, Link};
use crate::task;
use crate::witness::Said;
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::PublicKey;
use consilium_common::ledger::checkpoint::{Note, SITES_WITH_WITNESS};
use std::time::Duration;

/// How long one wait for another site may last; the task is asked for again after it.
const WITNESS_WAIT: Duration = Duration::from_secs(10);
/// Such waits before a ledger is handed over without.
const CLOSE_TRIES: u32 = 4;
/// Entries that go up with one checkpoint, bytes.
const ENTRIES_BYTES: usize = 1024 * 1024;

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
        self.cosign_by_coordinator(link).await?;
        self.have_witnessed(link, study, self.store.signed_size()).await
    }

    /// As [`Self::cosign`], by the coordinator alone: after this its copy has every entry.
    pub(super) async fn cosign_by_coordinator(&mut self, link: &mut Link) -> Result<(), TaskError> {
        self.store.flush()?;
        let size = self.store.signed_size();
        let mut told_again = false;
        loop {
            let entries = self.store.entries_from(self.kept, ENTRIES_BYTES)?;
            // Usually all that there are; a long ledger goes up in pieces.
            let upto = (self.kept + entries.len() as u64).max(self.cosigned);
            let note = self.store.checkpoint_at(upto).expect("no longer than the ledger");
            let proof = self.store.consistency_proof(self.cosigned, upto).expect("checked when it was told");
            let line = match link.cosign(self.cosigned, &proof, note.to_string(), entries).await {
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

    /// Waits for another participant's cosignature. Any one will do; but a witness that holds a note
    /// of ours which contradicts this ledger stops the agent, whatever the others say.
    async fn have_witnessed(&mut self, link: &mut Link, study: &Digest, size: u64) -> Result<(), TaskError> {
        let witnesses = self.witnesses(study)?;
        if witnesses.is_empty() || self.store.is_witnessed(&witnesses) {
            return Ok(());
        }
        for statement in link.fetch_witness(size, WITNESS_WAIT).await? {
            let Some((site, key)) = witnesses.iter().find(|(site, _)| *site == statement.site) else {
                continue;
            };
            match statement.said {
                Said::Cosigned(line) => match self.store.add_witness(site, key, &line) {
                    Err(error @ LedgerError::Cosignature(_)) => tracing::warn!("{error}"),
                    added => added?,
                },
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
        if self.store.is_witnessed(&witnesses) { Ok(()) } else { Err(TaskError::Unwitnessed) }
    }

    /// The other participants of a study, with the keys that this site checked when it opened it; none
    /// where they are too few. Of a study that is not in the ledger (yet, or on a restored disk not any
    /// more): the hospitals that the policy knows.
    pub(super) fn witnesses(&self, study: &Digest) -> Result<Vec<(SiteName, PublicKey)>, TaskError> {
        let sites: Vec<(SiteName, PublicKey)> = match self.store.state().study(study) {
            Some(record) => record.participants.iter().map(|p| (p.site.clone(), p.key)).collect(),
            None => self.home.policy()?.known_sites.into_iter().collect(),
        };
        let others: Vec<_> = sites.into_iter().filter(|(site, _)| *site != self.own.site).collect();
        Ok(if others.len() + 1 < SITES_WITH_WITNESS { Vec::new() } else { others })
    }

    /// As [`Self::cosign`]; but nothing more leaves under this study, and an auditor is better served
    /// by a ledger that one witness has not seen than by none.
    pub(super) async fn cosign_at_close(&mut self, link: &mut Link, study: &Digest) -> Result<(), TaskError> {
        for _ in 0..CLOSE_TRIES {
            match self.cosign(link, study).await {
                Err(TaskError::Unwitnessed) => {}
                done => return done,
            }
        }
        tracing::warn!(study = %study, "no other site has cosigned the ledger; it is handed over without");
        Ok(())
    }
}
