//! TLS to a database: rustls under `tokio-postgres`. TLS 1.3, and the server's certificate and name are always checked;
//! there is no way to ask for less here.

use super::config::Transport;
use super::error::InvalidDatabase;
use crate::files;
use consilium_common::tls::{certificates_from_pem, key_from_pem};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;

/// Largest file of authorities or of a certificate, bytes: an operating system's bundle has some hundred kilobytes.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Makes TLS connections to one server; none where TLS is not spoken.
#[derive(Clone)]
pub(super) struct Tls(Option<Arc<ClientConfig>>);

impl Tls {
    /// Reads the files that a transport names.
    pub(super) fn new(transport: &Transport) -> Result<Self, InvalidDatabase> {
        let Transport::VerifyFull { ca, identity } = transport else { return Ok(Self(None)) };
        let wrong = |path: &Path, reason: String| InvalidDatabase::Tls { path: path.to_owned(), reason };
        let roots = match ca {
            Some(path) => authorities(path)?,
            None => authorities_of_the_system()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has TLS 1.3")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates_from_pem(&files::read(certificate, PEM_BYTES_MAX)?)
                    .map_err(|error| wrong(certificate, error.to_string()))?;
                let pem = files::read_private_text(key, PEM_BYTES_MAX)?;
                let secret = key_from_pem(pem.as_bytes()).map_err(|error| wrong(key, error.to_string()))?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| wrong(key, error.to_string()))?
            }
        };
        // A resumed session skips the check of the server's certificate.
        config.resumption = Resumption::disabled();
        Ok(Self(Some(Arc::new(config))))
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, InvalidDatabase> {
    let wrong = |reason: &str| InvalidDatabase::Tls { path: path.to_owned(), reason: reason.to_owned() };
    let pem = files::read(path, PEM_BYTES_MAX)?;
    let found: Result<Vec<CertificateDer<'_>>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| wrong("expected certificates in PEM"))?;
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(found);
    match (roots.is_empty(), unusable) {
        (true, 0) => Err(wrong("expected certificates in PEM, found none")),
        (_, 0) => Ok(roots),
        _ => Err(wrong("a certificate that cannot be an authority")),
    }
}

fn authorities_of_the_system() -> Result<RootCertStore, InvalidDatabase> {
    let mut roots = RootCertStore::empty();
    // An operating system's bundle may hold some that are too old for us: those are not believed, and that is all.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let reason = "the operating system has no authorities; name the server's with ca in source.toml";
        return Err(InvalidDatabase::Tls { path: "TLS".into(), reason: reason.to_owned() });
    }
    Ok(roots)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, io::Error> {
        Ok(Handshake { config: self.0.clone(), host: host.to_owned() })
    }
}

/// One handshake to come.
pub(super) struct Handshake {
    config: Option<Arc<ClientConfig>>,
    host: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let config =
                self.config.ok_or_else(|| io::Error::other("TLS is not spoken on this connection"))?;
            let name = ServerName::try_from(self.host)
                .map_err(|_| io::Error::other("the host is no server name"))?;
            Ok(Stream(TlsConnector::from(config).connect(name, stream).await?))
        })
    }
}

/// A connection inside TLS.
pub(super) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let certificates = self.0.get_ref().1.peer_certificates();
        let bound = certificates.and_then(<[_]>::first).and_then(|certificate| end_point(certificate));
        bound.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// `tls-server-end-point` of RFC 5929, section 4.1: the certificate under the hash of its own signature, SHA-256 for those
/// that are too weak; none for signatures of which the RFC says nothing (Ed25519, RSA-PSS). SCRAM then proves the
/// password over this very connection, so that nobody in between can pass it on, whatever certificate they have.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    use sha2::{Digest as _, Sha256, Sha384, Sha512};
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA with MD5, SHA-1, SHA-256; ECDSA with SHA-1, SHA-256
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(Sha384::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
