//! One agent: its home, its ledger, what it holds of each study; and what it does with a task.

use super::chance::Entropy;
use super::claim::Claimed;
use super::examples::InUse;
use super::failed::{Stop, TaskError};
use super::round;
use super::sums;
use crate::approval::kept;
use crate::data::opt_out::OptOuts;
use crate::disk::{Disk, OsDisk};
use crate::files;
use crate::home::{Config, Coordinator, Home, HomeError, entropy};
use crate::ledger::LedgerStore;
use crate::link::{Hello, Link};
use crate::outbox::Outbox;
use crate::policy::{Own, Policy};
use crate::refusals::Tally;
use crate::task::{self, Facts, Refusal};
use crate::witness::Witness;
use consilium_common::id::Digest;
use consilium_common::ledger::entry::Body;
use consilium_common::protocol::{Decision, Task};
use consilium_common::study::Study;
use consilium_common::time::Time;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What the agent holds of one study while it runs.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) study: Arc<Study>,
}

/// A cosigned reserve on which noise is drawn and data are read: only [`Agent::begin`] makes
/// one for an output of its own, [`Agent::begin_use`] one for an attempt at a secure sum, and without one
/// there are no examples.
pub(crate) struct Begun(());

impl Begun {
    pub(super) const fn new() -> Self {
        Self(())
    }
}

/// One site's agent.
pub struct Agent {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) home: Home,
    pub(super) own: Own,
    pub(super) coordinator: Coordinator,
    pub(super) store: LedgerStore,
    pub(super) outbox: Outbox,
    pub(super) data_path: Option<PathBuf>,
    held: HashMap<Digest, Held>,
    /// The examples in memory, by study.
    pub(super) in_use: HashMap<Digest, InUse>,
    /// Whether examples were extracted since the last answer, and it was waited for.
    pub(super) has_extracted: bool,
    /// The lists of people who opted out, as they were read last.
    pub(super) opt_outs: OptOuts,
    refused: Tally,
    /// Reserves of this process for which no noise was drawn yet: a broken connection at the
    /// cosignature does not burn a spare use.
    untouched: HashSet<u64>,
    /// Blocks of this process, for secure sums.
    pub(super) blocks: sums::Blocks,
    /// By study: entries that this process had cosigned by the coordinator and whom else that study's
    /// participants make necessary.
    pub(super) covered: HashMap<Digest, u64>,
    /// Size of the newest checkpoint that the coordinator is known to have cosigned.
    pub(super) cosigned: u64,
    /// Entries that the coordinator keeps a copy of.
    pub(super) kept: u64,
    witness: Arc<Mutex<Witness>>,
    /// Nothing is written before the others have cosigned what is here: on a restored disk that would
    /// be a second past.
    pub(super) settled: bool,
    /// What keeps a second agent from the table.
    pub(super) table: Claimed,
    clock: fn() -> Time,
    pub(super) entropy: Entropy,
}

impl Agent {
    /// Opens everything that serving needs. What a crash left behind is settled with the first task.
    ///
    /// # Errors
    /// Not enrolled, another agent runs on this home, mistakes in a file, a damaged ledger.
    pub fn open(
        home: Home,
        config: &Config,
        data_path: Option<PathBuf>,
        clock: fn() -> Time,
    ) -> Result<Self, TaskError> {
        Self::open_on(Arc::new(OsDisk), home, config, data_path, clock)
    }

