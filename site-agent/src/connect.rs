//! Reaches the coordinator: one outbound TLS connection, through the hospital's HTTP proxy if there
//! is one. An error names the address and the cause, so that a firewall's administrator can act.

use crate::home::Proxy;
use consilium_common::protocol::invite::Address;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt as _;

/// For name lookup, TCP, proxy and TLS together.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection on which nothing moves is asked whether it lives, and given up after as long again.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// HTTP/2 windows: a 400 MB model passes a long fat network without stalls.
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// How long a server may take to send its first byte after the handshake.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

/// The coordinator could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot reach {address}: {cause}")]
pub struct Unreachable {
    /// Where.
    pub address: String,
    /// Why.
    pub cause: Cause,
}

/// Why the coordinator could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// DNS knows no such name, or does not answer.
    #[error("the name was not found in DNS ({0})")]
    Lookup(String),
    /// Nobody listens on the port, or a firewall says so.
    #[error("connection refused (is the coordinator running, is the port right?)")]
    Refused,
    /// Silence: often a firewall that drops packets.
    #[error("no answer within {0} s (a firewall?)")]
    Timeout(u64),
    /// Another failure of the network.
    #[error("{0}")]
    Network(String),
    /// The proxy did not open a way.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// Which, without credentials.
        proxy: String,
        /// What it said.
        reason: String,
    },
    /// The TLS handshake failed: ours against the coordinator's certificate, or its alert on ours.
    #[error("TLS: {0}")]
    Tls(String),
}

/// Knows how to open connections to one coordinator.
#[derive(Clone)]
pub struct Dialer {
    address: Address,
    proxy: Option<Arc<Matcher>>,
    tls: Arc<ClientConfig>,
}

impl Dialer {
    /// To `address`, by `proxy` or, without that, by what the environment says (`HTTPS_PROXY`,
    /// `NO_PROXY`; this machine's own addresses are always reached directly).
    #[must_use]
    pub fn new(address: Address, proxy: Option<&Proxy>, tls: ClientConfig) -> Self {
        let proxy = match proxy {
            Some(Proxy::None) => None,
            Some(Proxy::Through(uri)) => Some(Matcher::builder().all(uri.to_string()).build()),
            None if is_this_machine(address.host()) => None,
            None => Some(Matcher::from_env()),
        };
        Self { address, proxy: proxy.map(Arc::new), tls: Arc::new(tls) }
    }

    /// Where this dials.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// The proxy that would be used, without credentials.
    #[must_use]
    pub fn proxy(&self) -> Option<String> {
        let intercept = self.proxy.as_ref()?.intercept(&self.uri("https"))?;
        Some(shown(intercept.uri()))
    }

    /// A gRPC channel; fails at once when the coordinator cannot be reached.
    ///
    /// # Errors
    /// The coordinator cannot be reached.
    pub async fn channel(&self) -> Result<Channel, Unreachable> {
        // TLS is ours, inside the connector; tonic sees a plain connection.
        let endpoint = Endpoint::from(self.uri("http"))
            .origin(self.uri("https"))
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let dialer = self.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let dialer = dialer.clone();
            async move { dialer.dial().await.map(TokioIo::new) }
        });
        endpoint.connect_with_connector(connector).await.map_err(|error| self.unreachable(cause_of(&error)))
    }

    /// Opens a connection and waits for the server's first byte. In TLS 1.3 a refused client
    /// certificate shows only then: this is what names the alert.
    ///
    /// # Errors
    /// The coordinator cannot be reached, or refuses this site's certificate.
    pub async fn probe(&self) -> Result<(), Unreachable> {
        let mut stream = self.dial().await?;
        let mut byte = [0; 1];
        match tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.read_exact(&mut byte)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.unreachable(tls_cause(&error))),
            Err(_) => Err(self.unreachable(Cause::Timeout(FIRST_BYTE_TIMEOUT.as_secs()))),
        }
    }

    /// One TLS connection.
    async fn dial(&self) -> Result<TlsStream<TcpStream>, Unreachable> {
        let dial = async {
            let tcp = self.tcp().await?;
            tcp.set_nodelay(true).map_err(|error| Cause::Network(error.to_string()))?;
            let name = ServerName::try_from(self.address.host().to_owned())
                .map_err(|_| Cause::Tls("the address is no server name".into()))?;
            TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await.map_err(|e| tls_cause(&e))
        };
        let done = tokio::time::timeout(DIAL_TIMEOUT, dial).await;
        done.unwrap_or(Err(Cause::Timeout(DIAL_TIMEOUT.as_secs()))).map_err(|cause| self.unreachable(cause))
    }

    async fn tcp(&self) -> Result<TcpStream, Cause> {
        let target = self.uri("https");
        let Some(proxy) = self.proxy.as_ref().and_then(|matcher| matcher.intercept(&target)) else {
            let (host, port) = (self.address.host(), self.address.port());
            let found = tokio::net::lookup_host((host, port)).await;
            let found: Vec<_> = found.map_err(|e| Cause::Lookup(e.to_string()))?.collect();
            return TcpStream::connect(&found[..]).await.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => Cause::Refused,
                _ => Cause::Network(error.to_string()),
            });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), HttpConnector::new());
        if let Some(credentials) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let opened = tunnel.oneshot(target).await;
        opened.map(TokioIo::into_inner).map_err(|error| {
            let reason = chain(&error);
            Cause::Proxy { proxy: shown(proxy.uri()), reason }
        })
    }

    fn uri(&self, scheme: &str) -> Uri {
        let authority = self.address.to_string().replacen("https", scheme, 1);
        authority.parse().expect("an address is a URI")
    }

    fn unreachable(&self, cause: Cause) -> Unreachable {
        Unreachable { address: self.address.to_string(), cause }
    }
}

