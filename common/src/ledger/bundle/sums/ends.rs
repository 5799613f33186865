//! What ledgers know of sums, held against those that the bundle has.

use super::{Audit, Compared, Faults, Finding, Models, Place};
use crate::id::SiteName;
use crate::ledger::bundle::SumReport;
use crate::ledger::bundle::site::ledger_folder;
use crate::ledger::rules::{Masked, Slot};
use crate::study::secure::Summed;
use std::collections::{BTreeMap, BTreeSet};

impl Audit<'_> {
    /// Every sum that a ledger knows of is in the bundle; masked vectors that ended in none are for the model of
    /// their step, and counted. What rests on a sum that is missing or at fault is not judged, and counted.
    pub(super) fn loose_ends(&mut self, compared: &Compared<'_>, models: &Models, faults: &mut Faults) {
        let place = |sum: &SumReport| match sum.slot {
            Slot::Round(round) => (0, round, sum.attempt),
            Slot::Grouping(earmark) => (earmark, earmark, sum.attempt),
        };
        let held: BTreeMap<Place, BTreeSet<SiteName>> =
            self.sums.iter().map(|sum| (place(sum), sum.survivors.iter().cloned().collect())).collect();
        // Sums that are not here, and vectors that no sum leads to: the first of each, and how many more.
        let (mut unheld, mut stray) = (BTreeMap::<Place, (Finding, u64)>::new(), None::<(Finding, u64)>);
        for (&site, vectors) in &compared.vectors {
            let mut in_vain = 0_u64;
            for (place, (entry, masked)) in vectors {
                let (earmark, step, attempt) = *place;
                let at_fault = faults.is_at((earmark, step));
                let which = || Summed::of_earmark(earmark).attempt_words(step, attempt);
                match (held.get(place), &masked.ended) {
                    (Some(survivors), _) if survivors.contains(site) => {}
                    (_, Some(_)) if at_fault => faults.entries += 1,
                    (Some(_), Some(ended)) => self.found_in(
                        &ledger_folder(site),
                        ended.entry,
                        format!("says that it is in the sum of {}, which is without it", which()),
                    ),
                    (None, Some(ended)) => {
                        let what = format!("the sum of {} is not in the bundle", which());
                        let finding = Finding::new("missing", &ledger_folder(site), Some(ended.entry), what);
                        unheld.entry(*place).and_modify(|(_, more)| *more += 1).or_insert((finding, 0));
                    }
                    (_, None) => {
                        in_vain += u64::from(!at_fault);
                        match masked_in_vain(masked, models) {
                            InVain::Right => {}
                            InVain::Unknown => faults.entries += 1,
                            InVain::OtherModel(what) => self.found_in_vain(site, *entry, what),
                            InVain::NoSum(what) => match &mut stray {
                                Some((_, more)) => *more += 1,
                                None => stray = Some((vain(site, *entry, what), 0)),
                            },
                        }
                    }
                }
            }
            if in_vain > 0 {
                self.notes
                    .push(format!("{site}: masked vectors in no sum (failed, or without it): {in_vain}"));
            }
        }
        for (finding, more) in unheld.into_values().chain(stray) {
            let Finding { what, .. } = &finding;
            let what =
                if more == 0 { what.clone() } else { format!("{what}; and {more} entries more say as much") };
            self.findings.push(Finding { what, ..finding });
        }
    }

    fn found_in_vain(&mut self, site: &SiteName, entry: u64, what: String) {
        self.findings.push(vain(site, entry, what));
    }
}

fn vain(site: &SiteName, entry: u64, what: String) -> Finding {
    Finding::new("commitment", &ledger_folder(site), Some(entry), what)
}

/// A masked vector that came to no sum.
enum InVain {
    /// For the model of its step.
    Right,
    /// Which that is, is not known: a sum before it is at fault.
    Unknown,
    /// For another one.
    OtherModel(String),
    /// There is no such step here.
    NoSum(String),
}

/// What came to no sum was asked for the model that the sums before lead to, and no other.
fn masked_in_vain(masked: &Masked, models: &Models) -> InVain {
    let (step, own) = (masked.step, masked.model);
    let which = Summed::of_earmark(masked.earmark).attempt_words(step, masked.attempt);
    let whose = format!("has a masked vector of {which} for the model {own}");
    let model = if masked.earmark == Summed::Training.earmark() {
        // Unknown is not the same as one that there cannot be.
        let known = usize::try_from(step).ok().and_then(|step| models.rounds.get(step));
        match known {
            None => {
                let before = Summed::Training.words(step.saturating_sub(1));
                return InVain::NoSum(format!("{whose}, the bundle has no sum of {before}"));
            }
            Some(model) => *model,
        }
    } else {
        models.last
    };
    match model {
        None => InVain::Unknown,
        Some(model) if model == own => InVain::Right,
        Some(model) => InVain::OtherModel(format!("{whose}, what came before leads to {model}")),
    }
}
