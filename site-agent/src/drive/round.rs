//! One output after another, in the order that a crash cannot turn into two.

use super::agent::{Agent, Begun, Held};
use super::failed::TaskError;
use crate::compute::{self, HistogramNoise, Round};
use crate::link::{Link, OutputOf};
use crate::pricing::price_histogram;
use crate::task::{self, Next, Refusal};
use consilium_common::evaluation::histogram::{Grouping, groupings};
use consilium_common::id::Digest;
use consilium_common::ledger::entry::Body;
use consilium_common::ledger::rules::Outcome;
use consilium_common::model::blob::{self, HEADER_MAX, ModelHeader};
use consilium_common::privacy::mechanism::Event;
use consilium_common::protocol::Receipt;
use consilium_common::signed::Signed;
use consilium_common::study::{RosterSite, Study};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a new output is made on.
enum Source {
    /// A reserve that is yet to be written.
    Burn(Box<Body>),
    /// A reserve that this process wrote and has not computed on.
    GoOn(u64),
}

/// A round of training: from the request to the receipt.
pub(super) async fn train(
    agent: &mut Agent,
    link: &mut Link,
    held: &Held,
    round: u32,
    model: Digest,
    began: Instant,
) -> Result<(), TaskError> {
    let study = &held.study;
    let policy = agent.policy()?;
    let of = OutputOf::Round(round);
    let source = loop {
        match task::train(&agent.facts(study, &policy), round, model)? {
            Next::Resend { output } => {
                on_tick(agent, study, began).await;
                return submit(agent, link, study, &of, output).await;
            }
            Next::Burn(body) => break Source::Burn(body),
            Next::Unfinished { reserve } if agent.is_untouched(reserve, &model) => {
                break Source::GoOn(reserve);
            }
            Next::Unfinished { reserve } => agent.append(task::interrupted(reserve))?,
        };
    };
    // What can go wrong without data goes wrong before anything is burnt.
    let values = fetch_model(link, study, model, Some(round)).await?;
    let site = listed(study, agent)?;
    agent.check_columns(study).await?;
    let reserve = match source {
        Source::Burn(body) => agent.reserve(*body)?,
        Source::GoOn(reserve) => reserve,
    };
    agent.cosign(link, &study.digest).await?;
    let begun = agent.begin(reserve)?;
    let about = Round { study: study.digest, round, model, site: agent.own.site.clone() };
    let made = update(agent, held, begun, about, site, values).await;
    let outputs = match made {
        Ok(output) => commit(agent, study, vec![(reserve, output)], began).await?,
        Err(error) => return Err(give_up(agent, study, &[reserve], began, error).await),
    };
    for output in outputs {
        submit(agent, link, study, &of, output).await?;
    }
    tracing::info!(study = %study.id, round = u64::from(round) + 1, "update sent");
    Ok(())
}

/// A round's update in the outbox: noise first, then data.
pub(super) async fn update(
    agent: &mut Agent,
    held: &Held,
    begun: Begun,
    about: Round,
    site: RosterSite,
    values: Vec<i32>,
) -> Result<Digest, TaskError> {
    let (noise_seed, sampling_seed) = (agent.entropy()?, agent.entropy()?);
    let study = Arc::clone(&held.study);
    let noise = blocking(move || compute::draw_round(&study, &noise_seed)).await?;
    let data = agent.examples(held, &begun).await?;
    let study = Arc::clone(&held.study);
    let compute =
        move || Ok(compute::update(&study, &site, &about, &values, &data.training, &noise, &sampling_seed));
    Ok(agent.outbox.put(&blocking(compute).await?)?)
}

