//! A coordinator that plays a script and writes down everything it is told, for one real agent: the
//! same calls over the same mutual TLS, so that what is in [`Seen`] is all that any coordinator sees.

use consilium_common::id::{Digest, SiteName};
use consilium_common::key::SecretKey;
use consilium_common::ledger::checkpoint::{COORDINATOR, Note, witness_name};
use consilium_common::protocol::{Receipt, Task};
use consilium_common::signed::Signed;
use consilium_common::time::Time;
use consilium_common::tls;
use consilium_proto::v1::federation_server::{Federation, FederationServer};
use consilium_proto::v1::{self as wire, ledger_part, next_task_response, output_header, output_part};
use coordinator::peer::Connection;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// One thing that the agent said, in its exact content, and how long after its task was handed out.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What it said.
    pub said: Said,
    /// Since the last task was handed out.
    pub after: Duration,
}

/// What an agent can say.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It is there.
    Hello {
        /// Its build id.
        software: String,
    },
    /// It wants the signed start.
    FetchStart,
    /// It wants something to do.
    NextTask {
        /// How long it would wait.
        wait_ms: u32,
    },
    /// It wants a model.
    FetchModel(Digest),
    /// It wants a cosignature.
    Cosign {
        /// The size that the proof starts from.
        old_size: u64,
        /// Hashes in the proof.
        proof: usize,
        /// The signed note.
        checkpoint: String,
        /// The entries since the last one, exact bytes.
        entries: Vec<Vec<u8>>,
    },
    /// It wants what other sites say to its checkpoint of this size.
    FetchWitness {
        /// Entries under it.
        size: u64,
        /// How long it would wait.
        wait_ms: u32,
    },
    /// An output.
    Output {
        /// `round 3`, or a grouping's name.
        of: String,
        /// Sizes of the messages that it came in.
        pieces: Vec<usize>,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// It does not do its task.
    Decline {
        /// The rule's name.
        rule: String,
    },
    /// Its ledger's files.
    Ledger(Vec<(String, Vec<u8>)>),
}

/// What is played.
pub struct Script {
    /// The one site.
    pub site: SiteName,
    /// Signs everything.
    pub key: SecretKey,
    /// The study.
    pub study: Digest,
    /// JSON of the signed start.
    pub start: Vec<u8>,
    /// Tasks in their order.
    pub tasks: Vec<Task>,
    /// Models by digest.
    pub models: BTreeMap<Digest, Vec<u8>>,
    /// Another participant, who cosigns what the coordinator has cosigned.
    pub witness: (SiteName, SecretKey),
    /// The time that it signs with.
    pub time: Time,
}

/// The coordinator; [`Scripted::serve`] lends it to a server.
#[derive(Clone)]
pub struct Scripted(Arc<Inner>);

struct Inner {
    script: Script,
    state: Mutex<State>,
    done: watch::Sender<bool>,
    secure: watch::Sender<Option<mpsc::UnboundedSender<SecureStream>>>,
}

/// A stream of secure sums that the agent opened.
pub struct SecureStream {
    /// What it says.
    pub up: Streaming<wire::SecureUp>,
    /// What it is told. The stream ends when this is dropped.
    pub down: mpsc::Sender<Result<wire::SecureDown, Status>>,
}

struct State {
    tasks: VecDeque<Task>,
    seen: Vec<Seen>,
    handed_out: Instant,
    cosigned: Option<Note>,
}

impl Scripted {
    /// Ready to serve; the receiver turns true when the script is over.
    #[must_use]
    pub fn new(script: Script) -> (Self, watch::Receiver<bool>) {
        let (done, over) = watch::channel(false);
        let tasks = script.tasks.iter().cloned().collect();
        let state = State { tasks, seen: Vec::new(), handed_out: Instant::now(), cosigned: None };
        let secure = watch::Sender::new(None);
        (Self(Arc::new(Inner { script, state: Mutex::new(state), done, secure })), over)
    }

    /// From now on the agent's streams of secure sums come here.
    #[must_use]
    pub fn secure_streams(&self) -> mpsc::UnboundedReceiver<SecureStream> {
        let (send, receive) = mpsc::unbounded_channel();
        self.0.secure.send_replace(Some(send));
        receive
    }

    /// One more task, after those that wait.
    pub fn ask(&self, task: Task) {
        self.state().tasks.push_back(task);
    }

    /// Everything that was said so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Serves on a listener until the runtime ends.
    pub async fn serve(self, listener: TcpListener, tls: rustls::ServerConfig) {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let (send, receive) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = send.send(Ok::<_, std::io::Error>(Connection(stream))).await;
                }
            }
        });
        let service = FederationServer::new(self);
        let served =
            Server::builder().add_service(service).serve_with_incoming(ReceiverStream::new(receive)).await;
        served.expect("the loopback works");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder of the lock panics")
    }

    fn note(&self, said: Said) {
        let mut state = self.state();
        let after = state.handed_out.elapsed();
        state.seen.push(Seen { said, after });
    }
}

