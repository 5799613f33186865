//! Beside the tasks: looks at other sites' checkpoints as they come, and says what it thinks of them.

use crate::link::{CallError, Link};
use crate::witness::Witness;
use consilium_common::time::Time;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// After something that a person must mend, and for a coordinator that does not know the call.
const PAUSE: Duration = Duration::from_secs(30);

/// After a connection that broke.
const AGAIN: Duration = Duration::from_millis(250);

/// For as long as the conversation about tasks goes on.
pub(super) async fn run(mut link: Link, (witness, clock): (Arc<Mutex<Witness>>, fn() -> Time)) {
    loop {
        match once(&mut link, &witness, clock).await {
            Ok(()) => {}
            // The conversation about tasks may not notice, where the channel is open again by its next
            // call; if it does, it ends this one.
            Err(Trouble::Call(CallError::Broken { .. } | CallError::Unreachable(_))) => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(Trouble::Call(error)) => {
                tracing::warn!("{error}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(Trouble::Local(what)) => {
                tracing::error!("this site cannot cosign the ledgers of others until this is mended: {what}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

enum Trouble {
    Call(CallError),
    Local(String),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

async fn once(link: &mut Link, witness: &Arc<Mutex<Witness>>, clock: fn() -> Time) -> Result<(), Trouble> {
    let known = witness.lock().unwrap_or_else(PoisonError::into_inner).known();
    let foreign = link.next_witness(known).await?;
    if foreign.is_empty() {
        return Ok(());
    }
    let desk = Arc::clone(witness);
    // It syncs the disk. An interrupted one has cosigned on disk what it never said: harmless.
    let considered = tokio::task::spawn_blocking(move || {
        desk.lock().unwrap_or_else(PoisonError::into_inner).consider(&foreign, clock())
    });
    let considered = considered.await.map_err(|_| Trouble::Local("the computation failed".into()))?;
    let statements = considered.map_err(|error| Trouble::Local(error.to_string()))?;
    for statement in &statements {
        if let crate::witness::Said::Refused { rule, .. } = &statement.said {
            tracing::warn!(site = %statement.site, entries = statement.size, rule, "not cosigned");
        }
    }
    link.submit_witness(statements).await?;
    Ok(())
}
