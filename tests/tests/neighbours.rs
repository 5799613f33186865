//! Nothing that the coordinator or the ledger can see tells of data outside an event.
//!
//! A real agent plays two rounds, the evaluation, the close and a request that comes too late, over
//! mutual TLS, with given time and chance: once for each of several tables that differ in the last
//! person only. Everything that it says and every entry of its ledger is compared byte for byte. What
//! may differ is masked and bounded instead: payloads of updates and histograms move by at most one
//! person; digests of these payloads, tree heads and signatures follow from them; a commitment to the
//! examples must be another one under another nonce.
//!
//! With the feature `mutants` each variant that says too much must be caught.

#[path = "neighbours/holdout.rs"]
mod holdout;

use consilium_common::evaluation::histogram::{Histogram, PERSON_UNITS};
use consilium_common::id::Digest;
use consilium_common::ledger::checkpoint::Note;
use consilium_common::ledger::entry::{Body, Entry};
use consilium_common::ledger::tiles;
use consilium_common::model::blob::{self, UpdateHeader};
use consilium_common::privacy::clip::Lattice;
use consilium_tests::audit::Finding;
use consilium_tests::hospital::{Ask, Play, Played, StudyOf, TRAINING_SHARE};
use consilium_tests::scripted::Said;
use site_agent::data::SplitKey;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const FEATURES: usize = 3;
const TICK_MS: u32 = 100;

#[test]
fn neighbours_look_alike() {
    let (findings, there): (Vec<_>, Vec<_>) = [true, false].map(compared).into_iter().unzip();
    let findings = findings.concat();
    #[cfg(feature = "mutants")]
    consilium_tests::mutants::keep(&findings);
    for Finding { name, measured, claimed, .. } in &findings {
        println!("{name}: {measured:.6}, at most {claimed}");
    }
    let alarms: Vec<_> = findings.iter().filter(|finding| finding.alarms()).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
    assert_eq!(there, [true, true], "a person moves the payloads of their role, or nothing was compared");
}

/// That somebody has opted out shows in nothing but the payloads, which are what they are without that person in the table.
#[test]
fn an_opt_out_shows_in_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("no.csv");
    for trains in [true, false] {
        let x = last_person(trains);
        let with = table(&[format!("{x},,1,f,1,1,1")]);
        let nobody = look_with(&with, 1, Some((&list, &[])));
        let never_there = look_with(&table(&[]), 1, Some((&list, &[])));
        for out in [&[x.as_str()][..], &[x.as_str(), "not a patient here"], &["not a patient here"]] {
            let found = look_with(&with, 1, Some((&list, out)));
            assert_eq!(difference(&nobody, &found), [], "{out:?}");
            let by = moves(&nobody.updates, &found.updates).max(moves(&nobody.histograms, &found.histograms));
            let without = moves(&never_there.updates, &found.updates)
                .max(moves(&never_there.histograms, &found.histograms));
            if out[0] == x {
                assert!(by > 0.99 && by <= 1.0 + 1e-9 && without == 0.0, "{out:?}: moved by {by}, {without}");
            } else {
                assert!(by == 0.0 && without > 0.99, "{out:?}: moved by {by}, {without}");
            }
        }
    }
}

/// A table that lacks a column is refused by one rule before anything is reserved, and what is said of it depends on the
/// columns' names alone: not on who is in the table, nor on how many.
#[test]
fn a_header_that_does_not_fit_says_nothing_of_people() {
    let (nobody, many) = (String::new(), (0..300).map(|i| format!("q{i},train,1,f,1,1,1\n")).collect());
    let said = [nobody, many, "\u{1},,,,\n\"".to_owned()].map(|rows: String| {
        let study = study();
        let table = format!("person_id,role,y,sex,c0,c1\n{rows}");
        let asks = [Ask::Train(0), Ask::Close];
        let Played { seen, ledger } =
            Play { study: &study, table: &table, asks: &asks, seed: [1; 32], opted_out: None }.run();
        let said: Vec<Said> = seen.into_iter().map(|seen| seen.said).collect();
        assert!(said.contains(&Said::Decline { rule: "data.table".into() }), "{said:?}");
        assert!(!said.iter().any(|said| matches!(said, Said::FetchStart | Said::Output { .. })), "{said:?}");
        (said, ledger)
    });
    assert!(said[0] == said[1] && said[0] == said[2], "{said:#?}");
}

