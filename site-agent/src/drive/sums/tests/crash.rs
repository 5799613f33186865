//! The power goes at some operation of an agent's disk, in the middle of secure sums.

use super::*;
use crate::disk::{Disk, DiskFile, OsDisk};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A disk that does so many operations more, tears the next write, and is dead from then on.
#[derive(Debug, Clone)]
struct Dying(Arc<AtomicU64>);

const FOR_EVER: u64 = u64::MAX;

impl Dying {
    fn one_more(&self) -> io::Result<()> {
        let left = self.0.load(Ordering::SeqCst);
        if left == 0 {
            return Err(io::Error::other("the power is off"));
        }
        if left != FOR_EVER {
            self.0.store(left - 1, Ordering::SeqCst);
        }
        Ok(())
    }

    fn is_dead(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

#[derive(Debug)]
struct DyingFile(Dying, Box<dyn DiskFile>);

impl Disk for Dying {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.one_more()?;
        Ok(Box::new(DyingFile(self.clone(), OsDisk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.one_more()?;
        Ok(Box::new(DyingFile(self.clone(), OsDisk.open(path)?)))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.one_more()?;
        OsDisk.create_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.one_more()?;
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.one_more()?;
        OsDisk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.one_more()?;
        OsDisk.sync_folder(path)
    }
}

impl DiskFile for DyingFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let alive = !self.0.is_dead();
        let done = self.0.one_more();
        if alive && self.0.is_dead() {
            // The last thing that happens to it.
            self.1.write_at(at, &bytes[..bytes.len() / 2])?;
            return Err(io::Error::other("the power is off"));
        }
        done?;
        self.1.write_at(at, bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.one_more()?;
        self.1.cut(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.one_more()?;
        self.1.sync()
    }
}

impl House {
    /// What a loss of power may take: entries that no checkpoint of the folder covers.
    fn lose_what_was_not_synced(&self) {
        let folder = self.home().ledger_dir();
        let note = std::fs::read(folder.join("checkpoint")).expect("there");
        let size = consilium_common::ledger::checkpoint::Note::parse(&note).expect("a note").checkpoint.size;
        let entries = std::fs::read(folder.join("entries")).expect("there");
        let mut rest = entries.as_slice();
        for _ in 0..size {
            consilium_common::ledger::tiles::take_entry(&mut rest).expect("signed entries are there");
        }
        let kept = entries.len() - rest.len();
        std::fs::write(folder.join("entries"), &entries[..kept]).expect("written");
    }
}

/// Four hospitals, four steps; the power goes at the last one's disk after `operations` of them, and it
/// is started again. Whether it died at all.
async fn play(operations: u64) -> bool {
    const MORTAL: usize = 3;
    let mut world = World::new(4, &[]);
    for site in 0..MORTAL {
        let agent = world.houses[site].agent();
        world.join(site, agent).await;
    }
    let disk = Dying(Arc::new(AtomicU64::new(FOR_EVER)));
    let agent = world.houses[MORTAL].agent_on(Arc::new(disk.clone()));
    world.join(MORTAL, agent).await;
    disk.0.store(operations, Ordering::SeqCst);
    world.conductor.open(Summed::Training).await;
    let (mut records, mut died) = (Vec::new(), false);
    for step in 0..4 {
        if !world.conductor.seats.contains_key(&index(MORTAL)) {
            let (agent, done) = world.left(MORTAL).await;
            assert!(done.is_err(), "after {operations}");
            drop(agent);
            died = true;
            world.houses[MORTAL].lose_what_was_not_synced();
            let agent = world.houses[MORTAL].agent();
            world.join(MORTAL, agent).await;
            world.conductor.open(Summed::Training).await;
        }
        records.push(world.step(slot(step, 0), None).await.1);
    }
    world.conductor.end();
    for site in 0..4 {
        drop(world.left(site).await.0);
    }
    if disk.is_dead() {
        world.houses[MORTAL].lose_what_was_not_synced();
    }
    let masked = world.masked(MORTAL);
    let uses: Vec<u64> = masked.iter().map(|masked| masked.index).collect();
    assert!(uses.is_sorted_by(|a, b| a < b), "after {operations}: {uses:?}");
    for record in &records {
        let Some(survivor) = record.survivors.iter().find(|s| usize::from(s.index) == MORTAL + 1) else {
            continue;
        };
        let entry = masked.iter().find(|masked| masked.step == record.step);
        let entry = entry.unwrap_or_else(|| panic!("after {operations}: step {} left no entry", record.step));
        assert_eq!(entry.output, survivor.masked, "after {operations}");
    }
    died || disk.is_dead()
}

/// Whatever the moment: every sum is exact, what left is in the ledger, and no use is taken up twice.
#[tokio::test]
async fn the_power_goes_at_any_operation_of_the_disk() {
    let mut operations = 0;
    while play(operations).await {
        operations += 4;
    }
    assert!(operations > 40, "there were more operations: {operations}");
}

/// A disk that fails when a stay ends swallows no refusal, and the agent stops.
#[tokio::test]
async fn a_refusal_is_told_whatever_the_disk_says() {
    let mut world = World::new(3, &[]);
    let disk = Dying(Arc::new(AtomicU64::new(FOR_EVER)));
    let agent = world.houses[0].agent_on(Arc::new(disk.clone()));
    world.join(0, agent).await;
    for site in 1..3 {
        let agent = world.houses[site].agent();
        world.join(site, agent).await;
    }
    world.conductor.open(Summed::Training).await;
    world.step(slot(0, 0), None).await;
    disk.0.store(0, Ordering::SeqCst);
    world.conductor.ask_to_share(slot(0, 0)).await;
    let seat = world.conductor.seats.get_mut(&index(0)).expect("seated");
    assert_eq!(seat.hear().await, Up::Refused("task.attempt".into()));
    world.conductor.end();
    let (_, done) = world.left(0).await;
    assert!(matches!(done, Err(TaskError::Stop(_))), "{done:?}");
}
