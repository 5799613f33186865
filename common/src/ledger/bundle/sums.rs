//! Distributed mode: each secure sum against the ledger of every survivor, and the models recomputed from
//! the sums and the public initial model.

mod ends;
mod faults;
mod lost;
mod survivors;

use super::rounds::header_of;
use super::{Audit, Finding, SiteReport};
use crate::id::{Digest, SiteName};
use crate::ledger::rules::{Masked, Slot, State};
use crate::model::blob::{self, ModelHeader};
use crate::model::step::ServerStep;
use crate::privacy::clip::Lattice;
use crate::secagg::{Agreement, InvalidRecord, SumRecord};
use crate::study::secure::{self, Summed};
use crate::study::{RosterSite, Study};
use faults::Faults;
use lost::Losses;
use std::collections::BTreeMap;

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
    /// Those of them whose ledger lost its record of it with a disk.
    pub lost: Vec<SiteName>,
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
    ledgers: BTreeMap<&'s SiteName, &'s State>,
}

/// What was found on the way.
#[derive(Default)]
struct Checked {
    faults: Faults,
    losses: Losses,
}

impl Audit<'_> {
    /// Checks `sums/`, `final/`, the exported model and `evaluation/` of a distributed study. Returns how
    /// many rounds there are.
    ///
    /// # Privacy
    /// What a site masked is in at most one sum, over at least t sites: so the signatures on the survivors
    /// say, each survivor's ledger, and that no ledger knows of a sum which is not here. What it masked
    /// in vain was for a model of this study as well. Where a ledger lost its record with a disk: [`lost`].
    pub(super) fn sums(&mut self, study: &Study, sites: &[SiteReport]) -> u32 {
        let place = |m: &Masked| (m.earmark, m.step, m.attempt);
        let ledgers: BTreeMap<_, _> =
            sites.iter().filter_map(|site| Some((&site.name, site.ledger.as_ref()?))).collect();
        let vectors = ledgers
            .iter()
            .map(|(site, ledger)| {
                let masked = ledger.masked(&study.digest);
                (*site, masked.map(|(entry, m)| (place(m), (entry, m))).collect())
            })
            .collect();
        let participants = sites.iter().filter_map(|site| study.site(&site.name)).collect();
        let compared = Compared { study, participants, vectors, ledgers };
        let mut checked = Checked::default();
        let (rounds, models) = self.training_sums(&compared, &mut checked);
        self.grouping_sums(&compared, models.last, &mut checked);
        self.loose_ends(&compared, &models, &mut checked.faults);
        self.notes.extend(checked.losses.notes());
        self.notes.extend(checked.faults.note());
        rounds
    }

    fn training_sums(&mut self, compared: &Compared<'_>, checked: &mut Checked) -> (u32, Models) {
        let study = compared.study;
        let planned = study.privacy.training.rounds;
        let agreement = self.agreement(compared, Summed::Training, checked);
        let due = self.rounds_due(compared);
        let mut values = Some(study.initial_parameters());
        let mut round = 0;
        let mut models = Vec::new();
        while round < due || self.files.has(&file(round)) {
            let model = values.as_ref().map(|values| model_digest(study, round, values));
            self.recomputed(round, model, &mut models, checked);
            let is_there = self.files.has(&file(round));
            let read = if is_there {
                agreement.as_ref().and_then(|agreement| {
                    self.sum(&file(round), compared, agreement, Summed::Training, round, model, checked)
                })
            } else {
                self.missing_rounds(compared, round, due);
                None
            };
            self.seen.insert(file(round));
            if read.as_ref().is_some_and(|read| read.sound && !read.told) {
                self.untold_round(study, round, due);
            }
            // Later models are then not compared: one fault, one finding.
            let sound = read.filter(|read| read.sound);
            if sound.is_none() {
                checked.faults.at(&file(round), (Summed::Training.earmark(), round));
            }
            values = sound.zip(values).and_then(|(read, values)| {
                let next = step(compared, &read.record, &values, &read.values);
                next.map_err(|error| {
                    checked.faults.at(&file(round), (Summed::Training.earmark(), round));
                    self.found(&file(round), error);
                })
                .ok()
            });
            round += 1;
        }
        let last = values.as_ref().map(|values| model_digest(study, round, values));
        self.recomputed(round, last, &mut models, checked);
        if round > planned {
            let what = format!("the study has {planned} rounds, the bundle {round}");
            self.found(&file(planned), what);
        } else if round < planned {
            self.notes.push(format!("{round} of {planned} rounds: training stopped early"));
        }
        let last = self.last_model(study, round, values.as_deref());
        (round, Models { rounds: models, last })
    }

    /// The model that a round starts from, or that the last one leads to: none after a fault.
    fn recomputed(
        &mut self,
        round: u32,
        model: Option<Digest>,
        models: &mut Vec<Option<Digest>>,
        checked: &mut Checked,
    ) {
        models.push(model);
        let Some(model) = model else {
            checked.faults.models += 1;
            return;
        };
        let came_from =
            if round == 0 { "the initial model".to_owned() } else { format!("after {}", file(round - 1)) };
        self.models.push((came_from, model));
    }

    /// Rounds that there were: a later sum is here, a ledger says how one ended, or the final model comes
    /// after it. No more than the study has.
    fn rounds_due(&self, compared: &Compared<'_>) -> u32 {
        let planned = compared.study.privacy.training.rounds;
        let here = (0..planned).rev().find(|round| self.files.has(&file(*round))).map_or(0, |last| last + 1);
        let ended = compared.ended(Summed::Training).map(|(_, _, masked)| masked.step.saturating_add(1));
        let due = ended.max().unwrap_or(0).min(planned).max(here);
        if due == planned {
            return due;
        }
        let last = self.files.has(LAST).then(|| self.files.read(LAST).ok()).flatten();
        let header = last.and_then(|bytes| blob::decode::<ModelHeader>(&bytes).ok());
        header.map_or(due, |(header, _)| if header.round <= planned { due.max(header.round) } else { due })
    }

    /// One finding for all sums that are missing in a row.
    fn missing_rounds(&mut self, compared: &Compared<'_>, round: u32, due: u32) {
        if round > 0 && !self.files.has(&file(round - 1)) {
            return;
        }
        let next = (round..due).find(|later| self.files.has(&file(*later))).unwrap_or(due);
        let known = compared.ended(Summed::Training).find(|(.., masked)| masked.step == round);
        let mut what = missing(known).unwrap_or_else(|| "missing: what comes after it is there".to_owned());
        if next > round + 1 {
            what += &format!("; nor are those after it, up to {}", file(next - 1));
        }
        self.found_as("missing", &file(round), what);
    }

    /// A coordinator that stops after it has kept a sum, and before it has told the survivors, leaves no
    /// end in any ledger. At least t ledgers have the model of the next step, though, which is compared
    /// with the one that these integers lead to: they are fixed up to the rounding of the step.
    fn untold_round(&mut self, study: &Study, round: u32, due: u32) {
        let mut groupings = study.groupings().into_iter();
        if self.files.has(&file(round + 1)) || groupings.any(|name| self.files.has(&grouping_file(&name))) {
            self.notes.push(format!(
                "{}: no ledger recorded its end; fixed by the model of the next round",
                Summed::Training.words(round)
            ));
        } else if round + 1 >= due {
            // Otherwise the next one is missing, which is a finding.
            self.untold(&file(round));
        }
    }

    fn untold(&mut self, file: &str) {
        let what = "no survivor's ledger says that it is the sum, and no later step fixes it: the coordinator \
                    stopped before it told them, or told them nothing";
        self.found_as("transcript", file, what);
    }

    /// The final model is the one that the sums lead to, to the byte. The digest of the model that groupings
    /// are released of, unless that is in doubt.
    fn last_model(&mut self, study: &Study, round: u32, values: Option<&[i32]>) -> Option<Digest> {
        // The file itself takes the place of the model that was recomputed to be the same.
        let recomputed = values.and_then(|_| self.models.pop());
        let expected = recomputed.map(|(_, expected)| expected);
        let Some(last) = self.model(LAST, study, round, values) else { return expected };
        self.export(study, round, &last);
        let digest = last.digest();
        let doubted = self.findings.iter().any(|finding| finding.file == LAST);
        if let Some(expected) = expected.filter(|expected| *expected != digest)
            && !doubted
        {
            self.found_as("aggregate", LAST, format!("its digest is {digest}, expected {expected}"));
        }
        expected.or_else(|| (!doubted).then_some(digest))
    }

    fn grouping_sums(&mut self, compared: &Compared<'_>, model: Option<Digest>, checked: &mut Checked) {
        for (earmark, name) in (1_u32..).zip(compared.study.groupings()) {
            let file = grouping_file(&name);
            let summed = Summed::Grouping(earmark);
            let place = (summed.earmark(), earmark);
            if !self.files.has(&file) {
                match missing(compared.ended(summed).next()) {
                    Some(what) => {
                        self.found_as("missing", &file, what);
                        checked.faults.at(&file, place);
                    }
                    None => self.notes.push(format!("no release for {name}")),
                }
                continue;
            }
            let agreement = self.agreement(compared, summed, checked);
            let read = agreement
                .and_then(|agreement| self.sum(&file, compared, &agreement, summed, earmark, model, checked));
            match read {
                Some(Read { sound: true, told, .. }) => {
                    if !told {
                        self.untold(&file);
                    }
                }
                _ => checked.faults.at(&file, place),
            }
            self.seen.insert(file);
        }
    }

    /// What all participants agreed on; a finding where the study's numbers allow no sum.
    fn agreement(
        &mut self,
        compared: &Compared<'_>,
        summed: Summed,
        checked: &mut Checked,
    ) -> Option<Agreement> {
        const FILE: &str = "study.toml";
        secure::agreement(compared.study, &compared.participants, summed)
            .map_err(|refusal| {
                checked.faults.begin(FILE);
                self.found(FILE, format!("no secure sum: {refusal}"));
            })
            .ok()
    }

    /// One sum: its header, its survivors' signatures, and what each of their ledgers says of it. Where its
    /// own signatures do not hold, what ledgers say otherwise is the same fault.
    #[expect(clippy::too_many_arguments, reason = "what a sum is compared with")]
    fn sum(
        &mut self,
        file: &str,
        compared: &Compared<'_>,
        agreement: &Agreement,
        summed: Summed,
        step: u32,
        model: Option<Digest>,
        checked: &mut Checked,
    ) -> Option<Read> {
        let bytes = self.take(file)?;
        let before = self.findings.len();
        let (record, values) = SumRecord::decode(&bytes).map_err(|error| self.found(file, error)).ok()?;
        if record.step != step {
            let (expected, came) = (summed.words(step), summed.words_of_any(record.step));
            self.found(file, format!("expected the sum of {expected}, came that of {came}"));
            return None;
        }
        let other_model = model.filter(|model| *model != record.model);
        let other_model = other_model
            .map(|model| format!("starts from model {}, what came before leads to {model}", record.model));
        let transcript = record.transcript(agreement, &values);
        let survivors = self.survivors(file, compared, summed, &record, transcript.as_ref().ok(), checked);
        match transcript {
            Ok(_) => {
                if let Some(what) = other_model {
                    self.found_as("aggregate", file, what);
                }
                self.findings.extend(survivors.findings(file));
            }
            Err(error) => {
                let clue = other_model
                    .or_else(|| survivors.clue())
                    .map_or_else(String::new, |clue| format!("; {clue}"));
                self.found_as(kind_of(&error), file, format!("{error}{clue}"));
            }
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
            lost: survivors.lost,
        });
        let sound = self.findings.len() == before;
        Some(Read { record, values, sound, told: survivors.told })
    }
}

impl<'s> Compared<'s> {
    /// Masked vectors whose ledger says how they ended, with their sites and entries.
    fn ended(&self, summed: Summed) -> impl Iterator<Item = (&'s SiteName, u64, &'s Masked)> {
        self.vectors.iter().flat_map(move |(site, vectors)| {
            let of_it = move |masked: &Masked| masked.earmark == summed.earmark() && masked.ended.is_some();
            vectors.values().filter(move |(_, masked)| of_it(masked)).map(|(entry, m)| (*site, *entry, *m))
        })
    }
}

/// A sum that is not in the bundle, as the first ledger that knows of it has it.
fn missing(known: Option<(&SiteName, u64, &Masked)>) -> Option<String> {
    let (site, _, masked) = known?;
    let entry = masked.ended.as_ref()?.entry;
    let which = Summed::of_earmark(masked.earmark).attempt_words(masked.step, masked.attempt);
    Some(format!(
        "the sum of {which} is not in the bundle; entry {entry} of {site}'s ledger says how it ended"
    ))
}

/// The file of the model after the last round.
const LAST: &str = "final/model";

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
