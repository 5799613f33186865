//! Training: each round's updates against the ledgers, each model recomputed from them.

use super::site::is_committed;
use super::{Audit, Output, SiteReport};
use crate::id::Digest;
use crate::ledger::rules::Slot;
use crate::model::aggregate::WeightedSum;
use crate::model::blob::{self, Header, ModelHeader, UpdateHeader};
use crate::study::{Mode, Study};

/// The model after the last round.
pub(super) struct FinalModel {
    pub(super) digest: Digest,
}

pub(super) struct Model {
    values: Vec<i32>,
    digest: Digest,
}

impl Model {
    /// Of the file's exact bytes.
    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }
}

impl Audit<'_> {
    /// Checks `rounds/`, `final/` and the exported model. Returns how many rounds there are, and the
    /// final model.
    pub(super) fn rounds(&mut self, study: &Study, sites: &[SiteReport]) -> (u32, Option<FinalModel>) {
        let mut expected = Some(study.initial_parameters());
        let mut round = 0;
        while self.files.has(&format!("rounds/{round}/model")) {
            let model = self.model(&format!("rounds/{round}/model"), study, round, expected.as_deref());
            // Later models are then compared with what these bytes lead to: one fault, one finding.
            expected = model.and_then(|model| self.round(study, sites, round, &model));
            round += 1;
        }
        let planned = study.privacy.training.rounds;
        if round == 0 {
            self.found("rounds/0/model", "missing");
            expected = None;
        } else if round > planned {
            self.found(
                &format!("rounds/{planned}"),
                format!("the study has {planned} rounds, the bundle {round}"),
            );
        } else if round < planned {
            self.notes.push(format!("{round} of {planned} rounds: training stopped early"));
        }
        self.unused_commits(study, sites, round);
        let last = self.model("final/model", study, round, expected.as_deref());
        if let Some(model) = &last {
            self.export(study, round, model);
        }
        (round, last.map(|model| FinalModel { digest: model.digest }))
    }

    pub(super) fn model(
        &mut self,
        file: &str,
        study: &Study,
        round: u32,
        expected: Option<&[i32]>,
    ) -> Option<Model> {
        let bytes = self.take(file)?;
        let (header, values) = self.blob::<ModelHeader>(file, &bytes)?;
        let fits = header_of(study, round);
        if header != fits {
            let shape = |h: &ModelHeader| {
                format!(
                    "round {}, inputs {}, hidden {:?}, study {}",
                    h.round, h.architecture.inputs, h.architecture.hidden, h.study
                )
            };
            self.found(file, format!("expected {}, came {}", shape(&fits), shape(&header)));
            return None;
        }
        if let Some(at) = expected.and_then(|expected| expected.iter().zip(&values).position(|(a, b)| a != b))
        {
            let source = match study.privacy.mode {
                _ if round == 0 => "the study's initial model",
                Mode::Local => "the updates of the round before",
                Mode::Distributed { .. } => "the sum of the round before",
            };
            let what = format!("not the model that follows from {source}: parameter {at} differs");
            self.found_as("aggregate", file, what);
        }
        let digest = Digest::of(&bytes);
        self.models.push((file.to_owned(), digest));
        Some(Model { values, digest })
    }

    /// Checks a round's updates; the model that follows from them, unless one is at fault.
    fn round(&mut self, study: &Study, sites: &[SiteReport], round: u32, model: &Model) -> Option<Vec<i32>> {
        let mut sum = WeightedSum::new(model.values.len());
        let (mut updates, mut sound) = (0, true);
        for site in sites {
            let file = format!("rounds/{round}/updates/{}", site.name);
            let slot = Slot::Round(round);
            let committed = site.ledger.as_ref().and_then(|ledger| ledger.committed(&study.digest, slot));
            if !self.files.has(&file) {
                if let Some((_, entry)) = committed {
                    let name = &site.name;
                    self.notes.push(format!(
                        "{name}: the update of round {} (entry {entry}) was not used",
                        u64::from(round) + 1
                    ));
                }
                continue;
            }
            updates += 1;
            let update = self.update(&file, study, site, round, model);
            let weight = study.site(&site.name).map_or(0, |roster| roster.weight);
            match update.map(|update| sum.add(&update, weight)) {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.found(&file, error);
                    sound = false;
                }
                None => sound = false,
            }
        }
        let quorum = study.privacy.training.quorum;
        if updates < quorum {
            self.found(
                &format!("rounds/{round}/updates"),
                format!(
                    "{updates} updates, the quorum is {quorum}; updates that are kept elsewhere are read with \
                     --updates"
                ),
            );
        }
        if !sound || updates == 0 {
            return None;
        }
        sum.apply(&model.values).map_err(|error| self.found(&format!("rounds/{round}/updates"), error)).ok()
    }

    fn update(
        &mut self,
        file: &str,
        study: &Study,
        site: &SiteReport,
        round: u32,
        model: &Model,
    ) -> Option<Vec<i32>> {
        let bytes = self.take(file)?;
        let (header, values) = self.blob::<UpdateHeader>(file, &bytes)?;
        let fits = UpdateHeader {
            schema: UpdateHeader::SCHEMA.to_owned(),
            study: study.digest,
            round,
            model: model.digest,
            site: site.name.clone(),
            parameters: model.values.len(),
        };
        if header != fits {
            self.found(file, format!("expected an update of {fits:?}, came {header:?}"));
            return None;
        }
        if let Some(ledger) = &site.ledger {
            let slot = Slot::Round(round);
            if let Err(what) = is_committed(ledger, &study.digest, slot, &bytes) {
                self.found_as("commitment", file, what);
            }
            if let Some((entry, burn)) =
                ledger.slot(&study.digest, slot).filter(|(_, b)| b.model != model.digest)
            {
                let (expected, found) = (model.digest, burn.model);
                self.found(
                    file,
                    format!(
                        "entry {entry} of the ledger reserved for model {found}, the round's is {expected}"
                    ),
                );
            }
        }
        self.outputs.push(Output::of(&site.name, Slot::Round(round), file, &bytes));
        Some(values)
    }

    fn unused_commits(&mut self, study: &Study, sites: &[SiteReport], rounds: u32) {
        for site in sites {
            let Some(ledger) = &site.ledger else { continue };
            for (index, burn) in ledger.burns(&study.digest) {
                if let Slot::Round(round) = burn.slot
                    && round >= rounds
                {
                    let name = &site.name;
                    self.notes.push(format!(
                        "{name}: burnt for round {} (entry {index}), which is not in the bundle",
                        u64::from(round) + 1
                    ));
                }
            }
        }
    }

    fn blob<H: Header>(&mut self, file: &str, bytes: &[u8]) -> Option<(H, Vec<i32>)> {
        blob::decode(bytes).map_err(|error| self.found(file, error)).ok()
    }

    /// The files for other tools hold the final model and nothing else.
    pub(super) fn export(&mut self, study: &Study, round: u32, model: &Model) {
        const FILE: &str = "model.safetensors";
        let expected = crate::model::export::safetensors_bytes(&header_of(study, round), &model.values);
        match self.take(FILE) {
            Some(bytes) if bytes == expected => self.exported = Some(Digest::of(&bytes)),
            Some(_) => self.found(FILE, "not the final model"),
            None => {}
        }
        const CARD: &str = "model.json";
        let inputs = crate::study::card::inputs(study);
        let expected = crate::model::export::architecture_json(&header_of(study, round), &inputs);
        if self.take(CARD).is_some_and(|bytes| bytes != expected.as_bytes()) {
            self.found(CARD, "does not describe the final model of this study");
        }
    }
}

pub(super) fn header_of(study: &Study, round: u32) -> ModelHeader {
    ModelHeader {
        schema: ModelHeader::SCHEMA.to_owned(),
        study: study.digest,
        round,
        architecture: study.architecture(),
    }
}
