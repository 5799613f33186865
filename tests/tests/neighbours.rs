//! Nothing that the coordinator or the ledger can see tells of data outside an event.
//!
//! A real agent plays two rounds, the evaluation, the close and a request that comes too late, over
//! mutual TLS, with given time and chance: once for each of several tables that differ in the last
//! person only, and of several folders of OMOP records ([`records`]); and secure sums, on a table
//! ([`sums`]). Everything that it says and every entry of its ledger is compared, field by field and
//! byte for byte ([`look`]). What may differ has a name there, and each name is needed: payloads, which
//! move by at most one person; digests, tree heads and signatures that follow from them; commitments
//! to the examples, which must be others under another nonce.
//!
//! With the feature `mutants` each variant that says too much must be caught.

#[path = "neighbours/holdout.rs"]
mod holdout;
#[path = "neighbours/look.rs"]
mod look;
#[path = "neighbours/records.rs"]
mod records;
#[path = "neighbours/sums.rs"]
mod sums;

use consilium_tests::audit::Finding;
use consilium_tests::hospital::{Ask, Play, Played, StudyOf, TRAINING_SHARE};
use consilium_tests::scripted::Said;
use look::{IN_LOCAL_MODE, Look, all_needed, moves};
use site_agent::data::SplitKey;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

const FEATURES: usize = 3;
const TICK_MS: u32 = 100;
/// The last one is refused: the study is closed by then.
const ASKS: [Ask; 5] = [Ask::Train(0), Ask::Train(1), Ask::Evaluate, Ask::Close, Ask::Train(1)];

#[test]
fn neighbours_look_alike() {
    judged([true, false].map(compared));
}

/// Nothing differs that must not, a person moves what they may move, and each exception is one.
#[track_caller]
fn judged([training, evaluation]: [Compared; 2]) {
    let findings = [training.findings, evaluation.findings].concat();
    #[cfg(feature = "mutants")]
    consilium_tests::mutants::keep(&findings);
    for Finding { name, measured, claimed, .. } in &findings {
        println!("{name}: {measured:.6}, at most {claimed}");
    }
    let alarms: Vec<_> = findings.iter().filter(|finding| finding.alarms()).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
    assert!(
        training.moved && evaluation.moved,
        "a person moves the payloads of their role, or nothing was compared"
    );
    all_needed(&(&training.differing | &evaluation.differing), &IN_LOCAL_MODE);
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
            assert_eq!(but_for_lists(&nobody, &found), [], "{out:?}");
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

/// That the list of people who opted out is another one may show in its commitment, whose nonce the site keeps.
fn but_for_lists<'a>(a: &'a Look, b: &'a Look) -> Vec<(&'a str, &'a str)> {
    a.difference(b).into_iter().filter(|(a, b)| without_lists(a) != without_lists(b)).collect()
}

/// A line with every commitment to a list blanked.
fn without_lists(line: &str) -> String {
    const KEY: &str = "opt_outs";
    let mut parts = line.split(KEY);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let commitment = part.find("sha256:").map(|at| at + "sha256:".len()).expect("a commitment follows");
        text + KEY + &part[..commitment] + &part[commitment + 64..]
    })
}

/// What plays of neighbours showed.
struct Compared {
    findings: Vec<Finding>,
    /// The person moves the payloads of their role, and of no other.
    moved: bool,
    /// By name.
    differing: BTreeSet<&'static str>,
}

/// Tables whose last person trains, or evaluates.
fn compared(trains: bool) -> Compared {
    let x = last_person(trains);
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
    let neighbours = neighbours.map(|(what, rows, most)| (what, table(&rows), most));
    compare(trains, &|seed| look(&table(&[]), seed), &neighbours, &|table| look(table, 1))
}

/// Plays without the person, under two seeds, against plays with them, until one tells something.
fn compare<T>(
    trains: bool,
    without: &dyn Fn(u8) -> Look,
    neighbours: &[(&str, T, f64)],
    with: &dyn Fn(&T) -> Look,
) -> Compared {
    let (without, again) = (without(1), without(2));
    let (mut update, mut histogram, mut differences, mut early) = (0.0_f64, 0.0_f64, 0, without.early);
    let mut differing = BTreeSet::new();
    for (what, data, most) in neighbours {
        let with = with(data);
        let different = without.difference(&with);
        if let Some((here, there)) = different.first() {
            println!("{what}: {} differences, the first:\n  {here}\n  {there}", different.len());
        }
        differences += different.len();
        early += with.early;
        differing.append(&mut without.differing(&with));
        let (by_update, by_histogram) =
            (moves(&without.updates, &with.updates), moves(&without.histograms, &with.histograms));
        if by_update.max(by_histogram) > *most {
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
    let repeated = without.commitments.iter().filter(|kept| again.commitments.contains(kept)).count();
    let mut alone = without.commitments.clone();
    alone.sort_unstable();
    alone.dedup();
    // Two rounds and an evaluation, with four commitments each.
    assert_eq!(alone.len(), 3 * 4, "what did not change is not seen to be the same");
    let findings = vec![
        Finding::at_most("differences between neighbours", differences as f64, 0.0),
        Finding::at_most("update's move", update, 1.0),
        Finding::at_most("histogram's move", histogram, 1.0),
        Finding::at_most("commitments that repeat under another nonce", repeated as f64, 0.0),
        Finding::at_most("replies before their tick", early as f64, 0.0),
    ];
    Compared { findings, moved: own > 0.99 && other == 0.0, differing }
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

fn look(table: &str, seed: u8) -> Look {
    look_with(table, seed, None)
}

fn look_with(table: &str, seed: u8, opted_out: Option<(&Path, &[&str])>) -> Look {
    let study = study();
    let played = Play { study: &study, table, asks: &ASKS, seed: [seed; 32], opted_out }.run();
    Look::of(&played, &IN_LOCAL_MODE, TICK_MS)
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