/// The evaluation of a model: one histogram for each grouping.
pub(super) async fn evaluate(
    agent: &mut Agent,
    link: &mut Link,
    held: &Held,
    model: Digest,
    began: Instant,
) -> Result<(), TaskError> {
    let study = &held.study;
    let policy = agent.policy()?;
    let due = loop {
        let due = task::evaluate(&agent.facts(study, &policy), model)?;
        let interrupted: Vec<u64> = due
            .iter()
            .filter_map(|(_, next)| match next {
                Next::Unfinished { reserve } if !agent.is_untouched(*reserve, &model) => Some(*reserve),
                _ => None,
            })
            .collect();
        if interrupted.is_empty() {
            break due;
        }
        agent.append_all(interrupted.into_iter().map(task::interrupted).collect())?;
    };

    // Every release is priced a second time, and every reserve written, before one is computed.
    let shapes = groupings(study);
    let mut outputs: Vec<(String, Digest)> = Vec::new();
    let (mut releases, mut burns) = (Vec::new(), Vec::new());
    for (earmark, next) in due {
        let record = agent.store.state().study(&study.digest).expect("the decision found it open");
        let (declared, _) = record.earmark(earmark).expect("the decision named it");
        let going_on = match next {
            Next::Resend { output } => {
                outputs.push((declared.name.clone(), output));
                continue;
            }
            Next::Burn(body) => {
                burns.push(*body);
                None
            }
            Next::Unfinished { reserve } => Some(reserve),
        };
        let grouping = shapes.iter().find(|grouping| grouping.name == declared.name);
        let (Some(grouping), Event::Gaussian { noise_multiplier, .. }) = (grouping, declared.event) else {
            let why = format!("{} is no Gaussian release of a grouping", declared.name);
            return Err(Refusal { rule: "study.earmarks", why }.into());
        };
        let sigma_units = compute::histogram_sigma(noise_multiplier)?;
        price_histogram(noise_multiplier, sigma_units)?;
        releases.push((going_on, grouping.clone(), sigma_units));
    }
    if releases.is_empty() {
        on_tick(agent, study, began).await;
    } else {
        let values = fetch_model(link, study, model, None).await?;
        let site = listed(study, agent)?;
        agent.check_columns(study).await?;
        let mut burnt = agent.reserve_all(burns)?;
        agent.cosign(link, &study.digest).await?;
        let (mut reserves, mut begun) = (Vec::new(), Vec::new());
        for (going_on, grouping, sigma_units) in releases {
            let reserve = going_on.or_else(|| burnt.next()).expect("burnt for each that does not go on");
            reserves.push(reserve);
            begun.push((agent.begin(reserve)?, grouping, sigma_units));
        }
        let names: Vec<String> = begun.iter().map(|(_, grouping, _)| grouping.name.clone()).collect();
        let made = match histograms(agent, held, begun, model, site, values).await {
            Ok(made) => reserves.into_iter().zip(made).collect(),
            Err(error) => return Err(give_up(agent, study, &reserves, began, error).await),
        };
        outputs.extend(names.into_iter().zip(commit(agent, study, made, began).await?));
    }
    for (name, output) in outputs {
        submit(agent, link, study, &OutputOf::Grouping(name), output).await?;
    }
    tracing::info!(study = %study.id, "histograms sent");
    Ok(())
}

/// The histograms of some groupings in the outbox, in their order: the noise of all first, then data,
/// scored once.
async fn histograms(
    agent: &mut Agent,
    held: &Held,
    due: Vec<(Begun, Grouping, u64)>,
    model: Digest,
    site: RosterSite,
    values: Vec<i32>,
) -> Result<Vec<Digest>, TaskError> {
    let mut noises = Vec::new();
    let mut last = None;
    for (begun, grouping, sigma_units) in due {
        let (seed, study) = (agent.entropy()?, Arc::clone(&held.study));
        let draw = move || {
            let noise = compute::draw_histogram(&study, &grouping, sigma_units, &seed)?;
            Ok((grouping, noise))
        };
        noises.push(blocking(draw).await?);
        last = Some(begun);
    }
    let Some(begun) = last else { return Ok(Vec::new()) };
    let data = agent.examples(held, &begun).await?;
    let study = Arc::clone(&held.study);
    let compute = move || {
        let people = &data.evaluation;
        let scores = compute::probabilities(&study, &site, &values, people);
        let of = |(grouping, noise): &(Grouping, HistogramNoise)| {
            compute::histogram(&study, &site.name, grouping, model, &scores, people, noise)
        };
        Ok(noises.iter().map(of).collect::<Vec<_>>())
    };
    let mut outputs = Vec::new();
    for bytes in blocking(compute).await? {
        outputs.push(agent.outbox.put(&bytes)?);
    }
    Ok(outputs)
}

/// Outputs of a closed study are not sent again, and its frozen examples are removed.
pub(super) fn forget(agent: &Agent, study: &Digest) -> Result<(), TaskError> {
    for (_, burn) in agent.store.state().burns(study) {
        if let Outcome::Committed { output, .. } = burn.outcome {
            agent.outbox.forget(&output)?;
        }
    }
    agent.drop_snapshot(study)
}

/// Waits for the tick, then writes the entries that say that outputs are on disk: from here on the
/// same bytes are sent. Entries have times that others read, so they are as late as the reply.
pub(super) async fn commit(
    agent: &mut Agent,
    study: &Study,
    made: Vec<(u64, Digest)>,
    began: Instant,
) -> Result<Vec<Digest>, TaskError> {
    on_tick(agent, study, began).await;
    agent.append_commits(&study.digest, &made)?;
    Ok(made.into_iter().map(|(_, output)| output).collect())
}

/// Aborts reserves whose outputs could not be made, on the tick; what they burnt stays burnt, and the
/// next try uses spare ones. The error to go on with.
pub(super) async fn give_up(
    agent: &mut Agent,
    study: &Study,
    reserves: &[u64],
    began: Instant,
    error: TaskError,
) -> TaskError {
    tracing::error!(study = %study.id, "no output could be made after its reserve, which stays burnt: {error}");
    on_tick(agent, study, began).await;
    let aborts = reserves.iter().map(|reserve| task::interrupted(*reserve)).collect();
    agent.append_all(aborts).err().unwrap_or(error)
}

