//! What the consortium's own commands call, over a local socket that only its user can open.

use super::{blocking, federation::phase_name, status};
use crate::clock::now;
use crate::hub::Hub;
use crate::store::{Blobs, StoreError};
use crate::study::{Phase, StudyState, Summing};
use consilium_common::id::{Digest, SiteName};
use consilium_common::model::blob;
use consilium_common::protocol::Decision;
use consilium_common::protocol::invite::{Address, Invite};
use consilium_common::study::Study;
use consilium_common::study::secure::Summed;
use consilium_common::time::Time;
use consilium_proto::v1::list_sites_response::Site;
use consilium_proto::v1::operator_server::Operator;
use consilium_proto::v1::{self as wire};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

/// An invite is valid for at most so many hours.
const INVITE_HOURS_MAX: u32 = 24 * 31;
/// The longest wait for an event, ms.
const WAIT_MS_MAX: u32 = 30_000;

/// The service.
pub struct OperatorApi {
    /// Where everything is decided.
    pub hub: Arc<Hub>,
    /// What agents dial, for invites.
    pub address: Address,
}

#[tonic::async_trait]
impl Operator for OperatorApi {
    async fn create_invite(
        &self,
        request: Request<wire::CreateInviteRequest>,
    ) -> Result<Response<wire::CreateInviteResponse>, Status> {
        let request = request.into_inner();
        let site = site_name(&request.site)?;
        if !(1..=INVITE_HOURS_MAX).contains(&request.valid_hours) {
            return Err(Status::invalid_argument(format!("valid hours: expected 1 to {INVITE_HOURS_MAX}")));
        }
        let claimed = match request.lost_key_for.as_str() {
            "" => None,
            key => Some(key.parse().map_err(|e| Status::invalid_argument(format!("the new key: {e}")))?),
        };
        let mut secret = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut secret[..])
            .map_err(|_| Status::internal("the operating system gave no entropy"))?;
        let expires = now().plus_ms(u64::from(request.valid_hours) * 3_600_000);
        blocking(|| {
            self.hub.change_registry(|registry, now| match claimed {
                None => Ok(registry.invite(site.clone(), &secret[..], expires, now)),
                Some(key) => registry.invite_after_loss(&site, key, &secret[..], expires, now),
            })
        })
        .map_err(status)?;
        let authority = Digest::of(&self.hub.authority_certificate);
        let invite = Invite { address: self.address.clone(), authority, site, secret, expires };
        Ok(Response::new(wire::CreateInviteResponse { invite: invite.to_text().to_string() }))
    }

    async fn list_sites(
        &self,
        _: Request<wire::ListSitesRequest>,
    ) -> Result<Response<wire::ListSitesResponse>, Status> {
        let (registry, last_seen) = self.hub.registry();
        let sites = registry.sites().map(|(name, record)| Site {
            name: name.to_string(),
            state: match (&record.certificate, &record.invite) {
                (Some(_), _) => "enrolled",
                (None, Some(_)) => "invited",
                (None, None) => "revoked",
            }
            .into(),
            ledger_key: record.ledger_key.map(|key| key.to_string()).unwrap_or_default(),
            certificate_fingerprint: record.certificate.map(|digest| digest.to_string()).unwrap_or_default(),
            last_seen_unix_ms: last_seen.get(name).map_or(0, |time| time.unix_ms()),
        });
        Ok(Response::new(wire::ListSitesResponse { sites: sites.collect() }))
    }

    async fn revoke_site(
        &self,
        request: Request<wire::RevokeSiteRequest>,
    ) -> Result<Response<wire::RevokeSiteResponse>, Status> {
        let site = site_name(&request.into_inner().site)?;
        blocking(|| self.hub.change_registry(|registry, now| registry.revoke(&site, now))).map_err(status)?;
        Ok(Response::new(wire::RevokeSiteResponse {}))
    }

    async fn publish_study(
        &self,
        request: Request<wire::PublishStudyRequest>,
    ) -> Result<Response<wire::PublishStudyResponse>, Status> {
        let file = request.into_inner().file;
        let digest = blocking(|| self.hub.publish(&file)).map_err(status)?;
        Ok(Response::new(wire::PublishStudyResponse { digest: digest.as_bytes().to_vec().into() }))
    }

    async fn study_status(
        &self,
        request: Request<wire::StudyStatusRequest>,
    ) -> Result<Response<wire::StudyStatusResponse>, Status> {
        let name = request.into_inner().study;
        let states: Vec<Value> = if name.is_empty() {
            let studies: Vec<StudyState> =
                self.hub.with_studies(|studies| studies.values().cloned().collect());
            studies.iter().map(|study| self.described(study)).collect()
        } else {
            let digest = self.hub.find(&name).map_err(status)?;
            let study = self.hub.study(&digest).map_err(status)?;
            vec![self.described(&study)]
        };
        Ok(Response::new(wire::StudyStatusResponse { json: Value::Array(states).to_string() }))
    }

    async fn start_study(
        &self,
        request: Request<wire::StartStudyRequest>,
    ) -> Result<Response<wire::StartStudyResponse>, Status> {
        let name = request.into_inner().study;
        let digest = self.hub.with_studies(|studies| the_open_one(&name, studies.values()))?;
        let digest = digest.map_or_else(|| self.hub.find(&name), Ok).map_err(status)?;
        let state = self.hub.study(&digest).map_err(status)?;
        blocking(|| {
            let model = initial_model(&self.hub.blobs, &state.study)?;
            self.hub.start(&digest, model)
        })
        .map_err(status)?;
        let participants = self.hub.study(&digest).map_err(status)?.participants;
        let participants = participants.iter().map(ToString::to_string).collect();
        Ok(Response::new(wire::StartStudyResponse { participants }))
    }

    async fn stop_study(
        &self,
        request: Request<wire::StopStudyRequest>,
    ) -> Result<Response<wire::StopStudyResponse>, Status> {
        let digest = self.hub.find(&request.into_inner().study).map_err(status)?;
        blocking(|| self.hub.change_study(&digest, |state, now| state.decide_stop("by the consortium", now)))
            .map_err(status)?;
        Ok(Response::new(wire::StopStudyResponse {}))
    }

    async fn watch_study(
        &self,
        request: Request<wire::WatchStudyRequest>,
    ) -> Result<Response<wire::WatchStudyResponse>, Status> {
        let request = request.into_inner();
        let digest = self.hub.find(&request.study).map_err(status)?;
        let after = request.after;
        let mut changes = self.hub.changes();
        let wait = Duration::from_millis(request.wait_ms.min(WAIT_MS_MAX).into());
        let ended = std::sync::atomic::AtomicBool::new(false);
        let news = tokio::time::timeout(wait, async {
            loop {
                changes.mark_unchanged();
                // Asked before the events are read: then an ended study's last event is among them.
                let over = self.hub.study(&digest).is_ok_and(|s| matches!(s.phase, Phase::Ended { .. }));
                let events = blocking(|| self.hub.events(&digest, after));
                let news = events.as_ref().map_or(true, |events| !events.is_empty());
                ended.store(over && !news, Ordering::Relaxed);
                if news || over || changes.changed().await.is_err() {
                    return events;
                }
            }
        });
        let events = news.await.unwrap_or_else(|_| Ok(vec![])).map_err(status)?;
        let last = after.saturating_add(events.len() as u64);
        let events: Vec<String> =
            events.iter().map(|e| serde_json::to_string(e).expect("an event is plain data")).collect();
        let ended = ended.into_inner();
        Ok(Response::new(wire::WatchStudyResponse { events, last, ended }))
    }
}

