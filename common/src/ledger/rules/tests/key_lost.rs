//! Lost keys: every rule broken once, who may vouch, and what a loss does to studies and accounts.

use super::*;
use crate::ledger::checkpoint::{Checkpoint, Note};
use crate::ledger::key_loss::{Endorsement, KeyLoss, Quorum, SplitKey};
use crate::ledger::merkle::Tree;
use crate::privacy::filter::Filter;

fn other(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn name(text: &str) -> SiteName {
    text.parse().expect("a name")
}

/// The other hospitals of these tests, by the seed of their key.
const OTHERS: [(&str, u8); 4] = [("brackley", 2), ("corby", 3), ("dunmore", 4), ("elstow", 5)];

/// A study with the first `others` of them, opened under this key.
fn with(others: usize, text: &[u8], by: &SecretKey) -> Body {
    with_earmarks(others, text, by, earmarks())
}

fn with_earmarks(others: usize, text: &[u8], by: &SecretKey, earmarks: Vec<Earmark>) -> Body {
    let mut body = open_of(Digest::of(text), earmarks);
    let Body::StudyOpen { study, approval: signed, participants, .. } = &mut body else {
        panic!("an opening")
    };
    *signed = approval(*study, Decision::Approve, by);
    *participants = vec![Participant { site: site(), key: by.public() }];
    participants.extend(
        OTHERS[..others]
            .iter()
            .map(|(site, seed)| Participant { site: name(site), key: other(*seed).public() }),
    );
    body
}

fn opened(others: usize) -> Body {
    with(others, b"study", &key())
}

fn closed(text: &[u8]) -> Body {
    Body::Close { study: Digest::of(text), reason: "finished".into() }
}

/// The lost key's newest checkpoint over these entries.
fn newest(bodies: &[Body], by: &SecretKey) -> Note {
    let tree = Tree::of(ledger(bodies).expect("legal"));
    Checkpoint { origin: state(bodies).origin(), size: tree.size(), root: tree.root() }.sign(by)
}

/// The new key.
fn new() -> SecretKey {
    other(21)
}

/// A loss after these entries, edited, and these hospitals that vouch for it.
struct Case<'a> {
    bodies: &'a [Body],
    loss: KeyLoss,
    checkpoint: Note,
    endorsements: Vec<Endorsement>,
}

impl<'a> Case<'a> {
    fn new(bodies: &'a [Body], vouching: &[usize], split: SplitKey) -> Self {
        let loss = KeyLoss::after(&state(bodies), new().public(), split);
        let vouch = |at: &usize| loss.endorsed(name(OTHERS[*at].0), &other(OTHERS[*at].1));
        let endorsements = vouching.iter().map(vouch).collect();
        Self { bodies, checkpoint: newest(bodies, &key()), endorsements, loss }
    }

    /// The entries and the loss after them.
    fn ledger(&self) -> Vec<Body> {
        let entry = self.loss.entry(&new(), &self.checkpoint, self.endorsements.clone());
        [self.bodies, &[entry]].concat()
    }

    #[track_caller]
    fn legal(&self) -> State {
        state(&self.ledger())
    }

    #[track_caller]
    fn breaks(&self, rule: &str) {
        check(&self.ledger(), rule);
    }
}

fn lost(bodies: &[Body], vouching: &[usize]) -> State {
    Case::new(bodies, vouching, SplitKey::Kept).legal()
}

/// More than half of the others, and never one alone.
#[test]
fn who_may_vouch_and_how_many_have_to() {
    let needed = |others: usize| Quorum::of(&state(&[opened(others)])).needed();
    assert_eq!([0, 1, 2, 3, 4].map(needed), [None, None, Some(2), Some(2), Some(3)]);
    assert_eq!(Quorum::of(&state(&[])).members().len(), 0);

    let too_few = |others: usize, vouching: &[usize]| {
        Case::new(&[opened(others)], vouching, SplitKey::Kept).breaks("ledger.key_quorum");
    };
    // Two hospitals: the one other cannot decide alone. Nor can nobody.
    too_few(1, &[0]);
    too_few(0, &[]);
    too_few(2, &[]);
    too_few(2, &[0]);
    too_few(2, &[1]);
    too_few(3, &[2]);
    too_few(4, &[0, 3]);
    for (others, vouching) in [(2, &[0, 1][..]), (3, &[0, 2]), (3, &[0, 1, 2]), (4, &[1, 2, 3])] {
        assert_eq!(lost(&[opened(others)], vouching).key(), new().public());
    }
}

