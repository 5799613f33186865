//! Verification of a whole audit bundle, offline: every signature, every ledger replayed by the
//! [rules](super::rules), every output against the ledger that committed to it, and every model
//! recomputed from the updates or the secure sums, bit for bit. The layout is in ARCHITECTURE.md.
//!
//! Every finding names its kind, the file, and in a ledger the first entry that is at fault.
//!
//! Nothing is trusted but the keys, and those only as far as [`Trust`] pins them. A file that is
//! missing, and one that does not belong here, are findings too.

mod decisions;
mod diagnosis;
pub mod difference;
mod evaluation;
mod files;
mod finding;
mod lost_keys;
mod rounds;
mod site;
mod sums;
pub mod trace;
mod trust;
mod witness;

pub use files::Files;
pub use finding::Finding;
pub use sums::SumReport;
pub use trust::{InvalidTrust, Trust};

use super::history::History;
use super::rules::{Slot, State};
use crate::id::{Digest, SiteName};
use crate::key::PublicKey;
use crate::protocol::Approval;
use crate::study::{Mode, Study};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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

/// What verification found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The study, as far as its file parses.
    pub study: Option<Study>,
    /// The coordinator's key, and whether it was pinned.
    pub coordinator: Option<(PublicKey, bool)>,
    /// When the coordinator signed the start.
    pub started: Option<Time>,
    /// The decision of every site that decided, each verified under the roster's key; in the
    /// roster's order.
    pub decisions: Vec<Approval>,
    /// Every site that took part.
    pub sites: Vec<SiteReport>,
    /// Rounds of training in the bundle.
    pub rounds: u32,
    /// The file and the digest of the model that each round started from, then of the final one. In
    /// distributed mode all but the last are recomputed and have no file: words say which it is.
    pub models: Vec<(String, Digest)>,
    /// The digest of `model.safetensors`, where it is the final model.
    pub exported: Option<Digest>,
    /// Every output of a site that the bundle holds, in the order of rounds, then of groupings.
    pub outputs: Vec<Output>,
    /// Every secure sum that the bundle holds, in the same order; none in local mode.
    pub sums: Vec<SumReport>,
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
    /// The other participants that cosigned it, by the keys of their approvals.
    pub witnesses: Vec<SiteName>,
    /// The tree head of the checkpoint.
    pub root: Option<Digest>,
    /// The ledger replayed; `None` if that failed.
    pub ledger: Option<State>,
    /// What its entries say of policy, refusals and times; up to the first that may not be there.
    pub history: History,
}

/// Something that left a site and that the bundle holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// From whom.
    pub site: SiteName,
    /// What for.
    pub slot: Slot,
    /// The file, within the bundle.
    pub file: String,
    /// SHA-256 of the exact bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
}

impl Output {
    fn of(site: &SiteName, slot: Slot, file: &str, bytes: &[u8]) -> Self {
        let (digest, bytes) = (Digest::of(bytes), bytes.len() as u64);
        Self { site: site.clone(), slot, file: file.to_owned(), digest, bytes }
    }
}

