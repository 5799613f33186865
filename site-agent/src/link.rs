//! The conversation with the coordinator in domain types: the only place of the agent that names
//! the wire. What comes back is parsed and checked here, or is an error.

mod ledger;
mod secure;

pub use secure::{Down, Limits, SecureStream};

use crate::connect::{Dialer, Unreachable, chain};
use crate::home::SOFTWARE;
use consilium_common::id::Digest;
use consilium_common::key::PublicKey;
use consilium_common::protocol::{Approval, Receipt, Start, Task};
use consilium_common::signed::Signed;
use consilium_common::time::Time;
use consilium_proto::v1::federation_client::FederationClient;
use consilium_proto::v1::{self as wire, next_task_response, output_header, output_part};
use prost::bytes::Bytes;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// A piece of a stream that is sent, bytes: the coordinator holds one for each site, several times over.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// How long the coordinator may hold a `NextTask`.
pub const TASK_WAIT: Duration = Duration::from_secs(20);
/// Beyond what the call itself waits for.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// For a whole model, update or ledger over a hospital's line.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3600);
/// Most studies that a coordinator may list.
const STUDIES_MAX: usize = 10_000;

/// A call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// It broke in the middle of a call.
    #[error("the connection to the coordinator failed during {call}: {reason}")]
    Broken {
        /// Which call.
        call: &'static str,
        /// What the transport said.
        reason: String,
    },
    /// The coordinator said no.
    #[error("the coordinator refuses {call}: {message} ({code:?})")]
    Refused {
        /// Which call.
        call: &'static str,
        /// The gRPC code.
        code: Code,
        /// What it said.
        message: String,
    },
    /// The coordinator failed.
    #[error("the coordinator failed at {call}: {message} ({code:?})")]
    PeerFault {
        /// Which call.
        call: &'static str,
        /// The gRPC code.
        code: Code,
        /// What it said.
        message: String,
    },
    /// The coordinator answered something that makes no sense.
    #[error("the coordinator's answer to {call}: {what}")]
    Nonsense {
        /// Which call.
        call: &'static str,
        /// What was expected and what came.
        what: String,
    },
}

/// What the coordinator says of itself.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Signs starts, receipts and cosignatures.
    pub key: PublicKey,
    /// Its clock.
    pub time: Time,
    /// As `coordinator 0.1.0`.
    pub software: String,
    /// Size of the newest checkpoint of this site's ledger that it cosigned; 0 at first.
    pub cosigned_size: u64,
    /// How many entries of this site's ledger it keeps a copy of.
    pub kept_size: u64,
}

/// One line of the list of studies.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// Of the file's exact bytes.
    pub digest: Digest,
    /// Its stable name.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// `published`, `started`, `finished`, `stopped`.
    pub state: String,
    /// `approved`, `declined`, or empty.
    pub decision: String,
}

/// What an output is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputOf {
    /// The update of this round.
    Round(u32),
    /// The histogram of this grouping.
    Grouping(String),
}

/// An open conversation.
#[derive(Debug, Clone)]
pub struct Link {
    federation: FederationClient<Channel>,
}

impl Link {
    /// Over a channel that is open already.
    #[must_use]
    pub fn over(channel: Channel) -> Self {
        Self { federation: FederationClient::new(channel) }
    }

    /// Connects and says hello.
    ///
    /// # Errors
    /// The coordinator cannot be reached or refuses this site; a refused certificate is named.
    pub async fn open(dialer: &Dialer) -> Result<(Self, Hello), CallError> {
        let mut link = Self::over(dialer.channel().await?);
        match link.hello().await {
            // A refused certificate shows only as a broken first call: ask for the alert itself.
            Err(error @ CallError::Broken { .. }) => {
                dialer.probe().await?;
                Err(error)
            }
            hello => Ok((link, hello?)),
        }
    }

    /// Says that the agent is there.
    ///
    /// # Errors
    /// The call failed.
    pub async fn hello(&mut self) -> Result<Hello, CallError> {
        const CALL: &str = "Hello";
        let request = within(CALL_TIMEOUT, wire::HelloRequest { software: SOFTWARE.into() });
        let hello = self.federation.hello(request).await.map_err(failed(CALL))?.into_inner();
        Ok(Hello {
            key: PublicKey::from_bytes(bytes_32(CALL, "a key", &hello.coordinator_key)?),
            time: Time::from_unix_ms(hello.time_unix_ms).map_err(|e| nonsense(CALL, e.to_string()))?,
            software: printable(&hello.software),
            cosigned_size: hello.cosigned_size,
            kept_size: hello.kept_size,
        })
    }

