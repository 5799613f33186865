//! A bundle of a distributed study, made by the machines of the secure sum themselves, from fixed keys and
//! fixed chance. Four sites take part and three must answer. In round 0 one site drops out after it has
//! masked; round 1 fails once and succeeds at the second attempt, whose end one site does not record.

use super::{Map, Site, begin, key};
use consilium_common::id::{Digest, SiteName};
use consilium_common::ledger::entry::Body;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::model::export::{architecture_json, safetensors_bytes};
use consilium_common::model::step::ServerStep;
use consilium_common::privacy::clip::Lattice;
use consilium_common::privacy::noise::{SecretRng, secret_rng};
use consilium_common::secagg::{
    Agreement, NoiseShare, SiteIndex, Slot, SumRecord, coordinator, message::SessionKeys, site,
};
use consilium_common::study::secure::{self, Summed};
use consilium_common::study::{self, RosterSite, Study, card};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// All of them take part, by the seed of their key.
pub const SITES: [(&str, u8); 4] = [("ashford", 1), ("brackley", 2), ("corby", 3), ("dunmore", 4)];

/// The golden study in distributed mode.
pub static STUDY: LazyLock<String> = LazyLock::new(|| {
    [
        ("mode              = \"local\"", "mode              = \"distributed\"\ncolluding         = 1"),
        ("weight = 1.5", "weight = 1.0"),
        ("weight = 0.8", "weight = 1.0"),
        ("local_steps      = 4", "local_steps      = 1"),
        ("spare_rounds     = 1", "spare_rounds     = 2"),
        ("quorum           = 2", "quorum           = 3"),
        ("accountant        = \"rdp\"", "accountant        = \"pld\""),
    ]
    .iter()
    .fold(super::STUDY.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
});

/// What goes otherwise than in [`make`].
#[derive(Clone, Copy, Default)]
pub struct Plan {
    /// Sites that record no end of the sums of `overall`.
    pub silent: &'static [&'static str],
    /// Sums that the coordinator tells nobody of: earmark and step.
    pub untold: &'static [(u32, u32)],
    /// Done to every ledger before the study is closed in it.
    pub before_the_end: Option<fn(&mut Site, &Study)>,
    /// Rounds of training, where they are more than the golden study's two.
    pub rounds: Option<u32>,
    /// With an attribute of which it is only counted how often it is recorded.
    pub completeness: bool,
}

pub fn study() -> Study {
    study::parse(STUDY.as_bytes()).expect("a study")
}

fn text(plan: &Plan) -> String {
    let edit = |rounds: u32| STUDY.replace("rounds           = 2", &format!("rounds           = {rounds}"));
    let text = plan.rounds.map_or_else(|| STUDY.clone(), edit);
    if plan.completeness { super::with_completeness(&text) } else { text }
}

/// The bundle, and the ledgers in it.
pub fn make() -> (Map, Vec<Site>) {
    make_with(Plan::default())
}

pub fn make_with(plan: Plan) -> (Map, Vec<Site>) {
    let text = text(&plan);
    let study = study::parse(text.as_bytes()).expect("a study");
    let mut map = Map::new();
    map.insert("study.toml".into(), text.into());
    let sites = begin(&study, &SITES, &mut map);
    let mut run = Run { study: &study, sites, rng: secret_rng([5; 32]), sessions: 0, untold: plan.untold };

    let architecture = study.architecture();
    let mut values = study.initial_parameters();
    let mut header = ModelHeader { schema: "model/1".into(), study: study.digest, round: 0, architecture };
    let mut session = run.open(Summed::Training);
    let digest = |header: &ModelHeader, values: &[i32]| Digest::of(&blob::encode(header, values));
    for round in 0..study.privacy.training.rounds {
        let attempts: &[(u32, &[&str])] = match round {
            0 => &[(0, &["dunmore"])],
            1 => &[(0, &["corby", "dunmore"]), (1, &[])],
            _ => &[(0, &[])],
        };
        let mut record = None;
        for &(attempt, lost) in attempts {
            let slot = Slot { step: round, attempt };
            let silent: &[&str] = if round == 1 { &["corby"] } else { &[] };
            record = run.attempt(&mut session, slot, digest(&header, &values), lost, silent);
        }
        let (record, sum) = record.expect("enough sites at the last attempt");
        map.insert(format!("sums/{round}"), record.encode(&sum));
        values = moved(&study, &record, &values, &sum);
        header.round += 1;
    }
    let last = blob::encode(&header, &values);
    for (earmark, name) in (1..).zip(study.groupings()) {
        let mut session = run.open(Summed::Grouping(earmark));
        let slot = Slot { step: earmark, attempt: 0 };
        let silent = if earmark == 1 { plan.silent } else { &[] };
        let (record, sum) =
            run.attempt(&mut session, slot, Digest::of(&last), &[], silent).expect("all sites answer");
        map.insert(format!("evaluation/{}/sum", name.replace('*', "+")), record.encode(&sum));
    }
    map.insert("final/model".into(), last);
    map.insert("model.safetensors".into(), safetensors_bytes(&header, &values));
    map.insert(
        "model.json".into(),
        architecture_json(&header, &card::inputs(&study), &card::outputs(&study)).into_bytes(),
    );
    let mut sites = run.sites;
    for site in &mut sites {
        if let Some(change) = plan.before_the_end {
            change(site, &study);
        }
        site.append(Body::Close { study: study.digest, reason: "finished".into() });
        site.write(&mut map, true);
    }
    (map, sites)
}

