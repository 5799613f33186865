//! A site's ledger on its way in: written beside its place, checked against what was cosigned, then
//! put there.

use super::{blocking, own_fault, status};
use crate::hub::Hub;
use consilium_common::id::SiteName;
use consilium_common::ledger::checkpoint::Note;
use consilium_common::ledger::{rules, tiles};
use consilium_proto::v1 as wire;
use consilium_proto::v1::ledger_part::Part;
use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tonic::{Status, Streaming};

/// The largest ledger, bytes over all files.
const LEDGER_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The most files of a ledger.
const LEDGER_FILES_MAX: usize = 100_000;

/// A folder that a ledger comes into; removed when it is not kept.
pub(super) struct Incoming(PathBuf);

/// Takes every file, beside `folder`.
pub(super) async fn receive(
    folder: &Path,
    parts: &mut Streaming<wire::LedgerPart>,
) -> Result<Incoming, Status> {
    let incoming = Incoming::new(folder)?;
    let mut total = 0;
    for count in 0.. {
        let Some(part) = parts.message().await? else { break };
        let Some(Part::File(file)) = part.part else {
            return Err(Status::invalid_argument("ledger: expected a file"));
        };
        total += file.bytes.len() as u64;
        if count >= LEDGER_FILES_MAX || total > LEDGER_BYTES_MAX {
            return Err(Status::invalid_argument("ledger: too large"));
        }
        let path = ledger_path(&file.path)?;
        blocking(|| write_durably(&incoming.0.join(path), &file.bytes)).map_err(|e| own_fault(&e))?;
    }
    Ok(incoming)
}

impl Incoming {
    /// One per site at a time; what an interrupted upload left behind goes first.
    fn new(folder: &Path) -> Result<Self, Status> {
        let path = folder.with_extension("incoming");
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(|e| own_fault(&e))?;
        }
        Ok(Self(path))
    }

    /// A ledger is what was cosigned last, whole, and replays.
    pub(super) fn check(&self, hub: &Hub, site: &SiteName) -> Result<(), Status> {
        let refused = |what: String| Status::failed_precondition(format!("ledger: {what}"));
        let witnessed = hub.witnessed(site).map_err(status)?;
        let witnessed = witnessed.ok_or_else(|| refused("nothing of it was cosigned".into()))?;
        let note = std::fs::read(self.0.join("checkpoint")).unwrap_or_default();
        let note = Note::parse(&note).map_err(|e| refused(format!("checkpoint: {e}")))?;
        if (note.checkpoint.size, note.checkpoint.root) != (witnessed.size, witnessed.root) {
            return Err(refused(format!(
                "its checkpoint has {} entries, expected the {} that were cosigned",
                note.checkpoint.size, witnessed.size
            )));
        }
        let read = |path: &str| std::fs::read(self.0.join(path)).ok().map(Cow::Owned);
        let (entries, tree) =
            tiles::read(witnessed.size, read).map_err(|e| refused(format!("tiles: {e}")))?;
        if tree.root() != witnessed.root {
            return Err(refused("its entries are not the cosigned ones".into()));
        }
        rules::replay(&entries).map_err(|e| refused(e.to_string())).map(drop)
    }

    /// Puts it in its place.
    pub(super) fn keep(&self, folder: &Path) -> Result<(), Status> {
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(|e| own_fault(&e))?;
        }
        std::fs::rename(&self.0, folder).map_err(|e| own_fault(&e))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // A kept one has been renamed by now.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A path of the tlog-tiles layout, and nothing else.
fn ledger_path(path: &str) -> Result<PathBuf, Status> {
    let plain = path.len() <= 200
        && path.split('/').all(|part| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        });
    if plain && (path == "checkpoint" || path.starts_with("tile/")) {
        Ok(PathBuf::from(path))
    } else {
        Err(Status::invalid_argument("ledger: a path outside the tlog-tiles layout"))
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_paths_stay_inside() {
        fn check(path: &str, good: bool) {
            assert_eq!(ledger_path(path).is_ok(), good, "{path:?}");
        }
        check("checkpoint", true);
        check("tile/entries/000.p/5", true);
        check("tile/0/x001/234", true);
        check("tile/../../x", false);
        check("/etc/passwd", false);
        check("tile//0", false);
        check("other", false);
        check("tile/0\\..", false);
    }
}
