//! The secure sums of a study: the site stays on one stream for all of training and evaluation, the
//! coordinator asks, the site answers. The order of an attempt is kept here: block burnt → fsync →
//! cosigned → noise → data, sum, masks → the tick → `commit_sum` → send.
//!
//! Secrets of an attempt are never written down: a stream that breaks, or an agent that stops, is a site
//! that dropped out, and it comes back by asking for a task again. A refusal ends the stream; there is no
//! way from here to an update that leaves alone.

mod blocks;
mod cover;
mod model;
mod session;
mod step;

pub(super) use blocks::Blocks;

use super::agent::Agent;
use super::failed::TaskError;
use super::stopped;
use crate::compute;
use crate::link::{Down, Limits, Link, SecureStream};
use crate::pricing::price_histogram;
use crate::task::{self, Refusal};
use consilium_common::key::SecretKey;
use consilium_common::model::blob::HEADER_MAX;
use consilium_common::secagg::Slot;
use consilium_common::secagg::message::{
    Message as _, SessionKeys, ShareDelivery, StepRequest, StepResult, Survivors, SurvivorsCertificate,
};
use consilium_common::study::Study;
use consilium_common::study::secure::Summed;
use cover::Covering;
use model::Model;
use prost::bytes::Bytes;
use session::{Session, out_of_order};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an agent that is to stop stays for the end of an attempt that its masked vector is in.
const LAST_ATTEMPT: Duration = Duration::from_secs(10);
/// Where a message says its kind: behind the protocol's magic.
const KIND_AT: usize = 4;

/// One stay on the stream.
struct Sums<'a> {
    agent: &'a mut Agent,
    link: &'a mut Link,
    study: Arc<Study>,
    identity: Arc<SecretKey>,
    stream: SecureStream,
    session: Option<Session>,
    model: Option<Model>,
    /// The entry of the masked vector whose sum is awaited.
    commit: Option<u64>,
    covering: Option<Covering>,
}

/// Takes part in a study's secure sums until the coordinator ends the stream, or `stop` turns true and no
/// attempt of this site's is under way.
///
/// # Errors
/// See [`TaskError`]. A refusal on the stream was told there, and is in the ledger.
pub(super) async fn serve(
    agent: &mut Agent,
    link: &mut Link,
    study: Arc<Study>,
    stop: &mut watch::Receiver<bool>,
) -> Result<(), TaskError> {
    let policy = agent.policy()?;
    task::sums::join(&agent.facts(&study, &policy))?;
    agent.check_columns(&study).await?;
    let identity = Arc::new(agent.home.ledger_key()?);
    let digest = study.digest;
    let stream = link.secure_sum(&digest, limits(&study)).await?;
    tracing::info!(study = %study.id, "on the stream of secure sums");
    let mut sums = Sums {
        agent,
        link,
        study,
        identity,
        stream,
        session: None,
        model: None,
        commit: None,
        covering: None,
    };
    let ended = sums.run(stop).await;
    let Sums { agent, stream, .. } = sums;
    let written = agent.write_end().and_then(|()| Ok(agent.store.file()?));
    let ended = match ended {
        Err(TaskError::Refused(refusal)) => {
            // The coordinator is told whatever this disk says.
            let noted = agent.note_refusal(&digest, &refusal);
            stream.refuse(refusal.rule).await;
            noted.map_err(TaskError::from).and(Err(TaskError::Told(refusal.rule)))
        }
        ended => ended,
    };
    graver(ended, written)
}

/// How a stay ended, where writing that down had an end of its own: what stops the agent goes before all
/// else, then what happened first. The other is in the log.
fn graver(ended: Result<(), TaskError>, written: Result<(), TaskError>) -> Result<(), TaskError> {
    match (ended, written) {
        (Ok(()), written) => written,
        (ended, Ok(())) => ended,
        (Err(ended), Err(written @ TaskError::Stop(_))) if !matches!(ended, TaskError::Stop(_)) => {
            tracing::error!("{ended}");
            Err(written)
        }
        (ended, Err(written)) => {
            tracing::error!("{written}");
            ended
        }
    }
}

/// What can come over the stream of a study.
fn limits(study: &Study) -> Limits {
    let sites = study.sites.len();
    // A share delivery is the longest message: for each dealer a box, its commitments and a path of at
    // most eight hashes in a tree of at most 255 leaves.
    Limits { message: 1024 + sites * 1024, model: HEADER_MAX + 1 + 4 * study.architecture().parameters() }
}

