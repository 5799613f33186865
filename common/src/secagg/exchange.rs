//! X25519 (RFC 7748) and HKDF-SHA256 (RFC 5869): two sites' common secret, and the keys made of it.

use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Starts every derivation, digest and signature of this protocol, so that none of them is one of
/// anything else that a key of ours is used for.
pub(super) const DOMAIN: &str = "consilium/secagg/1/";

/// A secret X25519 key. It prints as nothing and is wiped when dropped.
pub struct ExchangeKey(x25519_dalek::StaticSecret);

/// A public key with which no secret can be agreed on: all-zero, or of low order (RFC 7748, §6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the public key is of low order: it agrees on the same secret with everybody")]
pub struct LowOrder;

impl ExchangeKey {
    /// A fresh key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self::from_bytes(&bytes)
    }

    /// From its 32 bytes; every value is a key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(x25519_dalek::StaticSecret::from(*bytes))
    }

    /// The 32 bytes, to share out among sites.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        x25519_dalek::PublicKey::from(&self.0).to_bytes()
    }

    /// The secret that this key and the owner of `public` have in common.
    ///
    /// # Errors
    /// The other key contributes nothing to the secret.
    pub fn agree(&self, public: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, LowOrder> {
        let shared = self.0.diffie_hellman(&x25519_dalek::PublicKey::from(*public));
        if shared.was_contributory() { Ok(Zeroizing::new(shared.to_bytes())) } else { Err(LowOrder) }
    }
}

impl std::fmt::Debug for ExchangeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExchangeKey")
    }
}

/// Whether secrets can be agreed on with a public key at all.
///
/// # Errors
/// It is of low order.
pub(super) fn contributes(public: &[u8; 32]) -> Result<(), LowOrder> {
    // Every key finds it out: clamping makes all of them multiples of the small orders.
    ExchangeKey::from_bytes(&[1; 32]).agree(public).map(|_| ())
}

/// A key for one purpose: HKDF-SHA256 of `secret` with `salt`; the purpose and the fixed-length
/// `parts` that it is bound to are the info.
pub(super) fn derive(
    secret: &[u8; 32],
    salt: &[u8; 32],
    purpose: &str,
    parts: &[&[u8]],
) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let mut info = vec![DOMAIN.as_bytes(), purpose.as_bytes(), b"\n"];
    info.extend_from_slice(parts);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(&info, key.as_mut_slice())
        .expect("32 bytes are fewer than 255 hashes");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).expect("hex").try_into().expect("length")
    }

    /// RFC 7748, section 5.2: both vectors, and the iterated one.
    #[test]
    fn rfc_7748_vectors() {
        fn check(scalar: &str, u: &str, expected: &str) {
            let agreed = ExchangeKey::from_bytes(&bytes(scalar)).agree(&bytes(u)).expect("contributes");
            assert_eq!(*agreed, bytes(expected));
        }
        check(
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        );
        check(
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        );
        let (mut k, mut u) = (bytes(&format!("09{}", "00".repeat(31))), [0; 32]);
        u.copy_from_slice(&k);
        for iteration in 1..=1000 {
            let next = *ExchangeKey::from_bytes(&k).agree(&u).expect("contributes");
            (u, k) = (k, next);
            if iteration == 1 {
                assert_eq!(k, bytes("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
            }
        }
        assert_eq!(k, bytes("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    }

    /// RFC 5869, appendix A.1 to A.3, through the crate that `derive` uses.
    #[test]
    fn rfc_5869_vectors() {
        fn check(secret: &str, salt: Option<&str>, info: &str, expected: &str) {
            let decode = |text: &str| hex::decode(text).expect("hex");
            let (salt, mut key) = (salt.map(decode), decode(expected));
            let length = key.len();
            key.fill(0);
            let hkdf = Hkdf::<Sha256>::new(salt.as_deref(), &decode(secret));
            hkdf.expand(&decode(info), &mut key).expect("short");
            assert_eq!(hex::encode(&key), expected, "{length} bytes");
        }
        check(
            &"0b".repeat(22),
            Some("000102030405060708090a0b0c"),
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        );
        let run = |from: u8, to: u8| hex::encode((from..=to).collect::<Vec<_>>());
        check(
            &run(0x00, 0x4f),
            Some(&run(0x60, 0xaf)),
            &run(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        );
        check(
            &"0b".repeat(22),
            None,
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        );
    }

    /// The points of small order on the curve and its twist (and their other spellings).
    #[test]
    fn low_order_keys_are_refused() {
        let key = ExchangeKey::from_bytes(&[7; 32]);
        for low in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            assert_eq!(key.agree(&bytes(low)), Err(LowOrder), "{low}");
            assert_eq!(contributes(&bytes(low)), Err(LowOrder), "{low}");
        }
        assert!(key.agree(&bytes(&format!("09{}", "00".repeat(31)))).is_ok());
    }

    #[test]
    fn purposes_and_parts_are_apart() {
        let key = |secret: u8, salt: u8, purpose, part: &[u8]| {
            derive(&[secret; 32], &[salt; 32], purpose, &[part]).to_vec()
        };
        let base = key(1, 2, "mask", b"x");
        assert_eq!(base, key(1, 2, "mask", b"x"));
        for other in [
            key(0, 2, "mask", b"x"),
            key(1, 0, "mask", b"x"),
            key(1, 2, "channel", b"x"),
            key(1, 2, "mask", b"y"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", ExchangeKey::from_bytes(&[7; 32])), "ExchangeKey");
    }
}
