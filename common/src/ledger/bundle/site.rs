//! One site's ledger: tiles, tree head, signatures, replay, and whether it opened this study as the
//! study's file and the start say.

use super::decisions::Approvals;
use super::diagnosis::Evidence;
use super::finding::Finding;
use super::lost_keys::vouched;
use super::{Audit, CLOCK_SKEW_MS, Files, Manifest, SiteReport, Trust};
use crate::id::{Digest, SiteName};
use crate::key::PublicKey;
use crate::ledger::checkpoint::{COORDINATOR, InvalidNote, Note};
use crate::ledger::entry::Entry;
use crate::ledger::history::{History, KeyChanged};
use crate::ledger::merkle::Tree;
use crate::ledger::rules::{Illegal, Slot, State, StudyRecord};
use crate::ledger::tiles;
use crate::study::{Mode, RosterSite, Study};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// In the build id of a program that was compiled with broken variants of the mechanism.
const MUTANTS: &str = "+mutants";

impl Audit<'_> {
    pub(super) fn site(
        &mut self,
        roster: &RosterSite,
        pinned: bool,
        manifest: &Manifest,
        study: &Study,
        approvals: &Approvals,
        trust: &Trust,
    ) -> SiteReport {
        let folder = ledger_folder(&roster.name);
        let (name, key) = (roster.name.clone(), roster.key);
        let history = History::default();
        let (cosigned, witnesses) = (None, Vec::new());
        let mut report =
            SiteReport { name, key, pinned, cosigned, witnesses, root: None, ledger: None, history };
        let checkpoint = format!("{folder}/checkpoint");
        let Some(bytes) = self.take(&checkpoint) else { return report };
        let note = match Note::parse(&bytes) {
            Ok(note) => note,
            Err(error) => {
                self.found_as("checkpoint", &checkpoint, error);
                return report;
            }
        };
        report.root = Some(note.checkpoint.root);
        // Whose ledger it is stands in its first entry; whether the site signed can be told before, but
        // for a key that changed since the roster was written.
        let place = self.findings.len();
        let signed = note.verify(&note.checkpoint.origin, &roster.key);
        let Some((entries, tree)) = self.entries(&folder, &checkpoint, &note) else {
            self.unsigned(place, &checkpoint, signed);
            return report;
        };
        let replayed = replay(&entries, &mut report.history);
        let of_roster = replayed.as_ref().ok().filter(|state| state.keys().any(|key| key == roster.key));
        let signed = of_roster.map_or(signed, |state| note.verify(&note.checkpoint.origin, &state.key()));
        self.unsigned(place, &checkpoint, signed);
        self.kept_elsewhere(trust, roster, of_roster, &note, &tree);
        self.key_changes(&roster.name, &report.history);
        self.lost_keys(&roster.name, &report.history, &tree, trust);
        self.recoveries(&roster.name, &report.history);
        self.build(&folder, &report.history);
        match replayed {
            Ok(state) => {
                let of = (&study.digest, manifest.coordinator);
                self.checkpoint(&checkpoint, &note, roster, &state, of, &mut report);
                let vouched = vouched(&state, &study.digest, &report.history, approvals);
                report.witnesses = self.witnesses(&checkpoint, &note, &state, approvals, vouched);
                self.opened(&folder, &state, study, approvals);
                report.ledger = Some(state);
            }
            Err(illegal) => self.illegal(&folder, entries, &illegal),
        }
        report
    }

    /// A checkpoint that the site did not sign is found before whatever else is wrong with its ledger.
    fn unsigned(&mut self, place: usize, checkpoint: &str, signed: Result<(), InvalidNote>) {
        if let Err(error) = signed {
            self.findings.insert(place, Finding::new("signature", checkpoint, None, error));
        }
    }

    /// Whatever such a program says of its outputs may be false, and its ledger would still add up.
    fn build(&mut self, folder: &str, history: &History) {
        if let Some(software) = history.software.as_ref().filter(|it| it.contains(MUTANTS)) {
            let what = format!("begun by a program that can break its promises, for tests only: {software}");
            self.findings.push(Finding::new("build", folder, Some(0), what));
        }
    }

    /// A key that changed is legal, and worth a telephone call.
    fn key_changes(&mut self, site: &SiteName, history: &History) {
        for KeyChanged { entry, time, old, new } in &history.keys {
            let day = time.day();
            self.notes.push(format!(
                "{site}: entry {entry} of {day} changed its ledger key from {old} to {new}, signed by both"
            ));
        }
    }

    /// So is a disk that was lost.
    fn recoveries(&mut self, site: &SiteName, history: &History) {
        for (entry, time) in &history.recovered {
            let day = time.day();
            self.notes.push(format!(
                "{site}: entry {entry} of {day} says that the ledger was recovered from a copy of {entry} entries; \
                 later ones were lost, and what was open stays burnt"
            ));
        }
    }

    /// An entry that may not be there. One that does not follow the one before it was tampered with:
    /// then what happened to it is said, too.
    fn illegal(&mut self, folder: &str, entries: Vec<Vec<u8>>, illegal: &Illegal) {
        let what = format!("{}: {}", illegal.rule, illegal.what);
        let tampered = match illegal.rule {
            "ledger.previous" | "ledger.entry" => {
                let size = entries.len() as u64;
                Evidence::of(entries).first_bad(size)
            }
            _ => None,
        };
        let finding = match tampered {
            // Whoever signs anew can have dropped an entry without a gap: only the one after it tells.
            Some(bad) if bad.entry + 1 == illegal.entry => {
                Finding::new(illegal.rule, folder, Some(illegal.entry), format!("{} ({what})", bad.what))
            }
            Some(bad) => Finding::new(bad.kind, folder, Some(bad.entry), format!("{} ({what})", bad.what)),
            None => Finding::new(illegal.rule, folder, Some(illegal.entry), what),
        };
        self.findings.push(finding);
    }

    /// The ledger's entries and their tree. Files that do not fit together are a finding that names the
    /// first bad entry, and there are no entries then: nothing more can be said of them.
    fn entries(&mut self, folder: &str, checkpoint: &str, note: &Note) -> Option<(Vec<Vec<u8>>, Tree)> {
        let (size, files) = (note.checkpoint.size, self.files);
        let mut unreadable = None;
        let read = tiles::read(size, |path| {
            let path = format!("{folder}/{path}");
            if !files.has(&path) {
                return None;
            }
            files.read(&path).map_err(|error| unreadable = Some((path, error))).ok().map(Cow::Owned)
        });
        if let Some((path, error)) = unreadable {
            self.found(&path, format!("cannot be read: {error}"));
        }
        let (entries, tree) = match read {
            Ok(read) => read,
            Err(error) => {
                // Which files belong here is not known: they are not surplus.
                let prefix = format!("{folder}/tile/");
                self.seen.extend(files.paths().filter(|path| path.starts_with(&prefix)).cloned());
                match self.evidence(folder).first_bad(size) {
                    Some(bad) => {
                        let what = format!("{} ({error})", bad.what);
                        self.findings.push(Finding::new(bad.kind, folder, Some(bad.entry), what));
                    }
                    None => self.found_as("tile", folder, error),
                }
                return None;
            }
        };
        self.seen.extend(tiles::paths(size).into_iter().map(|path| format!("{folder}/{path}")));
        if tree.root() != note.checkpoint.root {
            let (expected, found) = (note.checkpoint.root, tree.root());
            let what = format!("the checkpoint's tree head is {expected}, the entries make {found}");
            match Evidence::of(entries).first_bad(size) {
                Some(bad) => {
                    let what = format!("{} ({what})", bad.what);
                    self.findings.push(Finding::new(bad.kind, folder, Some(bad.entry), what));
                }
                None => self.found_as(
                    "checkpoint.fork",
                    checkpoint,
                    format!(
                        "{what}: it is of another history, or entries were rewritten from some place to the                          end; an older bundle tells where (auditor diff)"
                    ),
                ),
            }
            return None;
        }
        Some((entries, tree))
    }

    /// What the ledger's files hold, whether or not they fit the checkpoint.
    fn evidence(&mut self, folder: &str) -> Evidence {
        let files = self.files;
        let row = |row: &str| {
            let prefix = format!("{folder}/tile/{row}/");
            // A partial tile sorts where its full one would: after all before it.
            let mut paths: Vec<&String> = files.paths().filter(|path| path.starts_with(&prefix)).collect();
            paths.sort_by_key(|path| place(&path[prefix.len()..]));
            paths.into_iter().filter_map(|path| files.read(path).ok()).collect::<Vec<_>>()
        };
        let (bundles, tiles) = (row("entries"), row("0"));
        Evidence::read(bundles.iter().map(Vec::as_slice), tiles.iter().map(Vec::as_slice))
    }

    /// Checkpoints that somebody else kept must be of this ledger's past.
    fn kept_elsewhere(
        &mut self,
        trust: &Trust,
        roster: &RosterSite,
        state: Option<&State>,
        note: &Note,
        tree: &Tree,
    ) {
        let (site, origin) = (&roster.name, &note.checkpoint.origin);
        for (name, bytes) in &trust.checkpoints {
            // What is no checkpoint, or of no ledger here, is told once for the whole bundle.
            let Ok(kept) = Note::parse(bytes) else { continue };
            if ledger_site(&kept.checkpoint.origin) != Some(site.as_str()) {
                continue;
            }
            let file = format!("{}/checkpoint", ledger_folder(site));
            let signed = state.map_or_else(|| kept.verify(origin, &roster.key), |s| s.verify_note(&kept));
            if let Err(error) = signed {
                self.found_as("signature", &file, format!("{name}: {error}"));
                continue;
            }
            let (size, root) = (kept.checkpoint.size, kept.checkpoint.root);
            match tree.root_at(size) {
                Some(here) if here == root => {}
                Some(here) => self.found_as(
                    "checkpoint.fork",
                    &file,
                    format!(
                        "{site} signed two histories: at {size} entries {name} has the tree head {root},                          the bundle {here}"
                    ),
                ),
                None => self.found_as(
                    "checkpoint.rollback",
                    &file,
                    format!(
                        "{site} has signed {size} entries ({name}), the bundle has {}: entries were                          rolled back or left out",
                        tree.size()
                    ),
                ),
            }
        }
    }

    /// Checkpoints got elsewhere that are of no ledger in the bundle prove nothing, and that is said.
    pub(super) fn foreign_checkpoints(&mut self, trust: &Trust, sites: &[SiteReport]) {
        for (name, bytes) in &trust.checkpoints {
            match Note::parse(bytes) {
                Err(error) => self.found_as("checkpoint", "bundle.json", format!("{name}: {error}")),
                Ok(note) => {
                    let site = ledger_site(&note.checkpoint.origin);
                    if !sites.iter().any(|here| site == Some(here.name.as_str())) {
                        let origin = &note.checkpoint.origin;
                        self.notes
                            .push(format!("{name}: a checkpoint of {origin}, which is not in the bundle"));
                    }
                }
            }
        }
    }

    fn checkpoint(
        &mut self,
        file: &str,
        note: &Note,
        roster: &RosterSite,
        state: &State,
        (study, coordinator): (&Digest, PublicKey),
        report: &mut SiteReport,
    ) {
        if *state.site() != roster.name {
            self.found_in(file, 0, format!("the ledger of {}, expected {}", state.site(), roster.name));
        }
        // The roster pins the key that was in force when the study was opened.
        let opened = state.study(study).map_or(state.key(), |record| state.key_at(record.opened));
        if opened != roster.key {
            self.found_in(file, 0, format!("the ledger has the key {opened}, the roster {}", roster.key));
        }
        if let Err(error) = note.verify(&state.origin(), &state.key()) {
            // A signature that does not verify was found before.
            if !matches!(error, InvalidNote::BadSignature { .. } | InvalidNote::NotSigned { .. }) {
                self.found(file, error);
            }
        }
        match note.cosignature(COORDINATOR, &coordinator) {
            Ok(Some(time)) => {
                report.cosigned = Some(time);
                if time.plus_ms(CLOCK_SKEW_MS) < state.time() {
                    let (entry, last) = (state.size() - 1, state.time());
                    self.found_in(file, entry, format!("written at {last}, cosigned before, at {time}"));
                }
            }
            Ok(None) => self.found_as("cosignature", file, "not cosigned by the coordinator"),
            Err(error) => self.found_as("cosignature", file, error),
        }
    }

    /// The study was opened as everybody approved it.
    fn opened(&mut self, folder: &str, state: &State, study: &Study, approvals: &Approvals) {
        let Some(record) = state.study(&study.digest) else {
            self.found(folder, format!("study {} was never opened", study.digest));
            return;
        };
        let entry = record.opened;
        if approvals.get(state.site()).is_some_and(|approval| *approval != record.approval) {
            self.found_in(folder, entry, "another approval than the one in start.json");
        }
        let opened: BTreeMap<&SiteName, PublicKey> =
            record.participants.iter().map(|participant| (&participant.site, participant.key)).collect();
        let started: BTreeMap<&SiteName, PublicKey> =
            approvals.iter().map(|(site, approval)| (site, approval.key)).collect();
        if opened != started {
            self.found_in(folder, entry, "other participants or keys than in start.json");
        }
        #[expect(clippy::float_cmp, reason = "both are the same digits of the study's file")]
        let same_delta = record.delta == study.privacy.delta;
        if !same_delta {
            let (expected, found) = (study.privacy.delta, record.delta);
            self.found_in(folder, entry, format!("expected δ = {expected}, came {found}"));
        }
        if record.earmarks != crate::study::earmarks(study) {
            self.found_in(folder, entry, "other earmarks than the study declares");
        }
        if let Some(started) = self.started.filter(|t| record.opened_at.plus_ms(CLOCK_SKEW_MS) < *t) {
            let opened = record.opened_at;
            self.found_in(
                folder,
                entry,
                format!("opened at {opened}, the study started later, at {started}"),
            );
        }
        self.of_the_mode(folder, state, study);
        self.burnt_whole(folder, state, study);
        self.burnt_in_time(folder, state, study, record);
    }

    /// Nothing of the other mode: what leaves for a distributed study leaves behind masks.
    fn of_the_mode(&mut self, folder: &str, state: &State, study: &Study) {
        const RULE: &str = "ledger.mode";
        let (strangers, what): (Vec<u64>, _) = match study.privacy.mode {
            Mode::Local => {
                let blocks = state.blocks(&study.digest).map(|(index, _)| index);
                (blocks.collect(), "burnt for a secure sum, the study's mode is local")
            }
            Mode::Distributed { .. } => {
                let burns = state.burns(&study.digest).map(|(index, _)| index);
                (burns.collect(), "burnt for a site's own output, the study's mode is distributed")
            }
        };
        let finding = |index| Finding::new(RULE, folder, Some(index), what);
        self.findings.extend(strangers.into_iter().map(finding));
    }

    /// Every output was paid for in full: all private steps of a round, one use of a release.
    ///
    /// # Privacy
    /// The budget is recomputed from the counts in a ledger, and these are what its own site wrote:
    /// a round is `local_steps` accesses to the data, whatever the ledger says. An aborted burn
    /// counts as much, since a crash may have come after the data were read.
    fn burnt_whole(&mut self, folder: &str, state: &State, study: &Study) {
        for (index, burn) in state.burns(&study.digest) {
            let (what, whole) = match burn.slot {
                Slot::Round(round) => {
                    (format!("round {}", u64::from(round) + 1), u64::from(study.privacy.training.local_steps))
                }
                Slot::Grouping(_) => ("a release".to_owned(), 1),
            };
            if burn.count != whole {
                let found = burn.count;
                let what = format!("{what} burns {whole} uses, came {found}");
                self.findings.push(Finding::new("ledger.burn", folder, Some(index), what));
            }
        }
    }

    fn burnt_in_time(&mut self, folder: &str, state: &State, study: &Study, record: &StudyRecord) {
        let valid = study.governance.valid_from..=study.governance.valid_until;
        let burnt = state.burns(&study.digest).map(|(index, burn)| (index, burn.time));
        let blocks = state.blocks(&study.digest).map(|(index, block)| (index, block.time));
        let masked = state.masked(&study.digest).map(|(index, masked)| (index, masked.time));
        for (index, time) in burnt.chain(blocks).chain(masked) {
            let day = time.day();
            if !valid.contains(&day) {
                let (from, until) = (valid.start(), valid.end());
                self.found_in(
                    folder,
                    index,
                    format!("burnt on {day}, the study is valid from {from} to {until}"),
                );
            }
        }
        if record.closed.is_none() {
            self.notes.push(format!("{}: the study is not closed in its ledger", state.site()));
        }
    }
}