#[test]
fn each_endorsement_is_by_a_hospital_of_the_ledger_and_its_own_key() {
    let bodies = [opened(2)];
    let case = |edit: &dyn Fn(&KeyLoss, &mut Vec<Endorsement>), rule: &str| {
        let mut case = Case::new(&bodies, &[0, 1], SplitKey::Kept);
        edit(&case.loss, &mut case.endorsements);
        case.breaks(rule);
    };
    let vouch = |loss: &KeyLoss, site: &str, seed: u8| loss.endorsed(name(site), &other(seed));
    // By the old key and by the new one, under their own name or under another's.
    case(&|loss, found| found[0] = loss.endorsed(site(), &key()), "ledger.key_member");
    case(&|loss, found| found[0] = loss.endorsed(site(), &new()), "ledger.key_member");
    case(&|loss, found| found[0] = loss.endorsed(name("brackley"), &key()), "ledger.key_endorsed");
    case(&|loss, found| found[0] = loss.endorsed(name("brackley"), &new()), "ledger.key_endorsed");
    // By a hospital that no study of this ledger names; by one in another's name; by the same twice.
    case(&|loss, found| found[1] = vouch(loss, "dunmore", 4), "ledger.key_member");
    case(&|loss, found| found[1] = vouch(loss, "corby", 4), "ledger.key_endorsed");
    case(&|loss, found| found[1] = vouch(loss, "corby", 2), "ledger.key_endorsed");
    case(&|_, found| found[1] = found[0].clone(), "ledger.key_endorsed");
    case(&|_, found| found.swap(0, 1), "ledger.key_endorsed");
    // One more than needed is held to the same.
    case(&|loss, found| found.push(vouch(loss, "dunmore", 4)), "ledger.key_member");
    case(&|_, found| found[1].statement.statement.push(' '), "ledger.key_endorsed");
}

#[test]
fn a_statement_is_for_one_ledger_one_place_and_one_key() {
    let bodies = [opened(2)];
    let edited = |edit: &dyn Fn(&mut KeyLoss)| {
        let case = Case::new(&bodies, &[0, 1], SplitKey::Kept);
        let mut loss = case.loss.clone();
        edit(&mut loss);
        (case, loss)
    };
    let found = |edit: &dyn Fn(&mut KeyLoss)| {
        // What one hospital signed; what the new key signed.
        let (mut case, loss) = edited(edit);
        case.endorsements[1] = loss.endorsed(name("corby"), &other(3));
        case.breaks("ledger.key_statement");
        let (case, loss) = edited(edit);
        let entry = loss.entry(&new(), &case.checkpoint, case.endorsements.clone());
        let Body::KeyLost { by_new, checkpoint, endorsements, .. } = entry else { panic!("a loss") };
        let entry =
            Body::KeyLost { key: new().public(), split: case.loss.split, checkpoint, by_new, endorsements };
        check(&[opened(2), entry], "ledger.key_statement");
    };
    found(&|loss| loss.site = name("brackley"));
    found(&|loss| loss.dataset = "d2".into());
    found(&|loss| loss.size += 1);
    found(&|loss| loss.head = Digest::of(b"x"));
    found(&|loss| loss.old = other(9).public());
    found(&|loss| loss.new = other(9).public());
    found(&|loss| loss.split = SplitKey::Lost);

    // Replayed later, when everything else is as it was.
    let case = Case::new(&bodies, &[0, 1], SplitKey::Kept);
    let [.., early] = &case.ledger()[..] else { panic!("a loss") };
    check(&[opened(2), refusal("x"), early.clone()], "ledger.key_statement");
}

