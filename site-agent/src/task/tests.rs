use super::*;
use crate::testing::{Ledger, approval, coordinator, key, now, own, policy, start, start_of, study};
use consilium_common::key::SecretKey;
use consilium_common::ledger::entry::{Account, Earmark, Role};
use consilium_common::privacy::accountant::{Accountant, epsilon_by};
use consilium_common::privacy::mechanism::Event;
use consilium_common::protocol::DeclineReason;

/// A study, a policy and a ledger; `at` is the time of each decision.
struct World {
    study: Study,
    policy: Policy,
    own: Own,
    ledger: Ledger,
    at: Time,
}

impl World {
    fn new(policy_edits: &[(&str, &str)]) -> Self {
        let policy = policy(policy_edits);
        let ledger = Ledger::new(policy.caps.clone());
        Self { study: study(&[]), policy, own: own(), ledger, at: now() }
    }

    /// Open with all three hospitals.
    fn opened() -> Self {
        let mut world = Self::new(&[]);
        let body = world.open(&start(&world.study, &[0, 1, 2])).expect("fine");
        world.ledger.append(body);
        world
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            study: &self.study,
            policy: &self.policy,
            state: &self.ledger.0,
            own: &self.own,
            now: self.at,
        }
    }

    fn open(&self, start: &Verified<Start>) -> Result<Body, Refusal> {
        let own_approval = approval(&self.study, 0, Decision::Approve);
        open(&self.facts(), start, &own_approval, &coordinator().public())
    }

    /// Does a round up to its commit, as the drive does.
    fn round(&mut self, round: u32, bytes: &[u8]) -> Digest {
        let Next::Burn(body) = train(&self.facts(), round, model(round)).expect("allowed") else {
            panic!("round {round} is new")
        };
        let reserve = self.ledger.append(*body);
        let output = Digest::of(bytes);
        self.ledger.append(Body::Commit { reserve, output });
        output
    }

    /// A new process after a crash.
    fn restart(&mut self) -> usize {
        let aborts = recover(&self.ledger.0);
        let count = aborts.len();
        for abort in aborts {
            self.ledger.append(abort);
        }
        assert!(recover(&self.ledger.0).is_empty(), "a second start finds nothing");
        count
    }
}

fn model(round: u32) -> Digest {
    Digest::of(format!("model {round}").as_bytes())
}

fn rule<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.expect_err("refused").rule
}

#[test]
fn a_start_opens_the_study_with_its_whole_event_list() {
    let world = World::new(&[]);
    let body = world.open(&start(&world.study, &[2, 0, 1])).expect("fine");
    let Body::StudyOpen { study, participants, delta, earmarks, .. } = &body else { panic!("{body:?}") };
    assert_eq!(*study, world.study.digest);
    let names: Vec<&str> = participants.iter().map(|p| p.site.as_str()).collect();
    assert_eq!(names, ["county-general", "north-trust", "st-elsewhere"]);
    assert_eq!((*delta, earmarks.len()), (1e-5, 4));
    assert_eq!(earmarks[0].event.count(), 44, "20 rounds and 2 spare ones, of 2 steps");
    let mut ledger = Ledger::new(world.policy.caps.clone());
    ledger.append(body);
}

#[test]
fn starts_that_do_not_open_a_study() {
    let world = World::new(&[]);
    let study = &world.study;
    let yes = |i| approval(study, i, Decision::Approve);
    let check = |start: &Verified<Start>, expected: &str| assert_eq!(rule(world.open(start)), expected);
    // Another study's start.
    check(&start_of(Digest::of(b"other"), vec![yes(0), yes(1)]), "study.start");
    // A hospital that declined, a hospital twice, an approval of another study.
    let no = approval(study, 1, Decision::Decline { reason: DeclineReason::Other });
    check(&start_of(study.digest, vec![yes(0), no]), "study.start");
    check(&start_of(study.digest, vec![yes(0), yes(1), yes(1)]), "study.start");
    let other = crate::testing::study(&[("1.0.0", "1.0.1")]);
    check(&start_of(study.digest, vec![yes(0), approval(&other, 1, Decision::Approve)]), "study.start");
    // A hospital that the coordinator invented, under its own name and under a real one's.
    let stranger = |site: usize, seed: u8| {
        let key = SecretKey::from_seed(&[seed; 32]);
        crate::approval::sign(study, &crate::testing::site(site), Decision::Approve, "", now(), &key)
    };
    check(&start_of(study.digest, vec![yes(0), stranger(1, 50)]), "study.start");
    // One hospital's approval passed off as another's.
    let mut posing = yes(1);
    posing.statement = posing.statement.replace("county-general", "north-trust");
    check(&start_of(study.digest, vec![yes(0), posing]), "study.start");
    // This site's own approval, with another answer to the bindings than the one that it keeps.
    let by = (Decision::Approve, "Dr A. Bird");
    let other = Some("[binding]");
    let answered =
        crate::approval::sign_over(study, &crate::testing::site(0), by, other, now(), &key(0), None);
    check(&start_of(study.digest, vec![answered, yes(1)]), "study.start");
    // Without this site; with too few.
    check(&start_of(study.digest, vec![yes(1), yes(2)]), "study.participants");
    check(&start_of(study.digest, vec![yes(0)]), "policy.sites_min");
    // A coordinator that names another key than the one of enrolment.
    let elsewhere = SecretKey::from_seed(&[98; 32]).public();
    let refused = open(&world.facts(), &start(study, &[0, 1]), &yes(0), &elsewhere);
    assert_eq!(rule(refused), "study.start");
}