/// The model after a sum, as the coordinator computes it.
pub fn moved(study: &Study, record: &SumRecord, values: &[i32], sum: &[i64]) -> Vec<i32> {
    let survivors: Vec<&RosterSite> =
        record.survivors.iter().map(|survivor| study.site(&survivor.site).expect("on the roster")).collect();
    let step = ServerStep {
        clip_norm: study.privacy.training.clip_norm,
        lattice_units: Lattice::for_dimension(values.len()).units(),
        denominator: secure::denominator(study, &survivors),
        learning_rate: study.privacy.training.learning_rate,
    };
    step.apply(values, sum).expect("a step")
}

struct Run<'a> {
    study: &'a Study,
    sites: Vec<Site>,
    rng: SecretRng,
    sessions: u64,
    untold: &'static [(u32, u32)],
}

struct Session {
    summed: Summed,
    agreement: Agreement,
    coordinator: coordinator::Session,
    sites: BTreeMap<SiteIndex, site::Session>,
}

impl Run<'_> {
    fn open(&mut self, summed: Summed) -> Session {
        let participants: Vec<&RosterSite> = self.study.sites.iter().collect();
        let agreement = secure::agreement(self.study, &participants, summed).expect("terms");
        self.sessions += 1;
        let mut setup = coordinator::Setup::new(agreement.clone(), self.sessions);
        let mut joining = BTreeMap::new();
        for (index, name, _) in agreement.roster().sites() {
            let identity = key(seed(name));
            let (state, key) = site::Joining::new(agreement.clone(), &identity, self.sessions, &mut self.rng)
                .expect("listed");
            setup.accept(&key).expect("a good key");
            joining.insert(index, state);
        }
        let (coordinator, keys): (_, SessionKeys) = setup.close().expect("enough");
        let sites =
            joining.into_iter().map(|(i, state)| (i, state.open(&keys).expect("good keys"))).collect();
        Session { summed, agreement, coordinator, sites }
    }

    /// One attempt; the masked vectors of `lost` do not arrive, `silent` record no end.
    fn attempt(
        &mut self,
        session: &mut Session,
        slot: Slot,
        model: Digest,
        lost: &[&str],
        silent: &[&str],
    ) -> Option<(SumRecord, Vec<i64>)> {
        let Session { summed, agreement, coordinator, sites } = session;
        let terms = *agreement.terms();
        let names: BTreeMap<SiteIndex, SiteName> =
            agreement.roster().sites().map(|(index, name, _)| (index, name.clone())).collect();
        let mut gathering = coordinator.begin(slot).expect("a later attempt");
        let mut sharing = BTreeMap::new();
        for (&index, session) in sites.iter_mut() {
            let identity = key(seed(&names[&index]));
            let (state, shares) = session.share(&identity, slot, &mut self.rng).expect("shares");
            gathering.accept(shares).expect("good shares");
            sharing.insert(index, state);
        }
        let (shared, deliveries) = gathering.close().expect("enough");
        let (mut inputs, request) = shared.request(model);
        let (mut masked, mut commits) = (BTreeMap::new(), BTreeMap::new());
        for (index, state) in sharing {
            let (session, name) = (sites.get_mut(&index).expect("a site"), &names[&index]);
            let ready = state.receive(session, &deliveries[&index]).expect("a good delivery");
            let (reserve, use_index) = self.next_use(name, *summed);
            let noise = NoiseShare::draw(terms.parameters(), terms.dimension(), &mut self.rng);
            let plain = (0..).map(|lane| 40_000 * (lane + i64::from(index.get()))).take(terms.dimension());
            let input = noise.add_to(plain.collect());
            let burnt = site::Reserve { study: self.study.digest, slot, model, use_index };
            let (state, message) =
                ready.mask(session, &key(seed(name)), &request, &burnt, &input).expect("masks");
            let entry = self.site(name).append(Body::CommitSum {
                reserve,
                index: use_index,
                step: slot.step,
                attempt: slot.attempt,
                session: coordinator.digest(),
                model,
                output: message.lanes.digest(),
            });
            if !lost.contains(&name.as_str()) {
                inputs.accept(&message).expect("a good vector");
            }
            masked.insert(index, state);
            commits.insert(index, entry);
        }
        let (mut surviving, survivors) = inputs.close().ok()?;
        let mut signed = BTreeMap::new();
        for &index in survivors.survivors.keys() {
            let state = masked.remove(&index).expect("it masked");
            let identity = key(seed(&names[&index]));
            let (state, signature) = state.sign(&sites[&index], &identity, &survivors).expect("signs");
            surviving.accept(&signature).expect("a good signature");
            signed.insert(index, state);
        }
        let (mut unmasking, certificate) = surviving.close().expect("enough");
        let mut unmasked = BTreeMap::new();
        for (index, state) in signed {
            let (state, shares) = state.unmask(&sites[&index], &certificate).expect("reveals");
            unmasking.accept(shares).expect("good shares");
            unmasked.insert(index, state);
        }
        let (sum, result) = unmasking.close().expect("enough");
        for (index, state) in unmasked {
            let transcript = state.finish(&result).expect("the same survivors");
            let name = &names[&index];
            let told = !self.untold.contains(&(summed.earmark(), slot.step));
            if told && !silent.contains(&name.as_str()) {
                self.site(name).append(Body::Sum {
                    commit: commits[&index],
                    survivors: transcript.survivors.keys().map(|index| names[index].clone()).collect(),
                    sum: transcript.sum,
                    transcript: transcript.digest(),
                });
            }
        }
        Some((SumRecord::of(agreement, &sum, &certificate), sum.sum))
    }

    /// A block with a use left, and that use; blocks are of two, where there are two.
    fn next_use(&mut self, name: &SiteName, summed: Summed) -> (u64, u64) {
        let (study, earmark) = (self.study.digest, summed.earmark());
        let total = study::earmarks(self.study)[earmark as usize].event.count();
        let site = self.site(name);
        let free = site
            .state
            .blocks(&study)
            .find(|(_, block)| block.earmark == earmark && block.next_use().is_some())
            .map(|(index, block)| (index, block.next_use().expect("there")));
        free.unwrap_or_else(|| {
            let first = site.state.next_unburnt(&study, earmark).expect("open");
            let count = (total - first).min(if earmark == 0 { 2 } else { 1 });
            (site.append(Body::ReserveBlock { study, earmark, first, count }), first)
        })
    }

    fn site(&mut self, name: &SiteName) -> &mut Site {
        self.sites.iter_mut().find(|site| site.name == *name).expect("takes part")
    }
}