#[test]
fn the_new_key_is_held_by_somebody_and_nobody_elses() {
    let bodies = [opened(2)];
    let entry = |by: &SecretKey, of: &SecretKey| {
        let mut case = Case::new(&bodies, &[], SplitKey::Kept);
        case.loss.new = of.public();
        let vouch = |(site, seed): &(&str, u8)| case.loss.endorsed(name(site), &other(*seed));
        [opened(2), case.loss.entry(by, &case.checkpoint, OTHERS[..2].iter().map(vouch).collect())]
    };
    state(&entry(&new(), &new()));
    check(&entry(&key(), &new()), "ledger.key_by_new");
    check(&entry(&other(2), &new()), "ledger.key_by_new");
    check(&entry(&key(), &key()), "ledger.key_reused");
    // A hospital that takes another's ledger over by its own key.
    check(&entry(&other(2), &other(2)), "ledger.key_reused");
}

#[test]
fn the_past_was_signed_by_the_lost_key() {
    let bodies = [opened(2)];
    let case = |checkpoint: Note| Case { checkpoint, ..Case::new(&bodies, &[0, 1], SplitKey::Kept) };
    case(newest(&bodies, &key())).legal();
    case(newest(&bodies, &new())).breaks("ledger.key_checkpoint");
    case(newest(&bodies, &other(2))).breaks("ledger.key_checkpoint");
    // Of fewer entries, of more, of another ledger.
    case(newest(&[], &key())).breaks("ledger.key_checkpoint");
    case(newest(&[opened(2), refusal("x")], &key())).breaks("ledger.key_checkpoint");
    let elsewhere =
        Checkpoint { origin: "consilium/ledger/ashford/d2".into(), ..newest(&bodies, &key()).checkpoint };
    case(elsewhere.sign(&key())).breaks("ledger.key_checkpoint");
    let Body::KeyLost { key, split, by_new, endorsements, .. } =
        case(newest(&bodies, &key())).ledger().remove(1)
    else {
        panic!("a loss")
    };
    let none = Body::KeyLost { key, split, checkpoint: String::new(), by_new, endorsements };
    check(&[opened(2), none], "ledger.key_checkpoint");
}

/// By the key of the newest study with it; a key that was this ledger's own vouches for nothing.
#[test]
fn members_are_known_by_their_newest_key() {
    let second = |seed: u8| {
        let mut body = with(2, b"second", &key());
        let Body::StudyOpen { participants, .. } = &mut body else { panic!("an opening") };
        participants[1].key = other(seed).public();
        body
    };
    let members =
        |bodies: &[Body]| Quorum::of(&state(bodies)).members().values().copied().collect::<Vec<_>>();
    let first = [opened(2), close()];
    assert_eq!(members(&first), [2, 3].map(|seed| other(seed).public()));
    let both = [opened(2), close(), second(12)];
    assert_eq!(members(&both), [12, 3].map(|seed| other(seed).public()));
    Case::new(&both, &[0, 1], SplitKey::Kept).breaks("ledger.key_endorsed");
    let mut case = Case::new(&both, &[1], SplitKey::Kept);
    case.endorsements.insert(0, case.loss.endorsed(name("brackley"), &other(12)));
    case.legal();
    // Two names with one key are one hospital.
    let mut doubled = with(3, b"second", &key());
    let Body::StudyOpen { participants, .. } = &mut doubled else { panic!("an opening") };
    participants.remove(1);
    participants[1].key = other(2).public();
    assert_eq!(members(&[opened(2), close(), doubled]), [2, 4].map(|seed| other(seed).public()));
}

