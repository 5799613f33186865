use super::*;
use crate::policy::{Own, Policy};
use crate::task::{self, Next};
use crate::testing::{Ledger, SITES, approval, coordinator, key, now, own, policy, site, start, study};
use consilium_common::ledger::rules::Block;
use consilium_common::protocol::Decision;

/// The shared example, as a distributed study.
const DISTRIBUTED: [(&str, &str); 6] = [
    ("weight = 1.5", "weight = 1.0"),
    ("weight = 0.8", "weight = 1.0"),
    ("mode              = \"local\"", "colluding = 1\nmode = \"distributed\""),
    ("local_steps      = 2", "local_steps = 1"),
    ("spare_rounds     = 2", "spare_rounds = 8"),
    ("quorum           = 2", "quorum = 3"),
];

struct World {
    study: Study,
    policy: Policy,
    own: Own,
    ledger: Ledger,
}

impl World {
    fn new(edits: &[(&str, &str)]) -> Self {
        let policy = policy(&[]);
        let ledger = Ledger::new(policy.caps.clone());
        Self { study: study(edits), policy, own: own(), ledger }
    }

    /// A distributed study, open with all three hospitals.
    fn opened() -> Self {
        let mut world = Self::new(&DISTRIBUTED);
        let body = world.open().expect("fine");
        world.ledger.append(body);
        world
    }

    fn open(&self) -> Result<Body, Refusal> {
        let yes = approval(&self.study, 0, Decision::Approve);
        let started = start(&self.study, &[0, 1, 2]);
        task::open(&self.facts(), &started, &yes, &coordinator().public())
    }

    fn facts(&self) -> Facts<'_> {
        Facts { study: &self.study, policy: &self.policy, state: &self.ledger.0, own: &self.own, now: now() }
    }

    /// Burns a block, as the drive does.
    fn burn(&mut self, summed: Summed) -> (u64, Block) {
        let body = block(&self.facts(), summed).expect("allowed");
        let at = self.ledger.append(body);
        (at, *self.ledger.0.block(at).expect("a block"))
    }

    /// Commits a masked vector on a use.
    fn commit(&mut self, of: Use, slot: Slot) {
        let digest = Digest::of(b"any");
        self.ledger.append(Body::CommitSum {
            reserve: of.reserve,
            index: of.index,
            step: slot.step,
            attempt: slot.attempt,
            session: digest,
            model: digest,
            output: digest,
        });
    }

    fn uses(&self, summed: Summed) -> (Option<Use>, u64) {
        uses(&self.study.digest, &self.ledger.0, summed, |_| true)
    }
}

const fn slot(step: u32, attempt: u32) -> Slot {
    Slot { step, attempt }
}

fn rule<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.expect_err("refused").rule
}

#[test]
fn each_mode_has_its_own_tasks() {
    let local = {
        let mut world = World::new(&[]);
        let body = world.open().expect("fine");
        world.ledger.append(body);
        world
    };
    assert_eq!(rule(join(&local.facts())), "task.mode");
    assert_eq!(rule(block(&local.facts(), Summed::Training)), "task.mode");
    let model = Digest::of(b"model");
    assert!(matches!(task::train(&local.facts(), 0, model), Ok(Next::Burn(_))));
    let distributed = World::opened();
    assert_eq!(join(&distributed.facts()), Ok(()));
    assert_eq!(rule(task::train(&distributed.facts(), 0, model)), "task.mode");
    assert_eq!(rule(task::evaluate(&distributed.facts(), model)), "task.mode");
    assert_eq!(rule(join(&World::new(&DISTRIBUTED).facts())), "study.not_open");
}

#[test]
fn a_study_without_secure_sums_is_not_opened() {
    // Two sites would know each other's vectors.
    let world = World::new(&DISTRIBUTED);
    let two = [0, 1].map(|i| Participant { site: site(i), key: key(i).public() });
    assert_eq!(rule(check_agreements(&world.facts(), &two)), "secagg.sites");
    let local = World::new(&[]);
    assert_eq!(check_agreements(&local.facts(), &two), Ok(()));
}

#[test]
fn agreements_are_with_sites_that_the_policy_knows() {
    let mut world = World::opened();
    for summed in secure::all_summed(&world.study) {
        let agreed = agreement(&world.facts(), summed).expect("all are known");
        let everybody: Vec<&RosterSite> = world.study.sites.iter().collect();
        let theirs = secure::agreement(&world.study, &everybody, summed).expect("agrees");
        assert_eq!(agreed.digest(), theirs.digest(), "{summed:?}: as the coordinator computes it");
    }
    world.policy.known_sites.remove(&site(2));
    assert_eq!(rule(agreement(&world.facts(), Summed::Training)), "policy.known_sites");
    // The protocol's own check, for whoever gets past that.
    let participants = world.ledger.0.study(&world.study.digest).expect("open").participants.clone();
    let refused = agreement_of(&world.facts(), &participants, Summed::Training);
    assert_eq!(rule(refused), "secagg.unknown_site");
}

