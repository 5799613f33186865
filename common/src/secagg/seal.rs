//! ChaCha20-Poly1305 (RFC 8439, section 2.8), from the crates of the two: the box in which a share
//! travels from one site to another through the coordinator.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit as _, UniversalHash as _};
use zeroize::Zeroizing;

/// Bytes that a box is longer than what is in it.
pub const TAG_BYTES: usize = 16;

/// A box that was changed, or was not made with this key, nonce and context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open with this key, nonce and context")]
pub struct NotAuthentic;

/// Encrypts `bytes` in place and authenticates them with `context`; returns the tag. A nonce is used
/// once with a key.
pub fn seal(key: &[u8; 32], nonce: &[u8; 12], context: &[u8], bytes: &mut [u8]) -> [u8; TAG_BYTES] {
    let (mut cipher, authenticator) = start(key, nonce);
    cipher.apply_keystream(bytes);
    finish(authenticator, context, bytes).finalize().into()
}

/// Checks the tag in constant time, then decrypts in place. Where it fails, `bytes` are as before.
///
/// # Errors
/// Key, nonce, context, bytes or tag are not those of the sealing.
pub fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    context: &[u8],
    bytes: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), NotAuthentic> {
    let (mut cipher, authenticator) = start(key, nonce);
    finish(authenticator, context, bytes).verify(tag.into()).map_err(|_| NotAuthentic)?;
    cipher.apply_keystream(bytes);
    Ok(())
}

/// The cipher from its second block on, and the authenticator whose key is the first half of block 0.
fn start(key: &[u8; 32], nonce: &[u8; 12]) -> (ChaCha20, Poly1305) {
    let mut cipher = ChaCha20::new(key.into(), nonce.into());
    let mut first = Zeroizing::new([0; 64]);
    cipher.apply_keystream(first.as_mut_slice());
    let key = first.first_chunk::<32>().expect("32 of 64 bytes");
    (cipher, Poly1305::new(key.into()))
}

fn finish(mut authenticator: Poly1305, context: &[u8], sealed: &[u8]) -> Poly1305 {
    authenticator.update_padded(context);
    authenticator.update_padded(sealed);
    let mut lengths = [0; 16];
    lengths[..8].copy_from_slice(&(context.len() as u64).to_le_bytes());
    lengths[8..].copy_from_slice(&(sealed.len() as u64).to_le_bytes());
    authenticator.update(&[lengths.into()]);
    authenticator
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).expect("hex").try_into().expect("length")
    }

    /// RFC 8439, section 2.8.2.
    #[test]
    fn rfc_8439_vector() {
        let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
        let nonce = hex("070000004041424344454647");
        let context: [u8; 12] = hex("50515253c0c1c2c3c4c5c6c7");
        let plain = *b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
            future, sunscreen would be it.";
        let mut bytes = plain;
        let tag = seal(&key, &nonce, &context, &mut bytes);
        let expected: [u8; 114] = hex(
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b\
             1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
             3ff4def08e4b7a9de576d26586cec64b6116",
        );
        assert_eq!(bytes, expected);
        assert_eq!(tag, hex("1ae10b594f09e26a7e902ecbd0600691"));
        assert_eq!(open(&key, &nonce, &context, &mut bytes, &tag), Ok(()));
        assert_eq!(bytes, plain);
    }

    /// RFC 8439, appendix A.5.
    #[test]
    fn rfc_8439_decryption_vector() {
        let key = hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
        let context: [u8; 12] = hex("f33388860000000000004e91");
        let mut bytes: [u8; 265] = hex(
            "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0\
             bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855\
             9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9\
             9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a\
             0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130\
             305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b",
        );
        let tag = hex("eead9d67890cbb22392336fea1851f38");
        open(&key, &hex("000000000102030405060708"), &context, &mut bytes, &tag).expect("opens");
        let plain = String::from_utf8_lossy(&bytes);
        assert!(plain.starts_with("Internet-Drafts are draft documents valid for a maximum of six months"));
        assert!(plain.ends_with("/\u{201c}work in progress./\u{201d}"), "{plain}");
    }

    /// Every changed bit, and every other context, is noticed, and nothing is decrypted then.
    #[test]
    fn changes_are_noticed() {
        let mut bytes = [5; 64];
        let tag = seal(&[1; 32], &[2; 12], b"context", &mut bytes);
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let kept = changed;
            assert_eq!(open(&[1; 32], &[2; 12], b"context", &mut changed, &tag), Err(NotAuthentic));
            assert_eq!(changed, kept);
        }
        for bit in 0..8 * TAG_BYTES {
            let mut changed = tag;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&[1; 32], &[2; 12], b"context", &mut bytes.clone(), &changed), Err(NotAuthentic));
        }
        fn check(key: u8, nonce: u8, context: &[u8], bytes: &[u8], tag: &[u8; 16], expected: bool) {
            let opened = open(&[key; 32], &[nonce; 12], context, &mut bytes.to_vec(), tag);
            assert_eq!(opened.is_ok(), expected);
        }
        check(1, 2, b"context", &bytes, &tag, true);
        check(0, 2, b"context", &bytes, &tag, false);
        check(1, 0, b"context", &bytes, &tag, false);
        check(1, 2, b"contexu", &bytes, &tag, false);
        check(1, 2, b"contex", &bytes, &tag, false);
        check(1, 2, b"context", &bytes[..63], &tag, false);
    }
}
