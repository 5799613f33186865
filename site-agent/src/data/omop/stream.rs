//! From the tables of a source to one stream of events, ordered by person and time, in bounded memory.
//!
//! Threads share the pieces of all tables. Each fills a buffer, sorts it and spills it; at the end all runs are merged.
//! Which thread read what does not show: the order is total, so that any division gives the same stream.

use super::error::InvalidOmop;
use super::event::{Domain, Event, PersonId};
use super::merge::Merge;
use super::read::Piece;
use super::rows::TableCounts;
use super::run::{self, Run, Sorted};
use super::schema::Table;
use super::scratch::Scratch;
use super::source::Source;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

/// Most runs of one thread before they are merged into one.
const RUNS_MAX: usize = 64;
/// Most threads: beyond it the disk or one large file is what there is to wait for.
const THREADS_MAX: usize = 8;
/// Memory for one event while it is sorted, bytes: itself, at most one span, and its place in the order.
const EVENT_BYTES: usize = size_of::<Event>() + size_of::<(PersonId, u32, u32)>() + size_of::<u32>();

/// How to read.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// The folder for intermediate files, which hold patient data; the system's temporary folder where none is named.
    pub scratch: Option<&'a Path>,
    /// About how much memory events may take before they are spilled, bytes.
    pub memory_bytes: usize,
    /// How many threads read and sort; of a database no more than there are connections.
    pub threads: usize,
}

impl Default for Reading<'_> {
    /// 768 MiB, and a thread for each core.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { scratch: None, memory_bytes: 768 * 1024 * 1024, threads }
    }
}

/// Events in order. After an error nothing follows.
pub struct Stream {
    merge: Merge,
    /// Goes when the last event was taken, or the stream is dropped.
    _scratch: Option<Scratch>,
}

impl Iterator for Stream {
    type Item = Result<Event, InvalidOmop>;

    fn next(&mut self) -> Option<Self::Item> {
        self.merge.next()
    }
}

/// Reads the tables of some domains, and gives the events for which `keep` says so in order, beside what was found in
/// each table (kept or not).
///
/// # Privacy
/// Intermediate files hold patient data; see [`Reading::scratch`]. The counts stay at the site.
///
/// # Errors
/// A file or a table cannot be used: that of the piece which comes first, whichever thread was the fastest.
pub fn read<'a>(
    source: impl Into<Source<'a>>,
    domains: &[Domain],
    reading: &Reading<'_>,
    keep: impl Fn(&Event) -> bool + Sync,
) -> Result<(Stream, BTreeMap<Domain, TableCounts>), InvalidOmop> {
    let source = source.into();
    let mut pieces = source.event_pieces(domains)?;
    // The largest first, so that no thread waits for another's last.
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.size));
    let threads = reading.threads.min(source.threads_max()).clamp(1, THREADS_MAX).min(pieces.len().max(1));
    let shared = Shared {
        pieces: &pieces,
        next: AtomicUsize::new(0),
        failed: AtomicUsize::new(usize::MAX),
        scratch: OnceLock::new(),
        scratch_parent: reading.scratch,
        files: AtomicU64::new(0),
        run_events: (reading.memory_bytes / threads / EVENT_BYTES).clamp(1, u32::MAX as usize),
    };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| shared.work(&keep))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut counts: BTreeMap<Domain, TableCounts> =
        domains.iter().map(|d| (*d, TableCounts::default())).collect();
    let mut runs = Vec::new();
    let mut first: Option<(usize, InvalidOmop)> = None;
    for outcome in outcomes {
        match outcome {
            Ok(worker) => {
                for (domain, of_worker) in worker.counts {
                    counts.entry(domain).or_default().merge(&of_worker);
                }
                runs.extend(worker.runs);
            }
            Err((at, error)) => {
                if first.as_ref().is_none_or(|(of_first, _)| at < *of_first) {
                    first = Some((at, error));
                }
            }
        }
    }
    if let Some((_, error)) = first {
        return Err(error);
    }
    let scratch = shared.scratch.into_inner();
    Ok((Stream { merge: Merge::new(runs)?, _scratch: scratch }, counts))
}

/// Whether a clinical table has the columns that we read; reads no row of it.
///
/// # Errors
/// A file or table cannot be read, or lacks a column.
pub fn check_columns<'a>(source: impl Into<Source<'a>>, domain: Domain) -> Result<(), InvalidOmop> {
    source.into().check_columns(Table::Clinical(domain))
}

struct Shared<'a> {
    pieces: &'a [Piece<'a>],
    next: AtomicUsize,
    /// The first piece that could not be used; later ones are not worth reading then.
    failed: AtomicUsize,
    scratch: OnceLock<Scratch>,
    scratch_parent: Option<&'a Path>,
    files: AtomicU64,
    run_events: usize,
}

#[derive(Default)]
struct Worker {
    buffer: Vec<Event>,
    runs: Vec<Run>,
    counts: BTreeMap<Domain, TableCounts>,
}

impl Shared<'_> {
    fn work(&self, keep: &(impl Fn(&Event) -> bool + Sync)) -> Result<Worker, (usize, InvalidOmop)> {
        let mut worker = Worker::default();
        // At once and exactly: growing would hold two buffers. Pages that nothing is written to cost nothing.
        worker.buffer.reserve_exact(self.run_events);
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = self.pieces.get(at).filter(|_| at < self.failed.load(Ordering::Relaxed)) else {
                break;
            };
            self.piece(at, piece, keep, &mut worker).map_err(|error| {
                self.failed.fetch_min(at, Ordering::Relaxed);
                (at, error)
            })?;
        }
        let rest = std::mem::take(&mut worker.buffer);
        worker.runs.push(Run::Memory(Sorted::new(rest)));
        Ok(worker)
    }

    fn piece(
        &self,
        at: usize,
        piece: &Piece<'_>,
        keep: &impl Fn(&Event) -> bool,
        worker: &mut Worker,
    ) -> Result<(), InvalidOmop> {
        let Worker { buffer, runs, counts } = worker;
        piece.read(&mut |batch| {
            if at > self.failed.load(Ordering::Relaxed) {
                // An earlier piece has failed, and its error is the one that is shown.
                return Err(InvalidOmop::unreadable(Path::new(""))(io::ErrorKind::Interrupted.into()));
            }
            piece.events(batch, counts, |event| {
                if !keep(&event) {
                    return Ok(());
                }
                buffer.push(event);
                if buffer.len() >= self.run_events { self.spill(buffer, runs) } else { Ok(()) }
            })
        })
    }

    fn spill(&self, buffer: &mut Vec<Event>, runs: &mut Vec<Run>) -> Result<(), InvalidOmop> {
        let scratch = self.scratch()?;
        runs.push(run::spill(buffer, scratch, self.number())?);
        if runs.len() == RUNS_MAX {
            let merged = run::write(Merge::new(std::mem::take(runs))?, scratch, self.number())?;
            runs.push(merged);
        }
        Ok(())
    }

    fn number(&self) -> u64 {
        self.files.fetch_add(1, Ordering::Relaxed)
    }

    fn scratch(&self) -> Result<&Scratch, InvalidOmop> {
        if let Some(scratch) = self.scratch.get() {
            return Ok(scratch);
        }
        let scratch = Scratch::new(self.scratch_parent)?;
        // Another thread may have been first: then this one goes again at once.
        drop(self.scratch.set(scratch));
        Ok(self.scratch.get().expect("set by now"))
    }
}
