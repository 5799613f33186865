//! The file operations of the ledger, each durable when it returns.

use super::LedgerError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Why a file was not replaced.
pub(super) enum Replace {
    /// The old file is in place.
    NotDone(LedgerError),
    /// After a crash it may be either.
    Unknown(LedgerError),
}

/// For `map_err`.
pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> LedgerError {
    let path = path.to_owned();
    move |error| LedgerError::Io { path, doing, error }
}

pub(super) fn is_absent_or_empty(dir: &Path) -> Result<bool, LedgerError> {
    match std::fs::read_dir(dir) {
        Ok(mut items) => Ok(items.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(io(dir, "reading the folder")(error)),
    }
}

/// Takes the lock for as long as the returned file lives.
pub(super) fn lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join("lock");
    let file = private().create(true).open(&path).map_err(io(&path, "opening the lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(&path, "locking")(error)),
    }
}

/// A file's bytes; `None` if there is none.
pub(super) fn read(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
    let path = dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(&path, "reading")(error)),
    }
}

/// Makes a folder with these files under another name beside it, then renames it into place.
pub(super) fn create_folder(dir: &Path, files: &[(&str, &[u8])]) -> Result<(), LedgerError> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or("ledger");
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = parent.join(format!(".{name}.new"));
    std::fs::create_dir_all(parent).map_err(io(parent, "making the folder"))?;
    if let Err(error) = std::fs::remove_dir_all(&new)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(io(&new, "removing what an interrupted start left")(error));
    }
    let mut folder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(&new).map_err(io(&new, "making the folder"))?;
    for (name, bytes) in files {
        write_new(&new.join(name), bytes)?;
    }
    sync_folder(&new)?;
    std::fs::rename(&new, dir).map_err(io(dir, "renaming the new folder into place"))?;
    sync_folder(parent)
}

/// Opens the entries for writing, cut to their signed length.
pub(super) fn open_entries(dir: &Path, length: u64, surplus: u64) -> Result<File, LedgerError> {
    let path = dir.join("entries");
    let file = OpenOptions::new().write(true).open(&path).map_err(io(&path, "opening"))?;
    if surplus > 0 {
        cut(&file, length).map_err(io(&path, "cutting off an unsigned entry"))?;
    }
    Ok(file)
}

pub(super) fn cut(file: &File, length: u64) -> std::io::Result<()> {
    file.set_len(length)?;
    file.sync_all()
}

pub(super) fn write_at(file: &mut File, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file as a whole: the old one or the new one is there at every moment.
pub(super) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Replace> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let renamed = write_new(&new, bytes)
        .and_then(|()| std::fs::rename(&new, &path).map_err(io(&path, "renaming the new file into place")));
    if let Err(error) = renamed {
        // Left behind it does no harm: it is written over by the next.
        let _ = std::fs::remove_file(&new);
        return Err(Replace::NotDone(error));
    }
    sync_folder(dir).map_err(Replace::Unknown)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    let mut file = private().create(true).truncate(true).open(path).map_err(io(path, "writing"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io(path, "writing"))
}

/// For writing; a file that this makes is its owner's alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn sync_folder(dir: &Path) -> Result<(), LedgerError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(io(dir, "syncing the folder"))
}
