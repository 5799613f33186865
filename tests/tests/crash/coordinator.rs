//! The other side of the wire in one process: serves the real protocol over a real socket, keeps
//! what a coordinator keeps, and at every call looks at the agent's disk, since what an agent says
//! must be written down before it says it.

use consilium_common::id::{Digest, SiteName};
use consilium_common::key::SecretKey;
use consilium_common::ledger::checkpoint::{COORDINATOR, Note, witness_name};
use consilium_common::ledger::merkle::verify_consistency;
use consilium_common::ledger::rules::{self, Outcome, Slot, State};
use consilium_common::ledger::tiles;
use consilium_common::protocol::{Receipt, Start, Task};
use consilium_common::signed::Signed;
use consilium_common::time::Time;
use consilium_proto::v1 as wire;
use consilium_proto::v1::federation_server::{Federation, FederationServer};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

/// What the coordinator holds, and what was seen of the agent's disk.
#[derive(Clone)]
pub struct World {
    pub key: fn() -> SecretKey,
    pub time: Time,
    pub site: SiteName,
    pub home: PathBuf,
    pub start: Signed<Start>,
    pub models: BTreeMap<Digest, Vec<u8>>,
    pub tasks: Vec<Task>,
    pub groupings: usize,
    pub cosigned: Option<Note>,
    /// Another hospital, and the size that it has cosigned.
    pub witness: fn() -> (SiteName, SecretKey),
    pub witnessed: u64,
    pub outputs: BTreeMap<String, Vec<u8>>,
    pub closed: bool,
    /// The signed entries on the agent's disk at the last call.
    pub recorded: Vec<Vec<u8>>,
    /// Calls whose answer does not arrive, counted from 0.
    pub unanswered: Option<u64>,
    pub calls: u64,
}

impl World {
    /// The first task that is not done.
    pub fn next_task(&self) -> Option<Task> {
        let done = |task: &&Task| match task {
            Task::Train { round, .. } => self.outputs.contains_key(&format!("round {round}")),
            Task::Evaluate { .. } => {
                self.outputs.keys().filter(|name| name.starts_with("grouping")).count() == self.groupings
            }
            Task::Close { .. } => self.closed,
            Task::Sum { .. } => unreachable!("the study is in local mode"),
        };
        self.tasks.iter().find(|task| !done(task)).cloned()
    }

    /// The signed entries on the agent's disk.
    pub fn on_disk(&self) -> Vec<Vec<u8>> {
        let read = |name: &str| std::fs::read(self.home.join("ledger").join(name)).expect("a ledger");
        let note = Note::parse(&read("checkpoint")).expect("a note");
        let bytes = read("entries");
        let mut rest = bytes.as_slice();
        let next = |_| tiles::take_entry(&mut rest).expect("signed, so there").to_vec();
        (0..note.checkpoint.size).map(next).collect()
    }

    /// At every call: what was recorded stays recorded.
    fn look(&mut self) -> Result<State, Status> {
        let entries = self.on_disk();
        assert!(entries.starts_with(&self.recorded), "a recorded entry is gone while the agent speaks");
        self.recorded = entries;
        self.calls += 1;
        Ok(rules::replay(&self.recorded).expect("a legal ledger"))
    }

    fn answered<T>(&self, answer: T) -> Result<Response<T>, Status> {
        match self.unanswered {
            Some(call) if call + 1 == self.calls => Err(Status::unavailable("the line broke")),
            _ => Ok(Response::new(answer)),
        }
    }

    fn cosign(&mut self, request: &wire::CosignRequest) -> String {
        let state = self.look().expect("looked");
        let note = Note::parse(request.checkpoint.as_bytes()).expect("a note");
        note.verify(&state.origin(), &state.key()).expect("signed by the site");
        let (size, root) =
            self.cosigned.as_ref().map_or((0, Digest::of(b"")), |n| (n.checkpoint.size, n.checkpoint.root));
        assert_eq!(request.old_size, size, "the agent knows what was cosigned");
        let proof: Vec<Digest> = request.consistency_proof.iter().map(|hash| digest(hash)).collect();
        verify_consistency(size, &root, note.checkpoint.size, &note.checkpoint.root, &proof)
            .expect("nothing that was cosigned is taken back");
        let entries: Vec<Vec<u8>> = request.entries.iter().map(|entry| entry.to_vec()).collect();
        let from = usize::try_from(size).expect("small");
        assert_eq!(entries, self.recorded[from..], "the entries that are not kept here yet");
        let line = note.cosign(COORDINATOR, &(self.key)(), self.time).to_string();
        self.cosigned = Some(note);
        line
    }

