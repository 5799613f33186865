//! A person's role, training or evaluation.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// The site's own secret that fixes each person's role for the dataset, the same in every study. Made
/// once at `init`; it prints as nothing. Whoever loses it moves people between the roles, and from
/// then on a person's loss is the sum of two accounts instead of the larger one.
pub struct SplitKey(Zeroizing<[u8; 32]>);

/// What a pseudonym becomes under the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pseudonym([u8; 32]);

impl SplitKey {
    /// From 32 bytes of entropy that the caller drew, or read from the site's home.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Tells this key from others, and nothing of it: 32 hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of any length");
        mac.update(b"consilium/split-key/fingerprint");
        hex::encode(&mac.finalize().into_bytes()[..16])
    }

    /// HMAC-SHA-256 of the person's id, spaces around it cut off.
    #[must_use]
    pub fn pseudonym(&self, person_id: &str) -> Pseudonym {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of any length");
        mac.update(person_id.trim().as_bytes());
        Pseudonym(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for SplitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SplitKey")
    }
}

impl Pseudonym {
    /// Whether the person trains: the first 8 bytes as a big-endian number, over 2^64, are below the
    /// public share.
    ///
    /// # Privacy
    /// The role depends on this person's id and the site's key alone, so adding or removing one
    /// person moves nobody else, and a study that knows the share cannot choose who trains.
    #[must_use]
    pub fn trains(self, training_share: f64) -> bool {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a 2^-53 of all people at the border moves, always the same"
        )]
        let part = u64::from_be_bytes([a, b, c, d, e, f, g, h]) as f64 / 2_f64.powi(64);
        part < training_share
    }

    /// Other bytes of the same, to find an id that stands in the table twice without keeping ids.
    pub(super) fn fingerprint(self) -> [u8; 16] {
        self.0[16..].try_into().expect("16 of 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2 has a key of 4 bytes; padded with zeros to a block it is the same HMAC
    /// key as these 32 bytes.
    #[test]
    fn rfc_4231_vector() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let pseudonym = SplitKey::from_bytes(key).pseudonym("what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(pseudonym.0), expected);
        // 0x5bdcc146… / 2^64 is 0.35884.
        assert!(pseudonym.trains(0.3589) && !pseudonym.trains(0.3588));
    }

    #[test]
    fn the_share_is_kept_and_the_key_decides() {
        let roles = |key: u8| {
            let key = SplitKey::from_bytes([key; 32]);
            (0..20_000).map(|i| key.pseudonym(&format!("p{i}")).trains(0.7)).collect::<Vec<_>>()
        };
        let (one, other) = (roles(1), roles(2));
        for roles in [&one, &other] {
            let trains = roles.iter().filter(|&&trains| trains).count();
            // Four standard deviations of Binomial(20000, 0.7).
            assert!(trains.abs_diff(14_000) < 260, "{trains}");
        }
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same.abs_diff(11_600) < 300, "independent roles agree for 0.58 of people: {same}");
        assert_eq!(one, roles(1), "the same in every study");
    }

    #[test]
    fn spaces_do_not_move_a_person_and_the_key_is_not_printed() {
        let key = SplitKey::from_bytes([9; 32]);
        assert!(key.pseudonym(" a7 ") == key.pseudonym("a7"));
        assert_eq!(format!("{key:?}"), "SplitKey");
    }
}
