//! A ledger that was taken back from a copy, after its disk was lost: the copy ends at the last entry that
//! somebody else keeps, and what was written after it is gone.
//!
//! Invariant: nothing that was open in the copy is ever used again. What the lost entries had made of it
//! (masked vectors, outputs) cannot be known here, so that a use taken up again could be a use taken up
//! twice.

use super::{Broken, Outcome, State, broken};
use crate::id::Digest;
use crate::time::Time;

/// A `recovered`: what it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// When it was written.
    pub time: Time,
    /// Blocks of open studies that had uses left.
    pub blocks: Vec<LeftOpen>,
    /// Reserves and releases of open studies that had no output, by their entries.
    pub reserves: Vec<u64>,
}

/// A block that was open in the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOpen {
    /// Index of the `reserve_block` entry.
    pub reserve: u64,
    /// The study.
    pub study: Digest,
    /// Index into its earmarks.
    pub earmark: u32,
    /// Uses without a masked vector in the copy. They are burnt; as many masked vectors at most were
    /// committed on them in the entries that are lost.
    pub uses: u64,
}

impl State {
    /// Every `recovered`, with its index, in order.
    pub fn recoveries(&self) -> impl Iterator<Item = (u64, &Recovery)> {
        self.recoveries.iter().map(|(entry, recovery)| (*entry, recovery))
    }

    /// The copy had all entries before this one, and no others.
    pub(super) fn check_recovered(&self, entries: u64) -> Result<(), Broken> {
        let found = self.size();
        if entries != found {
            let what = format!("recovered from a copy of {entries} entries, {found} come before it");
            return broken("ledger.recovered", what);
        }
        Ok(())
    }

    /// Ends what is open.
    pub(super) fn recover(&mut self, time: Time) {
        let entry = self.size();
        let left = |(reserve, block): (u64, super::Block)| LeftOpen {
            reserve,
            study: block.study,
            earmark: block.earmark,
            uses: block.uses_left(),
        };
        let blocks: Vec<LeftOpen> = self.open_blocks().into_iter().map(left).collect();
        let reserves: Vec<u64> = self.unfinished().into_iter().map(|(reserve, _)| reserve).collect();
        blocks.iter().for_each(|block| self.sums.end_recovered(block.reserve, entry));
        reserves.iter().for_each(|reserve| self.finish(*reserve, Outcome::Aborted));
        self.recoveries.insert(entry, Recovery { time, blocks, reserves });
    }
}