    /// The agent sends nothing that was not reserved, cosigned, computed and committed before; and
    /// for one output the same bytes each time.
    fn take(&mut self, name: String, slot: impl Fn(&State) -> Slot, bytes: Vec<u8>) -> Digest {
        let state = self.look().expect("looked");
        let output = Digest::of(&bytes);
        let study = self.start.verify(&(self.key)().public()).expect("ours").study;
        let (reserve, burn) = state.slot(&study, slot(&state)).expect("a reserve for it");
        let Outcome::Committed { output: committed, entry } = burn.outcome else {
            panic!("{name}: {burn:?}")
        };
        assert_eq!(committed, output, "{name}: other bytes than the committed ones");
        let cosigned = self.cosigned.as_ref().expect("cosigned before").checkpoint.size;
        assert!(reserve < cosigned.min(self.witnessed), "{name}: its reserve is not cosigned by both");
        assert!(entry < cosigned, "{name}: its commit is not in the coordinator's copy");
        let before = self.outputs.entry(name.clone()).or_insert_with(|| bytes.clone());
        assert_eq!(*before, bytes, "{name}: two different outputs");
        output
    }
}

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(bytes.try_into().expect("32 bytes"))
}

/// The service.
#[derive(Clone)]
pub struct Double(pub Arc<Mutex<World>>);

