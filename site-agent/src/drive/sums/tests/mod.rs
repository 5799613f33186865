//! Whole runs: real agents on real homes, against the coordinator's real states.

mod conductor;
mod crash;
mod hall;
mod house;
mod lost;
mod opt_out;
mod table;

use super::*;
use crate::compute::Seed;
use conductor::{Conductor, Lost, agreement, index, model};
use consilium_common::evaluation::histogram;
use consilium_common::id::Digest;
use consilium_common::ledger::rules::Masked;
use consilium_common::privacy::clip::Lattice;
use consilium_common::privacy::noise::{DiscreteGaussian, secret_rng};
use consilium_common::privacy::sampling::poisson_sample;
use consilium_common::protocol::Task;
use consilium_common::secagg::SumRecord;
use consilium_common::secagg::coordinator::SecureSum;
use consilium_common::secagg::message::MaskedInput;
use consilium_common::train;
use consilium_proto::v1 as wire;
use consilium_proto::v1::{secure_down, secure_open};
use hall::{Desk, Up};
use house::{House, study_text};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Some hospitals, their desks, and the one who conducts.
struct World {
    houses: Vec<House>,
    desks: Vec<Desk>,
    conductor: Conductor,
    running: Vec<Option<Running>>,
}

type Running = JoinHandle<(Agent, Result<(), TaskError>)>;

impl World {
    fn new(sites: usize, edits: &[(&str, &str)]) -> Self {
        let text = study_text(sites, edits);
        let houses: Vec<House> = (0..sites).map(|i| House::new(i, sites, &text)).collect();
        let study = Arc::clone(&houses[0].study);
        let start = House::start(&study, sites);
        let (send, arrivals) = mpsc::unbounded_channel();
        let desks = (0..sites).map(|i| Desk::new(i, &start, &send)).collect();
        let running = (0..sites).map(|_| None).collect();
        Self { houses, desks, conductor: Conductor::new(study, arrivals), running }
    }

    /// All agents started, and on their streams.
    async fn started(sites: usize, edits: &[(&str, &str)]) -> Self {
        let mut world = Self::new(sites, edits);
        for site in 0..sites {
            let agent = world.houses[site].agent();
            world.join(site, agent).await;
        }
        world
    }

    /// An agent does what `NextTask` would tell it, until its stream ends.
    async fn join(&mut self, site: usize, agent: Agent) {
        let _never = self.join_until(site, agent).await;
    }

    /// As [`Self::join`], or until it is told to stop.
    async fn join_until(&mut self, site: usize, mut agent: Agent) -> watch::Sender<bool> {
        let mut link = self.desks[site].link().await;
        let study = self.conductor.study.digest;
        let (stop, mut stopped) = watch::channel(false);
        self.running[site] = Some(tokio::spawn(async move {
            let done = agent.sum(&mut link, &study, &mut stopped).await;
            (agent, done)
        }));
        self.conductor.seat(1).await;
        stop
    }

    /// What became of an agent whose stream has ended.
    async fn left(&mut self, site: usize) -> (Agent, Result<(), TaskError>) {
        self.running[site].take().expect("started").await.expect("no panic")
    }

    /// Ends all streams and closes all ledgers.
    async fn end(&mut self) {
        self.conductor.end();
        for site in 0..self.running.len() {
            if self.running[site].is_some() {
                let (agent, done) = self.left(site).await;
                assert!(done.is_ok(), "{done:?}");
                drop(agent);
            }
        }
    }

    /// How many seeds each site has drawn.
    fn drawn(&self) -> Vec<usize> {
        self.houses.iter().map(|house| house.seeds.lock().expect("held for a moment").len()).collect()
    }

