//! The same in secure sums: every message of the agent is taken apart, field by field.
//!
//! All of the agent's chance is given, so that its keys, shares and masks are the same with and without the person:
//! they are compared as well, and of a masked vector what is under the same masks.

use super::look::{IN_SECURE_SUMS, Look, all_needed, moves};
use super::{TICK_MS, last_person, study, table};
use consilium_common::evaluation::histogram::PERSON_UNITS;
use consilium_common::id::Digest;
use consilium_common::key::Signature;
use consilium_common::privacy::clip::Lattice;
use consilium_common::protocol::Task;
use consilium_common::secagg::message::{
    MaskedInput, Message, SessionKey, Shares, SurvivorsSignature, Unmask,
};
use consilium_common::secagg::{Lanes, Slot};
use consilium_common::study::secure::{Summed, all_summed};
use consilium_tests::audit::Finding;
use consilium_tests::hospital::Played;
use consilium_tests::scripted::Said;
use consilium_tests::secure::play::Run;
use consilium_tests::secure::{Besieged, Victim};
use std::collections::BTreeSet;

const ROUNDS: u32 = 2;

/// What a play of secure sums shows.
struct Summing {
    look: Look,
    /// The masked vectors of training, then of groupings.
    masked: Vec<Vec<u32>>,
}

/// Training, every grouping, and the close.
async fn summing(table: String, seed: u8) -> Summing {
    let mut of = study();
    of.rounds = ROUNDS;
    let besieged = Besieged { of, table, seed: Some([seed; 32]), ..Besieged::new(ROUNDS, super::FEATURES) };
    let (mut victim, line) = Victim::joined(&besieged).await;
    let opened = Run::open(&victim, line, 1, Summed::Training, None).await;
    let mut run = opened.unwrap_or_else(|(_, error)| panic!("{error:?}"));
    let zeros = vec![0; victim.study.architecture().parameters()];
    for step in 0..ROUNDS {
        run.attempt(Slot { step, attempt: 0 }, &zeros, None)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
    }
    let groupings = all_summed(&victim.study).into_iter().filter(|summed| *summed != Summed::Training);
    for (number, summed) in (2..).zip(groupings) {
        run = run.next(number, summed, None).await.unwrap_or_else(|(_, error)| panic!("{error:?}"));
        let slot = Slot { step: summed.earmark(), attempt: 0 };
        run.attempt(slot, &zeros, None).await.unwrap_or_else(|error| panic!("{error:?}"));
    }
    let messages = std::mem::take(&mut run.line.messages);
    // What comes next is there before the stream is over: how often an agent asks is its clock's matter.
    victim.scripted.ask(Task::Close { study: victim.study.digest });
    drop(run);
    victim.closed().await;
    let mut seen = victim.scripted.seen();
    let is_last = |said: &Said| matches!(said, Said::Ledger(_));
    seen.truncate(1 + seen.iter().position(|seen| is_last(&seen.said)).expect("closed"));
    let Some(Said::Ledger(ledger)) = seen.last().map(|seen| seen.said.clone()) else {
        panic!("it is the last")
    };
    victim.kill();
    let look = Look::of(&Played { seen, ledger }, &IN_SECURE_SUMS, TICK_MS);
    let mut summing = Summing { look, masked: vec![] };
    messages.iter().for_each(|message| summing.message(message));
    summing
}

impl Summing {
    fn message(&mut self, bytes: &[u8]) {
        // Magic, then the kind.
        let line = match bytes[4] {
            SessionKey::KIND => whole::<SessionKey>(bytes),
            Shares::KIND => whole::<Shares>(bytes),
            MaskedInput::KIND => self.masked_input(read(bytes)),
            SurvivorsSignature::KIND => self.survivors_signature(read(bytes)),
            Unmask::KIND => self.unmask(read(bytes)),
            kind => panic!("a site sends no message of kind {kind}"),
        };
        self.look.shown.push(line);
    }

    fn masked_input(&mut self, mut message: MaskedInput) -> String {
        let nothing = match &message.lanes {
            Lanes::Bits32(lanes) => {
                self.masked.push(lanes.clone());
                Lanes::Bits32(vec![0; lanes.len()])
            }
            Lanes::Bits64(_) => panic!("a sum of this size has lanes of 32 bits"),
        };
        let mut lanes = Vec::new();
        self.masked.last().into_iter().flatten().for_each(|lane| lanes.extend(lane.to_le_bytes()));
        let lanes = self.look.field("masked input.lanes", &lanes);
        let signature = self.look.field("masked input.signature", message.signature.as_bytes());
        (message.lanes, message.signature) = (nothing, unsigned());
        format!("{} {lanes} {signature}", line(&message))
    }

    fn survivors_signature(&mut self, mut message: SurvivorsSignature) -> String {
        let survivors = self.look.field("survivors signature.survivors", message.survivors.as_bytes());
        let signature = self.look.field("survivors signature.signature", message.signature.as_bytes());
        (message.survivors, message.signature) = (Digest::of(b""), unsigned());
        format!("{} {survivors} {signature}", line(&message))
    }

