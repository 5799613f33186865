//! One site's ledger: tiles, tree head, signatures, replay, and whether it opened this study as the
//! study's file and the start say.

use super::decisions::Approvals;
use super::{Audit, CLOCK_SKEW_MS, Manifest, SiteReport};
use crate::id::{Digest, SiteName};
use crate::key::PublicKey;
use crate::ledger::checkpoint::{COORDINATOR, Note};
use crate::ledger::rules::{self, Slot, State, StudyRecord};
use crate::ledger::tiles;
use crate::study::{RosterSite, Study};
use std::borrow::Cow;
use std::collections::BTreeMap;

impl Audit<'_> {
    pub(super) fn site(
        &mut self,
        roster: &RosterSite,
        pinned: bool,
        manifest: &Manifest,
        study: &Study,
        approvals: &Approvals,
    ) -> SiteReport {
        let folder = ledger_folder(&roster.name);
        let (name, key) = (roster.name.clone(), roster.key);
        let mut report = SiteReport { name, key, pinned, cosigned: None, root: None, ledger: None };
        let checkpoint = format!("{folder}/checkpoint");
        let Some(bytes) = self.take(&checkpoint) else { return report };
        let note = match Note::parse(&bytes) {
            Ok(note) => note,
            Err(error) => {
                self.found(&checkpoint, error);
                return report;
            }
        };
        report.root = Some(note.checkpoint.root);
        let Some(entries) = self.entries(&folder, &note) else { return report };
        match rules::replay(&entries) {
            Ok(state) => {
                self.checkpoint(&checkpoint, &note, roster, &state, manifest.coordinator, &mut report);
                self.opened(&folder, &state, study, approvals);
                report.ledger = Some(state);
            }
            Err(illegal) => {
                self.found_in(&folder, illegal.entry, format!("{}: {}", illegal.rule, illegal.what))
            }
        }
        report
    }

    fn entries(&mut self, folder: &str, note: &Note) -> Option<Vec<Vec<u8>>> {
        let size = note.checkpoint.size;
        let files = self.files;
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
        let prefix = format!("{folder}/tile/");
        let (entries, tree) = match read {
            Ok(read) => read,
            Err(error) => {
                // Which files belong here is not known: they are not surplus.
                self.seen.extend(files.paths().filter(|path| path.starts_with(&prefix)).cloned());
                self.found(folder, error);
                return None;
            }
        };
        self.seen.extend(tiles::paths(size).into_iter().map(|path| format!("{folder}/{path}")));
        if tree.root() != note.checkpoint.root {
            let (expected, found) = (note.checkpoint.root, tree.root());
            self.found(folder, format!("the checkpoint's tree head is {expected}, the entries make {found}"));
        }
        Some(entries)
    }

    fn checkpoint(
        &mut self,
        file: &str,
        note: &Note,
        roster: &RosterSite,
        state: &State,
        coordinator: PublicKey,
        report: &mut SiteReport,
    ) {
        if *state.site() != roster.name {
            self.found_in(file, 0, format!("the ledger of {}, expected {}", state.site(), roster.name));
        }
        if state.key() != roster.key {
            self.found_in(
                file,
                0,
                format!("the ledger has the key {}, the roster {}", state.key(), roster.key),
            );
        }
        if let Err(error) = note.verify(&state.origin(), &roster.key) {
            self.found(file, error);
        }
        match note.cosignature(COORDINATOR, &coordinator) {
            Ok(Some(time)) => {
                report.cosigned = Some(time);
                if time.plus_ms(CLOCK_SKEW_MS) < state.time() {
                    let (entry, last) = (state.size() - 1, state.time());
                    self.found_in(file, entry, format!("written at {last}, cosigned before, at {time}"));
                }
            }
            Ok(None) => self.found(file, "not cosigned by the coordinator"),
            Err(error) => self.found(file, error),
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
        self.burnt_whole(folder, state, study);
        self.burnt_in_time(folder, state, study, record);
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
                    (format!("round {round}"), u64::from(study.privacy.training.local_steps))
                }
                Slot::Grouping(_) => ("a release".to_owned(), 1),
            };
            if burn.count != whole {
                let found = burn.count;
                self.found_in(folder, index, format!("{what} burns {whole} uses, came {found}"));
            }
        }
    }

    fn burnt_in_time(&mut self, folder: &str, state: &State, study: &Study, record: &StudyRecord) {
        let valid = study.governance.valid_from..=study.governance.valid_until;
        for (index, burn) in state.burns(&study.digest) {
            let day = burn.time.day();
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

/// Where a site's ledger is.
pub(super) fn ledger_folder(site: &SiteName) -> String {
    format!("sites/{site}/ledger")
}

/// The output that a site committed to is the file's exact bytes; a finding otherwise.
pub(super) fn is_committed(committed: Option<(Digest, u64)>, bytes: &[u8]) -> Result<(), String> {
    let found = Digest::of(bytes);
    match committed {
        Some((output, _)) if output == found => Ok(()),
        Some((output, entry)) => {
            Err(format!("its digest is {found}, entry {entry} of the ledger committed to {output}"))
        }
        None => Err("the site's ledger has no commit for it".to_owned()),
    }
}
