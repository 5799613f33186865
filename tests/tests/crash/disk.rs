//! A disk that stops at a chosen step, over real files, and what may be left of them after the power
//! went: what was not synced is dropped, kept, torn, or half of the two (names without bytes, bytes
//! without names).

use site_agent::disk::{Disk, DiskFile, OsDisk};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What goes wrong, and when. Steps count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The power goes before this step; of a write, this many bytes reach the page cache.
    Before { step: u64, torn: usize },
    /// The power goes right after this step.
    After { step: u64 },
    /// The disk is full at this step: half of a write goes through.
    Full { step: u64 },
}

/// What is left of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Everything.
    All,
    /// New names, with the bytes of the last sync.
    Names,
    /// New bytes, under the names of the last sync.
    Bytes,
}

/// The bytes of each file that was touched; `None` where it is gone.
pub type Survivors = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub const LEFT: [Left; 4] = [Left::Nothing, Left::All, Left::Names, Left::Bytes];

#[derive(Debug, Clone, Default)]
struct Inode {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Its name in its own folder is durable.
    named: bool,
}

#[derive(Debug)]
struct Model {
    fault: Fault,
    off: bool,
    steps: u64,
    /// What each step was, for the message of a failing case.
    trace: Vec<String>,
    inodes: Vec<Inode>,
    now: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct FaultyDisk(Arc<Mutex<Model>>);

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    inode: usize,
    file: Box<dyn DiskFile>,
}

/// How far a step goes.
enum Go {
    Whole,
    /// Only so many bytes of it, then this error.
    Part(usize, Error),
}

impl FaultyDisk {
    pub fn new(fault: Fault) -> Self {
        let (inodes, now, durable) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(Model {
            fault,
            off: false,
            steps: 0,
            trace: Vec::new(),
            inodes,
            now,
            durable,
        })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.0.lock().expect("no panic under the lock"))
    }

    pub fn steps(&self) -> u64 {
        self.with(|model| model.steps)
    }

    pub fn is_off(&self) -> bool {
        self.with(|model| model.off)
    }

    pub fn trace(&self) -> Vec<String> {
        self.with(|model| model.trace.clone())
    }

    /// One step: whether it may go on.
    fn step(&self, what: &str, path: &Path) -> Result<Go> {
        self.with(|model| {
            if model.off {
                return Err(Error::other("the power is off"));
            }
            let at = model.steps;
            model.steps += 1;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            model.trace.push(format!("{what} {name}"));
            match model.fault {
                Fault::Before { step, torn } if step == at => {
                    model.off = true;
                    Ok(Go::Part(torn, Error::other("the power went")))
                }
                Fault::Full { step } if step == at => {
                    Ok(Go::Part(usize::MAX, Error::from(ErrorKind::StorageFull)))
                }
                _ => Ok(Go::Whole),
            }
        })
    }

    /// After a step that was done.
    fn done(&self) -> Result<()> {
        self.with(|model| match model.fault {
            Fault::After { step } if step + 1 == model.steps => {
                model.off = true;
                Err(Error::other("the power went"))
            }
            _ => Ok(()),
        })
    }

    /// A step without parts.
    fn whole(&self, what: &str, path: &Path, act: impl FnOnce(&mut Model) -> Result<()>) -> Result<()> {
        match self.step(what, path)? {
            Go::Whole => self.with(act)?,
            Go::Part(_, error) => return Err(error),
        }
        self.done()
    }

    /// What may lie there when the power is back.
    pub fn survivors(&self, left: Left) -> Survivors {
        self.with(|model| {
            let names = if matches!(left, Left::All | Left::Names) { &model.now } else { &model.durable };
            let bytes = |inode: &usize| {
                let inode = &model.inodes[*inode];
                let kept = if matches!(left, Left::All | Left::Bytes) { &inode.now } else { &inode.synced };
                Some(kept.clone())
            };
            let touched = model.now.keys().chain(model.durable.keys());
            touched.map(|path| (path.clone(), names.get(path).and_then(bytes))).collect()
        })
    }
}

