//! Does what is due: averages complete rounds, reopens late ones, runs secure sums, ends studies, writes
//! bundles.
//! Everything that it does can be done again after a crash with the same result.

use crate::average;
use crate::bundle;
use crate::clock::now;
use crate::home::Home;
use crate::hub::{Hub, HubError};
use crate::secure;
use crate::store::StoreError;
use crate::study::{Due, Phase, StudyState};
use consilium_common::id::{Digest, SiteName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// After a fault of our own, secure sums are taken up again this much later.
const PAUSE: Duration = Duration::from_secs(5);
/// Deadlines are looked at this often.
const TICK: Duration = Duration::from_millis(250);

/// Runs for ever.
pub async fn drive(hub: Arc<Hub>, home: Home) {
    let mut changes = hub.changes();
    let mut bundled = BTreeSet::new();
    let mut sums = Sums::default();
    loop {
        changes.mark_unchanged();
        sums.start(&hub);
        let (hub_, home_, done) = (Arc::clone(&hub), home.clone(), bundled.clone());
        let worked = tokio::task::spawn_blocking(move || work(&hub_, &home_, done)).await;
        match worked {
            Ok((done, true)) => {
                bundled = done;
                continue;
            }
            Ok((done, false)) => bundled = done,
            Err(error) => tracing::error!("the driver panicked: {error}"),
        }
        let _ = tokio::time::timeout(TICK, changes.changed()).await;
    }
}

/// A driver of secure sums for each study that is in its sums. Dropped, they end.
#[derive(Default)]
struct Sums {
    running: BTreeMap<Digest, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Sums {
    fn start(&mut self, hub: &Arc<Hub>) {
        while self.tasks.try_join_next().is_some() {}
        self.running.retain(|_, task| !task.is_finished());
        let open: Vec<Digest> = hub.with_studies(|studies| {
            studies.values().filter(|s| s.summing().is_some()).map(|s| s.study.digest).collect()
        });
        for study in open {
            if self.running.contains_key(&study) {
                continue;
            }
            let hub = Arc::clone(hub);
            let task = self.tasks.spawn(async move {
                if let Err(error) = secure::drive(hub, study).await {
                    tracing::error!(study = %study.short(), "secure sums: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            });
            self.running.insert(study, task);
        }
    }
}

/// One pass over the studies; says whether anything was done.
fn work(hub: &Hub, home: &Home, mut bundled: BTreeSet<Digest>) -> (BTreeSet<Digest>, bool) {
    let mut worked = false;
    let now = now();
    let due: Vec<(Digest, Option<Due>, bool)> = hub.with_studies(|studies| {
        studies
            .values()
            .map(|s| (s.study.digest, s.due(now), matches!(s.phase, Phase::Ended { .. })))
            .collect()
    });
    for (study, due, ended) in due {
        let result = match due {
            Some(due) => {
                worked = true;
                act(hub, &study, due)
            }
            None if ended && !bundled.contains(&study) => {
                let written = hub.study(&study).and_then(|state| write_bundle(hub, home, &state));
                if written.is_ok() {
                    bundled.insert(study);
                }
                written
            }
            None => Ok(()),
        };
        if let Err(error) = result {
            worked = false;
            tracing::error!(study = %study.short(), "{error}");
        }
    }
    (bundled, worked)
}

fn write_bundle(hub: &Hub, home: &Home, state: &StudyState) -> Result<(), HubError> {
    if state.start.is_none() {
        return Ok(());
    }
    let folder = home.path("bundles").join(state.study.digest.hex());
    if !folder.exists() {
        let events = hub.events(&state.study.digest, 0)?;
        let blob = |digest: &Digest| hub.blob(digest);
        bundle::write(&folder, state, &events, &blob, &home.path("ledgers"), &hub.public_key())?;
        tracing::info!(study = %state.study.id, folder = %folder.display(), "bundle written");
    }
    Ok(())
}

fn act(hub: &Hub, study: &Digest, due: Due) -> Result<(), HubError> {
    match due {
        Due::Append(events) => hub.change_study(study, |state, now| {
            // Decided a moment ago: still due, or somebody's answer came in between.
            let still = matches!(state.due(now), Some(Due::Append(_)));
            Ok(if still { events } else { vec![] })
        }),
        Due::Aggregate { round, model, updates } => {
            let state = hub.study(study)?;
            let weighted = |(site, digest): (&SiteName, &Digest)| {
                let roster = state.study.site(site);
                let roster = roster.ok_or_else(|| corrupt(format!("site {site} is not on the roster")));
                Ok((*digest, roster?.weight))
            };
            let weighted = updates.iter().map(weighted).collect::<Result<Vec<_>, HubError>>()?;
            let digest = average::next_model(&hub.blobs, &model, &weighted)?;
            hub.change_study(study, |state, now| {
                let unchanged = matches!(
                    state.due(now),
                    Some(Due::Aggregate { round: r, updates: ref u, .. }) if r == round && *u == updates
                );
                Ok(if unchanged { state.decide_close_round(round, digest, now) } else { vec![] })
            })
        }
    }
}

fn corrupt(what: String) -> HubError {
    StoreError::Corrupt(what).into()
}
