//! The three services, and what they share: who calls, and one table from errors to RPC status.

pub mod enrollment;
pub mod federation;
mod ledger;
pub mod operator;
mod output;
mod secure;

use crate::hub::{Hub, HubError, WitnessRefusal};
use crate::peer::Peer;
use crate::registry::RegistryRefusal;
use crate::study::StudyRefusal;
use consilium_common::id::{Digest, SiteName};
use consilium_common::tls;
use tonic::{Request, Status};

/// The largest message that is not a stream, bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A chunk of a stream that is sent, bytes: one for each site is in memory several times over.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Which site calls: the verified certificate's subject alternative name, admitted by the registry
/// at this very moment.
fn caller<T>(hub: &Hub, request: &Request<T>) -> Result<SiteName, Status> {
    Ok(admitted(hub, request)?.0)
}

/// The same, with the certificate's fingerprint.
fn admitted<T>(hub: &Hub, request: &Request<T>) -> Result<(SiteName, Digest), Status> {
    let certificate =
        request.extensions().get::<Peer>().and_then(|peer| peer.certificate.as_deref()).ok_or_else(|| {
            Status::unauthenticated("tls.certificate: this service needs a site's certificate")
        })?;
    let site =
        tls::site_of(certificate).map_err(|e| Status::unauthenticated(format!("tls.certificate: {e}")))?;
    let fingerprint = tls::fingerprint(certificate);
    hub.admit(&site, &fingerprint).map_err(status)?;
    Ok((site, fingerprint))
}

/// The one table from our errors to RPC status. Our own faults are logged here and named without
/// detail to the caller.
#[expect(clippy::needless_pass_by_value, reason = "used as map_err(status)")]
fn status(error: HubError) -> Status {
    let text = error.to_string();
    match &error {
        HubError::Registry(RegistryRefusal::Certificate(_) | RegistryRefusal::Unknown(_)) => {
            Status::unauthenticated(text)
        }
        HubError::Registry(_) | HubError::Witness(WitnessRefusal::Note(_)) => Status::permission_denied(text),
        HubError::Study(StudyRefusal::NotOnRoster(_) | StudyRefusal::NotTakingPart(_)) => {
            Status::permission_denied(text)
        }
        HubError::Study(StudyRefusal::OtherBytes(_)) => Status::already_exists(text),
        HubError::Study(_) | HubError::Witness(_) => Status::failed_precondition(text),
        HubError::UnknownStudy(_) => Status::not_found(text),
        HubError::InvalidStudy(_) | HubError::Roster(_) => Status::invalid_argument(text),
        HubError::Store(_) => {
            tracing::error!("{text}");
            Status::internal("the coordinator's own store failed; its log says more")
        }
    }
}

/// The disk failed outside the store: logged here, and named without detail to the caller.
fn own_fault(error: &std::io::Error) -> Status {
    tracing::error!("{error}");
    Status::internal("the coordinator's own disk failed; its log says more")
}

fn digest(bytes: &[u8]) -> Result<Digest, Status> {
    <[u8; 32]>::try_from(bytes)
        .map(Digest::from_bytes)
        .map_err(|_| Status::invalid_argument(format!("expected a digest of 32 bytes, came {}", bytes.len())))
}

/// Work on the store blocks (it syncs the disk): it runs where that is allowed.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