/// Makes the files what they are after the power went.
pub fn restore(survivors: &Survivors) {
    for (path, bytes) in survivors {
        match bytes {
            Some(bytes) => {
                std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("made");
                // As the agent's own files: for their owner alone.
                drop(std::fs::remove_file(path));
                let mut file = OsDisk.create(path).expect("made");
                file.write_at(0, bytes).expect("written");
            }
            None => drop(std::fs::remove_file(path)),
        }
    }
}

impl Model {
    /// The file's inode; one that was there before the test began is durable as it is.
    fn inode(&mut self, path: &Path) -> Option<usize> {
        if let Some(inode) = self.now.get(path) {
            return Some(*inode);
        }
        let bytes = std::fs::read(path).ok()?;
        self.inodes.push(Inode { now: bytes.clone(), synced: bytes, named: true });
        let inode = self.inodes.len() - 1;
        self.now.insert(path.to_owned(), inode);
        self.durable.insert(path.to_owned(), inode);
        Some(inode)
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let mut made = None;
        self.whole("create", path, |model| {
            let known = model.inode(path);
            let file = OsDisk.create(path)?;
            let inode = known.unwrap_or_else(|| {
                model.inodes.push(Inode::default());
                model.now.insert(path.to_owned(), model.inodes.len() - 1);
                model.inodes.len() - 1
            });
            model.inodes[inode].now.clear();
            made = Some((file, inode));
            Ok(())
        })?;
        let (file, inode) = made.expect("made above");
        Ok(Box::new(FaultyFile { disk: self.clone(), path: path.to_owned(), inode, file }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        // Changes nothing: no step.
        let file = OsDisk.open(path)?;
        let inode = self.with(|model| model.inode(path)).expect("it was opened");
        Ok(Box::new(FaultyFile { disk: self.clone(), path: path.to_owned(), inode, file }))
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        self.whole("create folder", path, |_| OsDisk.create_folder(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.whole("rename", from, |model| {
            if from.is_file() {
                model.inode(from);
                model.inode(to);
            } else {
                // A folder takes what lies in it along.
                for item in std::fs::read_dir(from)? {
                    model.inode(&item?.path());
                }
            }
            OsDisk.rename(from, to)?;
            let moved: Vec<PathBuf> =
                model.now.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in moved {
                let inode = model.now.remove(&path).expect("listed");
                let rest = path.strip_prefix(from).expect("filtered");
                let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
                model.now.insert(target, inode);
            }
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.whole("remove", path, |model| {
            model.inode(path);
            OsDisk.remove(path)?;
            model.now.remove(path);
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.whole("sync folder", folder, |model| {
            for (path, inode) in &model.now {
                if path.parent() == Some(folder) {
                    model.inodes[*inode].named = true;
                }
            }
            // A folder that was renamed brings what is durable in it.
            let inside = |path: &PathBuf| path.starts_with(folder);
            model.durable.retain(|path, _| !inside(path));
            let named: Vec<_> = (model.now.iter())
                .filter(|(path, inode)| inside(path) && model.inodes[**inode].named)
                .map(|(path, inode)| (path.clone(), *inode))
                .collect();
            model.durable.extend(named);
            Ok(())
        })
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let (length, error) = match self.disk.step("write", &self.path)? {
            Go::Whole => (bytes.len(), None),
            Go::Part(usize::MAX, error) => (bytes.len() / 2, Some(error)),
            Go::Part(torn, error) => (torn.min(bytes.len()), Some(error)),
        };
        self.file.write_at(at, &bytes[..length])?;
        self.disk.with(|model| {
            let kept = &mut model.inodes[self.inode].now;
            let start = usize::try_from(at).expect("small");
            kept.resize(kept.len().max(start + length), 0);
            kept[start..start + length].copy_from_slice(&bytes[..length]);
        });
        error.map_or_else(|| self.disk.done(), Err)
    }

    fn cut(&mut self, length: u64) -> Result<()> {
        let (inode, file) = (self.inode, &mut self.file);
        self.disk.whole("cut", &self.path, |model| {
            file.cut(length)?;
            model.inodes[inode].now.truncate(usize::try_from(length).expect("small"));
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<()> {
        let inode = self.inode;
        // The machine of the test needs no real sync: the model says what survives.
        self.disk.whole("sync", &self.path, |model| {
            model.inodes[inode].synced = model.inodes[inode].now.clone();
            Ok(())
        })
    }
}
