//! A bundle on disk: a folder, read with limits.

use consilium_common::ledger::bundle::Files;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest file of a bundle: a model of 10^8 parameters, and its header.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// The most files of a bundle.
const FILES_MAX: usize = 2_000_000;
/// The deepest folder within a bundle.
const DEPTH_MAX: usize = 16;

/// A folder that cannot be read as a bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidFolder {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error("{path}: expected a folder")]
    NotAFolder { path: PathBuf },
    #[error("{path}: neither a file nor a folder; a bundle has no links")]
    Kind { path: PathBuf },
    #[error("{path}: its name is not UTF-8")]
    Name { path: PathBuf },
    #[error("{path}: {found} bytes, at most {FILE_BYTES_MAX} are read")]
    TooLarge { path: PathBuf, found: u64 },
    #[error("{path}: more than {FILES_MAX} files, or deeper than {DEPTH_MAX} folders")]
    TooMany { path: PathBuf },
}

/// Lists a bundle's files; they are read when they are asked for. `updates` is a folder with the updates of
/// sites, as `ROUND/SITE`, that stand in for those that the bundle does not hold.
pub(crate) fn open<'a>(root: &'a Path, updates: Option<&'a Path>) -> Result<Files<'a>, InvalidFolder> {
    let paths = list(root)?;
    let beside: BTreeMap<String, PathBuf> = match updates {
        None => BTreeMap::new(),
        Some(folder) => list(folder)?
            .into_iter()
            .filter_map(|path| {
                let (round, site) = path.split_once('/')?;
                Some((format!("rounds/{round}/updates/{site}"), folder.join(&path)))
            })
            .filter(|(path, _)| !paths.contains(path))
            .collect(),
    };
    let all: Vec<String> = paths.into_iter().chain(beside.keys().cloned()).collect();
    Ok(Files::new(all, move |path| {
        let place = beside.get(path).cloned().unwrap_or_else(|| root.join(path));
        read(&place).map_err(|error| error.to_string())
    }))
}

/// The paths of all files of a folder, relative to it.
fn list(root: &Path) -> Result<BTreeSet<String>, InvalidFolder> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| InvalidFolder::Io { path, error }
    };
    if !std::fs::metadata(root).map_err(io(root))?.is_dir() {
        return Err(InvalidFolder::NotAFolder { path: root.to_owned() });
    }
    let mut paths = BTreeSet::new();
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        for item in std::fs::read_dir(&folder).map_err(io(&folder))? {
            let item = item.map_err(io(&folder))?;
            let path = item.path();
            let Ok(name) = item.file_name().into_string() else {
                return Err(InvalidFolder::Name { path });
            };
            let within = format!("{prefix}{name}");
            // Does not follow links: what a link points at is not in the bundle.
            let metadata = item.metadata().map_err(io(&path))?;
            if metadata.is_dir() {
                folders.push((path.clone(), format!("{within}/"), depth + 1));
            } else if !metadata.is_file() {
                return Err(InvalidFolder::Kind { path });
            } else if metadata.len() > FILE_BYTES_MAX {
                return Err(InvalidFolder::TooLarge { path, found: metadata.len() });
            } else {
                paths.insert(within);
            }
            if depth >= DEPTH_MAX || paths.len() > FILES_MAX {
                return Err(InvalidFolder::TooMany { path });
            }
        }
    }
    Ok(paths)
}

/// A file's bytes, no more than of any file of a bundle.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    read_at_most(path, FILE_BYTES_MAX)
}

/// A file's bytes, no more than so many.
#[expect(clippy::disallowed_methods, reason = "the auditor reads the files that it is pointed at")]
pub(crate) fn read_at_most(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(std::io::Error::other(format!("more than {most} bytes")));
    }
    Ok(bytes)
}
