//! Runs a table of lies, each against an agent of its own.

use consilium_common::secagg::Slot;
use consilium_common::study::secure::Summed;
use consilium_tests::secure::line::{Answer, Line, NoAnswer};
use consilium_tests::secure::play::{Lie, Run, Stage};
use consilium_tests::secure::{Besieged, Victim, refusals, sent};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Agents at a time.
const AT_ONCE: usize = 4;

/// What happens, honestly, before the lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing: it is in the first step.
    Nothing,
    /// One step of the same session.
    Step,
    /// A session with one step.
    Session,
}

/// One attack.
pub struct Row {
    /// In the list of attacks.
    pub number: u8,
    /// In words.
    pub what: &'static str,
    /// The rule that refuses.
    pub rule: &'static str,
    /// What comes first.
    pub before: Before,
    /// What is told.
    pub lie: Lie,
}

impl Row {
    /// The same in the second step.
    pub fn after_a_step(self) -> Self {
        Self { before: Before::Step, ..self }
    }

    /// Masked vectors that leave: of the steps before, and of the lie's own if it comes later.
    fn vectors(&self) -> usize {
        let lied_with = match &self.lie {
            // The second request is the lie.
            Lie::Twice(Stage::Request) => true,
            lie => lie.stage() > Stage::Request,
        };
        usize::from(self.before != Before::Nothing) + usize::from(lied_with)
    }
}

/// Every row, some at a time.
///
/// # Panics
/// With everything that was not as a row says.
pub async fn all(rows: Vec<Row>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for row in rows {
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire_owned().await.expect("never closed");
            let about =
                format!("attack {}, {}, {:?}, {:?}", row.number, row.what, row.before, row.lie.stage());
            check(row).await.map_err(|why| format!("{about}: {why}"))
        });
    }
    let mut wrong = Vec::new();
    while let Some(done) = running.join_next().await {
        match done {
            Ok(Ok(())) => {}
            Ok(Err(why)) => wrong.push(why),
            Err(panicked) => wrong.push(panicked.to_string()),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn check(row: Row) -> Result<(), String> {
    let (mut victim, line) = Victim::joined(&Besieged::new(4, 8)).await;
    let (mut line, said) = attack(&victim, line, row.before, &row.lie).await;
    let expected = Answer::Refused(row.rule.to_owned());
    if said != expected {
        return Err(format!("expected {expected:?}, came {said:?}\n{}", victim.log()));
    }
    let after = line.answer().await;
    if after != Answer::Gone {
        return Err(format!("after its refusal it said {after:?}"));
    }
    let ledger = victim.ledger();
    let refused = refusals(&ledger);
    if refused.into_iter().collect::<Vec<_>>() != [(row.rule.to_owned(), 1)] {
        return Err(format!("in its ledger: {:?}", refusals(&ledger)));
    }
    let (vectors, found) = (row.vectors(), sent(&ledger).len());
    if found != vectors {
        return Err(format!("expected {vectors} masked vectors in its ledger, came {found}"));
    }
    let log = victim.log();
    if log.contains("panicked") { Err(log) } else { Ok(()) }
}

/// Opens a session for training, honestly.
///
/// # Panics
/// The agent does not take part.
pub async fn training(victim: &Victim, line: Line, number: u64) -> Run<'_> {
    match Run::open(victim, line, number, Summed::Training, None).await {
        Ok(run) => run,
        Err((_, error)) => panic!("{error:?}\n{}", victim.log()),
    }
}

/// Plays up to the lie and on, until the agent does not answer as it should.
async fn attack(victim: &Victim, line: Line, before: Before, lie: &Lie) -> (Line, Answer) {
    let zeros = vec![0; victim.study.architecture().parameters()];
    let in_keys = lie.stage() == Stage::Keys;
    let first = (before == Before::Nothing && in_keys).then_some(lie);
    let mut run = match Run::open(victim, line, 1, Summed::Training, first).await {
        Ok(run) => run,
        Err((line, NoAnswer(said))) => return (line, said),
    };
    let mut step = 0;
    if before != Before::Nothing {
        if let Err(NoAnswer(said)) = run.attempt(Slot { step, attempt: 0 }, &zeros, None).await {
            return (run.line, said);
        }
        step = 1;
    }
    if before == Before::Session {
        run = match run.next(2, Summed::Training, in_keys.then_some(lie)).await {
            Ok(run) => run,
            Err((line, NoAnswer(said))) => return (line, said),
        };
    }
    let said = match run.attempt(Slot { step, attempt: 0 }, &zeros, Some(lie)).await {
        // A lie in the last message shows at once, or not at all.
        Ok(_) => run.said().await,
        Err(NoAnswer(said)) => said,
    };
    (run.line, said)
}
