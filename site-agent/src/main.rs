//! `site-agent`: see `site-agent --help`.

use consilium_common::time::Time;
use std::process::ExitCode;
use std::time::SystemTime;

fn main() -> ExitCode {
    site_agent::cli::main(system_clock)
}

/// The one real clock of the program.
fn system_clock() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Time::from_unix_ms(ms).expect("the clock is before the year 10000")
}
