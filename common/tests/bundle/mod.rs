//! A whole bundle in memory, made as three sites and a coordinator would make it, from fixed keys.
//! Three sites take part, a fourth declines; in round 0 one site is interrupted and uses a spare
//! attempt, in round 1 one site's update comes too late and is not used.

#![allow(dead_code, reason = "each file of tests uses its part")]

pub mod python;
pub mod secure;

use consilium_common::evaluation::histogram::{Histogram, PERSON_UNITS};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::SecretKey;
use consilium_common::ledger::bundle::{Files, SCHEMA};
use consilium_common::ledger::bundle::{Manifest, Report, Trust, verify};
use consilium_common::ledger::checkpoint::{COORDINATOR, Checkpoint};
use consilium_common::ledger::entry::{Body, Caps, Entry, Participant};
use consilium_common::ledger::merkle::{Tree, leaf_hash};
use consilium_common::ledger::rules::{self, Block, State};
use consilium_common::ledger::tiles;
use consilium_common::model::aggregate::WeightedSum;
use consilium_common::model::blob::{self, ModelHeader, UpdateHeader};
use consilium_common::model::export::{architecture_json, safetensors_bytes};
use consilium_common::privacy::clip::sigma_units;
use consilium_common::privacy::mechanism::Event;
use consilium_common::protocol::{Approval, Decision, DeclineReason, Start};
use consilium_common::signed::Signed;
use consilium_common::study::card;
use consilium_common::study::{self, Study};
use consilium_common::time::Time;
use std::collections::BTreeMap;

pub const STUDY: &str = include_str!("../../../tests/vectors/ledger/study.toml");
/// How each site fills in [`with_bindings`].
pub const ANSWER: &str = include_str!("../../src/study/testdata/answer.toml");
/// Those that take part, by the seed of their key.
pub const SITES: [(&str, u8); 3] = [("ashford", 1), ("brackley", 2), ("corby", 3)];

pub type Map = BTreeMap<String, Vec<u8>>;

/// The study on records with bindings, of the same sites and at the same cost.
pub fn with_bindings() -> String {
    let at = |part: &str| STUDY.find(part).expect("is in the study");
    let of_records = include_str!("../../src/study/testdata/bindings.toml");
    let (before, between, after) =
        (&STUDY[..at("[data]")], &STUDY[at("[missing]")..at("[[attribute]]")], &STUDY[at("[subgroups]")..]);
    format!("{before}{of_records}\n{between}{after}")
}

