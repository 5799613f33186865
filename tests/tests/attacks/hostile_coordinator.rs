//! The attacks of a hostile coordinator that end in a refusal, each told to a real agent at the one message
//! that it is about: it refuses by name, the rule is in its ledger before the coordinator hears of it, and
//! no masked vector leaves after it. Numbers are those of docs/THREATS.md, "Attacks on a secure sum".

use crate::besieged::{Before, Row, all, training};
use consilium_common::id::Digest;
use consilium_common::key::Signature;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::protocol::Task;
use consilium_common::secagg::message::{Dealt, Message as _, SessionKeys, ShareDelivery};
use consilium_common::secagg::{Slot, StepBinding, TERMS};
use consilium_tests::secure::line::Answer;
use consilium_tests::secure::peers::{index, victim};
use consilium_tests::secure::play::{Knows, Lie, Stage};
use consilium_tests::secure::{Besieged, Victim, sent};

const fn row(number: u8, what: &'static str, rule: &'static str, lie: Lie) -> Row {
    Row { number, what, rule, before: Before::Nothing, lie }
}

const fn after_a_step(number: u8, what: &'static str, rule: &'static str, lie: Lie) -> Row {
    Row { number, what, rule, before: Before::Step, lie }
}

const fn in_a_second_session(number: u8, what: &'static str, rule: &'static str, lie: Lie) -> Row {
    Row { number, what, rule, before: Before::Session, lie }
}

/// A key that site 2 or 3, which the coordinator has on its side, signs for itself.
fn signed(keys: &mut SessionKeys, knows: &Knows<'_>, site: u8, public: [u8; 32]) {
    let (agreement, number) = (knows.agreement.digest(), keys.number.to_le_bytes());
    let parts: [&[u8]; 4] = [agreement.as_bytes(), &number, &[site], &public];
    let signature = knows.sign(index(site), "session key", &parts);
    keys.keys.insert(index(site), (public, signature));
}

