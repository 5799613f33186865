use super::*;
use crate::testing::{Ledger, key, now, own, policy, site, study};
use consilium_common::ledger::entry::{Account, Earmark, Participant, TRAINING};
use consilium_common::ledger::rules::State;
use consilium_common::privacy::mechanism::Event;
use consilium_common::study::notes::Notes;
use consilium_common::study::{Data, earmarks};

fn empty() -> State {
    Ledger::new(policy(&[]).caps).0
}

/// The rules that a study breaks, given edits of study and policy.
fn rules(
    study_edits: &[(&str, &str)],
    policy_edits: &[(&str, &str)],
    ledger: &State,
    at: &str,
) -> Vec<&'static str> {
    let study = study(study_edits);
    let now = at.parse().expect("time");
    decide(&study, &earmarks(&study), &policy(policy_edits), &own(), ledger, now)
        .iter()
        .map(|violation| violation.rule)
        .collect()
}

#[test]
fn a_policy_and_what_it_refuses() {
    fn check(study: &[(&str, &str)], policy: &[(&str, &str)], expected: &[&str]) {
        let found = rules(study, policy, &empty(), &now().to_string());
        assert_eq!(found, expected, "study {study:?}, policy {policy:?}");
    }
    check(&[], &[], &[]);
    check(&[], &[("epsilon_per_study = 8.0", "epsilon_per_study = 2.9")], &["policy.epsilon_per_study"]);
    check(&[], &[("epsilon_per_study = 8.0", "epsilon_per_study = 3.0")], &[]);
    check(&[], &[("epsilon_total = 10.0", "epsilon_total = 2.9")], &["policy.epsilon_total"]);
    // RDP counts a study's 3.0 as 3.25 where it holds a cap over studies. A study that was calibrated by RDP fits.
    check(&[], &[("epsilon_total = 10.0", "epsilon_total = 3.2")], &["policy.epsilon_total"]);
    check(&[], &[("epsilon_total = 10.0", "epsilon_total = 3.3")], &[]);
    const BY_RDP: &[(&str, &str)] = &[("accountant        = \"pld\"", "accountant        = \"rdp\"")];
    check(BY_RDP, &[("epsilon_total = 10.0", "epsilon_total = 3.0")], &[]);
    check(BY_RDP, &[("epsilon_per_study = 8.0", "epsilon_per_study = 2.8")], &[]);
    check(&[], &[("delta = 1e-5", "delta = 1e-6")], &["policy.delta"]);
    check(
        &[],
        &[("noise_multiplier_min = 0.3", "noise_multiplier_min = 1.7")],
        &["policy.noise_multiplier_min"],
    );
    check(&[], &[("noise_multiplier_min = 0.3", "noise_multiplier_min = 1.6")], &[]);
    check(&[], &[("sampling_rate_max = 1.0", "sampling_rate_max = 0.09")], &["policy.sampling_rate_max"]);
    check(&[], &[("sampling_rate_max = 1.0", "sampling_rate_max = 0.1")], &[]);
    // 20 rounds and 2 spare ones, of 2 steps each.
    check(&[], &[("steps_max = 10_000", "steps_max = 43")], &["policy.steps_max"]);
    check(&[], &[("steps_max = 10_000", "steps_max = 44")], &[]);
    check(&[], &[("sites_min = 2", "sites_min = 4")], &["policy.sites_min"]);
    check(&[], &[("people_min = 0", "people_min = 5001")], &["policy.people_min"]);
    check(&[], &[("people_min = 0", "people_min = 5000")], &[]);
    const HONOURED: &[(&str, &str)] = &[(
        "[[governance.approval]]",
        "[governance.opt_out]\nhonour = [\"a\", \"b\"]\n[[governance.approval]]",
    )];
    const LIST_A: (&str, &str) = ("[known_sites]", "[[opt_out]]\nlist = \"a\"\nnone = true\n[known_sites]");
    const LIST_B: (&str, &str) = ("[known_sites]", "[[opt_out]]\nlist = \"b\"\npath = \"/b\"\n[known_sites]");
    check(HONOURED, &[], &["policy.opt_out", "policy.opt_out"]);
    check(HONOURED, &[LIST_A], &["policy.opt_out"]);
    check(HONOURED, &[LIST_A, LIST_B], &[]);
    check(&[], &[LIST_A, LIST_B], &[]);
    check(&[], &[("\"scientific-research\", ", "")], &["policy.purposes"]);
    check(&[], &[("\"logistic\", ", "")], &["policy.model_families"]);
    check(
        &[],
        &[("# attributes = [\"sex\", \"age_band\"]", "attributes = [\"sex\"]")],
        &["policy.attributes"],
    );
    let features = |columns| [("# features = [\"age\", \"sex\", \"prior_admissions\"]", columns)];
    check(&[], &features("features = []"), &["policy.features"; 4]);
    check(&[], &features("features = [\"age\", \"bmi\", \"sex\", \"prior_admissions\"]"), &[]);
    check(&[], &[("# epsilon_per_year = 5.0", "epsilon_per_year = 2.9")], &["policy.epsilon_per_year"]);
    check(&[], &[("# epsilon_per_year = 5.0", "epsilon_per_year = 3.0")], &["policy.epsilon_per_year"]);
    check(&[], &[("# epsilon_per_year = 5.0", "epsilon_per_year = 3.3")], &[]);
    // Another column could make many persons of one, each with a budget.
    check(&[("person_id = \"person_id\"", "person_id = \"visit_id\"")], &[], &["policy.person_id"]);
    check(&[], &[("person_id = \"person_id\"", "person_id = \"pseudonym\"")], &["policy.person_id"]);
    check(
        &[("person_id = \"person_id\"", "person_id = \"visit_id\"")],
        &[("person_id = \"person_id\"", "person_id = \"visit_id\"")],
        &[],
    );
    let (known, other) = (key(1).public().to_string(), key(7).public().to_string());
    check(&[], &[(&known, &other)], &["policy.known_sites"]);
    let own_key = key(0).public().to_string();
    check(&[(&own_key, &other)], &[], &["study.roster_key"]);
    check(&[("st-elsewhere", "elsewhere")], &[], &["study.roster"]);
    check(
        &[],
        &[("steps_max = 10_000", "steps_max = 1"), ("sites_min = 2", "sites_min = 9")],
        &["policy.sites_min", "policy.steps_max"],
    );
}