    /// One attempt, and what its sum must be: people's clipped gradients and noise, both made again from
    /// the seeds that the agents drew.
    async fn step(&mut self, slot: Slot, lost: Option<(usize, Lost)>) -> (SecureSum, SumRecord) {
        let lost = lost.map(|(site, lost)| (index(site), lost));
        let study = Arc::clone(&self.conductor.study);
        let dealt = self.conductor.share(slot).await;
        let before = self.drawn();
        let (sum, record, _) = self.conductor.attempt(dealt, model(&study, slot.step), lost, None).await;
        let mut expected = vec![0; sum.sum.len()];
        for survivor in &record.survivors {
            let site = usize::from(survivor.index) - 1;
            let part = self.houses[site].clipped_and_noised(before[site]);
            expected.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        assert_eq!(sum.sum, expected, "{slot}");
        (sum, record)
    }

    /// The masked vectors of a closed ledger.
    fn masked(&self, site: usize) -> Vec<Masked> {
        let ledger = self.houses[site].ledger();
        ledger.state().masked(&self.conductor.study.digest).map(|(_, masked)| masked.clone()).collect()
    }
}

impl House {
    /// A step's vector, from the seeds at `drawn` (noise) and after it (sampling).
    fn clipped_and_noised(&self, drawn: usize) -> Vec<i64> {
        let (study, people) = (&self.study, self.data().training);
        let (noise, sampling) = self.two_seeds(drawn);
        let architecture = study.architecture();
        let values = study.initial_parameters();
        let training = &study.privacy.training;
        let sample = poisson_sample(&mut secret_rng(*sampling), people.people(), training.sampling_rate);
        assert!(!sample.is_empty(), "somebody is sampled");
        let lattice = Lattice::for_dimension(values.len());
        let parameters = train::parameters(&values);
        let clip_norm = training.clip_norm;
        let mut sum =
            train::clipped_sum(&architecture, &parameters, &people, &sample, clip_norm, &lattice, 1);
        self.add_noise(&mut sum, Summed::Training, &noise);
        sum
    }

    fn counted_and_noised(&self, earmark: u32, drawn: usize) -> Vec<i64> {
        let (study, people) = (&self.study, self.data().evaluation);
        let values = study.initial_parameters();
        let listed = study.site(&house::name(self.i)).expect("listed");
        let scores = compute::probabilities(study, listed, &values, &people);
        let grouping = &histogram::groupings(study)[earmark as usize - 1];
        let mut counts = histogram::count(grouping, &study.evaluation.bin_edges, &scores, &people);
        self.add_noise(&mut counts, Summed::Grouping(earmark), &self.two_seeds(drawn).0);
        counts
    }

    fn two_seeds(&self, drawn: usize) -> (Seed, Seed) {
        let seeds = self.seeds.lock().expect("held for a moment");
        (seeds[drawn].clone(), seeds[drawn + 1].clone())
    }

