//! CSV files with named columns, written as people come.

use super::SynthError;
use super::cell::{Cell, spread};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes that are collected before they go to the disk.
const BUFFER_BYTES: usize = 1 << 16;

/// A CSV file being written.
pub(super) struct CsvFile {
    path: PathBuf,
    out: Out,
    columns: Vec<&'static str>,
    line: String,
}

enum Out {
    Plain(BufWriter<File>),
    /// The header of a gzip stream holds no time here, so that the same rows are the same bytes.
    Gz(Box<BufWriter<GzEncoder<File>>>),
}

impl Out {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Gz(out) => out.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Gz(out) => {
                out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
                Ok(())
            }
        }
    }
}

impl CsvFile {
    /// A new file with this header.
    pub(super) fn create(
        path: PathBuf,
        columns: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, SynthError> {
        Self::with_header(path, columns, |file| Out::Plain(BufWriter::with_capacity(BUFFER_BYTES, file)))
    }

    /// A new file with this header, compressed.
    pub(super) fn create_gz(
        path: PathBuf,
        columns: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, SynthError> {
        let gz = |file| {
            Out::Gz(Box::new(BufWriter::with_capacity(
                BUFFER_BYTES,
                GzEncoder::new(file, Compression::fast()),
            )))
        };
        Self::with_header(path, columns, gz)
    }

    fn with_header(
        path: PathBuf,
        columns: impl IntoIterator<Item = &'static str>,
        out: impl FnOnce(File) -> Out,
    ) -> Result<Self, SynthError> {
        let mut out = out(File::create_new(&path).map_err(SynthError::io(&path))?);
        let columns: Vec<&'static str> = columns.into_iter().collect();
        let header = columns.join(",") + "\n";
        out.write_all(header.as_bytes()).map_err(SynthError::io(&path))?;
        Ok(Self { path, out, columns, line: String::new() })
    }

    /// Adds a row: the named cells, in the order of the columns; every other column stays empty.
    ///
    /// # Panics
    /// As [`spread`].
    pub(super) fn row(&mut self, cells: &[(&str, Cell<'_>)]) -> Result<(), SynthError> {
        let line = &mut self.line;
        line.clear();
        let mut comma = "";
        spread(self.columns.iter().copied(), cells, |cell| {
            line.push_str(comma);
            comma = ",";
            if cell != Cell::Empty {
                write!(line, "{cell}").expect("a string takes every write");
            }
        });
        line.push('\n');
        self.out.write_all(line.as_bytes()).map_err(SynthError::io(&self.path))
    }

    /// Writes out what is still held back.
    pub(super) fn finish(self) -> Result<(), SynthError> {
        self.out.finish().map_err(SynthError::io(&self.path))
    }
}

/// Writes a whole small file.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<(), SynthError> {
    let mut file = File::create_new(path).map_err(SynthError::io(path))?;
    file.write_all(text.as_bytes()).map_err(SynthError::io(path))
}
