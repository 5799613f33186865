//! Trades a one-time invite for a certificate.

use super::{blocking, status};
use crate::clock::now;
use crate::hub::Hub;
use consilium_common::id::SiteName;
use consilium_common::key::{PublicKey, Signature};
use consilium_common::protocol::invite::enrollment_signing_input;
use consilium_common::tls;
use consilium_proto::v1::enrollment_server::Enrollment;
use consilium_proto::v1::{EnrollRequest, EnrollResponse};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The service.
pub struct EnrollmentApi(pub Arc<Hub>);

#[tonic::async_trait]
impl Enrollment for EnrollmentApi {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let request = request.into_inner();
        let site: SiteName = request.site.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let key = <[u8; 32]>::try_from(&request.ledger_key[..])
            .map(PublicKey::from_bytes)
            .map_err(|_| Status::invalid_argument("enroll.ledger_key: expected 32 bytes"))?;
        let signature = <[u8; 64]>::try_from(&request.ledger_key_signature[..])
            .map(Signature::from_bytes)
            .map_err(|_| Status::invalid_argument("enroll.ledger_key_signature: expected 64 bytes"))?;
        key.verify(&enrollment_signing_input(&site, &request.certificate_request), &signature)
            .map_err(|e| Status::permission_denied(format!("enroll.ledger_key_signature: {e}")))?;
        self.0.registry().0.check_invite(&site, &request.secret, key, now()).map_err(|e| status(e.into()))?;
        let certificate = self
            .0
            .authority
            .site(&site, &request.certificate_request, now())
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        let fingerprint = tls::fingerprint(&certificate);
        blocking(|| {
            self.0.change_registry(|registry, now| {
                registry.enroll(&site, &request.secret, fingerprint, key, now)
            })
        })
        .map_err(status)?;
        tracing::info!(%site, ledger_key = %key, certificate = %fingerprint, "site enrolled");
        let chain = vec![certificate.to_vec().into(), self.0.authority_certificate.clone().into()];
        let coordinator_key = self.0.public_key().as_bytes().to_vec().into();
        Ok(Response::new(EnrollResponse { certificate_chain: chain, coordinator_key }))
    }
}