#[test]
fn a_start_has_as_many_sites_as_the_study_asks_for() {
    fn check(edits: &[(&str, &str)], sites: &[usize], expected: Option<&str>) {
        let mut world = World::new(&[]);
        world.study = study(edits);
        let opened = world.open(&start(&world.study, sites));
        assert_eq!(opened.err().map(|refusal| refusal.rule), expected, "{edits:?} {sites:?}");
    }
    let quorum = [("quorum           = 2", "quorum           = 3")];
    let min_sites = [("min_sites = 2 ", "min_sites = 3 ")];
    check(&[], &[0, 1], None);
    check(&quorum, &[0, 1], Some("study.min_sites"));
    check(&quorum, &[0, 1, 2], None);
    check(&min_sites, &[0, 1], Some("study.min_sites"));
    check(&min_sites, &[0, 1, 2], None);
}

#[test]
fn a_study_opens_only_on_this_sites_own_yes() {
    let world = World::new(&[]);
    let start = start(&world.study, &[0, 1, 2]);
    let check = |own_approval: &Signed<Approval>| {
        let found = open(&world.facts(), &start, own_approval, &coordinator().public());
        assert_eq!(rule(found), "study.not_approved");
    };
    check(&approval(&world.study, 1, Decision::Approve));
    check(&approval(&world.study, 0, Decision::Decline { reason: DeclineReason::Governance }));
    check(&approval(&study(&[("1.0.0", "1.0.1")]), 0, Decision::Approve));
}

#[test]
fn policy_and_term_are_asked_again_at_start_and_at_each_task() {
    fn check(policy_edits: &[(&str, &str)], at: &str, expected: &str) {
        let mut world = World::new(&[]);
        let body = world.open(&start(&world.study, &[0, 1, 2])).expect("fine");
        world.policy = policy(policy_edits);
        world.at = at.parse().expect("time");
        assert_eq!(rule(world.open(&start(&world.study, &[0, 1, 2]))), expected);
        world.ledger.append(body);
        assert_eq!(rule(train(&world.facts(), 0, model(0))), expected);
        assert_eq!(rule(evaluate(&world.facts(), model(0))), expected);
    }
    let today = now().to_string();
    check(&[("epsilon_total = 10.0", "epsilon_total = 2.0")], &today, "policy.epsilon_total");
    check(&[("steps_max = 10_000", "steps_max = 10")], &today, "policy.steps_max");
    check(&[("sites_min = 2", "sites_min = 4")], &today, "policy.sites_min");
    let known = format!("{} = \"{}\"", crate::testing::SITES[2], key(2).public());
    check(&[(&known, "")], &today, "policy.known_sites");
    check(&[], "2026-12-31T23:59:59Z", "study.valid_from");
    check(&[], "2028-01-01T00:00:00Z", "study.valid_until");
}