    /// Every published study with this site on its roster.
    ///
    /// # Errors
    /// The call failed.
    pub async fn list_studies(&mut self) -> Result<Vec<Listed>, CallError> {
        const CALL: &str = "ListStudies";
        let request = within(CALL_TIMEOUT, wire::ListStudiesRequest {});
        let list = self.federation.list_studies(request).await.map_err(failed(CALL))?.into_inner();
        if list.studies.len() > STUDIES_MAX {
            return Err(nonsense(CALL, format!("expected at most {STUDIES_MAX} studies")));
        }
        let listed = |study: wire::StudySummary| {
            Ok(Listed {
                digest: digest(CALL, &study.digest)?,
                id: printable(&study.id),
                title: printable(&study.title),
                state: printable(&study.state),
                decision: printable(&study.decision),
            })
        };
        list.studies.into_iter().map(listed).collect()
    }

    /// A study file's exact bytes; the caller checks the digest.
    ///
    /// # Errors
    /// The call failed.
    pub async fn fetch_study(&mut self, study: &Digest) -> Result<Bytes, CallError> {
        const CALL: &str = "FetchStudy";
        let request = within(CALL_TIMEOUT, wire::FetchStudyRequest { digest: wire_digest(study) });
        Ok(self.federation.fetch_study(request).await.map_err(failed(CALL))?.into_inner().file)
    }

    /// Hands over this site's decision.
    ///
    /// # Errors
    /// The call failed.
    pub async fn submit_approval(&mut self, approval: &Signed<Approval>) -> Result<(), CallError> {
        const CALL: &str = "SubmitApproval";
        let approval = serde_json::to_vec(approval).expect("an approval is plain data").into();
        let request = within(CALL_TIMEOUT, wire::SubmitApprovalRequest { approval });
        self.federation.submit_approval(request).await.map_err(failed(CALL))?;
        Ok(())
    }

    /// The signed start, unverified, with its exact bytes.
    ///
    /// # Errors
    /// The call failed, or what came is no signed start.
    pub async fn fetch_start(&mut self, study: &Digest) -> Result<(Signed<Start>, Bytes), CallError> {
        const CALL: &str = "FetchStart";
        let request = within(CALL_TIMEOUT, wire::FetchStartRequest { study: wire_digest(study) });
        let bytes = self.federation.fetch_start(request).await.map_err(failed(CALL))?.into_inner().start;
        let start = serde_json::from_slice(&bytes).map_err(|e| nonsense(CALL, e.to_string()))?;
        Ok((start, bytes))
    }

    /// Waits up to [`TASK_WAIT`] for something to do.
    ///
    /// # Errors
    /// The call failed.
    pub async fn next_task(&mut self) -> Result<Option<Task>, CallError> {
        const CALL: &str = "NextTask";
        let request = within(CALL_TIMEOUT + TASK_WAIT, wire::NextTaskRequest { wait_ms: wait_ms(TASK_WAIT) });
        let task = self.federation.next_task(request).await.map_err(failed(CALL))?.into_inner().task;
        Ok(match task {
            None => None,
            Some(next_task_response::Task::Train(task)) => Some(Task::Train {
                study: digest(CALL, &task.study)?,
                round: task.round,
                model: digest(CALL, &task.model)?,
            }),
            Some(next_task_response::Task::Evaluate(task)) => {
                Some(Task::Evaluate { study: digest(CALL, &task.study)?, model: digest(CALL, &task.model)? })
            }
            Some(next_task_response::Task::Sum(task)) => {
                Some(Task::Sum { study: digest(CALL, &task.study)? })
            }
            Some(next_task_response::Task::Close(task)) => {
                Some(Task::Close { study: digest(CALL, &task.study)? })
            }
        })
    }

    /// A model's exact bytes, checked against its digest.
    ///
    /// # Errors
    /// The call failed, more than `limit` bytes, or other bytes.
    pub async fn fetch_model(
        &mut self,
        study: &Digest,
        model: &Digest,
        limit: usize,
    ) -> Result<Vec<u8>, CallError> {
        const CALL: &str = "FetchModel";
        let request = wire::FetchModelRequest { study: wire_digest(study), model: wire_digest(model) };
        let request = within(TRANSFER_TIMEOUT, request);
        let mut chunks = self.federation.fetch_model(request).await.map_err(failed(CALL))?.into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await.map_err(failed(CALL))? {
            if bytes.len() + chunk.bytes.len() > limit {
                return Err(nonsense(CALL, format!("expected at most {limit} bytes")));
            }
            bytes.extend_from_slice(&chunk.bytes);
        }
        let found = Digest::of(&bytes);
        if found == *model {
            Ok(bytes)
        } else {
            Err(nonsense(CALL, format!("expected model {model}, came {found}")))
        }
    }

