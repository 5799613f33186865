//! The request of a step, and a site's masked vector.

use super::Message;
use crate::id::Digest;
use crate::key::Signature;
use crate::privacy::clip::DIMENSION_MAX;
use crate::secagg::agreement::{SiteIndex, signing_input};
use crate::secagg::binding::StepBinding;
use crate::secagg::bytes::{InvalidMessage, Reader};
use crate::secagg::lanes::Lanes;
use crate::secagg::parameters::LaneWidth;
use crate::secagg::terms::RequestedTerms;

/// Asks for a masked update of one model. Coordinator to all. A request, not an order: each site
/// compares the terms with the study that it approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRequest {
    /// What the step is bound to, its model included.
    pub binding: StepBinding,
    /// The numbers that the coordinator wants used.
    pub terms: RequestedTerms,
}

/// A site's noised integers behind its masks. Site to coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedInput {
    /// What it is masked for.
    pub binding: StepBinding,
    /// Who.
    pub site: SiteIndex,
    /// The masked vector.
    pub lanes: Lanes,
    /// Over binding, site and the vector's digest.
    pub signature: Signature,
}

impl MaskedInput {
    pub(in crate::secagg) fn signing_input(
        binding: &StepBinding,
        site: SiteIndex,
        lanes: &Digest,
    ) -> Vec<u8> {
        signing_input("masked input", &[&binding.to_bytes(), &[site.get()], lanes.as_bytes()])
    }
}

impl Message for StepRequest {
    const NAME: &'static str = "step request";
    const KIND: u8 = 5;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        self.terms.0.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        let binding = StepBinding::read(reader)?;
        let mut terms = RequestedTerms([0; _]);
        for number in &mut terms.0 {
            *number = reader.u64()?;
        }
        Ok(Self { binding, terms })
    }
}

impl Message for MaskedInput {
    const NAME: &'static str = "masked input";
    const KIND: u8 = 6;

    fn write(&self, bytes: &mut Vec<u8>) {
        let width = self.lanes.width().bits();
        bytes.reserve_exact(self.lanes.len() * (width / 8) as usize + StepBinding::BYTES + 74);
        bytes.extend_from_slice(&self.binding.to_bytes());
        bytes.push(self.site.get());
        bytes.push(width as u8);
        bytes.extend_from_slice(&(self.lanes.len() as u64).to_le_bytes());
        self.lanes.write(bytes);
        bytes.extend_from_slice(self.signature.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        let (binding, site) = (StepBinding::read(reader)?, reader.site()?);
        let (width, bytes) = match reader.u8()? {
            32 => (LaneWidth::Bits32, 4),
            64 => (LaneWidth::Bits64, 8),
            _ => return Err(reader.invalid("another width than 32 or 64 bits")),
        };
        let length = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
        if length > DIMENSION_MAX {
            return Err(reader.invalid("more than 2^30 lanes"));
        }
        let lanes = Lanes::read(width, reader.slice(bytes * length)?);
        Ok(Self { binding, site, lanes, signature: reader.signature()? })
    }
}
