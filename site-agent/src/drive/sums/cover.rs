//! Cosignatures that are awaited while steps run.

use crate::drive::agent::Agent;
use crate::drive::cosign::{WITNESS_WAIT, Witnesses};
use crate::drive::failed::TaskError;
use crate::link::{CallError, Link};
use crate::witness::Statement;
use consilium_common::id::Digest;
use consilium_common::ledger::checkpoint::Note;
use tokio::task::JoinHandle;

/// Cosignatures of the ledger as it was, on their way.
pub(super) struct Covering {
    /// For which study: other participants, other witnesses.
    study: Digest,
    /// Entries that they will cover.
    size: u64,
    note: Note,
    witnesses: Witnesses,
    answer: JoinHandle<Result<(String, Vec<Statement>), CallError>>,
}

impl Drop for Covering {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Covering {
    /// Waits for the answer; may be dropped while it waits, and called again until it has answered.
    pub(super) async fn answered(&mut self) -> Result<(String, Vec<Statement>), TaskError> {
        let answer = (&mut self.answer).await;
        Ok(answer.map_err(|_| TaskError::Local("asking for a cosignature failed".into()))??)
    }
}

impl Agent {
    /// Asks for cosignatures of all that is in the ledger now, without waiting for them. None where they
    /// were had at once: a ledger that is far ahead goes up in pieces.
    pub(super) async fn start_covering(
        &mut self,
        link: &mut Link,
        study: &Digest,
    ) -> Result<Option<Covering>, TaskError> {
        let Some(request) = self.cosign_request_of_all()? else {
            self.cosign(link, study).await?;
            return Ok(None);
        };
        let (size, witnesses) = (request.note.checkpoint.size, self.witnesses(study)?);
        let (mut link, note, asks) = (link.clone(), request.note.clone(), !witnesses.is_empty());
        let answer = tokio::spawn(async move {
            let line = request.send(&mut link).await?;
            let said = if asks { link.fetch_witness(size, WITNESS_WAIT).await?.0 } else { Vec::new() };
            Ok((line, said))
        });
        Ok(Some(Covering { study: *study, size, note, witnesses, answer }))
    }

    /// Keeps the cosignatures that came.
    ///
    /// # Errors
    /// As [`Agent::cosign`]: nobody has cosigned yet, or somebody has proof that this ledger was restored.
    pub(super) fn cover(
        &mut self,
        covering: &Covering,
        (line, said): (String, Vec<Statement>),
    ) -> Result<(), TaskError> {
        self.store.set_cosignature(&covering.note, &line)?;
        (self.cosigned, self.kept) = (covering.size, covering.size);
        self.heed_witnesses(said, &covering.witnesses, covering.size)?;
        self.covered.insert(covering.study, covering.size);
        Ok(())
    }
}
