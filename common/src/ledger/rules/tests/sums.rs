//! Secure sums: every rule of blocks, masked vectors and ends, broken once.

use super::*;

fn block(earmark: u32, first: u64, count: u64) -> Body {
    Body::ReserveBlock { study: study(), earmark, first, count }
}

fn masked(reserve: u64, index: u64, step: u32, attempt: u32) -> Body {
    let (session, model, output) = (Digest::of(b"session"), Digest::of(b"model"), Digest::of(b"masked"));
    Body::CommitSum { reserve, index, step, attempt, session, model, output }
}

fn ended_with(commit: u64, survivors: &[&str]) -> Body {
    Body::Sum {
        commit,
        survivors: survivors.iter().map(|site| site.parse().expect("a name")).collect(),
        sum: Digest::of(b"sum"),
        transcript: Digest::of(b"transcript"),
    }
}

fn ended(commit: u64) -> Body {
    ended_with(commit, &["ashford", "brackley"])
}

#[test]
fn a_whole_study_of_sums() {
    let bodies = [
        open(),
        block(0, 0, 4),
        masked(2, 0, 0, 0),
        ended(3),
        masked(2, 1, 1, 0),
        // The attempt failed; the next one is of the same step. The next block is reserved meanwhile.
        masked(2, 2, 1, 1),
        block(0, 4, 3),
        ended(6),
        // A crash: what is left of the first block is never used, the second goes on.
        abort(2),
        masked(7, 4, 2, 0),
        ended(10),
        block(1, 0, 1),
        masked(12, 0, 1, 0),
        ended(13),
        close(),
    ];
    let state = state(&bodies);
    assert_eq!((state.next_unburnt(&study(), 0), state.next_unburnt(&study(), 1)), (Some(7), Some(1)));
    // Blocks count wholly, whatever became of their uses.
    assert_eq!(state.burnt(Role::Training), vec![earmarks()[0].event.with_count(7)]);
    assert_eq!(state.charged(Role::Training), vec![earmarks()[0].event.with_count(7)]);
    assert_eq!(state.burnt(Role::Evaluation), vec![earmarks()[1].event.with_count(1)]);
    assert_eq!(state.last_attempt(&study(), 0), Some((2, 0)));
    assert_eq!(
        state.blocks(&study()).map(|(index, b)| (index, b.next_use())).collect::<Vec<_>>(),
        [(2, None), (7, Some(5)), (12, None)]
    );
    let ends: Vec<_> = state.masked(&study()).map(|(index, m)| (index, m.ended.is_some())).collect();
    assert_eq!(ends, [(3, true), (5, false), (6, true), (10, true), (13, true)]);
    assert_eq!(state.open_blocks(), vec![], "the study is closed");
    assert!(state.burns(&study()).next().is_none() && state.unfinished().is_empty());
}

#[test]
fn what_a_crash_left_is_open() {
    let state =
        state(&[open(), block(0, 0, 2), masked(2, 0, 0, 0), block(0, 2, 2), block(1, 0, 1), abort(5)]);
    assert_eq!(state.open_blocks().iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2, 4]);
}

#[test]
fn blocks() {
    check(&[block(0, 0, 1)], "ledger.study");
    check(&[open(), block(3, 0, 1)], "ledger.earmark");
    check(&[open(), block(0, 1, 1)], "ledger.burn");
    check(&[open(), block(0, 0, 0)], "ledger.burn");
    // More than the study earmarked, at once or in the end.
    check(&[open(), block(0, 0, 13)], "ledger.burn");
    check(&[open(), block(0, 0, 12), block(0, 12, 1)], "ledger.burn");
    check(&[open(), block(0, 0, u64::MAX)], "ledger.burn");
    check(&[open(), block(0, 0, 4), block(0, 2, 4)], "ledger.burn");
    // What plain outputs burnt is not burnt again.
    check(&[open(), reserve(0, 0, 4), commit(2), block(0, 0, 4)], "ledger.burn");
    check(&[open(), close(), block(0, 0, 1)], "ledger.study");
}

