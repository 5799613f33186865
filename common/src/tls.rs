//! TLS between agents and the coordinator: who may talk to whom, from PEM and DER bytes.
//!
//! Everything here holds one line: TLS 1.3 only, the post-quantum hybrid X25519MLKEM768 preferred,
//! HTTP/2 only, and no session resumption at all. A resumed session skips the check of the peer's
//! certificate, so that a revoked site could come back and a renewed certificate would go unseen.

use crate::id::{Digest, InvalidName, SiteName};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::sync::Arc;

/// The subject alternative name of a site's certificate is this followed by the site's name.
pub const SITE_URI_PREFIX: &str = "consilium://site/";

const ALPN_HTTP2: &[u8] = b"h2";
/// Leaf, intermediates and CA of one chain; more is refused unread.
const CHAIN_MAX: usize = 8;

/// Certificates or keys that TLS cannot be built from. The text never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTls {
    /// No certificate or key could be read.
    #[error("{what}: expected PEM, {reason}")]
    Pem {
        /// What was being read.
        what: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// rustls refuses the combination (a key that does not belong to the certificate, a CA that is
    /// none).
    #[error("TLS configuration: {0}")]
    Rustls(#[from] rustls::Error),
    /// No verifier can be made from these authorities.
    #[error("TLS verifier: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A certificate that names no site.
#[derive(Debug, thiserror::Error)]
pub enum InvalidIdentity {
    /// Not an X.509 certificate, or its names do not parse.
    #[error("not a readable X.509 certificate")]
    Malformed,
    /// None, or more than one, of its alternative names is a site.
    #[error("expected one alternative name {SITE_URI_PREFIX}NAME, came {0}")]
    SiteNames(usize),
    /// The alternative name holds no site's name.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

/// Certificates, first to last, from PEM text.
///
/// # Errors
/// No certificate, too many, or text that is no PEM.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
    let wrong = |reason: String| InvalidTls::Pem { what: "certificates", reason };
    let certificates = CertificateDer::pem_slice_iter(pem)
        .take(CHAIN_MAX + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    match certificates.len() {
        0 => Err(wrong("found none".into())),
        n if n > CHAIN_MAX => Err(wrong(format!("found more than {CHAIN_MAX}"))),
        _ => Ok(certificates),
    }
}

/// A private key (PKCS #8, PKCS #1 or SEC 1) from PEM text.
///
/// # Errors
/// No key, or text that is no PEM; the text itself is never repeated.
pub fn key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>, InvalidTls> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|e| {
        let reason = match e {
            rustls_pki_types::pem::Error::NoItemsFound => "found no private key",
            _ => "the text is damaged",
        };
        InvalidTls::Pem { what: "private key", reason: reason.into() }
    })
}

/// The coordinator's side. A site's certificate is checked against `authority` when it gives one;
/// a caller without a certificate passes the handshake, since enrolment starts without one: each
/// service but enrolment must refuse it.
///
/// # Errors
/// A key that does not belong to the chain, or an authority that cannot be one.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    authority: &CertificateDer<'static>,
) -> Result<ServerConfig, InvalidTls> {
    let provider = provider();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)?), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// An agent's side once it is enrolled: it believes exactly one authority, the one of its invite,
/// and shows its own certificate.
///
/// # Errors
/// A key that does not belong to the chain, or an authority that cannot be one.
pub fn client_config(
    authority: &CertificateDer<'static>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, InvalidTls> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(authority)?);
    let config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    Ok(http2_without_resumption(config))
}

/// An agent's side while it enrols: all that it knows of the coordinator is the fingerprint of its
/// authority, from the invite. The server must send that authority's certificate as the last of
/// its chain, and its own certificate must verify under that one root, name and validity included.
///
/// # Errors
/// Never in practice: the provider supports TLS 1.3.
pub fn enrollment_client_config(authority: Digest) -> Result<ClientConfig, InvalidTls> {
    let verifier = PinnedAuthority { authority, provider: provider() };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(http2_without_resumption(config))
}