/// Where a server's certificate names it.
pub const HOST: &str = "127.0.0.1";

/// The TLS side of a server, from an authority's and its own PEM.
///
/// # Panics
/// They do not belong together.
#[must_use]
pub fn server_tls(authority: &str, certificate: &str, key: &str) -> rustls::ServerConfig {
    let authority = tls::certificates_from_pem(authority.as_bytes()).expect("PEM").remove(0);
    let chain = tls::certificates_from_pem(certificate.as_bytes()).expect("PEM");
    let key = tls::key_from_pem(key.as_bytes()).expect("PEM");
    tls::server_config(chain, key, &authority).expect("they belong together")
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(bytes.try_into().expect("agents send whole digests"))
}

fn bytes_of(digest: &Digest) -> Vec<u8> {
    digest.as_bytes().to_vec()
}

#[tonic::async_trait]
impl Federation for Scripted {
    type SecureSumStream = Pin<Box<dyn Stream<Item = Result<wire::SecureDown, Status>> + Send>>;

    async fn secure_sum(
        &self,
        request: Request<Streaming<wire::SecureUp>>,
    ) -> Result<Response<Self::SecureSumStream>, Status> {
        let taken = self.0.secure.borrow().clone();
        let taken = taken.ok_or_else(|| Status::unimplemented("not in this script"))?;
        let (down, told) = mpsc::channel(4);
        let stream = SecureStream { up: request.into_inner(), down };
        taken.send(stream).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn hello(
        &self,
        request: Request<wire::HelloRequest>,
    ) -> Result<Response<wire::HelloResponse>, Status> {
        self.note(Said::Hello { software: request.into_inner().software });
        let size = self.state().cosigned.as_ref().map_or(0, |note| note.checkpoint.size);
        Ok(Response::new(wire::HelloResponse {
            coordinator_key: self.0.script.key.public().as_bytes().to_vec().into(),
            time_unix_ms: self.0.script.time.unix_ms(),
            software: "scripted".into(),
            cosigned_size: size,
            kept_size: size,
        }))
    }

    async fn list_studies(
        &self,
        _: Request<wire::ListStudiesRequest>,
    ) -> Result<Response<wire::ListStudiesResponse>, Status> {
        Err(Status::unimplemented("not in any script"))
    }

    async fn fetch_study(
        &self,
        _: Request<wire::FetchStudyRequest>,
    ) -> Result<Response<wire::FetchStudyResponse>, Status> {
        Err(Status::unimplemented("not in any script"))
    }

    async fn submit_approval(
        &self,
        _: Request<wire::SubmitApprovalRequest>,
    ) -> Result<Response<wire::SubmitApprovalResponse>, Status> {
        Err(Status::unimplemented("not in any script"))
    }

    async fn fetch_start(
        &self,
        _: Request<wire::FetchStartRequest>,
    ) -> Result<Response<wire::FetchStartResponse>, Status> {
        self.note(Said::FetchStart);
        Ok(Response::new(wire::FetchStartResponse { start: self.0.script.start.clone().into() }))
    }

    async fn next_task(
        &self,
        request: Request<wire::NextTaskRequest>,
    ) -> Result<Response<wire::NextTaskResponse>, Status> {
        self.note(Said::NextTask { wait_ms: request.into_inner().wait_ms });
        let mut state = self.state();
        state.handed_out = Instant::now();
        let task = state.tasks.pop_front();
        if task.is_none() {
            self.0.done.send_replace(true);
        }
        let task = task.map(|task| match task {
            Task::Train { study, round, model } => next_task_response::Task::Train(wire::TrainTask {
                study: bytes_of(&study).into(),
                round,
                model: bytes_of(&model).into(),
            }),
            Task::Evaluate { study, model } => next_task_response::Task::Evaluate(wire::EvaluateTask {
                study: bytes_of(&study).into(),
                model: bytes_of(&model).into(),
            }),
            Task::Sum { study } => {
                next_task_response::Task::Sum(wire::SumTask { study: bytes_of(&study).into() })
            }
            Task::Close { study } => {
                next_task_response::Task::Close(wire::CloseTask { study: bytes_of(&study).into() })
            }
        });
        Ok(Response::new(wire::NextTaskResponse { task }))
    }

    type FetchModelStream = Pin<Box<dyn Stream<Item = Result<wire::Chunk, Status>> + Send>>;

    async fn fetch_model(
        &self,
        request: Request<wire::FetchModelRequest>,
    ) -> Result<Response<Self::FetchModelStream>, Status> {
        let model = digest(&request.into_inner().model);
        self.note(Said::FetchModel(model));
        let bytes = self.0.script.models.get(&model).ok_or_else(|| Status::not_found("no such model"))?;
        let chunks: Vec<_> =
            bytes.chunks(64 * 1024).map(|part| Ok(wire::Chunk { bytes: part.to_vec().into() })).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn submit_output(
        &self,
        request: Request<Streaming<wire::OutputPart>>,
    ) -> Result<Response<wire::SubmitOutputResponse>, Status> {
        let mut parts = request.into_inner();
        let (mut of, mut pieces, mut bytes) = (String::new(), Vec::new(), Vec::new());
        while let Some(part) = parts.message().await? {
            match part.part {
                Some(output_part::Part::Header(header)) => {
                    of = match header.output {
                        Some(output_header::Output::Round(round)) => format!("round {round}"),
                        Some(output_header::Output::Grouping(name)) => name,
                        None => return Err(Status::invalid_argument("an output of nothing")),
                    }
                }
                Some(output_part::Part::Bytes(part)) => {
                    pieces.push(part.len());
                    bytes.extend_from_slice(&part);
                }
                None => return Err(Status::invalid_argument("an empty part")),
            }
        }
        let script = &self.0.script;
        let output = Digest::of(&bytes);
        self.note(Said::Output { of, pieces, bytes });
        let receipt = Receipt { study: script.study, site: script.site.clone(), output, time: script.time };
        let receipt = serde_json::to_vec(&Signed::new(&receipt, &script.key)).expect("plain data");
        Ok(Response::new(wire::SubmitOutputResponse { receipt: receipt.into() }))
    }

    async fn decline_task(
        &self,
        request: Request<wire::DeclineTaskRequest>,
    ) -> Result<Response<wire::DeclineTaskResponse>, Status> {
        self.note(Said::Decline { rule: request.into_inner().rule });
        // An agent pauses after a refusal; a script that is over does not wait for it.
        if self.state().tasks.is_empty() {
            self.0.done.send_replace(true);
        }
        Ok(Response::new(wire::DeclineTaskResponse {}))
    }

    async fn cosign(
        &self,
        request: Request<wire::CosignRequest>,
    ) -> Result<Response<wire::CosignResponse>, Status> {
        let wire::CosignRequest { old_size, consistency_proof, checkpoint, entries } = request.into_inner();
        let note = Note::parse(checkpoint.as_bytes()).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let line = note.cosign(COORDINATOR, &self.0.script.key, self.0.script.time).to_string();
        self.state().cosigned = Some(note);
        let entries = entries.iter().map(|entry| entry.to_vec()).collect();
        self.note(Said::Cosign { old_size, proof: consistency_proof.len(), checkpoint, entries });
        Ok(Response::new(wire::CosignResponse { cosignature: line }))
    }

    /// No other site's ledger moves. What an agent tells here, the sizes that it knows of others, it was told.
    async fn next_witness(
        &self,
        request: Request<wire::NextWitnessRequest>,
    ) -> Result<Response<wire::NextWitnessResponse>, Status> {
        tokio::time::sleep(Duration::from_millis(request.into_inner().wait_ms.into())).await;
        Ok(Response::new(wire::NextWitnessResponse::default()))
    }

    async fn submit_witness(
        &self,
        _: Request<wire::SubmitWitnessRequest>,
    ) -> Result<Response<wire::SubmitWitnessResponse>, Status> {
        Err(Status::failed_precondition("nothing was asked"))
    }

    async fn fetch_witness(
        &self,
        request: Request<wire::FetchWitnessRequest>,
    ) -> Result<Response<wire::FetchWitnessResponse>, Status> {
        let wire::FetchWitnessRequest { size, wait_ms } = request.into_inner();
        self.note(Said::FetchWitness { size, wait_ms });
        let (site, key) = &self.0.script.witness;
        let state = self.state();
        let note = state.cosigned.as_ref().filter(|note| note.checkpoint.size == size);
        let note = note.ok_or_else(|| Status::failed_precondition("another size was cosigned"))?;
        let line = note.cosign(&witness_name(site), key, self.0.script.time).to_string();
        let said = Some(wire::witness_statement::Said::Cosignature(line));
        let statements = vec![wire::WitnessStatement { site: site.to_string(), size, said }];
        Ok(Response::new(wire::FetchWitnessResponse { statements, alone: false }))
    }

    type FetchLedgerStream = Pin<Box<dyn Stream<Item = Result<wire::KeptLedgerPart, Status>> + Send>>;

    async fn fetch_ledger(
        &self,
        _: Request<wire::FetchLedgerRequest>,
    ) -> Result<Response<Self::FetchLedgerStream>, Status> {
        Err(Status::unimplemented("not in any script"))
    }

    async fn submit_ledger(
        &self,
        request: Request<Streaming<wire::LedgerPart>>,
    ) -> Result<Response<wire::SubmitLedgerResponse>, Status> {
        let mut parts = request.into_inner();
        let mut files = Vec::new();
        while let Some(part) = parts.message().await? {
            if let Some(ledger_part::Part::File(file)) = part.part {
                files.push((file.path, file.bytes.to_vec()));
            }
        }
        self.note(Said::Ledger(files));
        Ok(Response::new(wire::SubmitLedgerResponse {}))
    }
}
