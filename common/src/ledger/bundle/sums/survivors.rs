//! What the ledgers of a sum's survivors say of it. The same difference at several of them is one finding.

use super::{Audit, Checked, Compared, Finding};
use crate::id::SiteName;
use crate::secagg::{SumRecord, Survivor, Transcript};
use crate::study::secure::Summed;

/// What was found out about a sum's survivors.
#[derive(Default)]
pub(super) struct Survivors {
    differences: Vec<Difference>,
    /// Whether the ledger of one of them has recorded how it ended.
    pub(super) told: bool,
    /// Whose record was lost with a disk.
    pub(super) lost: Vec<SiteName>,
}

/// A ledger and a sum that do not fit together.
struct Difference {
    /// As [`Finding::kind`].
    kind: &'static str,
    /// What differs.
    of: &'static str,
    site: SiteName,
    what: String,
}

impl Audit<'_> {
    /// Every survivor's ledger against the sum; without a `transcript`, its own signatures do not hold.
    pub(super) fn survivors(
        &mut self,
        file: &str,
        compared: &Compared<'_>,
        summed: Summed,
        record: &SumRecord,
        transcript: Option<&Transcript>,
        checked: &mut Checked,
    ) -> Survivors {
        let mut found = Survivors::default();
        for survivor in &record.survivors {
            self.survivor(file, compared, summed, (record, survivor), transcript, checked, &mut found);
        }
        found
    }

    #[expect(clippy::too_many_arguments, reason = "what a survivor is compared with")]
    fn survivor(
        &mut self,
        file: &str,
        compared: &Compared<'_>,
        summed: Summed,
        (record, survivor): (&SumRecord, &Survivor),
        transcript: Option<&Transcript>,
        checked: &mut Checked,
        found: &mut Survivors,
    ) {
        let site = &survivor.site;
        // A site that is no participant, or has no ledger, is a finding already.
        let Some(vectors) = compared.vectors.get(site) else { return };
        let place = (summed.earmark(), record.step, record.attempt);
        let Some((entry, masked)) = vectors.get(&place) else {
            let signed = transcript.is_some() && survivor.signature.is_some();
            let explained =
                if signed { checked.losses.explain(compared, site, place, file) } else { Err(None) };
            match explained {
                Ok(()) => found.lost.push(site.clone()),
                Err(Some(what)) => found.differ("commitment", "more lost than burnt", site, what),
                Err(None) => {
                    let which = summed.attempt_words(record.step, record.attempt);
                    let recovered = compared.ledgers.get(site).and_then(|ledger| ledger.recoveries().last());
                    let unsigned = match recovered {
                        Some((entry, _)) if transcript.is_some() && !signed => format!(
                            ", and it did not sign the survivors, so that its recovery at entry {entry} does not \
                             explain it"
                        ),
                        _ => String::new(),
                    };
                    let what = format!("its ledger has no masked vector for {which}{unsigned}");
                    found.differ("commitment", "no masked vector", site, what);
                }
            }
            return;
        };
        for (of, own, came) in [
            ("the masked vector", masked.output, survivor.masked),
            ("the session", masked.session, record.session),
            ("the model", masked.model, record.model),
        ] {
            if own != came {
                let what = format!("entry {entry} of its ledger has {of} {own}, the sum {came}");
                return found.differ("commitment", of, site, what);
            }
        }
        let Some(ended) = &masked.ended else {
            self.notes.push(format!("{site}: its ledger does not say how entry {entry} ended, {file} does"));
            return;
        };
        found.told = true;
        let (Some(transcript), at) = (transcript, ended.entry) else { return };
        if !ended.survivors.iter().eq(record.survivors.iter().map(|survivor| &survivor.site)) {
            let names = ended.survivors.iter().map(SiteName::as_str).collect::<Vec<_>>().join(", ");
            let what = format!("entry {at} of its ledger has the survivors {names}");
            found.differ("transcript", "the survivors", site, what);
        } else if ended.sum != transcript.sum {
            let (own, came) = (ended.sum, transcript.sum);
            let what = format!("entry {at} of its ledger has the sum {own}, the integers here make {came}");
            found.differ("transcript", "the sum", site, what);
        } else if ended.transcript != transcript.digest() {
            let (own, came) = (ended.transcript, transcript.digest());
            let what = format!("entry {at} of its ledger has the transcript {own}, this file makes {came}");
            found.differ("transcript", "the transcript", site, what);
        }
    }
}

impl Survivors {
    fn differ(&mut self, kind: &'static str, of: &'static str, site: &SiteName, what: String) {
        self.differences.push(Difference { kind, of, site: site.clone(), what });
    }

    /// The first difference, in words.
    pub(super) fn clue(&self) -> Option<String> {
        self.differences.first().map(|first| format!("{}: {}", first.site, first.what))
    }

    /// One finding for each thing that differs: of the one site, or of the file where several say the same.
    pub(super) fn findings(&self, file: &str) -> Vec<Finding> {
        let is_first = |at: usize| !self.differences[..at].iter().any(|d| d.of == self.differences[at].of);
        (0..self.differences.len())
            .filter(|at| is_first(*at))
            .map(|at| {
                let Difference { kind, of, site, what } = &self.differences[at];
                let others: Vec<&str> = self.differences[at + 1..]
                    .iter()
                    .filter(|other| other.of == *of)
                    .map(|other| other.site.as_str())
                    .collect();
                if others.is_empty() {
                    let finding = Finding::new(kind, file, None, format!("{site}: {what}"));
                    return Finding { site: Some(site.clone()), ..finding };
                }
                let others = others.join(", ");
                Finding::new(kind, file, None, format!("{site}: {what}; as much for {others}"))
            })
            .collect()
    }
}