/// The study, with an attribute of which it is only counted how often it is recorded.
pub fn with_completeness(text: &str) -> String {
    let edits = [
        ("\"sex*age_band\" = 0.25\n", "\"sex*age_band\" = 0.25\norientation = 0.1\n".to_owned()),
        (
            "[subgroups]",
            "[[attribute]]\nname = \"orientation\"\ncolumn = \"orientation\"\nuse = \"completeness-only\"\n\n[subgroups]"
                .to_owned(),
        ),
    ];
    edits.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub fn coordinator() -> SecretKey {
    key(9)
}

pub fn name(text: &str) -> SiteName {
    text.parse().expect("a name")
}

pub fn time(minute: u64) -> Time {
    "2027-03-01T09:00:00.000Z".parse::<Time>().expect("a time").plus_ms(minute * 60_000)
}

pub fn check(map: &Map) -> Report {
    verify(&Files::of(map), &Trust::default())
}

/// One site's ledger while it grows.
#[derive(Clone)]
pub struct Site {
    pub name: SiteName,
    pub seed: u8,
    pub entries: Vec<Vec<u8>>,
    pub state: State,
}

impl Site {
    pub fn new(text: &str, seed: u8) -> Self {
        let caps = caps();
        let body = Body::Genesis {
            schema: rules::SCHEMA.into(),
            site: name(text),
            dataset: format!("{text}-1"),
            key: key(seed).public(),
            unit: "person".into(),
            neighbours: "add_remove_one".into(),
            software: "site-agent 0.1.0".into(),
            caps,
        };
        let bytes = rules::first_entry(body, time(0)).expect("legal");
        let state = State::begin(&bytes).expect("legal");
        Self { name: name(text), seed, entries: vec![bytes], state }
    }

    pub fn append(&mut self, body: Body) -> u64 {
        let bytes = self.state.decide(body, time(self.state.size())).expect("legal");
        self.state.apply(&bytes).expect("legal");
        self.entries.push(bytes);
        self.state.size() - 1
    }

    /// Writes the ledger into a bundle; `cosigned` by the coordinator, or not.
    pub fn write(&self, map: &mut Map, cosigned: bool) {
        write_ledger(&self.name, self.seed, self.state.origin(), &self.entries, map, cosigned);
    }
}

pub fn write_ledger(
    name: &SiteName,
    seed: u8,
    origin: String,
    entries: &[Vec<u8>],
    map: &mut Map,
    cosigned: bool,
) {
    let prefix = format!("sites/{name}/ledger/");
    map.retain(|path, _| !path.starts_with(&prefix));
    let tree = Tree::of(entries);
    let mut note = Checkpoint { origin, size: tree.size(), root: tree.root() }.sign(&key(seed));
    if cosigned {
        let line = note.cosign(COORDINATOR, &coordinator(), time(600));
        note = note.with(line).expect("room");
    }
    map.insert(format!("{prefix}checkpoint"), note.to_string().into_bytes());
    map.extend(
        tiles::files(entries, &tree).into_iter().map(|(path, bytes)| (format!("{prefix}{path}"), bytes)),
    );
}

/// The same ledger with other entries after the study's opening: what `change` makes of each. Entries that name
/// others name them at their new places; masked vectors take the next use of a block, one of its own where there
/// is none; a `recovered` says how long the ledger is by then; an `abort` of no old entry is of the last new one.
pub fn rewritten(site: &Site, mut change: impl FnMut(&Body) -> Vec<Body>) -> Site {
    let first = State::begin(&site.entries[0]).expect("legal");
    let mut new = Site { entries: vec![site.entries[0].clone()], state: first, ..site.clone() };
    let mut places = BTreeMap::from([(0, 0)]);
    for (old, bytes) in (0_u64..).zip(&site.entries).skip(1) {
        let body = Entry::from_bytes(bytes).expect("an entry").body;
        for mut body in change(&body) {
            let is_legal = refit(&site.state, &mut new, &mut body, &places);
            if is_legal {
                let at = new.append(body);
                places.insert(old, at);
            }
        }
    }
    new
}

/// Makes an entry follow on those before it; whether it still says something.
fn refit(old: &State, site: &mut Site, body: &mut Body, places: &BTreeMap<u64, u64>) -> bool {
    match body {
        Body::Commit { reserve, .. } => *reserve = places[reserve],
        Body::Abort { reserve, .. } => {
            *reserve = places.get(reserve).copied().unwrap_or(site.state.size() - 1)
        }
        Body::Sum { commit, .. } => *commit = places[commit],
        Body::Recovered { entries } => *entries = site.state.size(),
        Body::ReserveBlock { study, earmark, first, count } => {
            let record = site.state.study(study).expect("open");
            let (declared, burnt) = record.earmark(*earmark).expect("declared");
            (*first, *count) = (burnt, (*count).min(declared.event.count() - burnt));
            return *count > 0;
        }
        Body::CommitSum { reserve, index, .. } => {
            let Block { study, earmark, .. } = *old.block(*reserve).expect("in the old ledger");
            let open = |site: &Site| {
                let mut blocks = site.state.blocks(&study);
                let found = blocks.find(|(_, block)| block.earmark == earmark && block.next_use().is_some());
                found.map(|(at, block)| (at, block.next_use().expect("there")))
            };
            (*reserve, *index) = open(site).unwrap_or_else(|| {
                let first = site.state.next_unburnt(&study, earmark).expect("open");
                (site.append(Body::ReserveBlock { study, earmark, first, count: 1 }), first)
            });
        }
        _ => {}
    }
    true
}

/// Changes one entry; the others stay, so that the chain breaks behind it.
pub fn edit(entries: &mut [Vec<u8>], at: usize, change: impl FnOnce(&mut Entry)) {
    let mut entry = Entry::from_bytes(&entries[at]).expect("an entry");
    change(&mut entry);
    entries[at] = entry.to_bytes().expect("short");
}

/// Each entry follows the one before it again.
pub fn relink(entries: &mut [Vec<u8>]) {
    for at in 1..entries.len() {
        let previous = leaf_hash(&entries[at - 1]);
        edit(entries, at, |entry| entry.previous = previous);
    }
}

fn caps() -> Caps {
    Caps {
        policy: Digest::of(b"policy"),
        epsilon_total: 8.0,
        epsilon_per_study: 4.0,
        epsilon_per_year: None,
        delta: 1e-5,
        noise_multiplier_min: 0.5,
        sampling_rate_max: 0.5,
        steps_max: 1000,
    }
}

pub fn approval(study: &Study, site: &str, seed: u8, decision: Decision) -> Signed<Approval> {
    let approval = Approval {
        study: study.digest,
        study_id: study.id.clone(),
        site: name(site),
        decision,
        time: time(0),
        approver: "Caldicott guardian".into(),
        replaces: None,
        bindings: (decision == Decision::Approve && !study.bindings().is_empty()).then(|| ANSWER.to_owned()),
    };
    Signed::new(&approval, &key(seed))
}

pub fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data")
}

