//! The real agent in a thread of this process, with given time and chance.

use crate::hospital::{clock, given};
use site_agent::doctor;
use site_agent::drive::{self, Agent};
use site_agent::home::Home;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use tokio::sync::watch;

/// It runs.
pub(super) struct Here {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Here {
    /// Starts it in a thread of its own: the clock moves with the looks of that thread.
    pub(super) fn start(home: &Path, table: &Path, seed: [u8; 32]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (home, table) = (home.to_owned(), table.to_owned());
        let thread = thread::spawn(move || serve(&home, table, seed, stopped));
        Self { stop, thread }
    }

    /// Lets it end what it does, and waits for that.
    ///
    /// # Panics
    /// It did.
    pub(super) fn stop(self) {
        self.stop.send_replace(true);
        self.thread.join().expect("the agent of this process does not panic");
    }
}

fn serve(home: &Path, table: PathBuf, seed: [u8; 32], stop: watch::Receiver<bool>) {
    let home = Home::open(home).expect("a home");
    let config = home.config().expect("made");
    let dialer = doctor::dialer(&home, &config).expect("enrolled");
    let mut agent = Agent::open(home, &config, Some(table), clock)
        .unwrap_or_else(|error| panic!("{error}"))
        .with_entropy(given(seed));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(drive::serve(&mut agent, &dialer, stop)).unwrap_or_else(|stop| panic!("{stop}"));
}
