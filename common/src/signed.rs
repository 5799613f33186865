//! Signed statements over exact bytes: what was signed is kept as it came, and nobody re-encodes
//! before verifying (protobuf and JSON have no canonical form).

use crate::key::{BadSignature, PublicKey, SecretKey, Signature};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::marker::PhantomData;

/// Exact bytes (JSON of a `T`), who signed them, and the signature. Nothing in it is believed
/// until [`Signed::verify`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    /// The signed text, exactly.
    pub statement: String,
    /// Who claims to have signed.
    pub key: PublicKey,
    /// Over context, line feed, statement.
    pub signature: Signature,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

/// A `T` whose signature was checked against a key that the caller trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    key: PublicKey,
}

/// What a type of statement is called in the bytes that are signed, so that a signature over one
/// kind of statement is never a signature over another.
pub trait Statement: Serialize + DeserializeOwned {
    /// As `consilium/approval/1`.
    const CONTEXT: &'static str;
}

/// A statement that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStatement {
    /// Signed by somebody else than expected.
    #[error("signed by {found}, expected {expected}")]
    WrongKey {
        /// The key that the caller trusts.
        expected: PublicKey,
        /// The key that the statement names.
        found: PublicKey,
    },
    /// The bytes were changed, or the key is not the signer's.
    #[error(transparent)]
    BadSignature(#[from] BadSignature),
    /// The signed text is not a statement of this kind.
    #[error("the signed text is not a valid {context}: {reason}")]
    Malformed {
        /// The kind of statement expected.
        context: &'static str,
        /// What the parser said.
        reason: String,
    },
}

impl<T: Statement> Signed<T> {
    /// Encodes `value` once and signs those bytes.
    ///
    /// # Panics
    /// Never for the statements of this crate: they are plain data.
    #[must_use]
    pub fn new(value: &T, key: &SecretKey) -> Self {
        let statement = serde_json::to_string(value).expect("a statement is plain data");
        let signature = key.sign(&Self::signing_input(&statement));
        Self { statement, key: key.public(), signature, of: PhantomData }
    }

    /// Checks the signature against the key that the caller trusts, then parses.
    ///
    /// # Errors
    /// Another signer, changed bytes, or bytes that are no `T`.
    pub fn verify(&self, trusted: &PublicKey) -> Result<Verified<T>, InvalidStatement> {
        if self.key != *trusted {
            return Err(InvalidStatement::WrongKey { expected: *trusted, found: self.key });
        }
        self.key.verify(&Self::signing_input(&self.statement), &self.signature)?;
        let value = serde_json::from_str(&self.statement)
            .map_err(|e| InvalidStatement::Malformed { context: T::CONTEXT, reason: e.to_string() })?;
        Ok(Verified { value, key: self.key })
    }

    fn signing_input(statement: &str) -> Vec<u8> {
        [T::CONTEXT.as_bytes(), b"\n", statement.as_bytes()].concat()
    }
}

impl<T> Verified<T> {
    /// Who signed.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// The statement itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self { statement: self.statement.clone(), key: self.key, signature: self.signature, of: PhantomData }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.statement == other.statement && self.key == other.key && self.signature == other.signature
    }
}

impl<T> std::fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed({}, by {})", self.statement, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Yes(u32);
    impl Statement for Yes {
        const CONTEXT: &'static str = "consilium/test-yes/1";
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct No(u32);
    impl Statement for No {
        const CONTEXT: &'static str = "consilium/test-no/1";
    }

    #[test]
    fn one_kind_never_passes_for_another() {
        let key = SecretKey::from_seed(&[1; 32]);
        let yes = Signed::new(&Yes(5), &key);
        assert_eq!(*yes.verify(&key.public()).expect("genuine"), Yes(5));
        let as_no: Signed<No> =
            serde_json::from_str(&serde_json::to_string(&yes).expect("json")).expect("json");
        assert!(matches!(as_no.verify(&key.public()), Err(InvalidStatement::BadSignature(_))));
    }

    #[test]
    fn changed_text_or_another_key_is_refused() {
        let key = SecretKey::from_seed(&[1; 32]);
        let mut yes = Signed::new(&Yes(5), &key);
        let other = SecretKey::from_seed(&[2; 32]).public();
        assert!(matches!(yes.verify(&other), Err(InvalidStatement::WrongKey { .. })));
        yes.statement = "6".into();
        assert!(matches!(yes.verify(&key.public()), Err(InvalidStatement::BadSignature(_))));
    }
}
