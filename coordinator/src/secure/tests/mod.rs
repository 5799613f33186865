//! Whole runs: the conductor under scripted sites, in memory; and the served stream.

mod restarts;
mod runs;
mod served;
mod site;
mod world;

use crate::study::StudyState;
use consilium_common::id::{Digest, SiteName};
use consilium_common::key::SecretKey;
use consilium_common::model::{blob, initial};
use consilium_common::protocol::{Approval, Decision, Start};
use consilium_common::signed::Signed;
use consilium_common::study::{RosterSite, Study, fill_shipped, parse};
use consilium_common::time::Time;

const SITES: [&str; 5] = ["ashford", "brackley", "corby", "dunmore", "eastleigh"];
const TEMPLATE: &str = include_str!("../../../../docs/studies/synthetic-selfharm-distributed.toml");
/// Rounds of the tests' study.
const ROUNDS: u32 = 3;
/// Groupings of the tests' study.
const GROUPINGS: u32 = 4;

fn key(site: &str) -> SecretKey {
    SecretKey::from_seed(&[site.as_bytes()[0]; 32])
}

fn name(site: &str) -> SiteName {
    site.parse().expect("a name")
}

fn now() -> Time {
    "2027-03-01T00:00:00Z".parse().expect("a time")
}

/// Five sites, t = 4.
fn study_file(spare_rounds: u32, spare_evaluations: u32) -> String {
    let roster = SITES.map(|site| RosterSite {
        name: name(site),
        key: key(site).public(),
        people_public: 1000 + u64::from(site.as_bytes()[0]),
        weight: 1 << 16,
    });
    let rounds = format!("rounds = {ROUNDS}");
    let spare = format!("spare_rounds = {spare_rounds}");
    let spare_evaluations = format!("spare_evaluations = {spare_evaluations}");
    let template: Vec<&str> = TEMPLATE
        .lines()
        .map(|line| match line.split('=').next().map(str::trim) {
            Some("rounds") => &rounds,
            Some("spare_rounds") => &spare,
            Some("spare_evaluations") => &spare_evaluations,
            Some("deadline_s") => "deadline_s = 60",
            _ => line,
        })
        .collect();
    fill_shipped(&template.join("\n"), &roster, Some(3.0)).expect("valid").text
}

fn study(spare_rounds: u32, spare_evaluations: u32) -> Study {
    let study = parse(study_file(spare_rounds, spare_evaluations).as_bytes()).expect("valid");
    assert_eq!(study.privacy.training.quorum, 4);
    study
}

/// Started with all sites; and the bytes of its first model.
fn started(study: Study) -> (StudyState, Vec<u8>) {
    let digest = study.digest;
    let architecture = study.architecture();
    let values = initial::initial_parameters(&architecture, &digest);
    let header = blob::ModelHeader { schema: "model/1".into(), study: digest, round: 0, architecture };
    let model = blob::encode(&header, &values);
    let mut state = StudyState::new(study);
    for site in SITES {
        let approval = approval(&state, site);
        let events = state.decide_approval(&name(site), approval, now()).expect("on the roster");
        state = events.into_iter().fold(state, StudyState::apply);
    }
    let coordinator = key("z");
    let sign = |approvals| {
        let start = Start { study: digest, approvals, time: now(), coordinator: coordinator.public() };
        Signed::new(&start, &coordinator)
    };
    let events = state.decide_start(sign, Digest::of(&model), now()).expect("enough sites");
    (events.into_iter().fold(state, StudyState::apply), model)
}

fn approval(state: &StudyState, site: &str) -> Signed<Approval> {
    let approval = Approval {
        study: state.study.digest,
        study_id: state.study.id.clone(),
        site: name(site),
        decision: Decision::Approve,
        time: now(),
        approver: String::new(),
        replaces: None,
        bindings: None,
    };
    Signed::new(&approval, &key(site))
}
