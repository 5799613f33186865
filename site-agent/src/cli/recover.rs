//! `ledger recover`.

use super::output::Output;
use super::{connect, in_runtime};
use crate::disk::OsDisk;
use crate::failure::Failure;
use crate::files;
use crate::home::Home;
use crate::ledger::LedgerStore;
use consilium_common::ledger::checkpoint::{NOTE_BYTES_MAX, Note};
use consilium_common::ledger::tiles;
use consilium_common::time::Time;
use serde_json::json;
use std::borrow::Cow;
use std::path::Path;

pub(super) fn recover(
    home: &Home,
    from: Option<&Path>,
    output: &Output,
    clock: fn() -> Time,
) -> Result<(), Failure> {
    let (note, entries) = copy(home, from)?;
    let (dir, key) = (home.ledger_dir(), home.ledger_key()?);
    let done = LedgerStore::recover(&OsDisk, &dir, &key, &note, &entries, clock())?;
    let before = done.before.map_or_else(|| "none that could be read".to_owned(), |size| size.to_string());
    let aside =
        done.aside.as_ref().map_or_else(String::new, |path| format!("\nold folder:  {}", path.display()));
    let human = format!(
        "entries:     {} (before: {before}), the last of which says that the ledger was recovered\n\
         unfinished:  {} reserves without an output and blocks with uses left; they stay burnt\n\
         lost:        records of up to {} masked vectors that may have left since the last cosignature{aside}\n\
         Next: site-agent budget, then site-agent serve",
        done.after, done.unfinished, done.uses
    );
    let json = json!({
        "entries": done.after,
        "entries_before": done.before,
        "unfinished": done.unfinished,
        "uses_lost_max": done.uses,
        "old_folder": done.aside,
    });
    output.result(&human, &json)
}

/// This site's ledger as others kept it: in a folder, or at the coordinator.
pub(super) fn copy(home: &Home, from: Option<&Path>) -> Result<(Note, Vec<Vec<u8>>), Failure> {
    match from {
        Some(folder) => read(folder),
        None => in_runtime(async {
            let (mut link, _) = connect(home, &home.config()?).await?;
            let (note, entries) = link.fetch_ledger().await?;
            Ok::<_, Failure>((parse(note.as_bytes(), "the coordinator's copy")?, entries))
        })?,
    }
}

/// A ledger in the tlog-tiles layout.
fn read(folder: &Path) -> Result<(Note, Vec<Vec<u8>>), Failure> {
    let path = folder.join("checkpoint");
    let what = path.display().to_string();
    let note = parse(&files::read(&path, NOTE_BYTES_MAX as u64)?, &what)?;
    let tile = |path: &str| std::fs::read(folder.join(path)).ok().map(Cow::Owned);
    let (entries, _) = tiles::read(note.checkpoint.size, tile)
        .map_err(|error| Failure::input(format!("{}: {error}", folder.display())))?;
    Ok((note, entries))
}

fn parse(note: &[u8], what: &str) -> Result<Note, Failure> {
    Note::parse(note).map_err(|error| Failure::input(format!("{what}: {error}")))
}