#[cfg(feature = "mutants")]
#[test]
fn every_variant_that_says_too_much_is_caught() {
    use consilium_common::mutant::Mutant;
    let caught = consilium_tests::mutants::run("neighbours_look_alike", &Mutant::OF_SILENCE);
    consilium_tests::mutants::document(&caught);
    assert!(caught.iter().all(|(_, by)| !by.is_empty()), "see the table");
}

/// Tables whose last person trains, or evaluates; and whether that person moves the payloads of their
/// role, and of no other.
fn compared(trains: bool) -> (Vec<Finding>, bool) {
    let x = last_person(trains);
    let without = look(&table(&[]), 1);
    let again = look(&table(&[]), 2);
    let person = |values: &str| format!("{x},,1,f,{values}");
    // Each with by how many people's worth payloads may move from those without the person.
    let neighbours = [
        ("one person more", vec![person("1,1,1")], 1.0),
        ("other values", vec![format!("{x},,0,m,-1,0.3,")], 1.0),
        ("recorded", vec![format!("{x},any,1,f,1,1,1")], 1.0),
        ("a bad cell", vec![person("1,words,1")], 0.0),
        ("a row too short", vec![format!("{x},,1")], 0.0),
        ("no outcome", vec![format!("{x},,9,f,1,1,1")], 0.0),
        ("twice in the table", vec![person("1,1,1"), person("0,0,0")], 0.0),
    ];
    let (mut update, mut histogram, mut differences, mut early) = (0.0_f64, 0.0_f64, 0, without.early);
    for (what, rows, most) in neighbours {
        let with = look(&table(&rows), 1);
        let different = difference(&without, &with);
        if let Some((here, there)) = different.first() {
            println!("{what}: {} differences, the first:\n  {here}\n  {there}", different.len());
        }
        differences += different.len();
        early += with.early;
        let (by_update, by_histogram) =
            (moves(&without.updates, &with.updates), moves(&without.histograms, &with.histograms));
        if by_update.max(by_histogram) > most {
            println!(
                "{what}: the update moves by {by_update}, a histogram by {by_histogram}, at most {most}"
            );
            differences += 1;
        }
        (update, histogram) = (update.max(by_update), histogram.max(by_histogram));
        if differences > 0 {
            break;
        }
    }
    let (own, other) = if trains { (update, histogram) } else { (histogram, update) };
    let there = own > 0.99 && other == 0.0;
    let repeated = without.commitments.iter().filter(|kept| again.commitments.contains(kept)).count();
    let mut alone = without.commitments.clone();
    alone.sort_unstable();
    alone.dedup();
    // Two rounds and an evaluation, with four commitments each.
    assert_eq!(alone.len(), 3 * 4, "what did not change is not seen to be the same");
    assert!(!without.commitments.is_empty(), "the ledger commits to the examples");
    let findings = vec![
        Finding::at_most("differences between neighbours", differences as f64, 0.0),
        Finding::at_most("update's move", update, 1.0),
        Finding::at_most("histogram's move", histogram, 1.0),
        Finding::at_most("commitments that repeat under another nonce", repeated as f64, 0.0),
        Finding::at_most("replies before their tick", early as f64, 0.0),
    ];
    (findings, there)
}

/// An id whose role under the rig's split key is this one.
fn last_person(trains: bool) -> String {
    let key = SplitKey::from_bytes([7; 32]);
    let mut ids = (0..).map(|i| format!("x{i}"));
    ids.find(|id| key.pseudonym(id).trains(TRAINING_SHARE) == trains).expect("there are both roles")
}

/// Thirty people, and these rows.
fn table(more: &[String]) -> String {
    let mut text = "person_id,role,y,sex,c0,c1,c2\n".to_owned();
    for i in 0..30 {
        let sex = if i % 3 == 0 { "f" } else { "m" };
        let role = if i % 7 == 0 { "any" } else { "" };
        let _ = writeln!(text, "p{i},{role},{},{sex},{},0.{i},-0.5", i % 2, if i % 5 < 2 { 1 } else { -1 });
    }
    more.iter().for_each(|row| {
        let _ = writeln!(text, "{row}");
    });
    text
}

/// What a play shows, payloads apart.
struct Look {
    /// Every message and every entry, in order, with what follows from payloads masked.
    shown: Vec<String>,
    /// In s.
    updates: Vec<Vec<f64>>,
    /// In people.
    histograms: Vec<Vec<f64>>,
    commitments: Vec<Digest>,
    early: usize,
}

fn look(table: &str, seed: u8) -> Look {
    look_with(table, seed, None)
}

