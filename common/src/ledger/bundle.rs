//! Verification of a whole audit bundle, offline: every signature, every ledger replayed by the
//! [rules](super::rules), every output against the ledger that committed to it, and every model
//! recomputed from the updates, bit for bit. The layout is in ARCHITECTURE.md.
//!
//! Nothing is trusted but the keys, and those only as far as [`Trust`] pins them. A file that is
//! missing, and one that does not belong here, are findings too.

mod decisions;
mod evaluation;
mod files;
mod rounds;
mod site;

pub use files::Files;

use super::rules::State;
use crate::id::{Digest, SiteName};
use crate::key::PublicKey;
use crate::study::Study;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The format of `bundle.json`.
pub const SCHEMA: &str = "bundle/1";
/// How far the clocks of a site and of the coordinator may lie apart before the order of two times
/// is a finding, milliseconds.
pub const CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;

/// `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// Of the study file's exact bytes.
    pub study: Digest,
    /// Signs the start and cosigns ledgers.
    pub coordinator: PublicKey,
    /// The sites that took part, sorted.
    pub sites: Vec<SiteName>,
}

/// Keys that the auditor got elsewhere. What is not pinned is believed as the bundle carries it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// The coordinator's key.
    pub coordinator: Option<PublicKey>,
    /// Keys of sites.
    pub sites: BTreeMap<SiteName, PublicKey>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file, within the bundle.
    pub file: String,
    /// The entry's index, where a ledger is at fault.
    pub entry: Option<u64>,
    /// What was expected and what came.
    pub what: String,
}

/// What verification found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The study, as far as its file parses.
    pub study: Option<Study>,
    /// The coordinator's key, and whether it was pinned.
    pub coordinator: Option<(PublicKey, bool)>,
    /// Every site that took part.
    pub sites: Vec<SiteReport>,
    /// Rounds of training in the bundle.
    pub rounds: u32,
    /// Everything that is wrong. Empty: the bundle verifies.
    pub findings: Vec<Finding>,
    /// Legal, but worth a reader's eye.
    pub notes: Vec<String>,
}

/// What verification found out about one site.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteReport {
    /// Its name.
    pub name: SiteName,
    /// Its key on the study's roster.
    pub key: PublicKey,
    /// Whether [`Trust`] pins that key.
    pub pinned: bool,
    /// When the coordinator cosigned the checkpoint.
    pub cosigned: Option<Time>,
    /// The tree head of the checkpoint.
    pub root: Option<Digest>,
    /// The ledger replayed; `None` if that failed.
    pub ledger: Option<State>,
}

/// Verifies a bundle.
#[must_use]
pub fn verify(files: &Files<'_>, trust: &Trust) -> Report {
    let mut audit = Audit::new(files);
    let mut report = Report {
        study: None,
        coordinator: None,
        sites: Vec::new(),
        rounds: 0,
        findings: Vec::new(),
        notes: Vec::new(),
    };
    if let Some((manifest, study)) = audit.manifest_and_study() {
        report.coordinator = Some((manifest.coordinator, trust.coordinator.is_some()));
        audit.pin("bundle.json", "the coordinator", trust.coordinator, manifest.coordinator);
        let approvals = audit.start(&manifest, &study);
        audit.decisions(&manifest, &study, &approvals);
        for name in &manifest.sites {
            let Some(roster) = study.site(name) else {
                audit.found("bundle.json", format!("{name} is not on the study's roster"));
                continue;
            };
            audit.pin("study.toml", name.as_str(), trust.sites.get(name).copied(), roster.key);
            let pinned = trust.sites.contains_key(name);
            report.sites.push(audit.site(roster, pinned, &manifest, &study, &approvals));
        }
        let (rounds, last) = audit.rounds(&study, &report.sites);
        report.rounds = rounds;
        audit.evaluation(&study, &report.sites, last.as_ref());
        audit.surplus();
        report.study = Some(study);
    }
    report.findings = audit.findings;
    report.notes = audit.notes;
    report
}

