//! The power goes while several entries are written at once.

use super::*;

/// Entries that are written together are there together or not at all; what an append returned is there,
/// and what waits for the next write is there with it.
#[test]
fn the_power_goes_while_several_entries_are_written() {
    let refusal = |rule: &str| Body::Refusal { rule: rule.into(), study: None, count: 1 };
    let run = |disk: &FaultyDisk, dir: &Path| {
        let mut store = LedgerStore::open_on(Arc::new(disk.clone()), dir, key(0), None).expect("sound");
        let mut sizes = vec![store.signed_size()];
        let mut work = || {
            store.append_all([refusal("a"), refusal("b"), refusal("c")], now())?;
            sizes.push(store.signed_size());
            store.append_lazily(refusal("d"), now())?;
            store.append_lazily(refusal("e"), now())?;
            store.append(refusal("f"), now())?;
            sizes.push(store.signed_size());
            Ok::<_, LedgerError>(())
        };
        (work().is_ok(), sizes)
    };
    let origin = Origin::new();
    let whole = FaultyDisk::new(Fault::None);
    let (folder, _) = origin.case();
    let (done, sizes) = run(&whole, &folder.path().join("home/ledger"));
    assert!(done && sizes == [sizes[0], sizes[0] + 3, sizes[0] + 6], "{sizes:?}");
    let mut taken_back = 0;
    for step in 0..whole.steps() {
        for fault in
            [Fault::Before { step, torn: 0 }, Fault::Before { step, torn: 300 }, Fault::After { step }]
        {
            for left in LEFT {
                let (folder, _) = origin.case();
                let dir = folder.path().join("home/ledger");
                let disk = FaultyDisk::new(fault);
                let (done, returned) = run(&disk, &dir);
                assert!(!done, "{fault:?}");
                restore(&disk.survivors(left));
                let store = LedgerStore::open(&dir, key(0), None).expect("recovers");
                let size = store.state().size();
                let promised = *returned.last().expect("opened");
                assert!(
                    sizes.contains(&size) && size >= promised,
                    "{fault:?}, {left:?} left: {size} entries"
                );
                taken_back += u64::from(store.dropped_bytes() > 0);
            }
        }
    }
    assert!(taken_back > 0, "no write was cut off");
}