fn look_with(table: &str, seed: u8, opted_out: Option<(&Path, &[&str])>) -> Look {
    let study = study();
    // The last one is refused: the study is closed by then.
    let asks = [Ask::Train(0), Ask::Train(1), Ask::Evaluate, Ask::Close, Ask::Train(1)];
    let played = Play { study: &study, table, asks: &asks, seed: [seed; 32], opted_out }.run();
    let mut look = Look { shown: vec![], updates: vec![], histograms: vec![], commitments: vec![], early: 0 };
    look.said(&played);
    look.entries(&played);
    look
}

fn study() -> StudyOf {
    StudyOf {
        features: FEATURES,
        hidden: vec![],
        people_public: 40,
        sampling_rate: 1.0,
        rounds: 2,
        local_steps: 1,
        noise_multiplier: 2.0,
        reply_tick_ms: TICK_MS,
        only_counted: Some("role"),
        role_column: false,
    }
}

impl Look {
    fn said(&mut self, played: &Played) {
        for seen in &played.seen {
            let line = match &seen.said {
                Said::Cosign { old_size, proof, checkpoint, entries } => {
                    let note = Note::parse(checkpoint.as_bytes()).expect("a note").checkpoint;
                    let bytes = checkpoint.len();
                    let entries: Vec<String> = entries.iter().map(|entry| self.entry(entry)).collect();
                    let (origin, size) = (note.origin, note.size);
                    format!("cosign {old_size} {proof} {origin} {size} {bytes} bytes {entries:?}")
                }
                Said::Output { of, pieces, bytes } => {
                    self.early += usize::from(seen.after < Duration::from_millis(TICK_MS.into()));
                    self.output(of, pieces, bytes)
                }
                Said::Ledger(files) => {
                    let sizes = files.iter().map(|(path, bytes)| (path, bytes.len()));
                    format!("ledger {:?}", sizes.collect::<Vec<_>>())
                }
                said => format!("{said:?}"),
            };
            self.shown.push(line);
        }
    }

    /// A payload's digest says what a payload says.
    fn output(&mut self, of: &str, pieces: &[usize], bytes: &[u8]) -> String {
        if of.starts_with("round") {
            let (header, values) = blob::decode::<UpdateHeader>(bytes).expect("an update");
            let units = Lattice::for_dimension(values.len()).units() as f64;
            self.updates.push(values.iter().map(|&value| f64::from(value) / units).collect());
            format!("{of} in {pieces:?} {header:?}")
        } else {
            let mut histogram: Histogram = serde_json::from_slice(bytes).expect("a histogram");
            let cells = std::mem::take(&mut histogram.cells);
            self.histograms.push(cells.iter().map(|&cell| cell as f64 / PERSON_UNITS as f64).collect());
            // Its length is that of its noised numbers in digits.
            format!("{of} in {} pieces, {} cells, {histogram:?}", pieces.len(), cells.len())
        }
    }

    fn entries(&mut self, played: &Played) {
        for (path, bytes) in &played.ledger {
            self.shown.push(format!("{path}, {} bytes", bytes.len()));
            if !path.starts_with("tile/entries") {
                continue;
            }
            let mut rest = bytes.as_slice();
            while let Some(entry) = tiles::take_entry(&mut rest) {
                let entry = self.entry(entry);
                self.shown.push(entry);
            }
        }
    }

    fn entry(&mut self, bytes: &[u8]) -> String {
        let mut entry = Entry::from_bytes(bytes).expect("an entry");
        entry.previous = Digest::of(b"masked");
        match &mut entry.body {
            Body::Commit { output, .. } => *output = Digest::of(b"masked"),
            Body::DatasetVersion { commitment, .. } => {
                self.commitments.push(*commitment);
                *commitment = Digest::of(b"masked");
            }
            Body::CohortVersion { cohort, opt_outs, source, queries, .. } => {
                for commitment in [cohort, opt_outs, source, queries] {
                    self.commitments.push(*commitment);
                    *commitment = Digest::of(b"masked");
                }
            }
            _ => {}
        }
        format!("{entry:?}, {} bytes", bytes.len())
    }
}

/// Places at which two plays show different things.
fn difference<'a>(a: &'a Look, b: &'a Look) -> Vec<(&'a str, &'a str)> {
    let longest = a.shown.len().max(b.shown.len());
    let at = |look: &'a Look, i: usize| look.shown.get(i).map_or("(nothing)", String::as_str);
    (0..longest).map(|i| (at(a, i), at(b, i))).filter(|(a, b)| a != b).collect()
}

/// The greatest L2 distance of two lists of payloads; infinite where they are not alike.
fn moves(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let distance =
        |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    a.iter().zip(b).map(distance).fold(0.0, f64::max)
}
