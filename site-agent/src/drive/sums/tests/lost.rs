//! A site loses its disk in the middle of a study, and takes its ledger back from the coordinator's copy.

use super::*;
use crate::disk::OsDisk;
use crate::ledger::{LedgerStore, Recovered};
use crate::testing::{key, now};
use consilium_common::ledger::checkpoint::Note;

impl House {
    /// What the coordinator has cosigned of its ledger.
    fn cosigned(&self, desk: &Desk) -> (Note, Vec<Vec<u8>>) {
        let note = desk.told.lock().expect("held for a moment").cosigned.clone().expect("it was cosigned");
        let mut copy = self.ledger().entries_from(0, usize::MAX).expect("readable");
        copy.truncate(usize::try_from(note.checkpoint.size).expect("small"));
        (note, copy)
    }

    fn recovers(&self, (note, copy): &(Note, Vec<Vec<u8>>)) -> Recovered {
        let dir = self.home().ledger_dir();
        LedgerStore::recover(&OsDisk, &dir, &key(self.i), note, copy, now()).expect("a good copy")
    }

    /// Its ledger is gone; what the coordinator has cosigned of it takes its place.
    fn loses_its_disk(&self, desk: &Desk) -> Recovered {
        let copy = self.cosigned(desk);
        std::fs::remove_dir_all(self.home().ledger_dir()).expect("there");
        self.recovers(&copy)
    }
}

/// Of four hospitals one loses its disk after a step, or in the middle of one; it comes back,
/// and no use from before is taken up again.
#[tokio::test]
async fn a_site_that_lost_its_disk_goes_on_with_other_uses() {
    for lost in [None, Some((3, Lost::Masked)), Some((3, Lost::Unmasked))] {
        let mut world = World::started(4, &[]).await;
        let study = Arc::clone(&world.conductor.study);
        world.conductor.open(Summed::Training).await;
        let (_, first) = world.step(slot(0, 0), lost).await;
        world.conductor.seats.remove(&index(3));
        drop(world.left(3).await.0);
        let before = world.masked(3);
        let burnt = world.houses[3].ledger().state().next_unburnt(&study.digest, 0).expect("open");

        let recovered = world.houses[3].loses_its_disk(&world.desks[3]);
        assert!(recovered.unfinished >= 1 && recovered.uses >= 2, "{recovered:?}");
        let ledger = world.houses[3].ledger();
        let (entry, recovery) = ledger.state().recoveries().next().expect("it says so");
        assert_eq!((entry + 1, recovered.after), (recovered.after, ledger.state().size()));
        assert_eq!(ledger.state().next_unburnt(&study.digest, 0), Some(burnt), "nothing is un-spent");
        assert_eq!(ledger.state().open_blocks(), vec![]);
        // The record is gone; the block that was open has a use for it.
        assert_eq!((before.len(), ledger.state().masked(&study.digest).count()), (1, 0));
        assert!(recovery.blocks.iter().map(|block| block.uses).sum::<u64>() >= 2);
        drop(ledger);

        let agent = world.houses[3].agent();
        world.join(3, agent).await;
        world.conductor.open(Summed::Training).await;
        let mut records = vec![first];
        for step in 1..6 {
            records.push(world.step(slot(step, 0), None).await.1);
        }
        world.end().await;
        let after = world.masked(3);
        assert_eq!(after.iter().map(|masked| masked.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(after.iter().all(|masked| masked.index >= burnt && masked.reserve > entry), "{after:?}");
        // What the ledger lost, the site has signed, or the sum was closed without it.
        let own = records[0].survivors.iter().find(|survivor| usize::from(survivor.index) == 4);
        assert_eq!(own.is_some(), lost != Some((3, Lost::Masked)), "{lost:?}");
        if let Some(own) = own {
            assert!(own.signature.is_some() && own.masked == before[0].output, "{lost:?}");
        }
    }
}

/// Without its journal a ledger is not taken for one that is only older: what left since would be forgotten.
#[tokio::test]
async fn a_journal_that_is_gone_stops_the_start() {
    let mut world = World::started(3, &[]).await;
    world.conductor.open(Summed::Training).await;
    world.step(slot(0, 0), None).await;
    // The agent ends where it stands: nothing was filed.
    let agent = world.running[0].take().expect("started");
    agent.abort();
    assert!(agent.await.is_err(), "it did not end by itself");
    world.conductor.seats.remove(&index(0));
    let dir = world.houses[0].home().ledger_dir();
    // Opening settles the journal: what is asked of the ledger here is asked of a copy of its folder.
    let as_it_was = tempfile::tempdir().expect("a folder");
    for name in ["entries", "checkpoint", "cosigned", "journal"] {
        std::fs::copy(dir.join(name), as_it_was.path().join(name)).expect("copied");
    }
    let copy = world.houses[0].cosigned(&world.desks[0]);
    assert_eq!(world.masked(0).len(), 1, "with its journal nothing is lost");
    for name in ["entries", "checkpoint", "cosigned"] {
        std::fs::copy(as_it_was.path().join(name), dir.join(name)).expect("copied");
    }
    std::fs::remove_file(dir.join("journal")).expect("there");
    let error = LedgerStore::open(&dir, key(0), None).expect_err("not an older ledger").to_string();
    for part in
        ["masked vector for step 0, attempt 0 is missing", "`site-agent ledger recover`", "stay burnt"]
    {
        assert!(error.contains(part), "{error}");
    }
    let recovered = world.houses[0].recovers(&copy);
    assert!(recovered.before.is_some() && recovered.uses > 0, "{recovered:?}");
    assert_eq!(world.masked(0).len(), 0);
    world.end().await;
}

/// A second loss of the disk, before anything was written after the first.
#[tokio::test]
async fn a_disk_that_is_lost_twice() {
    let mut world = World::started(3, &[]).await;
    world.conductor.open(Summed::Training).await;
    world.step(slot(0, 0), None).await;
    world.end().await;
    let first = world.houses[0].loses_its_disk(&world.desks[0]);
    let second = world.houses[0].loses_its_disk(&world.desks[0]);
    assert_eq!((first.after, first.uses), (second.after, second.uses), "nobody had seen the first");
    for site in 0..3 {
        let agent = world.houses[site].agent();
        world.join(site, agent).await;
    }
    world.conductor.open(Summed::Training).await;
    world.step(slot(1, 0), None).await;
    world.end().await;
    assert_eq!(world.houses[0].ledger().state().recoveries().count(), 1);
    let third = world.houses[0].loses_its_disk(&world.desks[0]);
    assert!(third.after > second.after);
    assert_eq!(world.houses[0].ledger().state().recoveries().count(), 2);
}