/// As [`crate::ledger::rules::replay`], taking notes.
fn replay(entries: &[Vec<u8>], history: &mut History) -> Result<State, Illegal> {
    let (first, rest) = entries.split_first().ok_or_else(|| Illegal {
        entry: 0,
        rule: "ledger.genesis",
        what: "expected a genesis, the ledger is empty".to_owned(),
    })?;
    let mut state = State::begin(first)?;
    history.note(0, &Entry::from_bytes(first).expect("the state began with it"));
    for bytes in rest {
        let index = state.size();
        history.note(index, &state.apply(bytes)?);
    }
    Ok(state)
}

/// The site that a checkpoint's origin names: `consilium/ledger/SITE/DATASET`.
fn ledger_site(origin: &str) -> Option<&str> {
    origin.strip_prefix("consilium/ledger/")?.split('/').next()
}

/// The number of a tile by its path within its row, `x001/x234/067.p/5`, and its width.
fn place(path: &str) -> (u64, u64) {
    let (number, width) = path.split_once(".p/").unwrap_or((path, "256"));
    let digits = number.split('/').map(|group| group.trim_start_matches('x').parse().unwrap_or(u64::MAX));
    (
        digits.fold(0, |sum: u64, group| sum.saturating_mul(1000).saturating_add(group)),
        width.parse().unwrap_or(0),
    )
}