/// Verifies a bundle.
#[must_use]
pub fn verify(files: &Files<'_>, trust: &Trust) -> Report {
    let mut audit = Audit::new(files);
    let mut report = Report {
        study: None,
        coordinator: None,
        started: None,
        decisions: Vec::new(),
        sites: Vec::new(),
        rounds: 0,
        models: Vec::new(),
        exported: None,
        outputs: Vec::new(),
        sums: Vec::new(),
        findings: Vec::new(),
        notes: Vec::new(),
    };
    if let Some((manifest, study)) = audit.manifest_and_study() {
        report.coordinator = Some((manifest.coordinator, trust.coordinator.is_some()));
        let place = audit.findings.len();
        audit.pin(place, "bundle.json", "the coordinator", trust.coordinator, manifest.coordinator);
        let approvals = audit.start(&manifest, &study);
        audit.decisions(&manifest, &study, &approvals);
        for name in &manifest.sites {
            let Some(roster) = study.site(name) else {
                audit.found("bundle.json", format!("{name} is not on the study's roster"));
                continue;
            };
            let (pinned, place) = (trust.sites.get(name).copied(), audit.findings.len());
            let site = audit.site(roster, pinned.is_some(), &manifest, &study, &approvals, trust);
            // A key that the ledger had before or has since, each signed by the next, is the roster's as well.
            let of_ledger = |key| site.ledger.as_ref().is_some_and(|ledger| ledger.keys().any(|k| k == key));
            if !(pinned.is_some_and(of_ledger) && of_ledger(roster.key)) {
                audit.pin(place, "study.toml", name.as_str(), pinned, roster.key);
            }
            report.sites.push(site);
        }
        audit.foreign_checkpoints(trust, &report.sites);
        report.rounds = match study.privacy.mode {
            Mode::Local => {
                let (rounds, last) = audit.rounds(&study, &report.sites);
                audit.evaluation(&study, &report.sites, last.as_ref());
                rounds
            }
            Mode::Distributed { .. } => audit.sums(&study, &report.sites),
        };
        audit.surplus();
        report.study = Some(study);
    }
    report.started = audit.started;
    report.decisions = audit.decided;
    report.models = audit.models;
    report.exported = audit.exported;
    report.outputs = audit.outputs;
    report.sums = audit.sums;
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
    decided: Vec<Approval>,
    models: Vec<(String, Digest)>,
    exported: Option<Digest>,
    outputs: Vec<Output>,
    sums: Vec<SumReport>,
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl<'a> Audit<'a> {
    fn new(files: &'a Files<'a>) -> Self {
        Self {
            files,
            seen: BTreeSet::new(),
            started: None,
            decided: Vec::new(),
            models: Vec::new(),
            exported: None,
            outputs: Vec::new(),
            sums: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// A finding whose kind is that of its file.
    fn found(&mut self, file: &str, what: impl fmt::Display) {
        self.findings.push(Finding::new(finding::kind_of(file), file, None, what));
    }

    /// The same at an entry of a ledger.
    fn found_in(&mut self, file: &str, entry: u64, what: impl fmt::Display) {
        self.findings.push(Finding::new(finding::kind_of(file), file, Some(entry), what));
    }

    /// A finding of a kind of its own.
    fn found_as(&mut self, kind: &'static str, file: &str, what: impl fmt::Display) {
        self.findings.push(Finding::new(kind, file, None, what));
    }

    /// A file's bytes; `None`, and a finding, when it is not there or cannot be read.
    fn take(&mut self, path: &str) -> Option<Vec<u8>> {
        if !self.files.has(path) {
            self.found_as("missing", path, "missing");
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

    /// A finding at `place`, before those that rest on the key.
    fn pin(&mut self, place: usize, file: &str, who: &str, pinned: Option<PublicKey>, carried: PublicKey) {
        if let Some(pinned) = pinned.filter(|pinned| *pinned != carried) {
            let what = format!("{who} has the key {carried}, the trust file pins {pinned}");
            self.findings.insert(place, Finding::new("key", file, None, what));
        }
    }

    fn surplus(&mut self) {
        let surplus: Vec<String> =
            self.files.paths().filter(|path| !self.seen.contains(*path)).cloned().collect();
        for path in surplus {
            self.found_as("surplus", &path, "does not belong in this bundle");
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
                let what = format!("expected {name}: neither the study nor a site that took part");
                self.findings.push(Finding::new("expected", "bundle.json", None, what));
            }
        }
    }

    /// Whether every key that the verdict rests on was pinned.
    #[must_use]
    pub fn keys_are_pinned(&self) -> bool {
        self.coordinator.is_some_and(|(_, pinned)| pinned) && self.sites.iter().all(|site| site.pinned)
    }
}
