//! Ballista's scheduler, around its library, for the tests of the agent's feature `warehouse`: `warehouse-scheduler PORT
//! EXECUTORS`. It says at `/readyz` when so many executors are there. On loopback only, like everything in tests.

use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Plans are trees, and are walked by recursion; as much as Ballista's own program asks for.
const STACK_BYTES: usize = 32 * 1024 * 1024;
/// An executor that says nothing for so long is gone, seconds.
const GONE_S: u64 = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, executors] = arguments.as_slice() else { return Err("expected PORT EXECUTORS".into()) };
    let config = SchedulerConfig {
        bind_port: port.parse()?,
        external_host: Ipv4Addr::LOCALHOST.to_string(),
        min_ready_executors: executors.parse()?,
        executor_timeout_seconds: GONE_S,
        expire_dead_executor_interval_seconds: 1,
        no_executors_grace_period_seconds: GONE_S,
        ..SchedulerConfig::default()
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.bind_port));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()?;
    runtime.block_on(async {
        let cluster = BallistaCluster::new_from_config(&config).await?;
        start_server(cluster, address, Arc::new(config)).await
    })?;
    Ok(())
}
