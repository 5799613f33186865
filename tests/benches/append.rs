//! What one ledger entry costs beside the disk's syncs: the very store that agents use, on files whose
//! sync returns at once.
//!
//! `cargo bench --workspace --bench append`; `--profile dev` needs no optimised build. `TMPDIR` chooses
//! the disk. `-- N` appends N entries.

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

fn main() {
    // Cargo says --bench.
    let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ENTRIES);
    let caps = Policy::parse(DEFAULT).unwrap_or_else(|mistakes| panic!("{mistakes}")).caps;
    let site = "ashford".parse().expect("a name");
    let genesis = Genesis { site, dataset: "d1".into(), software: "bench".into(), caps };
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("ledger");
    let start: Time = "2027-03-01T09:00:00.000Z".parse().expect("a time");
    let (disk, key) = (Arc::new(Unsynced), SecretKey::from_seed(&[1; 32]));
    let mut store = LedgerStore::create_on(disk, &dir, key, None, genesis, start).expect("a new ledger");
    println!("entries   µs an entry");
    let (mut began, mut last) = (Instant::now(), 0);
    for at in 1..=count {
        let body = Body::Refusal { rule: format!("bench.{at}"), study: None, count: 1 };
        store.append(body, start.plus_ms(at * 1000)).expect("legal");
        if at == count || at % (count / 5).max(1) == 0 {
            let each = began.elapsed().as_secs_f64() * 1e6 / (at - last).max(1) as f64;
            println!("{at:7}   {each:11.1}");
            (began, last) = (Instant::now(), at);
        }
    }
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
