//! What one ledger entry costs: the very store that agents use. Limit: 100 µs an entry, amortised, apart
//! from fsync; so first on files whose sync returns at once, then on the disk as it is.
//!
//! `cargo bench --workspace --bench append`; `--profile dev` needs no optimised build. `TMPDIR` chooses
//! the disk. `-- N` appends N entries in each way. A machine that others use shows in the wall clock, so
//! the least of many blocks stands beside the median, and the time that this thread was on a CPU.

use consilium_common::key::SecretKey;
use consilium_common::ledger::entry::Body;
use consilium_common::time::Time;
use site_agent::disk::{Disk, DiskFile, OsDisk};
use site_agent::ledger::{Genesis, LedgerStore};
use site_agent::policy::{DEFAULT, Policy};
use std::io::Result;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Entries without an argument.
const ENTRIES: u64 = 10_000;
/// Of entries whose syncs are real, one in so many.
const SYNCED_SHARE: u64 = 20;
/// Parts of a run that are timed apart.
const BLOCKS: u64 = 40;
/// Entries of one write, as an evaluation of some groupings or a block of steps has them.
const TOGETHER: u64 = 16;
/// µs.
const LIMIT: f64 = 100.0;

fn main() {
    // Cargo says --bench.
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ENTRIES);
    println!("limit: {LIMIT} µs an entry without fsync");
    println!("                                       µs an entry, wall     on a     median's");
    println!("                            entries     least    median       CPU     share of limit");
    let unsynced = || -> Arc<dyn Disk> { Arc::new(Unsynced) };
    let synced = || -> Arc<dyn Disk> { Arc::new(OsDisk) };
    let few = count / SYNCED_SHARE;
    run("one, no fsync", unsynced(), count, 1, all);
    run("16 together, no fsync", unsynced(), count, TOGETHER, all);
    run("15 lazily and one, no fsync", unsynced(), count, TOGETHER, lazily);
    run("one, fsync", synced(), few, 1, all);
    run("16 together, fsync", synced(), few, TOGETHER, all);
}

fn all(store: &mut LedgerStore, mut bodies: Vec<Body>, now: Time) {
    match bodies.len() {
        1 => drop(store.append(bodies.remove(0), now).expect("legal")),
        _ => drop(store.append_all(bodies, now).expect("legal")),
    }
}

fn lazily(store: &mut LedgerStore, mut bodies: Vec<Body>, now: Time) {
    let last = bodies.pop().expect("several");
    for body in bodies {
        store.append_lazily(body, now).expect("legal");
    }
    store.append(last, now).expect("legal");
}

fn run(
    name: &str,
    disk: Arc<dyn Disk>,
    count: u64,
    together: u64,
    append: impl Fn(&mut LedgerStore, Vec<Body>, Time),
) {
    let caps = Policy::parse(DEFAULT).unwrap_or_else(|mistakes| panic!("{mistakes}")).caps;
    let site = "ashford".parse().expect("a name");
    let genesis = Genesis { site, dataset: "d1".into(), software: "bench".into(), caps };
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("ledger");
    let start: Time = "2027-03-01T09:00:00.000Z".parse().expect("a time");
    let key = SecretKey::from_seed(&[1; 32]);
    let mut store = LedgerStore::create_on(disk, &dir, key, None, genesis, start).expect("a new ledger");
    let (writes, mut at) = ((count / BLOCKS / together).max(1), 0);
    let (mut wall, cpu) = (Vec::new(), cpu_us());
    for _ in 0..BLOCKS {
        let began = Instant::now();
        for _ in 0..writes {
            let body = |i| Body::Refusal { rule: format!("bench.{}", at + i), study: None, count: 1 };
            append(&mut store, (0..together).map(body).collect(), start.plus_ms(at * 1000));
            at += together;
        }
        wall.push(began.elapsed().as_secs_f64() * 1e6 / (writes * together) as f64);
    }
    assert_eq!(store.signed_size(), at + 1);
    let on_cpu = cpu.zip(cpu_us()).map(|(from, to)| (to - from) / at as f64);
    let on_cpu = on_cpu.map_or_else(|| "-".to_owned(), |us| format!("{us:.1}"));
    wall.sort_by(f64::total_cmp);
    let (least, median) = (wall[0], wall[wall.len() / 2]);
    println!("{name:27} {at:7} {least:9.1} {median:9.1} {on_cpu:>9} {:18.2}", median / LIMIT);
}

/// How long this thread was on a CPU so far, µs; none where the system does not say.
fn cpu_us() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(ns as f64 / 1e3)
}

/// The operating system's disk, but a sync returns at once.
#[derive(Debug)]
struct Unsynced;

#[derive(Debug)]
struct UnsyncedFile(Box<dyn DiskFile>);

impl Disk for Unsynced {
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(OsDisk.create(path)?)))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(OsDisk.open(path)?)))
    }

    fn create_folder(&self, path: &Path) -> Result<()> {
        OsDisk.create_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        OsDisk.remove(path)
    }

    fn sync_folder(&self, _: &Path) -> Result<()> {
        Ok(())
    }
}

impl DiskFile for UnsyncedFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.0.write_at(at, bytes)
    }

    fn cut(&mut self, length: u64) -> Result<()> {
        self.0.cut(length)
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }
}
