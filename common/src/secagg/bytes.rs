//! The fixed binary form of messages. Every value has one encoding and every encoding one value, so
//! that a digest of the bytes is a digest of the message.

use super::agreement::SiteIndex;
use crate::id::Digest;
use crate::key::Signature;
use std::collections::BTreeMap;

/// Starts every message, before the byte of its kind.
pub(super) const MAGIC: [u8; 4] = *b"csa1";

/// Bytes that are no message of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} message: {problem} at byte {at}")]
pub struct InvalidMessage {
    /// The message that was expected.
    pub kind: &'static str,
    /// What is wrong.
    pub problem: &'static str,
    /// Where.
    pub at: usize,
}

/// Reads values one after the other from bytes that a peer sent.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    kind: &'static str,
}

impl<'a> Reader<'a> {
    #[cfg(test)]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, kind: "test" }
    }

    /// Behind magic and kind.
    pub(super) fn message(bytes: &'a [u8], kind: &'static str, number: u8) -> Result<Self, InvalidMessage> {
        let mut reader = Self { bytes, at: 0, kind };
        if reader.array()? != MAGIC {
            return Err(reader.invalid("another format or version"));
        }
        if reader.u8()? != number {
            return Err(reader.invalid("another kind"));
        }
        Ok(reader)
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), InvalidMessage> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.invalid("surplus bytes")) }
    }

    pub(super) fn invalid(&self, problem: &'static str) -> InvalidMessage {
        InvalidMessage { kind: self.kind, problem, at: self.at }
    }

    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], InvalidMessage> {
        let rest = &self.bytes[self.at..];
        match rest.get(..length) {
            Some(slice) => {
                self.at += length;
                Ok(slice)
            }
            None => Err(self.invalid("too short")),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidMessage> {
        Ok(*self.slice(N)?.first_chunk().expect("as long as asked for"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, InvalidMessage> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, InvalidMessage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, InvalidMessage> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn digest(&mut self) -> Result<Digest, InvalidMessage> {
        Ok(Digest::from_bytes(self.array()?))
    }

    pub(super) fn signature(&mut self) -> Result<Signature, InvalidMessage> {
        Ok(Signature::from_bytes(self.array()?))
    }

    pub(super) fn site(&mut self) -> Result<SiteIndex, InvalidMessage> {
        SiteIndex::new(self.u8()?).ok_or(self.invalid("site 0"))
    }

    /// At most 255 things about different sites, in the order of the sites.
    pub(super) fn by_site<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, InvalidMessage>,
    ) -> Result<BTreeMap<SiteIndex, T>, InvalidMessage> {
        let mut map = BTreeMap::new();
        for _ in 0..self.u8()? {
            let site = self.site()?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= site) {
                return Err(self.invalid("sites twice or out of order"));
            }
            map.insert(site, read(self)?);
        }
        Ok(map)
    }
}

/// The reverse of [`Reader::by_site`].
pub(super) fn write_by_site<T>(
    bytes: &mut Vec<u8>,
    map: &BTreeMap<SiteIndex, T>,
    mut write: impl FnMut(&mut Vec<u8>, &T),
) {
    bytes.push(u8::try_from(map.len()).expect("there are 255 indices"));
    for (site, item) in map {
        bytes.push(site.get());
        write(bytes, item);
    }
}
