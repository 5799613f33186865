//! Checkpoints: a ledger's size and tree head as a C2SP signed note (`tlog-checkpoint`), signed by
//! the site (Ed25519, type 0x01 of `signed-note`) and cosigned by witnesses (`tlog-cosignature`,
//! `cosignature/v1`, Ed25519, type 0x04). Other people's tools read these files.
//!
//! A note that parsed is written back byte for byte. Signature lines by keys that the reader does
//! not know are kept and ignored, as the specification asks; a line that names a known key and does
//! not verify makes the whole note invalid.

use crate::id::{Digest, SiteName};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::time::Time;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The largest note, bytes.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// The most signature lines of a note.
pub const SIGNATURES_MAX: usize = 64;
/// The name under which the coordinator cosigns.
pub const COORDINATOR: &str = "consilium/coordinator";

/// With so many participants or more, a study's releases need another participant's cosignature
/// beside the coordinator's.
pub const SITES_WITH_WITNESS: usize = 3;

/// The name under which a site cosigns the ledgers of others.
#[must_use]
pub fn witness_name(site: &SiteName) -> String {
    format!("consilium/site/{site}")
}

/// The origin line of a site's ledger: `consilium/ledger/SITE/DATASET`.
#[must_use]
pub fn origin(site: &SiteName, dataset: &str) -> String {
    format!("consilium/ledger/{site}/{dataset}")
}

/// What a ledger was at some size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger, as [`origin`] writes it.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The RFC 6962 tree head over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The note's text: origin, size and base64 head, each a line.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.as_bytes()))
    }

    /// The note with the ledger key's own signature, under the origin's name.
    #[must_use]
    pub fn sign(self, key: &SecretKey) -> Note {
        let signature = key.sign(self.text().as_bytes());
        let line = SignatureLine {
            name: self.origin.clone(),
            id: key_id(&self.origin, Kind::Note, &key.public()),
            signature: signature.as_bytes().to_vec(),
        };
        Note { checkpoint: self, signatures: vec![line] }
    }

    fn parse(text: &str) -> Result<Self, InvalidNote> {
        let lines: Vec<&str> = text.lines().collect();
        let [origin, size, root] = lines[..] else {
            return Err(InvalidNote::Malformed {
                line: lines.len().min(4),
                expected: "origin, size and head only",
            });
        };
        if !is_name(origin) {
            return Err(InvalidNote::Malformed {
                line: 1,
                expected: "an origin without spaces and plus signs",
            });
        }
        let malformed_size = InvalidNote::Malformed { line: 2, expected: "a size in decimal" };
        let parsed: u64 = size.parse().map_err(|_| malformed_size.clone())?;
        if parsed.to_string() != size {
            return Err(malformed_size);
        }
        let root = BASE64.decode(root).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let root = root.ok_or(InvalidNote::Malformed { line: 3, expected: "32 bytes in base64" })?;
        Ok(Self { origin: origin.to_owned(), size: parsed, root: Digest::from_bytes(root) })
    }
}

/// A checkpoint with its signature lines. Nothing in it is believed until [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What was signed.
    pub checkpoint: Checkpoint,
    signatures: Vec<SignatureLine>,
}

/// `— NAME BASE64(key id ‖ signature)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A note that cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// More than [`NOTE_BYTES_MAX`].
    #[error("a note of {found} bytes, at most {NOTE_BYTES_MAX} are read")]
    TooLong {
        /// Bytes that came.
        found: usize,
    },
    /// Not the form of a checkpoint.
    #[error("line {line}: expected {expected}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// The known key did not sign.
    #[error("no signature by {name}")]
    NotSigned {
        /// The key's name.
        name: String,
    },
    /// The known key's signature is not over this text.
    #[error("the signature by {name} does not verify")]
    BadSignature {
        /// The key's name.
        name: String,
    },
    /// Another ledger's checkpoint.
    #[error("expected the ledger {expected}, came {found}")]
    Origin {
        /// Expected.
        expected: String,
        /// Found.
        found: String,
    },
}

