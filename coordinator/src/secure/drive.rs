//! Moves messages between sites' streams and the conductor of one study, and keeps what it asks to be
//! kept. An error, or a coordinator that is started again, loses the open attempt and nothing else.

use super::{Act, Ask, Conductor, Down, Finished, Model, Seat, Up, message_bytes_max};
use crate::hub::{Hub, HubError};
use crate::store::StoreError;
use crate::study::{ClosedSum, StudyEvent, StudyRefusal, StudyState, Summing};
use consilium_common::id::{Digest, SiteName};
use consilium_common::secagg::SiteIndex;
use consilium_common::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _, StreamMap};

/// Sums of longer messages are worked on where blocking is allowed, bytes.
const LIGHT_BYTES: usize = 256 * 1024;
/// So are those of more sites: shares and signatures go with their square.
const LIGHT_SITES: usize = 32;

/// What comes from a site, then `None` once for the end of its stream.
type Ups = Pin<Box<dyn Stream<Item = Option<Up>> + Send>>;

/// Runs the sums of a study until none is open any more.
///
/// # Errors
/// The store.
pub async fn drive(hub: Arc<Hub>, study: Digest) -> Result<(), HubError> {
    let done = drive_sums(Arc::clone(&hub), study).await;
    // Streams that came too late end, as those that were taken do: their sites ask what comes next.
    drop(hub.lobby.take(&study));
    hub.lobby.show(&study, BTreeSet::new());
    done
}

async fn drive_sums(hub: Arc<Hub>, study: Digest) -> Result<(), HubError> {
    let mut changes = hub.changes();
    changes.mark_changed();
    let Some(mut driver) = tokio::task::block_in_place(|| Driver::start(hub, study))? else {
        return Ok(());
    };
    while !driver.over {
        let deadline = driver.conductor.deadline().map(|ms| driver.started + Duration::from_millis(ms));
        let deadline = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let input = tokio::select! {
            Some((site, up)) = driver.streams.next() => Input::Came(site, up),
            _ = changes.changed() => Input::Changed,
            () = deadline => Input::Late,
        };
        let done = if driver.heavy {
            tokio::task::block_in_place(|| driver.heed(input))
        } else {
            driver.heed(input)
        };
        if let Err(error) = done {
            // Stopped from outside meanwhile: what was decided here is not wanted any more.
            driver.over = driver.open()?.is_none();
            if !driver.over {
                return Err(error);
            }
        }
    }
    Ok(())
}

enum Input {
    /// Something came from a site; `None` when its stream ended.
    Came(SiteIndex, Option<Up>),
    /// Streams, or the study.
    Changed,
    /// The deadline of the phase has passed.
    Late,
}

struct Driver {
    hub: Arc<Hub>,
    study: Digest,
    conductor: Conductor,
    streams: StreamMap<SiteIndex, Ups>,
    seats: BTreeMap<SiteIndex, Taken>,
    started: Instant,
    /// Whether sums take so long that they are worked on where blocking is allowed.
    heavy: bool,
    over: bool,
}

/// A site's stream, the way down.
struct Taken {
    name: SiteName,
    certificate: Digest,
    down: mpsc::Sender<Down>,
}