    fn unmask(&mut self, mut message: Unmask) -> String {
        let survivors = self.look.field("unmask.survivors", message.survivors.as_bytes());
        message.survivors = Digest::of(b"");
        format!("{} {survivors}", line(&message))
    }

    /// How far two plays' inputs of training, in s, and of groupings, in people, lie apart: under the same masks they
    /// differ as the masked vectors do.
    fn moves(&self, other: &Self) -> (f64, f64) {
        if self.masked.len() != other.masked.len() {
            return (f64::INFINITY, f64::INFINITY);
        }
        let apart = |at: usize, units: f64| -> Vec<f64> {
            let pairs = self.masked[at].iter().zip(&other.masked[at]);
            pairs.map(|(a, b)| f64::from(a.wrapping_sub(*b).cast_signed()) / units).collect()
        };
        let units = Lattice::for_dimension(self.masked[0].len()).units() as f64;
        let nothing =
            |vectors: &[Vec<f64>]| vectors.iter().map(|vector| vec![0.0; vector.len()]).collect::<Vec<_>>();
        let most = |vectors: Vec<Vec<f64>>| moves(&vectors, &nothing(&vectors));
        let rounds = ROUNDS as usize;
        let groupings = rounds..self.masked.len();
        (
            most((0..rounds).map(|at| apart(at, units)).collect()),
            most(groupings.map(|at| apart(at, PERSON_UNITS as f64)).collect()),
        )
    }
}

fn read<M: Message>(bytes: &[u8]) -> M {
    M::from_bytes(bytes).unwrap_or_else(|error| panic!("expected {}: {error}", M::NAME))
}

/// A message in which nothing may differ.
fn whole<M: Message>(bytes: &[u8]) -> String {
    line(&read::<M>(bytes))
}

/// All fields of a message, as they are written.
fn line<M: Message>(message: &M) -> String {
    format!("{} {}", M::NAME, hex::encode(message.to_bytes()))
}

fn unsigned() -> Signature {
    Signature::from_bytes([0; 64])
}

/// Tables whose last person trains, or evaluates, or is none whose row can be used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_look_alike_in_secure_sums() {
    let (mut findings, mut needed) = (Vec::new(), BTreeSet::new());
    let mut moved = true;
    for trains in [true, false] {
        let x = last_person(trains);
        let rows = |rows: &[&str]| table(&rows.iter().map(|row| format!("{x},{row}")).collect::<Vec<_>>());
        let without = summing(table(&[]), 1).await;
        let neighbours = [
            ("one person more", rows(&[",1,f,1,1,1"]), 1.0),
            ("other values", rows(&["any,0,m,-1,0.3,"]), 1.0),
            ("bad rows", rows(&[",1,f,1,words,1", ",1"]), 0.0),
        ];
        let (mut training, mut evaluation, mut differences) = (0.0_f64, 0.0_f64, 0);
        for (what, table, most) in neighbours {
            let with = summing(table, 1).await;
            let different = without.look.difference(&with.look);
            if let Some((here, there)) = different.first() {
                println!("{what}: {} differences, the first:\n  {here}\n  {there}", different.len());
            }
            let by = without.moves(&with);
            differences += different.len() + usize::from(by.0.max(by.1) > most);
            (training, evaluation) = (training.max(by.0), evaluation.max(by.1));
            needed.append(&mut without.look.differing(&with.look));
        }
        let (own, others) = if trains { (training, evaluation) } else { (evaluation, training) };
        moved &= own > 0.99 && others == 0.0;
        findings.extend([
            Finding::at_most("differences between neighbours in secure sums", differences as f64, 0.0),
            Finding::at_most("a masked vector's move in training", training, 1.0),
            Finding::at_most("a masked vector's move in a grouping", evaluation, 1.0),
        ]);
    }
    #[cfg(feature = "mutants")]
    consilium_tests::mutants::keep(&findings);
    for Finding { name, measured, claimed, .. } in &findings {
        println!("{name}: {measured:.6}, at most {claimed}");
    }
    let alarms: Vec<_> = findings.iter().filter(|finding| finding.alarms()).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
    assert!(moved, "a person moves the vectors of their role, or nothing was compared");
    all_needed(&needed, &IN_SECURE_SUMS);
}

#[cfg(feature = "mutants")]
#[test]
fn a_secure_sum_that_says_too_much_is_caught() {
    use consilium_common::mutant::Mutant;
    let test = "sums::neighbours_look_alike_in_secure_sums";
    let caught = consilium_tests::mutants::run(test, &Mutant::OF_SILENCE_IN_SUMS);
    consilium_tests::mutants::document(&caught);
    assert!(caught.iter().all(|(_, by)| !by.is_empty()), "see the table");
}
