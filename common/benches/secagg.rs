//! What a secure step costs over a plain one: at a site (sharing, receiving, masking, unmasking) and at
//! the coordinator (taking masks off, with dropouts). Cases are sites, lanes, and how many drop out after
//! sharing. All figures are of one thread.
//!
//! First, where no argument chooses a bench: the CPU time of one site's whole step, beside that of a plain step
//! (the same vector encoded, and its digest), and the limits that they are held to. Noise and gradients cost the
//! same in both, and are in neither.

#[expect(dead_code, reason = "each bench uses its part")]
mod limit;

use consilium_common::id::Digest;
use consilium_common::key::SecretKey;
use consilium_common::model::blob::{self, UpdateHeader};
use consilium_common::privacy::noise::{SecretRng, secret_rng};
use consilium_common::secagg::coordinator::{self, Inputs, Unmasking};
use consilium_common::secagg::message::{
    MaskedInput, ShareDelivery, StepRequest, Survivors, SurvivorsCertificate,
};
use consilium_common::secagg::site::{self, Masked, Ready, Reserve, Sharing};
use consilium_common::secagg::{
    Agreement, NoiseShare, NoisedInput, Roster, SecureParameters, SiteIndex, Slot, Terms,
    recommended_threshold,
};
use divan::Bencher;
use std::collections::BTreeMap;

/// Sites, lanes.
const CASES: [(u8, usize); 2] = [(20, 100_000), (100, 1_000_000)];
/// Sites, lanes, sites that drop out.
const DROPOUTS: [(u8, usize, usize); 3] = [(20, 100_000, 0), (20, 100_000, 2), (100, 100_000, 10)];

/// Where a limit stands.
#[derive(Clone, Copy)]
enum Limit {
    /// What a secure step takes more than a plain one, seconds.
    More(f64),
    /// All of it, seconds.
    All(f64),
}

/// Sites, lanes, runs, limit. The system counts a thread's time in steps of up to 4 ms: short ones run often.
const STEPS: [(u8, usize, u32, Limit); 2] =
    [(20, 100_000, 40, Limit::More(0.010)), (100, 1_000_000, 3, Limit::All(1.0))];

fn main() {
    // Cargo says --bench.
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        println!("CPU ms of one site's step, mean");
        println!(
            "sites    lanes  runs   share  receive     mask  sign, unmask   secure    plain      limit  share of it"
        );
        for (n, lanes, runs, limit) in STEPS {
            step_beside_plain(n, lanes, runs, limit);
        }
    }
    divan::main();
}

/// One row of the table.
fn step_beside_plain(n: u8, lanes: usize, runs: u32, limit: Limit) {
    let mut world = World::new(n, lanes);
    // What a site signs and reveals does not depend on the lanes, and the others must have masked for it.
    let mut narrow = World::new(n, 1);
    let (input, narrow_input) = (world.input(), narrow.input());
    let values = vec![1; lanes];
    let mut spent = [0.0; 5];
    for _ in 0..runs {
        let (states, shared, deliveries) = world.share_first(&mut spent[0]);
        let delivery = world.delivery(&deliveries, 0);
        let ready = on_cpu(&mut spent[1], || states.receive(&world.sites[0], delivery).expect("good"));
        let request = shared.request(Digest::of(b"model")).1;
        let masked = on_cpu(&mut spent[2], || world.mask(0, ready, &request, &input));
        drop(masked);
        let (first, survivors, certificate) = certified(&mut narrow, &narrow_input);
        on_cpu(&mut spent[3], || {
            let (signed, _) = first.sign(&narrow.sites[0], &narrow.identities[0], &survivors).expect("signs");
            signed.unmask(&narrow.sites[0], &certificate).expect("reveals")
        });
        on_cpu(&mut spent[4], || plain(&values));
    }
    let ms = spent.map(|s| s * 1e3 / f64::from(runs));
    let [share, receive, mask, unmask, plain] = ms;
    let secure = share + receive + mask + unmask;
    let (held, limit, of) = match limit {
        Limit::More(limit_s) => (secure - plain, limit_s * 1e3, "more"),
        Limit::All(limit_s) => (secure, limit_s * 1e3, "all"),
    };
    println!(
        "{n:5} {lanes:8} {runs:5} {share:7.2} {receive:8.2} {mask:8.2} {unmask:13.2} {secure:8.2} {plain:8.2} \
         {limit:5.0} {of:>4} {:12.2}",
        held / limit
    );
}

/// Adds this thread's time on a CPU.
fn on_cpu<T>(spent_s: &mut f64, run: impl FnOnce() -> T) -> T {
    let now = || limit::cpu_s().expect("the system says how long a thread was on a CPU");
    let before = now();
    let done = divan::black_box(run());
    *spent_s += now() - before;
    done
}

