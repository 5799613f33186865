//! Recovered ledgers: every rule broken once, and what a recovery ends.

use super::*;

fn block(earmark: u32, first: u64, count: u64) -> Body {
    Body::ReserveBlock { study: study(), earmark, first, count }
}

fn masked(reserve: u64, index: u64, step: u32, attempt: u32) -> Body {
    let (session, model, output) = (Digest::of(b"session"), Digest::of(b"model"), Digest::of(b"masked"));
    Body::CommitSum { reserve, index, step, attempt, session, model, output }
}

const fn recovered(entries: u64) -> Body {
    Body::Recovered { entries }
}

#[test]
fn what_was_open_is_ended_and_stays_burnt() {
    let state = state(&[
        open(),
        block(0, 0, 4),
        masked(2, 0, 0, 0),
        block(0, 4, 2),
        block(1, 0, 1),
        reserve(0, 6, 2),
        reserve(1, 8, 2),
        commit(6),
        block(0, 10, 1),
        abort(9),
        recovered(11),
        block(0, 11, 1),
        masked(12, 11, 3, 0),
    ]);
    assert_eq!(state.next_unburnt(&study(), 0), Some(12), "nothing is given back");
    let (entry, recovery) = state.recoveries().next().expect("one");
    let left: Vec<_> = recovery.blocks.iter().map(|left| (left.reserve, left.earmark, left.uses)).collect();
    // Of the first block one use has its masked vector; the aborted one was not open.
    assert_eq!((entry, left), (11, vec![(2, 0, 3), (4, 0, 2), (5, 1, 1)]));
    assert_eq!(recovery.reserves, [7]);
    assert_eq!(state.open_blocks(), vec![]);
    assert_eq!(state.unfinished(), vec![]);
    assert_eq!(state.recoveries().count(), 1);
}

#[test]
fn it_says_how_long_the_copy_was() {
    const RULE: &str = "ledger.recovered";
    state(&[recovered(1)]);
    state(&[open(), recovered(2), recovered(3), close(), recovered(5)]);
    check(&[recovered(0)], RULE);
    check(&[recovered(2)], RULE);
    check(&[open(), recovered(1)], RULE);
    check(&[open(), recovered(u64::MAX)], RULE);
}

#[test]
fn nothing_from_before_is_taken_up_again() {
    let before = [open(), block(0, 0, 4), masked(2, 0, 0, 0), reserve(0, 4, 2), recovered(5)];
    let then = |bodies: &[Body]| [&before[..], bodies].concat();
    check(&then(&[masked(2, 1, 0, 1)]), "ledger.commit_sum");
    check(&then(&[masked(2, 1, 7, 0)]), "ledger.commit_sum");
    check(&then(&[abort(2)]), "ledger.abort");
    check(&then(&[commit(4)]), "ledger.commit");
    check(&then(&[abort(4)]), "ledger.abort");
    // Uses and attempts go on rising.
    check(&then(&[block(0, 4, 1)]), "ledger.burn");
    check(&then(&[block(0, 6, 1), masked(6, 6, 0, 0)]), "ledger.commit_sum");
    state(&then(&[block(0, 6, 1), masked(6, 6, 0, 1), reserve(0, 7, 2)]));
    // How an attempt ended may be told after it: the masked vector's entry is in the copy.
    let survivors = vec!["ashford".parse().expect("a name")];
    let digest = Digest::of(b"sum");
    state(&then(&[Body::Sum { commit: 3, survivors, sum: digest, transcript: digest }]));
    // Of a closed study nothing was open.
    let closed = state(&[open(), block(0, 0, 4), close(), recovered(4)]);
    assert_eq!(closed.recoveries().next().map(|(_, recovery)| recovery.blocks.len()), Some(0));
}
