//! What a play shows to the coordinator and in the ledger: lines that must be equal between neighbours under one
//! seed, and, each by its name, the few fields that may differ.

use consilium_common::evaluation::histogram::{Histogram, PERSON_UNITS};
use consilium_common::ledger::tiles;
use consilium_common::model::blob::{self, UpdateHeader};
use consilium_common::privacy::clip::Lattice;
use consilium_tests::hospital::Played;
use consilium_tests::scripted::Said;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A field that may differ, and why.
pub type Exception = (&'static str, &'static str);

/// What follows from payloads in any ledger, and what is keyed.
const OF_LEDGERS: [Exception; 6] = [
    ("entry.previous", "the hash of the entry before"),
    ("checkpoint.root", "the hash of all entries"),
    ("checkpoint.signature", "over the root"),
    ("hash tiles", "the hashes of entries"),
    ("cohort_version.cohort", "a commitment under a nonce that only the site keeps"),
    ("cohort_version.source", "a commitment under a nonce that only the site keeps"),
];

/// In `local` mode. Whatever has no name here is compared byte for byte.
pub const IN_LOCAL_MODE: [Exception; 9] = with([
    ("update.values", "an output: a person moves it by at most s"),
    ("histogram.cells", "an output: a person moves it by at most one person"),
    ("commit.output", "the digest of an output"),
]);

/// In secure sums, where all keys, shares and masks come from the seed.
pub const IN_SECURE_SUMS: [Exception; 13] = with([
    (
        "masked input.lanes",
        "an output: under the same masks a person moves it by at most s, or by one person",
    ),
    ("masked input.signature", "over the lanes"),
    ("survivors signature.survivors", "a digest over the digests of lanes"),
    ("survivors signature.signature", "over that digest"),
    ("unmask.survivors", "the same digest"),
    ("commit_sum.output", "the digest of the lanes"),
    ("sum.sum+transcript", "digests of the sum, which the coordinator told, and of the whole attempt"),
]);

/// These and [`OF_LEDGERS`].
const fn with<const N: usize, const ALL: usize>(own: [Exception; N]) -> [Exception; ALL] {
    assert!(ALL == N + OF_LEDGERS.len(), "as many as there are");
    let mut all = [("", ""); ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < N { own[at] } else { OF_LEDGERS[at - N] };
        at += 1;
    }
    all
}

/// What a play shows.
pub struct Look {
    may_differ: &'static [Exception],
    /// Every message and every entry, in order, without what may differ.
    pub shown: Vec<String>,
    /// What may, by name.
    differing: BTreeMap<&'static str, Vec<Vec<u8>>>,
    /// In s.
    pub updates: Vec<Vec<f64>>,
    /// In people.
    pub histograms: Vec<Vec<f64>>,
    /// All of every `cohort_version`, those that must not differ included.
    pub commitments: Vec<String>,
    /// Outputs that came before their tick.
    pub early: usize,
}

impl Look {
    /// All that a play showed, where replies leave on this tick.
    pub fn of(played: &Played, may_differ: &'static [Exception], tick_ms: u32) -> Self {
        let mut look = Self {
            may_differ,
            shown: vec![],
            differing: BTreeMap::new(),
            updates: vec![],
            histograms: vec![],
            commitments: vec![],
            early: 0,
        };
        look.said(played, Duration::from_millis(tick_ms.into()));
        look.ledger(&played.ledger);
        look
    }

    /// A field in a line: its length where it may differ, itself where not.
    pub fn field(&mut self, name: &str, bytes: &[u8]) -> String {
        match self.may_differ.iter().find(|(known, _)| *known == name) {
            Some((known, _)) => {
                self.differing.entry(known).or_default().push(bytes.to_vec());
                format!("{name}: {} bytes", bytes.len())
            }
            None => format!("{name}: {}", hex::encode(bytes)),
        }
    }

