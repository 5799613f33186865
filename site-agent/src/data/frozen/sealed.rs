//! A stream of bytes, encrypted and authenticated in chunks: what is read was written so, in this order, to its end.
//!
//! | bytes | what |
//! |---|---|
//! | 22 | `consilium-snapshot/1` and two line feeds |
//! | 32 | fresh, for this file |
//! | 65 536 + 16 | a chunk and its tag, as often as there are |
//! | at most 65 536 + 16 | the last chunk and its tag |
//!
//! The file's own key is HMAC-SHA-256 of the first 54 bytes under the home's key; a chunk is sealed with ChaCha20-Poly1305
//! (RFC 8439), its nonce being 1 for the last chunk or else 0, three zeros and the chunk's number (little-endian, 8 bytes).
//! A chunk that is changed, left out, moved, or followed by nothing where it was not the last, does not open: the
//! construction of Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance" (CRYPTO 2015), STREAM.

use consilium_common::secagg::seal::{self, TAG_BYTES};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::io::{self, BufRead, Read, Write};
use zeroize::Zeroizing;

const MAGIC: &[u8; 22] = b"consilium-snapshot/1\n\n";
const SALT_BYTES: usize = 32;
/// Bytes of a chunk, before its tag.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

type Key = Zeroizing<[u8; 32]>;

fn file_key(key: &[u8; 32], salt: &[u8; SALT_BYTES]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(MAGIC);
    mac.update(salt);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn nonce(chunk: u64, is_last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[0] = u8::from(is_last);
    nonce[4..].copy_from_slice(&chunk.to_le_bytes());
    nonce
}

/// Seals what is written to it. Nothing can be read back before [`Sealer::finish`].
pub(super) struct Sealer<W> {
    out: W,
    key: Key,
    chunk: Zeroizing<Vec<u8>>,
    sealed: u64,
}

impl<W: Write> Sealer<W> {
    /// `salt` is fresh and used for this file alone.
    pub(super) fn new(mut out: W, key: &[u8; 32], salt: &[u8; SALT_BYTES]) -> io::Result<Self> {
        out.write_all(&[&MAGIC[..], salt].concat())?;
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
        Ok(Self { out, key: file_key(key, salt), chunk, sealed: 0 })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let tag = seal::seal(&self.key, &nonce(self.sealed, is_last), MAGIC, &mut self.chunk);
        self.chunk.extend_from_slice(&tag);
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.sealed += 1;
        Ok(())
    }

    /// The last chunk; gives back what was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_BYTES {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what a [`Sealer`] sealed. Gives no byte of a chunk that is not authentic: those are errors of kind `InvalidData`.
pub(super) struct Opener<R> {
    input: R,
    key: Key,
    chunk: Zeroizing<Vec<u8>>,
    /// Of the chunk, given out already.
    at: usize,
    opened: u64,
    is_last: bool,
}

impl<R: BufRead> Opener<R> {
    pub(super) fn new(mut input: R, key: &[u8; 32]) -> io::Result<Self> {
        let mut start = [0; MAGIC.len() + SALT_BYTES];
        input.read_exact(&mut start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => not_authentic(),
            _ => error,
        })?;
        let (magic, salt) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(not_authentic());
        }
        let key = file_key(key, salt.try_into().expect("what is left"));
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
        Ok(Self { input, key, chunk, at: 0, opened: 0, is_last: false })
    }

    fn open(&mut self) -> io::Result<()> {
        self.chunk.clear();
        self.at = 0;
        (&mut self.input).take((CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut self.chunk)?;
        self.is_last = self.input.fill_buf()?.is_empty();
        let length = self.chunk.len().checked_sub(TAG_BYTES).ok_or_else(not_authentic)?;
        let (bytes, tag) = self.chunk.split_at_mut(length);
        let tag = (&*tag).try_into().expect("split there");
        let opened = seal::open(&self.key, &nonce(self.opened, self.is_last), MAGIC, bytes, tag);
        self.opened += 1;
        if opened.is_err() {
            self.chunk.clear();
            return Err(not_authentic());
        }
        self.chunk.truncate(length);
        Ok(())
    }
}

impl<R: BufRead> Read for Opener<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            if self.is_last {
                return Ok(0);
            }
            self.open()?;
        }
        let given = out.len().min(self.chunk.len() - self.at);
        out[..given].copy_from_slice(&self.chunk[self.at..self.at + given]);
        self.at += given;
        Ok(given)
    }
}

fn not_authentic() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not what was sealed under this key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), &[1; 32], &[2; 32]).expect("a Vec takes all bytes");
        // In pieces that do not fit the chunks.
        plain.chunks(7001).for_each(|piece| sealer.write_all(piece).expect("taken"));
        sealer.finish().expect("taken")
    }

    fn opened(bytes: &[u8], key: u8) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opener::new(bytes, &[key; 32])?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_was_sealed_comes_back() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 150_000] {
            let plain: Vec<u8> = (0..length).map(|i| (i * 7 % 251) as u8).collect();
            let bytes = sealed(&plain);
            let chunks = length.div_ceil(CHUNK_BYTES).max(1);
            assert_eq!(bytes.len(), 54 + length + 16 * chunks);
            assert_eq!(opened(&bytes, 1).expect("authentic"), plain, "{length} bytes");
            assert!(opened(&bytes, 2).is_err(), "another key");
        }
    }

    /// Any byte changed, any length cut to, any byte more, chunks in another order: not one wrong byte is given.
    #[test]
    fn nothing_else_opens() {
        let plain: Vec<u8> = (0..2 * CHUNK_BYTES + 100).map(|i| (i % 253) as u8).collect();
        let good = sealed(&plain);
        let whole = CHUNK_BYTES + TAG_BYTES;
        let check = |bytes: &[u8], what: &str| {
            let error = opened(bytes, 1).expect_err(what);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
        };
        for at in (0..200).chain((200..good.len()).step_by(997)).chain(good.len() - 120..good.len()) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x10;
            check(&bytes, &format!("byte {at}"));
        }
        for length in
            [0, 10, 53, 54, 60, 54 + whole - 1, 54 + whole, 54 + whole + 1, 54 + 2 * whole, good.len() - 1]
        {
            check(&good[..length], &format!("{length} bytes"));
        }
        check(&[&good[..], b"x"].concat(), "a byte more");
        let (start, chunks) = good.split_at(54);
        let (one, rest) = chunks.split_at(whole);
        let (two, last) = rest.split_at(whole);
        check(&[start, two, one, last].concat(), "another order");
        check(&[start, one, last].concat(), "one left out");
        check(&[start, one, two, two, last].concat(), "one twice");
        let other = {
            let mut sealer = Sealer::new(Vec::new(), &[1; 32], &[3; 32]).expect("a Vec takes all bytes");
            sealer.write_all(&plain).expect("taken");
            sealer.finish().expect("taken")
        };
        check(&[start, one, two, &other[54 + 2 * whole..]].concat(), "the end of another file");
    }
}