fn dealt(delivery: &mut ShareDelivery, dealer: u8) -> &mut Dealt {
    delivery.dealt.get_mut(&index(dealer)).expect("a dealer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_and_shares_are_what_their_sites_signed() {
    all(vec![
        row(
            1,
            "a key exchanged",
            "secagg.signature",
            Lie::Keys(|keys, _| {
                keys.keys.get_mut(&index(2)).expect("site 2").0[7] ^= 1;
            }),
        ),
        row(
            1,
            "a key of low order, by its site",
            "secagg.low_order_key",
            Lie::Keys(|keys, knows| {
                signed(keys, knows, 2, [0; 32]);
            }),
        ),
        row(
            1,
            "one key for two sites, by them",
            "secagg.duplicate_key",
            Lie::Keys(|keys, knows| {
                let (public, _) = keys.keys[&index(2)];
                signed(keys, knows, 3, public);
            }),
        ),
        row(
            1,
            "the agent's own key exchanged",
            "secagg.own_message",
            Lie::Keys(|keys, _| {
                keys.keys.get_mut(&victim()).expect("its own").0[7] ^= 1;
            }),
        ),
        row(
            10,
            "a session of fewer than t",
            "secagg.too_few",
            Lie::Keys(|keys, _| {
                keys.keys.retain(|site, _| site.get() < 3);
            }),
        ),
        row(
            2,
            "a site less among those who shared",
            "secagg.binding",
            Lie::Delivery(|delivery, _| {
                delivery.dealt.remove(&index(4));
            }),
        ),
        row(
            10,
            "fewer than t shared",
            "secagg.too_few",
            Lie::Delivery(|delivery, _| {
                delivery.dealt.retain(|site, _| site.get() < 3);
            }),
        ),
        row(
            11,
            "a share corrupted",
            "secagg.share_not_dealt",
            Lie::Delivery(|delivery, _| {
                dealt(delivery, 3).sealed[9] ^= 0x10;
            }),
        ),
        row(
            11,
            "a commitment changed",
            "secagg.share_not_dealt",
            Lie::Delivery(|delivery, _| {
                dealt(delivery, 3).commitments.swap(0, 1);
            }),
        ),
        row(
            11,
            "one site's share under two indices",
            "secagg.duplicate_key",
            Lie::Delivery(|delivery, _| {
                let twos = dealt(delivery, 2).clone();
                *dealt(delivery, 3) = twos;
            }),
        ),
        row(
            11,
            "two sites' shares under each other's index",
            "secagg.signature",
            Lie::Delivery(|delivery, _| {
                let twos = dealt(delivery, 2).clone();
                let threes = std::mem::replace(dealt(delivery, 3), twos);
                *dealt(delivery, 2) = threes;
            }),
        ),
        row(
            11,
            "a share that was dealt to another site",
            "secagg.share_not_dealt",
            Lie::Delivery(|delivery, _| {
                dealt(delivery, 3).path.reverse();
            }),
        ),
        row(
            11,
            "a mask key exchanged",
            "secagg.signature",
            Lie::Delivery(|delivery, _| {
                dealt(delivery, 4).mask_public[0] ^= 1;
            }),
        ),
        row(
            11,
            "the agent's own shares exchanged",
            "secagg.own_message",
            Lie::Delivery(|delivery, _| {
                let twos = dealt(delivery, 2).clone();
                delivery.dealt.insert(victim(), twos);
            }),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn there_is_one_set_of_survivors_of_t_or_more() {
    all(vec![
        row(3, "told that a survivor is dead, which others are told lives", "secagg.survivors_changed", {
            Lie::Survivors(|survivors| {
                survivors.survivors.remove(&index(4));
            })
        }),
        row(
            3,
            "told that itself is dead",
            "secagg.not_a_survivor",
            Lie::Survivors(|survivors| {
                survivors.survivors.remove(&victim());
            }),
        ),
        row(
            3,
            "certified dead by names of others",
            "secagg.signature",
            Lie::Certificate(|certificate, knows| {
                // The others' signatures on the set without it, under the set that it signed.
                for site in [2, 3, 4] {
                    // Behind magic and kind.
                    let binding = certificate.to_bytes()[5..5 + StepBinding::BYTES].to_vec();
                    let other = Digest::of(b"another set");
                    let signature = knows.sign(index(site), "survivors", &[&binding, other.as_bytes()]);
                    certificate.signatures.insert(index(site), signature);
                }
            }),
        ),
        row(
            2,
            "another vector in its name",
            "secagg.own_message",
            Lie::Survivors(|survivors| {
                survivors.survivors.insert(victim(), Digest::of(b"another"));
            }),
        ),
        row(
            10,
            "fewer than t survivors",
            "secagg.too_few",
            Lie::Survivors(|survivors| {
                survivors.survivors.retain(|site, _| site.get() < 3);
            }),
        ),
        row(
            10,
            "fewer than t signatures",
            "secagg.too_few",
            Lie::Certificate(|certificate, _| {
                certificate.signatures.retain(|site, _| site.get() < 3);
            }),
        ),
        row(
            3,
            "a forged signature of a survivor",
            "secagg.signature",
            Lie::Certificate(|certificate, _| {
                certificate.signatures.insert(index(4), Signature::from_bytes([7; 64]));
            }),
        ),
        row(
            4,
            "a certificate of another set",
            "secagg.survivors_changed",
            Lie::Certificate(|certificate, _| {
                certificate.survivors = Digest::of(b"another set");
            }),
        ),
        row(4, "the survivors twice", "secagg.order", Lie::Twice(Stage::Survivors)),
        row(4, "the certificate twice", "secagg.order", Lie::Twice(Stage::Certificate)),
        row(
            4,
            "a certificate instead of survivors",
            "secagg.order",
            Lie::Misplaced(Stage::Survivors, Stage::Certificate),
        )
        .after_a_step(),
        row(
            4,
            "a result of other survivors",
            "secagg.survivors_changed",
            Lie::Result(|result| {
                result.survivors = Digest::of(b"another set");
            }),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_said_twice() {
    let replay =
        |stage| after_a_step(5, "a message of the step before", "secagg.binding", Lie::Replay(stage));
    let stages = [Stage::Delivery, Stage::Request, Stage::Survivors, Stage::Certificate, Stage::Result];
    let mut rows: Vec<Row> = stages.into_iter().map(replay).collect();
    let earlier = |stage| {
        in_a_second_session(5, "a message of the session before", "secagg.binding", Lie::Replay(stage))
    };
    rows.extend([Stage::Keys, Stage::Delivery, Stage::Request].into_iter().map(earlier));
    rows.extend([
        row(5, "the keys twice", "secagg.order", Lie::Twice(Stage::Keys)),
        row(5, "the shares twice", "secagg.order", Lie::Twice(Stage::Delivery)),
        row(5, "the request twice", "secagg.order", Lie::Twice(Stage::Request)),
        row(5, "an attempt twice before its request", "secagg.slot_used", Lie::Twice(Stage::Share)),
        after_a_step(
            5,
            "an attempt that was made",
            "task.attempt",
            Lie::Share(|slot| {
                *slot = Slot { step: 0, attempt: 0 };
            }),
        ),
        in_a_second_session(
            5,
            "an attempt that was made in another session",
            "task.attempt",
            Lie::Share(|slot| *slot = Slot { step: 0, attempt: 0 }),
        ),
        row(5, "a step that the study does not have", "study.rounds", Lie::Share(|slot| slot.step = 4)),
        row(5, "bytes for keys", "secagg.message", Lie::Garbage(Stage::Keys, b"csa1\x02 and then nonsense")),
        row(5, "bytes of no kind", "secagg.message", Lie::Garbage(Stage::Survivors, b"x")),
        row(5, "an empty message", "secagg.message", Lie::Garbage(Stage::Delivery, b"")),
        row(5, "a request for shares", "secagg.order", Lie::Misplaced(Stage::Delivery, Stage::Keys)),
    ]);
    all(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_the_approved_study_is_computed() {
    // n, t, n_C, s, B, σ, the share of σ, m, the dimension, C, q: each by its lowest bit.
    let mut rows: Vec<Row> =
        (0..TERMS).map(|at| row(7, "a number of the study changed", "secagg.terms", Lie::Term(at))).collect();
    rows.extend([
        row(7, "t lowered to 2", "secagg.terms", Lie::Request(|request| request.terms.0[1] = 2)),
        row(7, "no colluding site", "secagg.terms", Lie::Request(|request| request.terms.0[2] = 0)),
        row(
            7,
            "no noise",
            "secagg.terms",
            Lie::Request(|request| {
                request.terms.0[5..7].fill(0);
            }),
        ),
        row(
            7,
            "ten times the clipping norm",
            "secagg.terms",
            Lie::Request(|request| {
                request.terms.0[9] = (10.0 * f64::from_bits(request.terms.0[9])).to_bits();
            }),
        ),
        row(
            7,
            "everybody sampled",
            "secagg.terms",
            Lie::Request(|request| {
                request.terms.0[10] = 1.0_f64.to_bits();
            }),
        ),
        row(
            8,
            "another model than the request's",
            "task.model",
            Lie::Model(|bytes| {
                *bytes.last_mut().expect("parameters") ^= 1;
            }),
        ),
        row(
            8,
            "a request for another model than was sent",
            "task.model",
            Lie::Request(|request| {
                request.binding.model = Digest::of(b"another");
            }),
        ),
        row(
            8,
            "a first model that is not the public one",
            "task.model",
            Lie::OtherModel(|victim| changed(&victim.model(0, &[]), |_, values| values[0] ^= 1)),
        ),
        row(
            8,
            "a model of another round",
            "task.model",
            Lie::OtherModel(|victim| changed(&victim.model(0, &[]), |header, _| header.round = 1)),
        ),
        row(
            8,
            "a model of another study",
            "task.model",
            Lie::OtherModel(|victim| {
                changed(&victim.model(0, &[]), |header, _| header.study = Digest::of(b"another"))
            }),
        ),
        row(
            8,
            "an architecture of one neuron for each person",
            "task.model",
            Lie::OtherModel(|victim| {
                changed(&victim.model(0, &[]), |header, values| {
                    header.architecture.hidden = vec![1];
                    values.resize(header.architecture.parameters(), 0);
                })
            }),
        ),
        row(
            8,
            "a model without its last byte",
            "task.model",
            Lie::Model(|bytes| {
                bytes.pop();
            }),
        ),
        row(8, "no model", "task.model", Lie::Garbage(Stage::Model, b"{}\n")),
    ]);
    all(rows).await;
}

/// A model with something else in it.
fn changed(bytes: &[u8], change: fn(&mut ModelHeader, &mut Vec<i32>)) -> Vec<u8> {
    let (mut header, mut values) = blob::decode::<ModelHeader>(bytes).expect("a model");
    change(&mut header, &mut values);
    blob::encode(&header, &values)
}

/// What is no word of the protocol, or has no end, ends the stream; the agent serves on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nonsense_ends_the_stream() {
    async fn check(nonsense: Nonsense) {
        let (mut victim, mut line) = Victim::joined(&Besieged::new(2, 8)).await;
        match nonsense {
            Nonsense::Nothing => line.nothing().await,
            Nonsense::EndlessMessage => line.endless(false).await,
            Nonsense::EndlessModel => line.endless(true).await,
        }
        assert_eq!(line.answer().await, Answer::Gone, "{nonsense:?}");
        drop(line);
        victim.scripted.ask(Task::Sum { study: victim.study.digest });
        let line = victim.line().await;
        let mut run = training(&victim, line, 2).await;
        let attempt = run.attempt(Slot { step: 0, attempt: 0 }, &[0; 9], None).await;
        assert!(attempt.is_ok(), "{nonsense:?}\n{}", victim.log());
        drop(run);
        assert_eq!(sent(&victim.ledger()).len(), 1, "{nonsense:?}");
        assert!(!victim.log().contains("panicked"), "{nonsense:?}\n{}", victim.log());
    }
    tokio::join!(check(Nonsense::Nothing), check(Nonsense::EndlessMessage), check(Nonsense::EndlessModel),);
}

#[derive(Debug, Clone, Copy)]
enum Nonsense {
    Nothing,
    EndlessMessage,
    EndlessModel,
}
