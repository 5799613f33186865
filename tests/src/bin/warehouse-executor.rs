//! Ballista's executor, around its library, for the tests of the agent's feature `warehouse`: `warehouse-executor
//! SCHEDULER-PORT PORT GRPC-PORT FOLDER`. On loopback only, like everything in tests.

use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// How often it says that it lives, seconds.
const HEARTBEAT_S: u64 = 1;
/// Longest wait for the scheduler, seconds.
const CONNECT_S: u16 = 60;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scheduler, port, grpc_port, folder] = arguments.as_slice() else {
        return Err("expected SCHEDULER-PORT PORT GRPC-PORT FOLDER".into());
    };
    let config = ExecutorProcessConfig {
        scheduler_host: Ipv4Addr::LOCALHOST.to_string(),
        scheduler_port: scheduler.parse()?,
        scheduler_connect_timeout_seconds: CONNECT_S,
        port: port.parse()?,
        grpc_port: grpc_port.parse()?,
        external_host: Some(Ipv4Addr::LOCALHOST.to_string()),
        work_dir: Some(folder.clone()),
        vcores: 2,
        executor_heartbeat_interval_seconds: HEARTBEAT_S,
        ..ExecutorProcessConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(start_executor_process(Arc::new(config)))?;
    Ok(())
}