/// The site that a certificate (DER) was issued to. Says nothing of whether it was verified: that
/// is the handshake's work.
///
/// # Errors
/// Not a certificate, no site among its alternative names, or more than one.
pub fn site_of(certificate: &[u8]) -> Result<SiteName, InvalidIdentity> {
    let (_, certificate) =
        x509_parser::parse_x509_certificate(certificate).map_err(|_| InvalidIdentity::Malformed)?;
    let names = certificate.subject_alternative_name().map_err(|_| InvalidIdentity::Malformed)?;
    let sites: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            x509_parser::extensions::GeneralName::URI(uri) => uri.strip_prefix(SITE_URI_PREFIX),
            _ => None,
        })
        .collect();
    match sites[..] {
        [site] => Ok(site.parse()?),
        _ => Err(InvalidIdentity::SiteNames(sites.len())),
    }
}

/// From when to when a certificate (DER) is valid, in milliseconds since 1970-01-01 UTC.
///
/// # Errors
/// Not a certificate.
pub fn validity_unix_ms(certificate: &[u8]) -> Result<(i64, i64), InvalidIdentity> {
    let (_, certificate) =
        x509_parser::parse_x509_certificate(certificate).map_err(|_| InvalidIdentity::Malformed)?;
    let validity = certificate.validity();
    let ms = |time: x509_parser::time::ASN1Time| time.timestamp().saturating_mul(1000);
    Ok((ms(validity.not_before), ms(validity.not_after)))
}

/// SHA-256 of a certificate's DER bytes.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> Digest {
    Digest::of(certificate)
}

fn http2_without_resumption(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    config
}

/// aws-lc-rs; with `prefer-post-quantum` it lists X25519MLKEM768 first.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(authority: &CertificateDer<'static>) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    Ok(roots)
}

