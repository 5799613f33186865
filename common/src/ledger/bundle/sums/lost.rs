//! Masked vectors whose record was lost with a site's disk.
//!
//! An agent writes a `commit_sum` before a masked vector leaves, but it is not cosigned by then: only its block
//! was. Where the disk is lost, the coordinator's copy of the ledger ends at the newest cosignature, and the
//! records after it are gone for good. The `recovered` after such a loss says so, and this module holds it
//! against the sums that the site is in.
//!
//! # Privacy
//! Unit: one person at one site; neighbours: add or remove one person. Such a vector is charged and bound as any
//! other, by what is left:
//!
//! - *Charged.* A vector is explained only by a use of its own, in a block of its earmark that stood open, and
//!   unused, in the copy. That use is burnt since the block was, and counts in every budget, whatever became of
//!   it. The rules end the block at the `recovered`, so that nothing later is committed on it: no use pays for a
//!   vector that a ledger has and for one that it lost. More vectors than such uses are a finding. So no ledger,
//!   not even one that was written to deceive, explains more vectors than its site's budget was charged for.
//! - *Its place.* Attempts rise with the entries of a ledger. A lost one comes after every attempt of its
//!   earmark recorded before the `recovered`, and before every one after it.
//! - *Bound.* What the lost entry said, the site's own signature on the survivors says too, under the same
//!   key: study, session, step, attempt, roster, model, and the digest of its masked lanes. A sum without that
//!   signature (the site dropped out after its vector had come) is not explained.
//! - *Once.* The noise of an attempt, its mask keys and its session lived in memory only, and are gone with the
//!   process. What is asked again is another session, under another use and with fresh noise.
//!
//! What is lost is the proof by time: that the record was there before the vector left. An entry of a ledger that
//! other parties cosigned says that instead, from the `recovered` on.

use super::{Compared, Place};
use crate::id::SiteName;
use crate::study::secure::Summed;
use std::collections::BTreeMap;

/// What was explained so far.
#[derive(Default)]
pub(super) struct Losses {
    /// By site, earmark, and the first `recovered` that may explain it.
    taken: BTreeMap<(SiteName, u32, u64), Taken>,
}

struct Taken {
    /// Uses that stood open at these recoveries.
    uses: u64,
    /// The blocks that they are in.
    blocks: Vec<u64>,
    /// The sums that took them.
    files: Vec<String>,
}

impl Losses {
    /// Whether the site's record of a masked vector in this sum may be lost with its disk; `Err` says why it
    /// may not, where a recovery comes into question at all.
    pub(super) fn explain(
        &mut self,
        compared: &Compared<'_>,
        site: &SiteName,
        place: Place,
        file: &str,
    ) -> Result<(), Option<String>> {
        let (earmark, step, attempt) = place;
        let (Some(ledger), Some(vectors)) = (compared.ledgers.get(site), compared.vectors.get(site)) else {
            return Err(None);
        };
        let own = || vectors.iter().filter(|((of, ..), _)| *of == earmark);
        let is_between = |recovered: u64| {
            own().all(|((_, s, a), (entry, _))| (*entry < recovered) == ((*s, *a) < (step, attempt)))
        };
        let of_it = |block: &&crate::ledger::rules::LeftOpen| {
            (block.study, block.earmark) == (compared.study.digest, earmark)
        };
        let fitting: Vec<_> = ledger
            .recoveries()
            .filter(|(entry, recovery)| recovery.blocks.iter().any(|b| of_it(&b)) && is_between(*entry))
            .collect();
        let Some((first, _)) = fitting.first() else { return Err(None) };
        let taken = self.taken.entry((site.clone(), earmark, *first)).or_insert_with(|| {
            let blocks = || fitting.iter().flat_map(|(_, recovery)| recovery.blocks.iter().filter(of_it));
            Taken {
                uses: blocks().map(|block| block.uses).sum(),
                blocks: blocks().map(|block| block.reserve).collect(),
                files: Vec::new(),
            }
        });
        if taken.files.len() as u64 >= taken.uses {
            let which = Summed::of_earmark(earmark).attempt_words(step, attempt);
            return Err(Some(format!(
                "its ledger has no masked vector for {which}; the recovery at entry {first} \
                 left {} uses without one, and the sums before this one took them all",
                taken.uses
            )));
        }
        taken.files.push(file.to_owned());
        Ok(())
    }

    /// What was explained, a line for each site, earmark and recovery.
    pub(super) fn notes(&self) -> impl Iterator<Item = String> {
        self.taken.iter().filter(|(_, taken)| !taken.files.is_empty()).map(|((site, _, entry), taken)| {
            let Taken { uses, blocks, files } = taken;
            let of = match &files[..] {
                [one] => format!("its masked vector in {one}"),
                several => format!(
                    "its {} masked vectors in {} to {}",
                    several.len(),
                    several[0],
                    several[several.len() - 1]
                ),
            };
            let blocks: Vec<_> = blocks.iter().map(u64::to_string).collect();
            format!(
                "{site}: its record of {of} was lost with its disk, says entry {entry} (recovered); {uses} uses \
                 of the blocks of entries {} were burnt there and stay burnt, and its signature on the survivors \
                 is in each file",
                blocks.join(", ")
            )
        })
    }
}
