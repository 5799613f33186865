//! The other hospitals of a secure sum and an honest coordinator, all of them the test's: they follow the
//! protocol among themselves, so that one real agent's part in it can be lied to and looked at.

use consilium_common::id::Digest;
use consilium_common::key::SecretKey;
use consilium_common::privacy::noise::{DiscreteGaussian, SecretRng, secret_rng};
use consilium_common::secagg::coordinator::{self, Inputs, SecureSum, Shared, Surviving, Unmasking};
use consilium_common::secagg::message::{
    MaskedInput, SessionKey, SessionKeys, ShareDelivery, Shares, StepRequest, StepResult, Survivors,
    SurvivorsCertificate, SurvivorsSignature, Unmask,
};
use consilium_common::secagg::site::{Joining, Masked, Ready, Reserve, Session, Sharing, Signed};
use consilium_common::secagg::{
    Agreement, NoiseShare, NoisedInput, Refusal, SecureParameters, SiteIndex, Slot,
};
use rand_core::Rng as _;
use std::collections::BTreeMap;

/// By place on the roster.
pub type PerSite<T> = BTreeMap<SiteIndex, T>;

/// The place on the roster of the one real agent.
#[must_use]
pub const fn victim() -> SiteIndex {
    index(1)
}

/// A place on the roster.
///
/// # Panics
/// It is 0.
#[must_use]
pub const fn index(site: u8) -> SiteIndex {
    SiteIndex::new(site).expect("counted from 1")
}

/// An open session: the coordinator's side of it, and every other hospital's.
pub struct Peers {
    /// What all agreed on.
    pub agreement: Agreement,
    /// What each of the other hospitals signs with.
    pub identities: PerSite<SecretKey>,
    coordinator: coordinator::Session,
    sessions: PerSite<Session>,
    rng: SecretRng,
    uses: u64,
    /// What each of them adds to a sum in every lane, lattice units; their noise is taken off again, so
    /// that a sum shows what the real agent added.
    pub adds: i64,
}

/// An attempt between two messages of the real agent: after each, the coordinator's state and the others'.
pub struct Dealing {
    gathering: coordinator::Sharing,
    states: PerSite<Sharing>,
}

/// All have shared.
pub struct Dealt {
    shared: Shared,
    ready: PerSite<Ready>,
}

/// The masked vectors are on their way.
pub struct Masking {
    inputs: Inputs,
    masked: PerSite<Masked>,
}

/// The survivors sign.
pub struct Signing {
    surviving: Surviving,
    signed: PerSite<Signed>,
    /// What the honest ones of them were told.
    pub survivors: Survivors,
    signatures: PerSite<SurvivorsSignature>,
}

/// The survivors reveal.
pub struct Revealing {
    unmasking: Unmasking,
}

impl Peers {
    /// Opens a session with the real agent's key, if it sent one; the others of it are `identities`.
    ///
    /// # Panics
    /// The key is not good, or there are too few.
    #[must_use]
    pub fn open(
        agreement: Agreement,
        identities: PerSite<SecretKey>,
        number: u64,
        own: Option<&SessionKey>,
    ) -> (Self, SessionKeys) {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let mut rng = secret_rng(seed);
        let mut setup = coordinator::Setup::new(agreement.clone(), number);
        if let Some(own) = own {
            setup.accept(own).expect("a good key of the real agent");
        }
        let joining: PerSite<Joining> = identities
            .iter()
            .map(|(&site, identity)| {
                let (state, key) =
                    Joining::new(agreement.clone(), identity, number, &mut rng).expect("listed");
                setup.accept(&key).expect("good");
                (site, state)
            })
            .collect();
        let (coordinator, keys) = setup.close().expect("enough");
        let sessions =
            joining.into_iter().map(|(site, state)| (site, state.open(&keys).expect("good"))).collect();
        (Self { agreement, identities, coordinator, sessions, rng, uses: 0, adds: 0 }, keys)
    }