impl Sums<'_> {
    async fn run(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), TaskError> {
        let mut leave_by = None;
        loop {
            let in_attempt = self.session.as_ref().is_some_and(Session::is_in_attempt);
            if *stop.borrow() && !in_attempt {
                return Ok(());
            }
            if *stop.borrow() && leave_by.is_none() {
                leave_by = Some(Instant::now() + LAST_ATTEMPT);
            }
            tokio::select! {
                down = self.stream.next() => match down? {
                    Some(down) => self.heed(down, Instant::now()).await?,
                    None => return Ok(()),
                },
                came = answered(&mut self.covering) => self.covered(came)?,
                () = stopped(stop), if leave_by.is_none() => {}
                () = until(leave_by) => return Ok(()),
            }
        }
    }

    /// Does what the coordinator asks, if it may.
    async fn heed(&mut self, down: Down, began: Instant) -> Result<(), TaskError> {
        match down {
            Down::Open { number, grouping } => self.open(number, grouping.as_deref()).await,
            Down::Share(slot) => self.share(slot).await,
            Down::Model(bytes) => {
                let known = self.model.take();
                let parsed = tokio::task::spawn_blocking(move || Model::parse(&bytes, known)).await;
                self.model = Some(parsed.map_err(|_| TaskError::Local("reading the model failed".into()))??);
                Ok(())
            }
            Down::Message(bytes) => self.message(bytes, began).await,
        }
    }

    async fn message(&mut self, bytes: Bytes, began: Instant) -> Result<(), TaskError> {
        let identity = Arc::clone(&self.identity);
        match bytes.get(KIND_AT) {
            Some(&SessionKeys::KIND) => self.in_session(move |session| Ok((session.keys(&bytes)?, ()))).await,
            Some(&ShareDelivery::KIND) => {
                self.in_session(move |session| Ok((session.deliver(&bytes)?, ()))).await
            }
            Some(&StepRequest::KIND) => self.step(&bytes, began).await,
            Some(&Survivors::KIND) => {
                let signed = self.in_session(move |session| session.sign(&identity, &bytes)).await?;
                Ok(self.stream.send(signed).await?)
            }
            Some(&SurvivorsCertificate::KIND) => {
                let unmask = self.in_session(move |session| session.unmask(&bytes)).await?;
                Ok(self.stream.send(unmask).await?)
            }
            Some(&StepResult::KIND) => {
                let commit = self.commit.ok_or_else(|| out_of_order("a step's result"))?;
                let ended = self.in_session(move |session| session.finish(&bytes, commit)).await?;
                self.commit = None;
                self.agent.note_end(ended)
            }
            _ => Err(Refusal { rule: "secagg.message", why: "a message that no site is sent".into() }.into()),
        }
    }

    /// Joins a new session; the uses that it will want are burnt and on their way to be cosigned while
    /// keys and shares are exchanged.
    async fn open(&mut self, number: u64, grouping: Option<&str>) -> Result<(), TaskError> {
        (self.session, self.commit) = (None, None);
        let summed = task::sums::summed(&self.study, grouping)?;
        let policy = self.agent.policy()?;
        let agreement = task::sums::agreement(&self.agent.facts(&self.study, &policy), summed)?;
        if let Summed::Grouping(earmark) = summed {
            // A second program by other people must agree on what a person pays, before it is paid.
            let (_, noise_multiplier) = task::sums::release(&self.study, earmark)?;
            let sigma_units = agreement.terms().parameters().sigma_units();
            price_histogram(noise_multiplier, sigma_units)?;
            assert_eq!(sigma_units, compute::histogram_sigma(noise_multiplier)?, "one σ for one event");
        }
        let seed = self.agent.entropy()?;
        let (session, key) = Session::join(summed, agreement, &self.identity, number, &seed)?;
        self.session = Some(session);
        self.stream.send(key).await?;
        self.provide(summed, 1).await
    }

    async fn share(&mut self, slot: Slot) -> Result<(), TaskError> {
        let session = self.session.as_ref().ok_or_else(|| out_of_order("a share request"))?;
        task::sums::share(&self.study, self.agent.store.state(), session.summed, slot)?;
        let (seed, identity) = (self.agent.entropy()?, Arc::clone(&self.identity));
        let shares = self.in_session(move |session| session.share(&identity, slot, &seed)).await?;
        Ok(self.stream.send(shares).await?)
    }

    /// Lets the session do something off the threads that serve connections. A session that refused is
    /// over, and its secrets are wiped.
    async fn in_session<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(Session) -> Result<(Session, T), Refusal> + Send + 'static,
    ) -> Result<T, TaskError> {
        let session = self.session.take().ok_or_else(|| out_of_order("a message of a session"))?;
        let done = tokio::task::spawn_blocking(move || work(session)).await;
        let (session, came) = done.map_err(|_| TaskError::Local("the session failed".into()))??;
        self.session = Some(session);
        Ok(came)
    }
}

/// Never, where nothing is on its way.
async fn answered(
    covering: &mut Option<Covering>,
) -> Result<(String, Vec<crate::witness::Statement>), TaskError> {
    match covering {
        Some(covering) => covering.answered().await,
        None => std::future::pending().await,
    }
}

/// Never, where there is no such time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
