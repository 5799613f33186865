//! `serve`.

use super::Clock;
use super::args::{LogFormat, ServeArgs};
use crate::doctor;
use crate::drive::{self, Agent};
use crate::failure::Failure;
use crate::home::Home;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Tasks compute one at a time; these threads serve the connection and the disk.
const WORKERS: usize = 2;

pub(super) fn serve(home: Home, args: &ServeArgs, clock: Clock) -> Result<(), Failure> {
    if cfg!(feature = "mutants") {
        return Err(Failure::refused(
            "this build holds broken variants of the mechanism, for tests: it serves nobody",
        ));
    }
    log_to_stderr(args.log_format);
    let config = home.config()?;
    let dialer = doctor::dialer(&home, &config)?;
    // The coordinator would refuse it in words of TLS only, again and again.
    doctor::certificate(&home, clock()).map_err(|why| Failure::refused(format!("certificate: {why}")))?;
    // Mistakes in the policy stop the start; later ones refuse tasks until they are mended.
    home.policy()?;
    let mut agent = Agent::open(home, &config, args.data.clone(), clock)?;
    agent.claim_table()?;
    agent.check_table()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::fault(format!("no threads: {e}")))?;
    let (stop, stopped) = watch::channel(false);
    let served = runtime.block_on(async {
        let served = drive::serve(&mut agent, &dialer, stopped);
        tokio::select! {
            served = served => served,
            () = signals(stop) => Ok(()),
        }
    });
    // A computation in hand at a second signal is left alone: its reserve stays burnt.
    runtime.shutdown_background();
    Ok(served?)
}

/// Asks to stop at the first signal, returns at the second.
async fn signals(stop: watch::Sender<bool>) {
    let mut terminate = Terminate::new();
    terminate.wait().await;
    tracing::info!("stopping after the task in hand; a second signal stops at once");
    // Nobody listens any more when serving has ended.
    let _ = stop.send(true);
    terminate.wait().await;
}

#[cfg(unix)]
struct Terminate(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Terminate {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::terminate()).inspect_err(|e| tracing::warn!("no SIGTERM: {e}")).ok())
    }

    async fn wait(&mut self) {
        let Some(terminate) = &mut self.0 else { return interrupt().await };
        tokio::select! {
            _ = terminate.recv() => {}
            () = interrupt() => {}
        }
    }
}

#[cfg(not(unix))]
struct Terminate;

#[cfg(not(unix))]
impl Terminate {
    fn new() -> Self {
        Self
    }

    async fn wait(&mut self) {
        interrupt().await;
    }
}

async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_env("CONSILIUM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}