/// The work in progress: what was read, and what was found.
struct Audit<'a> {
    files: &'a Files<'a>,
    seen: BTreeSet<String>,
    /// When the coordinator signed the start.
    started: Option<Time>,
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl<'a> Audit<'a> {
    fn new(files: &'a Files<'a>) -> Self {
        Self { files, seen: BTreeSet::new(), started: None, findings: Vec::new(), notes: Vec::new() }
    }

    fn found(&mut self, file: &str, what: impl fmt::Display) {
        self.findings.push(Finding { file: file.to_owned(), entry: None, what: what.to_string() });
    }

    fn found_in(&mut self, file: &str, entry: u64, what: impl fmt::Display) {
        self.findings.push(Finding { file: file.to_owned(), entry: Some(entry), what: what.to_string() });
    }

    /// A file's bytes; `None`, and a finding, when it is not there or cannot be read.
    fn take(&mut self, path: &str) -> Option<Vec<u8>> {
        if !self.files.has(path) {
            self.found(path, "missing");
            return None;
        }
        self.take_if_there(path)
    }

    fn take_if_there(&mut self, path: &str) -> Option<Vec<u8>> {
        if !self.files.has(path) {
            return None;
        }
        self.seen.insert(path.to_owned());
        match self.files.read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.found(path, format!("cannot be read: {error}"));
                None
            }
        }
    }

    fn take_json<T: serde::de::DeserializeOwned>(&mut self, path: &str) -> Option<T> {
        let bytes = self.take(path)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                self.found(path, error);
                None
            }
        }
    }

    fn manifest_and_study(&mut self) -> Option<(Manifest, Study)> {
        let manifest: Manifest = self.take_json("bundle.json")?;
        if manifest.schema != SCHEMA {
            self.found("bundle.json", format!("expected schema {SCHEMA}, came {:?}", manifest.schema));
            return None;
        }
        if manifest.sites.is_empty() || !manifest.sites.is_sorted_by(|a, b| a < b) {
            self.found("bundle.json", "expected at least one site, in order and each once");
        }
        let bytes = self.take("study.toml")?;
        let digest = Digest::of(&bytes);
        if digest != manifest.study {
            self.found("study.toml", format!("its digest is {digest}, bundle.json names {}", manifest.study));
        }
        match crate::study::parse(&bytes) {
            Ok(study) => Some((manifest, study)),
            Err(mistakes) => {
                self.found("study.toml", mistakes);
                None
            }
        }
    }

    fn pin(&mut self, file: &str, who: &str, pinned: Option<PublicKey>, carried: PublicKey) {
        if let Some(pinned) = pinned.filter(|pinned| *pinned != carried) {
            self.found(file, format!("{who} has the key {carried}, the trust file pins {pinned}"));
        }
    }

    fn surplus(&mut self) {
        let surplus: Vec<String> =
            self.files.paths().filter(|path| !self.seen.contains(*path)).cloned().collect();
        for path in surplus {
            self.found(&path, "does not belong in this bundle");
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(entry) => write!(f, "{}, entry {entry}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl Report {
    /// Adds a finding for each of `names` that is neither the study's (its id or its digest) nor that
    /// of a site which took part: whoever got the names elsewhere sees what was left out.
    pub fn expect_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            let study = self.study.as_ref();
            let is_study =
                study.is_some_and(|study| study.id.as_str() == name || study.digest.to_string() == name);
            if !is_study && !self.sites.iter().any(|site| site.name.as_str() == name) {
                self.findings.push(Finding {
                    file: "bundle.json".to_owned(),
                    entry: None,
                    what: format!("expected {name}: neither the study nor a site that took part"),
                });
            }
        }
    }

    /// Whether every key that the verdict rests on was pinned.
    #[must_use]
    pub fn keys_are_pinned(&self) -> bool {
        self.coordinator.is_some_and(|(_, pinned)| pinned) && self.sites.iter().all(|site| site.pinned)
    }
}

impl std::str::FromStr for Trust {
    type Err = InvalidTrust;

    /// Lines `SITE KEY` and `coordinator KEY`; `#` starts a comment.
    fn from_str(text: &str) -> Result<Self, InvalidTrust> {
        let mut trust = Self::default();
        for (i, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let at = |what: String| InvalidTrust { line: i + 1, what };
            // Whatever file this is, what stands in it is not repeated.
            let form =
                || at("expected a site's name (or coordinator) and ed25519: with 64 hex digits".to_owned());
            let (name, key) = line.split_once(char::is_whitespace).ok_or_else(form)?;
            let key: PublicKey = key.trim().parse().map_err(|_| form())?;
            let before = if name == "coordinator" {
                trust.coordinator.replace(key)
            } else {
                trust.sites.insert(name.parse().map_err(|_| form())?, key)
            };
            if before.is_some() {
                return Err(at(format!("{name} is there twice")));
            }
        }
        Ok(trust)
    }
}

/// A trust file that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct InvalidTrust {
    /// Counted from 1.
    pub line: usize,
    /// What was expected.
    pub what: String,
}