    /// Sends an output; sending the same bytes again gives the same receipt. The receipt is
    /// unverified.
    ///
    /// # Errors
    /// The call failed, or what came is no signed receipt.
    pub async fn submit_output(
        &mut self,
        study: &Digest,
        of: &OutputOf,
        bytes: Vec<u8>,
    ) -> Result<Signed<Receipt>, CallError> {
        const CALL: &str = "SubmitOutput";
        let output = match of {
            OutputOf::Round(round) => output_header::Output::Round(*round),
            OutputOf::Grouping(name) => output_header::Output::Grouping(name.clone()),
        };
        let header = wire::OutputHeader {
            study: wire_digest(study),
            output: Some(output),
            digest: wire_digest(&Digest::of(&bytes)),
            length: bytes.len() as u64,
        };
        let header = wire::OutputPart { part: Some(output_part::Part::Header(header)) };
        let parts = pieces(bytes.into())
            .map(|piece| wire::OutputPart { part: Some(output_part::Part::Bytes(piece)) });
        let request = within(TRANSFER_TIMEOUT, tokio_stream::iter(std::iter::once(header).chain(parts)));
        let receipt =
            self.federation.submit_output(request).await.map_err(failed(CALL))?.into_inner().receipt;
        serde_json::from_slice(&receipt).map_err(|e| nonsense(CALL, e.to_string()))
    }

    /// Says that this site does not take part in a task, by the rule's name alone.
    ///
    /// # Errors
    /// The call failed.
    pub async fn decline_task(&mut self, study: &Digest, rule: &str) -> Result<(), CallError> {
        let request = wire::DeclineTaskRequest { study: wire_digest(study), rule: rule.to_owned() };
        let request = within(CALL_TIMEOUT, request);
        self.federation.decline_task(request).await.map_err(failed("DeclineTask"))?;
        Ok(())
    }
}

/// What a failed call means.
pub fn failed(call: &'static str) -> impl FnOnce(Status) -> CallError {
    move |status| {
        let (code, message) = (status.code(), printable(status.message()));
        if let Some(source) = std::error::Error::source(&status) {
            return CallError::Broken { call, reason: chain(source) };
        }
        match code {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                CallError::Broken { call, reason: message }
            }
            Code::Internal | Code::DataLoss | Code::Unknown | Code::Unimplemented | Code::Ok => {
                CallError::PeerFault { call, code, message }
            }
            _ => CallError::Refused { call, code, message },
        }
    }
}

/// For what the coordinator should never have said.
pub fn nonsense(call: &'static str, what: String) -> CallError {
    CallError::Nonsense { call, what }
}

fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

fn pieces(mut bytes: Bytes) -> impl Iterator<Item = Bytes> + Send {
    std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(CHUNK_BYTES))))
}

fn wait_ms(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)
}

fn bytes_32(call: &'static str, what: &str, bytes: &[u8]) -> Result<[u8; 32], CallError> {
    bytes.try_into().map_err(|_| nonsense(call, format!("expected {what} of 32 bytes, came {}", bytes.len())))
}

fn digest(call: &'static str, bytes: &[u8]) -> Result<Digest, CallError> {
    bytes_32(call, "a digest", bytes).map(Digest::from_bytes)
}

fn wire_digest(digest: &Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}

/// A peer's text without control characters, which could rewrite a terminal; at most 500 characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_and_bounded() {
        fn check(length: usize, expected: &[usize]) {
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let pieces: Vec<Bytes> = pieces(bytes.clone().into()).collect();
            assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), expected);
            assert_eq!(pieces.concat(), bytes);
        }
        check(0, &[]);
        check(1, &[1]);
        check(CHUNK_BYTES, &[CHUNK_BYTES]);
        check(2 * CHUNK_BYTES + 1, &[CHUNK_BYTES, CHUNK_BYTES, 1]);
    }

    #[test]
    fn failures_say_whose_fault() {
        fn check(status: Status, expected: &str) {
            let found = failed("Hello")(status);
            let kind = match found {
                CallError::Unreachable(_) | CallError::Broken { .. } => "unreachable",
                CallError::Refused { .. } => "refused",
                CallError::PeerFault { .. } => "fault",
                CallError::Nonsense { .. } => "nonsense",
            };
            assert_eq!(kind, expected);
        }
        check(Status::unavailable("gone"), "unreachable");
        check(Status::deadline_exceeded("slow"), "unreachable");
        check(Status::permission_denied("revoked"), "refused");
        check(Status::failed_precondition("rolled back"), "refused");
        check(Status::internal("bug"), "fault");
        check(Status::from_error(Box::new(std::io::Error::other("reset"))), "unreachable");
    }

    #[test]
    fn a_peers_text_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a[2Jb");
    }
}