    fn said(&mut self, played: &Played, tick: Duration) {
        for seen in &played.seen {
            let line = match &seen.said {
                Said::Cosign { old_size, proof, checkpoint, entries } => {
                    let checkpoint = self.checkpoint(checkpoint);
                    let entries: Vec<String> = entries.iter().map(|entry| self.entry(entry)).collect();
                    format!("cosign {old_size} {proof} {checkpoint} {entries:?}")
                }
                Said::Output { of, pieces, bytes } => {
                    self.early += usize::from(seen.after < tick);
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

    fn output(&mut self, of: &str, pieces: &[usize], bytes: &[u8]) -> String {
        if of.starts_with("round") {
            let (header, values) = blob::decode::<UpdateHeader>(bytes).expect("an update");
            let units = Lattice::for_dimension(values.len()).units() as f64;
            self.updates.push(values.iter().map(|&value| f64::from(value) / units).collect());
            let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let header = serde_json::to_string(&header).expect("plain data");
            format!("{of} in {pieces:?} {header} {}", self.field("update.values", &raw))
        } else {
            let mut histogram: Histogram = serde_json::from_slice(bytes).expect("a histogram");
            // Written in the one way that it has: its length is that of its numbers in digits.
            assert_eq!(serde_json::to_vec(&histogram).expect("plain data"), bytes);
            let cells = std::mem::take(&mut histogram.cells);
            self.histograms.push(cells.iter().map(|&cell| cell as f64 / PERSON_UNITS as f64).collect());
            let raw: Vec<u8> = cells.iter().flat_map(|cell| cell.to_le_bytes()).collect();
            let cells = self.field("histogram.cells", &raw);
            format!("{of} in {} pieces, {histogram:?} {cells}", pieces.len())
        }
    }

    fn ledger(&mut self, files: &[(String, Vec<u8>)]) {
        for (path, bytes) in files {
            self.shown.push(format!("{path}, {} bytes", bytes.len()));
            if path == "checkpoint" {
                let line = self.checkpoint(std::str::from_utf8(bytes).expect("a note is text"));
                self.shown.push(line);
            } else if path.starts_with("tile/entries") {
                let mut rest = bytes.as_slice();
                while let Some(entry) = tiles::take_entry(&mut rest) {
                    let line = self.entry(entry);
                    self.shown.push(line);
                }
            } else {
                let line = self.field("hash tiles", bytes);
                self.shown.push(line);
            }
        }
    }

    /// A signed note, line by line.
    fn checkpoint(&mut self, text: &str) -> String {
        const ROOT: usize = 2;
        let lines = text.lines().enumerate().map(|(at, line)| {
            if at == ROOT {
                return self.field("checkpoint.root", line.as_bytes());
            }
            match line.strip_prefix("— ").and_then(|signature| signature.split_once(' ')) {
                Some((by, signature)) => {
                    format!("— {by} {}", self.field("checkpoint.signature", signature.as_bytes()))
                }
                None => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// An entry's exact fields, whatever they are.
    fn entry(&mut self, bytes: &[u8]) -> String {
        let mut entry: Value = serde_json::from_slice(bytes).expect("an entry");
        let kind = entry["kind"].as_str().expect("every entry has a kind").to_owned();
        let fields = entry.as_object_mut().expect("an entry is an object");
        for (key, value) in fields.iter_mut() {
            if kind == "cohort_version" && !["time", "previous", "kind", "study"].contains(&key.as_str()) {
                self.commitments.push(value.to_string());
            }
            let name = match (kind.as_str(), key.as_str()) {
                (_, "previous") => "entry.previous".to_owned(),
                ("sum", "sum" | "transcript") => "sum.sum+transcript".to_owned(),
                (kind, key) => format!("{kind}.{key}"),
            };
            if self.may_differ.iter().any(|(known, _)| *known == name) {
                *value = self.field(&name, value.to_string().as_bytes()).into();
            }
        }
        format!("{entry}, {} bytes", bytes.len())
    }

    /// Places at which two plays show different things.
    pub fn difference<'a>(&'a self, other: &'a Self) -> Vec<(&'a str, &'a str)> {
        let longest = self.shown.len().max(other.shown.len());
        let at = |look: &'a Self, i: usize| look.shown.get(i).map_or("(nothing)", String::as_str);
        (0..longest).map(|i| (at(self, i), at(other, i))).filter(|(a, b)| a != b).collect()
    }

    /// Which of the fields that may differ do.
    pub fn differing(&self, other: &Self) -> BTreeSet<&'static str> {
        let names = self.differing.keys().chain(other.differing.keys());
        names.filter(|name| self.differing.get(*name) != other.differing.get(*name)).copied().collect()
    }
}

/// That no exception is wider than it has to be: over all neighbours, each one was needed.
pub fn all_needed(needed: &BTreeSet<&'static str>, listed: &[Exception]) {
    let listed: BTreeSet<&str> = listed.iter().map(|(name, _)| *name).collect();
    assert_eq!(*needed, listed, "what differs, and what is listed as such");
}

/// The greatest L2 distance of two lists of payloads; infinite where they are not alike.
pub fn moves(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let distance =
        |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    a.iter().zip(b).map(distance).fold(0.0, f64::max)
}
