//! Secure sums in a ledger: blocks of uses, burnt before it is known what for; masked vectors, each on
//! a use of its own; and how each attempt ended.
//!
//! Invariants: a use belongs to one block and has at most one masked vector; uses rise, and so do the
//! attempts of an earmark, so that neither is ever taken up again, whatever a coordinator asks.

use super::{Broken, Slot, State, broken};
use crate::id::{Digest, SiteName};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A `reserve_block`, and how far it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The study.
    pub study: Digest,
    /// Index into its earmarks.
    pub earmark: u32,
    /// First use burnt.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// When it was burnt.
    pub time: Time,
    /// The first use that has no masked vector.
    next: u64,
    aborted: bool,
    /// The `recovered` that ended it.
    recovered: Option<u64>,
}

/// A `commit_sum`: a masked vector that may have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The study.
    pub study: Digest,
    /// Index into its earmarks.
    pub earmark: u32,
    /// Index of the `reserve_block`.
    pub reserve: u64,
    /// Which use.
    pub index: u64,
    /// Round of training, or the earmark's index.
    pub step: u32,
    /// Try at the step.
    pub attempt: u32,
    /// The session.
    pub session: Digest,
    /// Digest of the model.
    pub model: Digest,
    /// Digest of the masked lanes.
    pub output: Digest,
    /// When it was committed.
    pub time: Time,
    /// How the attempt ended, if this site learnt it.
    pub ended: Option<Ended>,
}

/// A `sum`: how an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its index.
    pub entry: u64,
    /// Who is in the sum, in order.
    pub survivors: Vec<SiteName>,
    /// Digest of the sum.
    pub sum: Digest,
    /// Digest of the transcript.
    pub transcript: Digest,
}

/// All of a ledger's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    blocks: BTreeMap<u64, Block>,
    masked: BTreeMap<u64, Masked>,
    /// The newest masked vector for each earmark of each study: step and attempt, use.
    last: BTreeMap<(Digest, u32), ((u32, u32), u64)>,
}

impl Block {
    pub(super) const fn new(study: Digest, earmark: u32, first: u64, count: u64, time: Time) -> Self {
        Self { study, earmark, first, count, time, next: first, aborted: false, recovered: None }
    }

    /// The next use that a masked vector may be committed on.
    #[must_use]
    pub const fn next_use(&self) -> Option<u64> {
        let ended = self.aborted || self.recovered.is_some();
        if ended || self.next == self.first + self.count { None } else { Some(self.next) }
    }

    /// How many uses have no masked vector and may still have one.
    #[must_use]
    pub const fn uses_left(&self) -> u64 {
        match self.next_use() {
            Some(next) => self.first + self.count - next,
            None => 0,
        }
    }
}

impl Masked {
    /// Whether it is for this attempt of this round or grouping.
    #[must_use]
    pub fn is_for(&self, slot: Slot, attempt: u32) -> bool {
        let place = match slot {
            Slot::Round(round) => (0, round),
            Slot::Grouping(earmark) => (earmark, earmark),
        };
        (self.earmark, self.step) == place && self.attempt == attempt
    }
}

impl Sums {
    pub(super) fn reserve(&mut self, entry: u64, block: Block) {
        self.blocks.insert(entry, block);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of an entry")]
    pub(super) fn commit(
        &mut self,
        entry: u64,
        reserve: u64,
        index: u64,
        (step, attempt): (u32, u32),
        session: Digest,
        model: Digest,
        output: Digest,
        time: Time,
    ) {
        let block = self.blocks.get_mut(&reserve).expect("checked: the block is there");
        block.next = index + 1;
        let Block { study, earmark, .. } = *block;
        self.last.insert((study, earmark), ((step, attempt), index));
        let ended = None;
        let masked =
            Masked { study, earmark, reserve, index, step, attempt, session, model, output, time, ended };
        self.masked.insert(entry, masked);
    }

    pub(super) fn end(&mut self, commit: u64, ended: Ended) {
        self.masked.get_mut(&commit).expect("checked: the commit is there").ended = Some(ended);
    }

    /// Whether it was a block.
    pub(super) fn abort(&mut self, entry: u64) -> bool {
        self.blocks.get_mut(&entry).map(|block| block.aborted = true).is_some()
    }

    /// A block that was open at the `recovered` at this entry.
    pub(super) fn end_recovered(&mut self, block: u64, entry: u64) {
        self.blocks.get_mut(&block).expect("listed").recovered = Some(entry);
    }
}

impl State {
    /// The block at an index.
    #[must_use]
    pub fn block(&self, entry: u64) -> Option<&Block> {
        self.sums.blocks.get(&entry)
    }