/// Nothing of what an open study had declared is given back, and nothing of it is ever used again.
#[test]
fn an_open_study_is_charged_in_whole_and_closed() {
    let block = |count| Body::ReserveBlock { study: study(), earmark: 0, first: 4, count };
    let bodies = [opened(2), reserve(0, 0, 4), block(3), release(1, 0)];
    let before = state(&bodies);
    let after = lost(&bodies, &[0, 1]);
    let record = after.study(&study()).expect("opened");
    assert_eq!((record.closed.as_deref(), &record.burnt[..]), (Some("key_lost"), &[12, 2, 2][..]));
    for role in Role::ALL {
        assert_eq!(after.charged(role), before.charged(role));
        assert_eq!(after.burnt(role), before.charged(role), "all of it is spent now");
        assert_eq!(after.filter(role), before.filter(role), "nothing was given back");
    }
    assert_eq!((after.unfinished(), after.open_blocks()), (vec![], vec![]));
    let (entry, ended) = after.recoveries().next().expect("as a recovery");
    assert_eq!((entry, &ended.reserves[..], ended.blocks[0].uses), (5, &[2, 4][..], 3));

    let case = Case::new(&bodies, &[0, 1], SplitKey::Kept);
    let then = |body: Body, rule: &str| check(&[case.ledger(), vec![body]].concat(), rule);
    then(commit(2), "ledger.study");
    then(reserve(1, 7, 1), "ledger.study");
    then(close(), "ledger.study");
    then(abort(2), "ledger.study");
    then(with(2, b"study", &new()), "ledger.study");
    // What an earlier study did not use was free again, and stays so.
    let first = [opened(2), release(1, 0), close()];
    assert_eq!(lost(&first, &[0, 1]).charged(Role::Evaluation), state(&first).charged(Role::Evaluation));
}

#[test]
fn the_ledger_goes_on_under_the_new_key_and_no_other() {
    let bodies = [opened(2), close()];
    let case = Case::new(&bodies, &[0, 1], SplitKey::Kept);
    let then = |body: Body| [case.ledger(), vec![body]].concat();
    let after = state(&then(with(2, b"second", &new())));
    assert_eq!(after.keys().collect::<Vec<_>>(), [key().public(), new().public()]);
    assert_eq!(
        (after.key_changed(), after.key_at(3), after.key_at(4)),
        (Some(3), key().public(), new().public())
    );
    check(&then(with(2, b"second", &key())), "ledger.approval");
    // The lost key, found again, signs checkpoints of its time alone.
    let after = case.legal();
    let note = |size: u64, by: &SecretKey| {
        Checkpoint { origin: after.origin(), size, root: Digest::of(b"root") }.sign(by)
    };
    let signs = |size: u64, by: &SecretKey| after.verify_note(&note(size, by)).is_ok();
    assert_eq!(
        [(3, key()), (4, key()), (4, new()), (3, new())].map(|(n, by)| signs(n, &by)),
        [true, false, true, true]
    );
    // A second loss needs a quorum of its own.
    let entries = case.ledger();
    let loss = KeyLoss::after(&after, other(22).public(), SplitKey::Kept);
    let again = |words: &KeyLoss| {
        let vouch = |(site, seed): &(&str, u8)| words.endorsed(name(site), &other(*seed));
        let endorsements = OTHERS[..2].iter().map(vouch).collect();
        [&entries[..], &[loss.entry(&other(22), &newest(&entries, &new()), endorsements)]].concat()
    };
    assert_eq!(state(&again(&loss)).keys().count(), 3);
    check(
        &again(&KeyLoss::after(&state(&bodies), other(22).public(), SplitKey::Kept)),
        "ledger.key_statement",
    );
}

const SURVEY: Event = Event::Gaussian { noise_multiplier: 9.0, count: 2 };

fn mark(name: &str, account: Account, event: Event) -> Earmark {
    Earmark { name: name.into(), account, event }
}

