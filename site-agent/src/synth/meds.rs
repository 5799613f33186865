//! The OMOP tables of a site once more, as MEDS: by the very code of `data export --meds`, so that a hospital's own export of
//! them has the same bytes.

use super::SynthError;
use crate::data::omop::meds::{MedsExportError, export};
use crate::data::omop::{Folder, Reading};
use std::path::Path;

/// Writes `SITE/meds` from `SITE/omop`, which is finished. Events that memory does not hold are spilled into the site's folder:
/// it is on the disk that was meant to hold hospitals.
pub(super) fn write(site: &Path) -> Result<(), SynthError> {
    let tables = Folder::open(&site.join("omop")).map_err(MedsExportError::from)?;
    let reading = Reading { scratch: Some(site), ..Reading::default() };
    export(&tables, &site.join("meds"), &reading)?;
    Ok(())
}