impl OperatorApi {
    fn described(&self, study: &StudyState) -> Value {
        let streams = self.hub.lobby.present(&study.study.digest);
        describe(study, &self.hub.waiting(study), &streams, now())
    }
}

/// The one study under this id that waits for its start; `None` when none does (a digest, for example).
/// Which of several versions people meant is not ours to guess: approvals are of exact bytes.
fn the_open_one<'a>(
    id: &str,
    studies: impl Iterator<Item = &'a StudyState>,
) -> Result<Option<Digest>, Status> {
    let open: Vec<&StudyState> =
        studies.filter(|s| s.study.id.as_str() == id && matches!(s.phase, Phase::Published)).collect();
    match open[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.study.digest)),
        _ => {
            let row = |s: &&StudyState| format!("  {}  version {}", s.study.digest, s.study.version);
            let rows: Vec<String> = open.iter().map(row).collect();
            Err(Status::failed_precondition(format!(
                "study.several: {} studies with the id {id} wait for their start; give the digest of the one that \
                 the sites approved:\n{}",
                rows.len(),
                rows.join("\n")
            )))
        }
    }
}

/// The public model that a study starts from, durably.
fn initial_model(blobs: &Blobs, study: &Study) -> Result<Digest, StoreError> {
    /// Written at a time, so that the model is in memory once.
    const BLOCK: usize = 1 << 18;
    let (values, architecture) = (study.initial_parameters(), study.architecture());
    let header = blob::ModelHeader { schema: "model/1".into(), study: study.digest, round: 0, architecture };
    let mut incoming = blobs.incoming()?;
    incoming.write(&blob::encode_header(&header))?;
    let mut bytes = Vec::new();
    for block in values.chunks(BLOCK) {
        bytes.clear();
        blob::encode_values(block, &mut bytes);
        incoming.write(&bytes)?;
    }
    incoming.keep()
}

