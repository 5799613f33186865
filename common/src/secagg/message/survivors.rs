//! The consistency round: all honest sites see the same survivors, or nobody reveals anything.

use super::Message;
use crate::id::Digest;
use crate::key::Signature;
use crate::secagg::agreement::{SiteIndex, signing_input, tagged};
use crate::secagg::binding::StepBinding;
use crate::secagg::bytes::{InvalidMessage, Reader, write_by_site};
use std::collections::BTreeMap;

/// Whose masked inputs arrived. Coordinator to all survivors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivors {
    /// The step.
    pub binding: StepBinding,
    /// The sites in the sum, each with the digest of the lanes that came from it.
    pub survivors: BTreeMap<SiteIndex, Digest>,
}

/// A survivor's word that it was shown these survivors, and that it will be shown no others: a site
/// signs once for each attempt. Site to coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurvivorsSignature {
    /// The step.
    pub binding: StepBinding,
    /// Who.
    pub site: SiteIndex,
    /// Of the [`Survivors`] message.
    pub survivors: Digest,
    /// Over both digests.
    pub signature: Signature,
}

/// The survivors' signatures, of the threshold or more. Coordinator to all survivors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurvivorsCertificate {
    /// The step.
    pub binding: StepBinding,
    /// Of the [`Survivors`] message.
    pub survivors: Digest,
    /// By signer.
    pub signatures: BTreeMap<SiteIndex, Signature>,
}

impl Survivors {
    /// What is signed, and what a transcript names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = tagged("survivors");
        hasher.update(&self.binding.to_bytes());
        for (site, lanes) in &self.survivors {
            hasher.update(&[site.get()]);
            hasher.update(lanes.as_bytes());
        }
        hasher.digest()
    }
}

impl SurvivorsSignature {
    pub(in crate::secagg) fn signing_input(binding: &StepBinding, survivors: &Digest) -> Vec<u8> {
        signing_input("survivors", &[&binding.to_bytes(), survivors.as_bytes()])
    }
}

impl Message for Survivors {
    const NAME: &'static str = "survivors";
    const KIND: u8 = 7;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        write_by_site(bytes, &self.survivors, |bytes, lanes| bytes.extend_from_slice(lanes.as_bytes()));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        Ok(Self { binding: StepBinding::read(reader)?, survivors: reader.by_site(Reader::digest)? })
    }
}

impl Message for SurvivorsSignature {
    const NAME: &'static str = "survivors signature";
    const KIND: u8 = 8;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        bytes.push(self.site.get());
        bytes.extend_from_slice(self.survivors.as_bytes());
        bytes.extend_from_slice(self.signature.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        Ok(Self {
            binding: StepBinding::read(reader)?,
            site: reader.site()?,
            survivors: reader.digest()?,
            signature: reader.signature()?,
        })
    }
}

impl Message for SurvivorsCertificate {
    const NAME: &'static str = "survivors certificate";
    const KIND: u8 = 9;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        bytes.extend_from_slice(self.survivors.as_bytes());
        write_by_site(bytes, &self.signatures, |bytes, signature| {
            bytes.extend_from_slice(signature.as_bytes());
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        Ok(Self {
            binding: StepBinding::read(reader)?,
            survivors: reader.digest()?,
            signatures: reader.by_site(Reader::signature)?,
        })
    }
}
