//! `site-agent data export --meds`: a source as MEDS, by the profile of docs/MEDS.md.
//!
//! One pass over the source; while it is read, the concepts that occur are noted, and only those and what is above them
//! are written as codes. People come in order of their ids, each whole in one shard, by time.

mod columns;
mod metadata;
mod parquet_file;

use super::super::error::InvalidOmop;
use super::super::event::{ConceptId, Domain, Value};
use super::super::history::{self, History};
use super::super::people::People;
use super::super::schema::Table;
use super::super::source::Source;
use super::super::stream::{self, Reading};
use super::super::units;
use columns::{Line, Lines};
use metadata::Names;
use parquet_file::ParquetFile;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// Rows of a shard, about: the next person after so many begins another.
const SHARD_ROWS: u64 = 4_000_000;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum MedsExportError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] InvalidOmop),
    /// There is nothing to do.
    #[error("{place}: is MEDS already")]
    IsMeds {
        /// Which folder.
        place: String,
    },
    /// The folder cannot be written; one that exists is never added to.
    #[error("{path}: {source}")]
    Unwritable {
        /// Which folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What was written. Exact counts of patients: for the hospital's own screen.
pub struct Exported {
    /// People.
    pub people: u64,
    /// Rows of all shards.
    pub rows: u64,
    /// Shards.
    pub shards: u64,
    /// Codes, with what is above them.
    pub codes: u64,
    /// People whose rows contradict each other, or who have more events than anybody: they are not in it.
    pub left_out: u64,
}

/// Writes a source as MEDS into the new folder `out`, which its owner only can read. What an error leaves half done is
/// taken away again.
///
/// # Privacy
/// None is claimed: the folder holds every person's record. It is the hospital's own, like the tables that it is made from.
///
/// # Errors
/// The source cannot be read, or the folder exists or cannot be written.
pub fn export<'a>(
    source: impl Into<Source<'a>>,
    out: &Path,
    reading: &Reading<'_>,
) -> Result<Exported, MedsExportError> {
    export_by(source.into(), out, reading, SHARD_ROWS)
}

pub(super) fn export_by(
    source: Source<'_>,
    out: &Path,
    reading: &Reading<'_>,
    shard_rows: u64,
) -> Result<Exported, MedsExportError> {
    if source.meds().is_some() {
        return Err(MedsExportError::IsMeds { place: source.place() });
    }
    let folder = NewFolder::make(out)?;
    let exported = write(source, out, reading, shard_rows)?;
    folder.keep();
    Ok(exported)
}

fn write(
    source: Source<'_>,
    out: &Path,
    reading: &Reading<'_>,
    shard_rows: u64,
) -> Result<Exported, MedsExportError> {
    let people = People::read(source)?;
    let used = RwLock::new(HashSet::new());
    let (stream, _) = stream::read(source, &Domain::ALL, reading, |event| {
        let coded = if let Value::Concept(concept) = event.value { concept } else { ConceptId::NONE };
        // A unit that is there as text only is no concept.
        let unit = if units::is_text(event.unit) { ConceptId::NONE } else { event.unit };
        [event.concept, unit, coded].into_iter().for_each(|concept| note(&used, concept));
        true
    })?;
    let used = used.into_inner().unwrap_or_else(PoisonError::into_inner);
    let names = Names::read(source, used)?;

    let mut shards = Shards::within(out.join("data"), shard_rows);
    let mut failed = None;
    let mut written = 0;
    let faults = history::each(&people, stream, |history| {
        if failed.is_none() {
            written += 1;
            failed = shards.person(history, &names).err();
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    shards.finish()?;
    metadata::attributes(&out.join("metadata/attributes.parquet"), &people.persons)?;
    let tables: Vec<Table> = Table::ALL.into_iter().filter(|table| source.has(*table)).collect();
    let codes = names.write(&out.join("metadata"), &tables)?;
    metadata::dataset(&out.join("metadata/dataset.json"), &tables)?;
    drop(faults);
    let everybody = people.persons.len() as u64;
    let left_out = people.left_out.len() as u64 + (everybody - written);
    Ok(Exported { people: written, rows: shards.rows, shards: shards.shards, codes, left_out })
}

/// Most concepts were seen before: then nobody waits for anybody.
fn note(used: &RwLock<HashSet<ConceptId>>, concept: ConceptId) {
    if concept.is_some() && !used.read().unwrap_or_else(PoisonError::into_inner).contains(&concept) {
        used.write().unwrap_or_else(PoisonError::into_inner).insert(concept);
    }
}

/// The shards so far.
struct Shards {
    folder: PathBuf,
    /// Rows after which the next person begins another shard.
    rows_of_shard: u64,
    open: Option<(ParquetFile, u64)>,
    shards: u64,
    rows: u64,
    lines: Lines,
}

impl Shards {
    fn within(folder: PathBuf, rows_of_shard: u64) -> Self {
        Self { folder, rows_of_shard, open: None, shards: 0, rows: 0, lines: Lines::new() }
    }

    fn person(&mut self, history: &History<'_>, names: &Names) -> Result<(), MedsExportError> {
        let mut lines = Line::of(history, names);
        // Stable: at one time the stream's order.
        lines.sort_by_key(|line| line.micros);
        if self.open.is_none() {
            let path = self.folder.join(format!("{}.parquet", self.shards));
            self.open = Some((ParquetFile::create(&path, &columns::schema())?, 0));
            self.shards += 1;
        }
        let (file, rows) = self.open.as_mut().expect("opened above");
        for line in &lines {
            self.lines.push(history.person.id, line);
            if self.lines.is_full() {
                file.write(self.lines.take())?;
            }
        }
        *rows += lines.len() as u64;
        self.rows += lines.len() as u64;
        if *rows >= self.rows_of_shard { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), MedsExportError> {
        let Some((mut file, _)) = self.open.take() else { return Ok(()) };
        file.write(self.lines.take())?;
        file.finish()
    }

    /// The last shard; an empty one where there is nobody, since MEDS has at least one.
    fn finish(&mut self) -> Result<(), MedsExportError> {
        if self.shards == 0 {
            self.open = Some((ParquetFile::create(&self.folder.join("0.parquet"), &columns::schema())?, 0));
            self.shards = 1;
        }
        self.close()
    }
}

/// A folder that goes again unless it is kept.
struct NewFolder(Option<PathBuf>);

impl NewFolder {
    fn make(path: &Path) -> Result<Self, MedsExportError> {
        let private = |path: &Path| {
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(path).map_err(unwritable(path))
        };
        private(path)?;
        let folder = Self(Some(path.to_owned()));
        private(&path.join("data"))?;
        private(&path.join("metadata"))?;
        Ok(folder)
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing to be done about what somebody else took away.
            drop(fs::remove_dir_all(path));
        }
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> MedsExportError {
    let path = path.to_owned();
    move |source| MedsExportError::Unwritable { path, source }
}
