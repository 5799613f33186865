//! Blocks of uses, burnt and cosigned ahead of the steps that take them up.
//!
//! Invariants: a use is begun once, in the process that burnt its block, after the block was cosigned by
//! the coordinator and, with three or more participants, by another site; a use that was begun ends in a
//! committed masked vector or with its block aborted.

use crate::drive::agent::{Agent, Begun};
use crate::drive::failed::TaskError;
use crate::task::{self, sums::Use};
use consilium_common::id::Digest;
use consilium_common::ledger::entry::Body;
use consilium_common::secagg::Slot;
use consilium_common::secagg::site::Reserve;
use consilium_common::study::Study;
use consilium_common::study::secure::Summed;
use std::collections::BTreeSet;

/// What an agent remembers of its blocks while it runs; none of it outlives the process.
#[derive(Debug, Default)]
pub(in crate::drive) struct Blocks {
    /// Blocks that this process burnt, by their entry.
    made: BTreeSet<u64>,
    /// Uses on which noise was drawn, or was about to be.
    begun: BTreeSet<(u64, u64)>,
    /// How the last attempt ended: written with the next entry, since nothing waits for it.
    ended: Option<Body>,
}

/// A use of a cosigned block, taken up for one attempt from one model: the only thing on which a masked
/// vector is committed. With it comes what a share of noise is drawn on.
pub(super) struct BegunUse {
    reserve: Reserve,
    block: u64,
}

impl BegunUse {
    /// As the protocol wants it.
    pub(super) const fn reserve(&self) -> &Reserve {
        &self.reserve
    }
}

impl Agent {
    /// The next use that this process may take up, and how many there are.
    pub(super) fn uses(&self, study: &Digest, summed: Summed) -> (Option<Use>, u64) {
        let made = &self.blocks.made;
        task::sums::uses(study, self.store.state(), summed, |block| made.contains(&block))
    }

    /// Whether the block of a study's use was cosigned, by the coordinator and whoever else has to for
    /// that study: what sufficed for a study of two hospitals does not for one of three.
    pub(super) fn is_covered(&self, study: &Digest, of: Use) -> bool {
        self.covered.get(study).is_some_and(|size| of.reserve < *size)
    }

    /// Burns the next block.
    pub(super) fn burn_block(&mut self, study: &Study, summed: Summed) -> Result<(), TaskError> {
        let policy = self.policy()?;
        let body = task::sums::block(&self.facts(study, &policy), summed)?;
        let block = self.append_with_end(vec![body])?;
        self.blocks.made.insert(block);
        Ok(())
    }

    /// The line that nothing of an attempt crosses without a cosignature, and that is crossed once for
    /// each use.
    pub(super) fn begin_use(
        &mut self,
        study: &Study,
        of: Use,
        slot: Slot,
        model: Digest,
    ) -> Result<(Begun, BegunUse), TaskError> {
        if !self.is_covered(&study.digest, of) {
            return Err(TaskError::Local(format!("ledger entry {} is not cosigned", of.reserve)));
        }
        assert!(self.blocks.made.contains(&of.reserve), "a block of another process is aborted at the start");
        assert!(self.blocks.begun.insert((of.reserve, of.index)), "a use is computed on once");
        let reserve = Reserve { study: study.digest, slot, model, use_index: of.index };
        Ok((Begun::new(), BegunUse { reserve, block: of.reserve }))
    }

    /// Writes down, before it is sent, that a masked vector was made on a use. The entry's index.
    pub(super) fn commit_sum(
        &mut self,
        begun: &BegunUse,
        session: Digest,
        output: Digest,
    ) -> Result<u64, TaskError> {
        let Reserve { study, slot, model, use_index } = begun.reserve;
        let body = Body::CommitSum {
            reserve: begun.block,
            index: use_index,
            step: slot.step,
            attempt: slot.attempt,
            session,
            model,
            output,
        };
        let at = self.store.state().size() + u64::from(self.blocks.ended.is_some());
        let bodies = self.cohort_version(&study, at).into_iter().chain([body]).collect();
        let entry = match self.append_with_end(bodies) {
            Ok(entry) => entry,
            // Nothing leaves, and the use, like its block, is never taken up again.
            Err(error) => {
                self.blocks.made.remove(&begun.block);
                return Err(error);
            }
        };
        self.blocks.begun.remove(&(begun.block, use_index));
        Ok(entry)
    }

    /// A use that was begun and has no masked vector: the rest of its block goes with it.
    pub(super) fn abort_block(&mut self, begun: &BegunUse) -> Result<(), TaskError> {
        self.blocks.made.remove(&begun.block);
        self.append_with_end(vec![task::interrupted(begun.block)]).map(|_| ())
    }

    /// Keeps how an attempt ended until the next entry is written.
    pub(super) fn note_end(&mut self, ended: Body) -> Result<(), TaskError> {
        self.write_end()?;
        self.blocks.ended = Some(ended);
        Ok(())
    }

    /// Writes how the last attempt ended, if that is not written yet.
    pub(in crate::drive) fn write_end(&mut self) -> Result<(), TaskError> {
        match self.blocks.ended.take() {
            Some(ended) => self.append(ended).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Appends these, and what waits before them, durably at once. The index of the last.
    fn append_with_end(&mut self, bodies: Vec<Body>) -> Result<u64, TaskError> {
        let bodies = self.blocks.ended.take().into_iter().chain(bodies).collect();
        Ok(self.append_quickly(bodies)?.end - 1)
    }
}