/// Notes are read where the hospital says so, and nowhere else.
#[test]
fn notes_are_the_hospital_s_to_allow() {
    let rules = |notes: Option<Notes>, policy_edits: &[(&str, &str)]| -> Vec<&str> {
        let mut study = crate::data::extract::tests::folders::asking_as(study(&[]));
        let Data::Records(records) = &mut study.data else { panic!("on records") };
        records.notes = notes;
        let found = decide(&study, &earmarks(&study), &policy(policy_edits), &own(), &empty(), now());
        found.iter().map(|violation| violation.rule).collect()
    };
    let (text, found) = (Some(Notes::Lexicon(vec![])), Some(Notes::Nlp(vec![])));
    const ALLOWED: &[(&str, &str)] = &[("notes = false", "notes = true")];
    const SILENT: &[(&str, &str)] = &[("notes = false", "")];
    assert!(rules(None, &[]).is_empty());
    for notes in [&text, &found] {
        assert_eq!(rules(notes.clone(), &[]), ["policy.notes"]);
        assert_eq!(rules(notes.clone(), SILENT), ["policy.notes"], "a policy that does not say");
        assert!(rules(notes.clone(), ALLOWED).is_empty());
    }
}

/// Who reads the refusal learns why a study that says 3 does not fit under 3.
#[test]
fn a_refusal_says_which_accountant_counts() {
    fn check(policy_edit: (&str, &str), expected: &str) {
        let study = study(&[]);
        let found = decide(&study, &earmarks(&study), &policy(&[policy_edit]), &own(), &empty(), now());
        let [violation] = &found[..] else { panic!("{found:?}") };
        assert!(violation.to_string().contains(expected), "{violation}");
    }
    check(
        ("epsilon_total = 10.0", "epsilon_total = 3.0"),
        "asked epsilon 3.250 over all studies at delta 1e-5, counted by RDP at one fixed order, some per cent above \
         the epsilon that a study states for itself, allowed at most 3",
    );
    check(
        ("# epsilon_per_year = 5.0", "epsilon_per_year = 3.0"),
        "over the year's studies at delta 1e-5, counted by RDP",
    );
    check(
        ("epsilon_per_study = 8.0", "epsilon_per_study = 2.9"),
        "asked epsilon 3.000 by pld at delta 1e-5, allowed at most 2.9",
    );
}

