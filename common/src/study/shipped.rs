//! The study files that ship with the project say what they should.

use super::records::{AtRisk, ConceptSet, Rule};
use super::secure::{Summed, all_terms, block, denominator};
use super::{Data, Encoding, Mistake, Mode, RosterSite, Study, fill_shipped, parse, predict};
use crate::key::SecretKey;
use crate::study::mistake::Kind;

const HEART: &str = include_str!("../../../docs/studies/heart-disease.toml");
const HEART_DISTRIBUTED: &str = include_str!("../../../docs/studies/heart-disease-distributed.toml");
const SELF_HARM_DISTRIBUTED: &str = include_str!("../../../docs/studies/synthetic-selfharm-distributed.toml");
const EICU: &str = include_str!("../../../docs/studies/eicu-death.toml");
const OMOP: &str = include_str!("../../../docs/studies/omop-selfharm.toml");
const PSYCHOSIS: &str = include_str!("../../../docs/studies/synthetic-psychosis.toml");
const MENTAL_HEALTH: &str = include_str!("../../../docs/studies/synthetic-mental-health.toml");
const READMISSION: &str = include_str!("../../../docs/studies/synthetic-readmission.toml");
const SELF_HARM: &str = include_str!("../../../docs/studies/synthetic-selfharm.toml");

/// The template's own sites, with keys.
fn roster(template: &str) -> Vec<RosterSite> {
    let document: toml::Table = template.parse().expect("TOML");
    let sites = document["site"].as_array().expect("sites");
    let site = |(i, site): (usize, &toml::Value)| RosterSite {
        name: site["name"].as_str().expect("a name").parse().expect("a site's name"),
        key: SecretKey::from_seed(&[u8::try_from(i).expect("few") + 1; 32]).public(),
        people_public: u64::try_from(site["people_public"].as_integer().expect("a number"))
            .expect("positive"),
        weight: 65_536,
    };
    sites.iter().enumerate().map(site).collect()
}

