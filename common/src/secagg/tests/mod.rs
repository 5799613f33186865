//! Whole runs: honest sites under an honest coordinator here, and in the files below under a hostile
//! one, which holds everything that the coordinator sees and may change every message.

mod mutants;
mod reroll;
mod setup_attacks;
mod siege;
mod statistics;
mod step_attacks;
mod sums;
mod unmask_attacks;
mod vectors;

use super::coordinator::{self, Inputs, SecureSum, Shared, Surviving, Unmasking};
use super::message::{Message, SessionKeys};
use super::site::{self, Masked, Ready, Reserve, Signed, Unmasked};
use super::{
    Agreement, NoiseShare, NoisedInput, Refusal, Roster, SecureParameters, SiteIndex, Slot, Terms, Transcript,
};
use crate::id::Digest;
use crate::key::SecretKey;
use crate::privacy::noise::{SecretRng, secret_rng};
use std::collections::{BTreeMap, BTreeSet};

/// σ of the tests, lattice units: shares stay above the least that is allowed for all n here.
const SIGMA: u64 = 1 << 14;

type PerSite<T> = BTreeMap<SiteIndex, T>;
type Sites = BTreeSet<SiteIndex>;
/// States, the coordinator's, and every site's noised integers.
type MaskedSites = (PerSite<Masked>, Inputs, PerSite<Vec<i64>>);

fn index(site: u8) -> SiteIndex {
    SiteIndex::new(site).expect("not 0")
}

fn sites(indices: impl IntoIterator<Item = u8>) -> Sites {
    indices.into_iter().map(index).collect()
}

fn model() -> Digest {
    Digest::of(b"model")
}

const FIRST: Slot = Slot { step: 0, attempt: 0 };

fn identity(site: u8) -> SecretKey {
    SecretKey::from_seed(&[site; 32])
}

fn agreement_with(n: u8, t: u8, colluding: u8, dimension: usize, batch_cap: u64) -> Agreement {
    let parameters = SecureParameters::decide(n.into(), t, colluding, 1 << 18, batch_cap, SIGMA);
    let terms = Terms::new(parameters.expect("allowed"), dimension, 1.0, 0.1).expect("allowed");
    let roster =
        Roster::new((1..=n).map(|i| (format!("site-{i:03}").parse().expect("a name"), identity(i).public())));
    Agreement::new(Digest::of(b"study"), roster.expect("a roster"), terms).expect("agrees")
}

/// Sites and a coordinator with an open session.
struct World {
    agreement: Agreement,
    identities: PerSite<SecretKey>,
    sites: PerSite<site::Session>,
    coordinator: coordinator::Session,
    keys: SessionKeys,
    rng: SecretRng,
    uses: u64,
}

/// What goes over the wire: encoded and parsed.
fn sent<M: Message>(message: &M) -> M {
    M::from_bytes(&message.to_bytes()).expect("an own message parses")
}

impl World {
    fn new(n: u8, t: u8, colluding: u8, dimension: usize) -> Self {
        Self::open(agreement_with(n, t, colluding, dimension, 64), [7; 32])
    }

    fn open(agreement: Agreement, seed: [u8; 32]) -> Self {
        let mut rng = secret_rng(seed);
        let n = agreement.terms().parameters().sites();
        let identities: PerSite<SecretKey> = (1..=n).map(|i| (index(i), identity(i))).collect();
        let mut setup = coordinator::Setup::new(agreement.clone(), 1);
        let mut joining = BTreeMap::new();
        for (&i, identity) in &identities {
            let (state, key) =
                site::Joining::new(agreement.clone(), identity, 1, &mut rng).expect("on the roster");
            setup.accept(&sent(&key)).expect("a good key");
            joining.insert(i, state);
        }
        let (coordinator, keys) = setup.close().expect("enough");
        let keys = sent(&keys);
        let sites: PerSite<site::Session> =
            joining.into_iter().map(|(i, state)| (i, state.open(&keys).expect("good keys"))).collect();
        assert!(sites.values().all(|session| session.digest() == coordinator.digest()));
        Self { agreement, identities, sites, coordinator, keys, rng, uses: 0 }
    }

    fn all(&self) -> Sites {
        self.sites.keys().copied().collect()
    }

    /// The sites in `who` share; all of them get their deliveries.
    fn share(&mut self, slot: Slot, who: &Sites) -> Result<(PerSite<Ready>, Shared), Refusal> {
        let mut gathering = self.coordinator.begin(slot)?;
        let mut sharing = BTreeMap::new();
        for &i in who {
            let session = self.sites.get_mut(&i).expect("a site");
            let (state, shares) = session.share(&self.identities[&i], slot, &mut self.rng)?;
            gathering.accept(sent(&shares))?;
            sharing.insert(i, state);
        }
        let (shared, deliveries) = gathering.close()?;
        let ready = sharing
            .into_iter()
            .map(|(i, state)| Ok((i, state.receive(&self.sites[&i], &sent(&deliveries[&i]))?)));
        Ok((ready.collect::<Result<_, Refusal>>()?, shared))
    }