#[test]
fn terms_end_after_their_last_day() {
    fn check(at: &str, expected: &[&str]) {
        let edit = [("expires   = 2027-12-31", "expires   = 2027-11-30")];
        assert_eq!(rules(&edit, &[], &empty(), at), expected, "{at}");
    }
    check("2027-11-30T23:59:59.999Z", &[]);
    check("2027-12-01T00:00:00Z", &["study.governance_expired"]);
    check("2027-12-31T23:59:59.999Z", &["study.governance_expired"]);
    check("2028-01-01T00:00:00Z", &["study.valid_until", "study.governance_expired"]);
    // Approving before the first day is fine; rounds are not (see `task`).
    check("2026-11-01T00:00:00Z", &[]);
}

#[test]
fn a_policy_ends_after_its_last_day() {
    fn check(at: &str, expected: &[&str]) {
        let edit = [("# valid_until = \"2028-12-31\"", "valid_until = \"2027-05-31\"")];
        assert_eq!(rules(&[], &edit, &empty(), at), expected, "{at}");
    }
    check("2027-05-31T23:59:59.999Z", &[]);
    check("2027-06-01T00:00:00Z", &["policy.valid_until"]);
}

#[test]
fn other_studies_on_the_same_people_count() {
    fn check(other: Option<(Account, f64)>, policy_edits: &[(&str, &str)], expected: &[&str]) {
        let mut ledger = Ledger::new(policy(&[]).caps);
        if let Some((account, noise_multiplier)) = other {
            let name = if account == Account::Training { TRAINING } else { "overall" };
            let event = Event::Gaussian { noise_multiplier, count: 1 };
            ledger.open_other(vec![Earmark { name: name.into(), account, event }]);
        }
        let found = rules(&[], policy_edits, &ledger.0, &now().to_string());
        assert_eq!(found, expected, "{other:?} {policy_edits:?}");
    }
    // A policy that was made stricter after the ledger's last entry.
    const STRICTER: &[(&str, &str)] = &[("epsilon_total = 10.0", "epsilon_total = 8.0")];
    check(None, &[], &[]);
    check(None, STRICTER, &[]);
    for account in [Account::Training, Account::Evaluation, Account::Both] {
        check(Some((account, 5.0)), STRICTER, &[]);
        check(Some((account, 0.7)), &[], &[]);
        check(Some((account, 0.7)), STRICTER, &["policy.epsilon_total"]);
    }
}

#[test]
fn no_cap_holds_an_event_that_has_no_price() {
    let study = study(&[]);
    let mut asked = earmarks(&study);
    asked[1].event = Event::Gaussian { noise_multiplier: f64::NAN, count: 1 };
    let found = decide(&study, &asked, &policy(&[]), &own(), &empty(), now());
    let found: Vec<&str> = found.iter().map(|violation| violation.rule).collect();
    assert_eq!(found, ["policy.epsilon_per_study", "policy.epsilon_total"]);
}

#[test]
fn participants_are_those_that_this_site_knows() {
    fn check(participants: &[(usize, usize)], policy_edits: &[(&str, &str)], expected: &[&str]) {
        let participants: Vec<Participant> =
            participants.iter().map(|&(s, k)| Participant { site: site(s), key: key(k).public() }).collect();
        let found = check_participants(&participants, &policy(policy_edits), &own());
        let found: Vec<&str> = found.iter().map(|violation| violation.rule).collect();
        assert_eq!(found, expected, "{participants:?}");
    }
    check(&[(0, 0), (1, 1), (2, 2)], &[], &[]);
    check(&[(0, 0), (1, 1)], &[], &[]);
    check(&[(0, 0)], &[], &["policy.sites_min"]);
    check(&[(0, 0), (1, 1)], &[("sites_min = 2", "sites_min = 3")], &["policy.sites_min"]);
    check(&[(1, 1), (2, 2)], &[], &["study.participants"]);
    check(&[(0, 0), (1, 5)], &[], &["policy.known_sites"]);
    check(&[(0, 5), (1, 1)], &[], &["policy.known_sites"]);
    check(&[(0, 0), (2, 2)], &[("north-trust", "south-trust")], &["policy.known_sites"]);
}
