//! What site agents call. A site acts as itself only: its name comes from its certificate, never
//! from a message.

use super::{CHUNK_BYTES, admitted, blocking, caller, digest, ledger, output, own_fault, secure, status};
use crate::clock::now;
use crate::hub::{Hub, HubError};
use crate::study::{Phase, StudyState};
use consilium_common::id::{Digest, SiteName};
use consilium_common::protocol::{Approval, Decision, Receipt, Task};
use consilium_common::signed::Signed;
use consilium_proto::v1::federation_server::Federation;
use consilium_proto::v1::{self as wire, next_task_response, output_part};
use std::io::Read;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

/// The longest wait for a task, ms.
pub(super) const WAIT_MS_MAX: u32 = 30_000;
/// The largest signed approval, bytes.
const APPROVAL_BYTES_MAX: usize = 64 * 1024;
/// The service.
pub struct FederationApi {
    /// Where everything is decided.
    pub hub: Arc<Hub>,
    /// Ledgers that came in, by study and site.
    pub ledgers: PathBuf,
}

#[tonic::async_trait]
impl Federation for FederationApi {
    async fn hello(
        &self,
        request: Request<wire::HelloRequest>,
    ) -> Result<Response<wire::HelloResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let software: String = request.into_inner().software.chars().take(80).collect();
        if software.contains("+mutants") {
            tracing::warn!(%site, software, "refused: a build with broken variants of the mechanism");
            return Err(Status::failed_precondition(
                "agent.software: this build holds broken variants of the mechanism, for tests; install a released one",
            ));
        }
        tracing::info!(%site, software, "agent connected");
        let (cosigned_size, kept_size) = blocking(|| {
            let cosigned = self.hub.witnessed(&site)?.map_or(0, |known| known.size);
            Ok((cosigned, self.hub.kept_size(&site)?))
        })
        .map_err(status)?;
        Ok(Response::new(wire::HelloResponse {
            coordinator_key: self.hub.public_key().as_bytes().to_vec().into(),
            time_unix_ms: now().unix_ms(),
            software: concat!("coordinator ", env!("CARGO_PKG_VERSION")).into(),
            cosigned_size,
            kept_size,
        }))
    }

    async fn list_studies(
        &self,
        request: Request<wire::ListStudiesRequest>,
    ) -> Result<Response<wire::ListStudiesResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let studies = self.hub.with_studies(|studies| {
            let on_roster = studies.values().filter(|s| s.study.sites.iter().any(|r| r.name == site));
            on_roster.map(|state| summary(state, &site)).collect()
        });
        Ok(Response::new(wire::ListStudiesResponse { studies }))
    }

    async fn fetch_study(
        &self,
        request: Request<wire::FetchStudyRequest>,
    ) -> Result<Response<wire::FetchStudyResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let digest = digest(&request.into_inner().digest)?;
        on_roster(&self.hub.study(&digest).map_err(status)?, &site)?;
        let file = blocking(|| self.hub.blobs.get(&digest)).map_err(|e| status(e.into()))?;
        Ok(Response::new(wire::FetchStudyResponse { file: file.into() }))
    }

    async fn submit_approval(
        &self,
        request: Request<wire::SubmitApprovalRequest>,
    ) -> Result<Response<wire::SubmitApprovalResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let bytes = request.into_inner().approval;
        let approval: Signed<Approval> = Some(&bytes)
            .filter(|bytes| bytes.len() <= APPROVAL_BYTES_MAX)
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .ok_or_else(|| Status::invalid_argument("study.approval: expected JSON of a signed approval"))?;
        let claimed: Approval = serde_json::from_str(&approval.statement)
            .map_err(|_| Status::invalid_argument("study.approval: the statement is not an approval"))?;
        blocking(|| {
            self.hub.change_study(&claimed.study, |state, now| state.decide_approval(&site, approval, now))
        })
        .map_err(status)?;
        tracing::info!(%site, study = %claimed.study.short(), decision = ?claimed.decision, "site decided");
        Ok(Response::new(wire::SubmitApprovalResponse {}))
    }

    async fn fetch_start(
        &self,
        request: Request<wire::FetchStartRequest>,
    ) -> Result<Response<wire::FetchStartResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let state = self.hub.study(&digest(&request.into_inner().study)?).map_err(status)?;
        on_roster(&state, &site)?;
        let start = state.start.ok_or_else(|| Status::failed_precondition("study.phase: not started yet"))?;
        let start = serde_json::to_vec(&start).expect("a statement is plain data");
        Ok(Response::new(wire::FetchStartResponse { start: start.into() }))
    }

    async fn next_task(
        &self,
        request: Request<wire::NextTaskRequest>,
    ) -> Result<Response<wire::NextTaskResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let wait = Duration::from_millis(request.into_inner().wait_ms.min(WAIT_MS_MAX).into());
        let mut changes = self.hub.changes();
        let found = tokio::time::timeout(wait, async {
            loop {
                changes.mark_unchanged();
                if let Some(task) = self.hub.task_for(&site) {
                    return Some(task);
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        });
        let task = found.await.ok().flatten().map(task_to_wire);
        Ok(Response::new(wire::NextTaskResponse { task }))
    }

    type FetchModelStream = Pin<Box<dyn Stream<Item = Result<wire::Chunk, Status>> + Send>>;

    async fn fetch_model(
        &self,
        request: Request<wire::FetchModelRequest>,
    ) -> Result<Response<Self::FetchModelStream>, Status> {
        let site = caller(&self.hub, &request)?;
        let request = request.into_inner();
        let state = self.hub.study(&digest(&request.study)?).map_err(status)?;
        on_roster(&state, &site)?;
        let model = digest(&request.model)?;
        if !state.models.contains(&model) {
            return Err(Status::not_found("study.model: not a model of this study"));
        }
        let file: Box<dyn Read + Send> = match std::fs::File::open(self.hub.blobs.path(&model)) {
            Ok(file) => Box::new(file),
            // A small one, of a secure sum: in the store.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Box::new(std::io::Cursor::new(blocking(|| self.hub.blob(&model)).map_err(status)?))
            }
            Err(error) => return Err(own_fault(&error)),
        };
        let chunks = std::iter::from_fn({
            let mut file = file;
            move || {
                let mut bytes = Vec::with_capacity(CHUNK_BYTES);
                match Read::by_ref(&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut bytes) {
                    Ok(0) => None,
                    Ok(_) => Some(Ok(wire::Chunk { bytes: bytes.into() })),
                    Err(e) => Some(Err(own_fault(&e))),
                }
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }

    async fn submit_output(
        &self,
        request: Request<Streaming<wire::OutputPart>>,
    ) -> Result<Response<wire::SubmitOutputResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let mut parts = request.into_inner();
        let Some(output_part::Part::Header(header)) = parts.message().await?.and_then(|first| first.part)
        else {
            return Err(Status::invalid_argument("output: the first part is the header"));
        };
        let study = digest(&header.study)?;
        let output = digest(&header.digest)?;
        let state = self.hub.study(&study).map_err(status)?;
        state.require_local().map_err(|refusal| status(refusal.into()))?;
        let kind =
            header.output.ok_or_else(|| Status::invalid_argument("output: neither round nor grouping"))?;
        let length_max = output::length_max(&state, &kind);
        if header.length > length_max {
            return Err(Status::invalid_argument(format!(
                "output: {} bytes, at most {length_max} fit this study",
                header.length
            )));
        }
        let received = output::receive(&self.hub.blobs, &mut parts, header.length).await?;
        blocking(|| output::accept(&self.hub, &site, &state, &kind, output, received))?;
        let receipt = self.hub.sign(&Receipt { study, site, output, time: now() });
        let receipt = serde_json::to_vec(&receipt).expect("a statement is plain data");
        Ok(Response::new(wire::SubmitOutputResponse { receipt: receipt.into() }))
    }

    type SecureSumStream = Pin<Box<dyn Stream<Item = Result<wire::SecureDown, Status>> + Send>>;

    async fn secure_sum(
        &self,
        request: Request<Streaming<wire::SecureUp>>,
    ) -> Result<Response<Self::SecureSumStream>, Status> {
        let (site, certificate) = admitted(&self.hub, &request)?;
        let parts = secure::join(&self.hub, site, certificate, request.into_inner()).await?;
        Ok(Response::new(Box::pin(parts)))
    }

    async fn decline_task(
        &self,
        request: Request<wire::DeclineTaskRequest>,
    ) -> Result<Response<wire::DeclineTaskResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let request = request.into_inner();
        let study = digest(&request.study)?;
        tracing::warn!(%site, study = %study.short(), rule = ?request.rule, "site declined a task");
        blocking(|| {
            self.hub.change_study(&study, |state, now| state.decide_decline(&site, &request.rule, now))
        })
        .map_err(status)?;
        Ok(Response::new(wire::DeclineTaskResponse {}))
    }

    async fn cosign(
        &self,
        request: Request<wire::CosignRequest>,
    ) -> Result<Response<wire::CosignResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        let request = request.into_inner();
        let proof =
            request.consistency_proof.iter().map(|hash| digest(hash)).collect::<Result<Vec<_>, _>>()?;
        let entries: Vec<Vec<u8>> = request.entries.iter().map(|entry| entry.to_vec()).collect();
        let cosign = || self.hub.cosign(&site, request.old_size, &proof, &request.checkpoint, &entries);
        let cosignature = blocking(cosign).map_err(|e| {
            if matches!(e, HubError::Witness(_)) {
                tracing::warn!(%site, "{e}");
            }
            status(e)
        })?;
        Ok(Response::new(wire::CosignResponse { cosignature }))
    }

    async fn next_witness(
        &self,
        request: Request<wire::NextWitnessRequest>,
    ) -> Result<Response<wire::NextWitnessResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        ledger::next_witness(&self.hub, &site, request.into_inner()).await.map(Response::new)
    }

    async fn submit_witness(
        &self,
        request: Request<wire::SubmitWitnessRequest>,
    ) -> Result<Response<wire::SubmitWitnessResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        ledger::submit_witness(&self.hub, &site, request.into_inner()).map(Response::new)
    }

    async fn fetch_witness(
        &self,
        request: Request<wire::FetchWitnessRequest>,
    ) -> Result<Response<wire::FetchWitnessResponse>, Status> {
        let site = caller(&self.hub, &request)?;
        Ok(Response::new(ledger::fetch_witness(&self.hub, &site, &request.into_inner()).await))
    }

    type FetchLedgerStream = Pin<Box<dyn Stream<Item = Result<wire::KeptLedgerPart, Status>> + Send>>;

    async fn fetch_ledger(
        &self,
        request: Request<wire::FetchLedgerRequest>,
    ) -> Result<Response<Self::FetchLedgerStream>, Status> {
        let site = caller(&self.hub, &request)?;
        let parts = ledger::kept(&self.hub, &site)?;
        Ok(Response::new(Box::pin(tokio_stream::iter(parts.into_iter().map(Ok)))))
    }

    async fn submit_ledger(
        &self,
        request: Request<Streaming<wire::LedgerPart>>,
    ) -> Result<Response<wire::SubmitLedgerResponse>, Status> {
        use wire::ledger_part::Part;
        let site = caller(&self.hub, &request)?;
        let mut parts = request.into_inner();
        let Some(Part::Header(header)) = parts.message().await?.and_then(|first| first.part) else {
            return Err(Status::invalid_argument("ledger: the first part is the header"));
        };
        let study = digest(&header.study)?;
        // Asked before anything is written: who may hand in a ledger, and when.
        let state = self.hub.study(&study).map_err(status)?;
        state.decide_ledger(&site, now()).map_err(|e| status(e.into()))?;
        let folder = self.ledgers.join(study.hex()).join(site.as_str());
        let incoming = ledger::receive(&folder, &mut parts).await?;
        blocking(|| {
            incoming.check(&self.hub, &site)?;
            incoming.keep(&folder)?;
            self.hub.change_study(&study, |state, now| state.decide_ledger(&site, now)).map_err(status)
        })?;
        Ok(Response::new(wire::SubmitLedgerResponse {}))
    }
}