#[test]
fn masked_vectors() {
    const RULE: &str = "ledger.commit_sum";
    // Without a block, or on what is none.
    check(&[open(), masked(2, 0, 0, 0)], RULE);
    check(&[open(), masked(1, 0, 0, 0)], RULE);
    check(&[open(), reserve(0, 0, 4), masked(2, 0, 0, 0)], RULE);
    // A use twice, skipped, outside its block, or of another block.
    check(&[open(), block(0, 0, 2), masked(2, 0, 0, 0), masked(2, 0, 0, 1)], RULE);
    check(&[open(), block(0, 0, 2), masked(2, 1, 0, 0)], RULE);
    check(&[open(), block(0, 0, 1), masked(2, 0, 0, 0), masked(2, 1, 0, 1)], RULE);
    check(&[open(), block(0, 0, 2), block(0, 2, 2), masked(2, 2, 0, 0)], RULE);
    // Back to an older block after a newer one was used.
    check(&[open(), block(0, 0, 2), block(0, 2, 2), masked(3, 2, 0, 0), masked(2, 0, 0, 1)], RULE);
    // Attempts and steps rise.
    let before = [open(), block(0, 0, 4), masked(2, 0, 1, 1)];
    for (step, attempt) in [(1, 1), (1, 0), (0, 0), (0, 7)] {
        check(&[&before[..], &[masked(2, 1, step, attempt)]].concat(), RULE);
    }
    for (step, attempt) in [(1, 2), (2, 0), (9, 5)] {
        state(&[&before[..], &[masked(2, 1, step, attempt)]].concat());
    }
    // Also over blocks.
    check(&[&before[..], &[block(0, 4, 1), masked(4, 4, 1, 1)]].concat(), RULE);
    // The step of a grouping is its earmark.
    check(&[open(), block(1, 0, 1), masked(2, 0, 0, 0)], RULE);
    check(&[open(), block(2, 0, 1), masked(2, 0, 1, 0)], RULE);
    // After an abort, and after the end of the study.
    check(&[open(), block(0, 0, 2), abort(2), masked(2, 0, 0, 0)], RULE);
    check(&[open(), block(0, 0, 2), close(), masked(2, 0, 0, 0)], "ledger.study");
    // A plain output is not committed on a block.
    check(&[open(), block(0, 0, 2), commit(2)], "ledger.commit");
}

#[test]
fn ends() {
    const RULE: &str = "ledger.sum";
    let before = [open(), block(0, 0, 2), masked(2, 0, 0, 0)];
    let then = |body: Body| [&before[..], &[body]].concat();
    state(&then(ended(3)));
    state(&then(ended_with(3, &["ashford"])));
    // Of what is no masked vector, and twice.
    check(&then(ended(2)), RULE);
    check(&then(ended(9)), RULE);
    check(&[then(ended(3)), vec![ended(3)]].concat(), RULE);
    // Strangers, disorder, a name twice, nobody, without the site itself.
    check(&then(ended_with(3, &["ashford", "corby"])), RULE);
    check(&then(ended_with(3, &["brackley", "ashford"])), RULE);
    check(&then(ended_with(3, &["ashford", "ashford"])), RULE);
    check(&then(ended_with(3, &[])), RULE);
    check(&then(ended_with(3, &["brackley"])), RULE);
    check(&[then(close()), vec![ended(3)]].concat(), "ledger.study");
}

#[test]
fn aborts_of_blocks() {
    check(&[open(), block(0, 0, 2), abort(2), abort(2)], "ledger.abort");
    check(&[open(), block(0, 0, 1), masked(2, 0, 0, 0), abort(2)], "ledger.abort");
    check(&[open(), block(0, 0, 2), masked(2, 0, 0, 0), abort(3)], "ledger.abort");
    check(&[open(), block(0, 0, 2), close(), abort(2)], "ledger.study");
    let why = Body::Abort { reserve: 2, reason: "because".into() };
    check(&[open(), block(0, 0, 2), why], "ledger.abort");
}