/// What a site does with a finished vector in a plain step.
fn plain(values: &[i32]) -> (Vec<u8>, Digest) {
    let header = UpdateHeader {
        schema: "update/1".into(),
        study: Digest::of(b"study"),
        round: 0,
        model: Digest::of(b"model"),
        site: "site-001".parse().expect("a name"),
        parameters: values.len(),
    };
    let bytes = blob::encode(&header, values);
    let digest = Digest::of(&bytes);
    (bytes, digest)
}

struct World {
    identities: Vec<SecretKey>,
    sites: Vec<site::Session>,
    coordinator: coordinator::Session,
    rng: SecretRng,
    slots: u32,
    terms: Terms,
}

impl World {
    fn new(n: u8, lanes: usize) -> Self {
        let (t, colluding) = recommended_threshold(n.into()).expect("enough sites");
        let parameters = SecureParameters::decide(n.into(), t, colluding, 1 << 18, 2048, 1 << 19);
        let terms = Terms::new(parameters.expect("allowed"), lanes, 1.0, 0.1).expect("allowed");
        let identities: Vec<SecretKey> = (1..=n).map(|i| SecretKey::from_seed(&[i; 32])).collect();
        let names = identities
            .iter()
            .enumerate()
            .map(|(i, key)| (format!("site-{i:03}").parse().expect("a name"), key.public()));
        let roster = Roster::new(names).expect("a roster");
        let agreement = Agreement::new(Digest::of(b"study"), roster, terms).expect("agrees");
        let mut rng = secret_rng([1; 32]);
        let mut setup = coordinator::Setup::new(agreement.clone(), 1);
        let mut joining = Vec::new();
        for identity in &identities {
            let (state, key) = site::Joining::new(agreement.clone(), identity, 1, &mut rng).expect("listed");
            setup.accept(&key).expect("good");
            joining.push(state);
        }
        let (coordinator, keys) = setup.close().expect("enough");
        let sites = joining.into_iter().map(|state| state.open(&keys).expect("good")).collect();
        Self { identities, sites, coordinator, rng, slots: 0, terms }
    }

    /// Everybody shares.
    fn share(&mut self) -> (Vec<Sharing>, coordinator::Shared, BTreeMap<SiteIndex, ShareDelivery>) {
        self.share_timed(&mut 0.0)
    }

    /// As [`Self::share`], with the first site's state alone, and how long that one was on a CPU.
    fn share_first(
        &mut self,
        spent_s: &mut f64,
    ) -> (Sharing, coordinator::Shared, BTreeMap<SiteIndex, ShareDelivery>) {
        let (mut states, shared, deliveries) = self.share_timed(spent_s);
        (states.swap_remove(0), shared, deliveries)
    }

    fn share_timed(
        &mut self,
        first_s: &mut f64,
    ) -> (Vec<Sharing>, coordinator::Shared, BTreeMap<SiteIndex, ShareDelivery>) {
        let slot = Slot { step: self.slots, attempt: 0 };
        self.slots += 1;
        let mut gathering = self.coordinator.begin(slot).expect("a new slot");
        let mut states = Vec::new();
        for (at, (session, identity)) in self.sites.iter_mut().zip(&self.identities).enumerate() {
            let rng = &mut self.rng;
            let mut share = || session.share(identity, slot, rng).expect("a new slot");
            let (state, shares) = if at == 0 { on_cpu(first_s, share) } else { share() };
            gathering.accept(shares).expect("good");
            states.push(state);
        }
        let (shared, deliveries) = gathering.close().expect("enough");
        (states, shared, deliveries)
    }

    fn delivery<'a>(
        &self,
        deliveries: &'a BTreeMap<SiteIndex, ShareDelivery>,
        at: usize,
    ) -> &'a ShareDelivery {
        &deliveries[&self.sites[at].own()]
    }

    fn input(&mut self) -> NoisedInput {
        let lanes = self.terms.dimension();
        // One noise value costs about half a microsecond, with or without secure aggregation.
        NoiseShare::draw(self.terms.parameters(), lanes, &mut self.rng).add_to(vec![1; lanes])
    }

    fn mask(
        &mut self,
        at: usize,
        ready: Ready,
        request: &StepRequest,
        input: &NoisedInput,
    ) -> (Masked, MaskedInput) {
        let binding = &request.binding;
        let reserve = Reserve {
            study: binding.share.study,
            slot: binding.share.slot,
            model: binding.model,
            use_index: binding.share.slot.step.into(),
        };
        ready.mask(&mut self.sites[at], &self.identities[at], request, &reserve, input).expect("masks")
    }
}

/// A site's sharing: fresh secrets, n sealed shares.
#[divan::bench(args = CASES, sample_count = 10)]
fn site_share(bencher: Bencher<'_, '_>, (n, _): (u8, usize)) {
    let mut world = World::new(n, 1);
    let mut step = 0;
    bencher.bench_local(|| {
        step += 1;
        let slot = Slot { step, attempt: 0 };
        world.sites[0].share(&world.identities[0], slot, &mut world.rng).expect("a new slot")
    });
}

