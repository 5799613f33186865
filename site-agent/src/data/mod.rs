//! From a hospital's own table or OMOP records to the examples of a study. Everything in here stays at the site: errors
//! name rows and columns, never a cell, and nothing of it is printed by `Debug`.

pub mod encode;
pub mod export;
pub mod extract;
mod lines;
pub mod omop;
mod source;
pub mod split;
pub mod table;

pub use source::{
    Faults, InvalidData, check_columns, check_person_column, load_strict, load_tolerant, main_file, summary,
};
pub use split::SplitKey;
pub use table::{Fault, InvalidTable, Loaded, Summary};

use consilium_common::examples::Examples;
use consilium_common::id::Digest;
use consilium_common::privacy::clip::Lattice;
use consilium_common::study::Study;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::io;

/// The commitment that a ledger's `dataset_version` holds: HMAC-SHA-256 under a fresh nonce that only
/// the site keeps, over the byte form of the training examples and then of the evaluation examples.
///
/// # Privacy
/// Without the nonce the commitment tells nothing of the data, nor whether they changed; with it an
/// auditor whom the site lets in can check that the examples are the ones of that day.
#[must_use]
pub fn commitment(nonce: &[u8; 32], training: &Examples, evaluation: &Examples) -> Digest {
    let mut mac = Keyed(Hmac::<Sha256>::new_from_slice(nonce).expect("a key of any length"));
    training.write(&mut mac).and_then(|()| evaluation.write(&mut mac)).expect("a hash takes all bytes");
    Digest::from_bytes(mac.0.finalize().into_bytes().into())
}

/// Everybody may join a step: the most training people for whom the study's integer arithmetic is proven.
fn training_people_max(study: &Study) -> usize {
    Lattice::for_dimension(study.architecture().parameters()).batch_max()
}

/// Lets examples be hashed without a second copy in memory.
struct Keyed(Hmac<Sha256>);

impl io::Write for Keyed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commitment_binds_data_roles_and_nonce() {
        let mut one = Examples::new(1);
        one.push_person(&[(vec![0.5], 1.0)], vec![]);
        let none = Examples::new(1);
        let base = commitment(&[1; 32], &one, &none);
        assert_eq!(base, commitment(&[1; 32], &one, &none));
        assert_ne!(base, commitment(&[2; 32], &one, &none), "another nonce");
        assert_ne!(base, commitment(&[1; 32], &none, &one), "another role");
        let mut mac = Hmac::<Sha256>::new_from_slice(&[1; 32]).expect("a key");
        mac.update(&[one.to_bytes(), none.to_bytes()].concat());
        assert_eq!(base.as_bytes()[..], mac.finalize().into_bytes()[..]);
    }
}
