//! Where a site's stream waits until the study's driver takes it. A later stream of the same site takes
//! the place of the one before.

use super::{Down, Up};
use consilium_common::id::{Digest, SiteName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use tokio::sync::mpsc;

/// What may wait to be sent to a site; more than any phase asks of it.
pub const DOWN_QUEUE: usize = 16;

/// One site's stream. Dropping it ends the stream.
#[derive(Debug)]
pub struct Seat {
    /// Of the certificate that it was admitted by.
    pub certificate: Digest,
    /// To the site.
    pub down: mpsc::Sender<Down>,
    /// From the site.
    pub up: mpsc::Receiver<Up>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Lobby {
    waiting: Mutex<BTreeMap<Digest, BTreeMap<SiteName, Seat>>>,
    present: Mutex<BTreeMap<Digest, BTreeSet<SiteName>>>,
}

impl Lobby {
    /// A site's stream for a study.
    pub fn put(&self, study: Digest, site: SiteName, seat: Seat) {
        lock(&self.waiting).entry(study).or_default().insert(site, seat);
    }

    /// All streams that came since.
    #[must_use]
    pub fn take(&self, study: &Digest) -> BTreeMap<SiteName, Seat> {
        lock(&self.waiting).remove(study).unwrap_or_default()
    }

    /// Who is on a stream, for people to see.
    #[must_use]
    pub fn present(&self, study: &Digest) -> BTreeSet<SiteName> {
        lock(&self.present).get(study).cloned().unwrap_or_default()
    }

    pub(super) fn show(&self, study: &Digest, sites: BTreeSet<SiteName>) {
        let mut present = lock(&self.present);
        if sites.is_empty() {
            present.remove(study);
        } else {
            present.insert(*study, sites);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of the lock panics")
}