/// Sends committed bytes and keeps the verified receipt. The `commit` is cosigned before: whoever
/// recovers this ledger from the coordinator's copy has an entry for everything that was sent.
async fn submit(
    agent: &mut Agent,
    link: &mut Link,
    study: &Study,
    of: &OutputOf,
    output: Digest,
) -> Result<(), TaskError> {
    let bytes = match agent.outbox.read(&output) {
        // A ledger that was recovered may know of outputs that the restored disk does not hold. They
        // are never made a second time.
        Err(error) if error.is_absent() => {
            let why = format!("the committed output {output} is not on this disk any more");
            return Err(Refusal { rule: "outbox.lost", why }.into());
        }
        read => read?,
    };
    if agent.store.cosigned_size() < agent.store.state().size() {
        agent.cosign_by_coordinator(link).await?;
    }
    let receipt = link.submit_output(&study.digest, of, bytes).await?;
    check_receipt(agent, study, &output, &receipt)?;
    agent.outbox.keep_receipt(&output, &receipt)?;
    Ok(())
}

/// Waits for the time at which an answer may leave.
pub(super) async fn on_tick(agent: &mut Agent, study: &Study, began: Instant) {
    let has_extracted = std::mem::take(&mut agent.has_extracted);
    #[cfg(feature = "mutants")]
    if consilium_common::mutant::is(consilium_common::mutant::Mutant::ReplyAtOnce) {
        return;
    }
    let tick = study.privacy.training.reply_tick_ms;
    tokio::time::sleep_until(tick_after(began, Instant::now(), tick, has_extracted)).await;
}

fn check_receipt(
    agent: &Agent,
    study: &Study,
    output: &Digest,
    receipt: &Signed<Receipt>,
) -> Result<(), TaskError> {
    let nonsense = |what: String| TaskError::Call(crate::link::nonsense("SubmitOutput", what));
    let signed = receipt.verify(&agent.coordinator.key).map_err(|e| nonsense(e.to_string()))?;
    if signed.study != study.digest || signed.site != agent.own.site || signed.output != *output {
        return Err(nonsense("the receipt is for another output".into()));
    }
    Ok(())
}

/// The first multiple of the tick after the request that is not before now: a reply's time tells
/// how long the computation took only in whole ticks. Where examples were extracted in between, which depends on how many
/// records there are, only in powers of two.
fn tick_after(began: Instant, now: Instant, tick_ms: u32, has_extracted: bool) -> Instant {
    if tick_ms == 0 {
        return now;
    }
    let tick = Duration::from_millis(tick_ms.into());
    let ticks = now.duration_since(began).as_micros().div_ceil(tick.as_micros()).max(1);
    let ticks = if has_extracted { ticks.next_power_of_two() } else { ticks };
    began + tick * u32::try_from(ticks).unwrap_or(u32::MAX)
}

async fn fetch_model(
    link: &mut Link,
    study: &Study,
    model: Digest,
    round: Option<u32>,
) -> Result<Vec<i32>, TaskError> {
    let limit = HEADER_MAX + 1 + 4 * study.architecture().parameters();
    let bytes = link.fetch_model(&study.digest, &model, limit).await?;
    let (header, values) = blob::decode::<ModelHeader>(&bytes)
        .map_err(|e| Refusal { rule: "task.model", why: e.to_string() })?;
    task::check_model(study, &header, &values, round)?;
    Ok(values)
}

pub(super) fn listed(study: &Study, agent: &Agent) -> Result<RosterSite, Refusal> {
    study
        .site(&agent.own.site)
        .cloned()
        .ok_or_else(|| Refusal { rule: "study.roster", why: "this site is not on the roster".into() })
}

async fn blocking<T: Send + 'static>(
    compute: impl FnOnce() -> Result<T, compute::InvalidNoise> + Send + 'static,
) -> Result<T, TaskError> {
    let done = tokio::task::spawn_blocking(compute).await;
    // A panic's text could hold anything; the log has its place, not its message.
    done.map_err(|_| TaskError::Local("the computation failed".into()))?.map_err(TaskError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_on_ticks() {
        let began = Instant::now();
        let check = |after_ms: u64, tick_ms: u32, has_extracted: bool, expected_ms: u64| {
            let at = tick_after(began, began + Duration::from_millis(after_ms), tick_ms, has_extracted);
            assert_eq!(at - began, Duration::from_millis(expected_ms), "{after_ms} ms, ticks of {tick_ms}");
        };
        check(0, 100, false, 100);
        check(1, 100, false, 100);
        check(100, 100, false, 100);
        check(101, 100, false, 200);
        check(950, 100, false, 1000);
        check(7, 0, false, 7);
        check(1, 100, true, 100);
        check(201, 100, true, 400);
        check(801, 100, true, 1600);
    }
}
