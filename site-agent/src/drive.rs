//! Asks for a task, does it, asks again; for ever. The order for anything that leaves is kept here:
//! reserve → fsync → cosigned → draw noise → read data, compute, add → output blob fsynced → the
//! tick → commit → send; for secure sums in `sums`. What to do is decided in [`crate::task`].

mod agent;
mod chance;
mod claim;
mod cosign;
mod examples;
mod failed;
#[cfg(feature = "mutants")]
mod mutated;
mod rotate;
mod round;
mod sums;
mod table;
#[cfg(test)]
mod tests;
mod witness;

pub use agent::Agent;
pub(crate) use agent::Begun;
pub(crate) use examples::freeze_ahead;
pub use failed::{Stop, TaskError};

use crate::connect::Dialer;
use crate::home::entropy;
use crate::link::{CallError, Link};
use consilium_common::protocol::Task;
use std::time::Duration;
use tokio::sync::watch;

const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Least time between two requests for a task when there is none: a coordinator that answers at once
/// is not asked in a tight loop.
const ASK_MIN: Duration = Duration::from_millis(200);
/// After a task that was refused, or that the coordinator does not want any more.
const PAUSE: Duration = Duration::from_secs(5);
/// After something that a person must mend, growing from [`PAUSE`]: each further try of a round
/// burns a spare one.
const MEND_MAX: Duration = Duration::from_secs(600);
/// The same where nothing was burnt: a table that is not there, or lacks columns.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// Serves until `stop` turns true or the agent must stop. A lost connection is opened again, with
/// growing pauses. A task that has begun is brought to its end before stopping.
///
/// # Errors
/// Why the agent must not go on: its ledger is corrupt or was rolled back, or the coordinator is
/// another one.
pub async fn serve(agent: &mut Agent, dialer: &Dialer, mut stop: watch::Receiver<bool>) -> Result<(), Stop> {
    let mut backoff = BACKOFF_MIN;
    while !*stop.borrow() {
        let opened = tokio::select! {
            opened = Link::open(dialer) => opened,
            () = stopped(&mut stop) => return Ok(()),
        };
        let error = match opened {
            Ok((mut link, hello)) => {
                agent.greet(&hello)?;
                agent.tell_of_key_change(&mut link).await?;
                backoff = BACKOFF_MIN;
                let witness = tokio::spawn(witness::run(link.clone(), agent.as_witness()));
                let conversed = converse(agent, &mut link, &mut stop).await;
                witness.abort();
                conversed?
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            tracing::warn!(address = %dialer.address(), retry_s = backoff.as_secs_f32(), "{error}");
            pause(jittered(backoff), &mut stop).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
    Ok(())
}

/// Tasks over one connection, until it breaks (the error) or `stop` turns true (`None`).
async fn converse(
    agent: &mut Agent,
    link: &mut Link,
    stop: &mut watch::Receiver<bool>,
) -> Result<Option<CallError>, Stop> {
    let mut mend = PAUSE;
    while !*stop.borrow() {
        let asked = tokio::time::Instant::now();
        let task = tokio::select! {
            task = link.next_task() => task,
            () = stopped(stop) => return Ok(None),
        };
        let task = match task {
            Ok(Some(task)) => task,
            Ok(None) => {
                pause(ASK_MIN.saturating_sub(asked.elapsed()), stop).await;
                continue;
            }
            Err(error) => return Ok(Some(error)),
        };
        let began = tokio::time::Instant::now();
        let done = match &task {
            Task::Sum { study } => agent.sum(link, study, stop).await,
            task => agent.handle(link, task, began).await,
        };
        match done {
            Ok(()) => {
                mend = PAUSE;
                // A stream that was ended at once is not opened again in a tight loop.
                if matches!(task, Task::Sum { .. }) {
                    pause(ASK_MIN.saturating_sub(began.elapsed()), stop).await;
                }
            }
            Err(TaskError::Told(_)) => pause(PAUSE, stop).await,
            Err(TaskError::Refused(refusal)) => {
                agent.refuse(link, &task, &refusal).await?;
                if matches!(refusal.rule, table::RULE | examples::OPT_OUT_RULE) {
                    // Until a person has mended it; looking at it costs nothing.
                    pause(mend, stop).await;
                    mend = (mend * 2).min(LOOK_MAX);
                } else {
                    pause(PAUSE, stop).await;
                }
            }
            Err(TaskError::Call(error @ (CallError::Unreachable(_) | CallError::Broken { .. }))) => {
                return Ok(Some(error));
            }
            // A late update, a study that was stopped meanwhile: the coordinator knows best, go on.
            Err(TaskError::Call(error)) => {
                tracing::warn!("{error}");
                pause(PAUSE, stop).await;
            }
            // The coordinator's status says so too. The reserve is kept for the next try.
            Err(error @ TaskError::Unwitnessed) => {
                tracing::warn!("{error}");
                pause(ASK_MIN, stop).await;
            }
            // Nothing is said to the coordinator: what a person must mend here may tell of data.
            Err(TaskError::Local(what)) => {
                tracing::error!("this site cannot do its task until this is mended: {what}");
                pause(mend, stop).await;
                mend = (mend * 2).min(MEND_MAX);
            }
            Err(TaskError::Stop(stop)) => return Err(stop),
        }
    }
    Ok(None)
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // The sender is gone: nobody can ask to stop any more.
        std::future::pending().await
    }
}

async fn pause(time: Duration, stop: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = stopped(stop) => {}
    }
}

/// Between half and the whole of `time`, so that many agents do not come back at once.
fn jittered(time: Duration) -> Duration {
    let byte = entropy().map_or(0, |bytes| bytes[0]);
    time.mul_f64(0.5 + f64::from(byte) / 512.0)
}
