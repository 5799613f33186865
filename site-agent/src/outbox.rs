//! Outputs that may be sent, and sent again: exact bytes under their digest. A retry sends the same
//! bytes, never a second output on one reserve.

use crate::disk::{Disk, OsDisk};
use crate::files::{self, FileError};
use consilium_common::id::Digest;
use consilium_common::model::blob::{HEADER_MAX, PARAMETERS_MAX};
use consilium_common::protocol::Receipt;
use consilium_common::signed::Signed;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest output: header, line feed and four bytes a parameter.
pub const OUTPUT_BYTES_MAX: u64 = (HEADER_MAX + 1 + 4 * PARAMETERS_MAX) as u64;

/// The folder of outputs.
#[derive(Debug, Clone)]
pub struct Outbox {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Outbox {
    /// The outbox in `dir`, made if it is not there.
    ///
    /// # Errors
    /// IO.
    pub fn open(dir: &Path) -> Result<Self, FileError> {
        Self::open_on(Arc::new(OsDisk), dir)
    }

    /// As [`Outbox::open`], on this disk.
    ///
    /// # Errors
    /// IO.
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, FileError> {
        files::create_private_folder(dir)?;
        Ok(Self { dir: dir.to_owned(), disk })
    }

    /// Keeps an output; durable on return.
    ///
    /// # Errors
    /// IO.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, FileError> {
        let digest = Digest::of(bytes);
        files::write_on(&*self.disk, &self.path(&digest), bytes)?;
        Ok(digest)
    }

    /// An output's exact bytes.
    ///
    /// # Errors
    /// IO, or bytes that changed on disk.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, FileError> {
        let path = self.path(digest);
        let bytes = files::read(&path, OUTPUT_BYTES_MAX)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(FileError::malformed(&path, format!("the bytes with digest {digest}")))
        }
    }

    /// Keeps the coordinator's receipt, verified before, beside the output.
    ///
    /// # Errors
    /// IO.
    pub fn keep_receipt(&self, digest: &Digest, receipt: &Signed<Receipt>) -> Result<(), FileError> {
        let text = serde_json::to_vec(receipt).expect("a receipt is plain data");
        files::write_on(&*self.disk, &self.receipt_path(digest), &text)
    }

    /// Whether the coordinator has signed for an output.
    #[must_use]
    pub fn has_receipt(&self, digest: &Digest) -> bool {
        self.receipt_path(digest).is_file()
    }

    /// Forgets an output once its study is closed; its receipt stays. Already forgotten is fine.
    ///
    /// # Errors
    /// IO.
    pub fn forget(&self, digest: &Digest) -> Result<(), FileError> {
        let path = self.path(digest);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FileError::Io { path, error }),
            _ => Ok(()),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(digest.hex())
    }

    fn receipt_path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}.receipt", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_exactly_or_not_at_all() {
        let dir = tempfile::tempdir().expect("folder");
        let outbox = Outbox::open(&dir.path().join("outbox")).expect("opened");
        let digest = outbox.put(b"an update").expect("kept");
        assert_eq!(digest, Digest::of(b"an update"));
        assert_eq!(outbox.read(&digest).expect("there"), b"an update");
        assert!(!outbox.has_receipt(&digest));
        std::fs::write(dir.path().join("outbox").join(digest.hex()), b"An update").expect("changed");
        assert!(matches!(outbox.read(&digest), Err(FileError::Malformed { .. })));
        outbox.forget(&digest).expect("forgotten");
        outbox.forget(&digest).expect("forgotten before");
        assert!(outbox.read(&digest).expect_err("gone").is_absent());
    }
}