impl Driver {
    fn start(hub: Arc<Hub>, study: Digest) -> Result<Option<Self>, HubError> {
        if hub.with_study(&study, |state| state.summing().is_none())? {
            return Ok(None);
        }
        hub.change_study(&study, StudyState::decide_interrupted)?;
        let state = hub.study(&study)?;
        let (Some(open), Some(model)) = (state.summing().cloned(), state.models.last()) else {
            return Ok(None);
        };
        let corrupt = |what: String| HubError::from(StoreError::Corrupt(what));
        let model = Model::parse(hub.blob(model)?).map_err(|error| corrupt(format!("model: {error}")))?;
        let participants = state.participants;
        let many = participants.len() > LIGHT_SITES;
        let file = Arc::new(state.study);
        let bytes_max = message_bytes_max(&file, &participants);
        let conductor = Conductor::new(file, &participants, open, model, 0);
        let (conductor, bytes_max) = match (conductor, bytes_max) {
            (Ok(conductor), Ok(bytes)) => (conductor, bytes),
            (Err(refusal), _) | (_, Err(refusal)) => {
                // Parsed for its roster, and started with fewer: it says so instead of waiting for ever.
                hub.change_study(&study, |state, now| state.decide_stop(&refusal.to_string(), now))?;
                return Ok(None);
            }
        };
        Ok(Some(Self {
            hub,
            study,
            conductor,
            streams: StreamMap::new(),
            seats: BTreeMap::new(),
            started: Instant::now(),
            heavy: many || bytes_max > LIGHT_BYTES,
            over: false,
        }))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).expect("an uptime")
    }

    fn heed(&mut self, input: Input) -> Result<(), HubError> {
        match input {
            Input::Came(site, up) => self.came(site, up),
            Input::Changed => self.look_around(),
            Input::Late => {
                let acts = self.conductor.late(self.now_ms());
                self.perform(acts)
            }
        }
    }

    fn came(&mut self, site: SiteIndex, up: Option<Up>) -> Result<(), HubError> {
        let now = self.now_ms();
        let acts = match up {
            Some(Up::Message(bytes)) => self.conductor.message(site, &bytes, now),
            Some(Up::Refused(rule)) => {
                if let Some(seat) = self.seats.get(&site) {
                    tracing::warn!(site = %seat.name, study = %self.study.short(), rule, "site refused a secure sum");
                }
                self.conductor.refused(site, rule.chars().take(80).collect(), now)
            }
            None => {
                self.end(site);
                self.conductor.left(site, now)
            }
        };
        self.perform(acts)
    }

    /// Takes the streams that came since; ends when the study was stopped.
    fn look_around(&mut self) -> Result<(), HubError> {
        self.over |= self.hub.with_study(&self.study, |state| state.summing().is_none())?;
        for (name, seat) in self.hub.lobby.take(&self.study) {
            let joins = self.hub.with_study(&self.study, |state| state.check_joins(&name))?;
            let (Ok(()), Some(site)) = (joins, self.conductor.index(&name)) else { continue };
            let Seat { certificate, down, up } = seat;
            let end = tokio_stream::once(None);
            self.streams.insert(site, Box::pin(ReceiverStream::new(up).map(Some).chain(end)));
            self.seats.insert(site, Taken { name, certificate, down });
            let acts = self.conductor.joined(site, self.now_ms());
            self.perform(acts)?;
            self.show();
        }
        // A site may have refused before it came to a stream: who is not asked is not waited for.
        if let Some(open) = self.open()? {
            let acts = self.conductor.noted(open, self.now_ms());
            self.perform(acts)?;
        }
        Ok(())
    }

    fn show(&self) {
        self.hub.lobby.show(&self.study, self.seats.values().map(|seat| seat.name.clone()).collect());
    }

    fn perform(&mut self, acts: Vec<Act>) -> Result<(), HubError> {
        let mut queue = VecDeque::from(acts);
        while let Some(act) = queue.pop_front() {
            match act {
                Act::Send(site, down) => {
                    let sent = self.seats.get(&site).map(|seat| seat.down.try_send(down));
                    if matches!(sent, Some(Err(_))) {
                        // Its stream broke, or it does not read what it is sent.
                        self.end(site);
                        queue.extend(self.conductor.left(site, self.now_ms()));
                    }
                }
                Act::Cut(site) => self.end(site),
                Act::Ask(_) if self.over => {}
                Act::Ask(ask) => queue.extend(tokio::task::block_in_place(|| self.answer(ask))?),
            }
        }
        Ok(())
    }

    fn end(&mut self, site: SiteIndex) {
        self.seats.remove(&site);
        self.streams.remove(&site);
        self.show();
    }

    /// Keeps what is asked for, and asks the conductor what comes next.
    fn answer(&mut self, ask: Ask) -> Result<Vec<Act>, HubError> {
        match ask {
            Ask::Session => {
                self.admit();
                self.keep(StudyState::decide_session)?;
                let number = self.hub.with_study(&self.study, |state| state.sessions)?;
                Ok(self.conductor.opened(number, self.now_ms()))
            }
            Ask::Requested => {
                self.keep(StudyState::decide_requested)?;
                Ok(vec![])
            }
            Ask::Failed { failure, requested } => {
                tracing::warn!(study = %self.study.short(), ?failure, "an attempt at a secure sum failed");
                self.keep(|state, now| state.decide_failed(failure, requested, now))?;
                self.next(|conductor, open, now| conductor.failed(open, now))
            }
            Ask::Dropped { site, rule } => {
                tracing::warn!(%site, study = %self.study.short(), rule, "site dropped from a secure sum");
                self.keep(|state, now| state.decide_dropped(&site, &rule, now))?;
                self.next(Conductor::noted)
            }
            Ask::Left { site } => {
                let of = self.open()?.map(|open| open.summed.attempt_words(open.step, open.attempt));
                tracing::warn!(%site, study = %self.study.short(), of, "site left in the middle of an attempt");
                self.keep(|state, now| state.decide_left(&site, now))?;
                self.next(Conductor::noted)
            }
            Ask::Declined { site, rule } => {
                self.keep(|state, now| state.decide_decline(&site, &rule, now))?;
                self.next(Conductor::noted)
            }
            Ask::Sum(finished) => {
                let Finished { attempt, survivors, record, model } = *finished;
                let sum = Digest::of(&record);
                let mut blobs = vec![(sum, record.as_slice())];
                blobs.extend(model.iter().map(|model| (model.digest, &*model.bytes)));
                let digest = model.as_ref().map(|model| model.digest);
                let closed = ClosedSum { attempt, survivors, sum };
                self.hub.change_study_with(&self.study, &blobs, |state, now| {
                    state.decide_sum(closed, digest, now)
                })?;
                self.admit();
                let open = self.open()?;
                // The digest of the last sum goes out too, before the streams end.
                self.over = open.is_none();
                Ok(self.conductor.kept(open, model, self.now_ms()))
            }
            Ask::Stop(why) => {
                self.keep(|state, now| state.decide_stop(&why, now))?;
                self.over = true;
                Ok(vec![])
            }
        }
    }

    fn keep(
        &self,
        decide: impl FnOnce(&StudyState, Time) -> Result<Vec<StudyEvent>, StudyRefusal>,
    ) -> Result<(), HubError> {
        self.hub.change_study(&self.study, decide)
    }

    fn open(&self) -> Result<Option<Summing>, HubError> {
        self.hub.with_study(&self.study, |state| state.summing().cloned())
    }

    fn next(
        &mut self,
        go_on: impl FnOnce(&mut Conductor, Summing, u64) -> Vec<Act>,
    ) -> Result<Vec<Act>, HubError> {
        let now = self.now_ms();
        let open = self.open()?;
        self.over = open.is_none();
        Ok(open.map_or_else(Vec::new, |open| go_on(&mut self.conductor, open, now)))
    }

    /// Sites whose certificate was revoked since are gone at the next step; the others were heard of.
    fn admit(&mut self) {
        let gone = |(site, seat): (&SiteIndex, &Taken)| {
            self.hub.admit(&seat.name, &seat.certificate).is_err().then_some(*site)
        };
        let gone: Vec<SiteIndex> = self.seats.iter().filter_map(gone).collect();
        for site in gone {
            self.end(site);
            let acts = self.conductor.left(site, self.now_ms());
            assert!(acts.is_empty(), "asked between two phases");
        }
    }
}