    /// Every `reserve_block` of a study, with its index, in order.
    pub fn blocks(&self, study: &Digest) -> impl Iterator<Item = (u64, &Block)> {
        self.sums.blocks.iter().filter(move |(_, block)| block.study == *study).map(|(at, b)| (*at, b))
    }

    /// Blocks of open studies with uses that no masked vector was committed on, in order.
    #[must_use]
    pub fn open_blocks(&self) -> Vec<(u64, Block)> {
        let open = |block: &Block| {
            block.next_use().is_some() && self.study(&block.study).is_some_and(|study| study.closed.is_none())
        };
        self.sums.blocks.iter().filter(|(_, block)| open(block)).map(|(at, block)| (*at, *block)).collect()
    }

    /// Every masked vector of a study, with the index of its `commit_sum`, in order.
    pub fn masked(&self, study: &Digest) -> impl Iterator<Item = (u64, &Masked)> {
        self.sums.masked.iter().filter(move |(_, masked)| masked.study == *study).map(|(at, m)| (*at, m))
    }

    /// Step and attempt that a masked vector was committed for last, of an earmark: the next is later.
    #[must_use]
    pub fn last_attempt(&self, study: &Digest, earmark: u32) -> Option<(u32, u32)> {
        self.sums.last.get(&(*study, earmark)).map(|(attempt, _)| *attempt)
    }

    pub(super) fn check_block(&self, rule: &'static str, entry: u64, block: &Block) -> Result<(), Broken> {
        self.open_study(&block.study)?;
        if block.aborted {
            return broken(rule, format!("entry {entry} is aborted already"));
        }
        if let Some(at) = block.recovered {
            return broken(rule, format!("entry {entry} is from before the recovery at entry {at}"));
        }
        if block.next_use().is_none() {
            return broken(rule, format!("every use of entry {entry} has its masked vector"));
        }
        Ok(())
    }

    pub(super) fn check_commit_sum(
        &self,
        reserve: u64,
        index: u64,
        (step, attempt): (u32, u32),
    ) -> Result<(), Broken> {
        const RULE: &str = "ledger.commit_sum";
        let Some(block) = self.block(reserve) else {
            return broken(RULE, format!("entry {reserve} is no block"));
        };
        self.check_block(RULE, reserve, block)?;
        if block.next_use() != Some(index) {
            return broken(RULE, format!("the next use of entry {reserve} is {}, came {index}", block.next));
        }
        let record = self.open_study(&block.study)?;
        let (declared, _) = record.earmark(block.earmark).expect("checked: a block is of an earmark");
        if !declared.is_training() && step != block.earmark {
            return broken(RULE, format!("{} is step {}, came {step}", declared.name, block.earmark));
        }
        let Some((last, used)) = self.sums.last.get(&(block.study, block.earmark)) else { return Ok(()) };
        if index <= *used {
            return broken(RULE, format!("use {index} of {} after use {used}", declared.name));
        }
        if (step, attempt) <= *last {
            let name = &declared.name;
            let (last_step, last_attempt) = last;
            return broken(
                RULE,
                format!(
                    "step {step}, attempt {attempt} of {name} after step {last_step}, attempt {last_attempt}"
                ),
            );
        }
        Ok(())
    }

    pub(super) fn check_sum(&self, commit: u64, survivors: &[SiteName]) -> Result<(), Broken> {
        const RULE: &str = "ledger.sum";
        let Some(masked) = self.sums.masked.get(&commit) else {
            return broken(RULE, format!("entry {commit} is no masked vector's"));
        };
        let record = self.open_study(&masked.study)?;
        if masked.ended.is_some() {
            return broken(RULE, format!("the end of entry {commit} is recorded already"));
        }
        let known: BTreeSet<_> = record.participants.iter().map(|participant| &participant.site).collect();
        if !survivors.is_sorted_by(|a, b| a < b) || !survivors.iter().all(|site| known.contains(site)) {
            return broken(RULE, "expected participants, each once and in order".to_owned());
        }
        if !survivors.contains(self.site()) {
            return broken(RULE, format!("{} is not among the survivors", self.site()));
        }
        Ok(())
    }
}
