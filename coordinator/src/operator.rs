//! The consortium's side of the operator service: calls over the local socket.

use crate::home::Home;
use consilium_proto::v1::operator_client::OperatorClient;
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Why a command did not do what was asked; each has its exit code (DESIGN §4).
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The answer is no: exit 1.
    #[error("{0}")]
    Refused(String),
    /// Bad usage or input: exit 2.
    #[error("{0}")]
    Input(String),
    /// Nobody answers: exit 3.
    #[error("{0}")]
    Unreachable(String),
    /// Our own fault: exit 4.
    #[error("{0}")]
    Fault(String),
}

impl CommandError {
    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Input(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Fault(_) => 4,
        }
    }

    /// An input error.
    pub fn input(what: impl std::fmt::Display) -> Self {
        Self::Input(what.to_string())
    }

    /// Our own fault.
    pub fn fault(what: impl std::fmt::Display) -> Self {
        Self::Fault(what.to_string())
    }
}

impl From<Status> for CommandError {
    fn from(status: Status) -> Self {
        let text = status.message().to_owned();
        match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::OutOfRange => Self::Input(text),
            Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::AlreadyExists
            | Code::Unauthenticated => Self::Refused(text),
            // `Unknown` is tonic's word for a connection that broke: our services never send it.
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
                Self::Unreachable(format!("the coordinator does not answer: {text}"))
            }
            _ => Self::Fault(text),
        }
    }
}

impl From<crate::home::HomeError> for CommandError {
    fn from(error: crate::home::HomeError) -> Self {
        use crate::home::HomeError as E;
        match error {
            E::NotEmpty(_) | E::Missing(_) | E::SocketPath(_) | E::Invalid { .. } => {
                Self::Input(error.to_string())
            }
            E::Ca(crate::ca::CaError::InvalidHost(_)) => Self::Input(error.to_string()),
            _ => Self::Fault(error.to_string()),
        }
    }
}

/// Dials the coordinator that runs in this folder.
///
/// # Errors
/// None runs there.
pub async fn dial(home: &Home) -> Result<OperatorClient<Channel>, CommandError> {
    let socket = home.socket();
    let channel = Endpoint::from_static("http://operator.local")
        .connect_with_connector(tower::service_fn({
            let socket = socket.clone();
            move |_: http::Uri| connect(socket.clone())
        }))
        .await
        .map_err(|_| {
            CommandError::Unreachable(format!(
                "no coordinator answers at {}: run `coordinator serve --home {}` in another terminal",
                socket.display(),
                home.folder.display()
            ))
        })?;
    Ok(OperatorClient::new(channel).max_decoding_message_size(64 * 1024 * 1024))
}

async fn connect(socket: PathBuf) -> std::io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(socket).await.map(TokioIo::new)
}
