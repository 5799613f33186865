//! The model of the open round, and the one that a secure sum makes of it.

use consilium_common::id::Digest;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::model::step::ServerStep;
use consilium_common::privacy::clip::Lattice;
use consilium_common::study::secure::denominator;
use consilium_common::study::{RosterSite, Study};
use std::sync::Arc;

/// A model with its exact bytes.
#[derive(Debug, Clone)]
pub struct Model {
    /// Of the bytes.
    pub digest: Digest,
    /// What sites get.
    pub bytes: Arc<[u8]>,
    header: ModelHeader,
    values: Vec<i32>,
}

impl Model {
    /// From its bytes.
    ///
    /// # Errors
    /// No model.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, blob::InvalidBlob> {
        let (header, values) = blob::decode(&bytes)?;
        Ok(Self { digest: Digest::of(&bytes), bytes: bytes.into(), header, values })
    }

    /// After one step over the survivors' sum; `survivors` in the order of their indices.
    ///
    /// # Privacy
    /// Post-processing of a sum that carries the noise of the event that was charged for it, by public
    /// numbers alone.
    ///
    /// # Errors
    /// A sum of another length, or numbers of the study that make no step.
    pub fn next(&self, study: &Study, survivors: &[&RosterSite], sum: &[i64]) -> Result<Self, String> {
        let training = &study.privacy.training;
        let step = ServerStep {
            clip_norm: training.clip_norm,
            lattice_units: Lattice::for_dimension(self.values.len()).units(),
            denominator: denominator(study, survivors),
            learning_rate: training.learning_rate,
        };
        let values = step.apply(&self.values, sum).map_err(|error| error.to_string())?;
        let header = ModelHeader { round: self.header.round + 1, ..self.header.clone() };
        let bytes = blob::encode(&header, &values);
        Ok(Self { digest: Digest::of(&bytes), bytes: bytes.into(), header, values })
    }
}