/// Where roles are drawn anew, both accounts begin with what either had: each event once.
#[test]
fn a_lost_split_key_makes_a_sum_of_two_accounts() {
    let steps = Event::PoissonGaussian { sampling_rate: 0.1, noise_multiplier: 3.0, count: 12 };
    let (once, both) = (SURVEY.with_count(1), SURVEY.with_count(3));
    let marks = vec![
        mark("training", Account::Training, steps),
        mark("overall", Account::Evaluation, SURVEY),
        mark("everybody", Account::Both, both),
    ];
    let bodies = [with_earmarks(2, b"study", &key(), marks), release(1, 0)];
    let before = state(&bodies);
    let kept = lost(&bodies, &[0, 1]);
    let after = Case::new(&bodies, &[0, 1], SplitKey::Lost).legal();
    assert_eq!((kept.roles_lost(), after.roles_lost()), (None, Some(3)));
    for role in Role::ALL {
        assert_eq!(kept.charged(role), before.charged(role));
        assert_eq!(after.charged(role), [steps, SURVEY, both], "each once, for either role");
        // Held at the order of the account's own first charge, not at one chosen now.
        let (own, other) =
            if role == Role::Training { (vec![steps, both], SURVEY) } else { (vec![SURVEY, both], steps) };
        let mut expected = Filter::new(caps().epsilon_total, caps().delta).expect("a cap");
        expected.charge(&own).expect("fits");
        expected.charge_with_slack(&[other], f64::INFINITY).expect("fits");
        assert_eq!(*after.filter(role), expected);
        assert_eq!(after.year_filter(2027, role), expected);
        assert!(after.filter(role).counted() > before.filter(role).counted());
    }

    // Studies after it are charged by role again, on top of the sum.
    let case = Case::new(&bodies, &[0, 1], SplitKey::Lost);
    let cheap = vec![mark("overall", Account::Evaluation, once)];
    let later = with_earmarks(2, b"second", &new(), cheap);
    let then = [case.ledger(), vec![later, closed(b"second")]].concat();
    let ongoing = state(&then[..then.len() - 1]);
    assert_eq!(ongoing.charged(Role::Training), [steps, SURVEY, both]);
    let mut charged = ongoing.charged(Role::Evaluation);
    charged.sort_by_key(|event| event.count());
    assert_eq!(charged, [once, SURVEY, both, steps]);
    assert_eq!(state(&then).charged(Role::Evaluation).len(), 3, "what the second did not use is free again");
}

/// An account that nothing was charged to takes over the other's order with its charges.
#[test]
fn an_empty_account_takes_over_the_other() {
    let bodies = [with_earmarks(2, b"study", &key(), vec![mark("overall", Account::Evaluation, SURVEY)])];
    let before = state(&bodies);
    assert_eq!(before.filter(Role::Training).order(), None);
    let after = Case::new(&bodies, &[0, 1], SplitKey::Lost).legal();
    assert_eq!(after.filter(Role::Training), before.filter(Role::Evaluation));
    assert_eq!(after.charged(Role::Training), [SURVEY]);
}

/// What fitted twice under the cap while roles were kept does not where they add up.
#[test]
fn the_cap_over_all_studies_holds_the_sum() {
    let event = Event::Gaussian { noise_multiplier: 2.5, count: 1 };
    let (train, survey) =
        (Event::PoissonGaussian { sampling_rate: 0.5, noise_multiplier: 3.0, count: 12 }, event);
    let marks =
        || vec![mark("training", Account::Training, train), mark("overall", Account::Evaluation, survey)];
    let first = [with_earmarks(2, b"study", &key(), marks())];
    let of_half = vec![mark("overall", Account::Evaluation, SURVEY)];
    let second = with_earmarks(2, b"second", &new(), of_half);
    let then = |split| [Case::new(&first, &[0, 1], split).ledger(), vec![second.clone()]].concat();
    state(&then(SplitKey::Kept));
    check(&then(SplitKey::Lost), "policy.epsilon_total");
    // An agent asks the same before it opens anything.
    let after = Case::new(&first, &[0, 1], SplitKey::Lost).legal();
    let Body::StudyOpen { study, earmarks, .. } = &second else { panic!("an opening") };
    assert!(after.would_exceed(Role::Evaluation, &caps(), study, earmarks).expect("priced").is_some());
    let kept = lost(&first, &[0, 1]);
    assert_eq!(kept.would_exceed(Role::Evaluation, &caps(), study, earmarks), Ok(None));
}

#[test]
fn an_entry_round_trips_and_holds_nothing_else() {
    let bodies = [opened(2)];
    let entries = ledger(&Case::new(&bodies, &[0, 1], SplitKey::Lost).ledger()).expect("legal");
    let text = String::from_utf8(entries[2].clone()).expect("JSON");
    assert!(
        text.contains(r#""kind":"key_lost","key":"ed25519:"#) && text.contains(r#""split":"lost""#),
        "{text}"
    );
    let more = text.replacen(r#"{"site":"brackley","#, r#"{"note":"x","site":"brackley","#, 1);
    assert_ne!(more, text);
    assert!(Entry::from_bytes(more.as_bytes()).is_err(), "nothing is signed without being read");
}