impl Note {
    /// Reads a note strictly: exactly three lines, a blank one, and signature lines.
    ///
    /// # Errors
    /// Anything else, with the line's number.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidNote> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(InvalidNote::TooLong { found: bytes.len() });
        }
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| !text.chars().any(|c| c < ' ' && c != '\n'))
            .ok_or(InvalidNote::Malformed { line: 1, expected: "UTF-8 without control characters" })?;
        // The text is separated from the signatures by the last empty line.
        let at = text
            .rfind("\n\n")
            .ok_or(InvalidNote::Malformed { line: 4, expected: "an empty line before the signatures" })?;
        let (body, rest) = (&text[..=at], &text[at + 2..]);
        let checkpoint = Checkpoint::parse(body)?;
        let first = body.lines().count() + 2;
        if !rest.ends_with('\n') || rest.lines().count() > SIGNATURES_MAX {
            return Err(InvalidNote::Malformed { line: first, expected: "1 to 64 signature lines" });
        }
        let signatures = rest
            .lines()
            .enumerate()
            .map(|(i, line)| {
                SignatureLine::parse(line).ok_or(InvalidNote::Malformed {
                    line: first + i,
                    expected: "— NAME BASE64(key id and signature)",
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { checkpoint, signatures })
    }

    /// Checks that the ledger's own key signed, under the expected origin.
    ///
    /// # Errors
    /// Another origin, no signature, or one that is not over this text.
    pub fn verify(&self, origin: &str, key: &PublicKey) -> Result<(), InvalidNote> {
        if self.checkpoint.origin != origin {
            return Err(InvalidNote::Origin {
                expected: origin.to_owned(),
                found: self.checkpoint.origin.clone(),
            });
        }
        let id = key_id(origin, Kind::Note, key);
        let text = self.checkpoint.text();
        let mut signed = false;
        for line in self.by(origin, id) {
            line.verify_plain(text.as_bytes(), key)?;
            signed = true;
        }
        if signed { Ok(()) } else { Err(InvalidNote::NotSigned { name: origin.to_owned() }) }
    }

    /// The line by which a witness states, as of `time`, that this is the largest consistent tree
    /// of this ledger that it has seen. The caller has verified that, and the site's signature.
    ///
    /// # Panics
    /// When `time` is before 1970 or `name` is no key name: bugs of the caller.
    #[must_use]
    pub fn cosign(&self, name: &str, key: &SecretKey, time: Time) -> SignatureLine {
        assert!(is_name(name), "a witness's name has no spaces and plus signs");
        let seconds = u64::try_from(time.unix_ms().div_euclid(1000)).expect("a witness's clock is past 1970");
        let signature = key.sign(cosigned(seconds, &self.checkpoint.text()).as_bytes());
        SignatureLine {
            name: name.to_owned(),
            id: key_id(name, Kind::Cosignature, &key.public()),
            signature: [seconds.to_be_bytes().as_slice(), signature.as_bytes()].concat(),
        }
    }

    /// When the witness cosigned this checkpoint (the latest, if several times); `None` if it did
    /// not.
    ///
    /// # Errors
    /// A line under its name and key that does not verify.
    pub fn cosignature(&self, name: &str, key: &PublicKey) -> Result<Option<Time>, InvalidNote> {
        let id = key_id(name, Kind::Cosignature, key);
        let text = self.checkpoint.text();
        let mut latest = None;
        for line in self.by(name, id) {
            latest = latest.max(Some(line.verify_timestamped(&text, key)?));
        }
        Ok(latest)
    }

    /// The note with one more signature line.
    ///
    /// # Errors
    /// Too many lines.
    pub fn with(mut self, line: SignatureLine) -> Result<Self, InvalidNote> {
        if self.signatures.len() == SIGNATURES_MAX {
            return Err(InvalidNote::Malformed { line: 4, expected: "1 to 64 signature lines" });
        }
        if !self.signatures.contains(&line) {
            self.signatures.push(line);
        }
        Ok(self)
    }

    fn by<'a>(&'a self, name: &'a str, id: [u8; 4]) -> impl Iterator<Item = &'a SignatureLine> {
        self.signatures.iter().filter(move |line| line.name == name && line.id == id)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.checkpoint.text())?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl SignatureLine {
    /// Reads one line, without its line feed; `None` if it is no signature line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = BASE64.decode(signature).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        (is_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: *id,
            signature: signature.to_vec(),
        })
    }

    fn verify_plain(&self, text: &[u8], key: &PublicKey) -> Result<(), InvalidNote> {
        <[u8; 64]>::try_from(self.signature.as_slice())
            .ok()
            .and_then(|bytes| key.verify(text, &Signature::from_bytes(bytes)).ok())
            .ok_or_else(|| self.bad())
    }

    fn verify_timestamped(&self, text: &str, key: &PublicKey) -> Result<Time, InvalidNote> {
        let (seconds, signature) = self.signature.split_first_chunk::<8>().ok_or_else(|| self.bad())?;
        let signature = <[u8; 64]>::try_from(signature).map_err(|_| self.bad())?;
        let seconds = u64::from_be_bytes(*seconds);
        key.verify(cosigned(seconds, text).as_bytes(), &Signature::from_bytes(signature))
            .map_err(|_| self.bad())?;
        let ms = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
        ms.and_then(|ms| Time::from_unix_ms(ms).ok()).ok_or_else(|| self.bad())
    }

    fn bad(&self) -> InvalidNote {
        InvalidNote::BadSignature { name: self.name.clone() }
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.signature].concat();
        write!(f, "— {} {}", self.name, BASE64.encode(bytes))
    }
}

