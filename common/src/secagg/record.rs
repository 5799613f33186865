//! A finished sum as a file: the integers, and all that is needed to compare them with what every
//! survivor wrote to its ledger.

use super::agreement::{Agreement, SiteIndex};
use super::binding::{ShareBinding, Slot, StepBinding};
use super::coordinator::{SecureSum, sum_digest};
use super::message::{Survivors, SurvivorsCertificate, SurvivorsSignature};
use super::refusal::Refusal;
use super::transcript::Transcript;
use crate::id::{Digest, SiteName};
use crate::key::Signature;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest header, bytes.
pub const RECORD_HEADER_MAX: usize = 256 * 1024;

/// Header line of a sum's file; its integers follow as `i64`, lowest byte first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumRecord {
    /// `sum/1`.
    pub schema: String,
    /// The study.
    pub study: Digest,
    /// The session.
    pub session: Digest,
    /// The round of training, counted from 0; or the grouping, by its earmark's index.
    pub step: u32,
    /// Counted from 0 in the step.
    pub attempt: u32,
    /// Of the sites that shared, with their keys.
    pub roster: Digest,
    /// Of the model's exact bytes.
    pub model: Digest,
    /// Whose masked vectors are in it, by their index in the study's roster of participants.
    pub survivors: Vec<Survivor>,
    /// How many integers follow.
    pub length: usize,
}

/// One site in a sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survivor {
    /// From 1, over the participants by name.
    pub index: u8,
    /// Who.
    pub site: SiteName,
    /// Digest of its masked lanes: `output` of its `commit_sum`.
    pub masked: Digest,
    /// Its signature over the set of survivors; none where it dropped out before it signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// Bytes that are no sum's file, or one that does not fit its study.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidRecord {
    /// No header line, or one that does not parse.
    #[error("header: {0}")]
    Header(String),
    /// More or fewer integers than the header says.
    #[error("expected {expected} integers, came {found} bytes")]
    Length {
        /// Integers.
        expected: usize,
        /// Bytes.
        found: usize,
    },
    /// The survivors are not sites of the study in order, or too few.
    #[error("survivors: {0}")]
    Survivors(String),
    /// A signature that is missing or false.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl SumRecord {
    /// The form that this version writes and reads.
    pub const SCHEMA: &'static str = "sum/1";

    /// Of a sum that was unmasked, with the certificate of its survivors.
    ///
    /// # Panics
    /// A sum of another agreement: a bug of the caller.
    #[must_use]
    pub fn of(agreement: &Agreement, sum: &SecureSum, certificate: &SurvivorsCertificate) -> Self {
        let StepBinding { share, roster, model } = sum.transcript.binding;
        let survivor = |(&index, &masked): (&SiteIndex, &Digest)| Survivor {
            index: index.get(),
            site: agreement.roster().name(index).expect("a site of the agreement").clone(),
            masked,
            signature: certificate.signatures.get(&index).copied(),
        };
        Self {
            schema: Self::SCHEMA.to_owned(),
            study: share.study,
            session: share.session,
            step: share.slot.step,
            attempt: share.slot.attempt,
            roster,
            model,
            survivors: sum.transcript.survivors.iter().map(survivor).collect(),
            length: sum.sum.len(),
        }
    }

    /// The exact bytes of the file.
    ///
    /// # Panics
    /// When the header's count and the integers disagree: a bug of the caller.
    #[must_use]
    pub fn encode(&self, sum: &[i64]) -> Vec<u8> {
        assert_eq!(self.length, sum.len(), "the header counts the integers");
        let mut bytes = serde_json::to_vec(self).expect("a header is plain data");
        bytes.push(b'\n');
        bytes.reserve(8 * sum.len());
        sum.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        bytes
    }

    /// The reverse of [`Self::encode`].
    ///
    /// # Errors
    /// A header that does not parse, another schema, or a length that disagrees.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<i64>), InvalidRecord> {
        let end =
            bytes.iter().take(RECORD_HEADER_MAX).position(|&byte| byte == b'\n').ok_or_else(|| {
                InvalidRecord::Header(format!("no line feed within {RECORD_HEADER_MAX} bytes"))
            })?;
        let invalid = |error: serde_json::Error| InvalidRecord::Header(error.to_string());
        let record: Self = serde_json::from_slice(&bytes[..end]).map_err(invalid)?;
        if record.schema != Self::SCHEMA {
            let found: String = record.schema.chars().take(80).collect();
            return Err(InvalidRecord::Header(format!("expected schema {}, came {found}", Self::SCHEMA)));
        }
        let values = &bytes[end + 1..];
        if record.length.checked_mul(8) != Some(values.len()) {
            return Err(InvalidRecord::Length { expected: record.length, found: values.len() });
        }
        let integer = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        Ok((record, values.chunks_exact(8).map(integer).collect()))
    }

    /// What every survivor of this sum has in its ledger, if the integers are these and the survivors'
    /// signatures in the header are theirs.
    ///
    /// # Errors
    /// Another study or length than the agreement's; survivors that are not sites of it, or fewer than
    /// the threshold; a false signature, or fewer of them than the threshold.
    pub fn transcript(&self, agreement: &Agreement, sum: &[i64]) -> Result<Transcript, InvalidRecord> {
        let wrong = |what: String| Err(InvalidRecord::Survivors(what));
        if self.study != agreement.study() {
            return Err(Refusal::Binding { field: "study" }.into());
        }
        if sum.len() != agreement.terms().dimension() {
            let expected = agreement.terms().dimension();
            return Err(InvalidRecord::Length { expected, found: 8 * sum.len() });
        }
        let slot = Slot { step: self.step, attempt: self.attempt };
        let share = ShareBinding { study: self.study, session: self.session, slot };
        let binding = StepBinding { share, roster: self.roster, model: self.model };
        let mut survivors = BTreeMap::new();
        for Survivor { index, site, masked, .. } in &self.survivors {
            let Some(index) = SiteIndex::new(*index) else { return wrong("an index of 0".to_owned()) };
            if agreement.roster().name(index) != Some(site) {
                return wrong(format!("{site} is not number {index} of the participants"));
            }
            if survivors.last_key_value().is_some_and(|(last, _)| *last >= index) {
                return wrong(format!("{site} is not after the survivors before it"));
            }
            survivors.insert(index, *masked);
        }
        agreement.enough("masked input", survivors.len())?;
        let survivors = Survivors { binding, survivors };
        let certified = survivors.digest();
        let signed = SurvivorsSignature::signing_input(&binding, &certified);
        let mut signatures = 0;
        for (index, survivor) in survivors.survivors.keys().zip(&self.survivors) {
            if let Some(signature) = &survivor.signature {
                agreement.verify(*index, "survivors", &signed, signature)?;
                signatures += 1;
            }
        }
        agreement.enough("survivors' signatures", signatures)?;
        Ok(Transcript { binding, survivors: survivors.survivors, certified, sum: sum_digest(sum) })
    }
}
