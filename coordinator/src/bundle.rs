//! Writes what an auditor takes (the layout is in ARCHITECTURE.md): everything that the verdict
//! rests on, as exact bytes.

use crate::hub::HubError;
use crate::store::{StoreError, at};
use crate::study::{StudyEvent, StudyState};
use consilium_common::id::Digest;
use consilium_common::key::PublicKey;
use consilium_common::model::blob::{self, ModelHeader};
use consilium_common::model::export;
use consilium_common::study;
use serde_json::json;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Writes the bundle of a study that has ended: first beside `folder`, then renamed, so that a
/// bundle is whole or not there.
///
/// # Errors
/// The disk, or a store that does not hold what the study names.
pub fn write(
    folder: &Path,
    state: &StudyState,
    events: &[StudyEvent],
    blob: &dyn Fn(&Digest) -> Result<Vec<u8>, HubError>,
    ledgers: &Path,
    coordinator: &PublicKey,
) -> Result<(), HubError> {
    let draft = folder.with_extension("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(at(&draft))?;
    }
    let put = |name: &str, bytes: &[u8]| -> Result<(), StoreError> {
        let path = draft.join(name);
        let parent = path.parent().expect("inside the draft");
        fs::create_dir_all(parent).map_err(at(parent))?;
        fs::write(&path, bytes).map_err(at(&path))
    };
    let pretty = |value: &serde_json::Value| serde_json::to_vec_pretty(value).expect("plain data");
    let study = &state.study;

    let sites: Vec<_> = state.participants.iter().collect();
    put(
        "bundle.json",
        &pretty(
            &json!({"schema": "bundle/1", "study": study.digest, "coordinator": coordinator, "sites": sites}),
        ),
    )?;
    put("study.toml", &blob(&study.digest)?)?;
    if let Some(start) = &state.start {
        put("start.json", &serde_json::to_vec(start).expect("plain data"))?;
    }
    for (site, decision) in &state.decisions {
        put(&format!("decisions/{site}.json"), &serde_json::to_vec(decision).expect("plain data"))?;
    }
    for site in &state.ledgers {
        let from = ledgers.join(study.digest.hex()).join(site.as_str());
        copy_folder(&from, &draft.join("sites").join(site.as_str()).join("ledger"))?;
    }
    for (round, updates) in state.updates.iter().enumerate() {
        put(&format!("rounds/{round}/model"), &blob(&state.models[round])?)?;
        for (site, digest) in updates {
            put(&format!("rounds/{round}/updates/{site}"), &blob(digest)?)?;
        }
    }
    for (round, closed) in state.sums.iter().enumerate() {
        put(&format!("sums/{round}"), &blob(&closed.sum)?)?;
    }
    for (earmark, closed) in &state.grouping_sums {
        let at = usize::try_from(*earmark).expect("an index") - 1;
        let grouping = study.groupings()[at].replace('*', "+");
        put(&format!("evaluation/{grouping}/sum"), &blob(&closed.sum)?)?;
    }
    if let Some(last) = state.models.last() {
        let bytes = blob(last)?;
        put("final/model", &bytes)?;
        let (header, values) = blob::decode::<ModelHeader>(&bytes)
            .map_err(|e| StoreError::Corrupt(format!("final model: {e}")))?;
        put("model.safetensors", &export::safetensors_bytes(&header, &values))?;
        put(
            "model.json",
            export::architecture_json(&header, &study::card::inputs(study), &study::card::outputs(study))
                .as_bytes(),
        )?;
    }
    for (grouping, sites) in &state.histograms {
        for (site, digest) in sites {
            let name = format!("evaluation/{}/{site}.json", grouping.replace('*', "+"));
            put(&name, &blob(digest)?)?;
        }
    }
    // The coordinator's own log stays beside the bundle: nobody signed it, and a bundle holds only
    // what its verification recomputes.
    let mut lines = String::new();
    for event in events {
        lines += &serde_json::to_string(event).expect("plain data");
        lines.push('\n');
    }
    let log = log_of(folder);
    fs::write(&log, lines).map_err(at(&log))?;
    Ok(fs::rename(&draft, folder).map_err(at(folder))?)
}

/// Where the coordinator's log of a bundle's study is: beside the bundle.
pub(crate) fn log_of(bundle: &Path) -> std::path::PathBuf {
    bundle.with_extension("events.jsonl")
}

/// Copies a folder of plain files and folders.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let path = entry.map_err(at(from))?.path();
        let name = path.file_name().expect("an entry has a name");
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            copy_file(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Copies a file; an error names the one of the two that failed, which `std::fs::copy` does not tell.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    const PIECE_BYTES: usize = 1 << 16;
    let mut source = fs::File::open(from).map_err(at(from))?;
    let mut target = fs::File::create(to).map_err(at(to))?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match source.read(&mut piece).map_err(at(from))? {
            0 => return Ok(()),
            read => target.write_all(&piece[..read]).map_err(at(to))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_copy_names_the_file_that_failed() {
        fn check(from: &Path, to: &Path, failed: &Path, other: &Path) {
            let said = copy_file(from, to).expect_err("cannot be copied").to_string();
            assert!(said.contains(&failed.display().to_string()), "{said}");
            assert!(!said.contains(&other.display().to_string()), "{said}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (here, copy) = (folder.path().join("here"), folder.path().join("copy"));
        fs::write(&here, vec![7; 200_000]).expect("writes");
        copy_file(&here, &copy).expect("copies");
        assert_eq!(fs::read(&copy).expect("there"), fs::read(&here).expect("there"));
        let (absent, below) = (folder.path().join("absent"), here.join("below"));
        check(&absent, &copy, &absent, &copy);
        check(&copy, &below, &below, &copy);
        // A disk without space.
        #[cfg(target_os = "linux")]
        check(&here, Path::new("/dev/full"), Path::new("/dev/full"), &here);
    }
}