/// The bundle, and the ledgers in it.
pub fn make() -> (Map, Vec<Site>) {
    make_of(STUDY)
}

/// As [`make`], of another study of the same sites.
pub fn make_of(text: &str) -> (Map, Vec<Site>) {
    let study = study::parse(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let mut map = Map::new();
    map.insert("study.toml".into(), text.into());
    let declined = approval(&study, "dunmore", 4, Decision::Decline { reason: DeclineReason::Capacity });
    map.insert("decisions/dunmore.json".into(), json(&declined));
    let mut sites = begin(&study, &SITES, &mut map);
    let (last, values) = train(&study, &mut sites, &mut map);
    evaluate(&study, &mut sites, Digest::of(&map["final/model"]), &mut map);
    for site in &mut sites {
        site.append(Body::Close { study: study.digest, reason: "finished".into() });
        site.write(&mut map, true);
    }
    map.insert("model.safetensors".into(), safetensors_bytes(&last, &values));
    map.insert(
        "model.json".into(),
        architecture_json(&last, &card::inputs(&study), &card::outputs(&study)).into_bytes(),
    );
    (map, sites)
}

/// The approvals, the start and the manifest of a study in which all of these take part, and their
/// ledgers, in which it is open.
pub fn begin(study: &Study, taking_part: &[(&str, u8)], map: &mut Map) -> Vec<Site> {
    let approvals: Vec<_> =
        taking_part.iter().map(|(site, seed)| approval(study, site, *seed, Decision::Approve)).collect();
    for ((site, _), approval) in taking_part.iter().zip(&approvals) {
        map.insert(format!("decisions/{site}.json"), json(approval));
    }
    let start = Start {
        study: study.digest,
        approvals: approvals.clone(),
        time: time(1),
        coordinator: coordinator().public(),
    };
    map.insert("start.json".into(), json(&Signed::new(&start, &coordinator())));
    let manifest = Manifest {
        schema: SCHEMA.into(),
        study: study.digest,
        coordinator: coordinator().public(),
        sites: taking_part.iter().map(|(site, _)| name(site)).collect(),
    };
    map.insert("bundle.json".into(), json(&manifest));
    let mut sites: Vec<_> = taking_part.iter().map(|(site, seed)| Site::new(site, *seed)).collect();
    for (site, approval) in sites.iter_mut().zip(&approvals) {
        open(site, study, taking_part, approval);
    }
    sites
}

fn open(site: &mut Site, study: &Study, taking_part: &[(&str, u8)], approval: &Signed<Approval>) {
    site.append(Body::PolicyChange { caps: Caps { steps_max: 500, ..caps() } });
    site.append(Body::StudyOpen {
        study: study.digest,
        study_id: study.id.clone(),
        approval: approval.clone(),
        participants: taking_part
            .iter()
            .map(|(site, seed)| Participant { site: name(site), key: key(*seed).public() })
            .collect(),
        delta: study.privacy.delta,
        earmarks: study::earmarks(study),
    });
    let commitment = |of: &str| Digest::of(format!("{of} of {}", site.name).as_bytes());
    let [cohort, opt_outs, source, queries] = ["cohort", "opt-outs", "source", "queries"].map(commitment);
    site.append(Body::CohortVersion { study: study.digest, cohort, opt_outs, source, queries });
    site.append(Body::Refusal { rule: "policy.rounds".into(), study: Some(study.digest), count: 2 });
}

fn train(study: &Study, sites: &mut [Site], map: &mut Map) -> (ModelHeader, Vec<i32>) {
    let architecture = study.architecture();
    let mut values = study.initial_parameters();
    let mut header = ModelHeader { schema: "model/1".into(), study: study.digest, round: 0, architecture };
    for round in 0..study.privacy.training.rounds {
        let model = blob::encode(&header, &values);
        let digest = Digest::of(&model);
        map.insert(format!("rounds/{round}/model"), model);
        let mut sum = WeightedSum::new(values.len());
        for (i, site) in sites.iter_mut().enumerate() {
            if (round, i) == (0, 1) {
                let reserve = reserve(site, study, round, digest);
                site.append(Body::Abort { reserve, reason: "interrupted".into() });
            }
            let reserve = reserve(site, study, round, digest);
            let update: Vec<i32> =
                (1..).take(values.len()).map(|p| (p * 1000 + i as i32 * 77) * (1 - 2 * (p % 2))).collect();
            let bytes = blob::encode(&update_header(study, round, digest, &site.name, update.len()), &update);
            site.append(Body::Commit { reserve, output: Digest::of(&bytes) });
            if (round, i) == (1, 2) {
                continue;
            }
            let weight = study.site(&site.name).expect("on the roster").weight;
            sum.add(&update, weight).expect("fits");
            map.insert(format!("rounds/{round}/updates/{}", site.name), bytes);
        }
        values = sum.apply(&values).expect("has weight");
        header.round += 1;
    }
    map.insert("final/model".into(), blob::encode(&header, &values));
    (header, values)
}

pub fn update_header(
    study: &Study,
    round: u32,
    model: Digest,
    site: &SiteName,
    parameters: usize,
) -> UpdateHeader {
    UpdateHeader {
        schema: "update/1".into(),
        study: study.digest,
        round,
        model,
        site: site.clone(),
        parameters,
    }
}

fn reserve(site: &mut Site, study: &Study, round: u32, model: Digest) -> u64 {
    let first = site.state.next_unburnt(&study.digest, 0).expect("open");
    let count = u64::from(study.privacy.training.local_steps);
    site.append(Body::Reserve { study: study.digest, earmark: 0, first, count, round, model })
}

fn evaluate(study: &Study, sites: &mut [Site], model: Digest, map: &mut Map) {
    for (earmark, declared) in (0..).zip(study::earmarks(study)).skip(1) {
        let Event::Gaussian { noise_multiplier, .. } = declared.event else {
            panic!("a grouping has Gaussian noise")
        };
        for site in sites.iter_mut() {
            let first = site.state.next_unburnt(&study.digest, earmark).expect("open");
            let reserve = site.append(Body::Release { study: study.digest, earmark, first, count: 1, model });
            let values = |name: &str| study.attribute(name).expect("of the study").values.count();
            let cells: usize = match declared.name.as_str() {
                "overall" => 2 * 4,
                counted if study.is_completeness(counted) => 4,
                grouping => grouping.split('*').map(values).product::<usize>() * 2 * 4,
            };
            let histogram = Histogram {
                schema: "histogram/1".into(),
                study: study.digest,
                model,
                site: site.name.clone(),
                grouping: declared.name.clone(),
                sigma_units: sigma_units(PERSON_UNITS.unsigned_abs(), noise_multiplier).expect("in range"),
                cells: (0..).map(|i| i * PERSON_UNITS).take(cells).collect(),
            };
            let bytes = json(&histogram);
            site.append(Body::Commit { reserve, output: Digest::of(&bytes) });
            map.insert(format!("evaluation/{}/{}.json", declared.name.replace('*', "+"), site.name), bytes);
        }
    }
}
