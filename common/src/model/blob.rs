//! The byte form of models, updates and histograms: one line of JSON that says what it is and what
//! it belongs to, a line feed, then little-endian integers. What is signed, digested, stored and
//! sent are these exact bytes.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The largest header, bytes.
pub const HEADER_MAX: usize = 64 * 1024;
/// The most parameters of a model: 10^8 (400 MB).
pub const PARAMETERS_MAX: usize = 100_000_000;

/// Header of a model: parameters follow as `i32` in units of 2^-24.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelHeader {
    /// `model/1`.
    pub schema: String,
    /// The study it belongs to.
    pub study: crate::id::Digest,
    /// Rounds of training behind it.
    pub round: u32,
    /// Its shape.
    pub architecture: super::Architecture,
}

/// Header of a site's update: the difference to the round's model follows as `i32` in units of
/// 2^-24.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateHeader {
    /// `update/1`.
    pub schema: String,
    /// The study it belongs to.
    pub study: crate::id::Digest,
    /// The round it belongs to, counted from 0.
    pub round: u32,
    /// Digest of the model that it starts from.
    pub model: crate::id::Digest,
    /// Who computed it.
    pub site: crate::id::SiteName,
    /// How many parameters follow.
    pub parameters: usize,
}

/// Bytes that are no blob of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlob {
    /// No header line, or one that does not parse.
    #[error("header: {0}")]
    Header(String),
    /// The header names another schema.
    #[error("expected schema {expected}, came {found}")]
    Schema {
        /// Expected.
        expected: &'static str,
        /// Found.
        found: String,
    },
    /// More or fewer values than the header says.
    #[error("expected {expected} values, came {found} bytes")]
    Length {
        /// Values.
        expected: usize,
        /// Bytes.
        found: u64,
    },
}

/// A header that says its schema and how many values follow.
pub trait Header: Serialize + DeserializeOwned {
    /// As `model/1`.
    const SCHEMA: &'static str;
    /// The schema that this header names.
    fn schema(&self) -> &str;
    /// How many values follow.
    fn values(&self) -> usize;
}

impl Header for ModelHeader {
    const SCHEMA: &'static str = "model/1";
    fn schema(&self) -> &str {
        &self.schema
    }
    fn values(&self) -> usize {
        self.architecture.parameters()
    }
}

impl Header for UpdateHeader {
    const SCHEMA: &'static str = "update/1";
    fn schema(&self) -> &str {
        &self.schema
    }
    fn values(&self) -> usize {
        self.parameters
    }
}

/// Header line, line feed, little-endian values.
///
/// # Panics
/// When the header's count and the values disagree: a bug of the caller.
#[must_use]
pub fn encode<H: Header>(header: &H, values: &[i32]) -> Vec<u8> {
    assert_eq!(header.values(), values.len(), "the header counts the values");
    let mut bytes = encode_header(header);
    bytes.reserve(4 * values.len());
    encode_values(values, &mut bytes);
    bytes
}

/// The header line with its line feed: a blob is this, then its values.
#[must_use]
pub fn encode_header<H: Header>(header: &H) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(header).expect("a header is plain data");
    bytes.push(b'\n');
    bytes
}

/// Appends values in their byte form.
pub fn encode_values(values: &[i32], bytes: &mut Vec<u8>) {
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// The reverse of [`encode`].
///
/// # Errors
/// A header that does not parse, another schema, too many values, or a length that disagrees.
pub fn decode<H: Header>(bytes: &[u8]) -> Result<(H, Vec<i32>), InvalidBlob> {
    let (header, values_at) = decode_header(bytes, bytes.len() as u64)?;
    Ok((header, decode_values(&bytes[values_at..])))
}

/// The header of a blob of `length` bytes that begins with `start`, and where its values start. Up to
/// [`HEADER_MAX`] bytes of it are enough, so that a large blob need not be in memory.
///
/// # Errors
/// As [`decode`].
pub fn decode_header<H: Header>(start: &[u8], length: u64) -> Result<(H, usize), InvalidBlob> {
    let end = start
        .iter()
        .take(HEADER_MAX)
        .position(|&b| b == b'\n')
        .ok_or_else(|| InvalidBlob::Header(format!("no line feed within {HEADER_MAX} bytes")))?;
    let header: H = serde_json::from_slice(&start[..end]).map_err(|e| InvalidBlob::Header(e.to_string()))?;
    if header.schema() != H::SCHEMA {
        return Err(InvalidBlob::Schema {
            expected: H::SCHEMA,
            found: header.schema().chars().take(80).collect(),
        });
    }
    let values_at = end + 1;
    let found = length.saturating_sub(values_at as u64);
    let expected = header.values();
    if expected > PARAMETERS_MAX || found != 4 * expected as u64 {
        return Err(InvalidBlob::Length { expected, found });
    }
    Ok((header, values_at))
}

/// The reverse of [`encode_values`]; bytes after the last four are left out.
#[must_use]
pub fn decode_values(bytes: &[u8]) -> Vec<i32> {
    bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;

    fn update() -> UpdateHeader {
        UpdateHeader {
            schema: "update/1".into(),
            study: Digest::of(b"s"),
            round: 3,
            model: Digest::of(b"m"),
            site: "a".parse().expect("a name"),
            parameters: 2,
        }
    }

    #[test]
    fn round_trips() {
        let bytes = encode(&update(), &[-1, i32::MAX]);
        assert_eq!(decode::<UpdateHeader>(&bytes), Ok((update(), vec![-1, i32::MAX])));
    }

    #[test]
    fn a_header_needs_no_values() {
        let bytes = encode(&update(), &[7, 8]);
        let at = bytes.len() - 8;
        assert_eq!(decode_header(&bytes[..at], bytes.len() as u64), Ok((update(), at)));
        assert_eq!(
            decode_header::<UpdateHeader>(&bytes[..at], bytes.len() as u64 + 1),
            Err(InvalidBlob::Length { expected: 2, found: 9 })
        );
    }

    #[test]
    fn bad_bytes_are_errors() {
        fn check(bytes: &[u8], what: &str) {
            let error = decode::<UpdateHeader>(bytes).expect_err("bad").to_string();
            assert!(error.contains(what), "{error}");
        }
        let good = encode(&update(), &[1, 2]);
        check(b"", "no line feed");
        check(b"{}\n", "header");
        check(&good[..good.len() - 1], "expected 2 values");
        check(&[good.as_slice(), b"x"].concat(), "expected 2 values");
        let model = ModelHeader {
            schema: "model/1".into(),
            study: Digest::of(b"s"),
            round: 0,
            architecture: super::super::Architecture { inputs: 1, hidden: vec![], outputs: 1 },
        };
        check(&encode(&model, &[1, 2]), "header");
        // A header that overflows its own arithmetic must not panic.
        let wide = serde_json::json!({"schema":"update/1","study":Digest::of(b"s"),"round":0,"model":Digest::of(b"m"),"site":"a","parameters":usize::MAX});
        check(format!("{wide}\n").as_bytes(), "values");
    }
}