impl Double {
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        // A failed assertion in here must fail the test, not poison it into another message.
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Serves on a port of this machine; its address.
    pub async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let service = FederationServer::new(self.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        address
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<wire::Chunk, Status>> + Send>>;

#[tonic::async_trait]
impl Federation for Double {
    type SecureSumStream = Pin<Box<dyn Stream<Item = Result<wire::SecureDown, Status>> + Send>>;

    async fn secure_sum(
        &self,
        _: Request<Streaming<wire::SecureUp>>,
    ) -> Result<Response<Self::SecureSumStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn hello(&self, _: Request<wire::HelloRequest>) -> Result<Response<wire::HelloResponse>, Status> {
        self.with(|world| {
            world.look()?;
            world.answered(wire::HelloResponse {
                coordinator_key: (world.key)().public().as_bytes().to_vec().into(),
                time_unix_ms: world.time.unix_ms(),
                software: "double".into(),
                cosigned_size: world.cosigned.as_ref().map_or(0, |note| note.checkpoint.size),
                kept_size: world.cosigned.as_ref().map_or(0, |note| note.checkpoint.size),
            })
        })
    }

    async fn list_studies(
        &self,
        _: Request<wire::ListStudiesRequest>,
    ) -> Result<Response<wire::ListStudiesResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn fetch_study(
        &self,
        _: Request<wire::FetchStudyRequest>,
    ) -> Result<Response<wire::FetchStudyResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn submit_approval(
        &self,
        _: Request<wire::SubmitApprovalRequest>,
    ) -> Result<Response<wire::SubmitApprovalResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn next_task(
        &self,
        _: Request<wire::NextTaskRequest>,
    ) -> Result<Response<wire::NextTaskResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn fetch_start(
        &self,
        _: Request<wire::FetchStartRequest>,
    ) -> Result<Response<wire::FetchStartResponse>, Status> {
        self.with(|world| {
            world.look()?;
            let start = serde_json::to_vec(&world.start).expect("plain data").into();
            world.answered(wire::FetchStartResponse { start })
        })
    }

    type FetchModelStream = Chunks;

    async fn fetch_model(
        &self,
        request: Request<wire::FetchModelRequest>,
    ) -> Result<Response<Chunks>, Status> {
        let model = digest(&request.into_inner().model);
        self.with(|world| {
            world.look()?;
            let bytes = world.models[&model].clone().into();
            let chunks: Chunks = Box::pin(tokio_stream::iter([Ok(wire::Chunk { bytes })]));
            world.answered(chunks)
        })
    }

    async fn submit_output(
        &self,
        request: Request<Streaming<wire::OutputPart>>,
    ) -> Result<Response<wire::SubmitOutputResponse>, Status> {
        use wire::output_header::Output;
        use wire::output_part::Part;
        let mut parts = request.into_inner();
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            panic!("the header comes first")
        };
        let mut bytes = Vec::new();
        while let Some(part) = parts.message().await? {
            let Some(Part::Bytes(more)) = part.part else { panic!("bytes follow") };
            bytes.extend_from_slice(&more);
        }
        let study = digest(&header.study);
        self.with(|world| {
            let output = match header.output.expect("what it is of") {
                Output::Round(round) => world.take(format!("round {round}"), |_| Slot::Round(round), bytes),
                Output::Grouping(name) => world.take(
                    format!("grouping {name}"),
                    |state| {
                        let record = state.study(&study).expect("open");
                        Slot::Grouping(record.earmark_named(&name).expect("declared"))
                    },
                    bytes,
                ),
            };
            let receipt = Receipt { study, site: world.site.clone(), output, time: world.time };
            let receipt = serde_json::to_vec(&Signed::new(&receipt, &(world.key)())).expect("plain data");
            world.answered(wire::SubmitOutputResponse { receipt: receipt.into() })
        })
    }

    async fn decline_task(
        &self,
        request: Request<wire::DeclineTaskRequest>,
    ) -> Result<Response<wire::DeclineTaskResponse>, Status> {
        panic!("nothing is declined here: {:?}", request.into_inner().rule)
    }

    async fn cosign(
        &self,
        request: Request<wire::CosignRequest>,
    ) -> Result<Response<wire::CosignResponse>, Status> {
        self.with(|world| {
            let cosignature = world.cosign(&request.into_inner());
            world.answered(wire::CosignResponse { cosignature })
        })
    }

    /// Another hospital cosigns what the coordinator has cosigned last.
    async fn fetch_witness(
        &self,
        request: Request<wire::FetchWitnessRequest>,
    ) -> Result<Response<wire::FetchWitnessResponse>, Status> {
        use wire::witness_statement::Said;
        let size = request.into_inner().size;
        self.with(|world| {
            world.look()?;
            let note = world.cosigned.as_ref().expect("cosigned before");
            assert_eq!(note.checkpoint.size, size);
            let (site, key) = (world.witness)();
            let line = note.cosign(&witness_name(&site), &key, world.time).to_string();
            world.witnessed = size;
            let said = Some(Said::Cosignature(line));
            let statements = vec![wire::WitnessStatement { site: site.to_string(), size, said }];
            world.answered(wire::FetchWitnessResponse { statements, alone: false })
        })
    }

    async fn next_witness(
        &self,
        _: Request<wire::NextWitnessRequest>,
    ) -> Result<Response<wire::NextWitnessResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn submit_witness(
        &self,
        _: Request<wire::SubmitWitnessRequest>,
    ) -> Result<Response<wire::SubmitWitnessResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    type FetchLedgerStream = Pin<Box<dyn Stream<Item = Result<wire::KeptLedgerPart, Status>> + Send>>;

    async fn fetch_ledger(
        &self,
        _: Request<wire::FetchLedgerRequest>,
    ) -> Result<Response<Self::FetchLedgerStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn submit_ledger(
        &self,
        request: Request<Streaming<wire::LedgerPart>>,
    ) -> Result<Response<wire::SubmitLedgerResponse>, Status> {
        use wire::ledger_part::Part;
        let mut files = BTreeMap::new();
        let mut parts = request.into_inner();
        while let Some(part) = parts.message().await? {
            if let Some(Part::File(file)) = part.part {
                files.insert(file.path, file.bytes);
            }
        }
        self.with(|world| {
            world.look()?;
            let note = Note::parse(&files["checkpoint"]).expect("a note");
            assert!(note.cosignature(COORDINATOR, &(world.key)().public()).expect("verifies").is_some());
            let read = |path: &str| files.get(path).map(|bytes| bytes.as_ref().into());
            let (entries, tree) = tiles::read(note.checkpoint.size, read).expect("whole");
            assert_eq!((tree.root(), &entries), (note.checkpoint.root, &world.recorded));
            world.closed = true;
            world.answered(wire::SubmitLedgerResponse {})
        })
    }
}