/// Believes the one authority whose fingerprint the invite carries.
#[derive(Debug)]
struct PinnedAuthority {
    authority: Digest,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = intermediates.last().filter(|last| fingerprint(last) == self.authority);
        let Some(authority) = pinned else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(&authority.clone().into_owned())?),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|e| rustls::Error::General(e.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    };
    use rustls::{ClientConnection, ServerConnection};

    struct Authority {
        certificate: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    struct Identity {
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    }

    impl Identity {
        fn own(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
            (self.chain.clone(), self.key.clone_key())
        }
    }

    fn authority(name: &str) -> Authority {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).expect("signed").der().clone();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    fn issue(authority: &Authority, names: &[SanType], purpose: ExtendedKeyUsagePurpose) -> Identity {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.extended_key_usages = vec![purpose];
        let leaf = params.signed_by(&key, &authority.issuer).expect("signed").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
        Identity { chain: vec![leaf, authority.certificate.clone()], key }
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().expect("ASCII"))
    }

    fn coordinator(authority: &Authority, host: &str) -> Identity {
        let name = SanType::DnsName(host.try_into().expect("ASCII"));
        issue(authority, &[name], ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn site(authority: &Authority, name: &str) -> Identity {
        issue(authority, &[uri(&format!("{SITE_URI_PREFIX}{name}"))], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Both sides of a handshake in memory; the certificate that the server saw, or who refused.
    fn handshake(
        client: ClientConfig,
        server: ServerConfig,
    ) -> Result<Option<CertificateDer<'static>>, String> {
        let name = ServerName::try_from("coordinator.example").expect("name");
        let mut client = ClientConnection::new(Arc::new(client), name).expect("client");
        let mut server = ServerConnection::new(Arc::new(server)).expect("server");
        for _ in 0..8 {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).expect("memory");
            }
            let mut reader = &wire[..];
            while !reader.is_empty() {
                server.read_tls(&mut reader).expect("memory");
                server.process_new_packets().map_err(|e| format!("server: {e}"))?;
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).expect("memory");
            }
            let mut reader = &wire[..];
            while !reader.is_empty() {
                client.read_tls(&mut reader).expect("memory");
                client.process_new_packets().map_err(|e| format!("client: {e}"))?;
            }
        }
        assert!(!client.is_handshaking() && !server.is_handshaking(), "the handshake came to its end");
        assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(server.alpn_protocol(), Some(ALPN_HTTP2));
        let group = server.negotiated_key_exchange_group().expect("agreed").name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
        Ok(server.peer_certificates().map(|chain| chain[0].clone().into_owned()))
    }

    #[test]
    fn an_enrolled_site_is_known_by_its_certificate() {
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let check = |client: ClientConfig, expected: Result<Option<&str>, &str>| {
            let server = coordinator(&ours, "coordinator.example");
            let server = server_config(server.chain, server.key, &ours.certificate).expect("server");
            let seen = handshake(client, server);
            match (seen, expected) {
                (Ok(seen), Ok(expected)) => {
                    let seen = seen.map(|der| site_of(&der).expect("a site").to_string());
                    assert_eq!(seen.as_deref(), expected);
                }
                (Err(found), Err(side)) => assert!(found.starts_with(side), "{found}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        };
        let known = site(&ours, "st-elsewhere");
        check(client_config(&ours.certificate, Some(known.own())).expect("client"), Ok(Some("st-elsewhere")));
        check(client_config(&ours.certificate, None).expect("client"), Ok(None));
        let stranger = site(&theirs, "st-elsewhere");
        check(client_config(&ours.certificate, Some(stranger.own())).expect("client"), Err("server"));
        check(client_config(&theirs.certificate, Some(known.own())).expect("client"), Err("client"));
        // A server's certificate does not pass for a site's.
        let server = coordinator(&ours, "coordinator.example");
        check(client_config(&ours.certificate, Some(server.own())).expect("client"), Err("server"));
    }

    #[test]
    fn an_expired_certificate_is_refused() {
        let ours = authority("ours");
        let until = |year: i32| {
            let key = KeyPair::generate().expect("key");
            let mut params = CertificateParams::default();
            params.subject_alt_names = vec![uri(&format!("{SITE_URI_PREFIX}st-elsewhere"))];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let leaf = params.signed_by(&key, &ours.issuer).expect("signed").der().clone();
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
            client_config(&ours.certificate, Some((vec![leaf], key))).expect("client")
        };
        let check = |client: ClientConfig| {
            let server = coordinator(&ours, "coordinator.example");
            handshake(client, server_config(server.chain, server.key, &ours.certificate).expect("server"))
        };
        assert!(check(until(2900)).is_ok());
        let refused = check(until(2001)).expect_err("expired");
        assert!(refused.starts_with("server") && refused.contains("expired"), "{refused}");
    }

    #[test]
    fn enrolment_believes_the_pinned_authority_only() {
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let check = |pin: Digest, server: Identity, good: bool| {
            let server = server_config(server.chain, server.key, &ours.certificate).expect("server");
            let seen = handshake(enrollment_client_config(pin).expect("client"), server);
            assert_eq!(seen.is_ok(), good, "{seen:?}");
        };
        let (pin, other_pin) = (fingerprint(&ours.certificate), fingerprint(&theirs.certificate));
        check(pin, coordinator(&ours, "coordinator.example"), true);
        check(other_pin, coordinator(&ours, "coordinator.example"), false);
        check(pin, coordinator(&ours, "elsewhere.example"), false);
        // The pinned authority beside a certificate that it did not issue.
        let mut forged = coordinator(&theirs, "coordinator.example");
        forged.chain[1] = ours.certificate.clone();
        check(pin, forged, false);
        // The authority is missing from the chain.
        let mut short = coordinator(&ours, "coordinator.example");
        short.chain.truncate(1);
        check(pin, short, false);
    }

    #[test]
    fn certificates_name_at_most_one_site() {
        let ours = authority("ours");
        let check = |names: &[SanType], expected: Option<&str>| {
            let identity = issue(&ours, names, ExtendedKeyUsagePurpose::ClientAuth);
            let found = site_of(&identity.chain[0]).ok().map(|name| name.to_string());
            assert_eq!(found.as_deref(), expected);
        };
        check(&[uri("consilium://site/a")], Some("a"));
        check(&[], None);
        check(&[uri("consilium://site/")], None);
        check(&[uri("consilium://site/a"), uri("consilium://site/b")], None);
        check(&[uri("https://a.example")], None);
        check(&[uri("consilium://site/A")], None);
        assert!(matches!(site_of(b"not a certificate"), Err(InvalidIdentity::Malformed)));
    }

    #[test]
    fn pem_is_read_strictly() {
        assert!(certificates_from_pem(b"").is_err());
        assert!(key_from_pem(b"hello").is_err());
        let key = KeyPair::generate().expect("key");
        assert!(key_from_pem(key.serialize_pem().as_bytes()).is_ok());
        let text = key.serialize_pem();
        let damaged = text.replacen("MI", "!!", 1);
        let error = key_from_pem(damaged.as_bytes()).expect_err("damaged").to_string();
        assert!(!error.contains("!!"), "{error}");
    }
}
