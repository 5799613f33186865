//! Setup, once a session.

use super::Message;
use crate::id::Digest;
use crate::key::Signature;
use crate::secagg::agreement::{SiteIndex, signing_input};
use crate::secagg::bytes::{InvalidMessage, Reader, write_by_site};
use std::collections::BTreeMap;

/// A site's public key for the channels to all other sites, signed with the ledger key that the study
/// pins. Site to coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// Of study, roster and terms, as this site has them.
    pub agreement: Digest,
    /// The session's number.
    pub number: u64,
    /// Who.
    pub site: SiteIndex,
    /// X25519.
    pub public: [u8; 32],
    /// Over all of the above.
    pub signature: Signature,
}

/// The keys of every site in the session. Coordinator to all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKeys {
    /// The session's number.
    pub number: u64,
    /// Each site's public key and signature, as in [`SessionKey`].
    pub keys: BTreeMap<SiteIndex, ([u8; 32], Signature)>,
}

impl SessionKey {
    pub(in crate::secagg) fn signing_input(
        agreement: &Digest,
        number: u64,
        site: SiteIndex,
        public: &[u8; 32],
    ) -> Vec<u8> {
        let number = number.to_le_bytes();
        signing_input("session key", &[agreement.as_bytes(), &number, &[site.get()], public])
    }
}

impl Message for SessionKey {
    const NAME: &'static str = "session key";
    const KIND: u8 = 1;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.agreement.as_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.push(self.site.get());
        bytes.extend_from_slice(&self.public);
        bytes.extend_from_slice(self.signature.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        Ok(Self {
            agreement: reader.digest()?,
            number: reader.u64()?,
            site: reader.site()?,
            public: reader.array()?,
            signature: reader.signature()?,
        })
    }
}

impl Message for SessionKeys {
    const NAME: &'static str = "session keys";
    const KIND: u8 = 2;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.number.to_le_bytes());
        write_by_site(bytes, &self.keys, |bytes, (public, signature)| {
            bytes.extend_from_slice(public);
            bytes.extend_from_slice(signature.as_bytes());
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, InvalidMessage> {
        let number = reader.u64()?;
        Ok(Self { number, keys: reader.by_site(|reader| Ok((reader.array()?, reader.signature()?)))? })
    }
}
