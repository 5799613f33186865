//! The model that a step starts from: what came over the stream, checked before anything is burnt.

use crate::data::Loaded;
use crate::task::{self, Refusal};
use consilium_common::id::Digest;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::study::Study;
use consilium_common::study::secure::Summed;
use prost::bytes::Bytes;
use std::sync::{Arc, Weak};

/// A model, as it came.
pub(super) struct Model {
    digest: Digest,
    header: ModelHeader,
    values: Arc<Vec<i32>>,
    /// The evaluation people's scores under it, and of which examples they are: for all groupings the same.
    pub(super) scores: Option<(Weak<Loaded>, Arc<Vec<f64>>)>,
}

impl Model {
    /// From its exact bytes; `known` again where they are its. The digest is compared when a request names
    /// it.
    pub(super) fn parse(bytes: &Bytes, known: Option<Self>) -> Result<Self, Refusal> {
        let digest = Digest::of(bytes);
        if let Some(known) = known.filter(|known| known.digest == digest) {
            return Ok(known);
        }
        let (header, values) = blob::decode::<ModelHeader>(bytes)
            .map_err(|error| Refusal { rule: "task.model", why: error.to_string() })?;
        Ok(Self { digest, header, values: Arc::new(values), scores: None })
    }

    /// The scores, if they are of these examples: somebody may have opted out since.
    pub(super) fn scores_of(&self, data: &Arc<Loaded>) -> Option<Arc<Vec<f64>>> {
        let (of, scores) = self.scores.as_ref()?;
        of.ptr_eq(&Arc::downgrade(data)).then(|| Arc::clone(scores))
    }

    /// Its parameters, if it is the one that a request names, and is what this step may start from.
    pub(super) fn for_step(
        &self,
        study: &Study,
        named: Digest,
        summed: Summed,
        step: u32,
    ) -> Result<Arc<Vec<i32>>, Refusal> {
        if self.digest != named {
            let why = format!("asked from model {named}, came {}", self.digest);
            return Err(Refusal { rule: "task.model", why });
        }
        let round = match summed {
            Summed::Training => step,
            // A study that stops early is not evaluated.
            Summed::Grouping(_) => study.privacy.training.rounds,
        };
        task::check_model(study, &self.header, &self.values, Some(round))?;
        Ok(Arc::clone(&self.values))
    }
}
