//! A coordinator's desks, one for each site, in this process: everything that an agent calls, and the
//! streams of secure sums handed to whoever conducts them.

use crate::link::Link;
use crate::testing::{coordinator, key, now};
use consilium_common::ledger::checkpoint::{COORDINATOR, Note, witness_name};
use consilium_proto::v1 as wire;
use consilium_proto::v1::federation_server::{Federation, FederationServer};
use consilium_proto::v1::{secure_down, secure_up};
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// A site's place on its stream, as the coordinator holds it.
pub(super) struct Seat {
    pub(super) site: usize,
    pub(super) down: mpsc::Sender<Result<wire::SecureDown, Status>>,
    pub(super) up: Streaming<wire::SecureUp>,
}

/// What comes up a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Up {
    Message(Vec<u8>),
    Refused(String),
    Ended,
}

impl Seat {
    pub(super) async fn say(&self, part: secure_down::Part) {
        // A site that has gone shows when it is listened to.
        let _ = self.down.send(Ok(wire::SecureDown { part: Some(part) })).await;
    }

    /// The next whole message.
    pub(super) async fn hear(&mut self) -> Up {
        let mut whole = Vec::new();
        loop {
            let came = tokio::time::timeout(Duration::from_secs(60), self.up.message()).await;
            match came.expect("an answer").map(|up| up.and_then(|up| up.part)) {
                Ok(Some(secure_up::Part::Message(part))) => {
                    whole.extend_from_slice(&part.bytes);
                    if part.last {
                        return Up::Message(whole);
                    }
                }
                Ok(Some(secure_up::Part::Refused(rule))) => return Up::Refused(rule),
                Ok(Some(secure_up::Part::Join(_))) => panic!("a site joins once"),
                Ok(None) | Err(_) => return Up::Ended,
            }
        }
    }
}

/// What a site told outside of its streams.
#[derive(Default)]
pub(super) struct Told {
    pub(super) cosigned: Option<Note>,
    pub(super) cosigns: usize,
    pub(super) declined: Vec<String>,
    /// No other site says anything to its ledger.
    pub(super) unwitnessed: bool,
    /// Nobody else is connected.
    pub(super) alone: bool,
    /// How long each call for other sites' words would have waited, ms.
    pub(super) waits_ms: Vec<u32>,
}

/// One site's desk.
#[derive(Clone)]
pub(super) struct Desk {
    site: usize,
    witness: usize,
    start: Arc<Vec<u8>>,
    arrivals: mpsc::UnboundedSender<Seat>,
    pub(super) told: Arc<Mutex<Told>>,
}

impl Desk {
    pub(super) fn new(site: usize, start: &[u8], arrivals: &mpsc::UnboundedSender<Seat>) -> Self {
        let witness = usize::from(site == 0);
        let start = Arc::new(start.to_vec());
        Self { site, witness, start, arrivals: arrivals.clone(), told: Arc::default() }
    }

