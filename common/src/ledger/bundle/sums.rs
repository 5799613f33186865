//! Distributed mode: each secure sum against the ledger of every survivor, and the models recomputed from
//! the sums and the public initial model.

use super::rounds::{FinalModel, header_of};
use super::{Audit, Finding, SiteReport};
use crate::id::{Digest, SiteName};
use crate::ledger::rules::{Masked, Slot};
use crate::model::blob;
use crate::model::initial::initial_parameters;
use crate::model::step::ServerStep;
use crate::privacy::clip::Lattice;
use crate::secagg::{Agreement, InvalidRecord, SumRecord, Transcript};
use crate::study::secure::{self, Summed};
use crate::study::{RosterSite, Study};
use std::collections::{BTreeMap, BTreeSet};

/// A secure sum that the bundle holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumReport {
    /// What for.
    pub slot: Slot,
    /// The file, within the bundle.
    pub file: String,
    /// SHA-256 of its exact bytes.
    pub digest: Digest,
    /// Of the integers alone, as the ledgers have it.
    pub sum: Digest,
    /// The session.
    pub session: Digest,
    /// Which try it was.
    pub attempt: u32,
    /// The model that it started from, or that it judges.
    pub model: Digest,
    /// Whose masked vectors are in it, by name in order.
    pub survivors: Vec<SiteName>,
}

/// A sum that was read, and whether nothing in it is at fault.
struct Read {
    record: SumRecord,
    values: Vec<i64>,
    sound: bool,
    /// Whether a survivor's ledger says that it is the sum.
    told: bool,
}

/// What a site's masked vector was for: earmark, step, attempt.
type Place = (u32, u32, u32);

/// The masked vectors of each site, with the index of their entry.
type Vectors<'s> = BTreeMap<&'s SiteName, BTreeMap<Place, (u64, &'s Masked)>>;

/// The models that masked vectors may be for: nothing is known of one where a sum before it is at fault.
struct Models {
    /// By round; one more than there are sums.
    rounds: Vec<Option<Digest>>,
    last: Option<Digest>,
}

/// What a bundle's sums are compared with.
struct Compared<'s> {
    study: &'s Study,
    participants: Vec<&'s RosterSite>,
    vectors: Vectors<'s>,
}

