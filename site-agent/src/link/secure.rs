//! The stream of secure sums: whole messages over parts of at most 1 MiB, in both directions. What a
//! message says is not looked at here.

use super::{CallError, Link, failed, nonsense, pieces, wire_digest};
use consilium_common::id::Digest;
use consilium_common::secagg::Slot;
use consilium_proto::v1 as wire;
use consilium_proto::v1::{secure_down, secure_open, secure_up};
use prost::bytes::Bytes;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

const CALL: &str = "SecureSum";
/// Parts that wait to be sent.
const QUEUE: usize = 4;
/// The longest name of a grouping, bytes.
const NAME_MAX: usize = 1024;
/// How long a last word may take to go out.
const LAST_WORD: Duration = Duration::from_secs(5);
/// How long a part, of at most 1 MiB, may wait for the coordinator to read.
const PART_OUT: Duration = Duration::from_secs(60);

/// What the coordinator says, message by message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// A new session; the one before, if any, is over.
    Open {
        /// Never twice for a study.
        number: u64,
        /// The grouping whose histogram is summed; none for the steps of training.
        grouping: Option<String>,
    },
    /// A step is to be shared for.
    Share(Slot),
    /// The exact bytes of the model that the next request names.
    Model(Bytes),
    /// A message of the protocol.
    Message(Bytes),
}

/// The largest that may come, bytes; what a study makes possible.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A message of the protocol.
    pub message: usize,
    /// A model.
    pub model: usize,
}

/// An open stream. Dropped, it is a site that dropped out.
#[derive(Debug)]
pub struct SecureStream {
    up: mpsc::Sender<wire::SecureUp>,
    down: Streaming<wire::SecureDown>,
    message: Parts,
    model: Parts,
}

impl Link {
    /// Takes part in the secure sums of a study.
    ///
    /// # Errors
    /// The call failed.
    pub async fn secure_sum(&mut self, study: &Digest, limits: Limits) -> Result<SecureStream, CallError> {
        let (up, parts) = mpsc::channel(QUEUE);
        let join = wire::SecureJoin { study: wire_digest(study) };
        send(&up, secure_up::Part::Join(join)).await?;
        // No deadline: a stream lasts as long as the sums do; a dead connection shows by its keep-alive.
        let down = self.federation.secure_sum(ReceiverStream::new(parts)).await.map_err(failed(CALL))?;
        let (message, model) = (Parts::new(limits.message), Parts::new(limits.model));
        Ok(SecureStream { up, down: down.into_inner(), message, model })
    }
}

impl SecureStream {
    /// The next whole thing that the coordinator says; none when it has ended the stream. May be
    /// dropped while it waits, and called again.
    ///
    /// # Errors
    /// The stream broke, or more came than there can be.
    pub async fn next(&mut self) -> Result<Option<Down>, CallError> {
        loop {
            let Some(down) = self.down.message().await.map_err(failed(CALL))? else { return Ok(None) };
            let whole = match down.part {
                Some(secure_down::Part::Open(open)) => Some(opened(open)?),
                Some(secure_down::Part::Share(wire::SecureShare { step, attempt })) => {
                    Some(Down::Share(Slot { step, attempt }))
                }
                Some(secure_down::Part::Message(part)) => self.message.take(part)?.map(Down::Message),
                Some(secure_down::Part::Model(part)) => self.model.take(part)?.map(Down::Model),
                None => return Err(nonsense(CALL, "a part of no known kind".into())),
            };
            if whole.is_some() {
                return Ok(whole);
            }
        }
    }

    /// Sends a message of the protocol.
    ///
    /// # Errors
    /// The stream broke, or the coordinator does not read.
    pub async fn send(&mut self, message: Vec<u8>) -> Result<(), CallError> {
        let mut pieces = pieces(message.into()).peekable();
        while let Some(bytes) = pieces.next() {
            let last = pieces.peek().is_none();
            send(&self.up, secure_up::Part::Message(wire::SecurePart { bytes, last })).await?;
        }
        Ok(())
    }