/// Signature types of C2SP `signed-note`.
#[derive(Clone, Copy)]
enum Kind {
    Note = 0x01,
    Cosignature = 0x04,
}

/// SHA-256(name ‖ line feed ‖ type ‖ key)[..4]: tells keys apart, proves nothing.
fn key_id(name: &str, kind: Kind, key: &PublicKey) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind as u8])
        .chain_update(key.as_bytes())
        .finalize();
    hash[..4].try_into().expect("four bytes")
}

fn cosigned(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A verifier key as other programs write it: NAME+hex(key id)+base64(type ‖ key).
    fn verifier(text: &str, kind: Kind) -> (String, PublicKey) {
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().expect("three parts");
        let (name, id, key) = (part().to_owned(), part(), BASE64.decode(part()).expect("base64"));
        assert_eq!(key[0], kind as u8);
        let key = PublicKey::from_bytes(key[1..].try_into().expect("32 bytes"));
        assert_eq!(hex::encode(key_id(&name, kind, &key)), id, "the key id of {name}");
        (name, key)
    }

    /// The published example of Go's `golang.org/x/mod/sumdb/note`.
    #[test]
    fn signature_of_another_program() {
        let (name, key) =
            verifier("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", Kind::Note);
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let text_line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let line = SignatureLine::parse(text_line).expect("a signature line");
        assert_eq!((line.name.as_str(), line.id), (name.as_str(), key_id(&name, Kind::Note, &key)));
        assert_eq!(line.verify_plain(text.as_bytes(), &key), Ok(()));
        assert!(line.verify_plain(b"else\n", &key).is_err());
        assert_eq!(line.to_string(), text_line);
    }

    /// A checkpoint of a public Certificate Transparency log and the cosignature of a public
    /// witness, of 23 May 2026 (`tests/vectors/ledger/README.md`).
    #[test]
    fn checkpoint_and_cosignature_of_other_programs() {
        let bytes = include_bytes!("../../../tests/vectors/ledger/arche2025h1.checkpoint");
        let note = Note::parse(bytes).expect("a note");
        assert_eq!(note.to_string().as_bytes(), bytes);
        assert_eq!(note.checkpoint.size, 1_432_088_532);
        let (log, log_key) = verifier(
            "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f",
            Kind::Note,
        );
        let (witness, witness_key) = verifier(
            "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
            Kind::Cosignature,
        );
        assert_eq!(note.verify(&log, &log_key), Ok(()));
        let time = note.cosignature(&witness, &witness_key).expect("verifies").expect("is there");
        assert_eq!(time.unix_ms(), 0x6a12_2120 * 1000);
        assert_eq!(note.cosignature("elsewhere", &witness_key), Ok(None));
        assert_eq!(note.verify(&log, &witness_key), Err(InvalidNote::NotSigned { name: log.clone() }));
        let mut other = note;
        other.checkpoint.size = 42;
        assert!(matches!(other.verify(&log, &log_key), Err(InvalidNote::BadSignature { .. })));
        assert!(matches!(other.cosignature(&witness, &witness_key), Err(InvalidNote::BadSignature { .. })));
    }

    fn checkpoint() -> Checkpoint {
        let site: SiteName = "ashford".parse().expect("a name");
        Checkpoint { origin: origin(&site, "d1"), size: 7, root: Digest::of(b"root") }
    }

    #[test]
    fn round_trips() {
        let (site, witness) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let time: Time = "2027-03-01T09:30:00.900Z".parse().expect("a time");
        let note = checkpoint().sign(&site);
        let line = note.cosign(COORDINATOR, &witness, time);
        let line = SignatureLine::parse(&line.to_string()).expect("round trip");
        let note = note.with(line.clone()).expect("room").with(line).expect("room");
        let back = Note::parse(note.to_string().as_bytes()).expect("round trip");
        assert_eq!(back, note);
        assert_eq!(back.verify("consilium/ledger/ashford/d1", &site.public()), Ok(()));
        let at = back.cosignature(COORDINATOR, &witness.public()).expect("verifies").expect("is there");
        assert_eq!(at.to_string(), "2027-03-01T09:30:00.000Z");
        assert_eq!(back.cosignature(COORDINATOR, &site.public()), Ok(None));
        assert!(matches!(back.verify("else", &site.public()), Err(InvalidNote::Origin { .. })));
    }

    #[test]
    fn malformed_notes_name_the_line() {
        let good = checkpoint().sign(&SecretKey::from_seed(&[1; 32])).to_string();
        assert!(Note::parse(good.as_bytes()).is_ok());
        let check = |text: &str, what: &str| {
            let error = Note::parse(text.as_bytes()).expect_err("malformed").to_string();
            assert!(error.contains(what), "{error}");
        };
        check("", "line 4: expected an empty line");
        check(&good.replacen("\n7\n", "\n07\n", 1), "line 2: expected a size");
        check(&good.replacen("\n7\n", "\n-7\n", 1), "line 2: expected a size");
        check(&good.replacen("\n7\n", "\n7\nextension\n", 1), "line 4: expected origin");
        check(&good.replacen("=\n", "\n", 1), "line 3: expected 32 bytes");
        check(&good.replacen("consilium", "con silium", 1), "line 1: expected an origin");
        check(&good.replacen("— ", "- ", 1), "line 5: expected — NAME");
        check(good.trim_end(), "line 5: expected 1 to 64");
        check(&format!("{good}\n"), "line 4: expected origin");
        check(&good.replacen("\n7\n", "\r\n7\n", 1), "control characters");
        check(&"x".repeat(NOTE_BYTES_MAX + 1), "at most");
    }

    #[test]
    fn no_flipped_byte_verifies() {
        let key = SecretKey::from_seed(&[1; 32]);
        let good = checkpoint().sign(&key).to_string();
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            let verified =
                Note::parse(&bytes).is_ok_and(|n| n.verify(&checkpoint().origin, &key.public()).is_ok());
            assert!(!verified, "byte {at}");
        }
    }
}