/// A site's receiving: n signatures, n key agreements, n boxes.
#[divan::bench(args = CASES, sample_count = 5, sample_size = 1)]
fn site_receive(bencher: Bencher<'_, '_>, (n, _): (u8, usize)) {
    let world = std::cell::RefCell::new(World::new(n, 1));
    bencher
        .with_inputs(|| {
            let mut world = world.borrow_mut();
            let (mut states, _, deliveries) = world.share();
            let delivery = world.delivery(&deliveries, 0).clone();
            (states.swap_remove(0), delivery)
        })
        .bench_local_values(|(state, delivery)| {
            state.receive(&world.borrow().sites[0], &delivery).expect("good")
        });
}

/// A site's masking: n key streams over all lanes, a digest, a signature.
#[divan::bench(args = CASES, sample_count = 5, sample_size = 1)]
fn site_mask(bencher: Bencher<'_, '_>, (n, lanes): (u8, usize)) {
    let world = std::cell::RefCell::new(World::new(n, lanes));
    let input = world.borrow_mut().input();
    bencher
        .with_inputs(|| {
            let mut world = world.borrow_mut();
            let (mut states, shared, deliveries) = world.share();
            let delivery = world.delivery(&deliveries, 0).clone();
            let ready = states.swap_remove(0).receive(&world.sites[0], &delivery).expect("good");
            (ready, shared.request(Digest::of(b"model")).1)
        })
        .bench_local_values(|(ready, request)| world.borrow_mut().mask(0, ready, &request, &input));
}

/// All of an attempt up to the survivors' messages, for the two benches below; the last `dropouts` sites
/// do not mask.
fn masked(world: &mut World, dropouts: usize, input: &NoisedInput) -> (Vec<Masked>, Inputs) {
    let (states, shared, deliveries) = world.share();
    let (mut inputs, request) = shared.request(Digest::of(b"model"));
    let survivors = states.len() - dropouts;
    let mut masked = Vec::new();
    for (at, state) in states.into_iter().take(survivors).enumerate() {
        let delivery = world.delivery(&deliveries, at);
        let ready = state.receive(&world.sites[at], delivery).expect("good");
        let (state, message) = world.mask(at, ready, &request, input);
        inputs.accept(&message).expect("good");
        masked.push(state);
    }
    (masked, inputs)
}

fn unmasking(world: &mut World, dropouts: usize, input: &NoisedInput) -> Unmasking {
    let (states, inputs) = masked(world, dropouts, input);
    let (mut surviving, survivors) = inputs.close().expect("enough");
    let mut signed = Vec::new();
    for (at, state) in states.into_iter().enumerate() {
        let (state, message) =
            state.sign(&world.sites[at], &world.identities[at], &survivors).expect("signs");
        surviving.accept(&message).expect("good");
        signed.push(state);
    }
    let (mut unmasking, certificate) = surviving.close().expect("enough");
    for (at, state) in signed.into_iter().enumerate() {
        let (_, message) = state.unmask(&world.sites[at], &certificate).expect("reveals");
        unmasking.accept(message).expect("good");
    }
    unmasking
}

/// The first site before it signs, whom it is told that survived, and what t others signed.
fn certified(world: &mut World, input: &NoisedInput) -> (Masked, Survivors, SurvivorsCertificate) {
    let (mut states, inputs) = masked(world, 0, input);
    let (mut surviving, survivors) = inputs.close().expect("enough");
    let first = states.remove(0);
    for (at, state) in (1..).zip(states) {
        let (_, message) = state.sign(&world.sites[at], &world.identities[at], &survivors).expect("signs");
        surviving.accept(&message).expect("good");
    }
    (first, survivors, surviving.close().expect("enough without the first").1)
}

/// A site's last two messages: signing, checking t signatures, revealing.
#[divan::bench(args = [20, 100], sample_count = 5, sample_size = 1)]
fn site_sign_and_unmask(bencher: Bencher<'_, '_>, n: u8) {
    let world = std::cell::RefCell::new(World::new(n, 1));
    let input = world.borrow_mut().input();
    bencher.with_inputs(|| certified(&mut world.borrow_mut(), &input)).bench_local_values(
        |(state, survivors, certificate)| {
            let world = world.borrow();
            let (signed, _) = state.sign(&world.sites[0], &world.identities[0], &survivors).expect("signs");
            signed.unmask(&world.sites[0], &certificate).expect("reveals")
        },
    );
}

/// The coordinator's unmasking: a key stream for each survivor, and one for each pair of a survivor and a
/// site that dropped out.
#[divan::bench(args = DROPOUTS, sample_count = 2, sample_size = 1)]
fn coordinator_unmask(bencher: Bencher<'_, '_>, (n, lanes, dropouts): (u8, usize, usize)) {
    let world = std::cell::RefCell::new(World::new(n, lanes));
    let input = world.borrow_mut().input();
    bencher
        .with_inputs(|| unmasking(&mut world.borrow_mut(), dropouts, &input))
        .bench_local_values(|unmasking| unmasking.close().expect("a sum"));
}
