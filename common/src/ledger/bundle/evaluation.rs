//! Evaluation: each histogram against the ledger that committed to it and the noise that was paid.

use super::rounds::FinalModel;
use super::site::is_committed;
use super::{Audit, Output, SiteReport};
use crate::evaluation::histogram::{Histogram, PERSON_UNITS, groupings};
use crate::ledger::entry::Earmark;
use crate::ledger::rules::{Slot, State};
use crate::privacy::clip::sigma_units;
use crate::privacy::mechanism::Event;
use crate::study::Study;

/// The format of a histogram.
const SCHEMA: &str = "histogram/1";

impl Audit<'_> {
    /// Checks `evaluation/`.
    pub(super) fn evaluation(&mut self, study: &Study, sites: &[SiteReport], model: Option<&FinalModel>) {
        for (index, earmark) in (0..).zip(crate::study::earmarks(study)) {
            if earmark.is_training() {
                continue;
            }
            for site in sites {
                let file = format!("evaluation/{}/{}.json", earmark.name.replace('*', "+"), site.name);
                let Some(ledger) = &site.ledger else {
                    // Cannot be checked without a ledger, and that is a finding already.
                    self.seen.insert(file);
                    continue;
                };
                self.histogram(&file, study, ledger, (index, &earmark), model);
            }
        }
    }

    fn histogram(
        &mut self,
        file: &str,
        study: &Study,
        ledger: &State,
        (index, earmark): (u32, &Earmark),
        model: Option<&FinalModel>,
    ) {
        let (site, grouping) = (ledger.site(), &earmark.name);
        let slot = Slot::Grouping(index);
        let committed = ledger.committed(&study.digest, slot);
        if committed.is_none() && !self.files.has(file) {
            self.notes.push(format!("{site}: no release for {grouping}"));
            return;
        }
        let Some(bytes) = self.take(file) else { return };
        if let Err(what) = is_committed(ledger, &study.digest, slot, &bytes) {
            self.found_as("commitment", file, what);
        }
        self.outputs.push(Output::of(site, slot, file, &bytes));
        let histogram: Histogram = match serde_json::from_slice(&bytes) {
            Ok(histogram) => histogram,
            Err(error) => {
                self.found(file, error);
                return;
            }
        };
        let Some(sigma) = sigma_paid(&earmark.event) else {
            self.found(file, format!("the earmark for {grouping} has no Gaussian noise"));
            return;
        };
        let burn_model = ledger.slot(&study.digest, slot).map(|(_, burn)| burn.model);
        for (what, fits) in [
            ("schema", histogram.schema == SCHEMA),
            ("study", histogram.study == study.digest),
            ("site", histogram.site == *site),
            ("grouping", histogram.grouping == *grouping),
            ("model", model.is_none_or(|model| histogram.model == model.digest)),
            ("model in the ledger's release", burn_model.is_none_or(|model| histogram.model == model)),
            ("number of cells", Some(histogram.cells.len()) == cells(study, grouping)),
            ("sigma_units, less noise than was paid for", histogram.sigma_units >= sigma),
        ] {
            if !fits {
                self.found(file, format!("does not belong here: {what}"));
            }
        }
    }
}

/// σ in lattice units that the earmark was priced with; one person is [`PERSON_UNITS`].
fn sigma_paid(event: &Event) -> Option<u64> {
    match *event {
        Event::Gaussian { noise_multiplier, .. } => {
            sigma_units(PERSON_UNITS.unsigned_abs(), noise_multiplier).ok()
        }
        Event::PoissonGaussian { .. }
        | Event::Laplace { .. }
        | Event::PoissonLaplace { .. }
        | Event::MixtureGaussian { .. } => None,
    }
}

/// Groups × 2 outcomes × score bins; `None` for a grouping that the study lacks.
fn cells(study: &Study, grouping: &str) -> Option<usize> {
    let bins = study.evaluation.bin_edges.len() + 1;
    groupings(study).iter().find(|known| known.name == grouping).map(|known| known.cells(bins))
}