fn filled(template: &str, epsilon: f64) -> Study {
    let text = fill_shipped(template, &roster(template), Some(epsilon))
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    parse(text.text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn a_template_lacks_keys_and_nothing_else() {
    fn check(template: &str, sites: usize) {
        let mistakes = parse(template.as_bytes()).expect_err("no keys");
        let only_keys = |mistake: &Mistake| mistake.kind == Kind::Absent && mistake.key.ends_with("].key");
        assert!(mistakes.list().iter().all(only_keys) && mistakes.list().len() == sites, "{mistakes}");
    }
    check(HEART, 4);
    check(HEART_DISTRIBUTED, 4);
    check(SELF_HARM, 6);
    check(SELF_HARM_DISTRIBUTED, 6);
    check(EICU, 22);
    check(OMOP, 4);
    check(PSYCHOSIS, 6);
    check(READMISSION, 6);
    check(MENTAL_HEALTH, 6);
}

#[test]
fn the_printed_noise_is_the_calibrated_one() {
    fn check(template: &str) {
        let as_printed = fill_shipped(template, &roster(template), None).expect("a valid template").text;
        let as_printed = parse(as_printed.as_bytes()).expect("a valid study").privacy;
        let calibrated = filled(template, as_printed.person_total_max).privacy;
        assert_eq!(as_printed.training.noise_multiplier, calibrated.training.noise_multiplier);
        assert_eq!(as_printed, calibrated);
    }
    check(HEART);
    check(HEART_DISTRIBUTED);
    check(SELF_HARM);
    check(SELF_HARM_DISTRIBUTED);
    check(EICU);
    check(OMOP);
    check(PSYCHOSIS);
    check(READMISSION);
    check(MENTAL_HEALTH);
}

#[test]
fn every_epsilon_of_the_demonstration_fits() {
    fn check(template: &str, inputs: usize, groupings: usize) {
        for epsilon in [0.5, 1.0, 3.0, 8.0] {
            let study = filled(template, epsilon);
            assert_eq!(study.architecture().inputs, inputs);
            let prediction = predict(&study, 0.3);
            assert_eq!(prediction.groupings.len(), groupings);
            let worst = prediction.epsilon_training_account.max(prediction.epsilon_evaluation_account);
            assert!(worst <= epsilon && worst > 0.99 * epsilon, "{worst} of {epsilon}");
        }
    }
    // Heart disease: 5 numbers, 3 pairs, 4 and 3 levels make 13 inputs; and 10 indicators.
    check(HEART, 23, 3);
    check(HEART_DISTRIBUTED, 23, 3);
    // Self-harm: 6 numbers, 5 pairs, 4 levels make 14; and 12 indicators.
    check(SELF_HARM, 26, 4);
    check(SELF_HARM_DISTRIBUTED, 26, 4);
    // Intensive care: age and sex, 10 numbers with distances, 12 without, make 34; and 24 indicators.
    check(EICU, 58, 3);
    // OMOP: age, sex and BMI with indicators, 12 conditions, 4 drugs, 3 observations, 6 counts of visits.
    check(OMOP, 31, 4);
    // Age, sex and 3 measurements with indicators, 3 conditions, 2 drugs, an observation, 6 counts of visits.
    check(PSYCHOSIS, 22, 4);
    // Age, sex and 2 measurements with indicators, 4 conditions, an observation, 2 counts of visits.
    check(READMISSION, 15, 4);
    // As of psychosis; 4 groupings of each of 4 predictions.
    check(MENTAL_HEALTH, 22, 16);
}

/// The template to start from works for any three hospitals.
#[test]
fn a_template_of_records_fits_the_roster() {
    let study = parse(fill_shipped(OMOP, &roster(OMOP)[..3], Some(1.0)).expect("valid").text.as_bytes())
        .expect("valid");
    assert_eq!((study.sites.len(), study.privacy.training.quorum), (3, 3));
    let Data::Records(records) = &study.data else { panic!("a study on records") };
    assert_eq!(records.sets.len(), 11, "ten by name, and the one of BMI");
}

/// What the study of intensive care asks of its tables.
#[test]
fn the_study_of_intensive_care() {
    let study = filled(EICU, 3.0);
    let Data::Records(records) = &study.data else { panic!("a study on records") };
    assert_eq!(records.tasks[0].outcome.at_risk, AtRisk::Stay);
    assert_eq!(records.tasks[0].cohort.predict_after_hours, 24);
    assert_eq!(records.tasks[0].cohort.exclude, [Rule::DiedBefore]);
    let no_descendants = |set: &ConceptSet| set.include.iter().all(|member| !member.descendants);
    assert!(records.sets.iter().all(no_descendants), "the tables have no concept_ancestor");
    let distances = study.features.iter().filter(|f| matches!(f.encoding, Encoding::Distance { .. })).count();
    assert_eq!((records.sets.len(), distances), (23, 10));
}

/// Each is the local study but for how it is trained.
#[test]
fn the_distributed_studies_ask_for_the_same() {
    fn check(local: &str, distributed: &str, threshold: u32) {
        let (local, distributed) = (filled(local, 3.0), filled(distributed, 3.0));
        assert_eq!(distributed.privacy.mode, Mode::Distributed { colluding: 1 });
        assert_eq!(distributed.privacy.training.quorum, threshold);
        assert_eq!(distributed.features, local.features);
        assert_eq!(distributed.privacy.evaluation_shares, local.privacy.evaluation_shares);
        let sites: Vec<&RosterSite> = distributed.sites.iter().collect();
        let terms = all_terms(&distributed, &sites).expect("numbers that lanes carry");
        assert_eq!(terms.len(), 1 + distributed.groupings().len());
        let backwards: Vec<&RosterSite> = sites.iter().rev().copied().collect();
        assert_eq!(all_terms(&distributed, &backwards).expect("the same"), terms);
        let bits = |sites: &[&RosterSite]| denominator(&distributed, sites).to_bits();
        assert_eq!(bits(&backwards), bits(&sites));
        assert!(block(&distributed, Summed::Training, u64::MAX) >= 1);
    }
    check(HEART, HEART_DISTRIBUTED, 4);
    check(SELF_HARM, SELF_HARM_DISTRIBUTED, 5);
}

/// A roster of another size gets the threshold that is recommended for it, and equal weights.
#[test]
fn a_distributed_template_fits_the_roster() {
    fn check(sites: u8, expected: Option<u32>) {
        let site = |i: u8| RosterSite {
            name: format!("site-{i}").parse().expect("a name"),
            key: SecretKey::from_seed(&[i; 32]).public(),
            people_public: 1000 + u64::from(i),
            weight: 65_536 + u32::from(i),
        };
        let roster: Vec<_> = (1..=sites).map(site).collect();
        let filled = fill_shipped(SELF_HARM_DISTRIBUTED, &roster, None);
        let quorum =
            filled.map(|filled| parse(filled.text.as_bytes()).expect("valid").privacy.training.quorum);
        assert_eq!(quorum.as_ref().ok(), expected.as_ref(), "{sites}: {quorum:?}");
    }
    check(2, None);
    check(3, Some(3));
    check(4, Some(4));
    check(5, Some(4));
    check(6, Some(5));
    check(8, Some(7));
    check(20, Some(18));
}