fn seed(name: &SiteName) -> u8 {
    SITES.iter().find(|(site, _)| *site == name.as_str()).expect("takes part").1
}

/// Says how long the copy was where [`super::rewritten`] puts it.
pub const RECOVERED: Body = Body::Recovered { entries: 0 };

/// Earmark, step and attempt of a masked vector, or of its end.
pub fn place(site: &Site, body: &Body) -> Option<(u32, u32, u32)> {
    match body {
        Body::CommitSum { reserve, step, attempt, .. } => {
            Some((site.state.block(*reserve).expect("there").earmark, *step, *attempt))
        }
        // By the masked vector that it is the end of.
        Body::Sum { commit, .. } => {
            let (_, masked) =
                site.state.masked(&study().digest).find(|(entry, _)| entry == commit).expect("there");
            Some((masked.earmark, masked.step, masked.attempt))
        }
        _ => None,
    }
}

/// A ledger without its records of these vectors, and with a `recovered` before the first entry after
/// the first block for which `after` holds.
pub fn loses(
    site: &Site,
    lost: &[(u32, u32, u32)],
    after: impl Fn(&Body) -> bool,
    block: impl Fn(&Body) -> Option<Body>,
) -> Site {
    let mut recovered = false;
    super::rewritten(site, |body| {
        let mut bodies = Vec::new();
        if !place(site, body).is_some_and(|place| lost.contains(&place)) {
            bodies.push(block(body).unwrap_or_else(|| body.clone()));
        }
        if !recovered && after(body) {
            recovered = true;
            bodies.push(RECOVERED);
        }
        bodies
    })
}

/// After the block of this earmark that begins with this use.
pub fn after_block(of: u32, from: u64) -> impl Fn(&Body) -> bool {
    move |body| matches!(body, Body::ReserveBlock { earmark, first, .. } if (*earmark, *first) == (of, from))
}