    fn reserve(&mut self, slot: Slot, model: Digest) -> Reserve {
        self.uses += 1;
        Reserve { study: self.agreement.study(), slot, model, use_index: self.uses }
    }

    /// A site's integers, which depend on nothing but site and lane, with fresh noise on.
    fn input(&mut self, site: SiteIndex) -> NoisedInput {
        let terms = *self.agreement.terms();
        let noise = NoiseShare::draw(terms.parameters(), terms.dimension(), &mut self.rng);
        noise.add_to(plain(site, terms.dimension()))
    }

    /// All ready sites mask; the vectors of `lost` do not arrive. Returns the plain integers too.
    fn mask(&mut self, ready: PerSite<Ready>, shared: Shared, lost: &Sites) -> Result<MaskedSites, Refusal> {
        let (mut inputs, request) = shared.request(model());
        let request = sent(&request);
        let (mut masked, mut plain) = (BTreeMap::new(), BTreeMap::new());
        for (i, state) in ready {
            let input = self.input(i);
            plain.insert(i, input.values().to_vec());
            let reserve = self.reserve(state.slot(), model());
            let session = self.sites.get_mut(&i).expect("a site");
            let (state, message) = state.mask(session, &self.identities[&i], &request, &reserve, &input)?;
            if !lost.contains(&i) {
                inputs.accept(&sent(&message))?;
            }
            masked.insert(i, state);
        }
        Ok((masked, inputs, plain))
    }

    /// The sites whose vectors arrived sign, but for `lost`.
    fn sign(
        &self,
        mut masked: PerSite<Masked>,
        inputs: Inputs,
        lost: &Sites,
    ) -> Result<(PerSite<Signed>, Surviving), Refusal> {
        let (mut surviving, survivors) = inputs.close()?;
        let survivors = sent(&survivors);
        let mut signed = BTreeMap::new();
        for i in survivors.survivors.keys().copied() {
            let state = masked.remove(&i).expect("it masked");
            let (state, message) = state.sign(&self.sites[&i], &self.identities[&i], &survivors)?;
            if !lost.contains(&i) {
                surviving.accept(&sent(&message))?;
            }
            signed.insert(i, state);
        }
        Ok((signed, surviving))
    }

    /// All survivors reveal their shares, but for `lost`.
    fn unmask(
        &self,
        signed: PerSite<Signed>,
        surviving: Surviving,
        lost: &Sites,
    ) -> Result<(PerSite<Unmasked>, Unmasking), Refusal> {
        let (mut unmasking, certificate) = surviving.close()?;
        let certificate = sent(&certificate);
        let mut unmasked = BTreeMap::new();
        for (i, state) in signed {
            let (state, message) = state.unmask(&self.sites[&i], &certificate)?;
            if !lost.contains(&i) {
                unmasking.accept(sent(&message))?;
            }
            unmasked.insert(i, state);
        }
        Ok((unmasked, unmasking))
    }

    /// One attempt with dropouts at each phase: before sharing, masking, signing and unmasking.
    fn run(&mut self, slot: Slot, lost: &[Sites; 4]) -> Result<Outcome, Refusal> {
        let who = &self.all() - &lost[0];
        let (ready, shared) = self.share(slot, &who)?;
        let (masked, inputs, plain) = self.mask(ready, shared, &lost[1])?;
        let (signed, surviving) = self.sign(masked, inputs, &lost[2])?;
        let (unmasked, unmasking) = self.unmask(signed, surviving, &lost[3])?;
        let (sum, result) = unmasking.close()?;
        let result = sent(&result);
        let transcripts =
            unmasked.into_values().map(|state| state.finish(&result)).collect::<Result<_, _>>()?;
        Ok(Outcome { sum, transcripts, plain })
    }
}

struct Outcome {
    sum: SecureSum,
    transcripts: Vec<Transcript>,
    /// The noised integers of every site that masked.
    plain: PerSite<Vec<i64>>,
}

impl Outcome {
    /// The sum over the survivors, in the clear.
    fn expected(&self) -> Vec<i64> {
        add(self.sum.transcript.survivors.keys().map(|i| &self.plain[i]))
    }
}

fn nobody() -> [Sites; 4] {
    [const { Sites::new() }; 4]
}

fn add<'a>(vectors: impl Iterator<Item = &'a Vec<i64>>) -> Vec<i64> {
    vectors.fold(Vec::new(), |mut sum, vector| {
        sum.resize(vector.len(), 0);
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
        sum
    })
}

/// A site's integers before noise.
fn plain(site: SiteIndex, dimension: usize) -> Vec<i64> {
    (0..dimension as i64)
        .map(|lane| (lane * 7919 + i64::from(site.get()) * 104_729) % 60_000 - 30_000)
        .collect()
}

/// A χ² statistic as a standard normal deviate (Wilson and Hilferty 1931).
fn deviate(statistic: f64, freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}