/// A site's ledger read again: its entries and their tree; `None` unless the files fit together.
pub(super) fn ledger(files: &Files<'_>, site: &SiteName) -> Option<(Vec<Vec<u8>>, Tree)> {
    let folder = ledger_folder(site);
    let note = Note::parse(&files.read(&format!("{folder}/checkpoint")).ok()?).ok()?;
    let read = |path: &str| files.read(&format!("{folder}/{path}")).ok().map(Cow::Owned);
    tiles::read(note.checkpoint.size, read).ok()
}

/// Where a site's ledger is.
pub(super) fn ledger_folder(site: &SiteName) -> String {
    format!("sites/{site}/ledger")
}

/// The output that a site committed to is the file's exact bytes; a finding otherwise.
///
/// # Privacy
/// A `commit` that was lost with a disk is not explained by a `recovered`, as a lost masked vector may be: an
/// output of one site carries no signature of that site, so that nothing but its ledger's `commit` says whose it
/// is and which reserve paid for it. An agent sends one only after its `commit` was cosigned; whoever cosigned
/// has a copy with the `commit` in it.
pub(super) fn is_committed(ledger: &State, study: &Digest, slot: Slot, bytes: &[u8]) -> Result<(), String> {
    let found = Digest::of(bytes);
    match ledger.committed(study, slot) {
        Some((output, _)) if output == found => Ok(()),
        Some((output, entry)) => {
            Err(format!("its digest is {found}, entry {entry} of the ledger committed to {output}"))
        }
        None => Err(match ledger.recoveries().last() {
            None => "the site's ledger has no commit for it".to_owned(),
            Some((entry, _)) => format!(
                "the site's ledger has no commit for it; it was recovered at entry {entry}, which explains nothing \
                 here: an output leaves when its commit is cosigned, so that a newer copy has it"
            ),
        }),
    }
}
