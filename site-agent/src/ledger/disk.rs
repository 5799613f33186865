//! The file operations of the ledger, each durable when it returns.

use super::LedgerError;
use crate::disk::{Disk, DiskFile};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

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

/// Takes the lock for as long as the returned file lives. The lock file holds nothing: it does not
/// go through the seam of what must survive.
pub(super) fn lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(io(&path, "opening the lock"))?;
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

/// A file's bytes from `start` to `end`.
pub(super) fn read_range(dir: &Path, name: &str, start: u64, end: u64) -> Result<Vec<u8>, LedgerError> {
    let path = dir.join(name);
    let read = || {
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(io(&path, "reading"))
}

/// Makes a folder with these files under another name beside it, then renames it into place, where there is
/// none.
pub(super) fn put_folder(disk: &dyn Disk, dir: &Path, files: &[(&str, &[u8])]) -> Result<(), LedgerError> {
    let new = beside(dir, "new");
    write_folder(disk, &new, files)?;
    rename_into_place(disk, &new, dir)
}

/// As [`put_folder`], where there is one: that gets the name `aside`. There is no one step that gives two
/// folders their names. So the new one, whole and durable, gets a name of its own first, under which
/// [`finish_replacing`] finds it where the power went between the two.
pub(super) fn replace_folder(
    disk: &dyn Disk,
    dir: &Path,
    files: &[(&str, &[u8])],
    aside: &Path,
) -> Result<(), LedgerError> {
    let (new, ready) = (beside(dir, "new"), beside(dir, READY));
    remove_left(&ready)?;
    write_folder(disk, &new, files)?;
    rename_into_place(disk, &new, &ready)?;
    disk.rename(dir, aside).map_err(io(dir, "putting the old folder aside"))?;
    sync_folder(disk, parent(dir))?;
    rename_into_place(disk, &ready, dir)
}

/// After an interrupted [`replace_folder`]: the new folder, if the old one has given up the name, and nothing
/// of it otherwise.
pub(super) fn finish_replacing(disk: &dyn Disk, dir: &Path) -> Result<(), LedgerError> {
    let ready = beside(dir, READY);
    if is_absent_or_empty(&ready)? {
        return Ok(());
    }
    if !is_absent_or_empty(dir)? {
        return remove_left(&ready);
    }
    // An empty folder in the way of the rename.
    if dir.exists() {
        std::fs::remove_dir(dir).map_err(io(dir, "removing the empty folder"))?;
    }
    rename_into_place(disk, &ready, dir)
}

/// A new folder that is to take the place of an old one, whole.
const READY: &str = "recovered";

fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or("ledger");
    parent(dir).join(format!(".{name}.{what}"))
}

fn remove_left(folder: &Path) -> Result<(), LedgerError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io(folder, "removing what an interrupted start left")(error))
        }
        _ => Ok(()),
    }
}

/// A folder of these files, each durable in it.
fn write_folder(disk: &dyn Disk, new: &Path, files: &[(&str, &[u8])]) -> Result<(), LedgerError> {
    let above = parent(new);
    std::fs::create_dir_all(above).map_err(io(above, "making the folder"))?;
    remove_left(new)?;
    disk.create_folder(new).map_err(io(new, "making the folder"))?;
    for (name, bytes) in files {
        write_new(disk, &new.join(name), bytes)?;
    }
    sync_folder(disk, new)
}

fn rename_into_place(disk: &dyn Disk, new: &Path, dir: &Path) -> Result<(), LedgerError> {
    disk.rename(new, dir).map_err(io(dir, "renaming the new folder into place"))?;
    sync_folder(disk, parent(dir))
}

/// Opens the entries for writing, cut to their signed length.
pub(super) fn open_entries(
    disk: &dyn Disk,
    dir: &Path,
    length: u64,
    surplus: u64,
) -> Result<Box<dyn DiskFile>, LedgerError> {
    let path = dir.join("entries");
    let mut file = disk.open(&path).map_err(io(&path, "opening"))?;
    if surplus > 0 {
        cut(&mut *file, length).map_err(io(&path, "cutting off an unsigned entry"))?;
    }
    Ok(file)
}

pub(super) fn cut(file: &mut dyn DiskFile, length: u64) -> std::io::Result<()> {
    file.cut(length)?;
    file.sync()
}

pub(super) fn write_at(file: &mut dyn DiskFile, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    file.write_at(at, bytes)?;
    file.sync()
}

/// Replaces a file as a whole: the old one or the new one is there at every moment.
pub(super) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Replace> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let renamed = write_new(disk, &new, bytes)
        .and_then(|()| disk.rename(&new, &path).map_err(io(&path, "renaming the new file into place")));
    if let Err(error) = renamed {
        // Left behind it does no harm: it is written over by the next.
        let _ = disk.remove(&new);
        return Err(Replace::NotDone(error));
    }
    sync_folder(disk, dir).map_err(Replace::Unknown)
}

fn write_new(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    let write = || {
        let mut file = disk.create(path)?;
        file.write_at(0, bytes)?;
        file.sync()
    };
    write().map_err(io(path, "writing"))
}

fn sync_folder(disk: &dyn Disk, dir: &Path) -> Result<(), LedgerError> {
    disk.sync_folder(dir).map_err(io(dir, "syncing the folder"))
}
