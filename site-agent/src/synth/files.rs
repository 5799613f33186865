//! CSV files with named columns, written as people come.

use super::SynthError;
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A CSV file being written. Cells never need quotes: they are numbers, days and our own words.
pub(super) struct CsvFile {
    path: PathBuf,
    out: BufWriter<File>,
    columns: &'static [&'static str],
    line: String,
}

impl CsvFile {
    /// A new file with this header.
    pub(super) fn create(path: PathBuf, columns: &'static [&'static str]) -> Result<Self, SynthError> {
        let file = File::create_new(&path).map_err(SynthError::io(&path))?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        writeln!(out, "{}", columns.join(",")).map_err(SynthError::io(&path))?;
        Ok(Self { path, out, columns, line: String::new() })
    }

    /// Adds a row: the named cells, in the order of the columns; every other column stays empty.
    ///
    /// # Panics
    /// A cell of no column, or out of order: a bug of the caller.
    pub(super) fn row(&mut self, cells: &[(&str, &dyn Display)]) -> Result<(), SynthError> {
        self.line.clear();
        let mut cells = cells.iter().peekable();
        for (position, column) in self.columns.iter().enumerate() {
            if position > 0 {
                self.line.push(',');
            }
            if let Some((_, value)) = cells.next_if(|(name, _)| name == column) {
                write!(self.line, "{value}").expect("a string takes every write");
            }
        }
        assert!(cells.next().is_none(), "cells name columns of {}, in order", self.path.display());
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes()).map_err(SynthError::io(&self.path))
    }

    /// Writes out what is still held back.
    pub(super) fn finish(mut self) -> Result<(), SynthError> {
        self.out.flush().map_err(SynthError::io(&self.path))
    }
}

/// A value, or an empty cell.
pub(super) struct OrEmpty<T>(pub(super) Option<T>);

impl<T: Display> Display for OrEmpty<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// Writes a whole small file.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<(), SynthError> {
    let mut file = File::create_new(path).map_err(SynthError::io(path))?;
    file.write_all(text.as_bytes()).map_err(SynthError::io(path))
}
