//! Enrolment: trades an invite for a certificate. The TLS key is made here and never leaves.

use crate::connect::{Dialer, Unreachable};
use crate::home::{Coordinator, Home, HomeError};
use crate::link::{CallError, failed, nonsense};
use consilium_common::id::SiteName;
use consilium_common::key::PublicKey;
use consilium_common::protocol::invite::{Invite, enrollment_signing_input};
use consilium_common::time::Time;
use consilium_common::tls::{self, InvalidTls, SITE_URI_PREFIX};
use consilium_proto::v1::EnrollRequest;
use consilium_proto::v1::enrollment_client::EnrollmentClient;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::time::Duration;
use zeroize::Zeroizing;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Enrolment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// For somebody else.
    #[error("the invite is for site {invited}, this agent is {own} (agent.toml)")]
    OtherSite {
        /// The invite's.
        invited: SiteName,
        /// This agent's.
        own: SiteName,
    },
    /// Too late.
    #[error("the invite expired at {0}; ask the consortium for a new one")]
    Expired(Time),
    /// The coordinator said no, cannot be reached, or answered nonsense.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The home folder cannot be read or written.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The request could not be made.
    #[error("certificate request: {0}")]
    Request(#[from] rcgen::Error),
}

impl From<Unreachable> for EnrollError {
    fn from(error: Unreachable) -> Self {
        Self::Call(error.into())
    }
}

impl From<InvalidTls> for EnrollError {
    fn from(error: InvalidTls) -> Self {
        Self::Home(error.into())
    }
}

/// A key of our own and a request for a certificate on it.
struct CertificateRequest {
    key_pem: Zeroizing<String>,
    der: Vec<u8>,
}

/// Trades `invite` for a certificate and keeps it. Enrolling again with a new invite replaces the
/// TLS identity; the ledger key stays.
///
/// # Errors
/// An invite for another site or from the past, an unreachable or refusing coordinator, an answer
/// that does not fit, or IO.
pub async fn enroll(home: &Home, invite: &Invite, now: Time) -> Result<Coordinator, EnrollError> {
    let config = home.config()?;
    if invite.site != config.site {
        return Err(EnrollError::OtherSite { invited: invite.site.clone(), own: config.site });
    }
    if now > invite.expires {
        return Err(EnrollError::Expired(invite.expires));
    }
    let ledger_key = home.ledger_key()?;
    let request = certificate_request(&config.site)?;

    let address = config.address.clone().unwrap_or_else(|| invite.address.clone());
    let pinned = tls::enrollment_client_config(invite.authority)?;
    let dialer = Dialer::new(address.clone(), config.proxy.as_ref(), pinned);
    let mut enrollment = EnrollmentClient::new(dialer.channel().await?);
    let signature = ledger_key.sign(&enrollment_signing_input(&config.site, &request.der));
    let mut message = tonic::Request::new(EnrollRequest {
        site: config.site.to_string(),
        secret: invite.secret.to_vec().into(),
        certificate_request: request.der.clone().into(),
        ledger_key: ledger_key.public().as_bytes().to_vec().into(),
        ledger_key_signature: signature.as_bytes().to_vec().into(),
    });
    message.set_timeout(TIMEOUT);
    let answer = enrollment.enroll(message).await.map_err(failed("Enroll"))?.into_inner();

    let chain: Vec<CertificateDer<'static>> =
        answer.certificate_chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let key = answer.coordinator_key.as_ref().try_into();
    let key = key.map_err(|_| nonsense("Enroll", "expected a coordinator key of 32 bytes".into()))?;
    let authority = check_chain(&chain, invite, &request.key_pem)?;
    let coordinator =
        Coordinator { schema: "coordinator/1".into(), address, key: PublicKey::from_bytes(key) };
    home.keep_identity(&request.key_pem, &chain, &authority, &coordinator)?;
    Ok(coordinator)
}

fn certificate_request(site: &SiteName) -> Result<CertificateRequest, EnrollError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, site.as_str());
    let uri = format!("{SITE_URI_PREFIX}{site}");
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    let der = params.serialize_request(&key)?.der().to_vec();
    Ok(CertificateRequest { key_pem: Zeroizing::new(key.serialize_pem()), der })
}

