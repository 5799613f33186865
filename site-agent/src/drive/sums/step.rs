//! One attempt up to its masked vector, and the uses that attempts take up.

use super::Sums;
use super::blocks::BegunUse;
use super::model::Model;
use super::session::{Session, out_of_order};
use crate::compute;
use crate::drive::agent::Begun;
use crate::drive::failed::TaskError;
use crate::drive::round::{listed, on_tick};
use crate::link::CallError;
use crate::task::{self, sums::Use};
use crate::witness::Statement;
use consilium_common::id::Digest;
use consilium_common::secagg::message::StepRequest;
use consilium_common::study::secure::Summed;
use std::sync::Arc;
use tokio::time::Instant;

impl Sums<'_> {
    /// From a step's request to the masked vector, which leaves on the tick after it is in the ledger.
    pub(super) async fn step(&mut self, bytes: &[u8], began: Instant) -> Result<(), TaskError> {
        let session = self.session.as_ref().ok_or_else(|| out_of_order("a step request"))?;
        let request = session.request(bytes)?;
        let (summed, slot, named) = (session.summed, request.binding.share.slot, request.binding.model);
        let digest = session.digest()?;
        let study = Arc::clone(&self.study);
        let policy = self.agent.policy()?;
        task::sums::step(&self.agent.facts(&study, &policy), summed, slot, named)?;
        let model = self.model.as_ref().ok_or_else(|| out_of_order("a request without its model"))?;
        let values = model.for_step(&study, named, summed, slot.step)?;

        // What can go wrong without data goes wrong before a use is taken up.
        self.agent.check_columns(&study).await?;
        let of = self.covered_use(summed).await?;
        let (token, begun) = self.agent.begin_use(&study, of, slot, named)?;
        let (message, output) = match self.masked(token, &begun, request, summed, values).await {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(study = %study.id, "no masked vector could be made on a use, which stays burnt: {error}");
                on_tick(self.agent, &study, began).await;
                self.agent.abort_block(&begun)?;
                return Err(error);
            }
        };
        on_tick(self.agent, &study, began).await;
        self.commit = Some(self.agent.commit_sum(&begun, digest, output)?);
        self.stream.send(message).await?;
        tracing::debug!(study = %study.id, of = summed.attempt_words(slot.step, slot.attempt), "masked vector sent");
        self.provide(summed, 0).await
    }

    /// The noise first, then data, their sum, and masks on it.
    async fn masked(
        &mut self,
        token: Begun,
        begun: &BegunUse,
        request: StepRequest,
        summed: Summed,
        values: Arc<Vec<i32>>,
    ) -> Result<(Vec<u8>, Digest), TaskError> {
        let study = Arc::clone(&self.study);
        let session = self.session.as_ref().ok_or_else(|| out_of_order("a step request"))?;
        let terms = *session.agreement()?.terms();
        let (noise_seed, sampling_seed) = (self.agent.entropy()?, self.agent.entropy()?);
        let draw = move || (compute::draw_share(&token, &terms, &noise_seed), token);
        let (noise, token) = blocking(draw).await?;
        let held = self.agent.hold(Arc::clone(&study));
        let data = self.agent.examples(&held, &token).await?;
        let site = listed(&study, self.agent)?;
        let input = match summed {
            Summed::Training => {
                let step = move || {
                    compute::noised_step(&study, &site, &values, &data.training, noise, &sampling_seed)
                };
                blocking(step).await?
            }
            Summed::Grouping(earmark) => {
                let (grouping, _) = task::sums::release(&study, earmark)?;
                let known = self.model.as_ref().and_then(|model| model.scores_of(&data));
                let of = Arc::downgrade(&data);
                let count = move || {
                    let people = &data.evaluation;
                    let scores = known
                        .unwrap_or_else(|| Arc::new(compute::probabilities(&study, &site, &values, people)));
                    let input = compute::noised_counts(&study, &grouping, &scores, people, noise);
                    (input, scores)
                };
                let (input, scores) = blocking(count).await?;
                if let Some(Model { scores: kept, .. }) = &mut self.model {
                    *kept = Some((of, scores));
                }
                input
            }
        };
        let (identity, reserve) = (Arc::clone(&self.identity), *begun.reserve());
        self.in_session(move |session: Session| {
            let (session, message, output) = session.mask(&identity, &request, &reserve, &input)?;
            Ok((session, (message, output)))
        })
        .await
    }

    /// Burns the next block when few uses are left for the steps to come, of which there are at least
    /// `least`, and has it cosigned while they run.
    pub(super) async fn provide(&mut self, summed: Summed, least: u64) -> Result<(), TaskError> {
        if self.covering.is_some() {
            return Ok(());
        }
        let (next, left) = self.agent.uses(&self.study.digest, summed);
        let to_come = task::sums::steps_to_come(&self.study, self.agent.store.state(), summed).max(least);
        let runs_out = left <= task::sums::low_water(&self.study, summed) && left < to_come;
        if runs_out {
            self.agent.check_columns(&self.study).await?;
            match self.agent.burn_block(&self.study, summed) {
                // Who asks for a use that is not there is refused then; the attempt in hand has its own.
                Err(TaskError::Refused(_)) => return Ok(()),
                burnt => burnt?,
            }
        }
        if runs_out || next.is_some_and(|next| !self.agent.is_covered(&self.study.digest, next)) {
            self.covering = self.agent.start_covering(self.link, &self.study.digest).await?;
        }
        Ok(())
    }

    /// The next use, on a block that is cosigned; waits for that where it must.
    async fn covered_use(&mut self, summed: Summed) -> Result<Use, TaskError> {
        if self.agent.uses(&self.study.digest, summed).0.is_none() {
            self.agent.burn_block(&self.study, summed)?;
        }
        let next = self.agent.uses(&self.study.digest, summed).0.expect("a block was burnt for it");
        if !self.agent.is_covered(&self.study.digest, next)
            && let Some(covering) = &mut self.covering
        {
            let came = covering.answered().await;
            self.covered(came)?;
        }
        if !self.agent.is_covered(&self.study.digest, next) {
            self.covering = None;
            self.agent.cosign(self.link, &self.study.digest).await?;
        }
        Ok(next)
    }

    /// Keeps cosignatures that were asked for while steps ran. Where they were not had, they are asked for
    /// again when a use wants them.
    pub(super) fn covered(
        &mut self,
        came: Result<(String, Vec<Statement>), TaskError>,
    ) -> Result<(), TaskError> {
        let Some(covering) = self.covering.take() else { return Ok(()) };
        match came.and_then(|came| self.agent.cover(&covering, came)) {
            Err(error @ (TaskError::Unwitnessed | TaskError::Call(CallError::Refused { .. }))) => {
                tracing::warn!("{error}");
                Ok(())
            }
            covered => covered,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TaskError> {
    // A panic's text could hold anything; the log has its place, not its message.
    tokio::task::spawn_blocking(work).await.map_err(|_| TaskError::Local("the computation failed".into()))
}