fn site_name(text: &str) -> Result<SiteName, Status> {
    text.parse().map_err(|e| Status::invalid_argument(format!("{e}")))
}

/// The open secure sum: which step and attempt, and who is on a stream.
fn summing(state: &StudyState, open: &Summing, streams: &BTreeSet<SiteName>) -> (&'static str, Value) {
    let (session, attempt, declined) = (open.session, open.attempt, &open.declined);
    match open.summed {
        Summed::Training => (
            "training",
            json!({"round": open.step, "rounds": state.study.privacy.training.rounds, "attempt": attempt,
                   "session": session, "on_stream": streams, "declined": declined}),
        ),
        Summed::Grouping(earmark) => {
            let at = usize::try_from(earmark).expect("an index") - 1;
            let grouping = &state.study.groupings()[at];
            (
                "evaluating",
                json!({"grouping": grouping, "attempt": attempt, "session": session,
                       "on_stream": streams, "declined": declined}),
            )
        }
    }
}

/// A study as `study status` shows it.
fn describe(
    state: &StudyState,
    waiting: &BTreeMap<SiteName, String>,
    streams: &BTreeSet<SiteName>,
    now: Time,
) -> Value {
    let outlook = state.outlook(streams, waiting, now);
    let sites: Vec<Value> = state
        .study
        .sites
        .iter()
        .map(|site| {
            let (decision, reason) = match state.decision(&site.name) {
                None => ("undecided", Value::Null),
                Some(Decision::Approve) => ("approved", Value::Null),
                Some(Decision::Decline { reason }) => ("declined", json!(reason)),
            };
            json!({
                "name": site.name,
                "decision": decision,
                "reason": reason,
                "takes_part": state.participants.contains(&site.name),
            })
        })
        .collect();
    let (phase, detail) = match &state.phase {
        Phase::Published => ("published", Value::Null),
        Phase::Training { round, collecting } => (
            "training",
            json!({"round": round, "rounds": state.study.privacy.training.rounds,
                   "answered": collecting.answers.keys().collect::<Vec<_>>(),
                   "declined": collecting.declined, "deadline": collecting.deadline}),
        ),
        Phase::Evaluating { collecting } => {
            ("evaluating", json!({"answered": collecting.answers.keys().collect::<Vec<_>>()}))
        }
        Phase::Summing(open) => summing(state, open, streams),
        Phase::Closing { .. } => ("closing", json!({"ledgers": state.ledgers})),
        Phase::Ended { reason } => ("ended", json!({"reason": reason})),
    };
    json!({
        "id": state.study.id,
        "version": state.study.version,
        "title": state.study.title,
        "digest": state.study.digest,
        "state": phase_name(&state.phase),
        "phase": phase,
        "detail": detail,
        "sites": sites,
        "waiting": waiting,
        "absent": state.absent,
        "missing": outlook.missing,
        "needed": outlook.needed,
        "next": outlook.next,
    })
}
