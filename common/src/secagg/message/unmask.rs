//! Unmasking, and the result.

use super::Message;
use crate::id::Digest;
use crate::secagg::agreement::SiteIndex;
use crate::secagg::binding::StepBinding;
use crate::secagg::bytes::{InvalidMessage, Reader, write_by_site};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Which of a site's two secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The seed of the site's own mask: of a survivor.
    OwnMask,
    /// The key behind its pairwise masks: of a site that dropped out after sharing.
    MaskKey,
}

/// One share that a site reveals of one other site's secret: the type has room for one of the two.
#[derive(Clone, PartialEq, Eq)]
pub struct Revealed {
    /// Which of the two.
    pub secret: Secret,
    /// The share.
    pub share: Zeroizing<[u8; 32]>,
}

/// All that a site reveals. Site to coordinator, once for each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmask {
    /// The step.
    pub binding: StepBinding,
    /// Who.
    pub site: SiteIndex,
    /// The certified survivors.
    pub survivors: Digest,
    /// By dealer, one share for each site that shared.
    pub shares: BTreeMap<SiteIndex, Revealed>,
}

/// What came out. Coordinator to all survivors, for their ledgers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult {
    /// The step.
    pub binding: StepBinding,
    /// The certified survivors.
    pub survivors: Digest,
    /// Of the unmasked sum.
    pub sum: Digest,
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revealed({:?})", self.secret)
    }
}

impl Message for Unmask {
    const NAME: &'static str = "unmask";
    const KIND: u8 = 10;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        bytes.push(self.site.get());
        bytes.extend_from_slice(self.survivors.as_bytes());
        write_by_site(bytes, &self.shares, |bytes, revealed| {
            bytes.push(match revealed.secret {
                Secret::OwnMask => 0,
                Secret::MaskKey => 1,
            });
            bytes.extend_from_slice(revealed.share.as_slice());
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        Ok(Self {
            binding: StepBinding::read(reader)?,
            site: reader.site()?,
            survivors: reader.digest()?,
            shares: reader.by_site(revealed)?,
        })
    }
}

fn revealed(reader: &mut Reader<'_>) -> Result<Revealed, InvalidMessage> {
    let secret = match reader.u8()? {
        0 => Secret::OwnMask,
        1 => Secret::MaskKey,
        _ => return Err(reader.invalid("neither of the two secrets")),
    };
    Ok(Revealed { secret, share: Zeroizing::new(reader.array()?) })
}

impl Message for StepResult {
    const NAME: &'static str = "step result";
    const KIND: u8 = 11;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.binding.to_bytes());
        bytes.extend_from_slice(self.survivors.as_bytes());
        bytes.extend_from_slice(self.sum.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        Ok(Self { binding: StepBinding::read(reader)?, survivors: reader.digest()?, sum: reader.digest()? })
    }
}