#[test]
fn attempts_rise() {
    let mut world = World::opened();
    let check = |world: &World, summed, slot, expected: Option<&str>| {
        let found = share(&world.study, &world.ledger.0, summed, slot).err().map(|refusal| refusal.rule);
        assert_eq!(found, expected, "{slot}");
        assert_eq!(
            step(&world.facts(), summed, slot, Digest::of(b"any")).err().map(|refusal| refusal.rule),
            expected
        );
    };
    check(&world, Summed::Training, slot(0, 0), None);
    check(&world, Summed::Training, slot(19, 3), None);
    check(&world, Summed::Training, slot(20, 0), Some("study.rounds"));
    check(&world, Summed::Grouping(2), slot(2, 0), None);
    check(&world, Summed::Grouping(2), slot(1, 0), Some("task.step"));
    world.burn(Summed::Training);
    let of = world.uses(Summed::Training).0.expect("burnt");
    world.commit(of, slot(3, 1));
    for (before, refused) in
        [(slot(0, 0), true), (slot(3, 0), true), (slot(3, 1), true), (slot(3, 2), false), (slot(4, 0), false)]
    {
        check(&world, Summed::Training, before, refused.then_some("task.attempt"));
    }
    check(&world, Summed::Grouping(1), slot(1, 0), None);
}

#[test]
fn a_spare_attempt_is_from_the_same_model() {
    let mut world = World::opened();
    let check = |world: &World, summed, slot, model: &str, expected: Option<&str>| {
        let found = step(&world.facts(), summed, slot, Digest::of(model.as_bytes()));
        assert_eq!(found.err().map(|refusal| refusal.rule), expected, "{summed:?} {slot} {model}");
    };
    check(&world, Summed::Training, slot(3, 0), "other", None);
    check(&world, Summed::Grouping(1), slot(1, 0), "other", None);
    world.burn(Summed::Training);
    world.commit(world.uses(Summed::Training).0.expect("burnt"), slot(3, 0));
    check(&world, Summed::Training, slot(3, 1), "any", None);
    check(&world, Summed::Training, slot(3, 1), "other", Some("task.other_model"));
    check(&world, Summed::Training, slot(4, 0), "other", None);
    check(&world, Summed::Grouping(1), slot(1, 0), "other", None);
    // What one grouping was counted under, all are.
    world.burn(Summed::Grouping(1));
    world.commit(world.uses(Summed::Grouping(1)).0.expect("burnt"), slot(1, 0));
    for (grouping, at) in [(1, slot(1, 1)), (2, slot(2, 0))] {
        check(&world, Summed::Grouping(grouping), at, "any", None);
        check(&world, Summed::Grouping(grouping), at, "other", Some("task.other_model"));
    }
    check(&world, Summed::Training, slot(4, 0), "other", None);
}

#[test]
fn groupings_are_found_by_name() {
    let study = study(&DISTRIBUTED);
    assert_eq!(summed(&study, None), Ok(Summed::Training));
    for (earmark, name) in (1..).zip(study.groupings()) {
        assert_eq!(summed(&study, Some(&name)), Ok(Summed::Grouping(earmark)));
        assert_eq!(release(&study, earmark).expect("a release").0.name, name);
    }
    assert_eq!(rule(summed(&study, Some("postcode"))), "study.grouping");
    assert_eq!(rule(release(&study, 0)), "study.earmarks");
    assert_eq!(rule(release(&study, 99)), "study.earmarks");
}

#[test]
fn blocks_and_their_uses() {
    let mut world = World::opened();
    assert_eq!(world.uses(Summed::Training), (None, 0));
    let (first, block_) = world.burn(Summed::Training);
    assert_eq!((block_.first, block_.count), (0, 2), "a quarter of the spare ones");
    let (second, _) = world.burn(Summed::Training);
    let expect = |reserve, index, left| (Some(Use { reserve, index }), left);
    assert_eq!(world.uses(Summed::Training), expect(first, 0, 4));
    // Another process's blocks are none.
    let made = |block| block == second;
    assert_eq!(uses(&world.study.digest, &world.ledger.0, Summed::Training, made), expect(second, 2, 2));
    world.commit(Use { reserve: first, index: 0 }, slot(0, 0));
    assert_eq!(world.uses(Summed::Training), expect(first, 1, 3));
    world.commit(Use { reserve: first, index: 1 }, slot(1, 0));
    assert_eq!(world.uses(Summed::Training), expect(second, 2, 2));
    // At a start, what is left of blocks is given up and stays burnt.
    let aborts = task::recover(&world.ledger.0);
    assert_eq!(aborts, [task::interrupted(second)]);
    world.ledger.append(aborts.into_iter().next().expect("one"));
    assert_eq!(world.uses(Summed::Training), (None, 0));
    assert_eq!(world.burn(Summed::Training).1.first, 4);
    // A grouping has its own uses, one at a time.
    let (_, block_) = world.burn(Summed::Grouping(1));
    assert_eq!((block_.first, block_.count), (0, 1));
    assert_eq!(world.burn(Summed::Grouping(1)).1.first, 1, "the spare one");
    assert_eq!(rule(block(&world.facts(), Summed::Grouping(1))), "study.earmark_spent");
}

#[test]
fn no_more_is_burnt_than_there_are_steps_to_come() {
    let mut world = World::opened();
    let check = |world: &World, summed, expected| {
        assert_eq!(steps_to_come(&world.study, &world.ledger.0, summed), expected);
    };
    check(&world, Summed::Training, 20);
    check(&world, Summed::Grouping(1), 1);
    world.burn(Summed::Training);
    let of = world.uses(Summed::Training).0.expect("burnt");
    world.commit(of, slot(18, 0));
    check(&world, Summed::Training, 1);
    assert_eq!(world.burn(Summed::Training).1.count, 1, "one step is left");
    world.commit(Use { reserve: of.reserve, index: 1 }, slot(19, 0));
    check(&world, Summed::Training, 0);
    assert_eq!(world.burn(Summed::Training).1.count, 1, "its repetition");
    assert_eq!((SITES.len(), low_water(&world.study, Summed::Training)), (3, 0));
}