#[test]
fn a_round_burns_once_and_resends() {
    let mut world = World::opened();
    let first = train(&world.facts(), 0, model(0)).expect("allowed");
    let expected = Body::Reserve {
        study: world.study.digest,
        earmark: 0,
        first: 0,
        count: 2,
        round: 0,
        model: model(0),
    };
    assert_eq!(first, Next::Burn(Box::new(expected)));
    let output = world.round(0, b"update 0");
    for _ in 0..3 {
        assert_eq!(train(&world.facts(), 0, model(0)), Ok(Next::Resend { output }));
    }
    // The same round from another model would be a second output.
    assert_eq!(rule(train(&world.facts(), 0, model(7))), "task.other_model");
    world.round(1, b"update 1");
    assert_eq!(world.ledger.0.next_unburnt(&world.study.digest, 0), Some(4));
    assert_eq!(rule(train(&world.facts(), 20, model(20))), "study.rounds");
}

/// A crash at each point of a round: what the next process does, and how much is burnt after it.
#[test]
fn crashes() {
    // Before the reserve is durable: nothing happened.
    let mut world = World::opened();
    assert_eq!(world.restart(), 0);
    world.round(0, b"update");
    assert_eq!(world.ledger.0.next_unburnt(&world.study.digest, 0), Some(2));

    // Between reserve and commit, wherever (cosigned or not, output on disk or not): burnt, and a
    // spare use goes to the next try.
    let mut world = World::opened();
    let Ok(Next::Burn(body)) = train(&world.facts(), 0, model(0)) else { panic!("new") };
    world.ledger.append(*body);
    assert_eq!(world.restart(), 1);
    let output = world.round(0, b"second try");
    assert_eq!(world.ledger.0.next_unburnt(&world.study.digest, 0), Some(4));
    assert_eq!(train(&world.facts(), 0, model(0)), Ok(Next::Resend { output }));

    // After the commit, before or after sending: the same bytes.
    assert_eq!(world.restart(), 0);
    assert_eq!(train(&world.facts(), 0, model(0)), Ok(Next::Resend { output }));

    // The same process after an error between reserve and commit: it has to choose first.
    let Ok(Next::Burn(body)) = train(&world.facts(), 1, model(1)) else { panic!("new") };
    let reserve = world.ledger.append(*body);
    assert_eq!(train(&world.facts(), 1, model(1)), Ok(Next::Unfinished { reserve }));
    world.ledger.append(interrupted(reserve));
    assert!(matches!(train(&world.facts(), 1, model(1)), Ok(Next::Burn(_))));
}

#[test]
fn spare_rounds_end() {
    let mut world = World::opened();
    for round in 0..20 {
        world.round(round, format!("update {round}").as_bytes());
        if round < 2 {
            // Two crashes use up the two spare rounds.
            let Ok(Next::Burn(body)) = train(&world.facts(), round + 1, model(round + 1)) else {
                panic!("new")
            };
            world.ledger.append(*body);
            assert_eq!(world.restart(), 1);
        }
    }
    assert_eq!(world.ledger.0.next_unburnt(&world.study.digest, 0), Some(44));
    let mut world = World::opened();
    for _ in 0..22 {
        let Ok(Next::Burn(body)) = train(&world.facts(), 0, model(0)) else { panic!("never committed") };
        world.ledger.append(*body);
        world.restart();
    }
    assert_eq!(rule(train(&world.facts(), 0, model(0))), "study.earmark_spent");
}

#[test]
fn an_evaluation_releases_each_grouping_once() {
    let mut world = World::opened();
    let due = evaluate(&world.facts(), model(20)).expect("allowed");
    assert_eq!(due.iter().map(|(earmark, _)| *earmark).collect::<Vec<_>>(), [1, 2, 3]);
    // A crash after the first of three is committed, with the second reserved.
    let mut bodies = due.into_iter().map(|(_, next)| match next {
        Next::Burn(body) => *body,
        other => panic!("{other:?}"),
    });
    let reserve = world.ledger.append(bodies.next().expect("three"));
    let output = Digest::of(b"histogram");
    world.ledger.append(Body::Commit { reserve, output });
    world.ledger.append(bodies.next().expect("three"));
    assert_eq!(world.restart(), 1);
    let due = evaluate(&world.facts(), model(20)).expect("allowed");
    assert_eq!(due[0], (1, Next::Resend { output }));
    let study = world.study.digest;
    let again = |earmark, first| Body::Release { study, earmark, first, count: 1, model: model(20) };
    assert_eq!(due[1], (2, Next::Burn(Box::new(again(2, 1)))), "the spare one");
    assert_eq!(due[2], (3, Next::Burn(Box::new(again(3, 0)))));
    // Another model would make a second histogram of the same people.
    assert_eq!(rule(evaluate(&world.facts(), model(19))), "task.other_model");
}