    /// As [`Agent::open`]; everything that must survive a crash is written to this disk.
    ///
    /// # Errors
    /// As [`Agent::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        home: Home,
        config: &Config,
        data_path: Option<PathBuf>,
        clock: fn() -> Time,
    ) -> Result<Self, TaskError> {
        let key = home.ledger_key()?;
        let own = Own { site: config.site.clone(), key: key.public() };
        let coordinator = home.coordinator(config)?;
        let store = LedgerStore::open_on(Arc::clone(&disk), &home.ledger_dir(), key, Some(coordinator.key))?;
        home.finish_key_change(&*disk, &own.key)?;
        if store.dropped_bytes() > 0 {
            tracing::warn!("an entry was interrupted before it was signed; it never counted");
        }
        let outbox = Outbox::open_on(Arc::clone(&disk), &home.outbox_dir())?;
        let data_path = data_path.or_else(|| config.data.clone());
        let (held, refused, untouched) = (HashMap::new(), Tally::default(), HashSet::new());
        let (cosigned, kept) = (0, 0);
        let witness = Arc::new(Mutex::new(Witness::open(Arc::clone(&disk), &home, &own.site)?));
        let agent = Self {
            disk,
            home,
            own,
            coordinator,
            store,
            outbox,
            data_path,
            held,
            in_use: HashMap::new(),
            has_extracted: false,
            opt_outs: OptOuts::default(),
            refused,
            untouched,
            blocks: sums::Blocks::default(),
            covered: HashMap::new(),
            cosigned,
            kept,
            witness,
            settled: false,
            table: Claimed::default(),
            clock,
            entropy: Box::new(entropy),
        };
        agent.home.policy().map_err(invalid_policy)?;
        // What a stop between `close` and here left.
        let closed = agent.store.state().studies().filter(|(_, record)| record.closed.is_some());
        for study in closed.map(|(study, _)| *study).collect::<Vec<_>>() {
            round::forget(&agent, &study)?;
        }
        agent.drop_expired()?;
        tracing::info!(site = %agent.own.site, entries = agent.store.state().size(), "ledger opened");
        Ok(agent)
    }

    /// Checks what the coordinator says of itself and of this ledger.
    ///
    /// # Errors
    /// Another coordinator, or a ledger that was rolled back.
    pub fn greet(&mut self, hello: &Hello) -> Result<(), Stop> {
        if hello.key != self.coordinator.key {
            return Err(Stop::OtherCoordinator);
        }
        self.store.check_not_restored(hello.cosigned_size).map_err(Stop::Ledger)?;
        (self.cosigned, self.kept) = (hello.cosigned_size, hello.kept_size.min(self.store.signed_size()));
        tracing::info!(coordinator = %hello.software, entries = self.store.state().size(), "connected");
        Ok(())
    }

    /// This site as a witness of others, for [`super::witness`].
    pub(super) fn as_witness(&self) -> (Arc<Mutex<Witness>>, fn() -> Time) {
        (Arc::clone(&self.witness), self.clock)
    }

    /// Does one task that came at `began`.
    ///
    /// # Errors
    /// See [`TaskError`].
    pub async fn handle(
        &mut self,
        link: &mut Link,
        task: &Task,
        began: tokio::time::Instant,
    ) -> Result<(), TaskError> {
        match task {
            // Before anybody is waited for: where this ledger's key was lost, the others may name it for a while.
            Task::Train { study, .. } | Task::Evaluate { study, .. } | Task::Sum { study }
                if self.has_closed(study) =>
            {
                return Err(Refusal { rule: "study.closed", why: "the study is closed here".into() }.into());
            }
            Task::Train { study, .. } | Task::Evaluate { study, .. } => self.settle(link, study).await?,
            Task::Sum { .. } | Task::Close { .. } => {}
        }
        match task {
            Task::Train { study, round, model } => {
                let held = self.opened(link, study).await?;
                round::train(self, link, &held, *round, *model, began).await
            }
            Task::Evaluate { study, model } => {
                let held = self.opened(link, study).await?;
                round::evaluate(self, link, &held, *model, began).await
            }
            Task::Sum { study } => {
                let (_never, mut stop) = watch::channel(false);
                self.sum(link, study, &mut stop).await
            }
            Task::Close { study } => self.close(link, study).await,
        }
    }

    /// Takes part in a study's secure sums until they are over, or `stop` turns true between two steps.
    pub(super) async fn sum(
        &mut self,
        link: &mut Link,
        study: &Digest,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), TaskError> {
        self.settle(link, study).await?;
        let held = self.opened(link, study).await?;
        sums::serve(self, link, held.study, stop).await
    }

    /// Writes a refusal down (once a day for each rule and study) and tells the coordinator the
    /// rule's name.
    ///
    /// # Errors
    /// A damaged ledger.
    pub async fn refuse(&mut self, link: &mut Link, task: &Task, refusal: &Refusal) -> Result<(), Stop> {
        let (Task::Train { study, .. }
        | Task::Evaluate { study, .. }
        | Task::Sum { study }
        | Task::Close { study }) = task;
        self.note_refusal(study, refusal)?;
        if let Err(error) = link.decline_task(study, refusal.rule).await {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    /// Writes a refusal down, once a day for each rule and study.
    pub(super) fn note_refusal(&mut self, study: &Digest, refusal: &Refusal) -> Result<(), Stop> {
        tracing::warn!(rule = refusal.rule, study = %study, "refused: {}", refusal.why);
        let now = self.now();
        if self.settled
            && let Some(body) = self.refused.note(refusal, Some(*study), self.store.state(), now)
        {
            match self.append(body) {
                Err(TaskError::Stop(stop)) => return Err(stop),
                Err(error) => tracing::error!("the refusal could not be written down: {error}"),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// The policy as the file says now; a change is written to the ledger first.
    pub(super) fn policy(&mut self) -> Result<Policy, TaskError> {
        let policy = self.home.policy().map_err(invalid_policy)?;
        if *self.store.state().caps() != policy.caps {
            self.append(Body::PolicyChange { caps: policy.caps.clone() })?;
            tracing::info!(policy = %policy.caps.policy, "policy changed");
        }
        Ok(policy)
    }

    /// Appends to the ledger, durably.
    pub(super) fn append(&mut self, body: Body) -> Result<u64, TaskError> {
        Ok(self.store.append(body, (self.clock)())?)
    }

    /// Appends several entries, durably with one sync, all or none: for what is written many times a
    /// second.
    pub(super) fn append_quickly(&mut self, bodies: Vec<Body>) -> Result<Range<u64>, TaskError> {
        Ok(self.store.append_quickly(bodies, (self.clock)())?)
    }

    /// Appends several entries to the ledger, durably, all or none.
    pub(super) fn append_all(&mut self, bodies: Vec<Body>) -> Result<Range<u64>, TaskError> {
        Ok(self.store.append_all(bodies, (self.clock)())?)
    }

    /// Burns what a reserve or release names; nothing is computed on it yet.
    pub(super) fn reserve(&mut self, body: Body) -> Result<u64, TaskError> {
        Ok(self.reserve_all(vec![body])?.start)
    }

    /// As [`Self::reserve`], several at once, all or none.
    pub(super) fn reserve_all(&mut self, bodies: Vec<Body>) -> Result<Range<u64>, TaskError> {
        let indices = self.append_all(bodies)?;
        self.untouched.extend(indices.clone());
        Ok(indices)
    }

    /// Whether a reserve without output can still be used: made by this process for this model,
    /// and no noise was drawn for it.
    pub(super) fn is_untouched(&self, reserve: u64, model: &Digest) -> bool {
        self.untouched.contains(&reserve)
            && self.store.state().burn(reserve).is_some_and(|burn| burn.model == *model)
    }

    /// The line that nothing crosses without a cosignature (a restored disk could burn the same
    /// reserve again), and that is crossed once for each reserve.
    pub(super) fn begin(&mut self, reserve: u64) -> Result<Begun, TaskError> {
        if !self.store.is_cosigned(reserve) {
            return Err(TaskError::Local(format!("ledger entry {reserve} is not cosigned")));
        }
        let study = self.store.state().burn(reserve).expect("only reserves come here").study;
        let witnesses = self.witnesses(&study)?;
        if !witnesses.is_empty() && !self.store.is_witnessed(&witnesses) {
            return Err(TaskError::Unwitnessed);
        }
        assert!(self.untouched.remove(&reserve), "a reserve is computed on once");
        Ok(Begun::new())
    }

    /// Now, never before the ledger's last entry: a clock set back does not bring a study back.
    pub(super) fn now(&self) -> Time {
        (self.clock)().max(self.store.state().time())
    }

    pub(super) fn facts<'a>(&'a self, study: &'a Study, policy: &'a Policy) -> Facts<'a> {
        Facts { study, policy, state: self.store.state(), own: &self.own, now: self.now() }
    }

    /// A study that is open in the ledger, with its approved bytes parsed; opens it if need be.
    async fn opened(&mut self, link: &mut Link, digest: &Digest) -> Result<Held, TaskError> {
        let study = match self.held.get(digest) {
            Some(held) => Arc::clone(&held.study),
            None => {
                let kept = kept(&self.home, digest, &self.own.key)?.ok_or_else(not_approved)?;
                Arc::new(kept.study)
            }
        };
        if self.store.state().study(digest).is_none() {
            self.open_study(link, &study).await?;
        }
        Ok(self.hold(study))
    }

    pub(super) fn hold(&mut self, study: Arc<Study>) -> Held {
        let digest = study.digest;
        self.held.entry(digest).or_insert(Held { study }).clone()
    }

    pub(super) async fn open_study(&mut self, link: &mut Link, study: &Arc<Study>) -> Result<(), TaskError> {
        self.check_columns(study).await?;
        let kept = kept(&self.home, &study.digest, &self.own.key)?.ok_or_else(not_approved)?;
        let (_, approval) = kept.decision.ok_or_else(not_approved)?;
        let (start, bytes) = link.fetch_start(&study.digest).await?;
        let start = start
            .verify(&self.coordinator.key)
            .map_err(|e| Refusal { rule: "study.start", why: e.to_string() })?;
        let policy = self.policy()?;
        let body = task::open(&self.facts(study, &policy), &start, &approval, &self.coordinator.key)?;
        files::write_on(&*self.disk, &self.home.study_dir(&study.digest).join("start.json"), &bytes)?;
        self.append(body)?;
        tracing::info!(study = %study.id, digest = %study.digest, "study opened");
        Ok(())
    }

    /// Writes down outputs that are on disk, all or none, and before them which examples they are of. Called on the tick:
    /// how long the reading took is the site's alone.
    pub(super) fn append_commits(&mut self, study: &Digest, made: &[(u64, Digest)]) -> Result<(), TaskError> {
        let version = self.cohort_version(study, self.store.state().size());
        let commits =
            made.iter().map(|(reserve, output)| Body::Commit { reserve: *reserve, output: *output });
        self.append_all(version.into_iter().chain(commits).collect()).map(|_| ())
    }

    fn has_closed(&self, study: &Digest) -> bool {
        self.store.state().study(study).is_some_and(|record| record.closed.is_some())
    }

    /// Ends the study here and hands over the ledger.
    async fn close(&mut self, link: &mut Link, digest: &Digest) -> Result<(), TaskError> {
        // A study that the ledger has closed was approved here; with a lost key, what says so may be lost, too.
        if !self.has_closed(digest) {
            let kept = kept(&self.home, digest, &self.own.key)?.ok_or_else(not_approved)?;
            let approved = kept.decision.is_some_and(|(approval, _)| approval.decision == Decision::Approve);
            if !approved {
                return Err(not_approved().into());
            }
        }
        if !self.settled {
            self.cosign_at_close(link, digest).await?;
            self.after_settling()?;
        }
        self.write_end()?;
        if let Some(body) = task::close(self.store.state(), digest) {
            self.append(body)?;
            tracing::info!(study = %digest, "study closed");
        }
        self.cosign_at_close(link, digest).await?;
        link.submit_ledger(digest, self.store.export_tiles()?).await?;
        self.held.remove(digest);
        self.in_use.remove(digest);
        round::forget(self, digest)
    }
}

pub(super) fn invalid_policy(error: HomeError) -> TaskError {
    match error {
        HomeError::Mistakes { .. } => Refusal { rule: "policy.invalid", why: error.to_string() }.into(),
        error => error.into(),
    }
}

fn not_approved() -> Refusal {
    Refusal { rule: "study.not_approved", why: "this site has not approved these bytes".into() }
}