/// Everything that an error and its sources say, outermost first, said once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}

fn cause_of(error: &(dyn std::error::Error + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(Unreachable { cause, .. }) = error.downcast_ref() {
            return cause.clone();
        }
        next = error.source();
    }
    Cause::Network(chain(error))
}

fn tls_cause(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Cause::Tls(
            "the other side closed the connection (does it speak TLS 1.3? a proxy between?)".into(),
        ),
        _ => {
            let said = chain(error);
            // rustls's name of the alert that the other side sends.
            let expired = said.contains("CertificateExpired");
            Cause::Tls(if expired { format!("{said} ({EXPIRED_ADVICE})") } else { said })
        }
    }
}

/// What to do about this site's own certificate when it has ended.
pub(crate) const EXPIRED_ADVICE: &str = "this site's certificate has ended: ask the consortium for a new invite, \
    run `site-agent enroll INVITE`, and start `serve` again";

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn shown(uri: &Uri) -> String {
    let host = uri.host().unwrap_or("?");
    uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_common::id::Digest;
    use consilium_common::tls::enrollment_client_config;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    fn dialer(address: &str, proxy: Option<&Proxy>) -> Dialer {
        let tls = enrollment_client_config(Digest::of(b"authority")).expect("TLS");
        Dialer::new(address.parse().expect("address"), proxy, tls)
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("address").port();
        (listener, port)
    }

    #[tokio::test]
    async fn errors_name_address_and_cause() {
        let (listener, port) = listener().await;
        drop(listener);
        let error = dialer(&format!("https://127.0.0.1:{port}"), None).channel().await.expect_err("closed");
        assert_eq!(error.cause, Cause::Refused);
        assert!(error.to_string().contains(&format!("https://127.0.0.1:{port}")), "{error}");

        let error =
            dialer("https://nothing.invalid:443", Some(&Proxy::None)).probe().await.expect_err("no name");
        assert!(matches!(error.cause, Cause::Lookup(_)), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_tls_is_named() {
        let (listener, port) = listener().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        };
        let dialer = dialer(&format!("https://127.0.0.1:{port}"), None);
        let (found, ()) = tokio::join!(dialer.probe(), server);
        let error = found.expect_err("no TLS");
        assert!(matches!(error.cause, Cause::Tls(_)), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_is_asked_to_connect_and_its_refusal_is_named() {
        let (listener, port) = listener().await;
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut request = vec![0; 1024];
            let n = stream.read(&mut request).await.expect("read");
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.expect("written");
            String::from_utf8_lossy(&request[..n]).into_owned()
        };
        let proxy = Proxy::Through(format!("http://user:word@127.0.0.1:{port}").parse().expect("URI"));
        let dialer = dialer("https://coordinator.example:8443", Some(&proxy));
        let (found, request) = tokio::join!(dialer.probe(), server);
        assert!(request.starts_with("CONNECT coordinator.example:8443 HTTP/1.1\r\n"), "{request}");
        assert!(request.to_ascii_lowercase().contains("proxy-authorization: basic"), "{request}");
        let error = found.expect_err("forbidden");
        assert!(matches!(error.cause, Cause::Proxy { .. }), "{error}");
        assert!(!error.to_string().contains("word"), "{error}");
    }

    #[test]
    fn this_machine_is_reached_directly() {
        fn check(host: &str, expected: bool) {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
        check("localhost", true);
        check("127.0.0.1", true);
        check("::1", true);
        check("10.0.0.1", false);
        check("coordinator.example", false);
    }
}