#[test]
fn nothing_after_the_end() {
    let mut world = World::opened();
    world.round(0, b"update");
    let body = close(&world.ledger.0, &world.study.digest).expect("open");
    world.ledger.append(body);
    assert_eq!(close(&world.ledger.0, &world.study.digest), None);
    assert_eq!(close(&world.ledger.0, &Digest::of(b"other")), None);
    assert_eq!(rule(train(&world.facts(), 0, model(0))), "study.closed");
    assert_eq!(rule(evaluate(&world.facts(), model(0))), "study.closed");
    let never = World::new(&[]);
    assert_eq!(rule(train(&never.facts(), 0, model(0))), "study.not_open");
}

#[test]
fn models_are_those_of_the_task() {
    let study = study(&[]);
    let architecture = study.architecture();
    let first = study.initial_parameters();
    let mut moved = first.clone();
    moved[0] = 1;
    let check = |edit: fn(&mut ModelHeader), values: &[i32], round: Option<u32>, good: bool| {
        let mut header = ModelHeader {
            schema: "model/1".into(),
            study: study.digest,
            round: 0,
            architecture: architecture.clone(),
        };
        edit(&mut header);
        let found = check_model(&study, &header, values, round);
        assert_eq!(found.is_ok(), good, "{found:?}");
        assert!(good || rule(found) == "task.model");
    };
    check(|_| {}, &first, Some(0), true);
    check(|_| {}, &moved, Some(0), false);
    check(|_| {}, &first, Some(1), false);
    check(|h| h.round = 1, &moved, Some(1), true);
    check(|h| h.round = 20, &moved, None, true);
    check(|h| h.round = 21, &moved, None, false);
    check(|h| h.study = Digest::of(b"other"), &first, Some(0), false);
    check(|h| h.architecture.hidden = vec![2], &first, Some(0), false);
}

/// Two studies whose sum is within the cap at the order that is best in the end: the first fixed
/// another one, so policy and ledger refuse the second by the same rule.
#[test]
fn the_cap_over_studies_is_held_at_the_order_of_the_first() {
    const CAP: &[(&str, &str)] = &[("epsilon_total = 10.0", "epsilon_total = 3.4")];
    let mut world = World::new(CAP);
    world.study = study(&[
        ("sampling_rate    = 0.1", "sampling_rate    = 0.02"),
        ("noise_multiplier = 1.6", "noise_multiplier = 0.8"),
    ]);
    let alone = world.open(&start(&world.study, &[0, 1, 2])).expect("fits alone");
    let Body::StudyOpen { earmarks, .. } = &alone else { panic!("{alone:?}") };
    let gentle = Event::PoissonGaussian { sampling_rate: 0.5, noise_multiplier: 8.0, count: 10 };
    let both = [Role::Training.events(earmarks), vec![gentle]].concat();
    let caps = &world.policy.caps;
    let plain = epsilon_by(Accountant::Rdp, &both, caps.delta).expect("valid");
    assert!(plain < caps.epsilon_total, "{plain}");

    let other = Earmark { name: TRAINING.into(), account: Account::Training, event: gentle };
    world.ledger.open_other(vec![other.clone()]);
    let refused = world.open(&start(&world.study, &[0, 1, 2]));
    assert_eq!(rule(refused), "policy.epsilon_total");
    assert_eq!(
        world.ledger.0.decide(alone.clone(), now()).expect_err("refused").rule,
        "policy.epsilon_total"
    );

    // The other way round both fit, and the open study's own tasks still do.
    let mut world = World { ledger: Ledger::new(policy(CAP).caps), ..world };
    world.ledger.append(alone);
    world.ledger.open_other(vec![other]);
    train(&world.facts(), 0, model(0)).expect("allowed");
}

#[test]
fn what_a_closed_study_did_not_burn_is_free_again() {
    let mut world = World::new(&[("epsilon_total = 10.0", "epsilon_total = 3.4")]);
    let all = earmarks(&world.study);
    let other = world.ledger.open_other(all);
    assert_eq!(rule(world.open(&start(&world.study, &[0, 1, 2]))), "policy.epsilon_total");
    let body = close(&world.ledger.0, &other).expect("open");
    world.ledger.append(body);
    let body = world.open(&start(&world.study, &[0, 1, 2])).expect("nothing was burnt");
    world.ledger.append(body);
    train(&world.facts(), 0, model(0)).expect("allowed");
}
