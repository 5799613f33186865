//! Runs plans: on threads and in memory of its own, or on a cluster. The thread that reads waits for it.

use super::config::{Config, Engine as Which, Scheduler};
use super::error::InvalidWarehouse;
use super::query::parquet_options;
use crate::data::omop::cells::BATCH_ROWS;
use crate::data::omop::error::InvalidOmop;
use crate::data::omop::scratch::Scratch;
use ballista::extension::{SessionConfigExt as _, SessionContextExt as _};
use datafusion::common::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Longest wait for a scheduler to take a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// What a thread may lay down: plans are trees, and are walked by recursion.
const STACK_BYTES: usize = 16 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;

/// An engine, started.
pub(super) struct Engine {
    pub(super) context: SessionContext,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
    timeout: Duration,
    /// Where the embedded engine spills; goes with it.
    _scratch: Option<Scratch>,
}

/// Why an engine gave up. What it said is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// With the files, perhaps.
    Data,
    /// With its memory.
    Memory,
    /// It sees other ones.
    Files,
    /// It waited for too long.
    Slow,
    /// With something else.
    Other,
}

impl Engine {
    /// Starts it; of a cluster looks whether somebody listens there.
    pub(super) fn start(config: &Config) -> Result<Self, InvalidOmop> {
        let not_started = || InvalidWarehouse::NotStarted { place: config.place() };
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.partitions.min(64))
            .thread_name("warehouse")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|_| not_started())?;
        let (context, scratch) = match &config.engine {
            Which::Embedded { memory_mib, scratch } => {
                let scratch = Scratch::new(scratch.as_deref())?;
                let context = embedded(config, *memory_mib, &scratch).map_err(|_| not_started())?;
                (context, Some(scratch))
            }
            Which::Ballista(scheduler) => {
                reach(scheduler)
                    .map_err(|cause| InvalidWarehouse::Unreachable { place: scheduler.to_string(), cause })?;
                let started = runtime.block_on(cluster(config, scheduler));
                (started.map_err(|_| not_started())?, None)
            }
        };
        let timeout = Duration::from_secs(config.timeout_s);
        Ok(Self { context, runtime: Some(runtime), timeout, _scratch: scratch })
    }

    /// Waits for something of the engine. A panic within it is one more way of giving up.
    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, DataFusionError>>,
    ) -> Result<T, Trouble> {
        let runtime = self.runtime.as_ref().expect("there until it is dropped");
        let timed = async { tokio::time::timeout(self.timeout, work).await };
        match catch_unwind(AssertUnwindSafe(|| runtime.block_on(timed))) {
            Err(_) => Err(Trouble::Data),
            Ok(Err(_)) => Err(Trouble::Slow),
            Ok(Ok(done)) => done.map_err(|error| Trouble::of(&error)),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waits for nothing: the last one who held it may be a thread that must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Trouble {
    /// By the kind of an error; a cluster says it in words, which are looked at and forgotten.
    fn of(error: &DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory,
            DataFusionError::ParquetError(_) | DataFusionError::ArrowError(..) => Self::Data,
            root => {
                let words = root.to_string();
                let of_data = ["ParquetError", "Parquet error", "ArrowError", "Arrow error", "panic"];
                if of_data.iter().any(|part| words.contains(part)) { Self::Data } else { Self::Other }
            }
        }
    }
}

/// Whether somebody listens there; the network's own words if not.
pub(super) fn reach(scheduler: &Scheduler) -> Result<(), String> {
    let addresses =
        (scheduler.host.as_str(), scheduler.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut cause = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(()),
            Err(error) => cause = error.to_string(),
        }
    }
    Err(cause)
}

fn embedded(config: &Config, memory_mib: u64, scratch: &Scratch) -> Result<SessionContext, DataFusionError> {
    let bytes = usize::try_from(memory_mib.saturating_mul(MIB)).unwrap_or(usize::MAX);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![scratch.path().to_owned()]));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
        .with_disk_manager_builder(disk)
        .build_arc()?;
    Ok(SessionContext::new_with_config_rt(settings(SessionConfig::new(), config), runtime))
}

async fn cluster(config: &Config, scheduler: &Scheduler) -> Result<SessionContext, DataFusionError> {
    let session = settings(SessionConfig::new_with_ballista(), config);
    let state = SessionStateBuilder::new().with_default_features().with_config(session).build();
    let url = scheduler.to_string().replacen("ballista", "df", 1);
    SessionContext::remote_with_state(&url, state).await
}

fn settings(session: SessionConfig, config: &Config) -> SessionConfig {
    let mut session = session.with_target_partitions(config.partitions).with_batch_size(BATCH_ROWS);
    session.options_mut().execution.parquet = parquet_options();
    session
}
