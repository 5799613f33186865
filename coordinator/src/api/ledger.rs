//! A site's ledger on its way in: written beside its place, checked against what was cosigned, then
//! put there. And what sites say of each other's checkpoints, on its way through.

use super::federation::WAIT_MS_MAX;
use super::{blocking, own_fault, status};
use crate::clock::now;
use crate::hub::{Foreign, Hub, Said};
use consilium_common::id::SiteName;
use consilium_common::ledger::checkpoint::{NOTE_BYTES_MAX, Note};
use consilium_common::ledger::{rules, tiles};
use consilium_proto::v1 as wire;
use consilium_proto::v1::ledger_part::Part;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::{Status, Streaming};

/// The largest ledger, bytes over all files.
const LEDGER_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The most files of a ledger.
const LEDGER_FILES_MAX: usize = 100_000;
/// The most statements of a witness at a time.
const STATEMENTS_MAX: usize = 64;
/// The longest name of a rule in a refusal, characters.
const RULE_MAX: usize = 80;

/// Waits for checkpoints that this site has said nothing of.
pub(super) async fn next_witness(
    hub: &Hub,
    site: &SiteName,
    request: wire::NextWitnessRequest,
) -> Result<wire::NextWitnessResponse, Status> {
    let known = request.known.iter().map(|known| Ok((name(&known.site)?, known.size)));
    let known = known.collect::<Result<BTreeMap<_, _>, Status>>()?;
    let _listening = hub.listen(site);
    let mut changes = hub.changes();
    let wait = Duration::from_millis(request.wait_ms.min(WAIT_MS_MAX).into());
    let found = tokio::time::timeout(wait, async {
        loop {
            changes.mark_unchanged();
            let foreign = blocking(|| hub.foreign(site, &known));
            if !matches!(&foreign, Ok(none) if none.is_empty()) || changes.changed().await.is_err() {
                return foreign;
            }
        }
    });
    let foreign = found.await.unwrap_or_else(|_| Ok(Vec::new())).map_err(status)?;
    let checkpoint = |foreign: Foreign| wire::ForeignCheckpoint {
        site: foreign.site.to_string(),
        checkpoint: foreign.note,
        old_size: foreign.old_size,
        consistency_proof: foreign.proof.iter().map(|hash| hash.as_bytes().to_vec().into()).collect(),
    };
    Ok(wire::NextWitnessResponse { checkpoints: foreign.into_iter().map(checkpoint).collect() })
}

/// Takes what a site says of others' checkpoints.
pub(super) fn submit_witness(
    hub: &Hub,
    witness: &SiteName,
    request: wire::SubmitWitnessRequest,
) -> Result<wire::SubmitWitnessResponse, Status> {
    use wire::witness_statement::Said as WireSaid;
    for statement in request.statements.into_iter().take(STATEMENTS_MAX) {
        let site = name(&statement.site)?;
        let said = match statement.said {
            Some(WireSaid::Cosignature(line)) => Said::Cosigned(line),
            Some(WireSaid::Refused(refused)) => Said::Refused {
                rule: refused.rule.chars().filter(|c| !c.is_control()).take(RULE_MAX).collect(),
                known: Some(refused.known).filter(|note| note.len() <= NOTE_BYTES_MAX).unwrap_or_default(),
            },
            None => return Err(Status::invalid_argument("witness.statement: neither yes nor no")),
        };
        hub.say(witness, &site, statement.size, said).map_err(status)?;
    }
    Ok(wire::SubmitWitnessResponse {})
}

/// Waits for what other sites say of this site's checkpoint.
pub(super) async fn fetch_witness(
    hub: &Hub,
    site: &SiteName,
    request: &wire::FetchWitnessRequest,
) -> wire::FetchWitnessResponse {
    use wire::witness_statement::Said as WireSaid;
    let mut changes = hub.changes();
    let wait = Duration::from_millis(request.wait_ms.min(WAIT_MS_MAX).into());
    let found = tokio::time::timeout(wait, async {
        loop {
            changes.mark_unchanged();
            let said = hub.said(site, request.size);
            if !said.is_empty() || changes.changed().await.is_err() {
                return said;
            }
        }
    });
    let statement = |(witness, said): (SiteName, Said)| wire::WitnessStatement {
        site: witness.to_string(),
        size: request.size,
        said: Some(match said {
            Said::Cosigned(line) => WireSaid::Cosignature(line),
            Said::Refused { rule, known } => WireSaid::Refused(wire::WitnessRefused { rule, known }),
        }),
    };
    let said = found.await.unwrap_or_default();
    let statements = said.into_iter().map(statement).collect();
    wire::FetchWitnessResponse { statements, alone: hub.is_alone(site, now()) }
}

/// The kept copy of a site's own ledger, as it is sent.
pub(super) fn kept(hub: &Hub, site: &SiteName) -> Result<Vec<wire::KeptLedgerPart>, Status> {
    use wire::kept_ledger_part::Part as Kept;
    let copy = blocking(|| hub.copy(site)).map_err(status)?;
    let copy = copy.ok_or_else(|| Status::not_found("witness.none: nothing of this ledger was cosigned"))?;
    let parts = std::iter::once(Kept::Checkpoint(copy.note))
        .chain(copy.entries.into_iter().map(|entry| Kept::Entry(entry.into())));
    Ok(parts.map(|part| wire::KeptLedgerPart { part: Some(part) }).collect())
}

fn name(text: &str) -> Result<SiteName, Status> {
    text.parse().map_err(|e| Status::invalid_argument(format!("{e}")))
}

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