impl Audit<'_> {
    /// Checks `sums/`, `final/`, the exported model and `evaluation/` of a distributed study. Returns how
    /// many rounds there are.
    ///
    /// # Privacy
    /// What a site masked is in at most one sum, over at least t sites: so the signatures on the survivors
    /// say, each survivor's ledger, and that no ledger knows of a sum which is not here. What it masked
    /// in vain was for a model of this study as well.
    pub(super) fn sums(&mut self, study: &Study, sites: &[SiteReport]) -> u32 {
        let place = |m: &Masked| (m.earmark, m.step, m.attempt);
        let vectors = sites
            .iter()
            .filter_map(|site| {
                let masked = site.ledger.as_ref()?.masked(&study.digest);
                Some((&site.name, masked.map(|(entry, m)| (place(m), (entry, m))).collect()))
            })
            .collect();
        let participants = sites.iter().filter_map(|site| study.site(&site.name)).collect();
        let compared = Compared { study, participants, vectors };
        let (rounds, models) = self.training_sums(&compared);
        self.grouping_sums(&compared, models.last);
        self.loose_ends(&compared, &models);
        rounds
    }

    fn training_sums(&mut self, compared: &Compared<'_>) -> (u32, Models) {
        let study = compared.study;
        let agreement = self.agreement(compared, Summed::Training);
        let mut values = Some(initial_parameters(&study.architecture(), &study.digest));
        let mut round = 0;
        let mut models = Vec::new();
        loop {
            let model = values.as_ref().map(|values| model_digest(study, round, values));
            models.push(model);
            if let Some(model) = model {
                let came_from = if round == 0 {
                    "the initial model".to_owned()
                } else {
                    format!("after {}", file(round - 1))
                };
                self.models.push((came_from, model));
            }
            if !self.files.has(&file(round)) {
                break;
            }
            let read = agreement.as_ref().and_then(|agreement| {
                self.sum(&file(round), compared, agreement, Summed::Training, round, model)
            });
            self.seen.insert(file(round));
            if read.as_ref().is_some_and(|read| read.sound && !read.told) {
                self.untold_round(study, round);
            }
            // Later models are then not compared: one fault, one finding.
            values = read.filter(|read| read.sound).zip(values).and_then(|(read, values)| {
                let next = step(compared, &read.record, &values, &read.values);
                next.map_err(|error| self.found(&file(round), error)).ok()
            });
            round += 1;
        }
        let planned = study.privacy.training.rounds;
        if round > planned {
            let what = format!("the study has {planned} rounds, the bundle {round}");
            self.found(&file(planned), what);
        } else if round < planned {
            self.notes.push(format!("{round} of {planned} rounds: training stopped early"));
        }
        let last = self.last_model(study, round, values.as_deref());
        (round, Models { rounds: models, last: last.map(|model| model.digest) })
    }

    /// A coordinator that stops after it has kept a sum, and before it has told the survivors, leaves no
    /// end in any ledger. At least t ledgers have the model of the next step, though, which is compared
    /// with the one that these integers lead to: they are fixed up to the rounding of the step.
    fn untold_round(&mut self, study: &Study, round: u32) {
        let mut groupings = study.groupings().into_iter();
        if self.files.has(&file(round + 1)) || groupings.any(|name| self.files.has(&grouping_file(&name))) {
            self.notes.push(format!(
                "round {round}: no ledger recorded its end; fixed by the model of the next step"
            ));
        } else {
            self.untold(&file(round));
        }
    }

    fn untold(&mut self, file: &str) {
        let what = "no survivor's ledger says that it is the sum, and no later step fixes it: the coordinator \
                    stopped before it told them, or told them nothing";
        self.found_as("transcript", file, what);
    }

    /// The final model is the one that the sums lead to, to the byte.
    fn last_model(&mut self, study: &Study, round: u32, values: Option<&[i32]>) -> Option<FinalModel> {
        const FILE: &str = "final/model";
        // The file itself takes the place of the model that was recomputed to be the same.
        let recomputed = values.and_then(|_| self.models.pop());
        let last = self.model(FILE, study, round, values)?;
        self.export(study, round, &last);
        let digest = last.digest();
        if let Some((_, expected)) = recomputed.filter(|(_, expected)| *expected != digest)
            && !self.findings.iter().any(|finding| finding.file == FILE)
        {
            self.found_as("aggregate", FILE, format!("its digest is {digest}, expected {expected}"));
        }
        Some(FinalModel { digest })
    }

    fn grouping_sums(&mut self, compared: &Compared<'_>, model: Option<Digest>) {
        for (earmark, name) in (1_u32..).zip(compared.study.groupings()) {
            let file = grouping_file(&name);
            if !self.files.has(&file) {
                self.notes.push(format!("no release for {name}"));
                continue;
            }
            let summed = Summed::Grouping(earmark);
            if let Some(agreement) = self.agreement(compared, summed) {
                let read = self.sum(&file, compared, &agreement, summed, earmark, model);
                if read.is_some_and(|read| read.sound && !read.told) {
                    self.untold(&file);
                }
            }
            self.seen.insert(file);
        }
    }

    /// What all participants agreed on; a finding where the study's numbers allow no sum.
    fn agreement(&mut self, compared: &Compared<'_>, summed: Summed) -> Option<Agreement> {
        secure::agreement(compared.study, &compared.participants, summed)
            .map_err(|refusal| self.found("study.toml", format!("no secure sum: {refusal}")))
            .ok()
    }

    /// One sum: its header, its survivors' signatures, and what each of their ledgers says of it.
    fn sum(
        &mut self,
        file: &str,
        compared: &Compared<'_>,
        agreement: &Agreement,
        summed: Summed,
        step: u32,
        model: Option<Digest>,
    ) -> Option<Read> {
        let bytes = self.take(file)?;
        let before = self.findings.len();
        let (record, values) = SumRecord::decode(&bytes).map_err(|error| self.found(file, error)).ok()?;
        if record.step != step {
            self.found(file, format!("expected the sum of step {step}, came {}", record.step));
            return None;
        }
        if let Some(model) = model.filter(|model| *model != record.model) {
            let what = format!("starts from model {}, what came before leads to {model}", record.model);
            self.found_as("aggregate", file, what);
        }
        let transcript = match record.transcript(agreement, &values) {
            Ok(transcript) => Some(transcript),
            Err(error) => {
                self.found_as(kind_of(&error), file, error);
                None
            }
        };
        let mut told = false;
        for survivor in &record.survivors {
            told |= self.survivor(file, compared, summed, (&record, &survivor.site), transcript.as_ref());
        }
        self.sums.push(SumReport {
            slot: summed.slot(step),
            file: file.to_owned(),
            digest: Digest::of(&bytes),
            sum: crate::secagg::coordinator::sum_digest(&values),
            session: record.session,
            attempt: record.attempt,
            model: record.model,
            survivors: record.survivors.iter().map(|survivor| survivor.site.clone()).collect(),
        });
        let sound = self.findings.len() == before;
        Some(Read { record, values, sound, told })
    }

    /// One survivor's ledger against the sum; whether it has recorded its end.
    fn survivor(
        &mut self,
        file: &str,
        compared: &Compared<'_>,
        summed: Summed,
        (record, site): (&SumRecord, &SiteName),
        transcript: Option<&Transcript>,
    ) -> bool {
        // A site that is no participant, or has no ledger, is a finding already.
        let Some(vectors) = compared.vectors.get(site) else { return false };
        let Some((entry, masked)) = vectors.get(&(summed.earmark(), record.step, record.attempt)) else {
            let what = format!(
                "its ledger has no masked vector for step {}, attempt {}",
                record.step, record.attempt
            );
            self.differs("commitment", file, site, what);
            return false;
        };
        let survivor = record.survivors.iter().find(|survivor| survivor.site == *site);
        let output = survivor.expect("it is one of them").masked;
        for (what, own, found) in [
            ("the masked vector", masked.output, output),
            ("the session", masked.session, record.session),
            ("the model", masked.model, record.model),
        ] {
            if own != found {
                let what = format!("entry {entry} of its ledger has {what} {own}, the sum {found}");
                self.differs("commitment", file, site, what);
                return false;
            }
        }
        let Some(ended) = &masked.ended else {
            self.notes.push(format!("{site}: its ledger does not say how entry {entry} ended, {file} does"));
            return false;
        };
        let Some(transcript) = transcript else { return true };
        let at = ended.entry;
        if !ended.survivors.iter().eq(record.survivors.iter().map(|survivor| &survivor.site)) {
            let names = ended.survivors.iter().map(SiteName::as_str).collect::<Vec<_>>().join(", ");
            self.differs(
                "transcript",
                file,
                site,
                format!("entry {at} of its ledger has the survivors {names}"),
            );
        } else if ended.sum != transcript.sum {
            let (own, found) = (ended.sum, transcript.sum);
            let what = format!("entry {at} of its ledger has the sum {own}, the integers here make {found}");
            self.differs("transcript", file, site, what);
        } else if ended.transcript != transcript.digest() {
            let (own, found) = (ended.transcript, transcript.digest());
            let what = format!("entry {at} of its ledger has the transcript {own}, this file makes {found}");
            self.differs("transcript", file, site, what);
        }
        true
    }

    /// Every sum that a ledger knows of is in the bundle; masked vectors that ended in none are for the model of
    /// their step, and counted.
    fn loose_ends(&mut self, compared: &Compared<'_>, models: &Models) {
        let place = |sum: &SumReport| match sum.slot {
            Slot::Round(round) => (0, round, sum.attempt),
            Slot::Grouping(earmark) => (earmark, earmark, sum.attempt),
        };
        let held: BTreeMap<Place, BTreeSet<SiteName>> =
            self.sums.iter().map(|sum| (place(sum), sum.survivors.iter().cloned().collect())).collect();
        for (&site, vectors) in &compared.vectors {
            let mut lost = 0_u64;
            for (place, (entry, masked)) in vectors {
                let (_, step, attempt) = place;
                match (held.get(place), &masked.ended) {
                    (Some(survivors), _) if survivors.contains(site) => {}
                    (Some(_), Some(ended)) => self.found_in(
                        &super::site::ledger_folder(site),
                        ended.entry,
                        format!("says that it is in the sum of step {step}, attempt {attempt}, which is without it"),
                    ),
                    (None, Some(ended)) => {
                        let what = format!("the sum of step {step}, attempt {attempt} is not in the bundle");
                        let folder = super::site::ledger_folder(site);
                        self.findings.push(Finding::new("missing", &folder, Some(ended.entry), what));
                    }
                    (_, None) => {
                        lost += 1;
                        self.masked_in_vain(site, *entry, masked, models);
                    }
                }
            }
            if lost > 0 {
                self.notes.push(format!("{site}: masked vectors in no sum (failed, or without it): {lost}"));
            }
        }
    }

    /// What came to no sum was asked for the model that the sums before lead to, and no other.
    fn masked_in_vain(&mut self, site: &SiteName, entry: u64, masked: &Masked, models: &Models) {
        let (step, attempt, own) = (masked.step, masked.attempt, masked.model);
        let model = if masked.earmark == Summed::Training.earmark() {
            // Unknown is not the same as one that there cannot be.
            usize::try_from(step).ok().and_then(|step| models.rounds.get(step)).map_or_else(
                || Some(Err(format!("the bundle has no sum of step {}", step.saturating_sub(1)))),
                |model| model.map(Ok),
            )
        } else {
            models.last.map(Ok)
        };
        let what = match model {
            None => return,
            Some(Ok(model)) if model == own => return,
            Some(Ok(model)) => format!("the model {own}, what came before leads to {model}"),
            Some(Err(why)) => format!("the model {own}, {why}"),
        };
        let what = format!("has a masked vector of step {step}, attempt {attempt} for {what}");
        let folder = super::site::ledger_folder(site);
        self.findings.push(Finding::new("commitment", &folder, Some(entry), what));
    }

    /// A finding about a site's ledger and a sum that do not fit together.
    fn differs(&mut self, kind: &'static str, file: &str, site: &SiteName, what: String) {
        let finding = Finding::new(kind, file, None, format!("{site}: {what}"));
        self.findings.push(Finding { site: Some(site.clone()), ..finding });
    }
}