    fn add_noise(&self, sum: &mut [i64], summed: Summed, seed: &Seed) {
        let sigma = agreement(&self.study, summed).terms().parameters().sigma_share_units();
        let gaussian = DiscreteGaussian::new(sigma).expect("in range");
        let noise = gaussian.vector(&mut secret_rng(**seed), sum.len());
        sum.iter_mut().zip(noise.iter()).for_each(|(sum, noise)| *sum += noise);
    }
}

const fn slot(step: u32, attempt: u32) -> Slot {
    Slot { step, attempt }
}

#[tokio::test]
async fn a_study_of_four_hospitals_with_dropouts() {
    let mut world = World::started(4, &[]).await;
    let study = Arc::clone(&world.conductor.study);
    assert!(house::is_distributed(&study));
    world.conductor.open(Summed::Training).await;
    let (_, first) = world.step(slot(0, 0), None).await;
    assert_eq!(first.survivors.len(), 4);
    // A site that drops out after its masked vector left is not in the sum; later, it is.
    for (step, lost, survivors) in [(1, Lost::Masked, 3), (2, Lost::Signed, 4), (3, Lost::Unmasked, 4)] {
        let (_, record) = world.step(slot(step, 0), Some((3, lost))).await;
        assert_eq!(record.survivors.len(), survivors, "{lost:?}");
        let (agent, done) = world.left(3).await;
        assert!(done.is_ok(), "an ended stream is no error: {done:?}");
        // It comes back by asking again, in a new session of all.
        world.join(3, agent).await;
        world.conductor.open(Summed::Training).await;
    }
    // An attempt that the coordinator gives up after all vectors came, and its repetition.
    let dealt = world.conductor.share(slot(4, 0)).await;
    drop(world.conductor.request(dealt, model(&study, 4)).await);
    for site in 0..4 {
        let _: MaskedInput = world.conductor.hear(index(site)).await;
    }
    let (_, again) = world.step(slot(4, 1), None).await;
    assert_eq!((again.attempt, again.survivors.len()), (1, 4));
    let (_, last) = world.step(slot(5, 0), None).await;
    // The evaluation: a session for each grouping.
    for (earmark, _) in (1..).zip(study.groupings()) {
        world.conductor.open(Summed::Grouping(earmark)).await;
        let dealt = world.conductor.share(slot(earmark, 0)).await;
        let before = world.drawn();
        let (sum, ..) = world.conductor.attempt(dealt, model(&study, 6), None, None).await;
        let parts = world.houses.iter().map(|house| house.counted_and_noised(earmark, before[house.i]));
        let expected = parts.reduce(|sum, part| sum.iter().zip(part).map(|(a, b)| a + b).collect());
        assert_eq!(Some(sum.sum), expected, "grouping {earmark}");
    }
    world.end().await;

    for site in 0..4 {
        let masked = world.masked(site);
        let uses: Vec<(u32, u64)> = masked.iter().map(|m| (m.earmark, m.index)).collect();
        assert!(uses.is_sorted_by(|a, b| a < b), "every use once, and rising: {uses:?}");
        assert_eq!(masked.len(), 7 + study.groupings().len(), "one for each attempt");
        let seeds = world.houses[site].seeds.lock().expect("held for a moment");
        let distinct: std::collections::BTreeSet<_> = seeds.iter().map(|seed| **seed).collect();
        assert_eq!(distinct.len(), seeds.len(), "no entropy serves twice");
    }
    // What a record says is what every survivor's ledger says.
    let masked = world.masked(2);
    let entry = masked.iter().find(|m| m.earmark == 0 && m.step == 5).expect("the last step");
    let ended = entry.ended.as_ref().expect("told how it ended");
    let transcript = SumRecord::transcript(&last, &agreement(&study, Summed::Training), &[0]);
    assert!(transcript.is_err(), "other integers");
    assert_eq!(ended.survivors, last.survivors.iter().map(|s| s.site.clone()).collect::<Vec<_>>());
    assert_eq!(entry.output, last.survivors[2].masked);
    assert_eq!((entry.session, entry.model), (last.session, last.model));
    // The attempt that was given up has a masked vector and no end.
    assert!(masked.iter().any(|m| (m.step, m.attempt) == (4, 0) && m.ended.is_none()));
}

#[tokio::test]
async fn refusals_end_the_stream_and_are_in_the_ledger() {
    async fn check(expected: &str, play: impl AsyncFnOnce(&mut World)) {
        let mut world = World::started(3, &[]).await;
        world.conductor.open(Summed::Training).await;
        play(&mut world).await;
        let seat = world.conductor.seats.get_mut(&index(0)).expect("seated");
        assert_eq!(seat.hear().await, Up::Refused(expected.into()));
        assert_eq!(seat.hear().await, Up::Ended, "{expected}");
        world.conductor.end();
        let (agent, done) = world.left(0).await;
        assert!(matches!(done, Err(TaskError::Told(rule)) if rule == expected), "{done:?}");
        drop(agent);
        let ledger = world.houses[0].ledger();
        let study = Some(world.conductor.study.digest);
        assert!(ledger.state().has_refused(ledger.state().time().day(), expected, study), "{expected}");
        let declined = &world.desks[0].told.lock().expect("held for a moment").declined;
        assert!(declined.is_empty(), "it was told on the stream: {declined:?}");
    }
    // A step that the study does not have, a step twice, a step before a later one.
    check("study.rounds", async |world| world.conductor.ask_to_share(slot(6, 0)).await).await;
    check("task.attempt", async |world| {
        world.step(slot(1, 0), None).await;
        world.conductor.ask_to_share(slot(0, 7)).await;
    })
    .await;
    // In a new session the protocol's own memory is gone; the ledger's is not.
    check("task.attempt", async |world| {
        world.step(slot(0, 0), None).await;
        world.conductor.open(Summed::Training).await;
        world.conductor.ask_to_share(slot(0, 0)).await;
    })
    .await;
    // Another model than the request names, one of another round, one that is none.
    for (round, sent) in [(0, 1), (1, 1)] {
        check("task.model", async move |world| {
            let dealt = world.conductor.share(slot(0, 0)).await;
            let study = Arc::clone(&world.conductor.study);
            let (_, request) = dealt.0.request(Digest::of(&model(&study, round)));
            world.conductor.say(index(0), &dealt.1[&index(0)]).await;
            let bytes = model(&study, sent);
            let part = wire::SecurePart { bytes: bytes.into(), last: true };
            world.conductor.seats[&index(0)].say(secure_down::Part::Model(part)).await;
            world.conductor.say(index(0), &request).await;
        })
        .await;
    }
    check("task.model", async |world| {
        let part = wire::SecurePart { bytes: vec![7; 9].into(), last: true };
        world.conductor.seats[&index(0)].say(secure_down::Part::Model(part)).await;
    })
    .await;
    // Messages out of order, and bytes that are none.
    check("secagg.order", async |world| {
        let dealt = world.conductor.share(slot(0, 0)).await;
        let (_, request) = dealt.0.request(Digest::of(b"model"));
        world.conductor.say(index(0), &request).await;
    })
    .await;
    check("secagg.message", async |world| {
        let part = wire::SecurePart { bytes: vec![0; 9].into(), last: true };
        world.conductor.seats[&index(0)].say(secure_down::Part::Message(part)).await;
    })
    .await;
    // A grouping that nobody approved.
    check("study.grouping", async |world| {
        let sums = Some(secure_open::Sums::Grouping("postcode".into()));
        let open = wire::SecureOpen { number: 9, sums };
        world.conductor.seats[&index(0)].say(secure_down::Part::Open(open)).await;
    })
    .await;
    // The table went away behind a block's back, before anything of it was read: no use is taken up.
    check("data.table", async |world| {
        // A block is burnt only where the table is there: the site has shared, so that is over.
        let dealt = world.conductor.share(slot(0, 0)).await;
        std::fs::remove_file(world.houses[0].table()).expect("there");
        let study = Arc::clone(&world.conductor.study);
        drop(world.conductor.request(dealt, model(&study, 0)).await);
    })
    .await;
    // The hospital took a colleague off its list between two steps.
    check("policy.known_sites", async |world| {
        world.step(slot(0, 0), None).await;
        let path = world.houses[0].home().policy_path();
        let policy = std::fs::read_to_string(&path).expect("there");
        let kept: Vec<&str> = policy.lines().filter(|line| !line.starts_with("corby")).collect();
        std::fs::write(&path, kept.join("\n")).expect("written");
        let dealt = world.conductor.share(slot(1, 0)).await;
        let study = Arc::clone(&world.conductor.study);
        drop(world.conductor.request(dealt, model(&study, 1)).await);
    })
    .await;
}

#[tokio::test]
async fn plain_tasks_are_refused_and_nothing_leaves() {
    let world = World::new(3, &[]);
    let mut link = world.desks[0].link().await;
    let mut agent = world.houses[0].agent();
    let study = world.conductor.study.digest;
    for task in [
        Task::Train { study, round: 0, model: Digest::of(b"model") },
        Task::Evaluate { study, model: Digest::of(b"model") },
    ] {
        let done = agent.handle(&mut link, &task, Instant::now()).await;
        assert!(matches!(done, Err(TaskError::Refused(refusal)) if refusal.rule == "task.mode"), "{task:?}");
    }
    assert_eq!(agent.store.state().blocks(&study).count(), 0);
}

#[tokio::test]
async fn a_restart_aborts_blocks_and_no_use_is_taken_up_twice() {
    let mut world = World::started(3, &[]).await;
    world.conductor.open(Summed::Training).await;
    world.step(slot(0, 0), None).await;
    world.step(slot(1, 0), None).await;
    // Site 0 dies in the middle of a step: its masked vector is out, its sum is never known to it.
    let dealt = world.conductor.share(slot(2, 0)).await;
    let study = Arc::clone(&world.conductor.study);
    drop(world.conductor.request(dealt, model(&study, 2)).await);
    for site in 0..3 {
        let _: MaskedInput = world.conductor.hear(index(site)).await;
    }
    let running = world.running[0].take().expect("started");
    running.abort();
    let _ = running.await;
    world.conductor.seats.remove(&index(0));
    let agent = world.houses[0].agent();
    assert!(!agent.store.state().open_blocks().is_empty(), "it died with a block open");
    world.join(0, agent).await;
    world.conductor.open(Summed::Training).await;
    world.step(slot(2, 1), None).await;
    world.step(slot(3, 0), None).await;
    world.end().await;
    let masked = world.masked(0);
    let indices: Vec<u64> = masked.iter().map(|masked| masked.index).collect();
    assert!(indices.is_sorted_by(|a, b| a < b), "{indices:?}");
    assert!(indices[3] > indices[2] + 1 || masked[3].reserve != masked[2].reserve);
    let ledger = world.houses[0].ledger();
    assert!(
        ledger.state().blocks(&study.digest).filter(|(_, block)| block.next_use().is_some()).count() <= 1
    );
}

#[tokio::test]
async fn an_agent_stops_between_steps() {
    let mut world = World::new(4, &[]);
    for site in 0..3 {
        let agent = world.houses[site].agent();
        world.join(site, agent).await;
    }
    let agent = world.houses[3].agent();
    let stop = world.join_until(3, agent).await;
    world.conductor.open(Summed::Training).await;
    let dealt = world.conductor.share(slot(0, 0)).await;
    let study = Arc::clone(&world.conductor.study);
    // Told in the middle of a step, it brings that to its end: its vector is in, its shares are revealed.
    let inputs = world.conductor.request(dealt, model(&study, 0)).await;
    let inputs = world.conductor.gather(inputs).await;
    stop.send_replace(true);
    let record = world.conductor.finish(inputs).await;
    assert_eq!(record.survivors.len(), 4);
    let (agent, done) = world.left(3).await;
    assert!(done.is_ok(), "{done:?}");
    drop(agent);
    assert!(world.masked(3)[0].ended.is_some(), "how it ended was written before the stop");
    world.conductor.seats.remove(&index(3));
    world.conductor.open(Summed::Training).await;
    let (_, without) = world.step(slot(1, 0), None).await;
    assert_eq!(without.survivors.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn nothing_is_made_on_a_block_that_no_other_site_has_cosigned() {
    let mut world = World::started(3, &[]).await;
    world.desks[0].told.lock().expect("held for a moment").unwitnessed = true;
    world.conductor.open(Summed::Training).await;
    let drawn = world.drawn()[0];
    let dealt = world.conductor.share(slot(0, 0)).await;
    let study = Arc::clone(&world.conductor.study);
    drop(world.conductor.request(dealt, model(&study, 0)).await);
    for site in [1, 2] {
        let _: MaskedInput = world.conductor.hear(index(site)).await;
    }
    let seat = world.conductor.seats.get_mut(&index(0)).expect("seated");
    assert_eq!(seat.hear().await, Up::Ended);
    let (agent, done) = world.left(0).await;
    assert!(matches!(done, Err(TaskError::Unwitnessed)), "{done:?}");
    assert_eq!(world.drawn()[0], drawn + 1, "secrets to share, no noise and no sample");
    assert_eq!(agent.store.state().masked(&study.digest).count(), 0);
    // The block is kept for when somebody has.
    world.desks[0].told.lock().expect("held for a moment").unwitnessed = false;
    world.join(0, agent).await;
    world.conductor.open(Summed::Training).await;
    world.step(slot(0, 1), None).await;
    world.end().await;
    assert_eq!(world.masked(0)[0].index, 0);
}

/// At close nothing is released any more: where nobody is there who could cosign, nobody is waited for. A
/// release waits in any case.
#[tokio::test]
async fn a_ledger_is_handed_over_without_waiting_for_nobody() {
    let check = async |(unwitnessed, alone), at_close: bool, witnessed: bool, waits_ms: &[u32]| {
        let world = World::new(3, &[]);
        {
            let mut told = world.desks[0].told.lock().expect("held for a moment");
            (told.unwitnessed, told.alone) = (unwitnessed, alone);
        }
        let (mut agent, mut link) = (world.houses[0].agent(), world.desks[0].link().await);
        let study = world.conductor.study.digest;
        let done = if at_close {
            agent.cosign_at_close(&mut link, &study).await
        } else {
            agent.cosign(&mut link, &study).await
        };
        assert_eq!(done.is_ok(), at_close || witnessed, "{done:?}");
        let witnesses = agent.witnesses(&study).expect("a policy");
        assert_eq!((witnesses.len(), agent.store.is_witnessed(&witnesses)), (2, witnessed));
        assert_eq!(world.desks[0].told.lock().expect("held for a moment").waits_ms, waits_ms);
    };
    check((true, true), true, false, &[0]).await;
    check((true, false), true, false, &[0, 10_000, 10_000, 10_000, 10_000]).await;
    check((false, false), true, true, &[0]).await;
    check((true, true), false, false, &[10_000]).await;
    check((false, true), false, true, &[10_000]).await;
}

/// What suffices for a study of few hospitals covers no block of this one.
#[tokio::test]
async fn a_cosignature_for_another_study_covers_no_block() {
    let mut world = World::started(3, &[]).await;
    let study = Arc::clone(&world.conductor.study);
    world.conductor.end();
    let (mut agent, _) = world.left(0).await;
    world.desks[0].told.lock().expect("held for a moment").unwitnessed = true;
    agent.burn_block(&study, Summed::Training).expect("allowed");
    let of = agent.uses(&study.digest, Summed::Training).0.expect("burnt");
    // Of a study that is not in the ledger the witnesses are whom the policy knows: nobody.
    let policy = crate::policy::DEFAULT.as_bytes();
    std::fs::write(world.houses[0].home().policy_path(), policy).expect("written");
    let (other, mut link) = (Digest::of(b"another study"), world.desks[0].link().await);
    agent.cosign(&mut link, &other).await.expect("no witness is needed");
    assert!(agent.is_covered(&other, of) && !agent.is_covered(&study.digest, of));
    let begun = agent.begin_use(&study, of, slot(0, 0), Digest::of(b"model"));
    assert!(matches!(begun, Err(TaskError::Local(_))));
    let refused = agent.cosign(&mut link, &study.digest).await;
    assert!(matches!(refused, Err(TaskError::Unwitnessed)), "{refused:?}");
    world.desks[0].told.lock().expect("held for a moment").unwitnessed = false;
    agent.cosign(&mut link, &study.digest).await.expect("witnessed");
    assert!(agent.is_covered(&study.digest, of));
}
