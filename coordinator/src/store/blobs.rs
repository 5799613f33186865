//! Large things as files named by the SHA-256 of their bytes. A file is written and hashed piece by
//! piece under another name, and gets its own only when all of it is durable: what has a digest for
//! a name is whole.

use super::{StoreError, at};
use consilium_common::id::{Digest, Hasher};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names of files that are not whole start with this.
const INCOMING: &str = "incoming-";

/// The folder of blobs.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
    /// Numbers incoming files.
    next: Arc<AtomicU64>,
}

impl Blobs {
    /// Opens or makes the folder, and removes what a crash left half written in it.
    ///
    /// # Errors
    /// The disk.
    pub fn open(folder: PathBuf) -> Result<Self, StoreError> {
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            if entry.file_name().to_string_lossy().starts_with(INCOMING) {
                fs::remove_file(entry.path()).map_err(at(&entry.path()))?;
            }
        }
        Ok(Self { folder, next: Arc::default() })
    }

    /// Where the blob of this digest is, if it is there.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// A new blob to write.
    ///
    /// # Errors
    /// The disk.
    pub fn incoming(&self) -> Result<Incoming, StoreError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{INCOMING}{number}"));
        let file = fs::File::create(&path).map_err(at(&path))?;
        Ok(Incoming { folder: self.folder.clone(), path, file, hasher: Hasher::default(), length: 0 })
    }

    /// Writes bytes as a blob, durably, and gives its digest.
    ///
    /// # Errors
    /// The disk.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let mut incoming = self.incoming()?;
        incoming.write(bytes)?;
        incoming.keep()
    }

    /// The bytes of a blob, checked against its digest.
    ///
    /// # Errors
    /// The disk, or bytes that are not what was written.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(at(&path))?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(other_bytes(digest)) }
    }
}

/// A blob's file does not hold what its name says.
pub(crate) fn other_bytes(digest: &Digest) -> StoreError {
    StoreError::Corrupt(format!("blob {digest} has other bytes"))
}

/// A blob that is being written; dropped before it is kept, it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    path: PathBuf,
    file: fs::File,
    hasher: Hasher,
    length: u64,
}

impl Incoming {
    /// The next piece.
    ///
    /// # Errors
    /// The disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(at(&self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Digest of the bytes written so far.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.hasher.clone().digest()
    }

    /// Where the bytes are meanwhile.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the blob its name, durably.
    ///
    /// # Errors
    /// The disk.
    pub fn keep(self) -> Result<Digest, StoreError> {
        let digest = self.digest();
        self.file.sync_all().map_err(at(&self.path))?;
        let path = self.folder.join(digest.hex());
        fs::rename(&self.path, &path).map_err(at(&path))?;
        fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(at(&self.folder))?;
        Ok(digest)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Once kept it is not there any more; what cannot be removed goes at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|e| e.expect("readable").file_name().into_string().expect("a name")).collect()
    }

    #[test]
    fn a_changed_blob_is_corrupt() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(folder.path().to_owned()).expect("opens");
        let digest = blobs.put(b"hello").expect("writes");
        assert_eq!(blobs.get(&digest).expect("reads"), b"hello");
        fs::write(blobs.path(&digest), b"hullo").expect("writes");
        assert!(matches!(blobs.get(&digest), Err(StoreError::Corrupt(_))));
        // Written again, it is what it should be.
        assert_eq!(blobs.put(b"hello").expect("writes"), digest);
        assert_eq!(blobs.get(&digest).expect("reads"), b"hello");
    }

    #[test]
    fn only_what_is_kept_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(folder.path().to_owned()).expect("opens");
        let mut kept = blobs.incoming().expect("opens");
        let mut dropped = blobs.incoming().expect("opens");
        kept.write(b"hel").expect("writes");
        dropped.write(b"other").expect("writes");
        kept.write(b"lo").expect("writes");
        assert_eq!((kept.length(), kept.digest()), (5, Digest::of(b"hello")));
        drop(dropped);
        let digest = kept.keep().expect("kept");
        assert_eq!(digest, Digest::of(b"hello"));
        assert_eq!(names(folder.path()), [digest.hex()]);

        // A crash drops nothing.
        fs::write(folder.path().join("incoming-7"), b"half").expect("writes");
        let blobs = Blobs::open(folder.path().to_owned()).expect("opens");
        assert_eq!(names(folder.path()), [digest.hex()]);
        assert_eq!(blobs.get(&digest).expect("reads"), b"hello");
    }
}
