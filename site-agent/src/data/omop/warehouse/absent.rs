//! A program built without the feature `warehouse`: there is no engine, and nothing here can be made.

use super::super::cells::{Batch, Column};
use super::super::error::InvalidOmop;
use super::super::folder::Folder;
use super::super::narrowing::Narrowing;
use super::super::schema::Table;
use super::config::Config;
use super::error::InvalidWarehouse;
use std::path::PathBuf;

/// A folder of tables behind an engine: none without the feature `warehouse`.
pub enum Warehouse {}

/// What an engine is asked for.
pub(in super::super) enum Scan {}

impl Warehouse {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`InvalidWarehouse::NotBuilt`], which says which build is needed.
    pub fn open(config: &Config) -> Result<Self, InvalidOmop> {
        Err(InvalidWarehouse::NotBuilt { place: config.place() }.into())
    }

    /// How it is reached.
    #[must_use]
    pub const fn config(&self) -> &Config {
        match *self {}
    }

    /// The folder itself.
    #[must_use]
    pub const fn folder(&self) -> &Folder {
        match *self {}
    }

    pub(in super::super) fn scans(
        &self,
        _: Table,
        _: &[Column],
        _: Option<&Narrowing>,
    ) -> Result<Vec<Scan>, InvalidOmop> {
        match *self {}
    }

    pub(in super::super) fn read(
        &self,
        _: &Scan,
        _: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
    ) -> Result<(), InvalidOmop> {
        match *self {}
    }
}

impl Scan {
    pub(in super::super) const fn rows(&self) -> u64 {
        match *self {}
    }

    pub(in super::super) const fn words(&self) -> String {
        match *self {}
    }

    pub(super) const fn paths(&self) -> &[PathBuf] {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use crate::data::omop::Opened;

    #[test]
    fn it_says_which_build_is_needed() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("source.toml");
        std::fs::write(&path, "[warehouse]\nengine = 'embedded'\ntables = '/omop'\n").expect("written");
        let Err(error) = Opened::open(&path) else { panic!("there is no engine") };
        let said = error.to_string();
        assert!(
            said.starts_with("/omop (engine: embedded): this program was built without warehouses"),
            "{said}"
        );
        assert!(said.contains("--features warehouse"), "{said}");
        assert_eq!(crate::failure::Failure::from(error).kind.exit_code(), 2);
    }
}
