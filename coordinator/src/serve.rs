//! Runs the coordinator: one TLS port for agents, a local socket for the consortium's commands,
//! and the driver that closes rounds.

use crate::api::enrollment::EnrollmentApi;
use crate::api::federation::FederationApi;
use crate::api::operator::OperatorApi;
use crate::api::{CHUNK_BYTES, MESSAGE_BYTES_MAX};
use crate::driver;
use crate::home::{Home, HomeError};
use crate::hub::{Hub, HubError};
use crate::peer::Connection;
use crate::store::{Store, StoreError};
use consilium_common::protocol::invite::Address;
use consilium_common::tls::{self, InvalidTls};
use consilium_proto::v1::enrollment_server::EnrollmentServer;
use consilium_proto::v1::federation_server::FederationServer;
use consilium_proto::v1::operator_server::OperatorServer;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;

/// A handshake that takes longer is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes and accepted connections that wait for the server.
const ACCEPT_QUEUE: usize = 64;
/// Connections are renewed, so that a replaced certificate shows.
const CONNECTION_AGE: Duration = Duration::from_secs(3600);
/// HTTP/2 windows: what one site may have on its way, and the coordinator in memory for it. Enough for
/// 300 Mbit/s at a round trip of 100 ms.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The coordinator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The replay.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Which.
        address: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// Another `serve` runs in this folder.
    #[error("another coordinator runs in {0}")]
    AlreadyRunning(String),
    /// The server failed.
    #[error("server: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `stop` resolves. `ready` gets the address that agents dial, once everything
/// listens.
///
/// # Errors
/// The folder, the certificates, the store, or the network.
pub async fn serve(
    home: Home,
    ready: impl FnOnce(&Address),
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let _lock = lock(&home)?;
    let authority_pem = home.read("identity/ca.crt")?;
    let authority_certificate = tls::certificates_from_pem(authority_pem.as_bytes())?.remove(0);
    let chain = tls::certificates_from_pem(home.read("identity/server.crt")?.as_bytes())?;
    let key = tls::key_from_pem(home.read("identity/server.key")?.as_bytes())?;
    let config = tls::server_config(chain, key, &authority_certificate)?;

    let store = Store::open(&home.folder)?;
    let hub =
        Arc::new(Hub::open(store, home.signing_key()?, home.authority()?, authority_certificate.to_vec())?);

    let listen = |error| ServeError::Listen { address: home.config.listen.clone(), error };
    let tcp = TcpListener::bind(&home.config.listen).await.map_err(listen)?;
    let port =
        home.config.public_port.map_or_else(|| tcp.local_addr().map(|a| a.port()), Ok).map_err(listen)?;
    let host = &home.config.host;
    let dialled = if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    };
    let address: Address = dialled.parse().map_err(|_| HomeError::Invalid {
        path: home.path("coordinator.toml"),
        reason: format!("host {host:?} and port {port} make no address"),
    })?;

    let socket = home.socket();
    let _ = std::fs::remove_file(&socket); // left behind by a killed coordinator; the lock is ours
    let unix = UnixListener::bind(&socket)
        .map_err(|error| ServeError::Listen { address: socket.display().to_string(), error })?;
    // Only this user's commands may call; the folder is 0700 as well.
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(|error| ServeError::Listen { address: socket.display().to_string(), error })?;

    let federation = FederationApi { hub: Arc::clone(&hub), ledgers: home.path("ledgers") };
    let agents = Server::builder()
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .max_connection_age(CONNECTION_AGE)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_service(
            EnrollmentServer::new(EnrollmentApi(Arc::clone(&hub))).max_decoding_message_size(64 * 1024),
        )
        .add_service(
            FederationServer::new(federation)
                .max_decoding_message_size(MESSAGE_BYTES_MAX.max(2 * CHUNK_BYTES)),
        )
        .serve_with_incoming(accept(tcp, TlsAcceptor::from(Arc::new(config))));
    let operator = Server::builder()
        .add_service(
            OperatorServer::new(OperatorApi { hub: Arc::clone(&hub), address: address.clone() })
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .serve_with_incoming(UnixListenerStream::new(unix));
    let driving = tokio::spawn(driver::drive(Arc::clone(&hub), home.clone()));
    ready(&address);
    let result = tokio::select! {
        result = agents => result,
        result = operator => result,
        () = stop => Ok(()),
    };
    driving.abort();
    let _ = std::fs::remove_file(&socket);
    Ok(result?)
}

/// One coordinator per folder.
fn lock(home: &Home) -> Result<std::fs::File, ServeError> {
    let path = home.path("lock");
    let io = |error| HomeError::Io { path: path.clone(), error };
    let file = std::fs::File::create(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(ServeError::AlreadyRunning(home.folder.display().to_string()))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(io(error).into()),
    }
}

/// Accepts connections; each handshake runs on its own, so that a slow one holds up nobody.
fn accept(tcp: TcpListener, acceptor: TlsAcceptor) -> ReceiverStream<std::io::Result<Connection>> {
    let (send, receive) = mpsc::channel(ACCEPT_QUEUE);
    tokio::spawn(async move {
        loop {
            let (stream, peer) = match tcp.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: wait for some to be freed.
                    tracing::warn!("accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if send.is_closed() {
                return;
            }
            let (acceptor, send) = (acceptor.clone(), send.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                    Ok(Ok(connection)) => {
                        let _ = send.send(Ok(Connection(connection))).await;
                    }
                    Ok(Err(error)) => tracing::warn!(%peer, "handshake refused: {error}"),
                    Err(_) => tracing::warn!(%peer, "handshake timed out"),
                }
            });
        }
    });
    ReceiverStream::new(receive)
}
