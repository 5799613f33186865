//! What the tests of this crate share: three hospitals, a study of theirs, a policy, a ledger in
//! memory.

pub(crate) mod shared;

use crate::policy::{DEFAULT, Own, Policy};
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::SecretKey;
use consilium_common::ledger::entry::{Body, Caps, Earmark, Participant};
use consilium_common::ledger::rules::{self, State};
use consilium_common::protocol::{Approval, Decision, Start};
use consilium_common::signed::{Signed, Verified};
use consilium_common::study::{self, Study};
use consilium_common::time::Time;

const STUDY: &str = include_str!("../../common/src/study/testdata/example.toml");
const BINDINGS: &str = include_str!("../../common/src/study/testdata/bindings.toml");

/// The roster's hospitals; the first is this one.
pub(crate) const SITES: [&str; 3] = ["st-elsewhere", "county-general", "north-trust"];

/// Within the study's term.
pub(crate) fn now() -> Time {
    "2027-03-01T09:00:00.000Z".parse().expect("time")
}

pub(crate) fn site(i: usize) -> SiteName {
    SITES[i].parse().expect("name")
}

pub(crate) fn key(i: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(i).expect("small") + 1; 32])
}

pub(crate) fn coordinator() -> SecretKey {
    SecretKey::from_seed(&[99; 32])
}

pub(crate) fn own() -> Own {
    Own { site: site(0), key: key(0).public() }
}

/// The study with our keys on its roster, each `(from, to)` replaced once.
pub(crate) fn study(edits: &[(&str, &str)]) -> Study {
    study::parse(study_text(edits).as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// As [`study`], the file's text.
pub(crate) fn study_text(edits: &[(&str, &str)]) -> String {
    let template = study::parse(STUDY.as_bytes()).expect("the shared example parses");
    let mut roster = template.sites;
    for (i, site) in roster.iter_mut().enumerate() {
        assert_eq!(site.name.as_str(), SITES[i]);
        site.key = key(i).public();
    }
    let mut text = study::fill(STUDY, &roster, None).expect("fits").text;
    for (from, to) in edits {
        assert!(text.contains(from), "the case changes something: {from}");
        text = text.replacen(from, to, 1);
    }
    text
}

/// A study on records with bindings, as the guide prints it, with our keys on its roster.
pub(crate) fn study_with_bindings() -> String {
    let text = study_text(&[]);
    let part = |from: &str, to: &str| {
        let (from, to) = (text.find(from).expect("is in it"), text.find(to).expect("is in it"));
        &text[from..to]
    };
    let after = &text[text.find("[subgroups]").expect("is in it")..];
    let start = text.find("[data]").expect("is in it");
    format!("{}{BINDINGS}\n{}{after}", &text[..start], part("[missing]", "[[attribute]]"))
}

/// An answer to it.
pub(crate) const ANSWER: &str = include_str!("../../common/src/study/testdata/answer.toml");

/// The default policy, with the other two hospitals known, each `(from, to)` replaced once.
pub(crate) fn policy(edits: &[(&str, &str)]) -> Policy {
    Policy::parse(&policy_text(edits)).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// As [`policy`], the file's text.
pub(crate) fn policy_text(edits: &[(&str, &str)]) -> String {
    let known = format!(
        "[known_sites]\n{} = \"{}\"\n{} = \"{}\"\n",
        SITES[1],
        key(1).public(),
        SITES[2],
        key(2).public()
    );
    let mut text = DEFAULT.replacen("[known_sites]\n", &known, 1);
    for (from, to) in edits {
        assert!(text.contains(from), "the case changes something: {from}");
        text = text.replacen(from, to, 1);
    }
    text
}

/// A decision of hospital `i`, signed with its key.
pub(crate) fn approval(study: &Study, i: usize, decision: Decision) -> Signed<Approval> {
    crate::approval::sign(study, &site(i), decision, "Dr A. Bird", now(), &key(i))
}

/// A start with the approvals of these hospitals.
pub(crate) fn start(study: &Study, sites: &[usize]) -> Verified<Start> {
    let approvals = sites.iter().map(|&i| approval(study, i, Decision::Approve)).collect();
    start_of(study.digest, approvals)
}

/// A start with these approvals.
pub(crate) fn start_of(study: Digest, approvals: Vec<Signed<Approval>>) -> Verified<Start> {
    let key = coordinator();
    let start = Start { study, approvals, time: now(), coordinator: key.public() };
    Signed::new(&start, &key).verify(&key.public()).expect("genuine")
}

/// A ledger without a disk.
pub(crate) struct Ledger(pub(crate) State);

impl Ledger {
    pub(crate) fn new(caps: Caps) -> Self {
        let genesis = Body::Genesis {
            schema: rules::SCHEMA.into(),
            site: site(0),
            dataset: "d1".into(),
            key: key(0).public(),
            unit: "person".into(),
            neighbours: "add_remove_one".into(),
            software: "site-agent 0.1.0".into(),
            caps,
        };
        let bytes = rules::first_entry(genesis, now()).expect("legal");
        Self(State::begin(&bytes).expect("legal"))
    }

    /// Opens another study with these earmarks.
    pub(crate) fn open_other(&mut self, earmarks: Vec<Earmark>) -> Digest {
        let other = study(&[("1.0.0", "1.0.1")]);
        self.append(Body::StudyOpen {
            study: other.digest,
            study_id: other.id.clone(),
            approval: approval(&other, 0, Decision::Approve),
            participants: vec![Participant { site: site(0), key: key(0).public() }],
            delta: other.privacy.delta,
            earmarks,
        });
        other.digest
    }

    /// Appends as the store does, without the disk; the index.
    pub(crate) fn append(&mut self, body: Body) -> u64 {
        let index = self.0.size();
        let bytes = self.0.decide(body, now()).expect("legal");
        self.0.apply(&bytes).expect("legal");
        index
    }
}