/// The file of a round's sum.
fn file(round: u32) -> String {
    format!("sums/{round}")
}

/// The file of a grouping's sum.
fn grouping_file(name: &str) -> String {
    format!("evaluation/{}/sum", name.replace('*', "+"))
}

/// The digest that the coordinator names the model by: of its exact bytes.
fn model_digest(study: &Study, round: u32, values: &[i32]) -> Digest {
    Digest::of(&blob::encode(&header_of(study, round), values))
}

/// The model after a sum.
fn step(compared: &Compared<'_>, record: &SumRecord, model: &[i32], sum: &[i64]) -> Result<Vec<i32>, String> {
    let study = compared.study;
    let survivors: Vec<&RosterSite> =
        record.survivors.iter().filter_map(|survivor| study.site(&survivor.site)).collect();
    let step = ServerStep {
        clip_norm: study.privacy.training.clip_norm,
        lattice_units: Lattice::for_dimension(model.len()).units(),
        denominator: secure::denominator(study, &survivors),
        learning_rate: study.privacy.training.learning_rate,
    };
    step.apply(model, sum).map_err(|error| error.to_string())
}

/// As [`Finding::kind`].
fn kind_of(error: &InvalidRecord) -> &'static str {
    match error {
        InvalidRecord::Refused(refusal) if refusal.rule() == "secagg.signature" => "signature",
        _ => "transcript",
    }
}
