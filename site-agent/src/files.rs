//! Files that must be whole or absent: written beside, synced, renamed, and their folder synced.
//! Private ones are readable by their owner only, and refused when they are not.

use crate::disk::{Disk, OsDisk};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that could not be read or written. Says path and cause, never content.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than the owner can read a private file.
    #[error("{path}: others can read this private file; run: chmod 600 {path}")]
    TooOpen {
        /// Which.
        path: PathBuf,
    },
    /// Larger than it can rightly be.
    #[error("{path}: expected at most {limit} bytes")]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Not what the agent wrote there.
    #[error("{path}: expected {expected}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What should be there.
        expected: String,
    },
}

impl FileError {
    /// For `map_err`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }

    /// For what does not parse.
    pub fn malformed(path: &Path, expected: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), expected: expected.into() }
    }

    /// Whether the file is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// A new folder (and its parents) that only its owner can enter.
///
/// # Errors
/// IO.
pub fn create_private_folder(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(FileError::io(path))
}

/// A folder that only its owner can enter, whether it was there before or not.
///
/// # Errors
/// IO, or the folder is somebody else's.
pub fn make_private_folder(path: &Path) -> Result<(), FileError> {
    create_private_folder(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(FileError::io(path))?;
    }
    Ok(())
}

/// Puts `bytes` at `path`, whole or not at all, readable by the owner only; durable on return.
///
/// # Errors
/// IO (a full disk included); what was at `path` before is then still there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_on(&OsDisk, path, bytes)
}

/// As [`write()`], on this disk.
///
/// # Errors
/// As [`write()`].
pub fn write_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.new"));
    let write = || {
        let mut file = disk.create(&beside)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        disk.rename(&beside, path)?;
        disk.sync_folder(folder)
    };
    write().map_err(|error| {
        // The half-written file beside is of no use; the error that matters is the first.
        drop(disk.remove(&beside));
        FileError::Io { path: path.to_owned(), error }
    })
}

/// The bytes at `path`, at most `limit` of them.
///
/// # Errors
/// IO, or more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let length = fs::metadata(path).map_err(FileError::io(path))?.len();
    if length > limit {
        return Err(FileError::TooLong { path: path.to_owned(), limit });
    }
    fs::read(path).map_err(FileError::io(path))
}

/// As [`read`], as text.
///
/// # Errors
/// IO, too long, or not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, FileError> {
    String::from_utf8(read(path, limit)?).map_err(|_| FileError::malformed(path, "UTF-8 text"))
}

/// As [`read_text`], refusing a file that others can read.
///
/// # Errors
/// As [`read_text`]; or others can read it.
pub fn read_private_text(path: &Path, limit: u64) -> Result<zeroize::Zeroizing<String>, FileError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(FileError::io(path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(FileError::TooOpen { path: path.to_owned() });
        }
    }
    read_text(path, limit).map(zeroize::Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_whole_and_private() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("key");
        write(&path, b"one").expect("written");
        write(&path, b"two").expect("replaced");
        assert_eq!(read_private_text(&path, 100).expect("private").as_str(), "two");
        assert!(matches!(read(&path, 2), Err(FileError::TooLong { .. })));
        assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1, "nothing is left beside");
        assert!(read(&dir.path().join("none"), 2).expect_err("absent").is_absent());
        assert!(write(&dir.path().join("none/key"), b"x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("key");
        write(&path, b"secret").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
        let error = read_private_text(&path, 100).expect_err("open").to_string();
        assert!(error.contains("chmod 600") && !error.contains("secret"), "{error}");
    }
}
