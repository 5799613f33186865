//! A new Parquet file that its owner only can read.

use super::{MedsExportError, unwritable};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Rows of a row group: what a reader's threads share.
const GROUP_ROWS: usize = 512 * 1024;

pub(super) struct ParquetFile {
    path: PathBuf,
    writer: ArrowWriter<File>,
}

impl ParquetFile {
    pub(super) fn create(path: &Path, schema: &SchemaRef) -> Result<Self, MedsExportError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(unwritable(path))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(failed(path))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<(), MedsExportError> {
        self.writer.write(&batch).map_err(failed(&self.path))
    }

    pub(super) fn finish(self) -> Result<(), MedsExportError> {
        let file = self.writer.into_inner().map_err(failed(&self.path))?;
        file.sync_all().map_err(unwritable(&self.path))
    }
}

/// The library's text could quote what was written, so that its kind alone is told.
fn failed(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> MedsExportError {
    let path = path.to_owned();
    move |error| {
        let source = match error {
            parquet::errors::ParquetError::External(cause) => match cause.downcast::<io::Error>() {
                Ok(error) => *error,
                Err(_) => io::Error::other("cannot be written as Parquet"),
            },
            _ => io::Error::other("cannot be written as Parquet"),
        };
        MedsExportError::Unwritable { path, source }
    }
}