/// The chain must be ours: our name, our key, the invite's authority last. Gives the authority.
fn check_chain(
    chain: &[CertificateDer<'static>],
    invite: &Invite,
    key_pem: &str,
) -> Result<CertificateDer<'static>, EnrollError> {
    let wrong = |what: String| EnrollError::Call(nonsense("Enroll", what));
    let [leaf, .., authority] = chain else {
        return Err(wrong("expected this site's certificate and the authority's".into()));
    };
    let found = tls::fingerprint(authority);
    if found != invite.authority {
        return Err(wrong(format!("expected the authority {}, came {found}", invite.authority)));
    }
    let named = tls::site_of(leaf).map_err(|e| wrong(e.to_string()))?;
    if named != invite.site {
        return Err(wrong(format!("expected a certificate for {}, came {named}", invite.site)));
    }
    let key: PrivateKeyDer<'static> = tls::key_from_pem(key_pem.as_bytes())?;
    // rustls checks that the key belongs to the certificate.
    tls::client_config(authority, Some((chain.to_vec(), key))).map_err(|e| wrong(e.to_string()))?;
    Ok(authority.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::id::Digest;
    use rcgen::{BasicConstraints, CertificateSigningRequestParams, IsCa, Issuer};

    struct Authority {
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority() -> Authority {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let der = params.self_signed(&key).expect("signed").der().clone();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    fn invite(authority: &Authority, site: &str) -> Invite {
        Invite {
            address: "https://coordinator.example:8443".parse().expect("address"),
            authority: Digest::of(&authority.der),
            site: site.parse().expect("name"),
            secret: Zeroizing::new([1; 32]),
            expires: "2027-01-01T00:00:00Z".parse().expect("time"),
        }
    }

    fn issue(authority: &Authority, request: &CertificateRequest) -> CertificateDer<'static> {
        let der = request.der.clone().into();
        let params = CertificateSigningRequestParams::from_der(&der).expect("a request");
        params.signed_by(&authority.issuer).expect("signed").der().clone()
    }

    #[test]
    fn only_a_certificate_on_our_own_key_and_name_is_kept() {
        let (ours, theirs) = (authority(), authority());
        let request = certificate_request(&"a".parse().expect("name")).expect("request");
        let other_key = certificate_request(&"a".parse().expect("name")).expect("request");
        let other_name = certificate_request(&"b".parse().expect("name")).expect("request");
        let check = |chain: &[CertificateDer<'static>], expected: Result<(), &str>| {
            let found = check_chain(chain, &invite(&ours, "a"), &request.key_pem);
            match (found, expected) {
                (Ok(authority), Ok(())) => assert_eq!(authority, ours.der),
                (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        };
        check(&[issue(&ours, &request), ours.der.clone()], Ok(()));
        check(&[issue(&ours, &request)], Err("and the authority's"));
        check(&[], Err("and the authority's"));
        check(&[issue(&theirs, &request), theirs.der.clone()], Err("expected the authority"));
        check(&[issue(&ours, &other_key), ours.der.clone()], Err("TLS configuration"));
        check(&[issue(&ours, &other_name), ours.der.clone()], Err("expected a certificate for a, came b"));
    }

    #[tokio::test]
    async fn a_wrong_invite_never_reaches_the_network() {
        let dir = tempfile::tempdir().expect("folder");
        let site: SiteName = "a".parse().expect("name");
        let home = Home::create(&dir.path().join("agent"), site.clone()).expect("made").home;
        home.finish(&site).expect("finished");
        let now: Time = "2026-11-01T00:00:00Z".parse().expect("time");
        let other = enroll(&home, &invite(&authority(), "b"), now).await;
        assert!(matches!(other, Err(EnrollError::OtherSite { .. })), "{other:?}");
        let late: Time = "2027-01-01T00:00:00.001Z".parse().expect("time");
        let expired = enroll(&home, &invite(&authority(), "a"), late).await;
        assert!(matches!(expired, Err(EnrollError::Expired(_))), "{expired:?}");
        assert!(matches!(home.tls_identity(), Err(HomeError::NotEnrolled)));
    }
}
