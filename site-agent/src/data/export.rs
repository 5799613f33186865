//! `site-agent data export --examples`: the examples of a table or of OMOP tables in their byte form, for the reference
//! runs of `coordinator simulate`. They carry no noise at all: this is for tables that are the user's
//! to read, as public data sets and synthetic hospitals, and never part of a study.

use super::split::SplitKey;
use super::{InvalidData, load_strict};
use consilium_common::examples::ExampleFile;
use consilium_common::study::Study;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] InvalidData),
    /// The file cannot be written; a file that exists is never replaced.
    #[error("{path}: {source}")]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes the examples of a table or a folder of OMOP tables under `study` to the new file `out`, readable by its owner only.
///
/// # Privacy
/// None is claimed: the file holds every person's inputs, outcome, role and groups. It is for the
/// eyes of somebody who may read the data themselves, and an enrolled agent never calls this.
///
/// # Errors
/// The data cannot be used, or the file exists or cannot be written.
pub fn export_examples(data: &Path, study: &Study, key: &SplitKey, out: &Path) -> Result<(), ExportError> {
    let loaded = load_strict(data, study, key)?;
    let file = ExampleFile { study: study.digest, training: loaded.training, evaluation: loaded.evaluation };
    write_new(out, &file).map_err(|source| ExportError::Unwritable { path: out.to_owned(), source })
}

fn write_new(path: &Path, examples: &ExampleFile) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(path)?);
    examples.write(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()
}
