//! Reads one table of a session: COPY, taken apart as it comes.

use super::super::cells::{Batch, Column};
use super::super::error::InvalidOmop;
use super::binary::{Decoder, Stop};
use super::error::InvalidDatabase;
use super::query::Query;
use super::session::Session;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use tokio_stream::StreamExt as _;

/// Why reading ended early.
enum Ended {
    /// The server gave up, or the connection was lost: there is nothing left to cancel.
    There(tokio_postgres::Error),
    /// We do not want more.
    Here(Stop<Enough>),
}

/// Why whoever takes the batches wants no more.
enum Enough {
    Error(InvalidOmop),
    Panic(Box<dyn Any + Send>),
}

/// Gives every batch of a table to `take`. What ends early on our side, by a panic too, is cancelled at the server.
pub(super) fn read(
    session: &Session,
    query: &Query,
    wanted: &[Column],
    take: &mut dyn FnMut(&Batch) -> Result<(), InvalidOmop>,
) -> Result<(), InvalidOmop> {
    let (table, text) = (query.table, query.copy());
    let mut decoder = Decoder::new(wanted, &query.columns);
    // A panic goes around the runtime, which it would leave unable to tell the server.
    let mut take = |batch: &Batch| match catch_unwind(AssertUnwindSafe(|| take(batch))) {
        Ok(taken) => taken.map_err(Enough::Error),
        Err(panic) => Err(Enough::Panic(panic)),
    };
    let outcome = session.block_on(async {
        let mut rows = pin!(session.client().copy_out(&text).await.map_err(Ended::There)?);
        while let Some(row) = rows.next().await {
            decoder.push(&row.map_err(Ended::There)?, &mut take).map_err(Ended::Here)?;
        }
        decoder.end(&mut take).map_err(Ended::Here)
    });
    let stop = match outcome {
        Ok(()) => return Ok(()),
        Err(Ended::There(error)) => {
            return Err(InvalidDatabase::of_table(table, session.place(), &error).into());
        }
        Err(Ended::Here(stop)) => stop,
    };
    session.cancel();
    match stop {
        Stop::Row(row, what) => Err(InvalidDatabase::Row { table, row, what }.into()),
        Stop::Taken(Enough::Error(error)) => Err(error),
        Stop::Taken(Enough::Panic(panic)) => resume_unwind(panic),
    }
}