    /// A connection to it.
    pub(super) async fn link(&self) -> Link {
        let (near, far) = tokio::io::duplex(1 << 16);
        let incoming = tokio_stream::once(Ok::<_, std::io::Error>(far));
        let server = Server::builder().add_service(FederationServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(incoming));
        let mut near = Some(near);
        let connector = tower::service_fn(move |_| {
            let near = near.take().ok_or_else(|| std::io::Error::other("one connection"));
            async move { near.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://hall").connect_with_connector(connector).await;
        Link::over(channel.expect("in this process"))
    }
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unasked<T>() -> Result<T, Status> {
    Err(Status::unimplemented("not in these plays"))
}

#[tonic::async_trait]
impl Federation for Desk {
    type SecureSumStream = Boxed<wire::SecureDown>;

    async fn secure_sum(
        &self,
        request: Request<Streaming<wire::SecureUp>>,
    ) -> Result<Response<Self::SecureSumStream>, Status> {
        let mut up = request.into_inner();
        let first = up.message().await?.and_then(|first| first.part);
        assert!(matches!(first, Some(secure_up::Part::Join(_))), "a site says first what it joins");
        let (down, parts) = mpsc::channel(16);
        self.arrivals.send(Seat { site: self.site, down, up }).map_err(|_| Status::aborted("over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(parts))))
    }

    async fn hello(&self, _: Request<wire::HelloRequest>) -> Result<Response<wire::HelloResponse>, Status> {
        let size =
            self.told.lock().expect("held for a moment").cosigned.as_ref().map_or(0, |n| n.checkpoint.size);
        Ok(Response::new(wire::HelloResponse {
            coordinator_key: coordinator().public().as_bytes().to_vec().into(),
            time_unix_ms: now().unix_ms(),
            software: "hall".into(),
            cosigned_size: size,
            kept_size: size,
        }))
    }

    async fn fetch_start(
        &self,
        _: Request<wire::FetchStartRequest>,
    ) -> Result<Response<wire::FetchStartResponse>, Status> {
        Ok(Response::new(wire::FetchStartResponse { start: self.start.to_vec().into() }))
    }

    async fn cosign(
        &self,
        request: Request<wire::CosignRequest>,
    ) -> Result<Response<wire::CosignResponse>, Status> {
        let note = Note::parse(request.into_inner().checkpoint.as_bytes()).expect("agents send notes");
        let line = note.cosign(COORDINATOR, &coordinator(), now()).to_string();
        let mut told = self.told.lock().expect("held for a moment");
        if told.cosigned.as_ref().is_some_and(|before| before.checkpoint.size > note.checkpoint.size) {
            return Err(Status::failed_precondition("cosigned more before"));
        }
        (told.cosigned, told.cosigns) = (Some(note), told.cosigns + 1);
        Ok(Response::new(wire::CosignResponse { cosignature: line }))
    }

    async fn fetch_witness(
        &self,
        request: Request<wire::FetchWitnessRequest>,
    ) -> Result<Response<wire::FetchWitnessResponse>, Status> {
        let wire::FetchWitnessRequest { size, wait_ms } = request.into_inner();
        let mut told = self.told.lock().expect("held for a moment");
        told.waits_ms.push(wait_ms);
        if told.unwitnessed {
            let (statements, alone) = (Vec::new(), told.alone);
            return Ok(Response::new(wire::FetchWitnessResponse { statements, alone }));
        }
        let note = told.cosigned.as_ref().filter(|note| note.checkpoint.size == size);
        let note = note.ok_or_else(|| Status::failed_precondition("another size was cosigned"))?;
        let site = super::house::name(self.witness);
        let line = note.cosign(&witness_name(&site), &key(self.witness), now()).to_string();
        let said = Some(wire::witness_statement::Said::Cosignature(line));
        let statements = vec![wire::WitnessStatement { site: site.to_string(), size, said }];
        Ok(Response::new(wire::FetchWitnessResponse { statements, alone: false }))
    }

    async fn decline_task(
        &self,
        request: Request<wire::DeclineTaskRequest>,
    ) -> Result<Response<wire::DeclineTaskResponse>, Status> {
        self.told.lock().expect("held for a moment").declined.push(request.into_inner().rule);
        Ok(Response::new(wire::DeclineTaskResponse {}))
    }

    async fn submit_ledger(
        &self,
        request: Request<Streaming<wire::LedgerPart>>,
    ) -> Result<Response<wire::SubmitLedgerResponse>, Status> {
        let mut parts = request.into_inner();
        while parts.message().await?.is_some() {}
        Ok(Response::new(wire::SubmitLedgerResponse {}))
    }

    async fn next_task(
        &self,
        _: Request<wire::NextTaskRequest>,
    ) -> Result<Response<wire::NextTaskResponse>, Status> {
        unasked()
    }

    async fn list_studies(
        &self,
        _: Request<wire::ListStudiesRequest>,
    ) -> Result<Response<wire::ListStudiesResponse>, Status> {
        unasked()
    }

    async fn fetch_study(
        &self,
        _: Request<wire::FetchStudyRequest>,
    ) -> Result<Response<wire::FetchStudyResponse>, Status> {
        unasked()
    }

    async fn submit_approval(
        &self,
        _: Request<wire::SubmitApprovalRequest>,
    ) -> Result<Response<wire::SubmitApprovalResponse>, Status> {
        unasked()
    }

    type FetchModelStream = Boxed<wire::Chunk>;

    async fn fetch_model(
        &self,
        _: Request<wire::FetchModelRequest>,
    ) -> Result<Response<Self::FetchModelStream>, Status> {
        unasked()
    }

    async fn submit_output(
        &self,
        _: Request<Streaming<wire::OutputPart>>,
    ) -> Result<Response<wire::SubmitOutputResponse>, Status> {
        unasked()
    }

    async fn next_witness(
        &self,
        _: Request<wire::NextWitnessRequest>,
    ) -> Result<Response<wire::NextWitnessResponse>, Status> {
        unasked()
    }

    async fn submit_witness(
        &self,
        _: Request<wire::SubmitWitnessRequest>,
    ) -> Result<Response<wire::SubmitWitnessResponse>, Status> {
        unasked()
    }

    type FetchLedgerStream = Boxed<wire::KeptLedgerPart>;

    async fn fetch_ledger(
        &self,
        _: Request<wire::FetchLedgerRequest>,
    ) -> Result<Response<Self::FetchLedgerStream>, Status> {
        unasked()
    }
}
