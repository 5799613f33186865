//! Somebody opts out while a study runs.

use super::*;
use consilium_common::ledger::entry::{Body, Entry};

fn opt_out(house: &House, people: std::ops::Range<usize>) {
    let ids: String = people.map(|p| format!("p{p}\n")).collect();
    std::fs::write(house.opt_outs(), format!("person_id\n{ids}")).expect("written");
}

/// The sum of each step is made again from what the agents drew and from tables without the people who opted out:
/// [`World::step`] compares it.
#[tokio::test]
async fn who_opts_out_is_in_no_later_step() {
    let mut world = World::started(3, &[]).await;
    world.conductor.open(Summed::Training).await;
    let before = world.houses[0].data().training.people();
    world.step(slot(0, 0), None).await;
    opt_out(&world.houses[0], 0..200);
    let after = world.houses[0].data().training.people();
    assert!(after < before, "{after} of {before}");
    world.step(slot(1, 0), None).await;
    opt_out(&world.houses[1], 100..400);
    world.step(slot(2, 0), None).await;
    // Who comes back is in the next one.
    opt_out(&world.houses[0], 0..0);
    world.step(slot(3, 0), None).await;
    world.end().await;
    // Each masked vector has its commitments before it, and no two of them are alike.
    for house in &world.houses {
        let (ledger, mut seen) = (house.ledger(), Vec::new());
        let entries: Vec<Body> =
            read(&ledger).iter().map(|bytes| Entry::from_bytes(bytes).expect("an entry").body).collect();
        for pair in entries.windows(2).filter(|pair| matches!(pair[1], Body::CommitSum { .. })) {
            let Body::CohortVersion { cohort, opt_outs, source, queries, .. } = pair[0] else {
                panic!("{pair:?}")
            };
            seen.extend([cohort, opt_outs, source, queries]);
        }
        assert_eq!(seen.len(), 16);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 16, "what did not change is not seen to be the same");
    }
}

fn read(ledger: &crate::ledger::LedgerStore) -> Vec<Vec<u8>> {
    ledger.entries_from(0, usize::MAX).expect("whole")
}

#[tokio::test]
async fn a_list_that_cannot_be_read_ends_the_stay() {
    let mut world = World::started(3, &[]).await;
    let list = world.houses[0].opt_outs();
    std::fs::remove_file(&list).expect("there");
    world.conductor.open(Summed::Training).await;
    let seat = world.conductor.seats.get_mut(&index(0)).expect("seated");
    assert_eq!(seat.hear().await, Up::Refused("opt_out.list".into()));
    assert_eq!(seat.hear().await, Up::Ended);
    let (agent, done) = world.left(0).await;
    assert!(matches!(done, Err(TaskError::Told("opt_out.list"))), "{done:?}");
    let study = world.conductor.study.digest;
    assert_eq!(agent.store.state().blocks(&study).count(), 0, "nothing is burnt");
    assert!(!agent.home.snapshot_path(&study).exists(), "no data were touched");

    std::fs::write(&list, "person_id\n").expect("mended");
    world.join(0, agent).await;
    world.conductor.open(Summed::Training).await;
    let (_, record) = world.step(slot(0, 0), None).await;
    assert_eq!(record.survivors.len(), 3);
    world.end().await;
}
