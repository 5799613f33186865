//! A bundle's files, read one at a time, so that memory holds one round and not the whole bundle.

use std::collections::{BTreeMap, BTreeSet};

/// The paths of a bundle (with `/`, relative to its root), and how to read one.
pub struct Files<'a> {
    paths: BTreeSet<String>,
    read: Box<Reader<'a>>,
}

type Reader<'a> = dyn Fn(&str) -> Result<Vec<u8>, String> + 'a;

impl<'a> Files<'a> {
    /// From a list of paths and a reader that gives the same bytes for a path each time.
    pub fn new(
        paths: impl IntoIterator<Item = String>,
        read: impl Fn(&str) -> Result<Vec<u8>, String> + 'a,
    ) -> Self {
        Self { paths: paths.into_iter().collect(), read: Box::new(read) }
    }

    /// From a map in memory.
    #[must_use]
    pub fn of(map: &'a BTreeMap<String, Vec<u8>>) -> Self {
        Self::new(map.keys().cloned(), |path| {
            map.get(path).cloned().ok_or_else(|| "not in the map".to_owned())
        })
    }

    /// Whether the bundle has this file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.paths.iter()
    }

    /// One file's bytes.
    ///
    /// # Errors
    /// What the reader said.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        (self.read)(path)
    }
}
