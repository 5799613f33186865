//! The one seam between what must survive a crash and the disk: every write, cut, sync, rename and
//! removal of the ledger, the outbox and what the agent keeps beside them goes through [`Disk`], so
//! that a test can stop a run at the k-th of them and drop or tear what was not synced. Reading does
//! not go through it: what is read after a crash is whatever lies there.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// A file system. Nothing is durable before its sync: a file's bytes after [`DiskFile::sync`], its
/// name after [`Disk::sync_folder`].
pub trait Disk: fmt::Debug + Send + Sync {
    /// A new, empty file for its owner alone; one of this name is emptied.
    ///
    /// # Errors
    /// IO.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file that is there, for writing.
    ///
    /// # Errors
    /// IO; there is none.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A new folder that only its owner can enter, in one that is there.
    ///
    /// # Errors
    /// IO; it is there already.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or folder another name; a file of that name is replaced.
    ///
    /// # Errors
    /// IO.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// IO; there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// IO.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open file. Synced through the handle that wrote, so that a failed write-back is not missed.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Writes all of `bytes` at this offset.
    ///
    /// # Errors
    /// IO; any part of the bytes may have been written.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to this length.
    ///
    /// # Errors
    /// IO.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Makes the file's bytes durable.
    ///
    /// # Errors
    /// IO.
    fn sync(&mut self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut folder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        File::open(path)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }
}

impl DiskFile for File {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(at))?;
        self.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}
