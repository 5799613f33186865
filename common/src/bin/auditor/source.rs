//! What every command about a bundle is given: the bundle, and what the auditor got elsewhere.

use crate::folder;
use consilium_common::ledger::bundle::{Files, Report, Trust, verify};
use std::path::{Path, PathBuf};

/// What every bundle has.
const MANIFEST: &str = "bundle.json";

/// Where the bundle is and what it is held against.
#[derive(clap::Args)]
pub(crate) struct Source {
    /// Folder with the bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) elsewhere: Elsewhere,
}

/// What the auditor got by another way than the bundle.
#[derive(clap::Args)]
pub(crate) struct Elsewhere {
    /// Fingerprints got elsewhere; without them, keys are believed as the bundle carries them
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// A study (id or digest) or a site that must be in the bundle; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) expect: Vec<String>,
    /// A checkpoint of one of the ledgers that somebody else kept: shows a fork or a rolled-back
    /// ledger; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Vec<PathBuf>,
    /// Folder with the updates, as ROUND/SITE, where the bundle does not hold them
    #[arg(long, value_name = "DIR")]
    pub(crate) updates: Option<PathBuf>,
}

impl Elsewhere {
    /// The files of a bundle, and what verification says of them.
    pub(crate) fn verify<'a>(&'a self, bundle: &'a Path) -> Result<(Files<'a>, Report), String> {
        let mut trust = self.trust.as_deref().map_or_else(|| Ok(Trust::default()), read_trust)?;
        for path in &self.checkpoint {
            let bytes = folder::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            trust.checkpoints.push((path.display().to_string(), bytes));
        }
        // A folder of results holds its bundle, and is none.
        let inner = bundle.join("bundle");
        if !bundle.join(MANIFEST).exists() && inner.join(MANIFEST).exists() {
            return Err(format!("{}: no bundle; did you mean {}?", bundle.display(), inner.display()));
        }
        let files = folder::open(bundle, self.updates.as_deref()).map_err(|error| error.to_string())?;
        let mut report = verify(&files, &trust);
        report.expect_names(self.expect.iter().map(String::as_str));
        Ok((files, report))
    }
}

impl Source {
    /// As [`Elsewhere::verify`].
    pub(crate) fn verify(&self) -> Result<(Files<'_>, Report), String> {
        self.elsewhere.verify(&self.bundle)
    }
}

/// Why a bundle that does not verify has no answer to another question; none if it verifies.
pub(crate) fn unsound(report: &Report) -> Option<String> {
    let (first, count) = (report.findings.first()?, report.findings.len());
    Some(format!("the bundle does not verify ({count} findings, the first: {first}); see auditor verify"))
}

fn read_trust(path: &Path) -> Result<Trust, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = folder::read(path).map_err(|error| named(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| named(&"expected UTF-8"))?;
    text.parse().map_err(|error| named(&error))
}
