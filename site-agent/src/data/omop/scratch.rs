//! The private folder for intermediate files.
//!
//! # Privacy
//! What is spilled there is patient data, not encrypted. The folder is made for one run inside the one that the
//! hospital named (or the system's temporary folder), can be entered by its owner only (0700), and goes when the run
//! ends. On Unix a file's name is taken away as soon as it is made, so that its space comes back even after a crash and
//! nobody else can open it; an empty folder may then remain. Blocks of the disk are not overwritten: name a folder on an
//! encrypted disk where that matters.

use super::error::InvalidOmop;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A private folder, removed on drop.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one within `parent`, or within the system's temporary folder.
    pub(super) fn new(parent: Option<&Path>) -> Result<Self, InvalidOmop> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let failed = |source| InvalidOmop::Scratch { path: parent.clone(), source };
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| failed(io::Error::other("no entropy for a name")))?;
        let path = parent.join(format!("consilium-{}", hex::encode(random)));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(failed)?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new file that only this process can read.
    pub(super) fn file(&self, number: u64) -> Result<File, InvalidOmop> {
        let path = self.path.join(number.to_string());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |source| InvalidOmop::Scratch { path: self.path.clone(), source };
        let file = options.open(&path).map_err(failed)?;
        #[cfg(unix)]
        fs::remove_file(&path).map_err(failed)?;
        Ok(file)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing to be done about a folder that somebody else took away.
        drop(fs::remove_dir_all(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};

    #[test]
    fn it_is_private_and_goes() {
        let parent = tempfile::tempdir().expect("folder");
        let scratch = Scratch::new(Some(parent.path())).expect("made");
        let mut file = scratch.file(0).expect("made");
        file.write_all(b"a patient").expect("written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |metadata: fs::Metadata| metadata.permissions().mode() & 0o777;
            assert_eq!(mode(fs::metadata(scratch.path()).expect("there")), 0o700);
            assert_eq!(mode(file.metadata().expect("open")), 0o600);
            assert_eq!(fs::read_dir(scratch.path()).expect("there").count(), 0, "no name is left");
        }
        let mut text = String::new();
        file.rewind().expect("seeks");
        file.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "a patient");
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).expect("there").count(), 0);
        assert!(matches!(Scratch::new(Some(Path::new("no such folder"))), Err(InvalidOmop::Scratch { .. })));
    }
}