    /// Says which rule refused, and ends.
    pub async fn refuse(self, rule: &str) {
        let Self { up, mut down, .. } = self;
        let said = async {
            if send(&up, secure_up::Part::Refused(rule.to_owned())).await.is_err() {
                return;
            }
            // A stream that is dropped at once may take its last word with it.
            drop(up);
            while let Ok(Some(_)) = down.message().await {}
        };
        if tokio::time::timeout(LAST_WORD, said).await.is_err() {
            tracing::warn!("the coordinator did not end the stream after a refusal");
        }
    }
}

async fn send(up: &mpsc::Sender<wire::SecureUp>, part: secure_up::Part) -> Result<(), CallError> {
    send_within(PART_OUT, up, part).await
}

async fn send_within(
    time: Duration,
    up: &mpsc::Sender<wire::SecureUp>,
    part: secure_up::Part,
) -> Result<(), CallError> {
    let broken = |reason: &str| CallError::Broken { call: CALL, reason: reason.into() };
    match up.send_timeout(wire::SecureUp { part: Some(part) }, time).await {
        Ok(()) => Ok(()),
        Err(SendTimeoutError::Timeout(_)) => Err(broken("the coordinator does not read")),
        Err(SendTimeoutError::Closed(_)) => Err(broken("the stream is over")),
    }
}

fn opened(open: wire::SecureOpen) -> Result<Down, CallError> {
    let grouping = match open.sums {
        Some(secure_open::Sums::Training(_)) => None,
        Some(secure_open::Sums::Grouping(name)) if name.len() <= NAME_MAX => Some(name),
        _ => return Err(nonsense(CALL, "a session for no known sums".into())),
    };
    Ok(Down::Open { number: open.number, grouping })
}

/// The parts of one thing until its last.
#[derive(Debug)]
struct Parts {
    bytes: Vec<u8>,
    limit: usize,
}

impl Parts {
    const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// The whole, with its last part.
    fn take(&mut self, part: wire::SecurePart) -> Result<Option<Bytes>, CallError> {
        if self.bytes.len() + part.bytes.len() > self.limit {
            return Err(nonsense(CALL, format!("expected at most {} bytes", self.limit)));
        }
        if part.bytes.is_empty() && !part.last {
            return Err(nonsense(CALL, "an empty part".into()));
        }
        if part.last && self.bytes.is_empty() {
            return Ok(Some(part.bytes));
        }
        self.bytes.extend_from_slice(&part.bytes);
        Ok(part.last.then(|| std::mem::take(&mut self.bytes).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_coordinator_that_does_not_read_holds_nobody() {
        let (up, mut parts) = mpsc::channel(QUEUE);
        let time = Duration::from_millis(10);
        let send = async || send_within(time, &up, secure_up::Part::Refused("any".into())).await;
        let reason = |sent| match sent {
            Err(CallError::Broken { reason, .. }) => reason,
            other => panic!("{other:?}"),
        };
        for _ in 0..QUEUE {
            send().await.expect("there is room");
        }
        assert_eq!(reason(send().await), "the coordinator does not read");
        parts.recv().await.expect("a part");
        send().await.expect("there is room again");
        drop(parts);
        assert_eq!(reason(send().await), "the stream is over");
    }

    #[test]
    fn parts_make_a_whole_of_bounded_size() {
        fn check(parts: &[(&str, bool)], expected: Result<Option<&str>, ()>) {
            let mut whole = Parts::new(6);
            let mut last = Ok(None);
            for &(bytes, last_part) in parts {
                let bytes = Bytes::copy_from_slice(bytes.as_bytes());
                last = whole.take(wire::SecurePart { bytes, last: last_part });
                if last.is_err() {
                    break;
                }
            }
            let expected = expected.map(|whole| whole.map(|text| Bytes::copy_from_slice(text.as_bytes())));
            assert_eq!(last.map_err(|_| ()), expected, "{parts:?}");
        }
        check(&[("abc", true)], Ok(Some("abc")));
        check(&[("abc", false)], Ok(None));
        check(&[("abc", false), ("def", true)], Ok(Some("abcdef")));
        check(&[("abc", false), ("", true)], Ok(Some("abc")));
        check(&[("abc", true), ("d", true)], Ok(Some("d")));
        check(&[("abc", false), ("defg", true)], Err(()));
        check(&[("abcdefg", true)], Err(()));
        check(&[("", false)], Err(()));
    }
}