fn on_roster(state: &StudyState, site: &SiteName) -> Result<(), Status> {
    if state.study.sites.iter().any(|listed| listed.name == *site) {
        Ok(())
    } else {
        // As for a study that is not there: who is on a roster is not everybody's business.
        Err(status(HubError::UnknownStudy(state.study.digest.to_string())))
    }
}

fn summary(state: &StudyState, site: &SiteName) -> wire::StudySummary {
    let decision = match state.decision(site) {
        Some(Decision::Approve) => "approved",
        Some(Decision::Decline { .. }) => "declined",
        None => "",
    };
    wire::StudySummary {
        digest: state.study.digest.as_bytes().to_vec().into(),
        id: state.study.id.to_string(),
        title: state.study.title.clone(),
        state: phase_name(&state.phase).into(),
        decision: decision.into(),
    }
}

/// One word for a phase.
pub(crate) fn phase_name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Published => "published",
        Phase::Training { .. } | Phase::Evaluating { .. } | Phase::Summing(_) | Phase::Closing { .. } => {
            "started"
        }
        Phase::Ended { reason } if reason.starts_with("finished") => "finished",
        Phase::Ended { .. } => "stopped",
    }
}

fn task_to_wire(task: Task) -> next_task_response::Task {
    let bytes = |d: Digest| d.as_bytes().to_vec().into();
    match task {
        Task::Train { study, round, model } => next_task_response::Task::Train(wire::TrainTask {
            study: bytes(study),
            round,
            model: bytes(model),
        }),
        Task::Evaluate { study, model } => next_task_response::Task::Evaluate(wire::EvaluateTask {
            study: bytes(study),
            model: bytes(model),
        }),
        Task::Sum { study } => next_task_response::Task::Sum(wire::SumTask { study: bytes(study) }),
        Task::Close { study } => next_task_response::Task::Close(wire::CloseTask { study: bytes(study) }),
    }
}