    /// The name of the session.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.coordinator.digest()
    }

    /// The others share for an attempt; those in `silent` do not.
    ///
    /// # Panics
    /// The attempt was begun before.
    pub fn begin(&mut self, slot: Slot, silent: &[SiteIndex]) -> Dealing {
        let mut gathering = self.coordinator.begin(slot).expect("a later attempt");
        let mut states = BTreeMap::new();
        for (&site, session) in self.sessions.iter_mut().filter(|(site, _)| !silent.contains(site)) {
            let (state, shares) =
                session.share(&self.identities[&site], slot, &mut self.rng).expect("a later attempt");
            gathering.accept(shares).expect("good");
            states.insert(site, state);
        }
        Dealing { gathering, states }
    }

    /// Everybody has what was dealt to them; what the real agent is to be given, if it takes part.
    ///
    /// # Errors
    /// Its shares are not good.
    ///
    /// # Panics
    /// Too few are left.
    pub fn deal(
        &mut self,
        dealing: Dealing,
        own: Option<Shares>,
    ) -> Result<(Dealt, Option<ShareDelivery>), Refusal> {
        let Dealing { mut gathering, states } = dealing;
        if let Some(own) = own {
            gathering.accept(own)?;
        }
        let (shared, mut deliveries) = gathering.close().expect("enough");
        let ready = states
            .into_iter()
            .map(|(site, state)| {
                let delivery = deliveries.remove(&site).expect("one for each");
                (site, state.receive(&self.sessions[&site], &delivery).expect("as dealt"))
            })
            .collect();
        Ok((Dealt { shared, ready }, deliveries.remove(&victim())))
    }

    /// The others mask; those in `silent` do not. The request for the real agent.
    ///
    /// # Panics
    /// A state of the others refuses.
    pub fn mask(&mut self, dealt: Dealt, model: Digest, silent: &[SiteIndex]) -> (Masking, StepRequest) {
        let Dealt { shared, ready } = dealt;
        let (mut inputs, request) = shared.request(model);
        let mut masked = BTreeMap::new();
        for (site, state) in ready.into_iter().filter(|(site, _)| !silent.contains(site)) {
            let input = self.input();
            self.uses += 1;
            let slot = state.slot();
            let reserve = Reserve { study: self.agreement.study(), slot, model, use_index: self.uses };
            let session = self.sessions.get_mut(&site).expect("a session for each");
            let identity = &self.identities[&site];
            let (state, message) =
                state.mask(session, identity, &request, &reserve, &input).expect("as asked");
            inputs.accept(&message).expect("good");
            masked.insert(site, state);
        }
        (Masking { inputs, masked }, request)
    }

    fn input(&mut self) -> NoisedInput {
        let terms = *self.agreement.terms();
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        exactly(terms.parameters(), &vec![self.adds; terms.dimension()], seed)
    }

    /// Those whose vectors came are the survivors; the others sign that.
    ///
    /// # Panics
    /// The real agent's vector is not good, or there are too few.
    #[must_use]
    pub fn sign(&self, masking: Masking, own: Option<&MaskedInput>) -> Signing {
        let Masking { mut inputs, masked } = masking;
        if let Some(own) = own {
            inputs.accept(own).expect("a good vector of the real agent");
        }
        let (surviving, survivors) = inputs.close().expect("enough");
        let (mut signed, mut signatures) = (BTreeMap::new(), BTreeMap::new());
        for (site, state) in masked {
            let (state, message) =
                state.sign(&self.sessions[&site], &self.identities[&site], &survivors).expect("as it is");
            signatures.insert(site, message);
            signed.insert(site, state);
        }
        Signing { surviving, signed, survivors, signatures }
    }

    /// The others reveal, on a certificate with the real agent's signature in it, if it came.
    ///
    /// # Panics
    /// There are too few.
    pub fn reveal(
        &self,
        signing: Signing,
        own: Option<&SurvivorsSignature>,
    ) -> (Revealing, SurvivorsCertificate, Result<(), Refusal>) {
        let Signing { mut surviving, signed, signatures, .. } = signing;
        for signature in signatures.values() {
            surviving.accept(signature).expect("a good signature");
        }
        let taken = own.map_or(Ok(()), |own| surviving.accept(own).map(|_| ()));
        let (mut unmasking, certificate) = surviving.close().expect("enough");
        for (site, state) in signed {
            let (_, message) = state.unmask(&self.sessions[&site], &certificate).expect("as it is");
            unmasking.accept(message).expect("good");
        }
        (Revealing { unmasking }, certificate, taken)
    }

    /// The sum, and whether the real agent's shares, if they came, are as they should be. The others' are
    /// enough.
    ///
    /// # Panics
    /// There are too few.
    pub fn sum(
        &self,
        revealing: Revealing,
        own: Option<Unmask>,
    ) -> (SecureSum, StepResult, Result<(), Refusal>) {
        let Revealing { mut unmasking } = revealing;
        let taken = own.map_or(Ok(()), |own| unmasking.accept(own).map(|_| ()));
        let (sum, result) = unmasking.close().expect("enough");
        (sum, result, taken)
    }
}

/// An input of exactly these integers: what is added is less the noise that is drawn with this seed.
fn exactly(parameters: &SecureParameters, values: &[i64], seed: [u8; 32]) -> NoisedInput {
    let gaussian = DiscreteGaussian::new(parameters.sigma_share_units()).expect("drawable");
    let noise = gaussian.vector(&mut secret_rng(seed), values.len());
    let less = values.iter().zip(noise.iter()).map(|(value, noise)| value - noise).collect();
    NoiseShare::draw(parameters, values.len(), &mut secret_rng(seed)).add_to(less)
}
